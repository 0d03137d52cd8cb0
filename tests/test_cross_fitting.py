"""One sample for choosing and judging: nobody's score is chosen by that person's outcome."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from test_combine import people

from prs.cross_fitting import choice_optimism, choose_cell, cross_fit_scores
from prs.errors import SettingsError
from prs.evaluation.evaluate import evaluate
from prs.inputs.cohort import Cohort
from prs.scoring import Scores
from prs.weights.choose import choose_scores


def grid(n: int, seed: int, signal: float = 0.0, binary: bool = False) -> tuple[Scores, Cohort]:
    """Draw 30 cells of a grid, of which the first may predict; the cohort has no split."""
    scores, cohort = people(n, seed=seed, binary=binary)
    rng = np.random.default_rng(100 + seed)
    values = rng.normal(size=(n, 30))
    place = {iid: i for i, iid in enumerate(scores.samples.iid)}
    own = rng.normal(size=n)
    outcome = own + signal * values[[place[iid] for iid in cohort.ids], 0]
    if binary:
        outcome = (outcome > 0.3).astype(float)
    names = tuple(f"ct_EUR_r2_0.1_kb_250_p_{(i + 1) / 30:g}" for i in range(30))
    ones = np.ones(30, dtype=np.int64)
    scores = replace(scores, values=values, names=names, n_used=ones, n_missing=0 * ones)
    return scores, replace(cohort, outcome=outcome, split=None)


@pytest.mark.parametrize("binary", [False, True])
def test_the_best_of_noise_is_seen_through(binary: bool) -> None:
    apparent, held_out = [], []
    for seed in range(12):
        scores, cohort = grid(240, seed, binary=binary)
        fitted = cross_fit_scores(scores, cohort, choose_cell, n_folds=4, seed=seed)
        (row,) = fitted.summary.to_dict("records")
        assert row["optimism"] == row["r2_apparent"] - row["r2_held_out"]
        apparent.append(row["r2_apparent"])
        held_out.append(row["r2_held_out"])
        assert len(fitted.table) == 4
        assert fitted.table["n_held_out"].sum() == 240
    # one score of noise has R2 of 1 / 240 on average (chi-square of 1 over n), and the largest of
    # 30 such 5.0 / 240 (E max of 30 chi-squares of 1). Nagelkerke's divides by 1 - L0^(2/n), which
    # is 0.74 here.
    size = 0.74 if binary else 1.0
    assert np.mean(apparent) > 3.5 / 240 / size
    # signed, n R2 of noise has mean 0 and SD sqrt(E z^4) = sqrt(3): four standard errors of 12
    assert np.mean(held_out) < 4 * np.sqrt(3 / 12) / 240 / size


def test_a_true_score_is_chosen_in_every_fold_and_judged_as_it_is() -> None:
    scores, cohort = grid(600, 1, signal=0.6)
    fitted = cross_fit_scores(scores, cohort, choose_cell)
    assert set(fitted.records) == {scores.names[0]}
    (row,) = fitted.summary.to_dict("records")
    # one choice only: what is left is the scatter of means and SDs between folds, 1 / sqrt(480)
    # of an SD, which takes R2 (about 0.25) down by about 0.25 x 2 / 480
    assert abs(row["optimism"]) < 0.01
    judged = evaluate(fitted.scores, fitted.cohort, by="ancestry", n_bootstrap=100)
    assert set(judged.accuracy["score"]) == {"best"}


def test_nobodys_own_outcome_chooses_that_persons_score() -> None:
    scores, cohort = grid(200, 2)
    first = cross_fit_scores(scores, cohort, choose_cell, seed=5)
    again = cross_fit_scores(scores, cohort, choose_cell, seed=5)
    np.testing.assert_array_equal(first.scores.values, again.scores.values)
    out = first.folds == 3
    wild = cohort.outcome.copy()
    wild[out] = np.random.default_rng(0).normal(0, 50, int(out.sum()))
    other = cross_fit_scores(scores, replace(cohort, outcome=wild), choose_cell, seed=5)
    np.testing.assert_array_equal(first.folds, other.folds)
    np.testing.assert_array_equal(first.scores.values[out], other.scores.values[out])
    assert not np.array_equal(first.scores.values[~out], other.scores.values[~out])
    # people are those of the cohort, in its order; ancestries are dealt evenly
    assert list(first.scores.samples.iid) == list(first.cohort.ids) == list(cohort.ids)
    counts = [np.sum(cohort.labels["ancestry"][first.folds == k] == "AFR") for k in range(5)]
    assert max(counts) - min(counts) <= 1


def test_everything_that_a_study_chooses_is_cross_fitted() -> None:
    scores, cohort = grid(400, 3, signal=0.5)
    names = (*scores.names[:4], "csx_EUR", "csx_AFR", "csx_META")
    scores = replace(scores.select(scores.names[:7]), names=names)
    fitted = cross_fit_scores(scores, cohort, n_folds=3)
    assert fitted.scores.names == ("ct_EUR", "csx_META", "csx_combined")
    assert [set(record) for record in fitted.records] == [
        {"tuning_people", "ct_EUR", "csx_combined"}
    ] * 4
    whole = replace(cohort, split=np.full(cohort.n, "tuning", dtype=object))
    assert choose_scores(scores, whole)[1] == fitted.records[-1]
    assert fitted.summary["score"].tolist() == list(fitted.scores.names)
    flaky = iter("abcd")
    with pytest.raises(SettingsError, match="fewer folds"):
        cross_fit_scores(
            scores,
            cohort,
            lambda s, c: (replace(s.select(s.names[0]), names=(next(flaky),)), None),
        )


def test_a_choice_by_ancestry_is_cross_fitted_and_bootstrapped_as_such() -> None:
    scores, cohort = grid(800, 4)
    place = {iid: i for i, iid in enumerate(scores.samples.iid)}
    cells = scores.values[[place[iid] for iid in cohort.ids]]
    is_afr = cohort.labels["ancestry"] == "AFR"  # a quarter
    y = np.where(is_afr, cells[:, 7], cells[:, 3]) + np.random.default_rng(4).normal(size=800)
    cohort = replace(cohort, outcome=y)
    own = partial(choose_scores, cells_by="ancestry")
    fitted = cross_fit_scores(scores, cohort, own, n_folds=4)
    for record in fitted.records:
        assert record["ct_EUR"]["chosen_in"]["AFR"] == scores.names[7]
        assert record["ct_EUR"]["chosen"] == scores.names[3]
    # its correlation with the outcome in AFR is 1 / sqrt(2), and that of noise 0 (SE 0.07)
    r = np.corrcoef(fitted.scores.values[is_afr, 0], y[is_afr])[0, 1]
    assert abs(r - np.sqrt(0.5)) < 4 * 0.07
    pooled = cross_fit_scores(scores, cohort, n_folds=4)
    assert abs(np.corrcoef(pooled.scores.values[is_afr, 0], y[is_afr])[0, 1]) < 4 * 0.07
    found = choice_optimism(scores, cohort, own, n_bootstrap=5)
    both = np.concatenate([fitted.summary["r2_apparent"], found["apparent"]])
    assert (both > 0.35).all()  # 0.5 where everybody has the right cell, 0.28 where EUR alone has
    assert found["n_bootstrap"].tolist() == [5]
