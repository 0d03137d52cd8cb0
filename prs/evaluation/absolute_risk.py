"""Absolute risk by age from incidence and competing mortality, for somebody's relative risk."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from prs.errors import InvalidValueError, SettingsError

__all__ = ["absolute_risk", "score_relative_risk"]

Floats = NDArray[np.float64]


def _rates(table: pd.DataFrame, what: str) -> tuple[Floats, Floats, Floats]:
    missing = {"age_from", "age_to", "rate"} - set(table.columns)
    if missing:
        raise InvalidValueError(
            f"the {what} table lacks {', '.join(sorted(missing))}",
            remedy="columns: age_from, age_to (years), rate (per person and year)",
        )
    rows = table.sort_values("age_from")
    start, stop, rate = (rows[c].to_numpy(dtype=np.float64) for c in ("age_from", "age_to", "rate"))
    if (stop <= start).any() or (start[1:] != stop[:-1]).any() or (rate < 0).any():
        raise InvalidValueError(
            f"the ages of the {what} table have gaps or overlap, or a rate is negative"
        )
    if not np.isfinite(rate).all() or (rate > 1.0).any():
        raise InvalidValueError(
            f"a rate of the {what} table is not a rate per person and year",
            remedy="divide a rate per 100,000 by 100,000",
        )
    return start, stop, rate


def absolute_risk(
    relative_risk: ArrayLike,
    incidence: pd.DataFrame,
    mortality: pd.DataFrame | None = None,
    *,
    age_from: float,
    age_to: float,
) -> Floats:
    """Return the risk of the disease between two ages, other death competing.

    Within each age band the hazards are constant, r = incidence x relative risk and m = other
    mortality, so that the risk in a band of length d is r / (r + m) (1 - exp(-(r + m) d)) times
    the chance of reaching it (Gail et al. 1989, J Natl Cancer Inst 81:1879; Dupont 1989, Stat
    Med 8:641).

    Parameters
    ----------
    relative_risk : array_like of any shape
        Hazard of a person over the population's mean hazard (see `score_relative_risk`).
    incidence, mortality : DataFrame
        age_from, age_to (years), rate (per person and year); mortality from other causes than
        the disease. Both must cover the ages asked for.
    age_from, age_to : float
        Free of the disease at the one, risk by the other.

    Returns
    -------
    ndarray of float64, like `relative_risk`
    """
    if not 0.0 <= age_from < age_to:
        raise SettingsError(f"age_from={age_from}, age_to={age_to}")
    risk = np.asarray(relative_risk, np.float64)
    if (risk < 0.0).any():
        raise InvalidValueError("a relative risk is negative")
    tables = [("incidence", _rates(incidence, "incidence"))]
    if mortality is not None:
        tables.append(("mortality", _rates(mortality, "mortality")))
    for what, (start, stop, _) in tables:
        if start[0] > age_from or stop[-1] < age_to:
            raise InvalidValueError(
                f"the {what} table covers ages {start[0]:g} to {stop[-1]:g}, asked for are "
                f"{age_from:g} to {age_to:g}"
            )
    edges = np.unique(np.concatenate([np.r_[t[0], t[1]] for _, t in tables] + [[age_from, age_to]]))
    edges = edges[(edges >= age_from) & (edges <= age_to)]
    out, alive = np.zeros_like(risk), np.ones_like(risk)
    for low, high in itertools.pairwise(edges):
        hazards = [t[2][np.searchsorted(t[0], low, side="right") - 1] for _, t in tables]
        r = hazards[0] * risk
        total = r + (hazards[1] if len(hazards) > 1 else 0.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            share = np.where(total > 0.0, r / total, 0.0)
        out += alive * share * -np.expm1(-total * (high - low))
        alive *= np.exp(-total * (high - low))
    return out


def score_relative_risk(score_sds: ArrayLike, hazard_ratio: float) -> Floats:
    """Return the relative risk at a score, in SDs from the mean, with a mean of 1 over people.

    ``HR^z / E[HR^z]`` with z standard normal: ``exp(z b - b^2 / 2)``, b = log HR; so that the
    table's incidence stays the population's mean.

    Parameters
    ----------
    score_sds : array_like
        Score in SDs from the mean of the population (ancestry) that the table is about.
    hazard_ratio : float
        Per SD.
    """
    if not hazard_ratio > 0.0:
        raise SettingsError(f"hazard_ratio={hazard_ratio} must be positive")
    b = np.log(hazard_ratio)
    out: Floats = np.exp(b * np.asarray(score_sds, np.float64) - 0.5 * b * b)
    return out
