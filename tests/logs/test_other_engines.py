"""The programs for other engines in docs/large-logs.md, whose logs are those that DuckDB prepares."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import polars
import pytest

from logq.logs import Interactions, check_partitions, prepare

pytest.importorskip("duckdb")

PAGE = Path(__file__).parents[2] / "docs" / "large-logs.md"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Three files, with equal times, rows that repeat others, a missing item, and many items of one count."""
    rng = np.random.default_rng(1)
    table = polars.DataFrame(
        {
            "user": [f"u{number}" for number in rng.integers(40, size=1200)],
            "item": [f"i{number}" for number in np.minimum(rng.zipf(1.3, size=1200), 90)],
            "time": rng.integers(60, size=1200),
        }
    )
    table = polars.concat([table, table[:50], polars.DataFrame({"user": ["u1"], "item": [None], "time": [5]})])
    (tmp_path / "log").mkdir()
    for number in range(3):
        table[number * 450 : (number + 1) * 450].write_parquet(tmp_path / "log" / f"{number}.parquet")
    return tmp_path / "log"


def run(engine: str, needle: str, folder: Path, replaced: dict[str, str]) -> None:
    """Run the program of the page that has a word in it, with other places and few partitions."""
    python = os.environ.get(f"LOGQ_{engine.upper()}_PYTHON")
    if not python:
        pytest.skip(f"LOGQ_{engine.upper()}_PYTHON does not name a Python that has {engine}")
    (program,) = (text for text in re.findall(r"```py\n(.*?)```", PAGE.read_text(), re.DOTALL) if needle in text)
    for old, new in {"PARTITIONS = 1024": "PARTITIONS = 4", **replaced}.items():
        assert old in program
        program = program.replace(old, new)
    settings = "--master local[1] --conf spark.sql.shuffle.partitions=4 --conf spark.ui.enabled=false pyspark-shell"
    more = {"PYSPARK_SUBMIT_ARGS": settings, "SPARK_LOCAL_IP": "127.0.0.1", "RAY_USAGE_STATS_ENABLED": "0"}
    more["RAY_worker_niceness"] = "0"  # workers would wait for whatever else runs
    subprocess.run([python, "-c", program], cwd=folder, env={**os.environ, **more}, check=True, timeout=900)


def events_of(log: Interactions) -> dict[Any, list[tuple[Any, ...]]]:
    assert log.timestamps is not None
    rows = list(zip(log.item_ids.keys_of(log.items).tolist(), log.timestamps.tolist(), strict=True))
    return {
        user: rows[log.offsets[code] : log.offsets[code + 1]] for code, user in enumerate(log.user_ids.keys.tolist())
    }


def check(parts: Path, log: Path) -> None:
    check_partitions(parts, progress=False)
    prepare(str(log / "*.parquet"), log.parent / "ours", partitions=4, progress=False)
    theirs, ours = Interactions.open(parts), Interactions.open(log.parent / "ours")
    assert theirs.item_ids.keys.tolist() == ours.item_ids.keys.tolist()
    assert theirs.item_counts().tolist() == ours.item_counts().tolist()
    assert events_of(theirs) == events_of(ours)


def test_polars(log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (program,) = (
        text for text in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL) if "by-polars" in text
    )
    polars.concat(list(map(polars.read_parquet, sorted(log.glob("*.parquet"))))).write_csv(tmp_path / "events.csv")
    monkeypatch.chdir(tmp_path)
    exec(program, {"Path": Path, "Interactions": Interactions})
    check(tmp_path / "by-polars", log)


@pytest.mark.slow
def test_spark(log: Path, tmp_path: Path) -> None:
    run("spark", "pyspark", tmp_path, {"s3://log/": f"{log}/"})
    parts = tmp_path / "parts"
    parts.mkdir()
    for file in (tmp_path / "out" / "events").glob("part-*.parquet"):
        shutil.move(file, parts)
    for side in ("users", "items"):
        (file,) = (tmp_path / "out" / side).glob("part-*.parquet")
        shutil.move(file, parts / f"{side}.parquet")
    check(parts, log)


@pytest.mark.slow
def test_ray(log: Path, tmp_path: Path) -> None:
    parts = tmp_path / "parts"
    parts.mkdir()
    few = "import ray\nray.data.DataContext.get_current().default_hash_shuffle_parallelism = 2\n"
    run("ray", "import ray", tmp_path, {"/shared/log": str(log), "/shared/parts": str(parts), "import ray\n": few})
    check(parts, log)
