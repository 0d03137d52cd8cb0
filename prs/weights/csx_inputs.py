"""One population's part of the model, and the union of the populations' variants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prs.errors import BuildMismatchError, OverlapError, SettingsError
from prs.inputs.harmonise import HarmonisedSumStats, harmonise
from prs.inputs.sumstats import SumStats
from prs.ld.reference import LDReference
from prs.matching import MatchReport, PalindromicRule, match_variants
from prs.variants import VariantTable

__all__ = ["PopulationData", "join_variants", "prepare_population"]


@dataclass(frozen=True, eq=False)
class PopulationData:
    """One population's part of the model.

    Attributes
    ----------
    name : str
    variants : VariantTable
        Its p variants, in the order of its LD blocks.
    b : ndarray of float64, shape (p,)
        Standardised marginal effects z / sqrt(n), counting `variants.effect_allele`.
    n_gwas : float
        Sample size of the likelihood: the median of the variants' n_eff.
    eaf : ndarray of float64, shape (p,)
        Frequency in the LD panel.
    rows : ndarray of int64, shape (p,)
        Their rows in the LD reference.
    ld : LDReference
    """

    name: str
    variants: VariantTable
    b: NDArray[np.float64]
    n_gwas: float
    eaf: NDArray[np.float64]
    rows: NDArray[np.int64]
    ld: LDReference


def prepare_population(
    name: str,
    statistics: SumStats | HarmonisedSumStats,
    ld: LDReference,
    palindromic: PalindromicRule,
) -> tuple[PopulationData, MatchReport, tuple[str, ...]]:
    """Match one population's statistics to its LD and return what the model needs of them."""
    if isinstance(statistics, SumStats):
        statistics = harmonise(
            statistics,
            ld.variants,
            eaf=ld.eaf,
            palindromic=palindromic,
            target_name=f"LD reference of {name}",
        )
    notes = []
    rows = np.asarray(statistics.reference_index, dtype=np.int64)
    if len(rows) and (rows.max() >= len(ld.variants) or rows.min() < 0):
        raise SettingsError(
            f"the harmonised statistics of {name} point at variant {rows.max():,} of an LD "
            f"reference with {len(ld.variants):,}",
            remedy="harmonise them to this LD reference",
        )
    b = np.asarray(statistics.standardised, dtype=np.float64)
    n = np.asarray(statistics.n_eff, dtype=np.float64)
    usable = np.isfinite(b) & np.isfinite(n) & (n > 0) & (ld.eaf[rows] > 0) & (ld.eaf[rows] < 1)
    if not usable.all():
        notes.append(
            f"{name}: {int((~usable).sum()):,} variants without a usable z, sample size or panel "
            "frequency were left out"
        )
    order = np.flatnonzero(usable)
    order = order[np.argsort(rows[order], kind="stable")]
    rows, b, n = rows[order], b[order], n[order]
    if len(rows) == 0:
        raise OverlapError(
            f"no variant of {name} has both summary statistics and LD",
            remedy="check the sample size, the effect columns and the LD reference",
        )
    n_gwas = float(np.median(n))
    uneven = float(np.mean(np.abs(n / n_gwas - 1.0) > 0.1))
    if uneven > 0.05:
        notes.append(
            f"{name}: n differs from its median ({n_gwas:,.0f}) by more than 10% at {uneven:.0%} "
            "of the variants; each z is scaled by its own n, the likelihood uses the median"
        )
    largest = float(np.abs(b).max())
    if largest > 1.0:
        notes.append(
            f"{name}: standardised effects reach {largest:.3g}, more than a variant can explain: "
            "are beta, SE and n of the right columns?"
        )
    data = PopulationData(name, ld.variants.take(rows), b, n_gwas, ld.eaf[rows], rows, ld)
    return data, statistics.report, tuple(notes)


def join_variants(
    tables: Sequence[VariantTable], names: Sequence[str]
) -> tuple[VariantTable, list[NDArray[np.int64]], list[NDArray[np.float64]], tuple[str, ...]]:
    """Return the union of variant tables, and each table's places and signs in it.

    Variants are the same if site and alleles are, in either order and on either strand; A/T and
    C/G variants are taken as written, since LD panels have one strand and frequencies differ
    between populations. The alleles are those of the first table that has the variant.

    Parameters
    ----------
    tables : sequence of VariantTable
    names : sequence of str
        For messages.

    Returns
    -------
    union : VariantTable
        By chromosome and position.
    index : list of ndarray of int64
        Place of each table's variants in the union.
    sign : list of ndarray of float64
        -1 where the union counts the other allele.
    notes : tuple of str
    """
    union, notes = tables[0], []
    index = [np.arange(len(union))]
    sign = [np.ones(len(union))]
    for table, name in zip(tables[1:], names[1:], strict=True):
        at = np.full(len(table), -1, dtype=np.int64)
        turn = np.ones(len(table))
        try:
            match = match_variants(
                table, union, palindromic="keep", what=f"variants of {name}", target_name="others"
            )
        except BuildMismatchError:
            raise
        except OverlapError:
            notes.append(f"{name}: no variant in common with the populations before it")
        else:
            at[match.query_index] = match.target_index
            turn[match.query_index] = match.sign
        new = np.flatnonzero(at < 0)
        at[new] = len(union) + np.arange(len(new))
        if len(new):
            union = VariantTable.concatenate([union, table.take(new)])
        index.append(at)
        sign.append(turn)
    if union.has_positions:
        order = np.argsort(union.site_key, kind="stable")
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        union = union.take(order)
        index = [place[at] for at in index]
    return union, index, sign, tuple(notes)
