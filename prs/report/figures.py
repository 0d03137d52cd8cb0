"""Figures of an evaluation, by ancestry side by side; each function returns a matplotlib Figure.

They need no pyplot and touch no global state: in a notebook the returned figure shows itself,
in a script ``figure.savefig(...)`` writes it.
"""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from prs.figures.curves import plot_calibration, plot_deciles
from prs.figures.forest import plot_accuracy, plot_portability
from prs.figures.panels import make_panels, set_titles
from prs.figures.style import (
    ancestry_colors,
    figure_with_message,
    in_house_style,
    write_in_axes,
)
from prs.report.inputs import CohortLike, ScoresLike
from prs.report.process_figures import LOSS_GROUPS, plot_ct_grid, plot_losses, plot_trace
from prs.samples import match_samples

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
    if score not in names:
        return figure_with_message(f"No score {score!r} to draw.")
    rows, people = match_samples(
        scores.samples, cohort.samples, what="scores", target_name="cohort"
    )
    values = np.asarray(scores.values, dtype=float)[rows, names.index(score)]
    everybody = np.full(len(cohort.outcome), "all", dtype=object)
    labels = np.asarray(cohort.labels.get(by, everybody), dtype=object)[people].astype(str)
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
