"""Draws by Triton's kernels, in its interpreter: those of the reference class for class, with as many tries."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

pytest.importorskip("triton", reason="Triton is there for Linux alone")

from logq import kernels
from logq.candidates import IGNORED
from logq.kernels import reference_draws
from logq.kernels.distributions import (
    AliasDistribution,
    Distribution,
    LearnedDistribution,
    LogUniformDistribution,
    UniformDistribution,
)
from logq.kernels.expected_counts import EqualCounts, LearnedCounts, LogCounts, LogUniformCounts, TableCounts
from logq.kernels.triton import TritonBackend
from logq.kernels.triton.launching import launch
from logq.kernels.triton.triton_distinct import counted_distinct_draws, distinct_draws, log_inclusion, places_of
from logq.kernels.triton.triton_draws import counted_draws, draws, next_seed
from logq.samplers import LearnedUnigram, LogUniform, Proposal, Uniform, Unigram
from logq.samplers.alias_table import AliasTable

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="kernels are compiled for the GPU that is here")


def table(num_classes: int) -> AliasDistribution:
    return AliasTable(torch.rand(num_classes, dtype=torch.float64) + 0.01).distribution


def learned(num_classes: int, number: int, counted: int | None = None) -> LearnedDistribution:
    known = None if counted is None else torch.tensor(counted)
    return LearnedDistribution(table(num_classes), torch.randint(num_classes, (number,)), 40, known)


DISTRIBUTIONS: dict[str, Any] = {
    "uniform": UniformDistribution,
    "log-uniform": LogUniformDistribution,
    "alias": table,
    "learned": lambda c: learned(c, 13),
    "learned, some of the list": lambda c: learned(c, 13, 5),
    "learned, no list": lambda c: learned(c, 0),
}


COUNTS: dict[str, Callable[[int, torch.dtype], LogCounts]] = {
    "equal": lambda c, dtype: EqualCounts(-0.7, dtype),
    "log-uniform": lambda c, dtype: LogUniformCounts(0.4, dtype),
    "table": lambda c, dtype: TableCounts(torch.randn(c, dtype=dtype), 0.4),
    "learned": lambda c, dtype: LearnedCounts(torch.randint(1, 9, (c,)), 4 * c, torch.tensor(c), dtype, 0.4),
}


@pytest.mark.parametrize("seed", [1, -5, (1 << 62) + 7])
@pytest.mark.parametrize("num_classes", [1, 2, 7, 1000])
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_the_classes_of_a_cpu_are_drawn(name: str, num_classes: int, seed: int) -> None:
    distribution: Distribution = DISTRIBUTIONS[name](num_classes)
    for shape in ((300,), (3, 7), (0,)):
        found = draws(distribution, torch.tensor(seed), shape)
        assert torch.equal(found, reference_draws.draws(distribution, torch.tensor(seed), shape))


@pytest.mark.parametrize("num_classes", [(1 << 31) + 5, (1 << 62) - 1])
def test_more_classes_than_32_bits_count(num_classes: int) -> None:
    seed, uniform, falling = torch.tensor(3), UniformDistribution(num_classes), LogUniformDistribution(num_classes)
    assert torch.equal(draws(uniform, seed, (300,)), reference_draws.draws(uniform, seed, (300,)))
    found, expected = draws(falling, seed, (300,)), reference_draws.draws(falling, seed, (300,))
    torch.testing.assert_close(found.double(), expected.double(), rtol=1e-14, atol=0)  # exp, to its last bit but two


@pytest.mark.parametrize("key", [0, 7, (1 << 62) + 1])
def test_a_stream_of_seeds_moves_on(key: int) -> None:
    found, expected = torch.tensor((1 << 62) + 5), torch.tensor((1 << 62) + 5)
    for _ in range(4):
        assert torch.equal(next_seed(found, key), reference_draws.next_seed(expected, key))
        assert torch.equal(found, expected)


def test_a_distribution_of_ones_own_is_drawn_by_the_reference() -> None:
    class Zero(Distribution):
        def at(self, seed: Tensor, positions: Tensor) -> Tensor:
            return torch.zeros_like(seed + positions)

    with pytest.warns(kernels.FallbackWarning, match="knows no distribution of class Zero"):
        assert draws(Zero(), torch.tensor(1), (3,)).tolist() == [0, 0, 0]


# ------------------------------------------------------------------------------------------------------ distinct draws


@pytest.mark.parametrize(("num_rows", "num_sampled"), [(0, 3), (1, 1), (3, 5), (2, 70), (1, 95)])
@pytest.mark.parametrize("name", [name for name in DISTRIBUTIONS if name != "learned, no list"])
def test_distinct_classes_and_their_tries_are_those_of_the_reference(
    name: str, num_rows: int, num_sampled: int
) -> None:
    """Up to nearly all classes, which takes many more draws than there are."""
    given = DISTRIBUTIONS[name](100), torch.tensor(7), num_rows, num_sampled
    for mine, other in zip(distinct_draws(*given), reference_draws.distinct_draws(*given), strict=True):
        assert torch.equal(mine, other)


@pytest.mark.parametrize("num_rows", [1, 2])
@pytest.mark.parametrize("num_classes", [1500, 1 << 40])
def test_several_programs_fill_the_table_of_a_row(
    num_rows: int, num_classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, tuple[int, ...]]] = []

    def note(kernel: Any, grid: tuple[int, ...], *arguments: Any, **options: Any) -> None:
        seen.append((kernel.fn.__name__, grid))
        launch(kernel, grid, *arguments, **options)

    monkeypatch.setattr("logq.kernels.triton.triton_distinct.launch", note)
    given = UniformDistribution(num_classes), torch.tensor(7), num_rows, 1000
    for mine, other in zip(distinct_draws(*given), reference_draws.distinct_draws(*given), strict=True):
        assert torch.equal(mine, other)
    assert seen == [("fill_kernel", (num_rows, 4)), ("number_kernel", (num_rows,))]


def counted(*given: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What the kernels draw and count, which nobody else does for them."""
    found = counted_distinct_draws(*given)
    assert found is not None
    return found


def test_many_rows_are_drawn_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logq.kernels.triton.triton_distinct.SCRATCH", 1000)
    monkeypatch.setattr("logq.kernels.triton.triton_distinct.PROGRAMS", 1)
    targets, log_q = torch.randint(90, (5, 2)), LogUniformCounts(-1.5, torch.float64)
    given = LogUniformDistribution(90), torch.tensor(2), 5, 6, targets, log_q
    for mine, other in zip(counted(*given), reference_draws.counted_distinct_draws(*given), strict=True):
        torch.testing.assert_close(mine, other)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("counts", COUNTS)
@pytest.mark.parametrize(
    "shape", [(1, 5, (9,)), (1, 300, (4, 3)), (4, 6, (4,)), (4, 6, (4, 3)), (4, 6, (4, 0)), (0, 2, (0,))]
)
def test_expected_counts_come_with_distinct_draws(
    shape: tuple[int, int, tuple[int, ...]], counts: str, dtype: torch.dtype
) -> None:
    num_rows, num_sampled, of_targets = shape
    log_q = COUNTS[counts](400, dtype)
    if counts != "learned":
        log_q = replace(log_q, **{"value" if counts == "equal" else "shift": -5.0})  # pyright: ignore[reportArgumentType]
    targets = torch.randint(400, of_targets)
    targets = targets.masked_fill(torch.rand(of_targets) < 0.3, IGNORED)
    given = LogUniformDistribution(400), torch.tensor(5), num_rows, num_sampled, targets, log_q
    eps = 8 * torch.finfo(dtype).eps
    for mine, other in zip(counted(*given), reference_draws.counted_distinct_draws(*given), strict=True):
        torch.testing.assert_close(mine, other, rtol=eps, atol=eps)


def test_a_target_that_was_drawn_counts_as_in_the_sample() -> None:
    """Here too, where it is drawn again, and where it was seen after the sample was full."""
    num_sampled, log_q = 20, LogUniformCounts(-2.0, torch.float64)
    given = LogUniformDistribution(40), torch.tensor(5), 1, num_sampled
    found = counted(*given, torch.arange(40), log_q)
    assert torch.equal(found[3][found[0][0]], found[1][0])


def test_places(monkeypatch: pytest.MonkeyPatch) -> None:
    ids, classes = torch.stack([torch.randperm(300)[:100] for _ in range(3)]), torch.randint(300, (3, 77))
    expected = reference_draws.places_of(ids, classes)
    assert torch.equal(places_of(ids, classes), expected)
    assert places_of(ids, classes[:, :0]).shape == (3, 0)
    grids: list[tuple[int, ...]] = []
    monkeypatch.setattr(
        "logq.kernels.triton.triton_distinct.launch", lambda _kernel, grid, *_, **__: grids.append(grid)
    )
    places_of(torch.zeros(1, 1, dtype=torch.int64), torch.zeros(1, 1 << 23, dtype=torch.int64))
    assert all(size <= 65_535 for size in grids[0][1:]), "a GPU takes no more in the second dimension"
    monkeypatch.setattr("logq.kernels.triton.triton_distinct.LOOKED_AT", 10)
    monkeypatch.setattr("logq.kernels.triton.triton_distinct.launch", None)
    assert torch.equal(places_of(ids, classes), expected), "by a sort, where there would be too many comparisons"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_inclusion(dtype: torch.dtype) -> None:
    ends = torch.tensor([0.0, -1e-17, -1e-9, -30.0, -87.0 if dtype == torch.float32 else -700.0, -torch.inf])
    log_p = torch.cat([-50 * torch.rand(400, dtype=torch.float64), ends.double()]).to(dtype)
    for tries in (torch.ones(406, dtype=torch.int64), torch.randint(1, 100_000, (406,))):
        found, expected = log_inclusion(log_p, tries), reference_draws.log_inclusion(log_p, tries)
        torch.testing.assert_close(found, expected, rtol=2 * torch.finfo(dtype).eps, atol=2 * torch.finfo(dtype).eps)
    assert log_inclusion(log_p[:0], tries[:0]).shape == (0,)


# ------------------------------------------------------------------------------------------------ log expected counts


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("counts", COUNTS)
@pytest.mark.parametrize("name", ["uniform", "log-uniform", "alias", "learned, some of the list"])
def test_log_expected_counts_come_with_the_draws(name: str, counts: str, dtype: torch.dtype) -> None:
    distribution, log_counts, seed = DISTRIBUTIONS[name](500), COUNTS[counts](500, dtype), torch.tensor(5)
    targets = torch.randint(500, (9, 4)).masked_fill(torch.rand(9, 4) < 0.3, IGNORED)
    eps = 4 * torch.finfo(dtype).eps
    for shape, some in (((300,), targets[:, 0]), ((9, 5), targets), ((0,), targets), ((2,), targets[:0])):
        found = counted_draws(distribution, seed, shape, some, log_counts)
        expected = reference_draws.counted_draws(distribution, seed, shape, some, log_counts)
        for mine, other in zip(found, expected, strict=True):
            torch.testing.assert_close(mine, other, rtol=eps, atol=eps)
        assert found[2].is_contiguous()
        assert found[2].data_ptr() != some.data_ptr() or not some.numel()
    assert [part.numel() for part in counted_draws(distribution, seed, (0,), targets[:0], log_counts)] == [0] * 4


def test_log_expected_counts_of_more_classes_than_32_bits_count() -> None:
    num_classes = (1 << 62) - 1
    targets, log_counts = torch.tensor([0, 1 << 31, num_classes - 1]), LogUniformCounts(0.0, torch.float64)
    given = UniformDistribution(num_classes), torch.tensor(3), (0,), targets, log_counts
    found, expected = counted_draws(*given)[3], reference_draws.counted_draws(*given)[3]
    torch.testing.assert_close(found, expected, rtol=1e-15, atol=0)


PROPOSALS: dict[str, Callable[..., Proposal]] = {
    "uniform": lambda size=50, **how: Uniform(size, 6, **how),
    "log-uniform": lambda size=50, **how: LogUniform(size, 6, **how),
    "unigram": lambda size=50, **how: Unigram(range(1, size + 1), 6, **how),
    "learned unigram": lambda size=50, **how: LearnedUnigram(size, 6, **how),
}


@pytest.fixture
def launches(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names of kernels that are launched, which do nothing, and of torch's, less what asks for memory alone."""
    made: list[str] = []

    class Noted(TritonBackend):
        name = "noted"
        device_types = ("cpu",)

    def note(kernel: Any, *_: Any, **__: Any) -> None:
        made.append(kernel.fn.__name__)

    monkeypatch.setattr("logq.kernels.triton.triton_draws.launch", note)
    monkeypatch.setattr("logq.kernels.triton.triton_distinct.launch", note)
    monkeypatch.setattr("logq.samplers.learned_unigram.can_look_at", lambda _: False)
    kernels.register("noted", Noted())
    yield made
    kernels.unregister("noted")


class Ops(TorchDispatchMode):
    """Notes torch's kernels."""

    def __init__(self, made: list[str]) -> None:
        super().__init__()
        self.made = made

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name not in ("empty", "empty_like", "slice", "select", "detach"):
            self.made.append(name)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("per_row", [False, True])
@pytest.mark.parametrize("name", PROPOSALS)
def test_a_draw_is_one_launch(name: str, per_row: bool, launches: list[str]) -> None:
    """Beside the seed, which is drawn on the host."""
    sampler, targets = PROPOSALS[name](per_row=per_row, seed=1), torch.tensor([3, IGNORED])
    assert sampler._copies_targets  # pyright: ignore[reportPrivateUsage]
    with Ops(launches):
        sampler._counted(targets, None, sampler.generator, False)  # pyright: ignore[reportPrivateUsage]
    assert launches == ["random_", "draw_kernel"]


@pytest.mark.parametrize(("num_sampled", "per_row"), [(6, False), (6, True), (1000, False)])
@pytest.mark.parametrize("name", ["log-uniform", "unigram", "learned unigram"])
def test_a_distinct_draw_is_three_launches(name: str, num_sampled: int, per_row: bool, launches: list[str]) -> None:
    """Of which the first clears the table; a sample that few rows share has one more."""
    sampler = PROPOSALS[name](per_row=per_row, seed=1, replacement=False, size=4000).with_num_sampled(num_sampled)
    targets = torch.tensor([3, IGNORED])
    with Ops(launches):
        sampler._counted(targets, None, sampler.generator, False)  # pyright: ignore[reportPrivateUsage]
    fill = ["fill_kernel"] if num_sampled == 1000 else []
    assert launches == ["random_", "zeros", *fill, "number_kernel"]


@pytest.mark.parametrize("replacement", [False, True])
@pytest.mark.parametrize("per_row", [False, True])
@pytest.mark.parametrize("name", PROPOSALS)
def test_candidates_are_those_of_a_cpu(name: str, per_row: bool, replacement: bool, interpreted: None) -> None:
    targets = torch.tensor([[1, 5, 7], [IGNORED, 3, 49]])[:, ::2]
    mine, other = (PROPOSALS[name](per_row=per_row, replacement=replacement, seed=3) for _ in range(2))
    for _ in range(2):
        found = mine.draw(targets)
        with kernels.use("cpp"):
            expected = other.draw(targets)
        assert found.ids.tolist() == expected.ids.tolist()
        for one, two in zip(found, expected, strict=True):
            torch.testing.assert_close(one, two)


def test_a_sampler_with_probabilities_of_its_own_counts_by_them(interpreted: None) -> None:
    class Shifted(Uniform):
        def log_expected_count(self, ids: Tensor) -> Tensor:
            return super().log_expected_count(ids) + 1

    class Known(Shifted):
        def _log_counts(self, factor: int) -> EqualCounts:
            return EqualCounts(7.0, self.dtype)

    assert Shifted(10, 10).draw(torch.tensor([1])).true_log_expected_count.tolist() == [1.0]
    assert Known(10, 10).draw(torch.tensor([1])).true_log_expected_count.tolist() == [7.0]
