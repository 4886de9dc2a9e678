"""What the diagnostics ask of queries and a class table."""

from torch import Tensor

from logq.kernels.logits import computed_dtype
from logq.shapes import check_shape

__all__ = ["check_finite", "checked_table"]


def checked_table(inputs: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, dict[str, int]]:
    """The queries without their history for autograd, in float32 at least, and the sizes B, C and D.

    Raises:
        TypeError: an argument is no tensor of floating point numbers.
        ValueError: shapes or devices do not fit each other, or there is no row or no class.

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
            raise TypeError(f"{name}: expected a floating point dtype, got {tensor.dtype}")
        if tensor.device != inputs.device:
            raise ValueError(f"{name}: expected it on {inputs.device} where inputs are, got {tensor.device}")
    for name, letter in (("inputs", "B"), ("weight", "C")):
        if sizes[letter] == 0:
            raise ValueError(f"{name}: expected at least one row, got {tuple(named[name].shape)}")
    return inputs.detach().to(computed_dtype(*named.values())), sizes


def check_finite(name: str, values: Tensor) -> None:
    """Raise ValueError where what was computed from `name` is not finite.

    Example:
        >>> check_finite("inputs", torch.tensor([[1.0], [torch.nan]]))
        Traceback (most recent call last):
        ...
        ValueError: inputs: expected finite logits, those of row 1 are not
    """
    finite = values.reshape(len(values), -1).isfinite().all(dim=1)
    if not bool(finite.all()):
        raise ValueError(f"{name}: expected finite logits, those of row {int((~finite).nonzero()[0])} are not")
