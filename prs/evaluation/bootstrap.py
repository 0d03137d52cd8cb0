"""The bootstrap: people resampled within strata, for figures that are functions of means.

AUC, every R2 and their differences can be written, to first order, as smooth functions of means
over people of fixed contributions (of a person's log-likelihood under a fitted model, of a
product of residuals, of DeLong's placement values). A replicate then costs a row of a matrix
product instead of a refitted model. First order is exact enough here for a reason, not by luck:
a maximised likelihood or a residual sum of squares is flat in the fitted coefficients (envelope
theorem), so holding them at their estimates changes a replicate by O(1/n), a bootstrap
standard error being O(1/sqrt(n)).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from prs.cluster import map_tasks
from prs.evaluation.intervals import Estimate
from prs.kernels.bootstrap import resample_sums
from prs.kernels.rng import make_streams

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["bootstrap_means", "percentile_interval"]

Floats = NDArray[np.float64]

# Replicates that a worker does at a time; each has a stream of its own, so that the numbers do
# not depend on this or on the number of workers.
_BATCH = 64


def bootstrap_means(
    columns: Floats,
    strata: NDArray[np.int64],
    *,
    n_bootstrap: int,
    seed: int,
    stage: Sequence[int] = (),
    n_threads: int | None = None,
    client: Client | None = None,
) -> Floats:
    """Return the column means of bootstrap samples.

    Parameters
    ----------
    columns : ndarray of float64, shape (N, C)
        Contributions of each person.
    strata : ndarray of int, shape (N,)
        Resampling is within these, so that each keeps its size (cases and controls, say).
    n_bootstrap : int
        Replicates, B.
    seed : int
        Of the evaluation.
    stage : sequence of int
        Which bootstrap of the evaluation this is: each has a stream of its own.
    n_threads : int, optional
        Default: all cores. The numbers do not depend on it.
    client : distributed.Client, optional
        A cluster whose workers do the replicates.

    Returns
    -------
    ndarray of float64, shape (B, C)
    """
    work = _Resampler(*_group(columns, strata), n_bootstrap, seed, tuple(stage))
    batches = [slice(b, min(b + _BATCH, n_bootstrap)) for b in range(0, n_bootstrap, _BATCH)]
    sums = [np.zeros((0, columns.shape[1])), *map_tasks(work, batches, n_threads, client)]
    return np.concatenate(sums) / len(columns)


def _group(columns: Floats, strata: NDArray[np.int64]) -> tuple[Floats, NDArray[np.int64]]:
    """Return the people stratum by stratum, and where each stratum begins."""
    order = np.argsort(strata, kind="stable")
    _, sizes = np.unique(strata, return_counts=True)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    return np.ascontiguousarray(columns[order], np.float64), starts


@dataclass(frozen=True, eq=False)
class _Resampler:
    """Returns the column sums of some replicates; each has a stream in each stratum."""

    columns: Floats
    starts: NDArray[np.int64]
    n_bootstrap: int
    seed: int
    stage: tuple[int, ...]

    def __call__(self, batch: slice) -> Floats:
        sums = np.zeros((batch.stop - batch.start, self.columns.shape[1]))
        for stratum, (first, last) in enumerate(pairwise(self.starts.tolist())):
            streams = make_streams(self.seed, (*self.stage, stratum), (self.n_bootstrap,))
            counts = np.empty(last - first, np.int32)
            resample_sums(self.columns[first:last], streams[batch], counts, sums)
        return sums


def percentile_interval(value: float, replicates: Floats, confidence: float = 0.95) -> Estimate:
    """Return a figure with the percentile interval of its bootstrap replicates.

    Replicates that are not finite are left out; with fewer than half left there is no interval.
    """
    finite = replicates[np.isfinite(replicates)]
    if len(finite) < max(2, len(replicates) / 2):
        return Estimate(float(value), np.nan, np.nan)
    tail = (1.0 - confidence) / 2.0
    lower, upper = np.quantile(finite, [tail, 1.0 - tail])
    return Estimate(float(value), float(lower), float(upper))
