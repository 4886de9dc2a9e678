"""Options that are tensors, steps that are compiled, and updates in backward where processes train together."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from logq import optim
from logq.nn import SampledSoftmaxLoss
from logq.optim import row_optimizer
from logq.samplers import Unigram

MAKE: dict[str, Callable[..., optim.RowOptimizer]] = {
    "sgd": optim.SGD,
    "adagrad": optim.Adagrad,
    "rowwise": optim.RowWiseAdagrad,
    "adam": optim.LazyAdam,
}
every_optimizer = pytest.mark.parametrize("name", MAKE)


def loss_module(*, sparse: bool) -> SampledSoftmaxLoss:
    torch.manual_seed(0)
    return SampledSoftmaxLoss(4, 20, Unigram(range(1, 21), 5, seed=1), sparse=sparse)


def backward(module: nn.Module, step: int) -> None:
    module.zero_grad()
    module(torch.ones(3, 4) * step, torch.tensor([1, 2, 19])).backward()


def trained(module: nn.Module, step: Callable[[], None], steps: int = 4) -> torch.Tensor:
    for number in range(steps):
        backward(module, number)
        step()
    return torch.cat([parameter.detach().flatten() for parameter in module.parameters()])


@every_optimizer
def test_numbers_that_are_tensors_are_read_at_each_step(name: str) -> None:
    options = {"sgd": {}, "adam": {"betas": (torch.tensor(0.9), torch.tensor(0.999)), "eps": torch.tensor(1e-8)}}
    one, other = loss_module(sparse=True), loss_module(sparse=True)
    rate = torch.tensor(0.1, dtype=torch.float64)
    by_tensor = MAKE[name](one.parameters(), lr=rate, **options.get(name, {}))
    by_number = MAKE[name](other.parameters(), lr=0.1, **({"eps": 1e-8} if name == "adam" else {}))
    assert by_tensor.param_groups[0]["lr"] is rate
    schedulers = [torch.optim.lr_scheduler.ExponentialLR(each, 0.5) for each in (by_tensor, by_number)]
    for _ in range(2):
        results = trained(one, by_tensor.step, 2), trained(other, by_number.step, 2)
        # The betas above are floats of single precision.
        torch.testing.assert_close(*results, rtol=1e-6, atol=1e-7)
        for scheduler in schedulers:
            scheduler.step()
    assert rate.item() == pytest.approx(0.025)


@every_optimizer
def test_a_tensor_as_rate_updates_in_backward_too(name: str) -> None:
    one, other = loss_module(sparse=True), loss_module(sparse=True)
    rates = torch.tensor(0.1, dtype=torch.float64), 0.1
    first, second = (
        MAKE[name](module.parameters(), lr=rate, in_backward=True)
        for module, rate in zip((one, other), rates, strict=True)
    )
    assert torch.equal(trained(one, first.step), trained(other, second.step))


@pytest.mark.parametrize("sparse", [False, True])
@every_optimizer
def test_a_compiled_step_is_the_step(name: str, sparse: bool) -> None:
    results = []
    for compiled in (False, True):
        torch._dynamo.reset()
        module = loss_module(sparse=sparse)
        optimizer = MAKE[name](module.parameters(), lr=0.1)
        step = torch.compile(optimizer.step, backend="eager") if compiled else optimizer.step
        results.append(trained(module, step))
    torch._dynamo.reset()
    assert torch.equal(*results)


@every_optimizer
def test_updates_in_backward_are_refused_where_processes_train_together(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = loss_module(sparse=True)
    before = MAKE[name](module.parameters(), lr=0.1, in_backward=True)  # before the process group is there
    monkeypatch.setattr(row_optimizer, "world_size", lambda: 2)
    message = r"^in_backward: expected False where processes train together.*got True in a world of 2 processes.*sparse"
    untouched = module.weight.detach().clone()
    with pytest.raises(ValueError, match=message):
        backward(module, 1)
    assert torch.equal(module.weight, untouched)
    with pytest.raises(ValueError, match=message):
        MAKE[name](module.parameters(), in_backward=True)
    with pytest.raises(ValueError, match=message):
        MAKE[name]([{"params": module.parameters(), "in_backward": True}])
    before.param_groups[0]["in_backward"] = False
    backward(module, 1)
    before.step()
    assert not torch.equal(module.weight, untouched)
