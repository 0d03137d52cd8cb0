"""Studies that are not the usual one: one sample, no labels, times to an event, risks by age."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from small_study import SmallStudy, make_small_study

import prs.pipeline.judging as judging
from prs.errors import InvalidValueError, StudyFileError
from prs.pipeline import run_study
from prs.report.inputs import ReportInputs
from prs.report.page import build_page
from prs.report.risk_figures import plot_age_risks


@pytest.fixture
def captured(monkeypatch: pytest.MonkeyPatch) -> list[ReportInputs]:
    """Keep what the report would be made of, without drawing it."""
    kept: list[ReportInputs] = []

    def keep(inputs: ReportInputs, folder: Path) -> Path:
        kept.append(inputs)
        for name in ("report.html", "report.json", *(f"tables/{t}.tsv" for t in TABLES)):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("-")
        return folder / "report.html"

    monkeypatch.setattr(judging, "write_report", keep)
    return kept


TABLES = ("accuracy", "calibration", "deciles")
RATES = "age_from age_to rate\n40 60 0.004\n60 80 0.01\n"


def changed(small: SmallStudy, *pairs: tuple[str, str]) -> Path:
    text = small.study.read_text()
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    small.study.write_text(text)
    return small.study


def test_one_sample_and_no_labels(tmp_path: Path, captured: list[Any]) -> None:
    small = make_small_study(tmp_path)
    cohort = pd.read_csv(small.cohort, sep="\t")
    own = (cohort["ancestry"] == "BBB").to_numpy() + 0.0
    rng = np.random.default_rng(1)
    cohort["PC1"], cohort["PC2"] = own + 0.1 * rng.normal(size=480), rng.normal(size=480)
    cohort.drop(columns=["ancestry", "split"]).to_csv(small.cohort, sep="\t", index=False)
    text = small.study.read_text()
    begin, end = text.index("[populations.BBB]"), text.index("[methods.ct]")
    small.study.write_text(text[:begin] + text[end:])
    (tmp_path / "rates.txt").write_text(RATES)
    study = changed(
        small,
        ('split = "split"', 'ancestry = ""\npcs = ["PC1", "PC2"]'),
        ("AAA = 0.4\nBBB = 0.4\n", ""),
        ("[evaluation.prevalence]", ('[evaluation]\nn_folds = 3\nn_optimism = 8\n'
         'risk_thresholds = [0.3]\n[evaluation.absolute_risk]\nincidence = "rates.txt"\n'
         "ages = [50, 60, 70]")),
    )  # fmt: skip
    result = run_study(study)
    (inputs,) = captured
    # what was chosen is judged by people who did not choose it; the rest is as it was
    optimism = inputs.one_sample["optimism"].set_index("score")
    assert optimism.loc["ct_AAA", "n_bootstrap"] == 8
    assert optimism.loc["ct_AAA", "corrected"] == pytest.approx(
        optimism.loc["ct_AAA", "apparent"] - optimism.loc["ct_AAA", "optimism"]
    )
    assert {"ct_AAA", "cs_AAA"} == set(inputs.one_sample["cross_fit"]["score"])
    judged = pd.read_csv(result.folder / "scores" / "final.scores.tsv", sep="\t")
    chosen = pd.read_csv(result.folder / "scores" / "chosen.scores.tsv", sep="\t")
    assert judged["ct_AAA"].std() == pytest.approx(1.0, abs=0.1)  # SDs of those who chose
    assert chosen["ct_AAA"].std() != pytest.approx(1.0, abs=0.1)
    assert inputs.evaluation.groups == ()
    assert inputs.evaluation.settings["n_folds"] == 3
    # without labels: along distance from everybody's centre, and one verdict
    assert set(inputs.distance["origin"]) == {"everybody"}
    assert (inputs.distance["status"] == "ok").sum() >= 5
    page = build_page(inputs)
    assert [v.group for v in page.context["verdicts"]] == ["all"]
    assert {"age_risks", "distance", "net_benefit"} <= {f.name for f in page.figures}
    assert "cross" not in page.context["notes"][0] or page.context["one_sample"]
    # everybody on one scale, each draw by its own fit
    one = inputs.uncertainty["normalised"]
    assert (one["score_lower"] < one["score"]).mean() > 0.95
    assert one["score"].mean() == pytest.approx(0.0, abs=0.05)
    # risks by age rise with age and with the score, and have closed forms for the average
    risks = inputs.age_risks
    assert set(risks["age_to"]) == {60.0, 70.0}
    average = risks.set_index("age_to")["average"]
    assert average.loc[60.0].iloc[0] == pytest.approx(1 - np.exp(-0.04))
    assert average.loc[70.0].iloc[0] == pytest.approx(1 - np.exp(-0.14))
    late = risks[risks["age_to"] == 70.0].set_index("percentile")["risk"]
    assert late.is_monotonic_increasing
    people = pd.read_csv(result.folder / "uncertainty" / "absolute_risk.tsv", sep="\t")
    assert (people["risk_lower"] < people["risk_upper"]).all()
    # hazards relative to the population's: 1 on average, and log-normal with variance b^2
    relative = -np.log1p(-people["risk"]) / 0.14
    b = np.log(risks["effect_per_sd"].iloc[0])
    assert relative.mean() == pytest.approx(1.0, abs=4 * np.sqrt(np.expm1(b * b) / len(people)))
    assert plot_age_risks(risks).axes


def test_times_to_an_event_and_panels_of_two_populations(
    tmp_path: Path, captured: list[Any]
) -> None:
    small = make_small_study(tmp_path)
    cohort = pd.read_csv(small.cohort, sep="\t")
    rng = np.random.default_rng(2)
    z = (cohort["trait"] - cohort["trait"].mean()) / cohort["trait"].std()
    came, left = rng.exponential(10 / np.exp(z)), rng.uniform(1, 20, len(z))
    cohort["event"], cohort["years"] = (came <= left).astype(int), np.minimum(came, left)
    cohort["start"] = 0.0  # everybody there from the start: late entry, and nothing changed by it
    cohort.to_csv(small.cohort, sep="\t", index=False)
    (tmp_path / "rates.txt").write_text(
        "group age_from age_to rate\nAAA 40 80 0.01\nCCC 40 80 0.01\n"
    )
    study = changed(
        small,
        ('outcome = "disease"', 'outcome = "event"\ntime = "years"\nentry = "start"'),
        ("[evaluation.prevalence]\nAAA = 0.4\nBBB = 0.4\n", ("[evaluation]\nhorizons = [5, 10]\n"
         'choose_by = "ancestry"\n'
         '[evaluation.absolute_risk]\nincidence = "rates.txt"\n')),
    )  # fmt: skip
    run_study(study)
    (inputs,) = captured
    made = inputs.evaluation
    choice = json.loads((tmp_path / "results" / "scores" / "choices.json").read_text())["ct_AAA"]
    assert set(choice["chosen_in"]) == {"all", "AAA", "BBB"}
    assert list(inputs.ct_grid.columns) == ["score", "metric", "value", "chosen"]
    assert made.outcome_kind == "survival"
    main = made.accuracy.set_index(["score", "group"]).loc[("csx_combined", "all")]
    assert main["c_lower"] > 0.5
    assert set(made.calibration["horizon"]) == {5.0, 10.0}
    # distance from each GWAS's population, from components of its panel
    assert set(inputs.distance["origin"]) == {"AAA", "BBB"}
    assert set(inputs.distance["measure"]) >= {"c"}
    near = inputs.distance.query("bin != 'trend' and status == 'ok'")
    assert ((near["oe_lower"] < near["oe"]) & (near["oe"] < near["oe_upper"])).all()
    assert near["slope"].notna().all()
    placed = inputs.placement.set_index("group")
    assert placed.loc["AAA", "nearest"] == "AAA"
    assert placed.loc["AAA", "distance_AAA"] < placed.loc["AAA", "distance_BBB"]
    risks = inputs.age_risks.set_index("group")
    assert (risks.loc["AAA", "status"] == "ok").all()
    assert "no rates" in risks.loc["BBB", "status"]
    assert "normalised_groups" in inputs.uncertainty
    page = build_page(inputs)
    assert page.context["horizon"] == "5 (years since entry)"
    assert "hazard ratio" in page.context["age_effect"]


def test_one_person_in_words(
    tmp_path: Path, captured: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    from prs.cli import main

    small = make_small_study(tmp_path)
    with pytest.raises(SystemExit):
        main(["person", str(small.study), "T3"])
    assert "run the study first" in capsys.readouterr().err
    run_study(small.study)
    with pytest.raises(SystemExit) as stop:
        main(["person", str(small.study), "T3", "--loci", "3"])
    assert not stop.value.code
    said = capsys.readouterr().out.splitlines()
    people = pd.read_csv(small.folder / "results" / "uncertainty" / "people.tsv", sep="\t")
    row = people.set_index("IID").loc["T3"]
    assert said[0].startswith("csx_combined, T3: score ")
    assert f"percentile {100 * row['percentile']:.0f} within AAA" in said[0]
    assert "On one scale for all ancestries: percentile " in said[1]
    assert "Genetic distance from the GWAS populations: AAA " in said[2]
    assert ["chrom", "start", "end", "lead", "contribution"] in [line.split() for line in said]
    with pytest.raises(SystemExit):
        main(["person", str(small.study), "T999"])
    assert "no person 'T999'" in capsys.readouterr().err


def test_settings_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    small = make_small_study(tmp_path)
    text = small.study.read_text()
    for addition, words in (
        ("[evaluation]\nhorizons = [5]\n[evaluation.prevalence]", "without times"),
        ("[evaluation]\nrisk_thresholds = [20]\n[evaluation.prevalence]", "between 0 and 1"),
        ("[evaluation]\nn_folds = 1\n[evaluation.prevalence]", "n_folds"),
        ('[evaluation.absolute_risk]\nincidence = "x"\nages = [60, 50]\n[evaluation.prevalence]',
         "increasing ages"),
    ):  # fmt: skip
        small.study.write_text(text.replace("[evaluation.prevalence]", addition))
        with pytest.raises(StudyFileError, match=words):
            run_study(small.study)
    (tmp_path / "rates.txt").write_text("age_from age_to rate\n40 60 many\n")
    wanted = '[evaluation.absolute_risk]\nincidence = "rates.txt"\n[evaluation.prevalence]'
    small.study.write_text(text.replace("[evaluation.prevalence]", wanted))
    with pytest.raises(InvalidValueError, match="line 2, column 'rate'"):
        run_study(small.study)
