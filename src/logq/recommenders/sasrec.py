"""SASRec: causal self-attention over a history; Kang and McAuley, ICDM 2018, arXiv:1808.09781."""

from typing import Any, ClassVar, cast

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from logq._arguments import ArgumentError, Verbatim, check_int
from logq._warnings import warn
from logq.candidates import IGNORED
from logq.logs.examples import Examples
from logq.logs.growing import GrownLog
from logq.logs.interactions import Interactions
from logq.logs.next_items import NextItems, Sequences
from logq.nn.dropout import ByteDropout
from logq.recommenders.encoding.encoders import Batch, RetrievalModel
from logq.recommenders.encoding.item_content import ItemContent, TableModel, content_of
from logq.recommenders.encoding.item_tables import Table, column, end_of, select_rows
from logq.recommenders.events.held_out import HeldOut
from logq.recommenders.events.histories import Histories
from logq.recommenders.layers.layer_config import LAYERS, LayerConfig
from logq.recommenders.layers.sequence_layer import HistoryLayout, SequenceLayer
from logq.recommenders.neural.neural_recommender import NeuralRecommender
from logq.recommenders.sasrec_config import SASRecConfig
from logq.tracing import is_exported, keeps_sizes
from logq.training.estimator import FitOptions

__all__ = ["SASRec", "SASRecEncoder"]


class SASRecEncoder(TableModel):
    """A transformer whose input is a history of items and whose output at item l is the query for item l + 1.

        x_l = dropout(sqrt(D) e_{h_l} + p_l)                                        Section III-A
        x   = x + dropout(attention(norm(x))),  x = x + dropout(feed_forward(norm(x)))      III-B, C, each block
        q_l = norm(x_l),   logit of item i at l = <q_l, v_i>                        III-D, v = e if `tied`

    Item l attends to items 1 .. l. Places count from the first item of the window. Nothing is computed for padding but
    attention's inner products. A row without a history has the query 0.

    That is layer="attention"; other layers of logq.recommenders.layers come in its place by name. With norm="post"
    they end with a norm, so that x_l = dropout(norm(e_{h_l} + p_l)) and q_l = x_l; a GRU has no norm at all.

    Differs from the paper: keys and values are normalized as queries are (pre-norm blocks), there is a norm at the end,
    GELU instead of ReLU, inputs are scaled by sqrt(D), attention's own weights have no dropout by default (so that it
    runs fused), and dropout is rounded to 1/256.

    Args:
        num_items: C.
        dim: D, a multiple of `heads`.
        max_length: the longest history.
        tied: whether the vectors of inputs and of items to find are one table.
        sparse: whether tables of items get sparse gradients.
        content: what is known of items beside their ids, which then enters e and v; None for nothing.
        **layers: what layers there are: `layer`, `blocks`, `heads`, `hidden`, `dropout`, `positions` and all others of
            logq.recommenders.layers.LayerConfig.

    Shape:
        history (B, L) int64, padded at the end, at most max_length of them items -> queries (B, D). With time_buckets
        also history.time (B, L), how long before the last event of its row each was, -1 if unknown. Training takes
        targets (B, L), -1 where there is nothing to learn, or one target (B,) after the last item.

    Raises:
        TypeError, ValueError: a size is not an integer >= 1, heads do not divide D, a history is longer than
            max_length or has padding inside, or there are targets of all items where outputs depend on later ones.
        KeyError: a batch lacks a column.

    Example:
        >>> model = SASRecEncoder(1000, 16, max_length=50).eval()
        >>> batch = {"history": torch.tensor([[5, 7, -1], [999, 0, 3]])}
        >>> model.query(batch).shape
        torch.Size([2, 16])
        >>> queries, targets = model.training_queries(batch | {"targets": torch.tensor([[7, 2, -1], [0, 3, 8]])})
        >>> queries.shape, targets
        (torch.Size([5, 16]), tensor([7, 2, 0, 3, 8]))
        >>> SASRecEncoder(1000, 16, layer="gru4rec", blocks=1).query(batch).shape
        torch.Size([2, 16])
    """

    def __init__(
        self,
        num_items: int,
        dim: int = 64,
        *,
        max_length: int = 200,
        tied: bool = True,
        sparse: bool = False,
        content: ItemContent | None = None,
        **layers: Any,
    ) -> None:
        super().__init__(check_int("num_items", num_items), check_int("dim", dim))
        self.max_length = check_int("max_length", max_length)
        self.config = config = LayerConfig(**layers)
        std = 0.02 if config.init_std is None else config.init_std
        self.make_tables(std=std, tied=tied, sparse=sparse, content=content)
        absolute = config.positions in ("start", "end")
        self.places = Table(max_length, dim, std=std) if absolute else None
        self.dropout = ByteDropout(config.dropout if config.embedding_dropout is None else config.embedding_dropout)
        self.blocks = nn.ModuleList(LAYERS[config.layer](dim, max_length, config) for _ in range(config.blocks))
        self.norm = None if config.norm is None else nn.LayerNorm(dim)
        if config.init_std is not None:
            for part in self.blocks.modules():
                if isinstance(part, nn.Linear):
                    nn.init.normal_(part.weight, std=std)

    def query(self, batch: Batch) -> Tensor:
        """The queries (B, D) after the last item of each row."""
        history = column(batch, "history", self.num_items, "BL")
        ends = end_of("history", history)
        if keeps_sizes(history):
            outputs = self._padded_outputs(history, ends, self._times(batch))
            at = (ends - 1).clamp(min=0)[:, None, None].expand(-1, 1, self.dim)
            return outputs.gather(1, at)[:, 0].where((ends > 0)[:, None], 0.0)
        last, _ = self._outputs(history, ends, self._times(batch), last=True)
        if len(last) == len(ends):
            return last
        return last.new_zeros(len(ends), self.dim).index_copy(0, (ends > 0).nonzero()[:, 0], last)

    def training_queries(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """A query (M, D) for each entry of `targets` that is an item, row after row, and these targets (M,).

        Where sizes must not depend on targets, there is one for each entry; those that are no item are IGNORED.
        """
        if "targets" not in batch:
            return self.query(batch), column(batch, "target", self.num_items, "B")
        history = column(batch, "history", self.num_items, "BL")
        targets = column(batch, "targets", self.num_items, "BL")
        if targets.shape != history.shape:
            raise ArgumentError("targets", f"the shape of history, {tuple(history.shape)}", tuple(targets.shape))
        if self.config.sees_later_items:
            expected = f"one target after the last item of a history, with {self.config.sees_later_items}"
            raise ArgumentError("targets", expected, Verbatim("targets of all items"))
        ends = end_of("history", history)
        if keeps_sizes(history):
            learned = targets.masked_fill(targets < 0, IGNORED)
            return self._padded_outputs(history, ends, self._times(batch)).reshape(-1, self.dim), learned.reshape(-1)
        outputs, places = self._outputs(history, ends, self._times(batch))
        learned = targets.reshape(-1)[places]
        kept = (learned >= 0).nonzero()[:, 0]
        if len(kept) == len(learned):
            return outputs, learned
        return select_rows(outputs, kept), learned[kept]

    def _times(self, batch: Batch) -> Tensor | None:
        """(B, L), how long before the last event of a row each was, for layers that read it."""
        if not self.config.time_buckets:
            return None
        if "history.time" not in batch:
            raise KeyError(f"history.time: the model needs this column, the batch has {', '.join(batch)}")
        times, shape = batch["history.time"], batch["history"].shape
        if times.dim() != 2 or (not is_exported() and times.shape != shape):
            raise ArgumentError("history.time", f"the shape of history, {tuple(shape)}", tuple(times.shape))
        return times

    def _outputs(
        self, history: Tensor, ends: Tensor, times: Tensor | None, *, last: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Outputs (N, D) of all items of all rows, one row after the other, and the positions of these in (B * L).

        With `last` only the last output (R, D) of each row that has items.
        """
        length = history.shape[1]
        places = (history.reshape(-1) >= 0).nonzero()[:, 0]
        longest = int(ends.max()) if len(ends) and length else 0
        if longest > self.max_length:
            raise ArgumentError("history", f"at most max_length = {self.max_length} items", longest)
        position = places % max(1, length)
        rows = places // max(1, length)
        x = self._embedded(self.watched(history.reshape(-1)[places]), position, ends[rows])
        times = None if times is None else times[:, :longest]
        return self._encoded(x, HistoryLayout(longest, ends, rows * longest + position, times=times), last=last), places

    def _padded_outputs(self, history: Tensor, ends: Tensor, times: Tensor | None) -> Tensor:
        """Outputs (B, L, D) of all items, computed for padding as well, which is behind them and so changes nothing."""
        length = history.shape[1]
        position = torch.arange(length, device=history.device)
        x = self._embedded(self.watched.padded(history), position, ends[:, None])
        x = x.reshape(-1, self.dim)
        if is_exported():  # with strides of its own: those of a tensor that was masked would bound L
            x = x.clone(memory_format=torch.contiguous_format)
        return self._encoded(x, HistoryLayout(length, ends, times=times)).view(*history.shape, self.dim)

    def _embedded(self, x: Tensor, position: Tensor, ends: Tensor) -> Tensor:
        """What enters the first layer, of vectors, their positions, and how many items their rows have."""
        after = self.config.norm == "post"
        if self.places is None:
            x = x if after else x * self.dim**0.5
        else:
            counted = position if self.config.positions == "start" else (ends - 1 - position).clamp(min=0)
            x = torch.add(self.places(counted), x, alpha=1 if after else self.dim**0.5)
        return self.dropout(self.norm(x) if after and self.norm is not None else x)

    def _encoded(self, x: Tensor, layout: HistoryLayout, *, last: bool = False) -> Tensor:
        """(N, D) -> (N, D), what leaves the last layer; with `last` (R, D)."""
        for number, block in enumerate(self.blocks, start=1):
            x = cast(SequenceLayer, block).last(x, layout) if last and number == len(self.blocks) else block(x, layout)
        return self.norm(x) if self.config.norm == "pre" and self.norm is not None else x


class SASRec(SASRecConfig, NeuralRecommender):
    """Recommends by causal self-attention over a user's history: logq.recommenders.SASRecEncoder, fitted on a log.

    Learns what comes next after each event of a window at once, so `batch_size` counts windows, not events. Histories
    longer than `max_length` are cut into windows; with `overlap` each window sees that many items of the one before.

    Raises:
        ArgumentError, ArgumentTypeError: an argument is not as described.

    References:
        Kang and McAuley, Self-Attentive Sequential Recommendation, ICDM 2018, arXiv:1808.09781.

    Example:
        >>> from logq.logs import Interactions
        >>> log = Interactions.from_sessions([["tea", "milk", "cup", "spoon"]] * 8)
        >>> model = SASRec(dim=16, num_sampled=8, epochs=60, lr=0.01, seed=1).fit(log, progress=False)
        >>> model.recommend(histories=["tea", "milk"], k=1).items.tolist()
        ['cup']
    """

    bucket: ClassVar[int] = 16

    def _inspect(self, log: Interactions) -> dict[str, Any]:
        if not self.time_buckets:
            return {}
        if log.timestamps is None:
            warn(f"layer {self.layer!r} knows positions alone, as the log has no times")
        return {"times": log.timestamps is not None}

    def _continue(self, grown: GrownLog, validation: HeldOut | None, options: FitOptions) -> None:
        # An earlier log of no events, as a model without its users remembers, goes with any.
        if self.metadata.get("times", grown.log.timestamps is not None) != (grown.log.timestamps is not None):
            wanted, got = ("times", "none") if self.metadata["times"] else ("no times", "some")
            expected = f"a log with {wanted}, as layer {self.layer!r} was trained on"
            raise ArgumentError("log", expected, Verbatim(got))
        super()._continue(grown, validation, options)

    def _inputs(self, histories: Histories) -> dict[str, NDArray[Any]]:
        times = {"history.time": histories.ages(self.max_length)} if self.metadata.get("times") else {}
        return {**super()._inputs(histories), **times}

    def _make_model(self, *, sparse: bool) -> RetrievalModel:
        layers = {name: getattr(self, name) for name in LayerConfig.options()}
        if self.time_buckets and not self.metadata["times"]:
            layers["time_buckets"] = 0
        return SASRecEncoder(
            self.known.num_items,
            self.dim,
            max_length=self.max_length,
            tied=self.tied,
            sparse=sparse,
            content=content_of(self.content, self.id_dropout, self.known),
            **layers,
        )

    def _make_examples(self, log: Interactions, seed: int) -> Examples:
        pad, times = self.cuda_graphs, bool(self.time_buckets) and log.timestamps is not None
        if self.examples == "prefixes":
            return NextItems(log, self.max_length, age=None, pad=pad, times=times)
        return Sequences(log, self.max_length, overlap=self.overlap, last_only=self.last_only, pad=pad, times=times)
