"""The cohort: outcome, covariates, ancestry labels and split of the people to be scored."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prs.errors import (
    AncestryDataError,
    ColumnError,
    OverlappingSamplesError,
    SettingsError,
)
from prs.inputs.cohort_columns import (
    TEST,
    TUNING,
    OutcomeKind,
    check_not_constant,
    code_covariate,
    code_outcome,
    code_split,
    code_time,
)
from prs.inputs.cohort_people import Cohort
from prs.inputs.text_table import TextTable, open_table
from prs.samples import SampleTable

__all__ = ["Cohort", "read_cohort"]

logger = logging.getLogger(__name__)

_WITHOUT_TIME = ("binary", "quantitative")
_ID_NAMES = ("iid", "sample_id", "sample", "eid", "id")


def read_cohort(
    path: str | Path,
    *,
    outcome: str,
    covariates: Sequence[str] = (),
    labels: Sequence[str] = ("ancestry",),
    split: str | None = None,
    kind: OutcomeKind = "auto",
    time: str | None = None,
    entry: str | None = None,
) -> Cohort:
    """Read a table of people: IID (FID optional), outcome, covariates, labels, split.

    Tab-, comma- or space-separated with a header, plain or gzip. People who lack the outcome,
    a covariate, a label or the split are left out and counted. A binary outcome is coded 0/1,
    or as in PLINK: 1 control, 2 case, 0 or -9 missing; which one is said in `notes`. A
    covariate of two words (M/F) is coded 0/1 in alphabetical order.

    Parameters
    ----------
    path : str or Path
        The table.
    outcome : str
        Outcome column.
    covariates, labels : sequence of str
        Columns; none is fine.
    split : str, optional
        Column that says "tuning" or "test" for each person.
    kind : {"auto", "binary", "quantitative", "survival"}
        What the outcome is; "auto": survival if `time` is given, else binary if it has the two
        values 0/1 or 1/2. Survival is coded as binary is: 1 event, 0 censored (or 2 and 1).
    time : str, optional
        Column of the time from entry to the event or to censoring; with survival only.
    entry : str, optional
        Column of the time of entry (left truncation): `time` then is not counted from entry but
        on the same scale as it, such as the age at entry and the age at the event. A person is
        at risk after the one and up to the other.

    Raises
    ------
    FileFormatError
        If the file is missing, empty, damaged or ragged.
    ColumnError
        If a column is missing, or a covariate is text of more than two kinds.
    InvalidValueError
        If cells are not what they should be, or a person is listed twice.
    OverlappingSamplesError
        If a person is both in tuning and in test.
    AncestryDataError
        If the outcome is missing for all, or is the same for all.
    """
    if kind not in ("auto", "binary", "quantitative", "survival"):
        raise SettingsError(
            f"kind={kind!r} is not one of 'auto', 'binary', 'quantitative', 'survival'"
        )
    if (kind == "survival") > (time is not None) or (time is not None and kind in _WITHOUT_TIME):
        raise SettingsError(
            f"kind={kind!r} with {'no time' if time is None else f'time={time!r}'}",
            remedy="a survival outcome needs the column of the times, the others have none",
        )
    if entry is not None and time is None:
        raise SettingsError(
            f"entry={entry!r} without time", remedy="name the column of the times on that scale"
        )
    table = open_table(path, "cohort table")
    names = _column_names(table)
    iid = next((names[n] for n in _ID_NAMES if n in names), None)
    if iid is None:
        raise ColumnError(
            "no column of individual ids",
            path=table.path,
            line=1,
            rows=[" ".join(table.header)[:200]],
            remedy="name it IID",
        )
    timed = [name for name in (time, entry) if name is not None]
    column = {n: _find(n, names, table) for n in (outcome, *covariates, *labels, *timed)}
    if split is not None:
        column[split] = _find(split, names, table)
    fid = names.get("fid")
    wanted = [iid, *column.values(), *([fid] if fid else [])]
    cells = {name: _strip(values) for name, values in table.read(wanted, ()).items()}
    samples = SampleTable.from_ids(cells[iid], None if fid is None else cells[fid])
    empty = np.flatnonzero(samples.iid == "")
    if len(empty):
        table.refuse(empty, f"{len(empty):,} people have no id", iid, ["no id"] * 5)
    parts = None if split is None else code_split(table, column[split], cells[column[split]])
    _check_unique(table, samples, parts)

    notes: list[str] = []
    asked: OutcomeKind = kind if time is None else "binary"
    y, outcome_kind = code_outcome(table, column[outcome], cells[column[outcome]], asked, notes)
    times = None
    if time is not None:
        outcome_kind = "survival"
        times = code_time(table, column[time], cells[column[time]], notes)
    entered = None
    if entry is not None and times is not None:
        entered = code_time(table, column[entry], cells[column[entry]], notes, is_entry=True)
        late = np.flatnonzero(entered >= times)
        if len(late):
            table.refuse(
                late,
                f"{len(late):,} people enter at their time ({time}) or after it",
                column[entry],
                [f"{entered[i]:g}, time {times[i]:g}" for i in late[:5]],
                remedy="give both on one scale, such as age at entry and age at the event",
            )
    x = np.empty((len(samples), len(covariates)))
    for j, name in enumerate(covariates):
        x[:, j] = code_covariate(table, column[name], cells[column[name]], notes)
    groups = {name: cells[column[name]] for name in labels}

    keep = np.ones(len(samples), dtype=bool)
    dropped: dict[str, int] = {}
    lacking = {f"missing {outcome}": np.isnan(y)}
    if times is not None:
        lacking[f"missing {time}"] = np.isnan(times)
    if entered is not None:
        lacking[f"missing {entry}"] = np.isnan(entered)
    lacking |= {f"missing {name}": np.isnan(x[:, j]) for j, name in enumerate(covariates)}
    lacking |= {f"missing {name}": values == "" for name, values in groups.items()}
    if parts is not None:
        lacking[f"missing {split}"] = parts == ""
    for reason, bad in lacking.items():
        if (bad & keep).any():
            dropped[reason] = int((bad & keep).sum())
            keep &= ~bad
    if not keep.any():
        raise AncestryDataError(
            f"none of the {len(samples):,} people has all that is asked for",
            path=table.path,
            rows=[f"{reason}: {n:,}" for reason, n in dropped.items()],
            remedy="ask for fewer covariates, or fill the columns",
        )
    check_not_constant(table, column[outcome], y[keep])
    cohort = Cohort(
        samples,
        y,
        outcome,
        outcome_kind,
        x,
        tuple(covariates),
        groups,
        parts,
        dropped,
        str(table.path),
        tuple(notes),
        times,
        time or "",
        entered,
    ).take(keep)
    logger.info(
        "%s: %s of %s people; left out: %s; %s",
        cohort.path,
        f"{cohort.n:,}",
        f"{len(samples):,}",
        ", ".join(f"{reason} {n:,}" for reason, n in dropped.items()) or "nobody",
        "; ".join(notes),
    )
    return cohort


def _column_names(table: TextTable) -> dict[str, str]:
    """Return lower-case name to name as written."""
    names: dict[str, str] = {}
    for name in table.header:
        key = name.lower().lstrip("#")
        if name in names.values():
            raise ColumnError("the column occurs more than once", path=table.path, column=name)
        names.setdefault(key, name)
    return names


def _find(name: str, names: Mapping[str, str], table: TextTable) -> str:
    if name in table.header:
        return name
    if name.lower() in names:
        return names[name.lower()]
    raise ColumnError(
        "there is no such column",
        path=table.path,
        column=name,
        remedy=f"the columns are: {', '.join(table.header)}",
    )


def _strip(values: NDArray[np.object_]) -> NDArray[np.object_]:
    codes, unique = pd.factorize(values)
    clean = np.array([v.strip() for v in unique], dtype=object)
    return clean[codes] if len(clean) else values


def _check_unique(
    table: TextTable, samples: SampleTable, parts: NDArray[np.object_] | None
) -> None:
    """Raise if a person is listed twice; worse if once in tuning and once in test."""
    frame = pd.DataFrame({"fid": samples.fid, "iid": samples.iid})
    again = np.flatnonzero(frame.duplicated(keep=False).to_numpy())
    if len(again) == 0:
        return
    if parts is not None:
        placed = frame.assign(part=parts).iloc[again]
        sides = placed[placed["part"] != ""].groupby(["fid", "iid"])["part"].nunique()
        both = sides[sides > 1]
        if len(both):
            raise OverlappingSamplesError(
                f"{len(both):,} people are both in {TUNING} and in {TEST}",
                path=table.path,
                rows=[f"{fid} {iid}" for fid, iid in both.index[:5]],
                n_rows=len(both),
                remedy="list each person once",
            )
    table.refuse(
        again,
        f"{len(frame.iloc[again].drop_duplicates()):,} people are listed more than once",
        "IID",
        [f"{samples.fid[i]} {samples.iid[i]}" for i in again[:5]],
        remedy="keep one row a person",
    )
