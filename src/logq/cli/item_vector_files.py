"""Vectors of items that were made elsewhere, and the files that hold them."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from logq.cli.feature_files import is_parquet, named
from logq.cli.terminal.errors import BadInputError
from logq.cli.text_reading import check_input_file

if TYPE_CHECKING:
    from logq.logs import Features, Identifiers

__all__ = ["NAME", "read_item_vectors", "typed_keys", "vectors_by_id"]

NAME = "vector"
"""What the feature is called that --item-vectors gives."""

_IDS = (".ids.txt", ".ids.npy")


def read_item_vectors(
    path: Path | None, ids: "Identifiers", tell: Callable[[str], None] | None = None
) -> "Features | None":
    """Read vectors of items that were computed elsewhere; None without a file.

    Args:
        path: vectors.npy with vectors.ids.txt or vectors.ids.npy beside it, a .npz or .safetensors file of `ids` and
            `vectors`, a Parquet file with ids in its first column and vectors in another, or a file of word2vec,
            GloVe, fastText or logq's own whose words are ids.
        ids: of the items.
        tell: gets a line for what is missing, or left out.

    Raises:
        BadInputError: the file is not there, or cannot be read.
    """
    if path is None:
        return None
    from logq.logs.features import Features

    with named(path):
        keys, vectors = vectors_by_id(path, ids)
        found = Features.from_vectors(keys, vectors, ids, name=NAME)
    known = int(found.dense[NAME].any(axis=1).sum())
    if not known:
        raise BadInputError(f"{path}: expected vectors of items of the log, found nothing but zeros")
    if tell is not None and (known < len(found) or found.dropped):
        lost = "".join(f", left out {count:,} ({reason})" for reason, count in found.dropped.items())
        tell(f"{path}: has vectors for {known:,} of {len(found):,} in the log{lost}")
    return found


def vectors_by_id(path: Path, ids: "Identifiers") -> tuple[Any, Any]:
    """Read a file of vectors: the ids (m,), of the type of those of the log, and the vectors (m, W).

    Args:
        path: as for read_item_vectors.
        ids: of the items of the log.

    Raises:
        BadInputError, ValueError: it cannot be read.
    """
    import numpy as np

    if not path.is_dir():
        check_input_file(path, "vectors of items")
    if path.suffix == ".npy":
        return _keys_beside(path, ids), np.load(path, mmap_mode="r", allow_pickle=False)
    if path.suffix in (".npz", ".safetensors"):
        arrays = _arrays(path)
        if "vectors" in arrays and "ids" in arrays:
            return typed_keys(arrays["ids"], ids, path), arrays["vectors"]
        if path.suffix == ".npz" or ("vectors" in arrays and _ids_file(path) is not None):
            if "vectors" not in arrays:
                raise ValueError(f"{path}: expected arrays called ids and vectors, found {', '.join(arrays) or 'none'}")
            return _keys_beside(path, ids), arrays["vectors"]
    if is_parquet(path):
        return _parquet(path, ids)
    from logq.vectors.keyed_vectors import KeyedVectors

    found = KeyedVectors.load(path)
    return typed_keys(found.index_to_key, ids, path), found.vectors


def _ids_file(path: Path) -> Path | None:
    return next((file for ending in _IDS if (file := path.with_suffix(ending)).exists()), None)


def _keys_beside(path: Path, ids: "Identifiers") -> Any:
    import numpy as np

    file = _ids_file(path)
    if file is None:
        names = " or ".join(path.with_suffix(ending).name for ending in _IDS)
        raise ValueError(f"{path}: expected the ids of its rows, one per line, in {names} beside it")
    if file.suffix == ".npy":
        return typed_keys(np.load(file, allow_pickle=False), ids, file)
    return typed_keys(file.read_text(encoding="utf-8").splitlines(), ids, file)


def _arrays(path: Path) -> dict[str, Any]:
    import numpy as np

    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys() if name in ("ids", "vectors")}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path}: cannot be read as safetensors ({error})") from None


def _parquet(path: Path, ids: "Identifiers") -> tuple[Any, Any]:
    import numpy as np

    from logq.logs.log_files import import_polars
    from logq.logs.vector_values import vectors_in

    frame: Any = import_polars("Parquet files").read_parquet(path)
    for name in frame.columns[1:]:
        column = frame[name]
        kind = str(column.dtype)
        if kind.startswith("Array") and column.null_count() == 0 and "Float" in kind:
            return typed_keys(frame[frame.columns[0]], ids, path), np.asarray(column.to_numpy())
        vectors = vectors_in(column, name)
        if vectors is not None:
            return typed_keys(frame[frame.columns[0]], ids, path), vectors
    raise ValueError(f"{path}: expected ids in the first column and lists of numbers in another, got {frame.columns}")


def typed_keys(keys: Any, ids: "Identifiers", path: Path) -> Any:
    """Ids of the type that those of the log have.

    Args:
        keys: a list, an array or a series.
        ids: those of the log.
        path: where they are from, for the message.

    Raises:
        ValueError: they are not integers, and those of the log are.

    Example:
        >>> from logq.logs import Identifiers
        >>> typed_keys(["7", "5"], Identifiers([5, 6]), Path("ids.txt")).tolist()
        [7, 5]
    """
    import numpy as np

    array: Any = keys.to_numpy() if hasattr(keys, "to_numpy") else np.asarray(keys)
    if ids.kind == "str":
        return array.astype(str)
    try:
        return array.astype(np.int64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: expected integers as ids, as the log has ({error})") from None
