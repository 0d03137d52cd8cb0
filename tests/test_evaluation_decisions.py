"""Survival, reclassification, net benefit and absolute risk: R, closed forms, by hand."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from prs.errors import InvalidValueError, SettingsError
from prs.evaluation.absolute_risk import absolute_risk, score_relative_risk
from prs.evaluation.decisions import net_benefit, reclassification
from prs.evaluation.intervals import normal_quantile
from prs.evaluation.survival import evaluate_survival, harrell_c, hazard_ratio

R = Path(__file__).parent / "fixtures" / "r"


def test_cox_and_concordance_equal_r() -> None:
    table = pd.read_csv(R / "figures.csv").set_index("name")["value"]
    d = pd.read_csv(R / "survival.csv")
    ratio, p = hazard_ratio(d["time"], d["event"], d["score"], d[["age"]])
    z = normal_quantile(0.95)
    # two Newton iterations to convergence; 1e-6 of the coefficient
    assert np.log(ratio.value) == pytest.approx(table["cox beta"], rel=1e-6)
    assert np.log(ratio.upper / ratio.value) / z == pytest.approx(table["cox se"], rel=1e-5)
    assert p < 1e-5
    c = harrell_c(d["time"], d["event"], d["score"])
    assert c.value == pytest.approx(table["harrell c"], rel=1e-12)
    assert (c.upper - c.value) / z == pytest.approx(np.sqrt(table["harrell variance"]), rel=1e-9)


def test_survival_by_group() -> None:
    rng = np.random.default_rng(1)
    n = 3000
    group = np.repeat(["EUR", "AFR", "ADM"], [2000, 970, 30])
    score = rng.normal(size=n) * 3 + np.where(group == "AFR", 5.0, 0.0)
    effect = np.where(group == "EUR", 0.5, 0.2)
    rate = 0.05 * np.exp(effect * (score - np.where(group == "AFR", 5.0, 0.0)) / 3)
    time, censored = rng.exponential(1 / rate), rng.uniform(1, 15, n)
    table = evaluate_survival(
        score, np.minimum(time, censored), (time <= censored).astype(float),
        names=["s"], group=group,
    ).set_index("group")  # fmt: skip
    assert table.loc["ADM", "status"].startswith("insufficient data")
    assert np.isnan(table.loc["ADM", "hazard_ratio"])
    for name, truth in (("EUR", 0.5), ("AFR", 0.2)):
        row = table.loc[name]
        se = np.log(row["hazard_ratio_upper"] / row["hazard_ratio"]) / 1.96
        assert abs(np.log(row["hazard_ratio"]) - truth * row["sd"] / 3) < 4 * se
        assert row["c_lower"] < row["c"] < row["c_upper"]
    assert table.index[-1] == "all"
    with pytest.raises(InvalidValueError):
        evaluate_survival(score, -time, time * 0, names=["s"])


def test_reclassification_by_hand() -> None:
    outcome = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0])
    old = np.array([0.1, 0.1, 0.3, 0.3, 0.1, 0.1, 0.1, 0.3, 0.3, 0.3])
    new = np.array([0.3, 0.3, 0.1, 0.3, 0.1, 0.1, 0.3, 0.1, 0.1, 0.3])
    table = reclassification(old, new, outcome, cutpoints=[0.2]).set_index("part")
    assert table.loc["events", ["n_up", "n_down"]].tolist() == [2, 1]
    assert table.loc["events", "nri"] == pytest.approx(1 / 4)
    assert table.loc["non-events", ["n_up", "n_down"]].tolist() == [1, 2]
    assert table.loc["non-events", "nri"] == pytest.approx(1 / 6)
    assert table.loc["sum", "nri"] == pytest.approx(1 / 4 + 1 / 6)
    same = reclassification(old, old, outcome, cutpoints=[0.2])
    assert (same[["nri", "nri_lower", "nri_upper"]] == 0).all().all()
    with pytest.raises(SettingsError, match="cutpoints"):
        reclassification(old, new, outcome, cutpoints=[20])


def test_net_benefit_is_its_definition() -> None:
    rng = np.random.default_rng(2)
    n = 4000
    x = rng.normal(size=n)
    y = (rng.random(n) < expit(-2 + x)).astype(float)
    risk = expit(-2 + x)
    table = net_benefit({"model": risk}, y, thresholds=[0.1, 0.3])
    model = table[table["model"] == "model"].set_index("threshold")
    for t in (0.1, 0.3):
        treat = risk >= t
        direct = (treat & (y == 1)).mean() - (treat & (y == 0)).mean() * t / (1 - t)
        assert model.loc[t, "net_benefit"] == pytest.approx(direct)
        assert model.loc[t, "net_benefit_lower"] < direct < model.loc[t, "net_benefit_upper"]
    every = table[table["model"] == "all"].set_index("threshold")["net_benefit"]
    assert every[0.1] == pytest.approx(y.mean() - (1 - y.mean()) / 9)
    # A true risk beats acting on everybody and on nobody, up to noise.
    assert model.loc[0.1, "net_benefit"] > every[0.1] - 0.01
    # With cases oversampled and the prevalence given: as in the population.
    keep = (y == 1) | (rng.random(n) < 0.3)
    share = y.mean()
    sampled = net_benefit({"m": risk[keep]}, y[keep], thresholds=[0.1], prevalence=share)
    width = model.loc[0.1, "net_benefit_upper"] - model.loc[0.1, "net_benefit_lower"]
    assert sampled["net_benefit"].iloc[0] == pytest.approx(model.loc[0.1, "net_benefit"], abs=width)


def rates(*rows: tuple[float, float, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["age_from", "age_to", "rate"])


def test_absolute_risk_has_closed_forms() -> None:
    steady = rates((0, 50, 0.01), (50, 100, 0.01))
    out = absolute_risk([0.5, 1.0, 3.0], steady, age_from=40, age_to=63)
    np.testing.assert_allclose(out, 1 - np.exp(-0.01 * np.array([0.5, 1, 3]) * 23))
    death = rates((0, 60, 0.02), (60, 100, 0.02))
    r, m = 0.02, 0.02
    assert absolute_risk(2.0, steady, death, age_from=50, age_to=70) == pytest.approx(
        r / (r + m) * (1 - np.exp(-(r + m) * 20))
    )
    # Two bands: the second is reached by those that neither event took.
    rising = rates((40, 50, 0.01), (50, 60, 0.03))
    expected = 1 - np.exp(-0.1) + np.exp(-0.1) * (1 - np.exp(-0.3))
    assert absolute_risk(1.0, rising, age_from=40, age_to=60) == pytest.approx(expected)
    assert absolute_risk(0.0, rising, age_from=40, age_to=60) == 0.0
    with pytest.raises(InvalidValueError, match="covers ages 40 to 60"):
        absolute_risk(1.0, rising, age_from=30, age_to=60)
    with pytest.raises(InvalidValueError, match="100,000"):
        absolute_risk(1.0, rates((0, 90, 120)), age_from=30, age_to=60)
    with pytest.raises(InvalidValueError, match="gaps"):
        absolute_risk(1.0, rates((0, 40, 0.1), (50, 90, 0.1)), age_from=30, age_to=60)


def test_relative_risks_average_to_one() -> None:
    z = np.random.default_rng(3).normal(size=200_000)
    relative = score_relative_risk(z, 1.8)
    b = np.log(1.8)
    se = np.sqrt((np.exp(b * b) - 1) / len(z))
    assert relative.mean() == pytest.approx(1.0, abs=4.5 * se)


def test_evaluate_command_takes_times(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from prs.cli import main

    rng = np.random.default_rng(5)
    n = 600
    score = rng.normal(size=n)
    event_time = rng.exponential(10 / np.exp(0.6 * score))
    censored = rng.uniform(1, 20, n)
    ids = [f"p{i}" for i in range(n)]
    pd.DataFrame(
        {
            "IID": ids,
            "ancestry": np.where(np.arange(n) < 400, "EUR", "AFR"),
            "split": np.where(np.arange(n) % 2, "test", "tuning"),
            "event": (event_time <= censored).astype(int),
            "years": np.minimum(event_time, censored),
        }
    ).to_csv(tmp_path / "c.tsv", sep="\t", index=False)
    pd.DataFrame({"FID": 0, "IID": ids, "s": score}).to_csv(
        tmp_path / "s.tsv", sep="\t", index=False
    )
    arguments = ["evaluate", "--scores", tmp_path / "s.tsv", "--cohort", tmp_path / "c.tsv"]
    arguments += ["--outcome", "event", "--time", "years", "--split", "split", "--horizons", "4,8"]
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in [*arguments, "--out", tmp_path / "out"]])
    assert not stop.value.code, capsys.readouterr().err
    table = pd.read_csv(tmp_path / "out.accuracy.tsv", sep="\t").set_index("group")
    assert table.loc["all", "n"] == 300
    assert 1.4 < table.loc["EUR", "hazard_ratio"] < 2.4
    assert table.loc["EUR", "c"] > 0.58
    arguments[0] = "report"
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in [*arguments, "--out", tmp_path / "page"]])
    assert not stop.value.code, capsys.readouterr().err
    page = (tmp_path / "page" / "report.html").read_text(encoding="utf-8")
    for words in ("time to an event; risks by 4 (years)", "hazard ratio per SD", "Cox ("):
        assert words in page


def test_evaluate_says_who_is_reclassified() -> None:
    from prs.evaluation.evaluate import evaluate
    from prs.evaluation.risk_models import predict_risks
    from prs.inputs.cohort import Cohort
    from prs.samples import SampleTable

    rng = np.random.default_rng(8)
    n = 4000
    group = np.where(np.arange(n) < 2400, "EUR", "AFR").astype(object)
    group[:15] = "ADM"
    age, score = rng.normal(size=n), rng.normal(size=n)
    y = (rng.random(n) < expit(-1.5 + 0.5 * age + 0.7 * score)).astype(float)
    split = np.where(np.arange(n) % 2, "test", "tuning").astype(object)
    people = SampleTable.from_ids([f"p{i}" for i in range(n)])
    cohort = Cohort(people, y, "d", "binary", age[:, None], ("age",), {"ancestry": group}, split,
                    {}, "")  # fmt: skip
    scores = SimpleNamespace(
        samples=people, values=np.column_stack([rng.normal(size=n), score]), names=("noise", "s")
    )
    made = evaluate(scores, cohort, risk_thresholds=[0.1, 0.3], n_bootstrap=100)
    moved = made.reclassification.set_index(["score", "versus", "group", "part"])
    methods = dict.fromkeys(("EUR", "AFR"), "intercept + slope")
    risks = predict_risks(y, score, age[:, None], group, split == "tuning", binary=True,
                          methods=methods)  # fmt: skip
    here = (split == "test") & (group == "EUR")
    direct = reclassification(
        risks.covariates_recalibrated[here], risks.recalibrated[here], y[here],
        cutpoints=[0.1, 0.3],
    ).set_index("part")  # fmt: skip
    for part in ("events", "non-events"):
        found = moved.loc[("s", "covariates only", "EUR", part)]
        assert found["nri"] == pytest.approx(direct.loc[part, "nri"])
        assert found["n_part"] == direct.loc[part, "n"]
    assert moved.loc[("s", "noise", "EUR", "events"), "nri_lower"] > 0
    assert moved.loc[("s", "noise", "ADM", "sum"), "status"].startswith("insufficient data")
    curves = made.net_benefit.query("group == 'EUR'").set_index(["score", "threshold"])
    at = curves.loc["s"].index[12]
    assert curves.loc[("s", at), "difference_lower"] > 0
    gap = curves.loc[("s", at), "net_benefit"] - curves.loc[("covariates only", at), "net_benefit"]
    assert curves.loc[("s", at), "difference"] == pytest.approx(gap)
    # without information there is no gain, at any threshold, within 4.5 standard errors
    noise = curves.loc["noise"]
    se = (noise["difference_upper"] - noise["difference_lower"]) / 3.92
    assert (noise["difference"].abs() < 4.5 * se + 1e-12).all()
    assert evaluate(scores, cohort, n_bootstrap=100).reclassification.empty
    assert len(made.plot_net_benefit().axes) == 4
