"""The files of a simulated study."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prs.ancestry import compute_pcs
from prs.files import write_atomically, write_table
from prs.inputs.genotypes import open_genotypes
from prs.inputs.plink_write import write_bed
from prs.samples import SampleTable
from prs.simulate.association import Association, associate
from prs.simulate.study_toml import write_study_files
from prs.simulate.sumstats_files import Dialect, write_sumstats
from prs.simulate.world import MAIN_POPULATION, OUTCOMES, World
from prs.variants import VariantTable

__all__ = ["SimulatedStudy", "write_study"]

log = logging.getLogger(__name__)

_DIALECTS: dict[tuple[str, str], Dialect] = {
    ("disease", "EUR"): "prscs_or_p",
    ("disease", "AFR"): "prscs_beta_se",
    ("trait", "EUR"): "prscs_beta_se",
}


@dataclass(frozen=True)
class SimulatedStudy:
    """Where the files of a simulated study are.

    Attributes
    ----------
    folder : Path
        The study's folder.
    reference, target : Path
        PLINK prefixes.
    reference_samples : dict of str to Path
        Keep list of each population's reference panel.
    sumstats : dict of str to dict of str to Path
        Summary statistics by outcome ("disease", "trait") and population.
    n_gwas, n_eff : dict of str to float
        People of each GWAS, and the effective sample size of the one of the disease.
    cohort, prevalence, gwas, truth, truth_people : Path
        The target's phenotypes, the prevalences, sizes of the GWAS, true effects, true
        genetic values.
    study, study_trait : Path
        Study files for `prs.run_study`: of the disease and of the trait.
    """

    folder: Path
    reference: Path
    target: Path
    reference_samples: dict[str, Path]
    sumstats: dict[str, dict[str, Path]]
    n_gwas: dict[str, float]
    n_eff: dict[str, float]
    cohort: Path
    prevalence: Path
    gwas: Path
    study: Path
    study_trait: Path
    truth: Path
    truth_people: Path


def write_study(
    out: Path,
    world: World,
    streams: Mapping[str, np.random.SeedSequence],
    *,
    n_pcs: int,
    tuning_share: float,
    prevalence: Mapping[str, float],
    dirt: bool,
) -> SimulatedStudy:
    """Write everything; the parameters are those of `simulate_study`.

    `streams` has "cohort" (who is missing what, order, split) and "files" (dirt).
    """
    panel_stream, cohort_stream = streams["cohort"].spawn(2)
    reference, keep = _write_reference(out, world, dirt, np.random.default_rng(panel_stream))
    rng = np.random.default_rng(cohort_stream)
    target, people, samples = _write_target(out, world, dirt, rng)
    cohort = _write_cohort(out, world, people, samples, n_pcs, tuning_share, target, rng)

    names = [group.population for group in world.groups if group.role == "gwas"]
    associations = {name: _associate(world, name) for name in names}
    sumstats: dict[str, dict[str, Path]] = {outcome: {} for outcome in OUTCOMES}
    rows = []
    file_streams = iter(streams["files"].spawn(len(OUTCOMES) * len(names)))
    for outcome in OUTCOMES:
        for name in names:
            association = associations[name][outcome]
            dialect = _DIALECTS.get((outcome, name), "gwas_ssf")
            suffix = "tsv.gz" if dialect == "gwas_ssf" else "txt.gz"
            path = out / "sumstats" / f"{outcome}.{name}.{suffix}"
            sumstats[outcome][name] = write_sumstats(
                path,
                world.variants,
                association,
                dialect=dialect,
                dirt=dirt,
                rng=np.random.default_rng(next(file_streams)),
            )
            cases = association.n_cases
            rows.append(
                {
                    "file": f"sumstats/{path.name}",
                    "outcome": outcome,
                    "population": name,
                    "n": association.n,
                    "n_cases": "NA" if cases is None else cases,
                    "n_controls": "NA" if cases is None else association.n - cases,
                    "n_eff": round(association.n_eff),
                }
            )
    named = [group.population for group in world.groups if group.role == "target"]
    gwas = pd.DataFrame(rows)
    study, study_trait = write_study_files(
        out, gwas, {name: prevalence[name] for name in named}, MAIN_POPULATION
    )
    return SimulatedStudy(
        folder=out,
        reference=reference,
        target=target,
        reference_samples=keep,
        sumstats=sumstats,
        n_gwas={name: float(a["trait"].n) for name, a in associations.items()},
        n_eff={name: a["disease"].n_eff for name, a in associations.items()},
        cohort=cohort,
        prevalence=write_table(
            pd.DataFrame({"ancestry": named, "prevalence": [prevalence[name] for name in named]}),
            out / "prevalence.tsv",
        ),
        gwas=write_table(gwas, out / "gwas.tsv"),
        study=study,
        study_trait=study_trait,
        truth=_write_truth(out, world),
        truth_people=_write_truth_people(out, world, people, samples),
    )


def _associate(world: World, name: str) -> dict[str, Association]:
    own = np.flatnonzero((world.population == name) & (world.role == "gwas"))
    log.info("GWAS of %s people (%s)", f"{len(own):,}", name)
    return associate(world.haplotypes, world.phenotypes, slice(int(own[0]), int(own[-1]) + 1))


def _drop_some(n: int, dirt: bool, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the variants that a fileset has: all but about 0.2 %."""
    dropped = rng.choice(n, round(0.002 * n) if dirt else 0, replace=False)
    return np.setdiff1d(np.arange(n), dropped)


def _write_reference(
    out: Path, world: World, dirt: bool, rng: np.random.Generator
) -> tuple[Path, dict[str, Path]]:
    people = np.flatnonzero(world.role == "reference")
    population = world.population[people]
    number = np.concatenate([np.arange(1, g.n + 1) for g in world.groups if g.role == "reference"])
    iid = np.array([f"{p}{k:04d}" for p, k in zip(population, number, strict=True)], dtype=object)
    samples = _make_samples(iid, world.phenotypes.sex[people])
    kept = _drop_some(len(world.variants), dirt, rng)
    write_bed(
        out / "reference",
        world.read_people(people, kept),
        world.variants.take(kept),
        samples,
        centimorgan=np.round(world.centimorgan[kept], 4),
    )
    keep = {}
    for name in dict.fromkeys(population):
        keep[name] = out / f"reference.{name}.txt"
        with write_atomically(keep[name]) as temporary:
            text = "".join(f"{i}\t{i}\n" for i in iid[population == name])
            temporary.write_text(text, encoding="utf-8", newline="\n")
    return out / "reference", keep


def _make_samples(iid: NDArray[np.object_], sex: NDArray[np.int8]) -> SampleTable:
    return SampleTable(iid.copy(), iid, sex, np.ones(len(iid), bool))


def _write_target(
    out: Path, world: World, dirt: bool, rng: np.random.Generator
) -> tuple[Path, NDArray[np.int64], SampleTable]:
    """Write the target, its people in random order, A1 the rarer allele as PLINK 1 has it."""
    people = rng.permutation(np.flatnonzero(world.role == "target"))
    iid = np.array([f"T{k:05d}" for k in range(1, len(people) + 1)], dtype=object)
    samples = _make_samples(iid, world.phenotypes.sex[people])
    kept = _drop_some(len(world.variants), dirt, rng)
    swap = np.concatenate([d.mean(axis=0) > 1 for d in world.read_people(people, kept)])
    miss_rate = rng.uniform(0, 0.01, len(kept)) if dirt else np.zeros(len(kept))
    # a few poor DNA samples
    person_rate = np.where(rng.random(len(people)) < 0.005, 0.03, 0.0) if dirt else 0.0
    variants = world.variants.take(kept)
    variants = VariantTable(
        variants.chrom,
        variants.pos,
        variants.id,
        np.where(swap, variants.other_allele, variants.effect_allele),
        np.where(swap, variants.effect_allele, variants.other_allele),
    )

    def chunks() -> Iterator[NDArray[np.int8]]:
        done = 0
        for dosages in world.read_people(people, kept):
            here = slice(done, done + dosages.shape[1])
            done = here.stop
            calls = np.where(swap[here], 2 - dosages, dosages).astype(np.int8)
            if dirt:
                rate = miss_rate[None, here] + np.reshape(person_rate, (-1, 1))
                calls[rng.random(calls.shape, dtype=np.float32) < rate] = -1
            yield calls

    write_bed(
        out / "target",
        chunks(),
        variants,
        samples,
        centimorgan=np.round(world.centimorgan[kept], 4),
    )
    return out / "target", people, samples


def _write_cohort(
    out: Path,
    world: World,
    people: NDArray[np.int64],
    samples: SampleTable,
    n_pcs: int,
    tuning_share: float,
    target: Path,
    rng: np.random.Generator,
) -> Path:
    population = world.population[people]
    split = np.full(len(people), "test", dtype=object)
    for name in dict.fromkeys(population):  # the same share of each ancestry
        own = rng.permutation(np.flatnonzero(population == name))
        split[own[: round(tuning_share * len(own))]] = "tuning"
    pcs = compute_pcs(open_genotypes(target), n_components=n_pcs, seed=0)
    frame = pd.DataFrame(
        {
            "FID": samples.fid,
            "IID": samples.iid,
            "ancestry": population,
            "split": split,
            "age": world.phenotypes.age[people],
            "sex": world.phenotypes.sex[people],
        }
    )
    for k in range(n_pcs):
        frame[f"PC{k + 1}"] = [f"{v:.4f}" for v in pcs.scores[:, k]]
    frame["disease"] = world.phenotypes.disease[people]
    frame["trait"] = [f"{v:.3f}" for v in world.phenotypes.trait[people]]
    return write_table(frame, out / "cohort.tsv")


def _write_truth(out: Path, world: World) -> Path:
    frame = world.truth.copy()
    for column in frame.columns[6:]:
        frame[column] = [f"{v:.6g}" for v in frame[column]]
    return write_table(frame, out / "truth.tsv.gz")


def _write_truth_people(
    out: Path, world: World, people: NDArray[np.int64], samples: SampleTable
) -> Path:
    frame = pd.DataFrame({"IID": samples.iid, "ancestry": world.population[people]})
    for row, outcome in enumerate(OUTCOMES):
        frame[f"g_{outcome}"] = [f"{v:.5f}" for v in world.values[row, people]]
    frame["liability"] = [f"{v:.5f}" for v in world.phenotypes.liability[people]]
    return write_table(frame, out / "truth_people.tsv.gz")
