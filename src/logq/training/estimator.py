"""Estimator: what all estimators share: one rollback, checkpoints, seeds, files."""

import contextlib
import inspect
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Generator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from logq._arguments import ArgumentError, Verbatim, check_bool, check_float
from logq._files import parsing
from logq._launch import check_alone, launched
from logq._mapped_file import release_mapped
from logq._model_file import FILE, SUMMARY, Stored, read_kind, read_stored, write_stored
from logq._project import version
from logq.estimators import FORMATS, Family, class_of
from logq.hub.model_cards import Card, CardFacts, check_card
from logq.hub.published import Published
from logq.training.automatic_settings import AutomaticChoice, Rules
from logq.training.callbacks import CallbackRun
from logq.training.checkpoint import RunCheckpoint
from logq.training.config import Config
from logq.training.interrupts import uninterrupted
from logq.training.model_display import facts_of, html_of, text_of
from logq.training.phases import Phase

__all__ = [
    "Estimator",
    "FitOptions",
    "SavedEstimator",
    "prefixed",
    "with_prefix",
]


_ROWS = 1 << 16
"""That are looked at in one go."""

_inside: ContextVar[bool] = ContextVar("inside", default=False)
"""Whether a fit is being made."""


@dataclass(frozen=True)
class FitOptions:
    """How a fit reports progress and saves checkpoints.

    Args:
        progress: True shows a bar, False nothing, None a bar on a terminal and plain lines in a log.
        checkpoint: a folder, or None.
        checkpoint_minutes: minutes between checkpoints; 0 saves one after every batch.
        resume: whether to continue from the checkpoint.
        callbacks: what is called after epochs and steps.
        phase: which phase of a fit is next; None for the first one.

    Raises:
        ArgumentError, ArgumentTypeError: `resume` without a checkpoint, or an argument is not as described.

    Example:
        >>> FitOptions(resume=True)
        Traceback (most recent call last):
        ...
        logq.ArgumentError: resume: expected a checkpoint folder to resume from, got none
    """

    progress: bool | None = None
    checkpoint: str | os.PathLike[str] | None = None
    checkpoint_minutes: float = 10.0
    resume: bool = False
    callbacks: CallbackRun = field(default_factory=CallbackRun)
    phase: Phase | None = None

    def __post_init__(self) -> None:
        check_float("checkpoint_minutes", self.checkpoint_minutes, at_least=0)
        if check_bool("resume", self.resume) and self.checkpoint is None:
            raise ArgumentError("resume", "a checkpoint folder to resume from", Verbatim("none"))


class Estimator(Config, ABC):
    """A config that can be fitted. A subclass has a `fit` that does its work inside `with self._fitting():`.

    Whatever happens in that block, afterwards the object is either newly fitted or exactly what it was before. For that
    a fit builds new objects and never changes those of the fitted state; callbacks during the fit see the new state.

    Example:
        >>> class Mean(Estimator):
        ...     '''Learns the mean of some numbers.'''
        ...
        ...     is_fitted = property(lambda self: "mean" in vars(self))
        ...
        ...     def _fitted_on(self):
        ...         return f"{self.count} numbers"
        ...
        ...     def fit(self, numbers):
        ...         with self._fitting():
        ...             self.count = len(numbers)
        ...             self.mean = sum(numbers) / self.count
        ...         return self
        >>> model = Mean().fit([1, 3])
        >>> model
        Mean(fitted on 2 numbers)
        >>> model.fit([])
        Traceback (most recent call last):
        ...
        ZeroDivisionError: division by zero
        >>> model.mean, model.count
        (2.0, 2)
    """

    origin: Mapping[str, str] = {}
    """What the last fit learned from: "data", the fingerprint of its data, and "logq", the version that learned."""

    shares_work: ClassVar[bool] = False
    """Whether several processes can fit one model together."""

    @classmethod
    def check_processes(cls) -> None:
        """Check that this process is the only one, unless several can fit the model together.

        Raises:
            ArgumentError: torchrun has started several.

        Example:
            >>> from logq import Popularity
            >>> Popularity.check_processes()
        """
        if not cls.shares_work:
            check_alone(cls.__name__)

    @property
    @abstractmethod
    def is_fitted(self) -> bool:
        """Whether `fit` or `load` has succeeded."""

    @abstractmethod
    def _fitted_on(self) -> str:
        """What it was fitted on, for repr(): "20 items"."""

    def __repr__(self) -> str:
        return text_of(self)

    def _repr_html_(self) -> str:
        return html_of(self)

    def _check_fitted(self) -> None:
        """Check that it is fitted.

        Raises:
            AttributeError: it is not.
        """
        if not self.is_fitted:
            raise AttributeError(f"{type(self).__name__}: it has learned nothing yet, call fit first")

    # --------------------------------------------------------------------------------------------------------- fit

    @contextlib.contextmanager
    def _fitting(self) -> Generator[None, None, None]:
        """The block of a fit: after any exception, Ctrl-C among them, all attributes are what they were before."""
        if not _inside.get():  # a fit that processes share may contain one that each makes for itself
            self.check_processes()
        before = dict(vars(self))
        outer = _inside.set(True)
        try:
            yield
        except BaseException:
            with uninterrupted():
                vars(self).clear()
                vars(self).update(before)
            raise
        finally:
            _inside.reset(outer)

    def _learned_from(self, data: str) -> None:
        """Note the fingerprint of the data, and who learned from it."""
        self.origin = {"data": data, "logq": version()}

    def _free_settings(self) -> Collection[str]:
        """The settings that may change between a run and its continuation."""
        return ()

    def _checkpoint(self, options: FitOptions, data: str, data_name: str = "log") -> RunCheckpoint:
        """The checkpoint of a run; one that does nothing where no folder was given.

        Args:
            options: of the fit.
            data: the fingerprint of the data.
            data_name: the argument that the data came by.
        """
        self._learned_from(data)
        return RunCheckpoint(
            options.checkpoint,
            type(self).__name__,
            self.settings(),
            data,
            data_name=data_name,
            free=self._free_settings(),
            minutes=options.checkpoint_minutes,
        )


E = TypeVar("E", bound="SavedEstimator")


class SavedEstimator(Published, Estimator):
    """An estimator that is saved as a whole: `model.safetensors`, which is complete, and a summary `model.json`.

    A subclass gives what it learned as arrays and takes it back (`state`, `restore`); the interface of a family does
    the same for what all of the family keep, such as a vocabulary (`_kept`, `_take_back`).

    Attributes:
        metadata: what JSON can hold of the fitted model beside settings and arrays, such as sizes.

    Example:
        >>> import tempfile
        >>> from logq import Interactions, Popularity
        >>> model = Popularity().fit(Interactions.from_arrays(["ann", "bob"], ["tea", "cup"]))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save(folder)
        ...     Popularity.load(folder)
        Popularity(fitted on 2 items)
    """

    family: ClassVar[Family]
    rules: ClassVar[Rules] = {}
    """By which rule each setting that may be "auto" is chosen."""

    chosen: Mapping[str, AutomaticChoice] = {}
    """What the last fit chose, and why."""

    metadata: dict[str, Any]

    def __post_init__(self) -> None:
        super().__post_init__()
        self.metadata = {}

    @abstractmethod
    def state(self) -> dict[str, NDArray[Any]]:
        """Everything that was learned, as arrays by name."""

    @abstractmethod
    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take over what `state` gave; `metadata` and what the family keeps are there already.

        Raises:
            KeyError, ValueError: names, dtypes or shapes are not those that the settings ask for.
        """

    @abstractmethod
    def _kept(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """What all estimators of the family save: what JSON can hold, and arrays."""

    @abstractmethod
    def _take_back(self, info: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> None:
        """Take over what `_kept` gave."""

    def save(self, folder: str | os.PathLike[str], *, card: bool | Card = False) -> None:
        """Write the model into a folder: `model.safetensors`, which is complete, and a readable summary `model.json`.

        Of several processes that torchrun has started, which have the same model, only the first one writes. Where each
        has a part of it, all of them call this at once, and the first one writes what the others send it, a part at a
        time.

        Args:
            folder: where it goes.
            card: whether to write a model card beside it, README.md; or what it is to say beside what the model knows.

        Raises:
            AttributeError: the model is not fitted.
            ArgumentError: there is a README.md that is no model card.
            OSError: a file cannot be written; what was there stays.
        """
        wanted = Card.of(card)
        self._check_fitted()
        if not (self.in_parts or launched().is_first):
            return
        check_card(folder, wanted)
        described, tensors = self._kept()
        chosen = {name: choice.reason for name, choice in self.chosen.items() if name in self.auto}
        known = {"auto": sorted(self.auto), "chosen": chosen, "origin": dict(self.origin)}
        about = {name: value for name, value in known.items() if value}
        info = {"settings": self._saved_settings(), "metadata": self.metadata, **described, **about}
        stored = Stored(type(self).__name__, info, {**tensors, **prefixed("learned", self.state())})
        home = Path(folder)

        def write() -> None:
            write_stored(home / FILE, stored, format=FORMATS[self.family], summary=home / SUMMARY)

        self._write(write, stored)
        if launched().is_first:
            self._write_card(home, wanted)

    @classmethod
    def _left_in_file(cls, info: Mapping[str, Any]) -> Collection[str]:
        """By what `save` wrote beside the arrays, the names of those that `restore` gets as maps of the file."""
        return ()

    def _card_facts(self) -> CardFacts:
        return facts_of(self, *self._shown_on_card())

    def _shown_on_card(self) -> tuple[Mapping[str, int], str, int | None]:
        """Of the fitted model: its sizes by name, lines of Python that ask a `model`, and how many users it has."""
        return {}, "print(model)", None

    def _saved_settings(self) -> dict[str, Any]:
        """The settings that `load` makes the model of."""
        return self.settings()

    @property
    def in_parts(self) -> bool:
        """Whether several processes have a part of the fitted model each, so that all are asked the same at once."""
        return False

    def _write(self, write: Callable[[], None], stored: Stored) -> None:
        """Write what is saved."""
        write()

    @classmethod
    def load(cls, folder: str | os.PathLike[str], *, check: bool = True, **options: Any) -> Self:
        """Read what `save` wrote: a model of this class, or of any class below it.

        Args:
            folder: where it is.
            check: compare the digests in the file, at about the speed of a copy.
            **options: arguments beside the settings in the file, such as `device`.

        Raises:
            OSError: the file cannot be read.
            ValueError: it is damaged, changed, of another version or another class; the message says what is wrong.
        """
        path = Path(folder) / FILE
        formats = tuple(FORMATS.values())
        name = read_kind(path, format=formats)
        kind = _find_class(cls, name)
        if kind is None:
            expected = cls.family if inspect.isabstract(cls) else cls.__name__
            raise ValueError(f"{path}: expected a {expected}, the file holds a {name}")
        stored = read_stored(path, format=formats, check=check, mapped=kind._left_in_file)
        kind.from_settings({}, **options)  # whose errors are not those of the file
        info, tensors = stored.info, stored.tensors
        with parsing(path):
            try:
                model = kind.from_settings({**kind.settings_before, **info["settings"]}, **options)
                model.metadata = dict(info["metadata"] if "metadata" in info else info["facts"])
                model._take_back(info, tensors)
                model.auto = frozenset(info.get("auto", ())) & kind.rules.keys()  # so that another fit chooses anew
                why = dict(info.get("chosen", {}))
                chosen = [name for name in why if name in model.auto]  # in the order of the rules
                model.chosen = {name: AutomaticChoice(getattr(model, name), str(why[name])) for name in chosen}
                model.origin = {str(name): str(value) for name, value in dict(info.get("origin", {})).items()}
                learned = with_prefix("learned", tensors)
                _check_numbers(learned)
                model.restore(learned)
            except KeyError as error:
                raise ValueError(f"{path}: the file was changed, it lacks {error}") from None
            except (TypeError, ValueError, IndexError) as error:
                raise ValueError(f"{path}: the file was changed, {error}") from None
        return model


def _check_numbers(learned: Mapping[str, NDArray[Any]]) -> None:
    """Check that no number is NaN or infinite; the logarithm of 0 may be among them."""
    for name, array in learned.items():
        if array.dtype.kind != "f":
            continue
        rows = array.reshape(1) if array.ndim == 0 else array
        for begin in range(0, len(rows), _ROWS):
            if not (rows[begin : begin + _ROWS] < np.inf).all():
                raise ValueError(f"{name!r}: expected numbers that are not NaN or infinite")
            release_mapped(rows)


def _find_class(wanted: type[E], name: str) -> type[E] | None:
    """The class of that name among `wanted` and those below it: of the table, or a user's own if it was imported."""
    found = class_of(name, wanted.family)
    if isinstance(found, type) and issubclass(found, wanted):
        return found
    kinds: list[type[E]] = [wanted]
    for kind in kinds:
        if kind.__name__ == name:
            return kind
        kinds += kind.__subclasses__()
    return None


def prefixed(name: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Arrays under the names NAME/key.

    Example:
        >>> list(prefixed("learned", {"weight": np.zeros(2)}))
        ['learned/weight']
    """
    return {f"{name}/{key}": array for key, array in arrays.items()}


def with_prefix(name: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The arrays whose names begin with NAME/, without it; the inverse of `prefixed`.

    Example:
        >>> list(with_prefix("learned", {"learned/weight": np.zeros(2), "users/keys": np.zeros(1)}))
        ['weight']
    """
    return {key[len(name) + 1 :]: array for key, array in arrays.items() if key.startswith(f"{name}/")}
