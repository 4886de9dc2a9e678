"""How much memory and time a log of many events takes to prepare and to train from.

    python benchmarks/large_logs.py --events 100_000_000 --memory 1GB --folder /somewhere/large
    python benchmarks/large_logs.py --prepared /somewhere/parts --validation-users 1000

A synthetic log in Parquet is written piece by piece: users drawn alike, items by a log-uniform distribution, times that
rise with noise. Then `prepare` and some steps of a model run in a process each, with the train part of `leave_one_out`.
Printed are seconds of the clock and of the processor, and the largest resident memory of each process (VmHWM of Linux),
and that of an idle process that has imported the same; "own MB" is what of it is no page of a file (RssAnon, looked at
a hundred times a second).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import duckdb

PREPARE = """
from logq.logs import prepare
prepare(sys.argv[1], sys.argv[2], memory=sys.argv[3], threads=int(sys.argv[4]), progress=False if quiet else None)
"""

TRAIN = """
from logq.logs import Interactions, leave_one_out
from logq.recommenders import SASRec, YoutubeDNN

class Enough(Exception):
    pass

def enough(step):
    if step >= steps:
        raise Enough

name, dim, steps, users = sys.argv[2], *map(int, sys.argv[3:6])
settings = {"youtube-dnn": {"hidden": (64,)}, "sasrec": {"pretrain": 0, "epochs": 1}}[name]
model = {"youtube-dnn": YoutubeDNN, "sasrec": SASRec}[name](
    dim=dim, batch_size=512, num_sampled=1000, max_length=20, sparse=True, optimizer="adagrad", seed=1,
    validation_users=users or None, **settings)
model._on_batch = enough
log = Interactions.open(sys.argv[1])
try:
    model.fit(leave_one_out(log, validation=users > 0), progress=False)
except Enough:
    said["events"] = len(log)
"""

IDLE = """
import logq.recommenders.youtube_dnn
"""

AROUND = """
import json, os, sys, threading, time
quiet, said, began, own, done = {quiet}, {{}}, time.monotonic(), [0], threading.Event()
def watch():
    while not done.wait(0.01):
        with open("/proc/self/status") as status:
            own[0] = max(own[0], *(int(line.split()[1]) for line in status if line.startswith("RssAnon")))
watching = threading.Thread(target=watch)
watching.start()
try:
    exec({code!r})
finally:
    done.set()
    watching.join()
import resource
used = resource.getrusage(resource.RUSAGE_SELF)
said |= {{"MB": used.ru_maxrss // 1024, "own MB": own[0] // 1024, "seconds": round(time.monotonic() - began, 1)}}
said |= {{"CPU seconds": round(used.ru_utime + used.ru_stime, 1)}}
print(json.dumps(said))
"""


def synthetic_log(path: Path, events: int, users: int, items: int) -> None:
    """Write a log as Parquet, piece by piece; a few items have most of the events."""
    with duckdb.connect() as connection:
        connection.execute("SET memory_limit = '300MB'; SET threads = 1")
        drawn = f"""SELECT CAST(hash(i) % {users} AS BIGINT) AS "user",
            'item-' || CAST(floor(pow({items}, hash(i + 1) / 18446744073709551616.0)) AS BIGINT) AS item,
            1600000000 + i // 10 + hash(i + 2) % 100000 AS time FROM range({events}) t(i)"""
        connection.execute(f"COPY ({drawn}) TO '{path}' (FORMAT parquet)")


def run(code: str, *arguments: object, quiet: bool = True) -> dict[str, Any]:
    """Run a program in a process of its own, on one thread: its memory, its seconds, and what it says."""
    command = [sys.executable, "-c", AROUND.format(code=code, quiet=quiet), *map(str, arguments)]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure, and print one line of JSON for each process."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--memory", default="1GB")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--model", default="youtube-dnn", choices=["youtube-dnn", "sasrec"])
    parser.add_argument("--dim", type=int, default=32)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--validation-users", type=int, default=0, help="how many validate; 0 for no validation")
    parser.add_argument("--folder", type=Path, help="for some 60 bytes an event; a temporary one by default")
    parser.add_argument("--prepared", type=Path, help="a log that `prepare` made: only training is measured")
    chosen = parser.parse_args()
    if chosen.prepared is not None:
        return train(chosen.prepared, chosen)
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        file, parts = Path(folder, "log.parquet"), Path(folder, "parts")
        began = time.monotonic()
        synthetic_log(file, chosen.events, max(chosen.events // 20, 1), max(chosen.events // 100, 2))
        size = file.stat().st_size
        print(json.dumps({"log": f"{chosen.events:,} events, {size:,} bytes", "seconds": time.monotonic() - began}))
        print(
            json.dumps({"prepare": run(PREPARE, file, parts, chosen.memory, chosen.threads, quiet=False)}), flush=True
        )
        on_disk = sum(path.stat().st_size for path in parts.rglob("*") if path.is_file())
        print(json.dumps({"result": f"{on_disk / chosen.events:.1f} bytes an event"}))
        train(parts, chosen)


def train(parts: Path, chosen: argparse.Namespace) -> None:
    """Measure training from a prepared log, and a process that only imports."""
    print(json.dumps({"idle": run(IDLE)}))
    how = (chosen.model, chosen.dim, chosen.steps, chosen.validation_users)
    print(json.dumps({f"train {chosen.model}": run(TRAIN, parts, *how)}), flush=True)


if __name__ == "__main__":
    main()
