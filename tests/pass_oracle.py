"""Losses and gradients in plain torch, all logits at once: what the passes of backends are held to."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, normalize

from logq.candidates import IGNORED
from logq.kernels.passes import LossesAndGradients, PassInputs


def losses_and_gradients(given: PassInputs) -> LossesAndGradients:
    """Either shape of ids."""
    input, weight, targets, ids, true_offsets, offsets, excluded, row_scale, *_ = given
    temperature, true_weight, per_row = given.temperature, given.true_weight, ids.dim() == 2
    with torch.no_grad(), torch.autocast("cpu", enabled=False):
        is_true = targets != IGNORED
        counts = is_true.any(dim=1)
        true_rows, rows = weight[targets.clamp(min=0)].to(input.dtype), weight[ids].to(input.dtype)
        if given.cosine:
            true_rows, rows = normalize(true_rows, dim=-1), normalize(rows, dim=-1)
        true = torch.einsum("bd,btd->bt", input, true_rows) / temperature
        sampled = (torch.einsum("bd,bsd->bs", input, rows) if per_row else input @ rows.T) / temperature
        true = true if true_offsets is None else true + true_offsets
        sampled = sampled if offsets is None else sampled + offsets
        leaves = ~counts[:, None].expand(sampled.shape)
        if excluded is not None:
            leaves = leaves | excluded
        if given.remove_hits:
            leaves = leaves | (ids[..., None, :] == targets[:, :, None]).any(dim=1)
        true = true.masked_fill(~is_true, 0.0)
        sampled = sampled.masked_fill(leaves, -torch.inf)
        if given.softmax:
            # Divided by the sum: exp(G - logsumexp) would round the logarithm first, to eps times its size.
            largest = torch.cat([true, sampled], dim=1).amax(dim=1, keepdim=True)
            of_true, of_sampled = torch.exp(true - largest), torch.exp(sampled - largest)
            others = of_sampled.sum(dim=1, keepdim=True)
            total = of_true + others
            losses = (total.log() + (largest - true)).sum(dim=1)
            of_true, of_sampled = -others / total, of_sampled / total
        else:
            positive = -logsigmoid(true).masked_fill(~is_true, 0.0).sum(dim=1)
            losses = true_weight * positive - logsigmoid(-sampled).sum(dim=1)
            of_true, of_sampled = -true_weight * torch.sigmoid(-true), torch.sigmoid(sampled)
        losses = losses.masked_fill(~counts, 0.0)
        nothing = input.new_empty(0)
        if not given.gradients:
            return LossesAndGradients(losses, nothing, nothing, nothing, nothing)
        scale = 1 / temperature if row_scale is None else row_scale[:, None] / temperature
        of_true = (of_true * scale).masked_fill(~is_true, 0.0)
        of_sampled = (of_sampled * scale).masked_fill(leaves, 0.0)
        of_input = torch.einsum("bt,btd->bd", of_true, true_rows)
        if per_row:
            of_input = of_input + torch.einsum("bs,bsd->bd", of_sampled, rows)
            return LossesAndGradients(losses, of_input, of_true, of_sampled, nothing)
        of_biases = of_sampled.sum(dim=0) if given.biases else nothing
        return LossesAndGradients(losses, of_input + of_sampled @ rows, of_true, of_biases, of_sampled.T @ input)


def arguments(
    shape: str,
    *,
    sizes: tuple[int, int, int, int, int] = (6, 2, 9, 12, 5),
    real: torch.dtype = torch.float64,
    storage: torch.dtype = torch.float64,
    offsets: str = "own",  # "own": (B, S), "ids": as ids, "none"
    excluded: bool = True,
    row_scale: bool = True,
    seed: int = 0,
) -> list[Tensor | None]:
    """Everything by place, with hits, copies, ignored entries, a row without a true class, and NaN where none looks."""
    b, t, s, c, d = sizes
    g = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=g, dtype=torch.float64).to(real)

    weight = normal(c, d).to(storage)
    weight[c - 1] = torch.nan
    targets = torch.randint(c - 1, (b, t), generator=g)
    ids = torch.randint(c - 1, (b, s) if shape == "per row" else (s,), generator=g)
    if b and s:
        ids[..., -1] = targets[0, 0]
    true_offsets = normal(b, t)
    if b > 2:
        targets[1] = IGNORED
        targets[2, -1] = IGNORED
        true_offsets[targets == IGNORED] = torch.nan
    own = {"own": normal(b, s), "ids": normal(*ids.shape), "none": None}[offsets]
    return [
        normal(b, d),
        weight,
        targets,
        ids,
        None if offsets == "none" else true_offsets,
        own,
        torch.rand(b, s, generator=g) < 0.3 if excluded else None,
        normal(b) if row_scale else None,
    ]


def both(
    function: Callable[[PassInputs], LossesAndGradients], given: list[Tensor | None], **options: Any
) -> tuple[LossesAndGradients, LossesAndGradients]:
    """What a pass gives, which must not write to its arguments, and what the oracle gives."""
    options = {
        "softmax": False,
        "remove_hits": True,
        "temperature": 1.0,
        "cosine": False,
        "gradients": True,
    } | options
    before = [None if x is None else x.clone() for x in given]
    inputs = PassInputs(*given, **options)  # pyright: ignore[reportArgumentType]
    actual = function(inputs)
    for now, then in zip(given, before, strict=True):
        assert now is None or torch.equal(now.nan_to_num(7.0), then.nan_to_num(7.0))
    assert isinstance(actual, LossesAndGradients)
    return actual, losses_and_gradients(inputs)


def assert_alike(results: tuple[LossesAndGradients, LossesAndGradients], tolerance: float = 1e-12) -> None:
    actual, expected = results
    for name, of_actual, of_expected in zip(LossesAndGradients._fields, actual, expected, strict=True):
        assert of_actual.is_contiguous()
        assert of_actual.dtype == of_expected.dtype, name
        assert of_actual.numel() == of_expected.numel(), name
        assert not of_expected.isnan().any(), name
        if of_expected.numel():
            assert of_actual.shape == of_expected.shape, name
            torch.testing.assert_close(of_actual, of_expected, rtol=tolerance, atol=tolerance, msg=name)
