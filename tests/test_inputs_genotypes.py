"""Genotypes: packed kernels against slow twins, views, and what a damaged fileset gets."""

from __future__ import annotations

import os

import naive_packed as naive
import numpy as np
import pytest
from bed_reader import open_bed

from prs.errors import (
    FileFormatError,
    InvalidValueError,
    OverlapError,
    SampleMismatchError,
    SettingsError,
)
from prs.inputs.genotypes import open_genotypes
from prs.inputs.lists import read_sample_list
from prs.inputs.plink1 import read_bim
from prs.kernels import packed as kernels


def draw_dosages(n, m, seed):
    rng = np.random.default_rng(seed)
    dosages = rng.integers(0, 3, (n, m)).astype(np.float32)
    dosages[rng.random((n, m)) < 0.1] = np.nan
    return dosages


def write_fileset(prefix, dosages, chrom="1", first=1, people=None):
    n, m = dosages.shape
    people = people or [f"p{i}" for i in range(n)]
    data = b"\x6c\x1b\x01" + naive.pack(dosages).tobytes()
    prefix.with_name(prefix.name + ".bed").write_bytes(data)
    prefix.with_name(prefix.name + ".bim").write_text(
        "".join(f"{chrom}\trs{first + j}\t{j / 4}\t{100 + j}\tA\tG\n" for j in range(m))
    )
    prefix.with_name(prefix.name + ".fam").write_text(
        "".join(f"f {p} {'p0' if i == 3 else 0} 0 {1 + i % 2} -9\n" for i, p in enumerate(people))
    )
    return prefix


@pytest.fixture
def fileset(tmp_path):
    dosages = draw_dosages(13, 9, 1)
    return write_fileset(tmp_path / "x.y", dosages), dosages


@pytest.mark.parametrize("n", [1, 3, 4, 5, 130])
def test_packed_kernels_equal_their_slow_twins(n):
    dosages = draw_dosages(n, 7, n)
    packed = naive.pack(dosages)
    rng = np.random.default_rng(n)
    people = rng.permutation(n)[: max(1, n // 2)].astype(np.int64)
    out = np.empty((7, len(people)), dtype=np.float32)
    kernels.decode_dosages(packed, people, out)
    np.testing.assert_array_equal(out, naive.decode(packed, people))
    counts = np.empty((7, 4), dtype=np.int64)
    mask = kernels.person_mask(people, packed.shape[1])
    kernels.count_codes(packed, mask, len(people), counts)
    np.testing.assert_array_equal(counts, naive.count(packed, people))


def test_what_was_written_is_read_in_the_order_of_the_file(fileset):
    prefix, dosages = fileset
    genotypes = open_genotypes(prefix)
    assert (genotypes.n_samples, genotypes.n_variants) == dosages.shape
    np.testing.assert_array_equal(genotypes.read_dosages(), dosages)
    assert genotypes.read_dosages(dtype=np.float64).dtype == np.float64
    assert list(genotypes.variants.effect_allele) == ["A"] * 9  # .bim column 5
    assert list(genotypes.genetic_position) == [j / 4 for j in range(9)]
    assert list(genotypes.samples.sex[:2]) == [1, 2]
    assert list(np.flatnonzero(~genotypes.samples.is_founder)) == [3]
    assert open_genotypes(f"{prefix}.bed").n_variants == 9
    assert [f.exists() for f in genotypes.files] == [True] * 3


def test_views_compose_and_keep_their_order(fileset):
    prefix, dosages = fileset
    whole = open_genotypes(prefix)
    view = whole.subset(samples=[7, 2, 9, 3], variants=np.arange(9) % 2 == 0)
    view = view.subset(samples=slice(1, None), variants=[3, 0])
    expected = dosages[np.ix_([2, 9, 3], [6, 0])]
    np.testing.assert_array_equal(view.read_dosages(), expected)
    assert list(view.samples.iid) == ["p2", "p9", "p3"]
    assert list(view.variants.id) == ["rs7", "rs1"]
    np.testing.assert_array_equal(
        view.read_dosages(variants=[1], samples=[2, 0]), expected[np.ix_([2, 0], [1])]
    )
    np.testing.assert_array_equal(
        np.hstack([block for _, block in view.iter_dosages(block_size=1)]), expected
    )
    np.testing.assert_array_equal(naive.decode(view.read_packed(), view.sample_index).T, expected)
    counts = view.allele_counts()
    np.testing.assert_array_equal(counts.n_called, (~np.isnan(expected)).sum(0))
    np.testing.assert_array_equal(counts.missing, np.isnan(expected).sum(0))
    np.testing.assert_array_equal(counts.n_effect, np.nansum(expected, 0))
    founders = expected[:2].astype(float)  # p3 has a father in the file
    np.testing.assert_allclose(
        view.eaf(founders_only=True), np.nanmean(founders, 0) / 2, rtol=4 * np.finfo(float).eps
    )
    assert view.subset(variants=[]).read_dosages().shape == (3, 0)


def test_frequency_is_nan_where_nobody_has_a_call(tmp_path):
    dosages = np.full((3, 2), np.nan, dtype=np.float32)
    dosages[:, 1] = [0, 1, 2]
    eaf = open_genotypes(write_fileset(tmp_path / "g", dosages)).eaf()
    np.testing.assert_array_equal(eaf, [np.nan, 0.5])


def test_one_fileset_a_chromosome_reads_as_one(tmp_path):
    parts = {chrom: draw_dosages(6, 4, seed) for seed, chrom in enumerate(("2", "10", "X"))}
    for chrom, dosages in parts.items():
        write_fileset(tmp_path / f"chr{chrom}", dosages, chrom)
    genotypes = open_genotypes(tmp_path / "chr{chrom}")
    assert list(genotypes.variants.chrom) == [2] * 4 + [10] * 4 + [23] * 4
    whole = np.hstack([*parts.values()])
    np.testing.assert_array_equal(genotypes.read_dosages(), whole)
    index = [11, 2, 3, 4, 5]
    np.testing.assert_array_equal(genotypes.read_dosages(index), whole[:, index])
    np.testing.assert_array_equal(genotypes.read_dosages(slice(3, 9)), whole[:, 3:9])
    write_fileset(tmp_path / "chr10", parts["10"], "10", people=["p0", "p2", "p1", *"abc"])
    with pytest.raises(SampleMismatchError, match=r"chr10\.fam.*5 of 6 people differ"):
        open_genotypes(tmp_path / "chr{chrom}")
    with pytest.raises(FileFormatError, match=r"no \.bed or \.pgen file for any chromosome"):
        open_genotypes(tmp_path / "other{chrom}")


def test_lists_choose_people_and_variants(fileset, tmp_path, caplog):
    prefix, _ = fileset
    whole = open_genotypes(prefix)
    people, ids = list(whole.samples.iid), list(whole.variants.id)
    keep, other = tmp_path / "keep.txt", tmp_path / "other.txt"
    keep.write_text("#FID IID\nf p5\nf p1\nf p5\n")
    assert list(read_sample_list(keep).iid) == ["p5", "p1"]
    view = open_genotypes(prefix, samples_file=keep)
    assert list(view.samples.iid) == ["p1", "p5"]
    assert keep in view.subset(samples=[0]).files
    rest = open_genotypes(prefix, exclude_samples_file=keep)
    assert list(rest.samples.iid) == [p for p in people if p not in ("p1", "p5")]
    some, none = tmp_path / "some", tmp_path / "none"
    some.write_text(f"{ids[3]}\n{ids[0]} extra\n")
    assert list(open_genotypes(prefix, variants_file=some).variants.id) == [ids[0], ids[3]]
    left = open_genotypes(prefix, exclude_variants_file=some).variants.id
    assert list(left) == [v for v in ids if v not in (ids[0], ids[3])]
    # one rule for all lists: what is absent is counted and said, and none there is an error
    keep.write_text("p5\nnobody\n")
    some.write_text(f"{ids[3]}\nnothing\n")
    none.write_text("nowhere\n")
    for name, path, error in (
        ("samples_file", keep, SampleMismatchError),
        ("exclude_samples_file", keep, SampleMismatchError),
        ("variants_file", some, OverlapError),
        ("exclude_variants_file", some, OverlapError),
    ):
        caplog.clear()
        open_genotypes(prefix, **{name: path})
        assert "1 of the 2 listed" in caplog.text
        with pytest.raises(error, match="nowhere"):
            open_genotypes(prefix, **{name: none})
    other.write_text("p5\n")
    with pytest.raises(SampleMismatchError, match=r"nobody of .* is left"):
        open_genotypes(prefix, samples_file=other, exclude_samples_file=other)


def test_a_list_of_filesets(tmp_path):
    rng = np.random.default_rng(4)
    names = ["b", "a.x", "chr2"]
    for name, chrom in zip(names, (5, 1, 2), strict=True):
        write_fileset(tmp_path / name, rng.integers(0, 3, (6, 2)).astype(float), chrom=chrom)
    listed = tmp_path / "all.list"
    listed.write_text("# in this order\nb\na.x.bed\nchr{chrom}\n")
    by_list = open_genotypes(listed)
    by_name = open_genotypes([tmp_path / "b", tmp_path / "a.x", tmp_path / "chr{chrom}"])
    assert by_list.variants.chrom.tolist() == [5, 5, 1, 1, 2, 2]
    np.testing.assert_array_equal(by_list.read_dosages(), by_name.read_dosages())
    listed.write_text("b\nb.bed\n")
    with pytest.raises(FileFormatError, match="more than once"):
        open_genotypes(listed)


BIM = "1 rs1 0 100 A G\n1 rs2 0 200 A G\n"
FAM = "f a 0 0 1 -9\nf b 0 0 2 -9\nf c 0 0 0 -9\n"
BED = b"\x6c\x1b\x01\x00\x00"


@pytest.mark.parametrize(
    "suffix, content, error, message",
    [
        ("bed", BED[:-1], FileFormatError, r"x\.bed: is 4 bytes, but 2 .*3 .* = 5 bytes"),
        ("bed", BED + b"\0", FileFormatError, r"is 6 bytes.* = 5 bytes"),
        ("bed", b"\x6c\x1b\x00\0\0", FileFormatError, "magic number 6c 1b 00.*sample-major"),
        ("bed", b"PGEN!", FileFormatError, "wrong magic number 50 47 45"),
        ("bed", b"", FileFormatError, r"x\.bed: \.bed file is empty"),
        ("bim", "", FileFormatError, r"x\.bim: \.bim file is empty"),
        ("bim", "\n \n", FileFormatError, r"x\.bim: \.bim file is empty"),
        ("bim", "1 rs1 0 100 A G\n1 rs2 0 200 A\n", FileFormatError, r"x\.bim, line 2: 5 columns"),
        ("bim", "1 rs1 0 100 A\n1 rs2 0 200 A\n", FileFormatError, r"x\.bim, line 1: 5 columns"),
        ("bim", BIM + "1 rs3 0 300 A G C\n", FileFormatError, r"x\.bim, line 3: 7 columns"),
        ("bim", "1 rs1 0 1 A G T\n1 rs2 0 2 A G T\n", FileFormatError, r"line 1: 7 columns"),
        ("bim", "1 rs1 0 1.5 A G\n", InvalidValueError, r"line 1, column 'position': .*'1.5'"),
        ("bim", BIM + "1 rs3 x 3 A G\n", InvalidValueError, r"line 3, column 'cM': .*'x' is not"),
        ("bim", BIM + "1 rs3 0 -3 A G\n", InvalidValueError, "line 3, column 'position'.*negative"),
        ("fam", "f a 0 0 1 -9\nf a 0 0 1 -9\n", InvalidValueError, r"x\.fam, line 2: 1 people"),
        ("fam", "f a 0 0 1\n", FileFormatError, r"x\.fam, line 1: 5 columns"),
        ("fam", None, FileFormatError, r"x\.fam: no such \.fam file"),
    ],
)
def test_a_damaged_fileset_is_refused_by_name(tmp_path, suffix, content, error, message):
    files = {"bed": BED, "bim": BIM.encode(), "fam": FAM.encode()}
    files[suffix] = content.encode() if isinstance(content, str) else content
    for name, data in files.items():
        if data is not None:
            (tmp_path / f"x.{name}").write_bytes(data)
    with pytest.raises(error, match=message):
        open_genotypes(tmp_path / "x")


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda g: g.subset(samples=[1, 1]), "only once"),
        (lambda g: g.subset(variants=[9]), "variants index 9 is out of range: there are 9"),
        (lambda g: g.read_dosages(variants=[-1]), "index -1 is out of range"),
        (lambda g: g.read_dosages(dtype=np.int8), "cannot be int8"),
        (lambda g: g.subset(samples=np.ones(3, bool)), r"mask of samples has shape \(3,\)"),
        (lambda g: list(g.iter_dosages(0)), "block_size is 0"),
    ],
)
def test_impossible_views_are_refused(fileset, call, message):
    genotypes = open_genotypes(fileset[0])
    with pytest.raises(SettingsError, match=message):
        call(genotypes)


def test_bed_reader_agrees_on_real_genotypes(shared_data):
    path = shared_data / "geno" / "kg3_sites"
    genotypes = open_genotypes(path)
    rows = np.random.default_rng(3).choice(genotypes.n_variants, 500, replace=False)
    with open_bed(f"{path}.bed") as reader:
        theirs = reader.read(rows, dtype="float32")  # count_A1 is its default
    np.testing.assert_array_equal(genotypes.read_dosages(rows), theirs)
    np.testing.assert_allclose(  # both are ratios of the same integers
        genotypes.subset(variants=rows).eaf(),
        np.nanmean(theirs.astype(float), axis=0) / 2,
        rtol=8 * np.finfo(float).eps,
    )


@pytest.mark.parametrize("change", ["shrinks", "grows", "is written anew"])
def test_a_file_that_changes_while_it_is_read_is_an_error(fileset, change):
    prefix, dosages = fileset
    genotypes = open_genotypes(prefix)
    bed = prefix.with_name(prefix.name + ".bed")
    data = bed.read_bytes()
    with bed.open("r+b") as stream:
        if change == "shrinks":
            stream.truncate(len(data) - 5)
        elif change == "is written anew":
            os.utime(bed, ns=(1, 1))  # a clock too coarse to tell a change a moment after
            stream.write(data)
        else:
            stream.seek(0, 2)
            stream.write(b"\0" * 4)
    with pytest.raises(FileFormatError, match=r"x\.y\.bed: has changed while it was being read"):
        genotypes.read_dosages()
    bed.with_name("new").write_bytes(data)
    bed.with_name("new").replace(bed)  # a new file of the same name: open it again
    np.testing.assert_array_equal(open_genotypes(prefix).read_dosages(), dosages)


def test_rows_far_apart_and_close_together_read_alike(fileset):
    prefix, dosages = fileset
    genotypes = open_genotypes(prefix)
    for index in ([8, 0], [0, 1, 2, 4], [7, 6, 5], [4], [3, 3, 8, 0, 1]):
        np.testing.assert_array_equal(genotypes.read_dosages(index), dosages[:, index])


@pytest.mark.parametrize("n", [1, 4, 7, 130])
def test_packing_calls_is_the_inverse_of_decoding(n):
    dosages = draw_dosages(n, 5, n)
    calls = np.where(np.isnan(dosages), -9, dosages).astype(np.int8).T.copy()
    packed = np.empty((5, (n + 3) // 4), dtype=np.uint8)
    kernels.pack_calls(calls, packed)
    np.testing.assert_array_equal(packed, naive.pack(dosages))


def test_alleles_that_look_like_numbers_are_text(tmp_path):
    path = tmp_path / "x.bim"
    path.write_text("1\tr1\t0\t5\t1\t2\n1\tr2\t0\t6\t2\t4\n")
    variants, _ = read_bim(path)
    assert variants.effect_allele.tolist() == ["1", "2"]
    assert variants.other_allele.tolist() == ["2", "4"]
