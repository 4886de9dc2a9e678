"""Bad arguments of every function: ValueError or TypeError that names the argument, and never anything else."""

import math
import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cases import FUNCTIONS, call
from logq import ArgumentError, ArgumentTypeError, functional
from logq.candidates import Candidates
from problems import B, C, D, S, problem

NAMES = list(FUNCTIONS)
SAMPLED = ["sampled_loss", *(name for name, row in FUNCTIONS.items() if row is not None and row.negatives.sampled)]
FULL = [name for name in NAMES if name not in SAMPLED]
USES_Q = ["nce_loss", "sampled_logistic_loss", "sampled_softmax_loss", "refined_softmax_loss"]


def refused(argument: str, function, *arguments, **options) -> None:
    """The call fails with the right kind of error, and its message starts with the argument's name."""
    with pytest.raises(
        (ValueError, TypeError), match=rf"^{re.escape(argument)}: expected|^{re.escape(argument)}: "
    ) as info:
        function(*arguments, **options)
    assert type(info.value) in (ValueError, TypeError, ArgumentError, ArgumentTypeError)


NO_MATRIX = {
    "none": None,
    "a list": [[0.0] * D] * B,
    "a number": 1.0,
    "a word": "input",
    "a vector": torch.zeros(D),
    "a cube": torch.zeros(B, C, D),
    "integers": torch.zeros(B, D, dtype=torch.int64),
    "truths": torch.zeros(B, D, dtype=torch.bool),
    "complex": torch.zeros(B, D, dtype=torch.complex64),
}


@pytest.mark.parametrize("bad", NO_MATRIX.values(), ids=NO_MATRIX)
@pytest.mark.parametrize("name", NAMES)
def test_input(name, bad):
    p = problem()
    refused("input", call, name, bad, p.weight, p.candidates)


@pytest.mark.parametrize(
    "bad",
    [*NO_MATRIX.values(), torch.zeros(C, D + 1), torch.zeros(0, D), torch.zeros(C, D, device="meta")],
    ids=[*NO_MATRIX, "too wide", "no classes", "elsewhere"],
)
@pytest.mark.parametrize("name", NAMES)
def test_weight(name, bad):
    p = problem()
    if isinstance(bad, torch.Tensor) and bad.shape == (B, D) and bad.is_floating_point():
        pytest.fail("that would be a weight")
    refused("weight", call, name, p.input, bad, p.candidates)


@pytest.mark.parametrize(
    "bad",
    [1.0, [0.0] * C, torch.zeros(C + 1), torch.zeros(C, 1), torch.zeros(()), torch.zeros(C, dtype=torch.int32)],
    ids=str,
)
@pytest.mark.parametrize("name", NAMES)
def test_bias(name, bad):
    p = problem()
    refused("bias", call, name, p.input, p.weight, p.candidates, bias=bad)


BAD_OPTIONS = {
    "temperature": [0, -1.0, math.nan, math.inf, -math.inf, None, "1", True, torch.ones(2), [1.0], 1j],
    "cosine": [None, 1, 0.0, "no", torch.tensor(True), []],
    "reduction": ["average", "", None, True, 3, ["mean"], "Mean", torch.ones(2)],
    "ignore_index": [None, "x", 0.5, True, math.nan, torch.ones(2), [1]],
}
BAD_SAMPLED_OPTIONS = {
    "remove_hits": [1, "yes", 0.0, torch.tensor(True), []],
    "sparse": [None, 1, "yes", torch.tensor(False)],
}


@pytest.mark.parametrize(
    ("option", "bad"), [(key, bad) for key, values in BAD_OPTIONS.items() for bad in values], ids=str
)
@pytest.mark.parametrize("name", NAMES)
def test_options(name, option, bad):
    p = problem()
    refused(option, call, name, p.input, p.weight, p.candidates, **{option: bad})


@pytest.mark.parametrize(
    ("option", "bad"), [(key, bad) for key, values in BAD_SAMPLED_OPTIONS.items() for bad in values], ids=str
)
@pytest.mark.parametrize("name", SAMPLED)
def test_options_of_sampled_losses(name, option, bad):
    p = problem()
    refused(option, call, name, p.input, p.weight, p.candidates, **{option: bad})


@pytest.mark.parametrize("name", NAMES)
def test_unknown_options_are_pythons_own_error(name):
    p = problem()
    with pytest.raises(TypeError, match="temprature"):
        call(name, p.input, p.weight, p.candidates, temprature=1.0)


@pytest.mark.parametrize(
    "bad", [None, "softmax", "NCE", 3, ["nce"], {"nce": 1}, torch.ones(2), torch.ones(1), "nce_loss"], ids=str
)
@pytest.mark.parametrize("function", [functional.sampled_loss, functional.full_loss])
def test_objective(function, bad):
    p = problem()
    refused("objective", function, bad, p.input, p.weight, p.candidates)


def test_objective_of_the_other_kind():
    p = problem()
    with pytest.raises(ValueError, match="objective: expected one that samples, got full_softmax; call full_loss"):
        functional.sampled_loss("full_softmax", p.input, p.weight, p.candidates)
    with pytest.raises(
        ValueError, match="objective: expected one whose negatives are all classes, got nce; call sampled_loss"
    ):
        functional.full_loss("nce", p.input, p.weight, p.candidates.targets)


BAD_TARGETS = {
    "none": None,
    "a list": [0] * B,
    "a number": 3,
    "floats": torch.zeros(B),
    "int32": torch.zeros(B, dtype=torch.int32),
    "truths": torch.zeros(B, dtype=torch.bool),
    "too large": torch.tensor([0, 1, C, 0, 0]),
    "negative": torch.tensor([0, 1, -1, 0, 0]),
    "huge": torch.tensor([0, 1, 2**62, 0, 0]),
    "too many rows": torch.zeros(B + 1, dtype=torch.int64),
    "one number": torch.zeros((), dtype=torch.int64),
    "a cube": torch.zeros(B, 1, 1, dtype=torch.int64),
    "no columns": torch.zeros(B, 0, dtype=torch.int64),
}


@pytest.mark.parametrize("bad", BAD_TARGETS.values(), ids=BAD_TARGETS)
@pytest.mark.parametrize("name", FULL)
def test_targets(name, bad):
    p = problem()
    refused("targets", call, name, p.input, p.weight, p.candidates._replace(targets=bad))


@pytest.mark.parametrize("bad", BAD_TARGETS.values(), ids=BAD_TARGETS)
@pytest.mark.parametrize("name", SAMPLED)
def test_candidates_targets(name, bad):
    p = problem()
    refused("candidates.targets", call, name, p.input, p.weight, p.candidates._replace(targets=bad))


BAD_CANDIDATES = {
    "ids": [
        None,
        [0] * S,
        torch.zeros(S),
        torch.zeros(S, dtype=torch.int32),
        torch.full((S,), C),
        torch.full((S,), -100),
        torch.full((S,), -1),
        torch.zeros(B + 1, S, dtype=torch.int64),
        torch.zeros((), dtype=torch.int64),
        torch.zeros(1, B, S, dtype=torch.int64),
    ],
    "log_expected_count": [
        None,
        0.0,
        [0.0] * S,
        torch.zeros(S + 1),
        torch.zeros(1, S),
        torch.zeros(B + 1, S),
        torch.zeros(B, S + 1),
        torch.zeros(()),
        torch.zeros(S, dtype=torch.int64),
        torch.zeros(S, dtype=torch.bool),
        torch.zeros(S, dtype=torch.complex64),
    ],
    "true_log_expected_count": [
        None,
        0.0,
        torch.zeros(B + 1),
        torch.zeros(B, 1),
        torch.zeros(()),
        torch.zeros(B, dtype=torch.int64),
    ],
    "excluded": [
        True,
        [True],
        torch.zeros(S, dtype=torch.bool),
        torch.zeros(B, S + 1, dtype=torch.bool),
        torch.zeros(B, S),
        torch.zeros(B, S, dtype=torch.int64),
    ],
}


@pytest.mark.parametrize(("field", "bad"), [(key, bad) for key, values in BAD_CANDIDATES.items() for bad in values])
@pytest.mark.parametrize("name", SAMPLED)
def test_candidates_fields(name, field, bad):
    p = problem()
    refused(f"candidates.{field}", call, name, p.input, p.weight, p.candidates._replace(**{field: bad}))


@pytest.mark.parametrize(
    "bad", [None, 3, torch.zeros(S), tuple(problem().candidates), {"ids": 1}], ids=lambda x: str(type(x))
)
@pytest.mark.parametrize("name", [name for name in SAMPLED if name != "sampled_loss"])
def test_candidates(name, bad):
    p = problem()
    refused("candidates", getattr(functional, name), p.input, p.weight, bad)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("field", ["log_expected_count", "true_log_expected_count"])
@pytest.mark.parametrize("name", SAMPLED)
def test_expected_counts_that_are_none(name, field, value):
    """Subtracted, they must be numbers; negative sampling does not look at them."""
    p = problem()
    spoilt = getattr(p.candidates, field).clone()
    spoilt[1] = value
    arguments = (name, p.input, p.weight, p.candidates._replace(**{field: spoilt}))
    if name in ("negative_sampling_loss", "gbce_loss"):
        assert call(*arguments).isfinite()
    else:
        refused(f"candidates.{field}", call, *arguments)
        # Also where the class is the one that stands for "ignored" among the targets.
        if field == "log_expected_count":
            refused(f"candidates.{field}", call, *arguments, ignore_index=int(p.candidates.ids[1]))


def test_messages_tell_the_first_offender_and_what_was_expected():
    p = problem()
    targets = p.candidates.targets.clone()
    targets[3] = 99
    with pytest.raises(
        ValueError,
        match=r"^targets: expected class ids in \[0, 11\) or ignore_index = -100, got 99 at position \(3,\)$",
    ):
        functional.full_softmax_loss(p.input, p.weight, targets)
    with pytest.raises(ValueError, match=r"^weight: expected shape \(C, D\) with D = 3, got \(11, 4\)$"):
        functional.full_softmax_loss(p.input, torch.zeros(C, D + 1), targets)
    spoilt = p.candidates._replace(true_log_expected_count=torch.full((B,), -torch.inf))
    with pytest.raises(ValueError, match=r"got -inf for class \d+; minus infinity: the sampler never draws it"):
        functional.nce_loss(p.input, p.weight, spoilt)
    with pytest.raises(ValueError, match="repeat the input and pass a row for each"):
        functional.full_softmax_loss(p.input, p.weight, torch.zeros(B, 2, dtype=torch.int64))


ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.integers(-2, 12), max_size=3),
    st.tuples(st.lists(st.integers(0, 6), max_size=3), st.sampled_from([torch.float32, torch.int64, torch.bool])).map(
        lambda x: torch.zeros(x[0], dtype=x[1])
    ),
)
ARGUMENTS = ["input", "weight", "bias", "temperature", "cosine", "reduction", "ignore_index", "remove_hits", "sparse"]
FIELDS = [*Candidates._fields]


@given(st.sampled_from(NAMES), st.sampled_from([*ARGUMENTS, *FIELDS]), ANYTHING)
def test_anything_in_any_place_is_an_error_or_a_number(name, argument, value):
    p = problem()
    arguments = {"input": p.input, "weight": p.weight}
    options = {"bias": p.bias}
    candidates = p.candidates
    if argument in FIELDS:
        candidates = candidates._replace(**{argument: value})
    elif argument in arguments:
        arguments[argument] = value
    elif argument in ("remove_hits", "sparse") and name in FULL:
        return
    else:
        options[argument] = value
    try:
        result, complaint = call(name, *arguments.values(), candidates, **options), None
    except (ValueError, TypeError) as error:
        result, complaint = None, str(error)
    if result is not None:
        assert not result.isnan().any()
    else:
        # A batch of another size shows in the next argument only.
        assert re.match(rf"(candidates\.)?{argument}: " if argument != "input" else r"[a-z_.]+: ", complaint or "")
