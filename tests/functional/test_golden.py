"""Our losses against numbers that TensorFlow 2.21.0 and Chainer 7.8.1 returned (tests/golden/README.md).

Where the semantics differ by decision:

- TensorFlow masks the last copy of a hit only; ours leaves out every copy. With TensorFlow's mask given as `excluded`
  the numbers are the same.
- TensorFlow masks by adding -3.4e38 to the logit; ours is a boolean mask. Losses and gradients are the same, except in
  float16, where TensorFlow's are NaN.
- With T true classes TensorFlow gives each a label of 1/T, and takes them under softmax too. Ours has labels of 1 in
  the logistic rows, and one true class under softmax. The files here have T = 1.
- tf.nn.nce_loss and sampled_softmax_loss return (B,) and need a bias; ours reduce and do not.
- tf.nn.nce_loss keeps hits unless it is told otherwise; so does our NCE. Sampled softmax removes them in both.
- Chainer's first column of samples is the place of the target, int32, -1 is ignored and its default is the sum; ours
  are int64, -100 (or any `ignore_index`) and the mean.
- Without log Q, "sampled softmax" is no row of our table; the test makes it from the row.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from logq.candidates import Candidates
from logq.functional import full_logistic_loss, full_softmax_loss, negative_sampling_loss, sampled_loss
from logq.objectives import NCE, NEGATIVE_SAMPLING, SAMPLED_SOFTMAX

GOLDEN = Path(__file__).parents[1] / "golden"
TENSORFLOW = ["tf_log_uniform_distinct_hits", "tf_with_replacement", "tf_duplicate_hits", "tf_every_class"]
ROWS = {
    ("logistic", 0): NEGATIVE_SAMPLING,
    ("logistic", 1): NCE,
    ("softmax", 0): replace(SAMPLED_SOFTMAX, name="softmax_without_log_q", subtract_log_q=False),
    ("softmax", 1): SAMPLED_SOFTMAX,
}


def load(name: str) -> dict[str, Tensor]:
    with np.load(GOLDEN / f"{name}.npz") as file:
        return {key: torch.from_numpy(file[key]) for key in file.files}


def assert_same(golden: dict[str, Tensor], prefix: str, losses: Tensor, leaves: list[Tensor]) -> None:
    """Losses, and gradients of sum(loss * gy), to 1e-12 in float64 and 1e-6 in float32."""
    tolerance = 1e-12 if losses.dtype == torch.float64 else 1e-6
    assert losses.dtype == golden[f"{prefix}_loss"].dtype
    torch.testing.assert_close(losses, golden[f"{prefix}_loss"], rtol=tolerance, atol=tolerance)
    gradients = torch.autograd.grad((losses * golden["gy"]).sum(), leaves)
    touched = torch.cat([golden["labels"].flatten(), golden["sampled"]]).unique()
    for name, gradient in zip(("dinputs", "dweights", "dbiases"), gradients, strict=True):
        expected = golden[f"{prefix}_{name}"]
        if name != "dinputs":
            expected = torch.zeros_like(gradient).index_copy(0, touched, expected)
        torch.testing.assert_close(gradient, expected, rtol=tolerance, atol=tolerance)


def candidates_of(golden: dict[str, Tensor], *, columns: bool) -> Candidates:
    labels, expected = golden["labels"], golden["true_expected"]
    return Candidates(
        golden["sampled"],
        golden["sampled_expected"].log(),
        labels if columns else labels[:, 0],
        expected.log() if columns else expected[:, 0].log(),
    )


@pytest.mark.parametrize("columns", [False, True], ids=["(B,)", "(B, 1)"])
@pytest.mark.parametrize("q", [0, 1])
@pytest.mark.parametrize("rm", [0, 1])
@pytest.mark.parametrize("loss", ["logistic", "softmax"])
@pytest.mark.parametrize("name", TENSORFLOW)
def test_tensorflow(name, loss, rm, q, columns):
    golden = load(name)
    leaves = [golden[key].requires_grad_() for key in ("inputs", "weights", "biases")]
    input, weight, bias = leaves
    candidates = candidates_of(golden, columns=columns)
    remove_hits = bool(rm)
    if name == "tf_duplicate_hits" and rm:
        ours = sampled_loss(ROWS[loss, q], input, weight, candidates, bias=bias, remove_hits=True, reduction="none")
        # Classes 3 and 7 were drawn three times and twice: rows 0 and 1 have hits, of which TensorFlow left some.
        differs = (ours - golden[f"{loss}_rm1_q{q}_loss"]).abs() > 1e-3
        assert differs.tolist() == [True, True, False, False, False]
        last = candidates.hits()
        for row in last:
            row[row.nonzero()[:-1]] = False
        candidates, remove_hits = candidates._replace(excluded=last), False
    losses = sampled_loss(
        ROWS[loss, q], input, weight, candidates, bias=bias, remove_hits=remove_hits, reduction="none"
    )
    assert_same(golden, f"{loss}_rm{rm}_q{q}", losses, leaves)


@pytest.mark.parametrize(("loss", "full"), [("logistic", full_logistic_loss), ("softmax", full_softmax_loss)])
def test_tensorflow_over_every_class_is_our_full_loss(loss, full):
    golden = load("tf_every_class")
    leaves = [golden[key].requires_grad_() for key in ("inputs", "weights", "biases")]
    for q in (0, 1):
        losses = full(leaves[0], leaves[1], golden["labels"][:, 0], bias=leaves[2], reduction="none")
        assert_same(golden, f"{loss}_rm1_q{q}", losses, leaves)


@pytest.mark.parametrize("reduce", ["no", "sum"])
def test_chainer_negative_sampling(reduce):
    golden = load("chainer_negative_sampling")
    input, weight = golden["x"].requires_grad_(), golden["W"].requires_grad_()
    ids, targets = golden["samples_in"].long()[:, 1:], golden["t"].long()
    nothing = torch.full(ids.shape, torch.nan)  # the expected counts are not looked at
    candidates = Candidates(ids, nothing, targets, nothing[:, 0])
    reduction = {"no": "none", "sum": "sum"}[reduce]
    losses = negative_sampling_loss(input, weight, candidates, ignore_index=-1, reduction=reduction)
    torch.testing.assert_close(losses, golden[f"{reduce}_loss"], rtol=1e-6, atol=1e-6)
    gradients = torch.autograd.grad((losses * golden[f"gy_{reduce}"]).sum(), [input, weight])
    for name, gradient in zip(("dx", "dW"), gradients, strict=True):
        torch.testing.assert_close(gradient, golden[f"{reduce}_{name}"], rtol=1e-6, atol=1e-6)
    assert losses.dim() == 0 or losses[2] == 0
