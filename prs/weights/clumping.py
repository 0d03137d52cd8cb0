"""Clumping: the most significant variants, each with the neighbours that it stands for."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from prs.errors import InvalidValueError, SettingsError
from prs.files import write_table
from prs.inputs.genotypes import Genotypes
from prs.inputs.harmonise import HarmonisedSumStats
from prs.ld.planes import founders
from prs.ld.reference import LDReference
from prs.variants import VariantTable, chromosome_labels
from prs.weights.clumping_ld import clump_blocks
from prs.weights.clumping_windows import WindowClumper, clump_by_windows
from prs.weights.coding import X, Y

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["Clumps", "clump", "clump_grid", "write_clumps"]

logger = logging.getLogger(__name__)

R2Kind: TypeAlias = Literal["haplotype", "dosage"]


@dataclass(frozen=True, eq=False)
class Clumps:
    """Index variants, most significant first, and the members of their clumps.

    Attributes
    ----------
    index_variant : ndarray of int64, shape (K,)
        Rows of `variants`; by p, ties in the order of the genotypes.
    members : tuple of ndarray of int64
        For each index variant the rows of the others in its clump with p below p2, ascending.
    variants : VariantTable
        The variants of the summary statistics.
    p : ndarray of float64, shape (M,)
        Their p values.
    """

    index_variant: NDArray[np.int64]
    members: tuple[NDArray[np.int64], ...]
    variants: VariantTable
    p: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.index_variant)

    def to_frame(self) -> pd.DataFrame:
        """Return one row a clump: index_variant, chrom, pos, p, members (ids, comma-joined).

        A variant without an id is written as chrom:pos:effect:other.
        """
        names = _names(self.variants)
        at = self.index_variant
        edges = np.cumsum([0, *map(len, self.members)]).tolist()
        listed = names[np.concatenate(self.members)].tolist() if edges[-1] else []
        return pd.DataFrame(
            {
                "index_variant": names[at],
                "chrom": chromosome_labels(self.variants.chrom[at]),
                "pos": self.variants.pos[at],
                "p": self.p[at],
                "members": [",".join(listed[a:b]) for a, b in pairwise(edges)],
            }
        )


def _names(variants: VariantTable) -> NDArray[np.object_]:
    names = variants.id.copy()
    for i in np.flatnonzero((names == "") | (names == ".")):
        chrom = chromosome_labels(variants.chrom[i : i + 1])[0]
        alleles = f"{variants.effect_allele[i]}:{variants.other_allele[i]}"
        names[i] = f"{chrom}:{variants.pos[i]}:{alleles}"
    return names


def clump(
    sumstats: HarmonisedSumStats,
    genotypes: Genotypes | None = None,
    *,
    ld: LDReference | None = None,
    samples: ArrayLike | None = None,
    p1: float = 1.0,
    p2: float = 1.0,
    r2: float = 0.1,
    kb: float = 250,
    kind: R2Kind = "haplotype",
    n_threads: int | None = None,
    client: Client | None = None,
) -> Clumps:
    """Find index variants and their clumps, as ``plink1.9 --clump`` does.

    Variants are taken in order of p (ties: in the order of the genotypes). The first that is
    not yet in a clump is an index variant; every variant not yet in a clump, nearer than
    ``1000 kb`` base pairs and with r2 above `r2`, joins it. r2 is over founders with both
    calls; everybody counts where nobody is a founder. On chromosome X a man has one haplotype
    (dosage r2: 0 or 2 copies, as a woman's homozygote) and on Y only men count; heterozygous calls
    of men there are taken as missing.

    Parameters
    ----------
    sumstats : HarmonisedSumStats
        Harmonised to ``genotypes.variants`` (or ``ld.variants``).
    genotypes : Genotypes, optional
        The reference people: a panel, or the people to be scored; hard calls are used.
    ld : LDReference, optional
        Correlations to use where there are no genotypes: r2 is then their square (of dosages,
        whatever `kind` is), and 0 between two blocks.
    samples : index array or mask, optional
        People of `genotypes` to use; default: all.
    p1 : float
        Greatest p of an index variant.
    p2 : float
        Members are listed if their p is below this (strictly, as in PLINK: with 1, members of
        p = 1 are not); it plays no other part.
    r2 : float
        Threshold; a member's r2 is strictly above it.
    kb : float
        Distance, in 1,000 base pairs: members are at most ``1000 kb - 1`` away.
    kind : {"haplotype", "dosage"}
        r2 between alleles on haplotypes (maximum likelihood; PLINK's --clump and PRSice), or
        the squared correlation of dosages (``plink2 --clump-unphased``).
    n_threads : int, optional
        Windows done at once; default: all cores. The result does not depend on it.
    client : distributed.Client, optional
        A cluster whose workers do a window each (not where r2 comes from `ld`).

    Returns
    -------
    Clumps

    Raises
    ------
    SettingsError
        If a threshold is out of range or nobody is left.
    InvalidValueError
        If the statistics are not harmonised to these genotypes.
    """
    if not 0 <= p2 <= 1:
        raise SettingsError(f"p2={p2} is not between 0 and 1")
    limit = max(p1, p2)
    (owner,) = clump_grid(
        sumstats,
        genotypes,
        ld=ld,
        samples=samples,
        p1=p1,
        limit=limit,
        r2=(r2,),
        kb=(kb,),
        kind=kind,
        n_threads=n_threads,
        client=client,
    ).values()
    p = sumstats.p
    is_index = owner == np.arange(len(owner))
    index = np.flatnonzero(is_index)
    index = index[_significance_order(sumstats, index)]
    listed = np.flatnonzero((owner >= 0) & ~is_index & (p < p2))
    listed = listed[np.argsort(owner[listed], kind="stable")]
    starts = np.searchsorted(owner[listed], index, side="left")
    stops = np.searchsorted(owner[listed], index, side="right")
    members = tuple(listed[a:b] for a, b in zip(starts, stops, strict=True))
    logger.info("%d index variants of %d variants", len(index), len(p))
    return Clumps(index.astype(np.int64), members, sumstats.variants, p)


def write_clumps(clumps: Clumps, path: str | Path) -> None:
    """Write `Clumps.to_frame` as a TSV."""
    write_table(clumps.to_frame(), path)


def clump_grid(
    sumstats: HarmonisedSumStats,
    genotypes: Genotypes | None = None,
    *,
    ld: LDReference | None = None,
    samples: ArrayLike | None = None,
    p1: float = 1.0,
    limit: float = 1.0,
    r2: Sequence[float] = (0.1,),
    kb: Sequence[float] = (250,),
    kind: R2Kind = "haplotype",
    n_threads: int | None = None,
    client: Client | None = None,
) -> dict[tuple[float, float], NDArray[np.int64]]:
    """Clump with every pair of r2 and distance, reading the genotypes once.

    Parameters
    ----------
    sumstats, genotypes, ld, samples, p1, kind, n_threads, client
        As for `clump`.
    limit : float
        Variants with a larger p play no part.
    r2, kb : sequence of float
        Thresholds and distances.

    Returns
    -------
    dict of (r2, kb) to ndarray of int64, shape (M,)
        Row of the index variant of each row (itself for an index variant), -1 for none.
    """
    if kind not in ("haplotype", "dosage"):
        raise SettingsError(f"kind={kind!r} is not one of 'haplotype', 'dosage'")
    if not 0 < p1 <= 1:
        raise SettingsError(f"p1={p1} is not above 0 and at most 1")
    for value in r2:
        if not 0 <= value <= 1:
            raise SettingsError(f"r2={value} is not between 0 and 1")
    for value in kb:
        if not value > 0:
            raise SettingsError(f"kb={value} is not above 0")
    reference = sumstats.reference_index
    if (genotypes is None) == (ld is None):
        raise SettingsError("r2 comes from either genotypes or an LD reference: give one of them")
    n_variants = genotypes.n_variants if genotypes is not None else len(ld or ())
    if len(reference) and reference.max() >= n_variants:
        raise InvalidValueError(
            f"the statistics refer to variant {int(reference.max()):,} of the reference, which "
            f"has {n_variants:,}",
            remedy="harmonise the statistics to the variants of the genotypes or LD reference",
        )
    cells = [(float(a), float(b)) for a in r2 for b in kb]
    owners = {cell: np.full(len(reference), -1, dtype=np.int64) for cell in cells}
    usable = np.flatnonzero(sumstats.p <= limit)
    if genotypes is None:
        if samples is not None or ld is None:
            raise SettingsError("samples can be chosen from genotypes, not from an LD reference")
        order = usable[_significance_order(sumstats, usable)]
        return clump_blocks(sumstats, ld, order, sumstats.p <= p1, cells, n_threads)
    variants = sumstats.variants
    everybody = founders(genotypes, samples)
    # chromosomes on which people count alike
    ploidy = np.where(np.isin(variants.chrom, (X, Y)), variants.chrom, 0)[usable]
    for code in np.unique(ploidy).tolist():
        here = usable[ploidy == code]
        rows = here[np.lexsort((reference[here], variants.site_key[here]))]
        order = _significance_order(sumstats, rows)
        people, haploid = _who_counts(genotypes, everybody, code, kind)
        work = WindowClumper(
            genotypes,
            people,
            reference[rows],
            order[sumstats.p[rows[order]] <= p1],
            variants.site_key[rows],
            tuple(cells),
            kind == "haplotype",
            haploid,
        )
        found = clump_by_windows(work, n_threads, client)
        for cell, owner in zip(cells, found, strict=True):
            owners[cell][rows] = np.where(owner >= 0, rows[np.maximum(owner, 0)], -1)
    return owners


def _who_counts(
    genotypes: Genotypes, people: NDArray[np.int64], chromosome: int, kind: R2Kind
) -> tuple[NDArray[np.int64], NDArray[np.bool_] | None]:
    """Return who is in r2 on a chromosome, as PLINK counts haplotypes, and who is haploid there.

    On X women are there twice: with two haplotypes for a man's one, the likelihood is the square
    of PLINK's, and has its maximum where that has it.
    """
    male = genotypes.filesets[0].samples.sex[people] == 1
    if chromosome == X:
        if kind == "haplotype":
            people, male = np.append(people, people[~male]), np.append(male, male[~male])
        return people, male
    if chromosome == Y:
        people = people[male] if male.any() else people[:1]  # of nobody or one r2 is 0
        return people, np.ones(len(people), dtype=bool)
    return people, None


def _significance_order(sumstats: HarmonisedSumStats, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the order of rows by p; p too small for a float (0) by |z|; then as in the file."""
    p = sumstats.p[rows]
    underflow = np.where(p == 0, -np.abs(sumstats.z[rows]), 0.0)
    return np.lexsort((sumstats.reference_index[rows], underflow, p)).astype(np.int64)
