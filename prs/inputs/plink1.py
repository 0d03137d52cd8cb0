"""Filesets: which files a path names; and PLINK 1's (.bed, .bim, .fam), parsed and checked."""

from __future__ import annotations

import io
import os
import re
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prs.errors import FileFormatError, InvalidValueError, PrsError
from prs.files import changed_error, existing_file, file_state, read_bytes
from prs.samples import SampleTable
from prs.variants import VariantTable, chromosome_codes

__all__ = [
    "BedRows",
    "Fileset",
    "PackedRows",
    "find_filesets",
    "open_fileset",
    "read_at",
    "read_bim",
    "read_fam",
]

_MAGIC = b"\x6c\x1b\x01"
_BIM_COLUMNS = ("chromosome", "id", "cM", "position", "A1", "A2")
_FAM_COLUMNS = ("FID", "IID", "father", "mother", "sex", "phenotype")
_TEMPLATE = "{chrom}"
#: Ends of the names of files that list filesets.
_LISTS = (".txt", ".list")
#: A file of a set -> the one that holds its genotypes.
_SUFFIXES = {
    ".bed": ".bed",
    ".bim": ".bed",
    ".fam": ".bed",
    ".pgen": ".pgen",
    ".pvar": ".pgen",
    ".pvar.zst": ".pgen",
    ".psam": ".pgen",
}
_CHROMOSOMES = (*(str(c) for c in range(1, 23)), "X", "Y", "XY", "MT")


class PackedRows(Protocol):
    """What `Genotypes` needs of packed rows: something that reads like an array of bytes."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Variants, and bytes in a row."""

    def __getitem__(self, rows: Any, /) -> NDArray[np.uint8]:
        """Return the rows of a slice or an index array."""


@dataclass(frozen=True, eq=False)
class Fileset:
    """One opened fileset of PLINK 1, or (from `prs.inputs.pgen`) of PLINK 2.

    Attributes
    ----------
    path : Path
        The .bed or .pgen file.
    packed : PackedRows
        The calls in the code of a .bed, rows by slice or index; shape (M, ceil(N / 4)).
    variants : VariantTable
        The variants, in file order; A1 (.bim column 5) or ALT is the effect allele.
    genetic_position : ndarray of float64, shape (M,)
        Centimorgans (0 where not given).
    samples : SampleTable
        The people, in file order.
    files : tuple of Path
        The three files.
    dosages : callable or None
        ``dosages(rows, people)`` returns float32 dosages, NaN where missing, shape (m, n);
        None where the file holds hard calls only.
    """

    path: Path
    packed: PackedRows
    variants: VariantTable
    genetic_position: NDArray[np.float64]
    samples: SampleTable
    files: tuple[Path, ...]
    dosages: Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.float32]] | None = None

    def __reduce__(self) -> tuple[Callable[..., Fileset], tuple[Any, ...]]:
        """Travel to other processes as the files' names: whoever unpickles it opens them."""
        return _reopen, (str(self.path.absolute()), _file_states(self.files))


def _file_states(files: Sequence[Path]) -> tuple[tuple[int, int], ...]:
    """Return the size and the time of change of each file."""
    return tuple(file_state(file) for file in files)


@lru_cache(maxsize=64)
def _reopen(path: str, states: tuple[tuple[int, int], ...]) -> Fileset:
    """Open a fileset that another process had open; it must be as it was there."""
    file = Path(path)
    if file.suffix == ".pgen":
        from prs.inputs.pgen import open_pgen

        fileset = open_pgen(file)
    else:
        fileset = open_fileset(file)
    if _file_states(fileset.files) != states:
        raise FileFormatError(
            "was changed after it was opened, or another machine sees another file there",
            path=file,
            remedy="wait until whatever writes the file has finished, and run again",
        )
    return fileset


class BedRows:
    """The variants of a .bed, read when they are asked for; by slice, index array or number.

    Plain reads, not a map of the file: memory holds what was asked for and no more, however
    large the file, and a file that shrinks meanwhile is an error, not the end of the process.
    Safe to read from several threads.

    Parameters
    ----------
    path : Path
        The .bed.
    n_variants, n_bytes : int
        Rows, and bytes in a row.
    """

    def __init__(self, path: Path, n_variants: int, n_bytes: int) -> None:
        self.path = path
        self.shape = (n_variants, n_bytes)
        self._handle = os.open(path, os.O_RDONLY)
        self._state = file_state(self._handle)
        weakref.finalize(self, os.close, self._handle)

    def __getitem__(self, rows: int | slice | NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return packed rows; shape (m, n_bytes), or (n_bytes,) for one number."""
        if isinstance(rows, int):
            return self[slice(rows, rows + 1)][0]
        packed = self._rows(rows)
        if file_state(self._handle) != self._state:
            raise changed_error(self.path)
        return packed

    def _rows(self, rows: slice | NDArray[np.int64]) -> NDArray[np.uint8]:
        if isinstance(rows, slice):
            start, stop, step = rows.indices(self.shape[0])
            if step == 1:
                out = np.empty((max(stop - start, 0), self.shape[1]), dtype=np.uint8)
                self._read(start, out)
                return out
            rows = np.arange(start, stop, step)
        if len(rows) == 0:
            return np.empty((0, self.shape[1]), dtype=np.uint8)
        first, last = int(rows.min()), int(rows.max())
        if last - first < 2 * len(rows):  # most of a stretch: one read
            span = np.empty((last + 1 - first, self.shape[1]), dtype=np.uint8)
            self._read(first, span)
            return span[rows - first]
        out = np.empty((len(rows), self.shape[1]), dtype=np.uint8)
        edges = [0, *(np.flatnonzero(np.diff(rows) != 1) + 1).tolist(), len(rows)]
        for begin, end in pairwise(edges):
            self._read(int(rows[begin]), out[begin:end])
        return out

    def _read(self, first: int, out: NDArray[np.uint8]) -> None:
        read_at(self._handle, out, 3 + first * self.shape[1], self.path)


def read_at(handle: int, out: NDArray[np.uint8], offset: int, path: Path) -> None:
    """Fill an array from a place of an open file, whatever other threads read of it.

    Raises
    ------
    FileFormatError
        If the file ends before; it was longer when it was opened.
    """
    left = out.reshape(-1).data
    while len(left):
        n_read = os.preadv(handle, [left], offset)
        if n_read == 0:
            raise changed_error(path)
        left, offset = left[n_read:], offset + n_read


def find_filesets(path: str | Path | Sequence[str | Path]) -> list[Path]:
    """Return the .bed and .pgen files that a prefix, a ``chr{chrom}`` template or a list names.

    Parameters
    ----------
    path : str, Path, or sequence of these
        ``folder/name``, ``folder/name.bed`` (or ``.pgen``), or either with ``{chrom}`` in it,
        which stands for 1 to 22, X, Y, XY and MT; the chromosomes that exist are taken, in that
        order. Of a prefix that has both, the .bed is taken. A ``.txt`` or ``.list`` file names
        any of these, one on each line, relative to its own folder.

    Raises
    ------
    FileFormatError
        If there is no such file, or one is listed twice.
    """
    if not isinstance(path, str | Path):
        found = [file for one in path for file in find_filesets(one)]
        if twice := [str(f) for f in dict.fromkeys(found) if found.count(f) > 1]:
            raise FileFormatError(
                "this fileset is listed more than once", path=twice[0], remedy="list each one once"
            )
        return found
    text = str(path)
    if text.endswith(_LISTS):
        lines = read_bytes(path, "list of filesets").decode("utf-8", "replace").splitlines()
        names = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        return find_filesets([Path(path).parent / name for name in names])
    suffixes = [".bed", ".pgen"]
    for known, suffix in _SUFFIXES.items():
        if text.endswith(known):
            text, suffixes = text[: -len(known)], [suffix]
            break

    def find(stem: str) -> Path | None:
        return next((Path(stem + s) for s in suffixes if Path(stem + s).exists()), None)

    if _TEMPLATE not in text:
        return [find(text) or Path(text + suffixes[0])]
    found = [file for c in _CHROMOSOMES if (file := find(text.replace(_TEMPLATE, c)))]
    if not found:
        raise FileFormatError(
            f"no {' or '.join(suffixes)} file for any chromosome",
            path=path,
            remedy=f"{_TEMPLATE} is replaced by 1 to 22, X, Y, XY, MT: for chromosome 1, "
            f"{text.replace(_TEMPLATE, '1')}{suffixes[0]} was tried",
        )
    return found


def open_fileset(bed: Path) -> Fileset:
    """Open one .bed with the .bim and .fam beside it, and check that they fit.

    Raises
    ------
    FileFormatError
        If a file is missing or empty, the magic number is wrong, or the .bed's size is not
        that of the .bim's variants by the .fam's people.
    """
    stem = str(bed)[:-4]
    for suffix in (".bed", ".bim", ".fam"):
        existing_file(stem + suffix, f"{suffix} file")
    variants, genetic_position = read_bim(Path(stem + ".bim"))
    samples = read_fam(Path(stem + ".fam"))
    with bed.open("rb") as stream:
        magic = stream.read(3)
    if magic != _MAGIC:
        kind = (
            "sample-major, as very old PLINK wrote"
            if magic == b"\x6c\x1b\x00"
            else "not a PLINK 1 .bed file"
        )
        raise FileFormatError(
            f"wrong magic number {magic.hex(' ')} (expected {_MAGIC.hex(' ')}): {kind}",
            path=bed,
            remedy="write the file again with `plink2 --make-bed`",
        )
    n, m = len(samples), len(variants)
    n_bytes = (n + 3) // 4
    size, expected = bed.stat().st_size, 3 + m * n_bytes
    if size != expected:
        raise FileFormatError(
            f"is {size:,} bytes, but {m:,} variants (.bim) x {n:,} people (.fam) need "
            f"3 + {m:,} x {n_bytes:,} = {expected:,} bytes "
            f"(the size fits {(size - 3) / n_bytes:,.2f} variants)",
            path=bed,
            remedy="the file is truncated, or the .bim or .fam belongs to another .bed: "
            "copy all three again from one place",
        )
    packed = BedRows(bed, m, n_bytes)
    _check_with_bed_reader(bed, packed, n, m)
    files = (bed, Path(stem + ".bim"), Path(stem + ".fam"))
    return Fileset(bed, packed, variants, genetic_position, samples, files)


def _check_with_bed_reader(bed: Path, packed: PackedRows, n: int, m: int) -> None:
    """Open the file with bed-reader as well, and compare its last variant with ours."""
    from bed_reader import open_bed

    try:
        with open_bed(bed, iid_count=n, sid_count=m, count_A1=True, num_threads=1) as reader:
            theirs = reader.read(m - 1, dtype="int8")[:, 0]
    except (OSError, ValueError) as error:
        raise FileFormatError(f"bed-reader cannot read it: {error}", path=bed) from error
    codes = (packed[m - 1][:, None] >> np.array([0, 2, 4, 6], dtype=np.uint8)) & 3
    ours = np.array([2, -127, 1, 0], dtype=np.int8)[codes.ravel()[:n]]
    if not np.array_equal(ours, theirs):
        raise FileFormatError("the last variant reads otherwise with bed-reader", path=bed)


def _read_table(path: Path, columns: tuple[str, ...], types: dict[str, str]) -> pd.DataFrame:
    """Parse a whitespace-separated table without header; any fault names its line."""
    data = read_bytes(path, f"{path.suffix} file")
    options: dict[str, Any] = {
        "sep": "\t" if _is_plain(data) else r"\s+",  # the first is parsed faster
        "header": None,
        "names": list(columns),
        "index_col": False,
        "quoting": 3,
        "keep_default_na": False,
        "na_values": [],
        "engine": "c",
        "encoding_errors": "replace",
    }
    if not _widths_fit(data, len(columns)):
        raise _first_fault(path, data, columns, types, None)
    try:
        frame = pd.read_csv(io.BytesIO(data), dtype=types, **options)
    except (ValueError, OverflowError, pd.errors.ParserError) as error:
        raise _first_fault(path, data, columns, types, error) from error
    # a row that is one cell short is padded in silence; its last cell comes out missing
    if _is_blank(frame[columns[-1]]).any():
        raise _first_fault(path, data, columns, types, None)
    return frame


def _is_plain(data: bytes) -> bool:
    """Whether all cells are parted by single tabs."""
    blank = np.frombuffer(data, dtype=np.uint8) <= ord(" ")
    return b" " not in data and not blank[0] and not np.any(blank[1:] & blank[:-1])


def _is_blank(column: pd.Series) -> NDArray[np.bool_]:
    return (column.isna() | (column == "")).to_numpy(dtype=bool)


def _widths_fit(data: bytes, n_columns: int) -> bool:
    """Whether the first row has `n_columns` cells (pandas takes the width from `names`)."""
    first = next(line for line in io.BytesIO(data) if line.strip())
    return len(first.split()) == n_columns


def _first_fault(
    path: Path,
    data: bytes,
    columns: tuple[str, ...],
    types: dict[str, str],
    error: Exception | None,
) -> PrsError:
    """Find the first line that has a wrong number of cells or a cell of the wrong type."""
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), start=1):
        cells = line.split()
        if not cells:
            continue
        if len(cells) != len(columns):
            return FileFormatError(
                f"{len(cells)} columns, where a {path.suffix} file has {len(columns)} "
                f"({' '.join(columns)})",
                path=path,
                line=number,
                rows=[line[:80]],
            )
        for cell, name in zip(cells, columns, strict=True):
            kind = types[name]
            pattern = r"[+-]?\d{1,18}" if kind == "int64" else r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?"
            if kind in ("int64", "float64") and not re.fullmatch(pattern, cell.lower()):
                wanted = "a whole number" if kind == "int64" else "a number"
                return InvalidValueError(
                    f"{name} {cell!r} is not {wanted}",
                    path=path,
                    line=number,
                    column=name,
                    rows=[line[:80]],
                )
    return FileFormatError(f"cannot be parsed ({error})", path=path)


def read_bim(path: Path) -> tuple[VariantTable, NDArray[np.float64]]:
    """Read a .bim: the variants in file order (A1 is the effect allele), and their cM positions.

    Raises
    ------
    FileFormatError
        If the file is empty or a line does not have six columns.
    InvalidValueError
        If a position is not a whole number, or negative.
    """
    types = dict(
        zip(
            _BIM_COLUMNS,
            ("category", "str", "float64", "int64", "category", "category"),
            strict=True,
        )
    )
    frame = _read_table(path, _BIM_COLUMNS, types)
    position = frame["position"].to_numpy()
    bad = np.flatnonzero((position < 0) | (position >= 2**29))
    if len(bad):
        raise InvalidValueError(
            f"{len(bad):,} positions are negative or beyond 2^29",
            path=path,
            line=int(bad[0]) + 1,
            column="position",
            rows=[f"{frame['id'].iloc[i]} {position[i]}" for i in bad[:5]],
            n_rows=len(bad),
            remedy="remove these variants (PLINK leaves out those with a negative position)",
        )
    variants = VariantTable(
        chromosome_codes(frame["chromosome"].array),
        position,
        frame["id"].to_numpy(dtype=object),
        frame["A1"].array,
        frame["A2"].array,
    )
    return variants, frame["cM"].to_numpy()


def read_fam(path: Path) -> SampleTable:
    """Read a .fam: the people in file order.

    Raises
    ------
    FileFormatError
        If the file is empty or a line does not have six columns.
    InvalidValueError
        If a person (FID and IID) is listed twice.
    """
    frame = _read_table(path, _FAM_COLUMNS, dict.fromkeys(_FAM_COLUMNS, "object"))
    twice = np.flatnonzero(frame.duplicated(["FID", "IID"]).to_numpy())
    if len(twice):
        raise InvalidValueError(
            f"{len(twice):,} people are listed more than once",
            path=path,
            line=int(twice[0]) + 1,
            rows=[f"{frame['FID'].iloc[i]} {frame['IID'].iloc[i]}" for i in twice[:5]],
            n_rows=len(twice),
            remedy="give each person an id of their own",
        )
    male, female = frame["sex"] == "1", frame["sex"] == "2"
    sex = np.where(male, 1, np.where(female, 2, 0)).astype(np.int8)
    founder = ((frame["father"] == "0") & (frame["mother"] == "0")).to_numpy(dtype=bool)
    return SampleTable(
        frame["FID"].to_numpy(dtype=object), frame["IID"].to_numpy(dtype=object), sex, founder
    )
