"""Rows of tables in a checkpoint, cut for those who go on: whole for one process, in parts for any other number."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from logq.distributed.checkpoint_parts import OwnRows
from logq.distributed.placing import Placing
from logq.distributed.sharded_checkpoint import Checkpoint
from logq.processes import world
from logq.training.checkpoint import TABLES, RunState

__all__ = ["with_own_rows"]


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
