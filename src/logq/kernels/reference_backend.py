"""Backend: the reference, and what every other backend inherits from it."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

from torch import Tensor

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim
from logq.kernels import reference, reference_draws, reference_rows
from logq.kernels.backends import OPS, backend
from logq.kernels.fallback import Case

__all__ = ["Backend", "ModuleBackend", "as_backend"]


class Backend:
    """The ops in plain torch, which defines them. A faster backend is a subclass that overrides some of them.

    What it leaves out is for the next backend to run, and in the end for the reference; `missing` names these ops. A
    backend with passes over a batch is a logq.kernels.FusedBackend, which brings autograd, graphs and updates inside of
    backward with it.

    Example:
        >>> from logq import kernels
        >>> kernels.backend("reference"), kernels.backend("cpp")
        (<Backend 'reference' for all devices: all ops>, <CppBackend 'cpp' for cpu: all ops but log_normalizer>)
    """

    name: str = "reference"
    """The name that it is registered by."""

    device_types: tuple[str, ...] | None = None
    """The types of devices that it runs on, such as ("cpu",); None for all."""

    sampled_loss: Callable[..., Any] = staticmethod(reference.sampled_loss)
    full_loss: Callable[..., Any] = staticmethod(reference.full_loss)
    log_normalizer: Callable[..., Any] = staticmethod(reference.log_normalizer)
    alias_table: Callable[..., Any] = staticmethod(reference_draws.alias_table)
    next_seed: Callable[..., Any] = staticmethod(reference_draws.next_seed)
    draws: Callable[..., Any] = staticmethod(reference_draws.draws)
    distinct_draws: Callable[..., Any] = staticmethod(reference_draws.distinct_draws)
    places_of: Callable[..., Any] = staticmethod(reference_draws.places_of)
    log_inclusion: Callable[..., Any] = staticmethod(reference_draws.log_inclusion)
    sum_rows: Callable[..., Any] = staticmethod(reference_rows.sum_rows)
    update_rows: Callable[..., Any] = staticmethod(reference_rows.update_rows)

    def counted_draws(self, *arguments: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """`draws` of this backend with the logs of expected counts; see logq.kernels.reference_draws.

        No op of its own: a backend that overrides it overrides `draws` too.
        """
        return reference_draws.counted_draws(*arguments, draws=self.draws)

    def counted_distinct_draws(self, *arguments: Any, **options: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """`distinct_draws` of this backend with the logs of expected counts; see logq.kernels.reference_draws."""
        return reference_draws.counted_distinct_draws(
            *arguments,
            **options,
            distinct_draws=self.distinct_draws,
            places_of=self.places_of,
            log_inclusion=self.log_inclusion,
        )

    @property
    def missing(self) -> tuple[str, ...]:
        """The ops that this backend does not override."""
        return tuple(op for op in OPS if not self.has(op))

    def has(self, op: str) -> bool:
        """Whether an op is more than inherited from the reference."""
        if type(self) is Backend:
            return True
        return any(op in vars(kind) for kind in type(self).__mro__ if issubclass(kind, Backend) and kind is not Backend)

    def refusal(self, op: str, case: Case) -> str:
        """Why an op that is not missing still runs on the reference in a case; "" where it does not.

        Args:
            op: one of OPS.
            case: what the op would be asked for.
        """
        return ""

    def how(self, op: str, case: Case) -> str:
        """By which of several ways it runs an op in a case that it does not refuse, in words; "" if there is one way.

        Args:
            op: one of OPS.
            case: what the op would be asked for.
        """
        return ""

    def __repr__(self) -> str:
        devices = "all devices" if self.device_types is None else ", ".join(self.device_types)
        but = f" but {', '.join(self.missing)}" if self.missing else ""
        return f"<{type(self).__name__} {self.name!r} for {devices}: all ops{but}>"

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return backend, (self.name,)  # by name: a process has one of each


class ModuleBackend(Backend):
    """A backend made of a module with functions of the ops' names.

    Args:
        module: may have DEVICES, a tuple of types of devices; without it, the functions run on all.

    Raises:
        ArgumentTypeError: `module` is not a module, or its DEVICES not a tuple of names.
        ArgumentError: it has none of the ops.

    Example:
        >>> module = ModuleType("mine")
        >>> module.alias_table = reference_draws.alias_table
        >>> ModuleBackend(module).has("alias_table"), ModuleBackend(module).has("draws")
        (True, False)
    """

    def __init__(self, module: ModuleType) -> None:
        if not isinstance(module, ModuleType):
            raise ArgumentTypeError("backend", "a Backend or a module", Verbatim(type(module).__name__))
        devices = getattr(module, "DEVICES", None)
        if devices is not None and not (isinstance(devices, tuple) and all(isinstance(name, str) for name in devices)):
            raise ArgumentTypeError("backend", "DEVICES to be a tuple of names such as ('cuda',)", devices)
        functions = {op: getattr(module, op) for op in OPS if hasattr(module, op)}
        if not functions:
            raise ArgumentError(
                "backend", f"functions among {', '.join(OPS)}", Verbatim(f"none of them in {module.__name__}")
            )
        self.device_types = devices
        vars(self).update(functions)

    def has(self, op: str) -> bool:
        """Whether the module has a function of that name."""
        return op in vars(self)


def as_backend(given: Backend | ModuleType) -> Backend:
    """A backend as it is, or one made of a module.

    Raises: as ModuleBackend.

    Example:
        >>> as_backend(Backend())
        <Backend 'reference' for all devices: all ops>
    """
    return given if isinstance(given, Backend) else ModuleBackend(given)
