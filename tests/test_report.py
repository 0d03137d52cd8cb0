"""The report: what the page says, what the files hold, and that both are the same every time."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from prs.errors import SettingsError
from prs.evaluation.evaluate import evaluate
from prs.evaluation.result import Evaluation
from prs.evaluation.tables import COLUMNS, make_frame
from prs.figures.style import ancestry_colors, svg_bytes
from prs.figures.views import Estimate, format_number, short_status
from prs.matching import Fate, MatchReport
from prs.report import figures
from prs.report.inputs import ReportInputs
from prs.report.process_figures import LOSS_GROUPS
from prs.report.standard import ITEMS, NOT_REPORTED, fill_items
from prs.report.verdicts import judge, judge_calibration
from prs.report.write import write_report
from prs.samples import SampleTable
from prs.variants import VariantTable

SCORES = ("EUR_ct", "EUR_csx", "multi")
#: group -> people, cases, accuracy relative to the best, O/E and slope of the uncorrected model
GROUPS = {
    "EUR": (1600, 320, 1.0, 1.02, 0.98),
    "AFR": (1100, 190, 0.45, 0.66, 0.55),
    "EAS": (900, 140, 0.7, 1.31, 0.85),
    "ADMIXED": (90, 8, 0.6, 1.0, 1.0),
}
POOLED = {"all": (3690, 658, 0.8, 0.95, 0.8)}
WITHHELD = "insufficient data: 8 cases, 20 are needed"


def _around(name: str, value: float, half: float) -> dict[str, float]:
    return {name: value, f"{name}_lower": value - half, f"{name}_upper": value + half}


def _base(score: str, group: str, kind: str) -> dict[str, object]:
    n, events, *_ = (GROUPS | POOLED)[group]
    head: dict[str, object] = {"score": score, "group": group, "n": n, "status": "ok"}
    head["n_events"] = events if kind == "binary" else None
    if group == "ADMIXED":
        head["status"] = WITHHELD
    return head


def make_evaluation(kind: str = "binary") -> Evaluation:
    """Tables of the right columns with plausible figures; ADMIXED has too few cases."""
    rows: dict[str, list[dict[str, object]]] = {name: [] for name in COLUMNS[kind]}
    for s, score in enumerate(SCORES):
        for group, (n, events, share, oe, slope) in (
            GROUPS | {"all": (3690, 658, 0.8, 0.95, 0.8)}
        ).items():
            head = _base(score, group, kind)
            half = 2.2 / np.sqrt(n)
            strength = share * (0.6 + 0.2 * s)
            good = group != "ADMIXED"
            if kind == "binary":
                figures_ = {
                    **_around("auc", 0.5 + 0.2 * strength, half),
                    **_around("auc_gain", 0.1 * strength, half / 2),
                    **_around("r2_nagelkerke", 0.12 * strength, half / 2),
                    **_around("r2_liability", 0.10 * strength, half / 2),
                    **_around("odds_ratio", 1 + strength, 3 * half),
                }
            else:
                figures_ = {
                    **_around("r2", 0.14 * strength, half / 2),
                    **_around("r2_incremental", 0.12 * strength, half / 2),
                    **_around("r2_predictive", 0.11 * strength, half / 2),
                    **_around("slope", 0.4 * strength, half),
                    "outcome_sd": 1.0,
                }
            rows["accuracy"].append(head | (figures_ if good else {}))
            for model in ("uncorrected", "recalibrated"):
                o, b = (oe, slope) if model == "uncorrected" else (1.01, 0.97)
                center = {"oe": o} if kind == "binary" else {"intercept": o - 1}
                cal: dict[str, object] = {"model": model, "recalibration": "intercept + slope"}
                for name, value in (center | {"slope": b}).items():
                    cal |= _around(name, value, 1.5 * half)
                rows["calibration"].append(head | {"model": model} | (cal if good else {}))
                if not good:
                    rows["calibration_curve"].append(head | {"model": model})
                    continue
                x = np.linspace(0.05, 0.45, 40)
                y = np.clip(o * 0.2 + b * (x - 0.2), 0.005, 1)
                for xi, yi in zip(x, y, strict=True):
                    rows["calibration_curve"].append(
                        head | {"model": model, "predicted": xi, "observed": yi,
                                "lower": max(yi - half, 0), "upper": yi + half}
                    )  # fmt: skip
                for i in range(8):
                    rows["calibration_bins"].append(
                        head | {"model": model, "bin": i + 1, "predicted": x[5 * i],
                                "observed": y[5 * i] + 0.01 * (-1) ** i,
                                "lower": y[5 * i] - half, "upper": y[5 * i] + half}
                    )  # fmt: skip
            risk = events / n * np.exp(strength * np.linspace(-1, 1, 10))
            for i in range(10):
                value = "risk" if kind == "binary" else "mean"
                here = head | {"decile": i + 1, "n": n // 10}
                here |= _around(value, float(risk[i]), 2 * half) if good else {}
                rows["deciles"].append(here)
            for contrast in ("top vs bottom", "top vs middle", "trend"):
                value = "risk_ratio" if kind == "binary" else "difference"
                ratio = float(np.exp(2 * strength))
                rows["contrasts"].append(
                    head | {"contrast": contrast, "p": 1e-9}
                    | (_around(value, ratio, 0.3 * ratio) if good else {})
                )  # fmt: skip
            measures = ("auc", "r2_nagelkerke", "r2_liability") if kind == "binary" else (
                "r2", "r2_incremental")  # fmt: skip
            for measure in measures if group not in ("EUR", "all") else ():
                port = {"value": 0.1 * share, "value_reference": 0.1} | _around("ratio", share, 0.2)
                rows["portability"].append(
                    head | {"reference_group": "EUR", "measure": measure} | (port if good else {})
                )
            rows["distribution"].append(head | {"part": "all", "mean": 0.0, "sd": 1.0})
            if s == 0:
                rows["people"].append({"group": group, "n_cohort": n + 500, "n_tuning": 500, "n": n,
                                       "n_events": head["n_events"], "status": "ok"})  # fmt: skip
    frames = {name: make_frame(kind, name, r) for name, r in rows.items()}
    return Evaluation(
        **frames,
        groups=tuple(GROUPS),
        reference_group="EUR",
        outcome="disease" if kind == "binary" else "height",
        outcome_kind=kind,
        scores=SCORES,
        settings={"confidence": 0.95, "by": "ancestry", "prevalence": {"EUR": 0.2}},
        notes=("EAS has fewer than 200 cases: its smooth calibration curve is rough.",),
    )


def make_people(kind: str) -> tuple[SimpleNamespace, SimpleNamespace]:
    rng = np.random.default_rng(1)
    labels = np.repeat(list(GROUPS), [g[0] for g in GROUPS.values()]).astype(object)
    shift = {"EUR": 0.0, "AFR": -0.8, "EAS": 0.5, "ADMIXED": -0.3}
    z = rng.normal(size=len(labels)) + np.array([shift[g] for g in labels])
    liability = 0.5 * z + rng.normal(size=len(labels))
    outcome = (liability > 0.9).astype(float) if kind == "binary" else liability
    samples = SampleTable.from_ids([f"P{i}" for i in range(len(labels))])
    values = np.column_stack([z, z + rng.normal(size=len(z)), z])
    scores = SimpleNamespace(samples=samples, values=values, names=SCORES)
    cohort = SimpleNamespace(
        samples=samples,
        outcome=outcome,
        outcome_name="disease",
        outcome_kind=kind,
        covariates=np.column_stack([rng.uniform(40, 70, len(z)), rng.normal(size=len(z))]),
        covariate_names=("age", "PC1"),
        labels={"ancestry": labels},
        n_dropped={"no outcome": 12},
    )
    return scores, cohort


def make_inputs(kind: str = "binary", title: str = "Demo study") -> ReportInputs:
    rng = np.random.default_rng(2)
    scores, cohort = make_people(kind)
    m = 40
    variants = VariantTable(
        chrom=np.repeat(np.array([1, 2], np.int8), m // 2),
        pos=np.arange(1, m + 1) * 1000,
        id=np.array([f"rs{i}" for i in range(m)], dtype=object),
        effect_allele=np.full(m, "A", object),
        other_allele=np.full(m, "G", object),
    )
    walk = np.exp(np.cumsum(rng.normal(size=(2, 800)) * 0.1, axis=1) - 6)
    posterior = SimpleNamespace(
        populations=("EUR", "AFR"),
        phi_trace=walk,
        sigma_trace={p: 1 + 0.02 * rng.normal(size=(2, 800)) for p in ("EUR", "AFR")},
        rhat={"phi": 1.31, "sigma_EUR": 1.0, "sigma_AFR": 1.01},
        ess={"phi": 9.0, "sigma_EUR": 800.0, "sigma_AFR": 750.0},
        converged=False,
        warnings=("sigma of AFR reached 1.4: summary statistics and LD may not fit",),
    )
    reports = tuple(
        MatchReport(
            source=f"{p} summary statistics",
            target="target genotypes",
            counts=dict(zip([f.label for f in Fate], counts, strict=True)),
            n_target=15000,
        )
        for p, counts in {
            "EUR": (9000, 4000, 300, 200, 600, 400, 120, 40, 12, 900, 30, 70, 15),
            "AFR": (8000, 5000, 0, 0, 500, 450, 200, 0, 0, 2200, 5, 0, 0),
        }.items()
    )
    grid = pd.DataFrame(
        {
            "score": [f"EUR_r2_0.1_kb_250_p_{p:g}" for p in (5e-8, 1e-4, 0.01, 0.5, 1.0)],
            "value": [0.55, 0.6, 0.64, 0.62, 0.61],
            "metric": "AUC in tuning people",
        }
    )
    return ReportInputs(
        title=title,
        scores=scores,
        cohort=cohort,
        evaluation=make_evaluation(kind),
        settings={"methods": {"ct": {"p_thresholds": [5e-8, 1.0]}, "csx": {"phi": "auto"}}},
        match_reports=reports,
        read_losses={"cohort": {"no outcome": 12}},
        ld=pd.DataFrame({"population": ["EUR", "AFR"], "n_samples": [500, 450],
                         "n_variants": [14800, 14100], "n_blocks": [31, 55],
                         "source": ["reference/eur", "reference/afr"]}),
        posteriors={"EUR + AFR": posterior},
        weights=[SimpleNamespace(variants=variants, weights=rng.normal(size=(m, 2)) * 0.02,
                                 names=("EUR_csx", "multi"), eaf=rng.uniform(0.05, 0.95, m))],
        ct_grid=grid,
        provenance={"command": "prs run study.toml", "seed": 1, "machine": "Linux x86_64",
                    "versions": {"prs": "0.1.0"}, "inputs": {"target.bed": "sha256:00ff"}},
        notes=("Simulated data.",),
        prs_rs={"3": "Simulated cohort, no recruitment."},
    )  # fmt: skip


class Page(HTMLParser):
    """Collects tags, text and whether every element is closed where it should be."""

    VOID = ("meta", "img", "br", "link", "input", "hr")

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.text += data + " "


@pytest.fixture(scope="module", params=["binary", "quantitative"])
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    inputs = make_inputs(request.param)
    folder = tmp_path_factory.mktemp(request.param)
    return inputs, folder, write_report(inputs, folder).read_text(encoding="utf-8")


def test_page_is_wellformed_and_self_contained(written) -> None:
    _, folder, text = written
    page = Page(text)
    assert page.open == []
    assert not [t for t, _ in page.tags if t in ("script", "link", "iframe", "object")]
    assert "@import" not in text
    assert not re.search(r"url\(|undefined|\bnan\b", re.sub(r"base64,[^\"]*", "", text))
    for tag, attrs in page.tags:
        if "src" in attrs:
            assert (attrs["src"] or "").startswith("data:image/svg+xml;base64,")
        if tag == "a":
            assert re.match(r"#|https://doi\.org/", attrs["href"] or "")
    ids = {attrs["id"] for _, attrs in page.tags if "id" in attrs}
    anchors = {(a["href"] or "")[1:] for t, a in page.tags if t == "a" and a["href"][0] == "#"}
    assert anchors <= ids
    assert (folder / "report.html").stat().st_size < 3_000_000


def test_figures_have_alt_texts_with_numbers(written) -> None:
    _, folder, text = written
    images = [attrs for tag, attrs in Page(text).tags if tag == "img"]
    assert len(images) == len(list((folder / "figures").glob("*.svg"))) >= 8
    assert len(list((folder / "figures").glob("*.png"))) == len(images)
    assert all(len(attrs["alt"] or "") > 40 for attrs in images)
    accuracy = images[0]["alt"] or ""
    assert re.search(r"EUR 0\.\d+ \(0\.\d+ to 0\.\d+\)", accuracy)
    assert "ADMIXED insufficient data" in accuracy
    svg = base64.b64decode((images[0]["src"] or "").split(",")[1])
    assert svg == (folder / "figures" / "accuracy.svg").read_bytes()


def test_first_screen_answers_in_whom(written) -> None:
    inputs, _, text = written
    page = Page(text).text
    assert "In whom can this score be used" in page
    assert "Insufficient data: ADMIXED" in re.sub(r"\s+", " ", page)
    assert page.index("Usable as it stands") < page.index("How the verdicts are made")
    levels = {v.group: v.level for v in judge(inputs.evaluation, "multi")}
    assert levels == {
        "EUR": "usable", "AFR": "recalibrate", "EAS": "recalibrate", "ADMIXED": "insufficient",
    }  # fmt: skip
    assert "NOT CONVERGED" in page
    assert NOT_REPORTED in page
    for _, name in ITEMS:
        assert name in page


def test_tables_and_json_hold_the_frames(written) -> None:
    inputs, folder, _ = written
    content = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert json.loads(json.dumps(content)) == content
    for name, frame in inputs.evaluation.to_frames().items():
        if frame.empty:
            continue
        read = pd.read_csv(
            folder / "tables" / f"{name}.tsv", sep="\t", keep_default_na=False, na_values=["NA"]
        )
        records = content["tables"][name]
        assert list(read.columns) == list(frame.columns) == list(records[0])
        for column in frame:
            if pd.api.types.is_numeric_dtype(frame[column]):
                expected = frame[column].to_numpy(dtype=float, na_value=np.nan)
                # written with repr, so read back to the last bit
                np.testing.assert_array_equal(read[column].to_numpy(dtype=float), expected)
                from_json = [np.nan if r[column] is None else r[column] for r in records]
                np.testing.assert_array_equal(np.array(from_json, dtype=float), expected)
            else:
                assert list(read[column].fillna("")) == list(frame[column])
    assert content["provenance"]["inputs"] == {"target.bed": "sha256:00ff"}


def test_same_inputs_give_the_same_bytes(written, tmp_path: Path) -> None:
    inputs, folder, _ = written
    write_report(inputs, tmp_path)
    first = {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    second = {p.relative_to(tmp_path): p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    assert first == second


def test_user_text_is_escaped(tmp_path: Path) -> None:
    evil = "<script>alert('x')</script> & <b>bold</b>"
    text = write_report(make_inputs(title=evil), tmp_path).read_text(encoding="utf-8")
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_report_of_little_says_what_it_lacks(tmp_path: Path) -> None:
    full = make_inputs()
    evaluation = full.evaluation
    empty = {
        name: frame.assign(**{
            c: np.nan for c in frame if pd.api.types.is_float_dtype(frame[c])
        }).assign(status=WITHHELD)
        for name, frame in evaluation.to_frames().items()
    }  # fmt: skip
    values = {f: getattr(evaluation, f) for f in evaluation.__dataclass_fields__}
    nothing = Evaluation(**(values | empty))
    bare = ReportInputs(title="bare", scores=full.scores, cohort=full.cohort, evaluation=nothing)
    page = Page(write_report(bare, tmp_path).read_text(encoding="utf-8")).text
    assert {v.level for v in judge(nothing)} == {"insufficient"}
    assert "No matching of variants was reported" in page
    assert "No LD reference was reported" in page
    assert "No weights were reported" in page


def test_unknown_score_and_item_are_named() -> None:
    with pytest.raises(SettingsError, match="nosuch"):
        figures.plot_calibration(make_evaluation(), score="nosuch")
    with pytest.raises(SettingsError, match="PRS-RS"):
        fill_items({"23": "?"}, {})
    items = fill_items({"Ancestry": "As labelled."}, {5: "EUR 10.", 1: "Validation."})
    assert len(items) == 22
    assert items[4].text == "As labelled. EUR 10."
    assert (items[0].by, items[4].by, items[2].text) == ("run", "author", NOT_REPORTED)


@pytest.mark.parametrize(
    "oe, slope, state",
    [
        ((0.98, 0.80, 1.20), (1.0, 0.8, 1.2), "good"),  # intervals include 1
        ((1.03, 1.02, 1.05), (1.0, 0.95, 1.05), "good"),  # real, but within the tolerance
        ((0.60, 0.50, 0.72), (1.0, 0.8, 1.2), "off"),
        ((1.00, 0.80, 1.20), (0.5, 0.3, 0.7), "off"),
        ((1.00, 0.60, 1.50), (1.0, 0.8, 1.2), "uncertain"),  # ends a factor 2.5 apart
        ((1.00, 0.80, 1.20), (1.0, 0.4, 1.6), "uncertain"),  # slope interval wider than 1
        ((np.nan,) * 3, (np.nan,) * 3, "insufficient"),
    ],
)
def test_calibration_rule(oe, slope, state) -> None:
    row = {"score": "s", "group": "g", "model": "uncorrected", "n": 10, "status": "ok"}
    for name, values in (("oe", oe), ("slope", slope)):
        row |= dict(zip((name, f"{name}_lower", f"{name}_upper"), values, strict=True))
    fake = SimpleNamespace(
        calibration=make_frame("binary", "calibration", [row]), outcome_kind="binary"
    )
    assert judge_calibration(fake, "s", "g", "uncorrected").state == state  # type: ignore[arg-type]


def test_every_fate_is_drawn_once() -> None:
    drawn = [fate for fates, _ in LOSS_GROUPS.values() for fate in fates]
    assert sorted(drawn) == sorted(f.label for f in Fate)


def test_plots_return_figures_and_leave_settings_alone() -> None:
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    inputs = make_inputs()
    made = [
        figures.plot_accuracy(inputs.evaluation, measure="odds_ratio", scores=["multi"]),
        figures.plot_deciles(inputs.evaluation),
        figures.plot_portability(inputs.evaluation, measure="auc"),
        figures.plot_distribution(inputs.scores, inputs.cohort),
        figures.plot_losses(()),
        figures.plot_ct_grid(inputs.ct_grid),
        figures.plot_trace(
            SimpleNamespace(populations=("EUR",), phi_trace=np.full((1, 5, 2), 1e-2),
                            sigma_trace={"EUR": np.ones((3, 5))})
        ),
    ]  # fmt: skip
    assert all(isinstance(figure, Figure) for figure in made)
    assert dict(mpl.rcParams) == before
    assert svg_bytes(made[1]) == svg_bytes(figures.plot_deciles(inputs.evaluation))


def test_colors_and_numbers() -> None:
    colors = ancestry_colors(["EUR", "AFR", "all", "Uyghur", "unassigned"])
    assert len(set(colors.values())) == 5
    assert colors["EUR"] == ancestry_colors(["AFR", "EUR"])["EUR"]
    assert format_number(-0.001) == "−1.0e−03"
    assert format_number(-0.001, fixed=True) == "0.00"
    assert format_number(1234567) == "1,234,567"
    assert format_number(np.nan) == "–"
    assert Estimate(0.7123, 0.69, 0.74).text() == "0.71 (0.69 to 0.74)"
    assert Estimate(np.nan, np.nan, np.nan, WITHHELD).text() == "insufficient data"


@pytest.mark.parametrize("kind", ["binary", "quantitative"])
def test_report_of_a_real_evaluation(kind: str, tmp_path: Path) -> None:
    """What `evaluate` returns has all that the page needs, insufficient groups included."""
    made = make_inputs(kind)
    rng = np.random.default_rng(7)
    n = len(made.scores.samples)
    few = made.cohort.labels["ancestry"] == "ADMIXED"
    keep = np.flatnonzero(~few | (np.cumsum(few) <= 40))  # fewer than the floors of either kind
    scores = SimpleNamespace(
        samples=made.scores.samples.take(keep), values=made.scores.values[keep], names=SCORES
    )
    cohort = SimpleNamespace(
        samples=scores.samples,
        outcome=made.cohort.outcome[keep],
        outcome_name="trait",
        outcome_kind=kind,
        covariates=made.cohort.covariates[keep],
        covariate_names=("age", "PC1"),
        labels={"ancestry": made.cohort.labels["ancestry"][keep]},
        split=np.where(rng.random(n) < 0.4, "tuning", "test").astype(object)[keep],
        n=len(keep),
    )
    evaluation = evaluate(scores, cohort, n_bootstrap=100)
    verdicts = {v.group: v for v in judge(evaluation)}
    assert verdicts["ADMIXED"].level == "insufficient"
    assert verdicts["EUR"].level not in {"insufficient", "unsupported"}  # made from the score
    assert verdicts["EUR"].contrast.lower > (1 if kind == "binary" else 0)
    inputs = ReportInputs(title="real", scores=scores, cohort=cohort, evaluation=evaluation)
    page = Page(write_report(inputs, tmp_path).read_text(encoding="utf-8")).text
    assert "Insufficient data: ADMIXED" in re.sub(r"\s+", " ", page)


def test_a_decile_without_events_is_said_and_does_not_hide_the_others() -> None:
    status = "insufficient data: zero cell, no events in the bottom of the score"
    assert short_status(status) == "no events in the bottom of the score"
    assert short_status("insufficient data: 17 cases (floor 20)") == "insufficient data"
    evaluation = make_evaluation("binary")
    deciles = evaluation.deciles.copy()
    deciles["status"] = status
    figure = figures.plot_deciles(replace(evaluation, deciles=deciles))
    drawn = [line for ax in figure.axes for line in ax.get_lines() if len(line.get_xdata()) == 10]
    assert drawn
