"""The simulated study: its files, its truth, and that the same seed gives the same bytes."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from threadpoolctl import threadpool_limits

from prs.errors import SettingsError
from prs.inputs.cohort import read_cohort
from prs.inputs.genotypes import open_genotypes
from prs.inputs.harmonise import harmonise
from prs.inputs.lists import read_sample_list
from prs.inputs.plink_write import pack_dosages, write_bed
from prs.inputs.prevalence import read_prevalence
from prs.inputs.sumstats import read_sumstats
from prs.samples import SampleTable
from prs.simulate import SimulatedStudy, simulate_study, simulate_sumstats
from prs.simulate.association import associate
from prs.simulate.coalescent import Founders
from prs.simulate.people import Group, PackedHaplotypes, simulate_people
from prs.simulate.traits import Phenotypes, draw_effects, simulate_phenotypes
from prs.study import read_study
from prs.variants import VariantTable

SMALL = {
    "seed": 5,
    "n_gwas": {"EUR": 600, "AFR": 300, "EAS": 300},
    "n_reference": 60,
    "n_target": {"EUR": 150, "AFR": 150, "EAS": 150, "ADM": 30},
    "n_variants": 300,
    "n_chromosomes": 2,
    "sequence_length": 500_000,
    "n_founders": 150,
    "n_causal": 40,
}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> SimulatedStudy:
    return simulate_study(tmp_path_factory.mktemp("study"), **SMALL)


@pytest.fixture(scope="module")
def founders() -> Founders:
    """Six sites, of which the first three tell the population; the rest are one haplotype's."""
    population = np.repeat([0, 1, 2], [40, 30, 20]).astype(np.int8)
    haplotypes = np.zeros((6, 90), np.int8)
    for code in range(3):
        haplotypes[code] = population == code
    haplotypes[3:] = np.arange(90) == 45
    frequency = np.stack([haplotypes[:, population == c].mean(axis=1) for c in range(3)], axis=1)
    return Founders(
        position=1000 * np.arange(6),
        morgan=np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.5]),
        haplotypes=haplotypes,
        population=population,
        frequency=frequency,
        typed=np.array([True, True, True, True, True, False]),
    )


# ---- PLINK files -----------------------------------------------------------------------------


def numbered_variants(n: int) -> VariantTable:
    return VariantTable(
        chrom=np.full(n, 22, np.int8),
        pos=np.arange(1, n + 1, dtype=np.int32),
        id=np.array([f"rs{k}" for k in range(n)], dtype=object),
        effect_allele=np.full(n, "A", dtype=object),
        other_allele=np.full(n, "C", dtype=object),
    )


@settings(max_examples=30, deadline=None)
@given(hnp.arrays(np.int8, hnp.array_shapes(min_dims=2, max_dims=2), elements=st.integers(-1, 2)))
def test_packed_calls_are_those_of_the_format(calls: np.ndarray) -> None:
    packed = pack_dosages(calls)
    code = {2: 0, -1: 1, 1: 2, 0: 3}
    assert packed.shape == (calls.shape[1], -(-calls.shape[0] // 4))
    for (person, variant), call in np.ndenumerate(calls):
        assert packed[variant, person // 4] >> 2 * (person % 4) & 3 == code[int(call)]
    with_nan = np.where(calls < 0, np.nan, calls)
    np.testing.assert_array_equal(pack_dosages(with_nan), packed)


def test_written_fileset_is_read_back_and_never_half_written(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    calls = rng.integers(-1, 3, (11, 7)).astype(np.int8)
    variants, samples = numbered_variants(7), SampleTable.from_ids(range(11))
    write_bed(tmp_path / "a.b", (calls[:, k : k + 3] for k in (0, 3, 6)), variants, samples)
    opened = open_genotypes(tmp_path / "a.b")
    np.testing.assert_array_equal(
        opened.read_dosages(), np.where(calls < 0, np.nan, calls).astype(np.float32)
    )
    assert opened.variants.to_frame().equals(variants.to_frame())
    for bad, message in (
        (calls + 0.5, "not whole numbers"),
        (calls + 1, "a dosage of 3"),
        (calls[:, :5], "dosages of 5 variants for 7"),
        (calls[:4], "dosages of 4 people for 11"),
    ):
        with pytest.raises(SettingsError, match=message):
            write_bed(tmp_path / "bad", bad, variants, samples)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.b.bed", "a.b.bim", "a.b.fam"]


# ---- people ----------------------------------------------------------------------------------


def test_without_recombination_people_are_pairs_of_founders(founders: Founders) -> None:
    groups = [Group("EUR", "gwas", 5, {"EUR": 1.0}), Group("EAS", "gwas", 4, {"EAS": 1.0})]
    effects = np.zeros((1, 6, 3))
    effects[0, 0:3] = np.diag([1.0, 10.0, 100.0])
    people, values = simulate_people(
        founders, groups, effects, generations=0, rng=np.random.default_rng(0)
    )
    dosages = people.read_dosages(slice(None), slice(None))
    assert dosages[:3, :5].tolist() == [[0] * 5, [2] * 5, [0] * 5]
    assert dosages[:3, 5:].tolist() == [[0] * 4, [0] * 4, [2] * 4]
    assert values[0].tolist() == [20.0] * 5 + [200.0] * 4
    np.testing.assert_array_equal(people.read_dosages(slice(1, 4), slice(3, 8)), dosages[1:4, 3:8])


def test_admixed_people_have_local_ancestry_in_the_right_shares(founders: Founders) -> None:
    n = 4000
    groups = [Group("ADM", "target", n, {"AFR": 0.75, "EUR": 0.25})]
    effects = np.zeros((1, 6, 3))
    people, _ = simulate_people(
        founders, groups, effects, generations=12, rng=np.random.default_rng(0)
    )
    share = people.read_dosages(slice(0, 3), slice(None)).mean(axis=1) / 2
    # each of 2 n haplotypes draws its origin at a site independently
    error = np.sqrt(0.75 * 0.25 / (2 * n))
    np.testing.assert_allclose(share, [0.75, 0.25, 0.0], atol=4 * error)
    # Origins 0.1 Morgan apart are the same unless a switch (rate 12 a Morgan) drew the other:
    # correlation exp(-1.2). The alleles at sites 0 and 1 mark AFR and EUR: minus that. The
    # standard error of a correlation is below 1 / sqrt(2 n).
    bits = np.unpackbits(people.bits, axis=1)[:, : 2 * n].astype(float)
    assert np.corrcoef(bits[0], bits[1])[0, 1] == pytest.approx(
        -np.exp(-1.2), abs=4 / np.sqrt(2 * n)
    )


# ---- traits ----------------------------------------------------------------------------------


def test_effects_correlate_as_asked(founders: Founders) -> None:
    n = 3000
    wide = Founders(
        *(
            np.repeat(getattr(founders, name)[:5], n // 5, axis=0)
            for name in ("position", "morgan")
        ),
        np.zeros((n, 1), np.int8),
        founders.population,
        np.random.default_rng(0).uniform(0.05, 0.5, (n, 3)),
        np.arange(n) % 3 > 0,
    )
    effects = draw_effects(
        wide, 1000, n_traits=2, correlation=0.9, typed_share=0.8, rng=np.random.default_rng(1)
    )
    for trait in range(2):
        causal = np.flatnonzero(effects[trait].any(axis=1))
        assert len(causal) == 1000
        assert wide.typed[causal].sum() == 800
        r = np.corrcoef(effects[trait, causal].T)[np.triu_indices(3, 1)]
        # standard error of a correlation: (1 - r^2) / sqrt(n), a little more as variances differ
        np.testing.assert_allclose(r, 0.9, atol=5 * (1 - 0.81) / np.sqrt(1000))


def test_prevalence_is_as_asked_whatever_the_mean_genetic_value() -> None:
    n = 20_000
    population = np.repeat(["EUR", "AFR"], n).astype(object)
    rng = np.random.default_rng(0)
    values = rng.normal(0, np.sqrt(0.4), (2, 2 * n)) + 3 * (population == "AFR")
    made = simulate_phenotypes(values, population, {"EUR": 0.1, "AFR": 0.3}, (0.4, 0.4), rng)
    for name, k in (("EUR", 0.1), ("AFR", 0.3)):
        # a share has this binomial error; the threshold's own (from mean and SD) is smaller
        error = np.sqrt(k * (1 - k) / n)
        assert abs(made.disease[population == name].mean() - k) < 5 * error
    within = [
        np.corrcoef(values[0, p], made.liability[p])[0, 1] ** 2 for p in (slice(n), slice(n, None))
    ]
    # Age adds 0.3^2 (a little less, clipped) and sex 0.2^2 / 4 to a variance of 1. Error of a
    # squared correlation: 2 r (1 - r^2) / sqrt(n).
    np.testing.assert_allclose(within, 0.4 / 1.1, atol=4 * 2 * 0.6 * 0.64 / np.sqrt(n) + 0.005)


# ---- association -----------------------------------------------------------------------------


def test_association_is_least_squares_and_the_score_test() -> None:
    rng = np.random.default_rng(7)
    n, m = 300, 20
    haplotypes = rng.integers(0, 2, (m, 2 * n))
    haplotypes[3] = 0  # does not vary
    packed = PackedHaplotypes(np.packbits(haplotypes, axis=1), n)
    x = (haplotypes[:, 0::2] + haplotypes[:, 1::2]).astype(float)
    age, sex = rng.integers(40, 75, n), rng.integers(1, 3, n).astype(np.int8)
    disease = (rng.random(n) < 0.3).astype(np.int8)
    trait = 0.1 * age + x[0] + rng.normal(size=n)
    phenotypes = Phenotypes(age, sex, disease, trait, trait)
    people = slice(50, 250)
    found = associate([packed], phenotypes, people)

    C = np.column_stack([np.ones(200), age[people], sex[people]])
    y = trait[people] - C @ np.linalg.lstsq(C, trait[people], rcond=None)[0]
    y /= y.std()
    k = disease[people].mean()
    for j in range(m):
        if j == 3:
            assert np.isnan(found["trait"].beta[3])
            continue
        own = x[j, people] - x[j, people].mean()
        slope = own @ y / (own @ own)
        se = np.sqrt(((y - slope * own) ** 2).sum() / 198 / (own @ own))
        # the trait is rounded to 2^-10: an error of at most 2^-11 a person
        slack = 2.0**-11 * np.abs(own).sum() / (own @ own)
        assert abs(found["trait"].beta[j] - slope) <= slack
        assert found["trait"].se[j] == pytest.approx(se, rel=1e-3)
        score, information = own @ disease[people], k * (1 - k) * (own @ own)
        assert found["disease"].beta[j] == pytest.approx(score / information)
        # n - 2 for n degrees of freedom
        assert found["disease"].se[j] == pytest.approx(np.sqrt(200 / 198 / information))
        assert found["disease"].eaf[j] == pytest.approx(x[j, people].mean() / 2)
    n_cases = int(disease[people].sum())
    assert found["disease"].n_eff == pytest.approx(4 / (1 / n_cases + 1 / (200 - n_cases)))
    assert found["trait"].n_eff == 200


def test_sumstats_drawn_from_ld_are_the_same_bits_for_any_threads_of_blas() -> None:
    people = np.random.default_rng(1).normal(size=(200, 400))  # a null space of 201 directions
    made = []
    for threads in (1, 2):
        with threadpool_limits(threads, "blas"):
            made.append(simulate_sumstats([np.corrcoef(people.T)], 1_000, np.zeros(400), seed=1))
    np.testing.assert_array_equal(*made)


def test_sumstats_drawn_from_ld_have_its_moments() -> None:
    rng = np.random.default_rng(0)
    blocks = [
        np.corrcoef(rng.normal(size=(200, m)) + rng.normal(size=(200, 1)), rowvar=False)
        for m in (30, 50)
    ]
    beta, n = rng.normal(0, 0.02, 80), 10_000
    z = simulate_sumstats(blocks, n, beta, seed=3)
    starts = (slice(0, 30), slice(30, 80))
    away = [z[s] - np.sqrt(n) * R @ beta[s] for R, s in zip(blocks, starts, strict=True)]
    chi2 = sum(e @ np.linalg.solve(R, e) for R, e in zip(blocks, away, strict=True))
    assert abs(chi2 - 80) < 4 * np.sqrt(2 * 80)  # chi-square with 80 degrees of freedom
    np.testing.assert_array_equal(z, simulate_sumstats(blocks, n, beta, seed=3))
    with pytest.raises(SettingsError, match="80 variants for 79"):
        simulate_sumstats(blocks, n, beta[1:], seed=3)


# ---- the study -------------------------------------------------------------------------------


def test_same_seed_same_bytes(study: SimulatedStudy, tmp_path: Path) -> None:
    again = simulate_study(tmp_path, **SMALL)
    files = sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*") if p.is_file())
    assert len(files) == 22
    for name in files:
        assert (tmp_path / name).read_bytes() == (study.folder / name).read_bytes(), name
    other = simulate_study(tmp_path / "other", **{**SMALL, "seed": 6})
    assert (
        other.target.with_suffix(".bed").read_bytes()
        != again.target.with_suffix(".bed").read_bytes()
    )


def test_files_are_read_by_the_package(study: SimulatedStudy) -> None:
    target, reference = open_genotypes(study.target), open_genotypes(study.reference)
    assert target.n_samples == 480
    assert reference.n_samples == 180
    assert (target.eaf() <= 0.5 + 0.01).all()  # the rarer allele first, up to missing calls
    assert 0.001 < target.allele_counts().missing.sum() / (480 * target.n_variants) < 0.01
    for name, path in study.reference_samples.items():
        people = read_sample_list(path)
        assert len(people) == 60
        assert all(i.startswith(name) for i in people.iid)
    cohort = read_cohort(
        study.cohort, outcome="disease", covariates=["age", "sex", "PC1"], split="split"
    )
    assert cohort.n == 480
    assert cohort.outcome_kind == "binary"
    assert sorted(cohort.samples.iid) == sorted(target.samples.iid)
    assert (cohort.split == "tuning").mean() == 0.5
    assert read_prevalence(study.prevalence) == {"EUR": 0.18, "AFR": 0.22, "EAS": 0.17, "ADM": 0.2}
    truth = pd.read_csv(study.truth, sep="\t")
    assert (truth["disease_EUR"] != 0).sum() == 40
    # the statistics are those of the same alleles as the truth: frequencies agree
    both = truth.merge(pd.DataFrame({"id": reference.variants.id, "f": reference.eaf()}))
    mean = both[["eaf_AFR", "eaf_EUR", "eaf_EAS"]].mean(axis=1)
    assert np.corrcoef(mean, both["f"])[0, 1] > 0.98


def test_dirty_statistics_mean_the_same_as_clean_ones(
    study: SimulatedStudy, tmp_path: Path
) -> None:
    clean = simulate_study(tmp_path, **SMALL, dirt=False)
    variants = open_genotypes(clean.reference).variants
    eaf = open_genotypes(clean.reference).eaf()
    for name in ("EUR", "AFR", "EAS"):
        made = {}
        for key, one in (("clean", clean), ("dirty", study)):
            path = one.sumstats["disease"][name]
            made[key] = harmonise(
                read_sumstats(path, population=name, n=one.n_eff[name]), variants, eaf=eaf
            )
        counts = made["dirty"].report.counts
        assert counts["swapped"] > 0
        assert counts["flipped"] + counts["flipped_swapped"] > 0
        assert made["clean"].report.counts["duplicate"] == 0
        _, a, b = np.intersect1d(
            made["clean"].reference_index, made["dirty"].reference_index, return_indices=True
        )
        assert len(a) > 0.8 * len(made["clean"].z)
        same = np.isclose(made["clean"].z[a], made["dirty"].z[b], rtol=0.02, atol=0.01)
        # Rounding aside, all but the variants whose better row lost a value, so that a
        # duplicate stands in, and palindromes of frequencies near 1/2 in other populations.
        assert same.mean() > 0.97


def test_settings_that_make_no_sense_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for change, message in (
        ({"n_gwas": {"XYZ": 10}}, "XYZ"),
        ({"n_gwas": {"AFR": 10}}, "lacks EUR"),
        ({"n_target": {}}, "no population"),
        ({"prevalence": {"EUR": 0.1}}, "ADM, AFR, EAS"),
        ({"h2": 1.5}, "h2 must be"),
        ({"n_variants": 10**6}, "sequence_length"),
    ):
        with pytest.raises(SettingsError, match=message):
            simulate_study(tmp_path / "x", **{**SMALL, **change})
    monkeypatch.setitem(sys.modules, "msprime", None)
    with pytest.raises(SettingsError, match=r"prs\[simulate\]"):
        simulate_study(tmp_path / "x", **SMALL)
    assert not (tmp_path / "x").exists()


def test_the_committed_demo_is_whole(demo: Path) -> None:
    """4,000 people, the same in genotypes, cohort and truth; under 25 MB."""
    target, reference = open_genotypes(demo / "target"), open_genotypes(demo / "reference")
    cohort = read_cohort(demo / "cohort.tsv", outcome="disease", split="split")
    assert target.samples.iid.tolist() == cohort.samples.iid.tolist()
    people = pd.read_csv(demo / "truth_people.tsv.gz", sep="\t")
    assert people["IID"].tolist() == cohort.samples.iid.tolist()
    assert cohort.n == 4000
    assert reference.n_samples == 1200
    assert target.n_variants > 14_900
    assert set(target.variants.id) != set(reference.variants.id)
    test = cohort.test()
    events = {
        a: int(test.outcome[test.labels["ancestry"] == a].sum())
        for a in ("EUR", "AFR", "EAS", "ADM")
    }
    assert min(events["EUR"], events["AFR"], events["EAS"]) >= 90
    assert events["ADM"] < 20
    size = sum(p.stat().st_size for p in demo.rglob("*") if p.is_file() and "results" not in str(p))
    assert size < 25e6


def test_the_study_file_runs(study: SimulatedStudy) -> None:
    described = read_study(study.study)
    assert list(described.populations) == list(study.sumstats["disease"])
    for name, population in described.populations.items():
        gwas = read_sumstats(described.file(population.sumstats), population=name, n=population.n)
        assert np.median(gwas.n_eff) == pytest.approx(study.n_eff[name], rel=0.01)
