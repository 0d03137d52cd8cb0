"""Logistic and linear regression, small and quick enough to be fitted thousands of times.

The estimates are those of statsmodels' GLM and OLS (the tests say so); written out here because
an evaluation fits hundreds of models of a few columns, where set-up costs more than the fit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_expit

__all__ = ["RegressionFit", "design_matrix", "fit_linear", "fit_logistic"]

Floats = NDArray[np.float64]

# Columns whose part outside the span of earlier ones is below this share of their length are
# taken for linear combinations of them (rounding leaves about 1e-15).
_COLLINEAR = 1e-8
_MAX_ITERATIONS = 50


@dataclass(frozen=True, eq=False)
class RegressionFit:
    """A fitted regression.

    Attributes
    ----------
    coef : ndarray of float64, shape (P,)
        Coefficients.
    covariance : ndarray of float64, shape (P, P)
        Of the coefficients: inverse Fisher information (logistic), or s2 (X'X)^-1 (linear).
    fitted : ndarray of float64, shape (N,)
        Fitted probabilities (logistic) or means (linear).
    log_likelihood : ndarray of float64, shape (N,)
        Of each observation (linear: Gaussian, with the maximum likelihood variance).
    converged : bool
        False where the estimate runs away: cases and controls are separated.
    """

    coef: Floats
    covariance: Floats
    fitted: Floats
    log_likelihood: Floats
    converged: bool

    @property
    def se(self) -> Floats:
        """Standard errors of the coefficients, shape (P,)."""
        return np.sqrt(np.clip(np.diag(self.covariance), 0.0, None))


def design_matrix(*columns: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Put an intercept and columns side by side and say which columns add something.

    Parameters
    ----------
    *columns : ndarray of float64, shape (N,) or (N, C)
        Earlier ones have precedence: a column that is a linear combination of those before it
        (a covariate that is constant in this group) is the one to go.

    Returns
    -------
    design : ndarray of float64, shape (N, 1 + C)
        All columns, the intercept first.
    independent : ndarray of bool, shape (1 + C,)
        Which ones are not linear combinations of earlier ones.
    """
    n = len(columns[0])
    parts = [np.ones((n, 1)), *(np.reshape(c, (n, -1)) for c in columns)]
    design = np.concatenate(parts, axis=1).astype(np.float64)
    length = np.sqrt((design**2).sum(0))
    independent = length > 0.0
    # Gram-Schmidt, twice for accuracy ("twice is enough"); few columns, so a plain loop.
    basis = np.empty((n, 0))
    for j in np.flatnonzero(independent):
        rest = design[:, j] / length[j]
        for _ in range(2):
            rest = rest - basis @ (basis.T @ rest)
        left = np.sqrt(rest @ rest)
        if left < _COLLINEAR:
            independent[j] = False
        else:
            basis = np.column_stack([basis, rest / left])
    return design, independent


def fit_logistic(design: Floats, outcome: Floats, *, offset: Floats | None = None) -> RegressionFit:
    """Fit a logistic regression by Newton's method with step halving (maximum likelihood).

    Parameters
    ----------
    design : ndarray of float64, shape (N, P)
        Independent columns, the intercept among them.
    outcome : ndarray of float64, shape (N,)
        0 or 1.
    offset : ndarray of float64, shape (N,), optional
        Added to the linear predictor with coefficient 1.

    Returns
    -------
    RegressionFit
        `converged` is False if the likelihood has no maximum (separation).
    """
    base = np.zeros(len(outcome)) if offset is None else offset
    sign = 2.0 * outcome - 1.0
    # Work on columns of unit variance (about), so that the Newton system is well conditioned.
    scale = np.sqrt((design**2).mean(0))
    x = design / scale
    coef = np.zeros(x.shape[1])
    total = log_expit(sign * base).sum()
    converged = False
    information = np.eye(len(coef))
    for _ in range(_MAX_ITERATIONS):
        probability = expit(base + x @ coef)
        information = (x * (probability * (1.0 - probability))[:, None]).T @ x
        gradient = x.T @ (outcome - probability)
        try:
            step = np.linalg.solve(information, gradient)
        except np.linalg.LinAlgError:
            break
        # gradient'step / 2 is the likelihood still to be gained (Newton decrement).
        gain = 0.5 * gradient @ step
        for _ in range(30):
            trial = log_expit(sign * (base + x @ (coef + step))).sum()
            if trial >= total - 1e-12 * abs(total):
                break
            step = 0.5 * step
        coef, total = coef + step, trial
        if gain < 1e-10:
            converged = True
            break
    linear = base + x @ coef
    # Complete separation: the likelihood's supremum, 1, is approached and never reached; it goes
    # with everybody's outcome known for sure, or a log odds of 30 per SD of a column.
    separated = total > -1e-6 * len(outcome) or np.abs(coef[1:]).max(initial=0.0) > 30.0
    converged = converged and not separated
    try:
        covariance = np.linalg.inv(information)
    except np.linalg.LinAlgError:
        covariance, converged = np.full_like(information, np.nan), False
    return RegressionFit(
        coef=coef / scale,
        covariance=covariance / np.outer(scale, scale),
        fitted=expit(linear),
        log_likelihood=log_expit(sign * linear),
        converged=converged,
    )


def fit_linear(design: Floats, outcome: Floats) -> RegressionFit:
    """Fit a linear regression by least squares.

    Parameters
    ----------
    design : ndarray of float64, shape (N, P)
        Independent columns, the intercept among them.
    outcome : ndarray of float64, shape (N,)
        The outcome.

    Returns
    -------
    RegressionFit
        With the unbiased residual variance (N - P degrees of freedom) in `covariance`.
    """
    scale = np.sqrt((design**2).mean(0))
    q, r = np.linalg.qr(design / scale)
    coef = np.linalg.solve(r, q.T @ outcome)
    fitted = q @ (q.T @ outcome)
    residual = outcome - fitted
    n, p = design.shape
    variance = residual @ residual / (n - p) if n > p else np.nan
    mean_square = max(float(residual @ residual) / n, np.finfo(np.float64).tiny)
    inverse = np.linalg.inv(r)
    covariance = variance * (inverse @ inverse.T) / np.outer(scale, scale)
    return RegressionFit(
        coef=coef / scale,
        covariance=covariance,
        fitted=fitted,
        log_likelihood=-0.5 * (np.log(2.0 * np.pi * mean_square) + residual**2 / mean_square),
        converged=n > p,
    )
