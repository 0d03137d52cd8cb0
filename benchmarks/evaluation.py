"""Time the evaluation of a large cohort, and count how often credible intervals hold the truth.

    python -m benchmarks.evaluation [--people 50000] [--bootstrap 2000] [--data-sets 100]
        [--studies 2000]

The bootstrap is timed beside the same resampling in plain NumPy (counts by ``bincount``, then a
matrix product), in turn in one run; rows hold medians.
"""

from __future__ import annotations

import argparse
import logging
import time
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pandas as pd

from benchmarks import coverage
from prs.evaluation.bootstrap import bootstrap_means
from prs.evaluation.evaluate import evaluate
from prs.evaluation.uncertainty import summarise_draws
from prs.samples import SampleTable
from prs.simulate.prior import simulate_from_prior
from prs.weights.csx import fit_csx

Row = dict[str, object]


@dataclass(frozen=True)
class _Scores:
    samples: SampleTable
    values: np.ndarray
    names: tuple[str, ...]


def numpy_bootstrap(columns: np.ndarray, n_bootstrap: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    n = len(columns)
    sums = np.empty((n_bootstrap, columns.shape[1]))
    chunk = max(1, 4_000_000 // n)
    for start in range(0, n_bootstrap, chunk):
        b = min(chunk, n_bootstrap - start)
        drawn = rng.integers(0, n, (b, n)) + np.arange(b)[:, None] * n
        counts = np.bincount(drawn.ravel(), minlength=b * n).reshape(b, n)
        sums[start : start + b] = counts.astype(float) @ columns
    return sums / n


def time_bootstrap(n_people: int, n_bootstrap: int, repeats: int = 3) -> Row:
    columns = np.random.default_rng(0).normal(size=(n_people, 10))
    strata = np.zeros(n_people, np.int64)
    bootstrap_means(columns[:100], strata[:100], n_bootstrap=2, seed=0)  # compiles
    ours, plain = [], []
    for r in range(repeats):
        start = time.perf_counter()
        bootstrap_means(columns, strata, n_bootstrap=n_bootstrap, seed=r)
        ours.append(time.perf_counter() - start)
        start = time.perf_counter()
        numpy_bootstrap(columns, n_bootstrap, r)
        plain.append(time.perf_counter() - start)
    mine, other = float(np.median(ours)), float(np.median(plain))
    return {
        "what": f"bootstrap, {n_bootstrap:,} x {n_people:,} people, 10 columns",
        "prs": f"{mine:.2f} s",
        "peer": f"NumPy {other:.2f} s",
        "ratio": f"{other / mine:.1f}",
    }


def time_evaluate(n_people: int, n_bootstrap: int) -> Row:
    rng = np.random.default_rng(1)
    genetic = rng.normal(size=n_people)
    people = SampleTable.from_ids([f"p{i}" for i in range(n_people)])
    scores = _Scores(
        people,
        np.column_stack([genetic + k * rng.normal(size=n_people) for k in (1, 2)]),
        ("a", "b"),
    )
    cohort = SimpleNamespace(
        samples=people,
        outcome=(genetic + rng.normal(size=n_people) > 2).astype(float),
        outcome_name="disease",
        outcome_kind="binary",
        covariates=rng.normal(size=(n_people, 1)),
        covariate_names=("age",),
        labels={"ancestry": rng.choice(["EUR", "AFR", "EAS"], n_people).astype(object)},
        split=None,
    )
    start = time.perf_counter()
    evaluate(scores, cohort, prevalence=0.1, n_bootstrap=n_bootstrap)
    return {
        "what": f"evaluate, 2 scores, {n_people:,} people, {n_bootstrap:,} samples",
        "prs": f"{time.perf_counter() - start:.1f} s",
        "peer": "",
        "ratio": "",
    }


def count_coverage(n_data_sets: int, phi: float | str) -> list[Row]:
    """Share of 90 per cent intervals that hold a person's genetic value, effects from the prior."""
    held: list[dict[str, object]] = []
    for r in range(n_data_sets):
        world = simulate_from_prior(
            {"A": 20_000.0, "B": 5_000.0},
            phi=0.05,
            ld_decay={"A": 0.8, "B": 0.6},
            seed=10_000 + r,
        )
        posterior = fit_csx(
            world.sumstats, world.ld, phi=phi, n_iter=1500, n_burnin=500, n_chains=1, seed=r,
            keep_draws=True,
        )  # fmt: skip
        assert posterior.draws is not None
        for k, name in enumerate(posterior.populations):
            people, truth = world.genotypes[name], world.genetic_values(name)
            u = summarise_draws(
                people @ posterior.draws[name].T.astype(float),
                ids=np.arange(len(people)).astype(str),
                score=people @ posterior.beta_mean[k],
            )
            inside = (u.score_lower <= truth) & (truth <= u.score_upper)
            held.append({"population": name, "all": inside.mean(), "top": inside[u.in_top].mean()})
    table = pd.DataFrame(held).groupby("population")
    mean, error = table.mean(), table.sem()
    return [
        {
            "what": f"coverage of 90 % intervals, {name}, {part}, phi {phi}",
            "prs": f"{mean.loc[name, part]:.3f} (SE {error.loc[name, part]:.3f})",
            "peer": "",
            "ratio": "",
        }
        for name in mean.index
        for part in ("all", "top")
    ]


def count_intervals(n_studies: int) -> list[Row]:
    """Share of 95 per cent intervals that hold the truth; recalibrated slopes on new people."""
    rows: list[Row] = [
        {
            "what": f"coverage of 95 % intervals, {row['figure']}",
            "prs": f"{row['held']:.3f} ({row['n']:,} studies)",
            "peer": "",
            "ratio": "",
        }
        for row in coverage.interval_coverage(n_studies).to_dict("records")
    ]
    slopes = coverage.slope_table(min(n_studies, 500))
    for group, row in slopes.iterrows():
        rows.append(
            {
                "what": f"recalibrated slope on new people, ancestry {group}",
                "prs": f"{row['mean']:.3f} (SE {row['se']:.3f})",
                "peer": "",
                "ratio": "",
            }
        )
    return rows


def main(arguments: list[str] | None = None) -> list[Row]:
    """Run everything, print a table, return its rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=50_000)
    parser.add_argument("--bootstrap", type=int, default=2000)
    parser.add_argument("--data-sets", type=int, default=100)
    parser.add_argument("--studies", type=int, default=2000)
    given = parser.parse_args(arguments)
    logging.getLogger("prs").setLevel(logging.ERROR)  # short chains say that they are short
    rows = [
        time_bootstrap(given.people, given.bootstrap),
        time_evaluate(given.people, given.bootstrap),
    ]
    rows += count_intervals(given.studies)
    for phi in (0.05, "auto"):
        rows += count_coverage(given.data_sets, phi)
    print(pd.DataFrame(rows).to_string(index=False))
    return rows


if __name__ == "__main__":
    main()
