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
    "MOST_ROWS",
    "accumulate_column",
    "accumulate_columns",
    "count_missing",
    "count_row_codes",
    "interleave",
]

#: Rows are padded to a multiple of this many variants: four tables of four variants a step.
GROUP = 16
#: Rows whose missing calls certainly fit a byte.
MOST_ROWS = 255

#: Words of people whose codes are transposed at once: they stay in the cache.
_STRIP = 512

_PAIRS_LOW = np.uint64(0x3333333333333333)
_PAIRS_HIGH = np.uint64(0xCCCCCCCCCCCCCCCC)
_NIBBLES_LOW = np.uint64(0x0F0F0F0F0F0F0F0F)
_NIBBLES_HIGH = np.uint64(0xF0F0F0F0F0F0F0F0)
_ODD_BITS = np.uint64(0x5555555555555555)
_BYTE = np.uint64(255)
_ZERO = np.uint64(0)
_ONE = np.uint64(1)
_TWO = np.uint64(2)
_FOUR = np.uint64(4)
_EIGHT = np.uint64(8)


# Loops over words read and write few arrays each: of more, LLVM does not check whether they
# overlap, and then does not vectorise the loop.


@jit
def _exchange(
    a: NDArray[np.uint64],
    b: NDArray[np.uint64],
    shift: np.uint64,
    low: np.uint64,
    high: np.uint64,
    even: NDArray[np.uint64],
    odd: NDArray[np.uint64],
) -> None:
    """Part two rows of fields into their even fields, side by side, and their odd ones."""
    for w in range(len(even)):
        even[w] = (a[w] & low) | ((b[w] & low) << shift)
        odd[w] = ((a[w] & high) >> shift) | (b[w] & high)


@jit
def _interleave_four(
    rows: NDArray[np.uint64],
    v: int,
    start: int,
    stop: int,
    pairs: NDArray[np.uint64],
    index: NDArray[np.uint64],
    at: int,
) -> None:
    """Do `interleave` for variants v to v + 3 and at most `_STRIP` words, to words from `at`."""
    n = stop - start
    for i in range(2):
        u = v + 2 * i
        _exchange(
            rows[u, start:stop], rows[u + 1, start:stop], _TWO, _PAIRS_LOW, _PAIRS_HIGH,
            pairs[2 * i, :n], pairs[2 * i + 1, :n],
        )  # fmt: skip
    for k in range(2):
        _exchange(
            pairs[k], pairs[2 + k], _FOUR, _NIBBLES_LOW, _NIBBLES_HIGH,
            index[k, at : at + n], index[2 + k, at : at + n],
        )  # fmt: skip


@jit
def interleave(rows: NDArray[np.uint64], first: int, last: int, index: NDArray[np.uint64]) -> None:
    """Turn four packed rows into one byte a person that holds the four codes.

    Byte b of a packed row holds people 4b to 4b + 3. In each 4 x 4 square of codes (four
    variants, four people) rows and columns are exchanged, eight squares at a time: first
    within pairs of variants, then between the pairs.

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
    pairs = np.empty((4, _STRIP), dtype=np.uint64)
    for g in range(index.shape[0]):
        for start in range(first, last, _STRIP):
            stop = min(start + _STRIP, last)
            _interleave_four(rows, 4 * g, start, stop, pairs, index[g], start)


@jit
def accumulate_column(
    rows: NDArray[np.uint64],
    values: NDArray[np.float64],
    first: int,
    last: int,
    totals: NDArray[np.float64],
) -> None:
    """Add the variants of a chunk to one score of the people in a range of words.

    Parameters
    ----------
    rows : ndarray of uint64, shape (M, W)
        Packed rows, eight bytes a word; M is a multiple of `GROUP`.
    values : ndarray of float64, shape (M, 4)
        What each variant adds, by code.
    first, last : int
        Words of the packed rows to work on: people 32 first to 32 last - 1.
    totals : ndarray of float64, shape (4, 8 W)
        Added to; ``totals[k, b]`` is the score of person 4b + k.
    """
    tables = np.empty((4, 256))
    pairs = np.empty((4, _STRIP), dtype=np.uint64)
    index = np.empty((4, 4, _STRIP), dtype=np.uint64)
    for v in range(0, rows.shape[0], GROUP):
        for t in range(4):
            u = v + 4 * t
            for x in range(256):
                tables[t, x] = (values[u, x & 3] + values[u + 1, (x >> 2) & 3]) + (
                    values[u + 2, (x >> 4) & 3] + values[u + 3, x >> 6]
                )
        for start in range(first, last, _STRIP):
            stop = min(start + _STRIP, last)
            for g in range(4):
                _interleave_four(rows, v + 4 * g, start, stop, pairs, index[g], 0)
            for k in range(4):
                for w in range(stop - start):
                    a, b, c, d = index[0, k, w], index[1, k, w], index[2, k, w], index[3, k, w]
                    for j in range(8):
                        totals[k, 8 * (start + w) + j] += (
                            tables[0, a & _BYTE] + tables[1, b & _BYTE]
                        ) + (tables[2, c & _BYTE] + tables[3, d & _BYTE])
                        a >>= _EIGHT
                        b >>= _EIGHT
                        c >>= _EIGHT
                        d >>= _EIGHT


@jit
def _add_pairs(
    values: NDArray[np.float64],
    weights: NDArray[np.float64],
    v: int,
    sums: NDArray[np.float64],
) -> None:
    """Fill what variants v and v + 1 together add to each score, for each pair of codes."""
    for x in range(16):
        a, b = values[v, x & 3], values[v + 1, x >> 2]
        for s in range(weights.shape[1]):
            sums[x, s] = a * weights[v, s] + b * weights[v + 1, s]


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
        Weight of each variant in each score. Rows of a multiple of four are added fastest.
    first, last : int
        Bytes of the packed rows to work on: people 4 first to 4 last - 1.
    totals : ndarray of float64, shape (4, B, S)
        Added to; ``totals[k, b]`` are the scores of person 4b + k.
    """
    n_scores = weights.shape[1]
    tables = np.empty((4, 256, n_scores))
    low = np.empty((16, n_scores))
    high = np.empty((16, n_scores))
    for step in range(0, index.shape[0], 4):
        for t in range(4):
            v = 4 * (step + t)
            _add_pairs(values, weights, v, low)
            _add_pairs(values, weights, v + 2, high)
            for x in range(256):
                row = tables[t, x]
                a, b = low[x & 15], high[x >> 4]
                for s in range(n_scores):
                    row[s] = a[s] + b[s]
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
def _spill(
    sums: NDArray[np.uint64],
    shift: np.uint64,
    low: np.uint64,
    even: NDArray[np.uint64],
    odd: NDArray[np.uint64],
) -> None:
    """Add narrow fields to fields of twice the width, and empty them."""
    for w in range(len(sums)):
        even[w] += sums[w] & low
        odd[w] += (sums[w] >> shift) & low
        sums[w] = _ZERO


@jit
def _add_missing(row: NDArray[np.uint64], sums: NDArray[np.uint64]) -> None:
    """Add 1 to the two bits of each person whose call is missing."""
    for w in range(len(sums)):
        sums[w] += row[w] & ~(row[w] >> _ONE) & _ODD_BITS


@jit
def count_missing(
    rows: NDArray[np.uint64], first: int, last: int, bytewise: NDArray[np.uint64]
) -> None:
    """Count each person's missing calls in at most `MOST_ROWS` rows, eight people a word.

    Three rows fit fields of two bits, fifteen fields of four, 255 fields of eight.

    Parameters
    ----------
    rows : ndarray of uint64, shape (M, W)
        Packed rows, eight bytes a word.
    first, last : int
        Words to work on.
    bytewise : ndarray of uint64, shape (4, W)
        Added to; as bytes, ``bytewise[k, b]`` belongs to person 4b + k.
    """
    n = last - first
    by_two = np.zeros(n, dtype=np.uint64)
    by_four = np.zeros((2, n), dtype=np.uint64)
    n_rows = rows.shape[0]
    for v in range(n_rows):
        _add_missing(rows[v, first:last], by_two)
        if v % 3 == 2 or v == n_rows - 1:
            _spill(by_two, _TWO, _PAIRS_LOW, by_four[0], by_four[1])
        if v % 15 == 14 or v == n_rows - 1:
            for k in range(2):
                _spill(
                    by_four[k], _FOUR, _NIBBLES_LOW,
                    bytewise[k, first:last], bytewise[2 + k, first:last],
                )  # fmt: skip
