"""The `prs` command: parse, call one library function, write, say one line."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from prs.cli.app import app
from prs.cli.failures import describe_failure, is_out_of_memory
from prs.errors import PrsError

__all__ = ["main"]


class _TerminatedError(KeyboardInterrupt):
    """The process was asked to end, by SLURM or a shutdown: it unwinds as from an interrupt."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; exits with 0, 1 (bad input) or 2 (bad usage).

    An interrupt (SIGINT) ends it with 130 and SIGTERM with 143, as shells expect, after files
    that are half written are removed.

    Parameters
    ----------
    arguments : sequence of str, optional
        Default: those of the process.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    logging.captureWarnings(capture=True)
    try:
        with _unwinding_on_sigterm():
            app(args=None if arguments is None else list(arguments), prog_name="prs")
    except (PrsError, OSError, MemoryError) as error:
        _fail(describe_failure(error))
    except ImportError as error:
        if not is_out_of_memory(error):
            raise
        _fail(describe_failure(error))
    except (SystemExit, KeyboardInterrupt) as stop:
        interrupt = _interrupt_behind(stop)
        if interrupt is None:
            raise
        was_terminated = isinstance(interrupt, _TerminatedError)
        sys.stderr.write(
            f"{'terminated' if was_terminated else 'interrupted'}; nothing half-written was left, "
            "what is finished is kept\n"
        )
        sys.exit(128 + (signal.SIGTERM if was_terminated else signal.SIGINT))


@contextmanager
def _unwinding_on_sigterm() -> Iterator[None]:
    """Have SIGTERM raise while the block runs, so that temporary files are removed.

    Python loses what is raised while it frees an object. Such an interrupt comes again.
    """
    tell = sys.unraisablehook

    def stop(*_: object) -> None:
        raise _TerminatedError

    def tell_or_repeat(lost: sys.UnraisableHookArgs) -> None:
        if not isinstance(lost.exc_value, KeyboardInterrupt):
            tell(lost)
            return
        was_terminated = isinstance(lost.exc_value, _TerminatedError)
        number = signal.SIGTERM if was_terminated else signal.SIGINT
        # in a moment: now, it would be lost in this function; as a signal, which ends a wait
        main_thread = threading.main_thread().ident
        threading.Timer(0.01, signal.pthread_kill, [main_thread, number]).start()

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not the main thread: whoever has that decides
        yield
        return
    sys.unraisablehook = tell_or_repeat
    try:
        yield
    finally:
        sys.unraisablehook = tell
        signal.signal(signal.SIGTERM, before)


def _interrupt_behind(stop: BaseException) -> KeyboardInterrupt | None:
    """Return the interrupt that typer turned into `stop`, as its versions do in several ways."""
    error: BaseException | None = stop
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error


def _fail(message: str) -> None:
    sys.stderr.write(f"error: {message}\n")
    sys.exit(1)
