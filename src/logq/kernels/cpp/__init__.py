"""The C++ backend: passes and ops compiled into logq.kernels._native."""

from logq.kernels import reference_draws
from logq.kernels.cpp import compiled_draws, loss_passes, row_sums
from logq.kernels.fallback import Case
from logq.kernels.fused import FusedBackend, refuses_draws

__all__ = ["CppBackend"]


class CppBackend(FusedBackend):
    """What is compiled, for tensors on the CPU.

    Example:
        >>> CppBackend()
        <CppBackend 'cpp' for cpu: all ops but log_normalizer>
    """

    name = "cpp"
    device_types = ("cpu",)
    reads_values = True

    shared_pass = staticmethod(loss_passes.shared_pass)
    per_row_pass = staticmethod(loss_passes.per_row_pass)
    full_pass = staticmethod(loss_passes.full_pass)
    class_gradients = staticmethod(row_sums.class_gradients)
    row_means = staticmethod(row_sums.row_means)
    update_classes = staticmethod(row_sums.update_classes)  # pyright: ignore[reportAssignmentType]
    sum_rows = staticmethod(row_sums.sum_rows)
    update_rows = staticmethod(row_sums.update_rows)
    alias_table = staticmethod(compiled_draws.alias_table)
    next_seed = staticmethod(reference_draws.next_seed)  # one number, which takes no time
    draws = staticmethod(compiled_draws.draws)
    distinct_draws = staticmethod(compiled_draws.distinct_draws)
    places_of = staticmethod(compiled_draws.places_of)
    log_inclusion = staticmethod(compiled_draws.log_inclusion)
    drawn_and_counted = staticmethod(compiled_draws.counted_distinct_draws)

    def refusal(self, op: str, case: Case) -> str:
        """Why an op runs on the reference in a case; "" where it does not."""
        return refuses_draws(op, case) or super().refusal(op, case)
