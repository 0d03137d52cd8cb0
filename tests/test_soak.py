"""A soak: the whole chain, over and over, on 1000 Genomes chromosome 22, in one process.

Each round is a study of its own: other causal variants, another share of heritability (none in
every third round), a disease or a quantity. GWAS are of half of each ancestry's people, who are
also its LD panel; the other half is scored and judged.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import prs
import prs.files
from prs.files import TEMPORARY_NAME

N_ROUNDS = 6
POPULATIONS = ("EUR", "AFR")
STUDY = """\
title = "Soak {seed}"
seed = {seed}
[target]
genotypes = "{genotypes}"
cohort = "cohort.tsv"
outcome = "y"
kind = "{kind}"
covariates = ["sex"]
split = "split"
[populations.EUR]
sumstats = "EUR.txt.gz"
reference = "{genotypes}"
reference_samples = "EUR.keep"
[populations.AFR]
sumstats = "AFR.txt.gz"
reference = "{genotypes}"
reference_samples = "AFR.keep"
[methods.ct]
p_thresholds = [1e-4, 0.01, 1]
[methods.csx]
n_iter = 100
n_burnin = 20
draws = 20
[harmonise]
min_overlap = 0.1
"""


def make_study(folder: Path, prefix: Path, seed: int) -> Path:
    """Write one round's files; returns the study file."""
    rng = np.random.default_rng([77, seed])
    genotypes = prs.open_genotypes(prefix)
    labels = pd.read_csv(f"{prefix}.pop.tsv", sep="\t").set_index("IID")
    labels = labels.loc[genotypes.samples.iid]
    ancestry = labels["SUPERPOP"].to_numpy()
    common = np.flatnonzero(np.abs(genotypes.eaf() - 0.5) < 0.4)[:: 1 + seed % 2]
    dosages = genotypes.read_dosages(common, dtype=np.float64)
    h2, n_causal = (0.0, 0.5, 0.9)[seed % 3], (20, 200)[seed % 2]
    causal = rng.choice(len(common), n_causal, replace=False)
    genetic = dosages[:, causal] @ rng.standard_normal(n_causal)
    genetic *= np.sqrt(h2) / genetic.std()
    y = genetic + rng.normal(0, np.sqrt(1 - h2), len(genetic))
    in_gwas = rng.random(len(y)) < 0.5
    folder.mkdir(parents=True)
    variants = genotypes.variants.take(common)
    for population in POPULATIONS:
        members = np.flatnonzero(in_gwas & (ancestry == population))
        x = dosages[members] - dosages[members].mean(axis=0)
        z = y[members] - y[members].mean()
        varies = (x**2).sum(axis=0) > 0.02 * len(members)
        x = x[:, varies]
        square = (x**2).sum(axis=0)
        beta = x.T @ z / square
        se = np.sqrt(((z[:, None] - x * beta) ** 2).sum(axis=0) / (len(z) - 2) / square)
        frame = variants.take(np.flatnonzero(varies)).to_frame()
        frame["beta"], frame["se"], frame["n"] = beta, se, len(z)
        prs.files.write_table(frame, folder / f"{population}.txt.gz")
        ids = genotypes.samples.take(members)
        lines = [f"{fid} {iid}\n" for fid, iid in zip(ids.fid, ids.iid, strict=True)]
        (folder / f"{population}.keep").write_text("".join(lines))
    judged = np.flatnonzero(~in_gwas)
    is_disease = seed % 2 == 1
    outcome = (y > np.quantile(y, 0.7)).astype(int) if is_disease else y
    cohort = pd.DataFrame(
        {
            "IID": genotypes.samples.iid[judged],
            "ancestry": ancestry[judged],
            "sex": labels["SEX"].to_numpy()[judged],
            "y": outcome[judged],
            "split": np.where(np.arange(len(judged)) % 2, "tuning", "test"),
        }
    )
    prs.files.write_table(cohort, folder / "cohort.tsv")
    study = folder / "study.toml"
    kind = "binary" if is_disease else "quantitative"
    text = STUDY.format(seed=seed, genotypes=prefix, kind=kind)
    study.write_text(text, encoding="utf-8")
    return study


def resident() -> float:
    """Megabytes of memory that this process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.mark.slow
def test_soak(shared_data: Path, tmp_path: Path) -> None:
    if not Path("/proc/self/statm").exists():
        pytest.skip("memory and open files are counted by way of /proc")
    held = []
    for seed in range(N_ROUNDS):
        folder = tmp_path / f"round {seed}"
        result = prs.run_study(make_study(folder, shared_data / "geno" / "kg1_chr22", seed))
        files = [file for file in result.folder.rglob("*") if file.is_file()]
        assert not [file for file in files if TEMPORARY_NAME.fullmatch(file.name)]
        assert result.report.stat().st_size > 100_000
        scores = prs.read_scores(result.folder / "scores" / "final.scores.tsv")
        assert np.isfinite(scores.values).all()
        accuracy = pd.read_csv(result.folder / "tables" / "accuracy.tsv", sep="\t")
        assert (accuracy["status"] == "ok").any()
        again = prs.run_study(folder / "study.toml")
        assert again.stages_run == ()
        held.append(
            (resident(), len(list(Path("/proc/self/fd").iterdir())), threading.active_count())
        )
    memory, handles, threads = zip(*held, strict=True)
    # the first two rounds (one of each kind of outcome) load what is needed; then nothing is kept
    assert max(memory[2:]) < memory[1] + 200, memory
    assert max(handles[2:]) <= handles[1] + 2, handles
    assert max(threads[2:]) <= threads[1] + 1, threads
