"""Absolute risk by age from incidence and competing mortality, for somebody's relative risk."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from prs.errors import InvalidValueError, SettingsError
from prs.evaluation.floors import OK, insufficient
from prs.evaluation.intervals import Estimate, normal_quantile

__all__ = [
    "absolute_risk",
    "age_risk_rows",
    "check_rates",
    "person_risks",
    "score_relative_risk",
]

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


#: Percentiles of the score for which risks by age are given.
PERCENTILES = (1, 5, 10, 25, 50, 75, 90, 95, 99)
_N_DRAWS = 400


def _rates_of(table: pd.DataFrame | None, group: str) -> pd.DataFrame | None:
    """Return a group's own rates, or those without a group; None where there are none."""
    if table is None or "group" not in table:
        return table
    for name in (group, "", "all"):
        own = table[table["group"] == name]
        if len(own):
            return own
    return None


def check_rates(
    incidence: pd.DataFrame,
    mortality: pd.DataFrame | None,
    *,
    groups: Sequence[str],
    ages: Sequence[float],
) -> None:
    """Raise InvalidValueError if the rates of a group that has some do not cover the ages.

    Parameters
    ----------
    incidence, mortality, ages
        See `age_risk_rows`.
    groups : sequence of str
    """
    for group in groups:
        own, other = _rates_of(incidence, group), _rates_of(mortality, group)
        if own is not None and (mortality is None or other is not None):
            absolute_risk(1.0, own, other, age_from=ages[0], age_to=ages[-1])


def age_risk_rows(
    hazard_ratio: Estimate,
    incidence: pd.DataFrame,
    mortality: pd.DataFrame | None,
    *,
    group: str,
    ages: Sequence[float],
    confidence: float = 0.95,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Return the risk by age at percentiles of the score in one group.

    Parameters
    ----------
    hazard_ratio : Estimate
        Per SD of the score in the group, with its interval (whose level is `confidence`).
    incidence, mortality : DataFrame
        See `absolute_risk`; with a column group, that group's own rows or those without one.
    group : str
    ages : sequence of float
        Free of the disease at the first; risks by the others.
    confidence, seed
        The interval carries that of the hazard ratio (400 draws of its logarithm), not any
        doubt about the rates.

    Returns
    -------
    list of dict
        percentile, age_from, age_to, risk with its interval, average (risk of the group's
        average person), relative_risk, status.
    """
    own, other = _rates_of(incidence, group), _rates_of(mortality, group)
    if own is None or (mortality is not None and other is None):
        return [{"status": insufficient("no rates given for this group")}]
    if not (np.isfinite(hazard_ratio.value) and np.isfinite(hazard_ratio.lower)):
        return [{"status": insufficient("no effect of the score is known in this group")}]
    b = float(np.log(hazard_ratio.value))
    se = float(np.log(hazard_ratio.upper / hazard_ratio.lower)) / 2 / normal_quantile(confidence)
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(7,)))
    draws = np.concatenate([[b], b + se * rng.standard_normal(_N_DRAWS)])
    z = ndtri(np.asarray(PERCENTILES) / 100.0)
    relative = np.exp(z[:, None] * draws - 0.5 * draws**2)
    tail = (1.0 - confidence) / 2.0
    rows = []
    for age in ages[1:]:
        risk = absolute_risk(relative, own, other, age_from=ages[0], age_to=age)
        average = float(absolute_risk(1.0, own, other, age_from=ages[0], age_to=age))
        low, high = np.quantile(risk[:, 1:], [tail, 1.0 - tail], axis=1)
        for i, percentile in enumerate(PERCENTILES):
            value = Estimate(float(risk[i, 0]), float(low[i]), float(high[i]))
            rows.append(
                {
                    "percentile": percentile,
                    "age_from": float(ages[0]),
                    "age_to": float(age),
                    **value.named("risk"),
                    "average": average,
                    "relative_risk": float(relative[i, 0]),
                    "status": OK,
                }
            )
    return rows


def person_risks(
    people: pd.DataFrame,
    hazard_ratios: Mapping[str, float],
    incidence: pd.DataFrame,
    mortality: pd.DataFrame | None,
    *,
    ages: Sequence[float],
) -> pd.DataFrame:
    """Return each person's risk between two ages, with its credible interval.

    The risk rises with the score, so that the ends of the score's interval are those of the
    risk's. The hazard of a person whose genetic value is g SDs (of the score) from the mean is
    taken as HR^g over its mean, which knows that g varies more than the score does: by the
    posterior variance (Berkson).

    Parameters
    ----------
    people : DataFrame
        From `PeopleUncertainty.to_frame`: IID, group, score, score_sd, score_lower, score_upper.
    hazard_ratios : mapping of str to float
        By group, per SD of the score in it; NaN where there is none.
    incidence, mortality, ages
        See `age_risk_rows`; the risk is from the first to the last age.

    Returns
    -------
    DataFrame
        IID, group, age_from, age_to, risk, risk_lower, risk_upper, status.
    """
    out = people[["IID", "group"]].copy()
    out["age_from"], out["age_to"] = float(ages[0]), float(ages[-1])
    values = np.full((len(people), 3), np.nan)
    status = np.full(len(people), OK, dtype=object)
    groups = people["group"].astype(str).to_numpy(dtype=object)
    for group in dict.fromkeys(groups):
        here = np.flatnonzero(groups == group)
        rows = people.iloc[here]
        own, other = _rates_of(incidence, group), _rates_of(mortality, group)
        ratio = hazard_ratios.get(group, np.nan)
        sd = float(rows["score"].std())
        if own is None or (mortality is not None and other is None):
            status[here] = insufficient("no rates given for this group")
        elif not np.isfinite(ratio) or not sd > 0.0:
            status[here] = insufficient("no effect of the score is known in this group")
        else:
            b, mean = float(np.log(ratio)), float(rows["score"].mean())
            spread = 1.0 + float((rows["score_sd"] ** 2).mean()) / sd**2
            ends = rows[["score", "score_lower", "score_upper"]].to_numpy(dtype=np.float64)
            g = (ends - mean) / sd
            relative = np.exp(b * g - 0.5 * b * b * spread)
            # at the score itself: the mean over the person's own draws
            own_spread = (rows["score_sd"].to_numpy(dtype=np.float64) / sd) ** 2
            relative[:, 0] *= np.exp(0.5 * b * b * own_spread)
            risks = absolute_risk(relative, own, other, age_from=ages[0], age_to=ages[-1])
            risks[:, 1:] = np.sort(risks[:, 1:], axis=1)  # a score that points the other way
            values[here] = risks
    for c, name in enumerate(("risk", "risk_lower", "risk_upper")):
        out[name] = values[:, c]
    return out.assign(status=status)
