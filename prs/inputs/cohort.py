"""The cohort: outcome, covariates, ancestry labels and split of the people to be scored."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

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
from prs.inputs.text_table import TextTable, open_table
from prs.samples import SampleTable
from prs.survival.kaplan_meier import martingale_residuals

__all__ = ["Cohort", "read_cohort"]

logger = logging.getLogger(__name__)

_WITHOUT_TIME = ("binary", "quantitative")
_ID_NAMES = ("iid", "sample_id", "sample", "eid", "id")


@dataclass(frozen=True, eq=False)
class Cohort:
    """N people with all that the analysis asks for; nothing is missing.

    Attributes
    ----------
    samples : SampleTable
        The people.
    outcome : ndarray of float64, shape (N,)
        The outcome; 1 case, 0 control where binary; 1 event, 0 censored with survival.
    outcome_name : str
        Its column.
    outcome_kind : str
        "binary", "quantitative" or "survival".
    covariates : ndarray of float64, shape (N, C)
        Covariates, in the order asked for.
    covariate_names : tuple of str
        Their columns.
    labels : dict of str to ndarray of object (str), shape (N,)
        Column name to label of each person, such as "ancestry".
    split : ndarray of object (str), shape (N,), or None
        "tuning" or "test".
    n_dropped : dict of str to int
        People of the file who are left out, by reason.
    path : str
        The file.
    notes : tuple of str
        How the outcome and text covariates were coded.
    time : ndarray of float64, shape (N,), or None
        Survival: time of the event, or of censoring.
    time_name : str
        Its column.
    entry : ndarray of float64, shape (N,), or None
        Survival with late entry: when each person came under observation, on the scale of
        `time`, which is age, say, and not time since entry.
    """

    samples: SampleTable
    outcome: NDArray[np.float64]
    outcome_name: str
    outcome_kind: str
    covariates: NDArray[np.float64]
    covariate_names: tuple[str, ...]
    labels: Mapping[str, NDArray[np.object_]]
    split: NDArray[np.object_] | None
    n_dropped: Mapping[str, int]
    path: str
    notes: tuple[str, ...] = ()
    time: NDArray[np.float64] | None = None
    time_name: str = ""
    entry: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def n(self) -> int:
        """People."""
        return len(self.samples)

    @property
    def ids(self) -> NDArray[np.object_]:
        """Individual ids; shape (N,)."""
        return self.samples.iid

    @property
    def linear_target(self) -> NDArray[np.float64]:
        """What a linear model of the outcome is fitted to; shape (N,).

        The outcome itself, and with survival its martingale residuals.
        """
        if self.time is None:
            return self.outcome
        return martingale_residuals(self.time, self.outcome, self.entry)

    def take(self, index: ArrayLike) -> Cohort:
        """Return the people at `index` (integers or a mask), in that order."""
        index = np.asarray(index)
        return replace(
            self,
            samples=self.samples.take(index),
            outcome=self.outcome[index],
            covariates=self.covariates[index],
            labels={name: values[index] for name, values in self.labels.items()},
            split=None if self.split is None else self.split[index],
            time=None if self.time is None else self.time[index],
            entry=None if self.entry is None else self.entry[index],
        )

    def with_split(self, split: NDArray[np.object_] | None) -> Cohort:
        """Return the same people with another split ("tuning" or "test" each), or with none."""
        return replace(self, split=split)

    def tuning(self) -> Cohort:
        """Return the people on whom models are tuned.

        Raises
        ------
        SettingsError
            If the cohort has no split, or nobody for tuning.
        """
        return self._part(TUNING)

    def test(self) -> Cohort:
        """Return the people on whom models are judged.

        Raises
        ------
        SettingsError
            If the cohort has no split, or nobody for testing.
        """
        return self._part(TEST)

    def _part(self, name: str) -> Cohort:
        if self.split is None:
            raise SettingsError(
                f"{self.path}: the cohort is not split into tuning and test",
                remedy=f"name a column that says {TUNING!r} or {TEST!r} for each person (split=)",
            )
        part = self.take(self.split == name)
        if part.n == 0:
            raise SettingsError(f"{self.path}: nobody is marked {name!r} in the split column")
        return part

    def counts_by(self, label: str) -> pd.DataFrame:
        """Return people (n) and, where it is an event, cases and controls by group.

        Parameters
        ----------
        label : str
            One of `labels`.

        Returns
        -------
        DataFrame
            Columns: the label, n, cases, controls (missing for a quantitative outcome).
        """
        groups = pd.Series(self._label(label))
        table = pd.DataFrame({label: groups, "n": 1, "cases": self.outcome == 1})
        counts = table.groupby(label, sort=True).sum().reset_index()
        if self.outcome_kind != "quantitative":
            return counts.assign(controls=counts["n"] - counts["cases"])
        return counts[[label, "n"]].assign(cases=np.nan, controls=np.nan)

    def require_variation(self, label: str) -> None:
        """Raise if a group has no cases, no controls, or one value of the outcome only.

        Parameters
        ----------
        label : str
            One of `labels`.

        Raises
        ------
        AncestryDataError
            Naming the groups.
        """
        values = self._label(label)
        bad = [
            f"{label} {group}: {int((values == group).sum()):,} people, "
            + (
                f"all {'cases' if self.outcome[values == group][0] else 'controls'}"
                if self.outcome_kind != "quantitative"
                else "all with the same value"
            )
            for group in dict.fromkeys(values)
            if np.ptp(self.outcome[values == group]) == 0
        ]
        if bad:
            raise AncestryDataError(
                f"{len(bad):,} groups do not allow an analysis of {self.outcome_name!r}",
                path=self.path,
                rows=bad,
                remedy="leave these people out, or merge the group with another",
            )

    def _label(self, label: str) -> NDArray[np.object_]:
        if label not in self.labels:
            raise SettingsError(
                f"the cohort was read without a label {label!r}",
                remedy=f"labels read: {', '.join(self.labels) or 'none'}",
            )
        return self.labels[label]


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
