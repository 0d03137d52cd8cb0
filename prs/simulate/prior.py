"""Effects drawn from PRS-CSx's own prior, with summary statistics and people: the model holds.

For tests of calibration: whatever the posterior says of effects and of people's genetic values
must be right on average over draws from the prior (Talts et al. 2018, arXiv:1804.06788).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prs.errors import SettingsError
from prs.inputs.sumstats import SumStats, SumStatsSource
from prs.ld.reference import LDReference
from prs.variants import VariantTable

__all__ = ["PriorWorld", "simulate_from_prior"]


@dataclass(frozen=True, eq=False)
class PriorWorld:
    """A data set whose effects come from the prior.

    Attributes
    ----------
    sumstats : dict of str to SumStats
        By population.
    ld : dict of str to LDReference
        The LD that the statistics have.
    effects : dict of str to ndarray of float64, shape (M,)
        True standardised effects.
    genotypes : dict of str to ndarray of float64, shape (N, M)
        Standardised genotypes of new people: normal, with that LD.
    """

    sumstats: dict[str, SumStats]
    ld: dict[str, LDReference]
    effects: dict[str, NDArray[np.float64]]
    genotypes: dict[str, NDArray[np.float64]]

    def genetic_values(self, population: str) -> NDArray[np.float64]:
        """Return the true genetic value of each person, shape (N,)."""
        return np.asarray(self.genotypes[population] @ self.effects[population])


def simulate_from_prior(
    n_gwas: Mapping[str, float],
    *,
    n_blocks: int = 10,
    block_size: int = 40,
    ld_decay: Mapping[str, float] | float = 0.8,
    phi: float = 0.02,
    a: float = 1.0,
    b: float = 0.5,
    psi_max: float = 1.0,
    n_people: int = 500,
    seed: int = 0,
) -> PriorWorld:
    """Simulate effects, summary statistics and people from the model of PRS-CSx.

    ``psi_j ~ Gamma(a, rate delta_j)``, ``delta_j ~ Gamma(b, rate phi)``, both redrawn until
    psi_j is at most `psi_max`; ``beta_jk ~ N(0, psi_j / N_k)``; ``b_k ~ N(R_k beta_k,
    R_k / N_k)`` (residual variance sigma = 1).

    Parameters
    ----------
    n_gwas : mapping of str to float
        GWAS size by population.
    n_blocks, block_size : int
        LD blocks and variants in each.
    ld_decay : float, or mapping of str to float
        Correlation of neighbours; that of variants i and j is its power abs(i - j).
    phi, a, b, psi_max
        Of the prior.
    n_people : int
        New people of each population.
    seed : int

    Returns
    -------
    PriorWorld
    """
    if min(n_blocks, block_size, n_people) < 1 or not phi > 0:
        raise SettingsError("blocks, variants, people and phi must be positive")
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    m = n_blocks * block_size
    variants = VariantTable(
        np.full(m, 1, np.int8),
        (10_000 * (1 + np.arange(m))).astype(np.int32),
        np.array([f"rs{j + 1}" for j in range(m)], dtype=object),
        np.full(m, "A", dtype=object),
        np.full(m, "C", dtype=object),
    )
    psi = np.full(m, np.inf)
    while (out := np.flatnonzero(psi > psi_max)).size:
        delta = rng.gamma(b, 1.0 / phi, out.size)
        psi[out] = rng.gamma(a, 1.0, out.size) / np.maximum(delta, 1e-300)
    source = SumStatsSource("simulated", "simulated", {}, (), m, {}, "")
    sumstats, references, effects, genotypes = {}, {}, {}, {}
    distance = np.abs(np.subtract.outer(np.arange(block_size), np.arange(block_size)))
    for name, n in n_gwas.items():
        decay = ld_decay[name] if isinstance(ld_decay, Mapping) else ld_decay
        correlation = decay**distance
        root = np.linalg.cholesky(correlation)
        beta = rng.normal(size=m) * np.sqrt(psi / n)
        parts = beta.reshape(n_blocks, block_size)
        noise = rng.normal(size=parts.shape) @ root.T / np.sqrt(n)
        marginal = (parts @ correlation + noise).ravel()
        z = marginal * np.sqrt(n)
        eaf = rng.uniform(0.1, 0.9, m)
        per_allele = np.sqrt(2.0 * eaf * (1.0 - eaf))
        sumstats[name] = SumStats(
            variants,
            marginal / per_allele,
            1.0 / (np.sqrt(n) * per_allele),
            z,
            np.clip(2.0 * np.exp(-0.5 * z**2), 1e-300, 1.0),
            np.full(m, float(n)),
            eaf,
            name,
            source,
        )
        references[name] = LDReference.from_blocks(
            variants, eaf, [correlation.astype(np.float32)] * n_blocks, population=name
        )
        people = rng.normal(size=(n_people, n_blocks, block_size)) @ root.T
        effects[name], genotypes[name] = beta, people.reshape(n_people, m)
    return PriorWorld(sumstats, references, effects, genotypes)
