"""What a report is made from, and the little that it asks of each object of the other rooms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prs.samples import SampleTable
from prs.variants import MatchReport, VariantTable

if TYPE_CHECKING:
    from prs.evaluation.result import Evaluation

__all__ = [
    "CohortLike",
    "PosteriorLike",
    "ReportInputs",
    "ScoresLike",
    "Traces",
    "WeightsLike",
    "posterior_traces",
]


class ScoresLike(Protocol):
    """People x scores (see ``prs.scoring.Scores``)."""

    @property
    def samples(self) -> SampleTable: ...  # noqa: D102
    @property
    def values(self) -> NDArray[np.floating[Any]]: ...  # noqa: D102
    @property
    def names(self) -> Sequence[str]: ...  # noqa: D102


class CohortLike(Protocol):
    """People with an outcome and labels (see ``prs.inputs.cohort.Cohort``)."""

    @property
    def samples(self) -> SampleTable: ...  # noqa: D102
    @property
    def outcome(self) -> NDArray[np.floating[Any]]: ...  # noqa: D102
    @property
    def outcome_name(self) -> str: ...  # noqa: D102
    @property
    def outcome_kind(self) -> str: ...  # noqa: D102
    @property
    def labels(self) -> Mapping[str, NDArray[np.object_]]: ...  # noqa: D102


class WeightsLike(Protocol):
    """Variants x columns of per-allele weights (see ``prs.weights.table.Weights``)."""

    @property
    def variants(self) -> VariantTable: ...  # noqa: D102
    @property
    def weights(self) -> NDArray[np.floating[Any]]: ...  # noqa: D102
    @property
    def names(self) -> Sequence[str]: ...  # noqa: D102


#: Anything with the traces that `posterior_traces` looks for (``prs.weights.csx.CsxPosterior``).
PosteriorLike = Any


@dataclass(frozen=True)
class Traces:
    """The paths of a sampler's global parameters and what they say about convergence.

    Attributes
    ----------
    phi : ndarray of float, shape (chains, iterations)
        Global shrinkage, one row a chain; empty where phi was fixed and not recorded.
    sigma : dict of str to ndarray, each of shape (chains, iterations)
        Residual variance a population.
    n_burnin : int
        Iterations at the start that are not used; 0 where the paths hold kept draws only.
    rhat, ess : dict of str to float
        Rank-normalised split R-hat and effective sample size by parameter.
    converged : bool or None
        The sampler's own verdict; None where it gives none.
    warnings : tuple of str
        The sampler's remarks.
    """

    phi: NDArray[np.float64]
    sigma: Mapping[str, NDArray[np.float64]]
    n_burnin: int = 0
    rhat: Mapping[str, float] = field(default_factory=dict)
    ess: Mapping[str, float] = field(default_factory=dict)
    converged: bool | None = None
    warnings: tuple[str, ...] = ()


def _first(source: object, *names: str) -> Any:
    return next((v for n in names if (v := getattr(source, n, None)) is not None), None)


def _by_name(values: object, names: Sequence[str]) -> dict[str, float]:
    if values is None:
        return {}
    if isinstance(values, Mapping):
        return {str(k): float(v) for k, v in values.items() if np.ndim(v) == 0}
    flat = np.ravel(np.asarray(values, dtype=float))
    return dict(zip(names, flat.tolist(), strict=False))


def posterior_traces(posterior: PosteriorLike) -> Traces:
    """Return the traces of a posterior, whether sigma is a mapping or an array.

    Parameters
    ----------
    posterior : CsxPosterior, Traces, or alike
        Looked for: ``phi_trace`` or ``phi`` (chains x iterations, or one chain),
        ``sigma_trace`` or ``sigma`` (mapping by population, or array with a population axis),
        ``populations``, ``rhat``, ``ess``, ``n_burnin``, ``converged``, ``warnings``.
    """
    if isinstance(posterior, Traces):
        return posterior
    populations = [str(p) for p in (_first(posterior, "populations") or ())]
    phi = _first(posterior, "phi_trace", "phi_traces", "phi")
    phi = np.atleast_2d(np.asarray([] if phi is None else phi, dtype=float))
    raw = _first(posterior, "sigma_trace", "sigma_traces", "sigma")
    sigma: dict[str, NDArray[np.float64]] = {}
    if isinstance(raw, Mapping):
        sigma = {str(k): np.atleast_2d(np.asarray(v, dtype=float)) for k, v in raw.items()}
    elif raw is not None and np.size(raw):
        array = np.asarray(raw, dtype=float)
        # The axis as long as the list of populations is theirs; the usual order is
        # (chains, iterations, populations), and (populations, chains, iterations) is accepted.
        axis = array.ndim - 1 if array.shape[-1] == len(populations) else 0
        if array.shape[axis] == len(populations):
            parts = np.moveaxis(array, axis, 0)
            sigma = {p: np.atleast_2d(part) for p, part in zip(populations, parts, strict=True)}
    names = ["phi", *(f"sigma_{p}" for p in sigma)]
    converged = _first(posterior, "converged")
    warnings = _first(posterior, "warnings") or ()
    return Traces(
        phi=phi if phi.size else np.zeros((0, 0)),
        sigma=sigma,
        n_burnin=int(_first(posterior, "n_burnin", "trace_burnin") or 0),
        rhat=_by_name(_first(posterior, "rhat", "r_hat"), names),
        ess=_by_name(_first(posterior, "ess"), names),
        converged=None if converged is None else bool(converged),
        warnings=(warnings,) if isinstance(warnings, str) else tuple(str(w) for w in warnings),
    )


@dataclass(frozen=True)
class ReportInputs:
    """Everything that one report shows. Only the first four fields are required.

    Attributes
    ----------
    title : str
        Name of the study.
    scores : Scores
        Scores of the people of `cohort` (others are ignored).
    cohort : Cohort
        The people the evaluation was made on: outcome, labels.
    evaluation : Evaluation
        What ``evaluate`` returned.
    by : str, optional
        The label of `cohort` that the evaluation was split by; by default what the evaluation's
        settings say, else ``ancestry``.
    main_score : str, optional
        The score that the first screen is about; by default the last in the evaluation.
    settings : mapping
        The study's settings, shown as they are (nested mappings allowed).
    match_reports : sequence of MatchReport
        One for each matching of variants that was done.
    read_losses : mapping of str to mapping of str to int
        Source -> reason -> rows or people lost, for anything but variant matching.
    ld : DataFrame, optional
        One row a reference: population, n_samples, n_variants, n_blocks, source.
    posteriors : mapping of str to CsxPosterior
        Name of the run -> posterior.
    weights : sequence of Weights
        The weights that made the scores.
    ct_grid : DataFrame, optional
        Tuning results of C+T: score, value, optionally low, high, group, metric.
    provenance : mapping
        ``command``, ``seed``, ``versions``, ``inputs`` (digests), ``machine``.
    notes : sequence of str
        Remarks for the reader, shown near the top.
    intended_use : str
        What the authors say that the score is for; empty: printed as not stated.
    prs_rs : mapping of int or str to str
        The authors' statements for items of PRS-RS, by number or name.
    """

    title: str
    scores: ScoresLike
    cohort: CohortLike
    evaluation: Evaluation
    by: str | None = None
    main_score: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    match_reports: Sequence[MatchReport] = ()
    read_losses: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    ld: pd.DataFrame | None = None
    posteriors: Mapping[str, PosteriorLike] = field(default_factory=dict)
    weights: Sequence[WeightsLike] = ()
    ct_grid: pd.DataFrame | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()
    intended_use: str = ""
    prs_rs: Mapping[str, str] | Mapping[int, str] = field(default_factory=dict)
