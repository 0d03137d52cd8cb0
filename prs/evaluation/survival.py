"""Time-to-event outcomes: hazard ratio per SD and Harrell's C, per group and pooled."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from prs.errors import InvalidValueError
from prs.evaluation.floors import OK, Floors, insufficient
from prs.evaluation.intervals import Estimate, normal_interval, two_sided_p
from prs.evaluation.people import EVERYBODY

__all__ = ["evaluate_survival", "harrell_c", "hazard_ratio"]

Floats = NDArray[np.float64]
_CHUNK = 256


def _pairs(times: Floats, event: NDArray[np.bool_], risk: Floats) -> tuple[Floats, Floats]:
    """Return, for each person, the sum of their pairs' scores (1, 1/2, 0) and the pairs' number."""
    n = len(times)
    won, number = np.zeros(n), np.zeros(n)
    cases = np.flatnonzero(event)
    for start in range(0, len(cases), _CHUNK):
        here = cases[start : start + _CHUNK]
        # Comparable: the other is still without the event after this one's (censored at the
        # same time counts as later); two events at the same time are not comparable.
        after = times[None, :] > times[here, None]
        after |= (times[None, :] == times[here, None]) & ~event[None, :]
        score = (risk[here, None] > risk[None, :]) + 0.5 * (risk[here, None] == risk[None, :])
        score = np.where(after, score, 0.0)
        won[here] += score.sum(axis=1)
        number[here] += after.sum(axis=1)
        won += score.sum(axis=0)
        number += after.sum(axis=0)
    return won, number


def harrell_c(
    times: ArrayLike, event: ArrayLike, risk: ArrayLike, *, confidence: float = 0.95
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
    """
    t, d, r = (np.asarray(v, np.float64) for v in (times, event, risk))
    won, number = _pairs(t, d == 1.0, r)
    total = number.sum()
    if total == 0.0:
        return Estimate(np.nan, np.nan, np.nan)
    c = won.sum() / total
    influence = 2.0 * (won - c * number) / total
    raw = normal_interval(float(c), float(np.sqrt((influence**2).sum())), confidence)
    return Estimate(raw.value, max(raw.lower, 0.0), min(raw.upper, 1.0))


def hazard_ratio(
    times: ArrayLike,
    event: ArrayLike,
    score_sds: ArrayLike,
    covariates: ArrayLike | None = None,
    *,
    confidence: float = 0.95,
) -> tuple[Estimate, float]:
    """Return the hazard ratio per unit of the score, adjusted, with its Wald interval and p.

    Cox regression by statsmodels' ``PHReg`` (Breslow's ties).

    Parameters
    ----------
    times, event, score_sds : array_like, shape (N,)
    covariates : array_like, shape (N, C), optional
    confidence : float

    Returns
    -------
    ratio : Estimate
        NaN where the fit fails.
    p : float
    """
    from statsmodels.duration.hazard_regression import PHReg

    score = np.asarray(score_sds, np.float64)
    columns = [score[:, None]]
    if covariates is not None:
        extra = np.asarray(covariates, np.float64).reshape(len(score), -1)
        spread = extra.std(axis=0)
        columns.append((extra[:, spread > 0] - extra.mean(axis=0)[spread > 0]) / spread[spread > 0])
    nothing = Estimate(np.nan, np.nan, np.nan)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        try:
            fit = PHReg(
                np.asarray(times, np.float64),
                np.concatenate(columns, axis=1),
                status=np.asarray(event, np.float64),
                ties="breslow",
            ).fit(disp=False)
            beta, se = float(fit.params[0]), float(fit.bse[0])
        except (np.linalg.LinAlgError, ValueError, FloatingPointError):
            return nothing, np.nan
    if not (np.isfinite(beta) and np.isfinite(se) and se > 0.0):
        return nothing, np.nan
    log = normal_interval(beta, se, confidence)
    return Estimate(*(float(np.exp(v)) for v in log)), two_sided_p(beta / se)


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
                ratio, p = hazard_ratio(
                    t[here], d[here], values[here, s] / sd, adjust, confidence=confidence
                )
                c = harrell_c(t[here], d[here], values[here, s], confidence=confidence)
                row |= {**ratio.named("hazard_ratio"), "hazard_ratio_p": p, **c.named("c")}
                if not np.isfinite(ratio.value):
                    status = insufficient("no hazard ratio could be fitted")
            rows.append(row | {"sd": sd, "status": status})
    columns = ["score", "group", "n", "n_events"]
    for figure in ("hazard_ratio", "c"):
        columns += [figure, f"{figure}_lower", f"{figure}_upper"]
    return pd.DataFrame(rows).reindex(columns=[*columns, "hazard_ratio_p", "sd", "status"])
