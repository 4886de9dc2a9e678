"""What answers of a recommender cost at many items, each beside what it is made of or was made of before.

    python benchmarks/retrieval/answers.py --items 400000

    seen items left out     recommend() of one user          / the same with exclude_seen=False
    similar items           similar_items() of one item      / an ExactIndex made for each question
    ItemKNN                 recommend() of some users        / sums over all items, by numpy.bincount

Each pair is timed in turns in one process, and the ratio is that of the medians. Nothing is trained to be good: weights
do not change what an answer costs.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import torch

from logq.evaluation import top_items
from logq.logs import Interactions
from logq.recommenders import ItemKNN, YoutubeDNN
from logq.retrieval import ExactIndex


def log_of(items: int, seed: int = 0) -> Interactions:
    """Each item once, and as many events again that prefer some; about 50 events a user."""
    rng = np.random.default_rng(seed)
    what = np.concatenate([np.arange(items), (items * rng.random(items) ** 3).astype(int)])
    return Interactions.from_arrays(rng.integers(2 * items // 50, size=2 * items), what)


def timed(first: Callable[[], object], second: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Median seconds of both, called in turns."""
    found: tuple[list[float], list[float]] = ([], [])
    for turn in range(repeats + 1):
        for function, seconds in zip((first, second), found, strict=True):
            began = time.perf_counter()
            function()
            if turn:  # the first calls make what is kept
                seconds.append(time.perf_counter() - began)
    return median(found[0]), median(found[1])


def by_dense_sums(model: ItemKNN, users: list[int], k: int) -> np.ndarray:
    """Item-kNN as it is written down: a score for each user and item."""
    histories = model.known.histories(users)
    owners = np.repeat(np.arange(len(users)), histories.lengths)
    neighbors = model.similar[histories.items]
    at = owners[:, None] * model.known.num_items + np.maximum(neighbors, 0)
    size = len(users) * model.known.num_items
    sums = np.bincount(at.ravel(), weights=model.similarities[histories.items].ravel(), minlength=size)
    scores = sums.reshape(len(users), -1).astype(np.float32)
    return top_items(scores, k, exclude=(histories.items, histories.offsets))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=400_000, metavar="N")
    parser.add_argument("--users", type=int, default=16, metavar="N", help="users of a question to ItemKNN")
    parser.add_argument("--repeats", type=int, default=15, metavar="N")
    given = parser.parse_args()
    log = log_of(given.items)
    model = YoutubeDNN(dim=64, hidden=(), epochs=1, batch_size=1 << 14, num_sampled=64, max_per_user=1, seed=1)
    model.fit(log, progress=False)
    nearest = ItemKNN().fit(log, progress=False)
    user, item = model.user_ids[0], model.item_ids[0]
    some = model.user_ids[: given.users].tolist()
    own = np.array([0])

    def made_anew() -> object:
        vectors = torch.from_numpy(model.item_vectors)
        return ExactIndex(vectors, metric="cosine").search(vectors[own], 10, exclude=(own, np.array([0, 1])))

    pairs: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "seen items left out": (lambda: model.recommend(user), lambda: model.recommend(user, exclude_seen=False)),
        "similar items": (lambda: model.similar_items(item), made_anew),
        "ItemKNN": (lambda: nearest.recommend(some), lambda: by_dense_sums(nearest, some, 10)),
    }
    print(f"{given.items:,} items, {len(log):,} events, {torch.get_num_threads()} threads")
    for name, (ours, baseline) in pairs.items():
        one, other = timed(ours, baseline, given.repeats)
        print(f"{name:22}{1e3 * one:10.2f} ms{1e3 * other:10.2f} ms   ratio {one / other:.3f}")


if __name__ == "__main__":
    main()
