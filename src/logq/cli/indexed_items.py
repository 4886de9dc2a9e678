"""What `logq index` writes: items of a recommender, or words, with their columns and the queries they are asked."""

import re
import shlex
from abc import ABC, abstractmethod
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from logq._progress import format_bytes
from logq.cli.terminal.errors import BadInputError, note
from logq.cli.terminal.report import positional, say
from logq.folders.folder_contents import check_folder
from logq.folders.index_folders import (
    compared_vectors,
    hash_of_items,
    hash_of_words,
    load_index_of,
    load_index_of_words,
)
from logq.folders.recommender_folders import open_folder

if TYPE_CHECKING:
    from logq.folders.recommender_folders import RecommenderFolder
    from logq.logs import Features
    from logq.retrieval import ItemIndex
    from logq.vectors import KeyedVectors

__all__ = ["IndexedItems", "ModelQueries", "column_name", "feature_texts", "item_columns", "open_indexed", "say_index"]

_MOST_QUERIES = 2000


class ModelQueries(NamedTuple):
    """Queries of the model itself.

    Args:
        vectors: (B, D) or (B, K, D).
        own: (B,) the item that each query is the vector of; None where they are no items.
        about: what they are, for people.

    Example:
        >>> ModelQueries([[1.0]], None, "queries of 1 user").about
        'queries of 1 user'
    """

    vectors: Any
    own: Any
    about: str


class IndexedItems(ABC):
    """Vectors that are searched, whatever model they are from.

    Attributes:
        what: "items" or "words".
        metric: that they are compared by unless another is asked for.
        fingerprint: of the vectors, by which an index is told from that of another model.
    """

    what: str
    metric: str
    fingerprint: str

    @abstractmethod
    def vectors(self, metric: str) -> Any:
        """Return the vectors (n, D) that queries are compared with."""

    @abstractmethod
    def queries(self, metric: str) -> ModelQueries:
        """Return what the model is asked, some 2,000 queries at most."""

    @abstractmethod
    def columns(self) -> tuple[dict[str, str], dict[str, list[Any]]]:
        """Return the types and the values of columns of a database."""

    @abstractmethod
    def load_index(self, folder: Path, metric: str | None) -> "ItemIndex":
        """Load an index that was made of these vectors."""

    @abstractmethod
    def search_command(self, model: Path, index: Path, metric: str) -> str:
        """Return what to type to search in an index."""


class _RecommenderItems(IndexedItems):
    what, metric = "items", "inner_product"

    def __init__(self, found: "RecommenderFolder") -> None:
        self._found = found
        self.fingerprint = hash_of_items(found)

    def vectors(self, metric: str) -> Any:
        return compared_vectors(self._found, metric)

    def queries(self, metric: str) -> ModelQueries:
        import numpy as np

        if metric == "cosine":
            return _own_rows(self.vectors(metric), "items")
        model = self._found.model
        asked = np.flatnonzero(np.diff(model.known.offsets))
        if not len(asked):
            missing = "users whose histories ask; the model was saved without (--no-users)"
            raise BadInputError(f"--check: expected {missing}")
        users = model.user_ids[asked[:: max(1, -(-len(asked) // _MOST_QUERIES))]]
        return ModelQueries(model.query_vectors(users), None, f"queries of {len(users):,} users")

    def columns(self) -> tuple[dict[str, str], dict[str, list[Any]]]:
        return item_columns(self._found)

    def load_index(self, folder: Path, metric: str | None) -> "ItemIndex":
        return load_index_of(self._found, folder, metric)

    def search_command(self, model: Path, index: Path, metric: str) -> str:
        place, where = shlex.quote(str(model)), shlex.quote(str(index))
        if metric == "cosine":
            return f"logq similar {place} --index {where} {positional(str(self._found.model.item_ids[0]))}"
        user = shlex.quote(str(self._found.model.user_ids[0]))
        return f"logq recommend {place} --user {user} --index {where}"


class _Words(IndexedItems):
    what, metric = "words", "cosine"

    def __init__(self, known: "KeyedVectors") -> None:
        import numpy as np

        self._known = known
        self._vectors = np.asarray(known.vectors, dtype=np.float32)
        self.fingerprint = hash_of_words(known)

    def vectors(self, metric: str) -> Any:
        return self._vectors

    def queries(self, metric: str) -> ModelQueries:
        return _own_rows(self._vectors, "words")

    def columns(self) -> tuple[dict[str, str], dict[str, list[Any]]]:
        kinds, values = {"word": "text"}, {"word": list(self._known.index_to_key)}
        if self._known.counts is not None:
            kinds["count"], values["count"] = "int", self._known.counts.tolist()
        return kinds, values

    def load_index(self, folder: Path, metric: str | None) -> "ItemIndex":
        return load_index_of_words(self._known, folder, metric)

    def search_command(self, model: Path, index: Path, metric: str) -> str:
        return f"logq serve {shlex.quote(str(model))} --index {shlex.quote(str(index))}"


def open_indexed(place: Path) -> IndexedItems:
    """Open a recommender or word vectors.

    Args:
        place: a folder, or a file of word vectors of any tool.

    Raises:
        FolderError: something else is there.
    """
    found = check_folder(place, "recommender", "word vectors")
    if found is not None and found.family == "recommender":
        return _RecommenderItems(open_folder(place))
    from logq.vectors.keyed_vectors import KeyedVectors

    return _Words(KeyedVectors.load(place))


def say_index(what: str, seconds: float, folder: Path) -> None:
    """Say that an index was made, and how large its folder is."""
    size = format_bytes(sum(path.stat().st_size for path in folder.iterdir() if path.is_file()))
    say(f"{what}, made in {seconds:.1f} s; {size} saved to ", (str(folder), "bold"), ".")


def _own_rows(vectors: Any, what: str) -> ModelQueries:
    import numpy as np

    if len(vectors) < 2:
        raise BadInputError(f"--check: expected at least two {what}, as each is looked for but for itself")
    rows = np.arange(0, len(vectors), max(1, -(-len(vectors) // _MOST_QUERIES)))
    return ModelQueries(vectors[rows], rows, f"vectors of {len(rows):,} {what}, each but for itself")


def item_columns(found: "RecommenderFolder") -> tuple[dict[str, str], dict[str, list[Any]]]:
    """Return types and values of columns of a database: item (its id in the log), count, title, features as text.

    Several values of one feature are joined by "|"; numbers that were cut into buckets are left out, which is said.
    """
    seen = found.model.known
    whole = seen.item_ids.kind == "int"
    kinds = {"item": "int" if whole else "text", "count": "int"}
    values: dict[str, list[Any]] = {"item": seen.item_ids.keys.tolist(), "count": seen.item_counts().tolist()}
    if found.titles is not None:
        kinds["title"], values["title"] = "text", [title or None for title in found.titles]
    if seen.item_features is None:
        return kinds, values
    for name in seen.item_features.names:
        texts = feature_texts(seen.item_features, name)
        if texts is None:
            note(f"the feature {name!r} is no column, as its numbers were cut into buckets")
            continue
        column = column_name(name, {*kinds, "id", "vector"})
        kinds[column], values[column] = "text", texts
    return kinds, values


def column_name(name: str, taken: Collection[str]) -> str:
    """Return the name of a column that all databases allow; where it is taken, another, and that is said.

    Example:
        >>> column_name("price class", ()), column_name("2nd", ()), column_name("a!", ("A_", "a__2"))
        ('price_class', '_2nd', 'a__3')
    """
    plain = re.sub(r"\W", "_", name, flags=re.ASCII)[:58]
    plain = plain if re.match(r"[A-Za-z_]", plain) else f"_{plain}"
    there = {one.lower() for one in taken}
    names = (plain, *(f"{plain}_{number}" for number in range(2, len(there) + 3)))
    column = next(one for one in names if one.lower() not in there)
    if column != plain:
        note(f"the feature {name!r} is the column {column}, as there is another {plain}")
    return column


def feature_texts(features: "Features", name: str) -> list[str | None] | None:
    """Return the values of a feature as text, several of one item joined by "|"; None where they were numbers."""
    known = getattr(features.codings[name], "known", None)
    if known is None:
        return None
    words = [None, *map(str, known.keys.tolist())]
    table = features.values[name]
    if table.ndim == 1:
        return [words[code] for code in table.tolist()]
    return ["|".join(str(words[code]) for code in row if code > 0) or None for row in table.tolist()]
