"""The same on a Dask cluster: data by path, small messages, and work that survives its worker.

The function, with all that it holds, is written once to a file in the *scratch folder*, and
workers map it into memory; genotypes and LD references in it are only paths, which workers open
themselves. What Dask's scheduler carries is a path, an item and a small result; larger results
are left in the scratch folder. So the scratch folder must be one that all workers see: the
setting ``prs.scratch`` of Dask's configuration (or ``DASK_PRS__SCRATCH`` in the environment);
default: the temporary folder if the workers are processes of this machine, otherwise the folder
one stands in. It is emptied at the end.

Dask gives the tasks of a worker that died to another; a task that was running in four deaths is
not tried again.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prs.cluster.shelf import load_object, pack_object, save_object
from prs.cluster.stopping import check_stop, stop_events
from prs.errors import ClusterError, PrsError

if TYPE_CHECKING:
    from distributed import Client, Future

__all__ = ["Shared", "map_on_workers", "share"]

logger = logging.getLogger(__name__)

#: Bytes of a result that go through the scheduler; more go through a file.
MAX_MESSAGE = 1 << 16
#: Items that are given out before the first result is waited for, at least.
_MIN_AHEAD = 64


@dataclass(frozen=True)
class _Left:
    """A result that was left in a file."""

    path: str


@dataclass(frozen=True)
class _Failed:
    """What went wrong with an item, to be raised where the results are taken."""

    error: Exception


def map_on_workers(
    function: Callable[[Any], Any], items: Iterable[Any], client: Client
) -> Iterator[Any]:
    """Do `prs.cluster.tasks.map_tasks` with the workers of `client`."""
    from distributed import CancelledError, KilledWorker

    name = getattr(function, "__name__", type(function).__name__).strip("_")
    run = uuid.uuid4().hex[:12]
    pending: deque[Future] = deque()
    with _scratch_folder(client) as folder:
        path = folder / "function"
        save_object(path, pack_object(function))

        def take() -> Any:
            future = pending.popleft()
            try:
                result = _wait(future)
            except KilledWorker as error:
                raise ClusterError(
                    f"four workers died, one after the other, on the same piece of work ({name})",
                    remedy="they were most likely killed for memory: give each worker more of it "
                    "(fewer workers a machine), or fewer threads",
                ) from error
            except CancelledError as error:
                raise ClusterError(
                    "the cluster went away before the work was done",
                    remedy="look at the logs of the scheduler and the workers, and run again",
                ) from error
            if isinstance(result, _Failed):
                raise result.error
            if isinstance(result, _Left):
                file = Path(result.path)
                result = load_object(file)
                file.unlink(missing_ok=True)
            return result

        ahead = max(_MIN_AHEAD, 2 * sum(client.nthreads().values()))
        try:
            for number, item in enumerate(items):
                pending.append(
                    client.submit(
                        _call, str(path), str(folder / f"{number}"), item,
                        key=f"prs-{name}-{run}-{number}", pure=False,
                    )
                )  # fmt: skip
                if len(pending) >= ahead:
                    yield take()
            while pending:
                yield take()
        finally:
            if pending:
                client.cancel(list(pending), force=True)


def _wait(future: Future) -> Any:
    """Return a result; where work may be ended from outside, look up every second."""
    while stop_events():
        check_stop()
        with suppress(TimeoutError):
            return future.result(timeout=1.0)
    return future.result()


def _call(path: str, out: str, item: Any) -> Any:
    """Do one item; this runs on a worker."""
    try:
        result = _load_function(path)(item)
        packed = pack_object(result)
        if len(packed[0]) + sum(len(buffer) for buffer in packed[1]) <= MAX_MESSAGE:
            return result
        save_object(Path(out), packed)
    except (PrsError, OSError, MemoryError) as error:  # the user's, not the worker's log's
        return _Failed(error)
    return _Left(out)


class Shared:
    """A large object of which a worker reads one copy, however many calls of `map_tasks` use it.

    Parameters
    ----------
    thing : object
        What is shared; it is not to be changed.
    path : Path, optional
        Its file, where others than this process are to have it.
    """

    def __init__(self, thing: Any, path: Path | None = None) -> None:
        self._thing, self._path = thing, path

    def get(self) -> Any:
        """Return the object."""
        return self._thing

    def __reduce__(self) -> tuple[Callable[[str], Shared], tuple[str]]:
        """Travel as the file's name."""
        return _open_shared, (str(self._path),)


@contextmanager
def share(thing: Any, client: Client | None) -> Iterator[Shared]:
    """Yield a handle of an object that may be part of functions and items of `map_tasks`."""
    if client is None:
        yield Shared(thing)
        return
    with _scratch_folder(client) as folder:
        save_object(folder / "shared", pack_object(thing))
        yield Shared(thing, folder / "shared")


@lru_cache(maxsize=2)  # what stays over many calls, and what is new in each
def _open_shared(path: str) -> Shared:
    return Shared(_load(path), Path(path))


@lru_cache(maxsize=2)
def _load_function(path: str) -> Callable[[Any], Any]:
    """Return the function of a file; a worker reads it once."""
    function: Callable[[Any], Any] = _load(path)
    return function


def _load(path: str) -> Any:
    try:
        return load_object(Path(path))
    except FileNotFoundError as error:
        raise ClusterError(
            f"a worker does not see the folder {Path(path).parent.parent}, through which data "
            "are passed",
            remedy="set prs.scratch in Dask's configuration, or DASK_PRS__SCRATCH in the "
            "environment, to a folder that all workers see",
        ) from error


@contextmanager
def _scratch_folder(client: Client) -> Iterator[Path]:
    """Make a folder for one call that this process and all workers see; remove it at the end."""
    import dask
    from distributed import LocalCluster

    chosen = dask.config.get("prs.scratch", None)
    if chosen is None:
        local = isinstance(client.cluster, LocalCluster)
        chosen = tempfile.gettempdir() if local else Path.cwd()
    parent = Path(chosen).absolute()
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".prs-scratch-", dir=parent))
    try:
        yield folder
    finally:
        # a network file system keeps what a worker still has mapped; nothing depends on it
        shutil.rmtree(folder, ignore_errors=True)
