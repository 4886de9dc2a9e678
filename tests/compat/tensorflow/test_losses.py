"""nce_loss and sampled_softmax_loss against numbers of TensorFlow 2.21.0 (tests/golden/README.md) and a loop."""

import inspect
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from logq.candidates import Candidates
from logq.compat.tensorflow import all_candidate_sampler, log_uniform_candidate_sampler, nce_loss, sampled_softmax_loss
from logq.functional import full_logistic_loss, full_softmax_loss, sampled_loss
from logq.objectives import NCE, SAMPLED_SOFTMAX

GOLDEN = Path(__file__).parents[2] / "golden"
FILES = [
    "tf_log_uniform_distinct_hits",
    "tf_with_replacement",
    "tf_duplicate_hits",
    "tf_every_class",
    "tf_three_true_classes",
    "tf_two_true_classes",
    "tf_counts_of_rows",
]
LOSSES = {"logistic": nce_loss, "softmax": sampled_softmax_loss}


def load(name: str) -> dict[str, Tensor]:
    with np.load(GOLDEN / f"{name}.npz") as file:
        return {key: torch.from_numpy(file[key]) for key in file.files}


def problem(num_true: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    """Five rows and twelve classes, nine of them sampled with duplicates and hits."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    return {
        "weights": normal(12, 4),
        "biases": normal(12),
        "labels": torch.randint(12, (5, num_true), generator=generator),
        "inputs": normal(5, 4),
        "sampled": torch.randint(12, (9,), generator=generator),
        "true_expected": normal(5, num_true).exp(),
        "sampled_expected": normal(9).exp(),
    }


def call(loss, given: dict[str, Tensor], **options):
    """A loss on a problem: positional arguments in TensorFlow's order."""
    values = given["sampled"], given["true_expected"], given["sampled_expected"]
    first = (given[key] for key in ("weights", "biases", "labels", "inputs"))
    num_classes, num_true = len(given["weights"]), given["labels"].shape[1]
    return loss(*first, len(given["sampled"]), num_classes, num_true, values, **options)


def by_loop(kind: str, given: dict[str, Tensor], remove: bool, log_q: bool) -> list[float]:
    """TensorFlow's documentation, a logit at a time."""
    w, b, x, gone = given["weights"].numpy(), given["biases"].numpy(), given["inputs"].numpy(), -1e30
    result = []
    for row, labels in enumerate(given["labels"].tolist()):
        logits, wanted = [], []
        for column, label in enumerate(labels):
            q = given["true_expected"].expand(given["labels"].shape)[row, column].item()
            logits.append(x[row] @ w[label] + b[label] - (np.log(q) if log_q else 0))
            wanted.append(1 / len(labels))
        sampled = given["sampled"].tolist()
        for place, label in enumerate(sampled):
            logit = x[row] @ w[label] + b[label] - (np.log(given["sampled_expected"][place].item()) if log_q else 0)
            last = label not in sampled[place + 1 :]
            logits.append(gone if remove and last and label in labels else logit)
            wanted.append(0.0)
        g, z = np.array(logits), np.array(wanted)
        if kind == "softmax":
            result.append(np.sum(z * (np.log(np.sum(np.exp(g - g.max()))) + g.max() - g)))
        else:
            result.append(np.sum(np.maximum(g, 0) - g * z + np.log1p(np.exp(-np.abs(g)))))
    return result


@pytest.mark.parametrize("q", [0, 1])
@pytest.mark.parametrize("rm", [0, 1])
@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize("name", FILES)
def test_losses_and_gradients_are_tensorflows(name, kind, rm, q):
    golden = load(name)
    leaves = [golden[key].requires_grad_() for key in ("inputs", "weights", "biases")]
    losses = call(LOSSES[kind], golden, remove_accidental_hits=bool(rm), subtract_log_q=bool(q))
    key = f"{kind}_rm{rm}_q{q}"
    tolerance = 1e-12 if losses.dtype == torch.float64 else 1e-6
    close = {"rtol": tolerance, "atol": tolerance}
    torch.testing.assert_close(losses, golden[f"{key}_loss"], **close)
    touched = torch.cat([golden["labels"].flatten(), golden["sampled"]]).unique()
    gradients = torch.autograd.grad((losses * golden["gy"]).sum(), leaves)
    for name, gradient in zip(("dinputs", "dweights", "dbiases"), gradients, strict=True):
        expected = golden[f"{key}_{name}"]
        if name != "dinputs":
            expected = torch.zeros_like(gradient).index_copy(0, touched, expected)
        torch.testing.assert_close(gradient, expected, **close)


@pytest.mark.parametrize("log_q", [False, True])
@pytest.mark.parametrize("remove", [False, True])
@pytest.mark.parametrize("num_true", [1, 2, 5])
@pytest.mark.parametrize("kind", LOSSES)
def test_losses_are_those_of_a_loop(kind, num_true, remove, log_q):
    for seed in range(5):
        given = problem(num_true, seed)
        if seed % 2:
            given["true_expected"] = given["true_expected"][:, :1]
        losses = call(LOSSES[kind], given, remove_accidental_hits=remove, subtract_log_q=log_q)
        np.testing.assert_allclose(losses, by_loop(kind, given, remove, log_q), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("num_true", [1, 3])
@pytest.mark.parametrize("kind", LOSSES)
def test_gradients_and_second_derivatives(kind, num_true):
    given = problem(num_true)

    def loss(inputs, weights, biases):
        leaves = {"inputs": inputs, "weights": weights, "biases": biases}
        return call(LOSSES[kind], given | leaves, remove_accidental_hits=True)

    leaves = tuple(given[key].requires_grad_() for key in ("inputs", "weights", "biases"))
    assert gradcheck(loss, leaves, fast_mode=True)
    assert gradgradcheck(loss, leaves, fast_mode=True)


@pytest.mark.parametrize(("kind", "full"), [("logistic", full_logistic_loss), ("softmax", full_softmax_loss)])
def test_with_all_classes_they_are_our_full_losses(kind, full):
    given = problem(1)
    values = all_candidate_sampler(given["labels"], 1, 12, True)
    arguments = (given["weights"], given["biases"], given["labels"], given["inputs"], 12, 12, 1, values)
    ours = full(given["inputs"], given["weights"], given["labels"][:, 0], bias=given["biases"], reduction="none")
    torch.testing.assert_close(LOSSES[kind](*arguments, remove_accidental_hits=True), ours)


@pytest.mark.parametrize("remove", [False, True])
@pytest.mark.parametrize(("kind", "row"), [("logistic", NCE), ("softmax", SAMPLED_SOFTMAX)])
def test_with_one_true_class_and_no_duplicates_they_are_our_rows(kind, row, remove):
    given = problem(1) | {"sampled": torch.tensor([11, 3, 0, 5, 7, 2, 1, 10, 9])}
    candidates = Candidates(
        given["sampled"], given["sampled_expected"].log(), given["labels"], given["true_expected"].log()
    )
    ours = sampled_loss(
        row,
        given["inputs"],
        given["weights"],
        candidates,
        bias=given["biases"],
        remove_hits=remove,
        reduction="none",
    )
    torch.testing.assert_close(call(LOSSES[kind], given, remove_accidental_hits=remove), ours)


@pytest.mark.parametrize("num_true", [1, 2])
@pytest.mark.parametrize("kind", LOSSES)
def test_what_tensorflow_takes_for_tensors(kind, num_true):
    given = problem(num_true)
    expected = call(LOSSES[kind], given)
    weights, biases = given["weights"], given["biases"]
    parts = {"weights": [weights[:5], weights[5:9], weights[9:]], "biases": (biases[:7], biases[7:])}
    lists = {"inputs": given["inputs"].numpy(), "sampled_expected": given["sampled_expected"].numpy()}
    for labels in (given["labels"].int(), given["labels"].double()):
        for other in (parts, lists, {"sampled": given["sampled"].int()}):
            changed = given | other | {"labels": labels}
            values = changed["sampled"], changed["true_expected"], changed["sampled_expected"]
            losses = LOSSES[kind](
                changed["weights"], changed["biases"], labels, changed["inputs"], 9, 12, num_true, values
            )
            assert torch.equal(losses, expected)
    losses = LOSSES[kind](
        weights.tolist(),
        biases.tolist(),
        given["labels"].tolist(),
        given["inputs"].float(),
        9,
        12,
        num_true=num_true,
        sampled_values=[given["sampled"].tolist(), given["true_expected"].tolist(), given["sampled_expected"].tolist()],
        name="loss",
    )
    assert losses.dtype == torch.float32
    torch.testing.assert_close(losses, expected.float())


def test_parts_of_a_table_get_their_gradients():
    given = problem(2)
    parts = [given["weights"][:5].clone().requires_grad_(), given["weights"][5:].clone().requires_grad_()]
    call(nce_loss, given | {"weights": torch.cat(parts)}).sum().backward()
    whole = given["weights"].requires_grad_()
    call(nce_loss, given).sum().backward()
    assert torch.equal(torch.cat([part.grad for part in parts]), whole.grad)


@pytest.mark.parametrize("num_true", [1, 2])
@pytest.mark.parametrize("kind", LOSSES)
def test_sparse_gradients_are_the_dense_ones(kind, num_true):
    gradients = []
    for sparse in (False, True):
        given = problem(num_true)
        given["weights"].requires_grad_(), given["biases"].requires_grad_()
        call(LOSSES[kind], given, sparse=sparse).sum().backward()
        assert given["weights"].grad.is_sparse == given["biases"].grad.is_sparse == sparse
        gradients.append([given[key].grad.to_dense() for key in ("weights", "biases")])
    for dense, sparse in zip(*gradients, strict=True):
        torch.testing.assert_close(sparse, dense)


@pytest.mark.parametrize("num_true", [1, 2])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("kind", LOSSES)
def test_half_precision_is_computed_in_single(kind, dtype, num_true):
    half = problem(num_true, dtype=dtype)
    losses = call(LOSSES[kind], half, remove_accidental_hits=True)
    assert losses.dtype == torch.float32
    wide = {key: value.float() if value.is_floating_point() else value for key, value in half.items()}
    torch.testing.assert_close(losses, call(LOSSES[kind], wide, remove_accidental_hits=True))


def test_sampled_values_are_constants():
    given = problem(2)
    given["inputs"].requires_grad_()
    given["true_expected"].requires_grad_(), given["sampled_expected"].requires_grad_()
    call(nce_loss, given).sum().backward()
    assert given["inputs"].grad is not None
    assert given["true_expected"].grad is None
    assert given["sampled_expected"].grad is None


@pytest.mark.parametrize("num_true", [1, 2])
@pytest.mark.parametrize("kind", LOSSES)
def test_without_values_a_log_uniform_sample_is_drawn(kind, num_true):
    given = problem(num_true, dtype=torch.float32)
    first = [given[key] for key in ("weights", "biases", "labels", "inputs")]
    state = torch.get_rng_state()
    losses = LOSSES[kind](*first, 6, 12, num_true, seed=5)
    values = log_uniform_candidate_sampler(given["labels"], num_true, 6, True, 12, seed=5)
    assert torch.equal(losses, LOSSES[kind](*first, 6, 12, num_true, values))
    assert torch.equal(losses, LOSSES[kind](*first, 6, 12, num_true, seed=5))
    assert not torch.equal(losses, LOSSES[kind](*first, 6, 12, num_true, seed=6))
    assert not torch.equal(LOSSES[kind](*first, 6, 12, num_true), LOSSES[kind](*first, 6, 12, num_true))
    generator = torch.Generator().manual_seed(5)
    steps = [LOSSES[kind](*first, 6, 12, num_true, seed=generator) for _ in range(2)]
    assert torch.equal(steps[0], losses)
    assert not torch.equal(steps[1], losses)
    assert torch.equal(torch.get_rng_state(), state)


def test_an_empty_batch_has_no_losses():
    given = problem(1) | {"inputs": torch.zeros(0, 4), "labels": torch.zeros(0, 1), "true_expected": torch.ones(0, 1)}
    assert call(nce_loss, given).shape == call(sampled_softmax_loss, given).shape == (0,)


def test_the_defaults_are_tensorflows():
    given = problem(1)
    assert torch.equal(call(nce_loss, given), call(nce_loss, given, remove_accidental_hits=False))
    softmax = call(sampled_softmax_loss, given)
    assert torch.equal(softmax, call(sampled_softmax_loss, given, remove_accidental_hits=True))
    assert not torch.equal(softmax, call(sampled_softmax_loss, given, remove_accidental_hits=False))


# As inspect.signature shows them for TensorFlow 2.21.0.
SIGNATURES = {
    nce_loss: "weights, biases, labels, inputs, num_sampled, num_classes, num_true=1, sampled_values=None, "
    "remove_accidental_hits=False, name='nce_loss'",
    sampled_softmax_loss: "weights, biases, labels, inputs, num_sampled, num_classes, num_true=1, sampled_values=None, "
    "remove_accidental_hits=True, seed=None, name='sampled_softmax_loss'",
}


@pytest.mark.parametrize("loss", SIGNATURES)
def test_signatures_are_tensorflows(loss):
    old = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in inspect.signature(loss).parameters.values()
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY
    ]
    assert str(inspect.Signature(old)) == f"({SIGNATURES[loss]})"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"labels": torch.tensor([[0], [1], [2], [3], [12]])}, r"labels: .*\[0, 12\), got 12 at position \(4, 0\)"),
        ({"labels": torch.tensor([[0], [1], [2], [3], [-1]])}, r"labels: .*got -1"),
        ({"labels": torch.zeros(5)}, r"labels: expected shape \(B, T\) .*got \(5,\); labels\[:, None\] has it"),
        ({"labels": torch.zeros(5, 2)}, r"labels: .*num_true = 1, got \(5, 2\)"),
        ({"labels": torch.zeros(4, 1)}, r"labels: .*B = 5, got \(4, 1\)"),
        ({"labels": torch.full((5, 1), 0.5)}, "labels: expected class ids, got 0.5"),
        ({"biases": torch.zeros(11)}, r"biases: .*C = 12, got \(11,\)"),
        ({"inputs": torch.zeros(5, 3)}, r"weights: .*D = 3, got \(12, 4\)"),
        ({"weights": [torch.zeros(6, 4), torch.zeros(6, 5)]}, r"weights: .*got \(6, 5\) in part 1"),
        ({"num_classes": 13}, "weights: expected at least num_classes = 13 rows, got 12"),
        ({"num_sampled": 8}, r"sampled_values\[0\]: expected shape \(8,\), got \(9,\)"),
        ({"num_sampled": 0}, "num_sampled: expected an integer >= 1, got 0"),
        ({"num_true": 0}, "num_true: expected an integer >= 1, got 0"),
        ({"num_sampled": 13, "sampled_values": None}, "num_sampled: expected at most range_max = 12"),
        ({"sampled_values": (torch.zeros(9),)}, "sampled_values: expected .*got 1 values"),
        ({"sampled": torch.full((9,), 12)}, r"sampled_values\[0\]: .*got 12"),
        ({"true_expected": torch.ones(5, 2)}, r"sampled_values\[1\]: expected shape \(5, 1\).*got \(5, 2\)"),
        ({"true_expected": torch.ones(5)}, r"sampled_values\[1\]: expected shape \(5, 1\).*got \(5,\)"),
        ({"true_expected": torch.zeros(5, 1)}, r"sampled_values\[1\]: expected counts above 0, got 0 for class"),
        ({"sampled_expected": torch.full((9,), torch.nan)}, r"sampled_values\[2\]: expected counts above 0, got nan"),
    ],
)
@pytest.mark.parametrize("loss", LOSSES.values())
def test_bad_arguments_are_named(loss, changed, message):
    given = problem(1) | changed
    values = given["sampled"], given["true_expected"], given["sampled_expected"]
    with pytest.raises(ValueError, match=message):
        loss(
            given["weights"],
            given["biases"],
            given["labels"],
            given["inputs"],
            given.get("num_sampled", 9),
            given.get("num_classes", 12),
            num_true=given.get("num_true", 1),
            sampled_values=given.get("sampled_values", values),
        )


def test_wrong_kinds_are_named():
    given = problem(1)
    with pytest.raises(TypeError, match="weights: expected a floating point dtype"):
        call(nce_loss, given | {"weights": torch.zeros(12, 4, dtype=torch.int64)})
    with pytest.raises(TypeError, match=r"labels: expected class ids, got dtype torch\.bool"):
        call(nce_loss, given | {"labels": torch.zeros(5, 1, dtype=torch.bool)})
    with pytest.raises(TypeError, match="remove_accidental_hits: expected True or False"):
        call(nce_loss, given, remove_accidental_hits="no")


@pytest.mark.parametrize("num_true", [1, 2])
@pytest.mark.parametrize("loss", LOSSES.values())
def test_without_log_q_expected_counts_are_not_looked_at(loss, num_true):
    given = problem(num_true)
    never = given | {"true_expected": torch.zeros(5, num_true), "sampled_expected": torch.full((9,), torch.nan)}
    assert torch.equal(call(loss, never, subtract_log_q=False), call(loss, given, subtract_log_q=False))


def test_switches_may_be_numbers_and_counts_lists_of_doubles():
    given = problem(2)
    expected = call(nce_loss, given, remove_accidental_hits=True, subtract_log_q=False)
    assert torch.equal(call(nce_loss, given, remove_accidental_hits=1, subtract_log_q=np.bool_(False)), expected)
    lists = given | {key: given[key].tolist() for key in ("true_expected", "sampled_expected")}
    assert torch.equal(call(sampled_softmax_loss, lists), call(sampled_softmax_loss, given))


def test_what_is_not_numbers_is_named():
    given = problem(1)
    with pytest.raises(TypeError, match=r"labels: expected a tensor or a list of numbers, got 'tea' \("):
        nce_loss(given["weights"], given["biases"], "tea", given["inputs"], 9, 12)
    values = given["sampled"], given["true_expected"], ["one"] * 9
    with pytest.raises(TypeError, match=r"sampled_values\[2\]: expected a tensor or a list of numbers, got "):
        nce_loss(given["weights"], given["biases"], given["labels"], given["inputs"], 9, 12, 1, values)
