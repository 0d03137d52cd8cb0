"""Parsers of the weight files that the field uses; `prs.weights.table.read_weights` calls them."""

from __future__ import annotations

import gzip
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prs.errors import ColumnError, FileFormatError
from prs.files import read_bytes, write_atomically
from prs.variants import VariantTable
from prs.weights.pgs_catalog import read_pgs
from prs.weights.table import VARIANT_COLUMNS, Weights
from prs.weights.text import (
    TextTable,
    check_finite,
    make_table,
    read_frame,
    read_ids,
    read_metadata,
    read_positions,
    score_name,
    split_table,
)

__all__ = ["parse_weights", "parse_weights_by_chromosome", "write_text"]

_ROLES = {
    "id": ("ID", "SNP", "VAR", "VARIANT", "RSID", "VARIANT_ID", "MARKERNAME", "MARKER"),
    "effect_allele": ("A1", "EFFECT_ALLELE", "EA", "ALLELE", "ALLELE1"),
    "other_allele": ("A2", "OTHER_ALLELE", "AX", "NEA", "OA", "ALLELE0", "ALLELE2"),
    "chrom": ("CHR", "CHROM", "CHROMOSOME"),
    "pos": ("BP", "POS", "POSITION", "BASE_PAIR_LOCATION"),
    "eaf": ("EAF", "A1FREQ", "A1_FREQ", "EFFECT_ALLELE_FREQUENCY"),
}
_NOT_WEIGHTS = ("P", "SE", "N", "Z", "STAT", "OR", "CM", "N_EFF", "REF", "ALT")
_PST_EFF = re.compile(r"_([^_]+)_pst_eff_a")


def parse_weights_by_chromosome(template: str, columns: Sequence[str] | None) -> Weights:
    """Read the files that a ``{chrom}`` template stands for, one after the other."""
    labels = [*map(str, range(1, 23)), "X"]
    paths = [Path(template.replace("{chrom}", label)) for label in labels]
    found = [path for path in paths if path.exists()]
    if not found:
        raise FileFormatError("no file of this name for any chromosome", path=template)
    parts = [parse_weights(path, columns) for path in found]
    names = parts[0].names
    if all(part.n_scores == 1 for part in parts) and len({part.names for part in parts}) > 1:
        names = (score_name(Path(template.replace("{chrom}", ""))),)
        parts = [part.rename(names) for part in parts]
    for part, path in zip(parts, found, strict=True):
        if part.names != names:
            raise ColumnError(
                f"weights {', '.join(part.names)}, where {found[0].name} has {', '.join(names)}",
                path=path,
            )
    eaf = None
    if all(part.eaf is not None for part in parts):
        eaf = np.concatenate([part.eaf for part in parts if part.eaf is not None])
    return Weights(
        VariantTable.concatenate(part.variants for part in parts),
        np.concatenate([part.weights for part in parts]),
        names,
        eaf,
        parts[0].metadata,
    )


def parse_weights(path: Path, columns: Sequence[str] | None) -> Weights:
    """Recognise the format of one file and read it."""
    text = split_table(path, read_bytes(path, "weights file"))
    header = text.header or []
    marks = {"chr_name", "effect_weight", "dosage_0_weight"}
    if text.header is None:
        weights = _read_headerless(text)
    elif set(VARIANT_COLUMNS) <= set(header):
        return _read_prs(text, columns)
    elif "effect_allele" in header and marks & set(header):
        weights = read_pgs(text)
    else:
        return _read_named(text, columns)
    return weights if columns is None else weights.select(columns)


def _choose(
    text: TextTable, available: Sequence[str], columns: Sequence[str] | None
) -> tuple[str, ...]:
    """Return the weight columns to read."""
    if columns is None:
        if not available:
            raise ColumnError(
                f"no column of weights among {', '.join(text.header or [])}",
                path=text.path,
                remedy="give the name of the weight column (columns=[...])",
            )
        return tuple(available)
    header = text.header or []
    unknown = [name for name in columns if name not in header]
    if unknown:
        raise ColumnError(
            f"no column {', '.join(map(repr, unknown))}; there are {', '.join(header)}",
            path=text.path,
        )
    return tuple(columns)


def _read_prs(text: TextTable, columns: Sequence[str] | None) -> Weights:
    header = text.header or []
    known = {*VARIANT_COLUMNS, "eaf"}
    names = _choose(text, [name for name in header if name not in known], columns)
    has_eaf = "eaf" in header and "eaf" not in names
    numbers = ["pos", *names, *(["eaf"] if has_eaf else [])]
    frame = read_frame(text, header, numbers, ["chrom", "effect_allele", "other_allele"])
    check_finite(text, frame, names)
    metadata = read_metadata(text)
    metadata.pop("format", None)
    return Weights(
        make_table(
            len(frame),
            frame["chrom"].array,
            read_positions(text, frame, "pos"),
            read_ids(frame["id"]),
            frame["effect_allele"].array,
            read_ids(frame["other_allele"]),
        ),
        frame[list(names)].to_numpy(dtype=np.float64),
        names,
        frame["eaf"].to_numpy(dtype=np.float64) if has_eaf else None,
        metadata,
    )


def _read_named(text: TextTable, columns: Sequence[str] | None) -> Weights:
    """Read a PLINK-style table with a header: columns are found by name, never by place."""
    header = text.header or []
    at: dict[str, str] = {}
    for role, synonyms in _ROLES.items():
        hits = [name for name in header if name.upper() in synonyms and name not in at.values()]
        if hits and hits[0] not in (columns or ()):
            at[role] = hits[0]
    lacking = [r for r in ("effect_allele",) if r not in at]
    if "id" not in at and not {"chrom", "pos"} <= set(at):
        lacking.append("id (or chrom and pos)")
    if lacking:
        raise ColumnError(
            f"no column for {' nor '.join(lacking)} among {', '.join(header)}",
            path=text.path,
            remedy="name them ID (or CHR and BP) and A1, or use the columns chrom, pos, id, "
            "effect_allele, other_allele",
        )
    taken = set(at.values())
    free = [n for n in header if n not in taken and n.upper() not in _NOT_WEIGHTS]
    names = _choose(text, free, columns)
    numbers = [*names, *(at[r] for r in ("pos", "eaf") if r in at)]
    frame = read_frame(text, header, numbers)
    check_finite(text, frame, names)

    def words(role: str) -> NDArray[np.object_] | None:
        return read_ids(frame[at[role]]) if role in at else None

    return Weights(
        make_table(
            len(frame),
            words("chrom"),
            read_positions(text, frame, at["pos"]) if "pos" in at else None,
            words("id"),
            frame[at["effect_allele"]].to_numpy(dtype=object),
            words("other_allele"),
        ),
        frame[list(names)].to_numpy(dtype=np.float64),
        names,
        frame[at["eaf"]].to_numpy(dtype=np.float64) if "eaf" in at else None,
        read_metadata(text),
    )


def _read_headerless(text: TextTable) -> Weights:
    """Read ID A1 weight, or PRS-CS(x)'s CHR ID BP A1 A2 and an effect, or one a draw."""
    found = _PST_EFF.search(text.path.name)
    score = found[1] if found else score_name(text.path)
    names: tuple[str, ...] = (score,)
    if text.n_columns >= 6:
        if text.n_columns > 6:  # as --write_pst makes them
            names = tuple(f"{score}_draw_{k + 1}" for k in range(text.n_columns - 5))
        frame = read_frame(text, ["chrom", "id", "pos", "a1", "a2", *names], ["pos", *names])
        variants = make_table(
            len(frame),
            frame["chrom"].to_numpy(dtype=object),
            read_positions(text, frame, "pos"),
            read_ids(frame["id"]),
            frame["a1"].to_numpy(dtype=object),
            frame["a2"].to_numpy(dtype=object),
        )
    elif text.n_columns == 3:
        frame = read_frame(text, ["id", "a1", score], [score])
        variants = make_table(
            len(frame), None, None, read_ids(frame["id"]), frame["a1"].to_numpy(dtype=object), None
        )
    else:
        raise FileFormatError(
            f"{text.n_columns} columns without a header are no known format of weights",
            path=text.path,
            line=text.first_line,
            remedy="give a header, or three columns (id, effect allele, weight), or PRS-CSx's six",
        )
    check_finite(text, frame, names)
    return Weights(variants, frame[list(names)].to_numpy(dtype=np.float64), names)


def write_text(frame: pd.DataFrame, header: Sequence[str], path: Path) -> None:
    """Write ``#`` header lines and a TSV, atomically; gzip (without a time stamp) for ``.gz``."""
    table = frame.to_csv(sep="\t", index=False, na_rep="NA", lineterminator="\n")
    content = ("".join(f"#{line}\n" for line in header) + table).encode()
    if path.suffix == ".gz":
        content = gzip.compress(content, mtime=0)
    with write_atomically(path) as temporary:
        temporary.write_bytes(content)
