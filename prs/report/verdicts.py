"""In whom a score can be used: one verdict an ancestry, by rules that the page states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from prs.figures.views import (
    Estimate,
    estimate,
    format_number,
    groups_in_order,
    pick_score,
    portability_measure,
    predicts_risk,
    primary_measure,
    rows_of,
)

if TYPE_CHECKING:
    from prs.evaluation.result import Evaluation

__all__ = [
    "LEVELS",
    "CalibrationVerdict",
    "Verdict",
    "headline",
    "judge",
    "judge_calibration",
    "rules",
]

#: O/E, and slope, within this of 1 (quantitative: intercept within this many SDs of 0) count as
#: calibrated even if a large sample shows the difference from 1 to be real.
TOLERANCE = 0.10
#: An O/E interval whose ends differ by more than this factor does not settle calibration.
MAX_OE_FACTOR = 2.0
#: A slope interval (or an intercept's, in SDs) wider than this does not settle calibration.
MAX_SLOPE_WIDTH = 1.0
#: An AUC interval wider than this is called imprecise.
MAX_AUC_WIDTH = 0.10

#: Verdicts from best to worst: key -> words.
LEVELS = {
    "usable": "Usable as it stands",
    "recalibrate": "Usable with recalibration",
    "rank": "Ranks people; predictions not reliable",
    "unsupported": "No evidence that it predicts",
    "insufficient": "Insufficient data",
}


@dataclass(frozen=True)
class CalibrationVerdict:
    """Whether predicted and observed agree.

    Attributes
    ----------
    state : {"good", "off", "uncertain", "insufficient", "absent"}
        ``uncertain``: compatible with good calibration, but also with bad; ``absent``: there is
        no such model.
    words : str
        In words.
    figures : tuple of str
        The figures that it rests on; empty where there are none.
    """

    state: str
    words: str
    figures: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The words and the figures."""
        return f"{self.words}: {', '.join(self.figures)}" if self.figures else self.words


@dataclass(frozen=True)
class Verdict:
    """What one ancestry's figures allow.

    Attributes
    ----------
    group : str
        The ancestry.
    level : str
        A key of `LEVELS`.
    text : str
        The verdict in words.
    remarks : tuple of str
        What else a reader must know (imprecise, less accurate than in the reference...).
    n, n_events : int or None
        People judged, and cases among them (None for a quantitative outcome).
    accuracy, relative, contrast : Estimate
        First measure of accuracy; accuracy over the reference ancestry's; top against bottom
        decile (risk ratio, or difference in SD).
    before, after : CalibrationVerdict
        Calibration of one model for everybody, and recalibrated in the ancestry.
    is_reference : bool
        Whether this is the reference ancestry.
    """

    group: str
    level: str
    text: str
    remarks: tuple[str, ...]
    n: int | None
    n_events: int | None
    accuracy: Estimate
    relative: Estimate
    contrast: Estimate
    before: CalibrationVerdict
    after: CalibrationVerdict
    is_reference: bool


def _state(e: Estimate, center: float, tolerance: float, too_wide: bool) -> str:
    if not e.is_known or not e.has_interval:
        return "insufficient"
    if center - tolerance <= e.lower and e.upper <= center + tolerance:
        return "good"
    if not e.lower <= center <= e.upper:
        return "off"
    return "uncertain" if too_wide else "good"


def judge_calibration(
    evaluation: Evaluation, score: str, group: str, model: str
) -> CalibrationVerdict:
    """Return whether the predictions of one model are calibrated in one group.

    Parameters
    ----------
    evaluation : Evaluation
    score, group : str
    model : {"uncorrected", "recalibrated"}

    Returns
    -------
    CalibrationVerdict
        From the ratio of observed to expected (quantitative: intercept) and the slope.
    """
    where = {"score": score, "group": group, "model": model}
    table = evaluation.calibration
    if rows_of(table, **where).empty:
        return CalibrationVerdict("absent", "not done")
    slope = estimate(table, "slope", **where)
    slope_state = _state(slope, 1.0, TOLERANCE, slope.upper - slope.lower > MAX_SLOPE_WIDTH)
    words: list[str] = []
    if predicts_risk(evaluation):
        mean = estimate(table, "oe", **where)
        factor = mean.upper / mean.lower if mean.has_interval and mean.lower > 0 else np.inf
        mean_state = _state(mean, 1.0, TOLERANCE, factor > MAX_OE_FACTOR)
        shown = f"O/E {mean.text()}"
        if mean_state == "off":
            words.append("risks too high" if mean.value < 1 else "risks too low")
    else:
        mean = estimate(table, "intercept", **where)
        sd = estimate(evaluation.accuracy, "outcome_sd", score=score, group=group).value
        wide = mean.upper - mean.lower > MAX_SLOPE_WIDTH * sd
        mean_state = _state(mean, 0.0, TOLERANCE * sd, wide)
        shown = f"intercept {mean.text()}"
        if mean_state == "off":
            words.append("predictions too high" if mean.value < 0 else "predictions too low")
    states = {mean_state, slope_state}
    if "insufficient" in states:
        return CalibrationVerdict("insufficient", "insufficient data")
    if slope_state == "off":
        words.append("too spread out" if slope.value < 1 else "not spread out enough")
    state = "off" if "off" in states else "uncertain" if "uncertain" in states else "good"
    head = {"good": "good", "uncertain": "not settled"}.get(state) or ", ".join(words)
    return CalibrationVerdict(state, head, (shown, f"slope {slope.text()}"))


def judge(evaluation: Evaluation, score: str | None = None) -> tuple[Verdict, ...]:
    """Return a verdict for each ancestry, and the figures that it rests on.

    Parameters
    ----------
    evaluation : Evaluation
    score : str, optional
        Which score; default the last.

    Returns
    -------
    tuple of Verdict
        In the order of the evaluation's groups, largest first; everybody together is not
        judged, because a pooled figure mixes differences between ancestries into accuracy.
    """
    score = pick_score(evaluation, score)
    groups = groups_in_order(evaluation, with_everybody=False)
    # without labels everybody is one group, and that is said
    groups = groups or groups_in_order(evaluation)
    return tuple(_judge_group(evaluation, score, group) for group in groups)


def _judge_group(evaluation: Evaluation, score: str, group: str) -> Verdict:
    binary = predicts_risk(evaluation)
    measure = primary_measure(evaluation)
    here = {"score": score, "group": group}
    accuracy = estimate(evaluation.accuracy, measure, **here)
    evidence = accuracy if binary else estimate(evaluation.accuracy, "slope", **here)
    relative = estimate(
        evaluation.portability, "ratio", measure=portability_measure(evaluation), **here
    )
    contrast = estimate(
        evaluation.contrasts,
        "risk_ratio" if binary else "difference",
        contrast="top vs bottom",
        **here,
    )
    before = judge_calibration(evaluation, score, group, "uncorrected")
    after = judge_calibration(evaluation, score, group, "recalibrated")
    is_reference = group == evaluation.reference_group
    if not accuracy.is_known or not evidence.has_interval:
        level = "insufficient"
    elif evidence.lower <= (0.5 if binary else 0.0):
        level = "unsupported"
    elif before.state == "good":
        level = "usable"
    elif after.state == "good":
        level = "recalibrate"
    else:
        level = "rank"
    remarks = []
    if level != "insufficient":
        if binary:
            imprecise = accuracy.upper - accuracy.lower > MAX_AUC_WIDTH
        else:
            imprecise = accuracy.has_interval and (
                accuracy.upper - accuracy.lower > abs(accuracy.value)
            )
        if imprecise:
            remarks.append("accuracy is imprecise")
        if not is_reference and relative.is_known and relative.upper < 1:
            remarks.append(
                f"less accurate than in {evaluation.reference_group} "
                f"(ratio {format_number(relative.value)})"
            )
        if level == "rank" and after.state == "absent":
            remarks.append("no recalibration was done")
        elif level == "rank" and "insufficient" in (before.state, after.state):
            remarks.append("too few people to judge calibration")
        elif level == "rank" and after.state == "uncertain":
            remarks.append("calibration after correction not settled")
    elif ":" in accuracy.status:
        remarks.append(accuracy.status.split(":", 1)[1].strip())
    row = rows_of(evaluation.accuracy, **here)
    n = row["n"].iloc[0] if len(row) else None
    events = row["n_events"].iloc[0] if len(row) and binary else None
    return Verdict(
        group=group,
        level=level,
        text=LEVELS[level],
        remarks=tuple(remarks),
        n=None if n is None or n != n else int(n),
        n_events=None if events is None or events != events else int(events),
        accuracy=accuracy,
        relative=relative,
        contrast=contrast,
        before=before,
        after=after,
        is_reference=is_reference,
    )


def headline(verdicts: Sequence[Verdict]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return (level, its ancestries) for each verdict level that occurs, best first."""
    found = {level: tuple(v.group for v in verdicts if v.level == level) for level in LEVELS}
    return tuple((level, groups) for level, groups in found.items() if groups)


def rules(evaluation: Evaluation) -> tuple[tuple[str, str], ...]:
    """Return the verdicts and the rules they follow from, in the order they are tried."""
    binary = predicts_risk(evaluation)
    named = {"auc": "AUC", "c": "C"}.get(primary_measure(evaluation), "")
    level = f"{float(evaluation.settings.get('confidence', 0.95)):.0%}"
    evidence = (
        f"the {level} interval of the {named} reaches down to 0.5"
        if binary
        else f"the {level} interval of the slope of the outcome on the score reaches down to 0"
    )
    mean = (
        "the ratio of observed to expected cases (O/E)"
        if binary
        else "the intercept (0; tolerance in SDs of the outcome)"
    )
    wide = (
        f"an O/E interval with ends more than a factor {MAX_OE_FACTOR:g} apart"
        if binary
        else f"an intercept interval wider than {MAX_SLOPE_WIDTH:g} SD"
    )
    good = (
        f"Calibration is good if the intervals of {mean} and of the calibration slope include "
        f"1{'' if binary else ' (slope) and 0 (intercept)'}, or lie within {TOLERANCE:g} of it; "
        f"it is not settled if they do so only because they are wide ({wide}, or a slope "
        f"interval wider than {MAX_SLOPE_WIDTH:g})."
    )
    return (
        (LEVELS["insufficient"], "too few people or cases for an estimate (see the tables)."),
        (LEVELS["unsupported"], f"{evidence}."),
        (LEVELS["usable"], f"one model for everybody is calibrated in the ancestry. {good}"),
        (
            LEVELS["recalibrate"],
            "that model is not shown to be calibrated; recalibrated in the ancestry, it is.",
        ),
        (
            LEVELS["rank"],
            (
                "none of the above: higher scores go with higher "
                f"{'risk' if binary else 'values'}, no more than that."
            ),
        ),
    )
