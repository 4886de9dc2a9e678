"""Counting words without encoding them: the vocabulary of a corpus, and what of the corpus it covers."""

import os
from collections.abc import Iterable
from typing import Any, NamedTuple, cast

from logq.arguments import check_int
from logq.data.text.corpus import Corpus
from logq.data.text.reading import Wanted, count_lists, count_text
from logq.data.text.text_files import find_text_files
from logq.data.text.vocabulary import Vocabulary

__all__ = ["WordCount", "count_words"]


class WordCount(NamedTuple):
    """The words of a corpus.

    Attributes:
        vocabulary: the words kept, most frequent first; its `raw_words` are all that were read.
        num_types: different words, also those not kept.
        invalid_lines: lines with bytes that are no UTF-8.
        long_words: words left out because they have more than 65,536 bytes.

    Example:
        >>> count_words([["a", "rose", "is", "a", "rose"]], min_count=2).num_types
        3
    """

    vocabulary: Vocabulary
    num_types: int
    invalid_lines: int
    long_words: int


def count_words(
    source: str | os.PathLike[str] | Iterable[Any],
    *,
    min_count: int = 5,
    max_vocab: int | None = None,
    threads: int = 1,
    progress: bool | None = None,
) -> WordCount:
    """Count the words of a corpus and choose its vocabulary, in one pass and without writing anything.

    Args:
        source: as for `encode`, and so are all others.
        min_count: the smallest count a word is kept with.
        max_vocab: the most words to keep; None keeps all.
        threads: how many split text into words.
        progress: True shows a bar, False nothing, None a bar on a terminal and lines elsewhere.

    Returns:
        The vocabulary that `encode` would choose.

    Raises:
        OSError, TypeError, ValueError, ImportError: as `encode`.

    Example:
        >>> count_words([["a", "rose", "is", "a", "rose"]], min_count=2).vocabulary.index_to_key
        ['a', 'rose']
    """
    threads = check_int("threads", threads)
    if max_vocab is not None:
        max_vocab = check_int("max_vocab", max_vocab)
    wanted = Wanted(check_int("min_count", min_count), max_vocab)
    if isinstance(source, Corpus) and source.paths is not None:
        source = list(source.paths)
    files = find_text_files(source)
    if files is None:
        counted = count_lists(cast("Iterable[Any]", source), wanted, progress)
    else:
        counted = count_text(files, wanted, threads, progress)
    assert counted.num_types is not None  # there was no vocabulary before
    return WordCount(counted.vocabulary, counted.num_types, counted.invalid_lines, counted.long_words)
