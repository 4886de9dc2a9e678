"""The table is the table of candidate sampling algorithms; that it is true is shown in test_stationarity.py."""

from dataclasses import FrozenInstanceError, replace

import pytest
import torch

import student
from logq._arguments import ArgumentError
from logq.candidates import IGNORED
from logq.objectives import OBJECTIVES, Negatives, logistic, softmax
from problems import PROBLEMS, SEVERAL_TRUE, B, S, problem

TABLE = {
    # row: negatives, subtract log Q, loss, log P is a distribution, needs Q, right up to K(x)
    "negative_sampling": ("S", False, logistic, True, True, False),
    "nce": ("S", True, logistic, True, False, False),
    "sampled_logistic": ("S - T", True, logistic, False, False, False),
    "sampled_softmax": ("S - T", True, softmax, True, False, True),
    "refined_softmax": ("S - T", True, softmax, True, False, True),
    "gbce": ("S - T", False, logistic, False, True, False),
    "full_logistic": ("L - T", False, logistic, False, False, False),
    "full_softmax": ("L - T", False, softmax, True, False, True),
}
SAMPLED = [name for name, row in OBJECTIVES.items() if row.negatives.sampled]


def test_the_table():
    assert list(OBJECTIVES) == list(TABLE)
    for name, row in OBJECTIVES.items():
        meaning = row.approximates
        assert (
            row.negatives.value,
            row.subtract_log_q,
            row.loss,
            meaning.normalized,
            meaning.uses_q,
            meaning.has_constant,
        ) == TABLE[name]
        assert row.name == name
        assert row.negatives.sampled == (row.negatives is not Negatives.L_MINUS_T)


@pytest.mark.parametrize("row", OBJECTIVES.values(), ids=OBJECTIVES)
def test_the_way_back_to_log_p_undoes_the_last_column(row):
    p = torch.tensor([1e-9, 0.01, 0.4, 0.999], dtype=torch.float64).log()
    q = torch.tensor([2.0, 0.5, 1e-3, 1.0], dtype=torch.float64).log()
    row = row.for_sample(3, 11)
    torch.testing.assert_close(row.log_p(row.logits(p, q), q), p, rtol=1e-12, atol=1e-12)
    if row.approximates.uses_q:
        torch.testing.assert_close(row.log_p(row.logits(p, 0 * q)), p, rtol=1e-12, atol=1e-12)


def test_rows_do_not_change():
    with pytest.raises(FrozenInstanceError):
        OBJECTIVES["nce"].subtract_log_q = False


@pytest.mark.parametrize("remove_hits", [None, True, False])
@pytest.mark.parametrize("kind", (PROBLEMS | SEVERAL_TRUE).values(), ids=PROBLEMS | SEVERAL_TRUE)
@pytest.mark.parametrize("name", SAMPLED)
def test_a_row_on_logits_is_the_loop(name, kind, remove_hits):
    """Logits that are given, not computed: an input of 1 and a class table of logits."""
    row, candidates = OBJECTIVES[name], problem(**kind).candidates
    if row.loss is softmax and kind.get("num_true", 1) > 1:
        return
    logits = torch.randn(11, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    targets = candidates.targets.clamp(min=0)
    sampled = logits[candidates.ids].expand(B, S)
    losses = row(logits[targets], sampled, candidates, remove_hits=remove_hits, num_classes=len(logits))
    expected = student.losses(name, torch.ones(B, 1), logits[:, None], candidates, remove_hits=remove_hits)
    torch.testing.assert_close(losses.tolist(), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("kind", [{"ignored": True}, {"ignored": True, "num_true": 2}], ids=str)
@pytest.mark.parametrize("name", SAMPLED)
def test_what_stands_at_ignored_entries_does_not_matter(name, kind, value):
    row, candidates = OBJECTIVES[name], problem(**kind).candidates
    if row.loss is softmax and "num_true" in kind:
        return
    nothing = candidates.targets == IGNORED
    true = torch.zeros(candidates.targets.shape, dtype=torch.float64)
    sampled = torch.zeros(B, S, dtype=torch.float64)
    spoilt = candidates._replace(true_log_expected_count=candidates.true_log_expected_count.masked_fill(nothing, value))
    results = []
    for true_logits, these in ((true, candidates), (true.masked_fill(nothing, value), spoilt)):
        leaves = [true_logits.clone().requires_grad_(), sampled.clone().requires_grad_()]
        losses = row(*leaves, these, num_classes=11)
        results.append([losses, *torch.autograd.grad(losses.sum(), leaves)])
    for actual, expected in zip(*results, strict=True):
        assert torch.equal(actual, expected)
    assert (results[0][1][nothing] == 0).all()


@pytest.mark.parametrize("name", [name for name, row in OBJECTIVES.items() if row.loss is softmax])
def test_softmax_takes_one_true_class(name):
    OBJECTIVES[name].check_num_true(1)
    with pytest.raises(
        ValueError, match=f"^targets: expected one true class per row for {name}, got 2; repeat the input"
    ):
        OBJECTIVES[name].check_num_true(2)


@pytest.mark.parametrize("name", [name for name, row in OBJECTIVES.items() if row.loss is logistic])
def test_logistic_rows_take_any_number(name):
    for number in (1, 2, 50):
        OBJECTIVES[name].check_num_true(number)


def test_over_all_classes_a_loss_of_ones_own_is_refused():
    """They are gone through in chunks, which only the two losses of the table can be added up over."""

    def hinge(true_logits, negative_logits, is_true, is_negative):
        raise AssertionError

    row = OBJECTIVES["full_logistic"]
    with pytest.raises(ArgumentError, match=r"^loss: expected logistic or softmax over all classes"):
        replace(row, loss=hinge)
    assert replace(OBJECTIVES["nce"], loss=hinge).loss is hinge
