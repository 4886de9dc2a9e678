"""The exact gradient of the softmax with respect to its inputs, one chunk of classes at a time.

    F(x, y) = <x, w_y> + b_y,    log Z(x) = log sum_y exp(F(x, y)),    P(y|x) = exp(F(x, y)) / Z(x)

    d log Z / dx = sum_y P(y|x) dF(x, y)/dx = E_P[ w_y ]
    d loss / dx  = E_P[ w_y ] - w_t           for the loss log Z(x) - F(x, t) of a true class t

References:
    Bengio and Senecal, Quick Training of Probabilistic Neural Nets by Importance Sampling, AISTATS 2003, Sec. 3.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim
from logq.kernels.logits import chunks, computed_dtype, logits
from logq.shapes import check_ids, check_shape

__all__ = ["SoftmaxMoments", "checked_table", "draw_from_softmax", "exact_gradient", "softmax_moments"]


def checked_table(inputs: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, dict[str, int]]:
    """Return the queries, detached and at least float32, and the sizes B, C and D.

    Raises:
        ArgumentTypeError: an argument is not a tensor of floating point numbers.
        ArgumentError: shapes or devices do not match, or there is no row or no class.

    Example:
        >>> checked_table(torch.ones(2, 3), torch.ones(9, 3), None)[1]
        {'B': 2, 'D': 3, 'C': 9}
    """
    sizes: dict[str, int] = {}
    check_shape("inputs", inputs, "BD", sizes)
    check_shape("weight", weight, "CD", sizes)
    named = {"inputs": inputs, "weight": weight}
    if bias is not None:
        check_shape("bias", bias, "C", sizes)
        named["bias"] = bias
    for name, tensor in named.items():
        if not tensor.is_floating_point():
            raise ArgumentTypeError(name, "a floating point dtype", Verbatim(tensor.dtype))
        if tensor.device != inputs.device:
            raise ArgumentError(name, f"a tensor on {inputs.device}, the device of inputs", Verbatim(tensor.device))
    for name, letter in (("inputs", "B"), ("weight", "C")):
        if sizes[letter] == 0:
            raise ArgumentError(name, "at least one row", tuple(named[name].shape))
    return inputs.detach().to(computed_dtype(*named.values())), sizes


class SoftmaxMoments(NamedTuple):
    """Moments of class vectors under the softmax of each row.

    Args:
        log_z: (B,) the log of the sum of exp(F).
        mean: (B, D) the expected class vector under P.
        mean_square: (B,) the expected squared length of a class vector under P.
    """

    log_z: Tensor
    mean: Tensor
    mean_square: Tensor


def exact_gradient(
    inputs: Tensor,  # (B, D)
    weight: Tensor,  # (C, D)
    bias: Tensor | None = None,  # (C,)
    *,
    targets: Tensor | None = None,  # (B,) int64
) -> Tensor:  # (B, D)
    """Return the gradient of log Z(x), or with targets of the softmax loss of each row, with respect to the inputs.

        g_i = sum_y P(y|x_i) w_y  ( - w_{t_i} )

    The cost is two products (B, D) x (D, C); about 16 MiB of logits are in memory at a time, never (B, C).

    Args:
        inputs: queries, float.
        weight: class weights, float.
        bias: of the classes.
        targets: the true classes; None for the gradient of log Z alone.

    Returns:
        (B, D) in float32 or wider.

    Raises:
        ArgumentTypeError, ArgumentError: an argument is not as described, or a logit is not finite.

    Example:
        >>> weight = torch.tensor([[0.0, 0.0], [2.0, 4.0]])
        >>> exact_gradient(torch.zeros(1, 2), weight, targets=torch.tensor([0]))
        tensor([[1., 2.]])
    """
    gradient = softmax_moments(inputs, weight, bias).mean
    if targets is None:
        return gradient
    check_shape("targets", targets, "B", {"B": len(inputs)})
    check_ids("targets", targets, len(weight))
    return gradient - weight.detach()[targets].to(gradient.dtype)


@torch.no_grad()
def softmax_moments(
    inputs: Tensor,  # (B, D)
    weight: Tensor,  # (C, D)
    bias: Tensor | None = None,  # (C,)
    *,
    on_classes: Callable[[int], object] | None = None,
) -> SoftmaxMoments:
    """Return the moments of class vectors under the softmax of each row, in one pass.

    Args:
        inputs: queries, float.
        weight: class weights, float.
        bias: of the classes.
        on_classes: called with the number of classes of each chunk after it.

    Example:
        >>> moments = softmax_moments(torch.zeros(1, 2), torch.tensor([[0.0, 0.0], [2.0, 4.0]]))
        >>> moments.mean, moments.mean_square
        (tensor([[1., 2.]]), tensor([10.]))
    """
    x, sizes = checked_table(inputs, weight, bias)
    # Sums of exp(F - largest so far), which are rescaled when a chunk has a larger F.
    largest = x.new_full((sizes["B"], 1), -torch.inf)
    total, square = x.new_zeros(sizes["B"], 1), x.new_zeros(sizes["B"], 1)
    mean = torch.zeros_like(x)
    for _, rows, biases in chunks(sizes["B"], weight.detach(), None if bias is None else bias.detach()):
        rows = rows.to(x.dtype)
        scores = logits(x, rows, biases, temperature=1.0, cosine=False)
        new = torch.maximum(largest, scores.amax(dim=1, keepdim=True))
        scale, p = (largest - new).exp(), (scores - new).exp_()
        total = total * scale + p.sum(dim=1, keepdim=True)
        with torch.autocast(x.device.type, enabled=False):
            mean = mean * scale + p @ rows
            square = square * scale + p @ rows.square().sum(dim=1, keepdim=True)
        largest = new
        if on_classes is not None:
            on_classes(len(rows))
    log_z = (largest + total.log())[:, 0]
    if not bool(log_z.isfinite().all()):
        row = int((~log_z.isfinite()).nonzero()[0])
        raise ArgumentError("inputs", "finite logits", Verbatim(f"others in row {row}"))
    return SoftmaxMoments(log_z, mean / total, (square / total)[:, 0])


@torch.no_grad()
def draw_from_softmax(
    inputs: Tensor,  # (B, D)
    weight: Tensor,  # (C, D)
    bias: Tensor | None,  # (C,)
    log_z: Tensor,  # (B,)
    num_draws: int,
    generator: torch.Generator,
) -> Tensor:  # (B, num_draws) int64
    """Draw independently from the softmax of each row, by uniform numbers among the cumulative sums of P.

    Example:
        >>> weight, generator = torch.tensor([[0.0], [30.0]]), torch.Generator().manual_seed(1)
        >>> log_z = softmax_moments(torch.ones(1, 1), weight).log_z
        >>> draw_from_softmax(torch.ones(1, 1), weight, None, log_z, 3, generator)
        tensor([[1, 1, 1]])
    """
    x, sizes = checked_table(inputs, weight, bias)
    shape = (sizes["B"], num_draws)
    at = torch.rand(shape, generator=generator, dtype=torch.float64, device=x.device)
    drawn = torch.zeros(shape, dtype=torch.int64, device=x.device)
    below = at.new_zeros(sizes["B"], 1)
    for _, rows, biases in chunks(sizes["B"], weight.detach(), None if bias is None else bias.detach()):
        scores = logits(x, rows, biases, temperature=1.0, cosine=False)
        sums = (scores - log_z[:, None]).double().exp_().cumsum_(dim=1).add_(below)
        # The number of classes of the chunk that end at or below each number.
        drawn += torch.searchsorted(sums, at, right=True)
        below = sums[:, -1:].clone()
    # By rounding, P may add up to a little less than the largest of the numbers.
    return drawn.clamp_(max=sizes["C"] - 1)
