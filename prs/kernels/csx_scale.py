"""A joint move of the many small effects, their local scales and phi along a common scale.

psi and phi hold each other: given the psi of 10,000 variants phi can move by a per cent or two,
and takes hundreds of iterations to walk through its posterior. Scaling effects, psi and phi
together frees it, but all effects together are held by the likelihood of the few large ones. The
move here scales a random subset S that large effects seldom enter:

    j enters S with probability q(x_j) = 1 / (1 + (x_j/x_0)^2),   x_j = psi_j / phi
    beta_jk -> sqrt(c) beta_jk,  psi_j -> c psi_j  for j in S,  and  phi -> c phi

S is an auxiliary variable whose law is part of the target. The maps are a group, x_j does not
change within S, and c is drawn by a slice from the target's density along the orbit with its
Jacobian (Liu & Sabatti 2000, Biometrika 87:353), so that the posterior is left as it is. One
product of the LD with the effects in S gives the likelihood at every c.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from prs.kernels._jit import jit, jit_reduce
from prs.kernels.rng import draw_uniform

__all__ = ["apply_scale", "choose_small", "draw_scale", "log_scale_density", "multiply_small"]

_MAX_STEPS = 60


@jit
def choose_small(
    items: NDArray[np.int64],
    chunks: NDArray[np.int64],
    groups: NDArray[np.int64],
    phi: NDArray[np.float64],
    u: NDArray[np.float64],
    x_0: float,
    inside: NDArray[np.bool_],
    streams: NDArray[np.uint64],
) -> None:
    """Draw S for some chunks of variants: `inside` (C, P) is set.

    Parameters are those of `prs.kernels.csx.draw_local_scales`; `x_0` as above.
    """
    for item in range(len(items)):
        chunk = items[item]
        for c in range(u.shape[0]):
            stream = streams[chunk, c]
            unit = phi[c, groups[chunk]] * x_0
            for j in range(chunks[chunk], chunks[chunk + 1]):
                x = 1.0 / (u[c, j] * unit)
                inside[c, j] = draw_uniform(stream) * (1.0 + x * x) < 1.0


@jit_reduce
def multiply_small(
    items: NDArray[np.int64],
    starts: NDArray[np.int64],
    ld_starts: NDArray[np.int64],
    ld: NDArray[np.float32],
    ld_unit: float,
    diagonal: NDArray[np.float64],
    index: NDArray[np.int64],
    inside: NDArray[np.bool_],
    beta: NDArray[np.float64],
    residual: NDArray[np.float64],
    product: NDArray[np.float64],
    sums: NDArray[np.float64],
) -> None:
    """Multiply the LD of some blocks with g, the effects in S (0 elsewhere).

    Parameters
    ----------
    items, starts, ld_starts, ld, ld_unit, diagonal, index, beta, residual
        As in `prs.kernels.csx.sweep_effects`.
    inside : ndarray of bool, shape (C, P)
    product : ndarray of float64, shape (C, T)
        Set to R g.
    sums : ndarray of float64, shape (C, B, 2)
        Set to g'r and g'R g of each block.
    """
    n_chains = beta.shape[0]
    for item in range(len(items)):
        block = items[item]
        start, stop = starts[block], starts[block + 1]
        m = stop - start
        base = ld_starts[block]
        g = np.zeros((n_chains, m), dtype=np.float32)
        for c in range(n_chains):
            for j in range(m):
                if inside[c, index[start + j]]:
                    g[c, j] = beta[c, start + j]
                product[c, start + j] = 0.0
        for j in range(m):
            column = ld[base + j * m : base + (j + 1) * m]
            for c in range(n_chains):
                total = np.float32(0.0)
                for i in range(m):
                    total += np.float32(column[i]) * g[c, i]
                t = start + j
                own = beta[c, t] if inside[c, index[t]] else 0.0
                off = (total - np.float32(column[j]) * g[c, j]) * ld_unit
                product[c, t] = off + diagonal[t] * own
        for c in range(n_chains):
            with_residual = 0.0
            square = 0.0
            for t in range(start, stop):
                if inside[c, index[t]]:
                    with_residual += beta[c, t] * residual[c, t]
                    square += beta[c, t] * product[c, t]
            sums[c, block, 0] = with_residual
            sums[c, block, 1] = square


@jit
def log_scale_density(
    y: float,
    linear: float,
    square: float,
    phi: float,
    u_outside: NDArray[np.float64],
    x_0: float,
    least_u: float,
    lower: float,
    a: float,
    b: float,
) -> float:
    """Return the log density of y = log c along the orbit, up to a constant.

    Parameters
    ----------
    y : float
    linear, square : float
        Sums over populations of (N/sigma) g'r and (N/sigma) g'R g.
    phi : float
        Before the move.
    u_outside : ndarray of float64
        1/psi of the variants that are not in S.
    x_0 : float
    least_u : float
        Least 1/psi in S.
    lower : float
        1/psi_max.
    a, b : float
    """
    c = math.exp(y)
    if least_u < lower * c:
        return -math.inf
    t = math.expm1(0.5 * y)
    value = t * linear - 0.5 * t * t * square
    value += (b * len(u_outside) + 0.5) * y - math.log1p(phi * c)
    grown = 1.0
    odds = 1.0
    log_sum = 0.0
    log_odds = 0.0
    for j in range(len(u_outside)):
        z = c * phi * u_outside[j]  # phi/psi after the move
        grown *= 1.0 + z
        w = z * x_0  # 1 - q = 1 / (1 + w^2)
        odds *= 1.0 + w * w
        if grown > 1e100:
            log_sum += math.log(grown)
            grown = 1.0
        if odds > 1e100:
            log_odds += math.log(odds)
            odds = 1.0
    log_sum += math.log(grown)
    log_odds += math.log(odds)
    return value - (a + b) * log_sum - log_odds


@jit
def draw_scale(
    linear: float,
    square: float,
    phi: float,
    inside: NDArray[np.bool_],
    u: NDArray[np.float64],
    x_0: float,
    lower: float,
    a: float,
    b: float,
    width: float,
    stream: NDArray[np.uint64],
) -> float:
    """Draw log c by a slice (Neal 2003) from `log_scale_density`.

    Parameters
    ----------
    linear, square, phi, x_0, lower, a, b
        As in `log_scale_density`.
    inside, u : ndarray, shape (P,)
        One chain's and group's.
    width : float
        Of the first interval.
    """
    n_outside = 0
    least_u = math.inf
    for j in range(len(u)):
        if inside[j]:
            least_u = min(least_u, u[j])
        else:
            n_outside += 1
    outside = np.empty(n_outside)
    n = 0
    for j in range(len(u)):
        if not inside[j]:
            outside[n] = u[j]
            n += 1
    level = log_scale_density(
        0.0, linear, square, phi, outside, x_0, least_u, lower, a, b
    ) + math.log(draw_uniform(stream))
    low = -width * draw_uniform(stream)
    high = low + width
    for side in range(2):
        for _ in range(_MAX_STEPS):
            end = low if side == 0 else high
            value = log_scale_density(end, linear, square, phi, outside, x_0, least_u, lower, a, b)
            if value < level:
                break
            if side == 0:
                low -= width
            else:
                high += width
    y = 0.0
    while high - low > 1e-14:
        y = low + (high - low) * draw_uniform(stream)
        value = log_scale_density(y, linear, square, phi, outside, x_0, least_u, lower, a, b)
        if value >= level:
            break
        if y < 0.0:
            low = y
        else:
            high = y
        y = 0.0
    return y


@jit
def apply_scale(
    items: NDArray[np.int64],
    starts: NDArray[np.int64],
    groups: NDArray[np.int64],
    index: NDArray[np.int64],
    inside: NDArray[np.bool_],
    y: NDArray[np.float64],
    product: NDArray[np.float64],
    beta: NDArray[np.float64],
    residual: NDArray[np.float64],
) -> None:
    """Move the effects and residuals of some blocks by c = e^y; `y` has shape (C, G)."""
    for item in range(len(items)):
        block = items[item]
        for c in range(beta.shape[0]):
            t_minus_one = math.expm1(0.5 * y[c, groups[block]])
            for t in range(starts[block], starts[block + 1]):
                residual[c, t] -= t_minus_one * product[c, t]
                if inside[c, index[t]]:
                    beta[c, t] += t_minus_one * beta[c, t]
