"""Small generated datasets with everything that is awkward, against PLINK's own answers."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_clumping import as_pairs, read_clumped

import prs
from prs.inputs.plink_write import write_bed
from prs.samples import SampleTable
from prs.variants import VariantTable

N_DATASETS = 60
PLINKS = [shutil.which(name) for name in ("plink1.9", "plink2")]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(None in PLINKS, reason="plink1.9 and plink2 are not both installed"),
]


@dataclass(frozen=True)
class Nasty:
    """A fileset, p values and weights, drawn from a seed."""

    prefix: Path
    dosages: np.ndarray
    assoc: pd.DataFrame
    weights: pd.DataFrame
    has_sex_chromosomes: bool


def draw(folder: Path, seed: int) -> Nasty:
    rng = np.random.default_rng(seed)
    n = int(rng.choice([1, 2, 3, 4, 5, 9, 31, 63, 64, 65, 130]))
    m = int(rng.choice([1, 2, 3, 8, 40, 90]))
    # haplotypes of a few founders with some mutation: LD of every strength
    founders = rng.random((6, m)) < rng.beta(0.7, 0.7, m)
    haplotypes = founders[rng.integers(0, 6, 2 * n)] ^ (rng.random((2 * n, m)) < 0.05)
    dosages = haplotypes.reshape(n, 2, m).sum(axis=1).astype(np.int8)
    for j in np.flatnonzero(rng.random(m) < 0.1):
        dosages[:, j] = rng.choice([0, 1, 2])  # does not vary; or everybody is heterozygous
    for j in np.flatnonzero(rng.random(m) < 0.1):
        dosages[:, j] = dosages[:, max(j - 1, 0)]  # the same, twice
    dosages[rng.random((n, m)) < rng.choice([0, 0.02, 0.4])] = -1
    dosages[rng.random(n) < rng.choice([0, 0.1])] = -1  # nobody home
    dosages[:, rng.random(m) < 0.03] = -1
    sex_chromosomes = bool(rng.random() < 0.3)
    chrom = np.sort(rng.choice([1, 23, 24, 26] if sex_chromosomes else [1, 2, 7, 22], m))
    pos = rng.integers(1, rng.choice([300, 100_000, 1_000_000]), m)
    order = np.lexsort((pos, chrom))
    letters = np.array(["AG", "CA", "TC", "GT", "AT", "CG", "AC"])[rng.integers(0, 7, m)]
    ids = np.array([f"rs{i}" for i in range(m)], dtype=object)
    variants = VariantTable(
        chrom[order].astype(np.int8),
        pos[order].astype(np.int32),
        ids,
        np.array([pair[0] for pair in letters], dtype=object),
        np.array([pair[1] for pair in letters], dtype=object),
    )
    sex = rng.integers(1, 3, n).astype(np.int8)
    if sex_chromosomes and rng.random() < 0.7:  # in others men have heterozygous calls on X
        on_x = variants.chrom == 23
        male = (sex == 1)[:, None] & on_x[None, :]
        dosages[male & (dosages == 1)] = 2
    is_child = rng.random(n) < rng.choice([0, 0.3])
    people = SampleTable(
        np.array([f"F{i}" for i in range(n)], dtype=object),
        np.array([f"I{i}" for i in range(n)], dtype=object),
        sex,
        ~is_child,
    )
    write_bed(folder / "g", dosages, variants, people)
    fam = pd.read_csv(folder / "g.fam", sep=r"\s+", header=None, dtype=str)
    fam[2] = np.where(is_child, "dad", "0")
    fam[3] = np.where(is_child, "mum", "0")
    fam.to_csv(folder / "g.fam", sep="\t", header=False, index=False)

    p = rng.choice([rng.random(m), np.round(rng.random(m), 1), np.full(m, 0.5)])
    p = np.where(rng.random(m) < 0.05, 10.0 ** -rng.integers(20, 200, m), p).clip(1e-250, 1)
    swap = rng.random(m) < 0.3
    assoc = pd.DataFrame(
        {
            "SNP": ids,
            "A1": np.where(swap, variants.other_allele, variants.effect_allele),
            "A2": np.where(swap, variants.effect_allele, variants.other_allele),
            "P": p,
        }
    )
    assoc = assoc[(rng.random(m) < 0.9) | (np.arange(m) == 0)]
    again = assoc[rng.random(len(assoc)) < 0.1].assign(P=lambda f: np.round(f["P"] / 2, 6) + 1e-6)
    assoc = pd.concat([assoc, again]).sample(frac=1, random_state=seed)
    weights = pd.DataFrame(
        {
            "SNP": ids,
            "A1": np.where(rng.random(m) < 0.5, variants.other_allele, variants.effect_allele),
            "W1": np.round(rng.normal(size=m), 3),
            "W2": np.where(rng.random(m) < 0.5, 0.0, np.round(rng.normal(size=m), 3)),
        }
    ).sample(frac=1, random_state=seed)
    return Nasty(folder / "g", dosages, assoc, weights, sex_chromosomes)


def plink(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command.split(), "--threads", "1"], cwd=folder, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(N_DATASETS))
def test_clumps_are_those_of_plink(tmp_path: Path, seed: int) -> None:
    data = draw(tmp_path, seed)
    rng = np.random.default_rng(1000 + seed)
    p1, p2 = [(1, 1), (0.5, 0.6), (0.01, 1), (0.01, 0.5)][rng.integers(4)]  # p2 >= p1 there
    r2, kb = rng.choice([0.0, 0.05, 0.1, 0.5, 0.99]), rng.choice([1, 50, 250, 5000])
    data.assoc.to_csv(tmp_path / "a.assoc", sep=" ", index=False)
    done = plink(
        tmp_path,
        f"plink1.9 --bfile g --clump a.assoc --clump-p1 {p1} --clump-p2 {p2} --clump-r2 {r2} "
        f"--clump-kb {kb} --allow-no-sex --out p",
    )
    genotypes = prs.open_genotypes(data.prefix)
    gwas = prs.read_sumstats(tmp_path / "a.assoc", population="X", need_n=False, need_effect=False)
    given = prs.harmonise(gwas, genotypes.variants, palindromic="keep", prefer="p", min_overlap=0)
    ours = as_pairs(prs.clump(given, genotypes, p1=p1, p2=p2, r2=r2, kb=kb))
    if (tmp_path / "p.clumped").exists():
        # PLINK lists rows of the file, so a variant with two rows can be twice in a clump
        theirs = [
            (index, [name for name in dict.fromkeys(members) if name != index])
            for index, members in read_clumped(tmp_path / "p.clumped")
        ]
        assert ours == theirs
    elif "no founders" not in done.stdout + done.stderr:  # PLINK then does nothing
        assert "No significant" in done.stdout + done.stderr, done.stdout + done.stderr
        assert ours == []


def assert_printed(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Compare with numbers that were printed with six digits."""
    scale = np.nanmax(np.abs(theirs), initial=1e-6)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5 * scale)


@pytest.mark.parametrize("seed", range(N_DATASETS))
def test_scores_are_those_of_plink2(tmp_path: Path, seed: int) -> None:
    data = draw(tmp_path, seed)
    rng = np.random.default_rng(2000 + seed)
    data.weights.to_csv(tmp_path / "w.txt", sep="\t", index=False)
    skip, x_males = bool(rng.random() < 0.5), int(rng.choice([1, 2]))
    scale = str(rng.choice(["none", "center", "standardize"]))
    genotypes = prs.open_genotypes(data.prefix)
    if not genotypes.samples.is_founder.any():
        scale, skip = "none", True  # PLINK 2 has no frequencies then; we take everybody's
    if scale != "none":
        # PLINK 2 adds an uncentred 2f for missing calls, and takes 2f off men who count 0 or 1
        skip, x_males = True, 2
    if scale == "standardize" and data.has_sex_chromosomes:
        scale = "center"  # not defined there
    modifiers = (
        " no-mean-imputation" * skip
        + {
            "none": "",
            "center": " center",
            "standardize": " variance-standardize",
        }[scale]
    )
    done = plink(
        tmp_path,
        f"plink2 --bfile g --score w.txt 1 2 header-read{modifiers} cols=+scoresums "
        f"--score-col-nums 3-4 --xchr-model {x_males} --bad-freqs --out s",
    )
    options = {"missing": "skip" if skip else "mean", "scale": scale, "x_males": x_males}
    weights = prs.read_weights(tmp_path / "w.txt")
    if not (tmp_path / "s.sscore").exists():
        # an allele that no founder has: PLINK 2 stops, a variance of 0 is 0 here
        assert "variance-standardize failure" in done.stdout + done.stderr
        return
    theirs = pd.read_csv(tmp_path / "s.sscore", sep="\t")
    sums = prs.score(genotypes, weights, **options)
    assert_printed(sums.values, theirs[["W1_SUM", "W2_SUM"]].to_numpy())
    averages = prs.score(genotypes, weights, average=True, **options)
    assert_printed(averages.values, theirs[["W1_AVG", "W2_AVG"]].to_numpy())


@pytest.mark.parametrize("seed", range(N_DATASETS))
def test_scores_are_those_of_plink19(tmp_path: Path, seed: int) -> None:
    data = draw(tmp_path, seed)
    rng = np.random.default_rng(3000 + seed)
    genotypes = prs.open_genotypes(data.prefix)
    autosomal = genotypes.variants.id[genotypes.variants.chrom < 23]  # elsewhere: as PLINK 2
    weights = data.weights[data.weights["SNP"].isin(autosomal)]
    if len(weights) == 0 or not genotypes.samples.is_founder.any():
        return
    weights.to_csv(tmp_path / "w.txt", sep="\t", index=False)
    skip, center = [(False, False), (True, False), (False, True)][rng.integers(3)]
    # PLINK 1.9 gives no sums without imputation: averages are compared
    modifiers = "no-mean-imputation" if skip else "sum center" if center else "sum"
    done = plink(
        tmp_path,
        f"plink1.9 --bfile g --score w.txt 1 2 3 header {modifiers} --allow-no-sex --out s",
    )
    if not (tmp_path / "s.profile").exists():
        raise AssertionError(done.stdout + done.stderr)
    theirs = pd.read_csv(tmp_path / "s.profile", sep=r"\s+")
    ours = prs.score(
        genotypes,
        prs.read_weights(tmp_path / "w.txt", columns=["W1"]),
        missing="skip" if skip else "mean",
        scale="center" if center else "none",
        average=skip,
    )
    # a person without any call has no average; PLINK 1.9 writes 0
    values = np.nan_to_num(ours.values[:, 0])
    assert_printed(values, theirs["SCORE" if skip else "SCORESUM"].to_numpy())
