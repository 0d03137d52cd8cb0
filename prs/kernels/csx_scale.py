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

from prs.kernels._jit import jit, jit_vector
from prs.kernels.rng import draw_uniform

__all__ = ["apply_scale", "choose_small", "draw_scale", "log_scale_density"]

_MAX_STEPS = 60
_TOGETHER = 64  # factors whose logs are taken as the log of their product


@jit
def choose_small(
    ticket: NDArray[np.float64],
    u: NDArray[np.float64],
    phi: float,
    x_0: float,
    inside: NDArray[np.bool_],
) -> None:
    """Draw S for one chain and group.

    Parameters
    ----------
    ticket : ndarray of float64, shape (P,)
        Uniform draws that nothing else has seen.
    u : ndarray of float64, shape (P,)
        1/psi.
    phi, x_0 : float
    inside : ndarray of bool, shape (P,)
        Set.
    """
    unit = phi * x_0
    for j in range(len(u)):
        w = u[j] * unit  # x_0 phi / psi: q = 1 / (1 + 1/w^2)
        w *= w
        inside[j] = ticket[j] * (1.0 + w) < w


@jit_vector
def _sum_log_outside(u: NDArray[np.float64], phi: float, x_0: float, q: float) -> float:
    """Return the sum of q log(1 + z) + log(1 + (x_0 z)^2), z = phi u."""
    n_rows = len(u) // _TOGETHER
    whole = n_rows * _TOGETHER
    rows = u[:whole].reshape((n_rows, _TOGETHER))
    log_grown = 0.0
    log_odds = 0.0
    for r in range(n_rows):
        grown = 1.0
        odds = 1.0
        for j in range(_TOGETHER):
            z = phi * float(rows[r, j])  # see `prs.kernels.csx` for float()
            w = z * x_0  # 1 - q(x) = 1 / (1 + w^2)
            grown *= 1.0 + z
            odds *= 1.0 + w * w
        if grown < 1e300 and odds < 1e300:
            log_grown += math.log(grown)
            log_odds += math.log(odds)
        else:
            for j in range(_TOGETHER):
                z = phi * rows[r, j]
                w = min(z * x_0, 1e150)
                log_grown += math.log(1.0 + z)
                log_odds += math.log(1.0 + w * w)
    for j in range(whole, len(u)):
        z = phi * u[j]
        w = min(z * x_0, 1e150)
        log_grown += math.log(1.0 + z)
        log_odds += math.log(1.0 + w * w)
    return q * log_grown + log_odds


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
    return value - _sum_log_outside(u_outside, float(c * phi), x_0, a + b)


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
    low: int,
    high: int,
    where: NDArray[np.int64],
    inside: NDArray[np.bool_],
    y: float,
    product: NDArray[np.float64],
    beta: NDArray[np.float64],
    residual: NDArray[np.float64],
) -> None:
    """Move the effects of some variants, and the residuals beside them, by c = e^y; one chain.

    psi is not touched: it is drawn anew before anything looks at it.

    Parameters
    ----------
    low, high : int
        Variants from `low` to `high` - 1.
    where : ndarray of int64, shape (K, P)
        Place of each variant's effect in each population; -1 where it has none.
    inside : ndarray of bool, shape (P,)
    y : float
    product : ndarray of float64, shape (T,)
        R times the effects in S.
    beta, residual : ndarray of float64, shape (T,)
        Changed.
    """
    t_minus_one = math.expm1(0.5 * y)
    for k in range(where.shape[0]):
        for j in range(low, high):
            t = where[k, j]
            if t >= 0:
                residual[t] -= t_minus_one * product[t]
                if inside[j]:
                    beta[t] += t_minus_one * beta[t]
