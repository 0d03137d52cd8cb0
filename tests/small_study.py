"""A whole study of 160 variants and 480 people, made in a moment: files as a user has them.

Two populations, AAA and BBB, copy their haplotypes from eight founders a block of 20 variants
(so there is LD), with other founder frequencies in each. A fifth of the variants are causal.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prs.inputs.plink_write import write_bed
from prs.samples import SampleTable
from prs.variants import VariantTable

N_BLOCKS, BLOCK, N_FOUNDERS = 8, 20, 8
POPULATIONS = ("AAA", "BBB")
N_GWAS = {"AAA": 4000, "BBB": 1500}


@dataclass(frozen=True)
class SmallStudy:
    """Paths of the files, and the truth."""

    folder: Path
    target: Path
    reference: Path
    cohort: Path
    study: Path
    variants: VariantTable
    effects: NDArray[np.float64]

    def sumstats(self, population: str) -> Path:
        return self.folder / f"gwas.{population}.txt"

    def keep(self, population: str) -> Path:
        return self.folder / f"{population}.keep.txt"


def make_small_study(folder: Path, seed: int = 7, outcome: str = "disease") -> SmallStudy:
    rng = np.random.default_rng(seed)
    n_variants = N_BLOCKS * BLOCK
    letters = np.array(["AG", "CA", "TC", "GT", "AT"])[rng.integers(0, 5, n_variants)]
    variants = VariantTable(
        np.repeat([21, 22], n_variants // 2).astype(np.int8),
        np.tile(10_000_000 + 3_000 * np.arange(n_variants // 2), 2),
        np.array([f"rs{1000 + j}" for j in range(n_variants)], dtype=object),
        np.array([pair[0] for pair in letters], dtype=object),
        np.array([pair[1] for pair in letters], dtype=object),
    )
    founders = rng.integers(0, 2, (N_BLOCKS, N_FOUNDERS, BLOCK), dtype=np.int8)
    shares = {pop: rng.dirichlet(np.full(N_FOUNDERS, 2.0), N_BLOCKS) for pop in POPULATIONS}

    def dosages(population: str, n: int) -> NDArray[np.int8]:
        blocks = []
        for block in range(N_BLOCKS):
            chosen = rng.choice(N_FOUNDERS, size=2 * n, p=shares[population][block])
            haplotypes = founders[block][chosen]
            flip = rng.random(haplotypes.shape) < 0.03  # so that no two variants are the same
            blocks.append((haplotypes ^ flip).reshape(n, 2, BLOCK).sum(axis=1))
        return np.concatenate(blocks, axis=1).astype(np.int8)

    effects = np.zeros(n_variants)
    causal = rng.choice(n_variants, n_variants // 5, replace=False)
    effects[causal] = rng.normal(0, 0.25, len(causal))
    folder.mkdir(parents=True, exist_ok=True)
    for population in POPULATIONS:
        _write_gwas(
            folder, population, dosages(population, N_GWAS[population]), effects, variants, rng
        )

    groups = np.repeat(POPULATIONS, 150)
    people = SampleTable.from_ids([f"R{i}" for i in range(len(groups))])
    panel = np.concatenate([dosages(pop, 150) for pop in POPULATIONS])
    write_bed(folder / "reference", panel, variants, people)
    for population in POPULATIONS:
        ids = people.iid[groups == population]
        (folder / f"{population}.keep.txt").write_text("".join(f"0 {iid}\n" for iid in ids))

    groups = np.repeat(POPULATIONS, 240)
    people = SampleTable.from_ids([f"T{i}" for i in range(len(groups))])
    called = np.concatenate([dosages(pop, 240) for pop in POPULATIONS])
    genetic = called @ effects
    liability = genetic - genetic.mean() + rng.normal(0, genetic.std(), len(groups))
    called[rng.random(called.shape) < 0.005] = -1
    write_bed(folder / "target", called, variants, people)
    frame = pd.DataFrame(
        {
            "FID": people.fid,
            "IID": people.iid,
            "ancestry": groups,
            "split": np.where(np.arange(len(groups)) % 2 == 0, "tuning", "test"),
            "age": rng.integers(40, 70, len(groups)),
            "sex": rng.integers(1, 3, len(groups)),
            "disease": (liability > np.quantile(liability, 0.6)).astype(int),
            "trait": np.round(liability, 4),
        }
    )
    frame.to_csv(folder / "cohort.tsv", sep="\t", index=False)
    (folder / "study.toml").write_text(STUDY.replace("OUTCOME", outcome), encoding="utf-8")
    return SmallStudy(
        folder,
        folder / "target",
        folder / "reference",
        folder / "cohort.tsv",
        folder / "study.toml",
        variants,
        effects,
    )


def _write_gwas(
    folder: Path,
    population: str,
    dosages: NDArray[np.int8],
    effects: NDArray[np.float64],
    variants: VariantTable,
    rng: np.random.Generator,
) -> None:
    genotypes = dosages - dosages.mean(axis=0)
    genetic = genotypes @ effects
    trait = genetic + rng.normal(0, genetic.std(), len(genetic))
    trait = (trait - trait.mean()) / trait.std()
    square = (genotypes**2).sum(axis=0)
    beta = genotypes.T @ trait / square
    se = np.sqrt(1 / square)
    frame = pd.DataFrame(
        {
            "CHR": variants.chrom,
            "POS": variants.pos,
            "SNP": variants.id,
            "A1": variants.effect_allele,
            "A2": variants.other_allele,
            "A1_FREQ": dosages.mean(axis=0) / 2,
            "BETA": beta,
            "SE": se,
            "N": len(dosages),
        }
    )
    frame["P"] = np.clip(_two_sided(beta / se), 1e-300, 1)
    frame.to_csv(folder / f"gwas.{population}.txt", sep="\t", index=False)


def _two_sided(z: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.stats import norm

    return 2 * norm.sf(np.abs(z))


STUDY = """\
title = "A small study"
seed = 3
[target]
genotypes = "target"
cohort = "cohort.tsv"
outcome = "OUTCOME"
covariates = ["age", "sex"]
split = "split"
[populations.AAA]
sumstats = "gwas.AAA.txt"
reference = "reference"
reference_samples = "AAA.keep.txt"
[populations.BBB]
sumstats = "gwas.BBB.txt"
reference = "reference"
reference_samples = "BBB.keep.txt"
[methods.ct]
populations = ["AAA"]
p_thresholds = [1e-4, 0.01, 1]
[methods.csx]
single = ["AAA"]
n_iter = 200
n_burnin = 100
[evaluation.prevalence]
AAA = 0.4
BBB = 0.4
"""
