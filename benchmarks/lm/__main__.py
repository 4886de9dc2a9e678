"""Language models: one GRU under every way to the next word, by test perplexity, tokens per second and memory.

    python benchmarks/lm ptb --data ../shared/data                       every row, two seeds, and their speeds
    python benchmarks/lm ptb --data ../shared/data --only "full" "nce" --seeds 1
    python benchmarks/lm wiki --data ../shared/data                      70,000 words: full and sampled softmax
    python benchmarks/lm ngrams --data ../shared/data                    n-grams of every order

Each model and seed is a process of its own. With --keep DIR what is measured is kept there, a file each, so that a run
that was stopped goes on where it was. benchmarks/README.md says what the figures mean.
"""

import argparse
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))

import report
from cells import run_cell
from machine import description
from rows import PTB, WIKI, Row


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python benchmarks/lm", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", choices=("ptb", "wiki", "ngrams"), help="which comparison")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder with text/ptb.zip and more")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2], metavar="N")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="rows that begin like one of these")
    parser.add_argument("--epochs", type=int, metavar="N", help="no more than that, to try it out")
    parser.add_argument("--threads", type=int, default=1, metavar="N")
    parser.add_argument(
        "--turns", type=int, default=5, metavar="N", help="of the measurement of speed; 0 leaves it out"
    )
    parser.add_argument("--train-words", type=int, default=100_000, metavar="N", help="of wiki")
    parser.add_argument("--test-words", type=int, default=50_000, metavar="N", help="of wiki")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep what each process found, and go on from it")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the table there, as Markdown")
    return parser.parse_args()


def measured(arguments: argparse.Namespace, row: Row, seed: int, **request: Any) -> dict[str, Any] | None:
    """What one process found, or None where it failed."""
    asked = {
        "data": str(arguments.data),
        "estimator": row.estimator,
        "options": row.arguments(),
        "seed": seed,
        "epochs": arguments.epochs,
        "threads": arguments.threads,
        **request,
    }
    title = f"{request['text']}: {row.name}, seed {seed}"
    return run_cell(HERE / "cell.py", asked, title, threads=arguments.threads, keep=arguments.keep)


def ptb(arguments: argparse.Namespace) -> str:
    """The Penn Treebank."""
    import speed

    chosen = [row for row in PTB if not arguments.only or row.name.startswith(tuple(arguments.only))]
    cells: dict[str, dict[int, dict[str, Any]]] = {row.name: {} for row in chosen}
    for seed in arguments.seeds:
        for row in chosen:
            if (found := measured(arguments, row, seed, text="ptb")) is not None:
                cells[row.name][seed] = found
    rates = speed.speeds(arguments.data, chosen, arguments.turns, arguments.threads) if arguments.turns else {}
    return report.ptb([(row, cells[row.name]) for row in chosen], rates)


def wiki(arguments: argparse.Namespace) -> str:
    """A vocabulary of 70,000 words: the same words for all, and what the full softmax's time is worth otherwise."""
    found: list[tuple[str, dict[int, dict[str, Any]]]] = []
    for row, times in WIKI:
        if arguments.only and not row.name.startswith(tuple(arguments.only)):
            continue
        row, words = row._replace(options={**row.options, "epochs": 1}), times * arguments.train_words
        cells: dict[int, dict[str, Any]] = {}
        for seed in arguments.seeds:
            sizes = {"train_words": words, "test_words": arguments.test_words, "test_at": arguments.train_words}
            one = measured(arguments, row, seed, text="wiki", **sizes)
            if one is not None:
                cells[seed] = one | {"trained_tokens": words}
        found.append((row.name, cells))
    return report.wiki(found)


def ngrams(arguments: argparse.Namespace) -> str:
    """N-grams of every order and smoothing."""
    import ngram_table

    return ngram_table.table(arguments.data, arguments.keep)


def main() -> None:
    arguments = parse()
    # torch is not imported: on Linux what a process had at most, once, is also said of those that it starts.
    import logq

    versions = {"logq": logq.__version__, "torch": version("torch")}
    how = (
        f"{arguments.threads} thread{'s' * (arguments.threads != 1)} a process, "
        f"seed{'s' * (len(arguments.seeds) != 1)} {', '.join(map(str, arguments.seeds))}"
    )
    head = description("benchmarks/lm", versions, how)
    text = "\n".join([head, {"ptb": ptb, "wiki": wiki, "ngrams": ngrams}[arguments.table](arguments)])
    print(text)
    if arguments.output:
        arguments.output.write_text(text)


if __name__ == "__main__":
    main()
