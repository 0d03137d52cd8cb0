"""Calibration: the smooth curve against loess, the figures against statsmodels and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from naive_evaluation import local_quadratic as naive_local_quadratic
from scipy.special import expit, logit

from prs.evaluation.calibration import calibrate, calibration_bins, hosmer_lemeshow
from prs.evaluation.curve import local_quadratic, smooth_curve
from prs.evaluation.risk_models import (
    BOTH,
    INTERCEPT,
    NONE,
    assign_folds,
    choose_recalibration,
    cross_fit_risks,
    predict_risks,
)

# R's data set `cars`.
SPEED = np.repeat(
    [4, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 22, 23, 24, 25],
    [2, 2, 1, 1, 3, 2, 4, 4, 4, 3, 2, 3, 4, 3, 5, 1, 1, 4, 1],
).astype(float)
DIST = np.fromstring(
    "2 10 4 22 16 10 18 26 34 17 28 14 20 24 28 26 34 34 46 26 36 60 80 20 26 54 32 40 32 40 50 "
    "42 56 76 84 36 46 68 32 48 52 56 64 66 54 70 92 93 120 85",
    sep=" ",
)
# Cleveland's dloess (netlib), the code that R's loess wraps, run through scikit-misc 0.5.3:
#   fit = loess(SPEED, DIST, span=0.75, degree=2, surface="direct")
#   fit.predict(np.arange(5.0, 26.0), stderror=True)
LOESS_FIT = np.fromstring(
    "7.741006 9.926596 12.442424 15.281082 18.425712 21.865315 25.713413 29.350386 33.230660 "
    "37.167935 41.205226 45.781544 48.355889 50.067148 51.986702 56.445263 62.025404 68.569313 "
    "76.193111 85.053364 95.300523",
    sep=" ",
)


LOESS_SE = np.fromstring(
    "7.565991 5.959097 5.012013 4.550013 4.321596 4.119331 3.939804 3.720098 3.780877 4.096004 "
    "4.714469 4.398936 4.040129 4.184257 4.008873 4.061865 4.033998 4.078904 4.584606 5.952480 "
    "8.306901",
    sep=" ",
)
LOESS_RESIDUAL_SCALE = 15.310874913056061


def test_curve_equals_loess():
    variance = np.full(len(DIST), LOESS_RESIDUAL_SCALE**2)
    fit, se = local_quadratic(SPEED, DIST, np.arange(5.0, 26.0), variance=variance)
    # The fixture has six decimals.
    assert fit == pytest.approx(LOESS_FIT, abs=0.6e-6)
    assert se == pytest.approx(LOESS_SE, abs=0.6e-6)


def test_curve_equals_weighted_least_squares():
    rng = np.random.default_rng(0)
    x = rng.random(40)
    y = (rng.random(40) < x).astype(float)
    at = np.linspace(x.min(), x.max(), 9)
    fit, se = local_quadratic(x, y, at)
    assert fit == pytest.approx([naive_local_quadratic(x, y, x0) for x0 in at], rel=1e-8)
    # Linear in y: the weight of observation i is the fit to the unit vector e_i.
    smoother = np.array([local_quadratic(x, e, at)[0] for e in np.eye(40)])
    assert se == pytest.approx(np.sqrt((smoother**2).sum(0)), rel=1e-8)
    # A quadratic is reproduced, whatever the weights.
    exact, _ = local_quadratic(x, 1 - 2 * x + 3 * x**2, at)
    assert exact == pytest.approx(1 - 2 * at + 3 * at**2, rel=1e-8)


def test_curve_survives_ties():
    x = np.repeat([0.1, 0.2, 0.4], [30, 5, 5])
    y = np.tile([0.0, 1.0], 20)
    curve = smooth_curve(x, y, binary=True)
    # 30 of 40 people are at 0.1 and a window holds 30: the curve there is their mean.
    assert curve.observed[0] == pytest.approx(0.5)
    assert np.isfinite(curve.observed).all()
    assert (curve.lower <= curve.observed).all()
    assert (curve.observed <= curve.upper).all()


def test_calibration_figures_agree_with_statsmodels():
    import statsmodels.api as sm

    rng = np.random.default_rng(5)
    p = expit(rng.normal(-1.5, 1.0, 800))
    y = (rng.random(800) < expit(0.4 + 0.7 * logit(p))).astype(float)
    cells, curve, bins = calibrate(p, y, binary=True, n_bins=10)
    offset = sm.GLM(y, np.ones(800), family=sm.families.Binomial(), offset=logit(p)).fit()
    low, high = offset.conf_int()[0]
    assert [cells[f"intercept{s}"] for s in ("", "_lower", "_upper")] == pytest.approx(
        [offset.params[0], low, high], rel=1e-5
    )
    slope = sm.Logit(y, sm.add_constant(logit(p))).fit(disp=0)
    assert [cells[f"slope{s}"] for s in ("", "_lower", "_upper")] == pytest.approx(
        [slope.params[1], *slope.conf_int()[1]], rel=1e-5
    )
    assert cells["oe"] == pytest.approx(y.sum() / p.sum())
    assert cells["brier"] == pytest.approx(np.mean((y - p) ** 2))
    assert cells["brier_scaled"] == pytest.approx(1 - cells["brier"] / (y.mean() * (1 - y.mean())))
    assert sum(b["n"] for b in bins) == 800
    assert cells["ece"] == pytest.approx(
        sum(b["n"] / 800 * abs(b["observed"] - b["predicted"]) for b in bins)
    )
    assert cells["e50"] <= cells["e90"] <= cells["emax"]
    assert cells["ici"] == pytest.approx(np.mean(curve.error))


def test_hosmer_lemeshow_by_hand():
    # Two bins of 4: predictions 0.25 and 0.5, events 2 and 1.
    p = np.repeat([0.25, 0.5], 4)
    y = np.array([1, 1, 0, 0, 1, 0, 0, 0.0])
    chi2, df, _ = hosmer_lemeshow(calibration_bins(p, y, binary=True, n_bins=2))
    assert chi2 == pytest.approx((2 - 1) ** 2 / 0.75 + (1 - 2) ** 2 / 1.0)
    assert df == 2


def test_perfect_predictions_are_found_calibrated():
    rng = np.random.default_rng(8)
    p = expit(rng.normal(-1.0, 1.0, 20_000))
    y = (rng.random(20_000) < p).astype(float)
    cells, curve, _ = calibrate(p, y, binary=True, n_bins=10, confidence=0.999)
    for name, truth in (("oe", 1.0), ("intercept", 0.0), ("slope", 1.0)):
        assert cells[f"{name}_lower"] < truth < cells[f"{name}_upper"]
    # The band is pointwise, of 95 per cent; at 99.9 it holds the diagonal away from the ends.
    inner = slice(5, -5)
    assert (curve.lower[inner] <= curve.predicted[inner]).all()
    assert (curve.predicted[inner] <= curve.upper[inner]).all()


def test_constant_predictions_have_no_slope_or_curve():
    y = np.tile([0.0, 1.0], 30)
    cells, curve, _ = calibrate(np.full(60, 0.4), y, binary=True, n_bins=10)
    assert curve is None
    assert "slope" not in cells
    assert cells["intercept"] == pytest.approx(logit(0.5) - logit(0.4))


def test_rule_of_recalibration():
    amounts = (0, 9.9, 10, 49, 50, 500)
    assert [choose_recalibration(a) for a in amounts] == [
        NONE,
        NONE,
        INTERCEPT,
        INTERCEPT,
        BOTH,
        BOTH,
    ]
    assert choose_recalibration(500, "intercept") == INTERCEPT
    assert choose_recalibration(500, "none") == NONE


def _two_groups(n, rng):
    """B's risks are lower than A's by 1 on the logit scale and rise half as fast in the score."""
    group = np.repeat(np.array(["A", "B"], dtype=object), n)
    score = rng.normal(size=2 * n)
    linear = np.where(group == "A", -0.5 + score, -1.5 + 0.5 * score)
    return group, score, (rng.random(2 * n) < expit(linear)).astype(float)


def test_recalibration_mends_each_group_on_new_people():
    rng = np.random.default_rng(9)
    n = 20_000
    group, score, y = _two_groups(n, rng)
    group2, score2, y2 = _two_groups(n, rng)
    train = np.repeat([True, False], 2 * n)
    people = (np.append(y, y2), np.append(score, score2), np.empty((4 * n, 0)))
    methods = {"A": BOTH, "B": BOTH}
    made = predict_risks(*people, np.append(group, group2), train, binary=True, methods=methods)
    for name in ("A", "B"):
        new = ~train & (np.append(group, group2) == name)
        before, _, _ = calibrate(made.uncorrected[new], people[0][new], binary=True, n_bins=10)
        after, _, _ = calibrate(made.recalibrated[new], people[0][new], binary=True, n_bins=10)
        assert not before["oe_lower"] < 1.0 < before["oe_upper"]
        # se of a slope among 20,000 is about 0.02 (B: 0.03, relative to its own slope), once
        # for fitting and once for judging: 3 x 0.03 x sqrt(2).
        assert after["slope"] == pytest.approx(1.0, abs=0.13)
        assert after["oe"] == pytest.approx(1.0, abs=0.05)
        assert after["ici"] < before["ici"]
    one = predict_risks(
        *people, np.append(group, group2), train, binary=True, methods={}, train_on="A"
    )
    new_a = ~train & (np.append(group, group2) == "A")
    carried, _, _ = calibrate(one.uncorrected[new_a], people[0][new_a], binary=True, n_bins=10)
    assert carried["slope"] == pytest.approx(1.0, abs=0.13)


def test_cross_fitting_never_uses_a_persons_own_outcome():
    rng = np.random.default_rng(1)
    group, score, y = _two_groups(100, rng)
    strata = 2 * (group == "B") + y.astype(int)
    folds = assign_folds(strata, 5, 3, (0,))
    for stratum in range(4):
        sizes = np.bincount(folds[strata == stratum], minlength=5)
        assert sizes.max() - sizes.min() <= 1
    methods = {"A": INTERCEPT, "B": BOTH}
    people = (score, np.empty((200, 0)), group, folds)
    made = cross_fit_risks(y, *people, binary=True, methods=methods)
    # Flip the outcomes of one fold: nothing that is predicted for this fold may move.
    mine = folds == 2
    flipped = np.where(mine, 1 - y, y)
    again = cross_fit_risks(flipped, *people, binary=True, methods=methods)
    assert np.array_equal(made.recalibrated[mine], again.recalibrated[mine])
    assert not np.allclose(made.recalibrated[~mine], again.recalibrated[~mine])


@pytest.mark.slow
def test_calibration_intervals_cover():
    """95 per cent intervals of O/E, intercept and slope over 1,000 studies of true risks."""
    rng = np.random.default_rng(12)
    covered = dict.fromkeys(["oe", "intercept", "slope"], 0)
    for _ in range(1000):
        p = expit(rng.normal(-1.5, 0.8, 500))
        y = (rng.random(500) < p).astype(float)
        cells, _, _ = calibrate(p, y, binary=True, n_bins=10)
        for name, truth in (("oe", 1.0), ("intercept", 0.0), ("slope", 1.0)):
            covered[name] += cells[f"{name}_lower"] <= truth <= cells[f"{name}_upper"]
    # 93 to 97 per cent, and three binomial standard errors (6.9) of chance.
    for name, count in covered.items():
        assert 930 - 21 <= count <= 970 + 21, (name, count)
