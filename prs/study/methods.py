"""Sections of the study file that say which weights are made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from prs.study.sections import Section
from prs.weights.csx_settings import FIRST_WINDOW, RunPlan, plan_run

__all__ = ["CsxSettings", "Methods", "ThresholdSettings"]


class ThresholdSettings(Section, frozen=True):
    """``[methods.ct]``: clumping and thresholding, for each population's GWAS.

    Attributes
    ----------
    p_thresholds : list of float
        Largest p of a variant that is used.
    r2 : list of float
        A variant joins the clump of a stronger one if their r2 is above this.
    kb : list of float
        And if they are within this distance, in 1,000 base pairs.
    populations : list of str or None
        For which populations; default all.
    """

    p_thresholds: list[float] = msgspec.field(
        default_factory=lambda: [5e-8, 1e-6, 1e-4, 1e-3, 0.01, 0.05, 0.1, 0.5, 1.0]
    )
    r2: list[float] = msgspec.field(default_factory=lambda: [0.1])
    kb: list[float] = msgspec.field(default_factory=lambda: [250.0])
    populations: list[str] | None = None


class CsxSettings(Section, frozen=True):
    """``[methods.csx]``: Bayesian shrinkage with one population (PRS-CS) and with all (PRS-CSx).

    Attributes
    ----------
    single : list of str
        Populations that are also fitted alone.
    joint : bool
        Whether all populations are fitted together.
    phi : "auto", float or list of float
        Global shrinkage: learned, fixed, or a grid from which tuning people choose.
    n_iter : int or None
        Iterations of each chain; default 1,000 a population.
    n_burnin : int or None
        How many of them are discarded; default 500 a population.
    thin : int
        Every how many iterations a draw is kept.
    n_chains : int
        Independent chains.
    psi_max : float or None
        Upper bound of the local shrinkage prior; None for no bound.
    phi_per_chromosome : bool
        Whether each chromosome has its own phi.
    until : "converged" or None
        Leave the length to the sampler, in place of n_iter and n_burnin: stop when predictions
        agree between chains to `tolerance`, after `max_iter` iterations at most.
    tolerance : float
        How well predictions of the chains must agree, where `until` is "converged".
    max_iter : int or None
        Where `until` is "converged": the most iterations.
    ld_dtype : {"float32", "int16", "int8"}
        How correlations are held in memory: the smaller ones are rounded.
    draws : int
        Posterior draws kept of the joint fit (of the first single one where there is none), for
        the uncertainty of each person's score; 0 for none. They take 4 bytes a draw, variant
        and population.
    """

    single: list[str] = []
    joint: bool = True
    phi: Literal["auto"] | float | list[float] = "auto"
    n_iter: int | None = None
    n_burnin: int | None = None
    thin: int = 5
    n_chains: int = 2
    psi_max: float | None = 1.0
    phi_per_chromosome: bool = False
    until: Literal["converged"] | None = None
    tolerance: float = 1e-3
    max_iter: int | None = None
    ld_dtype: Literal["float32", "int16", "int8"] = "float32"
    draws: int = 200

    def fits(self, populations: Sequence[str]) -> dict[str, list[str]]:
        """Return the fits that are asked for: label of the fit to its populations.

        Parameters
        ----------
        populations : sequence of str
            All of the study, in its order.
        """
        fits = {f"cs_{name}": [name] for name in self.single}
        if self.joint and len(populations) > 1:
            fits["csx"] = list(populations)
        elif self.joint:
            fits.setdefault(f"cs_{populations[0]}", list(populations))
        return fits

    def drawn(self, populations: Sequence[str]) -> str | None:
        """Return the label of the fit whose draws are kept; None if none are."""
        fits = self.fits(populations)
        if not fits or not self.draws or isinstance(self.phi, list):
            return None
        return "csx" if "csx" in fits else next(iter(fits))

    def plan(self, n_populations: int) -> RunPlan:
        """Return the length of a fit; raise SettingsError where a setting makes no sense."""
        return plan_run(
            n_populations,
            phi=tuple(self.phi) if isinstance(self.phi, list) else self.phi,
            n_iter=self.n_iter,
            n_burnin=self.n_burnin,
            thin=self.thin,
            n_chains=self.n_chains,
            psi_max=self.psi_max,
            until=self.until,
            tolerance=self.tolerance,
            max_iter=self.max_iter,
            ld_dtype=self.ld_dtype,
        )

    def thin_for(self, n_populations: int, draws: int) -> int:
        """Return how many iterations lie between kept draws, for about so many draws in all."""
        if not draws or self.until is not None:
            return self.thin
        plan = self.plan(n_populations)
        return max(self.thin, (plan.n_iter - plan.n_burnin) * self.n_chains // draws)

    def least_draws(self, n_populations: int) -> int:
        """Return the fewest draws that a fit with `draws` ends with."""
        plan = self.plan(n_populations)
        if self.until is None:
            thin = self.thin_for(n_populations, self.draws)
            return self.n_chains * ((plan.n_iter - plan.n_burnin) // thin)
        # It may stop after its first two windows, or just after every other draw was dropped to
        # keep to their greatest number: then three tenths of that are left (checked against the
        # schedule for greatest numbers from 5 on).
        counted = min(FIRST_WINDOW, plan.n_iter // 2)
        return self.n_chains * min(counted // self.thin, 3 * (self.draws // self.n_chains) // 10)


class Methods(Section, frozen=True):
    """``[methods]``: which weights are made; a method without its section is not run."""

    ct: ThresholdSettings | None = None
    csx: CsxSettings | None = None
