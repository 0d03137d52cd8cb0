"""Reading and harmonising summary statistics beside gwaslab, in turn, on one generated file.

    python -m benchmarks.sumstats [FOLDER] [--rows 10000000] [--gwaslab PYTHON] [--repeat 3]

prs reads a gzipped GWAS-SSF table, checks and derives, and puts it on a panel of an eighth of its
variants (position and alleles, either order and strand, palindromes by frequency, duplicates, a
fate for each row). gwaslab reads the same file and runs its basic_check (ids, chromosomes,
positions, alleles, sanity); in a second run it also puts the alleles on a reference, as its
harmonize does without a network: check_ref against a FASTA file, flip_allele_stats. That FASTA has
the other allele at each position, so nothing is to be flipped, and strands and palindromes, for
which it would need a VCF of frequencies, are left out: gwaslab does less than prs in both runs.
Each run is a process of its own, all in turn; medians are shown, with CPU time and peak memory.
gwaslab is found where it can be imported, or in the Python given.
"""

from __future__ import annotations

import argparse
import gzip
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.methods.launch import Cost, interpreter, run

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
if len(sys.argv) > 2:
    found.check_ref(ref_seq=sys.argv[2], verbose=False)
    found.flip_allele_stats(verbose=False)
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


def make_reference(path: Path, fasta: Path) -> None:
    """Write a genome in FASTA that has the other allele at the position of each variant."""
    columns = ["chromosome", "base_pair_location", "other_allele"]
    frame = pd.read_csv(path, sep="\t", usecols=columns)
    with fasta.open("wb") as handle:
        for chrom, rows in frame.groupby("chromosome"):
            bases = np.full(int(rows["base_pair_location"].max()) + 100, ord("A"), dtype=np.uint8)
            letters = rows["other_allele"].to_numpy(dtype="S1").view(np.uint8)
            bases[rows["base_pair_location"].to_numpy() - 1] = letters
            text = bases.tobytes()
            lines = (text[at : at + 60] for at in range(0, len(text), 60))
            handle.write(b">%d\n" % chrom + b"\n".join(lines) + b"\n")


def benchmark(
    folder: Path, n_rows: int = 1_000_000, gwaslab: str | None = None, repeat: int = 3
) -> list[Row]:
    """Measure both programs in turn and return one row each."""
    path = folder / f"gwas.{n_rows}.tsv.gz"
    if not path.exists():
        make_file(path, n_rows)
    programs: dict[str, tuple[str, str, tuple[Path, ...]]] = {
        "read and harmonise": (sys.executable, PRS, (path,))
    }
    python = interpreter(gwaslab, "gwaslab")
    if python is not None:
        fasta = folder / f"gwas.{n_rows}.fa"
        if not fasta.exists():
            make_reference(path, fasta)
        programs["read and check"] = (python, GWASLAB, (path,))
        programs["read, check, align"] = (python, GWASLAB, (path, fasta))
    found: dict[str, list[Cost]] = {name: [] for name in programs}
    for _ in range(repeat):
        for name, (executable, code, arguments) in programs.items():
            command = [executable, "-c", code, *map(str, arguments)]
            found[name].append(run(command, os.cpu_count() or 1))
    rows: list[Row] = []
    ours = statistics.median(cost.wall for cost in found["read and harmonise"])
    for name, costs in found.items():
        measured = zip(*((cost.wall, cost.cpu, cost.peak_mb) for cost in costs), strict=True)
        seconds, cpu, peak = (statistics.median(column) for column in measured)
        program = "prs" if name == "read and harmonise" else "gwaslab"
        cells = (f"{name} {n_rows:,} rows", program, "2", seconds, cpu, peak, seconds / ours)
        rows.append(dict(zip(HEADINGS, cells, strict=True)))
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
    print("{:<36}{:<10}{:>8}{:>10}{:>10}{:>10}{:>8}".format(*HEADINGS))
    for row in rows:
        print(
            "{task:<36}{program:<10}{threads:>8}{seconds:>10.2f}{cpu:>10.2f}{peak_mb:>10.0f}"
            "{ratio:>8.2f}".format(**row)
        )


if __name__ == "__main__":
    main()
