"""`prepare`: a log of any size as a folder of coded, sorted partitions, made out of core by DuckDB."""

import contextlib
import errno
import glob
import importlib.util
import json
import os
import shutil
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

from typing_extensions import Unpack

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim, check_bool, check_float, check_int
from logq._files import atomic_write
from logq._progress import Progress, say
from logq._project import page
from logq.logs.arranging import Cleaning
from logq.logs.duckdb_steps import STEPS, Preparation
from logq.logs.frames import LogOptions, sorted_options
from logq.logs.parquet_reader import import_duckdb, text_literal
from logq.logs.partition_contract import finish
from logq.logs.partitions import MANIFEST, MAPPED, is_prepared, read_manifest

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
    removed at the end. What was done when a preparation is stopped, killed, or runs out of disk, is kept: the same call
    goes on from there. The result is complete when its manifest.json is there, which is written last.

    Users, items, times and the order of events are those of `Interactions.from_csv` or `from_parquet`, and so are all
    options, guesses and what is dropped. Users are coded partition after partition, by first appearance in each: with
    one partition the log is the same to the bit.

    Args:
        sources: one file or several with the same columns: text (also compressed) or Parquet; names may be patterns.
        folder: where the result goes.
        engine: "duckdb"; for others docs/large-logs.md has programs.
        memory: that DuckDB may use, such as "700MB"; None for a half of that of the machine, at most 4 GB. The process
            takes some 200 MB more.
        threads: None for one for each core.
        partitions: P; None for one for each two million events.
        separator: of columns; None detects it.
        header: whether the first line has names; None detects it.
        overwrite: replace a prepared log in the folder.
        progress: True shows a bar, False nothing, None a bar on a terminal and plain lines in a log.
        options: as for `Interactions.from_frame`, without `user_ids` and `item_ids`.

    Raises:
        ModuleNotFoundError: duckdb is not installed.
        FileExistsError: the folder holds a prepared log, or Parquet files of somebody else.
        ValueError: a file cannot be read, or has wrong values; the message names it.
        MemoryError: `memory` is not enough.
        OSError: a file cannot be opened or written.

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
    home = Path(folder)
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
    files = source_files(sources)
    _check_folder(home, files, overwrite)
    duckdb = import_duckdb("preparing a log")
    missing = cleaning.get("missing")
    settings = {
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
    with _reporting(duckdb, home, memory), _opened(duckdb, work, settings, memory, threads, progress) as connection:
        _check_folder(home, files, overwrite)  # another process may just have finished it
        run = Preparation(connection, work, files, settings)
        with Progress(run.size, "bytes", "preparing", progress) as shown:
            with _watched(connection, shown, run.size) as execute:
                for name, share in STEPS.items():
                    execute(name, share, lambda name=name: run.step(name))
            before = 1.0 - sum(STEPS.values())
            made = {"engine": f"duckdb {duckdb.__version__}", "source": run.source()}
            if not (work / "out" / MANIFEST).exists():
                finish(
                    work / "out",
                    made,
                    dropped=run.result("events")["dropped"],
                    notes=run.notes(),
                    advance=lambda share: shown.advance(share * before * run.size, step="writing arrays"),
                )
        _publish(work, home)
    shutil.rmtree(work)


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


def check_engine(engine: str) -> None:
    """Check the name of an engine.

    Raises:
        ModuleNotFoundError: its package is missing.
        ArgumentError: it is not run from here.

    Example:
        >>> check_engine("duckdb")
    """
    packages = {"duckdb": "duckdb", "spark": "pyspark", "ray": "ray", "polars": "polars"}
    if engine not in packages:
        raise ArgumentError("engine", f"one of {', '.join(packages)}", engine)
    if engine == "duckdb":
        return
    if importlib.util.find_spec(packages[engine]) is None:
        text = f"engine={engine!r} needs {packages[engine]}, which is not installed: pip install {packages[engine]}"
        raise ModuleNotFoundError(text, name=packages[engine])
    has = f"{page('docs/large-logs.md')} has a program for {engine}"
    hint = f"{has}, whose result `logq prepare --check` checks and finishes"
    raise ArgumentError("engine", '"duckdb", which is run from here', engine, hint)


def source_files(sources: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> list[Path]:
    """The files that are meant: names, or patterns, whose matches come in the order of their names.

    Raises:
        FileNotFoundError: there is no such file.

    Example:
        >>> source_files(os.devnull)
        [PosixPath('/dev/null')]
    """
    names = [sources] if isinstance(sources, str | os.PathLike) else list(sources)
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


@contextlib.contextmanager
def _opened(
    duckdb: Any, work: Path, settings: Mapping[str, Any], memory: str | None, threads: int | None, progress: bool | None
) -> Generator[Any, None, None]:
    """A connection to the database of the work so far; one of other files or other settings is begun anew."""
    work.mkdir(parents=True, exist_ok=True)
    file = work / "work.duckdb"
    if file.exists() and not _fits(duckdb, file, settings):
        say(
            f"{work.parent}: what was prepared before is of other files or settings, or damaged: starting anew",
            progress,
        )
        shutil.rmtree(work)
        work.mkdir()
    elif file.exists():
        say(f"{work.parent}: going on from what was prepared before", progress)
    connection = duckdb.connect(str(file))
    try:
        connection.execute(f"SET memory_limit = {text_literal(memory or _half_of_memory())}")
        connection.execute(f"SET temp_directory = {text_literal(str(work / 'temporary'))}")
        connection.execute("SET enable_progress_bar = true")
        connection.execute("SET enable_progress_bar_print = false")
        connection.execute("SET TimeZone = 'UTC'")
        if threads is not None:
            connection.execute(f"SET threads = {threads}")
        yield connection
    finally:
        connection.close()


def _fits(duckdb: Any, file: Path, settings: Mapping[str, Any]) -> bool:
    try:
        with duckdb.connect(str(file)) as connection:
            found = connection.execute("SELECT result FROM steps WHERE name = 'settings'").fetchone()
            has_files = connection.execute("SELECT count(*) FROM steps WHERE name = 'files'").fetchone()[0]
    except duckdb.IOException as error:
        if "lock" in str(error).lower():
            raise BlockingIOError(
                errno.EAGAIN, "another process prepares a log there", str(file.parent.parent)
            ) from None
        return False
    except duckdb.Error:
        return False
    if found is None or json.loads(found[0]) != json.loads(json.dumps(settings)):
        return False
    out = file.parent / "out"  # without these the work was finished, and only this folder was left
    return not has_files or (out / MANIFEST).exists() or (out / "users.parquet").exists()


def _half_of_memory() -> str:
    pages = getattr(os, "sysconf", lambda name: 1 << 19)
    return f"{min(4 << 30, pages('SC_PHYS_PAGES') * 4096 // 2) >> 20}MiB"


@contextlib.contextmanager
def _reporting(duckdb: Any, home: Path, memory: str | None) -> Generator[None, None, None]:
    """A block whose errors of DuckDB become those of Python, with the name of what they are about."""
    full = "the disk is full; what was done is kept, and the same command goes on when there is space"
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise OSError(errno.ENOSPC, full, str(home)) from error
    except duckdb.ParserException as error:
        if "emory" not in str(error):
            raise
        raise ArgumentError("memory", "a size such as 700MB", memory) from None
    except duckdb.Error as error:
        said = " ".join(str(error).split())[:400]
        if "No space left" in said or "max_temp_directory_size" in said:
            raise OSError(errno.ENOSPC, full, str(home)) from error
        if isinstance(error, duckdb.OutOfMemoryException):
            raise MemoryError(
                f"{home}: there is not enough memory to prepare it; memory (--memory) gives more ({said})"
            ) from error
        if isinstance(error, duckdb.IOException):
            raise OSError(f"{home}: {said}") from error
        raise ValueError(said) from error


@contextlib.contextmanager
def _watched(connection: Any, shown: Progress, size: float) -> Generator[Callable[..., None], None, None]:
    """A block that runs steps beside a look at how far they are; Ctrl-C ends the step that runs."""

    def execute(name: str, share: float, step: Callable[[], None]) -> None:
        failed: list[BaseException] = []
        ended = threading.Event()

        def work() -> None:
            try:
                step()
            except BaseException as error:
                failed.append(error)
            finally:
                ended.set()

        thread = threading.Thread(target=work, name="logq-prepare")
        thread.start()
        done = 0.0
        try:
            while not ended.wait(0.2):
                now = min(max(done, connection.query_progress() / 100), 1.0)
                shown.advance((now - done) * share * size, step=name)
                done = now
        except BaseException:
            connection.interrupt()
            raise
        finally:
            thread.join()
        if failed:
            raise failed[0]
        shown.advance((1 - done) * share * size, step=name)

    yield execute


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
