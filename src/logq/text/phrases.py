"""Phrases: words that occur together more often than their counts suggest, found in a corpus and joined to one word."""

import json
import os
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from logq._arguments import ArgumentError, ArgumentTypeError, check_float, check_int, shown
from logq._compression import read_bytes
from logq._files import atomic_write
from logq._progress import Progress
from logq.text.encoding import EncodedCorpus
from logq.text.phrase_counts import SCORINGS, THRESHOLDS, CountedPairs, PairCounts, count_pairs, score_pairs
from logq.text.phrase_joining import JoinedText, Joiner, WordList, connector_flags, id_parts, join_words, opened
from logq.text.words import check_strings

__all__ = ["ENGLISH_CONNECTOR_WORDS", "Phrase", "Phrases"]

ENGLISH_CONNECTOR_WORDS = frozenset(
    ["a", "an", "the", "for", "of", "with", "without", "at", "from", "to", "in", "on", "by", "and", "or"]
)
"""Articles, short prepositions and conjunctions, the same as gensim has under this name."""

_FORMAT, _VERSION = "logq phrases", 1
_SETTINGS = ("min_count", "threshold", "scoring", "delimiter", "passes", "max_vocab")


class Phrase(NamedTuple):
    """The words of a phrase, its number of occurrences, and its score.

    Example:
        >>> Phrase(("new", "york"), 12, 34.5).occurrences
        12
    """

    words: tuple[str, ...]
    occurrences: int
    score: float


class Phrases:
    """Finds phrases of two words, and of more by further passes, and joins them: `new york` becomes `new_york`.

        default:      (n_ab - min_count) / (n_a n_b) x types of words and pairs   > threshold
        word2phrase:  (n_ab - min_count) / (n_a n_b) x words of the text          > threshold
        npmi:         ln(p_ab / (p_a p_b)) / -ln p_ab, where n_ab >= min_count    > threshold

    Phrases are joined from left to right, and no word is in two of them. Pairs are counted in sorted arrays: 16 bytes
    for each different pair, and briefly as much again.

    Equivalent to: gensim.models.Phrases, scoring "default" and "npmi": same phrases, same scores, as long as no word
    contains the delimiter and nothing is pruned; and to word2phrase.c with "word2phrase".

    Args:
        min_count: discount of the count of a pair; for npmi the smallest count of a pair.
        threshold: the score that a phrase has to exceed; None is 10, for word2phrase 100, for npmi 0.5.
        scoring: "default", "word2phrase" or "npmi".
        delimiter: what separates the words of a joined phrase.
        connector_words: words that may stand inside a phrase, up to 64 of them in a row, but neither begin nor end one:
            with `ENGLISH_CONNECTOR_WORDS`, `bank of america` can be a phrase. Its score is computed from the counts of
            its first and last word and of the whole.
        passes: number of passes; the second pass finds pairs of words and phrases, and so on.
        max_vocab: maximum number of different pairs in memory. When there are more, those seen once are dropped, the
            next time those seen up to twice, and so on, as gensim and word2phrase do; `pruned` counts them.

    Attributes:
        tables: the phrases of each pass, best first.
        phrases: the score of each joined phrase, best first.
        counts: how often each of them occurs, in the same order.
        num_words: words of the text.
        pruned: number of pairs that were dropped because of `max_vocab`.

    Raises:
        ArgumentTypeError: an argument has a wrong type.
        ArgumentError: a number is out of range, the scoring is unknown, or the delimiter is empty or has white space.

    References:
        Mikolov et al., Distributed Representations of Words and Phrases and their Compositionality, NIPS 2013,
        arXiv:1310.4546, section 4. Bouma, Normalized (Pointwise) Mutual Information in Collocation Extraction,
        GSCL 2009.

    Example:
        >>> phrases = Phrases(threshold=0.4).fit([["new", "york", name] for name in "abcdef"])
        >>> phrases.counts, phrases.join(["in", "new", "york"])
        ({'new_york': 6}, ['in', 'new_york'])
    """

    def __init__(
        self,
        min_count: int = 5,
        threshold: float | None = None,
        scoring: str = "default",
        *,
        delimiter: str = "_",
        connector_words: Iterable[str] = (),
        passes: int = 1,
        max_vocab: int | None = 40_000_000,
    ) -> None:
        if scoring not in SCORINGS:
            raise ArgumentError("scoring", f"one of {', '.join(SCORINGS)}", scoring)
        limits: dict[str, float] = {"at_least": -1, "at_most": 1} if scoring == "npmi" else {"above": 0}
        self.min_count = check_int("min_count", min_count)
        self.threshold = check_float("threshold", THRESHOLDS[scoring] if threshold is None else threshold, **limits)
        self.scoring = scoring
        if not isinstance(delimiter, str):
            raise ArgumentTypeError("delimiter", "a string", delimiter)
        if delimiter.split() != [delimiter]:
            raise ArgumentError("delimiter", "at least one character and no white space", delimiter)
        self.delimiter = delimiter
        self.connector_words = frozenset(check_strings("connector_words", connector_words))
        self.passes = check_int("passes", passes)
        self.max_vocab = None if max_vocab is None else check_int("max_vocab", max_vocab)
        self.num_words = self.pruned = 0
        self._set_tables([])

    def fit(
        self,
        source: str | os.PathLike[str] | Iterable[Any] | EncodedCorpus,
        *,
        threads: int = 1,
        cache: str | os.PathLike[str] | None = None,
        progress: bool | None = None,
    ) -> "Phrases":
        """Find the phrases of a corpus; those of an earlier fit are forgotten.

        Args:
            source: as for `encode`; or what `encode(source, min_count=1)` returned, so that a pipe is read only once to
                find phrases and to join them.
            threads: as for `encode`.
            cache: as for `encode`.
            progress: True shows bars, False nothing, None bars on a terminal and lines elsewhere.

        Returns:
            The object itself.

        Raises:
            OSError, TypeError, ValueError, ImportError: as `encode`.
        """
        tables: list[list[Phrase]] = []
        joiners: list[Joiner] = []
        pruned = 0
        with opened(source, threads=threads, cache=cache, progress=progress) as corpus:
            words = WordList(corpus.vocabulary.index_to_key)
            for number in range(self.passes):
                label = "counting pairs" if self.passes == 1 else f"counting pairs, pass {number + 1}"
                with Progress(corpus.num_ids, "words", label, enabled=progress) as bar:
                    flags = connector_flags(words, self.connector_words)
                    counted = count_pairs(id_parts(corpus, joiners, bar), len(words), flags, self.max_vocab)
                pruned += counted.pairs.pruned
                tables.append(self._choose(counted, words, flags))
                if not tables[-1]:
                    break
                phrases = [phrase.words for phrase in tables[-1]]
                joiners.append(Joiner(phrases, words, self.connector_words, self.delimiter))
            self.num_words, self.pruned = corpus.num_words, pruned
        self._set_tables(tables)
        return self

    def _choose(self, counted: CountedPairs, words: WordList, flags: NDArray[np.bool_] | None) -> list[Phrase]:
        """Return the pairs whose score is above the threshold, best first."""
        word_counts, pairs, runs = counted
        num_types = len(pairs.keys) + np.count_nonzero(word_counts if flags is None else word_counts[~flags[:-1]])
        often = pairs.counts >= self.min_count  # all others score 0 at most, or -inf
        keys, counts = pairs.keys[often], pairs.counts[often]
        rest, seconds = np.divmod(keys, len(words))
        between, firsts = np.divmod(rest, len(words))
        pair_counts = PairCounts(
            counts, word_counts[firsts], word_counts[seconds], int(num_types), int(word_counts.sum())
        )
        scores = score_pairs(self.scoring, pair_counts, self.min_count)
        chosen = np.flatnonzero(scores > self.threshold)
        columns = (column[chosen].tolist() for column in (firsts, between, seconds, counts, scores))
        name = words.words
        found = [
            Phrase((name[first], *(name[i] for i in runs.words(run)), name[second]), count, score)
            for first, run, second, count, score in zip(*columns, strict=True)
        ]
        return sorted(found, key=lambda phrase: (-phrase.score, phrase.words))

    def _set_tables(self, tables: list[list[Phrase]]) -> None:
        self.tables = tables
        self.phrases: dict[str, float] = {}
        self.counts: dict[str, int] = {}
        for phrase in sorted(chain(*tables), key=lambda phrase: (-phrase.score, phrase.words)):
            joined = self.delimiter.join(phrase.words)
            if joined not in self.phrases:  # words that contain the delimiter may give the same phrase twice
                self.phrases[joined], self.counts[joined] = phrase.score, phrase.occurrences
        self._joined = [{each.words: self.delimiter.join(each.words) for each in table} for table in tables]
        self._longest = [max((len(each.words) for each in table), default=0) for table in tables]

    def join(self, words: Iterable[str]) -> list[str]:
        """Return one sentence with its phrases joined.

        Raises:
            ArgumentTypeError: it is not a list of words.
            ValueError: there are no phrases yet.

        Example:
            >>> phrases = Phrases(min_count=1, threshold=1).fit([["new", "york"], ["a", "b"], ["new", "york"]])
            >>> phrases.join(["in", "new", "york"])
            ['in', 'new_york']
        """
        self._check_fitted()
        joined = check_strings("words", words)
        for table, longest in zip(self._joined, self._longest, strict=True):
            joined = join_words(joined, table, self.connector_words, longest)
        return joined

    def __getitem__(self, item: Iterable[Any]) -> list[str] | Iterable[list[str]]:
        """Join a sentence, or return a view of sentences that joins each when it is read, as in gensim."""
        if isinstance(item, str | bytes) or not isinstance(item, Iterable):
            raise ArgumentTypeError("item", "a list of words or lists of words", item)
        rest: Iterable[Any] = item
        beginning = list(_first(item))
        if isinstance(item, Iterator):
            rest = chain(beginning, item)
        if not beginning or isinstance(beginning[0], str):
            return self.join(rest)
        return _Sentences(self, rest)

    def transform(
        self,
        source: str | os.PathLike[str] | Iterable[Any] | EncodedCorpus,
        *,
        max_sentence: int = 10_000,
        threads: int = 1,
        cache: str | os.PathLike[str] | None = None,
    ) -> JoinedText:
        """Return a corpus with its phrases joined: sentences to train on, or to write.

        Args:
            source: as for `fit`, but not what can be iterated only once. Its words need not occur in the text of `fit`.
            max_sentence: maximum number of words that are yielded as one sentence.
            threads: as for `encode`.
            cache: as for `encode`.

        Returns:
            Lists of words, read from the source again each time they are iterated; `write` makes a file of them.

        Raises:
            ArgumentTypeError: the source can be iterated only once.
            ArgumentError: `max_sentence` is below 1.
            ValueError: there are no phrases yet.

        Example:
            >>> sentences = [["new", "york"], ["in", "new", "york"], ["a", "b"]]
            >>> list(Phrases(min_count=1, threshold=1).fit(sentences).transform(sentences))
            [['new_york'], ['in', 'new_york'], ['a', 'b']]
        """
        self._check_fitted()
        tables = [[phrase.words for phrase in table] for table in self.tables]
        options = {"threads": threads, "cache": cache}
        return JoinedText(
            source, tables, self.connector_words, self.delimiter, max_sentence=max_sentence, options=options
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write settings and phrases as JSON, atomically.

        Raises:
            OSError: the file cannot be written.
            ValueError: there are no phrases yet.
        """
        self._check_fitted()
        settings = {name: getattr(self, name) for name in _SETTINGS}
        settings["connector_words"] = sorted(self.connector_words)
        whole = {"format": _FORMAT, "version": _VERSION, "settings": settings}
        whole |= {"num_words": self.num_words, "pruned": self.pruned, "tables": self.tables}
        with atomic_write(path) as file:
            file.write(json.dumps(whole).encode())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Phrases":
        """Read phrases that `save` wrote; the file may have been compressed since.

        Raises:
            OSError: the file cannot be read.
            ValueError: it does not hold phrases, or those of a newer version.
        """
        content = read_bytes(path)
        try:
            whole = json.loads(content)
            if whole["format"] != _FORMAT:
                raise ValueError(f"format {shown(whole['format'])}")
            if whole["version"] != _VERSION:
                raise ValueError(f"version {shown(whole['version'])}, this logq reads version {_VERSION}")
            loaded = cls(**whole["settings"])
            loaded.num_words, loaded.pruned = check_int("num_words", whole["num_words"], 0), int(whole["pruned"])
            loaded._set_tables([[_checked(phrase) for phrase in table] for table in whole["tables"]])
            if not loaded.tables:
                raise ValueError("no table of phrases")
        except (ValueError, KeyError, TypeError, OverflowError, AttributeError, RecursionError) as error:
            raise ValueError(f"{os.fspath(path)}: expected phrases as Phrases.save writes them ({error})") from None
        return loaded

    def _check_fitted(self) -> None:
        if not self.tables:
            raise ValueError("no phrases yet, call fit first")

    def __len__(self) -> int:
        return len(self.phrases)

    def __contains__(self, phrase: object) -> bool:
        return phrase in self.phrases

    def __repr__(self) -> str:
        return f"Phrases({len(self)} phrases, scoring {self.scoring!r}, threshold {self.threshold:g})"


class _Sentences:
    """Sentences that are joined when they are read."""

    def __init__(self, phrases: Phrases, sentences: Iterable[Iterable[str]]) -> None:
        self._phrases = phrases
        self._sentences = sentences

    def __iter__(self) -> Iterator[list[str]]:
        return map(self._phrases.join, self._sentences)


def _first(items: Iterable[Any]) -> Iterator[Any]:
    for item in items:
        yield item
        return


def _checked(phrase: Any) -> Phrase:
    words, count, score = cast("list[Any]", phrase)
    strings = tuple(check_strings("words", words))
    if len(strings) < 2:
        raise ValueError(f"a phrase of {len(strings)} words")
    return Phrase(strings, check_int("count", count), check_float("score", score))
