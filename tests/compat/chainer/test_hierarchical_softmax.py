# ruff: noqa: N803 - W is the name that Chainer has for it
"""Chainer's tree of nested pairs: its Huffman trees, its numbers, and a loop down the tree."""

import ast
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from logq.compat.chainer import BinaryHierarchicalSoftmax, create_huffman_tree

GOLDEN = Path(__file__).parents[2] / "golden"
TREES = json.loads((GOLDEN / "chainer_huffman_trees.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", TREES, ids=range(len(TREES)))
def test_golden_huffman_trees(case):
    counts = dict(map(tuple, case["counts"]))
    assert create_huffman_tree(counts) == ast.literal_eval(case["tree"])
    assert BinaryHierarchicalSoftmax.create_huffman_tree(counts) == ast.literal_eval(case["tree"])


def test_huffman_trees_of_words_and_lists():
    assert create_huffman_tree({"a": 3, "b": 1, "c": 1}) == (("b", "c"), "a")
    assert create_huffman_tree([3, 1, 1]) == ((1, 2), 0)
    for nothing in ({}, []):
        with pytest.raises(ValueError, match="word_counts"):
            create_huffman_tree(nothing)
    with pytest.raises(ValueError, match="got -1 for 'b'"):
        create_huffman_tree({"a": 1, "b": -1})
    with pytest.raises(ValueError, match="got nan for 0"):
        create_huffman_tree([float("nan")])
    with pytest.raises(TypeError, match="got 'x' for 0"):
        create_huffman_tree(["x"])


def test_golden():
    with np.load(GOLDEN / "chainer_hierarchical_softmax.npz") as file:
        golden = dict(file)
    link = BinaryHierarchicalSoftmax(3, ast.literal_eval(str(golden["tree"])), dtype=torch.float64)
    assert link.offsets.tolist() == golden["exp_begins"].tolist()
    assert link.points.tolist() == golden["exp_paths"].tolist()
    assert (1 - 2 * link.codes.int()).tolist() == golden["exp_codes"].tolist()
    with torch.no_grad():
        link.W.copy_(torch.from_numpy(golden["W"]))
    x = torch.from_numpy(golden["x"]).requires_grad_()
    loss = link(x, torch.from_numpy(golden["t"]))
    (float(golden["gy_sum"]) * loss).backward()
    for found, name in ((loss, "loss"), (x.grad, "dx"), (link.W.grad, "dW")):
        expected = torch.from_numpy(np.asarray(golden[f"exp_sum_{name}"]))
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def by_recursion(tree, x, t, W):
    """The loss of each row: number the nodes from the root, left before right, and add up the turns."""
    paths, made = {}, 0

    def walk(node, path):
        nonlocal made
        if not isinstance(node, tuple):
            paths[node] = path
            return
        number, made = made, made + 1
        walk(node[0], [*path, (number, 1.0)])
        walk(node[1], [*path, (number, -1.0)])

    walk(tree, [])
    return sum(np.logaddexp(0.0, -c * np.dot(x[i], W[n])) for i in range(len(x)) if t[i] != -1 for n, c in paths[t[i]])


def random_tree(rng, leaves):
    if len(leaves) == 1:
        return leaves[0]
    cut = int(rng.integers(1, len(leaves)))
    return random_tree(rng, leaves[:cut]), random_tree(rng, leaves[cut:])


@given(st.integers(0, 10**6), st.integers(0, 6), st.integers(1, 4), st.integers(1, 12))
def test_loop(seed, rows, width, classes):
    rng = np.random.default_rng(seed)
    leaves = rng.permutation(2 * classes)[:classes].tolist()  # with gaps
    tree = random_tree(rng, leaves)
    link = BinaryHierarchicalSoftmax(width, tree, dtype=torch.float64)
    assert link.W.shape == (classes - 1, width)
    x, t = rng.normal(size=(rows, width)), rng.choice([-1, *leaves], size=rows)
    expected = by_recursion(tree, x, t, link.W.detach().numpy())
    loss = link(torch.from_numpy(x), t.astype("i"))
    torch.testing.assert_close(loss.item(), float(expected), rtol=1e-12, atol=1e-12)


def test_gradients_of_gradients():
    link = BinaryHierarchicalSoftmax(2, ((2, 0), (1, 3)), dtype=torch.float64)
    x = torch.randn(3, 2, dtype=torch.float64, requires_grad=True)

    def loss(x, W):
        return torch.func.functional_call(link, {"W": W}, (x, torch.tensor([3, -1, 0])))

    assert torch.autograd.gradcheck(loss, (x, link.W))
    assert torch.autograd.gradgradcheck(loss, (x, link.W))


def test_one_parameter_with_two_names():
    link = BinaryHierarchicalSoftmax(50, create_huffman_tree([1] * 100))
    assert link.weight is link.W
    assert [name for name, _ in link.named_parameters()] == ["W"]
    assert link.W.abs().max() <= 1
    assert link.W.abs().max() > 0.99
    assert abs(link.W.mean()) < 0.05
    link.W = torch.nn.Parameter(torch.zeros(99, 50))
    assert link.weight is link.W
    assert not link.W.any()
    link.weight = torch.nn.Parameter(torch.ones(99, 50))
    assert link.weight is link.W
    assert [name for name, _ in link.named_parameters()] == ["W"]
    link.load_state_dict({"W": torch.full((99, 50), 2.0)}, strict=False)
    assert bool((link.W == 2).all())
    with pytest.raises(AttributeError, match="weights"):
        _ = link.weights
    log_p = link.log_prob(torch.randn(2, 50))
    torch.testing.assert_close(log_p.exp().sum(dim=1), torch.ones(2))


def test_half_precision_comes_back_as_it_was():
    link = BinaryHierarchicalSoftmax(4, ((0, 1), 2), dtype=torch.float16)
    assert link(torch.randn(3, 4).half(), [0, 2, 1]).dtype == torch.float16


def test_a_tree_of_one_class():
    link = BinaryHierarchicalSoftmax(3, create_huffman_tree({5: 2}))
    assert link.W.shape == (0, 3)
    x = torch.randn(2, 3, requires_grad=True)
    loss = link(x, [5, 5])
    loss.backward()
    assert loss == 0


def test_a_chain():
    link = BinaryHierarchicalSoftmax(2, create_huffman_tree([0] * 1500))
    assert link.depth == 1499
    assert torch.isfinite(link(torch.randn(3, 2), [0, 700, 1499]))


@pytest.mark.parametrize(
    ("tree", "error", "message"),
    [
        ((0, 1, 2), ValueError, r"tree: expected two children at each inner node, got 3: \(0, 1, 2\)"),
        (((0,), 1), ValueError, r"got 1: \(0\)"),
        ((0, (1, 0)), ValueError, "tree: expected each class once, got 0 twice"),
        ((0, -1), ValueError, "got -1"),
        ((0, "a"), TypeError, "got 'a'"),
        ([0, 1], TypeError, r"tree: expected pairs \(left, right\) and integers, got \[0, 1\]"),
    ],
)
def test_bad_trees(tree, error, message):
    with pytest.raises(error, match=message):
        BinaryHierarchicalSoftmax(2, tree)


def test_bad_batches():
    link = BinaryHierarchicalSoftmax(2, ((0, 4), 2))
    for t, wrong in (([0, 1], 1), ([0, 5], 5), ([0, -2], -2)):
        with pytest.raises(ValueError, match=f"t: expected leaves of the tree or -1, got {wrong} in row 1"):
            link(torch.ones(2, 2), t)
    with pytest.raises(ValueError, match=r"x: expected shape \(N, D\) with D = 2"):
        link(torch.ones(2, 3), [0, 0])
    with pytest.raises(ValueError, match=r"t: expected shape \(N,\) with N = 2"):
        link(torch.ones(2, 2), [0])
    with pytest.raises(TypeError, match="t: expected integers"):
        link(torch.ones(2, 2), [0.0, 2.0])
