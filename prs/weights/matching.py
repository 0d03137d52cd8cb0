"""Finding weights among the genotypes' variants, whatever the weights' file leaves out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from prs.errors import SettingsError
from prs.matching import (
    Fate,
    MatchReport,
    VariantMatch,
    find_other_alleles,
    match_variants,
    place_by_id,
)
from prs.variants import VariantTable
from prs.weights.table import Weights

__all__ = ["MatchedWeights", "PalindromicChoice", "match_weights"]

PalindromicChoice: TypeAlias = Literal["auto", "frequency", "keep", "drop"]

#: Up to this share of strand flips among the variants that can show them, a file is taken to be
#: on the genotypes' strand: single flips are alleles of other variants at the site.
MAX_FLIPS_OF_ONE_STRAND = 0.01
_COMPLEMENT = {"A": "T", "T": "A", "C": "G", "G": "C"}


@dataclass(frozen=True, eq=False)
class MatchedWeights:
    """Weights of the K variants that the genotypes have.

    Attributes
    ----------
    variant : ndarray of int64, shape (K,)
        Variants of the genotypes; ascending, unique.
    is_turned : ndarray of bool, shape (K,)
        Whether the weight is for the genotypes' other allele.
    weights : ndarray of float64, shape (K, S)
        Per copy of the weighted allele.
    n_used, n_missing : ndarray of int64, shape (S,)
        Variants with a weight other than 0 that were and were not found.
    lost : ndarray of int64
        Rows of the weights that were not found.
    lost_fate : ndarray of int8
        Their `Fate`: why not.
    report : MatchReport
        Fate of each row of the weights.
    """

    variant: NDArray[np.int64]
    is_turned: NDArray[np.bool_]
    weights: NDArray[np.float64]
    n_used: NDArray[np.int64]
    n_missing: NDArray[np.int64]
    lost: NDArray[np.int64]
    lost_fate: NDArray[np.int8]
    report: MatchReport

    def without_weights(self) -> MatchedWeights:
        """Return the same variants with no score, to count calls only."""
        return replace(self, weights=self.weights[:, :0])


def match_weights(
    table: Weights,
    target: VariantTable,
    frequencies: Callable[[NDArray[np.int64]], NDArray[np.float64]],
    *,
    palindromic: PalindromicChoice = "auto",
) -> MatchedWeights:
    """Find weights among the variants of the genotypes, by site and alleles.

    Where the weights do not name the other allele, it is the one that the genotypes have at
    the site beside the effect allele. Rows without a position, in a table that has some, are
    placed by id.

    Parameters
    ----------
    table : Weights
        The weights.
    target : VariantTable
        The genotypes' variants.
    frequencies : callable
        Returns the frequency of the target's effect allele for the variants asked for; called
        only if palindromic variants need it, and only for these.
    palindromic : {"auto", "frequency", "keep", "drop"}
        A/T and C/G variants look the same on both strands. ``"keep"``: taken as written.
        ``"drop"``: dropped. ``"frequency"``: kept, or turned, where the frequencies in weights
        and genotypes both settle the strand (minor allele below 0.4), otherwise dropped.
        ``"auto"``: as written if at most one per cent of the other variants are on the
        opposite strand, for then the file is on the genotypes' strand; otherwise
        ``"frequency"``. Whatever is dropped is counted.

    Returns
    -------
    MatchedWeights

    Raises
    ------
    OverlapError, BuildMismatchError
        If nothing matches, or ids agree and positions do not.
    SettingsError
        If `palindromic` is none of the choices.
    """
    if palindromic not in ("auto", "frequency", "keep", "drop"):
        raise SettingsError(
            f"palindromic={palindromic!r} is not one of 'auto', 'frequency', 'keep', 'drop'"
        )
    query, notes = _complete(table.variants, target)
    name = f"weights {', '.join(table.names[:3])}{', ...' if table.n_scores > 3 else ''}"

    def match(
        rule: Literal["frequency", "keep", "drop"], eaf: NDArray[np.float64] | None = None
    ) -> VariantMatch:
        if rule == "keep" and _are_identical(query, target):
            return _match_in_order(query)
        return match_variants(
            query,
            target,
            query_eaf=table.eaf,
            target_eaf=eaf,
            palindromic=rule,
            what=name,
            target_name="the genotypes",
        )

    matched = match("drop" if palindromic == "drop" else "keep")
    palindromes = np.isin(matched.fate, [Fate.PALINDROMIC_SAME, Fate.PALINDROMIC_SWAPPED])
    if palindromic in ("auto", "frequency") and palindromes.any():
        straight = int(np.isin(matched.fate, [Fate.SAME, Fate.SWAPPED]).sum())
        flipped = int(np.isin(matched.fate, [Fate.FLIPPED, Fate.FLIPPED_SWAPPED]).sum())
        share = flipped / max(straight + flipped, 1)
        if palindromic == "frequency" or share > MAX_FLIPS_OF_ONE_STRAND:
            notes.append("palindromic variants settled by allele frequency")
            asked = np.flatnonzero(target.is_palindromic)
            eaf = np.full(len(target), np.nan)
            if table.eaf is not None and len(asked):
                eaf[asked] = frequencies(asked)
            matched = match("frequency", eaf)
        else:
            notes.append(
                f"palindromic variants taken as written: {flipped:,} of "
                f"{straight + flipped:,} others are on the opposite strand"
            )
    matched = replace(matched, notes=(*matched.notes, *notes))
    lost = np.flatnonzero(matched.fate > Fate.PALINDROMIC_SWAPPED)
    return MatchedWeights(
        variant=matched.target_index,
        is_turned=matched.sign < 0,
        weights=table.weights[matched.query_index],
        n_used=np.count_nonzero(table.weights[matched.query_index], axis=0).astype(np.int64),
        n_missing=np.count_nonzero(table.weights[lost], axis=0).astype(np.int64),
        lost=lost,
        lost_fate=matched.fate[lost],
        report=matched.report(name, "the genotypes", len(target)),
    )


def _complete(variants: VariantTable, target: VariantTable) -> tuple[VariantTable, list[str]]:
    """Fill in positions by id, and other alleles by site, where the weights lack them."""
    variants, notes = place_by_id(variants, target)
    nameless = np.flatnonzero(variants.other_allele == "")
    if len(nameless):
        other = variants.other_allele.copy()
        other[nameless] = find_other_alleles(variants.take(nameless), target)
        found = int(np.count_nonzero(other[nameless] != ""))
        variants = replace(variants, other_allele=other)
        notes.append(f"other allele of {found:,} variants taken from the genotypes")
    return variants, notes


def _are_identical(query: VariantTable, target: VariantTable) -> bool:
    """Whether the two are the same variants in the same order, no variant twice."""
    site = query.site_key
    if not (
        len(query) == len(target)
        and np.array_equal(site, target.site_key)
        and np.all((query.chrom > 0) & (query.pos > 0))
        and np.all(site[1:] >= site[:-1])
        and np.array_equal(query.effect_allele, target.effect_allele)
        and np.array_equal(query.other_allele, target.other_allele)
        and np.all(query.other_allele != "")
    ):
        return False
    seen = set()
    again = site[1:] == site[:-1]
    for i in np.flatnonzero(np.append(again, False) | np.append(False, again)).tolist():
        pair = (query.effect_allele[i], query.other_allele[i])
        for alleles in (frozenset(pair), frozenset(_COMPLEMENT.get(a, a) for a in pair)):
            if (site[i], alleles, i) not in seen and (site[i], alleles) in seen:
                return False
            seen |= {(site[i], alleles), (site[i], alleles, i)}
    return True


def _match_in_order(query: VariantTable) -> VariantMatch:
    """Return the match of a table to its like."""
    rows = np.arange(len(query))
    same = np.where(query.is_palindromic, Fate.PALINDROMIC_SAME, Fate.SAME)
    return VariantMatch(
        rows,
        rows,
        np.ones(len(query), dtype=np.int8),
        same.astype(np.int8),
        ("the variants are those of the genotypes, in the same order",),
    )
