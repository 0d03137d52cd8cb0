"""C+T as PRSice reports it: fits against statsmodels, permutations against their law, files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import naive_evaluation as naive
import numpy as np
import pandas as pd
import pytest
from test_combine import people

import prs
from prs.cross_fitting import choose_cell, cross_fit_scores
from prs.errors import SettingsError
from prs.figures.quantiles import plot_quantiles
from prs.weights.best import select_best
from prs.weights.threshold_fit import fit_thresholds, quantile_effects, write_threshold_fit

CELLS = tuple(f"EUR_r2_0.1_kb_250_p_{p}" for p in ("5e-08", "0.01", "1"))


def cells(n: int, binary: bool = False, seed: int = 0):  # type: ignore[no-untyped-def]
    scores, cohort = people(n, binary=binary, seed=seed)
    return replace(scores, names=CELLS), cohort


@pytest.mark.parametrize("binary", [False, True])
def test_fits_are_those_of_statsmodels(binary: bool) -> None:
    import statsmodels.api as sm

    scores, cohort = cells(600, binary)
    fit = fit_thresholds(scores, cohort)
    tuning = cohort.tuning()
    place = {iid: i for i, iid in enumerate(scores.samples.iid)}
    X = scores.values[[place[iid] for iid in tuning.ids]]
    covariates = tuning.covariates - tuning.covariates.mean(axis=0)
    null = np.column_stack([np.ones(tuning.n), covariates])
    y = tuning.outcome

    def model(design: np.ndarray):  # type: ignore[no-untyped-def]
        if not binary:
            return sm.OLS(y, design).fit()
        return sm.GLM(y, design, family=sm.families.Binomial()).fit(tol=1e-14)

    def r2(fitted) -> float:  # type: ignore[no-untyped-def]
        if not binary:
            return float(fitted.rsquared)
        alone = model(np.ones((len(y), 1))).llf
        return (1 - np.exp(2 * (alone - fitted.llf) / len(y))) / (1 - np.exp(2 * alone / len(y)))

    for s in range(3):
        full = model(np.column_stack([null, X[:, s]]))
        row = fit.table.iloc[s]
        # both solve normal equations of condition below 1e7: eps x 1e7 with a margin
        np.testing.assert_allclose(row["Coefficient"], full.params[-1], rtol=1e-6)
        np.testing.assert_allclose(row["Standard.Error"], full.bse[-1], rtol=1e-6)
        np.testing.assert_allclose(row["P"], full.pvalues[-1], rtol=1e-4)
        expected = 1 - (1 - r2(full)) / (1 - r2(model(null)))
        np.testing.assert_allclose(row["R2"], expected, atol=1e-8)
    assert fit.table["Threshold"].tolist() == [5e-8, 0.01, 1]
    assert fit.best == fit.table.loc[fit.table["R2"].idxmax(), "score"]
    assert sorted(fit.tuning_ids) == sorted(tuning.ids)


def test_permutations_give_the_p_of_the_best_of_many() -> None:
    scores, cohort = cells(300)
    strong = fit_thresholds(scores, cohort, n_permutations=199, seed=3)
    assert strong.summary["Empirical.P"][0] == 1 / 200
    again = fit_thresholds(scores, cohort, n_permutations=199, seed=3)
    assert again.summary.equals(strong.summary)
    # without an effect p is uniform on the steps of 1/100: its mean over 40 studies is 0.505
    # with a standard error of 0.29 / sqrt(40) = 0.046; four of them on either side
    values = []
    for seed in range(40):
        drawn = np.random.default_rng(seed).normal(size=cohort.n)
        null = replace(cohort, outcome=drawn)
        fit = fit_thresholds(scores, null, n_permutations=99, seed=seed)
        values.append(fit.summary["Empirical.P"][0])
    assert abs(np.mean(values) - 0.505) < 4 * 0.046


def test_only_tuning_people_choose_and_files_say_who(tmp_path: Path) -> None:
    scores, cohort = cells(300)
    fit = fit_thresholds(scores, cohort)
    wild = scores.values.copy()
    is_test = np.isin(scores.samples.iid, cohort.test().ids)
    wild[is_test] = 1e6
    assert fit_thresholds(replace(scores, values=wild), cohort).summary.equals(fit.summary)
    files = write_threshold_fit(fit, tmp_path / "x")
    assert [f.suffix for f in files] == [".prsice", ".summary", ".best", ".all_score"]
    best = pd.read_csv(tmp_path / "x.best", sep="\t")
    assert best["In_Regression"].tolist() == np.where(is_test, "No", "Yes").tolist()
    np.testing.assert_array_equal(best["PRS"], scores.select(fit.best).values[:, 0])
    assert pd.read_csv(tmp_path / "x.all_score", sep="\t").shape == (300, 5)
    with pytest.raises(SettingsError):
        fit_thresholds(scores, replace(cohort, split=None))


@pytest.mark.parametrize("binary", [False, True])
def test_quantiles_against_the_middle_one_are_those_of_statsmodels(binary: bool) -> None:
    import statsmodels.api as sm

    scores, cohort = cells(600, binary)
    place = {iid: i for i, iid in enumerate(scores.samples.iid)}
    values = scores.values[[place[iid] for iid in cohort.ids], 0]
    table = quantile_effects(values, cohort, n_quantiles=5)
    assert table["n"].tolist() == [120] * 5
    assert table["is_reference"].tolist() == [False, False, True, False, False]
    assert table.loc[2, ["effect", "lower", "upper"]].tolist() == [float(binary)] * 3
    fifth = pd.qcut(values, 5, labels=False)
    covariates = cohort.covariates - cohort.covariates.mean(axis=0)
    design = np.column_stack([np.ones(600), covariates, *(fifth == k for k in (0, 1, 3, 4))])
    family = sm.families.Binomial() if binary else sm.families.Gaussian()
    fit = sm.GLM(cohort.outcome, design, family=family).fit(tol=1e-14)
    scale = np.exp if binary else np.asarray
    others = table[~table["is_reference"]]
    # both solve normal equations of condition below 1e7: eps x 1e7 with a margin
    np.testing.assert_allclose(others["effect"], scale(fit.params[3:]), rtol=1e-6)
    np.testing.assert_allclose(others[["lower", "upper"]], scale(fit.conf_int()[3:]), rtol=1e-6)
    axes = plot_quantiles(table, kind=cohort.outcome_kind, outcome="y", who="600 people").axes[0]
    assert axes.get_yscale() == ("log" if binary else "linear")
    assert [label.get_text() for label in axes.get_xticklabels()] == list("12345")


def test_quantiles_without_cases_are_left_open() -> None:
    _, cohort = cells(200, binary=True)
    values = np.linspace(0, 1, 200)
    cases = (values > 0.3) & (np.arange(200) % 2 == 0)
    table = quantile_effects(values, replace(cohort, outcome=cases.astype(float)), n_quantiles=10)
    assert np.flatnonzero(table["effect"].isna()).tolist() == [0, 1, 2]
    assert np.isfinite(table.loc[3:, ["effect", "lower", "upper"]].to_numpy()).all()
    # one score for half of the people: fewer quantiles, and none of them empty
    flat = quantile_effects(np.where(values < 0.5, 0.0, values), cohort, n_quantiles=10)
    assert len(flat) < 10
    assert flat["n"].sum() == 200
    assert (flat["n"] > 0).all()
    with pytest.raises(SettingsError):
        quantile_effects(values, cohort, n_quantiles=150)


def test_a_stacked_grid_does_at_least_as_well_as_its_best_cell(demo: Path) -> None:
    panel = prs.open_genotypes(demo / "reference", samples_file=demo / "reference.EUR.txt")
    gwas = prs.read_sumstats(demo / "sumstats" / "trait.EUR.txt.gz", population="EUR", n=5e4)
    statistics = prs.harmonise(gwas, panel.variants, eaf=panel.eaf())
    weights = prs.clump_and_threshold(statistics, panel, r2=(0.1, 0.3, 0.6), kb=(100, 500))
    scores = prs.score(prs.open_genotypes(demo / "target"), weights)
    cohort = prs.read_cohort(demo / "cohort.tsv", outcome="trait", split="split")
    assert len(scores.names) == 54
    stacked = prs.combine(scores, cohort, penalty="ridge")
    test = cohort.test()
    at = prs.match_samples(test.samples, scores.samples)[1]
    pair = [m.apply(scores).values[at, 0] for m in (stacked, prs.select_best(scores, cohort))]
    rng = np.random.default_rng(0)
    differences = []
    for _ in range(100):
        drawn = rng.integers(0, test.n, test.n)
        r2 = [np.corrcoef(v[drawn], test.outcome[drawn])[0, 1] ** 2 for v in pair]
        differences.append(r2[0] - r2[1])
    r2 = [np.corrcoef(v, test.outcome)[0, 1] ** 2 for v in pair]
    # paired bootstrap: not worse by more than two standard errors of the difference
    assert r2[0] - r2[1] > -2 * np.std(differences)
    # and the weights that it amounts to give the same score
    direct = prs.score(prs.open_genotypes(demo / "target"), stacked.combine_weights(weights))
    assert np.corrcoef(direct.values[at, 0], pair[0])[0, 1] > 1 - 1e-12


def timed(n: int, seed: int = 2):  # type: ignore[no-untyped-def]
    """Three cells, of which the second moves the hazard; ages at entry and at event."""
    scores, cohort = cells(n, seed=seed)
    rng = np.random.default_rng(seed)
    place = {iid: i for i, iid in enumerate(scores.samples.iid)}
    x = (scores.values[[place[iid] for iid in cohort.ids]][:, 1] - 5) / 10
    came = 40 + rng.exponential(20 / np.exp(0.6 * x + 0.3 * cohort.covariates[:, 0]))
    entry = rng.uniform(40, 55, n)
    left = entry + rng.uniform(2, 20, n)
    made = replace(
        cohort, outcome_kind="survival", time=np.minimum(came, left), entry=entry,
        outcome=(came <= left).astype(float),
    )  # fmt: skip
    return scores, made.take(entry < made.time)


def test_times_to_an_event_choose_by_their_partial_likelihood() -> None:
    from statsmodels.duration.hazard_regression import PHReg

    scores, cohort = timed(1500)
    fit = fit_thresholds(scores, cohort)
    assert fit.best == CELLS[1]
    tuning = cohort.tuning()
    place = {iid: i for i, iid in enumerate(scores.samples.iid)}
    X = scores.values[[place[iid] for iid in tuning.ids]]
    c = tuning.covariates - tuning.covariates.mean(axis=0)

    def model(design: np.ndarray):  # type: ignore[no-untyped-def]
        return PHReg(
            tuning.time, design, status=tuning.outcome, entry=tuning.entry, ties="breslow"
        ).fit(disp=False)

    null, events = model(c), tuning.outcome.sum()
    for s in range(3):
        full = model(np.column_stack([c, X[:, s]]))
        row = fit.table.iloc[s]
        # the peer stops Newton's steps at a gradient of 1e-8 of the likelihood's size
        np.testing.assert_allclose(row["Coefficient"], full.params[-1], rtol=1e-4, atol=1e-7)
        np.testing.assert_allclose(row["Standard.Error"], full.bse[-1], rtol=1e-4)
        expected = 1 - np.exp(-2 * (full.llf - null.llf) / events)
        np.testing.assert_allclose(row["R2"], expected, atol=1e-7)
    best = select_best(scores, cohort)
    assert best.columns == (CELLS[1],)
    assert set(best.table["metric"]) == {"c"}
    # C by all pairs, of the score less what the covariates say of it
    design = np.column_stack([np.ones(tuning.n), c])
    rest = X - design @ np.linalg.lstsq(design, X, rcond=None)[0]
    won, number = naive.concordance_pairs(
        tuning.time, tuning.outcome == 1, rest[:, 1], tuning.entry
    )
    assert best.table["value"][0] == pytest.approx(won.sum() / number.sum(), rel=1e-12)
    table = quantile_effects(X[:, 1], tuning, n_quantiles=3)
    cuts = np.quantile(X[:, 1], [1 / 3, 2 / 3], method="inverted_cdf")
    thirds = np.column_stack([c, X[:, 1] <= cuts[0], X[:, 1] > cuts[1]]).astype(float)
    np.testing.assert_allclose(
        table["effect"][[0, 2]], np.exp(model(thirds).params[-2:]), rtol=1e-4
    )
    assert table["effect"][1] == 1.0
    axes = plot_quantiles(table, kind="survival", outcome="y").axes[0]
    assert axes.get_ylabel() == "hazard ratio of y"


def test_cross_fitting_of_times_judges_by_the_hazard() -> None:
    scores, cohort = timed(1200)
    fitted = cross_fit_scores(scores, replace(cohort, split=None), choose_cell, n_folds=3)
    assert set(fitted.records) == {CELLS[1]}
    whole = replace(cohort, split=np.full(cohort.n, "tuning", dtype=object))
    (row,) = fitted.summary.to_dict("records")
    assert row["r2_apparent"] == pytest.approx(fit_thresholds(scores, whole).summary["PRS.R2"][0])
    assert row["r2_held_out"] > 0.05
