"""The Triton backend: passes and draws as kernels for GPUs."""

import torch

from logq.kernels.fallback import Case
from logq.kernels.fused import FusedBackend, refuses_draws
from logq.kernels.triton import class_sums, per_row_pass, shared_pass, triton_distinct, triton_draws
from logq.kernels.triton.flash_pass import how_products_are_made

__all__ = ["TritonBackend"]


class TritonBackend(FusedBackend):
    """What has a kernel, for tensors on a GPU.

    Example:
        >>> TritonBackend.device_types
        ('cuda',)
    """

    name = "triton"
    device_types = ("cuda",)

    takes_half = True

    full_pass = staticmethod(shared_pass.full_pass)
    shared_pass = staticmethod(shared_pass.shared_pass)
    per_row_pass = staticmethod(per_row_pass.per_row_pass)
    class_gradients = staticmethod(class_sums.class_gradients)
    update_classes = staticmethod(class_sums.update_classes)  # pyright: ignore[reportAssignmentType]
    sum_rows = staticmethod(class_sums.sum_rows)
    update_rows = staticmethod(class_sums.update_rows)
    next_seed = staticmethod(triton_draws.next_seed)
    draws = staticmethod(triton_draws.draws)
    distinct_draws = staticmethod(triton_distinct.distinct_draws)
    places_of = staticmethod(triton_distinct.places_of)
    log_inclusion = staticmethod(triton_distinct.log_inclusion)
    drawn_and_counted = staticmethod(triton_distinct.counted_distinct_draws)
    counted_draws = staticmethod(triton_draws.counted_draws)  # pyright: ignore[reportAssignmentType]

    def refusal(self, op: str, case: Case) -> str:
        """Why an op runs on the reference in a case; "" where it does not."""
        return refuses_draws(op, case) or super().refusal(op, case)

    def how(self, op: str, case: Case) -> str:
        """What products of a loss are made of, by types and by what torch is set to."""
        if op not in ("sampled_loss", "full_loss") or case.dtype is None or case.table_dtype is None:
            return ""
        input, table = case.dtype, case.table_dtype
        if case.cosine:  # the input is divided by its length, in float32 at least
            input = torch.promote_types(torch.promote_types(input, table), torch.float32)
        if op == "sampled_loss" and not case.shared:
            real = str(torch.promote_types(torch.promote_types(input, table), torch.float32)).removeprefix("torch.")
            return f"in {real}, and each row of the table is read once"
        return how_products_are_made(input, table, case.dim)
