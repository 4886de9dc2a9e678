"""The commands that are printed as next steps run as they stand there, after a plain install."""

import shlex
import sys

import pytest

from logq.cli import main
from logq.cli.commands import demo_items, demo_words, train_recommender
from logq.logs.call_graph import CallGraph

EXTRAS = ("polars", "faiss", "usearch", "sklearn", "matplotlib", "scipy", "duckdb", "zstandard", "openTSNE", "fastapi")


@pytest.fixture
def plain_install(monkeypatch):
    """Hide what only an extra of logq installs."""

    def hide():
        for name in EXTRAS:
            monkeypatch.setitem(sys.modules, name, None)

    return hide


def steps(out):
    shown = out.split("\nNext steps\n")[1].splitlines()
    return [line.split("  # ")[0].strip() for line in shown if line.startswith("  ")]


def run(commands, *, shorter=()):
    """Run each as a shell would, and return the first words of all."""
    for command in commands:
        first, *words = shlex.split(command)
        if first == "logq":
            assert main([*words, *(shorter if words[0] == "train" else [])]) == 0, command
        elif first == "python":
            exec(words[1], {})
        else:
            assert (first, words[0]) == ("pip", "install")
    return [command.split()[0] for command in commands]


def folder_of(tmp_path):
    return tmp_path / "a folder, it's mine"


@pytest.mark.parametrize("word", ["tea", "-dash", "--minus", "it's"])
def test_after_word2vec(logq, tmp_path, plain_install, word):
    corpus = tmp_path / "corpus.txt"
    corpus.write_text(f"{word} {word} word\n" * 40)
    _, out, _ = logq("train", "word2vec", corpus, "-o", folder_of(tmp_path), "--dim", 4, "--sample", 0)
    plain_install()
    assert run(steps(out)) == ["logq", "logq", "logq", "python"]
    assert (folder_of(tmp_path) / "explore.html").exists()


@pytest.mark.parametrize("model", ["ngram", "gru"])
@pytest.mark.parametrize("valid", [False, True])
def test_after_a_language_model(logq, lines, tmp_path, plain_install, model, valid):
    options = ["--discount-fallback", "0.5,1,1.5"] if model == "ngram" else ["--dim", 4, "--hidden", 4, "--epochs", 1]
    text = tmp_path / "my text.txt"
    text.write_text("the king saw the queen\n")
    options += ["--valid", text] if valid else []
    _, out, _ = logq("train", "lm", lines, "-o", folder_of(tmp_path), "--model", model, *options)
    plain_install()
    assert run(steps(out)) == ["logq", *(["logq"] if valid else []), "python"]


@pytest.mark.parametrize("held_out", ["last", "none"])
@pytest.mark.parametrize("command", ["item2vec", "sasrec"])
def test_after_a_recommender(logq, ratings, tmp_path, plain_install, monkeypatch, command, held_out):
    options = ["--dim", 4, "--epochs", 1, "--validation", held_out]
    _, out, _ = logq("train", command, ratings, "-o", folder_of(tmp_path), *options)
    found = steps(out)
    assert "index" not in out, "among twenty items exact search is the fastest"
    plain_install()
    assert len(run(found)) == (5 if held_out == "last" else 4)
    assert (folder_of(tmp_path) / "explore.html").exists()


def test_a_page_is_suggested_of_what_has_one(logq, ratings, tmp_path):
    _, out, _ = logq("train", "popularity", ratings, "-o", folder_of(tmp_path))
    assert not [step for step in steps(out) if "explore" in step]


@pytest.mark.parametrize("installed", [False, True])
def test_an_index_is_suggested_for_many_items(logq, ratings, tmp_path, plain_install, monkeypatch, installed):
    pytest.importorskip("faiss")
    monkeypatch.setattr(train_recommender, "_MANY_ITEMS", 20)
    log = tmp_path / "log.csv"
    log.write_bytes(ratings.read_bytes())
    find = train_recommender.install_steps
    monkeypatch.setattr(
        train_recommender,
        "install_steps",
        lambda module, *rest: find(module if installed else "no_such_module", *rest),
    )
    _, out, _ = logq("train", "sasrec", log, "-o", folder_of(tmp_path), "--dim", 4, "--epochs", 1)
    found = steps(out)
    index = next(place for place, step in enumerate(found) if step.startswith("logq index"))
    assert (found[index - 1] == "pip install 'logq[faiss]'") == (not installed)
    run(found)


@pytest.fixture
def small_demos(monkeypatch, corpus):
    callees = [["open", ".seek", ".read", ".tell", ".close"], ["lock", ".acquire", "get", "put", ".release"]] * 12
    graph = CallGraph([f"f{n}" for n in range(len(callees))], callees)
    monkeypatch.setattr("logq.logs.call_graph.call_graph", lambda: graph)
    monkeypatch.setattr(demo_items, "SHOWN", ("open", "lock"))
    monkeypatch.setattr(
        "logq.text.python_reference", lambda: [line.split() for line in corpus.read_text().splitlines()]
    )
    monkeypatch.setattr(demo_words, "SHOWN", ("tea", "train"))


@pytest.mark.usefixtures("small_demos")
def test_after_the_demo_of_items(logq, tmp_path, plain_install, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, out, _ = logq("demo", "items", "-o", folder_of(tmp_path))
    assert [step.split()[:2] for step in steps(out)] == [["logq", "similar"], ["logq", "recommend"], ["logq", "train"]]
    run(steps(out), shorter=["--epochs", "1", "-q"])
    plain_install()
    _, out, _ = logq("demo", "items", "-o", folder_of(tmp_path), "--overwrite")
    assert run(steps(out)[:2]) == ["logq", "logq"]
    assert steps(out)[2] == "pip install 'logq[logs]'"


@pytest.mark.usefixtures("small_demos")
def test_after_the_demo_of_words(logq, tmp_path, plain_install):
    plain_install()
    _, out, _ = logq("demo", "words", "-o", folder_of(tmp_path))
    assert run(steps(out)) == ["logq", "python"]


def test_after_a_search(logq, tmp_path, monkeypatch):
    """The log is read again as it was, which without its options would fail or give another model."""
    pytest.importorskip("optuna", reason="optuna is not installed: pip install 'logq[tune]'")
    monkeypatch.chdir(tmp_path)
    rows = [
        f"{user + step};x{user};{(user + step) % 12};0{1 + step}.02.2024;{1 + (user + step) % 5}"
        for user in range(30)
        for step in range(8)
    ]
    (tmp_path / "a log").write_text("\n".join(["n;who is it;what;when;stars", *rows]) + "\n")
    options = ["--user", "who is it", "--item", "what", "--time", "when", "--time-format", "%d.%m.%Y"]
    options += ["--separator", ";", "--label", "stars", "--min-label", 2, "--validation", "users", "--held-out", 0.2]
    code, out, err = logq("tune", "item-knn", "a log", "-o", "a search", *options, "--trials", 2, "--seed", 1)
    assert code == 0, err
    assert run(steps(out), shorter=["-q"]) == ["logq"]
    from logq.folders.recommender_folders import open_folder

    found = open_folder(tmp_path / "model")
    assert found.split is not None
    assert (found.split.how["by"], found.split.how["test_share"]) == ("user", 0.2)
    assert found.log is not None
    assert found.log.labels is not None
    assert found.log.labels.min() == 2
    assert found.log.item_ids.kind == "int"
    assert found.log.timestamps is not None
