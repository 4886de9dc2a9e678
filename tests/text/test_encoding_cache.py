"""An encoding is used again while nothing changed, and made again, without an error, whenever anything did."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from logq.text import Vocabulary, encode, encoding_cache, id_file
from logq.text.encoding_cache import remove_encodings
from logq.text.id_file import IdFile


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("to be or not to be\nthat is\n" * 50)
    return path


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "some" / "cache"


def everything(corpus):
    names = ("num_ids", "num_words", "num_sentences", "raw_words", "num_types", "invalid_lines", "long_words")
    return (
        corpus.vocabulary.index_to_key,
        corpus.vocabulary.counts.tolist(),
        corpus.vocabulary.raw_words,
        corpus.counts.tolist(),
        corpus.read(0, corpus.num_ids).tolist(),
        *(getattr(corpus, name) for name in names),
    )


def make(path, cache, **settings):
    with encode(path, cache=cache, **settings) as corpus:
        return corpus.reused, everything(corpus)


def test_the_second_run_reuses_the_first(path, cache):
    path.write_bytes(path.read_bytes() + b"\xff odd \xed\xb2\x80\x00 \"words'\n" * 5)
    told = "5 lines of the text have bytes that are not UTF-8"
    with pytest.warns(UserWarning, match=told):
        before, first = make(path, cache)
    assert not before
    for again in (
        lambda: make(path, cache, threads=2),
        lambda: make(str(path), str(cache)),
        lambda: make([path], cache),
    ):
        with pytest.warns(UserWarning, match=told):
            assert again() == (True, first)
    assert sorted(file.suffix for file in cache.iterdir()) == [".ids", ".json"]
    assert not list(Path(tempfile.gettempdir()).glob(f"{encoding_cache.PRIVATE}*/{first}"))


@pytest.mark.parametrize("settings", [{"min_count": 2}, {"max_vocab": 3}, {"vocabulary": Vocabulary(["be"], [1])}])
def test_other_settings_are_another_encoding_beside_it(path, cache, settings):
    _, first = make(path, cache)
    reused, other = make(path, cache, **settings)
    assert not reused
    assert make(path, cache, **settings) == (True, other)
    assert make(path, cache) == (True, first)


def test_a_fixed_vocabulary_is_known_by_its_words(path, cache):
    one, other = Vocabulary(["be", "to"], [2, 1]), Vocabulary(["to", "be"], [2, 1])
    first, second = make(path, cache, vocabulary=one), make(path, cache, vocabulary=other)
    assert first[1] != second[1]
    same = Vocabulary(["be", "to"], [7, 7])
    with encode(path, cache=cache, vocabulary=same, min_count=9) as corpus:
        assert corpus.reused
        assert corpus.vocabulary is same
        assert corpus.counts.tolist() == [100, 100]


def test_another_size_time_or_file_is_made_anew_and_takes_the_old_place(path, cache):
    make(path, cache)
    path.write_text(path.read_text() + "more")
    assert not make(path, cache)[0]
    assert make(path, cache)[0]
    os.utime(path, ns=(1, 1))
    assert not make(path, cache)[0]
    assert make(path, cache)[0]
    for file in cache.glob("*.ids"):
        os.utime(file, (0, 0))
    other = path.with_name("other.txt")
    other.write_text("to " * 9)
    assert not make([path, other], cache)[0]
    assert len(list(cache.glob("*.json"))) == 2
    assert len(list(cache.glob("*.ids"))) == 2


def damage_ids(change):
    def damage(cache):
        (ids,) = cache.glob("*.ids")
        change(ids)

    return damage


def damage_record(change):
    def damage(cache):
        (record,) = cache.glob("*.json")
        record.write_bytes(change(record.read_bytes()))

    return damage


def with_other_number(text):
    whole = json.loads(text)
    whole["record"]["num_sentences"] += 1
    return json.dumps(whole).encode()


@pytest.mark.parametrize(
    "damage",
    [
        damage_ids(lambda ids: os.truncate(ids, 100)),
        damage_ids(lambda ids: os.truncate(ids, 0)),
        damage_ids(lambda ids: ids.write_bytes(ids.read_bytes() + b"x")),
        damage_ids(lambda ids: ids.unlink()),
        damage_record(lambda text: b""),
        damage_record(lambda text: text[: len(text) // 2]),
        damage_record(lambda text: text.replace(b'"to"', b'"tu"')),
        damage_record(with_other_number),
        damage_record(lambda text: b"[]"),
        damage_record(lambda text: b'{"record": 5}'),
        damage_record(lambda text: b"\xff\xfe"),
        damage_record(lambda text: b"[" * 100_000),
    ],
)
def test_what_is_damaged_is_made_anew(path, cache, damage):
    _, first = make(path, cache)
    damage(cache)
    assert make(path, cache) == (False, first)
    assert make(path, cache) == (True, first)


def test_an_error_leaves_the_old_encoding_and_nothing_else(path, cache, monkeypatch):
    import gzip

    make(path, cache)
    before = sorted(cache.iterdir())
    broken = path.with_name("broken.gz")
    broken.write_bytes(gzip.compress(path.read_bytes() * 99)[:-9])
    with pytest.raises(ValueError, match=r"broken\.gz: the gzip file ends too early"):
        encode([path, broken], cache=cache)

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(encoding_cache, "atomic_write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        encode(path, cache=cache, min_count=1)
    assert sorted(cache.iterdir()) == before


def test_only_what_nobody_uses_is_removed(path, cache, monkeypatch):
    monkeypatch.setattr(id_file, "MAYBE_UNLOCKED", -1.0)
    with encode(path, cache=cache) as corpus:
        old = corpus.path
        path.write_text("a " * 9)
        assert not make(path, cache)[0]
        assert old.exists() == (sys.platform != "win32")
        assert corpus.read(0, 3).tolist() == [0, 1, 2]
        other = IdFile.create(cache, "0" * 16)  # another program's, which is not ready yet
        make(path, cache, min_count=2)
        assert other.path.exists()
    other.close()
    make(path, cache, min_count=3)
    assert not other.path.exists()
    assert not old.exists()
    assert len(list(cache.glob("*.ids"))) == 3


def test_private_folders_of_killed_programs_are_removed(path, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(id_file, "MAYBE_UNLOCKED", -1.0)
    used = encode(path)
    for name in ("dead", "new"):
        (tmp_path / f"{encoding_cache.PRIVATE}{name}").mkdir()
        (tmp_path / f"{encoding_cache.PRIVATE}{name}" / "private-0.ids").write_bytes(b"1234")
    for folder in (used.path.parent, tmp_path / f"{encoding_cache.PRIVATE}dead"):
        os.utime(folder, (0, 0))
    encode(path).close()
    assert {file.name for file in tmp_path.glob(f"{encoding_cache.PRIVATE}*")} == {
        used.path.parent.name,
        f"{encoding_cache.PRIVATE}new",
    }
    used.close()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_killed_run_leaves_what_was_there_and_the_next_one_cleans_up(path, cache, monkeypatch):
    path.write_bytes(b"".join(b"word%d and others\n" % (n % 999) for n in range(300_000)))
    code = "import sys; from logq.text import encode\nprint('go', flush=True)\nencode(sys.argv[1], cache=sys.argv[2])"
    with encode(path) as corpus:
        expected = everything(corpus)
    for delay in (0.02, 0.1, 0.2):
        command = [sys.executable, "-c", code, str(path), str(cache)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(delay)
            process.send_signal(signal.SIGKILL)
        if list(cache.glob("*.json")):
            assert make(path, cache) == (True, expected)
            for file in cache.iterdir():
                file.unlink()
    assert make(path, cache) in ((True, expected), (False, expected))
    monkeypatch.setattr(id_file, "MAYBE_UNLOCKED", -1.0)
    os.utime(path, ns=(5, 5))
    make(path, cache)
    assert len(list(cache.iterdir())) == 2


def test_ids_are_in_the_order_of_bytes_of_the_machine(path, cache):
    with encode(path, cache=cache) as corpus:
        assert (np.fromfile(corpus.path, np.int32) == corpus.read(0, corpus.num_ids)).all()
    text = next(cache.glob("*.json")).read_text()
    assert sys.byteorder in text


def test_what_a_killed_program_left_of_a_pipe_goes(tmp_path):
    left = tmp_path / "once-0123456789ab.ids"
    left.write_bytes(b"1234")
    os.utime(left, (0, 0))
    with encode([["a", "b"]], min_count=1, cache=tmp_path):
        assert not left.exists()
        assert len(list(tmp_path.glob("once-*.ids"))) == 1
    assert not list(tmp_path.iterdir())


def test_encodings_are_removed_and_nothing_else(tmp_path):
    (tmp_path / "text.txt").write_text("to be or not to be")
    folder = tmp_path / "cache"
    encode(tmp_path / "text.txt", min_count=1, cache=folder).close()
    (folder / "notes.json").write_text("mine")
    remove_encodings(folder)
    assert [path.name for path in folder.iterdir()] == ["notes.json"]
    (folder / "notes.json").unlink()
    remove_encodings(folder)
    assert not folder.exists()


def rightly_signed(change):
    """Change the record and its checksum, as somebody would who knows the format."""

    def damage(cache):
        (path,) = cache.glob("*.json")
        record = json.loads(path.read_bytes())["record"]
        change(record)
        path.write_text(json.dumps({"checksum": encoding_cache._fingerprint(record), "record": record}))

    return damage


def out_of_range(ids):
    numbers = np.fromfile(ids, np.int32)
    numbers[0] = 99
    numbers.tofile(ids)


@pytest.mark.parametrize(
    "damage", [rightly_signed(lambda record: record["counts"].pop()), damage_ids(out_of_range)], ids=["counts", "ids"]
)
def test_counts_and_ids_that_do_not_fit_are_made_anew(path, cache, damage):
    words = Vocabulary(["to", "be", "or"], [3, 2, 1])
    _, first = make(path, cache, vocabulary=words)
    damage(cache)
    assert make(path, cache, vocabulary=words) == (False, first)


def test_a_record_that_a_killed_program_began_goes_after_an_hour(path, cache):
    make(path, cache)
    (record,) = cache.glob("*.json")
    old, new = (cache / f".{record.name}.{name}.tmp" for name in ("old", "new"))
    for file in (old, new):
        file.write_bytes(b"{")
    os.utime(old, (0, 0))
    os.utime(path, ns=(1, 1))
    make(path, cache)
    assert (old.exists(), new.exists()) == (False, True)


def test_a_file_of_ids_that_is_gone_may_be_in_use(tmp_path):
    assert id_file.is_in_use(tmp_path / "gone.ids")
    assert encoding_cache._age(tmp_path / "gone.ids") == 0
