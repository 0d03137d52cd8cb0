"""Figures of absolute risk: by age, at percentiles of the score, a panel an ancestry."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from prs.figures.panels import make_panels, set_titles
from prs.figures.style import (
    MUTED,
    ancestry_colors,
    figure_with_message,
    in_house_style,
    write_in_axes,
)

__all__ = ["plot_age_risks"]

#: Percentile of the score -> line width and style.
_SHOWN = {95: ("-", 1.8), 50: ("-", 1.1), 5: ("-", 0.9)}


@in_house_style
def plot_age_risks(table: pd.DataFrame) -> Figure:
    """Draw the risk by age at the 5th, 50th and 95th percentile of the score, with bands.

    Parameters
    ----------
    table : DataFrame
        From `prs.evaluation.absolute_risk.age_risk_rows`, with a column group.

    Returns
    -------
    Figure
        A panel an ancestry; dashed: the average person of the ancestry.
    """
    groups = [str(g) for g in dict.fromkeys(table["group"]) if g != "all"] or ["all"]
    if not table["risk"].notna().any():
        return figure_with_message("No ancestry has both rates by age and an effect of the score.")
    colors = ancestry_colors(groups)
    figure, axes = make_panels(len(groups), 2.6)
    for ax, group in zip(axes, groups, strict=True):
        rows = table[(table["group"] == group) & table["risk"].notna()]
        set_titles(ax, group, "", colors[group])
        if rows.empty:
            write_in_axes(ax, "insufficient data")
            continue
        start = float(rows["age_from"].iloc[0])
        for percentile, (style, width) in _SHOWN.items():
            part = rows[rows["percentile"] == percentile].sort_values("age_to")
            age, risk, low, high = (
                np.concatenate([[first], part[c].to_numpy(dtype=float)])
                for c, first in (
                    ("age_to", start),
                    ("risk", 0.0),
                    ("risk_lower", 0.0),
                    ("risk_upper", 0.0),
                )
            )
            ax.fill_between(age, low, high, color=colors[group], alpha=0.16, lw=0)
            ax.plot(age, risk, style, color=colors[group], lw=width)
            ax.annotate(
                f"{percentile}",
                (age[-1], risk[-1]),
                xytext=(3, 0),
                textcoords="offset points",
                va="center",
                fontsize=7.5,
                color=MUTED,
                annotation_clip=False,
            )
        average = rows[rows["percentile"] == 50].sort_values("age_to")
        ax.plot(
            [start, *average["age_to"]],
            [0.0, *average["average"]],
            color=MUTED,
            lw=1.0,
            ls=(0, (4, 3)),
        )
        ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        ax.set_ylim(bottom=0)
    figure.supxlabel("age", fontsize=9.5)
    figure.supylabel("risk by then", fontsize=9.5)
    return figure
