"""The functions of the assignment on word2vec of Stanford's CS224n, under its names, in numpy.

The course hands out functions to fill in; these are complete, with explicit gradients and without loops over words or
numbers. Letters: D dimensions, V words. A `dataset` is anything with `sampleTokenIdx()`, which draws the id of a word.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim, check_int

__all__ = [
    "getNegativeSamples",
    "gradcheck_naive",
    "naiveSoftmaxLossAndGradient",
    "negSamplingLossAndGradient",
    "normalizeRows",
    "sigmoid",
    "skipgram",
    "softmax",
]

Array = NDArray[Any]


def sigmoid(x: ArrayLike) -> Array:
    """Return 1 / (1 + exp(-x)), without overflow.

    Go on to: torch.sigmoid.

    Args:
        x: numbers of any shape.

    Returns:
        The same shape.

    Example:
        >>> sigmoid(np.array([0.0, -1000.0]))
        array([0.5, 0. ])
    """
    x = _as_floats("x", x)
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, small) / (1.0 + small)


def softmax(x: ArrayLike) -> Array:
    """Return exp(x_i) / sum_j exp(x_j) of each row, without overflow.

    Differs from the course: the result is a new array, and x is not changed.

    Go on to: torch.softmax.

    Args:
        x: (V,) or (N, V); the sum goes over the last dimension.

    Returns:
        The same shape.

    Example:
        >>> softmax(np.array([[1000.0, 1000.0], [0.0, np.log(3.0)]]))
        array([[0.5 , 0.5 ],
               [0.25, 0.75]])
    """
    x = _as_floats("x", x)
    if x.ndim == 0 or x.shape[-1] == 0:
        raise ArgumentError("x", "shape (V,) or (N, V) with V >= 1", x.shape)
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def normalizeRows(x: ArrayLike) -> Array:
    """Return each row divided by its length; rows of zeros stay zero.

    Differs from the course: the result is a new array, and x is not changed; nothing is added to the length.

    Go on to: torch.nn.functional.normalize.

    Args:
        x: (N, D).

    Returns:
        (N, D).

    Example:
        >>> normalizeRows(np.array([[3.0, 4.0], [0.0, 0.0]]))
        array([[0.6, 0.8],
               [0. , 0. ]])
    """
    x = _as_floats("x", x)
    if x.ndim != 2:
        raise ArgumentError("x", "shape (N, D)", x.shape)
    length = np.sqrt((x**2).sum(axis=1, keepdims=True))
    return x / np.where(length > 0, length, 1)


def gradcheck_naive(f: Callable[[Array], tuple[Any, Array]], x: Array, gradientText: str = "") -> bool:
    """Compare a gradient with differences of the function, one number of x after the other.

        |n - g| / max(1, |n|, |g|) <= 1e-5,    n = (f(x + h) - f(x - h)) / 2h,  h = 1e-4

    The global generators of Python and numpy have the same state at each call of f, so that it may draw. Prints that
    the check passed, or the first position where it failed.

    Differs from the course: it also returns whether it passed, and restores numpy's generator as well as Python's.

    Go on to: torch.autograd.gradcheck, in float64.

    Args:
        f: x -> (value, gradient of the shape of x).
        x: floats; changed during the check, and restored afterwards.
        gradientText: what is checked, for the message.

    Returns:
        Whether the check passed.

    Raises:
        ArgumentTypeError, ArgumentError: x is not an array of floats, or the gradient has another shape.

    Example:
        >>> gradcheck_naive(lambda x: (np.sum(x**2), x * 2), np.array([1.0, -3.0]), "squares")
        Gradient check passed for squares
        True
        >>> gradcheck_naive(lambda x: (np.sum(x**2), x * 3), np.array([0.0, 1.0]), "squares")
        Gradient check failed for squares: at (1,) the gradient is 3, the numerical one 2
        False
    """
    if not isinstance(x, np.ndarray) or x.dtype.kind != "f":
        raise ArgumentTypeError("x", "an array of floats", x)
    states = random.getstate(), np.random.get_state()

    def value(at: Array) -> tuple[Any, Array]:
        random.setstate(states[0])
        np.random.set_state(states[1])
        return f(at)

    h = 1e-4
    gradient = np.array(value(x)[1])
    if gradient.shape != x.shape:
        raise ArgumentError("f", f"a gradient of shape {x.shape} as x", gradient.shape)
    about = f" for {gradientText}" if gradientText else ""
    for position in np.ndindex(x.shape):
        before = x[position]
        try:
            x[position] = before + h
            above = value(x)[0]
            x[position] = before - h
            below = value(x)[0]
        finally:
            x[position] = before
        numerical, given = float((above - below) / (2 * h)), float(gradient[position])
        # Written so that a NaN fails.
        if not abs(numerical - given) <= 1e-5 * max(1.0, abs(numerical), abs(given)):
            gradients = f"the gradient is {given:g}, the numerical one {numerical:g}"
            print(f"Gradient check failed{about}: at {position} {gradients}")
            return False
    print(f"Gradient check passed{about}")
    return True


class Dataset(Protocol):
    """A source of negatives."""

    def sampleTokenIdx(self) -> int:
        """Draw the id of a word."""
        ...


LossAndGradient = Callable[[Array, int, Array, Any], tuple[float, Array, Array]]


def naiveSoftmaxLossAndGradient(
    centerWordVec: ArrayLike, outsideWordIdx: int, outsideVectors: ArrayLike, dataset: object = None
) -> tuple[float, Array, Array]:
    """Return the softmax loss over all words of one pair, and its gradients.

        loss = -log( exp(<u_o, v>) / sum_w exp(<u_w, v>) )

    Go on to: logq.functional.full_softmax_loss, which takes batches and never has all their logits in memory.

    Args:
        centerWordVec: (D,), v.
        outsideWordIdx: o.
        outsideVectors: (V, D), u.
        dataset: not used.

    Returns:
        The loss, its gradient (D,) for v, and (V, D) for u.

    Raises:
        ArgumentTypeError, ArgumentError: a shape does not fit, or o is not a word.

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
    """Draw K words one after the other, and again where one is the outside word.

    Go on to: logq.samplers.Unigram.

    Args:
        outsideWordIdx: the word that is not a negative.
        dataset: draws words.
        K: number of words.

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
    """Return the loss of negative sampling of one pair, with K negatives from getNegativeSamples, and its gradients.

        loss = -log sigmoid(<u_o, v>) - sum_{k = 1..K} log sigmoid(-<u_k, v>)

    A negative that is drawn n times counts n times.

    Go on to: logq.functional.negative_sampling_loss, which takes batches; its negatives may be the outside word.

    Args:
        centerWordVec: (D,), v.
        outsideWordIdx: o.
        outsideVectors: (V, D), u.
        dataset: draws negatives.
        K: number of negatives.

    Returns:
        The loss, its gradient (D,) for v, and (V, D) for u.

    Raises:
        ArgumentTypeError, ArgumentError: a shape does not fit, or o or a negative is not a word.

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
    words = np.array([o, *(_word("dataset", word, len(u)) for word in getNegativeSamples(o, dataset, K))])
    signs = np.ones(len(words), dtype=u.dtype)
    signs[0] = -1.0
    rows = u[words]
    scores = signs * (rows @ v)
    loss = float(np.logaddexp(0.0, scores).sum())
    slopes = signs * sigmoid(scores)
    outside = np.zeros_like(u)
    np.add.at(outside, words, slopes[:, None] * v)  # which adds for a word that is there several times
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
    """Return the skip-gram loss of one word and the words around it, the sum over all pairs, and its gradients.

    Go on to: logq.Word2Vec, which fits a corpus.

    Args:
        currentCenterWord: the word in the middle.
        windowSize: not used, as `outsideWords` are those of the window already.
        outsideWords: the words around it; one that is there twice counts twice.
        word2Ind: the ids of the words.
        centerWordVectors: (V, D), v.
        outsideVectors: (V, D), u.
        dataset: passed on to the loss.
        word2vecLossAndGradient: naiveSoftmaxLossAndGradient, negSamplingLossAndGradient or one like them.

    Returns:
        The loss, its gradient (V, D) for v, with one row that is not 0, and (V, D) for u.

    Raises:
        KeyError: word2Ind has no such word.
        ArgumentTypeError, ArgumentError: a shape does not fit, or an id is not a word.

    Example:
        >>> ids, v, u = {"a": 0, "b": 1, "c": 2}, np.ones((3, 2)), np.zeros((3, 2))
        >>> loss, center, outside = skipgram("b", 1, ["a", "c"], ids, v, u, None)
        >>> round(loss, 4), outside[:, 0]  # 2 log 3
        (2.1972, array([-0.33333333,  0.66666667, -0.33333333]))
    """
    v, u = _as_floats("centerWordVectors", centerWordVectors), _as_floats("outsideVectors", outsideVectors)
    if v.ndim != 2:
        raise ArgumentError("centerWordVectors", "shape (V, D)", v.shape)
    center = _word("currentCenterWord", word2Ind[currentCenterWord], len(v))
    loss, of_centers, of_outsides = 0.0, np.zeros_like(v), np.zeros_like(u)
    for word in outsideWords:
        part, of_center, of_outside = word2vecLossAndGradient(v[center], word2Ind[word], u, dataset)
        loss += part
        of_centers[center] += of_center
        of_outsides += of_outside
    return loss, of_centers, of_outsides


def _pair(center: ArrayLike, outsides: ArrayLike, outside: int) -> tuple[Array, Array, int]:
    v, u = _as_floats("centerWordVec", center), _as_floats("outsideVectors", outsides)
    if u.ndim != 2:
        raise ArgumentError("outsideVectors", "shape (V, D)", u.shape)
    if v.shape != u.shape[1:]:
        raise ArgumentError("centerWordVec", f"shape (D,) with D = {u.shape[1]}", v.shape)
    return v, u, _word("outsideWordIdx", outside, len(u))


def _word(name: str, word: int, num_words: int) -> int:
    number = check_int(name, word, 0)
    if number >= num_words:
        raise ArgumentError(name, f"an id in [0, {num_words})", number)
    return number


def _as_floats(name: str, given: ArrayLike) -> Array:
    """Return an array of floats of the same width; other numbers become float64."""
    array = np.asarray(given)
    if array.dtype.kind not in "biuf":
        raise ArgumentTypeError(name, "numbers", Verbatim(f"dtype {array.dtype}"))
    return array if array.dtype.kind == "f" else array.astype(np.float64)
