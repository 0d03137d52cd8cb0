"""The smooth calibration curve: local quadratic regression, as R's loess does by default."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prs.evaluation.intervals import normal_quantile

__all__ = ["CalibrationCurve", "bootstrap_ici", "local_quadratic", "smooth_curve"]

Floats = NDArray[np.float64]

# Bins of the predictions in which people are resampled for the interval of the ICI.
_BINS = 100

# Cells (grid points x people) worked on at once: 16 MB a matrix.
_CHUNK_CELLS = 2_000_000


def local_quadratic(
    x: Floats,
    y: Floats,
    at: Floats,
    *,
    span: float = 0.75,
    variance: Floats | None = None,
) -> tuple[Floats, Floats]:
    """Fit a quadratic around each of some points, by tricube-weighted least squares.

    Cleveland & Devlin 1988 (J Am Stat Assoc 83:596): the weight of observation i at x0 is
    (1 - (|x_i - x0| / h)^3)^3, h the distance of the q-th nearest observation, q = span N.
    R's ``loess(degree = 2, span = 0.75, family = "gaussian", surface = "direct")``.

    Parameters
    ----------
    x, y : ndarray of float64, shape (N,)
        Observations.
    at : ndarray of float64, shape (G,)
        Where to fit.
    span : float
        Share of the observations that a fit uses.
    variance : ndarray of float64, shape (N,), optional
        Variance of each y, for the standard errors (1 if not given).

    Returns
    -------
    fit, se : ndarray of float64, shape (G,)
        The fit is linear in y, sum l_i y_i; its standard error is sqrt(sum l_i^2 variance_i).
    """
    n = len(x)
    q = min(n, max(1, int(np.floor(n * span + 1e-5))))
    spread = np.ones(n) if variance is None else variance
    fit, se = np.empty(len(at)), np.empty(len(at))
    chunk = max(1, _CHUNK_CELLS // n)
    reach = _bandwidths(x, at, q)
    for start in range(0, len(at), chunk):
        part = slice(start, start + chunk)
        offset = x[None, :] - at[part, None]
        distance = np.abs(offset)
        bandwidth = reach[part]
        # More than q observations tied at this very point: their mean.
        tied = bandwidth == 0.0
        bandwidth[tied] = 1.0
        u = np.clip(offset / bandwidth[:, None], -1.0, 1.0)
        u[tied] = distance[tied] != 0.0
        # Products, not powers: ten times as fast.
        cube = np.abs(u)
        cube *= cube * cube
        np.subtract(1.0, cube, out=cube)
        weight = cube * cube * cube
        # Normal equations for 1, u, u^2 in moments of u; |u| <= 1 keeps them well scaled.
        moments = np.empty((len(offset), 5))
        power = weight.copy()
        for k in range(5):
            moments[:, k] = power.sum(1)
            if k < 4:
                power *= u
        normal = moments[:, np.add.outer(np.arange(3), np.arange(3))]
        # The pseudo-inverse serves windows with fewer than three different x.
        first = np.linalg.pinv(normal, rcond=1e-10, hermitian=True)[:, 0, :]
        u_squared = u * u
        smoother = weight * (first[:, :1] + first[:, 1:2] * u + first[:, 2:] * u_squared)
        fit[part] = smoother @ y
        se[part] = np.sqrt((smoother * smoother) @ spread)
    return fit, se


def _bandwidths(x: Floats, at: Floats, q: int) -> Floats:
    """Return the distance of each point of `at` to its q-th nearest x.

    Of the windows of q neighbours in sorted x, the nearest is the one whose middle is nearest.
    """
    ordered = np.sort(x)
    left, right = ordered[: len(x) - q + 1], ordered[q - 1 :]
    after = np.searchsorted(0.5 * (left + right), at)
    best = np.full(len(at), np.inf)
    for step in (-1, 0):
        i = np.clip(after + step, 0, len(left) - 1)
        best = np.minimum(best, np.maximum(np.abs(at - left[i]), np.abs(right[i] - at)))
    return best


@dataclass(frozen=True, eq=False)
class CalibrationCurve:
    """Observed against predicted, smoothed.

    Attributes
    ----------
    predicted : ndarray of float64, shape (G,)
        Increasing, from the smallest to the largest prediction.
    observed, lower, upper : ndarray of float64, shape (G,)
        The curve and its pointwise confidence band.
    error : ndarray of float64, shape (N,)
        |curve - prediction| of each person.
    """

    predicted: Floats
    observed: Floats
    lower: Floats
    upper: Floats
    error: Floats

    @property
    def indices(self) -> dict[str, float]:
        """ICI, E50, E90 and Emax: mean, median, 90th percentile and largest error.

        Austin & Steyerberg 2019 (Stat Med 38:4051).
        """
        return {
            "ici": float(self.error.mean()),
            "e50": float(np.quantile(self.error, 0.5)),
            "e90": float(np.quantile(self.error, 0.9)),
            "emax": float(self.error.max()),
        }


def smooth_curve(
    predicted: Floats,
    outcome: Floats,
    *,
    binary: bool,
    span: float = 0.75,
    n_points: int = 101,
    confidence: float = 0.95,
) -> CalibrationCurve:
    """Compute the calibration curve on a grid of quantiles of the predictions.

    Between grid points it is interpolated. For a binary outcome curve and band are cut at 0
    and 1 and the band takes var(y) = curve (1 - curve); otherwise one residual variance.

    Parameters
    ----------
    predicted, outcome : ndarray of float64, shape (N,)
        Predictions (not all equal) and what came.
    binary : bool
        Kind of outcome.
    span : float
        Of the local regression.
    n_points : int
        Of the grid; fewer where quantiles coincide.
    confidence : float
        Level of the band.
    """
    grid = np.unique(np.quantile(predicted, np.linspace(0.0, 1.0, n_points)))
    fit, _ = local_quadratic(predicted, outcome, grid, span=span)
    if binary:
        fit = np.clip(fit, 0.0, 1.0)
    at_people = np.interp(predicted, grid, fit)
    if binary:
        variance = at_people * (1.0 - at_people)
    else:
        variance = np.full(len(outcome), np.mean((outcome - at_people) ** 2))
    _, se = local_quadratic(predicted, outcome, grid, span=span, variance=variance)
    half = normal_quantile(confidence) * se
    lower, upper = fit - half, fit + half
    if binary:
        lower, upper = np.clip(lower, 0.0, 1.0), np.clip(upper, 0.0, 1.0)
    return CalibrationCurve(grid, fit, lower, upper, np.abs(at_people - predicted))


def bootstrap_ici(
    predicted: Floats,
    outcome: Floats,
    *,
    binary: bool,
    span: float = 0.75,
    n_bootstrap: int = 500,
    seed: int = 0,
) -> Floats:
    """Return bootstrap replicates of the ICI, as differences from its estimate.

    People are resampled; within 100 bins of the prediction (of equal size) they count as one
    point, for which the curve is fitted anew in each sample, with the windows of the whole.

    Parameters
    ----------
    predicted, outcome, binary, span
        As in `smooth_curve`.
    n_bootstrap, seed : int
        B, and the random numbers.

    Returns
    -------
    ndarray of float64, shape (B,)
    """
    n = len(predicted)
    edges = np.unique(np.quantile(predicted, np.linspace(0.0, 1.0, min(_BINS, n) + 1)[1:-1]))
    index = np.searchsorted(edges, predicted, side="left")
    _, index, count = np.unique(index, return_inverse=True, return_counts=True)
    x = np.bincount(index, weights=predicted) / count
    mean = np.bincount(index, weights=outcome) / count
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(3,)))
    if binary:
        share = np.concatenate([count * mean, count * (1.0 - mean)]) / n
        cells = rng.multinomial(n, share / share.sum(), n_bootstrap).astype(np.float64)
        events, others = cells[:, : len(x)], cells[:, len(x) :]
        size, total = events + others, events
    else:
        spread = np.sqrt(np.bincount(index, weights=(outcome - mean[index]) ** 2) / count)
        size = rng.multinomial(n, count / n, n_bootstrap).astype(np.float64)
        total = size * mean + np.sqrt(size) * spread * rng.normal(size=size.shape)
    # The estimate is row 0, so that both are of the binned curve.
    size = np.vstack([count, size])
    total = np.vstack([count * mean, total])
    offset = x[None, :] - x[:, None]
    q = min(n, max(1, int(np.floor(n * span + 1e-5))))
    order = np.argsort(np.abs(offset), axis=1)
    reached = np.cumsum(count[order], axis=1) >= q
    nearest = np.take_along_axis(np.abs(offset), order, axis=1)
    bandwidth = nearest[np.arange(len(x)), reached.argmax(axis=1)]
    u = np.clip(offset / np.where(bandwidth > 0.0, bandwidth, 1.0)[:, None], -1.0, 1.0)
    weight = (1.0 - np.abs(u) ** 3) ** 3
    powers = np.stack([weight * u**k for k in range(5)])
    moments = np.einsum("kgb,rb->rgk", powers, size, optimize=True)
    right = np.einsum("kgb,rb->rgk", powers[:3], total, optimize=True)
    normal = moments[..., np.add.outer(np.arange(3), np.arange(3))]
    # A ridge far below any window's information serves windows of fewer than three points.
    normal = normal + 1e-9 * n * np.eye(3)
    fit = np.linalg.solve(normal, right[..., None])[..., 0, 0]
    if binary:
        fit = np.clip(fit, 0.0, 1.0)
    ici = (size * np.abs(fit - x)).sum(axis=1) / n
    return np.asarray(ici[1:] - ici[0])
