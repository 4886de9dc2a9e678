"""`topk` and `log_prob` as graphs that hold for batches of any size, and losses of modules under transforms."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import forward_ad

from cases import MODULES
from logq import nn as logq_nn

C, D = 12, 3

READS: dict[str, Callable[..., object]] = {
    "topk": lambda loss, x: tuple(loss.topk(x, 4)),
    "log_prob of all": lambda loss, x: loss.log_prob(x),
    "log_prob of some": lambda loss, x, targets: loss.log_prob(x, targets),
}


class Read(nn.Module):
    def __init__(self, loss: logq_nn.CandidateLoss, read: Callable[..., object]) -> None:
        super().__init__()
        self.loss, self.read = loss, read

    def forward(self, *inputs: Tensor) -> object:
        return self.read(self.loss, *inputs)


def inputs(read: str, rows: int) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(rows)
    x, targets = torch.randn(rows, D, generator=generator), torch.randint(C, (rows, 2), generator=generator)
    targets[0, 1] = -100
    return (x, targets) if read == "log_prob of some" else (x,)


def program(module: Read, read: str) -> torch.export.ExportedProgram:
    given = inputs(read, 3)
    return torch.export.export(module, given, dynamic_shapes=(({0: torch.export.Dim("rows")},) * len(given),))


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("name", MODULES)
def test_what_is_read_of_a_module_is_exported_for_any_batch(name: str, read: str) -> None:
    module = Read(MODULES[name](D, C), READS[read])  # pyright: ignore[reportArgumentType]
    made = program(module, read).module()
    for rows in (1, 2, 9):
        torch.testing.assert_close(made(*inputs(read, rows)), module(*inputs(read, rows)))


@pytest.mark.parametrize(
    ("name", "read"),
    [
        pytest.param(name, read, marks=() if (name, read) == ("SampledSoftmaxLoss", "topk") else pytest.mark.slow)
        for name in ("SampledSoftmaxLoss", "NegativeSamplingLoss", "FullLogisticLoss")
        for read in READS
    ],
)
@pytest.mark.filterwarnings("ignore")  # what the exporter of torch says of itself
def test_onnx_reads_the_same(name: str, read: str, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    module = Read(MODULES[name](D, C, cosine=True, temperature=0.5), READS[read])  # pyright: ignore[reportArgumentType]
    made = torch.onnx.export(program(module, read), inputs(read, 3), dynamo=True, verbose=False)
    assert made is not None
    made.save(tmp_path / "read.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "read.onnx")
    names = [given.name for given in session.get_inputs()]
    for rows in (1, 2, 9):
        given = inputs(read, rows)
        found = session.run(None, {name: tensor.numpy() for name, tensor in zip(names, given, strict=True)})
        expected = module(*given)
        for one, right in zip(found, expected if isinstance(expected, tuple) else (expected,), strict=True):
            torch.testing.assert_close(torch.from_numpy(one), right, rtol=1e-5, atol=1e-5)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", MODULES)
def test_modules_run_with_fake_tensors_with_tangents_and_for_many_examples(name: str) -> None:
    loss: logq_nn.CandidateLoss = MODULES[name](D, C)  # pyright: ignore[reportAssignmentType]
    x, targets = torch.randn(4, D, generator=torch.Generator().manual_seed(1)), torch.tensor([3, 0, 11, 3])
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        value = loss(mode.from_tensor(x), mode.from_tensor(targets))
        value.backward()
    assert value.shape == ()
    with forward_ad.dual_level():
        moved = forward_ad.make_dual(x, x)
        for found in (loss(moved, targets), loss.log_prob(moved, targets), loss.topk(moved, 2).log_prob):
            assert forward_ad.unpack_dual(found).tangent is not None
    several = torch.stack([targets, targets.flip(0)])
    assert torch.vmap(lambda one: loss(x, one), randomness="same")(several).isfinite().all()
    each = torch.stack([loss.log_prob(x, one) for one in several])
    torch.testing.assert_close(torch.vmap(lambda one: loss.log_prob(x, one))(several), each)
