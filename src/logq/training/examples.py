"""From sentences to batches of training examples for skip-gram and CBOW."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from logq.data import Vocabulary, cbow_windows, reduced_windows, skipgram_pairs, subsample_sentences

__all__ = ["Batch", "examples"]

CHUNK_WORDS = 20_000
"""How many words are windowed and shuffled at a time; about 1 MB of pairs for each word of the window."""


class Batch(NamedTuple):
    """Training examples, and how many words of the corpus are done with them.

    Args:
        inputs: (B,) for skip-gram, (B, 2 * window) padded with -1 for CBOW; int64.
        targets: (B,) int64.
        words: how many words of the corpus, those in the vocabulary, were read for them.
    """

    inputs: Tensor
    targets: Tensor
    words: int


def examples(
    sentences: Iterable[Sequence[str]],
    vocabulary: Vocabulary,
    *,
    skip_gram: bool,
    window: int,
    keep_probability: NDArray[np.float64],
    batch_size: int,
    rng: np.random.Generator,
) -> Iterator[Batch]:
    """One pass through a corpus: words are encoded, thinned out, windowed, shuffled among their neighbourhood, batched.

    Frequent words are thinned out first, so windows reach further in the text, as in word2vec.c. Examples are shuffled
    within CHUNK_WORDS words: a batch is one step, and should not be all about one sentence.

    Args:
        sentences: lists of words.
        vocabulary: whose words take part.
        skip_gram: pairs, or the windows of CBOW.
        window: the widest reach of a window; each is uniform in 1..window.
        keep_probability: (V,) from Vocabulary.keep_probability.
        batch_size: B.
        rng: of all of it.

    Returns:
        Batches; the last one of a chunk may be smaller.

    Example:
        >>> vocabulary = Vocabulary.build([["a", "b", "c"]], min_count=1)
        >>> batches = examples(
        ...     [["a", "b", "c"]], vocabulary, skip_gram=True, window=1, batch_size=8,
        ...     keep_probability=vocabulary.keep_probability(0), rng=np.random.default_rng(0),
        ... )
        >>> [sorted(zip(batch.inputs.tolist(), batch.targets.tolist())) for batch in batches]
        [[(0, 1), (1, 0), (1, 2), (2, 1)]]
    """
    for ids, lengths in _chunks(sentences, vocabulary):
        words = len(ids)
        kept, kept_lengths = subsample_sentences(ids, lengths, keep_probability, rng)
        windows = reduced_windows(len(kept), window, rng)
        if skip_gram:
            inputs, targets = skipgram_pairs(kept, kept_lengths, windows)
        else:
            inputs, targets = cbow_windows(kept, kept_lengths, windows, window=window)
        order = rng.permutation(len(targets))
        inputs, targets = torch.from_numpy(inputs[order]), torch.from_numpy(targets[order])
        # The words of a chunk are spread over its batches; one without examples yields an empty batch for them.
        batches = list(zip(inputs.split(batch_size), targets.split(batch_size), strict=True))
        for number, batch in enumerate(batches):
            share = words * (number + 1) // len(batches) - words * number // len(batches)
            yield Batch(*batch, share)


def _chunks(
    sentences: Iterable[Sequence[str]], vocabulary: Vocabulary
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Ids of about CHUNK_WORDS words, and how many belong to each sentence."""
    parts: list[NDArray[np.int64]] = []
    size = 0
    for sentence in sentences:
        parts.append(vocabulary.encode(sentence))
        size += len(parts[-1])
        if size >= CHUNK_WORDS:
            yield np.concatenate(parts), np.array([len(part) for part in parts])
            parts, size = [], 0
    if parts:
        yield np.concatenate(parts), np.array([len(part) for part in parts])
