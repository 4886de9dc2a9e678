"""Bytes of faiss and usearch are checked before these libraries read them: none of them ends the process."""

import numpy as np
import pytest

from logq.retrieval import make_index
from logq.retrieval.faiss_bytes import check_faiss_bytes
from logq.retrieval.usearch_bytes import check_usearch_bytes

VECTORS = np.random.default_rng(0).standard_normal((60, 4)).astype(np.float32)
KINDS = ("flat", "ivf", "hnsw", "pq", "usearch")


def payload(kind: str):
    """The bytes of an index, and a function that checks them."""
    if kind == "usearch":
        made = make_index("usearch", VECTORS, links=4)
        made.remove([3, 5])
        live = np.setdiff1d(np.arange(60), [3, 5])
        return made._to_bytes(), lambda data: check_usearch_bytes(data, 4, live)
    options = {"nlist": 3} if kind in ("ivf", "pq") else {}
    made = make_index(f"faiss-{kind}", VECTORS, **options)
    return made._to_bytes(), lambda data: check_faiss_bytes(data, kind, 4, 60)


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_of_the_library_are_taken(kind: str) -> None:
    data, check = payload(kind)
    check(data)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.0, 0.01, 0.4, 0.9, 0.999])
def test_cut_bytes_are_refused(kind: str, share: float) -> None:
    data, check = payload(kind)
    with pytest.raises(ValueError, match="expected"):
        check(data[: int(share * len(data))])


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_that_are_left_over_are_refused(kind: str) -> None:
    data, check = payload(kind)
    with pytest.raises(ValueError, match="expected"):
        check(np.append(data, np.zeros(8, np.uint8)))


@pytest.mark.parametrize("kind", ["flat", "ivf", "hnsw", "pq"])
def test_lengths_of_faiss_are_not_believed(kind: str) -> None:
    data, check = payload(kind)
    refused = 0
    for place in range(0, 120):
        for number in (1 << 62, 0xFFFFFFFF, 61):
            changed = data.copy()
            changed[place : place + 8] = np.frombuffer(number.to_bytes(8, "little"), np.uint8)
            try:
                check(changed)
            except ValueError:
                refused += 1
    assert refused > 100


def test_neighbors_out_of_range_are_refused() -> None:
    data, check = payload("hnsw")
    neighbor = np.array([60], "<i4").view(np.uint8)
    found = data.tobytes().find(np.full(8, -1, "<i4").tobytes())
    changed = data.copy()
    changed[found : found + 4] = neighbor
    with pytest.raises(ValueError, match=r"neighbors in \[-1, 59\]"):
        check(changed)
    data, check = payload("usearch")
    changed = data.copy()
    start = 8 + 4 * 60 * 4 + 64 + 40 + 2 * 60 + 8 + 2
    assert 0 < int(changed[start : start + 4].view("<u4")[0]) <= 8
    changed[start + 4 : start + 8] = neighbor
    with pytest.raises(ValueError, match="neighbors among the slots"):
        check(changed)


@pytest.mark.parametrize("kind", ["flat", "ivf", "usearch"])
def test_vectors_that_are_not_finite_are_refused(kind: str) -> None:
    data, check = payload(kind)
    place = data.tobytes().find(VECTORS[7].tobytes())
    changed = data.copy()
    changed[place : place + 4] = np.array([np.nan], "<f4").view(np.uint8)
    with pytest.raises(ValueError, match="finite"):
        check(changed)
