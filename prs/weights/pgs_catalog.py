"""PGS Catalog scoring files: formats 1 and 2 are read, raw or harmonised; 2.0 is written."""

from __future__ import annotations

import logging
import re

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prs.errors import ColumnError, FileFormatError, SettingsError
from prs.inputs.builds import tell_build
from prs.variants import chromosome_labels
from prs.weights.table import Weights
from prs.weights.text import (
    MISSING,
    TextTable,
    check_finite,
    make_table,
    read_frame,
    read_ids,
    read_metadata,
    read_positions,
    score_name,
)

__all__ = ["pgs_table", "read_pgs"]

logger = logging.getLogger(__name__)


def _is_true(column: pd.Series) -> NDArray[np.bool_]:
    return column.str.strip().str.upper().isin(["TRUE", "T", "1", "YES", "Y"]).to_numpy()


#: Columns that mark rows which a weight times an allele count does not describe.
_NOT_ADDITIVE = {
    "is_dominant": "dominant",
    "is_recessive": "recessive",
    "is_diplotype": "diplotypes",
    "is_haplotype": "haplotypes",
    "is_interaction": "interactions",
}
_BY_DOSAGE = re.compile(r"dosage_\d_weight")
#: Effect alleles that are no letters of DNA: HLA-DQB1*02:01, HLA-DQB1_30_Y, APOE_e2.
_NAMED_ALLELE = r"[*_]|^(?:HLA|APOE)"


def _refuse_not_additive(text: TextTable, header: list[str]) -> None:
    """Raise if rows are not additive, with the count of each kind by its name."""
    marked = [n for n in header if n in _NOT_ADDITIVE or _BY_DOSAGE.fullmatch(n)]
    frame = read_frame(text, header, [])
    kinds: dict[str, NDArray[np.bool_]] = {}
    for column in marked:
        by_dosage = column not in _NOT_ADDITIVE
        kind = "weighted by dosage" if by_dosage else _NOT_ADDITIVE[column]
        found = ~frame[column].isin(MISSING).to_numpy() if by_dosage else _is_true(frame[column])
        kinds[kind] = kinds.get(kind, np.zeros(len(frame), dtype=bool)) | found
    if "effect_allele" in frame:
        named = frame["effect_allele"].str.contains(_NAMED_ALLELE).to_numpy(dtype=bool)
        flagged = np.logical_or.reduce([np.zeros(len(frame), dtype=bool), *kinds.values()])
        kinds["of alleles with names"] = named & ~flagged
    counts = {kind: int(rows.sum()) for kind, rows in kinds.items() if rows.any()}
    if not counts:
        return
    rows = np.flatnonzero(np.logical_or.reduce(list(kinds.values())))
    (first, n), *others = counts.items()
    told = f"{n:,} of {len(frame):,} rows are {first}" + "".join(
        f", {n:,} are {kind}" for kind, n in others
    )
    shown = [n for n in ("rsID", "chr_name", "chr_position", "effect_allele") if n in frame]
    raise FileFormatError(
        f"{told}: a weight times an allele count does not describe them",
        path=text.path,
        line=int(text.first_line + rows[0]),
        rows=[
            f"line {text.first_line + i}: "
            + " ".join(frame[name].iloc[i] for name in shown if frame[name].iloc[i])
            for i in rows[:5]
        ],
        n_rows=len(rows),
        remedy="use a score with additive weights, or take these rows out knowingly",
    )


def read_pgs(text: TextTable) -> Weights:
    """Read a PGS Catalog scoring file, formats 1.0 and 2.0, harmonised or not.

    Of a harmonised file (``hm_`` columns) the harmonised positions and rsIDs are read, and
    ``genome_build`` is its ``HmPOS_build``.
    """
    header = text.header or []
    _refuse_not_additive(text, header)
    if "effect_weight" not in header:
        raise ColumnError(f"no column effect_weight among {', '.join(header)}", path=text.path)
    places = [n for n in ("chr_position", "hm_pos", "allelefrequency_effect") if n in header]
    frame = read_frame(text, header, ["effect_weight", *places])
    n = len(frame)
    check_finite(text, frame, ["effect_weight"])

    metadata = read_metadata(text)
    # format 1 has "PGS ID = ..." lines; the words differ, the meaning does not
    score = metadata.get("pgs_id") or metadata.get("PGS ID") or score_name(text.path)
    build = metadata.get("HmPOS_build")
    chrom = pos = None
    ids = np.full(n, "", dtype=object)
    for column in ("hm_rsID", "rsID"):
        if column in frame:
            named = read_ids(frame[column])
            ids = np.where(named == "", ids, named)
    if "hm_pos" in frame and "hm_chr" in frame:
        chrom, pos = frame["hm_chr"].to_numpy(dtype=object), read_positions(text, frame, "hm_pos")
        lost = int((pos == 0).sum())
        if lost:
            logger.warning("%s: %d variants have no harmonised position", text.path, lost)
    elif "chr_position" in frame and "chr_name" in frame:
        chrom = frame["chr_name"].to_numpy(dtype=object)
        pos = read_positions(text, frame, "chr_position")
        build = metadata.get("genome_build") or metadata.get("Original Genome Build")
    elif "rsID" not in frame:
        raise ColumnError("neither rsID nor chr_name and chr_position", path=text.path)
    if build:
        metadata["genome_build"] = build
    kind = metadata.get("weight_type", "")
    if kind.upper() in ("OR", "HR", "ODDS RATIO", "HAZARD RATIO"):
        logger.warning("%s says weight_type=%s: weights are taken as they are", text.path, kind)
    other = np.full(n, "", dtype=object)
    for column in ("hm_inferOtherAllele", "reference_allele", "other_allele"):
        if column in frame:
            named = read_ids(frame[column])
            # several inferred alleles (A/T) settle nothing
            several = np.array(["/" in name for name in named], bool)
            other = np.where((named == "") | several, other, named)
    eaf = None
    if "allelefrequency_effect" in frame:
        eaf = frame["allelefrequency_effect"].to_numpy(dtype=np.float64)
    return Weights(
        make_table(n, chrom, pos, ids, frame["effect_allele"].to_numpy(dtype=object), other),
        frame[["effect_weight"]].to_numpy(dtype=np.float64),
        (score,),
        eaf,
        metadata,
    )


#: Header keys of format 2.0 in its order, and what they were called in 1.0; None: a heading.
_HEADER: tuple[tuple[str, str | None], ...] = (
    ("##POLYGENIC SCORE (PGS) INFORMATION", None),
    ("pgs_id", "PGS ID"),
    ("pgs_name", "PGS Name"),
    ("trait_reported", "Reported Trait"),
    ("trait_mapped", "Mapped Trait"),
    ("trait_efo", "Mapped Trait ID"),
    ("weight_type", "Weight Type"),
    ("genome_build", "Original Genome Build"),
    ("variants_number", "Number of Variants"),
    ("##SOURCE INFORMATION", None),
    ("pgp_id", "PGP ID"),
    ("citation", "Citation"),
    ("license", "License"),
)


def pgs_table(weights: Weights) -> tuple[pd.DataFrame, list[str]]:
    """Return the rows and header lines of a PGS Catalog scoring file, format 2.0.

    What is known goes in (from `Weights.metadata`, under the Catalog's names; the genome build
    also from known positions); what is not is NR. The positions are those of ``genome_build``: of
    a harmonised file that was read these are the harmonised ones, and the ``hm_`` columns, which
    would say them again, are not written. A score without a Catalog id takes its own name in
    ``pgs_id``, as the Catalog's calculator allows.

    Parameters
    ----------
    weights : Weights
        One score.

    Returns
    -------
    frame : DataFrame
        rsID, chr_name, chr_position, effect_allele, other_allele, effect_weight and, where
        known, allelefrequency_effect.
    header : list of str
        Lines without their leading ``#``.

    Raises
    ------
    SettingsError
        If there are several scores, or variants with neither an id nor a position.
    """
    if weights.n_scores != 1:
        raise SettingsError(
            f"a PGS Catalog file holds one score and these weights have {weights.n_scores}",
            remedy="write one file a score: weights.select(name)",
        )
    variants = weights.variants
    placed = (variants.chrom > 0) & (variants.pos > 0)
    named = (variants.id != "") & (variants.id != ".")
    lost = np.flatnonzero(~placed & ~named)
    if len(lost):
        raise SettingsError(
            f"{len(lost):,} variants have neither an rsID nor a position",
            rows=variants.describe(lost[:5]),
            n_rows=len(lost),
        )
    columns: dict[str, object] = {
        "rsID": np.where(named, variants.id, ""),
        "chr_name": np.where(placed, chromosome_labels(variants.chrom), ""),
        "chr_position": np.where(placed, variants.pos.astype(object), ""),
        "effect_allele": variants.effect_allele,
        "other_allele": variants.other_allele,
        "effect_weight": weights.weights[:, 0],
    }
    if (variants.other_allele == "").all():
        del columns["other_allele"]
    if weights.eaf is not None and np.isfinite(weights.eaf).all():
        columns["allelefrequency_effect"] = weights.eaf
    facts = dict(weights.metadata)
    facts["pgs_name"] = facts.get("pgs_name") or facts.get("PGS Name") or weights.names[0]
    facts["pgs_id"] = facts.get("pgs_id") or facts.get("PGS ID") or weights.names[0]
    if facts.get("genome_build", "NR") in ("", "NR") and "Original Genome Build" not in facts:
        facts["genome_build"] = tell_build(variants).partition(" ")[0]
    facts["variants_number"] = str(len(weights))
    header = [
        "##PGS CATALOG SCORING FILE - see https://www.pgscatalog.org/downloads/#dl_ftp_scoring",
        "format_version=2.0",
    ]
    for key, old in _HEADER:
        if old is None:
            header.append(key.removeprefix("#"))
            continue
        value = facts.get(key) or facts.get(old) or ""
        if value or key != "license":
            # the Catalog's reader parts a line at every "=": a value must not hold one
            header.append(f"{key}={' '.join(value.split()).replace('=', ' ') or 'NR'}")
    return pd.DataFrame(columns), header
