import pytest

from logq.cli.commands import demo_words
from logq.vectors import KeyedVectors


@pytest.fixture
def small_reference(monkeypatch, corpus):
    """A handful of sentences in place of the 320,000 words, which take seconds."""
    sentences = [line.split() for line in corpus.read_text().splitlines()]
    monkeypatch.setattr("logq.text.python_reference", lambda: sentences)
    monkeypatch.setattr(demo_words, "SHOWN", ("tea", "train", "unheard-of"))


@pytest.mark.usefixtures("small_reference")
def test_the_demo_leaves_vectors_and_a_map_and_says_what_next(logq, tmp_path):
    folder = tmp_path / "demo"
    code, out, err = logq("demo", "-o", folder)
    assert (code, err) == (0, "")
    assert sorted(path.name for path in folder.iterdir()) == ["map.html", "vectors.json", "vectors.safetensors"]
    assert "tea" in KeyedVectors.load(folder)
    assert f"logq neighbors {folder} tea" in out
    assert str(folder / "map.html") in out
    header = next(line for line in out.splitlines() if line.startswith("tea"))
    assert "train" in header
    assert "unheard-of" not in out


def test_an_output_that_cannot_be_written_is_said_first(logq, tmp_path, monkeypatch):
    monkeypatch.setattr("logq.text.python_reference", lambda: pytest.fail("read for nothing"))
    (tmp_path / "file").write_text("precious")
    code, out, err = logq("demo", "-o", tmp_path / "file")
    assert (code, out) == (2, "")
    assert "found a file" in err


@pytest.mark.usefixtures("small_reference")
def test_ctrl_c_while_the_map_is_drawn_keeps_the_vectors(logq, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("logq.evaluation.map_page.write_map", interrupted)
    code, _, err = logq("demo", "-o", tmp_path / "demo")
    assert code == 130
    assert err == f"Interrupted: the vectors are in {tmp_path / 'demo'}; the map was not drawn.\n"
    assert "tea" in KeyedVectors.load(tmp_path / "demo")


def test_ctrl_c_while_the_corpus_is_read_saves_nothing(logq, tmp_path, monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr("logq.text.python_reference", interrupted)
    line = "Interrupted: the corpus was not read yet, so nothing was saved.\n"
    assert logq("demo", "-o", tmp_path / "demo", "-q") == (130, "", line)
    assert not (tmp_path / "demo" / "vectors.json").exists()
