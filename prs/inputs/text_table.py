"""A delimited text file as typed columns; any fault names its line."""

from __future__ import annotations

import contextlib
import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prs.errors import FileFormatError, InvalidValueError
from prs.files import read_bytes

__all__ = ["MISSING", "TextTable", "open_table"]

#: Cells that mean "no value"; anything else that is not a number is an error.
MISSING = (
    "", "NA", "NaN", "nan", "NAN", "na", ".", "-", "N/A", "n/a", "#N/A", "#NA", "NULL", "null",
    "None", "-nan", "-NaN",
)  # fmt: skip
_CHUNK = 1 << 24


@dataclass(frozen=True, eq=False)
class TextTable:
    r"""A delimited text file with a header.

    Attributes
    ----------
    path : Path
        The file.
    data : bytes
        Its content, decompressed.
    start : int
        Offset of the header line in `data`.
    separator : str
        Tab, comma, or ``\s+``.
    header : tuple of str
        Column names as written.
    what : str
        What the file is, for messages.
    """

    path: Path
    data: bytes
    start: int
    separator: str
    header: tuple[str, ...]
    what: str

    def read(self, text: Iterable[str], numbers: Iterable[str]) -> dict[str, NDArray[Any]]:
        """Parse columns.

        Parameters
        ----------
        text : iterable of str
            Names of columns to be read as text: object arrays, "" where missing.
        numbers : iterable of str
            Names of columns to be read as float64, NaN where missing.

        Raises
        ------
        InvalidValueError
            If a number is text that is not a missing marker.
        FileFormatError
            If the file cannot be parsed.
        """
        text, numbers = list(dict.fromkeys(text)), list(dict.fromkeys(numbers))
        types: dict[str, Any] = dict.fromkeys(text, object)
        types |= dict.fromkeys(numbers, "float64")
        try:
            frame = self._parse([*types], types)
        except (ValueError, OverflowError, pd.errors.ParserError) as error:
            with contextlib.suppress(pd.errors.ParserError):  # that is `error`, once more
                for name in numbers:
                    self._check_numbers(name)
            raise FileFormatError(
                f"cannot be parsed as a table ({error})", path=self.path
            ) from error
        out: dict[str, NDArray[Any]] = {}
        for name in types:
            column = frame[name]
            if name in text:
                values = column.to_numpy(dtype=object)
                missing = column.isna().to_numpy()
                if missing.any():
                    values = np.where(missing, "", values).astype(object)
                out[name] = values
            else:
                out[name] = column.to_numpy(dtype=np.float64)
        return out

    def read_text(self, name: str) -> NDArray[np.object_]:
        """Return one column as written, "" where missing."""
        column = self._parse([name], {name: "str"})[name]
        return column.fillna("").to_numpy(dtype=object)

    def _parse(self, names: Sequence[str], types: Mapping[str, Any]) -> pd.DataFrame:
        return pd.read_csv(
            io.BytesIO(self.data[self.start :] if self.start else self.data),
            sep=self.separator,
            header=0,
            names=list(self.header),
            index_col=False,
            usecols=list(names),
            dtype=dict(types),
            na_values=list(MISSING),
            keep_default_na=False,
            engine="c",
            quoting=csv.QUOTE_NONE,
            encoding_errors="replace",
            skipinitialspace=True,
        )

    def _check_numbers(self, name: str) -> None:
        cells = self.read_text(name)
        values = pd.to_numeric(pd.Series(cells), errors="coerce").to_numpy(dtype=float)
        bad = np.flatnonzero(np.isnan(values) & ~np.isin(cells, MISSING))
        if len(bad):
            self.refuse(
                bad,
                f"{len(bad):,} cells are not numbers",
                name,
                [repr(cells[i]) for i in bad[:5]],
                remedy="mend the cells, or write NA where a value is missing",
            )

    def line_numbers(self, rows: NDArray[np.int64]) -> list[int]:
        """Return the 1-based line in the file of each of a few data rows."""
        wanted = {int(r) for r in rows}
        found: dict[int, int] = {}
        row = -2  # the header becomes row -1, the first line below it row 0
        skipped = self.data[: self.start].count(b"\n")
        for number, line in enumerate(self.data[self.start :].splitlines(), start=skipped + 1):
            row += bool(line.strip())
            if line.strip() and row in wanted:
                found[row] = number
                if len(found) == len(wanted):
                    break
        return [found[int(r)] for r in rows]

    def refuse(
        self,
        rows: NDArray[np.int64],
        message: str,
        column: str,
        cells: Sequence[str],
        remedy: str | None = None,
    ) -> None:
        """Raise InvalidValueError that names the first lines and what is in them."""
        lines = self.line_numbers(rows[:5])
        raise InvalidValueError(
            message,
            path=self.path,
            line=lines[0],
            column=column,
            rows=[f"line {n}: {cell}" for n, cell in zip(lines, cells, strict=False)],
            n_rows=len(rows),
            remedy=remedy,
        )


def open_table(path: str | Path, what: str) -> TextTable:
    """Read a file, find its header and separator, and check that all rows have its width.

    Lines before the header that begin with ``##`` are skipped.

    Raises
    ------
    FileFormatError
        If the file is missing, empty, a truncated gzip, binary, without data rows, or if rows
        have more or fewer cells than the header.
    """
    path = Path(path)
    data = read_bytes(path, what)
    if b"\0" in data[:4096]:
        raise FileFormatError(f"is a binary file, where {what} were expected", path=path)
    # quotes around cells (as R writes them) say nothing; a quoted separator is refused by width
    data = data.replace(b'"', b"")
    start = 3 if data.startswith(b"\xef\xbb\xbf") else 0
    while True:
        end = data.find(b"\n", start)
        end = len(data) if end < 0 else end
        line = data[start:end].decode("utf-8", "replace").strip("\r\n ")
        if line and not line.startswith("##"):
            break
        if end >= len(data):
            raise FileFormatError("has no line besides comments", path=path)
        start = end + 1
    separator = "\t" if "\t" in line else r"\s+"
    if separator != "\t" and "," in line:
        separator = ","
    cells = re.split(separator, line.strip() if separator == r"\s+" else line)
    header = tuple(cell.strip() for cell in cells)
    table = TextTable(path, data, start, separator, header, what)
    if not data[end:].strip():
        raise FileFormatError("has a header and no rows", path=path, line=1)
    _check_widths(table, end + 1)
    return table


def _check_widths(table: TextTable, start: int) -> None:
    """Raise unless each non-empty line has as many cells as the header."""
    width, offset, line = len(table.header), start, 1 + table.data[:start].count(b"\n")
    data = memoryview(table.data)
    while offset < len(data):
        stop = min(offset + _CHUNK, len(data))
        if stop < len(data):
            newline = table.data.rfind(b"\n", offset, stop)
            stop = newline + 1 if newline >= 0 else len(data)
        buffer = np.frombuffer(data[offset:stop], dtype=np.uint8)
        counts = _cells_per_line(buffer, table.separator)
        bad = np.flatnonzero((counts != width) & (counts > 0))
        if len(bad):
            lines = bytes(data[offset:stop]).split(b"\n")
            raise FileFormatError(
                f"{counts[bad[0]]} cells, where the header has {width} columns",
                path=table.path,
                line=line + int(bad[0]),
                rows=[
                    f"line {line + int(i)}: {lines[i].decode('utf-8', 'replace').strip()[:100]}"
                    for i in bad[:5]
                ],
                n_rows=len(bad),
                remedy="the file may be truncated, or a cell may be empty or hold a space or "
                "comma: write NA where a value is missing",
            )
        line += len(counts)
        offset = stop


def _cells_per_line(buffer: NDArray[np.uint8], separator: str) -> NDArray[np.int64]:
    """Return the number of cells in each line of a buffer; 0 for an empty line."""
    newlines = np.flatnonzero(buffer == 10)
    if len(buffer) and buffer[-1] != 10:
        newlines = np.append(newlines, len(buffer))
    blank = (buffer == 32) | (buffer == 9) | (buffer == 10) | (buffer == 13)
    starts = np.flatnonzero(~blank & np.concatenate([[True], blank[:-1]]))
    words = np.diff(np.searchsorted(starts, newlines), prepend=0)
    if separator == r"\s+":
        return words.astype(np.int64)
    marks = np.flatnonzero(buffer == ord(separator))
    cells = np.diff(np.searchsorted(marks, newlines), prepend=0) + 1
    return np.where((words == 0) & (cells == 1), 0, cells).astype(np.int64)
