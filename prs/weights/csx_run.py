"""The loop around the chains: iterations, traces, when to stop, and what they add up to."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from prs.cluster import one_blas_thread
from prs.weights.csx_chain import Chains
from prs.weights.csx_checkpoint import Progress, load_checkpoint, run_key, save_checkpoint
from prs.weights.csx_convergence import (
    Traces,
    diagnose,
    is_mixed,
    prediction_error,
    window_edges,
)
from prs.weights.csx_model import CsxModel
from prs.weights.csx_settings import ChainSettings, Team, start_team

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["ChainResult", "Loop", "run_chains"]

logger = logging.getLogger(__name__)

#: Seconds between two checkpoints.
CHECKPOINT_EVERY = 300.0
LOG_EVERY = 60.0


@dataclass(frozen=True, eq=False)
class ChainResult:
    """Sums and traces of C chains over I iterations.

    Attributes
    ----------
    mean, square : ndarray of float64, shape (C, T)
        Posterior mean of each effect and of its square.
    psi : ndarray of float64, shape (C, P)
        Posterior mean of psi.
    phi : ndarray of float64, shape (C, I, G)
    sigma : ndarray of float64, shape (C, I, G, K)
    variance : ndarray of float64, shape (C, I, K)
        beta'R beta, the variance that the effects explain.
    predictions : ndarray of float64, shape (C, I, K, d)
        Scores of pseudo-people.
    floor_hits : ndarray of int64, shape (C, G, K)
        How often the residual variance was floored.
    n_burnin : int
        Iterations at the start that do not count.
    error : ndarray of float64, shape (S, K)
        For each value of phi, `prs.weights.csx_convergence.prediction_error`.
    is_settled : bool
        Whether a run with a tolerance reached it (before its ceiling, or at it).
    draws : tuple of ndarray of float32, each of shape (C, T), or None
    """

    mean: NDArray[np.float64]
    square: NDArray[np.float64]
    psi: NDArray[np.float64]
    phi: NDArray[np.float64]
    sigma: NDArray[np.float64]
    variance: NDArray[np.float64]
    predictions: NDArray[np.float64]
    floor_hits: NDArray[np.int64]
    n_burnin: int
    error: NDArray[np.float64]
    is_settled: bool
    draws: tuple[NDArray[np.float32], ...] | None


def run_chains(
    model: CsxModel,
    settings: ChainSettings,
    kind: type[Chains] = Chains,
    *,
    checkpoint: str | Path | None = None,
    checkpoint_every: float = CHECKPOINT_EVERY,
    client: Client | None = None,
) -> ChainResult:
    """Run all chains for all iterations, or until their predictions are exact enough.

    Parameters
    ----------
    model : CsxModel
    settings : ChainSettings
    kind : type of Chains
        The moves of one iteration.
    checkpoint : str or Path, optional
        File that the run is saved to and, if it is there, goes on from. It is left when the run
        is over: the same run then returns its result at once.
    checkpoint_every : float
        Seconds between two savings.
    client : distributed.Client, optional
        A cluster whose workers make the iterations, a chain a task.

    Raises
    ------
    SamplerError
        If a chain diverges; names the block and the population.
    CheckpointError
        If the checkpoint is of another run, or cannot be read.
    """
    if client is None:
        loop = Loop(model, settings, kind)
    else:
        from prs.weights.csx_cluster import ClusterLoop

        loop = ClusterLoop(model, settings, kind, client)
    with one_blas_thread(), start_team(settings.n_threads) as team:
        if checkpoint is None:
            for _ in loop.iterate(team):
                pass
        else:
            path = Path(checkpoint)
            key = run_key(model, settings, kind)
            loop.progress = load_checkpoint(path, key, loop.chains, loop.traces) or loop.progress
            saved_at, saved = time.monotonic(), loop.progress.iteration
            for _ in loop.iterate(team):
                if time.monotonic() - saved_at >= checkpoint_every:
                    save_checkpoint(path, key, loop.chains, loop.traces, loop.progress)
                    saved_at, saved = time.monotonic(), loop.progress.iteration
            if saved < loop.progress.iteration:
                save_checkpoint(path, key, loop.chains, loop.traces, loop.progress)
        return loop.result(team)


class Loop:
    """One run: its chains, its traces and its windows.

    The iterations are cut into windows at `edges`; the totals of the last two windows count, and
    the iterations before them are burn-in. A run of a given length has its burn-in and two
    halves; one with a tolerance is looked at when a window ends.
    """

    def __init__(self, model: CsxModel, settings: ChainSettings, kind: type[Chains]) -> None:
        self.model, self.settings = model, settings
        self.chains = kind(model, settings)
        self.traces = Traces.empty(settings.n_iter, model, len(settings.start))
        self.progress = Progress(stride=settings.thin)
        self.parts = [model.effects(k) for k in range(len(model.populations))]
        n_burnin, n_iter = settings.n_burnin, settings.n_iter
        if settings.tolerance is not None:
            self.edges = window_edges(n_iter)
        else:
            middle = n_burnin + (n_iter - n_burnin) // 2
            self.edges = sorted({n_burnin, middle, n_iter} - {0})

    def iterate(self, team: Team) -> Iterator[None]:
        """Make the iterations that are left; yields after each."""
        from tqdm.auto import tqdm

        settings, progress = self.settings, self.progress
        learns = any(phi is None for phi in settings.phi)
        begun, told, first = time.monotonic(), time.monotonic(), progress.iteration
        with tqdm(
            total=settings.n_iter,
            initial=progress.iteration,
            desc="PRS-CSx",
            unit="it",
            disable=None,
        ) as bar:
            while progress.iteration < settings.n_iter and not progress.is_settled:
                self.step(team)
                if progress.iteration in self.edges:
                    self.end_window(team)
                bar.update()
                if learns and not bar.disable and progress.iteration % 20 == 0:
                    phi = np.exp(np.log(self.chains.phi).mean())
                    bar.set_postfix_str(f"phi {phi:.1e}", refresh=False)
                if time.monotonic() - told >= LOG_EVERY:  # for runs without a terminal
                    told = time.monotonic()
                    left = (told - begun) / (progress.iteration - first)
                    left *= settings.n_iter - progress.iteration
                    logger.info(
                        "iteration %s of %s%s, %.0f minutes left",
                        f"{progress.iteration:,}", f"{settings.n_iter:,}",
                        "" if settings.tolerance is None else " at most", left / 60,
                    )  # fmt: skip
                yield

    def step(self, team: Team) -> None:
        """Make one iteration, and note it in the traces."""
        chains, traces, progress = self.chains, self.traces, self.progress
        i = progress.iteration
        chains.step(team, accumulate=self._counts(i))
        traces.phi[:, i], traces.sigma[:, i] = chains.phi, chains.sigma
        explained = chains.pair_sums[..., 0] - chains.pair_sums[..., 1]
        traces.variance[:, i] = explained.sum(axis=1)
        traces.predictions[:, i] = chains.predict()
        progress.iteration = i + 1
        if self.settings.keep_draws and self._counts(i):
            self.keep_draw(i + 1, chains.beta)

    def _counts(self, i: int) -> bool:
        """Whether iteration `i` (from 0) may count: a run with a tolerance cannot know."""
        return self.settings.tolerance is not None or i >= self.settings.n_burnin

    def keep_draw(self, at: int, beta: NDArray[np.float64 | np.float32]) -> None:
        """Keep the effects after iteration `at` as a draw, if it is one of those kept."""
        settings, progress = self.settings, self.progress
        since = 0 if settings.tolerance is not None else settings.n_burnin
        if (at - since) % progress.stride:
            return
        progress.draws.append(beta.astype(np.float32))
        progress.draw_at.append(at)
        if settings.tolerance is not None and len(progress.draws) > settings.max_draws:
            progress.stride *= 2
            self._forget_draws(lambda at: at % progress.stride == 0)

    def _forget_draws(self, keep: Callable[[int], bool]) -> None:
        progress = self.progress
        kept = [i for i, at in enumerate(progress.draw_at) if keep(at)]
        progress.draws = [progress.draws[i] for i in kept]
        progress.draw_at = [progress.draw_at[i] for i in kept]

    def end_window(self, team: Team) -> None:
        """Put the window's totals aside, and stop where the tolerance is reached."""
        totals = self.chains.take_totals()
        progress, settings = self.progress, self.settings
        if totals["n_added"]:
            progress.totals = [*progress.totals[-1:], totals]
        if settings.tolerance is None:
            return
        n_burnin = self._n_burnin()
        self._forget_draws(lambda at: at > n_burnin)
        if n_burnin:
            error, mixed = self._error(team), self._is_mixed(n_burnin)
            logger.info(
                "%s iterations: error of predictions %.2g, chains %s",
                f"{progress.iteration:,}", error.max(), "mixed" if mixed else "not mixed yet",
            )  # fmt: skip
            progress.is_settled = mixed and bool((error <= settings.tolerance).all())

    def _n_burnin(self) -> int:
        """Iterations before the windows that count."""
        if self.settings.tolerance is None:
            return self.settings.n_burnin
        passed = [edge for edge in self.edges if edge <= self.progress.iteration]
        return passed[-3] if len(passed) > 2 else 0

    def _chains_of(self) -> list[slice]:
        """Return the chains of each value of phi."""
        n_chains = len(self.settings.start) // self.settings.n_values
        return [slice(i * n_chains, (i + 1) * n_chains) for i in range(self.settings.n_values)]

    def _error(self, team: Team) -> NDArray[np.float64]:
        """Return the error of the predictions, (S, K); NaN where there is nothing to compare."""
        chains = self._chains_of()
        windows = self.progress.totals
        out = np.full((len(chains), len(self.parts)), np.nan)
        if chains[0].stop > 1:
            means = _average(windows, "total")
            products = self.chains.multiply(team, means)
            for s, here in enumerate(chains):
                out[s] = prediction_error(self.model, means[here], products[here])
        elif len(windows) == 2:  # chains of their own: the halves of each
            for s, here in enumerate(chains):
                means = np.concatenate([one["total"][here] / one["n_added"] for one in windows])
                out[s] = prediction_error(self.model, means, self.chains.multiply(team, means))
        return out

    def _is_mixed(self, n_burnin: int) -> bool:
        counted = slice(n_burnin, self.progress.iteration)
        for here in self._chains_of():
            part = self.traces.take(here, counted)
            learns = self.settings.phi[here.start] is None
            if not is_mixed(*diagnose(part.monitored(self.model.populations, learns))):
                return False
        return True

    def result(self, team: Team) -> ChainResult:
        """Return what the run adds up to."""
        progress, n_iter = self.progress, self.progress.iteration
        windows = self.progress.totals
        traces = self.traces.take(slice(None), slice(n_iter))
        return ChainResult(
            mean=_average(windows, "total"),
            square=_average(windows, "total_square"),
            psi=_average(windows, "total_psi"),
            phi=traces.phi,
            sigma=traces.sigma,
            variance=traces.variance,
            predictions=traces.predictions,
            floor_hits=self.chains.floor_hits,
            n_burnin=self._n_burnin(),
            error=self._error(team),
            is_settled=progress.is_settled,
            draws=tuple(progress.draws) if self.settings.keep_draws else None,
        )


def _average(windows: list[dict[str, NDArray[Any]]], name: str) -> NDArray[np.float64]:
    total: NDArray[np.float64] = sum(one[name] for one in windows)  # type: ignore[assignment]
    return total / sum(int(one["n_added"]) for one in windows)
