"""r2 of all pairs of variants within a distance, of either kind, streamed in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from prs.cluster import map_tasks
from prs.errors import SettingsError
from prs.inputs.genotypes import Genotypes
from prs.ld.planes import founders, read_planes
from prs.variants import VariantTable, chromosome_labels

__all__ = ["PairTable", "iter_pairwise_r2", "pairwise_r2"]

#: Pairs of one piece of work, and bytes of its bit planes.
_PIECE_PAIRS = 1 << 18
_PIECE_BYTES = 1 << 26


@dataclass(frozen=True, eq=False)
class PairTable:
    """Pairs of variants and their r2.

    Attributes
    ----------
    first, second : ndarray of int64, shape (P,)
        Variants of the genotypes; by position of the first, then of the second.
    r2 : ndarray of float64, shape (P,)
        Squared correlation.
    variants : VariantTable
        The genotypes' variants.
    n_compared : int
        Pairs within the distance, kept or not.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    r2: NDArray[np.float64]
    variants: VariantTable
    n_compared: int

    def __len__(self) -> int:
        return len(self.r2)

    def to_frame(self) -> pd.DataFrame:
        """Return one row a pair: chrom, pos_a, id_a, pos_b, id_b, r2."""
        a, b, variants = self.first, self.second, self.variants
        return pd.DataFrame(
            {
                "chrom": chromosome_labels(variants.chrom[a]),
                "pos_a": variants.pos[a],
                "id_a": variants.id[a],
                "pos_b": variants.pos[b],
                "id_b": variants.id[b],
                "r2": self.r2,
            }
        )


def pairwise_r2(
    genotypes: Genotypes,
    *,
    samples: ArrayLike | None = None,
    kb: float = 250,
    min_r2: float = 0.2,
    kind: Literal["dosage", "haplotype"] = "dosage",
    n_threads: int | None = None,
) -> PairTable:
    """Return r2 of all pairs of variants within a distance, as far as it reaches a threshold.

    Parameters
    ----------
    genotypes : Genotypes
        Hard calls are used.
    samples : index array or mask, optional
        People to use; default: all. Of these the founders are taken, as PLINK does.
    kb : float
        Greatest distance, in 1,000 base pairs.
    min_r2 : float
        Least r2 that is kept; 0 keeps all.
    kind : {"dosage", "haplotype"}
        The squared correlation of allele counts over people with both calls (``plink1.9 --r2``,
        ``plink2 --r2-unphased``), or r2 between alleles on haplotypes by maximum likelihood
        (``plink1.9 --r2 dprime``, as clumping uses).
    n_threads : int, optional
        Default: all cores. The result does not depend on it.

    Returns
    -------
    PairTable
        Variants without a position have no pairs.

    Raises
    ------
    SettingsError
        If an argument is out of range.
    """
    parts = list(
        iter_pairwise_r2(
            genotypes, samples=samples, kb=kb, min_r2=min_r2, kind=kind, n_threads=n_threads
        )
    )
    if not parts:
        empty = np.zeros(0, dtype=np.int64)
        return PairTable(empty, empty, np.zeros(0), genotypes.variants, 0)
    return PairTable(
        np.concatenate([part.first for part in parts]),
        np.concatenate([part.second for part in parts]),
        np.concatenate([part.r2 for part in parts]),
        genotypes.variants,
        sum(part.n_compared for part in parts),
    )


def iter_pairwise_r2(
    genotypes: Genotypes,
    *,
    samples: ArrayLike | None = None,
    kb: float = 250,
    min_r2: float = 0.2,
    kind: Literal["dosage", "haplotype"] = "dosage",
    n_threads: int | None = None,
) -> Iterator[PairTable]:
    """Yield the pairs of `pairwise_r2` piece by piece, in order, in bounded memory.

    Parameters are those of `pairwise_r2`.
    """
    if kind not in ("dosage", "haplotype"):
        raise SettingsError(f"kind={kind!r} is not one of 'dosage', 'haplotype'")
    if not kb > 0 or not 0 <= min_r2 <= 1:
        raise SettingsError(f"kb={kb} must be above 0, and min_r2={min_r2} between 0 and 1")
    people = founders(genotypes, samples)
    variants = genotypes.variants
    order = np.argsort(variants.site_key, kind="stable")
    order = order[(variants.chrom[order] > 0) & (variants.pos[order] > 0)]
    key = variants.site_key[order]
    # positions of one chromosome are less than 2^29 and chromosomes 2^32 apart
    last = np.searchsorted(key, key + min(int(kb * 1000), 2**31), side="right").astype(np.int64)

    def work(piece: tuple[int, int]) -> PairTable:
        from prs.kernels.clump import r2_of_pairs

        start, stop = piece
        end = int(last[start:stop].max(initial=stop))
        planes, sums = read_planes(genotypes, order[start:end], people)
        n_pairs = int(np.sum(last[start:stop] - np.arange(start, stop) - 1))
        pairs = np.empty((n_pairs, 2), dtype=np.int32)
        r2 = np.empty(n_pairs)
        n_kept = r2_of_pairs(
            planes,
            sums,
            len(people),
            stop - start,
            last[start:stop] - start,
            min_r2,
            kind == "haplotype",
            pairs,
            r2,
        )
        rows = order[start + pairs[:n_kept].astype(np.int64)]
        return PairTable(rows[:, 0], rows[:, 1], r2[:n_kept].copy(), variants, n_pairs)

    pieces = _cut(last, max(1, _PIECE_BYTES // (3 * 8 * (-(-len(people) // 64)))))
    yield from map_tasks(work, pieces, n_threads)


def _cut(last: NDArray[np.int64], max_variants: int) -> list[tuple[int, int]]:
    """Cut the variants into runs of about `_PIECE_PAIRS` pairs."""
    n_pairs = np.cumsum(last - np.arange(len(last)) - 1)
    edges = [0]
    while edges[-1] < len(last):
        begin = edges[-1]
        done = n_pairs[begin - 1] if begin else 0
        stop = int(np.searchsorted(n_pairs, done + _PIECE_PAIRS, side="right"))
        edges.append(min(max(stop, begin + 1), begin + max_variants, len(last)))
    return list(pairwise(edges))
