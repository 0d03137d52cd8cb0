"""Risk by decile of the score: cut points, decile rows, contrasts of the top decile, trend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from prs.evaluation.floors import OK, ZERO_CELL, Floors, insufficient
from prs.evaluation.intervals import (
    UNKNOWN,
    Estimate,
    normal_interval,
    normal_quantile,
    odds_ratio,
    risk_ratio,
    student_interval,
    two_sided_p,
    weighted_risk,
    wilson_interval,
)

__all__ = [
    "CutPoints",
    "Strata",
    "cochran_armitage",
    "contrast_rows",
    "cut_points",
    "decile_rows",
    "stratify",
    "weighted_quantile",
]

Floats = NDArray[np.float64]
Masks = NDArray[np.bool_]


def weighted_quantile(x: Floats, probabilities: ArrayLike, weights: Floats | None = None) -> Floats:
    """Return quantiles of a sample in which people stand for `weights` people each.

    With equal weights these are NumPy's (and R's type 7) quantiles.

    Parameters
    ----------
    x : ndarray of float64, shape (N,)
        Values.
    probabilities : array_like, shape (Q,)
        Between 0 and 1.
    weights : ndarray of float64, shape (N,), optional
        Positive.
    """
    probabilities = np.asarray(probabilities, np.float64)
    if weights is None:
        return np.quantile(x, probabilities)
    order = np.argsort(x, kind="stable")
    w = weights[order]
    # Type 7 puts value i at (i - 1) / (n - 1): here at the weight before it, both halves-shared.
    middle = np.cumsum(w) - 0.5 * w
    position = (middle - middle[0]) / (middle[-1] - middle[0]) if len(w) > 1 else np.zeros(1)
    return np.interp(probabilities, position, x[order])


@dataclass(frozen=True, eq=False)
class CutPoints:
    """Where a score is cut.

    Attributes
    ----------
    deciles : ndarray of float64, shape (n_bins - 1,)
        Inner cut points; a score equal to one belongs below it.
    middle : ndarray of float64, shape (2,)
        The 40th and 60th percentiles.
    source : str
        Whose quantiles these are, in words.
    """

    deciles: Floats
    middle: Floats
    source: str


def cut_points(score: Floats, n_bins: int, source: str, weights: Floats | None = None) -> CutPoints:
    """Cut at the quantiles of some people's scores (see `CutPoints`)."""
    deciles = weighted_quantile(score, np.arange(1, n_bins) / n_bins, weights)
    return CutPoints(deciles, weighted_quantile(score, [0.4, 0.6], weights), source)


@dataclass(frozen=True, eq=False)
class Strata:
    """One group's people by stratum of one score.

    Attributes
    ----------
    kind : {"binary", "quantitative"}
        Of the outcome.
    outcome : ndarray of float64, shape (N,)
        Of the group's people.
    score : ndarray of float64, shape (N,)
        Their scores.
    cuts : CutPoints
        Where they are cut.
    index : ndarray of int64, shape (N,)
        Decile of each person, from 0.
    middle : ndarray of bool, shape (N,)
        Who is between the 40th and the 60th percentile.
    n_bins : int
        Number of deciles.
    weights : (float, float), optional
        Of a case and of a control, in a case-control sample.
    """

    kind: str
    outcome: Floats
    score: Floats
    cuts: CutPoints
    index: NDArray[np.int64]
    middle: Masks
    n_bins: int
    weights: tuple[float, float] | None = None

    def ends(self) -> tuple[Masks, Masks]:
        """Return who is in the bottom and in the top decile."""
        return self.index == 0, self.index == self.n_bins - 1


def stratify(
    kind: str,
    outcome: Floats,
    score: Floats,
    cuts: CutPoints,
    weights: tuple[float, float] | None = None,
) -> Strata:
    """Put a group's people into strata (see `Strata`)."""
    index = np.searchsorted(cuts.deciles, score, side="left").astype(np.int64)
    middle = (score > cuts.middle[0]) & (score <= cuts.middle[1])
    return Strata(kind, outcome, score, cuts, index, middle, len(cuts.deciles) + 1, weights)


def cochran_armitage(events: Floats, n: Floats) -> tuple[float, float]:
    """Test for a trend of the share of events over ordered strata (Armitage 1955).

    z = sum t_i (a_i - n_i p) / sqrt(p (1 - p) (sum n_i t_i^2 - (sum n_i t_i)^2 / N)),
    t_i = 0, 1, 2, ... Valid in a case-control sample as it stands.

    Parameters
    ----------
    events, n : ndarray of float64, shape (K,)
        Events and people by stratum.

    Returns
    -------
    z, p : float
        NaN where there is nothing to test.
    """
    t = np.arange(len(n), dtype=np.float64)
    total = n.sum()
    share = events.sum() / total
    variance = share * (1.0 - share) * ((n * t * t).sum() - (n * t).sum() ** 2 / total)
    if variance <= 0.0:
        return np.nan, np.nan
    z = float((t * (events - n * share)).sum() / np.sqrt(variance))
    return z, two_sided_p(z)


def _weighted(estimate: Estimate, weights: tuple[float, float] | None) -> Estimate:
    """Carry a share and its limits to the population's risk (monotone, so limits map)."""
    if weights is None:
        return estimate
    return Estimate(*(weighted_risk(v, *weights) if np.isfinite(v) else v for v in estimate))


def _compare(
    strata: Strata, top: Masks, reference: Masks, confidence: float
) -> dict[str, Estimate]:
    """Return the ratios (or the difference, in SD) of two sets of people taken as disjoint."""
    y = strata.outcome
    if strata.kind == "binary":
        arms = float(y[top].sum()), int(top.sum()), float(y[reference].sum()), int(reference.sum())
        case, control = strata.weights or (1.0, 1.0)
        ratio = risk_ratio(*arms, case_weight=case, control_weight=control, confidence=confidence)
        return {"risk_ratio": ratio, "odds_ratio": odds_ratio(*arms, confidence=confidence)}
    a, b, sd = y[top], y[reference], float(y.std(ddof=1))
    if min(len(a), len(b)) < 2 or sd == 0.0:
        return {"difference": UNKNOWN}
    se = np.sqrt(a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b))
    return {"difference": normal_interval((a.mean() - b.mean()) / sd, se / sd, confidence)}


def decile_rows(strata: Strata, floors: Floors, confidence: float = 0.95) -> list[dict[str, Any]]:
    """Make the decile table's rows: risk (or mean) of each decile and its ratios.

    A decile that is part of its own reference (the bottom one, the middle ones) has a ratio
    without an interval: the arms are not independent.

    Parameters
    ----------
    strata : Strata
        Whose.
    floors : Floors
        What a ratio needs.
    confidence : float
        Level.
    """
    y, cuts, binary = strata.outcome, strata.cuts, strata.kind == "binary"
    bottom, _ = strata.ends()
    # Where cut points are another group's, this group may lie within or beyond all of them.
    lowest = min(float(strata.score.min()), float(cuts.deciles[0]))
    highest = max(float(strata.score.max()), float(cuts.deciles[-1]))
    edges = np.concatenate([[lowest], cuts.deciles, [highest]])
    rows = []
    for d in range(strata.n_bins):
        inside = strata.index == d
        n, name = int(inside.sum()), f"decile {d + 1}"
        events = int(y[inside].sum()) if binary else 0
        row: dict[str, Any] = {
            "decile": d + 1,
            "n": n,
            "score_from": edges[d],
            "score_to": edges[d + 1],
            "cutpoints": cuts.source,
            "case_control": strata.weights is not None,
        }
        status = OK if n else insufficient(f"nobody in {name}")
        if binary:
            row["n_events"] = events
            row |= _weighted(wilson_interval(events, n, confidence), strata.weights).named("risk")
        elif n >= floors.min_stratum_events:
            se = float(y[inside].std(ddof=1) / np.sqrt(n))
            row |= student_interval(float(y[inside].mean()), se, n - 1, confidence).named("mean")
        for reference, mask in (("middle", strata.middle), ("bottom", bottom)):
            if (inside == mask).all() and (events or not binary):
                figures = ("risk_ratio", "odds_ratio") if binary else ("difference",)
                same = Estimate(1.0 if binary else 0.0, np.nan, np.nan)
                for figure in figures:
                    row |= same.named(f"{figure}_vs_{reference}")
                continue
            m = int(mask.sum())
            m_events = int(y[mask].sum()) if binary else 0
            arms = [(name, n, events), (f"{reference} of the score", m, m_events)]
            arm_status = floors.arm_status(strata.kind, arms)
            if arm_status != OK:
                status = arm_status if status == OK else status
                continue
            overlap = bool((inside & mask).any())
            for figure, estimate in _compare(strata, inside, mask, confidence).items():
                shown = Estimate(estimate.value, np.nan, np.nan) if overlap else estimate
                row |= shown.named(f"{figure}_vs_{reference}")
        rows.append(row | {"status": status})
    return rows


def contrast_rows(strata: Strata, floors: Floors, confidence: float = 0.95) -> list[dict[str, Any]]:
    """Make the contrasts: top decile against bottom, middle and rest, and the trend.

    Parameters are those of `decile_rows`. The risk difference has Newcombe's hybrid interval
    (1998, Stat Med 17:873, method 10), from the two Wilson intervals.
    """
    y, binary = strata.outcome, strata.kind == "binary"
    bottom, top = strata.ends()
    common = {"cutpoints": strata.cuts.source, "case_control": strata.weights is not None}
    rows = []
    for name, mask in (("bottom", bottom), ("middle", strata.middle), ("rest", ~top)):
        n_top, n_reference = int(top.sum()), int(mask.sum())
        row: dict[str, Any] = common | {
            "contrast": f"top vs {name}",
            "n": n_top + n_reference,
            "n_top": n_top,
            "n_reference": n_reference,
        }
        events = (int(y[top].sum()), int(y[mask].sum())) if binary else (0, 0)
        if binary:
            row |= {
                "n_events": sum(events),
                "n_events_top": events[0],
                "n_events_reference": events[1],
            }
        row["status"] = floors.arm_status(
            strata.kind,
            [
                ("top decile", n_top, events[0]),
                (f"{name} of the score", n_reference, events[1]),
            ],
        )
        # A zero cell has no ratio, but the two risks and their difference stand.
        if row["status"] == OK or ZERO_CELL in row["status"]:
            cells = _contrast_cells(strata, top, mask, confidence)
            ratios = ("risk_ratio", "odds_ratio", "z", "p")
            row |= {
                k: v for k, v in cells.items() if row["status"] == OK or not k.startswith(ratios)
            }
        rows.append(row)
    rows.append(common | _trend_row(strata))
    return rows


def _contrast_cells(
    strata: Strata, top: Masks, reference: Masks, confidence: float
) -> dict[str, Any]:
    y = strata.outcome
    compared = _compare(strata, top, reference, confidence)
    cells: dict[str, Any] = {}
    for name, estimate in compared.items():
        cells |= estimate.named(name)
    if strata.kind == "binary":
        a, b = (
            _weighted(wilson_interval(float(y[m].sum()), int(m.sum()), confidence), strata.weights)
            for m in (top, reference)
        )
        difference = a.value - b.value
        cells |= {"risk_top": a.value, "risk_reference": b.value} | Estimate(
            difference,
            difference - float(np.hypot(a.value - a.lower, b.upper - b.value)),
            difference + float(np.hypot(a.upper - a.value, b.value - b.lower)),
        ).named("risk_difference")
        ratio = compared["risk_ratio"]
        value = width = np.nan
        if np.isfinite(ratio.lower):
            value, width = np.log(ratio.value), np.log(ratio.upper / ratio.lower)
    else:
        cells |= {"mean_top": float(y[top].mean()), "mean_reference": float(y[reference].mean())}
        value = compared["difference"].value
        width = compared["difference"].upper - compared["difference"].lower
    if np.isfinite(width) and width > 0.0:
        z = float(value / (width / (2.0 * normal_quantile(confidence))))
        cells |= {"z": z, "p": two_sided_p(z)}
    return cells


def _trend_row(strata: Strata) -> dict[str, Any]:
    y, n_bins = strata.outcome, strata.n_bins
    n = np.bincount(strata.index, minlength=n_bins).astype(np.float64)
    row: dict[str, Any] = {"contrast": "trend", "n": len(y), "status": OK}
    if strata.kind == "binary":
        events = np.bincount(strata.index, weights=y, minlength=n_bins).astype(np.float64)
        row["n_events"] = int(events.sum())
        z, p = cochran_armitage(events, n)
    else:
        t = strata.index - strata.index.mean()
        square = float(t @ t)
        z = p = np.nan
        if square > 0.0:
            slope = float(t @ y) / square
            residual = y - y.mean() - slope * t
            z = slope / float(np.sqrt(float(residual @ residual) / (len(y) - 2) / square))
            p = two_sided_p(z)
    if not np.isfinite(z):
        row["status"] = insufficient("everybody is in one decile")
    return row | {"z": z, "p": p}
