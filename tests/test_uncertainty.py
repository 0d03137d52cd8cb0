"""One person's score: intervals from posterior draws, their coverage, the loci that carry it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from scipy.stats import norm
from small_study import make_small_study

from prs.errors import InvalidValueError, SettingsError
from prs.evaluation.uncertainty import PeopleUncertainty, draw_risks, summarise_draws
from prs.individuals import combine_draws, draw_weights, score_draws, top_loci
from prs.inputs.genotypes import open_genotypes
from prs.inputs.harmonise import harmonise
from prs.inputs.sumstats import read_sumstats
from prs.ld.compute import compute_ld
from prs.scoring import score
from prs.simulate.prior import simulate_from_prior
from prs.weights.csx import fit_csx


def names(n: int) -> np.ndarray:
    return np.array([f"p{i}" for i in range(n)], dtype=object)


def test_intervals_of_normal_draws_are_those_of_the_normal() -> None:
    rng = np.random.default_rng(0)
    n, d = 400, 4000
    mean = rng.normal(size=n)
    u = summarise_draws(mean[:, None] + 0.5 * rng.normal(size=(n, d)), ids=names(n), score=mean)
    half = norm.ppf(0.95) * 0.5
    # the 5 % quantile of d draws has SE sqrt(0.05 0.95 / d) / density = 0.5 * 2.11 / sqrt(d)
    tolerance = 5 * 0.5 * 2.11 / np.sqrt(d)
    np.testing.assert_allclose(u.score_lower, mean - half, atol=tolerance)
    np.testing.assert_allclose(u.score_upper, mean + half, atol=tolerance)
    # P(top): the threshold of a draw is the 90 % quantile of N(0, 1.25) among 400 people; the
    # people's own means wander from the normal's by their sampling error, and d matters little
    threshold = np.quantile(mean[:, None] + 0.5 * rng.normal(size=(n, 50)), 0.9)
    expected = norm.sf(threshold, mean, 0.5)
    assert np.abs(u.p_top - expected).max() < 0.06
    assert u.p_top.mean() == pytest.approx(0.1, abs=1e-9)  # 40 of 400 people in every draw
    table = u.by_group().iloc[0]
    assert table["reliability"] == pytest.approx(mean.var() / (mean.var() + 0.25), abs=0.01)
    assert table["n_top"] == 40
    assert table["n_certain"] == int((u.in_top & (u.percentile_lower >= 0.9)).sum())


def test_certainty_has_its_limits() -> None:
    rng = np.random.default_rng(1)
    mean = rng.normal(size=300)
    sure = summarise_draws(np.repeat(mean[:, None], 50, axis=1), ids=names(300), score=mean)
    assert (sure.certainly_top == sure.in_top).all()
    np.testing.assert_allclose(sure.percentile_lower, sure.percentile)
    assert sure.by_group()["share_certain"].iloc[0] == 1.0
    # A shift that everybody shares is no uncertainty of a rank.
    shared = summarise_draws(mean[:, None] + 9 * rng.normal(size=50), ids=names(300), score=mean)
    np.testing.assert_array_equal(shared.percentile_lower, shared.percentile)
    # Draws that say nothing leave nobody certain.
    noise = summarise_draws(rng.normal(size=(300, 400)), ids=names(300), score=mean)
    assert not noise.certainly_top.any()
    assert noise.p_top == pytest.approx(np.full(300, 0.1), abs=5 * np.sqrt(0.09 / 400))


def test_too_few_people_of_an_ancestry_is_said() -> None:
    rng = np.random.default_rng(2)
    group = np.repeat(["EUR", "AFR"], [200, 30])
    draws = rng.normal(size=(230, 40))
    risks = draw_risks(draws, np.zeros(230), 1.0)
    u = summarise_draws(draws, ids=names(230), group=group, risks=risks)
    few = group == "AFR"
    assert np.isnan(u.percentile[few]).all()
    assert np.isnan(u.risk[few]).all()
    assert np.isfinite(u.percentile[~few]).all()
    assert np.isfinite(u.score_lower[few]).all()  # the score itself needs nobody to rank among
    assert "Not enough data for this ancestry (AFR)" in u.sentence("p229")
    assert "percentile" in u.sentence("p0")
    assert "absolute risk" in u.sentence("p0")
    table = u.by_group().set_index("group")
    assert table.loc["AFR", "status"].startswith("insufficient data: 30 people")
    assert pd.isna(table.loc["AFR", "n_top"])
    with pytest.raises(SettingsError, match="no person"):
        u.sentence("nobody")
    with pytest.raises(InvalidValueError):
        summarise_draws(np.full((3, 40), np.nan), ids=names(3))


def test_risk_follows_the_score() -> None:
    rng = np.random.default_rng(3)
    draws = rng.normal(size=(120, 2000))
    linear = np.linspace(-3, -1, 120)
    risks = draw_risks(draws, linear, 0.7)
    u = summarise_draws(draws, ids=names(120), risks=risks)
    half = norm.ppf(0.95) * 0.7
    # ends of the interval are monotone images; SE of the quantile 0.7 * 2.11 / sqrt(2000)
    np.testing.assert_allclose(u.risk_upper, expit(linear + half), atol=5 * 0.25 * 0.033)
    assert (u.risk_lower < u.risk).all()
    assert (u.risk < u.risk_upper).all()


def coverage(n_data_sets: int, phi: float) -> pd.DataFrame:
    """Share of people whose 90 % interval holds their genetic value, when the model holds."""
    n_gwas = {"A": 20_000.0, "B": 5_000.0}
    rows = []
    for r in range(n_data_sets):
        world = simulate_from_prior(
            n_gwas, phi=0.05, ld_decay={"A": 0.8, "B": 0.6}, n_people=400, seed=100 + r
        )
        posterior = fit_csx(
            world.sumstats, world.ld, phi=phi, n_iter=1500, n_burnin=500, n_chains=1, seed=r,
            keep_draws=True, n_threads=1,
        )  # fmt: skip
        assert posterior.draws is not None
        for k, name in enumerate(posterior.populations):
            people, truth = world.genotypes[name], world.genetic_values(name)
            draws = people @ posterior.draws[name].T.astype(float)
            u = summarise_draws(
                draws, ids=names(len(people)), score=people @ posterior.beta_mean[k]
            )
            held = (u.score_lower <= truth) & (truth <= u.score_upper)
            rows.append((name, held.mean(), held[u.in_top].mean()))
    return pd.DataFrame(rows, columns=["population", "all", "top"])


def test_credible_intervals_cover() -> None:
    shares = coverage(12, 0.05).groupby("population").agg(["mean", "sem"])
    for part in ("all", "top"):
        for name in ("A", "B"):
            mean, sem = shares.loc[name, (part, "mean")], shares.loc[name, (part, "sem")]
            # Data sets are independent; Student's t of 11 d.f. for a p of 0.001, and no wider
            # than a fifth of the non-coverage could hide.
            assert abs(mean - 0.9) < max(4.4 * sem, 0.02), (part, name, mean, sem)
            assert 0.85 < mean < 0.95


@pytest.mark.slow
def test_credible_intervals_cover_88_to_92_per_cent() -> None:
    shares = coverage(100, 0.05).groupby("population")[["all", "top"]].mean()
    assert shares.to_numpy() == pytest.approx(np.full((2, 2), 0.9), abs=0.02)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory):
    study = make_small_study(tmp_path_factory.mktemp("draws"))
    reference = open_genotypes(study.reference)
    sumstats, ld = {}, {}
    for p, name in enumerate(("AAA", "BBB")):
        own = reference.subset(samples=np.arange(150 * p, 150 * (p + 1)))
        ld[name] = compute_ld(own, population=name)
        read = read_sumstats(study.sumstats(name), population=name)
        sumstats[name] = harmonise(read, ld[name].variants, eaf=ld[name].eaf)
    posterior = fit_csx(sumstats, ld, phi=1e-2, n_iter=200, n_burnin=100, keep_draws=True, seed=4)
    return open_genotypes(study.target), posterior


def test_scores_of_draws_average_to_the_score(fitted) -> None:
    genotypes, posterior = fitted
    draws = score_draws(genotypes, posterior, populations=["AAA", "META"], n_draws=None)
    means = score(genotypes, posterior.weights())
    for name, values in draws.items():
        assert values.shape == (480, len(posterior.draws["AAA"]))
        point = means.select(name).values[:, 0]
        # The mean of the draws is the posterior mean up to Monte Carlo error; 40 draws with
        # some autocorrelation.
        error = (values.mean(axis=1) - point).std() / values.std(axis=1).mean()
        assert error < 4 / np.sqrt(values.shape[1] / 4)
        assert np.corrcoef(values.mean(axis=1), point)[0, 1] > 0.98
    few = score_draws(genotypes, posterior, populations=["AAA"], n_draws=10)["AAA"]
    assert few.shape == (480, 10)
    one = draw_weights(posterior, "AAA", n_draws=10)
    np.testing.assert_allclose(few, score(genotypes, one).values)
    with pytest.raises(SettingsError, match="no population"):
        draw_weights(posterior, "CCC")


def test_combined_draws_are_combined_scores_of_draws() -> None:
    rng = np.random.default_rng(5)
    draws = {"A": rng.normal(size=(6, 30)), "B": rng.normal(size=(6, 30))}
    table = pd.DataFrame(
        [
            {"group": g, "score": f"csx_{s}", "coefficient": c, "mean": 0.5, "sd": 2.0}
            for g, c in (("all", 1.0), ("EUR", 3.0))
            for s in ("A", "B")
        ]
    )
    out = combine_draws(draws, table, ["EUR"] * 3 + ["other"] * 3)
    total = (draws["A"] + draws["B"] - 1.0) / 2.0
    np.testing.assert_allclose(out[:3], 3 * total[:3])
    np.testing.assert_allclose(out[3:], total[3:])


def test_loci_add_up(fitted) -> None:
    genotypes, posterior = fitted
    weights = posterior.weights().select("AAA")
    people = [str(iid) for iid in genotypes.samples.iid[[3, 77]]]
    table = top_loci(genotypes, weights, people=people, n_loci=1000, locus_kb=50)
    total = score(genotypes, weights).values[:, 0]
    eaf = genotypes.eaf()
    # A missing call counts nothing here and 2f in the score: the same, against the average.
    w = np.zeros(genotypes.n_variants)
    place = {v: i for i, v in enumerate(genotypes.variants.id)}
    for v, value in zip(weights.variants.id, weights.weights[:, 0], strict=True):
        w[place[v]] = value
    same = weights.variants.effect_allele == genotypes.variants.effect_allele[
        [place[v] for v in weights.variants.id]
    ]  # fmt: skip
    assert same.all()
    for i, person in zip((3, 77), people, strict=True):
        rows = table[table["IID"] == person]
        assert rows["contribution"].sum() == pytest.approx(rows["total"].iloc[0])
        assert rows["total"].iloc[0] == pytest.approx(total[i] - 2 * eaf @ w, abs=1e-6)
        assert rows["contribution"].abs().is_monotonic_decreasing
    shares = top_loci(genotypes, weights, n_loci=1000, locus_kb=50)
    assert shares["share"].sum() == pytest.approx(1.0)
    assert len(shares) == table.groupby("IID").size().iloc[0]
    assert len(top_loci(genotypes, weights)) <= 10
    with pytest.raises(SettingsError, match="not in"):
        top_loci(genotypes, weights, people=["nobody"])


def test_people_table(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    u = summarise_draws(rng.normal(size=(150, 30)), ids=names(150))
    assert isinstance(u, PeopleUncertainty)
    frame = u.to_frame()
    assert len(frame) == 150
    assert (frame["score_lower"] <= frame["score_upper"]).all()
    assert frame["risk"].isna().all()


def test_what_all_people_share_is_not_uncertainty() -> None:
    rng = np.random.default_rng(9)
    group = np.repeat(["A", "B"], [150, 20])
    score = rng.normal(size=170)
    own = 0.3 * rng.normal(size=(170, 60))
    shift = 5 * rng.normal(size=60)
    plain = summarise_draws(score[:, None] + own, ids=names(170), score=score, group=group)
    moved = summarise_draws(score[:, None] + own + shift, ids=names(170), score=score, group=group)
    np.testing.assert_allclose(plain.score_lower, moved.score_lower)
    np.testing.assert_allclose(plain.score_sd, moved.score_sd)
    # A group with enough people may move on its own; a small one goes with everybody.
    apart = score[:, None] + own + np.where(group[:, None] == "A", shift, 0.0)
    again = summarise_draws(apart, ids=names(170), score=score, group=group)
    np.testing.assert_allclose(again.score_sd[:150], plain.score_sd[:150])
    assert again.score_sd[150:].min() > 1.0


def test_report_has_a_section_on_one_person(tmp_path: Path) -> None:
    from test_evaluation import make_study

    from prs.evaluation.distance import accuracy_by_distance
    from prs.evaluation.evaluate import evaluate
    from prs.report.write import ReportInputs, write_report

    scores, cohort = make_study()
    evaluation = evaluate(scores, cohort, n_bootstrap=100)
    rng = np.random.default_rng(1)
    n = len(scores.samples.iid)
    order = {iid: i for i, iid in enumerate(cohort.samples.iid)}
    at = [order[iid] for iid in scores.samples.iid]
    group, outcome = cohort.labels["ancestry"][at], cohort.outcome[at]
    point = scores.values[:, 0]
    draws = point[:, None] + rng.normal(size=(n, 60))
    u = summarise_draws(draws, ids=scores.samples.iid, score=point, group=group, min_reference=200)
    distance = accuracy_by_distance(point, outcome, rng.gamma(2.0, size=n), kind="binary")
    inputs = ReportInputs(
        "T", scores, cohort, evaluation,
        uncertainty={
            "people": u.to_frame(),
            "groups": u.by_group(),
            "notes": pd.DataFrame({"note": ["The chains have not converged."]}),
        },
        distance=distance,
    )  # fmt: skip
    page = write_report(inputs, tmp_path).read_text(encoding="utf-8")
    assert "of these, interval wholly inside it" in page
    assert "The chains have not converged." in page
    assert "120 people to rank among (floor 200)" in page  # ADM
    assert "for each SD of distance" in page
    for name in ("uncertainty", "distance"):
        assert (tmp_path / "figures" / f"{name}.svg").exists()
        assert (tmp_path / "tables" / f"{name}.tsv").exists()
    # Nobody's own figures leave in the tables or the JSON.
    text = (tmp_path / "report.json").read_text(encoding="utf-8")
    assert '"p17"' not in text
    without = write_report(ReportInputs("T", scores, cohort, evaluation), tmp_path / "b")
    assert "cannot be said here" in without.read_text(encoding="utf-8")
    shown = evaluation._repr_html_()
    assert shown.count("data:image/png;base64,") == 4
    assert evaluation.plot_deciles(score="good").axes


@pytest.mark.parametrize("method", ["mean", "mean+variance", "empirical"])
def test_draws_on_one_scale_cover_and_are_comparable(method: str) -> None:
    from prs.inputs.cohort import Cohort
    from prs.people import DrawnScores, Scale
    from prs.samples import SampleTable

    rng = np.random.default_rng(21)
    n, n_draws, sd = 2000, 120, 0.5
    group = np.repeat(["A", "B"], n // 2).astype(object)
    is_b = group == "B"
    # means (and, but for "mean", spreads) differ; the posterior of each value is N(m, sd^2)
    spread = np.where(is_b, 1.0 if method == "mean" else 2.0, 1.0)
    m = np.where(is_b, 3.0, 0.0) + spread * rng.normal(size=n)
    truth = m + spread * sd * rng.normal(size=n)
    draws = m[:, None] + (spread * sd)[:, None] * rng.normal(size=(n, n_draws))
    people = SampleTable.from_ids(names(n))
    split = np.where(np.arange(n) % 2, "test", "tuning").astype(object)
    y = (rng.random(n) < expit(-1 + (truth - np.where(is_b, 3.0, 0.0)) / spread)).astype(float)
    cohort = Cohort(people, y, "d", "binary", np.empty((n, 0)), (), {"ancestry": group}, split,
                    {}, "")  # fmt: skip
    pcs = None if method == "empirical" else is_b[:, None] + 0.01 * rng.normal(size=(n, 1))
    scale = Scale(people, pcs, split == "tuning", method)
    one = DrawnScores(cohort, m, draws).summarise(scale=scale)
    # what the truth is on that scale
    z = scale.normalise(truth[:, None], group)[:, 0]
    for name in ("A", "B"):
        here = group == name
        # people are independent: 4 binomial standard errors of 1,000 about 90 per cent, and the
        # score (mean of the draws) is on a scale of its own, whose SD is less by the posterior's:
        # each draw has the truth's
        held = (one.score_lower <= z) & (z <= one.score_upper)
        assert held[here].mean() == pytest.approx(0.9, abs=4 * np.sqrt(0.09 / 1000))
        assert one.score[here].mean() == pytest.approx(0.0, abs=4 / np.sqrt(1000))
        assert one.score[here].std() == pytest.approx(1.0, abs=0.1)
        # a tenth of each ancestry is in the top decile of all, and P(top) says how many truly are
        assert one.in_top[here].mean() == pytest.approx(0.1, abs=4 * np.sqrt(0.09 / 1000))
        top = z >= np.quantile(z[scale.reference], 0.9)
        se = np.sqrt((one.p_top * (1 - one.p_top))[here].sum()) / here.sum()
        assert one.p_top[here].mean() == pytest.approx(top[here].mean(), abs=4 * se + 0.01)
    assert set(one.group) == {"all"}
    # carried on to absolute risk: on average the share of cases
    assert (one.risk_lower < one.risk).all()
    test = split == "test"
    assert one.risk[test].mean() == pytest.approx(y[test].mean(), abs=4 * np.sqrt(0.2 / 1000))
