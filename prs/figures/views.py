"""Small views of an evaluation's tables: which measure, which groups, one figure at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd

from prs.errors import SettingsError
from prs.figures.style import is_everybody

__all__ = [
    "MEASURE_NAMES",
    "Estimate",
    "EvaluationLike",
    "estimate",
    "format_number",
    "groups_in_order",
    "pick_score",
    "portability_measure",
    "predicts_risk",
    "primary_measure",
    "rows_of",
    "short_status",
]

#: Words for the measures, as axes and tables have them.
MEASURE_NAMES = {
    "auc": "AUC of the score",
    "auc_full": "AUC of score and covariates",
    "auc_gain": "gain in AUC over covariates",
    "r2_nagelkerke": "incremental R² (Nagelkerke)",
    "r2_liability": "incremental R² (liability scale)",
    "r2_observed": "incremental R² (observed scale)",
    "odds_ratio": "odds ratio per SD of score",
    "r2": "R² of the score",
    "r2_incremental": "incremental R²",
    "r2_predictive": "R² predicted from other people",
    "slope": "outcome units per SD of score",
    "correlation": "correlation with the outcome",
    "c": "C (concordance) of the score",
    "c_full": "C of score and covariates",
    "c_gain": "gain in C over covariates",
    "r2_explained": "explained variation (R² of log time)",
    "hazard_ratio": "hazard ratio per SD of score",
}


class EvaluationLike(Protocol):
    """What figures and the page need of an evaluation (`prs.evaluation.result.Evaluation`)."""

    @property
    def accuracy(self) -> pd.DataFrame: ...  # noqa: D102
    @property
    def calibration(self) -> pd.DataFrame: ...  # noqa: D102
    @property
    def calibration_curve(self) -> pd.DataFrame: ...  # noqa: D102
    @property
    def calibration_bins(self) -> pd.DataFrame: ...  # noqa: D102
    @property
    def deciles(self) -> pd.DataFrame: ...  # noqa: D102
    @property
    def portability(self) -> pd.DataFrame: ...  # noqa: D102
    @property
    def net_benefit(self) -> pd.DataFrame: ...  # noqa: D102
    @property
    def groups(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def reference_group(self) -> str: ...  # noqa: D102
    @property
    def outcome_kind(self) -> str: ...  # noqa: D102
    @property
    def scores(self) -> Sequence[str]: ...  # noqa: D102


@dataclass(frozen=True)
class Estimate:
    """One figure with its interval.

    Attributes
    ----------
    value, lower, upper : float
        NaN where unknown.
    status : str
        ``ok``, or why there is no figure.
    """

    value: float
    lower: float
    upper: float
    status: str = "ok"

    @property
    def is_known(self) -> bool:
        """Whether there is a figure to show."""
        return self.status == "ok" and bool(np.isfinite(self.value))

    @property
    def has_interval(self) -> bool:
        """Whether both bounds are finite."""
        return bool(np.isfinite(self.lower) and np.isfinite(self.upper))

    def text(self, digits: int = 2) -> str:
        """Return ``0.71 (0.68 to 0.74)``, or the reason why there is none."""
        if not self.is_known:
            return short_status(self.status) if self.status != "ok" else "–"
        text = format_number(self.value, digits, fixed=True)
        if self.has_interval:
            low, high = (format_number(v, digits, fixed=True) for v in (self.lower, self.upper))
            text += f" ({low} to {high})"
        return text


def format_number(value: object, digits: int = 2, *, fixed: bool = False) -> str:
    """Return a number as a reader wants it: thousands marked, a true minus.

    Values that `digits` places cannot show are written as powers of ten, unless `fixed`.
    """
    if value is None or value is pd.NA:
        return "–"
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return f"{value:,}".replace("-", "−")
    number = float(value)  # type: ignore[arg-type]
    if not np.isfinite(number):
        return "–" if np.isnan(number) else ("∞" if number > 0 else "−∞")
    if fixed or number == 0 or 10**-digits / 2 <= abs(number) < 1e6:
        text = f"{number:,.{digits}f}"
        if float(text.replace(",", "")) == 0:
            text = text.lstrip("-")
    else:
        text = f"{number:.{max(digits - 1, 1)}e}"
    return text.replace("-", "−")


def short_status(status: str) -> str:
    """Return the part of a status before the colon ("insufficient data"), or the empty cell.

    A cell without events is a finding, not a lack of data: it is said as what it is.
    """
    _, zero_cell, what = status.partition("zero cell, ")
    if zero_cell:
        return what
    return status.split(":", 1)[0].strip() or "not computed"


def rows_of(frame: pd.DataFrame, **where: str) -> pd.DataFrame:
    """Return the rows of a table where each named column has the given value."""
    keep = np.ones(len(frame), dtype=bool)
    for column, value in where.items():
        keep &= (frame[column] == value).to_numpy(dtype=bool)
    return frame[keep]


def estimate(frame: pd.DataFrame, column: str, /, **where: str) -> Estimate:
    """Return a column, with its interval, of the one row that is meant."""
    rows = rows_of(frame, **where)
    if rows.empty or column not in rows:
        return Estimate(np.nan, np.nan, np.nan, "not computed")
    row: dict[Any, Any] = rows.iloc[0].to_dict()

    def number(name: str) -> float:
        value = row.get(name)
        return np.nan if value is None or value is pd.NA else float(value)

    return Estimate(
        number(column), number(f"{column}_lower"), number(f"{column}_upper"),
        str(row.get("status", "ok")),
    )  # fmt: skip


def groups_in_order(evaluation: EvaluationLike, *, with_everybody: bool = True) -> list[str]:
    """Return the groups, largest first, and then everybody together."""
    groups = [g for g in evaluation.groups if not is_everybody(g)]
    if with_everybody:
        groups += [g for g in dict.fromkeys(evaluation.accuracy["group"]) if is_everybody(g)]
    return groups


def pick_score(evaluation: EvaluationLike, score: str | None) -> str:
    """Return `score` if it was evaluated, or the last one if None.

    Raises
    ------
    SettingsError
        If there is no such score.
    """
    names: Sequence[str] = tuple(evaluation.scores)
    if score is None and names:
        return names[-1]
    if score not in names:
        raise SettingsError(
            f"score {score!r} was not evaluated", remedy=f"there are: {', '.join(names) or 'none'}"
        )
    return str(score)


def predicts_risk(evaluation: EvaluationLike) -> bool:
    """Say whether the outcome is an event, at once or in time: models then predict risks."""
    return evaluation.outcome_kind != "quantitative"


def primary_measure(evaluation: EvaluationLike) -> str:
    """Return the accuracy that is shown first: ``auc``, ``c`` or ``r2_incremental``."""
    return {"binary": "auc", "survival": "c"}.get(evaluation.outcome_kind, "r2_incremental")


def portability_measure(evaluation: EvaluationLike) -> str:
    """Return the measure by which ancestries are compared.

    R2 on the liability scale where the prevalence of two groups or more is known, Nagelkerke's
    otherwise: a ratio of AUCs hides the loss, because an AUC starts at 0.5.
    """
    if evaluation.outcome_kind != "binary":
        return "r2_explained" if evaluation.outcome_kind == "survival" else "r2_incremental"
    liability = rows_of(evaluation.portability, measure="r2_liability")
    return "r2_liability" if liability["ratio"].notna().any() else "r2_nagelkerke"
