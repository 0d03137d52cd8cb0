"""Random streams, and the draws of local scales over the whole range of their parameters."""

from __future__ import annotations

import itertools
import math
import os

import numpy as np
import pytest
from naive_gig import distribution, log_gig, log_inverse_psi
from scipy import stats

from prs.kernels._jit import jit
from prs.kernels.gig import draw_gig, draw_gig_array, draw_inverse_psi
from prs.kernels.psi import draw_inverse_psi_by_strips, make_strips
from prs.kernels.rng import draw_gamma, draw_normal, draw_u64, draw_uniform, make_streams

INTERPRETED = os.environ.get("NUMBA_DISABLE_JIT") == "1"
N = 400 if INTERPRETED else 20_000
# The seeds are fixed, so a test passes always or never. Each compares about 100 p-values, so
# that a right sampler has one below 1e-6 with probability 1e-4.
P_MIN = 1e-6


@jit
def _fill(state, kind, p, q, r, s, lower, out):
    for i in range(len(out)):
        if kind == 0:
            out[i] = draw_normal(state)
        elif kind == 1:
            out[i] = draw_uniform(state)
        elif kind == 2:
            out[i] = draw_gamma(state, p)
        elif kind == 3:
            out[i] = draw_gig(state, p, q, r, lower)
        else:
            out[i] = draw_inverse_psi(state, p, q, r, s, lower)


def _draws(kind, p=0.0, q=0.0, r=0.0, s=0.0, lower=0.0, n=N, seed=1):
    out = np.empty(n)
    state = make_streams(seed, (kind,), (1,))[0]
    _fill(state, kind, float(p), float(q), float(r), float(s), float(lower), out)
    return out


def test_streams_are_xoshiro256pp():
    # the published algorithm in Python integers, where nothing wraps by itself
    state = make_streams(3, (0,), (2,))[1]
    words, mask = [int(w) for w in state], 2**64 - 1

    def rotate(x, k):
        return ((x << k) | (x >> (64 - k))) & mask

    for _ in range(50):
        s0, s1, s2, s3 = words
        expected = (rotate((s0 + s3) & mask, 23) + s0) & mask
        t = (s1 << 17) & mask
        s2, s3 = s2 ^ s0, s3 ^ s1
        words = [s0 ^ s3, s1 ^ s2, s2 ^ t, rotate(s3, 45)]
        assert int(draw_u64(state)) == expected


def test_streams_differ_and_do_not_depend_on_their_number():
    few, many = make_streams(3, (1,), (4,)), make_streams(3, (1,), (40,))
    assert np.array_equal(few, many[:4])
    assert len(np.unique(many)) == many.size
    assert not np.array_equal(few, make_streams(3, (2,), (4,)))


def test_basic_draws():
    assert stats.kstest(_draws(0), "norm").pvalue > P_MIN
    assert stats.kstest(_draws(1), "uniform").pvalue > P_MIN
    for shape in (0.3, 1.0, 1.5, 40.0):
        assert stats.kstest(_draws(2, shape), stats.gamma(shape).cdf).pvalue > P_MIN


@pytest.mark.parametrize("p", [0.5, 0.0, -0.5, -1.0, 2.5])
@pytest.mark.parametrize("upper", [math.inf, 1.0])
def test_gig_against_scipy(p, upper):
    for alpha, chi in itertools.product((1e-2, 1.0, 1e3), (1e-3, 1.0, 30.0)):
        law = stats.geninvgauss(p, math.sqrt(alpha * chi), scale=math.sqrt(chi / alpha))
        draws = _draws(3, p, alpha, chi, lower=upper)
        assert draws.max() <= upper
        log_x = np.log(draws)
        span = np.ptp(log_x)
        # scipy's density; its distribution function fails where the tails are long
        cdf = distribution(
            lambda x, law=law: law.logpdf(x) + np.log(x),
            log_x.min() - span,
            min(log_x.max() + span, math.log(upper)),
        )
        assert stats.kstest(log_x, cdf).pvalue > P_MIN, (alpha, chi)


def test_gig_extremes_are_finite_and_right():
    for p, alpha, chi in itertools.product(
        (-0.5, 0.0, 0.5), (1e-3, 1.0, 1e6, 1e12), (0.0, 1e-30, 1e-12, 1.0, 1e4)
    ):
        for upper in (math.inf, 1.0):
            draws = _draws(3, p, alpha, chi, lower=upper, n=min(N, 2000))
            assert np.isfinite(draws).all()
            assert (draws > 0).all()
            assert (draws <= upper).all()
            if chi == 0.0 or (draws == upper).any():
                continue
            log_x = np.log(draws)
            span = max(np.ptp(log_x), 1e-12)
            high = min(log_x.max() + span, math.log(upper))
            cdf = distribution(
                lambda x, p=p, a=alpha, c=chi: log_gig(x, p, a, c), log_x.min() - span, high
            )
            # where the law is narrower than the rounding of a log, the ranks are noise
            if span > 1e-9:
                assert stats.kstest(log_x, cdf).pvalue > P_MIN, (p, alpha, chi, upper)


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_inverse_psi_over_the_whole_range(n):
    for phi, chi, lower in itertools.product(
        10.0 ** np.arange(-12, 4, 3), 10.0 ** np.arange(-30, 5, 4.25), (0.0, 1.0, 0.01)
    ):
        u = _draws(4, n / 2 + 0.5, 1.5, phi, chi, lower, n=min(N, 2000))
        assert np.isfinite(u).all()
        assert (u > 0).all()
        assert (u >= lower).all()
        log_u = np.log(u)
        span = np.ptp(log_u)
        low = max(log_u.min() - span, math.log(lower) if lower else -math.inf)
        cdf = distribution(
            lambda x, p=phi, c=chi: log_inverse_psi(x, n, 1.0, 0.5, p, c),
            low,
            log_u.max() + span,
        )
        assert stats.kstest(log_u, cdf).pvalue > P_MIN, (phi, chi, lower)


@jit
def _fill_by_strips(state, n, q, phi, chi, lower, strips, out):
    for i in range(len(out)):
        out[i] = draw_inverse_psi_by_strips(state, n, 0.5 * n + q - 1.0, q, phi, chi, lower, strips)


@pytest.mark.parametrize("n, b", [(1, 0.5), (2, 0.5), (3, 0.5), (5, 0.5), (1, 0.2), (2, 2.0)])
def test_inverse_psi_by_strips(n, b):
    # the grid of k = chi / (2 phi) from end to end and beyond, cell edges, and cuts that take
    # nothing, some and nearly all; where the tables do not serve, the direct draw does
    strips = make_strips(1.0, b, n)
    rng = np.random.default_rng(n)
    grid = [0.0, 2.0**-40, 2.0**24, 1.0, 1.125, np.nextafter(1.125, 0), 1e-300]
    grid += list(10 ** rng.uniform(-13, 8, 4 if INTERPRETED else 18))
    for i, k in enumerate(grid):
        for cut in (0.0, 0.1, 10.0):
            phi = 10 ** rng.uniform(-6, 1)
            chi, lower = 2 * k * phi, cut / phi / max(k, 1.0)
            u = np.empty(N)
            state = make_streams(i, (n,), (1,))[0]
            _fill_by_strips(state, n, 1.0 + b, phi, chi, lower, strips, u)
            assert np.isfinite(u).all()
            assert (u > 0).all()
            assert (u >= lower).all()
            if chi < 1e-40:  # taken as 2e-40
                continue
            log_u = np.log(u)
            span = np.ptp(log_u)
            low = max(log_u.min() - span, math.log(lower) if lower else -math.inf)
            cdf = distribution(
                lambda x, p=phi, c=chi: log_inverse_psi(x, n, 1.0, b, p, c),
                low,
                log_u.max() + span,
            )
            assert stats.kstest(log_u, cdf).pvalue > P_MIN, (k, cut)


def test_strips_cover_the_density():
    """Twin: g written out. Each strip lies above g, and its squeeze below, all over its cell."""
    for n, b in ((1, 0.5), (2, 0.5), (3, 0.5), (4, 1.5)):
        table = make_strips(1.0, b, n)[n - 1]
        widest = (table.shape[1] - 9) // 2
        for at in range(0, len(table), 37):
            count, total, level = int(table[at, 0]), table[at, 1], table[at, 2]
            edges = table[at, 8 : 9 + count]
            squeeze = table[at, 9 + widest : 9 + widest + count]
            assert (np.diff(edges) > 0).all()
            height = level - np.log(np.diff(edges))
            least = 2.0 ** (-40 + at / 8 // 1) * (1 + at % 8 / 8)
            most = 2.0 ** (-40 + (at + 1) / 8 // 1) * (1 + (at + 1) % 8 / 8)
            for x in (1e-9, 0.3, 0.7, 1 - 1e-9):
                v = edges[:-1] + x * np.diff(edges)
                log_g = [
                    (n / 2 + b - 1) * np.log(v) - (1 + b) * np.log1p(v) - k * v
                    for k in (least, most)
                ]
                assert (log_g[0] <= height + 1e-9).all()
                assert (squeeze <= np.exp(log_g[1] - height)).all()
            assert total < 1.3 * 64  # few proposals are in vain


def test_inverse_psi_is_the_gig_chain_with_delta_integrated_out():
    # delta | psi ~ Gamma(a+b, psi+phi), psi | delta ~ truncated GIG leaves the direct draw's law
    # alone: start 4,000 pairs in it, make one round, and compare with fresh direct draws
    n, a, b, phi, chi = min(N, 4000), 1.0, 0.5, 0.02, 0.7
    psi = 1 / _draws(4, 2 / 2 + b, a + b, phi, chi, 1.0, n=n)
    delta = np.random.default_rng(5).gamma(a + b, 1 / (psi + phi))
    after = np.empty(n)
    state = make_streams(8, (0,), (1,))[0]
    draw_gig_array(state, np.full(n, a - 1.0), 2 * delta, np.full(n, chi), 1.0, after)
    fresh = 1 / _draws(4, 2 / 2 + b, a + b, phi, chi, 1.0, n=n, seed=9)
    assert stats.ks_2samp(after, fresh).pvalue > P_MIN
