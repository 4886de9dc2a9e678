"""Word2vec with subwords by logq and by fastText at equal settings: CPU time, memory, quality, of unknown words too.

    python benchmarks/words/subwords.py corpus.txt.gz --similarity EN-*.txt --fasttext-python VENV/bin/python
    python benchmarks/words/subwords.py corpus.txt.gz --similarity EN-*.txt --words 5000000 --epochs 1 --models sg

A fifth of the words of the test sets, chosen by a hash, is taken out of the text before: the pairs that they are in are
those of unknown words, compared by n-grams alone. Both tools are called in turn. `--pruned` says what serving fewer
vectors of n-grams costs.
"""

import argparse
import hashlib
import json
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from corpus import prepare
from measure import Execution, execute
from tools import HERE, imports, version_of

from logq import KeyedVectors
from logq.evaluation import read_pairs, word_similarity

sys.path.append(str(HERE.parent))
from machine import description

SETTINGS = {"dim": 100, "window": 5, "negatives": 5, "sample": 1e-4, "min_count": 5, "lr": 0.05, "minn": 3, "maxn": 6}
"""The defaults of fastText, whose negatives are drawn with counts to the power 0.5."""

PAIRS = tuple[str, str, float]


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, metavar="CORPUS", help="text, plain or .gz: words between spaces")
    parser.add_argument(
        "--similarity", type=Path, nargs="+", required=True, metavar="FILE", help="pairs rated by people"
    )
    parser.add_argument("--words", type=int, metavar="N", help="words of the text to take, from its start")
    parser.add_argument("--models", nargs="+", choices=["sg", "cbow"], default=["sg", "cbow"])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="of logq; fastText has one")
    parser.add_argument("--fasttext-python", metavar="PATH", default=sys.executable, help="a Python that has fasttext")
    parser.add_argument("--fasttext-runs", type=int, default=1, metavar="N")
    parser.add_argument("--variant", default="", metavar="JSON", help="settings of logq that differ, such as its rate")
    parser.add_argument("--pruned", type=int, nargs="*", default=[], metavar="N", help="vectors of n-grams to keep")
    return parser.parse_args()


def read_sets(paths: Iterable[Path]) -> dict[str, list[PAIRS]]:
    return {
        path.stem: [(one.lower(), other.lower(), score) for one, other, score in read_pairs(path)] for path in paths
    }


def held_out(pairs: Iterable[PAIRS]) -> set[str]:
    words = {word for first, second, _ in pairs for word in (first, second)}
    return {word for word in words if hashlib.md5(word.encode()).digest()[0] < 52}


def write_text(source: Path, path: Path, left_out: set[str], most: int | None) -> int:
    """Write the text without some words; returns how many words are left."""
    unwanted, taken, written = {word.encode() for word in left_out}, 0, 0
    with source.open("rb") as text, path.open("wb") as file:
        for line in text:
            words = line.split()[: None if most is None else most - taken]
            taken += len(words)
            kept = [word for word in words if word not in unwanted]
            written += len(kept)
            file.write(b" ".join(kept) + b"\n")
            if taken == most:
                break
    return written


def train_logq(text: Path, folder: Path, arguments: argparse.Namespace, model: str, seed: int) -> Execution:
    options = {**SETTINGS, "unigram_power": 0.5, "epochs": arguments.epochs, "threads": arguments.threads, "seed": seed}
    options |= {"subwords": True, "sg": model == "sg", **json.loads(arguments.variant or "{}")}
    program = (
        "import json, sys; from logq import Word2Vec; "
        "Word2Vec(**json.loads(sys.argv[1])).fit(sys.argv[2], progress=False).save_vectors(sys.argv[3])"
    )
    return execute([sys.executable, "-c", program, json.dumps(options), str(text), str(folder)], Path.cwd(), {})


def train_fasttext(text: Path, path: Path, arguments: argparse.Namespace, model: str) -> Execution:
    options = {**SETTINGS, "corpus": str(text), "sg": model == "sg", "epochs": arguments.epochs, "model": str(path)}
    options["threads"] = arguments.threads
    command = [arguments.fasttext_python, str(HERE / "train_fasttext.py"), json.dumps(options)]
    return execute(command, Path.cwd(), {})


def scores(vectors: KeyedVectors, sets: dict[str, list[PAIRS]], left_out: set[str]) -> dict[str, float]:
    """Spearman's rho in per cent: of pairs in the text, and of those with a word that was taken out of it."""
    found: dict[str, float] = {}
    for name, pairs in sets.items():
        unknown = [pair for pair in pairs if left_out.intersection(pair[:2])]
        known = [pair for pair in pairs if all(word in vectors.key_to_index for word in pair[:2])]
        for kind, chosen in (("", known), (", unknown", unknown)):
            result = word_similarity(vectors, chosen)
            found[f"{name}{kind} ({result.pairs})"] = 100 * result.spearman.coefficient
    return found


def show(name: str, runs: list[tuple[Execution, dict[str, float]]]) -> None:
    cpu = statistics.median(done.cpu_seconds for done, _ in runs)
    peak = statistics.median(done.peak_bytes for done, _ in runs)
    values = " | ".join(f"{statistics.mean(found[key] for _, found in runs):.1f}" for key in runs[0][1])
    print(f"| {name} | {cpu:.1f} | {peak / 1e6:.0f} | {values} |", flush=True)


def main() -> None:
    arguments = parse()
    sets = read_sets(arguments.similarity)
    left_out = held_out(pair for pairs in sets.values() for pair in pairs)
    versions = {"logq": version_of(sys.executable, "logq")}
    has_fasttext = imports(arguments.fasttext_python, "fasttext")
    if has_fasttext:
        versions["fastText"] = version_of(arguments.fasttext_python, "fasttext-wheel")
    else:
        print("Not here: fastText (pip install fasttext-wheel 'numpy<2')")
    print(description("benchmarks/words/subwords.py", versions))
    with tempfile.TemporaryDirectory(prefix="subwords-") as name:
        scratch = Path(name)
        text = scratch / "text.txt"
        words = write_text(prepare(arguments.corpus.resolve(), scratch).path, text, left_out, arguments.words)
        print(f"\n{words:,} words of {arguments.corpus.name}, {len(left_out)} words of the test sets taken out")
        for model in arguments.models:
            runs: dict[str, list[tuple[Execution, dict[str, float]]]] = {}
            tables: list[KeyedVectors] = []
            for turn in range(max(len(arguments.seeds), arguments.fasttext_runs if has_fasttext else 0)):
                if turn < len(arguments.seeds):
                    done = train_logq(text, scratch / "vectors", arguments, model, arguments.seeds[turn])
                    check(done)
                    tables.append(KeyedVectors.load(scratch / "vectors"))
                    runs.setdefault("logq", []).append((done, scores(tables[-1], sets, left_out)))
                if has_fasttext and turn < arguments.fasttext_runs:
                    done = train_fasttext(text, scratch / "model.bin", arguments, model)
                    check(done)
                    vectors = KeyedVectors.load(scratch / "model.bin")
                    runs.setdefault("fastText", []).append((done, scores(vectors, sets, left_out)))
            columns = list(runs["logq"][0][1])
            print(f"\n{model}, {arguments.epochs} epochs, {arguments.threads} threads\n")
            print(f"| | CPU s | MB | {' | '.join(columns)} |\n|{'---|' * (len(columns) + 3)}")
            for tool, of_tool in runs.items():
                show(tool, of_tool)
            show_pruned(tables, arguments.pruned, sets, left_out)
            shutil.rmtree(scratch / "vectors")


def check(done: Execution) -> None:
    if done.status:
        raise SystemExit(f"status {done.status}: {done.output.strip()[-500:]}")


def show_pruned(tables: list[KeyedVectors], sizes: list[int], sets: dict[str, list[PAIRS]], left_out: set[str]) -> None:
    for most in sizes:
        found: list[dict[str, float]] = []
        for vectors in tables:
            kept = vectors.prune_subwords(most)
            found.append(scores(kept, sets, left_out))
        assert tables[0].subwords is not None
        share = most / len(tables[0].subwords)
        megabytes = most * tables[0].vector_size * 4 / 1e6
        values = " | ".join(f"{np.mean([one[key] for one in found]):.1f}" for key in found[0])
        print(f"| {most:,} n-grams, {share:.0%} | | {megabytes:.0f} | {values} |", flush=True)


if __name__ == "__main__":
    main()
