"""The page's content: which figure, table and sentence stands in which section."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pandas as pd
from matplotlib.figure import Figure

from prs.report import figures
from prs.report.inputs import ReportInputs, Traces, runs_of
from prs.report.standard import NOT_REPORTED, fill_items
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
    format_number,
    groups_in_order,
    pick_score,
    portability_measure,
    primary_measure,
    rows_of,
)

if TYPE_CHECKING:
    from prs.evaluation.result import Evaluation

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
    sentences = convergence_sentences(inputs, convergence)
    unconverged = [text for text, _ in sentences if "NOT CONVERGED" in text]
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
            )
        ],
        "notes": [*(str(n) for n in inputs.notes), *unconverged, *evaluation.notes],
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
        "tables": _page_tables(inputs, frames, score),
    }
    return Page(context, tuple(_figures(inputs, verdicts, score, by)), frames)


def _reasons(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{reason} {n:,}" for reason, n in counts.items())


def _total(verdicts: Sequence[Verdict], name: str) -> int:
    return sum(getattr(v, name) or 0 for v in verdicts)


def _joined(frame: pd.DataFrame, columns: Mapping[str, str], digits: int = 2) -> HtmlTable:
    """Return a table of text whose figures carry their interval: column -> heading."""
    status = frame["status"] if "status" in frame else pd.Series("ok", index=frame.index)
    shown = pd.DataFrame(index=frame.index)
    intervals = []
    for column, heading in columns.items():
        if column not in frame or not (frame[column].notna() & (frame[column] != "")).any():
            continue
        if f"{column}_lower" in frame:
            found = [estimate(frame.iloc[[i]], column) for i in range(len(frame))]
            shown[heading] = [e.text(digits) if e.is_known else "–" for e in found]
            intervals.append(heading)
        else:
            shown[heading] = frame[column]
    if (status != "ok").any():
        shown["remark"] = [" " if s == "ok" else str(s) for s in status]
    return replace(html_table(shown, digits=digits), intervals=tuple(intervals))


def _matrix(frame: pd.DataFrame, column: str, digits: int) -> HtmlTable:
    """Return one measure as a table of scores by groups."""
    scores, groups = (list(dict.fromkeys(frame[c])) for c in ("score", "group"))
    rows = [
        (s, *(estimate(frame, column, score=s, group=g).text(digits) for g in groups))
        for s in scores
    ]
    return HtmlTable(("score", *groups), tuple(rows), (False,) * (len(groups) + 1), tuple(groups))


_ACCURACY = {
    "binary": {
        "group": "group", "n": "people", "n_events": "cases", "auc": "AUC",
        "auc_gain": "AUC gain over covariates", "r2_nagelkerke": "R² (Nagelkerke)",
        "r2_liability": "R² (liability)", "odds_ratio": "odds ratio per SD",
    },
    "quantitative": {
        "group": "group", "n": "people", "r2": "R² of the score",
        "r2_incremental": "incremental R²", "r2_predictive": "R² predicted",
        "slope": "slope per SD",
    },
}  # fmt: skip
_CALIBRATION = {
    "group": "group", "model": "model", "recalibration": "recalibration",
    "oe": "observed / expected", "intercept": "intercept", "slope": "slope", "brier": "Brier",
    "ici": "ICI", "fitted_on": "fitted on",
}  # fmt: skip


def _contrasts_table(evaluation: Evaluation, score: str) -> HtmlTable:
    """Return a row a group: the top decile, against what, and the trend over deciles."""
    binary = evaluation.outcome_kind == "binary"
    ratio, level = ("risk_ratio", "risk_top") if binary else ("difference", "mean_top")
    table = rows_of(evaluation.contrasts, score=score)
    rows = []
    for group in groups_in_order(evaluation):
        here = {"group": group}
        top = rows_of(table, contrast="top vs bottom", **here)
        trend = estimate(table, "p", contrast="trend", **here)
        rows.append(
            (
                group,
                *(format_number(top[c].iloc[0]) if len(top) else "–"
                  for c in ("n_top", *(["n_events_top"] if binary else []), level)),
                *(estimate(table, ratio, contrast=f"top vs {other}", **here).text()
                  for other in ("bottom", "middle", "rest")),
                format_number(trend.value),
            )
        )  # fmt: skip
    what = "risk ratio" if binary else "difference (SD)"
    against = tuple(f"{what} to {other}" for other in ("bottom decile", "middle fifth", "rest"))
    first = ("group", "people in top decile", *(["cases"] if binary else []),
             "risk" if binary else "mean")  # fmt: skip
    numeric = (False, *(True,) * (len(first) - 1), False, False, False, True)
    return HtmlTable((*first, *against, "p of trend"), tuple(rows), numeric, against)


_HEADINGS = {
    "rhat": "R-hat", "ess": "effective draws", "n_samples": "people", "n_variants": "variants",
    "n_blocks": "blocks", "expected_sd": "expected SD", "n": "rows or people",
    "largest": "largest |weight|",
}  # fmt: skip


def _page_tables(
    inputs: ReportInputs, frames: dict[str, pd.DataFrame], score: str
) -> dict[str, HtmlTable]:
    evaluation = inputs.evaluation
    quantities = {
        "accuracy": (
            rows_of(evaluation.accuracy, score=score),
            _ACCURACY[evaluation.outcome_kind],
            3,
        ),
        "calibration": (rows_of(evaluation.calibration, score=score), _CALIBRATION, 2),
    }
    tables = {
        name: _joined(frame, columns, digits)
        for name, (frame, columns, digits) in quantities.items()
        if len(frame)
    }
    tables["all_accuracy"] = _matrix(evaluation.accuracy, primary_measure(evaluation), 3)
    ratios = rows_of(evaluation.portability, measure=portability_measure(evaluation))
    others = [
        g
        for g in groups_in_order(evaluation, with_everybody=False)
        if g != evaluation.reference_group
    ]
    ratios = ratios[ratios["group"].isin(others)]
    if len(rows_of(evaluation.contrasts, score=score)):
        tables["contrasts"] = _contrasts_table(evaluation, score)
    compared = rows_of(evaluation.comparisons, measure=primary_measure(evaluation))
    if len(compared):
        tables["comparisons"] = _matrix(compared, "difference", 3)
    if len(ratios):
        tables["portability"] = _matrix(ratios, "ratio", 2)
    people = {c: c.removeprefix("n_").replace("_", " ") for c in evaluation.people.columns}
    people |= {"n": "judged", "n_events": "cases judged", "group": "group"}
    if len(evaluation.people):
        keep = [
            c for c in people
            if c in ("group", "n")
            or (c == "status" and evaluation.people[c].ne("ok").any())
            or (c != "status" and evaluation.people[c].fillna(0).ne(0).any())
        ]  # fmt: skip
        order = {g: i for i, g in enumerate(groups_in_order(evaluation))}
        people_rows = evaluation.people.sort_values(
            "group", key=lambda c: c.map(lambda g: order.get(g, -1)), kind="stable"
        )
        tables["people"] = html_table(people_rows, {c: people[c] for c in keep})
    if "match_losses" in frames:
        tables["match_losses"] = _losses_table(inputs)
    digits = {
        "ess": 0,
        "sum_of_squares": 5,
        "largest": 4,
        "expected_sd": 3,
        "weight": 4,
        "share": 3,
    }
    for name in ("read_losses", "ld", "convergence", "weights", "top_weights"):
        if name in frames:
            named = {str(c): _HEADINGS.get(str(c), str(c).replace("_", " ")) for c in frames[name]}
            tables[name] = html_table(frames[name], named, digits)
    participants = frames["participants"].rename(
        columns=lambda c: c.replace("_mean", ", mean").replace("_sd", ", SD")
    )
    tables["participants"] = html_table(
        participants.rename(columns={"n_events": "cases", "n": "people"})
    )
    return tables


def _losses_table(inputs: ReportInputs) -> HtmlTable:
    """Return a row a matching; outcomes that no row met are left out."""
    rows = []
    for r in inputs.match_reports:
        row: dict[str, Any] = {"input": f"{r.source} → {r.target}", "rows in": r.n_input}
        for label, (fates, _) in figures.LOSS_GROUPS.items():
            row[label] = sum(r.counts[fate] for fate in fates)
        rows.append(row | {"variants in target": r.n_target})
    frame = pd.DataFrame(rows)
    return html_table(frame[[c for c in frame if c in ("input", "rows in") or frame[c].any()]])


def _diagnostics(traces: Traces) -> str:
    return "; ".join(f"R-hat of {name} {rhat:.2f}" for name, rhat in traces.rhat.items()) + "."


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
