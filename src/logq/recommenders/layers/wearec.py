"""WEARecLayer: a filter of frequencies that depends on the history, and wavelets; Xu et al., AAAI 2026."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, gelu

from logq.recommenders.layers.sequence_layer import BlockConfig, HistoryLayout, SequenceLayer, linear

__all__ = ["WEARecLayer"]


class WEARecLayer(SequenceLayer):
    """A filter whose weights follow from the mean of a history, mixed with a Haar wavelet, and a feed-forward layer.

    Of a window of N = `max_length` items that ends with the history and has zeros before it, in each of H heads:

        X = rfft(x),   (s, b) = W_2 gelu(W_1 mean(x) + b_1) + b_2      one each for every head and frequency
        filter(x) = irfft(u (1 + s) X + v + b),   u, v are learned, rfft and irfft are orthonormal
        wavelet(x)_i = (x_i + x_j) / 2 + w (x_i - x_j) / 2             i and j are a pair, counted from the end
        x = norm(x + dropout(alpha filter(x) + (1 - alpha) wavelet(x)))
        x = norm(x + dropout(W_4 gelu(W_3 x + b_3) + b_4))

    w is learned for each pair and feature. The output at an item depends on those after it, so that it learns what
    follows the last item of a history, and not what follows each.

    Differs from the authors' program: mean(x) is that of the items and not of the zeros before them, of which they
    have vectors, too, and pairs are counted from the end, so that the last item has one in windows of odd length, too.

    References:
        Xu et al., Wavelet Enhanced Adaptive Frequency Filter for Sequential Recommendation, AAAI 2026,
        arXiv:2511.07028.

    Example:
        >>> from logq.recommenders.layers import LayerConfig
        >>> layer = WEARecLayer(8, 50, LayerConfig(layer="wearec", heads=2))
        >>> layer(torch.zeros(3, 8), HistoryLayout(3, torch.tensor([3]))).shape
        torch.Size([3, 8])
    """

    options: ClassVar[Mapping[str, Any]] = {
        "heads": 1,
        "hidden": None,
        "positions": ("end", "start", "none"),
        "norm": ("post", "pre"),
        "alpha": 0.2,
    }
    widening: ClassVar[int] = 4
    looks_ahead: ClassVar[bool] = True

    def __init__(self, dim: int, max_length: int, config: BlockConfig) -> None:
        super().__init__(dim, max_length, config)
        assert config.alpha is not None
        self.alpha, self.frequencies = config.alpha, max_length // 2 + 1
        self.filter_norm = nn.LayerNorm(dim)
        self.scale = nn.Parameter(torch.ones(self.heads, self.frequencies))  # u
        self.offset = nn.Parameter(torch.full((self.heads, self.frequencies), -0.1))  # v
        self.read = linear(dim, dim)
        self.write = linear(dim, 2 * self.heads * self.frequencies)
        self.detail = nn.Parameter(0.02 * torch.randn((max_length + 1) // 2, dim))  # w
        self.add_feed_forward()

    def forward(self, x: Tensor, layout: HistoryLayout) -> Tensor:
        """(N, D) -> (N, D)."""
        return self.fed_forward(self.added(x, self.filter_norm, lambda x: self.mixed(x, layout)))

    def mixed(self, x: Tensor, layout: HistoryLayout) -> Tensor:
        """(N, D) -> (N, D), the filter and the wavelet."""
        items = layout.only_items(layout.padded(x))
        after = (layout.ends[:, None] - 1 - layout.place[:, 0]).clamp(min=0)  # (B, L), how many items come after one
        mixed = self.alpha * self._filtered(items, layout, after) + (1 - self.alpha) * self._wavelet(items, after)
        return layout.packed(mixed)

    def _filtered(self, x: Tensor, layout: HistoryLayout, after: Tensor) -> Tensor:
        """(B, L, D) -> (B, L, D). A shift of a window turns X and is undone by irfft, so the history may stand first.

        What v + b, which have no phase, give an item does depend on its place, that from the end of the window.
        """
        rows, _, dim = x.shape
        mean = x.sum(dim=1) / layout.ends.clamp(min=1)[:, None]
        scale, offset = self.write(gelu(self.read(mean))).view(rows, 2, self.heads, self.frequencies).unbind(dim=1)
        n = self.max_length
        k = torch.arange(self.frequencies, device=x.device, dtype=x.dtype)
        both = torch.full_like(k, 2.0).masked_fill((k == 0) | (2 * k == n), 1.0)  # a frequency and the negative one
        turns = torch.arange(n, device=x.device, dtype=x.dtype)[:, None] * k * (2 * math.pi / n)
        waves = torch.cat([turns.cos(), turns.sin()], dim=1)  # (N, 2F)
        here = embedding(layout.place[:, 0].clamp(max=n - 1), waves)  # (L, 2F)
        weight = (self.scale * (1 + scale) * both / n).repeat(1, 1, 2)  # (B, H, 2F)
        parts = (here.T @ x).view(rows, 2 * self.frequencies, self.heads, dim // self.heads)
        filtered = here @ (parts * weight.transpose(1, 2)[..., None]).reshape(rows, 2 * self.frequencies, dim)
        # cos is even: the place N - 1 - m of a window counts as m + 1.
        at_end = embedding((after + 1) % n, waves[:, : self.frequencies])  # (B, L, F)
        added = at_end @ ((self.offset + offset) * both * n**-0.5).transpose(1, 2)  # (B, L, H)
        return filtered + added.repeat_interleave(dim // self.heads, dim=2)

    def _wavelet(self, x: Tensor, after: Tensor) -> Tensor:
        """(B, L, D) -> (B, L, D)."""
        is_newer = (after % 2 == 0)[..., None]  # of its pair, whose other item is before it
        first = torch.arange(x.shape[1], device=x.device)[:, None] == 0
        other = torch.where(is_newer, x.roll(1, dims=1).masked_fill(first, 0.0), x.roll(-1, dims=1))
        weight = embedding((after // 2).clamp(max=len(self.detail) - 1), self.detail)
        return (x + other + weight * (x - other)) / 2
