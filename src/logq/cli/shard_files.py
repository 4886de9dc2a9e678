"""Vectors in shards, which several processes wrote, on the command line."""

import time
from pathlib import Path
from typing import Any

from logq.cli.indexed_items import say_index
from logq.cli.terminal.errors import BadInputError
from logq.cli.terminal.output import output_folder
from logq.cli.terminal.report import plural
from logq.folders.index_folders import writing_index

__all__ = ["index_of_shards"]


def index_of_shards(
    shards: Path, folder: Path, kind: str, metric: Any, options: dict[str, Any], *, quiet: bool
) -> None:
    """Make an index of vectors in shards, and say what it is.

    Args:
        shards: where they are.
        folder: for the index.
        kind: of the index.
        metric: None for the one that the shards were written for.
        options: of the index.
        quiet: say nothing.

    Raises:
        BadInputError: an option is not one of the index.
    """
    from logq.distributed import VectorShards
    from logq.retrieval import index_shards

    began = time.perf_counter()
    read = VectorShards(shards)
    with output_folder(folder), writing_index(folder) as about:
        try:
            rows = index_shards(read, folder, kind, metric=metric, **options)
        except TypeError as error:
            raise BadInputError(f"--option: {kind} does not take {', '.join(options)} ({error})") from error
        about |= {"rows": rows, "kind": kind, "options": options}
    if not quiet:
        what = f"{kind} of {read.num_classes:,} items in {plural(len(read), 'shard')}"
        say_index(what, time.perf_counter() - began, folder)
