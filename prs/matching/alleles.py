"""Allele pairs: as written, exchanged, from the other strand; palindromes; missing alleles."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prs.errors import SettingsError
from prs.matching.fates import Fate
from prs.variants import VariantTable

__all__ = [
    "PalindromicRule",
    "choose_among_repeats",
    "find_other_alleles",
    "orientation",
    "settle_palindromes",
    "unordered_pair",
]

PalindromicRule = Literal["frequency", "keep", "drop"]

_COMPLEMENT = {"A": "T", "T": "A", "C": "G", "G": "C"}


def unordered_pair(a: NDArray[np.int64], b: NDArray[np.int64], n_codes: int) -> NDArray[np.int64]:
    """Return one number for an allele pair whatever its order and strand."""
    snv = (a < 4) & (b < 4)
    direct = np.minimum(a, b) * n_codes + np.maximum(a, b)
    flipped = np.minimum(3 - a, 3 - b) * n_codes + np.maximum(3 - a, 3 - b)
    return np.where(snv, np.minimum(direct, flipped), direct)


def choose_among_repeats(
    query: VariantTable,
    target: VariantTable,
    site_q: NDArray[np.int64],
    site_t: NDArray[np.int64],
    index: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Return `index` with better choices at sites where the target repeats an allele pair."""
    repeated = pd.Index(site_t).duplicated(keep=False) & (site_t >= 0)
    rows = np.flatnonzero((index >= 0) & np.isin(site_q, site_t[repeated]))
    if len(rows) == 0:
        return index

    def letters(table: VariantTable, i: int) -> frozenset[str]:
        return frozenset((table.effect_allele[i], table.other_allele[i]))

    def either_strand(alleles: frozenset[str]) -> frozenset[frozenset[str]]:
        if not alleles <= _COMPLEMENT.keys():  # only single nucleotides are read from both
            return frozenset((alleles,))
        return frozenset((alleles, frozenset(_COMPLEMENT[allele] for allele in alleles)))

    by_letters: dict[tuple[int, frozenset[str]], int] = {}
    by_id: dict[tuple[int, str, frozenset[frozenset[str]]], int] = {}
    for i in np.flatnonzero(repeated).tolist():
        alleles = letters(target, i)
        by_letters.setdefault((int(site_t[i]), alleles), i)
        by_id.setdefault((int(site_t[i]), target.id[i], either_strand(alleles)), i)
    index = index.copy()
    for i in rows.tolist():
        alleles, site = letters(query, i), int(site_q[i])
        first = by_letters.get((site, alleles), int(index[i]))
        named = query.id[i] not in ("", ".")
        key = (site, query.id[i], either_strand(alleles))
        index[i] = by_id.get(key, first) if named else first
    return index


def orientation(
    qa: NDArray[np.int64], qb: NDArray[np.int64], ta: NDArray[np.int64], tb: NDArray[np.int64]
) -> NDArray[np.int8]:
    """Return SAME, SWAPPED, FLIPPED or FLIPPED_SWAPPED; written order first, strand second."""
    fate = np.full(len(qa), Fate.FLIPPED_SWAPPED, dtype=np.int8)
    fate[(3 - qa == ta) & (3 - qb == tb) & (qa < 4)] = Fate.FLIPPED
    fate[(qa == tb) & (qb == ta)] = Fate.SWAPPED
    fate[(qa == ta) & (qb == tb)] = Fate.SAME
    return fate


def settle_palindromes(
    written: NDArray[np.int8],
    query_eaf: NDArray[np.float64] | None,
    target_eaf: NDArray[np.float64] | None,
    rule: PalindromicRule,
    ambiguous_maf: float,
) -> NDArray[np.int8]:
    """Return the fate of palindromic rows that, as written, are SAME or SWAPPED."""
    if rule not in ("frequency", "keep", "drop"):
        raise SettingsError(f"palindromic={rule!r} is not one of 'frequency', 'keep', 'drop'")
    same = written == Fate.SAME
    as_written = np.where(same, Fate.PALINDROMIC_SAME, Fate.PALINDROMIC_SWAPPED)
    if rule == "keep":
        return as_written.astype(np.int8)
    settled = np.full(len(written), Fate.PALINDROMIC_DROPPED, dtype=np.int8)
    if rule == "drop" or query_eaf is None or target_eaf is None:
        return settled
    with np.errstate(invalid="ignore"):  # NaN: unknown, so not settled
        clear = (np.minimum(query_eaf, 1 - query_eaf) < ambiguous_maf) & (
            np.minimum(target_eaf, 1 - target_eaf) < ambiguous_maf
        )
        # frequencies of one allele letter lie on the same side of 1/2 if the strand is the same
        same_side = ((query_eaf < 0.5) == (target_eaf < 0.5)) == same
    turned = np.where(same, Fate.PALINDROMIC_SWAPPED, Fate.PALINDROMIC_SAME)
    settled[clear] = np.where(same_side, as_written, turned)[clear]
    return settled


def find_other_alleles(variants: VariantTable, target: VariantTable) -> NDArray[np.object_]:
    """Return the allele beside the effect allele at the target's site; "" if there is not one.

    On the written strand first, then on the opposite one; several candidates settle nothing.

    Parameters
    ----------
    variants : VariantTable
        M variants whose other allele is unknown.
    target : VariantTable
        Variants with both alleles.

    Returns
    -------
    ndarray of object (str), shape (M,)
    """
    by_position = variants.has_positions and target.has_positions
    key = "site_key" if by_position else "id"
    query = pd.DataFrame(
        {
            "site": getattr(variants, key),
            "allele": variants.effect_allele,
            "row": np.arange(len(variants)),
        }
    )
    known = target.site_key > 0 if by_position else ~np.isin(target.id, ["", "."])
    sides = []
    for strand in (0, 1):
        for effect, other in (
            (target.effect_allele, target.other_allele),
            (target.other_allele, target.effect_allele),
        ):
            pair = pd.DataFrame({"site": getattr(target, key), "allele": effect, "other": other})
            if strand:
                pair[["allele", "other"]] = pair[["allele", "other"]].map(
                    lambda allele: _COMPLEMENT.get(allele)
                )
            pair["strand"] = strand
            sides.append(pair[known].dropna())
    table = pd.concat(sides).drop_duplicates(["site", "allele", "other", "strand"])
    hits = query.merge(table, on=["site", "allele"])
    hits = hits[hits["strand"] == hits.groupby("row")["strand"].transform("min")]
    hits = hits[~hits["row"].duplicated(keep=False)]
    other = np.full(len(variants), "", dtype=object)
    other[hits["row"].to_numpy()] = hits["other"].to_numpy(dtype=object)
    return other
