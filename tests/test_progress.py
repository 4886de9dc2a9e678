import io
import sys

import pytest
import torch
from rich.console import Console

from logq._progress import Progress, format_bytes, format_quantity, format_seconds


class Clock:
    """Time that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock() -> Clock:
    return Clock()


def work(progress: Progress, clock: Clock, steps: int, seconds: float, amount: float = 1000, **fields) -> None:
    for _ in range(steps):
        clock.now += seconds
        progress.advance(amount, **fields)


def drawn(progress: Progress, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None, legacy_windows=False)
    with console.capture() as captured:
        console.print(progress)
    return captured.get().rstrip()


def test_a_log_gets_a_line_every_ten_seconds_and_one_at_the_end(clock, capsys):
    with Progress(100_000, "words", "skip-gram", clock=clock) as progress:
        work(progress, clock, 50, 0.5, loss=2.5)
        lines = capsys.readouterr().err.splitlines()
        assert lines == [
            "skip-gram: 20%, 2k words/s, 0:10 elapsed, 0:40 left, loss 2.5",
            "skip-gram: 40%, 2k words/s, 0:20 elapsed, 0:30 left, loss 2.5",
        ]
        work(progress, clock, 50, 0.5, loss=1.25)
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert lines[-1] == "skip-gram: 100%, 2k words/s, 0:50 elapsed, loss 1.25"
    assert 3 <= len(lines) <= 4
    assert out == ""


def test_short_work_leaves_no_trace_in_a_log(clock, capsys):
    with Progress(10, "words", "quick", clock=clock) as progress:
        work(progress, clock, 10, 0.19, 1)
    assert capsys.readouterr() == ("", "")


def test_interrupted_work_claims_no_end(clock, capsys):
    def interrupted_work() -> None:
        with Progress(10, "words", "long", clock=clock) as progress:
            work(progress, clock, 5, 1.0, 1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted_work()
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_disabled_is_silent(clock, monkeypatch, stream):
    monkeypatch.setattr(sys, "stderr", stream())
    with Progress(10, "words", "long", enabled=False, clock=clock) as progress:
        work(progress, clock, 10, 20.0, 1)
    assert sys.stderr.getvalue() == ""
    assert progress.done == 10


def test_a_terminal_gets_a_bar(clock, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", Terminal())
    with Progress(10_000, "words", "skip-gram", clock=clock) as progress:
        work(progress, clock, 10, 0.5)
    written = sys.stderr.getvalue()
    assert "━" in written
    assert "100%" in written
    assert "\x1b[?25h" in written, "the cursor must be visible again"


def test_no_stream_at_all_is_not_an_error(clock, monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    with Progress(10, "words", "long", clock=clock) as progress:
        work(progress, clock, 10, 20.0, 1)
    assert progress.done == 10


def test_the_rate_is_that_of_the_last_twelve_seconds(clock):
    progress = Progress(1e6, "words", "skip-gram", clock=clock)
    work(progress, clock, 100, 0.5, 100)
    assert progress.rate == pytest.approx(200)
    work(progress, clock, 100, 0.5, 1000)
    assert progress.rate == pytest.approx(2000)
    assert progress.share == pytest.approx(0.11)


@pytest.mark.parametrize("width", [20, 40, 60, 80, 100, 200])
def test_the_line_fits_any_terminal(clock, width):
    progress = Progress(1e6, "words", "skip-gram", clock=clock)
    work(progress, clock, 100, 0.5, loss=2.34567, epoch="1/5")
    line = drawn(progress, width)
    assert "\n" not in line
    assert len(line) <= width - 3
    assert line.startswith("skip-gram")
    assert "10%" in line
    assert ("loss 2.346" in line) == (width >= 60)
    assert ("2k words/s" in line) == (width >= 80)
    assert ("epoch 1/5" in line) == (width >= 80)
    assert ("left" in line) == (width >= 40)


def test_a_tensor_is_read_only_when_the_line_is_drawn(clock):
    loss = torch.tensor(2.0)
    progress = Progress(10, "words", "skip-gram", clock=clock)
    work(progress, clock, 5, 1.0, 1, loss=loss)
    loss.fill_(3.0)
    assert "loss 3" in drawn(progress, 100)


def test_work_beyond_a_guessed_total_stays_at_its_end(clock):
    progress = Progress(10, "words", "skip-gram", clock=clock)
    work(progress, clock, 30, 1.0, 1)
    assert "100%" in drawn(progress, 100)
    assert "0:00 left" in drawn(progress, 100)


def test_nothing_to_do_is_done(clock):
    assert Progress(0, "words", "skip-gram", clock=clock).share == 1


@pytest.mark.parametrize("parts", [3, 7, 10, 49])
def test_work_that_has_ended_is_done(clock, capsys, parts):
    """Fractions of the total add up to a little less than it, and a total may have been a guess."""
    with Progress(0.7, "words", "skip-gram", clock=clock) as progress:
        work(progress, clock, parts, 1.0, 0.7 / parts - 1e-9)
    assert progress.share == 1
    assert "100%" in drawn(progress, 100)
    with Progress(100, "words", "guessed", clock=clock) as progress:
        work(progress, clock, 5, 1.0, 10)
        assert "50%" in drawn(progress, 100)
    assert capsys.readouterr().err.splitlines()[-1].startswith("guessed: 100%, 10 words/s")


def test_what_is_slow_is_told_by_the_minute_or_the_hour(clock, capsys):
    with Progress(4, "trials", "tuning", clock=clock) as progress:
        clock.now += 12
        progress.advance(0, best="0.1")
        assert "trials/" not in drawn(progress, 200)  # nothing is known yet
        work(progress, clock, 1, 60, 1)
        assert "50 trials/h" in drawn(progress, 200)  # in 72 s
        work(progress, clock, 3, 20, 1)
    assert capsys.readouterr().err.splitlines()[-1].startswith("tuning: 100%, 1.82 trials/min, 2:12 elapsed")


def test_almost_done_is_not_done(clock):
    progress = Progress(1000, "words", "skip-gram", clock=clock)
    work(progress, clock, 999, 0.1, 1)
    assert " 99%" in drawn(progress, 100)


@pytest.mark.parametrize("total", [-1, float("nan"), float("-inf")])
def test_a_bad_total_is_named(total):
    with pytest.raises(ValueError, match="total: expected an amount of work >= 0"):
        Progress(total, "words", "skip-gram")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.5, "0.5"),
        (999, "999"),
        (999.6, "1k"),
        (1000, "1k"),
        (99_960, "100k"),
        (999_600, "1M"),
        (5e12, "5000G"),
    ],
)
def test_quantities(value, text):
    assert format_quantity(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0 bytes"), (1, "1 byte"), (999, "999 bytes"), (887_123, "887 kB"), (2_500_000, "2.5 MB")]
)
def test_sizes(value, text):
    assert format_bytes(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0:00"), (59.6, "1:00"), (3599.4, "59:59"), (3599.6, "1:00:00"), (90_000, "25:00:00")]
)
def test_durations(value, text):
    assert format_seconds(value) == text


def test_work_of_unknown_length_has_neither_a_bar_nor_a_share(clock, capsys):
    with Progress(float("inf"), "words", "reading", clock=clock) as progress:
        work(progress, clock, 20, 1.0)
        assert "%" not in drawn(progress, 80)
        assert "left" not in drawn(progress, 80)
        assert drawn(progress, 80).split("  ")[:2] == ["reading", "20k words"]
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == "reading: 20k words, 1k words/s, 0:20 elapsed"


def test_what_is_not_a_number_yet_is_not_shown(clock):
    progress = Progress(10, "words", "quick", clock=clock)
    progress.advance(1, loss=float("nan"))
    assert "loss" not in drawn(progress, 100)
    assert "nan" not in drawn(progress, 100)
    progress.advance(1, loss=float("nan"), pairs=3)
    assert drawn(progress, 100).endswith("pairs 3")
    progress.advance(1, loss=torch.tensor(2.5))
    assert "loss 2.5" in drawn(progress, 100)
