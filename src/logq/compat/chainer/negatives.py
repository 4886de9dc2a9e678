"""Chainer's negative sampling: WalkerAlias, the function, and the link with class weights and a sampler."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, overload

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from logq._arguments import (
    ArgumentError,
    ArgumentTypeError,
    Verbatim,
    check_bool,
    check_float,
    check_int,
    is_tensor,
    shown,
)
from logq.candidates import Candidates
from logq.functional import negative_sampling_loss
from logq.samplers import Unigram
from logq.samplers.class_counts import check_counts
from logq.shapes import check_device, check_dtype, check_ids, check_shape

__all__ = ["Counts", "NegativeSampling", "WalkerAlias", "as_ids", "count_list", "negative_sampling"]

Counts = Sequence[float] | np.ndarray[Any, Any] | Tensor
Shape = tuple[int, int]
IdSampler = Callable[[Shape], ArrayLike | Tensor]

_IGNORE = -1
_REDUCTIONS = {"no": "none", "sum": "sum"}


def as_ids(name: str, given: ArrayLike | Tensor, device: torch.device) -> Tensor:
    """Return integers of a tensor, an array or a list as a new int64 tensor on a device.

    Raises:
        ArgumentTypeError: they are not integers.

    Example:
        >>> as_ids("t", [[3, 1]], torch.device("cpu"))
        tensor([[3, 1]])
    """
    if is_tensor(given):
        if given.is_floating_point() or given.is_complex() or given.dtype == torch.bool:
            raise ArgumentTypeError(name, "integers", Verbatim(f"dtype {given.dtype}"))
        return given.detach().to(device, torch.int64, copy=True)
    try:
        array: np.ndarray[Any, Any] = np.asarray(given)
    except ValueError as error:  # lists of unequal length
        raise ArgumentTypeError(name, "an array of integers", Verbatim(f"{shown(given)} ({error})")) from None
    if array.dtype.kind not in "iu":
        raise ArgumentTypeError(name, "integers", Verbatim(f"dtype {array.dtype}"))
    return torch.from_numpy(array.astype(np.int64)).to(device)


class WalkerAlias(nn.Module):
    """Draws classes independently, in proportion to `probs`, in O(1) for each draw.

        P(i) = probs_i / sum_j probs_j

    Differs from Chainer: the distribution is exact to 2^-32 / V instead of in float32, in which probabilities below
    about 1e-7 are lost; draws come from a generator of its own instead of numpy's global one, so the same seed gives
    other ids than there; they are int64 tensors instead of int32 arrays. Probabilities that are all 0, negative or not
    finite are an error instead of a table of NaN. Calling the object is the same as `sample`.

    Go on to: logq.samplers.Unigram, which draws for a batch and knows the expected counts, log Q.

    Args:
        probs: (V,) numbers >= 0, one of them positive; they need not sum to 1.
        seed: of the draws; None takes one from the operating system.
        device: where ids are drawn; `to(device)` moves it later.

    Raises:
        ArgumentTypeError: probs are not numbers.
        ArgumentError: one is negative or not finite, or all are 0; the first is named.

    References:
        Walker, An Efficient Method for Generating Discrete Random Variables, ACM Trans. Math. Softw. 1977.

    Example:
        >>> alias = WalkerAlias([1, 0, 3], seed=1)
        >>> ids = alias.sample((100, 4))
        >>> ids.shape, ids.unique()
        (torch.Size([100, 4]), tensor([0, 2]))
    """

    def __init__(self, probs: Counts, *, seed: int | None = None, device: torch.device | str | None = None) -> None:
        super().__init__()
        self.unigram = Unigram(check_counts(probs, name="probs"), 1, seed=seed, device=device)

    def sample(self, shape: int | Sequence[int]) -> Tensor:
        """Draw ids.

        Args:
            shape: of the result, a number or several.

        Returns:
            int64 of that shape, on the device of the object.

        Raises:
            ArgumentTypeError, ArgumentError: that is not a shape.

        Example:
            >>> WalkerAlias([2, 1]).sample(3).shape
            torch.Size([3])
        """
        try:
            sizes = tuple(shape) if isinstance(shape, Sequence) else (shape,)
            sizes = tuple(check_int("shape", size, 0) for size in sizes)
        except TypeError:
            raise ArgumentTypeError("shape", "integers >= 0", shape) from None
        return self.unigram.table.sample(sizes, self.unigram.generator)

    def forward(self, shape: int | Sequence[int]) -> Tensor:
        """Draw ids, like `sample`."""
        return self.sample(shape)

    def extra_repr(self) -> str:
        """Return what repr() shows."""
        return f"num_classes={self.unigram.num_classes}"


def count_list(counts: Counts | Mapping[int, float]) -> Counts:
    """Return counts in order of ids, from a list or from a dict whose keys are the ids 0..V-1.

    Example:
        >>> count_list({1: 7, 0: 3})
        [3, 7]
    """
    if not isinstance(counts, Mapping):
        return counts
    missing = next((i for i in range(len(counts)) if i not in counts), None)
    if missing is not None:
        keys = shown(list(counts))
        raise ArgumentError(
            "counts", f"the ids 0..{len(counts) - 1} for keys", Verbatim(f"{keys}: {missing} is missing")
        )
    return [counts[i] for i in range(len(counts))]


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
    """Return the loss of negative sampling with separate samples for each row, from a function that draws them.

        loss_i = log(1 + exp(-<x_i, W_t>)) + sum_{k = 1..K} log(1 + exp(<x_i, W_s>)),   s = samples[i, k]

    Samples that equal the target or one another are kept, no log Q is subtracted, and there is no bias. Rows with
    t = -1 have loss and gradient 0. It can be differentiated twice.

    Equivalent to: chainer.functions.negative_sampling. Differs from Chainer: the gradient of float16 is computed in
    float32, like the loss; the sampler's array is not changed; an id that is not a class is an error, where numpy takes
    -2 for the last but one.

    Go on to: logq.functional.negative_sampling_loss with a logq.samplers.Unigram (power=0.75, per_row=True), which
    returns the mean over rows by default, not the sum; a sample for the batch (per_row=False) is several times faster.

    Args:
        x: (N, D) float, the inputs.
        t: (N,) integers, the targets, -1 for none.
        W: (V, D) float, the class weights.
        sampler: called once with the shape (N, K + 1); returns ids of that shape: a tensor, an array or lists.
        sample_size: K.
        reduce: "sum", or "no" for the losses of the rows.
        return_samples: whether to return the samples as well.

    Returns:
        The loss, a scalar or (N,), of the dtype of x and W; with `return_samples` also the samples, (N, K + 1) int64 on
        the device of x: what the sampler drew, with t as the first column.

    Raises:
        ArgumentTypeError: an argument has a wrong type.
        ArgumentError: a shape does not fit, an id is not a class, or `reduce` is unknown.

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
    if reduce not in _REDUCTIONS:
        raise ArgumentError("reduce", "'no' or 'sum'", reduce)
    check_bool("return_samples", return_samples)
    size = check_int("sample_size", sample_size, 0)
    sizes: dict[str, int] = {}
    check_shape("x", x, "ND", sizes)
    check_shape("W", W, "VD", sizes)
    targets = as_ids("t", t, x.device)
    check_shape("t", targets, "N", sizes)
    check_ids("t", targets, sizes["V"], ignore_index=_IGNORE)
    samples = _draw(sampler, (sizes["N"], size + 1), x.device)
    check_ids("sampler", samples[:, 1:], sizes["V"])
    samples[:, 0] = targets
    negatives = samples[:, 1:].contiguous()
    # Log Q, which this objective does not use.
    of_negatives = x.new_zeros(()).expand(negatives.shape)
    candidates = Candidates(negatives, of_negatives, targets, x.new_zeros(()).expand(targets.shape))
    loss = negative_sampling_loss(x, W, candidates, ignore_index=_IGNORE, reduction=_REDUCTIONS[reduce])
    loss = loss.to(torch.promote_types(x.dtype, W.dtype))
    return (loss, samples) if return_samples else loss


def _draw(sampler: IdSampler, shape: Shape, device: torch.device) -> Tensor:
    if not callable(sampler):
        raise ArgumentTypeError("sampler", "a function of a shape", sampler)
    samples = as_ids("sampler", sampler(shape), device)
    if samples.shape != shape:
        raise ArgumentError("sampler", f"ids of shape {shape} for that shape", tuple(samples.shape))
    return samples


class NegativeSampling(nn.Module):
    """Negative sampling with class weights `W` (V, D), which start at 0, and negatives drawn by a power of counts.

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
        ArgumentTypeError, ArgumentError: an argument is not as described; of counts the first wrong one is named.

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
        """Return the loss of a batch; arguments and results are those of negative_sampling."""
        return negative_sampling(
            x, t, self.W, self.sampler.sample, self.sample_size, reduce, return_samples=return_samples
        )

    def extra_repr(self) -> str:
        """Return what repr() shows."""
        return f"in_size={self.W.shape[1]}, sample_size={self.sample_size}"


def _noise(counts: Counts | Mapping[int, float], power: float) -> Tensor:
    """Return counts^power, relative to the largest so that it cannot overflow; 0^0 is 1, as in numpy."""
    values = check_counts(count_list(counts))
    weights = (values / values.max()).pow(power)
    if bool(weights.isinf().any()):
        where = int(weights.isinf().nonzero()[0])
        raise ArgumentError(
            "counts", f"positive numbers for power {power:g}", Verbatim(f"{values[where]:g} for class {where}")
        )
    return weights
