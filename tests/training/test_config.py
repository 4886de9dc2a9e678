"""What one annotated field gives: an argument, its check, its documentation, a setting and an option."""

import copy
import inspect
import json
import pickle
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import MISSING, field
from typing import Annotated, Any, ClassVar

import numpy as np
import pytest
import torch

from logq._arguments import ArgumentError, ArgumentTypeError, check_int
from logq.training.config import (
    Above,
    AtLeast,
    AtMost,
    Below,
    Check,
    Config,
    Help,
    OneOf,
    UnknownArgumentError,
    configclass,
)

SAMPLERS = ["uniform", "unigram"]


def check_sampler(name: str, value: Any) -> Any:
    if callable(value) or value in SAMPLERS:
        return value
    raise ArgumentError(name, "a sampler", value)


@configclass(group="Loss")
class LossConfig(Config):
    """How it is scored."""

    sampler: Annotated[
        str | Callable[..., Any] | None,
        OneOf(lambda: SAMPLERS),
        Check(check_sampler),
        Help("Distribution of the negatives.", more="Or a function of the counts."),
    ] = None
    log_q: Annotated[bool, Help("Correct for log Q.")] = True
    cosine: Annotated[bool, Help("Logits are cosines.")] = False
    calibration: Annotated[float, AtLeast(0), AtMost(1), Help("t of gBCE.")] = 0.75


@configclass(group="Training")
class TrainingConfig(Config):
    """How it is trained."""

    dim: Annotated[int, AtLeast(1), Help("Width.", group="Model", also=("vector_size", "size"))] = field(
        default=64, kw_only=False
    )
    max_length: Annotated[int, AtLeast(1), AtMost(1000), Help("Events to look at.")] = 50
    lr: Annotated[float, Above(0), Help("Learning rate.", flag="--lr --alpha")] = 1e-3
    clip: Annotated[float | None, Above(0), Help("Largest gradient; {none} for any.", none="0")] = None
    decay: Annotated[str, OneOf("constant", "cosine"), Help("How it falls.")] = "constant"
    patience: Annotated[int | None, AtLeast(1), Help("Validations; {none} trains on.", none="0")] = 3
    dropout: Annotated[float, AtLeast(0), Below(1), Help("Share left out.")] = 0.0
    tied: Annotated[bool | None, Help("One table.", flag="--tied/--untied", default="by size")] = None
    exclude_seen: Annotated[
        bool, Help("Rank what is new only.", typed="Rank what is known, too.", flag="--keep-seen", negated=True)
    ] = True
    pretrain: Annotated[int, AtLeast(0), Help("Passes of skip-gram.")] = 0
    device: Annotated[str, Help("Where.", saved=False)] = "cpu"
    seed: Annotated[int | None, AtLeast(0), Help("Makes it repeatable.")] = None


@configclass(group="Model")
class NeuralConfig(TrainingConfig, LossConfig):
    """Both."""


@configclass(group="Model")
class SASRecConfig(NeuralConfig):
    """A paper's."""

    hidden: Annotated[tuple[int, ...], AtLeast(1), Help("Widths of layers.")] = (256, 128)
    heads: Annotated[int, AtLeast(1), Help("Heads.")] = 1
    context: Annotated[Sequence[str], Help("Columns.", repeated=True, flag="--context")] = ()
    dim = 32
    max_length = 200
    pretrain: Annotated[int, Help(hidden=True)] = 0
    lr: Annotated[float, Below(1), Help("Learning rate of Adam.")] = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dim % self.heads:
            raise ArgumentError("heads", f"a divisor of dim = {self.dim}", self.heads)


class NeuralRecommender(NeuralConfig, ABC):
    """Trains.

    Attributes:
        log: what happened.

    Example:
        >>> 1
        1
    """

    model: str
    log: list[float]

    def __post_init__(self) -> None:
        super().__post_init__()
        self.log = []

    @abstractmethod
    def make(self) -> str: ...


class SASRec(SASRecConfig, NeuralRecommender):
    """Attends.

    Raises:
        ArgumentError: one is wrong.
    """

    def make(self) -> str:
        return f"{self.dim}"


# ------------------------------------------------------------------------------------------------------------ checks


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dim": 0}, "dim: expected an integer >= 1, got 0"),
        ({"max_length": 1001}, "max_length: expected an integer >= 1 and <= 1000, got 1001"),
        ({"lr": 0}, "lr: expected a finite number > 0, got 0"),
        ({"lr": float("nan")}, "lr: expected a finite number > 0, got nan"),
        ({"calibration": 2}, "calibration: expected a finite number >= 0 and <= 1, got 2"),
        ({"dropout": 1}, "dropout: expected a number < 1, got 1"),
        ({"decay": "linear"}, "decay: expected one of constant, cosine, got 'linear'"),
        ({"patience": -1}, "patience: expected an integer >= 1, got -1"),
        ({"sampler": "zipf"}, "sampler: expected a sampler, got 'zipf'"),
        ({"hidden": (8, 0)}, "hidden: expected an integer >= 1, got 0"),
        ({"dim": 6, "heads": 4}, "heads: expected a divisor of dim = 6, got 4"),
    ],
)
def test_a_wrong_value_is_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        SASRec(**arguments)
    assert str(caught.value) == message
    assert caught.value.name == message.partition(":")[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dim": "64"}, "dim: expected an integer >= 1, got '64'"),
        ({"dim": None}, "dim: expected an integer >= 1, got None"),
        ({"dim": True}, "dim: expected an integer >= 1, got True"),
        ({"lr": "fast"}, "lr: expected a finite number > 0, got 'fast'"),
        ({"log_q": 1}, "log_q: expected True or False, got 1; write log_q=True"),
        ({"decay": 3}, "decay: expected one of constant, cosine, got 3"),
        ({"device": 0}, "device: expected a string, got 0"),
        ({"hidden": 8}, "hidden: expected a sequence of integers, got 8"),
        ({"context": "query"}, "context: expected a sequence of strings, got 'query'"),
        ({"context": [1]}, "context: expected a string, got 1"),
    ],
)
def test_a_wrong_type_is_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentTypeError) as caught:
        SASRec(**arguments)
    assert str(caught.value) == message


def test_values_are_normalized() -> None:
    arguments: dict[str, Any] = {"dim": np.int64(16), "lr": np.float32(0.5), "clip": 1, "hidden": [np.int32(4), 2]}
    model = SASRec(**arguments, context=["query"])
    values = (model.dim, model.lr, model.clip, *model.hidden)
    assert values == (16, 0.5, 1.0, 4, 2)
    assert [type(value) for value in values] == [int, float, float, int, int]
    assert model.hidden == (4, 2)
    assert model.context == ("query",)


def test_a_subclass_adds_a_limit_to_those_of_its_base() -> None:
    with pytest.raises(ArgumentError, match=r"lr: expected a number < 1, got 1"):
        SASRec(lr=1)
    assert NeuralConfig(lr=1).lr == 1.0


def test_every_default_passes_its_own_check() -> None:
    for kind in (LossConfig, TrainingConfig, NeuralConfig, SASRecConfig, SASRec):
        kind()


def test_an_integer_has_a_limit() -> None:
    with pytest.raises(TypeError, match="width: expected AtLeast or Check"):

        @configclass
        class Unlimited(Config):  # pyright: ignore[reportUnusedClass]
            width: int = 3


def test_a_required_field() -> None:
    @configclass
    class Required(Config):
        width: Annotated[int, AtLeast(1)]
        depth: Annotated[int, Check(lambda name, value: check_int(name, value) * 2)] = 3

    assert Required(width=2).settings() == {"width": 2, "depth": 6}
    assert Required.options()["width"].default is MISSING
    assert Required.options()["width"].default_text == ""
    assert Required.options()["width"].paragraph == "width: "
    with pytest.raises(TypeError, match="width"):
        Required()  # pyright: ignore[reportCallIssue]


# -------------------------------------------------------------------------------------------------- unknown arguments


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("foo", "SASRec: unknown argument 'foo'"),
        ("max_lenght", "SASRec: unknown argument 'max_lenght'; did you mean max_length?"),
        ("vector_size", "SASRec: unknown argument 'vector_size'; it is called dim here"),
        ("log", "SASRec: unknown argument 'log'; did you mean log_q?"),
    ],
)
def test_an_unknown_argument_is_refused(name: str, message: str) -> None:
    arguments: dict[str, Any] = {name: 1}
    with pytest.raises(UnknownArgumentError) as caught:
        SASRec(**arguments)
    assert str(caught.value) == message
    assert caught.value.name == name
    assert isinstance(caught.value, TypeError)
    assert str(pickle.loads(pickle.dumps(caught.value))) == message


def test_another_name_is_accepted() -> None:
    @configclass
    class Sampled(Config):
        unknown_hints: ClassVar = {"sentences": "give them to fit"}

        num_sampled: Annotated[int, AtLeast(1), Help("Negatives.", aliases=("negatives", "k"))] = 5

    arguments: dict[str, Any] = {"negatives": 7}
    made: Any = Sampled(**arguments)
    assert (made.num_sampled, made.negatives, made.k, made.settings()) == (7, 7, 7, {"num_sampled": 7})
    made.k = 8
    assert (made.num_sampled, made.negatives) == (8, 8)
    assert Sampled.from_settings({"negatives": 6}).num_sampled == 6
    assert Sampled.options()["num_sampled"].names == ("--num-sampled", "--negatives", "--k")
    text = "num_sampled: Negatives. Also accepted as negatives or k. Default: 5."
    assert Sampled.options()["num_sampled"].paragraph == text
    message = r"negatives: expected num_sampled alone, got both; they are the same argument"
    with pytest.raises(ArgumentTypeError, match=message):
        Sampled(num_sampled=7, **arguments)
    with pytest.raises(UnknownArgumentError, match=r"^Sampled: unknown argument 'sentences'; give them to fit$"):
        Sampled(sentences=[])  # pyright: ignore[reportCallIssue]


def test_too_many_positional_arguments_are_refused() -> None:
    with pytest.raises(ArgumentTypeError) as caught:
        SASRec(64, 2)  # pyright: ignore[reportCallIssue]
    assert str(caught.value) == "SASRec: expected at most 1 positional argument, got 2; give the others by name"
    with pytest.raises(ArgumentTypeError, match="LossConfig: expected no positional arguments, got 1"):
        LossConfig("uniform")  # pyright: ignore[reportCallIssue]


def test_a_subclass_may_have_a_constructor_of_its_own() -> None:
    class Mine(SASRec):
        def __init__(self, extra: str, **options: Any) -> None:
            super().__init__(**options)
            self.extra = extra

    mine = Mine("x", dim=8)
    assert (mine.extra, mine.dim, mine.log) == ("x", 8, [])
    with pytest.raises(UnknownArgumentError, match="Mine: unknown argument 'foo'"):
        Mine("x", foo=1)


# --------------------------------------------------------------------------------------------- inheritance, signature


def test_defaults_are_overridden_by_assignment_and_by_annotation() -> None:
    assert (TrainingConfig().dim, TrainingConfig().max_length, TrainingConfig().lr) == (64, 50, 1e-3)
    assert (SASRec().dim, SASRec().max_length, SASRec().lr) == (32, 200, 0.01)
    option, base = SASRecConfig.options()["pretrain"], TrainingConfig.options()["pretrain"]
    assert (option.help.hidden, base.help.hidden) == (True, False)
    assert (option.text, option.help.group, option.bounds) == (base.text, "Training", {"at_least": 0})
    assert SASRecConfig.options()["lr"].text == "Learning rate of Adam."
    assert SASRecConfig.options()["lr"].names == ("--lr", "--alpha")


def test_state_of_an_estimator_is_not_an_argument() -> None:
    assert list(SASRec.options()) == list(SASRecConfig.options())
    assert not {"model", "log"} & set(SASRec.options())
    with pytest.raises(UnknownArgumentError):
        SASRec(model="x")  # pyright: ignore[reportCallIssue]


def test_the_signature_is_readable() -> None:
    signature = inspect.signature(SASRec)
    assert str(signature).startswith("(dim: int = 32, *, ")
    assert "max_length: int = 200" in str(signature)
    assert set(signature.parameters) == set(SASRec.options())


def test_positional_fields_come_first_then_those_of_the_class_then_those_of_its_bases() -> None:
    first, *others = TrainingConfig.options()
    names = [*LossConfig.options(), *others]
    assert first == "dim"
    assert list(NeuralConfig.options()) == ["dim", *names]
    assert list(SASRecConfig.options()) == ["dim", "hidden", "heads", "context", *names]


# ----------------------------------------------------------------------------------------------------- documentation


def test_the_arguments_stand_in_the_docstring() -> None:
    text = inspect.cleandoc(SASRec.__doc__ or "")
    assert text.startswith("Attends.\n\nArgs:\n    dim: Width. Default: 32.\n    hidden: Widths of layers. Default: ")
    assert text.endswith("\n\nRaises:\n    ArgumentError: one is wrong.")
    assert text.count("Args:") == 1
    lines = text.splitlines()
    for line in (
        "    max_length: Events to look at. Default: 200.",
        '    decay: How it falls: constant, cosine. Default: "constant".',
        "    patience: Validations; None or 0 trains on. Default: 3.",
        "    exclude_seen: Rank what is new only. Default: True.",
        "    tied: One table. Default: by size.",
        "    hidden: Widths of layers. Default: (256, 128).",
    ):
        assert line in lines
    described = [match[1] for match in re.finditer(r"^    (\w+): ", text.partition("Raises:")[0], re.MULTILINE)]
    assert described == list(SASRec.options())
    base = NeuralRecommender.__doc__ or ""
    assert base.index("Args:") < base.index("Attributes:") < base.index("Example:")
    assert "heads:" not in base
    assert "max_length: Events to look at. Default: 50." in base


# --------------------------------------------------------------------------------------------------------- settings


def test_settings_go_through_json_and_back() -> None:
    model = SASRec(16, hidden=(8,), context=["query"], patience=None, sampler="uniform", device="cuda")
    settings = json.loads(json.dumps(model.settings()))
    assert settings["hidden"] == [8]
    assert "device" not in settings
    again = SASRec.from_settings(settings, device="cpu")
    assert (again.settings(), again.hidden, again.device) == (settings, (8,), "cpu")


def test_a_function_is_custom_and_comes_back_as_the_default() -> None:
    settings = SASRec(sampler=lambda counts: counts).settings()
    assert settings["sampler"] == "custom"
    assert SASRec.from_settings(settings).sampler is None


def test_settings_that_lack_or_rename_something_are_read() -> None:
    assert SASRec.from_settings({"vector_size": 8}).settings() == SASRec(8).settings()


def test_settings_that_are_unknown_or_wrong_are_refused() -> None:
    with pytest.raises(ValueError, match="settings: SASRec has no 'foo'"):
        SASRec.from_settings({"foo": 1})
    with pytest.raises(ArgumentError, match="dim: expected an integer >= 1, got 0"):
        SASRec.from_settings({"dim": 0})


@pytest.mark.parametrize("copied", [copy.deepcopy, copy.copy, lambda value: pickle.loads(pickle.dumps(value))])
def test_copies_are_equal(copied: Callable[[Any], Any]) -> None:
    for value in (SASRecConfig(16, heads=2, hidden=(4,)), SASRec(16, heads=2)):
        again = copied(value)
        assert type(again) is type(value)
        assert again.settings() == value.settings()


def test_torch_saves_them(tmp_path: Any) -> None:
    torch.save(SASRec(16), tmp_path / "model.pt")
    assert torch.load(tmp_path / "model.pt", weights_only=False).dim == 16


def test_repr_tells_what_is_not_the_default() -> None:
    assert repr(SASRecConfig()) == "SASRecConfig()"
    assert repr(SASRecConfig(8, decay="cosine")) == "SASRecConfig(dim=8, decay='cosine')"


# --------------------------------------------------------------------------------------------------------- options


@pytest.mark.parametrize(
    ("name", "names", "metavar", "text", "default"),
    [
        ("sampler", ("--sampler",), "NAME", "Distribution of the negatives: uniform, unigram.", ""),
        ("log_q", ("--log-q/--no-log-q",), "NAME", "Correct for log Q.", "log-q"),
        ("cosine", ("--cosine",), "NAME", "Logits are cosines.", ""),
        ("tied", ("--tied/--untied",), "NAME", "One table.", "by size"),
        ("exclude_seen", ("--keep-seen",), "NAME", "Rank what is known, too.", ""),
        ("dim", ("--dim",), "N", "Width.", "32"),
        ("lr", ("--lr", "--alpha"), "X", "Learning rate of Adam.", "0.01"),
        ("clip", ("--clip",), "X", "Largest gradient; 0 for any.", "0"),
        ("patience", ("--patience",), "N", "Validations; 0 trains on.", "3"),
        ("decay", ("--decay",), "NAME", "How it falls: constant, cosine.", "constant"),
        ("hidden", ("--hidden",), "N,N", "Widths of layers.", "256,128"),
        ("context", ("--context",), "NAME", "Columns.", ""),
    ],
)
def test_an_option_is_described(name: str, names: tuple[str, ...], metavar: str, text: str, default: str) -> None:
    option = SASRec.options()[name]
    assert (option.names, option.metavar, option.text, option.default_text) == (names, metavar, text, default)


def test_the_group_is_that_of_the_class_or_of_the_field() -> None:
    groups = {name: option.help.group for name, option in SASRec.options().items()}
    assert (groups["log_q"], groups["lr"], groups["dim"], groups["heads"]) == ("Loss", "Training", "Model", "Model")


@pytest.mark.parametrize(
    ("name", "typed", "value"),
    [
        ("dim", "16", 16),
        ("lr", "1e-2", 0.01),
        ("clip", "0", None),
        ("clip", "0.0", None),
        ("clip", "2", 2.0),
        ("patience", "0", None),
        ("decay", "cosine", "cosine"),
        ("hidden", "64, 32", (64, 32)),
        ("hidden", "", ()),
        ("context", ["query", "market"], ("query", "market")),
        ("log_q", False, False),
        ("exclude_seen", True, False),
        ("exclude_seen", False, True),
        ("tied", True, True),
        ("sampler", "uniform", "uniform"),
        ("seed", "3", 3),
    ],
)
def test_what_is_typed_becomes_a_value(name: str, typed: Any, value: Any) -> None:
    assert SASRec.options()[name].parse(typed) == value


@pytest.mark.parametrize(
    ("name", "typed", "message"),
    [
        ("dim", "0", "dim: expected an integer >= 1, got 0"),
        ("dim", "1.5", "dim: expected an integer >= 1, got '1.5'"),
        ("lr", "fast", "lr: expected a finite number > 0, got 'fast'"),
        ("hidden", "64,x", "hidden: expected an integer >= 1, got 'x'"),
        ("decay", "linear", "decay: expected one of constant, cosine, got 'linear'"),
    ],
)
def test_what_is_mistyped_is_named(name: str, typed: str, message: str) -> None:
    with pytest.raises((ArgumentError, ArgumentTypeError)) as caught:
        SASRec.options()[name].parse(typed)
    assert str(caught.value) == message


def test_names_of_a_registry_are_asked_for_when_they_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "SAMPLERS", [*SAMPLERS, "zipf"])
    assert SASRec.options()["sampler"].choices == ("uniform", "unigram", "zipf")


def test_what_stands_for_none_on_the_command_line_does_so_in_python() -> None:
    from logq.recommenders import ItemKNN, YoutubeDNN

    model = YoutubeDNN(patience=0, clip=0, ema=0.0)
    assert (model.patience, model.clip, model.ema) == (None, None, None)
    assert ItemKNN(max_length=0).max_length is None
    with pytest.raises(TypeError, match="patience: expected an integer"):
        YoutubeDNN(patience=False)
