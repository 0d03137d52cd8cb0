"""Kernel of .pgen files: records of hard calls to the packed rows of a .bed.

After the PGEN specification (C. C. Chang, pgen_spec in plink-ng). There, two bits a person hold
0 = two copies of REF, 1 = one, 2 = none, 3 = missing; a record holds them as they are, or what
differs from something: a constant, one bit a person, or an earlier record.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prs.kernels._jit import jit

__all__ = ["decode_records"]

_PLAIN, _ONE_BIT, _LD, _LD_INVERTED = 0, 1, 2, 3
_CONSTANT = 4  # and above: that the constant is the type less this
_GROUP = 64  # people of a list whose first is named in full
#: The bits of a byte, two bits apart.
_SPREAD = (((np.arange(256)[:, None] >> np.arange(8)) & 1) << (2 * np.arange(8))).sum(axis=1)


@jit
def _read_varint(data: NDArray[np.uint8], at: int, stop: int) -> tuple[int, int]:
    """Return a number in base 128, low digits first, and the place after it (-1: there is none)."""
    value = 0
    for digit in range(5):
        if at >= stop:
            break
        byte = int(data[at])
        at += 1
        value |= (byte & 127) << (7 * digit)
        if byte < 128:
            return value, at
    return 0, -1


@jit
def _apply_differences(
    data: NDArray[np.uint8], at: int, stop: int, n_people: int, row: NDArray[np.uint8]
) -> bool:
    """Set the calls of the people in a list; False where the list is malformed."""
    length, at = _read_varint(data, at, stop)
    if at < 0 or length > n_people:
        return False
    if length == 0:
        return True
    id_bytes = 1  # that hold N: the specification says N - 1, pgenlib and plink2 do this
    while n_people >= 1 << (8 * id_bytes):
        id_bytes += 1
    n_groups = (length + _GROUP - 1) // _GROUP
    first = at
    calls = first + n_groups * (id_bytes + 1) - 1  # the sizes of the groups are not needed
    at = calls + (length + 3) // 4
    if at > stop:
        return False
    for k in range(0, length, _GROUP):
        person = 0
        for b in range(id_bytes):
            person |= int(data[first + b]) << (8 * b)
        first += id_bytes
        for i in range(k, min(k + _GROUP, length)):
            if i > k:
                if at >= stop:
                    return False
                step = int(data[at])
                at += 1
                if step >= 128:
                    step, at = _read_varint(data, at - 1, stop)
                    if at < 0:
                        return False
                person += step
            if person >= n_people:
                return False
            call = (int(data[calls + (i >> 2)]) >> (2 * (i & 3))) & 3
            shift = 2 * (person & 3)
            row[person >> 2] = (int(row[person >> 2]) & (255 ^ (3 << shift))) | (call << shift)
    return True


@jit
def _take_one_bit(
    data: NDArray[np.uint8], at: int, stop: int, n_people: int, row: NDArray[np.uint8]
) -> int:
    """Fill a row from one bit a person; return the place after it, -1 if it is malformed."""
    n_bytes = (n_people + 7) // 8
    if at + 1 + n_bytes > stop:
        return -1
    low, step = int(data[at]) >> 2, int(data[at]) & 3
    if low + step > 3:
        return -1
    for i in range(n_bytes):
        eight = _SPREAD[data[at + 1 + i]] * step + 0x5555 * low
        row[2 * i] = eight & 255
        if 2 * i + 1 < len(row):
            row[2 * i + 1] = eight >> 8
    return at + 1 + n_bytes


@jit
def decode_records(
    data: NDArray[np.uint8],
    starts: NDArray[np.int64],
    stops: NDArray[np.int64],
    types: NDArray[np.uint8],
    places: NDArray[np.int64],
    n_people: int,
    out: NDArray[np.uint8],
) -> int:
    """Decode the hard calls of records, in their order, to packed rows of a .bed.

    Parameters
    ----------
    data : ndarray of uint8, shape (n,)
        Bytes of the records.
    starts, stops : ndarray of int64, shape (R,)
        Where each is in `data`.
    types : ndarray of uint8, shape (R,)
        Their types; of the lowest three bits, which tell how calls are held, 5 is not known. A
        record that differs from an earlier one comes after that, with none between them that
        does not differ from one.
    places : ndarray of int64, shape (R,)
        Row of `out` for each; -1 for none.
    n_people : int
        People of the file, N.
    out : ndarray of uint8, shape (m, ceil(N / 4))
        Filled: codes as in `prs.kernels.packed`, ALT counted; the padding is 0.

    Returns
    -------
    int
        The first malformed record; -1 if there is none. Nothing beyond a record is read.
    """
    n_bytes = (n_people + 3) // 4
    padding = 255 >> (2 * (4 * n_bytes - n_people))
    base = np.zeros(n_bytes, dtype=np.uint8)
    row = np.zeros(n_bytes, dtype=np.uint8)
    for r in range(len(starts)):
        kind = types[r] & 7
        at, stop = starts[r], stops[r]
        if kind == _PLAIN:
            if at + n_bytes > stop:
                return r
            for b in range(n_bytes):
                row[b] = data[at + b]
        elif kind == _ONE_BIT:
            at = _take_one_bit(data, at, stop, n_people, row)
            if at < 0:
                return r
        elif kind in (_LD, _LD_INVERTED):
            for b in range(n_bytes):
                row[b] = base[b]
        else:
            row[:] = (kind - _CONSTANT) * 0x55
        if kind != _PLAIN and not _apply_differences(data, at, stop, n_people, row):
            return r
        next_kind = types[r + 1] & 7 if r + 1 < len(types) else _PLAIN
        if next_kind in (_LD, _LD_INVERTED) and kind not in (_LD, _LD_INVERTED):
            for b in range(n_bytes):
                base[b] = row[b]
        if places[r] < 0:
            continue
        target = out[places[r]]
        # with h and l the two bits of a call: none -> 3, one -> 2, two -> 0, missing -> 1
        if kind == _LD_INVERTED:  # none and two change places
            for b in range(n_bytes):
                high, low = (row[b] >> 1) & 0x55, row[b] & 0x55
                target[b] = ((high ^ low) << 1) | high
        else:
            for b in range(n_bytes):
                high, low = (row[b] >> 1) & 0x55, row[b] & 0x55
                target[b] = ((high ^ 0x55) << 1) | (high ^ low ^ 0x55)
        target[n_bytes - 1] &= padding
    return -1
