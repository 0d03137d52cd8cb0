"""Decision curves: the net benefit of acting on a risk, a panel an ancestry."""

from __future__ import annotations

import numpy as np
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
from prs.figures.views import EvaluationLike, groups_in_order, pick_score, rows_of

__all__ = ["plot_net_benefit"]

_COVARIATES, _EVERYBODY = "covariates only", "everybody"


@in_house_style
def plot_net_benefit(evaluation: EvaluationLike, *, score: str | None = None) -> Figure:
    """Draw the net benefit of acting on risks with a score, without it, on all and on nobody.

    Parameters
    ----------
    evaluation : Evaluation
        Of a binary outcome.
    score : str, optional
        Which score; default the last.

    Returns
    -------
    Figure
        A panel an ancestry: coloured with its band, score and covariates; black, covariates
        only; grey, acting on everybody; 0 is acting on nobody.
    """
    score = pick_score(evaluation, score)
    groups = groups_in_order(evaluation)
    colors = ancestry_colors(groups)
    table = evaluation.net_benefit
    known = table[table["net_benefit"].notna()]
    if known.empty:
        return figure_with_message("Insufficient data for decision curves in every ancestry.")
    figure, axes = make_panels(len(groups), 2.6)
    shown = known[known["score"].isin([score, _COVARIATES])]
    top = float(shown["net_benefit"].max())
    for ax, group in zip(axes, groups, strict=True):
        here = rows_of(table, group=group)
        set_titles(ax, group, count_label(here), colors[group])
        ax.axhline(0.0, color=MUTED, lw=0.9, ls=(0, (4, 3)))
        drawn = False
        for name, label, color, width in (
            (_EVERYBODY, "act on everybody", "#9a9a9a", 1.1),
            (_COVARIATES, "covariates only", "#222222", 1.1),
            (score, "with the score", colors[group], 1.7),
        ):
            part = rows_of(known, group=group, score=name).sort_values("threshold")
            if part.empty:
                continue
            drawn = True
            x, y, low, high = (
                part[c].to_numpy(dtype=float)
                for c in ("threshold", "net_benefit", "net_benefit_lower", "net_benefit_upper")
            )
            if name == score:
                ax.fill_between(x, low, high, color=color, alpha=0.2, lw=0)
            ax.plot(x, y, color=color, lw=width, label=label)
        if not drawn:
            write_in_axes(ax, "insufficient data")
        elif not ax.figure.legends and ax is axes[0]:
            ax.legend(loc="upper right", fontsize=7, handlelength=1.2, borderaxespad=0.2)
        ax.set_ylim(-0.25 * top, 1.15 * top)
        ax.xaxis.set_major_locator(MaxNLocator(4))
        ax.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes[0].set_xlim(0.0, float(np.nanmax(known["threshold"])))
    figure.supxlabel("risk above which one acts", fontsize=9.5)
    figure.supylabel("net benefit", fontsize=9.5)
    return figure
