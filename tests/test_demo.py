"""The demo study: our clumps and scores against PLINK's, and what the report must show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from prs.inputs.genotypes import open_genotypes
from prs.inputs.harmonise import harmonise
from prs.inputs.sumstats import read_sumstats
from prs.pipeline import run_study
from prs.scoring import score
from prs.weights.clumping import clump
from prs.weights.table import read_weights

FIXTURES = Path(__file__).parent / "fixtures" / "demo"


def test_clumps_are_those_of_plink(demo: Path) -> None:
    panel = open_genotypes(demo / "reference", samples_file=demo / "reference.EUR.txt")
    whole = open_genotypes(demo / "reference")
    gwas = read_sumstats(demo / "sumstats" / "disease.EUR.txt.gz", population="EUR", n=29328)
    statistics = harmonise(gwas, whole.variants, eaf=whole.eaf(), palindromic="keep")
    clumps = clump(statistics, panel, p1=1, p2=1, r2=0.1, kb=250).to_frame()
    theirs = pd.read_csv(FIXTURES / "demo.clumped.gz", sep=r"\s+")
    assert list(clumps["index_variant"]) == list(theirs["SNP"])
    members = theirs["SP2"].str.replace("(1)", "", regex=False).replace("NONE", "")
    ours = [frozenset(m.split(",")) for m in clumps["members"].fillna("")]
    assert ours == [frozenset(m.split(",")) for m in members]


def test_scores_are_those_of_plink2(demo: Path) -> None:
    theirs = pd.read_csv(FIXTURES / "demo.sscore.gz", sep="\t")
    scores = score(open_genotypes(demo / "target"), read_weights(FIXTURES / "demo.score.gz"))
    assert list(scores.samples.iid) == list(theirs["IID"])
    expected = theirs["BETA_SUM"].to_numpy() if "BETA_SUM" in theirs else theirs.iloc[:, -1]
    # six significant digits are printed: half a unit of the last one, relative
    np.testing.assert_allclose(scores.values[:, 0], expected, rtol=5e-6, atol=1e-6)


@pytest.mark.slow
def test_the_report_shows_what_the_field_knows(demo: Path, tmp_path: Path) -> None:
    text = (demo / "study.toml").read_text()
    for name in ("target", "cohort.tsv", "reference", "sumstats/"):
        text = text.replace(f'"{name}', f'"{demo}/{name}')
    study = tmp_path / "study.toml"
    study.write_text(text)
    result = run_study(study)
    tables = result.folder / "tables"
    accuracy = pd.read_csv(tables / "accuracy.tsv", sep="\t").set_index(["score", "group"])
    r2 = accuracy["r2_liability"]
    # the score of one population's GWAS loses accuracy elsewhere ...
    assert r2["cs_EUR", "AFR"] < 0.7 * r2["cs_EUR", "EUR"]
    # ... and the others' GWAS give part of it back, most where they are small
    gain = {
        group: r2["csx_combined", group] - r2["cs_EUR", group] for group in ("EUR", "AFR", "EAS")
    }
    assert gain["AFR"] > max(gain["EUR"], 0)
    assert gain["EAS"] > max(gain["EUR"], 0)
    assert accuracy.loc[("csx_combined", "ADM"), "status"].startswith("insufficient data")
    contrasts = pd.read_csv(tables / "contrasts.tsv", sep="\t")
    top = contrasts[(contrasts["score"] == "csx_combined") & (contrasts["group"] == "AFR")]
    assert (top["risk_ratio"].dropna() > 2).all()
    # one model for everybody is miscalibrated in some ancestry; recalibrated it is not
    calibration = pd.read_csv(tables / "calibration.tsv", sep="\t")
    ours = calibration[(calibration["score"] == "csx_combined") & (calibration["status"] == "ok")]
    ours = ours[ours["group"] != "all"].set_index(["model", "group"])
    off = (ours["oe_lower"] > 1) | (ours["oe_upper"] < 1)
    assert off["uncorrected"].any()
    assert not off["recalibrated"].any()
