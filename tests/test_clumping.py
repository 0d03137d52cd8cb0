"""Clumping: the kernels against their twins, and the clumps against plink1.9's."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import naive_clump
import numpy as np
import pandas as pd
import pytest

from prs.errors import InvalidValueError, SettingsError
from prs.inputs.genotypes import Genotypes, open_genotypes
from prs.inputs.harmonise import HarmonisedSumStats
from prs.inputs.sumstats import SumStatsSource
from prs.kernels.clump import CALLED, CARRIER, TWO, haplotype_r2, pair_r2
from prs.ld.blocks import BlockTable
from prs.ld.compute import compute_ld
from prs.ld.planes import read_planes
from prs.matching import MatchReport, match_variants
from prs.weights.clumping import Clumps, clump, clump_grid, write_clumps
from prs.weights.clumping_windows import WindowClumper
from prs.weights.threshold import clump_and_threshold

PLINK = Path(__file__).parent / "fixtures" / "plink"
SETTINGS = {
    "all": {},
    "wide": {"r2": 0.5, "kb": 1000},
    "near": {"p1": 0.05, "p2": 0.5, "r2": 0.0, "kb": 2},
}


def statistics(genotypes: Genotypes, p: np.ndarray, index: np.ndarray) -> HarmonisedSumStats:
    z = np.zeros(len(p))
    return HarmonisedSumStats(
        variants=genotypes.variants.take(index),
        reference_index=index,
        beta=np.linspace(-1, 1, len(p)),
        se=z + 1,
        z=z,
        p=p,
        n_eff=z + 1000,
        eaf=z + np.nan,
        population="EUR",
        report=MatchReport("drawn", "reference", {"same": len(p)}, genotypes.n_variants),
        source=SumStatsSource("drawn", "none", {}, (), len(p), {}, ""),
    )


def read_assoc(genotypes: Genotypes, path: Path) -> HarmonisedSumStats:
    p = pd.read_csv(path, sep=" ").set_index("SNP").P
    index = np.flatnonzero(pd.Index(genotypes.variants.id).isin(p.index))
    return statistics(genotypes, p.reindex(genotypes.variants.id[index]).to_numpy(), index)


def read_clumped(path: Path) -> list[tuple[str, list[str]]]:
    rows = [line.split() for line in path.read_text().splitlines()[1:] if line.strip()]
    return [
        (row[2], [] if row[11] == "NONE" else [m.split("(")[0] for m in row[11].split(",")])
        for row in rows
    ]


def as_pairs(clumps: Clumps) -> list[tuple[str, list[str]]]:
    frame = clumps.to_frame()
    return [
        (index, members.split(",") if members else [])
        for index, members in zip(frame["index_variant"], frame["members"], strict=True)
    ]


@pytest.mark.parametrize("tag", SETTINGS)
@pytest.mark.parametrize("name", ["nasty", "trio", "solo"])
def test_clumps_are_those_of_plink(name: str, tag: str) -> None:
    genotypes = open_genotypes(PLINK / name)
    clumps = clump(read_assoc(genotypes, PLINK / f"{name}.assoc"), genotypes, **SETTINGS[tag])
    assert as_pairs(clumps) == read_clumped(PLINK / f"{name}.{tag}.clumped")


@pytest.mark.skipif(shutil.which("plink1.9") is None, reason="plink1.9 is not installed")
@pytest.mark.parametrize("r2, kb", [(0.1, 250), (0.6, 40)])
def test_clumps_are_those_of_plink_on_real_data(
    shared_data: Path, tmp_path: Path, r2: float, kb: float
) -> None:
    prefix = shared_data / "geno" / "kg1_chr22"
    genotypes = open_genotypes(prefix)
    rng = np.random.default_rng(5)
    # two digits: many ties; half of the variants
    p = np.round(rng.random(genotypes.n_variants), 2).clip(0.01)
    index = np.flatnonzero(rng.random(genotypes.n_variants) < 0.5)
    frame = pd.DataFrame({"SNP": genotypes.variants.id[index], "P": p[index]})
    frame.to_csv(tmp_path / "a.assoc", sep=" ", index=False)
    command = (
        f"plink1.9 --bfile {prefix} --clump a.assoc --clump-p1 0.3 --clump-p2 0.8 "
        f"--clump-r2 {r2} --clump-kb {kb} --out p --threads 1 --allow-no-sex"
    )
    subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
    ours = clump(statistics(genotypes, p[index], index), genotypes, p1=0.3, p2=0.8, r2=r2, kb=kb)
    assert as_pairs(ours) == read_clumped(tmp_path / "p.clumped")


def test_r2_of_every_pair_agrees_with_the_slow_twins() -> None:
    genotypes = open_genotypes(PLINK / "nasty")
    dosages = genotypes.read_dosages(dtype=np.float64)
    everybody = np.arange(genotypes.n_samples)
    for people in (everybody, everybody[5:40:3]):
        planes, sums = read_planes(genotypes, np.arange(30), people)
        for i in range(30):
            for j in range(i + 1, 30):
                a, b = dosages[people, i], dosages[people, j]
                pair = (planes[i], planes[j], sums[i], sums[j], len(people))
                # both are exact up to rounding in sums of at most 61 squares
                assert pair_r2(*pair, False) == pytest.approx(
                    naive_clump.dosage_r2(a, b), abs=1e-12
                )
                # a search sees a top only to sqrt(float eps x |log likelihood|) ~ 1e-7 of its
                # place (the log likelihood of 61 people is at most some hundreds)
                table = naive_clump.table_of(a, b)
                assert pair_r2(*pair, True) == pytest.approx(
                    naive_clump.haplotype_r2_by_likelihood(table), abs=1e-6
                )


def test_haplotype_r2_of_tables_worked_by_hand() -> None:
    # n = 4: haplotypes 11, 22 only, no double heterozygote: r2 = 1
    assert haplotype_r2(4, 4, 4, 8, 0) == 1.0
    # everybody heterozygous at both: either phase, all one way: r2 = 1
    assert haplotype_r2(5, 5, 5, 5, 5) == pytest.approx(1.0)
    # a variant that does not vary, or nobody with both calls
    assert haplotype_r2(3, 0, 2, 0, 0) == 0.0
    assert haplotype_r2(0, 0, 0, 0, 0) == 0.0
    # the 3 x 3 table of independent variants in Hardy-Weinberg proportions, p = q = 1/2
    # (1 2 1; 2 4 2; 1 2 1): n = 16, a = b = 16, ab = 16, 4 double heterozygotes
    assert haplotype_r2(16, 16, 16, 16, 4) == pytest.approx(0.0, abs=1e-12)


def test_planes_hold_the_calls() -> None:
    genotypes = open_genotypes(PLINK / "nasty")
    people = np.arange(genotypes.n_samples)[::2]
    planes, sums = read_planes(genotypes, np.arange(genotypes.n_variants), people)
    bits = np.unpackbits(planes.view(np.uint8), axis=2, bitorder="little")
    assert not bits[:, :, len(people) :].any()
    dosages = genotypes.read_dosages(samples=people).T
    np.testing.assert_array_equal(bits[:, CARRIER, : len(people)], dosages >= 1)
    np.testing.assert_array_equal(bits[:, TWO, : len(people)], dosages == 2)
    np.testing.assert_array_equal(bits[:, CALLED, : len(people)], ~np.isnan(dosages))
    np.testing.assert_array_equal(sums, bits.sum(axis=2))


@pytest.mark.parametrize("kind", ["haplotype", "dosage"])
def test_clumping_agrees_with_the_slow_walk(kind: str) -> None:
    genotypes = open_genotypes(PLINK / "nasty")
    rng = np.random.default_rng(8)
    m = genotypes.n_variants
    p = np.round(rng.random(m), 1).clip(0.001, 0.9)
    people = np.arange(genotypes.n_samples)
    planes, sums = read_planes(genotypes, np.arange(m), people)
    r2 = np.zeros((m, m))
    for i in range(m):
        for j in range(m):
            r2[i, j] = pair_r2(
                planes[i], planes[j], sums[i], sums[j], len(people), kind == "haplotype"
            )
    given = statistics(genotypes, p, np.arange(m))
    variants = genotypes.variants
    for threshold, kb in ((0.05, 100), (0.3, 500)):
        slow = naive_clump.clump(r2, variants.chrom, variants.pos, p, 0.6, threshold, kb)
        fast = clump(given, genotypes, p1=0.6, r2=threshold, kb=kb, kind=kind)
        assert list(fast.index_variant) == list(slow)
        assert [list(rows) for rows in fast.members] == [sorted(v) for v in slow.values()]


def test_founders_threads_and_grid() -> None:
    genotypes = open_genotypes(PLINK / "trio")
    given = read_assoc(genotypes, PLINK / "trio.assoc")
    grid = clump_grid(given, genotypes, r2=(0.05, 0.2), kb=(10, 500), n_threads=3)
    for (r2, kb), owner in grid.items():
        one = clump(given, genotypes, r2=r2, kb=kb, n_threads=1)
        assert sorted(one.index_variant) == list(np.flatnonzero(owner == np.arange(len(owner))))
    founders = genotypes.samples.is_founder
    chosen = clump(given, genotypes, samples=founders)
    assert as_pairs(chosen) == as_pairs(clump(given, genotypes))


def test_bad_settings_and_foreign_statistics() -> None:
    genotypes = open_genotypes(PLINK / "trio")
    given = read_assoc(genotypes, PLINK / "trio.assoc")
    for wrong in ({"r2": 1.2}, {"kb": 0}, {"p1": 0}, {"p2": 2}, {"kind": "phased"}):
        with pytest.raises(SettingsError):
            clump(given, genotypes, **wrong)
    with pytest.raises(InvalidValueError, match="harmonise"):
        clump(given, genotypes.subset(variants=slice(0, 5)))


def test_clumps_file(tmp_path: Path) -> None:
    genotypes = open_genotypes(PLINK / "nasty")
    clumps = clump(read_assoc(genotypes, PLINK / "nasty.assoc"), genotypes)
    write_clumps(clumps, tmp_path / "x.clumps.tsv")
    frame = pd.read_csv(tmp_path / "x.clumps.tsv", sep="\t", keep_default_na=False)
    assert list(frame) == ["index_variant", "chrom", "pos", "p", "members"]
    assert frame["index_variant"].tolist() == [index for index, _ in as_pairs(clumps)]


def test_thresholds_make_columns() -> None:
    genotypes = open_genotypes(PLINK / "nasty")
    given = read_assoc(genotypes, PLINK / "nasty.assoc")
    weights = clump_and_threshold(
        given, genotypes, p_thresholds=(1e-20, 0.01, 1), r2=(0.1, 0.5), kb=(250,)
    )
    assert weights.names == tuple(  # nothing has p <= 1e-20
        f"EUR_r2_{r2}_kb_250_p_{p}" for r2 in ("0.1", "0.5") for p in ("0.01", "1")
    )
    for r2 in (0.1, 0.5):
        for p in (0.01, 1.0):
            index = np.sort(clump(given, genotypes, p1=p, r2=r2).index_variant)
            column = weights.select(f"EUR_r2_{r2:g}_kb_250_p_{p:g}")
            found = column.take(column.weights[:, 0] != 0)
            assert list(found.variants.id) == list(given.variants.id[index])
            np.testing.assert_array_equal(found.weights[:, 0], given.beta[index])
    with pytest.raises(SettingsError, match="larger p_thresholds"):
        clump_and_threshold(given, genotypes, p_thresholds=(1e-20,))


def test_clumping_from_an_ld_reference_is_that_from_its_genotypes() -> None:
    genotypes = open_genotypes(PLINK / "nasty")
    given = read_assoc(genotypes, PLINK / "nasty.assoc")
    # one block a chromosome, of people without missing calls: the same correlations
    missing = np.isnan(genotypes.read_dosages())
    people = genotypes.samples.is_founder & ~missing.all(axis=1)
    view = genotypes.subset(variants=~missing[people].any(axis=0), samples=people)
    chrom = np.unique(view.variants.chrom)
    whole = BlockTable(chrom, np.ones(len(chrom), np.int64), np.full(len(chrom), 2**28))
    ld = compute_ld(view, blocks=whole, min_maf=0, max_missing=0.9)
    match = match_variants(given.variants, ld.variants, palindromic="keep")
    ours = given.take(match.query_index)
    in_panel = replace(ours, reference_index=match.target_index)
    for settings in ({}, {"r2": 0.5, "kb": 1000}, {"p1": 0.05, "p2": 0.5, "r2": 0.01, "kb": 2}):
        by_ld = clump(in_panel, ld=ld, **settings)
        by_genotypes = clump(ours, genotypes, kind="dosage", **settings)
        assert as_pairs(by_ld) == as_pairs(by_genotypes)
    cells = {"p_thresholds": (0.01, 1), "r2": (0.1, 0.5), "kb": (100, 250)}
    first = clump_and_threshold(in_panel, ld=ld, **cells)
    second = clump_and_threshold(ours, genotypes, kind="dosage", **cells)
    assert first.names == second.names
    np.testing.assert_array_equal(first.weights, second.weights)
    with pytest.raises(SettingsError, match="either"):
        clump(ours, genotypes, ld=ld)
    with pytest.raises(SettingsError, match="either"):
        clump(ours)


@pytest.mark.parametrize("kind", ["haplotype", "dosage"])
def test_a_grid_is_its_cells_one_by_one(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    genotypes = open_genotypes(PLINK / "nasty")
    given = read_assoc(genotypes, PLINK / "nasty.assoc")
    monkeypatch.setattr("prs.weights.clumping_windows._FIRST_OF_PAIRS", 7)
    grid = clump_grid(given, genotypes, r2=(0.1, 0.3, 0.5), kb=(2, 100, 250), p1=0.5, kind=kind)
    assert len(grid) == 9
    for (r2, kb), owner in grid.items():
        options = {"r2": (r2,), "kb": (kb,), "p1": 0.5, "kind": kind}
        (alone,) = clump_grid(given, genotypes, **options).values()
        np.testing.assert_array_equal(owner, alone)


@pytest.mark.parametrize("p_values", ["drawn", "ascending", "descending"])
@pytest.mark.parametrize("n_cells", [1, 2])
def test_the_size_of_windows_changes_no_clump(
    p_values: str, n_cells: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    genotypes = open_genotypes(PLINK / "nasty")
    m = genotypes.n_variants
    p = {
        "drawn": np.random.default_rng(5).random(m).clip(1e-3),
        "ascending": np.linspace(0.001, 1, m),  # each hangs on the one before it
        "descending": np.linspace(1, 0.001, m),
    }[p_values]
    given = statistics(genotypes, p, np.arange(m))
    options = {"r2": (0.02, 0.1)[:n_cells], "kb": (3, 30)[:n_cells], "p1": 0.7}
    whole = clump_grid(given, genotypes, **options, n_threads=1)
    windows = []
    original = WindowClumper.__call__

    def count(self: WindowClumper, item: tuple[int, int, np.ndarray]) -> np.ndarray:
        windows.append(item[1] - item[0])
        return original(self, item)

    monkeypatch.setattr(WindowClumper, "__call__", count)
    monkeypatch.setattr("prs.weights.clumping_windows._MANY_CELLS", 2)
    for size, n_threads in ((9, 1), (12, 3), (1, 1)):
        plane_bytes = 3 * 8 * -(-genotypes.n_samples // 64)
        budget = size * plane_bytes
        monkeypatch.setattr("prs.weights.clumping_windows._PLANE_BYTES", budget)
        windows.clear()
        parts = clump_grid(given, genotypes, **options, n_threads=n_threads)
        assert len(windows) > m / size  # some variants had to wait for a second window
        for cell, owner in whole.items():
            np.testing.assert_array_equal(parts[cell], owner)
            assert np.count_nonzero((owner >= 0) & (owner != np.arange(m))) > 3
