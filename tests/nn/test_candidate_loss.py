"""The modules: what they own, save and share, what they read off F, and how they compile."""

import copy
import io
import math
import re

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from cases import MODULES, SAMPLED_MODULES, call, falling_counts
from logq.candidates import IGNORED
from logq.kernels import logits as kernel_logits
from logq.nn import CandidateLoss, FullLogisticLoss, FullSoftmaxLoss, NCELoss, NegativeSamplingLoss, SampledSoftmaxLoss
from logq.samplers import EveryClass, InBatch, LearnedUnigram, Uniform, Unigram

B, D, C = 4, 3, 12
NORMALIZED = ["NegativeSamplingLoss", "NCELoss", "SampledSoftmaxLoss", "RefinedSoftmaxLoss", "FullSoftmaxLoss"]
ALONE = ["SampledLogisticLoss", "FullLogisticLoss"]
TARGETS = torch.tensor([3, IGNORED, 0, 11])
FUNCTION = {name: re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower().replace("celoss", "ce_loss") for name in MODULES}


def make(name: str, **options) -> CandidateLoss:
    torch.manual_seed(0)
    module = MODULES[name](D, C, **{"dtype": torch.float64, **options})
    if module.bias is not None:
        nn.init.normal_(module.bias)
    return module


@pytest.fixture
def input() -> torch.Tensor:
    return torch.randn(B, D, dtype=torch.float64, generator=torch.Generator().manual_seed(5))


def close(actual, expected, tolerance=1e-12):
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)


def scores_of(module: CandidateLoss, input: torch.Tensor) -> torch.Tensor:
    """F of all classes, (B, C)."""
    rows = module.weight
    if module.cosine:
        input, rows = nn.functional.normalize(input, dim=1), nn.functional.normalize(rows, dim=1)
    scores = input @ rows.T
    return (scores if module.bias is None else scores + module.bias) / module.temperature


# ------------------------------------------------------------------------------------------------------- training

OPTIONS = [
    {},
    {"bias": False},
    {"cosine": True, "temperature": 0.1},
    {"reduction": "none"},
    {"reduction": "sum", "remove_hits": True},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("name", [name for name in MODULES if name != "CandidateLoss"])
def test_forward_is_the_function_on_a_draw(name, options, input):
    if name.startswith("Full"):
        options = {key: value for key, value in options.items() if key != "remove_hits"}
    module = make(name, **options)
    twin = copy.deepcopy(module)
    candidates = (twin.sampler or EveryClass(C)).draw(TARGETS)
    options = {**options, "bias": module.bias}
    close(module(input, TARGETS), call(FUNCTION[name], input, module.weight, candidates, **options))


@pytest.mark.parametrize("name", SAMPLED_MODULES)
def test_each_call_draws_anew_and_the_same_seed_the_same(name, input):
    one, two = make(name), make(name)
    values = [one(input, TARGETS).item() for _ in range(3)]
    assert len(set(values)) == 3
    assert [two(input, TARGETS).item() for _ in range(3)] == values


@pytest.mark.parametrize("name", MODULES)
def test_it_learns(name):
    """From a one-hot input to its class: the true class ends up the best one."""
    module = make(name, dtype=torch.float32)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.3)
    input, targets = 3 * torch.eye(D), torch.tensor([7, 2, 9])
    for _ in range(40):
        optimizer.zero_grad()
        module(input, targets).backward()
        optimizer.step()
    assert torch.equal(module.topk(input, 1).ids[:, 0], targets)


@pytest.mark.parametrize("name", SAMPLED_MODULES)
def test_sparse_gradients(name, input):
    dense, sparse = make(name), make(name, sparse=True)
    dense(input, TARGETS).backward()
    sparse(input, TARGETS).backward()
    for of_dense, of_sparse in zip(dense.parameters(), sparse.parameters(), strict=True):
        assert of_sparse.grad.is_sparse
        assert not of_dense.grad.is_sparse
        close(of_sparse.grad.to_dense(), of_dense.grad)


@pytest.mark.parametrize("ignore_index", [-1, 0])
@pytest.mark.parametrize("name", MODULES)
def test_ignore_index(name, ignore_index, input):
    targets = torch.tensor([3, ignore_index, 5, 11])
    losses = make(name, reduction="none", ignore_index=ignore_index)(input, targets)
    assert losses[1] == 0
    assert (losses[[0, 2, 3]] > 0).all()
    close(make(name, ignore_index=ignore_index)(input, targets), losses.sum() / 3)
    log_p = make(name, ignore_index=ignore_index).log_prob(input, targets)
    assert log_p[1] == 0
    assert (log_p[[0, 2, 3]] < 0).all()


@pytest.mark.parametrize("name", MODULES)
def test_an_empty_batch(name):
    module = make(name)
    value = module(torch.zeros(0, D, dtype=torch.float64), torch.zeros(0, dtype=torch.int64))
    assert value == 0
    value.backward()
    assert (module.weight.grad == 0).all()
    assert module.log_prob(torch.zeros(0, D).double()).shape == (0, C)
    assert module.log_prob(torch.zeros(0, D).double(), torch.zeros(0, dtype=torch.int64)).shape == (0,)
    assert module.topk(torch.zeros(0, D).double(), 2).ids.shape == (0, 2)


# ---------------------------------------------------------------------------------------------------------- log P


@pytest.mark.parametrize("name", NORMALIZED)
def test_log_p_is_a_distribution(name, input):
    module = make(name, temperature=0.5)
    log_p = module.log_prob(input)
    close(log_p.exp().sum(dim=1), torch.ones(B).double())
    shift = module.sampler.log_expected_count(torch.arange(C)) if name == "NegativeSamplingLoss" else 0
    close(log_p, (scores_of(module, input) + shift).log_softmax(dim=1))


@pytest.mark.parametrize("name", ALONE)
def test_log_p_of_the_rows_of_log_odds_is_a_sigmoid(name, input):
    module = make(name, cosine=True)
    close(module.log_prob(input).exp(), scores_of(module, input).sigmoid())


def test_negative_sampling_needs_q_to_get_back_to_p(input):
    """F approximates log P/Q: of two classes with equal F the one that is drawn more often is the likelier."""
    module = make("NegativeSamplingLoss")
    nn.init.zeros_(module.weight)
    nn.init.zeros_(module.bias)
    counts = falling_counts(C)
    close(module.log_prob(input).exp(), (counts / counts.sum()).expand(B, -1))
    assert torch.equal(module.topk(input, 3).ids, torch.tensor([0, 1, 2]).expand(B, -1))


def test_a_class_that_is_never_drawn_has_p_0_under_negative_sampling(input):
    sampler = Unigram([0, *range(1, C)], 4, seed=1, dtype=torch.float64)
    module = NegativeSamplingLoss(D, C, sampler, dtype=torch.float64)
    log_p = module.log_prob(input)
    assert (log_p[:, 0] == -math.inf).all()
    close(log_p.exp().sum(dim=1), torch.ones(B).double())
    assert not (module.topk(input, C - 1).ids == 0).any()


@pytest.mark.parametrize("chunk", [1, 10, B * 5, 1 << 22])
@pytest.mark.parametrize("name", MODULES)
def test_log_p_of_some_is_gathered_from_that_of_all(name, chunk, input, monkeypatch):
    module = make(name, temperature=2.0)
    expected = module.log_prob(input)
    monkeypatch.setattr(kernel_logits, "CHUNK_LOGITS", chunk)
    close(module.log_prob(input), expected)
    for shape in ((B,), (B, 1), (B, 5)):
        targets = torch.randint(C, shape, generator=torch.Generator().manual_seed(1))
        gathered = expected.gather(1, targets.view(B, -1)).view(shape)
        close(module.log_prob(input, targets), gathered)
        targets[2] = IGNORED
        some = module.log_prob(input, targets)
        assert (some[2] == 0).all()
        close(some[3], gathered[3])


@pytest.mark.parametrize("chunk", [1, 10, B * 5, 1 << 22])
@pytest.mark.parametrize("k", [1, 3, C])
@pytest.mark.parametrize("name", MODULES)
def test_topk_is_that_of_log_p(name, k, chunk, input, monkeypatch):
    module = make(name)
    expected = module.log_prob(input).topk(k, dim=1)
    monkeypatch.setattr(kernel_logits, "CHUNK_LOGITS", chunk)
    best = module.topk(input, k)
    close(best.log_prob, expected.values)
    assert torch.equal(best.ids, expected.indices)
    assert not best.log_prob.requires_grad


def test_log_p_has_gradients(input):
    """Full softmax loss is minus log P of the target, gradients and all."""
    module = make("FullSoftmaxLoss")
    targets = torch.tensor([3, 1, 0, 11])
    by_loss = torch.autograd.grad(module(input, targets), module.parameters())
    by_log_p = torch.autograd.grad(-module.log_prob(input, targets).mean(), module.parameters())
    for one, other in zip(by_loss, by_log_p, strict=True):
        close(one, other)


# ------------------------------------------------------------------------------------------------- where it starts


@pytest.mark.parametrize("name", MODULES)
def test_the_bias_starts_where_all_classes_are_alike(name, input):
    module = MODULES[name](D, C, dtype=torch.float64, temperature=0.2)
    nn.init.zeros_(module.weight)
    log_p = module.log_prob(input)
    if name in ALONE or name in ("NCELoss", "CandidateLoss"):
        close(
            scores_of(module, input).exp() if name not in ALONE else log_p.exp(),
            torch.full((B, C), 1 / C, dtype=torch.float64),
        )
    else:
        assert (module.bias == 0).all()


def test_the_class_table_starts_as_that_of_a_linear_layer():
    # The standard deviation of 25,000 uniform numbers is off by 0.3 %: seven times that never happens.
    module = FullSoftmaxLoss(25, 1000)
    assert 0.199 < module.weight.abs().max() <= 0.2
    assert module.weight.std().item() == pytest.approx(0.2 / math.sqrt(3), rel=0.02)
    before = module.weight.detach().clone()
    module.reset_parameters()
    assert not torch.equal(before, module.weight)


# ------------------------------------------------------------------------------------------------- what it owns


@pytest.mark.parametrize("name", MODULES)
def test_state_goes_through_a_file_without_pickle(name, input):
    module, other = make(name), MODULES[name](D, C, dtype=torch.float64)
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    of_sampler = {f"sampler.{key}" for key in module.sampler.state_dict()} if module.sampler is not None else set()
    assert set(module.state_dict()) == {"weight", "bias"} | of_sampler
    close(other.log_prob(input), module.log_prob(input), 0)


@pytest.mark.parametrize("name", MODULES)
def test_made_on_the_device_meta_and_loaded_it_is_the_same(name, input):
    module = make(name)
    with torch.device("meta"):
        other = MODULES[name](D, C, dtype=torch.float64)
    assert all(parameter.device.type == "meta" for parameter in other.parameters())
    other.to_empty(device="cpu").load_state_dict(module.state_dict())
    for _ in range(2):
        close(other(input, TARGETS), module(input, TARGETS), 0)
    close(other.log_prob(input), module.log_prob(input), 0)


def test_state_of_a_sampler_that_learns_is_part_of_it(input):
    def new() -> CandidateLoss:
        return NegativeSamplingLoss(D, C, LearnedUnigram(C, 4, seed=1, dtype=torch.float64), dtype=torch.float64)

    module, other = new(), new()
    module(input, TARGETS)
    other.load_state_dict(module.state_dict())
    close(other.log_prob(input), module.log_prob(input), 0)
    counts = module.sampler.counts.clone()
    module.eval()(input, TARGETS)
    assert torch.equal(module.sampler.counts, counts)


@pytest.mark.parametrize("name", MODULES)
def test_deepcopy(name, input):
    module = make(name)
    module(input, TARGETS)  # the generator exists by now
    other = copy.deepcopy(module)
    assert other.weight is not module.weight
    close(other(input, TARGETS), module(input, TARGETS), 0)  # and goes on from the same place
    with torch.no_grad():
        other.weight.zero_()
    assert (module.weight != 0).any()


@pytest.mark.parametrize("name", MODULES)
def test_tying_the_class_table(name, input):
    embedding = nn.Embedding(C, D, dtype=torch.float64)
    before = embedding.weight.detach().clone()
    module = MODULES[name](D, C, weight=embedding.weight)
    assert module.weight is embedding.weight
    assert torch.equal(embedding.weight, before)  # a shared table is not drawn again
    module(embedding(torch.tensor([1, 2, 3, 4])), TARGETS).backward()
    both = embedding.weight.grad
    model = nn.ModuleDict({"embedding": embedding, "loss": module})
    assert len(list(model.parameters())) == 2  # the table once, and the bias
    frozen = embedding.weight.detach().clone().requires_grad_()
    module(nn.functional.embedding(torch.tensor([1, 2, 3, 4]), frozen), TARGETS).backward()
    assert (frozen.grad[1] != 0).all()
    assert both.abs().sum() > 0


@pytest.mark.parametrize("name", MODULES)
def test_dtypes(name, input):
    module = make(name).float()
    assert module(input.float(), TARGETS).dtype == torch.float32
    assert module.double()(input, TARGETS).dtype == torch.float64
    for dtype in (torch.float16, torch.bfloat16):
        low = make(name).float().to(dtype)
        assert low.weight.dtype == dtype
        value = low(input.to(dtype), TARGETS)
        assert value.dtype == torch.float32
        value.backward()
        assert low.weight.grad.dtype == dtype
        assert low.log_prob(input.to(dtype)).dtype == torch.float32
        assert low.topk(input.to(dtype), 2).log_prob.dtype == torch.float32
        if low.sampler is not None:
            assert low.sampler.dtype == torch.float32


@pytest.mark.parametrize("name", MODULES)
def test_meta(name):
    module = make(name).to("meta")
    assert all(parameter.is_meta for parameter in module.parameters())
    made = MODULES[name](D, C, device="meta")
    assert made.weight.is_meta
    back = make(name).to("meta").to_empty(device="cpu")
    back.reset_parameters()
    assert back.weight.isfinite().all()


@pytest.mark.parametrize("name", MODULES)
def test_autocast(name, input):
    one, two = make(name).float(), make(name).float()
    expected = one(input.float(), TARGETS)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        actual = two(input.float(), TARGETS)
        assert two.log_prob(input.float()).dtype == torch.float32
    assert actual.dtype == torch.float32
    assert torch.equal(actual, expected)


def test_repr():
    shown = repr(SampledSoftmaxLoss(D, C, Uniform(C, 4), bias=False, temperature=0.05, cosine=True))
    assert "sampled_softmax, in_features=3, num_classes=12, bias=False, temperature=0.05, cosine" in shown
    assert "Uniform(num_classes=12, num_sampled=4)" in shown


def test_one_class():
    """log odds of P = 1 are infinite; the bias starts at 0 instead."""
    for name in MODULES:
        if name.startswith("Full"):
            module = MODULES[name](D, 1)
        else:
            module = CandidateLoss(make(name).objective, D, 1, Uniform(1, 2, seed=1))
        value = module(torch.randn(2, D), torch.zeros(2, dtype=torch.int64))
        assert value.isfinite()


def test_in_batch_negatives():
    module = SampledSoftmaxLoss(D, C, InBatch(C, counts=torch.ones(C)), bias=False)
    value = module(torch.randn(B, D), torch.tensor([1, 2, 3, 1]))
    value.backward()
    touched = module.weight.grad.abs().sum(dim=1).nonzero().flatten()
    assert touched.tolist() == [1, 2, 3]


# -------------------------------------------------------------------------------------------------------- compile


@pytest.mark.parametrize("name", ["SampledSoftmaxLoss", "FullSoftmaxLoss"])
def test_compile_breaks_the_graph_at_the_sampler_only(name, input):
    torch._dynamo.reset()
    one, two = make(name), make(name)
    explained = torch._dynamo.explain(make(name))(input, TARGETS)
    # What stands before the draw computes nothing: the rest is one graph.
    assert explained.graph_count == 1
    assert all("draw" in str(reason.reason) + str(reason.user_stack) for reason in explained.break_reasons)
    if not name.startswith("Full"):
        torch._dynamo.reset()
        with pytest.raises(torch._dynamo.exc.Unsupported, match="draw"):
            torch.compile(make(name), backend="eager", fullgraph=True)(input, TARGETS)
    compiled = torch.compile(two, backend="aot_eager", fullgraph=name.startswith("Full"))
    for _ in range(2):
        expected, actual = one(input, TARGETS), compiled(input, TARGETS)
        close(actual, expected)
        expected_gradients = torch.autograd.grad(expected, one.parameters())
        for gradient, other in zip(torch.autograd.grad(actual, two.parameters()), expected_gradients, strict=True):
            close(gradient, other)
    torch._dynamo.reset()


# -------------------------------------------------------------------------------------------------- bad arguments

BAD = {
    "in_features": [0, -1, None, 2.0, "3", True],
    "num_classes": [0, -1, None, 2.0, "3", True],
    "bias": [None, 1, "yes", torch.zeros(C)],
    "weight": [3, torch.zeros(C, D), nn.Parameter(torch.zeros(C, D + 1)), nn.Parameter(torch.zeros(C)), "tied"],
    "temperature": [0, -1.0, math.nan, math.inf, None, "1", True],
    "cosine": [None, 1, "no"],
    "reduction": ["average", None, True, ["mean"]],
    "ignore_index": [None, "x", 0.5, True],
    "dtype": [torch.int64, torch.bool, torch.complex64, "float32"],
}


@pytest.mark.parametrize(("argument", "bad"), [(key, bad) for key, values in BAD.items() for bad in values], ids=str)
@pytest.mark.parametrize("name", ["NCELoss", "FullSoftmaxLoss"])
def test_bad_arguments(name, argument, bad):
    arguments = {"in_features": D, "num_classes": C, argument: bad}
    if name == "NCELoss":
        arguments["sampler"] = Uniform(C, 4)
    with pytest.raises((ValueError, TypeError), match=rf"^{argument}: "):
        {"NCELoss": NCELoss, "FullSoftmaxLoss": FullSoftmaxLoss}[name](**arguments)


@pytest.mark.parametrize("bad", [None, "uniform", 5, Uniform, nn.Linear(2, 2), Uniform(C + 1, 4)], ids=str)
def test_bad_samplers(bad):
    with pytest.raises((ValueError, TypeError), match=r"^sampler: "):
        NCELoss(D, C, bad)


@pytest.mark.parametrize(
    ("argument", "bad"), [("remove_hits", 1), ("remove_hits", "yes"), ("sparse", None), ("sparse", 1)]
)
def test_bad_options_of_sampled_modules(argument, bad):
    with pytest.raises(TypeError, match=rf"^{argument}: "):
        NCELoss(D, C, Uniform(C, 4), **{argument: bad})


def test_bad_combinations():
    with pytest.raises(ValueError, match="sampler: expected None, as full_softmax uses every class"):
        CandidateLoss("full_softmax", D, C, Uniform(C, 4))
    with pytest.raises(ValueError, match="sparse: expected False, as full_softmax touches all classes"):
        FullSoftmaxLoss(D, C, sparse=True)
    with pytest.raises(ValueError, match="objective: expected one of negative_sampling, nce"):
        CandidateLoss("softmax", D, C)
    with pytest.raises(ValueError, match="weight: expected shape"):
        FullSoftmaxLoss(D, C, weight=nn.Parameter(torch.zeros(D, C)))
    with pytest.raises(TypeError, match="weight: expected a floating point dtype"):
        FullSoftmaxLoss(D, C, weight=nn.Parameter(torch.zeros(C, D, dtype=torch.int64), requires_grad=False))
    with pytest.raises(TypeError, match="tempurature"):
        FullLogisticLoss(D, C, tempurature=1.0)


@pytest.mark.parametrize(
    "bad", [None, [0.0] * D, torch.zeros(D), torch.zeros(B, D + 1), torch.zeros(B, D).long()], ids=str
)
@pytest.mark.parametrize("name", ["NCELoss", "FullSoftmaxLoss"])
def test_bad_input(name, bad):
    module = make(name)
    for method in (
        lambda: module(bad, TARGETS),
        lambda: module.log_prob(bad),
        lambda: module.log_prob(bad, TARGETS),
        lambda: module.topk(bad, 2),
    ):
        with pytest.raises((ValueError, TypeError), match=r"^input: "):
            method()


BAD_TARGETS = {
    "none": None,
    "a list": [0] * B,
    "int32": TARGETS.int(),
    "floats": TARGETS.double(),
    "too large": torch.tensor([0, C, 0, 0]),
    "negative": torch.tensor([0, -1, 0, 0]),
    "too many": torch.zeros(B + 1, dtype=torch.int64),
    "a cube": torch.zeros(B, 1, 1, dtype=torch.int64),
    "no columns": torch.zeros(B, 0, dtype=torch.int64),
}


@pytest.mark.parametrize("bad", BAD_TARGETS.values(), ids=BAD_TARGETS)
@pytest.mark.parametrize("name", ["NCELoss", "FullSoftmaxLoss"])
def test_bad_targets(name, bad, input):
    module = make(name)
    for method in (module, module.log_prob):
        if bad is not None or method is module:
            with pytest.raises((ValueError, TypeError), match=r"^(candidates\.)?targets: "):
                method(input, bad)


@pytest.mark.parametrize("bad", [0, -1, C + 1, None, 1.0, "2", True], ids=str)
def test_bad_k(bad, input):
    with pytest.raises((ValueError, TypeError), match=r"^k: "):
        make("NCELoss").topk(input, bad)


def test_resetting_leaves_a_shared_table_alone():
    table = torch.nn.Embedding(9, 4, padding_idx=0)
    before = table.weight.detach().clone()
    module = FullSoftmaxLoss(4, 9, weight=table.weight)
    torch.nn.init.ones_(module.bias)
    module.reset_parameters()
    assert torch.equal(table.weight, before)
    assert not bool(module.bias.any())


def test_log_p_has_gradients_where_a_chunk_of_classes_is_never_drawn(monkeypatch):
    """Classes 3.. have Q = 0, and so log P = -inf: alone in a chunk they once made the gradient of all others NaN."""
    module = NegativeSamplingLoss(4, 9, Unigram([1, 2, 3, 0, 0, 0, 0, 0, 0], 2, seed=1))
    input, targets = torch.ones(2, 4, requires_grad=True), torch.tensor([0, 2])
    whole = module.log_prob(input, targets)
    (expected,) = torch.autograd.grad(whole.sum(), input)
    monkeypatch.setattr(kernel_logits, "CHUNK_LOGITS", 6)
    chunked = module.log_prob(input, targets)
    torch.testing.assert_close(chunked, whole)
    (gradient,) = torch.autograd.grad(chunked.sum(), input)
    torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize("name", ["nce", "sampled_logistic", "sampled_softmax"])
def test_a_true_class_that_is_never_drawn_is_refused_when_compiled_too(name):
    module = CandidateLoss(name, 3, 4, Unigram([0, 1, 1, 5], 4, seed=1))
    for loss in (module, torch.compile(module, backend="eager")):
        with pytest.raises(ValueError, match=r"0.*its log Q is not finite"):
            loss(torch.ones(2, 3), torch.tensor([3, 0]))


def test_averaged_weights_are_read_by_what_the_model_has_learned():
    """The copy of AveragedModel learns nothing by itself: the sampler's state is handed over, as docs/frameworks.md."""
    loss = NegativeSamplingLoss(3, 12, LearnedUnigram(12, 5, seed=1))
    averaged = AveragedModel(loss, multi_avg_fn=get_ema_multi_avg_fn(0.0))
    for _ in range(4):
        loss(torch.ones(2, 3), torch.tensor([7, 7])).backward()
        averaged.update_parameters(loss)
    averaged.module.sampler.load_state_dict(loss.sampler.state_dict())
    input = torch.randn(2, 3, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(averaged.module.log_prob(input), loss.log_prob(input))
    q = averaged.module.sampler.log_prob(torch.arange(12)).exp()
    torch.testing.assert_close(q, (1 + 8 * (torch.arange(12) == 7)) / 20)
