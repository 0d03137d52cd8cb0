"""`evaluate` as a whole: who is judged, what is refused, what each table says."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import pytest

from prs.errors import (
    AncestryDataError,
    InvalidValueError,
    OverlappingSamplesError,
    SampleMismatchError,
    SettingsError,
)
from prs.evaluation.evaluate import evaluate, write_tables
from prs.evaluation.tables import COLUMNS
from prs.samples import SampleTable

GROUPS = {"EUR": (700, 0.8), "EAS": (500, 0.5), "AFR": (450, 0.2), "ADM": (60, 0.5)}


@dataclass(frozen=True)
class MiniScores:
    samples: SampleTable
    values: np.ndarray
    names: tuple[str, ...]
    tuned_on: tuple[str, ...] = ()


@dataclass(frozen=True)
class MiniCohort:
    samples: SampleTable
    outcome: np.ndarray
    outcome_kind: str
    covariates: np.ndarray
    labels: dict
    split: np.ndarray | None
    outcome_name: str = "disease"
    covariate_names: tuple[str, ...] = field(default=("age", "sex"))


def make_study(kind="binary", *, split=True, seed=1):
    """Four groups; the score's share of the liability falls from EUR to AFR, its mean rises."""
    rng = np.random.default_rng(seed)
    group = np.repeat(list(GROUPS), [2 * n for n, _ in GROUPS.values()]).astype(object)
    weight = np.array([GROUPS[g][1] for g in group])
    n = len(group)
    covariates = np.column_stack([rng.normal(55, 8, n), rng.integers(0, 2, n)])
    genetic = rng.normal(size=n)
    liability = genetic + 0.05 * (covariates[:, 0] - 55) + rng.normal(size=n)
    outcome = (liability > 1.2).astype(float) if kind == "binary" else liability
    good = weight * genetic + rng.normal(size=n) + np.where(group == "AFR", 2.0, 0.0)
    scores = np.column_stack([good, good + 2.0 * rng.normal(size=n)])
    ids = np.array([f"p{i}" for i in range(n)], dtype=object)
    roles = np.where(np.arange(n) % 2 == 0, "tuning", "test").astype(object)
    shuffled = rng.permutation(n)
    return (
        MiniScores(SampleTable.from_ids(ids[shuffled]), scores[shuffled], ("good", "poor")),
        MiniCohort(
            SampleTable.from_ids(ids),
            outcome,
            kind,
            covariates,
            {"ancestry": group},
            roles if split else None,
        ),
    )


@pytest.fixture(scope="module")
def study():
    return make_study()


@pytest.fixture(scope="module")
def evaluation(study):
    return evaluate(
        *study, prevalence={"EUR": 0.2, "EAS": 0.2}, n_bootstrap=300, risk_thresholds=[0.2]
    )


def _row(table, **where):
    hit = table
    for column, value in where.items():
        hit = hit[hit[column] == value]
    assert len(hit) == 1, where
    return hit.iloc[0]


def test_every_table_has_its_columns_and_every_row_its_status(evaluation):
    frames = evaluation.to_frames()
    assert list(frames) == list(COLUMNS["binary"]) or set(frames) == set(COLUMNS["binary"])
    for name, frame in frames.items():
        assert tuple(frame.columns) == COLUMNS["binary"][name], name
        assert len(frame), name
        assert frame["n"].notna().all(), name
        assert frame["status"].str.match(r"ok$|insufficient data: ").all(), name
    assert evaluation.groups == ("EUR", "EAS", "AFR", "ADM")
    assert evaluation.reference_group == "EUR"


def test_only_test_people_are_judged(study, evaluation):
    people = _row(evaluation.people, group="EUR")
    assert (people["n"], people["n_tuning"]) == (700, 700)
    row = _row(evaluation.accuracy, score="good", group="EUR")
    assert row["n"] == 700
    # Outcomes of tuning people shuffled: figures of the test people alone do not move.
    scores, cohort = study
    outcome = cohort.outcome.copy()
    tuning = np.flatnonzero(cohort.split == "tuning")
    outcome[tuning] = np.random.default_rng(0).permutation(outcome[tuning])
    other = evaluate(scores, replace(cohort, outcome=outcome), n_bootstrap=100)
    again = _row(other.accuracy, score="good", group="EUR")
    assert again["auc"] == row["auc"]
    # The odds ratio is per SD of tuning controls, who have changed; per unit it is the same.
    per_unit = np.log(again["odds_ratio"]) / again["sd"]
    assert per_unit == pytest.approx(np.log(row["odds_ratio"]) / row["sd"])
    assert again["auc_full"] != row["auc_full"]


def test_what_is_known_of_the_simulation_is_found(evaluation):
    accuracy = evaluation.accuracy.set_index(["score", "group"])
    assert accuracy.loc[("good", "EUR"), "auc"] > accuracy.loc[("good", "AFR"), "auc"] + 0.05
    ratio = _row(evaluation.portability, score="good", group="AFR", measure="r2_nagelkerke")
    assert ratio["status"] == "ok"
    assert ratio["ratio_upper"] < 1.0
    versus = _row(evaluation.comparisons, score="poor", group="EUR", measure="auc")
    assert versus["versus"] == "good"
    assert versus["difference_upper"] < 0.0
    # AFR scores are 2 higher for no reason: the common model predicts too much there.
    before = _row(evaluation.calibration, score="good", group="AFR", model="uncorrected")
    after = _row(evaluation.calibration, score="good", group="AFR", model="recalibrated")
    assert before["oe_upper"] < 1.0
    assert after["oe_lower"] < 1.0 < after["oe_upper"]
    assert after["recalibration"] == "intercept + slope"
    assert after["n_fit"] == 450
    top = _row(evaluation.contrasts, score="good", group="EUR", contrast="top vs bottom")
    assert top["risk_ratio_lower"] > 1.5
    shift = _row(evaluation.distribution, score="good", group="AFR", part="all")
    assert shift["z_mean"] > 1.0


def test_liability_r2_only_where_prevalence_is_given(evaluation):
    accuracy = evaluation.accuracy.set_index(["score", "group"])["r2_liability"]
    assert accuracy.loc[("good", "EUR")] > 0.0
    assert np.isnan(accuracy.loc[("good", "AFR")])
    assert np.isnan(accuracy.loc[("good", "all")])


def test_small_group_is_insufficient_with_counts_and_without_figures(evaluation):
    row = _row(evaluation.accuracy, score="good", group="ADM")
    assert row["status"].startswith("insufficient data: ")
    assert (row["n"], row["n_events"]) == (60, row["n_events"])
    assert np.isnan([row["auc"], row["r2_nagelkerke"], row["odds_ratio"]]).all()
    for name in ("calibration", "calibration_curve", "deciles", "contrasts", "portability"):
        table = getattr(evaluation, name)
        assert (table.loc[table["group"] == "ADM", "status"] != "ok").all(), name


def test_a_group_without_cases_is_said_to_have_none(study):
    scores, cohort = study
    outcome = np.where(cohort.labels["ancestry"] == "EAS", 0.0, cohort.outcome)
    made = evaluate(scores, replace(cohort, outcome=outcome), n_bootstrap=100)
    row = _row(made.accuracy, score="good", group="EAS")
    assert row["status"] == "insufficient data: no cases (floor 20)"
    kept = _row(made.calibration, score="good", group="EAS", model="recalibrated")
    assert kept["recalibration"] == "none"
    assert _row(made.accuracy, score="good", group="EUR")["status"] == "ok"


def test_without_split_everybody_is_judged_by_cross_fitting():
    made = evaluate(*make_study(split=False), n_bootstrap=100)
    row = _row(made.calibration, score="good", group="EUR", model="recalibrated")
    assert row["n"] == 1400
    assert row["fitted_on"] == "5-fold cross-fitting"
    assert any("cross-fitted" in note for note in made.notes)


@pytest.mark.parametrize("split", [True, False])
def test_quantitative_outcome(split):
    made = evaluate(*make_study("quantitative", split=split), n_bootstrap=200)
    for name, frame in made.to_frames().items():
        assert tuple(frame.columns) == COLUMNS["quantitative"][name], name
    row = _row(made.accuracy, score="good", group="EUR")
    assert row["r2_incremental"] == pytest.approx(row["r2_full"] - row["r2_covariates"])
    assert row["r2_incremental_lower"] < row["r2_incremental"] < row["r2_incremental_upper"]
    assert row["n_events"] is pd.NA
    # Slope per SD of the score: truth in EUR is cov / var x SD = 0.8 / sqrt(1.64) = 0.62; to
    # within 3.5 standard errors, a quarter of the 95 per cent interval's width each.
    se = (row["slope_upper"] - row["slope_lower"]) / 4
    assert row["slope"] == pytest.approx(0.8 / np.sqrt(1.64), abs=3.5 * se)
    assert _row(made.contrasts, score="good", group="EUR", contrast="top vs bottom")["z"] > 3


def test_same_seed_same_figures(study, evaluation):
    again = evaluate(
        *study, prevalence={"EUR": 0.2, "EAS": 0.2}, n_bootstrap=300, risk_thresholds=[0.2]
    )
    for name, frame in evaluation.to_frames().items():
        pd.testing.assert_frame_equal(frame, again.to_frames()[name])
    other = evaluate(*study, n_bootstrap=300, seed=1)
    assert not other.accuracy["r2_observed_lower"].equals(evaluation.accuracy["r2_observed_lower"])


def test_everybody_is_accounted_for(study):
    scores, cohort = study
    outcome = cohort.outcome.copy()
    outcome[:5] = np.nan
    covariates = cohort.covariates.copy()
    covariates[3:8, 0] = np.nan
    split = cohort.split.copy()
    split[20:23] = None
    label = cohort.labels["ancestry"].copy()
    label[30:32] = None
    keep = np.flatnonzero(scores.samples.iid != "p10")
    fewer = MiniScores(scores.samples.take(keep), scores.values[keep], scores.names)
    changed = replace(
        cohort, outcome=outcome, covariates=covariates, split=split, labels={"ancestry": label}
    )
    people = evaluate(fewer, changed, n_bootstrap=100).people.set_index("group")
    everybody = people.loc["all"]
    assert everybody["n_without_outcome"] == 5
    assert everybody["n_without_covariates"] == 3
    assert everybody["n_without_score"] == 1
    assert everybody["n_without_split"] == 3
    parts = [c for c in people.columns if c.startswith("n_without")] + ["n_tuning", "n"]
    assert (people[parts].sum(axis=1) == people["n_cohort"]).all()
    assert (people.drop("all")[parts].sum() == everybody[parts]).all()
    assert people.loc["unlabelled", "n_cohort"] == 2


def test_case_control_needs_prevalence_and_weights_risks(study):
    made = evaluate(*study, prevalence={"EUR": 0.01}, case_control=True, n_bootstrap=100)
    eur = made.deciles[(made.deciles["score"] == "good") & (made.deciles["group"] == "EUR")]
    assert eur["case_control"].all()
    # Risks by decile average to the prevalence, weighted deciles holding a tenth of it each;
    # a decile of weighted people is off by at most one person's weight, a few per cent.
    assert eur["risk"].mean() == pytest.approx(0.01, rel=0.1)
    eas = made.deciles[made.deciles["group"] == "EAS"]
    assert eas["status"].str.contains("no prevalence given").all()
    # Said to be a plain sample, at odds with the prevalence given: a note.
    plain = evaluate(*study, prevalence={"EUR": 0.01}, n_bootstrap=100)
    assert any("sampled by case status" in note for note in plain.notes)


@pytest.mark.parametrize("cutpoints", ["all", "controls", "AFR"])
def test_cut_points_are_recorded(study, cutpoints):
    made = evaluate(*study, cutpoints=cutpoints, score="good", n_bootstrap=100)
    words = {"all": "everybody judged", "controls": "controls of EUR", "AFR": "AFR"}[cutpoints]
    eur = made.deciles[made.deciles["group"] == "EUR"]
    assert (eur["cutpoints"] == words).all()
    assert eur["n"].sum() == 700
    if cutpoints == "AFR":
        # Scores of AFR are higher: few of EUR reach its top.
        assert eur["n"].iloc[-1] < 35


def test_pooled_only_and_reference_settings(study):
    made = evaluate(*study, by=None, n_bootstrap=100)
    assert set(made.accuracy["group"]) == {"all"}
    assert len(made.portability) == 0
    assert set(made.calibration["model"]) == {"uncorrected"}
    made = evaluate(
        *study, reference_group="AFR", sd_of="reference", train_on="EUR", n_bootstrap=100
    )
    assert set(made.portability["reference_group"]) == {"AFR"}
    assert (made.accuracy["sd_of"] == "controls of AFR, tuning").all()
    assert made.calibration["fitted_on"].str.endswith("EUR only").all()


def test_separating_covariate_is_not_a_crash(study):
    scores, cohort = study
    covariates = np.column_stack([cohort.covariates[:, 0], 10.0 * cohort.outcome])
    made = evaluate(scores, replace(cohort, covariates=covariates), n_bootstrap=100)
    assert made.accuracy["status"].str.startswith("insufficient data").all()
    assert any("separates" in note for note in made.notes)


def test_constant_score_is_not_a_crash(study):
    scores, cohort = study
    values = scores.values.copy()
    values[:, 1] = 0.25
    made = evaluate(replace(scores, values=values), cohort, n_bootstrap=100)
    assert "does not vary" in _row(made.accuracy, score="poor", group="EUR")["status"]
    assert _row(made.accuracy, score="good", group="EUR")["status"] == "ok"
    assert (made.comparisons["status"] != "ok").all()


def test_refusals(study):
    scores, cohort = study
    judged = cohort.samples.iid[cohort.split == "test"]
    with pytest.raises(OverlappingSamplesError, match="3 of the"):
        evaluate(replace(scores, tuned_on=tuple(judged[:3])), cohort)
    # Tuned on the tuning people: as it should be.
    tuned = tuple(cohort.samples.iid[cohort.split == "tuning"])
    evaluate(replace(scores, tuned_on=tuned), cohort, score="good", n_bootstrap=100)
    with pytest.raises(AncestryDataError, match="no cases"):
        evaluate(scores, replace(cohort, outcome=np.zeros(len(cohort.outcome))))
    with pytest.raises(AncestryDataError, match="nobody is left to judge"):
        evaluate(scores, replace(cohort, split=np.full(len(cohort.outcome), "tuning", object)))
    with pytest.raises(InvalidValueError, match="values other than 0 and 1"):
        evaluate(scores, replace(cohort, outcome=cohort.outcome + 1.0))
    with pytest.raises(InvalidValueError, match="split other than"):
        evaluate(scores, replace(cohort, split=np.full(len(cohort.outcome), "train", object)))
    strangers = SampleTable.from_ids([f"q{i}" for i in range(len(cohort.outcome))])
    with pytest.raises(SampleMismatchError):
        evaluate(replace(scores, samples=strangers), cohort)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"by": "continent"}, "no label 'continent'"),
        ({"score": "best"}, "no score column 'best'"),
        ({"prevalence": 5.0}, "prevalence of EUR is 5"),
        ({"prevalence": {"EUROPE": 0.1}}, "'EUROPE'"),
        ({"reference_group": "SAS"}, "'SAS'"),
        ({"train_on": "SAS"}, "'SAS'"),
        ({"compare_to": "best"}, "'best'"),
        ({"cutpoints": "SAS"}, "cutpoints is 'SAS'"),
        ({"n_bins": 2}, "n_bins is 2"),
        ({"confidence": 95}, "confidence is 95"),
        ({"recalibrate": "loess"}, "recalibrate is 'loess'"),
        ({"sd_of": "cases"}, "sd_of is 'cases'"),
        ({"min_events": 0}, "min_events is 0"),
    ],
)
def test_settings_that_make_no_sense(study, arguments, words):
    with pytest.raises(SettingsError, match=words):
        evaluate(*study, **arguments)


def test_tables_are_written_and_read_back(evaluation, tmp_path):
    paths = write_tables(evaluation, tmp_path / "out" / "X")
    names = [p.name for p in paths]
    assert names[:4] == ["X.accuracy.tsv", "X.calibration.tsv", "X.deciles.tsv", "X.contrasts.tsv"]
    back = pd.read_csv(paths[0], sep="\t")
    assert back["auc"].to_numpy() == pytest.approx(
        evaluation.accuracy["auc"].to_numpy(), rel=1e-5, nan_ok=True
    )
    assert list(back["status"]) == list(evaluation.accuracy["status"])
    assert not list(tmp_path.glob("out/.*"))


def test_summaries(evaluation):
    text = str(evaluation)
    assert "good" in text
    assert "insufficient data" in text
    assert "<table" in evaluation._repr_html_()
    assert "2 score(s)" in repr(evaluation)
