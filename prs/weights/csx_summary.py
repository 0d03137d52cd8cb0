"""From the sums and traces of chains to a posterior, its diagnostics and its warnings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prs.weights.csx_convergence import MAX_RHAT, MIN_ESS, diagnose
from prs.weights.csx_model import CsxModel
from prs.weights.csx_posterior import (
    CsxPosterior,
    CsxSettings,
    format_phi,
    has_converged,
    monitored_of,
)
from prs.weights.csx_run import ChainResult

__all__ = ["summarise_chains"]

MAX_SIGMA = 1.1  # residual variance of a trait of unit variance
MAX_OUTSIDE = 0.05  # share of |b|^2 outside the column space of R


def summarise_chains(model: CsxModel, result: ChainResult, settings: CsxSettings) -> CsxPosterior:
    """Turn the sums and traces of chains into a posterior with its diagnostics and warnings."""
    n_values, n_chains = len(settings.phi), settings.n_chains
    n_pop, n_variants = len(model.populations), len(model.variants)
    mean = result.mean.reshape(n_values, n_chains, -1).mean(axis=1)
    square = result.square.reshape(n_values, n_chains, -1).mean(axis=1)
    sd = np.sqrt(np.maximum(square - mean**2, 0.0))
    beta_mean = np.full((n_values, n_pop, n_variants), np.nan)
    beta_sd = np.full_like(beta_mean, np.nan)
    draws: dict[str, NDArray[np.float32]] = {}
    for k, name in enumerate(model.populations):
        part = model.effects(k)
        beta_mean[:, k, model.index[part]] = mean[:, part]
        beta_sd[:, k, model.index[part]] = sd[:, part]
        if result.draws is not None:
            n_draws = len(result.draws)
            full = np.zeros((n_values, n_chains, n_draws, n_variants), dtype=np.float32)
            for i, draw in enumerate(result.draws):
                full[:, :, i, model.index[part]] = draw[:, part].reshape(n_values, n_chains, -1)
            draws[name] = full.reshape(n_values, n_chains * n_draws, n_variants)
    psi = result.psi.reshape(n_values, n_chains, -1).mean(axis=1)

    def trim(array: NDArray[Any]) -> NDArray[Any]:
        return array[..., 0] if model.n_groups == 1 else array

    posterior = CsxPosterior(
        variants=model.variants,
        populations=model.populations,
        beta_mean=beta_mean if n_values > 1 else beta_mean[0],
        beta_sd=beta_sd if n_values > 1 else beta_sd[0],
        psi_mean=psi if n_values > 1 else psi[0],
        eaf=model.eaf,
        n_gwas=model.n_gwas,
        phi_trace=trim(result.phi),
        sigma_trace={n: trim(result.sigma[..., k]) for k, n in enumerate(model.populations)},
        explained_trace={n: result.variance[..., k] for k, n in enumerate(model.populations)},
        prediction_trace={
            n: result.predictions[:, :, k] for k, n in enumerate(model.populations)
        },
        rhat={},
        ess={},
        converged=False,
        warnings=(),
        match_reports=model.reports,
        outside=dict(zip(model.populations, map(float, model.outside), strict=True)),
        settings=settings,
        draws=None if result.draws is None else (
            draws if n_values > 1 else {k: v[0] for k, v in draws.items()}
        ),
        prediction_error={
            name + (f"_phi{format_phi(phi)}" if n_values > 1 else ""): float(result.error[s, k])
            for s, phi in enumerate(settings.phi)
            for k, name in enumerate(model.populations)
        },
    )  # fmt: skip
    if n_values > 1:
        parts = posterior.split().values()
        names = {name for part in parts for name in part.rhat}
        rhat = {n: max(p.rhat[n] for p in parts if n in p.rhat) for n in sorted(names)}
        ess = {n: min(p.ess[n] for p in parts if n in p.ess) for n in sorted(names)}
    else:
        rhat, ess = diagnose(monitored_of(posterior))
    converged = has_converged(posterior, rhat, ess)
    warnings = _warn(model, result, settings, rhat, ess, converged)
    return replace(posterior, rhat=rhat, ess=ess, converged=converged, warnings=warnings)


def _warn(
    model: CsxModel,
    result: ChainResult,
    settings: CsxSettings,
    rhat: Mapping[str, float],
    ess: Mapping[str, float],
    converged: bool,
) -> tuple[str, ...]:
    out = list(model.notes)
    if not converged:
        poor = [
            f"{name} (R-hat {rhat[name]:.3f}, ESS {ess[name]:.0f})"
            for name in rhat
            if not (rhat[name] <= MAX_RHAT and ess[name] >= MIN_ESS)
        ]
        if settings.until is not None:
            poor += [
                f"predictions of {name} (error {error:.2g}, tolerance {settings.tolerance:g})"
                for name, error in zip(model.populations, result.error.max(axis=0), strict=True)
                if not error <= settings.tolerance
            ]
            advice = f"raise max_iter (now {settings.max_iter:,})"
        else:
            advice = (
                f"raise n_iter and n_burnin (now {settings.n_iter:,} and {settings.n_burnin:,})"
            )
        out.append(f"the chains have not converged: {', '.join(poor)}; {advice}")
    sigma = result.sigma[:, settings.n_burnin :].mean(axis=(0, 1))
    for k, name in enumerate(model.populations):
        worst = float(sigma[:, k].max())
        if worst > MAX_SIGMA:
            out.append(
                f"{name}: sigma is {worst:.2f}, where a trait of unit variance leaves at most 1: "
                "summary statistics and LD disagree (other ancestry, wrong n, wrong alleles?)"
            )
        share = result.floor_hits[..., k].sum() / (result.floor_hits[..., k].size * settings.n_iter)
        if share > 0.01:
            out.append(
                f"{name}: in {share:.0%} of the iterations the effects explained more than all "
                "variance (sigma was floored): summary statistics and LD disagree"
            )
        if model.outside[k] > MAX_OUTSIDE:
            out.append(
                f"{name}: {model.outside[k]:.0%} of the squared marginal effects lie outside what "
                "the LD panel can produce and were left out: the panel is small, or of others"
            )
    return tuple(out)
