"""`prs csx`: PRS-CS and PRS-CSx, with this program's options or with those of PRScsx.py."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from prs.cli.app import app
from prs.cli.options import (
    Cluster,
    NByPopulation,
    Palindromic,
    Threads,
    Workers,
    connect,
    number,
    numbers,
    pairs,
    require,
    sizes,
)

if TYPE_CHECKING:
    from prs.weights.csx_posterior import CsxPosterior


@app.command("csx", short_help="PRS-CS and PRS-CSx: Bayesian weights.")
def csx_command(
    context: typer.Context,
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
    out: Annotated[
        str | None, typer.Option("--out", metavar="PREFIX", help="Prefix of the output files.")
    ] = None,
    phi: Annotated[
        str, typer.Option(help="auto, a number, or a grid such as 1e-6,1e-4,1e-2,1.")
    ] = "auto",
    a: Annotated[float, typer.Option(help="Shape of psi's prior.")] = 1.0,
    b: Annotated[float, typer.Option(help="Shape of delta's prior.")] = 0.5,
    n_iter: Annotated[
        int | None,
        typer.Option("--n-iter", "--n_iter", help="Iterations (default 1,000 a population)."),
    ] = None,
    n_burnin: Annotated[
        int | None,
        typer.Option("--n-burnin", "--n_burnin", help="Discarded of them (default: half)."),
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
    phi_per_chromosome: Annotated[
        bool | None,
        typer.Option(
            "--phi-per-chromosome/--phi-of-genome",
            help="Whether each chromosome has its own phi (default: with PRScsx.py's chain).",
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(metavar="converged", help="Stop when predictions agree between chains."),
    ] = None,
    tolerance: Annotated[
        float, typer.Option(help="Error of predictions at which --until stops (variance share).")
    ] = 1e-3,
    max_iter: Annotated[
        int | None, typer.Option(help="Most iterations with --until (default 10,000 a population).")
    ] = None,
    ld_dtype: Annotated[
        str,
        typer.Option(metavar="float32|int16|int8", help="How LD is held: int16 halves memory."),
    ] = "float32",
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Save the run here as it goes; after a crash it goes on from it."
        ),
    ] = None,
    checkpoint_every: Annotated[
        float, typer.Option(metavar="SECONDS", help="How often it is saved.")
    ] = 300.0,
    draws: Annotated[
        bool, typer.Option("--draws", help="Keep every thin-th draw in OUT.posterior.npz.")
    ] = False,
    palindromic: Palindromic = "frequency",
    seed: Annotated[int | None, typer.Option("--seed", help="Seed (default 1).")] = None,
    threads: Threads = None,
    cluster: Cluster = None,
    workers: Workers = None,
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
    which writes files with that program's names and columns. Without --pop and --out_name it is
    PRScs.py, whose --out_dir is a prefix.
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
        "until": until,
        "tolerance": tolerance,
        "max_iter": max_iter,
        "ld_dtype": ld_dtype,
        "checkpoint": checkpoint,
        "checkpoint_every": checkpoint_every,
        "client": connect(context, cluster, workers),
    }
    given = [name for name, value in theirs.items() if value is not None]
    if given:
        _refuse(ours, given)
        is_prs_cs = pop is None and out_name is None and ref_dir is not None
        if is_prs_cs and out_dir is not None:  # PRScs.py: one population, a prefix for a folder
            theirs["--pop"] = pop = str(ref_dir).rstrip("/").rsplit("_", 1)[-1].upper()
            theirs["--out_dir"], theirs["--out_name"] = out_dir.parent, out_dir.name
        require(theirs)
        from prs.weights.csx_dropin import run_like_reference

        fitted = run_like_reference(
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
            label=not is_prs_cs,
            phi_per_chromosome=phi_per_chromosome,
            **settings,
        )
        _finish(fitted.posterior, [str(path) for path in fitted.files], checkpoint)
        if not fitted.posterior.is_single and meta.upper() != "TRUE":
            typer.echo("META was not asked for: add --meta=TRUE")
        return
    require(ours)
    settings |= {"phi_per_chromosome": bool(phi_per_chromosome), "keep_draws": draws}
    posterior = _fit(sumstats, n, ld, bfile, palindromic, settings)
    _write(posterior, str(out))
    _finish(posterior, [f"{out}.{end}" for end in _ENDINGS], checkpoint)


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


def _fit(sumstats, n, ld, bfile, palindromic, settings):  # type: ignore[no-untyped-def]
    """Fit with this program's own options."""
    from prs import fit_csx, match_variants, open_genotypes, open_ld, read_sumstats

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
    return posterior


_ENDINGS = ("weights.tsv", "diagnostics.tsv", "traces.tsv.gz", "posterior.npz")


def _write(posterior: CsxPosterior, out: str) -> None:
    """Write weights, diagnostics, traces and the posterior."""
    from prs import write_weights
    from prs.files import write_table
    from prs.weights.csx_store import write_posterior

    write_weights(posterior.weights(), f"{out}.weights.tsv")
    write_table(posterior.diagnostics_frame(), f"{out}.diagnostics.tsv")
    write_table(posterior.trace_frame(), f"{out}.traces.tsv.gz")
    write_posterior(posterior, f"{out}.posterior.npz")


def _finish(posterior: CsxPosterior, files: list[str], checkpoint: Path | None) -> None:
    """Remove the checkpoint, now that all is written, and say what the fit is."""
    from prs.weights.csx_checkpoint import remove_checkpoint

    if checkpoint is not None:
        remove_checkpoint(checkpoint)
    _say(posterior, files)


def _say(posterior: CsxPosterior, files: list[str]) -> None:
    """Say what a fit is worth, what was written, and which of it is the score to use."""
    for warning in posterior.warnings:
        typer.echo(f"warning: {warning}", err=True)
    typer.echo(posterior.summary())
    typer.echo("wrote " + "\n      ".join(files))
    typer.echo(f"final score: {posterior.final_score}")
