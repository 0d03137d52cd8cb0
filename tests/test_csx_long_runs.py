"""Runs of unknown length, runs that are killed and go on, and LD held as integers."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from small_study import make_small_study
from test_csx import INTERPRETED, reference_inputs, settings, study

from prs.cli import main
from prs.errors import CheckpointError, SettingsError
from prs.pipeline import run_study
from prs.weights import csx_run
from prs.weights.csx import fit_csx
from prs.weights.csx_chain import Chains
from prs.weights.csx_checkpoint import remove_checkpoint
from prs.weights.csx_convergence import prediction_error, window_edges
from prs.weights.csx_model import build_model
from prs.weights.csx_parity import ReferenceChains
from prs.weights.csx_run import run_chains
from prs.weights.csx_store import read_posterior

RESULTS = (
    "mean", "square", "psi", "phi", "sigma", "variance", "predictions", "floor_hits", "error",
    "n_burnin", "is_settled",
)  # fmt: skip


def same(one, other):
    """Whether two results have the same bits."""
    for name in RESULTS:
        a, b = np.asarray(getattr(one, name)), np.asarray(getattr(other, name))
        assert a.shape == b.shape
        assert a.tobytes() == b.tobytes(), name
    assert len(one.draws) == len(other.draws)
    assert all(np.array_equal(a, b) for a, b in zip(one.draws, other.draws, strict=True))


class StoppedError(Exception):
    pass


@pytest.mark.parametrize("kind", [Chains, ReferenceChains])
@pytest.mark.parametrize("tolerance", [None, 1e-12])
def test_a_run_stopped_at_any_iteration_goes_on_to_the_same_bits(tmp_path, kind, tolerance):
    """Stopped again and again, each time a few iterations after it went on."""
    model = build_model(*study())
    n_iter = 30 if INTERPRETED else 230  # past a refresh of the residuals
    chosen = settings(
        2, n_iter=n_iter, n_burnin=9, thin=2, keep_draws=True, tolerance=tolerance, max_draws=7
    )
    whole = run_chains(model, chosen, kind)

    class Stops(kind):
        last = 0

        def step(self, run, accumulate):
            if self.iteration == self.last:
                raise StoppedError
            super().step(run, accumulate)

    Stops.__name__ = kind.__name__
    path = tmp_path / "run.npz"
    for Stops.last in range(1, n_iter, 11):
        with pytest.raises(StoppedError):
            run_chains(model, chosen, Stops, checkpoint=path, checkpoint_every=0)
    same(run_chains(model, chosen, kind, checkpoint=path), whole)
    same(run_chains(model, chosen, kind, checkpoint=path), whole)  # it is over: at once
    remove_checkpoint(path)
    assert not list(tmp_path.iterdir())


class Watched:
    """A run in a process of its own, which tells how far it is and whether it is saving."""

    def __init__(self, model, chosen, path):
        fork = multiprocessing.get_context("fork")
        self.told = fork.Array("i", 2, lock=False)  # iterations of this process; saving or not
        self.process = fork.Process(target=self._run, args=(model, chosen, path))
        self.process.start()

    def _run(self, model, chosen, path):
        step, save = Chains.step, csx_run.save_checkpoint

        def told_step(chains, run, accumulate):
            self.told[0] += 1
            step(chains, run, accumulate)

        def told_save(*args):
            self.told[1] = 1
            save(*args)
            self.told[1] = 0

        Chains.step, csx_run.save_checkpoint = told_step, told_save
        run_chains(model, chosen, checkpoint=path, checkpoint_every=0)

    def kill(self, n_iterations, saving, wait):
        """Kill it some time after that many iterations, while it saves or while it does not."""
        while self.process.is_alive() and (self.told[0] < n_iterations or self.told[1] != saving):
            time.sleep(1e-4)
        time.sleep(wait)
        was_alive = self.process.is_alive()
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.join()
        return was_alive


def endless_kills(n_kills, tmp_path):
    """Kill -9 a run again and again, all along it; it ends with the bits of an unbroken one."""
    model = build_model(*study())
    n_iter = 12 * n_kills  # more than it gets to between kills
    chosen = settings(2, n_iter=n_iter, n_burnin=n_iter // 3, keep_draws=True)
    whole = run_chains(model, chosen)  # and the kernels are compiled
    path = tmp_path / "run.npz"
    clock = random.Random(n_kills)
    reached, n_torn = [], 0
    for i in range(n_kills):
        run = Watched(model, chosen, path)
        assert run.kill(clock.randint(1, 10), i % 2, clock.uniform(0, 2e-3)), "it had ended"
        n_torn += len([file for file in tmp_path.iterdir() if file != path])
        if path.exists():
            with np.load(path) as saved:
                reached.append(json.loads(str(saved["header"]))["iteration"])
    assert reached == sorted(reached), "no kill may lose what was saved"
    assert len(set(reached)) > n_kills / 2, reached  # killed all along the run,
    assert n_torn > n_kills / 10  # and in the middle of writing
    same(run_chains(model, chosen, checkpoint=path), whole)
    assert [file.name for file in tmp_path.iterdir()] == ["run.npz"]


needs_fork = pytest.mark.skipif(
    INTERPRETED or "fork" not in multiprocessing.get_all_start_methods(),
    reason="forks processes that run compiled kernels",
)


@needs_fork
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("n_kills", [8, pytest.param(100, marks=pytest.mark.slow)])
def test_a_run_killed_many_times_goes_on_to_the_same_bits(tmp_path, n_kills):
    endless_kills(n_kills, tmp_path)


def test_checkpoint_of_another_run_is_refused(tmp_path):
    sumstats, ld = study()
    path = tmp_path / "run.npz"
    run = {"n_iter": 8, "thin": 2, "checkpoint": path}
    fit = fit_csx(sumstats, ld, seed=1, n_threads=1, **run)
    again = fit_csx(sumstats, ld, seed=1, n_threads=2, **run)  # threads are no other run
    assert again.beta_mean.tobytes() == fit.beta_mean.tobytes()
    with pytest.raises(CheckpointError, match="seed = 1, now 2"):
        fit_csx(sumstats, ld, seed=2, **run)
    with pytest.raises(CheckpointError, match="chain = Chains, now ReferenceChains"):
        fit_csx(sumstats, ld, seed=1, target="reference", **run)
    with pytest.raises(CheckpointError, match="other summary statistics"):
        fit_csx(*study(seed=2), seed=1, **run)
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(CheckpointError, match="damaged"):
        fit_csx(sumstats, ld, seed=1, **run)


# ---- until="converged"


def test_windows_of_a_run_of_unknown_length():
    assert window_edges(1000) == [100, 141, 200, 283, 400, 566, 800, 1000]
    assert window_edges(50) == [25, 35, 50]
    assert window_edges(3) == [1, 2, 3]


def test_prediction_error_is_the_variance_of_the_average():
    """On independent normal means its expectation is known: tr(R) s^2 / n over the signal."""
    model = build_model(*study())
    rng = np.random.default_rng(0)
    n, s = 50, 0.01
    centre = rng.standard_normal(len(model.b))
    means = centre + s * rng.standard_normal((n, len(model.b)))
    products = np.zeros_like(means)
    for k in range(model.n_blocks):
        here = slice(model.starts[k], model.starts[k + 1])
        products[:, here] = means[:, here] @ model.matrix(k)
    error = prediction_error(model, means, products)
    for k in range(2):
        part = model.effects(k)
        signal = means[:, part].mean(axis=0) @ products[:, part].mean(axis=0)
        # 12 directions with eigenvalues of R, 49 degrees of freedom: a relative sd below 0.2
        assert error[k] == pytest.approx(12 * s**2 / n / signal, rel=0.6)
    assert prediction_error(model, 0 * means, 0 * products).tolist() == [0.0, 0.0]


@pytest.mark.skipif(INTERPRETED, reason="thousands of iterations need the compiled kernels")
def test_until_converged_stops_when_predictions_agree():
    sumstats, ld = study()
    fits = [
        fit_csx(
            sumstats, ld, phi=0.1, until="converged", tolerance=2e-3, max_iter=20_000, seed=seed
        )
        for seed in (1, 2)
    ]
    for fit in fits:
        assert fit.converged
        assert fit.settings.n_iter < 20_000
        assert fit.phi_trace.shape == (2, fit.settings.n_iter)
        assert 0.4 < fit.n_burnin / fit.settings.n_iter < 0.6
        assert max(fit.prediction_error.values()) <= 2e-3
        assert fit.weights().metadata["converged"] == "yes"
    model = build_model(sumstats, ld)
    for k in range(2):
        here = model.effects(k)
        one, two = (fit.beta_mean[k][model.index[here]] for fit in fits)
        R = np.zeros((12, 12))
        for block in np.flatnonzero(model.block_population == k):
            at = slice(model.starts[block] - here.start, model.starts[block + 1] - here.start)
            R[at, at] = model.matrix(block)
        away = (one - two) @ R @ (one - two)
        # two errors of 2e-3 of the variance; 4 chains tell their own error to a factor of 3
        assert away < 3 * 2 * 2e-3 * (one @ R @ one)


def test_a_run_that_reaches_its_ceiling_says_so():
    fit = fit_csx(*study(), until="converged", tolerance=1e-9, max_iter=40, keep_draws=True)
    assert not fit.converged
    assert fit.settings.n_iter == 40
    assert any("raise max_iter (now 40)" in w and "tolerance 1e-09" in w for w in fit.warnings)
    assert "NOT converged" in fit.summary()
    assert fit.weights().metadata["converged"] == "no"
    # draws are of the iterations that count: each fifth after the 20th
    assert fit.draws["EUR"].shape[1 - 1] == 2 * 4
    for bad in (
        {"until": "now"}, {"until": "converged", "n_iter": 10}, {"max_iter": 10},
        {"until": "converged", "tolerance": 0.0}, {"ld_dtype": "float16"},
        {"ld_dtype": "int8", "psi_max": None},
    ):  # fmt: skip
        with pytest.raises(SettingsError):
            fit_csx(*study(), **bad)


# ---- LD as integers


@pytest.mark.parametrize("dtype", ["int16", "int8"])
def test_ld_as_integers(dtype):
    sumstats, ld = study()
    model = build_model(sumstats, ld)
    small = build_model(sumstats, ld, ld_dtype=dtype)
    assert small.ld.nbytes * {"int16": 2, "int8": 4}[dtype] == model.ld.nbytes
    for k in range(model.n_blocks):
        error = np.abs(small.matrix(k) - model.matrix(k)).max()
        assert error <= 0.5 * small.ld_unit * (1 + 1e-6)
    assert np.array_equal(small.diagonal, model.diagonal)


@pytest.mark.skipif(INTERPRETED, reason="thousands of iterations need the compiled kernels")
@pytest.mark.parametrize("dtype", ["int8", pytest.param("int16", marks=pytest.mark.slow)])
def test_ld_as_integers_gives_the_same_posterior(shared_data, dtype):
    sumstats, ld, _ = reference_inputs(shared_data, ["EUR", "AFR"])
    fits, models = {}, {}
    for one in ("float32", dtype):
        models[one] = build_model(sumstats, ld, palindromic="keep", ld_dtype=one)
        chosen = settings(2, n_iter=6000, n_burnin=1500)
        fits[one] = run_chains(models[one], chosen)
    model, plain, small = models["float32"], fits["float32"], fits[dtype]
    # kept LD and working memory: 2 or 4 times less of the former
    assert models[dtype].ld.nbytes * {"int16": 2, "int8": 4}[dtype] == model.ld.nbytes
    for k in range(2):
        part = model.effects(k)
        means = [fit.mean.mean(axis=0)[part] for fit in (plain, small)]
        products = np.zeros((2, part.stop - part.start))
        for block in np.flatnonzero(model.block_population == k):
            at = slice(model.starts[block] - part.start, model.starts[block + 1] - part.start)
            products[:, at] = np.array(means)[:, at] @ model.matrix(block)
        together = means[0] @ products[1]
        correlation = together / np.sqrt((means[0] @ products[0]) * (means[1] @ products[1]))
        assert correlation > 0.9999
        # no further apart than their own Monte Carlo errors make them, each known to a factor
        # of 2 (hundreds of directions, two chains)
        assert 1 - correlation < 2 * (plain.error[0, k] + small.error[0, k])
        moments = [fit.square.mean(axis=0)[part].sum() for fit in (plain, small)]
        assert moments[1] == pytest.approx(moments[0], rel=0.02)


# ---- from the command line, and in a study


def run_prs(*arguments):
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    assert not stop.value.code


def test_prs_csx_until_converged_with_a_checkpoint(tmp_path, capsys, monkeypatch):
    small = make_small_study(tmp_path / "study")
    chosen = []
    for name in ("AAA", "BBB"):
        run_prs("ld", "--bfile", small.reference, "--keep", small.keep(name), "--population", name,
                "--out", tmp_path / name)  # fmt: skip
        chosen += ["--sumstats", f"{name}={small.sumstats(name)}"]
        chosen += ["--ld", f"{name}={tmp_path / name}.ld.h5"]
    chosen += ["--until", "converged", "--tolerance", "1e-9", "--max-iter", 40, "--ld-dtype",
               "int16", "--phi-per-chromosome", "--draws", "--chains", 2, "--seed", 4]  # fmt: skip
    run_prs("csx", *chosen, "--out", tmp_path / "whole")
    said = capsys.readouterr()
    assert "NOT converged" in said.out
    assert "raise max_iter" in said.err
    assert "final score: with tuning people, AAA and BBB combined" in said.out
    head = (tmp_path / "whole.weights.tsv").read_text()[:3000]
    for line in ("converged=no", "final_score=with tuning people", "META", "prediction_error=AAA"):
        assert line in head
    posterior = read_posterior(tmp_path / "whole.posterior.npz")
    assert posterior.phi_trace.shape == (2, 40, 2)  # each chromosome has its own
    assert posterior.draws["AAA"].shape == (8, len(posterior.variants))
    assert (tmp_path / "whole.traces.tsv.gz").exists()

    step = Chains.step

    def stops(self, run, accumulate):
        if self.iteration == 30:
            raise StoppedError
        step(self, run, accumulate)

    monkeypatch.setattr(Chains, "step", stops)
    kept = ["--checkpoint", tmp_path / "run.npz", "--checkpoint-every", 0]
    with pytest.raises(StoppedError):
        main([str(word) for word in ("csx", *chosen, *kept, "--out", tmp_path / "again")])
    monkeypatch.undo()
    run_prs("csx", *chosen, *kept, "--out", tmp_path / "again")
    assert not (tmp_path / "run.npz").exists()
    for end in ("weights.tsv", "diagnostics.tsv", "traces.tsv.gz"):
        one, other = (tmp_path / f"{name}.{end}" for name in ("whole", "again"))
        assert one.read_bytes() == other.read_bytes()


@pytest.mark.slow
def test_prs_csx_killed_many_times_writes_the_same_files(tmp_path):
    small = make_small_study(tmp_path / "study")
    run_prs("ld", "--bfile", small.reference, "--keep", small.keep("AAA"), "--population", "AAA",
            "--out", tmp_path / "AAA")  # fmt: skip
    command = [
        Path(sys.executable).with_name("prs"), "csx", "--sumstats", f"AAA={small.sumstats('AAA')}",
        "--ld", f"AAA={tmp_path / 'AAA'}.ld.h5", "--n-iter", 20_000, "--chains", 2, "--threads", 1,
    ]  # fmt: skip
    run_prs(*command[1:], "--out", tmp_path / "whole")
    again = [*command, "--checkpoint", tmp_path / "run.npz", "--checkpoint-every", 0.1]
    again = [str(word) for word in (*again, "--out", tmp_path / "again")]
    clock, n_killed = random.Random(1), 0
    for _ in range(12):
        child = subprocess.Popen(again, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            child.wait(clock.uniform(1, 6))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            n_killed += 1
    assert n_killed
    done = subprocess.run(again, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for end in ("weights.tsv", "diagnostics.tsv", "traces.tsv.gz"):
        one, other = (tmp_path / f"{name}.{end}" for name in ("whole", "again"))
        assert one.read_bytes() == other.read_bytes()
    assert not list(tmp_path.glob("*run.npz*"))


def test_a_study_goes_on_from_its_checkpoint(tmp_path, monkeypatch):
    small = make_small_study(tmp_path / "study")
    text = (
        small.study.read_text()
        .replace("[methods.ct]\n", "")
        .replace('populations = ["AAA"]\np_thresholds = [1e-4, 0.01, 1]\n', "")
    )
    changed = 'joint = false\ndraws = 0\nuntil = "converged"\nmax_iter = 60\nld_dtype = "int8"\n'
    text = text.replace("n_iter = 200\nn_burnin = 100\n", changed)
    small.study.write_text(text)

    def killed(*_):
        raise StoppedError

    results = small.folder / "results"
    kept = results / ".stages" / "shrink_cs_AAA.checkpoint.npz"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"of the study as it was before it was changed: begun anew")
    with monkeypatch.context() as patch:
        patch.setattr("prs.pipeline.weights.write_posterior", killed)
        with pytest.raises(StoppedError):
            run_study(small.study)
    assert kept.stat().st_size > 10_000
    with monkeypatch.context() as patch:
        patch.setattr(Chains, "step", killed)  # no iteration is made again
        run_study(small.study)
    assert not kept.exists()
    assert "converged=no" in (results / "weights" / "cs_AAA.tsv").read_text()[:3000]
    page = (results / "report.html").read_text()
    assert "have not converged" in page
