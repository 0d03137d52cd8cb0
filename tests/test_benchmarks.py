"""The benchmark command: what it writes, and that a seed gives the same accuracies."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    import benchmarks.__main__ as module

    return module


def test_a_section_replaces_its_own_part_and_keeps_notes(command) -> None:  # type: ignore[no-untyped-def]
    text = (
        "# Results\n\n## One: old\n\nfigures\n\n<!-- notes -->\n\nWe saw this.\n\n## Two\n\nmore\n"
    )
    new = command.replace_section(text, command.Section("One", "| a |"))
    assert "figures" not in new
    assert new.index("| a |") < new.index("We saw this.") < new.index("## Two")
    assert command.replace_section(new, command.Section("One", "| a |")) == new
    added = command.replace_section(new, command.Section("Three", "third"))
    assert added.startswith(new.rstrip())
    assert added.endswith("## Three\n\nthird\n")


def test_unknown_sections_and_missing_panels_are_refused(command) -> None:  # type: ignore[no-untyped-def]
    for wrong in (["--only", "speed"], ["--only", "csx"]):
        with pytest.raises(SystemExit):
            command.parse(wrong)


@pytest.mark.slow
def test_a_seed_gives_the_same_accuracies(  # type: ignore[no-untyped-def]
    command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks import accuracy

    world = accuracy.Architecture("small", 20, 0.8, 0.5, 60)
    tiny = replace(
        accuracy.QUICK, n_gwas=(("EUR", 2000), ("AFR", 800)), n_variants=300,
        n_target=(("EUR", 120), ("AFR", 120), ("ADM", 120)), sequence_length=1_000_000,
        n_founders=150, iterations=60, replicates=2, architectures=(world,),
    )  # fmt: skip
    monkeypatch.setattr(accuracy, "QUICK", tiny)
    tables = []
    for name in ("a", "b"):
        out = tmp_path / name
        command.main(["--quick", "--only", "accuracy", "--seed", "3", "--out", str(out)])
        record = json.loads((out / "results.json").read_text())
        assert record["seed"] == 3
        assert {"processor", "cores", "versions"} <= set(record["machine"])
        tables.append(pd.DataFrame(record["sections"]["accuracy"]["tables"]["accuracy"]))
        assert (out / "accuracy.png").read_bytes().startswith(b"\x89PNG")
        assert "## Accuracy" in (out / "RESULTS.md").read_text()
    pd.testing.assert_frame_equal(*tables)
    assert {"prs: C+T, stacked", "prs: PRS-CS", "prs: PRS-CSx, combined"} <= set(
        tables[0]["method"]
    )
    assert set(tables[0]["ancestry"]) == {"EUR", "AFR", "ADM"}
