"""A cluster changes no bit of any result, and a worker that dies loses nothing."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_study import SmallStudy, make_small_study

import prs
from prs.cluster import map_tasks, open_client
from prs.errors import ClusterError, FileFormatError, SettingsError
from prs.evaluation.bootstrap import bootstrap_means
from prs.inputs.lists import read_sample_list
from prs.ld.splitting import SplitSettings
from prs.simulate.prior import simulate_from_prior

distributed = pytest.importorskip("distributed", reason="needs the extra prs[cluster]")


@pytest.fixture(scope="module")
def client() -> Iterator[distributed.Client]:
    with open_client("local", workers=2) as client:
        assert client is not None
        yield client


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> SmallStudy:
    return make_small_study(tmp_path_factory.mktemp("a clüster") / "study")


def pids(client: distributed.Client) -> set[int]:
    """Processes of the workers, when there are two again."""
    for _ in range(300):
        with suppress(OSError):  # one of them is being missed just now
            found = set(client.run(os.getpid).values())
            if len(found) == 2:
                return found
        time.sleep(0.2)
    raise AssertionError("no new worker came")


def wait_until(is_so: Callable[[], bool]) -> None:
    for _ in range(600):
        if is_so():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come to that")


def test_results_come_in_order_and_large_ones_by_file(
    client: distributed.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    held = np.arange(50_000, dtype=np.float64)

    def work(i: int) -> tuple[int, np.ndarray, int]:
        return i, held * i if i % 2 else held[:3] * i, os.getpid()

    results = map_tasks(work, range(200), client=client)
    for i, (number, array, pid) in enumerate(results):
        assert number == i
        assert pid != os.getpid()
        assert np.array_equal(array, held * i if i % 2 else held[:3] * i)
        array += 1  # nobody else's
    assert np.array_equal(held, np.arange(50_000))
    assert not list(tmp_path.iterdir()), "the scratch folder is emptied"


def test_worker_killed_in_the_middle_loses_nothing(client: distributed.Client) -> None:
    started = pids(client)

    def work(i: int) -> np.ndarray:
        time.sleep(0.02)
        return np.full(20_000, i) + np.random.default_rng(i).standard_normal(20_000)

    found = []
    for i, result in enumerate(map_tasks(work, range(60), client=client)):
        found.append(result)
        if i == 5:
            os.kill(min(started), signal.SIGKILL)
    assert all(np.array_equal(result, work(i)) for i, result in enumerate(found))
    assert min(started) not in pids(client), "no worker died"


def test_work_that_kills_each_worker_is_an_error(client: distributed.Client) -> None:
    scheduler = client.cluster.scheduler
    allowed, scheduler.allowed_failures = scheduler.allowed_failures, 0

    def work(_: int) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    try:
        with pytest.raises(ClusterError, match=r"died(?s:.*)memory"):
            list(map_tasks(work, [1], client=client))
    finally:
        scheduler.allowed_failures = allowed
    assert pids(client)


def test_memory_that_a_worker_does_not_get_is_an_error_here(client: distributed.Client) -> None:
    with pytest.raises(MemoryError):
        list(map_tasks(np.ones, [1 << 55], client=client))


@pytest.mark.slow
def test_worker_that_takes_more_memory_than_its_share(tmp_path: Path) -> None:
    """Dask ends it, begins another, and after four the run ends."""
    kinds: dict[str, object] = {"n_workers": 1, "threads_per_worker": 1, "memory_limit": "400MB"}

    def work(_: int) -> float:
        held = np.ones(100_000_000)  # 800 MB
        time.sleep(60)
        return float(held[0])

    with (
        distributed.LocalCluster(dashboard_address="127.0.0.1:0", **kinds) as cluster,
        distributed.Client(cluster) as client,
        pytest.raises(ClusterError, match=r"four workers died(?s:.*)give each worker more of it"),
    ):
        list(map_tasks(work, [1], client=client))


def test_errors_of_workers_are_raised_here(client: distributed.Client) -> None:
    def work(i: int) -> int:
        if i == 3:
            raise FileFormatError("is torn", path="a/b c", line=7, remedy="mend it")
        return i

    with pytest.raises(FileFormatError, match="a/b c, line 7: is torn\n  Remedy: mend it"):
        list(map_tasks(work, range(10), client=client))


def test_folder_that_workers_do_not_see(
    client: distributed.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on two machines without a common file system: the file is gone before a worker looks."""
    saved = __import__("prs.cluster.remote", fromlist=["save_object"]).save_object

    def save_and_hide(path: Path, packed: object) -> None:
        saved(path, packed)
        path.unlink()

    monkeypatch.setattr("prs.cluster.remote.save_object", save_and_hide)
    with pytest.raises(ClusterError, match="does not see the folder"):
        list(map_tasks(str, range(2), client=client))


def test_what_cannot_be_opened_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prs.cluster.connect.CONNECT_TIMEOUT", 0.2)
    cases = {
        ("tcp://127.0.0.1:9", None): (ClusterError, "no Dask scheduler answers"),
        (str(tmp_path / "none.json"), None): (FileFormatError, "no such scheduler file"),
        ("nonsense", None): (ClusterError, "no Dask scheduler answers"),
        ("tcp://127.0.0.1:9", 3): (SettingsError, "their number cannot be chosen"),
        ("slurm", None): (SettingsError, "how many jobs"),
        ("local", 0): (SettingsError, "at least 1"),
        (None, 2): (SettingsError, "without a cluster"),
    }
    for (where, workers), (kind, message) in cases.items():
        with pytest.raises(kind, match=message), open_client(where, workers=workers):
            pass


def test_ld_has_the_same_bytes(
    client: distributed.Client, study: SmallStudy, tmp_path: Path
) -> None:
    people = read_sample_list(study.keep("AAA"))
    genotypes = prs.open_genotypes(study.reference)
    for name, cluster in {"here": None, "there": client}.items():
        split = SplitSettings(min_size=5, max_size=20)
        ld = prs.compute_ld(genotypes, samples=people, split=split, client=cluster)
        assert ld.n_blocks > 4
        prs.write_ld(ld, tmp_path / name, resume=name == "there", client=cluster)
    assert (tmp_path / "here").read_bytes() == (tmp_path / "there").read_bytes()


def test_scores_are_the_same_to_the_bit(
    client: distributed.Client, study: SmallStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    genotypes = prs.open_genotypes(study.target)
    rng = np.random.default_rng(1)
    weights = prs.Weights(
        study.variants, rng.standard_normal((160, 9)), tuple(f"s{i}" for i in range(9))
    )
    monkeypatch.setattr("prs.weights.product._PIECE", 50)
    for missing in ("mean", "skip"):
        here = prs.score(genotypes, weights, missing=missing, average=True)
        there = prs.score(genotypes, weights, missing=missing, average=True, client=client)
        assert np.array_equal(here.values, there.values)
        assert np.array_equal(here.missing_rate, there.missing_rate)
    some = genotypes.subset(samples=np.arange(0, 480, 7), variants=slice(20, None))
    here, there = (prs.score(some, weights, client=one) for one in (None, client))
    assert np.array_equal(here.values, there.values)


def test_clumps_are_the_same(client: distributed.Client, study: SmallStudy) -> None:
    genotypes = prs.open_genotypes(study.reference)
    statistics = prs.harmonise(
        prs.read_sumstats(study.sumstats("AAA"), population="AAA"),
        genotypes.variants,
        eaf=genotypes.eaf(),
    )
    here, there = (
        prs.clump_and_threshold(statistics, genotypes, r2=(0.1, 0.2, 0.5), client=one)
        for one in (None, client)
    )
    assert here.names == there.names
    pd.testing.assert_frame_equal(here.to_frame(), there.to_frame(), check_exact=True)


def test_bootstrap_is_the_same_to_the_bit(client: distributed.Client) -> None:
    rng = np.random.default_rng(5)
    columns, strata = rng.standard_normal((301, 3)), rng.integers(0, 3, 301)
    here, there = (
        bootstrap_means(columns, strata, n_bootstrap=150, seed=4, stage=(2,), client=one)
        for one in (None, client)
    )
    assert np.array_equal(here, there)


@pytest.mark.parametrize(
    "settings",
    [
        {"phi": ("auto", 1e-2), "n_iter": 101, "n_burnin": 40, "keep_draws": True},
        {"until": "converged", "max_iter": 450, "keep_draws": True, "max_draws": 20},
        {"target": "reference", "phi": "auto", "n_iter": 60, "n_burnin": 20},
    ],
    ids=["grid", "converged", "reference"],
)
def test_chains_are_the_same_to_the_bit(
    client: distributed.Client,
    study: SmallStudy,
    settings: dict[str, object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A chain's numbers do not depend on which others run beside it, nor on where it was cut."""
    monkeypatch.setattr("prs.weights.csx_cluster.SPAN", 40)
    genotypes = prs.open_genotypes(study.reference)
    ld = {
        pop: prs.compute_ld(genotypes, samples=read_sample_list(study.keep(pop)), population=pop)
        for pop in ("AAA", "BBB")
    }
    statistics = {pop: prs.read_sumstats(study.sumstats(pop), population=pop) for pop in ld}
    here, there = (
        prs.fit_csx(statistics, ld, seed=9, n_chains=3, client=one, **settings)
        for one in (None, client)
    )
    for name in ("beta_mean", "beta_sd", "psi_mean", "phi_trace"):
        assert np.array_equal(getattr(here, name), getattr(there, name), equal_nan=True), name
    for pop in ld:
        for name in ("sigma_trace", "explained_trace", "prediction_trace"):
            assert np.array_equal(getattr(here, name)[pop], getattr(there, name)[pop]), name
        if here.draws is not None:
            assert np.array_equal(here.draws[pop], there.draws[pop])
    assert here.settings == there.settings
    assert here.weights().metadata == there.weights().metadata


def simulate_and_fit(seed: int) -> np.ndarray:
    """A replicate: a world from the model, fits over a grid of phi, and their correlations."""
    world = simulate_from_prior({"AAA": 1000.0}, n_blocks=3, block_size=15, seed=seed)
    made = prs.fit_csx(
        world.sumstats, world.ld, phi=(1e-3, 1e-1), n_iter=60, seed=seed, n_threads=1
    )
    return made.beta_mean @ world.effects["AAA"]


def test_replicates_of_a_simulation_are_one_call(client: distributed.Client) -> None:
    here = list(map_tasks(simulate_and_fit, range(4), 1))
    there = list(map_tasks(simulate_and_fit, range(4), client=client))
    assert np.unique(here).size == np.size(here), "replicates differ"
    assert np.array_equal(here, there)


@pytest.mark.slow
def test_fit_whose_worker_is_killed_has_the_same_bits(
    client: distributed.Client, study: SmallStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prs.weights.csx_cluster.SPAN", 50)
    genotypes = prs.open_genotypes(study.reference)
    ld = {"AAA": prs.compute_ld(genotypes, samples=read_sample_list(study.keep("AAA")))}
    statistics = {"AAA": prs.read_sumstats(study.sumstats("AAA"), population="AAA")}
    here = prs.fit_csx(statistics, ld, seed=2, n_iter=400)
    before = pids(client)
    killer = threading.Timer(1.0, os.kill, (min(before), signal.SIGKILL))
    killer.start()
    there = prs.fit_csx(statistics, ld, seed=2, n_iter=400, client=client)
    killer.join()
    assert np.array_equal(here.beta_mean, there.beta_mean)
    assert np.array_equal(here.phi_trace, there.phi_trace)
    assert min(before) not in pids(client), "no worker died"


@pytest.mark.slow
def test_study_writes_the_same_bytes(client: distributed.Client, study: SmallStudy) -> None:
    written = []
    for one in (None, client):
        result = prs.run_study(study.study, client=one)
        files = (file for file in sorted(result.folder.rglob("*")) if file.is_file())
        written.append({file.name: file.read_bytes() for file in files})
        shutil.rmtree(result.folder)
    assert len(written[0]) > 50
    assert written[0].keys() == written[1].keys()
    assert [name for name in written[0] if written[0][name] != written[1][name]] == []


@pytest.mark.slow
def test_commands_take_a_cluster(study: SmallStudy, tmp_path: Path) -> None:
    """From the command line, and with the scheduler of a cluster that runs."""
    out = tmp_path / "mit Leer é"
    arguments = ["ld", "--bfile", str(study.reference), "--population", "AAA"]
    main = f"from prs.cli import main; main({[*arguments, '--out', str(out / 'a')]!r})"
    subprocess.run([sys.executable, "-c", main], check=True, capture_output=True)
    with open_client("local", workers=1) as running:
        assert running is not None
        arguments += ["--out", str(out / "b"), "--cluster", running.scheduler.address]
        main = f"from prs.cli import main; main({arguments!r})"
        subprocess.run(
            [sys.executable, "-c", main],
            check=True,
            capture_output=True,
            env={**os.environ, "DASK_PRS__SCRATCH": str(tmp_path / "scratch")},
        )
    assert (out / "a.ld.h5").read_bytes() == (out / "b.ld.h5").read_bytes()
    assert not list((tmp_path / "scratch").iterdir())


@pytest.mark.slow
def test_ended_command_leaves_nothing_behind(study: SmallStudy, tmp_path: Path) -> None:
    """SLURM ends a job with SIGTERM: workers end with it, and the scratch folder is emptied."""
    scratch = tmp_path / "scratch"
    arguments = ["run", str(study.study), "--force", "--cluster", "local", "--workers", "2"]
    run = subprocess.Popen(
        [sys.executable, "-c", f"from prs.cli import main; main({arguments!r})"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "DASK_PRS__SCRATCH": str(scratch)},
    )
    assert run.stdout is not None
    for line in run.stdout:
        if line.startswith("ld BBB"):
            break
    wait_until(lambda: any(scratch.iterdir()))
    run.terminate()
    _, err = run.communicate(timeout=60)
    assert run.returncode == 130, err
    assert "interrupted" in err
    assert "Traceback" not in err
    assert not list(scratch.iterdir())
