"""Combining scores: the linear combination, fitted on tuning people only."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prs.cluster import one_blas_thread
from prs.errors import SettingsError
from prs.inputs.cohort import Cohort
from prs.samples import match_samples
from prs.weights.combine_models import fit_linear_model
from prs.weights.score_table import Scores
from prs.weights.table import Weights

__all__ = [
    "CombinedScore",
    "combine",
    "group_members",
    "people_with_scores",
    "tuning_people",
]

logger = logging.getLogger(__name__)

#: The group of the fit that everybody shares.
POOLED = "all"
#: A group smaller than this, or with fewer cases or controls, has no fit of its own.
MIN_PEOPLE = 100
MIN_EVENTS = 50


@dataclass(frozen=True, eq=False)
class CombinedScore:
    """A linear combination of scores, fitted on tuning people; one for all, or one a group.

    The combined score is the sum over columns of coefficient x (score - mean) / sd. The
    covariates that were in the model are not in the score.

    Attributes
    ----------
    name : str
        Name of the combined column.
    columns : tuple of str
        The S scores that it is made of.
    groups : tuple of str
        The G groups with coefficients of their own; the first is "all".
    coefficients : ndarray of float64, shape (G, S)
        Per standard deviation: log odds for a binary outcome, else units of the outcome (of its
        martingale residual, where it is a time to an event).
    mean, sd : ndarray of float64, shape (S,)
        Of each score among the tuning people.
    by : str or None
        The label that tells groups apart.
    tuning_ids : ndarray of object (str)
        Individual ids of the people used; they may not judge the score.
    table : DataFrame
        What was fitted: see `combine` and `select_best`.
    notes : tuple of str
        Groups that share the pooled fit, and why.
    """

    name: str
    columns: tuple[str, ...]
    groups: tuple[str, ...]
    coefficients: NDArray[np.float64]
    mean: NDArray[np.float64]
    sd: NDArray[np.float64]
    by: str | None
    tuning_ids: NDArray[np.object_]
    table: pd.DataFrame
    notes: tuple[str, ...] = ()

    def apply(self, scores: Scores, cohort: Cohort | None = None) -> Scores:
        """Return the combined score of everybody in `scores`, as one column.

        Parameters
        ----------
        scores : Scores
            With all of `columns`.
        cohort : Cohort, optional
            Needed where the combination differs by group: it holds people's labels. People who
            are not in it, or whose group has no fit, get the pooled combination.

        Raises
        ------
        ColumnError
            If a column is not there.
        SettingsError
            If labels are needed and not given.
        """
        part = scores.select(self.columns)
        standardised = (part.values - self.mean) / self.sd
        group = np.zeros(part.n_samples, dtype=np.int64)
        if self.by is not None:
            if cohort is None or self.by not in cohort.labels:
                raise SettingsError(
                    f"this combination differs by {self.by!r}, and there are no such labels",
                    remedy=f"give the cohort, read with labels=({self.by!r},)",
                )
            here, there = match_samples(
                part.samples, cohort.samples, what="the scores", target_name="the cohort"
            )
            place = {name: i for i, name in enumerate(self.groups)}
            group[here] = [place.get(str(label), 0) for label in cohort.labels[self.by][there]]
        values = np.einsum("ns,ns->n", standardised, self.coefficients[group])
        return Scores(
            samples=part.samples,
            values=values[:, None],
            names=(self.name,),
            n_used=part.n_used.max(keepdims=True),
            n_missing=part.n_missing.max(keepdims=True),
            missing_rate=part.missing_rate,
            reports=part.reports,
            n_variants=part.n_variants,
            average=part.average,
            tuned_on=tuple(sorted({*scores.tuned_on, *(str(i) for i in self.tuning_ids)})),
        )

    def combine_weights(self, weights: Weights, group: str = POOLED) -> Weights:
        """Return one column of weights that gives this score, up to a constant.

        Parameters
        ----------
        weights : Weights
            With all of `columns`; the scores must have been sums, not averages.
        group : str
            One of `groups`.
        """
        if group not in self.groups:
            raise SettingsError(f"no fit for group {group!r}; there are {', '.join(self.groups)}")
        part = weights.select(self.columns)
        per_unit = self.coefficients[self.groups.index(group)] / self.sd
        return Weights(
            part.variants, part.weights @ per_unit, (self.name,), part.eaf, part.metadata
        )


@one_blas_thread()
def combine(
    scores: Scores,
    cohort: Cohort,
    *,
    columns: Sequence[str] | None = None,
    name: str = "combined",
    by: str | None = None,
    nonnegative: bool = False,
    penalty: Literal["none", "ridge"] = "none",
    min_people: int = MIN_PEOPLE,
    min_events: int = MIN_EVENTS,
    seed: int = 1,
) -> CombinedScore:
    """Fit the linear combination of scores on tuning people (PRS-CSx's last step; stacking).

    Scores are standardised among the tuning people and enter a linear model (logistic for a
    binary outcome) beside the cohort's covariates.

    Parameters
    ----------
    scores : Scores
        Scores to combine.
    cohort : Cohort
        With a split; only people whose split is "tuning" are looked at.
    columns : sequence of str, optional
        Which scores; default: all.
    name : str
        Name of the combined column.
    by : str, optional
        A label of the cohort: fit once for each of its groups, as Ruan et al. (2022) do for
        each target population. Groups with fewer than `min_people` tuning people, or fewer than
        `min_events` cases or controls (survival: events), share the fit of all tuning people;
        `notes` says so.
    nonnegative : bool
        Whether coefficients are kept at or above 0.
    penalty : {"none", "ridge"}
        Ridge regression, its penalty found by cross-validation in the tuning people, is for many
        scores that say nearly the same: all cells of clumping and thresholding, stacked (Prive
        et al. 2019). Covariates are not shrunk.
    min_people, min_events : int
        See `by`.
    seed : int
        Seed of the folds of the cross-validation.

    Returns
    -------
    CombinedScore
        Its `table` has one row a group and score: group, score, coefficient, mean, sd, n
        (tuning people), n_cases (missing where quantitative); and penalty, where there is one.

    Raises
    ------
    SettingsError
        If the cohort has no tuning people, `by` is no label of it, or `penalty` is unknown or
        asked for together with `nonnegative`.
    SampleMismatchError
        If no tuning person has a score.
    AncestryDataError
        If the outcome does not vary among tuning people or cases and controls are separated
        completely.
    """
    if penalty not in ("none", "ridge"):
        raise SettingsError(f"penalty={penalty!r} is not one of 'none', 'ridge'")
    if penalty == "ridge" and nonnegative:
        raise SettingsError("a ridge combination has no bound: give either penalty or nonnegative")
    names = tuple(columns) if columns is not None else scores.names
    tuning, values = tuning_people(scores.select(names), cohort)
    mean, sd = values.mean(axis=0), values.std(axis=0, ddof=1)
    notes = [f"score {names[s]!r} does not vary and is left out" for s in np.flatnonzero(sd == 0)]
    sd = np.where(sd > 0, sd, 1.0)
    standardised = (values - mean) / sd
    members, shared = group_members(tuning, by, min_people, min_events)
    notes += [f"{note}; it shares the combination fitted on everybody" for note in shared]
    groups, coefficients, rows = [], [], []
    for group, mask in members.items():
        fitted, size = fit_linear_model(
            standardised[mask], tuning.take(mask), nonnegative, penalty, seed
        )
        groups.append(group)
        coefficients.append(fitted)
        n_cases = _n_cases(tuning, mask)
        rows += [
            (group, score, fitted[s], mean[s], sd[s], int(mask.sum()), n_cases, size)
            for s, score in enumerate(names)
        ]
    for note in notes:
        logger.info("%s", note)
    header = ["group", "score", "coefficient", "mean", "sd", "n", "n_cases", "penalty"]
    table = pd.DataFrame(rows, columns=header)
    return CombinedScore(
        name=name,
        columns=names,
        groups=tuple(groups),
        coefficients=np.stack(coefficients),
        mean=mean,
        sd=sd,
        by=by,
        tuning_ids=tuning.samples.iid,
        table=table.drop(columns="penalty") if penalty == "none" else table,
        notes=tuple(notes),
    )


def group_members(
    tuning: Cohort, by: str | None, min_people: int = MIN_PEOPLE, min_events: int = MIN_EVENTS
) -> tuple[dict[str, NDArray[np.bool_]], list[str]]:
    """Return whom each group's own fit looks at, "all" first, and the groups without one.

    Parameters
    ----------
    tuning : Cohort
        N tuning people.
    by : str or None
        Label of the groups; None: everybody only.
    min_people, min_events : int
        See `combine`.

    Returns
    -------
    members : dict of str to ndarray of bool, shape (N,)
    notes : list of str
        Groups with too few people, and how few.

    Raises
    ------
    SettingsError
        If `by` is no label of the cohort.
    """
    members = {POOLED: np.ones(tuning.n, dtype=bool)}
    notes: list[str] = []
    if by is None:
        return members, notes
    if by not in tuning.labels:
        raise SettingsError(
            f"the cohort was read without a label {by!r}",
            remedy=f"labels read: {', '.join(tuning.labels) or 'none'}",
        )
    labels = np.array([str(label) for label in tuning.labels[by]], dtype=object)
    for group in dict.fromkeys(labels):
        mask = labels == group
        n, n_cases = int(mask.sum()), _n_cases(tuning, mask)
        few = None
        if n < min_people:
            few = f"{n} tuning people"
        elif tuning.outcome_kind == "survival":  # the more events, the more it says
            few = f"{n_cases} events for tuning" if (n_cases or 0) < min_events else None
        elif n_cases is not None and min(n_cases, n - n_cases) < min_events:
            few = f"{n_cases} cases and {n - n_cases} controls for tuning"
        if few:
            notes.append(f"{by} {group}: {few}")
        else:
            members[group] = mask
    return members, notes


def _n_cases(tuning: Cohort, mask: NDArray[np.bool_]) -> int | None:
    """Return how many of some people are cases; None where nobody is one."""
    if tuning.outcome_kind == "quantitative":
        return None
    return int((tuning.outcome[mask] == 1).sum())


def tuning_people(scores: Scores, cohort: Cohort) -> tuple[Cohort, NDArray[np.float64]]:
    """Return the tuning people who have scores, and these."""
    tuning = cohort.tuning()
    people, part = people_with_scores(tuning, scores, what="the tuning people")
    if people.n < tuning.n:
        logger.warning("%d of %d tuning people have no score", tuning.n - people.n, tuning.n)
    return people, part.values


def people_with_scores(
    cohort: Cohort, scores: Scores, *, what: str = "the cohort"
) -> tuple[Cohort, Scores]:
    """Return the people of a cohort who have all scores, and these in their order.

    Raises
    ------
    SampleMismatchError
        If nobody is in both.
    """
    people, at = cohort.known_to(scores.samples, "the scores", what=what)
    part = scores.take(at)
    known = np.flatnonzero(np.isfinite(part.values).all(axis=1))
    return people.take(known), part.take(known)
