"""The vocabulary: the words of a corpus, how often each occurs, and the id of each."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim, check_float, check_int
from logq._files import atomic_write
from logq._model_file import pack_strings, unpack_strings
from logq._text_encodings import text_lines
from logq.text.corpus import Sentences
from logq.text.words import (
    LONGEST_WORD,
    check_strings,
    check_utf8_forms,
    check_word_counts,
    index_words,
    is_too_long,
    is_writable_word,
)

__all__ = ["Vocabulary", "too_few", "too_rare"]

Ids: TypeAlias = NDArray[np.int64]


class Vocabulary:
    """Words with their counts; the position of a word in the list is its id.

    Args:
        words: V different words.
        counts: (V,) how often each occurs, at least once.
        raw_words: how many words were read to count these, dropped ones included; their sum if left out.

    Attributes:
        index_to_key: the words, a list.
        key_to_index: the id of each word, a dict.
        counts: (V,) int64.
        raw_words: words read, dropped ones included.

    Raises:
        ArgumentTypeError: a word is not a string, or the counts are not integers.
        ArgumentError: a word is there twice, or the counts do not fit the words.

    Example:
        >>> vocabulary = Vocabulary.build([["a", "rose", "is", "a", "rose"], ["is", "it"]], min_count=2)
        >>> vocabulary.index_to_key, vocabulary.counts.tolist()
        (['a', 'rose', 'is'], [2, 2, 2])
        >>> vocabulary.encode(["it", "is", "a", "rose"])
        array([2, 0, 1])
    """

    def __init__(self, words: Sequence[str], counts: ArrayLike, *, raw_words: int | None = None) -> None:
        self.index_to_key = check_strings("words", words)
        self.key_to_index = index_words("words", self.index_to_key)
        self.counts = check_word_counts(counts, self.index_to_key, minimum=1)
        self.raw_words = self.total if raw_words is None else check_int("raw_words", raw_words, minimum=self.total)

    @classmethod
    def build(cls, sentences: Sentences, min_count: int = 5, max_vocab: int | None = None) -> "Vocabulary":
        """Count the words of a corpus and keep the frequent ones, most frequent first.

        Words of equal count keep the order of their first appearance. All different words are in memory; those of
        `logq.text.count_words` need not be.

        Args:
            sentences: lists of words; read once.
            min_count: the smallest count a word is kept with.
            max_vocab: maximum number of words to keep; None keeps all.

        Returns:
            The vocabulary of the words kept.

        Raises:
            ArgumentTypeError: a sentence is not a list of words.
            ArgumentError: there are no words, or none occurs `min_count` times.

        Example:
            >>> Vocabulary.build([["so", "far", "so", "good"]], min_count=1, max_vocab=2).index_to_key
            ['so', 'far']
        """
        min_count = check_int("min_count", min_count)
        if max_vocab is not None:
            max_vocab = check_int("max_vocab", max_vocab)
        counter = _count(sentences)
        if not counter:
            raise too_few("sentences")
        check_utf8_forms("sentences", check_strings("sentences", counter))
        # sorted() keeps the order of equals, and a Counter that of first appearance.
        ranked = sorted(counter.items(), key=lambda item: -item[1])
        kept = [(word, count) for word, count in ranked if count >= min_count][:max_vocab]
        if not kept:
            raise too_rare(min_count, *ranked[0])
        return cls([word for word, _ in kept], [count for _, count in kept], raw_words=counter.total())

    @property
    def total(self) -> int:
        """Number of words of the corpus without the dropped ones: the sum of the counts."""
        return int(self.counts.sum())

    def __len__(self) -> int:
        return len(self.index_to_key)

    def __contains__(self, word: object) -> bool:
        return word in self.key_to_index

    def __repr__(self) -> str:
        return f"Vocabulary({len(self)} words, {self.total} occurrences)"

    def encode(self, tokens: Iterable[str]) -> Ids:
        """Return the ids of words, int64; those that are not in the vocabulary are left out.

        Raises:
            ArgumentTypeError: `tokens` is a string and not a list of words.
        """
        if isinstance(tokens, str):
            raise ArgumentTypeError("tokens", "a list of words", Verbatim(f"the string {tokens[:40]!r}"))
        return np.array([i for i in map(self.key_to_index.get, tokens) if i is not None], dtype=np.int64)

    def keep_probability(self, sample: float) -> NDArray[np.float64]:
        """Return the probability of keeping each word when frequent words are subsampled.

            P(keep) = min(1, (sqrt(c / (t N)) + 1) * t N / c)

        with c the count of the word, N the sum of all counts and t = `sample`. This is what the C program word2vec
        does; the paper's equation 5 has 1 - sqrt(t N / c) for the probability to drop, without the second term.

        Args:
            sample: t, usually 1e-3 to 1e-5; 0 keeps everything.

        Returns:
            (V,) float64 in (0, 1].

        References:
            Mikolov et al., Distributed Representations of Words and Phrases and their Compositionality, NIPS 2013,
            arXiv:1310.4546, Eq. 5.

        Example:
            >>> Vocabulary(["the", "cat"], [9_900, 100]).keep_probability(1e-2).round(3)
            array([0.111, 1.   ])
        """
        sample = check_float("sample", sample, at_least=0)
        if sample == 0:
            return np.ones(len(self))
        ratio = sample * self.total / self.counts
        return np.minimum(1.0, np.sqrt(ratio) + ratio)

    def share_kept(self, sample: float) -> float:
        """Return the share of the text that is kept on average, with that threshold for `keep_probability`.

        Example:
            >>> round(Vocabulary(["the", "cat"], [9_900, 100]).share_kept(1e-2), 3)
            0.119
        """
        return float(self.counts @ self.keep_probability(sample)) / self.total

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return words and counts as the arrays that files of models have of them.

        Example:
            >>> Vocabulary.from_arrays(Vocabulary(["so", "far"], [2, 1]).arrays()).index_to_key
            ['so', 'far']
        """
        words, offsets = pack_strings(self.index_to_key)
        return {"vocabulary.words": words, "vocabulary.offsets": offsets, "vocabulary.counts": self.counts}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], *, raw_words: int | None = None) -> "Vocabulary":
        """Make one of what `arrays` returned, which may be among others.

        Raises:
            KeyError, ValueError: an array is missing, or they do not fit each other.
        """
        words = unpack_strings(arrays["vocabulary.words"], arrays["vocabulary.offsets"])
        return cls(words, arrays["vocabulary.counts"], raw_words=raw_words)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the words and counts as text, one `word count` per line, UTF-8, atomically.

        Raises:
            ArgumentError: a word is empty, holds white space or has no UTF-8 form.
            OSError: the file cannot be written.
        """
        for word in self.index_to_key:
            if not is_writable_word(word):
                expected = f"words without white space, with a UTF-8 form of at most {LONGEST_WORD:,} bytes"
                raise ArgumentError("words", expected, word)
        # Who reads the file takes U+FEFF at its start for the mark of UTF-8, and strips one.
        mark = "\ufeff" if self.index_to_key and self.index_to_key[0].startswith("\ufeff") else ""
        lines = (f"{word} {count}\n" for word, count in zip(self.index_to_key, self.counts.tolist(), strict=True))
        with atomic_write(path) as file:
            file.write((mark + "".join(lines)).encode("utf-8"))

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, encoding: str | None = None) -> "Vocabulary":
        """Read a vocabulary that `save` wrote, in the file's order; the file may be compressed and in any encoding.

        Args:
            path: the file.
            encoding: of the file, such as "latin-1"; None recognizes it.

        Raises:
            OSError: the file cannot be read.
            ValueError: a line is not `word count`; the message gives the line.
        """
        words: list[str] = []
        counts: list[int] = []
        for place, line in text_lines(path, encoding):
            try:
                word, count = line.split()
                words.append(word)
                counts.append(int(count))
            except ValueError:
                raise ValueError(f"{place}: expected 'word count', got {line[:60]!r}") from None
            if is_too_long(word):
                raise ValueError(f"{place}: expected a word of at most {LONGEST_WORD:,} bytes, it has more")
        if not words:
            raise ValueError(f"{path}: no words in it, expected 'word count' lines")
        try:
            return cls(words, counts)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}: {error}") from None


def too_few(name: str, longest: int | None = None) -> ArgumentError:
    """Return the error for a corpus without words.

    Args:
        name: of the argument that is the corpus.
        longest: maximum length of a word in bytes, where longer ones were left out.

    Example:
        >>> print(too_few("source"))
        source: expected at least one word, got none
    """
    limit = "" if longest is None else f" of at most {longest:,} bytes"
    return ArgumentError(name, f"at least one word{limit}", Verbatim("none"))


def too_rare(min_count: int, word: str, count: int) -> ArgumentError:
    """Return the error for a corpus of which even the most frequent word occurs less than `min_count` times.

    Example:
        >>> print(too_rare(5, "rose", 3))
        min_count: expected at most 3, the count of the most frequent word 'rose', got 5
    """
    return ArgumentError("min_count", f"at most {count}, the count of the most frequent word {word!r}", min_count)


def _count(sentences: Sentences) -> Counter[str]:
    if isinstance(sentences, str | os.PathLike):
        raise ArgumentTypeError("sentences", "lists of words", sentences, "for a file, pass Corpus(path)")
    counter: Counter[str] = Counter()
    for number, sentence in enumerate(sentences):
        if isinstance(sentence, str | bytes):
            raise ArgumentTypeError("sentences", "lists of words", Verbatim(f"{sentence[:40]!r} as sentence {number}"))
        try:
            counter.update(sentence)
        except TypeError as error:
            got = Verbatim(f"{type(sentence).__name__} as sentence {number}")
            raise ArgumentTypeError("sentences", "lists of words", got) from error
    return counter
