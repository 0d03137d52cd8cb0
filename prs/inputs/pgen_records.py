"""Where a .pgen holds its records, and of what types they are: the index in its header."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from prs.inputs.plink1 import read_at

__all__ = ["PgenIndex", "read_pgen_calls", "read_pgen_index"]

_VARIABLE_WIDTH = 0x10  # the storage mode that plink2 writes
_BLOCK = 1 << 16  # variants whose records one block of the header describes
_DOSAGES = 0x60  # bits of a record's type, in the PGEN specification
_PHASE = 0x10
_HOW = 0x07  # how the calls are held
_UNKNOWN = 5
_LD = (2, 3)  # as differences from the last record before that is not
#: Bytes between two records that are read rather than left out.
_GAP = 1 << 14


@dataclass(frozen=True, eq=False)
class PgenIndex:
    """The records of a .pgen.

    Attributes
    ----------
    start, stop : ndarray of int64, shape (R,)
        Where each begins and ends in the file, in bytes.
    type : ndarray of uint8, shape (R,)
        Its type in the PGEN specification.
    base : ndarray of int64, shape (R,)
        The record from which it differs; its own number where there is none.
    """

    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    type: NDArray[np.uint8]
    base: NDArray[np.int64]

    @property
    def has_dosages(self) -> bool:
        """Whether a record holds dosages."""
        return bool(np.any(self.type & _DOSAGES))

    @property
    def is_simple(self) -> bool:
        """Whether all are biallelic hard calls, phased or not, held in ways that we know."""
        held = self.type & _HOW
        return not np.any(self.type & ~np.uint8(_HOW | _PHASE)) and not np.any(held == _UNKNOWN)


def read_pgen_index(path: Path) -> PgenIndex | None:
    """Read the index; None where the file has another layout, or is not whole."""
    with path.open("rb") as stream:
        head = stream.read(12)
        if len(head) < 12 or head[2] != _VARIABLE_WIDTH or head[11] & 15 > 7:
            return None
        n_records, control = int.from_bytes(head[3:7], "little"), head[11]
        type_bits = 4 if control & 15 < 4 else 8
        length_bytes, allele_bytes = 1 + (control & 3), (control >> 4) & 3
        n_blocks = -(-n_records // _BLOCK)
        table = stream.read(8 * n_blocks)
        if len(table) < 8 * n_blocks:
            return None
        offsets = np.frombuffer(table, dtype="<u8").astype(np.int64)
        types, lengths = [], []
        for block in range(n_blocks):
            n = min(_BLOCK, n_records - block * _BLOCK)
            packed = np.frombuffer(stream.read(-(-n * type_bits // 8)), dtype=np.uint8)
            digits = np.frombuffer(stream.read(n * length_bytes), dtype=np.uint8)
            flags = -(-n // 8) if control >> 6 == 3 else 0
            stream.seek(n * allele_bytes + flags, 1)
            if len(digits) < n * length_bytes:
                return None
            if type_bits == 4:
                packed = np.stack([packed & 15, packed >> 4], axis=1).reshape(-1)[:n]
            types.append(packed)
            powers = np.int64(1) << (8 * np.arange(length_bytes))
            lengths.append(digits.reshape(n, length_bytes) @ powers)
    type_ = np.concatenate(types) if types else np.zeros(0, dtype=np.uint8)
    stop = np.concatenate(
        [offset + np.cumsum(length) for offset, length in zip(offsets, lengths, strict=True)]
        or [np.zeros(0, dtype=np.int64)]
    )
    start = stop - (np.concatenate(lengths) if lengths else 0)
    is_ld = np.isin(type_ & _HOW, _LD)
    ends_inside = n_records == 0 or (stop.max() <= path.stat().st_size and start.min() >= 12)
    if np.any(is_ld[::_BLOCK]) or not ends_inside:
        return None
    base = np.maximum.accumulate(np.where(is_ld, 0, np.arange(n_records)))
    return PgenIndex(start, stop, type_, base)


def read_pgen_calls(
    handle: int,
    path: Path,
    index: PgenIndex,
    records: NDArray[np.int64],
    n_people: int,
    out: NDArray[np.uint8],
) -> int:
    """Read hard calls as packed rows of a .bed.

    Parameters
    ----------
    handle : int
        The open file.
    path : Path
        Its name, for messages.
    index : PgenIndex
        Its records; `PgenIndex.is_simple`.
    records : ndarray of int64, shape (m,)
        Which ones, at least one.
    n_people : int
        People of the file.
    out : ndarray of uint8, shape (m, ceil(n_people / 4))
        Filled.

    Returns
    -------
    int
        A record that is malformed; -1 for none.

    Raises
    ------
    FileFormatError
        If the file ends before the records do.
    """
    from prs.kernels.pgen import decode_records

    if len(records) > 1 and not np.all(records[1:] > records[:-1]):
        wanted, place = np.unique(records, return_inverse=True)
        packed = np.empty((len(wanted), out.shape[1]), dtype=np.uint8)
        malformed = read_pgen_calls(handle, path, index, wanted, n_people, packed)
        np.take(packed, place, axis=0, out=out)
        return malformed
    needed = np.union1d(records, index.base[records])
    start, stop = index.start[needed], index.stop[needed]
    # stretches of the file, from the first record that follows a gap to the last before one
    edges = np.concatenate([[0], np.flatnonzero(start[1:] - stop[:-1] > _GAP) + 1, [len(needed)]])
    first, last = start[edges[:-1]], stop[edges[1:] - 1]
    held = np.concatenate([[0], np.cumsum(last - first)])
    data = np.empty(held[-1], dtype=np.uint8)
    for offset, (a, b) in zip(first.tolist(), pairwise(held.tolist()), strict=True):
        read_at(handle, data[a:b], offset, path)
    shift = np.repeat(held[:-1] - first, np.diff(edges))
    rows = np.full(len(needed), -1)
    rows[np.searchsorted(needed, records)] = np.arange(len(records))
    types = index.type[needed]
    bad = decode_records(data, start + shift, stop + shift, types, rows, n_people, out)
    return int(needed[bad]) if bad >= 0 else -1
