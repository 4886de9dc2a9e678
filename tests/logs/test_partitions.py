"""What is said of prepared logs that are damaged, changed or break the contract; and preparations that were stopped."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars
import pytest

from logq.logs import Interactions, check_partitions, prepare
from logq.logs.duckdb_steps import DuckDBSteps
from logq.logs.prepare_log import WORK

pytest.importorskip("duckdb")

TEXT = "user,item,time\n" + "".join(f"u{n % 7},i{n * n % 5},{1000 - n}\n" for n in range(60))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("log")
    (home / "log.csv").write_text(TEXT)
    prepare(home / "log.csv", home / "parts", partitions=2, progress=False)
    return home / "parts"


@pytest.fixture
def parts(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "parts"))


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 5)


def changed(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize(
    ("damage", "name", "said"),
    [
        (cut, "mapped/items.npy", "expected .* bytes.*truncated"),
        (changed, "mapped/timestamps.npy", "was changed"),
        (os.unlink, "mapped/users.npy", "is missing"),
        (os.unlink, "manifest.json", "logq prepare"),
    ],
)
def test_damaged_arrays_are_named(parts: Path, damage: Callable[[Path], None], name: str, said: str) -> None:
    damage(parts / name)
    with pytest.raises((ValueError, FileNotFoundError), match=said) as caught:
        Interactions.open(parts)
    assert str(parts / name) in str(caught.value) or name == "manifest.json"


@pytest.mark.parametrize(("damage", "said"), [(cut, "truncated"), (changed, "was changed")])
def test_damaged_partitions_are_found_by_a_check(parts: Path, damage: Callable[[Path], None], said: str) -> None:
    damage(parts / "part-00001.parquet")
    with pytest.raises(ValueError, match=f"part-00001.parquet: .*{said}"):
        check_partitions(parts, progress=False)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "manifest.json: is damaged"),
        ('{"format": "logq.partitions", "version": 9}', "expected logq.partitions of version 1, got .* 9"),
        ('{"format": "logq.partitions", "version": 1}', "manifest.json: is damaged"),
    ],
)
def test_other_manifests_are_refused(parts: Path, text: str, said: str) -> None:
    (parts / "manifest.json").write_text(text)
    with pytest.raises(ValueError, match=said):
        Interactions.open(parts)


def written_by_another(folder: Path, **changes: Any) -> Path:
    """A log by the contract, as another engine would write it, with changes in some of its tables."""
    folder.mkdir()
    tables: dict[str, dict[str, list[Any]]] = {
        "users": {"user": ["ann", "bob", "cem"], "code": [0, 1, 2], "count": [2, 1, 2]},
        "items": {"item": [7, 5], "code": [0, 1], "count": [3, 2]},
        "part-00000": {"user": [0, 0, 1], "item": [0, 1, 0], "time": [1, 2, 1]},
        "part-00001": {"user": [2, 2], "item": [1, 0], "time": [5, 5]},
    }
    for name, table in tables.items():
        table |= changes.get(name.replace("-", "_"), {})
        polars.DataFrame({key: value for key, value in table.items() if value}).write_parquet(
            folder / f"{name}.parquet"
        )
    return folder


def test_finishes_what_another_engine_wrote(tmp_path: Path) -> None:
    folder = written_by_another(tmp_path / "parts")
    check_partitions(folder, progress=False)
    log = Interactions.open(folder)
    rows = zip(log.user_ids.keys_of(log.users).tolist(), log.item_ids.keys_of(log.items).tolist(), strict=True)
    assert list(rows) == [("ann", 7), ("ann", 5), ("bob", 7), ("cem", 5), ("cem", 7)]
    assert log.mapped is not None
    assert log.mapped.bounds.tolist() == [0, 3, 5]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"users": {"code": [0, 2, 1]}}, "users.parquet: expected codes 0, 1, 2, ..., got 2 in row 1"),
        ({"users": {"user": ["ann", "ann", "cem"]}}, "users.parquet: expected 3 different users, got 2"),
        (
            {"users": {"user": ["ann", None, "cem"]}},
            "users.parquet: expected a value in each row of 'user', got none in row 1",
        ),
        ({"users": {"user": ["ann", "", "cem"]}}, "users.parquet: expected text that does not end in a zero"),
        ({"users": {"user": ["ann", "ann\0", "cem"]}}, "users.parquet: expected text that does not end in a zero"),
        ({"items": {"item": [7, 7]}}, "items.parquet: expected 2 different items, got 1"),
        (
            {
                "part_00000": {"label": [1.0, float("nan"), 2.0]},
                "part_00001": {"label": [1.0, 2.0]},
            },
            "part-00000.parquet: expected labels in all rows, got nan in row 1",
        ),
        ({"users": {"count": []}}, "users.parquet: expected a column 'count'"),
        ({"items": {"count": [2, 3]}}, "items.parquet: expected counts that fall from code to code, got 3 in row 1"),
        ({"items": {"count": [3, 0]}}, "items.parquet: expected counts above 0, got 0 in row 1"),
        ({"items": {"count": [4, 1]}}, "items.parquet: expected counts as the parts have"),
        ({"items": {"item": [1.5, 2.5]}}, "items.parquet: expected integers or text in the column 'item', got DOUBLE"),
        (
            {"part_00000": {"item": [0, 2, 0]}},
            r"part-00000.parquet: expected codes of 'item' in \[0, 2\), got 2 in row 1",
        ),
        ({"part_00000": {"user": [0, 1, 0]}}, "part-00000.parquet: expected users in order.*, got 1 in row 1"),
        ({"part_00000": {"time": [2, 1, 1]}}, "part-00000.parquet: expected the events of a user in the order of time"),
        (
            {"part_00001": {"item": [1, None]}},
            "part-00001.parquet: expected a value in each row of 'item', got none in row 1",
        ),
        ({"part_00001": {"time": []}}, "part-00001.parquet: expected columns"),
        ({"part_00001": {"user": [2, 2, 2], "item": [0, 1, 0], "time": [5, 5, 5]}}, "part-00001.parquet: expected"),
    ],
)
def test_says_what_breaks_the_contract(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    folder = written_by_another(tmp_path / "parts", **changes)
    with pytest.raises(ValueError, match=said):
        check_partitions(folder, progress=False)
    assert not (folder / "manifest.json").exists()


def test_a_folder_that_another_program_writes_to_is_not_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from logq.logs import partition_contract

    folder = written_by_another(tmp_path / "parts")
    real = partition_contract.digest_of_file

    def digest(path: Path) -> str:
        shutil.copy(folder / "part-00001.parquet", folder / "part-00002.parquet")
        return real(path)

    with monkeypatch.context() as patched:
        patched.setattr(partition_contract, "digest_of_file", digest)
        with pytest.raises(ValueError, match=r"part-00002.parquet: was changed while it was checked"):
            check_partitions(folder, progress=False)
    assert not (folder / "manifest.json").exists()


def test_files_of_others_are_kept(parts: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text(TEXT)
    (parts / "mine.parquet").write_bytes(b"mine")
    prepare(log, parts, overwrite=True, partitions=1, progress=False)
    assert (parts / "mine.parquet").read_bytes() == b"mine"
    assert not (parts / "part-00001.parquet").exists()
    (parts / "manifest.json").unlink()
    with pytest.raises(FileExistsError, match="is there already"):
        prepare(log, parts, progress=False)
    polars.read_csv(log).write_parquet(tmp_path / "log.parquet")
    with pytest.raises(ValueError, match="another folder than that of the log"):
        prepare(tmp_path / "log.parquet", tmp_path, overwrite=True, progress=False)
    assert (tmp_path / "log.parquet").exists()


def test_a_log_that_grows_while_it_is_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from logq.logs import preparation

    log, real = tmp_path / "log.csv", preparation.raw_log
    log.write_text(TEXT)

    def raw_log(*arguments: Any) -> Any:
        log.write_text(TEXT + "new,i1,5\n")
        return real(*arguments)

    monkeypatch.setattr(preparation, "raw_log", raw_log)
    with pytest.raises(ValueError, match=r"log.csv: was changed while it was read"):
        prepare(log, tmp_path / "parts", progress=False)


@pytest.mark.parametrize(
    "options", [{"min_item": 0}, {"min_user": "x"}, {"min_label": "x"}, {"deduplicate": "x"}, {"memory": 5}]
)
def test_options_are_checked_before_work(tmp_path: Path, options: dict[str, Any]) -> None:
    (tmp_path / "log.csv").write_text(TEXT)
    with pytest.raises((ValueError, TypeError), match=next(iter(options))):
        prepare(tmp_path / "log.csv", tmp_path / "parts", progress=False, **options)
    assert not (tmp_path / "parts").exists()


@pytest.mark.parametrize("names", [["w", "W"], ["Time"], ["file_row_number"]])
def test_names_that_files_cannot_tell_apart_are_refused(tmp_path: Path, names: list[str]) -> None:
    (tmp_path / "log.csv").write_text("user,item,w,W,Time,file_row_number\na,x,1,2,3,4\nb,y,1,2,3,4\n")
    with pytest.raises(ValueError, match="columns: expected names"):
        prepare(tmp_path / "log.csv", tmp_path / "parts", time=False, columns=names, progress=False)


def test_a_missing_part_is_found(tmp_path: Path) -> None:
    folder = written_by_another(tmp_path / "parts")
    (folder / "part-00001.parquet").unlink()
    with pytest.raises(ValueError, match=r"expected 5 events, as .* says, got 3"):
        check_partitions(folder, progress=False)
    (folder / "part-00000.parquet").unlink()
    with pytest.raises(FileNotFoundError, match=r"part-\*.parquet"):
        check_partitions(folder, progress=False)


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        (
            "user,item,time\na,x,soon\nb,y,1\n",
            {"time": "time"},
            "time: expected numbers or dates.*, got 'soon'.*log.csv",
        ),
        ("user,item,time\na,x,1\nb,y,soon\n", {"time": "time"}, "time: .*'soon' in row 2.*log.csv"),
        ("user,item,time\na,x,2026-01-31\nb,y,31.1.2026\n", {}, "time: .*'31.1.2026' in row 2.*log.csv"),
        ("user,item,time\na,x,1/2/2026\nb,y,3/4/2026\n", {}, "time: .*told apart.*log.csv"),
        ("user,item\na,x\nb,y\n", {"time": "when"}, "time: expected one of the columns 'user', 'item', got 'when'"),
        ("user,item\na,x\nb,y\n", {"columns": ["w"]}, "columns: expected some of 'user', 'item', got 'w'"),
        ("user,item,w\na,x,1\nb,y,few\n", {"columns": {"w": "number"}}, "expected numbers, got 'few' in row 2"),
        ("user,item\na,x\nb,x\n", {}, "log: expected at least two different items, got only 'x'"),
        ("user,item\na,1.5\nb,2.5\n", {}, "items: expected integers or strings, got 1.5"),
        ("", {}, "log.csv: expected one event per line, the file is empty"),
        ("user,item\na,x\nb,y,z,w\n", {}, "log.csv: cannot be read as a table"),
    ],
)
def test_bad_logs_are_named(tmp_path: Path, text: str, options: dict[str, Any], said: str) -> None:
    (tmp_path / "log.csv").write_text(text)
    with pytest.raises((ValueError, TypeError), match=said):
        prepare(tmp_path / "log.csv", tmp_path / "parts", progress=False, **options)
    assert not (tmp_path / "parts" / "manifest.json").exists()


def test_files_of_other_columns_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("user,item\na,x\nb,y\n")
    (tmp_path / "b.csv").write_text("user,thing\na,x\nb,y\n")
    with pytest.raises(ValueError, match=r"b.csv: expected the columns of .*a.csv"):
        prepare([tmp_path / "a.csv", tmp_path / "b.csv"], tmp_path / "parts", progress=False)


@pytest.mark.parametrize("step", ["items", "coded", "files"])
def test_goes_on_where_it_was_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    file, folder = tmp_path / "log.csv", tmp_path / "parts"
    file.write_text(TEXT)

    def stop(self: DuckDBSteps) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(DuckDBSteps, f"_make_{step}", stop)
        with pytest.raises(KeyboardInterrupt):
            prepare(file, folder, progress=False)
    assert not (folder / "manifest.json").exists()
    with monkeypatch.context() as patched:
        patched.setattr(DuckDBSteps, "_make_rows", stop)  # is not done again
        prepare(file, folder, progress=False)
    theirs = Interactions.from_csv(file)
    ours = Interactions.open(folder)
    np.testing.assert_array_equal(ours.items, theirs.items)
    assert list(ours.notes) == list(theirs.notes)
    assert not (folder / WORK).exists()


@pytest.mark.parametrize("moved", [0, 1, 3, 4])
def test_goes_on_when_files_were_being_moved(
    parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moved: int
) -> None:
    file = tmp_path / "log.csv"
    file.write_text(TEXT + "new,i1,5\n")
    left = [moved]
    real = os.replace

    def replace(source: Path, target: Path) -> None:
        if Path(target).parent == parts:
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
        real(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", replace)
        with pytest.raises(KeyboardInterrupt):
            prepare(file, parts, overwrite=True, progress=False)
    assert not (parts / "manifest.json").exists()
    prepare(file, parts, overwrite=True, progress=False)
    np.testing.assert_array_equal(Interactions.open(parts).items, Interactions.from_csv(file).items)
    check_partitions(parts, progress=False)


def test_starts_anew_where_the_log_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, folder = tmp_path / "log.csv", tmp_path / "parts"
    file.write_text(TEXT)
    with monkeypatch.context() as patched:
        patched.setattr(DuckDBSteps, "_make_coded", lambda self: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            prepare(file, folder, progress=False)
    file.write_text(TEXT + "new,i1,5\n")
    prepare(file, folder, progress=False)
    assert len(Interactions.open(folder)) == len(Interactions.from_csv(file))


def test_replaces_a_log_only_when_asked(parts: Path, tmp_path: Path) -> None:
    before = Interactions.open(parts)
    (tmp_path / "log.csv").write_text(TEXT + "new,i1,5\n")
    with pytest.raises(FileExistsError, match="overwrite"):
        prepare(tmp_path / "log.csv", parts, progress=False)
    prepare(tmp_path / "log.csv", parts, overwrite=True, progress=False)
    assert len(Interactions.open(parts)) == len(before) + 1
    assert not (parts / "part-00001.parquet").exists()
    assert before.items[0] >= 0  # who has the old one open keeps it


@pytest.mark.parametrize(("engine", "error"), [("spark", ModuleNotFoundError), ("hadoop", ValueError)])
def test_other_engines_are_named(tmp_path: Path, engine: str, error: type[Exception]) -> None:
    with pytest.raises(error, match=engine):
        prepare("log.csv", tmp_path, engine=engine)


def test_the_manifest_says_what_is_there(made: Path) -> None:
    found = json.loads((made / "manifest.json").read_text())
    assert (found["events"], found["users"], found["items"]) == (60, 7, 3)
    assert [part["file"] for part in found["partitions"]] == ["part-00000.parquet", "part-00001.parquet"]
    assert sum(part["rows"] for part in found["partitions"]) == 60
    assert found["made"]["source"] == [{"file": "log.csv", "bytes": len(TEXT)}]
    names = {str(path.relative_to(made)) for path in made.rglob("*") if path.is_file()}
    assert names == {"manifest.json", *found["files"]}
