# ruff: noqa: N802, N803 - the names are the course's
"""The losses of one pair of words with their gradients, and of one word with all around it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from logq.arguments import check_int
from logq.compat.cs224n.activations import Array, as_floats, sigmoid

__all__ = ["getNegativeSamples", "naiveSoftmaxLossAndGradient", "negSamplingLossAndGradient", "skipgram"]


class Dataset(Protocol):
    """Where negatives come from."""

    def sampleTokenIdx(self) -> int:
        """Draw the id of a word."""
        ...


LossAndGradient = Callable[[Array, int, Array, Any], tuple[float, Array, Array]]


def naiveSoftmaxLossAndGradient(
    centerWordVec: ArrayLike, outsideWordIdx: int, outsideVectors: ArrayLike, dataset: object = None
) -> tuple[float, Array, Array]:
    """The softmax over all words, of one pair.

        loss = -log( exp(<u_o, v>) / sum_w exp(<u_w, v>) )

    Go on to: logq.functional.full_softmax_loss, which takes batches and never holds all their logits.

    Args:
        centerWordVec: (D,), v.
        outsideWordIdx: o.
        outsideVectors: (V, D), u.
        dataset: not looked at.

    Returns:
        The loss, its gradient (D,) for v, and (V, D) for u.

    Raises:
        TypeError, ValueError: a shape does not fit, or o is no word.

    Example:
        >>> loss, center, outside = naiveSoftmaxLossAndGradient(np.ones(2), 1, np.zeros((4, 2)))
        >>> round(loss, 4), outside[:, 0]  # log 4
        (1.3863, array([ 0.25, -0.75,  0.25,  0.25]))
    """
    v, u, o = _pair(centerWordVec, outsideVectors, outsideWordIdx)
    scores = u @ v
    scores -= scores.max()
    powers = np.exp(scores)
    total = powers.sum()
    loss = float(np.log(total) - scores[o])
    slopes = powers / total
    slopes[o] -= 1.0
    return loss, slopes @ u, np.outer(slopes, v)


def getNegativeSamples(outsideWordIdx: int, dataset: Dataset, K: int) -> list[int]:
    """Draw K words one after the other; those that are the outside word are drawn again.

    Go on to: logq.samplers.Unigram.

    Args:
        outsideWordIdx: the word that is no negative.
        dataset: draws words.
        K: how many.

    Returns:
        K ids, which may repeat.

    Example:
        >>> class Words:
        ...     ids = iter([3, 1, 1, 2])
        ...     def sampleTokenIdx(self):
        ...         return next(self.ids)
        >>> getNegativeSamples(3, Words(), 3)
        [1, 1, 2]
    """
    negatives: list[int] = []
    for _ in range(check_int("K", K, 0)):
        drawn = dataset.sampleTokenIdx()
        while drawn == outsideWordIdx:
            drawn = dataset.sampleTokenIdx()
        negatives.append(drawn)
    return negatives


def negSamplingLossAndGradient(
    centerWordVec: ArrayLike, outsideWordIdx: int, outsideVectors: ArrayLike, dataset: Dataset, K: int = 10
) -> tuple[float, Array, Array]:
    """Negative sampling, of one pair, with K negatives from getNegativeSamples.

        loss = -log sigmoid(<u_o, v>) - sum_{k = 1..K} log sigmoid(-<u_k, v>)

    A negative that is drawn n times counts n times.

    Go on to: logq.functional.negative_sampling_loss, which takes batches; its negatives may be the outside word.

    Args:
        centerWordVec: (D,), v.
        outsideWordIdx: o.
        outsideVectors: (V, D), u.
        dataset: draws negatives.
        K: how many negatives.

    Returns:
        The loss, its gradient (D,) for v, and (V, D) for u.

    Raises:
        TypeError, ValueError: a shape does not fit, or o or a negative is no word.

    References:
        Mikolov et al., Distributed Representations of Words and Phrases, NeurIPS 2013, arXiv:1310.4546, Eq. 4.

    Example:
        >>> class Words:
        ...     def sampleTokenIdx(self):
        ...         return 2
        >>> loss, center, outside = negSamplingLossAndGradient(np.ones(2), 1, np.zeros((4, 2)), Words(), K=3)
        >>> round(loss, 4), outside[:, 0]  # 4 log 2
        (2.7726, array([ 0. , -0.5,  1.5,  0. ]))
    """
    v, u, o = _pair(centerWordVec, outsideVectors, outsideWordIdx)
    words = np.array([o, *(_word(f"negative {k}", w, len(u)) for k, w in enumerate(getNegativeSamples(o, dataset, K)))])
    signs = np.ones(len(words), dtype=u.dtype)
    signs[0] = -1.0
    rows = u[words]
    scores = signs * (rows @ v)
    loss = float(np.logaddexp(0.0, scores).sum())
    slopes = signs * sigmoid(scores)
    outside = np.zeros_like(u)
    np.add.at(outside, words, slopes[:, None] * v)  # which adds up what a word gets several times
    return loss, slopes @ rows, outside


def skipgram(
    currentCenterWord: Any,
    windowSize: int,
    outsideWords: Sequence[Any],
    word2Ind: Mapping[Any, int],
    centerWordVectors: ArrayLike,
    outsideVectors: ArrayLike,
    dataset: Any,
    word2vecLossAndGradient: LossAndGradient = naiveSoftmaxLossAndGradient,
) -> tuple[float, Array, Array]:
    """The skip-gram loss of one word and the words around it: the sum of the losses of all pairs.

    Go on to: logq.Word2Vec, which fits a corpus.

    Args:
        currentCenterWord: the word in the middle.
        windowSize: not looked at, as `outsideWords` are those of the window already.
        outsideWords: the words around it; one that is there twice counts twice.
        word2Ind: the ids of the words.
        centerWordVectors: (V, D), v.
        outsideVectors: (V, D), u.
        dataset: handed on to the loss.
        word2vecLossAndGradient: naiveSoftmaxLossAndGradient, negSamplingLossAndGradient or one like them.

    Returns:
        The loss, its gradient (V, D) for v, with one row that is not 0, and (V, D) for u.

    Raises:
        KeyError: word2Ind has no such word.
        TypeError, ValueError: a shape does not fit, or an id is no word.

    Example:
        >>> ids, v, u = {"a": 0, "b": 1, "c": 2}, np.ones((3, 2)), np.zeros((3, 2))
        >>> loss, center, outside = skipgram("b", 1, ["a", "c"], ids, v, u, None)
        >>> round(loss, 4), outside[:, 0]  # 2 log 3
        (2.1972, array([-0.33333333,  0.66666667, -0.33333333]))
    """
    v, u = as_floats("centerWordVectors", centerWordVectors), as_floats("outsideVectors", outsideVectors)
    if v.ndim != 2:
        raise ValueError(f"centerWordVectors: expected shape (V, D), got {v.shape}")
    center = _word("currentCenterWord", word2Ind[currentCenterWord], len(v))
    loss, of_centers, of_outsides = 0.0, np.zeros_like(v), np.zeros_like(u)
    for word in outsideWords:
        part, of_center, of_outside = word2vecLossAndGradient(v[center], word2Ind[word], u, dataset)
        loss += part
        of_centers[center] += of_center
        of_outsides += of_outside
    return loss, of_centers, of_outsides


def _pair(center: ArrayLike, outsides: ArrayLike, outside: int) -> tuple[Array, Array, int]:
    v, u = as_floats("centerWordVec", center), as_floats("outsideVectors", outsides)
    if u.ndim != 2:
        raise ValueError(f"outsideVectors: expected shape (V, D), got {u.shape}")
    if v.shape != u.shape[1:]:
        raise ValueError(f"centerWordVec: expected shape (D,) with D = {u.shape[1]}, got {v.shape}")
    return v, u, _word("outsideWordIdx", outside, len(u))


def _word(name: str, word: int, num_words: int) -> int:
    number = check_int(name, word, 0)
    if number >= num_words:
        raise ValueError(f"{name}: expected an id in [0, {num_words}), got {number}")
    return number
