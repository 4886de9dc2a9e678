"""Files are written whole or not at all, and read through gzip."""

import errno
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from logq._files import DamagedFileError, atomic_write, is_standard_output, is_stream, parsing

POSIX = pytest.mark.skipif(os.name != "posix", reason="permissions, links and devices as POSIX has them")


def write(path, content=b"new"):
    with atomic_write(path) as file:
        file.write(content)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_writes_a_new_file_and_replaces_an_old_one(tmp_path):
    path = tmp_path / "file"
    for content in (b"first, longer", b"second"):
        write(path, content)
        assert path.read_bytes() == content
    assert os.listdir(tmp_path) == ["file"]


def test_takes_a_path_as_a_string_and_names_of_the_greatest_length(tmp_path):
    for name in ("x" * 255, "\N{SNOWMAN}" * 85):
        write(str(tmp_path / name))
        assert (tmp_path / name).read_bytes() == b"new"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
@pytest.mark.parametrize("exists", [True, False])
def test_any_exception_leaves_everything_as_it_was(tmp_path, error, exists):
    path = tmp_path / "file"
    if exists:
        path.write_bytes(b"old")

    def interrupted():
        with atomic_write(path) as file:
            file.write(b"half")
            file.flush()
            raise error("stop")

    with pytest.raises(error, match="stop"):
        interrupted()
    assert os.listdir(tmp_path) == (["file"] if exists else [])
    assert not exists or path.read_bytes() == b"old"


def test_what_a_killed_program_left_goes_and_what_another_writes_stays(tmp_path):
    path = tmp_path / "file"
    left = tmp_path / ".file.0123456789ab.tmp"
    left.write_bytes(b"half of it")
    others = [tmp_path / ".file2.0123456789ab.tmp", tmp_path / ".file.note.tmp", tmp_path / ".file.0123456789ac.tmp"]
    for other, content in zip(others, (b"another", b"a note", b""), strict=True):  # the last one was just made
        other.write_bytes(content)
    old = tmp_path / ".file.0123456789ad.tmp"
    old.write_bytes(b"")
    os.utime(old, (0, 0))
    with atomic_write(path) as file:
        assert not left.exists()
        assert not old.exists()
        file.write(b"outer")
        file.flush()
        write(path, b"inner")
    assert path.read_bytes() == b"outer"
    assert sorted(tmp_path.iterdir()) == sorted([path, *others])


def test_the_old_content_stays_until_the_block_ends(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with atomic_write(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"


def test_content_is_on_disk_before_it_takes_the_place(tmp_path, monkeypatch):
    done = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: done.append(("fsync", os.fstat(descriptor).st_size)))
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda *paths: (done.append("replace"), replace(*paths)))
    write(tmp_path / "file", b"12345")
    assert done == [("fsync", 5), "replace"]


@POSIX
@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_permissions_are_those_of_an_ordinary_open(tmp_path, mask):
    before = os.umask(mask)
    try:
        write(tmp_path / "ours")
        (tmp_path / "theirs").write_bytes(b"")
    finally:
        os.umask(before)
    assert mode(tmp_path / "ours") == mode(tmp_path / "theirs") == 0o666 & ~mask


@POSIX
def test_an_existing_file_keeps_its_permissions(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o640)
    write(path)
    assert mode(path) == 0o640


@POSIX
def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "folder").mkdir()
    target, link = tmp_path / "folder" / "target", tmp_path / "link"
    target.write_bytes(b"old")
    link.symlink_to(target)
    write(link)
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


def test_a_missing_folder_is_named(tmp_path):
    path = tmp_path / "missing" / "file"
    with pytest.raises(FileNotFoundError) as caught:
        write(path)
    assert caught.value.filename == str(path)


def test_a_full_disk_names_the_file(tmp_path):
    path = tmp_path / "file"

    def on_a_full_disk():
        with atomic_write(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match="file") as caught:
        on_a_full_disk()
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(path))
    assert os.listdir(tmp_path) == []


def test_an_error_about_another_file_keeps_its_name(tmp_path):
    def reads_something_missing():
        with atomic_write(tmp_path / "file"):
            open(tmp_path / "other")  # noqa: SIM115

    with pytest.raises(FileNotFoundError, match="other"):
        reads_something_missing()


def test_folders_are_refused(tmp_path):
    with pytest.raises(IsADirectoryError, match="folder"):
        write(tmp_path)
    assert not list(tmp_path.parent.glob(f".{tmp_path.name}*"))


@POSIX
def test_pipes_are_written_to_and_stay(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with atomic_write(path) as file:
        file.write(b"through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    assert stat.S_ISFIFO(path.stat().st_mode)


@POSIX
def test_devices_are_written_to_and_stay(tmp_path):
    (tmp_path / "link").symlink_to("/dev/null")
    for path in ("/dev/null", tmp_path / "link"):
        with atomic_write(path) as file:
            file.write(b"gone")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


@POSIX
@pytest.mark.parametrize("name", ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "link"])
def test_standard_output_is_written_to_and_the_file_behind_it_stays(tmp_path, name):
    (tmp_path / "link").symlink_to("/dev/stdout")
    code = "from logq._files import atomic_write\nprint('before')\n"
    code += f"with atomic_write({name!r}) as file: file.write(b'inside\\n')"
    with open(tmp_path / "out", "wb") as out:
        inode = os.fstat(out.fileno()).st_ino
        subprocess.run([sys.executable, "-c", code + "\nprint('after')"], stdout=out, cwd=tmp_path, check=True)
    assert (tmp_path / "out").read_text() == "before\ninside\nafter\n"
    assert (tmp_path / "out").stat().st_ino == inode
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "out"]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RecursionError("maximum"), "it is nested too deeply"),
        (KeyError("words"), "'words' is missing"),
        (OverflowError("too large"), "OverflowError too large"),
        (ValueError("ids: expected 3"), "ids: expected 3"),
        (SyntaxError("bad"), "SyntaxError bad"),
        (OSError("no gzip"), "no gzip"),
    ],
)
def test_whatever_a_parser_raises_is_one_error_that_names_the_file(error, said):
    with pytest.raises(DamagedFileError, match=rf"^a\.bin: the file is damaged: {said}$"), parsing("a.bin"):
        raise error


def test_errors_of_the_system_and_of_memory_stay_what_they_are():
    with pytest.raises(FileNotFoundError), parsing("a.bin"):
        Path("nowhere/file").read_bytes()
    with pytest.raises(ModuleNotFoundError), parsing("a.bin"):
        raise ModuleNotFoundError("faiss")
    with pytest.raises(MemoryError, match=r"a\.bin"), parsing("a.bin"):
        raise MemoryError
    with pytest.raises(ValueError, match=r"^a\.bin: expected version 1$"), parsing("a.bin"):
        raise ValueError("a.bin: expected version 1")


@POSIX
def test_an_open_file_of_this_process_is_written_to():
    reads, writes = os.pipe()
    write(f"/dev/fd/{writes}")
    os.close(writes)
    with os.fdopen(reads, "rb") as file:
        assert file.read() == b"new"


@POSIX
def test_a_file_that_is_not_open_is_named():
    reads, writes = os.pipe()
    os.close(reads)
    os.close(writes)
    with pytest.raises(OSError, match=re.escape(f"'/dev/fd/{writes}'")) as caught:
        write(f"/dev/fd/{writes}")
    assert caught.value.errno == errno.EBADF


@POSIX
def test_names_and_links_of_standard_output_are_known(tmp_path):
    (tmp_path / "link").symlink_to("/dev/stdout")
    (tmp_path / "ring").symlink_to(tmp_path / "ring")
    names = ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", tmp_path / "link", "/dev/stderr", tmp_path / "ring"]
    assert [is_standard_output(name) for name in names] == [True] * 5 + [False] * 2
    assert is_stream("/dev/stderr")
    assert not is_stream(tmp_path / "ring")
