"""Our methods: everybody's scores, each in a process of its own.

    python -m benchmarks.methods.ours METHOD STUDY.json OUT.npz

so that time and peak of memory are of the whole method, files to scores.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

import prs
from benchmarks.methods.launch import run
from benchmarks.methods.study import Result, Study

THRESHOLDS = (5e-8, 1e-6, 1e-4, 1e-3, 0.01, 0.05, 0.1, 0.5, 1.0)


def do_ct(study: Study) -> list[prs.Scores]:
    weights = prs.clump_and_threshold(
        study.harmonise(study.main),
        study.open_panel(study.main),
        p_thresholds=THRESHOLDS,
        r2=(0.1, 0.3, 0.6),
        kb=(100, 250, 1000),
    )
    scores = prs.score(study.open_target(), weights)
    cohort = study.read_cohort()
    best = prs.select_best(scores, cohort, name="C+T, best cell")
    stacked = prs.combine(scores, cohort, name="C+T, stacked", penalty="ridge")
    return [best.apply(scores), stacked.apply(scores)]


def _fit(study: Study, populations: list[str]) -> prs.CsxPosterior:
    n_iter = study.iterations
    return prs.fit_csx(
        {name: study.read_statistics(name) for name in populations},
        {name: prs.compute_ld(study.open_panel(name), population=name) for name in populations},
        phi="auto",
        seed=1,
        n_chains=2,
        n_iter=n_iter,
        n_burnin=None if n_iter is None else n_iter // 2,
    )


def do_cs(study: Study) -> list[prs.Scores]:
    weights = _fit(study, [study.main]).weights()
    return [prs.score(study.open_target(), weights.rename(["PRS-CS"]))]


def do_csx(study: Study) -> list[prs.Scores]:
    scores = prs.score(study.open_target(), _fit(study, study.populations).weights())
    cohort = study.read_cohort()
    (meta,) = [name for name in scores.names if "META" in name]
    members = [name for name in scores.names if name != meta]
    combined = prs.combine(scores, cohort, columns=members, name="PRS-CSx, combined", by="ancestry")
    alone = replace(scores.select(meta), names=("PRS-CSx, META",))
    return [alone, combined.apply(scores, cohort)]


CHILDREN: dict[str, Callable[[Study], list[prs.Scores]]] = {
    "ct": do_ct,
    "cs": do_cs,
    "csx": do_csx,
}


def run_ours(method: str, study: Study) -> Result:
    """Run one of our methods in a process of its own, on all processors."""
    described, out = study.folder / f"{method}.json", study.folder / f"{method}.npz"
    study.write(described)
    command = [sys.executable, "-m", "benchmarks.methods.ours", method, str(described), str(out)]
    cost = run(command, os.cpu_count() or 1)
    with np.load(out, allow_pickle=True) as made:
        columns = {f"prs: {name}": made[name] for name in made.files if name != "ids"}
        return Result(made["ids"], columns, cost)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("method", choices=sorted(CHILDREN))
    parser.add_argument("study", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    made = CHILDREN[options.method](Study.read(options.study))
    columns = {name: part.values[:, i] for part in made for i, name in enumerate(part.names)}
    np.savez(options.out, ids=made[0].samples.iid, **columns)


if __name__ == "__main__":
    main()
