"""The options that say which events of a log are held out of training, and the split that they make."""

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from logq._arguments import BadArgumentError
from logq.cli.terminal.errors import BadInputError

if TYPE_CHECKING:
    from logq.logs import Interactions, Split

__all__ = ["HeldOutPart", "Validation", "moment", "name_of_test"]

_MANY = 0.5  # the largest share of a log that validation and test may have each


class HeldOutPart(str, Enum):
    """Which events are held out of training."""

    last = "last"
    time = "time"
    users = "users"
    random = "random"
    none = "none"


@dataclass(frozen=True)
class Validation:
    """The options that say which events are held out.

    Example:
        >>> from logq.logs import Interactions
        >>> Validation(HeldOutPart.last, "2").split(Interactions.from_arrays([1] * 5, [5, 7, 9, 5, 7]))
        Split(leave_one_out: train 1, validation 2, test 2)
    """

    validation: Annotated[
        HeldOutPart,
        typer.Option(
            metavar="NAME",
            help="What to hold out, one part for early stopping and one for `logq evaluate`: last, the last two events "
            "of each user; time, the last two tenths of the log; users, two tenths of the users, from whom nothing "
            "is learned; random, two tenths of the events, only to compare with papers; or none.",
            rich_help_panel="Stopping",
        ),
    ] = HeldOutPart.last
    held_out: Annotated[
        str | None,
        typer.Option(
            metavar="VALUE",
            help="Size of each of the two parts: with last, the number of events per user; with time, users and "
            "random, a share such as 0.05. With time also the two dates on which the parts begin: "
            "2024-02-01,2024-03-01.",
            show_default="1 event, or 0.1",
            rich_help_panel="Stopping",
        ),
    ] = None

    def split(self, log: "Interactions") -> "Split | None":
        """Split a log; None where nothing is held out.

        Raises:
            BadInputError: the log cannot be split so, or --held-out does not say how much.
        """
        how = self.validation
        if how is HeldOutPart.none:
            if self.held_out is not None:
                raise BadInputError(f"--held-out: expected none with --validation none, got {self.held_out!r}")
            return None
        from logq.logs.splits import leave_one_out
        from logq.logs.splitting import split_at_random, split_by_time, split_by_user

        try:
            if how is HeldOutPart.last:
                return leave_one_out(log, last=self._events())
            if how is HeldOutPart.time:
                test, validation = self._moments()
                return split_by_time(log, test=test, validation=validation)
            split: Any = split_by_user if how is HeldOutPart.users else split_at_random
            return split(log, test=self._share(), validation=self._share())
        except BadArgumentError as error:
            option = "--held-out" if error.name in ("test", "validation", "last") and self.held_out else ""
            said = error.message(option or f"--validation {how.value}")
            raise BadInputError(f"{said}; --validation none trains on everything") from error

    def measured_on(self) -> str:
        """What the validation part is, in words."""
        if self.held_out is None:
            return {
                HeldOutPart.last: "the last event but one of each user",
                HeldOutPart.time: "what came between 80 and 90 percent of the events",
                HeldOutPart.users: "the last event of a tenth of the users, of whom nothing is learned",
                HeldOutPart.random: "a tenth of the events, drawn at random",
            }[self.validation]
        return f"the validation part (--validation {self.validation.value} --held-out {self.held_out})"

    def _events(self) -> int:
        if self.held_out is None:
            return 1
        if not self.held_out.isdecimal() or not int(self.held_out):
            raise self._unreadable("how many events of each user, such as 2")
        return int(self.held_out)

    def _share(self) -> float:
        if self.held_out is None:
            return 0.1
        share = moment(self.held_out)
        if isinstance(share, str) or not 0 < share < _MANY:
            raise self._unreadable(f"a share above 0 and below {_MANY}, such as 0.05")
        return share

    def _moments(self) -> tuple[float | str, float | str]:
        """Where the test begins, and where the validation part does."""
        first, comma, second = (self.held_out or "").partition(",")
        if comma:
            return moment(second.strip()), moment(first.strip())
        if first and isinstance(moment(first), str):
            raise self._unreadable("a share, or two dates, such as 2024-02-01,2024-03-01,")
        share = self._share()
        return 1 - share, 1 - 2 * share

    def _unreadable(self, expected: str) -> BadInputError:
        name = self.validation.value
        return BadInputError(f"--held-out: expected {expected} with --validation {name}, got {self.held_out!r}")


def moment(text: str) -> float | str:
    """A share or a time that is a number, or the text of a date; eight digits such as 20240131 are a date.

    Example:
        >>> moment("0.9"), moment("2024-01-31"), moment("20240131")
        (0.9, '2024-01-31', '20240131')
    """
    if len(text) == len("20240131") and text.isdecimal():
        return text
    try:
        return float(text)
    except ValueError:
        return text


def name_of_test(split: "Split") -> str:
    """What is to be found in the test part of a split, in words.

    Example:
        >>> from logq.logs import Interactions, leave_one_out
        >>> name_of_test(leave_one_out(Interactions.from_arrays([1] * 5, [5, 7, 9, 5, 7]), last=2))
        'the last 2 events of each user'
    """
    how = split.how
    last = how.get("last", 1)
    share = len(split.test) / max(1, len(split.log))
    tenth = round(share, 2) == 0.1  # not exactly, where equal times are kept together
    return {
        "leave_one_out": "the last event of each user" if last == 1 else f"the last {last} events of each user",
        "time": "the last tenth of the events" if tenth else f"the last {100 * share:.1f} % of the events",
        "user": "the last event of users of whom nothing was learned",
        "random": "events drawn at random",
    }.get(how["by"], "the test part")
