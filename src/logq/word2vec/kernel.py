"""The compiled kernel of word2vec: skip-gram and CBOW trained in place on numpy arrays, without autograd and torch.

It fuses draws, dot products and updates, so it is not an op with a reference in torch: `logq.word2vec.plain_engine` has
the same steps in plain PyTorch, and a test holds this to them. The C++ is in `logq/kernels/native/word2vec`.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim, check_bool, check_float, check_int
from logq.huffman import HuffmanTree
from logq.kernels import _native
from logq.vectors.word_parts import WordParts

__all__ = [
    "Losses",
    "Setup",
    "alias_cells",
    "cells_of_partitions",
    "keep_thresholds",
    "simd_levels",
    "table",
    "train",
]

Floats: TypeAlias = NDArray[np.float32]

_ALIGNMENT = 64  # bytes: a line of the cache, and the widest register


@dataclass(frozen=True)
class Losses:
    """Losses of a span of text.

    Args:
        pairs: (context word, word to predict) for skip-gram, words to predict for CBOW.
        loss_sum: nats, of those whose loss was computed: about one in Setup.loss_every.
        loss_pairs: how many pairs that were.
    """

    pairs: int
    loss_sum: float
    loss_pairs: int

    @classmethod
    def total(cls, parts: "Iterable[Losses]") -> "Losses":
        """Return the losses of several spans together.

        Example:
            >>> Losses.total([Losses(2, 1.5, 1), Losses(3, 0.5, 1)])
            Losses(pairs=5, loss_sum=2.0, loss_pairs=2)
        """
        every = list(parts)
        return cls(
            sum(part.pairs for part in every),
            math.fsum(part.loss_sum for part in every),
            sum(part.loss_pairs for part in every),
        )


@dataclass(frozen=True)
class Setup:
    """What stays the same during training.

    Args:
        keep: (V,) uint32 from `keep_thresholds`.
        window: maximum reach; that of each word is uniform in 1..window.
        shrink: False lets all words reach as far as `window`.
        skip_gram: True for skip-gram, False for CBOW.
        mean: whether CBOW takes the mean of the context, or its sum.
        cells: (V,) uint64 from `alias_cells`, for negative sampling.
        negatives: k, of each pair.
        shared: whether the pairs of a window share negatives and are trained at once. False is the order of word2vec.c.
        pool: with shared negatives, number of draws that about a thousand words choose theirs from: their rows stay in
            the cache. 0 draws new ones for every window.
        block: number of neighboring windows that are trained at once. Those of skip-gram share their negatives, with
            all of which each is trained; those of CBOW have their own.
        tree: for hierarchical softmax, instead of negative sampling.
        parts: for subwords, the rows of the input table that each word consists of.
        threads: number of threads that train at the same time, without locks.
        simd: one of `simd_levels()`, or "auto" for the first.
        loss_every: the loss of about one pair in this many is computed, a power of two: 1 takes all of them.
        partition_cells, shares: instead of `cells`, from `cells_of_partitions`, where both tables are cut in P
            partitions of which a call trains one and one; see `train`. For skip-gram with shared negatives and blocks
            of 1 alone.
    """

    keep: NDArray[np.uint32]
    window: int
    shrink: bool = True
    skip_gram: bool = True
    mean: bool = True
    cells: NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, np.uint64))
    negatives: int = 5
    shared: bool = True
    pool: int = 256
    block: int = 1
    tree: HuffmanTree | None = None
    parts: WordParts | None = None
    threads: int = 1
    simd: str = "auto"
    loss_every: int = 64
    partition_cells: tuple[NDArray[np.uint64], ...] = ()
    shares: NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, np.uint64))


def simd_levels() -> list[str]:
    """Return the instruction sets that the kernel is compiled for and that this machine has, the fastest first.

    Example:
        >>> simd_levels()[-1]
        'generic'
    """
    return _native.simd_levels()


def table(rows: int, dim: int) -> Floats:
    """Return zeros (rows, stride) as the kernel needs them: aligned, `stride` being `dim` rounded up to 16.

    The columns beyond `dim` must stay 0.

    Example:
        >>> made = table(3, 20)
        >>> made.shape, made.ctypes.data % 64
        ((3, 32), 0)
    """
    stride = -(-dim // 16) * 16
    memory = np.zeros(rows * stride + _ALIGNMENT // 4, dtype=np.float32)
    start = -(memory.ctypes.data // 4) % (_ALIGNMENT // 4)
    return memory[start : start + rows * stride].reshape(rows, stride)


def keep_thresholds(
    probability: NDArray[np.float64],  # (V,)
) -> NDArray[np.uint32]:
    """Return the largest 32 random bits with which a word stays, (V,) uint32.

    Raises:
        ArgumentError: a probability is not in [0, 1].

    Example:
        >>> keep_thresholds(np.array([1.0, 0.25])).tolist()
        [4294967295, 1073741823]
    """
    wrong = ~((probability >= 0) & (probability <= 1))  # NaN as well
    if wrong.any():
        word = int(wrong.argmax())
        raise ArgumentError("probability", "numbers in [0, 1]", Verbatim(f"{probability[word]:g} for word {word}"))
    return np.maximum(np.ceil(probability * 2.0**32) - 1, 0).astype(np.uint32)


def alias_cells(
    weights: NDArray[np.float64],  # (V,)
) -> NDArray[np.uint64]:
    """Return Walker's alias table as the kernel reads it: a word's share of its cell in 2**32 parts, and its alias.

    Args:
        weights: of the words in the distribution of the negatives.

    Returns:
        (V,) uint64, share + 2**32 alias.

    References:
        Walker, An Efficient Method for Generating Discrete Random Variables, ACM TOMS 3(3), 1977.

    Example:
        >>> (alias_cells(np.array([3.0, 1.0])) >> np.uint64(32)).tolist()
        [0, 0]
    """
    accept, alias = _native.alias_table(np.ascontiguousarray(weights, dtype=np.float64))
    share = np.minimum(np.rint(accept * 2.0**32), 2.0**32 - 1).astype(np.uint64)
    # A full cell cannot be rounded up to 2**32 parts: it is its own alias.
    return share | (alias.astype(np.uint64) << np.uint64(32))


def cells_of_partitions(
    weights: NDArray[np.float64],  # (V,)
    partitions: int,
) -> tuple[tuple[NDArray[np.uint64], ...], NDArray[np.uint64]]:
    """Return the alias cells of each partition, and the share of the weights that it and those before it have.

    Args:
        weights: of the words in the distribution of the negatives.
        partitions: P; partition p has the words w with w % P = p.

    Returns:
        P arrays as from `alias_cells`, and (P,) uint64, shares in 2**64 parts.

    Example:
        >>> cells, shares = cells_of_partitions(np.array([2.0, 1.0, 1.0]), 2)
        >>> [len(of_partition) for of_partition in cells], (shares / 2.0**64).tolist()
        ([2, 1], [0.75, 1.0])
    """
    masses = np.array([weights[first::partitions].sum() for first in range(partitions)])
    shares = np.minimum(np.cumsum(masses / masses.sum()) * 2.0**64, 2.0**64 - 2.0**11).astype(np.uint64)
    shares[-1] = 2**64 - 1
    return tuple(alias_cells(weights[first::partitions]) for first in range(partitions)), shares


def train(
    inputs: Floats,  # (V, stride), or (V + R, stride) for subwords
    outputs: Floats,  # (V, stride), or (V - 1, stride) for hierarchical softmax
    ids: NDArray[np.int32],  # (n,)
    setup: Setup,
    *,
    begin: int,
    end: int,
    position: int,
    seed: int,
    rate: tuple[float, float, float],
    bucket: tuple[int, int] = (0, 0),
) -> Losses:
    """Train both tables, in place, to predict the words ids[begin:end].

    What is drawn at a word depends only on `seed` and its position in the corpus: with one thread the result is the
    same, bit for bit, in however many calls the text is trained. The interpreter's lock is released meanwhile.

    With subwords a word that some window can reach is the mean of its rows as it was when it came into reach. It is
    trained there like any other, and when it leaves, each of its rows gains what it has gained.

    Args:
        inputs: word vectors, from `table`; with several partitions a part of them.
        outputs: output vectors, or those of the inner nodes of the tree.
        ids: words in [0, V), negative numbers where sentences end. Those outside of [begin, end) are context only.
        setup: the rest.
        begin: index of the first word to predict.
        end: index behind the last.
        position: of ids[0] in the corpus.
        seed: of this pass over the corpus, in [0, 2**64).
        rate: (start, slope, floor): the learning rate at position p is max(floor, start - slope p).
        bucket: where tables are cut in P parts, which part of the inputs and which of the outputs they are. Part p has
            the words w with w % P = p, in rows w // P. The P * P buckets have together the pairs of the whole tables,
            each of them once, and as many negatives: those of a window come from one part, which is drawn.

    Returns:
        The losses, before each update. A pair counts in the bucket of its two words, the loss of a negative in its own.

    Raises:
        ArgumentTypeError: an array has another dtype, or a number or switch is not one.
        ArgumentError: sizes or layouts do not fit, an id is not a word, or a number is out of range.
        MemoryError: windows and negatives of these numbers need more than there is.

    References:
        Mikolov et al., Distributed Representations of Words and Phrases, 2013, arXiv:1310.4546, Eq. 4 and Eq. 3.
        Ji et al., Parallelizing Word2Vec in Shared and Distributed Memory, 2016, arXiv:1604.04661: shared negatives.

    Example:
        >>> inputs, outputs = table(2, 4), table(2, 4)
        >>> inputs[:, :4] = 0.1
        >>> setup = Setup(keep_thresholds(np.ones(2)), window=1, cells=alias_cells(np.ones(2)), negatives=1)
        >>> ids = np.array([0, 1, -1], dtype=np.int32)
        >>> train(inputs, outputs, ids, setup, begin=0, end=3, position=0, seed=1, rate=(0.1, 0, 0)).pairs
        2
    """
    tree, word_parts = setup.tree, setup.parts
    part_offsets = np.zeros(0, np.int64) if word_parts is None else word_parts.offsets
    parts = np.zeros(0, np.int32) if word_parts is None else word_parts.rows
    offsets = np.zeros(0, np.int64) if tree is None else tree.offsets
    points = np.zeros(0, np.int32) if tree is None else tree.points
    codes = np.zeros(0, np.uint8) if tree is None else tree.codes
    for name, array, dtype, dims in (
        ("inputs", inputs, np.float32, 2),
        ("outputs", outputs, np.float32, 2),
        ("part_offsets", part_offsets, np.int64, 1),
        ("parts", parts, np.int32, 1),
        ("ids", ids, np.int32, 1),
        ("keep", setup.keep, np.uint32, 1),
        ("cells", setup.cells, np.uint64, 1),
        ("offsets", offsets, np.int64, 1),
        ("points", points, np.int32, 1),
        ("codes", codes, np.uint8, 1),
    ):
        _check_array(name, array, dtype, dims)
    last = max(0, len(setup.partition_cells) - 1)
    partition = [_check_size("bucket", number, 0, last) for number in bucket]
    if np.may_share_memory(inputs, outputs):
        raise ArgumentError("outputs", "its own memory", Verbatim("memory shared with inputs"))
    if not isinstance(setup.simd, str):
        raise ArgumentTypeError("simd", "a name", setup.simd)
    start, slope, floor = (check_float("rate", number) for number in rate)
    pairs, loss_pairs, loss_sum = _native.word2vec_train(
        inputs,
        outputs,
        part_offsets,
        parts,
        ids,
        begin=_check_size("begin", begin, 0, 2**62),
        end=_check_size("end", end, 0, 2**62),
        position=_check_size("position", position, 0, 2**62),
        seed=_check_size("seed", seed, 0, 2**64 - 1),
        keep=setup.keep,
        cells=setup.partition_cells[partition[1]] if setup.partition_cells else setup.cells,
        offsets=offsets,
        points=points,
        codes=codes,
        window=_check_size("window", setup.window, 1, 10_000),
        shrink=check_bool("shrink", setup.shrink),
        negatives=_check_size("negatives", setup.negatives, 1, 10_000),
        skip_gram=check_bool("skip_gram", setup.skip_gram),
        mean=check_bool("mean", setup.mean),
        shared=check_bool("shared", setup.shared),
        block=_check_size("block", setup.block, 1, 64),
        pool=_check_size("pool", setup.pool, 0, 2**20) if setup.shared else 0,
        rate_start=start,
        rate_slope=slope,
        rate_floor=floor,
        threads=_check_size("threads", setup.threads, 1, 2**20),
        simd=setup.simd,
        loss_every=_check_size("loss_every", setup.loss_every, 1, 2**30),
        shares=setup.shares,
        input_partition=partition[0],
        output_partition=partition[1],
    )
    return Losses(pairs, loss_sum, loss_pairs)


def _check_array(name: str, array: Any, dtype: DTypeLike, dims: int) -> None:
    if not isinstance(array, np.ndarray) or array.dtype != dtype:
        got = Verbatim(f"dtype {array.dtype}") if isinstance(array, np.ndarray) else array
        raise ArgumentTypeError(name, f"a numpy array of dtype {np.dtype(dtype)}", got)
    if array.ndim != dims:
        raise ArgumentError(name, f"{dims} dimensions", Verbatim(f"shape {array.shape}"))
    if not array.flags.c_contiguous:
        raise ArgumentError(name, "contiguous memory", Verbatim(f"strides of {array.strides} bytes"))
    if dims == 2 and not array.flags.writeable:
        raise ArgumentError(name, "an array to write to", Verbatim("one that is read only"))


def _check_size(name: str, value: int, low: int, high: int) -> int:
    number = check_int(name, value, low)
    if number > high:
        raise ArgumentError(name, f"at most {high:,}", Verbatim(f"{number:,}"))
    return number
