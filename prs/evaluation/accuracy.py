"""How much a score says about an outcome: AUC, R2 on every scale, effect per SD."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from prs.evaluation.floors import OK, insufficient
from prs.evaluation.intervals import (
    Estimate,
    fisher_interval,
    normal_interval,
    student_interval,
    student_p,
    two_sided_p,
)
from prs.evaluation.regression import design_matrix, fit_linear, fit_logistic

__all__ = [
    "Accuracy",
    "Delong",
    "binary_accuracy",
    "delong",
    "liability_r2",
    "quantitative_accuracy",
]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Delong:
    """AUCs of K scores on the same people, with their covariance.

    Attributes
    ----------
    auc : ndarray of float64, shape (K,)
        Area under each ROC curve (ties count one half).
    covariance : ndarray of float64, shape (K, K)
        Of the AUCs.
    placement : ndarray of float64, shape (N, K)
        Of a case: the share of controls below it; of a control: of cases above it.
    """

    auc: Floats
    covariance: Floats
    placement: Floats

    def interval(self, k: int, confidence: float = 0.95) -> Estimate:
        """Return AUC k with its Wald interval, cut at 0 and 1."""
        raw = normal_interval(self.auc[k], np.sqrt(self.covariance[k, k]), confidence)
        return Estimate(raw.value, max(raw.lower, 0.0), min(raw.upper, 1.0))

    def difference(self, k: int, j: int, confidence: float = 0.95) -> tuple[Estimate, float]:
        """Return AUC k - AUC j with its interval and two-sided p."""
        c = self.covariance
        variance = max(c[k, k] + c[j, j] - 2.0 * c[k, j], 0.0)
        value = float(self.auc[k] - self.auc[j])
        # Identical rankings leave a variance of rounding size: no test.
        if variance < 1e-20:
            return Estimate(value, np.nan, np.nan), np.nan
        se = float(np.sqrt(variance))
        return normal_interval(value, se, confidence), two_sided_p(value / se)


def _midranks(x: Floats) -> Floats:
    _, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2.0)[inverse]


def delong(scores: Floats, outcome: Floats) -> Delong:
    """Compute AUCs and their covariance in O(K N log N).

    DeLong et al. 1988 (Biometrics 44:837) with the midranks of Sun & Xu 2014 (IEEE Signal
    Process Lett 21:1389).

    Parameters
    ----------
    scores : ndarray of float64, shape (N, K)
        Higher is more likely a case.
    outcome : ndarray of float64, shape (N,)
        0 or 1, with at least 2 of each.
    """
    case = outcome == 1.0
    n1, n0 = int(case.sum()), int((~case).sum())
    placement = np.empty(scores.shape)
    for k in range(scores.shape[1]):
        x = scores[:, k]
        overall = _midranks(x)
        placement[case, k] = (overall[case] - _midranks(x[case])) / n0
        placement[~case, k] = 1.0 - (overall[~case] - _midranks(x[~case])) / n1
    cases, controls = placement[case], placement[~case]
    k = scores.shape[1]
    covariance = (
        np.cov(cases, rowvar=False).reshape(k, k) / n1
        + np.cov(controls, rowvar=False).reshape(k, k) / n0
    )
    return Delong(cases.mean(0), covariance, placement)


def liability_r2(r2_observed: Any, prevalence: float, case_share: float) -> Any:
    """Transform R2 on the observed 0/1 scale to the liability scale (Lee et al. 2012).

    Genet Epidemiol 36:214, equation 15:

        t = Phi^-1(1 - K), z = phi(t), m = z / K,
        C = K(1-K)/z^2 * K(1-K)/(P(1-P)),  theta = m (P-K)/(1-K) * (m (P-K)/(1-K) - t),
        R2_liability = C R2 / (1 + C theta R2).

    Parameters
    ----------
    r2_observed : float or ndarray
        R2 of a linear regression of the 0/1 outcome.
    prevalence : float
        K, in the population.
    case_share : float
        P, in the sample.

    Returns
    -------
    float or ndarray
        Like `r2_observed`.
    """
    k, p = prevalence, case_share
    t = -ndtri(k)
    z = np.exp(-0.5 * t * t) / np.sqrt(2.0 * np.pi)
    lift = (z / k) * (p - k) / (1.0 - k)
    theta = lift * (lift - t)
    c = (k * (1.0 - k) / z) ** 2 / (p * (1.0 - p))
    return c * r2_observed / (1.0 + c * theta * r2_observed)


@dataclass(frozen=True, eq=False)
class Accuracy:
    """Figures of one score in one group, and what their bootstrap needs.

    Attributes
    ----------
    cells : dict of str to object
        Cells of the row: figures with an analytic interval, or without one.
    status : str
        "ok" or why there are no figures.
    contributions : ndarray of float64, shape (N, C), or None
        Of each person to the means that `statistics` is a function of.
    statistics : callable or None
        Maps means, shape (..., C), to figures by name, each of shape (...).
    """

    cells: dict[str, Any]
    status: str
    contributions: Floats | None = None
    statistics: Callable[[Floats], dict[str, Any]] | None = None


def _score_residuals(
    outcome: Floats, score: Floats, covariates: Floats
) -> tuple[Floats, Floats, Floats] | None:
    """Return independent covariates and both residuals on them; None if they span the score."""
    design, independent = design_matrix(covariates, score)
    if not independent[-1]:
        return None
    null = design[:, :-1][:, independent[:-1]]
    q, _ = np.linalg.qr(null)
    return (
        null,
        outcome - q @ (q.T @ outcome),
        score - q @ (q.T @ score),
    )


def binary_accuracy(
    outcome: Floats,
    score: Floats,
    covariates: Floats,
    *,
    predicted_covariates: Floats | None,
    predicted_full: Floats | None,
    sd: float,
    prevalence: float | None,
    confidence: float = 0.95,
) -> Accuracy:
    """Judge a score for a binary outcome in one group.

    Parameters
    ----------
    outcome, score : ndarray of float64, shape (N,)
        0/1 with both present, and the score.
    covariates : ndarray of float64, shape (N, C)
        Adjusted for in every R2 and the odds ratio (pooled: with group indicators).
    predicted_covariates, predicted_full : ndarray of float64, shape (N,)
        Risks from models without and with the score, fitted on other people; None where there
        are no covariates, or no model.
    sd : float
        One "SD" of the score.
    prevalence : float or None
        Of the population, for R2 on the liability scale.
    confidence : float
        Level of the intervals.

    Returns
    -------
    Accuracy
        R2s come with their bootstrap only: incremental ones, full - covariates, each relative
        to the outcome's whole (null: intercept) variation.
    """
    residuals = _score_residuals(outcome, score, covariates)
    if residuals is None:
        return Accuracy({}, insufficient("the score does not vary (given the covariates)"))
    null_design, outcome_residual, score_residual = residuals
    null = fit_logistic(null_design, outcome)
    full = fit_logistic(np.column_stack([null_design, score / sd]), outcome)
    if not (null.converged and full.converged):
        return Accuracy(
            {}, insufficient("cases and controls are separated by a covariate or score")
        )

    share = float(outcome.mean())
    ranked = [score]
    if predicted_full is not None:
        ranked.append(predicted_full)
        if predicted_covariates is not None:
            ranked.append(predicted_covariates)
    roc = delong(np.column_stack(ranked), outcome)
    log_odds = normal_interval(full.coef[-1], full.se[-1], confidence)
    cells: dict[str, Any] = {
        "sample_prevalence": share,
        **roc.interval(0, confidence).named("auc"),
        **Estimate(*(float(np.exp(v)) for v in log_odds)).named("odds_ratio"),
        "odds_ratio_p": two_sided_p(full.coef[-1] / full.se[-1]),
    }
    if len(ranked) > 1:
        cells |= roc.interval(1, confidence).named("auc_full")
    if len(ranked) > 2:
        gain, gain_p = roc.difference(1, 2, confidence)
        cells |= roc.interval(2, confidence).named("auc_covariates") | gain.named("auc_gain")
        cells["auc_gain_p"] = gain_p

    # Mean log-likelihood of the intercept-only model; fixed when resampling by case status.
    ll_0 = share * np.log(share) + (1.0 - share) * np.log1p(-share)
    # The mean over people of this is the AUC's first-order (Hajek) expansion; at the sample, AUC.
    weight = np.where(outcome == 1.0, 1.0 / share, 1.0 / (1.0 - share))
    projected = weight * (roc.placement[:, 0] - roc.auc[0] / 2.0)
    contributions = np.column_stack(
        [
            projected,
            null.log_likelihood,
            full.log_likelihood,
            outcome_residual * score_residual,
            score_residual**2,
        ]
    )

    def statistics(means: Floats) -> dict[str, Any]:
        auc, ll_null, ll_full, cross, square = np.moveaxis(means, -1, 0)
        r2_observed = cross**2 / square / (share * (1.0 - share))
        figures = {
            "auc": auc,
            "r2_nagelkerke": (np.exp(2.0 * (ll_0 - ll_null)) - np.exp(2.0 * (ll_0 - ll_full)))
            / (1.0 - np.exp(2.0 * ll_0)),
            "r2_mcfadden": (ll_null - ll_full) / ll_0,
            "r2_observed": r2_observed,
        }
        if prevalence is not None:
            figures["r2_liability"] = liability_r2(r2_observed, prevalence, share)
        return figures

    return Accuracy(cells, OK, contributions, statistics)


def quantitative_accuracy(
    outcome: Floats,
    score: Floats,
    covariates: Floats,
    *,
    predicted_covariates: Floats,
    predicted_full: Floats,
    sd: float,
    confidence: float = 0.95,
) -> Accuracy:
    """Judge a score for a quantitative outcome in one group.

    Parameters
    ----------
    outcome, score, covariates
        As for `binary_accuracy`.
    predicted_covariates, predicted_full : ndarray of float64, shape (N,)
        Means predicted by models without and with the score, fitted on other people.
    sd : float
        One "SD" of the score.
    confidence : float
        Level of the intervals.

    Returns
    -------
    Accuracy
        `r2_predictive` = 1 - sum (y - predicted)^2 / sum (y - mean y)^2, in these people.
    """
    residuals = _score_residuals(outcome, score, covariates)
    if residuals is None:
        return Accuracy({}, insufficient("the score does not vary (given the covariates)"))
    null_design, outcome_residual, score_residual = residuals
    full_design = np.column_stack([null_design, score / sd])
    n, p = full_design.shape
    if n <= p + 1:
        return Accuracy({}, insufficient(f"{n:,} people for {p:,} coefficients"))
    full = fit_linear(full_design, outcome)
    total = float(((outcome - outcome.mean()) ** 2).sum())
    if total <= 0.0:
        return Accuracy({}, insufficient("the outcome does not vary"))
    correlation = float(np.corrcoef(score, outcome)[0, 1])
    t = full.coef[-1] / full.se[-1]
    cells: dict[str, Any] = {
        "r2_covariates": 1.0 - float(outcome_residual @ outcome_residual) / total,
        "r2_full": 1.0 - float(((outcome - full.fitted) ** 2).sum()) / total,
        **fisher_interval(correlation, n, confidence).named("correlation"),
        **student_interval(full.coef[-1], full.se[-1], n - p, confidence).named("slope"),
        "slope_p": student_p(float(t), n - p),
        "outcome_sd": float(outcome.std(ddof=1)),
    }
    # Centred first: variances from raw moments would cancel.
    y, s = outcome - outcome.mean(), (score - score.mean()) / score.std()
    contributions = np.column_stack(
        [
            y,
            s,
            y * y,
            s * s,
            y * s,
            outcome_residual * score_residual,
            score_residual**2,
            (outcome - predicted_full) ** 2,
            (outcome - predicted_covariates) ** 2,
        ]
    )

    def statistics(means: Floats) -> dict[str, Any]:
        my, ms, myy, mss, mys, cross, square, error, error_null = np.moveaxis(means, -1, 0)
        variance = myy - my**2
        return {
            "r2": (mys - my * ms) ** 2 / (variance * (mss - ms**2)),
            "r2_incremental": cross**2 / square / variance,
            "r2_predictive": 1.0 - error / variance,
            "r2_predictive_gain": (error_null - error) / variance,
        }

    return Accuracy(cells, OK, contributions, statistics)
