"""PRScsx.py's options and files, around our fit: a user swaps the program and nothing else."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from prs.errors import FileFormatError, OverlapError, SettingsError
from prs.files import existing_file
from prs.inputs.plink1 import read_bim
from prs.inputs.sumstats import read_sumstats
from prs.ld.store import open_ld
from prs.matching import match_variants
from prs.variants import chromosome_labels
from prs.weights.csx import fit_csx
from prs.weights.csx_files import write_reference_files
from prs.weights.csx_ld import LdDtype
from prs.weights.csx_posterior import DEFAULT_TOLERANCE, CsxPosterior
from prs.weights.csx_run import CHECKPOINT_EVERY

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["ReferenceRun", "run_like_reference"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReferenceRun:
    """What `run_like_reference` made.

    Attributes
    ----------
    files : tuple of Path
        The files written.
    posterior : CsxPosterior
    """

    files: tuple[Path, ...]
    posterior: CsxPosterior


def run_like_reference(
    ref_dir: str | Path,
    bim_prefix: str | Path,
    sst_files: Sequence[str | Path],
    n_gwas: Sequence[float],
    populations: Sequence[str],
    *,
    out_dir: str | Path,
    out_name: str,
    a: float = 1.0,
    b: float = 0.5,
    phi: Literal["auto"] | float | Sequence[float] | None = None,
    n_iter: int | None = None,
    n_burnin: int | None = None,
    thin: int = 5,
    chromosomes: Sequence[int] | None = None,
    meta: bool = False,
    write_pst: bool = False,
    label: bool = True,
    seed: int | None = None,
    n_chains: int = 2,
    n_threads: int | None = None,
    target: Literal["posterior", "reference"] = "reference",
    psi_max: float | None = 1.0,
    phi_per_chromosome: bool | None = None,
    until: Literal["converged"] | None = None,
    tolerance: float = DEFAULT_TOLERANCE,
    max_iter: int | None = None,
    ld_dtype: LdDtype = "float32",
    checkpoint: str | Path | None = None,
    checkpoint_every: float = CHECKPOINT_EVERY,
    client: Client | None = None,
) -> ReferenceRun:
    """Do what ``PRScsx.py`` does with the same options, and write what it writes.

    Variants are those of the panel that the target's .bim has (by id and alleles) and, for each
    population, the summary statistics. Effects are written for A1 of the .bim.

    Parameters
    ----------
    ref_dir : str or Path
        Panel folder: ``snpinfo_mult_*`` and ``ldblk_*_*`` (or PRS-CS's, for one population).
    bim_prefix : str or Path
        The target's .bim without its ending.
    sst_files, n_gwas, populations : sequence
        Summary statistics, sample sizes and names ("EUR"), in one order.
    out_dir, out_name : str or Path, str
    a, b, phi, n_iter, n_burnin, thin, seed, n_chains, n_threads, target, psi_max, until, \
tolerance, max_iter, ld_dtype, checkpoint, checkpoint_every, client
        See `prs.weights.csx.fit_csx`; ``phi=None`` is "auto", ``seed=None`` is 1. Either of
        `n_iter` and `n_burnin` may be given alone (PRScsx.py then ignores it).
    chromosomes : sequence of int, optional
        Default: the autosomes that the .bim and the panel have.
    meta, write_pst : bool
        Also write META; and in it the draws in place of the mean.
    label : bool
        Whether the files' names hold the population, as PRScsx.py's; PRScs.py's do not.
    phi_per_chromosome : bool, optional
        Whether each chromosome has a phi of its own, as in PRScsx.py; default: only with
        ``target="reference"``.

    Returns
    -------
    ReferenceRun

    Raises
    ------
    SettingsError
        If the lists differ in length or a name repeats.
    FileFormatError, LDReferenceError, ColumnError, InvalidValueError, OverlapError
        If an input cannot be read or too little of it matches.
    """
    if not len(sst_files) == len(n_gwas) == len(populations) or not len(populations):
        raise SettingsError(
            f"{len(sst_files)} summary statistics files, {len(n_gwas)} sample sizes and "
            f"{len(populations)} populations: there must be as many of each"
        )
    if not label and len(populations) > 1:
        raise SettingsError("the files of several populations need their names in theirs")
    if len(set(populations)) < len(populations):
        raise SettingsError(f"a population is named twice: {', '.join(populations)}")
    if write_pst and not meta:
        raise SettingsError(
            "write_pst writes the draws of META, which are not asked for",
            remedy="add meta=True (--meta=TRUE)",
        )
    path = Path(f"{bim_prefix}.bim")
    if not path.exists() and str(bim_prefix).endswith(".bim"):
        path = Path(bim_prefix)
    bim, _ = read_bim(existing_file(path, ".bim file"))
    autosomes: NDArray[np.int64] = np.unique(
        bim.chrom[(bim.chrom >= 1) & (bim.chrom <= 22)]
    ).astype(np.int64)
    if chromosomes is not None:
        wanted = np.unique(np.asarray(chromosomes, dtype=np.int64))
        lacking = wanted[~np.isin(wanted, autosomes)]
        if len(lacking):
            raise OverlapError(
                f"no variants on chromosome {', '.join(map(str, lacking))}", path=path
            )
        autosomes = wanted
    if not len(autosomes):
        raise FileFormatError("holds no variants on chromosomes 1 to 22", path=path)

    references = {}
    for name in populations:
        only = None if chromosomes is None else [int(c) for c in autosomes]
        reference = open_ld(ref_dir, population=name, chromosomes=only)
        match = match_variants(
            reference.variants,
            bim,
            palindromic="keep",
            by="id",
            what=f"LD panel of {name}",
            target_name=str(path),
        )
        keep = np.zeros(len(reference.variants), dtype=bool)
        keep[match.query_index] = np.isin(reference.variants.chrom[match.query_index], autosomes)
        references[name] = reference.subset(keep)
    statistics = {
        name: read_sumstats(file, population=name, n=float(n))
        for name, file, n in zip(populations, sst_files, n_gwas, strict=True)
    }
    posterior = fit_csx(
        statistics,
        references,
        phi="auto" if phi is None else phi,
        a=a,
        b=b,
        n_iter=n_iter,
        n_burnin=n_burnin,
        thin=thin,
        n_chains=n_chains,
        seed=1 if seed is None else seed,
        n_threads=n_threads,
        target=target,
        psi_max=psi_max,
        phi_per_chromosome=target == "reference"
        if phi_per_chromosome is None
        else phi_per_chromosome,
        keep_draws=write_pst,
        until=until,
        tolerance=tolerance,
        max_iter=max_iter,
        ld_dtype=ld_dtype,
        checkpoint=checkpoint,
        checkpoint_every=checkpoint_every,
        client=client,
        palindromic="keep",  # alleles are taken as written; these files have no frequencies
    )
    for report in posterior.match_reports:
        logger.info("%s", report)
    match = match_variants(
        posterior.variants,
        bim,
        palindromic="keep",
        by="id",
        what="fitted variants",
        target_name=str(path),
    )
    order = np.argsort(match.query_index, kind="stable")
    files = write_reference_files(
        posterior,
        out_dir,
        out_name,
        alleles=bim.take(match.target_index[order]),
        sign=match.sign[order],
        meta=meta,
        write_pst=write_pst,
        label=label,
    )
    done = ", ".join(str(c) for c in chromosome_labels(np.unique(posterior.variants.chrom)))
    logger.info("chromosomes %s: %d files in %s", done, len(files), out_dir)
    return ReferenceRun(tuple(files), posterior)
