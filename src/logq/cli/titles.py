"""What items are called: titles beside a model, for people who read recommendations."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from logq.cli.errors import BadInputError

if TYPE_CHECKING:
    from logq.logs import Identifiers

__all__ = ["is_title", "load_titles", "read_titles", "save_titles"]

FILE = "titles.json"


def is_title(name: str) -> bool:
    """Whether a column of this name says what an item is called.

    Example:
        >>> [is_title(name) for name in ("movie_title", "Name", "genre", "username")]
        [True, True, False, False]
    """
    return name.lower().replace("-", "_").split("_")[-1] in ("title", "name")


def read_titles(path: Path, ids: "Identifiers") -> list[str] | None:
    """Read the titles of items by code, "" where there is none; None where the table has no such column.

    Args:
        path: a table whose first column is the item.
        ids: the items.
    """
    if path.name.removesuffix(".gz").endswith(".json"):
        return None
    from logq.cli.feature_table import read_feature_table

    table = read_feature_table(path, ids)
    column = next((name for name in table.names[1:] if is_title(name)), None)
    if column is None:
        return None
    titles = [""] * len(ids)
    for code, name in zip(ids.codes(table.frame[table.names[0]]).tolist(), table.frame[column].to_list(), strict=True):
        if code >= 0 and name is not None:
            titles[code] = str(name)
    return titles


def save_titles(folder: Path, titles: list[str] | None) -> None:
    """Write titles beside a model, or take away those of an earlier one.

    Raises:
        OSError: the file cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_titles(Path(folder), ["Tea", ""])
        ...     load_titles(Path(folder), 2)
        ['Tea', '']
    """
    from logq._files import atomic_write

    if titles is None:
        (folder / FILE).unlink(missing_ok=True)
        return
    with atomic_write(folder / FILE) as file:
        file.write(json.dumps(titles, ensure_ascii=False, indent=0).encode())


def load_titles(folder: Path, items: int) -> list[str] | None:
    """Read titles of `items` items, or None if there are none.

    Raises:
        BadInputError: the file is damaged, or of another model.
    """
    path = folder / FILE
    if not path.exists():
        return None
    try:
        titles = json.loads(path.read_bytes())
    except ValueError as error:
        raise BadInputError(f"{path}: is damaged ({error}); remove it to go without titles") from None
    if not isinstance(titles, list) or len(titles) != items or not all(isinstance(title, str) for title in titles):
        raise BadInputError(f"{path}: expected titles of {items:,} items; remove it to go without")
    return titles
