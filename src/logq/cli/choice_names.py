"""Names that options of several commands choose from, as typer takes them: those of objectives and samplers."""

from enum import Enum

from logq.objectives import OBJECTIVES
from logq.samplers.registry import SAMPLERS

__all__ = ["ObjectiveName", "SamplerName", "listed"]


class ObjectiveName(str, Enum):
    """The objectives of the table in logq.objectives."""

    _ignore_ = ["_name", "_members"]  # noqa: RUF012
    _members = vars()
    for _name in OBJECTIVES:
        _members[_name] = _name


class SamplerName(str, Enum):
    """The samplers of logq.samplers.registry."""

    _ignore_ = ["_name", "_members"]  # noqa: RUF012
    _members = vars()
    for _name in SAMPLERS:
        _members[_name] = _name


def listed(names: type[Enum]) -> str:
    """The names of an enumeration for a text of help.

    Example:
        >>> listed(SamplerName)
        'unigram, uniform, log_uniform, learned_unigram, in_batch, every_class'
    """
    return ", ".join(str(name.value) for name in names)
