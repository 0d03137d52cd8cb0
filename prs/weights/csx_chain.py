"""Chains that run side by side on one model: their state, and one iteration of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prs.errors import SamplerError
from prs.kernels.csx import draw_local_scales, update_phi, update_scales
from prs.kernels.csx_scale import choose_small, draw_scale
from prs.kernels.csx_sweep import refresh_residuals, sweep_effects
from prs.kernels.psi import make_strips
from prs.kernels.rng import make_streams
from prs.weights.csx_model import CsxModel
from prs.weights.csx_settings import ChainSettings, Team

__all__ = ["Chains"]

_EFFECTS, _LOCAL, _GLOBAL = 1, 2, 3  # stages, in the keys of the streams
#: psi/phi beyond which an effect seldom joins the joint scale move: with 10 to 100, measured on
#: simulated studies, the move is longest (larger effects hold it back, fewer small ones too).
SMALL = 30.0
REFRESH_EVERY = 200  # iterations between two exact recomputations of the residuals


def share_out(cost: NDArray[np.float64], n_workers: int) -> list[NDArray[np.int64]]:
    """Return items for each worker, the dearest first to whoever has least; none twice."""
    loads = np.zeros(n_workers)
    lists: list[list[int]] = [[] for _ in range(n_workers)]
    for item in np.argsort(-cost, kind="stable"):
        worker = int(np.argmin(loads))
        lists[worker].append(int(item))
        loads[worker] += cost[item]
    return [np.array(sorted(items), dtype=np.int64) for items in lists if items]


class Chains:
    """The moving state of C chains; `step` makes one iteration of all of them.

    `STATE` names everything that an iteration leaves for the next one: chains that are given
    another's state go on as the other would have, to the bit. What is not in it is set anew in
    each iteration before it is read.
    """

    STATE = (
        "iteration", "beta", "residual", "u", "chi", "phi", "sigma", "floor_hits",
        "ticket", "effect_streams", "local_streams", "global_streams",
    )  # fmt: skip
    #: Running totals over the iterations that count.
    TOTALS = ("n_added", "total", "total_square", "total_psi")

    def __init__(self, model: CsxModel, settings: ChainSettings) -> None:
        self.model, self.settings = model, settings
        self.first_chain = 0  # number of the first one, for messages
        n_chains = len(settings.start)
        n_effects, n_variants = len(model.b), len(model.variants)
        n_groups, n_populations = model.n_groups, len(model.populations)
        self.lower = 0.0 if settings.psi_max is None else 1.0 / settings.psi_max
        self.beta = np.zeros((n_chains, n_effects))
        self.b = model.b[None]  # a row for each chain, or one for all
        self.residual = np.repeat(self.b, n_chains, axis=0)
        self.u = np.array([self._first_scales(c, n_variants) for c in range(n_chains)])
        self.chi = np.zeros((n_chains, n_variants))
        fixed = [s if p is None else p for p, s in zip(settings.phi, settings.start, strict=True)]
        self.phi = np.repeat(np.array(fixed)[:, None], n_groups, axis=1)
        self.sigma = np.ones((n_chains, n_groups, n_populations))
        self.floor_hits = np.zeros((n_chains, n_groups, n_populations), dtype=np.int64)
        self.sums = np.zeros((n_chains, model.n_blocks, 3))
        self.total = np.zeros((n_chains, n_effects))
        self.total_square = np.zeros((n_chains, n_effects))
        self.total_psi = np.zeros((n_chains, n_variants))
        self.n_added = 0  # iterations that the totals hold
        self.iteration = 0
        n_chunks = len(model.chunk_group)

        def streams(stage: int, n_items: int) -> NDArray[np.uint64]:
            parts = [make_streams(settings.seed, (stage, c), (n_items,)) for c in range(n_chains)]
            return np.ascontiguousarray(np.stack(parts, axis=1))

        self.effect_streams = streams(_EFFECTS, model.n_blocks)
        self.local_streams = streams(_LOCAL, n_chunks)
        self.global_streams = streams(_GLOBAL, n_groups)
        self.is_small = np.zeros((n_chains, n_variants), dtype=np.bool_)
        self.product = np.zeros((n_chains, n_effects))
        self.small_sums = np.zeros((n_chains, model.n_blocks, 2))
        self.scores = np.zeros((n_chains, model.n_blocks, len(model.directions)))
        self.moves = np.array([phi is None for phi in settings.phi])
        # uniform draws for the first choice of variants; the next ones are drawn with psi
        self.ticket = np.array([self._rng(c, 0).random(n_variants) for c in range(n_chains)])
        self.precision = np.zeros(
            0, dtype=np.float64 if model.ld.dtype == np.float64 else np.float32
        )
        self.strips = make_strips(settings.a, settings.b, max(int(model.copies.max()), 1))

        sizes = np.diff(model.starts).astype(np.float64)
        self.block_shares = share_out(sizes**2 + 500.0 * sizes, settings.n_threads)
        self.chunk_shares = share_out(np.diff(model.chunks).astype(float), settings.n_threads)
        self.shape = 0.5 * model.copies + settings.b
        self.group_n = model.n_gwas
        pairs = model.block_group * n_populations + model.block_population
        order = np.argsort(pairs, kind="stable")
        self.pair_order = order
        self.pair_values, self.pair_starts = np.unique(pairs[order], return_index=True)
        self.phi_jobs = [
            (c, g) for c in range(n_chains) for g in range(n_groups) if settings.phi[c] is None
        ]

    def _rng(self, chain: int, part: int) -> np.random.Generator:
        """Return a generator for what a chain draws before it begins."""
        key = (_LOCAL, chain, part)
        return np.random.default_rng(np.random.SeedSequence(self.settings.seed, spawn_key=key))

    def _first_scales(self, chain: int, n: int) -> NDArray[np.float64]:
        """Return 1/psi with psi from the prior at the chain's start.

        Were all psi equal, no effect would stand out, and the joint move could take phi of a low
        start down by orders of magnitude, from where it takes hundreds of iterations to return.
        """
        settings, rng = self.settings, self._rng(chain, 1)
        phi = settings.start[chain]
        psi = rng.gamma(settings.a, 1.0, n) / rng.gamma(settings.b, 1.0, n) * phi
        return 1.0 / np.clip(psi, 1e-6 * phi, min(settings.psi_max or np.inf, 1e6 * phi))

    def state(self) -> dict[str, NDArray[Any]]:
        """Return what the next iteration begins from, and the totals; the arrays themselves."""
        return {name: np.asarray(getattr(self, name)) for name in (*self.STATE, *self.TOTALS)}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from a `state`."""
        for name in (*self.STATE, *self.TOTALS):
            if name in ("iteration", "n_added"):
                setattr(self, name, int(state[name]))
            else:
                getattr(self, name)[...] = state[name]

    def take_totals(self) -> dict[str, NDArray[Any]]:
        """Return the totals, and begin new ones at 0."""
        taken = {name: np.array(getattr(self, name)) for name in self.TOTALS}
        self.n_added = 0
        for array in (self.total, self.total_square, self.total_psi):
            array[...] = 0.0
        return taken

    def multiply(self, run: Team, effects: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return R times effects of shape (n, T)."""
        model = self.model
        effects = np.ascontiguousarray(effects)
        zero, product = np.zeros(effects.shape[1]), np.zeros_like(effects)
        layout = (
            model.starts,
            model.ld_starts,
            model.ld,
            model.ld_unit,
            model.diagonal,
            zero[None],
        )
        run(refresh_residuals, [(i, *layout, effects, product) for i in self.block_shares])
        return -product

    def step(self, run: Team, accumulate: bool) -> None:
        """Draw effects, sigma, psi and phi once, in all chains.

        The joint move of small effects, their psi and phi stands between sigma and psi: its
        variants are chosen before the effects are drawn, so that one pass over the LD does for
        both.
        """
        model, settings = self.model, self.settings
        pops, groups = model.block_population, model.block_group
        noise = self.sigma[:, groups, pops] / model.n_gwas[pops]
        run(self._choose_small, [(job,) for job in self.phi_jobs])
        self._draw_effects(run, noise, accumulate)
        self._draw_sigma()
        log_c = np.zeros(self.phi.shape)
        small_sums = self._sum_by_group(self.small_sums) if self.phi_jobs else None
        run(self._draw_move, [(job, small_sums, log_c) for job in self.phi_jobs])
        scale = model.n_gwas / self.sigma
        run(
            draw_local_scales,
            [
                (
                    items, model.chunks, model.chunk_group, model.where, scale, self.beta,
                    self.residual, self.product, self.is_small, log_c, self.moves, self.ticket,
                    self.phi, self.shape, model.copies, settings.a + settings.b, self.lower,
                    self.strips, self.u, self.chi, self.local_streams, self.total_psi, accumulate,
                )
                for items in self.chunk_shares
            ],
        )  # fmt: skip
        run(self._draw_phi, [(job,) for job in self.phi_jobs])
        self.iteration += 1
        self.n_added += accumulate

    def _draw_effects(self, run: Team, noise: NDArray[np.float64], accumulate: bool) -> None:
        """Draw every effect given the others; `noise` is sigma/N of each chain and block."""
        model = self.model
        layout = (model.starts, model.ld_starts, model.ld, model.ld_unit, model.diagonal, self.b)
        if self.iteration and self.iteration % REFRESH_EVERY == 0:
            run(
                refresh_residuals,
                [(items, *layout, self.beta, self.residual) for items in self.block_shares],
            )
        run(
            sweep_effects,
            [
                (
                    items, *layout, model.index, self.u, noise, self.beta, self.residual,
                    self.effect_streams, self.sums, self.total, self.total_square, accumulate,
                    self.is_small, self.moves, self.product, self.small_sums, model.directions,
                    self.scores, self.precision,
                )
                for items in self.block_shares
            ],
        )  # fmt: skip

    def predict(self) -> NDArray[np.float64]:
        """Return the scores of the model's pseudo-people, (C, K, d), as the effects were drawn."""
        total: NDArray[np.float64] = self._sum_by_group(self.scores).sum(axis=1)
        return total

    def _draw_sigma(self) -> None:
        model = self.model
        self.pair_sums = self._sum_by_group(self.sums)
        if not np.isfinite(self.pair_sums).all():
            self._report_divergence()
        for c in range(len(self.sums)):
            for g in range(model.n_groups):
                part = self.pair_sums[c, g]
                update_scales(
                    c, g, model.first[g], model.n_gwas,
                    part[:, 0], part[:, 1], part[:, 2],
                    self.sigma, self.floor_hits, self.global_streams[g, c],
                )  # fmt: skip

    def _draw_phi(self, job: tuple[int, int]) -> None:
        c, g = job
        here = slice(int(self.model.group_starts[g]), int(self.model.group_starts[g + 1]))
        n_variants = here.stop - here.start
        log_phi = update_phi(
            self.u[c, here],
            self.settings.a,
            self.settings.b,
            float(np.log(self.phi[c, g])),
            3.0 / np.sqrt(0.1 * n_variants + 0.25),
            self.global_streams[g, c],
        )
        self.phi[c, g] = np.exp(log_phi)

    def _choose_small(self, job: tuple[int, int]) -> None:
        """Choose the variants of the joint move."""
        c, g = job
        here = slice(int(self.model.group_starts[g]), int(self.model.group_starts[g + 1]))
        choose_small(
            self.ticket[c, here], self.u[c, here], self.phi[c, g], SMALL, self.is_small[c, here]
        )

    def _draw_move(
        self, job: tuple[int, int], sums: NDArray[np.float64], log_c: NDArray[np.float64]
    ) -> None:
        """Draw by how much the joint move scales; phi is moved at once, effects with psi's draw."""
        c, g = job
        model = self.model
        here = slice(int(model.group_starts[g]), int(model.group_starts[g + 1]))
        linear, square = (model.n_gwas / self.sigma[c, g]) @ sums[c, g]
        log_c[c, g] = draw_scale(
            float(linear),
            float(square),
            self.phi[c, g],
            self.is_small[c, here],
            self.u[c, here],
            SMALL,
            self.lower,
            self.settings.a,
            self.settings.b,
            0.3,
            self.global_streams[g, c],
        )
        self.phi[c, g] *= np.exp(log_c[c, g])

    def _sum_by_group(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """Add up (C, B, n) over the blocks of each group and population: (C, G, K, n)."""
        model = self.model
        shape = (len(sums), model.n_groups * len(model.populations), sums.shape[2])
        total = np.zeros(shape)
        total[:, self.pair_values] = np.add.reduceat(
            sums[:, self.pair_order], self.pair_starts, axis=1
        )
        return total.reshape(len(sums), model.n_groups, len(model.populations), -1)

    def _report_divergence(self) -> None:
        c, block = np.argwhere(~np.isfinite(self.sums).all(axis=2))[0]
        model = self.model
        name = model.populations[model.block_population[block]]
        rows = model.index[model.starts[block] : model.starts[block + 1]]
        raise SamplerError(
            f"the chain diverged: block {model.block_number[block]} of {name} "
            f"({len(rows):,} variants) holds numbers that are not finite after "
            f"{self.iteration + 1} iterations of chain {self.first_chain + c + 1}",
            rows=model.variants.describe(rows[[0, -1]]),
            remedy="check that the LD reference and the summary statistics of this population "
            "are of the same people and alleles; psi_max=1 restrains it",
        )
