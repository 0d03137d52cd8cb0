"""`prs clump`, `prs ct` and `prs ld` beyond the chain: LD panels, PRSice's tables, being killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_study import SmallStudy, make_small_study

from prs import (
    check_study,
    open_genotypes,
    open_ld,
    read_scores,
    read_study,
    read_weights,
    score,
    write_weights,
)
from prs.cli import main
from prs.inputs.plink_write import write_bed
from prs.samples import SampleTable
from prs.variants import VariantTable
from prs.weights.table import Weights


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


def test_ct_cross_fits_and_draws(study: SmallStudy, ok: Callable[..., str], tmp_path: Path) -> None:
    common = (
        "ct", "--bfile", study.reference, "--sumstats", f"AAA={study.sumstats('AAA')}",
        "--p-thresholds", "0.001,0.1,1", "--target", study.target, "--cohort", study.cohort,
        "--outcome", "trait",
    )  # fmt: skip
    said = ok(*common, "--cross-fit", 4, "--out", tmp_path / "x")
    assert "R2 in held-out folds" in said
    folds = pd.read_csv(tmp_path / "x.crossfit.tsv", sep="\t")
    cells = pd.read_csv(tmp_path / "x.prsice", sep="\t")
    assert folds["n_held_out"].sum() == 480
    assert set(folds["chosen"]) <= set(cells["score"])
    (total,) = pd.read_csv(tmp_path / "x.crossfit.summary.tsv", sep="\t").to_dict("records")
    assert total["r2_apparent"] == pytest.approx(cells["R2"].max(), rel=1e-12)
    judged = (
        "evaluate", "--scores", tmp_path / "x.crossfit.scores.tsv", "--cohort", study.cohort,
        "--outcome", "trait", "--out", tmp_path / "e",
    )  # fmt: skip
    ok(*judged)
    accuracy = pd.read_csv(tmp_path / "e.accuracy.tsv", sep="\t")
    assert set(accuracy["score"]) == {"best"}
    assert accuracy["n"].max() == 480
    # with a split: test people in the quantile plot
    ok(*common, "--quantiles", 5, "--out", tmp_path / "y")
    quantiles = pd.read_csv(tmp_path / "y.quantiles.tsv", sep="\t")
    assert quantiles["n"].tolist() == [48] * 5
    for name in ("x.bars.png", "x.quantiles.png", "y.bars.png", "y.quantiles.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_combine_makes_one_score_of_many(
    study: SmallStudy, ok: Callable[..., str], tmp_path: Path
) -> None:
    ok("ct", "--bfile", study.reference, "--sumstats", f"AAA={study.sumstats('AAA')}",
       "--r2", "0.1,0.5", "--kb", "50,500", "--target", study.target, "--cohort", study.cohort,
       "--outcome", "disease", "--out", tmp_path / "g")  # fmt: skip
    common = ("combine", "--scores", tmp_path / "g.scores.tsv", "--cohort", study.cohort,
              "--outcome", "disease")  # fmt: skip
    weights = ("--weights", tmp_path / "g.weights.tsv")
    for method in ("ridge", "nonnegative", "best"):
        said = ok(*common, *weights, "--method", method, "--out", tmp_path / method)
        assert "240 tuning people" in said
        made = read_scores(tmp_path / f"{method}.scores.tsv")
        assert made.names == ("combined",)
        again = score(
            open_genotypes(study.target), read_weights(tmp_path / f"{method}.weights.tsv")
        )
        # equal up to a constant: floats of sums of 160 terms below 10, a hundred roundings
        difference = again.values - made.values
        assert np.ptp(difference) < 1e-9
    said = ok(*common, "--method", "ridge", "--cross-fit", 3, "--out", tmp_path / "x")
    assert "held-out folds" in said
    assert read_scores(tmp_path / "x.scores.tsv").n_samples == 480
    ok(*common, "--method", "best", "--by", "ancestry", "--out", tmp_path / "by")
    table = pd.read_csv(tmp_path / "by.combination.tsv", sep="\t")
    chosen = table[table["chosen"]].set_index("group")
    tuning = pd.read_csv(study.cohort, sep="\t").query("split == 'tuning'")
    cases = tuning.groupby("ancestry")["disease"].agg(["sum", "size"])
    enough = cases.index[(cases["sum"] >= 50) & (cases["size"] - cases["sum"] >= 50)]
    assert set(chosen.index) == {"all", *enough}
    assert list(chosen["n"]) == [240, *(120 for _ in enough)]
    timed = pd.read_csv(study.cohort, sep="\t").assign(years=np.arange(480) % 7 + 1.0)
    timed.to_csv(tmp_path / "timed.tsv", sep="\t", index=False)
    ok("combine", "--scores", tmp_path / "g.scores.tsv", "--cohort", tmp_path / "timed.tsv",
       "--outcome", "disease", "--time", "years", "--method", "best",
       "--out", tmp_path / "t")  # fmt: skip
    assert set(pd.read_csv(tmp_path / "t.combination.tsv", sep="\t")["metric"]) == {"c"}
    with pytest.raises(AssertionError, match="not linear"):
        ok(*common, "--method", "guess", "--out", tmp_path / "z")


def test_many_weights_of_any_format_at_once(
    study: SmallStudy, ok: Callable[..., str], tmp_path: Path
) -> None:
    genotypes = open_genotypes(study.target)
    rng = np.random.default_rng(3)
    catalog = Weights(genotypes.variants, rng.normal(size=160), ("catalog",), metadata={})
    write_weights(catalog, tmp_path / "PGS9.txt.gz", format="pgs")
    many = Weights(genotypes.variants, rng.normal(size=(160, 150)), [f"w{i}" for i in range(150)])
    write_weights(many, tmp_path / "many.tsv")
    moved = catalog.take(np.arange(100))  # half of them are nowhere
    pos = moved.variants.pos + np.where(np.arange(100) < 50, 1, 0).astype(np.int32)
    lost = replace(moved.variants, pos=pos, id=np.full(100, "", dtype=object))
    write_weights(Weights(lost, moved.weights, ("lost",)), tmp_path / "lost.tsv")
    given = [x for name in ("PGS9.txt.gz", "many.tsv") for x in ("--weights", tmp_path / name)]
    said = ok("score", "--bfile", study.target, *given, "--out", tmp_path / "s")
    assert "151 scores" in said
    frame = pd.read_csv(tmp_path / "s.scores.tsv", sep="\t")
    missing = np.isnan(genotypes.read_dosages()).sum(axis=1)
    assert frame["N_MISSING_CALLS"].tolist() == missing.tolist()
    np.testing.assert_allclose(frame["MISSING_RATE"], missing / 160, atol=5e-7)  # six decimals
    ours = score(genotypes, [catalog, many])
    made = read_scores(tmp_path / "s.scores.tsv")
    # sums of 160 terms of some 5 x 2, in another order of columns
    np.testing.assert_allclose(made.values, ours.values, atol=160 * 10 * 8 * 2**-53, rtol=0)
    half = ("score", "--bfile", study.target, "--weights", tmp_path / "lost.tsv")
    ok(*half, "--out", tmp_path / "h", "--min-overlap", 0.4)
    reasons = pd.read_csv(tmp_path / "h.scores.unmatched.tsv", sep="\t")["reason"]
    assert reasons.tolist() == ["not_found"] * 50
    with pytest.raises(AssertionError, match=r"at least 60% are asked for; the others: not found"):
        ok(*half, "--out", tmp_path / "n", "--min-overlap", 0.6)
    assert not (tmp_path / "n.scores.tsv").exists()


def test_posterior_draws_are_scored_as_columns(
    study: SmallStudy, ok: Callable[..., str], tmp_path: Path
) -> None:
    ok("ld", "--bfile", study.reference, "--keep", study.keep("AAA"), "--out", tmp_path / "p")
    ok(
        "csx",
        "--sumstats",
        f"AAA={study.sumstats('AAA')}",
        "--ld",
        f"AAA={tmp_path / 'p.ld.h5'}",
        "--n-iter",
        60,
        "--n-burnin",
        30,
        "--chains",
        1,
        "--draws",
        "--out",
        tmp_path / "x",
    )
    said = ok("score", "--bfile", study.target, "--draws", f"AAA={tmp_path / 'x.posterior.npz'}",
              "--weights", tmp_path / "x.weights.tsv", "--out", tmp_path / "s")  # fmt: skip
    scores = read_scores(tmp_path / "s.scores.tsv")
    drawn = [name for name in scores.names if name.startswith("AAA_draw_")]
    assert len(drawn) == 30 // 5
    assert f"{len(scores.names)} scores" in said
    (mean,) = set(scores.names) - set(drawn)
    # the weights are a mean over more iterations than the draws that are kept
    of_draws = scores.select(drawn).values.mean(axis=1)
    assert np.corrcoef(of_draws, scores.select(mean).values[:, 0])[0, 1] > 0.9
    # PRScsx.py's --write_pst: a column a draw, no header
    frame = read_weights(tmp_path / "x.weights.tsv").to_frame().drop(columns="eaf")
    frame = frame[["chrom", "id", "pos", "effect_allele", "other_allele", frame.columns[-1]]]
    frame["again"] = frame.iloc[:, -1] * 2
    frame.to_csv(tmp_path / "o_META_pst_eff_chr21.txt", sep="\t", header=False, index=False)
    pst = read_weights(tmp_path / "o_META_pst_eff_chr21.txt")
    assert [name.rsplit("_", 2)[1:] for name in pst.names] == [["draw", "1"], ["draw", "2"]]
    np.testing.assert_allclose(pst.weights[:, 1], 2 * pst.weights[:, 0])


def test_clump_needs_p_alone(study: SmallStudy, ok: Callable[..., str], tmp_path: Path) -> None:
    frame = pd.read_csv(study.sumstats("AAA"), sep="\t")
    frame.loc[::7, "BETA"] = 0.0
    frame.loc[::5, ["BETA", "SE"]] = np.nan
    frame.to_csv(tmp_path / "holes.txt", sep="\t", index=False, na_rep="NA")
    whole = ("--bfile", study.reference, "--palindromic", "keep")
    ok("clump", *whole, "--sumstats", tmp_path / "holes.txt", "--out", tmp_path / "a")
    ok("clump", *whole, "--sumstats", study.sumstats("AAA"), "--out", tmp_path / "b")
    assert (tmp_path / "a.clumps.tsv").read_text() == (tmp_path / "b.clumps.tsv").read_text()
    frame[["SNP", "A1", "A2", "P"]].to_csv(tmp_path / "p.txt", sep="\t", index=False)
    ok("clump", *whole, "--sumstats", tmp_path / "p.txt", "--out", tmp_path / "c")
    assert (tmp_path / "c.clumps.tsv").read_text() == (tmp_path / "b.clumps.tsv").read_text()


def test_lists_and_several_filesets_in_every_command(
    study: SmallStudy, ok: Callable[..., str], tmp_path: Path
) -> None:
    whole = open_genotypes(study.target)
    parts = []
    for chrom in (21, 22):
        part = whole.subset(variants=whole.variants.chrom == chrom)
        calls = np.nan_to_num(part.read_dosages(), nan=-1)
        write_bed(tmp_path / f"part{chrom}", calls, part.variants, whole.samples)
        parts += ["--bfile", tmp_path / f"part{chrom}"]
    ids = {"keep": whole.samples.iid[:90], "remove": whole.samples.iid[60:200]}
    ids |= {"extract": whole.variants.id[:150], "exclude": whole.variants.id[20:40]}
    lists: list[object] = []
    for name, listed in ids.items():
        (tmp_path / name).write_text("\n".join([*listed, "elsewhere"]))
        lists += [f"--{name}", tmp_path / name]
    frame = whole.variants.to_frame().assign(w=np.linspace(-1, 1, 160))
    frame = frame[["id", "effect_allele", "w"]]
    frame.to_csv(tmp_path / "w.txt", sep="\t", index=False, header=False)

    scored = ("--weights", tmp_path / "w.txt", "--min-overlap", 0.5)
    ok("score", *parts, *lists, *scored, "--missing", "skip", "--out", tmp_path / "a")
    scores = pd.read_csv(tmp_path / "a.scores.tsv", sep="\t")
    view = whole.subset(np.arange(60), np.r_[0:20, 40:150])
    assert scores["IID"].tolist() == list(view.samples.iid)
    weights = frame["w"].to_numpy()[view.variant_index]
    np.testing.assert_allclose(  # sums of 130 numbers below 2: float eps x 130 x 2 x a margin
        scores.iloc[:, -1], np.nan_to_num(view.read_dosages(dtype=float)) @ weights, atol=1e-12
    )
    ok("ld", *parts, *lists, "--out", tmp_path / "l", "--min-maf", 0)
    panel = open_ld(tmp_path / "l.ld.h5")
    assert panel.n_samples == 60
    assert set(panel.variants.id) <= set(view.variants.id)
    common = ("--sumstats", study.sumstats("AAA"))
    ok("clump", *parts, *lists, *common, "--out", tmp_path / "c")
    clumped = pd.read_csv(tmp_path / "c.clumps.tsv", sep="\t")
    assert set(clumped["index_variant"]) <= set(view.variants.id)
    ok("ct", *parts, *lists, *common, "--out", tmp_path / "t")
    assert set(read_weights(tmp_path / "t.weights.tsv").variants.id) <= set(view.variants.id)
    assert "130 variants" in ok("check", *parts, *lists, *common)


def test_a_study_with_lists_and_several_filesets(study: SmallStudy, tmp_path: Path) -> None:
    whole = open_genotypes(study.target)
    folder = tmp_path / "s"
    shutil.copytree(study.folder, folder)
    for chrom in (21, 22):
        part = whole.subset(variants=whole.variants.chrom == chrom)
        write_bed(folder / f"p{chrom}", part.read_dosages(), part.variants, whole.samples)
    (folder / "out.txt").write_text("\n".join(whole.samples.iid[:7]))
    (folder / "few.txt").write_text("\n".join(whole.variants.id[3:]))
    text = (
        (folder / "study.toml")
        .read_text()
        .replace(
            'genotypes = "target"',
            'genotypes = ["p21", "p22"]\nremove = "out.txt"\nextract = "few.txt"',
        )
    )
    (folder / "study.toml").write_text(text)
    target = read_study(folder / "study.toml").open_target()
    assert (target.n_samples, target.n_variants) == (473, 157)
    assert {folder / "out.txt", folder / "few.txt"} <= set(target.files)
    report = check_study(folder / "study.toml")
    (finding,) = [f for f in report.findings if f.check == "target"]
    assert finding.figure == "473 people, 157 variants"


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


@pytest.mark.slow
def test_a_large_panel_passes_through_memory_block_by_block(tmp_path: Path) -> None:
    n_people, n_variants, n_blocks = 120, 30_000, 30
    per_block, spacing = n_variants // n_blocks, 1000
    rng = np.random.default_rng(6)
    table = VariantTable(
        np.full(n_variants, 1, np.int8),
        np.arange(1, n_variants + 1, dtype=np.int32) * spacing,
        np.array([f"v{j}" for j in range(n_variants)], dtype=object),
        np.full(n_variants, "A", dtype=object),
        np.full(n_variants, "G", dtype=object),
    )
    people = SampleTable.from_ids([f"i{i}" for i in range(n_people)])
    chunks = (rng.integers(0, 3, (n_people, per_block)).astype(np.int8) for _ in range(n_blocks))
    write_bed(tmp_path / "g", chunks, table, people)
    edges = np.arange(n_blocks + 1) * per_block * spacing + 1  # half open
    bed = "".join(f"chr1\t{a}\t{b}\n" for a, b in pairwise(edges))
    (tmp_path / "blocks.bed").write_text("chr\tstart\tstop\n" + bed)
    (tmp_path / "few").write_text("\n".join(f"v{j}" for j in range(5 * per_block)))
    program = str(Path(sys.executable).with_name("prs"))

    def peak(name: str, *extra: str) -> float:
        process = subprocess.Popen(
            [program, "ld", "--bfile", str(tmp_path / "g"), "--blocks",
             str(tmp_path / "blocks.bed"), "--threads", "1", "--out", str(tmp_path / name), *extra],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        return usage.ru_maxrss / 1024

    few = peak("few", "--extract", str(tmp_path / "few"))
    many = peak("many")
    # six times the blocks: 100 MB more of correlations (4 MB each), of which none may stay; the
    # table of 25,000 more variants and what is made of it takes up to 1 kB each
    assert open_ld(tmp_path / "many.ld.h5").n_blocks == n_blocks
    assert many - few < 50


@pytest.mark.parametrize("command", ["check", "harmonise"])
def test_a_column_without_a_role_is_explained(
    study: SmallStudy, ok: Callable[..., str], tmp_path: Path, command: str
) -> None:
    asked = [command, "--sumstats", f"AAA={study.sumstats('AAA')}"]
    asked += ["--bfile", study.reference, "--out", tmp_path / "h"] if command == "harmonise" else []
    with pytest.raises(AssertionError, match=r"--column 'A2': write it as ROLE=NAME"):
        ok(*asked, "--column", "A2")
    with pytest.raises(AssertionError, match=r"role 'n' is given twice"):
        ok(*asked, "--column", "n=N", "--column", "n=")
