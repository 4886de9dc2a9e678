"""Every public path on a device that is not the CPU: what it answers, and how often the host waits for the device.

A step of training waits for nothing, but for how many classes a sparse gradient has. So batches are made and sent while
the device computes.

The device is the fake one of tests/fake_device.py, or that which LOGQ_DEVICE names, see tests/real_device.py.
"""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

import language_cases
import recommender_cases
from cases import FUNCTIONS, MODULES, SAMPLERS, call
from logq import diagnostics, kernels, optim
from logq.candidates import Candidates
from logq.functional import full_softmax_loss, sampled_logistic_loss, sampled_softmax_loss
from logq.hierarchical import HierarchicalSoftmax
from logq.language_models import NNLM
from logq.logs import Interactions
from logq.nn import SampledSoftmaxLoss
from logq.recommenders import Recommender, YoutubeDNN
from logq.retrieval import ExactIndex
from logq.samplers import InBatch, LearnedUnigram, LogUniform, Prefetch, Uniform
from logq.samplers.distinct_draws import expected_tries
from logq.training import step_graphs
from logq.training.loop import Loop
from logq.training.running_mean import DivergedError
from logq.training.step_graphs import StepGraphs
from logq.word2vec import Word2Vec

REAL = bool(os.environ.get("LOGQ_DEVICE"))
if REAL or TYPE_CHECKING:
    from real_device import DEVICE, NAME, held, on_device
    from real_device import RealDevice as Device
else:
    from fake_device import DEVICE, NAME, held, on_device
    from fake_device import FakeDevice as Device

of_the_fake_device = pytest.mark.skipif(REAL, reason="a real device counts no kernels")

B, C, D = 12, 40, 8
OF_KERNELS = {"kernels/triton/class_sums.py"}  # how many rows a sparse gradient has: in backward, by kernels of a GPU
OF_A_STEP = OF_KERNELS | {"kernels/reference_rows.py"}  # and where an optimizer takes it


@pytest.fixture
def device() -> Any:
    with Device() as made:
        yield made


def files(device: Device) -> set[str]:
    """The files in which the host waited."""
    return {what.rpartition(" at ")[2].partition(":")[0] for what in device.waits}


# ------------------------------------------------------------------------------------------------- the device itself


@pytest.mark.skipif(REAL and DEVICE.type == "cpu", reason="nothing is refused on a CPU")
def test_it_refuses_what_cuda_refuses(device: Device) -> None:
    here = on_device(torch.ones(3))
    with pytest.raises(RuntimeError, match="Expected all tensors to be on the same device"):
        here + torch.ones(3)
    with pytest.raises(RuntimeError, match="indices should be either on cpu"):
        torch.ones(3)[on_device(torch.tensor([0]))]
    with pytest.raises(RuntimeError, match="device type for generator"):
        here.normal_(generator=torch.Generator())
    with pytest.raises((RuntimeError, TypeError), match="numpy"):
        here.numpy()
    assert held(here + 1.0).tolist() == held(here + torch.tensor(1.0)).tolist() == [2.0, 2.0, 2.0]


@of_the_fake_device
def test_it_counts_kernels_bytes_and_waits(device: Device) -> None:
    here = on_device(torch.ones(3))
    device.reset()
    there = (here.view(1, 3) * 2).to("cpu")
    assert dict(device.kernels) == {"mul": 1, "_to_copy": 1}
    assert device.bytes == 4 * (2 * 3 + 2 * 3)
    assert list(device.waits.values()) == [1]
    assert there.tolist() == [[2.0, 2.0, 2.0]]
    device.reset()
    _ = float(here.sum()), here.nonzero(), here[here > 0], here.tolist()
    assert sum(device.waits.values()) == 4


# -------------------------------------------------------------------------------------------------- samplers, losses


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_seed_gives_the_same_classes_on_every_device(name: str, device: Device) -> None:
    here, there = SAMPLERS[name](C, torch.float32, 3), SAMPLERS[name](C, torch.float32, 3).to(DEVICE)
    targets = torch.randint(C, (B,))
    for _ in range(3):
        expected, found = here.draw(targets), there.draw(on_device(targets))
        assert_same(found, expected)
    device.reset()
    there.draw(on_device(targets))
    assert not device.waits


def test_a_sampler_that_would_draw_ahead_draws_for_its_process(device: Device) -> None:
    alone, ahead = (Uniform(1000, 9, seed=1, device=DEVICE) for _ in range(2))
    ahead = Prefetch(ahead)
    for sampler in (alone, ahead):
        sampler.rank = 3
    for _ in range(2):
        targets = on_device(torch.randint(1000, (B,)))
        assert torch.equal(held(ahead.draw(targets).ids), held(alone.draw(targets).ids))


@pytest.mark.parametrize("span", [0.0, 3.0, 12.0, 40.0, 250.0])
def test_expected_tries_are_found_without_a_wait(span: float, device: Device) -> None:
    weights = 10 ** (torch.rand(100, dtype=torch.float64) * span)
    p, number = weights / weights.sum(), torch.randint(1, 3, (100,)).double()
    for some, of in ((p, None), (p / (p * number).sum(), number)):
        there = on_device(some), None if of is None else on_device(of)
        for num_sampled in (1, 3, 30, 99, 300):
            device.reset()
            tries = expected_tries(there[0], num_sampled, there[1])
            assert not device.waits
            assert float(tries) == pytest.approx(expected_tries(some, num_sampled, of), rel=1e-8)


def test_what_is_learned_changes_expected_counts_without_a_wait(device: Device) -> None:
    """Those of distinct classes of a sample to come, too."""
    there, here = (LearnedUnigram(C, 5, replacement=False, seed=1, device=place) for place in (DEVICE, "cpu"))
    for _ in range(2):
        targets, classes = torch.randint(C, (B,)), torch.arange(C)
        here.learn(targets)
        targets, all_classes = on_device(targets), on_device(classes)
        device.reset()
        there.learn(targets)
        found = there.log_expected_count(all_classes)
        assert not device.waits
        torch.testing.assert_close(held(found), here.log_expected_count(classes))


@pytest.mark.parametrize("name", SAMPLERS)
def test_seeds_of_the_device_give_the_same_classes_on_every_device(name: str, device: Device) -> None:
    here, there = SAMPLERS[name](C, torch.float32, 3), SAMPLERS[name](C, torch.float32, 3).to(DEVICE)
    for sampler in (here, there):
        sampler.seeds_on_device()
    targets = torch.randint(C, (B,))
    for _ in range(3):
        assert_same(there.draw(on_device(targets)), here.draw(targets))
    there.load_state_dict(here.state_dict())
    assert_same(there.draw(on_device(targets)), here.draw(targets))


@pytest.mark.parametrize("counts", [None, range(1, C + 1)])
@pytest.mark.parametrize("shape", [(B,), (B, 2)])
def test_entries_that_are_no_class_cost_in_batch_negatives_no_wait(
    counts: Any, shape: tuple[int, ...], device: Device
) -> None:
    """They are left out on a CPU, and excluded in each row on a device."""
    here, there = InBatch(C, counts=counts), InBatch(C, counts=counts).to(DEVICE)
    weight, inputs = torch.randn(C, D), torch.randn(B, D)
    for _ in range(3):
        targets = torch.randint(C, shape).masked_fill(torch.rand(shape) < 0.3, -100)
        device.reset()
        found = sampled_logistic_loss(on_device(inputs), on_device(weight), there.draw(on_device(targets)))
        assert not device.waits
        torch.testing.assert_close(held(found), sampled_logistic_loss(inputs, weight, here.draw(targets)))
    assert abs(here.sample_size() - there.sample_size()) < 1e-5


def test_a_batch_without_a_class_teaches_nothing(device: Device) -> None:
    sampler = InBatch(C).to(DEVICE)
    sampler.draw(on_device(torch.tensor([3, 4])))
    before = {name: held(value).clone() for name, value in sampler._learned().items()}
    sampler.draw(on_device(torch.tensor([-100, -100])))
    assert all(torch.equal(held(value), before[name]) for name, value in sampler._learned().items())


@pytest.mark.parametrize("name", ["learned_unigram", "in_batch-streaming", "partition", "uniform-distinct"])
def test_a_state_goes_on_on_another_device(name: str, device: Device) -> None:
    one = SAMPLERS[name](C, torch.float32, 3)
    targets = torch.randint(C, (B,))
    for to, back in ((DEVICE, "cpu"), ("cpu", DEVICE)):
        one.to(back)
        one.draw(targets.to(back))
        other = SAMPLERS[name](C, torch.float32, 4).to(to)
        other.load_state_dict(one.state_dict())
        found, expected = other.draw(targets.to(to)), one.draw(targets.to(back))
        assert_same(*((found, expected) if to == DEVICE else (expected, found)))


def assert_same(found: Candidates, expected: Candidates) -> None:
    """Candidates on the device are those on the CPU, with logarithms up to rounding."""
    for one, other in zip(found, expected, strict=True):
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            torch.testing.assert_close(held(one), other, atol=1e-5, rtol=1e-5)


OPTIONS: list[dict[str, Any]] = [{}, {"sparse": True}, {"reduction": "none"}, {"cosine": True, "temperature": 0.1}]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_losses_and_gradients(name: str, options: dict[str, Any], device: Device) -> None:
    if "full" in name and "sparse" in options:
        pytest.skip("all classes get a gradient")
    weight, inputs, targets = torch.randn(C, D), torch.randn(B, D), torch.randint(C, (B,))
    candidates = LogUniform(C, 5, seed=1).draw(targets.masked_fill(torch.arange(B) < 2, -100))
    found: list[list[Tensor]] = []
    for put in (on_device, lambda tensor, **options: tensor.clone().requires_grad_(**options)):
        w, x = put(weight, requires_grad=True), put(inputs, requires_grad=True)
        parts = (one if one is None else put(one, requires_grad=False) for one in candidates)
        device.reset()
        loss = call(name, x, w, Candidates(*parts), **options)
        loss.sum().backward()
        assert files(device) <= (OF_KERNELS if "sparse" in options else set())
        assert x.grad is not None
        assert w.grad is not None
        found.append([loss.detach(), x.grad, w.grad])
    for there, here in zip(*found, strict=True):
        torch.testing.assert_close(held(there), here.to_dense(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", MODULES)
def test_modules(name: str, device: Device) -> None:
    here = MODULES[name](D, C)
    there = MODULES[name](D, C).to(DEVICE)
    there.load_state_dict(here.state_dict())
    inputs, targets = torch.randn(B, D), torch.randint(C, (B,))
    device.reset()
    loss = there(on_device(inputs), on_device(targets))
    loss.backward()
    assert not device.waits
    torch.testing.assert_close(held(loss.detach()), here(inputs, targets).detach())
    for module in (here, there):
        module.eval()
    torch.testing.assert_close(held(there.log_prob(on_device(inputs))), here.log_prob(inputs))
    assert held(there.topk(on_device(inputs), 3).ids).tolist() == here.topk(inputs, 3).ids.tolist()


def test_samples_that_are_not_stored(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logq.functional.losses_in_parts.MORE_ENTRIES", 20)
    inputs, targets, start = torch.randn(B, D), torch.randint(C, (B,)), torch.randn(C, D)
    found: list[list[Tensor]] = []
    for place, stored in ((DEVICE, False), (torch.device("cpu"), True)):
        sampler = LogUniform(C, 5, per_row=True, seed=1, device=place)
        weight = torch.nn.Parameter(start.to(place))
        loss = SampledSoftmaxLoss(D, C, sampler, weight=weight, store_samples=stored)
        x, y = inputs.to(place).requires_grad_(), targets.to(place)
        device.reset()
        value = loss(x, y)
        value.backward()
        assert not device.waits
        assert x.grad is not None
        assert weight.grad is not None
        found.append([value.detach(), x.grad, weight.grad])
    for there, here in zip(*found, strict=True):
        torch.testing.assert_close(held(there), here, atol=1e-5, rtol=1e-5)


def test_all_classes_at_once_where_a_launch_costs_more_than_memory(device: Device) -> None:
    """4,334 kernels before, for the chunks of a CPU."""
    inputs, weight = on_device(torch.zeros(512, 4), requires_grad=True), on_device(torch.zeros(20_000, 4))
    device.reset()
    full_softmax_loss(inputs, weight, on_device(torch.zeros(512, dtype=torch.int64))).backward()
    assert sum(device.kernels.values()) < 80


@pytest.mark.parametrize("in_backward", [False, True])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("name", ["SGD", "Adagrad", "RowWiseAdagrad", "LazyAdam"])
def test_optimizers(name: str, sparse: bool, in_backward: bool, device: Device) -> None:
    start, inputs, targets = torch.randn(C, D), torch.randn(B, D), torch.randint(C, (B,))
    tables: list[list[Tensor]] = []
    for place in (DEVICE, torch.device("cpu")):
        table = torch.nn.Parameter(start.clone().to(place))
        bias = torch.nn.Parameter(torch.zeros(C, device=place))
        parameters = [table, bias] if in_backward else [table]
        optimizer = getattr(optim, name)(parameters, lr=0.1, weight_decay=0.01, in_backward=in_backward)
        sampler = Uniform(C, 5, seed=1, device=place)
        for _ in range(3):
            x, y = inputs.to(place), targets.to(place)
            device.reset()
            loss = sampled_softmax_loss(x, table, sampler.draw(y), bias=bias, sparse=sparse)
            loss.backward()
            assert (table.grad is None) == in_backward
            optimizer.step()
            optimizer.zero_grad()
            assert files(device) <= (OF_A_STEP if sparse or in_backward else set())
            assert sum(device.waits.values()) <= 1
        tables.append([table.detach(), bias.detach()])
    for there, here in zip(*tables, strict=True):
        torch.testing.assert_close(held(there), here, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("per_row", [False, True])
def test_updates_inside_of_backward_are_those_of_a_cpu(per_row: bool, options: dict[str, Any], device: Device) -> None:
    """Of the same classes, too: entries that are none, and excluded ones, add nothing to a mean of gradients."""
    start, inputs, targets = torch.randn(C, D), torch.randn(B, D), torch.randint(C, (B,))
    targets = targets.masked_fill(torch.arange(B) % 5 == 1, -100)
    candidates = LogUniform(C, 7, seed=1, per_row=per_row).draw(targets)
    candidates = candidates._replace(excluded=torch.rand(B, 7) < 0.5)
    tables: list[list[Tensor]] = []
    for place in (DEVICE, torch.device("cpu")):
        table, bias = (torch.nn.Parameter(tensor.to(place)) for tensor in (start.clone(), torch.zeros(C)))
        optimizer = optim.LazyAdam([table, bias], lr=0.1, weight_decay=0.01, in_backward=True)
        given = Candidates(*(None if one is None else one.to(place) for one in candidates))
        for _ in range(3):
            loss = sampled_softmax_loss(inputs.to(place), table, given, bias=bias, **options)
            loss.sum().backward()
            assert table.grad is None
            assert bias.grad is None
        states = optimizer.state[table]
        tables.append([table.detach(), bias.detach(), states["exp_avg"], states["exp_avg_sq"]])
    for there, here in zip(*tables, strict=True):
        torch.testing.assert_close(held(there), here, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["SGD", "Adagrad", "RowWiseAdagrad", "LazyAdam"])
def test_rows_are_rounded_by_the_same_random_bits_on_every_device(
    name: str, dtype: torch.dtype, device: Device
) -> None:
    start, gradient, ids = torch.randn(C, D).to(dtype), torch.randn(5, D).to(dtype), torch.tensor([3, 7, 29, 30, 31])
    tables: list[Tensor] = []
    for place in (DEVICE, torch.device("cpu")):
        table = torch.nn.Parameter(start.clone().to(place))
        optimizer = getattr(optim, name)([table], lr=1e-3, stochastic_rounding=True)
        rows, options = (ids[None].to(place), gradient.to(place)), {"is_coalesced": True, "check_invariants": False}
        table.grad = torch.sparse_coo_tensor(*rows, table.shape, **options)
        device.reset()
        with kernels.use("reference"):  # compiled code rounds to the nearest
            optimizer.step()
        assert not device.waits
        tables.append(table.detach())
    assert torch.equal(held(tables[0]), tables[1])
    assert not torch.equal(tables[1], start)


def test_hierarchical_softmax(device: Device) -> None:
    here = HierarchicalSoftmax(D, np.arange(1, C + 1))
    there = HierarchicalSoftmax(D, np.arange(1, C + 1)).to(DEVICE)
    torch.nn.init.normal_(here.weight)
    there.load_state_dict(here.state_dict())
    inputs, targets = torch.randn(B, D), torch.randint(C, (B,))
    x, y = on_device(inputs), on_device(targets)
    device.reset()
    loss = there(x, y)
    loss.backward()
    assert not device.waits
    torch.testing.assert_close(held(loss.detach()), here(inputs, targets).detach())
    torch.testing.assert_close(held(there.log_prob(x)), here.log_prob(inputs))


# -------------------------------------------------------------------------------------------------------- estimators


BATCH = {"YoutubeDNN": 8, "MIND": 8, "SDM": 8, "TwoTower": 8, "SASRec": 8, "EGES": 64, "AirbnbEmbeddings": 8}
"""Estimators, and rows of a batch with which an epoch of the small log has some 10 steps."""


@pytest.mark.parametrize("name", BATCH)
def test_recommenders_learn_and_answer(
    name: str, device: Device, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on the CPU, for they draw the same classes, and as what is saved and loaded there."""
    # A CPU leaves padding out, and so draws for fewer rows.
    monkeypatch.setattr("logq.recommenders.encoding.encoders.keeps_sizes", lambda _: True)
    log = recommender_cases.planted_log(users=12)
    options: dict[str, Any] = {"epochs": 1, "batch_size": BATCH[name]}
    if name == "TwoTower":
        options["id_dropout"] = 0.0  # which draws for each row, too
    there, here = (
        recommender_cases.make(name, device=place, **options).fit(log, progress=False) for place in (NAME, "cpu")
    )
    there.save(tmp_path)
    again = Recommender.load(tmp_path)
    histories = [there.item_ids[:3].tolist(), there.item_ids[4:5].tolist()]
    found, *others = (model.recommend(histories=histories, k=3) for model in (there, here, again))
    for other in others:
        np.testing.assert_allclose(found.scores, other.scores, atol=1e-3)
        assert found.items.tolist() == other.items.tolist()


def market_log() -> Any:
    """The small log with a market for each item, and users who come back to what they have seen."""
    log = recommender_cases.planted_log(users=12)
    items = log.item_ids.keys_of(log.items)
    market = np.array([f"m{item % 3}" for item in items])
    return Interactions.from_arrays(log.user_ids.keys_of(log.users), items, log.timestamps, columns={"market": market})


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("AirbnbEmbeddings", {"market": "market", "num_in_market": 3}),
        ("SASRec", {"unseen_negatives": True, "sparse": True}),
        ("YoutubeDNN", {"unseen_negatives": True}),
    ],
)
def test_negatives_of_a_row_of_its_own(
    name: str, options: dict[str, Any], device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a row has a group, or a history that is left out, padding has a row of its own on a device."""
    monkeypatch.setattr("logq.recommenders.encoding.encoders.keeps_sizes", lambda _: True)
    log = market_log()
    options = {"epochs": 1, "batch_size": BATCH[name], **options}
    there, here = (
        recommender_cases.make(name, device=place, **options).fit(log, progress=False) for place in (NAME, "cpu")
    )
    histories = [there.item_ids[:3].tolist()]
    found, expected = (model.recommend(histories=histories, k=3) for model in (there, here))
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-3)


class Step(NamedTuple):
    """What a step costs, the second one and those after it: kernels in all, and waits.

    Draws and losses are those of the reference, 60 to 150 kernels of these, instead of a few fused ones on a card.
    """

    kernels: int
    waits: int = 0


BUDGET: dict[str, tuple[Step, Step]] = {
    "YoutubeDNN": (Step(150), Step(220, 2)),
    "MIND": (Step(245), Step(281, 1)),
    "SDM": (Step(355), Step(395, 1)),
    "TwoTower": (Step(214), Step(250, 1)),
    "SASRec": (Step(239), Step(275, 1)),  # of BSARec's layers, which prefixes have by default
    "EGES": (Step(140), Step(240, 3)),
    "AirbnbEmbeddings": (Step(130), Step(190, 2)),
    "nnlm": (Step(220), Step(360, 3)),
    "gru": (Step(375), Step(515, 3)),
    "lstm": (Step(375), Step(510, 3)),
}
"""At most so much for each estimator, with dense and with sparse gradients of tables.

A sparse gradient of the reference waits for its number of rows, once a table.
"""


@of_the_fake_device
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("name", BUDGET)
def test_a_step_costs_no_more_than_its_budget(
    name: str, sparse: bool, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[tuple[Step, int]] = []
    update = vars(Loop)["_update"]

    def counted(self: Loop, batch: Any, count: int) -> Tensor:
        before = sum(device.kernels.values()), sum(device.waits.values()), sum(device.copies.values())
        loss = update(self, batch, count)
        spent = [sum(what.values()) for what in (device.kernels, device.waits, device.copies)]
        kernels, waits, copies = (now - then for now, then in zip(spent, before, strict=True))
        steps.append((Step(kernels, waits), copies))
        return loss

    monkeypatch.setattr(Loop, "_update", counted)
    train(name, sparse=sparse)
    assert len(steps) > 3
    budget = BUDGET[name][sparse]
    kernels, waits = (max(part) for part in zip(*(step for step, _ in steps[2:]), strict=True))
    assert kernels <= budget.kernels
    assert waits <= budget.waits
    assert not any(copies for _, copies in steps[2:]), "a step copies something beside its batch"
    # Batches come in blocks of 1, 2, 4, ...: one copy each, however many arrays a batch has.
    copies = sum(number for what, number in device.copies.items() if "training/batch_feed.py" in what)
    assert copies == len(steps).bit_length()


def train(name: str, **options: Any) -> Any:
    """An epoch of an estimator, on the device unless another is named."""
    if name in ("nnlm", "gru", "lstm"):
        model = language_cases.make(name, **{"device": NAME, "epochs": 1, **options})
        return model.fit(language_cases.TEXT[:60], progress=False)
    options = {"device": NAME, "epochs": 1, "batch_size": BATCH[name], **options}
    return recommender_cases.make(name, **options).fit(recommender_cases.planted_log(users=6), progress=False)


def fake_graphs(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Graphs of steps for the fake device; None where the device has its own."""
    if not REAL:
        from fake_device import FakeGraphs

        graphs = FakeGraphs()
        monkeypatch.setitem(step_graphs.GRAPHS, NAME, graphs)
        return graphs
    if NAME not in step_graphs.GRAPHS:
        pytest.skip(f"{NAME} has no graphs")
    return None


@pytest.mark.parametrize(
    ("objective", "name"),
    [
        *(("full_softmax", name) for name in ("YoutubeDNN", "gru")),
        *(("sampled_softmax", name) for name in ("SASRec", "TwoTower", "EGES")),
        *(
            pytest.param("sampled_softmax", name, marks=pytest.mark.slow)
            for name in ("YoutubeDNN", "MIND", "SDM", "nnlm", "lstm")
        ),
    ],
)
def test_steps_that_are_replayed_train_as_others_do(
    name: str, objective: str, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CUDA graphs as this device has them: what was captured waits for nothing, and has its numbers in memory."""
    options: dict[str, Any] = {"objective": objective, "sampler": None, "epochs": 2, "lr": 0.01, "decay": "linear"}
    options |= {"clip": 1.0, "ema": 0.9}
    if objective == "sampled_softmax":
        options |= {"sampler": "uniform", "num_sampled": 5}
        options |= {"nnlm": {"replacement": True}, "lstm": {"replacement": True}, "TwoTower": {"id_dropout": 0.0}}.get(
            name, {}
        )
    graphs = fake_graphs(monkeypatch)
    found = train(name, cuda_graphs=True, **options)
    assert graphs is None or sum(graph.replays for graph in graphs.made) >= 2
    # The same without a graph: the same padding, and seeds from the device.
    monkeypatch.setattr(StepGraphs, "run", lambda self, batch: self._step(batch))
    expected = train(name, cuda_graphs=True, **options)
    assert found.training_log[0]["loss"] == pytest.approx(expected.training_log[0]["loss"], abs=1e-6)
    for one, other in zip(found.model.parameters(), expected.model.parameters(), strict=True):
        torch.testing.assert_close(held(one.detach()), held(other.detach()), atol=1e-5, rtol=1e-5)


@of_the_fake_device
def test_steps_that_wait_cannot_be_captured(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_graphs(monkeypatch)
    step = StepGraphs(lambda batch: batch["x"] * float(batch["x"]), DEVICE)
    batch = {"x": on_device(torch.tensor(2.0))}
    for _ in range(step_graphs.WARM_UP):
        step.run(batch)
    with pytest.raises(ValueError, match=r"cuda_graphs: expected False, .* captured, got True .*scalar_dense"):
        step.run(batch)


@pytest.mark.parametrize("name", ["YoutubeDNN", "SASRec", "gru"])
def test_bfloat16_on_a_device(name: str, device: Device) -> None:
    """As on the CPU, up to the rounding of products."""
    found, expected = (train(name, device=place, precision="bfloat16") for place in (NAME, "cpu"))
    loss = found.training_log[0]["loss"]
    assert abs(loss - expected.training_log[0]["loss"]) < 0.02
    assert loss != train(name).training_log[0]["loss"]
    assert all(weight.dtype is torch.float32 for weight in found.model.parameters())


@pytest.mark.parametrize("kind", ["nnlm", "gru", "lstm"])
def test_language_models(kind: str, device: Device) -> None:
    there, here = (
        language_cases.make(kind, device=place, epochs=1).fit(language_cases.TEXT[:60], progress=False)
        for place in (NAME, "cpu")
    )
    expected = here.perplexity(language_cases.OTHER_TEXT)
    assert abs(there.perplexity(language_cases.OTHER_TEXT) - expected) < 1e-3 * expected


def test_word2vec(device: Device) -> None:
    for sg in (True, False):
        vectors: list[Any] = []
        for place in (NAME, "cpu"):
            device.reset()
            model = Word2Vec(dim=8, epochs=2, min_count=1, seed=1, engine="plain", device=place, sg=sg)
            vectors.append(model.fit(language_cases.TEXT[:60], progress=False).vectors.vectors)
            assert sum(device.waits.values()) < 10, "it waits in each step"
            copied = [what for what in device.copies.elements() if "to the device at word2vec" in what]
            assert len(copied) <= 2, "it copies each batch by itself, beside the tables"
        np.testing.assert_allclose(*vectors, atol=1e-4)


def test_words_are_thinned_out_without_a_wait(device: Device) -> None:
    pytest.importorskip("triton", reason="Triton is there for Linux alone")
    from logq.word2vec.triton_engine import thinned

    ids, keep = torch.randint(-1, 9, (50,), dtype=torch.int32), torch.randint(2**32, (9,))
    place: dict[str, Any] = {"begin": 3, "end": 44, "position": 2**40, "seed": 2**64 - 1, "window": 5}
    device.reset()
    found = thinned(on_device(ids), on_device(keep), **place)
    assert not device.waits
    assert sum(device.kernels.values()) <= 46
    for one, other in zip(found, thinned(ids, keep, **place), strict=True):
        assert torch.equal(held(one), other)


@of_the_fake_device
def test_word2vec_of_a_gpu_waits_for_losses_alone(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("triton", reason="Triton is there for Linux alone")
    from fake_device import OnDevice
    from logq.kernels.triton.launching import launch
    from logq.text import Vocabulary
    from logq.word2vec import triton_engine
    from logq.word2vec.engines import Position, Span, first_vectors
    from logq.word2vec.word2vec_config import Word2VecConfig

    def on_values(kernel: Any, grid: tuple[int, ...], *arguments: Any, **options: Any) -> None:
        launch(kernel, grid, *(one.held if isinstance(one, OnDevice) else one for one in arguments), **options)

    words = Vocabulary([str(word) for word in range(9)], np.full(9, 5))
    ids = np.random.default_rng(1).integers(-1, 9, 40).astype(np.int32)
    span, position = Span(ids, 2, 38), Position(2, (0.1, 1e-4, 1e-3), 7)
    monkeypatch.setattr(triton_engine, "launch", on_values)
    trained: list[Any] = []
    for place in (DEVICE, "cpu"):
        settings = Word2VecConfig(dim=5, sample=0, num_sampled=5, device=place)
        engine = triton_engine.TritonEngine(settings, words, first_vectors(9, 5, 1), 0)
        device.reset()
        engine.train(span, position)
        assert not device.waits
        losses = engine.finish()
        assert sum(device.waits.values()) == (place == DEVICE)
        trained.append((losses, engine.vectors, engine.state()["outputs"]))
    assert trained[0][0] == trained[1][0]
    for one, other in zip(trained[0][1:], trained[1][1:], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("of", "to"), [(NAME, "cpu"), ("cpu", NAME)])
def test_a_checkpoint_goes_on_on_another_device(of: str, to: str, device: Device, tmp_path: Any) -> None:
    def make(place: str) -> YoutubeDNN:
        return recommender_cases.make("YoutubeDNN", device=place, epochs=2)  # pyright: ignore[reportReturnType]

    log = recommender_cases.planted_log()
    whole = make(to).fit(log, progress=False)
    stop_after_one_epoch(make(of), log, tmp_path)
    resumed = make(to).fit(log, checkpoint=tmp_path, resume=True, progress=False)
    histories = [whole.item_ids[:3].tolist()]
    np.testing.assert_allclose(
        resumed.recommend(histories=histories, k=3).scores, whole.recommend(histories=histories, k=3).scores, atol=1e-3
    )


@pytest.mark.parametrize("place", [NAME, "cpu"])
def test_a_run_of_graphs_goes_on_with_or_without_them(
    place: str, device: Device, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """What is drawn goes on from the stream of the device, and so a run without graphs learns the same."""

    def make(place: str) -> Any:
        options = {"sampler": "uniform", "num_sampled": 5, "sparse": False, "id_dropout": 0.0}
        return recommender_cases.make("TwoTower", device=place, epochs=2, cuda_graphs=place == NAME, **options)

    fake_graphs(monkeypatch)
    log = recommender_cases.planted_log(users=20)
    whole = make(NAME).fit(log, progress=False)
    stop_after_one_epoch(make(NAME), log, tmp_path)
    resumed = make(place).fit(log, checkpoint=tmp_path, resume=True, progress=False)
    for one, other in zip(resumed.training_log, whole.training_log, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], abs=1e-4)


class _StoppedError(Exception):
    pass


def stop_after_one_epoch(model: YoutubeDNN, log: Any, folder: Any) -> None:
    from logq.training.checkpoint import RunCheckpoint

    with pytest.MonkeyPatch.context() as patch:
        save = RunCheckpoint.save

        def and_stop(self: RunCheckpoint, state: Any) -> None:
            save(self, state)
            raise _StoppedError

        patch.setattr(RunCheckpoint, "save", and_stop)
        with pytest.raises(_StoppedError):
            model.fit(log, checkpoint=folder, checkpoint_minutes=0, progress=False)


def test_a_loss_that_is_no_number_is_told_with_its_batch(device: Device) -> None:
    """The losses of several steps are looked at together."""
    with pytest.raises(DivergedError, match=r"epoch 1, batch (\d+): the loss is"):
        NNLM(dim=8, hidden=8, lr=1e20, epochs=2, batch_size=32, seed=1, device=NAME).fit(
            language_cases.TEXT, progress=False
        )


# -------------------------------------------------------------------------------------------------- the other things


def test_exact_index(device: Device) -> None:
    vectors, queries = torch.randn(C, D), torch.randn(5, D)
    here, there = ExactIndex(vectors), ExactIndex(vectors, device=DEVICE)
    for change in (lambda index: index.remove(range(5)), lambda index: index.add(range(5), vectors[:5] + 1)):
        for asked in (queries, on_device(queries)):
            found = there.search(asked, 4, allow=range(30), exclude=([7, 9], [0, 1, 2, 2, 2, 2]))
            expected = here.search(queries, 4, allow=range(30), exclude=([7, 9], [0, 1, 2, 2, 2, 2]))
            assert held(found.ids).tolist() == expected.ids.tolist()
            torch.testing.assert_close(held(found.scores), expected.scores)
        for index in (here, there):
            change(index)


def test_diagnostics(device: Device) -> None:
    x, weight, targets = torch.randn(8, D), torch.randn(C, D), torch.randint(C, (8,))
    found: list[Any] = []
    for place in (DEVICE, torch.device("cpu")):
        sampler = LogUniform(C, 5, seed=1, device=place)
        parts = x.to(place), weight.to(place), sampler.draw(targets.to(place))
        found.append(
            [
                diagnostics.exact_gradient(*parts[:2], targets=targets.to(place)),
                diagnostics.sampled_softmax_gradient(*parts[:2], parts[2]).gradient,
            ]
        )
    for there, here in zip(*found, strict=True):
        torch.testing.assert_close(held(there), here)


# ------------------------------------------------------------------------- the same bits twice, or a clear error


@pytest.fixture
def deterministic() -> Iterator[None]:
    """torch.use_deterministic_algorithms, which fills memory that nobody has written to with NaN, too."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.skipif(REAL and DEVICE.type == "cpu", reason="nothing is refused on a CPU")
def test_it_refuses_what_cuda_refuses_to_be_deterministic(device: Device, deterministic: None) -> None:
    numbers = on_device(torch.ones(3))
    for refused in (
        lambda: numbers.cumsum(0),
        lambda: numbers.put_(on_device(torch.tensor([0])), numbers[:1]),
        lambda: torch.bincount(on_device(torch.tensor([0, 0, 1])), numbers),
    ):
        with pytest.raises(RuntimeError, match="does not have a deterministic implementation"):
            refused()
    assert held(on_device(torch.tensor([1, 1])).cumsum(0)).tolist() == [1, 2]


def test_nothing_that_trains_is_refused_to_be_deterministic(device: Device, deterministic: None) -> None:
    """Sums that CUDA makes by atomics otherwise torch makes in a fixed order then, and kernels of Triton always do."""
    targets, weight, inputs = torch.randint(C, (B,)), torch.randn(C, D), torch.randn(B, D)
    for make in SAMPLERS.values():
        make(C, torch.float32, 3).to(DEVICE).draw(on_device(targets))
    for name in FUNCTIONS:
        for options in OPTIONS:
            if "full" in name and "sparse" in options:
                continue
            w, x = on_device(weight, requires_grad=True), on_device(inputs, requires_grad=True)
            candidates = LogUniform(C, 5, seed=1, device=DEVICE).draw(on_device(targets))
            call(name, x, w, candidates, **options).sum().backward()
    for make in MODULES.values():
        make(D, C).to(DEVICE)(on_device(inputs), on_device(targets)).backward()
    for name in ("SGD", "Adagrad", "RowWiseAdagrad", "LazyAdam"):
        for in_backward in (False, True):
            table = torch.nn.Parameter(on_device(weight))
            optimizer = getattr(optim, name)([table], in_backward=in_backward)
            candidates = LogUniform(C, 5, seed=1, device=DEVICE).draw(on_device(targets))
            sampled_softmax_loss(on_device(inputs), table, candidates, sparse=True).backward()
            optimizer.step()


@pytest.mark.parametrize("name", BATCH)
def test_no_recommender_is_refused_to_be_deterministic(name: str, device: Device, deterministic: None) -> None:
    log = recommender_cases.planted_log(users=6)
    recommender_cases.make(name, device=NAME, epochs=1, batch_size=BATCH[name]).fit(log, progress=False)
