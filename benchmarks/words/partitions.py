"""Word2vec with its vectors in partitions: quality, CPU time and memory beside one partition.

    python benchmarks/words/partitions.py corpus.txt --partitions 1 2 4 8 --seeds 1 2 \
        --similarity EN-WS-353-ALL.txt --analogies questions-words.txt
    python benchmarks/words/partitions.py --made 2000000 --partitions 1 2 4 8

`--made` trains on a text that is made of so many different words, each once or twice a line of 20, to see what memory a
large vocabulary takes: no quality is measured. `--spans` is the most entries of text that all buckets are trained on
before the next ones. `--go-on` saves the model, and another process goes on with it and with its vectors as `initial`.
Every run is a process of its own, on one thread.
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
from corpus import prepare

from processes import score, shortened

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))
from machine import description


def train(request: dict[str, Any]) -> None:
    """Train in this process, and tell what was measured."""
    from logq import Word2Vec
    from logq.word2vec.partitioned_engine import PartitionedEngine

    if request["span"]:
        PartitionedEngine.min_span = PartitionedEngine.max_span = request["span"]
    began = time.process_time()
    encoded: list[float] = []
    model = Word2Vec(**request["settings"])
    learn = model._learn

    def noted(*arguments: Any) -> None:
        encoded.append(time.process_time())
        encoded.append(peak())
        learn(*arguments)

    model._learn = noted  # type: ignore[method-assign]
    model.fit(request["corpus"], progress=False)
    trained = time.process_time()
    model.save_vectors(request["folder"])
    if request["go_on"]:
        model.save(request["folder"])
    told = {
        "encoding": encoded[0] - began,
        "training": trained - encoded[0],
        "saving": time.process_time() - trained,
        "peak before": encoded[1],
        "peak": peak(),
        "loss": model.mean_loss,
    }
    (Path(request["folder"]) / "told.json").write_text(json.dumps(told))


def go_on(request: dict[str, Any]) -> None:
    """Go on with the model of a folder in this process, from its vectors as they lie beside it."""
    import logq
    from logq.vectors.vector_files import FILE

    folder = Path(request["folder"])
    model = logq.load(folder)
    loaded = peak()
    model.fit(request["corpus"], initial=folder / FILE, progress=False)
    (folder / "went_on.json").write_text(json.dumps({"loaded": loaded, "went on": peak()}))


def peak() -> float:
    """The most memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def make_text(words: int, path: Path) -> int:
    """Write a text in which every word occurs, in lines of 20; returns its number of words."""
    rng = np.random.default_rng(0)
    with open(path, "w") as file:
        for begin in range(0, words, 200_000):
            some = np.concatenate([np.arange(begin, min(words, begin + 200_000))] * 2)
            rng.shuffle(some)
            file.writelines(
                " ".join(f"w{word}" for word in line) + "\n" for line in np.array_split(some, len(some) // 20)
            )
    return 2 * words


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, nargs="?")
    parser.add_argument("--made", type=int, metavar="WORDS", help="different words of a text that is made instead")
    parser.add_argument("--words", type=int, help="of the corpus, from its start (default: all)")
    parser.add_argument("--partitions", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--spans", type=int, nargs="+", default=[0], help="entries; 0 is the default of logq")
    parser.add_argument("--go-on", action="store_true")
    parser.add_argument("--dim", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--similarity", type=Path, nargs="+", default=[], metavar="FILE")
    parser.add_argument("--analogies", type=Path, metavar="FILE")
    parser.add_argument("--scratch", type=Path, metavar="DIR")
    arguments = parser.parse_args()
    if (arguments.corpus is None) == (arguments.made is None):
        parser.error("expected a corpus or --made")
    print(description("benchmarks/words/partitions.py", {}))
    with tempfile.TemporaryDirectory(dir=arguments.scratch, prefix="partitions-") as name:
        scratch = Path(name)
        if arguments.made:
            path = scratch / "made.txt"
            words = make_text(arguments.made, path)
        else:
            _, path, words = shortened(prepare(arguments.corpus.resolve(), scratch), arguments.words)
        rows: list[tuple[str, Path, dict[str, float]]] = []
        for partitions, span, seed in itertools.product(arguments.partitions, arguments.spans, arguments.seeds):
            settings = {"dim": arguments.dim, "epochs": arguments.epochs, "seed": seed, "partitions": partitions}
            folder = scratch / f"{partitions}-{span}-{seed}"
            folder.mkdir()
            request = {
                "corpus": str(path),
                "folder": str(folder),
                "settings": {**settings, "min_count": 1 if arguments.made else 5},
                "span": span,
                "go_on": arguments.go_on,
            }
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            for what in ("--child", "--go-on-child")[: 1 + arguments.go_on]:
                child = [sys.executable, str(Path(__file__).resolve()), what, json.dumps(request)]
                subprocess.run(child, check=True, env=environment)
            told = json.loads((folder / "told.json").read_text())
            if arguments.go_on:
                told |= json.loads((folder / "went_on.json").read_text())
            rows.append((f"{partitions} | {span or ''} | {seed}", folder, told))
            print(f"  {rows[-1][0]}: {told}", flush=True)
        scores, about = [{} for _ in rows], ""
        if arguments.similarity or arguments.analogies:
            scores, about = score([folder for _, folder, _ in rows], arguments)
    print(f"\n{words:,} words, {arguments.epochs} epochs, dim {arguments.dim}. {about}\n")
    names = list(scores[0])
    heads = [*names, *["mean"] * bool(names), "loss", "training CPU s", "peak MB", "of it before training"]
    heads += ["peak MB of loading", "peak MB of going on"] * arguments.go_on
    print(f"| partitions | span | seed | {' | '.join(heads)} |")
    print("| ---: | ---: | ---: |" + " ---: |" * len(heads))
    for (row, _, told), of_run in zip(rows, scores, strict=True):
        values = [of_run[name] for name in names]
        cells = [f"{value:.1f}" for value in [*values, *([statistics.mean(values)] if values else [])]]
        cells += [
            f"{told['loss']:.4f}",
            f"{told['training']:.1f}",
            f"{told['peak']:,.0f}",
            f"{told['peak before']:,.0f}",
            *(f"{told[name]:,.0f}" for name in ("loaded", "went on") if name in told),
        ]
        print(f"| {row} | {' | '.join(cells)} |")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        train(json.loads(sys.argv[2]))
    elif sys.argv[1:2] == ["--go-on-child"]:
        go_on(json.loads(sys.argv[2]))
    else:
        main()
