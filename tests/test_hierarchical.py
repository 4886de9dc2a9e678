"""Hierarchical softmax: a loop over the path, probabilities by enumeration, Chainer's numbers, and what it holds."""

import copy
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from logq import kernels, optim
from logq.hierarchical import HierarchicalSoftmax, HuffmanTree
from logq.kernels import logits as kernel_logits
from logq.kernels.fallback import FallbackWarning

D = 3
COUNTS = [20, 9, 9, 4, 0, 5, 5, 6]
C = len(COUNTS)
TARGETS = torch.tensor([4, -100, 0, 7, 4])
GOLDEN = Path(__file__).parent / "golden"


def make(tree=COUNTS, **options) -> HierarchicalSoftmax:
    module = HierarchicalSoftmax(D, tree, **{"dtype": torch.float64, "sparse": False, **options})
    torch.nn.init.normal_(module.weight, generator=torch.Generator().manual_seed(1))
    return module


@pytest.fixture
def input() -> Tensor:
    return torch.randn(len(TARGETS), D, dtype=torch.float64, generator=torch.Generator().manual_seed(5))


def close(actual, expected, tolerance=1e-12):
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)


def by_loop(x: Tensor, tree: HuffmanTree, weight: Tensor, target: int) -> Tensor:
    """As word2vec.c has it: at each node of the path the label is 1 - code, and P(label = 1) is the sigmoid."""
    loss = torch.zeros((), dtype=torch.float64)
    for node, code in zip(*tree.path(target), strict=True):
        p = 1 / (1 + torch.exp(-torch.dot(x, weight[int(node)])))
        loss = loss - torch.log(p if 1 - int(code) == 1 else 1 - p)
    return loss


@pytest.fixture(params=["cpp", "reference"])
def backend(request):
    with kernels.use(request.param):
        yield


@pytest.mark.parametrize("sparse", [False, True])
def test_the_loss_is_a_loop_over_the_path(sparse, input, backend):
    module, tree = make(reduction="none", sparse=sparse), HuffmanTree.from_counts(COUNTS)
    expected = torch.stack(
        [
            torch.zeros((), dtype=torch.float64) if t < 0 else by_loop(x, tree, module.weight, int(t))
            for x, t in zip(input, TARGETS, strict=True)
        ]
    )
    close(module(input, TARGETS), expected)
    (gradient,) = torch.autograd.grad(module(input, TARGETS).sum(), module.weight)
    assert gradient.is_sparse == sparse
    close(gradient.to_dense(), torch.autograd.grad(expected.sum(), module.weight)[0])
    module.reduction = "sum"
    close(module(input, TARGETS), expected.sum())
    module.reduction = "mean"
    close(module(input, TARGETS), expected.sum() / 4)


def test_gradients_are_those_of_differences(input, backend):
    module = make(reduction="none")

    def loss(input, weight):
        return torch.func.functional_call(module, {"weight": weight}, (input, TARGETS))

    def all_classes(input, weight):
        return torch.func.functional_call(_All(module), {"module.weight": weight}, (input,))

    weight = module.weight.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(loss, (input.requires_grad_(), weight))
    assert torch.autograd.gradgradcheck(loss, (input, weight))
    assert torch.autograd.gradcheck(all_classes, (input, weight))


class _All(torch.nn.Module):
    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, input):
        return self.module.log_prob(input)


def test_probabilities_sum_to_one(input):
    module = make()
    log_p = module.log_prob(input)
    assert log_p.shape == (len(input), C)
    close(log_p.exp().sum(dim=1), torch.ones(len(input), dtype=torch.float64))
    for c in range(C):
        close(module.log_prob(input, torch.full((len(input),), c)), log_p[:, c])
    close(module.predict(input), log_p.argmax(dim=1))
    close(module.log_prob(input, TARGETS)[1], torch.zeros((), dtype=torch.float64))


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_any_number_of_classes(size):
    counts = np.random.default_rng(size).integers(0, 50, size)
    module, input = make(counts), torch.randn(2, D, dtype=torch.float64)
    log_p = module.log_prob(input)
    close(log_p.exp().sum(dim=1), torch.ones(2, dtype=torch.float64))
    targets = torch.tensor([0, size - 1])
    loss = module(input, targets)
    close(loss, -log_p[[0, 1], targets].mean())
    loss.backward()
    assert module.weight.grad.shape == (size - 1, D)


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_paths_that_turn_one_way_only(first, reduction, backend):
    """A chain: class i turns i times the same way, then the other; the last class never does."""
    offsets, points, codes = [0, 1, 3, 6, 9], [0, 0, 1, 0, 1, 2, 0, 1, 2], [0, 1, 0, 1, 1, 0, 1, 1, 1]
    tree = HuffmanTree.from_paths(offsets, points, np.array(codes) ^ first)
    module, input = make(tree, reduction=reduction), torch.randn(4, D, dtype=torch.float64)
    losses = torch.stack([by_loop(x, tree, module.weight, c) for c, x in enumerate(input)])
    expected = losses if reduction == "none" else losses.mean() if reduction == "mean" else losses.sum()
    close(module(input, torch.arange(4)), expected)
    close(module.log_prob(input, torch.arange(4)), -losses)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_updates_inside_of_backward(reduction, input):
    updated, stored = make(reduction=reduction), make(reduction=reduction)
    inside = optim.Adagrad(updated.parameters(), lr=0.5, in_backward=True)
    outside = torch.optim.Adagrad(stored.parameters(), lr=0.5)
    for _ in range(3):
        for module, optimizer in ((updated, inside), (stored, outside)):
            optimizer.zero_grad()
            module(input, TARGETS).backward()
            optimizer.step()
        assert updated.weight.grad is None
    close(updated.weight, stored.weight)


def test_chainer():
    with np.load(GOLDEN / "chainer_hierarchical_softmax.npz") as file:
        golden = {name: file[name] for name in file.files if name not in ("kind", "tree")}
    codes = np.where(golden["exp_codes"] > 0, 0, 1)
    tree = HuffmanTree.from_paths(golden["exp_begins"], golden["exp_paths"], codes)
    module = make(tree, reduction="sum")
    with torch.no_grad():
        module.weight.copy_(torch.from_numpy(golden["W"]))
    x = torch.from_numpy(golden["x"]).requires_grad_()
    loss = module(x, torch.from_numpy(golden["t"]).long())
    close(loss, torch.from_numpy(golden["exp_sum_loss"])[()])
    (float(golden["gy_sum"]) * loss).backward()
    close(x.grad, torch.from_numpy(golden["exp_sum_dx"]))
    close(module.weight.grad, torch.from_numpy(golden["exp_sum_dW"]))


def test_it_starts_without_a_preference():
    module = HierarchicalSoftmax(D, COUNTS, reduction="none")
    targets = torch.arange(C)
    lengths = torch.tensor(np.diff(HuffmanTree.from_counts(COUNTS).offsets))
    close(module(torch.randn(C, D), targets), math.log(2) * lengths.float(), 1e-6)
    torch.nn.init.ones_(module.weight)
    module.reset_parameters()
    assert not module.weight.any()


def test_it_learns():
    module = HierarchicalSoftmax(C, COUNTS)
    optimizer = torch.optim.SGD(module.parameters(), lr=5.0)
    for _ in range(50):
        optimizer.zero_grad()
        module(torch.eye(C), torch.arange(C).flip(0)).backward()
        optimizer.step()
    assert torch.equal(module.predict(torch.eye(C)), torch.arange(C).flip(0))


@pytest.mark.parametrize("ignore_index", [-1, 0])
def test_ignored_rows(ignore_index, input):
    targets = TARGETS.masked_fill(TARGETS == -100, ignore_index)
    losses = make(reduction="none", ignore_index=ignore_index)(input, targets)
    assert torch.equal(losses == 0, targets == ignore_index)
    close(make(ignore_index=ignore_index)(input, targets), losses.sum() / (losses > 0).sum())


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_nothing_to_learn_from(reduction, input):
    for module in (make(reduction=reduction, sparse=True), make(reduction=reduction)):
        for rows in (0, 2):
            loss = module(input[:rows].requires_grad_(), torch.full((rows,), -100))
            assert not loss.any()
            loss.sum().backward()
            assert not module.weight.grad.to_dense().any()
            assert not module.log_prob(input[:0]).numel()
            assert not module.predict(input[:0]).numel()


class Largest(TorchDispatchMode):
    """Remembers the largest size of a tensor that any op makes, forward and backward."""

    size = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        before = {leaf.untyped_storage().data_ptr() for leaf in tree_leaves(args) if _has_storage(leaf)}
        for leaf in tree_leaves(result):
            if _has_storage(leaf) and leaf.untyped_storage().data_ptr() not in before:
                self.size = max(self.size, leaf.untyped_storage().nbytes() // leaf.itemsize)
            elif isinstance(leaf, Tensor) and leaf.is_sparse:
                self.size = max(self.size, leaf._nnz() * D)
        return result


def _has_storage(leaf) -> bool:
    return isinstance(leaf, Tensor) and not leaf.is_sparse


def test_a_loss_makes_no_tensor_of_all_classes():
    module = HierarchicalSoftmax(D, np.arange(5000), sparse=True)
    input, targets = torch.randn(20, D, requires_grad=True), torch.arange(300, 4300, 200)
    longest = int(module.offsets.diff()[targets].max())
    assert longest < module.depth
    with Largest() as seen:
        module(input, targets).backward()
    assert seen.size <= 20 * longest * D


def test_sparse_gradients_have_the_rows_of_the_paths_only(input):
    module, tree = make(sparse=True), HuffmanTree.from_counts(COUNTS)
    for a in range(C):
        for b in range(C):
            (gradient,) = torch.autograd.grad(module(input[:3], torch.tensor([a, -100, b])), module.weight)
            rows = gradient.coalesce().indices()[0].tolist()
            assert rows == sorted({*tree.path(a)[0].tolist(), *tree.path(b)[0].tolist()})


def test_all_classes_a_part_of_the_batch_at_a_time(monkeypatch, input):
    module = make()
    expected, best = module.log_prob(input), module.predict(input)
    monkeypatch.setattr(kernel_logits, "CHUNK_LOGITS", 2 * C)
    with torch.no_grad(), Largest() as seen:
        assert torch.equal(module.predict(input), best)
    assert seen.size <= 2 * 2 * C
    close(module.log_prob(input), expected)


def test_the_tree_is_saved_with_the_weights(input):
    """Two trees of 7 classes whose paths have 23 nodes in all, the longest 4 or 5; and one of more nodes."""
    flat, deep, other = make([8, 2, 2, 1, 1, 1, 1]), make([8, 8, 8, 4, 2, 1, 1]), make([64, 32, 16, 8, 4, 2, 1])
    assert [(module.depth, len(module.points)) for module in (flat, deep, other)] == [(4, 23), (5, 23), (6, 27)]
    targets = torch.tensor([0, 6, 5, 3, -100])
    with pytest.raises(RuntimeError, match="size mismatch for points"):
        other.load_state_dict(deep.state_dict())
    torch.nn.Sequential(flat).load_state_dict(torch.nn.Sequential(deep).state_dict())
    assert flat.depth == 5
    assert torch.equal(flat(input, targets), deep(input, targets))
    assert torch.equal(copy.deepcopy(flat).log_prob(input), deep.log_prob(input))


def test_half_precision_is_computed_in_float32(input):
    half, full = make(dtype=torch.bfloat16), make(dtype=torch.float32)
    with torch.no_grad():
        full.weight.copy_(half.weight)
    x = input.bfloat16()
    loss = half(x, TARGETS)
    assert loss.dtype == torch.float32
    close(loss, full(x.float(), TARGETS), 1e-6)
    loss.backward()
    assert half.weight.grad.dtype == torch.bfloat16


@pytest.mark.parametrize("make_tree", [torch.tensor, np.array, tuple, HuffmanTree.from_counts])
def test_what_may_stand_for_the_tree(make_tree, input):
    assert torch.equal(make(make_tree(COUNTS))(input, TARGETS), make()(input, TARGETS))


def test_one_graph(input):
    torch._dynamo.reset()
    module = make()
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    x, y = input.clone().requires_grad_(), input.clone().requires_grad_()
    close(compiled(x, TARGETS), module(y, TARGETS))
    (compiled(x, TARGETS) + module(y, TARGETS)).backward()
    close(x.grad, y.grad)
    torch._dynamo.reset()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"in_features": 0}, ValueError, "^in_features: expected"),
        ({"tree": []}, ValueError, "^counts: expected"),
        ({"tree": [1, -2]}, ValueError, "^counts: expected finite numbers >= 0, got -2 for class 1"),
        ({"tree": None}, TypeError, "^counts: expected"),
        ({"reduction": "max"}, ValueError, "^reduction: expected one of none, mean, sum, got 'max'"),
        ({"sparse": "yes"}, TypeError, "^sparse: expected"),
        ({"ignore_index": 0.5}, TypeError, "^ignore_index: expected"),
        ({"dtype": torch.int64}, TypeError, "^dtype: expected"),
        ({"device": "abacus"}, ValueError, "^device: expected"),
    ],
)
def test_bad_arguments(change, error, message):
    with pytest.raises(error, match=message):
        HierarchicalSoftmax(**{"in_features": D, "tree": COUNTS, **change})


@pytest.mark.parametrize(
    ("input", "targets", "error", "message"),
    [
        (torch.zeros(2, D + 1), torch.zeros(2).long(), ValueError, r"^input: expected shape \(B, D\) with D = 3"),
        (torch.zeros(2, D).long(), torch.zeros(2).long(), TypeError, "^input: expected a floating point dtype"),
        (torch.zeros(2, D), torch.zeros(3).long(), ValueError, r"^targets: expected shape \(B,\) with B = 2"),
        (torch.zeros(2, D), torch.zeros(2), TypeError, "^targets: expected dtype torch.int64"),
        (torch.zeros(2, D), torch.tensor([0, C]), ValueError, f"^targets: expected class ids .* got {C} at position"),
    ],
)
def test_bad_batches(input, targets, error, message):
    with pytest.raises(error, match=message):
        make(dtype=torch.float32)(input, targets)


def test_what_it_says_of_itself():
    assert repr(make()) == f"HierarchicalSoftmax(in_features=3, num_classes=8, depth={make().depth})"
    assert repr(make(sparse=True)).endswith(", sparse)")


class Reads(nn.Module):
    """All that is read of a loss."""

    def __init__(self, loss: HierarchicalSoftmax) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, input: Tensor, targets: Tensor) -> tuple[Tensor, ...]:
        loss = self.loss
        return loss(input, targets), loss.log_prob(input), loss.log_prob(input, targets), loss.predict(input)


def of_a_tree(**how: Any) -> HierarchicalSoftmax:
    loss = HierarchicalSoftmax(3, range(1, 14), **how)
    if not loss.weight.is_meta:
        nn.init.normal_(loss.weight, generator=torch.Generator().manual_seed(1))
    return loss


def rows(size: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(size)
    return torch.randn(size, 3, generator=generator), torch.randint(13, (size,), generator=generator)


@pytest.mark.parametrize("strict", [True, False])
def test_what_is_read_is_exported_for_any_batch(strict: bool) -> None:
    module = Reads(of_a_tree())
    shapes = ({0: torch.export.Dim("rows")},) * 2
    made = torch.export.export(module, rows(3), dynamic_shapes=shapes, strict=strict).module()
    for size in (1, 2, 9):
        torch.testing.assert_close(made(*rows(size)), module(*rows(size)))


@pytest.mark.parametrize("made", ["inside", "outside"])
def test_fake_tensors_have_the_shapes_of_what_is_read(made: str) -> None:
    outside = of_a_tree()
    with FakeTensorMode(allow_non_fake_inputs=True):
        loss = HierarchicalSoftmax(3, range(1, 14)) if made == "inside" else outside
        found = Reads(loss)(torch.empty(5, 3), torch.zeros(5, dtype=torch.int64))
        found[0].backward()
    assert [one.shape for one in found] == [(), (5, 13), (5,), (5,)]


def test_a_module_made_without_memory_has_its_tree_when_it_is_reset() -> None:
    with torch.device("meta"):
        loss = HierarchicalSoftmax(3, range(1, 14))
    loss.to_empty(device="cpu")
    for buffer in loss.buffers():
        buffer.fill_(77)  # whatever lay there
    loss.reset_parameters()
    straight = of_a_tree()
    for one, other in zip(loss.buffers(), straight.buffers(), strict=True):
        assert torch.equal(one, other)
    with torch.no_grad():
        loss.weight.copy_(straight.weight)
    torch.testing.assert_close(loss.log_prob(rows(4)[0]), straight.log_prob(rows(4)[0]))


def test_another_tree_that_is_loaded_is_read_by_its_own_levels() -> None:
    """Of as many nodes on all paths together, but of another depth."""
    trees = [9, 37, 55, 52, 49, 5, 17, 8], [43, 3, 4, 2, 18, 3, 18, 20]
    one, other = (HierarchicalSoftmax(3, tree) for tree in trees)
    nn.init.normal_(other.weight, generator=torch.Generator().manual_seed(1))
    assert (one.depth, other.depth) == (6, 5)
    one.load_state_dict(other.state_dict())
    assert one.depth == 5
    torch.testing.assert_close(one.log_prob(rows(4)[0]), other.log_prob(rows(4)[0]))


@pytest.mark.filterwarnings(f"ignore::{FallbackWarning.__module__}.{FallbackWarning.__qualname__}")
def test_sparse_gradients_of_many_examples_are_refused() -> None:
    loss = of_a_tree(sparse=True)
    weight = loss.weight.detach()
    of_one = torch.func.grad(lambda w, x, t: torch.func.functional_call(loss, {"weight": w}, (x, t)))
    assert of_one(weight, *rows(4)).is_sparse
    with pytest.raises(ValueError, match="sparse: expected False under vmap of grad, got True"):
        torch.func.vmap(of_one, in_dims=(None, 0, 0))(weight, *(one[:, None] for one in rows(4)))


def test_a_state_whose_tree_is_none_is_refused() -> None:
    """A damaged file, say: answers would be nonsense, or fail."""
    module = HierarchicalSoftmax(4, [8, 4, 2, 1, 1])
    for name, at, value in (("offsets", -1, 1), ("points", 0, 0), ("codes", 0, 1)):
        state = {key: tensor.clone() for key, tensor in module.state_dict().items()}
        state[name][at] = value if name != "codes" else 1 - state[name][at]
        with pytest.raises(ValueError, match=r"^(offsets|points|codes)"):
            HierarchicalSoftmax(4, [8, 4, 2, 1, 1]).load_state_dict(state)
