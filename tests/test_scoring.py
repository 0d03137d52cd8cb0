"""Scoring: the kernels against their twin, sums and averages against plink2 and plink1.9."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import naive_scoring
import numpy as np
import pandas as pd
import pytest

from prs.errors import (
    ColumnError,
    FileFormatError,
    InvalidValueError,
    OverlapError,
    SettingsError,
)
from prs.inputs.genotypes import Genotypes, open_genotypes
from prs.kernels import scoring as kernels
from prs.scoring import Scores, read_scores, score, write_scores
from prs.variants import VariantTable
from prs.weights.table import Weights, read_weights

PLINK = Path(__file__).parent / "fixtures" / "plink"


def drawn_weights(genotypes: Genotypes, n_scores: int, seed: int = 3) -> Weights:
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(genotypes.n_variants, n_scores))
    names = tuple(f"w{s}" for s in range(n_scores))
    return Weights(genotypes.variants, weights, names)


def turned(variants: VariantTable, which: np.ndarray) -> VariantTable:
    """Return variants with the two alleles exchanged at `which`."""
    effect = np.where(which, variants.other_allele, variants.effect_allele)
    other = np.where(which, variants.effect_allele, variants.other_allele)
    return VariantTable(variants.chrom, variants.pos, variants.id, effect, other)


def assert_printed(ours: np.ndarray, printed: np.ndarray) -> None:
    """PLINK prints 6 digits: half a unit of the sixth, and as much for its own sums."""
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(printed))
    size = 10.0 ** np.floor(np.log10(np.abs(np.where(printed == 0, 1, printed))))
    assert np.nanmax(np.abs(ours - printed) / size) < 1e-5


@pytest.mark.parametrize("name", ["nasty", "trio"])
@pytest.mark.parametrize("missing", ["mean", "skip"])
@pytest.mark.parametrize("average", [False, True])
def test_scores_are_those_of_plink2(name: str, missing: str, average: bool) -> None:
    genotypes = open_genotypes(PLINK / name)
    weights = read_weights(PLINK / f"{name}.score")
    ours = score(genotypes, weights, missing=missing, average=average)
    tag = missing + ("avg" if average else "")
    theirs = pd.read_csv(PLINK / f"{name}.{tag}.sscore", sep="\t")
    suffix = "AVG" if average else "SUM"
    assert_printed(ours.values, theirs[[f"{n}_{suffix}" for n in weights.names]].to_numpy())
    called = ours.n_variants * (1 - ours.missing_rate)
    np.testing.assert_allclose(2 * called, theirs["ALLELE_CT"])
    # the fixture's one variant that the genotypes lack has a weight in every column
    assert ours.n_missing.tolist() == [1, 1, 1]


@pytest.mark.parametrize("name", ["nasty", "trio"])
@pytest.mark.parametrize("missing", ["mean", "skip"])
def test_scores_are_those_of_plink19(name: str, missing: str) -> None:
    genotypes = open_genotypes(PLINK / name)
    weights = read_weights(PLINK / f"{name}.score", columns=["W1"])
    ours = score(genotypes, weights, missing=missing, average=missing == "skip")
    theirs = pd.read_csv(PLINK / f"{name}.{missing}.profile", sep=r"\s+")
    printed = theirs.iloc[:, -1].to_numpy()
    # plink1.9 writes 0 where plink2 has nan: the person without a call
    assert_printed(np.nan_to_num(ours.values[:, 0]), printed)


@pytest.mark.skipif(shutil.which("plink2") is None, reason="plink2 is not installed")
def test_scores_are_those_of_plink2_on_real_data(shared_data: Path, tmp_path: Path) -> None:
    prefix = shared_data / "geno" / "kg1_chr22"
    genotypes = open_genotypes(prefix)
    weights = drawn_weights(genotypes, 12)
    frame = pd.DataFrame(weights.weights, columns=list(weights.names))
    frame.insert(0, "A1", genotypes.variants.effect_allele)
    frame.insert(0, "ID", genotypes.variants.id)
    repeated = pd.Index(frame["ID"]).duplicated(keep=False)
    frame[~repeated].to_csv(tmp_path / "w.score", sep="\t", index=False)
    command = (
        f"plink2 --bfile {prefix} --score w.score 1 2 header-read cols=+scoresums "
        "--score-col-nums 3-14 --out p --threads 1"
    )
    subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
    theirs = pd.read_csv(tmp_path / "p.sscore", sep="\t").filter(regex="_SUM$")
    theirs = theirs.drop(columns="NAMED_ALLELE_DOSAGE_SUM").to_numpy()
    ours = score(genotypes, read_weights(tmp_path / "w.score"))
    sd = ours.values.std(axis=0)
    # six printed digits of sums up to some 5 sd: within 1e-5 sd x 5
    assert np.max(np.abs(ours.values - theirs) / sd) < 5e-5


@pytest.mark.parametrize("n_scores", [1, 3, 9])
@pytest.mark.parametrize("missing", ["mean", "skip"])
def test_kernels_agree_with_the_slow_twin(n_scores: int, missing: str) -> None:
    genotypes = open_genotypes(PLINK / "trio")
    some = np.array([0, 1, 2, 4, 8, 9, 17, 29, 28])
    view = genotypes.subset(samples=some)
    weights = drawn_weights(genotypes, n_scores)
    which = np.arange(len(weights)) % 3 == 1
    given = Weights(turned(weights.variants, which), weights.weights, weights.names)
    ours = score(view, given, missing=missing, palindromic="keep")
    founders = some[view.samples.is_founder]
    is_palindromic = weights.variants.is_palindromic
    values, n_missing = naive_scoring.score_people(
        genotypes.read_packed(),
        some.tolist(),
        founders.tolist(),
        weights.weights,
        which,
        missing == "mean",
    )
    assert is_palindromic.any()  # turned ones among them are read as written
    # 60 terms of size up to 2 x 4, each rounded at 2^-53 a few times
    np.testing.assert_allclose(ours.values, values, atol=60 * 8 * 8 * 2**-53, rtol=0)
    np.testing.assert_array_equal(np.rint(ours.missing_rate * 60), n_missing)


def test_any_number_of_threads_and_chunks_gives_the_same_bits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    genotypes = open_genotypes(PLINK / "nasty")
    for n_scores in (2, 11):
        weights = drawn_weights(genotypes, n_scores)
        one = score(genotypes, weights, n_threads=1)
        for n_threads in (2, 5):
            more = score(genotypes, weights, n_threads=n_threads)
            np.testing.assert_array_equal(one.values, more.values)
        with monkeypatch.context() as patch:
            patch.setattr("prs.weights.product._MAX_CHUNK", 16)
            chunked = score(genotypes, weights, n_threads=2)
        np.testing.assert_array_equal(one.values, chunked.values)
        np.testing.assert_array_equal(one.missing_rate, chunked.missing_rate)


def test_interleaving_exchanges_people_and_variants() -> None:
    rng = np.random.default_rng(0)
    packed = rng.integers(0, 256, (8, 16)).astype(np.uint8)
    index = np.zeros((2, 4, 2), dtype=np.uint64)
    kernels.interleave(packed.view(np.uint64), 0, 2, index)
    by_person = index.view(np.uint8)
    for person in range(64):
        for variant in range(8):
            byte = by_person[variant // 4, person % 4, person // 4]
            code = (byte >> (2 * (variant % 4))) & 3
            assert code == naive_scoring.code_of(packed, variant, person)
    counts = np.zeros((8, 3), dtype=np.int64)
    everybody = np.full(2, 0x5555555555555555, dtype=np.uint64)
    kernels.count_row_codes(packed.view(np.uint64), everybody, counts)
    for variant in range(8):
        codes = [naive_scoring.code_of(packed, variant, i) for i in range(64)]
        assert counts[variant].tolist() == [codes.count(c) for c in (1, 2, 3)]


def test_rows_of_many_people_and_calls_missing_everywhere() -> None:
    # more words than a strip holds, as many rows as a byte counts; the first person lacks all
    rng = np.random.default_rng(1)
    n_words, n_rows = 515, kernels.MOST_ROWS
    packed = rng.integers(0, 256, (n_rows + 1, 8 * n_words)).astype(np.uint8)
    packed[:, 0] = (packed[:, 0] & 0b11111100) | 0b01
    packed[-1] = 0  # pads to a multiple of 16
    rows = packed.view(np.uint64)
    codes = (packed[:, :, None] >> np.array([0, 2, 4, 6], np.uint8)) & 3
    by_person = codes.transpose(0, 2, 1)  # variant, k, b: person 4b + k
    bytewise = np.zeros((4, n_words), dtype=np.uint64)
    for first, last in ((0, 200), (200, n_words)):
        kernels.count_missing(rows[:n_rows], first, last, bytewise)
    np.testing.assert_array_equal(bytewise.view(np.uint8), (by_person == 1).sum(axis=0))
    assert bytewise.view(np.uint8)[0, 0] == n_rows
    values = rng.integers(-9, 9, (n_rows + 1, 4)).astype(float)  # sums are exact in any order
    totals = np.zeros((4, 8 * n_words))
    kernels.accumulate_column(rows, values, 0, n_words, totals)
    expected = sum(values[v][by_person[v]] for v in range(n_rows + 1))
    np.testing.assert_array_equal(totals, expected)


def test_several_weights_are_one_union_with_their_own_denominators() -> None:
    genotypes = open_genotypes(PLINK / "nasty")
    both = drawn_weights(genotypes, 2)
    half = np.arange(len(both)) % 2 == 0
    first = both.select("w0").take(half)
    # the second file counts the other allele of all it has: these variants are read twice
    second = both.select("w1")
    second = Weights(turned(second.variants, half), second.weights, ("w1",))
    for missing in ("mean", "skip"):
        for average in (False, True):
            options = {"missing": missing, "average": average, "palindromic": "keep"}
            union = score(genotypes, [first, second], **options)
            for s, alone in enumerate((first, second)):
                one = score(genotypes, alone, **options)
                # sums of at most 90 terms below 8, in another order
                np.testing.assert_allclose(
                    union.values[:, s], one.values[:, 0], atol=90 * 8 * 8 * 2**-53, rtol=0
                )
            assert union.n_variants == genotypes.n_variants
    with pytest.raises(SettingsError, match="more than one"):
        score(genotypes, [first, first])


def test_weights_without_positions_or_other_alleles() -> None:
    genotypes = open_genotypes(PLINK / "nasty")
    full = drawn_weights(genotypes, 1)
    variants = full.variants
    blank = np.full(len(full), "", dtype=object)
    nowhere = np.zeros(len(full), dtype=np.int32)
    whole = score(genotypes, full).values
    by_id = VariantTable(
        nowhere.astype(np.int8), nowhere, variants.id, variants.effect_allele, blank
    )
    by_place = VariantTable(
        variants.chrom, variants.pos, blank, variants.effect_allele, variants.other_allele
    )
    some_placed = VariantTable(
        np.where(np.arange(len(full)) % 2, variants.chrom, 0).astype(np.int8),
        np.where(np.arange(len(full)) % 2, variants.pos, 0),
        variants.id,
        variants.effect_allele,
        variants.other_allele,
    )
    np.testing.assert_array_equal(
        score(genotypes, Weights(by_id, full.weights, ("x",))).values, whole
    )
    for table in (by_place, some_placed):
        given = Weights(table, full.weights, ("x",))
        np.testing.assert_array_equal(score(genotypes, given).values, whole)


def test_palindromes_follow_the_strand_of_the_file() -> None:
    genotypes = open_genotypes(PLINK / "nasty")
    eaf = genotypes.eaf(founders_only=True)
    full = drawn_weights(genotypes, 1)
    complement = {"A": "T", "T": "A", "C": "G", "G": "C"}

    def flip(alleles: np.ndarray) -> np.ndarray:
        return np.array([complement.get(a, a) for a in alleles], dtype=object)

    variants = full.variants
    snv = np.array([len(b) == 1 for b in variants.other_allele])
    opposite = VariantTable(
        variants.chrom,
        variants.pos,
        variants.id,
        np.where(snv, flip(variants.effect_allele), variants.effect_allele),
        np.where(snv, flip(variants.other_allele), variants.other_allele),
    )
    palindromes = variants.is_palindromic
    # on the genotypes' strand: all are taken as written, frequencies or not
    assert score(genotypes, full).n_used[0] == len(full)
    # on the other strand: frequency settles those away from 1/2; without one, none is settled
    with_eaf = score(genotypes, Weights(opposite, full.weights, ("x",), eaf), min_overlap=0)
    settled = palindromes & (np.minimum(eaf, 1 - eaf) < 0.4)
    assert with_eaf.n_used[0] == np.count_nonzero(~palindromes | settled)
    kept = full.take(~palindromes | settled)
    np.testing.assert_allclose(
        with_eaf.values, score(genotypes, kept).values, atol=90 * 8 * 8 * 2**-53, rtol=0
    )
    without = score(genotypes, Weights(opposite, full.weights, ("x",)), min_overlap=0)
    assert without.n_used[0] == np.count_nonzero(~palindromes)
    assert without.reports[0].counts["palindromic_dropped"] == np.count_nonzero(palindromes)


def test_too_little_overlap_is_an_error_with_reasons() -> None:
    genotypes = open_genotypes(PLINK / "nasty")
    full = drawn_weights(genotypes, 1)
    elsewhere = full.variants.take(np.arange(len(full)))
    moved = VariantTable(
        elsewhere.chrom,
        elsewhere.pos + np.where(np.arange(len(full)) < 60, 7_000_000, 0).astype(np.int32),
        np.full(len(full), "", dtype=object),
        elsewhere.effect_allele,
        elsewhere.other_allele,
    )
    weights = Weights(moved, full.weights, ("x",))
    with pytest.raises(OverlapError, match=r"30 of the 90 .*not found 60"):
        score(genotypes, weights)
    assert score(genotypes, weights, min_overlap=0.3).n_missing[0] == 60
    for wrong in ({"missing": "zero"}, {"min_overlap": 2}, {"palindromic": "guess"}):
        with pytest.raises(SettingsError):
            score(genotypes, weights, **wrong)


def test_one_person_and_one_variant() -> None:
    genotypes = open_genotypes(PLINK / "solo")
    weights = Weights(genotypes.variants, np.array([[1.5]]), ("x",))
    dosage = genotypes.read_dosages(dtype=np.float64)
    np.testing.assert_array_equal(score(genotypes, weights).values, 1.5 * dosage)


def test_scores_files(tmp_path: Path) -> None:
    genotypes = open_genotypes(PLINK / "nasty")
    scores = score(genotypes, read_weights(PLINK / "nasty.score"))
    path = tmp_path / "x.scores.tsv"
    write_scores(scores, path)
    again = read_scores(path)
    np.testing.assert_array_equal(again.values, scores.values)
    np.testing.assert_allclose(again.missing_rate, scores.missing_rate)
    assert again.names == scores.names
    assert again.samples.iid.tolist() == scores.samples.iid.tolist()
    assert again.n_used.tolist() == scores.n_used.tolist()
    sums = read_scores(PLINK / "nasty.mean.sscore")
    assert sums.names == ("W1_SUM", "W2_SUM", "W3_SUM")
    assert isinstance(sums.take(np.arange(3)).select("W2_SUM"), Scores)


@pytest.mark.parametrize(
    "text, error, message",
    [
        ("IID\tx\nA\t1\nB\tone\n", InvalidValueError, "line 3, column 'x'.*not numbers"),
        ("IID\tx\nA\t1\nA\t2\n", InvalidValueError, "more than one row"),
        ("person\tx\nA\t1\n", ColumnError, "no column IID"),
        ("FID\tIID\nA\tA\n", ColumnError, "no column of scores"),
        ("IID\tx\n", FileFormatError, "no people"),
        ("", FileFormatError, "empty"),
    ],
)
def test_bad_scores_files(tmp_path: Path, text: str, error: type, message: str) -> None:
    path = tmp_path / "s.tsv"
    path.write_text(text)
    with pytest.raises(error, match=message):
        read_scores(path)


SEX = Path(__file__).parent / "fixtures" / "sex"


@pytest.mark.parametrize("name", sorted(file.stem for file in SEX.glob("*.sscore")))
def test_sex_chromosomes_and_scales_are_those_of_plink2(name: str) -> None:
    file = SEX / f"{name}.sscore"
    stem, tag = name.split(".")
    chromosome, x_males = stem[:-1], int(stem[-1])
    scale = {"centerskip": "center", "stdskip": "standardize"}.get(tag, "none")
    missing = "mean" if tag == "mean" else "skip"
    genotypes = open_genotypes(SEX / "sex")
    options = {"missing": missing, "scale": scale, "x_males": x_males}
    weights = read_weights(SEX / f"{chromosome}.score")
    theirs = pd.read_csv(file, sep="\t")
    sums, averages = (
        score(genotypes, weights, average=average, **options) for average in (False, True)
    )
    assert_printed(sums.values, theirs[["W1_SUM", "W2_SUM"]].to_numpy())
    assert_printed(averages.values, theirs[["W1_AVG", "W2_AVG"]].to_numpy())
    said = " ".join(sums.notes)
    assert {"x": "chromosome X", "y": "chromosome Y", "mt": "MT:"}.get(chromosome, "") in said


def test_centring_with_missing_calls_is_that_of_plink19() -> None:
    genotypes = open_genotypes(SEX / "sex")
    weights = read_weights(SEX / "auto.score", columns=["W1"])
    theirs = pd.read_csv(SEX / "auto.center.profile", sep=r"\s+")
    ours = score(genotypes, weights, scale="center")
    assert_printed(ours.values[:, 0], theirs["SCORESUM"].to_numpy())
    with pytest.raises(SettingsError, match="not diploid"):
        score(genotypes, read_weights(SEX / "x.score"), scale="standardize")


def test_packed_and_dense_products_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    genotypes = open_genotypes(PLINK / "nasty")
    weights = drawn_weights(genotypes, 3)
    which = np.arange(len(weights)) % 2 == 0
    other = Weights(turned(weights.variants, which), weights.weights, ("a", "b", "c"))
    for scale in ("none", "center", "standardize"):
        for missing in ("mean", "skip"):
            options = {"scale": scale, "missing": missing, "palindromic": "keep", "average": True}
            packed = score(genotypes, [weights, other], **options)
            with monkeypatch.context() as patch:
                patch.setattr(
                    "prs.weights.product.needs_dosages", lambda g, v: np.ones(len(v), dtype=bool)
                )
                dense = score(genotypes, [weights, other], **options)
            # 90 terms of a weight below 4 and a count below 20, rounded at 2^-53 a few times
            np.testing.assert_allclose(
                packed.values, dense.values, atol=90 * 80 * 8 * 2**-53, rtol=0
            )
            np.testing.assert_array_equal(packed.missing_rate, dense.missing_rate)


def test_unmatched_weights_are_listed_with_the_reason(tmp_path: Path) -> None:
    genotypes = open_genotypes(PLINK / "nasty")
    scores = score(genotypes, read_weights(PLINK / "nasty.score"))
    write_scores(scores, tmp_path / "x.scores.tsv")
    listed = pd.read_csv(tmp_path / "x.scores.unmatched.tsv", sep="\t")
    assert len(listed) == scores.n_missing[0] == 1
    assert listed["reason"].tolist() == ["not_found"]
    said = pd.read_csv(tmp_path / "x.scores.variants.tsv", sep="\t")["coding"]
    assert "a missing call counts 2 x frequency" in said[0]


@pytest.mark.parametrize("at", ["reading", "writing"])
def test_an_interrupted_run_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    genotypes = open_genotypes(PLINK / "nasty")
    weights = read_weights(PLINK / "nasty.score")

    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    if at == "reading":
        monkeypatch.setattr(Genotypes, "read_packed", interrupt)
        with pytest.raises(KeyboardInterrupt):
            write_scores(score(genotypes, weights, n_threads=2), tmp_path / "x.scores.tsv")
    else:
        scores = score(genotypes, weights)
        monkeypatch.setattr(Path, "replace", interrupt)
        with pytest.raises(KeyboardInterrupt):
            write_scores(scores, tmp_path / "x.scores.tsv")
    assert list(tmp_path.iterdir()) == []


def test_the_shortcut_for_identical_variants_matches_as_the_engine_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    genotypes = open_genotypes(SEX / "sex")
    weights = drawn_weights(genotypes, 2)
    doubled = genotypes.subset(variants=[0, 0, 1, 2])
    twice = weights.take(np.array([0, 0, 1, 2]))
    for view, table in ((genotypes, weights), (doubled, twice), (doubled, weights)):
        quick = score(view, table, min_overlap=0)
        with monkeypatch.context() as patch:
            patch.setattr("prs.weights.matching._are_identical", lambda a, b: False)
            engine = score(view, table, min_overlap=0)
        np.testing.assert_array_equal(quick.values, engine.values)
        assert quick.reports[0].counts == engine.reports[0].counts
    assert quick.n_used[0] == 3
