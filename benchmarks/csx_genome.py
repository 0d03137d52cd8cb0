"""Time the PRS-CSx engine on a whole genome of two populations, and measure its memory.

    python benchmarks/csx_genome.py --panel DATA/reference [--prscsx PRSCSX] [--iterations 2000]
        [--chains 1] [--threads 2] [--ld-dtype float32,int16,int8]

The genome is the panel's chromosome 22 (EUR and AFR; PRS-CSx layout) copied until the two
populations have 1.1 million variants each on average; effects are drawn anew for each copy, with
a heritability of 0.5 in all. What is timed is the whole of `fit_csx`, from harmonised statistics
and an LD reference to the posterior: preparing the LD, all iterations, diagnostics. Each type of
LD runs in a process of its own, whose peak memory is the process's. With --prscsx the reference
is timed on the one chromosome (`benchmarks/csx.py`) and its time for the genome is that times the
number of copies: its chromosomes are runs of their own, so it is proportional.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from csx import SIZES, time_reference

NAMES = ("EUR", "AFR")
DEFAULT_ITERATIONS = 2000
EFFECTS = 2_200_000
HERITABILITY = 0.5
SPAN = 60_000_000  # base pairs between two copies on a chromosome


def open_chromosome(panel: Path, name: str, chrom: int):
    """Open the LD of one population, with the target's variants."""
    from prs.inputs.plink1 import read_bim
    from prs.ld.store import open_ld
    from prs.matching import match_variants

    bim, _ = read_bim(panel / "target.bim")
    ld = open_ld(panel / "panel", population=name, chromosomes=[chrom])
    match = match_variants(ld.variants, bim, palindromic="keep", by="id")
    return ld.subset(np.sort(match.query_index)).load()


def roots(ld):
    """Return each block's square root, for drawing marginal effects."""
    out = []
    for _, matrix in ld.blocks():
        values, vectors = np.linalg.eigh(matrix.astype(float))
        out.append((vectors * np.sqrt(np.maximum(values, 0))).astype(np.float32))
    return out


def tile(ld, n_copies: int, effects: dict[str, np.ndarray], rng):
    """Return LD and harmonised statistics of a genome of copies of one chromosome."""
    from prs.inputs.harmonise import HarmonisedSumStats
    from prs.inputs.sumstats import SumStatsSource
    from prs.ld.reference import LDReference
    from prs.matching import MatchReport
    from prs.variants import VariantTable

    base, m = ld.variants, len(ld.variants)
    copy = np.arange(n_copies)
    chrom = (1 + copy * 22 // n_copies).astype(np.int8)
    place = copy - np.searchsorted(chrom, chrom)
    variants = VariantTable(
        np.repeat(chrom, m),
        (base.pos + SPAN * place[:, None]).ravel(),
        np.array([f"{one}_{i}" for i in copy for one in base.id], dtype=object),
        np.tile(base.effect_allele, n_copies),
        np.tile(base.other_allele, n_copies),
    )
    starts = np.concatenate([[0], (ld.block_starts[1:] + m * copy[:, None]).ravel()])
    eaf = np.tile(ld.eaf, n_copies)
    genome = LDReference(
        variants, eaf, starts, ld.population, ld.n_samples, "copies",
        lambda block: ld.reader(block % ld.n_blocks),
    )  # fmt: skip
    n = SIZES[ld.population]
    sd = np.sqrt(2 * ld.eaf * (1 - ld.eaf))
    b = np.empty((n_copies, m))
    for block, root in enumerate(roots(ld)):
        here = slice(int(ld.block_starts[block]), int(ld.block_starts[block + 1]))
        true = np.stack([effects[one] for one in base.id[here]], axis=1) * sd[here]
        noise = rng.standard_normal((n_copies, root.shape[1])) / np.sqrt(n)
        b[:, here] = (true @ root + noise) @ root.T
    z = b.ravel() * np.sqrt(n)
    size = len(variants)
    statistics = HarmonisedSumStats(
        variants, np.arange(size), z, np.ones(size), z, np.full(size, np.nan),
        np.full(size, float(n)), eaf, ld.population,
        MatchReport("statistics", "LD", {"same": size}, size),
        SumStatsSource("copies", "benchmark", {}, (), size, {}, ""),
    )  # fmt: skip
    return statistics, genome


def make_genome(panel: Path, chrom: int, n_effects: int):
    """Return statistics and LD by population, and how many copies they are made of."""
    rng = np.random.default_rng(1)
    parts = {name: open_chromosome(panel, name, chrom) for name in NAMES}
    n_copies = round(n_effects / sum(len(ld) for ld in parts.values()))
    ids = list(dict.fromkeys(one for ld in parts.values() for one in ld.variants.id))
    # per allele, the same in both; one in a hundred is causal, with a variance of 0.3 (1 - 0.3) 2
    size = np.sqrt(HERITABILITY / (0.01 * len(ids) * n_copies * 0.42))
    effects = {
        one: rng.standard_normal(n_copies) * size * (rng.random(n_copies) < 0.01) for one in ids
    }
    made = {name: tile(ld, n_copies, effects, rng) for name, ld in parts.items()}
    return {k: v[0] for k, v in made.items()}, {k: v[1] for k, v in made.items()}, n_copies


def peak() -> float:
    """Return the greatest memory of this process so far, GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def measure(args: argparse.Namespace) -> dict:
    """Fit once; called in a process of its own."""
    import prs.weights.csx as module

    sumstats, ld, n_copies = make_genome(args.panel, args.chrom, args.effects)
    start_memory = peak()
    stamps: dict[str, float] = {}
    build = module.build_model

    def timed_build(*rest, **options):
        start = time.perf_counter()
        model = build(*rest, **options)
        stamps["set_up"] = time.perf_counter() - start
        stamps["ld_gb"] = model.ld.nbytes / 1e9
        stamps["n_variants"], stamps["n_effects"] = len(model.variants), len(model.b)
        stamps["peak_set_up"] = peak()
        return model

    module.build_model = timed_build
    start, cpu = time.perf_counter(), time.process_time()
    fit = module.fit_csx(
        sumstats, ld, n_iter=args.iterations, n_chains=args.chains, seed=1,
        n_threads=args.threads, ld_dtype=args.child, palindromic="keep",
    )  # fmt: skip
    wall = time.perf_counter() - start
    return stamps | {
        "wall": wall,
        "cpu": time.process_time() - cpu,
        "iteration": (wall - stamps["set_up"]) / args.iterations,
        "start": start_memory,
        "peak": peak(),
        "n_copies": n_copies,
        "explained": {
            k: float(v[:, fit.n_burnin :].mean()) for k, v in fit.explained_trace.items()
        },
        "rhat": max(fit.rhat.values()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--panel", type=Path, required=True, help="folder of the reference data")
    parser.add_argument("--prscsx", type=Path, help="a checkout of getian107/PRScsx")
    parser.add_argument("--chrom", type=int, default=22)
    parser.add_argument("--effects", type=int, default=EFFECTS, help="of both populations")
    parser.add_argument("--iterations", type=int, default=DEFAULT_ITERATIONS)
    parser.add_argument("--chains", type=int, default=1, help="PRScsx.py runs one")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--ld-dtype", default="float32,int16,int8")
    parser.add_argument("--scratch", type=Path, default=Path("/tmp"))
    parser.add_argument("--reference-iter", type=int, default=30)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print("RESULT" + json.dumps(measure(args)))
        return
    print(f"{args.chains} chain(s), {args.threads} threads, {args.iterations:,} iterations")
    print(
        "LD       variants   effects  set-up s  s/iteration  wall s"
        + (
            f"  ({DEFAULT_ITERATIONS:,} iterations)"
            if args.iterations != DEFAULT_ITERATIONS
            else ""
        )
        + "  LD GB  peak GB"
    )
    n_copies = 0
    for dtype in args.ld_dtype.split(","):
        done = subprocess.run(
            [sys.executable, *sys.argv, "--child", dtype],
            capture_output=True, text=True, check=False, env=dict(os.environ),
        )  # fmt: skip
        line = next((t for t in done.stdout.splitlines() if t.startswith("RESULT")), None)
        if line is None:
            sys.exit(f"{dtype} failed:\n{done.stderr[-2000:]}")
        r = SimpleNamespace(**json.loads(line.removeprefix("RESULT")))
        n_copies = r.n_copies
        whole = r.set_up + r.iteration * DEFAULT_ITERATIONS
        print(
            f"{dtype:8s} {r.n_variants:9,} {r.n_effects:9,} {r.set_up:8.0f} {r.iteration:12.3f} "
            f"{r.wall:7.0f}"
            + (f"  {whole:17.0f}" if args.iterations != DEFAULT_ITERATIONS else "")
            + f" {r.ld_gb:6.2f} {r.peak:8.2f}   (before the fit {r.start:.2f}, "
            f"after set-up {r.peak_set_up:.2f}; CPU {r.cpu:.0f} s, variance explained "
            + ", ".join(f"{k} {v:.2f}" for k, v in r.explained.items())
            + ")",
            flush=True,
        )
    if args.prscsx:
        seconds = time_reference(args, list(NAMES))["seconds"]
        hours = seconds * n_copies * DEFAULT_ITERATIONS / 3600
        print(
            f"reference: {seconds * 1e3:.0f} ms CPU an iteration on chromosome {args.chrom}; "
            f"x {n_copies} copies x {DEFAULT_ITERATIONS:,} iterations = {hours:.1f} CPU hours"
        )


if __name__ == "__main__":
    main()
