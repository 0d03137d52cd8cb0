"""Bayesian scores of one population by others: VIPRS (viprs, magenpy) and LDpred3.

Each fits every population alone, with that population's statistics and people for LD; the score
of the largest GWAS is one method, the populations' scores combined in tuning people by ancestry,
as ours are, another. Time and memory are of their own commands, LD included; the scores are made
by us, from their weights per allele.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from bed_reader import to_bed

from benchmarks.methods.launch import Cost, run
from benchmarks.methods.study import Result, Study, as_scores, choose, combine, score_table

#: What LD is shrunk with: effective population sizes as IMPUTE2 has them, and the people of
#: HapMap's genetic map, as GCTB's shrunk LD matrices do.
EFFECTIVE_SIZE = {"EUR": 11418, "AFR": 17469, "EAS": 14269}
MAP_PEOPLE = 183
#: How much VIPRS penalises effects for errors of the LD (its ``--lambda-min``).
LAMBDAS = (0.0, 0.1, 1.0)
Fit = Callable[[Study, str, str, Path], tuple[list[pd.DataFrame], Cost]]


def command_of(python: str, name: str) -> str:
    """Return the command that a package has put beside an interpreter.

    Raises
    ------
    RuntimeError
        If there is none of that name.
    """
    path = Path(python).with_name(name)
    if not path.exists():
        raise RuntimeError(f"{path} is not there")
    return str(path)


def common_statistics(study: Study, population: str) -> pd.DataFrame:
    """Return the statistics of the variants that our LD has too: 1 % and more in the panel."""
    table = study.statistics_table(population)
    return table[table["A1FRQ"].between(0.01, 0.99)]


def fit_viprs(
    study: Study, population: str, python: str, folder: Path
) -> tuple[list[pd.DataFrame], Cost]:
    """Fit VIPRS: SNP, A1 and BETA per standard deviation of the genotype; and what it took.

    LD by magenpy's shrinkage estimator (Wen & Stephens 2010), which its authors have for panels of
    few people and which needs genetic distances in the .bim file: with sample correlations of
    hundreds of people the fit diverges. Even so it takes noise of the LD for effects where its
    ``lambda_min`` is the default, 0 (its own estimate is the least eigenvalue, 0 for shrunk LD),
    hence a table for each of `LAMBDAS`. Other hyperparameters by EM, the default.

    Raises
    ------
    RuntimeError
        If the .bim file has no genetic distances, a command fails, or no fit converges.
    """
    bim = pd.read_csv(f"{study.reference}.bim", sep=r"\s+", header=None, usecols=[2])
    if not (bim[2] > 0).any():
        raise RuntimeError(f"{study.reference}.bim has no genetic distances")
    table = common_statistics(study, population)
    names = {"BP": "POS", "P": "PVAL", "A1FRQ": "MAF"}  # its "MAF" is the frequency of A1
    table.rename(columns=names).to_csv(folder / "gwas.txt", sep="\t", index=False)
    ld = [
        command_of(python, "mgp_compute_ld"), "--bfile", str(study.reference),
        "--keep", str(study.reference_people[population]), "--min-maf", "0.01",
        "--output-dir", str(folder / "ld"), "--temp-dir", str(folder / "temp"),
        "--estimator", "shrinkage", "--genmap-sample-size", str(MAP_PEOPLE),
        "--genmap-Ne", str(EFFECTIVE_SIZE.get(population, 15000)),
    ]  # fmt: skip
    cost = run(ld, os.cpu_count() or 1)
    made: list[pd.DataFrame] = []
    for value in LAMBDAS:
        out = folder / f"fit{value:g}"
        fit = [
            command_of(python, "viprs_fit"), "-l", f"{folder / 'ld'}/chr_*",
            "-s", str(folder / "gwas.txt"), "--sumstats-format", "magenpy", "--seed", "1",
            "--threads", str(os.cpu_count() or 1), "--output-dir", str(out),
            "--temp-dir", str(folder / "temp"), "--lambda-min", f"{value:g}",
        ]  # fmt: skip
        try:
            cost += run(fit, os.cpu_count() or 1)
        except RuntimeError:  # a fit that diverges ends in an error
            if value == LAMBDAS[-1] and not made:
                raise
            continue
        (file,) = out.glob("*.fit.gz")
        made.append(pd.read_csv(file, sep="\t"))
    return made, cost


def fit_ldpred3(
    study: Study, population: str, python: str, folder: Path
) -> tuple[list[pd.DataFrame], Cost]:
    """Fit LDpred3-auto: SNP, A1 and BETA per standard deviation of the genotype; and what it took.

    Ten chains of which those that agree are averaged, the number that its authors recommend, and
    their shrinkage of LD for panels of few people; the rest is left at its defaults. The
    population's people of the panel are what it is told to score, so that the LD, and the standard
    deviations of its weights, are of them.

    Raises
    ------
    RuntimeError
        If the command fails.
    """
    panel = study.open_panel(population)
    common_statistics(study, population).to_csv(folder / "gwas.txt", sep="\t", index=False)
    dosages = panel.read_dosages(np.arange(panel.n_variants))
    variants = panel.variants
    to_bed(
        folder / "panel.bed",
        np.where(np.isnan(dosages), -127, dosages).astype(np.int8),
        properties={
            "fid": panel.samples.fid,
            "iid": panel.samples.iid,
            "chromosome": variants.chrom.astype(str),
            "sid": variants.id,
            "bp_position": variants.pos,
            "allele_1": variants.effect_allele,
            "allele_2": variants.other_allele,
        },
    )
    command = [
        command_of(python, "ldpred3"), "--sumstats", str(folder / "gwas.txt"),
        "--plink", str(folder / "panel"), "--method", "auto", "--auto-chains", "10",
        "--ld-shrink",
        "--ncores", str(os.cpu_count() or 1), "--save-weights", str(folder / "weights.txt"),
        "--out", str(folder / "scores.txt"),
    ]  # fmt: skip
    cost = run(command, os.cpu_count() or 1)
    read = pd.read_csv(folder / "weights.txt", sep="\t")
    return [read.rename(columns={"ID": "SNP", "WEIGHT": "BETA"})], cost


def per_allele(study: Study, population: str, made: pd.DataFrame) -> pd.Series:
    """Return weights per A1 of the panel, by SNP, of effects per standard deviation."""
    table = common_statistics(study, population)
    both = table.merge(made[["SNP", "A1", "BETA"]], on="SNP", suffixes=("", "_made"))
    both = both.set_index("SNP")
    sign = np.where(both["A1"] == both["A1_made"], 1.0, -1.0)
    sd = np.sqrt(2 * both["A1FRQ"] * (1 - both["A1FRQ"]))
    return sign * both["BETA_made"] / sd


def run_alone(study: Study, python: str, name: str, fit: Fit) -> Result:
    """Fit each population, score with the first, and combine all in tuning people.

    Where a program gives several tables for a population, tuning people choose the best score.
    """
    cost = Cost(0.0, 0.0, 0.0)
    weights: dict[str, pd.Series] = {}
    columns: dict[str, list[str]] = {}
    for population in study.populations:
        folder = study.folder / f"{name.partition(':')[0]}.{population}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        tables, took = fit(study, population, python, folder)
        cost += took
        columns[population] = [f"{population} {i}" for i in range(len(tables))]
        for column, table in zip(columns[population], tables, strict=True):
            weights[column] = per_allele(study, population, table)
    keys = pd.concat([common_statistics(study, p) for p in study.populations])
    keys = keys.drop_duplicates("SNP").set_index("SNP")[["CHR", "BP", "A1", "A2"]]
    joined = keys.join(pd.DataFrame(weights), how="inner").fillna(0.0).reset_index(names="SNP")
    file = study.folder / f"{name.partition(':')[0]}.weights.tsv"
    scores = score_table(study, joined.sort_values(["CHR", "BP"], kind="stable"), file)
    chosen = {p: choose(study, scores.select(own), p) for p, own in columns.items()}
    made = {
        name: chosen[study.main],
        f"{name}, combined": combine(study, as_scores(study, chosen), f"{name}, combined"),
    }
    return Result(scores.samples.iid, made, cost)


def run_viprs(study: Study, python: str) -> Result:
    """Score by VIPRS."""
    return run_alone(study, python, "viprs: VIPRS", fit_viprs)


def run_ldpred3(study: Study, python: str) -> Result:
    """Score by LDpred3-auto."""
    return run_alone(study, python, "ldpred3: LDpred3-auto", fit_ldpred3)
