"""Quality rules: each catches what it is for, is counted once, and can be switched off."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from prs.errors import SettingsError
from prs.inputs.builds import _known
from prs.inputs.genotypes import open_genotypes
from prs.inputs.harmonise import HarmonisedSumStats, harmonise
from prs.inputs.ledger import write_ledger
from prs.inputs.regions import LONG_RANGE_LD
from prs.inputs.sumstats import read_sumstats
from prs.ld.consistency import ld_misfits
from prs.ld.reference import LDReference
from prs.ld.store import open_ld
from prs.matching import Fate
from prs.quality import OFF, QcRules, implied_sd_ratio, qc
from prs.variants import VariantTable

M, N_GWAS, N_PANEL = 200, 50_000, 1000


@pytest.fixture(scope="module")
def world() -> tuple[LDReference, np.ndarray]:
    """A panel of one block with neighbours correlated 0.9, and z drawn from its model."""
    rng = np.random.default_rng(5)
    r = 0.9 ** np.abs(np.subtract.outer(np.arange(M), np.arange(M)))
    effects = np.zeros(M)
    effects[[20, 90, 150]] = 9, -12, 7
    z = r @ effects + np.linalg.cholesky(r) @ rng.standard_normal(M)
    panel = np.linalg.cholesky(r) @ rng.standard_normal((M, N_PANEL))  # R of 1,000 people
    variants = VariantTable(
        np.full(M, 6, np.int8),
        np.arange(M) * 100_000 + 20_000_000,
        np.array([f"rs{i}" for i in range(M)], object),
        np.array(["A"] * M, object),
        np.array(["C"] * M, object),
    )
    eaf = rng.uniform(0.1, 0.9, M)
    ld = LDReference.from_blocks(variants, eaf, [np.corrcoef(panel)], n_samples=N_PANEL)
    return ld, z


def gwas(folder: Path, world, change=None, **columns) -> HarmonisedSumStats:
    """A file with these statistics, changed, read and put on the panel."""
    ld, z = world
    frame = ld.variants.to_frame().assign(eaf=ld.eaf, n=N_GWAS, info=0.99, z=z, **columns)
    frame["se"] = 1 / np.sqrt(2 * ld.eaf * (1 - ld.eaf) * N_GWAS)
    if change is not None:
        change(frame)
    frame["beta"] = frame.z * frame.se
    path = folder / "gwas.tsv"
    frame.drop(columns="z").to_csv(path, sep="\t", index=False, na_rep="NA")
    return harmonise(
        read_sumstats(path, population="EUR"), ld.variants, eaf=ld.eaf, target_name="panel"
    )


def put(column, rows, value):
    def change(frame):
        frame.loc[rows, column] = value(frame.loc[rows, column]) if callable(value) else value

    return change


PLANTED = {
    "maf": (put("eaf", [3, 7], 0.005), {"min_maf": None}),
    "info": (put("info", [3, 7], 0.5), {"min_info": None}),
    "n": (put("n", [3, 7], N_GWAS // 2), {"min_n_share": None}),
    # a standard error three times too large implies a third of the genotype's SD
    "sd": (put("se", [3, 7], lambda se: 3 * se), {"sd": False}),
    "eaf_difference": (
        put("eaf", [3, 7], lambda f: f - 0.35 * np.sign(f - 0.5)),
        {"max_eaf_difference": None},
    ),
}


@pytest.mark.parametrize("rule", PLANTED)
def test_each_rule_takes_what_it_is_for_and_can_be_switched_off(tmp_path, world, rule):
    ld, _ = world
    change, off = PLANTED[rule]
    harmonised = gwas(tmp_path, world, change)
    found = qc(harmonised, eaf=ld.eaf)
    assert set(range(M)) - set(found.reference_index) == {3, 7}
    assert found.report.failed_qc == {rule: 2}
    assert found.report.counts["failed_qc"] == 2
    assert found.report.n_input == M
    assert found.ledger.counts == {"same": M - 2, f"failed_qc: {rule}": 2}
    assert set(np.flatnonzero(found.ledger.code == len(Fate))) == {3, 7}
    without = qc(harmonised, eaf=ld.eaf, rules=replace(QcRules(), **off))
    assert rule not in without.report.failed_qc
    assert qc(harmonised, eaf=ld.eaf, rules=OFF) is harmonised


def test_variants_that_their_neighbours_contradict_are_found(tmp_path, world):
    ld, z = world
    n = np.full(M, float(N_GWAS))
    assert not ld_misfits(z, n, ld).any()
    planted = [21, 90, 92]  # strong and well tagged, of the wrong sign
    wrong = z.copy()
    wrong[planted] *= -1
    assert list(np.flatnonzero(ld_misfits(wrong, n, ld))) == planted
    # one order of z for each n: a variant of another sample size is no misfit
    fewer = np.where(np.arange(M) == 21, N_GWAS / 4, N_GWAS)
    assert not ld_misfits(z * np.sqrt(fewer / N_GWAS), fewer, ld).any()
    found = qc(gwas(tmp_path, world, put("z", planted, lambda x: -x)), ld=ld)
    assert found.report.failed_qc == {"ld": 3}
    with pytest.raises(SettingsError, match="z has shape"):
        ld_misfits(z[:5], n, ld)


def test_the_inverse_without_the_misfits_is_the_inverse_of_the_rest(world):
    """The updates against a new inverse each time, by plain loops (the slow twin)."""
    from prs.ld.consistency import RIDGE, _misfits_of_block

    ld, z = world
    wrong = z.copy()
    wrong[[21, 90, 92]] *= -1
    r = ld.read_block(0).astype(float)
    alive, slow = list(range(M)), []
    while True:
        q = np.linalg.inv((1 - RIDGE) * r[np.ix_(alive, alive)] + RIDGE * np.eye(len(alive)))
        chi = []
        for j, own in enumerate(q):
            residual = own @ wrong[alive] / own[j]
            size = max(abs(wrong[alive[j]] - residual), abs(wrong[alive[j]]))
            chi.append(residual**2 / (1 / own[j] + (0.15 * size) ** 2))
        if max(chi) <= 29.72:
            break
        slow.append(alive.pop(int(np.argmax(chi))))
    assert list(_misfits_of_block(r, wrong, 0.15, 29.72)) == slow


def test_regions_and_nonsense_settings(tmp_path, world):
    ld, _ = world
    found = qc(gwas(tmp_path, world), eaf=ld.eaf, rules=QcRules(exclude=("mhc",)))
    left = found.variants.pos
    assert found.report.failed_qc == {"region": 91}  # 25 to 34 Mb, a variant every 100 kb
    assert not ((left >= 25_000_000) & (left <= 34_000_000)).any()
    with pytest.raises(SettingsError, match="no region is called hla"):
        QcRules(exclude=("hla",))
    with pytest.raises(SettingsError, match="min_maf = 5"):
        QcRules(min_maf=5)
    with pytest.raises(SettingsError, match="eaf is not of the reference"):
        qc(gwas(tmp_path, world), eaf=ld.eaf[:10])


def test_regions_are_those_of_the_build_that_positions_tell(tmp_path):
    sites, names = _known()
    for build, keys in zip(("GRCh37", "GRCh38"), sites, strict=True):
        variants = VariantTable(
            (keys >> 32).astype(np.int8), keys & 0xFFFFFFFF, names,
            np.array(["A"] * len(keys), object), np.array(["G"] * len(keys), object),
        )  # fmt: skip
        path = tmp_path / f"{build}.tsv"
        variants.to_frame().assign(beta=0.1, se=0.1, n=100).to_csv(path, sep="\t", index=False)
        found = harmonise(read_sumstats(path, population="EUR"), variants)
        kept = qc(found, rules=replace(OFF, exclude=("long_range_ld",)))
        inside = np.zeros(len(variants), bool)
        for chrom, first, last in LONG_RANGE_LD[build]:
            inside |= (variants.chrom == chrom) & (variants.pos >= first) & (variants.pos <= last)
        assert 10 < inside.sum() == len(found) - len(kept)
        assert set(kept.variants.id) == set(names[~inside])


def test_regions_of_both_builds_are_the_same_places():
    """Each region of GRCh38 has its like in GRCh37, at the offset of known variants near it."""
    (old, new), _ = _known()
    for chrom, first, last in LONG_RANGE_LD["GRCh38"]:
        near = [
            r for r in LONG_RANGE_LD["GRCh37"] if r[0] == chrom and r[1] < last and first < r[2]
        ]
        assert len(near) == 1, (chrom, first)
        here = new >> 32 == chrom
        offset = ((new & 0xFFFFFFFF) - (old & 0xFFFFFFFF))[here]
        # as lists lift: to within a megabase of what variants of the chromosome move by, as the
        # list of Anderson et al. is of an older build still
        away = np.abs(near[0][1] + offset - first).min()
        assert away < 1.3e6 or (chrom, first) in {(6, 57_788_603), (6, 61_109_122)}


def test_the_ledger_has_every_row_of_the_file(tmp_path, world):
    ld, _ = world

    def change(frame):
        frame.loc[0, "se"] = 0.0
        frame.loc[1, "effect_allele"] = "?"
        frame.loc[2, "other_allele"] = "G"
        frame.loc[3, ["effect_allele", "other_allele"]] = ["C", "A"]
        frame.loc[4, "pos"] = 5
        frame.loc[5, "info"] = 0.1
        frame.loc[6, "n"] = np.nan

    found = qc(gwas(tmp_path, world, change), eaf=ld.eaf, rules=replace(QcRules(), sd=False))
    found = found.leave_out_of_target(np.arange(M) != 9)
    path = write_ledger(found.ledger, tmp_path / "ledger.tsv.gz")
    lines = [line.split("\t") for line in gzip.decompress(path.read_bytes()).decode().split("\n")]
    assert lines[0] == ["row", "fate"]
    assert [fate for _, fate in lines[1:11]] == [
        "invalid: nonpositive_se",
        "invalid: invalid_allele",
        "allele_mismatch",
        "failed_qc: eaf_difference",
        "not_found",
        "failed_qc: info",
        "invalid: missing_n",
        "same",
        "same",
        "not_in_target",
    ]
    assert len(lines) == M + 2
    counts = found.report.counts
    assert sum(counts.values()) == sum(found.ledger.counts.values()) == found.source.n_rows == M
    by_fate = dict.fromkeys(counts, 0)
    for label, n in found.ledger.counts.items():
        by_fate[label.partition(":")[0]] += n
    assert by_fate == dict(counts)
    assert found.report.n_kept == len(found)
    assert list(found.reference_index[:2]) == [7, 8]  # into the reference without variant 9
    assert found.reference_index[2] == 9


@pytest.mark.parametrize("population", ["EUR", "EAS"])
def test_published_height_passes_but_for_rare_and_thin_variants(shared_data, population):
    path = shared_data / f"sumstats/yengo_2022_height_{population.lower()}.txt.gz"
    ld = open_ld(shared_data / "ldpanel/prscsx_hgdp1kg", population=population)
    statistics = harmonise(read_sumstats(path, population=population), ld.variants, eaf=ld.eaf)
    found = qc(statistics, ld=ld)
    assert set(found.report.failed_qc) <= {"maf", "n", "sd"}
    assert found.report.failed_qc.get("sd", 0) < 0.01 * len(statistics)
    _, scale = implied_sd_ratio(statistics, ld.eaf[statistics.reference_index])
    assert scale == pytest.approx(1, abs=0.07)  # height in standard deviations, as published
    # exchanged alleles in one region of strong association are seen by the LD
    top = int(np.argmax(np.abs(statistics.z)))
    z = statistics.z.copy()
    z[top] *= -1
    assert "ld" in qc(replace(statistics, z=z), ld=ld).report.failed_qc


def test_a_file_with_one_allele_gets_the_other_from_the_genotypes(shared_data, tmp_path):
    genotypes = open_genotypes(str(shared_data / "geno/kg_eur_hm3_chr22"))
    variants = genotypes.variants
    frame = variants.take(np.arange(500)).to_frame()
    path = tmp_path / "x.assoc.linear"
    frame = frame.assign(TEST="ADD", NMISS=1000, STAT=1.0, BETA=0.1, P=np.linspace(0.001, 1, 500))
    frame = frame.rename(columns={"chrom": "CHR", "id": "SNP", "pos": "BP", "effect_allele": "A1"})
    frame["A1"] = np.where(np.arange(500) % 2, frame.A1, frame.other_allele)
    frame.drop(columns="other_allele").to_csv(path, sep=" ", index=False)
    found = harmonise(
        read_sumstats(path, population="EUR"), variants, palindromic="keep", min_overlap=0
    )
    assert (np.sign(found.beta) == np.where(found.reference_index % 2, 1, -1)).all()
    assert found.report.n_kept >= 495
    assert any("taken from the reference" in note for note in found.report.notes)
