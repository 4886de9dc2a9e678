"""Several processes train one model: each with its part of every batch, and together what one process would learn."""

import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import language_cases
from logq import optim
from logq.candidates import IGNORED
from logq.language_models import nnlm, recurrent
from logq.logs import leave_one_out
from logq.objectives import OBJECTIVES
from logq.process_start import all_values
from logq.processes import World, world
from logq.recommenders.neural.neural_recommender import NeuralRecommender
from logq.samplers import InBatch, LearnedUnigram, Mixture, Sampler, Unigram
from logq.samplers.streams import rank_of_process
from logq.training import together as sharing
from logq.training.checkpoint import FILE
from logq.training.devices import Device
from logq.training.loop import Loop
from logq.training.together import share_gradients
from processes import doubles, together
from recommender_cases import NEURAL, SKIP_GRAM, first_half, make, planted_log, planted_split, rated_split

WORLD = 2

EVALUATED = 16
"""Tokens of a text that are evaluated at a time."""

SHARED: dict[str, Any] = {"epochs": 2, "decay": "constant", "seed": 3}


def recommender(name: str, size: int, **options: Any) -> Any:
    objective = options.get("objective", "sampled_softmax")
    sampler = first_half if OBJECTIVES[objective].negatives.sampled else None
    n = {"SASRec": 12}.get(name, 54)
    own = {"id_dropout": 0.0} if name == "TwoTower" else {}
    return make(
        name, **{**SHARED, **own, "objective": objective, "sampler": sampler, "batch_size": n // size, **options}
    )


def language_model(kind: str, size: int, objective: str, **options: Any) -> Any:
    sampled = objective in OBJECTIVES and OBJECTIVES[objective].negatives.sampled
    n = {"nnlm": 60}.get(kind, 16)
    sampler = first_half if sampled else None
    return language_cases.make(
        kind, **{**SHARED, "objective": objective, "sampler": sampler, "batch_size": n // size, **options}
    )


def one_left(size: int) -> int:
    """A size of batches of `size` processes after which one example is left for the last step of an epoch."""
    train = rated_split().train
    examples = len(train) - train.num_users
    step = next(step for step in range(40, examples, 2) if examples % step == 1)
    return step // size


def fits() -> dict[str, Callable[[int], Any]]:
    """Fits that know no chance but that of the order, which one process and several have in common, by name."""
    found: dict[str, Callable[[int], Any]] = {
        "SASRec, sampled": lambda size: recommender("SASRec", size),
        "SASRec, sparse": lambda size: recommender("SASRec", size, sparse=True),
        "YoutubeDNN, sparse": lambda size: recommender("YoutubeDNN", size, sparse=True),
        "YoutubeDNN, sgd": lambda size: recommender("YoutubeDNN", size, sparse=True, optimizer="sgd", clip=0.5),
        "YoutubeDNN, one left": lambda size: recommender("YoutubeDNN", size, batch_size=one_left(size)),
        "TwoTower, sampled": lambda size: recommender("TwoTower", size),
        "SASRec, weights": lambda size: recommender("SASRec", size, weights="rating", future=2),
        "YoutubeDNN, weights": lambda size: recommender("YoutubeDNN", size, weights="rating", future=2, ema=0.9),
        "nnlm, sparse": lambda size: language_model("nnlm", size, "nce", sparse=True),
        "gru, full": lambda size: language_model("gru", size, "full_softmax"),
        "lstm, sampled": lambda size: language_model("lstm", size, "sampled_softmax"),
    }
    for objective in OBJECTIVES:
        found[f"YoutubeDNN, {objective}"] = lambda size, of=objective: recommender("YoutubeDNN", size, objective=of)
    for objective in language_cases.OBJECTIVES:
        found[f"nnlm, {objective}"] = lambda size, of=objective: language_model("nnlm", size, of)
    for name in (*NEURAL, *SKIP_GRAM):
        if name != "Item2Vec":
            found[f"{name}, full"] = lambda size, of=name: recommender(of, size, objective="full_softmax")
    return found


QUICK = ("SASRec, sparse", "YoutubeDNN, one left", "YoutubeDNN, weights", "TwoTower, full", "nnlm, nce", "gru, full")
"""Those that are tried whenever tests are run; the others are slow together."""


def learned(name: str, size: int) -> dict[str, Any]:
    """What one of `size` processes has after a fit."""
    model, values = fits()[name](size), {}
    if isinstance(model, NeuralRecommender):
        model.fit(rated_split(), progress=False)
        for ties in ("random", "expected") if name == QUICK[0] else ("random",):
            found = model.evaluate(rated_split(), ks=(3,), exclude_seen=False, ties=ties, segments=True, progress=False)
            values |= {f"{ties} {key}": value for key, value in found.values.items()}
            values |= {f"{ties} low {key}": low for key, (low, _) in found.intervals.items()}
            values |= {f"{key} of {part}": one[key] for part, one in found.segments.items() for key in one.values}
    else:
        model.fit(language_cases.TEXT[:80], validation=language_cases.OTHER_TEXT, progress=False)
        reader, asked = model.reader, []
        log_prob = reader.log_prob
        reader.log_prob = lambda *given: asked.append(len(given[0])) or log_prob(*given)
        values = model.evaluate(language_cases.OTHER_TEXT, progress=False).as_dict() | {"asked": sum(asked)}
    log = [{key: value for key, value in entry.items() if "per_second" not in key} for entry in model.training_log]
    weights = {name: value.numpy() for name, value in model.model.state_dict().items()}
    return {"weights": weights, "log": log, "metrics": values}


def learning_samplers() -> dict[str, Sampler]:
    return {
        "LearnedUnigram": LearnedUnigram(50, 5, seed=1),
        "InBatch": InBatch(50),
        "Mixture": Mixture([LearnedUnigram(50, 3, seed=2), Unigram(range(1, 51), 3, seed=3)]),
    }


def batches_of(size: int, rank: int) -> list[Tensor]:
    """Targets of one of `size` processes in some steps; one step has none for the last process."""
    generator = torch.Generator().manual_seed(1)
    steps = [torch.randint(-1, 50, (rows,), generator=generator) for rows in (40, 1, 2000, 33)]
    return [targets.where(targets >= 0, IGNORED)[rank::size] for targets in steps]


def seen_by_samplers(size: int, rank: int) -> dict[str, list[dict[str, Tensor]]]:
    """What samplers know after each step; the order of what they have seen lately is no part of it."""
    found: dict[str, list[dict[str, Tensor]]] = {}
    for name, sampler in learning_samplers().items():
        sampler.learn_from_all()
        found[name] = []
        for targets in batches_of(size, rank):
            sampler.draw(targets)
            parts = sampler.parts if isinstance(sampler, Mixture) else [sampler]
            state = {key: value.clone() for part in parts for key, value in part._learned().items()}
            state["recent"] = state.get("recent", torch.zeros(1)).sort().values
            found[name].append({key: value for key, value in state.items() if key != "others"})
    return found


def gradients(size: int, rank: int) -> dict[str, Tensor]:
    """Of a dense layer in several buckets, of a table with rows on both processes and of one that rank 1 lacks."""
    generator = torch.Generator().manual_seed(2)
    rows, values = torch.randint(0, 9, (8,), generator=generator), torch.randn(8, 3, generator=generator).double()
    whole = torch.randn(4, 5, generator=generator).double()
    tables = [torch.zeros(9, 3, dtype=torch.float64).requires_grad_() for _ in range(3)]
    dense = [torch.zeros(5, dtype=torch.float64).requires_grad_() for _ in range(3)]
    for number in range(rank, 4, size):
        for each in dense[:2]:
            each.grad = whole[number] if each.grad is None else each.grad + whole[number]
    own = slice(rank, None, size)
    for table in tables[: 2 if rank else 3]:
        table.grad = torch.sparse_coo_tensor(rows[own][None], values[own], (9, 3), check_invariants=False)
    if rank == 0:
        tables[1].grad = tables[1].grad.to_dense()
    share_gradients(dense, tables)
    found = {f"dense {number}": each.grad for number, each in enumerate(dense)}
    for number, table in enumerate(tables):
        found[f"table {number} is sparse"] = torch.tensor(table.grad.is_sparse)
        found[f"table {number}"] = table.grad.to_dense()
    optim.SGD(tables, lr=1.0).step()
    return found


def said(fit: Callable[[], Any]) -> str:
    try:
        fit()
    except (Exception, KeyboardInterrupt) as error:
        return f"{type(error).__name__}: {error}"
    return "nothing"


def what_differs() -> dict[str, str]:
    rank, split = world().rank, planted_split()
    other = leave_one_out(planted_log(60, seed=rank))
    return {
        "lr": said(lambda: make("YoutubeDNN", lr=0.1 + rank).fit(split, progress=False)),
        "seed": said(lambda: make("YoutubeDNN", seed=5 + rank).fit(split, progress=False)),
        "log": said(lambda: make("YoutubeDNN").fit(other, progress=False)),
        "class": said(lambda: make("SASRec" if rank else "YoutubeDNN").fit(split, progress=False)),
        "words": said(lambda: language_cases.make("gru").fit(language_cases.TEXT[rank:], progress=False)),
    }


def what_ends_a_fit() -> dict[str, Any]:
    """What both processes say when something happens to the second one in its third step, and how far they got."""
    found: dict[str, Any] = {}
    update = Loop._update
    for name in ("not finite", "Ctrl-C", "SIGTERM"):
        steps: list[int] = []

        def watched(self: Loop, batch: Any, count: int, name: str = name, steps: list[int] = steps) -> Any:
            steps.append(self.step)
            if self.step == 3 and world().rank == 1:
                if name == "not finite":
                    loss = self.task.loss
                    self.task.loss = lambda batch: loss(batch) * float("nan")
                else:
                    signal.raise_signal(signal.SIGTERM if name == "SIGTERM" else signal.SIGINT)
            return update(self, batch, count)

        Loop._update = watched  # pyright: ignore[reportPrivateUsage]
        try:
            found[name] = said(lambda: make("YoutubeDNN").fit(planted_split(), progress=False)), steps
        finally:
            Loop._update = update  # pyright: ignore[reportPrivateUsage]
    return found


def a_late_request(folder: Path) -> tuple[str, bool]:
    """What becomes of Ctrl-C in the second process after the last step, and whether there is a checkpoint."""
    end_epoch = Loop._end_epoch

    def measured(self: Loop, *arguments: Any) -> None:
        end_epoch(self, *arguments)
        if world().rank == 1:
            signal.raise_signal(signal.SIGINT)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Loop, "_end_epoch", measured)
        model = make("YoutubeDNN", epochs=1)
        text = said(lambda: model.fit(planted_split(), checkpoint=folder, checkpoint_minutes=60, progress=False))
    torch.distributed.barrier()
    return text, (folder / FILE).exists()


def evaluations() -> dict[str, Any]:
    """Of fewer users than processes, and of other users in each process."""
    split, rank = planted_split(), world().rank
    model = make("YoutubeDNN", epochs=1).fit(split, progress=False)
    found: dict[str, Any] = {}
    options: dict[str, Any] = {"ks": (3,), "exclude_seen": False, "progress": False}
    one = split.test.select(split.test.users == 5)
    for ties in ("random", "expected"):
        found[ties] = dict(model.evaluate(one, ties=ties, **options).values)
    other = split.test.select(split.test.users < 20 + rank)
    found["differs"] = said(lambda: model.evaluate(other, **options))
    return found


def seen_in_a_group() -> dict[str, Tensor]:
    """What samplers know that take targets of a group, and learn those of all."""
    found = {}
    for group in ("world", 1):
        sampler = InBatch(50, group=group).learn_from_all()
        for targets in batches_of(WORLD, world().rank):
            sampler.draw(targets)
        found[str(group)] = sampler._learned()["seen"]
    return found


def own_seeds() -> dict[str, Any]:
    """Without a seed each process would begin elsewhere: weights, and what samplers know, are those of the first."""
    found: dict[str, Any] = {}
    for name, sampler in {"learned": "learned_unigram", "in batch": lambda counts: InBatch(len(counts))}.items():
        model: Any = make("YoutubeDNN", seed=None, sampler=sampler, epochs=2)
        make_loss, losses, drawn = model._make_loss, [], []

        def watched(*arguments: Any, make_loss: Any = make_loss, losses: Any = losses, drawn: Any = drawn) -> Any:
            losses.append(make_loss(*arguments))
            draw = losses[-1].sampler.draw

            def recorded(*given: Any, **how: Any) -> Any:
                candidates = draw(*given, **how)
                drawn.append(candidates.ids.clone())
                return candidates

            losses[-1].sampler.draw = recorded
            return losses[-1]

        model._make_loss = watched
        model.fit(planted_split(), progress=False)
        state = {key: value for key, value in losses[-1].sampler._learned().items() if key != "others"}
        found[name] = {"weights": model.model.state_dict(), "state": state, "drawn": drawn}
    return found


def everything(folder: Path) -> dict[str, Any]:
    """What each process finds, in one start of them."""
    rank = world().rank
    found: dict[str, Any] = {
        "samplers": seen_by_samplers(WORLD, rank),
        "gradients": gradients(WORLD, rank),
        "differs": what_differs(),
        "ends": what_ends_a_fit(),
        "seeds": own_seeds(),
        "late": a_late_request(folder),
        "evaluations": evaluations(),
        "seen in a group": seen_in_a_group(),
        "values": all_values({"rank": rank, "text": "x" * rank}, "compare"),
    }
    return {**found, **several(QUICK)}


def several(names: Sequence[str]) -> dict[str, Any]:
    """What is learned, by the names of fits, in float64 and with gradients in many small buckets."""
    sharing.BUCKET_BYTES = 256
    nnlm.EVALUATED = recurrent.EVALUATED = EVALUATED
    torch.set_default_dtype(torch.float64)
    return {name: learned(name, WORLD) for name in names}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return together(everything, tmp_path_factory.mktemp("late"))


@pytest.fixture(scope="module")
def others() -> list[dict[str, Any]]:
    return together(several, [name for name in fits() if name not in QUICK])


@pytest.mark.parametrize("name", QUICK)
def test_two_processes_learn_what_one_learns(name: str, found: list[dict[str, Any]]) -> None:
    check(name, found)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(fits().keys() - {*QUICK}))
def test_two_processes_learn_what_one_learns_of_every_model(name: str, others: list[dict[str, Any]]) -> None:
    check(name, others)


@pytest.fixture(autouse=True)
def blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts are evaluated in many blocks."""
    for module in (nnlm, recurrent):
        monkeypatch.setattr(module, "EVALUATED", EVALUATED)


def check(name: str, found: list[dict[str, Any]]) -> None:
    """In float64; Adam makes more of differences in rounding, and two towers compute items in float32."""
    with doubles():
        alone = learned(name, 1)
    zero, one = (each[name] for each in found)
    for key, value in alone["weights"].items():
        np.testing.assert_array_equal(zero["weights"][key], one["weights"][key])
        atol = 1e-4 if name == "TwoTower, sampled" else 1e-9
        np.testing.assert_allclose(zero["weights"][key], value, rtol=0, atol=atol, err_msg=key)
    if name != "TwoTower, sampled":
        for ours, others in zip(alone["log"], zero["log"], strict=True):
            assert others == pytest.approx(ours, rel=0, abs=1e-12)
        asked = [each["metrics"].pop("asked", 0) for each in (alone, zero, one)]
        assert asked[0] == asked[1] + asked[2]
        assert abs(asked[1] - asked[2]) <= EVALUATED
        assert zero["metrics"] == one["metrics"] == pytest.approx(alone["metrics"], rel=0, abs=1e-12)


@pytest.mark.parametrize("name", learning_samplers())
def test_samplers_know_what_all_processes_saw(name: str, found: list[dict[str, Any]]) -> None:
    alone = seen_by_samplers(1, 0)[name]
    for each in found:
        for ours, others in zip(alone, each["samplers"][name], strict=True):
            assert ours.keys() == others.keys()
            for key, value in ours.items():
                torch.testing.assert_close(others[key], value, rtol=0, atol=0)


def test_gradients_are_the_sum_of_all(found: list[dict[str, Any]]) -> None:
    alone = gradients(1, 0)
    for each in found:
        for name, value in alone.items():
            if "is sparse" not in name and name != "table 2":
                torch.testing.assert_close(each["gradients"][name], value, rtol=0, atol=1e-15)
        assert [bool(each["gradients"][f"table {number} is sparse"]) for number in range(3)] == [True, False, True]
    torch.testing.assert_close(found[0]["gradients"]["table 2"], found[1]["gradients"]["table 2"], rtol=0, atol=0)
    assert bool(found[1]["gradients"]["table 2"].any())


def test_processes_that_train_something_else_are_told_so_before_the_first_step(found: list[dict[str, Any]]) -> None:
    for each in found:
        differs = each["differs"]
        assert (
            differs["lr"]
            == "ArgumentError: lr: expected the same in all processes: 0.1 as on rank 0, got 1.1 on rank 1"
        )
        assert differs["seed"].startswith(
            "ArgumentError: seed: expected the same in all processes: 5 as on rank 0, got 6"
        )
        assert differs["log"].startswith("ArgumentError: log: expected the same in all processes: ")
        assert differs["class"].startswith('ArgumentError: class: expected the same in all processes: "YoutubeDNN" as')
        assert differs["words"].startswith("ArgumentError: source: expected the same in all processes: ")
        assert each["values"] == [{"rank": 0, "text": ""}, {"rank": 1, "text": "x"}]


def test_all_stop_after_the_same_step_whichever_is_told_to(found: list[dict[str, Any]]) -> None:
    for each in found:
        text, steps = each["ends"]["not finite"]
        assert text.startswith("DivergedError: lr: training diverged in epoch 1, batch 4: the loss is nan")
        assert steps == [0, 1, 2, 3]
        assert each["ends"]["SIGTERM"] == ("KeyboardInterrupt: ", [0, 1, 2, 3])
        assert each["ends"]["Ctrl-C"] == ("KeyboardInterrupt: ", [0, 1, 2, 3])


def test_a_request_after_the_last_step_is_heard(found: list[dict[str, Any]]) -> None:
    for each in found:
        assert each["late"] == ("KeyboardInterrupt: ", True)


def test_one_user_is_ranked_by_one_process(found: list[dict[str, Any]]) -> None:
    model = make("YoutubeDNN", epochs=1).fit(planted_split(), progress=False)
    test = planted_split().test
    for ties in ("random", "expected"):
        scores = [each["evaluations"][ties] for each in found]
        assert scores[0] == scores[1]
        options: dict[str, Any] = {"ks": (3,), "exclude_seen": False, "progress": False, "ties": ties}
        assert scores[0].keys() == model.evaluate(test.select(test.users == 5), **options).values.keys()
    for each in found:
        assert each["evaluations"]["differs"].startswith("ArgumentError: data: expected the same in all processes: ")


def test_a_group_learns_the_targets_of_all_once(found: list[dict[str, Any]]) -> None:
    seen = sum(int((targets != IGNORED).sum()) for rank in range(WORLD) for targets in batches_of(WORLD, rank))
    for each in found:
        assert {name: int(value) for name, value in each["seen in a group"].items()} == {"world": seen, "1": seen}


@pytest.mark.parametrize("name", ["learned", "in batch"])
def test_weights_and_what_samplers_know_are_alike_and_draws_are_not(name: str, found: list[dict[str, Any]]) -> None:
    zero, one = (each["seeds"][name] for each in found)
    for part in ("weights", "state"):
        assert zero[part].keys() == one[part].keys()
        for key, value in zero[part].items():
            assert torch.equal(value, one[part][key]), key
    alike = [torch.equal(a, b) for a, b in zip(zero["drawn"], one["drawn"], strict=True)]
    assert np.mean(alike) < 0.05


CASES: dict[str, dict[str, Any]] = {
    "YoutubeDNN": {"seed": None, "sparse": True, "batch_size": 16},
    "SASRec": {"dropout": 0.2, "pretrain": 2, "batch_size": 3},
    "TwoTower": {"id_dropout": 0.2, "batch_size": 16},
}


def fitted() -> dict[str, Any]:
    """Fit every case, and return what was learned and whose events were seen."""
    found: dict[str, Any] = {}
    update = Loop._update
    for name, options in CASES.items():
        users: list[Tensor] = []

        def noted(self: Loop, batch: Any, count: int, users: list[Tensor] = users) -> Any:
            users.append(batch["user"].clone())
            return update(self, batch, count)

        Loop._update = noted  # pyright: ignore[reportPrivateUsage]
        try:
            model: Any = make(name, **options).fit(planted_split(), progress=False)
        finally:
            Loop._update = update  # pyright: ignore[reportPrivateUsage]
        found[name] = {
            "weights": model.model.state_dict(),
            "users": users,
            "losses": [entry["loss"] for entry in model.training_log],
            "hit_rate": model.evaluate(planted_split(), ks=(3,), exclude_seen=False, progress=False)["HR@3"],
        }
    return found


@pytest.mark.slow
def test_two_processes_learn_one_model() -> None:
    zero, other = together(fitted)
    for name in CASES:
        for key, value in zero[name]["weights"].items():
            assert torch.equal(value, other[name]["weights"][key]), (name, key)
        if name == "YoutubeDNN":  # an example is an event with one before it; the processes share them
            log = planted_split().train
            seen = torch.cat([*zero[name]["users"], *other[name]["users"]]).bincount()
            assert (seen == len(zero[name]["losses"]) * (np.bincount(log.users) - 1)).all()
        for found in (zero[name], other[name]):
            assert found["losses"] == zero[name]["losses"]
            assert found["losses"][-1] < 0.7 * found["losses"][0]
            assert found["hit_rate"] > 0.7


@pytest.fixture
def two_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process as the first of two."""
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: WORLD)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 0)
    monkeypatch.setattr(torch.distributed, "broadcast", lambda tensor, source, group: tensor.add_(source))


@pytest.mark.parametrize(("own", "first"), [(3, 7), (0.25, 0.5)])
@pytest.mark.usefixtures("two_processes")
def test_all_take_the_number_of_the_first(own: float, first: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 1)
    monkeypatch.setattr(torch.distributed, "broadcast", lambda tensor, source, group: tensor.fill_(first))
    device = Device("cpu")
    assert device.world == World(1, 2, 0)
    agreed = device.agreed(own)
    assert (agreed, type(agreed)) == (first, type(own))
    assert rank_of_process() == 1
