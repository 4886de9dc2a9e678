"""What the README shows runs as it stands there."""

import re
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    """A corpus.txt in the current folder, with the words that the README asks about."""
    monkeypatch.chdir(tmp_path)
    line = "the king and the queen met a man and a woman in the city on a day in the spring\n"
    Path("corpus.txt").write_text(line * 60, encoding="utf-8")


def test_losses_run_as_shown():
    losses = [block for block in BLOCKS if not re.search("Word2Vec|split|NGram", block)]
    assert len(losses) == 2
    names: dict[str, object] = {}
    for block in losses:
        exec(block, names)
    assert names["best"].ids.shape == (256, 10)
    assert names["value"].item() > 0
    touched = names["loss"].weight.grad.coalesce().indices().unique().numel()
    assert 256 <= touched <= 1280


def test_word_vectors_run_as_shown(corpus, capsys):
    first, second = [block for block in BLOCKS if "Word2Vec" in block]
    names: dict[str, object] = {}
    exec(first, names)
    assert len(capsys.readouterr().out.split("), (")) == 5
    assert Path("vectors", "vectors.safetensors").exists()
    exec(second, names)
    assert names["phrases"].num_words == 60 * 20
    assert "king" in names["model"].vectors


def test_recommendations_run_as_shown(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    items = [1193, 661, 914, *range(20)]
    rows = [f"{user},{items[(user + 3 * step) % len(items)]},{step}" for user in range(60) for step in range(12)]
    Path("log.csv").write_text("\n".join(["userId,movieId,timestamp", *rows]), encoding="utf-8")
    (block,) = [block for block in BLOCKS if "split" in block]
    names: dict[str, object] = {}
    # As shown but for two arguments: twenty epochs of so small a log take seconds for nothing.
    exec(block.replace("pretrain=10)", "pretrain=10, epochs=2)"), names)
    assert "NDCG@10" in capsys.readouterr().out
    assert Path("model", "model.json").exists()


def test_language_models_run_as_shown(corpus, capsys):
    text = ["the king met the queen in the city", "a man and a woman saw the king", "the day was long in spring"]
    Path("corpus.txt").write_text("\n".join(text * 20 + ["once in a city a spring came"]) + "\n", encoding="utf-8")
    for name in ("valid.txt", "test.txt"):
        Path(name).write_text("the king saw a woman in the city\n", encoding="utf-8")
    (block,) = [block for block in BLOCKS if "NGram" in block]
    names: dict[str, object] = {}
    # As shown but for the discounts, which so small a text cannot tell.
    exec(block.replace("order=5", "order=5, discount_fallback=(0.5, 1.0, 1.5)"), names)
    ngram, recurrent, *_ = map(float, re.findall(r"-?\d+\.\d+", capsys.readouterr().out))
    assert 1 < ngram < 25
    assert 1 < recurrent < 25
