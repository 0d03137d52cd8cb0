"""Choosing one column of many on tuning people only: once for everybody, or once for each group."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prs.cluster import one_blas_thread
from prs.errors import SettingsError
from prs.inputs.cohort import Cohort
from prs.survival.concordance import concordance
from prs.weights.combine import (
    MIN_EVENTS,
    MIN_PEOPLE,
    POOLED,
    CombinedScore,
    group_members,
    tuning_people,
)
from prs.weights.combine_models import require_variation
from prs.weights.score_table import Scores

__all__ = ["select_best"]

logger = logging.getLogger(__name__)


@one_blas_thread()
def select_best(
    scores: Scores,
    cohort: Cohort,
    columns: Sequence[str] | None = None,
    *,
    name: str | None = None,
    by: str | None = None,
    min_people: int = MIN_PEOPLE,
    min_events: int = MIN_EVENTS,
) -> CombinedScore:
    """Choose the column that predicts best among tuning people (C+T cells, a phi grid).

    Scores are first freed of the covariates by linear regression. The measure is AUC for a
    binary outcome, Harrell's C for a time to an event, and otherwise the share of the outcome's
    variance, left by the covariates, that the score explains (negative where the score points
    the wrong way).

    Without `by` all tuning people choose together, whatever their ancestry: the column is that
    of the largest group, more or less, and a column that tells groups of different risk apart
    looks good without predicting anything inside them. With `by` each group that has enough
    people chooses its own.

    Parameters
    ----------
    scores, cohort, columns
        As for `combine`.
    name : str, optional
        Name of the result's column; default: that of the column chosen, or "best" with `by`.
    by : str, optional
        A label of the cohort: choose once for each of its groups. Those with fewer than
        `min_people` tuning people, or fewer than `min_events` cases or controls (survival:
        events), and people without such a label, get the column that everybody chose; `notes`
        says so.
    min_people, min_events : int
        See `by`.

    Returns
    -------
    CombinedScore
        The chosen column, unchanged; with `by`, the columns in SDs from the mean of all tuning
        people, as those of different groups have different scales. `table` has one row a column,
        best first: score, metric ("auc", "c" or "r2"), value, chosen; with `by` one a group and
        column, and the group and its n (tuning people) as well.

    Raises
    ------
    SettingsError
        If there are no tuning people, no column varies among them, or `by` is no label.
    """
    names = tuple(columns) if columns is not None else scores.names
    tuning, values = tuning_people(scores.select(names), cohort)
    members, shared = group_members(tuning, by, min_people, min_events)
    notes = [f"{note}; it shares the column that everybody chose" for note in shared]
    chosen: dict[str, int] = {}
    tables = []
    for group, mask in members.items():
        metric, measured = _measure(values[mask], tuning.take(mask))
        if np.isnan(measured).all():
            if group == POOLED:
                raise SettingsError("no score varies among the tuning people")
            notes.append(f"{by} {group}: no score varies; it shares the column everybody chose")
            continue
        best = chosen[group] = int(np.nanargmax(measured))
        table = pd.DataFrame({"score": list(names), "metric": metric, "value": measured})
        table["chosen"] = np.arange(len(names)) == best
        table = table.sort_values("value", ascending=False, kind="stable", na_position="last")
        if by is not None:
            table = table.assign(n=int(mask.sum()))
            table.insert(0, "group", group)
        tables.append(table)
        logger.info("%s: chosen %s: %s %.4g", group, names[best], metric, measured[best])
    for note in notes:
        logger.info("%s", note)
    used = sorted(set(chosen.values()))
    one_hot = np.array([[float(best == s) for s in used] for best in chosen.values()])
    mean, sd = np.zeros(len(used)), np.ones(len(used))
    if by is not None:
        mean, sd = values[:, used].mean(axis=0), values[:, used].std(axis=0, ddof=1)
    default = names[chosen[POOLED]] if by is None else "best"
    return CombinedScore(
        name=name or default,
        columns=tuple(names[s] for s in used),
        groups=tuple(chosen),
        coefficients=one_hot,
        mean=mean,
        sd=sd,
        by=by,
        tuning_ids=tuning.samples.iid,
        table=pd.concat(tables, ignore_index=True),
        notes=tuple(notes),
    )


def _measure(values: NDArray[np.float64], people: Cohort) -> tuple[str, NDArray[np.float64]]:
    """Return how well each column predicts among some people; NaN where it does not vary."""
    require_variation(people)
    design = np.column_stack([np.ones(people.n), people.covariates])
    residual = values - design @ np.linalg.lstsq(design, values, rcond=None)[0]
    # rounding leaves a constant column with residuals of this size, not with zeros
    varies = residual.std(axis=0) > 1e-9 * np.maximum(np.abs(values).max(axis=0), 1e-300)
    measured = np.full(values.shape[1], np.nan)
    if people.outcome_kind == "binary":
        for s in np.flatnonzero(varies):
            measured[s] = _auc(residual[:, s], people.outcome == 1)
        return "auc", measured
    if people.outcome_kind == "survival" and people.time is not None:
        for s in np.flatnonzero(varies):
            followed = people.time, people.outcome, residual[:, s]
            measured[s] = concordance(*followed, entry=people.entry)[0]
        return "c", measured
    target = people.outcome
    left = target - design @ np.linalg.lstsq(design, target, rcond=None)[0]
    for s in np.flatnonzero(varies):
        r = np.corrcoef(residual[:, s], left)[0, 1]
        measured[s] = np.sign(r) * r * r
    return "r2", measured


def _auc(score: NDArray[np.float64], is_case: NDArray[np.bool_]) -> float:
    """Return the probability that a case scores above a control (ties: half)."""
    ranks = pd.Series(score).rank().to_numpy()
    n_cases = int(is_case.sum())
    n_controls = len(score) - n_cases
    return float((ranks[is_case].sum() - n_cases * (n_cases + 1) / 2) / (n_cases * n_controls))
