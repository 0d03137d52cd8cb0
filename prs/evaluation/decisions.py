"""What two risk models decide differently: reclassification and net benefit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from prs.errors import InvalidValueError, SettingsError
from prs.evaluation.intervals import Estimate, normal_interval, normal_quantile

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
    risks: Mapping[str, ArrayLike],
    outcome: ArrayLike,
    *,
    thresholds: ArrayLike | None = None,
    prevalence: float | None = None,
    versus: str | None = None,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Compute decision curves: the net benefit of acting on a risk above a threshold.

    Vickers & Elkin 2006 (Med Decis Making 26:565): TP/N - FP/N x t / (1 - t), with TP/N =
    sensitivity x prevalence. "all" acts on everybody; acting on nobody has 0. A net benefit is
    a mean over people, and so is a difference of two: their intervals are Wald's.

    Parameters
    ----------
    risks : mapping of str to array_like, shape (N,)
        Risks by model, fitted on other people.
    outcome : array_like, shape (N,)
        0/1.
    thresholds : array_like, optional
        Default: 25 from 1 per cent to three times the prevalence, at most 50 per cent.
    prevalence : float, optional
        Of the population, where cases were sampled; the risks must be on its scale.
    versus : str, optional
        One of the models: differences from it are given too.
    confidence : float
        Of the intervals.

    Returns
    -------
    DataFrame
        model, threshold, net_benefit with its interval, and difference (from `versus`) with its.
    """
    names = list(risks)
    if versus is not None and versus not in names:
        raise SettingsError(f"versus is {versus!r}", remedy=f"models: {', '.join(names)}")
    columns = _checked(*risks.values(), outcome)
    y = columns.pop()
    share = float(y.mean()) if prevalence is None else float(prevalence)
    if thresholds is None:
        at = np.linspace(0.01, max(min(0.5, 3.0 * share), 0.02), 25)
    else:
        at = np.asarray(thresholds, np.float64)
    if ((at <= 0.0) | (at >= 1.0)).any():
        raise SettingsError("thresholds must lie between 0 and 1")
    # Weighted so that a mean over people is that over the population.
    weight = np.where(y == 1.0, share / y.mean(), -(1.0 - share) / (1.0 - y.mean()))
    odds = at / (1.0 - at)
    gains = {
        name: np.where(y[:, None] == 1.0, weight[:, None], weight[:, None] * odds)
        * (risk[:, None] >= at)
        for name, risk in [*zip(names, columns, strict=True), ("all", np.ones(len(y)))]
    }
    rows = []
    for name, gain in gains.items():
        parts = {"net_benefit": gain}
        if versus is not None and name != versus:
            parts["difference"] = gain - gains[versus]
        intervals = {
            figure: _mean_intervals(each, None if prevalence is None else y, confidence)
            for figure, each in parts.items()
        }
        for t, threshold in enumerate(at):
            row: dict[str, Any] = {"model": name, "threshold": float(threshold)}
            for figure, found in intervals.items():
                row |= found[t].named(figure)
            rows.append(row)
    return pd.DataFrame(rows)


def _mean_intervals(each: Floats, strata: Floats | None, confidence: float) -> list[Estimate]:
    """Return the mean of each column with its interval; `strata`: sampled by case status."""
    n = len(each)
    if strata is None:
        variance = each.var(axis=0, ddof=1) / n
    else:
        variance = np.zeros(each.shape[1])
        for value in (0.0, 1.0):
            inside = each[strata == value]
            variance += len(inside) * inside.var(axis=0) / n**2
    return [
        normal_interval(float(m), float(np.sqrt(v)), confidence)
        for m, v in zip(each.mean(axis=0), variance, strict=True)
    ]
