"""Studies with one sample: nested cross-fitting, and optimism by bootstrapping the selection."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from prs.errors import SettingsError
from prs.evaluation.accuracy import delong
from prs.evaluation.regression import design_matrix
from prs.evaluation.risk_models import assign_folds
from prs.survival.concordance import concordance

__all__ = [
    "Optimism",
    "Selection",
    "accuracy_of",
    "best_column",
    "cross_fit",
    "resample",
    "selection_optimism",
]

Floats = NDArray[np.float64]
Index = NDArray[np.int64]
Selection = Callable[[Index], Floats]
"""Everything that is chosen by looking at outcomes, as one function: given the people to look at
(indices, perhaps repeated), the score of all N people, shape (N,); or several, shape
(N, S)."""


@dataclass(frozen=True, eq=False)
class Optimism:
    """An accuracy with what the selection added to it taken off.

    Attributes
    ----------
    apparent : ndarray of float64, shape () or (S,)
        In the people that the selection looked at; a figure for each column that it makes.
    optimism : ndarray of float64, shape () or (S,)
        Mean over bootstrap samples of (accuracy in the sample selected on) - (in everybody).
    corrected : ndarray of float64, shape () or (S,)
        apparent - optimism (Harrell et al. 1996, Stat Med 15:361).
    replicates : ndarray of float64, shape (B,) or (B, S)
        The optimism of each sample; NaN where its selection made no such column.
    """

    apparent: Floats
    optimism: Floats
    corrected: Floats
    replicates: Floats


def accuracy_of(
    score: Floats,
    outcome: Floats,
    kind: str,
    time: Floats | None = None,
    entry: Floats | None = None,
) -> float:
    """Return the AUC (binary), Harrell's C (survival, with times) or squared correlation."""
    if kind == "survival" and time is not None:
        return concordance(time, outcome, score, entry=entry)[0]
    if kind == "binary":
        return float(delong(score[:, None], outcome).auc[0])
    if score.std() == 0.0:
        return 0.0
    return float(np.corrcoef(score, outcome)[0, 1] ** 2)


def best_column(
    scores: ArrayLike, outcome: ArrayLike, *, kind: str, covariates: ArrayLike | None = None
) -> Selection:
    """Return the selection "the column that does best", as clumping and thresholding makes it.

    Parameters
    ----------
    scores : array_like, shape (N, S)
    outcome : array_like, shape (N,)
    kind : {"binary", "quantitative"}
    covariates : array_like, shape (N, C), optional
        For a quantitative outcome, regressed out of it first.
    """
    values, y = np.asarray(scores, np.float64), np.asarray(outcome, np.float64)
    x = np.empty((len(y), 0)) if covariates is None else np.asarray(covariates, np.float64)

    def select(people: Index) -> Floats:
        target = y[people]
        if kind != "binary" and x.shape[1]:
            design, independent = design_matrix(x[people])
            q, _ = np.linalg.qr(design[:, independent])
            target = target - q @ (q.T @ target)
        every = [accuracy_of(values[people, s], target, kind) for s in range(values.shape[1])]
        return np.asarray(values[:, int(np.argmax(every))])

    return select


def _strata(outcome: Floats, kind: str, group: ArrayLike | None) -> NDArray[np.int64]:
    codes = np.zeros(len(outcome), np.int64)
    if group is not None:
        _, codes = np.unique(np.asarray(group).astype(str), return_inverse=True)
    return 2 * codes.astype(np.int64) + ((outcome == 1.0) if kind == "binary" else 0)


def cross_fit(
    select: Selection,
    outcome: ArrayLike,
    *,
    kind: str,
    group: ArrayLike | None = None,
    n_folds: int = 5,
    seed: int = 0,
) -> Floats:
    """Return everybody's score by a selection that did not look at them (nested cross-fitting).

    Scores of different folds may be different columns: each is put on the scale of its
    selection's own people (mean 0, SD 1) first. Judged with `evaluate` on a cohort without a
    split, whose risk models are cross-fitted in turn, this uses one sample for all.

    Parameters
    ----------
    select : Selection
        All that looks at outcomes.
    outcome : array_like, shape (N,)
    kind : {"binary", "quantitative"}
    group : array_like of str, shape (N,), optional
        Folds are even within groups (and case status).
    n_folds, seed : int

    Returns
    -------
    ndarray of float64, shape (N,) or (N, S)
    """
    y = np.asarray(outcome, np.float64)
    if not 2 <= n_folds <= len(y):
        raise SettingsError(f"n_folds={n_folds} for {len(y):,} people")
    folds = assign_folds(_strata(y, kind, group), n_folds, seed, (5,))
    out: Floats | None = None
    for fold in range(n_folds):
        inside = np.flatnonzero(folds != fold)
        score = select(inside)
        sd = score[inside].std(axis=0)
        held_out = folds == fold
        out = np.empty_like(score) if out is None else out
        out[held_out] = (score[held_out] - score[inside].mean(axis=0)) / np.where(sd == 0, 1, sd)
    return np.asarray(out)


def resample(
    outcome: Floats, number: int, *, kind: str, group: ArrayLike | None = None, seed: int = 0
) -> Index:
    """Return bootstrap sample `number` of people, drawn within groups and case status."""
    strata = _strata(outcome, kind, group)
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(6, number)))
    members = [np.flatnonzero(strata == s) for s in np.unique(strata)]
    return np.concatenate([m[rng.integers(0, len(m), len(m))] for m in members])


def selection_optimism(
    select: Selection,
    outcome: ArrayLike,
    *,
    kind: str,
    time: ArrayLike | None = None,
    entry: ArrayLike | None = None,
    group: ArrayLike | None = None,
    n_bootstrap: int = 200,
    seed: int = 0,
) -> Optimism:
    """Estimate how much too good an accuracy is, by repeating the whole selection.

    Parameters are those of `cross_fit`, `time` and `entry` of shape (N,) for a survival outcome;
    `n_bootstrap` samples are drawn within groups and case status. A column that is NaN for
    everybody is one that the selection did not come to: such a sample says nothing of it.
    """
    y = np.asarray(outcome, np.float64)
    times, entries = (None if v is None else np.asarray(v, np.float64) for v in (time, entry))
    everybody = np.arange(len(y))

    def accuracies(score: Floats, index: Index) -> Floats:
        followed = [None if v is None else v[index] for v in (times, entries)]
        columns = score[index].reshape(len(index), -1).T
        made = [
            np.nan if np.isnan(column).all() else accuracy_of(column, y[index], kind, *followed)
            for column in columns
        ]
        return np.array(made).reshape(score.shape[1:])

    apparent = accuracies(select(everybody), everybody)
    replicates = np.empty((n_bootstrap, *apparent.shape))
    for b in range(n_bootstrap):
        drawn = resample(y, b, kind=kind, group=group, seed=seed)
        score = select(drawn)
        replicates[b] = accuracies(score, drawn) - accuracies(score, everybody)
    known = [r[np.isfinite(r)] for r in replicates.reshape(n_bootstrap, -1).T]
    optimism = np.array([r.mean() if len(r) else np.nan for r in known]).reshape(apparent.shape)
    return Optimism(apparent, optimism, apparent - optimism, replicates)
