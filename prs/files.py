"""Reading and writing files safely: plain or compressed text in, whole files or none out."""

from __future__ import annotations

import errno
import gzip
import os
import re
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

from prs.errors import FileFormatError, OutputError

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "changed_error",
    "existing_file",
    "file_state",
    "read_bytes",
    "stream_bytes",
    "write_atomically",
    "write_table",
]

#: A compressed file may unpack to this many bytes whatever its own size, and beyond that to
#: this many times its own size.
MAX_UNPACKED = 1 << 30
MAX_RATIO = 300


def existing_file(path: str | Path, what: str = "file") -> Path:
    """Return `path` as a `Path` if it is a readable, non-empty file.

    Parameters
    ----------
    path : str or Path
        The file.
    what : str
        What the file should be, for the message ("summary statistics").

    Raises
    ------
    FileFormatError
        If there is no such file, it is a folder, unreadable, or of zero bytes.
    """
    path = Path(path)
    if not path.exists():
        raise FileFormatError(
            f"no such {what}", path=path, remedy="check the path (relative to where you stand)"
        )
    if path.is_dir():
        raise FileFormatError(f"is a folder, where {what} was expected", path=path)
    if not os.access(path, os.R_OK):
        raise FileFormatError(f"{what} cannot be read (permission denied)", path=path)
    if path.stat().st_size == 0:
        raise FileFormatError(f"{what} is empty (0 bytes)", path=path)
    return path


def file_state(path: str | Path | int) -> tuple[int, int]:
    """Return the size and the time of change of a file (or of an open one, by its number)."""
    status = os.fstat(path) if isinstance(path, int) else Path(path).stat()
    return status.st_size, status.st_mtime_ns


def changed_error(path: str | Path) -> FileFormatError:
    """Return what to tell of a file that is not what it was when its reading began."""
    return FileFormatError(
        "has changed while it was being read",
        path=path,
        remedy="wait until whatever writes the file has finished, and run again",
    )


def _damaged(path: Path, kind: str, error: object) -> FileFormatError:
    return FileFormatError(
        f"truncated or damaged {kind} file ({error})",
        path=path,
        remedy="download or copy the file again and compare its size or checksum",
    )


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Gunzip:
    """gzip members one after the other (bgzip has many), unpacked in large pieces.

    `gzip.GzipFile` asks zlib for a few kilobytes at a time, which takes half as long again.
    """

    def __init__(self, raw: IO[bytes]) -> None:
        self.raw, self.packed = raw, b""
        self.member: zlib._Decompress | None = None

    def read(self, size: int, /) -> bytes:
        """Return `size` bytes, fewer at the end; EOFError or zlib.error if it is damaged."""
        pieces: list[bytes] = []
        while size > 0:
            at_end = False
            if not self.packed:
                self.packed = self.raw.read(1 << 16)
                at_end = not self.packed
            if self.member is None:
                self.packed = self.packed.lstrip(b"\0")  # members may be padded
                if at_end:
                    break
                if not self.packed:
                    continue
                self.member = zlib.decompressobj(31)
            piece = self.member.decompress(self.packed, size)
            if self.member.eof:
                self.packed, self.member = self.member.unused_data, None
            else:
                self.packed = self.member.unconsumed_tail
                if at_end and not piece:
                    raise EOFError("it ends within a compressed block")
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)


@contextmanager
def _decompressed(path: Path) -> Iterator[tuple[_Readable, str]]:
    """Open a file for reading, through whichever decompressor its first bytes ask for."""
    with path.open("rb") as raw:
        magic = raw.read(4)
        raw.seek(0)
        if magic[:2] == b"\x1f\x8b":  # gzip; bgzip is gzip in many members
            yield _Gunzip(raw), "gzip"
        elif magic == b"\x28\xb5\x2f\xfd":
            import zstandard

            with zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True) as stream:
                yield stream, "zstd"
        else:
            yield raw, ""


def stream_bytes(path: str | Path, what: str = "file", size: int = 1 << 26) -> Iterator[bytes]:
    """Yield the content of a file in pieces, decompressed when its first bytes say so.

    gzip, bgzip and zstd are recognised; the extension plays no part.

    Parameters
    ----------
    path : str or Path
        The file.
    what : str
        What the file should be, for messages.
    size : int
        Bytes of a piece; the last one may be smaller.

    Raises
    ------
    FileFormatError
        If the file is missing, empty, a compressed stream that is truncated or damaged, one
        that unpacks to an absurd size (more than a GiB and more than 300 times its own), or one
        that is written or exchanged while it is read.
    """
    path = existing_file(path, what)
    state = file_state(path)
    try:
        yield from _stream(path, what, size, packed=state[0])
    except (FileFormatError, FileNotFoundError) as error:  # since it changes?
        if _has_changed(path, state):
            raise changed_error(path) from error
        raise
    if _has_changed(path, state):
        raise changed_error(path)


def _has_changed(path: Path, state: tuple[int, int]) -> bool:
    try:
        return file_state(path) != state
    except FileNotFoundError:
        return True


def _stream(path: Path, what: str, size: int, packed: int) -> Iterator[bytes]:
    """Yield pieces of a file that has `packed` bytes; see `stream_bytes`."""
    total = 0
    with _decompressed(path) as (stream, kind):
        while True:
            try:
                piece = stream.read(size)
            except (EOFError, OSError, ValueError) as error:
                if not kind:
                    raise
                raise _damaged(path, kind, error) from error
            except Exception as error:  # zlib.error and ZstdError derive from Exception alone
                if type(error).__module__.partition(".")[0] not in ("zlib", "zstandard", "zstd"):
                    raise
                raise _damaged(path, kind, error) from error
            if not piece:
                break
            total += len(piece)
            if total > MAX_UNPACKED and total > MAX_RATIO * packed:
                raise FileFormatError(
                    f"unpacks to more than {total:,} bytes from {packed:,}: not {what}",
                    path=path,
                    remedy="tables shrink 3- to 20-fold; this file is made to fill a machine",
                )
            yield piece
    if kind == "zstd" and not _zstd_is_whole(path):
        raise _damaged(path, kind, "the last frame is cut off")


def _zstd_is_whole(path: Path) -> bool:
    """Whether the last zstd frame ends: the stream reader does not tell a cut one."""
    import zstandard

    with path.open("rb") as raw:
        decompressor = zstandard.ZstdDecompressor().decompressobj()
        while piece := raw.read(1 << 14):  # small: what a piece unpacks to is held
            while piece:
                decompressor.decompress(piece)
                if not decompressor.eof:
                    break
                piece = decompressor.unused_data
                decompressor = zstandard.ZstdDecompressor().decompressobj()
                if not piece:
                    return raw.read(1) == b""
    return False


def read_bytes(path: str | Path, what: str = "file") -> bytes:
    """Return the content of a file, decompressed when its first bytes say gzip, bgzip or zstd.

    Parameters
    ----------
    path : str or Path
        The file; its extension plays no part.
    what : str
        What the file should be, for messages.

    Raises
    ------
    FileFormatError
        See `stream_bytes`; also if there is nothing but white space.
    """
    data = b"".join(stream_bytes(path, what))
    if not data.strip():
        raise FileFormatError(f"{what} is empty", path=path)
    return data


#: Name of a file that is being written.
TEMPORARY_NAME = re.compile(r"\..+\.[a-z0-9_]{8}\.tmp(\..*)?")
#: What stands in the way of writing, and what to do about it.
_REMEDIES = {
    errno.ENOSPC: "free some space, or write to another disk, and run again",
    errno.EDQUOT: "free some space, or ask for a larger quota, and run again",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f), or use another file system",
    errno.EROFS: "choose a folder that you may write to",
    errno.EACCES: "choose a folder that you may write to, or change its permissions",
    errno.EPERM: "choose a folder that you may write to, or change its permissions",
    errno.ENOTDIR: "choose another name: a part of this one is a file and no folder",
    errno.EEXIST: "choose another name: a part of this one is a file and no folder",
    errno.EISDIR: "choose another name: this one is a folder",
    errno.ENAMETOOLONG: "choose a shorter name",
}


def output_error(path: Path, error: OSError, temporary: str | None = None) -> OutputError | None:
    """Return what to tell of an error that came up while `path` was written; None: not of it.

    Parameters
    ----------
    path : Path
        What was to be written.
    error : OSError
        What came up.
    temporary : str, optional
        The name under which it was being written.
    """
    found = re.search(r"errno = (\d+)", str(error))  # HDF5 tells it in words
    code = error.errno or (int(found[1]) if found else None)
    of_another = error.filename is not None and str(error.filename) not in (
        temporary, str(path), *map(str, path.parents)
    )  # fmt: skip
    if of_another or code not in _REMEDIES:
        return None
    return OutputError(
        f"cannot be written: {os.strerror(code)}; nothing half-written was left",
        path=path,
        remedy=_REMEDIES[code],
    )


@contextmanager
def write_atomically(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it onto `path` if the block succeeds.

    A killed or failing run leaves either the old file or the new one, never half of one.

    Parameters
    ----------
    path : str or Path
        The file to be written; its folder is made if it does not exist.

    Yields
    ------
    Path
        Where to write.

    Raises
    ------
    OutputError
        If it cannot be written: the disk is full, or it is not allowed.
    """
    path = Path(path)
    with errors_of_output(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle, name = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.name}.", suffix=f".tmp{path.suffix}"
        )
    except OSError as error:  # of a name that nobody has seen
        raise output_error(path, error, error.filename) or error from error
    os.close(handle)
    temporary = Path(name)
    try:
        with errors_of_output(path, name):
            yield temporary
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def errors_of_output(path: Path, temporary: str | None = None) -> Iterator[None]:
    """Raise `OutputError` for what stands in the way of writing `path`; see `output_error`."""
    try:
        yield
    except OSError as error:
        told = output_error(path, error, temporary)
        if told is None:
            raise
        raise told from error


@cache
def _umask() -> int:
    """Return the process's mask of permissions, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def write_table(frame: pd.DataFrame, path: str | Path) -> Path:
    """Write a frame as a tab-separated file (gzip if the name ends in .gz), whole or not at all.

    Floats are written so that reading returns the same bits; missing values as ``NA``.
    The same frame gives the same bytes (no time in the gzip header).
    """
    data = frame.to_csv(sep="\t", index=False, na_rep="NA", lineterminator="\n").encode()
    if str(path).endswith(".gz"):
        data = gzip.compress(data, compresslevel=6, mtime=0)
    with write_atomically(path) as temporary:
        temporary.write_bytes(data)
    return Path(path)
