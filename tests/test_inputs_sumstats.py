"""Summary statistics: dialects by name, exact derivation, losses that add up, and refusals."""

from __future__ import annotations

import gzip
import math

import numpy as np
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats

from prs.errors import ColumnError, FileFormatError, InvalidValueError, PrsError, SettingsError
from prs.inputs.builds import _known, tell_build
from prs.inputs.sumstats import read_sumstats
from prs.inputs.sumstats_effects import log_p_from_z, z_from_log_p
from prs.variants import VariantTable

EPS = np.finfo(float).eps


def read(tmp_path, text, name="s.txt", **options):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_sumstats(path, population="EUR", **{"n": 1000, **options})


def rows_of(sumstats):
    frame = sumstats.to_frame()
    return [tuple(row) for row in frame[["id", "effect_allele", "other_allele"]].to_numpy()]


def bgzip(text):
    """bgzip's form: gzip members of their own for every few bytes, and an empty one at the end."""
    return b"".join(gzip.compress(text[i : i + 50], mtime=0) for i in range(0, len(text), 50)) + (
        gzip.compress(b"", mtime=0)
    )


# One association in every dialect: variant rs1 at 3:500, C against T, beta 0.2, se 0.1.
P = f"{2 * stats.norm.sf(2):.17g}"
LOG10P = f"{-math.log10(2 * stats.norm.sf(2)):.17g}"
DIALECTS = {
    "prs-cs se": "SNP A1 A2 BETA SE\nrs1 C T 0.2 0.1\n",
    "prs-cs p, other order": f"P BETA A2 A1 SNP\n{P} 0.2 T C rs1\n",
    "prs-cs or": f"SNP\tA1\tA2\tOR\tSE\nrs1\tC\tT\t{math.exp(0.2):.17g}\t0.1\n",
    "prs-cs lower case": "snp,a1,a2,beta,se\nrs1,c,t,0.2,0.1\n",
    "plink2 linear": "#CHROM\tPOS\tID\tREF\tALT\tA1\tTEST\tOBS_CT\tBETA\tSE\tT_STAT\tP\tERRCODE\n"
    f"3\t500\trs1\tT\tC\tC\tADD\t1000\t0.2\t0.1\t2\t{P}\t.\n"
    f"3\t500\trs1\tT\tC\tC\tAGE\t1000\t9\t0.1\t90\t{P}\t.\n",
    "plink2 A1 is REF": "#CHROM\tPOS\tID\tREF\tALT\tA1\tTEST\tOBS_CT\tOR\tLOG(OR)_SE\tLOG10_P\n"
    f"3\t500\trs1\tC\tT\tC\tADD\t1000\t{math.exp(0.2):.17g}\t0.1\t{LOG10P}\n",
    "plink2 omitted": "#CHROM\tPOS\tID\tREF\tALT\tA1\tOMITTED\tA1_FREQ\tTEST\tOBS_CT\tBETA\tSE\tP\n"
    f"3\t500\trs1\tT\tC,G\tC\tT\t0.3\tADD\t1000\t0.2\t0.1\t{P}\n",
    "gwas-ssf": "chromosome\tbase_pair_location\teffect_allele\tother_allele\tbeta\t"
    "standard_error\teffect_allele_frequency\tp_value\trsid\tn\n"
    f"3\t500\tC\tT\t0.2\t0.1\t0.3\t{P}\trs1\t1000\n",
    "gwas-ssf log10": "chromosome\tbase_pair_location\teffect_allele\tother_allele\todds_ratio\t"
    "standard_error\tneg_log_10_p_value\trsid\n"
    f"3\t500\tC\tT\t{math.exp(0.2):.17g}\t0.1\t{LOG10P}\trs1\n",
    "fastgwa": f"CHR SNP POS A1 A2 N AF1 BETA SE P\n3 rs1 500 C T 1000 0.3 0.2 0.1 {P}\n",
    "metal": f"MarkerName Allele1 Allele2 Freq1 Effect StdErr P-value\nrs1 c t 0.3 0.2 0.1 {P}\n",
    "regenie": f"CHROM GENPOS ID ALLELE0 ALLELE1 A1FREQ N BETA SE LOG10P\n"
    f"3 500 rs1 T C 0.3 1000 0.2 0.1 {LOG10P}\n",
    "saige": f"CHR POS SNPID Allele1 Allele2 AF_Allele2 BETA SE p.value\n"
    f"3 500 rs1 T C 0.3 0.2 0.1 {P}\n",
    "regenie, whole": "CHROM GENPOS ID ALLELE0 ALLELE1 A1FREQ INFO N TEST BETA SE CHISQ LOG10P "
    "EXTRA\n"
    f"3 500 rs1 T C 0.3 0.99 1000 ADD 0.2 0.1 4 {LOG10P} NA\n",
    "saige binary": "CHR POS MarkerID Allele1 Allele2 AC_Allele2 AF_Allele2 imputationInfo BETA SE "
    "Tstat var p.value p.value.NA Is.SPA N_case N_ctrl\n"
    f"3 500 rs1 T C 600 0.3 1 0.2 0.1 20 100 {P} {P} FALSE 500 500\n",
    "bolt-lmm": "SNP CHR BP GENPOS ALLELE1 ALLELE0 A1FREQ INFO CHISQ_LINREG P_LINREG BETA SE "
    f"CHISQ_BOLT_LMM_INF P_BOLT_LMM_INF\nrs1 3 500 0.1 C T 0.3 1 4 {P} 0.2 0.1 4 {P}\n",
    "plink1 assoc": " CHR SNP BP A1 F_A F_U A2 CHISQ P OR SE L95 U95\n"
    f"   3 rs1 500 C 0.33 0.3 T 4 {P} {math.exp(0.2):.17g} 0.1 1 1.5\n",
    "confidence interval": "SNP A1 A2 OR L95 U95\n"
    f"rs1 C T {math.exp(0.2):.17g} {math.exp(0.2 - 0.1959963984540054):.17g} "
    f"{math.exp(0.2 + 0.1959963984540054):.17g}\n",
    "catalog harmonised": "hm_variant_id\thm_rsid\thm_chrom\thm_pos\thm_other_allele\t"
    "hm_effect_allele\thm_beta\thm_odds_ratio\thm_ci_lower\thm_ci_upper\t"
    "hm_effect_allele_frequency\thm_code\tchromosome\tbase_pair_location\teffect_allele\t"
    "other_allele\tbeta\tstandard_error\tp_value\tvariant_id\todds_ratio\n"
    f"3_500_T_C\trs1\t3\t500\tT\tC\t0.2\tNA\tNA\tNA\t0.3\t10\t3\t499\tA\tG\t-0.2\t0.1\t{P}\t"
    "rs1\tNA\n",
    "catalog harmonised or": "hm_rsid\thm_chrom\thm_pos\thm_other_allele\thm_effect_allele\t"
    "hm_beta\thm_odds_ratio\tstandard_error\tp_value\n"
    f"rs1\t3\t500\tT\tC\tNA\t{math.exp(0.2):.17g}\t0.1\t{P}\n",
    "ldsc": "SNP A1 A2 N Z BETA SE\nrs1 C T 1000 2 0.2 0.1\n",
    "metal whole": "MarkerName\tAllele1\tAllele2\tFreq1\tFreqSE\tEffect\tStdErr\tP-value\tDirection"
    f"\nrs1\tc\tt\t0.3\t0\t0.2\t0.1\t{P}\t++\n",
    "gwas-vcf": "##fileformat=VCFv4.2\n##contig=<ID=3>\n"
    "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tIEU-a-1\n"
    f"3\t500\trs1\tT\tC\t.\tPASS\tAF=0.3\tES:SE:LP:AF:SS:NC:ID\t0.2:0.1:{LOG10P}:0.3:1000:500:rs1\n",
    "ids with positions": "SNP A1 A2 BETA SE\nchr3:500:T:C C T 0.2 0.1\n",
    "quoted csv": '"SNP","A1","A2","BETA","SE"\n"rs1","C","T",0.2,0.1\n',
    "windows ends, leading spaces": "  SNP A1  A2 BETA SE\r\n  rs1  C T 0.2 0.1\r\n",
    "comments": "##made by hand\nSNP A1 A2 BETA SE\nrs1 C T 0.2 0.1\n",
}


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize("packed", [bytes, gzip.compress, zstandard.compress, bgzip])
def test_one_association_reads_the_same_in_every_dialect(tmp_path, name, packed):
    text = DIALECTS[name].encode()
    found = read(tmp_path, packed(text))
    assert len(found) == 1
    assert (found.variants.effect_allele[0], found.variants.other_allele[0]) == ("C", "T")
    # a p written with 17 digits gives z to a few eps times z / (dz/dlog p) ~ 10
    assert found.z[0] == pytest.approx(2, rel=50 * EPS)
    assert found.beta[0] == pytest.approx(0.2, rel=50 * EPS)
    assert found.se[0] == pytest.approx(0.1, rel=50 * EPS)
    assert found.p[0] == pytest.approx(float(P), rel=200 * EPS)
    assert (found.n_eff[0], found.population) == (1000, "EUR")
    assert found.standardised[0] == pytest.approx(2 / math.sqrt(1000), rel=50 * EPS)
    assert math.isnan(found.eaf[0]) or found.eaf[0] == 0.3
    if found.variants.has_positions:
        assert (found.variants.chrom[0], found.variants.pos[0]) == (3, 500)
    assert found.source.n_rows == len(found) + sum(found.source.losses.values())
    assert any("effect allele: column" in note for note in found.source.notes)


def test_dialects_are_named_and_their_columns_shown(tmp_path):
    names = {
        "regenie, whole": "regenie",
        "saige binary": "saige",
        "bolt-lmm": "bolt-lmm",
        "plink1 assoc": "plink1-assoc",
        "catalog harmonised": "gwas-catalog-harmonised",
        "metal whole": "metal",
        "gwas-vcf": "gwas-vcf",
        "fastgwa": "fastgwa",
        "gwas-ssf": "gwas-ssf",
    }
    for name, dialect in names.items():
        found = read(tmp_path, DIALECTS[name])
        assert found.source.dialect == dialect
        assert "effect allele: column" in found.source.describe()
    assert (
        "not base_pair_location" in read(tmp_path, DIALECTS["catalog harmonised"]).source.notes[0]
    )
    saige = read(tmp_path, DIALECTS["saige binary"], n=None)
    assert (saige.info[0], saige.n_cases[0], saige.n_controls[0], saige.n_eff[0]) == (
        1, 500, 500, 1000,
    )  # fmt: skip
    vcf = read(tmp_path, DIALECTS["gwas-vcf"], n=None)
    assert (vcf.n_cases[0], vcf.n_controls[0], vcf.n_eff[0]) == (500, 500, 1000)


def test_the_side_file_of_a_gwas_ssf_table(tmp_path):
    text = DIALECTS["gwas-ssf log10"]
    side = tmp_path / "s.txt-meta.yaml"
    side.write_text(
        "# a comment\ngenome_assembly: GRCh37\ncoordinate_system: 1-based\nsamples:\n"
        "  - sample_ancestry: [European]\n    sample_size: 4000\n    case_count: 100\n"
        "    control_count: 300\n  - case_count: 1,000\n    control_count: 1000\n"
    )
    found = read(tmp_path, text, n=None)
    assert found.n_eff[0] == pytest.approx(300 + 2000, rel=4 * EPS)
    assert "genome build GRCh37" in found.source.describe()
    side.write_text("coordinate_system: 0-based\n")
    with pytest.raises(FileFormatError, match="0-based"):
        read(tmp_path, text)


def test_archives_that_are_cut_or_made_to_fill_a_machine_are_refused(tmp_path, monkeypatch):
    text = DIALECTS["prs-cs se"].encode() * 50
    for packed in (gzip.compress(text), zstandard.compress(text)):
        with pytest.raises(FileFormatError, match="truncated or damaged"):
            read(tmp_path, packed[:-3])
    text = b"SNP A1 A2 BETA SE\n" + b"rs1 C T 0.2 0.1\n" * 50
    assert len(read(tmp_path, bgzip(text) + b"\0" * 512)) == 50  # padded, as tapes do
    with pytest.raises(FileFormatError, match="truncated or damaged"):
        read(tmp_path, bgzip(text) + b"garbage")
    monkeypatch.setattr("prs.files.MAX_UNPACKED", 1 << 20)
    bomb = b"SNP A1 A2 BETA SE\n" + b"rs1 C T 0.2 0.1\n" * (1 << 18)
    for packed in (zstandard.compress(bomb), gzip.compress(b"rs1 C T" + b" " * (1 << 24))):
        with pytest.raises(FileFormatError, match=r"unpacks to more than|line of more than"):
            read(tmp_path, packed)
    monkeypatch.setattr("prs.inputs.text_lines.MAX_LINE", 1 << 16)
    monkeypatch.setattr("prs.inputs.text_lines.BLOCK_SIZE", 1 << 15)
    with pytest.raises(FileFormatError, match="line of more than"):
        read(tmp_path, b"SNP A1 A2 BETA SE\n" + b"r" * (1 << 18))


def test_blocks_of_a_long_file_are_read_as_one(tmp_path, monkeypatch):
    rows = [f"rs{i} C T {0.1 * (i % 7) - 0.25:.3g} 0.1 1e-{i % 400}" for i in range(3000)]
    text = "##note\n\nSNP A1 A2 BETA SE P\n" + "\n\n".join(rows)
    whole = read(tmp_path, text, columns={"p": ""})
    monkeypatch.setattr("prs.inputs.text_lines.BLOCK_SIZE", 1000)
    parts = read(tmp_path, text, columns={"p": ""})
    assert whole.to_frame().equals(parts.to_frame())
    small = read(tmp_path, text, columns={"se": ""})
    np.testing.assert_allclose(  # also below float range, over the border of blocks
        np.abs(small.z[[399, 799, 1199]]), float(z_from_log_p(np.array([-399 * math.log(10)]))[0])
    )
    lines = text.split("\n")
    lines[2003] = lines[2003].replace("C T", "C T 1")
    at = next(i for i, line in enumerate(lines) if "C T 1" in line)
    with pytest.raises(FileFormatError, match=f"line {at + 1}: 7 cells"):
        read(tmp_path, "\n".join(lines))
    lines[at] = lines[at].replace("C T 1", "C T")
    lines[at] = lines[at].rsplit(" ", 1)[0] + " none"
    with pytest.raises(InvalidValueError, match=f"line {at + 1}, column 'P': 1 cells are not"):
        read(tmp_path, "\n".join(lines))


def test_a_file_with_one_allele_is_read_for_the_reference_to_complete(tmp_path):
    text = "CHR SNP BP A1 TEST NMISS BETA STAT P\n3 rs1 500 C ADD 1000 0.2 2 0.0455\n"
    found = read(tmp_path, text, n=None)
    assert (found.variants.effect_allele[0], found.variants.other_allele[0]) == ("C", "")
    assert any("taken from the reference" in note for note in found.source.notes)


@given(st.floats(1e-8, 1e5))
def test_z_and_log_p_invert_each_other(z):
    log_p = float(log_p_from_z(np.array([z]))[0])
    assert log_p <= 0
    # near z = 0, log p = -z sqrt(2/pi): its rounding of eps |log(1/2)| is an error of eps in z
    assert z_from_log_p(np.array([log_p]))[0] == pytest.approx(z, rel=1e-12, abs=4 * EPS)


@pytest.mark.parametrize("cell", ["1e-400", "1.0E-400", "100e-402"])
def test_p_below_float_range_keeps_its_z(tmp_path, cell):
    found = read(tmp_path, f"SNP A1 A2 BETA P\nrs1 A G -0.1 {cell}\nrs2 A G 0.1 0.5\n")
    log10 = read(tmp_path, "SNP A1 A2 BETA LOG10_P\nrs1 A G -0.1 400\nrs2 A G 0.1 0.301\n")
    assert found.z[0] == pytest.approx(log10.z[0], rel=8 * EPS)
    assert found.z[0] == pytest.approx(-42.8, abs=0.1)  # sqrt(2 * 400 log 10), less log terms
    assert found.p[0] == 0
    assert found.se[0] == pytest.approx(0.1 / abs(found.z[0]))


def test_sample_sizes_by_column_by_argument_and_by_cases(tmp_path):
    head, row = "SNP A1 A2 BETA SE", "A G 0.1 0.1"
    cases = read(tmp_path, f"{head} N_CASES N_CONTROLS\nrs1 {row} 100 300\n", n=None)
    assert cases.n_eff[0] == pytest.approx(300, rel=4 * EPS)  # 4 / (1/100 + 1/300)
    assert "n_eff = 4 / (1/cases + 1/controls)" in cases.source.derived
    both = read(tmp_path, f"{head} N\nrs1 {row} 50\nrs2 {row} NA\nrs3 {row} 150\n", n=70)
    assert list(both.n_eff) == [35, 70, 105]  # as the column differs, at the level that is given
    assert any("median of 100 to the given 70" in note for note in both.source.notes)
    ignored = read(tmp_path, f"{head} N\nrs1 {row} 50\n", n=70, columns={"n": ""})
    assert list(ignored.n_eff) == [70]
    lost = read(tmp_path, f"{head} N\nrs1 {row} 50\nrs2 {row} NA\n", n=None)
    assert lost.source.losses == {"missing_n": 1}
    with pytest.raises(ColumnError, match=r"s\.txt, line 1: no column for the sample size") as e:
        read(tmp_path, f"{head}\nrs1 {row}\n", n=None)
    assert "--n POPULATION=NUMBER" in str(e.value)
    with pytest.raises(SettingsError, match="n = -5 is not"):
        read(tmp_path, f"{head}\nrs1 {row}\n", n=-5)


def test_columns_are_named_over_the_rule(tmp_path):
    text = "MARK REF ALT EFF SE FRQ\nrs1 A G 0.1 0.1 0.3\n"
    named = {"id": "MARK", "beta": "EFF", "effect_allele": "ALT", "other_allele": "REF"}
    assert rows_of(read(tmp_path, text, columns=named)) == [("rs1", "G", "A")]
    text = "SNP A1 A2 BETA SE FRQ\nrs1 A G 0.1 0.1 0.3\n"
    turned = read(tmp_path, text, effect="A2")
    assert rows_of(turned) == [("rs1", "G", "A")]
    assert np.isnan(turned.eaf[0])  # FRQ is of A1, or of nobody knows
    for columns, message in (
        ({"efect": "A1"}, "'efect' is not a role"),
        ({"id": "A2"}, "column 'A2': is taken for two roles, id and other_allele"),
        ({"beta": "B"}, "column 'B': there is no such column"),
    ):
        with pytest.raises(ColumnError, match=message):
            read(tmp_path, text, columns=columns)


def test_rows_that_cannot_be_used_are_counted_by_reason(tmp_path):
    good = "".join(f"rs{i} A G 0.1 0.1 0.3 50\n" for i in range(20))
    bad = (
        "b1 . G 0.1 0.1 0.3 50\nb2 A <DEL> 0.1 0.1 0.3 50\nb3 A a 0.1 0.1 0.3 50\n"
        "b4 A G NA 0.1 0.3 50\nb5 A G 0.1 . 0.3 50\nb6 A G 0.1 0 0.3 50\n"
        "b7 A G 0.1 -1 0.3 50\nb8 A G 0.1 0.1 0.3 -\nb9 A G inf 0.1 0.3 50\n"
        ". A G 0.1 0.1 0.3 50\nb10 A G 0.1 0.1 NA 50\n"
    )
    found = read(tmp_path, "SNP A1 A2 BETA SE P N\n" + good + bad, n=None)
    assert found.source.losses == {
        "missing_allele": 1,
        "invalid_allele": 1,
        "same_alleles": 1,
        "no_id_or_position": 1,
        "missing_effect": 2,
        "missing_se": 1,
        "nonpositive_se": 2,
        "missing_n": 1,
    }
    assert found.source.n_rows == 31 == len(found) + 10
    assert found.variants.id[-1] == "b10"  # its p comes from beta and se
    assert found.p[-1] == pytest.approx(2 * stats.norm.sf(1))
    assert found.source.derived == ("p from z in 1 rows that lack it",)


def test_rows_of_p_alone_are_read_for_those_that_need_no_effect(tmp_path):
    text = "SNP A1 A2 BETA SE P\nrs1 A G NA NA 0.01\nrs2 A G 0.2 0.1 0.0455\nrs3 A G 1 0 NA\n"
    text += "rs4 A G 0.2 0.1 NA\nrs5 A G NA 0 1e-9\n"
    found = read(tmp_path, text, need_effect=False)
    assert list(found.variants.id) == ["rs1", "rs2", "rs4", "rs5"]
    assert found.source.losses == {"missing_p": 1}
    np.testing.assert_allclose(found.p, [0.01, 0.0455, 2 * stats.norm.sf(2), 1e-9])
    # beta and its error where the file has both; a z only where they give one
    assert list(np.isfinite(found.z)) == [False, True, True, False]
    alone = read(tmp_path, "SNP A1 A2 P\nrs1 A G 0.01\n", need_effect=False)
    assert (alone.p[0], alone.z[0]) == (pytest.approx(0.01), pytest.approx(np.nan, nan_ok=True))
    with pytest.raises(ColumnError, match="no column for an effect"):
        read(tmp_path, "SNP A1 A2 P\nrs1 A G 0.01\n")
    with pytest.raises(ColumnError, match="no column for an effect"):
        read(tmp_path, "SNP A1 A2 SE\nrs1 A G 0.01\n", need_effect=False)


HEAD = "SNP A1 A2 BETA SE P N\n"
GOOD = "rs1 A G 0.1 0.1 0.3 50\n"
RNG = np.random.default_rng(5)
BETAS = RNG.normal(0, 0.02, 60)
SES = RNG.uniform(0.008, 0.012, 60)
PS = 2 * stats.norm.sf(np.abs(BETAS / SES))


def many(header, *columns):
    lines = [f"rs{i} A G " + " ".join(f"{c[i]:.6g}" for c in columns) for i in range(60)]
    return f"SNP A1 A2 {header}\n" + "\n".join(lines) + "\n"


BAD = [
    (b"", FileFormatError, r"s\.txt: summary statistics is empty"),
    (b"\n \n", FileFormatError, "is empty"),
    (HEAD, FileFormatError, r"s\.txt, line 1: has a header and no rows"),
    (
        GOOD * 2,
        FileFormatError,
        "line 1: .*value 'rs1': the header is missing",
    ),
    (
        gzip.compress((HEAD + GOOD * 99).encode(), mtime=0)[:-9],
        FileFormatError,
        "truncated or damaged gzip",
    ),
    (HEAD + GOOD + "rs2 A G 0.1\n", FileFormatError, "line 3: 4 cells.*has 7 columns"),
    (HEAD + GOOD + "rs2 A G 0.1 1 1 1 1\n", FileFormatError, "line 3: 8 cells"),
    (HEAD + GOOD + "\0" + GOOD, FileFormatError, "is a binary file"),
    ("SNP A1 A2 BETA SE P beta\n" + GOOD, ColumnError, "column 'beta'.*more than once"),
    ("SNP ALLELE BETA SE\nr A 1 1\n", ColumnError, "cannot be told.*no allele columns"),
    ("SNP REF ALT BETA SE\nr A G 1 1\n", ColumnError, r"allele columns: REF, ALT"),
    ("A1 A2 BETA SE\nA G 1 1\n", ColumnError, "no column for a variant id"),
    ("SNP A1 A2 SE\nr A G 1\n", ColumnError, "no column for an effect"),
    ("SNP A1 A2 BETA N\nr A G 1 9\n", ColumnError, "no column for a standard error or p-value"),
    (HEAD + GOOD + "rs2 A G 0.1 x 0.3 50\n", InvalidValueError, "line 3, column 'SE': 1 cells are"),
    (HEAD + GOOD + "\n\nrs2 A G 0.1 0.1 1,2 5\n", InvalidValueError, "line 5, column 'P': 1 cells"),
    (
        HEAD + GOOD + "rs2 A G 0.1 0.1 1.5 50\n",
        InvalidValueError,
        r"line 3, column 'P': 1 p-values",
    ),
    (HEAD + GOOD + "rs2 A G 0.1 0.1 -1 50\n", InvalidValueError, "outside"),
    ("SNP A1 A2 BETA P\nr A G 1 0\n", InvalidValueError, "line 2, column 'P': 1 p-values are 0"),
    ("SNP A1 A2 BETA LOG10P\nr A G 1 -3\n", InvalidValueError, "-log10 p are negative"),
    ("SNP A1 A2 BETA SE EAF\nr A G 1 1 30\n", InvalidValueError, "column 'EAF': 1 allele freq"),
    ("SNP CHR BP A1 A2 BETA SE\nr 1 5.5 A G 1 1\n", InvalidValueError, "column 'BP': 1 positions"),
    ("SNP A1 A2 BETA SE\nr A G NA 1\ns A G 1 0\nt A G 1 1\n", InvalidValueError, "2 of 3 rows"),
    ("SNP A1 A2 BETA SE TEST\nr A G 1 1 DOM\n", InvalidValueError, "no row is of the additive"),
    (
        "#CHROM POS ID REF ALT A1 BETA SE\n1 5 r A G T 1 1\n",
        InvalidValueError,
        "line 2, column 'A1': 1 rows have an A1 that is neither",
    ),
    ("SNP A1 A2 OR SE\nr A G -0.2 1\n", ColumnError, "column 'OR': misread.*this is a beta"),
    (many("OR P", np.abs(BETAS), PS), ColumnError, "column 'OR': misread.*mostly near 0"),
    (many("BETA P", np.exp(BETAS), PS), ColumnError, "'BETA': misread.*these are odds ratios"),
    (many("BETA SE P", np.exp(BETAS), SES, PS), ColumnError, "these are odds ratios"),
    (many("BETA P SE", BETAS, SES, PS), ColumnError, "misread.*'SE' and 'P'.*are exchanged"),
    (many("BETA SE P", BETAS, 10 * SES, PS), ColumnError, "misread.*not describe the same test"),
    (many("BETA SE", BETAS, PS + 0.2), ColumnError, "'SE': misread.*is it a p-value"),
    (many("BETA P", BETAS, SES), ColumnError, "'P': misread.*as standard errors do"),
]


@pytest.mark.parametrize("text, error, message", BAD)
def test_a_bad_file_is_refused_by_name(tmp_path, text, error, message):
    with pytest.raises(error, match=r"(?s)s\.txt.*" + message.removeprefix(r"s\.txt")):
        read(tmp_path, text)


def test_a_sound_file_of_the_same_numbers_passes(tmp_path):
    for text in (many("BETA SE P", BETAS, SES, PS), many("BETA P", BETAS, PS)):
        # six digits of beta, se or p: z to about 1e-5 of 1 + z
        np.testing.assert_allclose(read(tmp_path, text).z, BETAS / SES, rtol=2e-5, atol=2e-5)


MUTATIONS = st.lists(
    st.tuples(st.integers(0, 10**6), st.sampled_from([*b" \t\n,.-+eE019NAx#\"'\0\xff;:"])),
    max_size=6,
)


@given(st.sampled_from(list(DIALECTS)), MUTATIONS, st.integers(0, 400))
@settings(
    max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_mutilated_file_is_read_or_refused(tmp_path, name, mutations, cut):
    data = bytearray(DIALECTS[name].encode() * 2)
    for at, byte in mutations:
        data[at % len(data)] = byte
    try:
        found = read(tmp_path, bytes(data[: len(data) - cut]))
    except PrsError:
        return
    assert found.source.n_rows == len(found) + sum(found.source.losses.values())
    assert np.isfinite(found.z).all()


@pytest.mark.parametrize(
    "name, dialect, n_rows, effect_column",
    [
        ("sumstats/yengo_2022_height_eur.txt.gz", "gwas-ssf", 888, "effect_allele"),
        ("sumstats/ukb_eur_height_chr22.fastGWA.gz", "fastgwa", 15935, "A1"),
        ("sumstats/mama_eas_bmi_chr22.txt.gz", "table", 119557, "EA"),
        ("sumstats/glgc_hdl_chr1_AFR.txt.gz", "prs-cs", 500, "A1"),
        ("reference/sst/EUR.se.txt", "prs-cs", 8167, "A1"),
    ],
)
def test_published_files_are_read_whole(shared_data, name, dialect, n_rows, effect_column):
    found = read_sumstats(shared_data / name, population="X", n=1e5)
    assert (len(found), found.source.dialect) == (n_rows, dialect)
    assert found.source.columns["effect_allele"] == effect_column
    assert found.source.losses == {}
    assert np.isfinite(found.standardised).all()
    assert np.median(np.abs(found.z)) > 0.6


def test_se_and_p_files_of_one_gwas_agree(shared_data):
    folder = shared_data / "reference" / "sst"
    by_se = read_sumstats(folder / "AFR.se.txt", population="AFR", n=40000)
    by_p = read_sumstats(folder / "AFR.p.txt", population="AFR", n=40000)
    # p has 8 significant digits and se 6: z to about 1e-5 of itself
    np.testing.assert_allclose(by_p.z, by_se.z, rtol=1e-4, atol=1e-4)


def test_the_build_is_told_by_known_positions(tmp_path, shared_data):
    path = shared_data / "sumstats" / "ukb_eur_height_chr22.fastGWA.gz"
    found = read_sumstats(path, population="EUR")
    assert "genome build: GRCh37 (20 of 20 known positions)" in found.source.describe()
    keys, names = _known()
    assert (keys[0] != keys[1]).all()
    variants = found.variants
    one_base_on = VariantTable(
        variants.chrom, variants.pos + 1, variants.id, variants.effect_allele, variants.other_allele
    )
    assert tell_build(one_base_on) == ""
    at = {name: key & 0xFFFFFFFF for name, key in zip(names, keys[1], strict=True)}
    pos = np.array([at.get(name, 1) for name in variants.id])
    nameless = np.full(len(variants), "", dtype=object)
    for ids in (variants.id, nameless):
        lifted = VariantTable(
            variants.chrom, pos, ids, variants.effect_allele, variants.other_allele
        )
        assert tell_build(lifted) == "GRCh38 (20 of 20 known positions)"
    # the positions of other variants prove nothing
    others = np.array([f"rs1{name[2:]}" for name in variants.id], dtype=object)
    elsewhere = VariantTable(
        variants.chrom, pos, others, variants.effect_allele, variants.other_allele
    )
    assert tell_build(elsewhere) == ""


def test_labels_that_look_like_numbers_stay_what_they_are(tmp_path):
    """1e1 is no chromosome, and an allele of digits is no allele: neither becomes a number."""
    head = "CHR BP SNP A1 A2 BETA SE\n"
    found = read(tmp_path, head + "".join(f"{c} 5 rs{c} A G 1 1\n" for c in ("01", "1", "1e1")))
    assert list(found.variants.chrom) == [1, 1, 0]
    with pytest.raises(InvalidValueError, match="invalid allele: 2"):
        read(tmp_path, head + "1 5 rs1 3 4 1 1\n1 6 rs2 03 4 1 1\n")


def test_z_and_n_alone_give_effects_per_allele(tmp_path):
    """LDSC's .sumstats; with frequencies the scale is the allele's (Zhu et al. 2016)."""
    found = read(tmp_path, "SNP A1 A2 Z N\nrs1 A G 2 396\n", n=None)
    assert found.source.dialect == "ldsc"
    assert (found.se[0], found.beta[0]) == (pytest.approx(0.05), pytest.approx(0.1))  # 1/sqrt(400)
    found = read(tmp_path, "SNP A1 A2 Z N EAF\nrs1 A G 2 396 0.5\n", n=None)
    assert found.se[0] == pytest.approx(1 / math.sqrt(0.5 * 400))
    assert "beta and se from z and n, per allele" in found.source.derived
