"""Clumping and thresholding by others: plink1.9 with plink2, and PRSice-2.

plink1.9 clumps at r2 0.1 within 250 kb and plink2 scores at our nine thresholds, of which tuning
people choose. PRSice does it all in one run at its defaults: r2 0.1, 250 kb, p at steps of 0.00005
from 0.00000005 to 0.5, and 1, the best of which in tuning people (covariates included) it chooses
itself.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.methods.launch import Cost, plink, program, run
from benchmarks.methods.ours import THRESHOLDS
from benchmarks.methods.study import Result, Study, as_scores, choose


def run_plink(study: Study) -> Result:
    """Clump with plink1.9 and score each threshold with plink2; tuning people choose."""
    folder = study.folder / "plink"
    folder.mkdir(exist_ok=True)
    gwas = folder / "gwas.txt"
    table = study.statistics_table(study.main)
    table[["SNP", "A1", "BETA", "P"]].to_csv(gwas, sep=" ", index=False)
    ranges = "".join(f"S{i} 0 {p}\n" for i, p in enumerate(THRESHOLDS))
    (folder / "ranges.txt").write_text(ranges)
    clump = plink(
        "plink1.9",
        f"--bfile {study.reference} --keep {study.reference_people[study.main]} "
        f"--clump {gwas} --clump-p1 1 --clump-p2 1 --clump-r2 0.1 --clump-kb 250 "
        f"--out {folder / 'c'} --allow-no-sex",
    )
    score = plink(
        "plink2",
        f"--bfile {study.target} --extract {folder / 'index.txt'} "
        f"--score {gwas} 1 2 3 header-read cols=+scoresums --q-score-range "
        f"{folder / 'ranges.txt'} {gwas} 1 4 header --out {folder / 's'}",
    )
    if clump is None or score is None:
        raise RuntimeError("plink1.9 and plink2 are not both on the PATH")
    cost = run(clump, 1)
    index = pd.read_csv(folder / "c.clumped", sep=r"\s+")["SNP"]
    (folder / "index.txt").write_text("\n".join(index))
    cost += run(score, 1)
    tables = {
        f"p {p:g}": pd.read_csv(file, sep="\t", dtype={"#IID": str, "IID": str})
        for i, p in enumerate(THRESHOLDS)
        if (file := folder / f"s.S{i}.sscore").exists()
    }
    ids = next(iter(tables.values()))["IID"].to_numpy(dtype=object)
    cells = {name: table["BETA_SUM"].to_numpy() for name, table in tables.items()}
    scores = as_scores(study, cells, ids)
    name = "plink1.9 + plink2: C+T, best cell"
    return Result(scores.samples.iid, {name: choose(study, scores, name)}, cost)


def find_prsice() -> str | None:
    """Return PRSice-2, by either of the names that it goes by."""
    return program("PRSice", "PRSice_linux")


def run_prsice_program(study: Study, options: list[str]) -> tuple[Path, Cost]:
    """Run PRSice on the statistics, panel and target of a study; return its prefix and cost.

    Raises
    ------
    RuntimeError
        If it is not on the PATH or fails.
    """
    prsice = find_prsice()
    if prsice is None:
        raise RuntimeError("PRSice is not on the PATH")
    folder = study.folder / "prsice"
    folder.mkdir(exist_ok=True)
    columns = ["SNP", "CHR", "BP", "A1", "A2", "BETA", "P"]
    study.statistics_table(study.main)[columns].to_csv(folder / "gwas.txt", sep="\t", index=False)
    command = [
        prsice, "--base", str(folder / "gwas.txt"), "--beta", "--stat", "BETA",
        "--target", str(study.target), "--ld", str(study.reference),
        "--ld-keep", str(study.reference_people[study.main]), "--thread", "1", "--seed", "1",
        "--out", str(folder / "out"), *options,
    ]  # fmt: skip
    return folder / "out", run(command, 1)


def run_prsice(study: Study) -> Result:
    """Clump, score and choose with PRSice, as it does by default."""
    people = pd.read_csv(study.cohort, sep="\t", dtype={"FID": str, "IID": str})
    tuning = people[people["split"] == "tuning"]
    folder = study.folder / "prsice"
    folder.mkdir(exist_ok=True)
    for name, columns in (("outcome", [study.outcome]), ("covariates", list(study.covariates))):
        tuning[["FID", "IID", *columns]].to_csv(folder / f"{name}.txt", sep="\t", index=False)
    binary = set(np.unique(tuning[study.outcome].dropna())) <= {0, 1}
    options = [
        "--pheno", str(folder / "outcome.txt"), "--pheno-col", study.outcome,
        "--binary-target", "T" if binary else "F",
    ]  # fmt: skip
    if study.covariates:
        options += ["--cov", str(folder / "covariates.txt")]
        options += ["--cov-col", ",".join(study.covariates)]
    out, cost = run_prsice_program(study, options)
    best = pd.read_csv(f"{out}.best", sep=r"\s+", dtype={"FID": str, "IID": str})
    name = "PRSice: C+T, best threshold"
    return Result(best["IID"].to_numpy(dtype=object), {name: best["PRS"].to_numpy()}, cost)
