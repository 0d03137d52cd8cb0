"""The loop around the chains: iterations, traces, and what they add up to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prs.weights.csx_chain import Chains
from prs.weights.csx_model import CsxModel
from prs.weights.csx_settings import ChainSettings, start_team

__all__ = ["ChainResult", "run_chains"]


@dataclass(frozen=True, eq=False)
class ChainResult:
    """Sums and traces of C chains over I iterations.

    Attributes
    ----------
    mean, square : ndarray of float64, shape (C, T)
        Posterior mean of each effect and of its square.
    psi : ndarray of float64, shape (C, P)
        Posterior mean of psi.
    phi : ndarray of float64, shape (C, I, G)
    sigma : ndarray of float64, shape (C, I, G, K)
    variance : ndarray of float64, shape (C, I, K)
        beta'R beta, the variance that the effects explain.
    predictions : ndarray of float64, shape (C, I, K, d)
        Scores of pseudo-people.
    floor_hits : ndarray of int64, shape (C, G, K)
        How often the residual variance was floored.
    draws : ndarray of float32, shape (C, D, T), or None
    """

    mean: NDArray[np.float64]
    square: NDArray[np.float64]
    psi: NDArray[np.float64]
    phi: NDArray[np.float64]
    sigma: NDArray[np.float64]
    variance: NDArray[np.float64]
    predictions: NDArray[np.float64]
    floor_hits: NDArray[np.int64]
    draws: NDArray[np.float32] | None


def run_chains(
    model: CsxModel, settings: ChainSettings, kind: type[Chains] = Chains
) -> ChainResult:
    """Run all chains for all iterations.

    Parameters
    ----------
    model : CsxModel
    settings : ChainSettings
    kind : type of Chains
        The moves of one iteration.

    Raises
    ------
    SamplerError
        If a chain diverges; names the block and the population.
    """
    from tqdm.auto import tqdm

    chains = kind(model, settings)
    n_chains, n_populations = len(settings.start), len(model.populations)
    n_iter, n_groups = settings.n_iter, model.n_groups
    phi = np.empty((n_chains, n_iter, n_groups))
    sigma = np.empty((n_chains, n_iter, n_groups, n_populations))
    variance = np.empty((n_chains, n_iter, n_populations))
    n_directions = len(model.directions)
    predictions = np.empty((n_chains, n_iter, n_populations, n_directions))
    parts = [model.effects(k) for k in range(n_populations)]
    kept = [
        i
        for i in range(settings.n_burnin, n_iter)
        if (i + 1 - settings.n_burnin) % settings.thin == 0
    ]
    draws = (
        np.empty((n_chains, len(kept), len(model.b)), dtype=np.float32)
        if settings.keep_draws
        else None
    )
    n_kept = 0
    with start_team(settings.n_threads) as run:
        for i in tqdm(range(n_iter), desc="PRS-CSx", unit="it", disable=None):
            chains.step(run, accumulate=i >= settings.n_burnin)
            phi[:, i], sigma[:, i] = chains.phi, chains.sigma
            explained = chains.pair_sums[..., 0] - chains.pair_sums[..., 1]
            variance[:, i] = explained.sum(axis=1)
            for k, part in enumerate(parts):
                predictions[:, i, k] = chains.beta[:, part] @ model.directions[:, part].T
            if n_kept < len(kept) and kept[n_kept] == i:
                if draws is not None:
                    draws[:, n_kept] = chains.beta
                n_kept += 1
    n = chains.n_added
    return ChainResult(
        mean=chains.total / n,
        square=chains.total_square / n,
        psi=chains.total_psi / n,
        phi=phi,
        sigma=sigma,
        variance=variance,
        predictions=predictions,
        floor_hits=chains.floor_hits,
        draws=draws,
    )
