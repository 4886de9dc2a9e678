"""Folders of prepared logs: their manifest, what they consist of, and opening one with its events left in the files.

    manifest.json           version, columns, counts, partitions, and the size and SHA-256 of every file; written last
    part-00000.parquet ...  events (user, item, time, label, further columns), sorted by user, time and row
    users.parquet           (user, code, count): coded partition after partition
    items.parquet           (item, code, count): codes by falling count
    column-NAME.parquet     (value, code) of a column of categories, whose codes begin with 1; 0 is a missing value
    mapped/*.npy            the same as arrays that are mapped: 4 bytes an event for users, 4 for items, 8 for times

Parquet is compressed and encoded page by page, so it cannot be mapped: it is what engines write and other programs
read, and the arrays are what training reads.
"""

import json
import mmap
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from logq._files import DamagedFileError
from logq.logs.identifiers import Identifiers
from logq.logs.mapped_arrays import MappedEvents, digest_of_file, map_array
from logq.logs.mapped_identifiers import MappedIdentifiers

__all__ = [
    "FORMAT",
    "MANIFEST",
    "MAPPED",
    "VERSION",
    "Manifest",
    "check_files",
    "is_prepared",
    "open_prepared",
    "read_manifest",
]

MANIFEST, MAPPED = "manifest.json", "mapped"
FORMAT, VERSION = "logq.partitions", 1


class Manifest(NamedTuple):
    """What manifest.json says.

    Attributes:
        events, users, items: how many.
        bounds: (P+1,) rows at which partitions begin, and N.
        columns: further columns: name, and whether it has categories.
        files: of each file in the folder its size and SHA-256.
        dropped, notes: as `Interactions` has them.
        fingerprint: of events and ids, that of the same log in memory.
    """

    events: int
    users: int
    items: int
    bounds: list[int]
    columns: dict[str, str]
    files: dict[str, tuple[int, str]]
    dropped: dict[str, int]
    notes: list[str]
    fingerprint: str


def is_prepared(folder: str | os.PathLike[str]) -> bool:
    """Whether a path is a folder that `prepare` finished.

    Example:
        >>> is_prepared("/no/such/folder")
        False
    """
    return (Path(folder) / MANIFEST).is_file()


def read_manifest(folder: str | os.PathLike[str]) -> Manifest:
    """Read the manifest of a prepared log.

    Raises:
        FileNotFoundError: there is none; the message says what makes one.
        ValueError: it is of another version, or damaged.
    """
    path = Path(folder) / MANIFEST
    if not path.exists():
        raise FileNotFoundError(
            f"{os.fspath(folder)}: expected {MANIFEST} in it, which `logq prepare` writes last; running it again "
            "finishes what was stopped, and `logq prepare --check` what another engine wrote"
        )
    try:
        text = cast("dict[str, Any]", json.loads(path.read_bytes()))
        kind, version = text["format"], text["version"]
    except Exception as error:
        raise DamagedFileError(f"{path}: is damaged ({type(error).__name__}: {error})") from None
    if kind != FORMAT or version != VERSION:
        raise ValueError(f"{path}: expected {FORMAT} of version {VERSION}, got {kind} {version}; prepare the log again")
    try:
        bounds = np.cumsum([0, *(int(part["rows"]) for part in text["partitions"])]).tolist()
        events, users, items = (int(text[name]) for name in ("events", "users", "items"))
        files = {str(name): (int(size), str(digest)) for name, (size, digest) in text["files"].items()}
        columns, dropped, notes = dict(text["columns"]), dict(text["dropped"]), list(text["notes"])
        found = Manifest(events, users, items, bounds, columns, files, dropped, notes, str(text["fingerprint"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedFileError(f"{path}: is damaged ({type(error).__name__}: {error})") from None
    if bounds[-1] != found.events or any(Path(name).is_absolute() or ".." in Path(name).parts for name in files):
        raise DamagedFileError(f"{path}: is damaged (its partitions have {bounds[-1]} of {found.events} events)")
    return found


def check_files(folder: str | os.PathLike[str], manifest: Manifest, *, part: str = "", digests: bool = True) -> None:
    """Compare the files of a folder, or those whose names begin with `part`, with its manifest.

    Raises:
        FileNotFoundError: one is missing.
        DamagedFileError: one has another size or digest; the message names it.
    """
    for name, (size, digest) in manifest.files.items():
        if not name.startswith(part):
            continue
        path = Path(folder) / name
        if not path.exists():
            raise FileNotFoundError(f"{path}: the file is missing, of which {MANIFEST} tells")
        if (found := path.stat().st_size) != size:
            raise DamagedFileError(
                f"{path}: expected {size:,} bytes, as {MANIFEST} says, got {found:,}: it is truncated"
            )
        if digests and digest_of_file(path) != digest:
            raise DamagedFileError(f"{path}: the file was changed or is damaged, its digest differs")


def open_prepared(folder: str | os.PathLike[str], *, check: bool) -> dict[str, Any]:
    """Return the attributes of `Interactions` by name, mapped; and "offsets".

    Raises:
        FileNotFoundError, ValueError: as `read_manifest` and `check_files`.
    """
    home = Path(folder)
    manifest = read_manifest(home)
    check_files(home, manifest, part=f"{MAPPED}/", digests=check)
    maps: list[mmap.mmap] = []
    arrays: dict[str, NDArray[Any]] = {}
    for name in manifest.files:
        if name.startswith(f"{MAPPED}/"):
            arrays[Path(name).stem], mapped = map_array(home / name)
            maps += [mapped] if mapped is not None else []
    try:
        log: dict[str, Any] = {"users": arrays["users"], "items": arrays["items"], "offsets": arrays["offsets"]}
        log["timestamps"], log["labels"] = arrays.get("timestamps"), arrays.get("labels")
        log["columns"] = {name: arrays[f"column_{number}"] for number, name in enumerate(manifest.columns)}
        log["user_ids"], log["item_ids"] = (MappedIdentifiers(_part(arrays, name)) for name in ("user_ids", "item_ids"))
        log["column_ids"] = {
            name: Identifiers.from_state(_part(arrays, f"column_{number}_ids"))
            for number, (name, kind) in enumerate(manifest.columns.items())
            if kind == "category"
        }
    except KeyError as error:
        raise DamagedFileError(f"{home / MANIFEST}: is damaged, it lacks {error}") from None
    each = {"users": log["users"], "items": log["items"], "timestamps": log["timestamps"], "labels": log["labels"]}
    for name, array in {**each, **log["columns"]}.items():
        if array is not None and (len(array) != manifest.events or array.dtype.kind not in "iuf"):
            raise DamagedFileError(f"{home / MAPPED}: {name}: expected {manifest.events:,} numbers, got {len(array):,}")
    sizes = (len(log["user_ids"]), len(log["item_ids"]), len(log["offsets"]) - 1)
    if sizes != (manifest.users, manifest.items, manifest.users) or log["offsets"][-1] != manifest.events:
        raise DamagedFileError(f"{home / MAPPED}: expected {manifest.users:,} users and {manifest.items:,} items")
    log["dropped"], log["notes"] = manifest.dropped, manifest.notes
    bounds = np.array(manifest.bounds, dtype=np.int64)
    log["mapped"] = MappedEvents(bounds, tuple(maps), manifest.fingerprint, home.resolve())
    return log


def _part(arrays: Mapping[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    return {name[len(prefix) + 1 :]: array for name, array in arrays.items() if name.startswith(f"{prefix}.")}
