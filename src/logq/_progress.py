"""Progress: one line that says how far a long task has come, how fast it is going and how long it will still take.

On a terminal the line is a bar that is drawn again a few times a second. In a notebook it is one output of its cell,
which is replaced as often and keeps the last line. Where standard error is a file or a pipe, it is a plain line every
ten seconds and one at the end, so that logs stay readable. Nothing here touches the work itself: with and without a
progress line the results are the same.
"""

import math
import sys
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol, TextIO

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from logq._arguments import ArgumentError
from logq._launch import launched
from logq.tables.notebook_html import escape

__all__ = ["Limit", "Progress", "format_bytes", "format_quantity", "format_seconds", "say"]

_SAMPLE_EVERY = 0.2  # seconds between two looks at the clock's and the work's position
_TIMES = (1, "s"), (60, "min"), (3600, "h")
_SAMPLES = 60  # so the rate is that of the last twelve seconds
_LINE_EVERY = 10.0  # seconds between two plain lines
_QUICK = 2.0  # work shorter than this leaves no trace in a log
_BRIEF = 0.5  # nor this in a notebook


def format_quantity(value: float) -> str:
    """Return a number of things in at most four characters: 7, 31.2, 312k, 1.25M.

    Example:
        >>> [format_quantity(value) for value in (0, 7, 31.23, 312_400, 1_254_000, 2e9)]
        ['0', '7', '31.2', '312k', '1.25M', '2G']
    """
    for scale, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= 0.9995 * scale:
            return f"{value / scale:.3g}{suffix}" if value < 999.5 * scale else f"{value / scale:.0f}{suffix}"
    return f"{value:.3g}"


def format_bytes(size: int) -> str:
    """Return a size as people read it: 512 bytes, 887 kB, 1.25 MB.

    Example:
        >>> [format_bytes(size) for size in (1, 512, 887_000, 1_254_000, 3 * 10**9)]
        ['1 byte', '512 bytes', '887 kB', '1.25 MB', '3 GB']
    """
    number = format_quantity(size)
    if number[-1:].isdigit():
        return f"{number} byte{'' if size == 1 else 's'}"
    return f"{number[:-1]} {number[-1]}B"


def format_seconds(seconds: float) -> str:
    """Return a duration as a clock shows it: 0:07, 12:30, 1:02:30.

    Example:
        >>> [format_seconds(value) for value in (7.4, 750, 3750)]
        ['0:07', '12:30', '1:02:30']
    """
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


class Limit(Protocol):
    """A time that work may take: it ends then, whether or not all is done.

    Example:
        See logq.training.time_budget.TimeBudget, which is one.
    """

    @property
    def left(self) -> float:
        """Seconds until it ends; infinite for no limit."""
        ...

    @property
    def share(self) -> float:
        """Part of it that is used, from 0 to 1."""
        ...


class Progress:
    """A context manager that shows label, share done, rate, time spent, time left and running values such as the loss.

        rate = work of the last twelve seconds / their length;  time left = (total - done) / rate

    It writes to standard error only. Values are turned into text only when the line is drawn, so a zero-dimensional
    tensor may be passed as the loss without a wait for its device at every step.

    Args:
        total: amount of work in all, in units; a guess is fine, and math.inf where nobody knows: then there is no bar.
        unit: what is counted, in the plural: "words".
        label: what is being done: "skip-gram".
        enabled: True draws the bar, False is silent, None draws the bar on a terminal and in a notebook and prints
            plain lines elsewhere. Of several processes that torchrun has started only the first one shows any.
        limit: a time after which the work ends: the line then goes by that or by the total, whichever comes sooner.
        clock: seconds since some moment; replaced in tests.

    Raises:
        ValueError: `total` is negative or not a number.

    Example:
        >>> with Progress(3, "words", "counting", enabled=False) as progress:
        ...     for loss in (0.9, 0.8, 0.7):
        ...         progress.advance(1, loss=loss)
        >>> progress.done
        3.0
    """

    def __init__(
        self,
        total: float,
        unit: str,
        label: str,
        enabled: bool | None = None,
        *,
        limit: Limit | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """See the class."""
        if not total >= 0:
            raise ArgumentError("total", "an amount of work >= 0", total)
        self.total = float(total)
        self.unit = unit
        self.label = label
        self.enabled = enabled
        self.done = 0.0
        self._clock, self._limit = clock, limit
        self._fields: dict[str, object] = {}
        self._live: Live | None = None
        self._stream: TextIO | None = None
        self._cell: _NotebookLine | None = None
        self._finished = False
        self._started = self._sampled = self._printed = clock()
        self._samples: deque[tuple[float, float]] = deque([(self._started, 0.0)], maxlen=_SAMPLES)

    def __enter__(self) -> "Progress":
        """Start the clock and show the line."""
        self._started = self._sampled = self._printed = self._clock()
        self._samples.append((self._started, self.done))
        self._samples.popleft()
        # The stream is looked up now, not at import: it may have been replaced in between. Inside a test runner or a
        # detached process it may be closed or missing, and then there is nobody to show anything to.
        stream = sys.stderr
        if stream is None or stream.closed or self.enabled is False or not launched().is_first:
            return self
        display = _notebook_display()
        if display is not None:
            self._cell = _NotebookLine(display)
            return self
        console = Console(file=stream)
        if self.enabled or console.is_terminal:
            self._live = Live(self, console=console, refresh_per_second=5, redirect_stdout=False, redirect_stderr=False)
            self._live.start(refresh=True)
        else:
            self._stream = stream
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Show the line a last time, as it stands."""
        self._finished = kind is None
        if self._live is not None:
            self._live.stop()
            self._live = None
        elif self._cell:
            self._show_in(self._cell)
        elif self._stream and self._finished and self._clock() - self._started >= _QUICK:
            self._print()

    def advance(self, amount: float, **fields: object) -> None:
        """Say that `amount` more units are done, and optionally what a running value (loss=...) now is.

        Args:
            amount: units done since the last call.
            fields: values shown behind the line under their names: numbers with four digits, text as it is. What is
                not a number yet (NaN) is not shown.
        """
        self.done += amount
        if fields:
            self._fields.update(fields)
        now = self._clock()
        if now - self._sampled < _SAMPLE_EVERY:
            return
        self._sampled = now
        self._samples.append((now, self.done))
        if self._stream and now - self._printed >= _LINE_EVERY:
            self._printed = now
            self._print()
        elif self._cell:
            self._show_in(self._cell)

    def _show_in(self, cell: "_NotebookLine") -> None:
        if cell.is_shown or self.enabled or self.elapsed >= _BRIEF:
            cell.show(self._parts(), self.share if math.isfinite(self.total) else None)

    @property
    def elapsed(self) -> float:
        """Seconds since the work began."""
        return self._clock() - self._started

    @property
    def rate(self) -> float:
        """Units per second: of the last twelve seconds while the work goes on, of all of it at the end."""
        if self._finished:
            return self.done / max(self.elapsed, 1e-9)
        (then, before), (now, done) = self._samples[0], self._samples[-1]
        return (done - before) / (now - then) if now > then else 0.0

    @property
    def share(self) -> float:
        """Part of the work that is done, from 0 to 1; where it has ended without an error there is nothing left."""
        # Amounts that are fractions of a total add up to nearly that; a total may also have been a guess.
        if self._finished or self.total == 0:
            return 1.0
        return min(1.0, max(self.done / self.total, 0.0 if self._limit is None else self._limit.share))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the line for a terminal, leaving out what has no room: first the bar shrinks, then parts go."""
        parts = self._parts()
        # Most dispensable first; the label and the percentage always stay.
        for name in ("", "elapsed", "epoch", "rate", "fields", "left"):
            parts.pop(name, None)
            # Three columns stay free: a ^C that the terminal echoes must not make the line wrap.
            bar_width = options.max_width - 3 - sum(len(text) + 2 for text in parts.values())
            if bar_width >= 6:
                break
        bar_width = min(bar_width, 32)
        styles = {
            "label": "bold",
            "percent": "cyan",
            "done": "cyan",
            "rate": "green",
            "elapsed": "dim",
            "left": "",
            "epoch": "",
            "fields": "yellow",
        }
        line = Table.grid(padding=(0, 2, 0, 0))
        cells = {name: Text(text, style=styles[name], no_wrap=True) for name, text in parts.items()}
        row = [cells.pop("label")]
        if bar_width >= 4 and math.isfinite(self.total):
            row.append(ProgressBar(total=1.0, completed=self.share, width=bar_width))  # pyright: ignore[reportArgumentType]
        line.add_row(*row, *cells.values())
        yield line

    def _parts(self) -> dict[str, str]:
        rate = self.rate
        parts = {"label": self.label}
        if math.isfinite(self.total):
            parts["percent"] = f"{math.floor(100 * self.share):3d}%"
        else:
            parts["done"] = f"{format_quantity(self.done)} {self.unit}"
        if rate > 0 or self.done:
            parts["rate"] = self._rate_text(rate)
        parts["elapsed"] = f"{format_seconds(self.elapsed)} elapsed"
        if not self._finished and math.isfinite(self.total):
            left = (self.total - self.done) / rate if rate > 0 else math.inf
            left = left if self._limit is None else min(left, self._limit.left)
            parts["left"] = f"{format_seconds(max(left, 0.0)) if math.isfinite(left) else '-:--'} left"
        shown = {name: _format_field(value) for name, value in self._fields.items()}
        if "epoch" in shown:
            parts["epoch"] = f"epoch {shown.pop('epoch')}"
        if known := [f"{name} {text}" for name, text in shown.items() if text != "nan"]:
            parts["fields"] = ", ".join(known)
        return parts

    def _rate_text(self, rate: float) -> str:
        """The rate in the unit of time in which it is at least one: 52 trials/h and not 0.0144 trials/s."""
        seconds, name = next(((s, name) for s, name in _TIMES if rate * s >= 1), (1, "s") if rate == 0 else _TIMES[-1])
        return f"{format_quantity(rate * seconds)} {self.unit}/{name}"

    def _print(self) -> None:
        parts = self._parts()
        label = parts.pop("label")
        print(f"{label}: {', '.join(text.strip() for text in parts.values())}", file=self._stream, flush=True)


class _NotebookLine:
    """An output of a notebook's cell, which is replaced whenever it is shown anew."""

    def __init__(self, display: Callable[..., Any]) -> None:
        self._display, self._handle = display, None

    @property
    def is_shown(self) -> bool:
        return self._handle is not None

    def show(self, parts: dict[str, str], share: float | None) -> None:
        """Show label, bar and the other parts, as HTML and as text; no bar where the share is not known."""
        label, *others = (text.strip() for text in parts.values())
        text = f"{label}: {', '.join(others)}"
        bar = "" if share is None else f'<progress value="{share:.3f}" aria-label="{escape(label)}"></progress>'
        cells = "".join(f"<span>{escape(part)}</span>" for part in others)
        style = "display:flex;flex-wrap:wrap;gap:0 1em;align-items:center"
        shown = {"text/plain": text, "text/html": f'<div style="{style}"><b>{escape(label)}</b>{bar}{cells}</div>'}
        if self._handle is None:
            self._handle = self._display(shown, raw=True, display_id=True)
        else:
            self._handle.update(shown, raw=True)


def _notebook_display() -> Callable[..., Any] | None:
    """IPython's display() where a notebook's kernel runs this, which has then imported it."""
    known, shown = sys.modules.get("IPython"), sys.modules.get("IPython.display")
    shell = known.get_ipython() if known is not None and hasattr(known, "get_ipython") else None
    return shown.display if shown is not None and getattr(shell, "kernel", None) is not None else None


def say(text: str, enabled: bool | None = None) -> None:
    """Write a line where progress is shown, unless `enabled` is False.

    Example:
        >>> say("nobody reads this", enabled=False)
    """
    stream = sys.stderr
    if enabled is not False and stream is not None and not stream.closed and launched().is_first:
        print(text, file=stream, flush=True)


def _format_field(value: object) -> str:
    if isinstance(value, str | int):
        return str(value)
    return f"{float(value):.4g}"  # pyright: ignore[reportArgumentType]
