"""What the run can say in words: items of PRS-RS, convergence, and what the score is not for."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from prs.figures.views import groups_in_order, primary_measure
from prs.report.inputs import ReportInputs, runs_of
from prs.report.standard import NOT_REPORTED
from prs.report.tables import MAX_RHAT, MIN_ESS
from prs.report.verdicts import LEVELS, Verdict, headline

__all__ = ["convergence_sentences", "facts_for_standard", "misuses"]

_RECALIBRATED = "before and after recalibration within each ancestry on other people"


def convergence_sentences(
    inputs: ReportInputs, convergence: pd.DataFrame
) -> list[tuple[str, bool]]:
    """Return for each sampler run a sentence, and whether it converged (True: nothing to fear)."""
    sentences = []
    for run, traces in runs_of(inputs.posteriors).items():
        rows = convergence[convergence["run"] == run]
        bad = rows[rows["verdict"] == "not converged"]
        judged = rows[rows["verdict"].isin(["converged", "not converged"])]
        converged = traces.converged
        if converged is None:
            converged = None if judged.empty else bad.empty
        if converged is None:
            text, fine = (
                f"{run}: no diagnostics were kept; convergence cannot be judged.",
                False,
            )
        elif converged:
            text, fine = f"{run}: the sampler's diagnostics give no sign of trouble.", True
        else:
            # The sampler may judge by other rules than this table's, so look for the worst.
            worst = bad if len(bad) else judged
            worst = worst.sort_values("rhat", ascending=False, kind="stable").head(1)
            why = "".join(
                f" R-hat of {row['parameter']} is {row['rhat']:.2f} with {row['ess']:.0f} "
                "effective draws."
                for row in worst.to_dict("records")
                if np.isfinite(row["rhat"]) and np.isfinite(row["ess"])
            )
            text, fine = (
                (
                    f"{run}: NOT CONVERGED.{why} Its weights depend on where the chains started "
                    "and on the seed; run more iterations, or fix phi, before relying on them."
                ),
                False,
            )
        sentences.append((text, fine))
        sentences += [(f"{run}: {warning}", False) for warning in traces.warnings]
    return sentences


def convergence_rule() -> str:
    """Return the rule by which the table judges a parameter."""
    return (
        f"A parameter is called converged if its R-hat is at most {MAX_RHAT:g} and it has at "
        f"least {MIN_ESS:g} effective draws; Vehtari et al. (2021) recommend 1.01 and 400."
    )


def misuses(verdicts: Sequence[Verdict], outcome_kind: str) -> list[str]:
    """Return what the score must not be used for, given the verdicts."""
    by_level = dict(headline(verdicts))
    unknown = [*by_level.get("unsupported", ()), *by_level.get("insufficient", ())]
    uncertain = [*by_level.get("recalibrate", ()), *by_level.get("rank", ())]
    judged = [v.group for v in verdicts if v.group not in unknown]
    statements = [
        "It is not a diagnosis. Most people with a high score do not develop a disease because "
        "of it, and a low score does not exclude disease."
        if outcome_kind != "quantitative"
        else "It does not give a person's value of the trait. Most of the variation between "
        "people is outside the score.",
        "It must not be used in people of ancestries that are not listed on this page"
        + (f", nor, on this evidence, in {', '.join(unknown)}" if unknown else "")
        + ". Accuracy does not carry over from one ancestry to another.",
        (
            "Scores, percentiles and cut points must not be compared between people of different "
            "ancestry without adjustment. A difference between the mean scores of two ancestries "
            "reflects allele frequencies, LD and whom the GWAS studied; it is not evidence of a "
            "genetic difference in risk."
        ),
    ]
    if uncertain:
        statements.append(
            f"Uncorrected predictions must not be told to people of {', '.join(uncertain)}: "
            "there predicted and observed are not shown to agree."
        )
    statements += [
        (
            "Figures about groups are not figures about one person. The interval of a person's "
            "score or percentile is much wider than those shown here."
        ),
        (
            "It must not be used to select embryos, nor in insurance, employment, education or "
            "immigration."
        ),
        "Nothing on this page shows clinical benefit. Accuracy"
        + (f" in {', '.join(judged)}" if judged else "")
        + " says nothing about whether acting on the score improves health; that takes a trial.",
    ]
    return statements


def facts_for_standard(
    inputs: ReportInputs, verdicts: Sequence[Verdict], participants: pd.DataFrame
) -> dict[int, str]:
    """Return what the run knows about the items of PRS-RS, by number; unknown ones are absent."""
    evaluation, cohort = inputs.evaluation, inputs.cohort
    groups = groups_in_order(evaluation, with_everybody=False)
    covariates = [str(c) for c in getattr(cohort, "covariate_names", ())]
    populations = [str(p) for p in inputs.ld["population"]] if inputs.ld is not None else []
    facts: dict[int, str] = {
        1: ("Development and validation." if inputs.weights else "Validation of given scores.")
        + f" Scores evaluated: {', '.join(evaluation.scores)}.",
        2: f"Predicted outcome: {evaluation.outcome} ({evaluation.outcome_kind}). Purpose: "
        + (inputs.intended_use or NOT_REPORTED)
        + ".",
        5: f"Target: {_listed_counts(participants)}."
        + (f" GWAS and LD populations: {', '.join(dict.fromkeys(populations))}." if populations
           else f" GWAS populations: {NOT_REPORTED}."),
        8: f"{evaluation.outcome}, {evaluation.outcome_kind}. Definition and ascertainment: "
        f"{NOT_REPORTED}.",
        11: {
            "binary": "Logistic",
            "survival": "Cox (proportional hazards)",
            "quantitative": "Linear",
        }[evaluation.outcome_kind]
        + " regression of the outcome on score and covariates.",
        13: "Section Distribution; quantiles in tables/distribution.tsv.",
        14: "Section Accuracy; tables/accuracy.tsv and tables/deciles.tsv, with intervals.",
        16: f"Section Calibration, {_RECALIBRATED}; tables/calibration.tsv.",
        17: f"Every figure is given for {', '.join(groups)}.",
        18: " ".join(f"{LEVELS[lv]}: {', '.join(gs)}." for lv, gs in headline(verdicts)),
        20: "Accuracy relative to "
        f"{evaluation.reference_group} is in section Portability. Ancestries that are not listed "
        "were not studied.",
    }  # fmt: skip
    shown = [c for c in participants.columns if c.endswith("_mean") and c != "outcome_mean"]
    if shown:
        names = ", ".join(c.removesuffix("_mean") for c in shown)
        facts[4] = (
            f"{names} by ancestry in tables/participants.tsv. Clinical characteristics: "
            f"{NOT_REPORTED}."
        )
    if inputs.match_reports:
        facts[6] = (
            f"{len(inputs.match_reports)} inputs were matched by variant; losses in section "
            f"Inputs. Assay, imputation and quality control before this run: {NOT_REPORTED}."
        )
    if covariates:
        facts[7] = f"Covariates: {', '.join(covariates)}."
        facts[12] = (
            f"Score plus {_without_pcs(covariates)}; figures over these covariates are "
            "incremental (tables/accuracy.tsv)."
        )
    dropped = {str(k): int(v) for k, v in getattr(cohort, "n_dropped", {}).items() if v}
    facts[9] = (
        "People left out: " + ", ".join(f"{k} {v:,}" for k, v in dropped.items()) + "."
        if dropped
        else "People left out by reason are in tables/people.tsv."
    )
    methods = inputs.settings.get("methods")
    if methods or inputs.weights:
        named = ", ".join(str(m) for m in methods) if isinstance(methods, dict) else ""
        facts[10] = (
            (f"Methods: {named}. " if named else "")
            + "Settings, LD references, convergence and numbers of variants are on this page. "
            + (
                "Risk models were fitted on tuning people and judged on others."
                if evaluation.settings.get("split")
                else "Risk models were cross-fitted."
            )
        )
    if primary_measure(evaluation) == "auc":
        facts[15] = "AUC with DeLong interval, and its gain over covariates: section Accuracy."
    elif primary_measure(evaluation) == "c":
        facts[15] = "Harrell's C with its interval, and its gain over covariates: section Accuracy."
    else:
        facts[15] = "Not applicable to a quantitative outcome."
    insufficient = [v.group for v in verdicts if v.level == "insufficient"]
    limits = [f"Insufficient data in {', '.join(insufficient)}."] if insufficient else []
    limits += [str(note).rstrip(".") + "." for note in evaluation.notes[:3]]
    if limits:
        facts[19] = " ".join(limits)
    if inputs.intended_use:
        facts[21] = inputs.intended_use
    facts[22] = (
        "Every figure of this page is in report.json and tables/. Deposition of the weights "
        f"(PGS Catalog): {NOT_REPORTED}."
    )
    return facts


def _listed_counts(participants: pd.DataFrame) -> str:
    return ", ".join(f"{row.group} {row.n:,}" for row in participants.itertuples())


def _without_pcs(covariates: Sequence[str]) -> str:
    pcs = [c for c in covariates if re.fullmatch(r"(?i)pc_?\d+", c)]
    others = [c for c in covariates if c not in pcs]
    return ", ".join([*others, *([f"principal components ({len(pcs)})"] if pcs else [])])
