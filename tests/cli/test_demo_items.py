import subprocess
import sys

import pytest

from logq.cli.commands import demo_items
from logq.logs.call_graph import CallGraph
from logq.recommenders import Item2Vec, Recommender


@pytest.fixture
def small_graph(monkeypatch):
    """Two kinds of functions in place of the whole library, which takes seconds."""
    callees = [["open", ".seek", ".read", ".tell", ".close"], ["lock", ".acquire", "get", "put", ".release"]] * 12
    graph = CallGraph([f"f{n}" for n in range(len(callees))], callees)
    monkeypatch.setattr("logq.logs.call_graph.call_graph", lambda: graph)
    monkeypatch.setattr(demo_items, "SHOWN", ("open", "unheard.of"))


@pytest.mark.usefixtures("small_graph")
def test_the_demo_leaves_a_log_and_a_model_and_says_what_next(logq, tmp_path):
    folder = tmp_path / "demo"
    code, out, err = logq("demo", "items", "-o", folder)
    assert (code, err) == (0, "Item2Vec: settings chosen for this log: epochs=42\n")
    assert isinstance(Recommender.load(folder), Item2Vec)
    assert (folder / "calls.csv").read_text().splitlines()[:2] == ["function,calls", "f0,open"]
    assert "120 calls of 10 functions by 24 others" in out
    assert "unheard.of" not in out
    assert f"logq similar {folder} open" in out


@pytest.mark.usefixtures("small_graph")
def test_what_is_said_to_type_next_works(logq, tmp_path):
    _, out, _ = logq("demo", "items", "-o", tmp_path / "d")
    commands = [line.split("  #")[0].split() for line in out.splitlines() if line.startswith("  logq ")]
    assert [command[1] for command in commands] == ["similar", "recommend", "train"]
    commands[2][-1] = str(tmp_path / "model")
    for command in commands:
        assert logq(*command[1:], *(["--epochs", 1, "-q"] if command[1] == "train" else []))[0] == 0


@pytest.mark.usefixtures("small_graph")
def test_ctrl_c_keeps_the_log(logq, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("logq.recommenders.Item2Vec.fit", interrupted)
    code, _, err = logq("demo", "items", "-o", tmp_path / "d")
    assert code == 130
    assert err == f"Interrupted: the log is in {tmp_path / 'd' / 'calls.csv'}; no model was saved.\n"


def test_words_are_the_demo_where_nothing_is_named(logq, monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr("logq.text.python_reference", lambda: seen.append("words") or sys.exit(3))
    for words in ([], ["-o", tmp_path / "x"], ["words"]):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(SystemExit):
            logq("demo", *words)
    assert seen == ["words"] * 3


def test_a_demo_that_there_is_not(logq):
    code, _, err = logq("demo", "itms")
    assert code == 2
    assert "No such command 'itms'" in err


def test_help_of_all_demos_needs_no_torch():
    code = "import sys; from logq.cli import main; main(['demo', 'items', '--help']); sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0


def test_ctrl_c_while_the_log_is_read_saves_no_model(logq, tmp_path, monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr("logq.logs.call_graph.call_graph", interrupted)
    line = "Interrupted: the log was not read yet, so no model was saved.\n"
    assert logq("demo", "items", "-o", tmp_path / "d", "-q") == (130, "", line)
