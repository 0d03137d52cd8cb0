"""The doctor: each planted fault is caught by its name, and sound files pass."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from prs.cli import main
from prs.doctor.examine import Source, check
from prs.doctor.findings import CheckReport
from prs.doctor.study import check_study
from prs.errors import SettingsError
from prs.inputs.cohort import read_cohort
from prs.inputs.genotypes import Genotypes, open_genotypes
from prs.inputs.lists import read_sample_list
from prs.samples import match_samples

DEMO = Path(__file__).parents[1] / "data" / "demo"
EAS = DEMO / "sumstats" / "disease.EAS.tsv.gz"
N_EAS = 5029


def reference(population: str) -> Genotypes:
    genotypes = open_genotypes(str(DEMO / "reference"))
    people = read_sample_list(DEMO / f"reference.{population}.txt")
    return genotypes.subset(samples=match_samples(people, genotypes.samples)[1])


@pytest.fixture(scope="module")
def eas() -> Source:
    return Source(EAS, n=N_EAS, reference=reference("EAS"))


@pytest.fixture(scope="module")
def cohort():
    return read_cohort(DEMO / "cohort.tsv", outcome="disease", labels=["ancestry"], split="split")


def verdicts(report: CheckReport) -> dict[str, str]:
    return {f.check: f.verdict for f in report.findings if f.verdict != "pass"}


def changed(path: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Path:
    frame = pd.read_csv(EAS, sep="\t")
    change(frame).to_csv(path, sep="\t", index=False, na_rep="NA")
    return path


def test_sound_inputs_pass(eas):
    report = check({"EAS": eas}, target=DEMO / "target", kind="binary")
    assert report.verdict == "pass", report
    asked = {f.check for f in report.findings}
    assert asked >= {
        "target", "panel_size", "overlap", "columns", "rows", "duplicates", "inflation", "build",
        "palindromes", "effect_allele", "sample_size", "panel_ancestry", "cost",
    }  # fmt: skip
    assert json.loads(report.to_json())["verdict"] == "pass"
    assert len(report.to_frame()) == len(report.findings)
    assert "PASS  effect_allele" in str(report)


SWAP = {"effect_allele": "other_allele", "other_allele": "effect_allele"}
PLANTED: dict[str, tuple[str, str, Callable[[pd.DataFrame], pd.DataFrame]]] = {
    "effect allele swapped": ("effect_allele", "fail", lambda f: f.rename(columns=SWAP)),
    "build shifted": (
        "build", "fail",
        lambda f: f.assign(base_pair_location=f.base_pair_location + 31_337),
    ),
    "n tenfold": ("sample_size", "fail", lambda f: f.assign(n=f.n * 10)),
    "n a tenth": ("sample_size", "warn", lambda f: f.assign(n=f.n / 10)),
    "odds ratio read as beta": ("effect_scale", "fail", lambda f: f.assign(beta=np.exp(f.beta))),
    "p and se exchanged": (
        "se_and_p", "fail",
        lambda f: f.rename(columns={"standard_error": "p_value", "p_value": "standard_error"}),
    ),
    "half the rows duplicated": (
        "duplicates", "fail", lambda f: pd.concat([f, f.sample(frac=0.5, random_state=1)]),
    ),
    "no frequencies": (
        "palindromes", "warn", lambda f: f.drop(columns="effect_allele_frequency"),
    ),
    "corrected twice": (
        "inflation", "warn",
        lambda f: f.assign(standard_error=2 * f.standard_error).drop(columns="p_value"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_caught_by_name(tmp_path, eas, fault):
    name, verdict, change = PLANTED[fault]
    path = changed(tmp_path / "gwas.tsv", change)
    n = None if fault.startswith("n ") else N_EAS
    report = check({"EAS": replace(eas, sumstats=path, n=n)}, kind="binary")
    assert verdicts(report).get(name) == verdict, report
    finding = next(f for f in report.named(name) if f.verdict != "pass")
    assert finding.remedy
    assert "EAS" in finding.subject
    others = set(report.faults) - {name}
    # a doubled standard error is a fourth of the people, too
    assert others <= {"corrected twice": {"sample_size"}}.get(fault, set()), report


def test_cases_and_controls_exchanged_are_caught_by_the_outcome_and_by_the_other_gwas(
    tmp_path, eas, cohort
):
    path = changed(tmp_path / "gwas.tsv", lambda f: f.assign(beta=-f.beta))
    sources = {
        "EAS": replace(eas, sumstats=path),
        "EUR": Source(DEMO / "sumstats/disease.EUR.txt.gz", 29328, reference=reference("EUR")),
    }
    report = check(sources, target=DEMO / "target", cohort=cohort, kind="binary")
    failed = {(f.check, f.subject.split()[0]) for f in report.findings if f.verdict == "fail"}
    assert failed == {("concordance", "EAS"), ("expected_sign", "EAS")}, report


def test_the_wrong_panel_is_caught_alone_and_beside_the_right_one(eas):
    wrong = check({"EAS": replace(eas, reference=reference("EUR"))}, kind="binary")
    assert verdicts(wrong)["panel_ancestry"] == "fail", wrong
    beside = check(
        {"EAS": replace(eas, reference=reference("AFR")), "AFR": replace(eas)}, kind="binary"
    )
    fails = [f for f in beside.named("panel_ancestry") if f.verdict == "fail"]
    assert ["the panel of AFR is nearer" in f.figure for f in fails] == [True]


def test_files_that_cannot_be_read_are_findings(tmp_path, eas):
    (tmp_path / "cut.gz").write_bytes(EAS.read_bytes()[:1000])
    report = check(
        {
            "EAS": replace(eas, sumstats=tmp_path / "cut.gz"),
            "EUR": Source(tmp_path / "none.txt", ld=tmp_path),
        },
        target=tmp_path / "target",
    )
    assert report.verdict == "fail"
    subjects = {f.subject for f in report.findings if f.verdict == "fail"}
    assert subjects == {"target", "EAS statistics", "EUR statistics", "panel of EUR"}
    with pytest.raises(SettingsError, match="nothing to check"):
        check({})


def test_the_command_on_the_demo_study(capsys, tmp_path):
    report = check_study(DEMO / "study.toml")
    # two of its files have no frequencies: that is said, and nothing else
    assert report.verdict == "warn"
    assert report.faults == ("palindromes",), report
    assert report.seconds < 60
    study = tmp_path / "demo"
    shutil.copytree(DEMO, study, ignore=shutil.ignore_patterns("results", "__pycache__"))
    rotten = study / "sumstats" / EAS.name
    pd.read_csv(EAS, sep="\t").rename(columns=SWAP).to_csv(
        rotten, sep="\t", index=False, na_rep="NA"
    )
    with pytest.raises(SystemExit) as stop:
        main(["check", str(study / "study.toml"), "--json", str(tmp_path / "check.json")])
    assert stop.value.code == 1
    assert "FAIL  effect_allele    EAS statistics" in capsys.readouterr().out
    assert json.loads((tmp_path / "check.json").read_text())["verdict"] == "fail"
    assert sorted(p.name for p in study.iterdir()) == sorted(
        p.name for p in DEMO.iterdir() if p.name not in ("results", "__pycache__")
    )


def test_published_files_pass_without_an_alarm(shared_data):
    sumstats, panel = shared_data / "sumstats", shared_data / "ldpanel/prscsx_hgdp1kg"
    height = {
        pop: Source(sumstats / f"yengo_2022_height_{pop.lower()}.txt.gz", ld=panel)
        for pop in ("EUR", "EAS")
    }
    report = check(height, kind="quantitative")
    assert report.verdict == "pass", report
    ukb = Source(sumstats / "ukb_eur_height_chr22.fastGWA.gz")
    report = check({"EUR": ukb}, target=shared_data / "geno/kg_eur_hm3_chr22")
    assert report.verdict == "pass", report
    genotypes = open_genotypes(str(shared_data / "geno/kg1_chr22"))
    ancestry = pd.read_csv(shared_data / "geno/kg1_chr22.pop.tsv", sep="\t").SUPERPOP
    east_asian = genotypes.subset(samples=np.flatnonzero(ancestry == "EAS"))
    bmi = Source(sumstats / "mama_eas_bmi_chr22.txt.gz", reference=east_asian)
    report = check({"EAS": bmi}, kind="quantitative")
    # one in 25 variants is there, of 286 people: both true, both said
    assert set(report.faults) == {"overlap", "panel_size"}, report
    exchanged = check({"EUR": height["EAS"], "EAS": height["EUR"]}, kind="quantitative")
    assert [f.verdict for f in exchanged.named("panel_ancestry")] == ["fail", "fail"]


def test_the_command_takes_columns_by_name(tmp_path, capsys):
    odd = {"effect_allele": "CODED", "other_allele": "BASE", "beta": "X"}
    path = changed(tmp_path / "gwas.tsv", lambda f: f.rename(columns=odd))
    command = ["check", "--sumstats", f"EAS={path}", "--n", f"EAS={N_EAS}"]
    with pytest.raises(SystemExit):
        main(command)
    assert "FAIL  file" in capsys.readouterr().out
    for role, name in odd.items():
        command += ["--column", f"{role}={name}"]
    with pytest.raises(SystemExit) as stop:
        main([*command, "--column", "info="])
    assert stop.value.code == 0
    assert "effect_allele = CODED" in capsys.readouterr().out


def test_the_cost_of_the_fit_follows_its_size(eas):
    def figure(**options) -> str:
        (found,) = check({"EAS": eas}, kind="binary", n_threads=1, **options).named("cost")
        return found.figure

    # 10,9xx effects in blocks of 400: 4.4e6 entries, 2.4 ms an iteration, 2 chains
    assert figure().startswith("about 5 s for 1,000 iterations in 2 chains on 1 cores")
    assert figure(n_iter=100_000, n_chains=4).startswith("about 16 min for 100,000 iterations in 4")
