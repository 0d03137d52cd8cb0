"""Tables of a report: the frames that become TSV and JSON, and the text cells of the page."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from prs.figures.views import format_number
from prs.matching import MatchReport
from prs.report.inputs import CohortLike, ReportInputs, Traces, WeightsLike, runs_of
from prs.report.standard import StandardItem
from prs.report.verdicts import Verdict
from prs.variants import chromosome_labels

__all__ = [
    "HtmlTable",
    "collect_frames",
    "convergence_frame",
    "flatten_settings",
    "html_table",
    "losses_frame",
    "participants_frame",
    "top_weights_frame",
    "verdicts_frame",
    "weights_frame",
]

#: R-hat above this, or fewer effective draws than this, is called not converged: the sampler's
#: own limits (`prs.weights.csx_posterior`). Vehtari et al. 2021 ask for 1.01 and 400.
MAX_RHAT, MIN_ESS = 1.05, 50.0
N_TOP_WEIGHTS = 10


@dataclass(frozen=True)
class HtmlTable:
    """A table as text, for the page.

    Attributes
    ----------
    columns : tuple of str
        Headings.
    rows : tuple of tuple of str
        Cells, formatted.
    numeric : tuple of bool
        Which columns are numbers (set to the right).
    intervals : tuple of str
        Headings of the columns whose cells are ``value (lower to upper)``.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[bool, ...]
    intervals: tuple[str, ...] = ()


def html_table(
    frame: pd.DataFrame,
    headings: Mapping[str, str] | None = None,
    digits: Mapping[str, int] | int = 2,
) -> HtmlTable:
    """Return a frame as formatted text.

    Parameters
    ----------
    frame : DataFrame
    headings : mapping of str to str, optional
        Column -> heading, which also selects and orders the columns; default all as named.
    digits : int or mapping of str to int
        Digits after the point.
    """
    headings = headings or {str(c): str(c).replace("_", " ") for c in frame.columns}
    columns = [c for c in headings if c in frame.columns]
    cells, numeric = [], []
    for column in columns:
        values = frame[column]
        is_number = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
        places = digits if isinstance(digits, int) else digits.get(column, 2)
        numeric.append(is_number)
        if is_number:
            whole = pd.api.types.is_integer_dtype(values)
            cells.append(
                [format_number(int(v) if whole and not pd.isna(v) else v, places) for v in values]
            )
        else:
            cells.append([_word(v) for v in values])
    rows = tuple(zip(*cells, strict=True)) if cells else ()
    return HtmlTable(tuple(headings[c] for c in columns), rows, tuple(numeric))


def _word(value: object) -> str:
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return "–"
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (float, np.floating)):
        return f"{value:.6g}"
    return str(value) or "–"


def verdicts_frame(verdicts: Sequence[Verdict], score: str) -> pd.DataFrame:
    """Return the first screen as numbers: a row an ancestry."""
    rows = []
    for v in verdicts:
        row: dict[str, Any] = {"score": score, "group": v.group, "n": v.n, "n_events": v.n_events}
        for name in ("accuracy", "relative", "contrast"):
            e = getattr(v, name)
            row |= {name: e.value, f"{name}_lower": e.lower, f"{name}_upper": e.upper}
        row |= {
            "calibration": v.before.state,
            "calibration_recalibrated": v.after.state,
            "verdict": v.text,
            "remarks": "; ".join(v.remarks),
        }
        rows.append(row)
    frame = pd.DataFrame(rows)
    for column in {"n", "n_events"} & set(frame):
        frame[column] = frame[column].astype("Int64")
    return frame


def losses_frame(match_reports: Iterable[MatchReport]) -> pd.DataFrame:
    """Return one row a matching and fate: source, target, fate, kept, n, share."""
    frames = [
        r.to_frame().assign(source=r.source, target=r.target)[
            ["source", "target", "fate", "kept", "n", "share"]
        ]
        for r in match_reports
    ]
    if not frames:
        return pd.DataFrame(columns=["source", "target", "fate", "kept", "n", "share"])
    return pd.concat(frames, ignore_index=True)


def participants_frame(cohort: CohortLike, by: str) -> pd.DataFrame:
    """Return people, cases, and mean (SD) of each covariate that is not a PC, by group."""
    labels = np.asarray(cohort.labels.get(by, np.full(len(cohort.samples), "all")), dtype=object)
    labels = labels.astype(str)
    outcome = np.asarray(cohort.outcome, dtype=float)
    names = [str(n) for n in getattr(cohort, "covariate_names", ())]
    values = np.asarray(getattr(cohort, "covariates", np.zeros((len(labels), 0))), dtype=float)
    unique, n = np.unique(labels, return_counts=True)
    rows = []
    for group in unique[np.argsort(-n, kind="stable")]:
        here = labels == group
        y = outcome[here]
        row: dict[str, Any] = {"group": str(group), "n": int(here.sum())}
        if cohort.outcome_kind != "quantitative":
            row["n_events"] = int(np.nansum(y))
            if (time := getattr(cohort, "time", None)) is not None:
                row["follow_up_median"] = float(np.median(np.asarray(time, dtype=float)[here]))
        else:
            row |= {"outcome_mean": np.nanmean(y), "outcome_sd": np.nanstd(y)}
        for i, name in enumerate(names):
            if re.fullmatch(r"(?i)pc_?\d+", name) is None:
                column = values[here, i]
                row |= {f"{name}_mean": np.nanmean(column), f"{name}_sd": np.nanstd(column)}
        rows.append(row)
    return pd.DataFrame(rows)


def convergence_frame(runs: Mapping[str, Traces]) -> pd.DataFrame:
    """Return one row a run and parameter: mean after burn-in, rhat, ess, verdict."""
    rows = []
    for run, traces in runs.items():
        for name in dict.fromkeys([*traces.paths, *traces.rhat]):
            path = traces.paths.get(name)
            rhat, ess = traces.rhat.get(name, np.nan), traces.ess.get(name, np.nan)
            mean, is_fixed = np.nan, False
            if path is not None:
                mean = float(path[:, min(traces.n_burnin, path.shape[1] - 1) :].mean())
                is_fixed = path.size > 1 and float(np.ptp(path)) == 0
            if is_fixed:
                verdict = "fixed"
            elif not np.isfinite(rhat) and not np.isfinite(ess):
                verdict = "not judged"
            else:
                verdict = "not converged" if rhat > MAX_RHAT or ess < MIN_ESS else "converged"
            rows.append(
                {"run": run, "parameter": name, "mean": mean, "rhat": rhat, "ess": ess,
                 "verdict": verdict}
            )  # fmt: skip
    return pd.DataFrame(rows, columns=["run", "parameter", "mean", "rhat", "ess", "verdict"])


def weights_frame(weights: Sequence[WeightsLike]) -> pd.DataFrame:
    """Return one row a score: variants with a weight, sum of squares, largest weight."""
    rows = []
    for table in weights:
        values = np.asarray(table.weights, dtype=float)
        eaf = getattr(table, "eaf", None)
        for i, name in enumerate(table.names):
            w = values[:, i]
            row = {
                "score": str(name),
                "n_variants": int(np.count_nonzero(w)),
                "sum_of_squares": float(np.sum(w * w)),
                "largest": float(np.abs(w).max()) if len(w) else np.nan,
                "expected_sd": np.nan,
            }
            if eaf is not None:
                f = np.asarray(eaf, dtype=float)
                row["expected_sd"] = float(np.sqrt(np.nansum(2 * f * (1 - f) * w * w)))
            rows.append(row)
    columns = ["score", "n_variants", "sum_of_squares", "largest", "expected_sd"]
    return pd.DataFrame(rows, columns=columns)


def top_weights_frame(weights: Sequence[WeightsLike], score: str) -> pd.DataFrame:
    """Return the ten variants with the largest weights of one score (or of the last table's)."""
    columns = ["score", "chrom", "pos", "id", "effect_allele", "other_allele", "weight", "share"]
    if not weights:
        return pd.DataFrame(columns=columns)
    table = next((t for t in weights if score in t.names), weights[-1])
    names = list(table.names)
    at = names.index(score) if score in names else len(names) - 1
    w = np.asarray(table.weights, dtype=float)[:, at]
    order = np.argsort(-np.abs(w), kind="stable")[:N_TOP_WEIGHTS]
    order = order[w[order] != 0]
    v = table.variants
    total = float(np.sum(w * w)) or 1.0
    return pd.DataFrame(
        {
            "score": names[at],
            "chrom": chromosome_labels(v.chrom[order]),
            "pos": v.pos[order],
            "id": v.id[order],
            "effect_allele": v.effect_allele[order],
            "other_allele": v.other_allele[order],
            "weight": w[order],
            "share": w[order] ** 2 / total,
        },
        columns=columns,
    )


def flatten_settings(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return nested settings as (``section.key``, text) in the order given."""
    flat: list[tuple[str, str]] = []
    for key, value in settings.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat += flatten_settings(value, f"{name}.") if value else [(name, "–")]
        elif isinstance(value, (list, tuple)):
            flat.append((name, ", ".join(_word(v) for v in value) or "–"))
        else:
            flat.append((name, _word(value)))
    return flat


def collect_frames(
    inputs: ReportInputs,
    verdicts: Sequence[Verdict],
    score: str,
    by: str,
    items: Sequence[StandardItem],
) -> dict[str, pd.DataFrame]:
    """Return every table of the report by name; these are the TSV files and the JSON."""
    read_losses = [
        {"source": source, "reason": reason, "n": int(n)}
        for source, reasons in inputs.read_losses.items()
        for reason, n in reasons.items()
    ]
    frames = {
        "verdicts": verdicts_frame(verdicts, score),
        **inputs.evaluation.to_frames(),
        "participants": participants_frame(inputs.cohort, by),
        "match_losses": losses_frame(inputs.match_reports),
        "read_losses": pd.DataFrame(read_losses, columns=["source", "reason", "n"]),
        "ld": inputs.ld if inputs.ld is not None else pd.DataFrame(),
        "convergence": convergence_frame(runs_of(inputs.posteriors)),
        "weights": weights_frame(inputs.weights),
        "top_weights": top_weights_frame(inputs.weights, score),
        "ct_grid": inputs.ct_grid if inputs.ct_grid is not None else pd.DataFrame(),
        "distance": inputs.distance if inputs.distance is not None else pd.DataFrame(),
        "placement": inputs.placement if inputs.placement is not None else pd.DataFrame(),
        "age_risks": inputs.age_risks if inputs.age_risks is not None else pd.DataFrame(),
        "cross_fit": inputs.one_sample.get("cross_fit", pd.DataFrame()),
        "optimism": inputs.one_sample.get("optimism", pd.DataFrame()),
        "uncertainty": inputs.uncertainty.get("groups", pd.DataFrame()),
        "normalised": inputs.uncertainty.get("normalised_groups", pd.DataFrame()),
        "loci": inputs.uncertainty.get("loci", pd.DataFrame()),
        "prs_rs": pd.DataFrame([vars(item) for item in items]),
    }
    return {name: frame for name, frame in frames.items() if len(frame)}
