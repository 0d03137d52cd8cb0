"""The quantile plot of a score, as PRSice draws it (its bars are `plot_ct_grid`)."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from prs.figures.style import (
    MUTED,
    figure_with_message,
    in_house_style,
    new_figure,
)

__all__ = ["plot_quantiles"]

_DARK = "#0072B2"


@in_house_style
def plot_quantiles(
    effects: pd.DataFrame, *, kind: str, outcome: str = "outcome", who: str = ""
) -> Figure:
    """Draw each quantile of a score against the middle one, with 95 % intervals.

    Parameters
    ----------
    effects : DataFrame
        From `prs.weights.threshold_fit.quantile_effects`.
    kind : {"binary", "survival", "quantitative"}
        Of the outcome: odds ratios or hazard ratios (drawn on a log scale), or differences.
    outcome : str
        Name of the outcome.
    who : str
        Who is shown, for the title.

    Returns
    -------
    Figure
    """
    ratio = {"binary": "odds ratio of", "survival": "hazard ratio of"}.get(kind)
    known = effects[effects["effect"].notna()]
    if len(known) < 2:
        return figure_with_message("Insufficient data to compare quantiles of the score.")
    figure = new_figure(5.6, 3.4)
    ax = figure.add_subplot()
    ax.axhline(0.0 if ratio is None else 1.0, color=MUTED, lw=0.9, ls=(0, (4, 3)))
    x, y, low, high = (
        known[c].to_numpy(dtype=float) for c in ("quantile", "effect", "lower", "upper")
    )
    ax.vlines(x, low, high, color=_DARK, lw=1.6)
    is_reference = known["is_reference"].to_numpy(dtype=bool)
    ax.plot(x[~is_reference], y[~is_reference], "o", color=_DARK, ms=5.5, mec="white", mew=0.6)
    ax.plot(x[is_reference], y[is_reference], "o", color="white", ms=5, mec=_DARK, mew=1.2)
    if ratio is not None:
        ax.set_yscale("log")
        reach = max(np.log(high).max(), -np.log(low).min())
        subs = (1.0,) if reach > np.log(30) else (1.0, 2.0, 5.0)
        ax.yaxis.set_major_locator(LogLocator(subs=subs))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
        ax.yaxis.set_minor_formatter(NullFormatter())
    every = effects["quantile"].to_numpy(dtype=int)
    ax.set_xticks(every)
    ax.grid(visible=False, axis="x")
    ax.set_xlabel("quantile of the score (1 = lowest; open: reference)")
    ax.set_ylabel(f"{ratio or 'difference in'} {outcome}")
    if who:
        ax.set_title(who, loc="left", fontsize=9)
    return figure
