"""Work in several threads that ends when one of them fails, or the user asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Event

from prs.errors import ClusterError

__all__ = ["check_stop", "is_stoppable", "stoppable"]

_EVENT: ContextVar[Event | None] = ContextVar("prs_stop", default=None)


@contextmanager
def stoppable(event: Event) -> Iterator[None]:
    """Let what this thread does inside end at its next piece of work once `event` is set."""
    token = _EVENT.set(event)
    try:
        yield
    finally:
        _EVENT.reset(token)


def is_stoppable() -> bool:
    """Return whether this thread's work may be ended by an event."""
    return _EVENT.get() is not None


def check_stop() -> None:
    """Raise ClusterError if this thread's work is to end."""
    event = _EVENT.get()
    if event is not None and event.is_set():
        raise ClusterError("stopped, because work beside it was", remedy="run it again")
