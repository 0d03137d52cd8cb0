"""`prs clump` and `prs ct`: index variants, and weights from thresholds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from prs.cli.app import app
from prs.cli.options import (
    BfileOrNot,
    Covariates,
    Entry,
    Exclude,
    Extract,
    Keep,
    Out,
    Palindromic,
    Remove,
    Split,
    Threads,
    Time,
    names_of,
    numbers,
    open_chosen,
    pairs,
    require,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
    from prs.weights.clumping import write_clumps

    lists = {"keep": keep, "remove": remove, "extract": extract, "exclude": exclude}
    harmonised, panel = _harmonise_to_panel(
        bfile, ld, sumstats, lists, palindromic, need_effect=False
    )
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
    write_clumps(clumps, f"{out}.clumps.tsv")
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
    outcome: Annotated[
        str | None,
        typer.Option("--outcome", metavar="COLUMN", help="Column of the outcome in --cohort."),
    ] = None,
    covariates: Covariates = "",
    split: Split = "split",
    time: Time = None,
    entry: Entry = None,
    cross_fit: Annotated[
        int,
        typer.Option(
            "--cross-fit",
            min=0,
            metavar="K",
            help="Without tuning and test people: choose in K - 1 folds, judge in the one left "
            "out, K times.",
        ),
    ] = 0,
    permutations: Annotated[
        int, typer.Option(min=0, help="Permutations for an empirical p of the best cell.")
    ] = 0,
    quantiles: Annotated[int, typer.Option(min=2, help="Quantiles of the quantile plot.")] = 10,
    seed: Annotated[int, typer.Option("--seed", help="Seed of permutations and folds.")] = 1,
    threads: Threads = None,
) -> None:
    """Clumping and thresholding: one column of weights for each cell of the grid.

    With --target, --cohort and --outcome all cells are also scored and fitted among the tuning
    people, and the tables that PRSice-2 users know are written: .prsice, .summary, .best and
    .all_score; .bars.png shows the cells, and .quantiles.tsv and .png compare quantiles of the
    best one in people who did not choose it. prs combine --method ridge stacks all cells.
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
        from prs import read_cohort, score, write_scores

        scores = score(open_chosen(target or ()), weights, n_threads=threads)
        write_scores(scores, f"{out}.scores.tsv")
        people = read_cohort(
            str(cohort),
            outcome=str(outcome),
            covariates=names_of(covariates),
            labels=(),
            split=None if cross_fit else split,
            time=time,
            entry=entry,
        )
        _fit_cells(scores, people, out, cross_fit, permutations, quantiles, seed)


def _fit_cells(scores, people, out, cross_fit, permutations, quantiles, seed):  # type: ignore[no-untyped-def]
    """Fit all cells among the people who choose; write PRSice-2's tables and its two figures."""
    import numpy as np

    from prs.cross_fitting import choose_cell, cross_fit_scores
    from prs.figures.quantiles import plot_quantiles
    from prs.files import write_table
    from prs.report.process_figures import plot_ct_grid
    from prs.weights.score_table import write_scores
    from prs.weights.threshold_fit import fit_thresholds, quantile_effects, write_threshold_fit

    choosing = people
    if cross_fit:
        choosing = replace(people, split=np.full(people.n, "tuning", dtype=object))
    fit = fit_thresholds(scores, choosing, n_permutations=permutations, seed=seed)
    files = write_threshold_fit(fit, out)
    best = fit.summary.iloc[0]
    typer.echo(
        f"best of {len(fit.table)} cells among {best['N']:,} "
        f"{'people' if cross_fit else 'tuning people'}: {fit.best}, "
        f"R2 {best['PRS.R2']:.4g}, {best['Num_SNP']:,} variants"
        + ("" if cross_fit else ". Judge it on test people.")
    )
    if cross_fit:
        made = cross_fit_scores(scores, people, choose_cell, n_folds=cross_fit, by=None, seed=seed)
        judged, values = made.cohort, made.scores.values[:, 0]
        who = f"{judged.n:,} people, each by a cell chosen without them"
        write_scores(made.scores, f"{out}.crossfit.scores.tsv")
        table = made.table.drop(columns="score").assign(chosen=list(made.records[:-1]))
        files += [
            write_table(table, f"{out}.crossfit.tsv"),
            write_table(made.summary, f"{out}.crossfit.summary.tsv"),
            Path(f"{out}.crossfit.scores.tsv"),
        ]
        row = made.summary.iloc[0]
        typer.echo(
            f"R2 in held-out folds {row['r2_held_out']:.4g}: choosing and judging in the same "
            f"people made it {row['optimism']:.2g} too large"
        )
    else:
        judged, at = people.test().known_to(scores.samples, "the scores", what="the test people")
        values = scores.select(fit.best).values[at, 0]
        who = f"{judged.n:,} test people"
    bars = fit.table.rename(columns={"R2": "value", "P": "p_value"})
    files.append(_write_figure(plot_ct_grid(bars, metric="R² in those who choose"), f"{out}.bars"))
    if judged.n >= 2 * quantiles:
        effects = quantile_effects(values, judged, n_quantiles=quantiles)
        drawn = plot_quantiles(
            effects,
            kind=people.outcome_kind,
            outcome=people.outcome_name,
            who=who,
        )
        files.append(write_table(effects, f"{out}.quantiles.tsv"))
        files.append(_write_figure(drawn, f"{out}.quantiles"))
    typer.echo("wrote " + " ".join(str(file) for file in files))


def _write_figure(figure: Figure, prefix: str) -> Path:
    from prs.figures.style import png_bytes
    from prs.files import write_atomically

    with write_atomically(f"{prefix}.png") as temporary:
        temporary.write_bytes(png_bytes(figure))
    return Path(f"{prefix}.png")


def _harmonise_to_panel(bfile, ld, sumstats, lists, palindromic, need_effect=True):  # type: ignore[no-untyped-def]
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
    # clumps need p alone, as in PLINK; weights need effects
    statistics = read_sumstats(path, population=population, need_n=False, need_effect=need_effect)
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
