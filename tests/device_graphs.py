"""Training steps on a device as graphs: what torch.compile makes of them, and what a captured graph would replay.

Runs in a process of its own, as tests/device_paths.py does (tests/test_other_devices.py).
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
import torch
from functorch.compile import make_boxed_func
from torch import Tensor
from torch._dynamo.backends.common import aot_autograd
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils import _pytree as pytree

import fake_device
from cases import FUNCTIONS, MODULES, call
from fake_device import DEVICE, FakeDevice, OnDevice
from logq import kernels, optim
from logq.candidates import Candidates
from logq.functional import sampled_loss
from logq.kernels import autograd, fused
from logq.kernels.triton import (
    TritonBackend,
    class_sums,
    launching,
    per_row_pass,
    shared_pass,
    triton_distinct,
    triton_draws,
)
from logq.nn import CandidateLoss
from logq.objectives import OBJECTIVES
from logq.samplers import LogUniform, Sampler
from logq.samplers.kept_tensors import WITNESS, TensorKeeper
from logq.tracing import is_traced

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
    if "full" in name:
        assert graphs.passes("forward") == ([] if options else ["full_pass"])
        assert graphs.passes("backward") == []  # it scales what is known
    else:
        again = ["shared_pass"] if options else []  # by a second pass, as each row is scaled by itself
        assert graphs.passes("forward") == ["shared_pass"]
        assert graphs.passes("backward") == [*again, "class_gradients"]
    assert_no_wait(graphs)


def test_every_module_has_such_a_loss() -> None:
    assert len(MODULES) == 9  # CandidateLoss, tested above, and its eight subclasses, which have no `forward` of theirs
    assert all("forward" not in vars(kind) for kind in CandidateLoss.__subclasses__())


# --------------------------------------------------------------------------------------------------- captured graphs


class Recorder:
    """What a step runs on the device, op by op and kernel by kernel, as a CUDA graph captures it, to be run again.

    A graph that is replayed runs the same kernels on the same memory. So here each op runs on the tensors that it was
    given when it was recorded, and what it makes is written to where its result was then.
    """

    def __init__(self) -> None:
        self.steps: list[tuple[str, Callable[[], None]]] = []
        self.held: list[Any] = []  # so that memory is not given to others

    def add(self, what: str, run: Callable[[], Any], made: Any) -> None:
        results = [tensor for tensor in pytree.tree_leaves(made) if isinstance(tensor, Tensor)]
        self.held.append(results)

        def again() -> None:
            with torch.no_grad():
                others = [tensor for tensor in pytree.tree_leaves(run()) if isinstance(tensor, Tensor)]
                for result, other in zip(results, others, strict=True):
                    if result.data_ptr() != other.data_ptr():
                        result.copy_(other)

        self.steps.append((what, again))

    def replay(self) -> None:
        for _, again in self.steps:
            again()

    @property
    def sequence(self) -> list[str]:
        """Each kernel with the shapes of its tensors and its numbers, which are fixed in a graph."""
        return [what for what, _ in self.steps]


Recording = Callable[[], AbstractContextManager[Recorder]]


def told(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)}"
    return str(value)


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recording]:
    """The device with the kernels of a GPU, run by Triton's interpreter; a block tells what is recorded."""
    current: list[Recorder] = []
    run_op, launch = fake_device._run, launching.launch

    def run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        result = run_op(func, args, kwargs)
        name = func._schema.name.rpartition("::")[2]
        if current and name not in fake_device.FREE:
            plain = pytree.tree_map(fake_device._held, (args, {k: v for k, v in kwargs.items() if k != "device"}))
            made = pytree.tree_map(fake_device._held, result)
            arguments = ", ".join(told(leaf) for leaf in pytree.tree_leaves(plain))
            current[-1].add(f"{name}({arguments})", lambda: func(*plain[0], **plain[1]), made)
        return result

    def launch_held(kernel: Any, grid: tuple[int, ...], *arguments: Any, **options: Any) -> None:
        held = [fake_device._held(one) for one in arguments]
        options = {name: fake_device._held(one) for name, one in options.items()}
        launch(kernel, grid, *held, **options)
        if current:
            what = f"{kernel.fn.__name__}{grid}({', '.join(map(told, [*held, *options.values()]))})"
            current[-1].add(what, lambda: launch(kernel, grid, *held, **options), None)

    def is_plain(*tensors: Tensor) -> bool:
        return not is_traced() and all(isinstance(tensor, OnDevice) for tensor in tensors)

    class OnFake(TritonBackend):
        name = "on_fake"
        device_types = (DEVICE.type,)

    monkeypatch.setattr(fake_device, "_run", run)
    for module in (class_sums, per_row_pass, shared_pass, triton_distinct, triton_draws):
        monkeypatch.setattr(module, "launch", launch_held)
    for module in (autograd, fused):
        monkeypatch.setattr(module, "is_plain", is_plain)
    kernels.register("on_fake", OnFake())

    @contextmanager
    def recording() -> Iterator[Recorder]:
        current.append(Recorder())
        try:
            yield current[-1]
        finally:
            current.clear()

    try:
        with FakeDevice():
            yield recording
    finally:
        kernels.unregister("on_fake")


class Step:
    """A training step with its draw, and the update inside of backward."""

    def __init__(self, name: str, per_row: bool, *, on_device: bool = True, optimizer: str = "Adagrad") -> None:
        torch.manual_seed(0)
        self.weight, self.bias = (torch.nn.Parameter(torch.randn(*size).to(DEVICE)) for size in ((C, D), (C,)))
        self.inputs, self.targets = torch.empty(B, D).to(DEVICE), torch.zeros(B).long().to(DEVICE)
        self.sampler = LogUniform(C, S, per_row=per_row, seed=1).to(DEVICE)
        if on_device:
            self.sampler.seeds_on_device()
        self.objective = OBJECTIVES[name]
        self.optimizer = getattr(optim, optimizer)([self.weight, self.bias], lr=0.1, in_backward=True)
        self.loss = self.gradient = torch.empty(0)

    def feed(self, batch: int) -> None:
        generator = torch.Generator().manual_seed(batch)
        self.inputs.copy_(torch.randn(B, D, generator=generator))
        self.targets.copy_(torch.randint(C, (B,), generator=generator).masked_fill(torch.arange(B) == batch, -100))

    def run(self) -> None:
        x = self.inputs.detach().requires_grad_()
        loss = sampled_loss(self.objective, x, self.weight, self.sampler.draw(self.targets), bias=self.bias)
        loss.backward()
        self.optimizer.step()
        assert self.weight.grad is None
        assert x.grad is not None
        self.loss, self.gradient = loss.detach(), x.grad

    def results(self) -> list[Tensor]:
        kept = self.loss, self.gradient, self.weight.detach(), self.bias.detach()
        return [fake_device._held(tensor).clone() for tensor in kept]


@pytest.mark.parametrize(("name", "per_row"), [("sampled_softmax", False), ("nce", True)])
def test_a_step_can_be_captured_and_replayed(name: str, per_row: bool, recorded: Recording) -> None:
    """The same kernels each time, no wait, no number of the host; and they train as eager steps do."""
    eager, captured = Step(name, per_row), Step(name, per_row)
    expected: list[list[Tensor]] = []
    for batch in range(4):
        eager.feed(batch)
        eager.run()
        expected.append(eager.results())
    recorders: list[Recorder] = []
    device = FakeDevice.current
    assert device is not None
    for batch in range(2):
        captured.feed(batch)
        device.reset()
        with recorded() as recorder:
            captured.run()
        recorders.append(recorder)
        assert not device.waits
        assert not device.copies
        for one, other in zip(captured.results(), expected[batch], strict=True):
            assert torch.equal(one, other)
    assert recorders[0].sequence == recorders[1].sequence
    assert any(what.startswith("next_seed_kernel") for what in recorders[0].sequence)
    for batch in range(2, 4):
        captured.feed(batch)
        recorders[1].replay()
        for one, other in zip(captured.results(), expected[batch], strict=True):
            torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-7)
    on_cpu = LogUniform(C, S, per_row=per_row, seed=1).seeds_on_device()
    drawn = {tuple(on_cpu.draw(torch.zeros(B).long()).ids.view(-1).tolist()) for _ in range(4)}
    assert len(drawn) == 4
    assert torch.equal(fake_device._held(captured.sampler._stream_state()), on_cpu._stream_state())


def test_what_the_host_knows_would_be_frozen(recorded: Recording) -> None:
    """Seeds of a generator, and the number of the step of an Adam: a later step has others."""
    for options in ({"on_device": False}, {"optimizer": "LazyAdam"}):
        step, sequences = Step("nce", True, **options), []
        for batch in range(3):  # the first step makes states
            step.feed(batch)
            with recorded() as recorder:
                step.run()
            sequences.append(recorder.sequence)
        assert len(sequences[1]) == len(sequences[2])
        assert sequences[1] != sequences[2]
