"""Whether predicted risks come true: O/E, intercept, slope, Brier score, bins, smooth curve."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, logit

from prs.evaluation.curve import CalibrationCurve, bootstrap_ici, smooth_curve
from prs.evaluation.intervals import (
    Estimate,
    normal_interval,
    observed_expected,
    student_interval,
    wilson_interval,
)
from prs.evaluation.regression import design_matrix, fit_linear, fit_logistic

__all__ = ["calibrate", "calibration_bins", "hosmer_lemeshow", "quantile_bins", "smooth_cells"]

Floats = NDArray[np.float64]

# Predictions of exactly 0 or 1 have no logit.
_EDGE = 1e-12


def quantile_bins(x: Floats, n_bins: int) -> NDArray[np.int64]:
    """Return the equal-count bin of each value, 0 to n_bins - 1; ties stay together."""
    cuts = np.quantile(x, np.arange(1, n_bins) / n_bins)
    return np.searchsorted(cuts, x, side="left").astype(np.int64)


def calibration_bins(
    predicted: Floats, outcome: Floats, *, binary: bool, n_bins: int, confidence: float = 0.95
) -> list[dict[str, Any]]:
    """Return mean prediction and mean outcome in equal-count bins of the prediction.

    Parameters
    ----------
    predicted, outcome : ndarray of float64, shape (N,)
        Predictions and what came.
    binary : bool
        Wilson intervals; else Student's t of the bin's mean.
    n_bins : int
        Bins asked for; bins left empty by ties are left out.
    confidence : float
        Level.

    Returns
    -------
    list of dict
        Cells bin (from 1), n, n_events (binary), predicted, observed, lower, upper.
    """
    index = quantile_bins(predicted, n_bins)
    rows = []
    for b in range(n_bins):
        inside = index == b
        n = int(inside.sum())
        if n == 0:
            continue
        y = outcome[inside]
        row: dict[str, Any] = {"bin": b + 1, "n": n, "predicted": float(predicted[inside].mean())}
        if binary:
            row["n_events"] = int(y.sum())
            observed = wilson_interval(float(y.sum()), n, confidence)
        elif n > 1:
            observed = student_interval(
                float(y.mean()), float(y.std(ddof=1) / np.sqrt(n)), n - 1, confidence
            )
        else:
            observed = Estimate(float(y[0]), np.nan, np.nan)
        rows.append(
            row | {"observed": observed.value, "lower": observed.lower, "upper": observed.upper}
        )
    return rows


def hosmer_lemeshow(bins: list[dict[str, Any]]) -> tuple[float, int, float]:
    """Return Hosmer and Lemeshow's chi-square, its degrees of freedom and p.

    A legacy figure: it depends on the bins and on n. The degrees of freedom are the number of
    bins, as the predictions come from a model fitted on other people.
    """
    chi2 = 0.0
    for row in bins:
        expected = row["n"] * row["predicted"]
        variance = expected * (1.0 - row["predicted"])
        if variance > 0.0:
            chi2 += (row["n_events"] - expected) ** 2 / variance
    return float(chi2), len(bins), float(chdtrc(len(bins), chi2))


def calibrate(
    predicted: Floats,
    outcome: Floats,
    *,
    binary: bool,
    n_bins: int,
    confidence: float = 0.95,
    n_bootstrap: int = 500,
    seed: int = 0,
) -> tuple[dict[str, Any], CalibrationCurve | None, list[dict[str, Any]]]:
    """Judge predictions by Van Calster's hierarchy (2016): mean, weak, moderate calibration.

    Parameters
    ----------
    predicted : ndarray of float64, shape (N,)
        Risks or means predicted by a model fitted on other people.
    outcome : ndarray of float64, shape (N,)
        0/1 with both present, or a quantity.
    binary : bool
        Kind of outcome.
    n_bins : int
        Of the bins, ECE and Hosmer-Lemeshow.
    confidence : float
        Level.
    n_bootstrap, seed : int
        Of the interval of the ICI (`curve.bootstrap_ici`).

    Returns
    -------
    cells : dict of str to object
        Cells of the calibration table.
    curve : CalibrationCurve or None
        None where every prediction is the same (no slope then either).
    bins : list of dict
        See `calibration_bins`.
    """
    n = len(outcome)
    bins = calibration_bins(predicted, outcome, binary=binary, n_bins=n_bins, confidence=confidence)
    cells: dict[str, Any] = {
        "observed": float(outcome.mean()),
        "predicted": float(predicted.mean()),
    }
    if binary:
        linear = logit(np.clip(predicted, _EDGE, 1.0 - _EDGE))
        cells |= _binary_cells(predicted, linear, outcome, bins, confidence)
    else:
        linear = predicted
        error = outcome - predicted
        se = float(error.std(ddof=1) / np.sqrt(n))
        cells |= student_interval(float(error.mean()), se, n - 1, confidence).named("intercept")
        cells["rmse"] = float(np.sqrt((error**2).mean()))

    design, independent = design_matrix(linear)
    if not independent[-1]:
        return cells, None, bins
    if binary:
        fit = fit_logistic(design, outcome)
        if fit.converged:
            cells |= normal_interval(fit.coef[1], fit.se[1], confidence).named("slope")
    else:
        fit = fit_linear(design, outcome)
        cells |= student_interval(fit.coef[1], fit.se[1], n - 2, confidence).named("slope")
    smooth, curve = smooth_cells(
        predicted,
        outcome,
        binary=binary,
        confidence=confidence,
        n_bootstrap=n_bootstrap,
        seed=seed,
    )
    return cells | smooth, curve, bins


def smooth_cells(
    predicted: Floats,
    outcome: Floats,
    *,
    binary: bool,
    confidence: float = 0.95,
    n_bootstrap: int = 500,
    seed: int = 0,
) -> tuple[dict[str, Any], CalibrationCurve]:
    """Return what the smooth curve says (ICI with its interval, E50, E90, Emax), and the curve.

    Parameters are those of `calibrate`; not all predictions may be equal.
    """
    curve = smooth_curve(predicted, outcome, binary=binary, confidence=confidence)
    cells: dict[str, Any] = dict(curve.indices)
    replicates = bootstrap_ici(
        predicted, outcome, binary=binary, n_bootstrap=n_bootstrap, seed=seed
    )
    # An absolute error is estimated too high, and its bootstrap goes higher still: percentiles
    # alone would never reach down to a small true value. So the upper distance counts both ways.
    half = float(np.quantile(replicates, 0.5 + confidence / 2.0))
    ici = float(cells["ici"])
    return cells | Estimate(ici, max(ici - half, 0.0), ici + half).named("ici"), curve


def _binary_cells(
    predicted: Floats,
    linear: Floats,
    outcome: Floats,
    bins: list[dict[str, Any]],
    confidence: float,
) -> dict[str, Any]:
    n = len(outcome)
    cells: dict[str, Any] = observed_expected(
        float(outcome.sum()), float(predicted.sum()), n, confidence
    ).named("oe")
    # Calibration in the large: intercept of a logistic model with the logit as offset.
    fit = fit_logistic(np.ones((n, 1)), outcome, offset=linear)
    if fit.converged:
        cells |= normal_interval(fit.coef[0], fit.se[0], confidence).named("intercept")
    squared = (outcome - predicted) ** 2
    brier = normal_interval(
        float(squared.mean()), float(squared.std(ddof=1) / np.sqrt(n)), confidence
    )
    share = float(outcome.mean())
    chi2, df, p = hosmer_lemeshow(bins)
    return (
        cells
        | brier.named("brier")
        | {
            "brier_scaled": 1.0 - brier.value / (share * (1.0 - share)),
            "ece": sum(b["n"] * abs(b["observed"] - b["predicted"]) for b in bins) / n,
            "ece_bins": f"{len(bins)} equal-count",
            "hosmer_lemeshow": chi2,
            "hosmer_lemeshow_df": df,
            "hosmer_lemeshow_p": p,
        }
    )
