"""What made a result: versions, settings, seed and input digests, beside every output."""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from prs.files import existing_file, write_atomically

__all__ = ["Provenance", "digest_file", "digest_inputs", "digest_settings", "package_versions"]

_PACKAGES = ("prs", "numpy", "scipy", "pandas", "numba", "statsmodels", "bed-reader", "h5py")
#: Files larger than this are digested by size, time of change, and their two ends.
WHOLE_FILE_LIMIT = 2**28
_END = 2**22


def digest_file(path: str | Path) -> str:
    """Return a SHA-256 of a file's content.

    A file of more than 256 MiB (genotypes) is digested by its size, its time of change and
    its first and last 4 MiB, marked ``ends:``: hashing it whole would take as long as using it.

    Raises
    ------
    FileFormatError
        If the file does not exist or cannot be read.
    """
    path = existing_file(path)
    status = path.stat()
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        if status.st_size <= WHOLE_FILE_LIMIT:
            while chunk := handle.read(2**22):
                digest.update(chunk)
            return f"sha256:{digest.hexdigest()}"
        digest.update(f"{status.st_size} {status.st_mtime_ns}".encode())
        digest.update(handle.read(_END))
        handle.seek(-_END, 2)
        digest.update(handle.read(_END))
    return f"ends:{digest.hexdigest()}"


def digest_inputs(paths: Iterable[str | Path]) -> dict[str, str]:
    """Return file name -> digest, in the order given."""
    return {str(path): digest_file(path) for path in paths}


def digest_settings(settings: object) -> str:
    """Return a SHA-256 of anything that JSON can hold, whatever the order of its keys."""
    text = json.dumps(settings, sort_keys=True, default=str, allow_nan=True)
    return hashlib.sha256(text.encode()).hexdigest()


def package_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that do the arithmetic."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


@dataclass(frozen=True)
class Provenance:
    """What made a result. Holds no time of day, so that equal runs give equal bytes.

    Attributes
    ----------
    command : str
        The command or function that was called.
    settings : dict
        Its settings.
    seed : int or None
        The seed of everything random in it.
    inputs : dict of str to str
        Input file -> digest (see `digest_file`).
    versions : dict of str to str
        Package -> version.
    machine : str
        Operating system and processor architecture.
    """

    command: str
    settings: Mapping[str, Any]
    seed: int | None
    inputs: Mapping[str, str]
    versions: Mapping[str, str] = field(default_factory=package_versions)
    machine: str = f"{platform.system()} {platform.machine()}"

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain containers."""
        return asdict(self)

    def write(self, path: str | Path) -> Path:
        """Write as JSON and return the path."""
        with write_atomically(path) as temporary:
            temporary.write_text(
                json.dumps(self.to_dict(), indent=2, sort_keys=True, default=str) + "\n",
                encoding="utf-8",
            )
        return Path(path)


def command_line() -> str:
    """Return the command of this process as a user would type it."""
    return " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
