"""What the README and the first pages show runs as it stands there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def blocks(page):
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    """A corpus.txt in the current folder, with the words that the README asks about."""
    monkeypatch.chdir(tmp_path)
    line = "the king and the queen met a man and a woman in the city on a day in the spring\n"
    Path("corpus.txt").write_text(line * 60, encoding="utf-8")


def test_losses_run_as_shown():
    first, functional, sequences = blocks("docs/losses.md")
    names: dict[str, object] = {}
    for block in (first, functional):
        exec(block, names)
    assert names["best"].ids.shape == (256, 10)
    assert names["value"].item() > 0
    touched = names["loss"].weight.grad.coalesce().indices().unique().numel()
    assert 256 <= touched <= 1280
    names["loss"].weight.grad = None
    exec(sequences, names)
    rows = names["loss"].weight.grad.coalesce().indices()[0]
    learned = names["labels"][:, :12].flatten()
    assert set(learned.tolist()) <= set(rows.tolist())
    assert len(rows) <= len(learned) + 1024  # and no row of padding


def test_word_vectors_run_as_shown(corpus, capsys):
    first, sentences, phrases = blocks("docs/words.md")
    names: dict[str, object] = {}
    exec(first, names)
    assert len(capsys.readouterr().out.split("), (")) == 5
    assert Path("vectors", "vectors.safetensors").exists()
    exec(sentences, names)
    shape, alike = capsys.readouterr().out.splitlines()
    assert shape == "(2, 100)"
    assert -1 <= float(alike) <= 1
    exec(phrases, names)
    assert names["phrases"].num_words == 60 * 20
    assert "king" in names["model"].vectors


def test_recommendations_run_as_shown(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    items = [1193, 661, 914, *range(20)]
    rows = [f"{user},{items[(user + 3 * step) % len(items)]},{step}" for user in range(60) for step in range(12)]
    Path("log.csv").write_text("\n".join(["userId,movieId,timestamp", *rows]), encoding="utf-8")
    losses, log = blocks("README.md")
    assert "SampledSoftmaxLoss" in losses
    names: dict[str, object] = {}
    # As shown but for the epochs: many of so small a log take seconds for nothing.
    exec(log.replace("SASRec()", "SASRec(epochs=2)"), names)
    assert "NDCG@10" in capsys.readouterr().out
    assert Path("model", "model.json").exists()
