"""The page's tables as text: figures with their intervals, by score and by ancestry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from prs.figures.views import (
    estimate,
    format_number,
    groups_in_order,
    portability_measure,
    predicts_risk,
    primary_measure,
    rows_of,
    short_status,
)
from prs.report.inputs import ReportInputs
from prs.report.process_figures import LOSS_GROUPS
from prs.report.tables import HtmlTable, html_table

if TYPE_CHECKING:
    from prs.evaluation.result import Evaluation

__all__ = ["page_tables"]


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
    "survival": {
        "group": "group", "n": "people", "n_events": "cases", "follow_up": "median follow-up",
        "c": "C", "c_gain": "C gain over covariates",
        "r2_explained": "R² (explained variation)", "hazard_ratio": "hazard ratio per SD",
    },
}  # fmt: skip
_CALIBRATION = {
    "group": "group", "model": "model", "horizon": "risk by", "recalibration": "recalibration",
    "oe": "observed / expected", "intercept": "intercept", "slope": "slope", "brier": "Brier",
    "ici": "ICI", "fitted_on": "fitted on",
}  # fmt: skip


_DISTANCE = {
    "bin": "fifth of distance", "distance": "mean distance", "n": "people", "n_events": "cases",
    "value": "accuracy", "oe": "observed / expected", "intercept": "intercept",
    "slope": "calibration slope",
}  # fmt: skip


def _contrasts_table(evaluation: Evaluation, score: str) -> HtmlTable:
    """Return a row a group: the top decile, against what, and the trend over deciles."""
    binary = predicts_risk(evaluation)
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


def page_tables(
    inputs: ReportInputs, frames: dict[str, pd.DataFrame], score: str
) -> dict[str, HtmlTable]:
    """Return the tables of the page by name; those without rows are absent."""
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
    if len(rows_of(evaluation.reclassification, score=score)):
        tables["reclassification"] = _reclassified_table(evaluation, score)
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
    if inputs.check is not None and len(inputs.check):
        tables["check"] = _check_table(inputs.check)
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
    if "distance" in frames:
        along = frames["distance"]
        bins = along[(along["bin"] != "trend") & (along["origin"] == along["origin"].iloc[0])]
        tables["distance"] = _joined(bins, _DISTANCE)
    if "placement" in frames:
        named = {str(c): str(c).replace("distance_", "from ") for c in frames["placement"]}
        named |= {"n": "people", "nearest": "nearest", "share_nearest": "share nearest to it"}
        tables["placement"] = html_table(frames["placement"], named)
    if "age_risks" in frames and "risk" in frames["age_risks"]:
        tables["age_risks"] = _age_table(frames["age_risks"])
    if "optimism" in frames and frames["optimism"]["n_bootstrap"].gt(0).any():
        tables["optimism"] = _optimism_table(frames["optimism"], frames.get("cross_fit"))
    if "normalised" in frames:
        tables["normalised"] = html_table(frames["normalised"], _NORMALISED, 3)
    if "uncertainty" in frames:
        tables["uncertainty"] = _uncertainty_table(frames["uncertainty"])
    if "loci" in frames:
        named = {c: {"n_variants": "variants"}.get(c, c) for c in map(str, frames["loci"].columns)}
        tables["loci"] = html_table(frames["loci"], named, {"share": 3})
    participants = frames["participants"].rename(
        columns=lambda c: c.replace("_mean", ", mean").replace("_sd", ", SD")
    )
    tables["participants"] = html_table(
        participants.rename(columns={"n_events": "cases", "n": "people"})
    )
    return tables


def _reclassified_table(evaluation: Evaluation, score: str) -> HtmlTable:
    """Return a row a group and model compared: who moves, events and non-events apart."""
    table = rows_of(evaluation.reclassification, score=score)
    rows = []
    for group in groups_in_order(evaluation):
        for versus in dict.fromkeys(table["versus"]):
            here = rows_of(table, group=group, versus=versus)
            if here.empty:
                continue
            cells = [group, versus]
            for part in ("events", "non-events"):
                moved = rows_of(here, part=part)
                if moved.empty:
                    cells += ["–", short_status(str(here["status"].iloc[0]))]
                    continue
                row = moved.iloc[0]
                cells.append(f"{row['n_up']:,} up, {row['n_down']:,} down of {row['n_part']:,}")
                cells.append(estimate(moved, "nri").text(3))
            rows.append(tuple(cells))
    columns = ("group", "against", "cases moved", "net share of cases moved up",
               "others moved", "net share of others moved down")  # fmt: skip
    return HtmlTable(columns, tuple(rows), (False,) * len(columns), (columns[3], columns[5]))


def _age_table(table: pd.DataFrame) -> HtmlTable:
    """Return a row an ancestry: risk by the last age at percentiles of the score."""
    shown = (5, 50, 95)
    last = table[table["age_to"] == table["age_to"].max()]
    rows = []
    for group in dict.fromkeys(table["group"]):
        here = last[last["group"] == group]
        if here.empty or here["risk"].isna().all():
            why = table.loc[table["group"] == group, "status"].iloc[0]
            rows.append((str(group), "–", *("–" for _ in shown), str(why)))
            continue
        cells = [f"{here['average'].iloc[0]:.1%}"]
        for percentile in shown:
            row = here[here["percentile"] == percentile].iloc[0]
            cells.append(f"{row['risk']:.1%} ({row['risk_lower']:.1%} to {row['risk_upper']:.1%})")
        rows.append((str(group), *cells, " "))
    heads = tuple(f"percentile {p}" for p in shown)
    columns = ("group", "average", *heads, "remark")
    end = len(columns) if any(row[-1].strip() for row in rows) else -1
    numeric = (False, True, *(False,) * (len(columns) - 2))
    return HtmlTable(columns[:end], tuple(row[:end] for row in rows), numeric[:end], heads)


def _optimism_table(optimism: pd.DataFrame, cross_fit: pd.DataFrame | None) -> HtmlTable:
    """Return a row a score: how good everybody's choice looks, and how good it is."""
    frame = optimism.rename(
        columns={"apparent": "as chosen", "corrected": "less optimism", "n_bootstrap": "samples"}
    )
    if cross_fit is not None:
        r2 = cross_fit.set_index("score")
        for column, heading in (("r2_apparent", "R², as chosen"),
                                ("r2_held_out", "R², cross-fitted")):  # fmt: skip
            frame[heading] = [r2[column].get(name, float("nan")) for name in frame["score"]]
    return html_table(frame, digits=3)


_NORMALISED = {
    "group": "group", "n": "people", "mean": "mean", "sd": "SD",
    "interval_width": "width of the interval", "percentile_width": "width of the percentile's",
    "share_top": "share in the top decile of all",
    "p_top_of_top": "of these, mean probability of being in it",
}  # fmt: skip


def _uncertainty_table(groups: pd.DataFrame) -> HtmlTable:
    """Return a row an ancestry: how sure its people's scores are."""

    def share(value: Any) -> str:
        return "–" if pd.isna(value) else f"{float(value):.1%}"

    def number(value: Any) -> str:
        return "–" if pd.isna(value) else format_number(float(value))

    rows = []
    for row in groups.to_dict("records"):
        n_top = row["n_top"]
        rows.append(
            (
                str(row["group"]),
                f"{int(row['n']):,}",
                number(row["interval_width"]),
                number(row["reliability"]),
                "–" if pd.isna(row["percentile_width"]) else f"{100 * row['percentile_width']:.0f}",
                "–" if pd.isna(n_top) else f"{int(n_top):,}",
                share(row["share_certain"]),
                share(row["p_top_of_top"]),
                " " if row["status"] == "ok" else str(row["status"]),
            )
        )
    columns = (
        *("group", "people", "width of the interval, SD of the score", "reliability"),
        *("width in percentile points", "in the top decile"),
        *("of these, interval wholly inside it", "of these, mean probability of being inside it"),
        "remark",
    )
    numeric = (False, *(True,) * 7, False)
    end = len(columns) if any(row[-1].strip() for row in rows) else -1
    return HtmlTable(columns[:end], tuple(row[:end] for row in rows), numeric[:end])


def _check_table(findings: pd.DataFrame) -> HtmlTable:
    """Return what the doctor warned of; how much it passed is the last row."""
    open_ones = findings[findings["verdict"] != "pass"].fillna("")
    frame = open_ones[["verdict", "check", "subject", "figure", "remedy"]]
    passed = {"verdict": "pass", "check": f"{len(findings) - len(frame)} more", "subject": "",
              "figure": "", "remedy": ""}  # fmt: skip
    return html_table(pd.concat([frame, pd.DataFrame([passed])], ignore_index=True))


def _losses_table(inputs: ReportInputs) -> HtmlTable:
    """Return a row a matching; outcomes that no row met are left out."""
    rows = []
    for r in inputs.match_reports:
        row: dict[str, Any] = {"input": f"{r.source} → {r.target}", "rows in": r.n_input}
        for label, (fates, _) in LOSS_GROUPS.items():
            row[label] = sum(r.counts[fate] for fate in fates)
        rows.append(row | {"variants in target": r.n_target})
    frame = pd.DataFrame(rows)
    return html_table(frame[[c for c in frame if c in ("input", "rows in") or frame[c].any()]])
