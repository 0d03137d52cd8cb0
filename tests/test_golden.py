"""What reading and harmonising the real data gave when it was looked at; any change is seen."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prs.inputs.genotypes import open_genotypes
from prs.inputs.harmonise import harmonise
from prs.inputs.sumstats import read_sumstats
from prs.ld.store import open_ld
from prs.quality import qc
from prs.weights.table import read_weights

GOLDEN = Path(__file__).parent / "fixtures" / "golden" / "inputs.json"

#: name -> statistics, population, n, what they are put on
SUMSTATS = {
    "yengo EUR": ("sumstats/yengo_2022_height_eur.txt.gz", "EUR", None, "ldpanel/prscsx_hgdp1kg"),
    "yengo EAS": ("sumstats/yengo_2022_height_eas.txt.gz", "EAS", None, "ldpanel/prscsx_hgdp1kg"),
    "ukb": ("sumstats/ukb_eur_height_chr22.fastGWA.gz", "EUR", None, "geno/kg_eur_hm3_chr22"),
    "mama": ("sumstats/mama_eas_bmi_chr22.txt.gz", "EAS", None, "geno/kg1_chr22"),
    "reference EUR": ("reference/sst/EUR.se.txt", "EUR", 200_000, "reference/panel"),
    "reference AFR p": ("reference/sst/AFR.p.txt", "AFR", 40_000, "reference/panel"),
}
WEIGHTS = ("PGS000001.txt.gz", "PGS000001_hmPOS_GRCh38.txt.gz", "PGS000899.txt.gz")


def describe_sumstats(folder: Path, name: str) -> dict[str, Any]:
    file, population, n, target = SUMSTATS[name]
    statistics = read_sumstats(folder / file, population=population, n=n)
    if target.startswith("geno"):
        genotypes = open_genotypes(str(folder / target))
        found = harmonise(statistics, genotypes.variants, eaf=genotypes.eaf())
        checked = qc(found, eaf=genotypes.eaf())
    else:
        ld = open_ld(folder / target, population=population)
        found = harmonise(statistics, ld.variants, eaf=ld.eaf)
        checked = qc(found, ld=ld)
    return {
        "dialect": statistics.source.dialect,
        "columns": dict(statistics.source.columns),
        "derived": list(statistics.source.derived),
        "losses": dict(statistics.source.losses),
        "fates": {label: k for label, k in found.report.counts.items() if k},
        "failed_qc": dict(checked.report.failed_qc),
        "sum_beta": float(np.sum(found.beta)),
        "sum_z2": float(np.sum(found.z**2)),
        "sum_eaf": float(np.nansum(found.eaf)),
        "mean_n": float(np.mean(found.n_eff)),
    }


def describe_weights(folder: Path, name: str) -> dict[str, Any]:
    weights = read_weights(folder / "pgs" / name)
    return {
        "n": len(weights),
        "name": weights.names[0],
        "build": weights.metadata.get("genome_build", ""),
        "sum": float(weights.weights.sum()),
        "first": weights.variants.describe([0])[0],
    }


SLOW = [pytest.param(n, marks=pytest.mark.slow) for n in SUMSTATS if n.startswith("reference")]
FAST = [n for n in SUMSTATS if not n.startswith("reference")]


@pytest.mark.parametrize("name", [*FAST, *SLOW, *WEIGHTS])
def test_real_files_give_what_they_gave(shared_data: Path, name: str) -> None:
    describe = describe_sumstats if name in SUMSTATS else describe_weights
    found = json.loads(json.dumps(describe(shared_data, name)))
    golden = json.loads(GOLDEN.read_text(encoding="utf-8")) if GOLDEN.exists() else {}
    if os.environ.get("PRS_WRITE_GOLDEN"):
        GOLDEN.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({**golden, name: found}, indent=1, sort_keys=True) + "\n"
        GOLDEN.write_text(text, encoding="utf-8")
        return
    numbers = {key for key, value in golden[name].items() if isinstance(value, float)}
    for key in golden[name].keys() | found.keys():
        if key in numbers:
            # sums over at most 120,000 float64 in another order: far below 1e-9 of their size
            assert found[key] == pytest.approx(golden[name][key], rel=1e-9), key
        else:
            assert found[key] == golden[name][key], key
