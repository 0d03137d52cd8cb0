"""``target="reference"``: the chain of the reference tool, for parity.

Effects, then sigma, delta, psi by an untruncated generalised inverse Gaussian draw, then
``psi > 1 := 1``, then phi. The clip makes the stationary law a property of this order of moves
and not of a written-down density, so the order is that of Ge et al. 2019 and Ruan et al. 2022 as
coded in getian107/PRScsx. (Random numbers are ours: parity is in distribution.)

The reference draws the effects of a block jointly, by a Cholesky factor of the block at every
iteration. `ReferenceChains` draws them one at a time given the others, which has the same law
given psi and sigma and costs a fraction; `BlockReferenceChains` draws them as the reference does.
Against 40,000 iterations of the reference both agree to within Monte Carlo error (the tests).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prs.kernels.csx_reference import draw_block_effects, draw_clipped_scales
from prs.kernels.rng import draw_gamma
from prs.weights.csx_chain import Chains
from prs.weights.csx_model import CsxModel
from prs.weights.csx_settings import ChainSettings, Team

__all__ = ["BlockReferenceChains", "ReferenceChains"]


class ReferenceChains(Chains):
    """Chains of the reference tool, side by side; there psi and phi begin at 1."""

    def __init__(self, model: CsxModel, settings: ChainSettings) -> None:
        super().__init__(model, settings)
        self.moves[:] = False
        self.delta = np.empty_like(self.u)

    def _first_scales(self, chain: int, n: int) -> NDArray[np.float64]:
        """Return 1/psi with all psi at the chain's start, as they are at 1 there."""
        return np.full(n, 1.0 / self.settings.start[chain])

    def step(self, run: Team, accumulate: bool) -> None:
        """Draw effects, sigma, delta, psi and phi once, in the reference's order."""
        model, settings = self.model, self.settings
        noise = self.sigma[:, model.block_group, model.block_population]
        noise = noise / model.n_gwas[model.block_population]
        self._draw_effects(run, noise, accumulate)
        self._draw_sigma()
        upper = np.inf if settings.psi_max is None else settings.psi_max
        run(
            draw_clipped_scales,
            [
                (
                    items, model.chunks, model.chunk_group, model.where,
                    model.n_gwas / self.sigma, self.beta, self.phi, model.copies,
                    settings.a, settings.b, upper, self.u, self.delta, self.local_streams,
                )
                for items in self.chunk_shares
            ],
        )  # fmt: skip
        run(self._draw_reference_phi, [(job,) for job in self.phi_jobs])
        self.iteration += 1
        if accumulate:
            self._add_draws()

    def _add_draws(self) -> None:
        """Add to the sums what `_draw_effects` has not."""
        self.n_added += 1
        self.total_psi += 1.0 / self.u

    def _draw_reference_phi(self, job: tuple[int, int]) -> None:
        c, g = job
        low, high = self.model.group_starts[g : g + 2]
        stream = self.global_streams[g, c]
        w = draw_gamma(stream, 1.0) / (self.phi[c, g] + 1.0)
        shape = float(high - low) * self.settings.b + 0.5
        self.phi[c, g] = draw_gamma(stream, shape) / (self.delta[c, low:high].sum() + w)


class BlockReferenceChains(ReferenceChains):
    """The same with joint draws of a block's effects; means are of the thinned draws, as there."""

    def _draw_effects(self, run: Team, noise: NDArray[np.float64], accumulate: bool) -> None:
        del accumulate  # thinned draws are added instead, by `_add_draws`
        model = self.model
        layout = (model.starts, model.ld_starts, model.ld, model.ld_unit, model.b, model.index)
        run(
            draw_block_effects,
            [
                (items, *layout, self.u, noise, self.beta, self.effect_streams, self.sums)
                for items in self.block_shares
            ],
        )

    def predict(self) -> NDArray[np.float64]:
        """Return the scores of the model's pseudo-people, (C, K, d)."""
        parts = [self.model.effects(k) for k in range(len(self.model.populations))]
        directions = self.model.directions
        return np.array(
            [[directions[:, part] @ beta[part] for part in parts] for beta in self.beta]
        )

    def _add_draws(self) -> None:
        if (self.iteration - self.settings.n_burnin) % self.settings.thin == 0:
            super()._add_draws()
            self.total += self.beta
            self.total_square += self.beta**2
