"""`prs clump` and `prs ct`: index variants, and weights from thresholds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from prs.cli.app import app
from prs.cli.options import (
    BfileOrNot,
    Exclude,
    Extract,
    Keep,
    Out,
    Palindromic,
    Remove,
    Threads,
    numbers,
    open_chosen,
    pairs,
    require,
)

OneSumstats = Annotated[
    str, typer.Option("--sumstats", metavar="[POP=]FILE", help="Summary statistics.")
]
LdFile = Annotated[
    str | None,
    typer.Option("--ld", metavar="PATH", help="LD reference to use where there is no fileset."),
]


@app.command("clump", short_help="Find index variants and their clumps, as PLINK does.")
def clump_command(
    sumstats: OneSumstats,
    out: Out,
    bfile: BfileOrNot = None,
    ld: LdFile = None,
    p1: Annotated[float, typer.Option(help="Greatest p of an index variant.")] = 1.0,
    p2: Annotated[float, typer.Option(help="Greatest p of a member that is listed.")] = 1.0,
    r2: Annotated[float, typer.Option(help="A member's r2 with the index is above this.")] = 0.1,
    kb: Annotated[float, typer.Option(help="Greatest distance from the index variant.")] = 250,
    kind: Annotated[
        str, typer.Option("--r2-kind", metavar="haplotype|dosage", help="Which r2.")
    ] = "haplotype",
    keep: Keep = None,
    remove: Remove = None,
    extract: Extract = None,
    exclude: Exclude = None,
    palindromic: Palindromic = "keep",
    threads: Threads = None,
) -> None:
    """Find index variants and their clumps, as `plink --clump` does."""
    from prs import clump
    from prs.files import write_table

    lists = {"keep": keep, "remove": remove, "extract": extract, "exclude": exclude}
    harmonised, panel = _harmonise_to_panel(bfile, ld, sumstats, lists, palindromic)
    clumps = clump(
        harmonised,
        **panel,
        p1=p1,
        p2=p2,
        r2=r2,
        kb=kb,
        kind=kind,  # type: ignore[arg-type]
        n_threads=threads,
    )
    write_table(clumps.to_frame(), f"{out}.clumps.tsv")
    typer.echo(f"wrote {out}.clumps.tsv: {len(clumps.index_variant):,} index variants")


@app.command("ct", short_help="Clumping and thresholding over a grid.")
def ct_command(
    sumstats: OneSumstats,
    out: Out,
    bfile: BfileOrNot = None,
    ld: LdFile = None,
    p_thresholds: Annotated[
        str, typer.Option("--p-thresholds", help="Thresholds, separated by commas.")
    ] = "5e-8,1e-6,1e-4,1e-3,0.01,0.05,0.1,0.5,1",
    r2: Annotated[str, typer.Option(help="Clumping r2, separated by commas.")] = "0.1",
    kb: Annotated[str, typer.Option(help="Clumping distances, separated by commas.")] = "250",
    keep: Keep = None,
    remove: Remove = None,
    extract: Extract = None,
    exclude: Exclude = None,
    palindromic: Palindromic = "frequency",
    target: Annotated[
        list[str] | None,
        typer.Option(
            "--target",
            metavar="PREFIX",
            help="Fileset of people to score every cell; repeatable, as --bfile.",
        ),
    ] = None,
    cohort: Annotated[
        Path | None,
        typer.Option("--cohort", metavar="FILE", help="Table of these people: fit every cell."),
    ] = None,
    outcome: Annotated[str | None, typer.Option("--outcome", metavar="COLUMN")] = None,
    covariates: Annotated[str, typer.Option(metavar="COLUMNS", help="By commas.")] = "",
    split: Annotated[
        str, typer.Option(metavar="COLUMN", help="Column with tuning and test.")
    ] = "split",
    permutations: Annotated[
        int, typer.Option(min=0, help="Permutations for an empirical p of the best cell.")
    ] = 0,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the permutations.")] = 1,
    threads: Threads = None,
) -> None:
    """Clumping and thresholding: one column of weights for each cell of the grid.

    With --target, --cohort and --outcome all cells are also scored and fitted among the tuning
    people, and the tables that PRSice-2 users know are written: .prsice, .summary, .best and
    .all_score.
    """
    from prs import clump_and_threshold, write_weights

    lists = {"keep": keep, "remove": remove, "extract": extract, "exclude": exclude}
    harmonised, panel = _harmonise_to_panel(bfile, ld, sumstats, lists, palindromic)
    weights = clump_and_threshold(
        harmonised,
        **panel,
        p_thresholds=numbers(p_thresholds, "--p-thresholds"),
        r2=numbers(r2, "--r2"),
        kb=numbers(kb, "--kb"),
        n_threads=threads,
    )
    write_weights(weights, f"{out}.weights.tsv")
    typer.echo(
        f"wrote {out}.weights.tsv: {len(weights.variants):,} variants, "
        f"{len(weights.names):,} columns"
    )
    given = {"--target": target, "--cohort": cohort, "--outcome": outcome}
    if any(given.values()):
        require(given)
        _fit_cells(
            weights, out, target, cohort, outcome, covariates, split, permutations, seed, threads
        )


def _fit_cells(  # type: ignore[no-untyped-def]
    weights, out, target, cohort, outcome, covariates, split, permutations, seed, threads
):
    """Score all cells, fit them among the tuning people and write PRSice-2's tables."""
    from prs import read_cohort, score, write_scores
    from prs.weights.threshold_fit import fit_thresholds, write_threshold_fit

    scores = score(open_chosen(target), weights, n_threads=threads)
    write_scores(scores, f"{out}.scores.tsv")
    people = read_cohort(
        cohort,
        outcome=outcome,
        covariates=[name for name in covariates.split(",") if name.strip()],
        labels=(),
        split=split,
    )
    fit = fit_thresholds(scores, people, n_permutations=permutations, seed=seed)
    files = write_threshold_fit(fit, out)
    best = fit.summary.iloc[0]
    typer.echo(
        f"best of {len(fit.table)} cells among {best['N']:,} tuning people: {fit.best}, "
        f"R2 {best['PRS.R2']:.4g}, {best['Num_SNP']:,} variants. Judge it on test people."
    )
    typer.echo("wrote " + " ".join(str(file) for file in files))


def _harmonise_to_panel(bfile, ld, sumstats, lists, palindromic):  # type: ignore[no-untyped-def]
    """Read one file of summary statistics and match it to the variants that r2 is known of."""
    from prs import harmonise, open_ld, read_sumstats

    if (not bfile) == (ld is None):
        raise typer.BadParameter("give what r2 is computed from: either --bfile or --ld")
    ((population, path),) = pairs([sumstats], "--sumstats", "GWAS").items()
    panel: dict[str, Any]
    if ld is not None:
        given = [f"--{name}" for name, file in lists.items() if file is not None]
        if given:
            raise typer.BadParameter(f"{', '.join(given)} choose from --bfile, not from --ld")
        reference = open_ld(ld, population=None if population == "GWAS" else population)
        panel = {"ld": reference}
        variants, eaf = reference.variants, reference.eaf
    else:
        genotypes = open_chosen(bfile, **lists)
        panel = {"genotypes": genotypes}
        variants, eaf = genotypes.variants, genotypes.eaf()
    statistics = read_sumstats(path, population=population, need_n=False)
    harmonised = harmonise(
        statistics,
        variants,
        eaf=eaf,
        palindromic=palindromic,
        min_overlap=0.0,
        prefer="p",
        target_name=ld or genotypes.path,
    )
    typer.echo(str(harmonised.report))
    return harmonised, panel
