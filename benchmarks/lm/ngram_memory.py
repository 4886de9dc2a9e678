"""N-grams of a text that is larger than memory: processor seconds and memory, beside lmplz of KenLM.

    python benchmarks/lm/long_text.py --data ../shared/data --words 100_000_000 -o text.txt
    python benchmarks/lm/ngram_memory.py text.txt --memory 1GB --lmplz /somewhere/lmplz --folder /somewhere/large

Each is a process of its own, from the text to the model: a folder on disk of ours, an ARPA file of lmplz (to /dev/null,
so that it is written as text but not stored). Printed are seconds of the processor (user and system) and of
the clock, and the largest resident memory as the system counted it (what VmHWM has).
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

OURS = """
import sys, time
from logq import NGram
model = NGram(int(sys.argv[2]), memory=sys.argv[3] if sys.argv[3] != "none" else None).fit(sys.argv[1], progress=False)
fitted = time.process_time()
model.save(sys.argv[4])
if len(sys.argv) > 5:
    model.to_arpa(sys.argv[5], progress=False)
print(model.metadata["ngrams"], round(fitted, 1))
"""


def run(command: list[str], folder: str) -> dict[str, Any]:
    """Run a command, and say what it took."""
    began = time.monotonic()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": folder}
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.DEVNULL, env=environment)
        _, status, used = os.wait4(process.pid, 0)
        said.seek(0)
        text = said.read().strip()
    if status:
        sys.exit(f"{command[0]}: failed with status {status}")
    return {
        "CPU s": round(used.ru_utime + used.ru_stime, 1),
        "of these system": round(used.ru_stime, 1),
        "clock s": round(time.monotonic() - began, 1),
        "peak MB": round(used.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6),
        "says": text,
    }


def main() -> None:
    """Measure, and print a line of JSON for each process."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0], formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("text", type=Path)
    parser.add_argument("--orders", type=int, nargs="+", default=[3, 5])
    parser.add_argument("--memory", default="1GB", help="of both; none counts ours in memory")
    parser.add_argument("--arpa", action="store_true", help="let ours write ARPA text to /dev/null too")
    parser.add_argument("--lmplz", type=Path, metavar="PATH", help="the program of KenLM")
    parser.add_argument("--skip-ours", action="store_true")
    parser.add_argument("--folder", type=Path, help="for temporary files and models")
    chosen = parser.parse_args()
    for order in chosen.orders:
        with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
            if not chosen.skip_ours:
                command = [sys.executable, "-c", OURS, str(chosen.text), str(order), chosen.memory, f"{folder}/model"]
                found = run(command + ["/dev/null"] * chosen.arpa, folder)
                print(json.dumps({"program": "logq", "order": order, **found}), flush=True)
            if chosen.lmplz is not None:
                size = chosen.memory.removesuffix("B")
                files = ["--text", str(chosen.text), "--arpa", "/dev/null", "-T", folder]
                found = run([str(chosen.lmplz), "-o", str(order), "-S", size, *files], folder)
                print(json.dumps({"program": "lmplz", "order": order, **found}), flush=True)


if __name__ == "__main__":
    main()
