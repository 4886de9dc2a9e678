"""FuXi-Linear's chunks against the recurrence that they stand for; tests of all layers are in test_layers."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from logq.recommenders.layers import fuxi_linear
from logq.recommenders.layers.fuxi_linear import FuXiLinearLayer, retained
from logq.recommenders.layers.layer_config import LayerConfig
from logq.recommenders.layers.sequence_layer import HistoryLayout


def recurrent(query: Tensor, key: Tensor, value: Tensor, elapsed: Tensor, rate: Tensor | None) -> Tensor:
    rows, heads, length, width = value.shape
    found = torch.zeros(rows, heads, length, width, dtype=value.dtype)
    for row in range(rows):
        for head in range(heads):
            state = torch.zeros(key.shape[3], width, dtype=value.dtype)
            for i in range(length):
                if i and rate is not None:
                    state = state * torch.exp(-rate[head] * (elapsed[row, i] - elapsed[row, i - 1]))
                state = state + torch.outer(key[row, head, i], value[row, head, i])
                found[row, head, i] = query[row, head, i] @ state
    return found


@pytest.mark.parametrize("fades", [True, False], ids=["fading", "kept"])
@pytest.mark.parametrize(("length", "size"), [(1, 4), (4, 4), (5, 4), (8, 4), (11, 4), (7, 1)])
def test_chunks_are_the_recurrence_with_its_gradients(length: int, size: int, fades: bool) -> None:
    torch.manual_seed(length)
    query, key, value = (torch.randn(2, 3, length, n, dtype=torch.float64, requires_grad=True) for n in (2, 2, 5))
    elapsed = (4 * torch.rand(2, length, dtype=torch.float64)).cumsum(dim=1) - 1e6
    rate = torch.rand(3, dtype=torch.float64, requires_grad=True) if fades else None
    inputs = [query, key, value] if rate is None else [query, key, value, rate]
    weights = torch.randn(2, 3, length, 5, dtype=torch.float64)
    found, expected = retained(query, key, value, elapsed, rate, size), recurrent(query, key, value, elapsed, rate)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    if rate is None or length > 1:
        gradients = (torch.autograd.grad((x * weights).sum(), inputs) for x in (found, expected))
        for one, other in zip(*gradients, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def layer_and_batch(length: int, **settings: Any) -> tuple[FuXiLinearLayer, Tensor, HistoryLayout]:
    """Rows of all lengths up to that, of which every fifth time is not known."""
    torch.manual_seed(1)
    layer = FuXiLinearLayer(8, length, LayerConfig(layer="fuxi_linear", dropout=0.0, **settings)).double()
    for parameter in layer.parameters():
        parameter.data.add_(0.3 * torch.randn(parameter.shape, dtype=torch.float64))
    ends = torch.tensor([length, length - 3, 2, 0])
    ages = torch.randint(1, 400, (4, length)).cumsum(dim=1).flip(1)
    ages[:, ::5] = -1
    ages = ages.masked_fill(torch.arange(length) >= ends[:, None], -1)
    return layer, torch.randn(4 * length, 8, dtype=torch.float64), HistoryLayout(length, ends, times=ages)


@pytest.mark.parametrize("sizes", [(2, 3), (5, 1), (4, 16)])
def test_a_layer_is_the_same_for_all_sizes_of_chunks(sizes: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x, layout = layer_and_batch(13, heads=2, time_buckets=3)
    whole = layer(x, layout).view(4, 13, 8)
    monkeypatch.setattr(fuxi_linear, "CHUNK", sizes[0])
    monkeypatch.setattr(fuxi_linear, "TIME_CHUNK", sizes[1])
    cut = layer(x, layout).view(4, 13, 8)
    for row, end in enumerate(layout.ends.tolist()):
        torch.testing.assert_close(cut[row, :end], whole[row, :end], rtol=1e-9, atol=1e-9)


class Largest(TorchDispatchMode):
    """How many numbers the largest tensor has that was made."""

    numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, (tuple, list)) else [made]:
            if isinstance(tensor, Tensor):
                self.numbers = max(self.numbers, tensor.untyped_storage().nbytes() // tensor.element_size())
        return made


def test_no_tensor_has_a_number_for_each_pair_of_items() -> None:
    found = []
    for length in (256, 1024):
        layer, x, layout = layer_and_batch(length, time_buckets=2)
        with Largest() as largest:
            layer(x, layout).sum().backward()
        found.append(largest.numbers)
    assert found[1] == 4 * found[0]


def test_periods_are_told_apart_and_have_an_end() -> None:
    """What was a period ago counts like what is now, but for its fading; half of it ago the other way round."""
    layer = FuXiLinearLayer(4, 9, LayerConfig(layer="fuxi_linear", time_buckets=2)).double().requires_grad_(False)
    layer.time_shares.copy_(torch.tensor([[1.0], [0.0]]).repeat(1, 4))
    values = torch.ones(1, 4, 2, 1, dtype=torch.float64) * torch.tensor([1.0, 0.0])[:, None]
    for gap, turns in ((16, 1), (8, 0.5), (4, 0.25)):
        seen = layer._by_time(values, HistoryLayout(2, torch.tensor([2]), times=torch.tensor([[gap, 0]])))[0, :, 1, 0]
        fading = math.exp(-2 * math.pi * math.log(2) * turns)
        angle = 2 * math.pi * turns
        wanted = torch.tensor([fading * math.sin(angle), fading * math.cos(angle)], dtype=torch.float64)
        torch.testing.assert_close(seen[[1, 3]], wanted, rtol=1e-9, atol=1e-9)
    message = "time_buckets: expected at most 16 with layer 'fuxi_linear', the last of which is 16\\^15, got 17"
    with pytest.raises(ValueError, match=message):
        FuXiLinearLayer(4, 9, LayerConfig(layer="fuxi_linear", time_buckets=17))
