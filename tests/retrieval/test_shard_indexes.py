"""Indexes of vectors in shards: the answers of all vectors in memory, with one shard there at a time."""

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from logq._files import atomic_write
from logq._model_file import write_tensors
from logq.distributed import VectorShard, VectorShards, vector_shards
from logq.distributed.placing import Placing
from logq.retrieval import index_shards, item_keys, load_index, make_index, search_shards

RNG = np.random.default_rng(0)
C, D, W = 2000, 8, 3
VECTORS = RNG.standard_normal((C, D)).astype(np.float32)
BIAS = RNG.standard_normal(C).astype(np.float32)
QUERIES = RNG.standard_normal((40, D)).astype(np.float32)
NAMES = np.array([f"item ö{code}" for code in range(C)])


def write(
    folder: Path,
    vectors: np.ndarray,
    *,
    bias: np.ndarray | None = None,
    keys: np.ndarray | None = None,
    ids: np.ndarray | None = None,
    size: int = W,
    **about: str,
) -> VectorShards:
    """Shards as `size` processes write them."""
    placing, version = Placing(len(vectors), size), "0" * 16
    (folder / version).mkdir(parents=True, exist_ok=True)
    for rank in range(size):
        own = placing.ids_of(rank).numpy()
        parts = [None if array is None else array[own] for array in (vectors, bias, keys)]
        shard = VectorShard(own if ids is None else ids[own], *parts)  # pyright: ignore[reportArgumentType]
        with atomic_write(folder / version / f"vectors-{rank:05d}-of-{size:05d}.safetensors") as file:
            write_tensors(file, shard.tensors(), {"format": "logq.distributed.vectors 1"})
    vector_shards._switch(folder, version, len(vectors), vectors.shape[1], size, about)
    return VectorShards(folder)


def best(vectors: np.ndarray, queries: np.ndarray, k: int) -> np.ndarray:
    return np.argsort(-(queries.astype(np.float64) @ vectors.T.astype(np.float64)), axis=1)[:, :k]


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_exact_search_of_one_shard_after_the_other(tmp_path: Path) -> None:
    shards = write(tmp_path, VECTORS)
    found = search_shards(shards, QUERIES, 7)
    assert found.ids.tolist() == best(VECTORS, QUERIES, 7).tolist()
    np.testing.assert_allclose(found.scores, np.sort(QUERIES @ VECTORS.T)[:, ::-1][:, :7], rtol=1e-5)
    assert search_shards(tmp_path, QUERIES, 7, metric="cosine").ids.tolist() == best(unit(VECTORS), QUERIES, 7).tolist()
    several = search_shards(shards, QUERIES.reshape(20, 2, D), 5)
    scores = (QUERIES @ VECTORS.T).reshape(20, 2, C).max(1)
    assert several.ids.tolist() == np.argsort(-scores, axis=1)[:, :5].tolist()
    everything = search_shards(shards, QUERIES[:1], C + 5)
    assert sorted(everything.ids[0].tolist()) == [-1] * 5 + list(range(C))


@pytest.mark.parametrize("metric", ["inner_product", "cosine"])
@pytest.mark.parametrize("kind", ["exact", "faiss-flat"])
def test_an_index_that_looks_at_all_items_gives_the_exact_answers(kind: str, metric: Any, tmp_path: Path) -> None:
    if kind != "exact":
        pytest.importorskip("faiss")
    shards = write(tmp_path / "shards", VECTORS)
    index_shards(shards, tmp_path / "index", kind, metric=metric)
    made = load_index(tmp_path / "index")
    assert (made.kind, made.metric, made.dim, len(made)) == (kind, metric, D, C)
    expected, found = search_shards(shards, QUERIES, 9, metric=metric), made.search(QUERIES, 9)
    assert found.ids.equal(expected.ids)
    torch.testing.assert_close(found.scores, expected.scores)
    of_whole = make_index(kind, VECTORS, metric=metric)
    assert found.ids.equal(of_whole.search(QUERIES, 9).ids)


@pytest.mark.parametrize(
    ("kind", "options", "least"),
    [
        ("faiss-hnsw", {}, 0.95),
        ("faiss-ivf", {"nlist": 20, "nprobe": 10}, 0.9),
        ("faiss-ivf", {}, 0.7),
        ("faiss-pq", {"nlist": 10, "nprobe": 10, "code_bytes": 8}, 0.8),
        ("usearch", {}, 0.95),
    ],
)
def test_approximate_indexes_find_most(kind: str, options: dict[str, int], least: float, tmp_path: Path) -> None:
    pytest.importorskip(kind.split("-")[0])
    shards = write(tmp_path / "shards", VECTORS)
    index_shards(shards, tmp_path / "index", kind, **options)
    made = load_index(tmp_path / "index")
    assert made.ids.tolist() == list(range(C))
    found, truth = made.search(QUERIES, 10).ids.tolist(), search_shards(shards, QUERIES, 10).ids.tolist()
    assert np.mean([len({*one} & {*other}) / 10 for one, other in zip(found, truth, strict=True)]) > least


def test_a_bias_is_one_more_number(tmp_path: Path) -> None:
    shards = write(tmp_path / "shards", VECTORS, bias=BIAS)
    index_shards(shards, tmp_path / "index")
    asked = np.concatenate([QUERIES, np.ones((40, 1), np.float32)], axis=1)
    expected = np.argsort(-(QUERIES @ VECTORS.T + BIAS), axis=1)[:, :5]
    assert load_index(tmp_path / "index").search(asked, 5).ids.tolist() == expected.tolist()
    assert search_shards(shards, asked, 5).ids.tolist() == expected.tolist()


@pytest.mark.parametrize("keys", [NAMES, 7 * np.arange(C)])
def test_items_have_the_names_that_users_know(keys: np.ndarray, tmp_path: Path) -> None:
    shards = write(tmp_path / "shards", VECTORS, keys=keys)
    index_shards(shards, tmp_path / "index")
    asked = np.array([[3, -1], [C - 1, 0]])
    expected = [[keys[3].item(), None], [keys[-1].item(), keys[0].item()]]
    assert item_keys(tmp_path / "index", asked).tolist() == expected
    part = shards.part(1, 7)
    assert np.asarray(part.keys).tolist() == keys[part.ids].tolist()
    index_shards(write(tmp_path / "others", VECTORS), tmp_path / "index")
    with pytest.raises(FileNotFoundError):
        item_keys(tmp_path / "index", asked)


def test_the_fingerprint_knows_no_order_of_shards(tmp_path: Path) -> None:
    found = [
        index_shards(write(tmp_path / str(size), VECTORS, size=size), tmp_path / f"index {size}") for size in (1, 2, 5)
    ]
    assert len({*found}) == 1
    changed = VECTORS.copy()
    changed[[4, 5]] = changed[[5, 4]]
    assert index_shards(write(tmp_path / "other", changed), tmp_path / "other index") != found[0]


@pytest.mark.parametrize("kind", ["exact", "faiss-pq"])
def test_vectors_are_never_all_in_memory(kind: str, tmp_path: Path) -> None:
    """Of a table of 16 MB in 16 files; the index of codes has 1.3 MB, and learns from 2 MB."""
    if kind != "exact":
        pytest.importorskip("faiss")
    table = np.random.default_rng(1).standard_normal((1 << 16, 64)).astype(np.float32)
    shards = write(tmp_path / "shards", table, size=16)
    options = {} if kind == "exact" else {"nlist": 64, "code_bytes": 4}
    index_shards(write(tmp_path / "small", VECTORS), tmp_path / "small index")  # what is made once
    tracemalloc.start()
    try:
        index_shards(shards, tmp_path / "index", kind, **options)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < table.nbytes / 2
    if kind == "exact":
        found = load_index(tmp_path / "index").search(table[:3], 1)
        assert found.ids[:, 0].tolist() == [0, 1, 2]


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="metric: expected cosine, which the shards were written for, got inner_prod"):
        index_shards(write(tmp_path / "a", VECTORS, metric="cosine"), tmp_path / "index", metric="inner_product")
    with pytest.raises(ValueError, match="kind: expected one of 'exact'"):
        index_shards(tmp_path / "a", tmp_path / "index", "annoy")
    with pytest.raises(ValueError, match="nlist: expected no settings of an exact index, got 5"):
        index_shards(tmp_path / "a", tmp_path / "index", nlist=5)
    twice = write(tmp_path / "b", VECTORS, ids=np.arange(C) // 2)
    with pytest.raises(ValueError, match="expected ids from 0 to 1999, each once"):
        index_shards(twice, tmp_path / "index")
    not_finite = write(tmp_path / "c", np.where(np.arange(C)[:, None] == 9, np.nan, VECTORS))
    with pytest.raises(ValueError, match="vectors: expected finite numbers"):
        index_shards(not_finite, tmp_path / "index")
    path = sorted((tmp_path / "a").rglob("*.safetensors"))[1]
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="changed or is damaged"):
        index_shards(tmp_path / "a", tmp_path / "index")
    assert not list((tmp_path / "index").glob("*"))
