"""What is wrong with a study can often be seen from its settings alone: then no file is opened.

A setting of a late stage that cannot serve would otherwise be refused minutes or hours after the
start. `prs.study.early` holds the settings against the files.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from prs.errors import SettingsError
from prs.report.standard import fill_items
from prs.study.model import Study

__all__ = ["check_settings"]

#: Fewer posterior draws than this say nothing of a person's interval.
MIN_DRAWS = 20

_Fail = Callable[..., None]


def check_settings(study: Study) -> None:
    """Raise StudyFileError for the first setting that is wrong."""

    def fail(message: str, key: str, remedy: str | None = None) -> None:
        raise study.mistake(message, key, remedy)

    _check_populations(study, fail)
    _check_thresholds(study, fail)
    _check_csx(study, fail)
    _check_outcome(study, fail)
    _check_evaluation(study, fail)
    _check_names(study, fail)
    rules = study.harmonise.qc
    for key in ("min_maf", "min_info", "min_n_share", "max_eaf_difference"):
        if not 0 <= getattr(rules, key) <= 1:
            fail(f"[harmonise.qc] {key} = {getattr(rules, key)} is not between 0 and 1", key)
    if study.threads is not None and study.threads < 1:
        fail(f"threads = {study.threads} is less than 1", "threads")
    if not study.out.strip():
        fail("out is empty", "out", "name a folder for the results")


def _check_populations(study: Study, fail: _Fail) -> None:
    if not study.populations:
        fail("no population has summary statistics", "populations", "add [populations.NAME]")
    for name, population in study.populations.items():
        if not re.fullmatch(r"[A-Za-z0-9_.-]+", name) or name.upper() == "META":
            fail(f"population name {name!r} is not letters, digits, _ . -", name)
        if population.ld is None and population.reference is None:
            fail(
                f"[populations.{name}] has neither 'ld' nor 'reference'",
                name,
                "give an LD reference or panel folder (ld = ...) or reference genotypes",
            )
        if population.n is not None and not population.n > 0:
            fail(f"[populations.{name}] n = {population.n} is not a sample size", "n")
    ct, csx = study.methods.ct, study.methods.csx
    if ct is None and csx is None:
        fail("no method is asked for", "methods", "add [methods.ct] or [methods.csx]")
    for key, names in (
        ("populations", (ct.populations or []) if ct else []),
        ("single", csx.single if csx else []),
    ):
        for name in names:
            if name not in study.populations:
                known = ", ".join(study.populations)
                fail(
                    f"{key} names population {name!r}, which has no section",
                    key,
                    f"there are: {known}",
                )


def _check_thresholds(study: Study, fail: _Fail) -> None:
    ct = study.methods.ct
    if ct is None:
        return
    for key, words, good in (
        ("p_thresholds", "must lie in (0, 1]", all(0 < p <= 1 for p in ct.p_thresholds)),
        ("r2", "must lie between 0 and 1", all(0 <= r2 <= 1 for r2 in ct.r2)),
        ("kb", "must be above 0", all(kb > 0 for kb in ct.kb)),
    ):
        values = getattr(ct, key)
        if not good:
            fail(f"{key} {words}, and is {values}", key)
        if not values or len(set(values)) < len(values):
            fail(f"{key} = {values}: one value or more are needed, each once", key)


def _check_csx(study: Study, fail: _Fail) -> None:
    csx, populations = study.methods.csx, list(study.populations)
    if csx is None:
        return
    if not csx.joint and not csx.single:
        fail(
            "[methods.csx] asks for nothing",
            "csx",
            "set joint = true or name populations in single",
        )
    if csx.until and not (csx.n_iter is None and csx.n_burnin is None):
        fail('until = "converged" finds the length: n_iter and n_burnin set it', "until")
    if not csx.until and csx.max_iter is not None:
        fail('max_iter is for until = "converged"', "max_iter", "n_iter is the length of a run")
    if csx.draws != 0 and csx.draws < MIN_DRAWS:
        fail(f"draws = {csx.draws} is not 0 or at least {MIN_DRAWS}", "draws")
    fits = csx.fits(populations)
    try:
        for names in fits.values():
            csx.plan(len(names))
    except SettingsError as error:
        fail(f"[methods.csx] {error.message}", "csx", error.remedy)
    drawn = csx.drawn(populations)
    if drawn is None:
        return
    least = csx.least_draws(len(fits[drawn]))
    if least < MIN_DRAWS:
        found = f"ends with {least}" if csx.until is None else f"may end with as few as {least}"
        more = "raise n_iter" if csx.until is None else "raise draws"
        fail(
            f"[methods.csx] the fit {drawn} {found} posterior draws, and the uncertainty of each "
            f"person's score takes at least {MIN_DRAWS}",
            "csx",
            f"{more}, lower thin, or leave the uncertainty of people out (draws = 0)",
        )


def _check_outcome(study: Study, fail: _Fail) -> None:
    target, judged = study.target, study.evaluation
    if (target.kind == "survival") > (target.time is not None):
        fail("kind is survival, and no column of times is named", "kind", "add time = ...")
    if target.time is not None and target.kind in ("binary", "quantitative"):
        fail(f"time is given for a {target.kind} outcome", "time", 'set kind = "survival"')
    if target.entry is not None and target.time is None:
        fail("entry is given without time", "entry", "name the column of the times on that scale")
    if judged.horizons and target.time is None:
        fail("horizons are given for an outcome without times", "horizons")
    if not all(horizon > 0 for horizon in judged.horizons):
        fail(f"horizons = {judged.horizons} are not times above 0", "horizons")
    if judged.absolute_risk is not None and target.kind == "quantitative":
        fail("absolute_risk is given for a quantitative outcome", "absolute_risk")
    if judged.risk_thresholds and target.time is not None:
        fail("risk_thresholds are given for a time to an event", "risk_thresholds")


def _check_evaluation(study: Study, fail: _Fail) -> None:
    judged = study.evaluation
    for name, value in judged.prevalence.items():
        if not 0 < value < 1:
            fail(f"prevalence of {name} = {value} is not between 0 and 1", name)
    if judged.case_control and not judged.prevalence:
        fail(
            "case_control weights risks to the prevalence, and none is given",
            "case_control",
            "add [evaluation.prevalence], or case_control = false",
        )
    if judged.n_folds < 2 or judged.n_optimism < 0:
        fail("n_folds is at least 2, n_optimism at least 0", "evaluation")
    if judged.n_bins < 3:
        fail(f"n_bins = {judged.n_bins}; it must be at least 3", "n_bins")
    if not 0.5 <= judged.confidence < 1:
        fail(f"confidence = {judged.confidence:g} is not a share such as 0.95", "confidence")
    if (wanted := judged.absolute_risk) is not None and (
        len(wanted.ages) < 2 or sorted(set(wanted.ages)) != wanted.ages or wanted.ages[0] < 0
    ):
        fail(f"ages = {wanted.ages} are not two increasing ages or more", "ages")
    if not all(0 < t < 1 for t in judged.risk_thresholds):
        fail("risk_thresholds are risks between 0 and 1", "risk_thresholds")
    if judged.normalise in ("mean", "mean+variance") and not (
        study.target.pcs or study.panels_are_shared
    ):
        fail(
            f"normalise = {judged.normalise!r} needs principal components",
            "normalise",
            "name the cohort's columns (pcs = ...), or give all populations one fileset of "
            "reference genotypes, with reference_samples",
        )
    if judged.choose_by == "ancestry" and study.target.by is None:
        fail('choose_by = "ancestry" needs ancestry labels', "choose_by")
    if judged.normalise == "empirical" and study.target.by is None:
        fail("normalise = 'empirical' needs ancestry labels", "normalise")


def _check_names(study: Study, fail: _Fail) -> None:
    """Scores and items of the reporting standard that are named are such."""
    for key, name in (
        ("compare_to", study.evaluation.compare_to),
        ("main_score", study.report.main_score),
    ):
        if name is not None and name not in study.score_names:
            fail(
                f"{key} is {name!r}, which this study does not make",
                key,
                f"scores: {', '.join(study.score_names)}",
            )
    try:
        fill_items(study.report.prs_rs, {})
    except SettingsError as error:
        fail(f"[report] prs_rs: {error.message}", "prs_rs", error.remedy)
