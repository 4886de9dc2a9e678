"""A number that changed inside a file is found when the file is loaded, whatever kind of file of logq it is."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from safetensors.numpy import load as load_safetensors

import logq
from logq._model_file import DIGESTS
from logq.logs import Interactions, Split

sys.path.insert(0, str(Path(__file__).parent / "fuzz"))
from formats import FORMATS, Format  # the same small files

sys.path.pop(0)


class Kind(NamedTuple):
    """A kind of file that logq writes.

    Args:
        make: writes it into a folder, as `make fuzz` does.
        load: reads it; `check=False` leaves digests out.
        file: its name.
        tensor: what is changed in it.
    """

    make: Format
    load: Callable[..., Any]
    file: str
    tensor: str = ""


def resume(name: str) -> Callable[..., Any]:
    return lambda folder: FORMATS[name].use(folder)


KINDS: dict[str, Kind] = {
    name: Kind(FORMATS[name], logq.load, FORMATS[name].damaged[0])
    for name in FORMATS
    if FORMATS[name].damaged in (("vectors.safetensors",), ("index.safetensors",), ("model.safetensors",))
} | {
    **{
        f"{name} of a log": Kind(FORMATS["log"], Interactions.load, f"{name}.npy")
        for name in ("users", "items", "timestamps", "item_features.0_values")
    },
    **{name: Kind(FORMATS[name], resume(name), "checkpoint.safetensors") for name in FORMATS if "checkpoint" in name},
}


def tensors_of(path: Path) -> list[str]:
    return sorted(name for name, array in load_safetensors(path.read_bytes()).items() if array.size)


def change(path: Path, name: str) -> None:
    """Change a number of a tensor by its last bit, and nothing else in the file."""
    data = bytearray(path.read_bytes())
    if path.suffix == ".npy":
        data[-1] ^= 1
    else:
        size = int.from_bytes(data[:8], "little")
        begin = json.loads(data[8 : 8 + size])[name]["data_offsets"][0]
        data[8 + size + begin] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_single_number_that_changed_is_found(tmp_path: Path, kind: str) -> None:
    make, load, file, _ = KINDS[kind]
    make.make(tmp_path)
    path = tmp_path / file
    whole = path.read_bytes()
    for name in tensors_of(path) if path.suffix == ".safetensors" else [file]:
        change(path, name)
        with pytest.raises(ValueError, match=r"was changed or is damaged, .*digest") as raised:
            load(tmp_path)
        assert str(path) in str(raised.value)
        assert path.suffix == ".npy" or repr(name) in str(raised.value)
        path.write_bytes(whole)
    load(tmp_path)


@pytest.mark.parametrize(
    ("kind", "tensor"),
    [
        ("vectors", "vectors"),
        ("index exact", "vectors"),
        ("recommender Popularity", "learned/shares"),
        ("recommender SASRec", "learned/weights.items.weight"),
        ("gru", "learned/model.weights.words.weight"),
        ("items of a log", ""),
    ],
)
def test_digests_are_left_out_on_request(tmp_path: Path, kind: str, tensor: str) -> None:
    make, load, file, _ = KINDS[kind]
    make.make(tmp_path)
    change(tmp_path / file, tensor)
    with pytest.raises(ValueError, match="digest"):
        load(tmp_path)
    if file.endswith(".npy"):  # the last byte of a code makes it impossible, which is found without digests
        with pytest.raises(ValueError, match="expected codes in"):
            load(tmp_path, check=False)
    else:
        load(tmp_path, check=False)


def test_a_split_that_changed_is_found_unless_digests_are_left_out(tmp_path: Path) -> None:
    FORMATS["log"].make(tmp_path)
    log = Interactions.load(tmp_path)
    change(tmp_path / "part.npy", "")
    with pytest.raises(ValueError, match=r"part\.npy: .* digest differs"):
        Split.load(tmp_path, log)
    Split.load(tmp_path, log, check=False)


def test_files_without_digests_are_read(tmp_path: Path) -> None:
    """As logq 0.1 wrote them."""
    FORMATS["vectors"].make(tmp_path)
    path = tmp_path / "vectors.safetensors"
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    del header["__metadata__"][DIGESTS]
    text = json.dumps(header).encode()
    file = io.BytesIO(len(text).to_bytes(8, "little") + text + data[8 + size :])
    path.write_bytes(file.getvalue())
    assert np.isfinite(logq.load(tmp_path).vectors).all()
