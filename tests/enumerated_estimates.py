"""All samples of a small problem with their probabilities, and what the estimate is for each; numpy and loops alone."""

import itertools
import math

import numpy as np


def problem(seed=0, num_classes=4, dim=3, rows=2):
    """Queries (B, D), class vectors (C, D), biases (C,) and a distribution q (C,), in float64."""
    rng = np.random.default_rng(seed)
    q = rng.dirichlet(np.full(num_classes, 3.0))
    return rng.normal(size=(rows, dim)), rng.normal(size=(num_classes, dim)), rng.normal(size=num_classes), q


def softmax(inputs, weight, bias):
    p = np.exp(inputs @ weight.T + bias)
    return p / p.sum(axis=1, keepdims=True)


def exact(inputs, weight, bias):
    """(B, D) by a loop over rows and classes."""
    p = softmax(inputs, weight, bias)
    return np.array([sum(p[i, y] * weight[y] for y in range(len(weight))) for i in range(len(inputs))])


def estimate(inputs, weight, bias, sample, q):
    """(B, D) and (B,): the estimate as it is derived, by a loop over rows and draws, and its effective sample size."""
    means, sizes = [], []
    for x in inputs:
        w = [np.exp(x @ weight[y] + bias[y]) / q[y] for y in sample]
        means.append(sum(v * weight[y] for v, y in zip(w, sample, strict=True)) / sum(w))
        sizes.append(sum(w) ** 2 / sum(v**2 for v in w))
    return np.array(means), np.array(sizes)


def samples(q, k):
    """All C^k ordered samples with replacement: (classes, probability)."""
    for sample in itertools.product(range(len(q)), repeat=k):
        yield sample, float(np.prod(q[list(sample)]))


def unordered(q, k):
    """The same without their order: fewer, for larger k."""
    for sample in itertools.combinations_with_replacement(range(len(q)), k):
        copies = np.bincount(sample, minlength=len(q))
        orders = math.factorial(k) / math.prod(math.factorial(n) for n in copies)
        yield sample, orders * float(np.prod(q**copies))


def moments(inputs, weight, bias, q, all_samples):
    """Expectation (B, D), variance (B,) summed over coordinates, and expected effective sample size (B,)."""
    found = [(p, *estimate(inputs, weight, bias, sample, q)) for sample, p in all_samples]
    mean = sum(p * g for p, g, _ in found)
    variance = sum(p * ((g - mean) ** 2).sum(axis=1) for p, g, _ in found)
    return mean, variance, sum(p * ess for p, _, ess in found)
