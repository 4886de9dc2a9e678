"""Query towers as ONNX files, for services without Python or torch."""

import contextlib
import copy
import importlib.util
import logging
import os
import warnings
from collections.abc import Generator, Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from logq._files import atomic_write
from logq.recommenders.encoders import Batch, RetrievalModel

__all__ = ["QueryTower", "columns_read", "export_onnx"]

MOST_BYTES = (1 << 31) - (1 << 20)
"""What an ONNX file may hold, but for a megabyte for the graph."""


class QueryTower(nn.Module):
    """The queries of an encoder as a function of columns in order, as an index is asked with.

    Args:
        model: the encoder.
        columns: the names of what it reads of a batch.
        cosine: whether queries get length 1.
        extra: whether they get a 1 at their end, for a bias of items.

    Shape:
        the columns, history (B, L) and others -> (B, D') or (B, K, D').

    Example:
        >>> from logq.recommenders import YoutubeDNNEncoder
        >>> tower = QueryTower(YoutubeDNNEncoder(9, 4, hidden=[]), ["history"], cosine=False, extra=True)
        >>> tower(torch.tensor([[3, -1]])).shape
        torch.Size([1, 5])
    """

    def __init__(self, model: RetrievalModel, columns: list[str], *, cosine: bool, extra: bool) -> None:
        super().__init__()
        self.model, self.columns, self.cosine, self.extra = model, columns, cosine, extra

    def forward(self, *columns: Tensor) -> Tensor:
        """The queries."""
        queries = self.model.query(dict(zip(self.columns, columns, strict=True))).float()
        if self.cosine:
            queries = normalize(queries, dim=-1)
        if self.extra:
            queries = torch.cat([queries, torch.ones_like(queries[..., :1])], dim=-1)
        return queries


class _ReadBatch(dict[str, Tensor]):
    """A batch that remembers which of its columns were read."""

    def __init__(self, batch: Batch) -> None:
        super().__init__(batch)
        self.read: dict[str, None] = {}

    def __getitem__(self, name: str) -> Tensor:
        self.read[name] = None
        return super().__getitem__(name)


@torch.no_grad()
def columns_read(model: RetrievalModel, batch: Batch) -> list[str]:
    """The names of the columns that queries depend on.

    Example:
        >>> from logq.recommenders import YoutubeDNNEncoder
        >>> batch = {"history": torch.tensor([[3, -1]]), "user": torch.tensor([0])}
        >>> columns_read(YoutubeDNNEncoder(9, 4, hidden=[]), batch)
        ['history']
    """
    seen = _ReadBatch(batch)
    model.query(seen)
    return list(seen.read)


def export_onnx(tower: QueryTower, batch: Mapping[str, Tensor], path: str | os.PathLike[str]) -> None:
    """Write a tower as an ONNX file whose first dimension, and that of histories, may have any size.

    Args:
        tower: in eval mode.
        batch: two rows or more of what it reads, for shapes.
        path: of the file.

    Raises:
        ModuleNotFoundError: onnx or onnxscript is not installed.
        ValueError: the weights are more than an ONNX file can hold.
    """
    for library in ("onnx", "onnxscript"):  # optional extra `onnx`
        if importlib.util.find_spec(library) is None:
            raise ModuleNotFoundError(f"export needs {library}: pip install 'logq[onnx]'", name=library)
    size = sum(weight.nbytes for weight in tower.state_dict().values())
    if size > MOST_BYTES:
        raise ValueError(f"path: expected weights of at most 2 GiB for an ONNX file, got {size:,} bytes")
    if any(weight.device.type != "cpu" for weight in tower.state_dict().values()):
        tower = copy.deepcopy(tower).cpu()
    rows, length = torch.export.Dim("rows"), torch.export.Dim("length")
    shapes = tuple({0: rows, 1: length} if name == "history" else {0: rows} for name in tower.columns)
    with torch.no_grad(), _quiet():
        program = torch.onnx.export(
            tower,
            tuple(batch[name] for name in tower.columns),
            input_names=tower.columns,
            output_names=["query"],
            dynamic_shapes=(shapes,),
            dynamo=True,
            verbose=False,
        )
        assert program is not None
        written = program.model_proto.SerializeToString()
    with atomic_write(path) as file:
        file.write(written)


@contextlib.contextmanager
def _quiet() -> Generator[None]:
    """Without what the exporter of torch says of itself: libraries that it does not need, parts that will change."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
