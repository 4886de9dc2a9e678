"""Rows of tables in a checkpoint: which of them a process has, and cutting them for any number of processes."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from logq.distributed.checkpoint_parts import OwnRows
from logq.distributed.placing import Placing
from logq.distributed.sharded_checkpoint import Checkpoint
from logq.distributed.sharded_embedding import ShardedEmbedding
from logq.processes import world
from logq.training.checkpoint import TABLES, RunState
from logq.training.optimizers import Optimizers

__all__ = ["rows_in_parts", "with_own_rows"]


def with_own_rows(
    state: RunState, parts: Mapping[str, tuple[int, int]], device: torch.device | str = "cpu"
) -> RunState:
    """The state of a run with the rows that this process has of its tables, whoever saved them.

    Rows in parts lie in a folder of their own, in the order of places (`Placing`); in a state that is whole they are in
    the order of ids. All processes call it at once.

    Args:
        state: as it was saved: by one process, or by several that each had some rows.
        parts: of the tensors of which this process has some rows now, the number of the first, and of all.
        device: that the exchanges of the processes use.

    Raises:
        OSError, ValueError: the folder of the rows is missing or damaged.

    Example:
        >>> state = RunState(7, {}, {"rows": np.array([5, 6, 7])})
        >>> with_own_rows(state, {"rows": (0, 3)}).tensors["rows"].tolist()  # by places: of ids 0, 2, 1
        [5, 7, 6]
    """
    here = world()
    tensors: dict[str, NDArray[Any]] = dict(state.tensors)
    saved: Mapping[str, Any] = state.position.get(TABLES, {})
    rows: dict[str, OwnRows] = {}
    for name, (dtype, shape) in saved.get("rows", {}).items():
        own = Placing(shape[0], here.size).range_of(here.rank) if name in parts else range(shape[0])
        rows[name] = OwnRows(torch.from_numpy(np.empty((len(own), *shape[1:]), dtype)), own.start, shape[0])
    if rows:
        assert state.folder is not None
        Checkpoint(state.folder / saved["folder"], device=device).load(rows=rows)
    for name, read in rows.items():
        array = read.tensor.numpy()
        if name not in parts:
            array = np.empty_like(array)
            array[Placing(len(array)).ids_of(0).numpy()] = read.tensor.numpy()
        tensors[name] = array
    for name, (_, total) in parts.items():
        if name not in rows and len(tensors.get(name, ())) == total:
            tensors[name] = tensors[name][Placing(total, here.size).ids_of(here.rank).numpy()]
    position = {name: value for name, value in state.position.items() if name != TABLES}
    return replace(state, position=position, tensors=tensors)


def rows_in_parts(names: Iterable[str], module: nn.Module, optimizers: Optimizers) -> dict[str, tuple[int, int]]:
    """Of the tensors that a loop saves, those of which this process has some rows: the number of the first, and of all.

    Args:
        names: such as "module.model.items.weight" or "optimizer.1.0.exp_avg".
        module: what is trained.
        optimizers: of its parameters.

    Example:
        >>> module = nn.ModuleDict({"table": ShardedEmbedding(5, 2), "layer": nn.Linear(2, 2)})
        >>> optimizers = Optimizers(module, [module["table"].weight], lr=0.1)
        >>> rows_in_parts(["module.table.weight", "module.layer.weight", "optimizer.1.0.exp_avg"], module, optimizers)
        {'module.table.weight': (0, 5), 'optimizer.1.0.exp_avg': (0, 5)}
    """
    tables = {
        id(one.weight): (one.part.own.start, one.num_rows)
        for one in module.modules()
        if isinstance(one, ShardedEmbedding)
    }
    if not tables:
        return {}
    weights = {name: tables[id(v)] for name, v in module.state_dict(keep_vars=True).items() if id(v) in tables}
    parameters = [[one for group in each.param_groups for one in group["params"]] for each in optimizers.all]
    found: dict[str, tuple[int, int]] = {}
    for name in names:
        part, _, key = name.partition(".")
        if part == "optimizer":
            number, place, state = key.split(".", 2)
            parameter = parameters[int(number)][int(place)] if number.isdecimal() and place.isdecimal() else None
            if id(parameter) in tables and state != "step":
                found[name] = tables[id(parameter)]
        elif key in weights:
            found[name] = weights[key]
    return found
