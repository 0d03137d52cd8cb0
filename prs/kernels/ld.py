"""Kernels of LD: what missing calls take off sums of products, and from sums to correlations."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from prs.kernels._jit import jit

__all__ = ["by_person", "decode_signs", "sum_over_missing", "to_correlation"]

_SHIFTS = np.array([0, 2, 4, 6])
_SIGN = np.array([1.0, 0.0, 0.0, -1.0], dtype=np.float32)
_SIGNS_OF_BYTE = _SIGN[(np.arange(256)[:, None] >> _SHIFTS) & 3]
_LACKS_A_CALL = np.any((np.arange(256)[:, None] >> _SHIFTS) & 3 == 1, axis=1)
#: A call's sign, and 256 where there is none: both are summed at once.
_LOST = 256
_SIGN_AND_LOST = np.array([1, _LOST, 0, -1], dtype=np.int16)
#: So many signs cannot be taken for a missing call.
_MOST = _LOST // 2 - 1
#: Variants, or rows and columns of a matrix, that are turned about in the cache.
_TILE = 64


@jit
def decode_signs(
    packed: NDArray[np.uint8],
    sample_index: NDArray[np.int64],
    starts: NDArray[np.int64],
    signs: NDArray[np.float32],
    people: NDArray[np.int64],
) -> None:
    """Decode packed rows to calls coded -1, 0, 1, and list who has none.

    Parameters
    ----------
    packed : ndarray of uint8, shape (M, n_bytes)
        Packed rows (see `prs.kernels.packed`).
    sample_index : ndarray of int64, shape (N,)
        People wanted, as rows of the file, in any order.
    starts : ndarray of int64, shape (M + 1,)
        Variant i lacks calls of ``starts[i + 1] - starts[i]`` people.
    signs : ndarray of float32, shape (M, N)
        Filled with the count of the effect allele, less 1; 0 where the call is missing.
    people : ndarray of int64, shape (starts[M],)
        Filled with the people that each variant lacks, 0 to N - 1.
    """
    n = len(sample_index)
    in_order = True  # everybody: four people a byte at once
    for i in range(n):
        in_order = in_order and sample_index[i] == i
    n_full = n // 4 if in_order else 0
    for j in range(packed.shape[0]):
        at = starts[j]
        for b in range(n_full):
            byte = packed[j, b]
            four = _SIGNS_OF_BYTE[byte]
            signs[j, 4 * b] = four[0]
            signs[j, 4 * b + 1] = four[1]
            signs[j, 4 * b + 2] = four[2]
            signs[j, 4 * b + 3] = four[3]
            if _LACKS_A_CALL[byte]:
                for k in range(4):
                    if (byte >> (2 * k)) & 3 == 1:
                        people[at] = 4 * b + k
                        at += 1
        for i in range(4 * n_full, n):
            person = sample_index[i]
            code = (packed[j, person >> 2] >> (2 * (person & 3))) & 3
            signs[j, i] = _SIGN[code]
            if code == 1:
                people[at] = i
                at += 1


@jit
def by_person(
    packed: NDArray[np.uint8], sample_index: NDArray[np.int64], out: NDArray[np.int16]
) -> None:
    """Turn packed rows about: a row for each person, for `sum_over_missing`.

    Parameters
    ----------
    packed : ndarray of uint8, shape (M, n_bytes)
        Packed rows.
    sample_index : ndarray of int64, shape (N,)
        People wanted, as rows of the file.
    out : ndarray of int16, shape (N, M)
        Filled: -1, 0 or 1 as `decode_signs` has it, and 256 where there is no call.
    """
    n_variants = packed.shape[0]
    for start in range(0, n_variants, _TILE):
        stop = min(start + _TILE, n_variants)
        for i in range(len(sample_index)):
            byte = sample_index[i] >> 2
            shift = 2 * (sample_index[i] & 3)
            for j in range(start, stop):
                out[i, j] = _SIGN_AND_LOST[(packed[j, byte] >> shift) & 3]


@jit
def sum_over_missing(
    starts: NDArray[np.int64],
    people: NDArray[np.int64],
    values: NDArray[np.int16],
    lost: NDArray[np.int32],
    both_lost: NDArray[np.int32],
) -> None:
    """Sum every variant's calls over the people whose call is missing at another.

    Parameters
    ----------
    starts, people : ndarray of int64, shapes (M + 1,) and (starts[M],)
        Variant i lacks calls of ``people[starts[i] : starts[i + 1]]``.
    values : ndarray of int16, shape (N, M)
        From `by_person`.
    lost, both_lost : ndarray of int32, shape (M, M)
        Filled; ``lost[i, j]`` sums variant j over the people that i lacks, ``both_lost[i, j]``
        counts those of them that j lacks too.
    """
    n_variants = lost.shape[0]
    sums = np.zeros(n_variants, dtype=np.int16)
    for i in range(n_variants):
        for j in range(n_variants):
            lost[i, j] = 0
            both_lost[i, j] = 0
        for begin in range(starts[i], starts[i + 1], _MOST):
            for k in range(begin, min(begin + _MOST, starts[i + 1])):
                person = values[people[k]]
                for j in range(n_variants):
                    sums[j] += person[j]
            for j in range(n_variants):
                total = np.int32(sums[j])
                n_lost = (total + _LOST // 2) // _LOST
                both_lost[i, j] += n_lost
                lost[i, j] += total - n_lost * _LOST
                sums[j] = 0


@jit
def to_correlation(
    products: NDArray[np.float32],
    total: NDArray[np.float64],
    n_called: NDArray[np.int64],
    n_people: int,
    lost: NDArray[np.int32],
    both_lost: NDArray[np.int32],
) -> None:
    """Turn sums of products into correlations, missing calls set to the variant's mean.

    With x = 0 where a call is missing, the sum over people with both calls of
    (x_i - mean_i)(x_j - mean_j) is sum(x_i x_j) - mean_i sum(x_j) - mean_j sum(x_i)
    + mean_i mean_j n_both, the middle sums over people with both calls.

    Parameters
    ----------
    products : ndarray of float32, shape (M, M)
        Sums of x_i x_j, symmetric; replaced by the correlations: diagonal 1, and 0 beside a
        variant that does not vary.
    total : ndarray of float64, shape (M,)
        Sums of x_i.
    n_called : ndarray of int64, shape (M,)
        People with a call.
    n_people : int
        All people.
    lost, both_lost : ndarray of int32, shape (M, M)
        From `sum_over_missing`; of shape (0, 0) if nothing is missing.
    """
    n_variants = len(total)
    scale = np.zeros(n_variants)
    mean = np.zeros(n_variants)
    for i in range(n_variants):
        if n_called[i] > 0:
            mean[i] = total[i] / n_called[i]
            variance = np.float64(products[i, i]) - total[i] * total[i] / n_called[i]
            if variance > 0.0:
                scale[i] = 1.0 / math.sqrt(variance)
    complete = lost.shape[0] == 0
    for row in range(0, n_variants, _TILE):
        for column in range(0, row + 1, _TILE):
            for i in range(row, min(row + _TILE, n_variants)):
                for j in range(column, min(column + _TILE, i)):
                    if complete:
                        taken = total[i] * total[j] / n_people
                    else:
                        n_both = n_called[i] + n_called[j] - n_people + both_lost[i, j]
                        taken = (
                            mean[i] * (total[j] - lost[i, j]) + mean[j] * (total[i] - lost[j, i])
                        ) - (mean[i] * mean[j]) * n_both
                    r = (np.float64(products[i, j]) - taken) * (scale[i] * scale[j])
                    r = min(max(r, -1.0), 1.0)
                    products[i, j] = r
                    products[j, i] = r
    for i in range(n_variants):
        products[i, i] = 1.0
