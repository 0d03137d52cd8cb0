"""Has a sampler converged: rank-normalised split R-hat and effective sample size.

Vehtari, Gelman, Simpson, Carpenter & Buerkner 2021, Bayesian Analysis 16(2):667-718.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.fft import irfft, next_fast_len, rfft
from scipy.special import ndtri
from scipy.stats import rankdata

__all__ = ["effective_sample_size", "split_rhat"]


def _split(draws: ArrayLike) -> NDArray[np.float64]:
    """Return each chain's two halves as chains; an odd middle draw is left out."""
    array = np.atleast_2d(np.asarray(draws, dtype=np.float64))
    half = array.shape[1] // 2
    return np.concatenate([array[:, :half], array[:, -half:]]) if half else array[:, :0]


def _normal_scores(chains: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return normal quantiles of the ranks over all chains (Blom's offset)."""
    ranks = rankdata(chains, method="average").reshape(chains.shape)
    return ndtri((ranks - 0.375) / (chains.size + 0.25))


def _plain_rhat(chains: NDArray[np.float64]) -> float:
    n = chains.shape[1]
    within = float(chains.var(axis=1, ddof=1).mean())
    between = n * float(chains.mean(axis=1).var(ddof=1))
    if within <= 0:
        return 1.0 if between <= 0 else np.inf
    return float(np.sqrt(((n - 1) / n * within + between / n) / within))


def split_rhat(draws: ArrayLike) -> float:
    """Return rank-normalised split R-hat: the larger of the bulk and the folded one.

    Parameters
    ----------
    draws : array_like of float, shape (chains, draws)
        One chain will do: its halves are compared.

    Returns
    -------
    float
        Near 1 where the chains agree; above 1.01 they do not yet. 1 for a constant, NaN with
        fewer than 4 draws a chain or a value that is not finite.
    """
    chains = _split(draws)
    if chains.shape[1] < 2 or not np.isfinite(chains).all():
        return float("nan")
    folded = np.abs(chains - np.median(chains))
    return max(_plain_rhat(_normal_scores(chains)), _plain_rhat(_normal_scores(folded)))


def _autocovariance(chains: NDArray[np.float64]) -> NDArray[np.float64]:
    n = chains.shape[1]
    centred = chains - chains.mean(axis=1, keepdims=True)
    size = next_fast_len(2 * n)
    spectrum = rfft(centred, size, axis=1)
    return irfft(spectrum * np.conj(spectrum), size, axis=1)[:, :n] / n


def effective_sample_size(draws: ArrayLike) -> float:
    """Return the bulk effective sample size over all chains (Geyer's initial monotone sequence).

    Parameters
    ----------
    draws : array_like of float, shape (chains, draws)

    Returns
    -------
    float
        Number of independent draws with the same Monte Carlo error of the mean; the number of
        draws for a constant; NaN with fewer than 8 draws a chain or a value that is not finite.
    """
    chains = _split(draws)
    if chains.shape[1] < 4 or not np.isfinite(chains).all():
        return float("nan")
    if np.ptp(chains) == 0:
        return float(chains.size)
    chains = _normal_scores(chains)
    n = chains.shape[1]
    covariance = _autocovariance(chains)
    within = float(covariance[:, 0].mean()) * n / (n - 1)
    between = float(chains.mean(axis=1).var(ddof=1))
    total = within * (n - 1) / n + between
    rho = 1.0 - (within - covariance.mean(axis=0)) / total
    rho[0] = 1.0
    # sums of neighbouring pairs are positive and fall for a reversible chain: cut where not
    pairs = rho[: n - n % 2].reshape(-1, 2).sum(axis=1)
    negative = np.flatnonzero(pairs <= 0)
    last = int(negative[0]) if len(negative) else len(pairs)
    falling = np.minimum.accumulate(pairs[:last])
    time = -1.0 + 2.0 * float(falling.sum())
    if last < len(pairs):
        time += max(float(rho[2 * last]), 0.0)
    return float(chains.size / max(time, 1.0 / np.log10(chains.size)))
