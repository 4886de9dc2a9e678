"""How fast phrases are found and joined, beside gensim's Phrases, in one run.

    python benchmarks/words/phrases.py corpus.txt.gz
    python benchmarks/words/phrases.py corpus.txt --connectors --repeat 5

Both read the same plain file, cut into lines of at most 1,000 words, and write the joined text into another; each line
of the table is a process of its own, and all take turns. Seconds are those of the work, without imports. gensim reads
its LineSentence and joins by a FrozenPhrases, as its documentation advises; making that is part of finding. That both
find the same phrases is checked. Memory is the most that the whole process had, imports included, and that of it alone
which came after them. Needs gensim: pip install 'logq[bench]'; without it its lines are left out.
"""

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from corpus import prepare

sys.path.append(str(Path(__file__).resolve().parents[1]))
from machine import processor

OURS = """if True:
    from logq.text import ENGLISH_CONNECTOR_WORDS, Phrases, encode
    begin()
    found = Phrases(connector_words=ENGLISH_CONNECTOR_WORDS if connectors else ())
    with encode(source, min_count=1, threads={threads}, progress=False) as text:
        found.fit(text, progress=False)
        lap()
        found.transform(text).write(target, progress=False)
        lap()
    end(found.phrases)
"""

GENSIM = """if True:
    from gensim.models.phrases import ENGLISH_CONNECTOR_WORDS, Phrases
    from gensim.models.word2vec import LineSentence
    begin()
    found = Phrases(LineSentence(source), connector_words=ENGLISH_CONNECTOR_WORDS if connectors else ()).freeze()
    lap()
    with open(target, "w", encoding="utf-8") as file:
        for sentence in LineSentence(source):
            file.write(" ".join(found[sentence]) + "\\n")
    lap()
    end(found.phrasegrams)
"""

FRAME = """if True:
    import hashlib, json, resource, sys, time
    source, target, connectors = sys.argv[1], sys.argv[2], sys.argv[3] == "True"
    peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    times = []
    def lap():
        times.append([time.perf_counter(), time.process_time()])
    def begin():
        global before
        before = peak()
        lap()
    def end(phrases):
        digest = hashlib.sha256(json.dumps(sorted(phrases.items())).encode()).hexdigest()
        print(json.dumps([times, peak() - before, len(phrases), digest]))
"""


class Run(NamedTuple):
    """Seconds by the clock to find and to join, of processors for both, memory in MB, and what was found."""

    find: float
    join: float
    cpu: float
    peak: float
    grown: float
    phrases: int
    digest: str


def measure(code: str, source: Path, target: Path, connectors: bool) -> Run:
    """One process."""
    command = [sys.executable, "-c", FRAME + code, str(source), str(target), str(connectors)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        answer = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"a run ended with {process.returncode}")
    unit = 1e-6 * (1 if sys.platform == "darwin" else 1024)
    times, grown, phrases, digest = json.loads(answer)
    (begin, cpu_begin), (found, _), (joined, cpu_end) = times
    return Run(
        found - begin, joined - found, cpu_end - cpu_begin, usage.ru_maxrss * unit, grown * unit, phrases, digest
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, help="a text file, plain or .gz")
    parser.add_argument("--connectors", action="store_true", help="with English connector words inside of phrases")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each; the medians are shown (default 3)")
    options = parser.parse_args()
    codes = {f"logq, {n} thread{'s' * (n > 1)}": OURS.format(threads=n) for n in (1, 2)}
    if importlib.util.find_spec("gensim"):
        codes["gensim Phrases"] = GENSIM
    runs: dict[str, list[Run]] = {name: [] for name in codes}
    with tempfile.TemporaryDirectory(prefix="phrases-") as folder:
        corpus = prepare(options.corpus, Path(folder))
        targets = {name: Path(folder, f"{number}.txt") for number, name in enumerate(codes)}
        for _ in range(options.repeat):
            for name, code in codes.items():
                runs[name].append(measure(code, corpus.path, targets[name], options.connectors))
        texts = {target.read_bytes() for target in targets.values()}
    print(f"{time.strftime('%d %B %Y').lstrip('0')}, {processor()}, Python {sys.version.split()[0]}")
    print(f"{options.corpus.name}, {corpus.words:,} words, connector words: {options.connectors}")
    print(f"  {'':<18}{'find s':>9}{'join s':>9}{'both':>9}{'ratio':>8}{'of CPU':>9}{'MB':>8}{'without imports':>17}")
    first = None
    for name, measured in runs.items():
        find, join, seconds, peak, grown = (
            statistics.median(column) for column in list(zip(*measured, strict=True))[:5]
        )
        both = statistics.median(run.find + run.join for run in measured)
        first = first or both
        print(
            f"  {name:<18}{find:9.2f}{join:9.2f}{both:9.2f}{both / first:7.1f}x{seconds:9.2f}{peak:8.0f}{grown:17.0f}"
        )
    same = len({run.digest for measured in runs.values() for run in measured}) == 1
    number = next(iter(runs.values()))[0].phrases
    print(f"  {number:,} phrases; all found {'the same, with the same scores' if same else 'DIFFERENT ONES'};", end=" ")
    print("the joined texts are the same" if len(texts) == 1 else "THE JOINED TEXTS DIFFER")


if __name__ == "__main__":
    main()
