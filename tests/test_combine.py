"""Combining scores: coefficients against exact and outside answers; tuning people only."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from prs.errors import AncestryDataError, OverlappingSamplesError, SettingsError
from prs.evaluation.evaluate import evaluate
from prs.inputs.cohort import Cohort
from prs.samples import SampleTable
from prs.scoring import Scores
from prs.variants import VariantTable
from prs.weights.best import select_best
from prs.weights.choose import choose_scores
from prs.weights.combine import combine
from prs.weights.table import Weights


def people(n: int, n_scores: int = 3, seed: int = 0, binary: bool = False) -> tuple[Scores, Cohort]:
    """Draw scores and a cohort of the same people in another order; two thirds for tuning."""
    rng = np.random.default_rng(seed)
    ids = SampleTable.from_ids([f"P{i}" for i in range(n)])
    values = rng.normal(size=(n, n_scores)) * [1, 10, 0.1][:n_scores] + 5
    covariates = rng.normal(loc=(0, 1950), size=(n, 2))
    effect = np.array([0.8, 0.03, 0.0])[:n_scores]
    linear = (values - 5) @ effect + 0.5 * covariates[:, 0]
    outcome = linear + rng.normal(size=n)
    if binary:
        outcome = (rng.random(n) < 1 / (1 + np.exp(-linear))).astype(float)
    ones = np.ones(n_scores, dtype=np.int64)
    names = tuple("abc"[:n_scores])
    scores = Scores(ids, values, names, 10 * ones, 0 * ones, np.zeros(n))
    order = rng.permutation(n)
    cohort = Cohort(
        samples=ids.take(order),
        outcome=outcome[order],
        outcome_name="y",
        outcome_kind="binary" if binary else "quantitative",
        covariates=covariates[order],
        covariate_names=("x", "birth_year"),
        labels={"ancestry": np.where(np.arange(n) % 4 > 0, "EUR", "AFR").astype(object)[order]},
        split=np.where(np.arange(n) % 3 > 0, "tuning", "test").astype(object)[order],
        n_dropped={},
        path="drawn",
    )
    return scores, cohort


@pytest.mark.parametrize("binary", [False, True])
def test_coefficients_are_those_of_statsmodels(binary: bool) -> None:
    import statsmodels.api as sm

    scores, cohort = people(600, binary=binary)
    fitted = combine(scores, cohort)
    tuning = cohort.tuning()
    place = {iid: i for i, iid in enumerate(scores.samples.iid)}
    values = scores.values[[place[iid] for iid in tuning.ids]]
    standardised = (values - values.mean(axis=0)) / values.std(axis=0, ddof=1)
    # years as differences: statsmodels' Newton needs it, ours does not
    design = np.column_stack(
        [np.ones(tuning.n), standardised, tuning.covariates - tuning.covariates.mean(axis=0)]
    )
    family = sm.families.Binomial() if binary else sm.families.Gaussian()
    expected = sm.GLM(tuning.outcome, design, family=family).fit(tol=1e-12).params[1:4]
    # both solve normal equations with condition number < 1e6: eps x 1e6 x a margin of 100
    np.testing.assert_allclose(fitted.coefficients[0], expected, atol=1e-8)
    applied = fitted.apply(scores)
    whole = (scores.values - fitted.mean) / fitted.sd @ fitted.coefficients[0]
    np.testing.assert_allclose(applied.values[:, 0], whole, rtol=1e-12)
    assert sorted(fitted.tuning_ids) == sorted(tuning.ids)
    with pytest.raises(OverlappingSamplesError, match="tuned on"):
        evaluate(applied, replace(cohort, split=None))


def test_only_tuning_people_matter() -> None:
    scores, cohort = people(300)
    fitted = combine(scores, cohort)
    changed = cohort.outcome.copy()
    changed[cohort.split == "test"] = 1e6
    values = scores.values.copy()
    is_test = np.isin(scores.samples.iid, cohort.test().ids)
    values[is_test] = np.nan
    other = Cohort(**{**vars(cohort), "outcome": changed})
    blank = Scores(**{**vars(scores), "values": values})
    np.testing.assert_array_equal(combine(blank, other).coefficients, fitted.coefficients)
    best = select_best(blank, other)
    assert best.table.equals(select_best(scores, cohort).table)
    for split in (None, np.full(300, "test", dtype=object)):
        with pytest.raises(SettingsError, match="tuning"):
            combine(scores, Cohort(**{**vars(cohort), "split": split}))


def test_nonnegative_coefficients() -> None:
    for binary in (False, True):
        scores, cohort = people(600, binary=binary)
        mirrored = Scores(**{**vars(scores), "values": scores.values * [1, -1, 1]})
        fitted = combine(mirrored, cohort, nonnegative=True)
        assert (fitted.coefficients >= 0).all()
        assert fitted.coefficients[0, 1] == 0
        # with the negative one out, the others are those of the model without it
        kept = [c for c, x in zip("abc", fitted.coefficients[0], strict=True) if x > 0]
        free = combine(mirrored, cohort, columns=kept)
        # L-BFGS-B stops at a projected gradient of 1e-9 per person or a loss change of 1e-14
        np.testing.assert_allclose(
            fitted.coefficients[0][fitted.coefficients[0] > 0], free.coefficients[0], atol=1e-5
        )


def test_groups_have_fits_of_their_own_or_share_the_pooled_one() -> None:
    scores, cohort = people(900)
    fitted = combine(scores, cohort, by="ancestry")
    assert set(fitted.groups) == {"all", "EUR", "AFR"}
    applied = fitted.apply(scores, cohort)
    only = cohort.take(cohort.labels["ancestry"] == "AFR")
    at = np.isin(scores.samples.iid, only.ids)
    row = fitted.groups.index("AFR")
    expected = (scores.values[at] - fitted.mean) / fitted.sd @ fitted.coefficients[row]
    np.testing.assert_allclose(applied.values[at, 0], expected, rtol=1e-12)
    with pytest.raises(SettingsError, match="no such labels"):
        fitted.apply(scores)
    small = combine(scores, cohort, by="ancestry", min_people=200)  # 150 AFR people for tuning
    assert small.groups == ("all", "EUR")
    assert any("AFR: 150 tuning people" in note for note in small.notes)
    pooled = small.coefficients[0]
    values = small.apply(scores, cohort).values[at, 0]
    np.testing.assert_allclose(values, (scores.values[at] - small.mean) / small.sd @ pooled)


def test_combined_weights_give_the_combined_score_up_to_a_constant() -> None:
    rng = np.random.default_rng(4)
    dosages = rng.integers(0, 3, (300, 20)).astype(float)
    table = VariantTable(
        np.ones(20, np.int8),
        np.arange(1, 21, dtype=np.int32),
        np.array([f"v{j}" for j in range(20)], dtype=object),
        np.full(20, "A", dtype=object),
        np.full(20, "G", dtype=object),
    )
    weights = Weights(table, rng.normal(size=(20, 3)), ("a", "b", "c"))
    scores, cohort = people(300)
    scores = Scores(**{**vars(scores), "values": dosages @ weights.weights})
    fitted = combine(scores, cohort)
    direct = dosages @ fitted.combine_weights(weights).weights[:, 0]
    difference = direct - fitted.apply(scores).values[:, 0]
    np.testing.assert_allclose(difference, difference[0], atol=1e-10)


def test_the_best_column() -> None:
    for binary in (False, True):
        scores, cohort = people(900, binary=binary)
        values = scores.values.copy()
        values[:, 2] = -values[:, 0]  # as strong, but the wrong way round
        best = select_best(Scores(**{**vars(scores), "values": values}), cohort)
        assert best.columns == ("a",)
        assert best.table["score"].tolist() == ["a", "b", "c"]
        assert best.table["chosen"].tolist() == [True, False, False]
        np.testing.assert_array_equal(best.apply(scores).values[:, 0], scores.values[:, 0])
    flat = Scores(**{**vars(scores), "values": np.ones((900, 3))})
    with pytest.raises(SettingsError, match="no score varies"):
        select_best(flat, cohort)


def two_ancestries(n: int = 1200, seed: int = 5, binary: bool = False) -> tuple[Scores, Cohort]:
    """Scores of which "a" predicts in the three quarters that are EUR, and "b" in AFR."""
    scores, cohort = people(n, seed=seed)
    rng = np.random.default_rng(seed)
    place = {iid: i for i, iid in enumerate(scores.samples.iid)}
    a, b, _ = scores.values[[place[iid] for iid in cohort.ids]].T
    signal = np.where(cohort.labels["ancestry"] == "EUR", a - 5, (b - 5) / 10)
    y = signal + rng.normal(size=n)
    y = (y > 0).astype(float) if binary else y
    kind = "binary" if binary else "quantitative"
    return scores, replace(cohort, outcome=y, outcome_kind=kind)


@pytest.mark.parametrize("binary", [False, True])
def test_each_group_chooses_its_own_column(binary: bool) -> None:
    scores, cohort = two_ancestries(binary=binary)
    pooled = select_best(scores, cohort)
    assert pooled.columns == ("a",)  # three quarters are EUR
    best = select_best(scores, cohort, by="ancestry")
    assert (best.groups[0], set(best.groups)) == ("all", {"all", "EUR", "AFR"})
    table = best.table.set_index("group")
    chosen = table[table["chosen"]]["score"].to_dict()
    assert chosen == {"all": "a", "EUR": "a", "AFR": "b"}
    # each group's figures are those of a choice among its people alone
    for group in ("EUR", "AFR"):
        alone = select_best(scores, cohort.take(cohort.labels["ancestry"] == group)).table
        own = table.loc[group].reset_index(drop=True)[list(alone.columns)]
        assert own.equals(alone)
        assert (table.loc[group, "n"] == {"EUR": 600, "AFR": 200}[group]).all()
    made = best.apply(scores, cohort).values[:, 0]
    tuned = np.isin(scores.samples.iid, cohort.tuning().ids)
    z = (scores.values - scores.values[tuned].mean(0)) / scores.values[tuned].std(0, ddof=1)
    is_afr = np.isin(scores.samples.iid, cohort.ids[cohort.labels["ancestry"] == "AFR"])
    np.testing.assert_allclose(made, np.where(is_afr, z[:, 1], z[:, 0]), rtol=1e-12)
    with pytest.raises(SettingsError, match="without a label"):
        select_best(scores, cohort, by="region")


def test_a_group_of_few_takes_what_everybody_chose_and_says_so() -> None:
    scores, cohort = two_ancestries()
    best = select_best(scores, cohort, by="ancestry", min_people=201)
    assert best.groups == ("all", "EUR")
    assert best.notes == (
        "ancestry AFR: 200 tuning people; it shares the column that everybody chose",
    )
    assert best.columns == ("a",)
    _, binary = two_ancestries(binary=True)
    cases = binary.tuning()
    n = int(cases.outcome[cases.labels["ancestry"] == "AFR"].sum())
    (note,) = select_best(scores, binary, by="ancestry", min_events=max(n, 200 - n)).notes
    assert f"AFR: {n} cases and {200 - n} controls" in note
    # events in time count, however few people are without one
    timed = replace(binary, outcome_kind="survival", time=np.ones(binary.n))
    assert select_best(scores, timed, by="ancestry", min_events=n).notes == ()
    (note,) = combine(scores, timed, by="ancestry", min_events=n + 1).notes
    assert f"AFR: {n} events" in note


def test_each_ancestry_has_the_phi_that_it_chose() -> None:
    scores, cohort = two_ancestries()
    # csx scores at two phi: at 1e-02 those of EUR are right, at 1e-04 those of AFR
    values = np.column_stack([scores.values[:, [0, 0, 2]], scores.values[:, [1, 1, 2]]])
    values[:, [1, 4]] += np.random.default_rng(1).normal(size=(len(values), 2)) * [0.1, 1]
    names = [f"csx_{p}_phi{phi}" for phi in ("1e-02", "1e-04") for p in ("META", "EUR", "AFR")]
    n = np.ones(6, np.int64)
    grid = replace(scores, values=values, names=tuple(names), n_used=n, n_missing=0 * n)
    made, record = choose_scores(grid, cohort, cells_by="ancestry")
    assert record["csx_META"]["chosen"] == "csx_META_phi1e-02"
    assert record["csx_META"]["chosen_in"]["AFR"] == "csx_META_phi1e-04"
    combined = made.select("csx_combined").values[:, 0]
    for group, phi in (("EUR", "1e-02"), ("AFR", "1e-04")):
        members = [f"csx_EUR_phi{phi}", f"csx_AFR_phi{phi}"]
        alone = combine(grid, cohort, columns=members, by="ancestry").apply(grid, cohort)
        here = np.isin(grid.samples.iid, cohort.ids[cohort.labels["ancestry"] == group])
        np.testing.assert_allclose(combined[here], alone.values[here, 0], rtol=1e-12)
    # everybody's choice is what it was, and is what the record's first table says
    _, pooled = choose_scores(grid, cohort)
    assert pooled["csx_META"]["chosen"] == record["csx_META"]["chosen"]
    assert pooled["csx_META"]["table"] == record["csx_META"]["table"]


def test_outcomes_that_allow_no_fit() -> None:
    scores, cohort = people(300, binary=True)
    with pytest.raises(AncestryDataError, match="one value"):
        combine(scores, Cohort(**{**vars(cohort), "outcome": np.zeros(300)}))
    apart = Cohort(**{**vars(cohort), "outcome": (cohort.covariates[:, 0] > 0).astype(float)})
    with pytest.raises(AncestryDataError, match="separate"):
        combine(scores, apart)
    few = cohort.take(np.flatnonzero(cohort.split == "tuning")[:5])
    few = Cohort(**{**vars(few), "outcome": np.array([0.0, 1, 0, 1, 1])})
    with pytest.raises(AncestryDataError, match="too few"):
        combine(scores, few)


def test_a_constant_score_has_no_coefficient() -> None:
    scores, cohort = people(300)
    values = scores.values.copy()
    values[:, 1] = 7.5
    fitted = combine(Scores(**{**vars(scores), "values": values}), cohort)
    # least norm: a column of zeros gets 0, up to rounding
    assert abs(fitted.coefficients[0, 1]) < 1e-12
    assert any("'b' does not vary" in note for note in fitted.notes)


@pytest.mark.parametrize("binary", [False, True])
def test_ridge_solves_its_equations_and_chooses_its_penalty_by_people_left_out(
    binary: bool,
) -> None:
    scores, cohort = people(900, binary=binary)
    fitted = combine(scores, cohort, penalty="ridge", seed=4)
    (penalty,) = set(fitted.table["penalty"])
    tuning = cohort.tuning()
    place = {iid: i for i, iid in enumerate(scores.samples.iid)}
    X = (scores.values[[place[iid] for iid in tuning.ids]] - fitted.mean) / fitted.sd
    nuisance = np.column_stack(
        [np.ones(tuning.n), tuning.covariates - tuning.covariates.mean(axis=0)]
    )

    def gap(covariates: np.ndarray) -> np.ndarray:
        linear = X @ fitted.coefficients[0] + nuisance @ covariates
        fit = 1 / (1 + np.exp(-linear)) if binary else linear
        return tuning.outcome - fit

    # at the solution the scores' gradient is n x penalty x coefficient and the covariates' is 0
    free = np.zeros(3)
    for _ in range(30):
        weight = 0.25 if binary else 1.0  # of a bound on the curvature: descends without fail
        free += np.linalg.solve(nuisance.T @ nuisance * weight, nuisance.T @ gap(free))
    gradient = X.T @ gap(free)
    size = tuning.n * penalty * fitted.coefficients[0]
    # steps end at a gain g of 1e-11 of a loss of 400: a gradient of sqrt(2 g n) = 2e-3 before it,
    # and Newton's step squares what is left of it
    np.testing.assert_allclose(gradient, size, atol=1e-4)
    # strong scores of one's own are hardly shrunk; a null one is
    assert penalty < 0.1
    assert combine(scores, cohort, penalty="ridge", seed=4).table.equals(fitted.table)
    for wrong in ({"penalty": "lasso"}, {"penalty": "ridge", "nonnegative": True}):
        with pytest.raises(SettingsError):
            combine(scores, cohort, **wrong)


@pytest.mark.parametrize("binary", [False, True])
def test_ridge_stands_collinear_scores_and_more_scores_than_people(binary: bool) -> None:
    scores, cohort = people(240, binary=binary)
    rng = np.random.default_rng(1)
    copies = scores.values[:, :1] + 1e-3 * rng.normal(size=(240, 300))
    copies[:, 7] = copies[:, 8]
    many = Scores(**{**vars(scores), "values": copies, "names": tuple(map(str, range(300))),
                     "n_used": np.ones(300, int), "n_missing": np.zeros(300, int)})  # fmt: skip
    with pytest.raises(AncestryDataError, match="ridge"):
        combine(many, cohort)
    fitted = combine(many, cohort, penalty="ridge")
    made, alone = fitted.apply(many).values[:, 0], scores.values[:, 0]
    # what the 300 share is the one score; their noise has squares of n 1e-6 (1 + sqrt(300 / 160))^2
    # at most, 6 % of the least penalty, so that at most as much of it gets into the sum
    assert np.corrcoef(made, alone)[0, 1] > 0.99
    with pytest.raises(AncestryDataError, match="folds"):
        combine(many, cohort.take(cohort.split == "tuning").take(np.arange(9)), penalty="ridge")
