"""The methods that benchmarks compare: processes are measured alone, peers do what they should.

Peers are looked for as `python -m benchmarks` does: on the PATH or importable, or where the
variables PRS_PRSCSX (a checkout), PRS_VIPRS_PYTHON, PRS_LDPRED3_PYTHON and PRS_PGSCATALOG_PYTHON
(Pythons) say.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import prs

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.genotypes import write_ancestry  # noqa: E402
from benchmarks.methods import METHODS, Peers, Study  # noqa: E402
from benchmarks.methods.launch import interpreter, run  # noqa: E402
from benchmarks.methods.prscsx import fit_prscsx  # noqa: E402
from benchmarks.methods.thresholding import find_prsice, run_prsice_program  # noqa: E402

PEERS = Peers(
    prscsx=Path(os.environ["PRS_PRSCSX"]) if "PRS_PRSCSX" in os.environ else None,
    viprs=os.environ.get("PRS_VIPRS_PYTHON"),
    ldpred3=os.environ.get("PRS_LDPRED3_PYTHON"),
)
SLOW = ("prscsx", "viprs", "ldpred3")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A study of 250 variants; samplers run 400 iterations."""
    folder = tmp_path_factory.mktemp("peers")
    prs.simulate_study(
        folder, seed=1, n_gwas={"EUR": 20_000, "AFR": 6_000}, n_target={"EUR": 300, "AFR": 250},
        n_reference=250, n_variants=250, n_chromosomes=2, sequence_length=1_000_000,
        n_founders=260, n_causal=20, effect_correlation=0.9, h2=0.4, dirt=False,
    )  # fmt: skip
    return Study.simulated(folder, iterations=400)


def test_peak_of_memory_is_of_the_program_alone() -> None:
    ballast = np.ones(25_000_000)  # 191 MB, touched
    small = run([sys.executable, "-S", "-c", "pass"], 1)
    large = run([sys.executable, "-S", "-c", "x = b'1' * 100_000_000; print('done')"], 1)
    assert ballast.nbytes > 150 * 2**20
    assert small.peak_mb < 50  # an interpreter without site packages takes about 10
    # 100,000,000 bytes are 95.4 MB, and beside them is an interpreter: no more than `small`, whose
    # peak is the launcher's where that is larger; a parent's memory would be 191 MB on top
    assert 95.3 < large.peak_mb < 95.4 + small.peak_mb + 5
    assert large.text.strip() == "done"


def test_a_program_that_fails_or_is_not_there_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="what is wrong"):
        run([sys.executable, "-c", "import sys; sys.exit('what is wrong')"], 1)
    with pytest.raises(RuntimeError, match="did not start"):
        run(["no-such-program"], 1)


def test_a_package_is_looked_for_in_the_python_that_is_named() -> None:
    assert interpreter(None, "prs") == sys.executable
    assert interpreter(sys.executable, "no_such_package") is None
    assert interpreter("no-such-python", "prs") is None


def test_a_study_travels_to_a_process_of_its_own(demo: Path, tmp_path: Path) -> None:
    made = replace(Study.simulated(demo), covariates=("age",), outcome="disease")
    assert made.populations[0] == made.main == "EUR"
    made.write(tmp_path / "study.json")
    assert Study.read(tmp_path / "study.json") == made


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(method.name, marks=[pytest.mark.slow] if method.name in SLOW else [])
        for method in METHODS
        if method.needs
    ],
)
def test_a_peer_scores_better_than_chance(
    name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    (method,) = (method for method in METHODS if method.name == name)
    if not method.find(PEERS):
        pytest.skip(f"{method.needs} is not here")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    study: Study = request.getfixturevalue("study")
    result = method.run(study, PEERS)
    assert result.cost.wall > 0
    assert result.cost.peak_mb > 1
    truth = pd.read_csv(study.folder / "truth_people.tsv.gz", sep="\t").set_index("IID")
    people = pd.read_csv(study.cohort, sep="\t").set_index("IID")
    assert set(map(str, result.ids)) == set(people.index)
    for label, values in result.columns.items():
        score = pd.Series(values, index=result.ids.astype(str))
        who = people.index[(people["ancestry"] == study.main) & (people["split"] == "test")]
        # unrelated columns of n people correlate by 1 / sqrt(n): five of those are not chance,
        # and a score whose alleles are swapped correlates negatively
        limit = 5 / np.sqrt(len(who))
        assert np.corrcoef(score[who], truth.loc[who, "g_trait"])[0, 1] > limit, label


@pytest.mark.slow
def test_weights_of_the_program_prscsx_are_ours(study: Study) -> None:
    if PEERS.prscsx is None:
        pytest.skip("PRScsx.py is not here (PRS_PRSCSX can name a checkout)")
    theirs, _ = fit_prscsx(study, PEERS.prscsx, phi=1e-2)
    theirs = theirs.set_index("SNP")
    ours = prs.fit_csx(
        {name: study.read_statistics(name) for name in study.populations},
        {
            name: prs.compute_ld(study.open_panel(name), population=name)
            for name in study.populations
        },
        phi=1e-2, n_iter=4000, n_burnin=1000, seed=1,
    )  # fmt: skip
    weights = ours.weights().to_frame().set_index("id").loc[theirs.index]
    sign = np.where(weights["effect_allele"] == theirs["A1"], 1, -1)
    limits: list[float] = []
    n_draws = 200 // 5  # of 400 iterations, a half are burn-in, and one in five counts
    for k, name in enumerate(study.populations):
        there = np.isin(theirs.index, ours.variants.id[ours.beta_sd[k] > 0])
        place = pd.Index(ours.variants.id).get_indexer(theirs.index[there])
        sd = np.sqrt(2 * ours.eaf[k] * (1 - ours.eaf[k]))[place]
        mine = weights[name].to_numpy()[there] * sd
        difference = (sign * theirs[name]).to_numpy()[there] * sd - mine
        # a mean of n draws errs by sd / sqrt(n); draws of a Gibbs sampler five iterations apart
        # are correlated, and count as no fewer than a fifth
        error = ours.beta_sd[k][place] / np.sqrt(n_draws / 5)
        assert np.mean((difference / error) ** 2) < 2, name
        # 1 - r is half the share of what is added to a variance: twice that is allowed
        limits.append(1 - np.mean(error**2) / np.var(mine))
        assert np.corrcoef(mine, mine + difference)[0, 1] > limits[-1], name
    # the mean over populations errs by less than that of one
    assert np.corrcoef(sign * theirs["META"], weights["META"])[0, 1] > min(limits) > 0.98


def test_prsice_scores_are_those_of_clump_and_threshold(study: Study) -> None:
    if find_prsice() is None:
        pytest.skip("PRSice is not on the PATH")
    thresholds = (5e-8, 1e-3, 0.05, 1.0)
    out, _ = run_prsice_program(
        study,
        ["--fastscore", "--bar-levels", ",".join(f"{p:.8f}" for p in thresholds), "--no-regress",
         "--score", "sum", "--all-score", "--binary-target", "F"],
    )  # fmt: skip
    theirs = pd.read_csv(f"{out}.all_score", sep=r"\s+")
    weights = prs.clump_and_threshold(
        study.harmonise(study.main), study.open_panel(study.main), p_thresholds=thresholds
    )
    ours = prs.score(study.open_target(), weights)
    assert list(theirs["IID"]) == list(ours.samples.iid)
    # it prints ten digits after the point, and effects have six: sums of them are exact in ten
    np.testing.assert_allclose(theirs.iloc[:, 2:].to_numpy(), ours.values, rtol=0, atol=1e-10)


def test_ancestry_adjustments_are_those_of_the_calculator(tmp_path: Path) -> None:
    python = interpreter(os.environ.get("PRS_PGSCATALOG_PYTHON"), "pgscatalog.calc")
    if python is None:
        pytest.skip("pgscatalog-calc is not here (PRS_PGSCATALOG_PYTHON can name a Python)")
    write_ancestry(tmp_path / "in.npz", n_reference=600, n_target=200)
    script = ROOT / "benchmarks" / "pgs_adjust.py"
    run([python, str(script), str(tmp_path / "in.npz"), str(tmp_path / "out.npz")], 1)
    given, theirs = np.load(tmp_path / "in.npz"), np.load(tmp_path / "out.npz")
    # the first two are closed forms; its BFGS stops where no derivative of the log-likelihood
    # exceeds 1e-5, and information about each coefficient is at least that of one person, 1
    for method, name, tolerance in (
        ("empirical", "Z_MostSimilarPop", 1e-10),
        ("mean", "Z_norm1", 1e-10),
        ("mean+variance", "Z_norm2", 1e-4),
    ):
        ours = prs.normalise_scores(
            *(given[n] for n in ("reference_scores", "reference_pcs", "target_scores",
                                 "target_pcs")),
            method=method,
            reference_labels=given["reference_labels"],
            target_labels=given["target_labels"],
        )  # fmt: skip
        np.testing.assert_allclose(ours.target, theirs[name], rtol=0, atol=tolerance)
