"""Windows: which words are neighbors of which, for many sentences at a time.

Sentences follow one another in a single array `ids` of n words, and `lengths` says how many belong to each. All
functions work on whole arrays; their time and memory are proportional to the result.
"""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim, check_int, check_integers

__all__ = ["cbow_windows", "reduced_windows", "skipgram_pairs", "subsample_sentences"]

Ids: TypeAlias = NDArray[np.int64]


def subsample_sentences(
    ids: Ids,  # (n,)
    lengths: Ids,  # (sentences,)
    keep_probability: NDArray[np.float64],  # (V,)
    rng: np.random.Generator,
) -> tuple[Ids, Ids]:
    """Drop frequent words from several sentences at random, and count the words that remain in each.

    Args:
        ids: (n,) word ids of all sentences.
        lengths: words of each sentence.
        keep_probability: (V,) as `Vocabulary.keep_probability` gives it.
        rng: source of randomness; one number is drawn for each word.

    Returns:
        The ids kept, and the number of them in each sentence.

    Example:
        >>> subsample_sentences(
        ...     np.array([0, 1, 1, 2]), np.array([2, 1, 1]), np.array([1.0, 0.0, 1.0]), np.random.default_rng(0)
        ... )
        (array([0, 2]), array([1, 0, 1]))
    """
    ids = check_integers("ids", ids, at_least=0)
    lengths = _check_lengths(lengths, len(ids))
    kept = _kept(ids, keep_probability, rng)
    before = np.concatenate([[0], np.cumsum(kept)])
    ends = np.cumsum(lengths)
    return ids[kept], before[ends] - before[ends - lengths]


def reduced_windows(num_positions: int, window: int, rng: np.random.Generator) -> Ids:
    """Draw the reach of the window of each position, uniform in 1..window.

    A neighbor at distance d is seen with probability (window - d + 1) / window: near words count more.

    Args:
        num_positions: n, the number of words.
        window: maximum reach.
        rng: source of randomness.

    Returns:
        (n,) int64.

    Example:
        >>> f"{reduced_windows(1000, 2, np.random.default_rng(0)).mean():.1f}"
        '1.5'
    """
    num_positions = check_int("num_positions", num_positions, minimum=0)
    window = check_int("window", window)
    return _check_rng(rng).integers(1, window + 1, size=num_positions, dtype=np.int64)


def skipgram_pairs(
    ids: Ids,  # (n,)
    lengths: Ids,  # (sentences,)
    windows: Ids,  # (n,)
) -> tuple[Ids, Ids]:
    """List the pairs that skip-gram trains on, in the order of the C program word2vec.

    For each position i from left to right, and each other position j from left to right that is in the same sentence
    and at most windows[i] away: the input is the neighbor ids[j], the word to predict is ids[i].

    Args:
        ids: (n,) word ids of all sentences.
        lengths: words of each sentence.
        windows: (n,) reach of the window of each position.

    Returns:
        inputs and targets, (P,) each.

    Raises:
        ArgumentError: the shapes do not fit, or a number is negative.

    Example:
        >>> inputs, targets = skipgram_pairs(np.array([5, 6, 7, 8]), np.array([3, 1]), np.array([1, 1, 2, 2]))
        >>> list(zip(inputs.tolist(), targets.tolist()))
        [(6, 5), (5, 6), (7, 6), (5, 7), (6, 7)]
    """
    ids = check_integers("ids", ids, at_least=0)
    centers, neighbors, _ = _neighbors(ids, lengths, windows)
    return ids[neighbors], ids[centers]


def cbow_windows(
    ids: Ids,  # (n,)
    lengths: Ids,  # (sentences,)
    windows: Ids,  # (n,)
    *,
    window: int | None = None,
) -> tuple[Ids, Ids]:
    """List the contexts that CBOW trains on: for each position its neighbors, left to right, and its word.

    Positions without a neighbor are left out.

    Args:
        ids: (n,) word ids of all sentences.
        lengths: words of each sentence.
        windows: (n,) reach of the window of each position.
        window: maximum reach, which fixes the width of the result; that of `windows` if left out.

    Returns:
        contexts (n', 2 * window), padded with -1 at the end of each row, and targets (n',).

    Raises:
        ArgumentError: the shapes do not fit, a number is negative, or one of `windows` is wider than `window`.

    Example:
        >>> contexts, targets = cbow_windows(np.array([5, 6, 7, 8]), np.array([3, 1]), np.array([1, 1, 2, 2]))
        >>> contexts
        array([[ 6, -1, -1, -1],
               [ 5,  7, -1, -1],
               [ 5,  6, -1, -1]])
        >>> targets
        array([5, 6, 7])
    """
    ids = check_integers("ids", ids, at_least=0)
    centers, neighbors, counts = _neighbors(ids, lengths, windows)
    widest = int(np.max(windows, initial=0))
    window = widest if window is None else check_int("window", window)
    if widest > window:
        raise ArgumentError("windows", f"none wider than window = {window}", widest)
    filled = counts > 0
    row = np.cumsum(filled) - 1
    column = np.arange(len(centers)) - (np.cumsum(counts) - counts)[centers]
    contexts = np.full((int(filled.sum()), 2 * window), -1, dtype=np.int64)
    contexts[row[centers], column] = ids[neighbors]
    return contexts, ids[filled]


def _neighbors(ids: Ids, lengths: Ids, windows: Ids) -> tuple[Ids, Ids, Ids]:
    """Return the positions of center and neighbor of each pair, (P,) each, and the pairs of each position, (n,)."""
    positions = np.arange(len(ids))
    lengths = _check_lengths(lengths, len(ids))
    windows = check_integers("windows", windows, at_least=0)
    if len(windows) != len(ids):
        raise ArgumentError("windows", f"shape ({len(ids)},), one per word", windows.shape)
    ends = np.cumsum(lengths)
    first = np.maximum(np.repeat(ends - lengths, lengths), positions - windows)
    last = np.minimum(np.repeat(ends, lengths) - 1, positions + windows)
    counts = last - first  # the window without its center
    centers = np.repeat(positions, counts)
    rank = np.arange(len(centers)) - np.repeat(np.cumsum(counts) - counts, counts)
    neighbors = first[centers] + rank
    neighbors += neighbors >= centers  # step over the center
    return centers, neighbors, counts


def _kept(ids: Ids, keep_probability: Any, rng: np.random.Generator) -> NDArray[np.bool_]:
    probability = np.asarray(keep_probability, dtype=np.float64)
    if probability.ndim != 1:
        raise ArgumentError("keep_probability", "shape (V,)", probability.shape)
    check_integers("ids", ids, at_least=0, below=len(probability), kind="ids")
    return _check_rng(rng).random(len(ids)) < probability[ids]


def _check_lengths(lengths: Any, num_words: int) -> Ids:
    array = check_integers("lengths", lengths, at_least=0)
    if array.sum() != num_words:
        raise ArgumentError("lengths", f"a sum of {num_words}, the number of ids", int(array.sum()))
    return array


def _check_rng(rng: Any) -> np.random.Generator:
    if not isinstance(rng, np.random.Generator):
        raise ArgumentTypeError("rng", "a numpy.random.Generator", Verbatim(type(rng).__name__))
    return rng
