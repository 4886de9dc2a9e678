"""Each trouble is made, as far as that can be done without harm, and found; a sound installation has none."""

import os
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

import pytest

import logq
from logq._project import Needed
from logq.doctor import troubles

SOURCE = Path(logq.__file__).parent

WITHOUT_HOOKS = "import sys; sys.meta_path[:] = [finder for finder in sys.meta_path if isinstance(finder, type)]"
"""An editable installation has a finder of its own, an instance, that knows where the compiled core is."""


def found(check):
    return [f"{one.level}: {one.what}; {one.remedy}" for one in check()]


def test_what_is_installed_here_is_new_enough_and_built():
    assert found(troubles.too_old) == []
    assert found(troubles.core_is_missing) == []


def test_packages_that_are_missing_or_too_old_are_named(monkeypatch):
    wanted = [Needed("numpy", ">=99.1"), Needed("no-such-package", ">=1"), Needed("torch", ">=2.6,<9")]
    monkeypatch.setattr(troubles, "requirements", lambda: wanted)
    old, missing = found(troubles.too_old)
    assert old.startswith("error: numpy 2.")
    assert old.endswith("is older than what logq calls (>=99.1); pip install 'numpy>=99.1'")
    assert missing == "error: no-such-package is not installed; pip install 'no-such-package>=1'"


def copied(folder: Path) -> dict[str, str]:
    """A copy of the sources, as who puts a clone on the path has them, and the environment that finds it."""
    left_out = shutil.ignore_patterns("_native*.so", "_native*.pyd", "__pycache__")
    shutil.copytree(SOURCE, folder / "logq", ignore=left_out)
    return os.environ | {"PYTHONPATH": str(folder)}


def test_sources_without_the_compiled_core_are_told(tmp_path):
    surroundings = copied(tmp_path)
    code = f"{WITHOUT_HOOKS}; from logq.doctor import troubles; print(*troubles.core_is_missing())"

    def ask() -> str:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=surroundings, check=True
        )
        return done.stdout

    assert f"the compiled core is not in {tmp_path / 'logq'}: word vectors, draws and losses" in ask()
    (tmp_path / "logq" / "kernels" / "_native.cpython-39-other.so").write_bytes(b"")
    assert "the compiled core does not load (_native.cpython-39-other.so)" in ask()


@pytest.mark.slow
def test_they_fail_the_examination(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", f"{WITHOUT_HOOKS}; from logq.cli import main; sys.exit(main(['doctor']))"],
        capture_output=True,
        text=True,
        env=copied(tmp_path),
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert f"Error: the compiled core is not in {tmp_path / 'logq'}: word vectors" in done.stdout
    assert "  pip install . in the sources, which needs a C++17 compiler; see " in done.stdout
    assert "Something that a plain user needs does not work." in done.stdout
    assert "Traceback" not in done.stderr + done.stdout


def test_a_command_of_another_python_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    (only,) = found(troubles.several_installations)
    assert only.startswith(f"warning: the command logq is not on the PATH; {sys.executable} -m logq does the same")
    command = tmp_path / "logq"
    command.write_text("#!/usr/bin/false\n")
    command.chmod(0o755)
    (only,) = found(troubles.several_installations)
    assert only.startswith(
        f"warning: the command logq on the PATH is {command}, of another Python than {sys.executable}"
    )
    command.write_text(f"#!{sys.executable}\n")
    assert found(troubles.several_installations) == []


def test_environments_of_one_python_are_told_apart(tmp_path, monkeypatch):
    """The Python of each is a link to the same file."""
    bins = [tmp_path / name / "bin" for name in ("mine", "other")]
    for folder in bins:
        folder.mkdir(parents=True)
        (folder / "python").symlink_to(os.path.realpath(sys.executable))
    command = tmp_path / "logq"
    command.write_text(f"#!{bins[1] / 'python'}\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(bins[0] / "python"))
    assert "of another Python than" in found(troubles.several_installations)[0]
    command.write_text(f"#!{bins[0] / 'python'}\n")
    assert found(troubles.several_installations) == []


def test_libraries_that_wait_for_each_other_do_not_stop_the_doctor(monkeypatch):
    monkeypatch.setattr(troubles, "_PATIENCE", 0.001)
    (only,) = found(troubles.two_openmps)
    assert only.startswith("warning: a process that imports torch")
    assert "is not done after 0.001 seconds" in only


@pytest.mark.parametrize(
    ("cuda", "has_card", "troubled"), [("12.8", False, True), ("12.8", True, False), (None, False, False)]
)
def test_torch_for_cuda_without_a_card_is_told(monkeypatch, cuda, has_card, troubled):
    fake = SimpleNamespace(
        __version__="2.13.0+cu128",
        version=SimpleNamespace(cuda=cuda),
        cuda=SimpleNamespace(is_available=lambda: has_card),
    )
    monkeypatch.setattr(troubles, "_imported", lambda name: fake)
    lines = found(troubles.cuda_without_a_card)
    assert bool(lines) == troubled
    assert not lines or lines[0].startswith("warning: torch 2.13.0+cu128 is built for CUDA, and sees no GPU")


def test_folders_that_take_no_files_are_told(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "file" / "cache"))
    (only,) = found(troubles.unwritable)
    assert only.startswith(f"warning: {tmp_path}/file/cache cannot be written, where models of the hub")
    assert only.endswith("set HF_HOME to a folder that takes files")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "new" / "cache"))
    assert found(troubles.unwritable) == []
    assert not (tmp_path / "new").exists()
    monkeypatch.setattr(troubles.tempfile, "gettempdir", lambda: str(tmp_path / "file"))
    assert found(troubles.unwritable)[0].startswith("error: no temporary file can be written")


def test_a_small_shared_memory_is_told(monkeypatch):
    sizes = namedtuple("sizes", "f_blocks f_frsize")
    monkeypatch.setattr(troubles.os, "statvfs", lambda path: sizes(16384, 4096), raising=False)
    assert "/dev/shm has 67.1 MB: several processes" in found(troubles.little_shared_memory)[0]
    monkeypatch.setattr(troubles.os, "statvfs", lambda path: sizes(1 << 20, 4096), raising=False)
    assert found(troubles.little_shared_memory) == []


def test_more_threads_than_cores_are_told(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "999")
    assert found(troubles.threads)[0].startswith("warning: OMP_NUM_THREADS is 999, and this process may use ")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert found(troubles.threads) == []


def test_openmps_of_two_makers_are_told(monkeypatch):
    def loads(text, code=0):
        done = SimpleNamespace(returncode=code, stdout=text, stderr="Traceback\nOMP: Error #15")
        monkeypatch.setattr(troubles.subprocess, "run", lambda *_, **__: done)
        return found(troubles.two_openmps)

    assert loads("/a/torch.libs/libgomp-1.so\n/b/scikit_learn.libs/libgomp-2.so\n") == []
    (only,) = loads("/a/libgomp-1.so\n/b/libiomp5.so\n")
    assert only.startswith(
        "warning: Intel's and GNU's OpenMP are loaded into one process: /b/libiomp5.so, /a/libgomp-1.so"
    )
    (only,) = loads("", code=134)
    assert "ends with 134: OMP: Error #15" in only
