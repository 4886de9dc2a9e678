"""The annotations of a field of a Config, and Option, which collects them."""

import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields, replace
from typing import Annotated, Any, Union, get_args, get_origin

from logq._arguments import ArgumentError, ArgumentTypeError, check_bool, check_float, check_int

__all__ = ["AUTO", "Above", "AtLeast", "AtMost", "Auto", "Below", "Check", "Help", "OneOf", "Option", "TriedValues"]

AUTO: Any = "auto"
"""What stands for a value that a fit chooses. Of type Any, so that a field has the type of what is chosen."""


@dataclass(frozen=True)
class AtLeast:
    """The number, or each number of a sequence, is >= `value`. Integers need one.

    Example:
        >>> AtLeast(1)
        AtLeast(value=1)
    """

    value: float


@dataclass(frozen=True)
class Above:
    """The number is > `value`.

    Example:
        >>> Above(0)
        Above(value=0)
    """

    value: float


@dataclass(frozen=True)
class AtMost:
    """The number is <= `value`.

    Example:
        >>> AtMost(1)
        AtMost(value=1)
    """

    value: float


@dataclass(frozen=True)
class Below:
    """The number is < `value`.

    Example:
        >>> Below(1)
        Below(value=1)
    """

    value: float


@dataclass(frozen=True)
class Auto:
    """The field may also be "auto": a rule of the estimator then chooses the value when it is fitted.

    Example:
        >>> Auto("by the length of histories").by
        'by the length of histories'
    """

    by: str = ""
    """What the value depends on, for --help and the documentation."""


@dataclass(frozen=True)
class TriedValues:
    """Values that a search over settings tries, where it is not told others: see logq.recommenders.tune.

    Args:
        low, high: the least and the largest value of a number.
        choices: the values, where they are not a range.

    Example:
        >>> TriedValues(1e-4, 1e-2).is_logarithmic, TriedValues(0.0, 0.5).is_logarithmic
        (True, False)
    """

    low: float = 0.0
    high: float = 0.0
    choices: tuple[Any, ...] = ()

    @property
    def is_logarithmic(self) -> bool:
        """Whether ratios count, not differences: where the largest value is ten times the least one or more."""
        return self.high >= 10 * self.low > 0


class OneOf:
    """The string is one of `names`, or of what a function returns: a registry that is asked when it is needed.

    Example:
        >>> OneOf("linear", "cosine").names, OneOf(lambda: ("nce",)).names
        (('linear', 'cosine'), ('nce',))
    """

    def __init__(self, *names: str | Callable[[], Sequence[str]]) -> None:
        self._given = names

    @property
    def names(self) -> tuple[str, ...]:
        """The names, in order."""
        return tuple(name for given in self._given for name in ((given,) if isinstance(given, str) else tuple(given())))


@dataclass(frozen=True)
class Check:
    """`function(name, value)` returns the value to keep, or raises; it replaces the check of the field's type.

    None is not handed to it where the type allows None. OneOf beside it only lists the names.

    Example:
        >>> Check(lambda name, value: value.lower()).function("device", "CPU")
        'cpu'
    """

    function: Callable[[str, Any], Any]


@dataclass(frozen=True)
class Help:
    """How a field is documented, named on the command line, and saved.

    Args:
        text: a sentence for Python and the command line; "{none}" becomes what stands for None there. The names of
            OneOf are added, and the default where it is not obvious.
        more: further sentences for Python alone.
        typed: the sentence for the command line, where it has to be another.
        group: heading of the option in --help.
        flag: the option's names, such as "--skip-gram/--cbow" or "--lr --alpha"; "" for --name with hyphens.
        metavar: what stands for the value; "" for one that suits the type.
        none: what is typed for None; where it is a number, Python takes it for None as well.
        default: the default in words, where it depends on other arguments.
        also: names of the argument in other libraries or versions. As arguments they are refused with a hint; in
            settings that were saved they are read.
        aliases: further names, which are accepted as arguments, attributes, options and in settings that were saved.
        negated: whether the switch, when typed, means False.
        repeated: whether the option may be typed several times, once for each item of the sequence.
        hidden: whether --help is silent about it.
        saved: whether the field is one of the settings.

    Example:
        >>> Help("Steps of linear warm-up.", group="Training").flag
        ''
    """

    text: str = ""
    more: str = ""
    typed: str = ""
    group: str = ""
    flag: str = ""
    metavar: str = ""
    none: str = ""
    default: str = ""
    also: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    negated: bool = False
    repeated: bool = False
    hidden: bool = False
    saved: bool = True

    def over(self, base: "Help") -> "Help":
        """Return `base` with what this one says, where it says something."""
        said = {part.name: getattr(self, part.name) for part in fields(self)}
        return replace(base, **{name: value for name, value in said.items() if value != getattr(_SILENT, name)})


_SILENT = Help()
_BOUNDS = {AtLeast: "at_least", Above: "above", AtMost: "at_most", Below: "below"}
_SEQUENCES = (tuple, list, Sequence)
_PLURALS = {int: "integers", float: "numbers", bool: "bools", str: "strings"}
_METAVARS = {int: "N", float: "X", str: "NAME"}


# ------------------------------------------------------------------------------------------- a field, all that is known


@dataclass(frozen=True)
class Option:
    """A field of a Config: how it is checked, given on the command line, shown and saved.

    Attributes:
        name: of the field.
        hint: its annotation without Annotated.
        type: int, float, bool, str, or object for all else; of the items, for a sequence.
        optional: whether it may be None.
        many: whether it is a sequence, kept as a tuple.
        default: dataclasses.MISSING where it is required.
        positional: whether it can be given without its name.
        help: see Help.
        rules: the other annotations by their class.

    Example:
        >>> from logq.training.config import Config, configclass
        >>> @configclass
        ... class Tower(Config):
        ...     widths: Annotated[tuple[int, ...], AtLeast(1), Help("Widths of the layers.")] = (256,)
        ...     clip: Annotated[float | None, Above(0), Help("Largest gradient; {none}: any.", none="0")] = None
        >>> widths, clip = Tower.options().values()
        >>> widths.names, widths.metavar, widths.text, widths.default_text
        (('--widths',), 'N,N', 'Widths of the layers.', '256')
        >>> widths.parse("64, 32"), clip.parse("0"), clip.text, clip.bounds
        ((64, 32), None, 'Largest gradient; 0: any.', {'above': 0})
        >>> widths.parse("64,x")
        Traceback (most recent call last):
        ...
        logq.ArgumentTypeError: widths: expected an integer >= 1, got 'x'
    """

    name: str
    hint: Any
    type: Any
    optional: bool
    many: bool
    default: Any
    positional: bool
    help: Help
    rules: Mapping[Any, Any]

    @classmethod
    def of(cls, part: "Field[Any]", annotation: Any, base: "Option | None" = None, group: str = "") -> "Option":
        """Read an annotation.

        Args:
            part: the field of the dataclass.
            annotation: None where the class only has another default for a field of its base.
            base: the same field of a base class, whose annotations stay where the new ones say nothing.
            group: heading in --help of a field that names none.

        Raises:
            TypeError: a field of integers has neither AtLeast nor Check.
        """
        if annotation is None:
            assert base is not None
            return replace(base, default=part.default)
        hint, *notes = get_args(annotation) if get_origin(annotation) is Annotated else (annotation,)
        rules: dict[Any, Any] = {**(base.rules if base else {}), **{type(note): note for note in notes}}
        said: Help = rules.pop(Help, _SILENT)
        told = said.over(base.help if base else Help(group=group))
        kinds = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
        plain = [kind for kind in kinds if kind is not types.NoneType]
        kind = plain[0] if len(plain) == 1 else object
        many = get_origin(kind) in _SEQUENCES
        kind = get_args(kind)[0] if many else kind
        if kind is int and AtLeast not in rules and Check not in rules:
            raise TypeError(f"{part.name}: expected AtLeast or Check at a field of integers, got neither")
        kind = kind if kind in _PLURALS else object
        return cls(part.name, hint, kind, types.NoneType in kinds, many, part.default, not part.kw_only, told, rules)

    @property
    def names(self) -> tuple[str, ...]:
        """How it is spelled on the command line: "--lr", "--hs" alone where False is the default, "--tied/--untied"."""
        if self.help.flag:
            return tuple(self.help.flag.split())
        flags = [name.replace("_", "-") for name in (self.name, *self.help.aliases)]
        paired = self.is_switch and self.default is not False
        return tuple(f"--{flag}/--no-{flag}" if paired else f"--{flag}" for flag in flags)

    @property
    def is_switch(self) -> bool:
        """Whether the command line takes its name alone."""
        return self.type is bool and not self.many

    @property
    def choices(self) -> tuple[str, ...]:
        """The names of OneOf; () where there is none."""
        return self.rules[OneOf].names if OneOf in self.rules else ()

    @property
    def bounds(self) -> dict[str, float]:
        """The limits of a number under the names that check_float has for them, and "below"."""
        return {_BOUNDS[kind]: rule.value for kind, rule in self.rules.items() if kind in _BOUNDS}

    @property
    def metavar(self) -> str:
        """What stands for the value in --help."""
        plain = "NAME" if self.choices else _METAVARS.get(self.type, "NAME")
        return self.help.metavar or (f"{plain},{plain}" if self.many and not self.help.repeated else plain)

    @property
    def text(self) -> str:
        """The sentence for the command line, without the default."""
        return self._sentence(self.help.typed or self.help.text, self.help.none)

    @property
    def default_text(self) -> str:
        """The default as it would be typed; "" where there is none to type."""
        if self.is_auto(self.default):
            return self._auto_text
        if self.help.default or self.default is MISSING or self.default is None:
            return self.help.default or (self.help.none if self.default is None else "")
        if self.is_switch:
            on, slash, off = self.names[0].partition("/")
            typed = on if self.default is not self.help.negated else off
            return typed.lstrip("-") if slash else ""
        return ",".join(_typed(value) for value in (self.default if self.many else (self.default,)))

    def is_auto(self, value: Any) -> bool:
        """Whether a value leaves it to a fit to choose one."""
        return Auto in self.rules and isinstance(value, str) and value == AUTO

    @property
    def _auto_text(self) -> str:
        by = self.rules[Auto].by
        return f"auto, {by}" if by else "auto"

    @property
    def paragraph(self) -> str:
        """What a docstring says about it: "warmup: Steps of linear warm-up. Default: 0."."""
        shown = f'"{self.default}"' if isinstance(self.default, str) else repr(self.default)
        if self.is_auto(self.default):
            default = shown + self._auto_text.removeprefix(AUTO)
        else:
            default = self.help.default or ("" if self.default is MISSING else shown)
        aliases = " or ".join(self.help.aliases)
        parts = (
            self._sentence(self.help.text, "None" + (self.help.none and f" or {self.help.none}")),
            self.help.more,
            aliases and f"Also accepted as {aliases}.",
            default and f"Default: {default}.",
        )
        return f"{self.name}: " + " ".join(part for part in parts if part)

    def _sentence(self, text: str, none: str) -> str:
        text = text.replace("{none}", none)
        return f"{text.removesuffix('.')}: {', '.join(self.choices)}." if self.choices else text

    def check(self, value: Any) -> Any:
        """Return the value as it is to be kept: NumPy's numbers as Python's, sequences as tuples.

        Raises:
            ArgumentError, ArgumentTypeError: it is not what the annotations say.
        """
        if self.is_auto(value):
            return AUTO
        if self.optional and (value is None or self._stands_for_none(value)):
            return None
        if Check in self.rules:
            return self.rules[Check].function(self.name, value)
        if not self.many:
            return self._check_one(value)
        if not isinstance(value, Sequence) or isinstance(value, str | bytes):
            raise ArgumentTypeError(self.name, f"a sequence of {_PLURALS.get(self.type, 'values')}", value)
        return tuple(self._check_one(item) for item in value)

    def _stands_for_none(self, value: Any) -> bool:
        """Whether what is typed for None was given: 0 means the same in Python as on the command line."""
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return bool(self.help.none) and number and value == self._read(self.help.none)

    def _check_one(self, value: Any) -> Any:
        name, bounds = self.name, self.bounds
        if self.type is int:
            number, most = check_int(name, value, int(bounds["at_least"])), bounds.get("at_most")
            if most is not None and number > most:
                raise ArgumentError(name, f"an integer >= {bounds['at_least']} and <= {most}", value)
            return number
        if self.type is float:
            below = bounds.pop("below", None)
            number = check_float(name, value, **bounds)
            if below is not None and number >= below:
                raise ArgumentError(name, f"a number < {below:g}", value)
            return number
        if self.type is bool:
            return check_bool(name, value)
        expected = f"one of {', '.join(self.choices)}" if self.choices else "a string"
        if self.type is str and not isinstance(value, str):
            raise ArgumentTypeError(name, expected, value)
        if self.choices and value not in self.choices:
            raise ArgumentError(name, expected, value)
        return value

    def parse(self, typed: str | bool | Sequence[str]) -> Any:
        """Return the checked value of what was typed: a text, True or False of a switch, or texts if repeated.

        Raises:
            ArgumentError, ArgumentTypeError: it stands for no value that `check` accepts.
        """
        if isinstance(typed, bool):
            return self.check(typed is not self.help.negated)
        if self.many:
            parts = typed.split(",") if isinstance(typed, str) else typed
            return self.check(tuple(self._read(part.strip()) for part in parts if part.strip()))
        value = self._read(str(typed))
        return self.check(value)

    def _read(self, text: str) -> Any:
        try:
            return self.type(text) if self.type in (int, float) else text
        except ValueError:
            return text  # `check` says what is wrong with it


def _typed(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
