"""Bytes of faiss, usearch and hnswlib are checked before these libraries read them: none of them ends the process."""

import numpy as np
import pytest

from logq.retrieval import make_index
from logq.retrieval.faiss_bytes import check_faiss_bytes
from logq.retrieval.hnswlib_bytes import check_hnswlib_bytes
from logq.retrieval.usearch_bytes import check_usearch_bytes

VECTORS = np.random.default_rng(0).standard_normal((60, 4)).astype(np.float32)
KINDS = ("flat", "ivf", "hnsw", "pq", "usearch", "hnswlib")


def payload(kind: str):
    """The bytes of an index, and a function that checks them."""
    if kind == "usearch":
        made = make_index("usearch", VECTORS, links=4)
        made.remove([3, 5])
        live = np.setdiff1d(np.arange(60), [3, 5])
        return made._to_bytes(), lambda data: check_usearch_bytes(data, 4, live)
    if kind == "hnswlib":
        pytest.importorskip("hnswlib")
        made = make_index("hnswlib", VECTORS, links=4)
        made.remove([3, 5])
        live = np.setdiff1d(np.arange(60), [3, 5])
        return made._to_bytes(), lambda data: check_hnswlib_bytes(data, 4, 60, live)
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


@pytest.mark.parametrize("kind", ["flat", "ivf", "usearch", "hnswlib"])
def test_vectors_that_are_not_finite_are_refused(kind: str) -> None:
    data, check = payload(kind)
    place = data.tobytes().find(VECTORS[7].tobytes())
    changed = data.copy()
    changed[place : place + 4] = np.array([np.nan], "<f4").view(np.uint8)
    with pytest.raises(ValueError, match="finite"):
        check(changed)


def at(data: np.ndarray, place: int, dtype: str, value: object) -> np.ndarray:
    """The bytes with another number at a place."""
    changed = data.copy()
    number = np.array([value], dtype)
    changed[place : place + number.nbytes] = number.view(np.uint8)
    return changed


def lists_of(data: np.ndarray) -> int:
    """Where the lists of an index of faiss begin: name, number of lists, length of a code, layout, sizes."""
    return data.tobytes().find(b"ilar")


def sparse(data: np.ndarray, pairs: list[int]) -> np.ndarray:
    """The bytes with pairs of list and size, as faiss writes them where most lists are empty."""
    start = lists_of(data) + 20
    layout = b"sprs" + np.array([len(pairs), *pairs], "<u8").tobytes()
    return np.concatenate([data[:start], np.frombuffer(layout, np.uint8), data[start + 4 + 8 + 3 * 8 :]])


def test_lists_of_faiss_are_read_in_both_layouts() -> None:
    import faiss

    data, check = payload("ivf")
    sizes = data[lists_of(data) + 32 :][:24].view("<u8").tolist()
    assert sum(sizes) == 60
    pairs = [number for pair in enumerate(sizes) for number in pair]
    check(sparse(data, pairs))
    assert faiss.deserialize_index(sparse(data, pairs)).ntotal == 60
    for wrong, message in [
        (pairs[:5], "pairs of list and size"),
        ([2, sizes[2], 1, sizes[1], 0, sizes[0]], "numbers of lists that rise"),
        ([*pairs[:4], 3, sizes[2]], r"numbers of lists in \[0, 2\]"),
    ]:
        with pytest.raises(ValueError, match=message):
            check(sparse(data, wrong))


def test_an_index_of_faiss_needs_no_direct_map() -> None:
    data, check = payload("ivf")
    lists = lists_of(data)
    start = lists - 8 * 60 - 8 - 1  # a kind, a length, and a place of each vector
    assert (data[start], data[start + 1 :][:8].view("<u8")[0]) == (1, 60)
    check(np.concatenate([data[:start], np.zeros(9, np.uint8), data[lists:]]))


@pytest.mark.parametrize(
    ("kind", "place", "dtype", "value", "message"),
    [
        ("ivf", 0, "S4", b"ilax", "expected b'ilar' of faiss, got b'ilax'"),
        ("ivf", 20, "S4", b"fuLl", "expected full or sprs, got b'fuLl'"),
        ("ivf", 32, "<u8", 0, "expected lists of 60 vectors together"),
        ("pq", -16 - 4 * (4 << 5), "<u8", 4, "expected codes of 2 parts of 4 bits, got 2 bytes"),
    ],
)
def test_lists_of_faiss_that_do_not_fit_are_refused(
    kind: str, place: int, dtype: str, value: object, message: str
) -> None:
    data, check = payload(kind)
    with pytest.raises(ValueError, match=message):
        check(at(data, lists_of(data) + place, dtype, value))


def test_each_vector_is_in_one_list() -> None:
    data, check = payload("ivf")
    start = lists_of(data) + 56
    first = int(data[start - 24 :][:8].view("<u8")[0])
    ids = start + first * 4 * 4
    with pytest.raises(ValueError, match="expected each vector in one list"):
        check(at(data, ids, "<i8", data[ids + 8 :][:8].view("<i8")[0]))


def test_the_graph_of_faiss_has_levels_that_fit() -> None:
    import faiss

    data, check = payload("hnsw")
    index = faiss.deserialize_index(data)  # which owns its graph
    graph = index.hnsw
    heights = faiss.vector_to_array(graph.levels)
    assert (heights.max(), heights[graph.entry_point]) == (2, 2)
    low = int(heights.argmin())
    end = len(data) - (37 + 8 + 4 * 4 * 60) - 12  # where the vectors, and three numbers of the search, begin
    entry, top = end - 8, end - 4
    assert data[entry:end].view("<i4").tolist() == [graph.entry_point, 1]
    with pytest.raises(ValueError, match="expected the start on the highest level, 1"):
        check(at(data, entry, "<i4", low))
    with pytest.raises(ValueError, match="expected no vector above the highest level, 0"):
        check(at(at(data, entry, "<i4", low), top, "<i4", 0))
    links = graph.neighbors.size()
    room = graph.cum_nb_neighbors(1)
    upper = entry - 4 * links + 4 * (int(faiss.vector_to_array(graph.offsets)[graph.entry_point]) + room)
    with pytest.raises(ValueError, match="expected neighbors that reach level 1"):
        check(at(data, upper, "<i4", low))


HEAD = 8 + 4 * 60 * 4  # where the head of the index of usearch begins: after the vectors
GRAPH = HEAD + 64
LEVELS = GRAPH + 40
NODES = LEVELS + 2 * 60


@pytest.mark.parametrize(
    ("place", "dtype", "value", "message"),
    [
        (HEAD, "S1", b"U", "expected an index of usearch 2 with metric and types"),
        (HEAD + 33, "<u8", 5, "expected 60 vectors of 4 numbers, got 60 of 5"),
        (GRAPH + 8, "<u8", 0, "expected room for neighbors, got 0 and 8"),
        (GRAPH + 32, "<u8", 60, "expected to start from the highest of 60 slots"),
        (NODES, "<u8", 77, "expected the keys of 58 items, got others"),
        (NODES + 8, "<i2", 9, "expected levels of nodes as they are listed"),
        (NODES + 10, "<u4", 9, "expected at most 8 neighbors, got 9"),
    ],
)
def test_numbers_of_usearch_that_do_not_fit_are_refused(place: int, dtype: str, value: object, message: str) -> None:
    data, check = payload("usearch")
    with pytest.raises(ValueError, match=message):
        check(at(data, place, dtype, value))


def test_levels_of_usearch_are_all_there_and_not_negative() -> None:
    data, check = payload("usearch")
    with pytest.raises(ValueError, match="expected levels of 60 slots, the index ends before"):
        check(data[: LEVELS + 20])
    levels = data[LEVELS:NODES].view("<i2")
    with pytest.raises(ValueError, match="expected levels of 0 and more"):
        check(at(data, LEVELS + 2 * int(levels.argmin()), "<i2", -1))


SLOTS = 96  # where the slots of hnswlib begin: after the head
WIDTH = 4 * (1 + 8) + 4 * 4 + 8  # neighbors, vector and label of a slot
UPPER = SLOTS + 60 * WIDTH


@pytest.mark.parametrize(
    ("place", "dtype", "value", "message"),
    [
        (8, "<u8", 59, "expected room for 60 slots, and at most twice as many, got 59"),
        (8, "<u8", 1 << 60, "expected room for 60 slots"),
        (16, "<u8", 61, r"expected first, slots, .* for dimension 4, got \(0, 61"),
        (24, "<u8", 64, "expected first, slots, slot_bytes"),
        (48, "<i4", 9, "expected to start from the highest of 60 slots"),
        (52, "<u4", 60, "expected to start from the highest of 60 slots"),
        (72, "<u8", 0, "expected up to 10000 neighbors, got 0"),
        (72, "<u8", 5, "expected first, slots"),
        (80, "<f8", 1e9, "expected levels as of 4 neighbors"),
        (88, "<u8", 1 << 40, "expected a number of candidates"),
        (SLOTS, "<u4", 9, "expected at most 8 neighbors, got 9"),
        (SLOTS, "<u4", 1 << 17, "expected at most 8 neighbors, got 131072"),
        (SLOTS + 4, "<u4", 60, "expected neighbors among the slots of level 0"),
        (SLOTS, "u1", 0x10000 | 3, "the labels of 58 items"),
        (SLOTS + WIDTH - 8, "<u8", 77, "expected labels below 60, each once"),
        (UPPER, "<u4", 3, "expected levels of 20 bytes, got 3 bytes of slot 0"),
    ],
)
def test_numbers_of_hnswlib_that_do_not_fit_are_refused(place: int, dtype: str, value: int, message: str) -> None:
    data, check = payload("hnswlib")
    if dtype == "u1":  # the mark of a removed item
        place, dtype, value = place + 2, "u1", 1 - int(data[place + 2])
    with pytest.raises(ValueError, match=message):
        check(at(data, place, dtype, value))


def test_upper_neighbors_of_hnswlib_reach_their_level() -> None:
    data, check = payload("hnswlib")
    place = UPPER
    sizes = []
    for _ in range(60):
        sizes.append(int(data[place : place + 4].copy().view("<u4")[0]))
        place += 4 + sizes[-1]
    first = next(slot for slot, size in enumerate(sizes) if size)
    low = sizes.index(0)
    start = UPPER + 4 * first + 4
    assert 0 < int(data[start : start + 4].copy().view("<u4")[0]) <= 4
    with pytest.raises(ValueError, match="expected neighbors among the slots of level 1"):
        check(at(data, start + 4, "<u4", low))
