"""A delimited text file as typed columns; any fault names its line."""

from __future__ import annotations

import contextlib
import csv
import io
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prs.errors import FileFormatError, InvalidValueError
from prs.inputs.levels import Levels
from prs.inputs.text_lines import check_widths, lines_of_rows, whole_lines

__all__ = ["MISSING", "TextTable", "open_table"]

#: Cells that mean "no value"; anything else that is not a number is an error.
MISSING = (
    "", "NA", "NaN", "nan", "NAN", "na", ".", "-", "N/A", "n/a", "#N/A", "#NA", "NULL", "null",
    "None", "-nan", "-NaN",
)  # fmt: skip
_PARSERS = 2


@dataclass(frozen=True, eq=False)
class TextTable:
    r"""A delimited text file with a header, parsed block by block.

    Attributes
    ----------
    path : Path
        The file.
    skipped : int
        Lines up to and with the header.
    separator : str
        Tab, comma, or ``\s+``.
    header : tuple of str
        Column names as written.
    what : str
        What the file is, for messages.
    comments : tuple of str
        Lines before the header, that began with ``##``.
    held : bytes or None
        The rows, where the file is small.
    convert : callable or None
        Turns a block of lines into rows of `header` (VCF).
    """

    path: Path
    skipped: int
    separator: str
    header: tuple[str, ...]
    what: str
    comments: tuple[str, ...] = ()
    held: bytes | None = None
    convert: Callable[[bytes, int], bytes] | None = None
    #: of a long file the blocks that were opened and not yet read: taken once, then read again
    opened: list[Iterator[bytes]] = field(default_factory=list, repr=False)

    def blocks(self) -> Iterator[tuple[int, bytes]]:
        """Yield (1-based line of the first line, whole lines without the header) in turn."""
        line = self.skipped + 1
        if self.held is not None:
            raw = iter([self.held])
        else:
            raw = self.opened.pop() if self.opened else self._rows_again()
        for block in raw:
            n_lines = block.count(b"\n")
            yield line, block if self.convert is None else self.convert(block, line)
            line += n_lines

    def _rows_again(self) -> Iterator[bytes]:
        to_skip = self.skipped
        for block in whole_lines(self.path, self.what):
            start = 0
            while to_skip and start < len(block):
                start = block.find(b"\n", start) + 1 or len(block)
                to_skip -= 1
            if start < len(block):
                yield block[start:]

    def read(
        self, text: Iterable[str], numbers: Iterable[str], levels: Iterable[str] = ()
    ) -> dict[str, Any]:
        """Parse columns.

        Parameters
        ----------
        text : iterable of str
            Names of columns to be read as text: object arrays, "" where missing.
        numbers : iterable of str
            Names of columns to be read as float64, NaN where missing.
        levels : iterable of str
            Names of columns of text with few distinct cells, to be read as `Levels`.

        Raises
        ------
        InvalidValueError
            If a number is text that is not a missing marker.
        FileFormatError
            If the file cannot be parsed, or a row has more or fewer cells than the header.
        """
        kinds: dict[str, Any] = dict.fromkeys(text, object)
        kinds |= dict.fromkeys(levels, Levels)
        kinds |= dict.fromkeys(numbers, np.float64)
        parts: dict[str, list[Any]] = {name: [] for name in kinds}
        waiting: deque[Future[dict[str, Any]]] = deque()

        def take() -> None:
            for name, values in waiting.popleft().result().items():
                parts[name].append(values)

        with ThreadPoolExecutor(_PARSERS) as pool:
            try:
                for line, block in self.blocks():
                    waiting.append(pool.submit(self._read_block, line, block, kinds))
                    if len(waiting) > _PARSERS:
                        take()
                while waiting:
                    take()
            finally:
                for future in waiting:
                    future.cancel()
        out: dict[str, Any] = {}
        for name in list(parts):
            pieces = parts.pop(name)
            join = Levels.concatenate if kinds[name] is Levels else np.concatenate
            out[name] = pieces[0] if len(pieces) == 1 else join(pieces)
        return out

    def _read_block(self, line: int, block: bytes, kinds: Mapping[str, Any]) -> dict[str, Any]:
        if self.held is None:  # where it is held, the widths were checked when it was opened
            check_widths(self.path, self.separator, len(self.header), block, line)
        # not pandas' category: it takes labels that look like numbers for numbers
        types = {name: object if kind is Levels else kind for name, kind in kinds.items()}
        if not block.strip():
            frame = pd.DataFrame({name: pd.Series([], dtype=kind) for name, kind in types.items()})
            return {name: _as_read(frame[name], kind) for name, kind in kinds.items()}
        try:
            frame = self._parse(block, [*types], types)
        except (ValueError, OverflowError, pd.errors.ParserError) as error:
            with contextlib.suppress(pd.errors.ParserError):  # that is `error`, once more
                for name in (name for name, kind in kinds.items() if kind is np.float64):
                    self._check_numbers(block, line, name)
            raise FileFormatError(
                f"cannot be parsed as a table ({error})", path=self.path
            ) from error
        return {name: _as_read(frame[name], kind) for name, kind in kinds.items()}

    def read_cells(self, name: str, rows: NDArray[np.int64]) -> list[str]:
        """Return the cells of one column as written, "" where missing, at ascending `rows`."""
        found: list[str] = []
        start = 0
        for _, block in self.blocks():
            column = self._parse(block, [name], {name: "str"})[name]
            inside = rows[(rows >= start) & (rows < start + len(column))] - start
            found += column.iloc[inside].fillna("").tolist()
            start += len(column)
            if len(found) == len(rows):
                break
        return found

    def _parse(self, block: bytes, names: Sequence[str], types: Mapping[str, Any]) -> pd.DataFrame:
        return pd.read_csv(
            io.BytesIO(block),
            sep=self.separator,
            header=None,
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

    def _check_numbers(self, block: bytes, line: int, name: str) -> None:
        cells = self._parse(block, [name], {name: "str"})[name].fillna("").to_numpy(dtype=object)
        values = pd.to_numeric(pd.Series(cells), errors="coerce").to_numpy(dtype=float)
        bad = np.flatnonzero(np.isnan(values) & ~np.isin(cells, MISSING))
        if len(bad):
            lines = lines_of_rows(block, line, bad[:5])
            raise InvalidValueError(
                f"{len(bad):,} cells are not numbers",
                path=self.path,
                line=lines[0],
                column=name,
                rows=[f"line {n}: {cells[i]!r}" for n, i in zip(lines, bad, strict=False)],
                n_rows=len(bad),
                remedy="mend the cells, or write NA where a value is missing",
            )

    def line_numbers(self, rows: NDArray[np.int64]) -> list[int]:
        """Return the 1-based line in the file of each of a few ascending data rows."""
        found: list[int] = []
        start = 0
        for line, block in self.blocks():
            n_rows = sum(1 for text in block.splitlines() if text.strip())
            inside = rows[(rows >= start) & (rows < start + n_rows)] - start
            if len(inside):
                found += lines_of_rows(block, line, inside)
            start += n_rows
            if len(found) == len(rows):
                break
        return found

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


def _as_read(column: pd.Series, kind: Any) -> Any:
    """Return a parsed column as an array of float64 or text, or as `Levels`."""
    if kind is np.float64:
        return column.to_numpy(dtype=np.float64)
    cells = column.to_numpy(dtype=object)
    if kind is Levels:
        codes, values = pd.factorize(cells)  # -1 is a missing cell
        return Levels(np.add(codes, 1, dtype=np.int32), ("", *values))
    missing = column.isna().to_numpy()
    return np.where(missing, "", cells).astype(object) if missing.any() else cells


def open_table(path: str | Path, what: str) -> TextTable:
    """Find a file's header and separator, and check that all rows have its width.

    Lines before the header that begin with ``##`` are skipped. The rows of a file of more than
    one block are checked when they are read.

    Raises
    ------
    FileFormatError
        If the file is missing, empty, a damaged archive, binary, without data rows, or if rows
        have more or fewer cells than the header.
    """
    path = Path(path)
    blocks = whole_lines(path, what)
    block = next(blocks, b"").removeprefix(b"\xef\xbb\xbf")
    comments: list[str] = []
    start = skipped = 0
    while True:
        end = block.find(b"\n", start)
        end = len(block) if end < 0 else end
        line = block[start:end].decode("utf-8", "replace").strip("\r\n ")
        skipped += 1
        if line and not line.startswith("##"):
            break
        if end >= len(block):
            empty = not block.strip()
            raise FileFormatError(
                f"{what} is empty" if empty else "has no line besides comments", path=path
            )
        if line:
            comments.append(line)
        start = end + 1
    separator = "\t" if "\t" in line else r"\s+"
    if separator != "\t" and "," in line:
        separator = ","
    cells = re.split(separator, line.strip() if separator == r"\s+" else line)
    header = tuple(cell.strip() for cell in cells)
    more = next(blocks, None)
    rows = block[end + 1 :]
    table = TextTable(
        path, skipped, separator, header, what, tuple(comments), rows if more is None else None
    )
    if more is not None:
        table.opened.append(chain((rows, more), blocks))
    if not rows.strip() and more is None:
        raise FileFormatError("has a header and no rows", path=path, line=1)
    if more is None:
        check_widths(path, separator, len(header), rows, skipped + 1)
    return table
