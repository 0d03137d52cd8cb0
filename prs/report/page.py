"""The page's content: which figure, table and sentence stands in which section."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pandas as pd
from matplotlib.figure import Figure

from prs.evaluation.distance import describe_trend
from prs.figures.decisions import plot_net_benefit
from prs.figures.style import ancestry_colors
from prs.figures.views import (
    MEASURE_NAMES,
    groups_in_order,
    pick_score,
    portability_measure,
    predicts_risk,
    primary_measure,
    rows_of,
)
from prs.report import figures
from prs.report.inputs import ReportInputs, Traces, runs_of
from prs.report.page_tables import page_tables
from prs.report.risk_figures import plot_age_risks
from prs.report.standard import NOT_REPORTED, fill_items
from prs.report.statements import (
    convergence_rule,
    convergence_sentences,
    facts_for_standard,
    misuses,
)
from prs.report.tables import (
    collect_frames,
    flatten_settings,
    participants_frame,
)
from prs.report.uncertainty_figures import plot_distance, plot_uncertainty
from prs.report.verdicts import LEVELS, Verdict, headline, judge, rules

if TYPE_CHECKING:
    pass

__all__ = ["Page", "PageFigure", "build_page"]

#: Kinds of outcome, in words.
OUTCOME_WORDS = {
    "binary": "binary",
    "quantitative": "quantitative",
    "survival": "time to an event",
}


@dataclass(frozen=True)
class PageFigure:
    """A figure of the page.

    Attributes
    ----------
    name : str
        Stem of its files.
    draw : callable
        Returns the figure.
    alt : str
        What it shows, for those who do not see it, with the main numbers.
    caption : str
        Legend beneath it.
    """

    name: str
    draw: Callable[[], Figure]
    alt: str
    caption: str


@dataclass(frozen=True)
class Page:
    """Everything that the template shows.

    Attributes
    ----------
    context : dict
        Values for the template, apart from the figures' images.
    figures : tuple of PageFigure
        In the order of the page.
    frames : dict of str to DataFrame
        Tables to be written as TSV and JSON.
    """

    context: dict[str, Any]
    figures: tuple[PageFigure, ...]
    frames: dict[str, pd.DataFrame]


def build_page(inputs: ReportInputs) -> Page:
    """Return the content of a report.

    Parameters
    ----------
    inputs : ReportInputs

    Raises
    ------
    SettingsError
        If the main score was not evaluated or an item of PRS-RS does not exist.
    """
    evaluation = inputs.evaluation
    if inputs.distance is not None and "origin" not in inputs.distance:
        named = inputs.distance.assign(origin=evaluation.reference_group)
        inputs = replace(inputs, distance=named)
    score = pick_score(evaluation, inputs.main_score)
    by = inputs.by or str(evaluation.settings.get("by") or "ancestry")
    verdicts = judge(evaluation, score)
    participants = participants_frame(inputs.cohort, by)
    items = fill_items(inputs.prs_rs, facts_for_standard(inputs, verdicts, participants))
    frames = collect_frames(inputs, verdicts, score, by, items)
    binary = predicts_risk(evaluation)
    convergence = frames.get("convergence", pd.DataFrame({"run": [], "verdict": []}))
    provenance = dict(inputs.provenance)
    groups = groups_in_order(evaluation)
    sentences = convergence_sentences(inputs, convergence)
    unconverged = [text for text, _ in sentences if "NOT CONVERGED" in text]
    context: dict[str, Any] = {
        "title": inputs.title,
        "outcome": evaluation.outcome,
        "outcome_kind": evaluation.outcome_kind,
        "outcome_words": OUTCOME_WORDS[evaluation.outcome_kind],
        "horizon": _horizon(inputs),
        "risk_thresholds": ", ".join(
            f"{100 * float(t):g} %" for t in evaluation.settings.get("risk_thresholds", ())
        ),
        "binary": binary,
        "by": by,
        "score": score,
        "scores": list(evaluation.scores),
        "reference": evaluation.reference_group,
        "confidence": f"{float(evaluation.settings.get('confidence', 0.95)):.0%}",
        "n_people": _total(verdicts, "n"),
        "versus": evaluation.settings.get("compare_to") or (evaluation.scores or ("",))[0],
        "n_events": _total(verdicts, "n_events"),
        "verdicts": verdicts,
        "headline": [(level, LEVELS[level], groups_) for level, groups_ in headline(verdicts)],
        "rules": rules(evaluation),
        "colors": ancestry_colors(groups),
        "measure": MEASURE_NAMES[primary_measure(evaluation)],
        "portability_measure": MEASURE_NAMES[portability_measure(evaluation)],
        "contrast_name": "risk ratio" if binary else "difference, SD of the outcome",
        "digits": 2 if binary else 3,
        "match_notes": [
            f"{r.source}: {text}"
            for r in inputs.match_reports
            for text in (
                *r.notes,
                *([f"invalid rows: {_reasons(r.details)}"] if r.details else []),
                *([f"failed quality rules: {_reasons(r.failed_qc)}"] if r.failed_qc else []),
            )
        ],
        "notes": [*unconverged, *evaluation.notes, *(str(n) for n in inputs.notes)],
        "intended_use": inputs.intended_use,
        "misuses": misuses(verdicts, evaluation.outcome_kind),
        "convergence_sentences": sentences,
        "convergence_rule": convergence_rule(),
        "items": items,
        "not_reported": NOT_REPORTED,
        "n_blank": sum(item.text == NOT_REPORTED for item in items),
        "n_partial": sum(item.by != "" and NOT_REPORTED in item.text for item in items),
        "settings": flatten_settings(inputs.settings),
        "evaluation_settings": flatten_settings(evaluation.settings),
        "digests": sorted((str(k), str(v)) for k, v in provenance.pop("inputs", {}).items()),
        "versions": list(dict(provenance.pop("versions", {})).items()),
        "provenance": flatten_settings(
            {k: v for k, v in provenance.items() if k != "settings" or not inputs.settings}
        ),
        "files": sorted(f"tables/{name}.tsv" for name in frames),
        "tables": page_tables(inputs, frames, score),
        "distance_notes": _said_of_distance(inputs.distance),
        "distance_origin": _origins(inputs.distance)[0] if inputs.distance is not None else "",
        "age_effect": _age_effect(inputs.age_risks),
        "one_sample": bool(inputs.one_sample),
        "n_folds": evaluation.settings.get("n_folds", ""),
        "normalised_by": _first(inputs, "normalised_groups", "method"),
        "uncertainty_score": _first(inputs, "groups", "score") or score,
        "uncertainty_level": f"{float(_first(inputs, 'groups', 'level') or 0.9):.0%}",
        "uncertainty_notes": [
            str(n) for n in inputs.uncertainty.get("notes", pd.DataFrame({"note": []}))["note"]
        ],
    }
    return Page(context, tuple(_figures(inputs, verdicts, score, by)), frames)


def _horizon(inputs: ReportInputs) -> str:
    """Return the time by which risks are meant, in words; empty where the outcome has none."""
    horizons = inputs.evaluation.settings.get("horizons")
    if not horizons:
        return ""
    unit = getattr(inputs.cohort, "time_name", "") or "time"
    since = " since entry" if getattr(inputs.cohort, "entry", None) is not None else ""
    return f"{horizons[0]:.3g} ({unit}{since})"


def _origins(distance: pd.DataFrame) -> list[str]:
    """Return the populations from which distance was measured, in order."""
    return [str(origin) for origin in dict.fromkeys(distance["origin"])]


def _said_of_distance(distance: pd.DataFrame | None) -> list[str]:
    if distance is None:
        return []
    return [
        f"From {origin}, {describe_trend(rows_of(distance, origin=origin))}"
        for origin in _origins(distance)
    ]


def _age_effect(table: pd.DataFrame | None) -> str:
    """Say where the effect that risks by age rest on comes from."""
    if table is None:
        return ""
    if str(table["effect"].iloc[0]) == "hazard_ratio":
        return "The effect is the hazard ratio per SD in the ancestry."
    return (
        "The effect is the odds ratio per SD in the ancestry, taken for a hazard ratio: it is too "
        "large where the disease is common."
    )


def _said_by_age(table: pd.DataFrame) -> str:
    known = table[table["risk"].notna()]
    if known.empty:
        return "Insufficient data in every ancestry."
    last = known[known["age_to"] == known["age_to"].max()]
    said = []
    for group, part in last.groupby("group", sort=False):
        risk = part.set_index("percentile")["risk"]
        said.append(f"{group} {risk[5]:.1%}, {risk[50]:.1%}, {risk[95]:.1%}")
    return f"By {last['age_to'].iloc[0]:g}: {'; '.join(said)}."


def _first(inputs: ReportInputs, table: str, column: str) -> Any:
    """Return the first value of a column of an uncertainty table; None if it is not there."""
    frame = inputs.uncertainty.get(table)
    return None if frame is None or column not in frame or frame.empty else frame[column].iloc[0]


def _said_certain(groups: pd.DataFrame) -> str:
    known = groups[groups["share_certain"].notna()]
    return "; ".join(
        f"{r['group']}: {r['share_certain']:.1%} of {int(r['n_top']):,}"
        for r in known.to_dict("records")
    )


def _said_gain(table: pd.DataFrame, score: str) -> str:
    """Say at how many thresholds the score clearly adds net benefit, by group."""
    rows = rows_of(table, score=score)
    rows = rows[rows["difference"].notna()]
    counts = [
        f"{group}: {int((part['difference_lower'] > 0).sum())} of {len(part)}"
        for group, part in rows.groupby("group", sort=False)
    ]
    return (
        "Thresholds at which the score adds net benefit to the covariates, its interval above 0: "
        f"{'; '.join(counts)}."
    )


def _reasons(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{reason} {n:,}" for reason, n in counts.items())


def _total(verdicts: Sequence[Verdict], name: str) -> int:
    return sum(getattr(v, name) or 0 for v in verdicts)


def _diagnostics(traces: Traces) -> str:
    return "; ".join(f"R-hat of {name} {rhat:.2f}" for name, rhat in traces.rhat.items()) + "."


def _said(verdicts: Sequence[Verdict], name: str, digits: int) -> str:
    return "; ".join(f"{v.group} {getattr(v, name).text(digits)}" for v in verdicts)


def _figures(
    inputs: ReportInputs, verdicts: Sequence[Verdict], score: str, by: str
) -> list[PageFigure]:
    evaluation = inputs.evaluation
    binary = predicts_risk(evaluation)
    digits = 2 if binary else 3
    measure = MEASURE_NAMES[primary_measure(evaluation)]
    relative = MEASURE_NAMES[portability_measure(evaluation)]
    groups = ", ".join(groups_in_order(evaluation))
    risk = "risk" if binary else "mean outcome"
    others = [v for v in verdicts if not v.is_reference]
    contrast = "Risk ratio" if binary else "Difference in SD"
    listed = [
        PageFigure(
            "accuracy",
            lambda: figures.plot_accuracy(evaluation),
            f"Forest plot of {measure} for each score, a panel for each of {groups}. "
            f"{score}: {_said(verdicts, 'accuracy', digits)}.",
            f"{measure} with its interval. Dashed: a score without information.",
        ),
        PageFigure(
            "portability",
            lambda: figures.plot_portability(evaluation),
            f"Forest plot of {relative} relative to {evaluation.reference_group}, by score and "
            f"ancestry. {score}: {_said(others, 'relative', 2)}.",
            f"{relative} divided by that in {evaluation.reference_group}, with its interval. "
            "Dashed: as accurate as there.",
        ),
        PageFigure(
            "calibration",
            lambda: figures.plot_calibration(evaluation, score=score),
            f"Calibration curves of {score} with bands, a panel for each of {groups}, before and "
            "after recalibration. Before: "
            + "; ".join(f"{v.group} {v.before.text}" for v in verdicts)
            + ". After: "
            + "; ".join(f"{v.group} {v.after.text}" for v in verdicts)
            + ".",
            f"{score}: grey, one model for everybody; coloured, recalibrated in the ancestry. "
            "Lines are smooth curves with their confidence band, dots are bins of equal size. "
            "Dashed: perfect calibration.",
        ),
        PageFigure(
            "deciles",
            lambda: figures.plot_deciles(evaluation, score=score),
            f"Observed {risk} in each decile of {score}, a panel for each of {groups}. {contrast} "
            f"of top against bottom decile: {_said(verdicts, 'contrast', 2)}.",
            f"{score}: {risk} by decile with its interval. Dashed: the mean of the group.",
        ),
        PageFigure(
            "distribution",
            lambda: figures.plot_distribution(inputs.scores, inputs.cohort, score=score, by=by),
            f"Density of {score} by ancestry on one axis, in standard deviations"
            + (
                ", then cases against controls in each ancestry."
                if evaluation.outcome_kind == "binary"
                else "."
            ),
            f"{score}, everybody in the cohort who has a score, tuning people included."
            + (
                " Filled: cases; line: controls." if evaluation.outcome_kind == "binary" else ""
            ),
        ),
        PageFigure(
            "losses",
            lambda: figures.plot_losses(inputs.match_reports),
            "Stacked bars of what became of the rows of each input. "
            + "; ".join(
                f"{r.source}: {r.n_kept:,} of {r.n_input:,} kept" for r in inputs.match_reports
            )
            + ".",
            "Rows of each input by what became of them. Shares sum to 100 %.",
        ),
    ]  # fmt: skip
    if not inputs.match_reports:
        listed.pop()
    if evaluation.net_benefit["net_benefit"].notna().any():
        listed.append(
            PageFigure(
                "net_benefit",
                lambda: plot_net_benefit(evaluation, score=score),
                f"Decision curves: net benefit of acting on risks with {score}, with covariates "
                f"only, on everybody and on nobody, a panel for each of {groups}. "
                + _said_gain(evaluation.net_benefit, score),
                f"{score}: net benefit (true positives less false positives weighted by the odds "
                "of the threshold, a person) by the risk above which one acts. A model is worth "
                "using at a threshold if its curve is above the others there.",
            )
        )
    if inputs.distance is not None:
        origin = _origins(inputs.distance)[0]
        along = rows_of(inputs.distance, origin=origin)
        listed.append(
            PageFigure(
                "distance",
                lambda: plot_distance(along),
                f"Accuracy of {score} in fifths of genetic distance from {origin}: "
                + describe_trend(along),
                f"{score}: accuracy, and calibration slope of one model for everybody, by genetic "
                f"distance from {origin}, whatever the label.",
            )
        )
    by_age = inputs.age_risks
    if by_age is not None and "risk" in by_age:
        listed.append(
            PageFigure(
                "age_risks",
                lambda: plot_age_risks(by_age),
                f"Risk by age at the 5th, 50th and 95th percentile of {score}, a panel an "
                f"ancestry. {_said_by_age(by_age)}",
                f"{score}: risk of the disease by age of people free of it at the first age, "
                "death from other causes competing, at the percentiles written beside the lines. "
                "Dashed: the average person. Bands: the interval of the effect, not of the rates.",
            )
        )
    people, sure = inputs.uncertainty.get("people"), inputs.uncertainty.get("groups")
    if people is not None and sure is not None:
        listed.append(
            PageFigure(
                "uncertainty",
                lambda: plot_uncertainty(people, top=float(sure["top"].iloc[0])),
                "Credible interval of the percentile of people, a panel an ancestry. Share of the "
                f"top decile whose interval lies wholly inside it: {_said_certain(sure)}.",
                "Up to 120 people of each ancestry: percentile of the score (dot) and its "
                "credible interval (line). Dashed: the limit of the top decile; dark: intervals "
                "wholly above it.",
            )
        )
    if inputs.ct_grid is not None and len(inputs.ct_grid):
        grid = inputs.ct_grid
        best = grid.sort_values("value", ascending=False)["score"].iloc[0]
        listed.append(
            PageFigure(
                "ct_grid",
                lambda: figures.plot_ct_grid(grid),
                f"Bar chart of accuracy in tuning people by p-value threshold; best: {best}.",
                "Clumping and thresholding in tuning people. The threshold was chosen there and "
                "judged on other people.",
            )
        )
    for i, (run, traces) in enumerate(runs_of(inputs.posteriors).items(), start=1):
        listed.append(
            PageFigure(
                f"trace_{i}",
                lambda traces=traces: figures.plot_trace(traces),  # type: ignore[misc]
                f"Paths of the sampler's global parameters in run {run}, a line for each chain. "
                + _diagnostics(traces),
                f"{run}: a line for each chain. Grey: burn-in. Chains that converged overlap and "
                "do not drift.",
            )
        )
    return listed
