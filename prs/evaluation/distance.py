"""Accuracy and calibration along genetic distance: continuous, without labels (Ding et al. 2023).

Ding et al. 2023 (Nature 618:774): accuracy falls with the distance from the training sample in
the space of principal components, within labels too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import logit

from prs.errors import InvalidValueError
from prs.evaluation.accuracy import delong
from prs.evaluation.floors import OK, Floors
from prs.evaluation.intervals import (
    fisher_interval,
    normal_interval,
    observed_expected,
    student_interval,
    two_sided_p,
)
from prs.evaluation.regression import RegressionFit, design_matrix, fit_linear, fit_logistic
from prs.evaluation.survival import harrell_c, observed_over_predicted
from prs.survival.cox import CoxFit, fit_cox

__all__ = ["accuracy_by_distance", "describe_trend", "genetic_distance"]

Floats = NDArray[np.float64]
_EDGE = 1e-12


def genetic_distance(
    pcs: ArrayLike, training_pcs: ArrayLike, *, scale: ArrayLike | None = None
) -> Floats:
    """Return people's Euclidean distance from the centre of a training sample, in PC space.

    Parameters
    ----------
    pcs : array_like, shape (N, K)
        Components of the people, in units in which a component's spread is its share of the
        genetic variance (U D, as `prs.ancestry.project` returns).
    training_pcs : array_like, shape (T, K)
        Of the training sample, or of a reference panel of the GWAS's population.
    scale : array_like, shape (K,), optional
        Divide each component by this first.

    Returns
    -------
    ndarray of float64, shape (N,)
    """
    x, centre = np.asarray(pcs, np.float64), np.asarray(training_pcs, np.float64).mean(axis=0)
    away = x - centre
    if scale is not None:
        away = away / np.asarray(scale, np.float64)
    out: Floats = np.sqrt((away**2).sum(axis=1))
    return out


def accuracy_by_distance(
    score: ArrayLike,
    outcome: ArrayLike,
    distance: ArrayLike,
    *,
    kind: str,
    covariates: ArrayLike | None = None,
    predicted: ArrayLike | None = None,
    n_bins: int = 5,
    min_events: int = 20,
    min_people: int = 50,
    confidence: float = 0.95,
    time: ArrayLike | None = None,
    entry: ArrayLike | None = None,
    horizon: float | None = None,
) -> pd.DataFrame:
    """Judge a score along genetic distance: in bins of equal size, and as a trend.

    Parameters
    ----------
    score, outcome, distance : array_like, shape (N,)
        Of the people to be judged.
    kind : {"binary", "quantitative", "survival"}
        Of the outcome.
    covariates : array_like, shape (N, C), optional
        Adjusted for in R2 and in the trend.
    predicted : array_like, shape (N,), optional
        Risks or means from a model fitted on other people, for calibration; survival: risks by
        `horizon`.
    n_bins : int
    min_events, min_people, confidence
        See `prs.evaluation.evaluate`.
    time : array_like, shape (N,), optional
        Survival: of the event or of censoring.
    entry : array_like, shape (N,), optional
        Survival: when each person came under observation, on the scale of `time`.
    horizon : float, optional
        Survival: time since entry by which risks are judged.

    Returns
    -------
    DataFrame
        A row a bin ("1" is nearest): bin, distance_from, distance_to, distance (mean), n,
        n_events, measure ("auc", "c", or "r2": of the score given the covariates), value with its
        interval, oe (observed over predicted; survival: 1 - Kaplan-Meier over the mean risk, and
        the slope of a Cox model on log(-log(1 - risk))) or intercept, and slope of calibration,
        with intervals; status. Last a row "trend": `value` is the change of the score's effect
        (log odds, or outcome units, per SD of score) per SD of distance, from a model with
        score, distance and their product; p.
    """
    s, y, d = (np.asarray(v, np.float64) for v in (score, outcome, distance))
    x = np.empty((len(s), 0)) if covariates is None else np.asarray(covariates, np.float64)
    x = x.reshape(len(s), -1)
    risk = None if predicted is None else np.asarray(predicted, np.float64)
    t = np.zeros(len(s)) if time is None else np.asarray(time, np.float64)
    come = None if entry is None else np.asarray(entry, np.float64)
    if kind == "survival" and (time is None or (risk is not None and horizon is None)):
        raise InvalidValueError("a survival outcome needs times, and predictions a horizon")
    columns = [s, y, d, t, *(v for v in (risk, come) if v is not None)]
    if len({len(c) for c in (*columns, x)}) > 1:
        raise InvalidValueError("score, outcome, distance and covariates differ in length")
    usable = np.isfinite(x).all(axis=1)
    for column in columns:
        usable &= np.isfinite(column)
    s, y, d, x, t = s[usable], y[usable], d[usable], x[usable], t[usable]
    risk, come = (None if v is None else v[usable] for v in (risk, come))
    binary = kind == "binary"
    floors = Floors(min_events=min_events, min_people=min_people)
    edges = np.quantile(d, np.linspace(0.0, 1.0, n_bins + 1))
    index = np.clip(np.searchsorted(edges[1:-1], d, side="left"), 0, n_bins - 1)
    rows: list[dict[str, Any]] = []
    for b in range(n_bins):
        here = index == b
        n, events = int(here.sum()), int(y[here].sum()) if kind != "quantitative" else 0
        row: dict[str, Any] = {
            "bin": str(b + 1),
            "distance_from": edges[b],
            "distance_to": edges[b + 1],
            "distance": float(d[here].mean()) if n else np.nan,
            "n": n,
            "n_events": events if kind != "quantitative" else None,
            "measure": {"binary": "auc", "survival": "c"}.get(kind, "r2"),
            "status": floors.group_status(kind, n, events),
        }
        if row["status"] == OK:
            if kind == "survival":
                own = None if come is None else come[here]
                c = harrell_c(t[here], y[here], s[here], confidence=confidence, entry=own)
                row |= c.named("value")
            else:
                row |= _accuracy(s[here], y[here], x[here], binary, confidence)
            if risk is not None and kind == "survival" and horizon is not None:
                followed = t[here] if come is None else t[here] - come[here]
                row |= _calibration_by(horizon, risk[here], followed, y[here], confidence)
            elif risk is not None:
                row |= _calibration(risk[here], y[here], binary, confidence)
        rows.append(row)
    rows.append(_trend(s, y, d, x, kind, confidence, t, come))
    names = ["bin", "distance_from", "distance_to", "distance", "n", "n_events", "measure"]
    for figure in ("value", "oe", "intercept", "slope"):
        names += [figure, f"{figure}_lower", f"{figure}_upper"]
    frame = pd.DataFrame(rows).reindex(columns=[*names, "p", "status"])
    frame["n_events"] = frame["n_events"].astype("Int64")
    return frame


def _accuracy(s: Floats, y: Floats, x: Floats, binary: bool, confidence: float) -> dict[str, Any]:
    if binary:
        return delong(s[:, None], y).interval(0, confidence).named("value")
    design, independent = design_matrix(x, s)
    q, _ = np.linalg.qr(design[:, :-1][:, independent[:-1]])
    left, right = s - q @ (q.T @ s), y - q @ (q.T @ y)
    r = float(left @ right / np.sqrt((left @ left) * (right @ right)))
    low_high = fisher_interval(r, len(s) - q.shape[1] + 1, confidence)
    # R2 is r squared: an interval of r that holds 0 has its least square there.
    squares = sorted((low_high.lower**2, low_high.upper**2))
    lower = 0.0 if low_high.lower < 0.0 < low_high.upper else squares[0]
    return {"value": r * r, "value_lower": lower, "value_upper": squares[1]}


def _calibration(risk: Floats, y: Floats, binary: bool, confidence: float) -> dict[str, Any]:
    cells: dict[str, Any] = {}
    if not binary:
        error = y - risk
        se = float(error.std(ddof=1) / np.sqrt(len(y)))
        cells |= student_interval(float(error.mean()), se, len(y) - 1, confidence).named(
            "intercept"
        )
        linear = fit_linear(design_matrix(risk)[0], y)
        cells |= student_interval(linear.coef[1], linear.se[1], len(y) - 2, confidence).named(
            "slope"
        )
        return cells
    cells |= observed_expected(float(y.sum()), float(risk.sum()), len(y), confidence).named("oe")
    odds = logit(np.clip(risk, _EDGE, 1.0 - _EDGE))
    mean = fit_logistic(np.ones((len(y), 1)), y, offset=odds)
    if mean.converged:
        cells |= normal_interval(mean.coef[0], mean.se[0], confidence).named("intercept")
    fit = fit_logistic(design_matrix(odds)[0], y)
    if fit.converged:
        cells |= normal_interval(fit.coef[1], fit.se[1], confidence).named("slope")
    return cells


def _calibration_by(
    horizon: float, risk: Floats, followed: Floats, event: Floats, confidence: float
) -> dict[str, Any]:
    """Return observed over predicted risk by a time, and the slope of the log hazard."""
    cells = observed_over_predicted(followed, event, horizon, risk, confidence).named("oe")
    linear = np.log(-np.log1p(-np.clip(risk, _EDGE, 1.0 - _EDGE)))
    if linear.std() > 0.0:
        fit = fit_cox(linear[:, None], followed, event)
        if fit.converged:
            cells |= normal_interval(fit.coef[0], fit.se[0], confidence).named("slope")
    return cells


def _trend(
    s: Floats,
    y: Floats,
    d: Floats,
    x: Floats,
    kind: str,
    confidence: float,
    t: Floats,
    entry: Floats | None,
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "bin": "trend",
        "n": len(s),
        "n_events": int(y.sum()) if kind != "quantitative" else None,
        "measure": "change of the effect per SD of distance",
        "status": OK,
    }
    if not (s.std() > 0.0 and d.std() > 0.0):
        return row | {"status": "insufficient data: score or distance does not vary"}
    z, far = (s - s.mean()) / s.std(), (d - d.mean()) / d.std()
    design, independent = design_matrix(np.column_stack([x, z, far, z * far]))
    design = design[:, independent]
    fit: RegressionFit | CoxFit
    if kind == "survival":
        fit = fit_cox(design[:, 1:], t, y, entry=entry)
    else:
        fit = fit_logistic(design, y) if kind == "binary" else fit_linear(design, y)
    if not fit.converged or not independent[-1]:
        return row | {"status": "insufficient data: the model of the trend has no fit"}
    value = normal_interval(fit.coef[-1], fit.se[-1], confidence)
    return row | value.named("value") | {"p": two_sided_p(fit.coef[-1] / fit.se[-1])}


def describe_trend(table: pd.DataFrame, words: Sequence[str] = ("falls", "rises")) -> str:
    """Say in a sentence what the trend row of `accuracy_by_distance` shows."""
    row = table[table["bin"] == "trend"].iloc[0]
    if row["status"] != OK:
        return str(row["status"])
    direction = words[0] if row["value"] < 0 else words[1]
    if row["value_lower"] <= 0.0 <= row["value_upper"]:
        direction = "shows no clear trend"
    numbers = [f"{row[c]:.3f}".replace("-", "−") for c in ("value", "value_lower", "value_upper")]
    return (
        f"the effect of the score {direction} with genetic distance: it changes by {numbers[0]} "
        f"({numbers[1]} to {numbers[2]}) for each SD of distance (p {row['p']:.2g})."
    )
