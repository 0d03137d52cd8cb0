"""What two risk models decide differently: reclassification and net benefit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from prs.errors import InvalidValueError, SettingsError
from prs.evaluation.bootstrap import bootstrap_means, percentile_interval
from prs.evaluation.intervals import normal_quantile

__all__ = ["net_benefit", "reclassification"]

Floats = NDArray[np.float64]


def _checked(*columns: ArrayLike) -> list[Floats]:
    arrays = [np.asarray(c, np.float64) for c in columns]
    if len({a.shape for a in arrays}) > 1 or arrays[0].ndim != 1:
        raise InvalidValueError(f"columns differ in shape: {[a.shape for a in arrays]}")
    outcome = arrays[-1]
    if not np.isin(outcome, (0.0, 1.0)).all() or not 0 < outcome.sum() < len(outcome):
        raise InvalidValueError("the outcome must be 0 and 1, with both present")
    return arrays


def reclassification(
    old: ArrayLike,
    new: ArrayLike,
    outcome: ArrayLike,
    *,
    cutpoints: Sequence[float],
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Count who moves between risk categories, events and non-events apart (categorical NRI).

    Pencina et al. 2008 (Stat Med 27:157). The parts are the answer; their sum weighs an event as
    much as a non-event whatever the prevalence, and improves with miscalibration (Hilden & Gerds
    2014, Stat Med 33:3405), so it is given last and with the warning that this is.

    Parameters
    ----------
    old, new : array_like, shape (N,)
        Risks by two models, fitted on other people.
    outcome : array_like, shape (N,)
        0/1.
    cutpoints : sequence of float
        Limits of the categories; a risk equal to a limit is above it.
    confidence : float
        Of the intervals: the difference of two shares of the same people.

    Returns
    -------
    DataFrame
        part ("events", "non-events", "sum"), n, n_up, n_down, nri, nri_lower, nri_upper. For
        events nri = (up - down) / n, for non-events (down - up) / n.
    """
    before, after, y = _checked(old, new, outcome)
    limits = np.asarray(sorted(cutpoints), np.float64)
    if limits.size == 0 or limits[0] <= 0.0 or limits[-1] >= 1.0:
        raise SettingsError(f"cutpoints {list(cutpoints)} are not risks between 0 and 1")
    move = np.sign(
        np.searchsorted(limits, after, side="right") - np.searchsorted(limits, before, side="right")
    )
    rows: list[dict[str, Any]] = []
    total = variance = 0.0
    z = normal_quantile(confidence)
    for part, value, sign in (("events", 1.0, 1.0), ("non-events", 0.0, -1.0)):
        moved = sign * move[y == value]
        n, nri, square = len(moved), float(moved.mean()), float(moved.var()) / len(moved)
        total, variance = total + nri, variance + square
        half = z * np.sqrt(square)
        rows.append(
            {
                "part": part,
                "n": n,
                "n_up": int((move[y == value] > 0).sum()),
                "n_down": int((move[y == value] < 0).sum()),
                "nri": nri,
                "nri_lower": nri - half,
                "nri_upper": nri + half,
            }
        )
    half = z * np.sqrt(variance)
    rows.append(
        {
            "part": "sum",
            "n": len(y),
            "n_up": int((move > 0).sum()),
            "n_down": int((move < 0).sum()),
            "nri": total,
            "nri_lower": total - half,
            "nri_upper": total + half,
        }
    )
    return pd.DataFrame(rows)


def net_benefit(
    risks: dict[str, ArrayLike],
    outcome: ArrayLike,
    *,
    thresholds: ArrayLike | None = None,
    prevalence: float | None = None,
    n_bootstrap: int = 500,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Compute decision curves: the net benefit of acting on a risk above a threshold.

    Vickers & Elkin 2006 (Med Decis Making 26:565): TP/N - FP/N x t / (1 - t), with TP/N =
    sensitivity x prevalence. "all" acts on everybody; acting on nobody has 0.

    Parameters
    ----------
    risks : dict of str to array_like, shape (N,)
        Risks by model, fitted on other people.
    outcome : array_like, shape (N,)
        0/1.
    thresholds : array_like, optional
        Default: 1 to 50 per cent, as far as three times the prevalence.
    prevalence : float, optional
        Of the population, where cases were sampled.
    n_bootstrap, confidence, seed
        Of the intervals (resampled within cases and controls).

    Returns
    -------
    DataFrame
        model, threshold, net_benefit, net_benefit_lower, net_benefit_upper.
    """
    names = list(risks)
    columns = _checked(*risks.values(), outcome)
    y = columns.pop()
    share = float(y.mean()) if prevalence is None else float(prevalence)
    if thresholds is None:
        at = np.linspace(0.01, min(0.5, 3.0 * share), 50)
    else:
        at = np.asarray(thresholds, np.float64)
    if ((at <= 0.0) | (at >= 1.0)).any():
        raise SettingsError("thresholds must lie between 0 and 1")
    # Weighted so that a mean over people is that over the population.
    weight = np.where(y == 1.0, share / y.mean(), -(1.0 - share) / (1.0 - y.mean()))
    odds = at / (1.0 - at)
    cost = np.where(y[:, None] == 1.0, weight[:, None], weight[:, None] * odds)
    rows = []
    for m, (name, risk) in enumerate([*zip(names, columns, strict=True), ("all", np.ones(len(y)))]):
        gain = cost * (risk[:, None] >= at)
        made = bootstrap_means(
            gain, y.astype(np.int64), n_bootstrap=n_bootstrap, seed=seed, stage=(4, m)
        )
        for t, threshold in enumerate(at):
            value = percentile_interval(float(gain[:, t].mean()), made[:, t], confidence)
            rows.append(
                {"model": name, "threshold": float(threshold), **value.named("net_benefit")}
            )
    return pd.DataFrame(rows)
