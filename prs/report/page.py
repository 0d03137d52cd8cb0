"""The page's content: which figure, table and sentence stands in which section."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from prs.report import figures
from prs.report.inputs import ReportInputs
from prs.report.standard import fill_items
from prs.report.statements import (
    convergence_rule,
    convergence_sentences,
    facts_for_standard,
    misuses,
)
from prs.report.style import ancestry_colors
from prs.report.tables import (
    HtmlTable,
    collect_frames,
    flatten_settings,
    html_table,
    participants_frame,
)
from prs.report.verdicts import LEVELS, Verdict, headline, judge, rules
from prs.report.views import (
    MEASURE_NAMES,
    estimate,
    groups_in_order,
    pick_score,
    portability_measure,
    primary_measure,
    rows_of,
)

__all__ = ["Page", "PageFigure", "build_page"]


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
    score = pick_score(evaluation, inputs.main_score)
    by = inputs.by or str(evaluation.settings.get("by") or "ancestry")
    verdicts = judge(evaluation, score)
    participants = participants_frame(inputs.cohort, by)
    items = fill_items(inputs.prs_rs, facts_for_standard(inputs, verdicts, participants))
    frames = collect_frames(inputs, verdicts, score, by, items)
    binary = evaluation.outcome_kind == "binary"
    convergence = frames.get("convergence", pd.DataFrame({"run": [], "verdict": []}))
    provenance = dict(inputs.provenance)
    groups = groups_in_order(evaluation)
    context: dict[str, Any] = {
        "title": inputs.title,
        "outcome": evaluation.outcome,
        "outcome_kind": evaluation.outcome_kind,
        "binary": binary,
        "by": by,
        "score": score,
        "scores": list(evaluation.scores),
        "reference": evaluation.reference_group,
        "confidence": f"{float(evaluation.settings.get('confidence', 0.95)):.0%}",
        "n_people": _total(verdicts, "n"),
        "n_events": _total(verdicts, "n_events"),
        "verdicts": verdicts,
        "headline": [(level, LEVELS[level], groups_) for level, groups_ in headline(verdicts)],
        "rules": rules(evaluation),
        "colors": ancestry_colors(groups),
        "measure": MEASURE_NAMES[primary_measure(evaluation)],
        "portability_measure": MEASURE_NAMES[portability_measure(evaluation)],
        "contrast_name": "risk ratio" if binary else "difference, SD of the outcome",
        "digits": 2 if binary else 3,
        "notes": [*(str(n) for n in inputs.notes), *evaluation.notes],
        "intended_use": inputs.intended_use,
        "misuses": misuses(verdicts, evaluation.outcome_kind),
        "convergence_sentences": convergence_sentences(inputs, convergence),
        "convergence_rule": convergence_rule(),
        "items": items,
        "n_reported": sum(item.by != "" for item in items),
        "settings": flatten_settings(inputs.settings),
        "evaluation_settings": flatten_settings(evaluation.settings),
        "digests": sorted((str(k), str(v)) for k, v in provenance.pop("inputs", {}).items()),
        "versions": list(dict(provenance.pop("versions", {})).items()),
        "provenance": flatten_settings(
            {k: v for k, v in provenance.items() if k != "settings" or not inputs.settings}
        ),
        "files": sorted(f"tables/{name}.tsv" for name in frames),
        "tables": _page_tables(inputs, frames, score),
    }
    return Page(context, tuple(_figures(inputs, verdicts, score, by)), frames)


def _total(verdicts: Sequence[Verdict], name: str) -> int:
    return sum(getattr(v, name) or 0 for v in verdicts)


def _joined(frame: pd.DataFrame, columns: Mapping[str, str], digits: int = 2) -> HtmlTable:
    """Return a table of text whose figures carry their interval: column -> heading."""
    status = frame["status"] if "status" in frame else pd.Series("ok", index=frame.index)
    shown = pd.DataFrame(index=frame.index)
    for column, heading in columns.items():
        if column not in frame:
            continue
        if f"{column}_lower" in frame:
            shown[heading] = [
                estimate(frame.iloc[[i]], column).text(digits) for i in range(len(frame))
            ]
            if not frame[column].notna().any():
                shown = shown.drop(columns=heading)
        else:
            shown[heading] = frame[column]
    table = html_table(shown, digits=digits)
    if (status != "ok").any():
        words = tuple("" if s == "ok" else str(s) for s in status)
        table = HtmlTable(
            (*table.columns, "remark"),
            tuple((*row, word) for row, word in zip(table.rows, words, strict=True)),
            (*table.numeric, False),
        )
    return table


_ACCURACY = {
    "binary": {
        "score": "score", "group": "group", "n": "people", "n_events": "cases", "auc": "AUC",
        "auc_gain": "AUC gain over covariates", "r2_nagelkerke": "R² (Nagelkerke)",
        "r2_liability": "R² (liability)", "odds_ratio": "odds ratio per SD",
    },
    "quantitative": {
        "score": "score", "group": "group", "n": "people", "r2": "R² of the score",
        "r2_incremental": "incremental R²", "r2_predictive": "R² predicted",
        "slope": "slope per SD",
    },
}  # fmt: skip
_CALIBRATION = {
    "group": "group", "model": "model", "recalibration": "recalibration",
    "oe": "observed / expected", "intercept": "intercept", "slope": "slope", "brier": "Brier",
    "ici": "ICI", "fitted_on": "fitted on",
}  # fmt: skip
_CONTRASTS = {
    "group": "group", "contrast": "contrast", "n_top": "people in top",
    "n_events_top": "cases in top", "risk_top": "risk in top", "mean_top": "mean in top",
    "risk_ratio": "risk ratio", "odds_ratio": "odds ratio", "difference": "difference, SD",
    "p": "p",
}  # fmt: skip
_PORTABILITY = {
    "score": "score", "group": "group", "reference_group": "reference", "n": "people",
    "value": "here", "value_reference": "in reference", "ratio": "ratio",
}  # fmt: skip
_COMPARISONS = {
    "score": "score", "versus": "versus", "group": "group", "measure": "measure",
    "value": "value", "value_versus": "value of other", "difference": "difference",
}  # fmt: skip


def _page_tables(
    inputs: ReportInputs, frames: dict[str, pd.DataFrame], score: str
) -> dict[str, HtmlTable]:
    evaluation = inputs.evaluation
    quantities = {
        "accuracy": (evaluation.accuracy, _ACCURACY[evaluation.outcome_kind], 3),
        "calibration": (rows_of(evaluation.calibration, score=score), _CALIBRATION, 2),
        "contrasts": (rows_of(evaluation.contrasts, score=score), _CONTRASTS, 2),
        "portability": (
            rows_of(evaluation.portability, measure=portability_measure(evaluation)),
            _PORTABILITY,
            3,
        ),
        "comparisons": (
            rows_of(evaluation.comparisons, measure=primary_measure(evaluation)),
            _COMPARISONS,
            3,
        ),
    }
    tables = {
        name: _joined(frame, columns, digits)
        for name, (frame, columns, digits) in quantities.items()
        if len(frame)
    }
    people = {c: c.removeprefix("n_").replace("_", " ") for c in evaluation.people.columns}
    people |= {"n": "judged", "n_events": "cases judged", "group": "group"}
    if len(evaluation.people):
        keep = [
            c for c in people
            if c in ("group", "n") or evaluation.people[c].ne(0).fillna(False).any()
        ]  # fmt: skip
        tables["people"] = html_table(evaluation.people, {c: people[c] for c in keep})
    if "match_losses" in frames:
        tables["match_losses"] = _losses_table(inputs)
    digits = {"sum_of_squares": 5, "largest": 4, "expected_sd": 3, "weight": 4, "share": 3}
    for name in ("read_losses", "ld", "convergence", "weights", "top_weights"):
        if name in frames:
            tables[name] = html_table(frames[name], digits=digits)
    participants = frames["participants"].rename(
        columns=lambda c: c.replace("_mean", ", mean").replace("_sd", ", SD")
    )
    tables["participants"] = html_table(participants.rename(columns={"n_events": "cases"}))
    return tables


def _losses_table(inputs: ReportInputs) -> HtmlTable:
    """Return a row a matching; fates that no row met are left out."""
    frame = pd.DataFrame(
        [
            {"source": r.source, "target": r.target, "rows in": r.n_input, "kept": r.n_kept}
            | dict(r.counts)
            | {"target variants": r.n_target}
            for r in inputs.match_reports
        ]
    )
    fixed = {"source", "target", "rows in", "kept"}
    return html_table(frame[[c for c in frame if c in fixed or frame[c].any()]])


def _said(verdicts: Sequence[Verdict], name: str, digits: int) -> str:
    return "; ".join(f"{v.group} {getattr(v, name).text(digits)}" for v in verdicts)


def _figures(
    inputs: ReportInputs, verdicts: Sequence[Verdict], score: str, by: str
) -> list[PageFigure]:
    evaluation = inputs.evaluation
    binary = evaluation.outcome_kind == "binary"
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
            + (", then cases against controls in each ancestry." if binary else "."),
            f"{score}, everybody in the cohort who has a score, tuning people included."
            + (" Filled: cases; line: controls." if binary else ""),
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
    if inputs.ct_grid is not None and len(inputs.ct_grid):
        grid = inputs.ct_grid
        best = grid.sort_values("value", ascending=False)["score"].iloc[0]
        listed.append(
            PageFigure(
                "ct_grid",
                lambda: figures.plot_ct_grid(grid),
                f"Bars of accuracy in tuning people by p-value threshold; best: {best}.",
                "Clumping and thresholding in tuning people. The threshold was chosen there and "
                "judged on other people.",
            )
        )
    for i, (run, posterior) in enumerate(inputs.posteriors.items(), start=1):
        listed.append(
            PageFigure(
                f"trace_{i}",
                lambda posterior=posterior: figures.plot_trace(posterior),  # type: ignore[misc]
                f"Paths of the sampler's global parameters in run {run}, a line for each chain.",
                f"{run}: a line for each chain. Chains that converged overlap and do not drift.",
            )
        )
    return listed
