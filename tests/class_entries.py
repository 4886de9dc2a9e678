"""Entries of a batch, their sums over classes by a loop in float64, and rules of optimizers with states."""

import torch
from torch import Tensor

from logq.candidates import IGNORED
from logq.kernels.passes import Entries
from logq.kernels.updates import STATES, Kind, RowRule, real_dtype

C = 30
KINDS: list[Kind] = ["sgd", "adagrad", "rowwise_adagrad", "adam"]
DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]


def entries_of(
    b: int, t: int, s: int, d: int, *, per_row: bool, dtype: torch.dtype = torch.float64, seed: int = 0
) -> Entries:
    generator = torch.Generator().manual_seed(seed)

    def numbers(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=dtype, generator=generator)

    targets = torch.randint(0, C, (b, t), generator=generator)
    ignored = torch.rand(b, t, generator=generator) < 0.3
    shape = (b, s) if per_row else (s,)
    return Entries(
        numbers(b, d),
        targets.masked_fill(ignored, IGNORED),
        numbers(b, t).masked_fill(ignored, 0.0),
        torch.randint(0, C, shape, generator=generator),
        numbers(*shape),
        None if per_row else numbers(s, d),
    )


def loop(entries: Entries, weight: Tensor, scale: float, cosine: bool) -> tuple[Tensor, Tensor]:
    """Both gradients, dense and in float64, an entry at a time."""
    input, targets, true_factors, ids, factors, rows = entries
    total, biases = torch.zeros(weight.shape, dtype=torch.float64), torch.zeros(len(weight), dtype=torch.float64)
    for i, (classes, numbers) in enumerate(zip(targets, true_factors, strict=True)):
        for c, factor in zip(classes.tolist(), numbers.double(), strict=True):
            if c != IGNORED:
                total[c] += factor * input[i].double()
                biases[c] += factor
    if rows is None:
        for i, (classes, numbers) in enumerate(zip(ids, factors, strict=True)):
            for c, factor in zip(classes.tolist(), numbers.double(), strict=True):
                total[c] += factor * input[i].double()
                biases[c] += factor
    else:
        for c, row, factor in zip(ids.tolist(), rows, factors, strict=True):
            total[c] += row.double()
            biases[c] += factor.double()
    total, biases = scale * total, scale * biases
    if cosine:
        w = weight.double().requires_grad_()
        (total,) = torch.autograd.grad(torch.nn.functional.normalize(w, dim=1), w, total)
    return total, biases


def rule_for(kind: Kind, table: Tensor, seed: int = 3) -> RowRule:
    generator = torch.Generator().manual_seed(seed)
    shape = table.shape[:1] if kind == "rowwise_adagrad" else table.shape
    states = tuple(torch.rand(shape, generator=generator).to(real_dtype(table.dtype)) for _ in range(STATES[kind]))
    return RowRule(kind, 0.1, 0.01, 1e-3, (0.8, 0.95), 4, maximize=True, states=states)
