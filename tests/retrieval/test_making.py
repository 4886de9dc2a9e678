"""Indexes by name, and what is said where a library is missing."""

import sys

import numpy as np
import pytest

from logq.retrieval import FaissIndex, UsearchIndex, make_index

VECTORS = np.eye(4)


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match=r"kind: expected one of 'exact', 'faiss-flat'.*got 'annoy'"):
        make_index("annoy", VECTORS)
    with pytest.raises(ValueError, match=r"kind: expected one of 'flat', 'ivf', 'hnsw', 'pq', got 'faiss-flat'"):
        FaissIndex(VECTORS, kind="faiss-flat")
    with pytest.raises(ValueError, match=r"metric: expected one of 'inner_product', 'cosine', got 'l2'"):
        make_index("exact", VECTORS, metric="l2")


@pytest.mark.parametrize(("kind", "library"), [("faiss-flat", "faiss"), ("usearch", "usearch")])
def test_a_missing_library_is_named_with_its_command(kind, library, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.setitem(sys.modules, f"{library}.index", None)
    with pytest.raises(ModuleNotFoundError, match=rf"needs {library}: pip install 'logq\[{library}\]'"):
        make_index(kind, VECTORS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "ivf", "nlist": 5}, r"nlist: expected at most 4, .*got 5"),
        ({"kind": "pq", "code_bytes": 3}, r"code_bytes: expected a divisor of D = 4, got 3"),
        ({"kind": "hnsw", "links": 1}, r"links: expected an integer >= 2, got 1"),
        ({"kind": "ivf", "nprobe": 0}, r"nprobe: expected an integer >= 1, got 0"),
    ],
)
def test_numbers_out_of_range_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        FaissIndex(VECTORS, **options)


@pytest.mark.parametrize("kind", ["ivf", "pq"])
def test_lists_are_learned_from_something(kind):
    with pytest.raises(ValueError, match=r"vectors: expected at least one, to learn the lists from, got none"):
        FaissIndex(np.zeros((0, 4)), kind=kind)


def test_building_says_how_far_it_is(capsys, monkeypatch):
    monkeypatch.setattr("logq.retrieval.approximate_index._AT_A_TIME", 10)
    UsearchIndex(np.random.default_rng(0).random((35, 4)), progress=True)
    assert "building usearch" in capsys.readouterr().err
    UsearchIndex(VECTORS)
    assert capsys.readouterr().err == ""


def test_few_vectors_are_no_reason_to_write(capfd):
    FaissIndex(np.random.default_rng(0).random((40, 4)), kind="pq", nlist=7)
    assert capfd.readouterr() == ("", "")
