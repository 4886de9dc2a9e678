"""Vectors in shards, which several processes wrote, on the command line."""

import json
import time
from pathlib import Path
from typing import Any

from logq._files import atomic_write
from logq._progress import format_bytes
from logq.cli.terminal.errors import BadInputError
from logq.cli.terminal.output import output_folder
from logq.cli.terminal.report import plural, say
from logq.folders.index_folders import MADE_OF

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
    with output_folder(folder):
        (folder / MADE_OF).unlink(missing_ok=True)
        try:
            rows = index_shards(read, folder, kind, metric=metric, **options)
        except TypeError as error:
            raise BadInputError(f"--option: {kind} does not take {', '.join(options)} ({error})") from error
        with atomic_write(folder / MADE_OF) as file:
            file.write(json.dumps({"rows": rows, "kind": kind, "options": options}).encode())
    if quiet:
        return
    size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    say(
        f"{kind} of {read.num_classes:,} items in {plural(len(read), 'shard')}, made in "
        f"{time.perf_counter() - began:.1f} s; {format_bytes(size)} saved to ",
        (str(folder), "bold"),
        ".",
    )
