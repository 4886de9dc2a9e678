"""A whole model: YoutubeDNN's user tower over the class table, steps per second.

The mean of 50 watched items' vectors (a table of its own, as in the paper), two layers, and a sampled softmax over a
million items with 1,024 shared samples, drawn beforehand. All of PyTorch's contestants have the same model, the same
start and the same batches; with Adagrad, which leaves untouched rows alone, they also have the same losses, and that is
checked before anything is timed. Adam is not alike: the lazy one leaves untouched rows alone, the dense one does not.

References: Covington, Adams and Sargin, Deep Neural Networks for YouTube Recommendations, RecSys 2016.
"""

from collections.abc import Callable
from typing import Any, Final

import torch
import torch.nn.functional as F
import watching
from clock import in_turn, seconds
from contestants import forget_compiled, logq_optimizer, loss_of_rows, torch_optimizer
from losses_in_torch import entries
from machine import available_bytes
from numbers_in_torch import Batch
from numbers_of_cases import empty
from one_case import Options
from pipe import Peer
from report import milliseconds, table, times
from torch import Tensor, nn
from workloads import RATE, Case

from logq.candidates import Candidates
from logq.functional import sampled_loss

SET_UP: Final = Case("sampled_softmax", True, 1_000_000, 64, 1024, 1024, "adagrad", "log-uniform")
COMPARED: Final = 10
TOLERANCE: Final = 1e-3
"""Of the loss after COMPARED steps. Sums in another order differ by 1e-7, which steps of training make larger."""


class YoutubeDNN(nn.Module):
    """Watched items -> the query vector of a user; and the class table."""

    def __init__(self, case: Case, *, sparse: bool) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        shape = (case.num_classes, case.dim)
        tables = [torch.from_numpy(empty(*shape)).uniform_(-0.1, 0.1, generator=generator) for _ in range(2)]
        self.watched = nn.EmbeddingBag(*shape, mode="mean", sparse=sparse, _weight=tables[0])
        self.weight = nn.Parameter(tables[1])
        with torch.random.fork_rng():
            torch.manual_seed(1)
            self.layers = nn.Sequential(
                nn.Linear(case.dim, watching.HIDDEN), nn.ReLU(), nn.Linear(watching.HIDDEN, case.dim)
            )

    def forward(self, items: Tensor) -> Tensor:
        return self.layers(self.watched(items))


Log = list[tuple[Tensor, Batch]]


class Training:
    """A contestant: the model, its loss and its optimizers."""

    def __init__(self, case: Case, log: Log, optimizer: str, *, kind: str) -> None:
        self.case, self.log = case, log
        sparse = kind != "dense"
        self.model = model = YoutubeDNN(case, sparse=sparse)
        layers = list(model.layers.parameters())
        if kind in ("logq", "in backward"):
            # Only the class table is updated inside of backward: the other table's gradient is its bag's.
            self.loss_of = self._ours
            of_classes = logq_optimizer(optimizer, model.weight, **({"in_backward": True} if kind != "logq" else {}))
            self.optimizers = [of_classes, logq_optimizer(optimizer, model.watched.weight)]
        else:
            self.of_rows = loss_of_rows(case, written=kind == "dense", compiled=kind == "compiled")
            self.sparse, self.loss_of = sparse, self._plain
            self.optimizers = [
                torch_optimizer(optimizer, w, sparse=sparse) for w in (model.weight, model.watched.weight)
            ]
        dense: Callable[..., Any] = torch.optim.Adam if optimizer == "adam" else torch.optim.Adagrad
        self.optimizers.append(dense(layers, lr=RATE))

    def _ours(self, query: Tensor, batch: Batch) -> Tensor:
        candidates = Candidates(batch.ids, batch.log_q, batch.targets, batch.true_log_q)
        return sampled_loss(self.case.objective, query, self.model.weight, candidates, sparse=True)

    def _plain(self, query: Tensor, batch: Batch) -> Tensor:
        return self.of_rows(
            F.embedding(entries(self.case, batch), self.model.weight, sparse=self.sparse), batch._replace(input=query)
        )

    def step(self, index: int) -> float:
        items, batch = self.log[index % len(self.log)]
        loss = self.loss_of(self.model(items), batch)
        loss.backward()
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return float(loss.detach())

    def seconds(self, index: int) -> float:
        return seconds(lambda: self.step(index))


NAMES: Final = {
    "logq": "logq",
    "in backward": "logq, update in backward",
    "dense": "PyTorch, dense",
    "sparse": "PyTorch, sparse",
    "compiled": "PyTorch, sparse, compiled loss",
}


def _build(
    case: Case, log: Log, optimizer: str, wanted: Callable[[str], bool], say: Callable[[str], None]
) -> dict[str, Training]:
    built: dict[str, Training] = {}
    for kind, name in NAMES.items():
        size = 4 * case.num_classes * case.dim * 2 * (2 + (optimizer == "adam") + (kind == "dense"))
        if not wanted(name):
            continue
        if size > 0.8 * available_bytes():
            say(f"{name}, {optimizer}: left out, {size / 1e9:.1f} GB")
            continue
        try:
            built[name] = Training(case, log, optimizer, kind=kind)
        except ImportError as error:
            say(f"{name}: {error}")
    return built


def _equal_losses(built: dict[str, Training]) -> str:
    """Train each for some steps; a line that says whether they came to the same loss."""
    ends = {name: [training.step(index) for index in range(COMPARED)][-1] for name, training in built.items()}
    if not ends:
        return ""
    first, apart = next(iter(ends.values())), max(ends.values()) - min(ends.values())
    if apart > TOLERANCE * abs(first):
        return f"WARNING: the losses after {COMPARED} steps differ: {ends}."
    return f"After {COMPARED} steps of Adagrad from the same start all have the loss {first:.4f}, within {apart:.0e}."


def _rechub(case: Case, options: Options, python: str) -> tuple[dict[str, Peer], list[str]]:
    peers: dict[str, Peer] = {}
    notes: list[str] = []
    for negatives in ("in-batch", "own"):
        name = f"torch-rechub, {negatives} negatives, Adam"
        try:
            peers[name] = Peer(python, "rechub_steps.py", case, options.threads, negatives)
        except RuntimeError as error:
            notes.append(f"Left out: {name} ({error}).")
    return peers, notes


def measure(options: Options, rechub: str | None) -> str:
    """The table of the end-to-end comparison."""
    options.say("end to end")
    case = SET_UP.scaled(options.scale)
    log = [(torch.from_numpy(items), Batch(*map(torch.from_numpy, batch))) for items, batch in watching.log(case)]
    asked = {kind.name for kind in options.kinds}

    def wanted(name: str) -> bool:
        if "compiled" in name and not any("compiled" in other for other in asked):
            return False
        return any(name.startswith(other) or other.startswith(name) for other in asked)

    notes: list[str] = []
    rows = [["", "optimizer", "steps/s", "ms per step", "against logq"]]
    for optimizer in ("adagrad", "adam"):
        built: dict[str, Any] = dict(_build(case, log, optimizer, wanted, notes.append))
        if optimizer == "adagrad":
            notes.append(_equal_losses(built))
        elif rechub is not None:
            peers, failed = _rechub(case, options, rechub)
            built |= peers
            notes += failed
        found = in_turn(built, options.repeat, len(log), notes.append)
        ours = min((found[name].median for name in list(NAMES.values())[:2] if name in found), default=None)
        for name, spread in found.items():
            against = "" if ours is None or spread.median == ours else times(spread.median / ours)
            rows.append([name, optimizer, f"{1 / spread.median:,.1f}", milliseconds(spread), against])
        for peer in built.values():
            if isinstance(peer, Peer):
                peer.close()
        forget_compiled()
    title = f"### End to end: YoutubeDNN, {case}, {watching.WATCHED} watched items"
    return "\n".join([title.replace(", adagrad", ""), "", table(rows), *(f"\n{note}" for note in notes if note), ""])
