"""One sample for all: the selection's optimism, and nested cross-fitting, against the truth."""

from __future__ import annotations

import numpy as np
import pytest

from prs.errors import SettingsError
from prs.evaluation.optimism import best_column, cross_fit, selection_optimism


@pytest.mark.parametrize("kind", ["binary", "quantitative"])
def test_selection_among_noise_is_seen_through(kind: str) -> None:
    nothing = 0.5 if kind == "binary" else 0.0
    apparent, corrected, crossed = [], [], []
    for r in range(6):
        rng = np.random.default_rng(r)
        n = 300
        scores = rng.normal(size=(n, 40))
        y = (rng.random(n) < 0.4).astype(float) if kind == "binary" else rng.normal(size=n)
        select = best_column(scores, y, kind=kind)
        found = selection_optimism(select, y, kind=kind, n_bootstrap=40, seed=r)
        apparent.append(found.apparent)
        corrected.append(found.corrected)
        score = cross_fit(select, y, kind=kind, seed=r)
        assert abs(score.mean()) < 0.2
        out = np.corrcoef(score, y)[0, 1]
        crossed.append(out)
    # The best of 40 is about 2.2 standard errors from nothing: AUC 0.034 each, R2 2.2^2 / 300
    gap = np.mean(apparent) - nothing
    assert gap > (0.05 if kind == "binary" else 0.012)
    # The bootstrap takes most of it off (it does not remove all: Efron 1983).
    assert abs(np.mean(corrected) - nothing) < 0.6 * gap
    # A cross-fitted score of noise has no correlation: SE 1 / sqrt(6 x 300)
    assert abs(np.mean(crossed)) < 4 / np.sqrt(6 * 300)


def test_a_true_score_is_kept() -> None:
    rng = np.random.default_rng(1)
    n = 800
    g = rng.normal(size=n)
    y = g + rng.normal(size=n)
    scores = np.column_stack([g + k * rng.normal(size=n) for k in (0.3, 1.0, 3.0)])
    select = best_column(scores, y, kind="quantitative")
    crossed = cross_fit(select, y, kind="quantitative", group=np.repeat(["a", "b"], n // 2))
    assert np.corrcoef(crossed, scores[:, 0])[0, 1] > 0.999
    found = selection_optimism(select, y, kind="quantitative", n_bootstrap=30)
    assert abs(found.optimism) < 0.02
    with pytest.raises(SettingsError):
        cross_fit(select, y, kind="quantitative", n_folds=1)


def test_same_seed_same_folds() -> None:
    rng = np.random.default_rng(2)
    y, scores = rng.normal(size=100), rng.normal(size=(100, 5))
    select = best_column(scores, y, kind="quantitative", covariates=rng.normal(size=(100, 1)))
    one, two = (cross_fit(select, y, kind="quantitative", seed=3) for _ in range(2))
    np.testing.assert_array_equal(one, two)
