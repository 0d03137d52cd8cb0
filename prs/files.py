"""Reading and writing files safely: plain or compressed text in, whole files or none out."""

from __future__ import annotations

import gzip
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from prs.errors import FileFormatError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["existing_file", "read_bytes", "write_atomically", "write_table"]


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


def read_bytes(path: str | Path, what: str = "file") -> bytes:
    """Return the content of a file, decompressed when its first bytes say gzip (or bgzip).

    Parameters
    ----------
    path : str or Path
        The file; its extension plays no part.
    what : str
        What the file should be, for messages.

    Raises
    ------
    FileFormatError
        If the file is missing, empty, or a gzip stream that is truncated or damaged.
    """
    path = existing_file(path, what)
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (EOFError, gzip.BadGzipFile, OSError, ValueError) as error:
            raise FileFormatError(
                f"truncated or damaged gzip file ({error})",
                path=path,
                remedy="download or copy the file again and compare its size or checksum",
            ) from error
        except Exception as error:
            if type(error).__module__ != "zlib":
                raise
            raise FileFormatError(
                f"damaged gzip file ({error})",
                path=path,
                remedy="download or copy the file again and compare its size or checksum",
            ) from error
    if not data.strip():
        raise FileFormatError(f"{what} is empty", path=path)
    return data


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
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(
        dir=path.parent, prefix=f".{path.name}.", suffix=f".tmp{path.suffix}"
    )
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


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
