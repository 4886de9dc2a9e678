"""Encoding gives the words, sentences and vocabulary of Corpus and Vocabulary.build, as ids in a file."""

import errno
import gc
import gzip
import io
import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logq import ArgumentError, KeyedVectors, Word2Vec, _compression
from logq._compression import compression_of
from logq._text_encodings import Utf8Pieces
from logq.text import (
    Corpus,
    Phrases,
    Vocabulary,
    count_words,
    encode,
    encoding,
    id_file,
    read_tokens,
    reading,
    scanning,
    spilled_words,
)

SPACES = [chr(code) for code in range(sys.maxunicode + 1) if chr(code).isspace()]
PIECES = st.one_of(
    st.sampled_from([b"\n", b" ", b"a", b"b", b"rose", b"to", b"be", b"\r\n", b"\x00", b"seventeen letters"]),
    st.sampled_from([space.encode() for space in SPACES]),
    st.sampled_from(
        [b"\xff", b"\xc2", b"\xe2\x80", b"\xe3", b"\xed\xa0\x80", b"\xf0\x9f\x98", b"\x80", b"\xef\xbb\xbf"]
    ),
    st.text(min_size=1, max_size=3).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.binary(max_size=6),
)
TEXTS = st.lists(PIECES, max_size=50).map(b"".join)


@pytest.fixture
def small_blocks(monkeypatch):
    def make(block, read=1):
        monkeypatch.setattr(scanning, "_BLOCK", block)
        monkeypatch.setattr(_compression, "_READ", read)
        monkeypatch.setattr(encoding, "_READ", 7)

    return make


def write(folder, *contents, endings=(".txt",)):
    paths = []
    for number, content in enumerate(contents):
        paths.append(Path(folder, f"{number}{endings[number % len(endings)]}"))
        paths[-1].write_bytes(gzip.compress(content) if paths[-1].suffix == ".gz" else content)
    return paths


def words_of(corpus, max_sentence=10**9):
    return [[corpus.vocabulary.index_to_key[i] for i in ids] for ids in corpus.sentences(max_sentence)]


def is_text(content):
    try:
        return not compression_of(content) and b"".join(Utf8Pieces("", [content])) == content
    except ValueError:
        return False


def error_of(work):
    try:
        work()
    except ValueError as error:
        return str(error)
    return ""


def assert_same_as_corpus(paths, corpus, min_count, max_vocab):
    reference = Corpus(paths, max_sentence=10**9)
    sentences = list(reference)
    vocabulary = Vocabulary.build(sentences, min_count, max_vocab)
    assert corpus.vocabulary.index_to_key == vocabulary.index_to_key
    assert corpus.vocabulary.counts.tolist() == corpus.counts.tolist() == vocabulary.counts.tolist()
    assert corpus.raw_words == corpus.vocabulary.raw_words == vocabulary.raw_words
    assert corpus.num_types == len({word for sentence in sentences for word in sentence})
    kept = [[word for word in sentence if word in vocabulary] for sentence in sentences]
    kept = [sentence for sentence in kept if sentence]
    assert words_of(corpus) == kept
    assert corpus.invalid_lines == reference.invalid_lines
    assert corpus.num_sentences == len(kept)
    assert corpus.num_words == sum(map(len, kept)) == vocabulary.total
    assert corpus.num_ids == corpus.num_words + corpus.num_sentences == corpus.path.stat().st_size / 4


@settings(max_examples=300)
@pytest.mark.filterwarnings("ignore:.*bytes that are not UTF-8:UserWarning")
@given(
    st.lists(TEXTS.filter(is_text), min_size=1, max_size=3),
    st.integers(1, 12),
    st.integers(1, 9),
    st.sampled_from([1, 1, 2, 3]),
    st.integers(1, 3),
    st.none() | st.integers(1, 6),
    st.sampled_from([None, None, 1, 400]),
)
def test_any_bytes_in_any_blocks_give_what_corpus_and_vocabulary_give(
    contents, block, read, threads, min_count, max_vocab, bytes_of_a_word
):
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        options = {"min_count": min_count, "max_vocab": max_vocab, "threads": threads}
        if bytes_of_a_word is not None:
            options["memory"] = tiny_memory(patch, bytes_of_a_word)
        patch.setattr(scanning, "_BLOCK", block)
        patch.setattr(_compression, "_READ", read)
        patch.setattr(encoding, "_READ", 5)
        paths = write(folder, *contents)
        wrong = error_of(lambda: Vocabulary.build(Corpus(paths), min_count, max_vocab))
        if wrong:
            wrong = wrong.replace("sentences: ", "source: ")
            assert error_of(lambda: encode(paths, **options)) == wrong
            return
        with encode(paths, **options) as corpus:
            assert_same_as_corpus(paths, corpus, min_count, max_vocab)
        counted = count_words(paths, **options)
        assert (counted.vocabulary.index_to_key, counted.num_types) == (
            corpus.vocabulary.index_to_key,
            corpus.num_types,
        )


def tiny_memory(patch, bytes_of_a_word=400):
    """Let tables of two words, or of a few bytes, be written to disk, in three buckets."""
    patch.setattr(reading, "_LEAST_MEMORY", 1)
    patch.setattr(spilled_words, "_BUCKETS", 3)
    patch.setattr(scanning, "BYTES_OF_A_WORD", bytes_of_a_word)
    patch.setattr(scanning, "_BYTES_OF_A_STRING", bytes_of_a_word)
    return "1kB" if bytes_of_a_word > 1 else "0.01kB"


@settings(deadline=None)
@given(
    st.lists(st.lists(st.text("ab é", max_size=2), max_size=6), max_size=6),
    st.integers(1, 3),
    st.none() | st.integers(1, 4),
)
def test_lists_with_more_words_than_memory_give_what_a_vocabulary_gives(sentences, min_count, max_vocab):
    with pytest.MonkeyPatch.context() as patch:
        options = {"min_count": min_count, "max_vocab": max_vocab, "memory": tiny_memory(patch)}
        patch.setattr(scanning, "_BUFFER", 3)
        wrong = error_of(lambda: Vocabulary.build(sentences, min_count, max_vocab))
        if wrong:
            assert error_of(lambda: encode(sentences, **options)) == wrong.replace("sentences: ", "source: ")
            return
        expected = Vocabulary.build(sentences, min_count, max_vocab)
        with encode(iter(sentences), **options) as corpus:
            assert corpus.vocabulary.index_to_key == expected.index_to_key
            assert corpus.vocabulary.counts.tolist() == corpus.counts.tolist() == expected.counts.tolist()
            assert corpus.raw_words == expected.raw_words
            assert words_of(corpus) == [kept for s in sentences if (kept := [word for word in s if word in expected])]
        assert count_words(sentences, **options).num_types == len({word for s in sentences for word in s})


def test_what_is_counted_on_disk_needs_the_memory_of_one_table(tmp_path, monkeypatch):
    path = tmp_path / "text.txt"
    rng = np.random.default_rng(0)
    path.write_text("\n".join(" ".join(map(str, rng.integers(0, 1 << 40, 50))) + " often" for _ in range(3000)))
    longest, of_disk = [], []
    added = spilled_words.SpilledWords.add

    def add(self, number, table, counts):
        longest.append(len(table))
        added(self, number, table, counts)

    monkeypatch.setattr(scanning, "_BLOCK", 1 << 14)
    monkeypatch.setattr(_compression, "_READ", 1 << 14)
    monkeypatch.setattr(reading, "_LEAST_MEMORY", 1)
    monkeypatch.setattr(spilled_words.SpilledWords, "add", add)
    expected = count_words(path, min_count=1, max_vocab=1000, threads=2)
    assert not longest
    for threads in (1, 2):
        longest.clear()
        found = count_words(path, min_count=1, max_vocab=1000, threads=threads, memory="1MB")
        assert found.num_types == expected.num_types > 140_000
        assert found.vocabulary.index_to_key == expected.vocabulary.index_to_key
        assert found.vocabulary.counts.tolist() == expected.vocabulary.counts.tolist()
        of_disk.append(max(longest) * threads)
    assert max(of_disk) < 1_000_000 / spilled_words.BYTES_OF_A_WORD + 2 * (1 << 14) / 12


def test_a_size_of_memory_is_checked(tmp_path):
    (tmp_path / "a").write_text("to be")
    for wrong in ("1", "much", 3):
        with pytest.raises(ArgumentError, match=r"^memory: expected a size such as 1GB, got "):
            count_words(tmp_path / "a", memory=wrong)
    with pytest.raises(ArgumentError, match=r"^memory: expected at least 64MB, got '1MB'"):
        encode(tmp_path / "a", memory="1MB")


def test_a_full_disk_is_said_of_words(tmp_path, monkeypatch):
    (tmp_path / "a").write_text("to be or not to be")
    with monkeypatch.context() as patch:
        options = {"min_count": 1, "memory": tiny_memory(patch)}

        class Full:
            closed = False

            def seek(self, place):
                pass

            def write(self, data):
                raise OSError(28, "No space left on device")

            def close(self):
                pass

        patch.setattr("logq.text.disk_columns.tempfile.TemporaryFile", lambda **_: Full())
        with pytest.raises(OSError, match="no space left for the files of words"):
            count_words(tmp_path / "a", **options)


@given(TEXTS, st.integers(1, 12), st.integers(1, 6), st.sampled_from([1, 2]))
def test_over_long_words_are_left_out_and_nothing_else(content, block, longest, threads):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scanning, "_BLOCK", block)
        pieces = [content[place : place + 2] for place in range(0, len(content), 2)]
        blocks = list(scanning.cut_blocks([*pieces, b"\n"], longest_word=longest))
    assert b"".join(block.text for block in blocks) == content + b"\n"
    assert max(len(each.text) for each in blocks) <= block + 2 * longest + 4
    scan = encoding_scan(blocks, longest, threads)
    text = content.decode("utf-8", "surrogateescape")
    words = [word.encode("utf-8", "surrogateescape") for word in text.split()]
    assert scan.raw_words == len(words)
    assert scan.long_words == sum(len(word) > longest for word in words)
    lines = [line.encode("utf-8", "surrogateescape") for line in text.split("\n")]
    assert scan.invalid_lines == sum(line.decode("utf-8", "replace").encode() != line for line in lines)
    assert sum(table.counts().sum() for table in scan.tables) == sum(len(word) <= longest for word in words)


def encoding_scan(blocks, longest, threads):
    from logq.text.scanning import TextScan

    scan = TextScan(None, threads, longest_word=longest)
    assert sum(scan.run(blocks)) == scan.raw_words
    return scan


def test_the_result_does_not_depend_on_the_number_of_threads(tmp_path, small_blocks):
    rng = np.random.default_rng(0)
    words = (rng.zipf(1.3, 60_000) % 5000).tolist()
    path = tmp_path / "text.txt"
    path.write_text("".join(f"{word}{' ' if word % 11 else chr(10)}" for word in words))
    small_blocks(1000, 1000)
    results = []
    for threads in (1, 2, 3, 8):
        with encode(path, threads=threads, min_count=2) as corpus:
            results.append(
                (corpus.vocabulary.index_to_key, corpus.read(0, corpus.num_ids).tolist(), corpus.counts.tolist())
            )
    assert all(result == results[0] for result in results)
    with encode(path, threads=3, min_count=2) as corpus:
        assert_same_as_corpus([path], corpus, 2, None)


def test_a_fixed_vocabulary_gives_its_own_ids_and_the_counts_of_this_text(tmp_path, small_blocks):
    small_blocks(5)
    path = tmp_path / "text.txt"
    path.write_text("to be or not\nor or\n\nto be é\n")
    vocabulary = Vocabulary(["be", "é", "New York", "to", "\ud800"], [9, 8, 7, 6, 5])
    for source in (path, [line.split() for line in path.read_text().split("\n")]):
        for threads in (1, 2):
            with encode(source, vocabulary=vocabulary, threads=threads, min_count=100) as corpus:
                assert corpus.vocabulary is vocabulary
                assert corpus.read(0, corpus.num_ids).tolist() == [3, 0, -1, 3, 0, 1, -1]
                assert corpus.counts.tolist() == [2, 1, 0, 2, 0]
                assert (corpus.raw_words, corpus.num_words, corpus.num_sentences) == (9, 5, 2)
                assert corpus.num_types is None


def test_a_text_without_any_known_word_is_empty(tmp_path):
    for source in ([["a", "b"]], write(tmp_path, b"a b")):
        with encode(source, vocabulary=Vocabulary(["c"], [1])) as corpus:
            assert (corpus.num_ids, corpus.raw_words, list(corpus.sentences())) == (0, 2, [])


# ------------------------------------------------------------------------------------------------------- lists of words


@given(
    st.lists(st.lists(st.text(max_size=2), max_size=8), max_size=12), st.integers(1, 3), st.none() | st.integers(1, 5)
)
def test_lists_of_words_may_hold_anything_and_come_once(sentences, min_count, max_vocab):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scanning, "_BUFFER", 5)
        wrong = error_of(lambda: Vocabulary.build(sentences, min_count, max_vocab))
        if wrong:
            wrong = wrong.replace("sentences: ", "source: ")
            assert error_of(lambda: encode(iter(sentences), min_count=min_count, max_vocab=max_vocab)) == wrong
            return
        vocabulary = Vocabulary.build(sentences, min_count, max_vocab)
        with encode((words for words in sentences), min_count=min_count, max_vocab=max_vocab) as corpus:
            assert corpus.vocabulary.index_to_key == vocabulary.index_to_key
            assert corpus.counts.tolist() == vocabulary.counts.tolist()
            assert corpus.raw_words == vocabulary.raw_words
            kept = [[word for word in words if word in vocabulary] for words in sentences]
            assert words_of(corpus) == [words for words in kept if words]
            assert corpus.num_types == len({word for words in sentences for word in words})


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ([["a"], "hello world"], "'hello world' as sentence 1"),
        ([["a"], ["b"], 7], "7 as sentence 2"),
        ([b"a b"], "b'a b' as sentence 0"),
        ([["a"], iter(["b"])], "as sentence 1"),
        ([["a", 5]], "expected strings, got 5 (int)"),
        ([["a", ["b"]]], "expected strings, got ['b'] (list)"),
        ([["a", None]], "expected strings, got None"),
        (5, "got int"),
        (b"bytes", "got bytes"),
        (None, "got NoneType"),
    ],
)
@pytest.mark.parametrize("vocabulary", [None, Vocabulary(["a"], [1])], ids=["counted", "fixed"])
def test_what_is_not_a_list_of_words_is_named(source, shown, vocabulary):
    with pytest.raises(TypeError, match="source") as caught:
        encode(source, min_count=1, vocabulary=vocabulary)
    assert shown in str(caught.value)


def test_an_error_of_the_generator_comes_through():
    def sentences():
        yield ["a"]
        raise RuntimeError("stop here")

    with pytest.raises(RuntimeError, match="stop here"):
        encode(sentences())


def test_a_corpus_of_files_is_read_as_its_files(tmp_path, monkeypatch):
    monkeypatch.setattr(Corpus, "__iter__", None)
    with encode(Corpus(write(tmp_path, b"a b", b"c")), min_count=1) as corpus:
        assert words_of(corpus) == [["a", "b"], ["c"]]


# ------------------------------------------------------------------------------------------------------------- reading


def test_long_sentences_come_in_pieces_and_lose_nothing(monkeypatch):
    for read in (1, 2, 3, 100):
        monkeypatch.setattr(encoding, "_READ", read)
        with encode([list("aaaaaaa"), ["a"], list("aaa")], min_count=1) as corpus:
            assert [len(ids) for ids in corpus.sentences(3)] == [3, 3, 1, 1, 3]
            assert [len(ids) for ids in corpus.sentences()] == [7, 1, 3]


def test_reads_are_checked_copies():
    with encode([["a", "b", "a"]], min_count=1) as corpus:
        ids = corpus.read(0, 4)
        ids[:] = 7
        assert corpus.read(0, 4).tolist() == [0, 1, 0, -1]
        assert corpus.read(1, 3).tolist() == [1, 0]
        assert corpus.read(2, 2).tolist() == []
        assert corpus.read(0, 4).dtype == np.int32
        for start, stop in ((-1, 2), (0, 5), (3, 2)):
            with pytest.raises(ValueError, match=r"start|stop"):
                corpus.read(start, stop)
    with pytest.raises(ValueError, match="closed"):
        corpus.read(0, 4)


def test_a_file_that_is_cut_or_changed_meanwhile_is_an_error_and_no_crash():
    with encode([["a", "b"] * 5000], min_count=1) as corpus:
        with open(corpus.path, "r+b") as file:
            file.write(np.array([2], np.int32).tobytes())
        with pytest.raises(ValueError, match=r"ids in \[-1, 2\)"):
            corpus.read(0, 10)
        os.truncate(corpus.path, 4000)
        assert len(corpus.read(10, 1000)) == 990
        with pytest.raises(ValueError, match="truncated to 1000"):
            corpus.read(990, 1010)


def test_threads_read_at_the_same_time(monkeypatch):
    with encode([[str(i % 1000)] for i in range(50_000)], min_count=1) as corpus:
        everything = corpus.read(0, corpus.num_ids)
        for platform in (sys.platform, "elsewhere"):
            monkeypatch.setattr(id_file.sys, "platform", platform)
            wrong = []

            def check(start):
                for begin in range(start, corpus.num_ids - 100, 9973):
                    if (corpus.read(begin, begin + 100) != everything[begin : begin + 100]).any():
                        wrong.append(begin)  # noqa: B023

            threads = [threading.Thread(target=check, args=(start,)) for start in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert not wrong


def test_a_private_file_goes_away_with_its_object_and_not_with_that_of_a_forked_child():
    corpus = encode([["a"]], min_count=1)
    path = corpus.path
    assert path.exists()
    if hasattr(os, "fork") and threading.active_count() == 1:
        child = multiprocessing.get_context("fork").Process(target=corpus.close)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # threads of other libraries do not matter here
            child.start()
        child.join()
        assert path.exists()
    corpus.close()
    corpus.close()
    assert not path.parent.exists()
    path = encode([["a"]], min_count=1).path
    gc.collect()
    assert not path.parent.exists()


# ------------------------------------------------------------------------------------------------------- files


def test_a_line_of_any_length_and_a_giant_word_take_little_memory(tmp_path):
    if not Path("/proc/self/status").exists():
        pytest.skip("no /proc here that tells the memory of a process")
    path = tmp_path / "long.txt"
    with open(path, "wb") as file:
        file.write(b"only one line ")
        for _ in range(20):
            file.write(b"some words of a line that does not end " * 50_000)  # 39 MB
        file.write(b"x" * (1 << 24) + b" only now")
    code = """if True:
        import sys
        from logq.text import encode
        def peak():
            return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
        with encode([["warm", "up"]], min_count=1):
            before = peak()
        with encode(sys.argv[1], threads=2) as corpus:
            print(peak() - before)
            print(corpus.raw_words, corpus.long_words, corpus.num_words, corpus.num_sentences)
    """
    answer = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    grown, numbers = answer.stdout.splitlines()
    assert (
        numbers == f"{20 * 50_000 * 9 + 6} 1 {20 * 50_000 * 9 + 1} 1"
    )  # "line" is kept, "only", "one" and "now" are not
    assert int(grown) * 1024 < 45e6


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xef\xbb\xbf"])
def test_a_text_without_words_is_an_error(tmp_path, content):
    with pytest.raises(ValueError, match=r"source: expected at least one word, got none"):
        encode(write(tmp_path, content), cache=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_nothing_but_giant_words_is_an_error_that_says_so(tmp_path):
    with pytest.raises(ValueError, match=r"at least one word of at most 65,536 bytes, got none"):
        encode(write(tmp_path, b"x" * 65_537))
    with encode(write(tmp_path, b"x" * 65_536), min_count=1) as corpus:
        assert corpus.num_words == 1


def test_nothing_above_min_count_names_the_most_frequent_word(tmp_path):
    path = write(tmp_path, b"a rose is a rose")
    for source in (path, [["a", "rose", "is", "a", "rose"]]):
        with pytest.raises(
            ValueError, match=r"min_count: expected at most 2, the count of the most frequent word 'a', got 5"
        ):
            encode(source)


@pytest.mark.parametrize("name", ["min_count", "max_vocab", "threads"])
@pytest.mark.parametrize(("value", "error"), [(0, ValueError), (-1, ValueError), (1.5, TypeError), (True, TypeError)])
def test_bounds_are_checked(name, value, error):
    for function in (encode, count_words):
        with pytest.raises(error, match=name):
            function([["a"]], **{name: value})


def test_a_vocabulary_must_be_one():
    with pytest.raises(TypeError, match="vocabulary"):
        encode([["a"]], vocabulary=["a"])  # pyright: ignore


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("source", ["text", [["a"] * 10]])
def test_a_full_disk_names_the_file_and_leaves_nothing(tmp_path, monkeypatch, source):
    if source == "text":
        source = write(tmp_path, b"a " * 10)
    create = id_file.IdFile.create.__func__

    def full(cls, folder, prefix):
        file = create(cls, folder, prefix)
        file._file.close()
        file._file = open("/dev/full", "r+b", buffering=0)  # noqa: SIM115
        return file

    monkeypatch.setattr(id_file.IdFile, "create", classmethod(full))
    cache = tmp_path / "cache"
    with pytest.raises(OSError, match="space") as caught:
        encode(source, cache=cache)
    assert caught.value.errno == errno.ENOSPC
    assert str(cache) in str(caught.value.filename)
    assert list(cache.iterdir()) == []


def test_standard_input_and_pipes_are_read_once(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(gzip.compress(b"a b\nc\n"))))
    with encode("-", min_count=1, cache=tmp_path / "cache") as corpus:
        assert words_of(corpus) == [["a", "b"], ["c"]]
        assert not sys.stdin.closed
        assert corpus.path.parent == tmp_path / "cache"
    assert list((tmp_path / "cache").iterdir()) == []
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(b"d e",))
        writer.start()
        with encode(tmp_path / "pipe", min_count=1) as corpus:
            assert words_of(corpus) == [["d", "e"]]
        writer.join()


def test_counting_gives_the_vocabulary_of_encoding_and_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "mkdtemp", None)
    content = b"to be or not to be\nthat \xff is \xfe\xfd\n" + b"x" * 70_000
    for threads in (1, 2):
        with pytest.warns(UserWarning, match="of the text") as told:
            counted = count_words(write(tmp_path, content), min_count=1, max_vocab=3, threads=threads)
        assert [str(each.message) for each in told] == [
            "1 line of the text has bytes that are not UTF-8, read as \ufffd; give encoding= if it has another",
            "1 word of more than 65,536 bytes was left out of the text",
        ]
        assert counted.vocabulary.index_to_key == ["to", "be", "or"]
        assert counted.vocabulary.raw_words == 11
        assert (counted.num_types, counted.invalid_lines, counted.long_words) == (8, 1, 1)
    assert count_words([["a", "b"], ["a"]], min_count=2).num_types == 2


def test_progress_tells_of_bytes_and_words(tmp_path, capsys):
    with encode(write(tmp_path, b"a b\n" * 100), progress=True):
        pass
    err = capsys.readouterr().err
    assert "reading words" in err
    assert "numbering" in err
    with encode(([["a"] * 9]), progress=False):
        pass
    assert capsys.readouterr().err == ""


def test_words_from_lists_that_could_not_be_saved_are_refused():
    sentences = [["a", "b"], ["b", "x\ud83d", "c"]]
    refused = r"expected words with a UTF-8 form, got 'x\\ud83d'"
    for read in (encode, count_words):
        with pytest.raises(ValueError, match=rf"source: {refused} in sentence 1; .*errors='replace'"):
            read(sentences, min_count=1)
    with pytest.raises(ValueError, match=rf"sentences: {refused}"):
        Vocabulary.build(sentences, min_count=1)
    with pytest.raises(ValueError, match=refused):
        read_tokens(sentences)
    with pytest.raises(ValueError, match=refused):
        Phrases(min_count=1).fit(sentences)
    with pytest.raises(ValueError, match=refused):
        Word2Vec(min_count=1).fit(sentences, progress=False)
    with (
        encode([["a", "x"]] * 9, vocabulary=Vocabulary(["a", "x", "\ud83d"], [1, 1, 1])) as corpus,
        pytest.raises(ValueError, match=r"source: expected words with a UTF-8 form, got '\\ud83d'"),
    ):
        Word2Vec(min_count=1).fit(corpus, progress=False)


def test_words_of_lists_that_are_too_long_are_left_out_and_counted_as_in_files(tmp_path):
    longest, too_long, wide = "a" * 65_536, "a" * 65_537, "é" * 32_769
    sentences = [["to", too_long, "be"], [too_long], [longest, wide, "be", too_long], ["to"]]
    path = tmp_path / "text.txt"
    path.write_text("\n".join(map(" ".join, sentences)), encoding="utf-8")
    kept = [["to", "be"], [longest, "be"], ["to"]]
    for source in (sentences, path):
        with pytest.warns(UserWarning, match="4 words of more than 65,536 bytes were left out of the text"):
            corpus = encode(source, min_count=1)
        with corpus:
            assert words_of(corpus) == kept
            assert (corpus.long_words, corpus.raw_words, corpus.num_words) == (4, 9, 5)
        with pytest.warns(UserWarning, match="4 words of more than 65,536 bytes were left out of the text"):
            counted = count_words(source, min_count=1)
        assert (counted.long_words, counted.num_types) == (4, 3)


@pytest.mark.parametrize("word", ["a" * 65_536, "New York", "", " ", "\x00", "\x1b[31m", "\u2028", "é" * 9, "\ufeff"])
def test_what_trains_can_be_saved_and_read_back(tmp_path, word):
    model = Word2Vec(dim=2, min_count=1, sample=0, epochs=1, seed=1).fit([["a", word, "b", word]] * 9, progress=False)
    model.save_vectors(tmp_path)
    assert KeyedVectors.load(tmp_path).index_to_key == model.vocabulary.index_to_key
    model.vectors.save(tmp_path / "again")
    assert word in KeyedVectors.load(tmp_path / "again")
    if word.split() == [word]:
        model.vectors.save_word2vec_format(tmp_path / "text")
        model.vocabulary.save(tmp_path / "words")
        assert KeyedVectors.load(tmp_path / "text").index_to_key == model.vocabulary.index_to_key
        assert Vocabulary.load(tmp_path / "words").index_to_key == model.vocabulary.index_to_key
