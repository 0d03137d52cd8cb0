"""The sweep over the LD: every effect drawn once, and the product that a scale move needs.

The residual r = b - R beta of a block is kept in float32 while the block is swept (float64 if the
caller asks), in float64 between sweeps. Columns are taken 8 at a time: the 8 effects are drawn
one after the other with the 8 x 8 corner of R among them, then all of r is changed by the 8
columns together, so that r is read and written once for 8 columns and each column is read from
memory once for all chains. The result is that of one column at a time but for rounding.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prs.kernels._jit import jit, jit_vector
from prs.kernels.rng import draw_normal

__all__ = ["refresh_residuals", "sweep_effects"]

_WIDTH = 8  # columns at a time


# Slices count references, which would cost as much as a short column: within a panel, arrays are
# handed on whole, with the row to work on.


@jit_vector
def _subtract_columns(
    r: NDArray[Any], c: int, matrix: NDArray[Any], j: int, step: NDArray[Any]
) -> None:
    """Subtract 8 columns from the j-th on, times their steps, from r[c]; beyond the last, 0."""
    m = len(matrix)
    last = m - 1
    j1, j2, j3, j4 = min(j + 1, last), min(j + 2, last), min(j + 3, last), min(j + 4, last)
    j5, j6, j7 = min(j + 5, last), min(j + 6, last), min(j + 7, last)
    s0, s1, s2, s3 = step[0], step[1], step[2], step[3]
    s4, s5, s6, s7 = step[4], step[5], step[6], step[7]
    for i in range(m):
        one = s0 * matrix[j, i] + s1 * matrix[j1, i] + s2 * matrix[j2, i] + s3 * matrix[j3, i]
        two = s4 * matrix[j4, i] + s5 * matrix[j5, i] + s6 * matrix[j6, i] + s7 * matrix[j7, i]
        r[c, i] -= one + two


@jit_vector
def _add_column(r: NDArray[Any], c: int, matrix: NDArray[Any], j: int, step: NDArray[Any]) -> None:
    """Add column j times `step`, of shape (1,), to r[c]."""
    s = step[0]
    for i in range(len(matrix)):
        r[c, i] += s * matrix[j, i]


@jit_vector
def _prepare(
    diagonal: NDArray[np.float64],
    u: NDArray[np.float64],
    beta: NDArray[np.float64],
    residual: NDArray[np.float64],
    v: float,
    inverse: NDArray[np.float64],
    shock: NDArray[np.float64],
    fixed: NDArray[np.float64],
    r: NDArray[Any],
    others: NDArray[Any],
) -> None:
    """Set what a block's draws need: the change of beta_j is ``r_j inverse_j + fixed_j``.

    `shock` holds normal draws and is scaled by their standard deviations; the last four are wider
    than the block, as a panel may be: nothing changes beyond it.
    """
    m = len(u)
    for i in range(m):
        inverse[i] = 1.0 / (diagonal[i] + u[i])
    for i in range(m):
        shock[i] *= math.sqrt(v * inverse[i])
    for i in range(m):
        fixed[i] = shock[i] - beta[i] * u[i] * inverse[i]
    for i in range(m):
        r[i] = residual[i]
    for i in range(m, len(r)):
        inverse[i] = 0.0
        fixed[i] = 0.0
        r[i] = 0.0
    for i in range(len(others)):
        others[i] = 0.0


@jit_vector
def _take_corner(near: NDArray[np.float64], matrix: NDArray[Any], j: int, unit: float) -> None:
    """Set the upper part of `near` (8, 8) to R among the effects from the j-th on; 0 beyond."""
    n = len(matrix) - j
    for k in range(_WIDTH - 1):
        if k < n and n >= _WIDTH:
            for i in range(_WIDTH):
                near[k, i] = matrix[j + k, j + i] * unit
        else:
            for i in range(_WIDTH):
                near[k, i] = matrix[j + k, j + i] * unit if max(i, k) < n else 0.0


@jit_vector
def _draw_panel(
    near: NDArray[np.float64],
    r: NDArray[Any],
    inverse: NDArray[np.float64],
    fixed: NDArray[np.float64],
    c: int,
    j: int,
    change: NDArray[np.float64],
) -> None:
    """Set `change` to what the draws of 8 effects in turn change them by.

    Written out, so that nothing but sums and products lies between one draw and the next.
    """
    a = near
    v, f = inverse, fixed
    d0 = r[c, j] * v[c, j] + f[c, j]
    left = r[c, j + 1] - a[0, 1] * d0
    d1 = left * v[c, j + 1] + f[c, j + 1]
    left = r[c, j + 2] - a[0, 2] * d0 - a[1, 2] * d1
    d2 = left * v[c, j + 2] + f[c, j + 2]
    left = r[c, j + 3] - a[0, 3] * d0 - a[1, 3] * d1 - a[2, 3] * d2
    d3 = left * v[c, j + 3] + f[c, j + 3]
    left = r[c, j + 4] - a[0, 4] * d0 - a[1, 4] * d1 - a[2, 4] * d2 - a[3, 4] * d3
    d4 = left * v[c, j + 4] + f[c, j + 4]
    left = r[c, j + 5] - a[0, 5] * d0 - a[1, 5] * d1 - a[2, 5] * d2 - a[3, 5] * d3 - a[4, 5] * d4
    d5 = left * v[c, j + 5] + f[c, j + 5]
    left = r[c, j + 6] - a[0, 6] * d0 - a[1, 6] * d1 - a[2, 6] * d2 - a[3, 6] * d3
    left = left - a[4, 6] * d4 - a[5, 6] * d5
    d6 = left * v[c, j + 6] + f[c, j + 6]
    left = r[c, j + 7] - a[0, 7] * d0 - a[1, 7] * d1 - a[2, 7] * d2 - a[3, 7] * d3
    left = left - a[4, 7] * d4 - a[5, 7] * d5 - a[6, 7] * d6
    d7 = left * v[c, j + 7] + f[c, j + 7]
    change[0], change[1], change[2], change[3] = d0, d1, d2, d3
    change[4], change[5], change[6], change[7] = d4, d5, d6, d7


@jit_vector
def _add_moments(
    shock: NDArray[np.float64],
    inverse: NDArray[np.float64],
    v: float,
    beta: NDArray[np.float64],
    total: NDArray[np.float64],
    total_square: NDArray[np.float64],
) -> None:
    """Add E[beta | rest] and E[beta^2 | rest]."""
    for i in range(len(beta)):
        mean = beta[i] - shock[i]
        total[i] += mean
        total_square[i] += mean * mean + v * inverse[i]


@jit_vector
def _add_up(
    beta: NDArray[np.float64],
    b: NDArray[np.float64],
    residual: NDArray[np.float64],
    u: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """Set `out` to beta'b, beta'r and sum of u beta^2."""
    fit = 0.0
    left = 0.0
    weight = 0.0
    for i in range(len(beta)):
        fit += beta[i] * b[i]
        left += beta[i] * residual[i]
        weight += beta[i] * beta[i] * u[i]
    out[0] = fit
    out[1] = left
    out[2] = weight


@jit_vector
def _score(beta: NDArray[np.float64], direction: NDArray[np.float32]) -> float:
    """Return the sum of beta times a pseudo-person's genotypes."""
    total = 0.0
    for i in range(len(beta)):
        total += beta[i] * direction[i]
    return total


@jit_vector
def _add_up_small(
    small: NDArray[np.float64],
    beta: NDArray[np.float64],
    b: NDArray[np.float64],
    residual: NDArray[np.float64],
    others: NDArray[Any],
    product: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """Set `product` to R g = b - r - R h, and `out` to g'r and g'R g; beta = g + h."""
    with_residual = 0.0
    square = 0.0
    for i in range(len(beta)):
        value = b[i] - residual[i] - others[i]
        product[i] = value
        g = small[i] * beta[i]
        with_residual += g * residual[i]
        square += g * value
    out[0] = with_residual
    out[1] = square


@jit
def sweep_effects(
    items: NDArray[np.int64],
    starts: NDArray[np.int64],
    ld_starts: NDArray[np.int64],
    ld: NDArray[Any],
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
    is_small: NDArray[np.bool_],
    moves: NDArray[np.bool_],
    product: NDArray[np.float64],
    small_sums: NDArray[np.float64],
    directions: NDArray[np.float32],
    scores: NDArray[np.float64],
    precision: NDArray[Any],
) -> None:
    """Draw every effect of some blocks once, in order, given all else.

    beta_j | rest ~ N((r_j + R_jj beta_j) / (R_jj + u_j), v / (R_jj + u_j)), r = b - R beta,
    v = sigma/N; then r -= (change of beta_j) x column j. One read of a block serves all chains.

    With beta = g + h, g the effects of a set of variants that most are in, also R g, for
    `prs.kernels.csx_scale`: R h takes the columns of the few others while they are at hand, and
    R beta = b - r.

    Parameters
    ----------
    items : ndarray of int64
        Blocks to do.
    starts, ld_starts : ndarray of int64, shape (B + 1,)
        First effect of each block, and first entry of its LD in `ld`.
    ld : ndarray of float32, int16 or int8, shape (sum of m^2,)
        Symmetric m x m blocks, one after the other; times `ld_unit` they are correlations.
    diagonal : ndarray of float64, shape (T,)
        Diagonal used for R.
    b : ndarray of float64, shape (C, T) or (1, T)
        Marginal effects, of each chain or of all.
    index : ndarray of int64, shape (T,)
        Variant of each effect, in `u` and `is_small`.
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
    is_small : ndarray of bool, shape (C, P)
        Variants whose effects are in g.
    moves : ndarray of bool, shape (C,)
        Chains for which R g is wanted; of the others the next two are left alone.
    product : ndarray of float64, shape (C, T)
        Set to R g.
    small_sums : ndarray of float64, shape (C, B, 2)
        Set to g'r and g'R g of each block.
    directions : ndarray of float32, shape (d, T)
        Genotypes of pseudo-people.
    scores : ndarray of float64, shape (C, B, d)
        Set to each block's part of their scores.
    precision : ndarray of float32 or float64
        Its type is that of the residual while a block is swept. Rounding of float32 (6e-8 of r
        for each step) is far below the noise of a draw, and the float64 residual is refreshed
        now and then.
    """
    n_chains = beta.shape[0]
    widest = 0
    for item in range(len(items)):
        widest = max(widest, starts[items[item] + 1] - starts[items[item]])
    shape = (n_chains, widest + _WIDTH)
    near_u, small, shock = np.empty(shape), np.empty(shape), np.empty(shape)
    inverse, fixed = np.empty(shape), np.empty(shape)
    r, others = np.empty(shape, precision.dtype), np.empty(shape, precision.dtype)
    near, change = np.zeros((_WIDTH, _WIDTH)), np.zeros(_WIDTH)
    step, one = np.zeros(_WIDTH, precision.dtype), np.zeros(1, precision.dtype)
    for item in range(len(items)):
        block = items[item]
        start, stop = starts[block], starts[block + 1]
        m = stop - start
        base = ld_starts[block]
        for c in range(n_chains):
            stream = streams[block, c]
            for i in range(m):
                shock[c, i] = draw_normal(stream)
            for i in range(m):
                j = index[start + i]
                near_u[c, i] = u[c, j]
                small[c, i] = is_small[c, j]
            _prepare(
                diagonal[start:stop], near_u[c, :m], beta[c, start:stop], residual[c, start:stop],
                noise[c, block], inverse[c, : m + _WIDTH], shock[c, :m], fixed[c, : m + _WIDTH],
                r[c, : m + _WIDTH], others[c, :m],
            )  # fmt: skip
        matrix = ld[base : base + m * m].reshape((m, m))
        for j in range(0, m, _WIDTH):
            n = min(_WIDTH, m - j)
            _take_corner(near, matrix, j, ld_unit)
            for c in range(n_chains):
                _draw_panel(near, r, inverse, fixed, c, j, change)
                for k in range(_WIDTH):
                    step[k] = change[k] * ld_unit
                _subtract_columns(r, c, matrix, j, step)
                for k in range(n):
                    t = start + j + k
                    off = diagonal[t] - matrix[j + k, j + k] * ld_unit
                    r[c, j + k] -= off * change[k]
                    beta[c, t] += change[k]
                    if moves[c] and small[c, j + k] == 0.0:
                        one[0] = beta[c, t] * ld_unit
                        _add_column(others, c, matrix, j + k, one)
                        others[c, j + k] += off * beta[c, t]
        for c in range(n_chains):
            for i in range(m):
                residual[c, start + i] = r[c, i]
            here = beta[c, start:stop]
            data = b[min(c, len(b) - 1), start:stop]
            rest = residual[c, start:stop]
            _add_up(here, data, rest, near_u[c, :m], sums[c, block])
            for d in range(len(directions)):
                scores[c, block, d] = _score(here, directions[d, start:stop])
            if accumulate:
                _add_moments(
                    shock[c, :m], inverse[c, :m], noise[c, block], here,
                    total[c, start:stop], total_square[c, start:stop],
                )  # fmt: skip
            if moves[c]:
                _add_up_small(
                    small[c, :m], here, data, rest, others[c, :m],
                    product[c, start:stop], small_sums[c, block],
                )  # fmt: skip


@jit_vector
def refresh_residuals(
    items: NDArray[np.int64],
    starts: NDArray[np.int64],
    ld_starts: NDArray[np.int64],
    ld: NDArray[Any],
    ld_unit: float,
    diagonal: NDArray[np.float64],
    b: NDArray[np.float64],
    beta: NDArray[np.float64],
    residual: NDArray[np.float64],
) -> None:
    """Set residual = b - R beta of some blocks anew, so that rounding does not add up.

    Parameters are those of `sweep_effects`; everything is summed in float64.
    """
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
                own = diagonal[start + j] * effects[j]
                data = b[min(c, len(b) - 1), start + j]
                residual[c, start + j] = data - product * ld_unit - own
