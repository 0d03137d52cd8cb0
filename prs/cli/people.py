"""`prs score`, `prs evaluate` and `prs report`: from weights to people and what is true of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from prs.cli.app import app
from prs.cli.options import Bfile, Exclude, Extract, Keep, Out, Remove, Seed, Threads, open_chosen


@app.command("score", short_help="Score people with any number of weights at once.")
def score_command(
    bfile: Bfile,
    weights: Annotated[
        list[Path],
        typer.Option("--weights", metavar="FILE", help="Weights; repeatable, all scored at once."),
    ],
    out: Out,
    keep: Keep = None,
    remove: Remove = None,
    extract: Extract = None,
    exclude: Exclude = None,
    missing: Annotated[
        str,
        typer.Option(metavar="mean|skip", help="A missing call counts 2 x frequency, or nothing."),
    ] = "mean",
    scale: Annotated[
        str,
        typer.Option(
            metavar="none|center|standardize",
            help="Allele counts as they are; less their mean; less the mean and over their SD.",
        ),
    ] = "none",
    average: Annotated[
        bool, typer.Option("--average", help="Averages per allele instead of sums.")
    ] = False,
    x_males: Annotated[
        int, typer.Option("--x-males", help="What a male's allele on chromosome X counts: 2 or 1.")
    ] = 2,
    palindromic: Annotated[
        str,
        typer.Option(
            metavar="auto|frequency|keep|drop",
            help="A/T and C/G variants: as written if the file's other variants are on the "
            "genotypes' strand and else by frequency; always by frequency; as written; drop.",
        ),
    ] = "auto",
    min_overlap: Annotated[
        float, typer.Option(help="Least share of the weights that the genotypes must have.")
    ] = 0.5,
    threads: Threads = None,
) -> None:
    """Score people with one or many sets of weights in one pass over the genotypes."""
    from prs import read_weights, score, write_scores

    genotypes = open_chosen(bfile, keep, remove, extract, exclude)
    scores = score(
        genotypes,
        [read_weights(path) for path in weights],
        missing=missing,  # type: ignore[arg-type]
        scale=scale,  # type: ignore[arg-type]
        average=average,
        x_males=x_males,  # type: ignore[arg-type]
        palindromic=palindromic,  # type: ignore[arg-type]
        min_overlap=min_overlap,
        n_threads=threads,
    )
    path = f"{out}.scores.tsv"
    write_scores(scores, path)
    for name, used, lost in zip(scores.names, scores.n_used, scores.n_missing, strict=True):
        typer.echo(f"{name}: {used:,} variants used, {lost:,} not found")
    for note in scores.notes:
        typer.echo(note)
    lost = 0 if scores.unmatched is None else len(scores.unmatched)
    if lost:
        typer.echo(f"{lost:,} variants not used: {out}.scores.unmatched.tsv lists them and why")
    typer.echo(f"wrote {path}: {len(scores.samples):,} people, {len(scores.names):,} scores")


CohortFile = Annotated[
    Path, typer.Option("--cohort", metavar="FILE", help="Table of people (IID, outcome, ...).")
]
Outcome = Annotated[str, typer.Option("--outcome", metavar="COLUMN", help="Column of the outcome.")]
By = Annotated[str, typer.Option("--by", metavar="COLUMN", help="Column of the groups.")]
Prevalence = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|K",
        help="Prevalence: one number, or a table of group and prevalence. Never guessed.",
    ),
]
Covariates = Annotated[
    str, typer.Option(metavar="COLUMNS", help="Covariates, separated by commas.")
]
Split = Annotated[str | None, typer.Option(metavar="COLUMN", help="Column with tuning and test.")]
ScoresFile = Annotated[Path, typer.Option("--scores", metavar="FILE", help="Scores (prs score).")]
CaseControl = Annotated[
    bool,
    typer.Option("--case-control", help="Cases were oversampled: weight risks to the prevalence."),
]


Time = Annotated[
    str | None,
    typer.Option(
        "--time",
        metavar="COLUMN",
        help="Follow-up time: the outcome is then event (case) or censored; hazard ratios and C.",
    ),
]


@app.command("evaluate", short_help="Judge scores by group, with intervals.")
def evaluate_command(
    scores: ScoresFile,
    cohort: CohortFile,
    outcome: Outcome,
    out: Out,
    by: By = "ancestry",
    prevalence: Prevalence = None,
    covariates: Covariates = "",
    split: Split = None,
    case_control: CaseControl = False,
    time: Time = None,
    seed: Seed = 1,
) -> None:
    """Judge scores by group: accuracy, calibration and decile risks, each with an interval."""
    from prs.evaluation.evaluate import write_tables

    if time is not None:
        _evaluate_survival(scores, cohort, outcome, time, out, by, covariates, split)
        return

    evaluation, _, _ = _evaluate(
        scores, cohort, outcome, by, prevalence, covariates, split, case_control, seed
    )
    written = write_tables(evaluation, out)
    typer.echo(str(evaluation))
    typer.echo("wrote " + " ".join(str(path) for path in written))


@app.command("report", short_help="Write one HTML page about scores.")
def report_command(
    scores: ScoresFile,
    cohort: CohortFile,
    outcome: Outcome,
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Folder of the report.")],
    by: By = "ancestry",
    prevalence: Prevalence = None,
    covariates: Covariates = "",
    split: Split = None,
    case_control: CaseControl = False,
    weights: Annotated[
        list[Path] | None, typer.Option("--weights", metavar="FILE", help="Weights to describe.")
    ] = None,
    title: Annotated[str, typer.Option(help="Heading.")] = "Polygenic score evaluation",
    seed: Seed = 1,
) -> None:
    """Write one self-contained HTML page about scores, with its tables and figures."""
    from prs import ReportInputs, read_weights, write_report
    from prs.provenance import Provenance, command_line, digest_inputs

    evaluation, read, people = _evaluate(
        scores, cohort, outcome, by, prevalence, covariates, split, case_control, seed
    )
    inputs = [scores, cohort, *(weights or [])]
    page = write_report(
        ReportInputs(
            title=title,
            evaluation=evaluation,
            scores=read,
            cohort=people,
            weights=[read_weights(path) for path in weights or []],
            provenance=Provenance(
                command_line(), {"outcome": outcome, "by": by}, seed, digest_inputs(inputs)
            ).to_dict(),
        ),
        out,
    )
    typer.echo(f"wrote {page}")


def _evaluate(scores, cohort, outcome, by, prevalence, covariates, split, case_control, seed):  # type: ignore[no-untyped-def]
    """Read the two tables and evaluate; returns the evaluation, the scores and the cohort."""
    from prs import evaluate, read_cohort, read_scores
    from prs.inputs.prevalence import read_prevalence

    people = read_cohort(
        cohort,
        outcome=outcome,
        covariates=[name.strip() for name in covariates.split(",") if name.strip()],
        labels=[by],
        split=split,
    )
    read = read_scores(scores)
    evaluation = evaluate(
        read,
        people,
        by=by,
        prevalence=None if prevalence is None else read_prevalence(prevalence),
        case_control=case_control,
        seed=seed,
    )
    return evaluation, read, people


def _evaluate_survival(scores, cohort, outcome, time, out, by, covariates, split):  # type: ignore[no-untyped-def]
    """Judge scores for a time-to-event outcome and write the table."""
    from prs import match_samples, read_cohort, read_scores
    from prs.evaluation.survival import evaluate_survival
    from prs.files import write_table

    named = [name.strip() for name in covariates.split(",") if name.strip()]
    people = read_cohort(
        cohort,
        outcome=outcome,
        covariates=[*named, time],
        labels=[by],
        split=split,
        kind="binary",
    )
    if split is not None:
        people = people.test()
    read = read_scores(scores)
    rows, at = match_samples(
        people.samples, read.samples, what="the cohort", target_name="the scores"
    )
    people = people.take(rows)
    table = evaluate_survival(
        read.values[at],
        people.covariates[:, -1],
        people.outcome,
        names=read.names,
        group=people.labels[by],
        covariates=people.covariates[:, :-1],
    )
    path = f"{out}.survival.tsv"
    write_table(table, path)
    typer.echo(table.drop(columns=["sd"]).to_string(index=False, float_format="%.3f"))
    typer.echo(f"wrote {path}")
