"""`prs check`, `prs harmonise` and `prs ld`: from files to one variant vocabulary and its LD."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from prs.cli.app import app
from prs.cli.options import (
    Bfile,
    BfileOrNot,
    Cluster,
    Columns,
    Exclude,
    Extract,
    Keep,
    NByPopulation,
    Out,
    Palindromic,
    Remove,
    SumstatsByPopulation,
    Threads,
    Workers,
    connect,
    open_chosen,
    pairs,
    roles,
    sizes,
)


@app.command("check", short_help="Say what is wrong with the inputs, before hours are spent.")
def check_command(
    study: Annotated[
        Path | None, typer.Argument(metavar="[STUDY.toml]", help="A study file.")
    ] = None,
    sumstats: Annotated[
        list[str] | None,
        typer.Option("--sumstats", metavar="POP=FILE", help="Or: summary statistics; repeatable."),
    ] = None,
    ld: Annotated[
        list[str] | None, typer.Option("--ld", metavar="POP=PATH", help="Their LD references.")
    ] = None,
    bfile: BfileOrNot = None,
    keep: Keep = None,
    remove: Remove = None,
    extract: Extract = None,
    exclude: Exclude = None,
    n: NByPopulation = None,
    column: Columns = None,
    kind: Annotated[
        str, typer.Option(metavar="auto|binary|quantitative", help="What the trait is.")
    ] = "auto",
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write the findings here.")
    ] = None,
    threads: Threads = None,
) -> None:
    """Say what is wrong with statistics, panels and target, in a minute and without fitting."""
    from prs import check, check_study
    from prs.doctor.examine import Source
    from prs.files import write_atomically

    if (study is None) == (not sumstats):
        raise typer.BadParameter("give either a study file or --sumstats")
    if study is not None:
        report = check_study(study, n_threads=threads)
    else:
        panels, given = pairs(ld, "--ld"), sizes(n, "GWAS")
        files = pairs(sumstats, "--sumstats", "GWAS")
        unused = sorted(panels.keys() - files.keys())
        if unused:
            raise typer.BadParameter(f"--ld names {', '.join(unused)}, which --sumstats does not")
        columns = roles(column)
        sources = {
            pop: Source(file, given.get(pop), columns, panels.get(pop))
            for pop, file in files.items()
        }
        target: Any = bfile or None  # unless lists choose from it: unreadable ones are findings
        if bfile and any((keep, remove, extract, exclude)):
            target = open_chosen(bfile, keep, remove, extract, exclude)
        report = check(sources, target=target, kind=kind, n_threads=threads)
    typer.echo(str(report))
    if json_file is not None:
        with write_atomically(json_file) as temporary:
            temporary.write_text(report.to_json(), encoding="utf-8")
    if report.verdict == "fail":
        raise typer.Exit(1)


@app.command("harmonise", short_help="Put statistics on a reference's alleles; count every loss.")
def harmonise_command(
    sumstats: SumstatsByPopulation,
    out: Out,
    bfile: BfileOrNot = None,
    keep: Keep = None,
    remove: Remove = None,
    extract: Extract = None,
    ld: Annotated[
        list[str] | None,
        typer.Option(
            "--ld", metavar="POP=PATH", help="Match to the variants of this LD reference."
        ),
    ] = None,
    n: NByPopulation = None,
    column: Columns = None,
    palindromic: Palindromic = "frequency",
    min_overlap: Annotated[
        float, typer.Option(help="Least share of the smaller input that must match.")
    ] = 0.1,
    ledger: Annotated[
        bool, typer.Option("--ledger", help="Also write the fate of each row of the file.")
    ] = False,
    qc: Annotated[
        bool, typer.Option("--qc/--no-qc", help="Apply the quality rules (see prs.QcRules).")
    ] = True,
    min_maf: Annotated[float, typer.Option(help="Least minor-allele frequency; 0: off.")] = 0.01,
    min_info: Annotated[float, typer.Option(help="Least imputation INFO; 0: off.")] = 0.8,
    min_n_share: Annotated[
        float, typer.Option(help="Least n, as a share of its 90th percentile; 0: off.")
    ] = 0.667,
    max_eaf_difference: Annotated[
        float, typer.Option(help="Greatest difference from the panel's frequency; 1: off.")
    ] = 0.2,
    sd_rule: Annotated[
        bool, typer.Option("--sd/--no-sd", help="Implied against the panel's genotype SD.")
    ] = True,
    ld_rule: Annotated[
        bool, typer.Option("--ld-test/--no-ld-test", help="Each z against its neighbours'.")
    ] = True,
    exclude: Annotated[
        list[str] | None,
        typer.Option(metavar="mhc|long_range_ld", help="Leave out a region; repeatable."),
    ] = None,
) -> None:
    """Put summary statistics on a reference's alleles; account for every row lost."""
    from prs import (
        QcRules,
        harmonise,
        open_ld,
        read_sumstats,
        write_harmonised,
        write_ledger,
    )
    from prs import qc as apply_rules
    from prs.files import write_table

    rules = QcRules(
        min_maf=min_maf,
        min_info=min_info,
        min_n_share=min_n_share,
        max_eaf_difference=max_eaf_difference,
        sd=sd_rule,
        ld=ld_rule,
        exclude=tuple(exclude or ()),
    )

    if (not bfile) == (not ld):
        raise typer.BadParameter("give the variants to match to: either --bfile or --ld")
    files, given_n, panels = (
        pairs(sumstats, "--sumstats", "GWAS"),
        sizes(n, "GWAS"),
        pairs(ld, "--ld"),
    )
    columns = roles(column) or None
    target = None if not bfile else open_chosen(bfile, keep, remove, extract)
    for population, path in files.items():
        statistics = read_sumstats(
            path, population=population, n=given_n.get(population), columns=columns
        )
        typer.echo(statistics.source.describe())
        reference = None
        if target is not None:
            variants, eaf, name = target.variants, target.eaf(), target.path
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
        if qc:
            harmonised = apply_rules(harmonised, eaf=eaf, ld=reference, rules=rules)
        if ledger and harmonised.ledger is not None:
            write_ledger(harmonised.ledger, f"{out}.{population}.ledger.tsv.gz")
        write_harmonised(harmonised, f"{out}.{population}.harmonised.tsv.gz")
        write_table(harmonised.report.to_frame(), f"{out}.{population}.match.tsv")
        typer.echo(str(harmonised.report))
        for rule, count in harmonised.report.failed_qc.items():
            typer.echo(f"  left out by rule {rule}: {count:,}")
        for note in harmonised.report.notes:
            if note.startswith("WARNING"):
                typer.echo(note, err=True)
            elif note not in statistics.source.notes:
                typer.echo(f"  {note}")
        typer.echo(f"wrote {out}.{population}.harmonised.tsv.gz and .match.tsv")


@app.command("ld", short_help="Compute a population's LD from genotypes.")
def ld_command(
    context: typer.Context,
    bfile: Bfile,
    out: Out,
    population: Annotated[str, typer.Option(help="Name of the population.")] = "",
    keep: Keep = None,
    remove: Remove = None,
    extract: Extract = None,
    exclude: Exclude = None,
    blocks: Annotated[
        Path | None,
        typer.Option(metavar="BED", help="LD blocks; default: split where least LD is lost."),
    ] = None,
    min_maf: Annotated[float, typer.Option(help="Leave out rarer variants.")] = 0.01,
    precision: Annotated[
        str,
        typer.Option(
            metavar="float32|int16|int8", help="How correlations are stored: exact, or rounded."
        ),
    ] = "float32",
    threads: Threads = None,
    cluster: Cluster = None,
    workers: Workers = None,
) -> None:
    """Compute a population's LD from genotypes, block by block, into one file.

    A run that was killed goes on where it stopped when the same command is given again.
    """
    from prs import compute_ld, write_ld

    client = connect(context, cluster, workers)
    reference = compute_ld(
        open_chosen(bfile, keep, remove, extract, exclude),
        blocks=blocks,
        population=population,
        min_maf=min_maf,
        n_threads=threads,
        client=client,
    )
    path = f"{out}.ld.h5"
    write_ld(
        reference,
        path,
        precision=precision,  # type: ignore[arg-type]
        resume=True,
        n_threads=threads,
        client=client,
    )
    for note in reference.notes:
        typer.echo(note)
    typer.echo(
        f"wrote {path}: {len(reference.variants):,} variants in {reference.n_blocks:,} blocks, "
        f"{reference.n_samples:,} people"
    )
