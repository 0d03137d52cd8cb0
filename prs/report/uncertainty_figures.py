"""Figures of how sure people's scores are: intervals of percentiles, by ancestry."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from prs.report.panels import make_panels, set_titles
from prs.report.style import (
    MUTED,
    ancestry_colors,
    figure_with_message,
    in_house_style,
    write_in_axes,
)

__all__ = ["plot_uncertainty"]

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
