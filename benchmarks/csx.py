"""Time the PRS-CSx engine on a panel, beside PRScsx.py where a checkout of it is given.

    python benchmarks/csx.py --panel DATA/reference [--prscsx PRSCSX] [--reference-iter 900]

DATA/reference holds panel/, sst/ and target.bim (PRS-CSx layout, chromosome 22). The two are
timed in turn in one run, the reference in a process of its own with one BLAS thread; of its
set-up nothing is counted. Times of one iteration are the least of several runs, in CPU time
where one thread works. ESS is of the last two thirds of the iterations: of log phi, and of the
scores of pseudo-people drawn from each population's LD (the median over four in each); what
counts is the smaller of the two per CPU second. Of the reference it takes some 600 iterations;
longer ones of its own may be given: --reference-traces FILE.npz ..., with its phi as `tr_phi`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SIZES = {"EUR": 200_000, "AFR": 40_000, "EAS": 100_000}

REFERENCE = r"""
import json, sys, time
import numpy as np
sys.path.insert(0, sys.argv[1])
import gigrnd, mcmc_gtb, parse_genet
folder, pops, chrom = sys.argv[2], sys.argv[3].split(","), int(sys.argv[4])
sizes, n_iter = [int(n) for n in sys.argv[5].split(",")], int(sys.argv[6])
one = gigrnd.gigrnd  # NumPy 2.4 does not take arrays of size 1 for numbers
gigrnd.gigrnd = lambda p, a, b: one(*(np.asarray(x).item() for x in (p, a, b)))
info = parse_genet.parse_ref(folder + "/panel/snpinfo_mult_1kg_hm3", chrom, "1kg")
target = parse_genet.parse_bim(folder + "/target", chrom)
sst, ld, size = {}, {}, {}
for k, (pop, n) in enumerate(zip(pops, sizes)):
    sst[k] = parse_genet.parse_sumstats(info, target, f"{folder}/sst/{pop}.se.txt", pop, n)
    ld[k], size[k] = parse_genet.parse_ldblk(folder + "/panel", sst[k], pop, chrom, "1kg")
snps, beta, frq, idx = parse_genet.align_ldblk(info, target, sst, len(pops), chrom)
phi, stamps, gamma = [], [], mcmc_gtb.random.gamma
rng, people, scores = np.random.default_rng(1), [], []
for k in range(len(pops)):  # genotypes of pseudo-people: rows of R^(1/2) z
    for block in ld[k]:
        if len(block):
            values, vectors = np.linalg.eigh(block)
            z = rng.standard_normal((4, len(values)))
            people.append((k, (z * np.sqrt(np.maximum(values, 0))) @ vectors.T))
class Linalg:
    # scipy.linalg, but what is solved last for a block is its effects, in order
    def __getattr__(self, name):
        return getattr(real, name)
    def solve_triangular(self, *args, trans, **kw):
        out = real.solve_triangular(*args, trans=trans, **kw)
        if trans == "N":
            at = Linalg.calls % len(people)
            if at == 0:
                scores.append(np.zeros((len(pops), 4)))
            scores[-1][people[at][0]] += (people[at][1] @ out)[:, 0]
            Linalg.calls += 1
        return out
Linalg.calls, real = 0, mcmc_gtb.linalg
mcmc_gtb.linalg = Linalg()
shape = len(snps["SNP"]) * 0.5 + 0.5
def watch(a, scale, *rest):
    value = gamma(a, scale, *rest)
    if np.ndim(a) == 0 and a == shape:
        phi.append(float(np.asarray(value).item()))
        stamps.append(time.process_time())
    return value
mcmc_gtb.random.gamma = watch
try:
    mcmc_gtb.mcmc(1.0, 0.5, None, snps, beta, frq, idx, sizes, ld, size, n_iter, 0, 1, pops, chrom,
                  sys.argv[7], "bench", "FALSE", "FALSE", 1)
except TypeError:
    pass  # writing out, on NumPy 2.4
scores = np.array(scores).reshape(len(scores), -1)
print("RESULT" + json.dumps({"seconds": np.median(np.diff(stamps)), "phi": phi,
                             "scores": scores.tolist()}))
"""


def time_reference(args: argparse.Namespace, names: list[str]) -> dict:
    single = dict.fromkeys(
        ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1"
    )
    command = [
        sys.executable, "-c", REFERENCE, str(args.prscsx), str(args.panel), ",".join(names),
        str(args.chrom), ",".join(str(SIZES[n]) for n in names), str(args.reference_iter),
        str(args.scratch),
    ]  # fmt: skip
    done = subprocess.run(
        command, env=os.environ | single, capture_output=True, text=True, check=False
    )
    line = next((t for t in done.stdout.splitlines() if t.startswith("RESULT")), None)
    if line is None:
        sys.exit(f"the reference failed:\n{done.stderr[-2000:]}")
    return json.loads(line.removeprefix("RESULT"))


def load_inputs(args: argparse.Namespace, names: list[str]):
    from prs.inputs.plink1 import read_bim
    from prs.inputs.sumstats import read_sumstats
    from prs.ld.store import open_ld
    from prs.matching import match_variants

    bim, _ = read_bim(args.panel / "target.bim")
    ld, sumstats = {}, {}
    for name in names:
        panel = open_ld(args.panel / "panel", population=name, chromosomes=[args.chrom])
        match = match_variants(panel.variants, bim, palindromic="keep", by="id")
        ld[name] = panel.subset(np.sort(match.query_index))
        file = args.panel / "sst" / f"{name}.se.txt"
        sumstats[name] = read_sumstats(file, population=name, n=SIZES[name])
    return sumstats, ld


def settings(n_chains: int, n_threads: int, n_iter: int):
    from prs.weights.csx_settings import ChainSettings

    return ChainSettings(
        phi=(None,) * n_chains,
        start=tuple(np.geomspace(1e-1, 1e-4, n_chains)) if n_chains > 1 else (1e-2,),
        a=1.0, b=0.5, psi_max=1.0, n_iter=n_iter, n_burnin=n_iter // 3, thin=5, seed=1,
        n_threads=n_threads,
    )  # fmt: skip


def time_steps(model, n_chains: int, n_threads: int, repeats: int = 8, n: int = 60) -> dict:
    """Least seconds of one iteration of one chain over some runs, after 100 iterations."""
    from prs.weights.csx_chain import Chains
    from prs.weights.csx_settings import start_team

    chains = Chains(model, settings(n_chains, n_threads, n))
    wall, cpu = [], []
    with start_team(n_threads) as team:
        for _ in range(100):
            chains.step(team, accumulate=True)
        for _ in range(repeats):
            start, start_cpu = time.perf_counter(), time.process_time()
            for _ in range(n):
                chains.step(team, accumulate=True)
            wall.append((time.perf_counter() - start) / n / n_chains)
            cpu.append((time.process_time() - start_cpu) / n / n_chains)
    return {"wall": min(wall), "cpu": min(cpu)}


def effective_samples(phi: np.ndarray, scores: np.ndarray) -> dict:
    """ESS of log phi (C, I) and the median ESS of scores (C, I, n) in the last two thirds."""
    from prs.weights.diagnostics import effective_sample_size

    kept = slice(phi.shape[1] // 3, None)
    each = [effective_sample_size(scores[:, kept, i]) for i in range(scores.shape[2])]
    n = phi[:, kept].size
    return {
        "phi": effective_sample_size(np.log(phi[:, kept])) / n,
        "scores": float(np.median(each)) / n,
    }


def mix(model, n_chains: int, n_iter: int) -> dict:
    """Effective samples of an iteration of a chain."""
    from prs.weights.csx_run import run_chains

    result = run_chains(model, settings(n_chains, os.cpu_count() or 1, n_iter))
    return effective_samples(result.phi[..., 0], result.predictions.reshape(n_chains, n_iter, -1))


def first_call(args: argparse.Namespace, names: list[str]) -> None:
    """Print by how much a first fit in this process takes longer than a second one."""
    from prs.weights.csx import fit_csx

    sumstats, ld = load_inputs(args, names)
    seconds = []
    for _ in range(2):
        start, cpu = time.perf_counter(), time.process_time()
        fit_csx(sumstats, ld, n_iter=6, n_burnin=0, palindromic="keep", seed=1)
        seconds.append((time.perf_counter() - start, time.process_time() - cpu))
    (wall, cpu), (later, later_cpu) = seconds
    print(f"FIRST {wall - later:.1f} s ({cpu - later_cpu:.1f} s CPU)")


def time_first_calls() -> list[str]:
    """Time of compiling: on a clean cache, and in the next process."""
    with tempfile.TemporaryDirectory() as cache:
        out = []
        for _ in range(2):
            done = subprocess.run(
                [sys.executable, *sys.argv, "--first-call"],
                env=os.environ | {"NUMBA_CACHE_DIR": cache},
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            out.append(done.stdout.split("FIRST ")[1].strip())
        return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--panel", type=Path, required=True, help="folder of the reference data")
    parser.add_argument("--prscsx", type=Path, help="a checkout of getian107/PRScsx")
    parser.add_argument("--chrom", type=int, default=22)
    parser.add_argument("--populations", default="EUR,AFR")
    parser.add_argument("--iterations", type=int, default=1500, help="of ours, for ESS")
    parser.add_argument("--reference-iter", type=int, default=30, help="600 and more give ESS")
    parser.add_argument("--reference-traces", type=Path, nargs="+", default=[])
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--ld-dtype", nargs="+", default=["float32", "int16", "int8"])
    parser.add_argument("--first-call", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    names = args.populations.split(",")
    if args.first_call:
        first_call(args, names)
        return

    from prs.weights.csx_model import build_model

    theirs = time_reference(args, names) if args.prscsx else None
    clean, warm = time_first_calls()
    print(f"compiling: {clean} on a clean cache, {warm} in the next process")
    reference = None
    if theirs:
        n = len(theirs["phi"])
        line = f"reference: {theirs['seconds'] * 1e3:.0f} ms CPU an iteration"
        if n >= 300:
            each = effective_samples(
                np.array(theirs["phi"])[None], np.array(theirs["scores"])[None, :n]
            )
            reference = min(each.values()) / theirs["seconds"]
            line += (
                f"; an iteration is worth {each['phi']:.4f} effective samples of log phi and "
                f"{each['scores']:.4f} of scores (from {n})"
            )
        print(line)
        if args.reference_traces:
            from prs.weights.diagnostics import effective_sample_size

            shares = []
            for path in args.reference_traces:
                phi = np.log(np.load(path)["tr_phi"])
                phi = phi[len(phi) // 3 :]
                shares.append(effective_sample_size(phi[None]) / len(phi))
            reference = float(np.mean(shares)) / theirs["seconds"]
            print(
                f"{len(shares)} traces of the reference: an iteration is worth "
                f"{', '.join(f'{x:.4f}' for x in shares)} effective samples of log phi; their mean "
                "is what ours are compared with"
            )
    sumstats, ld = load_inputs(args, names)
    for dtype in args.ld_dtype:
        model = build_model(sumstats, ld, palindromic="keep", ld_dtype=dtype)
        print(
            f"\n{dtype}: {len(model.variants):,} variants, {len(model.b):,} effects, "
            f"{model.n_blocks} blocks, {model.ld.nbytes / 1e6:.0f} MB of LD"
        )
        print("chains threads  ms wall  ms CPU  x reference  ESS/iteration: phi  scores  ESS/CPU s"
              "  x reference  threads")  # fmt: skip
        one = {}
        for n_chains in (1, 4):
            share = mix(model, n_chains, args.iterations)
            for n_threads in (1, 2):
                time_ = time_steps(model, n_chains, n_threads)
                one.setdefault(n_chains, time_["wall"])
                per_second = min(share.values()) / time_["cpu"]
                print(
                    f"{n_chains:6d} {n_threads:7d} {time_['wall'] * 1e3:8.2f} "
                    f"{time_['cpu'] * 1e3:7.2f} "
                    + (f"{theirs['seconds'] / time_['wall']:12.0f}" if theirs else f"{'-':>12}")
                    + f" {share['phi']:19.4f} {share['scores']:7.4f} {per_second:10.1f} "
                    + (f"{per_second / reference:12.0f}" if reference else f"{'-':>12}")
                    + f" {one[n_chains] / time_['wall']:8.2f}"
                )


if __name__ == "__main__":
    main()
