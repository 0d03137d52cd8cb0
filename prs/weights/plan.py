"""What to read of the genotypes to score several sets of weights at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prs.weights.matching import MatchedWeights

__all__ = ["ReadPlan", "make_plan"]


@dataclass(frozen=True, eq=False)
class ReadPlan:
    """The K rows to read, and what they add to which of S scores.

    Attributes
    ----------
    variant : ndarray of int64, shape (K,)
        Variants of the genotypes.
    is_turned : ndarray of bool, shape (K,)
        Whether the other allele is counted.
    weights : ndarray of float64, shape (K, S)
        Per copy of the allele counted; 0 where the variant is not in the score.
    n_distinct : int
        The first so many rows are of distinct variants, in file order; the others, which are
        few, count the other allele of a variant that has a row already.
    """

    variant: NDArray[np.int64]
    is_turned: NDArray[np.bool_]
    weights: NDArray[np.float64]
    n_distinct: int

    @property
    def n_scores(self) -> int:
        """Number of scores, S."""
        return self.weights.shape[1]

    def take(self, which: NDArray[np.bool_]) -> ReadPlan:
        """Return the plan of some of the rows."""
        n_distinct = int(np.count_nonzero(which[: self.n_distinct]))
        return ReadPlan(self.variant[which], self.is_turned[which], self.weights[which], n_distinct)

    def piece(self, rows: slice) -> ReadPlan:
        """Return the plan of consecutive rows."""
        n_distinct = min(max(self.n_distinct - rows.start, 0), rows.stop - rows.start)
        return ReadPlan(self.variant[rows], self.is_turned[rows], self.weights[rows], n_distinct)

    def chunks(self, size: int) -> Iterator[slice]:
        """Yield the rows in runs of at most `size`; a run is of first or of second rows."""
        for first, last in ((0, self.n_distinct), (self.n_distinct, len(self.variant))):
            for start in range(first, last, size):
                yield slice(start, min(start + size, last))


def make_plan(matches: Sequence[MatchedWeights]) -> ReadPlan:
    """Join the weights: one row for each variant and allele counted."""
    # weights of two files may count either allele of a variant: it then has two rows
    keys = [2 * m.variant + m.is_turned for m in matches]
    rows = np.sort(np.concatenate(keys), kind="stable")  # mostly in order: quick
    rows = rows[np.diff(rows, prepend=-1) != 0]
    is_second = np.zeros(len(rows), dtype=bool)
    is_second[1:] = rows[1:] // 2 == rows[:-1] // 2
    place = np.argsort(np.argsort(is_second, kind="stable"))  # where each row goes
    weights = np.zeros((len(rows), sum(m.weights.shape[1] for m in matches)))
    column = 0
    for key, m in zip(keys, matches, strict=True):
        n_columns = m.weights.shape[1]
        weights[place[np.searchsorted(rows, key)], column : column + n_columns] = m.weights
        column += n_columns
    rows = rows[np.argsort(is_second, kind="stable")]
    return ReadPlan(rows // 2, rows % 2 == 1, weights, len(rows) - int(is_second.sum()))
