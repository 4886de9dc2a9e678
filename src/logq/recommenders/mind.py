"""MIND: several interests per user, by dynamic routing; Li et al., CIKM 2019, arXiv:1904.08030."""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

from logq._arguments import ArgumentError, check_bool, check_float, check_int
from logq.logs.examples import Examples
from logq.logs.interactions import Interactions
from logq.logs.next_items import NextItems
from logq.recommenders.encoding.encoders import Batch, RetrievalModel, Tower
from logq.recommenders.encoding.feature_tables import FeatureTables, feature_sizes
from logq.recommenders.encoding.item_content import ItemContent, TableModel, content_of
from logq.recommenders.encoding.item_tables import column, end_of
from logq.recommenders.neural.neural_config import ContentConfig, FeatureDim, Hidden, Recency, Tied
from logq.recommenders.neural.neural_recommender import NeuralRecommender
from logq.recommenders.neural.next_item_config import NextItemConfig
from logq.tracing import keeps_sizes
from logq.training.config import AtLeast, Check, Help, TriedValues, configclass

__all__ = ["MIND", "MINDConfig", "MINDEncoder"]

LARGEST = 1e30
"""Powers stop here, so that softmax never sees an infinity."""


class MINDEncoder(TableModel):
    """Behavior-to-interest routing makes up to K capsules of a history, and ReLU layers make each of them a query.

        K'_u = max(1, min(K, floor(log2 n)))  of n items                            Section 3.3
        b_ij = a random number, the same for all users
        r_i  = n recency^(items after i) / sum of these powers,  by default 1 as in the paper
        repeat:  w_ij = exp b_ij / sum_k exp b_ik,   z_j = sum_i w_ij r_i S e_i
                 c_j = squash(z_j) = |z_j|^2 / (1 + |z_j|^2)  z_j / |z_j|
                 b_ij += <c_j, r_i S e_i>
        q_j = tower([c_j ; features of the user])
        in training  q = sum_j a_j q_j,   a = softmax_j( pow(<q_j, v_target>, p) )  Section 3.4

    One matrix S serves all items and capsules. Gradients go through the last pass only, and not through the logits b
    that agreement made. Random logits (or learned ones) tell the capsules apart; with zeros all would stay the same.
    The position of a logit counts from the most recent item. Label-aware attention weighs the interests by how well
    they fit the target: p = 0 takes their mean, a larger p a sharper choice, p = inf the best one alone. A power of a
    negative number keeps its sign, so that the order of interests stays. A row without a history has capsules of 0.

    Differs from the paper: the last layer after the capsules is linear, not ReLU; side information of items
    (`content`) is summed with the vectors of ids or goes through a network, and is not averaged.

    Args:
        num_items: C.
        dim: D.
        interests: K.
        adaptive: whether short histories have fewer interests, K'_u; else all have K.
        passes: of the routing, >= 1.
        max_length: the longest history.
        power: p, 0 or >= 1, or math.inf.
        hidden: widths of the ReLU layers.
        user_features: how many values each feature of the user has, by name.
        feature_dim: width of the vector of a feature.
        recency: what each item of a history counts, relative to the next one; 1 weighs all alike.
        learned_routing: whether b starts from parameters that are trained, and not from numbers that stay.
        routing_std: of the random logits.
        tied: whether e and v are one table.
        dropout: of hidden layers.
        sparse: whether tables of items get sparse gradients.
        content: what is known of items beside their ids, which then enters e and v; None for nothing.
        generator: of the random logits; None takes torch's global one, as all else does.

    Shape:
        history (B, L) int64, padded at the end, at most max_length of them items -> queries (B, K, D).

    Raises:
        TypeError, ValueError: a number is out of range, or a column does not fit.
        KeyError: a batch lacks a column.

    Example:
        >>> model = MINDEncoder(1000, 16, interests=4, max_length=50)
        >>> batch = {"history": torch.tensor([[5, 7, 2, 9], [999, 0, -1, -1]])}
        >>> model.query(batch).shape
        torch.Size([2, 4, 16])
        >>> model.interests(batch)[1]
        tensor([[ True,  True, False, False],
                [ True, False, False, False]])
        >>> model.training_queries(batch | {"target": torch.tensor([3, 8])})[0].shape
        torch.Size([2, 16])
    """

    routing: Tensor
    thresholds: Tensor

    queries_know_targets = True

    def __init__(
        self,
        num_items: int,
        dim: int = 64,
        *,
        interests: int = 4,
        adaptive: bool = True,
        passes: int = 3,
        max_length: int = 200,
        power: float = 2.0,
        hidden: Sequence[int] = (256,),
        user_features: Mapping[str, int] | None = None,
        feature_dim: int = 16,
        recency: float = 1.0,
        learned_routing: bool = False,
        routing_std: float = 1.0,
        tied: bool = True,
        dropout: float = 0.0,
        sparse: bool = False,
        content: ItemContent | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(check_int("num_items", num_items), check_int("dim", dim))
        self.num_interests = check_int("interests", interests)
        self.adaptive = check_bool("adaptive", adaptive)
        self.passes = check_int("passes", passes)
        self.max_length = check_int("max_length", max_length)
        self.power = math.inf if power == math.inf else check_float("power", power, at_least=0)
        if 0 < self.power < 1:
            raise ArgumentError("power", "0 or a number >= 1", power)
        self.make_tables(std=dim**-0.5, tied=tied, sparse=sparse, content=content)
        self.recency = check_float("recency", recency, above=0, at_most=1)
        self.user_features = FeatureTables(user_features or {}, feature_dim, prefix="user.")
        self.bilinear = nn.Linear(dim, dim, bias=False)  # S
        self.tower = Tower(dim + self.user_features.width, hidden, dim, dropout=dropout)
        std = check_float("routing_std", routing_std, above=0)
        place = None if generator is None else generator.device
        first = std * torch.randn(max_length, self.num_interests, generator=generator, device=place)
        if check_bool("learned_routing", learned_routing):
            self.routing = nn.Parameter(first)
        else:
            self.register_buffer("routing", first)
        # Interest k exists from so many items on: a logarithm of 8 may be 2.9999, and its floor 2.
        powers = [0, *(2 ** min(k + 1, 62) for k in range(1, self.num_interests))]
        thresholds = torch.tensor(powers if self.adaptive else [0] * self.num_interests, dtype=torch.int64)
        self.register_buffer("thresholds", thresholds, persistent=False)

    def capsules(self, history: Tensor) -> tuple[Tensor, Tensor]:
        """The capsules (B, K, D) of histories (B, L), and which of them there are (B, K); the others are 0."""
        ends = end_of("history", history)
        if not keeps_sizes(history):
            longest = int(ends.max()) if history.numel() else 0
            if longest > self.max_length:
                raise ArgumentError("history", f"at most max_length = {self.max_length} items", longest)
            history = history[:, :longest]
        exists = ends[:, None] >= self.thresholds
        ages = ends[:, None] - torch.arange(1, history.shape[1] + 1, device=history.device)  # below 0 at padding
        moved = self._moved(history)
        if self.recency < 1:
            moved = moved * self._weights(ages, ends).to(moved.dtype)[:, :, None]
        logits = embedding(ages.clamp(min=0), self.routing).transpose(1, 2)  # (B, K, L)
        logits = logits.masked_fill(~exists[:, :, None], -math.inf)
        with torch.no_grad():
            fixed, change = moved.detach(), torch.zeros_like(logits)
            for _ in range(self.passes - 1):
                found = _squash((logits + change).softmax(dim=1) @ fixed)
                change += found @ fixed.transpose(1, 2)
        return _squash((logits + change).softmax(dim=1) @ moved), exists

    def _weights(self, ages: Tensor, ends: Tensor) -> Tensor:
        """What each item counts (B, L): their sum is their number, and it is 0 at padding."""
        weights = torch.where(ages >= 0, self.recency ** ages.clamp(min=0).double(), 0.0)
        return weights * (ends / weights.sum(dim=1).clamp(min=1.0))[:, None]

    def _moved(self, history: Tensor) -> Tensor:
        """S e_i (B, L, D), and 0 at padding, which so adds nothing."""
        if keeps_sizes(history):
            return self.bilinear(self.watched.padded(history))
        length = history.shape[1]
        rows, places = (history >= 0).nonzero(as_tuple=True)
        mapped = self.bilinear(self.watched(history[rows, places]))
        at = rows * length + places
        moved = mapped.new_zeros(len(history) * length, self.dim).index_copy(0, at, mapped)
        return moved.view(len(history), length, self.dim)

    def interests(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The queries (B, K, D), and which of them there are (B, K); the others mean nothing."""
        history = column(batch, "history", self.num_items, "BL")
        capsules, exists = self.capsules(history)
        features = self.user_features(batch, history.shape[0])
        wide = [part[:, None].expand(-1, self.num_interests, -1) for part in features]
        return self.tower(torch.cat([capsules, *wide], dim=2)), exists

    def query(self, batch: Batch) -> Tensor:
        """The queries (B, K, D). Where there are fewer, the first one is repeated: the best of them stays the same."""
        queries, exists = self.interests(batch)
        return torch.where(exists[:, :, None], queries, queries[:, :1])

    def training_queries(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The interests weighed by label-aware attention (B, D), and the targets (B,)."""
        queries, exists = self.interests(batch)
        targets = column(batch, "target", self.num_items, "B")
        fit = (queries @ self.items(targets.clamp(min=0))[:, :, None])[:, :, 0]
        return (self._attention(fit, exists)[:, None] @ queries)[:, 0], targets

    def _attention(self, fit: Tensor, exists: Tensor) -> Tensor:
        """Weights (B, K) of interests that fit the target so well."""
        if self.power == math.inf:
            best = fit.masked_fill(~exists, -math.inf).argmax(dim=1, keepdim=True)
            return torch.zeros_like(fit).scatter(1, best, 1.0)
        if self.power == 0:
            fit = torch.zeros_like(fit)
        elif self.power != 1:
            fit = (fit * fit.abs() ** (self.power - 1)).clamp(-LARGEST, LARGEST)
        return fit.masked_fill(~exists, -math.inf).softmax(dim=1)


def _squash(z: Tensor) -> Tensor:
    """Vectors of the same direction and of length |z|^2 / (1 + |z|^2); 0 stays 0, with a finite gradient."""
    length = torch.linalg.vector_norm(z, dim=-1, keepdim=True)
    return z * (length / (1 + length * length))  # without a division by |z|, which no exporter can make one by 0


def _check_power(name: str, value: Any) -> float:
    power = math.inf if value in (math.inf, "inf") else check_float(name, value, at_least=0)
    if 0 < power < 1:
        raise ArgumentError(name, "0 or a number >= 1", value)
    return power


@configclass(group="Model")
class MINDConfig(ContentConfig, NextItemConfig):
    """The arguments of MIND.

    Example:
        >>> MINDConfig(power="inf").settings()["power"]
        'inf'
    """

    max_length = 20
    recency: Recency = 0.8
    settings_before: ClassVar[Mapping[str, Any]] = {"recency": 1.0}
    interests: Annotated[int, AtLeast(1), TriedValues(1, 6), Help("Maximum number of interests per user.")] = 2
    adaptive: Annotated[
        bool,
        Help(
            "Whether short histories have fewer interests.",
            typed="Fewer interests for short histories, or the same number for all.",
            flag="--adaptive/--fixed",
        ),
    ] = True
    passes: Annotated[int, AtLeast(1), Help("Iterations of the routing.")] = 3
    power: Annotated[
        float,
        Check(_check_power),
        Help(
            "Sharpness of the choice among interests in training: 0, a number >= 1, or inf.",
            more="p of the label-aware attention; math.inf takes the best interest alone.",
        ),
    ] = 2.0
    hidden: Annotated[Hidden, Help("Widths of the ReLU layers after the capsules.")] = (256,)
    feature_dim: FeatureDim = 16
    learned_routing: Annotated[
        bool,
        Help(
            "Whether the initial logits of the routing are trained.",
            more="They tell interests apart by how recent their items are; the paper's are random numbers that stay.",
            typed="Train the initial logits of the routing, or keep the random ones.",
            flag="--learned-routing/--random-routing",
        ),
    ] = True
    tied: Tied = True

    def settings(self) -> dict[str, Any]:
        """The arguments, as JSON can hold them."""
        return {**super().settings(), "power": "inf" if self.power == math.inf else self.power}


class MIND(MINDConfig, NeuralRecommender):
    """Recommends by several interest vectors per user, made by dynamic routing; see MINDEncoder.

    An item is as good as it is for the interest that it fits best. Features of users that the log has are inputs.

    Raises:
        ArgumentError, ArgumentTypeError: an argument is not as described.

    References:
        Li et al., Multi-Interest Network with Dynamic Routing for Recommendation at Tmall, CIKM 2019, arXiv:1904.08030.

    Example:
        >>> from logq.logs import Interactions
        >>> log = Interactions.from_sessions([["tea", "milk", "cup", "spoon"]] * 8)
        >>> model = MIND(dim=16, interests=2, num_sampled=8, epochs=30, lr=0.02, seed=1).fit(log, progress=False)
        >>> model.recommend(histories=["tea", "milk"], k=1).items.tolist()
        ['cup']
    """

    def _make_model(self, *, sparse: bool) -> RetrievalModel:
        return MINDEncoder(
            self.known.num_items,
            self.dim,
            interests=self.interests,
            adaptive=self.adaptive,
            passes=self.passes,
            max_length=self.max_length,
            power=self.power,
            hidden=self.hidden,
            user_features=feature_sizes(self.known.user_features),
            feature_dim=self.feature_dim,
            recency=self.recency,
            learned_routing=self.learned_routing,
            tied=self.tied,
            dropout=self.dropout,
            sparse=sparse,
            content=content_of(self.content, self.id_dropout, self.known),
        )

    def _make_examples(self, log: Interactions, seed: int) -> Examples:
        return NextItems(log, self.max_length, age=None, pad=self.cuda_graphs)
