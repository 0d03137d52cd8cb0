"""Slow twins of prs.kernels.gig: densities written out, distribution functions by quadrature."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def log_gig(x: np.ndarray, p: float, alpha: float, chi: float) -> np.ndarray:
    """Log density of log x (with the Jacobian x), up to a constant."""
    return p * np.log(x) - (alpha * x + chi / x) / 2


def log_inverse_psi(u: np.ndarray, n: int, a: float, b: float, phi: float, chi: float):
    """Log density of log u, u = 1/psi, from the model's own terms, delta integrated out."""
    psi = 1 / u
    prior = (a - 1) * np.log(psi) - (a + b) * np.log(psi + phi)
    effects = -0.5 * n * np.log(psi) - chi / (2 * psi)
    return prior + effects + np.log(psi)  # d psi = psi d log psi


def distribution(
    log_density: Callable[[np.ndarray], np.ndarray], low: float, high: float
) -> Callable[[np.ndarray], np.ndarray]:
    """Distribution function of log x on [low, high] by the trapezoidal rule on a fine grid."""
    grid = np.linspace(low, high, 40001)
    value = log_density(np.exp(grid))
    density = np.exp(value - value.max())
    mass = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2)])
    return lambda log_x: np.interp(log_x, grid, mass / mass[-1])
