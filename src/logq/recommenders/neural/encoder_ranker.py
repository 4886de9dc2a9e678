"""EncoderRanker: what a neural recommender answers with: queries and items by its encoder, whole or in parts."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from logq._model_file import Stored
from logq.distributed.joint_file import rows_in_pieces, write_jointly
from logq.distributed.placing import Placing
from logq.distributed.vector_shards import VectorShard, write_shards
from logq.process_start import join
from logq.processes import world
from logq.recommenders.encoding.encoders import RetrievalModel
from logq.recommenders.encoding.item_tables import not_whole
from logq.recommenders.events.histories import Histories
from logq.recommenders.neural.neural_config import NeuralConfig
from logq.recommenders.neural.query_export import ExportedRecommender
from logq.recommenders.ranking.item_search import IndexInParts, UntiedIndex
from logq.retrieval.index_checks import Metric, check_choice
from logq.training.devices import Device
from logq.training.weights import PREFIX, weights_of

__all__ = ["EncoderRanker"]

CPU_ENTRIES, GPU_ENTRIES = 1 << 14, 1 << 20
"""Items of histories that queries are made of at a time: on a CPU few enough for a layer's numbers to stay in cache."""

ROWS = 1 << 15
"""Items whose vectors are made at a time."""


class EncoderRanker(NeuralConfig, ExportedRecommender):
    """Ranks by an encoder's queries and its vectors of items.

    Where several processes have trained it with tables="sharded", each has a part of the tables. Then all of them ask
    the same at once: each makes the queries, searches its own items, and the best of all are merged.

    Example:
        See NeuralRecommender, which is one.
    """

    model: RetrievalModel
    _offsets: Tensor | None

    @property
    def loss_temperature(self) -> float:
        """What logits are divided by outside of the model."""
        return self.temperature

    @property
    def in_parts(self) -> bool:
        """Whether several processes have a part of its tables each, so that all are asked the same at once."""
        return "model" in vars(self) and bool(self.model.parts())

    # ------------------------------------------------------------------------------------------- queries and items

    @torch.no_grad()
    def _queries(self, histories: Histories) -> Tensor:
        device = Device(self.device, self.precision)
        entries = CPU_ENTRIES if device.torch_device.type == "cpu" else GPU_ENTRIES
        found: list[Tensor] = []
        for part in histories.parts(max(1, entries // self.max_length)):
            with device.autocast():
                found.append(self.model.query(device.put(self._inputs(part))).float())
        queries = torch.cat(found)
        if self.cosine:
            queries = normalize(queries, dim=-1)
        if self._has_column():
            queries = torch.cat([queries, queries.new_ones(*queries.shape[:-1], 1)], dim=-1)
        return queries

    @torch.no_grad()
    def _item_rows(self) -> Tensor:
        self._check_whole()
        return self._rows_of(self.model.item_vectors(), self.model.item_bias, self._offsets)

    @torch.no_grad()
    def _some_rows(self, codes: Tensor) -> Tensor:
        """The rows of `_item_rows` of some items."""
        biases, offsets = self.model.item_biases, self._offsets
        vectors = self.model.item_vectors(codes)
        return self._rows_of(
            vectors,
            None if biases is None else biases(codes),
            None if offsets is None else offsets[codes.to(offsets.device)],
        )

    def _rows_of(self, vectors: Tensor, bias: Tensor | None, offsets: Tensor | None) -> Tensor:
        rows = vectors.detach().float()
        if self.cosine:
            rows = normalize(rows, dim=1)
        rows = rows / self.loss_temperature
        if self._has_column():
            # A bias of items is one more number of their vectors, which queries have a 1 for.
            extra = rows.new_zeros(len(rows)) if bias is None else bias.detach().float() / self.loss_temperature
            if offsets is not None:
                extra = extra + offsets.to(rows.device)
            rows = torch.cat([rows, extra[:, None]], dim=1)
        return rows

    def _has_column(self) -> bool:
        return self.model.item_biases is not None or self._offsets is not None

    @torch.no_grad()
    def _vectors(self) -> Tensor:
        self._check_whole()
        return self.model.item_vectors().detach().float()

    @torch.no_grad()
    def _vectors_of(self, codes: NDArray[np.int64]) -> Tensor:
        if not self.in_parts:
            return super()._vectors_of(codes)
        return self._compared_rows(torch.from_numpy(codes).to(self.model.parts()[0].weight.device)).float()

    def _compared_rows(self, codes: Tensor) -> Tensor:
        """The rows (n, D) of `_vectors` of some items (n,)."""
        return self.model.item_vectors(codes)

    def _check_whole(self) -> None:
        for part in self.model.parts():
            raise not_whole(part)

    # ---------------------------------------------------------------------------------------------------- in parts

    def _own_index(self, metric: Metric) -> UntiedIndex:
        if self.in_parts and metric not in self._indexes:
            codes, vectors = self._own_items(metric)
            self._indexes[metric] = IndexInParts(vectors, codes.numpy(), self.known.places, metric)
        return super()._own_index(metric)

    @torch.no_grad()
    def _own_items(self, metric: Metric) -> tuple[Tensor, Tensor]:
        """The codes (n,) of the items that this process searches, and what they are searched by (n, D')."""
        there = world()
        placing = Placing(self.known.num_items, there.size)
        codes, device = placing.ids_of(there.rank), next(self.model.parameters()).device
        if not self.in_parts:
            every = self._vectors() if metric == "cosine" else self._item_rows()
            return codes, every[codes.to(every.device)].float()
        found: list[Tensor] = []
        for first in range(0, placing.per_process, ROWS):  # as many times in each, as they ask each other
            some = codes[first : first + ROWS].to(device)
            rows = self._compared_rows(some).float() if metric == "cosine" else self._some_rows(some)
            found.append(rows)
        return codes, torch.cat(found)

    def write_vector_shards(self, folder: str | os.PathLike[str], *, metric: Metric = "inner_product") -> None:
        """Write the vectors of the items as files of which each process writes one, for `logq index FOLDER`.

        They have what `index()` of the same metric would hold, with the ids of the items beside them, and are read by
        logq.distributed.VectorShards. Of several processes that have trained the model, all call it at once; none has
        more than its own part in memory.

        Args:
            folder: that all processes see; what it had of this kind is replaced when all is written.
            metric: "inner_product" for what `recommend` searches by, "cosine" for what `similar_items` compares.

        Raises:
            AttributeError: the model is not fitted.
            OSError: a file of some process cannot be written; all raise.

        Example:
            >>> import tempfile
            >>> from logq import Interactions, YoutubeDNN
            >>> from logq.distributed import VectorShards
            >>> log = Interactions.from_sessions([["tea", "milk", "cup"]] * 4)
            >>> model = YoutubeDNN(dim=4, num_sampled=2, epochs=1, seed=1).fit(log, progress=False)
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     model.write_vector_shards(folder)
            ...     [(shard.vectors.shape, sorted(shard.keys.tolist())) for shard in VectorShards(folder)]
            [((3, 4), ['cup', 'milk', 'tea'])]
        """
        self._check_fitted()
        check_choice("metric", metric, ("inner_product", "cosine"))
        join(self.device)
        codes, vectors = (tensor.cpu().numpy() for tensor in self._own_items(metric))
        keys = np.asarray(self.known.item_ids.keys)[codes]
        about = {"metric": metric, "model": type(self).__name__}
        shard = VectorShard(codes, vectors, None, keys)
        write_shards(folder, shard, self.known.num_items, device=Device(self.device).torch_device, about=about)

    def _weights(self) -> dict[str, Any]:
        """The weights of the module for a file, those in parts as rows that come in pieces."""
        weights: dict[str, Any] = dict(weights_of(self.model))
        tables = {id(part.weight): part for part in self.model.parts()}
        for name, value in self.model.state_dict(keep_vars=True).items():
            if id(value) in tables:
                weights[PREFIX + name] = rows_in_pieces(tables[id(value)])
        return weights

    def _write(self, write: Callable[[], None], stored: Stored) -> None:
        if not self.in_parts:
            super()._write(write, stored)
            return
        write_jointly(write, stored.tensors, Device(self.device).torch_device)
