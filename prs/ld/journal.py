"""Finished blocks of an LD reference that is being made: what a killed run leaves to the next."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from prs.files import errors_of_output

__all__ = ["Journal"]

_MAGIC = b"prs-ld journal 1\n"
#: Of an entry: numbers in the block, bytes that follow, their checksum.
_HEAD = struct.Struct("<QQI")


class Journal:
    """An append-only file of packed blocks, beside the file that is to be made.

    An entry counts only if it is whole: what a killed run had half written is cut off. A journal
    of other LD (another fingerprint) is begun anew.

    Parameters
    ----------
    target : str or Path
        The file to be made; the journal is ``.NAME.partial`` in its folder.
    fingerprint : bytes
        Digest of all that decides the blocks.

    Attributes
    ----------
    path, target : Path
        The journal, and the file to be made.
    n_done : int
        Blocks that it holds.
    """

    def __init__(self, target: str | Path, fingerprint: bytes) -> None:
        self.target = target = Path(target)
        with errors_of_output(target):
            target.parent.mkdir(parents=True, exist_ok=True)
        self.path = target.with_name(f".{target.name}.partial")
        self._start = _MAGIC + fingerprint
        self.n_done = 0
        end = 0
        if self.path.exists():
            with self.path.open("rb") as stream:
                if stream.read(len(self._start)) == self._start:
                    end = stream.tell()
                    while self._next(stream) is not None:
                        self.n_done += 1
                        end = stream.tell()
        with self._writing("r+b" if end else "wb") as stream:
            if end:
                stream.truncate(end)
            else:
                stream.write(self._start)

    def __len__(self) -> int:
        return self.n_done

    @contextmanager
    def _writing(self, mode: str) -> Iterator[IO[bytes]]:
        with errors_of_output(self.target, str(self.path)), self.path.open(mode) as stream:
            yield stream

    def _next(self, stream) -> tuple[int, bytes] | None:  # type: ignore[no-untyped-def]
        """Return the entry at the stream's position, None if there is no whole one."""
        head = stream.read(_HEAD.size)
        if len(head) < _HEAD.size:
            return None
        size, n_bytes, checksum = _HEAD.unpack(head)
        data = stream.read(n_bytes)
        if len(data) < n_bytes or zlib.crc32(data) != checksum:
            return None
        return size, data

    def append(self, size: int, data: bytes) -> None:
        """Add the next block: `size` numbers, packed in `data`; OutputError if there is no room."""
        with self._writing("ab") as stream:
            stream.write(_HEAD.pack(size, len(data), zlib.crc32(data)) + data)
            stream.flush()
            os.fsync(stream.fileno())
        self.n_done += 1

    def entries(self) -> Iterator[tuple[int, bytes]]:
        """Yield (size, data) of all blocks in order."""
        with self.path.open("rb") as stream:
            stream.seek(len(self._start))
            while (entry := self._next(stream)) is not None:
                yield entry

    def remove(self) -> None:
        """Delete the journal."""
        self.path.unlink(missing_ok=True)
