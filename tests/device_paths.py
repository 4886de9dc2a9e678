"""Every public path on a device that is not the CPU: what it answers, and how often the host waits for the device.

A step of training waits for nothing, but for two things that are named below: how many classes a sparse gradient has,
and when the draws for a sample of distinct classes are enough. So batches are made and sent while the device computes.
"""

from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

import language_cases
import recommender_cases
from cases import FUNCTIONS, MODULES, SAMPLERS, call
from fake_device import DEVICE, FakeDevice, FakeGraphs, OnDevice, on_device
from logq import diagnostics, kernels, optim
from logq.candidates import Candidates
from logq.functional import full_softmax_loss, sampled_logistic_loss, sampled_softmax_loss
from logq.hierarchical import HierarchicalSoftmax
from logq.language_models import NNLM
from logq.logs import Interactions
from logq.recommenders import Recommender, YoutubeDNN
from logq.retrieval import ExactIndex
from logq.samplers import InBatch, LogUniform, Uniform
from logq.training import step_graphs
from logq.training.loop import Loop
from logq.training.running_mean import DivergedError
from logq.training.step_graphs import StepGraphs
from logq.word2vec import Word2Vec

B, C, D = 12, 40, 8
ENOUGH_DRAWS = "kernels/reference_draws.py"  # whether all rows have seen enough different classes
ROWS_OF_A_GRADIENT = "kernels/reference_rows.py"  # how many rows a sparse gradient has


@pytest.fixture
def device() -> Any:
    with FakeDevice() as made:
        yield made


def held(tensor: Tensor) -> Tensor:
    assert isinstance(tensor, OnDevice), "it left the device"
    return tensor.held.to_dense() if tensor.held.is_sparse else tensor.held


def files(device: FakeDevice) -> set[str]:
    """The files in which the host waited."""
    return {what.rpartition(" at ")[2].partition(":")[0] for what in device.waits}


# ------------------------------------------------------------------------------------------------- the device itself


def test_it_refuses_what_cuda_refuses(device: FakeDevice) -> None:
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


def test_it_counts_kernels_bytes_and_waits(device: FakeDevice) -> None:
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
def test_a_seed_gives_the_same_classes_on_every_device(name: str, device: FakeDevice) -> None:
    here, there = SAMPLERS[name](C, torch.float32, 3), SAMPLERS[name](C, torch.float32, 3).to(DEVICE)
    targets = torch.randint(C, (B,))
    for _ in range(3):
        expected, found = here.draw(targets), there.draw(on_device(targets))
        assert_same(found, expected)
    device.reset()
    there.draw(on_device(targets))
    assert files(device) <= ({ENOUGH_DRAWS} if "distinct" in name else set())


@pytest.mark.parametrize("name", SAMPLERS)
def test_seeds_of_the_device_give_the_same_classes_on_every_device(name: str, device: FakeDevice) -> None:
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
    counts: Any, shape: tuple[int, ...], device: FakeDevice
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


def test_a_batch_without_a_class_teaches_nothing(device: FakeDevice) -> None:
    sampler = InBatch(C).to(DEVICE)
    sampler.draw(on_device(torch.tensor([3, 4])))
    before = {name: held(value).clone() for name, value in sampler._learned().items()}
    sampler.draw(on_device(torch.tensor([-100, -100])))
    assert all(torch.equal(held(value), before[name]) for name, value in sampler._learned().items())


@pytest.mark.parametrize("name", ["learned_unigram", "in_batch-streaming", "partition", "uniform-distinct"])
def test_a_state_goes_on_on_another_device(name: str, device: FakeDevice) -> None:
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
def test_losses_and_gradients(name: str, options: dict[str, Any], device: FakeDevice) -> None:
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
        assert not device.waits
        assert x.grad is not None
        assert w.grad is not None
        found.append([loss.detach(), x.grad, w.grad])
    for there, here in zip(*found, strict=True):
        torch.testing.assert_close(held(there), here.to_dense(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", MODULES)
def test_modules(name: str, device: FakeDevice) -> None:
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


def test_all_classes_at_once_where_a_launch_costs_more_than_memory(device: FakeDevice) -> None:
    """4,334 kernels before, for the chunks of a CPU."""
    inputs, weight = on_device(torch.zeros(512, 4), requires_grad=True), on_device(torch.zeros(20_000, 4))
    device.reset()
    full_softmax_loss(inputs, weight, on_device(torch.zeros(512, dtype=torch.int64))).backward()
    assert sum(device.kernels.values()) < 80


@pytest.mark.parametrize("in_backward", [False, True])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("name", ["SGD", "Adagrad", "RowWiseAdagrad", "LazyAdam"])
def test_optimizers(name: str, sparse: bool, in_backward: bool, device: FakeDevice) -> None:
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
            assert files(device) <= ({ROWS_OF_A_GRADIENT} if sparse or in_backward else set())
            assert sum(device.waits.values()) <= 1
        tables.append([table.detach(), bias.detach()])
    for there, here in zip(*tables, strict=True):
        torch.testing.assert_close(held(there), here, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("per_row", [False, True])
def test_updates_inside_of_backward_are_those_of_a_cpu(
    per_row: bool, options: dict[str, Any], device: FakeDevice
) -> None:
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
    name: str, dtype: torch.dtype, device: FakeDevice
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


def test_hierarchical_softmax(device: FakeDevice) -> None:
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


BATCH = {"YoutubeDNN": 8, "MIND": 8, "SDM": 8, "TwoTower": 8, "SASRec": 1, "EGES": 64, "AirbnbEmbeddings": 8}
"""Estimators, and rows of a batch with which an epoch of the small log has some 10 steps."""


@pytest.mark.parametrize("name", BATCH)
def test_recommenders_learn_and_answer(
    name: str, device: FakeDevice, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on the CPU, for they draw the same classes, and as what is saved and loaded there."""
    # A CPU leaves padding out, and so draws for fewer rows.
    monkeypatch.setattr("logq.recommenders.encoders.keeps_sizes", lambda _: True)
    log = recommender_cases.planted_log(users=12)
    options: dict[str, Any] = {"epochs": 1, "batch_size": BATCH[name]}
    if name == "TwoTower":
        options["id_dropout"] = 0.0  # which draws for each row, too
    there, here = (
        recommender_cases.make(name, device=place, **options).fit(log, progress=False) for place in ("fake", "cpu")
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
    name: str, options: dict[str, Any], device: FakeDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a row has a group, or a history that is left out, padding has a row of its own on a device."""
    monkeypatch.setattr("logq.recommenders.encoders.keeps_sizes", lambda _: True)
    log = market_log()
    options = {"epochs": 1, "batch_size": BATCH[name], **options}
    there, here = (
        recommender_cases.make(name, device=place, **options).fit(log, progress=False) for place in ("fake", "cpu")
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
    "YoutubeDNN": (Step(145), Step(215, 2)),
    "MIND": (Step(230), Step(265, 1)),
    "SDM": (Step(355), Step(395, 1)),
    "TwoTower": (Step(210), Step(250, 1)),
    "SASRec": (Step(180), Step(215, 1)),
    "EGES": (Step(140), Step(240, 3)),
    "AirbnbEmbeddings": (Step(130), Step(190, 2)),
    "nnlm": (Step(250, 2), Step(390, 5)),
    "gru": (Step(410, 2), Step(545, 5)),
    "lstm": (Step(405, 2), Step(540, 5)),
}
"""At most so much for each estimator, with dense and with sparse gradients of tables.

Language models draw distinct words, and wait to see whether there are enough of them. A sparse gradient of the
reference waits for its number of rows, one a table.
"""


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("name", BUDGET)
def test_a_step_costs_no_more_than_its_budget(
    name: str, sparse: bool, device: FakeDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[tuple[Step, int]] = []
    update = vars(Loop)["_update"]

    def counted(self: Loop, batch: Any) -> Tensor:
        before = sum(device.kernels.values()), sum(device.waits.values()), sum(device.copies.values())
        loss = update(self, batch)
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
        model = language_cases.make(name, **{"device": "fake", "epochs": 1, **options})
        return model.fit(language_cases.TEXT[:60], progress=False)
    options = {"device": "fake", "epochs": 1, "batch_size": BATCH[name], **options}
    return recommender_cases.make(name, **options).fit(recommender_cases.planted_log(users=6), progress=False)


@pytest.mark.parametrize(
    ("objective", "name"),
    [
        *(("full_softmax", name) for name in ("YoutubeDNN", "gru")),
        *(("sampled_softmax", name) for name in ("SASRec", "MIND", "SDM", "TwoTower", "EGES", "nnlm", "lstm")),
    ],
)
def test_steps_that_are_replayed_train_as_others_do(
    name: str, objective: str, device: FakeDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CUDA graphs as this device has them: what was captured waits for nothing, and has its numbers in memory."""
    options: dict[str, Any] = {"objective": objective, "sampler": None, "epochs": 2, "lr": 0.01, "decay": "linear"}
    options |= {"clip": 1.0, "ema": 0.9}
    if objective == "sampled_softmax":
        options |= {"sampler": "uniform", "num_sampled": 5}
        options |= {"nnlm": {"replacement": True}, "lstm": {"replacement": True}, "TwoTower": {"id_dropout": 0.0}}.get(
            name, {}
        )
    graphs = FakeGraphs()
    monkeypatch.setitem(step_graphs.GRAPHS, "fake", graphs)
    found = train(name, cuda_graphs=True, **options)
    assert sum(graph.replays for graph in graphs.made) >= 2
    # The same without a graph: the same padding, and seeds from the device.
    monkeypatch.setattr(StepGraphs, "run", lambda self, batch: self._step(batch))
    expected = train(name, cuda_graphs=True, **options)
    assert found.training_log[0]["loss"] == pytest.approx(expected.training_log[0]["loss"], abs=1e-6)
    for one, other in zip(found.model.parameters(), expected.model.parameters(), strict=True):
        torch.testing.assert_close(held(one.detach()), held(other.detach()), atol=1e-5, rtol=1e-5)


def test_steps_that_wait_cannot_be_captured(device: FakeDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(step_graphs.GRAPHS, "fake", FakeGraphs())
    step = StepGraphs(lambda batch: batch["x"] * float(batch["x"]), DEVICE)
    batch = {"x": on_device(torch.tensor(2.0))}
    for _ in range(step_graphs.WARM_UP):
        step.run(batch)
    with pytest.raises(ValueError, match=r"cuda_graphs: expected False, .* captured, got True .*scalar_dense"):
        step.run(batch)


@pytest.mark.parametrize("name", ["YoutubeDNN", "SASRec", "gru"])
def test_bfloat16_on_a_device(name: str, device: FakeDevice) -> None:
    """As on the CPU, up to the rounding of products."""
    found, expected = (train(name, device=place, precision="bfloat16") for place in ("fake", "cpu"))
    loss = found.training_log[0]["loss"]
    assert abs(loss - expected.training_log[0]["loss"]) < 0.02
    assert loss != train(name).training_log[0]["loss"]
    assert all(weight.dtype is torch.float32 for weight in found.model.parameters())


@pytest.mark.parametrize("kind", ["nnlm", "gru", "lstm"])
def test_language_models(kind: str, device: FakeDevice) -> None:
    there, here = (
        language_cases.make(kind, device=place, epochs=1).fit(language_cases.TEXT[:60], progress=False)
        for place in ("fake", "cpu")
    )
    expected = here.perplexity(language_cases.OTHER_TEXT)
    assert abs(there.perplexity(language_cases.OTHER_TEXT) - expected) < 1e-3 * expected


def test_word2vec(device: FakeDevice) -> None:
    for sg in (True, False):
        vectors: list[Any] = []
        for place in ("fake", "cpu"):
            device.reset()
            model = Word2Vec(dim=8, epochs=2, min_count=1, seed=1, engine="plain", device=place, sg=sg)
            vectors.append(model.fit(language_cases.TEXT[:60], progress=False).vectors.vectors)
            assert sum(device.waits.values()) < 10, "it waits in each step"
        np.testing.assert_allclose(*vectors, atol=1e-4)


@pytest.mark.parametrize(("of", "to"), [("fake", "cpu"), ("cpu", "fake")])
def test_a_checkpoint_goes_on_on_another_device(of: str, to: str, device: FakeDevice, tmp_path: Any) -> None:
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


class _StoppedError(Exception):
    pass


def stop_after_one_epoch(model: YoutubeDNN, log: Any, folder: Any) -> None:
    from logq.training.checkpoint import Checkpoint

    with pytest.MonkeyPatch.context() as patch:
        save = Checkpoint.save

        def and_stop(self: Checkpoint, state: Any) -> None:
            save(self, state)
            raise _StoppedError

        patch.setattr(Checkpoint, "save", and_stop)
        with pytest.raises(_StoppedError):
            model.fit(log, checkpoint=folder, checkpoint_minutes=0, progress=False)


def test_a_loss_that_is_no_number_is_told_with_its_batch(device: FakeDevice) -> None:
    """The losses of several steps are looked at together."""
    with pytest.raises(DivergedError, match=r"epoch 1, batch (\d+): the loss is"):
        NNLM(dim=8, hidden=8, lr=1e18, epochs=2, batch_size=32, seed=1, device="fake").fit(
            language_cases.TEXT, progress=False
        )


# -------------------------------------------------------------------------------------------------- the other things


def test_exact_index(device: FakeDevice) -> None:
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


def test_diagnostics(device: FakeDevice) -> None:
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
