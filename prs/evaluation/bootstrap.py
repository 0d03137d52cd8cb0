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

import numpy as np
from numpy.typing import NDArray

from prs.evaluation.intervals import Estimate

__all__ = ["bootstrap_means", "percentile_interval"]

Floats = NDArray[np.float64]

# Resampled counts held at once (float64): 32 MB.
_CHUNK_CELLS = 4_000_000


def bootstrap_means(
    columns: Floats,
    strata: NDArray[np.int64],
    *,
    n_bootstrap: int,
    seed: int,
    stage: Sequence[int] = (),
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

    Returns
    -------
    ndarray of float64, shape (B, C)
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=tuple(stage)))
    n = len(columns)
    sums = np.zeros((n_bootstrap, columns.shape[1]))
    for stratum in np.unique(strata):
        members = columns[strata == stratum]
        m = len(members)
        chunk = max(1, _CHUNK_CELLS // m)
        for start in range(0, n_bootstrap, chunk):
            b = min(chunk, n_bootstrap - start)
            drawn = rng.integers(0, m, (b, m)) + np.arange(b)[:, None] * m
            counts = np.bincount(drawn.ravel(), minlength=b * m).reshape(b, m)
            sums[start : start + b] += counts.astype(np.float64) @ members
    return sums / n


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
