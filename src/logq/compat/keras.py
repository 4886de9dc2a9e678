"""`skipgrams` and `make_sampling_table` of Keras: word pairs of a text, and probabilities of keeping words by rank."""

import random
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from logq._arguments import ArgumentError, Verbatim, check_bool, check_float, check_int, check_integers

__all__ = ["make_sampling_table", "skipgrams"]

_GAMMA = 0.577  # Euler's constant, with as many digits as in Keras
_LARGEST_SEED = 10_000_000


class RandomSource(Protocol):
    """A source of randomness, such as random.Random or the module `random` itself."""

    def random(self) -> float:
        """Return a number in [0, 1)."""
        ...

    def randint(self, a: int, b: int) -> int:
        """Return an integer in [a, b]."""
        ...

    def shuffle(self, x: Any) -> None:
        """Shuffle a list in place."""
        ...

    def seed(self, a: int) -> None:
        """Set the seed."""
        ...


def make_sampling_table(size: int, sampling_factor: float = 1e-5) -> NDArray[np.float64]:
    """Return the probability of keeping a word of each rank, if frequencies follow Zipf's law.

        P(keep word of rank r) = min(1, sqrt(sampling_factor / f_r)),   1 / f_r = r (ln r + 0.577) + 1/2 - 1 / (12 r)

    Rank 0, which is not a word for `skipgrams`, counts as rank 1.

    Equivalent to: keras.preprocessing.sequence.make_sampling_table of Keras 2, kept as a legacy function by Keras 3,
    bit for bit. Differs from Keras: a size below 1 or a factor of 0 is an ArgumentError, not an IndexError or NaN.

    Go on to: `sample` of logq.Word2Vec, which uses counts instead of ranks.

    Args:
        size: number of ranks.
        sampling_factor: the larger, the more words are kept.

    Returns:
        (size,) float64.

    Raises:
        ArgumentTypeError, ArgumentError: an argument is not such a number.

    Example:
        >>> make_sampling_table(4).round(5)
        array([0.00315, 0.00315, 0.00548, 0.00742])
    """
    rank = np.arange(check_int("size", size), dtype=np.float64)
    factor = check_float("sampling_factor", sampling_factor, above=0)
    rank[0] = 1
    share = factor * (rank * (np.log(rank) + _GAMMA) + 0.5 - 1.0 / (12.0 * rank))
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
    """Return pairs (word, word of its window) with label 1, and pairs (word, random word) with label 0.

    Every word is paired with all others at most `window_size` positions away. Words with id 0 are in no pair, but keep
    their position. n pairs get int(n * negative_samples) negatives, whose first words are those of the pairs in random
    order, repeated as needed, and whose second words are uniform in 1..V-1.

    Equivalent to: keras.preprocessing.sequence.skipgrams of Keras 2, kept as a legacy function by Keras 3. `seed` is
    that of the shuffle only, as in Keras; words to keep and negatives are drawn by Python's global generator. So after
    random.seed(s) a call here returns what it returns there, on every version of Python (the original has failed
    without a seed since Python 3.12).

    Differs from Keras, which sets the global generator to `seed`, and so determines all later draws of the program:
    here the global generator is only drawn from. To repeat a run of several calls as in Keras, give them one generator,
    `rng=random.Random(s)` instead of random.seed(s); it is set to `seed` as in Keras, and the global one is not used.
    Negative ids, and ids beyond the end of `sampling_table`, are an ArgumentError.

    Go on to: logq.Word2Vec, which makes pairs during training, and draws negatives by frequency.

    Args:
        sequence: (n,) ids of words; 0 is not a word.
        vocabulary_size: V; ids of `sequence` may be larger.
        window_size: number of positions to each side.
        negative_samples: number of negatives for each pair.
        shuffle: whether to shuffle pairs and labels.
        categorical: whether labels are [0, 1] and [1, 0] instead of 1 and 0.
        sampling_table: (V,) probabilities of making pairs for a word, as from make_sampling_table; None for all.
        seed: of the shuffle; None draws one.
        rng: the source of randomness; None for the global one.

    Returns:
        The pairs, lists of two ids, and as many labels.

    Raises:
        ArgumentTypeError: an argument has a wrong type.
        ArgumentError: one is out of range; the message names the first.

    Example:
        >>> skipgrams([1, 2, 0, 3], 4, window_size=2, negative_samples=0, shuffle=False)
        ([[1, 2], [2, 1], [2, 3], [3, 2]], [1, 1, 1, 1])
        >>> skipgrams([1, 2, 3], 10, window_size=1, shuffle=False, rng=random.Random(0))[0][4:]
        [[2, 5], [1, 9], [2, 8], [3, 7]]
    """
    ids = check_integers("sequence", sequence, at_least=0, kind="ids")
    size = check_int("vocabulary_size", vocabulary_size)
    window = check_int("window_size", window_size, 0)
    share = check_float("negative_samples", negative_samples, at_least=0)
    check_bool("shuffle", shuffle)
    check_bool("categorical", categorical)
    start = None if seed is None else check_int("seed", seed, -(1 << 63))
    source: RandomSource = random if rng is None else rng

    centers = ids.nonzero()[0]
    if sampling_table is not None:
        centers = centers[_keep(ids[centers], sampling_table, source)]
    couples: list[list[int]] = _pairs(ids, centers, window).tolist()
    num_pairs = len(couples)
    num_negatives = int(num_pairs * share)
    if share > 0:
        words = [couple[0] for couple in couples]
        source.shuffle(words)
        if num_negatives and size < 2:
            raise ArgumentError("vocabulary_size", "at least 2 where negatives are drawn", size)
        couples += [[words[i % num_pairs], source.randint(1, size - 1)] for i in range(num_negatives)]
    is_true = [True] * num_pairs + [False] * num_negatives
    if shuffle:
        order = list(range(len(couples)))
        _shuffle(order, source.randint(0, _LARGEST_SEED) if start is None else start, rng)
        couples, is_true = [couples[i] for i in order], [is_true[i] for i in order]
    if categorical:
        return couples, [[0, 1] if positive else [1, 0] for positive in is_true]
    return couples, [int(positive) for positive in is_true]


def _shuffle(order: list[int], seed: int, rng: RandomSource | None) -> None:
    """Shuffle as Keras does: pairs and labels by two generators with one seed, so in the same order."""
    source = random.Random() if rng is None else rng
    source.seed(seed)
    source.shuffle(order)


def _keep(words: NDArray[np.int64], sampling_table: ArrayLike, source: RandomSource) -> NDArray[np.bool_]:
    """Return which words to make pairs for, by one draw for each word, as all later draws depend on their number."""
    table = np.asarray(sampling_table)
    if table.dtype.kind not in "iuf" or table.ndim != 1:
        raise ArgumentError(
            "sampling_table", "shape (V,) of numbers", Verbatim(f"{table.shape} of dtype {table.dtype}")
        )
    if len(words) and words.max() >= len(table):
        wrong = int(words[(words >= len(table)).argmax()])
        raise ArgumentError("sampling_table", "a number for each word", Verbatim(f"{len(table)} for word {wrong}"))
    draws = np.array([source.random() for _ in range(len(words))])
    # numpy compares numbers of a narrow table with floats of Python in the dtype of the table.
    return table[words] >= (draws.astype(table.dtype) if table.dtype.kind == "f" else draws)


def _pairs(ids: NDArray[np.int64], centers: NDArray[np.int64], window: int) -> NDArray[np.int64]:
    """Return (n, 2) pairs in order of the position of the center, then of the other."""
    reach = min(window, max(len(ids) - 1, 0))
    steps = np.concatenate([np.arange(-reach, 0), np.arange(1, reach + 1)])
    positions = centers[:, None] + steps
    inside = (positions >= 0) & (positions < len(ids))
    others = ids[np.where(inside, positions, 0)] if len(ids) else positions
    row, column = (inside & (others != 0)).nonzero()
    return np.stack([ids[centers[row]], others[row, column]], axis=1)
