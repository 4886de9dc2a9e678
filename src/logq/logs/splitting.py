"""Ways to split a log: by time, in rolling windows, by session, by user, and at random."""

import math
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from logq._arguments import (
    ArgumentError,
    ArgumentTypeError,
    BadArgumentError,
    Verbatim,
    check_bool,
    check_float,
    check_int,
    shown,
)
from logq.logs.interactions import Interactions
from logq.logs.ordering import value_at
from logq.logs.splits import GIVEN, LEFT_OUT, TEST, TRAIN, VALIDATION, Split, count_where, counted, sessions
from logq.logs.text_layout import is_number
from logq.logs.time_values import UNITS_A_SECOND, epoch_unit, read_times

__all__ = ["rolling_splits", "split_at_random", "split_by_session", "split_by_time", "split_by_user"]


def split_by_time(log: Interactions, test: object, validation: object = None, *, known_users: bool = False) -> Split:
    """Split at points in time: train before `validation`, validation before `test`, test from then on.

    Args:
        log: a log with times.
        test: a date, such as "2024-01-01" or a datetime (in UTC without a time zone); a time in the unit of the log; or
            a number in (0, 1), the share of all events before that time. Events at the same time stay together: those
            that a share alone would have put before the cut are counted in `how` as "test_ties".
        validation: the same, or None.
        known_users: leave out events in validation and test of users without events in train; counted as "cold".

    Raises:
        ArgumentError: the log has no times, `validation` is not before `test`, or a part would be empty.

    Example:
        >>> log = Interactions.from_arrays([1, 1, 2, 2], [5, 7, 7, 9], [10, 20, 30, 40])
        >>> split_by_time(log, test=0.75, validation=20)
        Split(time: train 1, validation 2, test 1)
        >>> log = Interactions.from_arrays([1, 1], [5, 7], ["2023-12-31", "2024-01-01"])
        >>> split_by_time(log, "2024-01-01")
        Split(time: train 1, validation 0, test 1)
    """
    check_bool("known_users", known_users)
    if log.timestamps is None:
        raise _no_times(log)
    at_test, ties = _time("test", test, log.timestamps)
    counts = {"test_ties": ties}
    at_validation = at_test
    if validation is not None:
        at_validation, counts["validation_ties"] = _time("validation", validation, log.timestamps)
    if validation is not None and at_validation >= at_test:
        raise ArgumentError("validation", f"a time before that of the test, {shown(test)}", validation)
    part = np.zeros(len(log), dtype=np.int8)
    part[log.timestamps >= at_validation] = VALIDATION
    part[log.timestamps >= at_test] = TEST
    unknown = _cold(log, part)
    if known_users:
        part[unknown] = LEFT_OUT
    how: dict[str, Any] = {"by": "time", "test": at_test, "validation": None if validation is None else at_validation}
    how["known_users"] = known_users
    return counted(log, part, how, cold_user_events=int(np.count_nonzero(unknown)), **counts)


def rolling_splits(
    log: Interactions,
    windows: int = 5,
    *,
    width: float | timedelta | None = None,
    train_width: float | timedelta | None = None,
    validation: bool = True,
    known_users: bool = False,
) -> list[Split]:
    """Split at several points in time, one after the other, as a model that is trained anew each week would be tested.

        test of window w of W        (end - (W - w) width, end - (W - w - 1) width],   w = 0 .. W - 1
        validation                   the `width` before it
        train                        everything earlier, or the `train_width` before that
        left out                     what is later, and earlier than train

    `end` is the time of the last event. Each window is a Split of the same log, the oldest first: figures of all of
    them say how much they vary over time.

    Args:
        log: a log with times.
        windows: W.
        width: of a test, in the unit of the times of the log, or a timedelta; None takes half of the time that the log
            covers, divided by W.
        train_width: how far training goes back; None: to the beginning.
        validation: whether there is a validation part.
        known_users: as in `split_by_time`.

    Raises:
        ArgumentError: the log has no times, or a part of a window would be empty.

    References:
        Hyndman and Athanasopoulos, Forecasting: Principles and Practice, 3rd edition, 2021, section 5.10.

    Example:
        >>> log = Interactions.from_arrays([1] * 8, [5, 7] * 4, [0, 1, 2, 3, 4, 5, 6, 7])
        >>> for split in rolling_splits(log, 2, width=2):
        ...     print(split, split.test.timestamps.tolist())
        Split(rolling: train 2, validation 2, test 2) [4, 5]
        Split(rolling: train 4, validation 2, test 2) [6, 7]
    """
    windows = check_int("windows", windows)
    for name, value in (("validation", validation), ("known_users", known_users)):
        check_bool(name, value)
    times = log.timestamps
    if times is None:
        raise _no_times(log)
    first, end = times.min().item(), times.max().item()
    step = (end - first) / (2 * windows) if width is None else _duration("width", width, times)
    back = math.inf if train_width is None else _duration("train_width", train_width, times)
    if not step > 0:
        raise ArgumentError("log", "events at different times", Verbatim(f"all at {first}"))
    found: list[Split] = []
    after = end - times
    for window in range(windows):
        late, early = (windows - window - 1) * step, (windows - window) * step
        learned = early + step * validation
        part = np.full(len(log), LEFT_OUT, dtype=np.int8)
        part[(after >= learned) & (after < learned + back)] = TRAIN
        part[(after >= early) & (after < learned)] = VALIDATION
        part[(after >= late) & (after < early)] = TEST
        unknown = _cold(log, part)
        if known_users:
            part[unknown] = LEFT_OUT
        how: dict[str, Any] = {"by": "rolling", "window": window, "windows": windows, "width": step}
        how |= {"train_width": None if train_width is None else back, "validation": validation}
        how |= {"known_users": known_users, "end": end - late}
        found.append(counted(log, part, how, cold_user_events=int(np.count_nonzero(unknown))))
    return found


def _duration(name: str, value: object, times: NDArray[Any]) -> float:
    """Return a length of time in the unit of the log."""
    if not isinstance(value, timedelta):
        return check_float(name, value, above=0)
    unit = epoch_unit(times)
    if unit is None:
        span = f"the times of the log are numbers from {times.min().item()} to {times.max().item()}"
        raise ArgumentError(name, "a number", value, f"{span}, not dates")
    return check_float(name, value.total_seconds() * UNITS_A_SECOND[unit], above=0)


def split_by_session(
    log: Interactions,
    validation: bool = True,
    *,
    gap: float | None = None,
    fraction: float | None = None,
    seed: int = 0,
) -> Split:
    """Leave out whole sessions: the last of each user for the test, the one before it for validation.

    Where each session is a user of its own there is no last one; with `fraction` sessions are chosen at random instead,
    that share of all for the test and as many for validation. Users with too few sessions stay in train, and are
    counted in `how` as "users_too_short".

    Args:
        log: a log with columns["session"], or with times and a `gap`.
        validation: whether to leave out sessions for validation.
        gap: maximum pause within a session, in the unit of the log's times.
        fraction: choose this share of sessions at random, in (0, 0.5].
        seed: of that choice.

    Raises:
        ArgumentError: the log has neither sessions nor a `gap`; or a part would be empty.

    Example:
        >>> log = Interactions.from_arrays([1, 1, 1, 1], [5, 7, 9, 5], sessions=["a", "a", "b", "b"])
        >>> split_by_session(log, validation=False).test.items.tolist()
        [2, 0]
    """
    check_bool("validation", validation)
    bounds = sessions(log, gap=gap)
    lengths = np.diff(bounds)
    owners = log.users[bounds[:-1]]
    codes = np.zeros(len(lengths), dtype=np.int8)
    short = 0
    how: dict[str, Any] = {"by": "session", "validation": validation, "gap": gap}
    if fraction is not None:
        check_float("fraction", fraction, above=0, at_most=0.5)
        count = round(fraction * len(lengths))
        drawn = np.random.default_rng(seed).permutation(len(lengths))
        codes[drawn[:count]] = TEST
        codes[drawn[count : (1 + validation) * count]] = VALIDATION
        how |= {"fraction": fraction, "seed": seed}
    else:
        counts = np.bincount(owners, minlength=log.num_users)
        enough = counts >= 2 + validation
        last = np.cumsum(counts)[enough] - 1
        codes[last] = TEST
        if validation:
            codes[last - 1] = VALIDATION
        short = int(np.count_nonzero((counts > 0) & ~enough))
    if not (codes == TEST).any():
        got = f"{len(lengths)} sessions of {len(np.unique(owners))} users"
        hint = "where each user has one session, give fraction=0.1"
        raise ArgumentError("log", "sessions to leave out for the test", Verbatim(got), hint)
    return counted(log, np.repeat(codes, lengths), how, users_too_short=short)


def split_by_user(
    log: Interactions,
    test: float | ArrayLike = 0.1,
    validation: float | ArrayLike | None = 0.1,
    *,
    asked: float = 1,
    seed: int = 0,
) -> Split:
    """Hold out whole users, of whom nothing is learned: their first events are their histories, the rest is asked for.

    This is how a model does for users who come after it was trained. Held-out users with a single event, who would have
    no history or nothing to be found, are left out and counted in `how` as "users_too_short".

    Args:
        log: the log.
        test: the share of users that are held out for the test, drawn at random; or their ids.
        validation: the same for validation, of the other users; None for none.
        asked: how many of the last events of each are to be found, at most all but one; or the share of them, in
            (0, 1), rounded up.
        seed: of the draw.

    Raises:
        ArgumentError: there are no such users, a user is in both, or a part would be empty.

    References:
        Liang, Krishnan, Hoffman and Jebara, Variational autoencoders for collaborative filtering, WWW 2018, section
        4.2, "strong generalization".

    Example:
        >>> log = Interactions.from_sessions([["tea", "cup", "saw"], ["cup", "tea"], ["saw", "tea", "cup"]])
        >>> split = split_by_user(log, test=[2], validation=None)
        >>> split, len(split.history("test"))
        (Split(user: train 5, validation 0, test 1, given 2), 7)
    """
    counts = np.diff(log.offsets)
    share = isinstance(asked, float) and asked < 1
    number = check_float("asked", asked, above=0) if share else check_int("asked", asked)
    queue = np.random.default_rng(seed).permutation(np.flatnonzero(counts))
    of_user = np.full(log.num_users, TRAIN, dtype=np.int8)
    how: dict[str, Any] = {"by": "user", "asked": number, "seed": seed, "validation": validation is not None}
    for name, value, code in (("test", test, TEST), ("validation", validation, VALIDATION)):
        if value is None:
            continue
        if np.ndim(value) == 0 and not isinstance(value, str):
            part_of_all = check_float(name, value, above=0, at_most=0.5)
            how[f"{name}_share"] = part_of_all
            chosen = queue[: max(1, round(part_of_all * np.count_nonzero(counts)))]
        else:
            chosen = log.user_ids.codes(value, name)
            if (chosen < 0).any():
                wrong = np.asarray(value)[chosen < 0][0]
                raise ArgumentError(name, "ids of users of the log, or a share in (0, 0.5]", wrong)
            if (of_user[chosen] != TRAIN).any():
                wrong = log.user_ids.keys_of(chosen[of_user[chosen] != TRAIN])[0]
                raise ArgumentError(name, "users that are not held out for the test", wrong)
        queue = queue[~np.isin(queue, chosen)]
        of_user[chosen] = code
    held_out = of_user != TRAIN
    wanted = np.ceil(number * counts).astype(np.int64) if share else np.full(len(counts), int(number))
    wanted = np.minimum(wanted, counts - 1)
    from_end = log.offsets[1:][log.users] - np.arange(len(log))
    part = of_user[log.users]
    part[held_out[log.users] & (from_end > wanted[log.users])] = GIVEN
    short = held_out & (counts < 2)
    part[short[log.users]] = LEFT_OUT
    return counted(log, part, how, users_too_short=int(np.count_nonzero(short & (counts > 0))))


def split_at_random(log: Interactions, test: float = 0.1, validation: float = 0.1, *, seed: int = 0) -> Split:
    """Draw events for the test and for validation at random, whatever their time.

    Many papers do, so it is here to compare with them. Time leaks: a model learns from events that came after those it
    is to find, and figures are higher than any in use. `split_by_time` and `leave_one_out` leave out what comes last.

    Args:
        log: the log.
        test: the share of all events that the test has, above 0.
        validation: the share of validation; 0 for none.
        seed: of the draw.

    Raises:
        ArgumentError: no event is left to train on, or a part would be empty.

    References:
        Meng, McCreadie, Macdonald and Ounis, Exploring data splitting strategies for the evaluation of recommendation
        models, RecSys 2020.

    Example:
        >>> log = Interactions.from_arrays([1, 1, 1, 2] * 5, [5, 7, 9, 7] * 5)
        >>> split_at_random(log, test=0.2, validation=0)
        Split(random: train 16, validation 0, test 4)
    """
    test = check_float("test", test, above=0, at_most=1)
    validation = check_float("validation", validation, at_least=0, at_most=1)
    sizes = [round(test * len(log)), round(validation * len(log))]
    if sum(sizes) >= len(log):
        raise ArgumentError("test", "shares of test and validation that leave events to train on", (test, validation))
    drawn = np.random.default_rng(seed).permutation(len(log))
    part = np.zeros(len(log), dtype=np.int8)
    part[drawn[: sizes[0]]] = TEST
    part[drawn[sizes[0] : sum(sizes)]] = VALIDATION
    how = {"by": "random", "test": test, "validation": validation or None, "seed": seed}
    return counted(log, part, how, cold_user_events=int(np.count_nonzero(_cold(log, part))))


def _cold(log: Interactions, part: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Which events (N,) of validation and test are of users without events in train."""
    cold = count_where(log.users, log.num_users, part, TRAIN) == 0
    return cold[log.users] & ((part == VALIDATION) | (part == TEST))


def _no_times(log: Interactions) -> ArgumentError:
    return ArgumentError("log", "a log with times", log, "leave_one_out splits by the order of events")


def _time(name: str, value: object, times: NDArray[Any]) -> tuple[float, int]:
    """Return a time that is given as such, as a date, or as the share of events before it; and the ties at a share."""
    if not isinstance(value, (int, float, np.integer, np.floating)):
        return _within(name, value, _date(name, value, times), times), 0
    time = check_float(name, value)
    if not 0 < time < 1:
        return _within(name, value, time, times), 0
    rank = min(int(time * len(times)), len(times) - 1)
    cut = value_at(times, rank)
    return cut, rank - int(np.count_nonzero(times < cut))


def _within(name: str, value: object, time: float, times: NDArray[Any]) -> float:
    """Check that a time cuts the log."""
    low, high = times.min().item(), times.max().item()
    if not low < time <= high:
        unit = epoch_unit(times)
        ends = [low, high] if unit is None else [np.datetime64(round(end), unit).item() for end in (low, high)]
        shown = [str(end) for end in ends]
        raise ArgumentError(name, f"a time after {shown[0]} and up to {shown[1]}, those of the log, or a share", value)
    return time


def _date(name: str, value: object, times: NDArray[Any]) -> float:
    """Return a date in the unit of the times."""
    try:
        seconds = read_times([value], name).values[0].item()
    except BadArgumentError:  # such as 1/2/2024, which is two dates
        seconds = math.nan
    if math.isnan(seconds) or (isinstance(value, str) and is_number(value) and len(value) != len("20240131")):
        raise ArgumentTypeError(name, "a date such as '2024-01-31', a time of the log, or a share in (0, 1)", value)
    unit = epoch_unit(times)
    if unit is None:
        span = f"the times of the log are numbers from {times.min().item()} to {times.max().item()}"
        raise ArgumentError(name, "a number", value, f"{span}, not dates")
    return seconds * UNITS_A_SECOND[unit]
