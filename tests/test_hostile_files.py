"""Every reader against thousands of damaged and random files: only our own errors come out."""

from __future__ import annotations

import gzip
import importlib.util
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from statistics import NormalDist

import pytest
import zstandard

import prs.files
from prs.errors import FileFormatError, PrsError
from prs.inputs.cohort import read_cohort
from prs.inputs.genotypes import open_genotypes
from prs.inputs.lists import read_sample_list
from prs.inputs.prevalence import read_prevalence
from prs.inputs.sumstats import read_sumstats
from prs.ld.blocks import read_blocks
from prs.study import read_study
from prs.weights.table import read_weights


def p_value(i: int) -> float:
    return 2 * NormalDist().cdf(-abs((0.01 * (i % 7) - 0.03) / (0.01 * (1 + i % 3))))


SSF = (
    b"chromosome\tbase_pair_location\teffect_allele\tother_allele\tbeta\tstandard_error\t"
    b"effect_allele_frequency\tp_value\trsid\tn\n"
    + b"".join(
        b"%d\t%d\t%s\t%s\t%.3f\t0.0%d\t0.%d\t%.3g\trs%d\t1000\n"
        % (1 + i % 22, 1000 * i + 1, b"ACGT"[i % 4 : i % 4 + 1], b"GTAC"[i % 4 : i % 4 + 1],
           0.01 * (i % 7) - 0.03, 1 + i % 3, 10 + i, p_value(i), i)
        for i in range(30)
    )
)  # fmt: skip
VCF = (
    b"##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tS\n"
    b"1\t5\trs1\tA\tG\t.\tPASS\t.\tES:SE:LP:AF:SS:NC\t0.1:0.05:1.3:0.3:100:50\n"
    b"2\t6\trs2\tC\tT\t.\tPASS\t.\tSE:ES\t0.1:-0.05\n"
)
PLINK2 = (
    b"#CHROM\tPOS\tID\tREF\tALT\tA1\tTEST\tOBS_CT\tOR\tLOG(OR)_SE\tLOG10_P\n"
    b"3\t500\trs1\tC\tT\tC\tADD\t1000\t1.2\t0.1\t1.4\n3\t500\trs1\tC\tT\tC\tAGE\t9\t1\t1\t1\n"
)
PGS = (
    b"###PGS CATALOG SCORING FILE\n#format_version=2.0\n#pgs_id=PGS9\n#HmPOS_build=GRCh38\n"
    b"rsID\tchr_name\tchr_position\teffect_allele\tother_allele\teffect_weight\tis_dominant\t"
    b"hm_rsID\thm_chr\thm_pos\nrs1\t1\t100\tA\tG\t0.25\tFalse\trs1\t1\t111\n"
)
PST = b"1\trs1\t100\tA\tG\t1.5e-3\n1\trs2\t200\tC\tT\t-2e-4\n"
COHORT = (
    b"FID IID disease age ancestry split\nf a 1 50 EUR tuning\nf b 0 51 AFR test\nf c 1 9 X test\n"
)
BED = b"chr start stop\nchr1 1 500\nchr1 500 900\n"
STUDY = (
    b'title = "t"\n[target]\ngenotypes = "g"\ncohort = "c"\noutcome = "o"\n'
    b'[populations.EUR]\nsumstats = "s"\nld = "l"\nn = 5\n[methods.csx]\n'
    b"[harmonise.qc]\nmin_maf=0\n"
)


def sumstats(path: Path) -> object:
    return read_sumstats(path, population="EUR", n=1000)


def cohort(path: Path) -> object:
    return read_cohort(path, outcome="disease", covariates=["age"], split="split")


READERS: dict[str, tuple[Callable[[Path], object], str, bytes]] = {
    "gwas-ssf": (sumstats, "s.tsv", SSF),
    "gwas-vcf": (sumstats, "s.vcf", VCF),
    "plink2": (sumstats, "s.glm", PLINK2),
    "gzip": (sumstats, "s.gz", gzip.compress(SSF, mtime=0)),
    "zstd": (sumstats, "s.zst", zstandard.compress(SSF)),
    "pgs": (read_weights, "w.txt", PGS),
    "pst_eff": (read_weights, "x_EUR_pst_eff_a1.txt", PST),
    "cohort": (cohort, "c.txt", COHORT),
    "prevalence": (read_prevalence, "p.txt", b"ancestry\tprevalence\nEUR\t0.1\nAFR\t0.2\n"),
    "blocks": (read_blocks, "b.bed", BED),
    "samples": (read_sample_list, "k.txt", b"f1 i1\nf2 i2\n"),
    "study": (read_study, "study.toml", STUDY),
}
PIECES = [
    b"\0", b"\xff\xfe", b"\t", b"\n", b"\r", b",", b" ", b'"', b"#", b"##", b"=", b"-", b".",
    b"nan", b"inf", b"-inf", b"1e999", b"1e-999", b"9" * 40, b"NA", b"\xef\xbb\xbf", b"A" * 300,
    b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"0x10", b"\xe2\x80\xae", b":", b"chr", b"1_0", b"[", b"''",
]  # fmt: skip


def mutate(seed: bytes, rng: random.Random) -> bytes:
    """Change, cut, repeat, exchange or insert pieces of a file."""
    data = bytearray(seed)
    for _ in range(rng.choice([1, 1, 2, 3, 8])):
        kind, at = rng.randrange(6), rng.randrange(len(data) + 1)
        end = min(len(data), at + rng.randrange(1, 40))
        if kind == 0 and at < len(data):
            data[at] = rng.randrange(256)
        elif kind == 1:
            data[at:at] = rng.choice(PIECES)
        elif kind == 2:
            del data[at:end]
        elif kind == 3:
            data[at:at] = data[at:end] * rng.randrange(1, 4)
        elif kind == 4:
            cells = bytes(data).split(b"\t")
            i, j = rng.randrange(len(cells)), rng.randrange(len(cells))
            cells[i], cells[j] = cells[j], cells[i]
            data = bytearray(b"\t".join(cells))
        elif kind == 5 and rng.random() < 0.3:
            data = data[:at]
    return bytes(data)


def attack(name: str, folder: Path, n: int, seed: int) -> tuple[int, int]:
    """Read n mutated files; returns how many were read and refused."""
    reader, filename, good = READERS[name]
    path = folder / filename
    read = refused = 0
    rng = random.Random(f"{name} {seed}")
    for i in range(n):
        data = mutate(good, rng)
        path.write_bytes(data)
        try:
            reader(path)
            read += 1
        except PrsError as error:
            refused += bool(str(error))
        except Exception as error:
            raise AssertionError(f"{name}, mutation {i}: {type(error)} on {data!r}") from error
    return read, refused


@pytest.mark.parametrize("name", READERS)
def test_damaged_files_are_read_or_refused_by_our_own_errors(tmp_path, name):
    start = time.perf_counter()
    reader, filename, good = READERS[name]
    (tmp_path / filename).write_bytes(good)
    reader(tmp_path / filename)
    n = 300
    read, refused = attack(name, tmp_path, n, 1)
    assert read + refused == n
    assert refused > 0
    assert time.perf_counter() - start < 60  # none hangs
    assert sum(p.stat().st_size for p in tmp_path.iterdir()) < 1 << 20  # none leaves anything


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_many_damaged_files(tmp_path, name):
    read, refused = attack(name, tmp_path, 5000, 2)
    assert read + refused == 5000


def test_filesets_with_damaged_tables_are_read_or_refused(tmp_path, demo):
    rng = random.Random(3)
    tables = {end: (demo / f"reference.{end}").read_bytes()[:3000] for end in ("bim", "fam")}
    (tmp_path / "x.bed").write_bytes((demo / "reference.bed").read_bytes()[:3000])
    for _ in range(200):
        for end, table in tables.items():
            (tmp_path / f"x.{end}").write_bytes(mutate(table, rng))
        try:
            open_genotypes(str(tmp_path / "x"))
        except PrsError:
            continue


@pytest.mark.parametrize("change", ["cut", "appended to", "exchanged", "removed"])
@pytest.mark.parametrize("name", sorted(READERS.keys() - {"study"}))  # that is a line or two
def test_a_file_that_changes_while_it_is_read(tmp_path, monkeypatch, name, change):
    reader, filename, good = READERS[name]
    path = tmp_path / filename
    path.write_bytes(good)
    os.utime(path, (1, 1))  # so that a change in the same instant is seen
    opened = prs.files._decompressed

    @contextmanager
    def disturbed(opened_path):
        with opened(opened_path) as (stream, kind):
            if change == "cut":
                os.truncate(path, len(good) // 2)
            elif change == "appended to":
                with path.open("ab") as end:
                    end.write(good[:20])
            elif change == "removed":
                path.unlink()
            else:
                other = path.with_suffix(".other")
                other.write_bytes(good)
                other.replace(path)
            yield stream, kind

    monkeypatch.setattr(prs.files, "_decompressed", disturbed)
    with pytest.raises(FileFormatError, match=rf"{filename}: has changed while it was being read"):
        reader(path)


def test_a_yaml_side_file_runs_no_code(tmp_path):
    path = tmp_path / "s.tsv"
    path.write_bytes(SSF)
    side = tmp_path / "s.tsv-meta.yaml"
    side.write_text(f"x: !!python/object/apply:os.system ['touch {tmp_path}/made']\n")
    sumstats(path)
    assert not (tmp_path / "made").exists()
    side.write_bytes(b"a: " * (1 << 20))
    with pytest.raises(PrsError, match="too large"):
        sumstats(path)


FUZZ = """
import sys, pathlib, tempfile
sys.path.insert(0, {here!r})
import atheris
with atheris.instrument_imports(include=["prs.inputs", "prs.weights", "prs.files"]):
    import test_hostile_files as t
from prs.errors import PrsError
folder = pathlib.Path(tempfile.mkdtemp())
names = list(t.READERS)
def one(data):
    reader, filename, good = t.READERS[names[data[0] % len(names)] if data else names[0]]
    path = folder / filename
    path.write_bytes(data[1:])
    try:
        reader(path)
    except PrsError:
        pass
corpus = folder / "corpus"; corpus.mkdir()
for i, name in enumerate(names):
    (corpus / name).write_bytes(bytes([i]) + t.READERS[name][2])
atheris.Setup([sys.argv[0], str(corpus), "-max_total_time={seconds}", "-max_len=4096",
               "-artifact_prefix=" + str(folder) + "/",
               "-rss_limit_mb=4096"], one)
atheris.Fuzz()
"""


@pytest.mark.slow
def test_coverage_guided_fuzz(tmp_path):
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris is not installed")
    seconds = int(os.environ.get("PRS_FUZZ_SECONDS", "60"))
    script = tmp_path / "fuzz.py"
    script.write_text(FUZZ.format(here=str(Path(__file__).parent), seconds=seconds))
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=False, timeout=seconds + 300
    )
    assert done.returncode == 0, done.stderr[-3000:]
