"""Figures of how sure people's scores are: intervals of percentiles, by ancestry."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from prs.figures.panels import make_panels, set_titles
from prs.figures.style import (
    MUTED,
    ancestry_colors,
    figure_with_message,
    in_house_style,
    new_figure,
    write_in_axes,
)

__all__ = ["plot_distance", "plot_uncertainty"]

#: People drawn in a panel.
_N_SHOWN = 120


@in_house_style
def plot_uncertainty(people: pd.DataFrame, *, top: float = 0.1) -> Figure:
    """Draw the credible interval of the percentile of people, by ancestry.

    Parameters
    ----------
    people : DataFrame
        From ``PeopleUncertainty.to_frame()``.
    top : float
        Share that counts as the top; its limit is dashed.

    Returns
    -------
    Figure
        A panel an ancestry: up to 120 people, evenly spread over the percentiles, each with a
        line from the lower to the upper end; dark where the interval lies wholly in the top.
    """
    groups = [str(g) for g in people["group"].value_counts(sort=True).index]
    if not people["percentile"].notna().any():
        return figure_with_message("Not enough data in any ancestry for a person's percentile.")
    colors = ancestry_colors(groups)
    figure, axes = make_panels(len(groups), 2.6)
    for ax, group in zip(axes, groups, strict=True):
        rows = people[(people["group"] == group) & people["percentile"].notna()]
        set_titles(ax, group, f"{(people['group'] == group).sum():,} people", colors[group])
        ax.axhline(100 * (1 - top), color=MUTED, lw=0.9, ls=(0, (4, 3)))
        ax.set_xlim(-2, 102)
        ax.set_ylim(-2, 102)
        ax.set_xticks([0, 50, 100])
        ax.set_yticks([0, 50, 90, 100] if top == 0.1 else [0, 50, 100])
        if rows.empty:
            write_in_axes(ax, "not enough data")
            continue
        rows = rows.sort_values("percentile")
        shown = rows.iloc[
            np.unique(np.linspace(0, len(rows) - 1, min(_N_SHOWN, len(rows))).astype(int))
        ]
        x, low, high = (
            100 * shown[c].to_numpy(dtype=float)
            for c in ("percentile", "percentile_lower", "percentile_upper")
        )
        sure = shown["certainly_top"].to_numpy(dtype=bool)
        ax.vlines(x[~sure], low[~sure], high[~sure], color=colors[group], lw=0.9, alpha=0.45)
        ax.vlines(x[sure], low[sure], high[sure], color="#222222", lw=1.4)
        ax.plot(x, x, ".", color=colors[group], ms=2.5)
    figure.supxlabel("percentile of the score within the ancestry", fontsize=9.5)
    figure.supylabel("credible interval", fontsize=9.5)
    return figure


@in_house_style
def plot_distance(table: pd.DataFrame) -> Figure:
    """Draw accuracy and calibration slope along genetic distance, with intervals.

    Parameters
    ----------
    table : DataFrame
        From `prs.evaluation.distance.accuracy_by_distance`.

    Returns
    -------
    Figure
        Two panels (one where no predictions were given): accuracy; calibration slope.
    """
    rows = table[(table["bin"] != "trend") & table["value"].notna()]
    if rows.empty:
        return figure_with_message("Insufficient data for accuracy along genetic distance.")
    measure = {"auc": "AUC", "r2": "R²"}[str(rows["measure"].iloc[0])]
    panels = [("value", measure, 0.5 if measure == "AUC" else 0.0)]
    if rows["slope"].notna().any():
        panels.append(("slope", "calibration slope", 1.0))
    figure = new_figure(4.2 * len(panels), 2.8)
    axes = np.ravel(figure.subplots(1, len(panels), squeeze=False))
    for ax, (column, title, null) in zip(axes, panels, strict=True):
        x, y, low, high = (
            rows[c].to_numpy(dtype=float)
            for c in ("distance", column, f"{column}_lower", f"{column}_upper")
        )
        ax.axhline(null, color=MUTED, lw=0.9, ls=(0, (4, 3)))
        ax.vlines(x, low, high, color="#0072b2", lw=1.6)
        ax.plot(x, y, "o-", color="#0072b2", ms=5, lw=0.8, mec="white", mew=0.6)
        ax.set_title(title)
        if column != "value":
            ax.set_ylim(min(0.0, float(np.nanmin(low))), max(1.5, float(np.nanmax(high))))
    figure.supxlabel("genetic distance (mean of the fifth)", fontsize=9.5)
    return figure
