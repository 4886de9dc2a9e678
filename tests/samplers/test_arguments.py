"""Wrong arguments of constructors: always a ValueError or TypeError, and its message starts with the name."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from logq.samplers import EveryClass, InBatch, LearnedUnigram, LogUniform, Partition, Uniform, Unigram, WithinGroup

anything = st.none() | st.text() | st.binary() | st.booleans() | st.complex_numbers() | st.just(object()) | st.just({})
floats = st.floats(allow_nan=True, allow_infinity=True)
no_size = anything | floats | st.integers(max_value=0) | st.lists(st.integers(), max_size=3) | st.just(torch.ones(2))
no_seed = (anything | floats | st.integers(max_value=-1) | st.integers(min_value=1 << 64)).filter(
    lambda value: value is not None
)
not_a_number = anything | st.lists(st.integers(), min_size=2) | st.just(torch.tensor(1.0))
not_finite = st.sampled_from([float("nan"), float("inf"), -float("inf")])
bad_value = st.floats(max_value=-1e-300, allow_nan=False) | not_finite
number = st.floats(0, 1e300)
no_counts = (
    anything
    | st.lists(st.just(0), max_size=4)
    | st.tuples(st.lists(number), bad_value, st.lists(number)).map(lambda parts: [*parts[0], parts[1], *parts[2]])
    | st.lists(st.lists(number, min_size=1), max_size=3)
    | st.lists(st.text(min_size=1), min_size=1, max_size=3)
    | st.lists(st.complex_numbers(), min_size=1, max_size=3)
)
no_subsets = (
    anything
    | st.just([])
    | st.lists(st.just([]), min_size=1, max_size=2)
    | st.lists(st.lists(st.integers(max_value=-1) | st.integers(min_value=5), min_size=1), min_size=1, max_size=3)
    | st.lists(st.lists(st.floats(), min_size=1), min_size=1, max_size=3)
    | st.lists(st.integers(0, 4).map(lambda id: [id, id]), min_size=1, max_size=3)
)
no_dtype = st.sampled_from([torch.int64, torch.bool, torch.complex64, "float32", 32, float("nan")])

WRONG = {
    "num_classes": no_size,
    "num_sampled": no_size,
    "seed": no_seed,
    "dtype": no_dtype,
    "counts": no_counts,
    "power": not_a_number | not_finite,
    "groups": anything | st.just([0]) | st.just([0, -1]) | st.just([0.5, 1.0]),
    "num_reserved_ids": (anything | floats | st.integers(max_value=-1)).filter(lambda value: value != 0),
    "rate": not_a_number | bad_value | st.floats(min_value=1.0000001),
    "subsets": no_subsets,
}
RIGHT = {
    EveryClass: {"num_classes": 5},
    Uniform: {"num_classes": 5, "num_sampled": 2},
    LogUniform: {"num_classes": 5, "num_sampled": 2},
    LearnedUnigram: {"num_classes": 5, "num_sampled": 2},
    Unigram: {"counts": [3, 4], "num_sampled": 2, "power": 1, "num_reserved_ids": 0},
    WithinGroup: {"counts": [3, 4], "groups": [0, 1], "num_sampled": 2, "power": 1},
    InBatch: {"num_classes": 5, "counts": [1, 2, 3, 4, 5], "rate": 0.1},
    Partition: {"num_classes": 5, "subsets": [[1, 2, 3]], "num_sampled": 2},
}
OPTIONAL = {(InBatch, "counts"), (Partition, "num_sampled")}


@pytest.mark.parametrize(
    ("distribution", "argument"),
    [
        (distribution, argument)
        for distribution, arguments in RIGHT.items()
        for argument in (*arguments, "seed", "dtype")
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
@given(data=st.data())
def test_errors_name_the_argument(distribution, argument, data):
    distribution(**RIGHT[distribution])
    wrong = data.draw(WRONG[argument])
    if wrong is None and (distribution, argument) in OPTIONAL:
        return
    with pytest.raises((ValueError, TypeError), match=rf"^{argument}"):
        distribution(**RIGHT[distribution] | {argument: wrong})
