"""The stages of a study as a graph: what each one needs; run in order, or at the same time.

With a cluster, stages that do not need each other run at the same time (`prs.cluster.graph`);
their files and lines are those of stages that run in order. What is written is written by this
process, which holds the folder of the results. Without a cluster stages run one after another:
each of them uses all cores already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextvars import ContextVar
from threading import Lock
from typing import TYPE_CHECKING, Any

from prs.cluster import run_graph

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["Lines", "StageGraph"]

#: The stage that a thread works on.
_STAGE: ContextVar[str | None] = ContextVar("prs_stage", default=None)


class Lines:
    """Says lines in the order of the stages that they are of, whichever stage is first done.

    Parameters
    ----------
    say : callable
        Gets each line.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say, self._lock = say, Lock()
        self._kept: dict[str, list[str]] = {}
        self._over: set[str] = set()

    def __call__(self, line: str) -> None:
        """Say a line now, or when the stages before its own are over."""
        stage = _STAGE.get()
        with self._lock:
            if stage in self._kept and stage != self._first:
                self._kept[stage].append(line)
            else:
                self._say(line)

    def expect(self, stages: Iterable[str]) -> None:
        """Take the order of stages that are about to run."""
        self._kept, self._over = {stage: [] for stage in stages}, set()

    def finish(self, stage: str) -> None:
        """Say what waited for this stage to be over."""
        with self._lock:
            self._over.add(stage)
            while self._kept and self._first in self._over:
                del self._kept[self._first]
                if self._kept:
                    self._say_kept(self._first)

    def flush(self) -> None:
        """Say all that is left, in the order of the stages."""
        with self._lock:
            for stage in self._kept:
                self._say_kept(stage)
            self._kept = {}

    @property
    def _first(self) -> str:
        """The stage whose lines are said at once."""
        return next(iter(self._kept))

    def _say_kept(self, stage: str) -> None:
        for line in self._kept[stage]:
            self._say(line)
        self._kept[stage] = []


class StageGraph:
    """Stages in the order in which one process runs them, each with the stages that it needs."""

    def __init__(self) -> None:
        self._stages: dict[str, tuple[Any, ...]] = {}

    @property
    def names(self) -> list[str]:
        """The stages in their order."""
        return list(self._stages)

    def add(self, name: str, work: Callable[..., Any], *needs: str) -> str:
        """Add a stage; return its name.

        Parameters
        ----------
        name : str
            Of no other stage.
        work : callable
            Is called with the results of the stages that it needs.
        *needs : str
            Names of these, which were added before.
        """
        lacking = [need for need in needs if need not in self._stages]
        if name in self._stages or lacking:
            raise ValueError(f"stage {name!r} was added before, or not what it needs: {lacking}")
        self._stages[name] = (work, *needs)
        return name

    def run(self, lines: Lines, client: Client | None = None) -> Any:
        """Run all stages and return the result of the last.

        The first error ends the others at their next piece of work, and is raised.

        Parameters
        ----------
        lines : Lines
            What the stages say goes through it.
        client : distributed.Client, optional
            The cluster on which stages that do not need each other run at the same time.
        """
        if client is None:
            made: dict[str, Any] = {}
            for name, (work, *needs) in self._stages.items():
                made[name] = work(*(made[need] for need in needs))
            return made[name]
        lines.expect(self._stages)
        try:
            return run_graph(
                {
                    name: (_speaking(name, work, lines), *needs)
                    for name, (work, *needs) in self._stages.items()
                }
            )[list(self._stages)[-1]]
        finally:
            lines.flush()


def _speaking(name: str, work: Callable[..., Any], lines: Lines) -> Callable[..., Any]:
    """Return a stage's work that marks the lines of its thread as the stage's."""

    def run(*needed: Any) -> Any:
        token = _STAGE.set(name)
        try:
            made = work(*needed)
        finally:
            _STAGE.reset(token)
        lines.finish(name)
        return made

    return run
