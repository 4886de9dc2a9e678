"""What layers for histories share: their settings, where the items of a batch are, and their interface."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from logq._arguments import ArgumentError
from logq.nn.dropout import ByteDropout
from logq.recommenders.encoding.item_tables import select_rows
from logq.recommenders.neural.neural_config import MAX_DROPOUT, Dropout
from logq.training.config import Above, AtLeast, AtMost, Config, Help, OneOf, TriedValues, configclass

__all__ = ["NORMS", "POSITIONS", "BlockConfig", "HistoryLayout", "SequenceLayer", "linear"]

NORMS = ("pre", "post")
LOG_STEP = 0.301
"""Of the buckets of gaps in time, as Zhai et al. took them."""

POSITIONS = ("start", "end", "relative", "none")


@configclass(group="Model")
class BlockConfig(Config):
    """The arguments of a layer for histories; LayerConfig adds which layer it is.

    Example:
        >>> BlockConfig(heads=2).blocks
        2
    """

    blocks: Annotated[int, AtLeast(1), TriedValues(1, 3), Help("Number of layers, one upon the other.")] = 2
    heads: Annotated[int, AtLeast(1), Help("Number of attention heads, a divisor of dim.")] = 1
    hidden: Annotated[
        int | None,
        AtLeast(1),
        Help(
            "Width of the feed-forward layer or of the GRU; None takes dim, and 4 dim where the layer's paper does.",
            typed="Width of the feed-forward layer or of the GRU.",
            default="dim, or 4 dim where the layer's paper takes that",
        ),
    ] = None
    dropout: Dropout = 0.2
    embedding_dropout: Annotated[
        float | None,
        AtLeast(0),
        AtMost(MAX_DROPOUT),
        Help("Dropout rate of the inputs of the first layer.", default="that of hidden layers"),
    ] = None
    attention_dropout: Annotated[
        float,
        AtLeast(0),
        AtMost(MAX_DROPOUT),
        Help("Dropout rate of attention's weights.", more="Above 0 training cannot use fused attention."),
    ] = 0.0
    positions: Annotated[
        str | None,
        OneOf(*POSITIONS),
        Help(
            "How layers know positions",
            more="start: a learned vector for each, counted from the first item of the window; end: from the last one, "
            "where only what follows it is learned; relative: a learned bias of attention for each distance, of which "
            "fuxi_linear learns waves, so that a window and each beginning of it are seen alike; none. None takes what "
            "suits the layer.",
            default="start, but relative for hstu and fuxi_linear, and none for gru4rec",
        ),
    ] = None
    norm: Annotated[
        str | None,
        OneOf(*NORMS),
        Help(
            "Whether a layer normalizes what enters its parts or the sums behind them",
            more="None takes what the layer's paper does.",
            default="as in the layer's paper",
        ),
    ] = None
    alpha: Annotated[
        float | None,
        AtLeast(0),
        AtMost(1),
        Help(
            "Share of the frequency filter in bsarec (beside attention) and wearec (beside the wavelet).",
            more="None takes 0.7 and 0.2.",
            default="0.7 for bsarec, 0.2 for wearec",
        ),
    ] = None
    cutoff: Annotated[
        int | None,
        AtLeast(1),
        Help(
            "Where bsarec divides frequencies: waves that fit up to half as often into a window are low.",
            more="None takes 5.",
            default="5",
        ),
    ] = None
    causal_filter: Annotated[
        bool | None,
        Help(
            "Whether the filter of bsarec sees the items before an item alone, and not the whole window.",
            more="The whole window, as in the paper, where only what follows its last item is learned. None: True.",
            default="causal-filter",
        ),
    ] = None
    time_buckets: Annotated[
        int | None,
        AtLeast(0),
        Help(
            "Number of lengths of time between items that hstu tells apart, and of periods that fuxi_linear has; 0 "
            "leaves time out.",
            more="Each is 1.35 times the one before (fuxi_linear: 16 times, at most 16 of them), from one unit of the "
            "log's times on. None takes 128 and 8.",
            default="128 for hstu, 8 for fuxi_linear",
        ),
    ] = None
    init_std: Annotated[
        float | None,
        Above(0),
        Help(
            "Standard deviation of the first values of tables and linear maps.",
            more="None draws tables with 0.02, and linear maps as Glorot and Bengio do.",
            default="0.02 for tables, Glorot and Bengio's for linear maps",
        ),
    ] = None


class HistoryLayout:
    """Where the items of a batch are: N vectors, one row after the other, of a padded (B, L).

    Args:
        length: L.
        ends: (B,) int64, how many items a row has.
        places: (N,) int64, where in (B L) each vector belongs; None: N = B L, and padding has vectors, too.
        times: (B, L), how long before the last event of its row an item's was, -1 where that is not known; None of a
            batch without times.

    Example:
        >>> layout = HistoryLayout(3, torch.tensor([2, 1]), torch.tensor([0, 1, 3]))
        >>> layout.padded(torch.tensor([[1.0], [2.0], [3.0]]))[..., 0]
        tensor([[1., 2., 0.],
                [3., 0., 0.]])
        >>> layout.distance
        tensor([[ 0, -1, -2],
                [ 1,  0, -1],
                [ 2,  1,  0]])
    """

    def __init__(self, length: int, ends: Tensor, places: Tensor | None = None, *, times: Tensor | None = None) -> None:
        self.times = times
        self.rows, self.length, self.ends = ends.shape[0], length, ends
        self.places = None if places is None or len(places) == self.rows * length else places

    def padded(self, x: Tensor) -> Tensor:
        """(N, W) -> (B, L, W), zeros at padding."""
        if self.places is not None:
            x = x.new_zeros(self.rows * self.length, x.shape[1]).index_copy(0, self.places, x)
        return x.view(self.rows, self.length, x.shape[1])

    def packed(self, x: Tensor) -> Tensor:
        """(B, L, W) -> (N, W)."""
        x = x.reshape(self.rows * self.length, x.shape[2])
        return x if self.places is None else select_rows(x, self.places)

    def only_items(self, x: Tensor) -> Tensor:
        """What `padded` gives (B, L, W), with zeros at padding even where padding has vectors."""
        return x if self.places is not None else x.masked_fill(self.place >= self.ends[:, None, None], 0.0)

    @cached_property
    def place(self) -> Tensor:
        """(L, 1) int64, the place of an item in its row."""
        return torch.arange(self.length, device=self.ends.device)[:, None]

    @cached_property
    def last(self) -> Tensor:
        """Where among the N vectors the last one of each row is, of rows that have one."""
        if self.places is not None:
            return (self.ends.cumsum(dim=0) - 1)[self.ends > 0]
        return (torch.arange(self.rows, device=self.ends.device) * self.length + self.ends - 1)[self.ends > 0]

    @cached_property
    def distance(self) -> Tensor:
        """(L, L) int64, how many items the one of a column is before that of a row; negative after it."""
        return self.place - self.place[:, 0]

    @cached_property
    def gaps(self) -> Tensor:
        """(B, L, L) int64, the logarithm to base e^0.301 of the time between two items; -1 where it is not known."""
        if self.times is None:
            raise KeyError("history.time: the model needs this column, the batch has none")
        time = self.times.double() if self.times.device.type == "cpu" else self.times.float()
        known = time >= 0  # not so of nan
        gap = (time[:, None, :] - time[:, :, None]).abs().clamp(min=1).log().div(LOG_STEP).floor()
        return gap.masked_fill(~(known[:, None, :] & known[:, :, None]), -1).long()

    @cached_property
    def is_later(self) -> Tensor:
        """(L, L) bool, whether the item of a column comes after that of a row."""
        return self.distance < 0


class SequenceLayer(nn.Module, ABC):
    """Turns vectors of items (N, D) into others that know of the items before them.

    Args:
        dim: D.
        max_length: the most items that a row has.
        config: the settings; `LayerConfig` has put the layer's own in the places of None.

    Attributes:
        options: what it reads of `BlockConfig` beside blocks, dropout, embedding_dropout and init_std, and what None
            stands for; a tuple has the names that it takes, the first of which None stands for.
        widening: how many times D its feed-forward layer has where `hidden` is None.
        looks_ahead: whether the output at an item depends on those after it.

    Example:
        >>> from logq.recommenders.layers import LAYERS, LayerConfig
        >>> layer = LAYERS["attention"](8, 50, LayerConfig())
        >>> layer(torch.zeros(3, 8), HistoryLayout(2, torch.tensor([2, 1]), torch.tensor([0, 1, 2]))).shape
        torch.Size([3, 8])
    """

    options: ClassVar[Mapping[str, Any]] = {}
    widening: ClassVar[int] = 1
    looks_ahead: ClassVar[bool] = False

    def __init__(self, dim: int, max_length: int, config: BlockConfig) -> None:
        super().__init__()
        if "heads" in self.options and dim % config.heads:
            raise ArgumentError("heads", f"a divisor of dim = {dim}", config.heads)
        self.dim, self.max_length, self.heads = dim, max_length, config.heads
        self.hidden = self.widening * dim if config.hidden is None else config.hidden
        self.norm_first = config.norm != "post"
        self.dropout = ByteDropout(config.dropout)

    @abstractmethod
    def forward(self, x: Tensor, layout: HistoryLayout) -> Tensor:
        """(N, D) -> (N, D)."""

    def last(self, x: Tensor, layout: HistoryLayout) -> Tensor:
        """(N, D) -> (R, D), the last output of each row that has items: all that the last layer needs to give."""
        return select_rows(self(x, layout), layout.last)

    def add_feed_forward(self) -> None:
        """Let there be the modules of `fed_forward`."""
        self.feed_forward_norm = nn.LayerNorm(self.dim)
        self.expand = linear(self.dim, self.hidden)
        self.contract = linear(self.hidden, self.dim)

    def fed_forward(self, x: Tensor) -> Tensor:
        """x (N, D), and W_2 gelu(W_1 x + b_1) + b_2 added to it, as `added` does."""
        return self.added(x, self.feed_forward_norm, lambda x: self.contract(gelu(self.expand(x), approximate="tanh")))

    def added(self, x: Tensor, norm: nn.LayerNorm, change: Callable[[Tensor], Tensor]) -> Tensor:
        """x plus its change: x + dropout(change(norm(x))), or norm(x + dropout(change(x))) with norm="post"."""
        if self.norm_first:
            return x + self.dropout(change(norm(x)))
        return norm(x + self.dropout(change(x)))


def linear(inputs: int, outputs: int, *, bias: bool = True) -> nn.Linear:
    """A linear map with Glorot and Bengio's first weights, and biases of 0.

    Example:
        >>> linear(3, 2).bias.tolist()
        [0.0, 0.0]
    """
    layer = nn.Linear(inputs, outputs, bias=bias)
    nn.init.xavier_uniform_(layer.weight)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer
