"""The softmax that a model ends in, read from folders and files of arrays for `logq diagnose`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from logq._compression import check_expansion
from logq._files import parsing
from logq.cli.terminal.errors import BadInputError
from logq.folders.folder_contents import check_folder
from logq.folders.recommender_folders import load_language_model, load_recommender

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

__all__ = ["Classifier", "read_classifier"]

_MOST_TOKENS = 20_000
_ARRAYS = ("inputs", "weight", "bias", "counts", "targets")


class Classifier(NamedTuple):
    """A softmax that a model ends in.

    Args:
        inputs: (B, D) queries.
        weight: (C, D) class weights.
        bias: (C,) or None.
        targets: (B,) the true class of each query, or None.
        counts: (C,) how often each class occurs, or None.
        rows: what a query is, in the plural: "users".
        classes: what a class is, in the plural: "items".
    """

    inputs: "Tensor"
    weight: "Tensor"
    bias: "Tensor | None"
    targets: "Tensor | None"
    counts: "np.ndarray[Any, Any] | None"
    rows: str = "rows"
    classes: str = "classes"


def read_classifier(
    model: Path, text: str | None, *, encoding: str | None = None, rows: int, device: str
) -> Classifier:
    """Read the softmax that a model ends in.

    Args:
        model: a folder of `logq train`, or a file of arrays.
        text: for a language model, what its queries are made of.
        encoding: of the text; None recognizes it.
        rows: how many queries, at most: evenly spread over all of them.
        device: "cpu", "cuda", ...

    Raises:
        BadInputError: there is no such model, or it has no class weights; the message says what to do.
    """
    found = check_folder(model, "recommender", "language model")
    speaks = found is not None and found.family == "language model"
    if text is not None and not speaks:
        raise BadInputError("TEXT: only language models read one; leave it out for this model")
    if model.is_file():
        return read_arrays(model, rows=rows, device=device)
    if speaks:
        if text is None:
            raise BadInputError(f"{model}: this is a language model; give a TEXT after it, to take queries from")
        return read_language_model(model, text, encoding, rows=rows, device=device)
    return read_recommender(model, rows=rows, device=device)


def read_arrays(path: Path, *, rows: int, device: str) -> Classifier:
    """From a .npz or .safetensors file with `inputs` (B, D) and `weight` (C, D).

    Beside these it may have `bias` (C,), `counts` (C,) and `targets` (B,).
    """
    import numpy as np
    import torch

    ending = path.suffix.lower()
    if ending not in (".npz", ".safetensors"):
        raise BadInputError(f"{path}: expected a folder of `logq train`, or a .npz or .safetensors file of arrays")
    with parsing(path):
        if ending == ".npz":
            # Opened here: np.load leaves a file open that it can't read.
            with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                if isinstance(file, np.ndarray):
                    raise TypeError("it is a single array, expected a .npz file with several")
                check_expansion(str(path), path.stat().st_size, sum(part.file_size for part in file.zip.infolist()))
                found = {name: torch.from_numpy(np.ascontiguousarray(file[name])) for name in _ARRAYS if name in file}
        else:
            found = _tensors(path)
    missing = [name for name in ("inputs", "weight") if name not in found]
    if missing:
        raise BadInputError(f"{path}: expected arrays 'inputs' (B, D) and 'weight' (C, D), there is no {missing[0]!r}")
    for name, array in found.items():
        wanted = 2 if name in ("inputs", "weight") else 1
        if array.dim() != wanted:
            raise BadInputError(f"{path}: expected {name!r} with {wanted} dimensions, got shape {tuple(array.shape)}")
    (size, width), sizes = found["inputs"].shape, found["weight"].shape
    for name, expected in (
        ("weight", (sizes[0], width)),
        ("bias", sizes[:1]),
        ("counts", sizes[:1]),
        ("targets", (size,)),
    ):
        if name in found and tuple(found[name].shape) != tuple(expected):
            got = tuple(found[name].shape)
            raise BadInputError(f"{path}: expected {name!r} of shape {tuple(expected)} beside the others, got {got}")
    some = _spread(size, rows)
    counts = found.get("counts")
    targets = found.get("targets")
    return Classifier(
        _float(found["inputs"][some]).to(device),
        _float(found["weight"]).to(device),
        _float(found["bias"]).to(device) if "bias" in found else None,
        None if targets is None else targets[some].long().to(device),
        None if counts is None else counts.double().numpy(),
    )


def read_recommender(folder: Path, *, rows: int, device: str) -> Classifier:
    """From a folder of `logq train sasrec` and others: users without their last event, which is the target."""
    import numpy as np
    import torch

    model = load_recommender(folder, device=device)
    name = type(model).__name__
    try:
        weight = model.search_vectors
    except (ValueError, NotImplementedError) as error:
        raise BadInputError(f"{folder}: a {name} has no vectors of items, so there is nothing to sample") from error
    seen = model.known
    users = np.flatnonzero(np.diff(seen.offsets) >= 2)
    if not len(users):
        raise BadInputError(f"{folder}: expected a user with two events or more, to make a query from the first ones")
    users = users[_spread(len(users), rows)]
    begins, ends = seen.offsets[users], seen.offsets[users + 1] - 1
    histories = [model.item_ids[seen.items[begin:end]].tolist() for begin, end in zip(begins, ends, strict=True)]
    targets = seen.items[ends]
    queries = model.query_vectors(model.user_ids[users], histories=histories)
    if queries.ndim == 3:  # several interests: a user is asked about an item with the one that is nearest
        nearest = np.einsum("bkd,bd->bk", queries, weight[targets]).argmax(axis=1)
        queries = queries[np.arange(len(queries)), nearest]
    bias = None
    if weight.shape[1] == model.item_vectors.shape[1] + 1 and (queries[:, -1] == 1).all():
        queries, weight, bias = queries[:, :-1], weight[:, :-1], weight[:, -1]
    tensors = [
        None if array is None else torch.from_numpy(np.ascontiguousarray(array)) for array in (queries, weight, bias)
    ]
    inputs, table, biases = [None if tensor is None else tensor.to(device) for tensor in tensors]
    assert inputs is not None
    assert table is not None
    return Classifier(
        inputs, table, biases, torch.from_numpy(targets).to(device), seen.item_counts(), rows="users", classes="items"
    )


def read_language_model(folder: Path, text: str, encoding: str | None, *, rows: int, device: str) -> Classifier:
    """From a folder of `logq train lm`: the positions of a text, and the words there."""
    from logq.language_models.neural_language_model import NeuralLanguageModel
    from logq.language_models.output_layers import TableReader

    model = load_language_model(folder, device=device)
    if not isinstance(model, NeuralLanguageModel):
        raise BadInputError(f"{folder}: {type(model).__name__} has no vectors of words, so there is nothing to sample")
    reader = model.reader
    if not isinstance(reader, TableReader):
        raise BadInputError(
            f"{folder}: this model was trained with {model.objective}, which is not a softmax over a table of all words"
        )
    queries, words = model.queries(text, _MOST_TOKENS, encoding=encoding)
    some = _spread(len(words), rows)
    bias = reader.bias
    if reader.log_q is not None:  # negative sampling learns log( P / Q )
        bias = reader.log_q if bias is None else bias + reader.log_q
    counts = model.vocabulary.counts
    bias = None if bias is None else bias.detach()
    return Classifier(
        queries[some], reader.weight.detach(), bias, words[some], counts, rows="positions", classes="words"
    )


def _tensors(path: Path) -> "dict[str, Tensor]":
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in _ARRAYS if name in set(file.keys())}


def _float(array: "Tensor") -> "Tensor":
    return array if array.is_floating_point() else array.float()


def _spread(size: int, wanted: int) -> Any:
    """Indices of at most `wanted` of `size` things, evenly spread."""
    import numpy as np

    return np.arange(size) if size <= wanted else np.linspace(0, size - 1, wanted).round().astype(np.int64)
