"""Tables of results, as wide as the terminal: what names have no room for is folded, and a number is never cut."""

from collections.abc import Sequence

import rich.text
from rich.table import Table

from logq.cli.terminal.console import Console, Text

__all__ = ["ResultTable", "show_items", "show_nearest", "show_neighbors"]

_GAP = 3  # columns of the terminal between two of a table
_NARROWEST = 16  # what a column of names keeps before numbers go to a block of their own


class ResultTable:
    """Rows of a name and numbers. Numbers that find no room beside the names follow in a block below, names again.

    Args:
        name: heading of the names.
        numbers: headings of the numbers. Where all headings are empty, none is shown.
        keys: how many columns say what a row is, and come again in each block.

    Example:
        >>> table = ResultTable("sampler", "k", "error")
        >>> table.add("uniform", "1,024", "0.1250")
        >>> table.show(Console(width=24))
        sampler      k   error
        uniform  1,024  0.1250
        >>> table.show(Console(width=20))
        sampler      k
        uniform  1,024
        <BLANKLINE>
        sampler   error
        uniform  0.1250
    """

    def __init__(self, name: str, *numbers: str, keys: int = 1) -> None:
        self._headings = (name, *numbers)
        self._keys = range(keys)
        self._rows: list[tuple[Text, ...]] = []

    def add(self, name: str | Text, *numbers: str | Text) -> None:
        """Add a row; text is shown as it is, without markup."""
        self._rows.append(tuple(cell if isinstance(cell, Text) else Text(cell) for cell in (name, *numbers)))

    def show(self, console: Console | None = None) -> None:
        """Print the table to standard output, or to another console."""
        console = console or Console()
        gap = next((gap for gap in range(_GAP, 1, -1) if len(self._blocks(console.width, gap)) == 1), 2)
        for number, block in enumerate(self._blocks(console.width, gap)):
            if number:
                console.print()
            console.print(self._table([*self._keys[1:], *block], gap))

    def _width(self, column: int) -> int:
        cells = [Text(self._headings[column]), *(row[column] for row in self._rows)]
        return max(cell.cell_len for cell in cells)

    def _blocks(self, width: int, gap: int) -> list[list[int]]:
        """Which numbers stand beside each other."""
        start = min(self._width(0), _NARROWEST) + sum(gap + self._width(column) for column in self._keys[1:])
        blocks: list[list[int]] = [[]]
        used = start
        for column in range(len(self._keys), len(self._headings)):
            wide = gap + self._width(column)
            if blocks[-1] and used + wide > width:
                blocks.append([])
                used = start
            blocks[-1].append(column)
            used += wide
        return blocks

    def _table(self, columns: Sequence[int], gap: int) -> Table:
        table = _table(gap, show_header=any(self._headings))
        table.add_column(Text(self._headings[0], overflow="fold"), overflow="fold")
        for column in columns:
            table.add_column(self._padded(column, Text(self._headings[column])), no_wrap=True)
        for row in self._rows:
            table.add_row(row[0], *(self._padded(column, row[column]) for column in columns))
        return table

    def _padded(self, column: int, cell: Text) -> rich.text.Text:
        """To the right of its column: rich would take away spaces at the end, which a cell may have on purpose."""
        return Text.assemble(" " * (self._width(column) - cell.cell_len), cell)


def show_neighbors(columns: Sequence[tuple[str, Sequence[tuple[str, float]]]]) -> None:
    """Print the answers to several questions side by side, as many as the terminal has room for, the others below.

    Args:
        columns: (question, answers with cosines, best first).

    Example:
        >>> show_neighbors([("tea", [("coffee", 0.981), ("cup", 0.5)]), ("train", [("track", 0.7)])])
        tea             train
        coffee   0.98   track   0.70
        cup      0.50
    """
    console = Console()
    blocks: list[list[tuple[str, Sequence[tuple[str, float]]]]] = []
    used = 0
    for question, answers in columns:
        names = max(Text(name).cell_len for name in (question, *(word for word, _ in answers)))
        wide = names + 2 * _GAP + len("-0.00")
        if not blocks or used + wide > console.width:
            blocks.append([])
            used = 0
        blocks[-1].append((question, answers))
        used += wide
    for number, block in enumerate(blocks):
        if number:
            console.print()
        table = _table()
        for question, _ in block:
            table.add_column(Text(question, overflow="fold"), overflow="fold")
            table.add_column("", justify="right", no_wrap=True)
        for rank in range(max(len(answers) for _, answers in block)):
            cells: list[Text] = []
            for _, answers in block:
                word, cosine = answers[rank] if rank < len(answers) else ("", None)
                cells += [Text(word), Text("" if cosine is None else f"{cosine:.2f}", style="dim")]
            table.add_row(*cells)
        console.print(table)


def show_nearest(question: str, answers: Sequence[tuple[str, float]], counts: dict[str, int] | None) -> None:
    """Print the answer to a single question, one row per neighbor, with a bar where there is room for one.

    Args:
        question: what was asked.
        answers: neighbors with cosines, best first.
        counts: how often each of them occurs, if that is known.
    """
    console = Console()
    often = {} if counts is None else {word: f"{counts[word]:,}" for word, _ in answers}
    widest = max(map(len, ("count", *often.values()))) + _GAP if often else 0
    # Names that are longer than what this leaves of a line are folded; the bar goes before that.
    room = console.width - max((Text(word).cell_len for word in (question, *(word for word, _ in answers))), default=0)
    bars = room >= 2 * _GAP + len("cosine") + 20 + widest
    table = _table()
    table.add_column(Text(question, overflow="fold"), overflow="fold")
    table.add_column("cosine", justify="right", header_style="dim", no_wrap=True)
    if bars:
        table.add_column("", no_wrap=True)
    if often:
        table.add_column("count", justify="right", header_style="dim", no_wrap=True)
    for word, cosine in answers:
        row = [Text(word), Text(f"{cosine:.3f}")]
        row += [Text("━" * max(0, round(20 * cosine)), style="cyan")] if bars else []
        row += [Text(often[word], style="dim")] if often else []
        table.add_row(*row)
    console.print(table)


def show_items(question: str, answers: Sequence[tuple[str, str, float, str]], what: str) -> None:
    """Print one row per item: its id, its title if any has one, its score, and what speaks for it if anything is said.

    Args:
        question: what was asked.
        answers: (item, title, score, reasons), best first.
        what: what the score is called.
    """
    table = _table()
    table.add_column(Text(question, overflow="fold"), overflow="fold")
    titled, explained = any(title for _, title, _, _ in answers), any(why for _, _, _, why in answers)
    if titled:
        table.add_column("", overflow="fold")
    table.add_column(what, justify="right", header_style="dim", no_wrap=True)
    if explained:
        table.add_column("because of", overflow="fold", header_style="dim")
    for item, title, score, why in answers:
        cells = [Text(item), *([Text(title)] if titled else []), Text(f"{score:.3f}", style="dim")]
        table.add_row(*cells, *([Text(why, style="dim")] if explained else []))
    Console().print(table)


def _table(gap: int = _GAP, *, show_header: bool = True) -> Table:
    return Table(box=None, header_style="bold cyan", pad_edge=False, padding=(0, gap, 0, 0), show_header=show_header)
