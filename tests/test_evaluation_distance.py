"""Accuracy and calibration along genetic distance, and the PGS Catalog Calculator's scales."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from prs.ancestry import normalise_scores
from prs.errors import InvalidValueError
from prs.evaluation.distance import accuracy_by_distance, describe_trend, genetic_distance

CALCULATOR = Path(__file__).parent / "fixtures" / "pgscatalog"


def world(n: int = 6000, seed: int = 1):
    """The score's effect falls from 1 to 0 with distance; nobody has a label."""
    rng = np.random.default_rng(seed)
    pcs = rng.normal(size=(n, 3)) * [4, 1, 1]
    distance = genetic_distance(pcs, [[-8.0, 0, 0]])
    score = rng.normal(size=n)
    effect = np.clip(1 - distance / 16, 0, 1)
    return rng, pcs, distance, score, effect


def test_distance_is_euclidean() -> None:
    centre = np.array([[1.0, 2.0], [3.0, 2.0]])
    np.testing.assert_allclose(genetic_distance([[2, 2], [5, 6]], centre), [0, 5])
    np.testing.assert_allclose(genetic_distance([[5, 6]], centre, scale=[3, 2]), [np.sqrt(5)])


def test_accuracy_falls_with_distance_for_a_disease() -> None:
    rng, _, distance, score, effect = world()
    p = expit(-1.5 + 1.5 * effect * score)
    y = (rng.random(len(p)) < p).astype(float)
    table = accuracy_by_distance(
        score, y, distance, kind="binary", predicted=expit(-1.5 + 0.75 * score)
    )
    bins = table[table["bin"] != "trend"]
    assert bins["n"].sum() == len(p)
    assert bins["value"].iloc[0] > bins["value"].iloc[-1] + 0.05
    assert ((bins["value_lower"] < bins["value"]) & (bins["value"] < bins["value_upper"])).all()
    # One model for all: too flat near the training sample, too steep far from it.
    assert bins["slope"].iloc[0] > 1 > bins["slope"].iloc[-1]
    trend = table.iloc[-1]
    assert trend["value_upper"] < 0
    assert "falls" in describe_trend(table)
    few = accuracy_by_distance(score[:60], y[:60], distance[:60], kind="binary")
    assert few["status"].iloc[:-1].str.startswith("insufficient").all()
    with pytest.raises(InvalidValueError):
        accuracy_by_distance(score[:5], y, distance, kind="binary")


def test_r2_along_distance_is_the_partial_r2() -> None:
    rng, pcs, distance, score, effect = world()
    y = effect * score + 0.5 * pcs[:, 0] + rng.normal(size=len(score))
    table = accuracy_by_distance(score, y, distance, kind="quantitative", covariates=pcs, n_bins=4)
    far = distance > np.quantile(distance, 0.75)
    design = np.column_stack([np.ones(far.sum()), pcs[far]])

    def rss(x: np.ndarray) -> float:
        return float(np.linalg.lstsq(x, y[far], rcond=None)[1][0])

    partial = 1 - rss(np.column_stack([design, score[far]])) / rss(design)
    assert table["value"].iloc[3] == pytest.approx(partial)
    assert table["value"].is_monotonic_decreasing
    # no trend where there is none; false alarms at 1e-4
    flat = accuracy_by_distance(score, score + rng.normal(size=len(score)), distance,
                                kind="quantitative")  # fmt: skip
    assert flat["p"].iloc[-1] > 1e-4
    assert flat["value"].iloc[0] == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize(
    ("method", "column", "tolerance"),
    [
        ("mean", "Z_norm1|score", 1e-9),
        # their optimiser (BFGS) stops at a gradient of 1e-5; ours at 1e-10 of the likelihood
        ("mean+variance", "Z_norm2|score", 1e-4),
        ("empirical", "Z_MostSimilarPop|score", 1e-12),
    ],
)
def test_scales_are_those_of_the_pgs_catalog_calculator(
    method: str, column: str, tolerance: float
) -> None:
    reference, target = (
        pd.read_csv(CALCULATOR / f"{name}.tsv", sep="\t") for name in ("reference", "target")
    )
    pcs = [f"PC{k}" for k in range(1, 5)]
    made = normalise_scores(
        reference["score"],
        reference[pcs],
        target["score"],
        target[pcs],
        method=method,
        reference_labels=reference["pop"],
        target_labels=target["pop"],
    )
    np.testing.assert_allclose(made.reference, reference[column], atol=tolerance)
    np.testing.assert_allclose(made.target, target[column], atol=tolerance)
    if method == "empirical":
        assert made.target_percentile is not None
        theirs = target["percentile_MostSimilarPop|score"] / 100
        np.testing.assert_allclose(made.target_percentile, theirs, atol=1e-12)


def test_calibration_of_times_along_distance() -> None:
    """A hazard that a model gets right near its people, and twice too low far away."""
    rng = np.random.default_rng(5)
    n, horizon = 8_000, 4.0
    score, distance = rng.normal(size=n), rng.uniform(0, 1, n)
    far = distance > 0.5
    rate = 0.05 * np.exp(0.6 * score) * np.where(far, 2.0, 1.0)
    came, left = rng.exponential(1 / rate), rng.uniform(3, 10, n)
    predicted = -np.expm1(-horizon * 0.05 * np.exp(0.6 * score))
    entry = rng.uniform(40, 60, n)
    time, event = np.minimum(came, left), (came <= left).astype(float)
    table = accuracy_by_distance(
        score, event, distance, kind="survival", predicted=predicted, n_bins=2,
        time=entry + time, entry=entry, horizon=horizon,
    )  # fmt: skip
    near, away, _ = table.to_dict("records")
    truth = [1.0, np.mean(-np.expm1(-horizon * rate[far])) / predicted[far].mean()]
    for row, expected in zip((near, away), truth, strict=True):
        # the interval's half width is 1.96 standard errors; twice that is four of them
        assert abs(np.log(row["oe"] / expected)) < 2 * np.log(row["oe_upper"] / row["oe"])
        assert abs(row["slope"] - 1.0) < 4 * (row["slope_upper"] - row["slope_lower"]) / 3.92
        assert row["value"] > 0.6
    assert away["oe_lower"] > 1.5
    # with everybody there from the start the same figures come of the follow-up alone
    plain = accuracy_by_distance(
        score, event, distance, kind="survival", predicted=predicted, n_bins=2,
        time=time, horizon=horizon,
    )  # fmt: skip
    np.testing.assert_allclose(plain["oe"], table["oe"], rtol=1e-6)
    with pytest.raises(InvalidValueError, match="horizon"):
        accuracy_by_distance(
            score, event, distance, kind="survival", predicted=predicted, time=time
        )
