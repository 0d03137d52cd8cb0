"""Clumping and thresholding: GWAS effects of index variants, one score a cell of the grid."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from prs.errors import SettingsError
from prs.inputs.genotypes import Genotypes
from prs.inputs.harmonise import HarmonisedSumStats
from prs.ld.reference import LDReference
from prs.weights.clumping import R2Kind, clump_grid
from prs.weights.table import Weights

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["DEFAULT_P_THRESHOLDS", "clump_and_threshold"]

logger = logging.getLogger(__name__)

DEFAULT_P_THRESHOLDS = (5e-8, 1e-6, 1e-4, 1e-3, 0.01, 0.05, 0.1, 0.5, 1.0)


def clump_and_threshold(
    sumstats: HarmonisedSumStats,
    genotypes: Genotypes | None = None,
    *,
    ld: LDReference | None = None,
    samples: ArrayLike | None = None,
    p_thresholds: Sequence[float] = DEFAULT_P_THRESHOLDS,
    r2: Sequence[float] = (0.1,),
    kb: Sequence[float] = (250,),
    kind: R2Kind = "haplotype",
    n_threads: int | None = None,
    client: Client | None = None,
) -> Weights:
    """Return one column of weights for each r2, distance and p threshold.

    A cell holds the GWAS effects per allele of the index variants (see
    `prs.weights.clumping.clump`) with p at most the threshold. The genotypes are read once.

    Parameters
    ----------
    sumstats : HarmonisedSumStats
        Harmonised to ``genotypes.variants`` (or ``ld.variants``).
    genotypes : Genotypes, optional
        The reference people.
    ld : LDReference, optional
        Where there are no genotypes: see `prs.weights.clumping.clump`.
    samples : index array or mask, optional
        People of `genotypes` to use; default: all founders.
    p_thresholds, r2, kb : sequence of float
        The grid.
    kind : {"haplotype", "dosage"}
        Which r2.
    n_threads : int, optional
        Default: all cores.
    client : distributed.Client, optional
        A cluster: see `prs.weights.clumping.clump`.

    Returns
    -------
    Weights
        Columns ``{population}_r2_{r2:g}_kb_{kb:g}_p_{p:g}``; variants are those in any cell,
        in the order of the genotypes. Cells without a variant are left out, and logged.

    Raises
    ------
    SettingsError
        If a threshold is out of range or no cell has a variant.
    """
    grid = {"p_thresholds": tuple(p_thresholds), "r2": tuple(r2), "kb": tuple(kb)}
    for name, values in grid.items():
        if not values or len(set(values)) < len(values):
            raise SettingsError(f"{name}={values}: one value or more are needed, each once")
    outside = [p for p in p_thresholds if not 0 < p <= 1]
    if outside:
        raise SettingsError(f"p_thresholds {outside} are not above 0 and at most 1")
    highest = max(p_thresholds)
    owners = clump_grid(
        sumstats,
        genotypes,
        ld=ld,
        samples=samples,
        p1=highest,
        limit=highest,
        r2=grid["r2"],
        kb=grid["kb"],
        kind=kind,
        n_threads=n_threads,
        client=client,
    )
    names, cells, empty = [], [], []
    for (one_r2, one_kb), owner in owners.items():
        is_index = owner == np.arange(len(owner))
        for p in grid["p_thresholds"]:
            name = f"{sumstats.population}_r2_{one_r2:g}_kb_{one_kb:g}_p_{p:g}"
            chosen = is_index & (sumstats.p <= p)
            if chosen.any():
                names.append(name)
                cells.append(chosen)
            else:
                empty.append(name)
    if empty:
        logger.warning("no variant passes, and there is no score, for %s", ", ".join(empty))
    if not cells:
        raise SettingsError(
            f"no variant of {sumstats.population} has p at most {highest:g}; the smallest is "
            f"{np.min(sumstats.p, initial=np.inf):g}",
            remedy="give larger p_thresholds",
        )
    used = np.flatnonzero(np.any(cells, axis=0))
    part = sumstats.take(used)
    frequency = part.eaf.copy()
    unknown = np.flatnonzero(~np.isfinite(frequency))
    if len(unknown):
        rows = part.reference_index[unknown]
        if genotypes is not None:
            frequency[unknown] = genotypes.subset(samples=samples, variants=rows).eaf()
        elif ld is not None:
            frequency[unknown] = ld.eaf[rows]
    beta = _effects(part, frequency)
    return Weights(
        part.variants,
        np.where(np.stack(cells, axis=1)[used], beta[:, None], 0.0),
        tuple(names),
        frequency,
        {
            "method": "clumping and thresholding",
            "population": sumstats.population,
            "r2_kind": kind if ld is None else "dosage, of an LD reference",
            "n_reference_people": str(
                genotypes.n_samples if genotypes is not None else ld and ld.n_samples
            ),
        },
    )


def _effects(sumstats: HarmonisedSumStats, eaf: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return effects per allele; from z, n and the frequency where the file has no beta."""
    beta = sumstats.beta.copy()
    rows = np.flatnonzero(~np.isfinite(beta))
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = 2 * eaf[rows] * (1 - eaf[rows])
        beta[rows] = sumstats.z[rows] / np.sqrt(
            variance * (sumstats.n_eff[rows] + sumstats.z[rows] ** 2)
        )
    return beta
