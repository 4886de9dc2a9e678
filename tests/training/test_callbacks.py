"""Callbacks see every epoch and step in every estimator, and end the training where they say so."""

import math

import numpy as np
import pytest

from logq import ALS, Interactions, Item2Vec, NGram, Popularity, RecurrentLM, Word2Vec, YoutubeDNN
from logq.training import Callback, EarlyStopping, StopTraining, TrainingReport
from logq.training.callbacks import CallbackRun

TEXT = [["the", "cat", "sat"], ["the", "dog", "sat"]] * 50
LOG = Interactions.from_sessions([["tea", "cup"], ["tea", "milk"], ["nail", "saw"]] * 10)
ITERATIVE = {
    "word2vec": (lambda: Word2Vec(dim=4, min_count=1, sample=0, epochs=4, seed=1), TEXT),
    "recurrent": (lambda: RecurrentLM(dim=4, hidden=4, epochs=4, batch_size=8, bptt=4, num_sampled=4, seed=1), TEXT),
    "youtube-dnn": (lambda: YoutubeDNN(dim=4, hidden=(4,), epochs=4, batch_size=8, num_sampled=4, seed=1), LOG),
    "item2vec": (lambda: Item2Vec(dim=4, epochs=4, seed=1), LOG),
    "als": (lambda: ALS(2, epochs=4, seed=1), LOG),
}


class Watch(Callback):
    """Keeps what it is told, and ends training after an epoch or a step."""

    every = 1

    def __init__(self, last_epoch=math.inf, last_step=math.inf):
        self.last_epoch, self.last_step = last_epoch, last_step
        self.epochs, self.steps = [], []

    def on_epoch(self, report):
        self.epochs.append(report)
        if report.epoch >= self.last_epoch:
            raise StopTraining

    def on_step(self, report):
        self.steps.append(report)
        if report.step >= self.last_step:
            raise StopTraining


@pytest.mark.parametrize("name", ITERATIVE)
def test_every_estimator_tells_of_its_epochs_and_ends_with_what_it_learned(name):
    make, data = ITERATIVE[name]
    watch, functions = Watch(last_epoch=2), []
    model = make()
    model.fit(data, progress=False, callbacks=[watch, functions.append])
    assert model.is_fitted
    assert [report.epoch for report in watch.epochs] == [report.epoch for report in functions] == [1, 2]
    assert all(report.model is model for report in watch.epochs)
    assert watch.epochs[0].step < watch.epochs[1].step
    assert [report.metrics["epoch"] for report in watch.epochs] == [1, 2]
    assert watch.epochs[1].loss == watch.epochs[1].metrics.get("loss", watch.epochs[1].loss) or name == "als"
    if name != "als":  # which has no steps but its epochs
        assert watch.steps
        assert all(math.isfinite(report.loss) for report in watch.steps[1:])
    whole = Watch()
    make().fit(data, progress=False, callbacks=whole)
    assert [report.epoch for report in whole.epochs] == [1, 2, 3, 4]


@pytest.mark.parametrize("name", ["recurrent", "youtube-dnn"])
def test_training_ends_within_an_epoch(name):
    make, data = ITERATIVE[name]
    watch = Watch(last_step=3)
    model = make().fit(data, progress=False, callbacks=watch)
    assert [report.step for report in watch.steps] == [1, 2, 3]
    assert watch.epochs == []
    assert len(model.training_log) == 1
    assert model.training_log[0]["batches"] == 3


@pytest.mark.parametrize("make", [lambda: Popularity(), lambda: NGram(order=2, smoothing="add_k")])
def test_models_without_epochs_call_none(make):
    model, watch = make(), Watch()
    model.fit(LOG if isinstance(model, Popularity) else TEXT, progress=False, callbacks=watch)
    assert (watch.epochs, watch.steps) == ([], [])


@pytest.mark.parametrize("name", ["word2vec", "youtube-dnn"])
def test_another_exception_is_an_error_and_changes_nothing(name):
    make, data = ITERATIVE[name]

    def fail(report):
        assert isinstance(report, TrainingReport)
        raise ArithmeticError("mine")

    model = make()
    with pytest.raises(ArithmeticError, match="mine"):
        model.fit(data, progress=False, callbacks=fail)
    assert not model.is_fitted


@pytest.mark.parametrize("wrong", [7, [None], Callback, [EarlyStopping]])
@pytest.mark.parametrize("name", ["word2vec", "youtube-dnn", "recurrent"])
def test_what_is_no_callback_is_refused(name, wrong):
    make, data = ITERATIVE[name]
    with pytest.raises(TypeError, match=r"^callbacks: expected objects of logq.training.Callback, or functions"):
        make().fit(data, progress=False, callbacks=wrong)


def test_early_stopping_waits_for_an_improvement():
    values = iter([0.1, 0.3, 0.2, float("nan"), 0.3, 0.9])
    stopping = EarlyStopping(lambda model: next(values), patience=3)
    run = CallbackRun(stopping, model="the model")
    assert [run.epoch_done(epoch, epoch, {}) for epoch in (1, 2, 3, 4, 5)] == [False, False, False, False, True]
    assert (stopping.best_value, stopping.best_epoch) == (0.3, 2)
    falling = EarlyStopping("loss", patience=1, smaller_is_better=True)
    run = CallbackRun(falling)
    assert [run.epoch_done(epoch, epoch, {"loss": loss}) for epoch, loss in ((1, 2.0), (2, 1.0), (3, 1.0))] == [
        False,
        False,
        True,
    ]
    with pytest.raises(ValueError, match=r"^evaluate: expected one of epoch, loss, got 'ndcg@10'"):
        CallbackRun(EarlyStopping("ndcg@10")).epoch_done(1, 1, {"epoch": 1, "loss": 2.0})


def test_another_phase_and_another_fit_begin_anew():
    watch = Watch(last_step=5)
    watch.every = 4
    run = CallbackRun(watch)
    assert [run.steps_done(0, step, 1.0) for step in (3, 4, 7, 9)] == [False, False, False, True]
    assert run.epoch_done(1, 10, {})
    run.begin(9)  # of a run that is resumed: the calls before it were made
    watch.last_step = math.inf
    assert [run.steps_done(0, step, 1.0) for step in (10, 11, 12)] == [False, False, False]
    assert [report.step for report in watch.steps] == [4, 9, 12]
    assert not run.epoch_done(1, 12, {})
    stopping = EarlyStopping("loss", patience=1, smaller_is_better=True)
    for _ in range(2):
        run = CallbackRun(stopping)
        assert [run.epoch_done(epoch, epoch, {"loss": loss}) for epoch, loss in ((1, 1.0), (2, 2.0))] == [False, True]


def copied(arrays):
    """Copies of arrays, or tensors, by name."""
    return {key: np.array(value.numpy() if hasattr(value, "numpy") else value) for key, value in arrays.items()}


class Rated(EarlyStopping):
    """Epochs have these values, and what was learned after each is kept for the test."""

    def __init__(self, values, **options):
        super().__init__("epoch", **options)
        self.given, self.learned = values, {}

    def on_epoch(self, report):
        self.learned[report.epoch] = copied(report.learned.copy())
        metrics = {**report.metrics, "epoch": self.given[report.epoch - 1]}
        super().on_epoch(TrainingReport(report.model, report.epoch, report.step, 0.0, metrics, report.learned))


VALUES = [0.1, 0.3, 0.2, 0.25]


def weights_of(model):
    """What a model has learned, under the names of reports."""
    if hasattr(model, "model"):
        return copied(model.model.state_dict())
    if isinstance(model, Item2Vec):
        return {"vectors": model.inputs}
    return copied(model.state())


@pytest.mark.parametrize("restore", [True, False])
@pytest.mark.parametrize("name", ITERATIVE)
def test_the_best_epoch_is_restored(name, restore):
    make, data = ITERATIVE[name]
    rated = Rated(VALUES, patience=9, restore_best=restore)
    model = make().fit(data, progress=False, callbacks=rated)
    assert (rated.values, rated.best_epoch, rated.best_value) == (VALUES, 2, 0.3)
    final = weights_of(model)
    kept = rated.learned[2 if restore else 4]
    compared = 0
    for key, value in final.items():
        named = [of for of in kept if of == key or of.endswith(f".{key}")]
        for of in named:
            rows = np.argsort(value, axis=None), np.argsort(kept[of], axis=None)
            np.testing.assert_array_equal(value.reshape(-1)[rows[0]], kept[of].reshape(-1)[rows[1]])
            compared += 1
    assert compared
    assert any((rated.learned[2][key] != rated.learned[4][key]).any() for key in rated.learned[2])
    assert rated._best.best == {}  # not in memory any more


@pytest.mark.parametrize("name", ["word2vec", "recurrent", "youtube-dnn"])
def test_the_best_epoch_before_a_break_is_restored(name, tmp_path):
    make, data = ITERATIVE[name]
    options = {"progress": False, "checkpoint": tmp_path, "checkpoint_minutes": 0}

    class Break(Callback):
        def on_epoch(self, report):
            if report.epoch == 4:
                raise KeyboardInterrupt

    values = [0.1, 0.9, 0.2, 0.3]
    with pytest.raises(KeyboardInterrupt):
        make().fit(data, callbacks=[Rated(values, patience=9), Break()], **options)
    whole = Rated(values, patience=9)
    expected = weights_of(make().fit(data, progress=False, callbacks=whole))
    again = Rated(values, patience=9)
    found = weights_of(make().fit(data, callbacks=again, resume=True, **options))
    assert 1 not in again.learned  # it went on
    assert (again.best_epoch, again.best_value) == (2, 0.9)
    for key, value in expected.items():
        np.testing.assert_array_equal(found[key], value)
        if key in whole.learned[2]:
            np.testing.assert_array_equal(whole.learned[2][key], value)


def test_it_decides_instead_of_a_validation_part():
    rated = Rated([0.1, 0.3, 0.2, 0.1, 0.1], patience=2)
    model = RecurrentLM(dim=4, hidden=4, epochs=9, patience=1, lr=0.5, batch_size=8, bptt=4, num_sampled=4, seed=1)
    other = [["sat", "the", "the"]] * 9  # which the model gets worse at
    model.fit(TEXT, validation=other, progress=False, callbacks=rated)
    assert [entry["epoch"] for entry in model.training_log] == [1, 2, 3, 4]
    assert all("perplexity" in entry for entry in model.training_log)
    for key, value in copied(model.model.state_dict()).items():
        (kept,) = (kept for of, kept in rated.learned[2].items() if of.endswith(f".{key}"))
        np.testing.assert_array_equal(kept, value)
    alone = RecurrentLM(dim=4, hidden=4, epochs=9, patience=1, lr=0.5, batch_size=8, bptt=4, num_sampled=4, seed=1)
    assert len(alone.fit(TEXT, validation=other, progress=False).training_log) < 4  # its patience ends


def test_what_cannot_be_restored_is_said():
    stopping = EarlyStopping("loss", smaller_is_better=True)
    model = Word2Vec(dim=4, min_count=1, sample=0, epochs=2, partitions=2, seed=1)
    with pytest.warns(UserWarning, match="EarlyStopping: tables in partitions keep the last epoch, not the best one"):
        model.fit(TEXT, progress=False, callbacks=stopping)
    with pytest.raises(TypeError, match=r"^restore_best: expected"):
        EarlyStopping("loss", restore_best="yes")


def test_early_stopping_ends_word2vec():
    stopping = EarlyStopping(lambda model: -model.epochs_done, patience=2)
    model = Word2Vec(dim=4, min_count=1, sample=0, epochs=9, seed=1).fit(TEXT, progress=False, callbacks=stopping)
    assert (model.epochs_done, stopping.best_epoch) == (3, 1)


class EveryWords(Watch):
    every = 20_000


def test_word2vec_tells_of_words_within_an_epoch_to_the_same_bits():
    rng = np.random.default_rng(0)
    text = [[f"w{i}" for i in rng.integers(0, 50, 20)] for _ in range(5_000)]

    def model(**options):
        return Word2Vec(**{"dim": 4, "min_count": 1, "sample": 0, "epochs": 2, "seed": 1, **options})

    watch = EveryWords()
    seen = model().fit(text, progress=False, callbacks=watch)
    assert [report.step // 20_000 for report in watch.steps] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    assert watch.steps[-1].step == 200_000
    assert [report.epoch for report in watch.steps] == [0] * 5 + [1] * 5
    assert 0 < watch.steps[-1].loss < watch.steps[0].loss
    np.testing.assert_array_equal(seen.vectors.vectors, model().fit(text, progress=False).vectors.vectors)
    stopped = EveryWords(last_step=130_000)
    short = model().fit(text, progress=False, callbacks=stopped)
    assert (short.epochs_done, len(stopped.steps), len(stopped.epochs)) == (1, 6, 1)
    assert 130_000 < short.words_trained < 160_000


class Ends(Callback):
    """Keeps how fits ended, and can do something after an epoch."""

    def __init__(self, after_epoch=lambda: None):
        self.after_epoch, self.ends = after_epoch, []

    def on_epoch(self, report):
        self.after_epoch()

    def on_end(self, end):
        self.ends.append((end.outcome, type(end.error), end.model, end.model.is_fitted))


@pytest.mark.parametrize("name", ITERATIVE)
def test_every_fit_tells_once_how_it_ended(name):
    make, data = ITERATIVE[name]

    def raising(error):
        def raise_it():
            raise error

        return raise_it

    for outcome, after, error in (
        ("finished", lambda: None, None),
        ("stopped", raising(StopTraining()), None),
        ("interrupted", raising(KeyboardInterrupt()), KeyboardInterrupt),
        ("failed", raising(OSError("full")), OSError),
    ):
        ends, model = Ends(after), make()
        if error is None:
            model.fit(data, progress=False, callbacks=ends)
        else:
            with pytest.raises(error):
                model.fit(data, progress=False, callbacks=ends)
        assert ends.ends == [(outcome, type(None) if error is None else error, model, error is None)]


def test_a_fit_without_epochs_ends_too():
    ends = Ends()
    for model, data in ((Popularity(), LOG), (NGram(order=2, smoothing="add_k"), TEXT)):
        model.fit(data, progress=False, callbacks=ends)
    assert [end[0] for end in ends.ends] == ["finished"] * 2


def test_the_first_error_is_what_is_seen():
    class Broken(Ends):
        def on_end(self, end):
            super().on_end(end)
            raise ValueError("of the end")

    def fail():
        raise OSError("full")

    broken, after = Broken(fail), Ends()
    with pytest.warns(RuntimeWarning, match=r"Broken\.on_end: ValueError"), pytest.raises(OSError, match="full"):
        ITERATIVE["als"][0]().fit(LOG, progress=False, callbacks=[broken, after])
    assert [end[0] for end in after.ends] == ["failed"]
    model = Popularity()
    with pytest.raises(ValueError, match="of the end"):
        model.fit(LOG, progress=False, callbacks=Broken())
    assert model.is_fitted
