"""The reference tool's draws: effects block by block through Cholesky, psi by an uncut GIG, clip.

Layout as in `prs.kernels.csx`. Used by ``target="reference"`` only.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prs.kernels._jit import jit, jit_reduce
from prs.kernels.gig import draw_gig
from prs.kernels.rng import draw_gamma, draw_normal

__all__ = ["draw_block_effects", "draw_clipped_scales"]


@jit_reduce
def _factorise(matrix: NDArray[np.float64]) -> bool:
    """Replace the lower triangle by the Cholesky factor; False if not positive definite."""
    for i in range(len(matrix)):
        row = matrix[i]
        for j in range(i):
            other = matrix[j]
            value = row[j]
            for k in range(j):
                value -= row[k] * other[k]
            row[j] = value / other[j]
        value = row[i]
        for k in range(i):
            value -= row[k] * row[k]
        if not value > 0.0:
            return False
        row[i] = math.sqrt(value)
    return True


@jit_reduce
def draw_block_effects(
    items: NDArray[np.int64],
    starts: NDArray[np.int64],
    ld_starts: NDArray[np.int64],
    ld: NDArray[Any],
    ld_unit: float,
    b: NDArray[np.float64],
    index: NDArray[np.int64],
    u: NDArray[np.float64],
    noise: NDArray[np.float64],
    beta: NDArray[np.float64],
    streams: NDArray[np.uint64],
    sums: NDArray[np.float64],
) -> None:
    """Draw the effects of some blocks jointly: N(D^-1 b, v D^-1), D = R + diag(u), v = sigma/N.

    Parameters are those of `prs.kernels.csx_sweep.sweep_effects`; ``sums`` is NaN for a block
    whose D is not positive definite. With D = L L', t = L^-1 b + sqrt(v) z and
    beta = L'^-1 t, so that beta'D beta = t't.
    """
    for item in range(len(items)):
        block = items[item]
        start, stop = starts[block], starts[block + 1]
        m = stop - start
        base = ld_starts[block]
        factor = np.empty((m, m))
        t = np.empty(m)
        for c in range(beta.shape[0]):
            for i in range(m):
                for j in range(i + 1):
                    factor[i, j] = ld[base + i * m + j] * ld_unit
                factor[i, i] += u[c, index[start + i]]
            if not _factorise(factor):
                sums[c, block, :] = np.nan
                continue
            scale = math.sqrt(noise[c, block])
            for i in range(m):
                row = factor[i]
                value = b[start + i]
                for k in range(i):
                    value -= row[k] * t[k]
                t[i] = value / row[i]
            for i in range(m):  # t still holds L^-1 b: shocks are added after the solve
                t[i] += scale * draw_normal(streams[block, c])
            quadratic = 0.0
            for i in range(m):
                quadratic += t[i] * t[i]
            for i in range(m - 1, -1, -1):
                row = factor[i]
                value = t[i] / row[i]
                t[i] = value
                for k in range(i):
                    t[k] -= value * row[k]
            fit = 0.0
            weight = 0.0
            for i in range(m):
                beta[c, start + i] = t[i]
                fit += t[i] * b[start + i]
                weight += t[i] * t[i] * u[c, index[start + i]]
            sums[c, block, 0] = fit
            sums[c, block, 1] = fit - (quadratic - weight)
            sums[c, block, 2] = weight


@jit
def draw_clipped_scales(
    items: NDArray[np.int64],
    chunks: NDArray[np.int64],
    groups: NDArray[np.int64],
    where: NDArray[np.int64],
    scale: NDArray[np.float64],
    beta: NDArray[np.float64],
    phi: NDArray[np.float64],
    copies: NDArray[np.int64],
    a: float,
    b: float,
    upper: float,
    u: NDArray[np.float64],
    delta: NDArray[np.float64],
    streams: NDArray[np.uint64],
) -> None:
    """Draw delta given psi, then psi given delta and the effects, and clip psi at `upper`.

    Parameters are those of `prs.kernels.csx.draw_local_scales`, with n_j in `copies`, the
    prior's shapes a and b, and delta (C, P), which is set.
    """
    for item in range(len(items)):
        chunk = items[item]
        group = groups[chunk]
        for c in range(beta.shape[0]):
            stream = streams[chunk, c]
            for j in range(chunks[chunk], chunks[chunk + 1]):
                chi = 0.0
                for k in range(where.shape[0]):
                    t = where[k, j]
                    if t >= 0:
                        chi += scale[c, group, k] * beta[c, t] * beta[c, t]
                delta[c, j] = draw_gamma(stream, a + b) / (1.0 / u[c, j] + phi[c, group])
                psi = draw_gig(stream, a - 0.5 * copies[j], 2.0 * delta[c, j], chi, math.inf)
                u[c, j] = 1.0 / min(psi, upper)
