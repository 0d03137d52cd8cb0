"""The product of dosages and weights where two bits do not do: imputed dosages, X, Y and MT."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from prs.cluster import map_tasks
from prs.inputs.genotypes import Genotypes
from prs.weights.coding import MT, Coding, X, Y, count_per_person
from prs.weights.plan import ReadPlan

__all__ = ["needs_dosages", "run_dense_plan"]

#: Dosages of one chunk of variants that are held in float64.
_CHUNK_VALUES = 1 << 23


def needs_dosages(genotypes: Genotypes, variant: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which variants cannot be scored from packed hard calls alone."""
    dense = np.isin(genotypes.variants.chrom[variant], (X, Y, MT))
    if genotypes.has_dosages:
        starts = np.cumsum([0, *(len(f.variants) for f in genotypes.filesets)])
        rows = genotypes.variant_index[variant]
        part = np.searchsorted(starts, rows, side="right") - 1
        dense |= np.array([f.dosages is not None for f in genotypes.filesets])[part]
    return dense


def run_dense_plan(
    genotypes: Genotypes, plan: ReadPlan, coding: Coding, n_threads: int
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Read the rows chunk by chunk as dosages, and add them up.

    Parameters, and results, are those of `prs.weights.product.run_plan`; threads read ahead,
    the sums are made in the order of the rows.
    """
    n = genotypes.n_samples
    totals = np.zeros((n, plan.n_scores))
    n_missing = np.zeros(n, dtype=np.int64)
    absent = np.zeros(n)
    founder = genotypes.samples.is_founder
    if not founder.any():
        founder = np.ones(n, dtype=bool)
    chrom = genotypes.variants.chrom[plan.variant]
    size = max(1, _CHUNK_VALUES // max(n, 1))

    def read(chunk: slice) -> NDArray[np.float64]:
        return genotypes.read_dosages(plan.variant[chunk]).astype(np.float64, order="K")

    chunks = list(_chunks_of_one_chromosome(plan, chrom, size))
    for chunk, dosages in zip(chunks, map_tasks(read, chunks, n_threads), strict=True):
        in_score, in_frequency = count_per_person(genotypes, int(chrom[chunk.start]), coding)
        turned = plan.is_turned[chunk]
        lacking = np.isnan(dosages)
        dosages[:, turned] = 2 - dosages[:, turned]
        dosages[lacking] = 0
        share = np.where(founder, in_frequency, 0)
        called = 2 * (share @ ~lacking)
        frequency = np.full(len(called), 0.5)  # as in PLINK where nobody has a call
        np.divide(share @ dosages, called, out=frequency, where=called > 0)
        centre, factor = coding.transform(frequency)
        if coding.missing == "mean":
            dosages += lacking * (2 * frequency)
        dosages -= centre
        if coding.missing == "skip":
            dosages[lacking] = 0
        dosages *= factor
        totals += in_score[:, None] * (dosages @ plan.weights[chunk])
        if chunk.start < plan.n_distinct:
            there = in_score > 0
            n_missing += np.where(there, lacking.sum(axis=1), 0)
            absent += (chunk.stop - chunk.start) * (2 - 2 * in_score)
            if coding.missing == "skip":
                absent += 2 * in_score * lacking.sum(axis=1)
    return totals, n_missing, absent


def _chunks_of_one_chromosome(
    plan: ReadPlan, chrom: NDArray[np.int8], size: int
) -> Iterator[slice]:
    """Yield runs of rows that are all first or all second rows, of one chromosome each."""
    for run in plan.chunks(len(plan.variant) or 1):
        edges = run.start + np.flatnonzero(np.diff(chrom[run], prepend=-1))
        for first, last in pairwise([*edges.tolist(), run.stop]):
            for start in range(first, last, size):
                yield slice(start, min(start + size, last))
