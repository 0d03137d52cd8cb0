"""Count how often 95 per cent intervals hold the truth, and where recalibrated slopes lie.

    python -m benchmarks.coverage [--studies 2000]

Every study is a new sample of a world whose truth is known: closed forms, or a sample so large
that its own error is a twentieth of an interval. The suite runs the same with fewer studies.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
from scipy import stats
from scipy.special import expit, logit

from prs.evaluation.accuracy import binary_accuracy, delong, quantitative_accuracy
from prs.evaluation.bootstrap import bootstrap_means
from prs.evaluation.calibration import calibrate
from prs.evaluation.floors import Floors
from prs.evaluation.intervals import normal_quantile
from prs.evaluation.regression import design_matrix, fit_logistic
from prs.evaluation.risk_models import BOTH, predict_risks
from prs.evaluation.strata import contrast_rows, cut_points, stratify
from prs.evaluation.survival import harrell_c, hazard_ratio
from prs.survival.kaplan_meier import risk_and_variance

PREVALENCE, SHARE = 0.2, 0.3
EFFECT, RATE, HORIZON = 0.5, 0.05, 6.0


def _liability(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw genetic values with a share of the liability, and the disease."""
    g = np.sqrt(SHARE) * rng.normal(size=n)
    sick = g + np.sqrt(1 - SHARE) * rng.normal(size=n) > stats.norm.isf(PREVALENCE)
    return g, sick.astype(float)


def binary_truth() -> dict[str, float]:
    """Return the figures of a disease in 2 million people; that on the liability scale is exact."""
    g, sick = _liability(np.random.default_rng(1), 2_000_000)
    part = slice(0, 400_000)
    cut = np.quantile(g, [0.1, 0.9])
    return {
        "AUC": float(delong(g[part, None], sick[part]).auc[0]),
        "R2, observed scale": float(np.corrcoef(g, sick)[0, 1] ** 2),
        "R2, liability scale": SHARE,
        "risk ratio of the top decile to the bottom": float(
            sick[g > cut[1]].mean() / sick[g <= cut[0]].mean()
        ),
    }


def binary_study(seed: int, truth: dict[str, float], n: int = 1500) -> dict[str, bool]:
    """Say which intervals of one study of a disease hold the truth."""
    rng = np.random.default_rng([2, seed])
    g, sick = _liability(rng, n)
    made = binary_accuracy(
        sick, g, np.empty((n, 0)), predicted_covariates=None, predicted_full=None, sd=1.0,
        prevalence=PREVALENCE,
    )  # fmt: skip
    assert made.contributions is not None
    assert made.statistics is not None
    means = bootstrap_means(
        made.contributions, sick.astype(np.int64), n_bootstrap=250, seed=seed, n_threads=1
    )
    again = made.statistics(means)
    bounds = {
        "AUC": (made.cells["auc_lower"], made.cells["auc_upper"]),
        "R2, observed scale": np.quantile(again["r2_observed"], [0.025, 0.975]),
        "R2, liability scale": np.quantile(again["r2_liability"], [0.025, 0.975]),
    }
    # the world's deciles, so that the risks are those of the truth's strata
    cuts = cut_points(_DECILES, 10, "the world")
    row = contrast_rows(stratify("binary", sick, g, cuts), Floors())[0]
    if row["status"] == "ok":
        bounds["risk ratio of the top decile to the bottom"] = (
            row["risk_ratio_lower"], row["risk_ratio_upper"]
        )  # fmt: skip
    return {name: bool(low <= truth[name] <= high) for name, (low, high) in bounds.items()}


_DECILES = np.sqrt(SHARE) * stats.norm.ppf((np.arange(10_000) + 0.5) / 10_000)


def calibration_study(seed: int, n: int = 600) -> dict[str, bool]:
    """Say which intervals of a calibrated model's figures hold 1 (O/E, slope), or its effect."""
    rng = np.random.default_rng([3, seed])
    score = rng.normal(size=n)
    risk = expit(-1.5 + 0.8 * score)
    y = (rng.random(n) < risk).astype(float)
    cells, _, _ = calibrate(risk, y, binary=True, n_bins=10, n_bootstrap=2)
    held = {
        f"calibration, {name}": bool(cells[f"{key}_lower"] <= 1.0 <= cells[f"{key}_upper"])
        for key, name in (("oe", "O/E"), ("slope", "slope"))
    }
    design, _ = design_matrix(score)
    fit = fit_logistic(design, y)
    half = normal_quantile(0.95) * fit.se[1]
    held["log odds per SD"] = bool(abs(fit.coef[1] - 0.8) <= half)
    return held


def quantitative_study(seed: int, n: int = 500) -> dict[str, bool]:
    """Say whether the intervals of R2 and slope of a trait hold the truth: 0.1 and 1."""
    rng = np.random.default_rng([4, seed])
    score, covariate = rng.normal(size=n), rng.normal(size=n)
    trait = score + covariate + np.sqrt(8.0) * rng.normal(size=n)
    zeros = np.zeros(n)
    made = quantitative_accuracy(
        trait, score, covariate[:, None], predicted_covariates=zeros, predicted_full=zeros, sd=1.0
    )
    assert made.contributions is not None
    assert made.statistics is not None
    means = bootstrap_means(
        made.contributions, np.zeros(n, np.int64), n_bootstrap=250, seed=seed, n_threads=1
    )
    low, high = np.quantile(made.statistics(means)["r2_incremental"], [0.025, 0.975])
    return {
        "R2 of a trait, incremental": bool(low <= 0.1 <= high),
        "slope of a trait per SD": bool(
            made.cells["slope_lower"] <= 1.0 <= made.cells["slope_upper"]
        ),
    }


def survival_truth() -> dict[str, float]:
    """Return C of 4 million pairs that are compared as censoring allows, and the mean risk."""
    rng = np.random.default_rng(5)
    z, time, event = _followed(rng, 4_000_000)
    a, b = slice(0, 2_000_000), slice(2_000_000, None)
    first = np.where(time[a] < time[b], 1, -1)
    earlier_had_it = np.where(first == 1, event[a], event[b]) == 1.0
    agree = np.sign(z[a] - z[b]) == first
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    mean = (weights * -np.expm1(-RATE * HORIZON * np.exp(EFFECT * nodes))).sum() / weights.sum()
    return {"C": float(agree[earlier_had_it].mean()), "risk by the horizon": float(mean)}


def _followed(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    z = rng.normal(size=n)
    came = rng.exponential(1.0 / (RATE * np.exp(EFFECT * z)))
    left = rng.uniform(2.0, 12.0, n)
    return z, np.minimum(came, left), (came <= left).astype(float)


def survival_study(seed: int, truth: dict[str, float], n: int = 500) -> dict[str, bool]:
    """Say which intervals of one study of a time to an event hold the truth."""
    z, time, event = _followed(np.random.default_rng([6, seed]), n)
    ratio, _ = hazard_ratio(time, event, z)
    c = harrell_c(time, event, z)
    risk, variance = risk_and_variance(time, event, HORIZON)
    factor = np.exp(normal_quantile(0.95) * np.sqrt(variance) / risk)
    observed = risk / truth["risk by the horizon"]
    return {
        "hazard ratio per SD": bool(ratio.lower <= np.exp(EFFECT) <= ratio.upper),
        "Harrell's C": bool(c.lower <= truth["C"] <= c.upper),
        "O/E by a time": bool(observed / factor <= 1.0 <= observed * factor),
    }


def recalibrated_slopes(seed: int, n: int = 2000) -> dict[str, float]:
    """Return calibration slopes, recalibrated by ancestry, on new people of three ancestries.

    The score's effect, its mean and the disease's level differ; one model is fitted for all.
    """
    rng = np.random.default_rng([7, seed])
    effects = {"A": (0.9, -1.2, 0.0), "B": (0.6, -1.6, 1.0), "C": (0.5, -0.8, -0.5)}
    group = np.tile(np.repeat(np.array(list(effects), dtype=object), n), 2)
    train = np.repeat([True, False], 3 * n)
    slope, level, shift = (np.array([effects[g][i] for g in group]) for i in range(3))
    z = rng.normal(size=len(group))
    y = (rng.random(len(group)) < expit(level + slope * z)).astype(float)
    made = predict_risks(
        y, z + shift, np.empty((len(y), 0)), group, train, binary=True,
        methods=dict.fromkeys(effects, BOTH),
    )  # fmt: skip
    out = {}
    for name in effects:
        new = ~train & (group == name)
        design, _ = design_matrix(logit(made.recalibrated[new]))
        out[name] = float(fit_logistic(design, y[new]).coef[1])
    return out


def interval_coverage(n_studies: int) -> pd.DataFrame:
    """Return figure, n (studies with an interval) and held (the share that holds the truth)."""
    disease, followed = binary_truth(), survival_truth()
    found: dict[str, list[bool]] = {}
    for seed in range(n_studies):
        for made in (
            binary_study(seed, disease),
            calibration_study(seed),
            quantitative_study(seed),
            survival_study(seed, followed),
        ):
            for name, held in made.items():
                found.setdefault(name, []).append(held)
    return pd.DataFrame(
        [{"figure": k, "n": len(v), "held": float(np.mean(v))} for k, v in found.items()]
    )


def slope_table(n_studies: int) -> pd.DataFrame:
    """Return group, mean (of the recalibrated slopes on new people) and its standard error."""
    slopes = pd.DataFrame([recalibrated_slopes(seed) for seed in range(n_studies)])
    return pd.DataFrame({"mean": slopes.mean(), "se": slopes.sem()}).rename_axis("group")


def main(arguments: list[str] | None = None) -> list[dict[str, object]]:
    """Run everything, print two tables, return their rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=2000)
    given = parser.parse_args(arguments)
    table, slopes = interval_coverage(given.studies), slope_table(min(given.studies, 500))
    print(table.to_string(index=False, float_format="%.3f"))
    print(slopes.to_string(float_format="%.3f"))
    return [{str(k): v for k, v in row.items()} for row in table.to_dict("records")]


if __name__ == "__main__":
    main()
