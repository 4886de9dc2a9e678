"""A run that is interrupted anywhere and resumed ends as one that was not, bit for bit on one thread."""

import json
import shutil

import numpy as np
import pytest

from logq import Word2Vec
from logq._model_file import Stored, read_stored, write_stored, write_tensors
from logq.training import checkpoint
from logq.word2vec import corpus_run


def text(sentences=1500, seed=0):
    rng = np.random.default_rng(seed)
    words = np.array([f"w{i}" for i in range(60)])
    p = 1 / np.arange(1, 61)
    return [list(rng.choice(words, size=12, p=p / p.sum())) for _ in range(sentences)]


def model(**options):
    return Word2Vec(**{"dim": 10, "min_count": 1, "sample": 1e-2, "epochs": 3, "seed": 5, **options})


def interrupt_after(monkeypatch, spans):
    """Ctrl-C in the middle of a run."""
    train = corpus_run.CorpusRun._train_span
    calls = iter(range(spans))

    def stop(self, *arguments):
        if next(calls, None) is None:
            raise KeyboardInterrupt
        train(self, *arguments)

    monkeypatch.setattr(corpus_run.CorpusRun, "_train_span", stop)


KINDS = {
    "skip-gram": {},
    "CBOW": {"sg": False},
    "plain order": {"shared_negatives": False},
    "tree": {"hs": True},
    "NCE in plain PyTorch": {"objective": "nce", "batch_size": 64, "epochs": 2},
    "tree in plain PyTorch": {"hs": True, "engine": "plain", "batch_size": 64, "epochs": 2},
}


@pytest.mark.parametrize("spans", [0, 1, 2, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_resuming_is_as_if_nothing_had_happened(kind, spans, tmp_path, monkeypatch):
    monkeypatch.setattr(corpus_run.CorpusRun, "_step", lambda self: 2048)
    whole = model(**KINDS[kind]).fit(text(300), progress=False)
    with pytest.MonkeyPatch.context() as patch:
        interrupt_after(patch, spans)
        with pytest.raises(KeyboardInterrupt):
            model(**KINDS[kind]).fit(text(300), progress=False, checkpoint=tmp_path)
    assert (tmp_path / checkpoint.FILE).exists()
    epochs = []
    resumed = model(**KINDS[kind]).fit(
        text(300),
        progress=False,
        checkpoint=tmp_path,
        resume=True,
        on_epoch_end=lambda _, epoch: epochs.append(epoch),
    )
    assert np.array_equal(resumed.vectors.vectors, whole.vectors.vectors)
    assert resumed.mean_loss == whole.mean_loss
    assert epochs[-1] == whole.epochs
    assert not (tmp_path / checkpoint.FILE).exists()


def test_saved_whenever_it_is_due(tmp_path, monkeypatch):
    saves = []
    monkeypatch.setattr(checkpoint.RunCheckpoint, "save", lambda self, *_: saves.append(1))
    model().fit(text(), progress=False, checkpoint=tmp_path, checkpoint_minutes=10)
    assert not saves
    model().fit(text(), progress=False, checkpoint=tmp_path, checkpoint_minutes=0)
    assert len(saves) == 3 * 2 - 1  # 19,500 entries in spans of 16,384, three times, and never at the very end


def interrupted(folder, **options):
    with pytest.MonkeyPatch.context() as patch:
        interrupt_after(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            model(**options).fit(text(), progress=False, checkpoint=folder)
    return folder / checkpoint.FILE


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"dim": 11}, "dim"),
        ({"lr": 0.1}, "lr"),
        ({"window": 3}, "window"),
        ({"epochs": 4}, "epochs"),
        ({"seed": 6}, "seed"),
    ],
)
def test_other_settings_are_refused(options, name, tmp_path):
    path = interrupted(tmp_path)
    before = path.read_bytes()
    with pytest.raises(
        ValueError, match=rf"^{name}: expected .*, as in the checkpoint .*, got {options[name]}; resume with"
    ):
        model(**options).fit(text(), progress=False, checkpoint=tmp_path, resume=True)
    assert path.read_bytes() == before


def test_another_text_is_refused(tmp_path):
    interrupted(tmp_path)
    with pytest.raises(ValueError, match=r"^source: expected the data that the checkpoint .* was made from, got other"):
        model().fit(text(seed=1), progress=False, checkpoint=tmp_path, resume=True)


def test_other_threads_are_welcome(tmp_path):
    interrupted(tmp_path)
    assert model(threads=2).fit(text(), progress=False, checkpoint=tmp_path, resume=True).mean_loss > 0


@pytest.mark.parametrize("size", [0, 5, 100, -1])
def test_a_damaged_file_is_said(size, tmp_path):
    path = interrupted(tmp_path)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ValueError, match=r"checkpoint\.safetensors: "):
        model().fit(text(), progress=False, checkpoint=tmp_path, resume=True)


def test_vectors_are_not_a_checkpoint(tmp_path):
    path = interrupted(tmp_path)
    model(epochs=1).fit(text(20), progress=False).vectors.save(tmp_path)
    shutil.copy(tmp_path / "vectors.safetensors", path)
    with pytest.raises(ValueError, match=r"checkpoint\.safetensors: expected a file of the format 'logq\.checkpoint'"):
        model().fit(text(), progress=False, checkpoint=tmp_path, resume=True)


def test_a_checkpoint_of_the_first_version_is_said(tmp_path):
    path = tmp_path / checkpoint.FILE
    with open(path, "wb") as file:
        metadata = {"format": "logq.checkpoint 1", "run": "{}", "settings": "{}"}
        write_tensors(file, {"vectors": np.zeros((60, 10), np.float32)}, metadata)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"checkpoint\.safetensors: logq 0\.1 wrote this checkpoint, .* start afresh"):
        model().fit(text(), progress=False, checkpoint=tmp_path, resume=True)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("position", "tensors"),
    [
        ({"epoch": -1}, {}),
        ({"epoch": 3}, {}),
        ({"entry": 10**9}, {}),
        ({"pairs": None}, {}),
        ({"loss_sum": [1]}, {}),
        ({}, {"vectors": np.zeros((60, 11), np.float32)}),
        ({}, {"vectors": np.full((60, 10), np.nan, np.float32)}),
        ({}, {"vectors": np.zeros((60, 10), np.float64)}),
        ({}, {"engine/outputs": np.zeros((59, 10), np.float32)}),
        ({}, {"engine/outputs": np.zeros((60, 10), np.int32)}),
    ],
)
def test_a_changed_state_is_said(position, tensors, tmp_path):
    path = interrupted(tmp_path)
    stored = read_stored(path, format=checkpoint.FORMAT)
    info = {**stored.info, "position": {**stored.info["position"], **position}}
    write_stored(path, Stored(stored.kind, info, {**stored.tensors, **tensors}), format=checkpoint.FORMAT)
    with pytest.raises(ValueError, match=r"checkpoint\.safetensors: the checkpoint is damaged \(.*\); remove it to st"):
        model().fit(text(), progress=False, checkpoint=tmp_path, resume=True)


def test_divergence_keeps_the_checkpoint(tmp_path):
    path = interrupted(tmp_path, lr=0.05)
    before = path.read_bytes()
    with pytest.raises(FloatingPointError):
        model(lr=1e5, sg=False, cbow_mean=False).fit(text(), progress=False, checkpoint=tmp_path, checkpoint_minutes=0)
    assert path.read_bytes() == before or np.isfinite(load_vectors(path)).all()


def load_vectors(path):
    from safetensors.numpy import load_file

    return load_file(path)["vectors"]


def test_a_checkpoint_is_tensors_and_json(tmp_path):
    path = interrupted(tmp_path)
    header = json.loads(path.read_bytes()[8 : 8 + int.from_bytes(path.read_bytes()[:8], "little")])
    position = json.loads(header["__metadata__"]["logq"])["info"]["position"]
    assert (position["epoch"], position["entry"]) == (1, 0)
    assert load_vectors(path).shape == (60, 10)


def test_resume_wants_a_checkpoint_folder_and_a_new_model(tmp_path):
    with pytest.raises(ValueError, match=r"^resume: expected a checkpoint folder"):
        model().fit(text(10), progress=False, resume=True)
    fitted = model(epochs=1).fit(text(20), progress=False)
    with pytest.raises(ValueError, match=r"^resume: expected a model that was not fitted yet, got one that was"):
        fitted.fit(text(20), progress=False, checkpoint=tmp_path, resume=True)


def test_resume_without_a_checkpoint_starts(tmp_path):
    started = model().fit(text(), progress=False, checkpoint=tmp_path, resume=True)
    assert np.array_equal(started.vectors.vectors, model().fit(text(), progress=False).vectors.vectors)
