"""Distinct draws on a GPU, without a wait: those of the reference class for class, with the same numbers of tries.

Each row has a hash table in scratch memory, from a class to the position where it was drawn first. Its draws go in by
blocks, in any order, as the least position stays; a program then goes along the stream and numbers the classes where
they come first. It ends, on the device, when there is one class more than is asked for. Where few rows have large
samples, many programs fill the table of a row beforehand: each takes the next block of its stream, as long as classes
are missing, so that at the end the table has all of the stream up to some position.
"""

from collections.abc import Callable
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from logq.kernels import reference_draws
from logq.kernels.distributions import Distribution
from logq.kernels.draw_ops import distinct_draws_in_graph
from logq.kernels.fallback import report
from logq.kernels.fused import TRANSFORMED
from logq.kernels.triton.launching import TYPES, launch, trap_if, traps
from logq.kernels.triton.triton_draws import (
    KNOWN,
    NO_CLASS,
    NOT_COUNTED,
    Numbers,
    drawn_at,
    log1p_of,
    log_count_of,
    numbers_of,
    numbers_of_counts,
    random_bits,
    refuses,
)
from logq.tracing import in_transform, is_fake

__all__ = ["counted_distinct_draws", "distinct_draws", "log_inclusion", "places_of"]

FILL_BLOCK = 256
PROGRAMS = 128
"""That fill tables at the same time, at most."""

FILLED, NUMBERED = 1024, 2048
"""Positions that a program looks at together, at most, where it fills the table as well, and where it does not."""

SCRATCH = 1 << 25
"""Numbers of all tables at a time, 256 MiB; with more rows they are drawn in parts."""

LOOKED_AT = 1 << 32
"""Pairs of classes that are compared, at most, rather than sorted."""

COMPARED = 64
BLOCK = 256

FIRST = tl.constexpr(1 << 62)
"""A first position p is kept as FIRST - p, as 0 stands for none."""


def distinct_draws(
    distribution: Distribution,
    seed: Tensor,
    num_rows: int,
    num_sampled: int,
    enough: Callable[[], int] | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Distinct draws of each row, by two or three launches; see logq.kernels.reference_draws."""
    if refuses("distinct_draws", distribution, seed):
        return reference_draws.distinct_draws(distribution, seed, num_rows, num_sampled, enough)
    if torch.compiler.is_compiling():
        return distinct_draws_in_graph("triton", distribution, seed, num_rows, num_sampled)
    ids = torch.empty(num_rows, num_sampled, dtype=torch.int64, device=seed.device)
    inside, outside = torch.empty_like(ids), ids.new_empty(num_rows, 1)
    _launch(distribution, seed, ids, inside, NOT_COUNTED | {"outside": outside})
    return ids, inside, outside


def counted_distinct_draws(
    distribution: Distribution,
    seed: Tensor,
    num_rows: int,
    num_sampled: int,
    targets: Tensor,
    log_q: Callable[[Tensor], Tensor],
    are_classes: bool = False,
    enough: Callable[[], int] | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor] | None:
    """The same with all expected counts, by no more launches; None where no kernel knows how to count."""
    if not isinstance(log_q, KNOWN) or refuses("distinct_draws", distribution, seed):
        return None
    targets = targets.contiguous()
    ids = torch.empty(num_rows, num_sampled, dtype=torch.int64, device=seed.device)
    own, of_ids = torch.empty_like(targets), torch.empty_like(ids, dtype=log_q.dtype)
    of_targets = torch.empty_like(own, dtype=log_q.dtype)
    written: Numbers = {"log_q": of_ids, "own_targets": own, "true_log_q": of_targets, "outside": None}
    read: Numbers = {"targets": targets, "num_targets": targets.numel() // max(1, num_rows)}
    _launch(distribution, seed, ids, torch.empty_like(ids), numbers_of_counts(log_q) | written | read)
    return ids, of_ids, own, of_targets


def _launch(distribution: Distribution, seed: Tensor, ids: Tensor, inside: Tensor, counts: Numbers) -> None:
    num_rows, num_sampled = ids.shape
    programs = min(triton.cdiv(num_sampled, FILL_BLOCK), max(1, PROGRAMS // max(1, num_rows)))
    fills = programs == 1
    block = min(triton.next_power_of_2(num_sampled + num_sampled // 4 + 1), FILLED if fills else NUMBERED)
    block = max(64, block)  # no fewer than there are threads, of which a warp has 64 on some GPUs
    slots = triton.next_power_of_2(2 * (num_sampled + (block if fills else programs * FILL_BLOCK)))
    per_call = max(1, SCRATCH // (3 * slots + 2))
    for first_row in range(0, num_rows, per_call):
        rows = min(per_call, num_rows - first_row)
        tables = torch.zeros(rows, 3 * slots + 2, dtype=torch.int64, device=seed.device)
        given = numbers_of(distribution, seed.device)
        given |= {"first_row": first_row, "num_sampled": num_sampled, "SLOTS": slots}
        if not fills:
            launch(fill_kernel, (rows, programs), seed, tables, BLOCK=FILL_BLOCK, num_warps=FILL_BLOCK // 64, **given)
        given |= {"FILLS": fills, "BLOCK": block, "num_warps": min(16, block // 64), "TRAPS": traps()}
        launch(number_kernel, (rows,), seed, tables, ids, inside, **counts, **given)


def places_of(ids: Tensor, classes: Tensor) -> Tensor:
    """Where in its row of a sample each class stands, or -1, by comparing all: one launch."""
    if _refuses("places_of", ids) or ids.shape[1] * classes.numel() > LOOKED_AT:
        return reference_draws.places_of(ids, classes)
    ids, classes = ids.contiguous(), classes.contiguous()
    places = torch.empty_like(classes)
    if places.numel():
        # In one number, of which a GPU takes 2^31; as a second one, no more than 65,535.
        grid = (classes.shape[0] * triton.cdiv(classes.shape[1], COMPARED),)
        launch(places_kernel, grid, ids, classes, places, ids.shape[1], classes.shape[1], BLOCK=COMPARED)
    return places


def log_inclusion(log_p: Tensor, tries: Tensor) -> Tensor:
    """log( 1 - (1 - p)^tries ) in double, by one launch."""
    if _refuses("log_inclusion", tries) or log_p.dtype not in TYPES:
        return reference_draws.log_inclusion(log_p, tries)
    log_p, tries = log_p.contiguous(), tries.contiguous()
    log_q, size = torch.empty_like(log_p), log_p.numel()
    if size:
        real: Any = TYPES[log_p.dtype]
        launch(inclusion_kernel, (triton.cdiv(size, BLOCK),), log_p, tries, log_q, size, REAL=real, BLOCK=BLOCK)
    return log_q


def _refuses(op: str, tensor: Tensor) -> bool:
    if in_transform():
        report(op, "triton", TRANSFORMED)
        return True
    return is_fake(tensor) or torch.compiler.is_compiling()


@triton.jit
def first_slot(ids, SLOTS: tl.constexpr):
    """Where in a table the search for a class begins."""
    bits = ids.to(tl.uint64) * 0x9E3779B97F4A7C15
    return ((bits >> 32) & (SLOTS - 1)).to(tl.int64)


@triton.jit
def put(table, ids, positions, SLOTS: tl.constexpr):
    """Put classes into a table, each with its position if that is its first: their slots, and which classes are new."""
    keys = ids + 1  # 0 stands for none
    nothing = tl.zeros_like(keys)
    slots = first_slot(ids, SLOTS)
    is_new = ids < 0
    searching = True
    while searching:
        # Who has a slot asks for it again, which changes nothing.
        found = tl.atomic_cas(table + slots, nothing, keys, sem="relaxed")
        is_new = is_new | (found == 0)
        has_slot = (found == 0) | (found == keys)
        slots = tl.where(has_slot, slots, (slots + 1) & (SLOTS - 1))
        searching = tl.min(has_slot.to(tl.int32), 0) == 0
    tl.atomic_max(table + SLOTS + slots, -positions + FIRST, sem="relaxed")
    return slots, is_new


@triton.jit
def find(table, ids, SLOTS: tl.constexpr):
    """The slots of classes in a table that nobody writes to; an empty one for a class that is not in it."""
    slots = first_slot(ids, SLOTS)
    searching = True
    while searching:
        found = tl.load(table + slots)
        has_slot = (found == 0) | (found == ids + 1)
        slots = tl.where(has_slot, slots, (slots + 1) & (SLOTS - 1))
        searching = tl.min(has_slot.to(tl.int32), 0) == 0
    return slots


@triton.jit
def table_of_row(seed, tables, first_row, SLOTS: tl.constexpr):
    """The table of the row of this program and the seed of its stream.

    A table has SLOTS classes, their first positions, how often each was drawn, and two counts for those who fill it.
    """
    row = tl.program_id(0).to(tl.int64)
    return row, tables + row * (3 * SLOTS + 2), random_bits(tl.load(seed).to(tl.uint64, bitcast=True), row + first_row)


@triton.jit(do_not_specialize=["first_row", "num_sampled", "num_classes", "in_table"])
def fill_kernel(
    seed,
    tables,
    first_row,
    num_sampled,
    num_classes,
    cells,
    recent,
    num_recent,
    in_table,
    log_range: tl.float64,
    KIND: tl.constexpr,
    SLOTS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    _row, table, stream = table_of_row(seed, tables, first_row, SLOTS)
    found = tl.atomic_add(table + 3 * SLOTS + 1, 0)
    while found <= num_sampled:
        block = tl.atomic_add(table + 3 * SLOTS, 1)
        at = block * BLOCK + tl.arange(0, BLOCK)
        drawn = drawn_at(stream, at, at >= 0, num_classes, cells, recent, num_recent, in_table, log_range, KIND)
        _slots, is_new = put(table, drawn, at, SLOTS)
        new = tl.sum(is_new.to(tl.int64), 0)
        found = tl.atomic_add(table + 3 * SLOTS + 1, new) + new


@triton.jit(do_not_specialize=["first_row", "num_sampled", "num_targets", "num_classes", "in_table", "in_total"])
def number_kernel(
    seed,
    tables,
    ids,
    inside,
    outside,
    log_q,
    targets,
    own_targets,
    true_log_q,
    first_row,
    num_sampled,
    num_targets,
    num_classes,
    cells,
    recent,
    num_recent,
    in_table,
    log_range: tl.float64,
    table,
    shift: tl.float64,
    in_total,
    num_others,
    KIND: tl.constexpr,
    COUNTS: tl.constexpr,
    REAL: tl.constexpr,
    FILLS: tl.constexpr,
    TRAPS: tl.constexpr,
    SLOTS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    row, seen, stream = table_of_row(seed, tables, first_row, SLOTS)
    row += first_row
    ids += row * num_sampled
    inside += row * num_sampled
    at = tl.arange(0, BLOCK).to(tl.int64)
    numbered = tl.zeros((), tl.int64)  # classes so far
    last = tl.zeros((), tl.int64)  # where the last class of the sample comes first
    end = tl.zeros((), tl.int64)  # where the class after it does
    while numbered <= num_sampled:
        drawn = drawn_at(stream, at, at >= 0, num_classes, cells, recent, num_recent, in_table, log_range, KIND)
        if FILLS:
            slots, _is_new = put(seen, drawn, at, SLOTS)
            tl.debug_barrier()  # what other threads of the program have put is read now
        else:
            slots = find(seen, drawn, SLOTS)
        is_first = tl.load(seen + SLOTS + slots) == -at + FIRST
        place = numbered + tl.cumsum(is_first.to(tl.int64), 0) - 1
        is_inside = is_first & (place < num_sampled)
        tl.store(ids + place, drawn, mask=is_inside)
        tl.store(inside + place, slots, mask=is_inside)
        last = tl.maximum(last, tl.max(tl.where(is_inside & (place == num_sampled - 1), at, 0), 0))
        end = tl.min(tl.where(is_first & (place == num_sampled), at, FIRST), 0)
        tl.atomic_add(seen + 2 * SLOTS + slots, tl.full((BLOCK,), 1, tl.int64), mask=at < end, sem="relaxed")
        numbered += tl.sum(is_first.to(tl.int64), 0)
        at += BLOCK
    tl.debug_barrier()
    for start in tl.range(0, num_sampled, BLOCK):
        place = start + tl.arange(0, BLOCK)
        exists = place < num_sampled
        slots = tl.load(inside + place, mask=exists, other=0)
        tries = end + 1 - tl.load(seen + 2 * SLOTS + slots, mask=exists, other=0)
        if COUNTS is None:
            tl.store(inside + place, tries, mask=exists)
        else:
            classes = tl.load(ids + place, mask=exists, other=0)
            log_p = log_count_of(classes, exists, table, shift, in_total, num_others, COUNTS)
            tl.store(log_q + row * num_sampled + place, inclusion_of(log_p, tries).to(REAL), mask=exists)
    if COUNTS is None:
        tl.store(outside + row, last + 1)
    else:
        for start in tl.range(0, num_targets, BLOCK):
            place = start + tl.arange(0, BLOCK)
            exists = place < num_targets
            place += row * num_targets
            target = tl.load(targets + place, mask=exists, other=NO_CLASS)
            tl.store(own_targets + place, target, mask=exists)
            has_class = target != NO_CLASS
            trap_if(tl.max((has_class & ((target < 0) | (target >= num_classes))).to(tl.int32), 0), TRAPS)
            classes = tl.where(has_class, target, 0)
            slots = find(seen, classes, SLOTS)
            first = -tl.load(seen + SLOTS + slots) + FIRST
            copies = tl.load(seen + 2 * SLOTS + slots)
            tries = tl.where(first <= last, end + 1 - copies, last + 1)
            log_p = log_count_of(classes, has_class, table, shift, in_total, num_others, COUNTS)
            tl.store(true_log_q + place, tl.where(has_class, inclusion_of(log_p, tries), 0.0).to(REAL), mask=exists)


@triton.jit(do_not_specialize=["num_sampled", "number"])
def places_kernel(ids, classes, places, num_sampled, number, BLOCK: tl.constexpr):
    blocks = tl.cdiv(number, BLOCK)
    row = (tl.program_id(0) // blocks).to(tl.int64)
    at = tl.program_id(0) % blocks * BLOCK + tl.arange(0, BLOCK)
    exists = at < number
    wanted = tl.load(classes + row * number + at, mask=exists, other=-1)
    found = tl.full((BLOCK,), -1, tl.int64)
    for start in tl.range(0, num_sampled, BLOCK):
        place = start + tl.arange(0, BLOCK)
        some = tl.load(ids + row * num_sampled + place, mask=place < num_sampled, other=-2)
        same = tl.where(wanted[:, None] == some[None, :], place[None, :], -1)
        found = tl.maximum(found, tl.max(same, 1).to(tl.int64))
    tl.store(places + row * number + at, found, mask=exists)


@triton.jit
def inclusion_of(log_p, tries):
    """log( 1 - (1 - p)^tries ) in double to its last bits, as 1 - exp(x) by the same quotient as log(1 + x)."""
    x = tries.to(tl.float64) * log1p_of(-tl.exp(log_p))
    power = tl.exp(x)
    is_one, is_none = power == 1, power < 1e-300
    log_power = tl.log(tl.where(is_one | is_none, 0.5, power))
    included = tl.where(is_one, -x, tl.where(is_none, 1.0, (1 - power) * (x / log_power)))
    possible = included > 0
    return tl.where(possible, tl.log(tl.where(possible, included, 1.0)), -float("inf"))


@triton.jit(do_not_specialize=["size"])
def inclusion_kernel(log_p, tries, log_q, size, REAL: tl.constexpr, BLOCK: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    exists = at < size
    logs = tl.load(log_p + at, mask=exists, other=0.0).to(tl.float64)
    counts = tl.load(tries + at, mask=exists, other=1)
    tl.store(log_q + at, inclusion_of(logs, counts).to(REAL), mask=exists)
