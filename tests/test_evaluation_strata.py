"""Deciles, contrasts and trend: hand examples, statsmodels, weights, floors and zero cells."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from prs.evaluation.floors import Floors
from prs.evaluation.strata import (
    cochran_armitage,
    contrast_rows,
    cut_points,
    decile_rows,
    stratify,
    weighted_quantile,
)

# 1,000 people in order of their score; decile d (from 0) has 5 d + 4 events, 27 in the middle two
# on average: 4, 9, ..., 49 of 100.
SCORE = np.arange(1000.0)
EVENTS = 5 * np.arange(10) + 4
OUTCOME = np.concatenate([np.repeat([1.0, 0.0], [e, 100 - e]) for e in EVENTS])


def _strata(outcome=OUTCOME, weights=None, kind="binary"):
    return stratify(kind, outcome, SCORE, cut_points(SCORE, 10, "test"), weights)


def test_decile_risks_and_ratios_by_hand():
    rows = decile_rows(_strata(), Floors())
    assert [r["n"] for r in rows] == [100] * 10
    assert [r["n_events"] for r in rows] == EVENTS.tolist()
    assert [r["risk"] for r in rows] == pytest.approx(EVENTS / 100)
    top = rows[-1]
    assert top["risk_ratio_vs_bottom"] == pytest.approx(49 / 4)
    assert top["odds_ratio_vs_bottom"] == pytest.approx((49 / 51) / (4 / 96))
    # Middle: deciles 5 and 6 have 24 + 29 of 200.
    assert top["risk_ratio_vs_middle"] == pytest.approx(0.49 / (53 / 200))
    half = 1.959963984540054 * np.sqrt(1 / 49 - 1 / 100 + 1 / 53 - 1 / 200)
    assert np.log(top["risk_ratio_vs_middle_upper"]) == pytest.approx(
        np.log(0.49 / (53 / 200)) + half
    )
    # A decile inside its own reference has no interval.
    assert rows[4]["risk_ratio_vs_middle"] == pytest.approx(0.24 / (53 / 200))
    assert np.isnan(rows[4]["risk_ratio_vs_middle_upper"])
    assert rows[0]["risk_ratio_vs_bottom"] == 1.0
    assert np.isnan(rows[0]["risk_ratio_vs_bottom_lower"])


def test_contrasts_by_hand_and_by_statsmodels():
    from statsmodels.stats.proportion import confint_proportions_2indep

    rows = {r["contrast"]: r for r in contrast_rows(_strata(), Floors())}
    assert list(rows) == ["top vs bottom", "top vs middle", "top vs rest", "trend"]
    rest = rows["top vs rest"]
    assert (rest["n_events_reference"], rest["n_reference"]) == (EVENTS[:-1].sum(), 900)
    row = rows["top vs bottom"]
    low, high = confint_proportions_2indep(49, 100, 4, 100, compare="diff", method="newcomb")
    assert (row["risk_difference_lower"], row["risk_difference_upper"]) == pytest.approx(
        (low, high)
    )
    se = np.sqrt(1 / 49 - 1 / 100 + 1 / 4 - 1 / 100)
    assert row["z"] == pytest.approx(np.log(49 / 4) / se)


def test_trend_equals_a_correlation():
    # z^2 = N r^2 with r the correlation of stratum and outcome (Agresti, section 3.4).
    decile = np.repeat(np.arange(10.0), 100)
    z, p = cochran_armitage(EVENTS.astype(float), np.full(10, 100.0))
    r = np.corrcoef(decile, OUTCOME)[0, 1]
    assert z == pytest.approx(r * np.sqrt(1000), rel=1e-12)
    assert p == pytest.approx(2 * stats.norm.sf(abs(z)), rel=1e-9)
    assert np.isnan(cochran_armitage(np.zeros(3), np.ones(3))[0])


def test_zero_cell_is_stated_and_the_risks_still_given():
    outcome = OUTCOME.copy()
    outcome[:100] = 0.0
    row = contrast_rows(_strata(outcome), Floors())[0]
    assert row["status"] == "insufficient data: zero cell, no events in the bottom of the score"
    assert "risk_ratio" not in row
    assert (row["risk_top"], row["risk_reference"]) == (0.49, 0.0)
    assert row["risk_difference_lower"] > 0.3
    first, *_, last = decile_rows(_strata(outcome), Floors())
    assert first["risk"] == 0.0
    assert first["risk_upper"] > 0.0
    assert "zero cell" in last["status"]
    assert "risk_ratio_vs_bottom" not in last
    assert last["risk_ratio_vs_middle"] > 1.0


def test_floor_looks_at_expected_events():
    # 9 events at the top and none elsewhere: 4.5 would be expected in each of two equal arms.
    outcome = np.zeros(1000)
    outcome[-9:] = 1.0
    row = contrast_rows(_strata(outcome), Floors())[0]
    assert row["status"].startswith("insufficient data: events: 9 in the top decile and 0 in")
    # 9 and 1: 5 expected in each.
    outcome[0] = 1.0
    assert contrast_rows(_strata(outcome), Floors())[0]["status"] == "ok"


def test_case_control_weights_give_the_populations_risks():
    """Sampling a fifth of the controls and weighting gives the full cohort's table back."""
    rng = np.random.default_rng(0)
    n, k = 400_000, 0.1
    score = rng.normal(size=n)
    y = (0.5 * score + rng.normal(size=n) > np.sqrt(1.25) * stats.norm.isf(k)).astype(float)
    keep = (y == 1) | (rng.random(n) < 0.2)
    p, k = y[keep].mean(), y.mean()
    weights = (k / p, (1 - k) / (1 - p))
    person = np.where(y[keep] == 1, *weights)
    cuts = cut_points(score[keep], 10, "sample", person)
    # se of a decile cut of 100,000 or so people: sqrt(0.1 x 0.9 / 1e5) / density 0.18 = 0.005.
    assert cuts.deciles == pytest.approx(np.quantile(score, np.arange(1, 10) / 10), abs=0.025)
    whole = decile_rows(stratify("binary", y, score, cut_points(score, 10, "all")), Floors())
    part = decile_rows(stratify("binary", y[keep], score[keep], cuts, weights), Floors())
    for a, b in zip(whole, part, strict=True):
        # About 10,000 controls of a decile are sampled and 1,000 cases or more: the odds have a
        # relative standard error of sqrt(1/1000 + 1/10000) = 3.3 per cent; cuts add as much.
        assert b["risk"] == pytest.approx(a["risk"], rel=0.10)
        assert b["odds_ratio_vs_middle"] == pytest.approx(a["odds_ratio_vs_middle"], rel=0.12)


def test_weighted_quantiles_with_equal_weights_are_numpys():
    x = np.random.default_rng(0).normal(size=37)
    probabilities = [0.0, 0.1, 0.5, 0.93, 1.0]
    got = weighted_quantile(x, probabilities, np.full(37, 2.5))
    assert got == pytest.approx(np.quantile(x, probabilities), rel=1e-12)


def test_quantitative_deciles_and_trend():
    rng = np.random.default_rng(1)
    y = 5.0 + SCORE / 1000 + rng.normal(size=1000)
    strata = _strata(y, kind="quantitative")
    rows = decile_rows(strata, Floors())
    top, bottom = y[900:], y[:100]
    assert rows[-1]["mean"] == pytest.approx(top.mean())
    interval = stats.t.interval(0.95, 99, top.mean(), stats.sem(top))
    assert (rows[-1]["mean_lower"], rows[-1]["mean_upper"]) == pytest.approx(interval)
    assert rows[-1]["difference_vs_bottom"] == pytest.approx(
        (top.mean() - bottom.mean()) / y.std(ddof=1)
    )
    contrasts = contrast_rows(strata, Floors())
    welch = stats.ttest_ind(top, bottom, equal_var=False)
    assert contrasts[0]["z"] == pytest.approx(welch.statistic)
    slope = stats.linregress(np.repeat(np.arange(10), 100), y)
    assert contrasts[-1]["z"] == pytest.approx(slope.slope / slope.stderr)


def test_one_decile_for_everybody():
    strata = stratify("binary", OUTCOME, np.zeros(1000), cut_points(np.zeros(1000), 10, "test"))
    rows = contrast_rows(strata, Floors())
    assert all(r["status"].startswith("insufficient data") for r in rows)
    assert sum(r["n"] for r in decile_rows(strata, Floors())) == 1000


@pytest.mark.slow
def test_risk_ratio_intervals_cover():
    """Top against bottom decile, 150 cases among 1,000 people, over 2,000 studies."""
    rng = np.random.default_rng(2)
    risks = 0.04 * 1.3 ** np.arange(10)  # 0.04 to 0.42
    covered = judged = 0
    for _ in range(2000):
        outcome = (rng.random(1000) < np.repeat(risks, 100)).astype(float)
        row = contrast_rows(_strata(outcome), Floors())[0]
        if row["status"] == "ok":
            judged += 1
            truth = risks[-1] / risks[0]
            covered += row["risk_ratio_lower"] <= truth <= row["risk_ratio_upper"]
    # P(no event in the bottom) = 0.96^100 = 0.017, which leaves about 34 studies without a ratio
    # (se 6); log intervals at 4 expected events cover 93 to 97 per cent, and three binomial
    # standard errors (0.5 per cent) of chance.
    assert judged >= 2000 - 34 - 18
    assert 0.93 - 0.015 <= covered / judged <= 0.97 + 0.015
