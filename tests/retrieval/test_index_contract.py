"""What every index keeps: exact search is the truth, and what is excluded or not allowed never comes."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from index_cases import INSTALLED, KINDS, every_kind
from logq import ArgumentError
from logq.retrieval import ExactIndex, index_recall, load_index, make_index

N, D, USERS = 700, 8, 12
# So much effort that graphs and lists find nearly all; codes stay coarse.
EFFORT = {
    "faiss-ivf": {"nlist": 12, "nprobe": 12},
    "faiss-hnsw": {"ef_search": 200},
    "faiss-pq": {"nlist": 4, "nprobe": 4, "code_bytes": 8},
    "usearch": {"ef_search": 200},
    "hnswlib": {"ef_search": 200},
}
TOLERANCE = {"faiss-pq": 0.5}
EXACT = ("exact", "faiss-flat", "faiss-ivf")
METRICS = ("inner_product", "cosine")

RNG = np.random.default_rng(0)
VECTORS = RNG.standard_normal((N, D)).astype(np.float32)
IDS = RNG.permutation(3 * N)[:N]
QUERIES = RNG.standard_normal((USERS, D)).astype(np.float32)
INTERESTS = RNG.standard_normal((USERS, 3, D)).astype(np.float32)

every_metric = pytest.mark.parametrize("metric", METRICS)


def make(kind, vectors=VECTORS, ids=IDS, metric="inner_product"):
    return make_index(kind, vectors, ids, metric=metric, **EFFORT.get(kind, {}))


@pytest.fixture(scope="module")
def made():
    return {(kind, metric): make(kind, metric=metric) for kind in INSTALLED for metric in METRICS}


def csr(rows):
    return np.array([number for row in rows for number in row], dtype=np.int64), np.cumsum([0, *map(len, rows)])


def true_scores(queries, metric, combine="max"):
    """(users, N) in double precision."""
    queries, vectors = queries.astype(np.float64), VECTORS.astype(np.float64)
    if metric == "cosine":
        queries = queries / np.linalg.norm(queries, axis=-1, keepdims=True)
        vectors = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    scores = queries @ vectors.T
    return scores if scores.ndim == 2 else getattr(scores, combine)(1)


def check(found, scores, kind, k, *, unwanted=None, allowed=None, least=0.9):
    """Hold a result to the scores of all items (users, N)."""
    assert found.scores.dtype == torch.float32
    assert found.ids.dtype == torch.int64
    assert found.ids.shape == found.scores.shape == (len(scores), k)
    hits, wanted = 0, 0
    for row, (ids, values) in enumerate(zip(found.ids.tolist(), found.scores.tolist(), strict=True)):
        gone = set(unwanted[row]) if unwanted is not None else set()
        good = [i for i, number in enumerate(IDS) if number not in gone and (allowed is None or number in allowed)]
        truth = sorted(good, key=lambda i: (-scores[row, i], IDS[i]))[:k]
        there = [number for number in ids if number >= 0]
        assert ids[len(there) :] == [-1] * (k - len(there))
        assert values[len(there) :] == [-np.inf] * (k - len(there))
        assert len(set(there)) == len(there)
        assert set(there) <= {int(IDS[i]) for i in good}
        assert values == sorted(values, reverse=True)
        place = {int(number): i for i, number in enumerate(IDS)}
        expected = [scores[row, place[number]] for number in there]
        np.testing.assert_allclose(values[: len(there)], expected, atol=TOLERANCE.get(kind, 1e-4) * 4)
        hits += len({int(IDS[i]) for i in truth} & set(there))
        wanted += len(truth)
        if kind in EXACT:
            assert there == [int(IDS[i]) for i in truth]
        else:
            assert len(there) == len(truth), "there are enough items, so k must come"
    assert hits >= (0.5 if kind == "faiss-pq" else least) * wanted


@every_kind
@every_metric
def test_finds_what_exact_search_finds(made, kind, metric):
    index = made[kind, metric]
    assert len(index) == N
    assert index.kind == kind
    assert index.ids.tolist() == sorted(IDS.tolist())
    check(index.search(QUERIES, 10), true_scores(QUERIES, metric), kind, 10)


@every_kind
@every_metric
@pytest.mark.parametrize("combine", ["max", "sum"])
def test_several_interests_are_combined(made, kind, metric, combine):
    found = made[kind, metric].search(INTERESTS, 15, combine=combine)
    check(found, true_scores(INTERESTS, metric, combine), kind, 15)


@every_kind
@pytest.mark.parametrize("queries", [QUERIES, INTERESTS], ids=["one", "three"])
def test_excluded_items_never_come(made, kind, queries):
    scores = true_scores(queries, "inner_product")
    # From nobody's items to nearly all, and always the best ones.
    sizes = [0, 1, 5, 50, 200, 695, 700, 10, 3, 0, 400, 30]
    unwanted = [[*IDS[np.argsort(-row)[:size]].tolist(), -1, 5000] for row, size in zip(scores, sizes, strict=True)]
    found = made[kind, "inner_product"].search(queries, 10, exclude=csr(unwanted))
    check(found, scores, kind, 10, unwanted=unwanted)


@every_kind
@pytest.mark.parametrize("share", [0, 5, 100, 400, 700])
def test_only_allowed_items_come(made, kind, share):
    scores = true_scores(QUERIES, "inner_product")
    allowed = np.sort(IDS[np.argsort(scores.max(0))[:share]])  # the worst ones
    unwanted = [allowed[row :: USERS + 1].tolist() for row in range(USERS)]
    index = made[kind, "inner_product"]
    found = index.search(QUERIES, 10, exclude=csr(unwanted), allow=np.concatenate([allowed, [9999]]))
    check(found, scores, kind, 10, unwanted=unwanted, allowed=set(allowed.tolist()))
    mask = np.isin(np.arange(3 * N), allowed)
    again = index.search(QUERIES, 10, exclude=csr(unwanted), allow=torch.from_numpy(mask))
    assert again.ids.tolist() == found.ids.tolist()


@every_kind
def test_more_is_asked_for_than_there_is(made, kind):
    check(made[kind, "cosine"].search(QUERIES[:2], N + 5), true_scores(QUERIES[:2], "cosine"), kind, N + 5, least=0.99)


@every_kind
def test_no_query_and_no_result(made, kind):
    found = made[kind, "inner_product"].search(np.zeros((0, D)), 4, exclude=([], [0]))
    assert found.ids.shape == found.scores.shape == (0, 4)


@every_kind
def test_items_come_and_go(kind):
    index = make(kind, VECTORS[:600], IDS[:600])
    index.add(IDS[600:], VECTORS[600:])
    scores = true_scores(QUERIES, "inner_product")
    check(index.search(QUERIES, 10), scores, kind, 10)
    gone = IDS[np.argsort(-scores.max(0))[:150]]
    index.remove(gone)
    assert len(index) == N - 150
    check(index.search(QUERIES, 10), scores, kind, 10, allowed=set(IDS.tolist()) - set(gone.tolist()))
    index.add(gone[:40], VECTORS[[IDS.tolist().index(number) for number in gone[:40]]])
    left = set(IDS.tolist()) - set(gone[40:].tolist())
    assert index.ids.tolist() == sorted(left)
    check(index.search(QUERIES, 10), scores, kind, 10, allowed=left)
    index.remove(index.ids)
    assert len(index) == 0
    assert index.search(QUERIES, 3, exclude=csr([[1]] * USERS)).ids.tolist() == [[-1] * 3] * USERS


@every_kind
@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([IDS[3]], r"ids: expected items that are not in the index yet, got {}"),
        ([-4], r"ids: expected integers >= 0, got -4"),
        ([9000, 9001], r"ids: expected one for each of the 1 vectors, got 2"),
    ],
)
def test_wrong_ids_are_refused(made, kind, ids, message):
    index = made[kind, "inner_product"]
    with pytest.raises(ValueError, match=message.format(IDS[3])):
        index.add(ids, np.ones((1, D)))
    with pytest.raises(ValueError, match=r"ids: expected each once, got 7001 twice"):
        index.add([7000, 7001, 7001], np.ones((3, D)))
    with pytest.raises(ValueError, match=r"ids: expected items that are in the index, got 6001"):
        index.remove([IDS[0], 6001])
    assert len(index) == N


@every_kind
@pytest.mark.parametrize("worst", [np.nan, np.inf])
def test_vectors_that_are_not_numbers_are_refused(made, kind, worst):
    bad = VECTORS.copy()
    bad[17, 2] = worst
    with pytest.raises(ValueError, match=rf"vectors: .*got {worst} in row 17"):
        make(kind, bad)
    with pytest.raises(ValueError, match=rf"queries: .*got {worst} in row 17"):
        made[kind, "inner_product"].search(bad, 3)


@every_kind
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"queries": np.ones((2, 3))}, ValueError, r"queries: expected shape \(B, 8\) or \(B, K, 8\), got \(2, 3\)"),
        ({"queries": [["a"] * 8]}, TypeError, r"queries: expected vectors of numbers"),
        ({"k": 0}, ValueError, r"k: expected an integer >= 1, got 0"),
        ({"combine": "mean"}, ValueError, r"combine: expected one of 'max', 'sum', got 'mean'"),
        ({"exclude": [1, 2, 3]}, TypeError, r"exclude: expected a pair \(ids, offsets\)"),
        ({"exclude": ([1], [0, 1])}, ValueError, r"exclude: expected 13 offsets for 12 queries, got 2"),
        ({"exclude": ([1], [0] * 13)}, ValueError, r"exclude: expected offsets that rise from 0 to 1"),
        ({"exclude": ([0.5], [0, *[1] * 12])}, TypeError, r"exclude: expected integers, got"),
        ({"allow": [True, False]}, ValueError, r"allow: expected a mask of at least \d+ items, got shape \(2,\)"),
        ({"allow": [0.5]}, TypeError, r"allow: expected integers"),
    ],
)
def test_wrong_questions_are_refused(made, kind, change, error, message):
    arguments = {"queries": QUERIES, **change}
    with pytest.raises(error, match=message):
        made[kind, "inner_product"].search(**arguments)


@every_kind
@every_metric
def test_saved_and_loaded_it_is_the_same(made, kind, metric, tmp_path):
    index = make(kind, metric=metric)
    index.remove(IDS[:20])
    index.add(IDS[:5] + 10_000, VECTORS[:5])
    index.save(tmp_path / "index")
    for loaded in (type(index).load(tmp_path / "index"), load_index(tmp_path / "index")):
        assert type(loaded) is type(index)
        assert (loaded.kind, loaded.metric, loaded.dim, len(loaded)) == (kind, metric, D, len(index))
        assert loaded.ids.equal(index.ids)
        for one, other in zip(loaded.search(INTERESTS, 20), index.search(INTERESTS, 20), strict=True):
            np.testing.assert_allclose(one, other, atol=1e-6)
        loaded.add([99_999], [QUERIES[0] * 10])
        assert loaded.search(QUERIES[:1], 1).ids.tolist() == [[99_999]]


@every_kind
def test_a_single_item_and_equal_items(kind):
    copies = np.ones((300, D))
    found = make(kind, copies, IDS[:300]).search(copies[:1], 300).ids[0].tolist()
    assert found == sorted(IDS[:300].tolist()) or kind not in EXACT
    found = make(kind, copies, IDS[:300]).search(copies[:1], 5).ids[0].tolist()
    assert found == sorted(found)
    assert found == sorted(IDS[:300].tolist())[:5] or kind != "exact"
    options = {"nlist": 1} if kind in ("faiss-ivf", "faiss-pq") else {}
    one = make_index(kind, VECTORS[:1], [42], **options)
    assert one.search(VECTORS[:1], 3, exclude=([7], [0, 1])).ids.tolist() == [[42, -1, -1]]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("faiss-ivf", "faiss-pq")])
def test_an_index_may_begin_empty(kind):
    index = make_index(kind, np.zeros((0, D)))
    assert index.search(QUERIES[:1], 2).ids.tolist() == [[-1, -1]]
    index.add(IDS, VECTORS)
    assert index_recall(index, ExactIndex(VECTORS, IDS), QUERIES, 5).recall > 0.8


@given(st.sampled_from(INSTALLED), st.lists(st.lists(st.sampled_from(IDS[:60].tolist()), max_size=50), max_size=4))
def test_any_exclusion_of_a_small_allow_list(kind, unwanted):
    index = _SMALL.setdefault(kind, make(kind, VECTORS, IDS))
    allowed = set(IDS[:60].tolist())
    queries = QUERIES[: len(unwanted)]
    found = index.search(queries, 8, exclude=csr(unwanted), allow=IDS[:60])
    check(found, true_scores(queries, "inner_product"), kind, 8, unwanted=unwanted, allowed=allowed, least=0)


_SMALL = {}


@every_kind
def test_more_effort_finds_more_and_is_kept(kind, tmp_path):
    index = make_index(kind, VECTORS, IDS)
    assert index.nbytes >= (N if kind == "faiss-pq" else 4 * N * D)
    setting = index.search_setting
    if setting is None:
        with pytest.raises(ArgumentError, match=f"value: expected an index with a setting of searches, got {kind}"):
            index.set_search(3)
        return
    exact, found = ExactIndex(VECTORS, IDS), []
    for value in (1, setting.most):
        index.set_search(value)
        assert index.search_setting == (setting.name, value, setting.most)
        found.append(index_recall(index, exact, QUERIES, 1).recall)
    assert found[0] < found[1] or found == [1.0, 1.0]
    index.save(tmp_path)
    assert load_index(tmp_path).search_setting == index.search_setting
    with pytest.raises(ArgumentError, match="expected an integer >= 1, got 0"):
        index.set_search(0)
    stronger = type(index).builds(kind, D)
    for options in stronger:
        assert make_index(kind, VECTORS, IDS, **options).search_setting is not None
    assert stronger or kind == "faiss-ivf"


@every_kind
def test_the_file_of_the_library_is_read_by_the_library(kind, tmp_path):
    if kind == "exact":
        return
    index = make_index(kind, VECTORS, metric="cosine", **EFFORT.get(kind, {}))
    path, truth = tmp_path / "native", index.search(QUERIES, 5).ids.tolist()
    index.write_native(path)
    unit = (QUERIES / np.linalg.norm(QUERIES, axis=1, keepdims=True)).astype(np.float32)
    if kind == "usearch":
        import usearch.index

        restored = usearch.index.Index.restore(str(path))
        restored.expansion_search = 200
        found = restored.search(unit, 5).keys
    elif kind == "hnswlib":
        import hnswlib

        restored = hnswlib.Index("ip", D)
        restored.load_index(str(path))
        restored.set_ef(200)
        found = restored.knn_query(unit, 5)[0]
    else:
        import faiss

        restored = faiss.read_index(str(path))
        if kind in ("faiss-ivf", "faiss-pq"):
            restored.nprobe = restored.nlist
        elif kind == "faiss-hnsw":
            restored.hnsw.efSearch = 200
        found = restored.search(unit, 5)[1]
    shared = sum(len(set(a) & set(b)) for a, b in zip(found.tolist(), truth, strict=True))
    assert shared >= 58, "60 of 60, but for equal scores of codes"
    index.remove([3])
    with pytest.raises(ArgumentError, match=r"ids: expected 0 to n - 1, in this order, none removed.*build it again"):
        index.write_native(path)


TABLES = {
    "all equal": np.ones((N, D), dtype=np.float32),
    "all zero": np.zeros((N, D), dtype=np.float32),
    "mostly equal": np.concatenate([np.repeat(VECTORS[:3], 200, axis=0), VECTORS[:100]]),
}


@every_kind
@every_metric
@pytest.mark.parametrize("table", TABLES)
def test_of_many_equal_vectors_all_k_come(kind, metric, table):
    """A graph does not reach all of them; where it lacks some, and only there, all items are compared."""
    sparse = {"links": 2, "ef_construction": 4} if kind in ("faiss-hnsw", "usearch", "hnswlib") else {}
    index = make_index(kind, TABLES[table], IDS, metric=metric, **sparse)
    exact = ExactIndex(TABLES[table], IDS, metric=metric)
    gone = [IDS[:row].tolist() for row in range(USERS)]
    for queries, options in (
        (QUERIES, {}),
        (INTERESTS, {"combine": "sum"}),
        (INTERESTS, {"exclude": csr(gone)}),
        (QUERIES, {"allow": np.sort(IDS)[50:]}),
    ):
        for k in (300, N, N + 5):
            found, truth = index.search(queries, k, **options), exact.search(queries, k, **options)
            there = (found.ids >= 0).numpy()
            assert np.array_equal(there.sum(1), (truth.ids >= 0).sum(1).numpy())
            for row in range(USERS):
                assert len({*found.ids[row].tolist()} - {-1}) == there[row].sum()
            if k >= N and kind != "faiss-pq":
                assert np.allclose(found.scores[there], truth.scores[there], atol=1e-5)


def test_a_query_that_a_graph_answers_is_not_compared_with_all(monkeypatch):
    """The others of the same search are."""
    index = make_index("usearch", np.concatenate([np.ones((N, D)), np.eye(D)]), links=2, ef_construction=4)
    compared = []

    def count(self, search, rows, combine):
        compared.append(rows.tolist())
        return original(self, search, rows, combine)

    original = type(index)._compared
    monkeypatch.setattr(type(index), "_compared", count)
    index.search(QUERIES, 5)
    assert compared == []
    found = index.search(QUERIES, N)
    assert [len(rows) for rows in compared] == [USERS]
    assert int((found.ids >= 0).sum()) == USERS * N
