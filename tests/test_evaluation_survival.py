"""Time-to-event outcomes: Cox, concordance and risks against slow twins, and `evaluate`."""

from __future__ import annotations

import naive_evaluation as naive
import numpy as np
import pytest

from prs.errors import InvalidValueError, SettingsError
from prs.evaluation.cox import baseline_hazard, fit_cox, pseudo_risks, risk_by
from prs.evaluation.evaluate import evaluate
from prs.evaluation.survival import concordance, evaluate_survival
from prs.inputs.cohort import Cohort, read_cohort
from prs.inputs.cohort_columns import martingale_residuals
from prs.samples import SampleTable
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
