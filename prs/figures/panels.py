"""Panels side by side, one an ancestry: axes, titles, counts; shared by the figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from prs.figures.style import MUTED, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["count_label", "make_panels", "set_titles"]

_WIDTH = 10.6  # inches: the width of the page's text
_COLUMNS = 5


def make_panels(n: int, height: float) -> tuple[Figure, list[Axes]]:
    """Return a figure with n axes side by side, on two rows or more beyond five, and the axes."""
    n = max(n, 1)
    rows = -(-n // _COLUMNS)
    columns = -(-n // rows)
    figure = new_figure(min(_WIDTH, 2.9 * columns + 0.9), height * rows)
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    axes = list(np.ravel(grid))
    for ax in axes[n:]:
        ax.set_axis_off()
    for ax in axes[max(n - columns, 0) : n]:
        ax.tick_params(labelbottom=True)
    for i, ax in enumerate(axes):
        ax.tick_params(left=i % columns == 0)
    return figure, axes[:n]


def count_label(rows: pd.DataFrame) -> str:
    """Return ``n 1,200`` and, below it, ``240 cases`` for a panel's title."""
    if rows.empty:
        return ""
    n, events = rows["n"].iloc[0], rows["n_events"].iloc[0]
    text = "" if pd.isna(n) else f"n {int(n):,}"
    return text if pd.isna(events) else f"{text}\n{int(events):,} cases"


def set_titles(ax: Axes, group: str, counts: str, color: str) -> None:
    """Write the group on the left of a panel and its counts, small, on the right."""
    ax.set_title(group, loc="left", color=color)
    ax.set_title(counts, loc="right", fontsize=7.5, fontweight="normal", color=MUTED)
