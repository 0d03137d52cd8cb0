"""What is shown of real data: a page a question, each with a figure and a table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from benchmarks.accuracy_pages import draw, summarise, tabulate
from benchmarks.real import chains
from benchmarks.real.catalog import NORMALISATIONS, TOP
from benchmarks.real.known_truth import World
from benchmarks.sections import Page, Row, markdown
from prs.figures.style import MUTED, in_house_style, new_figure, png_bytes

DPI = 130
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")


def interval(value: Any, lower: Any, upper: Any, digits: int = 3) -> str:
    """Return "0.123 (0.045 to 0.201)"."""
    return f"{value:.{digits}f} ({lower:.{digits}f} to {upper:.{digits}f})"


def known_truth_page(
    judged: pd.DataFrame, worlds: tuple[World, ...], against: str
) -> tuple[Page, pd.DataFrame]:
    """Return the page of accuracies, and the summary of genetic values."""
    values = summarise(judged.assign(r2=judged["value_r2"]), against)
    trait = judged.assign(r2=judged["trait_r2"])
    summary = summarise(trait[trait["status"] == "ok"], against)
    names = [world.name for world in worlds]
    shares = judged[judged["replicate"] == 1].drop_duplicates(["architecture", "ancestry"])
    people = shares.drop_duplicates("ancestry")
    n = ", ".join(f"{row.n} {row.ancestry}" for row in people.itertuples())
    first = judged[(judged["replicate"] == 1) & (judged["method"] == against)]
    one = pd.DataFrame(
        {
            "world": first["architecture"],
            "ancestry": first["ancestry"],
            "people": first["n"],
            "R² of the trait": [
                interval(*row) if np.isfinite(row[0]) else "insufficient data"
                for row in first[["trait_r2", "trait_lower", "trait_upper"]].to_numpy()
            ],
            "status": first["status"],
        }
    )
    withheld = judged[judged["status"] != "ok"]
    held = f"{len(withheld)} figures were withheld." if len(withheld) else ""
    gwas = ", ".join(f"{count:,} {name}" for name, count in worlds[0].n_gwas)
    text = (
        "Which method finds most of a trait's inheritance in people of which ancestry, where LD "
        "and genotypes are real? A trait of known effects is given to 1,092 people of the 1000 "
        "Genomes by their own chromosome 22. A half of each population lends its LD to the GWAS "
        f"({gwas}; no AMR), a fifth tunes, the rest are judged: {n}. Drawn is R² between score "
        "and true genetic value, which knows no noise: with so few people the R² of the trait "
        "itself has intervals far too wide to compare methods (last table: one study). Bars are "
        "95 % intervals of the mean over studies (Student's t), which differ in effects, GWAS "
        "and the parting of the people, but not in the 1,092 people: they hold for these "
        "people. The last world differs from the second by its LD panel alone, which is of the "
        "tuning people (49 to 76 a population), who are not those of the GWAS.\n\n"
        "In the tables, R² ± half of its interval, and below it the difference from "
        f"*{against}* in the same studies; first of the genetic value, then of the trait. {held}"
    )
    ticks = [world.label for world in worlds]
    figure = draw(values, names, ticks, "world", against)
    index = ["architecture"]
    table = (
        f"{tabulate(values, against, index)}\n\nThe trait, over sex (`prs.evaluate`):\n\n"
        f"{tabulate(summary, against, index)}\n\n*{against}* in the first study:\n\n"
        f"{markdown(one)}"
    )
    title = "Known truth on real genotypes"
    return Page("real_known_truth", title, text, png_bytes(figure, dpi=DPI), table), values


@in_house_style
def draw_agreement(agreement: pd.DataFrame) -> Figure:
    """Draw the correlation of weights and of scores, a line a trait and population."""
    lines = list(dict.fromkeys(zip(agreement["trait"], agreement["population"], strict=True)))
    pairs = list(dict.fromkeys(agreement["pair"]))
    figure = new_figure(9.6, 1.4 + 0.75 * len(lines))
    axes = figure.subplots(1, 2, sharey=True)
    for ax, what in zip(axes, ("weights", "scores"), strict=True):
        for i, pair in enumerate(pairs):
            part = agreement[agreement["pair"] == pair].set_index(["trait", "population"])
            y = [-lines.index(key) - 0.7 * ((i + 0.5) / len(pairs) - 0.5) for key in part.index]
            ax.hlines(y, part[f"{what}_low"], part[f"{what}_high"], color=COLORS[i], lw=1.6)
            ax.plot(part[what], y, "o", color=COLORS[i], ms=5, label=pair)
        ax.axvline(1.0, color=MUTED, lw=0.8)
        ax.set_xlabel(f"correlation of {what}")
        ax.grid(visible=False, axis="y")
    axes[0].set_ylim(0.6 - len(lines), 0.6)
    axes[0].set_yticks(
        -np.arange(len(lines)), [f"{trait.replace('; ', chr(10))}\n{name}" for trait, name in lines]
    )
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(pairs))
    return figure


def published_page(ledgers: list[Row], agreement: list[Row], has_theirs: bool) -> Page:
    """Return the page of published statistics."""
    frame = pd.DataFrame(agreement)
    shown = frame[["trait", "population", "variants", "pair"]].copy()
    for what in ("weights", "scores"):
        columns = [what, f"{what}_low", f"{what}_high"]
        shown[f"correlation of {what}"] = [interval(*row) for row in frame[columns].to_numpy()]
    lacking = "" if has_theirs else " PRScsx.py was not given (`--prscsx`): its rows are not here."
    text = (
        "What becomes of published statistics on panels of real people, and do two programs "
        "make the same weights of them? Nobody knows the true effects. PRScsx.py and `prs csx` "
        "with its options read the same files and run one chain of 500 iterations at phi = 0.01; "
        "how far two seeds of one program agree is the most that can be asked of two programs. "
        "*prs, exact posterior* is our default, which samples another density (psi bounded, not "
        "clipped). Weights are on the standardised scale; scores are of 1000 Genomes people, the "
        "least correlation of the ancestries there. Dots are means over pairs of runs, lines "
        f"their extremes.{lacking}"
    )
    table = (
        f"{markdown(shown)}\n\nRows of each file, and what became of those that do not simply "
        f"match (every row has one fate):\n\n{markdown(pd.DataFrame(ledgers))}"
    )
    figure = png_bytes(draw_agreement(frame), dpi=DPI)
    return Page("real_published", "Published statistics on real LD", text, figure, table)


@in_house_style
def draw_distribution(rows: pd.DataFrame) -> Figure:
    """Draw means and shares in the top tenth by ancestry, a column a score."""
    scores = list(dict.fromkeys(rows["score"]))
    figure = new_figure(4.8 * len(scores), 6.0)
    axes = figure.subplots(2, len(scores), squeeze=False, sharey="row")
    for column, score in enumerate(scores):
        part = rows[rows["score"] == score]
        groups = list(dict.fromkeys(part["ancestry"]))
        for line, (value, low, high, level) in enumerate(
            (("mean", "lower", "upper", 0.0), ("top", "top_lower", "top_upper", TOP))
        ):
            ax = axes[line, column]
            for i, how in enumerate(NORMALISATIONS):
                own = part[part["normalisation"] == how].set_index("ancestry").loc[groups]
                x = np.arange(len(groups)) + 0.6 * ((i + 0.5) / 3 - 0.5)
                ax.vlines(x, own[low], own[high], color=COLORS[i], lw=1.6)
                ax.plot(x, own[value], "o", color=COLORS[i], ms=5, label=how)
            ax.axhline(level, color=MUTED, lw=0.9, ls="--")
            ax.set_xticks(np.arange(len(groups)), groups)
            ax.grid(visible=False, axis="x")
        axes[0, column].set_title(score)
    axes[0, 0].set_ylabel("mean, SDs of everybody")
    axes[1, 0].set_ylabel("share in the top tenth")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    names = [f"normalisation: {label}" for label in labels]
    figure.legend(handles, names, loc="outside lower center", ncols=3)
    return figure


def catalog_page(files: list[Row], distribution: list[Row], equality: list[Row]) -> Page:
    """Return the page of published scores."""
    frame = pd.DataFrame(distribution)
    shown = frame[["score", "normalisation", "ancestry", "n"]].copy()
    shown["mean"] = [interval(*row, 2) for row in frame[["mean", "lower", "upper"]].to_numpy()]
    shown["SD"] = [f"{sd:.2f}" for sd in frame["sd"]]
    shown["top tenth"] = [
        interval(*row) for row in frame[["top", "top_lower", "top_upper"]].to_numpy()
    ]
    same = pd.DataFrame(equality)
    raced = ""
    if len(same):
        same["largest difference, SDs"] = [f"{v:.0e}" for v in same.pop("largest_difference_sd")]
        raced = (
            "\n\nThe same weights by `prs score` and by `plink2 --score`, whose sums have six "
            f"digits:\n\n{markdown(same)}"
        )
    listed = pd.DataFrame(files)
    for column in ("variants", "found"):
        listed[column] = ["" if pd.isna(v) else f"{v:.0f}" for v in listed[column]]
    text = (
        "Who gets a high score for reasons of ancestry alone, and what does normalisation repair? "
        "Scores of 1000 Genomes people (2,504; of chromosome 22, 1,033), each half normalised by "
        "components and scores of the other half. Above, the mean of each ancestry in SDs of "
        "everybody; below, the share of its people beyond the reference's 90th percentile, which "
        "would be a tenth (dashed) if the score were comparable. Bars are 95 % intervals. The "
        "genotypes are thinned: what is left of the published score is not that score, and prs "
        "refuses it unless told otherwise (first table)."
    )
    table = (
        f"Files of the PGS Catalog as published, looked for among 23,770 variants:\n\n"
        f"{markdown(listed)}\n\n{markdown(shown)}{raced}"
    )
    figure = png_bytes(draw_distribution(frame), dpi=DPI)
    return Page("real_catalog", "Published scores in 1000 Genomes people", text, figure, table)


@in_house_style
def draw_chains(rows: pd.DataFrame) -> Figure:
    """Draw how far chains differ: ours from the reference's, and the reference's two."""
    figure = new_figure(9.6, 1.4 + 0.3 * len(rows))
    axes = figure.subplots(1, 2, sharey=True)
    y = -np.arange(len(rows))
    ours, theirs = COLORS[:2]
    axes[0].hlines(y, rows["rms_low"], rows["rms_high"], color=ours, lw=1.6)
    for ax, what in ((axes[0], "rms"), (axes[1], "predictions")):
        ax.plot(rows[f"ours_{what}"], y, "o", color=ours, ms=5, label="ours and the reference's")
        ax.plot(rows[f"theirs_{what}"], y, "D", color=theirs, ms=4.5, mfc="white",
                label="the reference's two seeds")  # fmt: skip
        ax.grid(visible=False, axis="y")
    axes[0].set_xlim(left=0)
    axes[0].set_xlabel("rms difference, posterior SDs")
    axes[1].set_xlabel("correlation of predictions")
    labels = [f"{row.run}, {row.population}" for row in rows.itertuples()]
    axes[0].set_yticks(y, labels)
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=2)
    return figure


def chains_page(rows: list[Row]) -> Page:
    """Return the page of the reference's runs."""
    text = (
        "Does `prs csx` with PRScsx.py's options sample what PRScsx.py samples? Outputs of "
        "PRScsx.py itself (seeds 1 and 2 of seven configurations) beside single chains of ours "
        "of the same length, on the same panel and statistics. Posterior means have Monte Carlo "
        "errors: two correct chains differ as the reference's two seeds do (diamonds). Dots are "
        "means over pairs of a chain of ours and one of the reference's, lines their extremes. "
        "Dots left of the diamonds (or right of them, in predictions) mean that ours has the "
        "smaller errors, as it averages conditional expectations and not draws."
    )
    frame = pd.DataFrame(rows)
    title = "Beside the reference tool's own runs"
    figure = png_bytes(draw_chains(frame), dpi=DPI)
    return Page("real_chains", title, text, figure, markdown(chains.table(rows)))
