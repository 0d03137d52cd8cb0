"""One run at a time in a folder: locks that end with their process, and what killed runs leave."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prs.errors import FolderInUseError
from prs.files import TEMPORARY_NAME, errors_of_output

__all__ = ["hold_file", "remove_leftovers"]


@contextmanager
def hold_file(path: Path, what: str, *, remove: bool = False) -> Iterator[None]:
    """Hold a lock file while the block runs; a second process is refused, not made to wait.

    The lock is the operating system's, and ends with the process however it ends: what a killed
    run leaves is no lock. Where the file system has no such locks, the host and process that
    are written in the file decide: a process of this host that is gone holds nothing.

    Parameters
    ----------
    path : Path
        The lock file; it stays behind, empty.
    what : str
        What is held, for the message ("the results in /data/out").
    remove : bool
        Remove the lock file at the end, however the block ends.

    Raises
    ------
    FolderInUseError
        If another process holds it; names the process.
    OutputError
        If the file cannot be written.
    """
    with errors_of_output(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        owner = os.pread(handle, 1000, 0).decode(errors="replace").strip()
        if not _is_free(handle, owner) or not _is_same(handle, path):
            host, _, pid = owner.partition(" ")
            who = f"process {pid} on {host}" if pid else "another process"
            raise FolderInUseError(
                f"another run ({who}) is writing {what}",
                remedy="wait until it has finished, or choose another folder; if it does not run "
                f"any more, delete {path}",
            )
        try:
            with errors_of_output(path):
                os.ftruncate(handle, 0)
                os.pwrite(handle, f"{socket.gethostname()} {os.getpid()}\n".encode(), 0)
            yield
        finally:
            os.ftruncate(handle, 0)
            if remove:
                path.unlink(missing_ok=True)
    finally:
        os.close(handle)


def _is_free(handle: int, owner: str) -> bool:
    """Lock an open file if nobody else has; `owner` is who wrote in it last, if not gone well."""
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):  # no such locks here
        host, _, pid = owner.partition(" ")
        return not host or (host == socket.gethostname() and not _is_running(pid))
    return True


def _is_same(handle: int, path: Path) -> bool:
    """Whether the open file is still the one of this name: its holder may have removed it."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _is_running(pid: str) -> bool:
    """Whether there is a process of this number on this machine."""
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:  # somebody else's
        return True
    return True


def remove_leftovers(folder: Path) -> int:
    """Remove what killed runs were writing below a folder, and return how many files it was.

    Only for whoever holds the folder: the files of a run that goes on look alike.
    """
    found = [file for file in folder.rglob(".*") if TEMPORARY_NAME.fullmatch(file.name)]
    for file in found:
        file.unlink(missing_ok=True)
    return len(found)
