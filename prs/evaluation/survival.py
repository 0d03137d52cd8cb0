"""Time-to-event outcomes: hazard ratio per SD and Harrell's C, per group and pooled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from prs.errors import InvalidValueError
from prs.evaluation.accuracy import Accuracy
from prs.evaluation.floors import OK, Floors, insufficient
from prs.evaluation.intervals import (
    UNKNOWN,
    Estimate,
    normal_interval,
    normal_quantile,
    two_sided_p,
)
from prs.evaluation.people import EVERYBODY
from prs.evaluation.regression import design_matrix
from prs.survival.concordance import concordance
from prs.survival.cox import fit_cox
from prs.survival.kaplan_meier import risk_and_variance

__all__ = [
    "evaluate_survival",
    "harrell_c",
    "hazard_ratio",
    "observed_over_predicted",
    "risk_by",
    "survival_accuracy",
]

Floats = NDArray[np.float64]
#: Variance of the log of a hazard's own scatter: that of the extreme value distribution.
_EXTREME_VALUE_VARIANCE = np.pi**2 / 6.0


def harrell_c(
    times: ArrayLike,
    event: ArrayLike,
    risk: ArrayLike,
    *,
    confidence: float = 0.95,
    entry: ArrayLike | None = None,
) -> Estimate:
    """Return Harrell's concordance, with its infinitesimal-jackknife interval.

    Harrell et al. 1996 (Stat Med 15:361); as R's ``survival::concordance``.

    Parameters
    ----------
    times : array_like, shape (N,)
        Of the event or of censoring.
    event : array_like, shape (N,)
        1 where the event came, 0 where censored.
    risk : array_like, shape (N,)
        Higher is earlier.
    confidence : float
    entry : array_like, shape (N,), optional
        When each person came under observation: nobody is compared with an event before that.
    """
    t, d, r = (np.asarray(v, np.float64) for v in (times, event, risk))
    return _c_interval(*concordance(t, d, r, entry=_entries(entry)), confidence)


def _entries(entry: ArrayLike | None) -> Floats | None:
    return None if entry is None else np.asarray(entry, np.float64)


def _c_interval(c: float, influence: Floats, confidence: float) -> Estimate:
    if not np.isfinite(c):
        return Estimate(np.nan, np.nan, np.nan)
    raw = normal_interval(c, float(np.sqrt((influence**2).sum())), confidence)
    return Estimate(raw.value, max(raw.lower, 0.0), min(raw.upper, 1.0))


def risk_by(
    time: Floats,
    event: Floats,
    horizon: float,
    confidence: float = 0.95,
    *,
    entry: Floats | None = None,
    start: float = -np.inf,
) -> Estimate:
    """Return the risk of the event by a time, 1 - Kaplan-Meier, with its log-log interval.

    Greenwood's variance on the scale of log(-log S), as R's ``survfit(conf.type = "log-log")``.

    Parameters
    ----------
    time, event : ndarray of float64, shape (N,)
    horizon : float
        In the unit of `time`.
    confidence : float
    entry, start
        See `prs.survival.kaplan_meier.risk_and_variance`.
    """
    risk, variance = risk_and_variance(time, event, horizon, entry=entry, start=start)
    if not (0.0 < risk < 1.0 and variance > 0.0):
        return Estimate(risk, np.nan, np.nan)
    survival = 1.0 - risk
    half = normal_quantile(confidence) * np.sqrt(variance) / (survival * abs(np.log(survival)))
    low, high = survival ** np.exp(half), survival ** np.exp(-half)
    return Estimate(risk, 1.0 - float(high), 1.0 - float(low))


def observed_over_predicted(
    time: Floats, event: Floats, horizon: float, risks: Floats, confidence: float = 0.95
) -> Estimate:
    """Return observed (1 - Kaplan-Meier) over mean predicted risk by a time.

    The interval is that of the observed risk (Greenwood's variance, on the logarithm).

    Parameters
    ----------
    time, event, risks : ndarray of float64, shape (N,)
    horizon : float
        In the unit of `time`.
    confidence : float
    """
    observed, variance = risk_and_variance(time, event, horizon)
    predicted = float(risks.mean())
    if not (observed > 0.0 and predicted > 0.0):
        return UNKNOWN
    factor = float(np.exp(normal_quantile(confidence) * np.sqrt(variance) / observed))
    value = observed / predicted
    return Estimate(value, value / factor, value * factor)


def hazard_ratio(
    times: ArrayLike,
    event: ArrayLike,
    score_sds: ArrayLike,
    covariates: ArrayLike | None = None,
    *,
    confidence: float = 0.95,
    entry: ArrayLike | None = None,
) -> tuple[Estimate, float]:
    """Return the hazard ratio per unit of the score, adjusted, with its Wald interval and p.

    Cox regression with Breslow's ties.

    Parameters
    ----------
    times, event, score_sds : array_like, shape (N,)
    covariates : array_like, shape (N, C), optional
    confidence : float
    entry : array_like, shape (N,), optional
        See `harrell_c`.

    Returns
    -------
    ratio : Estimate
        NaN where the fit fails.
    p : float
    """
    score = np.asarray(score_sds, np.float64)
    extra = np.empty((len(score), 0)) if covariates is None else np.asarray(covariates, np.float64)
    columns = _cox_columns(extra.reshape(len(score), -1), score)
    nothing = Estimate(np.nan, np.nan, np.nan)
    if columns is None:
        return nothing, np.nan
    t, d = np.asarray(times, np.float64), np.asarray(event, np.float64)
    fit = fit_cox(columns, t, d, entry=_entries(entry))
    if not fit.converged:
        return nothing, np.nan
    log = normal_interval(fit.coef[-1], fit.se[-1], confidence)
    return Estimate(*(float(np.exp(v)) for v in log)), two_sided_p(fit.coef[-1] / fit.se[-1])


def _cox_columns(covariates: Floats, score: Floats) -> Floats | None:
    """Return independent covariates, then the score; None if they span it."""
    design, independent = design_matrix(covariates, score)
    return design[:, 1:][:, independent[1:]] if independent[-1] else None


def survival_accuracy(
    times: Floats,
    event: Floats,
    score: Floats,
    covariates: Floats,
    *,
    predicted_covariates: Floats | None,
    predicted_full: Floats | None,
    sd: float,
    confidence: float = 0.95,
    entry: Floats | None = None,
) -> Accuracy:
    """Judge a score for a time-to-event outcome in one group.

    Parameters
    ----------
    times, event, score : ndarray of float64, shape (N,)
        Follow-up, 1 event or 0 censored, and the score.
    covariates : ndarray of float64, shape (N, C)
        Adjusted for in the hazard ratio (pooled: with group indicators).
    predicted_covariates, predicted_full : ndarray of float64, shape (N,)
        Log hazards from models without and with the score, fitted on other people; None where
        there are no covariates, or no model.
    sd : float
        One "SD" of the score.
    confidence : float
        Level of the intervals.
    entry : ndarray of float64, shape (N,), optional
        When each person came under observation, on the scale of `times`.

    Returns
    -------
    Accuracy
        `r2_explained` = b^2 / (pi^2 / 6 + b^2), b the adjusted log hazard ratio per SD, is the
        share of the variation of log time that the score explains under proportional hazards
        (Kent & O'Quigley 1988, Biometrika 75:525; Royston 2006, Stata J 6:83). It and
        comparisons come from a bootstrap of the influence functions.
    """
    columns = _cox_columns(covariates, score / sd)
    if columns is None:
        return Accuracy({}, insufficient("the score does not vary (given the covariates)"))
    fit = fit_cox(columns, times, event, entry=entry)
    if not fit.converged:
        return Accuracy({}, insufficient("no hazard ratio could be fitted"))
    n = len(times)
    c, c_influence = concordance(times, event, score, entry=entry)
    log = normal_interval(fit.coef[-1], fit.se[-1], confidence)
    cells: dict[str, Any] = {
        "follow_up": float(np.median(times if entry is None else times - entry)),
        **Estimate(*(float(np.exp(v)) for v in log)).named("hazard_ratio"),
        "hazard_ratio_p": two_sided_p(fit.coef[-1] / fit.se[-1]),
        **_c_interval(c, c_influence, confidence).named("c"),
    }
    if predicted_full is not None:
        full, full_influence = concordance(times, event, predicted_full, entry=entry)
        cells |= _c_interval(full, full_influence, confidence).named("c_full")
        if predicted_covariates is not None:
            null, null_influence = concordance(times, event, predicted_covariates, entry=entry)
            cells |= _c_interval(null, null_influence, confidence).named("c_covariates")
            se = float(np.sqrt(((full_influence - null_influence) ** 2).sum()))
            cells |= normal_interval(full - null, se, confidence).named("c_gain")
            cells["c_gain_p"] = two_sided_p((full - null) / se) if se > 0.0 else np.nan
    slope, slope_influence = fit.coef[-1], fit.influence[:, -1]

    def statistics(means: Floats) -> dict[str, Any]:
        b = slope + means[..., 1]
        return {"c": c + means[..., 0], "r2_explained": b**2 / (_EXTREME_VALUE_VARIANCE + b**2)}

    return Accuracy(cells, OK, n * np.column_stack([c_influence, slope_influence]), statistics)


def evaluate_survival(
    scores: ArrayLike,
    times: ArrayLike,
    event: ArrayLike,
    *,
    names: Sequence[str],
    group: Sequence[str] | NDArray[np.object_] | None = None,
    covariates: ArrayLike | None = None,
    min_events: int = 20,
    confidence: float = 0.95,
    entry: ArrayLike | None = None,
) -> pd.DataFrame:
    """Judge scores for a time-to-event outcome, per group and pooled.

    Parameters
    ----------
    scores : array_like, shape (N, S)
        Of the people to be judged (who tuned nothing).
    times, event : array_like, shape (N,)
        Follow-up time; 1 event, 0 censored.
    names : sequence of str
        Of the scores.
    group : sequence of str, optional
        Ancestry; pooled rows adjust the hazard ratio for it.
    covariates : array_like, shape (N, C), optional
        Adjusted for in the hazard ratio.
    min_events : int
        Fewer events in a group: insufficient data.
    confidence : float
    entry : array_like, shape (N,), optional
        When each person came under observation, on the scale of `times` (age, say).

    Returns
    -------
    DataFrame
        score, group, n, n_events, hazard_ratio (per SD of the score in the group) and c
        (Harrell's, of the score alone) with intervals, hazard_ratio_p, sd, status.
    """
    t, d = np.asarray(times, np.float64), np.asarray(event, np.float64)
    values = np.asarray(scores, np.float64).reshape(len(t), -1)
    if not np.isin(d, (0.0, 1.0)).all() or not (np.isfinite(t) & (t >= 0.0)).all():
        raise InvalidValueError(
            "times must be numbers of at least 0, and events 0 (censored) or 1 (event)"
        )
    come = _entries(entry)
    if come is not None and not (come < t).all():
        raise InvalidValueError("an entry is not before the person's time")
    if not np.isfinite(values).all() or values.shape[1] != len(names):
        raise InvalidValueError(f"scores of shape {values.shape} for {len(names)} names")
    labels = (
        np.full(len(t), EVERYBODY, dtype=object)
        if group is None
        else np.array([str(g) for g in group], dtype=object)
    )
    extra = np.empty((len(t), 0)) if covariates is None else np.asarray(covariates, np.float64)
    extra = extra.reshape(len(t), -1)
    groups = [g for g in dict.fromkeys(labels) if g != EVERYBODY]
    groups.sort(key=lambda g: (-int((labels == g).sum()), str(g)))
    floors = Floors(min_events)
    rows = []
    for s, name in enumerate(names):
        for label in (*groups, EVERYBODY):
            here = labels == label if label != EVERYBODY else np.ones(len(t), bool)
            n_events, sd = int(d[here].sum()), float(values[here, s].std(ddof=1))
            row = {"score": name, "group": str(label), "n": int(here.sum()), "n_events": n_events}
            status = OK
            if n_events < floors.min_events:
                status = insufficient(f"{n_events:,} events (floor {floors.min_events:,})")
            elif not sd > 0.0:
                status = insufficient("the score does not vary")
            if status == OK:
                adjust = extra[here]
                if label == EVERYBODY and len(groups) > 1:
                    apart = [labels[here] == g for g in groups[1:]]
                    adjust = np.column_stack([adjust, *(a.astype(float) for a in apart)])
                options: dict[str, Any] = {
                    "confidence": confidence,
                    "entry": None if come is None else come[here],
                }
                ratio, p = hazard_ratio(t[here], d[here], values[here, s] / sd, adjust, **options)
                c = harrell_c(t[here], d[here], values[here, s], **options)
                row |= {**ratio.named("hazard_ratio"), "hazard_ratio_p": p, **c.named("c")}
                if not np.isfinite(ratio.value):
                    status = insufficient("no hazard ratio could be fitted")
            rows.append(row | {"sd": sd, "status": status})
    columns = ["score", "group", "n", "n_events"]
    for figure in ("hazard_ratio", "c"):
        columns += [figure, f"{figure}_lower", f"{figure}_upper"]
    return pd.DataFrame(rows).reindex(columns=[*columns, "hazard_ratio_p", "sd", "status"])
