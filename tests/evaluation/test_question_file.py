import gzip

import pytest

from logq.evaluation.word_questions import numbered_lines

TEXT = "\ufeffeins zwei\r\n\r\n  größer\u00a0\r\nletzte"


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_lines_keep_their_numbers(tmp_path, pack):
    path = tmp_path / "file"
    path.write_bytes(pack(TEXT.encode()))
    assert list(numbered_lines(path)) == [
        (f"{path}, line 1", "eins zwei"),
        (f"{path}, line 3", "größer"),
        (f"{path}, line 4", "letzte"),
    ]


def test_what_is_not_utf8_is_named_by_its_line(tmp_path):
    path = tmp_path / "file"
    path.write_bytes("ok\ngrößer\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"file, line 2: expected UTF-8"):
        list(numbered_lines(path))


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        list(numbered_lines(tmp_path / "nowhere"))
