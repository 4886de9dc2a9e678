"""What it is worth to store word vectors in fewer bits, or to work on them: similarity sets and analogies, over seeds.

    python benchmarks/words/reworked.py corpus.txt.gz --similarity EN-*.txt --analogies questions-words.txt

Skip-gram with the defaults is trained once a seed; its vectors are scored as they are, and in each other form. Medians
over seeds, with the smallest and the largest.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from quality import scores
from table import spread

from logq import KeyedVectors, Word2Vec, __version__
from logq.evaluation import read_analogies, read_pairs

sys.path.append(str(Path(__file__).resolve().parents[1]))
from machine import description


def forms(model: Word2Vec, folder: Path) -> Iterator[tuple[str, KeyedVectors]]:
    """What the vectors of a model can be made into, by name."""
    vectors = model.vectors
    yield "as trained", vectors
    for dtype in ("float16", "int8"):
        vectors.save(folder / dtype, dtype=dtype)
        yield f'`save(folder, dtype="{dtype}")`', KeyedVectors.load(folder / dtype)
    yield "`all_but_the_top(0)`, the mean alone", vectors.all_but_the_top(0)
    for components in (1, 2):
        yield f"`all_but_the_top({components})`", vectors.all_but_the_top(components)
    yield "`model.summed_vectors`", model.summed_vectors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, metavar="CORPUS")
    parser.add_argument("--similarity", type=Path, nargs="+", required=True, metavar="FILE")
    parser.add_argument("--analogies", type=Path, metavar="FILE")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], metavar="N")
    parser.add_argument("--dim", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=5)
    arguments = parser.parse_args()
    pairs = [(path.stem, read_pairs(path)) for path in arguments.similarity]
    questions = read_analogies(arguments.analogies) if arguments.analogies else None
    found: dict[str, list[list[float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for seed in arguments.seeds:
            model = Word2Vec(arguments.dim, epochs=arguments.epochs, threads=1, seed=seed)
            model.fit(arguments.corpus, cache=folder)
            for name, vectors in forms(model, Path(folder, str(seed))):
                own = {key: 100 * value for key, (value, _) in scores(vectors, pairs, questions).items()}
                found.setdefault(name, []).append([*own.values(), statistics.mean(own[key] for key, _ in pairs)])
                print(f"seed {seed}, {name}: {found[name][-1]}", file=sys.stderr)
    titles = [*(key for key, _ in pairs), *(["analogies"] if questions else []), "mean of the sets"]
    print(description("benchmarks/words/reworked.py", {"logq": __version__}))
    print(f"| | {' | '.join(titles)} |\n{'|---' * (len(titles) + 1)}|")
    for name, rows in found.items():
        print(f"| {name} | " + " | ".join(spread(column, 1) for column in zip(*rows, strict=True)) + " |")


if __name__ == "__main__":
    main()
