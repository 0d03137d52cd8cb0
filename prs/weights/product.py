"""The product of genotypes and weights, in one pass over the packed file."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from prs.inputs.genotypes import Genotypes
from prs.weights.coding import Coding
from prs.weights.plan import ReadPlan
from prs.weights.product_dense import needs_dosages, run_dense_plan

__all__ = ["run_plan"]

#: Packed bytes of one chunk of variants; a chunk, its transpose and the totals are in memory.
_CHUNK_BYTES = 1 << 23
_MAX_CHUNK = 4096
#: Groups of four variants whose missing calls certainly fit a byte.
_MISSING_GROUPS = 63
#: From this many scores on, one pass for all of them beats one pass for each.
_MANY_SCORES = 8


def run_plan(
    genotypes: Genotypes, plan: ReadPlan, coding: Coding, n_threads: int
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Read the rows chunk by chunk and add them up.

    Parameters
    ----------
    genotypes : Genotypes
        Whom to score.
    plan : ReadPlan
        What to read.
    coding : Coding
        What a genotype counts.
    n_threads : int
        People are shared out among threads, so that each sum is made in one order.

    Returns
    -------
    scores : ndarray of float64, shape (N, S)
    n_missing : ndarray of int64, shape (N,)
        Distinct variants without a call.
    absent : ndarray of float64, shape (N,)
        Alleles by which the person's number falls short of two for each distinct variant:
        of haploid chromosomes and, where missing calls count nothing, of missing calls.
    """
    dense = needs_dosages(genotypes, plan.variant)
    if dense.all():
        return run_dense_plan(genotypes, plan, coding, n_threads)
    if dense.any():
        packed = _run_packed_plan(genotypes, plan.take(~dense), coding, n_threads)
        others = run_dense_plan(genotypes, plan.take(dense), coding, n_threads)
        return packed[0] + others[0], packed[1] + others[1], packed[2] + others[2]
    return _run_packed_plan(genotypes, plan, coding, n_threads)


def _run_packed_plan(
    genotypes: Genotypes, plan: ReadPlan, coding: Coding, n_threads: int
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Do `run_plan` for diploid hard calls."""
    from prs.kernels.scoring import (
        GROUP,
        accumulate_column,
        accumulate_columns,
        count_missing,
        count_row_codes,
        interleave,
    )

    n_bytes = genotypes.n_bytes
    n_words = -(-n_bytes // 8)
    size = min(_MAX_CHUNK, max(1, _CHUNK_BYTES // (8 * n_words)), len(plan.variant))
    size = -(-size // GROUP) * GROUP
    mask, n_founders = _founder_mask(genotypes, n_words)
    n_scores = plan.n_scores
    one_by_one = n_scores < _MANY_SCORES
    rows = np.zeros((size, n_words), dtype=np.uint64)
    index = np.empty((size // 4, 4, n_words), dtype=np.uint64)
    counts = np.zeros((size, 3), dtype=np.int64)
    values = np.zeros((size, 4))
    weights = np.zeros((size, n_scores))
    totals = np.zeros((n_scores, 4, 8 * n_words) if one_by_one else (4, 8 * n_words, n_scores))
    n_missing = np.zeros((4, 8 * n_words), dtype=np.int64)

    def load(first: int, last: int) -> None:
        packed = genotypes.read_packed(plan.variant[chunk.start + first : chunk.start + last])
        rows.view(np.uint8)[first:last, :n_bytes] = packed
        count_row_codes(rows[first:last], mask, counts[first:last])

    def add(first: int, last: int) -> None:
        groups = index[: -(-n_rows // GROUP) * (GROUP // 4)]
        interleave(rows, first, last, groups)
        by_person = groups.view(np.uint8)
        if one_by_one:
            for s in range(n_scores):
                column = values * weights[:, s, None]
                accumulate_column(by_person, column, 8 * first, 8 * last, totals[s])
        else:
            accumulate_columns(by_person, values, weights, 8 * first, 8 * last, totals)
        if chunk.start < plan.n_distinct:
            for g in range(0, len(groups), _MISSING_GROUPS):
                few = np.zeros((4, n_words), dtype=np.uint64)
                count_missing(groups[g : g + _MISSING_GROUPS], first, last, few)
                people = slice(8 * first, 8 * last)
                n_missing[:, people] += few.view(np.uint8)[:, people]

    # people, not variants, are shared out in `add`: each sum is made by one thread, in one order
    with ThreadPoolExecutor(n_threads) as pool:
        for chunk in plan.chunks(size):
            n_rows = chunk.stop - chunk.start
            list(pool.map(load, *_cut(n_rows, n_threads)))
            rows[n_rows:] = 0  # padding reads as code 0, with weight 0
            values[:n_rows] = _code_values(
                counts[:n_rows], n_founders, plan.is_turned[chunk], coding
            )
            weights[:n_rows] = plan.weights[chunk]
            weights[n_rows:] = 0
            list(pool.map(add, *_cut(n_words, n_threads)))
    people = genotypes.sample_index
    where = (people % 4, people // 4)
    scores = totals[:, where[0], where[1]].T if one_by_one else totals[where]
    lost = n_missing[where]
    absent = np.zeros(len(people))
    if coding.missing == "skip":
        absent += 2 * lost
    return np.ascontiguousarray(scores), lost, absent


def _cut(n: int, n_parts: int) -> tuple[list[int], list[int]]:
    """Return the first and last of at most `n_parts` even parts of `n` things."""
    bounds = np.linspace(0, n, min(n_parts, n) + 1).astype(int).tolist()
    return bounds[:-1], bounds[1:]


def _founder_mask(genotypes: Genotypes, n_words: int) -> tuple[NDArray[np.uint64], int]:
    """Return the lower bit of each founder's code (of all, without founders), and how many."""
    people = genotypes.sample_index
    if genotypes.samples.is_founder.any():
        people = people[genotypes.samples.is_founder]
    mask = np.zeros(8 * n_words, dtype=np.uint8)
    np.bitwise_or.at(mask, people // 4, np.left_shift(1, 2 * (people % 4)).astype(np.uint8))
    return mask.view(np.uint64), len(people)


def _code_values(
    counts: NDArray[np.int64], n_founders: int, is_turned: NDArray[np.bool_], coding: Coding
) -> NDArray[np.float64]:
    """Return what each code counts for the scored allele; shape (m, 4)."""
    missing, het, none = counts.T
    called = n_founders - missing
    effect = 2 * (called - het - none) + het
    frequency = np.full(len(counts), 0.5)  # as in PLINK where nobody has a call
    np.divide(effect, 2.0 * called, out=frequency, where=called > 0)
    frequency[is_turned] = 1 - frequency[is_turned]
    values = np.zeros((len(counts), 4))
    values[:, 0] = np.where(is_turned, 0, 2)
    values[:, 2] = 1
    values[:, 3] = np.where(is_turned, 2, 0)
    centre, factor = coding.transform(frequency)
    values -= centre[:, None]
    if coding.missing == "mean":
        values[:, 1] += 2 * frequency
    else:
        values[:, 1] = 0
    return values * factor[:, None]
