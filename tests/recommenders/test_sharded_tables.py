"""Tables of users and items in parts: several processes learn what one process learns, and have a part of it each."""

import contextlib
import copy
from collections.abc import Callable
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
from logq.recommenders.neural.item_loss import make_item_loss
from logq.recommenders.youtube_dnn import YoutubeDNNConfig
from logq.training.checkpoint import FILE
from logq.training.loop import Loop
from processes import doubles, together
from recommender_cases import fitted, make, planted_split
from sharded_fits import check, fits, grown_parts, recommender, several, whole

QUICK = ("YoutubeDNN, bias", "SASRec", "SASRec, softmax", "TwoTower, warm", "AirbnbEmbeddings, market")
"""Those that are tried whenever tests are run; the others are slow together."""


RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    "whole": ("SASRec", {"batch_size": 8, "sampler": "learned_unigram"}),
    "parts": ("YoutubeDNN", {"batch_size": 40, "sampler": "unigram", "item_bias": True}),
    "all": ("YoutubeDNN", {"batch_size": 40, "sampler": None, "objective": "full_softmax", "item_bias": True}),
}
"""With a sampler that is whole in each process, with one in parts, and with all items, which is dense."""


class BrokenOffError(Exception):
    pass


def resumable(folder: Path | None = None, stop: int = 0, run: str = "whole", **options: Any) -> dict[str, np.ndarray]:
    """The weights of all processes after a fit, which may end in the midst."""
    name, own = RUNS[run]
    model: Any = make(name, tables="sharded", epochs=2, dropout=0.3, ema=0.9, patience=2, **own)

    def on_batch(step: int) -> None:
        if step == stop:
            raise BrokenOffError

    model._on_batch = on_batch
    try:
        model.fit(planted_split(), checkpoint=folder, checkpoint_minutes=0.0, progress=False, **options)
    except BrokenOffError:
        return {}
    return whole(model.model)


def gone_on(folder: Path) -> dict[str, dict[str, np.ndarray]]:
    """The weights of all processes after a model in parts went on, in one run and in one that was broken off."""
    known, later = grown_parts()
    model: Any = make("SASRec", tables="sharded", epochs=1, batch_size=8, dropout=0.3, ema=0.9, warm_epochs=2)
    model.fit(known, progress=False)
    found: dict[str, dict[str, np.ndarray]] = {}
    for name, stop in {"whole": 0, "broken off": 2, "resumed": 0}.items():
        one = copy.copy(model)

        def on_batch(step: int, stop: int = stop) -> None:
            if step == stop:
                raise BrokenOffError

        one._on_batch = on_batch
        options = {} if name == "whole" else {"checkpoint": folder, "checkpoint_minutes": 0.0}
        with contextlib.suppress(BrokenOffError):
            one.fit(later, warm=True, resume=name == "resumed", progress=False, **options)
        found[name] = whole(one.model)
    return found


def reopened(folder: Path, size: int, *, saves: bool) -> dict[str, np.ndarray]:
    """The weights of all processes after a model, which all have saved, was loaded whole and went on in parts."""
    known, later = grown_parts()
    if saves:
        options: dict[str, Any] = {"objective": "full_softmax", "sampler": None, "item_bias": True}
        model = recommender("YoutubeDNN", size, **options, epochs=1, warm_epochs=1)
        model.fit(known, progress=False).save(folder)
        torch.distributed.barrier()
    model = package.load(folder, tables="sharded")
    assert not model.in_parts
    model.batch_size = 60 // size
    return whole(model.fit(later, warm=True, progress=False).model)


def said(function: Callable[..., Any], *arguments: Any, **options: Any) -> str:
    try:
        function(*arguments, **options)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "nothing"


def everything(folder: Path) -> dict[str, Any]:
    """What each process finds, in one start of them."""
    found: dict[str, Any] = {}
    for run in RUNS:
        one: dict[str, Any] = {"whole": resumable(run=run)}
        found[run] = one
        resumable(folder / run, stop=6, run=run)
        one["saved"] = sorted(path.name.partition("-")[0] for path in (folder / run).iterdir())
        one["resumed"] = resumable(folder / run, run=run, resume=True)
        one["left"] = list((folder / run).iterdir())
    counts = np.arange(20) + 1
    config = YoutubeDNNConfig(sampler="unigram", num_sampled=6, tables="sharded")
    found["sampler"] = make_item_loss(config, counts, counts, 1, True, 1.0).sampler
    model: Any = make("TwoTower", tables="sharded", epochs=1, content="sum", user_vectors=True)
    model.fit(planted_split(), progress=False)
    model.save(folder / "model")
    for metric in ("inner_product", "cosine"):
        model.write_vector_shards(folder / metric, metric=metric)
    found["answers"] = model.recommend(["u1", "u7"], k=20)
    biased: Any = make("YoutubeDNN", tables="sharded", epochs=1, objective="nce", item_bias=True)
    biased.fit(planted_split(), progress=False).save(folder / "biased")
    found["biased"] = biased.recommend(["u1", "u7"], k=20)
    found["cannot write"] = said(model.save, "/dev/full/folder")
    found["after"] = model.recommend(["u1", "u7"], k=3).items.tolist()
    found["refused"] = {
        "index": said(model.index),
        "export": said(model.export, folder / "tower.onnx"),
        "item_vectors": said(lambda: model.item_vectors),
        "search_vectors": said(lambda: model.search_vectors),
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
    found["gone on"] = gone_on(folder / "gone on")
    found |= several(QUICK)  # from here on in float64
    return {**found, "reopened": reopened(folder / "reopened", world().size, saves=True)}


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
    names = list(fits())
    found = together(several, names, size=size, seconds=600)
    for name in names:
        check(name, found)


@pytest.mark.parametrize("run", RUNS)
def test_a_run_goes_on_from_a_checkpoint_to_the_same_bits(run: str, found: list[dict[str, Any]]) -> None:
    assert found[0][run]["saved"] == [FILE, "tables"]  # one folder of rows, that of the last save
    for one in (each[run] for each in found):
        assert one["left"] == []
        for name, value in one["whole"].items():
            np.testing.assert_array_equal(one["resumed"][name], value, err_msg=name)


def test_a_model_in_parts_goes_on_and_resumes_to_the_same_bits(found: list[dict[str, Any]]) -> None:
    for one in (each["gone on"] for each in found):
        assert one["broken off"]["items.weight"].shape == (18, 16)  # what it was before
        for name, value in one["whole"].items():
            np.testing.assert_array_equal(one["resumed"][name], value, err_msg=name)
            np.testing.assert_array_equal(found[0]["gone on"]["whole"][name], value, err_msg=name)


def test_a_whole_model_goes_on_in_parts(found: list[dict[str, Any]], place: Path) -> None:
    with doubles():
        alone = reopened(place / "reopened", 1, saves=False)
    assert alone["items.weight"].shape == (20, 16)
    for one in found:
        for name, value in alone.items():
            np.testing.assert_allclose(one["reopened"][name], value, rtol=0, atol=1e-9, err_msg=name)


def test_each_process_has_the_counts_of_its_own_items(found: list[dict[str, Any]]) -> None:
    for one in found:
        sampler = one["sampler"]
        assert isinstance(sampler, StratifiedDraws)
        assert (sampler.own_classes, sampler.num_sampled, sum(sampler.part.strata)) == (10, 6, 6)


def state_of(loop: Loop) -> dict[str, np.ndarray]:
    """Weights, averages and states of optimizers, those in parts put together."""
    state, found = loop.state(), {}
    for name, array in sorted(state.tensors.items()):  # in one order, as all gather rows
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
    train = Loop.run
    for run in RUNS:
        states: list[dict[str, np.ndarray]] = []

        def watched(self: Loop, *arguments: Any, states: Any = states, **named: Any) -> None:
            try:
                states.append(state_of(self))
                train(self, *arguments, **named)
            except BrokenOffError:
                states.append(state_of(self))
                raise

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Loop, "run", watched)
            after = resumable(folder / run, stop=6 if first else 0, run=run, resume=not first)
        found[run] = {"state": states[-1] if first else states[0], "after": after}
    return found


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::logq._model_file.CheckpointWarning")
@pytest.mark.parametrize(("before", "after"), [(2, 3), (2, 1), (1, 2)])
def test_another_number_of_processes_goes_on(before: int, after: int, tmp_path: Path) -> None:
    """From the same rows and states, to weights of the same size: other numbers are drawn."""

    def started(size: int, first: bool) -> list[dict[str, dict[str, Any]]]:
        if size == 1:
            return [saved_and_gone_on(tmp_path, first)]
        return together(saved_and_gone_on, tmp_path, first, size=size, seconds=300)

    saved, gone_on = started(before, True)[0], started(after, False)
    for run in RUNS:
        for one in gone_on:
            assert one[run]["state"].keys() == saved[run]["state"].keys()
            for name, value in saved[run]["state"].items():
                np.testing.assert_array_equal(one[run]["state"][name], value, err_msg=name)
            for name, value in one[run]["after"].items():
                assert np.isfinite(value).all()
                np.testing.assert_array_equal(gone_on[0][run]["after"][name], value)
        assert not list((tmp_path / run).iterdir())


def test_one_process_loads_biases_that_all_have_saved(found: list[dict[str, Any]], place: Path) -> None:
    model: Any = package.load(place / "biased")
    assert model.model.item_bias.shape == (20,)
    answers = model.recommend(["u1", "u7"], k=20)
    for one in found:
        assert one["biased"].items.tolist() == answers.items.tolist()
        np.testing.assert_allclose(one["biased"].scores, answers.scores, rtol=0, atol=1e-5)


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


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("YoutubeDNN", {"sampler": "every_class"}, "sampler: expected one that draws some items"),
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
