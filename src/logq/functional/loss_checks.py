"""What the losses check of their arguments."""

import math

import torch
from torch import Tensor

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim, check_bool, check_float
from logq.candidates import IGNORED, Candidates
from logq.kernels.logits import REDUCTIONS
from logq.shapes import can_look_at, check_ids, check_ignore_index, check_shape, check_whole
from logq.tracing import goes_forward, has_numbers, maps_gradients

__all__ = [
    "check_candidates",
    "check_options",
    "check_place",
    "check_row_weight",
    "check_sparse",
    "check_table",
    "check_targets",
    "check_temperature",
    "check_weights",
]

STRIDED = torch.strided
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def check_table(input: Tensor, weight: Tensor, bias: Tensor | None, sizes: dict[str, int]) -> None:
    """Check the shapes and dtypes of queries and class weights, and bind B, C and D in `sizes`."""
    check_whole("input", input)
    check_weights(weight, bias)
    if _fits(input, weight, bias, sizes.get("D")):
        sizes["B"], sizes["D"] = input.shape
        sizes["C"] = weight.shape[0]
        return
    check_shape("input", input, "BD", sizes)
    check_shape("weight", weight, "CD", sizes)
    tensors = {"input": input, "weight": weight}
    if bias is not None:
        check_shape("bias", bias, "C", sizes)
        tensors["bias"] = bias
    for name, tensor in tensors.items():
        if tensor.dtype not in DTYPES:
            raise ArgumentTypeError(name, "a floating point dtype of 16, 32 or 64 bits", tensor.dtype)
        if tensor.layout != torch.strided:
            raise ArgumentTypeError(name, "a dense tensor", Verbatim(f"layout {tensor.layout}"))
        check_place(name, tensor, input.device)
    if sizes["C"] == 0:
        raise ArgumentError("weight", "shape (C, D) with C >= 1", Verbatim("C = 0"))


def check_weights(*weights: Tensor | None) -> None:
    """Raise TypeError for class weights of which this process holds a part.

    Example:
        >>> check_weights(torch.zeros(3, 2), None)
    """
    for weight in weights:
        if weight is not None:
            hint = (
                "FSDP2 gathers the parameters of a module for its forward; for another method, such as topk, call "
                'torch.distributed.fsdp.register_fsdp_forward_method(module, "topk") once, or hand in full_tensor()'
            )
            check_whole("weight", weight, hint)


def check_sparse(sparse: bool) -> None:
    """Raise ValueError where sparse gradients cannot be had.

    Example:
        >>> check_sparse(True)
    """
    if sparse and maps_gradients():
        raise ArgumentError(
            "sparse", "False under vmap of grad", Verbatim("True"), "torch has no sparse tensors of many examples"
        )


def _fits(input: object, weight: object, bias: object, dim: int | None) -> bool:
    """Whether there is nothing to say: a quick look that spares most batches the slow one."""
    if not (isinstance(input, Tensor) and isinstance(weight, Tensor) and input.dim() == weight.dim() == 2):
        return False
    (_, width), (size, columns), device = input.shape, weight.shape, input.device
    if width != columns or (dim is not None and width != dim) or size == 0 or weight.device != device:
        return False
    if input.dtype not in DTYPES or weight.dtype not in DTYPES or input.layout is not STRIDED:
        return False
    if weight.layout is not STRIDED:
        return False
    if bias is None:
        return True
    if not isinstance(bias, Tensor) or bias.dim() != 1 or bias.shape[0] != size:
        return False
    return bias.dtype in DTYPES and bias.layout is STRIDED and bias.device == device


def check_targets(name: str, targets: Tensor, sizes: dict[str, int], ignore_index: int) -> None:
    """Check that `targets` are (B,) or (B, T) classes; C must be bound in `sizes`."""
    check_ids(name, targets, sizes["C"], ignore_index=ignore_index)
    check_shape(name, targets, "BT" if targets.dim() == 2 else "B", sizes)
    if sizes.get("T") == 0:
        raise ArgumentError(name, "shape (B,) or (B, T) with T >= 1", tuple(targets.shape))


def check_row_weight(row_weight: Tensor | None, input: Tensor, sizes: dict[str, int]) -> None:
    """Check that weights of rows are (B,) floats >= 0 without a gradient; B must be bound in `sizes`."""
    if row_weight is None:
        return
    check_shape("row_weight", row_weight, "B", sizes)
    if row_weight.dtype not in DTYPES:
        raise ArgumentTypeError("row_weight", "a floating point dtype of 16, 32 or 64 bits", row_weight.dtype)
    check_place("row_weight", row_weight, input.device)
    if row_weight.requires_grad:
        hint = 'for gradients of weights multiply the losses of reduction="none" by them'
        raise ArgumentError("row_weight", "a tensor that needs no gradient", Verbatim("requires_grad=True"), hint)
    if can_look_at(row_weight):
        wrong = ~((row_weight >= 0) & row_weight.isfinite())
        if bool(wrong.any()):
            at = int(wrong.nonzero()[0])
            got = Verbatim(f"{float(row_weight[at])} at position {at}")
            raise ArgumentError("row_weight", "finite numbers >= 0", got)


def check_temperature(value: float | Tensor) -> float | Tensor:
    """A temperature as the losses compute with it: a float, or () where it is a tensor that gets a gradient.

    Raises:
        TypeError: it is not a number, nor a floating point tensor of one.
        ValueError: it is not positive and finite.

    Example:
        >>> check_temperature(torch.tensor([0.5])), check_temperature(torch.nn.Parameter(torch.tensor(0.5)))
        (0.5, tensor(0.5000, grad_fn=<ViewBackward0>))
    """
    number: object = value
    learned = False
    if isinstance(value, Tensor) and value.numel() == 1 and value.is_floating_point():
        learned = value.requires_grad and torch.is_grad_enabled()
        if value.device.type == "meta" or (learned and not can_look_at(value)):
            return value.view(())
        if not has_numbers(value) or goes_forward():  # which would freeze it, or lose its tangent
            return value.view(())
        number = value.detach().item()
    number = check_float("temperature", number, at_least=1e-30)  # below, a float32 would be 0
    return value.view(()) if learned and isinstance(value, Tensor) else number


def check_options(
    *,
    temperature: float | Tensor,
    cosine: bool,
    reduction: str,
    ignore_index: int,
    remove_hits: bool | None,
    sparse: bool,
) -> None:
    """Check what all losses take by keyword."""
    check_temperature(temperature)
    check_bool("cosine", cosine)
    check_bool("sparse", sparse)
    check_sparse(sparse)
    if remove_hits is not None:
        check_bool("remove_hits", remove_hits)
    check_ignore_index(ignore_index)
    if reduction not in REDUCTIONS:
        raise ArgumentError("reduction", f"one of {', '.join(REDUCTIONS)}", reduction)


def check_place(name: str, tensor: object, device: torch.device) -> None:
    """Check that what is a tensor is on the device of the input."""
    if isinstance(tensor, Tensor) and tensor.device != device:
        raise ArgumentError(name, f"a tensor on {device}, where input is", Verbatim(f"{tensor.device}"))


def check_candidates(
    candidates: Candidates, sizes: dict[str, int], ignore_index: int, device: torch.device, *, finite: bool
) -> Candidates:
    """Check that candidates fit the batch and the class weights, and that log Q is finite where that is needed.

    Returns:
        The same candidates with IGNORED instead of `ignore_index`; what a sampler made has IGNORED already.
    """
    if not isinstance(candidates, Candidates):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ArgumentTypeError("candidates", "Candidates, from a sampler's draw", Verbatim(type(candidates).__name__))
    targets = candidates.targets
    if isinstance(targets, Tensor) and targets.dtype == torch.int64:  # pyright: ignore[reportUnnecessaryIsInstance]
        # Not _replace, which torch.compile of 2.6 does not look into.
        candidates = Candidates(
            candidates.ids,
            candidates.log_expected_count,
            targets.masked_fill(targets == ignore_index, IGNORED),
            candidates.true_log_expected_count,
            candidates.excluded,
        )
    for name, tensor in zip(Candidates._fields, candidates, strict=True):
        check_place(f"candidates.{name}", tensor, device)
    check_targets("candidates.targets", candidates.targets, sizes, IGNORED)
    check_ids("candidates.ids", candidates.ids, sizes["C"])
    check_shape("candidates.ids", candidates.ids, "BS" if candidates.ids.dim() == 2 else "S", sizes)
    if candidates.excluded is not None:
        check_shape("candidates.excluded", candidates.excluded, "BS", sizes)
        if candidates.excluded.dtype != torch.bool:
            raise ArgumentTypeError("candidates.excluded", "dtype torch.bool", candidates.excluded.dtype)
    counts = {
        "candidates.log_expected_count": (candidates.log_expected_count, candidates.ids),
        "candidates.true_log_expected_count": (candidates.true_log_expected_count, candidates.targets),
    }
    for name, (log_count, ids) in counts.items():
        own = isinstance(log_count, Tensor) and ids is candidates.ids and ids.dim() == 1 and log_count.dim() == 2  # pyright: ignore[reportUnnecessaryIsInstance]
        check_shape(name, log_count, "BS" if own else tuple(ids.shape), sizes)
        if not log_count.is_floating_point():
            raise ArgumentTypeError(name, "a floating point dtype", log_count.dtype)
        # The sum is finite if all are, but for overflow: a quick look that spares most batches the slow one.
        if finite and can_look_at(log_count) and not math.isfinite(float(log_count.detach().sum())):
            wrong = ~log_count.isfinite() & (ids != IGNORED)
            if bool(wrong.any()):
                which = int(ids.expand(wrong.shape)[wrong][0])
                found = Verbatim(f"{float(log_count[wrong][0])} for class {which}")
                hint = "minus infinity: the sampler never draws it, so log Q says nothing about it"
                raise ArgumentError(name, "finite numbers", found, hint)
    return candidates
