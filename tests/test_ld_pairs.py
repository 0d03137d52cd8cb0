"""r2 of pairs: against the slow twins, and against plink1.9 where it is installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import naive_clump
import numpy as np
import pandas as pd
import pytest

from prs.errors import SettingsError
from prs.inputs.genotypes import open_genotypes
from prs.ld.pairs import iter_pairwise_r2, pairwise_r2

PLINK = Path(__file__).parent / "fixtures" / "plink"


@pytest.mark.parametrize("kind", ["dosage", "haplotype"])
def test_pairs_are_those_of_the_slow_twin(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    genotypes = open_genotypes(PLINK / "nasty")
    founders = genotypes.subset(samples=genotypes.samples.is_founder)
    X = founders.read_dosages(dtype=np.float64)
    chrom, pos = genotypes.variants.chrom, genotypes.variants.pos
    expected = {}
    for i in range(len(pos)):
        for j in range(len(pos)):
            if (pos[i], i) >= (pos[j], j) or chrom[i] != chrom[j] or pos[j] - pos[i] > 100_000:
                continue
            if kind == "dosage":
                expected[i, j] = naive_clump.dosage_r2(X[:, i], X[:, j])
            else:
                table = naive_clump.table_of(X[:, i], X[:, j])
                expected[i, j] = naive_clump.haplotype_r2_by_likelihood(table)
    found = pairwise_r2(genotypes, kb=100, min_r2=0, kind=kind, n_threads=2)
    assert found.n_compared == len(expected) > 400
    pairs = list(zip(found.first.tolist(), found.second.tolist(), strict=True))
    assert set(pairs) == set(expected)
    theirs = np.array([expected[pair] for pair in pairs])
    # the twin of "haplotype" searches the likelihood, flat at its top: 1e-6
    np.testing.assert_allclose(found.r2, theirs, atol=1e-6 if kind == "haplotype" else 1e-12)
    some = pairwise_r2(genotypes, kb=100, min_r2=0.3, kind=kind)
    np.testing.assert_array_equal(some.r2, found.r2[found.r2 >= 0.3])
    monkeypatch.setattr("prs.ld.pairs._PIECE_PAIRS", 7)
    pieces = list(iter_pairwise_r2(genotypes, kb=100, min_r2=0, kind=kind))
    assert len(pieces) > 50
    np.testing.assert_array_equal(np.concatenate([piece.r2 for piece in pieces]), found.r2)


@pytest.mark.skipif(shutil.which("plink1.9") is None, reason="plink1.9 is not installed")
@pytest.mark.parametrize("kind", ["dosage", "haplotype"])
def test_pairs_are_those_of_plink19_on_real_data(
    shared_data: Path, tmp_path: Path, kind: str
) -> None:
    prefix = shared_data / "geno" / "kg_eur_hm3_chr22"
    genotypes = open_genotypes(prefix)
    modifier = "dprime" if kind == "haplotype" else ""
    command = (
        f"plink1.9 --bfile {prefix} --r2 {modifier} --ld-window-kb 250 --ld-window 99999 "
        f"--ld-window-r2 0.2 --out {tmp_path / 'p'}"
    )
    subprocess.run(command.split(), check=True, capture_output=True)
    theirs = pd.read_csv(tmp_path / "p.ld", sep=r"\s+")
    ours = pairwise_r2(genotypes, kb=250, min_r2=0.19, kind=kind).to_frame()
    both = theirs.merge(ours, left_on=["SNP_A", "SNP_B"], right_on=["id_a", "id_b"], how="left")
    # six digits printed (and plink1.9 sums haplotypes in its own order)
    np.testing.assert_allclose(both["r2"], both["R2"], rtol=1e-5)
    assert len(theirs) == np.count_nonzero(ours["r2"] >= 0.2)


def test_impossible_settings_are_refused() -> None:
    genotypes = open_genotypes(PLINK / "nasty")
    for wrong in ({"kind": "r"}, {"kb": 0}, {"min_r2": 2}):
        with pytest.raises(SettingsError):
            pairwise_r2(genotypes, **wrong)
