"""The `prs` command: parse, call one library function, write, say one line."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

from prs.cli.app import app
from prs.cli.failures import describe_failure
from prs.errors import PrsError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; exits with 0, 1 (bad input) or 2 (bad usage).

    Parameters
    ----------
    arguments : sequence of str, optional
        Default: those of the process.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    logging.captureWarnings(capture=True)
    try:
        app(args=None if arguments is None else list(arguments), prog_name="prs")
    except (PrsError, OSError, MemoryError) as error:
        _fail(describe_failure(error))
    except SystemExit as stop:
        if not _was_interrupted(stop):
            raise
        _say_interrupted()
    except KeyboardInterrupt:
        _say_interrupted()


def _was_interrupted(stop: SystemExit) -> bool:
    """Whether typer turned an interrupt into this, as its versions do in several ways."""
    error: BaseException | None = stop
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _say_interrupted() -> None:
    sys.stderr.write("interrupted; nothing half-written was left, what is finished is kept\n")
    sys.exit(130)


def _fail(message: str) -> None:
    sys.stderr.write(f"error: {message}\n")
    sys.exit(1)
