"""The bootstrap's kernel, its moments, its seeds; the interval of the ICI; isotonic updates."""

from __future__ import annotations

import numpy as np
import pytest
from naive_evaluation import resample_sums as naive_sums
from scipy.special import expit, logit

from prs.evaluation.bootstrap import bootstrap_means
from prs.evaluation.calibration import calibrate
from prs.evaluation.curve import bootstrap_ici
from prs.evaluation.risk_models import BOTH, ISOTONIC, choose_recalibration, predict_risks
from prs.kernels.bootstrap import resample_sums
from prs.kernels.rng import draw_u64, make_streams


@pytest.mark.parametrize("n", [1, 2, 7, 50])
def test_kernel_equals_its_twin(n: int) -> None:
    columns = np.random.default_rng(n).normal(size=(n, 3))
    streams = make_streams(5, (1,), (4,))
    sums = np.zeros((4, 3))
    resample_sums(columns, streams.copy(), np.empty(n, np.int32), sums)
    for sample in range(4):
        state = streams[sample].copy()
        drawn: list[int] = []
        while len(drawn) < n:
            bits = int(draw_u64(state))
            # both halves of the word; an odd last person uses the upper half only
            drawn += [(bits >> 32) * n >> 32, (bits & 0xFFFFFFFF) * n >> 32][: n - len(drawn)]
        np.testing.assert_allclose(sums[sample], naive_sums(columns, drawn), atol=1e-12)


def test_moments_are_those_of_resampling() -> None:
    rng = np.random.default_rng(0)
    columns = rng.normal(size=(400, 2)) + 3
    strata = np.repeat([0, 1], [100, 300])
    n_bootstrap = 4000
    means = bootstrap_means(columns, strata, n_bootstrap=n_bootstrap, seed=1)
    parts = [columns[strata == s] for s in (0, 1)]
    variance = sum(len(p) * p.var(axis=0) for p in parts) / 400**2
    # SE of a mean sqrt(v/B); of a variance of nearly normal replicates v sqrt(2/B)
    np.testing.assert_allclose(
        means.mean(axis=0), columns.mean(axis=0), atol=4.5 * np.sqrt(variance.max() / n_bootstrap)
    )
    np.testing.assert_allclose(means.var(axis=0), variance, rtol=4.5 * np.sqrt(2 / n_bootstrap))
    same = bootstrap_means(columns, strata, n_bootstrap=n_bootstrap, seed=1, n_threads=1)
    np.testing.assert_array_equal(means, same)
    fewer = bootstrap_means(columns, strata, n_bootstrap=10, seed=1)
    np.testing.assert_array_equal(means[:10], fewer)  # a replicate does not depend on how many
    other = bootstrap_means(columns, strata, n_bootstrap=10, seed=1, stage=(2,))
    assert not np.any(other == fewer)


def test_interval_of_the_ici_covers() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=200_000) - 2
    truth = np.abs(expit(0.6 * x - 0.8) - expit(x)).mean()
    held = []
    for r in range(30):
        x = rng.normal(size=1500) - 2
        y = (rng.random(1500) < expit(0.6 * x - 0.8)).astype(float)
        cells, _, _ = calibrate(expit(x), y, binary=True, n_bins=10, seed=r)
        held.append(cells["ici_lower"] <= truth <= cells["ici_upper"])
    # 95 % of 30 is 28.5; 6 misses or more have probability below 0.003
    assert sum(held) >= 25


def test_ici_of_a_quantity_has_an_interval_too() -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(size=800)
    y = 0.5 * x + rng.normal(size=800)
    spread = bootstrap_ici(x, y, binary=False, n_bootstrap=300, seed=1).std()
    # the ICI is about 0.5 E|x|, its error that of the slope: 1/sqrt(800) E|x|
    assert spread == pytest.approx(0.8 / np.sqrt(800), rel=0.3)


def test_isotonic_mends_what_a_line_cannot() -> None:
    rng = np.random.default_rng(6)
    n = 12_000
    x = rng.normal(size=n)
    truth = expit(-2 + 0.6 * np.maximum(x, 0) ** 2)  # flat, then steep
    y = (rng.random(n) < truth).astype(float)
    train = np.arange(n) < n // 2
    group = np.full(n, "G", dtype=object)
    cells = {}
    for method in (BOTH, ISOTONIC):
        made = predict_risks(
            y, x, np.empty((n, 0)), group, train, binary=True, methods={"G": method}
        ).recalibrated
        assert ((made > 0) & (made < 1)).all()
        cells[method] = float(np.mean((made - truth)[~train] ** 2))
    assert cells[ISOTONIC] < 0.5 * cells[BOTH]
    assert choose_recalibration(1500, "isotonic") == ISOTONIC
    assert choose_recalibration(900, "isotonic") == BOTH
    assert choose_recalibration(1500) == BOTH
    quantity = logit(truth) + rng.normal(size=n)
    made = predict_risks(
        quantity, x, np.empty((n, 0)), group, train, binary=False, methods={"G": ISOTONIC}
    ).recalibrated
    assert np.mean((made - logit(truth))[~train] ** 2) < 0.05
