"""How chains run: their settings, and the threads that they share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

__all__ = ["ChainSettings", "Team", "start_team"]

#: Calls a function with each of several argument tuples, in threads.
Team: TypeAlias = Callable[[Callable[..., None], list[tuple[Any, ...]]], None]


@dataclass(frozen=True)
class ChainSettings:
    """How the chains run.

    Attributes
    ----------
    phi : tuple of float or None
        For each chain, its fixed phi; None where phi is learned.
    start : tuple of float
        For each chain, where phi begins if it is learned, and the phi of the prior from which the
        first psi are drawn.
    a, b : float
        Shapes of the prior.
    psi_max : float or None
        Upper bound of psi; None for none.
    n_iter, n_burnin, thin : int
        With a tolerance, n_iter is the most iterations that are made, and n_burnin is not used.
    seed : int
    n_threads : int
    keep_draws : bool
    n_values : int
        Values of phi; the chains of one lie together, as many of each.
    tolerance : float or None
        Stop when the chains are mixed and `prs.weights.csx_convergence.prediction_error` is at
        most this; None: run n_iter.
    max_draws : int
        Most draws that a chain keeps; where there would be more, `thin` is doubled.
    """

    phi: tuple[float | None, ...]
    start: tuple[float, ...]
    a: float
    b: float
    psi_max: float | None
    n_iter: int
    n_burnin: int
    thin: int
    seed: int
    n_threads: int
    keep_draws: bool = False
    n_values: int = 1
    tolerance: float | None = None
    max_draws: int = 1000


@contextmanager
def start_team(n_threads: int) -> Iterator[Team]:
    """Yield a function that calls another with each of several argument tuples, in threads."""
    if n_threads == 1:

        def alone(function: Callable[..., None], jobs: list[tuple[Any, ...]]) -> None:
            for job in jobs:
                function(*job)

        yield alone
        return
    with ThreadPoolExecutor(n_threads - 1, thread_name_prefix="prs-csx") as pool:

        def together(function: Callable[..., None], jobs: list[tuple[Any, ...]]) -> None:
            futures = [pool.submit(function, *job) for job in jobs[1:]]
            if jobs:
                function(*jobs[0])
            for future in futures:
                future.result()

        yield together
