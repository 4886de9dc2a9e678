"""Files of recommenders that are damaged, changed or of another version: a clear error, and nothing runs."""

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from logq._model_file import (
    FILE,
    SUMMARY,
    Stored,
    pack_strings,
    read_stored,
    unpack_strings,
    write_stored,
    write_tensors,
)
from logq.estimators import FORMATS
from logq.recommenders import Popularity, Recommender, YoutubeDNN
from recommender_cases import fitted

FORMAT = FORMATS["recommender"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    fitted("YoutubeDNN").save(tmp_path)
    return tmp_path


def rewrite(folder: Path, change: Callable[[dict[str, Any], dict[str, Any]], None]) -> None:
    """Change description and tensors as somebody would who knows the format."""
    stored = read_stored(folder / FILE, format=FORMAT)
    change(stored.info, stored.tensors)
    write_stored(folder / FILE, stored, format=FORMAT)


def raw_change(folder: Path, before: bytes, after: bytes) -> None:
    content = (folder / FILE).read_bytes()
    assert len(before) == len(after)
    assert before in content
    (folder / FILE).write_bytes(content.replace(before, after, 1))


@pytest.mark.parametrize("kept", [0, 7, 100, 5000, -1])
def test_truncated(folder: Path, kept: int) -> None:
    content = (folder / FILE).read_bytes()
    (folder / FILE).write_bytes(content[:kept])
    with pytest.raises(ValueError, match=f"{FILE}: the file is damaged or truncated"):
        Recommender.load(folder)


def test_another_version(folder: Path) -> None:
    raw_change(folder, b'\\"version\\": 2', b'\\"version\\": 9')
    with pytest.raises(ValueError, match="expected version 2 of the format, got 9; it was written by another version"):
        Recommender.load(folder)


def test_another_kind_of_file(tmp_path: Path) -> None:
    write_stored(tmp_path / FILE, Stored("x", {}, {}), format="something else")
    with pytest.raises(
        ValueError,
        match=r"expected a file of the format 'logq.recommender' or 'logq.language_model' or 'logq.word_vectors', "
        "it holds other tensors",
    ):
        Recommender.load(tmp_path)
    (tmp_path / FILE).write_bytes(pickle.dumps({"a": 1}) * 50)
    with pytest.raises(ValueError, match="damaged or truncated"):
        Recommender.load(tmp_path)


def test_an_unknown_class_runs_nothing(folder: Path) -> None:
    raw_change(folder, b'\\"YoutubeDNN\\"', b'\\"os.system\\" ')
    with pytest.raises(ValueError, match=r"expected a recommender, the file holds a os.system"):
        Recommender.load(folder)


CHANGES: dict[str, tuple[Callable[[dict[str, Any], dict[str, Any]], None], str]] = {
    "another dim": (lambda info, _: info["settings"].update(dim=32), "expected float32 of shape .* for"),
    "a huge dim": (lambda info, _: info["settings"].update(hidden=[10**9]), "expected float32 of shape"),
    "no dim": (lambda info, _: info["settings"].update(dim="big"), "dim: expected an integer"),
    "a setting too many": (
        lambda info, _: info["settings"].update(color="red"),
        "settings: YoutubeDNN has no 'color'",
    ),
    "no settings": (lambda info, _: info.pop("settings"), "it lacks 'settings'"),
    "no metadata": (lambda info, _: info["metadata"].clear(), "it lacks 'longest_age'"),
    "no weight": (lambda _, t: t.pop("learned/weights.items.weight"), "got none"),
    "another weight": (lambda _, t: t.update({"learned/weights.x": np.zeros(3)}), "expected none for 'x'"),
    "another dtype": (
        lambda _, t: t.update({"learned/weights.items.weight": t["learned/weights.items.weight"].astype(np.float64)}),
        "got float64",
    ),
    "no ids": (lambda _, t: t.pop("items/keys"), "the file was changed"),
    "fewer ids": (lambda _, t: t.update({"items/keys": t["items/keys"][:-1]}), "the file was changed"),
    "equal ids": (
        lambda _, t: t.update({"items/keys": np.zeros_like(t["items/keys"])}),
        "keys: expected different ids",
    ),
    "codes out of range": (lambda _, t: t["seen.items"].__setitem__(3, 99), "expected codes of 20 items"),
    "codes of two dimensions": (
        lambda _, t: t.update({"seen.items": t["seen.items"][:, None]}),
        r"'seen.items' \(N,\)",
    ),
    "times of other events": (lambda _, t: t.update({"seen.times": t["seen.times"][1:]}), r"'seen.times' \(N,\)"),
    "counts below 0": (lambda _, t: t.update({"seen.counts": np.full(20, -1)}), r"'seen.counts' \(C,\) int64, >= 0"),
    "offsets of other items": (
        lambda _, t: t.update({"learned/item_offsets": np.zeros(3, np.float32)}),
        r"expected float32 of shape \(20,\) for 'item_offsets'",
    ),
    "features of other users": (
        lambda _, t: t.update({"user_features/0_values": t["user_features/0_values"][1:]}),
        "expected 60 rows in user_features, got 59",
    ),
    "offsets that fall": (lambda _, t: t["seen.offsets"].__setitem__(3, 99999), "offsets"),
    "features out of range": (lambda _, t: t["user_features/0_values"].__setitem__(3, 99), "expected codes in"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed(folder: Path, change: str) -> None:
    how, message = CHANGES[change]
    rewrite_copying(folder, how)
    with pytest.raises(ValueError, match=message) as found:
        YoutubeDNN.load(folder)
    assert FILE in str(found.value)


def rewrite_copying(folder: Path, how: Callable[[dict[str, Any], dict[str, Any]], None]) -> None:
    def change(info: dict[str, Any], tensors: dict[str, Any]) -> None:
        tensors.update({name: array.copy() for name, array in tensors.items()})
        how(info, tensors)

    rewrite(folder, change)


def test_a_tensor_that_does_not_fit_its_description(folder: Path) -> None:
    raw_change(
        folder,
        b'\\"learned/weights.items.weight\\": [\\"float32\\", [20',
        b'\\"learned/weights.items.weight\\": [\\"float32\\", [21',
    )
    with pytest.raises(ValueError, match="the file was changed, expected"):
        Recommender.load(folder)


def test_the_summary_is_only_read_by_people(folder: Path) -> None:
    (folder / SUMMARY).write_text("{}")
    assert Recommender.load(folder).recommend("u0", k=2).items.shape == (2,)


def test_a_kill_leaves_the_old_model_whole(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (folder / FILE).read_bytes()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        fitted("SASRec").save(folder)
    monkeypatch.undo()
    assert (folder / FILE).read_bytes() == before
    assert YoutubeDNN.load(folder)
    assert sorted(path.name for path in folder.iterdir()) == [SUMMARY, FILE]


def test_popularity_checks_its_numbers(tmp_path: Path) -> None:
    fitted("Popularity").save(tmp_path)
    rewrite_copying(tmp_path, lambda _, t: t.update({"learned/shares": np.zeros(3, dtype=np.float32)}))
    with pytest.raises(ValueError, match="expected 'shares' float32"):
        Popularity.load(tmp_path)


def test_strings_that_do_not_fit() -> None:
    joined, offsets = pack_strings(["a", "bc"])
    with pytest.raises(ValueError, match="offsets do not fit"):
        unpack_strings(joined, offsets + 1)
    with pytest.raises(ValueError, match="not UTF-8"):
        unpack_strings(np.array([255, 255, 255], dtype=np.uint8), offsets)


def test_info_must_fit_json(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="info: expected what JSON can hold"):
        write_stored(tmp_path / FILE, Stored("x", {"a": object()}, {}), format=FORMAT)
    assert json.loads("null") is None


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("ItemKNN", {"similar": np.zeros((3, 2), np.int64)}, r"expected 'similar' int64 \(20, 10\), got \(3, 2\)"),
        ("ItemKNN", {"similar": np.full((20, 10), 20)}, "expected codes of 20 items in 'similar'"),
        ("EASE", {"weights": np.zeros((20, 3), np.float32)}, r"expected 'weights' float32 \(20, 20\), got float32"),
        ("ALS", {"item_factors": np.zeros((20, 3))}, r"expected 'item_factors' float32 \(20, 16\), got float64"),
        ("SessionKNN", {"owners": np.full(60, 60)}, "expected 'owners' to be codes of 60, int64"),
        ("SessionKNN", {"offsets": np.zeros(61, np.int64)}, "expected 'offsets' that rise from 0 to the number of"),
        ("SessionKNN", {"times": np.zeros(3)}, "expected 'offsets' and 'times' of 60 sessions"),
        ("SessionKNN", {"positions": np.zeros(3, np.int64)}, "expected 'items' and 'positions' of the same length"),
        ("Item2Vec", {"inputs": np.zeros((20, 3), np.float32)}, r"expected 'inputs' float32 \(20, 16\), got float32"),
        ("AirbnbEmbeddings", {"markets": np.zeros(3, np.int64)}, r"expected 'markets' int64 \(20,\), got \(3,\)"),
        ("AirbnbEmbeddings", {"markets": np.full(20, 21)}, "expected 'markets' to be numbers of markets"),
    ],
)
def test_learned_arrays_that_do_not_fit_are_named(
    tmp_path: Path, name: str, array: dict[str, Any], message: str
) -> None:
    fitted(name).save(tmp_path)
    changed = {f"learned/{key}": value for key, value in array.items()}
    rewrite_copying(tmp_path, lambda _, tensors: tensors.update(changed))
    with pytest.raises(ValueError, match=message):
        Recommender.load(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "the file is damaged, its description is not JSON"), (None, "the file is damaged, its description has no")],
)
def test_a_description_that_cannot_be_read(tmp_path: Path, text: str | None, message: str) -> None:
    described = json.dumps({"format": FORMAT, "version": 2}) if text is None else text
    with (tmp_path / FILE).open("wb") as file:
        write_tensors(file, {"a": np.zeros(1)}, {"logq": described})
    with pytest.raises(ValueError, match=f"{FILE}: {message}"):
        read_stored(tmp_path / FILE, format=FORMAT)
