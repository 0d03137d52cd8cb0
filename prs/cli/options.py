"""Options that several commands share, each defined once, and how their values are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from distributed import Client

    from prs.inputs.genotypes import Genotypes

__all__ = [
    "Bfile",
    "BfileOrNot",
    "Cluster",
    "CohortFile",
    "Columns",
    "Covariates",
    "Entry",
    "Exclude",
    "Extract",
    "Keep",
    "LdByPopulation",
    "NByPopulation",
    "Out",
    "Outcome",
    "Palindromic",
    "Remove",
    "ScoresFile",
    "Seed",
    "Split",
    "SumstatsByPopulation",
    "Threads",
    "Time",
    "Workers",
    "connect",
    "names_of",
    "numbers",
    "open_chosen",
    "pairs",
    "require",
    "roles",
    "sizes",
]

_BFILE = typer.Option(
    "--bfile",
    metavar="PREFIX",
    help="PLINK fileset (.bed or .pgen); chr{chrom} in it: one fileset a chromosome; a .txt "
    "file: a list of them. Repeatable.",
)
Bfile = Annotated[list[str], _BFILE]
BfileOrNot = Annotated[list[str] | None, _BFILE]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        "--columns",
        metavar="ROLE=NAME",
        help="Take the column NAME for this role (effect_allele=ALT); ROLE= for none. Repeatable.",
    ),
]
Keep = Annotated[
    Path | None,
    typer.Option("--keep", metavar="FILE", help="Ids (FID IID, or IID) of the people to use."),
]
Remove = Annotated[
    Path | None,
    typer.Option("--remove", metavar="FILE", help="Ids of the people not to use."),
]
Extract = Annotated[
    Path | None,
    typer.Option("--extract", metavar="FILE", help="Ids of the variants to use, one a line."),
]
Exclude = Annotated[
    Path | None,
    typer.Option("--exclude", metavar="FILE", help="Ids of the variants not to use, one a line."),
]
SumstatsByPopulation = Annotated[
    list[str],
    typer.Option(
        "--sumstats", metavar="POP=FILE", help="Summary statistics of a population; repeatable."
    ),
]
NByPopulation = Annotated[
    list[str] | None,
    typer.Option("--n", metavar="POP=N", help="Effective sample size of a GWAS; repeatable."),
]
LdByPopulation = Annotated[
    list[str],
    typer.Option(
        "--ld", metavar="POP=PATH", help="LD reference (prs ld) or PRS-CS(x) panel; repeatable."
    ),
]
CohortFile = Annotated[
    Path, typer.Option("--cohort", metavar="FILE", help="Table of people (IID, outcome, ...).")
]
Outcome = Annotated[str, typer.Option("--outcome", metavar="COLUMN", help="Column of the outcome.")]
Covariates = Annotated[
    str, typer.Option(metavar="COLUMNS", help="Covariates, separated by commas.")
]
Split = Annotated[
    str | None,
    typer.Option("--split", metavar="COLUMN", help="Column with tuning and test."),
]
Time = Annotated[
    str | None,
    typer.Option(
        "--time",
        metavar="COLUMN",
        help="Follow-up time: the outcome is then event (case) or censored.",
    ),
]
Entry = Annotated[
    str | None,
    typer.Option(
        "--entry",
        metavar="COLUMN",
        help="With --time: late entry, on the same scale (age at entry and age at the event).",
    ),
]
ScoresFile = Annotated[Path, typer.Option("--scores", metavar="FILE", help="Scores (prs score).")]
Out = Annotated[str, typer.Option("--out", metavar="PREFIX", help="Prefix of the output files.")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of everything random.")]
Threads = Annotated[
    int | None,
    typer.Option("--threads", min=1, help="Worker threads (default: all); results are the same."),
]
Cluster = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="local|slurm|ADDRESS",
        help="Work on a Dask cluster: processes here, SLURM jobs, or one that runs already.",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option("--workers", min=1, help="Processes (local) or jobs (slurm) of the cluster."),
]
Palindromic = Annotated[
    str,
    typer.Option(
        "--palindromic",
        metavar="frequency|keep|drop",
        help="A/T and C/G variants: settle by allele frequency, keep as written, or drop.",
    ),
]


def open_chosen(
    bfile: Sequence[str],
    keep: Path | None = None,
    remove: Path | None = None,
    extract: Path | None = None,
    exclude: Path | None = None,
) -> Genotypes:
    """Open the filesets that --bfile names, with the people and variants that the lists leave."""
    from prs import open_genotypes

    return open_genotypes(
        bfile[0] if len(bfile) == 1 else bfile,
        samples_file=keep,
        exclude_samples_file=remove,
        variants_file=extract,
        exclude_variants_file=exclude,
    )


def connect(context: typer.Context, cluster: str | None, workers: int | None) -> Client | None:
    """Return a client of what ``--cluster`` says, closed when the command ends; None without it."""
    import signal

    from prs.cluster import open_client

    if cluster is not None:  # SLURM ends a job so, and gives it the time to cancel those it began
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    client: Client | None = context.with_resource(open_client(cluster, workers=workers))
    return client


def pairs(values: Sequence[str] | None, option: str, default: str | None = None) -> dict[str, str]:
    """Return ``POP=VALUE`` options as a dict.

    Parameters
    ----------
    values : sequence of str or None
        As typed.
    option : str
        Name of the option, for messages.
    default : str, optional
        The population of a value that is typed without one.

    Raises
    ------
    typer.BadParameter
        If a value has no population and there is no default, or a population comes twice.
    """
    found: dict[str, str] = {}
    for value in values or ():
        population, equals, rest = value.partition("=")
        if not equals:
            if default is None:
                raise typer.BadParameter(f"{option} {value!r}: write it as POP=VALUE")
            population, rest = default, value
        if population in found:
            raise typer.BadParameter(f"{option}: population {population!r} is given twice")
        # shells leave the ~ of AFR=~/gwas.txt as it is
        found[population] = str(Path(rest).expanduser()) if rest.startswith("~/") else rest
    return found


def roles(values: Sequence[str] | None) -> dict[str, str]:
    """Return ``--column ROLE=NAME`` options as a dict.

    Raises
    ------
    typer.BadParameter
        If there is no =, or a role comes twice.
    """
    found: dict[str, str] = {}
    for value in values or ():
        role, equals, name = value.partition("=")
        if not equals:
            raise typer.BadParameter(
                f"--column {value!r}: write it as ROLE=NAME, such as effect_allele=ALT (ROLE= for "
                "no such column)"
            )
        if role in found:
            raise typer.BadParameter(f"--column: role {role!r} is given twice")
        found[role] = name
    return found


def sizes(values: Sequence[str] | None, default: str | None = None) -> dict[str, float]:
    """Return ``--n POP=N`` options as numbers."""
    return {pop: number(text, "--n") for pop, text in pairs(values, "--n", default).items()}


def number(text: str, option: str) -> float:
    """Return a number as typed (1e5 and 100,000 are both read)."""
    try:
        return float(text.replace(",", ""))
    except ValueError as error:
        raise typer.BadParameter(f"{option}: {text!r} is not a number") from error


def numbers(text: str, option: str) -> tuple[float, ...]:
    """Return a comma-separated list of numbers."""
    return tuple(number(part, option) for part in text.split(",") if part.strip())


def names_of(text: str) -> list[str]:
    """Return a comma-separated list of names."""
    return [part.strip() for part in text.split(",") if part.strip()]


def require(options: Mapping[str, object]) -> None:
    """Refuse a command that lacks any of some options (name -> value)."""
    lacking = [name for name, value in options.items() if not value]
    if lacking:
        raise typer.BadParameter(f"also needed: {', '.join(lacking)}")
