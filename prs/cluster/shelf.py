"""Objects in files: how work and large results pass between processes on any machine.

A file holds a pickle whose arrays lie outside of it, each at a multiple of 64 bytes, so that
whoever opens it maps them into memory instead of copying them: ten workers of one machine share
one copy of an LD panel. The files are made and read by one user's own processes, in a folder of
theirs, and live as long as one call.
"""

from __future__ import annotations

import mmap
import pickle
import struct
from io import BytesIO
from pathlib import Path
from typing import Any

from prs.files import write_atomically

__all__ = ["load_object", "pack_object", "save_object"]

_MAGIC = b"prs shelf 1\n"
_ALIGN = 64
_COUNT = struct.Struct("<Q")


def pack_object(thing: Any) -> tuple[bytes, list[memoryview]]:
    """Return a pickle and the buffers of the arrays that lie outside of it.

    Functions that no module holds (closures) are pickled by value.
    """
    import cloudpickle

    buffers: list[pickle.PickleBuffer] = []
    stream = BytesIO()
    cloudpickle.Pickler(stream, protocol=5, buffer_callback=buffers.append).dump(thing)
    return stream.getvalue(), [buffer.raw() for buffer in buffers]


def save_object(path: Path, packed: tuple[bytes, list[memoryview]]) -> None:
    """Write what `pack_object` returned, whole or not at all."""
    data, buffers = packed
    pieces: list[bytes | memoryview] = [data, *buffers]
    head = _MAGIC + _COUNT.pack(len(pieces))
    head += b"".join(_COUNT.pack(len(piece)) for piece in pieces)
    with write_atomically(path) as temporary, temporary.open("wb") as stream:
        stream.write(head)
        for piece in pieces:
            stream.write(b"\0" * (-stream.tell() % _ALIGN))
            stream.write(piece)


def load_object(path: Path) -> Any:
    """Return the object of a file; its arrays are maps of the file, private and writable."""
    with path.open("rb") as stream:
        content = memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY))
    at = len(_MAGIC)
    (count,) = _COUNT.unpack_from(content, at)
    sizes = [_COUNT.unpack_from(content, at + 8 * (1 + i))[0] for i in range(count)]
    at += 8 * (1 + count)
    pieces = []
    for size in sizes:
        at += -at % _ALIGN
        pieces.append(content[at : at + size])
        at += size
    return pickle.loads(pieces[0], buffers=pieces[1:])
