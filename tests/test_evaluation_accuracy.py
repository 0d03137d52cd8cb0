"""AUC, R2 on every scale and effects per SD: twins, other programs, closed forms, coverage."""

from __future__ import annotations

import numpy as np
import pytest
from naive_evaluation import auc, delong_covariance
from scipy import stats

from prs.evaluation.accuracy import binary_accuracy, delong, liability_r2, quantitative_accuracy
from prs.evaluation.bootstrap import bootstrap_means


def _case_control(n=120, seed=0):
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.3).astype(float)
    a = y + rng.normal(size=n)
    b = np.round(a + rng.normal(size=n), 1)  # Rounded: ties.
    return y, np.column_stack([a, b])


def test_delong_equals_its_twin_and_mann_whitney():
    y, scores = _case_control()
    got = delong(scores, y)
    assert got.auc == pytest.approx([auc(scores[:, k], y) for k in range(2)], rel=1e-12)
    assert got.covariance == pytest.approx(delong_covariance(scores, y), rel=1e-10)
    u = stats.mannwhitneyu(scores[y == 1, 1], scores[y == 0, 1]).statistic
    assert got.auc[1] == pytest.approx(u / ((y == 1).sum() * (y == 0).sum()), rel=1e-12)


def test_delong_variance_agrees_with_resampling_people():
    y, scores = _case_control(n=400)
    case, control = np.flatnonzero(y == 1), np.flatnonzero(y == 0)
    rng = np.random.default_rng(1)
    differences = []
    for _ in range(1000):
        pick = np.append(rng.choice(case, len(case)), rng.choice(control, len(control)))
        differences.append(np.diff(delong(scores[pick], y[pick]).auc)[0])
    estimate, _ = delong(scores, y).difference(1, 0)
    se = (estimate.upper - estimate.lower) / (2 * 1.959963984540054)
    # Relative standard error of an SD from 1,000 replicates: 1/sqrt(2000) = 2.2 per cent; DeLong
    # and the bootstrap differ by O(1/n_cases), here 1 per cent.
    assert np.std(differences) == pytest.approx(se, rel=3 * 0.0224 + 0.01)


def test_liability_r2_closed_form_and_simulation():
    # With P = K theta's factor (P - K) is 0: R2_l = R2_o K (1 - K) / z^2 (Dempster & Lerner).
    k = 0.1
    z = stats.norm.pdf(stats.norm.isf(k))
    assert liability_r2(0.02, k, k) == pytest.approx(0.02 * k * (1 - k) / z**2, rel=1e-12)
    # A score with 20 per cent of the liability's variance, disease of 5 per cent, sampled as
    # half cases: the transformed R2 comes back to 0.20.
    rng = np.random.default_rng(7)
    n, k = 400_000, 0.05
    g = np.sqrt(0.2) * rng.normal(size=n)
    y = (g + np.sqrt(0.8) * rng.normal(size=n) > stats.norm.isf(k)).astype(float)
    case = np.flatnonzero(y == 1)
    pick = np.append(case, rng.choice(np.flatnonzero(y == 0), len(case), replace=False))
    r2 = np.corrcoef(g[pick], y[pick])[0, 1] ** 2
    # se(r) is about (1 - r^2)/sqrt(n) = 0.004 at n = 40,000, so r2 = 0.17 has 0.0035 and the
    # transformed one the same relative error, 2 per cent, or 0.004; Lee's formula is itself a
    # normal approximation, good to about 0.005 here.
    assert liability_r2(r2, k, 0.5) == pytest.approx(0.20, abs=3 * 0.004 + 0.005)


def _binary_study(n=900, seed=2):
    rng = np.random.default_rng(seed)
    covariates = rng.normal(size=(n, 2))
    score = rng.normal(size=n) + 0.3 * covariates[:, 0]
    logit = -1.0 + 0.7 * score + 0.5 * covariates[:, 0]
    y = (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(float)
    return y, score, covariates


def test_binary_figures_agree_with_statsmodels():
    import statsmodels.api as sm

    y, score, covariates = _binary_study()
    made = binary_accuracy(
        y, score, covariates, predicted_covariates=None, predicted_full=None, sd=2.0, prevalence=0.2
    )
    got = made.statistics(made.contributions.mean(0))
    base = sm.Logit(y, np.ones(len(y))).fit(disp=0).llf
    null = sm.Logit(y, sm.add_constant(covariates)).fit(disp=0).llf
    full = sm.Logit(y, sm.add_constant(np.column_stack([covariates, score]))).fit(disp=0)

    def nagelkerke(ll):
        return (1 - np.exp(2 * (base - ll) / len(y))) / (1 - np.exp(2 * base / len(y)))

    assert got["r2_nagelkerke"] == pytest.approx(nagelkerke(full.llf) - nagelkerke(null), rel=1e-7)
    assert got["r2_mcfadden"] == pytest.approx((null - full.llf) / base, rel=1e-7)
    linear = [
        sm.OLS(y, sm.add_constant(x)).fit().rsquared
        for x in (covariates, np.column_stack([covariates, score]))
    ]
    assert got["r2_observed"] == pytest.approx(linear[1] - linear[0], rel=1e-9)
    assert got["auc"] == pytest.approx(made.cells["auc"], rel=1e-12)
    # Per SD: the coefficient times 2.
    assert np.log(made.cells["odds_ratio"]) == pytest.approx(2.0 * full.params[-1], rel=1e-6)
    upper = full.params[-1] + 1.959963984540054 * full.bse[-1]
    assert np.log(made.cells["odds_ratio_upper"]) == pytest.approx(2.0 * upper, rel=1e-5)


def test_replicates_from_means_agree_with_refitting():
    """The bootstrap of means against refitting everything on the same resampled people."""
    y, score, covariates = _binary_study(n=1500)
    people = {"predicted_covariates": None, "predicted_full": None, "sd": 1.0, "prevalence": 0.3}
    made = binary_accuracy(y, score, covariates, **people)
    case, control = np.flatnonzero(y == 1), np.flatnonzero(y == 0)
    rng = np.random.default_rng(4)
    fast, slow = [], []
    for _ in range(150):
        pick = np.append(rng.choice(case, len(case)), rng.choice(control, len(control)))
        fast.append(made.statistics(made.contributions[pick].mean(0)))
        again = binary_accuracy(y[pick], score[pick], covariates[pick], **people)
        slow.append(again.statistics(again.contributions.mean(0)))
    for name in fast[0]:
        a, b = (np.array([f[name] for f in x]) for x in (fast, slow))
        # First-order equality: differences are O(1/n) where replicates vary by O(1/sqrt(n)).
        # Their ratio is of order 1/sqrt(450 cases) = 0.05; 3 times that is let pass.
        assert np.sqrt(np.mean((a - b) ** 2)) < 0.15 * b.std(), name


def test_quantitative_figures_agree_with_statsmodels():
    import statsmodels.api as sm

    rng = np.random.default_rng(3)
    covariates = rng.normal(size=(500, 2))
    score = 100 + rng.normal(size=500)
    y = 170 + 0.4 * score + covariates[:, 0] + rng.normal(size=500)
    predicted = 210 + covariates[:, 0]
    made = quantitative_accuracy(
        y,
        score,
        covariates,
        predicted_covariates=predicted,
        predicted_full=np.full(500, y.mean() + 10.0),
        sd=1.0,
    )
    got = made.statistics(made.contributions.mean(0))
    null = sm.OLS(y, sm.add_constant(covariates)).fit()
    full = sm.OLS(y, sm.add_constant(np.column_stack([covariates, score]))).fit()
    assert got["r2"] == pytest.approx(np.corrcoef(score, y)[0, 1] ** 2, rel=1e-9)
    assert got["r2_incremental"] == pytest.approx(full.rsquared - null.rsquared, rel=1e-8)
    # A model that is 10 off for everybody: 1 - (var + 100) / var, well below zero, and printed.
    assert got["r2_predictive"] == pytest.approx(-100 / y.var(), rel=1e-9)
    gain = (np.mean((y - predicted) ** 2) - np.mean((y - y.mean() - 10.0) ** 2)) / y.var()
    assert got["r2_predictive_gain"] == pytest.approx(gain, rel=1e-9)
    slope = (made.cells["slope"], made.cells["slope_lower"], made.cells["slope_upper"])
    assert slope == pytest.approx((full.params[-1], *full.conf_int()[-1]), rel=1e-7)


def test_a_score_without_variation_is_said_to_be_so():
    y, score, covariates = _binary_study(n=200)
    made = binary_accuracy(
        y,
        2.0 + 3.0 * covariates[:, 1],
        covariates,
        predicted_covariates=None,
        predicted_full=None,
        sd=1.0,
        prevalence=None,
    )
    assert "does not vary" in made.status
    assert made.contributions is None
    assert score.std() > 0


@pytest.mark.slow
def test_intervals_cover():
    """95 per cent intervals of AUC, observed R2 and liability R2 over 1,000 studies."""
    n, k, share, runs = 600, 0.2, 0.3, 1000
    rng = np.random.default_rng(11)
    threshold = stats.norm.isf(k)
    g = np.sqrt(share) * rng.normal(size=2_000_000)
    disease = g + np.sqrt(1 - share) * rng.normal(size=len(g)) > threshold
    # Truth on the liability scale is `share`; the others from the 2 million (error < 0.001).
    sample = slice(0, 400_000)
    true_auc = delong(g[sample, None], disease[sample].astype(float)).auc[0]
    true_r2 = np.corrcoef(g, disease)[0, 1] ** 2
    covered = dict.fromkeys(["auc", "r2_observed", "r2_liability"], 0)
    truth = {"auc": true_auc, "r2_observed": true_r2, "r2_liability": share}
    for run in range(runs):
        pick = rng.integers(0, len(g), n)
        y = disease[pick].astype(float)
        made = binary_accuracy(
            y,
            g[pick],
            np.empty((n, 0)),
            predicted_covariates=None,
            predicted_full=None,
            sd=1.0,
            prevalence=k,
        )
        means = bootstrap_means(
            made.contributions, y.astype(int), n_bootstrap=500, seed=run, stage=(1,)
        )
        replicates = made.statistics(means)
        for name in covered:
            lower, upper = np.quantile(replicates[name], [0.025, 0.975])
            if name == "auc":
                lower, upper = made.cells["auc_lower"], made.cells["auc_upper"]
            covered[name] += lower <= truth[name] <= upper
    # 950 expected; binomial standard error sqrt(1000 x 0.95 x 0.05) = 6.9. Lee's formula is off
    # by about 0.005 of 0.30, a tenth of a standard error here. The intervals are to cover 93 to
    # 97 per cent; three standard errors more at either side are chance.
    for name, count in covered.items():
        assert 930 - 21 <= count <= 970 + 21, (name, count)
