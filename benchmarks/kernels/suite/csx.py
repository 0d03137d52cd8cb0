"""PRS-CSx: effects by LD block, psi, phi and sigma, the joint move, draws of gigs."""

from __future__ import annotations

import numpy as np

from .common import SMALL, Timed, repeat, size

N_BLOCKS, BLOCK = (2, 64) if SMALL else (10, 400)


def make_ld(dtype: str) -> tuple[np.ndarray, float]:
    """Return blocks whose correlations fall by 0.9 a variant, and what 1 stands for in them."""
    place = np.arange(BLOCK)
    matrix = 0.9 ** np.abs(place[:, None] - place)
    unit = 1.0 if dtype.startswith("float") else 1.0 / np.iinfo(dtype).max
    stored = np.rint(matrix / unit) if unit < 1 else matrix
    return np.tile(stored.astype(dtype).ravel(), N_BLOCKS), unit


class Sweep(Timed):
    """Every effect drawn once, and what the joint move needs of the LD."""

    params = (("float32", "int8"), (1, 4))
    param_names = ("ld", "chains")

    def prepare(self, dtype: str, n_chains: int) -> None:
        from prs.kernels.csx_sweep import refresh_residuals, sweep_effects
        from prs.kernels.rng import make_streams

        n = N_BLOCKS * BLOCK
        rng = np.random.default_rng(6)
        starts = BLOCK * np.arange(N_BLOCKS + 1)
        ld, unit = make_ld(dtype)
        b = rng.standard_normal((1, n)) * 0.01
        blocks, layout = np.arange(N_BLOCKS), (starts, BLOCK * starts, ld, unit, np.ones(n), b)
        beta, residual = np.zeros((n_chains, n)), np.repeat(b, n_chains, axis=0)
        self.times = 400 // n_chains
        self.sweep, self.refresh = sweep_effects, refresh_residuals
        self.refresh_arguments = (blocks, *layout, beta, residual)
        self.arguments = (
            blocks, *layout, np.arange(n), rng.uniform(1, 1e4, (n_chains, n)),
            np.full((n_chains, N_BLOCKS), 1e-5), beta, residual,
            make_streams(1, (1,), (N_BLOCKS, n_chains)), np.zeros((n_chains, N_BLOCKS, 3)),
            np.zeros((n_chains, n)), np.zeros((n_chains, n)), True,
            rng.random((n_chains, n)) < 0.9, np.ones(n_chains, dtype=np.bool_),
            np.zeros((n_chains, n)), np.zeros((n_chains, N_BLOCKS, 2)),
            rng.standard_normal((4, n)).astype(np.float32), np.zeros((n_chains, N_BLOCKS, 4)),
            np.zeros(0, dtype=np.float32),
        )  # fmt: skip

    def time_sweep_effects(self, _dtype: str, _n_chains: int) -> None:
        repeat(self.times, self.sweep, *self.arguments)

    def time_refresh_residuals(self, _dtype: str, _n_chains: int) -> None:
        repeat(self.times, self.refresh, *self.refresh_arguments)


class Scales(Timed):
    """psi of every variant, and the draws of one number: log phi, the size of the joint move."""

    def prepare(self) -> None:
        from prs.kernels import csx, csx_scale
        from prs.kernels.psi import make_strips
        from prs.kernels.rng import make_streams

        n = size(16_000)
        rng = np.random.default_rng(7)
        starts = np.arange(0, n, 64)
        chunks = np.append(starts, n)
        where = np.stack([np.arange(n), np.where(np.arange(n) % 4 > 0, np.arange(n) + n, -1)])
        copies = np.sum(where >= 0, axis=0)
        self.u = 1.0 / (rng.gamma(1.0, 1.0, (1, n)) / rng.gamma(0.5, 1.0, (1, n)) * 1e-3)
        self.small = rng.random((1, n)) < 0.9
        self.ticket = rng.random((1, n))
        self.csx, self.scale = csx, csx_scale
        self.stream = make_streams(1, (2,), ())
        self.local = (
            np.arange(len(starts)), chunks, np.zeros(len(starts), dtype=np.int64), where,
            np.full((1, 1, 2), 1e5), rng.standard_normal((1, 2 * n)) * 1e-3,
            np.zeros((1, 2 * n)), np.zeros((1, 2 * n)), self.small, np.zeros((1, 1)),
            np.ones(1, dtype=np.bool_), self.ticket, np.full((1, 1), 1e-3), 0.5 * copies + 0.5,
            copies, 1.5, 1.0, make_strips(1.0, 0.5, 2), np.ones((1, n)), np.zeros((1, n)),
            make_streams(1, (3,), (len(starts), 1)), np.zeros((1, n)), True,
        )  # fmt: skip

    def time_draw_local_scales(self) -> None:
        repeat(100, self.csx.draw_local_scales, *self.local)

    def time_update_phi(self) -> None:
        width = 3.0 / np.sqrt(0.1 * self.u.size)
        repeat(5000, self.csx.update_phi, self.u[0], 1.0, 0.5, np.log(1e-3), width, self.stream)

    def time_choose_small(self) -> None:
        small = np.empty_like(self.small[0])
        arguments = (self.ticket[0], self.u[0], 1e-3, 30.0, small)
        repeat(25_000, self.scale.choose_small, *arguments)

    def time_draw_scale(self) -> None:
        arguments = (10.0, 50.0, 1e-3, self.small[0], self.u[0], 30.0, 1.0, 1.0, 0.5, 0.3)
        repeat(2000, self.scale.draw_scale, *arguments, self.stream)


class Gig(Timed):
    """Draws from generalised inverse Gaussians, where no table serves and as PRS-CSx does it."""

    def prepare(self) -> None:
        from prs.kernels.gig import draw_gig_array
        from prs.kernels.rng import make_streams

        n = size(400_000)
        rng = np.random.default_rng(8)
        self.kernel = draw_gig_array
        self.out = np.empty(n)
        self.arguments = (
            make_streams(1, (4,), ()), rng.choice([0.5, 0.0, -0.5, -1.0], n),
            rng.gamma(1.0, 2e3, n), rng.gamma(0.5, 1e-3, n), np.inf, self.out,
        )  # fmt: skip

    def time_draw_gig_array(self) -> None:
        self.kernel(*self.arguments)


class Reference(Timed):
    """A block's effects drawn jointly, as PRScsx.py draws them (the mode that checks parity)."""

    def prepare(self) -> None:
        from prs.kernels.csx_reference import draw_block_effects
        from prs.kernels.rng import make_streams

        n = N_BLOCKS * BLOCK
        rng = np.random.default_rng(9)
        starts = BLOCK * np.arange(N_BLOCKS + 1)
        ld, unit = make_ld("float32")
        self.kernel = draw_block_effects
        self.arguments = (
            np.arange(N_BLOCKS), starts, BLOCK * starts, ld, unit, rng.standard_normal(n) * 0.01,
            np.arange(n), rng.uniform(1, 100, (1, n)), np.full((1, N_BLOCKS), 1e-5),
            np.zeros((1, n)), make_streams(1, (5,), (N_BLOCKS, 1)), np.zeros((1, N_BLOCKS, 3)),
        )  # fmt: skip

    def time_draw_block_effects(self) -> None:
        repeat(6, self.kernel, *self.arguments)
