"""The last stage: judge the scores and write the report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from prs.evaluation.absolute_risk import age_risk_rows, person_risks
from prs.evaluation.distance import accuracy_by_distance, genetic_distance
from prs.evaluation.evaluate import Evaluation, evaluate
from prs.evaluation.intervals import Estimate
from prs.evaluation.people import gather
from prs.evaluation.predict import predict_people
from prs.evaluation.survival_models import HazardPredictions
from prs.files import write_table
from prs.inputs.harmonise import HarmonisedSumStats
from prs.pipeline.context import Run
from prs.pipeline.inputs import Panel
from prs.pipeline.places import Places, read_places
from prs.pipeline.scores import Choice
from prs.provenance import Provenance, digest_file
from prs.report.write import ReportInputs, write_report
from prs.samples import match_samples
from prs.scoring import Scores, read_scores
from prs.weights.csx_store import read_posterior
from prs.weights.table import read_weights

__all__ = ["make_report"]


def make_report(
    run: Run,
    choice: Choice,
    weights: list[Path],
    panels: Mapping[str, Panel],
    statistics: Mapping[str, HarmonisedSumStats],
    sure: list[Path],
    placed: list[Path],
) -> Path:
    """Judge the scores, and write the page with its tables; return the page."""
    study, settings = run.study, run.study.evaluation
    posteriors = [file.with_suffix(".npz") for file in weights]
    posteriors = [file for file in posteriors if file.exists()]

    def work() -> str:
        scores = read_scores(choice.judged)
        evaluation = evaluate(
            scores,
            run.cohort,
            by=study.target.by,
            prevalence=settings.prevalence or None,
            reference_group=settings.reference_ancestry,
            n_bins=settings.n_bins,
            cutpoints=settings.cutpoints,
            confidence=settings.confidence,
            seed=study.seed,
            client=run.client,
            n_folds=settings.n_folds,
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
        places = read_places(run, placed)
        kin = [sure_tables[name] for name in ("kin_note",) if name in sure_tables]
        write_report(
            ReportInputs(
                title=study.title,
                scores=scores,
                cohort=run.cohort,
                evaluation=evaluation,
                by=study.target.by,
                main_score=study.report.main_score,
                intended_use=study.report.intended_use,
                prs_rs=study.report.prs_rs,
                settings=study.settings(),
                ct_grid=_threshold_choices(choice.record),
                match_reports=[
                    *(panel.report for panel in panels.values()),
                    *(harmonised.report for harmonised in statistics.values()),
                ],
                read_losses={"cohort": run.cohort.n_dropped},
                ld=_describe_ld(panels),
                posteriors={file.stem: read_posterior(file) for file in posteriors},
                weights=[read_weights(file) for file in weights],
                provenance=provenance.to_dict(),
                check=pd.read_csv(run.folder / "check" / "check.tsv", sep="\t"),
                notes=[*run.cohort.notes, *(note for k in kin for note in k["note"])],
                uncertainty=sure_tables,
                distance=_by_distance(run, places, scores, evaluation),
                placement=_placement(run, places),
                age_risks=_risks_by_age(run, evaluation, sure_tables),
                one_sample={file.stem: pd.read_csv(file, sep="\t") for file in choice.one_sample},
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
            choice.judged,
            study.file(study.target.cohort),
            *weights,
            *posteriors,
            *(run.folder / "harmonised" / f"{name}.match.tsv" for name in panels),
            *sure,
            *placed,
            *choice.one_sample,
            *_rate_files(run),
        ],
        outputs=[page, *(run.folder / name for name in ("report.json", *tables))],
        work=work,
    )
    return page


def _by_distance(
    run: Run, places: Places | None, scores: Scores, evaluation: Evaluation
) -> pd.DataFrame | None:
    """Judge the main score along genetic distance from each GWAS's population."""
    if places is None:
        return None
    settings = run.study.evaluation
    main = run.study.report.main_score or evaluation.scores[-1]
    data = gather(scores, run.cohort, by=run.study.target.by, score=main)
    horizons = evaluation.settings.get("horizons", [])[:1]
    (made,) = predict_people(
        data, {}, n_folds=settings.n_folds, seed=run.study.seed, horizons=horizons
    )
    predicted = made.uncorrected
    if isinstance(made, HazardPredictions):
        predicted = made.risks["uncorrected"][:, 0]
    placed, where = match_samples(
        run.cohort.samples.take(data.rows),
        places.samples,
        what="the cohort",
        target_name="the components",
    )
    here = data.judged[placed]
    at, where = placed[here], where[here]
    tables = []
    for origin, distance in places.origins.items():
        table = accuracy_by_distance(
            data.scores[at, 0],
            data.outcome[at],
            distance[where],
            kind=data.kind,
            covariates=data.covariates[at],
            predicted=predicted[at],
            confidence=settings.confidence,
            time=None if data.time is None else data.time[at],
            entry=None if data.entry is None else data.entry[at],
            horizon=horizons[0] if horizons else None,
        )
        table.insert(0, "score", main)
        table.insert(1, "origin", origin)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _placement(run: Run, places: Places | None) -> pd.DataFrame | None:
    """Return a row an ancestry: mean distance of its people from each GWAS's population.

    Distances are in units of the root mean square distance of that population's own panel from
    its centre, where there is a panel.
    """
    if places is None:
        return None
    people, where = run.cohort.known_to(places.samples, "the components")
    label = people.groups(run.study.target.by)
    out = []
    for group in pd.Series(label).value_counts().index:
        here = label == group
        row: dict[str, object] = {"group": str(group), "n": int(here.sum())}
        nearest = np.full(int(here.sum()), "", dtype=object)
        least = np.full(len(nearest), np.inf)
        for origin, distance in places.origins.items():
            away = distance[where][here]
            if places.reference_pcs is not None:
                own = places.reference_pcs[places.reference_labels == origin]
                away = away / np.sqrt((genetic_distance(own, own) ** 2).mean())
            row[f"distance_{origin}"] = float(away.mean())
            closer = distance[where][here] < least
            nearest[closer], least[closer] = origin, distance[where][here][closer]
        shares = pd.Series(nearest).value_counts(normalize=True)
        row["nearest"] = str(shares.index[0])
        row["share_nearest"] = float(shares.iloc[0])
        out.append(row)
    return pd.DataFrame(out)


def _risks_by_age(
    run: Run, evaluation: Evaluation, sure: Mapping[str, pd.DataFrame]
) -> pd.DataFrame | None:
    """Return risks by age at percentiles of the main score; write those of each person."""
    wanted = run.study.evaluation.absolute_risk
    incidence, mortality = run.incidence, run.mortality
    if wanted is None or incidence is None:
        return None
    study, main = run.study, run.study.report.main_score or evaluation.scores[-1]
    effect = "hazard_ratio" if evaluation.outcome_kind == "survival" else "odds_ratio"
    table = evaluation.accuracy[evaluation.accuracy["score"] == main]
    rows, ratios = [], {}
    for row in table.to_dict("records"):
        group = str(row["group"])
        ratio = Estimate(*(float(row[effect + end]) for end in ("", "_lower", "_upper")))
        ratios[group] = ratio.value
        made = age_risk_rows(
            ratio,
            incidence,
            mortality,
            group=group,
            ages=wanted.ages,
            confidence=study.evaluation.confidence,
            seed=study.seed,
        )
        head = {"score": main, "group": group, "effect": effect, **ratio.named("effect_per_sd")}
        rows += [head | one for one in made]
    if "people" in sure:
        people = person_risks(sure["people"], ratios, incidence, mortality, ages=wanted.ages)
        write_table(people, run.folder / "uncertainty" / "absolute_risk.tsv")
    return pd.DataFrame(rows)


def _rate_files(run: Run) -> list[Path]:
    wanted = run.study.evaluation.absolute_risk
    if wanted is None:
        return []
    names = [wanted.incidence, *([wanted.mortality] if wanted.mortality else [])]
    return [run.study.file(name) for name in names]


def _threshold_choices(path: Path) -> pd.DataFrame | None:
    """Return how well each cell of clumping and thresholding did in tuning people."""
    record = json.loads(path.read_text(encoding="utf-8"))
    for name, choice in record.items():
        if name.startswith("ct_") and "table" in choice:
            return pd.DataFrame(choice["table"])
    return None


def _describe_ld(panels: Mapping[str, Panel]) -> pd.DataFrame:
    references = [panel.ld for panel in panels.values()]
    return pd.DataFrame(
        {
            "population": list(panels),
            "n_samples": [ld.n_samples for ld in references],
            "n_variants": [len(ld) for ld in references],
            "n_blocks": [ld.n_blocks for ld in references],
            "source": [Path(ld.source).name for ld in references],
        }
    )
