"""Query towers as graphs: what torch.export, torch.jit.trace and ONNX make of them answers for other batches too."""

import importlib.util
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from logq.logs import Interactions
from logq.recommenders import NeuralRecommender
from logq.recommenders.neural.query_export import QueryTower, columns_read
from logq.recommenders.ranking.requests import make_request
from model_cases import MODELS, C, batch, make, take
from recommender_cases import NEURAL, fitted, planted_log, planted_split
from recommender_cases import make as make_recommender

LONGEST = 7
"""What every model of the table takes at least."""


def batches() -> list[dict[str, Tensor]]:
    """Batches of several sizes and widths, with histories of every length from none to all."""
    generator = torch.Generator().manual_seed(2)
    found = []
    for rows, length in ((1, 1), (2, LONGEST), (8, LONGEST), (3, 2), (6, 5)):
        columns = take(batch(rows), torch.arange(rows) % 5)
        history = torch.randint(C, (rows, length), generator=generator)
        for row in range(rows):
            history[row, row % (length + 1) :] = -1
        found.append(columns | {"history": history})
    return found


def tower(name: str) -> tuple[QueryTower, list[str]]:
    model = make(name).eval()
    columns = columns_read(model, batch())
    return QueryTower(model, columns, cosine=False, extra=False).eval(), columns


@pytest.mark.filterwarnings("ignore:The tensor attribute:UserWarning")  # what torch says of its own LSTM
@pytest.mark.parametrize("name", MODELS)
def test_an_exported_tower_answers_for_other_batches(name: str) -> None:
    module, columns = tower(name)
    rows, length = torch.export.Dim("rows"), torch.export.Dim("length")
    shapes = tuple({0: rows, 1: length} if column == "history" else {0: rows} for column in columns)
    with torch.no_grad():
        made = torch.export.export(
            module, tuple(batch()[column] for column in columns), dynamic_shapes=(shapes,), strict=False
        ).module()
        for other in batches():
            inputs = [other[column] for column in columns]
            torch.testing.assert_close(made(*inputs), module(*inputs), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_a_tower_traced_with_full_histories_answers_for_short_ones(name: str) -> None:
    module, columns = tower(name)
    full = batch() | {"history": torch.arange(5 * LONGEST).view(5, LONGEST) % C}
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated, and torch's LSTM looks at sizes
        made = torch.jit.trace(module, tuple(full[column] for column in columns), check_trace=False)
        for other in batches():
            inputs = [other[column] for column in columns]
            torch.testing.assert_close(made(*inputs), module(*inputs), rtol=1e-6, atol=1e-6)  # pyright: ignore[reportCallIssue]


def of_onnx(model: NeuralRecommender, path: Path) -> None:
    """Compare an exported file with the model, over histories of none to max_length items and several batches."""
    onnxruntime = pytest.importorskip("onnxruntime")
    names = model.export(path)
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    assert [given.name for given in session.get_inputs()] == names
    assert [given.name for given in session.get_outputs()] == ["query"]
    rng = np.random.default_rng(1)
    for rows in (1, 2, 7):
        for longest in range(model.max_length + 1):
            lengths = [longest, *rng.integers(0, longest + 1, size=rows - 1)]
            histories = [rng.choice(model.item_ids, size=length).tolist() for length in lengths]
            users = [str(user) for user in rng.choice(model.user_ids, size=rows)]
            request = make_request(model.known, users, histories, None).histories
            inputs = {name: values for name, values in model._inputs(request).items() if name in names}
            (made,) = session.run(None, inputs)
            np.testing.assert_allclose(made, model.query_vectors(users, histories=histories), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in ("SASRec", "TwoTower") else pytest.mark.slow) for name in NEURAL]
)
def test_onnx_answers_as_the_model_does(name: str, tmp_path: Path) -> None:
    of_onnx(fitted(name), tmp_path / "tower.onnx")  # pyright: ignore[reportArgumentType]
    assert [path.name for path in tmp_path.iterdir()] == ["tower.onnx"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["EGES", "AirbnbEmbeddings"])
def test_onnx_answers_as_models_of_windows_do(name: str, tmp_path: Path) -> None:
    of_onnx(fitted(name), tmp_path / "tower.onnx")  # pyright: ignore[reportArgumentType]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("YoutubeDNN", {"objective": "negative_sampling", "cosine": True, "temperature": 0.1, "max_length": 1}),
        ("SDM", {"user_vectors": True, "short_length": 1, "max_length": 5}),
        ("MIND", {"interests": 4, "max_length": 9, "objective": "gbce"}),
        ("SASRec", {"objective": "full_softmax", "sampler": None, "heads": 2, "blocks": 2, "max_length": 4}),
    ],
)
def test_onnx_of_other_settings(name: str, options: dict[str, object], tmp_path: Path) -> None:
    model = make_recommender(name, **options | {"epochs": 1}).fit(planted_split().train, progress=False)
    of_onnx(model, tmp_path / "tower.onnx")  # pyright: ignore[reportArgumentType]


LAYERS = {
    "ligr": {"heads": 2},
    "bsarec": {},
    "bsarec, prefixes": {"causal_filter": False},
    "wearec": {},
    "hstu": {"time_buckets": 16, "heads": 2},
    "fuxi_linear": {"time_buckets": 4, "heads": 2},
    "gru4rec": {},
}


def test_times_are_an_input_of_the_shape_of_histories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Tensor] = {}
    monkeypatch.setattr(
        "logq.recommenders.neural.query_export.export_onnx", lambda tower, batch, path: given.update(batch)
    )
    model = make_recommender("SASRec", layer="hstu", time_buckets=16, epochs=1, max_length=6)
    assert isinstance(model, NeuralRecommender)
    names = model.fit(planted_split().train, progress=False).export(tmp_path / "tower.onnx")
    assert names == ["history", "history.time"]
    assert given["history"].tolist() == [[0, -1], [0, -1]]
    assert given["history.time"].tolist() == [[-1, -1], [-1, -1]]


@pytest.mark.slow
@pytest.mark.parametrize("case", LAYERS)
def test_onnx_answers_as_each_layer_does(case: str, tmp_path: Path) -> None:
    options = {"layer": case.partition(",")[0], "epochs": 1, "max_length": 6, **LAYERS[case]}
    model = make_recommender("SASRec", **options).fit(planted_split().train, progress=False)
    assert isinstance(model, NeuralRecommender)
    of_onnx(model, tmp_path / "tower.onnx")
    if "time_buckets" not in options:
        return
    # Of users of the log the times are known, which change what the layer answers.
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession((tmp_path / "tower.onnx").read_bytes(), providers=["CPUExecutionProvider"])
    known = model.known.of_codes(np.arange(model.known.num_users))
    assert known.times is not None
    names = [given.name for given in session.get_inputs()]
    assert names == ["history", "history.time"]
    inputs = {name: values for name, values in model._inputs(known).items() if name in names}
    assert (inputs["history.time"] > 0).any()
    (made,) = session.run(None, inputs)
    with torch.no_grad():
        expected = model._queries(known).numpy()
        timeless = model._queries(replace(known, times=None)).numpy()
    np.testing.assert_allclose(made, expected, rtol=1e-5, atol=1e-5)
    assert np.abs(expected - timeless).max() > 1e-3


def test_export_of_a_model_without_a_log(tmp_path: Path) -> None:
    with pytest.raises(AttributeError, match="YoutubeDNN: it has learned nothing yet, call fit first"):
        make_recommender("YoutubeDNN").export(tmp_path / "tower.onnx")  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.slow
def test_context_is_an_input(tmp_path: Path) -> None:
    log = planted_log()
    devices = ["phone" if row % 3 else "tv" for row in range(len(log))]
    named = Interactions.from_arrays(
        log.user_ids.keys[log.users], log.item_ids.keys[log.items], log.timestamps, columns={"device": devices}
    )
    model = make_recommender("YoutubeDNN", context=["device"], epochs=1).fit(named, progress=False)
    assert model.export(tmp_path / "tower.onnx") == ["history", "context.device"]  # pyright: ignore[reportAttributeAccessIssue]
    of_onnx(model, tmp_path / "tower.onnx")  # pyright: ignore[reportArgumentType]


def test_queries_of_a_tower_by_cosine_have_length_1() -> None:
    model = make("youtube").eval()
    columns = columns_read(model, batch())
    inputs = [batch()[column] for column in columns]
    with torch.no_grad():
        plain = QueryTower(model, columns, cosine=False, extra=False)(*inputs)
        made = QueryTower(model, columns, cosine=True, extra=True)(*inputs)
    torch.testing.assert_close(made[:, :-1], plain / plain.norm(dim=1, keepdim=True))
    assert (made[:, -1] == 1).all()


@pytest.mark.parametrize("library", ["onnx", "onnxscript"])
def test_a_library_that_export_needs_is_named(library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == library else find(name, *rest))
    with pytest.raises(ModuleNotFoundError, match=rf"export needs {library}: pip install 'logq\[onnx\]'"):
        fitted("YoutubeDNN").export(tmp_path / "tower.onnx")  # pyright: ignore[reportAttributeAccessIssue]


def test_more_weights_than_a_file_can_hold_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda *_: True)
    monkeypatch.setattr("logq.recommenders.neural.query_export.MOST_BYTES", 100)
    with pytest.raises(ValueError, match=r"path: expected weights of at most 2 GiB for an ONNX file, got [\d,]+ bytes"):
        fitted("YoutubeDNN").export(tmp_path / "tower.onnx")  # pyright: ignore[reportAttributeAccessIssue]
