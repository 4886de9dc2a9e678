"""Chainer's negative sampling: the function, and the link that owns the class table and its sampler."""

from collections.abc import Callable, Mapping
from typing import Literal, overload

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from logq.arguments import check_bool, check_float, check_int, shown
from logq.candidates import Candidates
from logq.compat.chainer.ids import as_ids
from logq.compat.chainer.walker_alias import Counts, WalkerAlias, count_list
from logq.functional import negative_sampling_loss
from logq.samplers.class_counts import check_counts
from logq.shapes import check_device, check_dtype, check_ids, check_shape

__all__ = ["NegativeSampling", "negative_sampling"]

IGNORE = -1
REDUCTIONS = {"no": "none", "sum": "sum"}

Shape = tuple[int, int]
IdSampler = Callable[[Shape], ArrayLike | Tensor]


@overload
def negative_sampling(
    x: Tensor,
    t: ArrayLike | Tensor,
    W: Tensor,  # noqa: N803
    sampler: IdSampler,
    sample_size: int,
    reduce: str = "sum",
    *,
    return_samples: Literal[False] = False,
) -> Tensor: ...


@overload
def negative_sampling(
    x: Tensor,
    t: ArrayLike | Tensor,
    W: Tensor,  # noqa: N803
    sampler: IdSampler,
    sample_size: int,
    reduce: str = "sum",
    *,
    return_samples: bool,
) -> Tensor | tuple[Tensor, Tensor]: ...


def negative_sampling(
    x: Tensor,
    t: ArrayLike | Tensor,
    W: Tensor,  # noqa: N803 (Chainer's name)
    sampler: IdSampler,
    sample_size: int,
    reduce: str = "sum",
    *,
    return_samples: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """Negative sampling with samples of each row's own, from a function that draws them.

        loss_i = log(1 + exp(-<x_i, W_t>)) + sum_{k = 1..K} log(1 + exp(<x_i, W_s>)),   s = samples[i, k]

    Samples that equal the target or one another are kept, no log Q is subtracted, and there is no bias. Rows with
    t = -1 have loss and gradient 0. Gradients of gradients can be taken.

    Equivalent to: chainer.functions.negative_sampling. Differs from Chainer: the gradient of float16 is computed in
    float32 as the loss is; the sampler's array is left as it is; an id that is no class is an error, where numpy takes
    -2 for the last but one.

    Go on to: logq.functional.negative_sampling_loss with a logq.samplers.Unigram (power=0.75, per_row=True), whose
    mean over rows, and not sum, is what it returns unless told otherwise; one sample for the batch (per_row=False) is
    several times faster.

    Args:
        x: (N, D) float, the inputs.
        t: (N,) whole numbers, the targets, -1 for none.
        W: (V, D) float, the class table.
        sampler: called once with the shape (N, K + 1); returns ids of that shape: a tensor, an array or lists.
        sample_size: K.
        reduce: "sum", or "no" for the losses of the rows.
        return_samples: whether to return the samples as well.

    Returns:
        The loss, a scalar or (N,), of the dtype of x and W; with `return_samples` also the samples, (N, K + 1) int64 on
        the device of x: what the sampler drew, with t in the place of its first column.

    Raises:
        TypeError: an argument is of another kind than described.
        ValueError: a shape does not fit, an id is no class, or `reduce` is something else.

    References:
        Mikolov et al., Distributed Representations of Words and Phrases, NeurIPS 2013, arXiv:1310.4546, Eq. 4.

    Example:
        >>> x, W, sampler = torch.ones(3, 2), torch.zeros(9, 2), WalkerAlias(range(9), seed=1)
        >>> negative_sampling(x, torch.tensor([3, -1, 8]), W, sampler.sample, 4)  # 2 rows times 5 log 2
        tensor(6.9315)
        >>> negative_sampling(x, [3, -1, 8], W, lambda shape: [[7, 5, 5]] * 3, 2, "no", return_samples=True)
        (tensor([2.0794, 0.0000, 2.0794]), tensor([[ 3,  5,  5],
                [-1,  5,  5],
                [ 8,  5,  5]]))
    """
    if reduce not in REDUCTIONS:
        raise ValueError(f"reduce: expected 'no' or 'sum', got {reduce!r}")
    check_bool("return_samples", return_samples)
    size = check_int("sample_size", sample_size, 0)
    sizes: dict[str, int] = {}
    check_shape("x", x, "ND", sizes)
    check_shape("W", W, "VD", sizes)
    targets = as_ids("t", t, x.device)
    check_shape("t", targets, "N", sizes)
    check_ids("t", targets, sizes["V"], ignore_index=IGNORE)
    samples = _draw(sampler, (sizes["N"], size + 1), x.device)
    check_ids("samples", samples[:, 1:], sizes["V"])
    samples[:, 0] = targets
    negatives = samples[:, 1:].contiguous()
    # Log Q, which this row of the table does not ask for.
    of_negatives = x.new_zeros(()).expand(negatives.shape)
    candidates = Candidates(negatives, of_negatives, targets, x.new_zeros(()).expand(targets.shape))
    loss = negative_sampling_loss(x, W, candidates, ignore_index=IGNORE, reduction=REDUCTIONS[reduce])
    loss = loss.to(torch.promote_types(x.dtype, W.dtype))
    return (loss, samples) if return_samples else loss


def _draw(sampler: IdSampler, shape: Shape, device: torch.device) -> Tensor:
    if not callable(sampler):
        raise TypeError(f"sampler: expected a function of a shape, got {shown(sampler)}")
    samples = as_ids("sampler", sampler(shape), device)
    if samples.shape != shape:
        raise ValueError(f"sampler: expected ids of shape {shape} for that shape, got {tuple(samples.shape)}")
    return samples


class NegativeSampling(nn.Module):
    """Owns the class table `W` (V, D), which starts at 0, and draws negatives by a power of the counts.

        P(i) = counts_i^power / sum_j counts_j^power

    Equivalent to: chainer.links.NegativeSampling. Differs from Chainer: draws come from a generator of its own
    (WalkerAlias), and counts may be a dict of ids.

    Go on to: logq.nn.NegativeSamplingLoss with logq.samplers.Unigram.

    Args:
        in_size: D.
        counts: (V,) numbers >= 0, or a dict of them whose keys are the ids 0..V-1.
        sample_size: K.
        power: as in word2vec by default.
        seed: of the draws.
        device, dtype: of `W`.

    Attributes:
        W: the parameter (V, D).
        sampler: the WalkerAlias.

    Shape:
        x (N, D), t (N,) -> as negative_sampling.

    Raises:
        TypeError, ValueError: an argument is something else; counts are named by the first that is wrong.

    Example:
        >>> link = NegativeSampling(2, {0: 9, 1: 3, 2: 1}, sample_size=5, seed=1)
        >>> link(torch.ones(4, 2), torch.tensor([0, 2, 1, 0]), reduce="no")  # 6 log 2
        tensor([4.1589, 4.1589, 4.1589, 4.1589], grad_fn=...)
    """

    def __init__(
        self,
        in_size: int,
        counts: Counts | Mapping[int, float],
        sample_size: int,
        power: float = 0.75,
        *,
        seed: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        device, dtype = check_device(device), check_dtype(dtype)
        self.sample_size = check_int("sample_size", sample_size, 0)
        self.sampler = WalkerAlias(_noise(counts, check_float("power", power)), seed=seed, device=device)
        size = self.sampler.unigram.num_classes
        self.W = nn.Parameter(torch.zeros(size, check_int("in_size", in_size), device=device, dtype=dtype))

    def forward(
        self, x: Tensor, t: ArrayLike | Tensor, reduce: str = "sum", *, return_samples: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        """The loss of a batch; arguments and results as for negative_sampling."""
        return negative_sampling(
            x, t, self.W, self.sampler.sample, self.sample_size, reduce, return_samples=return_samples
        )

    def extra_repr(self) -> str:
        """What repr() shows."""
        return f"in_size={self.W.shape[1]}, sample_size={self.sample_size}"


def _noise(counts: Counts | Mapping[int, float], power: float) -> Tensor:
    """counts^power, relative to the largest so that it cannot overflow; 0^0 is 1, as in numpy."""
    values = check_counts(count_list(counts))
    weights = (values / values.max()).pow(power)
    if bool(weights.isinf().any()):
        where = int(weights.isinf().nonzero()[0])
        raise ValueError(f"counts: expected positive ones for power {power:g}, got {values[where]:g} for class {where}")
    return weights
