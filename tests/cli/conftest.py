import math

import numpy as np
import pytest

from logq.cli import main
from logq.vectors import KeyedVectors
from trainings import write_corpus


@pytest.fixture(autouse=True)
def no_progress_lines(monkeypatch):
    """Work of more than two seconds leaves a line on standard error: how long a test takes is not what it is about."""
    monkeypatch.setattr("logq._progress._QUICK", math.inf)
    monkeypatch.setattr("logq._progress._LINE_EVERY", math.inf)


@pytest.fixture
def logq(capsys):
    """Run the command line in this process: words -> (exit code, what it wrote, its errors)."""

    def run(*words):
        capsys.readouterr()
        code = main([str(word) for word in words])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, out, err

    return run


@pytest.fixture
def corpus(tmp_path):
    """A small text with two kinds of words: drinks and trains."""
    rng = np.random.default_rng(0)
    drinks = ["tea", "coffee", "water", "milk", "cup", "drink"]
    trains = ["train", "track", "station", "engine", "wagon", "signal"]
    lines = [" ".join(rng.choice(words, 8)) for _ in range(60) for words in (drinks, trains)]
    path = tmp_path / "corpus.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def vectors(tmp_path):
    """A folder of vectors in which king - man + woman is queen."""
    words = ["man", "woman", "king", "queen", "[tea]", "apple"]
    rows = [[1, 0, 0, 1], [0, 1, 0, 1], [1, 0, 1, 1], [0, 1, 1, 1], [-1, -1, 0, 0.5], [-1, -1, 0.2, 0.4]]
    KeyedVectors(words, np.array(rows), counts=[60, 50, 40, 30, 20, 10]).save(tmp_path / "vectors")
    return tmp_path / "vectors"


@pytest.fixture(scope="session")
def text(tmp_path_factory):
    """200,000 words of 2,000 kinds, by Zipf's law."""
    return write_corpus(tmp_path_factory.mktemp("text") / "text.txt", 200_000)


@pytest.fixture(scope="session")
def ratings(tmp_path_factory):
    """Sixty users who go through twenty items in a ring, each from another place; and what is known of the items."""
    folder = tmp_path_factory.mktemp("ratings")
    rows = [
        f"u{user},i{(user + step) % 20},{1 + (user + step) % 5},{1000 * user + step}"
        for user in range(60)
        for step in range(4 + user % 5)
    ]
    (folder / "ratings.csv").write_text("\n".join(["user_id,item_id,rating,ts", *rows]) + "\n")
    items = [f"i{item},Item number {item},{'even' if item % 2 == 0 else 'odd'}" for item in range(20)]
    (folder / "items.csv").write_text("\n".join(["item_id,title,kind", *items]) + "\n")
    return folder / "ratings.csv"


@pytest.fixture(scope="session")
def model(ratings, tmp_path_factory):
    """A folder with a small SASRec of the ratings, which has learned the ring."""
    folder = tmp_path_factory.mktemp("trained") / "model"
    options = ["--dim", "16", "--dropout", "0", "--epochs", "30", "--lr", "0.02", "--patience", "0"]
    options += ["--num-sampled", "10", "--batch-size", "32", "--seed", "1", "-q"]
    features = ["--item-features", str(ratings.parent / "items.csv")]
    assert main(["train", "sasrec", str(ratings), "-o", str(folder), *features, *options]) == 0
    return folder


@pytest.fixture(scope="session")
def lines(tmp_path_factory):
    """Lines of a king and a queen, with every count that Kneser-Ney's discounts want."""
    rng = np.random.default_rng(0)
    people, deeds = ["king", "queen", "man", "woman", "fool"], ["saw", "met", "left", "loved"]
    distribution = [0.4, 0.3, 0.15, 0.1, 0.05]
    text = [
        f"the {rng.choice(people, p=distribution)} {rng.choice(deeds)} the {rng.choice(people, p=distribution)}"
        for _ in range(150)
    ]
    text += [f"once w{number} was" + " here" * (number % 4) for number in range(12)]
    path = tmp_path_factory.mktemp("lines") / "lines.txt"
    path.write_text("\n".join(text) + "\n")
    return path


@pytest.fixture(scope="session")
def counted(lines, tmp_path_factory):
    """A folder of a trigram model of these lines, with its ARPA file beside it."""
    folder = tmp_path_factory.mktemp("counted")
    words = ["train", "lm", lines, "-o", folder / "model", "--order", 3, "--discount-fallback", "0.5,1,1.5"]
    assert main([str(word) for word in [*words, "--arpa", folder / "model.arpa", "-q"]]) == 0
    return folder / "model"


@pytest.fixture(scope="session")
def recurrent(lines, tmp_path_factory):
    """A folder of a small GRU of these lines."""
    folder = tmp_path_factory.mktemp("recurrent") / "model"
    words = ["train", "lm", lines, "-o", folder, "--model", "gru", "--dim", 8, "--hidden", 8, "--epochs", 2]
    words += ["--num-sampled", 10, "--batch-size", 4, "--lr", 0.01, "--seed", 1, "-q"]
    assert main([str(word) for word in words]) == 0
    return folder
