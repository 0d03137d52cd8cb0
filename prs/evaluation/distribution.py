"""How the scores themselves are distributed, by group and case status."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from prs.evaluation.floors import OK, insufficient

__all__ = ["distribution_row", "histogram_edges", "histogram_rows"]

Floats = NDArray[np.float64]

QUANTILES = {
    "min": 0.0,
    "q01": 0.01,
    "q05": 0.05,
    "q10": 0.1,
    "q25": 0.25,
    "q50": 0.5,
    "q75": 0.75,
    "q90": 0.9,
    "q95": 0.95,
    "q99": 0.99,
    "max": 1.0,
}
N_HISTOGRAM_BINS = 40


def distribution_row(score: Floats, centre: float, scale: float) -> dict[str, Any]:
    """Return mean, SD and quantiles of some people's scores.

    Parameters
    ----------
    score : ndarray of float64, shape (N,)
        Scores.
    centre, scale : float
        Mean and SD of the reference group, for `z_mean`.
    """
    n = len(score)
    if n < 2:
        return {"n": n, "status": insufficient(f"{n} people")}
    quantiles = np.quantile(score, list(QUANTILES.values()))
    return {
        "n": n,
        "mean": float(score.mean()),
        "sd": float(score.std(ddof=1)),
        "z_mean": float((score.mean() - centre) / scale) if scale > 0.0 else np.nan,
        **dict(zip(QUANTILES, quantiles, strict=True)),
        "status": OK,
    }


def histogram_edges(score: Floats) -> Floats:
    """Return equal bins over everybody's scores, so that groups can be laid over each other."""
    lowest, highest = float(score.min()), float(score.max())
    if lowest == highest:
        lowest, highest = lowest - 0.5, highest + 0.5
    return np.linspace(lowest, highest, N_HISTOGRAM_BINS + 1)


def histogram_rows(score: Floats, edges: Floats) -> list[dict[str, Any]]:
    """Return counts and densities (of integral 1) of some people's scores by bin."""
    counts, _ = np.histogram(score, edges)
    density = counts / (max(len(score), 1) * np.diff(edges))
    status = OK if len(score) else insufficient("nobody")
    return [
        {
            "n": len(score),
            "bin_from": edges[i],
            "bin_to": edges[i + 1],
            "count": int(counts[i]),
            "density": density[i] if len(score) else np.nan,
            "status": status,
        }
        for i in range(len(counts))
    ]
