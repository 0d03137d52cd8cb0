"""Matching of two lists of variants by site and alleles, in either order and on either strand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prs.errors import OverlapError, SettingsError
from prs.matching.alleles import (
    PalindromicRule,
    choose_among_repeats,
    orientation,
    settle_palindromes,
    unordered_pair,
)
from prs.matching.build import check_build, count_other_names
from prs.matching.fates import Fate, MatchReport
from prs.variants import VariantTable, allele_codes

__all__ = ["VariantMatch", "match_variants"]

_SIGN = np.array([1, -1, 1, -1, 1, -1, *[0] * 7], dtype=np.int8)


@dataclass(frozen=True, eq=False)
class VariantMatch:
    """Which query row is which target variant, and on which side.

    Attributes
    ----------
    query_index : ndarray of int64, shape (K,)
        Rows of the query that were kept, in the order of the target.
    target_index : ndarray of int64, shape (K,)
        Their variants in the target; ascending, unique.
    sign : ndarray of int8, shape (K,)
        +1 where the effect alleles agree, -1 where they are exchanged (turn beta and eaf).
    fate : ndarray of int8, shape (M_query,)
        The `Fate` of each query row.
    notes : tuple of str
        Which key was used and what was assumed.
    """

    query_index: NDArray[np.int64]
    target_index: NDArray[np.int64]
    sign: NDArray[np.int8]
    fate: NDArray[np.int8]
    notes: tuple[str, ...] = ()

    def report(
        self, source: str, target: str, n_target: int, invalid: Mapping[str, int] | None = None
    ) -> MatchReport:
        """Count the fates; `invalid` adds rows that reading had to leave out, by reason."""
        counts = np.bincount(self.fate, minlength=len(Fate))
        invalid = dict(invalid or {})
        by_label = {fate.label: int(counts[fate]) for fate in Fate}
        by_label["invalid"] += sum(invalid.values())
        return MatchReport(source, target, by_label, n_target, invalid, self.notes)


def _site_codes(
    query: VariantTable, target: VariantTable, by: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return integer site keys of both tables, by position or by id; -1 where there is none."""
    if by == "position":
        keys = []
        for table in (query, target):
            known = (table.chrom > 0) & (table.pos > 0)
            keys.append(np.where(known, table.site_key, -1))
        return keys[0], keys[1]
    codes, unique = pd.factorize(np.concatenate([query.id, target.id]), use_na_sentinel=False)
    nameless = [i for i, name in enumerate(unique) if name in ("", ".") or name != name]
    codes = codes.astype(np.int64)
    codes[np.isin(codes, nameless)] = -1
    return codes[: len(query)], codes[len(query) :]


def match_variants(
    query: VariantTable,
    target: VariantTable,
    *,
    query_eaf: NDArray[np.float64] | None = None,
    target_eaf: NDArray[np.float64] | None = None,
    palindromic: PalindromicRule = "frequency",
    ambiguous_maf: float = 0.4,
    by: Literal["auto", "position", "id"] = "auto",
    priority: NDArray[np.float64] | None = None,
    min_overlap: float = 0.0,
    what: str = "query",
    target_name: str = "target",
) -> VariantMatch:
    """Find each query row among the target's variants, by site and alleles.

    A row matches if the site is the same and the alleles are, in either order and, for
    single nucleotides, read from either strand. Sites with several alternate alleles match by
    alleles, never by site alone. Where several rows claim one target variant the one with the
    smallest `priority` (ties: the first) is taken and the others count as duplicates. Where
    the target repeats a variant, the repeat with the query's id is taken, or else the one
    whose alleles are written with the same letters, or else the first.

    Parameters
    ----------
    query, target : VariantTable
        Any order; duplicates allowed.
    query_eaf, target_eaf : ndarray of float64, optional
        Frequency of the effect allele, for palindromic variants; NaN where unknown.
    palindromic : {"frequency", "keep", "drop"}
        A/T and C/G variants look the same on both strands. ``"frequency"`` keeps those whose
        two frequencies lie clearly on one side of 1/2 each, and turns them where the sides
        differ; ``"keep"`` takes the alleles as written; ``"drop"`` drops them all.
    ambiguous_maf : float
        Minor allele frequency from which (in either input) a frequency settles nothing.
    by : {"auto", "position", "id"}
        The site: chromosome and position (``auto``, where both have them) or the id.
    priority : ndarray of float64, shape (M_query,), optional
        Smaller is preferred among duplicates; default: the first row.
    min_overlap : float
        Least share of the smaller of the two inputs that must match.
    what, target_name : str
        For messages.

    Returns
    -------
    VariantMatch

    Raises
    ------
    BuildMismatchError
        If ids agree and positions do not.
    OverlapError
        If no variant matches, or fewer than `min_overlap`.
    SettingsError
        If ``by="position"`` and one of the inputs has no positions.
    """
    positions = query.has_positions and target.has_positions
    if by == "position" and not positions:
        raise SettingsError(
            f"cannot match {what} to {target_name} by position: one of them has no positions",
            remedy="match by id",
        )
    key = "position" if positions and by != "id" else "id"
    notes = [f"matched by {key} and alleles"]
    site_q, site_t = _site_codes(query, target, key)
    fate = np.full(len(query), Fate.NOT_FOUND, dtype=np.int8)
    # rows at a site of the target; of a large file that is a small part
    near = np.flatnonzero((site_q >= 0) & pd.Index(site_q).isin(site_t))
    fate[near] = Fate.ALLELE_MISMATCH
    there, site_q = query.take(near), site_q[near]
    (qa, qb), (ta, tb), n_codes = allele_codes(
        (there.effect_allele, there.other_allele), (target.effect_allele, target.other_allele)
    )
    index = _lookup(site_q, site_t, qa, qb, ta, tb, n_codes)
    index = choose_among_repeats(there, target, site_q, site_t, index)
    found = np.flatnonzero(index >= 0)
    rows, at = near[found], index[found]
    if by == "auto" and positions:
        build = check_build(query, target, rows, at)
        notes += [build] if build else []
    qa, qb = qa[found], qb[found]
    fate[rows] = orientation(qa, qb, ta[at], tb[at])

    ambiguous = (qa < 4) & (qa + qb == 3)
    if ambiguous.any():
        pal, pal_at = rows[ambiguous], at[ambiguous]
        fate[pal] = settle_palindromes(
            fate[pal],
            None if query_eaf is None else query_eaf[pal],
            None if target_eaf is None else target_eaf[pal_at],
            palindromic,
            ambiguous_maf,
        )
    kept = fate[rows] <= Fate.PALINDROMIC_SWAPPED
    rows, at = rows[kept], at[kept]
    order = np.lexsort((rows, np.zeros(len(rows)) if priority is None else priority[rows], at))
    first = np.ones(len(order), bool)
    first[1:] = at[order][1:] != at[order][:-1]
    fate[rows[order[~first]]] = Fate.DUPLICATE
    chosen = order[first]
    query_index, target_index = rows[chosen], at[chosen]
    if key == "position":
        notes += count_other_names(query.id[query_index], target.id[target_index])

    smaller = max(min(len(query), len(target)), 1)
    if len(query_index) == 0 or len(query_index) / smaller < min_overlap:
        missing = np.flatnonzero(fate >= Fate.ALLELE_MISMATCH)
        raise OverlapError(
            f"{len(query_index):,} of {len(query):,} variants of {what} are among the "
            f"{len(target):,} of {target_name} ({len(query_index) / smaller:.1%} of the smaller; "
            f"at least {min_overlap:.0%} and one are needed). Not matched, for example:",
            rows=query.describe(missing[:5]),
            n_rows=len(missing),
            remedy="check the genome build, the chromosomes and the kind of id of both inputs "
            f"(matched by {key})",
        )
    return VariantMatch(
        query_index.astype(np.int64),
        target_index.astype(np.int64),
        _SIGN[fate[query_index]],
        fate,
        tuple(notes),
    )


def _lookup(
    site_q: NDArray[np.int64],
    site_t: NDArray[np.int64],
    qa: NDArray[np.int64],
    qb: NDArray[np.int64],
    ta: NDArray[np.int64],
    tb: NDArray[np.int64],
    n_codes: int,
) -> NDArray[np.int64]:
    """Return for each query row the first target variant of the same site and allele pair."""
    pairs, _ = pd.factorize(
        np.concatenate([unordered_pair(qa, qb, n_codes), unordered_pair(ta, tb, n_codes)])
    )
    sites, _ = pd.factorize(np.concatenate([site_q, site_t]))
    joint = sites.astype(np.int64) * (int(pairs.max(initial=0)) + 1) + pairs
    key_q, key_t = joint[: len(site_q)], joint[len(site_q) :]
    usable = np.flatnonzero(site_t >= 0)
    table = pd.Index(key_t[usable])
    keep = np.flatnonzero(~table.duplicated())
    hit = table[keep].get_indexer(pd.Index(key_q))
    index = np.where(hit >= 0, usable[keep][hit] if len(keep) else -1, -1)
    index[site_q < 0] = -1
    return index.astype(np.int64)
