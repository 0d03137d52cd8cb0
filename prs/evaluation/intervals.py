"""Confidence intervals with a closed form: shares, ratios of risks and odds, correlations."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri, stdtr, stdtrit

__all__ = [
    "Estimate",
    "fisher_interval",
    "normal_interval",
    "normal_quantile",
    "observed_expected",
    "odds_ratio",
    "risk_ratio",
    "student_interval",
    "student_p",
    "two_sided_p",
    "weighted_risk",
    "wilson_interval",
]


class Estimate(NamedTuple):
    """A figure and its interval."""

    value: float
    lower: float
    upper: float

    def named(self, name: str) -> dict[str, float]:
        """Return the cells `name`, `name_lower` and `name_upper` of a table's row."""
        return {name: self.value, f"{name}_lower": self.lower, f"{name}_upper": self.upper}


UNKNOWN = Estimate(np.nan, np.nan, np.nan)


def normal_quantile(confidence: float) -> float:
    """Return z such that a standard normal lies in (-z, z) with probability `confidence`."""
    return float(ndtri(0.5 + confidence / 2.0))


def two_sided_p(z: float) -> float:
    """Return the two-sided p of a standard normal statistic."""
    return float(2.0 * ndtr(-abs(z)))


def normal_interval(value: float, se: float, confidence: float = 0.95) -> Estimate:
    """Return value -+ z se (Wald)."""
    z = normal_quantile(confidence)
    return Estimate(float(value), float(value - z * se), float(value + z * se))


def student_interval(value: float, se: float, df: int, confidence: float = 0.95) -> Estimate:
    """Return value -+ t se with Student's t of `df` degrees of freedom."""
    t = float(stdtrit(df, 0.5 + confidence / 2.0))
    return Estimate(float(value), float(value - t * se), float(value + t * se))


def student_p(t: float, df: int) -> float:
    """Return the two-sided p of a Student t statistic."""
    return float(2.0 * stdtr(df, -abs(t)))


def wilson_interval(events: float, n: float, confidence: float = 0.95) -> Estimate:
    """Return the share events / n with Wilson's score interval (1927).

    Good at small counts: of 0 events the lower limit is exactly 0 and the upper one is not.
    """
    if n <= 0:
        return UNKNOWN
    z2 = normal_quantile(confidence) ** 2
    share = events / n
    centre = (share + z2 / (2.0 * n)) / (1.0 + z2 / n)
    half = np.sqrt(z2 * (share * (1.0 - share) / n + z2 / (4.0 * n * n))) / (1.0 + z2 / n)
    lower = 0.0 if events == 0 else max(0.0, centre - half)
    upper = 1.0 if events == n else min(1.0, centre + half)
    return Estimate(float(share), float(lower), float(upper))


def fisher_interval(correlation: float, n: int, confidence: float = 0.95) -> Estimate:
    """Return a correlation with Fisher's interval: arctanh(r) has standard error 1/sqrt(n - 3)."""
    if n <= 3 or abs(correlation) >= 1.0:
        return Estimate(float(correlation), np.nan, np.nan)
    half = normal_quantile(confidence) / np.sqrt(n - 3.0)
    centre = np.arctanh(correlation)
    return Estimate(
        float(correlation), float(np.tanh(centre - half)), float(np.tanh(centre + half))
    )


def observed_expected(events: float, expected: float, n: int, confidence: float = 0.95) -> Estimate:
    """Return O/E with an interval on the log scale, the predictions taken as given.

    The standard error of log(O/E) is sqrt((1 - O/n) / O) (Debray et al. 2017, BMJ 356:i6460).

    Parameters
    ----------
    events : float
        Observed events O.
    expected : float
        Sum of predicted risks E.
    n : int
        People.
    confidence : float
        Level.
    """
    if events <= 0 or expected <= 0:
        return Estimate(float(events / expected) if expected > 0 else np.nan, np.nan, np.nan)
    half = normal_quantile(confidence) * np.sqrt((1.0 - events / n) / events)
    ratio = events / expected
    return Estimate(float(ratio), float(ratio * np.exp(-half)), float(ratio * np.exp(half)))


def weighted_risk(risk: float, case_weight: float, control_weight: float) -> float:
    """Return the population's risk where a share `risk` of the sampled people are cases.

    w1 r / (w1 r + w0 (1 - r)), with w1 = K/P and w0 = (1 - K)/(1 - P) for a sample with a share
    P of cases from a population with prevalence K. Monotone, so it maps interval limits too.
    """
    top = case_weight * risk
    return float(top / (top + control_weight * (1.0 - risk)))


def risk_ratio(
    events: float,
    n: float,
    events_reference: float,
    n_reference: float,
    *,
    case_weight: float = 1.0,
    control_weight: float = 1.0,
    confidence: float = 0.95,
) -> Estimate:
    """Return the risk ratio of two independent arms with Katz's log interval.

    With weights, risks are those of `weighted_risk`, r_w. The logit of r_w is that of r plus a
    constant and d log(r_w) / d logit(r_w) = 1 - r_w, so that

        var(log RR) = sum over arms of (1 - r_w)^2 (1/a + 1/(n - a)),

    which for weights of 1 is Katz's 1/a - 1/n of each arm (Katz et al. 1978).

    Returns
    -------
    Estimate
        With limits NaN where an arm has no events (or, the estimate too, nobody); an arm in
        which everybody is a case adds nothing to the variance.
    """
    if n <= 0 or n_reference <= 0:
        return UNKNOWN
    variance, risks = 0.0, []
    for a, m in ((events, n), (events_reference, n_reference)):
        risk = weighted_risk(a / m, case_weight, control_weight)
        risks.append(risk)
        if 0 < a < m:
            variance += (1.0 - risk) ** 2 * (1.0 / a + 1.0 / (m - a))
        elif a == 0:
            variance = np.nan
    if risks[1] == 0.0:
        return Estimate(np.inf if risks[0] > 0.0 else np.nan, np.nan, np.nan)
    ratio = risks[0] / risks[1]
    half = normal_quantile(confidence) * np.sqrt(variance)
    return Estimate(float(ratio), float(ratio * np.exp(-half)), float(ratio * np.exp(half)))


def odds_ratio(
    events: float,
    n: float,
    events_reference: float,
    n_reference: float,
    *,
    confidence: float = 0.95,
) -> Estimate:
    """Return the odds ratio of two independent arms with Woolf's log interval (1955).

    Sampling by case status does not change it. Limits are NaN where one of the four cells is
    empty.
    """
    a, b = events, n - events
    c, d = events_reference, n_reference - events_reference
    if n <= 0 or n_reference <= 0 or (a == 0 and c == 0) or (b == 0 and d == 0):
        return UNKNOWN
    if min(a, b, c, d) == 0:
        return Estimate(np.inf if b * c == 0 else 0.0, np.nan, np.nan)
    ratio = a * d / (b * c)
    half = normal_quantile(confidence) * np.sqrt(1.0 / a + 1.0 / b + 1.0 / c + 1.0 / d)
    return Estimate(float(ratio), float(ratio * np.exp(-half)), float(ratio * np.exp(half)))
