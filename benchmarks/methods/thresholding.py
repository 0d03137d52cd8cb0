"""Clumping and thresholding by others: plink1.9 with plink2."""

from __future__ import annotations

import pandas as pd

from benchmarks.methods.launch import plink, run
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
