"""Draws of psi by strips: the law of phi/psi in tables, for the many variants of a sweep.

Given phi and the effects, with delta integrated out, v = phi/psi has a density that depends on
the variant through one number only, k = chi/(2 phi), and on its number of populations n:

    g(v) ~ v^(s-1) (1 + v)^-q exp(-k v),   s = n/2 + b,  q = a + b

Tables for k on a fine grid (8 values an octave) thus serve all variants at every phi. Each covers
g by strips of equal area (Ahrens 1995, Computing 54:127), so that a strip is chosen and a point
in it placed by one uniform number; a point below the strip's lowest density over the grid cell is
taken without working out g. Draws are exact: what is not settled that way is compared with g
itself, and what the tables do not cover is drawn by `prs.kernels.gig.draw_inverse_psi`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from prs.kernels._jit import jit
from prs.kernels.gig import draw_inverse_psi
from prs.kernels.rng import draw_uniform

__all__ = ["draw_inverse_psi_by_strips", "make_strips"]

_LOWEST, _HIGHEST = -40, 24  # powers of 2 of k that the tables cover
_SHIFT = 49  # bits of a double below its exponent and the 3 leading bits of its mantissa
_N_STRIPS = 64
_FIRST = int(np.float64(2.0**_LOWEST).view(np.int64)) >> _SHIFT


# A row of a table: these numbers, then the ends of the strips (ascending), then of each strip the
# share of its height that g reaches everywhere in it.
_COUNT = 0  # strips
_TOTAL = 1  # area of strips and tail, in strips
_LEVEL = 2  # log area of a strip
_SLOPE, _TAIL = 3, 4  # beyond the last end v g(v) is at most exp(tail) (v / end)^-slope
_MIDDLE = 5  # the support may begin up to here; -1 where the table does not serve
_EDGES = 8


def make_strips(a: float, b: float, n_max: int) -> NDArray[np.float64]:
    """Return the tables for 1 to `n_max` populations; with n/2 + b < 1, g has a pole and none.

    Parameters
    ----------
    a, b : float
        Shapes of the prior.
    n_max : int

    Returns
    -------
    ndarray of float64, shape (n_max, cells of the grid of k, columns)
    """
    cells = 8 * (_HIGHEST - _LOWEST)
    grid = ((np.arange(cells + 1) + _FIRST) << _SHIFT).view(np.float64)
    k, k_next = grid[:-1], grid[1:]
    q = a + b
    rows = [_cover(0.5 * n + b, q, k, k_next) for n in range(1, n_max + 1)]
    widest = max(len(row[1]) for row in rows)
    table = np.zeros((n_max, cells, _EDGES + 2 * widest + 1))
    for i, (header, edges, squeeze) in enumerate(rows):
        table[i, :, : len(header)] = header.T
        table[i, :, _EDGES : _EDGES + len(edges)] = edges.T
        table[i, :, _EDGES + widest + 1 : _EDGES + widest + 1 + len(squeeze)] = squeeze.T
    return table


def _cover(
    s: float, q: float, k: NDArray[np.float64], k_next: NDArray[np.float64]
) -> tuple[NDArray[np.float64], ...]:
    """Return the numbers in front (6, L), ends (S + 1, L) and squeezes (S, L) for one n."""
    n = len(k)
    if s < 1.0:
        header = np.zeros((6, n))
        header[_MIDDLE] = -1.0
        return header, np.zeros((1, n)), np.zeros((0, n))

    def log_g(v: NDArray[np.float64], k: NDArray[np.float64]) -> NDArray[np.float64]:
        power = 0.0 if s == 1.0 else (s - 1.0) * np.log(v)
        return power - q * np.log1p(v) - k * v

    linear = k + q - (s - 1.0)  # mode: k v^2 + linear v - (s - 1) = 0, without cancelling
    root = np.sqrt(linear**2 + 4.0 * k * (s - 1.0))
    mode = np.where(linear >= 0.0, 2.0 * (s - 1.0) / (linear + root), (root - linear) / (2.0 * k))
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        peak = log_g(mode, k)
        x = np.arange(-60.0, 45.0, 0.2)[:, None]
        area = 0.2 * np.exp(log_g(np.exp(x), k) + x - peak).sum(axis=0) / _N_STRIPS
        left, right = [], [mode]
        low = mode
        while (low > 0.0).any():
            low = np.where(low > 0.0, np.maximum(low - area / np.exp(log_g(low, k) - peak), 0), -1)
            left.append(low)
        open_ = np.ones(n, dtype=bool)
        slope, tail = np.ones(n), np.zeros(n)
        while True:
            v = right[-1]
            slope = np.where(open_, k * v + q * v / (1.0 + v) - s, slope)
            tail = np.where(open_, log_g(v, k) + np.log(v), tail)
            open_ = open_ & ~((slope > 0.0) & (tail - peak - np.log(slope) <= np.log(area)))
            if not open_.any():
                break
            right.append(np.where(open_, v + area / np.exp(log_g(v, k) - peak), v))
        edges = np.array([*left[::-1], *right])
        ahead = (edges < 0.0).sum(axis=0)  # what cells with fewer strips on the left lack
        edges = np.take_along_axis(
            edges, np.minimum(np.arange(len(edges))[:, None] + ahead, len(edges) - 1), axis=0
        )
        width = np.diff(edges, axis=0)
        count = (width > 0.0).sum(axis=0)
        ends = np.exp(log_g(edges, k_next) - peak)  # 0 at v = 0 unless s is 1
        squeeze = np.minimum(ends[:-1], ends[1:]) * width / area
    squeeze = np.where(width > 0.0, squeeze * (1.0 - 1e-9), 0.0)  # the rounding of exp
    total = count + np.exp(tail - peak) / slope / area
    middle = np.take_along_axis(edges, (count // 2)[None], axis=0)[0]
    header = np.array([count, total, np.log(area) + peak, slope, tail, middle])
    return header, edges, squeeze


@jit
def draw_inverse_psi_by_strips(
    state: NDArray[np.uint64],
    n: int,
    shape: float,
    q: float,
    phi: float,
    chi: float,
    lower: float,
    table: NDArray[np.float64],
) -> float:
    """Draw u = 1/psi given phi and the effects, with delta integrated out; u >= lower.

    Parameters are those of `prs.kernels.gig.draw_inverse_psi`, with the number of populations
    n and the tables of `make_strips`.
    """
    k = 0.5 * chi / phi
    cut = phi * lower
    row = n - 1
    at = (np.float64(k).view(np.int64) >> _SHIFT) - _FIRST
    if at < 0 or at >= table.shape[1] or not cut <= table[row, at, _MIDDLE]:
        return draw_inverse_psi(state, shape, q, phi, chi, lower)
    count = int(table[row, at, _COUNT])
    total = table[row, at, _TOTAL]
    squeezes = (table.shape[2] + _EDGES + 1) // 2
    while True:
        place = draw_uniform(state) * total
        i = int(place)
        if i < count:
            low = table[row, at, _EDGES + i]
            width = table[row, at, _EDGES + i + 1] - low
            v = low + (place - i) * width
            height = draw_uniform(state)
            if v >= cut:
                if height < table[row, at, squeezes + i]:
                    break
                log_g = (shape - 1.0) * math.log(v) - q * math.log1p(v) - k * v
                if math.log(height / width) + table[row, at, _LEVEL] < log_g:
                    break
        else:
            slope = table[row, at, _SLOPE]
            step = -math.log(draw_uniform(state)) / slope
            v = table[row, at, _EDGES + count] * math.exp(step)
            log_f = shape * math.log(v) - q * math.log1p(v) - k * v
            hat = table[row, at, _TAIL] - slope * step
            if math.log(draw_uniform(state)) + hat < log_f and v >= cut:
                break
    return max(v / phi, lower)
