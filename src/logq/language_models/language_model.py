"""LanguageModel: the interface of all language models; it learns what comes next, and answers for texts and words."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from logq._arguments import check_bool, check_float, check_int, shown
from logq._progress import Progress
from logq.evaluation.likelihood import Likelihood, likelihood_of
from logq.language_models.language_model_files import load_language_model, save_language_model
from logq.text import Vocabulary, read_tokens
from logq.text.tokens import END, UNKNOWN, Tokens
from logq.text.words import check_strings

__all__ = ["LanguageModel", "NextWords", "Source", "best_words", "choose_word"]

Floats = NDArray[np.float64]


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


def best_words(
    log_prob: Floats,  # (V,)
    words: Sequence[str],
    k: int,
) -> NextWords:
    """Return the k most probable of V words; of equals, the first.

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
    """Draw a word from P^(1 / temperature), normalised anew.

    Args:
        log_prob: (V,) natural logarithms; they need not be normalised.
        rng: where randomness comes from.
        temperature: below 1 prefers the probable ones, 0 takes the most probable one, above 1 evens them out.
        top_k: draw from so many of the most probable ones only; None from all.

    Returns:
        The id of the word.

    Raises:
        ValueError: `temperature` or `top_k` is out of range, or a probability is NaN, or all are 0.

    Example:
        >>> choose_word(np.log([0.2, 0.5, 0.3]), np.random.default_rng(0), top_k=1)
        1
    """
    temperature = check_float("temperature", temperature, at_least=0)
    values = np.asarray(log_prob, dtype=np.float64)
    kept = np.arange(len(values)) if top_k is None else _top(values, check_int("top_k", top_k))
    highest = values.max()
    if not np.isfinite(highest):
        raise ValueError(f"log_prob: expected numbers, one of them finite, got {highest} as the highest")
    if temperature == 0:
        return int(values.argmax())
    # Differences first: dividing by a tiny temperature may overflow to -inf, which is right, but never to inf - inf.
    with np.errstate(over="ignore"):
        cumulative = np.exp((values[kept] - highest) / temperature).cumsum()
    return int(kept[np.searchsorted(cumulative, rng.random() * cumulative[-1], side="right")])


def _top(values: Floats, k: int) -> NDArray[np.int64]:
    """Return the places of the k highest values, highest first, equals in their order."""
    if k < len(values):
        lowest = np.partition(values, len(values) - k)[len(values) - k]
        above, equal = np.flatnonzero(values > lowest), np.flatnonzero(values == lowest)
        places = np.concatenate([above, equal[: k - len(above)]])
    else:
        places = np.arange(len(values))
    return places[np.argsort(-values[places], kind="stable")]


Source: TypeAlias = str | os.PathLike[str] | Iterable[Any]
"""A text: files, patterns, or lists of words, as `read_tokens` takes them."""

Floats: TypeAlias = NDArray[np.floating[Any]]


class LanguageModel(ABC):
    """Learns from a text what comes next, and says how probable texts are. What n-gram and neural models share.

        P(w_1 ... w_n </s>) = product over i of P(w_i | line begins, w_1 ... w_{i-1})

    Lines are sentences. Each begins with nothing before it and ends in </s>; a word that the vocabulary lacks is <unk>.

    A subclass fills in `fit`, which sets `_vocabulary`; `_log_prob_blocks`, which `evaluate` adds up;
    `_next_log_probs`, which all else comes from, and where there is a quicker way, `_sentence_log_probs`; and for files
    `settings` (the arguments of the constructor) and `state` with `restore` (arrays). What JSON can hold of the fitted
    model beside these, such as sizes, goes into the dict `facts`.
    """

    def __init__(self) -> None:
        self._vocabulary: Vocabulary | None = None
        self.facts: dict[str, Any] = {}

    # ------------------------------------------------------------------------------------------ what a model fills in

    @abstractmethod
    def fit(self, source: Source, *, validation: Source | None = None, progress: bool | None = None) -> Self:
        """Learn from a text; called again, start anew.

        Args:
            source: files, plain, .gz or .zst, patterns, "-", or lists of words.
            validation: another text, to tune or to stop by where the model does so.
            progress: True shows a bar, False nothing, None a bar on a terminal and plain lines in a log.

        Returns:
            The model itself.
        """

    @abstractmethod
    def _log_prob_blocks(self, tokens: Tokens) -> Iterator[tuple[NDArray[np.integer[Any]], Floats]]:
        """Yield the tokens of a text in any order and number at a time: ids (n,) and log P of each (n,).

        Every token comes once. The tokens were read with this model's vocabulary.
        """

    @abstractmethod
    def _next_log_probs(self, ids: Sequence[int]) -> Floats:
        """(V,) log P of each token after a line that begins with `ids`; without ids, of the first token of a line."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """The arguments of the constructor, as JSON can hold them; a device is left out."""

    @abstractmethod
    def state(self) -> dict[str, NDArray[Any]]:
        """Everything that was learned, by name; the vocabulary is saved by the base."""

    @abstractmethod
    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take over what `state` gave; `vocabulary` and `facts` are there already.

        Raises:
            KeyError, ValueError: names, dtypes or shapes are not those that the settings ask for.
        """

    def _sentence_log_probs(self, ids: Sequence[int]) -> Floats:
        """(n,) log P of each of n tokens of a line, given those before it."""
        return np.array([self._next_log_probs(ids[:place])[word] for place, word in enumerate(ids)], dtype=np.float64)

    # ------------------------------------------------------------------------------------------------------ the doors

    @property
    def vocabulary(self) -> Vocabulary:
        """The tokens the model knows, most frequent first, </s> and <unk> among them.

        Raises:
            AttributeError: the model is not fitted.
        """
        if self._vocabulary is None:
            raise AttributeError(f"{type(self).__name__}: it has learned nothing yet, call fit first")
        return self._vocabulary

    def evaluate(self, source: Source, *, progress: bool | None = None) -> Likelihood:
        """Return how probable a text is.

        Args:
            source: as for `fit`.
            progress: as for `fit`.

        Raises:
            AttributeError: the model is not fitted.
            OSError, TypeError, ValueError: `source` cannot be read, or has no words.
        """
        total = Likelihood()
        with (
            read_tokens(source, vocabulary=self.vocabulary, progress=progress) as tokens,
            Progress(len(tokens), "tokens", "perplexity", progress) as bar,
        ):
            for ids, log_probs in self._log_prob_blocks(tokens):
                total += likelihood_of(log_probs, ids, tokens.end, tokens.unknown)
                bar.advance(len(ids))
        return total

    def perplexity(self, source: Source, *, progress: bool | None = None) -> float:
        """Return exp(-log P / tokens) of a text, </s> and <unk> counted; arguments as for `evaluate`."""
        return self.evaluate(source, progress=progress).perplexity

    def score(self, sentence: str | Sequence[str], *, end: bool = True) -> float:
        """Return log P of a line, natural logarithm; minus infinity if it is impossible.

        Args:
            sentence: words between white space, or a list of words.
            end: whether the line ends there, so that </s> is part of it.

        Raises:
            AttributeError: the model is not fitted.
            TypeError: `sentence` holds something else than strings.
        """
        return float(sum(log_prob for _, log_prob in self.log_probs(sentence, end=end)))

    def log_probs(self, sentence: str | Sequence[str], *, end: bool = True) -> list[tuple[str, float]]:
        """Return the words of a line as the model sees them, each with its log P given those before it.

        Args:
            sentence: as for `score`.
            end: as for `score`.

        Returns:
            (word, log P) for each; a word that the vocabulary lacks is "<unk>".
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
            prompt: words between white space, or a list of words; none for the first word of a line.
            k: how many, at most all.

        Raises:
            AttributeError: the model is not fitted.
            TypeError, ValueError: `prompt` or `k` is none.
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
        """Go on with a line, word by word at random from P^(1 / temperature), until </s>.

        Args:
            prompt: how the line begins, as for `next_words`.
            max_words: the most words to add.
            temperature: below 1 prefers the probable words, 0 takes the most probable one, above 1 evens them out.
            top_k: draw from so many of the most probable words only; None from all.
            seed: the same seed gives the same line; None takes one from the operating system.

        Returns:
            The line, prompt included, one space between words, without </s>.

        Raises:
            AttributeError: the model is not fitted.
            TypeError, ValueError: an argument is out of range, or nothing can come after the prompt, as happens to a
                model without smoothing.
        """
        max_words = check_int("max_words", max_words, 0)
        rng = np.random.default_rng(None if seed is None else check_int("seed", seed, 0))
        words = _words("prompt", prompt)
        ids = self._ids("prompt", words)
        for _ in range(max_words):
            log_prob = np.asarray(self._next_log_probs(ids), dtype=np.float64)
            if np.isneginf(log_prob).all():
                raise ValueError(f"prompt: no word is possible after {' '.join(words)!r}, the model is not smoothed")
            chosen = choose_word(log_prob, rng, temperature=temperature, top_k=top_k)
            word = self.vocabulary.index_to_key[chosen]
            if word == END:
                break
            ids.append(chosen)
            words.append(word)
        return " ".join(words)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the model into a folder: `model.safetensors`, which has everything, and `model.json` to read.

        Raises:
            AttributeError: the model is not fitted.
            OSError: a file cannot be written; what was there stays.
        """
        save_language_model(self, folder)

    @classmethod
    def load(cls, folder: str | os.PathLike[str], **options: Any) -> Self:
        """Read what `save` wrote; of this class, or any that has been imported if asked of LanguageModel.

        Args:
            folder: where it is.
            **options: for the constructor beside the settings of the file, such as `device` of neural models.

        Raises:
            OSError: the file cannot be read.
            ValueError: it is damaged, changed, of another version or another class; the message says what is wrong.
        """
        return cast("Self", load_language_model(cls, folder, options))

    def _ids(self, name: str, text: str | Sequence[str]) -> list[int]:
        """The ids of words, unknown ones <unk>."""
        ids = self.vocabulary.key_to_index
        return [ids.get(word, ids[UNKNOWN]) for word in _words(name, text)]


def _words(name: str, text: str | Sequence[str]) -> list[str]:
    if isinstance(text, str):
        return text.split()
    if not isinstance(text, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"{name}: expected words, a string or a list of them, got {shown(text)}")
    return check_strings(name, text)


def load(folder: str | os.PathLike[str], **options: Any) -> LanguageModel:
    """Read a language model of any class that `save` wrote.

    Args:
        folder: where it is.
        **options: for the constructor beside the settings of the file, such as `device` of neural models.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is damaged, changed, or of another version; the message says what is wrong.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     NNLM(dim=2, hidden=2, epochs=1, num_sampled=2, seed=1).fit([["a", "b"]], progress=False).save(folder)
        ...     load(folder)
        NNLM(dim=2, hidden=2, context=5, sampled_softmax, 4 words)
    """
    return LanguageModel.load(folder, **options)
