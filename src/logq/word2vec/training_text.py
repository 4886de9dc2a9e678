"""The text that a fit reads: encoded, with new words where a model continues learning."""

import os
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from typing import Any

import numpy as np

from logq._arguments import ArgumentError, Verbatim
from logq.text import EncodedCorpus, Vocabulary, count_words, encode
from logq.word2vec.word2vec_config import Word2VecConfig, available_cores

__all__ = ["grown_vocabulary", "training_text"]


def training_text(
    source: str | os.PathLike[str] | Iterable[Any] | EncodedCorpus,
    settings: Word2VecConfig,
    *,
    known: Vocabulary | None = None,
    new_words: bool = True,
    encoding: str | None = None,
    cache: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
) -> AbstractContextManager[EncodedCorpus]:
    """Return a context with the encoded text, which is closed at its end unless `source` was encoded already.

    Args:
        source: see Word2Vec.fit.
        settings: of which min_count and max_vocab are used.
        known: the words of a model that continues learning; None for a new one.
        new_words: whether further words of the text are added to those known.
        encoding: of the files; None recognizes it.
        cache: a folder for the encoded text, see logq.text.encode.
        progress: whether it is shown.

    Raises:
        OSError, ArgumentTypeError: the text cannot be read, or is none.
        ArgumentError: there are no words in it, none that occurs min_count times, or none but known ones can be
            learned and `new_words` asks for others.

    Example:
        >>> with training_text([["a", "rose"]], Word2VecConfig(min_count=1)) as corpus:
        ...     corpus.vocabulary.index_to_key
        ['a', 'rose']
    """
    if isinstance(source, EncodedCorpus):
        if known is not None and source.vocabulary.index_to_key != known.index_to_key:
            raise ArgumentError(
                "source", "an encoded corpus of the words that the model has learned", Verbatim("one of other words")
            )
        return nullcontext(source)
    options: dict[str, Any] = {"encoding": encoding, "cache": cache, "threads": available_cores(), "progress": progress}
    if known is None:
        return closing(encode(source, min_count=settings.min_count, max_vocab=settings.max_vocab, **options))
    if not new_words:
        return closing(encode(source, vocabulary=known, **options))
    if settings.hs:
        raise ArgumentError("new_words", "False", True, "the tree of hierarchical softmax cannot grow")
    if isinstance(source, Iterator):  # read twice below, which this can't be
        with closing(encode(source, min_count=1, **options)) as kept:
            return closing(_encode_grown(_DecodedSentences(kept), settings, known, options))
    return closing(_encode_grown(source, settings, known, options))


def _encode_grown(source: Any, settings: Word2VecConfig, known: Vocabulary, options: dict[str, Any]) -> EncodedCorpus:
    counting = {name: value for name, value in options.items() if name != "cache"}
    counted = count_words(source, min_count=1, **counting).vocabulary
    vocabulary = grown_vocabulary(known, counted, min_count=settings.min_count, max_vocab=settings.max_vocab)
    return encode(source, vocabulary=vocabulary, **options)


def grown_vocabulary(known: Vocabulary, new: Vocabulary, *, min_count: int, max_vocab: int | None = None) -> Vocabulary:
    """Return the known words and those of a new text, most frequent first, with the counts of both added up.

    Every known word stays, however rare it is.

    Args:
        known: the words so far.
        new: all words of the new text.
        min_count: minimum count there of an unknown word that is added.
        max_vocab: maximum number of words in all, unless more are known.

    Example:
        >>> grown = grown_vocabulary(Vocabulary(["a", "b"], [4, 3]), Vocabulary(["b", "c"], [2, 1]), min_count=1)
        >>> grown.index_to_key, grown.counts.tolist()
        (['b', 'a', 'c'], [5, 4, 1])
    """
    counts = dict(zip(known.index_to_key, known.counts.tolist(), strict=True))
    left = float("inf") if max_vocab is None else max_vocab - len(known)
    for word, count in zip(new.index_to_key, new.counts.tolist(), strict=True):
        if word in counts:
            counts[word] += count
        elif left > 0 and count >= min_count:
            counts[word] = count
            left -= 1
    words = list(counts)
    values = np.array([counts[word] for word in words], dtype=np.int64)
    order = np.argsort(-values, kind="stable")
    return Vocabulary([words[index] for index in order], values[order], raw_words=known.raw_words + new.raw_words)


class _DecodedSentences:
    """The sentences of an encoded corpus as words again."""

    def __init__(self, corpus: EncodedCorpus) -> None:
        self._corpus = corpus

    def __iter__(self) -> Iterator[list[str]]:
        words = self._corpus.vocabulary.index_to_key
        for ids in self._corpus.sentences():
            yield [words[number] for number in ids.tolist()]
