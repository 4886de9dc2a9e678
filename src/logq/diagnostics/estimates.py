"""Estimates of the softmax gradient from a sample of classes, by importance sampling.

k classes y_1 .. y_k are drawn from Q, not from P. With weights that correct for it,

    w_j = exp(F(x, y_j)) / Q(y_j),    d log Z / dx  ~  sum_j w_j dF(x, y_j)/dx / sum_j w_j

As the sum of the weights is an estimate of Z up to a factor (E sum_j w_j = k Z for draws from q), numerator and
denominator are unbiased, and their quotient is not: it has a bias of order 1/k and a variance of order 1/k,

    E estimate - g = - 1/k E_P[ (P/q) (dF/dx - g) ] + O(1/k^2),    variance = 1/k E_P[ (P/q) |dF/dx - g|^2 ] + O(1/k^2).

References:
    Bengio and Senecal, Quick Training of Probabilistic Neural Nets by Importance Sampling, AISTATS 2003, Sec. 4.
    Bengio and Senecal, Adaptive Importance Sampling to Accelerate Training of a Neural Probabilistic Language Model,
        IEEE Trans. Neural Networks 2008, Eq. 16 and Sec. IV (the effective sample size).
    Owen, Monte Carlo theory, methods and examples, 2013, ch. 9.2.
    Jean et al., On Using Very Large Target Vocabulary, ACL 2015, arXiv:1412.2007, Sec. 3.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim
from logq.candidates import Candidates
from logq.diagnostics.softmax_gradient import checked_table
from logq.kernels.logits import logits
from logq.shapes import check_ids, check_shape

__all__ = ["GradientEstimate", "effective_sample_size", "sampled_softmax_gradient", "self_normalized_gradient"]

_GATHERED = 1 << 23  # numbers of class vectors in memory at a time, where each row has a sample of its own


class GradientEstimate(NamedTuple):
    """An estimate for each row, and the number of draws from P that it is worth.

    Args:
        gradient: (B, D).
        effective_sample_size: (B,), from 1 to the size of the sample.

    Example:
        >>> ids = torch.tensor([0, 1])
        >>> self_normalized_gradient(torch.zeros(1, 2), torch.eye(2), ids, torch.zeros(2))
        GradientEstimate(gradient=tensor([[0.5000, 0.5000]]), effective_sample_size=tensor([2.]))
    """

    gradient: Tensor
    effective_sample_size: Tensor


def effective_sample_size(log_weights: Tensor) -> Tensor:
    """Return the number of equal weights that are worth as much as these: (sum w)^2 / sum w^2, over the last dimension.

    Args:
        log_weights: (..., k) float, natural logs; minus infinity for a weight of 0.

    Returns:
        (...), from 1 to k; NaN where all weights are 0.

    Raises:
        ArgumentTypeError: `log_weights` are not floating point numbers.
        ArgumentError: there are none.

    References:
        Kong, A note on importance sampling using standardized weights, University of Chicago 1992.

    Example:
        >>> effective_sample_size(torch.tensor([[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, -torch.inf, -torch.inf]]))
        tensor([4., 2.])
    """
    if not isinstance(log_weights, Tensor) or not log_weights.is_floating_point():  # pyright: ignore[reportUnnecessaryIsInstance]
        got = getattr(log_weights, "dtype", type(log_weights).__name__)
        raise ArgumentTypeError("log_weights", "a tensor of floating point numbers", Verbatim(got))
    if log_weights.dim() == 0 or log_weights.shape[-1] == 0:
        raise ArgumentError("log_weights", "shape (..., k) with k >= 1", tuple(log_weights.shape))
    return log_weights.softmax(dim=-1).square().sum(dim=-1).reciprocal()


@torch.no_grad()
def self_normalized_gradient(
    inputs: Tensor,  # (B, D)
    weight: Tensor,  # (C, D)
    ids: Tensor,  # (S,) or (B, S) int64
    log_q: Tensor,  # as ids
    *,
    bias: Tensor | None = None,  # (C,)
    excluded: Tensor | None = None,  # (B, S) bool
) -> GradientEstimate:
    """Return the self-normalized estimate of d log Z / dx = E_P[ w_y ] from a sample.

        sum_j v_j w_{y_j} / sum_j v_j,    v_j = exp(F(x, y_j)) / Q(y_j)

    A factor common to all Q cancels: for draws with replacement the probability and the expected count give the same.
    For draws without replacement Q is the probability of being in the sample, which samplers return; numerator and
    denominator are then Horvitz-Thompson estimates, which are unbiased again.

    Args:
        inputs: queries, float.
        weight: class weights, float.
        ids: sampled classes, one sample for all rows or one for each.
        log_q: the log of their probabilities or expected counts: `log_expected_count` of Candidates.
        bias: of the classes.
        excluded: True where a column is not part of a row's sample.

    Returns:
        The estimates (B, D) and the effective sample sizes (B,).

    Raises:
        ArgumentTypeError, ArgumentError: an argument is not as described, or a row has no sample.

    Example:
        >>> weight = torch.tensor([[0.0, 0.0], [2.0, 4.0]])
        >>> self_normalized_gradient(torch.zeros(1, 2), weight, torch.tensor([0, 1, 1]), torch.zeros(3)).gradient
        tensor([[1.3333, 2.6667]])
    """
    x, sizes = checked_table(inputs, weight, bias)
    _check_sample(ids, log_q, excluded, sizes)
    offsets = -log_q.to(x.dtype)
    if excluded is not None:
        offsets = offsets.expand(sizes["B"], -1).masked_fill(excluded, -torch.inf)
    return _weighted_mean(x, weight, bias, ids, offsets)


@torch.no_grad()
def sampled_softmax_gradient(
    inputs: Tensor,  # (B, D)
    weight: Tensor,  # (C, D)
    candidates: Candidates,
    *,
    bias: Tensor | None = None,  # (C,)
    remove_hits: bool = True,
    refined: bool = False,
) -> GradientEstimate:
    """Return the gradient of sampled softmax, as it is trained, with respect to the inputs.

        sum_{y in T + (S - T)} v_y w_y / sum v_y  -  w_t,    v_y = exp(F(x, y)) / Q(y)

    This is the self-normalized estimate with the true class joined to the sample, its weight divided by its own
    expected count too, and hits removed. So it is right on average over true classes, not for each: a rare true class
    has much too large a weight in its own row, a frequent one too small.

    Args:
        inputs: queries, float.
        weight: class weights, float.
        candidates: from a sampler's `draw`, with targets (B,).
        bias: of the classes.
        remove_hits: as in the losses.
        refined: whether it is that of refined softmax, v_t = exp(F(x, t)): right for each true class in the limit of
            large samples.

    Returns:
        The gradients (B, D) of the losses of rows and the effective sample sizes (B,), including the true class.

    Raises:
        ArgumentTypeError, ArgumentError: an argument is not as described.

    Example:
        >>> from logq.samplers import EveryClass
        >>> candidates = EveryClass(2).draw(torch.tensor([0]))
        >>> weight = torch.tensor([[0.0, 0.0], [2.0, 4.0]])
        >>> sampled_softmax_gradient(torch.zeros(1, 2), weight, candidates).gradient
        tensor([[1., 2.]])
    """
    x, sizes = checked_table(inputs, weight, bias)
    check_shape("candidates.targets", candidates.targets, "B", sizes)
    check_ids("candidates.targets", candidates.targets, sizes["C"])
    _check_sample(candidates.ids, candidates.log_expected_count, candidates.excluded, sizes)
    removed = candidates.hits() if remove_hits else torch.zeros((), dtype=torch.bool, device=x.device)
    if candidates.excluded is not None:
        removed = removed | candidates.excluded
    offsets = -candidates.log_expected_count.to(x.dtype).expand(sizes["B"], -1)
    offsets = offsets.masked_fill(removed, -torch.inf)
    true_rows = weight.detach()[candidates.targets].to(x.dtype)  # (B, D)
    true_bias = None if bias is None else bias.detach()[candidates.targets][:, None]
    true = logits(x, true_rows[:, None], true_bias, temperature=1.0, cosine=False)[:, 0]
    if not refined:
        true = true - candidates.true_log_expected_count.to(x.dtype)
    found = _weighted_mean(x, weight, bias, candidates.ids, offsets, true, true_rows)
    return found._replace(gradient=found.gradient - true_rows)


def _check_sample(ids: Tensor, log_q: Tensor, excluded: Tensor | None, sizes: dict[str, int]) -> None:
    check_ids("ids", ids, sizes["C"])
    check_shape("ids", ids, "BS" if ids.dim() == 2 else "S", sizes)
    if sizes["S"] == 0:
        raise ArgumentError("ids", "at least one sampled class", tuple(ids.shape))
    # Shared ids may have counts that differ from row to row, as those of in-batch negatives.
    check_shape("log_q", log_q, "BS" if log_q.dim() == 2 else "S", sizes)
    if ids.dim() == 2 and log_q.dim() == 1:
        raise ArgumentError("log_q", "shape (B, S) as ids", tuple(log_q.shape))
    if not bool(log_q.isfinite().all()):
        where = tuple(int(i) for i in (~log_q.isfinite()).nonzero()[0])
        raise ArgumentError("log_q", "finite logarithms", Verbatim(f"{float(log_q[where])} at position {where}"))
    if excluded is not None:
        check_shape("excluded", excluded, "BS", sizes)
        left_out = excluded.all(dim=1)
        if bool(left_out.any()):
            raise ArgumentError(
                "excluded", "at least one class left in each row", Verbatim(f"none in row {int(left_out.nonzero()[0])}")
            )


def _weighted_mean(
    x: Tensor,  # (B, D)
    weight: Tensor,  # (C, D)
    bias: Tensor | None,  # (C,)
    ids: Tensor,  # (S,) or (B, S)
    offsets: Tensor,  # (S,) or (B, S), added to the logits
    true: Tensor | None = None,  # (B,) log weight of one more class
    true_rows: Tensor | None = None,  # (B, D) of that class
) -> GradientEstimate:
    """Return the mean of class vectors, weighted by exp(F + offset)."""
    weight, bias = weight.detach(), None if bias is None else bias.detach()
    parts: list[GradientEstimate] = []
    size = len(x) if ids.dim() == 1 else max(1, _GATHERED // (ids.shape[1] * x.shape[1]))
    shared = weight[ids].to(x.dtype) if ids.dim() == 1 else None
    for begin in range(0, len(x), size):
        of_rows = slice(begin, begin + size)
        here = ids if ids.dim() == 1 else ids[of_rows]
        rows = weight[here].to(x.dtype) if shared is None else shared  # (S, D) or (b, S, D)
        scores = logits(x[of_rows], rows, None if bias is None else bias[here], temperature=1.0, cosine=False)
        scores = scores + (offsets if offsets.dim() == 1 else offsets[of_rows])
        if true is not None:
            scores = torch.cat([scores, true[of_rows, None]], dim=1)
        p = scores.softmax(dim=1)
        of_sample = p if true is None else p[:, :-1]
        with torch.autocast(x.device.type, enabled=False):
            mean = of_sample @ rows if rows.dim() == 2 else torch.einsum("bs,bsd->bd", of_sample, rows)
        if true_rows is not None:
            mean = mean + p[:, -1:] * true_rows[of_rows]
        parts.append(GradientEstimate(mean, effective_sample_size(scores)))
    return GradientEstimate(*(torch.cat(pieces) for pieces in zip(*parts, strict=True)))
