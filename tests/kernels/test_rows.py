"""Rows summed by class and updated by compiled code, against loops over numbers. Nothing here needs torch."""

import os
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from logq.kernels import _native
from logq.kernels._native import ClassOrder, sum_classes, update_rows

WIDTHS = [1, 3, 16, 100, 127, 128, 300]
LEVELS = _native.simd_levels()
RULES = ["sgd", "adagrad", "rowwise_adagrad", "adam"]
OPTIONS = {"rate": 0.1, "decay": 0.01, "epsilon": 1e-3, "beta1": 0.8, "beta2": 0.95, "correction": 0.7}

Array = NDArray[Any]


def ids_of(order: ClassOrder) -> list[int]:
    ids = np.empty(len(order), np.int64)
    order.write_ids(ids, threads=1)
    return ids.tolist()


def sums_of(lists: list[Array], rows: list[Array], factors: list[Array | None]) -> dict[int, Array]:
    """The sum of each class, an entry at a time, in float64."""
    total: dict[int, Array] = {}
    for ids, source, weights in zip(lists, rows, factors, strict=True):
        sharing = len(ids) // max(1, len(source))
        for at, number in enumerate(ids.tolist()):
            if number >= 0:
                part = source[at // sharing].astype(np.float64) * (1.0 if weights is None else weights[at])
                total[number] = total.get(number, 0.0) + part
    return dict(sorted(total.items()))


def step(rule: str, w: Array, g: Array, states: list[Array]) -> Array:
    """One row after an update, in float64, and its states changed in place."""
    g = g + OPTIONS["decay"] * w
    if rule == "sgd":
        return w - OPTIONS["rate"] * g
    if rule == "adam":
        m, v = states
        m[:] = OPTIONS["beta1"] * m + (1 - OPTIONS["beta1"]) * g
        v[:] = OPTIONS["beta2"] * v + (1 - OPTIONS["beta2"]) * g * g
        return w - OPTIONS["rate"] * m / (np.sqrt(v) / OPTIONS["correction"] + OPTIONS["epsilon"])
    states[0][:] += g * g if rule == "adagrad" else (g * g).mean()
    return w - OPTIONS["rate"] * g / (np.sqrt(states[0]) + OPTIONS["epsilon"])


def states_for(rule: str, rng: np.random.Generator, count: int, dim: int, dtype: Any) -> list[Array]:
    shapes = {"sgd": [], "adagrad": [dim], "rowwise_adagrad": [1], "adam": [dim, dim]}[rule]
    return [rng.random((count, width)).astype(dtype) for width in shapes]


def given_states(states: list[Array]) -> dict[str, Array]:
    return dict(zip(("first_state", "second_state"), states, strict=False))


@given(
    st.lists(st.lists(st.integers(-3, 40), max_size=60), min_size=1, max_size=2),
    st.integers(41, 1 << 32),
    st.integers(1, 3),
)
def test_ids_come_out_distinct_and_ascending(lists: list[list[int]], num_classes: int, threads: int) -> None:
    order = ClassOrder([np.array(ids, np.int64) for ids in lists], num_classes, threads=threads)
    assert ids_of(order) == sorted({number for ids in lists for number in ids if number >= 0})


@pytest.mark.parametrize("num_classes", [1, 2, 4096, 4097, 1 << 24, (1 << 24) + 1, 1 << 32])
def test_many_entries_of_many_classes_on_several_threads(num_classes: int) -> None:
    rng = np.random.default_rng(num_classes)
    ids = rng.integers(0, num_classes, 60_000)
    ids[rng.random(60_000) < 0.1] = -100
    rows = np.arange(60_000, dtype=np.float64)[:, None]
    expected = np.unique(ids[ids >= 0])
    exact = np.bincount(np.searchsorted(expected, ids[ids >= 0]), rows[ids >= 0, 0])
    for threads in (1, 2, 5):
        order = ClassOrder([ids], num_classes, threads=threads)
        sums = np.empty((len(order), 1))
        sum_classes(order, [rows], [None], sums=sums, threads=threads)
        assert ids_of(order) == expected.tolist()
        assert (sums[:, 0] == exact).all()  # integers below 2**53 have no rounding


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dim", WIDTHS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_sums_of_two_lists_with_factors(dim: int, dtype: Any, level: str) -> None:
    rng = np.random.default_rng(dim)
    real = np.float64 if dtype == np.float64 else np.float32
    lists = [rng.integers(-1, 30, 20), rng.integers(-1, 30, 60)]  # a row for one entry, and for three
    rows = [rng.standard_normal((20, dim)).astype(real), rng.standard_normal((20, dim)).astype(real)]
    factors: list[Array | None] = [None, rng.standard_normal(60).astype(real)]
    order = ClassOrder(lists, 30, threads=1)
    sums, table = np.empty((len(order), dim), dtype), np.full((30, dim), 7, dtype)
    sum_classes(order, rows, factors, sums=sums, scale=-2.0, threads=1, simd=level)
    sum_classes(order, rows, factors, sums=table, sums_by_id=True, scale=-2.0, threads=1, simd=level)
    expected = sums_of(lists, rows, factors)
    tolerance = {np.float32: 1e-5, np.float64: 1e-13, np.float16: 2e-3}[dtype]
    np.testing.assert_allclose(sums, -2 * np.array(list(expected.values())), rtol=tolerance, atol=tolerance)
    assert (table[list(expected)] == sums).all()
    others = np.setdiff1d(np.arange(30), list(expected))
    assert (table[others] == 7).all()


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dim", WIDTHS)
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rules_against_a_loop(rule: str, dim: int, dtype: Any, level: str) -> None:
    rng = np.random.default_rng(dim)
    ids, rows = rng.integers(0, 20, 25), rng.standard_normal((25, dim)).astype(dtype)
    table = rng.standard_normal((20, dim)).astype(dtype)
    states = states_for(rule, rng, 20, dim, dtype)
    exact, exact_states = table.astype(np.float64), [state.astype(np.float64) for state in states]
    for number, g in sums_of([ids], [rows], [None]).items():
        exact[number] = step(rule, exact[number], 0.5 * g, [state[number] for state in exact_states])

    again, again_states = table.copy(), [state.copy() for state in states]
    order = ClassOrder([ids], 20, threads=1)
    common: dict[str, Any] = {"rule": rule, "threads": 1, "simd": level} | OPTIONS
    sum_classes(order, [rows], [None], table=table, scale=0.5, **given_states(states), **common)
    tolerance = 2e-5 if dtype == np.float32 else 1e-13
    np.testing.assert_allclose(table, exact, rtol=tolerance, atol=tolerance)
    for state, exact_state in zip(states, exact_states, strict=True):
        np.testing.assert_allclose(state, exact_state, rtol=tolerance, atol=tolerance)

    # The same with the gradient stored in between, to the last bit.
    sums = np.empty((len(order), dim), dtype)
    sum_classes(order, [rows], [None], sums=sums, scale=0.5, threads=1, simd=level)
    update_rows(again, np.array(ids_of(order)), sums, **given_states(again_states), **common)
    assert (again == table).all()
    assert all((a == b).all() for a, b in zip(again_states, states, strict=True))


@pytest.mark.parametrize("rule", RULES)
def test_all_rows_and_rows_by_their_ids_are_the_same(rule: str) -> None:
    rng = np.random.default_rng(0)
    table, rows = rng.standard_normal((50, 20)), rng.standard_normal((50, 20))
    states = states_for(rule, rng, 50, 20, np.float64)
    other, others = table.copy(), [state.copy() for state in states]
    common: dict[str, Any] = {"rule": rule, "threads": 1} | OPTIONS
    update_rows(table, None, rows, **given_states(states), **common)
    backwards = np.arange(50)[::-1].copy()
    update_rows(other, backwards, rows[backwards], **given_states(others), **common)
    assert (table == other).all()
    assert all((a == b).all() for a, b in zip(states, others, strict=True))


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dim", [1, 3, 128, 130])
def test_cosine_gives_the_gradient_of_the_row_itself(dim: int, level: str) -> None:
    rng = np.random.default_rng(dim)
    ids, rows = rng.integers(0, 6, 15), rng.standard_normal((15, dim))
    table = rng.standard_normal((6, dim))
    table[2], table[3] = 0.0, 1e-14 / dim
    ids[:6] = np.arange(6)
    sums = np.empty((6, dim))
    sum_classes(
        ClassOrder([ids], 6, threads=1), [rows], [None], table=table, sums=sums, cosine=True, threads=1, simd=level
    )
    for number, g in sums_of([ids], [rows], [None]).items():
        w = table[number]
        length = np.sqrt(w @ w)
        expected = (g - (g @ w) * w / length**2) / length if length >= 1e-12 else g / 1e-12
        np.testing.assert_allclose(sums[number], expected, rtol=1e-10, atol=1e-12)


def test_long_sums_round_little() -> None:
    # Added up one by one in float32, a hundred thousand times 0.1 is off by 1e-4 of itself.
    rows = np.full((100_000, 20), 0.1, np.float32)
    sums = np.empty((1, 20), np.float32)
    sum_classes(ClassOrder([np.zeros(100_000, np.int64)], 1, threads=1), [rows], [None], sums=sums, threads=1)
    np.testing.assert_allclose(sums, 100_000 * float(np.float32(0.1)), rtol=5e-6)


def test_rows_of_a_wider_table_leave_its_other_columns_alone() -> None:
    rng = np.random.default_rng(0)
    wide, gradients = np.full((9, 24), 5.0, np.float32), rng.random((9, 40)).astype(np.float32)
    update_rows(wide[:, 3:20], None, gradients[:, 7:24], rule="sgd", rate=2.0, threads=1)
    np.testing.assert_allclose(wide[:, 3:20], 5 - 2 * gradients[:, 7:24], rtol=1e-6)
    assert (wide[:, :3] == 5).all()
    assert (wide[:, 20:] == 5).all()


@pytest.mark.parametrize("rule", ["none", *RULES])
def test_threads_change_nothing(rule: str) -> None:
    rng = np.random.default_rng(0)
    ids = np.minimum(rng.zipf(1.3, 12_000) - 1, 4999)  # one class has a third of the entries
    targets = rng.integers(-1, 5000, 3000)
    inputs, factors = rng.standard_normal((3000, 40)).astype(np.float32), rng.random(12_000).astype(np.float32)
    results: list[bytes] = []
    for threads in (1, 2, 3, 8):
        fixed = np.random.default_rng(1)
        table = fixed.standard_normal((5000, 40)).astype(np.float32)
        states = [] if rule == "none" else states_for(rule, fixed, 5000, 40, np.float32)
        order = ClassOrder([targets, ids], 5000, threads=threads)
        sums = np.empty((len(order), 40), np.float32)
        sum_classes(
            order,
            [inputs, inputs],
            [None, factors],
            table=table,
            sums=sums,
            rule=rule,
            threads=threads,
            **given_states(states),
            **OPTIONS,
        )
        results.append(b"".join(array.tobytes() for array in (table, sums, *states)))
    assert len(set(results)) == 1


def test_memory_comes_back_and_is_used_again() -> None:
    _native.release_row_memory()
    first = _native.row_memory(1 << 22)
    place = first.ctypes.data
    assert place % 64 == 0
    assert first.shape == (1 << 22,)
    assert _native.kept_row_memory() == 0
    del first
    assert 1 << 22 <= _native.kept_row_memory() <= 1 << 23
    again = _native.row_memory((1 << 22) - 5)
    assert again.ctypes.data == place
    assert _native.kept_row_memory() == 0
    del again
    _native.release_row_memory()
    assert _native.kept_row_memory() == 0


def test_kept_memory_is_bounded() -> None:
    _native.release_row_memory()
    held = [_native.row_memory(1 << 20) for _ in range(20)]
    held.clear()
    assert 0 < _native.kept_row_memory() <= 8 * (1 << 21)
    # What nobody wants is given back: here blocks are asked for that are too large for those that are kept.
    for _ in range(80):
        _native.row_memory(1 << 23)
    assert _native.kept_row_memory() <= 1 << 24
    _native.release_row_memory()


def test_memory_outlives_what_asked_for_it() -> None:
    parts = [_native.row_memory(1 << 18)[100:200] for _ in range(12)]
    for number, part in enumerate(parts):
        part[:] = number
    assert all((part == number).all() for number, part in enumerate(parts))


@pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "darwin", reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_works_after_a_fork() -> None:
    ids, rows = np.arange(40_000) % 1000, np.ones((40_000, 8))

    def whole() -> bool:
        order = ClassOrder([ids], 1000, threads=4)
        sums = np.empty((1000, 8))
        sum_classes(order, [rows], [None], sums=sums, threads=4)
        return bool((sums == 40).all())

    assert whole()
    child = os.fork()
    if child == 0:
        os._exit(0 if whole() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_nothing_to_do() -> None:
    none = np.zeros(0, np.int64)
    order = ClassOrder([none, np.full(5, -1)], 10, threads=2)
    assert len(order) == 0
    table = np.ones((10, 4))
    sum_classes(order, [np.ones((0, 4)), np.ones((5, 4))], [None, None], table=table, rule="sgd", rate=1.0, threads=2)
    update_rows(table, none, np.ones((0, 4)), rule="sgd", rate=1.0, threads=2)
    assert (table == 1).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"order": ([np.array([0, 5])], 5)}, "ids: expected class ids below 5, got 5 at entry 1"),
        ({"order": ([], 5)}, "lists: expected one or two, got 0"),
        ({"order": ([np.array([0])], (1 << 32) + 1)}, r"num_classes: expected 0 to 2\*\*32"),
        ({"rule": "sgd", "table": np.ones((4, 3))}, r"table: expected shape \(5, 3\), got \(4, 3, \)"),
        ({"sums": np.ones((3, 3))}, r"sums: expected shape \(2, 3\)"),
        ({"source_rows": [np.ones((3, 3))]}, "source_rows: expected a row for each of equally many entries"),
        ({"factors": [np.ones(3)]}, "factors: expected 2 numbers"),
        ({"cosine": True}, "cosine: expected a table"),
        ({"rule": "sgd"}, "rule: expected a table"),
        ({"rule": "momentum"}, "rule: expected none, sgd, adagrad, rowwise_adagrad or adam, got 'momentum'"),
        ({"rule": "adam", "first_state": np.ones((5, 3))}, "states: expected 2 for adam"),
        ({"simd": "abacus"}, "simd: expected auto or one of"),
    ],
)
def test_bad_arguments(change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {
        "order": ([np.array([0, 4])], 5),
        "source_rows": [np.ones((2, 3))],
        "factors": [None],
        "sums": np.ones((2, 3)),
        "threads": 1,
    }
    arguments |= change
    with pytest.raises(ValueError, match=message):
        sum_classes(ClassOrder(*arguments.pop("order"), threads=1), **arguments)


def test_ids_of_an_update_are_checked() -> None:
    with pytest.raises(ValueError, match=r"ids: expected rows in \[0, 4\), got 4 at position 1"):
        update_rows(np.ones((4, 2)), np.array([0, 4]), np.ones((2, 2)), rule="sgd", threads=1)
    with pytest.raises(TypeError, match="rows: expected another dtype"):
        update_rows(np.ones((4, 2)), np.array([0, 3]), np.ones((2, 2), np.float32), rule="sgd", threads=1)
