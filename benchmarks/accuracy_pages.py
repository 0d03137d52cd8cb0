"""What is shown of accuracy: a page an axis, each a figure and a table, and a table of the base."""

from __future__ import annotations

import math
import re

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from benchmarks.sections import Made, Page, Row, markdown
from benchmarks.worlds import Axis, Size
from prs.figures.style import MUTED, in_house_style, new_figure, png_bytes

__all__ = ["REFERENCE", "TRUTH", "draw", "order", "present", "summarise"]

#: What no score can surpass: the true genetic value as a score.
TRUTH = "true genetic value"
MAIN, ADMIXED = "EUR", "ADM"
#: A colour a kind of method, whichever program has it: the first words that a name contains.
COLORS = {
    "C+T, stacked": "#E69F00",
    "C+T": "#D55E00",
    "PRS-CSx, META": "#0072B2",
    "PRS-CSx": "#222222",
    "PRS-CS": "#56B4E9",
    "LDpred3": "#009E73",
    "VIPRS": "#CC79A7",
}
#: Our scores are circles; each other program has a mark of its own, full where scores are combined.
MARKS = ("s", "D", "^", "v", "P", "X", "<", ">")
#: The method that others are compared with, unless another is asked for.
REFERENCE = "prs: PRS-CSx, META"
KEYS = ["architecture", "method", "ancestry"]


def _interval(values: pd.Series) -> tuple[float, float]:
    """Return mean and half of its 95 % interval (Student's t; NaN of fewer than three studies)."""
    n = len(values)
    if n < 3:  # of two, 12.7 standard errors: it says nothing
        return float(values.mean()), math.nan
    half = stats.t.ppf(0.975, n - 1) * values.std(ddof=1) / math.sqrt(n)
    return float(values.mean()), float(half)


def summarise(judged: pd.DataFrame, against: str) -> pd.DataFrame:
    """Return one row an architecture, method and ancestry.

    Parameters
    ----------
    judged : DataFrame
        `architecture`, `replicate`, `method`, `ancestry`, `n`, `r2`: one row a study.
    against : str
        The method that others are compared with, study by study.

    Returns
    -------
    DataFrame
        `studies`, `people`, `r2` and `difference` with the halves of their 95 % intervals
        (`r2_half`, `difference_half`). The difference is of the same studies: what makes one
        study easier than another is no part of it.
    """
    study = ["architecture", "replicate", "ancestry"]
    base = judged[judged["method"] == against].set_index(study)["r2"]
    place = pd.MultiIndex.from_frame(judged[study])
    judged = judged.assign(difference=judged["r2"].to_numpy() - base.reindex(place).to_numpy())
    rows = []
    for key, part in judged.groupby(KEYS, sort=False):
        r2, r2_half = _interval(part["r2"])
        difference, difference_half = _interval(part["difference"])
        rows.append(
            (*key, len(part), int(part["n"].mean()), r2, r2_half, difference, difference_half)
        )
    names = ["studies", "people", "r2", "r2_half", "difference", "difference_half"]
    return pd.DataFrame(rows, columns=[*KEYS, *names])


def order(names: list[str]) -> list[str]:
    """Return the ancestries: the one of the large GWAS first, the admixed last."""
    return sorted(names, key=lambda name: (name != MAIN, name == ADMIXED, name))


def _plus_minus(value: float, half: float, sign: str = "") -> str:
    if math.isnan(value):
        return ""
    shown = f"{value:{sign}.3f}"
    return shown if math.isnan(half) else f"{shown} ± {half:.3f}"


def tabulate(summary: pd.DataFrame, against: str, index: list[str]) -> str:
    """Return a table with a column an ancestry: R2, and below it the difference."""
    cells = []
    for row in summary.itertuples():
        cell = _plus_minus(row.r2, row.r2_half)
        if row.method not in (against, TRUTH) and not math.isnan(row.difference):
            cell += f"<br>{_plus_minus(row.difference, row.difference_half, '+')}"
        cells.append(cell)
    wide = summary.assign(cell=cells).pivot_table(
        index=[*index, "method", "studies"], columns="ancestry", values="cell", aggfunc="first",
        sort=False,
    )  # fmt: skip
    wide = wide[order(list(wide.columns))].reset_index()
    return markdown(wide.rename(columns=lambda name: name.replace("_", " ")))


def _look(methods: list[str]) -> dict[str, dict[str, str]]:
    """Return each method's colour and mark."""
    programs = list(dict.fromkeys(m.split(":")[0] for m in methods if not m.startswith("prs:")))
    looks = {}
    for method in methods:
        color = next((c for word, c in COLORS.items() if word in method), MUTED)
        program = method.split(":")[0]
        if program == "prs":
            looks[method] = {"color": color, "marker": "o", "markerfacecolor": color}
        else:
            mark = MARKS[programs.index(program) % len(MARKS)]
            face = color if "combined" in method else "white"
            looks[method] = {"color": color, "marker": mark, "markerfacecolor": face}
    return looks


@in_house_style
def draw(
    summary: pd.DataFrame, names: list[str], ticks: list[str], label: str, against: str
) -> Figure:
    """Draw R2 (above) and differences (below) along an axis, a column an ancestry.

    Parameters
    ----------
    summary : DataFrame
        Of `summarise`.
    names, ticks : list of str
        Architectures in the order of the axis, and their values.
    label : str
        Of the axis.
    against : str
        The method of the zero line.
    """
    groups = order(list(dict.fromkeys(summary["ancestry"])))
    methods = [m for m in dict.fromkeys(summary["method"]) if m != TRUTH]
    looks = _look(methods)
    figure = new_figure(max(2.9 * len(groups), 7.0), 6.6)
    axes = figure.subplots(2, len(groups), squeeze=False, sharey="row", sharex=True)
    for column, group in enumerate(groups):
        own = summary[summary["ancestry"] == group].set_index(["method", "architecture"])
        for row, value in enumerate(("r2", "difference")):
            ax = axes[row, column]
            for i, method in enumerate(methods):
                if value == "difference" and method == against:
                    continue
                part = own.loc[method].reindex(names)
                x = np.arange(len(names)) + 0.8 * ((i + 0.5) / len(methods) - 0.5)
                ax.errorbar(
                    x, part[value], yerr=part[f"{value}_half"], ls="none", ms=4.2, lw=1.1,
                    markeredgewidth=1.1, label=method, **looks[method],
                )  # fmt: skip
            _furnish(ax, len(names))
        for i, name in enumerate(names):
            if (TRUTH, name) in own.index:
                top = own.loc[(TRUTH, name), "r2"]
                axes[0, column].plot([i - 0.45, i + 0.45], [top, top], color=MUTED, lw=1, ls="--")
        axes[0, column].set_title(group)
        axes[1, column].axhline(
            0.0, color=looks[against]["color"] if against in looks else MUTED, lw=1
        )
        axes[1, column].set_xticks(np.arange(len(names)), ticks)
        axes[1, column].set_xlabel(label)
    axes[0, 0].set_ylabel("R² in test people")
    # means set the scales: intervals of two or three studies may be far wider
    judged = summary[summary["method"] != against]
    reach = 1.8 * float(judged.loc[judged["method"] != TRUTH, "difference"].abs().max())
    axes[0, 0].set_ylim(0, 1.15 * float(summary["r2"].max()))
    if reach > 0:
        axes[1, 0].set_ylim(-reach, reach)
    axes[1, 0].set_ylabel(f"difference from\n{against}")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure


def _furnish(ax: Axes, n: int) -> None:
    """Part the values of the axis from each other."""
    ax.grid(visible=False, axis="x")
    for between in range(1, n):
        ax.axvline(between - 0.5, color="#e4e4e4", lw=0.8)
    ax.set_xlim(-0.5, n - 0.5)


def _axis_page(summary: pd.DataFrame, axis: Axis, size: Size, against: str) -> Page:
    architectures = axis.architectures(size.base)
    names = [architecture.name for architecture in architectures]
    ticks = [f"{value:,}" for value in axis.values]
    part = summary[summary["architecture"].isin(names)]
    shown = part.assign(
        **{axis.label: part["architecture"].map(dict(zip(names, ticks, strict=True)))}
    )
    shown = pd.concat([shown[shown["architecture"] == name] for name in names])
    text = (
        f"R² of each score over age and sex in test people, along one axis; all else as in "
        f"the base architecture ({size.base.name}). Bars are 95 % intervals of the mean over "
        f"studies. Below, the difference from *{against}* in the same studies: an interval that "
        "leaves zero out is a difference that the studies show. The dashed line is the R² of "
        "the true genetic value, which no score can surpass. Circles are prs, other marks "
        "other programs; a colour is one kind of method. Means set the "
        "scales: intervals of few studies may reach beyond.\n\n"
        "In the table, R² ± half of its interval, and below it the difference likewise."
    )
    figure = png_bytes(draw(part, names, ticks, axis.label, against), dpi=130)
    return Page(f"accuracy_{axis.name}", axis.title, text, figure,
                tabulate(shown, against, [axis.label]))  # fmt: skip


def present(judged: pd.DataFrame, failed: list[Row], size: Size, against: str) -> Made:
    """Return the section: the base architecture here, a page an axis."""
    summary = summarise(judged, against)
    base = summary[summary["architecture"] == size.base.name]
    n = int(summary["studies"].max())
    gwas = ", ".join(f"{count:,} {name}" for name, count in size.n_gwas)
    text = (
        f"{len(size.architectures)} architectures, {n} studies of each: GWAS of {gwas}; "
        f"{size.n_variants:,} variants on {size.n_chromosomes} chromosomes of "
        f"{size.sequence_length / 1e6:g} Mb (a coalescent, `prs.simulate_study`). Tuning people "
        "choose and combine, test people judge. The base architecture "
        f"({size.base.name}): R² over age and sex ± half of its 95 % interval over studies "
        "(Student's t; none of fewer than three), and below it the difference from "
        f"*{against}* in the same studies.\n\n"
        f"{tabulate(base, against, [])}\n"
    )
    for row in dict.fromkeys((row["method"], row["failed"]) for row in failed):
        last = re.sub(r"/\S+/", "", row[1].strip().splitlines()[-1])  # no place on this machine
        text += f"\n{row[0]} failed in some studies: `{last}`\n"
    pages = tuple(_axis_page(summary, axis, size, against) for axis in size.axes)
    tables = {"accuracy": summary.to_dict("records"), "studies": judged.to_dict("records")}
    return Made(text, tables, pages)
