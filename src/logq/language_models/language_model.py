"""LanguageModel: the interface of all language models; fitted on a text, it scores texts and predicts words."""

import os
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim, check_bool, check_float, check_int
from logq._progress import Progress
from logq.evaluation.likelihood import Likelihood, likelihood_of
from logq.tables.notebook_html import result_html
from logq.tables.short_texts import ranked, result_text
from logq.text.tokens import END, UNKNOWN, Tokens, read_tokens
from logq.text.vocabulary import Vocabulary
from logq.text.words import check_strings
from logq.training.callbacks import Callbacks
from logq.training.checkpoint import fingerprint
from logq.training.config import AtLeast, Config, Help, configclass
from logq.training.estimator import SavedEstimator

__all__ = ["LanguageModel", "NextWords", "Source", "VocabularyConfig", "best_words", "choose_word", "fingerprint_of"]

Source: TypeAlias = str | os.PathLike[str] | Iterable[Any]
"""A text: files, patterns, or lists of words, as `read_tokens` takes them."""

Floats: TypeAlias = NDArray[np.floating[Any]]


class NextWords(NamedTuple):
    """The most probable words after a text, best first.

    Attributes:
        words: k words; </s> among them is the end of the line.
        log_prob: (k,) natural logarithms of their probabilities.

    Example:
        >>> best = NextWords(words=["rose", "</s>"], log_prob=np.log([0.5, 0.25]))
        >>> best.words[0]
        'rose'
    """

    words: list[str]
    log_prob: Floats

    def __repr__(self) -> str:
        return result_text(self, ranked(np.array(self.words, dtype=object), np.exp(self.log_prob)))

    def to_columns(self) -> dict[str, Any]:
        """Return the columns that `logq.to_frame` makes a table of."""
        return {"word": self.words, "log_prob": self.log_prob}

    _repr_html_ = result_html


def best_words(
    log_prob: Floats,  # (V,)
    words: Sequence[str],
    k: int,
) -> NextWords:
    """Return the k most probable of V words; of equally probable ones, the first.

    Example:
        >>> best_words(np.log([0.2, 0.5, 0.3]), ["a", "b", "c"], 2).words
        ['b', 'c']
    """
    best = _top(np.asarray(log_prob, dtype=np.float64), check_int("k", k))
    return NextWords([str(words[i]) for i in best.tolist()], np.asarray(log_prob, dtype=np.float64)[best])


def choose_word(
    log_prob: Floats,  # (V,)
    rng: np.random.Generator,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
) -> int:
    """Draw a word from P^(1 / temperature), renormalized.

    Args:
        log_prob: (V,) natural logarithms; they need not be normalized.
        rng: random number generator.
        temperature: below 1 favors probable words, 0 takes the most probable one, above 1 evens them out.
        top_k: draw only from the k most probable words; None draws from all.

    Returns:
        The id of the word.

    Raises:
        ArgumentError: `temperature` or `top_k` is out of range, or a probability is NaN, or all are 0.

    Example:
        >>> choose_word(np.log([0.2, 0.5, 0.3]), np.random.default_rng(0), top_k=1)
        1
    """
    temperature = check_float("temperature", temperature, at_least=0)
    values = np.asarray(log_prob, dtype=np.float64)
    kept = np.arange(len(values)) if top_k is None else _top(values, check_int("top_k", top_k))
    highest = values.max()
    if not np.isfinite(highest):
        raise ArgumentError("log_prob", "numbers, one of them finite", Verbatim(f"{highest} as the highest"))
    if temperature == 0:
        return int(values.argmax())
    # Differences first: dividing by a tiny temperature may overflow to -inf, which is right, but never to inf - inf.
    with np.errstate(over="ignore"):
        cumulative = np.exp((values[kept] - highest) / temperature).cumsum()
    return int(kept[np.searchsorted(cumulative, rng.random() * cumulative[-1], side="right")])


def _top(values: Floats, k: int) -> NDArray[np.int64]:
    """Return the indices of the k highest values, highest first, equal ones in their order."""
    if k < len(values):
        lowest = np.partition(values, len(values) - k)[len(values) - k]
        above, equal = np.flatnonzero(values > lowest), np.flatnonzero(values == lowest)
        found = np.concatenate([above, equal[: k - len(above)]])
    else:
        found = np.arange(len(values))
    return found[np.argsort(-values[found], kind="stable")]


@configclass(group="Corpus")
class VocabularyConfig(Config):
    """Which words a language model knows.

    Example:
        >>> VocabularyConfig(min_count=2)
        VocabularyConfig(min_count=2)
    """

    min_count: Annotated[int, AtLeast(1), Help("Rarer words become <unk>.")] = 1
    max_vocab: Annotated[
        int | None,
        AtLeast(3),
        Help(
            "Maximum number of words, including </s> and <unk>; rarer ones become <unk>. {none} keeps all.",
            typed="Maximum number of words; rarer ones become <unk>.",
            default="all",
        ),
    ] = None


@configclass
class LanguageModel(SavedEstimator):
    """Learns from a text which word comes next, and scores texts; the base class of all language models.

        P(w_1 ... w_n </s>) = product over i of P(w_i | line begins, w_1 ... w_{i-1})

    A line is a sentence. It begins with nothing before it and ends in </s>; words outside the vocabulary are <unk>.

    A subclass implements `fit`, which sets `_vocabulary`; `_log_prob_blocks`, which `evaluate` adds up;
    `_next_log_probs`, which all else follows from, and `_sentence_log_probs` where there is a faster way; and for files
    `state` with `restore`. Its arguments come from a config that it inherits.
    """

    family = "language model"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._vocabulary: Vocabulary | None = None

    # ------------------------------------------------------------------------------------- what a subclass implements

    @abstractmethod
    def fit(
        self,
        source: Source,
        *,
        validation: Source | None = None,
        encoding: str | None = None,
        progress: bool | None = None,
        callbacks: Callbacks = (),
    ) -> Self:
        """Learn from a text; another call starts from scratch.

        Args:
            source: files, also compressed, patterns, "-", or lists of words.
            validation: another text, for tuning or early stopping in models that do so.
            encoding: of the files, such as "latin-1"; None recognizes it.
            progress: True shows a bar, False nothing, None a bar on a terminal and plain lines in a log.
            callbacks: what is called after epochs, see logq.training.Callback.

        Returns:
            The model itself.
        """

    @abstractmethod
    def _log_prob_blocks(self, tokens: Tokens) -> Iterator[tuple[NDArray[np.integer[Any]], Floats]]:
        """Yield the tokens of a text in blocks, in any order: ids (n,) and log P of each (n,).

        Every token comes once. The tokens were read with this model's vocabulary.
        """

    @abstractmethod
    def _next_log_probs(self, ids: Sequence[int]) -> Floats:
        """(V,) log P of each token after the beginning `ids` of a line; without ids, of the first token of a line."""

    def _sentence_log_probs(self, ids: Sequence[int]) -> Floats:
        """(n,) log P of each of n tokens of a line, given those before it."""
        return np.array(
            [self._next_log_probs(ids[:position])[word] for position, word in enumerate(ids)], dtype=np.float64
        )

    # ---------------------------------------------------------------------------------------------------- for everybody

    @property
    def vocabulary(self) -> Vocabulary:
        """The tokens that the model knows, most frequent first, including </s> and <unk>.

        Raises:
            AttributeError: the model is not fitted.
        """
        self._check_fitted()
        assert self._vocabulary is not None
        return self._vocabulary

    @property
    def is_fitted(self) -> bool:
        """Whether the model has been fitted or loaded."""
        return self._vocabulary is not None

    def _fitted_on(self) -> str:
        return f"{len(self.vocabulary)} words"

    def evaluate(self, source: Source, *, encoding: str | None = None, progress: bool | None = None) -> Likelihood:
        """Return how probable a text is.

        Where processes have joined (torchrun), all of them call it for a neural model: each computes the probabilities
        of its part of the text, and all get those of the whole.

        Args:
            source: as for `fit`.
            encoding: as for `fit`.
            progress: as for `fit`.

        Raises:
            AttributeError: the model is not fitted.
            OSError, TypeError, ValueError: `source` cannot be read, or has no words.
        """
        with (
            read_tokens(source, vocabulary=self.vocabulary, encoding=encoding, progress=progress) as tokens,
            Progress(len(tokens), "tokens", "perplexity", progress) as bar,
        ):
            return self._likelihood(tokens, bar)

    def _likelihood(self, tokens: Tokens, bar: Progress | None = None) -> Likelihood:
        """The sum over all blocks."""
        return sum(self._likelihoods(tokens, self._log_prob_blocks(tokens), bar), Likelihood())

    def _likelihoods(
        self,
        tokens: Tokens,
        blocks: Iterable[tuple[NDArray[np.integer[Any]], Floats]],
        bar: Progress | None,
        processes: int = 1,
    ) -> Iterator[Likelihood]:
        for ids, log_probs in blocks:
            yield likelihood_of(log_probs, ids, tokens.end, tokens.unknown)
            if bar is not None:
                bar.advance(processes * len(ids))

    def perplexity(self, source: Source, *, encoding: str | None = None, progress: bool | None = None) -> float:
        """Return exp(-log P / tokens) of a text, counting </s> and <unk>; arguments as for `evaluate`."""
        return self.evaluate(source, encoding=encoding, progress=progress).perplexity

    def score(self, sentence: str | Sequence[str], *, end: bool = True) -> float:
        """Return log P of a line, a natural logarithm; minus infinity if the line is impossible.

        Args:
            sentence: words between white space, or a list of words.
            end: whether the line ends after these words, so that P includes that of </s>.

        Raises:
            AttributeError: the model is not fitted.
            ArgumentTypeError: `sentence` holds something other than strings.
        """
        return float(sum(log_prob for _, log_prob in self.log_probs(sentence, end=end)))

    def log_probs(self, sentence: str | Sequence[str], *, end: bool = True) -> list[tuple[str, float]]:
        """Return the words of a line, each with its log P given those before it.

        Args:
            sentence: as for `score`.
            end: as for `score`.

        Returns:
            (word, log P) for each; words outside the vocabulary are "<unk>".
        """
        ids = self._ids("sentence", sentence)
        if check_bool("end", end):
            ids.append(self.vocabulary.key_to_index[END])
        words = self.vocabulary.index_to_key
        values = self._sentence_log_probs(ids).tolist() if ids else []
        return [(words[word], value) for word, value in zip(ids, values, strict=True)]

    def next_words(self, prompt: str | Sequence[str] = "", k: int = 10) -> NextWords:
        """Return the k most probable words after the beginning of a line.

        Args:
            prompt: words between white space, or a list of words; "" for the first word of a line.
            k: number of words, or all if the vocabulary has fewer.

        Raises:
            AttributeError: the model is not fitted.
            ArgumentError, ArgumentTypeError: `prompt` or `k` is not as described.
        """
        check_int("k", k)
        log_prob = np.asarray(self._next_log_probs(self._ids("prompt", prompt)), dtype=np.float64)
        return best_words(log_prob, self.vocabulary.index_to_key, k)

    def generate(
        self,
        prompt: str | Sequence[str] = "",
        *,
        max_words: int = 50,
        temperature: float = 1.0,
        top_k: int | None = None,
        seed: int | None = None,
    ) -> str:
        """Continue a line word by word, drawn from P^(1 / temperature), until </s>.

        Args:
            prompt: the beginning of the line, as for `next_words`.
            max_words: maximum number of words to add.
            temperature: below 1 favors probable words, 0 takes the most probable one, above 1 evens them out.
            top_k: draw only from the k most probable words; None draws from all.
            seed: the same seed gives the same line; None takes a fresh one.

        Returns:
            The line including the prompt, with one space between words, without </s>.

        Raises:
            AttributeError: the model is not fitted.
            ArgumentError, ArgumentTypeError: an argument is out of range, or no word is possible after the prompt, as
                happens in a model without smoothing.
        """
        max_words = check_int("max_words", max_words, 0)
        rng = np.random.default_rng(None if seed is None else check_int("seed", seed, 0))
        words = _words("prompt", prompt)
        ids = self._ids("prompt", words)
        for _ in range(max_words):
            log_prob = np.asarray(self._next_log_probs(ids), dtype=np.float64)
            if np.isneginf(log_prob).all():
                hint = "smooth the model, or choose another prompt"
                raise ArgumentError("prompt", "a text after which some word is possible", " ".join(words), hint)
            chosen = choose_word(log_prob, rng, temperature=temperature, top_k=top_k)
            word = self.vocabulary.index_to_key[chosen]
            if word == END:
                break
            ids.append(chosen)
            words.append(word)
        return " ".join(words)

    def _ids(self, name: str, text: str | Sequence[str]) -> list[int]:
        """The ids of words; those outside the vocabulary have that of <unk>."""
        ids = self.vocabulary.key_to_index
        return [ids.get(word, ids[UNKNOWN]) for word in _words(name, text)]

    # --------------------------------------------------------------------------------------------------- save and load

    def _shown_on_card(self) -> tuple[Mapping[str, int], str, int | None]:
        prompt = next((word for word in self.vocabulary.index_to_key if word not in (END, UNKNOWN)), "")
        return {"words": len(self.vocabulary)}, f"print(model.generate({prompt!r}))", None

    def _kept(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        return {"words": len(self.vocabulary)}, self.vocabulary.arrays()

    def _take_back(self, info: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> None:
        vocabulary = Vocabulary.from_arrays(tensors)
        for token in (END, UNKNOWN):
            if token not in vocabulary:
                raise ValueError(f"expected {token} in the vocabulary")
        self._vocabulary = vocabulary


def fingerprint_of(tokens: Tokens) -> str:
    """What identifies a text: its words, how often each is there, and how many tokens and lines there are."""
    return fingerprint(tokens.vocabulary.index_to_key, tokens.counts, numbers=(len(tokens), tokens.num_sentences))


def _words(name: str, text: str | Sequence[str]) -> list[str]:
    if isinstance(text, str):
        return text.split()
    if not isinstance(text, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ArgumentTypeError(name, "words, a string or a list of them", text)
    return check_strings(name, text)


def load(folder: str | os.PathLike[str], **options: Any) -> LanguageModel:
    """Read a language model of any class that `save` wrote.

    Args:
        folder: where it is.
        **options: arguments beside the settings in the file, such as `device` of neural models.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is damaged, changed, or of another version; the message says what is wrong.

    Example:
        >>> import tempfile
        >>> from logq import NGram
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     NGram(2, "add_k").fit([["a", "b"]], progress=False).save(folder)
        ...     load(folder)
        NGram(order=2, smoothing='add_k', fitted on 4 words)
    """
    return LanguageModel.load(folder, **options)
