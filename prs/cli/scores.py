"""`prs score` and `prs combine`: from weights to people's scores, and from many scores to one."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from prs.cli.app import app
from prs.cli.options import (
    Bfile,
    Cluster,
    CohortFile,
    Covariates,
    Entry,
    Exclude,
    Extract,
    Keep,
    Out,
    Outcome,
    Remove,
    ScoresFile,
    Seed,
    Split,
    Threads,
    Time,
    Workers,
    connect,
    names_of,
    open_chosen,
    pairs,
)

if TYPE_CHECKING:
    from prs import Cohort, CombinedScore, Scores


#: Scores whose variants are counted on the screen.
_LISTED = 20


@app.command("score", short_help="Score people with any number of weights at once.")
def score_command(
    context: typer.Context,
    bfile: Bfile,
    out: Out,
    weights: Annotated[
        list[Path] | None,
        typer.Option("--weights", metavar="FILE", help="Weights; repeatable, all scored at once."),
    ] = None,
    draws: Annotated[
        list[str] | None,
        typer.Option(
            "--draws",
            metavar="POP=FILE",
            help="Score each posterior draw of a population (or META) in prs csx's .posterior.npz; "
            "repeatable.",
        ),
    ] = None,
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
    cluster: Cluster = None,
    workers: Workers = None,
) -> None:
    """Score people with one or many sets of weights in one pass over the genotypes."""
    from prs import read_weights, score, write_scores

    if not weights and not draws:
        raise typer.BadParameter("give what to score with: --weights or --draws")
    tables = [read_weights(path) for path in weights or ()]
    for population, path in pairs(draws, "--draws").items():
        from prs.individuals import draw_weights
        from prs.weights.csx_store import read_posterior

        drawn = draw_weights(read_posterior(path), population)
        tables.append(drawn.rename([f"{population}_{name}" for name in drawn.names]))
    genotypes = open_chosen(bfile, keep, remove, extract, exclude)
    scores = score(
        genotypes,
        tables,
        missing=missing,  # type: ignore[arg-type]
        scale=scale,  # type: ignore[arg-type]
        average=average,
        x_males=x_males,  # type: ignore[arg-type]
        palindromic=palindromic,  # type: ignore[arg-type]
        min_overlap=min_overlap,
        n_threads=threads,
        client=connect(context, cluster, workers),
    )
    path = f"{out}.scores.tsv"
    write_scores(scores, path)
    counted = zip(scores.names, scores.n_used, scores.n_missing, strict=True)
    for name, used, lost in islice(counted, _LISTED):
        typer.echo(f"{name}: {used:,} variants used, {lost:,} not found")
    if len(scores.names) > _LISTED:
        typer.echo(f"... {len(scores.names) - _LISTED:,} more: {out}.scores.variants.tsv")
    for note in scores.notes:
        typer.echo(note)
    lost = 0 if scores.unmatched is None else len(scores.unmatched)
    if lost:
        typer.echo(f"{lost:,} variants not used: {out}.scores.unmatched.tsv lists them and why")
    typer.echo(f"wrote {path}: {len(scores.samples):,} people, {len(scores.names):,} scores")


@app.command("combine", short_help="Make one score of many, on tuning people only.")
def combine_command(
    scores: ScoresFile,
    cohort: CohortFile,
    outcome: Outcome,
    out: Out,
    covariates: Covariates = "",
    split: Split = "split",
    time: Time = None,
    entry: Entry = None,
    columns: Annotated[
        str, typer.Option(metavar="NAMES", help="Scores to use, by commas (default: all).")
    ] = "",
    method: Annotated[
        str,
        typer.Option(
            metavar="linear|nonnegative|ridge|best",
            help="Linear model; with no negative coefficient; with a penalty found by "
            "cross-validation, for many scores that say the same (stacked C+T); the best one.",
        ),
    ] = "linear",
    by: Annotated[
        str | None,
        typer.Option(
            "--by",
            metavar="COLUMN",
            help="Fit (or choose, with best) in each of these groups that has enough people too.",
        ),
    ] = None,
    cross_fit: Annotated[
        int,
        typer.Option(
            "--cross-fit",
            min=0,
            metavar="K",
            help="Without tuning and test people: fit in K - 1 folds and score the one left out.",
        ),
    ] = 0,
    weights: Annotated[
        Path | None,
        typer.Option("--weights", metavar="FILE", help="Weights of the scores: combine these too."),
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the combined score.")] = "combined",
    seed: Seed = 1,
) -> None:
    """Make one score of many: a linear combination, or the best one, found on tuning people only.

    X.scores.tsv has everybody's combined score, X.combination.tsv what was fitted, and
    X.weights.tsv (with --weights) the weights that give it.
    """
    from prs import combine, read_cohort, read_scores, select_best, write_scores
    from prs.files import write_table

    if method not in ("linear", "nonnegative", "ridge", "best"):
        raise typer.BadParameter(f"--method {method!r} is not linear, nonnegative, ridge or best")
    read = read_scores(scores)
    if columns:
        read = read.select(names_of(columns))
    people = read_cohort(
        cohort,
        outcome=outcome,
        covariates=names_of(covariates),
        labels=[] if by is None else [by],
        split=None if cross_fit else split,
        time=time,
        entry=entry,
    )

    def fit(values: Scores, group: Cohort) -> CombinedScore:
        if method == "best":
            return select_best(values, group, name=name, by=by)
        return combine(
            values,
            group,
            name=name,
            by=by,
            nonnegative=method == "nonnegative",
            penalty="ridge" if method == "ridge" else "none",
            seed=seed,
        )

    if cross_fit:
        from prs.cross_fitting import cross_fit_scores

        made = cross_fit_scores(
            read,
            people,
            lambda values, group: (fit(values, group).apply(values, group), None),
            n_folds=cross_fit,
            by=by,
            seed=seed,
        )
        write_scores(made.scores, f"{out}.scores.tsv")
        write_table(made.table, f"{out}.crossfit.tsv")
        row = made.summary.iloc[0]
        typer.echo(
            f"R2 in held-out folds {row['r2_held_out']:.4g}: fitting and judging in the same "
            f"people made it {row['optimism']:.2g} too large"
        )
        typer.echo(f"wrote {out}.scores.tsv .crossfit.tsv")
        return
    combined = fit(read, people)
    write_scores(combined.apply(read, people), f"{out}.scores.tsv")
    write_table(combined.table, f"{out}.combination.tsv")
    written = f"{out}.scores.tsv .combination.tsv"
    for note in combined.notes:
        typer.echo(note)
    if weights is not None:
        from prs import read_weights, write_weights

        write_weights(combined.combine_weights(read_weights(weights)), f"{out}.weights.tsv")
        written += " .weights.tsv"
    typer.echo(
        f"{method} of {len(read.names):,} scores in {len(combined.tuning_ids):,} tuning people; "
        "judge it on test people"
    )
    typer.echo(f"wrote {written}")
