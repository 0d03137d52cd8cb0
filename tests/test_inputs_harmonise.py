"""Harmonising: what may not change the result, and an account that always adds up."""

from __future__ import annotations

import gzip
import hashlib
import logging
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prs.errors import OverlapError, SettingsError
from prs.inputs.genotypes import open_genotypes
from prs.inputs.harmonise import harmonise, write_harmonised
from prs.inputs.sumstats import read_sumstats
from prs.variants import VariantTable

COMPLEMENT = {"A": "T", "C": "G", "G": "C", "T": "A"}
N = 40


def make_reference(seed=0):
    """N variants, two of three sites palindromic or not, with frequencies away from 1/2."""
    rng = np.random.default_rng(seed)
    pairs = [("A", "G"), ("C", "T"), ("A", "T"), ("C", "G"), ("A", "ACC")]
    alleles = [pairs[j % 5][:: rng.choice([-1, 1])] for j in range(N)]
    frame = pd.DataFrame(
        {
            "chrom": "7",
            "pos": 1000 + 10 * np.arange(N),
            "id": [f"rs{j}" for j in range(N)],
            "effect_allele": [a for a, _ in alleles],
            "other_allele": [b for _, b in alleles],
        }
    )
    eaf = rng.choice([-1, 1], N) * rng.uniform(0.15, 0.4, N) + 0.5
    return VariantTable.from_frame(frame), eaf


def make_rows(variants, eaf, seed=0):
    rng = np.random.default_rng(seed)
    frame = variants.to_frame().rename(columns={"chrom": "CHR", "pos": "BP", "id": "SNP"})
    frame["BETA"] = np.round(rng.normal(0, 0.03, N), 6)
    frame["SE"] = np.round(rng.uniform(0.01, 0.02, N), 6)
    frame["EAF"] = np.clip(np.round(eaf + rng.normal(0, 0.01, N), 4), 0.01, 0.99)
    return frame


def read(tmp_path, frame, name="s.txt"):
    path = tmp_path / name
    text = frame.to_csv(sep="\t", index=False).encode()
    path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    return read_sumstats(path, population="EUR", n=1000)


REFERENCE, EAF = make_reference()
DISGUISES = st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=N, max_size=N)


@given(DISGUISES, st.permutations(range(N)), st.sampled_from(["7", "chr7", "07", "CHR7"]))
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_strand_order_case_and_prefix_do_not_change_the_result(tmp_path, disguises, order, chrom):
    rows = make_rows(REFERENCE, EAF)
    plain = harmonise(read(tmp_path, rows), REFERENCE, eaf=EAF)
    assert len(plain) == N  # every palindrome is settled
    disguised = rows.copy()
    for j, (swap, flip, lower) in enumerate(disguises):
        alleles = [rows.effect_allele[j], rows.other_allele[j]]
        if flip and len("".join(alleles)) == 2:
            alleles = [COMPLEMENT[a] for a in alleles]
        if swap:
            alleles.reverse()
            disguised.loc[j, "BETA"] = -rows.BETA[j]
            disguised.loc[j, "EAF"] = 1 - rows.EAF[j]
        if lower:
            alleles = [a.lower() for a in alleles]
        disguised.loc[j, ["effect_allele", "other_allele"]] = alleles
    disguised = disguised.iloc[list(order)].assign(CHR=chrom)
    found = harmonise(read(tmp_path, disguised, "s.txt.gz"), REFERENCE, eaf=EAF)
    assert found.report.n_input == found.report.n_kept == N
    np.testing.assert_array_equal(found.reference_index, plain.reference_index)
    for name in ("beta", "se", "z", "p", "n_eff"):
        np.testing.assert_array_equal(getattr(found, name), getattr(plain, name))
    # 1 - (1 - f) is f to half an ulp of 1
    np.testing.assert_allclose(found.eaf, plain.eaf, atol=np.finfo(float).eps)


@given(st.lists(st.sampled_from(["ok", "dup", "alleles", "astray", "na", "se0"]), min_size=N))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_the_account_adds_up_whatever_is_wrong(tmp_path, kinds):
    rows = make_rows(REFERENCE, EAF)
    extra = []
    for j, kind in enumerate(kinds[:N]):
        if kind == "dup":
            extra.append(rows.iloc[j])
        elif kind == "alleles":
            rows.loc[j, ["effect_allele", "other_allele"]] = ["G", "GTT"]
        elif kind == "astray":
            rows.loc[j, "BP"] = 5
        elif kind == "na":
            rows.loc[j, "BETA"] = np.nan
        elif kind == "se0":
            rows.loc[j, "SE"] = 0.0
    rows = pd.concat([rows, pd.DataFrame(extra)], ignore_index=True)
    usable = rows.BETA.notna() & (rows.SE > 0)
    if usable.mean() < 0.5 or not (usable & (rows.BP > 5) & (rows.other_allele != "GTT")).any():
        return
    rows["BETA"] = rows["BETA"].astype(object).where(rows["BETA"].notna(), "NA")
    report = harmonise(
        read(tmp_path, rows), REFERENCE, eaf=EAF, by="position", min_overlap=0
    ).report
    assert report.n_input == len(rows)
    assert report.counts["invalid"] == (~usable).sum() == sum(report.details.values())
    assert report.counts["duplicate"] == kinds[:N].count("dup")
    assert report.counts["not_found"] == kinds[:N].count("astray")
    assert report.counts["allele_mismatch"] == kinds[:N].count("alleles")


def test_harmonising_twice_changes_nothing(tmp_path):
    once = harmonise(read(tmp_path, make_rows(REFERENCE, EAF).iloc[5:30]), REFERENCE, eaf=EAF)
    twice = harmonise(once, REFERENCE, eaf=EAF)
    pd.testing.assert_frame_equal(twice.to_frame(), once.to_frame())
    assert twice.report.counts["swapped"] == 0
    assert twice.report.n_input == len(once)


@pytest.mark.parametrize("name", ["h.tsv", "h.tsv.gz"])
def test_what_is_written_reads_back_the_same(tmp_path, name):
    rows = make_rows(REFERENCE, EAF)
    rows.loc[3, ["BETA", "SE"]] = [1.0, 0.01]  # z = 100: p below float range
    once = harmonise(read(tmp_path, rows), REFERENCE, eaf=EAF)
    write_harmonised(once, tmp_path / name)
    raw = (tmp_path / name).read_bytes()
    write_harmonised(once, tmp_path / name)
    assert (tmp_path / name).read_bytes() == raw
    again = read_sumstats(tmp_path / name, population="EUR")
    assert again.source.dialect == "gwas-ssf"
    # pandas parses a 17-digit decimal to the last bit or so
    np.testing.assert_allclose(again.z, once.z, rtol=4 * np.finfo(float).eps)
    np.testing.assert_array_equal(again.n_eff, once.n_eff)
    assert harmonise(again, REFERENCE, eaf=EAF).report.n_kept == len(once)


def test_what_is_written_has_the_metadata_that_gwas_ssf_asks_for(tmp_path):
    found = harmonise(read(tmp_path, make_rows(REFERENCE, EAF)), REFERENCE, eaf=EAF)
    found = replace(found, population="Côte d'Ivoire: #1")
    write_harmonised(found, tmp_path / "h.tsv.gz")
    side = tmp_path / "h.tsv.gz-meta.yaml"
    text = side.read_text(encoding="utf-8")
    fields = yaml_of(text)
    # table 2 of the standard: mandatory; and what says which file it is about
    (sample,) = fields["samples"]
    assert fields["genome_assembly"] == "NR"  # too few known positions here
    assert fields["coordinate_system"] == "1-based"
    assert fields["trait_description"] == fields["genotyping_technology"] == ["NR"]
    assert sample["sample_size"] == round(found.n_eff.max())
    assert sample["sample_ancestry_category"] == ["Côte d'Ivoire: #1"]
    assert (fields["is_sorted"], fields["is_harmonised"]) == (True, False)
    assert fields["file_type"] == "GWAS-SSF v1.0"
    assert fields["data_file_name"] == "h.tsv.gz"
    data = (tmp_path / "h.tsv.gz").read_bytes()
    assert fields["data_file_md5sum"] == hashlib.md5(data).hexdigest()
    # the same table on another day: the file stays as it is
    side.write_text(re.sub(r"\d{4}-\d\d-\d\d", "2001-01-01", text), encoding="utf-8")
    write_harmonised(found, tmp_path / "h.tsv.gz")
    assert "2001-01-01" in side.read_text(encoding="utf-8")
    write_harmonised(found.take(np.arange(3)), tmp_path / "h.tsv.gz")
    assert "2001-01-01" not in side.read_text(encoding="utf-8")
    # and is read again: no build is said where none is known
    again = read_sumstats(tmp_path / "h.tsv.gz", population="EUR")
    assert "genome build not stated" in again.source.describe()


def yaml_of(text: str) -> dict:
    """Parse what the side file uses of YAML, where no YAML package is."""
    yaml = pytest.importorskip("yaml", reason="needs PyYAML to read the metadata as others do")
    return yaml.safe_load(text)


def test_of_several_rows_the_largest_sample_is_taken(tmp_path):
    rows = make_rows(REFERENCE, EAF)
    rows = pd.concat([rows, rows.iloc[[4]].assign(BETA=9)], ignore_index=True)
    rows["N"] = [100] * N + [200]
    found = harmonise(read(tmp_path, rows), REFERENCE, eaf=EAF)
    assert (found.beta[4], found.n_eff[4]) == (9, 2000)  # 200, at the level of the given 1000
    assert found.report.counts["duplicate"] == 1


def test_palindromes_follow_the_rule(tmp_path):
    sumstats = read(tmp_path, make_rows(REFERENCE, EAF))
    palindromes = int(REFERENCE.is_palindromic.sum())
    assert palindromes == 16
    for options, lost in (
        ({}, palindromes),  # no frequencies to go by
        ({"palindromic": "drop", "eaf": EAF}, palindromes),
        ({"palindromic": "keep"}, 0),
        ({"eaf": EAF, "ambiguous_maf": 0.05}, palindromes),
        ({"eaf": EAF}, 0),
    ):
        report = harmonise(sumstats, REFERENCE, **options).report
        assert report.counts["palindromic_dropped"] == lost
        assert report.n_kept == N - lost


def test_frequencies_of_the_other_allele_raise_an_alarm(tmp_path, caplog):
    rows = make_rows(REFERENCE, EAF)
    fine = harmonise(read(tmp_path, rows), REFERENCE, eaf=EAF)
    assert not any("WARNING" in note for note in fine.report.notes)
    turned = read(tmp_path, rows.assign(EAF=1 - rows.EAF))
    with caplog.at_level(logging.WARNING, logger="prs"):
        found = harmonise(turned, REFERENCE, eaf=EAF)
    assert any("correlate negatively (-1.00)" in note for note in found.report.notes)
    assert "effect allele is probably the other one" in caplog.text


def test_little_overlap_and_a_misfit_are_refused(tmp_path):
    sumstats = read(tmp_path, make_rows(REFERENCE, EAF))
    away = VariantTable.from_frame(REFERENCE.to_frame().assign(chrom="9", id=""))
    with pytest.raises(OverlapError, match=r"0 of 40 variants of EUR .* \(s\.txt\)"):
        harmonise(sumstats, away)
    with pytest.raises(SettingsError, match=r"eaf has shape \(3,\), not \(40,\)"):
        harmonise(sumstats, REFERENCE, eaf=EAF[:3])


def test_a_list_of_rsids_with_a_few_positions_among_them_loses_nothing(tmp_path):
    """Files without positions name the variants that have no rsid by theirs, as dbSNP lacks it."""
    names = REFERENCE.id.copy()
    names[:3] = [f"7:{pos}" for pos in REFERENCE.pos[:3]]
    rows = make_rows(REFERENCE, EAF).assign(SNP=names).drop(columns=["CHR", "BP"])
    found = harmonise(read(tmp_path, rows), REFERENCE, eaf=EAF)
    assert found.report.n_kept == N
    assert f"{N - 3} variants without a position placed by id" in found.report.notes
    whole = harmonise(read(tmp_path, make_rows(REFERENCE, EAF)), REFERENCE, eaf=EAF)
    assert np.array_equal(found.beta, whole.beta)


def test_published_height_matches_its_genotypes(shared_data):
    genotypes = open_genotypes(shared_data / "geno" / "kg_eur_hm3_chr22")
    sumstats = read_sumstats(
        shared_data / "sumstats" / "ukb_eur_height_chr22.fastGWA.gz", population="EUR"
    )
    eaf = genotypes.eaf()
    found = harmonise(sumstats, genotypes.variants, eaf=eaf)
    report = found.report
    assert report.n_input == 15935
    assert report.n_kept + report.counts["palindromic_dropped"] == 15935
    # UK Biobank's frequencies against 378 people's: sampling error sqrt(f(1-f)/756) < 0.0182;
    # 99 % within 5 standard errors leaves room for the two not being one population
    assert np.quantile(np.abs(found.eaf - eaf[found.reference_index]), 0.99) < 5 * 0.0182
    assert np.corrcoef(found.eaf, eaf[found.reference_index])[0, 1] > 0.98


def test_published_bmi_matches_its_genotypes(shared_data):
    genotypes = open_genotypes(shared_data / "geno" / "kg1_chr22")
    people = pd.read_csv(shared_data / "geno" / "kg1_chr22.pop.tsv", sep="\t")
    eas = np.isin(genotypes.samples.iid, people.loc[(people == "EAS").any(axis=1)].iloc[:, 0])
    sumstats = read_sumstats(
        shared_data / "sumstats" / "mama_eas_bmi_chr22.txt.gz", population="EAS"
    )
    eaf = genotypes.subset(samples=eas).eaf()
    found = harmonise(sumstats, genotypes.variants, eaf=eaf)
    assert found.report.n_input == 119557
    assert found.report.n_kept > 4300
    assert np.corrcoef(found.eaf, eaf[found.reference_index])[0, 1] > 0.95
