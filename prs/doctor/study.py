"""The doctor on a study file."""

from __future__ import annotations

from pathlib import Path

from prs.doctor.examine import Source, check
from prs.doctor.findings import CheckReport
from prs.doctor.statistics import finding_of_error
from prs.errors import PrsError
from prs.inputs.cohort import Cohort
from prs.inputs.genotypes import Genotypes
from prs.study import read_study
from prs.study.early import check_people

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
        reference: Genotypes | None = None
        try:
            if population.ld is None:
                reference = study.open_reference(name)
        except PrsError as error:
            early.append(finding_of_error(error, f"panel of {name}"))
        sources[name] = Source(
            study.file(population.sumstats),
            population.n,
            population.columns,
            None if population.ld is None else study.file(population.ld),
            reference,
        )
    target: Genotypes | None = None
    try:
        target = study.open_target()
    except PrsError as error:
        early.append(finding_of_error(error, "target"))
    cohort: Cohort | None = None
    try:
        cohort = study.read_cohort()
        check_people(study, cohort)
    except PrsError as error:
        early.append(finding_of_error(error, "cohort"))
    csx = study.methods.csx
    report = check(
        sources,
        target=target,
        cohort=cohort,
        # a GWAS of a time to an event has effects on either scale
        kind="auto" if cohort is None or cohort.time is not None else cohort.outcome_kind,
        n_threads=n_threads or study.threads,
        n_iter=None if csx is None else csx.n_iter,
        n_chains=2 if csx is None else csx.n_chains,
    )
    return CheckReport((*early, *report.findings), report.seconds)
