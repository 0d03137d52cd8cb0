"""The README's Python runs as it stands, and the commands that no other test gives."""

from __future__ import annotations

import gzip
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from small_study import make_small_study

import prs
from prs.cli import main

ROOT = Path(__file__).resolve().parents[1]


def test_the_python_of_the_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    assert blocks
    # a study of a moment under the names of the demo
    made = make_small_study(tmp_path / "small")
    demo = tmp_path / "data" / "demo"
    (demo / "sumstats").mkdir(parents=True)
    for name in ("target", "reference"):
        for suffix in (".bed", ".bim", ".fam"):
            shutil.copy(made.folder / f"{name}{suffix}", demo)
    renamed = {"AAA": "EUR", "BBB": "AFR"}
    for old, new in renamed.items():
        shutil.copy(made.keep(old), demo / f"reference.{new}.txt")
        with gzip.open(demo / "sumstats" / f"disease.{new}.txt.gz", "wb") as handle:
            handle.write(made.sumstats(old).read_bytes())
    cohort = pd.read_csv(made.cohort, sep="\t").replace({"ancestry": renamed})
    cohort.to_csv(demo / "cohort.tsv", sep="\t", index=False)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in blocks:
        exec(block, names)
    assert "AUC" in capsys.readouterr().out.upper()


def test_prs_simulate_writes_a_study_that_is_ready_to_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(
            ["simulate", "--out", str(tmp_path / "s"), "--n-gwas", "EUR=2000", "--n-gwas",
             "AFR=1000", "--n-target", "EUR=60", "--n-target", "AFR=60", "--n-reference", "50",
             "--n-variants", "400", "--n-causal", "40", "--n-chromosomes", "1",
             "--sequence-length", "1000000",
             "--n-founders", "100", "--seed", "4"]
        )  # fmt: skip
    printed = capsys.readouterr()
    assert not stop.value.code, printed.err
    assert "next: prs run" in printed.out
    study = prs.read_study(tmp_path / "s" / "study.toml")
    target = study.open_target()
    assert target.n_samples == 120
    assert set(study.populations) == {"EUR", "AFR"}
    for name in study.populations:
        panel = study.open_reference(name)
        assert panel is not None
        assert panel.n_samples == 50
    assert prs.check_study(tmp_path / "s" / "study.toml").verdict != "fail"
