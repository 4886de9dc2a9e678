"""What Keras returned, and what it does to a text, word by word; and what becomes of Python's own generator."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logq.compat.keras import make_sampling_table, skipgrams

GOLDEN = Path(__file__).parents[1] / "golden"
RUNS = json.loads((GOLDEN / "keras_calls.json").read_text(encoding="utf-8"))
TEXT = [1, 2, 0, 3, 4, 2]


@pytest.fixture(autouse=True)
def same_generator_afterwards():
    state = random.getstate()
    yield
    random.setstate(state)


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN / "keras_skipgrams.npz") as file:
        return dict(file)


def test_golden_tables(golden):
    assert np.array_equal(make_sampling_table(3), golden["table3"])
    assert np.array_equal(make_sampling_table(10), golden["table10"])
    assert np.array_equal(make_sampling_table(1000, 1e-4), golden["table1000_f1e-4"])


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("w1", {"sequence": TEXT[:5], "vocabulary_size": 5, "window_size": 1, "negative_samples": 0, "shuffle": False}),
        ("w2_neg1_seed7_rng0", {"sequence": TEXT, "vocabulary_size": 5, "window_size": 2, "seed": 7}),
        (
            "cat",
            {
                "sequence": [*TEXT[:2], 3],
                "vocabulary_size": 4,
                "negative_samples": 0.5,
                "shuffle": False,
                "categorical": True,
            },
        ),
    ],
)
def test_golden_calls(golden, name, arguments):
    random.seed(0)
    couples, labels = skipgrams(**arguments)
    assert couples == golden[f"{name}_couples"].tolist()
    assert labels == golden[f"{name}_labels"].tolist()
    again = skipgrams(**arguments, rng=random.Random(0))
    assert again == (couples, labels)


@pytest.mark.parametrize("run", RUNS, ids=range(len(RUNS)))
def test_golden_runs_of_several_calls(run):
    """With a generator of their own whole runs are Keras', though that resets its generator at each shuffle."""
    state = random.getstate()
    rng = random.Random(run["start"])
    for call in run["calls"]:
        arguments = {name: value for name, value in call.items() if name != "returns"}
        assert list(skipgrams(**arguments, rng=rng)) == call["returns"]
    assert random.getstate() == state  # Python's own was not touched
    # Its numbers are there for a first call, too.
    random.seed(run["start"])
    first = {name: value for name, value in run["calls"][0].items() if name != "returns"}
    assert list(skipgrams(**first)) == run["calls"][0]["returns"]


def test_golden_runs_through_the_module_itself():
    for run in RUNS[:5]:
        random.seed(run["start"])
        for call in run["calls"]:
            arguments = {name: value for name, value in call.items() if name != "returns"}
            assert list(skipgrams(**arguments, rng=random)) == call["returns"]


def by_loop(text, window):
    pairs = []
    for i in range(len(text)):
        for j in range(i - window, i + window + 1):
            if 0 <= j < len(text) and i != j and text[i] != 0 and text[j] != 0:
                pairs.append([text[i], text[j]])
    return pairs


@given(st.lists(st.integers(0, 5), max_size=12), st.integers(0, 14), st.integers(0, 99), st.sampled_from([0, 0.7, 2]))
def test_loop(text, window, start, share):
    pairs = by_loop(text, window)
    couples, labels = skipgrams(text, 6, window, share, shuffle=False, rng=random.Random(start))
    assert couples[: len(pairs)] == pairs
    assert labels == [1] * len(pairs) + [0] * int(len(pairs) * share)
    negatives = couples[len(pairs) :]
    assert all(1 <= word < 6 for _, word in negatives)
    if share == 2:
        assert sorted(word for word, _ in negatives) == sorted([word for word, _ in pairs] * 2)
    shuffled = skipgrams(np.array(text, dtype=np.int64), 6, window, share, seed=3, rng=random.Random(start))
    assert sorted(map(repr, zip(*shuffled, strict=True))) == sorted(map(repr, zip(couples, labels, strict=True)))


def test_a_table_keeps_words_with_its_probabilities():
    text = [1, 2] * 20_000
    couples, labels = skipgrams(
        text, 3, 1, negative_samples=0, shuffle=False, sampling_table=[0, 0.3, 1], rng=random.Random(5)
    )
    centers = np.bincount([word for word, _ in couples])
    assert len(couples) == len(labels)
    assert centers[2] == 2 * 20_000 - 1  # the last one has one neighbor
    kept = centers[1] / 2
    assert abs(kept - 6000) < 5 * np.sqrt(20_000 * 0.3 * 0.7)


def test_pythons_generator_is_not_seeded():
    random.seed(11)
    expected = random.random()
    random.seed(11)
    skipgrams(TEXT, 5, negative_samples=0, seed=7)
    assert random.random() == expected
    without = [skipgrams(TEXT, 5)[0] for _ in range(5)]  # no seed: other numbers each time
    assert len({repr(couples) for couples in without}) > 1


def test_words_are_shuffled_even_where_no_negative_comes_of_it():
    """As in Keras, whose later draws follow from it."""
    rng, same = random.Random(0), random.Random(0)
    skipgrams([1, 2], 5, negative_samples=0.1, shuffle=False, rng=rng)
    same.shuffle([1, 2])
    assert rng.getstate() == same.getstate()


def test_nothing_to_pair():
    for text in ([], [0, 0], [3]):
        assert skipgrams(text, 1, seed=1) == ([], [])
    assert skipgrams([1, 2], 5, window_size=0) == ([], [])
    assert skipgrams(np.zeros(0), 5) == ([], [])


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"sequence": [1, -2]}, ValueError, "sequence: expected ids >= 0, got -2 at position 1"),
        ({"sequence": [[1, 2]]}, ValueError, r"sequence: expected ids in one dimension, got shape \(1, 2\)"),
        ({"sequence": [1.5, 2]}, TypeError, "sequence: expected integers"),
        ({"sequence": ["a", "b"]}, TypeError, "sequence: expected integers"),
        ({"vocabulary_size": 0}, ValueError, "vocabulary_size"),
        ({"vocabulary_size": 1}, ValueError, "vocabulary_size: expected at least 2 where negatives are drawn, got 1"),
        ({"window_size": -1}, ValueError, "window_size"),
        ({"negative_samples": -0.5}, ValueError, "negative_samples"),
        ({"shuffle": 1}, TypeError, "shuffle"),
        ({"categorical": "no"}, TypeError, "categorical"),
        ({"seed": 0.5}, TypeError, "seed"),
        (
            {"sampling_table": [0.5, 1.0]},
            ValueError,
            "sampling_table: expected a number for each word, got 2 for word 2",
        ),
        ({"sampling_table": [["a"]]}, ValueError, r"sampling_table: expected shape \(V,\) of numbers"),
    ],
)
def test_bad_arguments(changes, error, message):
    with pytest.raises(error, match=message):
        skipgrams(**{"sequence": [1, 2], "vocabulary_size": 5, **changes})


def test_bad_tables():
    with pytest.raises(ValueError, match="size"):
        make_sampling_table(0)
    with pytest.raises(ValueError, match="sampling_factor"):
        make_sampling_table(3, 0)
    assert make_sampling_table(1).shape == (1,)
    assert make_sampling_table(5, 1e9).max() == 1
