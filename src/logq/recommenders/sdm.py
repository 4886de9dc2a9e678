"""SDM: the current session and the long-term history, combined by a gate; Lv et al., CIKM 2019, arXiv:1909.00385."""

from collections.abc import Mapping
from typing import Annotated, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, scaled_dot_product_attention

from logq._arguments import ArgumentError, check_float, check_int
from logq.logs.examples import Examples
from logq.logs.interactions import Interactions
from logq.logs.next_items import NextItems
from logq.recommenders.encoding.encoders import Batch, RetrievalModel
from logq.recommenders.encoding.feature_tables import (
    FeatureTables,
    ItemCodes,
    check_features,
    feature_sizes,
    item_inputs,
)
from logq.recommenders.encoding.item_content import ItemContent, TableModel, content_of
from logq.recommenders.encoding.item_tables import IdTable, column, end_of, filled
from logq.recommenders.neural.neural_config import ContentConfig, Tied, UserDropout, UserVectors
from logq.recommenders.neural.neural_recommender import NeuralRecommender
from logq.recommenders.neural.next_item_config import NextItemConfig
from logq.tracing import keeps_sizes
from logq.training.config import AUTO, AtLeast, Help, configclass

__all__ = ["SDM", "SDMConfig", "SDMEncoder"]


class SDMEncoder(TableModel):
    """An LSTM and self-attention over the session, attention over what came before it, and a gate between the two.

        e_u = W [user ; features of the user] + b
        h_1 .. h_t = LSTM(x_1 .. x_t),  x = [item ; its features]                   short-term behavior
        g_1 .. g_t = norm(h + W_O heads(softmax(<W_Q h, W_K h>) W_V h))
        s = sum_k softmax_k(<g_k, e_u>) g_k
        z_f = sum_k softmax_k(<l_fk, e_u>) l_fk   over the past, f: item, features  long-term behavior
        p = tanh(W_p [z_f] + b_p)
        G = sigmoid(W_1 e_u + W_2 s + W_3 p + b),   q = (1 - G) p + G s             fusion

    The session is the last `batch["session"]` items of the history, where the batch has that column, else the last
    `short_length` ones; the past is what comes before. Without users and their features e_u is the learned b. An empty
    session gives s = 0, an empty past z = 0.

    Differs from the paper: self-attention has a residual connection and a norm, and its products are divided by the
    root of the width of a head; of several values of one feature of an item the mean counts.

    Args:
        num_items: C.
        dim: D, a multiple of `heads`; also the width of the vector of a feature.
        short_length: items of a session, at most.
        num_users: users with vectors of their own, from the column "user", -1 for others; None takes none.
        user_dropout: how often a user counts as unknown in training, so that unknown ones are learned too.
        user_features: how many values each feature of the user has, by name.
        item_features: the same of items.
        item_codes: the values (C,) or (C, W) of these features, int64, -1 where a row has fewer.
        item_dense: features of items that are vectors, (C, W) by name, 0 for an item that has none.
        heads: of self-attention.
        dropout: of what enters and leaves the LSTM.
        tied: whether items of a history and items to find are one table.
        sparse: whether tables of items and users get sparse gradients.
        content: what is known of items beside their ids, which then enters the vectors of items of a history and of
            those to find; None for nothing.

    Shape:
        history (B, L) int64, padded at the end; user (B,), session (B,) int64 -> queries (B, D).

    Raises:
        TypeError, ValueError: a number is out of range, or a column does not fit.
        KeyError: a batch lacks a column, or item_codes a feature.

    Example:
        >>> model = SDMEncoder(1000, 16, short_length=5, num_users=50)
        >>> batch = {"history": torch.tensor([[5, 7, -1], [999, 0, 3]]), "user": torch.tensor([7, -1])}
        >>> model.query(batch).shape
        torch.Size([2, 16])
        >>> model.training_queries(batch | {"target": torch.tensor([3, 8])})[1]
        tensor([3, 8])
    """

    answers_without_history: ClassVar[bool] = False  # the user only weighs what a history has

    def __init__(
        self,
        num_items: int,
        dim: int = 64,
        *,
        short_length: int = 10,
        num_users: int | None = None,
        user_dropout: float = 0.0,
        user_features: Mapping[str, int] | None = None,
        item_features: Mapping[str, int] | None = None,
        item_codes: Mapping[str, Tensor] | None = None,
        item_dense: Mapping[str, Tensor] | None = None,
        heads: int = 4,
        dropout: float = 0.0,
        tied: bool = True,
        sparse: bool = False,
        content: ItemContent | None = None,
    ) -> None:
        super().__init__(check_int("num_items", num_items), check_int("dim", dim))
        self.short_length = check_int("short_length", short_length)
        self.heads = check_int("heads", heads)
        if dim % heads:
            raise ArgumentError("heads", f"a divisor of dim = {dim}", heads)
        std = dim**-0.5
        self.make_tables(std=std, tied=tied, sparse=sparse, content=content)
        sizes = check_features("item_features", item_features or {})
        self.item_features = FeatureTables(sizes, dim, dense=item_dense)
        self.item_codes = ItemCodes(num_items, sizes, item_codes or {}, item_dense)
        self.num_users = 0 if num_users is None else check_int("num_users", num_users)
        self.users = IdTable(num_users, dim, std=std, dropout=user_dropout, sparse=sparse) if num_users else None
        self.user_features = FeatureTables(user_features or {}, dim, prefix="user.")
        parts = len(self.item_features.names) + 1
        width = dim * (self.users is not None) + self.user_features.width
        self.profile = nn.Linear(width, dim) if width else None
        self.anybody = nn.Parameter(std * torch.randn(dim))
        self.lstm = nn.LSTM(parts * dim, dim, batch_first=True)
        self.query_key_value = nn.Linear(dim, 3 * dim, bias=False)
        self.project = nn.Linear(dim, dim, bias=False)
        self.norm = nn.LayerNorm(dim)
        self.long_term = nn.Linear(parts * dim, dim)
        self.gate = nn.Linear(3 * dim, dim)
        self.dropout = nn.Dropout(check_float("dropout", dropout, at_least=0, at_most=0.999))

    def query(self, batch: Batch) -> Tensor:
        """The queries (B, D)."""
        history = column(batch, "history", self.num_items, "BL")
        ends = end_of("history", history)
        session = torch.full_like(ends, self.short_length)
        if "session" in batch:
            session = column(batch, "session", 1 << 62, "B").clamp(0, self.short_length)
        starts = ends - torch.minimum(session, ends)
        user = self._profile(batch, history.shape[0])
        short = self._short(_window(history, starts, ends, self.short_length), user)
        past = self._long(_first(history, starts), user)
        gate = self.gate(torch.cat([user, short, past], dim=1)).sigmoid()
        return past + gate * (short - past)

    def training_queries(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The queries (B, D) and the targets (B,)."""
        return self.query(batch), column(batch, "target", self.num_items, "B")

    def _profile(self, batch: Batch, rows: int) -> Tensor:
        """e_u (B, D)."""
        parts = self.user_features(batch, rows)
        if self.users is not None:
            parts.append(self.users(column(batch, "user", self.num_users, "B")))
        if self.profile is None:
            return self.anybody.expand(rows, -1)
        return self.profile(torch.cat(parts, dim=1)) + self.anybody

    def _vectors(self, history: Tensor) -> tuple[list[Tensor], Tensor]:
        """Vectors of items and of each of their features, (B, L, D) with 0 at padding, and where items are (B, L)."""
        is_item = history >= 0
        if keeps_sizes(history):
            rows, length = history.shape
            ids = filled(history, sparse=self.watched.sparse).reshape(-1)
            flat = [self.watched(ids), *self.item_features(self.item_codes.of(ids), ids.shape[0])]
            is_padding = ~is_item[..., None]
            return [x.view(rows, length, self.dim).masked_fill(is_padding, 0.0) for x in flat], is_item
        places = is_item.reshape(-1).nonzero()[:, 0]
        ids = history.reshape(-1)[places]
        flat = [self.watched(ids), *self.item_features(self.item_codes.of(ids), len(ids))]
        size = history.numel()
        padded = [x.new_zeros(size, self.dim).index_copy(0, places, x).view(*history.shape, self.dim) for x in flat]
        return padded, is_item

    def _short(self, session: Tensor, user: Tensor) -> Tensor:
        """s (B, D)."""
        vectors, is_item = self._vectors(session)
        # Padding comes after all items, where the LSTM does not look; attention needs a mask, with something to see.
        seen = is_item.clone()
        seen[:, 0] = True
        hidden = self.dropout(self.lstm(self.dropout(torch.cat(vectors, dim=2)))[0])
        rows, length, dim = hidden.shape
        parts = self.query_key_value(hidden).view(rows, length, 3, self.heads, dim // self.heads)
        heads = (part.transpose(1, 2) for part in parts.unbind(dim=2))
        mixed = scaled_dot_product_attention(*heads, attn_mask=seen[:, None, None])
        mixed = mixed.transpose(1, 2).reshape(rows, length, dim)
        return _attend(self.norm(hidden + self.project(mixed)), user, is_item)

    def _long(self, past: Tensor, user: Tensor) -> Tensor:
        """p (B, D)."""
        vectors, is_item = self._vectors(past)
        return self.long_term(torch.cat([_attend(x, user, is_item) for x in vectors], dim=1)).tanh()


def _first(history: Tensor, counts: Tensor) -> Tensor:
    """The first items of each row, so many, padded with -1."""
    if not keeps_sizes(history):
        return _window(history, torch.zeros_like(counts), counts, history.shape[1])
    places = torch.arange(history.shape[1], device=history.device)
    return history.masked_fill(places >= counts[:, None], -1)


def _window(history: Tensor, starts: Tensor, ends: Tensor, most: int) -> Tensor:
    """Items starts .. ends - 1 of each row, at most so many, from the left, padded with -1 to one column at least."""
    longest = most if keeps_sizes(history) else int((ends - starts).max()) if len(history) else 0
    history = pad(history, (0, 1), value=-1)
    places = starts[:, None] + torch.arange(max(1, longest), device=history.device)
    items = history.gather(1, torch.minimum(places, ends[:, None]))
    return items.masked_fill(places >= ends[:, None], -1)


def _attend(x: Tensor, user: Tensor, is_item: Tensor) -> Tensor:
    """The mean (B, D) of x (B, L, D) weighed by how well it fits the user; 0 where there is nothing."""
    fit = (x @ user[:, :, None])[:, :, 0].masked_fill(~is_item, torch.finfo(x.dtype).min)
    return ((fit.softmax(dim=1) * is_item)[:, None] @ x)[:, 0]


@configclass(group="Model")
class SDMConfig(ContentConfig, NextItemConfig):
    """The arguments of SDM.

    Example:
        >>> SDMConfig(short_length=5).tied
        True
    """

    max_length = 20
    short_length: Annotated[int, AtLeast(1), Help("Maximum number of events in the current session.")] = 10
    heads: Annotated[int, AtLeast(1), Help("Number of attention heads, a divisor of dim.")] = 4
    user_vectors: UserVectors = False
    user_dropout: UserDropout = 0.1
    dropout: Annotated[float, Help("Dropout rate of the inputs and outputs of the LSTM.")] = AUTO
    tied: Tied = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dim % self.heads:
            raise ArgumentError("heads", f"a divisor of dim = {self.dim}", self.heads)


class SDM(SDMConfig, NeuralRecommender):
    """Recommends by the current session and the long-term history of a user, combined by a gate; see SDMEncoder.

    The session is the last `short_length` events, the past the others of the `max_length` that are used. Features of
    users and items that the log has are inputs: those of items as inputs of their own, as in the paper, or as part of
    the vectors of items, with `content`.

    Raises:
        ArgumentError, ArgumentTypeError: an argument is not as described.

    References:
        Lv et al., SDM: Sequential Deep Matching Model for Online Large-scale Recommender System, CIKM 2019,
        arXiv:1909.00385.

    Example:
        >>> from logq.logs import Interactions
        >>> log = Interactions.from_sessions([["tea", "milk", "cup", "spoon"]] * 8)
        >>> model = SDM(dim=16, num_sampled=8, epochs=30, lr=0.02, seed=1).fit(log, progress=False)
        >>> model.recommend(histories=["tea", "milk"], k=1).items.tolist()
        ['cup']
    """

    def _make_model(self, *, sparse: bool) -> RetrievalModel:
        return SDMEncoder(
            self.known.num_items,
            self.dim,
            short_length=self.short_length,
            num_users=self.known.num_users if self.user_vectors else None,
            user_dropout=self.user_dropout,
            user_features=feature_sizes(self.known.user_features),
            # As content they are in the vectors of items already.
            **item_inputs(self.known.item_features if self.content == "none" else None),
            heads=self.heads,
            dropout=self.dropout,
            tied=self.tied,
            sparse=sparse,
            content=content_of(self.content, self.id_dropout, self.known),
        )

    def _make_examples(self, log: Interactions, seed: int) -> Examples:
        return NextItems(log, self.max_length, age=None, pad=self.cuda_graphs)
