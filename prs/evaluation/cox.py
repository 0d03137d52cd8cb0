"""Cox regression, Kaplan-Meier risks and their pseudo-values, in closed numpy sums.

The estimates are those of statsmodels' PHReg with Breslow's ties (the tests say so), which takes
minutes where a biobank has ten thousand events; sums over risk sets are cumulative sums here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prs.evaluation.intervals import Estimate, normal_quantile

__all__ = [
    "CoxFit",
    "baseline_hazard",
    "fit_cox",
    "pseudo_risks",
    "risk_and_variance",
    "risk_by",
]

Floats = NDArray[np.float64]
_MAX_STEPS = 50
# A log hazard ratio per SD beyond this is a fit that runs away.
_MAX_COEF = 20.0


@dataclass(frozen=True, eq=False)
class CoxFit:
    """A fitted proportional hazards model.

    Attributes
    ----------
    coef : ndarray of float64, shape (P,)
        Log hazard ratios.
    covariance : ndarray of float64, shape (P, P)
        Inverse of the observed information.
    influence : ndarray of float64, shape (N, P)
        Of each person on the coefficients: sums of resampled rows are, to first order, the
        change of the fit (the infinitesimal jackknife; Reid & Crepeau 1985, Biometrika 72:1).
    converged : bool
        False where the estimate runs away, or there is nothing to fit.
    """

    coef: Floats
    covariance: Floats
    influence: Floats
    converged: bool

    @property
    def se(self) -> Floats:
        """Standard errors, shape (P,)."""
        return np.sqrt(np.clip(np.diag(self.covariance), 0.0, None))


class _RiskSets:
    """People from the latest time to the earliest, and where each one's risk set ends."""

    def __init__(self, time: Floats, event: Floats) -> None:
        self.order = np.argsort(-time, kind="stable")
        late = time[self.order]
        # The risk set of a time: everybody up to the last one tied with it.
        self.last = np.searchsorted(-late, -late, side="right") - 1
        self.event = event[self.order] == 1.0

    def at_risk(self, values: Floats) -> Floats:
        """Return sums over each one's risk set of values (sorted), shape (N, ...)."""
        return np.asarray(np.cumsum(values, axis=0)[self.last])

    def until(self, values: Floats) -> Floats:
        """Return sums over the events up to each one's own time of values (sorted)."""
        kept = np.where(self.event.reshape(-1, *[1] * (values.ndim - 1)), values, 0.0)
        reverse = np.cumsum(kept[::-1], axis=0)[::-1]
        # Ties: an event at one's own time counts, wherever it stands among them.
        first = np.searchsorted(self.last, self.last, side="left")
        return np.asarray(reverse[first])

    def back(self, values: Floats) -> Floats:
        """Return values in the order in which people came."""
        out = np.empty_like(values)
        out[self.order] = values
        return out


def fit_cox(
    columns: Floats, time: Floats, event: Floats, *, offset: Floats | None = None
) -> CoxFit:
    """Fit a proportional hazards model (Cox 1972) by Newton's method; Breslow's ties.

    Parameters
    ----------
    columns : ndarray of float64, shape (N, P)
        Covariates, linearly independent; no intercept.
    time, event : ndarray of float64, shape (N,)
        Of event or censoring; 1 event, 0 censored.
    offset : ndarray of float64, shape (N,), optional
        Added to the linear predictor.

    Returns
    -------
    CoxFit
    """
    sets = _RiskSets(time, event)
    centre, scale = columns.mean(axis=0), columns.std(axis=0)
    scale = np.where(scale > 0.0, scale, 1.0)
    x = ((columns - centre) / scale)[sets.order]
    fixed = np.zeros(len(time)) if offset is None else (offset - offset.mean())[sets.order]
    n_coef = x.shape[1]
    beta = np.zeros(n_coef)

    def look(at: Floats) -> tuple[float, Floats, Floats, Floats, Floats]:
        linear = x @ at + fixed
        weight = np.exp(np.clip(linear, -500.0, 500.0))
        total = sets.at_risk(weight)
        mean = sets.at_risk(weight[:, None] * x) / total[:, None]
        value = float((linear - np.log(total))[sets.event].sum())
        gradient = (x - mean)[sets.event].sum(axis=0)
        hazard = sets.until(1.0 / total)
        moved = mean[sets.event]
        information = (x * (weight * hazard)[:, None]).T @ x - moved.T @ moved
        return value, gradient, information, weight, mean

    def failed() -> CoxFit:
        return CoxFit(
            np.full(n_coef, np.nan),
            np.full((n_coef, n_coef), np.nan),
            np.zeros((len(time), n_coef)),
            False,
        )

    if not sets.event.any():
        return failed()
    value, gradient, information, weight, mean = look(beta)
    for _ in range(_MAX_STEPS):
        try:
            step = np.linalg.solve(information, gradient)
        except np.linalg.LinAlgError:
            return failed()
        if not np.isfinite(step).all():
            return failed()
        trial = look(beta + step)
        while trial[0] < value - 1e-10 * abs(value) and np.abs(step).max() > 1e-12:
            step = step / 2.0
            trial = look(beta + step)
        beta = beta + step
        value, gradient, information, weight, mean = trial
        if np.abs(beta).max() > _MAX_COEF:
            return failed()
        if np.abs(step).max() < 1e-9:
            break
    else:
        return failed()
    try:
        covariance = np.linalg.inv(information)
    except np.linalg.LinAlgError:
        return failed()
    total = sets.at_risk(weight)
    hazard, mean_hazard = sets.until(1.0 / total), sets.until(mean / total[:, None])
    residual = np.where(sets.event[:, None], x - mean, 0.0)
    residual -= weight[:, None] * (x * hazard[:, None] - mean_hazard)
    influence = sets.back(residual @ covariance) / scale
    return CoxFit(beta / scale, covariance / np.outer(scale, scale), influence, True)


def baseline_hazard(linear: Floats, time: Floats, event: Floats, at: Floats) -> Floats:
    """Return Breslow's cumulative baseline hazard at some times.

    Parameters
    ----------
    linear : ndarray of float64, shape (N,)
        Linear predictor of the people that the model was fitted on.
    time, event : ndarray of float64, shape (N,)
    at : ndarray of float64, any shape

    Returns
    -------
    ndarray of float64, like `at`
    """
    sets = _RiskSets(time, event)
    total = sets.at_risk(np.exp(linear[sets.order]))
    steps = (1.0 / total)[sets.event][::-1]
    times = time[sets.order][sets.event][::-1]
    summed = np.concatenate([[0.0], np.cumsum(steps)])
    return np.asarray(summed[np.searchsorted(times, at, side="right")])


def _kaplan_meier(time: Floats, event: Floats, horizon: float) -> tuple[Floats, Floats, Floats]:
    """Return distinct event times up to the horizon, events and people at risk there."""
    times, index = np.unique(time[event == 1.0], return_inverse=True)
    died = np.bincount(index, minlength=len(times)).astype(np.float64)
    ordered = np.sort(time)
    at_risk = len(time) - np.searchsorted(ordered, times, side="left").astype(np.float64)
    early = times <= horizon
    return times[early], died[early], at_risk[early]


def risk_and_variance(time: Floats, event: Floats, horizon: float) -> tuple[float, float]:
    """Return 1 - Kaplan-Meier at a time, and Greenwood's variance of it.

    Both are NaN where nobody is followed so long; the variance where everybody has had the
    event.
    """
    if len(time) == 0 or time.max() < horizon:
        return np.nan, np.nan
    _, died, at_risk = _kaplan_meier(time, event, horizon)
    survival = float(np.prod(1.0 - died / at_risk))
    if survival == 0.0:
        return 1.0, np.nan
    return 1.0 - survival, survival**2 * float((died / (at_risk * (at_risk - died))).sum())


def risk_by(time: Floats, event: Floats, horizon: float, confidence: float = 0.95) -> Estimate:
    """Return the risk of the event by a time, 1 - Kaplan-Meier, with its log-log interval.

    Greenwood's variance on the scale of log(-log S), as R's ``survfit(conf.type = "log-log")``.

    Parameters
    ----------
    time, event : ndarray of float64, shape (N,)
    horizon : float
        In the unit of `time`.
    confidence : float
    """
    risk, variance = risk_and_variance(time, event, horizon)
    if not (0.0 < risk < 1.0 and variance > 0.0):
        return Estimate(risk, np.nan, np.nan)
    survival = 1.0 - risk
    half = normal_quantile(confidence) * np.sqrt(variance) / (survival * abs(np.log(survival)))
    low, high = survival ** np.exp(half), survival ** np.exp(-half)
    return Estimate(risk, 1.0 - float(high), 1.0 - float(low))


def pseudo_risks(time: Floats, event: Floats, horizon: float) -> Floats:
    """Return each person's pseudo-value of the risk by a time.

    Their mean is 1 - Kaplan-Meier, and the mean of one is the person's risk given the
    covariates if censoring is independent of these (Andersen & Pohar Perme 2010, Stat Methods
    Med Res 19:71); here by the infinitesimal jackknife, R + S(t) (d_i [T_i <= t] / y(T_i) -
    integral to min(T_i, t) of dN / y^2), y the share at risk.

    Parameters
    ----------
    time, event : ndarray of float64, shape (N,)
    horizon : float

    Returns
    -------
    ndarray of float64, shape (N,)
        May lie outside 0 to 1.
    """
    n = len(time)
    times, died, at_risk = _kaplan_meier(time, event, horizon)
    survival = float(np.prod(1.0 - died / at_risk))
    if len(times) == 0:
        return np.zeros(n)
    # Product-limit form of both parts, so that the mean is 1 - Kaplan-Meier to the last bit.
    jump = n / np.where(at_risk > died, at_risk - died, np.inf)
    summed = np.concatenate([[0.0], np.cumsum(died / at_risk * jump)])
    place = np.searchsorted(times, time, side="right")
    out = -summed[place]
    hit = (event == 1.0) & (time <= horizon)
    out[hit] += jump[place[hit] - 1]
    return np.asarray(1.0 - survival + survival * out)
