"""Columns of a cohort table as numbers: how outcomes, covariates and splits are coded."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prs.errors import AncestryDataError, InvalidValueError
from prs.inputs.text_table import MISSING, TextTable

__all__ = [
    "TEST",
    "TUNING",
    "OutcomeKind",
    "check_not_constant",
    "code_covariate",
    "code_outcome",
    "code_split",
    "code_time",
]

OutcomeKind = Literal["auto", "binary", "quantitative", "survival"]
TUNING, TEST = "tuning", "test"
_N_SHOWN = 8


def _numbers(cells: NDArray[np.object_]) -> NDArray[np.float64]:
    """Return cells as numbers; NaN for what is not a finite number."""
    values = pd.to_numeric(pd.Series(cells, dtype=object), errors="coerce").to_numpy(dtype=float)
    return np.where(np.isfinite(values), values, np.nan)


def _is_text(cells: NDArray[np.object_], values: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.flatnonzero(np.isnan(values) & ~np.isin(cells, MISSING))


def code_outcome(
    table: TextTable,
    name: str,
    cells: NDArray[np.object_],
    kind: OutcomeKind,
    notes: list[str],
) -> tuple[NDArray[np.float64], str]:
    """Return the outcome (NaN where missing; 1 case, 0 control) and its kind.

    Parameters
    ----------
    table : TextTable
        For messages.
    name : str
        The column.
    cells : ndarray of object (str), shape (N,)
        The column as written, "" where missing.
    kind : {"auto", "binary", "quantitative"}
        What the caller says that it is.
    notes : list of str
        Gets a line on the coding that was found.

    Raises
    ------
    InvalidValueError
        If cells are not numbers, or not those of a binary outcome.
    AncestryDataError
        If the outcome is missing for all, or is the same for all.
    """
    y = _numbers(cells)
    text = _is_text(cells, y)
    if len(text):
        table.refuse(
            text,
            f"{len(text):,} cells of the outcome are not numbers",
            name,
            [repr(cells[i]) for i in text[:5]],
            remedy="code cases 1 and controls 0, and write NA where it is missing",
        )
    present = set(np.unique(y[~np.isnan(y)]))
    if not present - {-9.0}:
        raise AncestryDataError(
            "the outcome is missing for everybody", path=table.path, column=name
        )
    counted = present - {-9.0}
    if kind != "quantitative":
        if counted <= {0.0, 1.0} and len(counted) == 2:
            notes.append(f"{name}: binary, 1 case, 0 control")
            return np.where(y == -9, np.nan, y), "binary"
        plink = counted <= {0.0, 1.0, 2.0} and {1.0, 2.0} <= counted
        if plink and (0.0 not in counted or -9.0 in present or kind == "binary"):
            notes.append(f"{name}: binary, PLINK's code: 2 case, 1 control, 0 and -9 missing")
            return np.where(np.isin(y, (1.0, 2.0)), y - 1, np.nan), "binary"
        if plink:
            raise InvalidValueError(
                "the outcome has the values 0, 1 and 2: a case-control code with 0 missing, or "
                "a quantity?",
                path=table.path,
                column=name,
                remedy="say which: kind='binary' or kind='quantitative'",
            )
        if len(counted) == 1:
            check_not_constant(table, name, np.array(list(counted)))
        if kind == "binary":
            shown = ", ".join(f"{v:g}" for v in sorted(counted)[:_N_SHOWN])
            raise InvalidValueError(
                f"the outcome has {len(counted):,} values ({shown}), where a binary one has 0/1 "
                "or 1/2",
                path=table.path,
                column=name,
                remedy="code cases 1 and controls 0",
            )
    if -9.0 in present and min(counted) >= 0:
        y = np.where(y == -9, np.nan, y)
        notes.append(f"{name}: -9 is missing, as in PLINK (no other value is negative)")
    notes.append(f"{name}: quantitative")
    return y, "quantitative"


def check_not_constant(table: TextTable, name: str, y: NDArray[np.float64]) -> None:
    """Raise AncestryDataError if the outcome has one value only."""
    if np.ptp(y) == 0:
        raise AncestryDataError(
            f"the outcome is {y[0]:g} for everybody who is left ({len(y):,} people): there is "
            "nothing to predict",
            path=table.path,
            column=name,
            remedy="check the column and its coding (cases 1 and controls 0, or PLINK's 2 and 1)",
        )


def code_covariate(
    table: TextTable, name: str, cells: NDArray[np.object_], notes: list[str]
) -> NDArray[np.float64]:
    """Return a covariate, NaN where missing; text with two values is coded 0/1.

    Raises
    ------
    InvalidValueError
        If it is text with more values, or text here and numbers there.
    """
    x = _numbers(cells)
    text = _is_text(cells, x)
    if len(text) == 0:
        return x
    levels = sorted({c for c in cells if c not in MISSING})
    if len(text) == np.sum(~np.isin(cells, MISSING)) and len(levels) == 2:
        notes.append(f"covariate {name}: {levels[0]} = 0, {levels[1]} = 1")
        return np.where(cells == levels[1], 1.0, np.where(cells == levels[0], 0.0, np.nan))
    table.refuse(
        text,
        f"{len(text):,} cells of a covariate are text ({len(levels):,} different values)",
        name,
        [repr(cells[i]) for i in text[:5]],
        remedy="covariates are numbers, or text with two values; make a 0/1 column for each level",
    )
    return x


def code_time(
    table: TextTable,
    name: str,
    cells: NDArray[np.object_],
    notes: list[str],
    *,
    is_entry: bool = False,
) -> NDArray[np.float64]:
    """Return the time of the event or of censoring (or of entry), NaN where missing.

    Raises
    ------
    InvalidValueError
        If a cell is text, or a time is negative.
    """
    time = _numbers(cells)
    for bad, words in (
        (_is_text(cells, time), "are not numbers"),
        (np.flatnonzero(time < 0.0), "are negative"),
    ):
        if len(bad):
            table.refuse(
                bad,
                f"{len(bad):,} times {words}",
                name,
                [repr(cells[i]) for i in bad[:5]],
                remedy="give the time from entry to the event or to censoring, in one unit; with a "
                "column of entry, both on one scale, such as age",
            )
    what = "entry: at risk only after it" if is_entry else "time to the event, or to censoring"
    notes.append(f"{name}: {what}")
    return time


def code_split(table: TextTable, name: str, cells: NDArray[np.object_]) -> NDArray[np.object_]:
    """Return "tuning", "test" or "" for each person.

    Raises
    ------
    InvalidValueError
        If there is any other word; it is named.
    """
    parts = np.array([c.lower() for c in cells], dtype=object)
    bad = np.flatnonzero(~np.isin(parts, (TUNING, TEST, "")))
    if len(bad):
        values = ", ".join(sorted(set(cells[bad]))[:_N_SHOWN])
        table.refuse(
            bad,
            f"{len(bad):,} people are neither {TUNING!r} nor {TEST!r} but: {values}",
            name,
            [f"{cells[i]!r}" for i in bad[:5]],
            remedy=f"write {TUNING} or {TEST} for each person (NA to leave a person out)",
        )
    return parts
