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
    """Makes disks of so many kB."""
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
    assert "No space left on device; no epoch had ended, so no vectors were saved." in error
    assert names(disk) == []
    assert not (tmp_path / "v").exists()


@POSIX
def test_no_room_for_the_vectors(text, tmp_path, small_disk):
    disk = small_disk(1000)
    error = failed(train(text, disk, *QUICK, "--dim", 300, "--cache-dir", tmp_path / "cache"))
    assert error == (
        f"{disk / 'vectors.safetensors'}: No space left on device; no epoch had ended, so no vectors were saved."
    )
    assert names(disk) == []


@POSIX
def test_no_room_for_a_checkpoint(text, tmp_path, small_disk):
    """Room for vectors of 8 numbers and half of the checkpoint of 300: what was there before stays."""
    disk = small_disk(2000)
    options = ("--cache-dir", tmp_path / "cache")
    assert train(text, disk, *QUICK, *options)[0] == 0
    error = failed(train(text, disk, *QUICK, *options, "--dim", 300, "--checkpoint-minutes", 0))
    assert error == (
        f"{disk / FILE}: No space left on device; no epoch had ended; {disk} still holds the vectors of an earlier run."
    )
    assert names(disk) == ["vectors.json", "vectors.safetensors"]
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
