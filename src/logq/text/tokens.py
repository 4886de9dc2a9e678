"""Tokens: a text as language models see it, with <unk> for rare words and </s> after each line."""

import os
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

import numpy as np

from logq._arguments import ArgumentError, check_int
from logq.text.encoding import EncodedCorpus, encode
from logq.text.id_file import Ids32
from logq.text.vocabulary import Vocabulary, too_rare

__all__ = ["END", "UNKNOWN", "Tokens", "read_tokens"]

END = "</s>"
"""The token at the end of each line."""

UNKNOWN = "<unk>"
"""The token that stands for all words that are not in the vocabulary."""

_BLOCK = 1 << 20  # tokens


class Tokens:
    """A text as ids of tokens, in a file; END and UNKNOWN are in its vocabulary.

    Returned by `read_tokens`. Use it in a `with` block, or close it, so that the file is removed promptly. As it holds
    an open file, it cannot be pickled or copied.

    Attributes:
        vocabulary: the words, most frequent first, END and UNKNOWN among them.
        counts: (V,) int64, how often each token occurs in this text.
        end, unknown: the ids of END and UNKNOWN.
        num_types: different words in this text, before rare ones became UNKNOWN.
        num_sentences: lines with a word in them.
        num_unknown: tokens that are UNKNOWN, including those that the text itself writes as <unk>.

    Example:
        >>> with read_tokens([["a", "rose"], ["a"]]) as tokens:
        ...     [tokens.vocabulary.index_to_key[i] for i in tokens.read(0, len(tokens))]
        ['a', 'rose', '</s>', 'a', '</s>']
    """

    def __init__(self, corpus: EncodedCorpus, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.end, self.unknown = (vocabulary.key_to_index[token] for token in (END, UNKNOWN))
        self.num_types = len(corpus.vocabulary)
        self.num_sentences = corpus.num_sentences
        self._corpus = corpus
        ids = vocabulary.key_to_index
        self._ids = np.fromiter((ids.get(word, self.unknown) for word in corpus.vocabulary.index_to_key), np.int32)
        self._ids = np.append(self._ids, np.int32(self.end))  # at index -1
        self.counts = np.bincount(self._ids[:-1], corpus.counts, minlength=len(vocabulary)).astype(np.int64)
        self.counts[self.end] += corpus.num_sentences
        self.num_unknown = int(self.counts[self.unknown])

    def read(self, start: int, stop: int) -> Ids32:
        """Return a copy of the tokens in [start, stop).

        Raises:
            ArgumentError: not 0 <= start <= stop <= len(self).
            ValueError: the file was changed by another program, or is closed.
        """
        return self._ids[self._corpus.read(start, stop)]

    def blocks(self, size: int = _BLOCK) -> Iterator[Ids32]:
        """Yield all tokens, `size` at a time."""
        check_int("size", size)
        return (self.read(at, min(at + size, len(self))) for at in range(0, len(self), size))

    def close(self) -> None:
        """Close the file, and remove it if it is private."""
        self._corpus.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "Tokens: it holds an open file and cannot be pickled or copied; read the source with cache=FOLDER where it "
            "is needed, which reuses the file"
        )

    def __enter__(self) -> "Tokens":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return self._corpus.num_ids

    def __repr__(self) -> str:
        return f"Tokens({len(self)} tokens in {self.num_sentences} lines, {len(self.vocabulary)} different)"


def read_tokens(
    source: str | os.PathLike[str] | Iterable[Any],
    *,
    vocabulary: Vocabulary | None = None,
    min_count: int = 1,
    max_vocab: int | None = None,
    encoding: str | None = None,
    cache: str | os.PathLike[str] | None = None,
    threads: int = 1,
    progress: bool | None = None,
) -> Tokens:
    """Read a text for a language model, in one pass and with the memory of its different words.

    Args:
        source: as for `encode`: files, also compressed, patterns, "-", or lists of words. Words are separated by
            white space; lines without a word do not count.
        vocabulary: that of another text, such as the one a model was trained on, with END and UNKNOWN in it; None makes
            one.
        min_count: words that are rarer become UNKNOWN.
        max_vocab: maximum number of tokens to keep, END and UNKNOWN among them; None keeps all.
        encoding: of the files, as for `encode`; None recognizes it.
        cache: as for `encode`, like the next two.
        threads: number of threads that split text into words.
        progress: whether to show a bar.

    Returns:
        The tokens. In a vocabulary that was made, UNKNOWN counts 1 where no word became it.

    Raises:
        OSError, TypeError, ValueError, ImportError: as `encode`.
        ArgumentError: `vocabulary` lacks END or UNKNOWN, or `max_vocab` is below 3.

    Example:
        >>> with read_tokens([["so", "far", "so", "good"]], max_vocab=3) as tokens:
        ...     tokens.vocabulary.index_to_key, tokens.num_unknown
        (['so', '<unk>', '</s>'], 2)
    """
    min_count = check_int("min_count", min_count)
    if max_vocab is not None and check_int("max_vocab", max_vocab) < 3:
        raise ArgumentError("max_vocab", f"at least 3, {END}, {UNKNOWN} and a word", max_vocab)
    if vocabulary is not None:
        for token in (END, UNKNOWN):
            if token not in vocabulary:
                raise ArgumentError("vocabulary", f"one with {token} in it, such as read_tokens makes", vocabulary)
    corpus = encode(source, min_count=1, encoding=encoding, cache=cache, threads=threads, progress=progress)
    try:
        return Tokens(corpus, vocabulary or _vocabulary(corpus, min_count, max_vocab))
    except BaseException:
        corpus.close()
        raise


def _vocabulary(corpus: EncodedCorpus, min_count: int, max_vocab: int | None) -> Vocabulary:
    counts = dict(zip(corpus.vocabulary.index_to_key, corpus.counts.tolist(), strict=True))
    special = {END: counts.pop(END, 0) + corpus.num_sentences, UNKNOWN: counts.pop(UNKNOWN, 0)}
    kept = {word: count for word, count in counts.items() if count >= min_count}
    if not kept and counts:
        raise too_rare(min_count, *next(iter(counts.items())))
    if max_vocab is not None:
        kept = dict(list(kept.items())[: max_vocab - 2])
    special[UNKNOWN] = max(1, special[UNKNOWN] + sum(counts.values()) - sum(kept.values()))
    ranked = sorted({**kept, **special}.items(), key=lambda item: -item[1])  # keeps the order of equals
    return Vocabulary([word for word, _ in ranked], [count for _, count in ranked])
