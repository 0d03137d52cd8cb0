"""Kernels on packed PLINK 1 genotypes: counting calls and decoding dosages.

A packed row is one variant: two bits a person, the first person in the lowest bits of the first
byte. Codes: 0 = two copies of the counted allele, 1 = missing, 2 = one copy, 3 = none.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prs.kernels._jit import jit
from prs.kernels.scoring import count_row_codes

__all__ = ["count_codes", "decode_dosages", "pack_calls", "person_mask"]

_DOSAGE = np.array([2.0, np.nan, 1.0, 0.0], dtype=np.float32)
_DOSAGES_OF_BYTE = _DOSAGE[(np.arange(256)[:, None] >> np.array([0, 2, 4, 6])) & 3]
#: Packed rows that are put into whole words at once.
_FEW = 256


def person_mask(sample_index: NDArray[np.int64], n_bytes: int) -> NDArray[np.uint8]:
    """Return bytes with both bits set for each person of `sample_index`, 0 for the others.

    Parameters
    ----------
    sample_index : ndarray of int64, shape (N,)
        Rows of the file; no duplicates.
    n_bytes : int
        Bytes in a packed row.

    Returns
    -------
    ndarray of uint8, shape (n_bytes,)
    """
    mask = np.zeros(n_bytes, dtype=np.uint8)
    np.bitwise_or.at(
        mask, sample_index >> 2, np.left_shift(3, 2 * (sample_index & 3)).astype(np.uint8)
    )
    return mask


def count_codes(
    packed: NDArray[np.uint8],
    mask: NDArray[np.uint8],
    n_people: int,
    counts: NDArray[np.int64],
) -> None:
    """Count the four codes of each packed row over the people in a mask.

    Parameters
    ----------
    packed : ndarray of uint8, shape (M, n_bytes)
        Packed rows.
    mask : ndarray of uint8, shape (n_bytes,)
        From `person_mask`: people left out read as code 0, which is not counted but inferred.
    n_people : int
        People in the mask.
    counts : ndarray of int64, shape (M, 4)
        Filled with the number of people with code 0, 1, 2, 3.
    """
    n_bytes = packed.shape[1]
    n_words = -(-n_bytes // 8)
    lower = np.zeros(8 * n_words, dtype=np.uint8)
    lower[:n_bytes] = mask & 0x55
    rows = np.zeros((min(_FEW, len(packed)), n_words), dtype=np.uint64)
    others = np.empty((len(packed), 3), dtype=np.int64)
    for start in range(0, len(packed), _FEW):
        few = packed[start : start + _FEW]
        rows.view(np.uint8)[: len(few), :n_bytes] = few
        count_row_codes(rows[: len(few)], lower.view(np.uint64), others[start : start + len(few)])
    counts[:, 1:] = others
    counts[:, 0] = n_people - others.sum(axis=1)


@jit
def decode_dosages(
    packed: NDArray[np.uint8], sample_index: NDArray[np.int64], out: NDArray[np.float32]
) -> None:
    """Decode packed rows to dosages of the counted allele.

    Parameters
    ----------
    packed : ndarray of uint8, shape (M, n_bytes)
        Packed rows.
    sample_index : ndarray of int64, shape (N,)
        People wanted, as rows of the file, in any order.
    out : ndarray of float32, shape (M, N)
        Filled with 0, 1, 2, or NaN where the call is missing.
    """
    n = len(sample_index)
    in_order = True  # everybody: four people a byte at once
    for i in range(n):
        in_order = in_order and sample_index[i] == i
    n_full = n // 4 if in_order else 0
    for j in range(packed.shape[0]):
        for b in range(n_full):
            four = _DOSAGES_OF_BYTE[packed[j, b]]
            out[j, 4 * b] = four[0]
            out[j, 4 * b + 1] = four[1]
            out[j, 4 * b + 2] = four[2]
            out[j, 4 * b + 3] = four[3]
        for i in range(4 * n_full, n):
            person = sample_index[i]
            out[j, i] = _DOSAGE[(packed[j, person >> 2] >> (2 * (person & 3))) & 3]


@jit
def pack_calls(calls: NDArray[np.int8], packed: NDArray[np.uint8]) -> None:
    """Pack counts of the counted allele, one a byte, into two bits each.

    Parameters
    ----------
    calls : ndarray of int8, shape (M, N)
        0, 1, 2, or pgenlib's -9 where the call is missing.
    packed : ndarray of uint8, shape (M, ceil(N / 4))
        Filled; the padding is 0.
    """
    # of a call's lowest two bits: the code's high bit is not b1, its low bit not (b0 xor b1)
    n = calls.shape[1]
    n_full = n // 4
    for j in range(calls.shape[0]):
        row = calls[j]
        for b in range(n_full):
            c0, c1, c2, c3 = row[4 * b], row[4 * b + 1], row[4 * b + 2], row[4 * b + 3]
            c0 = (~(c0 ^ (c0 >> 1)) & 1) | (~c0 & 2)
            c1 = (~(c1 ^ (c1 >> 1)) & 1) | (~c1 & 2)
            c2 = (~(c2 ^ (c2 >> 1)) & 1) | (~c2 & 2)
            c3 = (~(c3 ^ (c3 >> 1)) & 1) | (~c3 & 2)
            packed[j, b] = c0 | (c1 << 2) | (c2 << 4) | (c3 << 6)
        if 4 * n_full < n:
            byte = 0
            for i in range(4 * n_full, n):
                c = row[i]
                byte |= ((~(c ^ (c >> 1)) & 1) | (~c & 2)) << (2 * (i & 3))
            packed[j, n_full] = byte
