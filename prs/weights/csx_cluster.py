"""Chains of the sampler on the workers of a cluster: a chain a task, a few hundred iterations each.

A chain's numbers depend on its own state alone, so that it may run beside the others or by
itself: after each span of iterations this process has the states and traces that it would have
had if it had run all chains, and decides about burn-in, draws and the end as it does then. The
span of a worker that died is made again from the state at its beginning.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from prs.cluster import Shared, map_tasks, one_blas_thread, share
from prs.weights.csx_chain import Chains
from prs.weights.csx_convergence import Traces
from prs.weights.csx_model import CsxModel
from prs.weights.csx_run import Loop
from prs.weights.csx_settings import ChainSettings, Team, start_team

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["ClusterLoop"]

#: Most iterations of a task: what is done twice if a worker dies.
SPAN = 250
_TRACES = tuple(one.name for one in fields(Traces))


@dataclass(frozen=True, eq=False)
class _Span:
    """What one chain made of a span of iterations."""

    state: dict[str, NDArray[Any]]
    traces: dict[str, NDArray[Any]]
    draws: list[NDArray[np.float32]]
    draw_at: list[int]


@dataclass(frozen=True, eq=False)
class _SpanWork:
    """Takes chain `c` from `first` to `last` iterations."""

    model: Shared
    settings: ChainSettings
    kind: type[Chains]
    states: Shared
    first: int
    last: int
    stride: int

    def __call__(self, c: int) -> _Span:
        s = self.settings
        one = replace(
            s, phi=(s.phi[c],), start=(s.start[c],), n_values=1, n_iter=self.last,
            max_draws=self.last,
        )  # fmt: skip
        loop = Loop(self.model.get(), one, self.kind)
        loop.chains.first_chain = c
        loop.chains.restore(self.states.get()[c])
        loop.progress.iteration, loop.progress.stride = self.first, self.stride
        with one_blas_thread(), start_team(one.n_threads) as team:
            while loop.progress.iteration < self.last:
                loop.step(team)
        return _Span(
            loop.chains.state(),
            {name: getattr(loop.traces, name)[:, self.first :] for name in _TRACES},
            loop.progress.draws,
            loop.progress.draw_at,
        )


class ClusterLoop(Loop):
    """A `Loop` whose iterations are made by the workers of a cluster.

    Parameters
    ----------
    model, settings, kind
        As for `Loop`; `settings.n_threads` is that of a task.
    client : distributed.Client
        The cluster.
    """

    def __init__(
        self, model: CsxModel, settings: ChainSettings, kind: type[Chains], client: Client
    ) -> None:
        super().__init__(model, settings, kind)
        self.kind, self.client = kind, client

    def iterate(self, team: Team) -> Iterator[None]:
        """Make the iterations that are left; yields after each span."""
        from tqdm.auto import tqdm

        n_iter, progress = self.settings.n_iter, self.progress
        with (
            share(self.model, self.client) as model,
            tqdm(
                total=n_iter, initial=progress.iteration, desc="PRS-CSx", unit="it", disable=None
            ) as bar,
        ):
            while progress.iteration < n_iter and not progress.is_settled:
                first = progress.iteration
                edge = next(edge for edge in self.edges if edge > first)
                self._run_span(model, first, min(edge, first + SPAN))
                bar.update(progress.iteration - first)
                if progress.iteration in self.edges:
                    self.end_window(team)
                yield

    def _run_span(self, model: Shared, first: int, last: int) -> None:
        chains = range(len(self.settings.start))
        whole = self.chains.state()
        states = [{k: _take(k, v, c).copy() for k, v in whole.items()} for c in chains]
        with share(states, self.client) as shared:
            work = _SpanWork(
                model, self.settings, self.kind, shared, first, last, self.progress.stride
            )
            spans = list(map_tasks(work, chains, client=self.client))
        for c, span in enumerate(spans):
            for name, array in span.state.items():
                if array.ndim:
                    _take(name, whole[name], c)[...] = array
            for name, array in span.traces.items():
                getattr(self.traces, name)[c, first:last] = array[0]
        whole |= {name: array for name, array in spans[0].state.items() if not array.ndim}
        self.chains.restore(whole)
        self.progress.iteration = last
        for i, at in enumerate(spans[0].draw_at):
            self.keep_draw(at, np.concatenate([span.draws[i] for span in spans]))


def _take(name: str, array: NDArray[Any], chain: int) -> NDArray[Any]:
    """Return one chain's part of a state; streams have the chain on their second axis."""
    if array.ndim == 0:
        return array
    here = slice(chain, chain + 1)
    return array[:, here] if name.endswith("_streams") else array[here]
