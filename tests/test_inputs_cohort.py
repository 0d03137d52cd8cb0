"""The cohort table: codings that are recognised, people left out, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from prs.errors import (
    AncestryDataError,
    ColumnError,
    FileFormatError,
    InvalidValueError,
    OverlappingSamplesError,
    SampleMismatchError,
    SettingsError,
)
from prs.inputs.cohort import read_cohort
from prs.samples import SampleTable

HEAD = "IID\tt2d\theight\tage\tsex\tancestry\tsplit\n"
ROWS = (
    "a\t1\t170.5\t50\tM\tEUR\ttuning\n"
    "b\t0\t160\t40\tF\tEUR\ttest\n"
    "c\tNA\t150\t30\tF\tAFR\ttest\n"
    "d\t0\tNA\tNA\tM\tAFR\tTest\n"
    "e\t1\t180\t20\tM\t\ttest\n"
    "f\t0\t175\t60\tF\tAFR\ttuning\n"
)


def read(tmp_path, text=HEAD + ROWS, outcome="t2d", **options):
    path = tmp_path / "c.tsv"
    path.write_text(text)
    return read_cohort(path, outcome=outcome, **{"labels": (), **options})


def column(values):
    return "IID y\n" + "".join(f"p{i} {v}\n" for i, v in enumerate(values))


def test_people_who_lack_something_are_left_out_and_counted(tmp_path):
    cohort = read(tmp_path, covariates=["age", "sex"], labels=["ancestry"], split="split")
    assert list(cohort.ids) == ["a", "b", "f"]
    assert cohort.n_dropped == {"missing t2d": 1, "missing age": 1, "missing ancestry": 1}
    assert cohort.n + sum(cohort.n_dropped.values()) == 6
    assert (cohort.outcome_kind, list(cohort.outcome)) == ("binary", [1, 0, 0])
    np.testing.assert_array_equal(cohort.covariates, [[50, 1], [40, 0], [60, 0]])
    assert cohort.covariate_names == ("age", "sex")
    assert "covariate sex: F = 0, M = 1" in cohort.notes
    assert list(cohort.tuning().ids) == ["a", "f"]
    assert list(cohort.test().ids) == ["b"]
    assert list(cohort.take([2, 0]).labels["ancestry"]) == ["AFR", "EUR"]
    counts = cohort.counts_by("ancestry")
    assert counts.to_dict("list") == {
        "ancestry": ["AFR", "EUR"],
        "n": [1, 2],
        "cases": [0, 1],
        "controls": [1, 1],
    }
    with pytest.raises(AncestryDataError, match=r"(?s)1 groups.*AFR: 1 people, all controls"):
        cohort.require_variation("ancestry")
    with pytest.raises(SettingsError, match="read without a label 'site'"):
        cohort.counts_by("site")


def test_a_cohort_without_split_has_no_parts(tmp_path):
    cohort = read(tmp_path, outcome="HEIGHT")  # names in any case
    assert (cohort.outcome_kind, cohort.n) == ("quantitative", 5)
    with pytest.raises(SettingsError, match="not split"):
        cohort.test()


def test_families_tell_people_apart(tmp_path):
    text = "#FID IID y\nf1 1 0\nf2 1 1\n"
    assert list(read(tmp_path, text, "y").samples.fid) == ["f1", "f2"]


@pytest.mark.parametrize(
    "values, kind, expected, outcome_kind, note",
    [
        ([0, 1, 1], "auto", [0, 1, 1], "binary", "1 case, 0 control"),
        ([0, 1, -9], "auto", [0, 1], "binary", "1 case, 0 control"),
        ([1, 2, 2], "auto", [0, 1, 1], "binary", "PLINK's code"),
        ([1, 2, 0, -9], "auto", [0, 1], "binary", "0 and -9 missing"),
        ([1, 2, 0], "binary", [0, 1], "binary", "PLINK's code"),
        ([1, 2, 0], "quantitative", [1, 2, 0], "quantitative", "quantitative"),
        ([0.5, 2, "NA"], "auto", [0.5, 2], "quantitative", "quantitative"),
        ([0.5, 2, -9], "auto", [0.5, 2], "quantitative", "-9 is missing"),
        ([0.5, -2, -9], "auto", [0.5, -2, -9], "quantitative", "quantitative"),
        ([0, 1, 0], "quantitative", [0, 1, 0], "quantitative", "quantitative"),
    ],
)
def test_the_coding_of_an_outcome_is_recognised_and_said(
    tmp_path, values, kind, expected, outcome_kind, note
):
    cohort = read(tmp_path, column(values), "y", kind=kind)
    assert list(cohort.outcome) == expected
    assert cohort.outcome_kind == outcome_kind
    assert note in " ".join(cohort.notes)


@pytest.mark.parametrize(
    "text, options, error, message",
    [
        ("", {}, FileFormatError, "cohort table is empty"),
        (HEAD, {}, FileFormatError, "a header and no rows"),
        (HEAD + "a\t1\n", {}, FileFormatError, "line 2: 2 cells.*7 columns"),
        ("x y\n1 2\n", {}, ColumnError, "no column of individual ids"),
        (HEAD + ROWS, {"outcome": "cad"}, ColumnError, "column 'cad': there is no such column"),
        (HEAD + ROWS, {"covariates": ["bmi"]}, ColumnError, r"column 'bmi'(.|\n)*IID, t2d, height"),
        (HEAD + ROWS, {"labels": ["race"]}, ColumnError, "column 'race'"),
        (column([0, 1, "yes"]), {}, InvalidValueError, r"line 4, column 'y': 1 cells.*\n.*'yes'"),
        (column(["NA", "NA"]), {}, AncestryDataError, "column 'y'.*missing for everybody"),
        (column([1, 1, "NA"]), {}, AncestryDataError, "column 'y'.*is 1 for everybody"),
        (column([7, 7]), {"kind": "quantitative"}, AncestryDataError, "is 7 for everybody"),
        (column([0, 1, 2]), {}, InvalidValueError, "0, 1 and 2: a case-control code"),
        (column([0, 1, 5]), {"kind": "binary"}, InvalidValueError, r"3 values \(0, 1, 5\)"),
        (column([0, 1]), {"kind": "ordinal"}, SettingsError, "kind='ordinal' is not one of"),
        (column([0, 1]) + "p1 0\n", {}, InvalidValueError, "line 3, column 'IID': 1 people.*once"),
        (
            column([0, 1]) + "NA 0\n",
            {},
            InvalidValueError,
            "line 4, column 'IID': 1 people h",
        ),
        (
            "IID y x\na 0 low\nb 1 mid\nc 1 high\n",
            {"covariates": ["x"]},
            InvalidValueError,
            r"line 2, column 'x': 3 cells.*\(3 different",
        ),
        (
            "IID y x\na 0 1\nb 1 two\nc 1 3\n",
            {"covariates": ["x"]},
            InvalidValueError,
            r"line 3, column 'x': 1 cells",
        ),
        (
            "IID y x\na 0 NA\nb 1 NA\n",
            {"covariates": ["x"]},
            AncestryDataError,
            r"none of the 2 people(.|\n)*missing x: 2",
        ),
        (
            "IID y s\na 0 train\nb 1 test\n",
            {"split": "s"},
            InvalidValueError,
            "line 2, column 's': 1 people are neither 'tuning' nor 'test' but: train",
        ),
        (
            "IID y s\na 0 tuning\nb 1 test\na 0 test\n",
            {"split": "s"},
            OverlappingSamplesError,
            "1 people are both in tuning and in test",
        ),
    ],
)
def test_a_bad_table_is_refused_by_name(tmp_path, text, options, error, message):
    outcome = options.pop("outcome", "y" if " y" in text else "t2d")
    with pytest.raises(error, match=message) as caught:
        read(tmp_path, text, outcome, **options)
    assert "c.tsv" in str(caught.value) or error is SettingsError


def test_people_who_are_in_another_list_and_their_groups(tmp_path):
    cohort = read(tmp_path, covariates=["age", "sex"], labels=["ancestry"], split="split")
    people, rows = cohort.known_to(SampleTable.from_ids(["f", "x", "a"]), "a list")
    assert (list(people.ids), list(rows)) == (["a", "f"], [2, 0])
    assert list(people.groups("ancestry")) == ["EUR", "AFR"]
    assert list(people.groups(None)) == ["all", "all"]
    with pytest.raises(SampleMismatchError, match="a list"):
        cohort.known_to(SampleTable.from_ids(["y"]), "a list")
