"""The benchmark command: what it writes, and that a seed gives the same accuracies."""

from __future__ import annotations

import json
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
    from benchmarks.results import replace_section

    text = (
        "# Results\n\n## One: old\n\n<!-- section one -->\n\nfigures\n\n<!-- notes -->\n\n"
        "We saw this.\n\n## One and a half\n\nmore\n"
    )
    new = replace_section(text, "one", "One: new", "| a |")
    assert "figures" not in new
    assert "One: old" not in new
    assert new.index("| a |") < new.index("We saw this.") < new.index("## One and a half\n\nmore\n")
    assert replace_section(new, "one", "One: new", "| a |") == new
    added = replace_section(new, "three", "Three", "third")
    assert added.startswith(new.rstrip())
    assert added.endswith("## Three\n\n<!-- section three -->\n\nthird\n")


def test_what_is_not_there_is_refused(command) -> None:  # type: ignore[no-untyped-def]
    for wrong in (["--only", "speed"], ["--only", "csx"], ["--methods", "guess"]):
        with pytest.raises(SystemExit):
            command.parse(wrong)


def test_a_section_that_fails_ends_in_status_1_after_the_others(  # type: ignore[no-untyped-def]
    command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks.sections import Made, Page, Section

    def fail(*_: object) -> Made:
        raise ValueError("no luck")

    page = Page("good_page", "Good", "what is seen", b"\x89PNG", "| a |")
    made = Made("fine", {"rows": [{"a": 1.5, "b": float("nan")}]}, (page,))
    sections = {
        "bad": Section("bad", "Bad", fail),
        "good": Section("good", "Good", lambda *_: made),
        "long": Section("long", "Long", fail, quick=False),
    }
    monkeypatch.setattr(command, "SECTIONS", sections)
    (tmp_path / "results.json").write_text('{"sections": {"bad": {"seed": 7}}}')
    assert command.main(["--quick", "--seed", "4", "--out", str(tmp_path)]) == 1
    text = (tmp_path / "RESULTS.md").read_text()
    assert "## Good" in text
    assert "## Bad" not in text
    assert "[Good](pages/good_page.md)" in text
    shown = (tmp_path / "pages" / "good_page.md").read_text()
    assert "python -m benchmarks --quick --seed 4" in shown
    assert "![Good](good_page.png)" in shown
    assert (tmp_path / "pages" / "good_page.png").read_bytes() == b"\x89PNG"
    record = json.loads((tmp_path / "results.json").read_text())["sections"]
    assert record["bad"] == {"seed": 7}  # of an earlier run: kept
    assert record["good"]["seed"] == 4
    assert record["good"]["tables"]["rows"] == [{"a": 1.5, "b": None}]
    assert {"processor", "cores", "versions"} <= set(record["good"]["machine"])


def test_a_difference_is_of_the_same_studies(command) -> None:  # type: ignore[no-untyped-def]
    """Studies that differ much, methods that do not: b is 0.01, 0.02, 0.03 below a.

    The differences have mean -0.02 and s.d. 0.01; with three studies the half-width is
    t(0.975, 2 df) s.d. / sqrt(3) = 4.30265 x 0.01 / 1.73205 = 0.024841. Two studies give none.
    """
    from benchmarks.accuracy_pages import summarise

    r2 = {"a": [0.1, 0.3, 0.5, 0.7], "b": [0.09, 0.28, 0.47], "c": [0.1, 0.2]}
    judged = pd.DataFrame(
        [
            {"architecture": "x", "replicate": i, "method": method, "ancestry": "EUR", "n": 50,
             "r2": value}
            for method, values in r2.items()
            for i, value in enumerate(values)
        ]
    )  # fmt: skip
    summary = summarise(judged, "a").set_index("method")
    assert summary.loc["a", "r2"] == pytest.approx(0.4)
    assert summary.loc["a", "difference_half"] == 0
    assert summary.loc["b", "studies"] == 3
    assert summary.loc["b", "difference"] == pytest.approx(-0.02)
    assert summary.loc["b", "difference_half"] == pytest.approx(0.024841, rel=1e-4)
    assert pd.isna(summary.loc["c", "difference_half"])
    assert summarise(judged, "nobody")["difference"].isna().all()


def test_what_takes_hours_runs_on_few_studies(command) -> None:  # type: ignore[no-untyped-def]
    from benchmarks.accuracy import choose_methods
    from benchmarks.worlds import FULL

    options = command.parse(["--prscsx", ".", "--peer-replicates", "1", "--methods", "csx,prscsx"])
    assert choose_methods(FULL, FULL.base, 0, options) == ("csx", "prscsx")
    assert choose_methods(FULL, FULL.base, 1, options) == ("csx",)
    assert choose_methods(FULL, FULL.architectures[1], 0, options) == ("csx",)


def test_commands_are_written_down_without_places(command) -> None:  # type: ignore[no-untyped-def]
    from benchmarks.results import show_command

    given = ["--only", "costs", "--out", "/a/b", "--scratch=/c/d", "--viprs", "/e/bin/python3"]
    said = show_command("benchmarks", given)
    assert said == "python -m benchmarks --only costs --scratch FOLDER --viprs PYTHON"


def test_printed_times_are_read(command) -> None:  # type: ignore[no-untyped-def]
    from benchmarks.timings import make_page, read_sampler, read_times

    times = read_times(
        "task      program   thr  seconds  cpu  peak MB ratio\n"
        "read it   -         1       0.15   -        -       -\n"
        "clump, all p  plink2, slow  2   1.50  1.25      298    1.00\n"
    )
    assert times["program"].tolist() == ["-", "plink2, slow"]
    assert times["seconds"].tolist() == [0.15, 1.5]
    assert times["peak MB"].isna().tolist() == [True, False]
    sampler = read_sampler(
        "int8: 5 variants\n 4  2  0.97  1.75  184  0.04  0.21  25.6  285  1.74\n"
    )
    assert sampler.iloc[0].tolist() == ["int8", 4, 2, 0.97, 1.75, 184.0, 25.6, 285.0]
    assert make_page("a", "A", "nothing to draw") is None


@pytest.mark.slow
def test_a_seed_gives_the_same_accuracies(  # type: ignore[no-untyped-def]
    command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And so do results that were kept, and other numbers of studies at once."""
    pytest.importorskip("msprime")
    from benchmarks import worlds

    tiny = worlds.Size(
        n_gwas=(("EUR", 1000), ("AFR", 400)),
        n_target=(("EUR", 80), ("AFR", 80), ("ADM", 80)),
        n_variants=120,
        n_chromosomes=1,
        sequence_length=400_000,
        n_founders=100,
        iterations=40,
        replicates=2,
        base=worlds.Architecture(20, 0.8, 0.5, 60),
        axes=(worlds.Axis("rg", "Effects", "correlation", "rg", (0.8,)),),
    )
    monkeypatch.setattr(worlds, "QUICK", tiny)
    tables = []
    for name, more in (("a", []), ("b", ["--jobs", "1"]), ("c", [])):
        out = tmp_path / name
        more = more or ["--scratch", str(tmp_path / "kept"), "--jobs", "2"]
        wanted = ["--quick", "--only", "accuracy", "--seed", "3", "--methods", "ct,csx"]
        assert command.main([*wanted, "--out", str(out), *more]) == 0
        record = json.loads((out / "results.json").read_text())
        tables.append(record["sections"]["accuracy"]["tables"])
        assert (out / "pages" / "accuracy_rg.png").read_bytes().startswith(b"\x89PNG")
        assert "## Accuracy" in (out / "RESULTS.md").read_text()
    assert tables[0] == tables[1] == tables[2]
    frame = pd.DataFrame(tables[0]["accuracy"])
    assert {"prs: C+T, stacked", "prs: PRS-CSx, combined", "true genetic value"} <= set(
        frame["method"]
    )
    assert set(frame["ancestry"]) == {"EUR", "AFR", "ADM"}
    truth = frame[frame["method"] == "true genetic value"]
    assert truth["r2"].between(0.2, 0.8).all()
