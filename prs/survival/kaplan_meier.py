"""Kaplan-Meier risks and martingale residuals, with late entry too; pseudo-values of risks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["martingale_residuals", "pseudo_risks", "risk_and_variance"]

Floats = NDArray[np.float64]


def _kaplan_meier(
    time: Floats, event: Floats, horizon: float, entry: Floats | None, start: float
) -> tuple[Floats, Floats, Floats]:
    """Return distinct event times up to the horizon, events and people at risk there."""
    times, index = np.unique(time[event == 1.0], return_inverse=True)
    died = np.bincount(index, minlength=len(times)).astype(np.float64)
    ordered = np.sort(time)
    at_risk = len(time) - np.searchsorted(ordered, times, side="left").astype(np.float64)
    if entry is not None:
        at_risk -= len(entry) - np.searchsorted(np.sort(entry), times, side="left")
    early = (times <= horizon) & (times > start)
    return times[early], died[early], at_risk[early]


def risk_and_variance(
    time: Floats,
    event: Floats,
    horizon: float,
    *,
    entry: Floats | None = None,
    start: float = -np.inf,
) -> tuple[float, float]:
    """Return 1 - Kaplan-Meier at a time, and Greenwood's variance of it.

    Both are NaN where nobody is followed so long; the variance where everybody has had the
    event.

    Parameters
    ----------
    time, event : ndarray of float64, shape (N,)
    horizon : float
    entry : ndarray of float64, shape (N,), optional
        When each person came under observation: at risk after it. Few are at risk at the
        earliest times then, and one event among them says much: give a later `start`.
    start : float
        The risk is that of those without the event at this time.
    """
    if len(time) == 0 or time.max() < horizon:
        return np.nan, np.nan
    _, died, at_risk = _kaplan_meier(time, event, horizon, entry, start)
    survival = float(np.prod(1.0 - died / at_risk))
    if survival == 0.0:
        return 1.0, np.nan
    return 1.0 - survival, survival**2 * float((died / (at_risk * (at_risk - died))).sum())


def pseudo_risks(time: Floats, event: Floats, horizon: float) -> Floats:
    """Return each person's pseudo-value of the risk by a time.

    Their mean is 1 - Kaplan-Meier, and the mean of one is the person's risk given the
    covariates if censoring is independent of these (Andersen & Pohar Perme 2010, Stat Methods
    Med Res 19:71); here by the infinitesimal jackknife, R + S(t) (d_i [T_i <= t] / y(T_i) -
    integral to min(T_i, t) of dN / y^2), y the share at risk.

    Parameters
    ----------
    time, event : ndarray of float64, shape (N,)
        Of people who are all at risk from time 0 on.
    horizon : float

    Returns
    -------
    ndarray of float64, shape (N,)
        May lie outside 0 to 1.
    """
    n = len(time)
    times, died, at_risk = _kaplan_meier(time, event, horizon, None, -np.inf)
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


def martingale_residuals(time: Floats, event: Floats, entry: Floats | None = None) -> Floats:
    """Return events less the cumulative hazard while each one was at risk (Nelson-Aalen).

    What a score explains of them, a linear model finds: the score test of a Cox model is that of
    a regression of these (Therneau et al. 1990, Biometrika 77:147).

    Parameters
    ----------
    time, event : ndarray of float64, shape (N,)
        Follow-up; 1 event, 0 censored.
    entry : ndarray of float64, shape (N,), optional
        When each person came under observation.
    """
    times, died, at_risk = _kaplan_meier(time, event, np.inf, entry, -np.inf)
    hazard = np.concatenate([[0.0], np.cumsum(died / at_risk)])
    gathered = hazard[np.searchsorted(times, time, side="right")]
    if entry is not None:
        gathered = gathered - hazard[np.searchsorted(times, entry, side="right")]
    return np.asarray(event - gathered)
