"""What holds for every sampler, whatever its distribution. The instances are those of tests/cases.py."""

import copy
import io
import pickle
from collections.abc import Callable

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from cases import SAMPLED, SAMPLERS
from frequencies import assert_frequencies, assert_mean
from logq.candidates import IGNORED, Candidates
from logq.functional import sampled_logistic_loss
from logq.samplers import Sampler
from logq.samplers.kept_tensors import unpacked

C, SEED = 40, 7
TARGETS = torch.tensor([3, 0, 39, 3, 17])

every_sampler = pytest.mark.parametrize("name", SAMPLERS)


def where(condition: Callable[[str], bool]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("name", [name for name in SAMPLERS if condition(name)])


def is_random(name: str) -> bool:
    """Whether it draws anything: the others return the classes of the batch, of a part, or all."""
    if name == "in_batch-sampled":
        return True
    return name not in ("every_class", "partition") and not name.startswith(("in_batch", "cross_batch"))


def takes_the_batch(name: str) -> bool:
    return "in_batch" in name or "cross_batch" in name


def learns(name: str) -> bool:
    return "learned_unigram" in name or name == "in_batch-streaming" or "cross_batch" in name


def make(name: str, *, dtype: torch.dtype = torch.float64, seed: int = SEED) -> Sampler:
    return SAMPLERS[name](C, dtype, seed)


def draw_more(sampler: Sampler, num_sampled: int) -> None:
    """Let it and its parts make another number of draws."""
    for part in sampler.modules():
        if getattr(part, "num_sampled", None) is not None:
            part.num_sampled = num_sampled


def differences(one: Candidates, other: Candidates) -> list[str]:
    """The fields that differ by a bit or more."""
    return [
        name
        for name, a, b in zip(Candidates._fields, one, other, strict=True)
        if (a is None) != (b is None) or (a is not None and not torch.equal(a, b))
    ]


# ---------------------------------------------------------------------------------------------------- the distribution


@where(lambda name: is_random(name) and not takes_the_batch(name) and "distinct" not in name)
def test_a_million_draws_have_the_distribution(name, seed):
    """Chi-square; fails with one seed in ten million, and for mixtures, whose parts have fixed shares, more rarely."""
    sampler = make(name, seed=seed)
    draw_more(sampler, 1_000_000 // C if "per_row" in name else 1_000_000)
    candidates = sampler.draw(torch.arange(C))
    assert candidates.ids.numel() >= 1_000_000
    expected = candidates.true_log_expected_count.exp()
    assert_frequencies(candidates.ids, expected / candidates.ids.shape[-1])


@where(lambda name: not takes_the_batch(name) and "distinct" in name)
def test_mean_expected_count_of_distinct_draws_is_their_mean_count(name, seed):
    """The mean of count - Q is 0 for every class and that of count / Q is 1, within 6.5 standard errors.

    Rare classes share a group, weighted by their mean Q: where fewer than 200 draws are expected, by chance there are
    too few more often than the normal distribution says. So this fails with less than one seed in a million.
    """
    sampler = make(name, seed=seed).eval()
    if "per_row" in name:
        draws = [sampler.draw(torch.arange(C).expand(10_000, C))]
    else:
        draws = [sampler.draw(torch.arange(C)) for _ in range(1_000)]
    ids = torch.cat([draw.ids.view(-1, draw.ids.shape[-1]) for draw in draws])
    expected = torch.cat([draw.true_log_expected_count.exp().view(-1, C) for draw in draws])
    counts = torch.zeros(ids.shape[0], C).scatter_add_(1, ids, torch.ones(ids.shape))
    of_class = expected.mean(dim=0)
    groups = groups_of(of_class * len(counts), 200)
    assert len(groups) > 4
    for group in [*groups, list(range(C))]:  # in the sum of all, what is wrong with each adds up
        assert_mean((counts - expected)[:, group].sum(dim=1), 0.0)
        assert_mean(((counts / expected - 1) * of_class)[:, group].sum(dim=1), 0.0)


def groups_of(expected: Tensor, least: int) -> list[list[int]]:
    """Classes from the rarest on, in groups of which `least` draws are expected."""
    groups: list[list[int]] = [[]]
    for class_ in expected.argsort().tolist():
        if float(expected[groups[-1]].sum()) >= least:
            groups.append([])
        groups[-1].append(class_)
    return groups


@where(lambda name: not name.endswith("_batch-streaming"))  # estimated one by one, its frequencies need not add up to 1
def test_expected_counts_add_up_to_the_size_of_the_sample(name):
    sampler = make(name).eval()
    size = sampler.draw(TARGETS).ids.shape[-1]
    if takes_the_batch(name):
        sampler.train().draw(TARGETS)
        size -= 1  # one of the targets is the row's own
    if name == "in_batch-sampled":
        size = 2 * (len(TARGETS) - 1) / len(TARGETS)  # or none, where it was not taken
    total = sampler.log_expected_count(torch.arange(C)).exp().sum().item()
    assert total == pytest.approx(size, rel=1e-9 if name != "in_batch-sampled" else 1e-7)  # what it keeps is float32


@every_sampler
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_expected_counts_are_finite_for_classes_that_can_be_drawn(name, dtype):
    sampler = make(name, dtype=dtype)
    for _ in range(10):
        candidates = sampler.draw(torch.arange(C))
        for log_q in (candidates.log_expected_count, candidates.true_log_expected_count):
            assert log_q.dtype == dtype
            assert bool(log_q.isfinite().all())
    assert bool(sampler.log_expected_count(torch.arange(C)).isfinite().all())


@every_sampler
def test_single_precision_agrees_with_double(name):
    one, other = make(name, dtype=torch.float32).draw(TARGETS), make(name).draw(TARGETS)
    assert torch.equal(one.ids, other.ids)
    torch.testing.assert_close(one.log_expected_count.double(), other.log_expected_count, rtol=0, atol=3e-6)
    torch.testing.assert_close(one.true_log_expected_count.double(), other.true_log_expected_count, rtol=0, atol=3e-6)


@every_sampler
def test_a_class_has_one_expected_count_as_target_and_as_sample(name):
    sampler = make(name)
    candidates = sampler.draw(torch.arange(C))
    if candidates.ids.dim() == 1:
        of_class = candidates.true_log_expected_count
        assert torch.equal(candidates.log_expected_count, of_class[candidates.ids])
    else:
        candidates = sampler.draw(torch.arange(C).expand(3, C))
        of_class = candidates.true_log_expected_count
        assert torch.equal(candidates.log_expected_count, of_class.gather(1, candidates.ids))


@where(lambda name: "distinct" in name and "mixture" not in name)
def test_distinct_draws_are_distinct(name):
    sampler = make(name)
    for _ in range(20):
        ids = sampler.draw(TARGETS).ids.view(-1, SAMPLED).sort(dim=1).values
        assert bool((ids[:, 1:] > ids[:, :-1]).all())


# ------------------------------------------------------------------------------------------------------------- shapes


@every_sampler
@pytest.mark.parametrize("shape", [(5,), (5, 1), (5, 3), (1,), (0,), (0, 2)])
def test_shapes(name, shape):
    targets = torch.arange(int(torch.tensor(shape).prod())).view(shape) % C
    candidates = make(name).draw(targets)
    check_form(name, candidates, targets)


@every_sampler
@pytest.mark.parametrize("shape", [(4,), (4, 3)])
def test_batches_of_ignored_rows(name, shape):
    targets = torch.full(shape, IGNORED)
    candidates = make(name).draw(targets)
    check_form(name, candidates, targets)
    assert not bool(candidates.is_true().any())
    assert not bool(candidates.true_log_expected_count.any())


@every_sampler
@settings(max_examples=10)
@given(data=st.data())
def test_any_targets(name, data):
    rows, columns = data.draw(st.integers(0, 6)), data.draw(st.integers(0, 3))
    entry = st.integers(0, C - 1) | st.just(IGNORED)
    size = rows * max(1, columns)
    flat = data.draw(st.lists(entry, min_size=size, max_size=size))
    targets = torch.tensor(flat, dtype=torch.int64).view((rows, columns) if columns else (rows,))
    check_form(name, make(name).draw(targets), targets)


def check_form(name: str, candidates: Candidates, targets: Tensor) -> None:
    ids = candidates.ids
    assert ids.dtype == torch.int64
    assert bool(((ids >= 0) & (ids < C)).all())
    assert ids.dim() == (2 if "per_row" in name else 1)
    if "per_row" in name:
        assert ids.shape[0] == targets.shape[0]
    # Rows with different numbers of true classes have different numbers of in-batch negatives.
    shapes = [ids.shape] if not takes_the_batch(name) else [ids.shape, (targets.shape[0], ids.shape[-1])]
    assert candidates.log_expected_count.shape in shapes
    assert torch.equal(candidates.targets, targets)
    assert candidates.true_log_expected_count.shape == targets.shape
    for log_q in (candidates.log_expected_count, candidates.true_log_expected_count):
        assert log_q.dtype == torch.float64
        assert not bool(log_q.isnan().any())
        assert not log_q.requires_grad
    assert bool((candidates.true_log_expected_count[targets == IGNORED] == 0).all())
    assert (candidates.excluded is not None) == takes_the_batch(name)
    if candidates.excluded is not None:
        assert candidates.excluded.dtype == torch.bool
        assert candidates.excluded.shape == (targets.shape[0], ids.shape[-1])


@every_sampler
def test_layout_of_targets_does_not_matter(name):
    targets = torch.tensor([[1, 2, 3], [4, IGNORED, 6]]).t()
    assert not targets.is_contiguous()
    assert not differences(make(name).draw(targets), make(name).draw(targets.contiguous()))


@every_sampler
@pytest.mark.parametrize("ignore_index", [0, -1])
def test_ignore_index(name, ignore_index):
    targets = torch.tensor([[3, ignore_index], [ignore_index, ignore_index], [5, 6]])
    candidates = make(name).draw(targets, ignore_index=ignore_index)
    hidden = targets.masked_fill(targets == ignore_index, IGNORED)
    assert not differences(candidates, make(name).draw(hidden))
    assert torch.equal(candidates.is_true(), targets != ignore_index)
    assert targets[1, 0] == ignore_index, "the caller's targets were changed"


# --------------------------------------------------------------------------------------------------------- randomness


@every_sampler
def test_same_seed_same_draws(name):
    one, other = make(name), make(name)
    for _ in range(3):
        assert not differences(one.draw(TARGETS), other.draw(TARGETS))


@where(is_random)
def test_draws_differ(name):
    sampler, other = make(name), make(name, seed=SEED + 1)
    first = sampler.draw(TARGETS).ids
    assert not torch.equal(first, sampler.draw(TARGETS).ids), "the second draw repeats the first"
    assert not torch.equal(first, other.draw(TARGETS).ids), "another seed repeats the draw"


@every_sampler
def test_global_randomness_is_neither_used_nor_touched(name):
    sampler, twin = make(name), make(name)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one = sampler.draw(TARGETS)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert not differences(one, twin.draw(TARGETS))


@every_sampler
def test_generator_as_argument(name):
    sampler, twin = make(name), make(name, seed=SEED + 1)
    own = sampler.generator.get_state()
    one = sampler.draw(TARGETS, generator=torch.Generator().manual_seed(5))
    other = twin.draw(TARGETS, generator=torch.Generator().manual_seed(5))
    assert not differences(one, other)
    assert torch.equal(sampler.generator.get_state(), own), "its own generator was used"


@every_sampler
def test_state_of_the_generator_continues_a_run(name):
    sampler = make(name)
    state = sampler.generator.get_state()
    drawn = [sampler.eval().draw(TARGETS) for _ in range(3)]
    sampler.generator.set_state(state)
    for one in drawn:
        assert not differences(one, sampler.draw(TARGETS))


@every_sampler
def test_a_run_goes_on_exactly_from_its_state_dict(name):
    sampler = make(name)
    for batch in range(5):  # of a learned distribution most targets are in its table then, and some in its list
        sampler.draw((torch.arange(500) * batch) % C)
    later = make(name, seed=99)
    later.draw(TARGETS)
    later.load_state_dict(through_a_file(sampler.state_dict()))
    for _ in range(3):
        assert not differences(sampler.draw(TARGETS), later.draw(TARGETS))
    classes = torch.arange(C)
    assert torch.equal(sampler.log_expected_count(classes), later.log_expected_count(classes))


def through_a_file(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """As a checkpoint of tensors, in the format that allows for nothing else."""
    return safetensors.torch.load(safetensors.torch.save(state))


@every_sampler
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda sampler: pickle.loads(pickle.dumps(sampler))])
def test_copies_continue_the_same_stream(name, copied):
    sampler = make(name)
    sampler.draw(TARGETS)
    twin = copied(sampler)
    for _ in range(3):
        assert not differences(sampler.draw(TARGETS), twin.draw(TARGETS))


# ------------------------------------------------------------------------------------------------- as a torch module


@every_sampler
@pytest.mark.parametrize(("dtype", "half"), [(torch.float32, torch.float16), (torch.float64, torch.bfloat16)])
def test_half_precision_models_leave_it_as_it_is(name, dtype, half):
    model = nn.ModuleDict({"linear": nn.Linear(2, 2), "sampler": make(name, dtype=dtype)})
    model = model.half() if half == torch.float16 else model.to(half)
    assert model["linear"].weight.dtype == half
    twin = make(name, dtype=dtype)
    for _ in range(2):
        candidates = model["sampler"].draw(TARGETS)
        assert candidates.log_expected_count.dtype == dtype
        assert not differences(candidates, twin.draw(TARGETS))


@every_sampler
def test_double_makes_its_logs_double(name):
    sampler, twin = make(name, dtype=torch.float32).double(), make(name)
    one, other = sampler.draw(TARGETS), twin.draw(TARGETS)
    assert one.log_expected_count.dtype == one.true_log_expected_count.dtype == torch.float64
    assert torch.equal(one.ids, other.ids)
    torch.testing.assert_close(one.true_log_expected_count, other.true_log_expected_count, rtol=0, atol=1e-6)


@every_sampler
def test_it_has_no_parameters(name):
    assert not list(make(name).parameters())


@every_sampler
def test_state_dict_carries_what_was_learned(name):
    sampler = make(name)
    for batch in range(5):
        sampler.draw((torch.arange(30) * batch) % C)
    saved = io.BytesIO()
    torch.save(sampler.state_dict(), saved)
    saved.seek(0)
    later = make(name)
    later.load_state_dict(torch.load(saved, weights_only=True))
    classes = torch.arange(C)
    assert torch.equal(sampler.log_expected_count(classes), later.log_expected_count(classes))
    if "distinct" not in name:
        # (Expected counts of distinct draws depend on the draw, which comes from another state of the generator.)
        one, other = sampler.draw(TARGETS), later.draw(TARGETS)
        assert torch.equal(one.true_log_expected_count, other.true_log_expected_count)
        assert torch.equal(sampler.log_expected_count(classes), later.log_expected_count(classes))


def what_is_learned(sampler: Sampler) -> dict[str, Tensor]:
    """All of the state but those of generators."""
    return {
        f"{key}.{name}": value.clone()
        for key, state in sampler.state_dict().items()
        for name, value in unpacked(state).items()
        if not name.startswith("generator")
    }


@every_sampler
def test_eval_does_not_learn(name):
    sampler = make(name)
    sampler.draw(TARGETS)
    before = what_is_learned(sampler)
    sampler.eval().draw(torch.arange(30))
    assert all(torch.equal(value, before[key]) for key, value in what_is_learned(sampler).items())
    sampler.train().draw(torch.arange(30))
    changed = any(not torch.equal(value, before[key]) for key, value in what_is_learned(sampler).items())
    assert changed == (learns(name) or takes_the_batch(name))


@every_sampler
def test_a_state_of_something_else_is_told(name):
    sampler = make(name)
    for state in (torch.zeros(8), torch.ones(3, dtype=torch.uint8), sampler.state_dict()["_extra_state"][:-4]):
        with pytest.raises(ValueError, match="the state of a sampler is damaged"):
            sampler.load_state_dict({**sampler.state_dict(), "_extra_state": state})
    if learns(name) and not takes_the_batch(name):
        key = next(key for key in sampler.state_dict() if "counts" in str(unpacked(sampler.state_dict()[key])))
        with pytest.raises(ValueError, match=r"counts: expected shape \(40,\), got \(41,\)"):
            sampler.load_state_dict(
                {**sampler.state_dict(), key: SAMPLERS[name](C + 1, torch.float64, 1).state_dict()[key]}
            )


# ------------------------------------------------------------------------------------- inside other people's programs


@every_sampler
def test_no_table_is_a_buffer(name):
    """DistributedDataParallel sends buffers at each step, and others fill them after the device "meta"."""
    assert not any(buffer.numel() for buffer in make(name).buffers())


@every_sampler
def test_the_device_meta_takes_nothing_away(name):
    sampler, twin = make(name), make(name)
    sampler.draw(TARGETS)
    twin.draw(TARGETS)
    classes = torch.arange(C)
    expected = twin.log_expected_count(classes)
    sampler = sampler.to("meta").to_empty(device="cpu")
    assert torch.equal(sampler.log_expected_count(classes), expected)
    for _ in range(2):
        assert not differences(sampler.draw(TARGETS), twin.draw(TARGETS))


@every_sampler
def test_made_on_the_device_meta_it_is_whole(name):
    trained = make(name, seed=3)
    trained.draw(TARGETS)
    with torch.device("meta"):
        sampler = make(name)
        assert {key: value.dtype for key, value in sampler.state_dict().items()} == dict.fromkeys(
            trained.state_dict(), torch.uint8
        )
    assert sampler.device.type == "meta"
    with pytest.raises(ValueError, match=r"^targets: |^sampler: expected a device that has memory.*to_empty"):
        sampler.draw(TARGETS)
    sampler.to_empty(device="cpu").load_state_dict(trained.state_dict())
    for _ in range(2):
        assert not differences(sampler.draw(TARGETS), trained.draw(TARGETS))


@every_sampler
def test_loaded_on_the_device_meta_it_goes_on(name):
    """As transformers does: states first, memory for what has none afterwards."""
    trained = make(name, seed=3)
    trained.draw(TARGETS)
    with torch.device("meta"):
        sampler = make(name)
    sampler.load_state_dict(trained.state_dict())
    for part in sampler.modules():
        for key in part._non_persistent_buffers_set:
            setattr(part, key, torch.empty_like(getattr(part, key), device="cpu"))
    for _ in range(2):
        assert not differences(sampler.draw(TARGETS), trained.draw(TARGETS))


@every_sampler
def test_ranks_draw_differently_and_go_on_from_the_state_of_any(name):
    samplers = [make(name) for _ in range(3)]
    for rank, sampler in enumerate(samplers):
        sampler.rank = min(rank, 1)
    draws = [[sampler.draw(TARGETS) for sampler in samplers] for _ in range(3)]
    for zero, one, other in draws:
        assert torch.equal(zero.ids, one.ids) != is_random(name)
        assert not differences(one, other)
    for zero, one, _ in draws[1:]:
        assert not is_random(name) or not torch.equal(zero.ids, draws[0][0].ids)
        assert not is_random(name) or not torch.equal(one.ids, draws[0][1].ids)
    later = make(name, seed=99)
    later.rank = 1
    later.load_state_dict(samplers[0].state_dict())
    assert not differences(later.draw(TARGETS), samplers[1].draw(TARGETS))


@where(is_random)
def test_a_generator_of_one_s_own_is_folded_with_nothing(name):
    sampler, twin = make(name), make(name)
    sampler.rank = 1
    given = [each.draw(TARGETS, generator=torch.Generator().manual_seed(5)) for each in (sampler, twin)]
    assert not differences(*given)


@every_sampler
@pytest.mark.parametrize("use_reentrant", [True, False])
def test_checkpointing_does_not_draw_and_learn_twice(name, use_reentrant):
    sampler, twin = make(name), make(name)
    weight = torch.ones(C, 2, dtype=torch.float64, requires_grad=True)

    def loss(input: Tensor) -> Tensor:
        return sampled_logistic_loss(input, weight, sampler.draw(TARGETS))

    input = torch.ones(len(TARGETS), 2, dtype=torch.float64, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"draws inside of backward.*candidates = sampler.draw\(targets\)"):
        checkpoint(loss, input, use_reentrant=use_reentrant).backward()
    twin.draw(TARGETS)
    assert not differences(sampler.draw(TARGETS), twin.draw(TARGETS)), "it has learned twice"
    candidates = sampler.draw(TARGETS)
    weight.grad = None
    checkpoint(sampled_logistic_loss, input, weight, candidates, use_reentrant=use_reentrant).backward()
    (expected,) = torch.autograd.grad(sampled_logistic_loss(input, weight, candidates), weight)
    torch.testing.assert_close(weight.grad, expected, rtol=0, atol=1e-14)


@every_sampler
def test_repr_is_short_and_names_the_distribution(name):
    sampler = make(name)
    assert repr(sampler).startswith(type(sampler).__name__)
    assert "mixture" in name or f"num_classes={C}" in repr(sampler)
