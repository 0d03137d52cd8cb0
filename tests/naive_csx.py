"""Slow twins of prs.kernels.csx and csx_reference: plain loops and dense matrices."""

from __future__ import annotations

import numpy as np
from scipy import stats


def sweep(R, b, u, noise, beta, z):
    """One single-site sweep of a block; returns new effects, E[beta|rest], E[beta^2|rest]."""
    beta = beta.copy()
    mean, square = np.empty_like(beta), np.empty_like(beta)
    for j in range(len(b)):
        others = b[j] - sum(R[j, i] * beta[i] for i in range(len(b)) if i != j)
        precision = R[j, j] + u[j]
        mean[j] = others / precision
        square[j] = mean[j] ** 2 + noise / precision
        beta[j] = mean[j] + z[j] * np.sqrt(noise / precision)
    return beta, mean, square


def block_draw(R, b, u, noise, z):
    """Draw from N(D^-1 b, noise D^-1), D = R + diag(u) = L L'."""
    L = np.linalg.cholesky(R + np.diag(u))
    return np.linalg.solve(L.T, np.linalg.solve(L, b) + np.sqrt(noise) * z)


def log_joint(phi, psi, chi, copies, a, b):
    """Log density of (phi, psi) and effects, delta integrated out, up to a constant.

    chi is sum over populations of N beta^2 / sigma: the effects enter through it alone.
    """
    prior = stats.betaprime(a, b, scale=phi).logpdf(psi).sum()
    half_cauchy = -0.5 * np.log(phi) - np.log1p(phi)
    return prior + half_cauchy + (-0.5 * copies * np.log(psi) - chi / (2 * psi)).sum()
