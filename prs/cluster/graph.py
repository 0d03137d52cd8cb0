"""Pieces of work that need each other's results, as a Dask graph: what can run, runs at once.

Each piece has a thread of this process, in which it gives its own items to the workers of a
cluster (`prs.cluster.map_tasks`) and waits for them; so the items of all pieces that could run
are with the cluster at the same time, while nothing but this process decides and writes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

from prs.cluster.stopping import check_stop, stop_events, stoppable

__all__ = ["run_graph"]


def run_graph(graph: Mapping[str, tuple[Any, ...]]) -> dict[str, Any]:
    """Run all pieces of work, each when what it needs is there, and return their results.

    The first error, or the user's interrupt, ends the others at their next item; it is raised
    when they have ended.

    Parameters
    ----------
    graph : mapping of str to tuple
        Name of a piece to what is called, and the names of the pieces whose results it gets.
    """
    import dask.threaded

    stop = Event()
    events = (*stop_events(), stop)  # a graph in a piece of a graph ends with it

    def begin(work: Callable[..., Any]) -> Callable[..., Any]:
        def run(*needed: Any) -> Any:
            with stoppable(*events):
                check_stop()
                return work(*needed)

        return run

    pieces = {name: (begin(work), *needs) for name, (work, *needs) in graph.items()}
    with ThreadPoolExecutor(len(pieces), thread_name_prefix="prs-graph") as pool:
        try:
            made = dask.threaded.get(pieces, list(pieces), pool=pool)
        finally:  # leaving the pool waits for those that run
            stop.set()
    return dict(zip(pieces, made, strict=True))
