"""Run a program as a process of its own, with its time and its own peak of memory."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass

#: Starts a program from a process that is itself small: a child's peak begins with its parent's,
#: and the parent is a Python that may hold a cohort. Prints the costs as its last line.
_LAUNCH = """
import json, os, sys, time
start = time.perf_counter()
process = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(process, 0)
seconds = time.perf_counter() - start, usage.ru_utime + usage.ru_stime
print()
print(json.dumps((*seconds, usage.ru_maxrss / 1024, status)))
"""
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")


@dataclass(frozen=True)
class Cost:
    """What a process took.

    Attributes
    ----------
    wall, cpu : float
        Seconds from start to end, and of its processors.
    peak_mb : float
        Largest resident memory, in MB of 2^20 bytes.
    text : str
        What it wrote to its output and its errors, together.
    """

    wall: float
    cpu: float
    peak_mb: float
    text: str = ""

    def __add__(self, other: Cost) -> Cost:
        """Return the cost of one process after another."""
        peak = max(self.peak_mb, other.peak_mb)
        return Cost(self.wall + other.wall, self.cpu + other.cpu, peak, self.text + other.text)


def run(command: list[str], threads: int) -> Cost:
    """Run a command whose libraries may use so many threads; return what it took.

    Raises
    ------
    RuntimeError
        If it cannot be started or fails.
    """
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _LAUNCH, *command],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        env={**os.environ, **dict.fromkeys(THREADS, str(threads))},
    )  # fmt: skip
    text, _, last = done.stdout.decode("utf-8", "replace").rstrip().rpartition("\n")
    if done.returncode:  # the launcher itself: no such program
        raise RuntimeError(f"{' '.join(command)} did not start:\n{text}\n{last}")
    wall, cpu, peak, status = json.loads(last)
    if status:
        raise RuntimeError(f"{' '.join(command)} failed:\n{text[-2000:]}")
    return Cost(wall, cpu, peak, text)


def program(*names: str) -> str | None:
    """Return the first of some programs that is on the PATH."""
    return next((found for name in names if (found := shutil.which(name))), None)


def interpreter(given: str | None, module: str) -> str | None:
    """Return a Python that has a module: the one given, else this one; None if it lacks it."""
    if given is None:
        with contextlib.suppress(ModuleNotFoundError):  # of the package that a module is in
            return sys.executable if importlib.util.find_spec(module) else None
        return None
    look = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
    found = shutil.which(given)
    if found is None:
        return None
    lacks = subprocess.run([found, "-c", look], stderr=subprocess.DEVNULL, check=False).returncode
    return None if lacks else found


def plink(name: str, arguments: str, threads: int = 1) -> list[str] | None:
    """Return a command of plink1.9 or plink2, or None where it is not on the PATH."""
    found = program(name)
    return None if found is None else [found, "--threads", str(threads), *arguments.split()]
