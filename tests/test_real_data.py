"""Published statistics, a PRS-CSx panel and 1000 Genomes chromosome 22, by the same commands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from prs.cli import main

STUDY = """\
title = "Height on chromosome 22 of the 1000 Genomes"
seed = 1
out = "{out}"
[target]
genotypes = "{data}/geno/kg1_chr22"
cohort = "{out}/cohort.tsv"
outcome = "height"
kind = "quantitative"
covariates = ["sex"]
split = "split"
[populations.EUR]
sumstats = "{data}/sumstats/yengo_2022_height_eur.txt.gz"
ld = "{data}/ldpanel/prscsx_hgdp1kg"
[populations.EAS]
sumstats = "{data}/sumstats/yengo_2022_height_eas.txt.gz"
ld = "{data}/ldpanel/prscsx_hgdp1kg"
[methods.ct]
p_thresholds = [1e-6, 0.01, 1]
[methods.csx]
single = ["EUR"]
n_iter = 200
n_burnin = 100
[harmonise]
min_overlap = 0.02
"""


def write_cohort(data: Path, path: Path) -> None:
    """Give the 1000 Genomes people a height that the published effects explain by half."""
    import prs

    target = prs.open_genotypes(data / "geno" / "kg1_chr22")
    gwas = prs.read_sumstats(data / "sumstats" / "yengo_2022_height_eur.txt.gz", population="EUR")
    matched = prs.harmonise(gwas, target.variants, eaf=target.eaf(), min_overlap=0.02)
    top = np.argsort(matched.p)[:60]
    dosages = target.read_dosages(matched.reference_index[top], dtype=np.float64)
    genetic = dosages @ matched.beta[top]
    rng = np.random.default_rng(5)
    height = genetic + rng.normal(0, genetic.std(), len(genetic))
    labels = pd.read_csv(data / "geno" / "kg1_chr22.pop.tsv", sep="\t").set_index("IID")
    people = target.samples.iid
    pd.DataFrame(
        {
            "IID": people,
            "ancestry": labels.loc[people, "SUPERPOP"].to_numpy(),
            "sex": labels.loc[people, "SEX"].to_numpy(),
            "height": np.round(170 + 6 * height / height.std(), 2),
            "split": np.where(rng.random(len(people)) < 0.5, "tuning", "test"),
        }
    ).to_csv(path, sep="\t", index=False)


def test_the_study_runs_end_to_end(
    shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results"
    out.mkdir()
    write_cohort(shared_data, out / "cohort.tsv")
    study = tmp_path / "study.toml"
    study.write_text(STUDY.format(data=shared_data, out=out))
    with pytest.raises(SystemExit) as stop:
        main(["run", str(study)])
    printed = capsys.readouterr()
    assert not stop.value.code, printed.err
    accuracy = pd.read_csv(out / "tables" / "accuracy.tsv", sep="\t").set_index(["score", "group"])
    # the trait is made of European effects: European people are predicted, well beyond chance
    assert accuracy.loc[("cs_EUR", "EUR"), "correlation_lower"] > 0.1
    assert set(accuracy.loc["csx_META"].index) == {"EUR", "AFR", "EAS", "AMR", "all"}
    for population, rows in (("EUR", 891), ("EAS", 881)):
        fates = pd.read_csv(out / "harmonised" / f"{population}.match.tsv", sep="\t")
        text = shared_data / "sumstats" / f"yengo_2022_height_{population.lower()}.txt.gz"
        assert fates["n"].sum() == len(pd.read_csv(text, sep=" "))
        assert abs(fates["n"].sum() - rows) < 30
    with pytest.raises(SystemExit) as stop:
        main(["run", str(study)])
    assert not stop.value.code
    again = capsys.readouterr().out
    assert "evaluate and report: unchanged, kept" in again
