"""Reading and harmonising summary statistics beside gwaslab, in turn, on one generated file.

    python -m benchmarks.sumstats [FOLDER] [--rows 10000000] [--gwaslab PYTHON] [--repeat 3]

prs reads a gzipped GWAS-SSF table, checks and derives, and puts it on a panel of an eighth of
its variants; gwaslab reads the same file and runs its basic_check (ids, chromosomes, positions,
alleles, sanity), which is less. Each is a process of its own, the two in turn; medians are shown,
with CPU time and peak memory. gwaslab is found where it can be imported, or in the Python given.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

Row = dict[str, Any]
HEADINGS = ("task", "program", "threads", "seconds", "cpu", "peak_mb", "ratio")
CHUNK = 1_000_000

PRS = """
import sys
import numpy as np
from prs.inputs.harmonise import harmonise
from prs.inputs.sumstats import read_sumstats
statistics = read_sumstats(sys.argv[1], population="EUR")
panel = statistics.variants.take(np.arange(0, len(statistics), 8))
found = harmonise(statistics, panel, eaf=statistics.eaf[::8].copy())
print(len(statistics), len(found))
"""
GWASLAB = """
import sys
import gwaslab
found = gwaslab.Sumstats(
    sys.argv[1], rsid="rsid", chrom="chromosome", pos="base_pair_location", ea="effect_allele",
    nea="other_allele", beta="beta", se="standard_error", eaf="effect_allele_frequency",
    p="p_value", n="n", build="19", verbose=False,
)
found.basic_check(verbose=False)
print(len(found.data))
"""


def make_file(path: Path, n_rows: int) -> None:
    """Write a GWAS-SSF table of `n_rows` variants with one standard error for each frequency."""
    rng = np.random.default_rng(1)
    letters = np.array(list("ACGT"))
    with gzip.open(path, "wb", compresslevel=1) as handle:
        for start in range(0, n_rows, CHUNK):
            i = np.arange(start, min(start + CHUNK, n_rows))
            first = rng.integers(0, 4, len(i))
            eaf = rng.uniform(0.01, 0.99, len(i)).round(4)
            se = (1 / np.sqrt(2 * eaf * (1 - eaf) * 300_000)).round(7)
            beta = (rng.normal(size=len(i)) * 1.2 * se).round(6)
            frame = pd.DataFrame(
                {
                    "chromosome": i * 22 // n_rows + 1,
                    "base_pair_location": i % (n_rows // 22 + 1) * 20 + 1000,
                    "effect_allele": letters[first],
                    "other_allele": letters[(first + rng.integers(1, 4, len(i))) % 4],
                    "beta": beta,
                    "standard_error": se,
                    "effect_allele_frequency": eaf,
                    "p_value": _two_sided(beta / se),
                    "rsid": [f"rs{7 * k + 11}" for k in i],
                    "n": 300_000 - rng.integers(0, 5000, len(i)),
                }
            )
            text = frame.to_csv(sep="\t", index=False, header=start == 0, float_format="%.6g")
            handle.write(text.encode())


def _two_sided(z: np.ndarray) -> np.ndarray:
    from scipy.stats import norm

    return 2 * norm.sf(np.abs(z))


def measure(python: str, code: str, path: Path) -> tuple[float, float, float]:
    """Return wall seconds, CPU seconds and peak memory (MB) of a child process."""
    start = time.perf_counter()
    with tempfile.TemporaryFile() as output:
        child = subprocess.Popen([python, "-c", code, str(path)], stdout=output, stderr=output)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - start
        if child.returncode:
            output.seek(0)
            raise SystemExit(f"{python}: {output.read().decode()[-2000:]}")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def find_gwaslab(given: str | None) -> str | None:
    """Return a Python that has gwaslab, or None."""
    if given:
        return given
    return sys.executable if importlib.util.find_spec("gwaslab") else None


def benchmark(
    folder: Path, n_rows: int = 1_000_000, gwaslab: str | None = None, repeat: int = 3
) -> list[Row]:
    """Measure both programs in turn and return one row each."""
    path = folder / f"gwas.{n_rows}.tsv.gz"
    if not path.exists():
        make_file(path, n_rows)
    programs = {"prs": (sys.executable, PRS)}
    python = find_gwaslab(gwaslab)
    if python is not None:
        programs["gwaslab"] = (python, GWASLAB)
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in programs}
    for _ in range(repeat):
        for name, (executable, code) in programs.items():
            found[name].append(measure(executable, code, path))
    rows: list[Row] = []
    for name, runs in found.items():
        seconds, cpu, peak = (statistics.median(column) for column in zip(*runs, strict=True))
        ours = statistics.median(run[0] for run in found["prs"])
        task = f"read and {'harmonise' if name == 'prs' else 'check'} {n_rows:,} rows"
        rows.append(
            dict(zip(HEADINGS, (task, name, "2", seconds, cpu, peak, seconds / ours), strict=True))
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--gwaslab", metavar="PYTHON")
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        rows = benchmark(folder, options.rows, options.gwaslab, options.repeat)
    print("{:<34}{:<10}{:>8}{:>10}{:>10}{:>10}{:>8}".format(*HEADINGS))
    for row in rows:
        print(
            "{task:<34}{program:<10}{threads:>8}{seconds:>10.2f}{cpu:>10.2f}{peak_mb:>10.0f}"
            "{ratio:>8.2f}".format(**row)
        )


if __name__ == "__main__":
    main()
