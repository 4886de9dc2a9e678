"""Training steps on a device as graphs: what torch.compile makes of them, and what a captured graph would replay.

Runs in a process of its own, as tests/device_paths.py does (tests/test_other_devices.py).
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from functorch.compile import make_boxed_func
from torch import Tensor
from torch._dynamo.backends.common import aot_autograd
from torch._subclasses.fake_tensor import FakeTensorMode

from cases import FUNCTIONS, MODULES, call
from fake_device import DEVICE
from logq import kernels
from logq.candidates import Candidates
from logq.kernels.triton import TritonBackend
from logq.nn import CandidateLoss
from logq.samplers import LogUniform, Sampler
from logq.samplers.kept_tensors import WITNESS, TensorKeeper

B, C, D, S = 5, 40, 4, 7


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.fixture
def as_on_a_gpu() -> Iterator[None]:
    """The device has the kernels of a GPU, of which nothing is run here."""

    class OnFake(TritonBackend):
        name = "on_fake"
        device_types = (DEVICE.type,)

    kernels.register("on_fake", OnFake())
    try:
        yield
    finally:
        kernels.unregister("on_fake")


# ------------------------------------------------------------------------------------------- graphs of torch.compile


class Graphs:
    """A backend of torch.compile that keeps what it is given, forward and backward, and runs it as it is."""

    def __init__(self) -> None:
        self.ops: dict[str, list[Any]] = {}
        self.compile = aot_autograd(fw_compiler=self._keep("forward"), bw_compiler=self._keep("backward"))

    def _keep(self, which: str) -> Callable[..., Any]:
        def compiler(module: torch.fx.GraphModule, _: Any) -> Any:
            assert which not in self.ops, "one graph of each"
            self.ops[which] = [node for node in module.graph.nodes if node.op == "call_function"]
            return make_boxed_func(module.forward)

        return compiler

    def names(self, which: str) -> list[str]:
        return [str(node.target) for node in self.ops[which]]

    def passes(self, which: str) -> list[str]:
        """The ops of logq, all of which run on the kernels of a GPU."""
        ours = [node for node in self.ops[which] if "logq." in str(node.target)]
        assert all(node.kwargs["backend"] in ("on_fake", "triton") for node in ours)
        return [str(node.target).split(".")[1] for node in ours]


WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "bincount", "aten.item")


def assert_no_wait(graphs: Graphs) -> None:
    for which in graphs.ops:
        assert not [name for name in graphs.names(which) if any(word in name for word in WAITING)]
        for node in graphs.ops[which]:
            made = node.meta.get("val")
            if isinstance(made, Tensor) and made.dim():
                assert made.device.type == DEVICE.type, f"{node.target} is on {made.device}"


def on_fake(sampler: Sampler, mode: FakeTensorMode, monkeypatch: pytest.MonkeyPatch) -> Sampler:
    """A sampler whose stream of seeds is on the device, without numbers."""
    monkeypatch.setattr(TensorKeeper, "home", property(lambda self: self._witness.device))
    sampler.seeds_on_device()
    with mode:
        sampler.register_buffer(WITNESS, torch.empty(0, device=DEVICE), persistent=False)
        vars(sampler)["_kept__seed_state"] = torch.empty((), dtype=torch.int64, device=DEVICE)
    return sampler


@pytest.mark.parametrize(("name", "per_row"), [("sampled_softmax", False), ("nce", True)])
def test_a_step_with_its_draw_is_one_graph(
    name: str, per_row: bool, as_on_a_gpu: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    mode, graphs = FakeTensorMode(), Graphs()
    sampler = on_fake(LogUniform(C, S, per_row=per_row, seed=1), mode, monkeypatch)
    with mode:
        weight = torch.nn.Parameter(torch.empty(C, D, device=DEVICE))
        module = CandidateLoss(name, D, C, sampler, weight=weight)
        input, targets = torch.empty(B, D, device=DEVICE, requires_grad=True), torch.zeros(B, device=DEVICE).long()
        torch.compile(module, fullgraph=True, backend=graphs.compile)(input, targets).backward()
        for leaf in (input, *module.parameters()):
            assert leaf.grad is not None
            assert leaf.grad.shape == leaf.shape
    assert graphs.passes("forward") == ["draws", "per_row_pass" if per_row else "shared_pass"]
    assert graphs.passes("backward") == ["class_gradients"]
    assert_no_wait(graphs)


EACH_ROW = {"reduction": "none", "cosine": True}
FEW = [("sampled_softmax_loss", {}), ("nce_loss", EACH_ROW), ("full_softmax_loss", {})]
REST = [(name, options) for name in FUNCTIONS for options in ({}, EACH_ROW) if (name, options) not in FEW]


@pytest.mark.parametrize(
    ("name", "options"), [*FEW, *(pytest.param(*one, marks=pytest.mark.slow) for one in REST)], ids=str
)
def test_each_loss_is_one_graph(name: str, options: dict[str, Any], as_on_a_gpu: None) -> None:
    graphs = Graphs()
    with FakeTensorMode():
        weight, input = (torch.empty(n, D, device=DEVICE, requires_grad=True) for n in (C, B))
        ids, targets = torch.zeros(S, device=DEVICE).long(), torch.zeros(B, device=DEVICE).long()
        candidates = Candidates(ids, torch.empty(S, device=DEVICE), targets, torch.empty(B, device=DEVICE))
        loss = torch.compile(lambda *tensors: call(name, *tensors, **options), fullgraph=True, backend=graphs.compile)(
            input, weight, candidates
        )
        loss.sum().backward()
        assert weight.grad is not None
        assert weight.grad.shape == weight.shape
    if "full" not in name:
        again = ["shared_pass"] if options else []  # by a second pass, as each row is scaled by itself
        assert graphs.passes("forward") == ["shared_pass"]
        assert graphs.passes("backward") == [*again, "class_gradients"]
    assert_no_wait(graphs)


def test_every_module_has_such_a_loss() -> None:
    assert len(MODULES) == 8  # CandidateLoss, tested above, and its seven subclasses, which have no `forward` of theirs
    assert all("forward" not in vars(kind) for kind in CandidateLoss.__subclasses__())
