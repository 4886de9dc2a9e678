"""Disks that are full, small or may not be written: a line says it, and what was there stays."""

import subprocess
import sys
from pathlib import Path

import pytest

from logq.training.checkpoint import FILE
from logq.vectors import KeyedVectors
from trainings import KEPT, QUICK, failed, names, train

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="small disks as POSIX has them")


@pytest.fixture
def small_disk(tmp_path):
    """Makes disks of that many kB."""
    mounted = []

    def mount(size):
        place = tmp_path / f"disk{len(mounted)}"
        place.mkdir()
        try:
            done = subprocess.run(
                ["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(place)], capture_output=True, check=False
            )
        except FileNotFoundError:
            pytest.skip("there is no mount here")
        if done.returncode:
            pytest.skip("a small disk can only be mounted by root")
        mounted.append(place)
        return place

    yield mount
    for place in mounted:
        subprocess.run(["umount", "-l", str(place)], check=False)


@POSIX
def test_no_room_for_the_encoded_text(text, tmp_path, small_disk):
    disk = small_disk(400)
    error = failed(train(text, tmp_path / "v", *QUICK, "--cache-dir", disk))
    assert error.startswith(str(disk))
    assert "No space left on device; no vectors were saved." in error
    assert names(disk) == []
    assert not (tmp_path / "v").exists()


@POSIX
def test_no_room_for_the_vectors(text, tmp_path, small_disk):
    disk = small_disk(1000)
    error = failed(train(text, disk, *QUICK, "--dim", 300, "--cache-dir", tmp_path / "cache"))
    assert error == (f"{disk / 'vectors.safetensors'}: No space left on device; no vectors were saved.")
    assert names(disk) == []


@POSIX
def test_no_room_for_a_checkpoint(text, tmp_path, small_disk):
    """Room for vectors of 8 numbers and half of the checkpoint of 300: what was there before stays."""
    disk = small_disk(2000)
    options = ("--cache-dir", tmp_path / "cache")
    assert train(text, disk, *QUICK, *options)[0] == 0
    error = failed(train(text, disk, *QUICK, *options, "--dim", 300, "--checkpoint-minutes", 0))
    assert error == (f"{disk / FILE}: No space left on device; {disk} still holds the vectors of an earlier run.")
    assert names(disk) == ["model.json", "model.safetensors", "vectors.json", "vectors.safetensors"]
    assert KeyedVectors.load(disk).vector_size == 8


@POSIX
def test_an_output_on_another_disk(text, small_disk):
    disk = small_disk(10_000)
    assert train(text, disk / "v", *QUICK)[0] == 0
    assert names(disk / "v") == KEPT


@POSIX
def test_an_output_that_may_not_be_written(text, small_disk):
    disk = small_disk(1000)
    if subprocess.run(["mount", "-o", "remount,ro", str(disk)], capture_output=True, check=False).returncode:
        pytest.skip("cannot be mounted again")
    assert failed(train(text, disk, *QUICK)) == f"{disk}: can't be written to: Read-only file system"
    assert Path(disk).is_dir()


@POSIX
def test_no_room_for_a_recommender(logq, ratings, small_disk):
    """Room for the log and a model of 4 numbers, not for one of 300: the first one stays."""
    disk = small_disk(400)
    options = ("-o", disk, "--epochs", 1, "--max-length", 20, "--seed", 1, "--quiet")
    assert logq("train", "sasrec", ratings, *options, "--dim", 4)[0] == 0
    code, _, err = logq("train", "sasrec", ratings, *options, "--dim", 300)
    assert code == 2
    said = f"No space left on device; {disk} still holds the model of an earlier run."
    assert err.splitlines()[-1] == f"Error: {disk / 'model.safetensors'}: {said}"
    assert not [name for name in names(disk) if name.startswith(".") or "tmp" in name]
    assert logq("recommend", disk, "--user", "u3", "-k", 1)[0] == 0


@POSIX
def test_no_room_for_a_checkpoint_of_a_recommender(logq, ratings, small_disk):
    disk = small_disk(400)
    options = ("-o", disk, "--epochs", 3, "--seed", 1, "--quiet", "--dim", 300, "--checkpoint-minutes", 0)
    code, _, err = logq("train", "sasrec", ratings, *options)
    assert code == 2
    assert err.splitlines()[-1].endswith("checkpoint.safetensors: No space left on device; no model was saved.")


@POSIX
def test_no_room_for_an_index(logq, model, small_disk):
    disk = small_disk(4)
    code, out, err = logq("index", model, "-o", disk / "index")
    assert (code, out) == (2, "")
    assert "No space left on device" in err
    code, _, err = logq("recommend", model, "--user", "u3", "--index", disk / "index")
    assert code == 2, "half an index is not used"


@POSIX
@pytest.mark.parametrize("model", ["ngram", "gru"])
def test_no_room_for_a_language_model(logq, lines, small_disk, model):
    """Room for a small model, not for a large one: the first one stays."""
    disk = small_disk(16 if model == "ngram" else 120)
    small, large = (
        (("--order", 1, "--smoothing", "add_k"), ("--order", 5, "--smoothing", "add_k"))
        if model == "ngram"
        else (("--dim", 4, "--hidden", 4, "--epochs", 1), ("--dim", 300, "--epochs", 1))
    )
    train = ("train", "lm", lines, "-o", disk, "--model", model, "--quiet")
    code, _, err = logq(*train, *small)
    assert code == 0, err
    code, _, err = logq(*train, *large)
    assert code == 2
    said = f"No space left on device; {disk} still holds the model of an earlier run."
    assert err.splitlines()[-1].endswith(f"model.safetensors: {said}")
    assert names(disk) == ["model.json", "model.safetensors"]
    assert logq("generate", disk, "--max-words", 3)[0] == 0
