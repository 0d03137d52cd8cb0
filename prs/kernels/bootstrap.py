"""Kernel of the bootstrap: column sums of resampled people."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prs.kernels._jit import jit
from prs.kernels.rng import draw_u64

__all__ = ["resample_sums"]

_U32 = np.uint64(32)
_LOW32 = np.uint64(0xFFFFFFFF)


@jit
def resample_sums(
    columns: NDArray[np.float64],
    streams: NDArray[np.uint64],
    counts: NDArray[np.int32],
    sums: NDArray[np.float64],
) -> None:
    """Add the column sums of bootstrap samples to `sums`, one sample a stream.

    People are drawn by 32 random bits r as floor(r M / 2^32): no person's probability is off by
    more than M / 2^32 of itself.

    Parameters
    ----------
    columns : ndarray of float64, shape (M, C)
        Of the people to be resampled, M with replacement.
    streams : ndarray of uint64, shape (B, 4)
        State of each sample's random numbers (advanced).
    counts : ndarray of int32, shape (M,)
        Work space.
    sums : ndarray of float64, shape (B, C)
        Added to.
    """
    n, n_columns = columns.shape
    size = np.uint64(n)
    for sample in range(len(streams)):
        state = streams[sample]
        for i in range(n):
            counts[i] = 0
        for _ in range(n >> 1):
            bits = draw_u64(state)
            counts[np.int64(((bits >> _U32) * size) >> _U32)] += 1
            counts[np.int64(((bits & _LOW32) * size) >> _U32)] += 1
        if n & 1:
            counts[np.int64(((draw_u64(state) >> _U32) * size) >> _U32)] += 1
        for i in range(n):
            times = counts[i]
            if times != 0:
                for c in range(n_columns):
                    sums[sample, c] += times * columns[i, c]
