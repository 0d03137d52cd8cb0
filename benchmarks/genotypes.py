"""Clumping, scoring and LD beside PLINK, gnomon and NumPy, in turn, on one cohort.

    python -m benchmarks.genotypes [FOLDER] [--people 10000] [--variants 100000]
        [--gnomon PYTHON] [--pgscatalog PYTHON] [--repeat 3] [--only score,clump]

Each measurement is a process of its own and is repeated, the programs in turn; medians are
shown, with CPU time and peak memory. ``prs`` rows give two times: of the whole process (Python's
start and the loading of compiled kernels included), as for the other programs; and of the call
alone, files to result, when the process has made the call once before (``prs, in Python``). Peers
that are not installed are left out, and those that take longer than 5 seconds are run once.
gnomon (pip install gnomon-pgs), in the Python given with --gnomon, is measured by its own call
likewise: from the files, as we are; and where it finds the plan and the sorted weights that its
first call has kept (in the home folder and beside the weights), which saves it parsing and
matching.

pgscatalog-calc makes no scores (as of 0.3.1): it adds up those of plink2 by chromosome and adjusts
them for ancestry, which is what is measured, in a process of its own (its BFGS in Python takes the
time).

A row's ratio is its time over ours; of threads, one thread's time over that of two; of LD, the
share of sgemm's rate, where a block of M variants and N people counts as N M^2 operations (the
half of a product that is symmetric) and sgemm's product of two such matrices as 2 N M^2.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cohort import make_cohort
from benchmarks.genotype_tasks import N_COLUMNS
from benchmarks.methods.launch import interpreter, plink, program, run
from benchmarks.methods.thresholding import find_prsice

Row = dict[str, Any]
HEADINGS = ("task", "program", "threads", "seconds", "cpu", "peak_mb", "ratio")
N_SCORES = 5
#: A peer that takes longer is run once (seconds).
LONG = 5.0
LARGE_PEOPLE, LARGE_VARIANTS, LARGE_CLUMPED = 500_000, 20_000, 4_000


# ---- measuring -------------------------------------------------------------------------------


def _ours(mode: str, task: str, prefix: str, threads: int) -> list[str]:
    return [sys.executable, "-m", "benchmarks.genotype_tasks", mode, task, prefix, str(threads)]


GNOMON = """
import glob, json, os, sys, tempfile, time, gnomon
weights, prefix, keeps = sys.argv[1:4]
stem = weights.removesuffix(".tsv")
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp()
for _ in range(2):
    for old in glob.glob(prefix + "_*.sscore"):
        os.remove(old)
    if keeps == "no":
        os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp()
        for old in glob.glob(stem + ".sorted*"):
            os.remove(old)
    start, cpu = time.perf_counter(), time.process_time()
    gnomon.score(weights, prefix)
    seconds = time.perf_counter() - start, time.process_time() - cpu
print(json.dumps(seconds))
"""


class Bench:
    """Collects rows; the first row of a task is what the others are compared with."""

    def __init__(
        self, prefix: Path, repeat: int, gnomon: str | None, pgscatalog: str | None = None
    ) -> None:
        self.prefix = str(prefix)
        self.repeat = repeat
        self.gnomon = gnomon
        self.pgscatalog = pgscatalog
        self.rows: list[Row] = []

    def compare(self, task: str, threads: int, programs: dict[str, list[str] | None]) -> None:
        """Run the programs in turn, `repeat` times, and note the medians."""
        there = {name: command for name, command in programs.items() if command is not None}
        results: dict[str, list[tuple[float, float, float]]] = {}
        for _ in range(self.repeat):
            for name, command in there.items():
                if "prs" not in name and results.get(name, [(0.0, 0.0, 0.0)])[0][0] > LONG:
                    continue
                inside = command[0] == sys.executable and "--child" in command
                inside = inside or (self.gnomon is not None and command[0] == self.gnomon)
                try:
                    cost = run(command, threads)
                except RuntimeError as error:
                    print(f"{task}: {name} left out: {error}", file=sys.stderr)
                    continue
                wall, cpu = cost.wall, cost.cpu
                if inside:
                    wall, cpu = json.loads(cost.text.strip().splitlines()[-1])
                results.setdefault(name, []).append((wall, cpu, cost.peak_mb))
        own = statistics.median(r[0] for r in results[next(iter(there))])
        for name, values in results.items():
            wall, cpu, peak = (statistics.median(v[i] for v in values) for i in range(3))
            self.add(task, name, threads, wall, cpu, peak, wall / own)

    def add(
        self,
        task: str,
        program: str,
        threads: int,
        seconds: float,
        cpu: float = float("nan"),
        peak_mb: float = float("nan"),
        ratio: float = float("nan"),
    ) -> None:
        """Note and print one row."""
        row = dict(
            zip(HEADINGS, (task, program, threads, seconds, cpu, peak_mb, ratio), strict=True)
        )
        self.rows.append(row)
        print(format_row(row), flush=True)

    def ours(self, task: str, threads: int = 1, prefix: str | None = None) -> dict[str, list[str]]:
        """Return our two commands for a task."""
        prefix = prefix or self.prefix
        return {
            "prs, in Python": _ours("--child", task, prefix, threads),
            "prs, whole process": _ours("--once", task, prefix, threads),
        }

    def gnomon_score(self, weights: str, keeps_plan: str) -> list[str] | None:
        """Return gnomon's command, or None without gnomon."""
        if self.gnomon is None:
            return None
        file = Path(self.prefix).with_name(f"{weights}.tsv")
        return [self.gnomon, "-c", GNOMON, str(file), self.prefix, keeps_plan]


def format_row(row: Row) -> str:
    def show(value: float, digits: int) -> str:
        return "-" if value != value else f"{value:,.{digits}f}"

    return (
        f"{row['task']:34} {row['program']:24} {row['threads']:>3} {show(row['seconds'], 2):>9} "
        f"{show(row['cpu'], 2):>8} {show(row['peak_mb'], 0):>8} {show(row['ratio'], 2):>7}"
    )


def _has_option(name: str, option: str) -> bool:
    found = program(name)
    if found is None:
        return False
    return f"{option} " in run([found, "--help", option], 1).text.replace("\n", " ")


# ---- the tasks -------------------------------------------------------------------------------


def measure_score(bench: Bench) -> None:
    prefix = bench.prefix
    pgen = Path(f"{prefix}.pgen")
    if program("plink2") and not pgen.exists():
        run(["plink2", "--bfile", prefix, "--make-pgen", "--out", prefix], 2)
    for weights, task, columns in (("score", "score", 1), ("score50", "score50", N_COLUMNS)):
        numbers = "6" if columns == 1 else f"6-{5 + columns}"
        options = (
            f"--score {prefix}.{weights} 3 4 header-read cols=+scoresums "
            f"--score-col-nums {numbers} --out {prefix}.out"
        )
        plink19 = f"--bfile {prefix} --score {prefix}.{weights} 3 4 6 header sum --out {prefix}.out"
        bench.compare(
            f"score, {columns} column{'s' * (columns > 1)}, .bed",
            1,
            {
                **bench.ours(task),
                "plink1.9": plink("plink1.9", plink19) if columns == 1 else None,
                "plink2": plink("plink2", f"--bfile {prefix} {options}"),
                "gnomon": bench.gnomon_score(f"gnomon{columns}", "no"),
                "gnomon, plan kept": bench.gnomon_score(f"gnomon{columns}", "yes"),
                "bed-reader + NumPy": (
                    _ours("--once", "numpy", prefix, 1) if columns == 1 else None
                ),
            },
        )
        if pgen.exists():
            try:
                import pgenlib  # noqa: F401
            except ImportError:
                continue
            bench.compare(
                f"score, {columns} column{'s' * (columns > 1)}, .pgen",
                1,
                {
                    **bench.ours(task, prefix=str(pgen)),
                    "plink2": plink("plink2", f"--pfile {prefix} {options}"),
                },
            )


def measure_threads(bench: Bench) -> None:
    for task in ("kernel", "clump", "pairs", "ld"):
        times: dict[int, list[float]] = {}
        for _ in range(bench.repeat):
            for threads in (1, 2):
                text = run(_ours("--child", task, bench.prefix, threads), threads).text
                times.setdefault(threads, []).append(json.loads(text.splitlines()[-1])[0])
        one, two = (statistics.median(times[threads]) for threads in (1, 2))
        name = {"kernel": f"score, {N_COLUMNS} columns"}.get(task, task)
        bench.add(f"threads: {name}", "prs, in Python", 1, one)
        bench.add(f"threads: {name}", "prs, in Python", 2, two, ratio=one / two)


def measure_clump(bench: Bench) -> None:
    prefix = bench.prefix
    options = (
        f"--bfile {prefix} --clump {prefix}.assoc --clump-p1 1 --clump-p2 1 --clump-r2 0.1 "
        f"--clump-kb 250 --out {prefix}.out"
    )
    bench.compare(
        "clump, r2 0.1, 250 kb, all p",
        1,
        {
            **bench.ours("clump"),
            "plink1.9": plink("plink1.9", options),
            "plink2": plink("plink2", options) if _has_option("plink2", "--clump") else None,
        },
    )


def measure_grid(bench: Bench) -> None:
    prsice = find_prsice()
    command = None
    if prsice is not None:
        command = (
            f"{prsice} --base {bench.prefix}.assoc --target {bench.prefix} --beta --stat BETA "
            f"--binary-target T --thread 1 --out {bench.prefix}.prsice"
        ).split()
    bench.compare(
        "C+T grid 3 x 3 x 10 with scores", 1, {**bench.ours("grid"), "PRSice, one run": command}
    )


def measure_pairs(bench: Bench) -> None:
    window = "--ld-window-kb 250 --ld-window 9999999 --ld-window-r2 0.2"
    prefix = bench.prefix
    bench.compare(
        "r2 of pairs within 250 kb, dosage",
        1,
        {
            **bench.ours("pairs"),
            "plink1.9": plink("plink1.9", f"--bfile {prefix} --r2 {window} --out {prefix}.out"),
            "plink2": (
                plink("plink2", f"--bfile {prefix} --r2-unphased {window} --out {prefix}.out")
                if _has_option("plink2", "--r2-unphased")
                else None
            ),
        },
    )
    bench.compare(
        "r2 of pairs within 250 kb, haplotype",
        1,
        {
            **bench.ours("haplotype_pairs"),
            "plink1.9": plink(
                "plink1.9", f"--bfile {prefix} --r2 dprime {window} --out {prefix}.out"
            ),
        },
    )


def measure_ld(bench: Bench) -> None:
    """Compute correlation blocks from the .bed, against a product of their size by sgemm."""
    text = run(_ours("--ld", "", bench.prefix, 1), 1).text
    for size, block, sgemm in json.loads(text.splitlines()[-1]):
        task = f"LD block of {size:,} variants"
        bench.add(task, "prs, in Python", 1, block, ratio=sgemm / 2 / block)
        bench.add(task, "sgemm, two matrices", 1, sgemm)


def write_ancestry(path: Path, n_reference: int = 2500, n_target: int = 10_000) -> None:
    """Write scores whose mean and variance depend on four components, of three groups of people."""
    rng = np.random.default_rng(1)
    centres = np.array([[0.0, 0, 0, 0], [4, 1, 0, 0], [2, 4, 1, 0]])
    made: dict[str, np.ndarray] = {}
    for name, n in (("reference", n_reference), ("target", n_target)):
        group = rng.integers(0, 3, n)
        pcs = centres[group] + rng.normal(size=(n, 4))
        noise = np.exp(0.2 * pcs[:, :1]) * rng.normal(size=(n, N_SCORES))
        made[f"{name}_scores"] = (pcs @ [0.5, -0.2, 0.1, 0])[:, None] + noise
        made[f"{name}_pcs"] = pcs
        made[f"{name}_labels"] = np.array(["EUR", "AFR", "EAS"])[group]
    np.savez(path, **made)


def measure_normalise(bench: Bench) -> None:
    """Adjust scores for ancestry; scores themselves pgscatalog-calc does not make."""
    path = Path(f"{bench.prefix}.ancestry.npz")
    if not path.exists():
        write_ancestry(path)
    python = interpreter(bench.pgscatalog, "pgscatalog.calc")
    script = str(Path(__file__).with_name("pgs_adjust.py"))
    command = None
    if python is not None:
        command = [python, script, str(path), f"{bench.prefix}.out.calc.npz"]
    bench.compare(
        f"adjust {N_SCORES} scores for ancestry",
        1,
        {**bench.ours("normalise"), "pgscatalog-calc": command},
    )


def make_large(folder: Path) -> Path:
    """Write half a million people, their calls drawn from few distinct rows; return the prefix."""
    folder.mkdir(exist_ok=True)
    prefix = folder / "cohort"
    n_bytes = -(-LARGE_PEOPLE // 4)
    size = 3 + LARGE_VARIANTS * n_bytes
    bed = prefix.with_suffix(".bed")
    if bed.exists() and bed.stat().st_size == size and prefix.with_suffix(".assoc").exists():
        return prefix
    rng = np.random.default_rng(1)
    stock = rng.choice(
        np.array([0b11, 0b10, 0b00, 0b01], np.uint8),
        p=[0.6, 0.3, 0.09, 0.01],
        size=(64, 4 * n_bytes),
    ).reshape(64, n_bytes, 4)
    rows = stock[..., 0] | stock[..., 1] << 2 | stock[..., 2] << 4 | stock[..., 3] << 6
    p = rng.random(LARGE_CLUMPED)
    names = [f"v{j}" for j in range(LARGE_VARIANTS)]
    pos = [1000 * j + 1 for j in range(LARGE_VARIANTS)]
    with prefix.with_suffix(".bim").open("w") as bim, (folder / "cohort.score").open("w") as w:
        w.write("chrom\tpos\tid\teffect_allele\tother_allele\tW1\n")
        for j in range(LARGE_VARIANTS):
            bim.write(f"1\t{names[j]}\t0\t{pos[j]}\tA\tG\n")
            w.write(f"1\t{pos[j]}\t{names[j]}\tA\tG\t{(-1) ** j * 0.01 * (j % 7)}\n")
    with prefix.with_suffix(".assoc").open("w") as assoc:
        assoc.write("CHR\tSNP\tBP\tA1\tA2\tBETA\tSE\tN\tP\n")
        for j in range(LARGE_CLUMPED):
            assoc.write(f"1\t{names[j]}\t{pos[j]}\tA\tG\t0.01\t0.01\t500000\t{p[j]:.6g}\n")
    with prefix.with_suffix(".fam").open("w") as fam:
        fam.writelines(f"0\ti{i}\t0\t0\t{1 + i % 2}\t-9\n" for i in range(LARGE_PEOPLE))
    with bed.open("wb") as stream:
        stream.write(b"\x6c\x1b\x01")
        for j in range(LARGE_VARIANTS):
            stream.write(rows[j % 64].tobytes())
    return prefix


def measure_memory(bench: Bench) -> None:
    """Score and clump a file of half a million people, and look at the peak."""
    prefix = make_large(Path(bench.prefix).parent / "large")
    options = f"--bfile {prefix} --out {prefix}.out"
    score = f"{options} --score {prefix}.score 3 4 6 header-read cols=+scoresums"
    clump = (
        f"{options} --clump {prefix}.assoc --clump-p1 1 --clump-p2 1 --clump-r2 0.1 --clump-kb 250"
    )
    for task, n_variants, program_, command in (
        ("score", LARGE_VARIANTS, "plink2", plink("plink2", score)),
        ("clump", LARGE_CLUMPED, "plink1.9", plink("plink1.9", clump)),
    ):
        name = f"{task} {LARGE_PEOPLE:,} x {n_variants:,}"
        ours = run(_ours("--once", task, str(prefix), 1), 1)
        bench.add(name, "prs, whole process", 1, ours.wall, ours.cpu, ours.peak_mb)
        if command is not None:
            theirs = run(command, 1)
            bench.add(
                name, program_, 1, theirs.wall, theirs.cpu, theirs.peak_mb, theirs.wall / ours.wall
            )


TASKS: dict[str, Callable[[Bench], None]] = {
    "score": measure_score,
    "threads": measure_threads,
    "clump": measure_clump,
    "grid": measure_grid,
    "pairs": measure_pairs,
    "ld": measure_ld,
    "memory": measure_memory,
    "normalise": measure_normalise,
}


def write_gnomon_weights(prefix: Path) -> None:
    """Write the weights in the format that gnomon reads."""
    import pandas as pd

    for columns, suffix in ((1, "score"), (N_COLUMNS, f"score{N_COLUMNS}")):
        path = prefix.with_name(f"gnomon{columns}.tsv")  # its cache goes by the stem of the name
        if path.exists():
            continue
        frame = pd.read_csv(f"{prefix}.{suffix}", sep="\t")
        key = frame["chrom"].astype(str) + ":" + frame["pos"].astype(str)
        out = frame[["effect_allele", "other_allele"]].copy()
        out.insert(0, "variant_id", key)
        out = pd.concat([out, frame.iloc[:, 5:]], axis=1)
        out.to_csv(path, sep="\t", index=False)


def measure(
    folder: str | Path | None = None,
    *,
    people: int = 10_000,
    variants: int = 100_000,
    gnomon: str | None = None,
    pgscatalog: str | None = None,
    repeat: int = 3,
    only: list[str] | None = None,
) -> list[Row]:
    """Make the cohort if it is not there, run the tasks, and return one row a measurement."""
    folder = Path(folder or Path(tempfile.gettempdir()) / "prs-benchmark")
    prefix = make_cohort(folder, people, variants, n_columns=N_COLUMNS)
    if gnomon is not None:
        write_gnomon_weights(prefix)
    bench = Bench(prefix, repeat, gnomon, pgscatalog)
    print(f"{'task':34} {'program':24} {'thr':>3} {'seconds':>9} {'cpu':>8} {'peak MB':>8} ratio")
    start = time.perf_counter()
    with prefix.with_suffix(".bed").open("rb") as stream:
        while stream.read(1 << 22):
            pass
    bench.add("read the .bed, page cache", "-", 1, time.perf_counter() - start)
    for name, task in TASKS.items():
        if only is None or name in only:
            task(bench)
    return bench.rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--people", type=int, default=10_000)
    parser.add_argument("--variants", type=int, default=100_000)
    parser.add_argument("--gnomon", metavar="PYTHON", help="a Python that has gnomon-pgs")
    parser.add_argument("--pgscatalog", metavar="PYTHON", help="a Python that has pgscatalog-calc")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--only", help=f"tasks, by commas: {', '.join(TASKS)}")
    options = parser.parse_args()
    measure(
        options.folder,
        people=options.people,
        variants=options.variants,
        gnomon=options.gnomon,
        pgscatalog=options.pgscatalog,
        repeat=options.repeat,
        only=options.only.split(",") if options.only else None,
    )


if __name__ == "__main__":
    main()
