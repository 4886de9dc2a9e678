"""Damage: of bytes, of JSON, and of arrays, with digests left as they are or made right again."""

import gzip
import hashlib
import io
import json
import random
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
    elif data[:2] == b"\x1f\x8b" and rng.random() < 0.5:
        changed, told = gzip.compress(_bytes(gzip.decompress(data), rng), 1), False
    else:
        changed = _bytes(data, rng)
        told = path.suffix == ".safetensors" and _arrays_differ(data, changed)
    path.write_bytes(changed)
    return told and changed != data


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
    end = data.index(b"\n") + 1
    if rng.random() < 0.5:
        return data[:10] + _bytes(data[10:end], rng)[: end - 10].ljust(end - 10) + data[end:], False
    with np.errstate(all="ignore"):
        array = _array(np.load(io.BytesIO(data)), rng)
    file = io.BytesIO()
    np.save(file, array)
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
    return file.getvalue(), told


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
