"""Several studies in one call, each in its own folder: one that fails does not stop the others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from prs.cluster import run_graph
from prs.errors import PrsError, SettingsError
from prs.pipeline.run import StudyResult, run_study
from prs.study import read_study

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["StudyOutcome", "run_studies"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StudyOutcome:
    """How one of several studies ended.

    Attributes
    ----------
    path : Path
        The study file.
    result : StudyResult or None
        Where its results are; None if it failed.
    error : Exception or None
        Why it failed.
    """

    path: Path
    result: StudyResult | None
    error: Exception | None


def run_studies(
    paths: Sequence[str | Path],
    *,
    n_threads: int | None = None,
    force: bool = False,
    say: Callable[[str], None] | None = None,
    client: Client | None = None,
) -> tuple[StudyOutcome, ...]:
    """Run several studies; one that fails does not stop the others.

    Each has the files that `run_study` writes for it alone.

    Parameters
    ----------
    paths : sequence of str or Path
        The study files.
    n_threads, force
        As for `run_study`.
    say : callable, optional
        Gets one line for each stage, with the study file before it; default: the log.
    client : distributed.Client, optional
        A cluster, on which all studies run at the same time; without it one follows another.

    Returns
    -------
    tuple of StudyOutcome
        One for each of `paths`, in their order.

    Raises
    ------
    SettingsError
        If two of them write to the same folder.
    """
    _check_folders(paths)
    tell = say or logger.info
    pieces = {
        str(path): partial(_run_one, Path(path), n_threads, force, tell, client) for path in paths
    }
    if client is None:
        return tuple(run() for run in pieces.values())
    made = run_graph({name: (run,) for name, run in pieces.items()})
    return tuple(made[name] for name in pieces)


def _run_one(
    path: Path,
    n_threads: int | None,
    force: bool,
    say: Callable[[str], None],
    client: Client | None,
) -> StudyOutcome:
    def tell(lines: str) -> None:
        for line in lines.splitlines():
            say(f"{path}: {line}")

    try:
        result = run_study(path, n_threads=n_threads, force=force, say=tell, client=client)
    except Exception as error:  # whatever it is, it is no reason to stop the others
        if not isinstance(error, (PrsError, OSError, MemoryError)):
            logger.exception("%s failed", path)
        tell("failed")
        return StudyOutcome(path, None, error)
    return StudyOutcome(path, result, None)


def _check_folders(paths: Sequence[str | Path]) -> None:
    """Refuse studies of which one would overwrite another's results."""
    owner: dict[Path, str | Path] = {}
    for path in paths:
        try:
            folder = read_study(path).out_folder.resolve()
        except (PrsError, OSError):  # said when its turn comes
            continue
        if folder in owner:
            raise SettingsError(
                f"{owner[folder]} and {path} write to the same folder, {folder}",
                remedy="give each study its own folder (out = ...)",
            )
        owner[folder] = path
