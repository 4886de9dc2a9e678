"""From ids to batches of training examples for skip-gram and CBOW."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from logq.data import cbow_windows, reduced_windows, skipgram_pairs, subsample_sentences

__all__ = ["Batch", "examples"]


class Batch(NamedTuple):
    """Training examples, and how many entries of the text are done with them.

    Args:
        inputs: (B,) for skip-gram, (B, 2 * window) padded with -1 for CBOW; int64.
        targets: (B,) int64.
        entries: ids and ends of sentences that were read for them.
    """

    inputs: Tensor
    targets: Tensor
    entries: int


def examples(
    ids: NDArray[np.int32],  # (n,)
    *,
    skip_gram: bool,
    window: int,
    keep_probability: NDArray[np.float64],
    batch_size: int,
    rng: np.random.Generator,
) -> Iterator[Batch]:
    """Thin out the words of some text, make windows, shuffle the examples and batch them.

    Frequent words are thinned out first, so windows reach further in the text, as in word2vec.c. Examples are shuffled:
    a batch is one step, and should not be all about one sentence.

    Args:
        ids: words, and -1 where sentences end.
        skip_gram: pairs, or the windows of CBOW.
        window: the widest reach of a window; each is uniform in 1..window.
        keep_probability: (V,) from Vocabulary.keep_probability.
        batch_size: B.
        rng: of all of it.

    Returns:
        Batches; the last one may be smaller.

    Example:
        >>> batches = examples(
        ...     np.array([0, 1, 2, -1]), skip_gram=True, window=1, batch_size=8,
        ...     keep_probability=np.ones(3), rng=np.random.default_rng(0),
        ... )
        >>> [sorted(zip(batch.inputs.tolist(), batch.targets.tolist())) for batch in batches]
        [[(0, 1), (1, 0), (1, 2), (2, 1)]]
    """
    entries = len(ids)
    ends = np.append(np.flatnonzero(ids < 0), entries)
    lengths = np.diff(ends, prepend=-1) - 1
    kept, kept_lengths = subsample_sentences(ids[ids >= 0].astype(np.int64), lengths, keep_probability, rng)
    windows = reduced_windows(len(kept), window, rng)
    if skip_gram:
        inputs, targets = skipgram_pairs(kept, kept_lengths, windows)
    else:
        inputs, targets = cbow_windows(kept, kept_lengths, windows, window=window)
    order = rng.permutation(len(targets))
    shuffled = torch.from_numpy(inputs[order]), torch.from_numpy(targets[order])
    # The entries are spread over the batches; text without examples yields an empty batch for them.
    batches = list(zip(shuffled[0].split(batch_size), shuffled[1].split(batch_size), strict=True))
    for number, batch in enumerate(batches):
        share = entries * (number + 1) // len(batches) - entries * number // len(batches)
        yield Batch(*batch, share)
