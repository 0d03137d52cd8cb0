"""One sample for choosing and judging: each fold is judged by a choice that never saw it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prs.cluster import one_blas_thread
from prs.errors import SettingsError
from prs.evaluation.optimism import cross_fit, selection_optimism
from prs.inputs.cohort import Cohort
from prs.inputs.cohort_columns import TEST, TUNING
from prs.samples import SampleTable
from prs.weights.choose import choose_scores
from prs.weights.combine import people_with_scores
from prs.weights.score_table import Scores
from prs.weights.threshold_fit import fit_thresholds

__all__ = ["Choice", "CrossFitted", "choice_optimism", "choose_cell", "cross_fit_scores"]

Choice: TypeAlias = Callable[[Scores, Cohort], tuple[Scores, Any]]
"""All that looks at outcomes, as one function: given everybody's scores and a cohort, the scores
to be judged and a record of what was chosen. Only people whose split is "tuning" may be looked
at. `choose_scores` and `choose_cell` are such functions."""


@dataclass(frozen=True, eq=False)
class CrossFitted:
    """Scores of N people, each by a choice that did not look at that person.

    Attributes
    ----------
    scores : Scores
        Of the people of `cohort`, in that order: SDs from the mean of those who chose.
    cohort : Cohort
        The people who have scores, without a split: `evaluate` judges everybody.
    folds : ndarray of int64, shape (N,)
        0 to K - 1.
    records : tuple
        What the choice of each fold says of itself; the last one is of everybody's choice.
    table : DataFrame
        One row a fold and score: fold, score, n_choosing, n_held_out, r2_choosing, r2_held_out
        (both of that fold's choice, as `fit_thresholds` defines R2, and negative where a higher
        score goes with a lower outcome).
    summary : DataFrame
        One row a score: score, n, r2_apparent (chosen and judged in everybody), r2_held_out (of
        `scores`) and optimism (the first less the second).
    """

    scores: Scores
    cohort: Cohort
    folds: NDArray[np.int64]
    records: tuple[Any, ...]
    table: pd.DataFrame
    summary: pd.DataFrame


def choose_cell(scores: Scores, cohort: Cohort) -> tuple[Scores, str]:
    """Choose the cell of clumping and thresholding with the largest R2 among tuning people.

    Returns
    -------
    scores : Scores
        That cell, as one column named "best"; turned round where a higher score goes with a lower
        outcome among those who choose, for that is what they would predict.
    cell : str
        Its name.
    """
    fit = fit_thresholds(scores, cohort)
    part = scores.select(fit.best)
    sign = -1.0 if fit.summary["Coefficient"][0] < 0 else 1.0
    return replace(part, values=sign * part.values, names=("best",)), fit.best


@one_blas_thread()
def cross_fit_scores(
    scores: Scores,
    cohort: Cohort,
    choose: Choice = choose_scores,
    *,
    n_folds: int = 5,
    by: str | None = "ancestry",
    seed: int = 1,
) -> CrossFitted:
    """Choose in K - 1 folds and take the chosen scores of the fold left out, for each fold.

    A choice is judged too kindly by the people who made it. With tuning and test people that
    cannot happen; with one sample, this nested cross-fitting uses everybody for both and nobody
    for both at once, and shows by how much the simple way is too good.

    Parameters
    ----------
    scores : Scores
        All columns, of everybody.
    cohort : Cohort
        People with scores take part, whatever their split.
    choose : callable
        All that looks at outcomes; see `Choice`. Default: what a study does.
    n_folds : int
        K.
    by : str or None
        Label whose groups the folds hold in equal shares, as they do cases; left out where the
        cohort has no such label.
    seed : int
        Seed of the folds.

    Returns
    -------
    CrossFitted
        Judge it with ``evaluate(fitted.scores, fitted.cohort)``.

    Raises
    ------
    SettingsError
        If there are fewer people than folds, or choices differ in what they return.
    SampleMismatchError
        If nobody of the cohort has scores.
    """
    people, everything = people_with_scores(cohort.with_split(None), scores)
    group = people.labels.get(by) if by is not None else None
    chosen: list[tuple[Scores, Any]] = []
    inside: list[NDArray[np.int64]] = []

    def select(index: NDArray[np.int64]) -> NDArray[np.float64]:
        split = np.full(people.n, TEST, dtype=object)
        split[index] = TUNING
        chosen.append(choose(everything, replace(people, split=split)))
        inside.append(index)
        names = chosen[-1][0].names
        if names != chosen[0][0].names:
            raise SettingsError(
                f"one fold chose the scores {', '.join(chosen[0][0].names)} and another "
                f"{', '.join(names)}",
                remedy="use fewer folds, so that every choice has enough people",
            )
        return chosen[-1][0].values

    kind = people.outcome_kind
    values = cross_fit(select, people.outcome, kind=kind, group=group, n_folds=n_folds, seed=seed)
    folds = np.empty(people.n, dtype=np.int64)
    rows = []
    for fold, (index, (picked, _)) in enumerate(zip(inside, chosen, strict=True)):
        held_out = np.setdiff1d(np.arange(people.n), index)
        folds[held_out] = fold
        rows.append(
            pd.DataFrame(
                {
                    "fold": fold + 1,
                    "score": picked.names,
                    "n_choosing": len(index),
                    "n_held_out": len(held_out),
                    "r2_choosing": _r2(picked, people, index),
                    "r2_held_out": _r2(picked, people, held_out),
                }
            )
        )
    everybody = np.arange(people.n)
    select(everybody)
    apparent = chosen[-1][0]
    # nobody had a part in the fit that their own value comes from
    made = replace(apparent, values=values, samples=people.samples, tuned_on=())
    summary = pd.DataFrame(
        {
            "score": made.names,
            "n": people.n,
            "r2_apparent": _r2(apparent, people, everybody),
            "r2_held_out": _r2(made, people, everybody),
        }
    )
    summary["optimism"] = summary["r2_apparent"] - summary["r2_held_out"]
    return CrossFitted(
        made,
        people,
        folds,
        tuple(record for _, record in chosen),
        pd.concat(rows, ignore_index=True),
        summary,
    )


def _r2(scores: Scores, people: Cohort, index: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return R2 over the covariates of each score in some of the people; with the slope's sign."""
    part = people.take(index)
    nothing = np.full(len(scores.names), np.nan)
    if np.ptp(part.outcome) == 0:
        return nothing
    try:
        fit = fit_thresholds(scores, replace(part, split=np.full(part.n, TUNING, dtype=object)))
    except SettingsError:  # no score varies
        return nothing
    slope = fit.table["Coefficient"].to_numpy(dtype=np.float64)
    return np.sign(slope) * fit.table["R2"].to_numpy(dtype=np.float64)


def choice_optimism(
    scores: Scores,
    cohort: Cohort,
    choose: Choice = choose_scores,
    *,
    by: str | None = "ancestry",
    n_bootstrap: int = 50,
    seed: int = 1,
) -> pd.DataFrame:
    """Estimate how much too good everybody's own choice looks, by repeating it on resampled people.

    Harrell et al. 1996 (Stat Med 15:361): in each sample the whole choice is made anew; the
    optimism is the mean, over samples, of the accuracy in the sample less that in everybody.

    Parameters
    ----------
    scores, cohort, choose, by
        As for `cross_fit_scores`.
    n_bootstrap : int
        Samples; the Monte Carlo error of the optimism is its SD between them over the root.
    seed : int
        Of the samples, drawn within the groups of `by` and case status.

    Returns
    -------
    DataFrame
        score, measure ("auc", "c" or "r2"), apparent, optimism, corrected (apparent less
        optimism), n_bootstrap (samples in which the choice led to this score).
    """
    people, everything = people_with_scores(cohort, scores)
    kind, y, time = people.outcome_kind, people.outcome, people.time
    group = people.labels.get(by) if by is not None else None
    measure = {"binary": "auc", "survival": "c"}.get(kind, "r2")

    def chosen_by(index: NDArray[np.int64]) -> Scores:
        """Let people, some perhaps twice, choose; return everybody's scores."""
        both = np.concatenate([index, np.arange(people.n)])
        renamed = SampleTable.from_ids([str(i) for i in range(len(both))])
        split = np.where(np.arange(len(both)) < len(index), TUNING, TEST).astype(object)
        doubled = replace(people.take(both), samples=renamed, split=split)
        made, _ = choose(replace(everything.take(both), samples=renamed), doubled)
        return made.take(np.arange(len(index), len(both)))

    whole = chosen_by(np.arange(people.n))

    def select(index: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the scores of `whole`'s names that these people choose; NaN for the others."""
        if len(index) == people.n and (index == np.arange(people.n)).all():
            return whole.values
        made = chosen_by(index)
        out = np.full(whole.values.shape, np.nan)
        for s, name in enumerate(whole.names):
            if name in made.names:
                out[:, s] = made.values[:, made.names.index(name)]
        return out

    found = selection_optimism(
        select,
        y,
        kind=kind,
        time=time,
        entry=people.entry,
        group=group,
        n_bootstrap=n_bootstrap,
        seed=seed,
    )
    return pd.DataFrame(
        {
            "score": list(whole.names),
            "measure": measure,
            "apparent": found.apparent,
            "optimism": found.optimism,
            "corrected": found.corrected,
            "n_bootstrap": np.isfinite(found.replicates).sum(axis=0),
        }
    )
