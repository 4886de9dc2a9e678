"""Sampled items that are too much like what is to be found are no negatives; other negatives come with the log."""

from typing import ClassVar

import numpy as np
import pytest
import torch
from torch.nn.functional import cosine_similarity

from logq.candidates import IGNORED
from logq.functional import sampled_loss
from logq.logs import Interactions
from logq.recommenders import MIND, SASRec, TwoTower, YoutubeDNN, YoutubeDNNEncoder
from logq.recommenders.events.target_events import TargetEvents
from logq.recommenders.neural.item_loss import ItemLoss
from logq.recommenders.neural.left_out import alike
from logq.samplers import InBatch, Mixture, Sampler, Uniform

C, D, M = 12, 4, 7
SAMPLERS = {
    "shared": lambda: Uniform(C, 9, seed=1),
    "own": lambda: Uniform(C, 9, seed=1, per_row=True),
    "mixed": lambda: Mixture([InBatch(C, counts=range(1, C + 1)), Uniform(C, 5, seed=1)]),
}
TARGETS = torch.tensor([3, 0, 11, IGNORED, 3, 5, 5])


def by_loop(table, candidates, queries, least, by_query):
    ids, found = candidates.ids.expand(M, -1), []
    for row, target in enumerate(TARGETS.tolist()):
        true, scores = table[max(target, 0)], []
        anchor = queries[row] if by_query else true
        for item in ids[row].tolist():
            cosine = float(cosine_similarity(anchor, table[item], dim=0))
            limit = least * float(cosine_similarity(anchor, true, dim=0)) if by_query else least
            scores.append(cosine >= limit and (limit > 0 or not by_query) and item != target)
        found.append(scores)
    return found


@pytest.mark.parametrize("by_query", [False, True])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_items_are_left_out_as_a_loop_would(sampler, by_query, monkeypatch):
    monkeypatch.setattr("logq.recommenders.neural.left_out.MOST_NUMBERS", 80)  # a few rows at a time
    generator = torch.Generator().manual_seed(3)
    model = YoutubeDNNEncoder(C, D, hidden=(), tied=False)
    queries = torch.randn(M, D, generator=generator, requires_grad=True)
    with torch.no_grad():
        model.items.weight.copy_(torch.randn(C, D, generator=generator))
    candidates = SAMPLERS[sampler]().draw(TARGETS)
    table = model.item_table.detach()
    expected = torch.tensor(by_loop(table, candidates, queries.detach(), 0.6, by_query))
    assert 0 < int(expected.sum()) < expected.numel() / 2
    found = alike(table, candidates, 0.6, queries if by_query else None)
    known = TARGETS != IGNORED
    assert torch.equal(found[known], expected[known])

    loss = ItemLoss("sampled_softmax", SAMPLERS[sampler](), false_negatives=0.6, by_query=by_query)
    excluded = expected if candidates.excluded is None else expected | candidates.excluded
    by_hand = sampled_loss("sampled_softmax", queries, table, candidates._replace(excluded=excluded))
    torch.testing.assert_close(loss(model, queries, TARGETS), by_hand)
    plain = ItemLoss("sampled_softmax", SAMPLERS[sampler]())(model, queries, TARGETS)
    assert float(plain.detach()) > float(by_hand.detach()) + 0.01


def test_computed_vectors_are_compared_too():
    log = Interactions.from_sessions([["a", "b", "c", "d"]] * 6)
    options = {"dim": 4, "epochs": 2, "seed": 1, "sampler": "uniform", "num_sampled": 6}
    model = TwoTower(false_negatives=0.3, **options).fit(log, progress=False)
    other = TwoTower(**options).fit(log, progress=False)
    assert model.training_log[0]["loss"] < other.training_log[0]["loss"]


SHOWN = Interactions.from_arrays(
    np.repeat(np.arange(6), 3),
    list("abcacdbca" * 2),
    columns={"shown": ["", "c d", "d", None, "b zebra a", "a"] * 3, "next": np.arange(18.0)},
)


def test_lists_of_a_column_are_those_of_the_events():
    with pytest.warns(UserWarning, match=r"left out 3 of 21 ids in the column .shown. .* such as .zebra.$"):
        events = TargetEvents.read(SHOWN, None, 2, 1.0, "shown")
    rows = np.array([[1, 4, -1]])
    batch = events.of({"targets": np.where(rows < 0, -1, SHOWN.items[rows]), "events": rows})
    codes = {name: code for code, name in enumerate(SHOWN.item_ids.keys.tolist())}
    raw = [str(value or "") for value in ["", "c d", "d", None, "b zebra a", "a"] * 3]
    for column, event in enumerate([1, 4]):
        for step in range(2):
            expected = [codes[word] for word in raw[event + step].split() if word in codes]
            if SHOWN.users[event + step] != SHOWN.users[event]:
                expected = []
            assert [item for item in batch["extra"][0, column, step] if item >= 0] == expected
    assert (batch["extra"][0, 2] == -1).all()
    assert "weight" in batch  # as each further target may count less


class Noted(ItemLoss):
    """Keeps what it was given."""

    given: ClassVar[list[tuple]] = []

    def forward(self, model, queries, targets, seen=None, groups=None, weights=None, extra=None):
        self.given.append((targets, extra))
        return super().forward(model, queries, targets, seen, groups, weights, extra)


@pytest.mark.parametrize("future", [1, 2])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("estimator", [SASRec, YoutubeDNN, MIND, TwoTower])
def test_negatives_of_the_log_reach_the_loss_of_their_targets(estimator, padded, future, monkeypatch):
    if padded:
        for module in ("sasrec", "mind", "encoding.encoders", "neural.next_item_task", "neural.item_loss"):
            monkeypatch.setattr(f"logq.recommenders.{module}.keeps_sizes", lambda _: True)
    log = Interactions.from_arrays(
        np.repeat(np.arange(8), 4), list("abcd" * 8), columns={"shown": ["", "c", "d a", "a"] * 8}
    )
    monkeypatch.setattr(Noted, "given", [])
    monkeypatch.setattr("logq.recommenders.neural.item_loss.ItemLoss", Noted)
    model = estimator(
        dim=4, epochs=1, seed=1, extra_negatives="shown", future=future, sampler="uniform", num_sampled=3
    ).fit(log, progress=False)
    shown, codes = {"b": {"c"}, "c": {"d", "a"}, "d": {"a"}}, model.item_ids
    found = [
        (codes[target], {codes[item] for item in items if item >= 0})
        for targets, extra in Noted.given
        for target, items in zip(targets.tolist(), extra.tolist(), strict=True)
        if target >= 0
    ]
    assert len(found) == 8 * (3 if future == 1 else 5)
    assert all(shown[target] == items for target, items in found)


def test_what_is_shown_and_not_chosen_falls():
    log = Interactions.from_arrays(
        np.repeat(np.arange(40), 2), list("abac") * 20, columns={"shown": ["", "c", "", ""] * 20}
    )
    options = {"dim": 8, "hidden": (), "max_length": 1, "epochs": 60, "lr": 0.05, "seed": 1, "patience": None}
    options |= {"batch_size": 10, "shared_negatives": False, "num_sampled": 1, "sampler": "uniform"}
    odds = []
    for column in (None, "shown"):
        model = YoutubeDNN(objective="sampled_logistic", extra_negatives=column, **options).fit(log, progress=False)
        scores = model.recommend(histories=[["a"]], k=3, exclude_seen=False)
        by_item = dict(zip(scores.items[0], scores.scores[0], strict=True))
        odds.append(by_item["b"] - by_item["c"])
    assert odds[0] == pytest.approx(0, abs=0.15)
    # c is a target in half of the rows, with Q = 1/3, and a negative with Q = 1 in the others: F + log 3 = -F. b stays
    # at log odds of 0.
    assert odds[1] == pytest.approx(np.log(3) / 2, abs=0.2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"extra_negatives": "size"}, "extra_negatives: expected some of 'shown', 'next', got 'size'"),
        ({"extra_negatives": "next"}, "extra_negatives: expected ids of items, .* in the column 'next', got '0'"),
    ],
)
def test_bad_columns_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        YoutubeDNN(dim=4, epochs=1, **options).fit(SHOWN, progress=False)


@pytest.mark.parametrize("options", [{"false_negatives": 0.9}, {"extra_negatives": "shown"}])
def test_losses_of_all_items_take_none(options):
    (name,) = options
    with pytest.raises(ValueError, match=f"{name}: expected None, as full_softmax draws no negatives"):
        SASRec(objective="full_softmax", **options)


def test_a_sampler_of_ones_own_takes_them():
    assert isinstance(SAMPLERS["shared"](), Sampler)
    model = SASRec(dim=4, epochs=1, seed=1, sampler=lambda counts: Uniform(len(counts), 3, seed=1), false_negatives=0.5)
    assert np.isfinite(model.fit(SHOWN, progress=False).item_vectors).all()


@pytest.mark.parametrize("options", [{"shared_negatives": False, "num_sampled": 8}, {"num_sampled": 4}])
@pytest.mark.parametrize("estimator", [SASRec, TwoTower])
def test_estimators_mix_negatives(estimator, options, monkeypatch):
    drawn = []
    monkeypatch.setattr(Noted, "given", [])

    class Spy(Noted):
        def forward(self, *arguments):
            loss = super().forward(*arguments)
            drawn.append(self.sampler)
            return loss

    monkeypatch.setattr("logq.recommenders.neural.item_loss.ItemLoss", Spy)
    estimator(sampler="uniform", in_batch_share=0.25)  # SASRec chooses num_sampled by the log
    model = estimator(dim=4, epochs=1, seed=1, sampler="uniform", in_batch_share=0.25, **options)
    model.fit(SHOWN, progress=False)
    in_batch, rest = drawn[0].parts
    assert isinstance(in_batch, InBatch)
    assert in_batch.num_sampled == round(0.25 * model.num_sampled)
    assert rest.num_sampled == model.num_sampled - in_batch.num_sampled
    assert rest.per_row == (not model.shared_negatives)
