"""From one group (and one score) to the rows of the tables, where the outcome takes time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from prs.evaluation.calibration import quantile_bins, smooth_cells
from prs.evaluation.cells import Setup, cuts_for
from prs.evaluation.floors import OK, insufficient
from prs.evaluation.intervals import (
    UNKNOWN,
    Estimate,
    normal_interval,
    normal_quantile,
    two_sided_p,
)
from prs.evaluation.strata import CutPoints
from prs.evaluation.survival import observed_over_predicted, risk_by
from prs.evaluation.survival_models import HazardPredictions
from prs.survival.cox import fit_cox
from prs.survival.kaplan_meier import pseudo_risks, risk_and_variance

__all__ = ["hazard_calibration_tables", "hazard_decile_tables"]

Floats = NDArray[np.float64]
Masks = NDArray[np.bool_]
Rows = list[dict[str, Any]]

# People still followed at a horizon: fewer, and the risk by then rests on nearly nobody.
MIN_AT_RISK = 10


def _horizon_status(setup: Setup, group: str, horizon: float) -> str:
    """Say whether a group says something about the risk by a time."""
    status = setup.status(group)
    if status != OK:
        return status
    mask = setup.judged(group)
    time, event = setup.data.followed()[mask], setup.data.outcome[mask]
    early = int(event[time <= horizon].sum())
    if early < setup.floors.min_events:
        return insufficient(f"{early:,} events by {horizon:g} (floor {setup.floors.min_events:,})")
    left = int((time >= horizon).sum())
    if left < MIN_AT_RISK:
        return insufficient(f"{left:,} people followed to {horizon:g} (floor {MIN_AT_RISK})")
    return OK


def hazard_calibration_tables(
    setup: Setup, group: str, predictions: HazardPredictions, model: str
) -> dict[str, Rows]:
    """Judge one model's risks in a group, by horizon; curve and bins are of the first horizon.

    Observed risks are 1 - Kaplan-Meier, in time since each one's entry; the slope is that of a
    Cox model on the predicted log hazard, on the scale of the times (age, where people enter
    late); the smooth curve, ICI and Brier score are of pseudo-values
    (`prs.survival.kaplan_meier.pseudo_risks`).

    Parameters
    ----------
    setup : Setup
    group : str
    predictions : HazardPredictions
        Of all of `setup.data`.
    model : {"uncorrected", "recalibrated"}

    Returns
    -------
    dict of str to list of dict
        Rows of the tables calibration, calibration_curve and calibration_bins.
    """
    data, mask, counts = setup.data, setup.judged(group), setup.counts(group)
    fit = data.outcome[data.members(group) & data.tuning]
    linear = getattr(predictions, model)[mask]
    time, event = data.followed()[mask], data.outcome[mask]
    tables: dict[str, Rows] = {"calibration": [], "calibration_curve": [], "calibration_bins": []}
    slope = UNKNOWN
    if setup.status(group) == OK and np.isfinite(linear).all() and linear.std() > 0.0:
        cox = fit_cox(linear[:, None], data.times()[mask], event, entry=data.entries(mask))
        if cox.converged:
            slope = normal_interval(cox.coef[0], cox.se[0], setup.confidence)
    for h, horizon in enumerate(setup.horizons):
        risks = predictions.risks[model][mask, h]
        status = _horizon_status(setup, group, horizon)
        if status == OK and not np.isfinite(risks).all():
            status = insufficient("no hazard model could be fitted")
        head = counts | {"horizon": horizon, "status": status}
        row: dict[str, Any] = head | {"n_fit": len(fit), "n_fit_events": int(fit.sum())}
        if status != OK:
            tables["calibration"].append(row)
            if h == 0:
                tables["calibration_curve"].append(head)
                tables["calibration_bins"].append(head)
            continue
        pseudo = pseudo_risks(time, event, horizon)
        row |= _level(time, event, horizon, risks, setup.confidence)
        row |= _brier(pseudo, risks, setup.confidence) | slope.named("slope")
        if np.ptp(risks) > 0.0:
            cells, curve = smooth_cells(
                risks, pseudo, binary=False, confidence=setup.confidence, seed=setup.seed
            )
            row |= cells
            if h == 0:
                columns = (curve.predicted, curve.observed, curve.lower, curve.upper)
                tables["calibration_curve"] += [
                    head | dict(zip(("predicted", "observed", "lower", "upper"), p, strict=True))
                    for p in zip(*(np.clip(c, 0.0, 1.0) for c in columns), strict=True)
                ]
        elif h == 0:
            why = insufficient("every prediction is the same")
            tables["calibration_curve"].append(head | {"status": why})
        if h == 0:
            tables["calibration_bins"] += _bins(setup, time, event, horizon, risks)
        tables["calibration"].append(row)
    return tables


def _level(
    time: Floats, event: Floats, horizon: float, risks: Floats, confidence: float
) -> dict[str, Any]:
    """Return observed, predicted, and their ratio."""
    ratio = observed_over_predicted(time, event, horizon, risks, confidence)
    observed = risk_and_variance(time, event, horizon)[0]
    return {"observed": observed, "predicted": float(risks.mean()), **ratio.named("oe")}


def _brier(pseudo: Floats, risks: Floats, confidence: float) -> dict[str, Any]:
    """Return the Brier score, E(Y - r)^2 = E[Y (1 - 2 r) + r^2] of a 0/1 outcome Y."""
    each = pseudo * (1.0 - 2.0 * risks) + risks**2
    value = normal_interval(
        float(each.mean()), float(each.std(ddof=1) / np.sqrt(len(each))), confidence
    )
    share = float(pseudo.mean())
    worst = share * (1.0 - share)
    return value.named("brier") | {
        "brier_scaled": 1.0 - value.value / worst if worst > 0.0 else np.nan
    }


def _bins(setup: Setup, time: Floats, event: Floats, horizon: float, risks: Floats) -> Rows:
    index = quantile_bins(risks, setup.n_bins)
    rows: Rows = []
    for b in range(setup.n_bins):
        here = index == b
        if not here.any():
            continue
        observed = risk_by(time[here], event[here], horizon, setup.confidence)
        rows.append(
            {
                "bin": b + 1,
                "n": int(here.sum()),
                "n_events": int(event[here & (time <= horizon)].sum()),
                "horizon": horizon,
                "predicted": float(risks[here].mean()),
                "observed": observed.value,
                "lower": observed.lower,
                "upper": observed.upper,
                "status": OK,
            }
        )
    return rows


def hazard_decile_tables(setup: Setup, group: str, s: int) -> dict[str, Rows]:
    """Make a group's rows of the tables deciles and contrasts, at the first horizon.

    Risks are 1 - Kaplan-Meier, ratios of them have the delta method's interval; contrasts also
    have the hazard ratio of the two arms, over all of the follow-up.
    """
    data, mask = setup.data, setup.judged(group)
    horizon = setup.horizons[0]
    head = setup.counts(group) | {"horizon": horizon}
    status = _horizon_status(setup, group, horizon)
    cuts = cuts_for(setup, group, s) if status == OK else None
    if status == OK and cuts is None:
        status = insufficient("nobody to take cut points from")
    if cuts is None:
        row = head | {"status": status}
        names = ("top vs bottom", "top vs middle", "top vs rest", "trend")
        return {"deciles": [row], "contrasts": [row | {"contrast": name} for name in names]}
    time, event, score = data.followed()[mask], data.outcome[mask], data.scores[mask, s]
    scale = data.times()[mask], data.entries(mask)
    index = np.searchsorted(cuts.deciles, score, side="left")
    n_bins = len(cuts.deciles) + 1
    middle = (score > cuts.middle[0]) & (score <= cuts.middle[1])
    arms = {"bottom": index == 0, "middle": middle, "rest": index != n_bins - 1}
    rows = [_decile(setup, d, cuts, score, index == d, arms, (time, event)) for d in range(n_bins)]
    contrasts = []
    top = index == n_bins - 1
    for name, mask_ in arms.items():
        contrasts.append({"contrast": f"top vs {name}"} | _contrast(
            setup, name, top, mask_, (time, event), scale
        ))  # fmt: skip
    trend: dict[str, Any] = {"contrast": "trend", **setup.counts(group), "status": OK}
    fit = fit_cox(index[:, None].astype(np.float64), scale[0], event, entry=scale[1])
    if fit.converged:
        z = float(fit.coef[0] / fit.se[0])
        trend |= {"z": z, "p": two_sided_p(z)}
    else:
        trend["status"] = insufficient("everybody is in one decile")
    contrasts.append(trend)
    tail = {"cutpoints": cuts.source, "horizon": horizon}
    return {"deciles": [r | tail for r in rows], "contrasts": [c | tail for c in contrasts]}


def _ratio(
    arms: tuple[Masks, Masks], times: tuple[Floats, Floats], horizon: float, confidence: float
) -> Estimate:
    """Return the ratio of two independent arms' risks by a time."""
    a, b = (risk_and_variance(times[0][m], times[1][m], horizon) for m in arms)
    if not (a[0] > 0.0 and b[0] > 0.0):
        return UNKNOWN
    se = np.sqrt(a[1] / a[0] ** 2 + b[1] / b[0] ** 2)
    value, factor = a[0] / b[0], float(np.exp(normal_quantile(confidence) * se))
    return Estimate(value, value / factor, value * factor)


def _arm_status(setup: Setup, arms: list[tuple[str, Masks]], times: tuple[Floats, Floats]) -> str:
    horizon = setup.horizons[0]
    early = (times[1] == 1.0) & (times[0] <= horizon)
    counted = [(name, int(m.sum()), int((m & early).sum())) for name, m in arms]
    status = setup.floors.arm_status("binary", counted)
    if status == OK and any(times[0][m].max() < horizon for _, m in arms):
        return insufficient(f"nobody is followed to {horizon:g}")
    return status


def _decile(
    setup: Setup,
    d: int,
    cuts: CutPoints,
    score: Floats,
    inside: Masks,
    arms: dict[str, Masks],
    times: tuple[Floats, Floats],
) -> dict[str, Any]:
    horizon, name = setup.horizons[0], f"decile {d + 1}"
    edges = np.concatenate(
        [
            [min(float(score.min()), float(cuts.deciles[0]))],
            cuts.deciles,
            [max(float(score.max()), float(cuts.deciles[-1]))],
        ]
    )
    row: dict[str, Any] = {
        "decile": d + 1,
        "n": int(inside.sum()),
        "n_events": int(times[1][inside & (times[0] <= horizon)].sum()),
        "score_from": edges[d],
        "score_to": edges[d + 1],
    }
    status = OK if inside.any() else insufficient(f"nobody in {name}")
    if status == OK:
        row |= risk_by(times[0][inside], times[1][inside], horizon, setup.confidence).named("risk")
    for other in ("middle", "bottom"):
        mask = arms[other]
        if (inside == mask).all():
            row |= Estimate(1.0, np.nan, np.nan).named(f"risk_ratio_vs_{other}")
            continue
        found = _arm_status(setup, [(name, inside), (f"{other} of the score", mask)], times)
        if found != OK:
            status = found if status == OK else status
            continue
        ratio = _ratio((inside, mask), times, horizon, setup.confidence)
        if (inside & mask).any():  # arms that share people are not independent
            ratio = Estimate(ratio.value, np.nan, np.nan)
        row |= ratio.named(f"risk_ratio_vs_{other}")
    return row | {"status": status}


def _contrast(
    setup: Setup,
    name: str,
    top: Masks,
    mask: Masks,
    times: tuple[Floats, Floats],
    scale: tuple[Floats, Floats | None],
) -> dict[str, Any]:
    horizon, confidence = setup.horizons[0], setup.confidence
    early = (times[1] == 1.0) & (times[0] <= horizon)
    row: dict[str, Any] = {
        "n": int((top | mask).sum()),
        "n_top": int(top.sum()),
        "n_reference": int(mask.sum()),
        "n_events": int((early & (top | mask)).sum()),
        "n_events_top": int((early & top).sum()),
        "n_events_reference": int((early & mask).sum()),
    }
    row["status"] = _arm_status(setup, [("top decile", top), (f"{name} of the score", mask)], times)
    if row["status"] != OK:
        return row
    a, b = (risk_and_variance(times[0][m], times[1][m], horizon) for m in (top, mask))
    row |= {"risk_top": a[0], "risk_reference": b[0]}
    row |= normal_interval(a[0] - b[0], float(np.sqrt(a[1] + b[1])), confidence).named(
        "risk_difference"
    )
    row |= _ratio((top, mask), times, horizon, confidence).named("risk_ratio")
    both = top | mask
    entry = None if scale[1] is None else scale[1][both]
    arm = top[both].astype(np.float64)[:, None]
    fit = fit_cox(arm, scale[0][both], times[1][both], entry=entry)
    if fit.converged:
        log = normal_interval(fit.coef[0], fit.se[0], confidence)
        row |= Estimate(*(float(np.exp(v)) for v in log)).named("hazard_ratio")
        z = float(fit.coef[0] / fit.se[0])
        row |= {"z": z, "p": two_sided_p(z)}
    return row
