"""Relatives by KING-robust kinship, from packed genotypes: above all across tuning and test."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from prs.errors import SettingsError
from prs.inputs.genotypes import Genotypes
from prs.kernels.kinship import count_pairs
from prs.variants import VariantTable

__all__ = [
    "SECOND_DEGREE",
    "THIRD_DEGREE",
    "find_relatives",
    "king_robust",
    "least_kinship",
    "relatives_note",
]

logger = logging.getLogger(__name__)

#: Least kinship of second- and third-degree relatives: 2^-3.5 and 2^-4.5 (Manichaikul 2010).
SECOND_DEGREE, THIRD_DEGREE = 2.0**-3.5, 2.0**-4.5
SAME_PERSON = 2.0**-1.5
#: Megabases with a variant (of about 2,800) from which second-degree relatives can be told.
ENOUGH_GENOME = 1000
_TILE = 256
_BLOCK = 1024


@dataclass(frozen=True, eq=False)
class _Bits:
    """Calls of N people at M variants, a bit a variant: heterozygous, one or other homozygote."""

    het: NDArray[np.uint64]
    first: NDArray[np.uint64]
    second: NDArray[np.uint64]


def _choose_variants(genotypes: Genotypes, max_variants: int, min_maf: float) -> NDArray[np.int64]:
    eaf = np.nan_to_num(genotypes.eaf(), nan=0.0)
    chrom = genotypes.variants.chrom
    good = np.flatnonzero((chrom >= 1) & (chrom <= 22) & (np.minimum(eaf, 1.0 - eaf) >= min_maf))
    if len(good) > max_variants:
        good = good[np.linspace(0, len(good) - 1, max_variants).round().astype(np.int64)]
    return good


def _load_bits(genotypes: Genotypes, variants: NDArray[np.int64]) -> _Bits:
    people = genotypes.sample_index
    parts: list[tuple[NDArray[np.uint8], ...]] = []
    for start in range(0, len(variants), _BLOCK):
        packed = genotypes.read_packed(variants[start : start + _BLOCK])
        codes = (packed[:, people >> 2] >> (2 * (people & 3)).astype(np.uint8)) & 3
        rows = -len(codes) % 64
        codes = np.concatenate([codes, np.ones((rows, len(people)), np.uint8)])  # 1 = missing
        parts.append(tuple(np.packbits(codes == code, axis=0).T for code in (2, 0, 3)))
    joined = [
        np.ascontiguousarray(np.concatenate(bits, axis=1)) for bits in zip(*parts, strict=True)
    ]
    return _Bits(*(bits.view(np.uint64) for bits in joined))


def king_robust(
    both_het: ArrayLike, opposite: ArrayLike, het_i: ArrayLike, het_j: ArrayLike
) -> NDArray[np.float64]:
    """Return KING-robust kinship from counts over variants at which both people are called.

    Manichaikul et al. 2010 (Bioinformatics 26:2867, equation 11)::

        phi = (N_AaAa - 2 N_AA,aa) / (2 N_min) + 1/2 - (N_Aa(i) + N_Aa(j)) / (4 N_min)

    with N_min the smaller number of heterozygous calls. NaN where it is 0.

    Parameters
    ----------
    both_het, opposite : array_like
        Variants at which both are heterozygous; opposite homozygotes.
    het_i, het_j : array_like
        Heterozygous calls of each.
    """
    hets = np.minimum(het_i, het_j).astype(np.float64)
    hets = np.where(hets > 0, hets, np.nan)
    top = np.asarray(both_het, np.float64) - 2.0 * np.asarray(opposite, np.float64)
    total = np.asarray(het_i, np.float64) + np.asarray(het_j, np.float64)
    out: NDArray[np.float64] = top / (2.0 * hets) + 0.5 - total / (4.0 * hets)
    return out


def find_relatives(
    genotypes: Genotypes,
    *,
    between: tuple[Sequence[str] | NDArray[np.object_], Sequence[str] | NDArray[np.object_]]
    | None = None,
    min_kinship: float = SECOND_DEGREE,
    max_variants: int = 20_000,
    min_maf: float = 0.01,
    n_threads: int | None = None,
) -> pd.DataFrame:
    """Find pairs of relatives: all pairs, or pairs of one person from each of two lists.

    KING-robust needs no allele frequencies and so holds across ancestries; pairs of different
    ancestry come out below 0, and people of recent admixture somewhat off.

    Parameters
    ----------
    genotypes : Genotypes
        The people.
    between : (sequence of str, sequence of str), optional
        IIDs of tuning and of test people, say; default: all pairs.
    min_kinship : float
        Least kinship to be listed: 2^-3.5 for second-degree relatives, 2^-4.5 for third.
    max_variants, min_maf
        Autosomal variants used, evenly spread; 20,000 independent ones give a standard error
        of about 0.005.
    n_threads : int, optional
        Default: all cores.

    Returns
    -------
    DataFrame
        IID1, IID2, kinship, relation; most related first. ``attrs["n_pairs"]``,
        ``attrs["n_variants"]``: what was looked at.

    Raises
    ------
    SettingsError
        If an id is not there, or too few variants serve.
    """
    chosen = _choose_variants(genotypes, max_variants, min_maf)
    if len(chosen) < 100:
        raise SettingsError(
            f"{len(chosen):,} autosomal variants with a minor allele frequency of at least "
            f"{min_maf:g} are too few for kinship",
            remedy="use more of the genome",
        )
    place = {str(iid): i for i, iid in enumerate(genotypes.samples.iid)}
    if between is None:
        sides = [np.arange(genotypes.n_samples)] * 2
    else:
        for side in between:
            unknown = [str(p) for p in side if str(p) not in place]
            if unknown:
                raise SettingsError(
                    f"{len(unknown):,} people are not in {genotypes.path}", rows=unknown[:5]
                )
        sides = [np.array([place[str(p)] for p in side], dtype=np.int64) for side in between]
    bits = _load_bits(genotypes, chosen)
    tiles = [
        (sides[0][a : a + _TILE], sides[1][b : b + _TILE])
        for a in range(0, len(sides[0]), _TILE)
        for b in range(a if between is None else 0, len(sides[1]), _TILE)
    ]

    def work(tile: tuple[NDArray[np.int64], NDArray[np.int64]]) -> list[tuple[int, int, float]]:
        rows, columns = tile
        counts = [np.zeros((len(rows), len(columns)), np.int32) for _ in range(4)]
        count_pairs(bits.het, bits.first, bits.second, rows, columns, *counts)
        phi = np.nan_to_num(king_robust(*counts), nan=-1.0)
        keep = phi >= min_kinship
        keep &= rows[:, None] != columns[None, :]
        if between is None:
            keep &= rows[:, None] < columns[None, :]
        return [(int(rows[a]), int(columns[b]), float(phi[a, b])) for a, b in np.argwhere(keep)]

    with ThreadPoolExecutor(max_workers=n_threads or os.cpu_count() or 1) as pool:
        found = [pair for part in pool.map(work, tiles) for pair in part]
    iid = genotypes.samples.iid
    frame = pd.DataFrame(
        {
            "IID1": np.array([iid[i] for i, _, _ in found], dtype=object).astype(str),
            "IID2": np.array([iid[j] for _, j, _ in found], dtype=object).astype(str),
            "kinship": np.array([phi for _, _, phi in found], dtype=np.float64),
        }
    ).sort_values(["kinship", "IID1", "IID2"], ascending=[False, True, True], ignore_index=True)
    frame["relation"] = [_relation(phi) for phi in frame["kinship"]]
    n_pairs = len(sides[0]) * (len(sides[0]) - 1) // 2
    frame.attrs = {
        "n_pairs": n_pairs if between is None else len(sides[0]) * len(sides[1]),
        "n_variants": len(chosen),
        "min_kinship": min_kinship,
    }
    logger.info("%d pairs, %d related", frame.attrs["n_pairs"], len(frame))
    return frame


def _relation(phi: float) -> str:
    for least, name in (
        (SAME_PERSON, "same person or twin"),
        (2.0**-2.5, "first degree"),
        (SECOND_DEGREE, "second degree"),
        (THIRD_DEGREE, "third degree"),
    ):
        if phi >= least:
            return name
    return "more distant"


def least_kinship(variants: VariantTable) -> float:
    """Return the least kinship that this much of the genome can tell from chance.

    On a few chromosomes unrelated people share long stretches by chance, whatever the number of
    variants: only the same person stands out.
    """
    window = (variants.chrom.astype(np.int64) << 32) + variants.pos // 1_000_000
    return SECOND_DEGREE if len(np.unique(window)) >= ENOUGH_GENOME else SAME_PERSON


def relatives_note(found: pd.DataFrame, *, one_sample: bool = False) -> str:
    """Say what was found across tuning and test people (or within one sample), for a report."""
    least = float(found.attrs.get("min_kinship", SECOND_DEGREE))
    what = (
        "close relatives"
        if least < SAME_PERSON
        else "duplicates (too little of the genome for relatives)"
    )
    looked = (
        f"{found.attrs.get('n_pairs', 0):,} pairs, {found.attrs.get('n_variants', 0):,} variants"
    )
    where = "within the one sample" if one_sample else "across tuning and test people"
    if found.empty:
        return f"No {what} {where} (KING-robust; {looked})."
    kinds = found["relation"].value_counts()
    words = ", ".join(f"{n:,} {kind}" for kind, n in kinds.items())
    if one_sample:
        return (
            f"{len(found):,} pairs of relatives {where} ({words}): folds part some of them, and "
            f"cross-fitted figures are too good to that extent (KING-robust; {looked})."
        )
    people = found["IID2"].nunique()
    return (
        f"{len(found):,} pairs of relatives {where} ({words}); {people:,} "
        f"test people have a relative among those who tuned, and their figures are too good to "
        f"that extent (KING-robust; {looked})."
    )
