"""What is known of the items of a recommender, as columns of a database."""

import re
from typing import TYPE_CHECKING, Any

from logq.cli.recommender_folder import RecommenderFolder

if TYPE_CHECKING:
    from logq.logs import Features

__all__ = ["item_columns"]


def item_columns(found: RecommenderFolder) -> tuple[dict[str, str], dict[str, list[Any]]]:
    """Return the types and the values of columns: item (its id in the log), count, title, and features as text.

    Several values of one feature are joined by "|"; numbers that were cut into buckets are left out.

    Args:
        found: what `logq train` left.
    """
    seen = found.model.seen
    whole = seen.item_ids.kind == "int"
    kinds = {"item": "int" if whole else "text", "count": "int"}
    values: dict[str, list[Any]] = {"item": seen.item_ids.keys.tolist(), "count": seen.item_counts().tolist()}
    if found.titles is not None:
        kinds["title"], values["title"] = "text", [title or None for title in found.titles]
    if seen.item_features is not None:
        for name in seen.item_features.names:
            texts = _texts(seen.item_features, name)
            column = re.sub(r"\W", "_", name, flags=re.ASCII)[:60]
            column = column if re.match(r"[A-Za-z_]", column) else f"_{column}"
            if texts is not None and column.lower() not in {*map(str.lower, kinds), "id", "vector"}:
                kinds[column], values[column] = "text", texts
    return kinds, values


def _texts(features: "Features", name: str) -> list[str | None] | None:
    known = getattr(features.codings[name], "known", None)
    if known is None:
        return None
    words = [None, *map(str, known.keys.tolist())]
    table = features.values[name]
    if table.ndim == 1:
        return [words[code] for code in table.tolist()]
    return ["|".join(str(words[code]) for code in row if code > 0) or None for row in table.tolist()]
