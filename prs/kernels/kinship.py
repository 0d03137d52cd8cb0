"""Kernel of kinship: counts of genotype pairs from packed calls, two bits a person."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prs.kernels._bits import popcount
from prs.kernels._jit import jit

__all__ = ["count_pairs"]


@jit
def count_pairs(
    het: NDArray[np.uint64],
    first: NDArray[np.uint64],
    second: NDArray[np.uint64],
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    both_het: NDArray[np.int32],
    opposite: NDArray[np.int32],
    het_row: NDArray[np.int32],
    het_column: NDArray[np.int32],
) -> None:
    """Add, for pairs of people, the counts that KING-robust is made of, over one block of variants.

    Parameters
    ----------
    het, first, second : ndarray of uint64, shape (N, W)
        Bit v of a person: heterozygous, two copies of one allele, two of the other, at variant
        v; no bit where the call is missing.
    rows, columns : ndarray of int64, shapes (R,) and (C,)
        People: each of `rows` with each of `columns`.
    both_het, opposite : ndarray of int32, shape (R, C)
        Variants at which both are heterozygous; at which they are opposite homozygotes.
    het_row, het_column : ndarray of int32, shape (R, C)
        Heterozygous calls of the one (other) at variants where both are called.
    """
    for a in range(len(rows)):
        i = rows[a]
        for b in range(len(columns)):
            j = columns[b]
            n_both = np.int64(0)
            n_opposite = np.int64(0)
            n_i = np.int64(0)
            n_j = np.int64(0)
            for w in range(het.shape[1]):
                hi, hj = het[i, w], het[j, w]
                ai, aj = first[i, w], first[j, w]
                bi, bj = second[i, w], second[j, w]
                n_both += popcount(hi & hj)
                n_opposite += popcount((ai & bj) | (bi & aj))
                n_i += popcount(hi & (hj | aj | bj))
                n_j += popcount(hj & (hi | ai | bi))
            both_het[a, b] += n_both
            opposite[a, b] += n_opposite
            het_row[a, b] += n_i
            het_column[a, b] += n_j
