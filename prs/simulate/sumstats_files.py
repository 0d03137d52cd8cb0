"""Summary statistics as files, with the dirt that real ones have."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prs.files import write_atomically
from prs.simulate.association import Association
from prs.variants import VariantTable

__all__ = ["Dialect", "write_sumstats"]

Dialect = Literal["prscs_or_p", "prscs_beta_se", "gwas_ssf"]

_COMPLEMENT = {"A": "T", "C": "G", "G": "C", "T": "A"}
_MIN_MAF = 0.005
_SHARE_SWAPPED, _SHARE_FLIPPED, _SHARE_LOWER = 0.30, 0.05, 0.01
_SHARE_DUPLICATE, _SHARE_MISSING, _SHARE_UNKNOWN = 0.002, 0.001, 0.005


def _to_frame(variants: VariantTable, association: Association) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "chromosome": variants.chrom.astype(int),
            "position": variants.pos,
            "id": variants.id,
            "effect_allele": variants.effect_allele,
            "other_allele": variants.other_allele,
            "beta": association.beta,
            "se": association.se,
            "p": association.p,
            "eaf": association.eaf,
        }
    )


def _swap(frame: pd.DataFrame, rows: NDArray[np.bool_]) -> None:
    effect, other = frame["effect_allele"].copy(), frame["other_allele"].copy()
    frame.loc[rows, "effect_allele"] = other[rows]
    frame.loc[rows, "other_allele"] = effect[rows]
    frame.loc[rows, "beta"] *= -1
    frame.loc[rows, "eaf"] = 1 - frame.loc[rows, "eaf"]


def _add_dirt(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Return the rows with other alleles, strands and cases, duplicates, gaps and strangers.

    Swapped and flipped rows mean the same; a duplicate repeats a variant with a worse
    estimate; missing values are in beta, se or p; strangers are variants of no panel.
    """
    n = len(frame)
    _swap(frame, rng.random(n) < _SHARE_SWAPPED)
    flipped = rng.random(n) < _SHARE_FLIPPED
    lower = rng.random(n) < _SHARE_LOWER
    for column in ("effect_allele", "other_allele"):
        frame.loc[flipped, column] = frame.loc[flipped, column].map(_COMPLEMENT)
        frame.loc[lower, column] = frame.loc[lower, column].str.lower()

    again = frame.iloc[rng.choice(n, round(_SHARE_DUPLICATE * n), replace=False)].copy()
    again["se"] *= 1.5
    again["p"] = np.minimum(again["p"] * 10 + 0.01, 1.0)
    strangers = frame.iloc[rng.choice(n, round(_SHARE_UNKNOWN * n), replace=False)].copy()
    strangers["position"] += 1 + rng.integers(0, 50, len(strangers))
    strangers["id"] = [f"rs{8_000_000_000 + k}" for k in rng.integers(0, 10**9, len(strangers))]
    dirty = pd.concat([frame, again, strangers], ignore_index=True)
    order = np.lexsort((dirty["position"], dirty["chromosome"]))  # stable
    dirty = dirty.iloc[order].reset_index(drop=True)
    gaps = rng.choice(len(dirty), round(_SHARE_MISSING * n), replace=False)
    for row, column in zip(gaps, rng.choice(["beta", "se", "p"], len(gaps)), strict=True):
        dirty.loc[row, column] = np.nan
    return dirty


def _format(values: pd.Series, pattern: str) -> list[str]:
    return ["NA" if np.isnan(v) else pattern % v for v in values]


def write_sumstats(
    path: str | Path,
    variants: VariantTable,
    association: Association,
    *,
    dialect: Dialect,
    dirt: bool,
    rng: np.random.Generator,
) -> Path:
    """Write a summary statistics file.

    Parameters
    ----------
    path : str or Path
        Compressed if it ends in ``.gz``; the same statistics give the same bytes.
    variants : VariantTable
        The variants; `association` is for their effect allele.
    association : Association
        The statistics. Variants with a minor allele frequency below 0.5 % are left out, as most
        published files do.
    dialect : {"prscs_or_p", "prscs_beta_se", "gwas_ssf"}
        ``SNP A1 A2 OR P`` (``BETA P`` where the outcome is quantitative), ``SNP A1 A2 BETA SE``,
        or the GWAS Catalog's GWAS-SSF columns.
    dirt : bool
        Whether to add what real files have: 30 % of the rows with the other allele as effect
        allele, 5 % from the other strand, 1 % in lower case, a few duplicates, missing values
        and variants of no panel.
    rng : numpy.random.Generator
        For the dirt.
    """
    frame = _to_frame(variants, association)
    common = np.minimum(frame["eaf"], 1 - frame["eaf"]) >= _MIN_MAF
    frame = frame[frame["beta"].notna() & common].reset_index(drop=True)
    if dirt:
        frame = _add_dirt(frame, rng)
    beta, se = _format(frame["beta"], "%.6f"), _format(frame["se"], "%.6f")
    p = _format(frame["p"], "%.4g")
    if dialect == "gwas_ssf":
        table = pd.DataFrame(
            {
                "chromosome": frame["chromosome"],
                "base_pair_location": frame["position"],
                "effect_allele": frame["effect_allele"],
                "other_allele": frame["other_allele"],
                "beta": beta,
                "standard_error": se,
                "effect_allele_frequency": _format(frame["eaf"], "%.4f"),
                "p_value": p,
                "rsid": frame["id"],
                "n": association.n,
            }
        )
    else:
        table = pd.DataFrame(
            {"SNP": frame["id"], "A1": frame["effect_allele"], "A2": frame["other_allele"]}
        )
        if dialect == "prscs_beta_se":
            table["BETA"], table["SE"] = beta, se
        elif association.n_cases is not None:
            table["OR"], table["P"] = _format(np.exp(frame["beta"]), "%.5f"), p
        else:
            table["BETA"], table["P"] = beta, p
    data = table.to_csv(sep="\t", index=False, lineterminator="\n").encode()
    if str(path).endswith(".gz"):
        data = gzip.compress(data, compresslevel=9, mtime=0)
    with write_atomically(path) as temporary:
        temporary.write_bytes(data)
    return Path(path)
