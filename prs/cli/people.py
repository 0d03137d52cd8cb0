"""`prs evaluate` and `prs report`: what is true of scores, by group."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from prs.cli.app import app
from prs.cli.options import (
    CohortFile,
    Covariates,
    Entry,
    Out,
    Outcome,
    ScoresFile,
    Seed,
    Split,
    Time,
    names_of,
    numbers,
)

if TYPE_CHECKING:
    from prs.evaluation.evaluate import Evaluation
    from prs.inputs.cohort import Cohort
    from prs.scoring import Scores

By = Annotated[str, typer.Option("--by", metavar="COLUMN", help="Column of the groups.")]
Prevalence = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|K",
        help="Prevalence: one number, or a table of group and prevalence. Never guessed.",
    ),
]
CaseControl = Annotated[
    bool,
    typer.Option("--case-control", help="Cases were oversampled: weight risks to the prevalence."),
]
Horizons = Annotated[
    str,
    typer.Option(metavar="TIMES", help="With --time: times by which risks are judged, commas."),
]
RiskThresholds = Annotated[
    str,
    typer.Option(metavar="RISKS", help="Risks at which one acts, commas: who is reclassified."),
]
CompareTo = Annotated[
    str | None,
    typer.Option(metavar="SCORE", help="The score that others are compared with; default first."),
]
ReferenceGroup = Annotated[
    str | None,
    typer.Option(metavar="GROUP", help="Denominator of portability; default the largest group."),
]
Cutpoints = Annotated[
    str,
    typer.Option(
        metavar="group|controls|all|GROUP",
        help="Whose quantiles cut the score: each group's own, its controls', everybody's, or "
        "those of one group.",
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
    entry: Entry = None,
    horizons: Horizons = "",
    risk_thresholds: RiskThresholds = "",
    compare_to: CompareTo = None,
    reference_group: ReferenceGroup = None,
    cutpoints: Cutpoints = "group",
    seed: Seed = 1,
) -> None:
    """Judge scores by group: accuracy, calibration and decile risks, each with an interval."""
    evaluation, _, _ = _evaluate(locals())
    from prs.evaluation.evaluate import write_tables

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
    time: Time = None,
    entry: Entry = None,
    horizons: Horizons = "",
    risk_thresholds: RiskThresholds = "",
    compare_to: CompareTo = None,
    reference_group: ReferenceGroup = None,
    cutpoints: Cutpoints = "group",
    weights: Annotated[
        list[Path] | None, typer.Option("--weights", metavar="FILE", help="Weights to describe.")
    ] = None,
    title: Annotated[str, typer.Option(help="Heading.")] = "Polygenic score evaluation",
    seed: Seed = 1,
) -> None:
    """Write one self-contained HTML page about scores, with its tables and figures."""
    evaluation, read, people = _evaluate(locals())
    from prs import ReportInputs, read_weights, write_report
    from prs.provenance import Provenance, command_line, digest_inputs

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


#: Options of both commands that `evaluate` takes as they are.
_AS_TYPED = ("case_control", "compare_to", "reference_group", "cutpoints", "seed", "by")


def _evaluate(typed: dict[str, Any]) -> tuple[Evaluation, Scores, Cohort]:
    """Read the two tables and evaluate, as a command's options (name -> value) say.

    Returns the evaluation, the scores and the cohort.
    """
    from prs import evaluate, read_cohort, read_scores
    from prs.inputs.prevalence import read_prevalence

    people = read_cohort(
        typed["cohort"],
        covariates=names_of(typed["covariates"]),
        labels=[typed["by"]],
        **{name: typed[name] for name in ("outcome", "split", "time", "entry")},
    )
    read = read_scores(typed["scores"])
    given = typed["prevalence"]
    evaluation = evaluate(
        read,
        people,
        prevalence=None if given is None else read_prevalence(given),
        horizons=numbers(typed["horizons"], "--horizons"),
        risk_thresholds=numbers(typed["risk_thresholds"], "--risk-thresholds"),
        **{name: typed[name] for name in _AS_TYPED},
    )
    return evaluation, read, people
