"""What a PRS-CSx fit returns: posterior moments, traces, and how far they can be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prs.errors import SettingsError
from prs.matching import MatchReport
from prs.variants import VariantTable
from prs.weights.csx_convergence import diagnose, is_mixed
from prs.weights.table import Weights

__all__ = ["CsxPosterior", "CsxSettings", "format_phi"]

#: Monte Carlo share of the variance of predictions at which ``until="converged"`` stops.
DEFAULT_TOLERANCE = 1e-3


@dataclass(frozen=True)
class CsxSettings:
    """The settings of a fit, as `prs.weights.csx.fit_csx` took them.

    Attributes
    ----------
    target : str
        "posterior" or "reference".
    phi : tuple of float or "auto"
        One value, or the grid.
    a, b : float
    psi_max : float or None
    n_iter, n_burnin : int
        Iterations that were made, and how many of them do not count.
    thin, n_chains, seed : int
    phi_per_chromosome : bool
    until : "converged" or None
        Whether the length was left to the sampler; then `tolerance` and the most iterations.
    tolerance : float
    max_iter : int or None
    ld_dtype : str
        How the LD was held.
    """

    target: str
    phi: tuple[float | str, ...]
    a: float
    b: float
    psi_max: float | None
    n_iter: int
    n_burnin: int
    thin: int
    n_chains: int
    seed: int
    phi_per_chromosome: bool
    until: str | None = None
    tolerance: float = DEFAULT_TOLERANCE
    max_iter: int | None = None
    ld_dtype: str = "float32"


def format_phi(phi: float | str) -> str:
    """Return "auto", or phi with as few digits as tell it from any other: 1e-02, 1.5e-02."""
    if isinstance(phi, str):
        return phi
    return next(t for t in (f"{phi:.{d}e}" for d in range(18)) if float(t) == phi)


@dataclass(frozen=True, eq=False)
class CsxPosterior:
    """Posterior of PRS-CS or PRS-CSx. M variants, K populations, C chains, I iterations.

    With a grid of S values of phi, the arrays marked * have an axis of length S in front, and
    there are S x C chains, those of the first value first; `split` gives one object a value.

    Attributes
    ----------
    variants : VariantTable
        The populations' variants together, by position.
    populations : tuple of str
    beta_mean, beta_sd * : ndarray of float64, shape (K, M)
        Posterior mean and standard deviation of standardised effects (per SD of genotype) of
        ``variants.effect_allele``; NaN where a population lacks the variant.
    psi_mean * : ndarray of float64, shape (M,)
        Posterior mean of the local scales.
    eaf : ndarray of float64, shape (K, M)
        Frequency of the effect allele in the LD panels; NaN where absent.
    n_gwas : ndarray of float64, shape (K,)
        Sample sizes of the likelihood.
    phi_trace : ndarray of float64, shape (C, I)
        Global shrinkage at each iteration, burn-in included. With ``phi_per_chromosome``, of
        shape (C, I, chromosomes).
    sigma_trace : dict of str to ndarray of float64, shape (C, I)
        Residual variance by population; like `phi_trace`.
    explained_trace : dict of str to ndarray of float64, shape (C, I)
        beta'R beta by population: variance of the score in the panel.
    prediction_trace : dict of str to ndarray of float64, shape (C, I, d)
        Scores of d pseudo-people drawn from each population's LD.
    rhat, ess : dict of str to float
        Rank-normalised split R-hat, and effective sample size over all chains, after burn-in:
        ``phi`` (of its log), ``sigma_POP``, ``explained_POP`` and ``prediction_POP`` (the worst
        of d). With a grid, the worst value of phi's.
    converged : bool
        Whether all R-hat are at most 1.05 and all ESS at least 50; with ``until="converged"``,
        also whether `prediction_error` is within the tolerance.
    prediction_error : dict of str to float
        By population, the Monte Carlo share of the score's variance, estimated from how the
        chains' posterior means differ (`prs.weights.csx_convergence.prediction_error`): two
        fits like this one have scores that correlate at about 1 minus this. With a grid, by
        population and phi (``EUR_phi1e-02``).
    warnings : tuple of str
        What a reader of the weights should know.
    match_reports : tuple of MatchReport
        What became of the rows of the summary statistics.
    outside : dict of str to float
        Share of |b|^2 that the LD panel cannot produce, by population.
    settings : CsxSettings
    draws : dict of str to ndarray of float32, or None *
        Thinned draws of standardised effects, (C x D, M), by population; 0 where absent.
    """

    variants: VariantTable
    populations: tuple[str, ...]
    beta_mean: NDArray[np.float64]
    beta_sd: NDArray[np.float64]
    psi_mean: NDArray[np.float64]
    eaf: NDArray[np.float64]
    n_gwas: NDArray[np.float64]
    phi_trace: NDArray[np.float64]
    sigma_trace: Mapping[str, NDArray[np.float64]]
    explained_trace: Mapping[str, NDArray[np.float64]]
    prediction_trace: Mapping[str, NDArray[np.float64]]
    rhat: Mapping[str, float]
    ess: Mapping[str, float]
    converged: bool
    warnings: tuple[str, ...]
    match_reports: tuple[MatchReport, ...]
    outside: Mapping[str, float]
    settings: CsxSettings
    draws: Mapping[str, NDArray[np.float32]] | None = field(default=None, repr=False)
    prediction_error: Mapping[str, float] = field(default_factory=dict)

    @property
    def n_burnin(self) -> int:
        """Iterations at the start of each trace that do not count."""
        return self.settings.n_burnin

    @property
    def is_grid(self) -> bool:
        """Whether several values of phi were fitted."""
        return len(self.settings.phi) > 1

    @property
    def is_single(self) -> bool:
        """Whether one population was fitted (PRS-CS)."""
        return len(self.populations) == 1

    @property
    def final_score(self) -> str:
        """Which column of the weights is the score to use."""
        grid = "of the phi that does best in tuning people" if self.is_grid else ""
        if self.is_single:
            return " ".join(["the column", self.populations[0], grid]).strip()
        both = ", ".join(self.populations[:-1]) + f" and {self.populations[-1]}"
        parts = [
            f"with tuning people, {both} combined by weights fitted in them",
            "(prs combine; in a study: csx_combined); without, META",
        ]
        return " ".join([*parts, grid]).strip()

    @property
    def phi_mean(self) -> NDArray[np.float64]:
        """Geometric mean of phi after burn-in, for each value of the grid; shape (S,)."""
        kept = np.log(self.phi_trace[:, self.n_burnin :])
        return np.exp(kept.reshape(len(self.settings.phi), -1).mean(axis=1))

    def split(self) -> dict[str, CsxPosterior]:
        """Return one posterior for each value of phi, by its name ("auto", "1e-02")."""
        if not self.is_grid:
            return {format_phi(self.settings.phi[0]): self}
        out = {}
        n_chains = self.settings.n_chains
        for s, phi in enumerate(self.settings.phi):
            here = slice(s * n_chains, (s + 1) * n_chains)
            part = replace(
                self,
                beta_mean=self.beta_mean[s],
                beta_sd=self.beta_sd[s],
                psi_mean=self.psi_mean[s],
                phi_trace=self.phi_trace[here],
                sigma_trace={k: v[here] for k, v in self.sigma_trace.items()},
                explained_trace={k: v[here] for k, v in self.explained_trace.items()},
                prediction_trace={k: v[here] for k, v in self.prediction_trace.items()},
                draws=None if self.draws is None else {k: v[s] for k, v in self.draws.items()},
                settings=replace(self.settings, phi=(phi,)),
                prediction_error={
                    name: self.prediction_error[f"{name}_phi{format_phi(phi)}"]
                    for name in self.populations
                    if self.prediction_error
                },
            )
            rhat, ess = diagnose(monitored_of(part))
            out[format_phi(phi)] = replace(
                part, rhat=rhat, ess=ess, converged=has_converged(part, rhat, ess)
            )
        return out

    def weights(self, *, meta: bool = True) -> Weights:
        """Return per-allele weights: posterior mean / sqrt(2 f (1 - f)), f of the LD panel.

        Parameters
        ----------
        meta : bool
            With several populations, add META: the average of their per-allele weights, each
            with the inverse of its posterior variance (as the reference tool's ``--meta``).

        Returns
        -------
        Weights
            A column a population, and META; 0 where a population lacks the variant. With a grid
            the names end in ``_phi1e-02`` and the like.
        """
        columns, names = [], []
        parts = self.split()
        for phi, part in parts.items():
            end = f"_phi{phi}" if len(parts) > 1 else ""
            mean, variance = part._per_allele()
            columns += list(np.nan_to_num(mean))
            names += [f"{name}{end}" for name in self.populations]
            if meta and len(self.populations) > 1:
                columns.append(_inverse_variance_mean(mean, variance))
                names.append(f"META{end}")
        n = self.n_gwas[:, None]
        there = ~np.isnan(self.eaf)
        eaf = np.where(there, n * self.eaf, 0.0).sum(axis=0) / (n * there).sum(axis=0)
        return Weights(
            self.variants,
            np.column_stack(columns),
            tuple(names),
            np.clip(eaf, 0.0, 1.0),
            self._metadata(),
        )

    def _per_allele(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return per-allele posterior means and variances, each (K, M), of a fit of one phi."""
        sd = np.sqrt(2.0 * self.eaf * (1.0 - self.eaf))
        return self.beta_mean / sd, (self.beta_sd / sd) ** 2

    def _metadata(self) -> dict[str, str]:
        s = self.settings
        return {
            "method": "PRS-CS" if len(self.populations) == 1 else "PRS-CSx",
            "populations": ",".join(self.populations),
            "n_gwas": ",".join(f"{n:.0f}" for n in self.n_gwas),
            "phi": ",".join(format_phi(p) for p in s.phi),
            "phi_mean": ",".join(f"{p:.4g}" for p in self.phi_mean),
            "a": f"{s.a:g}",
            "b": f"{s.b:g}",
            "psi_max": "none" if s.psi_max is None else f"{s.psi_max:g}",
            "target": s.target,
            "n_iter": str(s.n_iter),
            "n_burnin": str(s.n_burnin),
            "n_chains": str(s.n_chains),
            "seed": str(s.seed),
            "final_score": self.final_score,
            "converged": "yes" if self.converged else "no",
            "worst_rhat": f"{_worst(self.rhat, max):.3f}",
            "least_ess": f"{_worst(self.ess, min):.0f}",
            "prediction_error": ",".join(
                f"{name}={error:.2g}" for name, error in self.prediction_error.items()
            ),
        }

    def to_frame(self) -> pd.DataFrame:
        """Return the variants with each population's eaf, mean_POP and sd_POP (standardised)."""
        frame = self.variants.to_frame()
        columns: dict[str, Any] = {}
        for k, name in enumerate(self.populations):
            columns[f"eaf_{name}"] = self.eaf[k]
        parts = self.split()
        for phi, part in parts.items():
            end = f"_phi{phi}" if len(parts) > 1 else ""
            for k, name in enumerate(self.populations):
                columns[f"mean_{name}{end}"] = part.beta_mean[k]
                columns[f"sd_{name}{end}"] = part.beta_sd[k]
        return pd.concat([frame, pd.DataFrame(columns)], axis=1)

    def trace_frame(self) -> pd.DataFrame:
        """Return one row a chain and iteration: chain, iteration, phi, sigma_*, explained_*.

        With ``phi_per_chromosome``, phi is the geometric and sigma the plain mean over them.
        """
        n_chains, n_iter = self.phi_trace.shape[:2]
        phi = self.phi_trace.reshape(n_chains, n_iter, -1)
        columns: dict[str, Any] = {
            "chain": np.repeat(np.arange(1, n_chains + 1), n_iter),
            "iteration": np.tile(np.arange(1, n_iter + 1), n_chains),
            "phi": np.exp(np.log(phi).mean(axis=2)).ravel(),
        }
        for name in self.populations:
            sigma = self.sigma_trace[name].reshape(n_chains, n_iter, -1)
            columns[f"sigma_{name}"] = sigma.mean(axis=2).ravel()
            columns[f"explained_{name}"] = self.explained_trace[name].ravel()
        return pd.DataFrame(columns)

    def diagnostics_frame(self) -> pd.DataFrame:
        """Return one row a phi and parameter: phi, parameter, mean, sd, rhat, ess."""
        rows = []
        for phi, part in self.split().items():
            for name, draws in monitored_of(part).items():
                shown = np.exp(draws) if name == "phi" else draws
                rows.append(
                    {
                        "phi": phi,
                        "parameter": name,
                        "mean": float(shown.mean()),
                        "sd": float(shown.std()),
                        "rhat": part.rhat[name],
                        "ess": part.ess[name],
                    }
                )
        return pd.DataFrame(rows)

    def summary(self) -> str:
        """Return one line: how many variants, phi, and whether the chains agree."""
        phi = ", ".join(f"{p:.2g}" for p in self.phi_mean)
        state = "converged" if self.converged else "NOT converged"
        return (
            f"{len(self.variants):,} variants, {', '.join(self.populations)}; phi {phi}; {state} "
            f"(worst R-hat {_worst(self.rhat, max):.3f}, least ESS {_worst(self.ess, min):.0f}) "
            f"after {self.settings.n_iter:,} iterations"
        )


def _worst(values: Mapping[str, float], pick: Any) -> float:
    finite = [v for v in values.values() if np.isfinite(v)]
    return float(pick(finite)) if finite else float("nan")


def _inverse_variance_mean(
    mean: NDArray[np.float64], variance: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the average over populations, weighted by 1/variance, where each is known."""
    known = np.isfinite(mean)
    precision = np.where(known, 1.0 / np.maximum(np.where(known, variance, 1.0), 1e-300), 0.0)
    return (precision * np.nan_to_num(mean)).sum(axis=0) / precision.sum(axis=0)


def monitored_of(posterior: CsxPosterior) -> dict[str, NDArray[np.float64]]:
    """Return what is monitored, after burn-in: name -> (C, I') or, for predictions, (C, I', d)."""
    kept = slice(posterior.n_burnin, None)
    out: dict[str, NDArray[np.float64]] = {}
    if posterior.settings.phi[0] == "auto":
        out["phi"] = np.log(posterior.phi_trace[:, kept])
    for name in posterior.populations:
        out[f"sigma_{name}"] = posterior.sigma_trace[name][:, kept]
        out[f"explained_{name}"] = posterior.explained_trace[name][:, kept]
        out[f"prediction_{name}"] = posterior.prediction_trace[name][:, kept]
    return out


def has_converged(
    posterior: CsxPosterior, rhat: Mapping[str, float], ess: Mapping[str, float]
) -> bool:
    """Whether a fit is mixed and, where it was to run until then, exact enough."""
    if not is_mixed(rhat, ess):
        return False
    s = posterior.settings
    return s.until is None or all(e <= s.tolerance for e in posterior.prediction_error.values())


def check_single(posterior: CsxPosterior) -> None:
    """Raise if a posterior has a grid where one phi is needed."""
    if posterior.is_grid:
        raise SettingsError(
            "this posterior holds a grid of phi", remedy="take one: posterior.split()[name]"
        )
