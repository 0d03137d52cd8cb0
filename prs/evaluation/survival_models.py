"""Models that turn a score into a hazard, and a risk by a time, judged on other people.

The counterpart of `risk_models` for time-to-event outcomes. "Uncorrected" is one proportional
hazards model for everybody, with Breslow's baseline; "recalibrated" moves, in each group, its
level (observed over expected events) and, with enough events, its slope (Crowson et al. 2016,
Stat Methods Med Res 25:1692).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prs.evaluation.regression import design_matrix
from prs.evaluation.risk_models import BOTH, ISOTONIC, NONE
from prs.survival.cox import baseline_hazard, fit_cox

__all__ = ["HazardPredictions", "cross_fit_hazards", "predict_hazards"]

Floats = NDArray[np.float64]
Masks = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class HazardPredictions:
    """Predicted log hazards, and risks by the horizons; NaN where a model has no fit.

    Attributes
    ----------
    covariates, uncorrected, recalibrated : ndarray of float64, shape (N,)
        Log hazards from the covariates alone; from covariates and score, one model for
        everybody; the same, recalibrated in each group.
    risks : dict of str to ndarray of float64, shape (N, H)
        For "uncorrected" and "recalibrated": risk by each horizon.
    """

    covariates: Floats
    uncorrected: Floats
    recalibrated: Floats
    risks: Mapping[str, Floats]


def _of(entry: Floats | None, mask: Masks) -> Floats | None:
    return None if entry is None else entry[mask]


def _linear(
    columns: Floats, time: Floats, event: Floats, base: Masks, entry: Floats | None
) -> Floats:
    """Fit on `base`; everybody's log hazard, 0 on average there."""
    _, independent = design_matrix(columns[base])
    kept = columns[:, independent[1:]]
    if kept.shape[1] == 0:
        return np.zeros(len(time))
    fit = fit_cox(kept[base], time[base], event[base], entry=_of(entry, base))
    linear = (kept - kept[base].mean(axis=0)) @ fit.coef
    return np.asarray(linear)


def predict_hazards(
    time: Floats,
    event: Floats,
    score: Floats,
    covariates: Floats,
    group: NDArray[np.object_],
    train: Masks,
    *,
    horizons: Sequence[float],
    methods: Mapping[str, str],
    train_on: str | None = None,
    entry: Floats | None = None,
) -> HazardPredictions:
    """Fit the models on `train` and predict for everybody.

    Parameters
    ----------
    time, event, score : ndarray of float64, shape (N,)
    covariates : ndarray of float64, shape (N, C)
    group : ndarray of object (str), shape (N,)
    train : ndarray of bool, shape (N,)
        Whom to fit on.
    horizons : sequence of float
        Risks are predicted by these times.
    methods : mapping of str to str
        How each group is recalibrated (`risk_models.choose_recalibration`; isotonic counts as
        intercept and slope).
    train_on : str, optional
        Fit the common models on this group alone.
    entry : ndarray of float64, shape (N,), optional
        When each person came under observation, on the scale of `time`. The baseline hazard is
        then one of that scale (age), and the risk by a horizon that of the time from each one's
        own entry to the horizon after it.
    """
    base = train if train_on is None else train & (group == train_on)
    null = _linear(covariates, time, event, base, entry)
    linear = _linear(np.column_stack([covariates, score]), time, event, base, entry)
    at = np.asarray(horizons, np.float64)
    if not np.isfinite(linear).all():
        nothing = np.full((len(time), len(at)), np.nan)
        return HazardPredictions(
            null, linear, linear.copy(), {"uncorrected": nothing, "recalibrated": nothing}
        )
    fitted = (linear[base], time[base], event[base])
    if entry is None:
        hazard, own = (baseline_hazard(*fitted, when) for when in (at, time))
    else:
        ends = np.column_stack([entry[:, None] + at, time])
        both = baseline_hazard(*fitted, np.column_stack([ends, entry]), entry=entry[base])
        hazard, own = both[:, :-2] - both[:, -1:], both[:, -2] - both[:, -1]
    moved = linear.copy()
    for name, method in methods.items():
        inside = group == name
        people = inside & train
        if method == NONE or not event[people].any():
            continue
        slope = 1.0
        if method in (BOTH, ISOTONIC) and linear[people].std() > 0.0:
            fit = fit_cox(
                linear[people][:, None], time[people], event[people], entry=_of(entry, people)
            )
            slope = float(fit.coef[0]) if fit.converged else 1.0
        expected = float((own[people] * np.exp(slope * linear[people])).sum())
        if expected > 0.0:
            moved[inside] = slope * linear[inside] + np.log(event[people].sum() / expected)
    risks = {
        name: -np.expm1(-np.exp(values)[:, None] * hazard)
        for name, values in (("uncorrected", linear), ("recalibrated", moved))
    }
    return HazardPredictions(null, linear, moved, risks)


def cross_fit_hazards(
    time: Floats,
    event: Floats,
    score: Floats,
    covariates: Floats,
    group: NDArray[np.object_],
    folds: NDArray[np.int64],
    *,
    horizons: Sequence[float],
    methods: Mapping[str, str],
    train_on: str | None = None,
    entry: Floats | None = None,
) -> HazardPredictions:
    """Predict for each fold with models fitted on the other folds (see `predict_hazards`)."""
    lines = np.empty((3, len(time)))
    risks = {name: np.empty((len(time), len(horizons))) for name in ("uncorrected", "recalibrated")}
    for fold in np.unique(folds):
        out = folds == fold
        made = predict_hazards(
            time, event, score, covariates, group, ~out,
            horizons=horizons, methods=methods, train_on=train_on, entry=entry,
        )  # fmt: skip
        for k, part in enumerate((made.covariates, made.uncorrected, made.recalibrated)):
            lines[k, out] = part[out]
        for name, values in made.risks.items():
            risks[name][out] = values[out]
    return HazardPredictions(lines[0], lines[1], lines[2], risks)
