"""`prs harmonise` and `prs ld`: from files to one variant vocabulary and its LD."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from prs.cli.app import app
from prs.cli.options import (
    Bfile,
    Keep,
    NByPopulation,
    Out,
    Palindromic,
    SumstatsByPopulation,
    Threads,
    pairs,
    sizes,
)


@app.command("harmonise")
def harmonise_command(
    sumstats: SumstatsByPopulation,
    out: Out,
    bfile: Annotated[
        str | None,
        typer.Option("--bfile", metavar="PREFIX", help="Match to the variants of this fileset."),
    ] = None,
    ld: Annotated[
        list[str] | None,
        typer.Option(
            "--ld", metavar="POP=PATH", help="Match to the variants of this LD reference."
        ),
    ] = None,
    n: NByPopulation = None,
    column: Annotated[
        list[str] | None,
        typer.Option("--column", metavar="ROLE=NAME", help="Take this column for that role."),
    ] = None,
    palindromic: Palindromic = "frequency",
    min_overlap: Annotated[
        float, typer.Option(help="Least share of the smaller input that must match.")
    ] = 0.1,
) -> None:
    """Put summary statistics on a reference's alleles; account for every row lost."""
    from prs import harmonise, open_genotypes, open_ld, read_sumstats, write_harmonised
    from prs.files import write_table

    if (bfile is None) == (not ld):
        raise typer.BadParameter("give the variants to match to: either --bfile or --ld")
    files, given_n, panels = (
        pairs(sumstats, "--sumstats", "GWAS"),
        sizes(n, "GWAS"),
        pairs(ld, "--ld"),
    )
    columns = pairs(column, "--column") or None
    target = None if bfile is None else open_genotypes(bfile)
    for population, path in files.items():
        statistics = read_sumstats(
            path, population=population, n=given_n.get(population), columns=columns
        )
        typer.echo(statistics.source.describe())
        if target is not None:
            variants, eaf, name = target.variants, target.eaf(), str(bfile)
        else:
            if population not in panels:
                raise typer.BadParameter(f"--ld has nothing for population {population!r}")
            reference = open_ld(panels[population], population=population)
            variants, eaf, name = reference.variants, reference.eaf, panels[population]
        harmonised = harmonise(
            statistics,
            variants,
            eaf=eaf,
            palindromic=palindromic,  # type: ignore[arg-type]
            min_overlap=min_overlap,
            target_name=name,
        )
        write_harmonised(harmonised, f"{out}.{population}.harmonised.tsv.gz")
        write_table(harmonised.report.to_frame(), f"{out}.{population}.match.tsv")
        typer.echo(str(harmonised.report))
        for note in harmonised.report.notes:
            if note.startswith("WARNING"):
                typer.echo(note, err=True)
        typer.echo(f"wrote {out}.{population}.harmonised.tsv.gz and .match.tsv")


@app.command("ld")
def ld_command(
    bfile: Bfile,
    out: Out,
    population: Annotated[str, typer.Option(help="Name of the population.")] = "",
    keep: Keep = None,
    blocks: Annotated[
        Path | None,
        typer.Option(metavar="BED", help="LD blocks; default: split where least LD is lost."),
    ] = None,
    min_maf: Annotated[float, typer.Option(help="Leave out rarer variants.")] = 0.01,
    threads: Threads = None,
) -> None:
    """Compute a population's LD from genotypes, block by block, into one file."""
    from prs import compute_ld, open_genotypes, read_sample_list, write_ld

    reference = compute_ld(
        open_genotypes(bfile),
        samples=None if keep is None else read_sample_list(keep),
        blocks=blocks,
        population=population,
        min_maf=min_maf,
        n_threads=threads,
    )
    path = f"{out}.ld.h5"
    write_ld(reference, path, n_threads=threads)
    for note in reference.notes:
        typer.echo(note)
    typer.echo(
        f"wrote {path}: {len(reference.variants):,} variants in {reference.n_blocks:,} blocks, "
        f"{reference.n_samples:,} people"
    )
