"""Time and memory of each method: whole processes, one at a time, on one study an architecture."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from benchmarks import worlds
from benchmarks.accuracy import PEER_FAILS, choose_methods
from benchmarks.machine import watch_others
from benchmarks.methods import METHODS, Peers
from benchmarks.sections import Made, Page, Row, Section, markdown
from prs.figures.style import in_house_style, new_figure, png_bytes

__all__ = ["SECTION", "draw", "make", "measure"]

#: Share of the processors that others may have had while a time is taken that is shown. A system
#: at rest takes a per cent or two.
QUIET = 0.05


def measure(options: argparse.Namespace, scratch: Path, size: worlds.Size) -> list[Row]:
    """Return one row an architecture and method.

    Wall time is None where other programs had more than `QUIET` of the processors meanwhile.
    """
    rows: list[Row] = []
    peers = Peers.of(options)
    for architecture in [size.base] if options.quick else size.architectures:
        folder = scratch / "costs"
        study = worlds.simulate(folder, size, architecture, options.seed, 0)
        names = choose_methods(size, architecture, 0, options)
        for method in METHODS:
            if method.name not in names:
                continue
            with watch_others() as others:
                try:
                    result = method.run(study, peers)
                except PEER_FAILS as error:
                    if not method.needs:
                        raise
                    print(f"{method.needs} failed: {error}", flush=True)
                    continue
            cost = result.cost
            programs = dict.fromkeys(name.split(":")[0] for name in result.columns)
            kinds = [name.split(": ", 1)[-1] for name in result.columns]
            rows.append(
                {
                    "architecture": architecture.name,
                    "method": f"{' and '.join(programs)}: {' and '.join(kinds)}",
                    "seconds": cost.wall if others.share <= QUIET else None,
                    "cpu": cost.cpu,
                    "peak_mb": cost.peak_mb,
                    "others": others.share,
                }
            )
            print(f"{architecture.name}: {rows[-1]['method']}, {cost.cpu:.1f} CPU s", flush=True)
        shutil.rmtree(folder)
    return rows


def summarise(rows: list[Row]) -> pd.DataFrame:
    """Return mean, least and most of each method over the architectures."""
    frame = pd.DataFrame(rows).astype({"seconds": float})
    made = []
    for method, part in frame.groupby("method", sort=False):
        row: Row = {"method": method, "studies": len(part)}
        for name in ("seconds", "cpu", "peak_mb"):
            values = part[name].to_numpy(float)
            known = not np.isnan(values).any()
            row[name] = values.mean() if known else np.nan
            row[f"{name}_least"] = values.min() if known else np.nan
            row[f"{name}_most"] = values.max() if known else np.nan
        made.append(row)
    return pd.DataFrame(made)


@in_house_style
def draw(summary: pd.DataFrame) -> Figure:
    """Draw CPU seconds and peak memory: a row a method, least to most as a line."""
    figure = new_figure(9.5, 1.1 + 0.34 * len(summary))
    left, right = figure.subplots(1, 2, sharey=True)
    y = np.arange(len(summary))[::-1]
    ours = summary["method"].str.startswith("prs:").to_numpy()
    color = np.where(ours, "#0072B2", "#D55E00")
    for ax, name, label in ((left, "cpu", "CPU seconds"), (right, "peak_mb", "peak memory, MB")):
        ax.hlines(y, summary[f"{name}_least"], summary[f"{name}_most"], color=color, lw=2)
        ax.scatter(summary[name], y, c=color, s=26, zorder=3)
        for at, value in zip(y, summary[name], strict=True):
            ax.annotate(
                f"{value:,.3g}" if value < 100 else f"{value:,.0f}", (value, at), xytext=(0, 5),
                textcoords="offset points", ha="center", fontsize=7.5,
            )  # fmt: skip
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.margins(x=0.12)
        ax.set_xlabel(label)
        ax.set_ylim(-0.6, len(summary) - 0.3)
    left.set_yticks(y, summary["method"])
    return figure


def present(rows: list[Row], size: worlds.Size) -> Made:
    """Return the section: its table here, its figure on a page."""
    summary = summarise(rows)
    shown = pd.DataFrame(
        {"method": summary["method"], "studies": summary["studies"], "wall s": summary["seconds"],
         "CPU s": summary["cpu"], "peak MB": summary["peak_mb"]}
    )  # fmt: skip
    table = markdown(shown, 1)
    people = sum(n for _, n in size.n_target)
    text = (
        "Whole processes, files to scores of "
        f"{people:,} people ({size.n_variants:,} variants), one at a time; mean of one study an "
        "architecture. PRScsx.py: weights only, of the base architecture only."
    )
    if summary["seconds"].isna().any():
        text += (
            " Wall times are left out where other programs had more than "
            f"{100 * QUIET:.0f} % of the processors; `--only costs` measures these tables anew."
        )
    page = Page("costs", "Time and memory",
                f"{text} Dots are means, lines run from the least to the most of the studies.",
                png_bytes(draw(summary), dpi=130), table)  # fmt: skip
    return Made(f"{text}\n\n{table}\n", {"costs": rows}, (page,))


def make(options: argparse.Namespace, scratch: Path) -> Made:
    """Measure, and say what was found."""
    size = worlds.QUICK if options.quick else worlds.FULL
    return present(measure(options, scratch, size), size)


SECTION = Section("costs", "Time and memory of each method", make)
