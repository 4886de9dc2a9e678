"""The pass on tensor cores in Triton's interpreter, beside float64.

The interpreter multiplies what was rounded to half precision in float32, and TF32 without rounding: what is seen here
are the two loops, their masks and sums, and the splitting of factors.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

pytest.importorskip("triton", reason="Triton is there for Linux alone")

from logq import kernels, optim
from logq.functional import full_softmax_loss, sampled_loss
from logq.kernels.passes import FullPassInputs, LossesAndGradients, PassInputs
from logq.kernels.triton import flash_pass, shared_pass
from logq.kernels.triton.flash_pass import FlashTiles, runs_on_tensor_cores, splits_of, tiles_of
from logq.objectives import OBJECTIVES
from logq.samplers import LogUniform
from pass_oracle import arguments, losses_and_gradients

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="kernels are compiled for the GPU that is here")

HALF = [torch.bfloat16, torch.float16]
STORAGE = [torch.float32, *HALF]
WORST = {torch.float32: 5e-6, torch.bfloat16: 2e-5, torch.float16: 5e-6}
"""Relative errors in norm. Two numbers of bfloat16 hold 16 bits of a factor, and two of float16 22."""


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several tiles along each axis, and several programs along each loop."""
    monkeypatch.setattr("logq.kernels.triton.flash_pass.tiles_of", lambda *_, **__: FlashTiles(16, 32, 16))
    monkeypatch.setattr("logq.kernels.triton.flash_pass.multiprocessors", lambda _: 4)
    monkeypatch.setattr("logq.kernels.triton.flash_pass.LEAST_STEPS", 1)


@pytest.fixture
def precision() -> Iterator[Any]:
    yield torch.set_float32_matmul_precision
    torch.set_float32_matmul_precision("highest")


def exactly(given: list[Tensor | None], **options: Any) -> LossesAndGradients:
    """The oracle in float64, of the numbers that are given."""
    wide = [None if x is None else x.double() if x.is_floating_point() else x for x in given]
    return losses_and_gradients(PassInputs(*wide, **options))  # pyright: ignore[reportArgumentType]


def relative(found: Tensor, exact: Tensor) -> float:
    assert found.shape == exact.shape
    return float((found.double() - exact).norm() / exact.norm().clamp(min=0.01)) if exact.numel() else 0.0


def errors(storage: torch.dtype, sizes: tuple[int, ...], **options: Any) -> list[float]:
    """Of each part of what the pass gives."""
    shape = {name: options.pop(name) for name in ("offsets", "excluded", "row_scale") if name in options}
    given = arguments("shared", sizes=sizes, real=torch.float32, storage=storage, **shape)  # pyright: ignore[reportArgumentType]
    assert given[0] is not None
    given[0] = given[0].to(storage)
    if options.get("cosine"):
        given[0] = torch.nn.functional.normalize(given[0], dim=1)
    options = {"softmax": False, "remove_hits": True, "temperature": 0.7, "cosine": False, "gradients": True} | options
    found, exact = flash_pass.flash_pass(PassInputs(*given, **options)), exactly(given, **options)  # pyright: ignore[reportArgumentType]
    assert all(part.dtype is torch.float32 for part in found)
    return [relative(*parts) for parts in zip(found, exact, strict=True)]


@pytest.mark.parametrize("remove_hits", [False, True])
@pytest.mark.parametrize("softmax", [False, True])
@pytest.mark.parametrize("storage", STORAGE, ids=str)
def test_every_option(storage: torch.dtype, softmax: bool, remove_hits: bool) -> None:
    sizes = (19, 1 if softmax else 2, 37, 60, 20)
    for offsets, excluded, row_scale in (("own", True, True), ("ids", False, True), ("none", True, False)):
        given: dict[str, Any] = {"offsets": offsets, "excluded": excluded, "row_scale": row_scale}
        found = errors(storage, sizes, softmax=softmax, remove_hits=remove_hits, **given)
        assert max(found) < WORST[storage], found
    assert max(errors(storage, sizes, softmax=softmax, gradients=False)) < 2e-6
    if storage is torch.float32:
        assert max(errors(storage, sizes, softmax=softmax, cosine=True)) < 2e-6
    if not softmax:
        assert max(errors(storage, sizes, true_weight=0.3, biases=False)) < WORST[storage]


SIZES = [(1, 1, 1, 2, 1), (3, 1, 0, 5, 4), (0, 1, 4, 5, 3), (5, 3, 70, 90, 15), (40, 1, 5, 60, 33), (3, 1, 10, 60, 70)]


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("softmax", [False, True])
def test_every_size(softmax: bool, sizes: tuple[int, ...]) -> None:
    sizes = (sizes[0], 1, *sizes[2:]) if softmax else sizes
    for storage in (torch.float32, torch.bfloat16):
        assert max(errors(storage, sizes, softmax=softmax)) < WORST[storage]


def test_a_row_of_which_nothing_is_left_but_its_class() -> None:
    """All its negatives are hits: no infinite logit may come out of it as a NaN."""
    x, weight = torch.randn(3, 4), torch.randn(5, 4)
    targets, ids = torch.tensor([[2], [3], [-100]]), torch.full((40,), 2)
    options: dict[str, Any] = {"softmax": True, "remove_hits": True, "temperature": 1.0, "cosine": False}
    given = [x, weight, targets, ids, None, None, None, None]
    found = flash_pass.flash_pass(PassInputs(*given, gradients=True, **options))  # pyright: ignore[reportArgumentType]
    for part, exact in zip(found, exactly(given, gradients=True, **options), strict=True):  # pyright: ignore[reportArgumentType]
        torch.testing.assert_close(part.double(), exact, rtol=1e-5, atol=1e-6)
    assert found.losses[0] == found.losses[2] == 0


def test_logits_far_from_zero() -> None:
    for softmax in (False, True):
        given = arguments("shared", sizes=(6, 1, 9, 12, 5), real=torch.float32, storage=torch.float32, offsets="none")
        assert given[0] is not None
        assert given[1] is not None
        given[0], given[1] = 100 * given[0].sign(), 100 * given[1].sign()
        options = {"softmax": softmax, "remove_hits": True, "temperature": 1.0, "cosine": False, "gradients": True}
        found, exact = flash_pass.flash_pass(PassInputs(*given, **options)), exactly(given, **options)  # pyright: ignore[reportArgumentType]
        for part, right in zip(found, exact, strict=True):
            assert part.isfinite().all()
            torch.testing.assert_close(part.double(), right, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("storage", HALF, ids=str)
def test_factors_are_rounded_once_only_where_torch_is_told_so(storage: torch.dtype, precision: Any) -> None:
    sizes = (19, 1, 37, 60, 20)
    split = errors(storage, sizes, softmax=True)
    precision("medium")
    rounded = errors(storage, sizes, softmax=True)
    assert rounded[0] == split[0], "the loss is exact in either case"
    epsilon = torch.finfo(storage).eps
    for of_input_or_rows in (1, 4):
        assert split[of_input_or_rows] < epsilon / 300
        assert epsilon / 100 < rounded[of_input_or_rows] < epsilon


@pytest.mark.parametrize("scale", [1e-7, 1.0, 1e5])
def test_small_factors_keep_their_bits_in_float16(scale: float) -> None:
    """A mean over a large batch makes factors of 1e-9, where float16 ends at 6e-8."""
    given = arguments("shared", sizes=(20, 1, 40, 60, 16), real=torch.float32, storage=torch.float16)
    given[0] = given[0].half()  # pyright: ignore[reportOptionalMemberAccess]
    given[7] = scale * (torch.rand(20) + 0.5)
    options = {"softmax": True, "remove_hits": True, "temperature": 0.1, "cosine": False, "gradients": True}
    found, exact = flash_pass.flash_pass(PassInputs(*given, **options)), exactly(given, **options)  # pyright: ignore[reportArgumentType]
    assert max(relative(*parts) for parts in zip(found, exact, strict=True)) < 5e-6
    given[7] = torch.zeros(20)
    assert not flash_pass.flash_pass(PassInputs(*given, **options)).row_gradient.any()  # pyright: ignore[reportArgumentType]


class Largest(TorchDispatchMode):
    """The bytes of the largest tensor that is made."""

    size = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if isinstance(made, Tensor):
            self.size = max(self.size, made.numel() * made.itemsize)
        return made


def test_no_matrix_of_logits_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logq.kernels.triton.flash_pass.multiprocessors", lambda _: 0)
    sizes, half = (150, 1, 140, 170, 8), torch.bfloat16
    given = arguments("shared", sizes=sizes, real=torch.float32, storage=half, offsets="ids", excluded=False)
    given[0] = given[0].bfloat16()  # pyright: ignore[reportOptionalMemberAccess]
    options = {"softmax": True, "remove_hits": True, "temperature": 1.0, "cosine": False, "gradients": True}
    with Largest() as largest:
        shared_pass.shared_pass(PassInputs(*given, **options))  # pyright: ignore[reportArgumentType]
    assert largest.size <= 4 * 150 * 8


# ------------------------------------------------------------------------------------------------------- which kernels


def test_tensor_cores_are_taken_where_torch_allows_for_them(precision: Any) -> None:
    single, half, other, double = torch.float32, torch.bfloat16, torch.float16, torch.float64
    assert not runs_on_tensor_cores(single, single, 64)
    assert runs_on_tensor_cores(half, half, 1024)
    assert not runs_on_tensor_cores(half, half, 1025)
    assert not runs_on_tensor_cores(half, other, 64), "their products are not exact in either of the two"
    assert not runs_on_tensor_cores(half, single, 64)
    precision("high")
    for pair in ((single, single), (half, single), (single, half), (half, other)):
        assert runs_on_tensor_cores(*pair, 64)
    assert not runs_on_tensor_cores(double, double, 64)


def test_older_gpus_are_left_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    half = torch.bfloat16
    monkeypatch.setattr("logq.kernels.triton.flash_pass.least_capability", lambda: 75)
    assert not runs_on_tensor_cores(half, half, 64)
    monkeypatch.setattr("logq.kernels.triton.flash_pass.least_capability", lambda: 80)
    assert runs_on_tensor_cores(half, half, 64)


def test_the_newer_setting_of_torch_is_read_too(precision: Any) -> None:
    matmul: Any = torch.backends.cuda.matmul
    if not hasattr(matmul, "fp32_precision"):
        pytest.skip("torch has one setting")
    matmul.fp32_precision = "tf32"
    try:
        assert runs_on_tensor_cores(torch.float32, torch.float32, 64)
        matmul.fp32_precision = "ieee"
        assert not runs_on_tensor_cores(torch.float32, torch.float32, 64)
    finally:
        matmul.fp32_precision = "ieee"


def test_a_short_loop_and_a_full_device_are_not_split() -> None:
    assert splits_of(programs=8, steps=100, device=torch.device("cpu")) == 1
    assert splits_of(programs=2, steps=100, device=torch.device("cpu")) == 4
    assert splits_of(programs=2, steps=3, device=torch.device("cpu")) == 3


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("dim", [1, 64, 100, 128, 200, 256, 500, 1024])
def test_tiles_are_what_tensor_cores_take(dim: int, narrow: bool) -> None:
    for kernel in ("sample", "rows"):
        for capability in (80, 90):
            rows, classes, width, *_ = tiles_of(kernel, dim, narrow=narrow, capability=capability)
            assert min(rows, classes, width) >= 16
            assert width <= 256
            assert (64 if kernel == "sample" else 0) <= rows


# ------------------------------------------------------------------------------------------------------- all classes


@pytest.mark.parametrize("softmax", [False, True])
@pytest.mark.parametrize("storage", [*STORAGE, torch.float64, "TF32"], ids=str)
def test_all_classes(storage: Any, softmax: bool, precision: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the pass of the CPU in float64, a class named twice by a row and rows without a class included."""
    monkeypatch.setattr("logq.kernels.triton.shared_pass.chunk_logits", lambda _: 200)  # several tiles
    if storage == "TF32":
        precision("high")
    dtype = torch.float32 if storage == "TF32" else storage
    worst = 1e-12 if dtype is torch.float64 else WORST[dtype]
    weight, x, bias = torch.randn(75, 20).to(dtype), torch.randn(21, 20).to(dtype), torch.randn(75).to(dtype)
    targets = torch.randint(75, (21, 1 if softmax else 3))
    targets[3], targets[5, -1], targets[0, -1] = -100, -100, targets[0, 0]
    row_scale = torch.rand(21, dtype=torch.promote_types(dtype, torch.float32))
    for of_bias, needs in ((bias, (True, True, True)), (None, (True, True, False)), (bias, (True, False, False))):
        options: dict[str, Any] = {"softmax": softmax, "temperature": 0.7, "needs": needs}
        found = shared_pass.full_pass(FullPassInputs(x, weight, of_bias, targets, row_scale, **options))
        wide = None if of_bias is None else of_bias.double()
        exact = kernels.backend("cpp").full_pass(  # pyright: ignore[reportAttributeAccessIssue]
            FullPassInputs(x.double(), weight.double(), wide, targets, row_scale.double(), **options)
        )
        assert relative(found.losses, exact.losses) < worst
        assert relative(found.input_gradient, exact.input_gradient) < worst
        if needs[1]:
            assert found.row_gradient.dtype is dtype
            rounded = exact.row_gradient.to(dtype).double()
            assert relative(found.row_gradient, rounded) < (worst if dtype.itemsize > 2 else torch.finfo(dtype).eps)
        else:
            assert not found.row_gradient.numel()
        if needs[2]:
            assert relative(found.factors, exact.factors) < worst


# ---------------------------------------------------------------------------------------------------- as a whole


@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize("per_row", [False, True])
@pytest.mark.parametrize("name", ["nce", "sampled_softmax"])
@pytest.mark.parametrize("storage", HALF, ids=str)
def test_a_step_in_half_precision(
    storage: torch.dtype, name: str, per_row: bool, reduction: str, interpreted: None
) -> None:
    """Loss and gradients are those of float64, rounded once to the type of what they belong to."""
    start, inputs = torch.randn(40, 6).to(storage), torch.randn(5, 6).to(storage)
    candidates = LogUniform(40, 7, per_row=per_row, seed=1).draw(torch.tensor([3, 0, 39, -100, 3]))
    upstream, row_weight = torch.rand(5), torch.rand(5)
    results: list[list[Tensor]] = []
    for backend, real in (("interpreted", storage), ("reference", torch.float64)):
        with kernels.use(backend):
            weight, x = start.to(real, copy=True).requires_grad_(), inputs.to(real, copy=True).requires_grad_()
            loss = sampled_loss(
                OBJECTIVES[name], x, weight, candidates, reduction=reduction, row_weight=row_weight
            )  # fmt: skip
            (loss @ upstream.to(loss) if reduction == "none" else loss).backward()
            assert x.grad is not None
            assert weight.grad is not None
            assert x.grad.dtype is weight.grad.dtype is real
            results.append([loss.detach(), x.grad, weight.grad])
    assert results[0][0].dtype is torch.float32
    for mine, exact, tolerance in zip(*results, [1e-5, *[2 * torch.finfo(storage).eps] * 2], strict=True):
        torch.testing.assert_close(mine.double(), exact, rtol=tolerance, atol=tolerance)


def test_all_classes_in_half_precision(interpreted: None) -> None:
    weight, x = torch.randn(40, 6).bfloat16().requires_grad_(), torch.randn(5, 6).bfloat16().requires_grad_()
    targets = torch.tensor([3, 0, 39, -100, 3])
    assert kernels.explain("full_softmax", dtype=torch.bfloat16).backends == {"full_loss": "interpreted"}
    loss = full_softmax_loss(x, weight, targets)
    loss.backward()
    wide = [part.detach().double().requires_grad_() for part in (x, weight)]
    expected = torch.nn.functional.cross_entropy(wide[0] @ wide[1].T, targets)
    expected.backward()
    torch.testing.assert_close(loss.double(), expected, rtol=1e-6, atol=1e-6)
    for mine, exact in zip((x, weight), wide, strict=True):
        assert mine.grad is not None
        torch.testing.assert_close(mine.grad.double(), exact.grad, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16])
def test_a_table_that_lies_otherwise_in_memory(stored: torch.dtype, interpreted: None) -> None:
    table = torch.randn(40, 6).to(stored)
    turned = table.t().contiguous().t()
    for per_row in (False, True):
        sampler = LogUniform(40, 7, per_row=per_row, seed=1)
        candidates = sampler.draw(torch.tensor([3, 0]))
        x = torch.randn(2, 6).to(stored)
        found = [sampled_loss("nce", x, weight, candidates, remove_hits=True) for weight in (table, turned)]
        torch.testing.assert_close(*found)


def test_an_update_inside_of_backward_in_half_precision(interpreted: None) -> None:
    tables: list[Tensor] = []
    start, inputs, targets = torch.randn(40, 6), torch.randn(5, 6), torch.tensor([3, 0, 39, -100, 3])
    for backend, dtype in (("interpreted", torch.bfloat16), ("cpp", torch.float64)):
        with kernels.use(backend):
            weight = torch.nn.Parameter(start.bfloat16().to(dtype))
            optimizer = optim.Adagrad([weight], lr=0.1, in_backward=True)
            x = inputs.bfloat16().to(dtype).requires_grad_()
            sampled_loss("sampled_softmax", x, weight, LogUniform(40, 7, seed=1).draw(targets)).backward()
            optimizer.step()
            tables.append(weight.detach().double())
    torch.testing.assert_close(tables[0], tables[1], rtol=2**-7, atol=2**-9)
