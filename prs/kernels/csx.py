"""The scales of the PRS-CSx sampler: psi by chunk of variants, sigma and phi by chain.

Model and names as in `prs.weights.csx`. Layout: effects of all populations lie one after the
other (T of them, block after block); C chains share a pass over the LD, the chain is the first
axis of every state array. ``u`` is 1/psi. Each kernel works on a list of independent items, so
that threads may share the items out in any way and the numbers stay the same.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from prs.kernels._jit import jit, jit_vector
from prs.kernels.csx_scale import apply_scale
from prs.kernels.psi import draw_inverse_psi_by_strips
from prs.kernels.rng import draw_gamma, draw_uniform

__all__ = [
    "draw_local_scales",
    "log_phi_density",
    "update_phi",
    "update_scales",
]

_MAX_STEPS = 60  # of stepping out; the slices below are never that wide
_TOGETHER = 64  # factors whose logs are taken as the log of their product


@jit_vector
def _add_up_effects(
    low: int,
    high: int,
    where: NDArray[np.int64],
    scale: NDArray[np.float64],
    beta: NDArray[np.float64],
    chi: NDArray[np.float64],
) -> None:
    """Set chi of the variants from `low` to `high` - 1 in one chain."""
    for j in range(low, high):
        chi[j] = 0.0
    for k in range(where.shape[0]):
        weight = scale[k]
        for j in range(low, high):
            t = where[k, j]
            if t >= 0:
                chi[j] += weight * beta[t] * beta[t]


@jit
def draw_local_scales(
    items: NDArray[np.int64],
    chunks: NDArray[np.int64],
    groups: NDArray[np.int64],
    where: NDArray[np.int64],
    scale: NDArray[np.float64],
    beta: NDArray[np.float64],
    residual: NDArray[np.float64],
    product: NDArray[np.float64],
    is_small: NDArray[np.bool_],
    log_c: NDArray[np.float64],
    moves: NDArray[np.bool_],
    ticket: NDArray[np.float64],
    phi: NDArray[np.float64],
    shape: NDArray[np.float64],
    copies: NDArray[np.int64],
    q: float,
    lower: float,
    strips: NDArray[np.float64],
    u: NDArray[np.float64],
    chi: NDArray[np.float64],
    streams: NDArray[np.uint64],
    total_psi: NDArray[np.float64],
    accumulate: bool,
) -> None:
    """Draw u = 1/psi of some chunks of variants, given effects, sigma and phi (delta integrated).

    Before, the effects of these variants make the scale move that `log_c` holds.

    Parameters
    ----------
    items : ndarray of int64
        Chunks to do.
    chunks : ndarray of int64, shape (H + 1,)
        First variant of each chunk.
    groups : ndarray of int64, shape (H,)
        Group (its own phi and sigma) of each chunk.
    where : ndarray of int64, shape (K, P)
        Place of each variant's effect in each population; -1 where it has none.
    scale : ndarray of float64, shape (C, G, K)
        N/sigma.
    beta, residual : ndarray of float64, shape (C, T)
        Moved.
    product : ndarray of float64, shape (C, T)
    is_small : ndarray of bool, shape (C, P)
    log_c : ndarray of float64, shape (C, G)
        See `prs.kernels.csx_scale.apply_scale`.
    moves : ndarray of bool, shape (C,)
        Chains that make the move.
    ticket : ndarray of float64, shape (C, P)
        Of these chains, set to uniform draws for the next `prs.kernels.csx_scale.choose_small`.
    phi : ndarray of float64, shape (C, G)
    shape : ndarray of float64, shape (P,)
        n_j/2 + b.
    copies : ndarray of int64, shape (P,)
        n_j, populations that have the variant.
    q, lower : float
        a + b; 1/psi_max.
    strips : ndarray of float64
        Tables of `prs.kernels.psi.make_strips`.
    u, chi : ndarray of float64, shape (C, P)
        Set; chi = sum over populations of N beta^2 / sigma.
    streams : ndarray of uint64, shape (H, C, 4)
    total_psi : ndarray of float64, shape (C, P)
        If `accumulate`, psi is added.
    """
    for item in range(len(items)):
        chunk = items[item]
        group = groups[chunk]
        low, high = chunks[chunk], chunks[chunk + 1]
        for c in range(beta.shape[0]):
            stream = streams[chunk, c]
            if moves[c]:
                apply_scale(
                    low, high, where, is_small[c], log_c[c, group], product[c], beta[c],
                    residual[c],
                )  # fmt: skip
                for j in range(low, high):
                    ticket[c, j] = draw_uniform(stream)
            _add_up_effects(low, high, where, scale[c, group], beta[c], chi[c])
            here = phi[c, group]
            for j in range(low, high):
                u[c, j] = draw_inverse_psi_by_strips(
                    stream, copies[j], shape[j], q, here, chi[c, j], lower, strips
                )
            if accumulate:
                for j in range(low, high):
                    total_psi[c, j] += 1.0 / u[c, j]


@jit_vector
def _sum_log_growth(u: NDArray[np.float64], phi: float) -> float:
    """Return the sum of log(1 + phi u).

    A product that overflows is taken apart; float(), as NumPy's scalars would warn of it where
    this is run uncompiled.
    """
    n_rows = len(u) // _TOGETHER
    whole = n_rows * _TOGETHER
    rows = u[:whole].reshape((n_rows, _TOGETHER))
    total = 0.0
    for r in range(n_rows):
        product = 1.0
        for j in range(_TOGETHER):
            product *= 1.0 + phi * float(rows[r, j])
        if product < 1e300:
            total += math.log(product)
        else:
            for j in range(_TOGETHER):
                total += math.log(1.0 + phi * rows[r, j])
    for j in range(whole, len(u)):
        total += math.log(1.0 + phi * u[j])
    return total


@jit
def log_phi_density(s: float, u: NDArray[np.float64], a: float, b: float) -> float:
    """Return the log density of s = log phi given u = 1/psi, delta integrated out.

    sqrt(phi) half-Cauchy(0, 1), psi_j/phi a beta-prime(a, b) variate.
    """
    phi = math.exp(s)
    log_sum = _sum_log_growth(u, phi)
    return (b * len(u) + 0.5) * s - math.log1p(phi) - (a + b) * log_sum


@jit
def update_scales(
    chain: int,
    group: int,
    first: NDArray[np.int64],
    n_gwas: NDArray[np.float64],
    fit: NDArray[np.float64],
    left: NDArray[np.float64],
    weight: NDArray[np.float64],
    sigma: NDArray[np.float64],
    floor_hits: NDArray[np.int64],
    stream: NDArray[np.uint64],
) -> None:
    """Draw sigma of each population of one chain and group from its inverse gamma.

    Parameters
    ----------
    chain, group : int
    first : ndarray of int64, shape (K,)
        Effects of each population in this group, p_k.
    n_gwas : ndarray of float64, shape (K,)
    fit, left, weight : ndarray of float64, shape (K,)
        beta'b, beta'r, sum of beta^2/psi.
    sigma : ndarray of float64, shape (C, G, K)
        Set.
    floor_hits : ndarray of int64, shape (C, G, K)
        Counts how often 1 - 2 beta'b + beta'R beta was negative and taken as 0.
    """
    for k in range(len(n_gwas)):
        unexplained = 1.0 - fit[k] - left[k]
        if unexplained < 0.0:
            unexplained = 0.0
            floor_hits[chain, group, k] += 1
        rate = 0.5 * n_gwas[k] * (unexplained + weight[k])
        shape = 0.5 * (n_gwas[k] + first[k])
        sigma[chain, group, k] = rate / draw_gamma(stream, shape)


@jit
def update_phi(
    u: NDArray[np.float64],
    a: float,
    b: float,
    log_phi: float,
    width: float,
    stream: NDArray[np.uint64],
) -> float:
    """Draw log phi given psi by a slice (Neal 2003).

    Parameters
    ----------
    u : ndarray of float64, shape (P,)
        One chain's, one group's.
    a, b : float
    log_phi : float
        Where the chain is.
    width : float
        Width of the first slice interval (any fixed positive number is valid).

    Returns
    -------
    float
        The new log phi.
    """
    level = log_phi_density(log_phi, u, a, b) + math.log(draw_uniform(stream))
    low = log_phi - width * draw_uniform(stream)
    high = low + width
    for _ in range(_MAX_STEPS):  # stepping out
        if log_phi_density(low, u, a, b) < level:
            break
        low -= width
    for _ in range(_MAX_STEPS):
        if log_phi_density(high, u, a, b) < level:
            break
        high += width
    while high - low > 1e-14:  # shrinkage
        x = low + (high - low) * draw_uniform(stream)
        if log_phi_density(x, u, a, b) >= level:
            return x
        if x < log_phi:
            low = x
        else:
            high = x
    return log_phi
