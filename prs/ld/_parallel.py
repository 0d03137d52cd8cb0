"""Work on independent blocks in threads, results in the order of the items."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from prs.errors import SettingsError

__all__ = ["count_threads", "map_in_order"]

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


def map_in_order(
    function: Callable[[Item], Result], items: Iterable[Item], n_threads: int | None = None
) -> Iterator[Result]:
    """Yield ``function(item)`` in the order of the items, computed in threads.

    At most two results a thread are held at once, however slowly they are taken, so that a
    panel streams through bounded memory.

    Parameters
    ----------
    function : callable
        Spends its time outside the interpreter lock (BLAS, zlib, a kernel).
    items : iterable
        What to call it with.
    n_threads : int, optional
        Default: one per core.
    """
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
