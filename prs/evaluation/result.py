"""`Evaluation`, the result: its tables, its summary, and its files."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from prs.files import write_atomically

if TYPE_CHECKING:
    from prs.figures.style import Figure

__all__ = ["Evaluation", "write_tables"]

_FILES = {
    "accuracy": "accuracy",
    "calibration": "calibration",
    "deciles": "deciles",
    "contrasts": "contrasts",
    "calibration_curve": "curve",
    "calibration_bins": "bins",
    "portability": "portability",
    "comparisons": "comparisons",
    "reclassification": "reclassification",
    "net_benefit": "net_benefit",
    "distribution": "distribution",
    "people": "people",
}


@dataclass(frozen=True, eq=False)
class Evaluation:
    """How well scores do, in whom, and how sure that is.

    Every attribute that is a DataFrame is described, column by column, in
    `prs.evaluation.tables`.

    Attributes
    ----------
    accuracy : DataFrame
        Discrimination and variance explained, a row for each score and group.
    calibration : DataFrame
        Predicted against observed, before ("uncorrected") and after ("recalibrated").
    calibration_curve : DataFrame
        The smooth calibration curve with its confidence band.
    calibration_bins : DataFrame
        Mean prediction and outcome in equal-count bins of predicted risk.
    deciles : DataFrame
        Risk (or mean outcome) by decile of the score.
    contrasts : DataFrame
        The top decile against the bottom, the middle and the rest; trend.
    portability : DataFrame
        Accuracy in each group over that in the reference group.
    comparisons : DataFrame
        Each score against the baseline score, on the same people.
    reclassification : DataFrame
        Who moves between risk categories, events and non-events apart (if thresholds were given).
    net_benefit : DataFrame
        Decision curves of each model.
    distribution : DataFrame
        Quantiles of the scores.
    histogram : DataFrame
        Their histograms.
    people : DataFrame
        What became of everybody in the cohort.
    groups : tuple of str
        The groups, largest first, without "all".
    reference_group : str
        The group that portability is relative to.
    outcome : str
        Name of the outcome.
    outcome_kind : {"binary", "quantitative", "survival"}
        What it is.
    scores : tuple of str
        The score columns that were judged.
    settings : mapping
        Every argument, and what was taken where it was left open.
    notes : tuple of str
        What a reader must know before citing a figure.
    """

    accuracy: pd.DataFrame
    calibration: pd.DataFrame
    calibration_curve: pd.DataFrame
    calibration_bins: pd.DataFrame
    deciles: pd.DataFrame
    contrasts: pd.DataFrame
    portability: pd.DataFrame
    comparisons: pd.DataFrame
    reclassification: pd.DataFrame
    net_benefit: pd.DataFrame
    distribution: pd.DataFrame
    histogram: pd.DataFrame
    people: pd.DataFrame
    groups: tuple[str, ...]
    reference_group: str
    outcome: str
    outcome_kind: str
    scores: tuple[str, ...]
    settings: Mapping[str, Any]
    notes: tuple[str, ...]

    def to_frames(self) -> dict[str, pd.DataFrame]:
        """Return every table by its name."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: v for name, v in values.items() if isinstance(v, pd.DataFrame)}

    def summary(self) -> pd.DataFrame:
        """Return the figures one looks at first, as text: a row for each score and group."""
        shown = {
            "binary": {"auc": "AUC", "r2_liability": "liability R2", "odds_ratio": "OR per SD"},
            "quantitative": {"r2_incremental": "incremental R2", "r2_predictive": "predictive R2"},
            "survival": {"c": "C", "c_gain": "C gained", "hazard_ratio": "HR per SD"},
        }[self.outcome_kind]
        rows = []
        for row in self.accuracy.to_dict("records"):
            line = {"score": row["score"], "group": row["group"], "n": f"{row['n']:,}"}
            if self.outcome_kind != "quantitative":
                line["cases"] = f"{row['n_events']:,}"
            for column, title in shown.items():
                line[title] = _with_interval(row, column)
            line["top vs bottom decile"] = self._top_vs_bottom(row["score"], row["group"])
            line["status"] = row["status"]
            rows.append(line)
        return pd.DataFrame(rows)

    def _top_vs_bottom(self, score: str, group: str) -> str:
        table = self.contrasts
        hit = table[
            (table["score"] == score)
            & (table["group"] == group)
            & (table["contrast"] == "top vs bottom")
        ]
        column = "difference" if self.outcome_kind == "quantitative" else "risk_ratio"
        return _with_interval(hit.iloc[0].to_dict(), column) if len(hit) else ""

    def _title(self) -> str:
        return (
            f"Evaluation of {len(self.scores)} score(s) for {self.outcome} ({self.outcome_kind}) "
            f"in {len(self.groups)} group(s); {self.settings['confidence']:.0%} intervals"
        )

    def __str__(self) -> str:
        parts = [self._title(), self.summary().to_string(index=False)]
        parts += [f"Note: {note}" for note in self.notes]
        return "\n".join(parts)

    def __repr__(self) -> str:
        return f"<{self._title()}>"

    def plot_accuracy(self, **options: Any) -> Figure:
        """Draw accuracy by ancestry and score (`prs.figures.forest.plot_accuracy`)."""
        from prs.figures.forest import plot_accuracy

        return plot_accuracy(self, **options)

    def plot_calibration(self, **options: Any) -> Figure:
        """Draw calibration curves by ancestry (`prs.figures.curves.plot_calibration`)."""
        from prs.figures.curves import plot_calibration

        return plot_calibration(self, **options)

    def plot_deciles(self, **options: Any) -> Figure:
        """Draw risk by decile and ancestry (`prs.figures.curves.plot_deciles`)."""
        from prs.figures.curves import plot_deciles

        return plot_deciles(self, **options)

    def plot_portability(self, **options: Any) -> Figure:
        """Draw accuracy over the reference's (`prs.figures.forest.plot_portability`)."""
        from prs.figures.forest import plot_portability

        return plot_portability(self, **options)

    def plot_net_benefit(self, **options: Any) -> Figure:
        """Draw decision curves by ancestry (`prs.figures.decisions.plot_net_benefit`)."""
        from prs.figures.decisions import plot_net_benefit

        return plot_net_benefit(self, **options)

    def _repr_html_(self) -> str:
        """Return the summary, the notes and four figures, as a notebook shows them."""
        pictures = "".join(
            f'<img src="data:image/png;base64,{_png(draw())}" alt="{alt}" style="max-width:100%">'
            for draw, alt in (
                (self.plot_accuracy, "Accuracy by ancestry"),
                (self.plot_calibration, "Calibration by ancestry"),
                (self.plot_deciles, "Risk by decile and ancestry"),
                (self.plot_portability, "Accuracy relative to the reference ancestry"),
            )
        )
        return self._html_text() + pictures

    def _html_text(self) -> str:
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in self.notes)
        table = self.summary().to_html(index=False, escape=True, border=0)
        return f"<p>{html.escape(self._title())}</p>{table}" + (
            f"<ul>{notes}</ul>" if notes else ""
        )


def _png(figure: Figure) -> str:
    from prs.figures.style import png_bytes

    return base64.b64encode(png_bytes(figure)).decode("ascii")


def _with_interval(row: Mapping[Any, Any], column: str) -> str:
    value, lower, upper = (row[column + suffix] for suffix in ("", "_lower", "_upper"))
    if not np.isfinite(value):
        return "-"
    return f"{value:.3f} ({lower:.3f} to {upper:.3f})"


def write_tables(evaluation: Evaluation, prefix: str | Path) -> list[Path]:
    """Write the tables as tab-separated text, each one whole or not at all.

    Parameters
    ----------
    evaluation : Evaluation
        What to write.
    prefix : str or Path
        `X` gives X.accuracy.tsv, X.calibration.tsv, X.deciles.tsv, X.contrasts.tsv,
        X.curve.tsv, X.bins.tsv, X.portability.tsv, X.comparisons.tsv, X.reclassification.tsv,
        X.net_benefit.tsv, X.distribution.tsv and X.people.tsv. Figures have 6 significant
        digits; missing ones are NA.

    Returns
    -------
    list of Path
        The files, in that order.
    """
    written = []
    frames = evaluation.to_frames()
    for name, suffix in _FILES.items():
        path = Path(f"{prefix}.{suffix}.tsv")
        with write_atomically(path) as temporary:
            frames[name].to_csv(temporary, sep="\t", index=False, na_rep="NA", float_format="%.6g")
        written.append(path)
    return written
