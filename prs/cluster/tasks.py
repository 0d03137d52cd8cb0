"""One function over many items, results in their order: in threads, or on a cluster's workers."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

from threadpoolctl import threadpool_limits

from prs.cluster.stopping import check_stop
from prs.errors import SettingsError

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["count_threads", "map_tasks", "one_blas_thread"]

Item = TypeVar("Item")
Result = TypeVar("Result")


def count_threads(n_threads: int | None) -> int:
    """Return the number of threads that `n_threads` asks for (None: one per core).

    Raises
    ------
    SettingsError
        If it is less than 1.
    """
    if n_threads is None:
        return os.cpu_count() or 1
    if n_threads < 1:
        raise SettingsError(f"n_threads is {n_threads}; it must be at least 1")
    return int(n_threads)


class _BlasLimit:
    """How many hold BLAS to one thread; the first of them limits it, the last one lets go."""

    def __init__(self) -> None:
        self.lock, self.n_holders = Lock(), 0
        self.limit: threadpool_limits | None = None


_BLAS = _BlasLimit()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold BLAS to one thread, for all of the process, as long as anybody asks for it.

    The limit belongs to the process, so that threads which each set and restored it by
    themselves would leave it as another one had set it.
    """
    with _BLAS.lock:
        if _BLAS.n_holders == 0:
            _BLAS.limit = threadpool_limits(1, "blas")
        _BLAS.n_holders += 1
    try:
        yield
    finally:
        with _BLAS.lock:
            _BLAS.n_holders -= 1
            if _BLAS.n_holders == 0 and _BLAS.limit is not None:
                _BLAS.limit.restore_original_limits()


def map_tasks(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    n_threads: int | None = None,
    client: Client | None = None,
) -> Iterator[Result]:
    """Yield ``function(item)`` in the order of the items.

    Without `client` the calls are made in threads, at most two results a thread being held at
    once however slowly they are taken, so that a panel streams through bounded memory. With it
    they are made by the workers of a Dask cluster: see `prs.cluster.remote` for how data reach
    them. A worker that dies loses nothing, its items are done again by another.

    Parameters
    ----------
    function : callable
        Depends on nothing but the item and what it holds, and changes neither; spends its time
        outside the interpreter lock (BLAS, zlib, a kernel). For a cluster it must not write
        into arrays of the caller: workers have copies.
    items : iterable
        What to call it with; for a cluster, small.
    n_threads : int, optional
        Threads of this process; default: one per core. Not used with `client`.
    client : distributed.Client, optional
        The cluster.

    Raises
    ------
    ClusterError
        If workers keep dying, or do not see the folder in which data are passed.
    """
    if client is not None:
        from prs.cluster.remote import map_on_workers

        yield from map_on_workers(function, items, client)
        return
    workers = count_threads(n_threads)
    # BLAS: one thread, as one was asked for; beside others, it would be more than there are cores
    # and would wait for itself. So its number of threads is the same however many are asked for.
    if workers == 1:
        with one_blas_thread():
            for item in items:
                check_stop()
                yield function(item)
        return
    pending: deque[Future[Result]] = deque()
    with one_blas_thread(), ThreadPoolExecutor(workers) as pool:
        try:
            for item in items:
                check_stop()
                pending.append(pool.submit(function, item))
                if len(pending) >= 2 * workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
