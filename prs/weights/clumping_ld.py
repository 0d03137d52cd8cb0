"""Clumping from an LD reference, where there is no panel of genotypes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prs.inputs.harmonise import HarmonisedSumStats
from prs.ld.reference import LDReference

__all__ = ["clump_blocks"]


def clump_blocks(
    sumstats: HarmonisedSumStats,
    ld: LDReference,
    order: NDArray[np.int64],
    is_candidate: NDArray[np.bool_],
    cells: list[tuple[float, float]],
    n_threads: int | None,
) -> dict[tuple[float, float], NDArray[np.int64]]:
    """Clump with every pair of r2 and distance, reading each LD block once.

    r2 is the squared correlation that the reference holds; between its blocks it is 0.

    Parameters
    ----------
    sumstats : HarmonisedSumStats
        Harmonised to ``ld.variants``.
    ld : LDReference
        The reference.
    order : ndarray of int64
        Rows of the statistics that play a part, most significant first.
    is_candidate : ndarray of bool, shape (M,)
        Which rows may be index variants.
    cells : list of (r2, kb)
        Thresholds and distances.
    n_threads : int or None
        Threads that read blocks ahead.

    Returns
    -------
    dict of (r2, kb) to ndarray of int64, shape (M,)
        Row of the index variant of each row (itself for an index variant), -1 for none.
    """
    owners = {cell: np.full(len(sumstats.p), -1, dtype=np.int64) for cell in cells}
    place = sumstats.reference_index[order]
    block_of = np.searchsorted(ld.block_starts, place, side="right") - 1
    by_block = np.argsort(block_of, kind="stable")  # most significant first within each
    edges = np.searchsorted(block_of[by_block], np.arange(ld.n_blocks + 1))
    used = ld.subset(np.sort(place))
    kept = np.flatnonzero(np.diff(edges) > 0)
    for block, (where, matrix) in zip(kept, used.blocks(n_threads), strict=True):
        rows = order[by_block[edges[block] : edges[block + 1]]]
        index = sumstats.reference_index[rows]
        local = np.argsort(np.argsort(index, kind="stable"), kind="stable")
        del where
        squares = matrix[np.ix_(local, local)].astype(np.float64) ** 2
        pos = sumstats.variants.pos[rows].astype(np.int64)
        for (r2, kb), owner in owners.items():
            reach = int(kb * 1000 * (1 + 1e-12)) - 1
            free = np.ones(len(rows), dtype=bool)
            for i in np.flatnonzero(is_candidate[rows]):
                if free[i]:
                    joins = free & (squares[i] > r2) & (np.abs(pos - pos[i]) <= reach)
                    joins[i] = True
                    owner[rows[joins]] = rows[i]
                    free &= ~joins
    return owners
