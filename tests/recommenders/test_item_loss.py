"""The loss of a batch: vectors of items that are a table or computed, and log Q or none."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from logq.candidates import without_log_q
from logq.functional import gbce_loss, sampled_loss
from logq.objectives import GBCE, OBJECTIVES
from logq.recommenders import YoutubeDNN
from logq.recommenders.encoding.item_bias import ItemBias
from logq.recommenders.neural.item_loss import ItemLoss
from logq.samplers import InBatch, LogUniform, Sampler, Uniform, Unigram
from recommender_cases import ITEMS, planted_log

C, D = 30, 8


class Items(nn.Module):
    """Items whose vectors are a table, which may be hidden from the loss."""

    def __init__(self, *, shown: bool, bias: bool = True) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.table = nn.Parameter(torch.randn(C, D, generator=generator))
        self.bias = nn.Parameter(torch.randn(C, generator=generator)) if bias else None
        self.shown = shown

    @property
    def item_table(self) -> nn.Parameter | None:
        return self.table if self.shown else None

    @property
    def item_bias(self) -> nn.Parameter | None:
        return self.bias

    @property
    def item_biases(self) -> ItemBias | None:
        return None if self.bias is None else ItemBias(self.bias)

    def item_vectors(self, ids: Tensor | None = None) -> Tensor:
        return self.table if ids is None else self.table[ids]


QUERIES = torch.randn(12, D, generator=torch.Generator().manual_seed(1))
TARGETS = torch.randint(C, (12,), generator=torch.Generator().manual_seed(2))

SAMPLERS: dict[str, Any] = {
    "shared": lambda: LogUniform(C, 9, seed=5),
    "per_row": lambda: Uniform(C, 9, seed=5, per_row=True),
    "in_batch": lambda: InBatch(C, counts=torch.arange(1, C + 1)),
}


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_computed_vectors_have_the_loss_and_gradient_of_a_table(objective: str, sampler: str) -> None:
    found = []
    for shown in (True, False):
        items, queries = Items(shown=shown), QUERIES.clone().requires_grad_()
        made = None if objective.startswith("full") else SAMPLERS[sampler]()
        loss = ItemLoss(objective, made, temperature=0.7)(items, queries, TARGETS)
        loss.backward()
        assert items.bias is not None
        found.append((loss.detach(), queries.grad, items.table.grad, items.bias.grad))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("objective", ["nce", "sampled_logistic", "sampled_softmax"])
def test_without_log_q_nothing_is_subtracted(objective: str) -> None:
    items = Items(shown=True)
    plain = LogUniform(C, 9, seed=5).draw(TARGETS)
    expected = sampled_loss(objective, QUERIES, items.table, without_log_q(plain), bias=items.bias)
    found = ItemLoss(objective, LogUniform(C, 9, seed=5), log_q=False)(items, QUERIES, TARGETS)
    torch.testing.assert_close(found, expected)
    with_it = ItemLoss(objective, LogUniform(C, 9, seed=5))(items, QUERIES, TARGETS)
    assert float(with_it.detach()) != pytest.approx(float(found.detach()), abs=1e-3)


def test_gbce_takes_the_rate_from_all_items() -> None:
    items = Items(shown=False)
    expected = gbce_loss(
        QUERIES, items.table, Uniform(C, 9, seed=5).draw(TARGETS), bias=items.bias, calibration=0.5, rate=9 / (C - 1)
    )
    found = ItemLoss("gbce", Uniform(C, 9, seed=5), calibration=0.5)(items, QUERIES, TARGETS)
    torch.testing.assert_close(found, expected)


def test_offsets_turn_negative_sampling_into_an_order_by_p() -> None:
    sampler = Unigram(torch.arange(C, 0, -1), 9, seed=1)
    offsets = ItemLoss("negative_sampling", sampler).offsets()
    assert offsets is not None
    log_q = sampler.log_expected_count(torch.arange(C))
    torch.testing.assert_close(offsets - offsets[3], log_q - log_q[3])
    assert ItemLoss("negative_sampling", sampler, log_q=False).offsets() is None
    for objective in ("nce", "sampled_softmax"):
        assert ItemLoss(objective, sampler).offsets() is None
    assert ItemLoss("full_softmax", None).offsets() is None


def test_items_that_are_never_drawn_go_below_all_others() -> None:
    offsets = ItemLoss("negative_sampling", Unigram([3, 0, 1], 2, seed=1)).offsets()
    assert offsets is not None
    assert offsets.isfinite().all()
    assert int(offsets.argmin()) == 1


def test_half_precision_queries_are_widened() -> None:
    items = Items(shown=True)
    found = ItemLoss("sampled_softmax", Uniform(C, 9, seed=5))(items, QUERIES.bfloat16(), TARGETS)
    assert found.dtype == torch.float32


@pytest.mark.parametrize(
    ("objective", "sampler", "error", "message"),
    [
        (
            "sampled_softmax",
            None,
            TypeError,
            "sampler: expected one of logq.samplers for sampled_softmax, got NoneType",
        ),
        ("gbce", None, TypeError, "sampler: expected one of logq.samplers for gbce"),
        ("full_softmax", Uniform(C, 3, seed=1), ValueError, "sampler: expected None, as full_softmax uses every item"),
        ("softmax", None, ValueError, "objective: expected one of"),
    ],
)
def test_wrong_arguments(objective: str, sampler: Sampler | None, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        ItemLoss(objective, sampler)


@pytest.mark.parametrize(
    ("objective", "least", "message"),
    [
        ("sampled_softmax", 1.5, "false_negatives: expected a finite number > 0 and <= 1, got 1.5"),
        ("full_softmax", 0.5, "false_negatives: expected None, as full_softmax draws no negatives, got 0.5"),
    ],
)
def test_false_negatives_that_could_not_be_left_out_are_refused(objective: str, least: float, message: str) -> None:
    sampler = None if objective == "full_softmax" else Uniform(C, 3, seed=1)
    with pytest.raises(ValueError, match=message):
        ItemLoss(objective, sampler, false_negatives=least)


def test_a_target_that_is_never_drawn_is_named() -> None:
    loss = ItemLoss("sampled_softmax", Unigram([3, 0, 1], 2, seed=1))
    with pytest.raises(ValueError, match="targets: expected classes that the sampler can draw, got 1"):
        loss(Items(shown=True), QUERIES[:1], torch.tensor([1]))


@pytest.mark.parametrize(
    ("objective", "expected"),
    [
        ("nce", -math.log(ITEMS)),
        ("sampled_logistic", -math.log(ITEMS - 1)),
        ("full_logistic", -math.log(ITEMS - 1)),
        ("negative_sampling", -math.log(4)),
        ("gbce", math.log(GBCE.true_weight(4, ITEMS)) - math.log(4 / ITEMS) - math.log(ITEMS - 1)),
        ("sampled_softmax", 0.0),
        ("full_softmax", 0.0),
    ],
)
def test_biases_start_where_all_items_are_alike(objective: str, expected: float) -> None:
    options: dict[str, Any] = {} if objective.startswith("full") else {"sampler": "uniform", "num_sampled": 4}
    model: Any = YoutubeDNN(dim=4, item_bias=True, objective=objective, epochs=1, lr=1e-9, seed=1, **options)
    model.fit(planted_log(), progress=False)
    np.testing.assert_allclose(model.model.item_bias.detach().numpy(), expected, atol=1e-5)


def test_it_shows_its_objective() -> None:
    shown = [repr(ItemLoss("sampled_softmax", Uniform(9, 3), log_q=log_q)) for log_q in (True, False)]
    assert [text.splitlines()[1].strip() for text in shown] == ["sampled_softmax", "sampled_softmax, without log Q"]
