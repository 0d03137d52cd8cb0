"""The notebooks: public names only, committed without outputs, and what they claim is so."""

from __future__ import annotations

import ast
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import render_notebooks as runner

import prs

PATHS = sorted(runner.NOTEBOOKS.glob("*.ipynb"))


def by_name(path: Path) -> str:
    return path.stem


def check_first_score(v: dict[str, Any]) -> None:
    auc = v["accuracy"]["auc"]
    assert auc["PRS-CS", "EUR"] > auc["PRS-CS", "AFR"] > 0.5
    assert v["accuracy"].loc[("PRS-CS", "ADM"), "status"].startswith("insufficient data")
    assert v["report"].is_file()


def check_summary_statistics(v: dict[str, Any]) -> None:
    assert len(v["noticed"]) == 6  # every planted fault, and nothing in the file as it is
    for population, harmonised in v["harmonised"].items():
        counted = v["fates"].loc["rows of the file", population]
        assert counted == harmonised.report.n_input == sum(harmonised.report.counts.values())


def check_weights(v: dict[str, Any]) -> None:
    assert not v["short"].converged
    # two seeds of so short a run may differ, but not by a factor of three
    learned = float(v["one"].phi_mean[0]) if v["one"].phi_mean.ndim else float(v["one"].phi_mean)
    assert 1e-3 < learned < 1e-1
    assert v["gain"]["difference"]["AFR"] > v["gain"]["difference"]["EUR"]


def check_who(v: dict[str, Any]) -> None:
    start = v["start"]
    assert start["AFR"] < 0.75 * start["EUR"]
    assert v["use"]["AFR"] > max(v["use"]["EUR"], 0) < v["use"]["EAS"]
    assert v["data"]["AFR"] > max(v["data"]["EUR"], 0)
    # the gain of more GWAS is not chance, and the two worlds are scored in the same people
    assert (v["gains"]["use: three GWAS, not one"]["difference_lower"][["EAS", "AFR"]] > 0).all()
    assert v["bed"][0] == v["bed"][1]
    assert v["after"] > v["before"]
    # one model for everybody is wrong for somebody
    row = v["calibration"].xs("uncorrected", level="model").drop(index="EUR")
    assert ((row["oe_upper"] < 1) | (row["oe_lower"] > 1)).any()


def check_person(v: dict[str, Any]) -> None:
    checked = v["checked"]
    assert (checked["truly there"].between(0.3, 0.95)).all()
    sure = v["people"].by_group().set_index("group")["share_certain"]
    assert (sure.loc[["EUR", "AFR", "EAS"]] < 0.6).all()
    assert v["table"].loc[v["person"], "in_top"]


def check_shift(v: dict[str, Any]) -> None:
    moved = v["moved"]
    # a third of the odds: log O/E near -0.8, and 0 after recalibration. With 240 cases away, and
    # as many to recalibrate with, its SE is sqrt(2/240) = 0.09: a third of 0.8 is three of these
    distance = np.log(
        moved.loc["another prevalence", ["oe before", "oe after"]].astype(float)
    ).abs()
    assert distance["oe before"] > 0.5
    assert distance["oe after"] < distance["oe before"] / 3
    assert moved.loc["another array", "auc"] < moved.loc["nothing", "auc"]
    # some 700 cases are expected, and as many made the model: log O/E has an SE of
    # sqrt(1/700 + 1/700) = 0.053, and four of these are a factor of 1.24
    assert 1 / 1.24 < moved.loc["nothing", "oe before"] < 1.24
    # person by person, so that chance in who was judged falls out: two thirds of the variants gone
    assert v["paired"].loc["another array", "difference_upper"] < 0


CHECKS: dict[str, Callable[[dict[str, Any]], None]] = {
    "01_a_first_score": check_first_score,
    "02_your_own_summary_statistics": check_summary_statistics,
    "03_ld_and_weights": check_weights,
    "04_who_is_the_score_for": check_who,
    "05_one_person": check_person,
    "06_when_the_data_shift": check_shift,
}
#: These fit several models, or simulate a study; together they take about two minutes.
SLOW = {"03_ld_and_weights", "04_who_is_the_score_for", "05_one_person", "06_when_the_data_shift"}


@pytest.mark.parametrize(
    "path",
    [pytest.param(p, marks=pytest.mark.slow) if p.stem in SLOW else p for p in PATHS],
    ids=by_name,
)
def test_notebook_runs_and_says_what_is_so(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    cells = runner.read_notebook(path)
    values, outputs = runner.run_cells(cells, path.parent)
    CHECKS[path.stem](values)
    assert sum(o.kind == "png" for made in outputs.values() for o in made) >= 2


def test_every_notebook_has_its_check() -> None:
    assert [path.stem for path in PATHS] == sorted(CHECKS)


@pytest.mark.parametrize("path", PATHS, ids=by_name)
def test_notebook_is_committed_clean_and_rendered(path: Path) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    for cell in content["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
    # the copy in the docs is of this text: python docs/render_notebooks.py makes it anew
    page = runner.RENDERED / f"{path.stem}.md"
    assert runner.rendered_digest(page) == runner.digest(runner.read_notebook(path))


@pytest.mark.parametrize("path", PATHS, ids=by_name)
def test_notebook_uses_public_names_only(path: Path) -> None:
    code = "\n".join(c.source for c in runner.read_notebook(path) if c.kind == "code")
    tree = ast.parse(code)
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "prs"
    }
    assert used
    assert used <= set(prs.__all__)
    imported = {
        node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
    } | {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    assert not [name for name in imported if name.startswith("prs.")]


def test_rendered_notebooks_are_small() -> None:
    assert sum(p.stat().st_size for p in runner.RENDERED.iterdir()) < 3_000_000


def test_figures_show_themselves_in_a_notebook() -> None:
    from prs.figures.style import figure_with_message

    assert figure_with_message("nothing")._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]
