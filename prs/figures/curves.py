"""Calibration curves and risks by decile, a panel an ancestry."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from prs.figures.panels import count_label, make_panels, set_titles
from prs.figures.style import (
    MUTED,
    ancestry_colors,
    figure_with_message,
    in_house_style,
    write_in_axes,
)
from prs.figures.views import EvaluationLike, groups_in_order, pick_score, predicts_risk, rows_of

__all__ = ["plot_calibration", "plot_deciles"]


@in_house_style
def plot_calibration(evaluation: EvaluationLike, *, score: str | None = None) -> Figure:
    """Draw predicted against observed, before and after recalibration, with 95 % bands.

    Parameters
    ----------
    evaluation : Evaluation
    score : str, optional
        Which score; default the last.

    Returns
    -------
    Figure
        A panel an ancestry: the smooth curve and its band, and the means of bins as dots;
        grey before (one model for everybody), coloured after (recalibrated in the ancestry).
    """
    score = pick_score(evaluation, score)
    groups = groups_in_order(evaluation)
    colors = ancestry_colors(groups)
    curves = rows_of(evaluation.calibration_curve, score=score)
    bins = rows_of(evaluation.calibration_bins, score=score)
    known = curves[curves["observed"].notna()]
    if known.empty:
        return figure_with_message("Insufficient data for calibration in every ancestry.")
    binary = predicts_risk(evaluation)
    figure, axes = make_panels(len(groups), 2.75)
    # Limits from curves and dots, not from the ends of the bands, which may be very wide.
    shown = pd.concat([known, bins[bins["observed"].notna()]])[["predicted", "observed"]]
    low, high = float(shown.min().min()), float(shown.max().max())
    margin = 0.06 * (high - low)
    limits = (max(low - margin, 0.0) if binary else low - margin, high + margin)
    for ax, group in zip(axes, groups, strict=True):
        head = rows_of(evaluation.calibration, score=score, group=group)
        set_titles(ax, group, count_label(head), colors[group])
        ax.plot(limits, limits, color=MUTED, lw=0.9, ls=(0, (4, 3)))
        drawn = False
        for model, label, color, z in (
            ("uncorrected", "before", "#8a8a8a", 2),
            ("recalibrated", "after recalibration", colors[group], 3),
        ):
            part = rows_of(known, group=group, model=model).sort_values("predicted")
            if part.empty:
                continue
            drawn = True
            x, y, below, above = (
                part[c].to_numpy(dtype=float) for c in ("predicted", "observed", "lower", "upper")
            )
            ax.fill_between(x, below, above, color=color, alpha=0.2, lw=0, zorder=z)
            ax.plot(x, y, color=color, zorder=z, label=label)
            dots = rows_of(bins, group=group, model=model)
            ax.plot(dots["predicted"], dots["observed"], "o", ms=3.2, color=color, alpha=0.9,
                    mec="white", mew=0.4, zorder=z + 1)  # fmt: skip
        if not drawn:
            write_in_axes(ax, "insufficient data")
        if ax is axes[0] and drawn:
            ax.legend(loc="upper left", fontsize=7, handlelength=1.2, borderaxespad=0.2)
        ax.set_xlim(limits)
        ax.set_ylim(limits)
        ax.set_box_aspect(1)
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(MaxNLocator(4))
            if binary:
                axis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    figure.supxlabel("predicted risk" if binary else "predicted outcome", fontsize=9.5)
    figure.supylabel("observed risk" if binary else "observed outcome", fontsize=9.5)
    return figure


@in_house_style
def plot_deciles(evaluation: EvaluationLike, *, score: str | None = None) -> Figure:
    """Draw the risk (or mean outcome) in each decile of the score, with intervals.

    Parameters
    ----------
    evaluation : Evaluation
    score : str, optional
        Which score; default the last.

    Returns
    -------
    Figure
        A panel an ancestry, same vertical axis; the dashed line is the ancestry's mean.
    """
    score = pick_score(evaluation, score)
    groups = groups_in_order(evaluation)
    colors = ancestry_colors(groups)
    table = rows_of(evaluation.deciles, score=score)
    binary = predicts_risk(evaluation)
    value = "risk" if binary else "mean"
    if not table[value].notna().any():
        return figure_with_message("Insufficient data for risk by decile in every ancestry.")
    figure, axes = make_panels(len(groups), 2.5)
    for ax, group in zip(axes, groups, strict=True):
        rows = rows_of(table, group=group).sort_values("decile")
        set_titles(ax, group, count_label(rows_of(evaluation.accuracy, score=score, group=group)),
                colors[group])  # fmt: skip
        known = rows[rows[value].notna()]  # a risk can be known where its ratios are not
        if known.empty:
            write_in_axes(ax, "insufficient data")
            continue
        x, y, low, high, n = (
            known[c].to_numpy(dtype=float)
            for c in ("decile", value, f"{value}_lower", f"{value}_upper", "n")
        )
        ax.axhline(np.average(y, weights=n), color=MUTED, lw=0.9, ls=(0, (4, 3)))
        ax.vlines(x, low, high, color=colors[group], lw=1.6)
        ax.plot(x, y, "o", color=colors[group], ms=5, mec="white", mew=0.6)
        ax.set_xticks(x, [f"{int(v)}" for v in x])
        ax.grid(visible=False, axis="x")
        if binary:
            ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    for ax in axes:
        ax.tick_params(axis="x", labelsize=7.5)
    if binary:
        axes[0].set_ylim(bottom=0)
    figure.supxlabel("decile of the score (1 = lowest)", fontsize=9.5)
    figure.supylabel("observed risk" if binary else "mean outcome", fontsize=9.5)
    return figure
