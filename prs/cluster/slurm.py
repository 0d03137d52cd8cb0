"""Workers in the jobs of a SLURM cluster; jobs that end before the work does are replaced.

Dask submits jobs, and cancels them at the end. That a job with several workers has ended (its
time is up, its node failed, somebody cancelled it) it does not notice; so ``squeue`` is asked
from time to time.
"""

from __future__ import annotations

import getpass
import logging
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread, current_thread, main_thread
from typing import Any

from prs.cluster.stopping import stop_events, stoppable
from prs.errors import ClusterError, SettingsError

__all__ = ["slurm_cluster"]

logger = logging.getLogger(__name__)

#: Seconds between two looks at the queue.
LOOK_EVERY = 30.0
#: Times that jobs are replaced without a worker having come.
MAX_VAIN_STARTS = 3
#: States of jobs that will not go on; SLURM lists them for some minutes.
ENDED = {
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "DEADLINE",
    "FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "REVOKED",
    "TIMEOUT",
}


@contextmanager
def slurm_cluster(n_jobs: int | None) -> Iterator[Any]:
    """Yield a Dask cluster whose workers are in `n_jobs` SLURM jobs; cancel them at the end.

    Raises
    ------
    ClusterError
        If dask-jobqueue is not installed, the section ``jobqueue.slurm`` of Dask's configuration
        does not describe a job, jobs cannot be submitted, or end before a worker comes.
    SettingsError
        If `n_jobs` is None.
    """
    if n_jobs is None:
        raise SettingsError("how many jobs?", remedy="give --workers with --cluster slurm")
    SLURMCluster = _import_slurm_cluster()
    import dask

    lacking = [key for key in ("cores", "memory") if not dask.config.get(f"jobqueue.slurm.{key}")]
    if lacking:
        raise ClusterError(
            f"a job is not described: its {' and '.join(lacking)} are set nowhere",
            remedy="describe it in ~/.config/dask/jobqueue.yaml, section jobqueue.slurm; see "
            "docs/how-to/cluster.md",
        )
    with SLURMCluster(scheduler_options={"dashboard_address": ":0"}) as cluster:
        _submit(cluster, n_jobs)
        watch = _Watch(cluster, n_jobs)
        try:
            with stoppable(*stop_events(), watch.failed):
                yield cluster
        except ClusterError:
            if watch.error is not None:
                raise watch.error from None
            raise
        finally:
            watch.end()


def _import_slurm_cluster() -> Any:
    """Import dask-jobqueue, which turns the user's interrupt into a silent exit with status 0."""
    interrupt = signal.getsignal(signal.SIGINT)
    try:
        from dask_jobqueue import SLURMCluster
    except ImportError as error:
        raise ClusterError(
            f"SLURM jobs need dask-jobqueue, which is not installed ({error})",
            remedy="pip install 'prs[cluster]'",
        ) from error
    if current_thread() is main_thread():
        signal.signal(signal.SIGINT, interrupt)
    return SLURMCluster


def _submit(cluster: Any, n_jobs: int) -> None:
    logger.info("%d jobs like this:\n%s", n_jobs, cluster.job_script())

    async def submit() -> None:
        cluster.scale(jobs=n_jobs)
        await cluster

    try:
        cluster.sync(submit)
    except (RuntimeError, OSError, ValueError) as error:
        cluster._created.clear()  # Dask closes only what was submitted
        raise ClusterError(
            f"SLURM took no jobs: {error}",
            remedy="the section jobqueue.slurm of Dask's configuration must describe a job that "
            "this SLURM takes; --verbose shows its script",
        ) from error


class _Watch:
    """Submits jobs again that are no longer in the queue."""

    def __init__(self, cluster: Any, n_jobs: int) -> None:
        self.cluster, self.n_jobs = cluster, n_jobs
        self.error: ClusterError | None = None
        #: Ends what waits for workers.
        self.failed = Event()
        self._seen: set[str] = set()
        self._n_vain = 0
        self._over = Event()
        self._thread = Thread(target=self._watch, name="prs-slurm", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Replace no more jobs."""
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            self._look()
            if self.failed.is_set() or self._over.wait(LOOK_EVERY):
                return

    def _look(self) -> None:
        jobs = {name: job.job_id for name, job in list(self.cluster.workers.items())}
        states = _list_jobs()
        if states is None:
            return
        if self.cluster.scheduler_info["workers"]:
            self._n_vain = 0
        # only what was listed once can be missed: a queue that lists other jobs says nothing
        self._seen |= states.keys()
        going = {one for one, state in states.items() if state not in ENDED}
        lost = {name: one for name, one in jobs.items() if one in self._seen - going}
        if not lost:
            return
        self._n_vain += 1
        if self._n_vain > MAX_VAIN_STARTS:
            self.error = ClusterError(
                f"SLURM jobs end before a worker comes, {self._n_vain} times now (the last: job "
                f"{', '.join(lost.values())})",
                remedy="look at what the jobs printed (log_directory in the section "
                "jobqueue.slurm, or slurm-<job>.out)",
            )
            self.failed.set()
            return
        logger.warning(
            "jobs %s ended before the work did: submitted again", ", ".join(lost.values())
        )
        self.cluster.loop.add_callback(self._replace, list(lost))

    def _replace(self, names: list[Any]) -> None:
        for name in names:
            self.cluster.workers.pop(name, None)
        self.cluster.scale(jobs=self.n_jobs)


def _list_jobs() -> dict[str, str] | None:
    """Return the user's jobs, also those that ended just now, and their states; None: unknown."""
    user = f"--user={getpass.getuser()}"
    command = ["squeue", "--noheader", "--states=all", "--format=%A %T", user]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        logger.info("the queue cannot be listed now (%s)", error)
        return None
    rows = (line.split() for line in done.stdout.splitlines())
    return {row[0]: row[1] for row in rows if len(row) == 2}
