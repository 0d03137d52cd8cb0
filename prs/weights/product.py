"""The product of genotypes and weights, in one pass over the packed file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from prs.cluster import map_tasks
from prs.inputs.genotypes import Genotypes
from prs.weights.coding import Coding
from prs.weights.plan import ReadPlan
from prs.weights.product_dense import needs_dosages, run_dense_plan

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["run_plan"]

#: Rows that are added up before they join the others: the unit of work on a cluster.
_PIECE = 1 << 16

#: Packed bytes of one chunk of variants; a chunk, its transpose and the totals are in memory.
_CHUNK_BYTES = 1 << 22
_MAX_CHUNK = 4096
#: From this many scores on, one pass for all of them beats one pass for each.
_MANY_SCORES = 8
#: Numbers that the processor adds at once: many scores are padded with empty ones, as a rest
#: that does not fill a vector costs as much as half a dozen scores.
_VECTOR = 4


def run_plan(
    genotypes: Genotypes,
    plan: ReadPlan,
    coding: Coding,
    n_threads: int,
    client: Client | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Read the rows chunk by chunk and add them up.

    Sums are made over pieces of 65,536 rows, and then over the pieces in their order, whether
    this process or the workers of a cluster do the pieces.

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
    client : distributed.Client, optional
        A cluster whose workers do a piece each, with so many threads.

    Returns
    -------
    scores : ndarray of float64, shape (N, S)
    n_missing : ndarray of int64, shape (N,)
        Distinct variants without a call.
    absent : ndarray of float64, shape (N,)
        Alleles by which the person's number falls short of two for each distinct variant:
        of haploid chromosomes and, where missing calls count nothing, of missing calls.
    """
    n = len(plan.variant)
    pieces = [slice(i, min(i + _PIECE, n)) for i in range(0, max(n, 1), _PIECE)]
    work = _PieceWork(genotypes, plan, coding, n_threads)
    results = map_tasks(work, pieces, 1, client)
    scores, n_missing, absent = next(results)
    for more in results:
        scores += more[0]
        n_missing += more[1]
        absent += more[2]
    return scores, n_missing, absent


@dataclass(frozen=True, eq=False)
class _PieceWork:
    """Adds up the rows of a piece of the plan."""

    genotypes: Genotypes
    plan: ReadPlan
    coding: Coding
    n_threads: int

    def __call__(
        self, rows: slice
    ) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
        genotypes, plan = self.genotypes, self.plan.piece(rows)
        dense = needs_dosages(genotypes, plan.variant)
        rest = (self.coding, self.n_threads)
        if dense.all():
            return run_dense_plan(genotypes, plan, *rest)
        if dense.any():
            packed = _run_packed_plan(genotypes, plan.take(~dense), *rest)
            others = run_dense_plan(genotypes, plan.take(dense), *rest)
            return packed[0] + others[0], packed[1] + others[1], packed[2] + others[2]
        return _run_packed_plan(genotypes, plan, *rest)


def _run_packed_plan(
    genotypes: Genotypes, plan: ReadPlan, coding: Coding, n_threads: int
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Do `run_plan` for diploid hard calls."""
    from prs.kernels.scoring import (
        GROUP,
        MOST_ROWS,
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
    width = -(-n_scores // _VECTOR) * _VECTOR
    one_by_one = n_scores < _MANY_SCORES
    rows = np.zeros((size, n_words), dtype=np.uint64)
    index = np.empty((0 if one_by_one else size // 4, 4, n_words), dtype=np.uint64)
    counts = np.zeros((size, 3), dtype=np.int64)
    values = np.zeros((size, 4))
    weights = np.zeros((size, width))
    totals = np.zeros((n_scores, 4, 8 * n_words) if one_by_one else (4, 8 * n_words, width))
    n_missing = np.zeros((4, 8 * n_words), dtype=np.int64)

    def load(first: int, last: int) -> None:
        packed = genotypes.read_packed(plan.variant[chunk.start + first : chunk.start + last])
        rows.view(np.uint8)[first:last, :n_bytes] = packed
        count_row_codes(rows[first:last], mask, counts[first:last])

    def add(first: int, last: int) -> None:
        n_padded = -(-n_rows // GROUP) * GROUP
        if one_by_one:
            for s in range(n_scores):
                column = values * weights[:, s, None]
                accumulate_column(rows[:n_padded], column, first, last, totals[s])
        else:
            groups = index[: n_padded // 4]
            interleave(rows, first, last, groups)
            accumulate_columns(groups.view(np.uint8), values, weights, 8 * first, 8 * last, totals)
        if chunk.start < plan.n_distinct:
            people = slice(8 * first, 8 * last)
            for start in range(0, n_rows, MOST_ROWS):
                few = np.zeros((4, n_words), dtype=np.uint64)
                count_missing(rows[start : min(start + MOST_ROWS, n_rows)], first, last, few)
                n_missing[:, people] += few.view(np.uint8)[:, people]

    # people, not variants, are shared out in `add`: each sum is made by one thread, in one order
    with _mapper(n_threads) as run:
        for chunk in plan.chunks(size):
            n_rows = chunk.stop - chunk.start
            run(load, *_cut(n_rows, n_threads))
            rows[n_rows:] = 0  # padding reads as code 0, with weight 0
            values[:n_rows] = _code_values(
                counts[:n_rows], n_founders, plan.is_turned[chunk], coding
            )
            weights[:n_rows, :n_scores] = plan.weights[chunk]
            weights[n_rows:] = 0
            run(add, *_cut(n_words, n_threads))
    people = genotypes.sample_index
    where = (people % 4, people // 4)
    scores = totals[:, where[0], where[1]].T if one_by_one else totals[..., :n_scores][where]
    lost = n_missing[where]
    absent = np.zeros(len(people))
    if coding.missing == "skip":
        absent += 2 * lost
    return np.ascontiguousarray(scores), lost, absent


@contextmanager
def _mapper(n_threads: int) -> Iterator[Callable[..., object]]:
    """Lend a `map` that returns when all is done; without a pool where there is one thread."""
    if n_threads == 1:
        yield lambda function, *items: list(map(function, *items))
        return
    with ThreadPoolExecutor(n_threads) as pool:
        yield lambda function, *items: list(pool.map(function, *items))


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
