"""The contract of a prepared log: checking what an engine wrote as Parquet, and making the arrays that are mapped.

An engine (`prepare`, by DuckDB in one process or in tasks of Spark and Ray; or a program such as that with polars in
docs/large-logs.md) writes

    users.parquet      user (integer or text, different), code (0, 1, ... in this order), count (events, > 0)
    items.parquet      item, code, count, of which none is above the one before
    part-*.parquet     user, item (codes), then time and label if there are any, then further columns (numbers); sorted
                       by user, time and position in the log. The users of a part follow those of the part before, so
                       that each has all events in one part
    column-NAME.parquet   value (integers or text), code (1, 2, ...) for a further column NAME that has such codes

and `finish` does the rest, with one part of them in memory at a time.
"""

import contextlib
import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from logq._files import DamagedFileError, atomic_write, parsing
from logq._progress import Progress
from logq._project import page
from logq.logs.identifiers import Identifiers, code_type
from logq.logs.mapped_arrays import ArrayWriter, MappedEvents, array_writer, digest_of_file, map_array
from logq.logs.mapped_identifiers import count_repeated, lookup_arrays
from logq.logs.parquet_reader import ParquetReader
from logq.logs.partitions import FORMAT, MANIFEST, MAPPED, VERSION, check_files, is_prepared, read_manifest
from logq.logs.storage import fingerprint_of_arrays

__all__ = ["check_partitions", "finish"]


def check_partitions(folder: str | os.PathLike[str], *, progress: bool | None = None) -> None:
    """Check a prepared log, or check and finish one that another engine wrote.

    With a manifest, every file is compared with its digest. Without one, the Parquet files are checked by the contract,
    and the arrays and the manifest are written.

    Args:
        folder: of the log.
        progress: True shows a bar, False nothing, None a bar on a terminal and plain lines in a log.

    Raises:
        FileNotFoundError: there are no such files.
        ValueError: a file breaks the contract or was changed; the message names it, what was expected, and the first
            row that is different.

    Example:
        >>> check_partitions("no-such-folder")
        Traceback (most recent call last):
        ...
        FileNotFoundError: no-such-folder/users.parquet: there is no such file; ...large-logs... says what a log needs
    """
    home = Path(folder)
    if is_prepared(home):
        check_files(home, read_manifest(home))
        return
    parts = len(list(home.glob("part-*.parquet")))
    with Progress(parts, "partitions", "checking", progress) as shown:
        finish(home, {"engine": "another"}, advance=lambda share: shown.advance(share * parts))


def finish(
    folder: Path,
    about: Mapping[str, Any],
    *,
    dropped: Mapping[str, int] | None = None,
    notes: Sequence[str] = (),
    advance: Callable[[float], None] = lambda share: None,
) -> None:
    """Check the Parquet files of a folder, write the arrays, and the manifest last.

    Args:
        folder: of the files.
        about: what the manifest says of how they were made.
        dropped: rows of the log that were dropped, by reason.
        notes: what was guessed or corrected.
        advance: called now and then with the share of all events that was checked since.

    Raises:
        FileNotFoundError: there are no such files.
        ValueError: one breaks the contract; the message names it.
        OSError: a file cannot be written.
    """
    for name in ("users.parquet", "items.parquet", "part-*.parquet"):
        if not any(folder.glob(name)):
            says = f"{page('docs/large-logs.md')} says what a log needs"
            raise FileNotFoundError(f"{folder / name}: there is no such file; {says}")
    home = folder / MAPPED
    home.mkdir(exist_ok=True)
    files: dict[str, str] = {}
    before = _states(folder)
    with ParquetReader() as reader:
        users, items = (_write_ids(reader, folder, side, files) for side in ("user", "item"))
        wrong = items[1:] > items[:-1]
        _check_rows(folder / "items.parquet", wrong, items[1:], "counts that fall from code to code", 1)
        events = _Events(reader, folder, users, items, files)
        events.write(advance)
    for path in sorted(folder.glob("*.parquet")):
        files[path.name] = digest_of_file(path)
    after = _states(folder)
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            raise ValueError(f"{folder / name}: was changed while it was checked; is another program writing to it?")
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "events": int(users.sum()),
        "users": len(users),
        "items": len(items),
        "columns": events.kinds,
        "partitions": events.parts,
        "files": {name: [(folder / name).stat().st_size, digest] for name, digest in sorted(files.items())},
        "dropped": dict(dropped or {}),
        "notes": list(notes),
        "fingerprint": _fingerprint(folder, files),
        "made": dict(about),
    }
    with atomic_write(folder / MANIFEST) as file:
        file.write(json.dumps(manifest, indent=1, ensure_ascii=False).encode())


def _fingerprint(folder: Path, files: Mapping[str, str]) -> str:
    """That of the same log in memory, with the same codes."""
    ids = [f"{side}_ids.{name}" for side in ("user", "item") for name in ("keys", "text", "ends")]
    names = [f"{MAPPED}/{name}.npy" for name in ("users", "items", "timestamps", *ids)]
    arrays, maps = zip(*(map_array(folder / name) for name in names if name in files), strict=True)
    mapped = MappedEvents(np.zeros(1, dtype=np.int64), tuple(one for one in maps if one is not None))
    return fingerprint_of_arrays(arrays, mapped)


def _states(folder: Path) -> dict[str, tuple[int, int]]:
    """The sizes of the Parquet files of a folder, and when they were changed."""
    found = {path.name: path.stat() for path in folder.glob("*.parquet")}
    return {name: (state.st_size, state.st_mtime_ns) for name, state in found.items()}


def _write_ids(reader: ParquetReader, folder: Path, side: str, files: dict[str, str]) -> NDArray[np.int64]:
    """Check the ids of users or items and write them as arrays; return how many events each has."""
    path, home = folder / f"{side}s.parquet", folder / MAPPED
    schema = reader.schema(path)
    _check_schema(path, schema, {side: "id", "code": "int", "count": "int"})
    size = reader.rows(path)
    if size < (least := 2 if side == "item" else 1):
        raise DamagedFileError(f"{path}: expected at least {least} {side}s, got {size}")
    counts, place = np.empty(size, dtype=np.int64), 0
    for piece in reader.pieces(path, ("code", "count")):
        codes, number = piece["code"], piece["count"]
        _check_rows(path, codes != np.arange(place, place + len(codes)), codes, "codes 0, 1, 2, ...", place)
        _check_rows(path, number < 1, number, "counts above 0", place)
        counts[place : place + len(codes)] = number
        place += len(codes)
    if schema[side] == "VARCHAR":
        state = _write_text(reader, path, side, home / f"{side}_ids.text.npy", size, files)
    else:
        keys, place = np.empty(size, dtype=np.int64), 0
        for piece in reader.pieces(path, (side,)):
            values = piece[side]
            _check_rows(path, values > np.iinfo(np.int64).max, values, "signed integers of 64 bits", place)
            keys[place : place + len(values)] = values
            place += len(values)
        state = {"keys": keys}
    lookup = lookup_arrays(state)
    if repeated := count_repeated(state, lookup):
        raise DamagedFileError(f"{path}: expected {size:,} different {side}s, got {size - repeated:,}")
    arrays = {f"{side}_ids.{name}": array for name, array in {**state, **lookup}.items() if name != "text"}
    if side == "user":
        arrays["offsets"] = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts)])
    for name, array in arrays.items():
        with array_writer(home / f"{name}.npy", array.dtype, len(array)) as writer:
            writer.add(array)
        files[f"{MAPPED}/{name}.npy"] = writer.digest()
    return counts


def _write_text(
    reader: ParquetReader, path: Path, column: str, target: Path, size: int, files: dict[str, str]
) -> dict[str, NDArray[Any]]:
    """Write strings one after the other, and return them mapped, with their ends."""
    ends, place, done = np.empty(size, dtype=np.int64), 0, 0
    with array_writer(target, np.dtype(np.uint8), int(reader.value(path, f'sum(strlen("{column}"))'))) as writer:
        for piece in reader.pieces(path, (column,)):
            texts = [text.encode() for text in piece[column].tolist()]
            for row, text in enumerate(texts, place):
                if not text or text[-1] == 0:
                    raise DamagedFileError(
                        f"{path}: expected text that does not end in a zero, got {text!r} in row {row:,}"
                    )
            ends[place : place + len(texts)] = done + np.cumsum([len(text) for text in texts])
            place += len(texts)
            done = int(ends[place - 1])
            writer.add(np.frombuffer(b"".join(texts), dtype=np.uint8))
    files[f"{MAPPED}/{target.name}"] = writer.digest()
    return {"text": map_array(target)[0], "ends": ends}


class _Events:
    """Checks the events of all parts and writes them as arrays, a piece of a part at a time.

    Attributes:
        kinds: of each further column, "category" or "number".
        parts: of each part its file, rows and users.
    """

    def __init__(
        self,
        reader: ParquetReader,
        folder: Path,
        users: NDArray[np.int64],
        items: NDArray[np.int64],
        files: dict[str, str],
    ) -> None:
        self._reader, self._folder, self._files = reader, folder, files
        self._paths = sorted(folder.glob("part-*.parquet"))
        self._schema = reader.schema(self._paths[0])
        _check_schema(self._paths[0], self._schema, {"user": "int", "item": "int"})
        for path in self._paths[1:]:
            if (schema := reader.schema(path)) != self._schema:
                raise DamagedFileError(f"{path}: expected columns {self._schema}, as the first part has, got {schema}")
        self.kinds: dict[str, str] = {}
        self.parts: list[dict[str, Any]] = []
        self._users, self._left = users, items.copy()
        self._total = int(users.sum())
        self._targets = {"user": ("users", code_type(len(users))), "item": ("items", code_type(len(items)))}
        self._sizes = {"user": len(users), "item": len(items)}
        of_role = {"time": "timestamps", "label": "labels"}
        further = [name for name in self._schema if name not in ("user", "item", "time", "label")]
        for name, kind in self._schema.items():
            if name in further:
                number = further.index(name)
                values = self._values(name, f"column_{number}_ids")
                self.kinds[name] = "number" if values is None else "category"
                self._sizes |= {} if values is None else {name: values + 1}
                self._targets[name] = (f"column_{number}", _dtype(name, kind, self._paths[0], values))
            elif name in of_role:
                self._targets[name] = (of_role[name], _dtype(name, kind, self._paths[0], None))

    def write(self, advance: Callable[[float], None]) -> None:
        """Check and write all columns."""
        with contextlib.ExitStack() as stack:
            writers: dict[str, ArrayWriter] = {}
            for name, (target, dtype) in self._targets.items():
                path = self._folder / MAPPED / f"{target}.npy"
                writers[name] = stack.enter_context(array_writer(path, dtype, self._total))
            before = (-1, -math.inf)  # the user and the time of the row before
            ends = np.cumsum(self._users)
            for path in self._paths:
                first, begun = before[0] + 1, writers["user"].done
                for piece in self._reader.pieces(path, list(self._targets)):
                    start = writers["user"].done
                    before = self._check(path, piece, before, ends, start - begun, start)
                    for name, writer in writers.items():
                        writer.add(piece[name])
                    advance(len(piece["user"]) / max(self._total, 1))
                last, rows = before[0], writers["user"].done
                if rows > begun and rows != ends[last]:
                    raise DamagedFileError(
                        f"{path}: expected all events of user {last}, {ends[last] - rows:,} are missing"
                    )
                self.parts.append({"file": path.name, "rows": rows - begun, "users": last + 1 - first})
            if (done := writers["user"].done) != self._total:
                path, expected = self._folder / "part-*.parquet", f"{self._total:,} events, as users.parquet says"
                raise DamagedFileError(f"{path}: expected {expected}, got {done:,} in {len(self._paths)} parts")
            if (wrong := np.flatnonzero(self._left)).size:
                path, item = self._folder / "items.parquet", wrong[0]
                got = f"{-self._left[item]:+,} events of item {item} there"
                raise DamagedFileError(f"{path}: expected counts as the parts have, got {got}")
        for name, writer in writers.items():
            self._files[f"{MAPPED}/{self._targets[name][0]}.npy"] = writer.digest()

    def _check(
        self,
        path: Path,
        piece: Mapping[str, NDArray[Any]],
        before: tuple[int, float],
        ends: NDArray[np.int64],
        row: int,
        start: int,
    ) -> tuple[int, float]:
        """Check some rows of a part, of which `row` is the first there and `start` in the log; return the last one."""
        for name, size in self._sizes.items():
            values = piece[name]
            _check_rows(path, (values < 0) | (values >= size), values, f"codes of {name!r} in [0, {size})", row)
        users = piece["user"]
        rows = np.arange(start, start + len(users))
        # With counts that add up, a user of other rows than these is out of order, or has other events in another part.
        expected = np.searchsorted(ends, rows, side="right")
        _check_rows(path, users != expected, users, "users in order, with as many events as users.parquet says", row)
        times = piece.get("time")
        last = math.inf
        if times is not None and len(times):
            _check_rows(path, ~np.isfinite(times), times, "finite times in all rows", row)
            earlier = np.append(before[1] if users[0] == before[0] else -math.inf, times[:-1])
            same = np.append(users[0] == before[0], users[1:] == users[:-1])
            _check_rows(path, same & (times < earlier), times, "the events of a user in the order of time", row)
            last = times[-1].item()
        if (labels := piece.get("label")) is not None:
            _check_rows(path, labels != labels, labels, "labels in all rows", row)
        np.subtract(self._left, np.bincount(piece["item"], minlength=len(self._left)), out=self._left)
        return (int(users[-1]) if len(users) else before[0]), last

    def _values(self, name: str, target: str) -> int | None:
        """Write the values of a column of categories; return how many there are, None for a column of numbers."""
        path = self._folder / f"column-{name}.parquet"
        if Path(path.name).name != f"column-{name}.parquet" or not path.exists():
            return None
        schema = self._reader.schema(path)
        _check_schema(path, schema, {"value": "id", "code": "int"})
        found = [(piece["value"], piece["code"]) for piece in self._reader.pieces(path, ("value", "code"))]
        found = found or [(np.zeros(0, dtype=object), np.zeros(0, dtype=np.int64))]
        values, codes = (np.concatenate([pair[side] for pair in found]) for side in (0, 1))
        _check_rows(path, codes != np.arange(1, len(codes) + 1), codes, "codes 1, 2, 3, ...", 0)
        with parsing(path):
            state = Identifiers(values.tolist()).state()
        for part, array in state.items():
            with array_writer(self._folder / MAPPED / f"{target}.{part}.npy", array.dtype, len(array)) as writer:
                writer.add(array)
            self._files[f"{MAPPED}/{target}.{part}.npy"] = writer.digest()
        return len(codes)


_TYPES = {
    **{"TINYINT": "i1", "SMALLINT": "i2", "INTEGER": "i4", "BIGINT": "i8", "FLOAT": "f4", "DOUBLE": "f8"},
    **{"UTINYINT": "u1", "USMALLINT": "u2", "UINTEGER": "u4", "UBIGINT": "u8"},
}


def _dtype(name: str, kind: str, path: Path, values: int | None) -> "np.dtype[Any]":
    """How a column is kept."""
    whole = _is_whole(kind)
    if not whole and kind not in ("DOUBLE", "FLOAT"):
        raise DamagedFileError(f"{path}: expected numbers in the column {name!r}, got {kind}")
    if name == "label":
        return np.dtype(np.float32)
    if values is not None:
        return code_type(values + 1)
    if name == "time":
        return np.dtype(np.int64 if whole else np.float64)
    return np.dtype(_TYPES[kind])


def _is_whole(kind: str) -> bool:
    return kind in _TYPES and kind not in ("DOUBLE", "FLOAT")


def _check_schema(path: Path, schema: Mapping[str, str], expected: Mapping[str, str]) -> None:
    for name, kind in expected.items():
        if name not in schema:
            raise DamagedFileError(f"{path}: expected a column {name!r}, got {', '.join(map(repr, schema))}")
        if not (_is_whole(schema[name]) or (kind == "id" and schema[name] == "VARCHAR")):
            shown = "integers or text" if kind == "id" else "integers"
            raise DamagedFileError(f"{path}: expected {shown} in the column {name!r}, got {schema[name]}")


def _check_rows(path: Path, wrong: NDArray[np.bool_], values: NDArray[Any], expected: str, first: int) -> None:
    if wrong.any():
        at = int(wrong.argmax())
        raise DamagedFileError(f"{path}: expected {expected}, got {values[at].item()} in row {first + at:,}")
