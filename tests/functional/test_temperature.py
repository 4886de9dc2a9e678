"""A temperature that is a tensor: its gradient, in functions and modules, and what is said of tensors elsewhere."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from cases import FUNCTIONS, MODULES, SAMPLERS, call
from logq.functional import sampled_softmax_loss
from logq.samplers import LogUniform

C, D = 12, 3
TARGETS = torch.tensor([3, 0, 11])


def tensors() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    input, weight, bias = (torch.randn(*shape, generator=generator).double() for shape in ((3, D), (C, D), (C,)))
    return input, weight, bias


@pytest.mark.parametrize("cosine", [False, True])
@pytest.mark.parametrize("sampler", ["unigram", "unigram-per_row"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_gradient_of_a_temperature(name: str, sampler: str, cosine: bool) -> None:
    input, weight, bias = tensors()
    candidates = SAMPLERS[sampler](C, torch.float64, 3).draw(TARGETS)

    def loss(temperature: Tensor | float) -> Tensor:
        return call(name, input, weight, candidates, bias=bias, temperature=temperature, cosine=cosine)

    temperature = nn.Parameter(torch.tensor(0.7, dtype=torch.float64))
    torch.testing.assert_close(loss(temperature), loss(0.7), rtol=1e-12, atol=0)
    assert torch.autograd.gradcheck(loss, temperature)


@pytest.mark.parametrize("name", MODULES)
def test_a_parameter_is_learned_with_the_module(name: str) -> None:
    temperature = nn.Parameter(torch.tensor([0.7], dtype=torch.float64))
    module = MODULES[name](D, C, dtype=torch.float64, temperature=temperature)
    assert "temperature" in dict(module.named_parameters())
    assert "temperature=a tensor" in repr(module)
    twin = MODULES[name](D, C, dtype=torch.float64, temperature=0.7)
    twin.load_state_dict({key: value for key, value in module.state_dict().items() if key != "temperature"})
    input, _, _ = tensors()
    for method in ("forward", "log_prob"):
        found, expected = (getattr(each, method)(input, TARGETS) for each in (module, twin))
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
    module(input, TARGETS).backward()
    assert float(temperature.grad) != 0
    assert module.topk(input, 2).ids.shape == (3, 2)
    with torch.device("meta"):
        assert MODULES[name](D, C, temperature=nn.Parameter(torch.tensor(0.7))).temperature.device.type == "meta"


def test_a_tensor_without_a_gradient_is_a_number() -> None:
    input, weight, _ = tensors()
    candidates = LogUniform(C, 5, seed=1).draw(TARGETS)
    for temperature in (torch.tensor(0.5), torch.tensor([0.5])):
        loss = sampled_softmax_loss(input, weight, candidates, temperature=temperature)
        assert torch.equal(loss, sampled_softmax_loss(input, weight, candidates, temperature=0.5))
    with torch.no_grad():
        learned = sampled_softmax_loss(input, weight, candidates, temperature=nn.Parameter(torch.tensor(0.5)))
    assert torch.equal(learned, loss)


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: torch.ones(2), TypeError),
        (lambda: torch.tensor(1), TypeError),
        (lambda: torch.tensor(True), TypeError),
        (lambda: nn.Parameter(torch.tensor(-1.0)), ValueError),
        (lambda: nn.Parameter(torch.tensor(float("nan"))), ValueError),
        (lambda: torch.tensor(0.0), ValueError),
    ],
)
def test_temperatures_that_are_none(make: Callable[[], Tensor], error: type[Exception]) -> None:
    input, weight, _ = tensors()
    candidates = LogUniform(C, 5, seed=1).draw(TARGETS)
    with pytest.raises(error, match=r"^temperature: expected a finite number >= 1e-30, got"):
        sampled_softmax_loss(input, weight, candidates, temperature=make())


@pytest.mark.parametrize("field", ["ids", "log_expected_count", "targets", "true_log_expected_count", "excluded"])
def test_candidates_on_another_device_are_told(field: str) -> None:
    input, weight, _ = tensors()
    candidates = SAMPLERS["in_batch-counts"](C, torch.float64, 3).draw(TARGETS)
    elsewhere = candidates._replace(**{field: getattr(candidates, field).to("meta")})
    with pytest.raises(ValueError, match=rf"^candidates.{field}: expected a tensor on cpu, where input is, got meta"):
        sampled_softmax_loss(input, weight, elsewhere)


def test_targets_on_another_device_are_told() -> None:
    input, weight, _ = tensors()
    with pytest.raises(ValueError, match=r"^targets: expected a tensor on cpu, where input is, got meta"):
        call(
            "full_softmax_loss",
            input,
            weight,
            LogUniform(C, 5, seed=1).draw(TARGETS)._replace(targets=TARGETS.to("meta")),
        )
