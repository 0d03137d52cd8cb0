"""Traits of known truth on real genotypes: 1000 Genomes people, chromosome 22.

Effects are drawn, everybody's genetic value follows from their own genotypes, and GWAS statistics
are drawn as b ~ N(R beta, R / n) with R the LD of a half of each population, so that a GWAS may be
larger than the sample. The people whose LD made the statistics are in no test. There are no noise
and no choice of people in the genetic value itself: the squared correlation of a score with it is
what a score could explain of a trait that is all inherited, and is known far better from a hundred
people than the R2 of a trait with noise.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

import prs
from benchmarks.methods import METHODS, Method, Peers, Result, Study
from benchmarks.methods.study import as_scores
from prs.inputs.plink_write import write_bed
from prs.simulate.association import simulate_sumstats
from prs.simulate.coalescent import Founders
from prs.simulate.traits import draw_effects

Row = dict[str, Any]
Floats = NDArray[np.float64]

MIN_MAF = 0.01
#: Shares of each population whose LD makes the GWAS, who tune, and (the rest) who are judged.
GWAS_SHARE, TUNING_SHARE = 0.5, 0.2
BLOCKS = {"EUR": "ldetect_EUR", "EAS": "ldetect_ASN", "AFR": "ldetect_AFR"}


@dataclass(frozen=True)
class World:
    """How the trait is made, and what there is to learn it from.

    Attributes
    ----------
    name, label : str
        In tables, and (shorter) in figures.
    n_causal : int
    rg : float
        Correlation of effects per allele between populations.
    h2 : float
        Share of the trait's variance in each population that chromosome 22 explains.
    own_panel : bool
        Whether the LD panel is of the GWAS's own people; else it is of the tuning people, who are
        others and fewer.
    trait : int
        Worlds of one number have the same effects, people and GWAS.
    n_gwas : tuple of (str, int)
    """

    name: str
    label: str
    n_causal: int
    rg: float
    h2: float
    own_panel: bool
    trait: int
    n_gwas: tuple[tuple[str, int], ...] = (("EUR", 20_000), ("EAS", 5_000), ("AFR", 5_000))


WORLDS = (
    World("20 causal, rg 1", "20\ncausal", 20, 1.0, 0.5, True, 0),
    World("500 causal, rg 0.8", "500\ncausal", 500, 0.8, 0.5, True, 1),
    World("500 causal, rg 0.8, LD of other people", "other\npanel", 500, 0.8, 0.5, False, 1),
)


@dataclass(frozen=True, eq=False)
class People:
    """The real people.

    Attributes
    ----------
    genotypes : Genotypes
        N people, the M variants that are common somewhere.
    ancestry : ndarray of str, shape (N,)
    sex : ndarray of int8, shape (N,)
        1 male, 2 female.
    dosages : ndarray of float64, shape (N, M)
    """

    genotypes: prs.Genotypes
    ancestry: NDArray[np.object_]
    sex: NDArray[np.int8]
    dosages: Floats


def read_people(data: Path, scratch: Path) -> People:
    """Write the variants with a MAF of 1 % in any population as a fileset; return its people."""
    whole = prs.open_genotypes(data / "geno" / "kg1_chr22")
    table = pd.read_csv(data / "geno" / "kg1_chr22.pop.tsv", sep="\t", dtype=str).set_index("IID")
    ancestry = table.loc[whole.samples.iid, "SUPERPOP"].to_numpy(dtype=object)
    common = np.zeros(whole.n_variants, dtype=bool)
    for name in dict.fromkeys(ancestry):
        eaf = whole.subset(ancestry == name).eaf()
        common |= np.minimum(eaf, 1 - eaf) >= MIN_MAF
    chosen = whole.subset(variants=common)
    prefix = scratch / "people"
    write_bed(prefix, chosen.read_dosages(), chosen.variants, chosen.samples)
    genotypes = prs.open_genotypes(prefix)
    dosages = genotypes.read_dosages(dtype=np.float64)
    return People(genotypes, ancestry, genotypes.samples.sex, dosages)


def make_study(
    data: Path, people: People, world: World, folder: Path, seed: tuple[int, ...]
) -> tuple[Study, Floats]:
    """Draw effects, values, a trait, a split of the people, and statistics; write them.

    Returns
    -------
    study : Study
    values : ndarray of float64, shape (N,)
        Genetic values, of variance h2 in each population.
    """
    folder.mkdir(parents=True)
    effect_stream, split_stream, noise_stream, gwas_stream = np.random.SeedSequence(
        seed[0], spawn_key=seed[1:]
    ).spawn(4)
    ancestry, x = people.ancestry, people.dosages
    names = [str(name) for name in dict.fromkeys(ancestry)]
    frequency = np.stack([x[ancestry == name].mean(axis=0) / 2 for name in names], axis=1)
    variants = people.genotypes.variants
    nobody = np.zeros((len(variants), 0), dtype=np.int8)
    founders = Founders(
        variants.pos, np.zeros(len(variants)), nobody, nobody[0], frequency,
        np.ones(len(variants), dtype=bool),
    )  # fmt: skip
    effects = draw_effects(
        founders, world.n_causal, n_traits=1, correlation=world.rg, typed_share=1.0,
        rng=np.random.default_rng(effect_stream),
    )[0]  # fmt: skip

    rng = np.random.default_rng(split_stream)
    role = np.full(len(ancestry), "test", dtype=object)
    values = np.empty(len(ancestry))
    for k, name in enumerate(names):
        own = np.flatnonzero(ancestry == name)
        raw = x[own] @ effects[:, k]
        effects[:, k] *= np.sqrt(world.h2) / raw.std()
        values[own] = x[own] @ effects[:, k]
        values[own] -= values[own].mean()
        mixed = rng.permutation(own)
        first, second = (round(share * len(own)) for share in (GWAS_SHARE, TUNING_SHARE))
        role[mixed[:first]] = "gwas"
        role[mixed[first : first + second]] = "tuning"
    rng = np.random.default_rng(noise_stream)
    trait = values + rng.normal(0, np.sqrt(1 - world.h2), len(values))
    iid = people.genotypes.samples.iid
    cohort = pd.DataFrame(
        {"IID": iid, "ancestry": ancestry, "sex": people.sex, "trait": trait, "split": role}
    )
    cohort[role != "gwas"].to_csv(folder / "cohort.tsv", sep="\t", index=False)

    gwas_seeds = gwas_stream.generate_state(len(world.n_gwas))
    for (name, n), gwas_seed in zip(world.n_gwas, gwas_seeds, strict=True):
        own = (ancestry == name) & (role == "gwas")
        ld = prs.compute_ld(
            people.genotypes, samples=own, population=name, min_maf=MIN_MAF,
            blocks=data / "ldblocks" / f"{BLOCKS[name]}.hg19.bed",
        )  # fmt: skip
        rows = pd.Index(variants.id).get_indexer(ld.variants.id)
        beta = effects[rows, names.index(name)] * x[np.ix_(own, rows)].std(axis=0)
        blocks = [matrix for _, matrix in ld.blocks(None)]
        z = simulate_sumstats(blocks, n, beta, int(gwas_seed))
        write_statistics(ld, z, n, folder / f"{name}.txt")
        lenders = own if world.own_panel else (ancestry == name) & (role == "tuning")
        lines = "".join(f"{i}\t{i}\n" for i in iid[lenders])
        (folder / f"people.{name}.txt").write_text(lines)
    prefix = Path(people.genotypes.path)
    study = Study(
        folder=folder,
        sumstats={name: folder / f"{name}.txt" for name, _ in world.n_gwas},
        n_gwas=dict(world.n_gwas),
        reference=prefix,
        reference_people={name: folder / f"people.{name}.txt" for name, _ in world.n_gwas},
        target=prefix,
        cohort=folder / "cohort.tsv",
        covariates=("sex",),
    )
    return study, values


def write_statistics(ld: prs.LDReference, z: Floats, n: int, path: Path) -> None:
    """Write z-scores as a GWAS's table; effects per allele, of a trait of unit variance."""
    from scipy.special import ndtr

    se = 1 / (ld.sd * np.sqrt(n + z**2))
    pd.DataFrame(
        {
            "SNP": ld.variants.id,
            "CHR": ld.variants.chrom,
            "BP": ld.variants.pos,
            "A1": ld.variants.effect_allele,
            "A2": ld.variants.other_allele,
            "EAF": ld.eaf,
            "BETA": z * se,
            "SE": se,
            "P": np.maximum(2 * ndtr(-np.abs(z)), 1e-300),
            "N": n,
        }
    ).to_csv(path, sep="\t", index=False)


def judge(study: Study, people: People, values: Floats, results: list[Result]) -> list[Row]:
    """Return a row a method and ancestry: R2 of genetic value and of trait, in test people.

    The R2 of the trait is `prs.evaluate`'s, over sex, with its interval and its status.
    """
    columns = {name: made for result in results for name, made in result.columns.items()}
    ids = results[0].ids
    if any(not np.array_equal(result.ids, ids) for result in results):
        raise RuntimeError("methods scored other people, or in another order")
    scores, cohort = as_scores(study, columns, ids), study.read_cohort()
    judged = prs.evaluate(scores, cohort, n_bootstrap=200).accuracy
    rows = []
    test = cohort.test()
    place = pd.Index(people.genotypes.samples.iid).get_indexer(test.ids)
    for method, score in columns.items():
        for ancestry in dict.fromkeys(people.ancestry[place]):
            who = place[people.ancestry[place] == ancestry]
            found = judged[(judged["score"] == method) & (judged["group"] == ancestry)].iloc[0]
            made = score[pd.Index(ids.astype(str)).get_indexer(people.genotypes.samples.iid[who])]
            r = np.corrcoef(made, values[who])[0, 1] if made.std() > 0 else np.nan
            rows.append(
                {
                    "method": method,
                    "ancestry": str(ancestry),
                    "n": len(who),
                    "value_r2": float(r**2),
                    "trait_r2": float(found["r2_incremental"]),
                    "trait_lower": float(found["r2_incremental_lower"]),
                    "trait_upper": float(found["r2_incremental_upper"]),
                    "status": str(found["status"]),
                }
            )
    return rows


def run_methods(study: Study, peers: Peers, chosen: Callable[[Method], bool]) -> list[Result]:
    """Run the methods that are here and chosen; a peer that fails is named and left out."""
    results = []
    for method in METHODS:
        if not (method.find(peers) and chosen(method)):
            continue
        try:
            results.append(method.run(study, peers))
        except RuntimeError as error:
            if not method.needs:
                raise
            print(f"{method.needs} failed: {error}", flush=True)
    return results


def measure(
    data: Path,
    scratch: Path,
    *,
    seed: int,
    replicates: int,
    peers: Peers,
    chosen: Callable[[World, int, Method], bool] = lambda *_: True,
    worlds: tuple[World, ...] = WORLDS,
    iterations: int | None = 1000,
) -> tuple[list[Row], list[Row]]:
    """Run methods on every world and replicate.

    Parameters
    ----------
    data, scratch : Path
    seed, replicates : int
    peers : Peers
    chosen : callable
        Whether a method runs in a world and replicate (from 0).
    worlds : tuple of World
    iterations : int or None
        Of samplers.

    Returns
    -------
    judged : list of dict
        A row a world, replicate, method and ancestry.
    costs : list of dict
        A row a world, replicate and program.
    """
    people = read_people(data, scratch)
    judged: list[Row] = []
    costs: list[Row] = []
    # all worlds' first studies come first: a run that is stopped has some of each
    for replicate, world in product(range(replicates), worlds):
        folder = scratch / "study"
        with threadpool_limits(1, "blas"):  # small blocks: two threads wait for each other
            study, values = make_study(data, people, world, folder, (seed, world.trait, replicate))
        results = run_methods(
            replace(study, iterations=iterations), peers, partial(chosen, world, replicate)
        )
        common = {"architecture": world.name, "replicate": replicate + 1}
        judged += [{**common, **row} for row in judge(study, people, values, results)]
        for result in results:
            method = " and ".join(result.columns)
            cost = {"cpu": result.cost.cpu, "peak_mb": result.cost.peak_mb}
            costs.append({**common, "method": method, **cost})
        print(f"{world.name}, study {replicate + 1} of {replicates}", flush=True)
        shutil.rmtree(folder)
    return judged, costs
