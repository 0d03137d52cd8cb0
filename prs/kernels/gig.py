"""Exact draws of local scales: generalised inverse Gaussian, and psi with delta integrated out.

Both densities are log-concave in the logarithm of the variable whatever the parameters, so one
rejection sampler serves all of them: an envelope of three pieces (flat at the mode, tangents on
both sides, as in Devroye 2014, Statistics and Computing 24:239), cut off where the support ends.
Its constants follow from the curvature in closed form; nothing is searched for, and no parameter
makes it hang. Everything is relative to the mode, so that neither tiny nor huge parameters
overflow.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from prs.kernels._jit import jit
from prs.kernels.rng import draw_uniform

__all__ = ["draw_gig", "draw_gig_array", "draw_inverse_psi"]

_TINY = 1e-290  # keeps quotients finite; far below any parameter that occurs
_BIG = 1e280


@jit
def _hyperbolic_reach(weight: float) -> float:
    """Return x with weight (cosh x - 1) = 1: there weight (e^x - 1 - x) has passed 1."""
    y = 1.0 / max(weight, _TINY)
    if y > 1e100:
        return math.log(y) + 0.6931471805599453
    return math.log(1.0 + y + math.sqrt(y * (y + 2.0)))


@jit
def _rational_reach(weight: float) -> float:
    """Return x with weight x^2 / (2 + x) = 1: there weight (e^-x - 1 + x) has passed 1."""
    y = 1.0 / max(weight, 1e-140)
    return 0.5 * (y + math.sqrt(y * (y + 8.0)))


@jit
def _log_density(
    x: float, rise: float, c: float, q: float, w: float, rest: float, fall: float
) -> tuple[float, float]:
    """Return the log density relative to its mode at 0, and its slope.

    ``c x - q log(1 + w (e^x - 1)) - rise (e^x - 1) - fall (e^-x - 1)``: a GIG has q = 0,
    the psi draw has fall = 0; rest = 1 - w, which may be far below the rounding of w.
    """
    e = math.exp(x)
    grown = math.expm1(x)
    value = c * x - rise * grown
    slope = c - rise * e
    if q > 0.0:
        inside = rest + w * e
        value -= q * (math.log1p(w * grown) if x > -0.5 else math.log(inside))
        slope -= q * w * e / inside
    if fall > 0.0:
        value -= fall * math.expm1(-x)
        slope += fall / e
    return value, slope


@jit
def _draw_log_concave(
    state: NDArray[np.uint64],
    rise: float,
    c: float,
    q: float,
    w: float,
    rest: float,
    fall: float,
    left: float,
    right: float,
    low: float,
) -> float:
    """Draw x > `low` from `_log_density` given rough reaches (drops of about 1) on both sides.

    A tangent at any point of a concave function lies above it, so the draw is exact wherever
    the tangents touch; the reaches only decide how many proposals are needed.
    """
    right = min(right, 600.0)
    left = min(left, 600.0)
    if low >= right:  # the support begins in the right-hand tail: one tangent there
        at, slope_at = _log_density(low, rise, c, q, w, rest, fall)
        rate = -slope_at
        while True:
            step = -math.log(draw_uniform(state)) / rate
            x = low + step
            value = -math.inf
            if x < 650.0:
                value = _log_density(x, rise, c, q, w, rest, fall)[0]
            if math.log(draw_uniform(state)) <= value - at + rate * step:
                return x
    value_right, slope_right = _log_density(right, rise, c, q, w, rest, fall)
    for _ in range(8):  # Newton towards a drop of 1, from outside: monotone
        if value_right > -2.5:
            break
        right -= (value_right + 1.0) / slope_right
        value_right, slope_right = _log_density(right, rise, c, q, w, rest, fall)
    rate_right = -slope_right
    edge_right = right + value_right / rate_right  # where the tangent meets 0
    value_left, slope_left = _log_density(-left, rise, c, q, w, rest, fall)
    for _ in range(8):
        if value_left > -2.5:
            break
        left += (value_left + 1.0) / slope_left
        value_left, slope_left = _log_density(-left, rise, c, q, w, rest, fall)
    edge_left = -left - value_left / slope_left

    start = max(low, edge_left)
    flat = max(edge_right - start, 0.0)
    begin_right = max(edge_right, start)
    mass_right = math.exp(-rate_right * (begin_right - edge_right)) / rate_right
    mass_left = 0.0
    floor = 0.0  # share of the left tail that the cut removes
    if low < edge_left:
        floor = math.exp(slope_left * max(low - edge_left, -700.0))
        mass_left = (1.0 - floor) / slope_left
    total = flat + mass_right + mass_left
    while True:
        u = draw_uniform(state) * total
        if u < flat:
            x = start + u
            hat = 0.0
        elif u < flat + mass_right:
            x = begin_right - math.log(draw_uniform(state)) / rate_right
            hat = -rate_right * (x - edge_right)
        else:
            v = draw_uniform(state)
            x = edge_left + math.log(floor + v * (1.0 - floor)) / slope_left
            hat = slope_left * (x - edge_left)
        if x > 650.0:
            continue
        value = _log_density(x, rise, c, q, w, rest, fall)[0]
        if math.log(draw_uniform(state)) <= value - hat and x >= low:
            return x


@jit
def draw_gig(state: NDArray[np.uint64], p: float, alpha: float, chi: float, upper: float) -> float:
    """Draw from GIG(p, alpha, chi), density ~ x^(p-1) exp(-(alpha x + chi/x)/2), x <= upper.

    Parameters
    ----------
    state : ndarray of uint64, shape (4,)
        Stream.
    p : float
        Index; for p <= 0 chi must be positive (a chi of 0 is taken as 1e-280).
    alpha, chi : float
        Non-negative; alpha > 0.
    upper : float
        Upper end of the support; infinity for none.
    """
    chi = max(chi, 1.0 / _BIG)
    product = math.sqrt(alpha) * math.sqrt(chi)
    root = math.hypot(p, product)
    # with y = 1/x the lower end of log y is -log upper; the mode of log x is at x = mode
    if p >= 0.0:
        rise = 0.5 * (root + p)
        fall = 0.5 * product * (product / (root + p))
        log_mode = math.log(root + p) - math.log(alpha)
    else:
        fall = 0.5 * (root - p)
        rise = 0.5 * product * (product / (root - p))
        log_mode = math.log(chi) - math.log(root - p)
    curve = _rational_reach(rise + fall)
    up = min(_hyperbolic_reach(rise), curve)
    down = min(_hyperbolic_reach(fall), curve)
    # sample -x, so that the cut is at the lower end: rise and fall change places, p its sign
    low = -650.0 if upper == math.inf else log_mode - math.log(upper)
    x = _draw_log_concave(state, fall, -p, 0.0, 0.0, 1.0, rise, up, down, low)
    return min(math.exp(log_mode - x), upper)


@jit
def draw_gig_array(
    state: NDArray[np.uint64],
    p: NDArray[np.float64],
    alpha: NDArray[np.float64],
    chi: NDArray[np.float64],
    upper: float,
    out: NDArray[np.float64],
) -> None:
    """Fill `out` with one `draw_gig` for each row of the parameters; all of shape (M,)."""
    for j in range(len(out)):
        out[j] = draw_gig(state, p[j], alpha[j], chi[j], upper)


@jit
def draw_inverse_psi(
    state: NDArray[np.uint64], shape: float, q: float, phi: float, chi: float, lower: float
) -> float:
    """Draw u = 1/psi given phi and the effects, with delta integrated out; u >= lower.

    With psi ~ Gamma(a, delta), delta ~ Gamma(b, phi) and n effects beta_k ~ N(0, sigma_k psi /
    N_k), chi = sum N_k beta_k^2 / sigma_k, the density of u is ~ u^(n/2 + b - 1)
    (1 + phi u)^-(a + b) exp(-chi u / 2).

    Parameters
    ----------
    state : ndarray of uint64, shape (4,)
        Stream.
    shape : float
        n/2 + b.
    q : float
        a + b.
    phi, chi : float
        Positive.
    lower : float
        1/psi_max; 0 for no truncation.
    """
    half = 0.5 * max(chi, 1e-40)
    # mode in log u: shape - q phi u/(1 + phi u) - half u = 0, a quadratic in u with one
    # positive root; the form of the root that does not cancel
    linear = (shape - q) * phi - half
    root = math.sqrt(linear * linear + 4.0 * half * phi * shape)
    top = linear + root if linear >= 0.0 else 2.0 * shape
    mode = top / (2.0 * half * phi if linear >= 0.0 else root - linear)
    rise = half * mode
    w = phi * mode / (1.0 + phi * mode)
    rest = 1.0 / (1.0 + phi * mode)
    bend = q * w * rest
    right = min(_hyperbolic_reach(rise), _rational_reach(bend))
    left = min(_rational_reach(rise + bend), math.log(1.0 + 5.0 / max(rest, 1e-200)))
    low = -650.0 if lower <= 0.0 else math.log(lower / mode)
    # shape = rise + q w up to rounding; the sum keeps the slope at the mode exactly 0
    x = _draw_log_concave(state, rise, rise + q * w, q, w, rest, 0.0, left, right, low)
    return max(mode * math.exp(x), lower)
