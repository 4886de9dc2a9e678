"""SASRec: causal self-attention over a history; Kang and McAuley, ICDM 2018, arXiv:1808.09781."""

from typing import Annotated, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention

from logq._arguments import ArgumentError, check_bool, check_int
from logq.candidates import IGNORED
from logq.logs.examples import Examples
from logq.logs.interactions import Interactions
from logq.logs.next_items import Sequences
from logq.nn.dropout import ByteDropout
from logq.recommenders.encoders import Batch, RetrievalModel
from logq.recommenders.item_tables import Table, column, end_of, select_rows
from logq.recommenders.neural_config import Dropout, NeuralConfig, Tied
from logq.recommenders.neural_recommender import NeuralRecommender
from logq.tracing import is_exported, keeps_sizes
from logq.training.config import AtLeast, Help, configclass

__all__ = ["SASRec", "SASRecConfig", "SASRecEncoder"]


class SASRecEncoder(RetrievalModel):
    """A transformer whose input is a history of items and whose output at item l is the query for item l + 1.

        x_l = dropout(sqrt(D) e_{h_l} + p_l)                                        Section III-A
        x   = x + dropout(attention(norm(x))),  x = x + dropout(feed_forward(norm(x)))      III-B, C, each block
        q_l = norm(x_l),   logit of item i at l = <q_l, v_i>                        III-D, v = e if `tied`

    Item l attends to items 1 .. l. Places count from the first item of the window. Nothing is computed for padding but
    attention's inner products. A row without a history has the query 0.

    Differs from the paper: keys and values are normalized as queries are (pre-norm blocks), there is a norm at the end,
    GELU instead of ReLU, inputs are scaled by sqrt(D), attention's own weights have no dropout (so that it runs
    fused), and dropout is rounded to 1/256.

    Args:
        num_items: C.
        dim: D, a multiple of `heads`.
        max_length: the longest history.
        blocks, heads: of attention.
        hidden: width of the feed-forward layer; None for D.
        dropout: in [0, 1).
        tied: whether the vectors of inputs and of items to find are one table.
        sparse: whether tables of items get sparse gradients.

    Shape:
        history (B, L) int64, padded at the end, at most max_length of them items -> queries (B, D). Training takes
        targets (B, L), -1 where there is nothing to learn, or one target (B,) after the last item.

    Raises:
        TypeError, ValueError: a size is not an integer >= 1, heads do not divide D, a history is longer than
            max_length or has padding inside.
        KeyError: a batch lacks a column.

    Example:
        >>> model = SASRecEncoder(1000, 16, max_length=50).eval()
        >>> batch = {"history": torch.tensor([[5, 7, -1], [999, 0, 3]])}
        >>> model.query(batch).shape
        torch.Size([2, 16])
        >>> queries, targets = model.training_queries(batch | {"targets": torch.tensor([[7, 2, -1], [0, 3, 8]])})
        >>> queries.shape, targets
        (torch.Size([5, 16]), tensor([7, 2, 0, 3, 8]))
    """

    def __init__(
        self,
        num_items: int,
        dim: int = 64,
        *,
        max_length: int = 200,
        blocks: int = 2,
        heads: int = 1,
        hidden: int | None = None,
        dropout: float = 0.2,
        tied: bool = True,
        sparse: bool = False,
    ) -> None:
        super().__init__(check_int("num_items", num_items), check_int("dim", dim))
        self.max_length = check_int("max_length", max_length)
        if dim % check_int("heads", heads):
            raise ArgumentError("heads", f"a divisor of dim = {dim}", heads)
        self.watched = Table(num_items, dim, std=0.02, sparse=sparse)
        self.items = self.watched if check_bool("tied", tied) else Table(num_items, dim, std=0.02, sparse=sparse)
        self.places = Table(max_length, dim, std=0.02)
        self.dropout = ByteDropout(dropout)
        width = dim if hidden is None else check_int("hidden", hidden)
        self.blocks = nn.ModuleList(_Block(dim, heads, width, dropout) for _ in range(check_int("blocks", blocks)))
        self.norm = nn.LayerNorm(dim)

    def query(self, batch: Batch) -> Tensor:
        """The queries (B, D) after the last item of each row."""
        history = column(batch, "history", self.num_items, "BL")
        ends = end_of("history", history)
        if keeps_sizes(history):
            outputs = self._padded_outputs(history)
            at = (ends - 1).clamp(min=0)[:, None, None].expand(-1, 1, self.dim)
            return outputs.gather(1, at)[:, 0].where((ends > 0)[:, None], 0.0)
        outputs, _ = self._outputs(history, ends)
        # The outputs of all rows follow one another, so the last of a row is where those of all rows so far end.
        last = select_rows(outputs, ends.cumsum(dim=0)[ends > 0] - 1)
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
        if keeps_sizes(history):
            learned = targets.masked_fill(targets < 0, IGNORED)
            return self._padded_outputs(history).reshape(-1, self.dim), learned.reshape(-1)
        outputs, places = self._outputs(history, end_of("history", history))
        learned = targets.reshape(-1)[places]
        kept = (learned >= 0).nonzero()[:, 0]
        if len(kept) == len(learned):
            return outputs, learned
        return select_rows(outputs, kept), learned[kept]

    def _outputs(self, history: Tensor, ends: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs (N, D) of all items of all rows, one row after the other, and their positions in (B * L)."""
        length = history.shape[1]
        places = (history.reshape(-1) >= 0).nonzero()[:, 0]
        longest = int(ends.max()) if len(ends) and length else 0
        if longest > self.max_length:
            raise ArgumentError("history", f"at most max_length = {self.max_length} items", longest)
        position = places % max(1, length)
        rows = places // max(1, length)
        batch = _Layout(len(ends), longest, rows * longest + position)
        x = self.watched(history.reshape(-1)[places]) * self.dim**0.5
        x = self.dropout(x + self.places(position))
        for block in self.blocks:
            x = block(x, batch)
        return self.norm(x), places

    def _padded_outputs(self, history: Tensor) -> Tensor:
        """Outputs (B, L, D) of all items, computed for padding as well, which is behind them and so changes nothing."""
        rows, length = history.shape
        layout = _Layout(rows, length, None)
        # A slice would be of this length in a graph that is to hold for others.
        if is_exported():
            places = self.places(torch.arange(length, device=history.device))
        else:
            places = self.places.weight[:length]
        x = torch.add(places, self.watched.padded(history), alpha=self.dim**0.5)
        x = self.dropout(x).reshape(-1, self.dim)
        for block in self.blocks:
            x = block(x, layout)
        return self.norm(x).view(rows, length, self.dim)

    def item_vectors(self, ids: Tensor | None = None) -> Tensor:
        """Rows (n, D) of the table v."""
        return self.items.weight if ids is None else self.items(ids)

    @property
    def item_table(self) -> nn.Parameter:
        """The table v (C, D)."""
        return self.items.weight


class _Layout:
    """Where N items, one row after the other, are in a padded (B, L); None: N = B L and all are taken for items."""

    def __init__(self, rows: int, length: int, places: Tensor | None) -> None:
        self.rows, self.length = rows, length
        self.places = None if places is None or len(places) == rows * length else places

    def padded(self, x: Tensor) -> Tensor:
        """(N, W) -> (B, L, W), zeros at padding."""
        if self.places is not None:
            x = x.new_zeros(self.rows * self.length, x.shape[1]).index_copy(0, self.places, x)
        return x.view(self.rows, self.length, x.shape[1])

    def packed(self, x: Tensor) -> Tensor:
        """(B, L, W) -> (N, W)."""
        x = x.reshape(self.rows * self.length, x.shape[2])
        return x if self.places is None else select_rows(x, self.places)


class _Block(nn.Module):
    """Causal attention and a feed-forward layer, (N, D) -> (N, D)."""

    def __init__(self, dim: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(dim)
        self.query_key_value = _linear(dim, 3 * dim)
        self.project = _linear(dim, dim)
        self.feed_forward_norm = nn.LayerNorm(dim)
        self.expand = _linear(dim, hidden)
        self.contract = _linear(hidden, dim)
        self.dropout = ByteDropout(dropout)

    def forward(self, x: Tensor, layout: _Layout) -> Tensor:
        x = x + self.dropout(self._attend(self.attention_norm(x), layout))
        hidden = gelu(self.expand(self.feed_forward_norm(x)), approximate="tanh")
        return x + self.dropout(self.contract(hidden))

    def _attend(self, x: Tensor, layout: _Layout) -> Tensor:
        dim = x.shape[1]
        parts = layout.padded(self.query_key_value(x)).view(
            layout.rows, layout.length, 3, self.heads, dim // self.heads
        )
        query, key, value = (part.transpose(1, 2) for part in parts.unbind(dim=2))  # each (B, H, L, D / H)
        # Padding is behind all items of a row, so a causal mask hides it.
        mixed = scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.project(layout.packed(mixed.transpose(1, 2).reshape(layout.rows, layout.length, dim)))


def _linear(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


@configclass(group="Model")
class SASRecConfig(NeuralConfig):
    """The arguments of SASRec.

    Example:
        >>> SASRecConfig(heads=2).max_length
        200
    """

    blocks: Annotated[int, AtLeast(1), Help("Number of attention blocks.")] = 2
    heads: Annotated[int, AtLeast(1), Help("Number of attention heads, a divisor of dim.")] = 1
    hidden: Annotated[
        int | None,
        AtLeast(1),
        Help(
            "Width of the feed-forward layer; None takes that of the vectors.",
            typed="Width of the feed-forward layer.",
            default="dim",
        ),
    ] = None
    dropout: Dropout = 0.2
    tied: Tied = True
    overlap: Annotated[
        int,
        AtLeast(0),
        Help("Number of events that a window repeats from the one before.", more="Less than max_length."),
    ] = 0
    last_only: Annotated[
        bool,
        Help(
            "Whether only the last window of each user is learned from, as in the paper.",
            typed="Learn only from the last window of each user.",
        ),
    ] = False
    max_length = 200
    batch_size: Annotated[int, Help("Windows in a batch.", group="Training")] = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dim % self.heads:
            raise ArgumentError("heads", f"a divisor of dim = {self.dim}", self.heads)


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

    def _make_model(self, *, sparse: bool) -> RetrievalModel:
        return SASRecEncoder(
            self.known.num_items,
            self.dim,
            max_length=self.max_length,
            blocks=self.blocks,
            heads=self.heads,
            hidden=self.hidden,
            dropout=self.dropout,
            tied=self.tied,
            sparse=sparse,
        )

    def _make_examples(self, log: Interactions, seed: int) -> Examples:
        return Sequences(log, self.max_length, overlap=self.overlap, last_only=self.last_only, pad=self.cuda_graphs)
