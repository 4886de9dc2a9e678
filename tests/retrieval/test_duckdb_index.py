"""The index of DuckDB by its extension VSS, where the package of that is installed for this version of DuckDB."""

from pathlib import Path

import numpy as np
import pytest

from logq.retrieval import DuckDBItems, ExactIndex

duckdb = pytest.importorskip("duckdb")
vss = pytest.importorskip("duckdb_extension_vss", reason="`make databases` installs it")
if not Path(vss.__file__).with_name("extensions").joinpath(f"v{duckdb.__version__}").exists():
    pytest.skip(f"the package has no extension for DuckDB {duckdb.__version__}", allow_module_level=True)

N, D = 1000, 8
RNG = np.random.default_rng(0)
VECTORS = RNG.standard_normal((N, D)).astype(np.float32)
QUERIES = RNG.standard_normal((20, D)).astype(np.float32)
RARE = [number % 40 == 0 for number in range(N)]


def shared(found, truth):
    return sum(len(set(a) & set(b)) for a, b in zip(found.ids.tolist(), truth.ids.tolist(), strict=True))


@pytest.mark.parametrize("metric", ["inner_product", "cosine"])
def test_an_index_is_used_and_stays_true_after_changes(tmp_path, metric):
    path, exact = tmp_path / "items.duckdb", ExactIndex(VECTORS, metric=metric)
    with DuckDBItems(path, D, {"rare": "bool"}, metric=metric) as store:
        store.write(np.arange(N), VECTORS, {"rare": RARE})
        for links in (8, 16):  # the second replaces the first
            store.create_index(links=links, ef_construction=100, ef_search=100)
        asked = f"SELECT id, {'array_negative_inner_product' if metric == 'inner_product' else 'array_cosine_distance'}"
        sql = f"EXPLAIN {asked}(vector, CAST(? AS FLOAT[{D}])) AS distance FROM items ORDER BY distance LIMIT 10"
        assert "HNSW_INDEX_SCAN" in str(store._connection.execute(sql, [QUERIES[0].tolist()]).fetchall())
        found = store.search(QUERIES, 10)
        assert shared(found, exact.search(QUERIES, 10)) >= 190
        np.testing.assert_allclose(found.scores[:, 0], exact.search(QUERIES, 1).scores[:, 0], rtol=1e-4)
        several = QUERIES.reshape(5, 4, D)
        assert shared(store.search(several, 10), exact.search(several, 10)) >= 45
        rare = np.flatnonzero(RARE)
        kept = store.search(QUERIES, 5, where=[("rare", "=", True)])
        assert kept.ids.tolist() == exact.search(QUERIES, 5, allow=rare).ids.tolist(), "conditions are met exactly"
        best = found.ids[:, :3]
        unwanted = (best.reshape(-1), np.arange(0, best.numel() + 1, 3))
        assert shared(store.search(QUERIES, 7, exclude=unwanted), exact.search(QUERIES, 7, exclude=unwanted)) >= 130
    with DuckDBItems(path) as store:  # opened again, with the index
        gone = found.ids[:, 0].unique()
        store.remove(gone)
        store.write([5000], [20 * QUERIES[0]], {"rare": [None]})
        exact.remove(gone)
        exact.add([5000], [20 * QUERIES[0]])
        after = store.search(QUERIES, 10)
        assert (after.ids >= 0).all(), "removed rows leave holes in the graph, and k come all the same"
        assert after.ids[0, 0] == 5000
        assert shared(after, exact.search(QUERIES, 10)) >= 180
        with pytest.raises(ValueError, match="links: expected an integer >= 2, got 1"):
            store.create_index(links=1)


def test_indexes_of_long_names_are_told_apart(tmp_path):
    path = tmp_path / "items.duckdb"
    names = [f"{'a' * 52}{end}" for end in ("_one", "_two")]
    for _ in range(2):
        for name in names:
            with DuckDBItems(path, D, table=name) as store:
                store.write(np.arange(N), VECTORS)
                store.create_index()
    for name in names:
        with DuckDBItems(path, table=name) as store:
            assert store._indexed
            assert len(store._indexes()) == 1
            store.write([1], VECTORS[:1])
