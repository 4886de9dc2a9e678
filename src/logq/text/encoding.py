"""Encoding a corpus in one pass as a vocabulary and a file of ids, and counting its words without writing anything."""

import contextlib
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim, check_int
from logq._text_encodings import check_encoding
from logq.text.corpus import Corpus
from logq.text.encoding_cache import PRIVATE, Encoding, EncodingCache, remove_private_leftovers
from logq.text.id_file import IdFile, is_in_use
from logq.text.reading import MEMORY, WordChoice, check_memory, count_lists, count_text, read_lists, read_text
from logq.text.scanning import END_OF_LINE
from logq.text.text_files import TextFile, find_text_files
from logq.text.vocabulary import Vocabulary
from logq.text.words import warn_of_odd_text

__all__ = ["EncodedCorpus", "WordCount", "count_words", "encode", "encode_ids", "split_sentences"]

_READ = 1 << 20  # ids read at a time


class EncodedCorpus:
    """A corpus as the ids of its words, in a file, with -1 after each sentence.

    Returned by `encode`. Use it in a `with` block, or close it, so that a private file is removed promptly; otherwise
    it is removed when the object is no longer used. As it holds an open file, it cannot be pickled or copied.

    Attributes:
        vocabulary: the words that the ids stand for.
        counts: (V,) int64, how often each occurs in this corpus.
        num_ids: entries in the file, including the -1 after each sentence.
        num_words: ids without these.
        num_sentences: sentences with at least one id.
        raw_words: words read, including dropped ones.
        num_types: different words read; None where a fixed vocabulary was used.
        invalid_lines: lines with bytes that are not UTF-8.
        long_words: words left out, but counted in `raw_words`, because they have more than 65,536 bytes.
        path: the file.
        reused: whether an earlier run had made it.
        held: the entries that can be read here: all of them, but for a corpus that several processes have encoded.

    Example:
        >>> with encode([["a", "rose", "is"], ["a", "rose"]], min_count=2) as corpus:
        ...     corpus.vocabulary.index_to_key, corpus.read(0, corpus.num_ids)
        (['a', 'rose'], array([ 0,  1, -1,  0,  1, -1], dtype=int32))
    """

    def __init__(self, encoding: Encoding, ids: IdFile, *, reused: bool, keep: bool, held: range | None = None) -> None:
        self.vocabulary = encoding.vocabulary
        self.counts = encoding.counts
        self.num_ids = encoding.num_ids
        self.num_sentences = encoding.num_sentences
        self.num_words = encoding.num_ids - encoding.num_sentences
        self.raw_words = encoding.raw_words
        self.num_types = encoding.num_types
        self.invalid_lines = encoding.invalid_lines
        self.long_words = encoding.long_words
        self.path = ids.path
        self.reused = reused
        self.held = range(encoding.num_ids) if held is None else held
        self._ids = ids
        self._release = weakref.finalize(self, release_ids, ids, keep, os.getpid())

    def read(self, start: int, stop: int) -> NDArray[np.int32]:
        """Return a copy of the entries in [start, stop), -1 where sentences end.

        Several threads may read at the same time. The ids are in [-1, V), whatever happened to the file.

        Raises:
            ArgumentError: not 0 <= start <= stop <= num_ids, or entries that are not `held`.
            ValueError: the file was changed by another program, or is closed.
        """
        start, stop = check_int("start", start, 0), check_int("stop", stop, 0)
        if not start <= stop <= self.num_ids:
            raise ArgumentError("stop", f"an integer from start = {start} to num_ids = {self.num_ids}", stop)
        first, last = self.held.start, self.held.stop
        if not (start == stop or first <= start <= stop <= last):
            raise ArgumentError("start", f"entries in [{first}, {last}), which this process has", start)
        ids = self._ids.read(start - first, stop - first)
        if len(ids) and not (ids.min() >= END_OF_LINE and ids.max() < len(self.vocabulary)):
            raise ValueError(
                f"{self.path}: expected ids in [-1, {len(self.vocabulary)}), but another program changed the file; "
                "remove it"
            )
        return ids

    def sentences(self, max_sentence: int = 10_000) -> Iterator[NDArray[np.int32]]:
        """Yield the ids of each sentence, in pieces of at most `max_sentence`.

        Raises:
            ValueError: as `read`.
        """
        parts = (self.read(at, min(at + _READ, self.held.stop)) for at in self.held[::_READ])
        yield from split_sentences(parts, check_int("max_sentence", max_sentence))

    def close(self) -> None:
        """Close the file, and remove it if it is private."""
        self._release()

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "EncodedCorpus: it holds an open file and cannot be pickled or copied; encode the source with cache=FOLDER "
            "where it is needed, which reuses the file"
        )

    def __enter__(self) -> "EncodedCorpus":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return self.num_ids

    def __repr__(self) -> str:
        return f"EncodedCorpus({self.num_words} words in {self.num_sentences} sentences, {self.path})"


def split_sentences(parts: Iterable[NDArray[np.int32]], longest: int) -> Iterator[NDArray[np.int32]]:
    """Yield the ids of each sentence of a text that comes in parts, in pieces of at most `longest`.

    Example:
        >>> [ids.tolist() for ids in split_sentences([np.array([1, 2]), np.array([3, -1, 4])], 2)]
        [[1, 2], [3], [4]]
    """
    rest = np.empty(0, np.int32)
    for part in parts:
        ids = np.concatenate([rest, part])
        begin = 0
        for end in np.flatnonzero(ids == END_OF_LINE).tolist():
            for place in range(begin, end, longest):
                yield ids[place : min(place + longest, end)]
            begin = end + 1
        while len(ids) - begin > longest:
            yield ids[begin : begin + longest]
            begin += longest
        rest = ids[begin:]
    if len(rest):
        yield rest


def encode(
    source: str | os.PathLike[str] | Iterable[Any],
    *,
    min_count: int = 5,
    max_vocab: int | None = None,
    vocabulary: Vocabulary | None = None,
    encoding: str | None = None,
    cache: str | os.PathLike[str] | None = None,
    threads: int = 1,
    memory: str | None = MEMORY,
    progress: bool | None = None,
) -> EncodedCorpus:
    r"""Encode a corpus in one pass: count its words, choose its vocabulary, and write its ids into a file.

    Words, sentences and vocabulary are those of `Corpus` and `Vocabulary.build`: words are separated by white space of
    any kind, each line is a sentence, invalid bytes become U+FFFD. But a line of any length is one sentence, and words
    of more than 65,536 bytes are left out and counted. A warning says of both that it happened. Memory is that of the
    words that are kept, of `memory`, and a few megabytes for each thread, however large the corpus.

    Args:
        source: a path to a file, plain or compressed (.gz, .bz2, .xz, .zst, .zip), or a list of paths; a pattern such
            as "part-*.txt.gz", with ** for folders of any depth; "-" for standard input; or lists of words, which may
            come from a generator.
        min_count: the smallest count a word is kept with.
        max_vocab: maximum number of words to keep, the most frequent; None keeps all.
        vocabulary: encode with this one, and leave out all other words; `min_count` and `max_vocab` are then ignored.
        encoding: of the files, such as "latin-1"; None recognizes UTF-8, UTF-16 and, with a warning, Latin-1.
        cache: a folder for the file, which is reused by the next run as long as the paths, sizes, modification times
            and settings stay the same. None makes a private file, which is removed with the object; so are those of
            lists of words and of pipes, which cannot be recognized.
        threads: number of threads that split text into words, while one more reads and writes; the result does not
            depend on it.
        memory: for the different words of the text while they are counted, such as "1GB", at least 64MB. What is more
            is counted in temporary files (TMPDIR), with the same result to the bit. None counts in memory.
        progress: True shows a bar, False nothing, None a bar on a terminal and lines elsewhere.

    Returns:
        The corpus as ids, open for reading.

    Raises:
        FileNotFoundError: a file is missing, or nothing matches a pattern.
        IsADirectoryError: a path is a folder.
        OSError: a file cannot be read, or the ids or words cannot be written; the message names the file.
        ArgumentTypeError: the source does not consist of lists of words.
        ArgumentError: there are no words, or none occurs `min_count` times.
        ValueError: a file is damaged or not text.
        ImportError: a file is zstd, and the extra `zstd` is not installed.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "a.txt").write_text("to be or not to be\n")
        ...     with encode(Path(folder, "*.txt"), min_count=1) as corpus:
        ...         list(corpus.sentences())
        [array([0, 1, 2, 3, 0, 1], dtype=int32)]
    """
    min_count, threads = check_int("min_count", min_count), check_int("threads", threads)
    if max_vocab is not None:
        max_vocab = check_int("max_vocab", max_vocab)
    if vocabulary is not None and not isinstance(vocabulary, Vocabulary):
        raise ArgumentTypeError("vocabulary", "a Vocabulary", Verbatim(type(vocabulary).__name__))
    lists, files, encoding = find_source(source, encoding)
    words = WordChoice(min_count, max_vocab, vocabulary, encoding, check_memory(memory))
    known = None
    if cache is not None and files is not None and all(file.size is not None for file in files):
        cuts = {"min_count": min_count, "max_vocab": max_vocab} if vocabulary is None else {}
        known = EncodingCache(Path(cache), files, {**cuts, "encoding": encoding}, vocabulary)
        if found := known.load():
            return _opened(*found, reused=True, keep=True)
        known.remove_leftovers()
    ids = new_id_file(cache, known)
    try:
        if files is None:
            encoded = read_lists(lists, ids, words, progress)
        else:
            encoded = read_text(files, ids, words, threads, progress)
        ids.finish(encoded.num_ids, durable=known is not None)
        if known is not None:
            known.save(encoded, ids)
    except BaseException:
        release_ids(ids, False, os.getpid())
        raise
    return _opened(encoded, ids, reused=False, keep=known is not None)


def _opened(encoding: Encoding, ids: IdFile, *, reused: bool, keep: bool) -> EncodedCorpus:
    try:
        warn_of_odd_text(encoding.invalid_lines, encoding.long_words)
    except UserWarning:  # where warnings are errors
        release_ids(ids, keep, os.getpid())
        raise
    return EncodedCorpus(encoding, ids, reused=reused, keep=keep)


def encode_ids(
    ids: NDArray[np.integer[Any]],  # (n,)
    offsets: NDArray[np.integer[Any]],  # (sentences + 1,)
    vocabulary: Vocabulary,
) -> EncodedCorpus:
    """Write a corpus that consists of ids already, such as the items of sessions, into a private file.

    Args:
        ids: (n,) words in [0, V), one sentence after the other.
        offsets: (sentences + 1,) where each sentence begins, and n.
        vocabulary: the words that the ids stand for; its counts may be others.

    Returns:
        The corpus, open for reading; sentences without a word are left out.

    Raises:
        ArgumentError: an id is not in the vocabulary, the offsets do not fit the ids, or there are no ids.

    Example:
        >>> words = Vocabulary(["tea", "cup"], [2, 1])
        >>> with encode_ids(np.array([0, 1, 0]), np.array([0, 2, 2, 3]), words) as corpus:
        ...     corpus.read(0, corpus.num_ids)
        array([ 0,  1, -1,  0, -1], dtype=int32)
    """
    if len(ids) == 0:
        raise ArgumentError("ids", "at least one", Verbatim("none"))
    if offsets[0] != 0 or offsets[-1] != len(ids) or (np.diff(offsets) < 0).any():
        raise ArgumentError("offsets", f"numbers that rise from 0 to {len(ids)}", Verbatim(offsets[:8]))
    wrong = (ids < 0) | (ids >= len(vocabulary))
    if wrong.any():
        where = int(wrong.argmax())
        raise ArgumentError("ids", f"words in [0, {len(vocabulary)})", Verbatim(f"{ids[where]} at position {where}"))
    file = new_id_file(None, None)
    ends = np.unique(offsets[1:][np.diff(offsets) > 0])
    try:
        for begin in range(0, len(ids), _READ):
            end = min(begin + _READ, len(ids))
            inside = ends[(ends > begin) & (ends <= end)] - begin
            file.append(np.insert(np.ascontiguousarray(ids[begin:end], dtype=np.int32), inside, END_OF_LINE))
        file.finish(len(ids) + len(ends))
    except BaseException:
        release_ids(file, False, os.getpid())
        raise
    counts = np.bincount(ids, minlength=len(vocabulary))
    encoding = Encoding(vocabulary, counts, len(ids) + len(ends), len(ends), len(ids), None, 0, 0)
    return EncodedCorpus(encoding, file, reused=False, keep=False)


def find_source(source: Any, encoding: str | None) -> tuple[Any, list[TextFile] | None, str | None]:
    """Return a source, the files that it names, if it names any, and their encoding, if that is known."""
    encoding = check_encoding(encoding)
    if isinstance(source, Corpus) and source.paths is not None:
        encoding = source.encoding if encoding is None else encoding
        source = list(source.paths)
    return source, find_text_files(source), encoding


def new_id_file(cache: str | os.PathLike[str] | None, known: EncodingCache | None) -> IdFile:
    """Return a new file of ids: in the folder of a cache, or a private one; see `release_ids`."""
    if known is not None:
        return IdFile.create(known.folder, known.key)
    if cache is not None:
        os.makedirs(cache, exist_ok=True)
        for leftover in Path(cache).glob("once-*.ids"):  # of a program that was killed
            if not is_in_use(leftover):
                leftover.unlink(missing_ok=True)
        return IdFile.create(Path(cache), "once")
    remove_private_leftovers()
    folder = Path(tempfile.mkdtemp(prefix=PRIVATE))
    try:
        return IdFile.create(folder, "private")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def release_ids(ids: IdFile, keep: bool, process: int) -> None:
    """Close a file of ids, and remove it unless it is to be kept, or belongs to another process."""
    if keep or os.getpid() != process:  # a forked child has the object too, but does not own the file
        ids.close()
        return
    ids.discard()
    if ids.path.parent.name.startswith(PRIVATE):
        with contextlib.suppress(OSError):
            ids.path.parent.rmdir()


class WordCount(NamedTuple):
    """The words of a corpus.

    Attributes:
        vocabulary: the words kept, most frequent first; its `raw_words` counts all that were read.
        num_types: different words, including those not kept.
        invalid_lines: lines with bytes that are not UTF-8.
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
    encoding: str | None = None,
    threads: int = 1,
    memory: str | None = MEMORY,
    progress: bool | None = None,
) -> WordCount:
    """Count the words of a corpus and choose its vocabulary, in one pass and without writing ids.

    Args:
        source: as for `encode`, like all others.
        min_count: the smallest count a word is kept with.
        max_vocab: maximum number of words to keep; None keeps all.
        encoding: of the files; None recognizes it.
        threads: number of threads that split text into words.
        memory: for different words while they are counted; what is more is counted in temporary files.
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
    lists, files, encoding = find_source(source, encoding)
    words = WordChoice(check_int("min_count", min_count), max_vocab, encoding=encoding, memory=check_memory(memory))
    counted = count_lists(lists, words, progress) if files is None else count_text(files, words, threads, progress)
    assert counted.num_types is not None  # no vocabulary was given
    warn_of_odd_text(counted.invalid_lines, counted.long_words)
    return WordCount(counted.vocabulary, counted.num_types, counted.invalid_lines, counted.long_words)
