"""gradient_error: estimates of the softmax gradient against the exact one, for a user's own queries and classes."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from logq._arguments import check_int, shown
from logq._progress import Progress
from logq.candidates import Candidates
from logq.diagnostics.estimates import GradientEstimate, sampled_softmax_gradient, self_normalized_gradient
from logq.diagnostics.gradient_errors import FEWEST_REPEATS, ErrorAt, GradientErrors, error_at
from logq.diagnostics.softmax_gradient import SoftmaxMoments, checked_table, draw_from_softmax, softmax_moments
from logq.samplers import InBatch, Proposal, Sampler
from logq.shapes import check_ids, check_shape

__all__ = ["ESTIMATORS", "Law", "gradient_error", "sized_samplers"]

Law = Sampler | Callable[[int], Sampler]
"""A sampler, or a function that makes one for k samples."""


def sized_samplers(
    sampler: Law | Mapping[str, Law], num_sampled: int | Sequence[int], num_classes: int, device: torch.device
) -> dict[str, list[tuple[int | None, Sampler]]]:
    """By name, the samplers to measure and their k, smallest first; None where k is what one draws anyway.

    Args:
        sampler: one law, or several by name.
        num_sampled: one k or several.
        num_classes: C, that all must have.
        device: where they must be.

    Raises:
        TypeError, ValueError: as `gradient_error`.

    Example:
        >>> from logq.samplers import EveryClass, Uniform
        >>> found = sized_samplers({"u": Uniform(9, 1), "all": EveryClass(9)}, [4, 2], 9, torch.device("cpu"))
        >>> {name: [k for k, _ in sized] for name, sized in found.items()}
        {'u': [2, 4], 'all': [None]}
    """
    sizes = _checked_sizes(num_sampled)
    return {name: list(_sizes_of(name, law, sizes, num_classes, device)) for name, law in _by_name(sampler).items()}


def _checked_sizes(num_sampled: int | Sequence[int]) -> list[int]:
    values = [num_sampled] if not isinstance(num_sampled, Sequence) else list(num_sampled)
    sizes = sorted({check_int("num_sampled", value) for value in values})
    if not sizes:
        raise ValueError("num_sampled: expected one number of samples at least, got none")
    return sizes


def _by_name(sampler: Law | Mapping[str, Law]) -> dict[str, Law]:
    if isinstance(sampler, Mapping):
        if not sampler:
            raise ValueError("sampler: expected one at least, got none")
        return dict(sampler)
    return {type(sampler).__name__ if isinstance(sampler, Sampler) else "sampler": sampler}


def _sizes_of(
    name: str, law: Law, sizes: Sequence[int], num_classes: int, device: torch.device
) -> Iterator[tuple[int | None, Sampler]]:
    """A sampler for each k; k is None where it is what the sampler draws anyway."""
    if isinstance(law, Proposal):
        made = [(k, law.with_num_sampled(k)) for k in sizes]
    elif isinstance(law, Sampler):
        made = [(None, law)]
    elif callable(law):
        made = [(k, law(k)) for k in sizes]
    else:
        raise TypeError(f"sampler: expected one of logq.samplers or a function k -> sampler, got {shown(law)}")
    for k, one in made:
        if not isinstance(one, Sampler):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"sampler: expected {name} to return a sampler, got {type(one).__name__}")
        if isinstance(one, InBatch):
            raise ValueError(
                f"sampler: {name} takes the batch itself as its sample, of which a fixed batch has a single one; over "
                "shuffled rows it comes to Unigram(counts of the targets, k), which can be measured"
            )
        if one.num_classes != num_classes:
            raise ValueError(f"sampler: expected {name} over {num_classes} classes, got {one.num_classes}")
        if one.device != device:
            raise ValueError(f"sampler: expected {name} on {device} where inputs are, got {one.device}")
        yield k, one


ESTIMATORS = ("self_normalized", "sampled_softmax")


class _Problem(NamedTuple):
    """What is estimated: queries, classes, and what their exact softmax is."""

    inputs: Tensor
    weight: Tensor
    bias: Tensor | None
    targets: Tensor | None
    exact: SoftmaxMoments
    length: float  # sqrt( sum over rows of |g|^2 )


@torch.no_grad()
def gradient_error(
    inputs: Tensor,  # (B, D)
    weight: Tensor,  # (C, D)
    sampler: Law | Mapping[str, Law],
    num_sampled: int | Sequence[int] = (16, 64, 256, 1024),
    *,
    bias: Tensor | None = None,  # (C,)
    targets: Tensor | None = None,  # (B,) int64
    estimator: str = "self_normalized",
    repeats: int = 32,
    seed: int = 0,
    progress: bool | None = False,
) -> GradientErrors:
    """Measure how far estimates of the softmax gradient from k samples are from the exact one.

        g_i = E_P[ w_y | x_i ] - w_{t_i},    error^2 = sum_i E|estimate_i - g_i|^2 / sum_i |g_i|^2 = std^2 + bias^2

    The gradient is that with respect to the inputs, which is what reaches the network below. "self_normalized" is
    importance sampling (Bengio and Senecal 2003): the true row is exact, log Z is estimated, and nothing of the error
    depends on the targets but its unit. "sampled_softmax" is the loss of that name as it is trained. Its gradient is
    right on average over true classes and not for one, so a bias for given targets does not vanish while k is small
    beside 1/q of them, and for draws with replacement never; where targets are drawn (None), it is averaged over them.

    NCE, negative sampling and sampled logistic are not here: they are gradients of other losses, a logistic regression
    for each class. They meet the softmax where both are at their optimum, not on the way, so that their distance from
    its gradient says nothing about how well they learn.

    Exact gradients cost two passes' worth of (B, D) x (D, C) products, draws (B, D) x (D, k) each. Memory: repeats x B
    x D numbers. A sampler that learns is taken as it is, and learns nothing here.

    Args:
        inputs: queries of a trained model, some hundred are enough; float.
        weight: the class table, float.
        sampler: a sampler of logq.samplers, a function k -> sampler, or several of these by name. A sampler that makes
            num_sampled draws from one law is taken at every k; any other (a mixture, all classes) at its own k only.
            InBatch is refused: a fixed batch gives a single sample. What it comes to for shuffled rows is
            Unigram(counts of the targets, k).
        num_sampled: one k or several.
        bias: of the classes.
        targets: the true class of each row. None: as the model's own softmax has them; self-normalised estimates
            then are measured in units of sqrt( E_P|g|^2 ), and sampled softmax draws targets anew in each repeat.
        estimator: "self_normalized" or "sampled_softmax".
        repeats: n, independent draws for each sampler and k; standard errors fall with sqrt(n).
        seed: of all draws; the samplers' own generators are not touched.
        progress: True shows a bar, False nothing, None a bar on a terminal and plain lines in a log.

    Returns:
        GradientErrors.

    Raises:
        TypeError, ValueError: an argument is not as described, logits are not finite, or the exact gradient is 0.

    References:
        Bengio and Senecal, Quick Training of Probabilistic Neural Nets by Importance Sampling, AISTATS 2003.
        Bengio and Senecal, Adaptive Importance Sampling, IEEE Trans. Neural Networks 2008.

    Example:
        >>> from logq.samplers import EveryClass, Uniform
        >>> generator = torch.Generator().manual_seed(1)
        >>> inputs, weight = (torch.randn(n, 4, generator=generator) for n in (8, 100))
        >>> errors = gradient_error(inputs, weight, {"uniform": Uniform(100, 1), "all": EveryClass(100)}, (25, 100))
        >>> few, many = (at.relative_error.value for at in errors["uniform"])
        >>> 1.5 < few / many < 3, errors["all"][0].relative_error.value < 1e-6
        (True, True)
    """
    x, sizes = checked_table(inputs, weight, bias)
    if estimator not in ESTIMATORS:
        raise ValueError(
            f"estimator: expected one of {', '.join(ESTIMATORS)}, got {shown(estimator)}; other rows of the table are "
            "gradients of other losses, not estimates of the softmax's"
        )
    if targets is not None:
        check_shape("targets", targets, "B", sizes)
        check_ids("targets", targets, sizes["C"])
    repeats, seed = check_int("repeats", repeats, FEWEST_REPEATS), check_int("seed", seed, 0)
    samplers = sized_samplers(sampler, num_sampled, sizes["C"], x.device)
    draws = repeats * sum(map(len, samplers.values()))
    # One unit is a draw; a pass over all classes costs as much as some.
    with Progress(draws + repeats, "draws", "gradient errors", progress) as bar:
        exact = softmax_moments(x, weight, bias, on_classes=lambda classes: bar.advance(repeats * classes / sizes["C"]))
        generator = torch.Generator(x.device).manual_seed(seed)
        problem = _Problem(x, weight, bias, targets, exact, _length(weight, targets, exact))
        drawn = None
        if targets is None and estimator == "sampled_softmax":
            drawn = draw_from_softmax(x, weight, bias, exact.log_z, repeats, generator)
        found: dict[str, list[ErrorAt]] = {name: [] for name in samplers}
        for name, sized in samplers.items():
            for k, one in sized:
                modes = [(part, part.training) for part in one.modules()]
                one.eval()  # so that it does not learn
                try:
                    found[name].append(_measure(problem, one, k, drawn, estimator, repeats, generator, bar))
                finally:
                    for part, training in modes:
                        part.training = training
    unit = problem.length / math.sqrt(sizes["B"])
    return GradientErrors(found, estimator, sizes["B"], sizes["C"], repeats, unit)


def _measure(
    problem: _Problem,
    sampler: Sampler,
    k: int | None,
    drawn: Tensor | None,  # (B, n) targets of each repeat
    estimator: str,
    repeats: int,
    generator: torch.Generator,
    bar: Progress,
) -> ErrorAt:
    inputs, weight, bias, targets, exact, length = problem
    errors = inputs.new_empty(repeats, inputs.numel())
    ess = inputs.new_empty(repeats)
    size = 0
    for repeat in range(repeats):
        true = targets if drawn is None else drawn[:, repeat]
        if true is None:
            if sampler.reads_targets:
                raise ValueError(f"targets: expected them for {type(sampler).__name__}, which draws by them, got None")
            true = torch.zeros(len(inputs), dtype=torch.int64, device=inputs.device)
        candidates = sampler.draw(true, generator=generator, need_log_q=estimator == "sampled_softmax")
        estimate, g = _estimate(inputs, weight, bias, candidates, estimator), exact.mean
        if estimator == "sampled_softmax":
            g = g - weight[true].to(g.dtype)
        errors[repeat] = (estimate.gradient - g).reshape(-1)
        ess[repeat] = estimate.effective_sample_size.mean()
        size = candidates.ids.shape[-1]
        bar.advance(1)
    return error_at(size if k is None else k, errors, ess, length)


def _estimate(
    inputs: Tensor, weight: Tensor, bias: Tensor | None, candidates: Candidates, estimator: str
) -> GradientEstimate:
    if estimator == "sampled_softmax":
        return sampled_softmax_gradient(inputs, weight, candidates, bias=bias)
    ids, log_q, excluded = candidates.ids, candidates.log_expected_count, candidates.excluded
    return self_normalized_gradient(inputs, weight, ids, log_q, bias=bias, excluded=excluded)


def _length(weight: Tensor, targets: Tensor | None, exact: SoftmaxMoments) -> float:
    """The root of the sum over rows of |g|^2, or of its mean over targets from the softmax, E_P|w|^2 - |E_P w|^2."""
    if targets is None:
        squares = (exact.mean_square - exact.mean.square().sum(dim=1)).clamp(min=0)
    else:
        squares = (exact.mean - weight.detach()[targets].to(exact.mean.dtype)).square().sum(dim=1)
    length = math.sqrt(float(squares.double().sum()))
    if length == 0:
        raise ValueError("inputs, weight: expected an exact gradient that is not 0 everywhere, to measure errors by")
    return length
