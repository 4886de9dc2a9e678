"""Chainer's BlackOut: the function, and the link with class weights and a sampler."""

from collections.abc import Mapping

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from logq._arguments import ArgumentError, check_int
from logq.compat.chainer.negatives import Counts, WalkerAlias, as_ids, count_list
from logq.kernels.logits import class_rows, logits
from logq.kernels.logits import reduce as reduced
from logq.samplers.class_counts import check_counts
from logq.shapes import check_device, check_dtype, check_ids, check_shape

__all__ = ["BlackOut", "black_out"]

_REDUCTIONS = {"no": "none", "mean": "mean"}


def black_out(
    x: Tensor,
    t: ArrayLike | Tensor,
    W: Tensor,  # noqa: N803 (Chainer's name)
    samples: ArrayLike | Tensor,
    reduce: str = "mean",
) -> Tensor:
    """Return the BlackOut loss: softmax over the target and the samples of a row, plus a term for each sample.

        loss_i = -log p(t) - sum_{s in samples_i} log(1 - p(s)),    p(y) = exp(<x_i, W_y>) / Z_i
        Z_i = exp(<x_i, W_t>) + sum_{s in samples_i} exp(<x_i, W_s>)

    Samples that equal the target or one another are kept, each copy in Z and in the sum. In the paper every exponential
    is divided by Q of its class; Chainer omits that, and so does this function: what it trains is not an estimate of
    log P unless the samples are uniform.

    Equivalent to: chainer.functions.black_out. Differs from Chainer: log(1 - p) is computed without 1 - p, so that a
    sample with p near 1 gives a large loss and not infinity; an unknown `reduce` is an error, as the docstring of
    Chainer says but not its code; so is t = -1, for which Chainer takes the last class.

    Go on to: logq.functional.sampled_softmax_loss, which corrects for sampling by log Q.

    Args:
        x: (N, D) float, the inputs.
        t: (N,) integers, the targets.
        W: (V, D) float, the class weights.
        samples: (N, K) integers, classes.
        reduce: "mean", or "no" for the losses of the rows.

    Returns:
        The loss, a scalar or (N,), of the dtype of x and W; 0 for the mean of no rows.

    Raises:
        ArgumentTypeError: an argument has a wrong type.
        ArgumentError: a shape does not fit, an id is not a class, or `reduce` is unknown.

    References:
        Ji et al., BlackOut: Speeding up Recurrent Neural Network Language Models With Very Large Vocabularies,
        ICLR 2016, arXiv:1511.06909.

    Example:
        >>> black_out(torch.ones(2, 3), [0, 4], torch.zeros(5, 3), [[1, 2], [0, 0]])  # 3 log 3 - 2 log 2
        tensor(1.9095)
    """
    if reduce not in _REDUCTIONS:
        raise ArgumentError("reduce", "'no' or 'mean'", reduce)
    sizes: dict[str, int] = {}
    check_shape("x", x, "ND", sizes)
    check_shape("W", W, "VD", sizes)
    targets = as_ids("t", t, x.device)
    check_shape("t", targets, "N", sizes)
    check_ids("t", targets, sizes["V"])
    negatives = as_ids("samples", samples, x.device)
    check_shape("samples", negatives, "NK", sizes)
    check_ids("samples", negatives, sizes["V"])

    rows, _ = class_rows(W, None, torch.cat([targets[:, None], negatives], dim=1), sparse=False)
    scores = logits(x, rows, None, temperature=1.0, cosine=False)  # (N, 1 + K)
    log_z = scores.logsumexp(dim=1)
    losses = log_z - scores[:, 0] - _log_of_others(scores, log_z)[:, 1:].sum(dim=1)
    everyone = torch.ones_like(targets, dtype=torch.bool)
    return reduced(losses, everyone, _REDUCTIONS[reduce]).to(torch.promote_types(x.dtype, W.dtype))


def _log_of_others(scores: Tensor, log_z: Tensor) -> Tensor:
    """Return log(1 - p) of each column of a softmax (N, K) -> (N, K), without the cancellation of 1 - p.

    Only the largest column can have p > 1/2. For it the others are summed; for the rest p is subtracted from 1.
    """
    if scores.shape[1] == 1:
        return torch.full_like(scores, -torch.inf)
    is_largest = torch.zeros_like(scores, dtype=torch.bool).scatter(1, scores.argmax(dim=1, keepdim=True), True)
    of_largest = scores.masked_fill(is_largest, -torch.inf).logsumexp(dim=1, keepdim=True) - log_z[:, None]
    # For the largest column p is replaced by another number, so that no gradient is infinite times 0.
    p = (scores - log_z[:, None]).masked_fill(is_largest, -1.0).exp()
    return torch.where(is_largest, of_largest, torch.log1p(-p))


class BlackOut(nn.Module):
    """BlackOut with class weights `W` (V, D), and samples drawn in proportion to counts.

    Equivalent to: chainer.links.BlackOut. Differs from Chainer: `W` starts at 0, there as NaN, to be filled by the
    caller; draws come from a generator of its own (WalkerAlias), and counts may be a dict of ids.

    Go on to: logq.nn.SampledSoftmaxLoss.

    Args:
        in_size: D.
        counts: (V,) numbers >= 0, or a dict of them whose keys are the ids 0..V-1.
        sample_size: K.
        seed: of the draws.
        device, dtype: of `W`.

    Attributes:
        W: the parameter (V, D).
        sampler: the WalkerAlias.
        sample_data: None, or samples (N, K) to use instead of draws, for tests.

    Shape:
        x (N, D), t (N,) -> the mean of the losses, a scalar.

    Raises:
        ArgumentTypeError, ArgumentError: an argument is not as described; of counts the first wrong one is named.

    Example:
        >>> link = BlackOut(3, [5, 2, 2, 1], sample_size=2, seed=1)
        >>> link(torch.ones(2, 3), torch.tensor([0, 3]))  # 3 log 3 - 2 log 2
        tensor(1.9095, grad_fn=...)
    """

    def __init__(
        self,
        in_size: int,
        counts: Counts | Mapping[int, float],
        sample_size: int,
        *,
        seed: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        device, dtype = check_device(device), check_dtype(dtype)
        self.sample_size = check_int("sample_size", sample_size, 0)
        self.sampler = WalkerAlias(check_counts(count_list(counts)), seed=seed, device=device)
        self.sample_data: ArrayLike | Tensor | None = None
        size = self.sampler.unigram.num_classes
        self.W = nn.Parameter(torch.zeros(size, check_int("in_size", in_size), device=device, dtype=dtype))

    def forward(self, x: Tensor, t: ArrayLike | Tensor) -> Tensor:
        """Return the mean of the losses of a batch."""
        samples = self.sampler.sample((len(x), self.sample_size)) if self.sample_data is None else self.sample_data
        return black_out(x, t, self.W, samples)

    def extra_repr(self) -> str:
        """Return what repr() shows."""
        return f"in_size={self.W.shape[1]}, sample_size={self.sample_size}"
