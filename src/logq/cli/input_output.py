"""Which parameters of a command are read and which are written, and that these never meet.

A parameter says so beside its option: `Annotated[Path, typer.Option(...), WRITES]`. Before a command runs, what it
would write is compared with all that it would read: as files, by whatever path, link or pattern they are named.
"""

import contextlib
import glob
import os
import stat
import sys
from collections.abc import Generator, Iterable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

from logq._files import is_standard_output
from logq.cli.terminal.errors import BadInputError, note
from logq.hub.hub_folders import fetch_folder, is_hub_place

__all__ = ["READS", "WRITES", "WRITES_FOLDER", "Role", "roles_of", "settled", "writing"]


class Role(Enum):
    """What a command does with the file or folder that a parameter names."""

    reads = "reads"
    writes = "writes"
    writes_folder = "writes into"


READS: Final = Role.reads
WRITES: Final = Role.writes
WRITES_FOLDER: Final = Role.writes_folder

# What logq puts into folders: no other result goes to such a name in a folder that is read, and none is read there.
_OURS: Final = frozenset(
    f"{name}{ending}"
    for name in ("vectors", "model", "checkpoint", "index", "made_of", "titles", "training", "interactions", "split")
    for ending in (".safetensors", ".json")
)

Identity: TypeAlias = tuple[Any, ...]


class _Place(NamedTuple):
    spelled: str
    name: str

    @property
    def identity(self) -> Identity | None:
        """What is equal for two names of one file; None for what is no file of its own, as a device or a pipe."""
        if is_standard_output(self.name):
            return ("standard output",)
        try:
            found = os.stat(self.name)
        except (OSError, ValueError):
            folder, name = os.path.split(os.path.abspath(self.name))
            return (os.path.normcase(os.path.realpath(folder)), os.path.normcase(name))
        return (found.st_dev, found.st_ino) if stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode) else None


def roles_of(parameters: Mapping[str, Any]) -> dict[str, Role]:
    """The roles that annotations of parameters have, by the name of the parameter.

    Example:
        >>> from typing import Annotated
        >>> roles_of({"output": Annotated[str, WRITES], "seed": int})
        {'output': <Role.writes: 'writes'>}
    """
    found = {name: getattr(kind, "__metadata__", ()) for name, kind in parameters.items()}
    return {name: one for name, several in found.items() for one in several if isinstance(one, Role)}


def settled(values: Mapping[str, Any], roles: Mapping[str, Role], spelled: Mapping[str, str]) -> dict[str, Any]:
    """Check that nothing is written that is also read, and leave results out of the patterns that match them.

    Args:
        values: of the parameters of a command.
        roles: of those that name files or folders.
        spelled: what a user types for each parameter.

    Returns:
        The values, patterns with files in their places where they match a result, and models of the hub with folders.

    Raises:
        BadInputError: a result would replace what is read, or another result.
    """
    for name, role in roles.items():
        if role is not READS and (sent := next(filter(is_hub_place, _names(values.get(name))), None)):
            hint = "`logq push` sends a model to the hub"
            raise BadInputError(f"{spelled[name]}: expected a place on this machine, got {sent}; {hint}")
    values = _fetched(values, roles)
    written = [
        _Place(spelled[name], one) for name in roles if roles[name] is WRITES for one in _names(values.get(name))
    ]
    folders = [
        _Place(spelled[name], one) for name in roles if roles[name] is WRITES_FOLDER for one in _names(values.get(name))
    ]
    _check_apart([*written, *folders])
    for place, folder in ((place, folder) for place in written for folder in folders):
        if _is_ours(place.name) and _is_in(place.name, folder.name):
            raise BadInputError(
                f"{place.spelled}: expected another file than those of {folder.spelled}, got {place.name}"
            )
    inputs = [spelled[name] for name in roles if roles[name] is READS for one in _names(values.get(name)) if one == "-"]
    if len(inputs) > 1:
        second = f" and for {inputs[1]}" if inputs[1] != inputs[0] else ""
        raise BadInputError(f"{inputs[0]}: expected - once, as standard input can be read once, got it twice{second}")
    outputs = {place.identity: place for place in written if place.identity is not None}
    result = dict(values)
    for name in (name for name, role in roles.items() if role is READS):
        given = _names(values.get(name))
        kept: list[str] = []
        for one in given:
            if glob.has_magic(one) and not os.path.lexists(one):
                kept += _without_results(_Place(spelled[name], one), outputs, folders)
            else:
                _check_input(_Place(spelled[name], one), outputs, folders)
                kept.append(one)
        if kept != given:
            if not isinstance(values[name], list | tuple):
                raise BadInputError(f"{spelled[name]}: expected other files than the result, got {given[0]!r}")
            result[name] = kept
    return result


@contextlib.contextmanager
def writing(values: Mapping[str, Any], roles: Mapping[str, Role]) -> Generator[None, None, None]:
    """A block in which a command runs: if a result goes to standard output, nothing else does."""
    taken = any(
        is_standard_output(one) for name, role in roles.items() if role is WRITES for one in _names(values.get(name))
    )
    if not taken:
        yield
        return
    sys.stdout.flush()
    with open(os.devnull, "w", encoding="utf-8") as nowhere, contextlib.redirect_stdout(nowhere):
        yield


def _fetched(values: Mapping[str, Any], roles: Mapping[str, Role]) -> dict[str, Any]:
    """The values, with a folder on this machine in place of each model that is read from the hub: hf://user/name."""
    progress = False if values.get("quiet") else None

    def local(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [local(one) for one in value]
        if isinstance(value, str | os.PathLike) and is_hub_place(value):
            found = fetch_folder(value, progress=progress)
            return str(found) if isinstance(value, str) else found
        return value

    return {name: local(value) if roles.get(name) is READS else value for name, value in values.items()}


def _names(value: Any) -> list[str]:
    if value is None:
        return []
    several: Iterable[Any] = value if isinstance(value, list | tuple) else [value]
    return [os.fspath(one) for one in several if isinstance(one, str | os.PathLike)]


def _check_apart(results: Sequence[_Place]) -> None:
    known: dict[Identity, _Place] = {}
    for place in results:
        identity = place.identity
        if identity is None:
            continue
        first = known.setdefault(identity, place)
        if first is not place:
            raise BadInputError(f"{place.spelled}: expected another file than {first.spelled}, got {place.name} twice")


def _check_input(place: _Place, outputs: Mapping[Identity, _Place], folders: Sequence[_Place]) -> None:
    identity = place.identity
    if place.name == "-":
        with contextlib.suppress(OSError, ValueError, AttributeError):
            found = os.fstat(sys.stdin.fileno())
            identity = (found.st_dev, found.st_ino) if stat.S_ISREG(found.st_mode) else None
    result = outputs.get(identity) if identity is not None else None
    if result is not None:
        raise BadInputError(
            f"{result.spelled}: expected another file than {place.spelled}, which it would replace, got {result.name}"
        )
    if os.path.isdir(place.name):
        for result in outputs.values():
            if _is_ours(result.name) and _is_in(result.name, place.name):
                raise BadInputError(
                    f"{result.spelled}: expected another file than those of {place.spelled}, got {result.name}"
                )
    elif _is_ours(place.name):
        for folder in folders:
            if _is_in(place.name, folder.name):
                raise BadInputError(
                    f"{folder.spelled}: expected another folder than that of {place.name}, which it may replace"
                )


def _is_ours(name: str) -> bool:
    return os.path.basename(name) in _OURS or name.endswith(".npy")  # an array of a log


def _without_results(pattern: _Place, outputs: Mapping[Identity, _Place], folders: Sequence[_Place]) -> list[str]:
    matches = [match for match in sorted(glob.glob(pattern.name, recursive=True)) if not os.path.isdir(match)]
    ours = [match for match in matches if _is_result(_Place(pattern.spelled, match), outputs, folders)]
    if not ours:
        return [pattern.name]
    left = [match for match in matches if match not in ours]
    if not left:
        raise BadInputError(f"{pattern.spelled}: {pattern.name!r} matches nothing but the result, {ours[0]}")
    more = f" and {len(ours) - 1} more" if len(ours) > 1 else ""
    note(f"{pattern.spelled}: {pattern.name!r} matches {ours[0]}{more} too, which is a result and is left out")
    return left


def _is_result(place: _Place, outputs: Mapping[Identity, _Place], folders: Sequence[_Place]) -> bool:
    identity = place.identity
    return (identity is not None and identity in outputs) or any(_is_in(place.name, one.name) for one in folders)


def _is_in(name: str, folder: str) -> bool:
    return Path(os.path.realpath(folder)) in Path(os.path.realpath(name)).parents
