"""The sweeps of the PRS-CSx sampler: effects by block, local scales by chunk, globals by chain.

Model and names as in `prs.weights.csx`. Layout: effects of all populations lie one after the
other (T of them, block after block); C chains share a pass over the LD, the chain is the first
axis of every state array. ``u`` is 1/psi. Each kernel works on a list of independent items, so
that threads may share the items out in any way and the numbers stay the same.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from prs.kernels._jit import jit, jit_reduce
from prs.kernels.gig import draw_inverse_psi
from prs.kernels.rng import draw_gamma, draw_normal, draw_uniform

__all__ = [
    "draw_local_scales",
    "log_orbit_density",
    "log_phi_density",
    "refresh_residuals",
    "sweep_effects",
    "update_phi",
    "update_scales",
]

_MAX_STEPS = 60  # of stepping out; the slices below are never that wide


@jit_reduce
def sweep_effects(
    items: NDArray[np.int64],
    starts: NDArray[np.int64],
    ld_starts: NDArray[np.int64],
    ld: NDArray[np.float32],
    ld_unit: float,
    diagonal: NDArray[np.float64],
    b: NDArray[np.float64],
    index: NDArray[np.int64],
    u: NDArray[np.float64],
    noise: NDArray[np.float64],
    beta: NDArray[np.float64],
    residual: NDArray[np.float64],
    streams: NDArray[np.uint64],
    sums: NDArray[np.float64],
    total: NDArray[np.float64],
    total_square: NDArray[np.float64],
    accumulate: bool,
) -> None:
    """Draw every effect of some blocks once, in order, given all else.

    beta_j | rest ~ N((r_j + R_jj beta_j) / (R_jj + u_j), v / (R_jj + u_j)), r = b - R beta,
    v = sigma/N; then r -= (change of beta_j) x column j. One read of a block serves all chains.

    Parameters
    ----------
    items : ndarray of int64
        Blocks to do.
    starts, ld_starts : ndarray of int64, shape (B + 1,)
        First effect of each block, and first entry of its LD in `ld`.
    ld : ndarray of float32 or int16, shape (sum of m^2,)
        Symmetric m x m blocks, one after the other; times `ld_unit` they are correlations.
    diagonal, b : ndarray of float64, shape (T,)
        Diagonal used for R, marginal effects.
    index : ndarray of int64, shape (T,)
        Variant of each effect, in `u`.
    u : ndarray of float64, shape (C, P)
    noise : ndarray of float64, shape (C, B)
        sigma/N of the block's population.
    beta, residual : ndarray of float64, shape (C, T)
        Updated.
    streams : ndarray of uint64, shape (B, C, 4)
    sums : ndarray of float64, shape (C, B, 3)
        Set to beta'b, beta'r and sum of u beta^2 of each block.
    total, total_square : ndarray of float64, shape (C, T)
        If `accumulate`, E[beta | rest] and E[beta^2 | rest] are added (Rao-Blackwell).
    """
    n_chains = beta.shape[0]
    for item in range(len(items)):
        block = items[item]
        start, stop = starts[block], starts[block + 1]
        m = stop - start
        inverse = np.empty((n_chains, m))
        shock = np.empty((n_chains, m))
        for c in range(n_chains):
            v = noise[c, block]
            stream = streams[block, c]
            for j in range(m):
                t = start + j
                inverse[c, j] = 1.0 / (diagonal[t] + u[c, index[t]])
                shock[c, j] = draw_normal(stream) * math.sqrt(v * inverse[c, j])
        base = ld_starts[block]
        for j in range(m):
            t = start + j
            column = ld[base + j * m : base + (j + 1) * m]
            own = diagonal[t]
            for c in range(n_chains):
                r = residual[c, start:stop]
                before = beta[c, t]
                r_j = r[j]
                mean = (r_j + own * before) * inverse[c, j]
                after = mean + shock[c, j]
                change = after - before
                beta[c, t] = after
                step = change * ld_unit
                for i in range(m):
                    r[i] -= step * column[i]
                r[j] = r_j - own * change
                if accumulate:
                    total[c, t] += mean
                    total_square[c, t] += mean * mean + noise[c, block] * inverse[c, j]
        for c in range(n_chains):
            fit = 0.0
            left = 0.0
            weight = 0.0
            for t in range(start, stop):
                value = beta[c, t]
                fit += value * b[t]
                left += value * residual[c, t]
                weight += value * value * u[c, index[t]]
            sums[c, block, 0] = fit
            sums[c, block, 1] = left
            sums[c, block, 2] = weight


@jit_reduce
def refresh_residuals(
    items: NDArray[np.int64],
    starts: NDArray[np.int64],
    ld_starts: NDArray[np.int64],
    ld: NDArray[np.float32],
    ld_unit: float,
    diagonal: NDArray[np.float64],
    b: NDArray[np.float64],
    beta: NDArray[np.float64],
    residual: NDArray[np.float64],
) -> None:
    """Set residual = b - R beta of some blocks anew, so that rounding does not add up."""
    for item in range(len(items)):
        block = items[item]
        start, stop = starts[block], starts[block + 1]
        m = stop - start
        base = ld_starts[block]
        for j in range(m):
            column = ld[base + j * m : base + (j + 1) * m]
            for c in range(beta.shape[0]):
                effects = beta[c, start:stop]
                product = 0.0
                for i in range(m):
                    product += column[i] * effects[i]
                product -= column[j] * effects[j]
                residual[c, start + j] = (
                    b[start + j] - product * ld_unit - diagonal[start + j] * effects[j]
                )


@jit
def draw_local_scales(
    items: NDArray[np.int64],
    chunks: NDArray[np.int64],
    groups: NDArray[np.int64],
    where: NDArray[np.int64],
    scale: NDArray[np.float64],
    beta: NDArray[np.float64],
    phi: NDArray[np.float64],
    shape: NDArray[np.float64],
    q: float,
    lower: float,
    u: NDArray[np.float64],
    chi: NDArray[np.float64],
    streams: NDArray[np.uint64],
    total_psi: NDArray[np.float64],
    accumulate: bool,
) -> None:
    """Draw u = 1/psi of some chunks of variants, given effects, sigma and phi (delta integrated).

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
    beta : ndarray of float64, shape (C, T)
    phi : ndarray of float64, shape (C, G)
    shape : ndarray of float64, shape (P,)
        n_j/2 + b.
    q, lower : float
        a + b; 1/psi_max.
    u, chi : ndarray of float64, shape (C, P)
        Set; chi = sum over populations of N beta^2 / sigma.
    streams : ndarray of uint64, shape (H, C, 4)
    total_psi : ndarray of float64, shape (C, P)
        If `accumulate`, psi is added.
    """
    for item in range(len(items)):
        chunk = items[item]
        group = groups[chunk]
        for c in range(beta.shape[0]):
            stream = streams[chunk, c]
            for j in range(chunks[chunk], chunks[chunk + 1]):
                x = 0.0
                for k in range(where.shape[0]):
                    t = where[k, j]
                    if t >= 0:
                        x += scale[c, group, k] * beta[c, t] * beta[c, t]
                chi[c, j] = x
                value = draw_inverse_psi(stream, shape[j], q, phi[c, group], x, lower)
                u[c, j] = value
                if accumulate:
                    total_psi[c, j] += 1.0 / value


@jit
def log_phi_density(s: float, u: NDArray[np.float64], a: float, b: float) -> float:
    """Return the log density of s = log phi given u = 1/psi, delta integrated out.

    sqrt(phi) half-Cauchy(0, 1), psi_j/phi a beta-prime(a, b) variate.
    """
    phi = math.exp(s)
    log_sum = 0.0
    product = 1.0
    for j in range(len(u)):
        product *= 1.0 + phi * u[j]
        if product > 1e150:
            log_sum += math.log(product)
            product = 1.0
    log_sum += math.log(product)
    return (b * len(u) + 0.5) * s - math.log1p(phi) - (a + b) * log_sum


@jit
def log_orbit_density(
    x: float,
    s: float,
    u: NDArray[np.float64],
    chi: NDArray[np.float64],
    copies: NDArray[np.int64],
    lower: float,
    a: float,
    b: float,
) -> float:
    """Return the log density along the orbit of a joint scale move, effects left as they are.

    The move by c = e^x takes u_j to lower + (u_j - lower)/c and phi to c phi: a group of maps
    of (psi, phi) that keeps psi <= psi_max, so that a draw of c from this density (it includes
    the Jacobian; Liu & Sabatti 2000, Biometrika 87:353) leaves the posterior as it is.

    Parameters
    ----------
    x, s : float
        log c, log phi before the move.
    u, chi : ndarray of float64, shape (P,)
    copies : ndarray of int64, shape (P,)
        n_j, populations with an effect of the variant.
    lower, a, b : float
        1/psi_max and the prior's shapes.
    """
    phi = math.exp(s + x)
    shrink = math.exp(-x)
    log_grown = 0.0
    log_u = 0.0
    log_copies = 0.0
    grown = 1.0
    plain = 1.0
    powers = 1.0
    quadratic = 0.0
    for j in range(len(u)):
        v = lower + (u[j] - lower) * shrink
        grown *= 1.0 + phi * v
        plain *= v
        for _ in range(copies[j]):
            powers *= v
        quadratic += v * chi[j]
        if grown > 1e100:
            log_grown += math.log(grown)
            grown = 1.0
        if plain > 1e100 or plain < 1e-100:
            log_u += math.log(plain)
            plain = 1.0
        if powers > 1e100 or powers < 1e-100:
            log_copies += math.log(powers)
            powers = 1.0
    log_grown += math.log(grown)
    log_u += math.log(plain)
    log_copies += math.log(powers)
    return (
        (b * len(u) + 0.5) * (s + x)
        - math.log1p(phi)
        - (a + b) * log_grown
        + (b - 1.0) * log_u
        + 0.5 * log_copies
        - 0.5 * quadratic
        - len(u) * x
    )


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
    chi: NDArray[np.float64],
    copies: NDArray[np.int64],
    lower: float,
    a: float,
    b: float,
    log_phi: float,
    width: float,
    move_orbit: bool,
    stream: NDArray[np.uint64],
) -> float:
    """Draw log phi given psi, then move (psi, phi) jointly along their scale; both by slices.

    Parameters
    ----------
    u, chi : ndarray of float64, shape (P,)
        One chain's, one group's; `u` is changed by the joint move.
    copies : ndarray of int64, shape (P,)
    lower, a, b : float
    log_phi : float
        Where the chain is.
    width : float
        Width of the first slice interval (any fixed positive number is valid).
    move_orbit : bool
        Whether to make the joint move.

    Returns
    -------
    float
        The new log phi.
    """
    for part in range(2 if move_orbit else 1):
        at = log_phi if part == 0 else 0.0
        if part == 0:
            level = log_phi_density(at, u, a, b)
        else:
            level = log_orbit_density(at, log_phi, u, chi, copies, lower, a, b)
        level += math.log(draw_uniform(stream))
        low = at - width * draw_uniform(stream)
        high = low + width
        for side in range(2):  # stepping out (Neal 2003)
            for _ in range(_MAX_STEPS):
                end = low if side == 0 else high
                if part == 0:
                    value = log_phi_density(end, u, a, b)
                else:
                    value = log_orbit_density(end, log_phi, u, chi, copies, lower, a, b)
                if value < level:
                    break
                if side == 0:
                    low -= width
                else:
                    high += width
        x = at
        while high - low > 1e-14:  # shrinkage
            x = low + (high - low) * draw_uniform(stream)
            if part == 0:
                value = log_phi_density(x, u, a, b)
            else:
                value = log_orbit_density(x, log_phi, u, chi, copies, lower, a, b)
            if value >= level:
                break
            if x < at:
                low = x
            else:
                high = x
        if part == 0:
            log_phi = x
        else:
            shrink = math.exp(-x)
            for j in range(len(u)):
                u[j] = lower + (u[j] - lower) * shrink
            log_phi += x
    return log_phi
