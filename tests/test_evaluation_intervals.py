"""Intervals against published examples, regressions against statsmodels, the bootstrap."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from prs.evaluation.bootstrap import bootstrap_means, percentile_interval
from prs.evaluation.intervals import (
    fisher_interval,
    normal_quantile,
    observed_expected,
    odds_ratio,
    risk_ratio,
    student_interval,
    weighted_risk,
    wilson_interval,
)
from prs.evaluation.regression import design_matrix, fit_linear, fit_logistic


@pytest.mark.parametrize(
    ("events", "n", "lower", "upper"),
    # Newcombe 1998 (Stat Med 17:857), table I, method 3; four decimals are printed there.
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_reproduces_newcombe(events, n, lower, upper):
    got = wilson_interval(events, n)
    assert (got.lower, got.upper) == pytest.approx((lower, upper), abs=0.5e-4)


def test_ratios_agree_with_statsmodels_2x2_table():
    from statsmodels.stats.contingency_tables import Table2x2

    table = Table2x2([[12, 88], [5, 115]])
    rr, ratio = risk_ratio(12, 100, 5, 120), odds_ratio(12, 100, 5, 120)
    assert rr == pytest.approx((table.riskratio, *table.riskratio_confint()), rel=1e-12)
    assert ratio == pytest.approx((table.oddsratio, *table.oddsratio_confint()), rel=1e-12)


def test_weighted_risk_ratio_recovers_the_population():
    """A population of known risks, sampled by case status at a fifth of its controls."""
    cases, people = (60, 20), (1000, 2000)
    # Expected counts of the sample: every case, 1 control in 5.
    sampled = [c + (n - c) / 5 for c, n in zip(cases, people, strict=True)]
    k, p = sum(cases) / sum(people), sum(cases) / sum(sampled)
    w1, w0 = k / p, (1 - k) / (1 - p)
    got = risk_ratio(cases[0], sampled[0], cases[1], sampled[1], case_weight=w1, control_weight=w0)
    assert got.value == pytest.approx((60 / 1000) / (20 / 2000), rel=1e-12)
    assert weighted_risk(cases[0] / sampled[0], w1, w0) == pytest.approx(0.06, rel=1e-12)
    # As many controls sampled as there are: no weights, Katz.
    plain = risk_ratio(60, 1000, 20, 2000)
    half = normal_quantile(0.95) * np.sqrt(1 / 60 - 1 / 1000 + 1 / 20 - 1 / 2000)
    assert np.log(plain.upper / plain.value) == pytest.approx(half, rel=1e-12)


def test_zero_cells_have_no_interval():
    assert risk_ratio(5, 50, 0, 50)[0] == np.inf
    assert np.isnan(risk_ratio(5, 50, 0, 50).lower)
    assert risk_ratio(0, 50, 5, 50)[0] == 0.0
    assert np.isnan(risk_ratio(0, 50, 5, 50).upper)
    assert np.isnan(odds_ratio(0, 50, 5, 50).upper)
    assert np.isnan(risk_ratio(0, 0, 5, 50).value)


def test_other_closed_forms():
    # Fisher: r = 0.5, n = 28 gives arctanh(0.5) -+ 1.96 / 5.
    half = 1.959963984540054 / 5
    expected = np.tanh(np.arctanh(0.5) + np.array([-half, half]))
    assert fisher_interval(0.5, 28)[1:] == pytest.approx(tuple(expected), rel=1e-12)
    oe = observed_expected(50, 40.0, 1000)
    half = 1.959963984540054 * np.sqrt(0.95 / 50)
    assert oe == pytest.approx((1.25, 1.25 * np.exp(-half), 1.25 * np.exp(half)), rel=1e-12)
    lower, upper = stats.t.interval(0.9, 7, 2.0, 0.5)
    assert student_interval(2.0, 0.5, 7, 0.9) == pytest.approx((2.0, lower, upper), rel=1e-10)


def test_regressions_agree_with_statsmodels():
    import statsmodels.api as sm

    rng = np.random.default_rng(3)
    x = np.column_stack([np.ones(400), rng.normal(size=400), 50 + 10 * rng.normal(size=400)])
    y = (rng.random(400) < 1 / (1 + np.exp(-(x @ [-2.0, 0.8, 0.02])))).astype(float)
    offset = 0.3 * rng.normal(size=400)
    ours = fit_logistic(x, y, offset=offset)
    theirs = sm.GLM(y, x, family=sm.families.Binomial(), offset=offset).fit(tol=1e-12)
    assert ours.converged
    # Newton stops within 1e-10 of the maximum likelihood, so coefficients are good to
    # about sqrt(1e-10) standard errors at worst; quadratic convergence makes it far better.
    assert ours.coef == pytest.approx(theirs.params, rel=1e-6)
    assert ours.se == pytest.approx(theirs.bse, rel=1e-5)
    assert ours.log_likelihood.sum() == pytest.approx(theirs.llf, rel=1e-10)
    linear, ols = fit_linear(x, y), sm.OLS(y, x).fit()
    assert linear.coef == pytest.approx(ols.params, rel=1e-9)
    assert linear.se == pytest.approx(ols.bse, rel=1e-9)
    assert linear.log_likelihood.sum() == pytest.approx(ols.llf, rel=1e-10)


def test_separation_is_noticed():
    x = np.column_stack([np.ones(40), np.arange(40.0)])
    assert not fit_logistic(x, (np.arange(40) >= 20).astype(float)).converged


def test_design_matrix_drops_what_earlier_columns_span():
    rng = np.random.default_rng(0)
    a = rng.normal(size=50)
    _, keep = design_matrix(a, np.full(50, 3.0), rng.normal(size=50), 2.0 * a - 7.0, np.zeros(50))
    assert keep.tolist() == [True, True, False, True, False, False]


def test_bootstrap_means_have_the_right_spread_and_keep_strata():
    rng = np.random.default_rng(5)
    x = rng.normal(size=(300, 2))
    strata = np.repeat([0, 1], [100, 200])
    x[:, 1] = strata  # The stratum itself: its mean must not move at all.
    means = bootstrap_means(x, strata, n_bootstrap=4000, seed=1)
    assert np.all(means[:, 1] == 2 / 3)
    # Variance of the stratified mean: sum of n_h s_h^2 (s_h^2 with divisor n_h) / n^2. A sample
    # variance of 4,000 replicates has a relative standard error of sqrt(2/4000) = 2.2 per cent.
    expected = (100 * x[:100, 0].var() + 200 * x[100:, 0].var()) / 300**2
    assert means[:, 0].var() == pytest.approx(expected, rel=4 * 0.0224)
    again = bootstrap_means(x, strata, n_bootstrap=4000, seed=1)
    assert np.array_equal(means, again)
    other = bootstrap_means(x, strata, n_bootstrap=4000, seed=1, stage=(2,))
    assert not np.array_equal(means, other)


def test_percentile_interval_leaves_out_what_is_not_finite():
    replicates = np.append(np.arange(1.0, 102.0), [np.inf, np.nan])
    assert percentile_interval(50.0, replicates, 0.9) == pytest.approx((50.0, 6.0, 96.0))
    assert np.isnan(percentile_interval(1.0, np.full(10, np.nan)).lower)
