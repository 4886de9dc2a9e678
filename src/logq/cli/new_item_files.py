"""Items that came after training, from the files that describe them, for commands that answer."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from logq.cli.feature_files import FeatureTable, is_json, is_parquet, is_title, named
from logq.cli.input_output import READS
from logq.cli.item_vector_files import NAME, typed_keys, vectors_by_id
from logq.cli.terminal.errors import BadInputError, note
from logq.cli.text_reading import check_input_file
from logq.folders.recommender_folders import RecommenderFolder

if TYPE_CHECKING:
    from logq.recommenders.events.known_log import KnownLog

__all__ = ["NewItems", "take_new_items"]


@dataclass(frozen=True)
class NewItems:
    """The options that name the files of items that came after training."""

    new_items: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Items that came after training, with their features as in --item-features: they take part as all "
            "others do, if the model learned from features.",
        ),
        READS,
    ] = None
    new_item_vectors: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Their vectors, as in --item-vectors of the training."), READS
    ] = None

    @property
    def given(self) -> bool:
        """Whether there is such a file."""
        return self.new_items is not None or self.new_item_vectors is not None

    @property
    def table(self) -> Path | None:
        """A file of them that is a table, if there is one."""
        if self.new_items is not None and not is_json(self.new_items):
            return self.new_items
        vectors = self.new_item_vectors
        return vectors if vectors is not None and is_parquet(vectors) else None


def take_new_items(found: RecommenderFolder, new: NewItems) -> RecommenderFolder:
    """Let items take part that came after training; what the model knows already stays as it is.

    Args:
        found: the model.
        new: the files; the model stays as it is where there is none.

    Returns:
        The same model, with the titles of the table too.

    Raises:
        BadInputError: a file cannot be read, or the model learned nothing from features.
    """
    if not new.given:
        return found
    table, vectors = new.new_items, new.new_item_vectors
    known = found.model.known
    columns: dict[str, dict[Any, Any]] = {}
    titles: dict[Any, str] = {}
    keys: dict[Any, None] = {}
    if table is not None:
        check_input_file(table, "a table of features")
        with named(table):
            ids, values = _columns(table, known)
        keys.update(dict.fromkeys(ids))
        for name, column in values.items():
            if is_title(name):
                titles = {key: str(value) for key, value in zip(ids, column, strict=True) if value is not None}
            elif known.item_features is not None and name in {*known.item_features.values, *known.item_features.dense}:
                columns[name] = dict(zip(ids, column, strict=True))
    if vectors is not None:
        with named(vectors):
            of_vectors, rows = vectors_by_id(vectors, known.item_ids)
        ids = of_vectors.tolist()
        keys.update(dict.fromkeys(ids))
        columns[NAME] = dict(zip(ids, rows, strict=True))
    unknown = [key for key in keys if key is not None]
    codes = known.item_ids.codes(unknown)
    unknown = [key for key, code in zip(unknown, codes.tolist(), strict=True) if code < 0]
    where = table if table is not None else vectors
    if len(unknown) < len(codes):
        note(f"{where}: {len(codes) - len(unknown):,} of {len(codes):,} items are in the log already")
    if not unknown:
        return found
    raw = {name: [column.get(key) for key in unknown] for name, column in columns.items()}
    try:
        found.model.add_items(unknown, raw)  # pyright: ignore[reportAttributeAccessIssue]
    except (AttributeError, TypeError, ValueError) as error:
        raise BadInputError(f"{where}: {error}") from error
    if found.titles is None and not titles:
        return found
    before = [""] * known.num_items if found.titles is None else found.titles
    return replace(found, titles=[*before, *(titles.get(key, "") for key in unknown)])


def _columns(path: Path, known: "KnownLog") -> tuple[list[Any], dict[str, list[Any]]]:
    """The ids of a table of features, and its other columns by name."""
    if is_json(path):
        from logq._compression import read_bytes

        values = json.loads(read_bytes(path))
        if not isinstance(values, dict):
            raise ValueError(f'{path}: expected an object {{"id": [values]}}, got a {type(values).__name__}')
        return typed_keys(list(values), known.item_ids, path).tolist(), {"attributes": list(values.values())}
    table = FeatureTable(path, known.item_ids, known.item_features)
    return table.keys.to_list(), {name: table.frame[name].to_list() for name in table.names[1:]}
