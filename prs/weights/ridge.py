"""Ridge regression with free covariates; the penalty is found by cross-validation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from prs.errors import AncestryDataError

__all__ = ["fit_ridge"]

Floats = NDArray[np.float64]

#: Penalties that are tried, over the number of people: a standardised column of its own is
#: shrunk by 1 / (1 + penalty).
_PENALTIES = np.logspace(2, -4, 19)
_MAX_STEPS = 50


def fit_ridge(
    scores: Floats,
    nuisance: Floats,
    outcome: Floats,
    *,
    binary: bool,
    n_folds: int = 5,
    seed: int = 1,
) -> tuple[Floats, float]:
    """Fit an outcome on many scores, which may be collinear, beside covariates.

    The sum of squares (twice the negative log likelihood, if binary) plus n x penalty x the sum
    of the scores' squared coefficients is least. The covariates' coefficients are free. The
    penalty is the one with the least deviance in folds that were left out (Hoerl & Kennard 1970;
    cross-validation as in glmnet).

    Parameters
    ----------
    scores : ndarray of float64, shape (N, S)
        Standardised.
    nuisance : ndarray of float64, shape (N, C)
        Covariates, with the intercept; of full rank or not.
    outcome : ndarray of float64, shape (N,)
        1 case, 0 control, if binary.
    binary : bool
        Whether the model is logistic.
    n_folds, seed : int
        Folds of the cross-validation (even in cases), and the seed of the deal.

    Returns
    -------
    coefficients : ndarray of float64, shape (S,)
    penalty : float

    Raises
    ------
    AncestryDataError
        If there are too few people (or cases, or controls) for the folds.
    """
    n = len(outcome)
    classes = outcome if binary else np.zeros(n)
    smallest = int(np.min(np.unique(classes, return_counts=True)[1]))
    if smallest < 2 * n_folds:
        what = "cases or controls" if binary else "people"
        raise AncestryDataError(
            f"{smallest:,} {what} are too few for {n_folds} folds",
            remedy="use more tuning people, or combine without a penalty",
        )
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    folds = np.empty(n, dtype=np.int64)
    for value in np.unique(classes):
        members = rng.permutation(np.flatnonzero(classes == value))
        folds[members] = np.arange(len(members)) % n_folds
    # the coefficients lie in the span of the rows: with many scores a turn makes them few
    left, size, right = np.linalg.svd(scores, full_matrices=False)
    kept = size > 1e-10 * np.max(size, initial=0.0)
    turn = right[kept]
    scores = left[:, kept] * size[kept]
    path = _logistic_path if binary else _linear_path
    deviance = np.zeros(len(_PENALTIES))
    for fold in range(n_folds):
        out = folds == fold
        linear = path(scores[~out], nuisance[~out], outcome[~out], scores[out], nuisance[out])[1]
        y = outcome[out]
        if binary:
            deviance += 2 * np.sum(np.logaddexp(0, linear) - y * linear, axis=1)
        else:
            deviance += np.sum((y - linear) ** 2, axis=1)
    best = int(np.argmin(deviance))
    coefficients, _ = path(scores, nuisance, outcome, scores[:0], nuisance[:0])
    return coefficients[best] @ turn, float(_PENALTIES[best])


def _linear_path(
    scores: Floats, nuisance: Floats, outcome: Floats, new_scores: Floats, new_nuisance: Floats
) -> tuple[Floats, Floats]:
    """Return coefficients (penalty x score) and predictions for others (penalty x person)."""
    both = np.column_stack([scores, outcome])
    fitted = np.linalg.lstsq(nuisance, both, rcond=None)[0]
    rest = both - nuisance @ fitted
    X, y = rest[:, :-1], rest[:, -1]
    size, vectors = np.linalg.eigh(X.T @ X)
    shrunk = (vectors.T @ (X.T @ y)) / (np.maximum(size, 0) + len(y) * _PENALTIES[:, None])
    coefficients = shrunk @ vectors.T
    new = new_scores - new_nuisance @ fitted[:, :-1]
    return coefficients, (new @ coefficients.T).T + new_nuisance @ fitted[:, -1]


def _logistic_path(
    scores: Floats, nuisance: Floats, outcome: Floats, new_scores: Floats, new_nuisance: Floats
) -> tuple[Floats, Floats]:
    """As `_linear_path`; Newton's steps, each penalty starting from the one before."""
    # an orthonormal basis of the covariates: the problem is well scaled, whatever their units
    _, singular, right = np.linalg.svd(nuisance, full_matrices=False)
    kept = singular > 1e-10 * singular.max()
    turn = right[kept].T / singular[kept] * np.sqrt(len(outcome))
    design = np.column_stack([scores, nuisance @ turn])
    new = np.column_stack([new_scores, new_nuisance @ turn])
    n_scores = scores.shape[1]
    beta = np.zeros(design.shape[1])
    found, linear = np.empty((len(_PENALTIES), n_scores)), np.empty((len(_PENALTIES), len(new)))
    for i, penalty in enumerate(_PENALTIES):
        # the penalised objective is half the deviance, so half the penalty: n x penalty / 2
        weight = np.zeros(len(beta))
        weight[:n_scores] = len(outcome) * penalty / 2
        # a trace of it on the covariates keeps them finite where they separate the cases
        weight[n_scores:] = 1e-8 * len(outcome)
        loss = _loss(design, outcome, beta, weight)
        for _ in range(_MAX_STEPS):
            p = expit(design @ beta)
            gradient = design.T @ (outcome - p) - 2 * weight * beta
            information = (design * (p * (1 - p))[:, None]).T @ design
            information[np.diag_indices_from(information)] += 2 * weight
            step = np.linalg.solve(information, gradient)
            after = _loss(design, outcome, beta + step, weight)
            while after > loss + 1e-12 * abs(loss):
                step = step / 2
                after = _loss(design, outcome, beta + step, weight)
            beta, gain, loss = beta + step, loss - after, after
            if gain < 1e-11 * (1 + abs(loss)):
                break
        found[i], linear[i] = beta[:n_scores], new @ beta
    return found, linear


def _loss(design: Floats, outcome: Floats, beta: Floats, weight: Floats) -> float:
    linear = design @ beta
    return float(np.sum(np.logaddexp(0, linear) - outcome * linear) + weight @ beta**2)
