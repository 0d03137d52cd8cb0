"""Figures of how the scores were made: rows lost, sampler traces, the grid of thresholds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from prs.figures.style import (
    MUTED,
    ancestry_colors,
    figure_with_message,
    in_house_style,
    new_figure,
)
from prs.matching import MatchReport
from prs.report.inputs import PosteriorLike, posterior_traces

__all__ = ["LOSS_GROUPS", "plot_ct_grid", "plot_losses", "plot_trace"]

MAX_POINTS = 600
_CHAIN_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#222222")

#: How fates are put together in the bar: label -> (fates, colour).
LOSS_GROUPS: dict[str, tuple[tuple[str, ...], str]] = {
    "kept as it was": (("same", "palindromic_same"), "#0072B2"),
    "kept, alleles swapped": (("swapped", "palindromic_swapped"), "#56B4E9"),
    "kept, strand flipped": (("flipped", "flipped_swapped"), "#009E73"),
    "palindromic, strand unknown": (("palindromic_dropped",), "#E69F00"),
    "other alleles": (("allele_mismatch",), "#D55E00"),
    "duplicate": (("duplicate",), "#CC79A7"),
    "failed a quality rule": (("failed_qc",), "#F0E442"),
    "not in the target": (("not_found", "not_in_target"), "#bdbdbd"),
    "invalid values": (("invalid",), "#4d4d4d"),
}


@in_house_style
def plot_losses(match_reports: Sequence[MatchReport]) -> Figure:
    """Draw what became of the rows of each input, as shares that sum to one.

    Parameters
    ----------
    match_reports : sequence of MatchReport
        One bar each.

    Returns
    -------
    Figure
    """
    reports = [r for r in match_reports if r.n_input > 0]
    if not reports:
        return figure_with_message("No matching of variants was reported.")
    figure = new_figure(10.6, 0.9 + 0.62 * len(reports))
    ax = figure.add_subplot()
    y = np.arange(len(reports))[::-1]
    left = np.zeros(len(reports))
    for label, (fates, color) in LOSS_GROUPS.items():
        share = np.array([sum(r.counts[f] for f in fates) / r.n_input for r in reports])
        if share.any():
            ax.barh(y, share, left=left, height=0.46, color=color, label=label, edgecolor="white",
                    linewidth=0.5)  # fmt: skip
        left += share
    for yi, report in zip(y, reports, strict=True):
        text = (
            f"{report.source} → {report.target}: {report.n_kept:,} of {report.n_input:,} rows kept"
        )
        ax.text(0, yi + 0.28, text, va="bottom", ha="left", fontsize=8.5, color="#222222")
    ax.set_ylim(-0.4, len(reports) - 0.25)
    ax.set_xlim(0, 1)
    ax.set_yticks([])
    ax.grid(visible=False)
    ax.spines["left"].set_visible(False)
    ax.xaxis.set_major_formatter(PercentFormatter(1.0))
    figure.legend(loc="outside lower center", ncols=4, handlelength=1.0, columnspacing=1.2)
    return figure


def _thinned(path: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    step = max(1, int(np.ceil(path.shape[-1] / MAX_POINTS)))
    index = np.arange(0, path.shape[-1], step)
    return index + 1, path[index]


def _path_title(name: str) -> str:
    return " ".join(name.split("_", 1))


@in_house_style
def plot_trace(posterior: PosteriorLike) -> Figure:
    """Draw the paths of phi, sigma and the score's variance, one line a chain; burn-in is grey.

    Parameters
    ----------
    posterior : CsxPosterior
        See `prs.report.inputs.posterior_traces` for what is looked for.

    Returns
    -------
    Figure
        Long paths are thinned to 600 points a chain for drawing.
    """
    traces = posterior_traces(posterior)
    panels = [
        (name, _path_title(name), path)
        for name, path in traces.paths.items()
        if name != "phi" or np.ptp(path) > 0
    ]
    if not panels:
        return figure_with_message("No traces were kept by the sampler.")
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = new_figure(10.6 if columns > 2 else 8.6, 2.1 * rows)
    axes = np.ravel(figure.subplots(rows, columns, squeeze=False))
    for ax, (name, title, paths) in zip(axes, panels, strict=False):
        for chain, path in enumerate(paths):
            x, values = _thinned(path)
            ax.plot(x, values, lw=0.8, alpha=0.85, color=_CHAIN_COLORS[chain % len(_CHAIN_COLORS)])
        if name == "phi" and np.nanmin(paths) > 0:
            ax.set_yscale("log")
        if 0 < traces.n_burnin < paths.shape[1]:
            ax.axvspan(0, traces.n_burnin, color="#eeeeee", zorder=0)
        figures = [
            f"{label} {values[name]:{form}}"
            for label, values, form in (("R-hat", traces.rhat, ".2f"), ("ESS", traces.ess, ".0f"))
            if np.isfinite(values.get(name, np.nan))
        ]
        ax.set_title(title, loc="left")
        ax.set_title("\n".join(figures), loc="right", fontsize=8.5, fontweight="normal",
                     color=MUTED)  # fmt: skip
        ax.set_xlabel("recorded iteration")
    for ax in axes[len(panels) :]:
        ax.set_axis_off()
    return figure


_THRESHOLD = re.compile(r"^(?P<family>.*?)_?p_(?P<p>[0-9.]+(?:e[-+]?[0-9]+)?)$", re.IGNORECASE)


def _lighter(color: str) -> str:
    """Return a hex colour mixed half and half with white."""
    return "#" + "".join(f"{(int(color[i : i + 2], 16) + 255) // 2:02x}" for i in (1, 3, 5))


@in_house_style
def plot_ct_grid(grid: pd.DataFrame, *, metric: str | None = None) -> Figure:
    """Draw the accuracy of clumping and thresholding at each p-value threshold, as bars.

    Parameters
    ----------
    grid : DataFrame
        Columns score (ending in ``p_<threshold>``, as ``clump_and_threshold`` names them) and
        value; optionally low, high, group, metric, and p_value (written above the bar).
    metric : str, optional
        Axis label; by default the frame's ``metric``, else "accuracy".

    Returns
    -------
    Figure
        One panel a family of settings (population, r2, kb); the best bar is dark.
    """
    parsed = [_THRESHOLD.match(str(name)) for name in grid["score"]] if len(grid) else []
    keep = [i for i, match in enumerate(parsed) if match]
    if not keep:
        return figure_with_message("No grid of p-value thresholds was evaluated.")
    frame = grid.iloc[keep].reset_index(drop=True)
    frame = frame.assign(
        family=[m["family"] for m in parsed if m], p=[float(m["p"]) for m in parsed if m]
    )
    if "group" in frame:
        frame["family"] = frame["family"] + ", " + frame["group"].astype(str)
    if metric is None:
        named: list[Any] = list(frame["metric"].dropna().unique()) if "metric" in frame else []
        metric = str(named[0]) if len(named) == 1 else "accuracy"
    families = list(dict.fromkeys(frame["family"]))
    colors = ancestry_colors([re.split(r"[_,]", f)[0] for f in families])
    columns = min(3, len(families))
    rows = -(-len(families) // columns)
    figure = new_figure(2.9 * columns if columns > 1 else 5.0, 2.5 * rows)
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True)
    best = frame["value"].max()
    # An AUC without information is 0.5: bars start there.
    base = 0.5 if "AUC" in metric and frame["value"].min() >= 0.5 else 0.0
    for ax, family in zip(np.ravel(axes), families, strict=False):
        part = frame[frame["family"] == family].sort_values("p")
        x = np.arange(len(part))
        value = part["value"].to_numpy(dtype=float)
        color = colors[re.split(r"[_,]", family)[0]]
        ax.bar(
            x,
            value - base,
            bottom=base,
            width=0.75,
            color=[color if v == best else _lighter(color) for v in value],
        )
        if {"low", "high"} <= set(part):
            low, high = part["low"].to_numpy(dtype=float), part["high"].to_numpy(dtype=float)
            ax.vlines(x, low, high, color="#333333", lw=1)
        if "p_value" in part:
            room = 0.34 * (best - base)
            ax.set_ylim(base + min(0.0, float(np.min(value)) - base), best + room)
            for xi, top, p in zip(x, np.maximum(value, base), part["p_value"], strict=True):
                # at a slant: side by side they would run into each other
                ax.text(xi - 0.2, top + 0.05 * room, f"{p:.0e}", rotation=60, fontsize=6.5,
                        rotation_mode="anchor", ha="left", va="center", color=MUTED)  # fmt: skip
        ax.set_xticks(x, [f"{p:g}" for p in part["p"]], rotation=60)
        ax.set_title(family.replace("_", " ").strip(), fontsize=8.5)
        ax.set_xlabel("p-value threshold")
        ax.grid(visible=False, axis="x")
    for ax in np.ravel(axes)[len(families) :]:
        ax.set_axis_off()
    axes[0, 0].set_ylabel(metric)
    return figure
