"""Correlations, block boundaries, LD references on disk and panels in others' formats."""

from __future__ import annotations

from pathlib import Path

import h5py
import naive_ld
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info, threadpool_limits

from prs.errors import (
    ColumnError,
    FileFormatError,
    InvalidValueError,
    LDReferenceError,
    SampleMismatchError,
    SettingsError,
)
from prs.inputs.genotypes import open_genotypes
from prs.ld.blocks import BlockTable, read_blocks, split_blocks, write_blocks
from prs.ld.compute import compute_ld
from prs.ld.correlation import correlate, correlate_variants
from prs.ld.reference import LDReference
from prs.ld.splitting import SplitSettings, optimal_cuts
from prs.ld.store import open_ld, write_ld
from prs.matching import match_variants
from prs.samples import SampleTable
from prs.variants import VariantTable

EPS = float(np.finfo(np.float32).eps)


def draw_dosages(rng, n_people, sizes, missing=0.0):
    """Independent stretches of variants; within one, neighbours share most of their alleles."""
    columns = []
    for size in sizes:
        frequency = rng.uniform(0.2, 0.5)
        haplotypes = rng.random((2 * n_people, 1)) < frequency
        for _ in range(size):
            new = rng.random((2 * n_people, 1)) < frequency
            haplotypes = np.where(rng.random((2 * n_people, 1)) < 0.1, new, haplotypes)
            columns.append(haplotypes.reshape(n_people, 2).sum(axis=1))
    dosages = np.array(columns, dtype=np.float32).T
    dosages[rng.random(dosages.shape) < missing] = np.nan
    return dosages


def write_bed(prefix: Path, dosages, chrom=None, pos=None):
    """Write dosages of A1 as a PLINK fileset."""
    n_people, n_variants = dosages.shape
    chrom = [1] * n_variants if chrom is None else chrom
    pos = 1000 * (1 + np.arange(n_variants)) if pos is None else pos
    code = np.select([np.isnan(dosages), dosages == 2, dosages == 1], [1, 0, 2], 3).T
    code = np.pad(code, ((0, 0), (0, -n_people % 4))).reshape(n_variants, -1, 4)
    packed = (code << np.array([0, 2, 4, 6])).sum(axis=2).astype(np.uint8)
    prefix.with_suffix(".bed").write_bytes(b"\x6c\x1b\x01" + packed.tobytes())
    prefix.with_suffix(".bim").write_text(
        "".join(
            f"{c}\trs{i}\t0\t{p}\tA\tG\n" for i, (c, p) in enumerate(zip(chrom, pos, strict=True))
        )
    )
    prefix.with_suffix(".fam").write_text("".join(f"F{i} P{i} 0 0 0 -9\n" for i in range(n_people)))
    return prefix


def table(m, chrom=1):
    return VariantTable(
        np.full(m, chrom, np.int8),
        np.arange(1, m + 1) * 100,
        np.array([f"rs{i}" for i in range(m)], dtype=object),
        np.array(["A"] * m, dtype=object),
        np.array(["AGT" * 30] + ["C"] * (m - 1), dtype=object),
    )


def reference(sizes=(4, 1, 6), seed=1):
    rng = np.random.default_rng(seed)
    matrices = [correlate(draw_dosages(rng, 80, [size])) for size in sizes]
    return LDReference.from_blocks(
        table(sum(sizes)),
        rng.uniform(0.1, 0.9, sum(sizes)),
        matrices,
        population="EUR",
        n_samples=80,
        notes=("a note",),
    )


# ---------------------------------------------------------------- correlation


@pytest.mark.parametrize("missing", [0.0, 0.05, 0.5])
def test_correlations_are_those_of_the_plain_loops(missing):
    dosages = draw_dosages(np.random.default_rng(3), 61, [5, 4], missing)
    dosages[:, 3] = 1  # does not vary
    found = correlate(dosages)
    # Sums are exact; two float64 operations and one rounding to float32 of numbers up to 1.
    np.testing.assert_allclose(found, naive_ld.correlate(dosages), atol=EPS)
    np.testing.assert_array_equal(found, found.T)
    np.testing.assert_array_equal(np.diagonal(found), 1)


def test_more_missing_calls_than_a_sum_holds_and_people_in_any_order(tmp_path):
    # 16 bits hold the sum of 127 missing people: 430 people of whom half lack a call need two
    rng = np.random.default_rng(6)
    dosages = draw_dosages(rng, 430, [70], 0.5)
    genotypes = open_genotypes(write_bed(tmp_path / "g", dosages))
    for people in (np.arange(430), rng.permutation(430)[:391]):
        found = correlate_variants(genotypes.subset(samples=people), slice(0, 70))
        expected = naive_ld.correlate(dosages[people])
        np.testing.assert_allclose(found, expected, atol=EPS)
        np.testing.assert_array_equal(found, correlate(dosages[people]))


def test_correlations_of_complete_calls_are_numpys():
    dosages = draw_dosages(np.random.default_rng(4), 50, [12])
    np.testing.assert_allclose(correlate(dosages), np.corrcoef(dosages.T), atol=EPS)


def test_many_missing_calls_leave_the_matrix_positive_semidefinite():
    # 60 variants of 30 people: rank deficient, so that pairwise deletion would be indefinite.
    found = correlate(draw_dosages(np.random.default_rng(5), 30, [60], 0.2))
    # Each entry is off by at most EPS/2, so an eigenvalue by at most m EPS / 2.
    assert np.linalg.eigvalsh(found.astype(float)).min() > -60 * EPS


# ---------------------------------------------------------------- splitting


def backward_rows(r2, width):
    for i in range(len(r2) - 1, -1, -1):
        row = np.zeros(width - 1)
        ahead = r2[i, i + 1 : i + width]
        row[: len(ahead)] = ahead
        yield np.cumsum(row)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    m=st.integers(1, 11),
    min_size=st.integers(1, 3),
    extra=st.integers(0, 4),
    pair_cost=st.sampled_from([0.0, 0.1, 0.4]),
)
def test_the_split_costs_as_little_as_the_best_of_all_splits(seed, m, min_size, extra, pair_cost):
    rng = np.random.default_rng(seed)
    r2 = rng.random((m, m)) ** 3
    chosen = SplitSettings(min_size, 2 * min_size + extra, pair_cost)
    cuts = optimal_cuts(backward_rows(r2, chosen.max_size), np.ones(m, bool), chosen)
    assert cuts[0] == 0
    assert cuts[-1] == m
    if m < min_size:
        assert len(cuts) == 2
        return
    best = min(
        naive_ld.split_cost(r2, split, pair_cost)
        for split in naive_ld.all_splits(m, min_size, chosen.max_size)
    )
    found = naive_ld.split_cost(r2, cuts, pair_cost)
    assert found == pytest.approx(best, abs=1e-12 * m * m)  # order of at most m^2 additions
    assert min_size <= np.diff(cuts).min()
    assert np.diff(cuts).max() <= chosen.max_size


def test_variants_at_one_position_are_not_parted():
    r2 = np.eye(6)
    may_cut = np.array([True, True, True, False, True, True])
    cuts = optimal_cuts(backward_rows(r2, 4), may_cut, SplitSettings(1, 4, 0.1))
    assert cuts.tolist() == [0, 1, 2, 4, 5, 6]


def test_independent_stretches_are_found_in_every_chromosome(tmp_path):
    rng = np.random.default_rng(6)
    sizes = [40, 25, 60, 30]
    dosages = draw_dosages(rng, 400, sizes, 0.01)
    chrom = [1] * 65 + [2] * 90
    genotypes = open_genotypes(write_bed(tmp_path / "g", dosages, chrom))
    blocks = split_blocks(genotypes, min_size=5, max_size=80, n_threads=1)
    starts = blocks.assign(genotypes.variants)
    assert {0, 40, 65, 125, 155} <= set(starts.tolist())
    again = split_blocks(genotypes, min_size=5, max_size=80, n_threads=3)
    np.testing.assert_array_equal(again.start, blocks.start)

    write_blocks(blocks, tmp_path / "blocks.bed")
    read = read_blocks(tmp_path / "blocks.bed")
    for name in ("chrom", "start", "end"):
        np.testing.assert_array_equal(getattr(read, name), getattr(blocks, name))
    split = SplitSettings(5, 80)
    np.testing.assert_array_equal(compute_ld(genotypes, split=split).block_starts, starts)
    np.testing.assert_array_equal(compute_ld(genotypes, blocks=read).block_starts, starts)


# ---------------------------------------------------------------- blocks from a file


def test_intervals_are_half_open_and_gaps_are_blocks(tmp_path):
    path = tmp_path / "b.bed"
    path.write_text("chr \t start \t stop\n2\t10\t20\nchr1 \t 100 \t 200\nchr1 \t 300 \t 400\n")
    blocks = read_blocks(path)
    pos = [50, 99, 100, 199, 200, 250, 300, 399, 400, 5, 15]
    m = len(pos)
    variants = VariantTable(
        np.array([1] * 9 + [2] * 2, np.int8), np.array(pos), *(np.array(["A"] * m, object),) * 3
    )
    #         gap     100-200  gap     300-400  gap | gap  10-20
    expected = [0, 2, 4, 6, 8, 9, 10, 11]
    assert blocks.assign(variants).tolist() == expected
    assert blocks.covers(variants).sum() == 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("chr1\t10\tNone\n", "line 1: chr1"),
        ("chr1\t10\t20\nchr1\t15\t30\n", "overlap"),
        ("chr1\t30\t20\n", "end before they start"),
        ("chrom\tstart\tend\n", "not intervals"),
        ("chrQ\t1\t2\n", "chrQ"),
    ],
)
def test_bad_block_files_are_refused_with_the_line(tmp_path, text, message):
    path = tmp_path / "b.bed"
    path.write_text(text)
    with pytest.raises(InvalidValueError, match=message):
        read_blocks(path)


def test_a_chromosome_without_blocks_and_unsorted_variants_are_refused():
    blocks = BlockTable(np.array([2]), np.array([1]), np.array([9]))
    with pytest.raises(LDReferenceError, match="no LD blocks for chromosome 1"):
        blocks.assign(table(3))
    with pytest.raises(SettingsError, match="sorted"):
        blocks.assign(table(3, chrom=2).take([1, 0]))


# ---------------------------------------------------------------- LD from genotypes


def test_ld_of_chosen_people_and_variants(tmp_path):
    rng = np.random.default_rng(7)
    dosages = draw_dosages(rng, 60, [6, 5], 0.02)
    dosages[:, 2] = 1  # all heterozygous: frequency 1/2, nothing varies
    dosages[:, 4] = 0
    dosages[5, 4] = 1  # rare
    dosages[:50, 8] = np.nan
    order = rng.permutation(11)
    pos = 1000 * (1 + np.arange(11))
    prefix = write_bed(tmp_path / "g", dosages[:, order], pos=pos[order])
    genotypes = open_genotypes(prefix)
    people = SampleTable.from_ids([f"P{i}" for i in (5, *range(10, 60))] + ["nobody"])
    blocks = BlockTable(np.array([1]), np.array([1]), np.array([7000]))
    ld = compute_ld(
        genotypes, samples=people, blocks=blocks, population="AFR", min_maf=0.02, max_missing=0.5
    )
    rows = [5, *range(10, 60)]
    kept = np.array([0, 1, 3, 5, 6, 7, 9, 10])
    assert ld.variants.pos.tolist() == pos[kept].tolist()
    assert ld.block_starts.tolist() == [0, 4, 8]
    assert (ld.n_samples, ld.population) == (51, "AFR")
    np.testing.assert_allclose(ld.eaf, np.nanmean(dosages[np.ix_(rows, kept)], axis=0) / 2)
    expected = naive_ld.correlate(dosages[np.ix_(rows, kept)])
    for where, matrix in ld.blocks():
        np.testing.assert_allclose(matrix, expected[where, where], atol=EPS)
    notes = " | ".join(ld.notes)
    for remark in (
        "1 of 52 people",
        "1 of 11 variants with more than 50%",
        "do not vary",
        "below 0.02",
        "only 51 people",
        "4 of 8 variants lie between blocks",
    ):
        assert remark in notes


def test_blocks_in_threads_leave_blas_one_thread():
    """Threads of BLAS beside ours wait for each other: that took five times the CPU time."""

    def blas_threads(_block=0):
        return {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}

    with threadpool_limits(2, "blas"):
        if blas_threads() != {2}:
            pytest.skip("a BLAS that takes no number of threads")
        variants = VariantTable([1] * 3, [1, 2, 3], list("abc"), ["A"] * 3, ["C"] * 3)
        ld = LDReference(
            variants, np.full(3, 0.5), np.arange(4), "EUR", 100, "made", blas_threads, ()
        )
        assert [found for _, found in ld.blocks(2)] == [{1}] * 3
        assert blas_threads() == {2}


def test_threads_change_no_bit_of_a_written_panel(tmp_path):
    dosages = draw_dosages(np.random.default_rng(8), 150, [30] * 8, 0.01)
    genotypes = open_genotypes(write_bed(tmp_path / "g", dosages))
    for n_threads in (1, 3):
        split = SplitSettings(5, 40)
        ld = compute_ld(genotypes, split=split, n_threads=n_threads)
        write_ld(ld, tmp_path / f"{n_threads}.h5", n_threads=n_threads)
    assert (tmp_path / "1.h5").read_bytes() == (tmp_path / "3.h5").read_bytes()


def test_ld_that_cannot_be_computed_says_why(tmp_path):
    dosages = draw_dosages(np.random.default_rng(9), 20, [8])
    genotypes = open_genotypes(write_bed(tmp_path / "g", dosages))
    with pytest.raises(SampleMismatchError):
        compute_ld(genotypes, samples=SampleTable.from_ids(["X1", "X2"]))
    with pytest.raises(LDReferenceError, match="1 people"):
        compute_ld(genotypes, samples=[3])
    with pytest.raises(LDReferenceError, match=r"minor-allele frequency below 0\.499"):
        compute_ld(genotypes, min_maf=0.499)
    whole = BlockTable(np.array([1]), np.array([1]), np.array([10**6]))
    with pytest.raises(LDReferenceError, match="more than 5 variants") as error:
        compute_ld(genotypes, blocks=whole, max_block=5)
    assert "8 variants" in str(error.value)
    with pytest.raises(SettingsError):
        compute_ld(genotypes, min_maf=0.7)


# ---------------------------------------------------------------- our file


def test_what_is_written_is_read_back_to_the_bit(tmp_path):
    ld = reference()
    write_ld(ld, tmp_path / "x.h5")
    back = open_ld(tmp_path / "x.h5", population="eur")
    for name in ("chrom", "pos", "id", "effect_allele", "other_allele"):
        np.testing.assert_array_equal(getattr(back.variants, name), getattr(ld.variants, name))
    np.testing.assert_array_equal(back.eaf, ld.eaf)
    np.testing.assert_array_equal(back.block_starts, ld.block_starts)
    assert (back.population, back.n_samples) == ("EUR", 80)
    assert back.notes == ("a note", "made from memory")
    for (_, a), (_, b) in zip(ld.blocks(), back.load(2).blocks(), strict=True):
        assert a.dtype == b.dtype == np.float32
        np.testing.assert_array_equal(a, b)


def test_subset_renumbers_blocks_and_stays_lazy(tmp_path):
    write_ld(reference(), tmp_path / "x.h5")
    ld = open_ld(tmp_path / "x.h5")
    whole = [matrix for _, matrix in ld.blocks()]
    part = ld.subset([1, 3, 6, 9]).subset(np.array([True, True, False, True]))
    assert part.variants.id.tolist() == ["rs1", "rs3", "rs9"]
    assert part.block_starts.tolist() == [0, 2, 3]
    np.testing.assert_array_equal(part.read_block(0), whole[0][np.ix_([1, 3], [1, 3])])
    np.testing.assert_array_equal(part.read_block(1), [[1]])
    np.testing.assert_allclose(part.sd, np.sqrt(2 * part.eaf * (1 - part.eaf)))
    assert ld.subset(np.arange(11)) is ld
    assert ld.subset([]).n_blocks == 0
    (tmp_path / "x.h5").unlink()  # nothing was held
    with pytest.raises(FileFormatError, match="cannot be read"):
        part.read_block(0)
    for bad in ([3, 1], [1, 1], [11], np.ones(3, bool)):
        with pytest.raises(SettingsError):
            ld.subset(bad)
    with pytest.raises(SettingsError, match="no block 3"):
        ld.read_block(3)


def test_an_empty_reference_can_be_written(tmp_path):
    write_ld(reference().subset([]), tmp_path / "x.h5")
    assert len(open_ld(tmp_path / "x.h5")) == 0


def test_chromosomes_of_a_file(tmp_path):
    variants = VariantTable.concatenate([table(2), table(3, chrom=2)])
    ld = LDReference.from_blocks(variants, np.full(5, 0.3), [np.eye(2), np.eye(3)])
    write_ld(ld, tmp_path / "x.h5")
    assert open_ld(tmp_path / "x.h5", chromosomes=["chr2"]).block_sizes.tolist() == [3]
    with pytest.raises(LDReferenceError, match="no variants on chromosome 7"):
        open_ld(tmp_path / "x.h5", chromosomes=[2, 7])
    with pytest.raises(LDReferenceError, match="no such chromosome: 99"):
        open_ld(tmp_path / "x.h5", chromosomes=[99])


def test_damaged_files_are_refused(tmp_path):
    path = tmp_path / "x.h5"
    write_ld(reference((40, 40)), path)
    data = path.read_bytes()
    (tmp_path / "cut.h5").write_bytes(data[: len(data) // 2])
    with pytest.raises(FileFormatError, match="truncated"):
        open_ld(tmp_path / "cut.h5")
    (tmp_path / "text.h5").write_text("CHR SNP\n")
    with pytest.raises(FileFormatError, match="not HDF5"):
        open_ld(tmp_path / "text.h5")
    with pytest.raises(FileFormatError, match="no such"):
        open_ld(tmp_path / "none.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(FileFormatError, match="not an LD reference of ours"):
        open_ld(tmp_path / "other.h5")
    for name, message in (("variants/eaf", "eaf"), ("blocks/000001", "1 blocks are stored")):
        copy = tmp_path / "copy.h5"
        copy.write_bytes(data)
        with h5py.File(copy, "a") as file:
            del file[name]
        with pytest.raises(FileFormatError, match=f"incomplete.*{message}"):
            open_ld(copy)
    # A flipped byte inside a block is caught by the checksum of the compressed data.
    with h5py.File(path) as file:
        at = file["blocks/000000"].id.get_chunk_info(0).byte_offset + 40
    path.write_bytes(data[:at] + bytes([data[at] ^ 255]) + data[at + 1 :])
    with pytest.raises(FileFormatError, match="block 0 cannot be read"):
        open_ld(path).read_block(0)


def test_a_failing_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "x.h5"
    path.write_text("old")
    ld = reference()
    broken = LDReference(
        ld.variants, ld.eaf, ld.block_starts, "", None, "", lambda block: 1 // (1 - block)
    )
    with pytest.raises((ZeroDivisionError, TypeError)):
        write_ld(broken, path)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["x.h5"]


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ([[1, 0.5], [0.4, 1]], "not symmetric"),
        ([[1, np.nan], [np.nan, 1]], "not correlations"),
        ([[1, 2], [2, 1]], "not correlations"),
        ([[0.5, 0], [0, 1]], "diagonal"),
        ([[1, 0.5]], "square"),
    ],
)
def test_matrices_that_are_no_correlations_are_refused(matrix, message):
    with pytest.raises(LDReferenceError, match=message):
        LDReference.from_blocks(table(2), [0.1, 0.2], [matrix])


# ---------------------------------------------------------------- panels

#    name  pos  A1 A2  FRQ_AFR FRQ_EUR FLP_AFR FLP_EUR; rs5 is not in EUR, rs6 is in no block
LISTED = """CHR\tSNP\tBP\tA1\tA2\tFRQ_AFR\tFRQ_EUR\tFLP_AFR\tFLP_EUR
22\trs1\t100\tA\tG\t0.1\t0.3\t1\t1
22\trs2\t200\tC\tT\t0.2\t0.4\t1\t-1
22\trs3\t300\tG\tA\t0.3\t0.25\t1\t1
22\trs4\t400\tT\tC\t0.4\t0.6\t1\t-1
22\trs5\t500\tA\tC\t0.5\t0\t1\t0
22\trs6\t600\tA\tC\t0.5\t0.2\t1\t1
22\trs7\t700\tG\tC\t0.5\t0.15\t1\t1
22\trs1\t100\tA\tT\t0.5\t0.15\t1\t1
"""
# Stored: the later block first, names shuffled, an empty block, rs9 not listed, rs3 twice.
NAMES = [["rs7", "rs9", "rs4"], [], ["rs3", "rs1", "rs2"], ["rs3"]]
FLIPS = {"rs1": 1, "rs2": -1, "rs3": 1, "rs4": -1, "rs7": 1}


@pytest.fixture
def panel(tmp_path):
    rng = np.random.default_rng(11)
    folder = tmp_path / "ref"
    stored = []
    for population in ("eur", "afr"):
        where = folder / f"ldblk_1kg_{population}"
        where.mkdir(parents=True)
        with h5py.File(where / "ldblk_1kg_chr22.hdf5", "w") as file:
            for number, names in enumerate(NAMES, start=1):
                group = file.create_group(f"blk_{number}")
                matrix = (
                    np.round(np.corrcoef(rng.normal(size=(len(names), 9))), 6).reshape(
                        len(names), len(names)
                    )
                    if names
                    else np.zeros((0, 0))
                )
                group["ldblk"] = matrix
                group["snplist"] = np.array([name.encode() for name in names], dtype="S8")
                stored.append(matrix)
    (folder / "snpinfo_mult_1kg_hm3").write_text(LISTED)
    return folder, stored[: len(NAMES)]


def test_a_panel_is_matched_by_name_and_turned_to_a1(panel):
    folder, stored = panel
    ld = open_ld(folder, population="EUR")
    ids = ["rs1", "rs2", "rs3", "rs4", "rs7"]
    assert ld.variants.id.tolist() == ids
    assert ld.variants.effect_allele.tolist() == ["A", "C", "G", "T", "G"]
    assert ld.eaf.tolist() == [0.3, 0.4, 0.25, 0.6, 0.15]
    assert ld.block_starts.tolist() == [0, 3, 5]
    full = np.zeros((5, 5))
    for where, matrix in ld.blocks():
        full[where, where] = matrix
        np.testing.assert_array_equal(matrix, matrix.T)
    expected = [[naive_ld.panel_correlation(stored, NAMES, FLIPS, a, b) for b in ids] for a in ids]
    np.testing.assert_allclose(full, expected, atol=EPS)
    assert ld.population == "EUR"
    notes = " | ".join(ld.notes)
    for remark in (
        "1 variants of the list were named twice",
        "1 variants of the list are in no",
        "1 variants of the LD blocks are not",
        "1 variants were in the LD blocks twice",
        "1 LD blocks are empty",
    ):
        assert remark in notes
    # The folder of one population, and a subset of the panel, are the same LD.
    direct = open_ld(folder / "ldblk_1kg_eur").subset([0, 2, 3])
    np.testing.assert_array_equal(direct.read_block(0), ld.read_block(0)[::2, ::2])


def test_a_prs_cs_folder_holds_its_own_list(panel):
    folder, stored = panel
    own = folder / "ldblk_1kg_eur"
    rows = [line.split("\t") for line in LISTED.splitlines()[1:]]
    (own / "snpinfo_1kg_hm3").write_text(
        "CHR\tSNP\tBP\tA1\tA2\tMAF\n" + "".join("\t".join([*row[:5], "0.2"]) + "\n" for row in rows)
    )
    ld = open_ld(own, population="EUR")
    assert set(ld.eaf) == {0.2}
    assert ld.read_block(0)[0, 1] == pytest.approx(stored[2][1][2], abs=EPS)
    assert open_ld(folder, population="EUR").eaf[0] == 0.3  # the list beside the folders


def test_incomplete_panels_are_refused(panel):
    folder, _ = panel
    with pytest.raises(
        LDReferenceError, match=r"several populations: ldblk_1kg_afr, ldblk_1kg_eur"
    ):
        open_ld(folder)
    with pytest.raises(LDReferenceError, match=r"no folder ldblk_\*_eas.*ldblk_1kg_eur"):
        open_ld(folder, population="EAS")
    with pytest.raises(LDReferenceError, match="no EUR variant on chromosome 21"):
        open_ld(folder, population="EUR", chromosomes=[21, 22])
    listed = folder / "snpinfo_mult_1kg_hm3"
    listed.write_text(LISTED + "21\trs8\t10\tA\tC\t0.5\t0.2\t1\t1\n")
    with pytest.raises(LDReferenceError, match=r"ldblk_1kg_chr21\.hdf5"):
        open_ld(folder, population="EUR")
    assert len(open_ld(folder, population="EUR", chromosomes=["22"])) == 5
    with h5py.File(folder / "ldblk_1kg_eur" / "ldblk_1kg_chr22.hdf5", "a") as file:
        del file["blk_1/snplist"]
        file["blk_1/snplist"] = np.array([b"rs7", b"rs9"])
    with pytest.raises(LDReferenceError, match=r"blk_1 lists 2 variants.*\(3, 3\)"):
        open_ld(folder, population="EUR", chromosomes=[22])
    (folder / "ldblk_1kg_eur" / "ldblk_1kg_chr22.hdf5").write_bytes(b"\x89HDF\r\n\x1a\n123")
    with pytest.raises(FileFormatError, match="truncated"):
        open_ld(folder, population="EUR", chromosomes=[22])
    listed.unlink()
    with pytest.raises(LDReferenceError, match="no list of variants"):
        open_ld(folder, population="EUR")
    with pytest.raises(LDReferenceError, match="not an LD panel"):
        open_ld(folder.parent)


@pytest.mark.parametrize(
    ("old", "new", "error", "message"),
    [
        ("FRQ_EUR", "FRQ_XXX", ColumnError, "FRQ_EUR"),
        ("0.25", "1.25", InvalidValueError, "line 4.*frequenc"),
        ("0.25", "NA", InvalidValueError, "line 4.*not numbers"),
        ("0.25\t1\t1", "0.25\t1\t0", InvalidValueError, "neither 1 nor -1"),
        ("22\trs3", "Q\trs3", InvalidValueError, "chromosomes"),
    ],
)
def test_a_bad_variant_list_is_refused_with_the_line(panel, old, new, error, message):
    folder, _ = panel
    (folder / "snpinfo_mult_1kg_hm3").write_text(LISTED.replace(old, new))
    with pytest.raises(error, match=message):
        open_ld(folder, population="EUR")


def test_one_file_of_a_panel_is_not_a_reference(panel):
    folder, _ = panel
    with pytest.raises(LDReferenceError, match="panel's folder"):
        open_ld(folder / "ldblk_1kg_eur" / "ldblk_1kg_chr22.hdf5")


# ---------------------------------------------------------------- real data


def test_published_panels_open_whole(shared_data):
    panels = shared_data / "ldpanel"
    for population, n in (("EUR", 978), ("AFR", 898)):
        ld = open_ld(panels / "prscsx_hgdp1kg", population=population)
        assert (len(ld), ld.n_blocks) == (n, 3)
        assert ld.variants.is_sorted
    ld = open_ld(panels / "prstools_1kg_eur_chr22")
    assert (len(ld), ld.n_blocks) == (936, 24)
    for _, matrix in ld.blocks():
        # Six printed digits: each entry is off by at most 5e-7 and an eigenvalue by m times that.
        assert np.linalg.eigvalsh(matrix.astype(float)).min() > -5e-7 * len(matrix) - 1e-5


def test_both_layouts_of_one_panel_hold_the_same_ld(shared_data):
    """PRS-CSx: A1 of all populations and FLP; PRS-CS: the stored alleles of one population."""
    folder = shared_data / "reference" / "panel"
    csx = open_ld(folder, population="AFR", chromosomes=[21])
    cs = open_ld(folder / "ldblk_1kg_afr", chromosomes=[21])
    match = match_variants(csx.variants, cs.variants)
    assert len(match.query_index) == len(csx) == len(cs)
    np.testing.assert_array_equal(match.query_index, match.target_index)
    sign = match.sign.astype(np.float32)
    assert (sign < 0).any()
    np.testing.assert_allclose(np.where(sign > 0, csx.eaf, 1 - csx.eaf), cs.eaf, atol=2e-6)
    for (where, a), (_, b) in zip(csx.blocks(), cs.blocks(), strict=True):
        np.testing.assert_array_equal(a, b * np.outer(sign[where], sign[where]))


def test_1000_genomes_ld_in_published_blocks(shared_data, tmp_path):
    genotypes = open_genotypes(shared_data / "geno" / "kg1_chr22")
    people = np.loadtxt(shared_data / "geno" / "kg1_chr22.pop.tsv", dtype=str, skiprows=1)
    afr = SampleTable.from_ids(people[people[:, 2] == "AFR", 0])
    ld = compute_ld(
        genotypes,
        samples=afr,
        blocks=shared_data / "ldblocks" / "ldetect_AFR.hg19.bed",
        min_maf=0.01,
    )
    assert ld.n_samples == len(afr) == 246
    write_ld(ld, tmp_path / "afr.h5")
    ld = open_ld(tmp_path / "afr.h5")
    where, matrix = list(ld.blocks())[5]
    rows = np.flatnonzero(np.isin(genotypes.variants.pos, ld.variants.pos[where]))
    keep = np.isin(genotypes.samples.iid, afr.iid)
    dosages = genotypes.subset(samples=keep).read_dosages(rows)
    np.testing.assert_allclose(matrix, np.corrcoef(dosages.T), atol=EPS)


def test_found_blocks_lose_less_than_published_ones_of_the_same_size(shared_data):
    """Prive 2022's point; cost with the same noise threshold for both."""
    genotypes = open_genotypes(shared_data / "geno" / "kg_eur_hm3_chr22")
    published = compute_ld(genotypes, blocks=shared_data / "ldblocks" / "ldetect_EUR.hg19.bed")
    found = compute_ld(genotypes)

    def kept(ld):
        total = 0.0
        for _, matrix in ld.blocks():
            r2 = matrix.astype(float) ** 2
            total += r2[r2 >= 10 / ld.n_samples].sum()
        return total

    assert np.sum(found.block_sizes**2) < np.sum(published.block_sizes**2)
    assert kept(found) > kept(published)
