"""Counting on disk gives the same bits as counting in memory, in bounded memory, and leaves nothing behind."""

import errno
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logq import NGram
from logq._files import DamagedFileError
from logq._model_file import read_tensors
from logq._progress import Progress
from logq.language_models.ngram import disk_counts, ngram, sorted_runs
from logq.language_models.ngram.disk_counts import DiskCounts
from logq.language_models.ngram.ngram_counts import count_ngrams
from logq.text import disk_columns, read_tokens
from logq.text.disk_columns import DiskBuckets, DiskColumn

FALLBACK = (0.4, 0.9, 1.3)
Lines = list[list[str]]


def corpus(seed: int, lines: int = 300, words: int = 40) -> Lines:
    rng = np.random.default_rng(seed)
    names = np.array([f"w{number}" for number in range(words)])
    weights = 1.0 / np.arange(1, words + 1)
    return [rng.choice(names, rng.integers(1, 9), p=weights / weights.sum()).tolist() for _ in range(lines)]


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is taken by the process, and runs, merges and buckets are small."""
    for name, value in (("_RESIDENT", 0), ("_WORD", 0), ("_LEAST", 1)):
        monkeypatch.setattr(ngram, name, value)
    monkeypatch.setattr(sorted_runs, "MOST_RUNS", 3)
    monkeypatch.setattr(sorted_runs, "_PART", 4)
    monkeypatch.setattr(disk_counts, "_BUCKET", 50)


def same_tables(one: NGram, other: NGram) -> None:
    mine, its = one.state(), other.state()
    assert list(mine) == list(its)
    for name, array in mine.items():
        assert array.dtype == its[name].dtype
        assert np.array_equal(array, its[name]), name  # to the bit: no number is NaN
    assert one.metadata == other.metadata


@pytest.mark.usefixtures("little")
@pytest.mark.parametrize("smoothing", ["kneser_ney", "add_k", "maximum_likelihood"])
@pytest.mark.parametrize("order", [1, 2, 3, 4, 5, 14])
def test_all_numbers_are_those_of_counting_in_memory(order: int, smoothing: str, tmp_path: Path) -> None:
    lines, options = corpus(order), dict[str, Any]({"k": 0.3, "discount_fallback": FALLBACK, "min_count": 2})
    whole = NGram(order, smoothing, **options).fit(lines, progress=False)
    for memory in ("6kB", "30kB"):
        model = NGram(order, smoothing, memory=memory, **options).fit(lines, progress=False)
        same_tables(model, whole)
        assert order == 1 or isinstance(model.state()["keys.2"], np.memmap)
    model.save(tmp_path)
    same_tables(NGram.load(tmp_path), whole)
    model.to_arpa(tmp_path / "model.arpa")
    whole.to_arpa(tmp_path / "whole.arpa")
    assert (tmp_path / "model.arpa").read_bytes() == (tmp_path / "whole.arpa").read_bytes()


@pytest.mark.usefixtures("little")
def test_the_best_k_and_the_validation_are_those_of_counting_in_memory() -> None:
    lines, other = corpus(1), corpus(2, 20)
    whole = NGram(3, "add_k", k=None).fit(lines, validation=other, progress=False)
    same_tables(NGram(3, "add_k", k=None, memory="20kB").fit(lines, validation=other, progress=False), whole)
    assert "validation" in whole.metadata


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from("aabcd"), min_size=1, max_size=6), min_size=1, max_size=30),
    st.integers(2, 6),
    st.integers(1, 4000),
)
def test_counts_of_any_text(lines: Lines, order: int, memory: int) -> None:
    with read_tokens(lines, progress=False) as tokens:
        expected = count_ngrams(tokens, order)
        with DiskCounts(tokens, order, memory) as counted:
            for n in range(1, order + 1):
                assert np.array_equal(counted.counts[n - 1][:], expected.counts[n - 1])
                assert np.array_equal(counted.adjusted(n)[:], expected.adjusted(n)[:])
                assert counted.first_at_line_start(n) == expected.first_at_line_start(n)
                if n > 1:
                    assert np.array_equal(counted.keys[n - 2][:], expected.keys[n - 2])
                    values = np.arange(len(expected.counts[n - 2])) / 7
                    assert np.array_equal(counted.below(n, values)[:], expected.below(n, values)[:])


@pytest.mark.usefixtures("little")
def test_one_word_again_and_again() -> None:
    lines = [["a"] * 50] * 40
    whole = NGram(4, discount_fallback=FALLBACK).fit(lines, progress=False)
    same_tables(NGram(4, discount_fallback=FALLBACK, memory="2kB").fit(lines, progress=False), whole)


def test_what_fits_does_not_touch_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DiskColumn, "__init__", lambda *_: pytest.fail("a file was made"))
    model = NGram(3, memory="1GB", discount_fallback=FALLBACK).fit(corpus(1), progress=False)
    assert not isinstance(model.state()["keys.2"], np.memmap)
    with pytest.raises(pytest.fail.Exception, match="a file was made"):
        NGram(4, memory="117MB").fit(corpus(1, 20_000), progress=False)


@pytest.mark.usefixtures("little")
def test_runs_are_written_only_if_the_rows_do_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    make = DiskColumn.__init__

    def noted(self: DiskColumn, dtype: Any, width: int = 1) -> None:
        made.append(width)
        make(self, dtype, width)

    monkeypatch.setattr(DiskColumn, "__init__", noted)
    for memory, expected in ((10**6, 0), (20_000, 2), (3_000, 10)):
        made.clear()
        with read_tokens(corpus(1), progress=False) as tokens, DiskCounts(tokens, 4, memory):
            assert sum(width > 1 for width in made) >= expected
            assert (expected > 0) == any(width > 1 for width in made)


@pytest.mark.parametrize("memory", ["1", "GB", "-1GB", "1 XB", "0MB", 5, True])
def test_sizes_that_are_none(memory: Any) -> None:
    with pytest.raises(ValueError, match="memory: expected a size such as 1GB"):
        NGram(memory=memory)


def test_too_little_memory() -> None:
    with pytest.raises(ValueError, match=r"memory: expected at least 11\d MB for a text with so many different words"):
        NGram(2, memory="50MB").fit(corpus(1), progress=False)


@pytest.mark.usefixtures("little")
def test_an_order_that_is_too_high_for_rows() -> None:
    with pytest.raises(
        ValueError, match="order: expected n-grams that fit into 512 bits when packed, got 400; or count in memory"
    ):
        NGram(400, "add_k", memory="1kB").fit(corpus(1), progress=False)


def open_files() -> list[str]:
    if sys.platform != "linux":
        pytest.skip("no list of open files")
    found: list[str] = []
    for name in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{name}"))
        except OSError:
            continue
    return [name for name in found if tempfile.gettempdir() in name or "logq" in name]


@pytest.mark.usefixtures("little")
@pytest.mark.parametrize("share", [0.01, 0.2, 0.4, 0.6, 0.8, 0.99])
def test_an_interruption_leaves_no_files_and_the_former_model(
    share: float, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    model = NGram(4, memory="6kB", discount_fallback=FALLBACK).fit(corpus(1), progress=False)
    before, files, state = os.listdir(tmp_path), open_files(), model.state()
    advance, calls, moment = Progress.advance, [0], 0

    def interrupt(self: Progress, amount: float, **fields: object) -> None:
        calls[0] += 1
        if calls[0] == moment:
            raise KeyboardInterrupt
        advance(self, amount, **fields)

    monkeypatch.setattr(Progress, "advance", interrupt)
    NGram(4, memory="6kB", discount_fallback=FALLBACK).fit(corpus(2), progress=False)
    moment, calls[0] = max(1, int(share * calls[0])), 0
    with pytest.raises(KeyboardInterrupt):
        model.fit(corpus(2), progress=False)
    assert os.listdir(tmp_path) == before == []
    assert open_files() == files
    assert all(model.state()[name] is array for name, array in state.items())


def test_a_full_disk_is_named_and_leaves_the_former_model(monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() != 0 or sys.platform != "linux":
        pytest.skip("only root can mount a small disk")
    lines = corpus(1, 20_000)
    model = NGram(4, memory="117MB", discount_fallback=FALLBACK).fit(corpus(2), progress=False)
    before = model.state()
    with tempfile.TemporaryDirectory() as folder:
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], check=False).returncode:
            pytest.skip("cannot mount a small disk here")
        try:
            monkeypatch.setattr(tempfile, "tempdir", folder)
            with pytest.raises(OSError, match="no space left for the files of n-grams") as caught:
                model.fit(lines, progress=False)
            assert caught.value.errno == errno.ENOSPC
            assert caught.value.filename == f"{folder} (TMPDIR)"
            assert os.statvfs(folder).f_bfree == os.statvfs(folder).f_blocks
        finally:
            subprocess.run(["umount", "-l", folder], check=True)
    assert all(model.state()[name] is array for name, array in before.items())


@pytest.mark.usefixtures("little")
@pytest.mark.parametrize("damage", ["truncate", "overwrite"])
def test_a_run_that_another_program_changed(damage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    append = DiskColumn.append

    def damaged(self: DiskColumn, values: Any) -> None:
        append(self, values)
        if values.ndim == 2 and damage == "truncate":
            os.ftruncate(vars(self)["_file"].fileno(), 8)
        elif values.ndim == 2:
            os.pwrite(vars(self)["_file"].fileno(), b"\xff" * 64, 0)

    monkeypatch.setattr(DiskColumn, "append", damaged)
    with pytest.raises(DamagedFileError, match="another program"):
        NGram(3, memory="6kB", discount_fallback=FALLBACK).fit(corpus(1), progress=False)


def test_buckets_give_back_what_they_were_given() -> None:
    rng = np.random.default_rng(1)
    places, values = rng.permutation(1000), rng.random(1000)
    for block in (1, 30, 5000):
        buckets = DiskBuckets([np.float64], length=300, size=1000, block=block)
        for part in disk_columns.pieces(1000, 70):
            buckets.add(places[part], values[part])
        for bucket in range(4):
            found = [np.concatenate(column) for column in zip(*buckets.take(bucket), strict=True)]
            inside = places // 300 == bucket
            assert np.array_equal(found[0], places[inside])
            assert np.array_equal(found[1], values[inside])
        buckets.close()


WRITE = """
import sys, numpy as np
rng = np.random.default_rng(1)
names = np.array([f"w{number}" for number in range(30_000)])
ranks = (30_000 ** rng.random((160_000, 25))).astype(int)
with open(sys.argv[1], "w") as file:
    file.writelines(" ".join(row) + "\\n" for row in names[ranks].tolist())
"""

FIT = """
import sys
from logq import NGram
memory = None if sys.argv[2] == "none" else sys.argv[2]
NGram(4, memory=memory, discount_fallback=(0.5, 1, 1.5)).fit(sys.argv[1], progress=False).save(sys.argv[3])
with open("/proc/self/status") as file:
    print(next(line.split()[1] for line in file if line.startswith("VmHWM")))
"""


@pytest.mark.slow
def test_memory_is_bounded(tmp_path: Path) -> None:
    """Four million words, ten million different n-grams."""
    if sys.platform != "linux":
        pytest.skip("no peak of memory")
    text = tmp_path / "text.txt"
    subprocess.run([sys.executable, "-c", WRITE, text], check=True)

    def peak(memory: str) -> float:
        command = [sys.executable, "-c", FIT, text, memory, tmp_path / memory]
        return int(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout) * 1024 / 1e6

    assert peak("180MB") < 180
    assert peak("none") > 400
    one, other = (read_tensors(tmp_path / memory / "model.safetensors") for memory in ("180MB", "none"))
    assert sum(array.nbytes for array in one.values()) > 130e6
    assert all(np.array_equal(array, other[name]) for name, array in one.items())
