"""What a report is made from, and the little that it asks of each object of the other rooms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prs.matching import MatchReport
from prs.samples import SampleTable
from prs.variants import VariantTable
from prs.weights.diagnostics import split_rhat

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
    "runs_of",
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
    paths : dict of str to ndarray of float64, each of shape (chains, iterations)
        ``phi`` (global shrinkage), ``sigma_POP`` (residual variance), ``explained_POP``
        (variance of the score in the LD panel) and ``prediction_POP`` (score of a pseudo-person
        drawn from the panel), as far as they were kept.
    n_burnin : int
        Iterations at the start that are not used; 0 where the paths hold kept draws only.
    rhat, ess : dict of str to float
        Rank-normalised split R-hat and effective sample size by parameter.
    converged : bool or None
        The sampler's own verdict; None where it gives none.
    warnings : tuple of str
        The sampler's remarks.
    """

    paths: Mapping[str, NDArray[np.float64]]
    n_burnin: int = 0
    rhat: Mapping[str, float] = field(default_factory=dict)
    ess: Mapping[str, float] = field(default_factory=dict)
    converged: bool | None = None
    warnings: tuple[str, ...] = ()


def _path(values: object, *, log: bool = False) -> NDArray[np.float64]:
    """Return (chains, iterations); a further axis (chromosomes) is averaged."""
    path = np.atleast_2d(np.asarray(values, dtype=float))
    if path.ndim > 2:
        axes = tuple(range(2, path.ndim))
        path = np.exp(np.log(path).mean(axis=axes)) if log else path.mean(axis=axes)
    return path


def posterior_traces(posterior: PosteriorLike) -> Traces:
    """Return the paths and diagnostics of a posterior.

    Parameters
    ----------
    posterior : CsxPosterior, Traces, or alike
        Looked for: ``phi_trace`` (chains x iterations); ``sigma_trace``, ``explained_trace`` and
        ``prediction_trace`` (mappings by population; of the last's pseudo-people the one whose
        chains agree least is taken); ``n_burnin``, ``rhat``, ``ess``, ``converged``,
        ``warnings``. Where each chromosome has its own phi, the geometric mean of them (of the
        others, the mean) is taken.
    """
    if isinstance(posterior, Traces):
        return posterior
    paths: dict[str, NDArray[np.float64]] = {}
    phi = getattr(posterior, "phi_trace", None)
    if phi is not None and np.size(phi):
        paths["phi"] = _path(phi, log=True)
    for kind in ("sigma", "explained"):
        for population, path in (getattr(posterior, f"{kind}_trace", None) or {}).items():
            if np.size(path):
                paths[f"{kind}_{population}"] = _path(path)
    n_burnin = int(getattr(posterior, "n_burnin", 0) or 0)
    for population, path in (getattr(posterior, "prediction_trace", None) or {}).items():
        people = np.moveaxis(np.asarray(path, dtype=float), 2, 0)
        if people.size:
            worst = max(people, key=lambda one: np.nan_to_num(split_rhat(one[:, n_burnin:])))
            paths[f"prediction_{population}"] = worst
    converged = getattr(posterior, "converged", None)
    return Traces(
        paths=paths,
        n_burnin=n_burnin,
        rhat={str(k): float(v) for k, v in (getattr(posterior, "rhat", None) or {}).items()},
        ess={str(k): float(v) for k, v in (getattr(posterior, "ess", None) or {}).items()},
        converged=None if converged is None else bool(converged),
        warnings=tuple(str(w) for w in getattr(posterior, "warnings", ())),
    )


def runs_of(posteriors: Mapping[str, PosteriorLike]) -> dict[str, Traces]:
    """Return the traces of each run; a grid of phi is one run for each value."""
    runs: dict[str, Traces] = {}
    for name, posterior in posteriors.items():
        if getattr(posterior, "is_grid", False):
            runs |= {
                f"{name}, phi {phi}": posterior_traces(part)
                for phi, part in posterior.split().items()
            }
        else:
            runs[name] = posterior_traces(posterior)
    return runs


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
    check : DataFrame, optional
        What the doctor found (`prs check`): check, subject, verdict, figure, remedy.
    notes : sequence of str
        Remarks for the reader, shown near the top.
    intended_use : str
        What the authors say that the score is for; empty: printed as not stated.
    prs_rs : mapping of int or str to str
        The authors' statements for items of PRS-RS, by number or name.
    uncertainty : mapping of str to DataFrame
        ``people`` (`PeopleUncertainty.to_frame`, drawn and never written out), ``groups``
        (`PeopleUncertainty.by_group`), ``loci`` (`prs.individuals.top_loci`), ``notes``
        (column note); empty: no posterior draws were made.
    distance : DataFrame, optional
        From `prs.evaluation.distance.accuracy_by_distance`, with the columns score and origin in
        front, for one origin or several.
    placement : DataFrame, optional
        A row an ancestry: group, n, ``distance_POP`` for each GWAS's population, nearest,
        share_nearest.
    age_risks : DataFrame, optional
        From `prs.evaluation.absolute_risk.age_risk_rows`, with the columns score, group, effect.
    one_sample : mapping of str to DataFrame
        Of a study without a split: ``cross_fit`` (`CrossFitted.summary`) and ``optimism``
        (`prs.cross_fitting.choice_optimism`).
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
    check: pd.DataFrame | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()
    intended_use: str = ""
    prs_rs: Mapping[str, str] | Mapping[int, str] = field(default_factory=dict)
    uncertainty: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    distance: pd.DataFrame | None = None
    placement: pd.DataFrame | None = None
    age_risks: pd.DataFrame | None = None
    one_sample: Mapping[str, pd.DataFrame] = field(default_factory=dict)
