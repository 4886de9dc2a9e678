"""The table proves itself: at F = approximates(P, Q) the exact expected gradient of each row is zero.

Nothing is sampled here. All true classes, and all samples that a design can give, are enumerated with their
probabilities in float64, so that "zero" means rounding.

What holds exactly, and what does not:

- The logistic rows look at one class at a time, so that only the expected count of a class matters: they are stationary
  under every design, and under a Q that is random itself as long as it does not depend on whether the class came (the
  tries of logq.samplers.distinct_draws; TensorFlow's tries do depend on it, and are biased).
- Sampled softmax compares classes within a sample, so the design matters. With hits removed, as the table says, it is
  exactly stationary for one draw, for uniform samples without replacement and for independent inclusion of each class
  (Poisson design). It is not for two or more draws with replacement, nor for successive sampling with unequal
  probabilities: there the gradient is off by about 1e-2 for four classes, and by less the more classes there are.
- With replacement it is exact when hits stay (`remove_hits=False`): the true class and the k draws then are k + 1 items
  of which one is the true one, and the loss is the posterior of which (ranking NCE: Ma and Collins, EMNLP 2018; the
  argument of InfoNCE). For designs without replacement keeping hits is what biases it.
- Refined softmax, whose true class carries no log Q, is exact for a sample of all classes alone.
"""

import itertools
import math
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from logq.candidates import Candidates
from logq.functional import full_loss
from logq.kernels.reference_draws import by_tries
from logq.objectives import (
    FULL_LOGISTIC,
    FULL_SOFTMAX,
    NCE,
    NEGATIVE_SAMPLING,
    OBJECTIVES,
    REFINED_SOFTMAX,
    SAMPLED_LOGISTIC,
    SAMPLED_SOFTMAX,
    Objective,
    logistic,
)
from logq.samplers import (
    EveryClass,
    InBatch,
    LearnedUnigram,
    LogUniform,
    Mixture,
    Partition,
    Sampler,
    Uniform,
    Unigram,
)

ZERO = 1e-12
P = torch.tensor([0.45, 0.30, 0.15, 0.10], dtype=torch.float64)
Q = torch.tensor([0.4, 0.2, 0.1, 0.3], dtype=torch.float64)
C = len(P)
P3 = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)  # where the work grows fast with the number of classes
CLASSES = torch.arange(C)
LOGISTIC = tuple(
    row if row.calibration is None else row.calibrated(0.6, rate=0.3)
    for row in OBJECTIVES.values()
    if row.negatives.sampled and row.loss is logistic
)
SAMPLED = (*LOGISTIC, SAMPLED_SOFTMAX)


class Design(NamedTuple):
    """All samples of a design: their classes, their probabilities and the expected counts of all classes."""

    ids: Tensor  # (R, S)
    probability: Tensor  # (R,)
    log_q: Tensor  # (C,), or (R, C) where Q depends on the sample
    excluded: Tensor | None = None  # (R, S)


def listed(samples: list[tuple[float, tuple[int, ...]]], log_q: Tensor) -> Design:
    return Design(
        torch.tensor([ids for _, ids in samples]),
        torch.tensor([probability for probability, _ in samples], dtype=torch.float64),
        log_q,
    )


def with_replacement(q: Tensor, k: int, log_q: Tensor | None = None) -> Design:
    ids = torch.cartesian_prod(*[torch.arange(len(q))] * k).view(-1, k)
    return Design(ids, q[ids].prod(dim=1), (k * q).log() if log_q is None else log_q)


def of_sampler(sampler: Sampler, k: int = 1) -> Design:
    """k draws with replacement from the distribution of a sampler, with the expected counts that it states."""
    log_q = sampler.log_expected_count(CLASSES)
    assert log_q.dtype == torch.float64
    return with_replacement((log_q.exp() / k), k, log_q)


def uniform_distinct(k: int) -> Design:
    sets = list(itertools.combinations(range(C), k))
    sampler = Uniform(C, k, replacement=False, dtype=torch.float64)
    return listed([(1 / len(sets), ids) for ids in sets], sampler.log_expected_count(CLASSES))


def poisson(q: Tensor = Q) -> Design:
    """Each class is in or out by a coin of its own. Who is out is told by `excluded`."""
    inside = torch.cartesian_prod(*[torch.tensor([True, False])] * len(q))
    ids = torch.arange(len(q)).expand(inside.shape)
    return Design(ids, torch.where(inside, q, 1 - q).prod(dim=1), q.log(), ~inside)


def successive(q: Tensor, k: int) -> Design:
    """Class after class in proportion to q among what is left, with exact inclusion probabilities."""
    samples = []
    for ids in itertools.permutations(range(len(q)), k):
        probability, left = 1.0, 1.0
        for y in ids:
            probability, left = probability * float(q[y]) / left, left - float(q[y])
        samples.append((probability, ids))
    inclusion = torch.zeros_like(q)
    for probability, ids in samples:
        inclusion[list(ids)] += probability
    return listed(samples, inclusion.log())


def every_class() -> Design:
    sampler = EveryClass(C, dtype=torch.float64)
    draw = sampler.draw(torch.tensor([0]))
    return Design(draw.ids[None], torch.ones(1, dtype=torch.float64), sampler.log_expected_count(CLASSES))


def expected_gradient(
    row: Objective,
    design: Design,
    logits: Tensor,  # (C,)
    *,
    truth: list[tuple[float, tuple[int, ...]]] | None = None,  # all (probability, true classes of a row)
    **options: bool,
) -> Tensor:  # (C,)
    """d/dF of the loss, averaged over all true classes and all samples."""
    truth = [(float(p), (y,)) for y, p in enumerate(P)] if truth is None else truth
    logits = logits.clone().requires_grad_()
    log_q = design.log_q.expand(len(design.ids), -1)
    total = torch.zeros((), dtype=torch.float64)
    for probability, classes in truth:
        targets = torch.tensor(classes).expand(len(design.ids), -1)
        candidates = Candidates(
            design.ids, log_q.gather(1, design.ids), targets, log_q.gather(1, targets), design.excluded
        )
        losses = row(logits[targets], logits[design.ids], candidates, **options)
        total = total + probability * (design.probability * losses).sum()
    (gradient,) = torch.autograd.grad(total, logits)
    return gradient


def largest(gradient: Tensor) -> float:
    return float(gradient.abs().max())


ONE_DRAW = {
    "one draw": with_replacement(Q, 1),
    "one draw of Unigram": of_sampler(Unigram([4, 2, 1, 3], 1, power=0.75, dtype=torch.float64)),
    "one draw of LogUniform": of_sampler(LogUniform(C, 1, dtype=torch.float64)),
    "one draw of LearnedUnigram": of_sampler(LearnedUnigram(C, 1, dtype=torch.float64)),
    "one draw of Uniform": of_sampler(Uniform(C, 1, dtype=torch.float64)),
}
SEVERAL_DRAWS = {
    "two draws": with_replacement(Q, 2),
    "three draws": with_replacement(Q, 3),
    "two draws of Unigram": of_sampler(Unigram([4, 2, 1, 3], 2, power=0.75, dtype=torch.float64), 2),
    "three draws of LogUniform": of_sampler(LogUniform(C, 3, dtype=torch.float64), 3),
    "two draws of a Partition": of_sampler(Partition(C, [range(C)], num_sampled=2, dtype=torch.float64), 2),
}
EQUAL_OR_INDEPENDENT = {
    "two distinct of Uniform": uniform_distinct(2),
    "three distinct of Uniform": uniform_distinct(3),
    "independent inclusion": poisson(),
    "every class": every_class(),
}
SUCCESSIVE = {"two distinct, successive": successive(Q, 2), "three distinct, successive": successive(Q, 3)}
DESIGNS = ONE_DRAW | SEVERAL_DRAWS | EQUAL_OR_INDEPENDENT | SUCCESSIVE
SOFTMAX_EXACT = ONE_DRAW | EQUAL_OR_INDEPENDENT


@pytest.mark.parametrize("design", DESIGNS.values(), ids=DESIGNS)
def test_the_designs_are_what_they_claim(design):
    """Probabilities sum to one, and Q is how often a class is in the sample on average."""
    inside = torch.ones(design.ids.shape, dtype=torch.float64)
    if design.excluded is not None:
        inside = inside.masked_fill(design.excluded, 0.0)
    counts = torch.zeros(len(design.ids), C, dtype=torch.float64).scatter_add_(1, design.ids, inside)
    assert float(design.probability.sum()) == pytest.approx(1, abs=1e-14)
    torch.testing.assert_close(design.probability @ counts, design.log_q.exp(), rtol=1e-14, atol=0)


def test_every_row_is_proven_in_this_file():
    """Logistic rows are found by themselves; of a softmax it depends on the hits and the design where it is exact."""
    proven = {row.name for row in (*SAMPLED, REFINED_SOFTMAX, FULL_LOGISTIC, FULL_SOFTMAX)}
    assert proven == set(OBJECTIVES), f"show here where {sorted(set(OBJECTIVES) - proven)} is stationary"


@pytest.mark.parametrize("name", DESIGNS)
def test_refined_softmax_is_stationary_for_a_sample_of_all_classes_alone(name):
    gradient = largest(expected_gradient(REFINED_SOFTMAX, DESIGNS[name], P.log()))
    assert gradient < ZERO if name == "every class" else gradient > 1e-3


@pytest.mark.parametrize("row", LOGISTIC, ids=lambda row: row.name)
@pytest.mark.parametrize("design", DESIGNS.values(), ids=DESIGNS)
def test_logistic_rows_are_stationary_under_every_design(row, design):
    optimum = row.logits(P.log(), design.log_q)
    assert largest(expected_gradient(row, design, optimum)) < ZERO


@pytest.mark.parametrize("row", LOGISTIC, ids=lambda row: row.name)
def test_the_optimum_is_the_only_one(row):
    design = DESIGNS["two draws"]
    optimum = row.logits(P.log(), design.log_q)
    for y in range(C):
        moved = optimum.clone()
        moved[y] += 0.1
        gradient = expected_gradient(row, design, moved)
        assert gradient[y] > 1e-3  # the loss is convex: beyond the optimum it rises
        assert largest(gradient[y != CLASSES]) < ZERO


@pytest.mark.parametrize("design", SOFTMAX_EXACT.values(), ids=SOFTMAX_EXACT)
def test_sampled_softmax_is_stationary_under_equal_or_independent_designs(design):
    for constant in (0.0, 3.0):  # F is right up to a constant of the row
        assert largest(expected_gradient(SAMPLED_SOFTMAX, design, P.log() + constant)) < ZERO


@pytest.mark.parametrize("design", (SEVERAL_DRAWS | SUCCESSIVE).values(), ids=SEVERAL_DRAWS | SUCCESSIVE)
def test_sampled_softmax_is_biased_elsewhere(design):
    """The documented exception. Were this to turn zero, the docstrings of Objective would be wrong."""
    assert 1e-3 < largest(expected_gradient(SAMPLED_SOFTMAX, design, P.log())) < 5e-2


@pytest.mark.parametrize("design", (ONE_DRAW | SEVERAL_DRAWS).values(), ids=ONE_DRAW | SEVERAL_DRAWS)
def test_sampled_softmax_with_replacement_is_stationary_when_hits_stay(design):
    assert largest(expected_gradient(SAMPLED_SOFTMAX, design, P.log(), remove_hits=False)) < ZERO


@pytest.mark.parametrize("name", ["two distinct of Uniform", "independent inclusion", "two distinct, successive"])
def test_sampled_softmax_without_replacement_is_biased_when_hits_stay(name):
    assert largest(expected_gradient(SAMPLED_SOFTMAX, DESIGNS[name], P.log(), remove_hits=False)) > 1e-3


def test_the_bias_of_sampled_softmax_vanishes_with_the_number_of_classes():
    biases = []
    for classes in (4, 8, 16):
        p = torch.arange(1, classes + 1, dtype=torch.float64)
        p, q = p / p.sum(), p.flip(0) / p.sum()
        truth = [(float(of), (y,)) for y, of in enumerate(p)]
        biases.append(largest(expected_gradient(SAMPLED_SOFTMAX, with_replacement(q, 2), p.log(), truth=truth)))
    for smaller, larger in itertools.pairwise(reversed(biases)):
        assert 0 < smaller < larger / 2


@pytest.mark.parametrize("row", [FULL_LOGISTIC, FULL_SOFTMAX], ids=lambda row: row.name)
def test_full_rows_are_stationary(row):
    weight = row.logits(P.log(), torch.zeros_like(P))[:, None].requires_grad_()
    losses = full_loss(row, torch.ones(C, 1, dtype=torch.float64), weight, CLASSES, reduction="none")
    (gradient,) = torch.autograd.grad((P * losses).sum(), weight)
    assert largest(gradient) < ZERO
    (gradient,) = torch.autograd.grad(
        full_loss(row, torch.ones(C, 1).double(), weight, CLASSES, reduction="sum"), weight
    )
    assert largest(gradient) > 1e-2  # not for another P


WRONG_LOG_Q = {"dropped": lambda q: 0 * q, "doubled": lambda q: 2 * q, "sign turned": lambda q: -q}


STATIONARY = [
    (row, name)
    for row in (NCE, SAMPLED_LOGISTIC, SAMPLED_SOFTMAX)
    for name in ("one draw", "two draws", "independent inclusion", "two distinct, successive")
    if row is not SAMPLED_SOFTMAX or name in SOFTMAX_EXACT
]


@pytest.mark.parametrize("wrong", WRONG_LOG_Q.values(), ids=WRONG_LOG_Q)
@pytest.mark.parametrize(("row", "name"), STATIONARY, ids=lambda value: getattr(value, "name", value))
def test_a_wrong_log_q_is_seen(row, name, wrong):
    design = DESIGNS[name]
    spoilt = design._replace(log_q=wrong(design.log_q))
    # The optimum of the true Q: for these rows it does not depend on Q at all.
    assert largest(expected_gradient(row, spoilt, row.logits(P.log(), design.log_q))) > 1e-2


def test_a_probability_in_the_place_of_the_expected_count_is_seen():
    design = with_replacement(Q, 3, log_q=Q.log())
    for row in (NCE, SAMPLED_LOGISTIC):
        assert largest(expected_gradient(row, design, row.logits(P.log(), Q.log()))) > 1e-2


def test_softmax_does_not_see_a_constant_in_log_q():
    """Why uniform samplers need no correction under softmax: a log Q that is the same for all classes cancels."""
    design = uniform_distinct(2)
    for wrong in WRONG_LOG_Q.values():
        spoilt = design._replace(log_q=wrong(design.log_q))
        assert largest(expected_gradient(SAMPLED_SOFTMAX, spoilt, P.log())) < ZERO


@pytest.mark.parametrize("name", ["two draws", "two distinct, successive"])
def test_negative_sampling_must_not_subtract_log_q(name):
    """It never looks at Q: with log Q subtracted from its logits it would be NCE, and approximate log P."""
    design = DESIGNS[name]
    optimum = NEGATIVE_SAMPLING.logits(P.log(), design.log_q)
    assert largest(expected_gradient(NCE, design, optimum)) > 1e-2
    # And its optimum is P/Q with the expected count Q, and not P.
    assert largest(expected_gradient(NEGATIVE_SAMPLING, design, P.log())) > 1e-2
    blind = design._replace(log_q=torch.full_like(P, math.nan))
    assert largest(expected_gradient(NEGATIVE_SAMPLING, blind, optimum)) < ZERO


def test_several_true_classes():
    """Two true classes per row, distinct and not independent: P is the expected number of a class among them."""
    weights = {(0, 1): 0.4, (0, 2): 0.1, (1, 2): 0.2, (2, 3): 0.25, (3, 1): 0.05}
    truth = [(probability, pair) for pair, probability in weights.items()]
    p = torch.zeros(C, dtype=torch.float64)
    for probability, pair in truth:
        p[list(pair)] += probability
    assert float(p.sum()) == pytest.approx(2)
    for name, design in DESIGNS.items():
        for row in LOGISTIC:
            optimum = row.logits(p.log(), design.log_q)
            assert largest(expected_gradient(row, design, optimum, truth=truth)) < ZERO, (row.name, name)
    # A label of 1/T a class, as TensorFlow has it, would aim at half of P.
    assert largest(expected_gradient(NCE, DESIGNS["two draws"], (p / 2).log(), truth=truth)) > 1e-2


def test_the_same_true_class_twice():
    """Where a row may name a class twice P can exceed 1; it is an expected number, and so log P is still learned.

    Sampled logistic is left out: odds P / (1 - P) need P to be a probability.
    """
    truth = [(float(P[a] * P[b]), (a, b)) for a in range(C) for b in range(C)]
    for name in ("two draws", "independent inclusion", "two distinct, successive"):
        design = DESIGNS[name]
        for row in (NEGATIVE_SAMPLING, NCE):
            optimum = row.logits((2 * P).log(), design.log_q)
            assert largest(expected_gradient(row, design, optimum, truth=truth)) < ZERO, (row.name, name)


@pytest.mark.parametrize("batch", [2, 3])
def test_in_batch_negatives(batch):
    """All batches of independent rows, with the expected counts and exclusions that the sampler itself states.

    The negatives of a row are the targets of the others, n - 1 draws with replacement from P.
    """
    p = P3
    sampler = InBatch(len(p), counts=p, dtype=torch.float64)
    log_q = ((batch - 1) * p).log()
    for row in SAMPLED:
        options = {"remove_hits": False} if row is SAMPLED_SOFTMAX and batch > 2 else {}
        logits = row.logits(p.log(), log_q).requires_grad_()
        total = torch.zeros((), dtype=torch.float64)
        for targets in torch.cartesian_prod(*[torch.arange(len(p))] * batch):
            candidates = sampler.draw(targets)
            torch.testing.assert_close(candidates.true_log_expected_count, log_q[targets], rtol=1e-14, atol=1e-14)
            losses = row(logits[targets], logits[candidates.ids].expand(batch, -1), candidates, **options)
            total = total + p[targets].prod() * losses.sum()
        (gradient,) = torch.autograd.grad(total, logits)
        assert largest(gradient) < ZERO, row.name


def test_mixture():
    """One uniform draw and one of a unigram, each pair of draws with its probability; Q is that of both together."""
    mixture = Mixture([Uniform(C, 1, dtype=torch.float64), Unigram([4, 2, 1, 3], 1, dtype=torch.float64)])
    log_q = mixture.log_expected_count(CLASSES)
    torch.testing.assert_close(log_q.exp(), 1 / C + Q, rtol=1e-14, atol=0)
    ids = torch.cartesian_prod(CLASSES, CLASSES)
    design = Design(ids, Q[ids[:, 1]] / C, log_q)
    for row in LOGISTIC:
        assert largest(expected_gradient(row, design, row.logits(P.log(), log_q))) < ZERO


# ------------------------------------------------------------------------------ distinct draws and the number of tries

DRAWN3 = torch.tensor([0.36, 0.33, 0.31], dtype=torch.float64)


class Sequences(NamedTuple):
    """Draws until all classes have come: a, then `first` more a, then b, then i of a and j of b in any order, then c.

    The sample of two classes is (a, b). What comes before what else within a group changes no count.
    """

    order: Tensor  # (R, 3): a, b, c
    first: Tensor  # (R,)
    i: Tensor
    j: Tensor
    probability: Tensor

    def tries(self) -> Tensor:
        """(R, 3) M_v of each class: draws of other classes until two of those differ."""
        of_abc = torch.stack([self.j + 2, self.first + self.i + 2, self.first + 2], dim=1)
        return torch.zeros_like(of_abc).scatter_(1, self.order, of_abc)


@pytest.fixture(scope="module")
def sequences() -> Sequences:
    """All of them, but for a total probability below 1e-14."""
    parts = []
    first, i, j = torch.meshgrid(torch.arange(34), torch.arange(90), torch.arange(90), indexing="ij")
    log_ways = torch.lgamma((i + j + 1).double()) - torch.lgamma((i + 1).double()) - torch.lgamma((j + 1).double())
    log_p = DRAWN3.log()
    for order in itertools.permutations(range(3)):
        a, b, c = order
        log_probability = (1 + first + i) * log_p[a] + (1 + j) * log_p[b] + log_p[c] + log_ways
        keep = log_probability > math.log(1e-20)
        parts.append((keep, order, log_probability[keep].exp()))
    result = Sequences(
        torch.cat([torch.tensor(order).expand(len(probability), 3) for _, order, probability in parts]),
        *(torch.cat([values[keep] for keep, _, _ in parts]) for values in (first, i, j)),
        torch.cat([probability for _, _, probability in parts]),
    )
    assert abs(1 - float(result.probability.sum())) < 1e-13
    return result


def by_sequence(sequences: Sequences, tries: Tensor) -> Design:
    log_q = torch.log1p(-((1 - DRAWN3) ** tries))
    return Design(sequences.order[:, :2], sequences.probability, log_q)


TRUTH3 = [(float(p), (y,)) for y, p in enumerate(P3)]


def test_the_tries_enumerated_here_are_those_of_by_tries(sequences):
    """The code gets the likelier sequences as its draws, written out, and counts the same."""
    likely = sequences.probability > 1e-5
    likely_ones = Sequences(*(values[likely] for values in sequences))
    rows = []
    for (a, b, c), first, i, j in zip(likely_ones.order.tolist(), *(x.tolist() for x in likely_ones[1:4]), strict=True):
        rows.append([a] * (1 + first) + [b] + [a] * i + [b] * j + [c])
    assert len(rows) > 500
    width = max(map(len, rows))
    draws = torch.tensor([row + [row[0]] * (width - len(row)) for row in rows])  # what comes later must not matter
    ids, inside, outside = by_tries(lambda shape: draws, len(rows), 2)
    assert torch.equal(ids, likely_ones.order[:, :2])
    counted = torch.zeros_like(likely_ones.order).scatter_(1, likely_ones.order, torch.cat([inside, outside], dim=1))
    assert torch.equal(counted, likely_ones.tries())


def test_the_mean_of_the_random_q_is_the_inclusion_probability(sequences):
    design = by_sequence(sequences, sequences.tries())
    inclusion = successive(DRAWN3, 2).log_q.exp()
    inside = torch.zeros(len(design.ids), 3, dtype=torch.float64).scatter_(1, design.ids, 1.0)
    torch.testing.assert_close(design.probability @ inside, inclusion, rtol=1e-12, atol=0)
    torch.testing.assert_close(design.probability @ design.log_q.exp(), inclusion, rtol=1e-12, atol=0)
    torch.testing.assert_close(design.probability @ (inside / design.log_q.exp()), torch.ones(3).double())


@pytest.mark.parametrize("row", [NCE, SAMPLED_LOGISTIC], ids=lambda row: row.name)
def test_logistic_rows_are_stationary_with_the_random_q_of_distinct_draws(row, sequences):
    """M_v does not depend on whether v was drawn, so for each of its values the argument for a fixed Q holds."""
    design = by_sequence(sequences, sequences.tries())
    optimum = row.logits(P3.log(), torch.zeros(3))
    assert largest(expected_gradient(row, design, optimum, truth=TRUTH3)) < ZERO


def test_negative_sampling_is_stationary_at_the_mean_of_the_random_q(sequences):
    """Its F cannot depend on a random Q, and its logits do not: the Q of log( P / Q ) is the inclusion probability."""
    design = by_sequence(sequences, sequences.tries())
    mean = (design.probability @ design.log_q.exp()).log()
    optimum = NEGATIVE_SAMPLING.logits(P3.log(), mean)
    assert largest(expected_gradient(NEGATIVE_SAMPLING, design, optimum, truth=TRUTH3)) < ZERO


@pytest.mark.parametrize("row", [NCE, SAMPLED_LOGISTIC], ids=lambda row: row.name)
def test_tensorflows_number_of_tries_is_biased(row, sequences):
    """1 - (1 - p)^tries with one number of tries for all: for a sampled class it depends on its being there."""
    design = by_sequence(sequences, (sequences.first + 2)[:, None].expand(-1, 3))
    optimum = row.logits(P3.log(), torch.zeros(3))
    assert largest(expected_gradient(row, design, optimum, truth=TRUTH3)) > 1e-2


def test_sampled_softmax_over_distinct_draws_is_biased_with_either_number_of_tries(sequences):
    for tries in (sequences.tries(), (sequences.first + 2)[:, None].expand(-1, 3)):
        design = by_sequence(sequences, tries)
        assert largest(expected_gradient(SAMPLED_SOFTMAX, design, P3.log(), truth=TRUTH3)) > 1e-4
