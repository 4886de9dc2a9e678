"""Every benchmark that can run here, in turn: what is missing is left out and named, a failure does not stop the rest.

    python benchmarks                              what needs no data, some 20 minutes; make bench does the same
    python benchmarks --data ../shared/data        also words, retrieval and lm, another 20 minutes
    python benchmarks --tensorflow ../tf/bin/python --rechub ../rechub/bin/python
    python benchmarks --only samplers losses --quick

The runs are shortened: each of these scripts has options for its whole tables, which take hours (python SCRIPT --help).
Exit status 1 if a benchmark failed, 0 if all that could run did.
"""

import argparse
import importlib.util
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent


class Benchmark(NamedTuple):
    """A command and what it needs.

    Args:
        name: what --only calls it.
        command: script and options.
        quick: options that try it out in about a minute.
        module: a library that it needs.
        data: a file or folder below --data that it needs; it stands for "{data}" in the command.
        peers: options of this program that it takes as well, each a Python with another library.
    """

    name: str
    command: tuple[str, ...]
    quick: tuple[str, ...] = ()
    module: str = ""
    data: str = ""
    peers: tuple[str, ...] = ()


BENCHMARKS = (
    Benchmark("samplers", ("samplers.py",), ("--scale", "0.01", "--repeat", "1"), peers=("tensorflow",)),
    Benchmark("prefetch", ("prefetch.py", "--turns", "3"), ("--scale", "0.01")),
    Benchmark("word2vec_quality", ("word2vec_quality.py", "--seeds", "1"), ("--epochs", "1"), module="gensim"),
    Benchmark(
        "losses",
        ("losses", "--repeat", "3", "--no-memory"),
        ("--scale", "0.01", "--repeat", "1", "--no-compiled"),
        peers=("tensorflow", "rechub"),
    ),
    Benchmark(
        "words",
        (
            "words",
            "{data}",
            "--dims",
            "100",
            "--threads",
            "1",
            "--models",
            "sg",
            "--repeat",
            "1",
            "--only",
            "logq",
            "gensim",
        ),
        module="gensim",
        data="text/enwiki-17m.txt.gz",
    ),
    Benchmark(
        "retrieval",
        ("retrieval", "ml-1m", "--data", "{data}", "--seeds", "1", "--only", "Popularity", "ItemKNN", "YoutubeDNN"),
        ("--epochs", "1"),
        module="polars",
        data="logs",
    ),
    Benchmark("large-logs", ("large_logs.py",), ("--events", "100_000", "--steps", "20"), module="duckdb"),
    Benchmark("lm-ngrams", ("lm", "ngrams", "--data", "{data}"), data="text"),
    Benchmark(
        "lm",
        ("lm", "ptb", "--data", "{data}", "--seeds", "1", "--epochs", "1", "--only", "sampled softmax"),
        data="text",
    ),
)


def missing(benchmark: Benchmark, data: Path | None) -> str:
    """Why a benchmark cannot run here, or ""."""
    if benchmark.module and importlib.util.find_spec(benchmark.module) is None:
        return f"{benchmark.module} is not installed"
    if benchmark.data and data is None:
        return f"it needs {benchmark.data}: name the folder that has it with --data (make bench DATA=DIR)"
    if benchmark.data and data is not None and not (data / benchmark.data).exists():
        return f"there is no {data / benchmark.data}"
    return ""


def command_of(benchmark: Benchmark, options: argparse.Namespace) -> list[str]:
    """What is run, with paths in place."""
    place = ""
    if benchmark.data:
        # Scripts that take --data find their own files below it; a corpus is named itself.
        place = str(options.data / benchmark.data if benchmark.name == "words" else options.data)
        if benchmark.name == "retrieval":
            place = str(options.data / benchmark.data)
    words = [word.format(data=place) for word in benchmark.command]
    words += benchmark.quick if options.quick else ()
    for peer in benchmark.peers:
        if getattr(options, peer):
            words += [f"--{peer}", getattr(options, peer)]
    return [sys.executable, str(HERE / words[0]), *words[1:]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run them, and tell at the end what ran, what was left out and what failed."""
    parser = argparse.ArgumentParser(
        prog="python benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [benchmark.name for benchmark in BENCHMARKS]
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder with text/ and logs/")
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--quick", action="store_true", help="small sizes: only to see that everything runs")
    parser.add_argument("--tensorflow", metavar="PYTHON", help="a Python that has tensorflow")
    parser.add_argument("--rechub", metavar="PYTHON", help="a Python that has torch-rechub")
    options = parser.parse_args(arguments)
    told: list[str] = []
    failed = 0
    for benchmark in BENCHMARKS:
        if benchmark.name not in options.only:
            continue
        reason = missing(benchmark, options.data)
        if reason:
            told.append(f"{benchmark.name}: left out, {reason}")
            print(f"==> {told[-1]}", flush=True)
            continue
        words = command_of(benchmark, options)
        print(f"==> {shlex.join(words[1:])}", flush=True)
        for peer in benchmark.peers:
            if not getattr(options, peer):
                told.append(f"{benchmark.name}: without {peer}, name a Python that has it with --{peer}")
        began = time.monotonic()
        code = subprocess.run(words, check=False).returncode
        failed += code != 0
        result = "done" if code == 0 else f"FAILED with status {code}"
        told.append(f"{benchmark.name}: {result} after {time.monotonic() - began:.0f} s")
    print("==> Summary", *told, sep="\n    ")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
