"""The examination: all that `logq doctor` says, as data."""

from dataclasses import dataclass
from typing import Any

from logq.doctor.environment import SetVariable, variables_that_are_set
from logq.doctor.extra_uses import Extra, look_at_extras
from logq.doctor.installation import Fact, kernels_that_run, versions
from logq.doctor.trials import Attempt, run_trials
from logq.doctor.troubles import Trouble, find_troubles

__all__ = ["Examination", "examine"]


@dataclass(frozen=True)
class Examination:
    """What was found.

    Attributes:
        installed: versions, and the machine.
        kernels: which of them run.
        trials: what was tried.
        extras: each with what it is for, and what of it is missing.
        variables: of the environment, that are set.
        troubles: what is in the way, errors first.

    Example:
        >>> Examination([], [], [Attempt("files", "OSError: full")], [], [], []).works
        False
    """

    installed: list[Fact]
    kernels: list[Fact]
    trials: list[Attempt]
    extras: list[Extra]
    variables: list[SetVariable]
    troubles: list[Trouble]

    @property
    def works(self) -> bool:
        """Whether all that a plain user needs works."""
        return not any(trial.error for trial in self.trials) and not any(one.level == "error" for one in self.troubles)

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        lists = {name: [one._asdict() for one in value] for name, value in _fields(self).items()}
        return {"works": self.works, **lists}


def _fields(found: Examination) -> dict[str, list[Any]]:
    return {name: getattr(found, name) for name in found.__dataclass_fields__}


def examine() -> Examination:
    """Look at everything, which takes some seconds: torch is loaded, and small models are trained.

    Example:
        >>> found = examine()  # doctest: +SKIP
        >>> print(found.works)  # doctest: +SKIP
        True
    """
    variables = variables_that_are_set()  # before libraries set some for themselves
    return Examination(
        installed=versions(),
        kernels=kernels_that_run(),
        trials=run_trials(),
        extras=look_at_extras(),
        variables=variables,
        troubles=find_troubles(),
    )
