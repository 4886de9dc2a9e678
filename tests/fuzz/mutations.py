"""Damage: of bytes, of JSON, and of arrays, with digests left as they are or made right again."""

import bz2
import gzip
import hashlib
import io
import json
import lzma
import random
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

from logq._model_file import DIGESTS, digest_of, write_tensors

__all__ = ["damage"]

NUMBERS = (
    0,
    1,
    -1,
    2,
    127,
    128,
    255,
    256,
    1 << 15,
    (1 << 31) - 1,
    1 << 31,
    -(1 << 31),
    (1 << 63) - 1,
    1 << 63,
    -(1 << 63),
)
VALUES: tuple[Any, ...] = (
    *NUMBERS,
    None,
    True,
    "",
    "x",
    "\x1b[31m",
    1e308,
    float("nan"),
    float("inf"),
    10**40,
    [],
    {},
    [0],
)


def damage(folder: Path, patterns: tuple[str, ...], rng: random.Random) -> bool:
    """Damage one of the files in a folder.

    Returns:
        Whether digests still say what the file was, so that it must not be read as if it were whole.
    """
    files = sorted(path for pattern in patterns for path in folder.glob(pattern) if path.is_file())
    path = rng.choice(files)
    data = path.read_bytes()
    if path.suffix == ".safetensors" and rng.random() < 0.7:
        changed, told = _tensors(data, rng)
    elif path.suffix == ".json" and rng.random() < 0.7:
        changed, told = _json_file(data, rng), False
    elif path.suffix == ".npy" and rng.random() < 0.5:
        changed, told = _npy(path, data, rng)
    elif path.suffix in _PACKED and rng.random() < 0.5:
        unpack, pack = _PACKED[path.suffix]
        changed, told = pack(_text(unpack(data), rng)), False
    elif path.suffix == ".npz" and rng.random() < 0.7:
        changed, told = _npz(data, rng), False
    elif path.suffix == ".parquet" and rng.random() < 0.4:
        try:
            changed, told = _parquet(data, rng), False
        except Exception:  # polars cannot convert each type into each
            changed, told = _bytes(data, rng), False
    elif path.suffix in _TEXTS and rng.random() < 0.5:
        changed, told = _text(data, rng), False
    else:
        changed = _bytes(data, rng)
        told = path.suffix == ".safetensors" and _arrays_differ(data, changed)
    path.write_bytes(changed)
    return told and changed != data


def _unzip(data: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        return file.read(file.namelist()[0])


def _zip(data: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("inside.txt", data)
    return made.getvalue()


def _unzstd(data: bytes) -> bytes:
    import zstandard

    return zstandard.ZstdDecompressor().decompress(data)


def _zstd(data: bytes) -> bytes:
    import zstandard

    return zstandard.ZstdCompressor(level=1).compress(data)


_PACKED: dict[str, tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]] = {
    ".gz": (gzip.decompress, lambda data: gzip.compress(data, 1)),
    ".bz2": (bz2.decompress, lambda data: bz2.compress(data, 1)),
    ".xz": (lzma.decompress, lambda data: lzma.compress(data, preset=0)),
    ".zst": (_unzstd, _zstd),
    ".zip": (_unzip, _zip),
}
"""How files of an ending are unpacked, and packed again, so that what is damaged is inside."""

_TEXTS = (".txt", ".csv", ".tsv", ".arpa", ".toml")
_FIELDS: tuple[bytes, ...] = (
    *(str(number).encode() for number in NUMBERS),
    *(b"nan", b"-inf", b"1e999", b"1e-999", b"9" * 400, b"0x1f", b"1_0", b"2024-02-30", b"99999-01-01", b"1/1/1"),
    *(b"", b" ", b'"', b'"""', b"\x00", b"\xff", b"\xef\xbb\xbf", "\u202e".encode(), b"\x1b[31m", b"x" * 3000, b"\\N"),
)


def _text(data: bytes, rng: random.Random) -> bytes:
    """Change a field of a text, or a whole line; bytes one time in four."""
    how = rng.random()
    if how < 0.25:
        return _bytes(data, rng)
    if how < 0.5:
        lines = data.splitlines(keepends=True)
        at = rng.randrange(len(lines) + 1)
        lines[at:at] = rng.choice(([b"\n"], lines[:1], lines[-1:], [b"\r"], [b" \t\n"], [rng.choice(_FIELDS) + b"\n"]))
        if rng.random() < 0.5:
            del lines[rng.randrange(len(lines))]
        return b"".join(lines)
    fields = re.split(rb"([\s,=\"\[\]]+)", data)  # those at even places; others are between them
    for _ in range(rng.choice((1, 1, 2, 9))):
        fields[2 * rng.randrange((len(fields) + 1) // 2)] = rng.choice(_FIELDS)
    return b"".join(fields)


def _npz(data: bytes, rng: random.Random) -> bytes:
    """Change an array of a .npz file, its header or its bytes."""
    with np.load(io.BytesIO(data)) as file:
        members = {f"{name}.npy": _npy_bytes(file[name]) for name in file.files}
    name = rng.choice(sorted(members))
    content, how = members[name], rng.random()
    if how < 0.3:
        members[name] = _bytes(content, rng)
    elif how < 0.6:
        members[name] = _npy_header(content, rng)
    else:
        with np.errstate(all="ignore"):
            members[name] = _npy_bytes(_array(np.load(io.BytesIO(content)), rng))
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return made.getvalue()


def _npy_bytes(array: np.ndarray[Any, Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def _npy_header(data: bytes, rng: random.Random) -> bytes:
    end = data.index(b"\n") + 1
    change = _text if rng.random() < 0.5 else _bytes
    return data[:10] + change(data[10:end], rng)[: end - 10].ljust(end - 10) + data[end:]


def _parquet(data: bytes, rng: random.Random) -> bytes:
    """Give a column another type, missing values or another name, or lose rows."""
    import polars

    frame = polars.read_parquet(io.BytesIO(data))
    name, how = rng.choice(frame.columns), rng.randrange(6)
    if how == 0:
        kinds = (polars.String, polars.Float32, polars.Int8, polars.Boolean, polars.Binary, polars.Date, polars.Null)
        frame = frame.with_columns(polars.col(name).cast(rng.choice(kinds), strict=False))
    elif how == 1:
        value = rng.choice((None, 1e308, float("nan"), -1, 1 << 62, "x"))
        rows = frame.get_column(name).to_list()
        rows[rng.randrange(len(rows))] = value
        frame = frame.with_columns(polars.Series(name, rows, strict=False))
    elif how == 2:
        frame = frame.rename({name: rng.choice(("", "user_id", "x" * 3000, "\x1b[31m"))})
    elif how == 3:
        frame = frame.drop(name)
    elif how == 4:
        frame = frame.head(rng.randrange(3))
    else:
        frame = frame.with_columns(polars.col(name).cast(polars.String).str.split("").alias(name))
    made = io.BytesIO()
    frame.write_parquet(made, compression=rng.choice(("uncompressed", "zstd", "gzip", "lz4")))
    return made.getvalue()


def _bytes(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        size = len(changed)
        if not size:
            break
        at = rng.randrange(size) if rng.random() < 0.7 else min(size - 1, rng.randrange(1 + min(size, 600)))
        how = rng.randrange(8)
        if how == 0:
            changed[at] ^= 1 << rng.randrange(8)
        elif how == 1:
            changed[at] = rng.randrange(256)
        elif how == 2:
            width = rng.choice((1, 2, 4, 8))
            at -= at % width
            number = rng.choice(NUMBERS) & ((1 << 8 * width) - 1)
            changed[at : at + width] = number.to_bytes(width, "little")
        elif how == 3:
            del changed[at:]
        elif how == 4:
            del changed[at : at + rng.randrange(1, 40)]
        elif how == 5:
            changed[at:at] = changed[at : at + rng.randrange(1, 40)]
        elif how == 6:
            changed[at:at] = rng.choice(
                (b"9" * 30, b"[" * 3000, b'{"a":' * 3000, b"\x00" * 9, b"\xff\xfe", b"-", b"\n", b" ", b'"')
            )
        else:
            other = rng.randrange(size)
            changed[at : at + 8] = changed[other : other + 8]
    return bytes(changed)


def _value(rng: random.Random) -> Any:
    if rng.random() < 0.03:
        deep: Any = 0
        for _ in range(300):
            deep = [deep]
        return deep
    return rng.choice(VALUES)


def _json(value: Any, rng: random.Random) -> Any:
    """Change one place in what JSON holds."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(list(value))
        how = rng.random()
        if how < 0.1:
            value.pop(key)
        elif how < 0.15:
            value[f"{key}x"] = value.pop(key)
        else:
            value[key] = _json(value[key], rng)
        return value
    if isinstance(value, list) and value and rng.random() < 0.9:
        at = rng.randrange(len(value))
        how = rng.random()
        if how < 0.1:
            del value[at]
        elif how < 0.2:
            value.append(value[at])
        else:
            value[at] = _json(value[at], rng)
        return value
    if isinstance(value, int) and not isinstance(value, bool) and rng.random() < 0.5:
        return value + rng.choice((-1, 1, 2, 1000, -1000))
    return _value(rng)


def _dumped(value: Any, rng: random.Random) -> str:
    text = json.dumps(value)
    if rng.random() < 0.05:
        place = rng.randrange(len(text) + 1)
        text = text[:place] + "[" * 100_000 + text[place:]
    return text


def _json_file(data: bytes, rng: random.Random) -> bytes:
    value = json.loads(data)
    if isinstance(value, dict) and "checksum" in value and rng.random() < 0.8:
        record = _json(value["record"], rng)
        text = json.dumps(record, sort_keys=True).encode()
        return json.dumps({"checksum": hashlib.sha256(text).hexdigest(), "record": record}).encode()
    return _dumped(_json(value, rng), rng).encode()


def _array(array: np.ndarray[Any, Any], rng: random.Random) -> np.ndarray[Any, Any]:
    array = array.copy()
    how = rng.randrange(10)
    if how < 6 and array.size:
        flat = array.reshape(-1)
        at = rng.randrange(array.size)
        if array.dtype.kind == "f":
            flat[at] = rng.choice((0.0, 1.0, -1.0, np.nan, np.inf, 3e38, 1e-40, float(flat[at]) + 0.5))
        elif array.dtype == np.uint8 and array.size > 64:
            return np.frombuffer(_bytes(array.tobytes(), rng), dtype=np.uint8)
        else:
            low, high = (0, 1) if array.dtype.kind == "b" else (np.iinfo(array.dtype).min, np.iinfo(array.dtype).max)
            flat[at] = min(max(rng.choice((*NUMBERS, int(flat[at]) + 1, int(flat[at]) - 1)), low), high)
        return array
    if how == 6:
        return array[: len(array) // 2] if array.ndim else array
    if how == 7:
        return np.concatenate([array, array[:1]]) if array.ndim else array
    if how == 8:
        return array.astype(rng.choice(("float32", "float64", "int64", "int32", "uint8", "bool", "float16")))
    return array.reshape(rng.choice(((-1,), (1, -1), (-1, 1)))) if array.size else array


def _tensors(data: bytes, rng: random.Random) -> tuple[bytes, bool]:
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    metadata = header["__metadata__"]
    if rng.random() < 0.15:  # of the container itself
        changed = _dumped(_json(header, rng), rng).encode()
        return len(changed).to_bytes(8, "little") + changed + data[8 + size :], False
    with np.errstate(all="ignore"):
        arrays = dict(load(data))
        described = next((name for name in ("logq", "about") if name in metadata), None)
        texts = {name: text for name, text in metadata.items() if name != DIGESTS}
        changes_text = described is not None and rng.random() < 0.4
        if changes_text:
            assert described is not None
            texts[described] = _dumped(_json(json.loads(texts[described]), rng), rng)
        else:
            name = rng.choice(sorted(arrays))
            how = rng.random()
            if how < 0.05:
                arrays.pop(name)
            elif how < 0.1:
                arrays[f"{name}x"] = arrays.pop(name)
            else:
                arrays[name] = _array(arrays[name], rng)
    if described == "logq" and not changes_text and rng.random() < 0.5:  # the description goes with it
        told = json.loads(texts["logq"])
        told["tensors"] = {name: [array.dtype.name, list(array.shape)] for name, array in arrays.items()}
        texts["logq"] = json.dumps(told)
    file = io.BytesIO()
    right = rng.random() < 0.7
    write_tensors(file, arrays, texts)
    if right:
        return file.getvalue(), False
    again = file.getvalue()
    size = int.from_bytes(again[:8], "little")
    header = json.loads(again[8 : 8 + size])
    header["__metadata__"][DIGESTS] = metadata[DIGESTS]
    text = json.dumps(header).encode()
    differs = {name: digest_of(array) for name, array in arrays.items()} != {
        name: value for name, value in json.loads(metadata[DIGESTS]).items() if name
    }
    return len(text).to_bytes(8, "little") + text + again[8 + size :], differs


def _npy(path: Path, data: bytes, rng: random.Random) -> tuple[bytes, bool]:
    if rng.random() < 0.5:
        return _npy_header(data, rng), False
    with np.errstate(all="ignore"):
        array = _array(np.load(io.BytesIO(data)), rng)
    before = np.load(io.BytesIO(data))
    told = digest_of(before) != digest_of(array)
    if rng.random() < 0.7:  # what the folder says of it is made right
        for header in path.parent.glob("*.json"):
            text = json.loads(header.read_bytes())
            if path.stem in text.get("arrays", {}):
                text["arrays"][path.stem] = [array.dtype.str, list(array.shape)]
                text["digests"][path.stem] = digest_of(array)
                header.write_text(json.dumps(text))
                told = False
    return _npy_bytes(array), told


def _arrays_differ(before: bytes, after: bytes) -> bool:
    """Whether changed bytes are still a file of tensors, but of other ones, with the digests of the first."""
    try:
        size = int.from_bytes(after[:8], "little")
        metadata = json.loads(after[8 : 8 + size])["__metadata__"]
        old, new = load(before), load(after)
        digests = json.loads(metadata[DIGESTS])
    except (SafetensorError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return False
    size = int.from_bytes(before[:8], "little")
    if digests != json.loads(json.loads(before[8 : 8 + size])["__metadata__"][DIGESTS]):
        return False
    return {name: digest_of(array) for name, array in old.items()} != {
        name: digest_of(array) for name, array in new.items()
    }
