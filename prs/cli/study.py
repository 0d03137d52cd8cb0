"""`prs run`, `prs person` and `prs simulate`: whole studies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from prs.cli.app import app
from prs.cli.failures import describe_failure
from prs.cli.options import Cluster, Seed, Threads, Workers, connect, pairs


@app.command("run", short_help="Run whole studies, from study files to their reports.")
def run_command(
    context: typer.Context,
    studies: Annotated[
        list[Path], typer.Argument(metavar="STUDY.toml...", help="The study file, or several.")
    ],
    threads: Threads = None,
    force: Annotated[
        bool, typer.Option("--force", help="Run every stage, unchanged or not.")
    ] = False,
    cluster: Cluster = None,
    workers: Workers = None,
) -> None:
    """Run a whole study, or several: stages whose inputs and settings are unchanged are kept.

    Of several studies, one that fails does not stop the others; a table at the end says which
    did, and the exit status is then 1. On a cluster they run at the same time.
    """
    from prs import run_studies, run_study

    client = connect(context, cluster, workers)
    if len(studies) == 1:
        result = run_study(
            studies[0], n_threads=threads, force=force, say=typer.echo, client=client
        )
        typer.echo(f"report: {result.report}")
        return
    ended = run_studies(studies, n_threads=threads, force=force, say=typer.echo, client=client)
    width = max(len(str(study.path)) for study in ended)
    for study in ended:
        if study.result is not None:
            typer.echo(f"{study.path!s:{width}}  done    {study.result.report}")
        elif study.error is not None:
            said = describe_failure(study.error).splitlines()[0]
            typer.echo(f"{study.path!s:{width}}  FAILED  {said}")
    failed = [study for study in ended if study.error is not None]
    for study in failed:
        assert study.error is not None
        said = describe_failure(study.error)
        where = "" if said.startswith(str(study.path)) else f"{study.path}: "
        typer.echo(f"error: {where}{said}", err=True)
    if failed:
        raise typer.Exit(1)


@app.command("person", short_help="Say how sure one person's score is.")
def person_command(
    study: Annotated[Path, typer.Argument(metavar="STUDY.toml", help="A study that was run.")],
    person: Annotated[str, typer.Argument(metavar="IID", help="The person.")],
    loci: Annotated[int, typer.Option(min=0, help="Loci to list.")] = 5,
) -> None:
    """Say how sure one person's score is: score, percentile and risk with intervals, and loci."""
    from prs.pipeline.person import describe_person

    typer.echo(describe_person(study, person, n_loci=loci))


@app.command("simulate", short_help="Simulate a study with known truth.")
def simulate_command(
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Folder of the study.")],
    gwas: Annotated[
        list[str] | None,
        typer.Option("--n-gwas", metavar="POP=N", help="GWAS size; repeatable."),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option("--n-target", metavar="POP=N", help="People to be scored; repeatable."),
    ] = None,
    n_reference: Annotated[int, typer.Option(help="Reference people a population.")] = 400,
    n_variants: Annotated[int, typer.Option(help="Variants in all.")] = 15_000,
    n_chromosomes: Annotated[int, typer.Option(help="Chromosomes.")] = 3,
    sequence_length: Annotated[int, typer.Option(help="Base pairs a chromosome.")] = 15_000_000,
    n_founders: Annotated[
        int, typer.Option(help="Founders a population: the size of the coalescent.")
    ] = 2_000,
    h2: Annotated[float, typer.Option(help="Heritability explained by the variants.")] = 0.4,
    n_causal: Annotated[int, typer.Option(help="Causal variants of each outcome.")] = 600,
    effect_correlation: Annotated[
        float, typer.Option(help="Of effects between populations.")
    ] = 0.9,
    seed: Seed = 1,
) -> None:
    """Simulate a study with known truth: genotypes, summary statistics, a cohort, a study file."""
    from prs import simulate_study

    chosen: dict[str, Any] = {}
    if gwas:
        chosen["n_gwas"] = {p: int(float(v)) for p, v in pairs(gwas, "--n-gwas").items()}
    if target:
        chosen["n_target"] = {p: int(float(v)) for p, v in pairs(target, "--n-target").items()}
    study = simulate_study(
        out,
        seed=seed,
        n_reference=n_reference,
        n_variants=n_variants,
        n_chromosomes=n_chromosomes,
        sequence_length=sequence_length,
        n_founders=n_founders,
        h2=h2,
        n_causal=n_causal,
        effect_correlation=effect_correlation,
        **chosen,
    )
    typer.echo(f"wrote {study.folder}; next: prs run {study.study}")
