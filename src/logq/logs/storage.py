"""Storage of a log and its features: a folder of arrays that are checked, and memory-mapped when they are read."""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from logq._files import DamagedFileError, atomic_write
from logq._model_file import digest_of
from logq.logs.feature_values import Buckets, Categories, Coding, Scale
from logq.logs.features import Features
from logq.logs.identifiers import Identifiers
from logq.logs.mapped_arrays import MappedEvents
from logq.logs.ordering import pieces

__all__ = [
    "features_from_state",
    "features_state",
    "fingerprint_of_arrays",
    "load_arrays",
    "load_log",
    "save_arrays",
    "save_log",
]

_VERSION = 1  # of the folder of a log


def fingerprint_of_arrays(arrays: Iterable[NDArray[Any]], mapped: MappedEvents | None = None) -> str:
    """A hash of arrays, their dtypes and shapes: 32 hexadecimal digits. Those that are mapped are read in pieces.

    Example:
        >>> fingerprint_of_arrays([np.zeros(2)]) == fingerprint_of_arrays([np.zeros(2)])
        True
    """
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        for piece in pieces(len(array), mapped=mapped) if array.ndim else [...]:
            digest.update(np.ascontiguousarray(array[piece]).data)
    return digest.hexdigest()


def save_arrays(
    folder: str | os.PathLike[str], kind: str, version: int, arrays: Mapping[str, NDArray[Any]], metadata: object
) -> None:
    """Write each array to NAME.npy and, last, the metadata to KIND.json, without which the folder is incomplete.

    Raises:
        OSError: a file cannot be written; the message names it.
    """
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    header = path / f"{kind}.json"
    header.unlink(missing_ok=True)
    for name, array in arrays.items():
        with atomic_write(path / f"{name}.npy") as file:
            np.save(file, array, allow_pickle=False)
    shapes = {name: [array.dtype.str, list(array.shape)] for name, array in arrays.items()}
    digests = {name: digest_of(array) for name, array in arrays.items()}
    text = {"format": f"logq.{kind}", "version": version, "arrays": shapes, "digests": digests, "facts": metadata}
    with atomic_write(header) as file:
        file.write(json.dumps(text, indent=1, ensure_ascii=False).encode())


def load_arrays(
    folder: str | os.PathLike[str], kind: str, version: int, *, mmap: bool = True, check: bool = True
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Read what `save_arrays` wrote: the arrays, mapped from their files if `mmap`, and the metadata.

    Nothing in the files is executed: an array of Python objects is refused. With `check`, digests of the arrays are
    compared with those in the JSON file, which reads them once.

    Raises:
        FileNotFoundError: the folder does not hold such arrays, or is incomplete.
        ValueError: it has another version, or an array differs from what the JSON file says.
    """
    header = Path(folder) / f"{kind}.json"
    if not header.exists():
        raise FileNotFoundError(f"{os.fspath(folder)}: expected {header.name} in it, which is written last")
    content = header.read_bytes()
    try:
        text = json.loads(content)
        known, written = text["format"] == f"logq.{kind}", text["version"]
        shapes, metadata = cast("dict[str, Any]", text["arrays"]), cast("dict[str, Any]", text["facts"])
        expected = {str(name): (np.dtype(dtype), tuple(shape)) for name, (dtype, shape) in shapes.items()}
        digests = dict[str, Any](text.get("digests", {}))  # logq 0.1 wrote none
    except Exception as error:
        raise DamagedFileError(f"{header}: is damaged ({type(error).__name__}: {error})") from None
    if not isinstance(metadata, dict):
        raise ValueError(f'{header}: is damaged (expected an object as "facts", got {metadata!r:.50})')
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
        except Exception as error:  # numpy reads the header by parsers of Python's, with all their errors
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise DamagedFileError(f"{path}: is not an array, or damaged ({error})") from None
        if not isinstance(array, np.ndarray):  # numpy reads a zip file as several arrays
            array.close()
            raise ValueError(f"{path}: is not an array, but a {type(array).__name__}")
        if (array.dtype, array.shape) != (dtype, shape):
            raise ValueError(
                f"{path}: expected {dtype} {shape}, as {header.name} says, got {array.dtype} {array.shape}"
            )
        if check and name in digests and digest_of(array) != digests[name]:
            raise DamagedFileError(f"{path}: the file was changed or is damaged, its digest differs")
        arrays[name] = array
    return arrays, metadata


def save_log(folder: str | os.PathLike[str], log: Mapping[str, Any]) -> None:
    """Write the attributes of `Interactions`, by name.

    Raises:
        OSError: a file cannot be written; the message names it.
    """
    arrays: dict[str, NDArray[Any]] = {
        name: log[name] for name in ("users", "items", "timestamps", "labels") if log[name] is not None
    }
    _put(arrays, "user_ids", log["user_ids"].state())
    _put(arrays, "item_ids", log["item_ids"].state())
    names = list(log["columns"])
    for number, name in enumerate(names):  # the name of a column may not be possible as the name of a file
        arrays[f"column_{number}"] = log["columns"][name]
        if name in log["column_ids"]:
            _put(arrays, f"column_{number}_ids", log["column_ids"][name].state())
    metadata: dict[str, Any] = {"columns": names, "dropped": dict(log["dropped"]), "notes": list(log["notes"])}
    for side in ("item_features", "user_features"):
        if log[side] is not None:
            state, metadata[side] = features_state(log[side])
            _put(arrays, side, state)
    save_arrays(folder, "interactions", _VERSION, arrays, metadata)


def load_log(folder: str | os.PathLike[str], *, mmap: bool, check: bool) -> dict[str, Any]:
    """Read the attributes of `Interactions` that `save_log` wrote, and check that they fit together.

    Raises:
        FileNotFoundError: the folder does not hold a log.
        ValueError: it is damaged, or has another version.
    """
    arrays, metadata = load_arrays(folder, "interactions", _VERSION, mmap=mmap, check=check)
    where = os.fspath(folder)
    try:
        names = list(metadata["columns"])
        log: dict[str, Any] = {"users": arrays["users"], "items": arrays["items"]}
        log["timestamps"], log["labels"] = arrays.get("timestamps"), arrays.get("labels")
        log["columns"] = {name: arrays[f"column_{number}"] for number, name in enumerate(names)}
        log["user_ids"] = Identifiers.from_state(_take(arrays, "user_ids"))
        log["item_ids"] = Identifiers.from_state(_take(arrays, "item_ids"))
        states = {name: _take(arrays, f"column_{number}_ids") for number, name in enumerate(names)}
        log["column_ids"] = {name: Identifiers.from_state(state) for name, state in states.items() if state}
        for side in ("item_features", "user_features"):
            log[side] = features_from_state(_take(arrays, side), metadata[side]) if side in metadata else None
        log["dropped"], log["notes"] = dict(metadata["dropped"]), list(metadata["notes"])
    except (KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError) as error:
        raise DamagedFileError(f"{where}: is damaged, something is missing or of a wrong type ({error})") from None
    except ValueError as error:
        raise DamagedFileError(f"{where}: is damaged, {error}") from None
    events = len(log["users"])
    each = {"items": log["items"], "timestamps": log["timestamps"], "labels": log["labels"], **log["columns"]}
    for name, array in {"users": log["users"], **each}.items():
        if array is not None and (array.shape != (events,) or array.dtype.kind not in "if"):
            raise ValueError(f"{where}: {name}: expected {events} numbers, got {array.dtype} {array.shape}")
    sizes = {"users": (log["users"], len(log["user_ids"])), "items": (log["items"], len(log["item_ids"]))}
    sizes |= {name: (log["columns"][name], len(ids) + 1) for name, ids in log["column_ids"].items()}
    for name, (array, size) in sizes.items():
        if array.dtype.kind != "i" or (events and not 0 <= array.min() <= array.max() < size):
            raise ValueError(f"{where}: {name}: expected codes in [0, {size}), got others")
    if (np.diff(log["users"]) < 0).any():
        raise ValueError(f"{where}: users: expected events sorted by user")
    for side, size in (("item_features", len(log["item_ids"])), ("user_features", len(log["user_ids"]))):
        if log[side] is not None and len(log[side]) != size:
            raise ValueError(f"{where}: {side}: expected {size} rows, got {len(log[side])}")
    return log


def features_state(features: Features) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Return arrays and metadata that hold a table of features."""
    arrays: dict[str, NDArray[Any]] = {}
    codings: list[dict[str, Any]] = []
    for number, (name, coding) in enumerate(features.codings.items()):
        arrays[f"{number}_values"] = features.values[name]
        if isinstance(coding, Buckets):
            arrays[f"{number}_edges"] = coding.edges
            codings.append({"name": name, "kind": "buckets"})
        else:
            _put(arrays, f"{number}_known", coding.known.state())
            several = {"separator": coding.separator, "several": coding.several}
            codings.append({"name": name, "kind": "categories", **several})
    arrays |= {f"{number}_dense": table for number, table in enumerate(features.dense.values())}
    metadata: dict[str, Any] = {"codings": codings, "dropped": dict(features.dropped), "dense": list(features.dense)}
    if features.scales:
        metadata["scales"] = {name: [scale.mean, scale.std] for name, scale in features.scales.items()}
    return arrays, metadata


def features_from_state(arrays: dict[str, NDArray[Any]], metadata: Mapping[str, Any]) -> Features:
    """Rebuild the table of features that `features_state` described.

    Raises:
        KeyError: something is missing.
        ValueError: codes are out of range, or of another type.
    """
    values: dict[str, NDArray[np.int32]] = {}
    codings: dict[str, Coding] = {}
    for number, coding in enumerate(metadata["codings"]):
        name = coding["name"]
        values[name] = arrays[f"{number}_values"]
        if coding["kind"] == "buckets":
            codings[name] = Buckets(np.asarray(arrays[f"{number}_edges"], dtype=np.float64))
        else:
            known = Identifiers.from_state(_take(arrays, f"{number}_known"))
            codings[name] = Categories(known, coding["separator"], bool(coding["several"]))
        table, size = values[name], len(codings[name]) + 1
        single = table.ndim == 1 and not getattr(codings[name], "several", False)
        least = 0 if single else -1  # -1 pads rows of several values
        if table.dtype != np.int32 or table.ndim not in (1, 2) or (table.ndim == 1) != single:
            raise ValueError(f"feature {name!r}: expected codes of 32 bits, got {table.dtype} {table.shape}")
        if table.size and not least <= table.min() <= table.max() < size:
            raise ValueError(f"feature {name!r}: expected codes in [{least}, {size}), got others")
        if not isinstance(getattr(codings[name], "separator", None), str | None):
            raise ValueError(f"feature {name!r}: expected a separator of text, got another")
    dense: dict[str, NDArray[np.float32]] = {}
    for number, name in enumerate(metadata.get("dense", ())):  # files of 0.1 have none
        table = dense[name] = arrays[f"{number}_dense"]
        if table.dtype != np.float32 or table.ndim != 2 or not np.isfinite(table).all():
            raise ValueError(f"feature {name!r}: expected finite vectors of float32, got {table.dtype} {table.shape}")
    if len({len(table) for table in [*values.values(), *dense.values()]}) > 1:
        raise ValueError("features: expected the same number of rows in all, got others")
    scales = {name: Scale(float(mean), float(std)) for name, (mean, std) in metadata.get("scales", {}).items()}
    for name, scale in scales.items():
        if name not in dense or dense[name].shape[1] != 2 or not (np.isfinite(scale.mean) and 0 < scale.std < np.inf):
            raise ValueError(f"feature {name!r}: expected numbers with a mean and a spread > 0, got {scale}")
    return Features(values, codings, dict(metadata["dropped"]), dense, scales)


def _put(arrays: dict[str, NDArray[Any]], prefix: str, state: dict[str, NDArray[Any]]) -> None:
    arrays.update({f"{prefix}.{name}": array for name, array in state.items()})


def _take(arrays: dict[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(prefix + "."): array for name, array in arrays.items() if name.startswith(prefix + ".")}
