"""Have the chains of a PRS-CSx fit converged: what is monitored, and the limits that it must keep.

Two questions, asked of the iterations that count. Do the chains look alike, and are they long:
split R-hat at most 1.05 and an effective sample size of at least 50 over all chains, for phi
(where it is learned), sigma, the variance explained, and the scores of pseudo-people drawn from
each population's LD. And how exact are the weights: `prediction_error`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prs.weights.csx_model import CsxModel
from prs.weights.csx_settings import FIRST_WINDOW
from prs.weights.diagnostics import effective_sample_size, split_rhat

__all__ = [
    "MAX_RHAT",
    "MIN_ESS",
    "Traces",
    "diagnose",
    "is_mixed",
    "prediction_error",
    "window_edges",
]

MAX_RHAT = 1.05
MIN_ESS = 50.0
#: The ratio of windows' ends in a run of unknown length.
WINDOW_RATIO = 2.0**0.5


@dataclass(frozen=True, eq=False)
class Traces:
    """Paths of C chains over I iterations, in G groups and K populations.

    Attributes
    ----------
    phi : ndarray of float64, shape (C, I, G)
    sigma : ndarray of float64, shape (C, I, G, K)
    variance : ndarray of float64, shape (C, I, K)
        beta'R beta, the variance that the effects explain.
    predictions : ndarray of float64, shape (C, I, K, d)
        Scores of pseudo-people.
    """

    phi: NDArray[np.float64]
    sigma: NDArray[np.float64]
    variance: NDArray[np.float64]
    predictions: NDArray[np.float64]

    @classmethod
    def empty(cls, n_iter: int, model: CsxModel, n_chains: int) -> Traces:
        """Return traces to be filled."""
        n_populations = len(model.populations)
        return cls(
            np.zeros((n_chains, n_iter, model.n_groups)),
            np.zeros((n_chains, n_iter, model.n_groups, n_populations)),
            np.zeros((n_chains, n_iter, n_populations)),
            np.zeros((n_chains, n_iter, n_populations, len(model.directions))),
        )

    def take(self, chains: slice, iterations: slice) -> Traces:
        """Return a view of some chains and iterations."""
        return Traces(
            self.phi[chains, iterations],
            self.sigma[chains, iterations],
            self.variance[chains, iterations],
            self.predictions[chains, iterations],
        )

    def monitored(
        self, populations: tuple[str, ...], learns_phi: bool
    ) -> dict[str, NDArray[np.float64]]:
        """Return what is monitored: name -> (C, I) or (C, I, n)."""
        out: dict[str, NDArray[np.float64]] = {}
        if learns_phi:
            out["phi"] = np.log(self.phi)
        for k, name in enumerate(populations):
            out[f"sigma_{name}"] = self.sigma[..., k]
            out[f"explained_{name}"] = self.variance[..., k]
            out[f"prediction_{name}"] = self.predictions[:, :, k]
        return out


def diagnose(
    monitored: Mapping[str, NDArray[np.float64]],
) -> tuple[dict[str, float], dict[str, float]]:
    """Return split R-hat and effective sample size by name, the worst of several series."""
    rhat, ess = {}, {}
    for name, draws in monitored.items():
        series = draws.reshape(*draws.shape[:2], -1)
        each = range(series.shape[2])
        rhat[name] = max(split_rhat(series[..., i]) for i in each)
        ess[name] = min(effective_sample_size(series[..., i]) for i in each)
    return rhat, ess


def is_mixed(rhat: Mapping[str, float], ess: Mapping[str, float]) -> bool:
    """Whether all R-hat and effective sample sizes keep their limits."""
    # NaN (too few draws to tell) does not
    return all(v <= MAX_RHAT for v in rhat.values()) and all(v >= MIN_ESS for v in ess.values())


def prediction_error(
    model: CsxModel, means: NDArray[np.float64], products: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the Monte Carlo share of the variance of each population's score.

    The scores of the average weights differ from those of endless chains by an error. Its
    variance in the LD panel is estimated from how the means of n chains differ,
    ``sum_c |m_c - m|^2_R / (n (n - 1))``, and given as a share of the score's, ``|m|^2_R``. Two
    fits with an error of 0.001 have scores that correlate at about 0.999.

    Parameters
    ----------
    model : CsxModel
    means : ndarray of float64, shape (n, T)
        Posterior means (Rao-Blackwell) of chains, or of parts of one chain; n at least 2.
    products : ndarray of float64, shape (n, T)
        R times each of them.

    Returns
    -------
    ndarray of float64, shape (K,)
    """
    n = len(means)
    out = np.zeros(len(model.populations))
    for k in range(len(out)):
        part = model.effects(k)
        centre = means[:, part].mean(axis=0)
        product = products[:, part].mean(axis=0)
        away = ((means[:, part] - centre) * (products[:, part] - product)).sum()
        error = max(float(away), 0.0) / (n * (n - 1))
        signal = float(centre @ product)
        if error > 0.0:
            out[k] = error / signal if signal > error else 1.0
    return out


def window_edges(ceiling: int) -> list[int]:
    """Return where a run of unknown length is cut into windows: at 100, 141, 200, 283, ...

    It is looked at where a window ends, from the third one on. The last two windows count,
    which is the second half of the run; what came before is burn-in.
    """
    edges: list[int] = []
    edge = float(min(FIRST_WINDOW, max(ceiling // 2, 1)))
    while round(edge) < ceiling:
        if round(edge) not in edges:
            edges.append(round(edge))
        edge *= WINDOW_RATIO
    return [*edges, ceiling]
