"""Other engines make the log that DuckDB makes: Spark and Ray, and the program of docs/large-logs.md with polars."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import polars
import pytest

import logq
from logq.logs import Interactions, check_partitions, prepare
from prepared_logs import assert_same

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


def run(engine: str, program: str, folder: Path) -> str:
    """Run a program in a Python that has the engine, with a few workers of it; return what it prints."""
    python = os.environ.get(f"LOGQ_{engine.upper()}_PYTHON")
    if not python:
        pytest.skip(f"LOGQ_{engine.upper()}_PYTHON does not name a Python that has {engine}")
    settings = "--master local[1] --conf spark.ui.enabled=false pyspark-shell"
    more = {"PYSPARK_SUBMIT_ARGS": settings, "SPARK_LOCAL_IP": "127.0.0.1", "RAY_USAGE_STATS_ENABLED": "0"}
    more["RAY_worker_niceness"] = "0"  # workers would wait for whatever else runs
    more["PYTHONPATH"] = str(Path(logq.__file__).parents[1])
    done = subprocess.run(
        [python, "-c", program], cwd=folder, env={**os.environ, **more}, capture_output=True, text=True, timeout=1800
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


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


OPTIONS: dict[str, Any] = {"partitions": 4, "min_item": 2, "min_user": 5}
PREPARE = f"""
from logq.logs import prepare
prepare("log/*.parquet", "parts", engine="ENGINE", progress=False, **{OPTIONS})
"""
# Sessions and clusters that were there before are used, and stay.
THERE = {
    "spark": """
from pyspark.sql import SparkSession
session = SparkSession.builder.appName("mine").getOrCreate()
session.sparkContext.pythonExec = __import__("sys").executable
PREPARE
session.sparkContext.setJobGroup("mine", "mine")
print(session.range(5).count())
""",
    "ray": """
import ray
ray.init(num_cpus=1, include_dashboard=False)
PREPARE
print(ray.get(ray.remote(lambda: 5).remote()))
""",
}


@pytest.mark.slow
@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("engine", ["spark", "ray"])
def test_clusters(engine: str, there: bool, log: Path, tmp_path: Path) -> None:
    program = THERE[engine].replace("PREPARE", PREPARE) if there else PREPARE
    printed = run(engine, program.replace("ENGINE", engine), tmp_path)
    assert printed.split() == (["5"] if there else [])
    prepare(str(log / "*.parquet"), tmp_path / "ours", progress=False, **OPTIONS)
    assert_same(Interactions.open(tmp_path / "parts"), Interactions.open(tmp_path / "ours"), to_the_bit=True)
    made = json.loads((tmp_path / "parts" / "manifest.json").read_text())["made"]["engine"]
    assert made.startswith(f"{engine} ")


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["spark", "ray"])
def test_errors_come_from_other_processes(engine: str, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("user,item,time\na,x,1\nb,y,2\nc,z,soon\n")
    program = """
from logq.cli import main
print(main("prepare log.csv -o parts --time time --engine ENGINE -q".split()))
"""
    printed = run(engine, f"import sys; sys.stderr = sys.stdout\n{program.replace('ENGINE', engine)}", tmp_path)
    assert "time: expected numbers, as the times before are, got 'soon' in row 3" in " ".join(printed.split())
    assert printed.endswith("2\n")
    assert not (tmp_path / "parts" / "manifest.json").exists()
