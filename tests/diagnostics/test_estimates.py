import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

import enumerated_estimates as enumerated
from frequencies import assert_mean
from logq.candidates import Candidates
from logq.diagnostics import effective_sample_size, sampled_softmax_gradient, self_normalized_gradient
from logq.functional import refined_softmax_loss, sampled_softmax_loss
from logq.samplers import EveryClass, Unigram
from problems import PROBLEMS, problem


def tensors(*arrays) -> list[Tensor]:
    return [torch.from_numpy(np.asarray(array)) for array in arrays]


def test_all_samples_of_three_draws_from_four_classes():
    """Each of the 64 estimates is that of the loop, with a sample that the batch shares or one per row."""
    inputs, weight, bias, q = enumerated.problem()
    x, w, b, log_q = tensors(inputs, weight, bias, np.log(q))
    count = 0
    for sample, _ in enumerated.samples(q, 3):
        ids = torch.tensor(sample)
        wanted, ess = enumerated.estimate(inputs, weight, bias, sample, q)
        for drawn in (ids, ids.expand(2, 3)):
            # Expected counts instead of probabilities: a factor of all of them cancels.
            found = self_normalized_gradient(x, w, drawn, log_q[drawn] + np.log(3), bias=b)
            np.testing.assert_allclose(found.gradient, wanted, atol=1e-13)
            np.testing.assert_allclose(found.effective_sample_size, ess, atol=1e-12)
        count += 1
    assert count == 64


def test_bias_and_variance_fall_as_1_over_k():
    """By enumeration: k bias -> -E_P[(P/q)(w - g)], k variance -> E_P[(P/q)|w - g|^2], the rest falls like 1/k."""
    inputs, weight, bias, q = enumerated.problem(rows=1)
    p, g = enumerated.softmax(inputs, weight, bias)[0], enumerated.exact(inputs, weight, bias)[0]
    of_bias = -sum(p[y] ** 2 / q[y] * (weight[y] - g) for y in range(4))
    of_variance = sum(p[y] ** 2 / q[y] * ((weight[y] - g) ** 2).sum() for y in range(4))
    rest = []
    for k in (8, 16, 32):
        mean, variance, _ = enumerated.moments(inputs, weight, bias, q, enumerated.unordered(q, k))
        rest.append([np.linalg.norm(k * (mean[0] - g) - of_bias), abs(k * variance[0] - of_variance)])
    assert np.linalg.norm(of_bias) > 0.1
    for before, after in itertools.pairwise(rest):
        assert max(np.divide(after, before)) < 0.55
    assert rest[-1][0] < 0.1 * np.linalg.norm(of_bias)
    assert rest[-1][1] < 0.1 * of_variance


def test_both_enumerations_are_one():
    arguments = enumerated.problem()
    for one, other in zip(
        enumerated.moments(*arguments, enumerated.samples(arguments[3], 3)),
        enumerated.moments(*arguments, enumerated.unordered(arguments[3], 3)),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, atol=1e-14)


def test_numerator_and_denominator_are_unbiased_without_replacement(seed):
    """All classes but one, drawn over and over: with Q of the sampler, sums of 1/Q over the sample have mean C."""
    sampler = Unigram([5, 1, 2, 4], 3, replacement=False, seed=seed, dtype=torch.float64)
    draws = [sampler.draw(torch.zeros(1, dtype=torch.int64)) for _ in range(2000)]
    sums = torch.zeros(2000, 4, dtype=torch.float64)
    for row, draw in zip(sums, draws, strict=True):
        row[draw.ids] = (-draw.log_expected_count).exp()
    assert_mean(sums, 1.0)


def test_every_class_is_exact_and_excluded_columns_do_not_count():
    inputs, weight, bias, _ = enumerated.problem(rows=3)
    x, w, b = tensors(inputs, weight, bias)
    every = EveryClass(4, dtype=torch.float64).draw(torch.zeros(3, dtype=torch.int64))
    found = self_normalized_gradient(x, w, every.ids, every.log_expected_count, bias=b)
    np.testing.assert_allclose(found.gradient, enumerated.exact(inputs, weight, bias), atol=1e-14)
    excluded = torch.tensor([[True, False, False, False]] * 3)
    found = self_normalized_gradient(x, w, every.ids, every.log_expected_count, bias=b, excluded=excluded)
    np.testing.assert_allclose(found.gradient, enumerated.exact(inputs, weight[1:], bias[1:]), atol=1e-14)


def test_rows_with_samples_of_their_own_come_in_parts(monkeypatch):
    x, w = torch.randn(7, 3, dtype=torch.float64), torch.randn(9, 3, dtype=torch.float64)
    ids = torch.randint(9, (7, 4))
    whole = self_normalized_gradient(x, w, ids, torch.zeros(7, 4))
    monkeypatch.setattr("logq.diagnostics.estimates._GATHERED", 30)
    for one, other in zip(self_normalized_gradient(x, w, ids, torch.zeros(7, 4)), whole, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("refined", [False, True])
@pytest.mark.parametrize("remove_hits", [True, False])
@pytest.mark.parametrize("name", [name for name in PROBLEMS if "ignored" not in name])
def test_sampled_softmax_is_what_is_trained(name, remove_hits, refined):
    """The gradient that autograd finds in the library's own loss."""
    given = problem(**PROBLEMS[name])
    x = given.input.clone().requires_grad_()
    loss = refined_softmax_loss if refined else sampled_softmax_loss
    loss(x, given.weight, given.candidates, bias=given.bias, remove_hits=remove_hits, reduction="sum").backward()
    found = sampled_softmax_gradient(
        given.input, given.weight, given.candidates, bias=given.bias, remove_hits=remove_hits, refined=refined
    )
    torch.testing.assert_close(found.gradient, x.grad, atol=1e-12, rtol=0)


def test_effective_sample_size():
    weights = torch.tensor([[1.0, 1.0, 1.0], [1.0, 2.0, 3.0], [5.0, 0.0, 0.0]], dtype=torch.float64)
    wanted = weights.sum(dim=1) ** 2 / (weights**2).sum(dim=1)
    torch.testing.assert_close(effective_sample_size(weights.log() + 900), wanted)
    assert effective_sample_size(torch.tensor([0.0, 0.0])).shape == ()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ids": torch.tensor([0, 4])}, r"ids: expected class ids in \[0, 4\), got 4 at position \(1,\)"),
        ({"ids": torch.tensor([], dtype=torch.int64), "log_q": torch.zeros(0)}, "ids: expected at least one"),
        ({"log_q": torch.zeros(3)}, r"log_q: expected shape \(S\) with S = 2, got \(3,\)|log_q: expected shape \(S,\)"),
        ({"log_q": torch.tensor([0.0, -torch.inf])}, r"log_q: expected finite logarithms, got -inf at position \(1,\)"),
        ({"weight": torch.zeros(4, 2)}, r"weight: expected shape \(C, D\) with D = 3"),
        ({"inputs": torch.zeros(0, 3)}, "inputs: expected at least one row"),
        ({"bias": torch.zeros(3)}, "bias: expected shape"),
        ({"excluded": torch.tensor([[False, False], [True, True]])}, "excluded: .* none in row 1"),
    ],
)
def test_bad_arguments(arguments, message):
    known = {"inputs": torch.zeros(2, 3), "weight": torch.zeros(4, 3), "ids": torch.tensor([0, 1])}
    known |= {"log_q": torch.zeros(2), **arguments}
    with pytest.raises(ValueError, match=message):
        self_normalized_gradient(**known)


def test_kinds_of_arguments():
    with pytest.raises(TypeError, match="inputs: expected a floating point dtype"):
        self_normalized_gradient(
            torch.zeros(2, 3, dtype=torch.int64), torch.zeros(4, 3), torch.tensor([0]), torch.zeros(1)
        )
    with pytest.raises(TypeError, match="log_weights: expected a tensor of floating point numbers, got list"):
        effective_sample_size([0.0])
    with pytest.raises(ValueError, match="log_weights"):
        effective_sample_size(torch.zeros(3, 0))
    candidates = Candidates(torch.tensor([0]), torch.zeros(1), torch.zeros(2, 2, dtype=torch.int64), torch.zeros(2, 2))
    with pytest.raises(ValueError, match=r"candidates\.targets"):
        sampled_softmax_gradient(torch.zeros(2, 3), torch.zeros(4, 3), candidates)
