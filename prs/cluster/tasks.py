"""One function over many items, results in their order: in threads, or on a cluster's workers."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from prs.errors import SettingsError

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["count_threads", "map_tasks"]

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
    if workers == 1:
        yield from map(function, items)
        return
    pending: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) >= 2 * workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
