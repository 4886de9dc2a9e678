import numpy as np
import pytest
import torch

import enumerated_estimates as enumerated
from frequencies import assert_frequencies
from logq.diagnostics import exact_gradient
from logq.diagnostics.softmax_gradient import draw_from_softmax, softmax_moments


def test_the_exact_gradient_is_that_of_a_loop_and_of_autograd():
    inputs, weight, bias, _ = enumerated.problem(rows=5)
    x, w, b = map(torch.from_numpy, (inputs, weight, bias))
    np.testing.assert_allclose(exact_gradient(x, w, b), enumerated.exact(inputs, weight, bias), atol=1e-14)
    targets = torch.tensor([0, 3, 1, 1, 2])
    x.requires_grad_()
    torch.nn.functional.cross_entropy(x @ w.T + b, targets, reduction="sum").backward()
    torch.testing.assert_close(exact_gradient(x, w, b, targets=targets), x.grad, atol=1e-14, rtol=0)


def test_classes_come_in_chunks_and_large_logits_do_no_harm(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    x, w = (30 * torch.randn(n, 4, generator=generator, dtype=torch.float64) for n in (3, 50))
    monkeypatch.setattr("logq.kernels.logits.CHUNK_LOGITS", 21)  # seven classes for three rows
    p = (x @ w.T).softmax(dim=1)
    seen = []
    moments = softmax_moments(x, w, on_classes=seen.append)
    torch.testing.assert_close(moments.mean, p @ w)
    torch.testing.assert_close(moments.mean_square, p @ w.square().sum(dim=1))
    torch.testing.assert_close(moments.log_z, (x @ w.T).logsumexp(dim=1))
    assert seen == [7] * 7 + [1]


def test_draws_from_the_softmax_have_its_distribution(monkeypatch, seed):
    """Chi-square of 20,000 draws per row; fails with one seed in three million."""
    monkeypatch.setattr("logq.kernels.logits.CHUNK_LOGITS", 6)  # two classes for three rows
    inputs, weight, bias, _ = enumerated.problem(rows=3)
    x, w, b = map(torch.from_numpy, (inputs, weight, bias))
    generator = torch.Generator().manual_seed(seed)
    drawn = draw_from_softmax(x, w, b, softmax_moments(x, w, b).log_z, 20_000, generator)
    for row, p in zip(drawn, enumerated.softmax(inputs, weight, bias), strict=True):
        assert_frequencies(row, torch.from_numpy(p))


def test_half_precision_is_computed_in_float32():
    x, w = torch.randn(2, 3), torch.randn(9, 3)
    found = exact_gradient(x.bfloat16(), w.bfloat16())
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, exact_gradient(x.bfloat16().float(), w.bfloat16().float()))


def test_bad_arguments():
    with pytest.raises(ValueError, match="inputs: expected finite logits, got others in row 1"):
        exact_gradient(torch.tensor([[0.0], [torch.nan]]), torch.ones(3, 1))
    with pytest.raises(ValueError, match=r"targets: expected class ids in \[0, 3\), got 3"):
        exact_gradient(torch.zeros(1, 1), torch.ones(3, 1), targets=torch.tensor([3]))
