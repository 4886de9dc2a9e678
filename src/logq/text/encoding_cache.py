"""A cache of encodings: one is found again as long as its files and settings are the same."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from logq._files import atomic_write
from logq.text.id_file import IdFile, is_in_use
from logq.text.scanning import END_OF_LINE
from logq.text.text_files import TextFile
from logq.text.vocabulary import Vocabulary

__all__ = ["Encoding", "EncodingCache", "remove_encodings", "remove_private_leftovers"]

PRIVATE = "logq-ids-"
"""Prefix of the names of private folders."""

_FORMAT = 2  # to be raised when ids or their record change their meaning


@dataclass(frozen=True)
class Encoding:
    """The contents of a file of ids.

    Attributes:
        vocabulary: the words that the ids stand for.
        counts: (V,) how often each word occurs.
        num_ids: entries of the file, including the ends of lines.
        num_sentences: ends of lines.
        raw_words: words read, including dropped ones.
        num_types: different words read; None where that was not counted.
        invalid_lines: lines with bytes that are not UTF-8.
        long_words: words left out for their length.
    """

    vocabulary: Vocabulary
    counts: NDArray[np.int64]
    num_ids: int
    num_sentences: int
    raw_words: int
    num_types: int | None
    invalid_lines: int
    long_words: int


_READ = 1 << 20  # ids read at a time
_NUMBERS = ("num_ids", "num_sentences", "raw_words", "num_types", "invalid_lines", "long_words")


class EncodingCache:
    """A folder of encodings: for each a file of ids, and a JSON file that describes it and is written last.

    Args:
        folder: the folder; created if it is missing.
        files: what is encoded.
        settings: what else the ids depend on; must be JSON.
        vocabulary: the one to encode with; None where it is made from the text.

    Raises:
        OSError: the folder cannot be created.
    """

    def __init__(
        self, folder: Path, files: Sequence[TextFile], settings: dict[str, Any], vocabulary: Vocabulary | None
    ) -> None:
        self.folder = folder
        self._vocabulary = vocabulary
        fixed = None if vocabulary is None else _fingerprint(vocabulary.index_to_key)
        what = {**settings, "format": _FORMAT, "byte_order": sys.byteorder, "vocabulary": fixed}
        what["paths"] = [os.path.abspath(file.name) for file in files]
        self.key = _fingerprint(what)[:16]
        self._source = {**what, "states": [[file.size, file.modified] for file in files]}
        self._json = folder / f"{self.key}.json"
        folder.mkdir(parents=True, exist_ok=True)

    def load(self) -> tuple[Encoding, IdFile] | None:
        """Return the encoding of an earlier run; None if there is none that is whole and of these files."""
        record = self._record(self._json)
        if record is None or record.get("source") != self._source:
            return None
        ids = None
        try:
            encoding = self._encoding(record)
            ids = IdFile(self.folder / Path(record["ids"]).name)
            if ids.num_bytes == 4 * encoding.num_ids and _counted(ids, encoding):
                return encoding, ids
        except Exception:
            pass  # a record that does not fit, for whatever reason, is as good as none: the text is encoded again
        if ids is not None:
            ids.close()
        return None

    def save(self, encoding: Encoding, ids: IdFile) -> None:
        """Record an encoding, whose ids are on disk already, so that it is found from now on.

        Raises:
            OSError: the record cannot be written.
        """
        record: dict[str, Any] = {name: getattr(encoding, name) for name in _NUMBERS}
        record |= {"source": self._source, "ids": ids.path.name, "counts": encoding.counts.tolist()}
        if self._vocabulary is None:
            record["words"] = encoding.vocabulary.index_to_key
        with atomic_write(self._json) as file:
            file.write(json.dumps({"checksum": _fingerprint(record), "record": record}).encode())
        self.remove_leftovers()

    def remove_leftovers(self) -> None:
        """Remove files of ids that no record names and no running program has open."""
        for path in self.folder.glob("*-*.ids"):
            # The record is read after the lock is tried: another program may just have finished.
            if not is_in_use(path) and not self._is_named(path):
                with contextlib.suppress(OSError):
                    path.unlink()
        for path in self.folder.glob(f".{self._json.name}.*.tmp"):
            if _age(path) > 3600:
                with contextlib.suppress(OSError):
                    path.unlink()

    def _is_named(self, path: Path) -> bool:
        record = self._record(path.with_name(f"{path.name.split('-')[0]}.json"))
        return record is not None and record.get("ids") == path.name

    def _record(self, path: Path) -> dict[str, Any] | None:
        try:
            whole = json.loads(path.read_bytes())
            record = whole["record"]
            return record if whole["checksum"] == _fingerprint(record) and isinstance(record, dict) else None
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None

    def _encoding(self, record: dict[str, Any]) -> Encoding:
        counts = np.array(record["counts"], np.int64)
        vocabulary = self._vocabulary
        if vocabulary is None:
            vocabulary = Vocabulary(record["words"], counts, raw_words=record["raw_words"])
        return Encoding(vocabulary, counts, **{name: record[name] for name in _NUMBERS})


def _counted(ids: IdFile, encoding: Encoding) -> bool:
    """Whether words and ends of lines occur as often in the file as its record says: the kernels trust its ids."""
    size = len(encoding.vocabulary)
    if encoding.counts.shape != (size,):
        return False
    found = np.zeros(size + 1, dtype=np.int64)
    for begin in range(0, encoding.num_ids, _READ):
        part = ids.read(begin, min(begin + _READ, encoding.num_ids))
        if len(part) and not END_OF_LINE <= part.min() <= part.max() < size:
            return False
        found += np.bincount(part - END_OF_LINE, minlength=size + 1)
    return int(found[0]) == encoding.num_sentences and np.array_equal(found[1:], encoding.counts)


def remove_encodings(folder: Path) -> None:
    """Remove the encodings in a folder, and the folder if nothing else is in it.

    Example:
        >>> remove_encodings(Path("nowhere"))
    """
    for path in [*folder.glob("*-*.ids"), *folder.glob("*.json")]:
        with contextlib.suppress(OSError):
            if re.fullmatch(r"([0-9a-f]{16}(-[0-9a-f]{12}\.ids|\.json))|once-[0-9a-f]{12}\.ids", path.name):
                path.unlink()
    with contextlib.suppress(OSError):
        folder.rmdir()


def remove_private_leftovers() -> None:
    """Remove the private folders of programs that were killed: those of this user that no program has open.

    Example:
        >>> remove_private_leftovers()
    """
    for folder in Path(tempfile.gettempdir()).glob(f"{PRIVATE}*"):
        with contextlib.suppress(OSError):
            mine = sys.platform == "win32" or folder.stat().st_uid == os.getuid()
            # A folder is empty for a moment after it is created.
            if mine and _age(folder) > 60 and not any(map(is_in_use, folder.iterdir())):
                shutil.rmtree(folder)


def _age(path: Path) -> float:
    """Return the seconds since a file was modified; 0 if it is gone."""
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0


def _fingerprint(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
