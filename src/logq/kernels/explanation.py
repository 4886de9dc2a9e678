"""explain: which backend runs each op of a case, and why, without running anything."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import nn

from logq._arguments import ArgumentTypeError, Verbatim
from logq.kernels.backends import find_backend
from logq.kernels.distributions import Distribution
from logq.kernels.fallback import Case
from logq.objectives import Objective, find_objective

__all__ = ["Choice", "Explanation", "explain"]

OUTSIDE = "outside of the graph: inside of it seeds come from the device, by sampler.seeds_on_device()"


@dataclass(frozen=True)
class Choice:
    """What runs one op.

    Args:
        op: one of logq.kernels.OPS.
        backend: the one that really runs it.
        reason: why this one.
        instead_of: the backend that the op is left to, where it leaves this case to the reference; "" elsewhere.

    Example:
        >>> print(Choice("draws", "cpp", "the first backend for cpu that has it"))
        draws: cpp, the first backend for cpu that has it
    """

    op: str
    backend: str
    reason: str
    instead_of: str = ""

    def __str__(self) -> str:
        instead = f" instead of {self.instead_of}" if self.instead_of else ""
        return f"{self.op}: {self.backend}{instead}, {self.reason}"


@dataclass(frozen=True)
class Explanation(Mapping[str, Choice]):
    """What runs each op of a case: a mapping from ops to Choice.

    Args:
        title: the case in words.
        choices: one for each op.

    Example:
        >>> explanation = explain("sampled_softmax")
        >>> explanation.backends, explanation.falls_back
        ({'sampled_loss': 'cpp'}, False)
    """

    title: str
    choices: tuple[Choice, ...]

    @property
    def backends(self) -> dict[str, str]:
        """The backend of each op."""
        return {choice.op: choice.backend for choice in self.choices}

    @property
    def falls_back(self) -> bool:
        """Whether the reference runs an op that another backend is active for."""
        return any(choice.instead_of for choice in self.choices)

    def __getitem__(self, op: str) -> Choice:
        return {choice.op: choice for choice in self.choices}[op]

    def __iter__(self) -> Iterator[str]:
        return iter([choice.op for choice in self.choices])

    def __len__(self) -> int:
        return len(self.choices)

    def __str__(self) -> str:
        return "\n".join([self.title, *(f"    {choice}" for choice in self.choices)])

    def __repr__(self) -> str:
        return f"<Explanation of {self}>"


def explain(
    objective: Objective | str | None = None,
    device: torch.device | str = "cpu",
    *,
    sampler: nn.Module | Distribution | None = None,
    shared: bool = True,
    dtype: torch.dtype = torch.float32,
    table_dtype: torch.dtype | None = None,
    dim: int = 1,
    cosine: bool = False,
    reduction: str = "mean",
    gradients: bool = True,
    compiled: bool = False,
    transformed: bool = False,
) -> Explanation:
    """Which backend really runs the ops of a loss and of its sampler, how, and why. Nothing is run.

    On a GPU the way depends on torch.get_float32_matmul_precision(), too, as it is now.

    Args:
        objective: whose loss is asked about, or its name; None to ask about the sampler alone.
        device: of the tensors, or its type.
        sampler: of logq.samplers, or the distribution that one draws from; None to ask about the loss alone.
        shared: whether all rows of a batch share their sample; with a sampler, that says it.
        dtype: of the input.
        table_dtype: of the class weights; None: as the input.
        dim: D.
        cosine: whether logits are cosines.
        reduction: of the losses.
        gradients: whether backward will be called.
        compiled: whether under torch.compile.
        transformed: whether inside of a transform of torch.func.

    Raises:
        ArgumentError: there is no objective of that name.
        ArgumentTypeError: `sampler` is neither a sampler nor a distribution.

    Example:
        >>> print(explain("sampled_softmax", dtype=torch.bfloat16))
        sampled_softmax on cpu
            sampled_loss: cpp, the first backend for cpu that has it
        >>> print(explain("full_softmax", cosine=True))
        full_softmax on cpu
            full_loss: reference instead of cpp, logits are cosines
    """
    objective = None if objective is None else find_objective(objective)
    device = torch.device(device).type
    case = Case(
        objective=objective,
        shared=shared if sampler is None else not getattr(sampler, "per_row", not shared),
        dtype=dtype,
        table_dtype=dtype if table_dtype is None else table_dtype,
        dim=dim,
        cosine=cosine,
        reduction=reduction,
        gradients=gradients,
        compiled=compiled,
        transformed=transformed,
    )
    choices: dict[str, Choice] = {}
    if objective is not None:
        op = "sampled_loss" if objective.negatives.sampled else "full_loss"
        choices[op] = _choose(op, device, case)
    for op, distribution in () if sampler is None else _drawn(sampler):
        choice = _choose(op, device, replace(case, distribution=distribution))
        fits_graphs: Callable[[], bool] | None = getattr(sampler, "_fits_graphs", None)
        if compiled and fits_graphs is not None and not fits_graphs():
            choice = replace(choice, reason=f"{choice.reason}, {OUTSIDE}")
        if choice.instead_of or op not in choices:  # of the parts of a mixture the one that falls back
            choices[op] = choice
    names = [name for name in (objective and objective.name, sampler and type(sampler).__name__) if name]
    return Explanation(f"{' and '.join(names)} on {device}", tuple(choices.values()))


def _choose(op: str, device: str, case: Case) -> Choice:
    backend = find_backend(op, device)
    refusal = backend.refusal(op, case)
    if refusal:
        return Choice(op, "reference", refusal, instead_of=backend.name)
    how = backend.how(op, case)
    return Choice(op, backend.name, f"the first backend for {device} that has it" + (f": {how}" if how else ""))


def _drawn(sampler: nn.Module | Distribution) -> Iterator[tuple[str, Distribution]]:
    """The ops that draws take, each with the distribution that is drawn from; none for what draws in torch itself."""
    if isinstance(sampler, Distribution):
        yield "draws", sampler
        return
    if not isinstance(sampler, nn.Module):
        raise ArgumentTypeError("sampler", "a sampler or a distribution", Verbatim(type(sampler).__name__))
    for part in sampler.modules():
        find: Callable[[], Distribution] | None = getattr(part, "_distribution", None)
        if find is not None:
            distinct = not getattr(part, "replacement", True)
            for op in ("distinct_draws", "places_of", "log_inclusion") if distinct else ("draws",):
                yield op, find()
