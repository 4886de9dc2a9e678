"""The compiled backend of logq.kernels; its C++ lies in the folder `native`."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["alias_table"]

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
