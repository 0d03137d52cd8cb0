"""The benchmark on real data: its truth is what it says, and its comparisons can fail."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import prs
from prs.inputs.plink_write import write_bed

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the benchmarks be imported, here and by their child processes."""
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def test_it_says_what_data_it_lacks(tmp_path: Path) -> None:
    from benchmarks.real import section

    said = section.lacks(argparse.Namespace(data=tmp_path))
    assert said is not None
    assert "--data FOLDER" in said
    assert "ldpanel" in said


def test_truth_on_real_people(shared_data: Path, tmp_path: Path) -> None:
    from benchmarks.methods import Result
    from benchmarks.methods.launch import Cost
    from benchmarks.real import known_truth

    people = known_truth.read_people(shared_data, tmp_path)
    few = people.genotypes.subset(variants=slice(0, None, 20))
    small = tmp_path / "few"
    write_bed(small, few.read_dosages(), few.variants, few.samples)
    genotypes = prs.open_genotypes(small)
    people = replace(people, genotypes=genotypes, dosages=genotypes.read_dosages(dtype=np.float64))
    n = 20_000
    world = known_truth.World("a", "a", 30, 0.8, 0.4, True, 0, (("EUR", n), ("AFR", n)))
    study, values = known_truth.make_study(shared_data, people, world, tmp_path / "a", (3, 0, 0))
    again, same = known_truth.make_study(shared_data, people, world, tmp_path / "b", (3, 0, 0))
    assert np.array_equal(values, same)
    for name in ("EUR", "AFR"):
        assert study.sumstats[name].read_bytes() == again.sumstats[name].read_bytes()
        assert np.var(values[people.ancestry == name]) == pytest.approx(0.4, rel=1e-9)
    cohort = pd.read_csv(study.cohort, sep="\t", dtype={"IID": str})
    for name in ("EUR", "AFR"):  # who lends LD to the GWAS neither tunes nor is judged
        lent = {line.split()[0] for line in study.reference_people[name].read_text().splitlines()}
        assert len(lent) > 100
        assert not lent & set(cohort["IID"])
        # var(z) = n beta'R R beta / M + 1: the statistics carry the effects and noise of SD 1;
        # n h2 = 8,000 on 470 to 620 variants gives a mean z^2 of some tens, and noise alone 1
        table = pd.read_csv(study.sumstats[name], sep="\t")
        assert 5 < ((table["BETA"] / table["SE"]) ** 2).mean() < 200
    ids = genotypes.samples.iid
    noise = np.random.default_rng(0).normal(size=len(ids))
    made = Result(ids, {"truth": values, "noise": noise}, Cost(0.0, 0.0, 0.0))
    rows = pd.DataFrame(known_truth.judge(study, people, values, [made]))
    rows = rows.set_index(["method", "ancestry"])
    assert rows.loc["truth", "value_r2"].min() == pytest.approx(1.0, abs=1e-12)
    # R2 of noise has mean 1 / (n - 1), and passes 15 / n once in ten thousand
    assert (rows.loc["noise", "value_r2"] < 15 / rows.loc["noise", "n"]).all()
    assert set(rows["status"]) == {"ok"}


def test_a_chain_differs_from_the_reference_as_its_seeds_do(
    shared_data: Path, tmp_path: Path
) -> None:
    from benchmarks.real import chains

    run = replace(chains.RUNS[2], n_chains=1)
    rows = pd.DataFrame(chains.measure(shared_data / "reference", tmp_path, runs=(run,)))
    assert list(rows["population"]) == ["EUR", "AFR"]
    # two pairs of chains in some tens of directions: their rms are known to about a fifth
    assert (rows["ours_rms"] < 1.5 * rows["theirs_rms"]).all()
    assert (rows["ours_predictions"] > 0.999).all()
    # another population's effects are as far off as can be: the comparison can fail
    folder = shared_data / "reference"
    ids, alleles, chain = chains.read_reference(folder / "out/EUR_AFR_auto_seed1.npz", "EUR")
    ld = prs.open_ld(folder / "panel", population="EUR", chromosomes=[21])
    at, _ = chains.on_alleles(ld.variants, ids, alleles)
    ld = ld.subset(np.sort(at))
    turned = chains.Chain(-chain.mean, chain.sd)
    assert chains.differ(chain, chain, ld) == pytest.approx((1, 1, 0), abs=1e-12)
    assert chains.differ(chain, turned, ld)[:2] == pytest.approx((-1, -1), abs=1e-12)


def test_every_row_and_file_is_accounted_for(shared_data: Path, tmp_path: Path) -> None:
    from benchmarks.real import catalog, published

    inputs, ledgers = published.prepare(shared_data, published.CASES[0], tmp_path / "case")
    ledgers += published.read_ledgers_without_ld(shared_data, tmp_path)
    assert [row["rows"] for row in ledgers] == [888, 883, 500, 500, 500, 500]
    assert all(0 < row["used"] <= row["rows"] for row in ledgers)
    assert inputs.n_gwas[0] > 1_000_000
    files = {row["file"]: row for row in catalog.list_files(shared_data)}
    assert set(files) == {file.name for file in (shared_data / "pgs").iterdir()}
    assert files["PGS000899.txt.gz"]["found"] == 11
    assert "dominant" in files["PGS000802_hmPOS_GRCh37.txt"]["verdict"]
    assert "GRCh38" in files["PGS000001_hmPOS_GRCh38.txt.gz"]["verdict"]


@pytest.mark.slow
def test_the_section_has_its_pages(shared_data: Path, tmp_path: Path) -> None:
    import benchmarks.__main__ as command

    given = ["--only", "real", "--quick", "--replicates", "1", "--data", str(shared_data)]
    assert command.main([*given, "--methods", "ct,cs", "--out", str(tmp_path)]) == 0
    tables = json.loads((tmp_path / "results.json").read_text())["sections"]["real"]["tables"]
    assert {"accuracy", "agreement", "distribution", "chains"} <= set(tables)
    for name in ("known_truth", "published", "catalog", "chains"):
        assert (tmp_path / "pages" / f"real_{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (tmp_path / "pages" / f"real_{name}.md").read_text().count("|---") >= 1
