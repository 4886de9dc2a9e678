"""Bytes and seconds of a step with a sharded table, beside replicated tables, and beside torchrec.

    python benchmarks/distributed/bytes_and_times.py
    python benchmarks/distributed/bytes_and_times.py --torchrec VENV/bin/python -o table.md

Processes on one machine (gloo) train one task by each way in turns: B queries of each process, targets by Zipf's law,
S negatives that all share, row-wise Adagrad. Bytes are those that a process sends in a step. Those of the sharded table
are counted where they are sent, and compared with the formula; as root all of them are also read off the loopback
device of a network namespace of their own, headers of TCP included. torchrec runs in the same processes, which are of
the Python that is given: of a virtual environment that has it, and the same torch.
"""

import argparse
import ctypes
import fcntl
import json
import os
import socket
import statistics
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from formulas import Step
from machine import description, threads_and_turns

WAYS = ["sharded", "replicated, dense", "replicated, touched rows"]


def own_network() -> bool:
    """Move this process to a network namespace with a loopback device alone; False where it may not."""
    if os.geteuid() != 0 or ctypes.CDLL(None, use_errno=True).unshare(0x40000000) != 0:  # CLONE_NEWNET
        return False
    with socket.socket() as any_socket:  # ifreq with IFF_UP | IFF_RUNNING
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sH14x", b"lo", 0x1 | 0x40))
    return True


def measured(
    size: int,
    python: str | list[str],
    task: dict[str, Any],
    *,
    wire: bool = False,
    program: str = "worker.py",
    folder: str = "",
) -> dict[str, Any]:
    """What the first of some workers prints.

    Args:
        size: how many there are.
        python: that runs them, with what stands before it.
        task: what they do.
        wire: whether the loopback device is theirs alone.
        program: of the workers.
        folder: where they write, if they do.
    """
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    path = os.pathsep.join([str(HERE.parents[1] / "src"), os.environ.get("PYTHONPATH", "")])
    shared = {"WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    before = [python] if isinstance(python, str) else python
    words = [*before, str(HERE / program), json.dumps(task), *[folder] * bool(folder), *["--wire"] * wire]
    started = [
        subprocess.Popen(
            words,
            env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank), "PYTHONPATH": path},
            stdout=subprocess.PIPE if rank == 0 else subprocess.DEVNULL,
            text=True,
        )
        for rank in range(size)
    ]
    try:
        said, _ = started[0].communicate(timeout=3600)
        if any(each.wait(timeout=60) for each in started):
            raise SystemExit("a worker has failed")
    finally:
        for each in started:
            each.kill()
    return json.loads(said.strip().splitlines()[-1])


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, nargs="+", default=[2, 4], metavar="W")
    parser.add_argument("--classes", type=int, default=200_000, metavar="C")
    parser.add_argument("--dim", type=int, default=64, metavar="D")
    parser.add_argument("--batch", type=int, default=512, metavar="B", help="queries of each process")
    parser.add_argument("--num-sampled", type=int, default=1024, metavar="S", help="negatives of all together")
    parser.add_argument("--steps", type=int, default=4, help="of a turn")
    parser.add_argument("--repeat", type=int, default=7, help="turns that are counted")
    parser.add_argument("--torchrec", metavar="PYTHON", help="of an environment with torchrec")
    parser.add_argument("-o", "--output", type=Path)
    asked = parser.parse_args()
    wire = own_network()
    names = [*WAYS, *["torchrec, row-wise"] * bool(asked.torchrec)]
    about = {name: getattr(asked, name) for name in ("classes", "dim", "batch", "num_sampled", "steps", "repeat")}
    python = asked.torchrec or sys.executable
    versions = versions_of(python, ["torch", *["torchrec"] * bool(asked.torchrec)])
    lines = [
        description("benchmarks/distributed/bytes_and_times.py", versions, threads_and_turns(1, asked.repeat)),
        f"C = {asked.classes:,}, D = {asked.dim}, B = {asked.batch} a process, S = {asked.num_sampled:,}; gloo.",
        "",
    ]
    for size in asked.processes:
        found = measured(size, python, {**about, "ways": names}, wire=wire)
        lines += table(size, asked, found, names, wire)
    text = "\n".join(lines)
    print(text)
    if asked.output is not None:
        asked.output.write_text(text + "\n", encoding="utf-8")


def versions_of(python: str, names: list[str]) -> dict[str, str]:
    """The versions of packages in another environment."""
    code = f"from importlib.metadata import version; print(*map(version, {names!r}))"
    said = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout
    return dict(zip(names, said.split(), strict=True))


def table(size: int, asked: argparse.Namespace, found: dict[str, Any], names: list[str], wire: bool) -> list[str]:
    """The lines of one number of processes."""
    step = Step(size, found["foreign"], asked.num_sampled, asked.dim, asked.batch)
    touched = found["distinct"] + asked.num_sampled / size
    formula = {
        "sharded": step.rows,
        "replicated, dense": step.replicated(asked.classes),
        "replicated, touched rows": step.gathered(touched),
    }
    base, least = (statistics.median(found[key]["sharded"]) for key in ("seconds", "computed"))
    lines = [
        f"| {size} processes | bytes, formula | bytes, counted | bytes, on the wire | ms a step | CPU ms of a process "
        "| ms, against sharded | CPU, against sharded |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in names:
        took = found["seconds"][name]
        counted = f"{found['sent']:,.0f} ({found['sent'] / formula[name] - 1:+.1%})" if name == "sharded" else ""
        on_wire = f"{statistics.median(found['wire'][name]):,.0f}" if wire else ""
        times = f"{1e3 * statistics.median(took):.1f} ({1e3 * min(took):.1f} .. {1e3 * max(took):.1f})"
        told = f"{formula[name]:,.0f}" if name in formula else ""
        of_processor = statistics.median(found["computed"][name])
        cells = [name, told, counted, on_wire, times, f"{1e3 * of_processor:.1f}"]
        cells += [f"{statistics.median(took) / base:.2f} x", f"{of_processor / least:.2f} x"]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, "", f"Exchanges of a step of the sharded table: {found['exchanges']}.", ""]


if __name__ == "__main__":
    main()
