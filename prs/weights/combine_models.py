"""The linear models that combinations of scores are: least squares, logistic, bounded, ridge."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prs.errors import AncestryDataError
from prs.inputs.cohort import Cohort
from prs.weights.ridge import fit_ridge

__all__ = ["fit_linear_model", "require_variation"]

_MAX_STEPS = 100


def require_variation(tuning: Cohort) -> None:
    """Raise AncestryDataError where the outcome of the tuning people is one and the same."""
    if tuning.n < 2 or np.ptp(tuning.outcome) == 0:
        raise AncestryDataError(
            f"{tuning.outcome_name!r} has one value among the {tuning.n:,} tuning people",
            remedy="split the cohort so that the tuning people are like the others",
        )


def fit_linear_model(
    standardised: NDArray[np.float64], people: Cohort, nonnegative: bool, penalty: str, seed: int
) -> tuple[NDArray[np.float64], float]:
    """Return the coefficients of the scores, covariates and an intercept beside them.

    Parameters
    ----------
    standardised : ndarray of float64, shape (N, S)
        Scores.
    people : Cohort
        The N people.
    nonnegative : bool
        Whether coefficients of scores are kept at or above 0.
    penalty : {"none", "ridge"}
    seed : int
        Of the folds that find the penalty.

    Returns
    -------
    coefficients : ndarray of float64, shape (S,)
    size : float
        Of the penalty; 0 without one.

    Raises
    ------
    AncestryDataError
        If the outcome does not vary, there are too few people, or cases and controls are
        separated completely.
    """
    require_variation(people)
    nuisance = np.column_stack([np.ones(people.n), people.covariates])
    scale = np.abs(nuisance).max(axis=0)  # birth years beside PCs: keep the problem well scaled
    nuisance = nuisance / np.where(scale > 0, scale, 1)
    is_binary = people.outcome_kind == "binary"
    if penalty == "ridge":
        return fit_ridge(standardised, nuisance, people.linear_target, binary=is_binary, seed=seed)
    design = np.column_stack([standardised, nuisance])
    n_scores = standardised.shape[1]
    if people.n <= np.linalg.matrix_rank(design):
        raise AncestryDataError(
            f"{people.n:,} tuning people are too few for {design.shape[1]} terms",
            remedy="combine fewer scores, or use fewer covariates, or penalty='ridge'",
        )
    if not nonnegative:
        fit = _logistic if is_binary else _linear
        return fit(design, people.linear_target)[:n_scores], 0.0
    return _bounded(design, people.linear_target, n_scores, is_binary), 0.0


def _linear(design: NDArray[np.float64], outcome: NDArray[np.float64]) -> NDArray[np.float64]:
    solution = np.linalg.lstsq(design, outcome, rcond=None)[0]
    return np.asarray(solution, dtype=np.float64)


def _logistic(design: NDArray[np.float64], outcome: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fit by iteratively reweighted least squares, halving steps that do not improve."""
    coefficients = np.zeros(design.shape[1])
    loss = _logistic_loss(design @ coefficients, outcome)
    for _ in range(_MAX_STEPS):
        linear = design @ coefficients
        fitted = _expit(linear)
        weight = np.sqrt(np.maximum(fitted * (1 - fitted), 1e-12))
        step = np.linalg.lstsq(design * weight[:, None], (outcome - fitted) / weight, rcond=None)[0]
        new = _logistic_loss(design @ (coefficients + step), outcome)
        while not new <= loss + 1e-12 * abs(loss) and np.abs(step).max() > 1e-12:
            step = step / 2
            new = _logistic_loss(design @ (coefficients + step), outcome)
        coefficients = np.asarray(coefficients + step, dtype=np.float64)
        if np.abs(step).max() < 1e-8 * (1 + np.abs(coefficients).max()):
            return coefficients
        loss = new
        if loss < 1e-6 * len(outcome):
            break
    raise AncestryDataError(
        "the logistic model has no finite solution: scores and covariates separate the "
        "cases from the controls completely",
        remedy="use fewer covariates, or more tuning people",
    )


def _expit(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.exp(-np.logaddexp(0, -x))


def _logistic_loss(linear: NDArray[np.float64], outcome: NDArray[np.float64]) -> float:
    return float(np.sum(np.logaddexp(0, linear) - outcome * linear))


def _bounded(
    design: NDArray[np.float64], outcome: NDArray[np.float64], n_scores: int, binary: bool
) -> NDArray[np.float64]:
    """Fit with the first `n_scores` coefficients at or above 0."""
    from scipy.optimize import minimize, nnls

    scores, nuisance = design[:, :n_scores], design[:, n_scores:]
    if not binary:
        # the free coefficients are regressed out; what is left is non-negative least squares
        left = np.column_stack([scores, outcome])
        left = left - nuisance @ np.linalg.lstsq(nuisance, left, rcond=None)[0]
        return np.asarray(nnls(left[:, :n_scores], left[:, n_scores])[0])

    def loss(x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        linear = design @ x
        return _logistic_loss(linear, outcome), design.T @ (_expit(linear) - outcome)

    found = minimize(
        loss,
        np.zeros(design.shape[1]),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0, None)] * n_scores + [(None, None)] * nuisance.shape[1],
        options={"maxiter": 1000, "ftol": 1e-14, "gtol": 1e-9},
    )
    return np.asarray(found.x[:n_scores])
