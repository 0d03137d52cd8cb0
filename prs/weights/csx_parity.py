"""``target="reference"``: the chain of the reference tool as it is, for parity.

Block-wise draws of effects by Cholesky factors, then delta, then psi by an untruncated
generalised inverse Gaussian draw, then ``psi > 1 := 1``, then phi. The clip makes the
stationary law a property of this order of moves and not of a written-down density, so nothing
is rearranged here: the order and the arithmetic are those of Ge et al. 2019 and Ruan et al. 2022
as coded in getian107/PRScsx. (Random numbers are ours: parity is in distribution.) Means are
averages of the thinned draws, as there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from prs.kernels.csx_reference import draw_block_effects, draw_clipped_scales
from prs.kernels.rng import draw_gamma
from prs.weights.csx_chain import Chains, ChainSettings
from prs.weights.csx_model import CsxModel

__all__ = ["ReferenceChains"]


class ReferenceChains(Chains):
    """Chains of the reference tool, side by side; psi and phi begin at 1 as they do there."""

    def __init__(self, model: CsxModel, settings: ChainSettings) -> None:
        super().__init__(model, settings)
        self.u[:] = 1.0
        self.delta = np.empty_like(self.u)
        for c, fixed in enumerate(settings.phi):
            if fixed is None:
                self.phi[c] = 1.0
        self.n_kept = 0

    def step(
        self, run: Callable[[Callable[..., None], list[tuple[Any, ...]]], None], accumulate: bool
    ) -> None:
        """Draw effects, sigma, delta, psi and phi once, in the reference's order."""
        model, settings = self.model, self.settings
        noise = self.sigma[:, model.block_group, model.block_population]
        noise = noise / model.n_gwas[model.block_population]
        layout = (model.starts, model.ld_starts, model.ld, model.b, model.index)
        run(
            draw_block_effects,
            [
                (items, *layout, self.u, noise, self.beta, self.effect_streams, self.sums)
                for items in self.block_shares
            ],
        )
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
        past = self.iteration - settings.n_burnin
        if accumulate and past % settings.thin == 0:
            self.n_kept += 1
            self.total += self.beta
            self.total_square += self.beta**2
            self.total_psi += 1.0 / self.u

    @property
    def n_averaged(self) -> int:
        """Draws that the sums hold."""
        return self.n_kept

    def _draw_reference_phi(self, job: tuple[int, int]) -> None:
        c, g = job
        low, high = self.model.group_starts[g : g + 2]
        stream = self.global_streams[g, c]
        w = draw_gamma(stream, 1.0) / (self.phi[c, g] + 1.0)
        shape = float(high - low) * self.settings.b + 0.5
        self.phi[c, g] = draw_gamma(stream, shape) / (self.delta[c, low:high].sum() + w)
