"""HTML for notebooks: tables, and learning curves as lines in SVG, in the colors that the page has."""

import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, SupportsFloat

if TYPE_CHECKING:
    from logq.tables.result_frames import Columns, HasColumns  # whose module is not needed to train

__all__ = ["TrainingLog", "block", "cell", "columns_table", "escape", "grid", "learning_curves", "result_html"]

ROWS = 20
"""Of a table, at most."""

_ESCAPED = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;"})
"""What html.escape does, whose module takes 2 ms to import."""

_WIDTH, _HEIGHT, _POINTS, _CURVES = 180, 48, 200, 6
_NO_CURVES = {"epoch", "phase", "batches"}


def cell(value: Any) -> str:
    """Return a value as text: four digits of a number, "" for one that is missing.

    Example:
        >>> cell(0.123456), cell(12345), cell(None), cell("tea"), cell(float("nan"))
        ('0.1235', '12,345', '', 'tea', '')
    """
    if value is None:
        return ""
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, Integral):
        return f"{int(value):,}"
    if isinstance(value, Real):
        return "" if math.isnan(float(value)) else f"{float(value):.4g}"
    return str(value)


def escape(text: str) -> str:
    """Return a text with the characters of HTML escaped.

    Example:
        >>> escape("a < b & 'c'")
        'a &lt; b &amp; &#x27;c&#x27;'
    """
    return text.translate(_ESCAPED)


def grid(head: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "") -> str:
    """Return a table of texts, which are escaped; the first column is a name, the others are numbers.

    Example:
        >>> grid(["metric", "@10"], [["HR & NDCG", "0.25"]])
        '<table><tr><th>metric</th><th>@10</th></tr><tr><td>HR &amp; NDCG</td><td>0.25</td></tr></table>'
    """
    named = f"<caption>{escape(caption)}</caption>" if caption else ""
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    lines = ("".join(f"<td>{escape(text)}</td>" for text in row) for row in rows)
    return f"<table>{named}<tr>{top}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def columns_table(columns: "Columns", caption: str = "") -> str:
    """Return the first rows of a table as `to_frame` has it.

    Example:
        >>> columns_table({"epoch": range(99)}).count("<tr>"), "79 more" in columns_table({"epoch": range(99)})
        (21, True)
    """
    lists = [values[:ROWS] for values in columns.values()]
    count = max((len(values) for values in columns.values()), default=0)
    said = [caption] if caption else []
    if count > ROWS:
        said.append(f"{count - ROWS:,} more rows: logq.to_frame has them")
    rows = ([cell(value) for value in row] for row in zip(*lists, strict=True))
    return grid(list(columns), rows, "; ".join(said))


def result_html(result: "HasColumns") -> str:
    """Return the first rows of a result: what its `_repr_html_` is, where a table says everything.

    Example:
        >>> from logq.evaluation import AnalogyResult, AnalogySection
        >>> "<td>family</td><td>3</td>" in result_html(AnalogyResult("3cosadd", (AnalogySection("family", 3, 4, 0),)))
        True
    """
    return columns_table(result.to_columns())


def block(title: str, *parts: str) -> str:
    """Return a title, which is escaped, above parts that are HTML.

    Example:
        >>> block("a < b", "<p>c</p>")
        '<div><p><b>a &lt; b</b></p><p>c</p></div>'
    """
    return f"<div><p><b>{escape(title)}</b></p>{''.join(parts)}</div>"


class TrainingLog(list[dict[str, Any]]):
    """A list of what is known of each epoch, which a notebook shows as learning curves.

    Example:
        >>> log = TrainingLog([{"epoch": 1, "loss": 2.5}, {"epoch": 2, "loss": 2.0}])
        >>> log == [{"epoch": 1, "loss": 2.5}, {"epoch": 2, "loss": 2.0}], "polyline" in log._repr_html_()
        (True, True)
    """

    def _repr_html_(self) -> str:
        return learning_curves(self) or "<p>no epochs</p>"


def learning_curves(log: Sequence[Mapping[str, Any]]) -> str:
    """Return a line for the loss and for each metric of a training log, over the epochs; "" where it has none.

    Args:
        log: a mapping for each epoch, with its number as "epoch".

    Example:
        >>> curves = learning_curves([{"epoch": 1, "loss": 2.5}, {"epoch": 2, "loss": 2.0}])
        >>> curves.count("<polyline"), "loss: 2.5 to 2 in epochs 1 to 2" in curves
        (1, True)
    """
    names = dict.fromkeys(name for entry in log for name in entry if not _is_aside(name))
    curves: list[str] = []
    for name in names:
        points = [
            (float(entry.get("epoch", number)), float(entry[name]))
            for number, entry in enumerate(log, 1)
            if isinstance(entry.get(name), SupportsFloat) and math.isfinite(float(entry[name]))
        ]
        if points and len(curves) < _CURVES:
            curves.append(_curve(name, points))
    return f'<div style="display:flex;flex-wrap:wrap;gap:1em">{"".join(curves)}</div>' if curves else ""


def _is_aside(name: str) -> bool:
    return name in _NO_CURVES or name.endswith("_per_second")


def _curve(name: str, points: Sequence[tuple[float, float]]) -> str:
    step = math.ceil(len(points) / _POINTS)
    shown = [*points[:-1:step], points[-1]]
    (first, begin), (last, end) = points[0], points[-1]
    low, high = min(value for _, value in shown), max(value for _, value in shown)
    across, up = (last - first) or 1.0, (high - low) or 1.0
    places = " ".join(
        f"{2 + (_WIDTH - 4) * (x - first) / across:.1f},{2 + (_HEIGHT - 4) * (1 - (y - low) / up):.1f}"
        for x, y in shown
    )
    said = escape(f"{name}: {cell(begin)} to {cell(end)} in epochs {first:g} to {last:g}")
    dot = places.split()[-1].split(",")
    return (
        f'<figure style="margin:0"><svg role="img" width="{_WIDTH}" height="{_HEIGHT}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}"><title>{said}</title>'
        f'<polyline points="{places}" fill="none" stroke="currentColor" stroke-width="1.5"/>'
        f'<circle cx="{dot[0]}" cy="{dot[1]}" r="2" fill="currentColor"/></svg>'
        f'<figcaption style="font-size:smaller">{said}</figcaption></figure>'
    )
