"""Keras' skipgrams and make_sampling_table: word pairs from a text, and how often to keep a word by its rank."""

import random
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from logq._arguments import check_bool, check_float, check_int

__all__ = ["make_sampling_table", "skipgrams"]

GAMMA = 0.577  # Euler's constant, with as many digits as Keras has
LARGEST_SEED = 10_000_000


class RandomSource(Protocol):
    """What is needed of a source of randomness: random.Random has it, and so has the module `random` itself."""

    def random(self) -> float:
        """A number in [0, 1)."""
        ...

    def randint(self, a: int, b: int) -> int:
        """An integer in [a, b]."""
        ...

    def shuffle(self, x: Any) -> None:
        """Put a list into a random order, in place."""
        ...

    def seed(self, a: int) -> None:
        """Start again."""
        ...


def make_sampling_table(size: int, sampling_factor: float = 1e-5) -> NDArray[np.float64]:
    """The probability of keeping a word by its rank, if frequencies follow Zipf's law.

        P(keep word of rank r) = min(1, sqrt(sampling_factor / f_r)),   1 / f_r = r (ln r + 0.577) + 1/2 - 1 / (12 r)

    Rank 0, which is no word to `skipgrams`, counts as rank 1.

    Equivalent to: keras.preprocessing.sequence.make_sampling_table of Keras 2, kept as a legacy function by Keras 3,
    bit for bit. Differs from Keras: a size below 1 or a factor of 0 is a ValueError, and not an IndexError or NaN.

    Go on to: `sample` of logq.Word2Vec, which knows the counts and need not guess them.

    Args:
        size: how many ranks.
        sampling_factor: the larger, the more is kept.

    Returns:
        (size,) float64.

    Raises:
        TypeError, ValueError: an argument is no number of that kind.

    Example:
        >>> make_sampling_table(4).round(5)
        array([0.00315, 0.00315, 0.00548, 0.00742])
    """
    rank = np.arange(check_int("size", size), dtype=np.float64)
    factor = check_float("sampling_factor", sampling_factor, above=0)
    rank[0] = 1
    share = factor * (rank * (np.log(rank) + GAMMA) + 0.5 - 1.0 / (12.0 * rank))
    return np.minimum(1.0, share / np.sqrt(share))


def skipgrams(
    sequence: Sequence[int] | NDArray[Any],
    vocabulary_size: int,
    window_size: int = 4,
    negative_samples: float = 1.0,
    shuffle: bool = True,
    categorical: bool = False,
    sampling_table: ArrayLike | None = None,
    seed: int | None = None,
    *,
    rng: RandomSource | None = None,
) -> tuple[list[list[int]], list[Any]]:
    """Pairs (word, word of its window) with label 1, and pairs (word, random word) with label 0.

    Every word is paired with all others at most `window_size` places away. Words with id 0 are in no pair, but keep
    their place. n pairs get int(n * negative_samples) negatives, whose first words are those of the pairs in a random
    order, begun again when it ends, and whose second words are uniform in 1..V-1, whatever they are.

    Equivalent to: keras.preprocessing.sequence.skipgrams of Keras 2, kept as a legacy function by Keras 3. `seed` is
    that of the shuffle alone, as in Keras; words to keep and negatives come from Python's global generator. So after
    random.seed(s) a call here returns what it returns there, on every version of Python (the original has failed
    without a seed since Python 3.12).

    Differs from Keras, which sets the global generator to `seed`, and so all that the program draws later: here draws
    are taken from it, and nothing more. To repeat a run of several calls as in Keras, give them one
    generator, `rng=random.Random(s)` in the place of random.seed(s); that one is set to `seed` as Keras would do, and
    the global one is not touched. Negative ids, and ids beyond the end of `sampling_table`, are a ValueError.

    Go on to: logq.Word2Vec, which makes pairs while it trains, and draws negatives by frequency.

    Args:
        sequence: (n,) ids of words; 0 is none.
        vocabulary_size: V; ids of `sequence` are not held to it.
        window_size: how many places to each side.
        negative_samples: negatives a pair, 0 for none.
        shuffle: whether to shuffle pairs and labels.
        categorical: whether labels are [0, 1] and [1, 0] and not 1 and 0.
        sampling_table: (V,) probabilities of making pairs for a word, as from make_sampling_table; None for all.
        seed: of the shuffle; None draws one.
        rng: the source of randomness; None for the global one.

    Returns:
        The pairs, lists of two ids, and as many labels.

    Raises:
        TypeError: an argument is of another kind than described.
        ValueError: one is out of range; the message names the first.

    Example:
        >>> skipgrams([1, 2, 0, 3], 4, window_size=2, negative_samples=0, shuffle=False)
        ([[1, 2], [2, 1], [2, 3], [3, 2]], [1, 1, 1, 1])
        >>> skipgrams([1, 2, 3], 10, window_size=1, shuffle=False, rng=random.Random(0))[0][4:]
        [[2, 5], [1, 9], [2, 8], [3, 7]]
    """
    ids = _check_ids(sequence)
    size = check_int("vocabulary_size", vocabulary_size)
    window = check_int("window_size", window_size, 0)
    share = check_float("negative_samples", negative_samples, at_least=0)
    check_bool("shuffle", shuffle)
    check_bool("categorical", categorical)
    start = None if seed is None else check_int("seed", seed, -(1 << 63))
    source: RandomSource = random if rng is None else rng

    centres = ids.nonzero()[0]
    if sampling_table is not None:
        centres = centres[_keep(ids[centres], sampling_table, source)]
    couples: list[list[int]] = _pairs(ids, centres, window).tolist()
    num_pairs = len(couples)
    num_negatives = int(num_pairs * share)
    if share > 0:
        words = [couple[0] for couple in couples]
        source.shuffle(words)
        if num_negatives and size < 2:
            raise ValueError(f"vocabulary_size: expected 2 at least where negatives are drawn, got {size}")
        couples += [[words[i % num_pairs], source.randint(1, size - 1)] for i in range(num_negatives)]
    is_true = [True] * num_pairs + [False] * num_negatives
    if shuffle:
        order = list(range(len(couples)))
        _shuffle(order, source.randint(0, LARGEST_SEED) if start is None else start, rng)
        couples, is_true = [couples[i] for i in order], [is_true[i] for i in order]
    if categorical:
        return couples, [[0, 1] if positive else [1, 0] for positive in is_true]
    return couples, [int(positive) for positive in is_true]


def _shuffle(order: list[int], seed: int, rng: RandomSource | None) -> None:
    """Keras shuffles pairs and labels by two generators with one seed, so the order is one and the same."""
    source = random.Random() if rng is None else rng
    source.seed(seed)
    source.shuffle(order)


def _check_ids(sequence: Sequence[int] | NDArray[Any]) -> NDArray[np.int64]:
    ids = np.asarray(sequence)
    if ids.size and ids.dtype.kind not in "iu":
        raise TypeError(f"sequence: expected ids of words, integers, got dtype {ids.dtype}")
    if ids.ndim != 1:
        raise ValueError(f"sequence: expected one dimension, got shape {ids.shape}")
    if ids.size and ids.min() < 0:
        where = int((ids < 0).argmax())
        raise ValueError(f"sequence: expected ids >= 0, got {ids[where]} at position {where}")
    return ids.astype(np.int64)


def _keep(words: NDArray[np.int64], sampling_table: ArrayLike, source: RandomSource) -> NDArray[np.bool_]:
    """Which words to make pairs for: one draw a word, in order, as everything that follows depends on how many."""
    table = np.asarray(sampling_table)
    if table.dtype.kind not in "iuf" or table.ndim != 1:
        raise ValueError(f"sampling_table: expected shape (V,) of numbers, got {table.shape} of dtype {table.dtype}")
    if len(words) and words.max() >= len(table):
        wrong = int(words[(words >= len(table)).argmax()])
        raise ValueError(f"sampling_table: expected a number for each word, got {len(table)} and word {wrong}")
    draws = np.array([source.random() for _ in range(len(words))])
    # numpy compares a number of a narrow table with a float of Python in the dtype of the table.
    return table[words] >= (draws.astype(table.dtype) if table.dtype.kind == "f" else draws)


def _pairs(ids: NDArray[np.int64], centres: NDArray[np.int64], window: int) -> NDArray[np.int64]:
    """(n, 2) pairs in order of the centre's place, then of the other's."""
    reach = min(window, max(len(ids) - 1, 0))
    steps = np.concatenate([np.arange(-reach, 0), np.arange(1, reach + 1)])
    places = centres[:, None] + steps
    inside = (places >= 0) & (places < len(ids))
    others = ids[np.where(inside, places, 0)] if len(ids) else places
    row, column = (inside & (others != 0)).nonzero()
    return np.stack([ids[centres[row]], others[row, column]], axis=1)
