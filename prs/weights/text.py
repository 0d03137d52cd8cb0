"""Tables of weights as text: comment lines, header and rows, read exactly or refused by line."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from prs.errors import ColumnError, FileFormatError, InvalidValueError
from prs.variants import VariantTable, chromosome_codes

__all__ = [
    "MISSING",
    "TextTable",
    "check_finite",
    "make_table",
    "read_frame",
    "read_ids",
    "read_metadata",
    "read_positions",
    "score_name",
    "split_table",
]

MISSING = ("", "NA", "NaN", "nan", ".", "NR", "None", "null")


@dataclass(frozen=True)
class TextTable:
    """A table as text: header lines, column names (None without a header), the rest."""

    path: Path
    comments: list[str]
    header: list[str] | None
    body: bytes
    n_columns: int
    separator: str
    first_line: int  # 1-based line of the first row of `body`


def split_table(path: Path, data: bytes) -> TextTable:
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
    if not first.strip():
        raise FileFormatError("weights file has no row besides comments", path=path)
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
    return TextTable(path, comments, header, body, n_columns, separator, line + 1)


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


def read_frame(
    text: TextTable, names: list[str], numbers: Sequence[str], levels: Sequence[str] = ()
) -> pd.DataFrame:
    """Read the rows: the columns `numbers` as float64 (exactly), the others as text.

    Text of few distinct cells is read faster as a category: the columns `levels`.
    """
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
    types: dict[str, Any] = dict.fromkeys(names, object) | dict.fromkeys(levels, "category")
    types |= dict.fromkeys(numbers, np.float64)
    na = {name: list(MISSING) for name in numbers}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # a longer row loses cells
            return pd.read_csv(io.BytesIO(text.body), dtype=types, na_values=na, **options)
    except pd.errors.ParserWarning as error:
        raise FileFormatError(
            f"a row has more than {len(names)} columns", path=text.path, line=text.first_line
        ) from error
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
    except (ValueError, OverflowError) as error:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", pd.errors.ParserWarning)
            frame = pd.read_csv(
                io.BytesIO(text.body), dtype=object, encoding_errors="replace", **options
            )
        for name in numbers:
            cells = [str(cell).strip() for cell in frame[name]]
            bad = [i for i, c in enumerate(cells) if c not in MISSING and not _is_number(c)]
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


def check_finite(text: TextTable, frame: pd.DataFrame, names: Sequence[str]) -> None:
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


def read_positions(text: TextTable, frame: pd.DataFrame, name: str) -> NDArray[np.int64]:
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


def read_ids(column: pd.Series) -> NDArray[np.object_]:
    """Return a column of text; "" where the cell is empty or NA."""
    ids = column.to_numpy(dtype=object)
    missing = column.isin(MISSING).to_numpy()
    return np.where(missing, "", ids) if missing.any() else ids


def make_table(
    n: int,
    chrom: ArrayLike | pd.Categorical | None,
    pos: NDArray[np.int64] | None,
    ids: NDArray[np.object_] | None,
    effect: ArrayLike | pd.Categorical,
    other: ArrayLike | pd.Categorical | None,
) -> VariantTable:
    """Return a table of `n` variants; what is None is unknown."""
    blank = np.full(n, "", dtype=object)
    return VariantTable(
        chrom=np.zeros(n, np.int8) if chrom is None else chromosome_codes(chrom),
        pos=np.zeros(n, np.int32) if pos is None else pos.astype(np.int32),
        id=blank if ids is None else ids,
        effect_allele=effect,  # type: ignore[arg-type] # the table makes arrays of categories
        other_allele=blank if other is None else other,  # type: ignore[arg-type]
    )


def read_metadata(text: TextTable) -> dict[str, str]:
    """Return what the comment lines say as key=value."""
    pairs = (line.lstrip("#").split("=", 1) for line in text.comments if "=" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def score_name(path: Path) -> str:
    """Return a name for a score from the name of its file."""
    name = path.name
    for suffix in (".gz", ".txt", ".tsv", ".csv", ".weights", ".score"):
        name = name.removesuffix(suffix)
    return name.strip("._-") or "score"
