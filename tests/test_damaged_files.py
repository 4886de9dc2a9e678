"""Files that no program wrote as they are: each ends in one error that names it, found by `make fuzz` at first."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import language_cases
import logq
import recommender_cases
from logq._files import DamagedFileError, parsing
from logq._model_file import FILE, read_stored, write_stored
from logq.cli.classifier_reading import read_arrays
from logq.cli.feature_files import read_features, read_titles
from logq.cli.recipes import read_recipe
from logq.cli.terminal.errors import BadInputError
from logq.language_models import NGram
from logq.logs import Features, Interactions
from logq.samplers import Unigram
from logq.text import Phrases
from logq.training.checkpoint import RunState, check_run_state

IDS = recommender_cases.planted_log().item_ids
DEEP = b"[" * 100_000


def npz(header: bytes) -> bytes:
    """A .npz file whose array of weights has this header."""
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(64)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("weight.npy", content)
    return file.getvalue()


def arrays(path: Path) -> Any:
    return read_arrays(path, rows=3, device="cpu")


CASES: dict[str, tuple[str, Callable[[Path], Any], bytes]] = {
    "features nested too deeply": ("f.json", lambda path: Features.from_json(path, IDS), b'{"1": ' + DEEP),
    "features of two kinds": ("f.json", lambda path: Features.from_json(path, IDS), b'{"101": ["a"], "102": [7]}'),
    "features of ragged lists": (
        "f.json",
        lambda path: Features.from_json(path, IDS),
        b'{"101": [[1], [1, 2]], "2": 1}',
    ),
    "features of other ids": ("f.csv", lambda path: read_features(path, IDS), b"item,genre\nx,a\ny,b\n"),
    "features without a row": ("f.csv", lambda path: read_features(path, IDS), b"item,title\n"),
    "features that are too long": (
        "f.csv",
        lambda path: read_features(path, IDS),
        b"item,genre\n101,a\n102,%s\n" % (b"x" * 2000),
    ),
    "titles of other ids": ("f.csv", lambda path: read_titles(path, IDS), b"item,title\nx,a\ny,b\n"),
    "titles without a row": ("f.csv", lambda path: read_titles(path, IDS), b"item,title\n"),
    "labels that are no numbers": ("log.csv", Interactions.from_csv, b"user,item,rating\n1,2,3\n1,3,x\n"),
    "times of two kinds": ("log.csv", Interactions.from_csv, b"user,item,time\n1,2,1700000000\n1,3,2024-01-01\n"),
    "sessions that are not UTF-8": ("log.txt", Interactions.from_sessions, b"a b\n" + b"\xff" * 70 + b" a\n"),
    "a table that is none": ("log.parquet", Interactions.from_parquet, b"PAR1" + bytes(99) + b"PAR1"),
    "an array's header in Python that does not end": ("a.npz", arrays, npz(b"{'descr': (\n")),
    "an array's header that is nested too deeply": ("a.npz", arrays, npz(b"(" * 9000 + b"\n")),
    "an array's header with a huge shape": (
        "a.npz",
        arrays,
        npz(b"{'descr':'<f4','fortran_order':False,'shape':(9**99,)}\n"),
    ),
    "an array alone": ("a.npz", arrays, b"\x93NUMPY\x01\x00\x00\x00"),
    "a recipe nested too deeply": ("r.toml", lambda path: read_recipe(str(path), "Item2Vec"), b"a = " + DEEP),
    "counts that are no text": ("c.txt", lambda path: Unigram.from_file(path, 2), b"tea 1\n\xff\xfe\xfd 2 \x81\n"),
    "counts below 0": ("c.txt", lambda path: Unigram.from_file(path, 2), b"tea 1\ncup -2\n"),
    "no counts": ("c.txt", lambda path: Unigram.from_file(path, 2), b"\n"),
    "more n-grams than numbers": ("m.arpa", NGram.from_arpa, b"\\data\\\nngram 1=%d\n\n\\1-grams:\n" % 10**400),
    "phrases without a table": (
        "p.json",
        Phrases.load,
        b'{"format": "logq.phrases", "version": 1, "settings": {}, "num_words": 1, "pruned": 0, "tables": []}',
    ),
}


@pytest.mark.parametrize("case", list(CASES))
def test_the_error_names_the_file(tmp_path: Path, case: str) -> None:
    name, read, content = CASES[case]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises((ValueError, logq.ArgumentTypeError, BadInputError)) as raised:
        read(path)
    assert str(path) in str(raised.value)


def test_a_table_of_features_without_a_row_is_said_to_have_none(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_text("item,title\n")
    with pytest.raises(BadInputError, match="expected numbers in the first column 'item', as the log has, got no row"):
        read_titles(path, IDS)


def test_numbers_too_large_for_numpy_are_labels() -> None:
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(
        {"user": [1, 1], "item": [1, 2], "rating": [1, 10**30]}, schema_overrides={"rating": polars.Int128}
    )
    assert Interactions.from_frame(frame).labels.tolist() == [1, np.float32(1e30)]


class PanicException(BaseException):
    """What a library written in Rust raises where it would end its process."""


def test_a_panic_of_a_library_is_a_damage_of_the_file() -> None:
    with (
        pytest.raises(DamagedFileError, match=r"^a\.parquet: the file is damaged: PanicException index out of bounds"),
        parsing("a.parquet"),
    ):
        raise PanicException("index out of bounds")
    with pytest.raises(KeyboardInterrupt), parsing("a.parquet"):
        raise KeyboardInterrupt


def test_an_error_about_an_argument_stays_one_and_names_the_file() -> None:
    with pytest.raises(logq.ArgumentError) as raised, parsing("a.csv", by_arguments=True):
        raise logq.ArgumentError("user", "a column", "uid", "take another")
    assert str(raised.value) == "user: expected a column, got 'uid'; take another; the file is a.csv"
    assert raised.value.name == "user"


def test_one_long_id_does_not_widen_all_others(tmp_path: Path) -> None:
    import tracemalloc

    path = tmp_path / "log.txt"
    path.write_text(f"a b\n{'x' * 1000} a\n" + "a b\n" * 50_000)
    tracemalloc.start()
    try:
        log = Interactions.from_sessions(path)
        listed = Interactions.from_arrays(["u"] * 100_000, ["a"] * 99_999 + ["x" * 1000], np.arange(100_000))
        assert tracemalloc.get_traced_memory()[1] < 40 << 20  # as a table of strings each would have 100 to 400 MB
    finally:
        tracemalloc.stop()
    assert log.item_ids.keys[2] == "x" * 1000
    assert len(listed) == 100_000


def changed(folder: Path, name: str, change: Callable[[np.ndarray[Any, Any]], None]) -> None:
    """Change a tensor of a model, and make its digest right again."""
    format = "logq.recommender" if "shares" in name else "logq.language_model"
    stored = read_stored(folder / FILE, format=format)
    tensor = stored.tensors[name].copy()
    change(tensor)
    stored.tensors[name] = tensor
    write_stored(folder / FILE, stored, format=format)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_numbers_are_refused(tmp_path: Path, value: float) -> None:
    recommender_cases.fitted("Popularity").save(tmp_path)
    changed(tmp_path, "learned/shares", lambda shares: shares.__setitem__(0, value))
    with pytest.raises(ValueError, match=rf"{FILE}: the file was changed, 'shares': expected numbers that are not NaN"):
        logq.load(tmp_path)


def test_integers_beyond_those_that_the_model_is_made_with_are_refused(tmp_path: Path) -> None:
    model = language_cases.make("gru", epochs=1, objective="hierarchical_softmax")
    model.fit(language_cases.language(20, 1), progress=False).save(tmp_path)
    changed(tmp_path, "learned/output.weights.tree.points", lambda points: points.__setitem__(0, 1 << 20))
    with pytest.raises(
        ValueError, match=rf"{FILE}: the file was changed, 'tree\.points': expected integers in \[0, 24\]"
    ):
        logq.load(tmp_path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_checkpoint_with_weights_that_are_not_numbers_is_refused(value: float) -> None:
    own = RunState(7, {"epoch": 0}, {"module.weight": np.zeros(2)})
    read = RunState(7, {"epoch": 1}, {"module.weight": np.array([0, value])})
    with pytest.raises(ValueError, match=r"module\.weight: expected numbers that are not NaN or infinite"):
        check_run_state(read, own, {"epoch": 3})
    check_run_state(RunState(7, {"epoch": 1}, {"module.weight": np.array([0, -np.inf])}), own, {"epoch": 3})


@pytest.mark.parametrize(
    ("tensors", "position", "message"),
    [
        ({"module.weight": np.zeros(3)}, {"epoch": 1}, r"module\.weight: expected float64 \(2,\), got float64 \(3,\)"),
        ({}, {"epoch": 1}, r"module\.weight: expected float64 \(2,\), got none"),
        ({"module.table": np.array([1, 3])}, {"epoch": 1}, r"module\.table: expected what follows from the settings"),
        ({"best.weight": np.zeros(2)}, {"epoch": 1}, "best: expected all weights or none"),
        ({}, {"epoch": "one"}, "epoch: expected int, got 'one'"),
        ({}, {"epoch": True}, "epoch: expected int, got True"),
    ],
)
def test_a_state_of_another_run_is_refused(tensors: dict[str, Any], position: dict[str, Any], message: str) -> None:
    known = {"module.weight": np.zeros(2), "module.table": np.array([1, 2])}
    read = known | tensors
    if not tensors and "module" in message:
        del read["module.weight"]
    with pytest.raises(ValueError, match=message):
        check_run_state(RunState(7, position, read), RunState(7, {"epoch": 0}, known), {"epoch": 3})
