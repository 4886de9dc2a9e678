import importlib.util
import json
import re

import polars
import pytest

from logq.cli.commands.draw_map import LayoutName
from logq.evaluation import map_layout
from logq.vectors import KeyedVectors


@pytest.fixture
def without_opentsne(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        map_layout.importlib.util, "find_spec", lambda name, *rest: None if name == "openTSNE" else find(name, *rest)
    )


def test_layouts_are_the_library_s():
    assert tuple(name.value for name in LayoutName) == map_layout.LAYOUTS


def test_a_map_is_drawn(logq, vectors, tmp_path):
    path = tmp_path / "map.html"
    code, out, err = logq("map", vectors, "-o", path, "--top", 5, "--title", "King & queen")
    assert (code, err) == (0, "")
    assert out == f"{path}: 5 words, laid out by t-SNE. Open it in a browser.\n"
    assert "<h1>King &amp; queen</h1>" in path.read_text(encoding="utf-8")


def test_without_output_it_lies_here(logq, vectors, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert logq("map", vectors, "--layout", "pca")[0] == 0
    assert (tmp_path / "map.html").exists()


@pytest.mark.usefixtures("without_opentsne")
def test_without_opentsne_it_says_so(logq, vectors, tmp_path):
    code, out, _ = logq("map", vectors, "-o", tmp_path / "map.html")
    assert code == 0
    assert "principal components" in out
    assert "pip install 'logq[map]'" in out


@pytest.mark.usefixtures("without_opentsne")
def test_tsne_without_opentsne_is_an_error(logq, vectors, tmp_path):
    code, out, err = logq("map", vectors, "-o", tmp_path / "map.html", "--layout", "tsne")
    assert (code, out) == (2, "")
    assert "pip install 'logq[map]'" in err
    assert not (tmp_path / "map.html").exists()


def test_a_file_that_cannot_be_written_is_said_before_vectors_are_read(logq, tmp_path):
    code, out, err = logq("map", tmp_path / "no-vectors", "-o", tmp_path / "nowhere" / "map.html")
    assert (code, out) == (2, "")
    assert (
        err
        == f"Error: {tmp_path / 'nowhere' / 'map.html'}: can't be written: there is no folder {tmp_path / 'nowhere'}\n"
    )


def test_missing_vectors(logq, tmp_path):
    code, _, err = logq("map", tmp_path / "nowhere", "-o", tmp_path / "map.html")
    assert code == 2
    assert "nowhere" in err


def test_ctrl_c_says_that_the_old_map_is_kept(logq, vectors, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("logq.evaluation.map_page.write_map", interrupted)
    path = tmp_path / "map.html"
    assert logq("map", vectors, "-o", path) == (130, "", f"Interrupted: {path} was not written.\n")
    path.write_text("old")
    assert logq("map", vectors, "-o", path) == (130, "", f"Interrupted: {path} is as it was before.\n")


def test_items_of_a_recommender_have_titles_and_are_the_most_popular(logq, model, tmp_path):
    path = tmp_path / "map.html"
    code, out, err = logq("map", model, "-o", path, "--top", 12, "--layout", "pca")
    assert (code, err) == (0, "")
    assert out == f"{path}: 12 items, laid out by principal components. Open it in a browser.\n"
    data = json.loads(re.search(r'type="application/json">(.*?)</script>', path.read_text("utf-8"), re.S)[1])
    assert all(name == f"Item number {one[1:]}" for one, name in zip(data["ids"], data["words"], strict=True))
    assert data["count"] == sorted(data["count"], reverse=True)
    near = logq("similar", model, data["ids"][0], "-k", 19)[1].splitlines()
    near = [item for item in (line.split("\t")[1] for line in near) if item in data["ids"]]
    assert [data["ids"][one] for one in data["near"][0]] == near[:8]


def test_a_table_has_what_embedding_atlas_reads(logq, vectors, model, tmp_path):
    """Its `--neighbors` wants a column of {"ids": rows from 0, "distances": numbers}, its `--text` a column of text."""
    path = tmp_path / "map.parquet"
    code, out, _ = logq("map", vectors, "-o", tmp_path / "map.html", "--parquet", path, "--layout", "pca")
    assert code == 0
    assert f"embedding-atlas {path} --text word --x x --y y --neighbors neighbors" in out
    table = polars.read_parquet(path)
    assert table.columns == ["word", "x", "y", "group", "group_name", "count", "neighbors"]
    known = KeyedVectors.load(vectors)
    for word, near in table.select("word", "neighbors").iter_rows():
        told = known.most_similar(word, topn=8)
        assert {table["word"][row] for row in near["ids"]} == {other for other, _ in told}
        assert near["distances"] == pytest.approx([1 - cosine for _, cosine in told], abs=1e-6)
    logq("map", model, "-o", tmp_path / "map.html", "--parquet", path, "--layout", "pca", "--top", 5)
    table = polars.read_parquet(path)
    assert table.columns[:2] == ["item", "title"]
    assert all(title == f"Item number {item[1:]}" for item, title in table.select("item", "title").iter_rows())
    assert max(table["neighbors"].struct.field("ids").explode()) < 5


def test_two_results_are_not_one_file(logq, vectors, tmp_path):
    code, _, err = logq("map", vectors, "-o", tmp_path / "map.html", "--parquet", tmp_path / "nowhere" / "map.parquet")
    assert code == 2
    assert "there is no folder" in err
    assert not (tmp_path / "map.html").exists()
