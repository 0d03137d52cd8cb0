"""Relatives: KING-robust against its twin, plink2, and families of known kinship."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from naive_kinship import king

from prs.ancestry.kinship import SECOND_DEGREE, find_relatives, least_kinship, relatives_note
from prs.errors import SettingsError
from prs.inputs.genotypes import Genotypes, open_genotypes
from prs.inputs.plink_write import write_bed
from prs.samples import SampleTable
from prs.variants import VariantTable

M = 3000


def family_calls() -> np.ndarray:
    """Two ancestries of 12 founders; of the first: a child of 0 and 1, its sib, a twin of 5."""
    rng = np.random.default_rng(7)
    f = rng.uniform(0.1, 0.9, (2, M))
    haplotypes = [(rng.random((2, M)) < f[i // 12]).astype(int) for i in range(24)]

    def gamete(person: int) -> np.ndarray:
        return haplotypes[person][rng.integers(0, 2, M), np.arange(M)]

    children = [np.array([gamete(0), gamete(1)]) for _ in range(2)]
    half = np.array([gamete(0), gamete(2)])
    people = [*haplotypes, *children, half, haplotypes[5]]
    calls = np.array([h.sum(axis=0) for h in people], float)
    calls[rng.random(calls.shape) < 0.02] = np.nan
    return calls


@pytest.fixture(scope="module")
def calls() -> np.ndarray:
    return family_calls()


@pytest.fixture(scope="module")
def prefix(calls: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("kin") / "family"
    variants = VariantTable(
        np.repeat([1, 2], M // 2).astype(np.int8),
        (1000 * (1 + np.arange(M))).astype(np.int32),
        np.array([f"rs{j}" for j in range(M)], dtype=object),
        np.full(M, "A", dtype=object),
        np.full(M, "G", dtype=object),
    )
    write_bed(path, calls, variants, SampleTable.from_ids([f"p{i}" for i in range(len(calls))]))
    return path


@pytest.fixture(scope="module")
def genotypes(prefix: Path) -> Genotypes:
    return open_genotypes(prefix)


def test_kinship_equals_its_twin(genotypes: Genotypes, calls: np.ndarray) -> None:
    found = find_relatives(genotypes, min_kinship=-10.0, min_maf=0.0)
    assert len(found) == 28 * 27 // 2
    assert found.attrs["n_pairs"] == len(found)
    for row in found.itertuples():
        i, j = int(row.IID1[1:]), int(row.IID2[1:])
        assert row.kinship == pytest.approx(king(calls[i], calls[j]), abs=1e-12)


def test_relatives_are_found_and_named(genotypes: Genotypes) -> None:
    found = find_relatives(genotypes).set_index(["IID1", "IID2"])
    assert found.loc[("p5", "p27"), "relation"] == "same person or twin"
    expected = {
        **{(f"p{a}", f"p{b}"): 0.25 for a in (0, 1) for b in (24, 25)},
        ("p0", "p26"): 0.25,
        ("p2", "p26"): 0.25,
        ("p24", "p25"): 0.25,
        ("p24", "p26"): 0.125,
        ("p25", "p26"): 0.125,
        ("p5", "p27"): 0.5,
    }
    assert set(found.index) == set(expected)
    for pair, phi in expected.items():
        # about 0.36 M heterozygous calls each; the SE of the ratio is below 0.7 / sqrt(0.36 M)
        assert found.loc[pair, "kinship"] == pytest.approx(phi, abs=4 * 0.7 / np.sqrt(0.36 * M))


def test_across_a_split(genotypes: Genotypes) -> None:
    tuning, test = [f"p{i}" for i in range(24)], ["p24", "p27"]
    found = find_relatives(genotypes, between=(tuning, test))
    assert set(zip(found["IID1"], found["IID2"], strict=True)) == {
        ("p0", "p24"), ("p1", "p24"), ("p5", "p27")
    }  # fmt: skip
    assert "3 pairs of relatives" in relatives_note(found)
    assert "2 test people" in relatives_note(found)
    assert "within the one sample" in relatives_note(found, one_sample=True)
    nobody = find_relatives(genotypes, between=(tuning[12:], test))
    assert relatives_note(nobody).startswith("No close relatives")
    assert least_kinship(genotypes.variants) > 0.35  # 6 Mb: only the same person can be told
    few = find_relatives(genotypes, between=(tuning[12:], test), min_kinship=0.36)
    assert relatives_note(few).startswith("No duplicates")
    one = find_relatives(genotypes, between=(tuning, test), n_threads=1)
    pd.testing.assert_frame_equal(found, one)
    with pytest.raises(SettingsError, match="not in"):
        find_relatives(genotypes, between=(["x"], test))
    with pytest.raises(SettingsError, match="too few"):
        find_relatives(genotypes, max_variants=50)


@pytest.mark.skipif(shutil.which("plink2") is None, reason="plink2 is not installed")
def test_kinship_equals_plink2(genotypes: Genotypes, prefix: Path, tmp_path: Path) -> None:
    subprocess.run(
        ["plink2", "--bfile", prefix, "--make-king-table", "--out", tmp_path / "k"],
        check=True,
        capture_output=True,
    )
    theirs = pd.read_csv(tmp_path / "k.kin0", sep="\t")
    kinship = {frozenset(r[:2]): r[2] for r in theirs[["IID1", "IID2", "KINSHIP"]].to_numpy()}
    ours = find_relatives(genotypes, min_kinship=-10.0, min_maf=0.0)
    for row in ours.itertuples():
        # plink2 writes six digits
        expected = kinship[frozenset((row.IID1, row.IID2))]
        assert row.kinship == pytest.approx(expected, abs=1e-6 + 5e-6 * abs(expected))
    assert pytest.approx(0.0884, abs=1e-4) == SECOND_DEGREE
