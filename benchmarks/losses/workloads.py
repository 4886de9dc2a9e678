"""What is measured: sizes, objective and optimizer of a step, and the goals that some of them have.

Imports neither torch nor tensorflow: both sides of a pipe read it.
"""

import itertools
from collections.abc import Iterator
from typing import Final, NamedTuple

OPTIMIZERS: Final = ("sgd", "adagrad", "rowwise_adagrad", "adam")
OBJECTIVES: Final = ("sampled_softmax", "nce", "negative_sampling", "sampled_logistic")
RATE: Final = 0.01


class Case(NamedTuple):
    """One step: forward, backward and update. Letters as in logq.shapes.

    Attributes:
        sampled: S classes shared by all rows, or k for each row of its own.
        distribution: of targets and samples, "uniform" or "log-uniform".
    """

    objective: str
    shared: bool
    num_classes: int
    dim: int
    batch: int
    sampled: int
    optimizer: str = "sgd"
    distribution: str = "uniform"

    @property
    def entries(self) -> int:
        """Rows of the class table that a step names, repetitions counted."""
        return self.batch + (self.sampled if self.shared else self.batch * self.sampled)

    def scaled(self, scale: float) -> "Case":
        """The same with classes, batch and shared samples `scale` times as many; at least a few of each."""
        return self._replace(
            num_classes=max(50, round(self.num_classes * scale)),
            batch=max(4, round(self.batch * scale)),
            sampled=max(4, round(self.sampled * scale)) if self.shared else self.sampled,
        )

    def __str__(self) -> str:
        samples = f"S={self.sampled:,} shared" if self.shared else f"k={self.sampled} per row"
        sizes = f"{samples}, B={self.batch:,}, C={self.num_classes:,}, D={self.dim}"
        distribution = "" if self.distribution == "uniform" else f", {self.distribution}"
        return f"{self.objective.replace('_', ' ')}, {sizes}, {self.optimizer.replace('_', '-')}{distribution}"


class Goal(NamedTuple):
    """What a step should be: how many times faster than others, and at most how many times its floor."""

    row: str
    case: Case
    people: float | None = None  # against a dense gradient as people write it
    best: float | None = None  # against the best plain PyTorch
    tensorflow: float | None = None
    floor: float | None = None
    full: float | None = None  # against the full softmax


_SHARED = Case("sampled_softmax", True, 1_000_000, 128, 4096, 1024)
_WIDE = _SHARED._replace(sampled=8192)
_OWN = Case("sampled_softmax", False, 1_000_000, 128, 4096, 20)

GOALS: Final = (
    Goal("shared, S=1024, SGD", _SHARED, people=20, best=1.5, tensorflow=2.3, floor=1.3),
    Goal("shared, S=1024, Adam", _SHARED._replace(optimizer="adam"), people=75),
    Goal("shared, S=8192", _WIDE, best=2, tensorflow=3.5, floor=1.25),
    Goal("shared NCE, S=8192", _WIDE._replace(objective="nce"), best=2, tensorflow=4.5, floor=1.25),
    Goal(
        "shared sampled logistic, S=8192",
        _WIDE._replace(objective="sampled_logistic"),
        best=2,
        tensorflow=4.5,
        floor=1.25,
    ),
    Goal("per row, k=20, SGD", _OWN, people=15, best=3.5, tensorflow=3.5, floor=2),
    Goal("per row, k=20, Adagrad", _OWN._replace(optimizer="adagrad"), best=5, floor=2.2),
    Goal("per row, k=20, lazy Adam", _OWN._replace(optimizer="adam"), best=12, floor=2.2),
    Goal("against the full softmax", Case("sampled_softmax", True, 100_000, 128, 1024, 1024), full=15),
)
"""The goals that have a single case. Growth with C and the samplers' goals are elsewhere (growth.py, samplers.py)."""

GROWTH: Final = (_SHARED, _OWN)
"""The cases whose cost is followed from 100,000 to 10 million classes."""

GROWTH_SIZES: Final = (100_000, 1_000_000, 10_000_000)
GROWTH_LIMIT: Final = 1.3


def grid() -> Iterator[Case]:
    """Every size of the issue with every objective, by SGD; and every optimizer at one size."""
    shapes = [(True, 256), (True, 1024), (True, 8192), (False, 5), (False, 20), (False, 100)]
    for objective, size, dim, batch, (shared, sampled) in itertools.product(
        OBJECTIVES[:3], GROWTH_SIZES, (64, 128, 256), (1024, 4096), shapes
    ):
        yield Case(objective, shared, size, dim, batch, sampled)
    for case, optimizer in itertools.product(GROWTH, OPTIMIZERS[1:]):
        yield case._replace(optimizer=optimizer)
