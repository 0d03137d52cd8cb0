"""The tables of an evaluation: their columns, in order, for a binary and a quantitative outcome.

These tuples are the contract with whoever reads the tables (the report, the TSV files).

Common to every row: `score` (column of the scores), `group` (ancestry label, or "all" for
everybody pooled), `n` (people the row is about), `n_events` (cases among them; missing for a
quantitative outcome) and `status` ("ok", or "insufficient data: " and why; figures are then
NaN, counts never). `X_lower` and `X_upper` bound X at the confidence level of the settings.

accuracy (one row a score and group)
    `prevalence` is the population's, as given (NaN where not). `auc` is of the score alone;
    `auc_covariates` and `auc_full` are of risk models fitted on other people (tuning people,
    or cross-fitted); `auc_gain` = full - covariates. Every R2 of a binary outcome is
    incremental: (score + covariates) - (covariates); `r2_observed` is on the 0/1 scale,
    `r2_liability` after Lee et al. 2012. `odds_ratio` is per SD of the score, adjusted for
    covariates; `sd_of` says whose SD, `sd` its value. Quantitative: `r2` of the score alone,
    `r2_incremental` = `r2_full` - `r2_covariates` (models fitted in these people);
    `r2_predictive` is of a model fitted on other people and may be negative, and
    `r2_predictive_gain` what the score adds to it; `slope` is outcome units per SD of score.
    Survival: `hazard_ratio` per SD, adjusted; Harrell's `c` of the score alone, and of models
    fitted on other people, `c_gain` = `c_full` - `c_covariates`; `r2_explained`: see
    `prs.evaluation.survival.survival_accuracy`; `follow_up`: the median time.
calibration (one row a score, group and model)
    `model` is "uncorrected" (one model for everybody) or "recalibrated" (per group);
    `recalibration` says what was done: "none", "intercept", "intercept + slope", "isotonic", or
    "by group". `ici` has a bootstrap interval;
    where calibration is perfect it may stop short of 0 (see the curve's band).
    `observed` and `predicted` are mean risks (or mean outcomes); `oe` their ratio; `intercept`
    calibration in the large; `fitted_on` which people the model comes from; `n_fit` and
    `n_fit_events` how many of them are of this group.
    Survival: a row for each `horizon`, a time; `observed` is 1 - Kaplan-Meier by then, `slope`
    that of a Cox model; curve and bins are those of the first horizon.
calibration_curve (one row a point of the smooth curve), calibration_bins (one a bin)
    `predicted` against `observed`, with its interval; `bin` counts from 1 (lowest risk).
deciles (one row a score, group and decile; `n` and `n_events` are the decile's)
    `decile` counts from 1 (lowest score) to `n_bins`; `score_from` < score <= `score_to`.
    `risk` with a Wilson interval; ratios against the middle (40 to 60 per cent) and against
    the bottom decile. Where a decile is part of its own reference the ratio has no interval.
    Quantitative: `mean`, and differences in SD of the outcome. Survival: `risk` by the first
    horizon (1 - Kaplan-Meier); `n_events` by then.
contrasts (one row a score, group and contrast)
    `contrast` is "top vs bottom", "top vs middle", "top vs rest" or "trend"; `z`, `p` of the
    log risk ratio (difference, if quantitative), or of the Cochran-Armitage (linear) trend.
portability (one row a score, group and measure)
    `value` over `value_reference` = `ratio`; `measure` is "auc", "r2_nagelkerke" or
    "r2_liability"; for a quantitative outcome "r2" or "r2_incremental".
comparisons (one row a score other than the baseline, group and measure)
    `difference` = `value` (this score) - `value_versus` (the baseline) on the same people.
reclassification (one row a score, group, model that it is compared with, and part)
    binary, with risk thresholds only: who moves between risk categories against the model
    `versus` ("covariates only", or with the baseline score); `part` is "events" (of `n_part`,
    `n_up` move up), "non-events" or "sum"; see `prs.evaluation.decisions.reclassification`.
net_benefit (one row a model, group and threshold)
    binary: decision curves; `score` names the model: with that score, "covariates only" or
    "everybody" (acted on); `difference` is from "covariates only".
distribution (one row a score, group and part), histogram (one row a bin)
    `part` is "all", "cases" or "controls"; `z_mean` is the mean in SDs from the mean of the
    reference group; histogram bins are the same in every group.
people (one row a group)
    what became of everybody in the cohort; `n` and `n_events` are judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["COLUMNS", "make_frame"]


def _with_interval(*names: str) -> tuple[str, ...]:
    return tuple(n + suffix for n in names for suffix in ("", "_lower", "_upper"))


_HEAD = ("score", "group", "n", "n_events")
_CALIBRATION_TAIL = ("recalibration", "fitted_on", "n_fit", "n_fit_events", "status")

_BINARY: dict[str, tuple[str, ...]] = {
    "accuracy": (
        *_HEAD,
        "sample_prevalence",
        "prevalence",
        *_with_interval("auc", "auc_covariates", "auc_full", "auc_gain"),
        "auc_gain_p",
        *_with_interval("r2_nagelkerke", "r2_mcfadden", "r2_observed", "r2_liability"),
        *_with_interval("odds_ratio"),
        "odds_ratio_p",
        "sd",
        "sd_of",
        "status",
    ),
    "calibration": (
        *_HEAD,
        "model",
        "observed",
        "predicted",
        *_with_interval("oe", "intercept", "slope", "brier"),
        "brier_scaled",
        "ece",
        "ece_bins",
        *_with_interval("ici"),
        "e50",
        "e90",
        "emax",
        "hosmer_lemeshow",
        "hosmer_lemeshow_df",
        "hosmer_lemeshow_p",
        *_CALIBRATION_TAIL,
    ),
    "deciles": (
        *_HEAD,
        "decile",
        "score_from",
        "score_to",
        *_with_interval("risk"),
        *_with_interval("risk_ratio_vs_middle", "odds_ratio_vs_middle"),
        *_with_interval("risk_ratio_vs_bottom", "odds_ratio_vs_bottom"),
        "cutpoints",
        "case_control",
        "status",
    ),
    "contrasts": (
        *_HEAD,
        "contrast",
        "n_top",
        "n_events_top",
        "n_reference",
        "n_events_reference",
        "risk_top",
        "risk_reference",
        *_with_interval("risk_ratio", "odds_ratio", "risk_difference"),
        "z",
        "p",
        "cutpoints",
        "case_control",
        "status",
    ),
}

_QUANTITATIVE: dict[str, tuple[str, ...]] = {
    "accuracy": (
        *_HEAD,
        *_with_interval("r2"),
        "r2_covariates",
        "r2_full",
        *_with_interval("r2_incremental", "r2_predictive", "r2_predictive_gain"),
        *_with_interval("correlation", "slope"),
        "slope_p",
        "outcome_sd",
        "sd",
        "sd_of",
        "status",
    ),
    "calibration": (
        *_HEAD,
        "model",
        "observed",
        "predicted",
        *_with_interval("intercept", "slope"),
        "rmse",
        *_with_interval("ici"),
        "e50",
        "e90",
        "emax",
        *_CALIBRATION_TAIL,
    ),
    "deciles": (
        *_HEAD,
        "decile",
        "score_from",
        "score_to",
        *_with_interval("mean", "difference_vs_middle", "difference_vs_bottom"),
        "cutpoints",
        "status",
    ),
    "contrasts": (
        *_HEAD,
        "contrast",
        "n_top",
        "n_reference",
        "mean_top",
        "mean_reference",
        *_with_interval("difference"),
        "z",
        "p",
        "cutpoints",
        "status",
    ),
}

_SURVIVAL: dict[str, tuple[str, ...]] = {
    "accuracy": (
        *_HEAD,
        "follow_up",
        *_with_interval("c", "c_covariates", "c_full", "c_gain"),
        "c_gain_p",
        *_with_interval("r2_explained", "hazard_ratio"),
        "hazard_ratio_p",
        "sd",
        "sd_of",
        "status",
    ),
    "calibration": (
        *_HEAD,
        "model",
        "horizon",
        "observed",
        "predicted",
        *_with_interval("oe", "slope", "brier"),
        "brier_scaled",
        *_with_interval("ici"),
        "e50",
        "e90",
        "emax",
        *_CALIBRATION_TAIL,
    ),
    "deciles": (
        *_HEAD,
        "horizon",
        "decile",
        "score_from",
        "score_to",
        *_with_interval("risk", "risk_ratio_vs_middle", "risk_ratio_vs_bottom"),
        "cutpoints",
        "status",
    ),
    "contrasts": (
        *_HEAD,
        "horizon",
        "contrast",
        "n_top",
        "n_events_top",
        "n_reference",
        "n_events_reference",
        "risk_top",
        "risk_reference",
        *_with_interval("risk_ratio", "risk_difference", "hazard_ratio"),
        "z",
        "p",
        "cutpoints",
        "status",
    ),
}

_COMMON: dict[str, tuple[str, ...]] = {
    "calibration_curve": (*_HEAD, "model", "predicted", "observed", "lower", "upper", "status"),
    "calibration_bins": (
        *_HEAD,
        "model",
        "bin",
        "predicted",
        "observed",
        "lower",
        "upper",
        "status",
    ),
    "portability": (
        *_HEAD,
        "reference_group",
        "measure",
        "value",
        "value_reference",
        *_with_interval("ratio"),
        "status",
    ),
    "comparisons": (
        *_HEAD,
        "versus",
        "measure",
        "value",
        "value_versus",
        *_with_interval("difference"),
        "status",
    ),
    "reclassification": (
        *_HEAD,
        "versus",
        "thresholds",
        "part",
        "n_part",
        "n_up",
        "n_down",
        *_with_interval("nri"),
        "status",
    ),
    "net_benefit": (
        *_HEAD,
        "threshold",
        *_with_interval("net_benefit", "difference"),
        "status",
    ),
    "distribution": (
        *_HEAD,
        "part",
        "mean",
        "sd",
        "z_mean",
        "min",
        "q01",
        "q05",
        "q10",
        "q25",
        "q50",
        "q75",
        "q90",
        "q95",
        "q99",
        "max",
        "status",
    ),
    "histogram": (*_HEAD, "part", "bin_from", "bin_to", "count", "density", "status"),
    "people": (
        "group",
        "n_cohort",
        "n_without_outcome",
        "n_without_covariates",
        "n_without_score",
        "n_without_split",
        "n_tuning",
        "n_tuning_events",
        "n",
        "n_events",
        "status",
    ),
}

COLUMNS: dict[str, dict[str, tuple[str, ...]]] = {
    "binary": {**_BINARY, **_COMMON},
    "quantitative": {**_QUANTITATIVE, **_COMMON},
    "survival": {**_SURVIVAL, **_COMMON},
}
"""Columns of each table, by kind of outcome and name of the table."""

_TEXT = frozenset(
    [
        "score",
        "group",
        "model",
        "status",
        "sd_of",
        "recalibration",
        "fitted_on",
        "ece_bins",
        "contrast",
        "cutpoints",
        "measure",
        "reference_group",
        "versus",
        "part",
        "thresholds",
    ]
)
_COUNTS = frozenset(
    [
        "n",
        "n_events",
        "decile",
        "bin",
        "count",
        "n_top",
        "n_reference",
        "n_part",
        "n_up",
        "n_down",
        "n_events_top",
        "n_events_reference",
        "n_fit",
        "n_fit_events",
        "hosmer_lemeshow_df",
        "n_cohort",
        "n_without_outcome",
        "n_without_covariates",
        "n_without_score",
        "n_without_split",
        "n_tuning",
        "n_tuning_events",
    ]
)


def make_frame(kind: str, table: str, rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Make one of the tables from its rows; what a row does not give is missing.

    Parameters
    ----------
    kind : {"binary", "quantitative", "survival"}
        Of the outcome.
    table : str
        Its name in `COLUMNS`.
    rows : iterable of mapping
        Values by column.

    Returns
    -------
    DataFrame
        Counts are Int64 (missing allowed), figures float64, words str.
    """
    rows = list(rows)
    data: dict[str, Any] = {}
    for column in COLUMNS[kind][table]:
        values = [row.get(column) for row in rows]
        if column in _TEXT:
            data[column] = pd.array(["" if v is None else str(v) for v in values], dtype="str")
        elif column == "case_control":
            data[column] = np.array([bool(v) for v in values], dtype=bool)
        elif column in _COUNTS:
            data[column] = pd.array([pd.NA if v is None else int(v) for v in values], dtype="Int64")
        else:
            data[column] = np.array([np.nan if v is None else float(v) for v in values])
    return pd.DataFrame(data)
