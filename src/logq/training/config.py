"""Config: the annotation of a field is its check, its documentation, its setting and its command-line option.

An estimator inherits its config, so that its arguments are in one place. Nothing here imports torch.
"""

import difflib
import functools
import inspect
import re
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, TypeVar, overload

from typing_extensions import Self, dataclass_transform

from logq._arguments import ArgumentTypeError, Verbatim
from logq.training.config_fields import (
    AUTO,
    Above,
    AtLeast,
    AtMost,
    Auto,
    Below,
    Check,
    Help,
    OneOf,
    Option,
    TriedValues,
)

__all__ = [
    "AUTO",
    "Above",
    "AtLeast",
    "AtMost",
    "Auto",
    "Below",
    "Check",
    "Config",
    "Help",
    "OneOf",
    "Option",
    "TriedValues",
    "UnknownArgumentError",
    "configclass",
]

CUSTOM = "custom"
"""What the settings have for a function, which JSON cannot hold."""


class UnknownArgumentError(ArgumentTypeError):
    """A class was given an argument that it does not take.

    Example:
        >>> raise UnknownArgumentError("blook", "SASRec", "did you mean blocks?")
        Traceback (most recent call last):
        ...
        logq.training.config.UnknownArgumentError: SASRec: unknown argument 'blook'; did you mean blocks?
    """

    def __init__(self, name: str, owner: str, hint: str = "") -> None:
        super().__init__(name, f"an argument of {owner}", hint=hint)
        self.args = (name, owner, hint)  # so that it can be pickled
        self.owner = owner

    def message(self, name: str) -> str:
        """The message, which begins with the class: no argument of it has that name."""
        return f"{self.owner}: unknown argument {name!r}" + (self.hint and f"; {self.hint}")


class Config:
    """The arguments of a component, as fields of a class that is decorated with `configclass`.

    Values are checked by `__post_init__`: a subclass calls `super().__post_init__()` first, and then checks what
    concerns several fields. An estimator inherits from its config, without the decorator, so that its own annotations
    are not arguments; its docstring gets the section of the arguments like that of the config.

    Example:
        >>> from dataclasses import field
        >>> from typing import Annotated
        >>> @configclass(group="Training")
        ... class Schedule(Config):
        ...     dim: Annotated[int, AtLeast(1), Help("Dimension of the vectors.", group="Model")] = field(
        ...         default=64, kw_only=False
        ...     )
        ...     warmup: Annotated[int, AtLeast(0), Help("Steps of linear warm-up.")] = 0
        ...     decay: Annotated[str, OneOf("constant", "cosine"), Help("How the learning rate falls.")] = "constant"
        >>> @configclass
        ... class Cosine(Schedule):
        ...     decay = "cosine"  # with the checks and the documentation that it had
        >>> class Model(Cosine):
        ...     '''Learns.'''
        >>> Model(32, warmup=5).settings()
        {'dim': 32, 'warmup': 5, 'decay': 'cosine'}
        >>> print(Model.__doc__)
        Learns.
        <BLANKLINE>
        Args:
            dim: Dimension of the vectors. Default: 64.
            warmup: Steps of linear warm-up. Default: 0.
            decay: How the learning rate falls: constant, cosine. Default: "cosine".
        >>> Model(warmup=-1)
        Traceback (most recent call last):
        ...
        logq.ArgumentError: warmup: expected an integer >= 0, got -1
        >>> Model(warmups=1)
        Traceback (most recent call last):
        ...
        logq.training.config.UnknownArgumentError: Model: unknown argument 'warmups'; did you mean warmup?
    """

    unknown_hints: ClassVar[Mapping[str, str]] = {}
    """What to do instead of giving an argument that is not there, such as one of another library."""

    settings_before: ClassVar[Mapping[str, Any]] = {}
    """What was so before it was a setting: what files of earlier versions lack, where today's default is another."""

    __config_options__: ClassVar[Mapping[str, Option]] = {}
    __prose__: ClassVar[str | None] = None

    _given: Mapping[str, Any] = {}
    """What the constructor was given, checked; the attributes may have what follows from it."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.__prose__ = cls.__dict__.get("__doc__")
        _document(cls)

    auto: frozenset[str] = frozenset()
    """The names of the fields that were given as "auto", whatever has been chosen for them since."""

    def __post_init__(self) -> None:
        for name, option in self.__config_options__.items():
            setattr(self, name, option.check(getattr(self, name)))
        # Called again once they are chosen, it checks the choices.
        self.auto |= {name for name, option in self.__config_options__.items() if option.is_auto(getattr(self, name))}

    def __repr__(self) -> str:
        given = {name: getattr(self, name) for name in self.__config_options__}
        changed = (
            f"{name}={value!r}" for name, value in given.items() if value != self.__config_options__[name].default
        )
        return f"{type(self).__name__}({', '.join(changed)})"

    @classmethod
    def options(cls) -> dict[str, Option]:
        """The fields by name, in the order of the documentation: positional ones, own ones, those of its bases."""
        return dict(cls.__config_options__)

    def settings(self) -> dict[str, Any]:
        """The arguments, as JSON can hold them; a function is "custom"."""
        saved = [name for name, option in self.__config_options__.items() if option.help.saved]
        return {name: _plain(getattr(self, name)) for name in saved}

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], **others: Any) -> Self:
        """Make one of `settings`; what they lack has its default, and so has what was a function.

        Args:
            settings: as `settings` returns them, under the names of today or others (see Help.also and Help.aliases).
            **others: further arguments, such as the device, which win.

        Raises:
            ValueError: a setting is unknown.
            ArgumentError, ArgumentTypeError: one is not what the annotations say.

        Example:
            >>> Config.from_settings({"blocks": 2})
            Traceback (most recent call last):
            ...
            ValueError: settings: Config has no 'blocks'; a later version of logq may have written them
        """
        others_of = {
            other: name
            for name, option in cls.__config_options__.items()
            for other in (*option.help.also, *option.help.aliases)
        }
        values: dict[str, Any] = {}
        for key, value in settings.items():
            name = key if key in cls.__config_options__ else others_of.get(key, key)
            if name not in cls.__config_options__:
                raise ValueError(
                    f"settings: {cls.__name__} has no {key!r}; a later version of logq may have written them"
                )
            if value != CUSTOM or cls.__config_options__[name].type is not object:
                values[name] = value
        return cls(**{**values, **others})

    # ---------------------------------------------------------------------------------------- as scikit-learn calls it

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the arguments of the constructor, so that scikit-learn's tools can make another one.

        Where the attributes have what follows from other arguments or from the data, this has what was asked for:
        "auto" for what a fit has chosen, None for a sampler that was left to the objective.

        Args:
            deep: as scikit-learn passes it; no argument has arguments of its own.

        Example:
            >>> from logq import Word2Vec
            >>> text = [["so", "far", "so", "good"]] * 9
            >>> model = Word2Vec(8, min_count=1, sample=0, seed=1).fit(text, progress=False)
            >>> model.num_sampled, model.get_params()["num_sampled"], model.get_params()["dim"]
            (5, 'auto', 8)
        """
        asked = {name: self._given.get(name, option.default) for name, option in self.__config_options__.items()}
        return {name: AUTO if name in self.auto else value for name, value in asked.items()}

    def set_params(self, **params: Any) -> Self:
        """Change arguments of the constructor; what was fitted is as new then, and has learned nothing.

        Args:
            **params: arguments by name; without any, nothing changes.

        Raises:
            UnknownArgumentError: the constructor does not take one of them.
            ArgumentError, ArgumentTypeError: a value is not as the constructor wants it; nothing has changed.

        Example:
            >>> from logq import EASE
            >>> EASE().set_params(regularization=100)
            EASE(regularization=100.0)
            >>> EASE().set_params(diagonal=100)
            Traceback (most recent call last):
            ...
            logq.training.config.UnknownArgumentError: EASE: unknown argument 'diagonal'
        """
        if params:
            _refuse_unknown(type(self), 0, params)
            made = type(self)(**{**self.get_params(), **_without_aliases(type(self), params)})
            vars(self).clear()
            vars(self).update(vars(made))
        return self

    def __sklearn_clone__(self) -> Self:
        return type(self)(**self.get_params())


C = TypeVar("C", bound=Config)


@overload
def configclass(cls: type[C], /) -> type[C]: ...
@overload
def configclass(*, group: str = "") -> Callable[[type[C]], type[C]]: ...
@dataclass_transform(kw_only_default=True, eq_default=False, field_specifiers=(field,))
def configclass(cls: Any = None, /, *, group: str = "") -> Any:
    """Make the annotated attributes of a subclass of Config its fields, as @dataclass(kw_only=True) does.

    A field of a base class gets another default by a bare assignment, `max_length = 200`, or by another annotation,
    `max_length: Annotated[int, Help("Windows in a step.")] = 200`; what that does not say stays as it was.

    Args:
        cls: the class.
        group: heading in --help of the fields that name none.

    Raises:
        TypeError: an integer has neither AtLeast nor Check.

    Example:
        >>> from typing import Annotated
        >>> @configclass(group="Loss")
        ... class Loss(Config):
        ...     log_q: Annotated[bool, Help("Correct for log Q.")] = True
        >>> option = Loss.options()["log_q"]
        >>> option.names, option.help.group, Loss(log_q=False)
        (('--log-q/--no-log-q',), 'Loss', Loss(log_q=False))
    """
    return functools.partial(_configured, group=group) if cls is None else _configured(cls, group)


def _configured(cls: type[C], group: str) -> type[C]:
    annotations = inspect.get_annotations(cls, eval_str=True)
    inherited: dict[str, Option] = {}
    for base in reversed(cls.__mro__[1:]):
        inherited.update(getattr(base, "__config_options__", {}))
    for name, option in inherited.items():
        if name in cls.__dict__ and name not in annotations:  # dataclass would not notice the new default
            cls.__annotations__[name] = option.hint
            setattr(cls, name, field(default=cls.__dict__[name], kw_only=not option.positional))
    dataclass(kw_only=True, repr=False, eq=False)(cls)
    # What can be given without its name comes first, and then what the class itself adds.
    parts = sorted(fields(cls), key=lambda part: (part.kw_only, part.name in inherited))  # pyright: ignore[reportArgumentType]
    cls.__config_options__ = {
        part.name: Option.of(part, annotations.get(part.name), inherited.get(part.name), group) for part in parts
    }
    for name, option in cls.__config_options__.items():
        for alias in option.help.aliases:
            setattr(cls, alias, _alias_of(name))
    _document(cls)
    make = cls.__init__
    positional = [part.name for part in fields(cls) if not part.kw_only]  # pyright: ignore[reportArgumentType]
    # So that help() shows `dim: int = 64`.
    make.__annotations__ = {name: option.hint for name, option in cls.__config_options__.items()} | {"return": None}

    @functools.wraps(make)
    def __init__(self: Any, *args: Any, **values: Any) -> None:  # noqa: N807
        _refuse_unknown(type(self), len(args), values)
        values = _without_aliases(type(self), values)
        make(self, *args, **values)
        given = {**dict(zip(positional, args, strict=False)), **values}
        self._given = {name: cls.__config_options__[name].check(value) for name, value in given.items()}

    cls.__init__ = __init__
    return cls


def _alias_of(name: str) -> property:
    def get(self: Any) -> Any:
        return getattr(self, name)

    def put(self: Any, value: Any) -> None:
        setattr(self, name, value)

    return property(get, put, doc=f"Another name of `{name}`.")


def _without_aliases(cls: type[Config], values: Mapping[str, Any]) -> dict[str, Any]:
    name_of = {alias: name for name, option in cls.options().items() for alias in option.help.aliases}
    twice = next((alias for alias, name in name_of.items() if alias in values and name in values), None)
    if twice is not None:
        raise ArgumentTypeError(twice, f"{name_of[twice]} alone", Verbatim("both"), "they are the same argument")
    return {name_of.get(name, name): value for name, value in values.items()}


def _refuse_unknown(cls: type[Config], num_positional: int, values: Mapping[str, Any]) -> None:
    options = cls.options()
    most = sum(option.positional for option in options.values())
    if num_positional > most:
        arguments = f"{most or 'no'} positional argument{'s' * (most != 1)}"
        expected = f"at most {arguments}" if most else arguments
        raise ArgumentTypeError(cls.__name__, expected, Verbatim(str(num_positional)), "give the others by name")
    known = {*options, *(alias for option in options.values() for alias in option.help.aliases)}
    unknown = next((name for name in values if name not in known), None)
    if unknown is None:
        return
    if unknown in cls.unknown_hints:
        raise UnknownArgumentError(unknown, cls.__name__, cls.unknown_hints[unknown])
    here = next((name for name, option in options.items() if unknown in option.help.also), None)
    if here is not None:
        raise UnknownArgumentError(unknown, cls.__name__, f"it is called {here} here")
    close = difflib.get_close_matches(unknown, options, n=1)
    raise UnknownArgumentError(unknown, cls.__name__, f"did you mean {close[0]}?" if close else "")


def _document(cls: type[Config]) -> None:
    """Put a section of the arguments before the other sections of the docstring."""
    if not cls.__prose__ or not cls.__config_options__:
        return
    wrap = textwrap.TextWrapper(100, initial_indent=" " * 4, subsequent_indent=" " * 8, break_on_hyphens=False)
    lines = ["Args:", *(wrap.fill(option.paragraph) for option in cls.__config_options__.values())]
    prose = inspect.cleandoc(cls.__prose__)
    heading = re.search(r"^(Attributes|Raises|References|Examples?|Notes?):$", prose, re.MULTILINE)
    before, after = (prose[: heading.start()], prose[heading.start() :]) if heading else (prose, "")
    cls.__doc__ = "\n\n".join(part for part in (before.rstrip(), "\n".join(lines), after) if part)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return CUSTOM if callable(value) else value
