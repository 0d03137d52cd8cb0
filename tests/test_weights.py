"""Weights and their files: what is recognised, what is refused, and that numbers survive."""

from __future__ import annotations

import gzip
import importlib.util
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prs.errors import ColumnError, FileFormatError, InvalidValueError, SettingsError
from prs.inputs.genotypes import open_genotypes
from prs.variants import VariantTable
from prs.weights.table import Weights, read_weights, write_weights


def table(n: int = 3) -> VariantTable:
    alleles = [("A", "G"), ("C", "T"), ("G", "GTA")]
    return VariantTable(
        np.array([1, 1, 22], dtype=np.int8)[:n],
        np.array([100, 200, 300], dtype=np.int32)[:n],
        np.array(["rs1", "rs2", "rs3"], dtype=object)[:n],
        np.array([a for a, _ in alleles], dtype=object)[:n],
        np.array([b for _, b in alleles], dtype=object)[:n],
    )


def same_variants(a: VariantTable, b: VariantTable) -> bool:
    return a.to_frame().equals(b.to_frame())


finite = st.floats(allow_nan=False, allow_infinity=False, width=64)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    values=st.lists(st.tuples(finite, finite), min_size=3, max_size=3),
    eaf=st.none() | st.lists(st.floats(0, 1) | st.just(np.nan), min_size=3, max_size=3),
    suffix=st.sampled_from([".tsv", ".tsv.gz"]),
)
def test_what_is_written_is_read(
    tmp_path: Path, values: list[tuple[float, float]], eaf: list[float] | None, suffix: str
) -> None:
    frequency = None if eaf is None else np.array(eaf)
    weights = Weights(table(), np.array(values), ("EUR", "AFR"), frequency, {"phi": "auto"})
    path = tmp_path / f"w{suffix}"
    write_weights(weights, path)
    again = read_weights(path)
    np.testing.assert_array_equal(again.weights, weights.weights)
    assert again.names == weights.names
    assert again.metadata == weights.metadata
    assert same_variants(again.variants, weights.variants)
    if frequency is None:
        assert again.eaf is None
    else:
        np.testing.assert_array_equal(again.eaf, frequency)
    first = path.read_bytes()
    write_weights(weights, path)
    assert path.read_bytes() == first


def test_plink_and_pgs_formats(tmp_path: Path) -> None:
    weights = Weights(table(), np.array([[0.1, 1 / 3], [-2e-12, 0], [5, 6]]), ("a", "b"))
    path = tmp_path / "w.txt"
    write_weights(weights, path, format="plink")
    assert path.read_text().splitlines()[0] == "ID\tA1\ta\tb"
    again = read_weights(path)
    np.testing.assert_array_equal(again.weights, weights.weights)
    assert list(again.variants.id) == ["rs1", "rs2", "rs3"]
    assert list(again.variants.other_allele) == ["", "", ""]
    write_weights(weights.select("b"), path, format="pgs")
    again = read_weights(path)
    np.testing.assert_array_equal(again.weights, weights.select("b").weights)
    assert same_variants(again.variants, weights.variants)
    with pytest.raises(SettingsError, match="one score"):
        write_weights(weights, path, format="pgs")
    nameless = replace(table(), id=np.array(["", "x", "y"], dtype=object))
    with pytest.raises(SettingsError, match="have no id"):
        write_weights(Weights(nameless, np.zeros((3, 1)), ("a",)), path, format="plink")
    with pytest.raises(SettingsError, match="'prs', 'plink', 'pgs'"):
        write_weights(weights, path, format="vcf")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text, names, first",
    [
        ("rs1 A 0.5\nrs2 C -1e-3\n", ("w",), "rs1 0:0 A/"),
        ("SNP A1 BETA\nrs1 a 0.5\nrs2 C -1e-3\n", ("BETA",), "rs1 0:0 A/"),
        ("#ID\tA1\tX\nrs1\tA\t0.5\nrs2\tC\t-1e-3\n", ("X",), "rs1 0:0 A/"),
        ("VAR\tA1\tW\r\nrs1\tA\t0.5\r\nrs2\tC\t-1e-3\r\n", ("W",), "rs1 0:0 A/"),
        ("CHR,BP,SNP,A1,A2,P,S\n1,9,rs1,A,G,1,0.5\n1,10,rs2,C,T,1,-1e-3\n", ("S",), "rs1 1:9 A/G"),
        ("chr1 rs1 9 A G 0.5\nchrX rs2 10 C T -1e-3\n", ("w",), "rs1 1:9 A/G"),
    ],
)  # fmt: skip
def test_tables_of_the_field_are_recognised(
    tmp_path: Path, text: str, names: tuple[str, ...], first: str
) -> None:
    path = tmp_path / "w.txt"
    for data in (text.encode(), gzip.compress(text.encode())):
        path.write_bytes(data)
        weights = read_weights(path)
        assert weights.names == names
        assert weights.variants.describe([0]) == [first]
        assert weights.weights[:, 0].tolist() == [0.5, -0.001]


def test_posterior_effects_by_chromosome(tmp_path: Path) -> None:
    for chrom in (1, 3):
        path = tmp_path / f"x_AFR_pst_eff_a1_b0.5_phiauto_chr{chrom}.txt"
        path.write_text(f"{chrom}\trs{chrom}\t5\tA\tG\t1.000000e-02\n")
    weights = read_weights(tmp_path / "x_AFR_pst_eff_a1_b0.5_phiauto_chr{chrom}.txt")
    assert weights.names == ("AFR",)
    assert weights.variants.describe([0, 1]) == ["rs1 1:5 A/G", "rs3 3:5 A/G"]


PGS = (
    "###PGS CATALOG SCORING FILE\n#format_version=2.0\n#pgs_id=PGS9\n#HmPOS_build=GRCh38\n"
    "rsID\tchr_name\tchr_position\teffect_allele\tother_allele\teffect_weight\tis_dominant"
    "\thm_rsID\thm_chr\thm_pos\n"
)


def test_pgs_catalog_files(tmp_path: Path) -> None:
    path = tmp_path / "p.txt"
    path.write_text(
        PGS + "rs1\t1\t100\tA\tG\t0.25\tFalse\trs1\t1\t111\n\t2\t200\tC\t\t1\tFalse\t\t\t\n"
    )
    weights = read_weights(path)
    assert weights.names == ("PGS9",)
    assert weights.metadata["genome_build"] == "GRCh38"
    assert weights.variants.describe([0, 1]) == ["rs1 1:111 A/G", " 0:0 C/"]
    path.write_text(PGS + "rs1\t1\t1\tA\tG\t1\tFalse\t\t\t\nrs2\t1\t2\tA\tG\t1\tTrue\t\t\t\n")
    with pytest.raises(FileFormatError, match="line 7: 1 of 2 rows are dominant"):
        read_weights(path)
    head = "rsID\teffect_allele\teffect_weight\tis_interaction\n"
    path.write_text(head + "rs1\tA\t1\tFALSE\nrs2_x_rs3\tA_x_C\t1\tTRUE\n")
    with pytest.raises(FileFormatError, match="line 3: 1 of 2 rows are interactions: "):
        read_weights(path)


def test_published_pgs_files(shared_data: Path) -> None:
    folder = shared_data / "pgs"
    assert len(read_weights(folder / "PGS000001.txt.gz")) == 77
    harmonised = read_weights(folder / "PGS000001_hmPOS_GRCh37.txt.gz")
    assert harmonised.variants.describe([0]) == ["rs78540526 11:69331418 T/C"]
    old = read_weights(folder / "PGS000899.txt.gz")  # format 1: reference_allele, "# PGS ID = "
    assert old.names == ("PGS000899",)
    assert old.variants.other_allele[0] == "C"
    for name, kind in (
        ("PGS000802_hmPOS_GRCh37.txt", "dominant"),
        ("PGS004255_hmPOS_GRCh38.txt.gz", "weighted by dosage"),
        ("complex_variants_PGS000021.txt", "diplotypes"),
        ("complex_variants_PGS004239.txt", "haplotypes"),
    ):
        with pytest.raises(FileFormatError, match=kind):
            read_weights(folder / name)


HEADER = "chrom\tpos\tid\teffect_allele\tother_allele\tw\n"


@pytest.mark.parametrize(
    "text, error, message",
    [
        ("", FileFormatError, "empty"),
        (HEADER, FileFormatError, "no rows"),
        (HEADER + "1\t5\trs1\tA\tG\tx\n", InvalidValueError, "line 2, column 'w'.*not numbers"),
        (HEADER + "1\t5\trs1\tA\tG\t1\n1\t6\trs2\tA\tG\tNA\n", InvalidValueError, "line 3"),
        (HEADER + "1\t5.5\trs1\tA\tG\t1\n", InvalidValueError, "not whole numbers"),
        (HEADER + "1\t5\trs1\tA\tG\t1\n1\t5\trs1\tG\tA\t2\n", InvalidValueError, "repeat"),
        (HEADER + "1\t5\trs1\tA\tG\t1\n1\t5\trs1\tA\tG\t1\t2\n", FileFormatError, "line 3"),
        ("rs1 A 1\nrs1 A 2\n", InvalidValueError, "repeat"),
        ("SNP BETA\nrs1 1\n", ColumnError, "no column for effect_allele"),
        ("SNP A1\nrs1 A\n", ColumnError, "no column of weights"),
        ("rs1 A 1 2\n", FileFormatError, "4 columns without a header"),
    ],
)  # fmt: skip
def test_bad_files_are_refused_by_line(
    tmp_path: Path, text: str, error: type, message: str
) -> None:
    path = tmp_path / "w.tsv"
    path.write_text(text)
    with pytest.raises(error, match=message):
        read_weights(path)


def test_truncated_gzip_and_unknown_columns(tmp_path: Path) -> None:
    path = tmp_path / "w.tsv.gz"
    write_weights(Weights(table(), np.ones((3, 1)), ("w",)), path)
    with pytest.raises(ColumnError, match="no column 'v'"):
        read_weights(path, columns=["v"])
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(FileFormatError, match="gzip"):
        read_weights(path)


def test_weights_check_themselves() -> None:
    with pytest.raises(InvalidValueError, match="do not fit"):
        Weights(table(), np.ones((2, 1)), ("a",))
    with pytest.raises(InvalidValueError, match="more than once"):
        Weights(table(), np.ones((3, 2)), ("a", "a"))
    with pytest.raises(InvalidValueError, match="not finite"):
        Weights(table(), np.array([1, np.nan, 2]), ("a",))
    with pytest.raises(InvalidValueError, match=r"outside \[0, 1\]"):
        Weights(table(), np.ones((3, 1)), ("a",), np.array([0.1, 1.2, np.nan]))
    weights = Weights(table(), np.array([[1, 0], [2, 5], [0, 0]]), ("a", "b"))
    assert weights.n_nonzero.tolist() == [2, 1]
    assert weights.select(["b"]).weights.ravel().tolist() == [0, 5, 0]
    with pytest.raises(ColumnError, match="no weights named 'c'"):
        weights.select("c")


def catalog_python() -> str:
    """A Python that has pgscatalog-core: this one, or the one that a variable names."""
    if importlib.util.find_spec("pgscatalog") is not None:
        return sys.executable
    named = os.environ.get("PRS_PGSCATALOG_PYTHON", "")
    if not named or not Path(named).exists():
        pytest.skip("pgscatalog-core is not installed (PRS_PGSCATALOG_PYTHON can name a Python)")
    return named


def validate(strict: str, *paths: Path) -> None:
    done = subprocess.run(
        [catalog_python(), Path(__file__).with_name("pgs_validator.py"), strict, *paths],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_written_passes_the_catalogs_own_models(tmp_path: Path) -> None:
    variants = VariantTable(
        np.array([1, 23, 26, 0], np.int8),
        np.array([5, 7, 9, 0]),
        np.array(["rs1", "", ".", "rs4"], object),
        np.array(["A", "C", "GTT", "T"], object),
        np.array(["G", "T", "G", "C"], object),
    )
    metadata = {
        "pgs_id": "PGS000001", "pgp_id": "PGP000001", "citation": "A et al. doi = 10.1/x",
        "trait_reported": "height", "genome_build": "GRCh37", "trait_efo": "EFO_1|EFO_2",
    }  # fmt: skip
    weights = Weights(
        variants, np.array([[1e-300], [-0.1], [1 / 3], [2]]), ("mine",), None, metadata
    )
    write_weights(weights, tmp_path / "full.txt", format="pgs")
    validate("catalog", tmp_path / "full.txt")
    bare = replace(weights, metadata={}, eaf=np.array([0.1, 0.2, 0.3, 0.4]))
    write_weights(bare, tmp_path / "bare.txt", format="pgs")
    validate("calculator", tmp_path / "bare.txt")


def test_published_scores_written_again_pass_and_are_the_same(
    tmp_path: Path, shared_data: Path
) -> None:
    written = []
    for name in (
        "PGS000001.txt.gz", "PGS000001_hmPOS_GRCh37.txt.gz", "PGS000001_hmPOS_GRCh38.txt.gz",
        "PGS000899.txt.gz",
    ):  # fmt: skip
        weights = read_weights(shared_data / "pgs" / name)
        path = tmp_path / name.removesuffix(".gz")
        write_weights(weights, path, format="pgs")
        again = read_weights(path)
        assert again.names == weights.names
        np.testing.assert_array_equal(again.weights, weights.weights)
        assert again.variants.to_frame().equals(weights.variants.to_frame())
        written.append(path)
    assert "#trait_reported=Coronary heart disease\n" in written[-1].read_text()
    for build, path in (("GRCh37", written[1]), ("GRCh38", written[2])):
        source = pd.read_csv(shared_data / "pgs" / f"{path.name}.gz", sep="\t", comment="#")
        rows = pd.read_csv(path, sep="\t", comment="#")
        assert f"#genome_build={build}\n" in path.read_text()
        assert rows.chr_position.tolist() == source.hm_pos.tolist()
        assert not any(column.startswith("hm_") for column in rows)
    validate("calculator", *written)


def test_the_build_goes_into_the_file_where_positions_tell_it(
    tmp_path: Path, shared_data: Path
) -> None:
    variants = open_genotypes(str(shared_data / "geno/kg_eur_hm3_chr22")).variants
    weights = Weights(variants, np.ones(len(variants)), ("mine",))
    write_weights(weights, tmp_path / "w.txt", format="pgs")
    assert "#genome_build=GRCh37\n" in (tmp_path / "w.txt").read_text()
    some = np.arange(len(variants)) < 3  # none of these is a known one
    write_weights(
        Weights(variants.take(some), np.ones(3), ("mine",)), tmp_path / "s.txt", format="pgs"
    )
    assert "#genome_build=NR\n" in (tmp_path / "s.txt").read_text()


def test_refused_rows_are_named_with_their_count(shared_data: Path) -> None:
    for name, words in (
        (
            "PGS000802_hmPOS_GRCh37.txt",
            "7 of 19 rows are dominant, 7 are recessive: (?s:.*)rs10936599 3 170974795 T",
        ),
        (
            "PGS004255_hmPOS_GRCh38.txt.gz",
            "30 of 30 rows are weighted by dosage: (?s:.*)line 21: 6 32577380 G\n",
        ),
        ("complex_variants_PGS000021.txt", "3 of 33 rows are haplotypes, 5 are diplotypes: "),
        (
            "complex_variants_PGS004239.txt",
            "3 of 14 rows are haplotypes, 6 are of alleles with names: (?s:.*)HLA-DQB1_30_Y",
        ),
    ):
        with pytest.raises(FileFormatError, match=words):
            read_weights(shared_data / "pgs" / name)
