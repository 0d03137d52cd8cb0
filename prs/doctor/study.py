"""The doctor on a study file."""

from __future__ import annotations

from pathlib import Path

from prs.doctor.examine import Source, check
from prs.doctor.findings import CheckReport
from prs.doctor.statistics import finding_of_error
from prs.errors import PrsError
from prs.inputs.cohort import Cohort, read_cohort
from prs.inputs.genotypes import Genotypes, open_genotypes, read_sample_list
from prs.samples import match_samples
from prs.study import Population, Study, read_study

__all__ = ["check_study"]


def check_study(path: str | Path, *, n_threads: int | None = None) -> CheckReport:
    """Check all inputs of a study file; nothing is fitted and nothing is written.

    Parameters
    ----------
    path : str or Path
        The study file.
    n_threads : int, optional
        For the estimate of the time of the fit.

    Returns
    -------
    CheckReport

    Raises
    ------
    StudyFileError, FileFormatError
        If the study file itself cannot be read.
    """
    study = read_study(path)
    early = []
    sources: dict[str, Source] = {}
    for name, population in study.populations.items():
        reference = None
        try:
            reference = _reference(study, population)
        except PrsError as error:
            early.append(finding_of_error(error, f"panel of {name}"))
        sources[name] = Source(
            study.file(population.sumstats),
            population.n,
            population.columns,
            None if population.ld is None else study.file(population.ld),
            reference,
        )
    cohort: Cohort | None = None
    try:
        cohort = _cohort(study)
    except PrsError as error:
        early.append(finding_of_error(error, "cohort"))
    report = check(
        sources,
        target=study.file(study.target.genotypes),
        cohort=cohort,
        kind="auto" if cohort is None else cohort.outcome_kind,
        n_threads=n_threads or study.threads,
    )
    return CheckReport((*early, *report.findings), report.seconds)


def _cohort(study: Study) -> Cohort:
    target = study.target
    return read_cohort(
        study.file(target.cohort),
        outcome=target.outcome,
        kind=target.kind,
        covariates=target.covariates,
        labels=[target.ancestry],
        split=target.split,
    )


def _reference(study: Study, population: Population) -> Genotypes | None:
    if population.reference is None or population.ld is not None:
        return None
    genotypes = open_genotypes(str(study.file(population.reference)))
    if population.reference_samples is None:
        return genotypes
    people = read_sample_list(study.file(population.reference_samples))
    _, index = match_samples(
        people, genotypes.samples, what="the reference people", target_name=genotypes.path
    )
    return genotypes.subset(samples=index)
