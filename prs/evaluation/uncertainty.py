"""How sure one person's score is: intervals from posterior draws, of score, percentile and risk.

With draws of the effects, each draw gives everybody a score; the scores of one person over the
draws are draws of that person's genetic value (Ding et al. 2022, Nat Genet 54:30). A rank is
taken within each draw, among people scored with the same effects, so that what all of them share
does not count as uncertainty of the rank.

What the intervals hold: given the model, the summary statistics and the LD panel. They know
nothing of variants that were not in the model, of a panel that does not fit, or of causes that
are not in the genotypes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from prs.errors import InvalidValueError, SettingsError
from prs.evaluation.floors import OK, insufficient
from prs.evaluation.people import EVERYBODY

__all__ = [
    "PeopleUncertainty",
    "centre_draws",
    "credible_interval",
    "draw_risks",
    "person_sentence",
    "summarise_draws",
]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PeopleUncertainty:
    """The score of each of N people, its percentile and risk, with credible intervals.

    Attributes
    ----------
    ids : ndarray of object (str), shape (N,)
        People.
    group : ndarray of object (str), shape (N,)
        Within which group a person is ranked.
    score, score_sd, score_lower, score_upper : ndarray of float64, shape (N,)
        The score, its posterior SD, and its interval, in the score's unit.
    percentile, percentile_lower, percentile_upper : ndarray of float64, shape (N,)
        Place among the people of the group, 0 to 1: of the score, and the interval over draws.
        NaN where the group has too few people to be ranked among.
    p_top : ndarray of float64, shape (N,)
        Posterior probability of being in the top `top` of the group.
    risk, risk_lower, risk_upper : ndarray of float64, shape (N,)
        Absolute risk and its interval; NaN where no risk model was given.
    status : ndarray of object (str), shape (N,)
        "ok", or why there is no percentile.
    n_reference : dict of str to int
        People that a group's percentiles are relative to.
    top : float
        Share that counts as the top, 0.1 for the top decile.
    level : float
        Of the intervals.
    n_draws : int
        Draws that they are from.
    """

    ids: NDArray[np.object_]
    group: NDArray[np.object_]
    score: Floats
    score_sd: Floats
    score_lower: Floats
    score_upper: Floats
    percentile: Floats
    percentile_lower: Floats
    percentile_upper: Floats
    p_top: Floats
    risk: Floats
    risk_lower: Floats
    risk_upper: Floats
    status: NDArray[np.object_]
    n_reference: dict[str, int]
    top: float
    level: float
    n_draws: int

    @property
    def in_top(self) -> NDArray[np.bool_]:
        """Who is in the top of the group by the score itself; shape (N,)."""
        return self.percentile >= 1.0 - self.top

    @property
    def certainly_top(self) -> NDArray[np.bool_]:
        """Whose percentile's interval lies wholly in the top; shape (N,)."""
        return self.percentile_lower >= 1.0 - self.top

    def to_frame(self) -> pd.DataFrame:
        """Return one row a person, the attributes as columns (IID, group, score, ...)."""
        names = [
            "score",
            "score_sd",
            "score_lower",
            "score_upper",
            "percentile",
            "percentile_lower",
            "percentile_upper",
            "p_top",
            "risk",
            "risk_lower",
            "risk_upper",
        ]
        return pd.DataFrame(
            {
                "IID": self.ids,
                "group": self.group,
                **{name: getattr(self, name) for name in names},
                "in_top": self.in_top,
                "certainly_top": self.certainly_top,
                "status": self.status,
            }
        )

    def by_group(self) -> pd.DataFrame:
        """Return one row a group: how sure its people's scores are.

        Returns
        -------
        DataFrame
            group, n, n_reference, interval_width (mean, in SDs of the score in the group),
            reliability (var(score) / (var(score) + mean posterior variance): the share of
            genetic variance that the score has, if the model holds), percentile_width (mean),
            n_top (in the top by the score), n_certain and share_certain (of these, with an
            interval wholly inside the top), p_top_of_top (their mean probability of being
            there), level, top, n_draws, status.
        """
        rows: list[dict[str, Any]] = []
        for group in dict.fromkeys(self.group):
            here = self.group == group
            variance = float(self.score[here].var())
            noise = float((self.score_sd[here] ** 2).mean())
            width = (self.score_upper - self.score_lower)[here].mean()
            row: dict[str, Any] = {
                "group": str(group),
                "n": int(here.sum()),
                "n_reference": self.n_reference[str(group)],
                "interval_width": width / np.sqrt(variance) if variance > 0.0 else np.nan,
                "reliability": variance / (variance + noise) if variance + noise > 0.0 else np.nan,
            }
            status = str(self.status[here][0])
            if status == OK:
                top = here & self.in_top
                n_top, n_certain = int(top.sum()), int((top & self.certainly_top).sum())
                row |= {
                    "percentile_width": float(
                        (self.percentile_upper - self.percentile_lower)[here].mean()
                    ),
                    "n_top": n_top,
                    "n_certain": n_certain,
                    "share_certain": n_certain / n_top if n_top else np.nan,
                    "p_top_of_top": float(self.p_top[top].mean()) if n_top else np.nan,
                }
            rows.append(
                row
                | {
                    "level": self.level,
                    "top": self.top,
                    "n_draws": self.n_draws,
                    "status": status,
                }
            )
        frame = pd.DataFrame(rows)
        for name in ("percentile_width", "share_certain", "p_top_of_top"):
            frame[name] = frame[name].astype(float) if name in frame else np.nan
        for name in ("n_top", "n_certain"):
            frame[name] = frame[name].astype("Int64") if name in frame else pd.NA
        first = ["group", "n", "n_reference", "interval_width", "reliability", "percentile_width"]
        second = ["n_top", "n_certain", "share_certain", "p_top_of_top"]
        return frame[[*first, *second, "level", "top", "n_draws", "status"]]

    def sentence(self, person: str) -> str:
        """Say in words what is known of one person's score.

        Raises
        ------
        SettingsError
            If there is no such person.
        """
        found = np.flatnonzero(self.ids == person)
        if len(found) == 0:
            raise SettingsError(f"there is no person {person!r}")
        row = self.to_frame().iloc[int(found[0])].to_dict()
        return person_sentence({str(k): v for k, v in row.items()}, level=self.level, top=self.top)


def person_sentence(row: Mapping[str, Any], *, level: float, top: float) -> str:
    """Say in words what a row of `PeopleUncertainty.to_frame` says of one person.

    Parameters
    ----------
    row : mapping
        Column to value.
    level, top : float
        Of the intervals; the share that counts as the top.
    """
    text = (
        f"{row['IID']}: score {row['score']:.3g} ({level:.0%} credible interval "
        f"{row['score_lower']:.3g} to {row['score_upper']:.3g})"
    )
    if row["status"] != OK:
        return (
            f"{text}. Not enough data for this ancestry ({row['group']}): no percentile, no "
            f"risk ({row['status']})."
        )
    text += (
        f"; percentile {100 * row['percentile']:.0f} within {row['group']} "
        f"({100 * row['percentile_lower']:.0f} to {100 * row['percentile_upper']:.0f}); "
        f"probability of being in the top {top:.0%}: {row['p_top']:.2f}"
    )
    if np.isfinite(row["risk"]):
        text += (
            f"; absolute risk {row['risk']:.1%} "
            f"({row['risk_lower']:.1%} to {row['risk_upper']:.1%})"
        )
    return text + "."


def credible_interval(draws: Floats, level: float = 0.9) -> tuple[Floats, Floats]:
    """Return the equal-tailed interval of each row of draws.

    Parameters
    ----------
    draws : ndarray of float64, shape (N, D)
    level : float
    """
    tail = (1.0 - level) / 2.0
    lower, upper = np.quantile(draws, [tail, 1.0 - tail], axis=1)
    return lower, upper


def centre_draws(
    draws: ArrayLike,
    score: ArrayLike,
    group: NDArray[np.object_],
    reference: NDArray[np.bool_] | None = None,
    *,
    min_reference: int = 100,
) -> Floats:
    """Give each draw the mean that the score has, in each group.

    The origin of a score is a matter of which alleles are counted; what differs between draws
    by the same amount for all people of a group says nothing about any of them. Groups with
    fewer than `min_reference` reference people are centred together with everybody.

    Parameters
    ----------
    draws : array_like, shape (N, D)
    score : array_like, shape (N,)
    group : ndarray of object (str), shape (N,)
    reference : ndarray of bool, shape (N,), optional
        Whose mean counts; default: everybody's.
    min_reference : int

    Returns
    -------
    ndarray of float64, shape (N, D)
    """
    values, point = np.asarray(draws, np.float64).copy(), np.asarray(score, np.float64)
    base = np.ones(len(values), bool) if reference is None else reference
    everybody = point[base].mean() - values[base].mean(axis=0)
    for name in dict.fromkeys(group):
        here = group == name
        own = here & base
        shift = everybody
        if own.sum() >= min_reference:
            shift = point[own].mean() - values[own].mean(axis=0)
        values[here] += shift
    return values


def draw_risks(draws: ArrayLike, linear: ArrayLike, slope: ArrayLike) -> Floats:
    """Carry draws of a score to absolute risk: expit(linear + slope (draw - its mean)).

    Parameters
    ----------
    draws : array_like, shape (N, D)
        Draws of people's scores, centred (`centre_draws`).
    linear : array_like, shape (N,)
        Log odds predicted from the score and covariates (`score_slopes`).
    slope : array_like, shape (N,) or ()
        Log odds per unit of the score. That of the posterior mean serves for the genetic value:
        its error is independent of it (Berkson), which leaves a slope unchanged (exactly so on
        a linear scale, nearly so on the logit scale).

    Returns
    -------
    ndarray of float64, shape (N, D)
    """
    values = np.asarray(draws, np.float64)
    away = values - values.mean(axis=1, keepdims=True)
    slope = np.broadcast_to(np.asarray(slope, np.float64), len(values))
    out: Floats = expit(np.asarray(linear, np.float64)[:, None] + slope[:, None] * away)
    return out


def summarise_draws(
    draws: ArrayLike,
    *,
    ids: Sequence[str] | NDArray[np.object_],
    score: ArrayLike | None = None,
    group: Sequence[str] | NDArray[np.object_] | None = None,
    reference: ArrayLike | None = None,
    risks: ArrayLike | None = None,
    top: float = 0.1,
    level: float = 0.9,
    min_reference: int = 100,
) -> PeopleUncertainty:
    """Turn draws of people's scores into intervals of score, percentile and risk.

    Draws are centred first (`centre_draws`): an interval is that of the genetic value against
    the mean of the group, on the scale on which the group's mean is that of the score.

    Parameters
    ----------
    draws : array_like, shape (N, D)
        Score of each person in each posterior draw of the effects (normalised in each draw by
        `prs.ancestry.normalise_scores`, if it is to be comparable between ancestries).
    ids : sequence of str
        The N people.
    score : array_like, shape (N,), optional
        Their scores (from posterior mean effects); default: the mean of the draws.
    group : sequence of str, optional
        Ancestry group of each person, within which percentiles are taken; default: everybody
        together, as for normalised scores.
    reference : array_like of bool, shape (N,), optional
        Whom percentiles are relative to, within each group; default: everybody.
    risks : array_like, shape (N, D), optional
        From `draw_risks`.
    top : float
        Share that counts as the top.
    level : float
        Of the credible intervals.
    min_reference : int
        Fewer reference people than this in a group: no percentiles there. The place of the top
        decile among 100 people has a standard error of 3 percentage points.

    Returns
    -------
    PeopleUncertainty

    Raises
    ------
    SettingsError
        If a share or a floor makes no sense.
    InvalidValueError
        If shapes disagree or a draw is not finite.
    """
    values = np.asarray(draws, np.float64)
    if values.ndim != 2 or len(values) != len(ids) or values.shape[1] < 20:
        raise InvalidValueError(
            f"draws of shape {values.shape} are not {len(ids):,} people x at least 20 draws"
        )
    if not np.isfinite(values).all():
        raise InvalidValueError("a score in the draws is missing or not finite")
    if not (0.0 < top < 1.0 and 0.5 <= level < 1.0 and min_reference >= 2):
        raise SettingsError(
            f"top={top}, level={level}, min_reference={min_reference}",
            remedy="top in (0, 1), level in [0.5, 1), min_reference at least 2",
        )
    n = len(values)
    point = values.mean(axis=1) if score is None else np.asarray(score, np.float64)
    if group is None:
        labels = np.full(n, EVERYBODY, dtype=object)
    else:
        labels = np.array([str(g) for g in group], dtype=object)
    base = np.ones(n, bool) if reference is None else np.asarray(reference, bool)
    values = centre_draws(values, point, labels, base, min_reference=min_reference)
    lower, upper = credible_interval(values, level)
    percentile, percentile_lower, percentile_upper, p_top = (np.full(n, np.nan) for _ in range(4))
    status = np.full(n, OK, dtype=object)
    n_reference: dict[str, int] = {}
    for name in dict.fromkeys(labels):
        here = np.flatnonzero(labels == name)
        own = np.flatnonzero((labels == name) & base)
        n_reference[str(name)] = len(own)
        if len(own) < min_reference:
            status[here] = insufficient(
                f"{len(own):,} people to rank among (floor {min_reference:,})"
            )
            continue
        percentile[here] = _percentile(point[here], point[own])
        ranks = np.empty((len(here), values.shape[1]))
        for d in range(values.shape[1]):
            ranks[:, d] = _percentile(values[here, d], values[own, d])
        percentile_lower[here], percentile_upper[here] = credible_interval(ranks, level)
        p_top[here] = (ranks >= 1.0 - top).mean(axis=1)
    risk, risk_lower, risk_upper = (np.full(n, np.nan) for _ in range(3))
    if risks is not None:
        given = np.asarray(risks, np.float64)
        if given.shape != values.shape:
            raise InvalidValueError(f"risks of shape {given.shape}, draws of {values.shape}")
        enough = status == OK
        risk[enough] = given[enough].mean(axis=1)
        if enough.any():
            risk_lower[enough], risk_upper[enough] = credible_interval(given[enough], level)
    return PeopleUncertainty(
        ids=np.asarray(ids, dtype=object),
        group=labels,
        score=point,
        score_sd=values.std(axis=1, ddof=1),
        score_lower=lower,
        score_upper=upper,
        percentile=percentile,
        percentile_lower=percentile_lower,
        percentile_upper=percentile_upper,
        p_top=p_top,
        risk=risk,
        risk_lower=risk_lower,
        risk_upper=risk_upper,
        status=status,
        n_reference=n_reference,
        top=top,
        level=level,
        n_draws=values.shape[1],
    )


def _percentile(x: Floats, among: Floats) -> Floats:
    """Return the share of `among` below each x, ties counting one half."""
    ordered = np.sort(among)
    below = np.searchsorted(ordered, x, side="left")
    up_to = np.searchsorted(ordered, x, side="right")
    return np.asarray((below + up_to) / (2.0 * len(ordered)))
