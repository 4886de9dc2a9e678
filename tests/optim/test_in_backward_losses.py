"""Tables that are updated inside of backward of losses: step by step the same as with stored gradients."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from logq import kernels, optim
from logq.functional import sampled_loss
from logq.nn import CandidateLoss
from logq.samplers import LogUniform

B, C, D = 6, 40, 4

MAKE: dict[str, Callable[..., optim.RowOptimizer]] = {
    "sgd": optim.SGD,
    "adagrad": optim.Adagrad,
    "rowwise": optim.RowWiseAdagrad,
    "adam": optim.LazyAdam,
}

# objective, true classes per row, samples per row of its own, options
CASES: list[tuple[str, int, bool, dict[str, Any]]] = [
    ("nce", 1, False, {}),
    ("nce", 3, True, {"temperature": 0.7}),
    ("negative_sampling", 2, False, {"bias": False}),
    ("sampled_logistic", 3, False, {"cosine": True, "temperature": 0.3}),
    ("sampled_softmax", 1, False, {"reduction": "sum"}),
    ("sampled_softmax", 1, True, {"cosine": True, "temperature": 0.2}),
    ("sampled_softmax", 1, False, {"reduction": "none"}),
    ("sampled_logistic", 2, True, {"reduction": "none", "cosine": True}),
]


@pytest.fixture(params=["cpp", "reference"], autouse=True)
def backend(request: Any) -> Iterator[str]:
    """Everything by compiled code, and in plain torch as on devices without any."""
    with kernels.use(request.param):
        yield request.param


class Model(nn.Module):
    """A layer, and a loss over its output."""

    def __init__(
        self, objective: str = "sampled_softmax", own: bool = False, weight: nn.Parameter | None = None, **options: Any
    ) -> None:
        super().__init__()
        sampler = LogUniform(C, 9, seed=3, per_row=own)
        self.layer = nn.Linear(D, D)
        self.loss = CandidateLoss(objective, D, C, sampler, sparse=True, weight=weight, **options)

    def forward(self, input: Tensor, targets: Tensor) -> Tensor:
        return self.loss(self.layer(input), targets)


def model(*arguments: Any, **options: Any) -> Model:
    torch.manual_seed(0)
    return Model(*arguments, **options).double()


def twins(one: nn.Module, **options: Any) -> list[tuple[Any, optim.RowOptimizer]]:
    """The same module twice, with an optimizer that stores gradients and with one that does not."""
    other = copy.deepcopy(one)
    name = options.pop("name", "adagrad")
    return [
        (each, MAKE[name](each.parameters(), lr=0.2, in_backward=in_backward, **options))
        for each, in_backward in ((one, False), (other, True))
    ]


def batch(step: int, num_true: int = 1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(step)
    targets = torch.randint(0, C, (B, num_true), generator=generator)
    targets[step % B] = -100
    targets[(step + 2) % B, -1] = -100
    return torch.randn(B, D, generator=generator).double(), targets[:, 0] if num_true == 1 else targets


def equal(one: nn.Module, other: nn.Module) -> None:
    for (name, a), b in zip(one.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("name", MAKE)
@pytest.mark.parametrize(("objective", "num_true", "own", "options"), CASES)
def test_the_same_as_with_stored_gradients(
    objective: str, num_true: int, own: bool, options: dict[str, Any], name: str
) -> None:
    stored, direct = twins(model(objective, own, **options), name=name, weight_decay=0.01)
    for step in range(5):
        for mine, optimizer in (stored, direct):
            optimizer.zero_grad()
            loss = mine(*batch(step, num_true))
            (loss * torch.linspace(0.5, 2, B).double()).sum().backward() if loss.dim() else (3 * loss).backward()
            has_gradient = mine.loss.weight.grad is not None
            assert has_gradient == (mine is stored[0])
            optimizer.step()
        equal(stored[0], direct[0])


def test_a_frozen_table_stays_and_its_biases_are_updated() -> None:
    mine = model()
    mine.loss.weight.requires_grad_(False)
    stored, direct = twins(mine)
    before = mine.loss.weight.clone()
    for one, optimizer in (stored, direct):
        one(*batch(0)).backward()
        optimizer.step()
        assert torch.equal(one.loss.weight, before)
    equal(stored[0], direct[0])


def test_without_gradients_nothing_is_updated() -> None:
    _, (mine, _) = twins(model())
    before = copy.deepcopy(mine)
    with torch.no_grad():
        mine(*batch(0))
    mine.eval()(*batch(1))
    equal(before, mine)


def test_what_autograd_is_asked_for_it_gives_and_no_update_is_made() -> None:
    (one, _), (mine, _) = twins(model())
    before = copy.deepcopy(mine)
    wanted = [mine.layer.weight, mine.loss.weight, mine.loss.bias]
    found = torch.autograd.grad(mine(*batch(0)), wanted)
    expected = torch.autograd.grad(one(*batch(0)), [one.layer.weight, one.loss.weight, one.loss.bias])
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a.to_dense(), b.to_dense())
    torch.autograd.grad(mine(*batch(1)), mine.layer.weight)
    mine(*batch(2)).backward(inputs=[mine.layer.weight])
    equal(before, mine)
    assert mine.loss.weight.grad is None
    mine(*batch(3)).backward(inputs=[mine.loss.weight])
    assert not torch.equal(mine.loss.weight, before.loss.weight)
    assert torch.equal(mine.loss.bias, before.loss.bias)


@pytest.mark.filterwarnings("ignore:Using backward\\(\\) with create_graph")
def test_a_backward_to_be_differentiated_again_stores_its_gradient() -> None:
    _, (mine, _) = twins(model())
    before = copy.deepcopy(mine)
    mine(*batch(0)).backward(create_graph=True)
    equal(before, mine)
    assert mine.loss.weight.grad is not None
    mine.zero_grad()


def test_each_backward_is_an_update() -> None:
    (one, optimizer), (mine, _) = twins(model(), name="sgd")
    loss = mine(*batch(0))
    with kernels.use("cpp"):  # of torch's own gather, biases must not change before a second backward
        other = one(*batch(0))
    for again in (True, False):
        loss.backward(retain_graph=again)
        one.zero_grad()
        other.backward(retain_graph=again, inputs=[one.loss.weight, one.loss.bias])
        optimizer.step()
    torch.testing.assert_close(mine.loss.weight, one.loss.weight)
    after = mine.loss.weight.clone()
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()
    assert torch.equal(mine.loss.weight, after)


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_a_table_in_two_losses(reduction: str, backend: str) -> None:
    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = Model("nce", reduction=reduction)
            self.second = Model(weight=self.first.loss.weight, reduction=reduction)

    torch.manual_seed(0)
    (stored, optimizer), (direct, _) = twins(Pair().double(), name="sgd")
    (stored.first(*batch(0)) + stored.second(*batch(1))).sum().backward()
    optimizer.step()
    total = (direct.first(*batch(0)) + direct.second(*batch(1))).sum()
    if reduction == "none" and backend == "cpp":
        # The second backward makes its pass again, and needs the table that the first has written to.
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            total.backward()
        return
    total.backward()
    for name in ("first.loss.weight", "first.loss.bias", "second.loss.bias"):
        torch.testing.assert_close(stored.get_parameter(name), direct.get_parameter(name))


@pytest.mark.parametrize("sparse", [False, True])
def test_a_table_that_is_the_embedding_of_the_input_too(sparse: bool) -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(C, D, sparse=sparse)
            self.loss = CandidateLoss(
                "sampled_softmax", D, C, LogUniform(C, 9, seed=3), weight=self.embedding.weight, sparse=sparse
            )

        def forward(self, words: Tensor, targets: Tensor) -> Tensor:
            return self.loss(self.embedding(words), targets)

    torch.manual_seed(0)
    (stored, of_stored), (direct, of_direct) = twins(Tied().double(), name="sgd")
    for step in range(3):
        words = torch.arange(step, step + B)
        for mine, optimizer in ((stored, of_stored), (direct, of_direct)):
            optimizer.zero_grad()
            mine(words, batch(step)[1]).backward()
            assert mine.embedding.weight.grad is not None
            optimizer.step()
        equal(stored, direct)


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpoints(reentrant: bool) -> None:
    stored, direct = twins(model())
    input, targets = batch(0)
    for mine, optimizer in (stored, direct):
        candidates = mine.loss.sampler.draw(targets)  # a checkpoint would draw twice

        def loss(input: Tensor, mine: Any = mine, candidates: Any = candidates) -> Tensor:
            return sampled_loss(
                "sampled_softmax", mine.layer(input), mine.loss.weight, candidates, bias=mine.loss.bias, sparse=True
            )

        checkpoint(loss, input.clone().requires_grad_(), use_reentrant=reentrant).backward()
        optimizer.step()
    equal(stored[0], direct[0])


@pytest.mark.filterwarnings("ignore:Anomaly Detection")
def test_hooks_and_anomaly_mode() -> None:
    stored, direct = twins(model())
    seen: list[Tensor | None] = []
    direct[0].loss.weight.register_hook(seen.append)
    for mine, optimizer in (stored, direct):
        with torch.autograd.detect_anomaly():
            mine(*batch(0)).backward()
        optimizer.step()
    assert seen == [None]
    equal(stored[0], direct[0])


@pytest.mark.filterwarnings("ignore::logq.kernels.FallbackWarning")
@pytest.mark.parametrize("replacement", [False, True])
@pytest.mark.parametrize("own", [False, True])
def test_torch_func_through_a_module_that_draws(own: bool, replacement: bool) -> None:
    torch.manual_seed(0)
    loss = CandidateLoss("nce", D, C, LogUniform(C, 9, seed=3, per_row=own, replacement=replacement)).double()
    other = copy.deepcopy(loss)
    optim.SGD(loss.parameters(), in_backward=True)
    input, targets = batch(0)

    def of(weight: Tensor) -> Tensor:
        return torch.func.functional_call(loss, {"weight": weight}, (input, targets))

    found = torch.func.grad(of)(loss.weight.detach())
    other(input, targets).backward()
    torch.testing.assert_close(found, other.weight.grad)


@pytest.mark.filterwarnings("ignore::logq.kernels.FallbackWarning")
@pytest.mark.parametrize("name", MAKE)
def test_a_loss_that_no_compiled_code_knows(name: str) -> None:
    """It runs on the reference whatever the backend, and stores no gradient either."""
    stored, direct = twins(model("sampled_softmax", label_smoothing=0.1), name=name, weight_decay=0.01)
    for step in range(3):
        for mine, optimizer in (stored, direct):
            optimizer.zero_grad()
            mine(*batch(step)).backward()
            assert (mine.loss.weight.grad is None) == (mine is direct[0])
            optimizer.step()
        equal(stored[0], direct[0])


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
@pytest.mark.parametrize("sparse", [False, True])
def test_under_torch_compile(sparse: bool) -> None:
    """The loss leaves the graph, which can hold no update."""
    torch._dynamo.reset()
    _, (direct, optimizer) = twins(model(), name="sgd")
    direct.loss.sparse = sparse
    other = copy.deepcopy(direct)
    optim_of_other = optim.SGD(other.parameters(), lr=0.2, in_backward=True)
    compiled = torch.compile(direct, backend="eager")
    for step in range(2):
        compiled(*batch(step)).backward()
        other(*batch(step)).backward()
        assert direct.loss.weight.grad is None
        for each in (optimizer, optim_of_other):
            each.step()
            each.zero_grad()
    torch._dynamo.reset()
    equal(direct, other)
