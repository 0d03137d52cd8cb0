"""Who is judged and on whom models are fitted: matching, missing values, groups, the split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prs.errors import (
    AncestryDataError,
    InvalidValueError,
    OverlappingSamplesError,
    SettingsError,
)
from prs.samples import SampleTable, match_samples

__all__ = ["EVERYBODY", "CohortLike", "Data", "ScoresLike", "gather"]

EVERYBODY = "all"
"""The name of the pooled group."""

UNLABELLED = "unlabelled"


class _Samples(Protocol):
    @property
    def iid(self) -> NDArray[np.object_]:
        """Individual ids, shape (N,)."""
        ...


class ScoresLike(Protocol):
    """What `evaluate` needs of scores. `tuned_on` (ids), where present, is looked at too."""

    @property
    def samples(self) -> _Samples:
        """People, with `iid`."""
        ...

    @property
    def values(self) -> NDArray[Any]:
        """Scores, shape (N, S)."""
        ...

    @property
    def names(self) -> Sequence[str]:
        """Score columns (S)."""
        ...


class CohortLike(Protocol):
    """What `evaluate` needs of a cohort."""

    @property
    def samples(self) -> _Samples:
        """People, with `iid`."""
        ...

    @property
    def outcome(self) -> NDArray[np.float64]:
        """Outcome, shape (N,); NaN where unknown."""
        ...

    @property
    def outcome_name(self) -> str:
        """Its name."""
        ...

    @property
    def outcome_kind(self) -> str:
        """What the outcome is: "binary", "quantitative" or "survival" (then with `time`)."""
        ...

    @property
    def covariates(self) -> NDArray[np.float64]:
        """Covariates, shape (N, C)."""
        ...

    @property
    def covariate_names(self) -> Sequence[str]:
        """Their names (C)."""
        ...

    @property
    def labels(self) -> Mapping[str, NDArray[np.object_]]:
        """Label of each person, by name of the label."""
        ...

    @property
    def split(self) -> NDArray[np.object_] | None:
        """Role of each person, "tuning" or "test"; None if there is no split."""
        ...


@dataclass(frozen=True, eq=False)
class Data:
    """People with an outcome, covariates and every score, and their roles.

    Attributes
    ----------
    kind : {"binary", "quantitative", "survival"}
        Of the outcome.
    outcome : ndarray of float64, shape (N,)
        0/1 (survival: 1 event, 0 censored), or a quantity.
    covariates : ndarray of float64, shape (N, C)
        Covariates.
    scores : ndarray of float64, shape (N, S)
        Scores, in their own units.
    names : tuple of str
        Of the scores.
    group : ndarray of object (str), shape (N,)
        Ancestry label.
    groups : tuple of str
        Groups with somebody to judge, largest first.
    tuning : ndarray of bool, shape (N,)
        Whom models are fitted on. Everybody where there is no split (then cross-fitted).
    judged : ndarray of bool, shape (N,)
        Who is judged.
    has_split : bool
        Whether tuning and judged people are different ones.
    counts : dict of str to dict of str to int
        By group (and "all"): what became of everybody in the cohort.
    time : ndarray of float64, shape (N,), or None
        Of the event or of censoring; survival only.
    entry : ndarray of float64, shape (N,), or None
        When each came under observation, on the scale of `time`; None: at 0.
    rows : ndarray of int64, shape (N,)
        Which people of the cohort they are.
    """

    kind: str
    outcome: NDArray[np.float64]
    covariates: NDArray[np.float64]
    scores: NDArray[np.float64]
    names: tuple[str, ...]
    group: NDArray[np.object_]
    groups: tuple[str, ...]
    tuning: NDArray[np.bool_]
    judged: NDArray[np.bool_]
    has_split: bool
    counts: dict[str, dict[str, int]]
    time: NDArray[np.float64] | None = None
    entry: NDArray[np.float64] | None = None
    rows: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    @property
    def has_events(self) -> bool:
        """Whether the outcome is an event: 0/1, at once or in time."""
        return self.kind != "quantitative"

    def times(self) -> NDArray[np.float64]:
        """Return the times of a survival outcome."""
        if self.time is None:
            raise SettingsError(f"a {self.kind} outcome has no times")
        return self.time

    def followed(self) -> NDArray[np.float64]:
        """Return the times of a survival outcome since each one's entry."""
        return self.times() if self.entry is None else self.times() - self.entry

    def entries(self, mask: NDArray[np.bool_]) -> NDArray[np.float64] | None:
        """Return when some people entered; None where all were there from the start."""
        return None if self.entry is None else self.entry[mask]

    def members(self, group: str) -> NDArray[np.bool_]:
        """Return a mask of a group's people, shape (N,)."""
        if group == EVERYBODY:
            return np.ones(len(self.outcome), bool)
        return np.asarray(self.group == group, bool)


def gather(
    scores: ScoresLike, cohort: CohortLike, *, by: str | None, score: Sequence[str] | str | None
) -> Data:
    """Match scores and cohort by person and sort people into roles; count every loss.

    Raises
    ------
    SettingsError
        An unknown score column or label.
    SampleMismatchError
        Nobody in common.
    InvalidValueError
        A split value other than "tuning" and "test", or a binary outcome that is not 0/1.
    OverlappingSamplesError
        People that tuned the scores are among those that would be judged.
    AncestryDataError
        Nobody to judge or to fit on, or a binary outcome with one class only.
    """
    columns = _score_columns(scores, score)
    label = _labels(cohort, by)
    split = _split(cohort)
    cohort_index, score_index = match_samples(
        _sample_table(cohort.samples),
        _sample_table(scores.samples),
        what="the cohort",
        target_name="the scores",
    )
    n = len(cohort.outcome)
    values = np.full((n, len(columns)), np.nan)
    values[cohort_index] = np.asarray(scores.values, np.float64)[score_index][:, columns]
    outcome = np.asarray(cohort.outcome, np.float64)
    covariates = np.asarray(cohort.covariates, np.float64).reshape(n, -1)
    has_events = cohort.outcome_kind != "quantitative"
    if has_events:
        _check_binary(outcome, cohort.outcome_name)
    time, entry = _times(cohort)

    without = {
        "n_without_outcome": ~np.isfinite(
            sum((v for v in (time, entry) if v is not None), outcome)
        ),
        "n_without_covariates": ~np.isfinite(covariates).all(1),
        "n_without_score": ~np.isfinite(values).all(1),
        "n_without_split": np.zeros(n, bool) if split is None else np.equal(split, ""),
    }
    # A person is counted under the first thing that they lack, so that the counts add up.
    usable = np.ones(n, bool)
    lost = {}
    for name, missing in without.items():
        lost[name] = usable & missing
        usable &= ~missing
    tuning = usable if split is None else usable & (split == "tuning")
    judged = usable if split is None else usable & (split == "test")
    _check_overlap(scores, cohort, judged)

    names = tuple(str(scores.names[c]) for c in columns)
    groups = [] if by is None else list(pd.Series(label[judged]).value_counts(sort=False).items())
    groups = sorted(groups, key=lambda item: (-item[1], str(item[0])))
    counts = {}
    everybody = [EVERYBODY] if by is None else [*sorted(set(label)), EVERYBODY]
    for group in everybody:
        inside = np.ones(n, bool) if group == EVERYBODY else label == group
        row = {"n_cohort": int(inside.sum())}
        row |= {name: int((inside & mask).sum()) for name, mask in lost.items()}
        row["n_tuning"] = int((inside & tuning).sum()) if split is not None else 0
        row["n"] = int((inside & judged).sum())
        if has_events:
            row["n_tuning_events"] = int(outcome[inside & tuning].sum()) if split is not None else 0
            row["n_events"] = int(outcome[inside & judged].sum())
        counts[group] = row
    data = Data(
        kind=cohort.outcome_kind,
        outcome=outcome[usable],
        covariates=covariates[usable],
        scores=values[usable],
        names=names,
        group=label[usable],
        groups=tuple(str(group) for group, _ in groups),
        tuning=tuning[usable],
        judged=judged[usable],
        has_split=split is not None,
        counts=counts,
        time=None if time is None else time[usable],
        entry=None if entry is None else entry[usable],
        rows=np.flatnonzero(usable),
    )
    _check_roles(data, cohort.outcome_name)
    return data


def _sample_table(samples: _Samples) -> SampleTable:
    if isinstance(samples, SampleTable):
        return samples
    return SampleTable.from_ids(samples.iid)


def _score_columns(scores: ScoresLike, score: Sequence[str] | str | None) -> list[int]:
    names = [str(name) for name in scores.names]
    if score is None:
        return list(range(len(names)))
    wanted = [score] if isinstance(score, str) else list(score)
    unknown = [name for name in wanted if name not in names]
    if unknown or not wanted:
        raise SettingsError(
            f"no score column {', '.join(map(repr, unknown)) or '(none was named)'}",
            remedy=f"the scores have: {', '.join(names)}",
        )
    return [names.index(name) for name in wanted]


def _labels(cohort: CohortLike, by: str | None) -> NDArray[np.object_]:
    n = len(cohort.outcome)
    if by is None:
        return np.full(n, EVERYBODY, dtype=object)
    if by not in cohort.labels:
        raise SettingsError(
            f"the cohort has no label {by!r}",
            remedy=f"it has: {', '.join(cohort.labels) or 'none'}; by=None judges everybody pooled",
        )
    raw = np.asarray(cohort.labels[by], dtype=object)
    label = np.array(
        [UNLABELLED if pd.isna(v) or str(v) == "" else str(v) for v in raw], dtype=object
    )
    if EVERYBODY in label:
        raise SettingsError(
            f"a group of {by!r} is called {EVERYBODY!r}, which is the name of everybody pooled",
            remedy="give that group another name",
        )
    return label


def _split(cohort: CohortLike) -> NDArray[np.object_] | None:
    if cohort.split is None:
        return None
    split = np.array(["" if pd.isna(v) else str(v) for v in cohort.split], dtype=object)
    odd = [i for i, v in enumerate(split) if v not in {"", "tuning", "test"}]
    if odd:
        raise InvalidValueError(
            f"{len(odd):,} people have a split other than 'tuning' and 'test'",
            rows=[f"{cohort.samples.iid[i]} {split[i]}" for i in odd[:5]],
            n_rows=len(odd),
            remedy="use the words tuning and test (empty: in neither)",
        )
    return split


def _times(
    cohort: CohortLike,
) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]:
    """Return times and entries of a survival outcome, as far as there are any."""
    if cohort.outcome_kind != "survival":
        return None, None
    given = getattr(cohort, "time", None)
    if given is None:
        raise SettingsError("a survival outcome needs the time of the event or of censoring")
    time = np.asarray(given, np.float64)
    if (time < 0.0).any():
        raise InvalidValueError(f"{int((time < 0).sum()):,} times are negative")
    entered = getattr(cohort, "entry", None)
    if entered is None:
        return time, None
    entry = np.asarray(entered, np.float64)
    if (entry >= time).any():
        raise InvalidValueError(f"{int((entry >= time).sum()):,} entries are not before the time")
    return time, entry


def _check_binary(outcome: NDArray[np.float64], name: str) -> None:
    known = outcome[np.isfinite(outcome)]
    odd = known[(known != 0.0) & (known != 1.0)]
    if len(odd):
        raise InvalidValueError(
            f"the binary outcome {name!r} has {len(odd):,} values other than 0 and 1",
            column=name,
            rows=[f"{v:g}" for v in odd[:5]],
            n_rows=len(odd),
            remedy="code controls 0 and cases 1, or say that the outcome is quantitative",
        )


def _check_overlap(scores: ScoresLike, cohort: CohortLike, judged: NDArray[np.bool_]) -> None:
    tuned_on = getattr(scores, "tuned_on", None)
    if not tuned_on:
        return
    tuned = {str(person) for person in tuned_on}
    both = [str(person) for person in cohort.samples.iid[judged] if str(person) in tuned]
    if both:
        raise OverlappingSamplesError(
            f"{len(both):,} of the {int(judged.sum()):,} people that would be judged are among "
            "those that the scores were tuned on; their accuracy would be too good",
            rows=both[:5],
            n_rows=len(both),
            remedy="mark the tuning people as 'tuning' in the cohort's split column, or judge "
            "other people",
        )


def _check_roles(data: Data, outcome_name: str) -> None:
    roles = [("to judge", data.judged)]
    if data.has_split:
        roles.append(("to fit models on (tuning)", data.tuning))
    counts = data.counts[EVERYBODY]
    lost = ", ".join(
        f"{count:,} {name[2:].replace('_', ' ')}"
        for name, count in counts.items()
        if name.startswith("n_without")
    )
    for words, mask in roles:
        if not mask.any():
            raise AncestryDataError(
                f"nobody is left {words} of {counts['n_cohort']:,} people in the cohort ({lost})",
                remedy="check the split column, the outcome and the scores for missing values",
            )
        outcome = data.outcome[mask]
        if (outcome == outcome[0]).all():
            if data.has_events:
                what = "no controls" if outcome[0] == 1.0 else "no cases"
                message = f"{what} of {outcome_name!r} among the {len(outcome):,} people {words}"
            else:
                message = f"everybody {words} has the same value of {outcome_name!r}"
            raise AncestryDataError(
                message, remedy="check the outcome column and how cases are coded"
            )
