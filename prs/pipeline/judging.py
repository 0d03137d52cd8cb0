"""The last stage: judge the scores and write the report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from prs.evaluation.distance import accuracy_by_distance, genetic_distance
from prs.evaluation.evaluate import Evaluation, evaluate
from prs.evaluation.risk_models import predict_risks
from prs.inputs.cohort import read_cohort
from prs.ld.reference import LDReference
from prs.pipeline.context import Run
from prs.provenance import Provenance, digest_file
from prs.report.write import ReportInputs, write_report
from prs.samples import match_samples
from prs.scoring import Scores, read_scores
from prs.weights.csx_store import read_posterior
from prs.weights.table import read_weights

__all__ = ["make_report"]


def make_report(
    run: Run,
    path: Path,
    weights: list[Path],
    references: Mapping[str, LDReference],
    sure: list[Path],
) -> Path:
    """Judge the scores, and write the page with its tables; return the page."""
    study, settings = run.study, run.study.evaluation
    posteriors = [file.with_suffix(".npz") for file in weights]
    posteriors = [file for file in posteriors if file.exists()]

    def work() -> str:
        scores = read_scores(path)
        evaluation = evaluate(
            scores,
            run.cohort,
            by=study.target.ancestry,
            prevalence=settings.prevalence or None,
            reference_group=settings.reference_ancestry,
            n_bins=settings.n_bins,
            cutpoints=settings.cutpoints,
            confidence=settings.confidence,
            seed=study.seed,
            case_control=settings.case_control,
            compare_to=settings.compare_to,
            horizons=settings.horizons or None,
            risk_thresholds=settings.risk_thresholds,
        )
        inputs = [Path(study.path), *run.target.files, study.file(study.target.cohort)]
        inputs += [study.file(pop.sumstats) for pop in study.populations.values()]
        provenance = Provenance(
            "prs run",
            study.settings(),
            study.seed,
            {Path(file).name: digest_file(file) for file in inputs},
        )
        provenance.write(run.folder / "provenance.json")
        sure_tables = {file.stem: pd.read_csv(file, sep="\t") for file in sure}
        kin = [sure_tables[name] for name in ("kin_note",) if name in sure_tables]
        write_report(
            ReportInputs(
                title=study.title,
                scores=scores,
                cohort=run.cohort,
                evaluation=evaluation,
                by=study.target.ancestry,
                main_score=study.report.main_score,
                intended_use=study.report.intended_use,
                prs_rs=study.report.prs_rs,
                settings=study.settings(),
                ct_grid=_threshold_choices(run),
                match_reports=run.reports,
                read_losses={"cohort": run.cohort.n_dropped},
                ld=_describe_ld(references),
                posteriors={file.stem: read_posterior(file) for file in posteriors},
                weights=[read_weights(file) for file in weights],
                provenance=provenance.to_dict(),
                check=pd.read_csv(run.folder / "check" / "check.tsv", sep="\t"),
                notes=[*run.cohort.notes, *(note for k in kin for note in k["note"])],
                uncertainty=sure_tables,
                distance=_by_distance(run, scores, evaluation),
            ),
            run.folder,
        )
        run.say(str(evaluation))
        return f"{len(evaluation.scores)} scores in {len(evaluation.groups)} ancestries"

    page = run.folder / "report.html"
    tables = [f"tables/{name}.tsv" for name in ("accuracy", "calibration", "deciles")]
    run.stages.run(
        "evaluate and report",
        settings=study.settings(),
        inputs=[
            path,
            study.file(study.target.cohort),
            *weights,
            *posteriors,
            *(run.folder / "harmonised" / f"{name}.match.tsv" for name in references),
            *sure,
        ],
        outputs=[page, *(run.folder / name for name in ("report.json", *tables))],
        work=work,
    )
    return page


def _by_distance(run: Run, scores: Scores, evaluation: Evaluation) -> pd.DataFrame | None:
    """Judge the main score along genetic distance from the reference ancestry's people."""
    target = run.study.target
    if not target.pcs:
        return None
    placed = read_cohort(
        run.study.file(target.cohort),
        outcome=target.outcome,
        kind=target.kind,
        time=target.time,
        covariates=[*target.covariates, *target.pcs],
        labels=[target.ancestry],
        split=target.split,
    )
    rows, at = match_samples(
        placed.samples, scores.samples, what="the cohort", target_name="the scores"
    )
    people = placed.take(rows)
    main = run.study.report.main_score or evaluation.scores[-1]
    n_pcs = len(target.pcs)
    pcs, covariates = people.covariates[:, -n_pcs:], people.covariates[:, :-n_pcs]
    label = people.labels[target.ancestry]
    home = label == evaluation.reference_group
    judged = np.ones(people.n, bool) if people.split is None else people.split == "test"
    point = scores.select(main).values[at, 0]
    predicted = None
    if people.outcome_kind == "binary":
        train = judged if people.split is None else people.split == "tuning"
        predicted = predict_risks(
            people.outcome,
            point,
            covariates,
            label,
            train,
            binary=True,
            methods={},
        ).uncorrected[judged]
    table = accuracy_by_distance(
        point[judged],
        people.outcome[judged],
        genetic_distance(pcs, pcs[home])[judged],
        kind=people.outcome_kind,
        covariates=covariates[judged],
        predicted=predicted if people.split is not None else None,
        confidence=run.study.evaluation.confidence,
    )
    table.insert(0, "score", main)
    return table


def _threshold_choices(run: Run) -> pd.DataFrame | None:
    """Return how well each cell of clumping and thresholding did in tuning people."""
    record = json.loads((run.folder / "scores" / "choices.json").read_text(encoding="utf-8"))
    for name, choice in record.items():
        if name.startswith("ct_") and "table" in choice:
            return pd.DataFrame(choice["table"])
    return None


def _describe_ld(references: Mapping[str, LDReference]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "population": list(references),
            "n_samples": [ld.n_samples for ld in references.values()],
            "n_variants": [len(ld) for ld in references.values()],
            "n_blocks": [ld.n_blocks for ld in references.values()],
            "source": [Path(ld.source).name for ld in references.values()],
        }
    )
