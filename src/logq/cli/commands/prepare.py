"""`logq prepare`: a log of any size as a folder of coded, sorted partitions, from which everything can be trained."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from logq.cli.command_options import Quiet, one_of
from logq.cli.input_output import READS, WRITES_FOLDER
from logq.cli.log_reading import LogFormat, LogRowOptions, log_roles, tell_notes
from logq.cli.terminal.errors import BadInputError, InterruptedWorkError, note
from logq.cli.terminal.report import plural, say, say_next
from logq.logs.prepare_engines import ENGINES

__all__ = ["EXAMPLES", "prepare"]

EXAMPLES = """
logq prepare ratings.csv -o parts
logq prepare log-*.csv.gz -o parts --user uid --item iid --memory 700MB
logq prepare events.parquet -o parts --columns weight --min-item 5
logq prepare /shared/log/*.parquet -o /shared/parts --engine spark
logq prepare --check parts
"""


def prepare(
    logs: Annotated[
        list[Path],
        typer.Argument(
            metavar="LOG...",
            help="Interaction logs with the same columns: text (also compressed) or Parquet, in the order of time; or "
            "quoted patterns. With --check a folder.",
        ),
        READS,
    ],
    rows: LogRowOptions,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Folder to write to."), WRITES_FOLDER
    ] = None,
    further: Annotated[
        list[str] | None,
        typer.Option(
            "--columns",
            metavar="NAME",
            help="Further column to keep, such as weights or the device of a request. Repeatable.",
            rich_help_panel="Log",
        ),
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="Memory to use, such as 700MB; the process takes some 200 MB more. With spark and ray of each task.",
            show_default="half of what is free, at most 4GB",
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Number of threads; with spark and ray those of each task, 1 by default.",
            show_default="one per core",
        ),
    ] = None,
    partitions: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Number of partitions.", show_default="one for each two million events"),
    ] = None,
    engine: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="duckdb, which needs no cluster; spark or ray, in the session or cluster that their own settings "
            "name, else on this machine, where all machines see LOG and DIR. docs/large-logs.md says what an engine of "
            "your own has to write.",
            autocompletion=one_of(*ENGINES),
        ),
    ] = "duckdb",
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Check a prepared log, file by file; finish one that an engine of your own wrote.",
        ),
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a prepared log in DIR.")] = False,
    quiet: Quiet = False,
) -> None:
    """Prepare a log of any size, also one larger than memory, so that every recommender can be trained from it.

    Users and items become codes, events are sorted by user and time, and everything goes to a folder of partitions,
    which `logq train` takes instead of a log and reads as it needs it. It is done by DuckDB (the extra `duckdb`)
    in the memory that --memory says, or on many machines by Spark or Ray (extras of these names), which make the same
    log. When it is stopped, the same command goes on from there.
    """
    progress = False if quiet else None
    if check:
        if len(logs) != 1 or output is not None:
            raise BadInputError("--check: expected one folder, and no --output")
        from logq.logs.partition_contract import check_partitions

        check_partitions(logs[0], progress=progress)
        if not quiet:
            say("All rules of a prepared log hold.")
            _say_what_is_there(logs[0])
        return
    if output is None:
        raise BadInputError("give a folder for the result by --output (-o)")
    if str(logs[0]) == "-":
        raise BadInputError("-: expected files, which are read more than once, found standard input")
    if rows.format in (LogFormat.sessions, LogFormat.user_sessions):
        raise BadInputError(f"--format {rows.format.value}: expected a table, or Parquet")
    from logq.logs.prepare_log import prepare as prepare_log

    try:
        prepare_log(
            logs,
            output,
            engine=engine,
            memory=memory,
            threads=threads,
            partitions=partitions,
            separator=rows.separator,
            overwrite=overwrite,
            progress=progress,
            time_format=rows.time_format,
            columns=list(further or ()),
            **log_roles(rows),
            **rows.cleaning,
        )
    except KeyboardInterrupt as stop:
        raise InterruptedWorkError(f"{output} keeps what was done; the same command goes on from there.") from stop
    if not quiet:
        _say_what_is_there(output)


def _say_what_is_there(folder: Path) -> None:
    from logq.logs.partitions import read_manifest

    found = read_manifest(folder)
    tell_notes(found.notes, found.dropped, note)
    parts = plural(len(found.bounds) - 1, "partition")
    size = f"{plural(found.events, 'event')} of {found.users:,} users with {found.items:,} items, in {parts}"
    say(f"{size}, are in ", (str(folder), "bold"), ".")
    place = shlex.quote(str(folder))
    say_next([(f"logq train youtube-dnn {place} -o model", "which reads the log as it needs it")])
