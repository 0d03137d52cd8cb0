"""The `prs` command as a user meets it: what it writes, and what bad input gets."""

from __future__ import annotations

import gzip
import json
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import pytest
from small_study import SmallStudy, make_small_study

from prs.cli import main


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> SmallStudy:
    return make_small_study(tmp_path_factory.mktemp("cli") / "study")


@pytest.fixture
def study(pristine: SmallStudy, tmp_path: Path) -> SmallStudy:
    """A copy that a test may spoil."""
    folder = tmp_path / "study"
    shutil.copytree(pristine.folder, folder)
    return SmallStudy(
        folder,
        folder / "target",
        folder / "reference",
        folder / "cohort.tsv",
        folder / "study.toml",
        pristine.variants,
        pristine.effects,
    )


def run(arguments: Sequence[object], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return int(stop.value.code or 0), printed.out, printed.err


Capture = pytest.CaptureFixture[str]


def test_help_lists_the_commands_in_the_order_of_the_work_and_at_once() -> None:
    program = Path(sys.executable).with_name("prs")
    seconds = []
    for _ in range(3):  # of its own: what else the machine does is not its doing
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([program, "--help"], capture_output=True, text=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    commands = [line.split()[0] for line in done.stdout.split("Commands:")[1].strip().splitlines()]
    assert commands == [
        "check", "harmonise", "ld", "clump", "ct", "csx", "score", "combine", "evaluate",
        "report", "run", "person", "simulate",
    ]  # fmt: skip
    assert min(seconds) < 0.5


def test_bad_usage_exits_with_2(study: SmallStudy, capsys: Capture) -> None:
    for arguments in (
        ["score", "--bfile", study.target],
        ["csx", "--sumstats", "AAA", "--ld", "AAA=x", "--out", "x"],
        ["csx", "--ref_dir", "x"],
        ["csx", "--ref_dir", "x", "--sumstats", "AAA=y"],
        ["clump", "--nonsense"],
    ):
        code, _, error = run(arguments, capsys)
        assert code == 2, error


def test_the_chain_command_by_command(study: SmallStudy, capsys: Capture) -> None:
    out, folder = study.folder / "out", study.folder

    def ok(*arguments: object) -> str:
        code, printed, error = run(arguments, capsys)
        assert code == 0, error
        return printed

    said = ok("harmonise", "--sumstats", f"AAA={study.sumstats('AAA')}", "--bfile", study.target,
              "--out", out, "--ledger", "--min-maf", "0.05")  # fmt: skip
    assert "160" in said
    ledger = pd.read_csv(f"{out}.AAA.ledger.tsv.gz", sep="\t")
    assert list(ledger["row"]) == list(range(1, 161))
    match = pd.read_csv(f"{out}.AAA.match.tsv", sep="\t")
    assert match["n"].sum() == 160
    for population in ("AAA", "BBB"):
        ok("ld", "--bfile", study.reference, "--keep", study.keep(population), "--population",
           population, "--out", folder / population)  # fmt: skip
    ok("clump", "--bfile", study.reference, "--sumstats", study.sumstats("AAA"), "--out", out)
    clumps = pd.read_csv(f"{out}.clumps.tsv", sep="\t")
    assert list(clumps.columns[:5]) == ["index_variant", "chrom", "pos", "p", "members"]
    ok("ct", "--bfile", study.reference, "--sumstats", f"AAA={study.sumstats('AAA')}",
       "--p-thresholds", "0.001,1", "--out", folder / "ct")  # fmt: skip
    ok("csx", "--sumstats", f"AAA={study.sumstats('AAA')}", "--sumstats",
       f"BBB={study.sumstats('BBB')}", "--ld", f"AAA={folder / 'AAA.ld.h5'}", "--ld",
       f"BBB={folder / 'BBB.ld.h5'}", "--bfile", study.target, "--n-iter", 100, "--n-burnin", 50,
       "--chains", 2, "--out", folder / "csx")  # fmt: skip
    ok("score", "--bfile", study.target, "--weights", folder / "ct.weights.tsv", "--weights",
       folder / "csx.weights.tsv", "--out", out)  # fmt: skip
    scores = pd.read_csv(f"{out}.scores.tsv", sep="\t", comment="#")
    assert len(scores) == 480
    assert {"IID", "AAA", "BBB", "META"} <= set(scores.columns)
    common = ("--scores", f"{out}.scores.tsv", "--cohort", study.cohort, "--outcome", "disease",
              "--by", "ancestry", "--prevalence", "0.4", "--covariates", "age,sex",
              "--split", "split")  # fmt: skip
    ok("evaluate", *common, "--out", out)
    for table in ("accuracy", "calibration", "deciles"):
        frame = pd.read_csv(f"{out}.{table}.tsv", sep="\t")
        assert {"AAA", "BBB"} <= set(frame["group"])
    ok("report", *common, "--weights", folder / "csx.weights.tsv", "--out", folder / "page")
    assert (folder / "page" / "report.html").read_text().count("AAA") > 5


def spoil_bed_size(study: SmallStudy) -> None:
    bed = study.folder / "target.bed"
    bed.write_bytes(bed.read_bytes()[:-10])


def spoil_bed_magic(study: SmallStudy) -> None:
    bed = study.folder / "target.bed"
    bed.write_bytes(b"xyz" + bed.read_bytes()[3:])


def spoil_ids(study: SmallStudy) -> None:
    edit(study.cohort, lambda frame: frame.assign(IID="S" + frame["IID"]))


def edit(path: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    change(pd.read_csv(path, sep="\t", dtype=str)).to_csv(path, sep="\t", index=False)


def edit_gwas(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[SmallStudy], None]:
    return lambda study: edit(study.sumstats("AAA"), change)


def edit_cohort(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[SmallStudy], None]:
    return lambda study: edit(study.cohort, change)


def edit_study(old: str, new: str) -> Callable[[SmallStudy], None]:
    def spoil(study: SmallStudy) -> None:
        text = study.study.read_text()
        assert old in text
        study.study.write_text(text.replace(old, new))

    return spoil


def empty(name: str) -> Callable[[SmallStudy], None]:
    return lambda study: (study.folder / name).write_bytes(b"") and None


def truncate_gzip(study: SmallStudy) -> None:
    path = study.sumstats("AAA")
    packed = gzip.compress(path.read_bytes())
    path.write_bytes(packed[: len(packed) // 2])


def with_cell(column: str, value: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(frame: pd.DataFrame) -> pd.DataFrame:
        frame.loc[3, column] = value
        return frame

    return change


BAD = {
    "bed does not fit": (spoil_bed_size, ["target.bed", "480", "160"]),
    "wrong magic number": (spoil_bed_magic, ["target.bed"]),
    "sample ids do not match": (spoil_ids, ["cohort.tsv", "ST0", "Remedy"]),
    "no variant in common": (
        edit_gwas(lambda f: f.assign(CHR="3", SNP="x" + f["SNP"])),
        ["gwas.AAA.txt", "0 of 160", "Remedy"],
    ),
    "wrong build": (
        edit_gwas(lambda f: f.assign(POS=(f["POS"].astype(int) + 12_345).astype(str))),
        ["genome build", "rs1000"],
    ),
    "missing column": (
        edit_gwas(lambda f: f.drop(columns="A1")),
        ["gwas.AAA.txt", "effect_allele"],
    ),
    "p and se exchanged": (
        edit_gwas(lambda f: f.rename(columns={"SE": "P", "P": "SE"})),
        ["gwas.AAA.txt", "SE"],
    ),
    "p above 1": (edit_gwas(with_cell("P", "1.5")), ["gwas.AAA.txt", "line 5", "'P'", "1.5"]),
    "p of 0 without se": (
        edit_gwas(lambda f: with_cell("P", "0")(f.drop(columns="SE"))),
        ["gwas.AAA.txt", "line 5", "'P'"],
    ),
    "non-numeric cell": (
        edit_gwas(with_cell("BETA", "abc")),
        ["gwas.AAA.txt", "line 5", "'BETA'", "abc"],
    ),
    "empty statistics": (empty("gwas.AAA.txt"), ["gwas.AAA.txt", "empty"]),
    "empty bim": (empty("target.bim"), ["target.bim", "empty"]),
    "truncated gzip": (truncate_gzip, ["gwas.AAA.txt", "gzip"]),
    "NaN in every phenotype": (
        edit_cohort(lambda f: f.assign(disease="NA")),
        ["cohort.tsv", "disease"],
    ),
    "text in a phenotype": (
        edit_cohort(with_cell("disease", "maybe")),
        ["cohort.tsv", "disease", "maybe"],
    ),
    "no cases at all": (edit_cohort(lambda f: f.assign(disease="0")), ["cohort.tsv", "disease"]),
    "tuning people in the test set": (
        edit_cohort(lambda f: pd.concat([f, f.head(3).assign(split="test")])),
        ["cohort.tsv", "T0"],
    ),
    "unknown key": (edit_study("outcome =", "outcom ="), ["study.toml", "outcom"]),
    "a file that is not there": (edit_study("gwas.AAA", "gwas.CCC"), ["gwas.CCC.txt", "no such"]),
    "a panel folder that is not one": (
        edit_study('reference = "reference"\nreference_samples = "AAA.keep.txt"', 'ld = "."'),
        ["study"],
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_one_message_and_leaves_nothing(
    case: str, study: SmallStudy, capsys: Capture
) -> None:
    spoil, words = BAD[case]
    spoil(study)
    code, _, error = run(["run", study.study], capsys)
    assert code == 1, error
    assert "Traceback" not in error
    for word in words:
        assert word in error
    assert not (study.folder / "results" / "report.html").exists()
    assert not list(study.folder.rglob("*.tmp*"))


def test_an_ancestry_without_cases_is_said_not_hidden(study: SmallStudy, capsys: Capture) -> None:
    edit(
        study.cohort,
        lambda f: f.assign(disease=f["disease"].where(f["ancestry"] != "BBB", "0")),
    )
    code, _, error = run(["run", study.study], capsys)
    assert code == 0, error
    accuracy = pd.read_csv(study.folder / "results" / "tables" / "accuracy.tsv", sep="\t")
    status = accuracy.loc[accuracy["group"] == "BBB", "status"]
    assert status.str.startswith("insufficient data").all()


def test_a_grid_of_phi_is_chosen_from_by_tuning_people(study: SmallStudy, capsys: Capture) -> None:
    edit_study("[methods.csx]", "[methods.csx]\nphi = [1e-4, 1e-1]")(study)
    code, _, error = run(["run", study.study], capsys)
    assert code == 0, error
    results = study.folder / "results"
    columns = pd.read_csv(results / "scores" / "all.scores.tsv", sep="\t").columns
    assert {"cs_AAA_phi1e-04", "cs_AAA_phi1e-01", "csx_BBB_phi1e-04"} <= set(columns)
    choices = json.loads((results / "scores" / "choices.json").read_text())
    table = choices["cs_AAA"]["table"]
    assert {row["score"] for row in table} == {"cs_AAA_phi1e-04", "cs_AAA_phi1e-01"}
    assert choices["cs_AAA"]["chosen"] == max(table, key=lambda row: row["value"])["score"]
    final = pd.read_csv(results / "scores" / "final.scores.tsv", sep="\t").columns
    assert {"ct_AAA", "cs_AAA", "csx_META", "csx_combined"} <= set(final)


@pytest.mark.parametrize(
    ("name", "status", "word"), [("SIGTERM", 143, "terminated"), ("SIGINT", 130, "interrupted")]
)
def test_a_signal_that_comes_while_an_object_is_freed_is_not_lost(name, status, word) -> None:
    """Python prints what is raised in ``__del__`` and goes on."""
    program = f"""
import os, signal, time
import prs
from prs.cli import main

class Freed:
    def __del__(self):
        os.kill(os.getpid(), signal.{name})
        time.sleep(0)  # where it is delivered

def free(*_args, **_options):
    Freed()
    time.sleep(30)
    raise AssertionError("it went on")

prs.run_study = free
main(["run", "study.toml"])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == status, done.stderr
    assert done.stderr.startswith(f"{word}; nothing half-written was left"), done.stderr
