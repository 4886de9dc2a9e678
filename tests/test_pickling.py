"""Every public object survives pickle, copy.deepcopy and torch.save, and goes on as if nothing had happened.

Functions and classes are pickled by name; of each exported class there is an instance in INSTANCES, or a reason in
NO_INSTANCE. To add a package: its name in PACKAGES, its instances, and in `behavior` what tells a copy from another.
"""

import copy
import importlib
import importlib.util
import inspect
import io
import pickle
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

import cases
from data_cases import DATA, contents, same
from logq.candidates import Candidates
from logq.hierarchical import HierarchicalSoftmax
from logq.huffman import HuffmanTree
from logq.nn import CandidateLoss, SampledSoftmaxLoss
from logq.objectives import NCE, OBJECTIVES, Negatives, Objective
from logq.optim import SGD, Adagrad, LazyAdam, RowOptimizer, RowWiseAdagrad
from logq.retrieval import DuckDBItems
from logq.samplers import Sampler
from logq.text import encode, read_tokens

PACKAGES = (
    "logq.approximations",
    "logq.candidates",
    "logq.compat.chainer",
    "logq.compat.cs224n",
    "logq.compat.keras",
    "logq.compat.tensorflow",
    "logq.diagnostics",
    "logq.evaluation",
    "logq.functional",
    "logq.hierarchical",
    "logq.huffman",
    "logq.logs",
    "logq.nn",
    "logq.objectives",
    "logq.optim",
    "logq.retrieval",
    "logq.samplers",
    "logq.text",
    "logq.vectors",
)

C, D = 12, 4
INPUT = torch.randn(3, D, generator=torch.Generator().manual_seed(1))
TARGETS = torch.tensor([1, 0, 7])


class Training(NamedTuple):
    """A module and the optimizer of its parameters, which only mean something together."""

    module: nn.Module
    optimizer: RowOptimizer


def training(kind: type[RowOptimizer], **options: Any) -> Training:
    torch.manual_seed(2)
    module = SampledSoftmaxLoss(D, C, cases.SAMPLERS["unigram"](C, torch.float32, 3), sparse=True)
    made = Training(module, kind(module.parameters(), lr=0.1, **options))
    step(made)
    return made


def step(made: Training) -> None:
    made.optimizer.zero_grad()
    made.module(INPUT, TARGETS).backward()
    made.optimizer.step()


def used_sampler(name: str) -> Sampler:
    """One that has drawn, so that its generator is somewhere in its stream and what it learns is learned."""
    made = cases.SAMPLERS[name](C, torch.float32, 3)
    made.draw(TARGETS)
    return made


def used_module(name: str) -> nn.Module:
    torch.manual_seed(2)
    module = cases.MODULES[name](D, C)
    module(INPUT, TARGETS)
    return module


def candidates() -> Candidates:
    return cases.SAMPLERS["in_batch-counts"](C, torch.float32, 3).draw(TARGETS)


INSTANCES: dict[str, Callable[[], object]] = {
    **{f"logq.samplers {name}": lambda name=name: used_sampler(name) for name in cases.SAMPLERS},
    **{f"logq.nn {name}": lambda name=name: used_module(name) for name in cases.MODULES},
    **{f"logq.objectives {name}": lambda name=name: OBJECTIVES[name] for name in OBJECTIVES},
    "logq.objectives gbce with a rate": lambda: OBJECTIVES["gbce"].calibrated(0.5, 0.25),
    "logq.objectives Negatives": lambda: Negatives.S,
    "logq.approximations Approximation": lambda: NCE.approximates,
    "logq.candidates Candidates": candidates,
    "logq.huffman HuffmanTree": lambda: HuffmanTree.from_counts(range(1, C)),
    "logq.hierarchical HierarchicalSoftmax": lambda: HierarchicalSoftmax(D, range(1, C + 1)),
    "logq.nn TopK": lambda: CandidateLoss("full_softmax", D, C).topk(INPUT, 3),
    "logq.optim SGD": lambda: training(SGD),
    "logq.optim Adagrad": lambda: training(Adagrad),
    "logq.optim RowWiseAdagrad": lambda: training(RowWiseAdagrad),
    "logq.optim LazyAdam": lambda: training(LazyAdam),
    "logq.optim LazyAdam in backward": lambda: training(LazyAdam, in_backward=True),
    **DATA,
}
"""Where it is exported and what it is -> an instance."""

NO_INSTANCE = {
    "logq.logs.Examples": "a protocol",
    "logq.logs.GrownLog": "a view of two logs, which are what is kept",
    "logq.nn.ClassTable": "abstract",
    "logq.optim.RowOptimizer": "abstract",
    "logq.retrieval.DuckDBItems": "an open connection, see OPEN",
    "logq.retrieval.ItemIndex": "abstract",
    "logq.retrieval.ItemStore": "abstract",
    "logq.retrieval.LanceDBItems": "an open connection, as DuckDBItems",
    "logq.retrieval.MilvusItems": "an open connection, as DuckDBItems",
    "logq.retrieval.PgVectorItems": "an open connection, as DuckDBItems",
    "logq.retrieval.QdrantItems": "an open connection, as DuckDBItems",
    **({} if importlib.util.find_spec("hnswlib") else {"logq.retrieval.HnswlibIndex": "hnswlib is not installed"}),
    "logq.samplers.Draw": "holds a function of the sampler that made it; Candidates are what is kept",
    "logq.samplers.Proposal": "abstract",
    "logq.samplers.Sampler": "abstract",
    "logq.text.EncodedCorpus": "an open file, see OPEN",
    "logq.text.Tokens": "an open file, see OPEN",
}

OPEN = {
    "EncodedCorpus": lambda: encode([["a", "b"]], min_count=1),
    "Tokens": lambda: read_tokens([["a", "b"]]),
    "DuckDBItems": lambda: DuckDBItems(":memory:", dim=2),
}
"""What is open and cannot be copied, by the name of its class."""


def by_pickle(value: object) -> Any:
    return pickle.loads(pickle.dumps(value))


def by_torch(value: object) -> Any:
    file = io.BytesIO()
    torch.save(value, file)
    return torch.load(io.BytesIO(file.getvalue()), weights_only=False)


WAYS = {"pickle": by_pickle, "deepcopy": copy.deepcopy, "torch.save": by_torch}


def behavior(value: Any) -> list[Any]:
    """What a copy has to agree with its original in; calling it may change both."""
    if isinstance(value, Sampler):
        draws = [value.draw(TARGETS) for _ in range(2)] + [value.eval().draw(TARGETS)]
        return [part for draw in draws for part in draw] + [value.log_expected_count(torch.arange(C))]
    if isinstance(value, Training):
        for _ in range(2):
            step(value)
        return [*value.module.parameters(), *tensors(value.optimizer.state_dict())]
    if isinstance(value, nn.Module) and not type(value).__module__.startswith("logq.compat"):
        parameters = list(value.parameters())
        losses = [value(INPUT, TARGETS) for _ in range(2)]
        gradients = torch.autograd.grad(sum(losses), parameters)
        return [*losses, *gradients, value.log_prob(INPUT), *value.state_dict().values()]
    if isinstance(value, HuffmanTree):
        return [torch.from_numpy(array) for array in (value.offsets, value.points, value.codes)]
    return list(value) if isinstance(value, tuple) else [contents(value)]


def tensors(value: Any) -> list[Any]:
    """All that is not a container in nested containers."""
    if isinstance(value, dict):
        return [one for key in sorted(value, key=str) for one in tensors(value[key])]
    return [one for part in value for one in tensors(part)] if isinstance(value, list | tuple) else [value]


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("name", INSTANCES)
def test_a_copy_goes_on_as_the_original_does(name, way):
    original = INSTANCES[name]()
    made = way(original)
    assert type(made) is type(original)
    for one, other in zip(behavior(original), behavior(made), strict=True):
        assert same(one, other)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("name", OPEN)
def test_what_is_open_says_that_it_cannot_be_copied(name, way):
    with (
        OPEN[name]() as opened,
        pytest.raises(TypeError, match=rf"{name}: it holds an open .* again|{name}: it holds .*"),
    ):
        way(opened)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_copy_of_a_used_sampler_shares_nothing(way):
    original = used_sampler("unigram")
    made, again = way(original), way(original)
    expected = made.draw(TARGETS).ids
    assert torch.equal(original.draw(TARGETS).ids, expected)
    assert torch.equal(again.draw(TARGETS).ids, expected)
    assert torch.equal(way(again).generator.get_state(), again.generator.get_state())


@pytest.mark.parametrize("package", PACKAGES)
def test_functions_and_classes_are_pickled_by_name(package):
    exports = importlib.import_module(package)
    for name in exports.__all__:
        value = getattr(exports, name)
        if inspect.isroutine(value) or inspect.isclass(value):
            assert by_pickle(value) is value


def test_there_is_an_instance_of_every_exported_class():
    exported = {
        f"{package}.{name}": getattr(importlib.import_module(package), name)
        for package in PACKAGES
        for name in importlib.import_module(package).__all__
        if inspect.isclass(getattr(importlib.import_module(package), name))
    }
    made = {type(value) for make in INSTANCES.values() for value in [make()]}
    made |= {type(value.optimizer) for make in INSTANCES.values() if isinstance(value := make(), Training)}
    missing = {name for name, kind in exported.items() if kind not in made}
    assert missing == set(NO_INSTANCE)


def test_an_objective_of_one_s_own_is_as_good_as_its_functions():
    own = Objective("own", Negatives.S, True, cubes, NCE.approximates)
    assert by_pickle(own) == own


def cubes(true_logits: Tensor, negative_logits: Tensor, is_true: Tensor, is_negative: Tensor | None) -> Tensor:
    return true_logits.pow(3).sum(dim=1) + negative_logits.pow(3).sum(dim=1)
