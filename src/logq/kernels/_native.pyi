"""The compiled backend of logq.kernels; its C++ lies in the folder `native`."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["alias_table", "simd_levels", "word2vec_train"]

def alias_table(
    weights: NDArray[np.float64],  # (C,)
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Build Walker's alias table of a law over C classes, in one sweep over its weights.

    Draw cell i with probability 1/C: it gives class i with probability accept[i], otherwise class alias[i], so that

        P(y) = (accept[y] + sum over i with alias[i] = y of (1 - accept[i])) / C

    A class of weight 0 has accept 0 and is nobody's alias. The table depends on the weights only, bit for bit.

    Args:
        weights: (C,) float64, contiguous, on the CPU; finite, >= 0, any positive sum. Anything else that has the
            buffer or DLPack protocol and this dtype, such as a torch tensor, will do.

    Returns:
        accept (C,) float64 in [0, 1] and alias (C,) int32.

    Raises:
        TypeError: `weights` is no such array (other dtypes are not converted).
        ValueError: a weight is negative or not finite, all are zero, or there are none or 2**31 and more.
    """

def simd_levels() -> list[str]:
    """Return the sets of instructions that run here, the fastest first."""

def word2vec_train(
    inputs: NDArray[np.float32],  # (V, stride)
    outputs: NDArray[np.float32],  # (V, stride) or (V - 1, stride)
    ids: NDArray[np.int32],  # (n,)
    *,
    begin: int,
    end: int,
    position: int,
    seed: int,
    keep: NDArray[np.uint32],  # (V,)
    cells: NDArray[np.uint64],  # (V,), or empty for hierarchical softmax
    offsets: NDArray[np.int64],  # (V + 1,) for hierarchical softmax, else empty
    points: NDArray[np.int32],
    codes: NDArray[np.uint8],
    window: int,
    negatives: int,
    skip_gram: bool,
    mean: bool,
    shared: bool,
    block: int,
    negative_weight: float,
    pool: int,
    rate_start: float,
    rate_slope: float,
    rate_floor: float,
    threads: int,
    simd: str,
) -> tuple[int, int, float]:
    """Train on ids[begin:end], in place; logq.kernels.word2vec says what each argument is.

    Returns:
        Pairs trained, those of them whose loss was reckoned, and the sum of these losses.

    Raises:
        TypeError: an array has another dtype or layout.
        ValueError: sizes do not fit, or a number is out of range.
    """
