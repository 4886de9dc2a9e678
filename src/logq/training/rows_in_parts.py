"""Which tensors of a run are rows of which each process has a part."""

from collections.abc import Iterable

from torch import nn

from logq.distributed.sharded_embedding import ShardedEmbedding
from logq.training.optimizers import Optimizers

__all__ = ["rows_in_parts"]


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
