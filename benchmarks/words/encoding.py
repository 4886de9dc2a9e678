"""How fast text becomes a vocabulary and ids, beside what other programs do before they train, in one run.

    python benchmarks/words/encoding.py corpus.txt.gz
    python benchmarks/words/encoding.py corpus.txt --repeat 7 --word2vec path/to/word2vec

Each line is a process of its own, and all take turns. Seconds are those of the work, without imports; memory is the
most that the whole process had, imports included, and that of it alone which came after them. gensim's scan and Counter
only count words; gensim goes through text again in every epoch, where training on ids reads 4 bytes per word.
word2vec.c (its reading of the vocabulary, from a binary built by you) reads plain files only. Needs gensim: pip install
'logq[bench]'; without it that line is left out.
"""

import argparse
import gzip
import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

CODE = """if True:
    import json, os, resource, sys, time
    {imports}
    path = sys.argv[1]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start, cpu = time.perf_counter(), time.process_time()
    {work}
    times = [time.perf_counter() - start, time.process_time() - cpu]
    print(json.dumps([*times, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before]))
"""

COUNT = """if True:
    import sys
    from logq.text import count_words
    counted = count_words(sys.argv[1])
    print(counted.vocabulary.raw_words, counted.num_types, len(counted.vocabulary))
"""


class Contestant(NamedTuple):
    """What to run: Python lines, or a command that {path} is put into."""

    name: str
    imports: str = ""
    work: str = ""
    command: tuple[str, ...] = ()


class Run(NamedTuple):
    """Seconds by the clock and of processors, and memory in MB, in all and without imports (nan where not known)."""

    wall: float
    cpu: float
    peak: float
    grown: float


def contestants(word2vec: str | None) -> list[Contestant]:
    """Ours first."""
    found = [
        Contestant(
            f"logq {call}, {threads} thread{'s' * (threads > 1)}",
            f"from logq.text import {call}",
            f"{call}(path, threads={threads}, progress=False)",
        )
        for call in ("encode", "count_words")
        for threads in (1, 2)
    ]
    if importlib.util.find_spec("gensim"):
        found.append(
            Contestant(
                "gensim build_vocab(LineSentence)",
                "from gensim.models import Word2Vec; from gensim.models.word2vec import LineSentence",
                "Word2Vec(vector_size=1, min_count=5).build_vocab(LineSentence(path))",
            )
        )
    found.append(
        Contestant(
            "Counter of lines.split()",
            "import gzip; from collections import Counter; lines = gzip.open if sys.argv[1].endswith('.gz') else open",
            "count = Counter(); [count.update(line.split()) for line in lines(path, 'rt', encoding='utf-8')]",
        )
    )
    if word2vec:
        command = (word2vec, "-train", "{path}", "-save-vocab", os.devnull, "-min-count", "5", "-debug", "0")
        found.append(Contestant("word2vec.c, its vocabulary", command=command))
    return found


def measure(contestant: Contestant, path: Path) -> Run:
    """One process."""
    if contestant.command:
        command = [part.format(path=path) for part in contestant.command]
    else:
        command = [sys.executable, "-c", CODE.format(imports=contestant.imports, work=contestant.work), str(path)]
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        answer = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - start
    if process.returncode:
        sys.exit(f"{contestant.name} ended with {process.returncode}")
    unit = 1e-6 * (1 if sys.platform == "darwin" else 1024)
    if contestant.command:
        return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit, float("nan"))
    seconds, cpu, grown = json.loads(answer)
    return Run(seconds, cpu, usage.ru_maxrss * unit, grown * unit)


def show(path: Path, words: int, runs: dict[str, list[Run]]) -> None:
    """A table of medians."""
    print(f"\n{path.name}, {words:,} words")
    print(f"  {'':<34}{'seconds':>9}{'of CPU':>9}{'M words/s':>11}{'ratio':>8}{'MB':>7}{'without imports':>17}")
    first = None
    for name, measured in runs.items():
        wall, cpu, peak, grown = (statistics.median(column) for column in zip(*measured, strict=True))
        first = first or wall
        alone = "" if grown != grown else f"{grown:.0f}"
        print(f"  {name:<34}{wall:9.2f}{cpu:9.2f}{words / wall / 1e6:11.2f}{wall / first:7.1f}x{peak:7.0f}{alone:>17}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, help="a text file, plain or .gz; of a .gz file both forms are measured")
    parser.add_argument(
        "--repeat", type=int, default=3, help="measurements of each line, the median counts (default 3)"
    )
    parser.add_argument("--word2vec", metavar="BINARY", help="word2vec.c, compiled")
    options = parser.parse_args()
    # Not counted here: a process that is started from a large one is taken to be as large.
    command = [sys.executable, "-c", COUNT, str(options.corpus)]
    words, types, frequent = map(int, subprocess.check_output(command, text=True).split())
    print(f"{types:,} different words, {frequent:,} of them at least 5 times")
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} cores, median of {options.repeat}")
    with tempfile.TemporaryDirectory() as folder:
        paths = [options.corpus]
        if options.corpus.suffix == ".gz":
            paths.append(Path(folder, options.corpus.stem))
            with gzip.open(options.corpus) as packed, open(paths[-1], "wb") as plain:
                shutil.copyfileobj(packed, plain)
        for path in paths:
            lines = [each for each in contestants(options.word2vec) if not (each.command and path.suffix == ".gz")]
            runs: dict[str, list[Run]] = {each.name: [] for each in lines}
            for _ in range(options.repeat):
                for each in lines:
                    runs[each.name].append(measure(each, path))
            show(path, words, runs)


if __name__ == "__main__":
    main()
