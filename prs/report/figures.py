"""Figures of an evaluation, by ancestry side by side; each function returns a matplotlib Figure.

They need no pyplot and touch no global state: in a notebook the returned figure shows itself,
in a script ``figure.savefig(...)`` writes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from prs.report.forest_figures import plot_accuracy, plot_portability
from prs.report.inputs import CohortLike, ScoresLike
from prs.report.panels import count_label, make_panels, set_titles
from prs.report.process_figures import LOSS_GROUPS, plot_ct_grid, plot_losses, plot_trace
from prs.report.style import (
    MUTED,
    ancestry_colors,
    figure_with_message,
    in_house_style,
    write_in_axes,
)
from prs.report.views import (
    groups_in_order,
    pick_score,
    rows_of,
)
from prs.samples import match_samples

if TYPE_CHECKING:
    from prs.evaluation.result import Evaluation

__all__ = [
    "LOSS_GROUPS",
    "plot_accuracy",
    "plot_calibration",
    "plot_ct_grid",
    "plot_deciles",
    "plot_distribution",
    "plot_losses",
    "plot_portability",
    "plot_trace",
]

#: Curves of a score's density are not drawn for fewer people than this.
MIN_FOR_DENSITY = 20


@in_house_style
def plot_calibration(evaluation: Evaluation, *, score: str | None = None) -> Figure:
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
    binary = evaluation.outcome_kind == "binary"
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
def plot_deciles(evaluation: Evaluation, *, score: str | None = None) -> Figure:
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
    binary = evaluation.outcome_kind == "binary"
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


def _density(values: NDArray[np.floating], grid: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return a Gaussian kernel density on an even grid, Scott's bandwidth; None if too few."""
    n, sd = len(values), float(np.std(values)) if len(values) else 0.0
    if n < MIN_FOR_DENSITY or sd == 0:
        return None
    step = grid[1] - grid[0]
    edges = np.append(grid - step / 2, grid[-1] + step / 2)
    counts = np.histogram(values, edges)[0].astype(float)
    width = 1.06 * sd * n**-0.2
    offsets = np.arange(-len(grid) + 1, len(grid)) * step
    kernel = np.exp(-0.5 * (offsets / width) ** 2) / (width * np.sqrt(2 * np.pi))
    smooth = np.convolve(counts, kernel)[len(grid) - 1 : 2 * len(grid) - 1] / n
    return np.asarray(smooth)


@in_house_style
def plot_distribution(
    scores: ScoresLike, cohort: CohortLike, *, score: str | None = None, by: str = "ancestry"
) -> Figure:
    """Draw the distribution of a score by ancestry and, for a disease, in cases and controls.

    Parameters
    ----------
    scores : Scores
    cohort : Cohort
        People are matched to the scores by id.
    score : str, optional
        Which column; default the last.
    by : str
        The label of the cohort that names the groups.

    Returns
    -------
    Figure
        First panel: all groups on one axis, in SDs of everybody. Then a panel a group: cases
        filled, controls as a line (binary outcome only).

    Raises
    ------
    SettingsError, SampleMismatchError
        If there is no such score or label, or nobody in common.
    """
    names = list(scores.names)
    if score is None:
        score = names[-1]
    if score not in names or by not in cohort.labels:
        return figure_with_message(f"No score {score!r} or no label {by!r} to draw.")
    rows, people = match_samples(
        scores.samples, cohort.samples, what="scores", target_name="cohort"
    )
    values = np.asarray(scores.values, dtype=float)[rows, names.index(score)]
    labels = np.asarray(cohort.labels[by], dtype=object)[people].astype(str)
    outcome = np.asarray(cohort.outcome, dtype=float)[people]
    finite = np.isfinite(values)
    values, labels, outcome = values[finite], labels[finite], outcome[finite]
    if len(values) < MIN_FOR_DENSITY or np.std(values) == 0:
        return figure_with_message("Insufficient data to draw the distribution of the score.")
    z = (values - values.mean()) / values.std()
    unique, n = np.unique(labels, return_counts=True)
    groups = [str(g) for g in unique[np.argsort(-n, kind="stable")]]
    colors = ancestry_colors(groups)
    reach = min(float(np.abs(z).max()) + 0.5, 6.0)
    grid = np.linspace(-reach, reach, 301)
    binary = cohort.outcome_kind == "binary"
    figure, axes = make_panels(1 + (len(groups) if binary else 0), 2.4)
    ax = axes[0]
    ax.set_title("all groups")
    for group in groups:
        density = _density(z[labels == group], grid)
        if density is None:
            ax.plot([], [], color=colors[group], label=f"{group} (too few)")
        else:
            ax.plot(grid, density, color=colors[group], label=group)
    ax.legend(loc="upper left", fontsize=7.5, handlelength=1.0, borderaxespad=0.0)
    for ax, group in zip(axes[1:], groups, strict=False):
        here = labels == group
        cases, controls = z[here & (outcome == 1)], z[here & (outcome == 0)]
        set_titles(ax, group, f"{len(cases):,} cases\n{len(controls):,} controls", colors[group])
        in_cases, in_controls = _density(cases, grid), _density(controls, grid)
        if in_cases is None or in_controls is None:
            write_in_axes(ax, "insufficient data")
            continue
        ax.fill_between(grid, in_cases, color=colors[group], alpha=0.35, lw=0)
        ax.plot(grid, in_controls, color="#333333", lw=1.3)
    for ax in axes:
        ax.set_ylim(bottom=0)
        ax.set_yticks([])
        ax.spines["left"].set_visible(False)
    figure.supxlabel("score, in SDs from the mean of everybody", fontsize=9.5)
    return figure
