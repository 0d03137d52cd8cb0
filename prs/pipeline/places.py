"""The stage that places people: components of the GWAS populations' panels, and distances."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prs.ancestry import assign_ancestry, compute_pcs, project
from prs.evaluation.distance import genetic_distance
from prs.files import write_table
from prs.pipeline.context import Run
from prs.samples import SampleTable, match_samples

__all__ = ["Places", "place_people", "read_places"]

#: Components computed from the panels.
N_COMPONENTS = 4
#: Variants that these are computed from, at most, after pruning.
_MAX_VARIANTS = 20_000


@dataclass(frozen=True, eq=False)
class Places:
    """Where people are in the space of components.

    Attributes
    ----------
    samples : SampleTable
        The N people.
    pcs : ndarray of float64, shape (N, K)
        Their components.
    origins : dict of str to ndarray of float64, shape (N,)
        GWAS population (or whatever was known instead, in words) -> distance from its centre.
    reference_pcs : ndarray of float64, shape (R, K), or None
        Of the panels' people, where there are any.
    reference_labels : ndarray of object (str), shape (R,), or None
        Their populations.
    """

    samples: SampleTable
    pcs: NDArray[np.float64]
    origins: dict[str, NDArray[np.float64]]
    reference_pcs: NDArray[np.float64] | None = None
    reference_labels: NDArray[np.object_] | None = None


def place_people(run: Run) -> list[Path]:
    """Compute the panels' components and everybody's place among them; return the tables.

    Components need panels in one fileset, the people of each population listed; without such,
    nothing is made, and the cohort's own columns of components serve (`read_places`).
    """
    if not run.study.panels_are_shared:
        return []
    outputs = [run.folder / "ancestry" / f"{name}.tsv" for name in ("people", "panels")]
    names = list(run.study.populations)

    def work() -> str:
        panels = {name: run.reference_genotypes(name).samples for name in names}
        whole = run.study.open_reference(names[0], everybody=True)
        assert whole is not None  # all populations have one: see above
        people = np.concatenate([panel.iid for panel in panels.values()])
        labels = np.repeat(np.array(names, dtype=object), [len(p) for p in panels.values()])
        _, index = match_samples(
            SampleTable.from_ids(people), whole.samples, what="the panels", target_name=whole.path
        )
        k = N_COMPONENTS
        pcs = compute_pcs(
            whole.subset(samples=index),
            n_components=k,
            max_variants=_MAX_VARIANTS,
            seed=run.study.seed,
        )
        placed = project(pcs, run.target)
        guess = assign_ancestry(pcs.scores, labels, placed)
        columns = [f"PC{i + 1}" for i in range(k)]
        table = pd.DataFrame({"FID": run.target.samples.fid, "IID": run.target.samples.iid})
        table[columns] = placed
        for name in names:
            table[f"distance_{name}"] = genetic_distance(placed, pcs.scores[labels == name])
        table["nearest"], table["probability"] = guess.label, guess.probability.max(axis=1)
        write_table(table, outputs[0])
        panel = pd.DataFrame({"IID": people, "population": labels})
        panel[columns] = pcs.scores
        write_table(panel, outputs[1])
        unclear = int((guess.label == "unassigned").sum())
        return f"{len(pcs.variants):,} variants, {k} components; {unclear:,} people unassigned"

    run.stages.run(
        "ancestry",
        settings={"populations": names, "components": N_COMPONENTS, "seed": run.study.seed},
        inputs=[
            *run.target.files,
            *dict.fromkeys(file for name in names for file in run.reference_files(name)),
        ],
        outputs=outputs,
        work=work,
    )
    return outputs


def read_places(run: Run, made: list[Path]) -> Places | None:
    """Return everybody's place: computed from panels, or the cohort's own components.

    From the cohort's components the centre of a population is that of the people who have its
    name as their label; where no label is a population's, it is that of the reference ancestry,
    and without labels that of everybody.
    """
    if made:
        table = pd.read_csv(made[0], sep="\t", dtype={"FID": str, "IID": str, "nearest": str})
        panel = pd.read_csv(made[1], sep="\t", dtype={"IID": str, "population": str})
        columns = [c for c in table.columns if c.startswith("PC")]
        return Places(
            SampleTable.from_ids(table["IID"].to_numpy(object), table["FID"].to_numpy(object)),
            table[columns].to_numpy(np.float64),
            {
                name: table[f"distance_{name}"].to_numpy(np.float64)
                for name in run.study.populations
            },
            panel[columns].to_numpy(np.float64),
            panel["population"].to_numpy(object),
        )
    target, wanted = run.study.target, run.study.evaluation.reference_ancestry
    if not target.pcs:
        return None
    placed = run.study.read_components()
    pcs = placed.covariates
    origins: dict[str, NDArray[np.bool_]] = {"everybody": np.ones(placed.n, bool)}
    if target.by is not None:
        label = placed.labels[target.by]
        known = [name for name in run.study.populations if (label == name).any()]
        largest = str(pd.Series(label).value_counts().index[0])
        origins = {name: label == name for name in known or [wanted or largest]}
    return Places(
        placed.samples,
        pcs,
        {name: genetic_distance(pcs, pcs[home]) for name, home in origins.items()},
    )
