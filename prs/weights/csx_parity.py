"""``target="reference"``: the chain of the reference tool as it is, for parity.

Block-wise draws of effects by Cholesky factors, then delta, then psi by an untruncated
generalised inverse Gaussian draw, then ``psi > 1 := 1``, then phi. The clip makes the
stationary law a property of this order of moves and not of a written-down density, so nothing
is rearranged here: the order and the arithmetic are those of Ge et al. 2019 and Ruan et al. 2022
as coded in getian107/PRScsx. (Random numbers are ours: parity is in distribution.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from prs.errors import SamplerError
from prs.kernels.gig import draw_gig_array
from prs.kernels.rng import make_streams
from prs.weights.csx_chain import ChainResult, ChainSettings
from prs.weights.csx_model import CsxModel

__all__ = ["run_reference_chains"]

_STAGE = 5


def run_reference_chains(model: CsxModel, settings: ChainSettings) -> ChainResult:
    """Run chains of the reference tool, one after the other; draws are averaged, not means.

    Kept are the draws of every `thin`-th iteration after burn-in, and the average is over the
    kept ones. The bound of psi is a clip after the draw; ``psi_max=None`` leaves it out.

    Raises
    ------
    SamplerError
        If a block's matrix is not positive definite.
    """
    from tqdm.auto import tqdm

    bar = tqdm(total=settings.n_iter * len(settings.start), desc="PRS-CSx", disable=None)
    with bar:
        chains = [_run_one(model, settings, c, bar.update) for c in range(len(settings.start))]
    draws = None
    if settings.keep_draws:
        draws = np.stack([one["draws"] for one in chains]).astype(np.float32)

    def stacked(name: str) -> NDArray[np.float64]:
        return np.stack([one[name] for one in chains])

    return ChainResult(
        mean=stacked("mean"),
        square=stacked("square"),
        psi=stacked("psi"),
        phi=stacked("phi"),
        sigma=stacked("sigma"),
        variance=stacked("variance"),
        predictions=stacked("predictions"),
        floor_hits=stacked("floor_hits").astype(np.int64),
        draws=draws,
    )


def _run_one(
    model: CsxModel, settings: ChainSettings, chain: int, tick: Callable[[], object]
) -> dict[str, Any]:
    """Run one chain; returns the fields of `ChainResult` without the axis of chains."""
    n_pop, n_groups, n_iter = len(model.populations), model.n_groups, settings.n_iter
    n_variants, n_effects = len(model.variants), len(model.b)
    rng = np.random.default_rng(np.random.SeedSequence(settings.seed, spawn_key=(_STAGE, chain)))
    stream = make_streams(settings.seed, (_STAGE + 1, chain), (1,))[0]
    matrices = [model.matrix(k).astype(np.float64) for k in range(model.n_blocks)]
    slices = [slice(*model.starts[k : k + 2]) for k in range(model.n_blocks)]
    parts = [model.effects(k) for k in range(n_pop)]
    group_of = np.repeat(np.arange(n_groups), np.diff(model.group_starts))
    pop_of = np.repeat(model.block_population, np.diff(model.starts))
    effect_group = group_of[model.index]

    fixed = settings.phi[chain]
    beta, psi = np.zeros(n_effects), np.ones(n_variants)
    sigma = np.ones((n_groups, n_pop))
    phi = np.full(n_groups, 1.0 if fixed is None else fixed)
    p = settings.a - 0.5 * model.copies
    drawn = np.empty(n_variants)
    out = {
        "mean": np.zeros(n_effects),
        "square": np.zeros(n_effects),
        "psi": np.zeros(n_variants),
        "phi": np.empty((n_iter, n_groups)),
        "sigma": np.empty((n_iter, n_groups, n_pop)),
        "variance": np.empty((n_iter, n_pop)),
        "predictions": np.empty((n_iter, n_pop, len(model.directions))),
        "floor_hits": np.zeros((n_groups, n_pop)),
    }
    draws, n_kept = [], 0
    for i in range(n_iter):
        fit = np.zeros((n_groups, n_pop))
        quad, weight = np.zeros_like(fit), np.zeros_like(fit)
        for k, (matrix, here) in enumerate(zip(matrices, slices, strict=True)):
            g, pop = model.block_group[k], model.block_population[k]
            precision = 1.0 / psi[model.index[here]]
            dinvt = matrix.copy()
            dinvt.flat[:: len(matrix) + 1] += precision
            try:
                factor = linalg.cholesky(dinvt, overwrite_a=True, check_finite=False)
            except (linalg.LinAlgError, ValueError) as error:
                raise SamplerError(
                    f"the chain diverged: block {model.block_number[k]} of "
                    f"{model.populations[pop]} is not positive definite at iteration {i + 1} "
                    f"of chain {chain + 1} ({error})",
                    remedy="check that LD and summary statistics fit each other; the default "
                    "target='posterior' mends indefinite LD",
                ) from error
            t = linalg.solve_triangular(factor, model.b[here], trans="T", check_finite=False)
            t += np.sqrt(sigma[g, pop] / model.n_gwas[pop]) * rng.standard_normal(len(t))
            value = linalg.solve_triangular(factor, t, check_finite=False)
            beta[here] = value
            quad[g, pop] += t @ t  # beta'(R + 1/psi)beta
            fit[g, pop] += value @ model.b[here]
            weight[g, pop] += value**2 @ precision
        unexplained = 1.0 - 2.0 * fit + quad
        out["floor_hits"] += unexplained < weight
        rate = 0.5 * model.n_gwas * np.maximum(unexplained, weight)
        sigma = rate / rng.standard_gamma(0.5 * (model.n_gwas + model.first))

        delta = rng.standard_gamma(settings.a + settings.b, n_variants) / (psi + phi[group_of])
        rate_of_psi: NDArray[np.float64] = 2.0 * delta
        chi_terms = model.n_gwas[pop_of] * beta**2 / sigma[effect_group, pop_of]
        chi = np.bincount(model.index, chi_terms, minlength=n_variants).astype(np.float64)
        with np.errstate(over="ignore"):
            draw_gig_array(stream, p, rate_of_psi, chi, np.inf, drawn)
        psi = drawn.copy()
        if settings.psi_max is not None:
            np.minimum(psi, settings.psi_max, out=psi)
        if fixed is None:
            sums = np.bincount(group_of, delta, minlength=n_groups)
            w = rng.standard_gamma(1.0, n_groups) / (phi + 1.0)
            shape = np.diff(model.group_starts) * settings.b + 0.5
            phi = rng.standard_gamma(shape) / (sums + w)

        out["phi"][i], out["sigma"][i] = phi, sigma
        out["variance"][i] = (quad - weight).sum(axis=0)
        for k, part in enumerate(parts):
            out["predictions"][i, k] = model.directions[:, part] @ beta[part]
        if i >= settings.n_burnin and (i + 1 - settings.n_burnin) % settings.thin == 0:
            n_kept += 1
            out["mean"] += beta
            out["square"] += beta**2
            out["psi"] += psi
            if settings.keep_draws:
                draws.append(beta.astype(np.float32))
        tick()
    for name in ("mean", "square", "psi"):
        out[name] /= n_kept
    out["draws"] = np.array(draws)
    return out
