"""Forest plots: a measure and its interval for each score, a panel an ancestry."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from prs.figures.panels import count_label, make_panels, set_titles
from prs.figures.style import MUTED, ancestry_colors, figure_with_message, in_house_style
from prs.figures.views import (
    MEASURE_NAMES,
    Estimate,
    EvaluationLike,
    estimate,
    groups_in_order,
    pick_score,
    portability_measure,
    primary_measure,
    rows_of,
    short_status,
)

__all__ = ["plot_accuracy", "plot_portability"]


def _wrapped(name: str, width: int = 26) -> str:
    if len(name) <= width:
        return name
    cut = name.rfind("_", 0, width)
    cut = cut + 1 if cut > 0 else width
    return f"{name[:cut]}\n{_wrapped(name[cut:], width)}"


def _forest(
    panels: dict[str, list[Estimate]],
    labels: Sequence[str],
    counts: dict[str, str],
    null: float,
    xlabel: str,
) -> Figure:
    """Draw one panel a group, one row a score: a dot and its interval, or why there is none."""
    colors = ancestry_colors(panels)
    lines = sum(1 + 0.5 * _wrapped(label).count("\n") for label in labels)
    figure, axes = make_panels(len(panels), 1.0 + 0.3 * lines)
    y = np.arange(len(labels))[::-1]
    for ax, (group, estimates) in zip(axes, panels.items(), strict=True):
        ax.axvline(null, color=MUTED, lw=0.9, ls=(0, (4, 3)))
        for yi, e in zip(y, estimates, strict=True):
            if not e.is_known:
                ax.text(0.5, yi, short_status(e.status), ha="center", va="center", fontsize=7.5,
                        style="italic", color=MUTED, transform=ax.get_yaxis_transform(),
                        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0})  # fmt: skip
                continue
            if e.has_interval:
                ax.plot([e.lower, e.upper], [yi, yi], color=colors[group], lw=1.8)
            ax.plot(e.value, yi, "o", color=colors[group], ms=5.5, mec="white", mew=0.6)
        set_titles(ax, group, counts.get(group, ""), colors[group])
        ax.set_ylim(-0.6, len(labels) - 0.4)
        ax.set_yticks(y, [_wrapped(label) for label in labels])
        ax.grid(visible=False, axis="y")
        ax.xaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 2.5, 5, 10]))
    figure.supxlabel(xlabel, fontsize=9.5)
    return figure


@in_house_style
def plot_accuracy(
    evaluation: EvaluationLike, *, measure: str | None = None, scores: Sequence[str] | None = None
) -> Figure:
    """Draw a measure of accuracy with its interval: a panel an ancestry, a row a score.

    Parameters
    ----------
    evaluation : Evaluation
    measure : str, optional
        A column of ``evaluation.accuracy`` with ``_lower`` and ``_upper`` beside it; by default
        ``auc`` for a binary outcome, ``r2_incremental`` for a quantitative one, ``c`` for one
        that takes time.
    scores : sequence of str, optional
        Which scores; default all.

    Returns
    -------
    Figure
    """
    measure = measure or primary_measure(evaluation)
    labels = [pick_score(evaluation, s) for s in (scores or evaluation.scores)]
    groups = groups_in_order(evaluation)
    table = evaluation.accuracy
    panels = {g: [estimate(table, measure, score=s, group=g) for s in labels] for g in groups}
    if not any(e.is_known for row in panels.values() for e in row):
        return figure_with_message("Insufficient data for accuracy in every ancestry.")
    null = {
        "auc": 0.5,
        "auc_full": 0.5,
        "c": 0.5,
        "c_full": 0.5,
        "odds_ratio": 1.0,
        "hazard_ratio": 1.0,
    }.get(measure, 0.0)
    counts = {g: count_label(rows_of(table, group=g)) for g in groups}
    return _forest(panels, labels, counts, null, MEASURE_NAMES.get(measure, measure))


@in_house_style
def plot_portability(
    evaluation: EvaluationLike, *, measure: str | None = None, scores: Sequence[str] | None = None
) -> Figure:
    """Draw accuracy relative to the reference ancestry, with its interval.

    Parameters
    ----------
    evaluation : Evaluation
    measure : str, optional
        A ``measure`` of ``evaluation.portability``; by default R2 on the liability scale where
        known, Nagelkerke's where not, incremental R2 for a quantitative outcome, explained
        variation for one that takes time.
    scores : sequence of str, optional
        Which scores; default all.

    Returns
    -------
    Figure
        A panel each ancestry but the reference; 1 means as accurate as in the reference.
    """
    measure = measure or portability_measure(evaluation)
    labels = [pick_score(evaluation, s) for s in (scores or evaluation.scores)]
    groups = groups_in_order(evaluation, with_everybody=False)
    groups = [g for g in groups if g != evaluation.reference_group]
    table = rows_of(evaluation.portability, measure=measure)
    panels = {g: [estimate(table, "ratio", score=s, group=g) for s in labels] for g in groups}
    if not any(e.is_known for row in panels.values() for e in row):
        return figure_with_message(
            "Insufficient data to compare any ancestry with the reference ancestry."
        )
    counts = {g: count_label(rows_of(table, group=g)) for g in groups}
    xlabel = f"{MEASURE_NAMES.get(measure, measure)}, ratio to {evaluation.reference_group}"
    return _forest(panels, labels, counts, 1.0, xlabel)
