"""The section on real data: `python -m benchmarks --only real --data FOLDER`."""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from benchmarks.accuracy import LIMITED
from benchmarks.accuracy_pages import tabulate
from benchmarks.methods import Method, Peers
from benchmarks.real import catalog, chains, known_truth, pages, published
from benchmarks.sections import Made, Row, Section, markdown

__all__ = ["DATA", "SECTION", "lacks", "make"]

#: Where the real data are, unless ``--data`` says otherwise: as the tests find them.
DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
#: Rows by the name of their table.
Tables = dict[str, list[Row]]
REPLICATES, QUICK_REPLICATES = 3, 2
FOLDERS = ("geno", "sumstats", "ldpanel", "ldblocks", "pgs", "reference")


def lacks(options: argparse.Namespace) -> str | None:
    """Return what is not there of the data's folders."""
    lacking = [name for name in FOLDERS if not (options.data / name).is_dir()]
    return f"--data FOLDER with {', '.join(lacking)}" if lacking else None


def worlds_of(options: argparse.Namespace) -> tuple[known_truth.World, ...]:
    """Return the worlds that are looked at."""
    return known_truth.WORLDS[1:] if options.quick else known_truth.WORLDS


def measure_truth(options: argparse.Namespace, scratch: Path) -> Tables:
    """Return rows on traits of known truth."""

    def chosen(world: known_truth.World, replicate: int, method: Method) -> bool:
        if options.methods and method.name not in options.methods:
            return False
        few = world != known_truth.WORLDS[1] or replicate >= options.peer_replicates
        return not (method.name in LIMITED and few)

    studies, costs = known_truth.measure(
        options.data, scratch, seed=options.seed, peers=Peers.of(options), chosen=chosen,
        replicates=options.replicates or (QUICK_REPLICATES if options.quick else REPLICATES),
        worlds=worlds_of(options), iterations=300 if options.quick else 1000,
    )  # fmt: skip
    return {"studies": studies, "cost_methods": costs}


def measure_rest(options: argparse.Namespace, scratch: Path) -> Tables:
    """Return rows on published statistics and scores, and on the reference's own runs."""
    data, quick = options.data, options.quick
    ledgers, agreement, cost_published = published.measure(
        data, scratch, seed=options.seed, peers=Peers.of(options),
        cases=published.CASES[:1] if quick else published.CASES,
    )  # fmt: skip
    files, distribution, equality, cost_scores = catalog.measure(data, scratch, seed=options.seed)
    runs = chains.RUNS[:3] if quick else chains.RUNS
    compared = chains.measure(data / "reference", scratch, runs=runs)
    spent = {row["run"]: row.pop("cpu") for row in compared}
    return {
        "ledgers": ledgers,
        "agreement": agreement,
        "files": files,
        "distribution": distribution,
        "equality": equality,
        "chains": compared,
        "cost_published": cost_published,
        "cost_scores": cost_scores,
        "cost_chains": [{"run": run, "cpu": cpu} for run, cpu in spent.items()],
    }


def make(options: argparse.Namespace, scratch: Path) -> Made:
    """Measure, and say what was found."""
    tables = measure_truth(options, scratch) | measure_rest(options, scratch)
    judged = pd.DataFrame(tables["studies"])
    page, summary = pages.known_truth_page(judged, worlds_of(options), options.against)
    tables["accuracy"] = summary.to_dict("records")
    made_pages = (
        page,
        pages.published_page(tables["ledgers"], tables["agreement"], options.prscsx is not None),
        pages.catalog_page(tables["files"], tables["distribution"], tables["equality"]),
        pages.chains_page(tables["chains"]),
    )
    return Made(describe(tables, summary, options), tables, made_pages)


def describe(tables: Tables, summary: pd.DataFrame, options: argparse.Namespace) -> str:
    """Return what stands in RESULTS.md itself: the first table, and what everything cost."""
    methods = pd.DataFrame(tables["cost_methods"]).groupby("method", sort=False)
    cost = methods[["cpu", "peak_mb"]].mean().reset_index()
    cost.insert(0, "task", f"known truth, {300 if options.quick else 1000:,} iterations")
    fits = pd.DataFrame(tables["cost_published"])
    fits = fits.rename(columns={"trait": "task", "program": "method"})
    scores = pd.DataFrame(tables["cost_scores"])
    scores = scores.rename(columns={"score": "task", "program": "method"})
    runs = pd.DataFrame(tables["cost_chains"]).rename(columns={"run": "task"})
    runs = runs.assign(method="prs, in Python", peak_mb=float("nan"))
    columns = ["task", "method", "cpu", "peak_mb"]
    whole = pd.concat([part[columns] for part in (cost, fits, scores, runs)])
    shown = pd.DataFrame(
        {
            "task": whole["task"],
            "method": whole["method"],
            "CPU s": [f"{v:.2f}" for v in whole["cpu"]],
            "peak MB": ["" if pd.isna(v) else f"{v:.0f}" for v in whole["peak_mb"]],
        }
    )
    return (
        "Known truth on real genotypes: R² of scores with the true genetic value in test people "
        "± half of its 95 % interval over studies (Student's t), and below it the difference "
        f"from *{options.against}* in the same studies.\n\n"
        f"{tabulate(summary, options.against, ['architecture'])}\n\n"
        "CPU seconds and memory, whole processes unless it says otherwise:\n\n"
        f"{markdown(shown)}\n"
    )


SECTION = Section("real", "Real data", make, quick=False, lacks=lacks)
