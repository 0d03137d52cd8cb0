"""A client of a Dask cluster from one word: ``local``, ``slurm``, or the address of a scheduler."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from prs.cluster.slurm import slurm_cluster
from prs.errors import ClusterError, SettingsError
from prs.files import existing_file

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["open_client"]

logger = logging.getLogger(__name__)

#: Seconds to wait for a scheduler that is said to be there.
CONNECT_TIMEOUT = 30


@contextmanager
def open_client(
    where: str | None, *, workers: int | None = None, threads: int | None = None
) -> Iterator[Client | None]:
    """Yield a client for what ``--cluster`` says; what was started is closed at the end.

    Parameters
    ----------
    where : str or None
        ``"local"``: worker processes of this machine; ``"slurm"``: jobs of a SLURM cluster, as
        the section ``jobqueue.slurm`` of Dask's configuration describes them (cores, memory,
        queue, walltime); an address such as ``tcp://10.0.0.1:8786``, or a scheduler file
        (``.json``): a cluster that runs. None: no cluster, None is yielded.
    workers : int, optional
        Worker processes (local; default: one per core) or jobs (slurm; needed). Not for an
        address, whose workers are there.
    threads : int, optional
        For local: items that a worker does at a time, by default 1.

    Raises
    ------
    ClusterError
        If Dask is not installed, no scheduler answers, or jobs cannot be submitted.
    SettingsError
        If `workers` does not fit `where`.
    """
    if where is None:
        if workers is not None:
            raise SettingsError(
                "workers are given without a cluster", remedy="add --cluster local, or leave it out"
            )
        yield None
        return
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise ClusterError(
            f"a cluster needs Dask, which is not installed ({error})",
            remedy="pip install 'prs[cluster]'",
        ) from error
    # what comes and goes between its processes is of use to whoever asks for it
    if not logger.isEnabledFor(logging.INFO):
        logging.getLogger("distributed").setLevel(logging.WARNING)
    if workers is not None and workers < 1:
        raise SettingsError(f"{workers} workers: at least 1 is needed")
    if where == "local":
        count = workers or os.cpu_count() or 1
        with (
            LocalCluster(
                n_workers=count, threads_per_worker=threads or 1, dashboard_address="127.0.0.1:0"
            ) as cluster,
            Client(cluster) as client,
        ):
            logger.info("%d worker processes on this machine", count)
            yield client
    elif where == "slurm":
        with slurm_cluster(workers) as cluster, Client(cluster) as client:
            yield client
    else:
        if workers is not None:
            raise SettingsError(
                f"the workers of the cluster at {where} are there already: their number cannot "
                "be chosen here",
                remedy="leave out --workers",
            )
        is_file = where.endswith(".json")
        if is_file:
            existing_file(where, "scheduler file")  # Dask would wait for it for ever
        try:
            client = Client(
                address=None if is_file else where,
                scheduler_file=where if is_file else None,
                timeout=CONNECT_TIMEOUT,
            )
        except (OSError, ValueError) as error:
            raise ClusterError(
                f"no Dask scheduler answers at {where} ({error})",
                remedy="give 'local', 'slurm', or the address that `dask scheduler` printed",
            ) from error
        with client:
            yield client
