"""Logs that are prepared by tasks are those of DuckDB in one process, to the bit, whatever the log has in it."""

import gzip
import json
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars
import pytest

from logq.logs import Interactions, piece_tasks, prepare, prepare_engines, task_steps
from logq.logs.piece_tasks import LogTask, Workplace, perform
from logq.logs.prepare_log import WORK
from prepared_logs import FILES, TABLES, assert_same

pytest.importorskip("duckdb")


class OwnTasks:
    """An engine of one's own: it runs tasks one after the other, as bytes such as those that go to other machines."""

    package, about, where, finished = "polars", "own 1", "here", 0
    calls: ClassVar[list[str]] = []
    most = 10_000

    def __init__(self, threads: int) -> None:
        assert threads >= 1

    def run(self, function: Callable[[Any], Any], tasks: Sequence[Any]) -> list[Any]:
        results = []
        for task in tasks:
            if len(self.calls) >= self.most:
                raise KeyboardInterrupt
            self.calls.append(task.function.__name__)
            sent, here = pickle.loads(pickle.dumps((function, task)))
            results.append(pickle.loads(pickle.dumps(sent(here))))
            self.finished = len(results)
        return results

    def stop(self) -> None:
        pass

    def close(self) -> None:
        self.calls.append("close")


@pytest.fixture(autouse=True)
def _own_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(prepare_engines.RUNNERS, "own", OwnTasks)
    monkeypatch.setattr(OwnTasks, "calls", [])
    monkeypatch.setattr(task_steps, "ROWS_A_PIECE", 3)


def both(source: Any, folder: Path, **options: Any) -> tuple[Interactions, Interactions]:
    """The log by tasks, and by DuckDB in this process."""
    options = {"partitions": 3, **options}
    for engine in ("own", "duckdb"):
        prepare(source, folder / engine, engine=engine, progress=False, **options)
    return Interactions.open(folder / "own"), Interactions.open(folder / "duckdb")


def check(source: Any, folder: Path, **options: Any) -> Interactions:
    ours, theirs = both(source, folder, **options)
    assert_same(ours, theirs, to_the_bit=True)
    written = [json.loads((folder / engine / "manifest.json").read_text()) for engine in ("own", "duckdb")]
    assert written[0].pop("made")["engine"].startswith("own 1, duckdb ")
    written[1].pop("made")
    for manifest in written:  # Parquet files may have other groups of rows
        manifest["files"] = {name: of for name, of in manifest["files"].items() if name.endswith(".npy")}
    assert written[0] == written[1]
    assert not (folder / "own" / WORK).exists()
    return ours


QUICK = {"missing", "repeated header"}
SLOW = pytest.mark.slow


@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name in QUICK else SLOW) for name in FILES])
def test_files_of_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    text, options = FILES[name]
    monkeypatch.setattr(task_steps, "ROWS_A_PIECE", 3 if len(text) < 1000 else 3000)
    (tmp_path / "log.csv").write_bytes(text.encode("latin-1" if name == "latin" else "utf-8"))
    check(tmp_path / "log.csv", tmp_path, **options)


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLES)
def test_files_of_parquet(tmp_path: Path, name: str) -> None:
    changes, columns = TABLES[name]
    table = {"user": ["a", "b", "a", "c"], "item": [1, 2, 2, 3], **changes}
    polars.DataFrame(table).write_parquet(tmp_path / "log.parquet")
    check(tmp_path / "log.parquet", tmp_path, **({"columns": columns} if columns else {}))


def test_several_compressed_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ties of counts, missing ids, repeated rows, rare users and items, dates, and categories over all files."""
    monkeypatch.setattr(task_steps, "ROWS_A_PIECE", 400)
    rng = np.random.default_rng(1)
    lines = []
    for user, item, day in zip(
        rng.integers(90, size=900), rng.zipf(1.4, size=900), rng.integers(27, size=900), strict=True
    ):
        device = ["phone", "tv", "", "web"][rng.integers(4)]
        lines.append(f"{'NULL' if user == 7 else f'u{user}'},{min(item, 60)},2026-02-{day + 1:02}T00:00:00Z,{device}\n")
    lines += lines[100:200]
    for number in range(3):
        with gzip.open(tmp_path / f"{number}.csv.gz", "wt") as file:
            file.writelines(["user,item,time,device\n", *lines[number::3]])
    options = {"columns": ["device"], "min_item": 3, "min_user": 8, "partitions": 4}
    log = check(str(tmp_path / "*.csv.gz"), tmp_path, **options)
    assert set(log.dropped) == {"no user", "duplicate", "rare item", "rare user"}


def test_parquet_whose_files_have_other_types(tmp_path: Path) -> None:
    one = {"user": [1, 2, 1, 5], "item": ["x", "y", "y", None], "time": [1, 2, 1, 3], "w": [1, -2, 3, 4]}
    other = {
        "w": polars.Series([1, 2**64 - 1], dtype=polars.UInt64),
        "item": ["x", "z"],
        "time": [1.5, 2],
        "user": [3.0, None],
    }
    for number, table in enumerate((one, other)):
        polars.DataFrame(table).write_parquet(tmp_path / f"{number}.parquet")
    check(str(tmp_path / "*.parquet"), tmp_path, columns=["w"])
    assert OwnTasks.calls.count("read_rows") == 3  # four rows are more than a piece


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("user,item,time\na,x,1\nb,y,2\nc,y,2\nc,x,2\nd,y,soon\n", {"time": "time"}),
        ("user,item,time\na,x,2026-01-31\nb,y,2026-01-31\nc,y,2026-01-30\nc,x,never\n", {"time": "time"}),
        ("user,item,time\na,x,1769856669\na,y,1769856669\nb,x,1769856669\nb,y,1769856669277\n", {}),
        ("user,item,rating\na,x,1\nb,y,2\n", {"min_label": 5}),
        ("user,item\n", {}),
        ('user,item\na,x\nb,y,z,w\nc,"d\n', {}),
    ],
)
def test_errors_are_those_of_one_process(tmp_path: Path, text: str, options: dict[str, Any]) -> None:
    (tmp_path / "log.csv").write_text(text)
    said = []
    for engine in ("own", "duckdb"):
        with pytest.raises((ValueError, TypeError)) as error:
            prepare(tmp_path / "log.csv", tmp_path / engine, engine=engine, progress=False, **options)
        said.append(str(error.value))
    assert said[0] == said[1]


@pytest.mark.parametrize("most", [pytest.param(1, marks=SLOW), pytest.param(19, marks=SLOW), 22])
def test_goes_on_from_the_tasks_that_were_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    (tmp_path / "log.csv").write_text("user,item\n" + "".join(f"u{n % 5},i{n * n % 7}\n" for n in range(40)))
    options: dict[str, Any] = {"engine": "own", "partitions": 2, "min_user": 2, "progress": False}
    monkeypatch.setattr(task_steps, "ROWS_A_PIECE", 20)
    with monkeypatch.context() as patched:
        patched.setattr(OwnTasks, "most", most)
        with pytest.raises(KeyboardInterrupt):
            prepare(tmp_path / "log.csv", tmp_path / "parts", **options)
    assert OwnTasks.calls.pop() == "close"
    assert not (tmp_path / "parts" / "manifest.json").exists()
    prepare(tmp_path / "log.csv", tmp_path / "parts", **options)
    for heavy, tasks in {"read_rows": 1, "split_events": 2, "find_kept": 2, "write_files": 2}.items():
        assert OwnTasks.calls.count(heavy) == tasks
    theirs = Interactions.from_csv(tmp_path / "log.csv", min_user=2)
    assert Interactions.open(tmp_path / "parts").item_counts().tolist() == theirs.item_counts().tolist()


@pytest.mark.parametrize("engine", ["duckdb", "own"])
@pytest.mark.parametrize(("source", "folder"), [("s3://bucket/log.csv", "parts"), ("log.csv", "gs://bucket/parts")])
def test_addresses_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, folder: str, engine: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("log.csv").write_text("user,item\na,x\nb,y\n")
    with pytest.raises(ValueError, match=r"expected paths of files, got '(s3|gs)://"):
        prepare(source, folder, engine=engine, progress=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.csv"]
    assert not OwnTasks.calls


def test_machines_share_the_folder_and_the_version(tmp_path: Path) -> None:
    task = LogTask(piece_tasks.look, ())
    error, _ = perform(Workplace(str(tmp_path / "elsewhere"), None, 1, "1"), task)
    assert isinstance(error, FileNotFoundError)
    assert "does not see this folder" in str(error)
    error, _ = perform(Workplace(str(tmp_path), None, 1, "another"), task)
    assert "to have the same version of logq" in str(error)
    error, _ = perform(Workplace(str(tmp_path), "lots", 1, piece_tasks.version()), task)
    assert type(error).__name__ == "ParserException"  # which prepare() turns into one about memory


def test_what_a_task_needs_is_what_memory_says(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("user,item\na,x\nb,y\n")
    with pytest.raises(ValueError, match="memory: expected a size such as 700MB, got 'lots'"):
        prepare(tmp_path / "log.csv", tmp_path / "parts", engine="own", memory="lots", progress=False)
