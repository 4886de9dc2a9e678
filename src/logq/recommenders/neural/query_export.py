"""Query towers as ONNX files, for services without Python or torch."""

import contextlib
import copy
import logging
import os
import warnings
from abc import abstractmethod
from collections.abc import Generator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import normalize

from logq._files import atomic_write
from logq._project import check_installed
from logq.recommenders.encoding.encoders import Batch, RetrievalModel
from logq.recommenders.events.histories import Histories
from logq.recommenders.ranking.recommender import Recommender
from logq.recommenders.ranking.requests import make_request

__all__ = ["ExportedRecommender", "QueryTower", "check_onnx", "columns_read", "export_onnx"]

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


def check_onnx() -> None:
    """Check that what writes ONNX files is there.

    Raises:
        ModuleNotFoundError: it is not; the message says how to install it.

    Example:
        >>> check_onnx()
    """
    check_installed("export", "onnx", "onnx", "onnxscript")


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
    check_onnx()
    weights = [*tower.parameters(), *tower.buffers()]  # vectors of items are buffers that are not in the state
    size = sum(weight.nbytes for weight in weights)
    if size > MOST_BYTES:
        raise ValueError(f"path: expected weights of at most 2 GiB for an ONNX file, got {size:,} bytes")
    if any(weight.device.type != "cpu" for weight in weights):
        tower = copy.deepcopy(tower).cpu()
    rows, length = torch.export.Dim("rows"), torch.export.Dim("length")
    shapes = tuple({0: rows, 1: length} if name.split(".")[0] == "history" else {0: rows} for name in tower.columns)
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


class ExportedRecommender(Recommender):
    """A recommender by a torch module, whose queries can be made without Python.

    Attributes:
        model: the module, once fitted.
        cosine: whether queries are made unit vectors.

    Example:
        See NeuralRecommender, which is one.
    """

    model: RetrievalModel
    cosine: bool

    @abstractmethod
    def _inputs(self, histories: Histories) -> dict[str, NDArray[Any]]:
        """The batch that queries are made of."""

    @abstractmethod
    def _has_column(self) -> bool:
        """Whether queries have a 1 behind them, for what is added to the scores of items."""

    def _check_whole(self) -> None:
        """Check that this process has the whole model."""

    def export(self, path: str | os.PathLike[str]) -> list[str]:
        """Write the query tower as an ONNX file, for services without Python or torch.

        The output `query`, (n, D') or (n, K, D') float32, is what `query_vectors` gives, and what `search_vectors` and
        `index` are asked with. The inputs are int64, and those of them that the model reads are there:

            history          (n, L) places of items in `item_ids`, oldest first, -1 behind them; 1 <= L <= max_length
            history.time     (n, L) how long before the last event of its row each was, -1 if unknown
            user             (n,) places in `user_ids`, -1 for others
            user.NAME        (n,) or (n, W) codes of a feature of users, 0 for what is unknown, -1 behind several
            context.NAME     (n,) codes of a column of the context, 0 for what is unknown

        Both n and L may be any at each call. A row of nothing but -1 is a user without a history.

        Args:
            path: of the file, such as "tower.onnx".

        Returns:
            The names of the inputs.

        Raises:
            AttributeError: the model is not fitted.
            ModuleNotFoundError: the extra `onnx` is not installed.
            ValueError: the weights are more than the 2 GiB that an ONNX file can hold, or this process has a part of
                the model alone.
        """
        self._check_fitted()
        self._check_whole()
        histories = [np.asarray(self.known.item_ids.keys)[:1].tolist()] * 2
        request = make_request(self.known, None, histories, None).histories
        batch = {name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in self._inputs(request).items()}
        for name in (name for name in batch if name.split(".")[0] == "history"):
            batch[name] = torch.nn.functional.pad(batch[name], (0, 1), value=-1)
        device = next(self.model.parameters()).device
        columns = columns_read(self.model, {name: values.to(device) for name, values in batch.items()})
        tower = QueryTower(self.model, columns, cosine=self.cosine, extra=self._has_column())
        export_onnx(tower.eval(), batch, path)
        return columns
