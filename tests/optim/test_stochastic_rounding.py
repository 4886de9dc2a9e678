"""Tables in half precision that are rounded up or down at random: exact in the mean, and the same wherever they are."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from logq import kernels, optim
from logq.functional import sampled_softmax_loss
from logq.kernels import fallback, reference_rows
from logq.kernels.reference_rows import rounded
from logq.samplers import Uniform

MAKE: dict[str, Callable[..., optim.RowOptimizer]] = {
    "sgd": optim.SGD,
    "adagrad": optim.Adagrad,
    "rowwise": optim.RowWiseAdagrad,
    "adam": optim.LazyAdam,
}
HALF = [torch.bfloat16, torch.float16]

# Normal numbers, powers of two, subnormal ones of float16 and of bfloat16, the largest, and what is no number.
VALUES = [1.2345678, -1.2345678, 1.0, -0.75, 0.0, 3e-3, 6.1e-5, -3.1e-6, 2.0**-24, 60000.0, 2.0**-14, 5e-39]


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("dtype", HALF)
def test_the_mean_over_all_random_bits_is_the_number(
    dtype: torch.dtype, value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exactly, over all bits that are looked at; of tiny numbers in float16, which have more, over the first 16."""
    if dtype == torch.float16 and value == 5e-39:
        return  # which goes up with a probability of 2^-103
    every = torch.arange(1 << 16)
    monkeypatch.setattr(reference_rows, "random_bits", lambda seed, positions: positions << 48)
    number = torch.tensor(value)
    if dtype == torch.float16 and number.abs() < 2.0**-14:
        number = (number * 2.0**40).round() / 2.0**40  # a share of 2^-16 is that of 16 bits
    found = rounded(number.expand(1 << 16), dtype, 0, every)
    assert found.dtype == dtype
    assert found.double().mean().item() == number.double().item()
    assert len(found.unique()) <= 2


@pytest.mark.parametrize("dtype", HALF)
def test_numbers_that_need_no_rounding_and_those_that_are_none(dtype: torch.dtype) -> None:
    stored = torch.cat([torch.randn(1000), torch.tensor([0.0, -0.0, torch.inf, -torch.inf])]).to(dtype)
    found = rounded(stored.float(), dtype, 5, torch.arange(len(stored)))
    assert torch.equal(found.view(torch.int16), stored.view(torch.int16))
    assert rounded(torch.full((100,), torch.nan), dtype, 5, torch.arange(100)).isnan().all()


def test_the_bits_of_a_position_have_nothing_to_do_with_others(seed: int) -> None:
    """Each of 64 counts of 2,500 is within 6 standard deviations: red in 1 of 8 million runs over all seeds."""
    ups = torch.stack([rounded(torch.full((2500,), 1 + 0.3 / 128), torch.bfloat16, seed + step, torch.arange(2500)) > 1
                       for step in range(64)])  # fmt: skip
    assert ((ups.sum(dim=1) - 750).abs() < 6 * (2500 * 0.3 * 0.7) ** 0.5).all()
    together = (ups[1:] & ups[:-1]).sum(dim=1)  # of two updates, 9 in 100
    assert ((together - 225).abs() < 6 * (2500 * 0.09 * 0.91) ** 0.5).all()


def updated(name: str, dtype: torch.dtype, steps: int, *, ids: Tensor | None = None, **options: Any) -> Tensor:
    """A table of ones after some updates by small gradients."""
    table = nn.Parameter(torch.ones(64, 8, dtype=dtype))
    optimizer = MAKE[name]([table], **options)
    for _ in range(steps):
        table.grad = torch.full_like(table, 0.5)
        if ids is not None:
            table.grad = torch.sparse_coo_tensor(ids[None], table.grad[ids], table.shape, check_invariants=True)
        optimizer.step()
    return table.detach()


@pytest.mark.filterwarnings("ignore::logq.kernels.FallbackWarning")
@pytest.mark.parametrize("dtype", HALF)
def test_small_steps_are_not_lost(dtype: torch.dtype) -> None:
    """200 steps of 2^-13, where ones are 2^-8 or 2^-11 away from what lies below."""
    lost = updated("sgd", dtype, 200, lr=2.0**-12)
    assert (lost == 1).all()
    mean = updated("sgd", dtype, 200, lr=2.0**-12, stochastic_rounding=True).double().mean().item()
    # 512 sums of 200 steps, each with a variance below 2^-13 2^-8: 6 standard deviations, 1 in 500 million.
    assert abs(mean - (1 - 200 * 2.0**-13)) < 6 * (200 * 2.0**-21 / 512) ** 0.5


@pytest.mark.filterwarnings("ignore::logq.kernels.FallbackWarning")
@pytest.mark.parametrize("name", MAKE)
def test_every_optimizer_rounds_by_its_seed(name: str) -> None:
    common: dict[str, Any] = {"lr": 1e-3, "stochastic_rounding": True}
    found = updated(name, torch.bfloat16, 3, **common)
    assert torch.equal(found, updated(name, torch.bfloat16, 3, **common))
    assert not torch.equal(found, updated(name, torch.bfloat16, 3, seed=1, **common))
    assert not torch.equal(found, updated(name, torch.bfloat16, 3, lr=1e-3))
    ids = torch.tensor([3, 40, 7])
    assert torch.equal(updated(name, torch.bfloat16, 3, ids=ids, **common)[ids], found[ids]), "by place in the table"
    wide = updated(name, torch.float32, 3, **common)
    assert torch.equal(wide, updated(name, torch.float32, 3, lr=1e-3)), "nothing is rounded"
    torch.testing.assert_close(found.float().mean(), wide.mean(), rtol=1e-3, atol=0)


@pytest.mark.filterwarnings("ignore::logq.kernels.FallbackWarning")
def test_two_tables_and_two_updates_are_rounded_by_other_bits() -> None:
    tables = [nn.Parameter(torch.ones(64, 8, dtype=torch.bfloat16)) for _ in range(2)]
    optimizer = optim.SGD(tables, lr=1e-3, stochastic_rounding=True)
    seen: list[Tensor] = []
    for _ in range(2):
        for table in tables:
            table.data.fill_(1.0)
            table.grad = torch.ones_like(table)
        optimizer.step()
        seen += [table.detach().clone() for table in tables]
    assert len({tuple(one.flatten().tolist()) for one in seen}) == 4


@pytest.mark.filterwarnings("ignore::logq.kernels.FallbackWarning")
@pytest.mark.parametrize("name", MAKE)
def test_a_loaded_state_goes_on_with_the_same_bits(name: str) -> None:
    whole = updated(name, torch.bfloat16, 4, lr=1e-3, stochastic_rounding=True)
    first = nn.Parameter(torch.ones(64, 8, dtype=torch.bfloat16))
    optimizer = MAKE[name]([first], lr=1e-3, stochastic_rounding=True)
    for step in range(4):
        if step == 2:
            state, first = optimizer.state_dict(), nn.Parameter(first.detach().clone())
            optimizer = MAKE[name]([first], lr=5.0)
            optimizer.load_state_dict(state)
        first.grad = torch.full_like(first, 0.5)
        optimizer.step()
    assert torch.equal(first, whole)


def test_states_from_before_the_option_are_loaded() -> None:
    table = nn.Parameter(torch.ones(3, 2, dtype=torch.bfloat16))
    optimizer = optim.Adagrad([table], lr=0.1)
    state = optimizer.state_dict()
    for name in ("stochastic_rounding", "seed"):
        del state["param_groups"][0][name]
    other = optim.Adagrad([table], lr=0.1, stochastic_rounding=True, seed=3)
    other.load_state_dict(state)
    assert (other.param_groups[0]["stochastic_rounding"], other.param_groups[0]["seed"]) == (True, 3)


@pytest.mark.filterwarnings("ignore::logq.kernels.FallbackWarning")
@pytest.mark.parametrize("cosine", [False, True])
@pytest.mark.parametrize("name", MAKE)
def test_inside_of_backward_too(name: str, cosine: bool) -> None:
    """By compiled code, which leaves the rounding to the reference, and by the reference alone."""
    start, inputs, targets = torch.randn(20, 4).bfloat16(), torch.randn(6, 4), torch.randint(20, (6,))
    tables: list[Tensor] = []
    for backend in ("cpp", "reference"):
        table, bias = nn.Parameter(start.clone()), nn.Parameter(torch.zeros(20, dtype=torch.bfloat16))
        options: dict[str, Any] = {"lr": 1e-2, "in_backward": True, "stochastic_rounding": True}
        optimizer = MAKE[name]([table, bias], **options)
        with kernels.use(backend):
            candidates = Uniform(20, 5, seed=1, per_row=True).draw(targets)
            sampled_softmax_loss(inputs, table, candidates, bias=bias, cosine=cosine).backward()
        optimizer.step()
        assert table.grad is None
        tables += [table.detach(), bias.detach()]
    for one, other in zip(tables[:2], tables[2:], strict=True):
        # The sums differ in their last bits: here and there a number goes the other way.
        assert (one != other).float().mean() < 0.05
        torch.testing.assert_close(one, other, rtol=1e-2, atol=1e-2)


def test_the_compiled_backend_says_that_it_does_not_round_at_random() -> None:
    fallback.forget_reports()
    with pytest.warns(kernels.FallbackWarning, match="rounds to the nearest, not at random"):
        updated("sgd", torch.bfloat16, 1, lr=0.1, stochastic_rounding=True)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"stochastic_rounding": 1}, TypeError, "stochastic_rounding: expected"),
        ({"seed": 1.5}, TypeError, "seed: expected an integer"),
        ({"seed": -1}, ValueError, "seed: expected an integer >= 0"),
    ],
)
def test_bad_options(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        optim.SGD([nn.Parameter(torch.ones(2, 2))], **options)
