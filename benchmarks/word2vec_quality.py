"""Word vectors of Python's documentation, by logq's plain path and by gensim with equal parameters, side by side.

    python benchmarks/word2vec_quality.py                5 epochs, 3 seeds
    python benchmarks/word2vec_quality.py --epochs 20 --seeds 1 2 --cbow

Quality is how near words are that belong together: for each pair of a list, where each word stands in the ranking of
all words by similarity to the other one (1 is the nearest). The plain path is there for its meaning and not for its
speed; its rate is printed all the same. Needs gensim: pip install 'logq[bench]'.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from logq import KeyedVectors, Word2Vec
from logq.text import Vocabulary, python_reference

PAIRS = """
list tuple        string bytes       class subclass     exception error      file directory      thread lock
integer float     key value          true false         encode decode        read write          module package
function method   argument parameter iterator iterable  socket server        process child       dictionary mapping
get set           first last         start end          left right           client server       month year
byte bytes        raised raise       returns return     default optional     add remove          open close
"""


def ranks(vectors: np.ndarray, key_to_index: dict[str, int]) -> list[int]:
    """Where the words of each pair stand in each other's neighborhood, from 1."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    words = PAIRS.split()
    found = []
    for pair in zip(words[::2], words[1::2], strict=True):
        if all(word in key_to_index for word in pair):
            one, other = (key_to_index[word] for word in pair)
            for a, b in ((one, other), (other, one)):
                similarity = unit @ unit[a]
                similarity[a] = -np.inf
                found.append(1 + int((similarity > similarity[b]).sum()))
    return found


def main() -> None:
    """Train, rank, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--dim", type=int, default=100)
    parser.add_argument("--cbow", action="store_true")
    parser.add_argument("--batch-size", type=int, default=512)
    arguments = parser.parse_args()
    try:
        import gensim
    except ImportError:
        parser.error("gensim is the baseline: pip install 'logq[bench]'")
    torch.set_num_threads(1)
    corpus = python_reference()
    lr = 0.05 if arguments.cbow else 0.025
    common = {"window": 5, "min_count": 5, "sample": 1e-3, "epochs": arguments.epochs}

    def ours(seed: int) -> KeyedVectors:
        model = Word2Vec(
            arguments.dim, sg=not arguments.cbow, lr=lr, seed=seed, batch_size=arguments.batch_size, **common
        )
        return model.fit(corpus, progress=False).vectors

    def theirs(seed: int) -> KeyedVectors:
        model = gensim.models.Word2Vec(
            corpus, vector_size=arguments.dim, sg=int(not arguments.cbow), alpha=lr, seed=seed, workers=1, **common
        )
        return KeyedVectors(model.wv.index_to_key, model.wv.vectors)

    total = arguments.epochs * Vocabulary.build(corpus, min_count=5).total
    print(f"{total:,} words to train on, {arguments.epochs} epochs, one thread, seeds {arguments.seeds}")
    print(f"{'':<14}{'mean rank':>12}{'median rank':>13}{'mean 1/rank':>13}{'words/s':>10}")
    systems: dict[str, Callable[[int], KeyedVectors]] = {"logq": ours, f"gensim {gensim.__version__}": theirs}
    rows: dict[str, list[tuple[float, ...]]] = {name: [] for name in systems}
    for seed in arguments.seeds:
        for name, train in systems.items():
            start = time.perf_counter()
            vectors = train(seed)
            rate = total / (time.perf_counter() - start)
            found = ranks(vectors.vectors, vectors.key_to_index)
            inverse = statistics.mean(1 / rank for rank in found)
            rows[name].append((statistics.mean(found), statistics.median(found), inverse, rate))
    for name, results in rows.items():
        mean, median, inverse, rate = (statistics.median(column) for column in zip(*results, strict=True))
        print(f"{name:<14}{mean:>12.1f}{median:>13.1f}{inverse:>13.3f}{rate:>10,.0f}")
    print("Medians over the seeds; the ranks of each seed:")
    for name, results in rows.items():
        print(f"{name:<14}" + "  ".join(f"{mean:.1f}" for mean, *_ in results))


if __name__ == "__main__":
    main()
