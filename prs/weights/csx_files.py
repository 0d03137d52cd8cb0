"""A posterior in the reference tool's files: names, columns and number format of PRScsx.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prs.errors import InvalidValueError, SettingsError
from prs.files import write_atomically
from prs.variants import VariantTable
from prs.weights.csx_posterior import CsxPosterior, format_phi

__all__ = ["reference_file_name", "write_reference_files"]


def reference_file_name(out_name: str, label: str, posterior: CsxPosterior, chromosome: int) -> str:
    """Return ``{out_name}_{label}_pst_eff_a1_b0.5_phi1e-02_chr22.txt`` for a fit of one phi.

    Without a label there is none in the name, as in PRScs.py's. a, b and phi have the
    reference's digits where these are exact, and as many as it takes where they are not: phi
    1.5e-2 and 2e-2 do not share a file.
    """
    s = posterior.settings
    a = f"{s.a:.0f}" if s.a == int(s.a) else f"{s.a:g}"
    b = f"{s.b:.1f}" if float(f"{s.b:.1f}") == s.b else f"{s.b:g}"
    phi = format_phi(s.phi[0])
    name = f"{out_name}_{label}" if label else out_name
    return f"{name}_pst_eff_a{a}_b{b}_phi{phi}_chr{chromosome}.txt"


def write_reference_files(
    posterior: CsxPosterior,
    out_dir: str | Path,
    out_name: str,
    *,
    alleles: VariantTable | None = None,
    sign: NDArray[np.int8] | None = None,
    meta: bool = False,
    write_pst: bool = False,
    label: bool = True,
) -> list[Path]:
    """Write one file for each population (and META), chromosome and phi.

    No header; columns CHR, rsID, BP, A1, A2 and the posterior effect of one copy of A1
    (``%.6e``), tab between them. With `write_pst` the META file holds every kept draw in place
    of the mean, as the reference tool's.

    Parameters
    ----------
    posterior : CsxPosterior
    out_dir, out_name : str or Path, str
        Folder (made if it is not there) and prefix of the names.
    alleles : VariantTable, optional
        The same variants with the A1 and A2 to be written; default: the posterior's.
    sign : ndarray of int8, shape (M,), optional
        -1 where A1 of `alleles` is the other allele of the posterior.
    meta, write_pst : bool
        As the reference's options.
    label : bool
        Whether names hold the population (PRScsx.py) or not (PRScs.py, of one population).

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    SettingsError
        If draws are asked for and were not kept, or would go nowhere (without `meta`).
    """
    if write_pst and not meta:
        raise SettingsError(
            "write_pst writes the draws of META, which are not asked for",
            remedy="add meta=True (--meta=TRUE)",
        )
    if write_pst and posterior.draws is None:
        raise SettingsError("the draws were not kept", remedy="fit with keep_draws=True")
    table = posterior.variants if alleles is None else alleles
    turn = np.ones(len(table)) if sign is None else sign.astype(np.float64)
    if len(table) != len(posterior.variants) or len(turn) != len(table):
        raise InvalidValueError(
            f"alleles of {len(table):,} variants for a posterior of {len(posterior.variants):,}"
        )
    written = []
    for part in posterior.split().values():
        for name, there, values in _columns(part, meta, write_pst):
            for chromosome in np.unique(posterior.variants.chrom):
                rows = np.flatnonzero(there & (posterior.variants.chrom == chromosome))
                if not len(rows):
                    continue
                path = Path(out_dir) / reference_file_name(
                    out_name, name if label else "", part, int(chromosome)
                )
                frame = pd.DataFrame(
                    {
                        "CHR": np.full(len(rows), int(chromosome)),
                        "SNP": table.id[rows],
                        "BP": posterior.variants.pos[rows],
                        "A1": table.effect_allele[rows],
                        "A2": table.other_allele[rows],
                    }
                )
                effects = pd.DataFrame(values[rows] * turn[rows, None])
                with write_atomically(path) as temporary:
                    pd.concat([frame, effects], axis=1).to_csv(
                        temporary, sep="\t", header=False, index=False, float_format="%.6e",
                        lineterminator="\n",
                    )  # fmt: skip
                written.append(path)
    return written


def _columns(
    posterior: CsxPosterior, meta: bool, write_pst: bool
) -> Iterator[tuple[str, NDArray[np.bool_], NDArray[np.float64]]]:
    """Yield label, which variants it has, and (M, columns) per-allele effects."""
    sd = np.sqrt(2.0 * posterior.eaf * (1.0 - posterior.eaf))
    there: NDArray[np.bool_] = np.isfinite(posterior.beta_mean)
    for k, name in enumerate(posterior.populations):
        yield name, there[k], (posterior.beta_mean[k] / sd[k])[:, None]
    if not meta:
        return
    precision = np.nan_to_num(sd**2 / np.maximum(posterior.beta_sd**2, 1e-300))
    share = precision / precision.sum(axis=0)
    if write_pst and posterior.draws is not None:
        values: NDArray[np.float64] = sum(
            np.nan_to_num(share[k] / sd[k]) * posterior.draws[name]
            for k, name in enumerate(posterior.populations)
        )
        values = values.T
    else:
        values = np.nansum(share * posterior.beta_mean / sd, axis=0)[:, None]
    anywhere: NDArray[np.bool_] = np.logical_or.reduce(there)
    yield "META", anywhere, values
