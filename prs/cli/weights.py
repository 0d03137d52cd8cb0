"""`prs clump`, `prs ct` and `prs csx`: from summary statistics to weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from prs.cli.app import app
from prs.cli.options import (
    BfileOrNot,
    Exclude,
    Extract,
    Keep,
    NByPopulation,
    Out,
    Palindromic,
    Remove,
    Threads,
    number,
    numbers,
    open_chosen,
    pairs,
    sizes,
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
        _require(given)
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


@app.command("csx", short_help="PRS-CS and PRS-CSx: Bayesian weights.")
def csx_command(
    sumstats: Annotated[
        list[str] | None,
        typer.Option("--sumstats", metavar="POP=FILE", help="Summary statistics; repeatable."),
    ] = None,
    n: NByPopulation = None,
    ld: Annotated[
        list[str] | None,
        typer.Option("--ld", metavar="POP=PATH", help="LD reference or panel; repeatable."),
    ] = None,
    bfile: Annotated[
        str | None,
        typer.Option("--bfile", metavar="PREFIX", help="Use only the variants of this fileset."),
    ] = None,
    out: Annotated[str | None, typer.Option("--out", metavar="PREFIX")] = None,
    phi: Annotated[
        str, typer.Option(help="auto, a number, or a grid such as 1e-6,1e-4,1e-2,1.")
    ] = "auto",
    a: Annotated[float, typer.Option(help="Shape of psi's prior.")] = 1.0,
    b: Annotated[float, typer.Option(help="Shape of delta's prior.")] = 0.5,
    n_iter: Annotated[int | None, typer.Option("--n-iter", "--n_iter", help="Iterations.")] = None,
    n_burnin: Annotated[
        int | None, typer.Option("--n-burnin", "--n_burnin", help="Iterations discarded.")
    ] = None,
    thin: Annotated[int, typer.Option(help="Keep every so many-th draw.")] = 5,
    chains: Annotated[int, typer.Option(help="Independent chains.")] = 4,
    psi_max: Annotated[
        str, typer.Option(help="Upper bound of psi's prior; none for no bound.")
    ] = "1",
    target: Annotated[
        str | None,
        typer.Option(
            metavar="posterior|reference",
            help="The defined posterior, or PRScsx.py's chain (default with its options).",
        ),
    ] = None,
    palindromic: Palindromic = "frequency",
    seed: Annotated[int | None, typer.Option("--seed", help="Seed (default 1).")] = None,
    threads: Threads = None,
    ref_dir: Annotated[
        Path | None, typer.Option("--ref_dir", help="As PRScsx.py: folder of the panel.")
    ] = None,
    bim_prefix: Annotated[
        str | None, typer.Option("--bim_prefix", help="As PRScsx.py: the target's .bim.")
    ] = None,
    sst_file: Annotated[
        str | None, typer.Option("--sst_file", help="As PRScsx.py: files, by commas.")
    ] = None,
    n_gwas: Annotated[
        str | None, typer.Option("--n_gwas", help="As PRScsx.py: sample sizes, by commas.")
    ] = None,
    pop: Annotated[
        str | None, typer.Option("--pop", help="As PRScsx.py: populations, by commas.")
    ] = None,
    out_dir: Annotated[
        Path | None, typer.Option("--out_dir", help="As PRScsx.py: folder of the output.")
    ] = None,
    out_name: Annotated[
        str | None, typer.Option("--out_name", help="As PRScsx.py: prefix of the output.")
    ] = None,
    chrom: Annotated[
        str | None, typer.Option("--chrom", help="As PRScsx.py: chromosomes, by commas.")
    ] = None,
    meta: Annotated[
        str, typer.Option("--meta", help="As PRScsx.py: TRUE also writes META weights.")
    ] = "FALSE",
    write_pst: Annotated[
        str, typer.Option("--write_pst", help="As PRScsx.py: TRUE also writes draws.")
    ] = "FALSE",
) -> None:
    """PRS-CS (one population) and PRS-CSx (several): Bayesian weights by continuous shrinkage.

    Either with this program's own options (--sumstats, --n, --ld, --out) or with those of
    PRScsx.py (--ref_dir, --bim_prefix, --sst_file, --n_gwas, --pop, --out_dir, --out_name),
    which writes files with that program's names and columns.
    """
    theirs: dict[str, Any] = {
        "--ref_dir": ref_dir,
        "--bim_prefix": bim_prefix,
        "--sst_file": sst_file,
        "--n_gwas": n_gwas,
        "--pop": pop,
        "--out_dir": out_dir,
        "--out_name": out_name,
    }
    ours = {"--sumstats": sumstats, "--ld": ld, "--out": out}
    settings: dict[str, Any] = {
        "phi": _phi(phi),
        "a": a,
        "b": b,
        "n_iter": n_iter,
        "n_burnin": n_burnin,
        "thin": thin,
        "n_chains": chains,
        "seed": 1 if seed is None else seed,
        "n_threads": threads,
        "target": target or ("reference" if ref_dir else "posterior"),
        "psi_max": None if psi_max.lower() == "none" else number(psi_max, "--psi-max"),
    }
    given = [name for name, value in theirs.items() if value is not None]
    if given:
        _refuse(ours, given)
        _require(theirs)
        from prs.weights.csx_dropin import run_like_reference

        files = run_like_reference(
            ref_dir=theirs["--ref_dir"],
            bim_prefix=theirs["--bim_prefix"],
            sst_files=str(sst_file).split(","),
            n_gwas=numbers(str(n_gwas), "--n_gwas"),
            populations=str(pop).split(","),
            out_dir=theirs["--out_dir"],
            out_name=theirs["--out_name"],
            chromosomes=None if chrom is None else [int(c) for c in numbers(chrom, "--chrom")],
            meta=meta.upper() == "TRUE",
            write_pst=write_pst.upper() == "TRUE",
            **settings,
        )
        typer.echo("wrote " + "\n      ".join(str(path) for path in files))
        return
    _require(ours)
    _fit_and_write(sumstats, n, ld, bfile, str(out), palindromic, settings)


def _phi(text: str) -> str | float | tuple[float, ...]:
    if text.lower() in ("auto", "none"):
        return "auto"
    values = numbers(text, "--phi")
    return values[0] if len(values) == 1 else values


def _refuse(ours: Mapping[str, object], given: list[str]) -> None:
    mixed = [name for name, value in ours.items() if value]
    if mixed:
        raise typer.BadParameter(
            f"{', '.join(given)} (as PRScsx.py) and {', '.join(mixed)} are two ways to say one "
            "thing: use either"
        )


def _require(options: Mapping[str, object]) -> None:
    lacking = [name for name, value in options.items() if not value]
    if lacking:
        raise typer.BadParameter(f"also needed: {', '.join(lacking)}")


def _fit_and_write(sumstats, n, ld, bfile, out, palindromic, settings):  # type: ignore[no-untyped-def]
    """Fit with this program's own options and write weights, diagnostics and traces."""
    from prs import fit_csx, match_variants, open_genotypes, open_ld, read_sumstats, write_weights
    from prs.files import write_table
    from prs.weights.csx_store import write_posterior

    files, panels, given_n = pairs(sumstats, "--sumstats"), pairs(ld, "--ld"), sizes(n)
    if set(files) != set(panels):
        raise typer.BadParameter(
            f"--sumstats has {', '.join(files)} and --ld has {', '.join(panels)}: the same "
            "populations are needed in both"
        )
    references = {name: open_ld(path, population=name) for name, path in panels.items()}
    if bfile is not None:
        variants = open_genotypes(bfile).variants
        for name, reference in references.items():
            match = match_variants(
                reference.variants,
                variants,
                palindromic="keep",
                what=f"LD of {name}",
                target_name=bfile,
            )
            references[name] = reference.subset(sorted(match.query_index))
    statistics = {
        name: read_sumstats(path, population=name, n=given_n.get(name))
        for name, path in files.items()
    }
    posterior = fit_csx(statistics, references, palindromic=palindromic, **settings)
    for report in posterior.match_reports:
        typer.echo(str(report))
    for warning in posterior.warnings:
        typer.echo(f"warning: {warning}", err=True)
    write_weights(posterior.weights(), f"{out}.weights.tsv")
    write_table(posterior.diagnostics_frame(), f"{out}.diagnostics.tsv")
    write_posterior(posterior, f"{out}.posterior.npz")
    typer.echo(f"wrote {out}.weights.tsv .diagnostics.tsv .posterior.npz")
