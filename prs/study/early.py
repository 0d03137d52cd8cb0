"""What the files of a study say that would stop a run late, looked for before its first stage.

Nothing is computed here: files are opened, tables of people are read, and each setting that names
somebody (an ancestry, a column, a time) is held against who is there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prs.errors import AncestryDataError, ColumnError
from prs.evaluation.absolute_risk import check_rates
from prs.evaluation.people import EVERYBODY
from prs.inputs.cohort import Cohort
from prs.inputs.cohort_columns import TEST, TUNING
from prs.inputs.sumstats import recognise_sumstats
from prs.ld.blocks import read_blocks
from prs.ld.store import open_ld
from prs.study.model import Study

__all__ = ["check_files", "check_people"]


def check_files(study: Study) -> None:
    """Open every file of the populations: a late one may be read hours after the first.

    Raises
    ------
    PrsError
        Whatever the reader of the file raises: it is missing or damaged, or lacks a column.
    """
    for name, population in study.populations.items():
        recognise_sumstats(study.file(population.sumstats), columns=population.columns or None)
        if population.ld is not None:
            open_ld(study.file(population.ld), population=name)
        study.open_reference(name)
        if population.blocks is not None:
            read_blocks(study.file(population.blocks))


def check_people(study: Study, cohort: Cohort) -> None:
    """Raise for what evaluation, choice or report would refuse in this cohort.

    Parameters
    ----------
    study : Study
    cohort : Cohort
        Its people, those with genotypes.

    Raises
    ------
    StudyFileError
        If a setting does not suit the outcome, or names an ancestry or a time that nobody has.
    AncestryDataError
        If nobody is left to tune or to test, or the outcome is one and the same among them.
    ColumnError
        If a column of components is missing.
    InvalidValueError
        If rates by age do not cover the ages asked for.
    """
    judged = np.ones(cohort.n, bool) if cohort.split is None else cohort.split == TEST
    _check_parts(study, cohort)
    _check_kind(study, cohort)
    _check_groups(study, cohort, judged)
    settings = study.evaluation
    if cohort.time is not None:
        followed = cohort.time if cohort.entry is None else cohort.time - cohort.entry
        last = float(followed[judged].max())
        for horizon in settings.horizons:
            if horizon > last:
                raise study.mistake(
                    f"horizons: {horizon:g} is beyond the follow-up of the people judged",
                    "horizons",
                    f"their times go to {last:g}",
                )
    if study.target.pcs:
        try:
            study.read_components()
        except ColumnError as error:
            raise study.mistake(
                f"pcs: {error.message} ({error.column})", "pcs", error.remedy
            ) from error
    incidence, mortality = study.read_rates()
    if settings.absolute_risk is not None and incidence is not None:
        groups = {EVERYBODY, *cohort.groups(study.target.by)}
        check_rates(incidence, mortality, groups=sorted(groups), ages=settings.absolute_risk.ages)


def _check_parts(study: Study, cohort: Cohort) -> None:
    """Both parts of a split have people, and the outcome varies in each."""
    parts: list[tuple[str, Cohort]] = [("", cohort)]
    if cohort.split is not None:
        parts = [(name, cohort.take(cohort.split == name)) for name in (TUNING, TEST)]
    elif cohort.n < study.evaluation.n_folds:
        raise study.mistake(f"n_folds is more than the {cohort.n:,} people", "n_folds")
    for name, part in parts:
        who = f"{name!r} people" if name else "people"
        if part.n == 0:
            raise AncestryDataError(
                f"nobody with genotypes is marked {name!r} in the split column",
                path=cohort.path,
                column=study.target.split,
                remedy=f"mark some people {TUNING} and others {TEST}, or leave out split: "
                "then everything that is chosen is cross-fitted",
            )
        if np.ptp(part.outcome) == 0:
            raise AncestryDataError(
                f"{cohort.outcome_name!r} is {part.outcome[0]:g} for all of the {part.n:,} {who} "
                "with genotypes",
                path=cohort.path,
                column=cohort.outcome_name,
                remedy="check the outcome and the split: both parts need cases and controls",
            )


def _check_kind(study: Study, cohort: Cohort) -> None:
    """Settings that are for one kind of outcome."""
    kind, settings = cohort.outcome_kind, study.evaluation
    if kind == "binary":
        return
    for key, given in (
        ("case_control", settings.case_control),
        ("risk_thresholds", bool(settings.risk_thresholds)),
        ("cutpoints", settings.cutpoints == "controls"),
        ("absolute_risk", settings.absolute_risk is not None and kind == "quantitative"),
    ):
        if given:
            what = 'cutpoints = "controls"' if key == "cutpoints" else key
            raise study.mistake(f"{what} is given for a {kind} outcome", key)


def _check_groups(study: Study, cohort: Cohort, judged: NDArray[np.bool_]) -> None:
    """Ancestries that settings name are there."""
    settings, label = study.evaluation, cohort.groups(study.target.by)
    everywhere = set(label)
    if study.target.by is not None and EVERYBODY in everywhere:
        raise study.mistake(
            f"a group of {study.target.by!r} is called {EVERYBODY!r}, which is the name of "
            "everybody pooled",
            "ancestry",
            "give that group another name in the cohort",
        )
    groups = list(dict.fromkeys(label[judged]))
    known = ", ".join(groups)
    reference = settings.reference_ancestry
    if reference is not None and reference not in groups:
        raise study.mistake(
            f"reference_ancestry is {reference!r}, a group with nobody to judge",
            "reference_ancestry",
            f"groups: {known}",
        )
    if settings.cutpoints not in {"group", "controls", EVERYBODY, *groups}:
        raise study.mistake(
            f"cutpoints is {settings.cutpoints!r}",
            "cutpoints",
            f"use 'group', 'controls', 'all' or one of {known}",
        )
    for name in settings.prevalence:
        if name not in everywhere | {EVERYBODY}:
            raise study.mistake(
                f"prevalence is given for {name!r}, which is no group here",
                "prevalence",
                f"groups: {known}, {EVERYBODY}",
            )
