"""Random numbers whose state we hold: xoshiro256++ streams, uniform, normal and gamma draws.

A stream is four 64-bit words in an array of ours, so that a run can be stopped and resumed to
the bit, and so that each (chain, block) has its own whatever thread works on it. Sums modulo
2^64 are written out of 63-bit ones: no operation overflows, and the same code runs compiled and
interpreted.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from prs.kernels._jit import jit

__all__ = ["draw_gamma", "draw_normal", "draw_u64", "draw_uniform", "make_streams"]

_LOW63 = np.uint64(0x7FFFFFFFFFFFFFFF)
_TOP = np.uint64(0x8000000000000000)
_U9 = np.uint64(9)
_U11 = np.uint64(11)
_U8 = np.uint64(8)
_U17 = np.uint64(17)
_U19 = np.uint64(19)
_U23 = np.uint64(23)
_U41 = np.uint64(41)
_U45 = np.uint64(45)
_BYTE = np.uint64(0xFF)
_ONE = np.uint64(1)
_LOW52 = np.uint64(0x000FFFFFFFFFFFFF)

_ZIGGURAT_R = 3.6541528853610088  # start of the tail of a 256-layer normal ziggurat
_ZIGGURAT_V = 0.00492867323397465524494  # area of each layer


def _ziggurat_tables() -> tuple[NDArray[np.uint64], NDArray[np.float64], NDArray[np.float64]]:
    """Return layer limits (52-bit integers), widths and heights (Marsaglia & Tsang 2000)."""
    scale = 2.0**52
    limit = np.zeros(256, np.uint64)
    width = np.zeros(256)
    height = np.zeros(256)
    edge = previous = _ZIGGURAT_R
    base = _ZIGGURAT_V / math.exp(-0.5 * edge * edge)
    limit[0] = np.uint64(edge / base * scale)
    width[0], width[255] = base / scale, edge / scale
    height[0], height[255] = 1.0, math.exp(-0.5 * edge * edge)
    for i in range(254, 0, -1):
        edge = math.sqrt(-2.0 * math.log(_ZIGGURAT_V / edge + math.exp(-0.5 * edge * edge)))
        limit[i + 1] = np.uint64(edge / previous * scale)
        previous = edge
        height[i], width[i] = math.exp(-0.5 * edge * edge), edge / scale
    return limit, width, height


_LIMIT, _WIDTH, _HEIGHT = _ziggurat_tables()


def make_streams(seed: int, key: tuple[int, ...], shape: tuple[int, ...]) -> NDArray[np.uint64]:
    """Return the starting states of independent streams.

    Parameters
    ----------
    seed : int
        The run's seed.
    key : tuple of int
        Which part of the run (stage, chain); another key gives unrelated streams.
    shape : tuple of int
        Shape of the array of streams.

    Returns
    -------
    ndarray of uint64, shape (*shape, 4)
        From `numpy.random.SeedSequence`; stream i does not depend on how many there are.
    """
    n = int(np.prod(shape, dtype=np.int64))
    words = np.random.SeedSequence(seed, spawn_key=key).generate_state(4 * n, np.uint64)
    return words.astype(np.uint64, copy=False).reshape(*shape, 4)


@jit
def _add(a: np.uint64, b: np.uint64) -> np.uint64:
    """Return (a + b) mod 2^64 without an overflow."""
    return ((a & _LOW63) + (b & _LOW63)) ^ ((a ^ b) & _TOP)


@jit
def draw_u64(state: NDArray[np.uint64]) -> np.uint64:
    """Return 64 random bits and advance `state` (4 words): xoshiro256++ (Blackman & Vigna)."""
    s0, s1, s2, s3 = state[0], state[1], state[2], state[3]
    x = _add(s0, s3)
    result = _add((x << _U23) | (x >> _U41), s0)
    t = s1 << _U17
    s2 ^= s0
    s3 ^= s1
    state[1] = s1 ^ s2
    state[0] = s0 ^ s3
    state[2] = s2 ^ t
    state[3] = (s3 << _U45) | (s3 >> _U19)
    return result


@jit
def draw_uniform(state: NDArray[np.uint64]) -> float:
    """Return a uniform draw from the open interval (0, 1), a multiple of 2^-53 plus 2^-54."""
    return (np.float64(draw_u64(state) >> _U11) + 0.5) * 1.1102230246251565e-16


@jit
def draw_normal(state: NDArray[np.uint64]) -> float:
    """Return a standard normal draw (256-layer ziggurat)."""
    while True:
        bits = draw_u64(state)
        layer = np.int64(bits & _BYTE)
        part = (bits >> _U9) & _LOW52
        x = np.float64(part) * _WIDTH[layer]
        if (bits >> _U8) & _ONE:
            x = -x
        if part < _LIMIT[layer]:
            return x
        if layer == 0:  # beyond the last layer: Marsaglia's tail
            while True:
                tail = -math.log(draw_uniform(state)) / _ZIGGURAT_R
                y = -math.log(draw_uniform(state))
                if y + y > tail * tail:
                    return _ZIGGURAT_R + tail if x > 0 else -_ZIGGURAT_R - tail
        step = _HEIGHT[layer - 1] - _HEIGHT[layer]
        if step * draw_uniform(state) + _HEIGHT[layer] < math.exp(-0.5 * x * x):
            return x


@jit
def draw_gamma(state: NDArray[np.uint64], shape: float) -> float:
    """Return a Gamma(`shape`, 1) draw, shape > 0 (Marsaglia & Tsang 2000)."""
    boost = 1.0
    if shape < 1.0:
        boost = draw_uniform(state) ** (1.0 / shape)
        shape += 1.0
    d = shape - 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    while True:
        x = draw_normal(state)
        v = 1.0 + c * x
        if v <= 0.0:
            continue
        v = v * v * v
        u = draw_uniform(state)
        if math.log(u) < 0.5 * x * x + d - d * v + d * math.log(v):
            return boost * d * v
