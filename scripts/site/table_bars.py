"""Bars for the tables of the benchmarks, drawn from the numbers that stand there.

A line `<!-- bars: ms a step -->` before a table, which code hosts do not show, asks for a bar for each row, as long as
the number in that column. What a number is given with, a spread or a factor in parentheses, is left out.
"""

import html
import re

__all__ = ["placeholder", "with_bars"]

MARK = re.compile(r"^<!-- bars: (?P<column>.+) -->\n\n?(?P<table>(?:\|.*\n)+)", re.M)


def with_bars(page: str, text: str, stash: list[str]) -> str:
    """The text of a page with a placeholder before each such table; the bars go onto the stash.

    Raises:
        ValueError: a mark has no table below it, or that has no such column with numbers.
    """

    def replace(found: re.Match[str]) -> str:
        stash.append(bars(page, found["column"], found["table"]))
        return f"{placeholder(len(stash) - 1)}\n\n{found['table']}"

    text = MARK.sub(replace, text)
    if re.search("^<!-- bars:", text, re.M):
        raise ValueError(f"{page}: a mark for bars has no table below it")
    return text


def placeholder(number: int | str) -> str:
    """What stands in the Markdown until the page is HTML."""
    return f"BARS{number}BARS"


def bars(page: str, column: str, table: str) -> str:
    """The bars of a table, as HTML that style sheets lay out."""
    header, _, *rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table.splitlines()]
    if column not in header:
        raise ValueError(f"{page}: a table with the columns {header} has no {column!r}")
    place = header.index(column)
    numbers = [(row[0], number_of(row[place])) for row in rows]
    drawn = [(name, number) for name, number in numbers if number is not None]
    if len(drawn) < 2:
        raise ValueError(f"{page}: {column!r} has no numbers to draw")
    longest = max(number for _, number in drawn)
    lines = [line(name, number, number / longest) for name, number in drawn]
    return "\n".join([f'<figure class="bars"><figcaption>{html.escape(column)}</figcaption>', *lines, "</figure>"])


def number_of(cell: str) -> float | None:
    """The first number of a cell, which may begin with a point and have commas between its thousands."""
    found = re.match(r"\**(\d[\d,]*\.?\d*|\.\d+)", cell)
    return float(found[1].replace(",", "")) if found else None


def line(name: str, number: float, share: float) -> str:
    """One bar."""
    ours = ' class="ours"' if re.match(r"`?logq|.*, logq$", name) else ""
    shown = f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
    label = re.sub(r"`([^`]*)`", r"<code>\1</code>", html.escape(name))
    return f'<div{ours}><span>{label}</span><i style="width: {share:.1%}"></i><b>{shown}</b></div>'
