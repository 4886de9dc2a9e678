"""Cells of a benchmark: each a process of its own, whose answer is a line of JSON and may be kept for another run."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from machine import load

__all__ = ["answer", "run_cell"]


def run_cell(
    program: Path, request: dict[str, Any], title: str, *, threads: int, keep: Path | None = None
) -> dict[str, Any] | None:
    """What a program answers to a request, or None where it fails; what was kept of an earlier run is not run again."""
    kept = None
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        kept = keep / f"{hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()[:16]}.json"
        if kept.exists():
            return json.loads(kept.read_text())["found"]
    print(f"  [load {load()}] {title}", file=sys.stderr, flush=True)
    # Idle threads that spin would take the cores from whatever else runs.
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "passive"}
    done = subprocess.run(
        [sys.executable, str(program), json.dumps(request)], stdout=subprocess.PIPE, text=True, env=environment
    )
    if done.returncode:
        print(f"  {title}: failed", file=sys.stderr, flush=True)
        return None
    found = json.loads(done.stdout)
    if kept is not None:
        kept.write_text(json.dumps({"request": request, "found": found}, indent=1))
    return found


def answer(measure: Any) -> None:
    """The main function of such a program: what it measures goes out as JSON, and what libraries print does not."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    print(json.dumps(measure(json.loads(sys.argv[1]))), file=answers, flush=True)
