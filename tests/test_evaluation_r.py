"""Figures of the evaluation against R's: rms::val.prob, loess, pROC, survival.

tests/fixtures/r holds the inputs, R's outputs and the scripts that made both.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from prs.evaluation.accuracy import binary_accuracy, delong
from prs.evaluation.calibration import calibrate
from prs.evaluation.curve import local_quadratic, smooth_curve
from prs.evaluation.intervals import normal_quantile
from prs.evaluation.regression import design_matrix, fit_logistic
from prs.evaluation.survival import risk_by
from prs.survival.concordance import concordance
from prs.survival.cox import baseline_hazard, fit_cox
from prs.survival.kaplan_meier import martingale_residuals

R = Path(__file__).parent / "fixtures" / "r"

# Iterated fits stop at a relative change of the deviance of 1e-8 (ours 1e-10); quadratic
# convergence leaves coefficients good to about the square root of that or better.
FIT = 1e-6


@pytest.fixture(scope="module")
def r() -> pd.Series:
    table = pd.read_csv(R / "figures.csv")
    return pd.Series(table["value"].to_numpy(), index=table["name"])


@pytest.fixture(scope="module")
def people() -> pd.DataFrame:
    return pd.read_csv(R / "inputs.csv").astype(float)


def test_calibration_equals_val_prob_and_glm(r: pd.Series, people: pd.DataFrame) -> None:
    p, y = people["p"].to_numpy(), people["y"].to_numpy()
    cells, _, _ = calibrate(p, y, binary=True, n_bins=10)
    assert cells["brier"] == pytest.approx(r["val.prob Brier"], rel=1e-12)
    for ours, theirs in (("intercept", "citl"), ("slope", "slope")):
        for end in ("", "_lower", "_upper"):
            expected = r[f"{theirs}{end.replace('_', ' ')}"]
            assert cells[f"{ours}{end}"] == pytest.approx(expected, rel=FIT)
    assert cells["slope"] == pytest.approx(r["val.prob Slope"], rel=FIT)
    # val.prob's intercept is that of the model with the slope free.
    fit = fit_logistic(design_matrix(np.log(p / (1 - p)))[0], y)
    assert fit.coef[0] == pytest.approx(r["val.prob Intercept"], rel=FIT)
    roc = delong(p[:, None], y)
    assert roc.auc[0] == pytest.approx(r["val.prob C (ROC)"], abs=0.0006)  # val.prob bins at 1e-3


def test_curve_and_its_indices_equal_loess(r: pd.Series, people: pd.DataFrame) -> None:
    p, y = people["p"].to_numpy(), people["y"].to_numpy()
    curve = pd.read_csv(R / "curve.csv")
    fit, _ = local_quadratic(p, y, curve["p"].to_numpy())
    # R gives 15 digits; a direct fit in doubles.
    assert fit == pytest.approx(curve["loess"].to_numpy(), abs=1e-9)
    indices = smooth_curve(p, y, binary=True).indices
    for name, value in indices.items():
        # Direct fit at each person against ours at 101 quantiles, linear between them: the error
        # of that is h^2 |f''| / 8, h the widest gap (about 0.05 in the tail), |f''| about 2.
        assert value == pytest.approx(r[f"direct {name}"], abs=1e-3), name
        # R's default interpolates on a k-d tree with cells of 15 per cent of the people.
        assert value == pytest.approx(r[f"interpolate {name}"], abs=3e-3), name
    # val.prob smooths with lowess (degree 1, span 2/3), another curve: ours is within 0.03.
    for ours, theirs in (("ici", "Eavg"), ("e90", "E90"), ("emax", "Emax")):
        assert indices[ours] == pytest.approx(r[f"val.prob {theirs}"], abs=0.03)


def test_auc_equals_proc(r: pd.Series, people: pd.DataFrame) -> None:
    y = people["y"].to_numpy()
    roc = delong(people[["s1", "s2"]].to_numpy(), y)
    for k, name in enumerate(("s1", "s2")):
        assert roc.covariance[k, k] == pytest.approx(r[f"auc {name} variance"], rel=1e-9)
        for end, value in zip(("value", "lower", "upper"), roc.interval(k), strict=True):
            assert value == pytest.approx(r[f"auc {name} {end}"], rel=1e-9)
    difference, p = roc.difference(0, 1)
    assert p == pytest.approx(r["delong p"], rel=1e-9)
    z = difference.value / ((difference.upper - difference.lower) / 2 / normal_quantile(0.95))
    assert z == pytest.approx(r["delong z"], rel=1e-9)
    assert difference.lower == pytest.approx(r["delong lower"], rel=1e-9)
    assert difference.upper == pytest.approx(r["delong upper"], rel=1e-9)


def test_nagelkerke_equals_lrm(r: pd.Series, people: pd.DataFrame) -> None:
    made = binary_accuracy(
        people["y"].to_numpy(),
        people["s1"].to_numpy(),
        np.empty((len(people), 0)),
        predicted_covariates=None,
        predicted_full=None,
        sd=1.0,
        prevalence=None,
    )
    assert made.statistics is not None
    assert made.contributions is not None
    figures = made.statistics(made.contributions.mean(0))
    # Without covariates "incremental" is over the intercept: lrm's R2.
    assert figures["r2_nagelkerke"] == pytest.approx(r["nagelkerke s1"], rel=FIT)


def test_late_entry_equals_survival() -> None:
    table, s = pd.read_csv(R / "late_figures.csv"), pd.read_csv(R / "late.csv").astype(float)
    r = pd.Series(table["value"].to_numpy(), index=table["name"])
    time, event, entry = (s[c].to_numpy() for c in ("age", "event", "entry"))
    x = s[["score", "sex"]].to_numpy()
    fit = fit_cox(x, time, event, entry=entry)
    assert fit.coef == pytest.approx([r["beta score"], r["beta sex"]], rel=FIT)
    assert fit.se[0] == pytest.approx(r["se score"], rel=FIT)
    assert fit.log_likelihood == pytest.approx(r["log likelihood"], rel=1e-12)
    ages = np.array([45.0, 60.0, 75.0])
    hazard = baseline_hazard(x @ fit.coef, time, event, ages, entry=entry)
    assert hazard == pytest.approx([r[f"hazard {age:g}"] for age in ages], rel=FIT)
    # R gives 15 digits of these closed sums
    residual = martingale_residuals(time, event, entry)
    assert residual[[0, 9, 99]] == pytest.approx(
        [r[f"martingale {i}"] for i in (1, 10, 100)], rel=1e-10
    )
    c, influence = concordance(time, event, x[:, 0], entry=entry)
    assert c == pytest.approx(r["c"], rel=1e-12)
    assert (influence**2).sum() == pytest.approx(r["c variance"], rel=1e-10)
    for start in (35.0, 50.0):
        risk = risk_by(time, event, 70.0, entry=entry, start=start - 0.5)  # R: events from start on
        for ours, name in zip(risk, ("risk", "lower", "upper"), strict=True):
            assert ours == pytest.approx(r[f"{name} from {start:g}"], rel=1e-10)
