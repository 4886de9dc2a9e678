"""A simulated device: its tensors claim to be on "fake", hold their values on the CPU, and refuse what CUDA refuses.

    with FakeDevice() as device:
        table = on_device(torch.randn(1000, 16))
        ...
    device.kernels, device.bytes, device.waits

What CUDA refuses, it refuses: tensors of two devices in one op, generators of another device, `numpy()`. What costs
there is counted: kernels with the bytes that they read and write, and each place in logq where the host waits for the
device, as it looks at a value or asks for a size that follows from values. Autograd, modules, optimizers and whole
estimators run on it as on any device that torch does not know by name: kernels are those of the reference.

What it cannot show: whether code that asks for "cuda" by name is right, pinned memory, streams, and rounding.
"""

import contextlib
import os
import traceback
from collections import Counter
from collections.abc import Generator
from types import ModuleType
from typing import Any, cast

import torch
from torch import Tensor
from torch._dispatch.python import enable_python_dispatcher
from torch.library import Library, fallthrough_kernel
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

from logq.tracing import PLAIN_DISPATCH

__all__ = ["DEVICE", "NAME", "FakeDevice", "FakeGraphs", "OnDevice", "held", "on_device"]

NAME = "fake"


class _Backend(ModuleType):
    """What torch asks of a device that it does not know."""

    def is_available(self) -> bool:
        return True

    def is_initialized(self) -> bool:
        return True

    def _is_in_bad_fork(self) -> bool:
        return False

    def _lazy_init(self) -> None:
        pass

    def current_device(self) -> int:
        return 0

    def device_count(self) -> int:
        return 1

    def manual_seed_all(self, seed: int) -> None:
        pass

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16, torch.float16]


_setup_privateuseone_for_python_backend(NAME, backend_module=_Backend(NAME))
DEVICE = torch.device(NAME, 0)

# As on CUDA, products are narrowed under autocast, and all else is not.
_FALLBACK, _PRODUCTS = Library("_", "IMPL"), Library("aten", "IMPL")
_FALLBACK.fallback(fallthrough_kernel, "AutocastPrivateUse1")


def _narrowed(product: Any) -> Any:
    def run(*args: Any, **kwargs: Any) -> Any:
        dtype = torch.get_autocast_dtype(NAME)
        args = tuple(one.to(dtype) if isinstance(one, Tensor) else one for one in args)
        with torch._C._ExcludeDispatchKeyGuard(_AUTOCAST):
            return product(*args, **kwargs)

    return run


_AUTOCAST = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastPrivateUse1)
for _product in ("linear", "matmul", "mm", "bmm", "addmm", "baddbmm"):
    _PRODUCTS.impl(_product, _narrowed(getattr(torch.ops.aten, _product)), "AutocastPrivateUse1")

# Ops that launch nothing: another view of the memory, or memory that nobody has written to.
FREE = """
    view _unsafe_view _reshape_alias view_as expand slice select t transpose permute detach alias unsqueeze squeeze
    split split_with_sizes unbind as_strided unfold diagonal chunk lift_fresh empty empty_like new_empty empty_strided
    new_empty_strided set_ resize_ _indices _values indices values _nnz is_coalesced _coalesced_ sparse_dim dense_dim
    _sparse_coo_tensor_unsafe _sparse_coo_tensor_with_dims_and_tensors
""".split()  # noqa: SIM905
# Ops after which the host has to wait: the size of their result is a value on the device, or the result is on the host.
WAITING = """
    _local_scalar_dense nonzero _unique2 unique_dim unique_consecutive masked_select equal is_nonzero _coalesce bincount
    repeat_interleave
""".split()  # noqa: SIM905
INDEXING = "index index_put index_put_ _index_put_impl_ _unsafe_index".split()  # noqa: SIM905
# Ops that CUDA refuses under torch.use_deterministic_algorithms, those named by what must hold of their arguments.
NOT_DETERMINISTIC = "put_ histc max_unpool2d max_unpool3d nll_loss2d_forward _ctc_loss_backward".split()  # noqa: SIM905
# Ops that take tensors of both devices.
MIXING = [*INDEXING, "copy_", "_to_copy", "_copy_from"]


class FakeDevice:
    """Make the device known to torch inside of a `with`, and count what happens on it.

    Attributes:
        kernels: how many launches of each op.
        bytes: what they read and wrote.
        waits: how often the host waited, by op and place in logq.
        copies: tensors that were copied to or from the device, by direction and place.
    """

    current: "FakeDevice | None" = None
    graph: "_Recorded | None" = None
    """The one that is captured now."""

    def __init__(self) -> None:
        self.reset()
        self._mode = _Mode(self)
        # The CPU has none of the fused cells of recurrent networks that torch calls on other devices.
        self._no_fused_cells: Any = enable_python_dispatcher()

    def reset(self) -> None:
        """Count from nothing again."""
        self.kernels: Counter[str] = Counter()
        self.bytes = 0
        self.waits: Counter[str] = Counter()
        self.copies: Counter[str] = Counter()

    def __enter__(self) -> "FakeDevice":
        self._before, FakeDevice.current = FakeDevice.current, self
        self._mode.__enter__()
        self._no_fused_cells.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._no_fused_cells.__exit__(*error)
        self._mode.__exit__(*error)
        FakeDevice.current = self._before

    def wait(self, what: str) -> None:
        """Count a wait of the host."""
        self.waits[f"{what} at {_place()}"] += 1


class OnDevice(Tensor):
    """A tensor on the device: sizes and device are its own, the values lie in `held`, on the CPU."""

    held: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, held: Tensor) -> "OnDevice":
        options: dict[str, Any] = {"dtype": held.dtype, "layout": held.layout, "device": DEVICE}
        if held.layout == torch.strided:
            options |= {"strides": held.stride(), "storage_offset": held.storage_offset()}
        else:
            options["dispatch_sizes_strides_policy"] = "sizes"
        made = cast("OnDevice", Tensor._make_wrapper_subclass(cls, held.size(), **options))
        made.held = held
        return made

    @staticmethod
    def __torch_dispatch__(func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        return _run(func, args, kwargs or {})

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return f"OnDevice({self.held!r})"

    def tolist(self) -> Any:
        _device().wait("tolist")
        return self.held.tolist()


PLAIN_DISPATCH.add(OnDevice.__torch_dispatch__)  # as on CUDA: these have numbers, though not where Python reads them


class _Mode(TorchDispatchMode):
    """Catches what has no tensor of the device among its arguments, but makes one."""

    def __init__(self, device: FakeDevice) -> None:
        super().__init__()
        self.of = device

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if _is_ours(kwargs.get("device")) or any(isinstance(t, OnDevice) for t in pytree.tree_leaves((args, kwargs))):
            return _run(func, args, kwargs)
        return func(*args, **kwargs)


class FakeGraphs:
    """What torch.cuda has for graphs, for this device: capturing records ops, and replaying runs them again.

    As on CUDA nothing is computed while a graph is captured, results lie where they lay then, and what waits, or comes
    from the host, is refused.
    """

    class Stream:
        """A stream, of which the device has one."""

        def __init__(self, device: object) -> None:
            pass

        def wait_stream(self, other: object) -> None:
            """Wait for nothing."""

    def __init__(self) -> None:
        self.made: list[_Recorded] = []

    def current_stream(self, device: object) -> "FakeGraphs.Stream":
        return self.Stream(device)

    @contextlib.contextmanager
    def stream(self, stream: object) -> Generator[None, None, None]:
        yield

    def CUDAGraph(self) -> "_Recorded":  # noqa: N802
        self.made.append(_Recorded())
        return self.made[-1]

    @contextlib.contextmanager
    def device(self, device: object) -> Generator[None, None, None]:
        yield

    @contextlib.contextmanager
    def graph(self, graph: "_Recorded", stream: object, capture_error_mode: str) -> Generator[None, None, None]:
        assert isinstance(stream, self.Stream), "torch's own may be one of another device"
        assert capture_error_mode == "thread_local", "threads that make batches would end the capture"
        device = _device()
        device.graph = graph
        try:
            yield
        finally:
            device.graph = None
            graph.undo()


class _Recorded:
    """Ops with their arguments and results."""

    def __init__(self) -> None:
        self.ops: list[tuple[Any, Any, dict[str, Any], Any]] = []
        self.replays = 0
        self._before: dict[int, tuple[Any, Any]] = {}

    def record(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        writes = func._schema.is_mutable
        for tensor in (one for one in pytree.tree_leaves((args, kwargs)) if isinstance(one, Tensor)) if writes else ():
            memory = tensor.untyped_storage()
            if memory.data_ptr() not in self._before:
                self._before[memory.data_ptr()] = memory, memory.clone()
        result = func(*args, **kwargs)
        inside = {_memory(one) for one in pytree.tree_leaves((args, kwargs)) if isinstance(one, Tensor)}
        made = [one for one in pytree.tree_leaves(result) if isinstance(one, Tensor)]
        if writes or not all(_memory(one) in inside for one in made):
            self.ops.append((func, args, kwargs, None if writes else result))
        return result

    def undo(self) -> None:
        """Put back what was written to."""
        for memory, before in self._before.values():
            memory.copy_(before)
        self._before.clear()

    def replay(self) -> None:
        self.replays += 1
        for func, args, kwargs, result in self.ops:
            again = func(*args, **kwargs)
            if result is not None:
                for one, other in zip(pytree.tree_leaves(result), pytree.tree_leaves(again), strict=True):
                    if isinstance(one, Tensor):
                        one.copy_(other)


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def on_device(tensor: Tensor, *, requires_grad: bool = False) -> Tensor:
    """The tensor on the device, as a leaf."""
    return tensor.detach().to(DEVICE).requires_grad_(requires_grad)


def held(tensor: Tensor) -> Tensor:
    """Its values, on the CPU."""
    assert isinstance(tensor, OnDevice), "it left the device"
    return tensor.held.to_dense() if tensor.held.is_sparse else tensor.held


def _device() -> FakeDevice:
    assert FakeDevice.current is not None, "the device is there inside of `with FakeDevice()`"
    return FakeDevice.current


def _is_ours(device: Any) -> bool:
    return device is not None and torch.device(device).type == NAME


def _place() -> str:
    """The innermost line of logq that is being run."""
    for frame in reversed(traceback.extract_stack()):
        before, found, path = frame.filename.rpartition(f"{os.sep}logq{os.sep}")
        if found and not before.endswith("tests"):
            return f"{path}:{frame.lineno}"
    return "the test"


def _held(value: Any) -> Any:
    return value.held if isinstance(value, OnDevice) else value


def _bytes(tensor: Tensor) -> int:
    if tensor.layout != torch.strided:
        return _bytes(tensor._values()) + _bytes(tensor._indices())
    return tensor.numel() * tensor.element_size()


def _refuse_mixing(func: Any, name: str, args: Any, here: list[OnDevice], elsewhere: list[Tensor]) -> None:
    if name in INDEXING and elsewhere and not isinstance(args[0], OnDevice):
        raise RuntimeError("indices should be either on cpu or on the same device as the indexed tensor (cpu)")
    shaped = [t for t in elsewhere if t.dim() > 0]
    if here and shaped and name not in MIXING:
        raise RuntimeError(
            f"{func}: Expected all tensors to be on the same device, but found at least two devices, {DEVICE} and cpu!"
            f" Shapes {[tuple(t.shape) for t in here]} and {[tuple(t.shape) for t in shaped]}"
        )


def _refuse_any_order(name: str, args: Any, kwargs: dict[str, Any]) -> None:
    """As CUDA does where torch has no deterministic algorithm: see torch.use_deterministic_algorithms."""
    if not torch.are_deterministic_algorithms_enabled():
        return
    refused = name in NOT_DETERMINISTIC
    if name in ("cumsum", "cumsum_"):  # of integers any order gives the same
        refused = args[0].dtype.is_floating_point
    elif name == "bincount":
        refused = len(args) > 1 and args[1] is not None
    elif name in ("scatter_reduce", "scatter_reduce_"):
        refused = args[4] == "prod"
    elif name == "_embedding_bag_dense_backward":
        refused = args[7] == 2  # the greatest of each
    elif name == "median":
        refused = len(args) > 1
    if refused:
        raise RuntimeError(f"{name} does not have a deterministic implementation")


def _run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Run an op on what is held, and count it."""
    name = func._schema.name.rpartition("::")[2]
    leaves = pytree.tree_leaves((args, kwargs))
    here = [t for t in leaves if isinstance(t, OnDevice)]
    elsewhere = [t for t in leaves if isinstance(t, Tensor) and not isinstance(t, OnDevice)]
    wanted = kwargs.get("device")
    stays = _is_ours(wanted) or (wanted is None and bool(here))
    if name == "copy_":
        stays = isinstance(args[0], OnDevice)
    _refuse_mixing(func, name, args, here, elsewhere)
    if here:
        _refuse_any_order(name, args, kwargs)
    if stays and any(isinstance(leaf, torch.Generator) for leaf in leaves):
        raise RuntimeError(f"{func}: Expected a '{NAME}' device type for generator but found 'cpu'")
    plain_args, plain_kwargs = pytree.tree_map(_held, (args, dict(kwargs)))
    if _is_ours(wanted):
        plain_kwargs["device"] = torch.device("cpu")
    plain_kwargs.pop("pin_memory", None)
    graph = _device().graph
    if graph is not None and (here or stays):
        crosses = name in ("_to_copy", "copy_") and (bool(here) != stays or bool(elsewhere))
        if crosses or name in WAITING:
            raise RuntimeError(f"operation not permitted when stream is capturing: {func}")
        result = graph.record(func, plain_args, plain_kwargs)
    else:
        result = func(*plain_args, **plain_kwargs)
    _count(_device(), name, args, here, elsewhere, stays, result)
    if not stays or name == "_local_scalar_dense":
        return result
    known = {id(t.held): t for t in here}  # an op in place gives back the tensor that it was given

    def put(value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        return known[id(value)] if id(value) in known else OnDevice(value)

    return pytree.tree_map(put, result)


def _count(
    device: FakeDevice, name: str, args: Any, here: list[OnDevice], elsewhere: list[Tensor], stays: bool, result: Any
) -> None:
    if name in ("_to_copy", "copy_") and bool(here) != stays:
        device.copies[f"to the {'device' if stays else 'host'} at {_place()}"] += 1
        if not stays:
            device.wait("copy to the host")
    elif name in INDEXING and here and any(t.dim() > 0 for t in elsewhere):
        device.copies[f"to the device at {_place()}"] += 1
    if name in WAITING:
        device.wait(name)
    elif name in INDEXING and any(
        isinstance(t, OnDevice) and t.dtype in (torch.bool, torch.uint8) for t in pytree.tree_leaves(args[1])
    ):
        device.wait(f"{name} by a mask")
    if name not in FREE:
        device.kernels[name] += 1
        made = [t for t in pytree.tree_leaves(result) if isinstance(t, Tensor)]
        device.bytes += sum(_bytes(t.held) for t in here) + sum(map(_bytes, made))
