"""Sums over classes on a GPU: entries sorted by class, summed by many programs, nothing added by atomics.

    keys_kernel     ids of classes, checked, as short keys                                                 then a sort
    pieces_kernel   sorted entries are cut into pieces of PIECE: what the start of each adds to the class of the last
    class_kernel    a program for each place: it ends unless a class begins there, else it sums the entries up to the
                    end of their piece, and what the pieces after it add: a gradient, or the rule of an optimizer

So no program sums more than PIECE entries, however often a class is named, and the order of a sum follows from the
entries alone: the same bits come out each time. How many classes there are is known to the device alone. Only the size
of a sparse gradient is waited for, as torch's tensors need it. Updates inside of backward store no gradient.

Rows wider than WIDEST are cut into chunks, each with a program of its own, but where a number of the whole row is
needed, its length or the mean of its squares: there a program goes over the chunks several times, and sums again.
"""

from dataclasses import replace
from typing import Any, Final, NamedTuple

import torch
import triton
from torch import Tensor

from logq.kernels.passes import Entries
from logq.kernels.triton.class_kernels import class_kernel, keys_kernel, pieces_kernel
from logq.kernels.triton.launching import TYPES, launch, traps
from logq.kernels.updates import RowRule, real_dtype

__all__ = ["class_gradients", "sum_rows", "update_classes", "update_rows"]

PIECE = 128
"""Entries of a piece. A program waits for memory 32 times at most for entries, and once for each 1,024 of pieces."""

FEW: Final = 4
"""Entries that are read at a time: most classes have no more."""

WIDEST: Final = 1024
"""Numbers of a row that a program holds."""

KEYS_AT_ONCE: Final = 1024

KINDS: Final = {"sgd": 0, "adagrad": 1, "rowwise_adagrad": 2, "adam": 3}
NO_RULE: Final = RowRule("sgd", lr=0.0)
ROUNDED: Final = {torch.bfloat16: "bf16", torch.float16: "fp16"}


class RowShape(NamedTuple):
    """How a program holds rows.

    Args:
        chunk: numbers of a row, a power of 2.
        warps: of 32 threads.
        many: of them are read at a time where nothing else is held.
    """

    chunk: int
    warps: int
    many: int


def shape_of_rows(dim: int) -> RowShape:
    """How rows of width `dim` are held, in 64 registers a thread.

    Example:
        >>> shape_of_rows(100), shape_of_rows(5000)
        (RowShape(chunk=128, warps=1, many=16), RowShape(chunk=1024, warps=4, many=8))
    """
    chunk = min(WIDEST, triton.next_power_of_2(max(1, dim)))
    warps = max(1, min(4, chunk // 128))
    return RowShape(chunk, warps, min(16, 2048 * warps // chunk))


class Sorted(NamedTuple):
    """Entries in the order of their classes.

    Args:
        classes: (N,), ascending; those below 0 are left out.
        order: (N,) int64, which entries they are, those of one class as they were given.
        entries: what they add.
        pieces: (N / PIECE, D), what the start of each piece adds to the class of the one before; None for one piece.
        of_biases: (N / PIECE,), the same for biases.
        ranks: (N,), how many classes begin up to each place, if that was asked for.
    """

    classes: Tensor
    order: Tensor
    entries: Entries
    pieces: Tensor | None
    of_biases: Tensor | None
    ranks: Tensor | None

    @staticmethod
    def of(keys: Tensor, entries: Entries, real: torch.dtype, *, biases: bool, ranks: bool) -> "Sorted":
        """Sort entries by their classes `keys` (N,), and sum the pieces."""
        classes, order = keys.sort(stable=True)
        device, count, dim = keys.device, triton.cdiv(len(keys), PIECE), _dim(entries)
        several = count > 1
        pieces = torch.empty(count, dim, dtype=real, device=device) if several else None
        of_biases = torch.empty(count, dtype=real, device=device) if several and biases else None
        begins = torch.empty(len(keys), dtype=torch.int32, device=device) if ranks else None
        shape = shape_of_rows(dim)
        if count and (several or ranks):
            launch(
                pieces_kernel,
                (count, triton.cdiv(dim, shape.chunk) if several else 1),
                classes,
                order,
                *_tensors(entries),
                pieces,
                of_biases,
                begins,
                len(keys),
                *_strides(entries),
                DIM=dim,
                CHUNK=shape.chunk,
                MANY=shape.many,
                PIECE=PIECE,
                BIASES=of_biases is not None,
                REAL=TYPES[real],
                num_warps=shape.warps,
            )
        return Sorted(classes, order, entries, pieces, of_biases, None if begins is None else begins.cumsum(0))

    def number(self) -> int:
        """How many classes there are: the device is waited for."""
        assert self.ranks is not None
        return int(self.ranks[-1]) if len(self.ranks) else 0


def class_gradients(
    entries: Entries,
    weight: Tensor,  # (C, D)
    *,
    bias: bool,
    scale: float | Tensor,
    cosine: bool,
    sparse: bool,
) -> tuple[Tensor, Tensor | None]:
    """Gradients of class weights and of biases, summed per class; see logq.kernels.passes."""
    real = real_dtype(weight.dtype)
    entries = _contiguous(entries)
    ordered = Sorted.of(_keys(entries, weight.shape[0]), entries, real, biases=bias, ranks=sparse)
    number = ordered.number() if sparse else weight.shape[0]
    make: Any = torch.empty if sparse else torch.zeros
    of_weight: Tensor = make(number, weight.shape[1], dtype=weight.dtype, device=weight.device)
    of_bias: Tensor | None = make(number, dtype=real, device=weight.device) if bias else None
    distinct = torch.empty(number, dtype=torch.int64, device=weight.device) if sparse else None
    table = weight.detach().contiguous() if cosine else None
    _run(ordered, real, scale, out=of_weight, out_bias=of_bias, distinct=distinct, table=table, cosine=cosine)
    if distinct is None:
        return of_weight, of_bias
    return _sparse(distinct, of_weight, weight.shape), None if of_bias is None else _sparse(
        distinct, of_bias, weight.shape[:1]
    )


def update_classes(
    entries: Entries,
    weight: Tensor,  # (C, D)
    bias: Tensor | None,  # (C,)
    *,
    scale: float | Tensor,
    cosine: bool,
    weight_rule: RowRule | None,
    bias_rule: RowRule | None,
) -> None:
    """Apply rules to the classes that entries name, in place and without a wait; see logq.kernels.passes."""
    entries = _contiguous(entries)
    if bias is None or bias_rule is None:
        bias = bias_rule = None
    real = real_dtype(weight.dtype)
    together = weight_rule is not None and bias is not None and real_dtype(bias.dtype) == real
    keys = _keys(entries, weight.shape[0])
    if weight_rule is not None:
        ordered = Sorted.of(keys, entries, real, biases=together, ranks=False)
        _update(ordered, real, scale, weight, weight_rule, *((bias, bias_rule) if together else ()), cosine=cosine)
    if bias is not None and bias_rule is not None and not together:
        # A table of width 1, to which each entry adds its factor.
        ones, rows = entries.input.new_ones(len(entries.input), 1), entries.rows
        column = entries._replace(input=ones, rows=None if rows is None else entries.factors[:, None])
        real = real_dtype(bias.dtype)
        _update(Sorted.of(keys, column, real, biases=False, ranks=False), real, scale, bias[:, None], bias_rule)


def sum_rows(ids: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """The sum of the rows of each distinct id, in float32 at least; see logq.kernels.reference_rows."""
    real = real_dtype(rows.dtype)
    ordered = Sorted.of(ids.contiguous(), _rows_alone(ids, rows), real, biases=False, ranks=True)
    number = ordered.number()
    summed, distinct = rows.new_empty(number, rows.shape[1]), ids.new_empty(number)
    _run(ordered, real, 1.0, out=summed, distinct=distinct)
    return distinct, summed


@torch.no_grad()
def update_rows(rule: RowRule, table: Tensor, ids: Tensor | None, rows: Tensor) -> None:
    """Apply a rule to some rows of a table, in place; see logq.kernels.reference_rows."""
    if not rows.numel():
        return
    places = rows.new_empty(len(rows), 0) if ids is None else ids.contiguous()  # of its length alone, without ids
    each = Sorted(places, places, _rows_alone(places, rows), None, None, None)
    _update(each, real_dtype(table.dtype), 1.0, table, rule, every=ids is None, each=True)


def _rows_alone(ids: Tensor, rows: Tensor) -> Entries:
    """Entries that are rows, without factors."""
    nothing = rows.new_empty(0, 1)
    return Entries(nothing, nothing, nothing, ids, nothing, rows.contiguous())


def _contiguous(entries: Entries) -> Entries:
    return Entries(*(None if part is None else part.contiguous() for part in entries))  # pyright: ignore[reportArgumentType]


def _dim(entries: Entries) -> int:
    return (entries.input if entries.rows is None else entries.rows).shape[1]


def _tensors(entries: Entries) -> tuple[Tensor | None, ...]:
    return entries.input, entries.true_factors, entries.factors, entries.rows


def _strides(entries: Entries) -> tuple[int, int, int]:
    """How many sampled entries there are, and how many entries of either kind each row has."""
    per_row = 1 if entries.rows is not None else entries.ids.shape[-1]
    return entries.ids.numel(), max(1, per_row), max(1, entries.targets.shape[-1])


def _keys(entries: Entries, num_classes: int) -> Tensor:
    """The classes that entries name (N,), in as few bytes as they need, for these are what a sort costs."""
    # The true classes last: beside their factors, near -1, many small ones would be rounded away.
    ids, targets = entries.ids, entries.targets
    size = ids.numel() + targets.numel()
    keys = torch.empty(size, dtype=torch.int32 if num_classes < 1 << 31 else torch.int64, device=ids.device)
    if size:
        launch(
            keys_kernel,
            (triton.cdiv(size, KEYS_AT_ONCE),),
            ids,
            targets,
            keys,
            ids.numel(),
            size,
            num_classes,
            BLOCK=KEYS_AT_ONCE,
            TRAPS=traps(),
        )
    return keys


def _sparse(ids: Tensor, values: Tensor, shape: torch.Size) -> Tensor:
    return torch.sparse_coo_tensor(
        ids[None], values, shape, is_coalesced=True, check_invariants=False, requires_grad=False
    )


@torch.no_grad()
def _update(
    ordered: Sorted,
    real: torch.dtype,
    scale: float | Tensor,
    weight: Tensor,
    rule: RowRule,
    bias: Tensor | None = None,
    bias_rule: RowRule | None = None,
    **options: bool,
) -> None:
    """Apply rules to a table and to biases, however these and their states lie in memory."""
    written = [weight, *rule.states, *([] if bias is None or bias_rule is None else [bias, *bias_rule.states])]
    used = [tensor.detach().contiguous() for tensor in written]
    states = tuple(used[1 : 1 + len(rule.states)])
    biases = used[1 + len(rule.states) :]
    _run(
        ordered,
        real,
        scale,
        table=used[0],
        rule=replace(rule, states=states),
        bias=biases[0] if biases else None,
        bias_rule=None if bias_rule is None else replace(bias_rule, states=tuple(biases[1:])),
        **options,
    )
    for tensor, memory in zip(written, used, strict=True):
        if memory.data_ptr() != tensor.data_ptr():
            tensor.detach().copy_(memory)
    torch.autograd.graph.increment_version(written)  # a backward that needs old values must not go on


def _run(
    ordered: Sorted,
    real: torch.dtype,
    scale: float | Tensor,
    *,
    out: Tensor | None = None,
    out_bias: Tensor | None = None,
    distinct: Tensor | None = None,
    table: Tensor | None = None,
    bias: Tensor | None = None,
    cosine: bool = False,
    rule: RowRule | None = None,
    bias_rule: RowRule | None = None,
    every: bool = False,
    each: bool = False,
) -> None:
    """Sum what the entries of each class add; write it to `out`, or apply rules with it. All tensors are contiguous."""
    classes, order, entries, pieces, of_biases, ranks = ordered
    if not len(order):
        return
    dim = _dim(entries)
    shape = shape_of_rows(dim)
    of_rule, of_bias_rule = rule or NO_RULE, bias_rule or NO_RULE
    whole_row = cosine or of_rule.kind == "rowwise_adagrad"
    chunks = triton.cdiv(dim, shape.chunk)
    is_number = not isinstance(scale, Tensor)
    times = float(scale) if is_number else 1.0
    launch(
        class_kernel,
        (len(order), 1 if whole_row else chunks),
        order,
        None if every else classes,
        *_tensors(entries),
        pieces,
        of_biases,
        ranks,
        None if is_number else scale,
        out,
        out_bias,
        distinct,
        table,
        *_two(of_rule.states),
        bias,
        *_two(of_bias_rule.states),
        len(order),
        *_strides(entries),
        0 if table is None else table.shape[0],
        -times if of_rule.maximize else times,
        *_numbers(of_rule),
        -times if of_bias_rule.maximize else times,
        *_numbers(of_bias_rule),
        DIM=dim,
        CHUNK=shape.chunk,
        FEW=FEW,
        PIECE=PIECE,
        BY_CHUNKS=whole_row and chunks > 1,
        EACH=each,
        BIASES=out_bias is not None or bias is not None,
        COSINE=cosine,
        KIND=-1 if rule is None else KINDS[rule.kind],
        # The mean over a row of one number is the number.
        BIAS_KIND=-1 if bias_rule is None else KINDS["adagrad" if "adagrad" in bias_rule.kind else bias_rule.kind],
        ROUNDED=_rounded(rule, table),
        BIAS_ROUNDED=_rounded(bias_rule, bias),
        REAL=TYPES[real],
        TRAPS=traps(),
        num_warps=shape.warps,
    )


def _two(states: tuple[Tensor, ...]) -> tuple[Tensor | None, Tensor | None]:
    return (*states, None, None)[:2]  # pyright: ignore[reportReturnType]


def _numbers(rule: RowRule) -> tuple[float | int, ...]:
    corrections = (1 - beta**rule.step for beta in rule.betas)
    return rule.lr, rule.weight_decay, rule.eps, *rule.betas, *corrections, rule.seed or 0


def _rounded(rule: RowRule | None, table: Tensor | None) -> str:
    """The dtype to which rows are rounded at random; "" where they are rounded to the nearest."""
    return "" if rule is None or table is None or rule.seed is None else ROUNDED.get(table.dtype, "")
