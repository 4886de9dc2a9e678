"""A text that several processes encode together: each its part, with one vocabulary, and the part that it trains on."""

import os
import time
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import torch

from logq._arguments import ArgumentError
from logq.process_start import all_or_none, check_same
from logq.processes import add_up, all_counts, exchange, world
from logq.text.encoding import EncodedCorpus, count_words, encode, find_source, new_id_file, release_ids
from logq.text.encoding_cache import Encoding
from logq.text.file_parts import divide_files
from logq.text.id_file import IdFile
from logq.text.reading import WordChoice, scan_text
from logq.text.scanning import TextScan
from logq.text.text_files import TextFile
from logq.text.vocabulary import Vocabulary
from logq.text.word_ranking import renumber
from logq.text.words import warn_of_odd_text
from logq.training.interrupts import stop_requests
from logq.word2vec.joint_words import rank_together

__all__ = ["count_together", "encode_together", "share_of"]

T = TypeVar("T")

CHUNK = 1 << 20
"""Ids that a process sends at a time."""

SECONDS = 2.0
"""How often processes look at each other while each reads its part."""


def share_of(num_ids: int, rank: int, size: int) -> range:
    """The entries of a corpus that one of several processes trains on.

    Example:
        >>> [share_of(10, rank, 3) for rank in range(3)]
        [range(0, 3), range(3, 6), range(6, 10)]
    """
    return range(num_ids * rank // size, num_ids * (rank + 1) // size)


def encode_together(
    source: Any,
    *,
    min_count: int = 5,
    max_vocab: int | None = None,
    vocabulary: Vocabulary | None = None,
    encoding: str | None = None,
    threads: int = 1,
    progress: bool | None = None,
    around: int = 0,
) -> EncodedCorpus:
    r"""Encode a corpus by all processes, each its part of the files, as `logq.text.encode` would in one.

    Vocabulary, counts and ids are those of one process, bit for bit. Of the ids each process keeps in a private file
    those of its share, whatever it read: one of equal length. Words and ids travel in pieces of some megabytes.

    Args:
        source: paths and patterns as for `encode`, the same files in all processes; or lists of words, which all have
            and each reads for itself.
        min_count: the smallest count a word is kept with.
        max_vocab: maximum number of words to keep.
        vocabulary: the words to keep instead, the same in all processes.
        encoding: of the files; None recognizes it.
        threads: number of threads that split text into words.
        progress: as for `encode`.
        around: how many entries before and behind its share each process keeps besides.

    Raises:
        OSError, ValueError: as `encode`, in all processes if in one.
        ArgumentError: the source is a pipe, or processes find other files.

    Example:
        >>> encode_together([["a", "rose", "is"], ["a", "rose"]], min_count=2).held
        range(0, 6)
    """
    lists, files, encoding = _found(source, encoding)
    if files is None:
        cuts: dict[str, Any] = {"min_count": min_count, "max_vocab": max_vocab, "vocabulary": vocabulary}
        return all_or_none(lambda: encode(lists, **cuts, progress=progress))
    words = WordChoice(min_count, max_vocab, vocabulary, encoding)
    ids = new_id_file(None, None)
    try:
        scan = _scanned(files, ids, words, threads, progress)
        if vocabulary is None:
            ranking = rank_together(scan, min_count, max_vocab)
            num_ids, num_lines = renumber(ids, scan.pieces, ranking.numbers, progress)
            chosen, counts, num_types = ranking.vocabulary, ranking.vocabulary.counts, ranking.num_types
            raw_words = chosen.raw_words
        else:
            num_ids, num_lines = sum(piece.num_ids for piece in scan.pieces), scan.num_lines
            of_all = torch.from_numpy(np.sum([table.counts() for table in scan.tables], axis=0))
            add_up(of_all, "add up counts of words")
            chosen, counts, num_types = vocabulary, of_all.numpy(), None
            raw_words = sum(all_counts(scan.raw_words))
        every = all_counts(num_ids)
        wanted = [_held(sum(every), rank, around) for rank in range(world().size)]
        kept = _moved(ids, every, wanted)
    finally:
        release_ids(ids, False, os.getpid())
    encoded = Encoding(
        chosen,
        counts,
        sum(every),
        sum(all_counts(num_lines)),
        raw_words,
        num_types,
        sum(all_counts(scan.invalid_lines)),
        sum(all_counts(scan.long_words)),
    )
    corpus = EncodedCorpus(encoded, kept, reused=False, keep=False, held=wanted[world().rank])
    if world().is_first:
        warn_of_odd_text(encoded.invalid_lines, encoded.long_words)
    return corpus


def count_together(
    source: Any, *, encoding: str | None = None, threads: int = 1, progress: bool | None = None
) -> Vocabulary:
    """Return all words of a corpus, each process having read its part, as `count_words` would in one.

    Args:
        source: as for `encode_together`, like all others.
        encoding: of the files; None recognizes it.
        threads: number of threads that split text into words.
        progress: as for `encode`.

    Raises:
        OSError, ValueError, ArgumentError: as `encode_together`.

    Example:
        >>> count_together([["a", "rose", "is"], ["a", "rose"]]).index_to_key
        ['a', 'rose', 'is']
    """
    lists, files, encoding = _found(source, encoding)
    if files is None:
        return all_or_none(lambda: count_words(lists, min_count=1, progress=progress).vocabulary)
    scan = _scanned(files, None, WordChoice(1, None, encoding=encoding), threads, progress)
    return rank_together(scan, 1, None).vocabulary


def _found(source: Any, encoding: str | None) -> tuple[Any, list[TextFile] | None, str | None]:
    """The source, its files and their encoding, the same in all processes."""
    lists, files, encoding = all_or_none(lambda: find_source(source, encoding))
    for file in files or ():
        if file.size is None:
            hint = "write it to a file that all processes can read"
            raise ArgumentError("source", "files, as several processes train", file.name, hint)
    if files is not None:
        check_same({"source": [[os.path.basename(file.name), file.size] for file in files]})
    return lists, files, encoding


def _scanned(
    files: list[TextFile], ids: IdFile | None, words: WordChoice, threads: int, progress: bool | None
) -> TextScan:
    """The scan of the part of this process."""
    scan = _scan_parts(files, ids, words, threads, progress, cut=True)
    if words.encoding is None and any(all_counts(scan.invalid_lines)):
        # What is not UTF-8 in the middle of a file may be the first sign that it is Latin-1: see all of it.
        if ids is not None:
            ids.rewind()
        scan = _scan_parts(files, ids, words, threads, progress, cut=False)
    return scan


def _scan_parts(
    files: list[TextFile], ids: IdFile | None, words: WordChoice, threads: int, progress: bool | None, *, cut: bool
) -> TextScan:
    there = world()

    def scan(look: Callable[[], None]) -> TextScan:
        own = divide_files(files, there.size, words.encoding, cut=cut)[there.rank]
        return scan_text(own, ids, words, threads, progress, after_each=look)

    return _in_company(scan)


class _ElsewhereError(Exception):
    """Another process has failed, or was asked to stop."""


def _in_company(work: Callable[[Callable[[], None]], T]) -> T:
    """What work returns that takes each process a time of its own: all wait for the last one, and stop if one fails.

    Args:
        work: gets a function to be called every now and then.

    Raises:
        Exception: what `work` raised, or another process: see logq.process_start.all_or_none.
        KeyboardInterrupt: one of them was asked to stop.
    """
    failure: BaseException | None = None
    found: Any = None
    next_look = time.monotonic()

    def meet(*, busy: bool, failed: bool = False) -> tuple[int, int]:
        told = torch.tensor([int(busy), int(failed), int(bool(request))])
        add_up(told, "read the text")
        if told[2] > 0:
            raise KeyboardInterrupt
        return int(told[0]), int(told[1])

    def look() -> None:
        nonlocal next_look
        if time.monotonic() >= next_look:
            if meet(busy=True)[1]:
                raise _ElsewhereError
            next_look = time.monotonic() + SECONDS

    with stop_requests() as request:
        try:
            found = work(look)
        except (_ElsewhereError, KeyboardInterrupt) as error:
            failure = error
        except Exception as error:
            failure = error
            meet(busy=False, failed=True)
        else:
            while (others := meet(busy=False))[0] and not others[1]:
                pass
    if isinstance(failure, KeyboardInterrupt):
        raise failure  # all of them do

    def outcome() -> Any:
        if failure is not None and not isinstance(failure, _ElsewhereError):
            raise failure
        return found

    return all_or_none(outcome)


def _held(num_ids: int, rank: int, around: int) -> range:
    """The entries that a process keeps: its share, and some on both sides."""
    share = share_of(num_ids, rank, world().size)
    return range(max(0, share.start - around), min(num_ids, share.stop + around))


def _moved(ids: IdFile, counts: list[int], wanted: list[range]) -> IdFile:
    """A file of the ids that this process wants, from those that each process has written."""
    there = world()
    begins = np.cumsum(counts) - counts
    own = wanted[there.rank]
    kept = new_id_file(None, None)
    try:
        for at in range(0, max(counts), CHUNK):
            pieces = [
                range(begin + min(at, count), begin + min(at + CHUNK, count))
                for begin, count in zip(begins.tolist(), counts, strict=True)
            ]
            here = pieces[there.rank]
            for_each = [_common(here, one) for one in wanted]
            from_each = [_common(piece, own) for piece in pieces]
            first = int(begins[there.rank])
            sent = np.concatenate([ids.read(one.start - first, one.stop - first) for one in for_each])
            got = exchange(torch.from_numpy(sent), [*map(len, for_each)], [*map(len, from_each)]).numpy()
            place = 0
            for part in from_each:
                kept.replace(part.start - own.start, got[place : place + len(part)])
                place += len(part)
        kept.finish(len(own))
    except BaseException:
        release_ids(kept, False, os.getpid())
        raise
    return kept


def _common(one: range, other: range) -> range:
    start = max(one.start, other.start)
    return range(start, max(start, min(one.stop, other.stop)))
