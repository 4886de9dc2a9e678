"""`gradient_error`: compare estimates of the softmax gradient with the exact one, for given queries and classes."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim, check_int
from logq._progress import Progress
from logq.candidates import Candidates
from logq.diagnostics.estimates import GradientEstimate, sampled_softmax_gradient, self_normalized_gradient
from logq.diagnostics.gradient_errors import FEWEST_REPEATS, ErrorAt, GradientErrors, error_at
from logq.diagnostics.softmax_gradient import SoftmaxMoments, checked_table, draw_from_softmax, softmax_moments
from logq.samplers import InBatch, Proposal, Sampler
from logq.shapes import check_ids, check_shape

__all__ = ["gradient_error"]

ESTIMATORS = ("self_normalized", "sampled_softmax", "refined_softmax")
"""The names of the estimators."""

SamplerLike = Sampler | Callable[[int], Sampler]
"""A sampler, or a function that makes one for k samples."""


def sized_samplers(
    sampler: SamplerLike | Mapping[str, SamplerLike],
    num_sampled: int | Sequence[int],
    num_classes: int,
    device: torch.device,
) -> dict[str, list[tuple[int | None, Sampler]]]:
    """Return by name the samplers to evaluate and their k, smallest first; None where a sampler has a k of its own.

    Args:
        sampler: one, or several by name.
        num_sampled: one k or several.
        num_classes: C, which all must have.
        device: the device, on which all must be.

    Raises:
        ArgumentTypeError, ArgumentError: as `gradient_error`.

    Example:
        >>> from logq.samplers import EveryClass, Uniform
        >>> found = sized_samplers({"u": Uniform(9, 1), "all": EveryClass(9)}, [4, 2], 9, torch.device("cpu"))
        >>> {name: [k for k, _ in sized] for name, sized in found.items()}
        {'u': [2, 4], 'all': [None]}
    """
    sizes = _checked_sizes(num_sampled)
    return {name: list(_sizes_of(name, one, sizes, num_classes, device)) for name, one in _by_name(sampler).items()}


def _checked_sizes(num_sampled: int | Sequence[int]) -> list[int]:
    values = [num_sampled] if not isinstance(num_sampled, Sequence) else list(num_sampled)
    sizes = sorted({check_int("num_sampled", value) for value in values})
    if not sizes:
        raise ArgumentError("num_sampled", "at least one number of samples", Verbatim("none"))
    return sizes


def _by_name(sampler: SamplerLike | Mapping[str, SamplerLike]) -> dict[str, SamplerLike]:
    if isinstance(sampler, Mapping):
        if not sampler:
            raise ArgumentError("sampler", "at least one", Verbatim("none"))
        return dict(sampler)
    return {type(sampler).__name__ if isinstance(sampler, Sampler) else "sampler": sampler}


def _sizes_of(
    name: str, sampler: SamplerLike, sizes: Sequence[int], num_classes: int, device: torch.device
) -> Iterator[tuple[int | None, Sampler]]:
    """Yield a sampler for each k; k is None where the sampler has a k of its own."""
    if isinstance(sampler, Proposal):
        sized = [(k, sampler.with_num_sampled(k)) for k in sizes]
    elif isinstance(sampler, Sampler):
        sized = [(None, sampler)]
    elif callable(sampler):
        sized = [(k, sampler(k)) for k in sizes]
    else:
        raise ArgumentTypeError("sampler", "a sampler of logq.samplers or a function k -> sampler", sampler)
    for k, one in sized:
        if not isinstance(one, Sampler):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ArgumentTypeError("sampler", f"{name} to return a sampler", Verbatim(type(one).__name__))
        if isinstance(one, InBatch):
            hint = "its sample is the batch itself; for shuffled rows take Unigram(counts of the targets, k)"
            raise ArgumentError("sampler", f"{name} to draw at random", Verbatim("InBatch"), hint)
        if one.num_classes != num_classes:
            raise ArgumentError("sampler", f"{name} over {num_classes} classes", one.num_classes)
        if one.device != device:
            raise ArgumentError("sampler", f"{name} on {device}, the device of inputs", Verbatim(one.device))
        yield k, one


class _Problem(NamedTuple):
    """What to estimate: queries, classes, and the moments of their exact softmax."""

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
    sampler: SamplerLike | Mapping[str, SamplerLike],
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

    The gradient is with respect to the inputs, which is what reaches the network below. "self_normalized" is importance
    sampling (Bengio and Senecal 2003): the true class is exact, log Z is estimated, and only the unit of the error
    depends on the targets. "sampled_softmax" is the loss of that name as it is trained. Its gradient is right on
    average over true classes and not for each, so the bias for given targets does not vanish while k is small compared
    with 1/q of them, and for draws with replacement never; where targets are drawn (None), it is averaged over them.
    "refined_softmax" has a bias that falls with k for given targets as for drawn ones.

    NCE, negative sampling and sampled logistic are not included: their gradients are those of other losses, a logistic
    regression for each class. They agree with the softmax at the optimum, not on the way, so their distance from its
    gradient says nothing about how well they learn.

    The cost is two products (B, D) x (D, C) for exact gradients, and (B, D) x (D, k) for each draw. Memory: repeats x B
    x D numbers. A sampler that learns is used as it is, and does not learn here.

    Args:
        inputs: queries of a trained model, float; a few hundred are enough.
        weight: class weights, float.
        sampler: a sampler of logq.samplers, a function k -> sampler, or several of these by name. A sampler that makes
            num_sampled draws from one distribution is evaluated at every k; any other (a mixture, all classes) only at
            its own k. InBatch is rejected, as a fixed batch gives a single sample; for shuffled rows it amounts to
            Unigram(counts of the targets, k).
        num_sampled: one k or several.
        bias: of the classes.
        targets: the true class of each row; None for those of the model's own softmax. The unit of errors then is
            sqrt( E_P|g|^2 ), and estimates that are losses draw new targets in each repeat.
        estimator: "self_normalized", "sampled_softmax" or "refined_softmax".
        repeats: n, independent draws for each sampler and k; standard errors decrease with sqrt(n).
        seed: of all draws; the samplers' own generators are not used.
        progress: True shows a bar, False nothing, None a bar on a terminal and plain lines in a log.

    Returns:
        GradientErrors.

    Raises:
        ArgumentTypeError, ArgumentError: an argument is not as described, logits are not finite, or the exact gradient
            is 0.

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
        raise ArgumentError(
            "estimator",
            f"one of {', '.join(ESTIMATORS)}",
            estimator,
            "the gradients of other objectives are not estimates of that of the softmax",
        )
    if targets is not None:
        check_shape("targets", targets, "B", sizes)
        check_ids("targets", targets, sizes["C"])
    repeats, seed = check_int("repeats", repeats, FEWEST_REPEATS), check_int("seed", seed, 0)
    samplers = sized_samplers(sampler, num_sampled, sizes["C"], x.device)
    draws = repeats * sum(map(len, samplers.values()))
    # A unit is a draw; a pass over all classes counts as `repeats` of them.
    with Progress(draws + repeats, "draws", "gradient errors", progress) as bar:
        exact = softmax_moments(x, weight, bias, on_classes=lambda classes: bar.advance(repeats * classes / sizes["C"]))
        generator = torch.Generator(x.device).manual_seed(seed)
        problem = _Problem(x, weight, bias, targets, exact, _length(weight, targets, exact))
        drawn = None
        if targets is None and estimator != "self_normalized":
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
                raise ArgumentError("targets", f"targets for {type(sampler).__name__}, which depends on them", None)
            true = torch.zeros(len(inputs), dtype=torch.int64, device=inputs.device)
        candidates = sampler.draw(true, generator=generator, need_log_q=estimator != "self_normalized")
        estimate, g = _estimate(inputs, weight, bias, candidates, estimator), exact.mean
        if estimator != "self_normalized":
            g = g - weight[true].to(g.dtype)
        errors[repeat] = (estimate.gradient - g).reshape(-1)
        ess[repeat] = estimate.effective_sample_size.mean()
        size = candidates.ids.shape[-1]
        bar.advance(1)
    return error_at(size if k is None else k, errors, ess, length)


def _estimate(
    inputs: Tensor, weight: Tensor, bias: Tensor | None, candidates: Candidates, estimator: str
) -> GradientEstimate:
    if estimator != "self_normalized":
        refined = estimator == "refined_softmax"
        return sampled_softmax_gradient(inputs, weight, candidates, bias=bias, refined=refined)
    ids, log_q, excluded = candidates.ids, candidates.log_expected_count, candidates.excluded
    return self_normalized_gradient(inputs, weight, ids, log_q, bias=bias, excluded=excluded)


def _length(weight: Tensor, targets: Tensor | None, exact: SoftmaxMoments) -> float:
    """Return the root of the sum over rows of |g|^2, or of its mean over targets, E_P|w|^2 - |E_P w|^2."""
    if targets is None:
        squares = (exact.mean_square - exact.mean.square().sum(dim=1)).clamp(min=0)
    else:
        squares = (exact.mean - weight.detach()[targets].to(exact.mean.dtype)).square().sum(dim=1)
    length = math.sqrt(float(squares.double().sum()))
    if length == 0:
        raise ArgumentError("weight", "a nonzero exact gradient, the unit of errors", Verbatim("0 in each row"))
    return length
