import errno

import pytest

from logq.cli.terminal import output
from logq.cli.terminal.errors import BadInputError
from logq.cli.terminal.output import check_file, output_folder


@pytest.fixture
def full_disk(monkeypatch):
    def no_room(**_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(output.tempfile, "mkstemp", no_room)


def everything(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_folder_is_made_and_left_empty(tmp_path):
    with output_folder(tmp_path / "a" / "b") as folder:
        assert folder == tmp_path / "a" / "b"
        assert everything(tmp_path) == ["a", "a/b"]


def test_a_failure_takes_empty_folders_away(tmp_path):
    def fail():
        with output_folder(tmp_path / "a" / "b"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert everything(tmp_path) == []


def test_a_failure_leaves_what_was_saved(tmp_path):
    def fail():
        with output_folder(tmp_path / "a") as folder:
            (folder / "vectors").write_text("1")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert everything(tmp_path) == ["a", "a/vectors"]


def test_a_failure_leaves_folders_that_were_there(tmp_path):
    (tmp_path / "a").mkdir()

    def fail():
        with output_folder(tmp_path / "a" / "b"):
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        fail()
    assert everything(tmp_path) == ["a"]


def enter(folder):
    with output_folder(folder):
        pytest.fail("must not be entered")


def test_a_file_is_not_a_folder(tmp_path):
    (tmp_path / "a").write_text("precious")
    with pytest.raises(BadInputError, match="a: expected a folder to write to, found a file"):
        enter(tmp_path / "a")
    with pytest.raises(BadInputError, match="b: can't be written to: Not a directory"):
        enter(tmp_path / "a" / "b")
    assert (tmp_path / "a").read_text() == "precious"


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_is_noticed_before_the_work(tmp_path):
    with pytest.raises(BadInputError, match="a: can't be written to: No space left on device"):
        enter(tmp_path / "a")
    assert everything(tmp_path) == []
    with pytest.raises(BadInputError, match=r"map\.html: can't be written: No space left on device"):
        check_file(tmp_path / "map.html")


def test_checking_a_file_touches_nothing(tmp_path):
    (tmp_path / "map.html").write_text("old")
    check_file(tmp_path / "map.html")
    check_file(tmp_path / "new.html")
    assert everything(tmp_path) == ["map.html"]
    assert (tmp_path / "map.html").read_text() == "old"


def test_files_that_cannot_be_written(tmp_path):
    with pytest.raises(BadInputError, match=r"expected a file to write, found a folder; try .*map\.html"):
        check_file(tmp_path, "map.html")
    with pytest.raises(BadInputError, match=r"there is no folder .*nowhere"):
        check_file(tmp_path / "nowhere" / "map.html")
