"""Jobs of a SLURM that is three shell scripts: submitted, lost, replaced, cancelled."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from prs.cluster import map_tasks, open_client
from prs.cluster.slurm import _import_slurm_cluster
from prs.errors import ClusterError, SettingsError

dask = pytest.importorskip("dask", reason="needs the extra prs[cluster]")
if importlib.util.find_spec("dask_jobqueue") is None:  # its import changes what SIGINT does
    pytest.skip("needs the extra prs[cluster]", allow_module_level=True)

#: A job is a session of processes; its number is that of its leader.
SBATCH = """#!/bin/sh
script="$FAKE_SLURM/script.$$"
cp "$1" "$script"
setsid sh -c 'sh "$0" >> "$FAKE_SLURM/out" 2>&1; touch "$FAKE_SLURM/ended.$$"' \
    "$script" < /dev/null > /dev/null 2>&1 &
echo $! >> "$FAKE_SLURM/jobs"
echo "Submitted batch job $!"
"""
SQUEUE = """#!/bin/sh
for job in $(cat "$FAKE_SLURM/jobs"); do
    if [ ! -e "$FAKE_SLURM/ended.$job" ]; then echo "$job RUNNING"; else echo "$job FAILED"; fi
done
"""
SCANCEL = """#!/bin/sh
for job in "$@"; do
    kill -9 -- "-$job"
    touch "$FAKE_SLURM/ended.$job"
done
"""


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the programs, in which their jobs are."""
    for name, script in {"sbatch": SBATCH, "squeue": SQUEUE, "scancel": SCANCEL}.items():
        (tmp_path / name).write_text(script)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "jobs").touch()
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_SLURM", str(tmp_path))
    monkeypatch.setattr("prs.cluster.slurm.LOOK_EVERY", 0.2)
    return tmp_path


def described(folder: Path, **changed: object) -> object:
    _import_slurm_cluster()  # its own settings, before those of a test are set and taken back
    job = {"cores": 2, "processes": 2, "memory": "2GB", "walltime": "00:10:00", **changed}
    settings = {f"jobqueue.slurm.{name}": value for name, value in job.items()}
    return dask.config.set({**settings, "prs.scratch": str(folder / "scratch")})


def in_queue() -> list[str]:
    listed = subprocess.run(["squeue"], capture_output=True, text=True, check=True).stdout
    return [line.split()[0] for line in listed.splitlines() if line.endswith("RUNNING")]


@pytest.mark.slow
def test_jobs_that_are_cancelled_are_replaced(slurm: Path) -> None:
    """All of them at once, in the middle, as when their time is up: nothing is lost."""

    def work(i: int) -> tuple[int, int]:
        time.sleep(0.05)
        return i * i, os.getpid()

    found = []
    with described(slurm), open_client("slurm", workers=2) as client:
        first = in_queue()
        for i, result in enumerate(map_tasks(work, range(100), client=client)):
            found.append(result)
            if i == 5:
                subprocess.run(["scancel", *first], check=True)
        assert len(set(in_queue()) - set(first)) == 2
    assert [square for square, _ in found] == [i * i for i in range(100)]
    assert len({pid for _, pid in found}) > 2
    assert in_queue() == []
    script = next(slurm.glob("script.*")).read_text()
    assert "#SBATCH --cpus-per-task=2" in script
    assert "#SBATCH --mem=2G" in script
    assert "#SBATCH -t 00:10:00" in script


def test_jobs_that_end_before_a_worker_comes(slurm: Path) -> None:
    with (
        described(slurm, **{"job-script-prologue": ["exit 1"]}),
        pytest.raises(ClusterError, match=r"end before a worker comes(?s:.*)log_directory"),
        open_client("slurm", workers=1) as client,
    ):
        list(map_tasks(abs, range(3), client=client))
    assert len((slurm / "jobs").read_text().split()) == 4


def test_jobs_that_slurm_does_not_take(slurm: Path) -> None:
    (slurm / "sbatch").write_text("#!/bin/sh\necho 'invalid account' >&2\nexit 1\n")
    with (
        described(slurm),
        pytest.raises(ClusterError, match=r"SLURM took no jobs(?s:.*)invalid account"),
        open_client("slurm", workers=1),
    ):
        pass


def test_jobs_that_are_not_described(slurm: Path) -> None:
    with (
        described(slurm, cores=None, memory=None),
        pytest.raises(ClusterError, match="its cores and memory are set nowhere"),
        open_client("slurm", workers=1),
    ):
        pass
    with pytest.raises(SettingsError, match="how many jobs"), open_client("slurm"):
        pass


def test_an_interrupt_stays_an_interrupt(slurm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """dask-jobqueue makes it an exit with status 0, that of a run that is done."""
    monkeypatch.delitem(sys.modules, "dask_jobqueue", raising=False)
    monkeypatch.delitem(sys.modules, "dask_jobqueue.runner", raising=False)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ClusterError), described(slurm, cores=None), open_client("slurm", workers=1):
        pass
    assert signal.getsignal(signal.SIGINT) is before
