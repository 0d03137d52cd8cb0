"""Variants as bit planes over people, from which r2 is counted."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import ArrayLike, NDArray

from prs.errors import SettingsError
from prs.inputs.genotypes import Genotypes

__all__ = ["founders", "read_planes"]

logger = logging.getLogger(__name__)

#: Packed bytes read at once.
_CHUNK_BYTES = 1 << 23


def founders(genotypes: Genotypes, samples: ArrayLike | None) -> NDArray[np.int64]:
    """Return rows of the file of the founders among the people chosen."""
    view = genotypes if samples is None else genotypes.subset(samples=samples)
    if view.n_samples == 0:
        raise SettingsError("nobody is left to compute r2 from")
    founder = view.samples.is_founder
    if founder.any():
        return view.sample_index[founder]
    logger.warning("nobody is a founder: r2 is computed from all %d people", view.n_samples)
    return view.sample_index


def read_planes(
    genotypes: Genotypes,
    variants: NDArray[np.int64],
    people: NDArray[np.int64],
    haploid: NDArray[np.bool_] | None = None,
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Read variants as bit planes over some people.

    Parameters
    ----------
    genotypes : Genotypes
        The reference.
    variants : ndarray of int64, shape (m,)
        Variants of it.
    people : ndarray of int64, shape (N,)
        Rows of the file; a person may be there twice.
    haploid : ndarray of bool, shape (N,), optional
        Who has one copy of these variants: a heterozygous call is none.

    Returns
    -------
    planes : ndarray of uint64, shape (m, 3, ceil(N / 64))
    sums : ndarray of int64, shape (m, 3)
        Bits of each plane; see `prs.kernels.clump`.
    """
    from prs.kernels.clump import CALLED, CARRIER, TWO, gather_people, split_planes

    n_words = -(-len(people) // 64)
    valid = np.zeros(8 * n_words, dtype=np.uint8)
    bits = np.packbits(np.ones(len(people), dtype=bool), bitorder="little")
    valid[: len(bits)] = bits
    planes = np.empty((len(variants), 3, n_words), dtype=np.uint64)
    sums = np.empty((len(variants), 3), dtype=np.int64)
    is_everybody = len(people) == len(genotypes.filesets[0].samples) and bool(
        np.all(people == np.arange(len(people)))
    )
    size = max(1, _CHUNK_BYTES // genotypes.n_bytes)
    for start in range(0, len(variants), size):
        chunk = variants[start : start + size]
        packed = genotypes.read_packed(chunk)
        rows = np.zeros((len(chunk), 16 * n_words), dtype=np.uint8)
        if is_everybody:
            rows[:, : genotypes.n_bytes] = packed
        else:
            gather_people(packed, people, rows)
        here = slice(start, start + len(chunk))
        split_planes(rows.view(np.uint64), valid.view(np.uint64), planes[here], sums[here])
    if haploid is not None and haploid.any():
        single = np.zeros(8 * n_words, dtype=np.uint8)
        bits = np.packbits(haploid, bitorder="little")
        single[: len(bits)] = bits
        wrong = planes[:, CARRIER] & ~planes[:, TWO] & single.view(np.uint64)
        planes[:, CARRIER] &= ~wrong
        planes[:, CALLED] &= ~wrong
        sums[:] = np.bitwise_count(planes).sum(axis=2, dtype=np.int64)
    return planes, sums
