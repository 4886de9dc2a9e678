"""Those who take steps in this process: logq, and plain PyTorch with dense and with sparse gradients.

A contestant is built for a problem and can tell its loss and take a step. What differs between those in plain PyTorch
is the lookup (dense or sparse gradient), the loss (`losses_in_torch`, compiled or not) and the optimizer.
"""

import sys
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from losses_in_torch import as_written, entries, well_written
from numbers_in_torch import Batch, Problem
from torch import Tensor
from workloads import RATE, Case

from logq.candidates import Candidates
from logq.functional import sampled_loss

# torch's own sparse optimizers make tensors for which torch then warns that their invariants are not checked.
warnings.filterwarnings("ignore", message="Sparse invariant checks")

OURS, IN_BACKWARD = "logq", "logq, update in backward"


class Contestant(Protocol):
    """One that can be timed."""

    def loss(self, index: int) -> float:
        """The loss of a batch, without training on it."""
        ...

    def seconds(self, index: int) -> float:
        """How long one step on a batch takes."""
        ...

    def close(self) -> None:
        """Give everything back."""
        ...


class InThisProcess:
    """A loss with a gradient for the table, and an optimizer of the table."""

    def __init__(
        self, problem: Problem, compute: Callable[[Tensor, Batch], Tensor], weight: Tensor, optimizer: Any
    ) -> None:
        self.problem, self.compute, self.weight, self.optimizer = problem, compute, weight, optimizer

    def loss(self, index: int) -> float:
        batch = self.problem.batches[index]
        # Under autograd as in training: a compiled loss would be compiled once more without.
        return float(self.compute(self.weight, batch).detach())

    def step(self, index: int) -> None:
        batch = self.problem.batches[index]
        self.compute(self.weight, batch).backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        batch.input.grad = None

    def seconds(self, index: int) -> float:
        from clock import seconds

        return seconds(lambda: self.step(index))

    def state_bytes(self) -> int:
        """What the optimizer keeps between steps."""
        states = getattr(self.optimizer, "state", {}).values()
        return sum(value.nbytes for state in states for value in state.values() if isinstance(value, Tensor))

    def close(self) -> None:
        del self.problem, self.compute, self.weight, self.optimizer


class RowsAsLeaves(InThisProcess):
    """Gathered rows are the leaves, and their gradient is added to the table by hand: SGD without any sparse tensor."""

    def loss(self, index: int) -> float:
        batch = self.problem.batches[index]
        rows = F.embedding(entries(self.problem.case, batch), self.weight).requires_grad_()
        return float(self.compute(rows, batch).detach())

    def step(self, index: int) -> None:
        batch = self.problem.batches[index]
        ids = entries(self.problem.case, batch)
        rows = F.embedding(ids, self.weight).requires_grad_()
        self.compute(rows, batch).backward()
        assert rows.grad is not None
        self.weight.index_add_(0, ids.view(-1), rows.grad.view(ids.numel(), -1), alpha=-RATE)
        batch.input.grad = None


def logq_optimizer(name: str, weight: Tensor, **options: Any) -> Any:
    """An optimizer of logq.optim for the class table."""
    try:
        from logq import optim  # imported here so that a logq without it still shows the rest
    except ImportError:
        raise ImportError("this logq has no logq.optim") from None

    chosen = {"sgd": "SGD", "adagrad": "Adagrad", "rowwise_adagrad": "RowWiseAdagrad", "adam": "LazyAdam"}[name]
    return getattr(optim, chosen)([weight], lr=RATE, **options)


def torch_optimizer(name: str, weight: Tensor, *, sparse: bool, fused: bool = False) -> Any:
    """PyTorch's optimizer of that name; SparseAdam for sparse gradients.

    Raises:
        LookupError: PyTorch has none.
    """
    chosen: dict[str, Any] = {
        "sgd": torch.optim.SGD,
        "adagrad": torch.optim.Adagrad,
        "adam": torch.optim.SparseAdam if sparse else torch.optim.Adam,
    }
    if name not in chosen:
        raise LookupError(f"torch.optim has no {name.replace('_', '-')}")
    return chosen[name]([weight], lr=RATE, **({"fused": True} if fused and not sparse else {}))


def ours(problem: Problem, *, in_backward: bool = False) -> InThisProcess:
    """logq's loss and logq's optimizer."""
    case = problem.case
    weight = torch.nn.Parameter(problem.weight)
    optimizer = logq_optimizer(case.optimizer, weight, in_backward=in_backward)

    def compute(weight: Tensor, batch: Batch) -> Tensor:
        candidates = Candidates(batch.ids, batch.log_q, batch.targets, batch.true_log_q)
        return sampled_loss(case.objective, batch.input, weight, candidates, sparse=True)

    return InThisProcess(problem, compute, weight, optimizer)


def forget_compiled() -> None:
    """Give back what torch.compile keeps, if it was used at all: only loading it takes seconds."""
    if "torch._dynamo" in sys.modules:
        torch.compiler.reset()


def loss_of_rows(case: Case, *, written: bool, compiled: bool) -> Callable[[Tensor, Batch], Tensor]:
    """A loss in plain PyTorch that takes the gathered rows."""
    chosen = as_written if written else well_written
    if compiled:
        chosen = torch.compile(chosen, dynamic=False, fullgraph=True)
    return lambda rows, batch: chosen(case, rows, batch.input, batch)


def plain(problem: Problem, *, sparse: bool, compiled: bool, tuned: bool = False) -> InThisProcess:
    """One lookup, a loss and an optimizer of PyTorch's."""
    case = problem.case
    weight = torch.nn.Parameter(problem.weight)
    optimizer = torch_optimizer(case.optimizer, weight, sparse=sparse, fused=compiled)
    of_rows = loss_of_rows(case, written=not tuned, compiled=compiled)

    def compute(weight: Tensor, batch: Batch) -> Tensor:
        return of_rows(F.embedding(entries(case, batch), weight, sparse=sparse), batch)

    return InThisProcess(problem, compute, weight, optimizer)


def as_people_write(problem: Problem) -> InThisProcess:
    """A lookup for the true classes and one for the sampled: two dense gradients, which autograd adds."""
    case = problem.case
    weight = torch.nn.Parameter(problem.weight)

    def compute(weight: Tensor, batch: Batch) -> Tensor:
        rows = F.embedding(batch.targets, weight), F.embedding(batch.ids, weight)
        return as_written(case, rows, batch.input, batch)

    return InThisProcess(problem, compute, weight, torch_optimizer(case.optimizer, weight, sparse=False))


def rows_as_leaves(problem: Problem, *, compiled: bool) -> InThisProcess:
    """The sparse SGD that one writes by hand in plain PyTorch."""
    if problem.case.optimizer != "sgd":
        raise LookupError("written by hand for SGD alone")
    of_rows = loss_of_rows(problem.case, written=False, compiled=compiled)
    return RowsAsLeaves(problem, of_rows, problem.weight, None)


def full_softmax(problem: Problem) -> InThisProcess:
    """cross_entropy of the logits of all classes, with a dense gradient."""
    weight = torch.nn.Parameter(problem.weight)

    def compute(weight: Tensor, batch: Batch) -> Tensor:
        return F.cross_entropy(batch.input @ weight.t(), batch.targets)

    return InThisProcess(problem, compute, weight, torch_optimizer(problem.case.optimizer, weight, sparse=False))


class Kind(NamedTuple):
    """A contestant that can be built, and what it stands for in the table of goals.

    Attributes:
        stands_for: "ours"; "people", a dense gradient as people write it; "best", plain PyTorch with sparse gradients
            or compiled; "tuned", the same with a loss written for speed; "full", the full softmax.
        dense: whether a step needs a gradient as large as the table.
    """

    name: str
    build: Callable[[Problem], InThisProcess]
    stands_for: str
    dense: bool = False


def _plain(name: str, stands_for: str, *, sparse: bool, compiled: bool = False, tuned: bool = False) -> Kind:
    return Kind(
        f"PyTorch, {name}",
        lambda problem: plain(problem, sparse=sparse, compiled=compiled, tuned=tuned),
        stands_for,
        not sparse,
    )


KINDS = (
    Kind(OURS, ours, "ours"),
    Kind(IN_BACKWARD, lambda problem: ours(problem, in_backward=True), "ours"),
    Kind("PyTorch, dense", as_people_write, "people", True),
    _plain("dense, one lookup", "best", sparse=False),
    _plain("dense, one lookup, compiled", "best", sparse=False, compiled=True),
    _plain("sparse", "best", sparse=True),
    _plain("sparse, compiled", "best", sparse=True, compiled=True),
    _plain("sparse, tuned", "tuned", sparse=True, tuned=True),
    _plain("sparse, tuned, compiled", "tuned", sparse=True, compiled=True, tuned=True),
    Kind(
        "PyTorch, index_add_ by hand, tuned, compiled", lambda problem: rows_as_leaves(problem, compiled=True), "tuned"
    ),
    Kind("full softmax", full_softmax, "full", True),
)
