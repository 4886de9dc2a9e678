import numpy as np
import pytest

from logq.cli import main
from logq.vectors import KeyedVectors
from trainings import write_corpus


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
