import bz2
import importlib.util
import io
import json
import lzma
import re
import subprocess
import sys

import pytest

from logq.cli import main
from logq.text import Corpus, Vocabulary


class Terminal(io.StringIO):
    def isatty(self):
        return True


def lines(out):
    return [line.split("\t") for line in out.splitlines()]


def test_a_pipe_gets_tabs(logq, corpus, tmp_path):
    (tmp_path / "more.txt").write_text("tea \u00e9t\u00e9 rare\n" * 4 + "tea tea\n")
    code, out, err = logq("vocab", corpus, tmp_path / "more.txt", "--top", 2)
    assert (code, err) == (0, "")
    vocabulary = Vocabulary.build(Corpus([corpus, tmp_path / "more.txt"]))
    assert lines(out) == [
        ["tokens", "974"],
        ["distinct words", "14"],
        ["distinct words kept", "12"],
        ["tokens covered", "966"],
        ["share covered", "0.9918"],
        *([word, str(count)] for word, count in zip(vocabulary.index_to_key[:2], vocabulary.counts, strict=False)),
    ]


def test_the_words_kept_can_be_written(logq, corpus, tmp_path):
    file = tmp_path / "words.txt"
    assert logq("vocab", corpus, "-o", file, "--max-vocab", 3, "--min-count", 2, "--threads", 1)[0] == 0
    expected = Vocabulary.build(Corpus(corpus), 2, 3)
    assert file.read_text() == "".join(
        f"{word} {count}\n" for word, count in zip(expected.index_to_key, expected.counts, strict=True)
    )


def test_patterns_and_pipes_are_read(logq, corpus, monkeypatch):
    expected = logq("vocab", corpus)
    assert logq("vocab", corpus.parent / "corp*") == expected
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(corpus.read_bytes())))
    assert logq("vocab", "-") == expected


@pytest.mark.filterwarnings("always")
def test_a_terminal_gets_a_table(corpus, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "stdout", Terminal())
    (tmp_path / "odd.txt").write_bytes(b"[tea] \xff\n" * 9)
    assert main(["vocab", str(tmp_path / "odd.txt"), "--top", "2", "-o", str(tmp_path / "words.txt")]) == 0
    shown = re.sub(r"\x1b\[[\d;]*m", "", sys.stdout.getvalue())
    assert "\t" not in shown
    rows = [line.split() for line in shown.splitlines()]
    assert ["distinct", "words", "kept", "2"] in rows
    assert ["tokens", "covered", "18", "100.00%"] in rows
    assert ["[tea]", "9", "50.00%"] in rows
    assert shown.splitlines()[-1] == f"2 words and their counts saved to {tmp_path / 'words.txt'}."


@pytest.mark.filterwarnings("always")
def test_what_was_odd_is_told(logq, tmp_path):
    (tmp_path / "odd.txt").write_bytes(b"a \xff\n" * 9 + b"x" * 70_000)
    code, _, err = logq("vocab", tmp_path / "odd.txt")
    assert code == 0
    assert err.splitlines() == [
        "Note: 9 lines of the text have bytes that are not UTF-8, read as \ufffd; give --encoding if it has another",
        "Note: 1 word of more than 65,536 bytes was left out of the text",
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere.txt"], "nowhere.txt: there is no such file"),
        (["no*where"], "no file matches 'no*where'"),
        (["."], ".: expected a text file, found a folder"),
        (
            ["corpus.txt", "--min-count", "10000"],
            "--min-count: expected at most 93, the count of the most frequent word",
        ),
        (["empty.txt"], "CORPUS: expected at least one word, got none"),
        (["corpus.txt", "-o", "no/such/folder"], "there is no folder"),
        (["corpus.txt", "--threads", "0"], "--threads"),
    ],
)
def test_bad_input_is_one_line(logq, corpus, monkeypatch, words, message):
    monkeypatch.chdir(corpus.parent)
    (corpus.parent / "empty.txt").touch()
    code, out, err = logq("vocab", *words)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert message in err


def test_ctrl_c_says_that_nothing_was_written(logq, corpus, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("logq.text.count_words", interrupted)
    assert logq("vocab", corpus) == (130, "", "Interrupted: nothing was written.\n")


@pytest.mark.skipif(
    importlib.util.find_spec("logq._arguments") is None, reason="the checks of numbers still need torch"
)
def test_it_does_without_torch(corpus):
    code = "import sys; from logq.cli import main; main(sys.argv[1:]); print('torch' in sys.modules, file=sys.stderr)"
    command = [sys.executable, "-c", code, "vocab", str(corpus)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert answer.stderr.splitlines()[-1] == "False"


def test_a_pattern_that_matches_nothing(logq, tmp_path):
    answer = logq("vocab", tmp_path / "part-*.txt")
    assert answer == (2, "", f"Error: no file matches '{tmp_path / 'part-*.txt'}'\n")


@pytest.mark.filterwarnings("always::UserWarning")
def test_a_text_in_latin_1_is_read_as_such_and_said(logq, tmp_path):
    text = tmp_path / "latin.txt"
    text.write_bytes("größer als süß\nkönnte über mühe\n".encode("latin-1") * 9)
    code, out, err = logq("vocab", text, "--min-count", 1)
    assert code == 0
    assert ["größer", "9"] in lines(out)
    assert "Note: " in err
    assert "read as Latin-1, as it is not UTF-8" in " ".join(err.split())
    assert logq("vocab", text, "--min-count", 1, "--encoding", "latin-1") == (0, out, "")
    code, _, err = logq("vocab", text, "--encoding", "klingon")
    assert code == 2
    assert "--encoding: expected an encoding that Python knows" in " ".join(err.split())


@pytest.mark.parametrize("pack", [bz2.compress, lzma.compress])
@pytest.mark.parametrize("name", ["utf-8-sig", "utf-16"])
def test_a_text_is_read_in_any_form(logq, tmp_path, pack, name):
    (tmp_path / "plain.txt").write_text("größer als süß\n" * 9, encoding="utf-8")
    (tmp_path / "packed").write_bytes(pack(("größer als süß\n" * 9).encode(name)))
    assert logq("vocab", tmp_path / "packed") == logq("vocab", tmp_path / "plain.txt")


def test_the_counts_are_written_as_json(logq, tmp_path):
    (tmp_path / "text.txt").write_text("tea cup tea rare\ncup tea\n")
    assert (
        logq("vocab", tmp_path / "text.txt", "--min-count", 2, "--top", 1, "--json", tmp_path / "counts.json")[0] == 0
    )
    assert json.loads((tmp_path / "counts.json").read_text()) == {
        "tokens": 6,
        "distinct_words": 3,
        "distinct_words_kept": 2,
        "tokens_covered": 5,
        "words": [{"word": "tea", "count": 3}],
    }


def test_what_is_counted_in_less_memory_is_the_same(logq, corpus):
    assert logq("vocab", corpus, "--memory", "64MB") == logq("vocab", corpus)
    code, _, err = logq("vocab", corpus, "--memory", "1MB")
    assert code == 2
    assert "--memory: expected at least 64MB, got '1MB'" in " ".join(err.split())
