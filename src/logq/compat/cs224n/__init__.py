"""What students of Stanford's CS224n write in the assignment on word2vec, under its names, in numpy.

The course hands out functions to fill in; these are filled in, with the gradients written out and without loops over
words or numbers. Letters: D numbers a vector, V words. A `dataset` is anything with `sampleTokenIdx()`, which draws the
id of a word.
"""

from logq.compat.cs224n.activations import normalizeRows, sigmoid, softmax
from logq.compat.cs224n.gradcheck import gradcheck_naive
from logq.compat.cs224n.losses import (
    getNegativeSamples,
    naiveSoftmaxLossAndGradient,
    negSamplingLossAndGradient,
    skipgram,
)

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
