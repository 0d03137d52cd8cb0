"""Ids and positions of two lists of variants: whether they are on one build, and who has which."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prs.errors import BuildMismatchError
from prs.variants import VariantTable, chromosome_labels

__all__ = ["check_build", "count_other_names", "place_by_id"]

#: Share of common ids whose positions must agree before two inputs count as one build.
MIN_POSITION_AGREEMENT = 0.5
#: Of a longer input every k-th row is looked at, so that about this many are.
MAX_IDS_FOR_BUILD = 500_000
#: Fewer common ids than this do not allow a verdict on the build.
MIN_IDS_FOR_BUILD = 20


def check_build(
    query: VariantTable,
    target: VariantTable,
    rows: NDArray[np.int64],
    at: NDArray[np.int64],
) -> str | None:
    """Raise if ids agree and positions do not; return a note on how many prove the build.

    Parameters
    ----------
    query, target : VariantTable
        Both with positions.
    rows, at : ndarray of int64, shape (K,)
        Query rows and the target variants of the same position and alleles.

    Raises
    ------
    BuildMismatchError
        If less than half of the common ids have the same position.
    """
    names = query.id[rows]
    same = int(np.count_nonzero((names == target.id[at]) & (names != "") & (names != ".")))
    # no more ids can be common than the shorter list has: then at least half of them agree
    if same >= max(MIN_IDS_FOR_BUILD, MIN_POSITION_AGREEMENT * min(len(query), len(target))):
        return f"{same:,} common ids have the same position"
    return _compare_positions_of_ids(query, target)


def _compare_positions_of_ids(query: VariantTable, target: VariantTable) -> str | None:
    """Look each id up among the target's: where few variants match, whatever the reason."""
    order = pd.Index(target.id)
    if not order.is_unique:
        keep = ~order.duplicated()
        where = np.flatnonzero(keep)
        order = order[keep]
    else:
        where = np.arange(len(target))
    sample = np.arange(0, len(query), max(len(query) // MAX_IDS_FOR_BUILD, 1))
    hit = order.get_indexer(pd.Index(query.id[sample]))
    names = query.id[sample]
    named = np.flatnonzero((hit >= 0) & (names != "") & (names != ".") & (query.pos[sample] > 0))
    if len(named) < MIN_IDS_FOR_BUILD:
        return None
    rows, at = sample[named], where[hit[named]]
    agree = query.site_key[rows] == target.site_key[at]
    share = float(agree.mean())
    if share < MIN_POSITION_AGREEMENT:
        bad = np.flatnonzero(~agree)[:5]
        raise BuildMismatchError(
            f"only {share:.1%} of the {len(rows):,} variants with the same id have the same "
            "position: the two inputs are on different genome builds",
            rows=[
                f"{query.id[rows[i]]}: {chromosome_labels(query.chrom[rows[i]])}:"
                f"{query.pos[rows[i]]} against {chromosome_labels(target.chrom[at[i]])}:"
                f"{target.pos[at[i]]}"
                for i in bad
            ],
            n_rows=int((~agree).sum()),
            remedy="lift one of them over to the other's build, or match by id (by='id')",
        )
    looked = "" if len(sample) == len(query) else f" (of {len(sample):,} rows looked at)"
    return f"{int(agree.sum()):,} of {len(rows):,} common ids have the same position{looked}"


def count_other_names(query: NDArray[np.object_], target: NDArray[np.object_]) -> list[str]:
    """Return a note on matched variants that the two inputs call by different rsIDs."""
    differ = np.flatnonzero(query != target)
    moved = sum(
        1
        for a, b in zip(query[differ], target[differ], strict=True)
        if a.startswith("rs") and b.startswith("rs")
    )
    return [f"{moved:,} matched variants have another rsID (the position wins)"] if moved else []


def place_by_id(query: VariantTable, target: VariantTable) -> tuple[VariantTable, list[str]]:
    """Give variants without a position that of the target's variant of the same id.

    Lists of rsids often name the variants that have none by their position (``22:17578680``).
    Matched by position, as a list that has some, the others would be lost.

    Parameters
    ----------
    query, target : VariantTable
        Any order; duplicates allowed. Ids that the target repeats place nothing.

    Returns
    -------
    query : VariantTable
        As it was where all, or none, of its variants have a position, or the target has none.
    notes : list of str
        How many were placed.
    """
    unplaced = (query.chrom == 0) | (query.pos == 0)
    if not target.has_positions or not unplaced.any() or unplaced.all():
        return query, []
    ids = pd.Index(target.id)
    unique = ~ids.duplicated(keep=False) & (target.id != "") & (target.id != ".")
    where = np.flatnonzero(unique)
    rows = np.flatnonzero(unplaced)
    hit = ids[where].get_indexer(pd.Index(query.id[rows]))
    rows, at = rows[hit >= 0], where[hit[hit >= 0]]
    chrom, pos = query.chrom.copy(), query.pos.copy()
    chrom[rows], pos[rows] = target.chrom[at], target.pos[at]
    placed = replace(query, chrom=chrom, pos=pos)
    return placed, [f"{len(rows):,} variants without a position placed by id"]
