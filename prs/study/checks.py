"""What is wrong with a study can be seen from its settings alone, before any file is opened."""

from __future__ import annotations

import re

from prs.study.model import Study

__all__ = ["check_settings"]


def check_settings(study: Study) -> None:
    """Raise StudyFileError for the first thing that is wrong."""

    def fail(message: str, key: str, remedy: str | None = None) -> None:
        raise study.mistake(message, key, remedy)

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
    if csx and not csx.joint and not csx.single:
        fail(
            "[methods.csx] asks for nothing",
            "csx",
            "set joint = true or name populations in single",
        )
    if csx and csx.until and not (csx.n_iter is None and csx.n_burnin is None):
        fail('until = "converged" finds the length: n_iter and n_burnin set it', "until")
    if csx and not csx.until and csx.max_iter is not None:
        fail('max_iter is for until = "converged"', "max_iter", "n_iter is the length of a run")
    if csx and csx.draws != 0 and csx.draws < 20:
        fail(f"draws = {csx.draws} is not 0 or at least 20", "draws")
    if ct and not all(0 < p <= 1 for p in ct.p_thresholds):
        fail("p_thresholds must lie in (0, 1]", "p_thresholds")
    for name, value in study.evaluation.prevalence.items():
        if not 0 < value < 1:
            fail(f"prevalence of {name} = {value} is not between 0 and 1", name)
    target, judged = study.target, study.evaluation
    if (target.kind == "survival") > (target.time is not None):
        fail("kind is survival, and no column of times is named", "kind", "add time = ...")
    if target.time is not None and target.kind in ("binary", "quantitative"):
        fail(f"time is given for a {target.kind} outcome", "time", 'set kind = "survival"')
    if judged.horizons and target.time is None:
        fail("horizons are given for an outcome without times", "horizons")
    if judged.n_folds < 2 or judged.n_optimism < 0:
        fail("n_folds is at least 2, n_optimism at least 0", "evaluation")
    if (wanted := judged.absolute_risk) is not None:
        if len(wanted.ages) < 2 or sorted(set(wanted.ages)) != wanted.ages or wanted.ages[0] < 0:
            fail(f"ages = {wanted.ages} are not two increasing ages or more", "ages")
        if target.kind == "quantitative":
            fail("absolute_risk is given for a quantitative outcome", "absolute_risk")
    if not all(0 < t < 1 for t in judged.risk_thresholds):
        fail("risk_thresholds are risks between 0 and 1", "risk_thresholds")
    if judged.risk_thresholds and target.time is not None:
        fail("risk_thresholds are given for a time to an event", "risk_thresholds")
    rules = study.harmonise.qc
    for key in ("min_maf", "min_info", "min_n_share", "max_eaf_difference"):
        if not 0 <= getattr(rules, key) <= 1:
            fail(f"[harmonise.qc] {key} = {getattr(rules, key)} is not between 0 and 1", key)
    if study.threads is not None and study.threads < 1:
        fail(f"threads = {study.threads} is less than 1", "threads")
    if not study.out.strip():
        fail("out is empty", "out", "name a folder for the results")
