import gzip
import io
import json
import re
import subprocess
import sys

import pytest

from logq.cli import main
from logq.text import ENGLISH_CONNECTOR_WORDS, Phrases

LINES = [f"{a} new york {b} bank of america {c}" for a in "abc" for b in "abc" for c in "abc"]


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("\n".join(LINES) + "\n")
    return path


def test_a_pipe_gets_the_best_phrases_with_tabs(logq, text):
    code, out, err = logq("phrases", text, "--min-count", 2, "--threshold", 0.5, "--top", 2)
    assert (code, err) == (0, "")
    found = Phrases(2, 0.5).fit(text)
    assert len(found) > 2
    best = list(found.phrases.items())[:2]
    assert out == "".join(f"{phrase}\t{found.counts[phrase]}\t{score:.6f}\n" for phrase, score in best)


@pytest.mark.parametrize("ending", [".txt", ".txt.gz"])
def test_the_joined_text_and_the_phrases_are_written(logq, text, tmp_path, ending):
    out, saved = tmp_path / f"joined{ending}", tmp_path / "phrases.json"
    words = ["-o", out, "--save", saved, "--min-count", 3, "--scoring", "npmi", "--threshold", 0.8, "--threads", 1]
    assert logq("phrases", text, *words, "--connectors", "english", "--delimiter", "+")[0] == 0
    content = out.read_bytes()
    joined = (gzip.decompress(content) if ending == ".txt.gz" else content).decode()
    expected = [line.replace("new york", "new+york").replace("bank of america", "bank+of+america") for line in LINES]
    assert joined.splitlines() == expected
    loaded = Phrases.load(saved)
    assert set(loaded.phrases) == {"new+york", "bank+of+america"}
    assert loaded.connector_words == ENGLISH_CONNECTOR_WORDS


def test_passes_and_connectors_of_one_s_own(logq, text):
    code, out, _ = logq("phrases", text, "--min-count", 5, "--threshold", 0.5, "--passes", 2, "--connectors", "by to")
    found = Phrases(5, 0.5, passes=2, connector_words=["by", "to"]).fit(text)
    assert code == 0
    assert [line.split("\t")[0] for line in out.splitlines()] == list(found.phrases)
    assert "bank_of_america" in out


def test_a_pipe_is_read_once(logq, text, tmp_path, monkeypatch):
    options = ["--min-count", 2, "--threshold", 0.5, "-o"]
    expected = logq("phrases", text, *options, tmp_path / "one.txt")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.read_bytes())))
    assert logq("phrases", "-", *options, tmp_path / "two.txt") == expected
    assert (tmp_path / "one.txt").read_bytes() == (tmp_path / "two.txt").read_bytes()


def test_a_terminal_gets_a_table(text, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdout", Terminal())
    words = ["-o", str(tmp_path / "out.txt"), "--save", str(tmp_path / "p.json"), "--min-count", "3", "-q"]
    assert main(["phrases", str(text), *words, "--scoring", "npmi", "--threshold", "0.9"]) == 0
    shown = re.sub(r"\x1b\[[\d;]*m", "", sys.stdout.getvalue()).splitlines()
    assert "\t" not in "".join(shown)
    assert shown[0] == f"3 phrases in {27 * 8} words."
    assert shown[1].split() == ["phrase", "count", "score"]
    assert ["new_york", "27", "1.00"] in [line.split() for line in shown]
    assert shown[-2:] == [
        f"162 words in 27 lines saved to {tmp_path / 'out.txt'}.",
        f"3 phrases saved to {tmp_path / 'p.json'}.",
    ]


@pytest.mark.filterwarnings("always")
def test_what_was_odd_is_told(logq, tmp_path):
    (tmp_path / "odd.txt").write_bytes(b"a b \xff\n" * 9 + b"c d e f " + b"x" * 70_000)
    code, _, err = logq("phrases", tmp_path / "odd.txt", "--max-vocab", 3)
    assert code == 0
    assert err.splitlines() == [
        "Note: 9 lines of the text have bytes that are not UTF-8, read as \ufffd; give --encoding if it has another",
        "Note: 1 word of more than 65,536 bytes was left out of the text",
        "Note: 3 rare pairs were dropped, as there were more than --max-vocab = 3 at once.",
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere.txt"], "nowhere.txt: there is no such file"),
        (["text.txt", "-o", "out.zst"], "out.zst: expected a name of plain text"),
        (["text.txt", "-o", "no/such/folder"], "there is no folder"),
        (["text.txt", "-o", "x", "--save", "x"], "--save: expected another file"),
        (["text.txt", "--scoring", "pmi"], "pmi"),
        (["text.txt", "--threshold", "-1"], "--threshold: expected a finite number > 0"),
        (["text.txt", "--delimiter", " "], "--delimiter: expected"),
        (["text.txt", "--passes", "0"], "--passes"),
        (["empty.txt"], "CORPUS: expected at least one word, got none"),
    ],
)
def test_bad_input_is_one_line(logq, text, monkeypatch, words, message):
    monkeypatch.chdir(text.parent)
    (text.parent / "empty.txt").touch()
    code, out, err = logq("phrases", *words)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert message in err
    assert sorted(path.name for path in text.parent.iterdir()) == ["empty.txt", "text.txt"]


@pytest.mark.parametrize("saves", [False, True])
def test_ctrl_c_says_what_was_written(logq, text, tmp_path, monkeypatch, saves):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("logq.text.Phrases.transform" if saves else "logq.text.Phrases.fit", interrupted)
    saved = tmp_path / "p.json"
    said = f"the phrases are in {saved}, no text was written." if saves else "nothing was written."
    words = ["-o", tmp_path / "out.txt", "--save", saved]
    assert logq("phrases", text, *words) == (130, "", f"Interrupted: {said}\n")
    assert saved.exists() == saves
    assert not (tmp_path / "out.txt").exists()


def test_it_does_without_torch(text):
    code = "import sys; from logq.cli import main; main(sys.argv[1:]); print('torch' in sys.modules, file=sys.stderr)"
    command = [sys.executable, "-c", code, "phrases", str(text)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert answer.stderr.splitlines()[-1] == "False"


def test_phrases_are_written_as_json(logq, text, tmp_path):
    code, out, _ = logq(
        "phrases", text, "--min-count", 2, "--threshold", 0.5, "--top", 1, "--json", tmp_path / "p.json"
    )
    found = Phrases(2, 0.5).fit(text)
    phrase, score = next(iter(found.phrases.items()))
    assert (code, out) == (0, f"{phrase}\t{found.counts[phrase]}\t{score:.6f}\n")
    written = json.loads((tmp_path / "p.json").read_text())
    assert written == {
        "words": sum(len(line.split()) for line in LINES),
        "num_phrases": len(found),
        "phrases": [{"phrase": phrase, "count": found.counts[phrase], "score": pytest.approx(score)}],
    }


def test_a_text_without_phrases_has_no_table(text, monkeypatch):
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert main(["phrases", str(text), "--min-count", "9999", "-q"]) == 0
    assert re.sub(r"\x1b\[[\d;]*m", "", sys.stdout.getvalue()) == "0 phrases in 216 words.\n"
