"""Everybody's risk from each score, by models that were fitted on other people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from prs.evaluation.people import EVERYBODY, Data
from prs.evaluation.risk_models import (
    RiskPredictions,
    assign_folds,
    choose_recalibration,
    cross_fit_risks,
    predict_risks,
)
from prs.evaluation.survival_models import HazardPredictions, cross_fit_hazards, predict_hazards

__all__ = ["predict_people", "recalibration_methods"]


def recalibration_methods(data: Data, recalibrate: str, n_folds: int) -> dict[str, str]:
    """Choose each group's recalibration by the data that it has to be fitted on.

    Parameters
    ----------
    data : Data
    recalibrate : str
        See `prs.evaluation.risk_models.choose_recalibration`.
    n_folds : int
        Of the cross-fitting, where there is no split.
    """
    methods = {}
    kept = 1.0 if data.has_split else (n_folds - 1) / n_folds
    for group in data.groups:
        outcome = data.outcome[data.members(group) & data.tuning]
        amount = float(len(outcome))
        if data.kind == "binary":
            amount = min(outcome.sum(), len(outcome) - outcome.sum())
        elif data.kind == "survival":
            amount = float(outcome.sum())
        methods[group] = choose_recalibration(kept * amount, recalibrate)
    return methods


def predict_people(
    data: Data,
    methods: Mapping[str, str],
    *,
    train_on: str | None = None,
    n_folds: int = 5,
    seed: int = 0,
    horizons: Sequence[float] = (),
) -> list[RiskPredictions | HazardPredictions]:
    """Predict everybody's risk from each score, by models fitted on other people.

    Parameters
    ----------
    data : Data
        With a split, models are fitted on its tuning people; without one they are cross-fitted.
    methods : mapping of str to str
        How each group is recalibrated (`recalibration_methods`); none that is not named.
    train_on : str, optional
        Fit the common model on this group alone.
    n_folds, seed : int
        Of the cross-fitting; folds are even within groups and, where there are events, these.
    horizons : sequence of float
        Times by which risks are wanted, where the outcome takes time.
    """
    binary = data.kind == "binary"
    predictions: list[RiskPredictions | HazardPredictions] = []
    if not data.has_split:
        _, strata = np.unique(data.group.astype(str), return_inverse=True)
        if data.has_events:
            strata = 2 * strata + data.outcome.astype(np.int64)
        folds = assign_folds(strata.astype(np.int64), n_folds, seed, (0,))
    people = (data.covariates, data.group)
    train_on = None if train_on == EVERYBODY else train_on
    for s in range(len(data.names)):
        column = data.scores[:, s]
        made: RiskPredictions | HazardPredictions
        if data.kind == "survival":
            options: dict[str, Any] = {
                "horizons": horizons,
                "methods": methods,
                "train_on": train_on,
                "entry": data.entry,
            }
            followed = (data.times(), data.outcome, column, *people)
            if data.has_split:
                made = predict_hazards(*followed, data.tuning, **options)
            else:
                made = cross_fit_hazards(*followed, folds, **options)
        elif data.has_split:
            made = predict_risks(
                data.outcome,
                column,
                *people,
                data.tuning,
                binary=binary,
                methods=methods,
                train_on=train_on,
            )
        else:
            made = cross_fit_risks(
                data.outcome,
                column,
                *people,
                folds,
                binary=binary,
                methods=methods,
                train_on=train_on,
            )
        predictions.append(made)
    return predictions
