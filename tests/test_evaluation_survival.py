"""Time-to-event outcomes: Cox, concordance and risks against slow twins, and `evaluate`."""

from __future__ import annotations

from pathlib import Path

import naive_evaluation as naive
import numpy as np
import pytest

from prs.errors import InvalidValueError, SettingsError
from prs.evaluation.evaluate import evaluate
from prs.evaluation.survival import evaluate_survival, harrell_c, hazard_ratio, risk_by
from prs.inputs.cohort import Cohort, read_cohort
from prs.samples import SampleTable
from prs.survival.concordance import concordance
from prs.survival.cox import baseline_hazard, fit_cox
from prs.survival.kaplan_meier import martingale_residuals, pseudo_risks, risk_and_variance
from prs.weights.best import select_best
from prs.weights.combine import combine
from prs.weights.score_table import Scores


def followed(n: int, seed: int, ties: bool = True) -> tuple[np.ndarray, ...]:
    """Draw two covariates, times (in tenths: many ties) and events."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    came = rng.exponential(10 / np.exp(x @ [0.6, -0.3]))
    left = rng.uniform(1, 20, n)
    time = np.minimum(came, left)
    return x, np.round(time, 1) if ties else time, (came <= left).astype(float)


def test_cox_is_that_of_statsmodels_and_its_influence_the_jackknife() -> None:
    from statsmodels.duration.hazard_regression import PHReg

    x, time, event = followed(300, 1)
    ours = fit_cox(x, time, event)
    theirs = PHReg(time, x, status=event, ties="breslow").fit(disp=False)
    np.testing.assert_allclose(ours.coef, theirs.params, rtol=1e-8)
    np.testing.assert_allclose(ours.se, theirs.bse, rtol=1e-7)
    offset = 0.3 * x[:, 1]
    moved = fit_cox(x[:, :1], time, event, offset=offset).coef[0]
    assert PHReg(time, x[:, :1], status=event, offset=offset, ties="breslow").fit(
        disp=False
    ).params[0] == pytest.approx(moved, rel=1e-7)
    # leaving one person out moves the fit by that person's influence, to order 1 / n of it
    rest = np.arange(300) != 7
    left_out = ours.coef - fit_cox(x[rest], time[rest], event[rest]).coef
    np.testing.assert_allclose(ours.influence[7], left_out, atol=0.1 * np.abs(left_out).max())
    linear = x @ ours.coef
    np.testing.assert_allclose(
        baseline_hazard(linear, time, event, time),
        naive.at_risk_sums(time, event, np.exp(linear)),
        rtol=1e-12,
    )


def test_a_fit_that_runs_away_is_no_fit() -> None:
    time, event = np.arange(1.0, 21.0), np.r_[np.ones(10), np.zeros(10)]
    assert not fit_cox(-time[:, None], time, event).converged
    assert not fit_cox(time[:, None], time, np.zeros(20)).converged


def test_concordance_counts_every_pair() -> None:
    for seed in range(5):
        x, time, event = followed(60, seed)
        time = np.round(time)  # a third of the pairs are tied
        risk = np.round(x[:, 0], 1)
        won, number = naive.concordance_pairs(time, event == 1, risk)
        c, influence = concordance(time, event, risk)
        assert c == pytest.approx(won.sum() / number.sum(), rel=1e-14)
        np.testing.assert_allclose(influence, 2 * (won - c * number) / number.sum(), atol=1e-15)


def test_risks_and_pseudo_values() -> None:
    _, time, event = followed(150, 2)
    for horizon in (3.0, 8.0):
        risk = risk_by(time, event, horizon)
        assert risk.value == pytest.approx(naive.risk_by(time, event, horizon), rel=1e-13)
        pseudo = pseudo_risks(time, event, horizon)
        assert pseudo.mean() == pytest.approx(risk.value, abs=1e-12)
        for i in range(0, 150, 17):
            rest = np.arange(150) != i
            left_out = 150 * risk.value - 149 * risk_by(time[rest], event[rest], horizon).value
            # the infinitesimal jackknife against the jackknife: they differ by order 1 / n
            assert pseudo[i] == pytest.approx(left_out, abs=3 / 150)
    # nobody censored: pseudo-values are the outcomes
    np.testing.assert_allclose(
        pseudo_risks(time, np.ones(150), 5.0), (time <= 5.0).astype(float), atol=1e-12
    )
    assert np.isnan(risk_by(time, event, 50.0).value)


def late(n: int, seed: int, ties: bool = True) -> tuple[np.ndarray, ...]:
    """Draw people who come under observation at some age, and are there until an event or not."""
    x, time, event = followed(n, seed, ties)
    entry = np.random.default_rng(100 + seed).uniform(0, 9, n)
    entry = np.round(entry, 1) if ties else entry
    seen = entry < time
    return x[seen], time[seen], event[seen], entry[seen]


def test_late_entry_in_cox_is_that_of_statsmodels_and_of_slow_sums() -> None:
    from statsmodels.duration.hazard_regression import PHReg

    x, time, event, entry = late(400, 1, ties=False)  # it counts ties of entry and event otherwise
    ours = fit_cox(x, time, event, entry=entry)
    theirs = PHReg(time, x, status=event, entry=entry, ties="breslow").fit(disp=False)
    np.testing.assert_allclose(ours.coef, theirs.params, rtol=1e-8)
    np.testing.assert_allclose(ours.se, theirs.bse, rtol=1e-7)
    assert ours.log_likelihood == pytest.approx(theirs.llf, rel=1e-10)
    linear = x @ ours.coef
    np.testing.assert_allclose(
        baseline_hazard(linear, time, event, time, entry=entry),
        naive.at_risk_sums(time, event, np.exp(linear), entry),
        rtol=1e-12,
    )
    rest = np.arange(len(time)) != 7
    left_out = ours.coef - fit_cox(x[rest], time[rest], event[rest], entry=entry[rest]).coef
    np.testing.assert_allclose(ours.influence[7], left_out, atol=0.1 * np.abs(left_out).max())
    residual = martingale_residuals(time, event, entry)
    assert residual.sum() == pytest.approx(0.0, abs=1e-10)  # all events are expected somewhere


def test_everybody_there_from_the_start_is_no_late_entry() -> None:
    x, time, event = followed(200, 3)
    early = np.full(200, -1.0)
    plain, same = fit_cox(x, time, event), fit_cox(x, time, event, entry=early)
    np.testing.assert_array_equal(plain.coef, same.coef)
    np.testing.assert_array_equal(plain.influence, same.influence)
    for risk in (x[:, 0], np.round(x[:, 1])):
        one, other = concordance(time, event, risk), concordance(time, event, risk, entry=early)
        assert one[0] == other[0]
        np.testing.assert_array_equal(one[1], other[1])
    assert risk_and_variance(time, event, 5.0) == risk_and_variance(time, event, 5.0, entry=early)


def test_late_entry_in_concordance_and_kaplan_meier() -> None:
    for seed in range(5):
        x, time, event, entry = late(80, seed)
        time, entry = np.ceil(time), np.floor(entry)  # many ties, of entries with events too
        risk = np.round(x[:, 0], 1)
        won, number = naive.concordance_pairs(time, event == 1, risk, entry)
        c, influence = concordance(time, event, risk, entry=entry)
        assert c == pytest.approx(won.sum() / number.sum(), rel=1e-14)
        np.testing.assert_allclose(influence, 2 * (won - c * number) / number.sum(), atol=1e-15)
        for start in (-np.inf, 2.0):
            ours = risk_by(time, event, 8.0, entry=entry, start=start).value
            assert ours == pytest.approx(naive.risk_by(time, event, 8.0, entry, start), rel=1e-13)


def test_left_truncation_is_seen_through() -> None:
    """An exponential time from 0 on, seen only by those who outlive their entry.

    Hazard 0.2 exp(b x): closed forms. Without entries, Kaplan-Meier takes survivors for people
    whose early years were safe, and the hazard ratio shrinks, as the frail do not get there.
    """
    rng = np.random.default_rng(11)
    n, b = 40_000, 0.7
    x = rng.integers(0, 2, n).astype(float)
    came, entry = rng.exponential(1 / (0.2 * np.exp(b * x))), rng.uniform(0, 10, n)
    left = entry + rng.uniform(0, 10, n)
    seen = entry < came
    x, came, entry, left = x[seen], came[seen], entry[seen], left[seen]
    time, event = np.minimum(came, left), (came <= left).astype(float)
    fit = fit_cox(x[:, None], time, event, entry=entry)
    assert abs(fit.coef[0] - b) < 4 * fit.se[0]
    low = x == 0
    risk = risk_by(time[low], event[low], 8.0, entry=entry[low], start=1.0)
    truth = 1 - np.exp(-0.2 * 7.0)
    assert abs(risk.value - truth) < 4 * (risk.upper - risk.lower) / 3.92
    naively = risk_by(time[low], event[low], 8.0)
    assert naively.upper < truth
    # pairs of one at risk from each group: the hazards' odds are e^b, whatever the age. C counts
    # ties of x as half, and those are a share that the slow count gives
    c = harrell_c(time, event, x, entry=entry)
    few = rng.choice(len(x), 1500, replace=False)
    won, number = naive.concordance_pairs(time[few], event[few] == 1, x[few], entry[few])
    assert abs(c.value - won.sum() / number.sum()) < 0.02
    ratio, _ = hazard_ratio(time, event, x, entry=entry)
    assert ratio.value == pytest.approx(np.exp(fit.coef[0]))


def survivors(
    n: int, seed: int, split: bool = True, shift: float = 0.0
) -> tuple[Scores, Cohort, np.ndarray]:
    """Draw people of two ancestries; the score's log hazard ratio is 0.5, in AFR 0.25."""
    rng = np.random.default_rng(seed)
    group = np.where(rng.random(n) < 0.6, "EUR", "AFR").astype(object)
    group[:20] = "ADM"
    score, age = rng.normal(size=n), rng.normal(size=n)
    effect = np.where(group == "EUR", 0.5, 0.25)
    rate = 0.04 * np.exp(effect * score + 0.3 * age + np.where(group == "AFR", shift, 0.0))
    came, left = rng.exponential(1 / rate), rng.uniform(2, 12, n)
    people = SampleTable.from_ids([f"p{i}" for i in range(n)])
    parts = np.where(np.arange(n) % 2, "test", "tuning").astype(object) if split else None
    cohort = Cohort(
        people, (came <= left).astype(float), "disease", "survival", age[:, None], ("age",),
        {"ancestry": group}, parts, {}, "", (), np.minimum(came, left), "years",
    )  # fmt: skip
    noise = rng.normal(size=n)
    ones = np.ones(2, np.int64)
    scores = Scores(
        people, np.column_stack([noise, score]), ("noise", "score"), ones, 0 * ones, np.zeros(n)
    )
    truth = 1 - np.exp(-5.0 * rate)
    return scores, cohort, truth


@pytest.mark.parametrize("split", [True, False])
def test_evaluate_judges_time_to_event(split: bool) -> None:
    scores, cohort, truth = survivors(6000, 3, split=split, shift=0.4)
    made = evaluate(scores, cohort, horizons=[5.0, 8.0], n_bootstrap=300)
    row = made.accuracy.set_index(["score", "group"]).loc[("score", "EUR")]
    # the truth, and within four of its standard errors
    se = np.log(row["hazard_ratio_upper"] / row["hazard_ratio"]) / 1.96
    assert abs(np.log(row["hazard_ratio"]) - 0.5 * row["sd"]) < 4 * se
    assert row["c_gain_lower"] > 0
    assert row["c_full"] > row["c_covariates"] > 0.5
    assert row["r2_explained"] == pytest.approx(
        np.log(row["hazard_ratio"]) ** 2 / (np.pi**2 / 6 + np.log(row["hazard_ratio"]) ** 2)
    )
    adm = made.accuracy.set_index(["score", "group"]).loc[("score", "ADM")]
    assert adm["status"].startswith("insufficient data: ")
    assert np.isnan(adm["c"])

    calibration = made.calibration.set_index(["score", "group", "model", "horizon"])
    one, own = (calibration.loc[("score", "AFR", m, 5.0)] for m in ("uncorrected", "recalibrated"))
    assert one["oe_lower"] > 1.0  # the hazard there is higher than one model for all says
    assert own["oe_lower"] < 1.0 < own["oe_upper"]
    assert own["slope_lower"] < 1.0 < own["slope_upper"]
    judged = cohort.labels["ancestry"] == "AFR"
    if split:
        judged &= cohort.split == "test"
    width = (own["oe_upper"] - own["oe_lower"]) / 3.92 * own["predicted"]
    assert abs(own["observed"] - truth[judged].mean()) < 4 * width
    assert calibration.loc[("score", "ADM", "uncorrected", 5.0)]["status"].startswith("insuff")

    deciles = made.deciles.query("score == 'score' and group == 'EUR'")
    assert deciles["risk"].iloc[-1] > 2 * deciles["risk"].iloc[0]
    contrasts = made.contrasts.set_index(["score", "group", "contrast"])
    top = contrasts.loc[("score", "EUR", "top vs bottom")]
    assert top["hazard_ratio_lower"] > 1
    assert top["risk_ratio_lower"] > 1
    ratio = made.portability.query("score == 'score' and group == 'AFR'").set_index("measure")
    assert ratio.loc["r2_explained", "ratio_upper"] < 1
    compared = made.comparisons.query("group == 'EUR' and measure == 'c'").iloc[0]
    assert compared["difference_lower"] > 0
    assert "HR per SD" in made.summary()
    assert "8" in str(made.settings["horizons"])
    curve = made.calibration_curve.query("score == 'score' and group == 'EUR'")
    assert curve["observed"].between(0, 1).all()


def test_tuning_people_choose_by_time_to_event() -> None:
    scores, cohort, _ = survivors(4000, 4)
    assert select_best(scores, cohort).columns == ("score",)
    fit = combine(scores, cohort, by="ancestry")
    assert set(fit.groups) == {"all", "EUR", "AFR"}
    noise, score = fit.coefficients[0]
    assert score > 10 * abs(noise)
    # the residuals' slope is the score test's numerator: no effect, no slope
    residual = martingale_residuals(cohort.time, cohort.outcome)
    assert residual.sum() == pytest.approx(0.0, abs=1e-9)


def test_times_are_read_and_refused(tmp_path) -> None:
    path = tmp_path / "c.tsv"
    path.write_text(
        "IID\tancestry\tevent\tyears\na\tEUR\t1\t2.5\nb\tEUR\t0\t3\nc\tEUR\t1\tNA\nd\tEUR\t0\t1\n"
    )
    cohort = read_cohort(path, outcome="event", time="years")
    assert cohort.outcome_kind == "survival"
    assert cohort.n_dropped == {"missing years": 1}
    assert cohort.time.tolist() == [2.5, 3.0, 1.0]
    assert cohort.take([1]).time.tolist() == [3.0]
    with pytest.raises(SettingsError, match="no time"):
        read_cohort(path, outcome="event", kind="survival")
    with pytest.raises(SettingsError, match="binary"):
        read_cohort(path, outcome="event", kind="binary", time="years")
    path.write_text("IID\tancestry\tevent\tyears\na\tEUR\t1\t-2.5\nb\tEUR\t0\t3\n")
    with pytest.raises(InvalidValueError, match="negative"):
        read_cohort(path, outcome="event", time="years")
    scores, people, _ = survivors(400, 5)
    with pytest.raises(SettingsError, match="not within the follow-up"):
        evaluate(scores, people, horizons=[40.0])
    table = evaluate_survival(scores.values, people.time, people.outcome, names=["a", "b"])
    assert table.iloc[-1]["group"] == "all"


@pytest.mark.parametrize("split", [True, False])
def test_evaluate_on_the_scale_of_age(split: bool) -> None:
    """A Gompertz hazard of age times exp(0.5 score), in people who enter between 40 and 70."""
    rng = np.random.default_rng(8)
    n, b, a0, slope = 12_000, 0.5, 0.0015, 0.08
    score, entry = rng.normal(size=n), rng.uniform(40, 70, n)

    def hazard(low: np.ndarray, high: np.ndarray) -> np.ndarray:
        return (
            a0
            / slope
            * (np.exp(slope * (high - 40)) - np.exp(slope * (low - 40)))
            * np.exp(b * score)
        )

    # without the event at 40, and from there on: who has it before entry is not seen
    drawn = rng.exponential(1.0, n)
    came = 40 + np.log1p(drawn * slope / (a0 * np.exp(b * score))) / slope
    left = entry + rng.uniform(3, 12, n)
    five = -np.expm1(-hazard(entry, entry + 5))
    seen = came > entry
    people = SampleTable.from_ids([f"p{i}" for i in range(n)]).take(seen)
    time = np.minimum(came, left)[seen]
    part = np.where(np.arange(n) % 2, "test", "tuning").astype(object)[seen]
    cohort = Cohort(
        people, (came <= left)[seen].astype(float), "disease", "survival",
        np.empty((len(people), 0)), (), {"ancestry": np.full(len(people), "EUR", object)},
        part if split else None, {}, "", (), time, "age", entry[seen],
    )  # fmt: skip
    one = np.ones(1, np.int64)
    scores = Scores(people, score[seen, None], ("score",), one, 0 * one, np.zeros(len(people)))
    made = evaluate(scores, cohort, by="ancestry", horizons=[5.0], n_bootstrap=100)
    judged = part == "test" if split else np.ones(len(people), bool)
    row = made.accuracy.set_index("group").loc["EUR"]
    se = np.log(row["hazard_ratio_upper"] / row["hazard_ratio"]) / 1.96
    assert abs(np.log(row["hazard_ratio"]) - b * row["sd"]) < 4 * se
    assert row["follow_up"] == pytest.approx(np.median((time - entry[seen])[judged]))
    cell = made.calibration.query("group == 'EUR' and model == 'uncorrected'").iloc[0]
    truth = five[seen][judged].mean()
    width = (cell["oe_upper"] - cell["oe_lower"]) / 3.92 * cell["predicted"]
    # the prediction's own error is that of a baseline from as many people
    assert abs(cell["observed"] - truth) < 4 * width
    assert abs(cell["predicted"] - truth) < 4 * width
    assert cell["slope_lower"] < 1.0 < cell["slope_upper"]
    bins = made.calibration_bins.query("group == 'EUR' and model == 'uncorrected'")
    assert bins["predicted"].iloc[-1] > 5 * bins["predicted"].iloc[0]  # age counts, too
    assert ((bins["lower"] < bins["predicted"]) & (bins["predicted"] < bins["upper"])).sum() >= 7


def test_late_entry_is_read_from_a_column(tmp_path: Path) -> None:
    path = tmp_path / "people.tsv"
    path.write_text(
        "IID event age age_in\na 1 60 50\nb 0 70.5 61\nc 1 55 NA\nd 0 66 40\n", encoding="utf-8"
    )
    cohort = read_cohort(path, outcome="event", time="age", entry="age_in", labels=())
    assert list(cohort.entry) == [50.0, 61.0, 40.0]
    assert cohort.n_dropped == {"missing age_in": 1}
    assert list(cohort.take([2]).entry) == [40.0]
    assert "age_in: entry" in " ".join(cohort.notes)
    # at 60 the one who enters at 61 is not at risk: two are
    residual = martingale_residuals(cohort.time, cohort.outcome, cohort.entry)
    np.testing.assert_allclose(cohort.linear_target, residual)
    np.testing.assert_allclose(residual, [1 - 1 / 2, 0.0, -1 / 2])
    with pytest.raises(SettingsError, match="without time"):
        read_cohort(path, outcome="event", kind="binary", entry="age_in", labels=())
    path.write_text("IID event age age_in\na 1 60 60\nb 0 70.5 61\n", encoding="utf-8")
    with pytest.raises(InvalidValueError, match="enter at their time") as caught:
        read_cohort(path, outcome="event", time="age", entry="age_in", labels=())
    assert caught.value.line == 2
