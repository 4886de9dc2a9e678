"""How fast `logq serve` answers many clients, and whether its memory grows.

    python benchmarks/serving.py model --rate 200
    python benchmarks/serving.py vectors --rate 200 --clients 64 --seconds 60
    python benchmarks/serving.py model --rate 200 --index model/index

The service is a process, the clients are another one: connections that stay open, of which each asks at fixed times,
whether or not it has its last answer late. A time is counted from when a question was due, so that a service that
stops for a while is not excused for the questions that came meanwhile. With --rate 0 each client asks again as soon as
it has its answer, which shows what the service can do at most.

Questions are random: of users of the log to /recommend, or of words to /neighbors, with k = 10. Printed are the rate
that was reached, the times by quantile, answers that were none (another status than 200, or a broken connection),
resident memory after a first second of questions, and at the end (VmRSS of Linux), seconds of the processor, and the
mean number of questions that were answered together.
"""

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

KINDS = 2000  # different questions
WARM = 1.0  # seconds before what is measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a folder of a recommender or of word vectors")
    parser.add_argument(
        "--rate", type=float, default=200.0, help="questions per second, of all clients; 0 for no limit"
    )
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--index", default=None, help="search in this index")
    parser.add_argument("--clients-of", default=None, help=argparse.SUPPRESS)  # the process of the clients
    given = parser.parse_args()
    if given.clients_of is not None:
        questions = json.load(sys.stdin)
        print(json.dumps(asyncio.run(ask_all(given.clients_of, questions, given))))
        return
    words = [sys.executable, "-m", "logq", "serve", str(given.model), "--port", "0"]
    words += ["--index", given.index] if given.index else []
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as service:
        assert service.stdout is not None
        said = iter(service.stdout)
        url = next(found[1] for found in (re.match(r"Listening on (\S+)", line) for line in said) if found)
        try:
            report(given, url, service.pid)
        finally:
            service.terminate()


def report(given: argparse.Namespace, url: str, pid: int) -> None:
    path, questions = questions_of(given.model)
    again = [sys.executable, __file__, *sys.argv[1:], "--clients-of", url.removeprefix("http://") + path]

    def run(*words: str) -> dict[str, Any]:
        done = subprocess.run([*again, *words], input=json.dumps(questions), capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    run("--seconds", str(WARM))
    before, began, batches = resident(pid), processor(pid), batches_of(url)
    told = run()
    after, took = resident(pid), processor(pid) - began
    count, rows = (now - then for now, then in zip(batches_of(url), batches, strict=True))
    numbers = {
        "questions": told["questions"],
        "per second": f"{told['questions'] / told['seconds']:.0f}",
        **{name: f"{told[name] * 1000:.1f}" for name in ("p50", "p90", "p99", "max")},
        "errors": told["errors"],
        "MB before": f"{before:.1f}",
        "MB after": f"{after:.1f}",
        "CPU s": f"{took:.1f}",
        "rows per batch": f"{rows / max(1, count):.1f}",
    }
    print(f"| {' | '.join(numbers)} |\n|{'---|' * len(numbers)}\n| {' | '.join(map(str, numbers.values()))} |")


def questions_of(folder: Path) -> tuple[str, list[dict[str, Any]]]:
    """Where to ask, and what."""
    import logq

    rng = np.random.default_rng(0)
    if (folder / "vectors.safetensors").exists():
        known = logq.KeyedVectors.load(folder).index_to_key
        return "/neighbors", [{"word": known[one], "k": 10} for one in rng.integers(0, len(known), KINDS).tolist()]
    users = logq.load(folder).user_ids
    return "/recommend", [{"user": one, "k": 10} for one in rng.choice(users, KINDS).tolist()]


async def ask_all(place: str, questions: Sequence[dict[str, Any]], given: argparse.Namespace) -> dict[str, Any]:
    """Ask as all clients at once."""
    address, _, path = place.partition("/")
    host, _, port = address.rpartition(":")
    requests = [request_of(f"/{path}", address, json.dumps(question).encode()) for question in questions]
    taken: list[float] = []
    errors = 0
    between = given.clients / given.rate if given.rate else 0.0
    start = time.perf_counter()

    async def client(number: int) -> None:
        nonlocal errors
        reader, writer = await asyncio.open_connection(host, int(port))
        due = start + between * number / given.clients
        place = number * len(requests) // given.clients
        while due < start + given.seconds:
            if (early := due - time.perf_counter()) > 0:
                await asyncio.sleep(early)
            writer.write(requests[place % len(requests)])
            try:
                good = await answer(reader)
            except (OSError, asyncio.IncompleteReadError, ValueError):
                good = False
                reader, writer = await asyncio.open_connection(host, int(port))
            errors += not good
            now = time.perf_counter()
            taken.append(now - due)
            due, place = (due + between if between else now), place + 1
        writer.close()

    await asyncio.gather(*(client(number) for number in range(given.clients)))
    seconds = time.perf_counter() - start
    quantiles = dict(zip(("p50", "p90", "p99", "max"), np.quantile(taken, [0.5, 0.9, 0.99, 1.0]).tolist(), strict=True))
    return {"questions": len(taken), "errors": errors, "seconds": seconds, **quantiles}


def request_of(path: str, host: str, body: bytes) -> bytes:
    lines = [f"POST {path} HTTP/1.1", f"Host: {host}", "Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def answer(reader: asyncio.StreamReader) -> bool:
    """Read an answer; whether it is one."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head)
    body = await reader.readexactly(int(length[1]) if length else 0)
    return head.startswith(b"HTTP/1.1 200 ") and body.endswith(b"}")


def batches_of(url: str) -> tuple[float, float]:
    """How many batches there were, and how many questions in all of them."""
    text = urllib.request.urlopen(f"{url}/metrics").read().decode()
    count, rows = (re.search(rf"^logq_batch_rows_{name} (\S+)$", text, re.M) for name in ("count", "sum"))
    return float(count[1]) if count else 0.0, float(rows[1]) if rows else 0.0


def resident(pid: int) -> float:
    """MB in memory now."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else float("nan")


def processor(pid: int) -> float:
    """Seconds of the processor until now."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
