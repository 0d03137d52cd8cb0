"""`prs clump`, `prs ct` and `prs ld` beyond the chain: LD panels, PRSice's tables, being killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_study import SmallStudy, make_small_study

from prs.cli import main


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> SmallStudy:
    return make_small_study(tmp_path_factory.mktemp("genotypes") / "study")


@pytest.fixture
def ok(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def run(*arguments: object) -> str:
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        assert not stop.value.code, printed.err
        return printed.out

    return run


def test_clumping_from_an_ld_file(
    study: SmallStudy, ok: Callable[..., str], tmp_path: Path
) -> None:
    ok("ld", "--bfile", study.reference, "--out", tmp_path / "p", "--min-maf", 0)
    common = ("--sumstats", study.sumstats("AAA"), "--palindromic", "keep")
    ok("clump", "--ld", tmp_path / "p.ld.h5", *common, "--out", tmp_path / "a")
    ok("clump", "--bfile", study.reference, *common, "--r2-kind", "dosage", "--out", tmp_path / "b")
    by_ld, by_people = (
        pd.read_csv(tmp_path / f"{name}.clumps.tsv", sep="\t") for name in ("a", "b")
    )
    # LD blocks end somewhere and missing calls are filled in: nearly the same clumps
    shared = set(by_ld["index_variant"]) & set(by_people["index_variant"])
    assert len(shared) > 0.8 * len(by_people)


def test_ct_writes_prsice_s_tables(
    study: SmallStudy, ok: Callable[..., str], tmp_path: Path
) -> None:
    out = tmp_path / "ct"
    said = ok(
        "ct", "--bfile", study.reference, "--sumstats", f"AAA={study.sumstats('AAA')}",
        "--p-thresholds", "0.001,0.1,1", "--r2", "0.1,0.5", "--target", study.target,
        "--cohort", study.cohort, "--outcome", "disease", "--covariates", "age,sex",
        "--permutations", 50, "--out", out,
    )  # fmt: skip
    assert "Judge it on test people" in said
    cells = pd.read_csv(f"{out}.prsice", sep="\t")
    summary = pd.read_csv(f"{out}.summary", sep="\t")
    assert len(cells) == 6
    assert {"Set", "Threshold", "R2", "P", "Coefficient", "Standard.Error"} <= set(cells)
    assert summary["PRS.R2"][0] == cells["R2"].max()
    assert 1 / 51 <= summary["Empirical.P"][0] <= 1
    everybody = pd.read_csv(f"{out}.all_score", sep="\t")
    best = pd.read_csv(f"{out}.best", sep="\t")
    np.testing.assert_array_equal(best["PRS"], everybody[summary["score"][0]])
    assert set(best["In_Regression"]) == {"Yes", "No"}


@pytest.mark.slow
def test_a_killed_prs_ld_goes_on_to_the_same_bytes(demo: Path, tmp_path: Path) -> None:
    program = [sys.executable, "-m", "prs"]
    if subprocess.run([*program, "--help"], capture_output=True, check=False).returncode:
        program = [str(Path(sys.executable).with_name("prs"))]

    def command(name: str) -> list[str]:
        return [*program, "ld", "--bfile", str(demo / "reference"), "--out", str(tmp_path / name)]

    subprocess.run(command("whole"), check=True, capture_output=True)
    running = subprocess.Popen(command("cut"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    journal = tmp_path / ".cut.ld.h5.partial"
    while running.poll() is None and not (journal.exists() and journal.stat().st_size > 10_000):
        time.sleep(0.001)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert journal.exists()
    assert not (tmp_path / "cut.ld.h5").exists()
    subprocess.run(command("cut"), check=True, capture_output=True)
    assert (tmp_path / "cut.ld.h5").read_bytes() == (tmp_path / "whole.ld.h5").read_bytes()
    assert not journal.exists()
