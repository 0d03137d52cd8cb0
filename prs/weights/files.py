"""Parsers of the weight files that the field uses; `prs.weights.table.read_weights` calls them."""

from __future__ import annotations

import gzip
import io
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prs.errors import ColumnError, FileFormatError, InvalidValueError
from prs.files import read_bytes, write_atomically
from prs.variants import VariantTable, chromosome_codes
from prs.weights.table import VARIANT_COLUMNS, Weights

__all__ = ["parse_weights", "parse_weights_by_chromosome", "write_text"]

logger = logging.getLogger(__name__)

_ROLES = {
    "id": ("ID", "SNP", "VAR", "VARIANT", "RSID", "VARIANT_ID", "MARKERNAME", "MARKER"),
    "effect_allele": ("A1", "EFFECT_ALLELE", "EA", "ALLELE", "ALLELE1"),
    "other_allele": ("A2", "OTHER_ALLELE", "AX", "NEA", "OA", "ALLELE0", "ALLELE2"),
    "chrom": ("CHR", "CHROM", "CHROMOSOME"),
    "pos": ("BP", "POS", "POSITION", "BASE_PAIR_LOCATION"),
    "eaf": ("EAF", "A1FREQ", "A1_FREQ", "EFFECT_ALLELE_FREQUENCY"),
}
_NOT_WEIGHTS = ("P", "SE", "N", "Z", "STAT", "OR", "CM", "N_EFF", "REF", "ALT")
_MISSING = ("", "NA", "NaN", "nan", ".", "NR", "None", "null")
_PST_EFF = re.compile(r"_([^_]+)_pst_eff_a")


@dataclass(frozen=True)
class _Text:
    """A table as text: header lines, column names (None without a header), the rest."""

    path: Path
    comments: list[str]
    header: list[str] | None
    body: bytes
    n_columns: int
    separator: str
    first_line: int  # 1-based line of the first row of `body`


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
        names = (_stem(Path(template.replace("{chrom}", ""))),)
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
    text = _split(path, read_bytes(path, "weights file"))
    if text.header is None:
        weights = _read_headerless(text)
    else:
        names = {name.lower() for name in text.header}
        marks = {"chr_name", "effect_weight", "dosage_0_weight"}
        if "effect_allele" in names and names & marks:
            weights = _read_pgs(text)
        elif set(VARIANT_COLUMNS) <= set(text.header):
            return _read_prs(text, columns)
        else:
            return _read_named(text, columns)
    return weights if columns is None else weights.select(columns)


def _split(path: Path, data: bytes) -> _Text:
    """Part the comment lines, the header and the rows."""
    comments: list[str] = []
    at = line = 0
    while at < len(data):
        end = data.find(b"\n", at)
        end = len(data) if end < 0 else end
        row = data[at:end].strip()
        if row and not row.startswith(b"#"):
            break
        if row:
            comments.append(_decode(row, path, line + 1))
        at, line = end + 1, line + 1
    first = _decode(
        data[at : data.find(b"\n", at) % (len(data) + 1)].strip(b"\r\n"), path, line + 1
    )
    separator = "\t" if "\t" in first else "," if "," in first and " " not in first else " "
    cells = _cells(first, separator)
    n_columns = len(cells)
    header: list[str] | None = None
    # PLINK 2 writes its header as a comment: as many words as the rows have columns, no "="
    if comments and "=" not in comments[-1]:
        words = _cells(comments[-1].lstrip("#"), separator)
        if len(words) == n_columns and n_columns >= 3 and comments[-1][:2] != "##":
            header = words
            comments.pop()
    if header is None and not _is_number(cells[-1]) and not any(map(_is_number, cells)):
        header = cells
        end = data.find(b"\n", at)
        at, line = (len(data) if end < 0 else end + 1), line + 1
    body = data[at:]
    if not body.strip():
        raise FileFormatError("weights file has a header and no rows", path=path)
    return _Text(path, comments, header, body, n_columns, separator, line + 1)


def _decode(row: bytes, path: Path, line: int) -> str:
    try:
        return row.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileFormatError(
            "not a text file",
            path=path,
            line=line,
            remedy="give a table of weights (plain text or gzip)",
        ) from error


def _cells(row: str, separator: str) -> list[str]:
    cells = row.split() if separator == " " else row.split(separator)
    return [cell.strip() for cell in cells]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return cell.lower() not in ("nan", "inf", "infinity")


def _frame(text: _Text, names: list[str], numbers: Sequence[str]) -> pd.DataFrame:
    """Read the rows: the columns `numbers` as float64 (exactly), the others as text."""
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ColumnError(f"columns named twice: {', '.join(repeated)}", path=text.path)
    options: dict[str, Any] = {
        "sep": r"\s+" if text.separator == " " else text.separator,
        "header": None,
        "names": names,
        "index_col": False,
        "keep_default_na": False,
        "encoding": "utf-8",
    }
    types: dict[str, Any] = {name: np.float64 if name in numbers else object for name in names}
    na = {name: list(_MISSING) for name in numbers}
    try:
        return pd.read_csv(io.BytesIO(text.body), dtype=types, na_values=na, **options)
    except pd.errors.ParserError as error:
        found = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(error))
        line = text.first_line + int(found[2]) - 1 if found else None
        raise FileFormatError(
            f"a row has {found[3]} columns where {len(names)} are expected"
            if found
            else f"not a table of {len(names)} columns ({error})",
            path=text.path,
            line=line,
        ) from error
    except UnicodeDecodeError as error:
        raise FileFormatError("not a text file (UTF-8)", path=text.path) from error
    except ValueError as error:
        frame = pd.read_csv(io.BytesIO(text.body), dtype=object, **options)
        for name in numbers:
            cells = [str(cell).strip() for cell in frame[name]]
            bad = [i for i, c in enumerate(cells) if c not in _MISSING and not _is_number(c)]
            if bad:
                raise InvalidValueError(
                    f"{len(bad):,} cells are not numbers",
                    path=text.path,
                    line=text.first_line + bad[0],
                    column=name,
                    rows=[f"line {text.first_line + i}: {cells[i]!r}" for i in bad[:5]],
                    n_rows=len(bad),
                ) from error
        raise FileFormatError(f"cannot be read as a table ({error})", path=text.path) from error


def _check_finite(text: _Text, frame: pd.DataFrame, names: Sequence[str]) -> None:
    """Raise on missing weights, with their lines."""
    for name in names:
        bad = np.flatnonzero(~np.isfinite(frame[name].to_numpy()))
        if len(bad):
            raise InvalidValueError(
                f"{len(bad):,} weights are missing or not finite",
                path=text.path,
                line=int(text.first_line + bad[0]),
                column=name,
                rows=[f"line {text.first_line + i}" for i in bad[:5]],
                n_rows=len(bad),
                remedy="leave the variants out, or give 0 where a variant is not in a score",
            )


def _positions(text: _Text, frame: pd.DataFrame, name: str) -> NDArray[np.int64]:
    """Return positions; 0 where the cell is empty."""
    values = frame[name].to_numpy(dtype=np.float64)
    known = np.isfinite(values)
    bad = np.flatnonzero(known & (values != np.floor(values)))
    if len(bad):
        raise InvalidValueError(
            f"{len(bad):,} positions are not whole numbers",
            path=text.path,
            line=int(text.first_line + bad[0]),
            column=name,
            rows=[f"line {text.first_line + i}: {values[i]}" for i in bad[:5]],
            n_rows=len(bad),
        )
    # out of range is for VariantTable to refuse; -1 keeps the cast defined
    values = np.where(np.abs(values) < 2**31, values, -1)
    return np.where(known, values, 0).astype(np.int64)


def _ids(column: pd.Series) -> NDArray[np.object_]:
    ids = column.to_numpy(dtype=object)
    return np.where(column.isin(_MISSING), "", ids)


def _table(
    n: int,
    chrom: NDArray[np.object_] | None,
    pos: NDArray[np.int64] | None,
    ids: NDArray[np.object_] | None,
    effect: NDArray[np.object_],
    other: NDArray[np.object_] | None,
) -> VariantTable:
    blank = np.full(n, "", dtype=object)
    return VariantTable(
        chrom=np.zeros(n, np.int8) if chrom is None else chromosome_codes(chrom),
        pos=np.zeros(n, np.int32) if pos is None else pos.astype(np.int32),
        id=blank if ids is None else ids,
        effect_allele=effect,
        other_allele=blank if other is None else other,
    )


def _choose(
    text: _Text, available: Sequence[str], columns: Sequence[str] | None
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


def _metadata(text: _Text) -> dict[str, str]:
    pairs = (line.lstrip("#").split("=", 1) for line in text.comments if "=" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def _read_prs(text: _Text, columns: Sequence[str] | None) -> Weights:
    header = text.header or []
    known = {*VARIANT_COLUMNS, "eaf"}
    names = _choose(text, [name for name in header if name not in known], columns)
    has_eaf = "eaf" in header and "eaf" not in names
    frame = _frame(text, header, ["pos", *names, *(["eaf"] if has_eaf else [])])
    _check_finite(text, frame, names)
    metadata = _metadata(text)
    metadata.pop("format", None)
    return Weights(
        _table(
            len(frame),
            frame["chrom"].to_numpy(dtype=object),
            _positions(text, frame, "pos"),
            _ids(frame["id"]),
            frame["effect_allele"].to_numpy(dtype=object),
            _ids(frame["other_allele"]),
        ),
        frame[list(names)].to_numpy(dtype=np.float64),
        names,
        frame["eaf"].to_numpy(dtype=np.float64) if has_eaf else None,
        metadata,
    )


def _read_named(text: _Text, columns: Sequence[str] | None) -> Weights:
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
    frame = _frame(text, header, numbers)
    _check_finite(text, frame, names)

    def words(role: str) -> NDArray[np.object_] | None:
        return _ids(frame[at[role]]) if role in at else None

    return Weights(
        _table(
            len(frame),
            words("chrom"),
            _positions(text, frame, at["pos"]) if "pos" in at else None,
            words("id"),
            frame[at["effect_allele"]].to_numpy(dtype=object),
            words("other_allele"),
        ),
        frame[list(names)].to_numpy(dtype=np.float64),
        names,
        frame[at["eaf"]].to_numpy(dtype=np.float64) if "eaf" in at else None,
        _metadata(text),
    )


def _stem(path: Path) -> str:
    name = path.name
    for suffix in (".gz", ".txt", ".tsv", ".csv", ".weights", ".score"):
        name = name.removesuffix(suffix)
    return name.strip("._-") or "score"


def _read_headerless(text: _Text) -> Weights:
    """Read ID A1 weight, or PRS-CS(x) posterior effects CHR ID BP A1 A2 BETA."""
    found = _PST_EFF.search(text.path.name)
    score = found[1] if found else _stem(text.path)
    if text.n_columns == 6:
        frame = _frame(text, ["chrom", "id", "pos", "a1", "a2", score], ["pos", score])
        variants = _table(
            len(frame),
            frame["chrom"].to_numpy(dtype=object),
            _positions(text, frame, "pos"),
            _ids(frame["id"]),
            frame["a1"].to_numpy(dtype=object),
            frame["a2"].to_numpy(dtype=object),
        )
    elif text.n_columns == 3:
        frame = _frame(text, ["id", "a1", score], [score])
        variants = _table(
            len(frame), None, None, _ids(frame["id"]), frame["a1"].to_numpy(dtype=object), None
        )
    else:
        raise FileFormatError(
            f"{text.n_columns} columns without a header are no known format of weights",
            path=text.path,
            line=text.first_line,
            remedy="give a header, or three columns (id, effect allele, weight), or PRS-CSx's six",
        )
    _check_finite(text, frame, [score])
    return Weights(variants, frame[[score]].to_numpy(dtype=np.float64), (score,))


def _is_true(column: pd.Series) -> NDArray[np.bool_]:
    return column.str.strip().str.upper().isin(["TRUE", "T", "1", "YES", "Y"]).to_numpy()


def _refuse(text: _Text, kind: str, rows: NDArray[np.int64], frame: pd.DataFrame) -> None:
    if len(rows):
        shown = [
            name for name in ("rsID", "chr_name", "chr_position", "effect_allele") if name in frame
        ]
        raise FileFormatError(
            f"{len(rows):,} of {len(frame):,} rows are {kind}: a weight times an allele count "
            "does not describe them",
            path=text.path,
            line=int(text.first_line + rows[0]),
            rows=[
                f"line {text.first_line + i}: "
                + " ".join(str(frame[name].iloc[i]) for name in shown)
                for i in rows[:5]
            ],
            n_rows=len(rows),
            remedy="use a score with additive weights, or take these rows out knowingly",
        )


def _read_pgs(text: _Text) -> Weights:
    """Read a PGS Catalog scoring file, formats 1.0 and 2.0, harmonised or not."""
    header = text.header or []
    if "effect_weight" not in header:
        dosage = [name for name in header if re.fullmatch(r"dosage_\d_weight", name)]
        if dosage:
            rows = np.arange(text.body.strip().count(b"\n") + 1)
            _refuse(text, "weighted by dosage", rows, pd.DataFrame(index=rows))
        raise ColumnError(f"no column effect_weight among {', '.join(header)}", path=text.path)
    places = [n for n in ("chr_position", "hm_pos", "allelefrequency_effect") if n in header]
    frame = _frame(text, header, ["effect_weight", *places])
    n = len(frame)
    for column, kind in (
        ("is_dominant", "dominant"),
        ("is_recessive", "recessive"),
        ("is_diplotype", "diplotypes"),
        ("is_haplotype", "haplotypes"),
        ("is_interaction", "interactions"),
    ):
        if column in frame:
            _refuse(text, kind, np.flatnonzero(_is_true(frame[column])), frame)
    for column in header:
        if re.fullmatch(r"dosage_\d_weight", column):
            weighted = ~frame[column].isin(_MISSING).to_numpy()
            _refuse(text, "weighted by dosage", np.flatnonzero(weighted), frame)
    _check_finite(text, frame, ["effect_weight"])

    metadata = _metadata(text)
    # format 1 has "PGS ID = ..." lines; the words differ, the meaning does not
    score = metadata.get("pgs_id") or metadata.get("PGS ID") or _stem(text.path)
    build = metadata.get("HmPOS_build")
    chrom = pos = None
    ids = np.full(n, "", dtype=object)
    for column in ("hm_rsID", "rsID"):
        if column in frame:
            named = _ids(frame[column])
            ids = np.where(named == "", ids, named)
    if "hm_pos" in frame and "hm_chr" in frame:
        chrom, pos = frame["hm_chr"].to_numpy(dtype=object), _positions(text, frame, "hm_pos")
        lost = int((pos == 0).sum())
        if lost:
            logger.warning("%s: %d variants have no harmonised position", text.path, lost)
    elif "chr_position" in frame and "chr_name" in frame:
        chrom = frame["chr_name"].to_numpy(dtype=object)
        pos = _positions(text, frame, "chr_position")
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
            named = _ids(frame[column])
            # several inferred alleles (A/T) settle nothing
            several = np.array(["/" in name for name in named], bool)
            other = np.where((named == "") | several, other, named)
    eaf = None
    if "allelefrequency_effect" in frame:
        eaf = frame["allelefrequency_effect"].to_numpy(dtype=np.float64)
    return Weights(
        _table(n, chrom, pos, ids, frame["effect_allele"].to_numpy(dtype=object), other),
        frame[["effect_weight"]].to_numpy(dtype=np.float64),
        (score,),
        eaf,
        metadata,
    )


def write_text(frame: pd.DataFrame, header: Sequence[str], path: Path) -> None:
    """Write ``#`` header lines and a TSV, atomically; gzip (without a time stamp) for ``.gz``."""
    table = frame.to_csv(sep="\t", index=False, na_rep="NA", lineterminator="\n")
    content = ("".join(f"#{line}\n" for line in header) + table).encode()
    if path.suffix == ".gz":
        content = gzip.compress(content, mtime=0)
    with write_atomically(path) as temporary:
        temporary.write_bytes(content)
