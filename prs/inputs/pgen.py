"""PLINK 2 filesets (.pgen, .pvar, .psam) through pgenlib, behind the same doors as a .bed."""

from __future__ import annotations

import io
import logging
import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prs.errors import ColumnError, FileFormatError, InvalidValueError, SettingsError
from prs.files import changed_error, existing_file, file_state, read_bytes
from prs.inputs.pgen_records import PgenIndex, read_pgen_calls, read_pgen_index
from prs.inputs.plink1 import Fileset, read_fam
from prs.samples import SampleTable
from prs.variants import VariantTable, chromosome_codes

__all__ = ["PgenRows", "open_pgen", "read_psam", "read_pvar"]

logger = logging.getLogger(__name__)

_MAGIC = b"\x6c\x1b"
#: Variants decoded at once: their calls, one byte each, stay in the cache or nearly so.
_BATCH_BYTES = 1 << 22
#: Packed rows decoded at once.
_DECODED_BYTES = 1 << 23
_FIXED_WIDTH = (0x01, 0x02)  # storage modes: of a .bed, and of hard calls only


def _import_pgenlib(path: Path) -> ModuleType:
    try:
        import pgenlib
    except ImportError as error:
        raise SettingsError(
            f"{path} is a PLINK 2 file, and pgenlib, which reads them, is not installed",
            remedy="pip install 'prs[pgen]', or write a .bed with `plink2 --pfile ... --make-bed` "
            "(which rounds dosages)",
        ) from error
    return pgenlib


class PgenRows:
    """The variants of a .pgen as packed rows of a .bed, decoded when they are asked for.

    Looks like the two-dimensional array of bytes of a .bed as far as `Genotypes` needs it:
    `shape`, and rows by slice or by index. The effect allele is ALT. Safe to read from several
    threads: each reads through a handle of its own. Files of biallelic hard calls are decoded
    here, four calls a byte; all others (dosages, several alternate alleles, layouts that plink2
    seldom writes) by pgenlib.

    Parameters
    ----------
    path : Path
        The .pgen.
    n_people, n_records : int
        People and variants of the file, as .psam and .pvar say.
    record : ndarray of int64, shape (M,)
        Which of the file's variants the rows are (those with two alleles).
    allele_offsets : ndarray of uintp, shape (n_records + 1,), or None
        Where each variant's alleles start, if any has more than two.
    """

    def __init__(
        self,
        path: Path,
        n_people: int,
        n_records: int,
        record: NDArray[np.int64],
        allele_offsets: NDArray[np.uintp] | None,
    ) -> None:
        self.path = path
        self.n_people = n_people
        self.n_records = n_records
        self.record = record
        self.allele_offsets = allele_offsets
        self.shape = (len(record), (n_people + 3) // 4)
        self._pgenlib = _import_pgenlib(path)
        self._state = file_state(path)
        self._idle: list[Any] = []
        self._lock = threading.Lock()
        with self._handle():
            pass
        index = read_pgen_index(path)
        self.has_dosages = index is None or index.has_dosages
        self._index = index if index and index.is_simple and allele_offsets is None else None
        self._file = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)

    @contextmanager
    def _handle(self) -> Iterator[Any]:
        """Lend a handle that no other thread uses; what pgenlib dislikes becomes our error."""
        with self._lock:
            handle = self._idle.pop() if self._idle else None
        self._check_state()
        try:
            if handle is None:
                options: dict[str, Any] = {
                    "raw_sample_ct": self.n_people,
                    "variant_ct": self.n_records,
                }
                if self.allele_offsets is not None:
                    options["allele_idx_offsets"] = self.allele_offsets
                handle = self._pgenlib.PgenReader(str(self.path).encode(), **options)
            yield handle
            self._check_state()
        except RuntimeError as error:
            self._check_state()
            reason = error.args[0] if error.args else ""
            text = reason.decode() if isinstance(reason, bytes) else str(reason)
            raise self._unreadable(text.strip()) from error
        with self._lock:
            self._idle.append(handle)

    def _check_state(self) -> None:
        """Raise if the file is not what it was when it was opened; one that is gone is open yet."""
        if self.path.exists() and file_state(self.path) != self._state:
            raise changed_error(self.path)

    def __getitem__(self, rows: slice | NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return packed rows (hard calls); shape (m, n_bytes)."""
        from prs.kernels.packed import pack_calls

        records = self.record[rows].astype(np.uint32)
        if self._index is not None:
            return self._decode(self._index, records.astype(np.int64))
        packed = np.empty((len(records), self.shape[1]), dtype=np.uint8)
        size = max(1, _BATCH_BYTES // max(self.n_people, 1))
        calls = np.empty((min(size, len(records)), self.n_people), dtype=np.int8)
        with self._handle() as handle:
            for start in range(0, len(records), size):
                chunk = records[start : start + size]
                handle.read_list(chunk, calls[: len(chunk)])
                pack_calls(calls[: len(chunk)], packed[start : start + len(chunk)])
        return packed

    def _decode(self, index: PgenIndex, records: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Do as `__getitem__` without pgenlib, which gives a byte for each call."""
        packed = np.empty((len(records), self.shape[1]), dtype=np.uint8)
        size = max(1, _DECODED_BYTES // self.shape[1])
        self._check_state()
        for start in range(0, len(records), size):
            chunk = records[start : start + size]
            out = packed[start : start + len(chunk)]
            malformed = read_pgen_calls(self._file, self.path, index, chunk, self.n_people, out)
            if malformed >= 0:
                self._check_state()
                raise self._unreadable(f"the record of variant {malformed + 1:,} is malformed")
        self._check_state()
        return packed

    def _unreadable(self, reason: str) -> FileFormatError:
        return FileFormatError(
            f"cannot be read: {reason}",
            path=self.path,
            remedy="the file is truncated or damaged, or the .pvar or .psam belongs to "
            "another .pgen: copy all three again from one place",
        )

    def read_dosages(
        self, rows: NDArray[np.int64], people: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Return dosages of ALT, NaN where missing; shape (m, n)."""
        records = self.record[rows].astype(np.uint32)
        out = np.empty((len(records), len(people)), dtype=np.float32)
        size = max(1, _BATCH_BYTES // (4 * max(self.n_people, 1)))
        dosages = np.empty((min(size, len(records)), self.n_people), dtype=np.float32)
        with self._handle() as handle:
            for start in range(0, len(records), size):
                chunk = records[start : start + size]
                handle.read_dosages_list(chunk, dosages[: len(chunk)])
                out[start : start + len(chunk)] = dosages[: len(chunk), people]
        out[out < 0] = np.nan
        return out


def open_pgen(pgen: Path) -> Fileset:
    """Open one .pgen with the .pvar (or .pvar.zst) and .psam beside it.

    The effect allele is ALT, as in the .bed that ``plink2 --make-bed`` writes. Variants with
    more than one alternate allele are left out, and their number is logged.

    Raises
    ------
    FileFormatError
        If a file is missing, empty, damaged, or the three do not fit each other.
    SettingsError
        If pgenlib is not installed.
    """
    stem = str(pgen)[:-5]
    existing_file(pgen, ".pgen file")
    with pgen.open("rb") as stream:
        head = stream.read(12)
    if head[:2] != _MAGIC or len(head) < 12:
        raise FileFormatError(
            f"not a PLINK 2 .pgen file (starts with {head[:3].hex(' ')})",
            path=pgen,
            remedy="write the file again with `plink2 --make-pgen`",
        )
    pvar = next((Path(stem + x) for x in (".pvar", ".pvar.zst") if Path(stem + x).exists()), None)
    variants, genetic_position = read_pvar(pvar or Path(stem + ".pvar"))
    psam = Path(stem + ".psam")
    samples = read_psam(existing_file(psam, ".psam file"))
    code, alt = pd.factorize(variants.effect_allele)  # few are distinct
    n_alleles = np.array([2 + text.count(",") for text in alt], dtype=np.int64)[code]
    record = np.flatnonzero(n_alleles == 2)
    offsets = None
    if len(record) < len(variants):
        logger.warning(
            "%s: %d of %d variants have several alternate alleles and were left out; split "
            "them (bcftools norm -m-) to use them",
            pgen,
            len(variants) - len(record),
            len(variants),
        )
        offsets = np.cumsum([0, *n_alleles]).astype(np.uintp)
    rows = PgenRows(pgen, len(samples), len(n_alleles), record, offsets)
    if offsets is not None:
        variants, genetic_position = variants.take(record), genetic_position[record]
    return Fileset(
        pgen,
        rows,
        variants,
        genetic_position,
        samples,
        files=(pgen, pvar or Path(stem + ".pvar"), psam),
        # where the header does not tell, yes: hard calls read as dosages are the same numbers
        dosages=rows.read_dosages if rows.has_dosages and head[2] not in _FIXED_WIDTH else None,
    )


def _read_text(path: Path, what: str) -> bytes:
    if path.suffix != ".zst":
        return read_bytes(path, what)
    try:
        import zstandard
    except ImportError as error:
        raise SettingsError(
            f"{path} is compressed, and the package zstandard, which reads it, is not installed",
            remedy="pip install 'prs[pgen]', or decompress it with `plink2 --zst-decompress`",
        ) from error
    try:
        with existing_file(path, what).open("rb") as stream:
            return zstandard.ZstdDecompressor().stream_reader(stream).read()
    except zstandard.ZstdError as error:
        raise FileFormatError(f"damaged zstd file ({error})", path=path) from error


def _read_table(path: Path, what: str, first: tuple[str, ...]) -> pd.DataFrame:
    """Read a table whose header is the first line that starts with one of the `first` names."""
    data = _read_text(path, what)
    lines = data.splitlines()
    skip = next((i for i, line in enumerate(lines) if not line.startswith(b"##")), len(lines))
    if skip == len(lines) or not lines[skip].startswith(tuple(f.encode() for f in first)):
        raise ColumnError(
            f"no header line that starts with {' or '.join(first)}", path=path, line=skip + 1
        )
    names = lines[skip].decode("utf-8", "replace").lstrip("#").split()
    try:
        frame = pd.read_csv(
            io.BytesIO(data),
            sep=r"\s+" if b"\t" not in lines[skip] else "\t",
            header=None,
            names=names,
            skiprows=skip + 1,
            usecols=[n for n in names if n not in ("INFO", "QUAL", "FILTER", "FORMAT")],
            dtype=str,
            keep_default_na=False,
            na_values=[],
            quoting=3,
            index_col=False,
        )
    except (ValueError, pd.errors.ParserError) as error:
        raise FileFormatError(f"cannot be parsed ({error})", path=path) from error
    short = np.flatnonzero(frame.isna().any(axis=1).to_numpy())
    if len(short):
        raise FileFormatError(
            f"{len(short):,} lines have fewer than {len(names)} columns",
            path=path,
            line=int(short[0]) + skip + 2,
        )
    if len(frame) == 0:
        raise FileFormatError("a header and nothing below it", path=path)
    frame.attrs["first_line"] = skip + 2
    return frame


def read_pvar(path: Path) -> tuple[VariantTable, NDArray[np.float64]]:
    """Read a .pvar: the variants (ALT is the effect allele) and their cM positions.

    Raises
    ------
    FileFormatError, ColumnError
        If the file is missing or empty, or lacks its header.
    InvalidValueError
        If a position is not a whole number.
    """
    frame = _read_table(path, ".pvar file", ("#CHROM",))
    lacking = [name for name in ("CHROM", "POS", "ID", "REF", "ALT") if name not in frame]
    if lacking:
        raise ColumnError(f"no column {', '.join(lacking)}", path=path)
    position = pd.to_numeric(frame["POS"], errors="coerce").to_numpy(dtype=np.float64)
    bad = np.flatnonzero(~((position >= 0) & (position < 2**29) & (position % 1 == 0)))
    if len(bad):
        raise InvalidValueError(
            f"{len(bad):,} positions are not whole numbers from 0 to 2^29",
            path=path,
            line=int(bad[0]) + int(frame.attrs["first_line"]),
            column="POS",
            rows=[f"{frame['ID'].iloc[i]} {frame['POS'].iloc[i]!r}" for i in bad[:5]],
            n_rows=len(bad),
        )
    genetic = np.zeros(len(frame))
    if "CM" in frame:
        genetic = pd.to_numeric(frame["CM"], errors="coerce").fillna(0).to_numpy(np.float64)
    alt = frame["ALT"].replace(".", "")  # no alternate allele was seen
    variants = VariantTable(
        chromosome_codes(frame["CHROM"].to_numpy(dtype=object)),
        position.astype(np.int64),
        frame["ID"].to_numpy(dtype=object),
        alt.to_numpy(dtype=object),
        frame["REF"].to_numpy(dtype=object),
    )
    return variants, genetic


def read_psam(path: Path) -> SampleTable:
    """Read a .psam: the people in file order; without a header it is read as a .fam.

    Raises
    ------
    FileFormatError, ColumnError
        If the file is missing or empty or lacks a column IID.
    InvalidValueError
        If a person is listed twice.
    """
    if not read_bytes(path, ".psam file").lstrip().startswith(b"#"):
        return read_fam(path)
    frame = _read_table(path, ".psam file", ("#FID", "#IID"))
    if "IID" not in frame:
        raise ColumnError("no column IID", path=path)
    keys = [name for name in ("FID", "IID", "SID") if name in frame]
    twice = np.flatnonzero(frame.duplicated(keys).to_numpy())
    if len(twice):
        raise InvalidValueError(
            f"{len(twice):,} people are listed more than once",
            path=path,
            line=int(twice[0]) + int(frame.attrs["first_line"]),
            rows=[str(frame["IID"].iloc[i]) for i in twice[:5]],
            n_rows=len(twice),
            remedy="give each person an id of their own",
        )
    n = len(frame)
    sex = np.zeros(n, dtype=np.int8)
    if "SEX" in frame:
        codes = {"1": 1, "M": 1, "m": 1, "2": 2, "F": 2, "f": 2}
        sex = frame["SEX"].map(codes).fillna(0).to_numpy().astype(np.int8)
    founder = np.ones(n, dtype=bool)
    for parent in ("PAT", "MAT"):
        if parent in frame:
            founder &= (frame[parent] == "0").to_numpy(dtype=bool)
    fid = frame["FID"].to_numpy(dtype=object) if "FID" in frame else np.full(n, "0", dtype=object)
    return SampleTable(fid, frame["IID"].to_numpy(dtype=object), sex, founder)
