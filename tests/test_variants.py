"""Variants and people: chromosome names, the one matching engine, and its account."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prs.errors import (
    BuildMismatchError,
    InvalidValueError,
    OverlapError,
    PrsError,
    SampleMismatchError,
    SettingsError,
)
from prs.matching import Fate, MatchReport, match_variants
from prs.samples import SampleTable, match_samples
from prs.variants import VariantTable, chromosome_codes, chromosome_labels


def table(*rows):
    """Rows of (chrom, pos, id, effect_allele, other_allele)."""
    return VariantTable(*(np.array(column, dtype=object) for column in zip(*rows, strict=True)))


def fates(match):
    return [Fate(f).label for f in match.fate]


# what the file has, against a target that counts A over G (or A over T) with frequency 0.2
ONE_ROW = [
    ("A", "G", 0.2, "same", +1),
    ("G", "A", 0.8, "swapped", -1),
    ("T", "C", 0.2, "flipped", +1),
    ("C", "T", 0.8, "flipped_swapped", -1),
    ("a", "g", 0.2, "same", +1),
    ("A", "C", 0.2, "allele_mismatch", 0),
    ("A", "AG", 0.2, "allele_mismatch", 0),
]
ONE_PALINDROME = [
    ("A", "T", 0.2, "palindromic_same", +1),  # frequencies agree: as written
    ("A", "T", 0.8, "palindromic_swapped", -1),  # the file's A is the target's T
    ("T", "A", 0.8, "palindromic_swapped", -1),  # exchanged, not read from the other strand
    ("T", "A", 0.2, "palindromic_same", +1),  # the file's T is the target's A
    ("A", "T", 0.45, "palindromic_dropped", 0),
    ("A", "T", np.nan, "palindromic_dropped", 0),
]


@pytest.mark.parametrize(
    "other, effect_allele, other_allele, eaf, fate, sign",
    [("G", *row) for row in ONE_ROW] + [("T", *row) for row in ONE_PALINDROME],
)
def test_one_row_meets_its_fate(other, effect_allele, other_allele, eaf, fate, sign):
    target = table(("1", 100, "rs1", "A", other), ("1", 200, "rs2", "C", "A"))
    query = table(("1", 100, "x", effect_allele, other_allele), ("1", 200, "y", "C", "A"))
    match = match_variants(
        query, target, query_eaf=np.array([eaf, 0.1]), target_eaf=np.array([0.2, 0.1])
    )
    assert fates(match) == [fate, "same"]
    assert list(match.sign) == [*([sign] if sign else []), 1]


def test_indels_match_as_written_and_from_no_other_strand():
    target = table(("1", 5, "", "A", "ACG"), ("1", 9, "", "A", "ACG"), ("1", 7, "", "I", "D"))
    query = table(("1", 5, "", "ACG", "A"), ("1", 9, "", "T", "TGC"), ("1", 7, "", "D", "I"))
    assert fates(match_variants(query, target)) == ["swapped", "allele_mismatch", "swapped"]


def test_sites_with_several_alternate_alleles_match_by_alleles():
    target = table(("1", 5, "a", "A", "G"), ("1", 5, "b", "A", "C"), ("1", 5, "c", "A", "AT"))
    query = table(("1", 5, "", "AT", "A"), ("1", 5, "", "C", "A"), ("1", 5, "", "G", "A"))
    match = match_variants(query, target)
    assert list(match.query_index) == [2, 1, 0]
    assert list(match.target_index) == [0, 1, 2]


def test_of_duplicates_the_smallest_priority_wins_and_ties_go_to_the_first():
    target = table(("1", 5, "a", "A", "G"))
    query = table(*[("1", 5, "a", "A", "G")] * 3)
    assert list(match_variants(query, target).query_index) == [0]
    match = match_variants(query, target, priority=np.array([3.0, 1.0, 1.0]))
    assert list(match.query_index) == [1]
    assert fates(match) == ["duplicate", "same", "duplicate"]


def test_of_a_duplicated_target_the_first_is_matched():
    target = table(("1", 5, "a", "G", "A"), ("1", 5, "a", "A", "G"))
    match = match_variants(table(("1", 5, "a", "A", "G")), target)
    assert (list(match.target_index), list(match.sign)) == ([0], [-1])


def test_an_id_serves_where_there_are_no_positions():
    target = table(("1", 5, "rs1", "A", "G"), ("1", 6, "rs2", "A", "G"))
    query = table(("0", 0, "rs2", "G", "A"), ("0", 0, "", "A", "G"), ("0", 0, ".", "A", "G"))
    match = match_variants(query, target)
    assert fates(match) == ["swapped", "not_found", "not_found"]
    assert list(match.target_index) == [1]
    assert "matched by id" in match.notes[0]
    with pytest.raises(SettingsError, match="no positions"):
        match_variants(query, target, by="position")


def test_another_build_is_named_and_ids_are_offered():
    rows = [("1", 1000 * i, f"rs{i}", "A", "G") for i in range(1, 41)]
    shifted = table(*[(c, p + 77, i, a, b) for c, p, i, a, b in rows])
    with pytest.raises(BuildMismatchError, match=r"only 0\.0% of the 40.*same id") as caught:
        match_variants(shifted, table(*rows))
    assert "rs1: 1:1077 against 1:1000" in str(caught.value)
    assert len(match_variants(shifted, table(*rows), by="id").query_index) == 40


def test_too_little_overlap_is_an_error():
    target = table(*[("1", i, f"a{i}", "A", "G") for i in range(1, 11)])
    query = table(("1", 1, "b1", "A", "G"), *[("2", i, f"b{i}", "A", "G") for i in range(9)])
    with pytest.raises(OverlapError, match=r"1 of 10 variants of query.*10\.0% of the smaller"):
        match_variants(query, target, min_overlap=0.2)
    with pytest.raises(OverlapError, match="0 of 1 variants"):
        match_variants(query.take([1]), target)


def test_chromosome_names_of_all_tools_become_one_code():
    labels = ["1", "chr1", "CHR01", "Chr22", "x", "chrX", "23", "M", "chrMT", "PAR1", "1.0"]
    codes = [1, 1, 1, 22, 23, 23, 23, 26, 26, 25, 1]
    assert list(chromosome_codes(labels)) == codes
    assert list(chromosome_codes(["0", "", "chrUn_1", "27", "-1", None, "HLA"])) == [0] * 7
    assert " ".join(chromosome_labels([1, 22, 23, 24, 25, 26, 0])) == "1 22 X Y XY MT 0"


def test_a_table_survives_its_frame_and_refuses_what_cannot_be():
    variants = table(("X", 5, "a", "g", "A"), ("2", 3, "b", "C", "CT"))
    again = VariantTable.from_frame(variants.to_frame())
    pd.testing.assert_frame_equal(again.to_frame(), variants.to_frame())
    assert not variants.is_sorted
    assert variants.take([1, 0]).is_sorted
    assert list(table(("1", 1, "", "A", "T"), ("1", 1, "", "A", "C")).is_palindromic) == [
        True,
        False,
    ]
    with pytest.raises(InvalidValueError, match="1 positions are negative"):
        table(("1", -5, "a", "A", "G"))
    with pytest.raises(InvalidValueError, match="differ in length"):
        VariantTable(np.array([1, 1]), np.array([5]), *[np.array(["a"], dtype=object)] * 3)


def test_a_report_has_all_fates_and_adds_up():
    report = MatchReport("file", "panel", {"same": 3, "invalid": 2}, 7, {"missing_se": 2})
    assert (report.n_input, report.n_kept) == (5, 3)
    assert report.to_frame()["n"].sum() == 5
    assert "3 of 5 rows kept" in str(report)


ALLELE = st.sampled_from(["A", "C", "G", "T", "AT", "I"])
ROW = st.tuples(
    st.sampled_from(["1", "2"]),
    st.integers(1, 4),
    st.sampled_from(["r1", "r2", ""]),
    ALLELE,
    ALLELE,
)
ROWS = st.lists(ROW, min_size=1, max_size=12)


@given(ROWS, ROWS, st.sampled_from(["frequency", "keep", "drop"]), st.integers(0, 2**32 - 1))
@settings(max_examples=150, deadline=None)
def test_every_row_has_one_fate_and_matches_are_true(query_rows, target_rows, rule, seed):
    query, target = table(*query_rows), table(*target_rows)
    rng = np.random.default_rng(seed)
    query_eaf, target_eaf = rng.random(len(query)), rng.random(len(target))
    try:
        match = match_variants(
            query, target, query_eaf=query_eaf, target_eaf=target_eaf, palindromic=rule
        )
    except PrsError:
        return
    report = match.report("a", "b", len(target), {"bad": 4})
    assert report.n_input == len(query) + 4
    assert report.n_kept == len(match.query_index) == len(match.target_index)
    assert np.all(np.diff(match.target_index) > 0)
    complement = {"A": "T", "C": "G", "G": "C", "T": "A"}
    for q, t, sign in zip(match.query_index, match.target_index, match.sign, strict=True):
        assert query.site_key[q] == target.site_key[t]
        mine = (query.effect_allele[q], query.other_allele[q])
        strands = [mine, tuple(complement.get(a, "?") for a in mine)]
        want = (target.effect_allele[t], target.other_allele[t])
        assert want in [pair[::sign] for pair in strands]


def test_an_indel_is_not_read_from_the_other_strand_where_the_target_repeats_a_site():
    """The repeat with the query's id is preferred, but C/AT is not G/AT on any strand."""
    target = table(("1", 1, "r1", "G", "AT"), ("1", 1, "r1", "C", "AT"), ("1", 1, "", "C", "AT"))
    match = match_variants(table(("1", 1, "r1", "C", "AT")), target)
    assert (list(match.target_index), list(match.sign)) == ([1], [1])


def test_people_are_found_by_id_or_by_family_and_id():
    target = SampleTable.from_ids(["a", "b", "c"])
    query, at = match_samples(SampleTable.from_ids(["c", "x", "a"]), target)
    assert (list(query), list(at)) == ([0, 2], [2, 0])
    with pytest.raises(SampleMismatchError, match=r"0 of the 1 people.*'a', 'b', 'c'"):
        match_samples(SampleTable.from_ids(["A"]), target)
    with pytest.raises(SampleMismatchError, match="x"):
        match_samples(SampleTable.from_ids(["a", "x"]), target, require_all=True)
    families = SampleTable.from_ids(["1", "1"], ["f", "g"])
    _, at = match_samples(SampleTable.from_ids(["1"], ["g"]), families)
    assert list(at) == [1]
    with pytest.raises(InvalidValueError, match="listed more than once in query"):
        match_samples(SampleTable.from_ids(["a", "a"]), target)


def test_editing_a_frame_leaves_the_table_alone() -> None:
    table = VariantTable(np.array([1]), np.array([10]), ["rs1"], ["A"], ["G"])
    frame = table.to_frame()
    frame.loc[0, ["id", "effect_allele", "other_allele", "pos"]] = ["x", "C", "T", 11]
    assert table.describe([0]) == ["rs1 1:10 A/G"]
