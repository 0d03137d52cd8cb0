"""Models that turn a score into a risk, fitted on some people to be judged on others.

"Uncorrected" is one model for everybody: outcome ~ covariates + score. "Recalibrated" moves its
linear predictor in each group, a + b x, by as much as that group's events allow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression
from scipy.special import expit, logit

from prs.errors import SettingsError
from prs.evaluation.regression import RegressionFit, design_matrix, fit_linear, fit_logistic

__all__ = [
    "BOTH",
    "INTERCEPT",
    "ISOTONIC",
    "NONE",
    "RiskPredictions",
    "assign_folds",
    "choose_recalibration",
    "cross_fit_risks",
    "predict_risks",
]

Floats = NDArray[np.float64]
Masks = NDArray[np.bool_]

NONE, INTERCEPT, BOTH, ISOTONIC = "none", "intercept", "intercept + slope", "isotonic"

EVENTS_FOR_INTERCEPT = 10
EVENTS_FOR_SLOPE = 50
EVENTS_FOR_ISOTONIC = 1000


def choose_recalibration(amount: float, recalibrate: str = "auto") -> str:
    """Choose how a group's model is recalibrated, by how much data the group has.

    Fewer than 10 events (or non-events): none; the common model stands. From 10: the intercept.
    From 50: intercept and slope. The order, from the update that asks least of the data to the
    one that asks most, is that of Steyerberg et al. 2004 (Stat Med 23:2567); 10 is the usual
    least number of events for a coefficient (Peduzzi et al. 1996, J Clin Epidemiol 49:1373) and
    50 is ours: at 50 events the slope of a model with AUC 0.7 has a standard error of about 0.2.

    Parameters
    ----------
    amount : float
        The smaller of events and non-events; for a quantitative outcome, people.
    recalibrate : {"auto", "intercept", "isotonic", "none"}
        "auto" is the rule; "intercept" and "none" go at most so far. "isotonic" is the rule and,
        from 1,000 events, any increasing function: below that it follows the noise (Niculescu-
        Mizil & Caruana 2005, ICML, figure 8).
    """
    if recalibrate not in {"auto", "intercept", "isotonic", "none"}:
        raise SettingsError(
            f"recalibrate is {recalibrate!r}",
            remedy="use 'auto', 'intercept', 'isotonic' or 'none'",
        )
    if recalibrate == "none" or amount < EVENTS_FOR_INTERCEPT:
        return NONE
    if recalibrate == "intercept" or amount < EVENTS_FOR_SLOPE:
        return INTERCEPT
    if recalibrate == "isotonic" and amount >= EVENTS_FOR_ISOTONIC:
        return ISOTONIC
    return BOTH


@dataclass(frozen=True, eq=False)
class RiskPredictions:
    """Predicted risks (binary) or means (quantitative), each shape (N,).

    NaN for everybody where a model has no fit (cases and controls are separated).

    Attributes
    ----------
    covariates : ndarray of float64
        From the covariates alone.
    uncorrected : ndarray of float64
        From covariates and score, one model for everybody.
    recalibrated : ndarray of float64
        The same, recalibrated in each group.
    covariates_recalibrated : ndarray of float64
        From the covariates alone, recalibrated as the model with the score is: what a decision
        would rest on without the score.
    """

    covariates: Floats
    uncorrected: Floats
    recalibrated: Floats
    covariates_recalibrated: Floats


def _fit(design: Floats, outcome: Floats, binary: bool, offset: Floats | None) -> RegressionFit:
    if binary:
        return fit_logistic(design, outcome, offset=offset)
    return fit_linear(design, outcome if offset is None else outcome - offset)


def _linear_predictor(columns: Floats, outcome: Floats, train: Masks, binary: bool) -> Floats:
    """Fit on the `train` people and return everybody's linear predictor (NaN: no fit)."""
    design, independent = design_matrix(columns[train])
    design = design[:, independent]
    fit = _fit(design, outcome[train], binary, None)
    if not fit.converged:
        return np.full(len(outcome), np.nan)
    everybody = np.column_stack([np.ones(len(outcome)), columns])[:, independent]
    return everybody @ fit.coef


def _recalibrate(
    linear: Floats, outcome: Floats, train: Masks, inside: Masks, binary: bool, method: str
) -> Floats:
    """Return the group's linear predictor a + b x; a smaller update where a fit fails."""
    people = train & inside
    x, y = linear[people], outcome[people]
    if method == ISOTONIC:
        return _increasing(x, y, linear[inside], binary)
    if method == BOTH:
        design, independent = design_matrix(x)
        if independent.all():
            fit = _fit(design, y, binary, None)
            if fit.converged:
                return fit.coef[0] + fit.coef[1] * linear[inside]
        method = INTERCEPT
    if method == INTERCEPT:
        fit = _fit(np.ones((len(y), 1)), y, binary, x)
        if fit.converged:
            return fit.coef[0] + linear[inside]
    return linear[inside]


def _increasing(x: Floats, y: Floats, at: Floats, binary: bool) -> Floats:
    """Return the best increasing function of x for y (pool adjacent violators), at some points.

    Linear between the centres of its steps, so that people on one step keep their order.
    """
    order = np.argsort(x, kind="stable")
    fit = isotonic_regression(y[order])
    starts = fit.blocks[:-1]
    counts = np.diff(fit.blocks)
    centres = np.add.reduceat(x[order], starts) / counts
    values = fit.x[starts]
    if not binary:
        return np.asarray(np.interp(at, centres, values))
    least = 1.0 / (2.0 * len(y))
    return np.asarray(logit(np.clip(np.interp(at, centres, values), least, 1.0 - least)))


def predict_risks(
    outcome: Floats,
    score: Floats,
    covariates: Floats,
    group: NDArray[np.object_],
    train: Masks,
    *,
    binary: bool,
    methods: Mapping[str, str],
    train_on: str | None = None,
) -> RiskPredictions:
    """Fit the models on `train` and predict for everybody.

    Parameters
    ----------
    outcome, score : ndarray of float64, shape (N,)
        0/1 or a quantity; the score.
    covariates : ndarray of float64, shape (N, C)
        Covariates.
    group : ndarray of object (str), shape (N,)
        Group of each person.
    train : ndarray of bool, shape (N,)
        Whom to fit on.
    binary : bool
        Logistic models; else linear.
    methods : mapping of str to str
        How each group is recalibrated (see `choose_recalibration`).
    train_on : str, optional
        Fit the common models on this group alone, as where a model is carried from one
        ancestry to the others.

    Returns
    -------
    RiskPredictions
    """
    base = train if train_on is None else train & (group == train_on)
    # Standardised by the people it is fitted on; a column that is constant there drops out.
    columns = np.column_stack([covariates, score])
    scale = columns[base].std(0)
    columns = (columns - columns[base].mean(0)) / np.where(scale > 0.0, scale, 1.0)
    null = _linear_predictor(columns[:, :-1], outcome, base, binary)
    linear = _linear_predictor(columns, outcome, base, binary)
    made = [null, linear, linear.copy(), null.copy()]
    for name, method in methods.items():
        inside = group == name
        if method == NONE or not inside.any():
            continue
        for before, after in ((linear, made[2]), (null, made[3])):
            if np.isfinite(before).all():
                after[inside] = _recalibrate(before, outcome, train, inside, binary, method)
    return RiskPredictions(*(expit(part) if binary else part for part in made))


def assign_folds(
    strata: NDArray[np.int64], n_folds: int, seed: int, stage: tuple[int, ...]
) -> NDArray[np.int64]:
    """Deal people into folds at random, evenly within each stratum.

    Parameters
    ----------
    strata : ndarray of int, shape (N,)
        Group and, for a binary outcome, case status.
    n_folds : int
        K.
    seed, stage
        The stream of random numbers (see `prs.evaluation.bootstrap`).

    Returns
    -------
    ndarray of int64, shape (N,)
        0 to K - 1.
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=stage))
    folds = np.empty(len(strata), np.int64)
    next_fold = 0
    for stratum in np.unique(strata):
        members = rng.permutation(np.flatnonzero(strata == stratum))
        folds[members] = (next_fold + np.arange(len(members))) % n_folds
        next_fold = int(next_fold + len(members)) % n_folds
    return folds


def cross_fit_risks(
    outcome: Floats,
    score: Floats,
    covariates: Floats,
    group: NDArray[np.object_],
    folds: NDArray[np.int64],
    *,
    binary: bool,
    methods: Mapping[str, str],
    train_on: str | None = None,
) -> RiskPredictions:
    """Predict for each fold with models fitted on the other folds.

    Parameters are those of `predict_risks`, with `folds` (N,) in place of `train`.
    """
    out = [np.empty(len(outcome)) for _ in range(4)]
    for fold in np.unique(folds):
        held_out = folds == fold
        made = predict_risks(
            outcome,
            score,
            covariates,
            group,
            ~held_out,
            binary=binary,
            methods=methods,
            train_on=train_on,
        )
        parts = (
            made.covariates,
            made.uncorrected,
            made.recalibrated,
            made.covariates_recalibrated,
        )
        for whole, part in zip(out, parts, strict=True):
            whole[held_out] = part[held_out]
    return RiskPredictions(*out)
