"""Kernels that multiply packed genotypes by weights without ever unpacking them.

Four variants at a time: the four 2-bit codes of one person make one byte, and a table of 256
sums, built once for the four variants, turns that byte into what the four add to the score.
One look-up and one addition then stand for four genotypes (the "four Russians" method of
Arlazarov et al. 1970).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prs.kernels._bits import popcount
from prs.kernels._jit import jit

__all__ = [
    "GROUP",
    "accumulate_column",
    "accumulate_columns",
    "count_missing",
    "count_row_codes",
    "interleave",
]

#: Rows are padded to a multiple of this many variants: four tables of four variants a step.
GROUP = 16

_PAIRS_LOW = np.uint64(0x3333333333333333)
_PAIRS_HIGH = np.uint64(0xCCCCCCCCCCCCCCCC)
_NIBBLES_LOW = np.uint64(0x0F0F0F0F0F0F0F0F)
_NIBBLES_HIGH = np.uint64(0xF0F0F0F0F0F0F0F0)
_ODD_BITS = np.uint64(0x5555555555555555)
_ONE = np.uint64(1)
_TWO = np.uint64(2)
_FOUR = np.uint64(4)


@jit
def interleave(rows: NDArray[np.uint64], first: int, last: int, index: NDArray[np.uint64]) -> None:
    """Turn four packed rows into one byte a person that holds the four codes.

    Byte b of a packed row holds people 4b to 4b + 3. In each 4 x 4 square of codes (four
    variants, four people) rows and columns are exchanged, eight squares at a time.

    Parameters
    ----------
    rows : ndarray of uint64, shape (4 G, W)
        Packed rows, eight bytes a word.
    first, last : int
        Words to work on.
    index : ndarray of uint64, shape (G, 4, W)
        Filled; as bytes, ``index[g, k, b]`` holds for person 4b + k the codes of variants
        4g to 4g + 3, the first in the lowest bits.
    """
    for g in range(index.shape[0]):
        for w in range(first, last):
            a = rows[4 * g, w]
            b = rows[4 * g + 1, w]
            c = rows[4 * g + 2, w]
            d = rows[4 * g + 3, w]
            ab_even = (a & _PAIRS_LOW) | ((b & _PAIRS_LOW) << _TWO)
            ab_odd = ((a & _PAIRS_HIGH) >> _TWO) | (b & _PAIRS_HIGH)
            cd_even = (c & _PAIRS_LOW) | ((d & _PAIRS_LOW) << _TWO)
            cd_odd = ((c & _PAIRS_HIGH) >> _TWO) | (d & _PAIRS_HIGH)
            index[g, 0, w] = (ab_even & _NIBBLES_LOW) | ((cd_even & _NIBBLES_LOW) << _FOUR)
            index[g, 1, w] = (ab_odd & _NIBBLES_LOW) | ((cd_odd & _NIBBLES_LOW) << _FOUR)
            index[g, 2, w] = ((ab_even & _NIBBLES_HIGH) >> _FOUR) | (cd_even & _NIBBLES_HIGH)
            index[g, 3, w] = ((ab_odd & _NIBBLES_HIGH) >> _FOUR) | (cd_odd & _NIBBLES_HIGH)


@jit
def accumulate_column(
    index: NDArray[np.uint8],
    values: NDArray[np.float64],
    first: int,
    last: int,
    totals: NDArray[np.float64],
) -> None:
    """Add the variants of a chunk to one score of the people in a range of bytes.

    Parameters
    ----------
    index : ndarray of uint8, shape (G, 4, B)
        From `interleave`; G is a multiple of 4.
    values : ndarray of float64, shape (4 G, 4)
        What each variant adds, by code.
    first, last : int
        Bytes of the packed rows to work on: people 4 first to 4 last - 1.
    totals : ndarray of float64, shape (4, B)
        Added to; ``totals[k, b]`` is the score of person 4b + k.
    """
    tables = np.empty((4, 256))
    for step in range(0, index.shape[0], 4):
        for t in range(4):
            v = 4 * (step + t)
            for x in range(256):
                tables[t, x] = (values[v, x & 3] + values[v + 1, (x >> 2) & 3]) + (
                    values[v + 2, (x >> 4) & 3] + values[v + 3, x >> 6]
                )
        for k in range(4):
            for b in range(first, last):
                totals[k, b] += (
                    tables[0, index[step, k, b]] + tables[1, index[step + 1, k, b]]
                ) + (tables[2, index[step + 2, k, b]] + tables[3, index[step + 3, k, b]])


@jit
def accumulate_columns(
    index: NDArray[np.uint8],
    values: NDArray[np.float64],
    weights: NDArray[np.float64],
    first: int,
    last: int,
    totals: NDArray[np.float64],
) -> None:
    """Add the variants of a chunk to several scores of the people in a range of bytes.

    Parameters
    ----------
    index : ndarray of uint8, shape (G, 4, B)
        From `interleave`; G is a multiple of 4.
    values : ndarray of float64, shape (4 G, 4)
        The dosage that each code stands for.
    weights : ndarray of float64, shape (4 G, S)
        Weight of each variant in each score.
    first, last : int
        Bytes of the packed rows to work on: people 4 first to 4 last - 1.
    totals : ndarray of float64, shape (4, B, S)
        Added to; ``totals[k, b]`` are the scores of person 4b + k.
    """
    n_scores = weights.shape[1]
    tables = np.empty((4, 256, n_scores))
    for step in range(0, index.shape[0], 4):
        for t in range(4):
            v = 4 * (step + t)
            for x in range(256):
                a = values[v, x & 3]
                b = values[v + 1, (x >> 2) & 3]
                c = values[v + 2, (x >> 4) & 3]
                d = values[v + 3, x >> 6]
                for s in range(n_scores):
                    tables[t, x, s] = (a * weights[v, s] + b * weights[v + 1, s]) + (
                        c * weights[v + 2, s] + d * weights[v + 3, s]
                    )
        for k in range(4):
            for p in range(first, last):
                row0 = tables[0, index[step, k, p]]
                row1 = tables[1, index[step + 1, k, p]]
                row2 = tables[2, index[step + 2, k, p]]
                row3 = tables[3, index[step + 3, k, p]]
                out = totals[k, p]
                for s in range(n_scores):
                    out[s] += (row0[s] + row1[s]) + (row2[s] + row3[s])


@jit
def count_row_codes(
    rows: NDArray[np.uint64], mask: NDArray[np.uint64], counts: NDArray[np.int64]
) -> None:
    """Count codes 1, 2 and 3 in each packed row, over the people in a mask.

    Parameters
    ----------
    rows : ndarray of uint64, shape (M, W)
        Packed rows, eight bytes a word.
    mask : ndarray of uint64, shape (W,)
        The lower bit of each person who is counted; 0 elsewhere.
    counts : ndarray of int64, shape (M, 3)
        Filled: missing calls (code 1), one copy (code 2), no copy (code 3).
    """
    for v in range(rows.shape[0]):
        n_low = 0
        n_high = 0
        n_both = 0
        for w in range(rows.shape[1]):
            low = rows[v, w] & mask[w]
            high = (rows[v, w] >> _ONE) & mask[w]
            n_low += popcount(low)
            n_high += popcount(high)
            n_both += popcount(low & high)
        counts[v, 0] = n_low - n_both
        counts[v, 1] = n_high - n_both
        counts[v, 2] = n_both


@jit
def count_missing(
    index: NDArray[np.uint64],
    first: int,
    last: int,
    bytewise: NDArray[np.uint64],
) -> None:
    """Count each person's missing calls among at most 63 groups, eight people a word.

    Parameters
    ----------
    index : ndarray of uint64, shape (G, 4, W)
        From `interleave`, G at most 63 so that a byte holds the count; rows that only pad must
        not read as missing.
    first, last : int
        Words to work on.
    bytewise : ndarray of uint64, shape (4, W)
        Added to; as bytes, ``bytewise[k, b]`` belongs to person 4b + k.
    """
    for g in range(index.shape[0]):
        for k in range(4):
            for w in range(first, last):
                x = index[g, k, w]
                missing = x & ~(x >> _ONE) & _ODD_BITS
                missing = (missing & _PAIRS_LOW) + ((missing >> _TWO) & _PAIRS_LOW)
                bytewise[k, w] += (missing + (missing >> _FOUR)) & _NIBBLES_LOW
