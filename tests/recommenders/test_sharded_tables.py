"""Tables of users and items in parts: several processes learn what one process learns, and have a part of it each."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import logq as package
from logq import recommenders
from logq.distributed import ShardedEmbedding, VectorShards
from logq.distributed.placing import Placing
from logq.distributed.stratified_draws import StratifiedDraws
from logq.processes import all_rows, traffic, world
from logq.recommenders import airbnb
from logq.recommenders.neural.item_loss import make_item_loss
from logq.recommenders.neural.neural_recommender import NeuralRecommender
from logq.recommenders.youtube_dnn import YoutubeDNNConfig
from logq.samplers import Draw, Sampler, WithinGroup
from logq.training.checkpoint import FILE
from logq.training.loop import Loop
from processes import doubles, together
from recommender_cases import first_half, fitted, make, planted_split, rated_split

SHARED: dict[str, Any] = {"epochs": 2, "decay": "constant", "seed": 3}


def recommender(name: str, size: int, **options: Any) -> Any:
    n = {"SASRec": 12}.get(name, 54)
    own = {"id_dropout": 0.0} if name == "TwoTower" else {}
    sampler: Callable[[Sequence[int]], Sampler] = first_half
    fixed = {**SHARED, **own, "sampler": sampler, "batch_size": n // size, "tables": "sharded"}
    return make(name, **{**fixed, **options})


def fits() -> dict[str, Callable[[int], Any]]:
    """Fits that know no chance but that of the order, by name."""
    content = {"content": "sum", "id_dropout": 0.0}
    users = {"user_vectors": True, "user_dropout": 0.0}
    return {
        "YoutubeDNN": lambda size: recommender("YoutubeDNN", size),
        "YoutubeDNN, tied": lambda size: recommender("YoutubeDNN", size, tied=True, optimizer="sgd", weight_decay=0.01),
        "YoutubeDNN, clip, ema": lambda size: recommender("YoutubeDNN", size, clip=0.05, ema=0.9, optimizer="adagrad"),
        "YoutubeDNN, content": lambda size: recommender("YoutubeDNN", size, **content),
        "YoutubeDNN, nce": lambda size: recommender("YoutubeDNN", size, objective="nce", lr=0.005),
        "YoutubeDNN, in batch": lambda size: recommender("YoutubeDNN", size, sampler="in_batch"),
        "YoutubeDNN, weights": lambda size: recommender("YoutubeDNN", size, weights="rating", future=2),
        "YoutubeDNN, unseen": lambda size: recommender("YoutubeDNN", size, unseen_negatives=True, false_negatives=0.9),
        "SASRec": lambda size: recommender("SASRec", size),
        "SASRec, untied": lambda size: recommender("SASRec", size, tied=False, objective="gbce"),
        "MIND": lambda size: recommender("MIND", size),
        "SDM": lambda size: recommender("SDM", size, **users),
        "TwoTower": lambda size: recommender("TwoTower", size, **users),
        "EGES": lambda size: recommender("EGES", size),
        "AirbnbEmbeddings": lambda size: recommender("AirbnbEmbeddings", size, objective="nce", optimizer="sgd"),
        "AirbnbEmbeddings, market": lambda size: recommender(
            "AirbnbEmbeddings", size, optimizer="sgd", lr=0.5, market="rating", num_in_market=3
        ),
    }


class FirstOfMarket(WithinGroup):
    """The first items of a market, over and over, and not random ones, of which each process would draw its own."""

    def _draw_in_groups(self, targets: Any, generator: Any, groups: Any) -> Draw:
        drawn = super()._draw_in_groups(targets, generator, groups)
        members = [self.classes[self.group[self.classes] == number] for number in range(self.num_groups)]
        first = torch.stack([of.repeat(self.num_sampled)[: self.num_sampled] for of in members])
        return drawn._replace(ids=first[self._group_of_rows(targets, groups)])


QUICK = ("YoutubeDNN, clip, ema", "SASRec", "AirbnbEmbeddings, market")
"""Those that are tried whenever tests are run; the others are slow together."""


def whole(model: torch.nn.Module) -> dict[str, np.ndarray]:
    """The weights of all processes by name."""
    parts = {id(part.weight): part for part in model.modules() if isinstance(part, ShardedEmbedding)}
    found: dict[str, np.ndarray] = {}
    for name, value in model.state_dict(keep_vars=True).items():
        table = value.detach()
        if id(value) in parts:
            placing = parts[id(value)].part.placing
            counts = [len(placing.range_of(rank)) for rank in range(placing.size)]
            rows = all_rows(table, counts)
            table = torch.empty_like(rows)
            table[torch.cat([placing.ids_of(rank) for rank in range(placing.size)])] = rows
        found[name] = table.numpy()
    return found


def learned(name: str, size: int) -> dict[str, Any]:
    """What one of `size` processes has after a fit."""
    model: NeuralRecommender = fits()[name](size)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(airbnb, "WithinGroup", FirstOfMarket)
        model.fit(rated_split(), progress=False)
    parts = [part for part in model.model.modules() if isinstance(part, ShardedEmbedding)]
    scores = model.evaluate(rated_split(), ks=(3,), exclude_seen=False, progress=False)
    answers = model.recommend(histories=[[103, 105], [119]], k=20)
    log = [{key: value for key, value in entry.items() if "per_second" not in key} for entry in model.training_log]
    return {
        "weights": whole(model.model),
        "log": log,
        "metrics": scores.values,
        "items": answers.items.tolist(),
        "scores": answers.scores,
        "similar": model.similar_items(103, k=3).items.tolist(),
        "shares": [len(part.weight) / part.num_rows for part in parts],
    }


def several(names: Sequence[str]) -> dict[str, Any]:
    torch.set_default_dtype(torch.float64)
    return {name: learned(name, world().size) for name in names}


SAMPLERS = ("learned_unigram", "unigram")
"""One that is whole in each process, and one that is in parts."""


class BrokenOffError(Exception):
    pass


def resumable(
    folder: Path | None = None, stop: int = 0, sampler: str = "learned_unigram", **options: Any
) -> dict[str, np.ndarray]:
    """The weights of all processes after a fit, which may end in the midst."""
    chance = {"dropout": 0.3, "ema": 0.9, "sampler": sampler, "patience": 2}
    model: Any = make("SASRec", tables="sharded", epochs=2, batch_size=8, **chance)

    def on_batch(step: int) -> None:
        if step == stop:
            raise BrokenOffError

    model._on_batch = on_batch
    try:
        model.fit(planted_split(), checkpoint=folder, checkpoint_minutes=0.0, progress=False, **options)
    except BrokenOffError:
        return {}
    return whole(model.model)


def said(function: Callable[..., Any], *arguments: Any, **options: Any) -> str:
    try:
        function(*arguments, **options)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "nothing"


def everything(folder: Path) -> dict[str, Any]:
    """What each process finds, in one start of them."""
    found: dict[str, Any] = {}
    for sampler in SAMPLERS:
        one: dict[str, Any] = {"whole": resumable(sampler=sampler)}
        found[sampler] = one
        resumable(folder / sampler, stop=6, sampler=sampler)
        one["saved"] = sorted(path.name.partition("-")[0] for path in (folder / sampler).iterdir())
        one["resumed"] = resumable(folder / sampler, sampler=sampler, resume=True)
        one["left"] = list((folder / sampler).iterdir())
    counts = np.arange(20) + 1
    config = YoutubeDNNConfig(sampler="unigram", num_sampled=6, tables="sharded")
    found["sampler"] = make_item_loss(config, counts, counts, 1, True, 1.0).sampler
    model: Any = make("TwoTower", tables="sharded", epochs=1, content="sum", user_vectors=True)
    model.fit(planted_split(), progress=False)
    model.save(folder / "model")
    for metric in ("inner_product", "cosine"):
        model.write_vector_shards(folder / metric, metric=metric)
    found["answers"] = model.recommend(["u1", "u7"], k=20)
    found["cannot write"] = said(model.save, "/dev/full/folder")
    found["after"] = model.recommend(["u1", "u7"], k=3).items.tolist()
    found["refused"] = {
        "index": said(model.index),
        "export": said(model.export, folder / "tower.onnx"),
        "item_vectors": said(lambda: model.item_vectors),
        "search_vectors": said(lambda: model.search_vectors),
        "warm": said(model.fit, planted_split().log, warm=True, progress=False),
    }
    part = ShardedEmbedding(1000, 16)
    with traffic() as sent:
        rows = part(torch.arange(300).view(3, 100))
        if world().rank == 0:  # what one process does alone in backward is no matter of the others
            rows.sum().backward()
        part.collect_gradients()
    assert part.weight.grad is not None
    found["gradient"] = (part.own_ids()[part.weight.grad._indices()[0]], part.weight.grad.to_dense().sum())
    found["bytes"] = sent.bytes_sent
    return {**found, **several(QUICK)}


def check(name: str, found: list[dict[str, Any]]) -> None:
    """Adam makes more of differences in rounding, and two towers compute items in float32."""
    with doubles():
        alone = learned(name, 1)
    for each in (one[name] for one in found):
        assert each["shares"]
        assert max(each["shares"]) <= 1 / len(found) + 0.05
        for key, value in alone["weights"].items():
            np.testing.assert_allclose(each["weights"][key], value, rtol=0, atol=1e-9, err_msg=key)
        for ours, others in zip(alone["log"], each["log"], strict=True):
            assert others == pytest.approx(ours, rel=0, abs=1e-12)
        assert each["metrics"] == pytest.approx(alone["metrics"], rel=0, abs=1e-12)
        assert each["items"] == alone["items"]
        np.testing.assert_allclose(each["scores"], alone["scores"], rtol=0, atol=1e-5)
        assert each["similar"] == alone["similar"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sharded")


@pytest.fixture(scope="module")
def found(place: Path) -> list[dict[str, Any]]:
    return together(everything, place, seconds=300)


@pytest.mark.parametrize("name", QUICK)
def test_two_processes_learn_what_one_learns(name: str, found: list[dict[str, Any]]) -> None:
    check(name, found)


@pytest.fixture(scope="module")
def others() -> list[dict[str, Any]]:
    return together(several, [name for name in fits() if name not in QUICK], seconds=600)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(fits().keys() - {*QUICK}))
def test_two_processes_learn_what_one_learns_of_every_model(name: str, others: list[dict[str, Any]]) -> None:
    check(name, others)


@pytest.mark.slow
@pytest.mark.parametrize("size", [3, 4])
def test_so_do_more_processes(size: int) -> None:
    names = [name for name in fits() if size == 3 or name == "SASRec"]  # of batches of 12; 54 is no multiple of 4
    found = together(several, names, size=size, seconds=600)
    for name in names:
        check(name, found)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_run_goes_on_from_a_checkpoint_to_the_same_bits(sampler: str, found: list[dict[str, Any]]) -> None:
    assert found[0][sampler]["saved"] == [FILE, "tables"]  # one folder of rows, that of the last save
    for one in (each[sampler] for each in found):
        assert one["left"] == []
        for name, value in one["whole"].items():
            np.testing.assert_array_equal(one["resumed"][name], value, err_msg=name)


def test_each_process_has_the_counts_of_its_own_items(found: list[dict[str, Any]]) -> None:
    for one in found:
        sampler = one["sampler"]
        assert isinstance(sampler, StratifiedDraws)
        assert (sampler.own_classes, sampler.num_sampled, sum(sampler.part.strata)) == (10, 6, 6)


def state_of(loop: Loop) -> dict[str, np.ndarray]:
    """Weights, averages and states of optimizers, those in parts put together."""
    state, found = loop.state(), {}
    for name, array in state.tensors.items():
        if name in state.parts:
            _, total = state.parts[name]
            placing = Placing(total, world().size)
            counts = [len(placing.range_of(rank)) for rank in range(placing.size)]
            rows = all_rows(torch.from_numpy(array), counts).numpy()
            array = np.empty_like(rows)
            array[np.concatenate([placing.ids_of(rank).numpy() for rank in range(placing.size)])] = rows
        if not name.startswith("random") and not name.endswith("_extra_state"):
            found[name] = array.copy()
    return found


def saved_and_gone_on(folder: Path, first: bool) -> dict[str, dict[str, Any]]:
    """What a run has when it saved its last checkpoint; or what one that goes on from it begins and ends with."""
    found: dict[str, dict[str, Any]] = {}
    run = Loop.run
    for sampler in SAMPLERS:
        states: list[dict[str, np.ndarray]] = []

        def watched(self: Loop, *arguments: Any, states: Any = states, **named: Any) -> None:
            try:
                states.append(state_of(self))
                run(self, *arguments, **named)
            except BrokenOffError:
                states.append(state_of(self))
                raise

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Loop, "run", watched)
            after = resumable(folder / sampler, stop=6 if first else 0, sampler=sampler, resume=not first)
        found[sampler] = {"state": states[-1] if first else states[0], "after": after}
    return found


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::logq._model_file.CheckpointWarning")
@pytest.mark.parametrize(("before", "after"), [(2, 3), (2, 1), (1, 2)])
def test_another_number_of_processes_goes_on(before: int, after: int, tmp_path: Path) -> None:
    """From the same rows and states, to weights of the same size: other numbers are drawn."""

    def run(size: int, first: bool) -> list[dict[str, dict[str, Any]]]:
        if size == 1:
            return [saved_and_gone_on(tmp_path, first)]
        return together(saved_and_gone_on, tmp_path, first, size=size, seconds=300)

    saved, gone_on = run(before, True)[0], run(after, False)
    for sampler in SAMPLERS:
        for one in gone_on:
            assert one[sampler]["state"].keys() == saved[sampler]["state"].keys()
            for name, value in saved[sampler]["state"].items():
                np.testing.assert_array_equal(one[sampler]["state"][name], value, err_msg=name)
            for name, value in one[sampler]["after"].items():
                assert np.isfinite(value).all()
                np.testing.assert_array_equal(gone_on[0][sampler]["after"][name], value)
        assert not list((tmp_path / sampler).iterdir())


def test_one_process_loads_what_all_have_saved(found: list[dict[str, Any]], place: Path) -> None:
    model: Any = package.load(place / "model")
    answers = model.recommend(["u1", "u7"], k=20)
    for one in found:
        assert one["answers"].items.tolist() == answers.items.tolist()
        np.testing.assert_allclose(one["answers"].scores, answers.scores, rtol=0, atol=1e-5)
        assert one["after"] == answers.items[:, :3].tolist()
    vectors = {"inner_product": model.search_vectors, "cosine": model.item_vectors}
    for metric, expected in vectors.items():
        shards = VectorShards(place / metric)
        assert (len(shards), shards.about) == (2, {"metric": metric, "model": "TwoTower"})
        for shard in shards:
            np.testing.assert_allclose(shard.vectors, expected[shard.ids], rtol=0, atol=1e-6)
            assert np.asarray(shard.keys).tolist() == model.item_ids[shard.ids].tolist()
        assert sorted(np.concatenate([shard.ids for shard in shards]).tolist()) == list(range(20))


def test_all_fail_where_the_first_cannot_write(found: list[dict[str, Any]]) -> None:
    for one in found:
        assert one["cannot write"].startswith("NotADirectoryError: [Errno 20] Not a directory")


def test_what_needs_a_whole_model_is_refused_by_name(found: list[dict[str, Any]]) -> None:
    for one in found:
        for name in ("index", "export", "item_vectors", "search_vectors"):
            assert one["refused"][name].startswith(
                "ArgumentError: tables: expected a model that this process has whole, got one of which each of 2 "
                "processes has a part; save() writes it whole"
            )
        assert one["refused"]["warm"].startswith(
            "ArgumentError: tables: expected 'replicated' to go on with a log that grew"
        )


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("YoutubeDNN", {"objective": "full_softmax"}, 'objective: expected an objective that samples with tables="sha'),
        ("YoutubeDNN", {"sampler": "every_class"}, "sampler: expected one that draws some items"),
        ("YoutubeDNN", {"item_bias": True}, 'item_bias: expected False with tables="sharded"'),
        ("YoutubeDNN", {"pretrain": 1}, 'pretrain: expected 0 with tables="sharded"'),
        ("SASRec", {"sparse": False}, 'sparse: expected True with tables="sharded"'),
        ("SASRec", {"compile": True}, 'compile: expected False with tables="sharded"'),
        ("SASRec", {"cuda_graphs": True}, 'cuda_graphs: expected False with tables="sharded"'),
        ("TwoTower", {"chunk": 8}, 'chunk: expected none with tables="sharded"'),
        ("MIND", {"tables": "split"}, "tables: expected one of replicated, sharded, got 'split'"),
    ],
)
def test_what_cannot_be_in_parts_is_refused_by_name(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        getattr(recommenders, name)(**{"tables": "sharded", **options})


def test_gradients_reach_the_owners_whoever_has_them(found: list[dict[str, Any]]) -> None:
    ids = torch.cat([one["gradient"][0] for one in found])
    assert sorted(ids.tolist()) == list(range(300))
    assert sum(float(one["gradient"][1]) for one in found) == 300 * 16
    for one in found:  # of 300 ids about half are another's: its number, the row, and the gradient of the row
        assert one["bytes"] == pytest.approx(150 * (4 + 2 * 16 * 4), rel=0.06)


def test_one_process_has_whole_tables() -> None:
    model: Any = make("SASRec", tables="sharded", epochs=1).fit(planted_split().train, progress=False)
    assert not model.in_parts
    assert model.model.items.weight.shape == (20, 16)
    assert "tables" not in model.settings()


@pytest.mark.parametrize("name", ["YoutubeDNN", "EGES"])
def test_shards_of_a_whole_model_are_its_vectors(name: str, tmp_path: Path) -> None:
    model: Any = fitted(name)
    for metric, expected in {"inner_product": model.search_vectors, "cosine": model.item_vectors}.items():
        model.write_vector_shards(tmp_path, metric=metric)
        (shard,) = VectorShards(tmp_path)
        np.testing.assert_array_equal(shard.vectors, expected[shard.ids])
