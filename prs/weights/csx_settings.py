"""How chains run: what is asked of them, their settings, and the threads that they share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from prs.errors import SettingsError

__all__ = ["ChainSettings", "RunPlan", "Team", "plan_run", "start_team"]

ITERATIONS_PER_POPULATION = 1000
MAX_ITERATIONS_PER_POPULATION = 10_000
#: Iterations of the first window of a run of unknown length; no fewer count.
FIRST_WINDOW = 100

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


@dataclass(frozen=True)
class RunPlan:
    """How long a run is, and for which phi.

    Attributes
    ----------
    phi : tuple of float or None
        Values to fit; None where phi is learned.
    n_iter, n_burnin : int
        Iterations, and how many of them do not count; with ``until="converged"`` the most, and
        half of them.
    max_iter : int or None
        The most iterations with ``until="converged"``.
    """

    phi: tuple[float | None, ...]
    n_iter: int
    n_burnin: int
    max_iter: int | None


def plan_run(
    n_populations: int,
    *,
    phi: Literal["auto"] | float | Sequence[float],
    n_iter: int | None,
    n_burnin: int | None,
    thin: int,
    n_chains: int,
    psi_max: float | None,
    until: str | None,
    tolerance: float,
    max_iter: int | None,
    ld_dtype: str,
    a: float = 1.0,
    b: float = 0.5,
    target: str = "posterior",
    max_draws: int = 1000,
) -> RunPlan:
    """Check what is asked of a fit, as far as it can be known without data.

    Parameters
    ----------
    n_populations : int
        Fitted together.
    phi, n_iter, n_burnin, thin, n_chains, psi_max, until, tolerance, max_iter, ld_dtype
        See `prs.weights.csx.fit_csx`.
    a, b, target, max_draws
        Likewise.

    Raises
    ------
    SettingsError
        If a setting makes no sense.
    """
    values = _phi_values(phi)
    if until is not None:
        _check_until(until, n_iter, n_burnin, tolerance)
        if max_iter is None:
            max_iter = MAX_ITERATIONS_PER_POPULATION * n_populations
        n_iter, n_burnin = max_iter, max_iter // 2
    elif max_iter is not None:
        raise SettingsError(
            f"max_iter={max_iter} is for until='converged'; n_iter is the length of a run",
        )
    if n_iter is None:
        n_iter = ITERATIONS_PER_POPULATION * n_populations
        if n_burnin is not None:
            n_iter = max(n_iter, 2 * n_burnin)
    if n_burnin is None:
        n_burnin = n_iter // 2
    _check(a, b, n_iter, n_burnin, thin, n_chains, psi_max, target)
    if max_draws < 1:
        raise SettingsError(f"max_draws={max_draws} must be at least 1")
    if ld_dtype not in ("float32", "int16", "int8"):
        raise SettingsError(f"ld_dtype={ld_dtype!r} is not one of 'float32', 'int16', 'int8'")
    if ld_dtype == "int8" and (psi_max is None or psi_max > 1.0):
        raise SettingsError(
            f"ld_dtype='int8' with psi_max={psi_max}: rounding makes blocks indefinite by up to "
            "0.2, which only psi_max of at most 1 outweighs",
            remedy="use ld_dtype='int16'",
        )
    return RunPlan(values, int(n_iter), int(n_burnin), max_iter)


def _phi_values(
    phi: Literal["auto"] | float | Sequence[float | str] | None,
) -> tuple[float | None, ...]:
    """Return the values of phi to fit, None for a learned one."""
    given = [phi] if phi is None or isinstance(phi, (str, int, float, np.number)) else list(phi)
    values: list[float | None] = []
    for one in given:
        if one is None or one == "auto":
            values.append(None)
            continue
        try:
            number = float(one)
        except (TypeError, ValueError):
            number = math.nan
        if not (math.isfinite(number) and number > 0):
            raise SettingsError(
                f"phi={one!r} is not 'auto' or a positive number",
                remedy="give phi='auto', one number such as 1e-2, or a list of numbers",
            )
        values.append(number)
    if not values or len(set(values)) < len(values):
        raise SettingsError(f"the grid of phi is empty or repeats a value: {given}")
    return tuple(values)


def _check_until(until: str, n_iter: int | None, n_burnin: int | None, tolerance: float) -> None:
    if until != "converged":
        raise SettingsError(f"until={until!r} is not 'converged'")
    if n_iter is not None or n_burnin is not None:
        raise SettingsError(
            f"until='converged' finds the length; n_iter={n_iter} and n_burnin={n_burnin} set it",
            remedy="give max_iter, the most iterations",
        )
    if not 0 < tolerance < 1:
        raise SettingsError(f"tolerance={tolerance} is not between 0 and 1")


def _check(
    a: float,
    b: float,
    n_iter: int,
    n_burnin: int,
    thin: int,
    n_chains: int,
    psi_max: float | None,
    target: str,
) -> None:
    if target not in ("posterior", "reference"):
        raise SettingsError(f"target={target!r} is not one of 'posterior', 'reference'")
    for name, value in (("a", a), ("b", b), ("psi_max", psi_max)):
        if value is not None and not (math.isfinite(value) and value > 0):
            raise SettingsError(f"{name}={value} must be a positive number")
    if thin < 1 or n_chains < 1:
        raise SettingsError(f"thin={thin} and n_chains={n_chains} must be at least 1")
    if n_burnin < 0 or n_iter - n_burnin < thin:
        raise SettingsError(
            f"n_iter={n_iter} leaves no draw after a burn-in of {n_burnin} with thin={thin}",
            remedy="raise n_iter, or lower n_burnin or thin",
        )
