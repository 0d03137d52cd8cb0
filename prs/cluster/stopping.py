"""Work in several threads that ends when one of them fails, or the user asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Event

from prs.errors import ClusterError

__all__ = ["check_stop", "stop_events", "stoppable"]

_EVENTS: ContextVar[tuple[Event, ...]] = ContextVar("prs_stop", default=())


def stop_events() -> tuple[Event, ...]:
    """Return the events that end what this thread does."""
    return _EVENTS.get()


@contextmanager
def stoppable(*events: Event) -> Iterator[None]:
    """Let what this thread does inside end at its next item once one of `events` is set."""
    token = _EVENTS.set(events)
    try:
        yield
    finally:
        _EVENTS.reset(token)


def check_stop() -> None:
    """Raise ClusterError if this thread's work is to end."""
    if any(event.is_set() for event in _EVENTS.get()):
        raise ClusterError("stopped, because work beside it was", remedy="run it again")
