"""Word2vec by several processes under torchrun against one process: quality, bytes sent for each word, and speed.

    python benchmarks/words/processes.py corpus.txt.gz --similarity EN-WS-353-ALL.txt --analogies questions-words.txt
    python benchmarks/words/processes.py corpus.txt.gz --words 5000000 --processes 1 4 --rules damped sum mean combined
    python benchmarks/words/processes.py corpus.txt.gz --words 2000000 --subwords --similarity EN-*.txt

Runs with one process and several seeds tell the noise that several processes have to stay within. `--rules` compares
ways to put together what processes have moved a row by: `damped`, which logq takes; their `sum`; their `mean`; the
`combined` moves of GraphWord2Vec, of which each adds the part that is orthogonal to those before. Every run is a
process of its own, or as many as it needs, which may take turns on one core: speed is that of this machine, and what
is sent is what a network would carry. With `--subwords` a fifth of the words of the test sets is taken out of the text
first, as in subwords.py: the pairs that they are in are those of unknown words, compared by n-grams alone.
"""

import argparse
import itertools
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from corpus import Corpus, prepare
from subwords import held_out, read_sets, write_text
from subwords import scores as scores_with_unknown

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))
from machine import description

RULES = ("damped", "sum", "mean", "combined")


def train(request: dict[str, Any]) -> None:
    """Train in this process, one of several or not, and tell what was measured."""
    from logq import Word2Vec
    from logq.processes import traffic, world
    from logq.word2vec import joint_run
    from logq.word2vec.replicas import Replica

    for name, value in request["constants"].items():
        setattr(joint_run, name, value)
    if request["rule"] != "damped":
        Replica._combined = {"sum": add, "mean": average, "combined": orthogonal}[request["rule"]]
    began = time.perf_counter()
    model = Word2Vec(**request["settings"])
    with traffic() as sent:
        model.fit(request["corpus"], progress=False)
    used = resource.getrusage(resource.RUSAGE_SELF)
    told = {
        "bytes": sent.bytes_sent,
        "messages": sent.messages,
        "seconds": time.perf_counter() - began,
        "encoding": model.encoding_seconds,
        "cpu": used.ru_utime + used.ru_stime,
        "peak": used.ru_maxrss,
        "loss": model.mean_loss,
    }
    folder = Path(request["folder"])
    (folder / f"{world().rank}.json").write_text(json.dumps(told))
    model.save_vectors(folder)


def add(replica: Any, moves: list[tuple[Any, Any]], steps: Any) -> Any:
    total = np.zeros((len(steps), replica.table.shape[1]), np.float32)
    for places, rows in moves:
        total[places] += rows
    return total


def average(replica: Any, moves: list[tuple[Any, Any]], steps: Any) -> Any:
    return add(replica, moves, steps) / len(moves)


def orthogonal(replica: Any, moves: list[tuple[Any, Any]], steps: Any) -> Any:
    total = np.zeros((len(steps), replica.table.shape[1]), np.float32)
    for places, rows in moves:
        there = total[places]
        length = np.maximum((there * there).sum(1), 1e-30)
        total[places] = there + rows - ((there * rows).sum(1) / length)[:, None] * there
    return total


def run(request: dict[str, Any], size: int) -> list[dict[str, float]]:
    """What each of the processes of a run tells."""
    folder = Path(request["folder"])
    folder.mkdir(parents=True)
    child = [str(Path(__file__).resolve()), "--child", json.dumps(request)]
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(size)] if size > 1 else []
    subprocess.run(
        [sys.executable, *launcher, *child],
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "LOGQ_PROCESS_TIMEOUT": "600"},
    )
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(size)]


def score(folders: list[Path], arguments: argparse.Namespace) -> tuple[list[dict[str, float]], str]:
    """Scores of each run in per cent, and what they were measured on."""
    request = {
        "vectors": [str(folder) for folder in folders],
        "similarity": [str(path.resolve()) for path in arguments.similarity],
        "analogies": str(arguments.analogies.resolve()) if arguments.analogies else "",
    }
    command = [sys.executable, str(HERE / "quality.py"), json.dumps(request)]
    answer = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    used = ", ".join(f"{name} {count:,}" for name, (_, count) in answer["scores"][0].items())
    found = [{name: 100 * value for name, (value, _) in scores.items()} for scores in answer["scores"]]
    return found, f"Per cent, in the {answer['words']:,} words; pairs and questions: {used}."


def score_with_unknown(folders: list[Path], sets: dict[str, Any], left_out: set[str]) -> list[dict[str, float]]:
    """Scores in per cent of each run with subwords, of pairs in the text and of those with a word taken out of it."""
    from logq import KeyedVectors

    return [scores_with_unknown(KeyedVectors.load(folder), sets, left_out) for folder in folders]


def shortened(corpus: Corpus, words: int | None) -> Corpus:
    """The lines of a corpus up to that many words."""
    if words is None:
        return corpus
    path, count = corpus.path.with_name("short.txt"), 0
    with open(corpus.path, "rb") as lines, open(path, "wb") as file:
        for line in lines:
            if count >= words:
                break
            file.write(line)
            count += len(line.split())
    return Corpus(corpus.source, path, count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--words", type=int, help="of the corpus, from its start (default: all)")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--seeds-together", type=int, nargs="+", help="of runs of several processes (default: --seeds)")
    parser.add_argument("--rules", nargs="+", choices=RULES, default=["damped"])
    parser.add_argument("--constants", type=json.loads, default={}, metavar="JSON", help="of logq.word2vec.joint_run")
    parser.add_argument("--subwords", action="store_true")
    parser.add_argument("--model", choices=["sg", "cbow"], default="sg")
    parser.add_argument("--dim", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--similarity", type=Path, nargs="+", default=[], metavar="FILE")
    parser.add_argument("--analogies", type=Path, metavar="FILE")
    parser.add_argument("--scratch", type=Path, metavar="DIR")
    arguments = parser.parse_args()
    print(description("benchmarks/words/processes.py", {}))
    with tempfile.TemporaryDirectory(dir=arguments.scratch, prefix="processes-") as name:
        scratch = Path(name)
        corpus = shortened(prepare(arguments.corpus.resolve(), scratch), arguments.words)
        sets, left_out = {}, set[str]()
        if arguments.subwords:
            sets = read_sets(arguments.similarity)
            left_out = held_out(pair for pairs in sets.values() for pair in pairs)
            path = scratch / "without.txt"
            corpus = Corpus(corpus.source, path, write_text(corpus.path, path, left_out, None))
        rows: list[tuple[str, Path, list[dict[str, float]]]] = []
        for size in arguments.processes:
            seeds = arguments.seeds if size == 1 else arguments.seeds_together or arguments.seeds
            for rule, seed in itertools.product(arguments.rules[:1] if size == 1 else arguments.rules, seeds):
                settings = {"dim": arguments.dim, "epochs": arguments.epochs, "seed": seed, "threads": 1}
                request = {
                    "corpus": str(corpus.path),
                    "folder": str(scratch / f"{size}-{rule}-{seed}"),
                    "settings": {**settings, "sg": arguments.model == "sg", "subwords": arguments.subwords},
                    "rule": rule,
                    "constants": arguments.constants,
                }
                told = run(request, size)
                rows.append((f"{size}{'' if size == 1 else f', {rule}'} | {seed}", Path(request["folder"]), told))
                last = " ".join(f"{name} {max(one[name] for one in told):,.3f}" for name in told[0])
                print(f"  {rows[-1][0]}: {last}", flush=True)
        folders = [folder for _, folder, _ in rows]
        if arguments.subwords:
            scores, about = score_with_unknown(folders, sets, left_out), f"{len(left_out)} words taken out of the text."
        else:
            scores, about = score(folders, arguments)
    print(f"\n{corpus.words:,} words, {arguments.epochs} epochs, dim {arguments.dim}. {about}\n")
    names = list(scores[0])
    print(f"| processes | seed | {' | '.join(names)} | mean | loss | bytes sent a word | messages | CPU s of all |")
    print("| --- | ---: |" + " ---: |" * (len(names) + 5))
    for (row, _, told), of_run in zip(rows, scores, strict=True):
        values = [of_run[name] for name in names]
        sent = sum(one["bytes"] for one in told) / corpus.words / arguments.epochs
        cells = [*(f"{value:.1f}" for value in [*values, statistics.mean(values)]), f"{told[0]['loss']:.4f}"]
        cells += [f"{sent:.0f}", f"{told[0]['messages']:,}", f"{sum(one['cpu'] for one in told):.0f}"]
        print(f"| {row} | {' | '.join(cells)} |")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        train(json.loads(sys.argv[2]))
    else:
        main()
