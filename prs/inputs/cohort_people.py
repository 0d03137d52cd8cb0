"""People with all that an analysis asks for, as an object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from prs.errors import AncestryDataError, SettingsError
from prs.inputs.cohort_columns import TEST, TUNING
from prs.samples import SampleTable, match_samples
from prs.survival.kaplan_meier import martingale_residuals

__all__ = ["Cohort"]


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

    def known_to(
        self, samples: SampleTable, name: str, *, what: str = "the cohort"
    ) -> tuple[Cohort, NDArray[np.int64]]:
        """Return the people who are in another list too, and their rows there.

        Parameters
        ----------
        samples : SampleTable
            The other list.
        name, what : str
            What it is, and what these people are, for messages.

        Returns
        -------
        cohort : Cohort
            K people.
        rows : ndarray of int64, shape (K,)

        Raises
        ------
        SampleMismatchError
            If nobody is.
        """
        here, there = match_samples(self.samples, samples, what=what, target_name=name)
        return self.take(here), there

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

    def groups(self, label: str | None) -> NDArray[np.object_]:
        """Return the group of each person; shape (N,).

        Parameters
        ----------
        label : str or None
            One of `labels`; None: "all" for everybody.
        """
        if label is None:
            return np.full(self.n, "all", dtype=object)
        return self._label(label).astype(object)

    def _label(self, label: str) -> NDArray[np.object_]:
        if label not in self.labels:
            raise SettingsError(
                f"the cohort was read without a label {label!r}",
                remedy=f"labels read: {', '.join(self.labels) or 'none'}",
            )
        return self.labels[label]
