"""The losses against loops, identities and torch's own losses; what they touch, reduce, ignore and compute in."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

import student
from cases import FUNCTIONS, call
from logq.candidates import IGNORED, Candidates
from logq.functional import full_logistic_loss, full_loss, full_softmax_loss, sampled_logistic_loss, sampled_loss
from logq.functional import sampled_softmax_loss as softmax_loss
from logq.objectives import NEGATIVE_SAMPLING, OBJECTIVES, softmax
from logq.samplers import EveryClass, InBatch, LogUniform
from problems import PROBLEMS, SEVERAL_TRUE, B, C, D, Problem, S, problem

ROWS = {name: row for name, row in FUNCTIONS.items() if row is not None}
SAMPLED = [name for name, row in ROWS.items() if row.negatives.sampled]
FULL = [name for name, row in ROWS.items() if not row.negatives.sampled]
ONE_TRUE = {name for name, row in ROWS.items() if row.loss is softmax}
OPTIONS = {
    "plain": {},
    "temperature": {"temperature": 0.3},
    "cosine": {"cosine": True, "temperature": 0.2},
    "hits stay": {"remove_hits": False},
    "hits leave": {"remove_hits": True},
}


def options_for(name: str, options: dict) -> dict:
    return {key: value for key, value in options.items() if key != "remove_hits" or name in SAMPLED}


def loss(name: str, p: Problem, *, bias: bool = True, **options) -> Tensor:
    options = options_for(name, options)
    return call(name, p.input, p.weight, p.candidates, bias=p.bias if bias else None, **options)


def gradients(total: Tensor, p: Problem) -> tuple[Tensor, ...]:
    return torch.autograd.grad(total, p[:3])


def close(actual, expected, tolerance: float = 1e-12) -> None:
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)


# ------------------------------------------------------------------------------------------------------- the loop


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("kind", (PROBLEMS | SEVERAL_TRUE).values(), ids=PROBLEMS | SEVERAL_TRUE)
@pytest.mark.parametrize("name", ROWS)
def test_each_loss_is_the_loop_that_a_student_would_write(name, kind, options):
    if name in ONE_TRUE and kind.get("num_true", 1) > 1:
        with pytest.raises(ValueError, match=r"targets: expected one true class per row for "):
            loss(name, problem(**kind))
        return
    options = options_for(name, options)
    for seed in range(2):
        p = problem(**kind, seed=seed)
        for bias in (True, False):
            expected = student.losses(
                ROWS[name].name, p.input, p.weight, p.candidates, bias=p.bias if bias else None, **options
            )
            close(loss(name, p, bias=bias, reduction="none", **options), torch.tensor(expected, dtype=torch.float64))


@given(st.data())
def test_hits_and_masks(data):
    """Any ids, targets and exclusions, also no sampled classes at all, also none that are left."""
    rows, classes = data.draw(st.integers(0, 4)), data.draw(st.integers(1, 4))
    sampled, true = data.draw(st.integers(0, 5)), data.draw(st.integers(1, 3))
    per_row, name = data.draw(st.booleans()), data.draw(st.sampled_from(sorted(ROWS)))
    true = 1 if name in ONE_TRUE else true
    ids_shape = (rows, sampled) if per_row else (sampled,)

    def drawn(shape: tuple[int, ...], values: st.SearchStrategy, dtype: torch.dtype) -> Tensor:
        size = math.prod(shape)
        return torch.tensor(data.draw(st.lists(values, min_size=size, max_size=size)), dtype=dtype).view(shape)

    class_ids = st.integers(0, classes - 1)
    candidates = Candidates(
        drawn(ids_shape, class_ids, torch.int64),
        drawn(ids_shape, st.floats(-3, 3), torch.float64),
        drawn((rows, true), st.one_of(class_ids, st.just(IGNORED)), torch.int64),
        drawn((rows, true), st.floats(-3, 3), torch.float64),
        drawn((rows, sampled), st.booleans(), torch.bool) if data.draw(st.booleans()) else None,
    )
    p = Problem(
        drawn((rows, 2), st.floats(-2, 2), torch.float64),
        drawn((classes, 2), st.floats(-2, 2), torch.float64),
        drawn((classes,), st.floats(-2, 2), torch.float64),
        candidates,
    ).with_grad()
    remove_hits = data.draw(st.sampled_from([None, True, False]))
    losses = loss(name, p, reduction="none", remove_hits=remove_hits)
    expected = student.losses(
        ROWS[name].name,
        *p[:2],
        candidates,
        bias=p.bias,
        **options_for(name, {"remove_hits": remove_hits}),
    )
    close(losses, torch.tensor(expected, dtype=torch.float64))
    for gradient in gradients(losses.sum(), p):
        assert gradient.isfinite().all()
    counted = [i for i, row in enumerate(candidates.targets.tolist()) if set(row) != {IGNORED}]
    mean = loss(name, p, remove_hits=remove_hits)
    close(mean.item(), sum(expected) / len(counted) if counted else 0.0)


def test_every_copy_of_a_hit_leaves():
    """Class 2 is drawn three times. TensorFlow would mask the last copy only."""
    candidates = Candidates(torch.tensor([2, 1, 2, 2]), torch.zeros(4), torch.tensor([2, 0]), torch.zeros(2))
    losses = softmax_loss(torch.zeros(2, 1), torch.zeros(3, 1), candidates, reduction="none")
    close(losses, torch.tensor([2.0, 5.0]).log(), 1e-6)


# ------------------------------------------------------------------------------------------------------- identities


@pytest.mark.parametrize("options", [{}, {"temperature": 0.3}, {"cosine": True}], ids=str)
@pytest.mark.parametrize(
    ("sampled", "full", "num_true"),
    [
        (softmax_loss, full_softmax_loss, None),
        (sampled_logistic_loss, full_logistic_loss, None),
        (sampled_logistic_loss, full_logistic_loss, 3),
    ],
)
def test_with_every_class_the_sampled_losses_are_the_full_ones(sampled, full, num_true, options):
    p = problem(num_true=num_true, ignored=True).with_grad()
    targets = p.candidates.targets
    candidates = EveryClass(C, dtype=torch.float64).draw(targets)
    results = []
    for losses in (
        sampled(p.input, p.weight, candidates, bias=p.bias, reduction="none", **options),
        full(p.input, p.weight, targets, bias=p.bias, reduction="none", **options),
    ):
        upstream = torch.linspace(-1, 2, B, dtype=torch.float64)
        results.append((losses, *gradients((losses * upstream).sum(), p)))
    for actual, expected in zip(*results, strict=True):
        close(actual, expected)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_full_softmax_is_cross_entropy(reduction):
    p = problem(ignored=True).with_grad()
    targets = p.candidates.targets
    expected = F.cross_entropy(p.input @ p.weight.T + p.bias, targets, reduction=reduction)
    actual = full_softmax_loss(p.input, p.weight, targets, bias=p.bias, reduction=reduction)
    close(actual, expected)
    for of_actual, of_expected in zip(gradients(actual.sum(), p), gradients(expected.sum(), p), strict=True):
        close(of_actual, of_expected)


def test_full_logistic_is_binary_cross_entropy():
    p = problem().with_grad()
    targets = torch.tensor([[0, 1], [4, 2], [9, 10], [3, 7], [5, 6]])
    labels = torch.zeros(B, C, dtype=torch.float64).scatter_(1, targets, 1.0)
    scores = p.input @ p.weight.T + p.bias
    expected = F.binary_cross_entropy_with_logits(scores, labels, reduction="none").sum(dim=1)
    actual = full_logistic_loss(p.input, p.weight, targets, bias=p.bias, reduction="none")
    close(actual, expected)
    for of_actual, of_expected in zip(gradients(actual.sum(), p), gradients(expected.sum(), p), strict=True):
        close(of_actual, of_expected)


# ------------------------------------------------------------------------------------------------------- derivatives

DERIVED = {
    "shared": ({}, {}, True),
    "per row, excluded, ignored": ({"per_row": True, "excluded": True, "ignored": True}, {}, True),
    "cosine, no bias": ({}, {"cosine": True, "temperature": 0.5}, False),
    "several true": ({"num_true": 2, "ignored": True}, {"temperature": 2.0}, True),
    "hits turned": ({"per_row": True}, {"remove_hits": None}, True),
}


@pytest.mark.parametrize("kind", DERIVED)
@pytest.mark.parametrize("name", ROWS)
def test_gradcheck(name, kind):
    kind, options, bias = DERIVED[kind]
    if name in ONE_TRUE:
        kind = {**kind, "num_true": None}
    p = problem(**kind).with_grad()
    if "remove_hits" in options:
        options = {"remove_hits": ROWS[name].negatives.value == "S"}

    def losses(input: Tensor, weight: Tensor, *rest: Tensor) -> Tensor:
        return loss(name, Problem(input, weight, *(rest or (p.bias,)), p.candidates), bias=bias, **options)

    leaves = p[: 3 if bias else 2]
    assert torch.autograd.gradcheck(losses, leaves, fast_mode=True)
    assert torch.autograd.gradgradcheck(losses, leaves, fast_mode=True)


@pytest.mark.parametrize("name", SAMPLED)
def test_the_expected_counts_are_constants(name):
    p = problem().with_grad()
    log_q = p.candidates.log_expected_count.requires_grad_()
    candidates = p.candidates._replace(log_expected_count=log_q.detach())
    # Samplers draw under no_grad; a hand-made log Q with a gradient is the caller's own wish.
    loss(name, Problem(*p[:3], candidates)).backward()
    assert log_q.grad is None
    assert not LogUniform(C, 3, seed=1).draw(p.candidates.targets).log_expected_count.requires_grad


# ------------------------------------------------------------------------------------------------- what is touched


@pytest.mark.parametrize("kind", PROBLEMS.values(), ids=PROBLEMS)
@pytest.mark.parametrize("name", SAMPLED)
def test_rows_that_are_neither_target_nor_sampled_have_no_gradient(name, kind):
    p = problem(**kind).with_grad()
    _, of_weight, of_bias = gradients(loss(name, p), p)
    touched = set(p.candidates.ids.flatten().tolist()) | set(p.candidates.targets.flatten().tolist()) - {IGNORED}
    untouched = sorted(set(range(C)) - touched)
    assert 10 in untouched
    assert (of_weight[untouched] == 0).all()
    assert (of_bias[untouched] == 0).all()
    assert (of_weight[9] != 0).all()
    # They are not even read.
    weight, bias = p.weight.detach().clone(), p.bias.detach().clone()
    weight[untouched] = bias[untouched] = torch.nan
    assert torch.equal(loss(name, Problem(p.input, weight, bias, p.candidates)), loss(name, p))


@pytest.mark.parametrize("kind", (PROBLEMS | SEVERAL_TRUE).values(), ids=PROBLEMS | SEVERAL_TRUE)
@pytest.mark.parametrize("name", SAMPLED)
def test_sparse_gradients_are_the_dense_ones_on_the_touched_rows(name, kind):
    if name in ONE_TRUE:
        kind = {**kind, "num_true": None}
    p = problem(**kind).with_grad()
    dense = gradients(loss(name, p, cosine=True), p)
    sparse = gradients(loss(name, p, cosine=True, sparse=True), p)
    assert not dense[1].is_sparse
    close(sparse[0], dense[0])
    touched = set(p.candidates.ids.flatten().tolist()) | set(p.candidates.targets.flatten().tolist()) - {IGNORED}
    for of_sparse, of_dense in zip(sparse[1:], dense[1:], strict=True):
        assert of_sparse.is_sparse
        assert of_sparse.shape == of_dense.shape
        assert set(of_sparse.coalesce().indices()[0].tolist()) <= touched
        close(of_sparse.to_dense(), of_dense)


def test_sparse_gradients_train_with_sparse_adam():
    p = problem().with_grad()
    weight, bias = torch.nn.Parameter(p.weight.detach()), torch.nn.Parameter(p.bias.detach())
    optimizer = torch.optim.SparseAdam([weight, bias], lr=0.1)
    history = []
    for _ in range(20):
        optimizer.zero_grad()
        value = sampled_loss("nce", p.input.detach(), weight, p.candidates, bias=bias, sparse=True)
        value.backward()
        optimizer.step()
        history.append(value.item())
    assert history[-1] < history[0] / 2
    assert torch.equal(weight[10], p.weight[10])


# ------------------------------------------------------------------------------------------- reductions and nothing


@pytest.mark.parametrize("name", ROWS)
def test_reductions(name):
    p = problem(ignored=True)
    losses = loss(name, p, reduction="none")
    assert losses.shape == (B,)
    assert losses[1] == 0
    assert (losses[[0, 2, 3, 4]] > 0).all()
    close(loss(name, p, reduction="sum"), losses.sum())
    close(loss(name, p, reduction="mean"), losses.sum() / (B - 1))
    close(loss(name, p), losses.sum() / (B - 1))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("nothing", ["no rows", "all ignored", "no rows, per row", "all ignored, several true"])
@pytest.mark.parametrize("name", ROWS)
def test_nothing_to_learn_from_is_zero_with_zero_gradients(name, nothing, reduction):
    rows = 0 if "no rows" in nothing else B
    shape = (rows, 2) if "several" in nothing and name not in ONE_TRUE else (rows,)
    targets = torch.full(shape, IGNORED)
    sampled = (rows, S) if "per row" in nothing else (S,)
    candidates = Candidates(torch.ones(sampled, dtype=torch.int64), torch.zeros(sampled), targets, torch.zeros(shape))
    p = Problem(torch.randn(rows, D), torch.randn(C, D), torch.randn(C), candidates).with_grad()
    value = loss(name, p, reduction=reduction)
    assert value.shape == ((rows,) if reduction == "none" else ())
    assert (value == 0).all()
    for gradient in gradients(value.sum(), p):
        assert (gradient == 0).all()


@pytest.mark.parametrize("name", SAMPLED)
def test_no_sampled_classes(name):
    p = problem()
    none = torch.zeros(0, dtype=torch.int64)
    candidates = p.candidates._replace(ids=none, log_expected_count=torch.zeros(0))
    p = Problem(*p[:3], candidates).with_grad()
    losses = loss(name, p, reduction="none")
    close(losses, torch.tensor(student.losses(ROWS[name].name, *p[:2], candidates, bias=p.bias), dtype=torch.float64))
    for sparse in (False, True):
        for gradient in gradients(loss(name, p, sparse=sparse), p):
            assert gradient.to_dense().isfinite().all()


@pytest.mark.parametrize("ignore_index", [-1, 0, 3, 10_000])
@pytest.mark.parametrize("name", ROWS)
def test_ignore_index_may_be_any_number(name, ignore_index):
    """A class id as well, as padding often is: then that class is never a true one, but may be a negative."""
    p = problem(ignored=True)
    p.candidates.targets[p.candidates.targets == ignore_index] = 5
    targets = p.candidates.targets.masked_fill(p.candidates.targets == IGNORED, ignore_index)
    expected = loss(name, p, reduction="none")
    by_hand = Problem(*p[:3], p.candidates._replace(targets=targets))
    close(loss(name, by_hand, reduction="none", ignore_index=ignore_index), expected)
    close(loss(name, by_hand, ignore_index=ignore_index), expected.sum() / (B - 1))


@pytest.mark.parametrize("ignore_index", [-1, 0])
def test_the_same_ignore_index_may_be_given_to_the_sampler_and_to_the_loss(ignore_index):
    targets = torch.tensor([3, ignore_index, 5])
    candidates = LogUniform(C, 4, seed=1).draw(targets, ignore_index=ignore_index)
    p = Problem(torch.randn(3, D), torch.randn(C, D), torch.randn(C), candidates)
    assert loss("nce_loss", p, ignore_index=ignore_index, reduction="none")[1] == 0
    close(loss("nce_loss", p, ignore_index=ignore_index), loss("nce_loss", p))


def test_a_true_class_that_is_none_may_have_any_expected_count():
    """In-batch frequencies of nothing are 0, their logarithm is -inf: neither may reach loss or gradient."""
    for value in (-torch.inf, torch.inf, torch.nan):
        for name in SAMPLED:
            p = problem(ignored=True).with_grad()
            p.candidates.true_log_expected_count[1] = value
            result = loss(name, p)
            assert result.isfinite()
            for gradient in gradients(result, p):
                assert gradient.isfinite().all()


def test_in_batch_negatives_of_a_batch_with_one_row():
    p = problem()
    candidates = InBatch(C, counts=torch.ones(C)).draw(p.candidates.targets[:1])
    p = Problem(p.input[:1], *p[1:3], candidates)
    assert loss("sampled_softmax_loss", p) == 0  # nothing to tell it from
    assert loss("nce_loss", p) > 0


# --------------------------------------------------------------------------------------------------------- numbers


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", ROWS)
def test_half_precision_is_stored_and_float32_computed(name, dtype):
    p = problem(dtype=dtype, ignored=True).with_grad()
    wide = Problem(*(x.detach().float() for x in p[:3]), p.candidates).with_grad()
    actual, expected = loss(name, p, cosine=True), loss(name, wide, cosine=True)
    assert actual.dtype == torch.float32
    close(actual, expected, 1e-6)
    for of_actual, of_expected in zip(gradients(actual, p), gradients(expected, wide), strict=True):
        assert of_actual.dtype == dtype
        # Two uses of a row are summed in its own dtype.
        torch.testing.assert_close(of_actual, of_expected.to(dtype), rtol=2e-2, atol=2e-3)


@pytest.mark.parametrize("name", ROWS)
def test_float64_is_kept_and_mixed_inputs_are_computed_in_the_wider(name):
    p = problem()
    assert loss(name, p).dtype == torch.float64
    mixed = Problem(p.input.half(), p.weight.float(), p.bias.bfloat16(), p.candidates)
    assert loss(name, mixed).dtype == torch.float32
    mixed = Problem(p.input.half(), p.weight, p.bias.float(), p.candidates)
    assert loss(name, mixed).dtype == torch.float64


@pytest.mark.parametrize("name", ROWS)
def test_autocast_changes_nothing(name):
    p = problem(dtype=torch.float32, ignored=True).with_grad()
    expected = loss(name, p)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        actual = loss(name, p)
    assert actual.dtype == torch.float32
    assert torch.equal(actual, expected)
    for of_actual, of_expected in zip(gradients(actual, p), gradients(expected, p), strict=True):
        assert torch.equal(of_actual, of_expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("name", ROWS)
def test_extreme_logits(name, dtype):
    """Logits of +-10^4: finite losses, right to the spacing of floats that far from zero, and finite gradients."""
    p = Problem(*((100 * x.sign()).to(dtype) for x in problem()[:3]), problem().candidates).with_grad()
    value = loss(name, p, reduction="none")
    expected = student.losses(ROWS[name].name, *p[:2], p.candidates, bias=p.bias)
    largest = float((p.input.detach().double() @ p.weight.detach().double().T).abs().max())
    tolerance = 4 * largest * torch.finfo(value.dtype).eps
    torch.testing.assert_close(value.tolist(), expected, rtol=1e-6, atol=tolerance)
    for gradient in gradients(value.sum(), p):
        assert gradient.isfinite().all()


@pytest.mark.parametrize("name", ROWS)
def test_inputs_are_left_as_they_are(name):
    p = problem(excluded=True)
    before = [x.clone() for x in (*p[:3], *p.candidates)]
    loss(name, p, ignore_index=4)
    for actual, expected in zip((*p[:3], *p.candidates), before, strict=True):
        assert torch.equal(actual, expected)


def test_zero_vectors_under_cosine():
    p = problem()
    p = Problem(torch.zeros(B, D), torch.zeros(C, D), torch.zeros(C), p.candidates).with_grad()
    for name in ROWS:
        for gradient in gradients(loss(name, p, cosine=True), p):
            assert gradient.isfinite().all()


def test_strided_views_are_inputs_like_any_others():
    p = problem()
    weight = torch.empty(D, 2 * C, dtype=torch.float64).T[::2]
    weight.copy_(p.weight)
    assert not weight.is_contiguous()
    for name in ROWS:
        for sparse in (False,) if name in FULL else (False, True):
            options = {"sparse": sparse} if sparse else {}
            close(loss(name, Problem(p.input, weight, p.bias, p.candidates), **options), loss(name, p))


# ------------------------------------------------------------------------------------------------------- by name


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_row_may_be_given_by_its_name_or_itself(name):
    p = problem()
    row = OBJECTIVES[name]
    function, last = (sampled_loss, p.candidates) if row.negatives.sampled else (full_loss, p.candidates.targets)
    by_name = function(name, p.input, p.weight, last, bias=p.bias)
    assert torch.equal(by_name, function(row, p.input, p.weight, last, bias=p.bias))
    if f"{name}_loss" in FUNCTIONS:
        assert torch.equal(by_name, loss(f"{name}_loss", p))


def test_no_two_rows_are_the_same_loss():
    p = problem()
    values = [float(loss(name, p)) for name in ROWS]
    assert len({round(value, 6) for value in values}) == len(ROWS)


def test_a_row_of_ones_own():
    """The table can be extended: negative sampling that leaves hits out, as word2vec.c does."""
    p = problem()
    own = type(NEGATIVE_SAMPLING)(
        "word2vec_c",
        OBJECTIVES["sampled_logistic"].negatives,
        False,
        NEGATIVE_SAMPLING.loss,
        NEGATIVE_SAMPLING.approximates,
    )
    actual = sampled_loss(own, p.input, p.weight, p.candidates)
    close(actual, sampled_loss("negative_sampling", p.input, p.weight, p.candidates, remove_hits=True))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_gradients_of_a_narrow_table_are_added_up_in_float32(dtype):
    """A class that is the target of thousands of rows: added up in bfloat16 its gradient would stop at 256."""
    rows = 8192
    weight = torch.zeros(4, 2, dtype=dtype, requires_grad=True)
    bias = torch.zeros(4, dtype=dtype, requires_grad=True)
    candidates = EveryClass(4).draw(torch.zeros(rows, dtype=torch.int64))
    loss = sampled_loss("sampled_softmax", torch.ones(rows, 2), weight, candidates, bias=bias, reduction="sum")
    loss.backward()
    expected = torch.tensor([-0.75, 0.25, 0.25, 0.25]) * rows
    assert weight.grad.dtype == dtype
    torch.testing.assert_close(weight.grad.float(), expected[:, None].expand(4, 2), rtol=4e-3, atol=0)
    torch.testing.assert_close(bias.grad.float(), expected, rtol=4e-3, atol=0)


def test_expected_counts_are_constants_for_autograd():
    input, weight = torch.ones(2, 3), torch.ones(5, 3, requires_grad=True)
    candidates = EveryClass(5).draw(torch.tensor([0, 4]))
    counts = candidates.log_expected_count.clone().requires_grad_()
    true_counts = candidates.true_log_expected_count.clone().requires_grad_()
    candidates = candidates._replace(log_expected_count=counts, true_log_expected_count=true_counts)
    sampled_loss("nce", input, weight, candidates).backward()
    assert counts.grad is None
    assert true_counts.grad is None
    assert weight.grad is not None


@pytest.mark.parametrize("temperature", [1e-45, 1e-300])
def test_temperatures_that_float32_does_not_know_are_refused(temperature):
    with pytest.raises(ValueError, match=r"^temperature: "):
        full_loss("full_softmax", torch.ones(1, 2), torch.ones(3, 2), torch.tensor([1]), temperature=temperature)


@pytest.mark.parametrize("spoil", [lambda w: w.to(torch.float8_e4m3fn), lambda w: w.to_sparse()])
def test_tables_that_no_kernel_reads_are_refused(spoil):
    with pytest.raises(TypeError, match=r"^weight: "):
        full_loss("full_softmax", torch.ones(1, 2), spoil(torch.ones(3, 2)), torch.tensor([1]))
