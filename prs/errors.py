"""One exception class for each cause that a caller can act on; all derive from `PrsError`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

__all__ = [
    "AncestryDataError",
    "BuildMismatchError",
    "CheckpointError",
    "ClusterError",
    "ColumnError",
    "FileFormatError",
    "FolderInUseError",
    "InvalidValueError",
    "LDReferenceError",
    "OutputError",
    "OverlapError",
    "OverlappingSamplesError",
    "PrsError",
    "SampleMismatchError",
    "SamplerError",
    "SettingsError",
    "StudyFileError",
]

N_ROWS_SHOWN = 5


class PrsError(Exception):
    """Base class: a problem that the user can mend, told so that they can.

    Parameters
    ----------
    message : str
        What is wrong, in one sentence, with the figures.
    path : str or Path, optional
        The file concerned.
    line : int, optional
        1-based line number in that file.
    column : str, optional
        Name of the column concerned.
    rows : sequence of str, optional
        The offending rows; the first five are shown.
    n_rows : int, optional
        How many rows offend in all (default: ``len(rows)``).
    remedy : str, optional
        What to do about it.
    fault : str, optional
        Short name of what is wrong, under which `prs check` lists it.
    """

    def __init__(
        self,
        message: str,
        *,
        path: str | Path | None = None,
        line: int | None = None,
        column: str | None = None,
        rows: Sequence[str] = (),
        n_rows: int | None = None,
        remedy: str | None = None,
        fault: str | None = None,
    ) -> None:
        self.message = message
        self.fault = fault
        self.path = None if path is None else str(path)
        self.line = line
        self.column = column
        self.rows = tuple(rows[:N_ROWS_SHOWN])
        self.n_rows = len(rows) if n_rows is None else n_rows
        self.remedy = remedy
        super().__init__(self._text())

    def _text(self) -> str:
        where = self.path or ""
        if self.line is not None:
            where += f", line {self.line}" if where else f"line {self.line}"
        if self.column is not None:
            where += f", column {self.column!r}" if where else f"column {self.column!r}"
        text = f"{where}: {self.message}" if where else self.message
        if self.rows:
            more = self.n_rows - len(self.rows)
            text += "".join(f"\n    {row}" for row in self.rows)
            text += f"\n    ... and {more:,} more" if more > 0 else ""
        if self.remedy:
            text += f"\n  Remedy: {self.remedy}"
        return text


class FileFormatError(PrsError):
    """A file that is missing, empty, truncated, or not of the format that it should be."""


class ColumnError(PrsError):
    """A table lacks a column that is needed, or a column is not what it was taken for."""


class InvalidValueError(PrsError):
    """Cells with values that cannot be: not a number, out of range, missing where required."""


class SampleMismatchError(PrsError):
    """Two inputs that should be of the same people have too few, or no, sample ids in common."""


class OverlapError(PrsError):
    """Too few variants in common between two inputs."""


class BuildMismatchError(OverlapError):
    """Two inputs are on different genome builds: ids agree, positions do not."""


class LDReferenceError(PrsError):
    """An LD reference or panel folder that is incomplete or inconsistent."""


class SettingsError(PrsError, ValueError):
    """An argument, or a combination of arguments, that makes no sense."""


class StudyFileError(PrsError):
    """A study file with an unknown key, a missing key or a value of the wrong kind."""


class OverlappingSamplesError(PrsError):
    """People who tuned a model are among those that would judge it."""


class AncestryDataError(PrsError):
    """A phenotype or ancestry label that does not allow the analysis (no cases, one class...)."""


class SamplerError(PrsError):
    """A Markov chain that diverged; says which block and which population."""


class ClusterError(PrsError):
    """A cluster that cannot be used: not there, not installed, or workers that keep dying."""


class FolderInUseError(PrsError):
    """Another run is writing to the same folder."""


class CheckpointError(PrsError):
    """A checkpoint that is of another run (inputs, settings or versions), or damaged."""


class OutputError(PrsError):
    """A file that cannot be written: a full disk, no permission, a read-only file system."""
