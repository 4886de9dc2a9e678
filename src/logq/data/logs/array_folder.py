"""A folder of arrays and one JSON file that says what they are: read through memory maps, and checked."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from logq.files import atomic_write

__all__ = ["load_arrays", "save_arrays"]


def save_arrays(
    folder: str | os.PathLike[str], kind: str, version: int, arrays: Mapping[str, NDArray[Any]], facts: object
) -> None:
    """Write each array to NAME.npy and, last, the facts to KIND.json; without it the folder does not count as written.

    Raises:
        OSError: a file cannot be written; the message names it.
    """
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    header = place / f"{kind}.json"
    header.unlink(missing_ok=True)
    for name, array in arrays.items():
        with atomic_write(place / f"{name}.npy") as file:
            np.save(file, array, allow_pickle=False)
    shapes = {name: [array.dtype.str, list(array.shape)] for name, array in arrays.items()}
    text = {"format": f"logq.{kind}", "version": version, "arrays": shapes, "facts": facts}
    with atomic_write(header) as file:
        file.write(json.dumps(text, indent=1, ensure_ascii=False).encode())


def load_arrays(
    folder: str | os.PathLike[str], kind: str, version: int, *, mmap: bool = True
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Read what `save_arrays` wrote: the arrays, mapped from their files if `mmap`, and the facts.

    Nothing in the files is run: an array that holds Python objects is refused.

    Raises:
        FileNotFoundError: the folder holds no such thing, or one that was not written to its end.
        ValueError: it is of another version, or an array is not what the JSON file says.
    """
    header = Path(folder) / f"{kind}.json"
    if not header.exists():
        raise FileNotFoundError(f"{os.fspath(folder)}: holds no {header.name}, or was not written to its end")
    try:
        text = json.loads(header.read_bytes())
        known, written = text["format"] == f"logq.{kind}", text["version"]
        shapes, facts = cast("dict[str, Any]", text["arrays"]), cast("dict[str, Any]", text["facts"])
        expected = {str(name): (np.dtype(dtype), tuple(shape)) for name, (dtype, shape) in shapes.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{header}: is damaged ({type(error).__name__}: {error})") from None
    if not isinstance(facts, dict):
        raise ValueError(f"{header}: is damaged (expected an object of facts, got {facts!r:.50})")
    if not known or written != version:
        raise ValueError(f"{header}: expected logq.{kind} of version {version}, got {text['format']} {written}")
    arrays: dict[str, NDArray[Any]] = {}
    for name, (dtype, shape) in expected.items():
        if Path(name).name != name:
            raise ValueError(f"{header}: expected names of arrays, got {name!r}")
        path = Path(folder) / f"{name}.npy"
        try:
            # An empty file cannot be mapped.
            array = np.load(path, mmap_mode="r" if mmap and 0 not in shape else None, allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise ValueError(f"{path}: is no array, or damaged ({error})") from None
        if not isinstance(array, np.ndarray):  # numpy takes a zip file for several arrays
            array.close()
            raise ValueError(f"{path}: is no array, but a {type(array).__name__}")
        if (array.dtype, array.shape) != (dtype, shape):
            raise ValueError(
                f"{path}: expected {dtype} {shape}, as {header.name} says, got {array.dtype} {array.shape}"
            )
        arrays[name] = array
    return arrays, facts
