"""Everybody's own uncertainty in a study: draws, combination, percentile and absolute risk."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import logit

from prs.ancestry.normalisation import normalise_scores
from prs.errors import SettingsError
from prs.evaluation.risk_models import choose_recalibration, predict_risks
from prs.evaluation.uncertainty import (
    PeopleUncertainty,
    centre_draws,
    draw_risks,
    summarise_draws,
)
from prs.individuals import META, combine_draws, score_draws
from prs.inputs.cohort import Cohort
from prs.inputs.genotypes import Genotypes
from prs.samples import SampleTable, match_samples
from prs.weights.csx_posterior import CsxPosterior
from prs.weights.score_table import Scores

if TYPE_CHECKING:
    from distributed import Client

__all__ = [
    "DrawnScores",
    "RiskLine",
    "Scale",
    "combination_of",
    "draw_scores",
    "fit_risk_line",
    "people_uncertainty",
    "uncertainty_notes",
]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class RiskLine:
    """The risk model as each person sees it: log odds = linear + slope (score' - score).

    Attributes
    ----------
    linear, slope : ndarray of float64, shape (N,)
        Log odds at the person's own score and covariates; log odds per unit of score.
    """

    linear: NDArray[np.float64]
    slope: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Scale:
    """How scores are made comparable between ancestries: whose components, and which method.

    Attributes
    ----------
    samples : SampleTable
        N people.
    pcs : ndarray of float64, shape (N, K), or None
        Their components; None with ``empirical``.
    reference : ndarray of bool, shape (N,)
        On whom the scale is fitted, and among whom people are ranked: tuning people.
    method : {"mean", "mean+variance", "empirical"}
        See `prs.ancestry.normalise_scores`.

    Notes
    -----
    A posterior mean varies less between people than the genetic value does, and each is divided
    by its own SD: a person's interval is that of the genetic value, in SDs of it, and lies
    nearer to the mean than the score, in SDs of the score.
    """

    samples: SampleTable
    pcs: NDArray[np.float64] | None
    reference: NDArray[np.bool_]
    method: Literal["mean", "mean+variance", "empirical"] = "mean+variance"

    def take(self, index: NDArray[np.int64]) -> Scale:
        """Return the people at `index`."""
        pcs = None if self.pcs is None else self.pcs[index]
        return Scale(self.samples.take(index), pcs, self.reference[index], self.method)

    def normalise(
        self, scores: NDArray[np.float64], group: NDArray[np.object_]
    ) -> NDArray[np.float64]:
        """Return scores on the scale, each column by its own fit; shape (N, S).

        Parameters
        ----------
        scores : ndarray of float64, shape (N, S)
        group : ndarray of object (str), shape (N,)
            Ancestry, for ``empirical``; a group without reference people gets NaN.
        """
        base, empty = self.reference, np.zeros((len(scores), 1))
        pcs = empty if self.pcs is None else self.pcs
        empirical = self.method == "empirical"
        return normalise_scores(
            scores[base],
            pcs[base],
            scores,
            pcs,
            method=self.method,
            reference_labels=group[base] if empirical else None,
            target_labels=group if empirical else None,
        ).target


def fit_risk_line(
    score: NDArray[np.float64], cohort: Cohort, *, by: str | None = "ancestry"
) -> RiskLine:
    """Fit the risk model on tuning people (on everybody without a split), recalibrated by group.

    Parameters
    ----------
    score : ndarray of float64, shape (N,)
        Score of each person of the cohort.
    cohort : Cohort
        With a binary outcome.
    by : str, optional
        Label of the groups.
    """
    n = cohort.n
    group = cohort.groups(by)
    train = np.ones(n, bool) if cohort.split is None else np.asarray(cohort.split == "tuning")
    methods = {}
    for name in dict.fromkeys(group):
        outcome = cohort.outcome[train & (group == name)]
        methods[str(name)] = choose_recalibration(min(outcome.sum(), (1 - outcome).sum()))
    # Everybody twice, the second time with one SD more of score: the slope of each one's line.
    step = float(score.std()) or 1.0
    twice = predict_risks(
        np.tile(cohort.outcome, 2),
        np.concatenate([score, score + step]),
        np.tile(cohort.covariates, (2, 1)),
        np.tile(group, 2),
        np.concatenate([train, np.zeros(n, bool)]),
        binary=True,
        methods=methods,
    ).recalibrated
    line = logit(np.clip(twice, 1e-12, 1 - 1e-12))
    return RiskLine(line[:n], (line[n:] - line[:n]) / step)


@dataclass(frozen=True, eq=False)
class DrawnScores:
    """The score of people of a cohort, and what it is in each posterior draw of the effects.

    Attributes
    ----------
    people : Cohort
        N people.
    score : ndarray of float64, shape (N,)
        Their scores.
    draws : ndarray of float64, shape (N, D)
        The same in each draw.
    """

    people: Cohort
    score: NDArray[np.float64]
    draws: NDArray[np.float64]

    def summarise(
        self,
        *,
        by: str | None = "ancestry",
        scale: Scale | None = None,
        top: float = 0.1,
        level: float = 0.9,
    ) -> PeopleUncertainty:
        """Return intervals of score, percentile and (binary outcome) absolute risk.

        Parameters
        ----------
        by : str, optional
            Label of the groups within which percentiles are taken and risks are recalibrated.
        scale : Scale, optional
            Put score and draws on one scale for all ancestries, each draw by its own fit;
            percentiles are then among the scale's reference people, of every ancestry.
        top, level
            See `prs.evaluation.uncertainty.summarise_draws`.
        """
        people, point, draws = self.people, self.score, self.draws
        group, reference = people.groups(by), None
        if scale is not None:
            rows, at = match_samples(
                people.samples, scale.samples, what="the cohort", target_name="the components"
            )
            people, scale = people.take(rows), scale.take(at)
            both = np.column_stack([point, draws])[rows]
            both = scale.normalise(both, np.asarray(group, dtype=object)[rows])
            known = np.isfinite(both).all(axis=1)
            people, point, draws = people.take(known), both[known, 0], both[known, 1:]
            reference, group = scale.reference[known], people.groups(None)
        risks = None
        if people.outcome_kind == "binary":
            line = fit_risk_line(point, people, by=by)
            if np.isfinite(line.linear).all() and np.isfinite(line.slope).all():
                centred = centre_draws(draws, point, np.asarray(group, dtype=object))
                risks = draw_risks(centred, line.linear, line.slope)
        return summarise_draws(
            draws,
            ids=people.ids,
            score=point,
            group=group,
            reference=reference,
            risks=risks,
            top=top,
            level=level,
        )


def draw_scores(
    genotypes: Genotypes,
    posterior: CsxPosterior,
    scores: Scores,
    cohort: Cohort,
    *,
    name: str,
    combination: pd.DataFrame | None = None,
    by: str | None = "ancestry",
    n_draws: int | None = 200,
    n_threads: int | None = None,
    client: Client | None = None,
) -> DrawnScores:
    """Score the people of a cohort with each posterior draw; see `people_uncertainty`."""
    people, at = cohort.known_to(genotypes.samples, "the genotypes")[0].known_to(
        scores.samples, "the scores"
    )
    people, place = people.known_to(genotypes.samples, "the genotypes")
    point, group = scores.select(name).values[at, 0], people.groups(by)
    view = genotypes.subset(samples=place)
    settings: dict[str, Any] = {"n_draws": n_draws, "n_threads": n_threads, "client": client}
    if combination is not None:
        made = score_draws(view, posterior, **settings)
        return DrawnScores(people, point, combine_draws(made, combination, group))
    known = (*posterior.populations, META)
    ends = [p for p in known if name == p or name.endswith(f"_{p}")]
    if not ends:
        raise SettingsError(
            f"score {name!r} is not made from one population of the posterior",
            remedy=f"its populations: {', '.join(known)}",
        )
    draws = score_draws(view, posterior, populations=ends[:1], **settings)[ends[0]]
    return DrawnScores(people, point, draws)


def people_uncertainty(
    genotypes: Genotypes,
    posterior: CsxPosterior,
    scores: Scores,
    cohort: Cohort,
    *,
    name: str,
    combination: pd.DataFrame | None = None,
    by: str | None = "ancestry",
    n_draws: int | None = 200,
    top: float = 0.1,
    level: float = 0.9,
    n_threads: int | None = None,
    scale: Scale | None = None,
    client: Client | None = None,
) -> PeopleUncertainty:
    """Say of each person of a cohort how sure score, percentile and absolute risk are.

    Parameters
    ----------
    genotypes : Genotypes
        With the cohort's people.
    posterior : CsxPosterior
        Fitted with ``keep_draws=True``.
    scores : Scores
        With the column `name`.
    cohort : Cohort
        The people; their groups are those within which percentiles are taken.
    name : str
        Which score: one that `combination` makes, ``..._META``, or a population's.
    combination : DataFrame, optional
        ``CombinedScore.table`` where the score is a combination of the populations' scores.
    by, top, level, scale
        See `DrawnScores.summarise`.
    n_draws, n_threads, client
        See `prs.individuals.score_draws`.

    Returns
    -------
    PeopleUncertainty

    Raises
    ------
    SettingsError
        If the posterior has no draws, or the score is not made of its populations.
    """
    drawn = draw_scores(
        genotypes,
        posterior,
        scores,
        cohort,
        name=name,
        combination=combination,
        by=by,
        n_draws=n_draws,
        n_threads=n_threads,
        client=client,
    )
    return drawn.summarise(by=by, scale=scale, top=top, level=level)


def uncertainty_notes(
    converged: bool, warnings: Sequence[str], by_group: pd.DataFrame, *, phi: str = ""
) -> list[str]:
    """Say when the intervals of people are not to be believed.

    Parameters
    ----------
    converged : bool
        Whether the sampler's chains agree.
    warnings : sequence of str
        The sampler's remarks.
    by_group : DataFrame
        From `PeopleUncertainty.by_group`.
    phi : str
        How phi was set.
    """
    notes = []
    if not converged:
        notes.append(
            "The chains have not converged: the intervals of people may be too narrow or misplaced."
        )
    if any("sigma" in text or "outside" in text or "panel" in text for text in warnings):
        notes.append(
            "Summary statistics and LD disagree (see Convergence): the model does not hold, and "
            "neither do the intervals of people."
        )
    few = by_group[by_group["status"] != "ok"]
    notes.extend(
        f"Not enough data for {row['group']}: {row['status'].split(': ', 1)[-1]}; no percentiles."
        for row in few.to_dict("records")
    )
    notes.append(
        "The intervals hold what the model leaves open, not that the model may be wrong. In "
        "simulations from the model with phi known, 90 per cent intervals held 88 to 92 per cent "
        "of people's genetic values; in the demo study, with sparser effects and panels of 400 "
        "people, 70 to 75 per cent of their percentiles."
    )
    if phi == "auto":
        notes.append(
            "phi was learned from the data. In simulations the intervals of people then held "
            "markedly less than where phi was known: these are too narrow."
        )
    return notes


def combination_of(record: Mapping[str, Any], name: str) -> pd.DataFrame | None:
    """Return the table of a combination from a study's record of choices; None if it has none."""
    choice = record.get(name)
    if not isinstance(choice, Mapping) or "table" not in choice or "by" not in choice:
        return None
    return pd.DataFrame(choice["table"])
