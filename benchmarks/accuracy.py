"""Accuracy by ancestry, time and memory of each method on simulated studies of known truth."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.methods import Peers, Result, Study, run_methods

Row = dict[str, Any]
MAIN = "EUR"


@dataclass(frozen=True)
class Architecture:
    """One world: how the trait is made, and what there is to learn it from."""

    name: str
    n_causal: int
    rg: float
    h2: float
    n_reference: int = 500


@dataclass(frozen=True)
class Size:
    """How large the studies are."""

    n_gwas: tuple[tuple[str, int], ...]
    n_target: tuple[tuple[str, int], ...]
    n_variants: int
    n_chromosomes: int
    sequence_length: int
    n_founders: int
    iterations: int | None
    replicates: int
    architectures: tuple[Architecture, ...]


QUICK = Size(
    (("EUR", 10_000), ("AFR", 3_000)),
    (("EUR", 600), ("AFR", 600), ("ADM", 400)),
    2_000,
    1,
    6_000_000,
    800,
    400,
    3,
    (
        Architecture("sparse, rg 1, h2 0.5", 30, 1.0, 0.5),
        Architecture("polygenic, rg 0.6, h2 0.3", 600, 0.6, 0.3),
        Architecture("polygenic, rg 0.9, h2 0.1, panel of 100", 600, 0.9, 0.1, 100),
    ),
)
FULL = Size(
    (("EUR", 50_000), ("AFR", 9_000), ("EAS", 9_000)),
    (("EUR", 2_000), ("AFR", 2_000), ("EAS", 2_000), ("ADM", 1_000)),
    15_000,
    3,
    15_000_000,
    5_500,
    None,
    5,
    (
        Architecture("sparse (60 causal), rg 1, h2 0.5", 60, 1.0, 0.5),
        Architecture("600 causal, rg 0.9, h2 0.4", 600, 0.9, 0.4),
        Architecture("polygenic (6,000 causal), rg 0.9, h2 0.5", 6_000, 0.9, 0.5),
        Architecture("600 causal, rg 0.6, h2 0.4", 600, 0.6, 0.4),
        Architecture("600 causal, rg 0.9, h2 0.1", 600, 0.9, 0.1),
        Architecture("600 causal, rg 0.9, h2 0.4, panel of 5,000", 600, 0.9, 0.4, 5_000),
    ),
)


def simulate(folder: Path, size: Size, architecture: Architecture, seed: int) -> Study:
    """Make one study."""
    import prs

    n_gwas = dict(size.n_gwas)
    prs.simulate_study(
        folder,
        seed=seed,
        n_gwas=n_gwas,
        n_target=dict(size.n_target),
        n_reference=architecture.n_reference,
        n_variants=size.n_variants,
        n_chromosomes=size.n_chromosomes,
        sequence_length=size.sequence_length,
        n_founders=size.n_founders,
        n_causal=architecture.n_causal,
        effect_correlation=architecture.rg,
        h2=architecture.h2,
        dirt=False,
    )
    return Study.simulated(folder, size.iterations)


def judge(study: Study, result: Result) -> Iterator[tuple[str, str, float, int]]:
    """Yield method, ancestry, R2 and people: the test people, the covariates regressed out."""
    cohort = pd.read_csv(study.folder / "cohort.tsv", sep="\t", dtype={"IID": str})
    place = {str(iid): i for i, iid in enumerate(result.ids)}
    rows = cohort["IID"].map(place).to_numpy()
    columns = {name: values[rows] for name, values in result.columns.items()}

    def r2(score: np.ndarray, who: np.ndarray) -> float:
        design = np.column_stack([np.ones(who.sum()), cohort.loc[who, ["age", "sex"]]])
        both = np.column_stack([score[who], cohort.loc[who, "trait"]])
        rest = both - design @ np.linalg.lstsq(design, both, rcond=None)[0]
        return float(np.corrcoef(rest.T)[0, 1] ** 2)

    test = cohort["split"].to_numpy() == "test"
    for method, values in columns.items():
        for ancestry in dict.fromkeys(cohort["ancestry"]):
            who = test & (cohort["ancestry"].to_numpy() == ancestry)
            yield method, str(ancestry), r2(values, who), int(who.sum())


def measure(
    folder: Path, *, quick: bool, seed: int, replicates: int | None, peers: Peers
) -> tuple[list[Row], list[Row]]:
    """Return one row a study, method and ancestry; and one row a study and method with its cost."""
    size = QUICK if quick else FULL
    accuracy: list[Row] = []
    costs: list[Row] = []
    for a, architecture in enumerate(size.architectures):
        for replicate in range(replicates or size.replicates):
            where = folder / f"study{a}_{replicate}"
            drawn = np.random.SeedSequence(seed, spawn_key=(a, replicate)).generate_state(1)[0]
            study = simulate(where, size, architecture, int(drawn))
            for result in run_methods(study, peers):
                common = {"architecture": architecture.name, "replicate": replicate + 1}
                for method, ancestry, r2, n in judge(study, result):
                    accuracy.append(
                        {**common, "method": method, "ancestry": ancestry, "n": n, "r2": r2}
                    )
                method = " and ".join(result.columns)
                cost = {
                    "seconds": result.cost.wall,
                    "cpu": result.cost.cpu,
                    "peak_mb": result.cost.peak_mb,
                }
                costs.append({**common, "method": method, **cost})
                print(f"{architecture.name} {replicate + 1}: {method}, {result.cost.wall:.1f} s",
                      flush=True)  # fmt: skip
            shutil.rmtree(where)
    return accuracy, costs


def summarise(accuracy: list[Row]) -> pd.DataFrame:
    """Return the mean R2 over replicates and its 95 % interval (Student's t)."""
    from scipy.stats import t

    rows = []
    frame = pd.DataFrame(accuracy)
    keys = ["architecture", "ancestry", "method"]
    for key, part in frame.groupby(keys, sort=False):
        n = len(part)
        half = math.nan
        if n > 1:
            half = float(t.ppf(0.975, n - 1)) * float(part["r2"].std(ddof=1)) / math.sqrt(n)
        mean = float(part["r2"].mean())
        rows.append(
            (*key, n, int(part["n"].mean()), mean, max(mean - half, 0.0), min(mean + half, 1.0))
        )
    return pd.DataFrame(rows, columns=[*keys, "replicates", "people", "r2", "lower", "upper"])


def order(names: list[str]) -> list[str]:
    """Return the ancestries: the one of the large GWAS first, the admixed last."""
    return sorted(names, key=lambda name: (name != MAIN, name == "ADM", name))


def draw(summary: pd.DataFrame, path: Path) -> None:
    """Draw a panel an architecture: R2 by ancestry, a colour a method."""
    from matplotlib.figure import Figure

    from prs.figures.style import in_house_style, new_figure, png_bytes

    colors = ("#0072B2", "#56B4E9", "#009E73", "#CC79A7", "#D55E00", "#E69F00", "#222222")

    @in_house_style
    def make() -> Figure:
        panels = list(dict.fromkeys(summary["architecture"]))
        methods = list(dict.fromkeys(summary["method"]))
        columns = min(3, len(panels))
        rows = -(-len(panels) // columns)
        figure = new_figure(3.6 * columns, 3.0 * rows + 0.6)
        axes = figure.subplots(rows, columns, squeeze=False)
        for ax, name in zip(np.ravel(axes), panels, strict=False):
            part = summary[summary["architecture"] == name]
            groups = order(list(dict.fromkeys(part["ancestry"])))
            for i, method in enumerate(methods):
                own = part[part["method"] == method].set_index("ancestry").reindex(groups)
                x = np.arange(len(groups)) + 0.75 * ((i + 0.5) / len(methods) - 0.5)
                color = colors[i % len(colors)]
                ax.vlines(x, own["lower"], own["upper"], color=color, lw=1.4)
                ax.plot(x, own["r2"], "o", ms=4.5, color=color, label=method)
            ax.set_xticks(np.arange(len(groups)), groups)
            ax.set_title(name, fontsize=8.5)
            top = float(part["r2"].max())
            ax.set_ylim(0, 1.25 * top)  # intervals of few replicates may be far wider
            ax.grid(visible=False, axis="x")
        for ax in np.ravel(axes)[len(panels) :]:
            ax.set_axis_off()
        axes[0, 0].set_ylabel("R² in test people")
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=7.5)
        return figure

    path.write_bytes(png_bytes(make()))
