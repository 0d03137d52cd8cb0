"""What the PRS-CSx sampler works on: the union of variants, the effects, and the LD blocks."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from prs.cluster import map_tasks, one_blas_thread
from prs.errors import SettingsError
from prs.inputs.harmonise import HarmonisedSumStats
from prs.inputs.sumstats import SumStats
from prs.ld.reference import LDReference
from prs.matching import MatchReport, PalindromicRule
from prs.variants import VariantTable
from prs.weights.csx_inputs import PopulationData, join_variants, prepare_population
from prs.weights.csx_ld import N_DIRECTIONS, BlockPreparation, LdDtype, block_tasks, ld_unit

__all__ = ["CsxModel", "build_model"]

logger = logging.getLogger(__name__)

CHUNK = 512  # variants per work item of the local scales


@dataclass(frozen=True, eq=False)
class CsxModel:
    """Everything that stays fixed while chains run. P variants, T effects, B blocks, K populations.

    Attributes
    ----------
    variants : VariantTable
        Union of the populations' variants, by chromosome and position; (P,).
    populations : tuple of str
    n_gwas : ndarray of float64, shape (K,)
    eaf : ndarray of float64, shape (K, P)
        NaN where a population lacks the variant.
    index : ndarray of int64, shape (T,)
        Variant of each effect.
    where : ndarray of int64, shape (K, P)
        Effect of each variant in each population; -1 where there is none.
    copies : ndarray of int64, shape (P,)
        Populations that have the variant, n_j.
    b, diagonal : ndarray of float64, shape (T,)
        Marginal effects (projected, where asked for) and the diagonal of R.
    starts, ld_starts : ndarray of int64, shape (B + 1,)
        First effect, and first LD entry, of each block.
    ld : ndarray of float32, int16 or int8, shape (sum of m^2,)
        Blocks of R in units of `ld_unit`, row after row.
    ld_unit : float
        What 1 in `ld` stands for.
    block_population, block_group : ndarray of int64, shape (B,)
    block_number : ndarray of int64, shape (B,)
        Number of the block in its LD reference, for messages.
    first : ndarray of int64, shape (G, K)
        Effects of each population in each group.
    group_starts : ndarray of int64, shape (G + 1,)
        First variant of each group (all variants, or one chromosome's).
    chunks : ndarray of int64, shape (H + 1,)
    chunk_group : ndarray of int64, shape (H,)
        Work items of the local scales; none crosses a group.
    directions : ndarray of float32, shape (N_DIRECTIONS, T)
        Genotypes of pseudo-people drawn from each population's LD (rows of R^(1/2) z).
    outside : ndarray of float64, shape (K,)
        Share of |b|^2 that lies outside the column space of R.
    mended : ndarray of int64, shape (K,)
        Blocks whose LD had eigenvalues that were negative beyond rounding.
    reports : tuple of MatchReport
    notes : tuple of str
    """

    variants: VariantTable
    populations: tuple[str, ...]
    n_gwas: NDArray[np.float64]
    eaf: NDArray[np.float64]
    index: NDArray[np.int64]
    where: NDArray[np.int64]
    copies: NDArray[np.int64]
    b: NDArray[np.float64]
    diagonal: NDArray[np.float64]
    starts: NDArray[np.int64]
    ld_starts: NDArray[np.int64]
    ld: NDArray[np.float32] | NDArray[np.int16] | NDArray[np.int8]
    block_population: NDArray[np.int64]
    block_group: NDArray[np.int64]
    block_number: NDArray[np.int64]
    first: NDArray[np.int64]
    group_starts: NDArray[np.int64]
    chunks: NDArray[np.int64]
    chunk_group: NDArray[np.int64]
    directions: NDArray[np.float32]
    outside: NDArray[np.float64]
    mended: NDArray[np.int64]
    reports: tuple[MatchReport, ...] = ()
    notes: tuple[str, ...] = ()
    ld_unit: float = 1.0

    @property
    def n_groups(self) -> int:
        """Groups of variants with a phi and sigmas of their own."""
        return len(self.group_starts) - 1

    @property
    def n_blocks(self) -> int:
        """Blocks of all populations."""
        return len(self.starts) - 1

    def matrix(self, block: int) -> NDArray[np.float32]:
        """Return one block of R."""
        m = int(self.starts[block + 1] - self.starts[block])
        stored = self.ld[self.ld_starts[block] : self.ld_starts[block + 1]].reshape(m, m)
        if stored.dtype == np.float32:
            return cast("NDArray[np.float32]", stored)
        return stored.astype(np.float32) * np.float32(self.ld_unit)

    def effects(self, population: int) -> slice:
        """Return the effects of one population."""
        blocks = np.flatnonzero(self.block_population == population)
        return slice(int(self.starts[blocks[0]]), int(self.starts[blocks[-1] + 1]))


def build_model(
    sumstats: Mapping[str, SumStats | HarmonisedSumStats],
    ld: Mapping[str, LDReference],
    *,
    palindromic: PalindromicRule = "frequency",
    by_chromosome: bool = False,
    clean: bool = True,
    seed: int = 0,
    ld_dtype: LdDtype = "float32",
    n_threads: int | None = None,
) -> CsxModel:
    """Match, join and lay out everything that the chains need.

    Parameters
    ----------
    sumstats, ld : mapping of str to SumStats or HarmonisedSumStats, and to LDReference
        By population; the same keys.
    palindromic : {"frequency", "keep", "drop"}
        Rule for A/T and C/G variants when statistics are matched to LD.
    by_chromosome : bool
        Whether each chromosome is a group of its own.
    clean : bool
        Whether to project b on the column space of R and to take negative eigenvalues as 0;
        otherwise a block is replaced by the mean of itself and its nearest positive
        semidefinite matrix, as the reference tool does.
    seed : int
        For the directions of the diagnostics.
    ld_dtype : {"float32", "int16", "int8"}
        How the LD is held; see `prs.weights.csx_ld.store_block`.
    n_threads : int, optional
        Threads that make blocks ready; default: one per core. No bit depends on it.

    Raises
    ------
    SettingsError, OverlapError
        If populations differ between the two mappings, or nothing matches.
    """
    names = tuple(sumstats)
    if not names or set(names) != set(ld):
        raise SettingsError(
            f"summary statistics are of {sorted(names)} and LD of {sorted(ld)}",
            remedy="give both for the same populations, at least one",
        )
    prepared = [prepare_population(k, sumstats[k], ld[k], palindromic) for k in names]
    people = [one[0] for one in prepared]
    notes = [note for one in prepared for note in one[2]]
    variants, index, sign, joined = join_variants([one.variants for one in people], names)
    notes += joined
    n_variants, n_populations = len(variants), len(names)

    if by_chromosome:
        _, group_starts = np.unique(variants.chrom, return_index=True)
        group_starts = np.append(np.sort(group_starts), n_variants).astype(np.int64)
    else:
        group_starts = np.array([0, n_variants], dtype=np.int64)
    group_of = np.repeat(np.arange(len(group_starts) - 1), np.diff(group_starts))

    sizes = _block_sizes(people)
    total_ld = sum(int(m) ** 2 for one in sizes for m in one if m)
    total = sum(len(one.b) for one in people)
    flat = np.empty(total_ld, dtype=ld_dtype)
    b, diagonal = np.empty(total), np.empty(total)
    directions = np.zeros((N_DIRECTIONS, total), dtype=np.float32)
    starts, ld_starts = [0], [0]
    population_of, group_of_block, number = [], [], []
    outside, mended = np.zeros(n_populations), np.zeros(n_populations, dtype=np.int64)
    eaf = np.full((n_populations, n_variants), np.nan)
    where = np.full((n_populations, n_variants), -1, dtype=np.int64)
    # blocks are what the threads share: linear algebra with threads of its own would make
    # more of them than there are cores
    with one_blas_thread():
        for k, one in enumerate(people):
            eaf[k, index[k]] = np.where(sign[k] > 0, one.eaf, 1.0 - one.eaf)
            where[k, index[k]] = starts[-1] + np.arange(len(one.b))
            lost = 0.0
            done = 0
            rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(9, k)))
            prepare = BlockPreparation(one, sign[k], clean, flat.dtype)
            for task, part, stored in map_tasks(prepare, block_tasks(sizes[k], rng), n_threads):
                m = len(part.b)
                first, ld_first = starts[-1], ld_starts[-1]
                flat[ld_first : ld_first + m * m] = stored
                b[first : first + m] = part.b
                diagonal[first : first + m] = part.diagonal
                directions[:, first : first + m] = part.directions
                lost += part.lost
                mended[k] += part.is_mended
                starts.append(first + m)
                ld_starts.append(ld_first + m * m)
                population_of.append(k)
                group_of_block.append(int(group_of[index[k][done]]))
                number.append(task.block)
                done += m
            outside[k] = lost / max(float(one.b @ one.b), 1e-300)
    block_group = np.array(group_of_block, dtype=np.int64)
    block_population = np.array(population_of, dtype=np.int64)
    n_groups = len(group_starts) - 1
    first_count = np.zeros((n_groups, n_populations), dtype=np.int64)
    np.add.at(first_count, (block_group, block_population), np.diff(starts))
    chunks, chunk_group = _chunks(group_starts)
    logger.info(
        "%s variants, %s effects in %s blocks (%.0f MB of LD)",
        f"{n_variants:,}", f"{total:,}", f"{len(number):,}", flat.nbytes / 1e6,
    )  # fmt: skip
    return CsxModel(
        variants=variants,
        populations=names,
        n_gwas=np.array([one.n_gwas for one in people]),
        eaf=eaf,
        index=np.concatenate(index).astype(np.int64),
        where=where,
        copies=(where >= 0).sum(axis=0).astype(np.int64),
        b=b,
        diagonal=diagonal,
        starts=np.array(starts, dtype=np.int64),
        ld_starts=np.array(ld_starts, dtype=np.int64),
        ld=flat,
        block_population=block_population,
        block_group=block_group,
        block_number=np.array(number, dtype=np.int64),
        first=first_count,
        group_starts=group_starts,
        chunks=chunks,
        chunk_group=chunk_group,
        directions=directions,
        outside=outside,
        mended=mended,
        reports=tuple(one[1] for one in prepared),
        notes=tuple(notes),
        ld_unit=ld_unit(flat.dtype),
    )


def _block_sizes(people: Sequence[PopulationData]) -> list[NDArray[np.int64]]:
    """Return how many of each population's variants each of its LD blocks holds."""
    return [
        np.diff(np.searchsorted(one.rows, one.ld.block_starts)).astype(np.int64) for one in people
    ]


def _chunks(group_starts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Cut each group of variants into pieces of at most `CHUNK`."""
    starts, groups = [], []
    for group, (low, high) in enumerate(itertools.pairwise(group_starts)):
        pieces = range(int(low), int(high), CHUNK)
        starts += list(pieces)
        groups += [group] * len(pieces)
    return np.array([*starts, group_starts[-1]], dtype=np.int64), np.array(groups, dtype=np.int64)
