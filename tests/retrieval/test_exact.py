"""Exact search against a loop in double precision that knows nothing of parts."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from logq.retrieval import ExactIndex, exact_index

small = st.sampled_from([-2.0, -1.0, 0.0, 1.0, 2.0])  # inner products without rounding, and many ties


def by_loop(vectors, ids, queries, k, *, metric="inner_product", combine="max", unwanted=None, allowed=None):
    """What a student would write; queries (B, K, D)."""
    result = []
    for row, interests in enumerate(np.asarray(queries, dtype=np.float64)):
        scored = []
        for number, vector in zip(ids, np.asarray(vectors, dtype=np.float64), strict=True):
            if (unwanted is not None and number in unwanted[row]) or (allowed is not None and number not in allowed):
                continue
            scores = []
            for query in interests:
                score = float(query @ vector)
                if metric == "cosine":
                    length = float(np.linalg.norm(query) * np.linalg.norm(vector))
                    score = score / length if length else 0.0
                scores.append(score)
            scored.append((-max(scores) if combine == "max" else -sum(scores), number))
        best = sorted(scored)[:k]
        result.append([(number, -score) for score, number in best] + [(-1, -np.inf)] * (k - len(best)))
    return result


@st.composite
def searches(draw):
    items, dim, rows, interests = (draw(st.integers(low, high)) for low, high in ((0, 12), (1, 3), (0, 4), (1, 3)))
    ids = draw(st.permutations(range(20)))[:items]
    vectors = np.array(draw(st.lists(small, min_size=items * dim, max_size=items * dim)), dtype=np.float32)
    count = rows * interests * dim
    queries = np.array(draw(st.lists(small, min_size=count, max_size=count)), dtype=np.float32)
    unwanted = [draw(st.lists(st.integers(-1, 22), max_size=5)) for _ in range(rows)]
    allowed = draw(st.none() | st.lists(st.integers(0, 25), max_size=12))
    return vectors.reshape(items, dim), ids, queries.reshape(rows, interests, dim), unwanted, allowed


def csr(rows):
    return [number for row in rows for number in row], np.cumsum([0, *map(len, rows)])


@given(searches(), st.integers(1, 8), st.sampled_from(["max", "sum"]), st.sampled_from([1, 64, None]), st.booleans())
def test_as_a_loop_has_it(search, k, combine, scratch, as_mask):
    vectors, ids, queries, unwanted, allowed = search
    index = ExactIndex(vectors, ids, scratch=scratch)
    allow = allowed
    if as_mask and allowed is not None:
        allow = np.isin(np.arange(26), allowed)
    found = index.search(queries, k, exclude=csr(unwanted), allow=allow, combine=combine)
    assert found.scores.dtype == torch.float32
    assert found.ids.dtype == torch.int64
    expected = by_loop(vectors, ids, queries, k, combine=combine, unwanted=unwanted, allowed=allowed)
    assert found.ids.tolist() == [[number for number, _ in row] for row in expected]
    assert found.scores.tolist() == [[score for _, score in row] for row in expected]


@pytest.mark.parametrize("metric", ["inner_product", "cosine"])
@pytest.mark.parametrize("combine", ["max", "sum"])
def test_real_numbers_in_several_parts(metric, combine, monkeypatch):
    monkeypatch.setattr("logq.retrieval.exact_index._ITEMS", 1100)
    rng = np.random.default_rng(0)
    vectors, queries = rng.standard_normal((3000, 6)), rng.standard_normal((7, 3, 6))
    vectors[5] = 0
    ids = rng.permutation(9000)[:3000]
    unwanted = [rng.choice(ids, 40).tolist() for _ in range(7)]
    index = ExactIndex(vectors, ids, metric=metric, scratch=4 * 1100 * 3 * 2)
    found = index.search(queries, 20, exclude=csr(unwanted), combine=combine)
    expected = by_loop(vectors, ids, queries, 20, metric=metric, combine=combine, unwanted=unwanted)
    assert found.ids.tolist() == [[number for number, _ in row] for row in expected]
    np.testing.assert_allclose(found.scores, [[score for _, score in row] for row in expected], rtol=1e-5, atol=1e-5)


def test_copies_of_a_vector_come_by_id_wherever_they_stand(monkeypatch):
    monkeypatch.setattr("logq.retrieval.exact_index._ITEMS", 1037)
    rng = np.random.default_rng(1)
    vectors = rng.integers(-4, 5, (5000, 17)).astype(np.float32)  # integers: no product is rounded
    copies = np.sort(rng.choice(5000, 60, replace=False))
    query = rng.integers(-4, 5, (1, 17)).astype(np.float32)
    vectors[copies] = 3 * query
    found = ExactIndex(vectors).search(query, 50).ids
    assert found[0].tolist() == copies[:50].tolist()


def test_scores_of_all_items_are_never_held_at_once(monkeypatch):
    index = ExactIndex(np.ones((1000, 2)), scratch=4 * 100)
    held = []
    keys = exact_index.best
    monkeypatch.setattr(
        exact_index,
        "best",
        lambda scores, k, first: held.append(scores.numel()) or keys(scores, k, first),
    )
    assert index.search(np.ones((30, 2)), 3).ids.tolist() == [[0, 1, 2]] * 30
    assert max(held) <= 100


def test_vectors_are_copied():
    vectors = np.ones((2, 2), dtype=np.float32)
    index = ExactIndex(vectors)
    vectors[:] = 5
    assert index.search([[1.0, 0.0]], 1).scores.tolist() == [[1.0]]


def test_a_parameter_may_be_searched():
    vectors = torch.nn.Parameter(torch.eye(3))
    found = ExactIndex(vectors).search(vectors, 1)
    assert found.ids.tolist() == [[0], [1], [2]]
    assert not found.scores.requires_grad


def test_overflow_cannot_happen_in_silence():
    with pytest.raises(ValueError, match=r"vectors: .*got 3e\+20 in row 1"):
        ExactIndex([[1.0, 2.0], [3e20, 1.0]])
    with pytest.raises(ValueError, match=r"queries: .*got inf in row 0 vector 1"):
        ExactIndex([[1.0, 2.0]]).search([[[1.0, 2.0], [1.0, float("inf")]]])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_finds_the_same():
    rng = np.random.default_rng(0)
    vectors = rng.integers(-3, 4, (5000, 8)).astype(np.float32)
    queries = rng.integers(-3, 4, (50, 2, 8)).astype(np.float32)
    unwanted = [rng.integers(0, 5000, 30).tolist() for _ in range(50)]
    here = ExactIndex(vectors).search(queries, 100, exclude=csr(unwanted), allow=range(0, 5000, 2))
    there = ExactIndex(vectors, device="cuda").search(queries, 100, exclude=csr(unwanted), allow=range(0, 5000, 2))
    assert there.ids.device.type == "cuda"
    assert here.ids.tolist() == there.ids.tolist()
    assert here.scores.tolist() == there.scores.tolist()


def test_the_vectors_are_in_the_order_of_ids() -> None:
    vectors = np.array([[3.0, 4.0], [0.0, 2.0]], dtype=np.float32)
    assert ExactIndex(vectors, ids=[9, 2]).vectors.tolist() == [[0, 2], [3, 4]]
    lengths = ExactIndex(vectors, ids=[9, 2], metric="cosine").vectors.norm(dim=1)
    torch.testing.assert_close(lengths, torch.ones(2))


def test_ids_and_vectors_of_other_kinds() -> None:
    index = ExactIndex(np.eye(3, dtype=np.float32), ids=np.array([7, 8, 9], np.uint32))
    assert index.ids.tolist() == [7, 8, 9]
    with pytest.raises(ValueError, match=r"ids: expected shape \(n,\), got \(1, 2\)"):
        index.remove([[7, 8]])
    with pytest.raises(TypeError, match=r"vectors: expected vectors of numbers, got torch\.bool"):
        ExactIndex(np.eye(3, dtype=bool))
