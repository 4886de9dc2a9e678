"""FuXiLinearLayer: retention by content, time and place, linear in the length; Ye et al. 2026, arXiv:2602.23671."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, silu, softplus

from logq._arguments import ArgumentError
from logq.recommenders.layers.sequence_layer import BlockConfig, HistoryLayout, SequenceLayer, linear
from logq.tracing import is_exported

__all__ = ["FuXiLinearLayer", "retained"]

CHUNK, TIME_CHUNK = 64, 16
"""Items of a chunk, all pairs of which are made: about the fastest of 32, 64, 128 and of 8, 16, 32."""

PERIOD, MOST_PERIODS = 16, 16
"""How many times longer a period is than the one before, as the authors took them for MovieLens-20M, and the most."""

WAVES = 16
"""Waves of a weight by distance."""


class FuXiLinearLayer(SequenceLayer):
    """Sums over the items before, weighted by content, time and distance, which states carry on; and SwiGLU.

        u, q, k, v = silu(W norm(x)),   t = W_T norm(x),   p = W_P norm(x)
        c_i = sum_j exp(-a (i - j)) <q_i, k_j> v_j                        in heads, each with its own a
        t'_i = m sum_j exp(-2 pi d gap / T) wave(2 pi gap / T) t_j + n t_i    gap: from the time of item j to that of i
        p'_i = m sum_j sum_s (f_s cos(s (i - j)) + g_s sin(s (i - j))) p_j + n p_i
        x = x + W_O dropout(u [norm(c), norm(t'), norm(p')])
        x = x + W_3 (silu(W_1 y) W_2 y),   y = dropout(norm(x))

    j <= i. wave is sin in one half of t and cos in the other; parts of each half have periods T of 1, 16, 16^2 .. units
    of the log's times, `time_buckets` of them. An item whose time is not known takes no part in t'. There is no t'
    where a log has no times, and no p' with positions="none". All pairs of items are made in chunks alone, so that long
    histories cost what their length is.

    Differs from the paper: gaps are those between items, as the time of a request is not known in general; p' knows
    distances, by waves with learned weights, and not places, by products of vectors learned for each.

    References:
        Ye et al., FuXi-Linear: Unleashing the Power of Linear Attention in Long-term Time-aware Sequential
        Recommendation, 2026, arXiv:2602.23671.

    Example:
        >>> from logq.recommenders.layers import LayerConfig
        >>> layer = FuXiLinearLayer(8, 50, LayerConfig(layer="fuxi_linear", time_buckets=0))
        >>> layer(torch.zeros(3, 8), HistoryLayout(3, torch.tensor([3]))).shape
        torch.Size([3, 8])
    """

    options: ClassVar[Mapping[str, Any]] = {
        "heads": 1,
        "hidden": None,
        "positions": ("relative", "none", "start", "end"),
        "norm": ("pre",),
        "time_buckets": 8,
    }

    def __init__(self, dim: int, max_length: int, config: BlockConfig) -> None:
        super().__init__(dim, max_length, config)
        periods = config.time_buckets or 0
        if periods > MOST_PERIODS:
            expected = (
                f"at most {MOST_PERIODS} with layer 'fuxi_linear', the last of which is {PERIOD}^{MOST_PERIODS - 1}"
            )
            raise ArgumentError("time_buckets", expected, periods)
        self.parts = 2 * periods  # of t: a sine and a cosine of each period
        timed = -(-dim // self.parts) * self.parts if self.parts else 0
        placed = 0 if config.positions == "none" else dim
        self.widths = (dim + timed + placed, dim, dim, dim, timed, placed)
        self.input_norm = nn.LayerNorm(dim)
        self.expand = linear(dim, sum(self.widths), bias=False)  # u, q, k, v, t, p
        self.content_fading = nn.Parameter(-math.log(2) * torch.arange(1.0, self.heads + 1))  # log a
        self.content_norm = nn.LayerNorm(dim)
        if timed:
            self.time_fading = nn.Parameter(torch.zeros(periods))  # d = softplus of it
            self.time_shares = nn.Parameter(torch.tensor([[0.1], [1.0]]).repeat(1, self.parts))  # m, n
            self.time_norm = nn.LayerNorm(timed)
        if placed:
            self.waves = nn.Parameter(torch.tensor([[1 / WAVES], [0.0]]).repeat(1, WAVES))  # f, g
            self.place_shares = nn.Parameter(torch.tensor([0.1, 1.0]))  # m, n
            self.place_norm = nn.LayerNorm(dim)
        self.project = linear(self.widths[0], dim, bias=False)
        self.feed_forward_norm = nn.LayerNorm(dim)
        self.gate = linear(dim, 2 * self.hidden, bias=False)  # W_1 and W_2
        self.contract = linear(self.hidden, dim, bias=False)

    def forward(self, x: Tensor, layout: HistoryLayout) -> Tensor:
        """(N, D) -> (N, D)."""
        u, q, k, v, t, p = self.expand(self.input_norm(x)).split(self.widths, dim=1)
        query, key, value = (_in_heads(silu(part), self.heads, layout) for part in (q, k, v))
        content = retained(query, key, value, layout.place.T, self.content_fading.exp(), CHUNK)
        mixed = [self.content_norm(_packed(content, layout))]
        if t.shape[1]:
            mixed.append(self.time_norm(_packed(self._by_time(_in_heads(t, self.parts, layout), layout), layout)))
        if p.shape[1]:
            mixed.append(self.place_norm(_packed(self._by_distance(_in_heads(p, 1, layout), layout), layout)))
        x = x + self.project(self.dropout(silu(u) * torch.cat(mixed, dim=1)))
        gate, value = self.gate(self.dropout(self.feed_forward_norm(x))).chunk(2, dim=1)
        return x + self.contract(silu(gate) * value)

    def _by_time(self, values: Tensor, layout: HistoryLayout) -> Tensor:
        """t' of t (B, 2P, L, W)."""
        if layout.times is None:
            raise KeyError("history.time: the model needs this column, the batch has none")
        ages = layout.times.double() if layout.times.device.type == "cpu" else layout.times.float()
        is_known = ages >= 0  # not so of nan
        elapsed = torch.where(is_known, -ages, -1e18)  # what is not known is before everything
        periods = PERIOD ** torch.arange(self.parts // 2, device=ages.device, dtype=ages.dtype)
        turns = (elapsed[:, None] % periods[:, None] * (2 * math.pi / periods[:, None])).to(self.time_fading.dtype)
        cos, sin = ((wave * is_known[:, None])[..., None] for wave in (turns.cos(), turns.sin()))  # (B, P, L, 1)
        key = torch.cat([cos, sin], dim=3)
        query = torch.cat([torch.cat([sin, -cos], dim=3), key], dim=1)
        rate = softplus(self.time_fading) * (2 * math.pi / periods).to(self.time_fading.dtype)
        seen = retained(query, key.repeat(1, 2, 1, 1), values, elapsed, rate.repeat(2), TIME_CHUNK)
        of_seen, of_own = self.time_shares[..., None, None]
        return of_seen * seen + of_own * values

    def _by_distance(self, values: Tensor, layout: HistoryLayout) -> Tensor:
        """p' of p (B, 1, L, D)."""
        steps = 10_000 ** (torch.arange(WAVES, device=values.device, dtype=self.waves.dtype) / -WAVES)
        cos, sin = (layout.place * steps).cos(), (layout.place * steps).sin()  # (L, WAVES)
        f, g = self.waves
        query = torch.cat([f * cos + g * sin, f * sin - g * cos], dim=1)[None, None]
        seen = retained(query, torch.cat([cos, sin], dim=1)[None, None], values, layout.place.T, None, CHUNK)
        of_seen, of_own = self.place_shares
        return of_seen * seen + of_own * values


def retained(
    query: Tensor,  # (B, H, L, K)
    key: Tensor,  # (B, H, L, K)
    value: Tensor,  # (B, H, L, V)
    elapsed: Tensor,  # (B, L)
    rate: Tensor | None,  # (H,)
    size: int,
) -> Tensor:  # (B, H, L, V)
    """What is left at each item of all until then, fading as time goes by: linear attention as a recurrence.

        S_i = exp(-rate (elapsed_i - elapsed_{i-1})) S_{i-1} + k_i v_i^T,   y_i = S_i^T q_i

    It is computed for `size` items at once, from S before them and from all pairs of them. Of query, key and elapsed
    B, and of the first two H, may be 1. Without a rate nothing fades. An exported graph, which has one number of steps
    for all lengths, takes all items at once.

    Example:
        >>> ones = torch.ones(1, 1, 4, 1)
        >>> retained(ones, ones, ones, torch.arange(4)[None], torch.tensor([math.log(2)]), size=2)[0, 0, :, 0]
        tensor([1.0000, 1.5000, 1.7500, 1.8750])
    """

    def faded(x: Tensor, gap: Tensor) -> Tensor:
        """x (B, H, ...) after a gap (B, ...)."""
        if rate is None:
            return x
        return x * torch.exp(gap.clamp(min=0).to(rate.dtype)[:, None] * -rate.view(-1, *[1] * (gap.dim() - 1)))

    length = value.shape[2]
    at_once = is_exported() or length <= size
    after = 0 if at_once else -length % size
    if after:
        query, key, value = (pad(x, (0, 0, 0, after)) for x in (query, key, value))
        elapsed = torch.cat([elapsed, elapsed[:, -1:].expand(-1, after)], dim=1)
    chunks = (1, length) if at_once else (-1, size)
    query, key, value = (x.unflatten(2, chunks) for x in (query, key, value))  # (B, H, n, size, K or V)
    elapsed = elapsed.unflatten(1, chunks)
    pairs = faded(query @ key.mT, elapsed[..., :, None] - elapsed[..., None, :])
    inside = pairs.tril() @ value
    if at_once:
        return inside.flatten(2, 3)
    ends = elapsed.amax(dim=2).cummax(dim=1).values
    starts = torch.cat([ends[:, :1], ends[:, :-1]], dim=1)  # when the chunk before ended
    added = faded(key.mT, (ends[..., None] - elapsed)[..., None, :]) @ value  # (B, H, n, K, V)
    kept = faded(added.new_ones(1, 1, added.shape[2]), ends - starts)
    state, states = torch.zeros_like(added[:, :, 0]), list[Tensor]()
    for share, new in zip(kept.unbind(dim=2), added.unbind(dim=2), strict=True):
        states.append(state)
        state = share[..., None, None] * state + new
    before = faded(query, (elapsed - starts[..., None])[..., None]) @ torch.stack(states, dim=2)
    return (inside + before).flatten(2, 3)[:, :, :length]


def _in_heads(x: Tensor, heads: int, layout: HistoryLayout) -> Tensor:
    """(N, W) -> (B, H, L, W / H)."""
    return layout.padded(x).unflatten(2, (heads, -1)).transpose(1, 2)


def _packed(x: Tensor, layout: HistoryLayout) -> Tensor:
    """(B, H, L, W / H) -> (N, W)."""
    return layout.packed(x.transpose(1, 2).flatten(2))
