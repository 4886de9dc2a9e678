"""`prepare`: a log of any size as a folder of coded, sorted partitions, made out of core, on one machine or on many."""

import contextlib
import errno
import functools
import glob
import os
import shutil
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path

from typing_extensions import Unpack

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim, check_bool, check_float, check_int
from logq._files import atomic_write
from logq._progress import Progress, say
from logq.logs.arranging import Cleaning
from logq.logs.duckdb_steps import DuckDBSteps
from logq.logs.frames import LogOptions, sorted_options
from logq.logs.parquet_reader import import_duckdb
from logq.logs.partition_contract import finish
from logq.logs.partitions import MANIFEST, MAPPED, is_prepared, read_manifest
from logq.logs.preparation import Preparation, run_steps
from logq.logs.prepare_engines import RUNNERS, check_engine, check_paths
from logq.logs.task_steps import TaskRunner, TaskSteps
from logq.logs.work_database import opened, reporting

__all__ = ["prepare"]

WORK = ".preparing"
"""Folder within the result where a preparation keeps what it has done so far."""

_BEFORE = "before.txt"
"""File in it that lists what is to be replaced, once files are moved."""

_NOT_HERE = ("user_ids", "item_ids")
_MOST_PARTITIONS = 99_999  # numbers of five digits


def prepare(
    sources: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    folder: str | os.PathLike[str],
    *,
    engine: str = "duckdb",
    memory: str | None = None,
    threads: int | None = None,
    partitions: int | None = None,
    separator: str | None = None,
    header: bool | None = None,
    overwrite: bool = False,
    progress: bool | None = None,
    **options: Unpack[LogOptions],
) -> None:
    r"""Prepare a log of any size for `Interactions.open`: coded, sorted by user and time, in partitions of users.

    DuckDB does it out of core, in as much memory as it is given, and with files of its own beside the result, which are
    removed at the end: in this process, or in tasks that Spark or Ray runs on its machines. What was done when a
    preparation is stopped, killed, or runs out of disk, is kept: the same call goes on from there. The result is
    complete when its manifest.json is there, which is written last.

    Users, items, times and the order of events are those of `Interactions.from_csv` or `from_parquet`, and so are all
    options, guesses and what is dropped. Users are coded partition after partition, by first appearance in each: with
    one partition the log is the same to the bit. With the same number of partitions all engines make the same log.

    Args:
        sources: one file or several with the same columns: text (also compressed) or Parquet; names may be patterns.
        folder: where the result goes.
        engine: "duckdb"; or "spark" or "ray": in the session or cluster that this process has, else in the one that is
            found by their own settings, else in a local one. All machines are to see the log and the folder under the
            same paths, and to have logq with the extra of that name.
        memory: that DuckDB may use, such as "700MB"; None for a half of what is free, at most 4 GB. The process
            takes some 200 MB more. Of Spark and Ray each task may use as much; None for its share of the machine's.
        threads: None for one for each core; of Spark and Ray those of each task, None for one.
        partitions: P; None for one for each two million events; with Spark and Ray for as many rows.
        separator: of columns; None detects it.
        header: whether the first line has names; None detects it.
        overwrite: replace a prepared log in the folder.
        progress: True shows a bar, False nothing, None a bar on a terminal and plain lines in a log.
        options: as for `Interactions.from_frame`, without `user_ids` and `item_ids`.

    Raises:
        ModuleNotFoundError: duckdb, or the package of another engine, is not installed.
        FileExistsError: the folder holds a prepared log, or Parquet files of somebody else.
        ValueError: a file cannot be read, or has wrong values; the message names it.
        MemoryError: `memory` is not enough.
        OSError: a file cannot be opened or written.
        ConnectionError: Spark or Ray cannot be started, or gives up tasks.

    Example:
        >>> import tempfile
        >>> from logq.logs import Interactions
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder, "log.csv")
        ...     _ = file.write_text("user,item,time\nann,tea,2\nbob,cup,1\nann,cup,1\n")
        ...     prepare(file, Path(folder, "parts"), progress=False)
        ...     Interactions.open(Path(folder, "parts"))
        Interactions(3 events, 2 users, 2 items)
    """
    check_engine(engine)
    check_bool("overwrite", overwrite)
    if memory is not None and not isinstance(memory, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ArgumentTypeError("memory", "a size such as 700MB", memory)
    threads = None if threads is None else check_int("threads", threads)
    partitions = None if partitions is None else check_int("partitions", partitions)
    if partitions is not None and partitions > _MOST_PARTITIONS:
        raise ArgumentError("partitions", f"at most {_MOST_PARTITIONS:,}", partitions)
    asked, columns, time_format, cleaning = sorted_options(options)
    _check_cleaning(cleaning)
    check_paths("folder", [folder])
    home, files = Path(folder), source_files(sources)
    _check_folder(home, files, overwrite)
    duckdb = import_duckdb("preparing a log")
    missing = cleaning.get("missing")
    settings = {
        "engine": engine,
        "files": [[str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns] for file in files],
        "asked": dict(asked),
        "columns": dict(columns) if isinstance(columns, Mapping) else list(columns),
        "time_format": time_format,
        "cleaning": {**cleaning, **({} if missing is None else {"missing": sorted(missing)})},
        "separator": separator,
        "header": header,
        "partitions": partitions,
        "duckdb": duckdb.__version__,
    }
    work = home / WORK
    with (
        _started(engine, memory, threads, progress) as steps,
        reporting(duckdb, home, memory),
        opened(duckdb, work, settings, memory, threads, progress) as connection,
    ):
        _check_folder(home, files, overwrite)  # another process may just have finished it
        run = steps(connection, work, files, settings)
        with Progress(run.size, "bytes", "preparing", progress) as shown:
            run_steps(run, shown)
            before = 1.0 - sum(run.STEPS.values())
            if not (work / "out" / MANIFEST).exists():
                finish(
                    work / "out",
                    {"engine": ", ".join([*run.engines, f"duckdb {duckdb.__version__}"]), "source": run.source()},
                    dropped=run.result("events")["dropped"],
                    notes=run.notes(),
                    advance=lambda share: shown.advance(share * before * run.size, step="writing arrays"),
                )
        _publish(work, home)
    shutil.rmtree(work)


@contextlib.contextmanager
def _started(
    engine: str, memory: str | None, threads: int | None, progress: bool | None
) -> Generator[Callable[..., Preparation], None, None]:
    """What makes the steps of an engine, which is there until the end of the block."""
    if engine not in RUNNERS:
        yield DuckDBSteps
        return
    runner: TaskRunner = RUNNERS[engine](threads or 1)
    try:
        say(f"{runner.about}: {runner.where}", progress)
        yield functools.partial(TaskSteps, runner=runner, memory=memory, threads=threads)
    finally:
        runner.close()


def _check_cleaning(cleaning: Cleaning) -> None:
    for name in _NOT_HERE:
        if cleaning.get(name) is not None:
            raise ArgumentError(name, "none: a prepared log has its own", Verbatim("some"))
    if (least := cleaning.get("min_label")) is not None:
        check_float("min_label", least)
    for name in ("min_user", "min_item"):
        check_int(name, cleaning.get(name, 1))
    if (which := cleaning.get("deduplicate", "exact")) not in ("exact", "first", "last", None):
        raise ArgumentError("deduplicate", '"exact", "first", "last" or None', which)


def _check_folder(home: Path, files: Sequence[Path], overwrite: bool) -> None:
    """Check that nothing in a folder is lost to whom it belongs.

    Raises:
        FileExistsError: it has a prepared log, or Parquet files of somebody else.
        ArgumentError: it has the log itself.
    """
    if is_prepared(home) and not overwrite:
        raise FileExistsError(
            errno.EEXIST, "a prepared log is there already; overwrite=True (--overwrite) replaces it", str(home)
        )
    parquet = [file.resolve() for file in files if file.suffix.lower() in (".parquet", ".pq")]
    if any(home.resolve() in (file.parent, file.parent.parent) for file in parquet):
        raise ArgumentError("folder", "another folder than that of the log", str(home))
    if not overwrite and not (home / WORK / _BEFORE).exists():
        strangers = sorted(path.name for pattern in ("*.parquet", MAPPED) for path in home.glob(pattern))
        if strangers:
            said = f"{strangers[0]} is there already, which no manifest.json tells of; "
            said += (
                "`logq prepare --check` finishes what another engine wrote, overwrite=True (--overwrite) replaces it"
            )
            raise FileExistsError(errno.EEXIST, said, str(home))


def source_files(sources: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> list[Path]:
    """The files that are meant: names, or patterns, whose matches come in the order of their names.

    Raises:
        FileNotFoundError: there is no such file.

    Example:
        >>> source_files(os.devnull)
        [PosixPath('/dev/null')]
    """
    names = [sources] if isinstance(sources, str | os.PathLike) else list(sources)
    check_paths("sources", names)
    found: list[Path] = []
    for name in [os.fspath(name) for name in names]:
        matches = (
            sorted(glob.glob(name, recursive=True)) if glob.has_magic(name) and not os.path.exists(name) else [name]
        )
        if not matches or not all(map(os.path.exists, matches)):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
        found += map(Path, matches)
    if not found:
        raise ArgumentError("sources", "at least one file", Verbatim("none"))
    for file in found:
        if file.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(file))
    return found


def _publish(work: Path, home: Path) -> None:
    """Move what was made to where it belongs, the manifest last; what was moved before a kill is there already."""
    out, before = work / "out", work / _BEFORE
    made = {Path(name).parts[0] for name in read_manifest(out).files}
    if not before.exists():
        with atomic_write(before) as file:
            file.write("\n".join(_files_of(home)).encode())
    (home / MANIFEST).unlink(missing_ok=True)
    for name in before.read_text("utf-8").splitlines():
        if name not in made:
            (home / name).unlink(missing_ok=True)
    for name in sorted(made):
        if (out / name).exists():
            if (home / name).is_dir():
                shutil.rmtree(home / name)
            os.replace(out / name, home / name)
    os.replace(out / MANIFEST, home / MANIFEST)


def _files_of(home: Path) -> list[str]:
    """The Parquet files of a prepared log that is replaced; what else is in its folder belongs to somebody else."""
    if not is_prepared(home):
        return []
    try:
        return [name for name in read_manifest(home).files if Path(name).suffix == ".parquet" and "/" not in name]
    except ValueError:  # damaged, or of another version
        return [
            path.name
            for pattern in ("part-*", "column-*", "users", "items")
            for path in home.glob(f"{pattern}.parquet")
        ]
