"""Lines of a delimited text file: read in blocks, counted, and checked to be of one width."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from prs.errors import FileFormatError
from prs.files import stream_bytes

__all__ = ["check_widths", "lines_of_rows", "whole_lines"]

#: Bytes that are parsed at a time; a file that is smaller is held, a larger one read again.
BLOCK_SIZE = 1 << 23
#: No line of a table is longer than this.
MAX_LINE = 1 << 23
#: Bytes whose cells are counted at a time: they stay in the cache.
_CHUNK = 1 << 18


def whole_lines(path: Path, what: str) -> Iterator[bytes]:
    """Yield a file's text in blocks of whole lines, decompressed, without quotes around cells.

    Raises
    ------
    FileFormatError
        If the file cannot be read, is binary, or has a line of more than `MAX_LINE` bytes.
    """
    rest = b""
    for piece in stream_bytes(path, what, BLOCK_SIZE):
        if b"\0" in piece:
            raise FileFormatError(f"is a binary file, where {what} were expected", path=path)
        # quotes (as R writes them) say nothing; a quoted separator is refused by width
        piece = piece.replace(b'"', b"")
        if b"\r" in piece:  # a return alone ends a line, too
            piece = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        end = piece.rfind(b"\n") + 1
        if end:
            yield b"".join((rest, memoryview(piece)[:end]))
            rest = piece[end:]
        else:
            rest += piece
        if len(rest) > MAX_LINE:
            raise FileFormatError(
                f"has a line of more than {MAX_LINE:,} bytes: not a table of {what}", path=path
            )
    if rest:
        yield rest


def check_widths(path: Path, separator: str, width: int, rows: bytes, line: int) -> None:
    """Raise unless each non-empty line of a block has `width` cells.

    Parameters
    ----------
    path : Path
        The file.
    separator : str
        Tab, comma, or white space as a regular expression.
    width : int
        Columns of the header.
    rows : bytes
        Whole lines.
    line : int
        1-based number in the file of the first one.

    Raises
    ------
    FileFormatError
        With the first lines that have more or fewer cells.
    """
    offset = 0
    data = memoryview(rows)
    while offset < len(data):
        stop = min(offset + _CHUNK, len(data))
        if stop < len(data):
            newline = rows.rfind(b"\n", offset, stop)
            stop = newline + 1 if newline >= 0 else len(data)
        buffer = np.frombuffer(data[offset:stop], dtype=np.uint8)
        n_lines = _lines_if_all_fit(buffer, separator, width)
        if n_lines:
            line, offset = line + n_lines, stop
            continue
        counts = _cells_per_line(buffer, separator)
        bad = np.flatnonzero((counts != width) & (counts > 0))
        if len(bad):
            lines = bytes(data[offset:stop]).split(b"\n")
            raise FileFormatError(
                f"{counts[bad[0]]} cells, where the header has {width} columns",
                path=path,
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


def _lines_if_all_fit(buffer: NDArray[np.uint8], separator: str, width: int) -> int:
    """Return the number of lines if each has `width` cells by its separators; else 0."""
    if separator == r"\s+" or width < 2 or buffer[-1] != 10:
        return 0
    newlines = np.flatnonzero(buffer == 10)
    marks = np.flatnonzero(buffer == ord(separator))
    if len(marks) != (width - 1) * len(newlines):
        return 0
    first, last = marks[:: width - 1], marks[width - 2 :: width - 1]
    inside = np.all(last < newlines) and np.all(first[1:] > newlines[:-1])
    return len(newlines) if inside else 0


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


def lines_of_rows(block: bytes, line: int, rows: NDArray[np.int64]) -> list[int]:
    """Return the line in the file of each ascending row of a block that begins at `line`."""
    wanted = iter(rows.tolist())
    row, target = -1, next(wanted)
    found: list[int] = []
    for number, text in enumerate(block.split(b"\n"), start=line):
        row += bool(text.strip())
        if text.strip() and row == target:
            found.append(number)
            target = next(wanted, -1)
            if target < 0:
                break
    return found
