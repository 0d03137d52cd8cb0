"""PLINK 2 filesets: what a .bed and its .pgen agree on, dosages, and what a damaged one gets."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from prs.errors import ColumnError, FileFormatError, InvalidValueError, SampleMismatchError
from prs.inputs.genotypes import open_genotypes
from prs.ld.compute import compute_ld
from prs.scoring import score
from prs.weights.clumping import clump
from prs.weights.table import read_weights

pytest.importorskip("pgenlib", reason="the extra prs[pgen] is not installed")

PLINK = Path(__file__).parent / "fixtures" / "plink"
PGEN = Path(__file__).parent / "fixtures" / "pgen"


@pytest.mark.parametrize("name", ["nasty", "trio"])
def test_a_pgen_reads_as_the_bed_that_it_was_made_from(name: str) -> None:
    bed, pgen = open_genotypes(PLINK / name), open_genotypes(PGEN / name)
    assert not pgen.has_dosages
    np.testing.assert_array_equal(pgen.read_packed(), bed.read_packed())
    np.testing.assert_array_equal(pgen.read_dosages(), bed.read_dosages())
    for field in ("chrom", "pos", "id", "effect_allele", "other_allele"):
        np.testing.assert_array_equal(getattr(pgen.variants, field), getattr(bed.variants, field))
    for field in ("fid", "iid", "sex", "is_founder"):
        np.testing.assert_array_equal(getattr(pgen.samples, field), getattr(bed.samples, field))
    some = pgen.subset(samples=[5, 2, 3], variants=[17, 3, 4])
    expected = bed.read_dosages([17, 3, 4], [5, 2, 3])
    np.testing.assert_array_equal(some.read_dosages(), expected)
    weights = read_weights(PLINK / f"{name}.score")
    np.testing.assert_array_equal(score(pgen, weights).values, score(bed, weights).values)
    assert [f.suffix for f in pgen.files] == [".pgen", ".pvar", ".psam"]


def test_dosages_are_those_of_plink2() -> None:
    genotypes = open_genotypes(PGEN / "dosages")
    assert genotypes.has_dosages
    # plink2 --export A counts the allele named after the underscore, to 1e-4
    raw = pd.read_csv(PGEN / "dosages.raw", sep="\t")
    counted = raw.columns[6:].str.rsplit("_").str[-1]
    theirs = raw.iloc[:, 6:].to_numpy(dtype=float)
    theirs = np.where(counted == genotypes.variants.effect_allele, theirs, 2 - theirs)
    np.testing.assert_allclose(genotypes.read_dosages(dtype=np.float64), theirs, atol=6e-5)
    np.testing.assert_allclose(genotypes.eaf(), np.nanmean(theirs, axis=0) / 2, atol=6e-5)
    assert genotypes.allele_counts().n_called.min() > 0  # of hard calls


@pytest.mark.parametrize("missing", ["mean", "skip"])
def test_scores_of_dosages_are_those_of_plink2(missing: str) -> None:
    genotypes = open_genotypes(PGEN / "dosages")
    ours = score(genotypes, read_weights(PGEN / "dosages.score"), missing=missing)
    theirs = pd.read_csv(PGEN / f"dosages.{missing}.sscore", sep="\t")
    # 60 terms of six digits each on their side: half a unit of the sixth digit of sums near 10
    np.testing.assert_allclose(ours.values, theirs[["W1_SUM", "W2_SUM"]], atol=1e-4)
    assert score(genotypes, read_weights(PGEN / "dosages.score"), n_threads=1).values.tobytes() == (
        score(genotypes, read_weights(PGEN / "dosages.score"), n_threads=3).values.tobytes()
    )


def test_ld_of_dosages_is_their_correlation() -> None:
    genotypes = open_genotypes(PGEN / "dosages")
    ld = compute_ld(genotypes, min_maf=0, max_missing=0.9)
    # the first one is at position 0, which is none
    X = genotypes.read_dosages(slice(1, None), dtype=np.float64)
    X = np.where(np.isnan(X), np.nanmean(X, axis=0), X)
    whole = np.corrcoef(X.T)
    for where, matrix in ld.blocks():
        # float32 products of n = 50 centred numbers below 2: n x 4 x 2^-24 over a variance > 1
        np.testing.assert_allclose(matrix, whole[where, where], atol=50 * 4 * 2**-24)


def copy_set(name: str, to: Path) -> Path:
    for suffix in (".pgen", ".pvar", ".psam"):
        shutil.copy(PGEN / (name + suffix), to / ("x" + suffix))
    return to / "x"


@pytest.mark.parametrize(
    "suffix, spoil, error, message",
    [
        (".pgen", lambda b: b[:-40], FileFormatError, r"x\.pgen: cannot be read"),
        (".pgen", lambda b: b"BCF" + b[3:], FileFormatError, "not a PLINK 2 .pgen"),
        (".pgen", lambda b: b"", FileFormatError, "empty"),
        (
            ".pvar",
            lambda b: b[: b.rindex(b"\n1\t") + 1],
            FileFormatError,
            "of another .pgen|another",
        ),
        (".pvar", lambda b: b.replace(b"#CHROM", b"CHROM"), ColumnError, "no header line"),
        (".pvar", lambda b: b.replace(b"1\t2\t", b"1\ttwo\t", 1), InvalidValueError, "line 4"),
        (".psam", lambda b: b + b"extra\t1\t-9\n", FileFormatError, "51 samples|raw_sample_ct"),
        (".psam", lambda b: b.replace(b"per1\t", b"per0\t"), InvalidValueError, "more than once"),
        (".psam", None, FileFormatError, "no such .psam"),
        (".pvar", None, FileFormatError, "no such .pvar"),
    ],
)
def test_a_damaged_pgen_is_refused_by_name(
    tmp_path: Path, suffix: str, spoil, error: type, message: str
) -> None:
    prefix = copy_set("dosages", tmp_path)
    file = prefix.with_suffix(suffix)
    if spoil is None:
        file.unlink()
    else:
        file.write_bytes(spoil(file.read_bytes()))
    with pytest.raises(error, match=message):
        open_genotypes(f"{prefix}.pgen").read_dosages()


def test_a_list_of_filesets_and_lists_of_people_and_variants(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    bed = open_genotypes(PLINK / "nasty")
    for suffix in (".bed", ".bim", ".fam"):
        shutil.copy(PLINK / f"nasty{suffix}", first.with_suffix(suffix))
    for suffix in (".pgen", ".pvar", ".psam"):
        shutil.copy(PGEN / f"nasty{suffix}", second.with_suffix(suffix))
    both = open_genotypes([first, second])
    assert both.n_variants == 2 * bed.n_variants
    index = [3, 95, 90, 89]
    expected = bed.read_dosages([3, 5, 0, 89])
    np.testing.assert_array_equal(both.read_dosages(index), expected)
    np.testing.assert_array_equal(
        both.read_dosages(slice(80, 100))[:, 10:], bed.read_dosages()[:, :10]
    )
    (tmp_path / "v.txt").write_text("v3\nv1\nelsewhere\n")
    (tmp_path / "k.txt").write_text("F1 I1\nF0 I0\n")
    view = open_genotypes(first, samples_file=tmp_path / "k.txt", variants_file=tmp_path / "v.txt")
    assert list(view.variants.id) == ["v1", "v3"]
    assert list(view.samples.iid) == ["I0", "I1"]
    with pytest.raises(SampleMismatchError):
        open_genotypes([first, PLINK / "trio"])


def test_clumps_of_a_pgen_are_those_of_the_bed() -> None:
    from test_clumping import as_pairs, read_assoc

    bed, pgen = open_genotypes(PLINK / "nasty"), open_genotypes(PGEN / "nasty")
    given = read_assoc(bed, PLINK / "nasty.assoc")
    assert as_pairs(clump(given, pgen)) == as_pairs(clump(given, bed))


def test_a_compressed_pvar_and_sites_with_several_alleles(tmp_path: Path) -> None:
    zstandard = pytest.importorskip("zstandard")
    vcf = tmp_path / "x.vcf"
    header = (
        "##fileformat=VCFv4.2\n##contig=<ID=1>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\t"
    )
    rows = [
        ("10\ta\tA\tC", "0/0 0/1 1/1 ./."),
        ("20\tb\tA\tC,G", "0/1 1/2 2/2 0/0"),
        ("30\tc\tT\tG", "1/1 0/0 0/1 0/0"),
    ]
    vcf.write_text(
        header
        + "FORMAT\tp\tq\tr\ts\n"
        + "".join(f"1\t{site}\t.\t.\t.\tGT\t{calls.replace(' ', chr(9))}\n" for site, calls in rows)
    )
    if shutil.which("plink2") is None:
        pytest.skip("plink2 is not installed")
    command = f"plink2 --vcf {vcf} --make-pgen --out {tmp_path / 'x'}"
    subprocess.run(command.split(), check=True, capture_output=True)
    text = (tmp_path / "x.pvar").read_bytes()
    (tmp_path / "x.pvar").unlink()
    (tmp_path / "x.pvar.zst").write_bytes(zstandard.ZstdCompressor().compress(text))
    genotypes = open_genotypes(tmp_path / "x")
    assert list(genotypes.variants.id) == ["a", "c"]
    expected = [[0, 2], [1, 0], [2, 1], [np.nan, 0]]
    np.testing.assert_array_equal(genotypes.read_dosages(), expected)
