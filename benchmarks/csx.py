"""Time the PRS-CSx engine on a panel, beside PRScsx.py where a checkout of it is given.

    python benchmarks/csx.py --panel DATA/reference [--prscsx PRSCSX] [--threads 1] [--out FILE]

DATA/reference holds panel/, sst/ and target.bim (PRS-CSx layout, chromosome 22). The two are
timed in turn in one run, the reference in a process of its own with one BLAS thread. ESS is of
log phi after a third of the iterations, from the traces of both; phi is the slowest of what the
sampler moves. Of the reference's set-up nothing is counted.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
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
print("RESULT" + json.dumps({"seconds": np.median(np.diff(stamps)), "phi": phi}))
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


def load_model(args: argparse.Namespace, names: list[str]):
    from prs.inputs.plink1 import read_bim
    from prs.inputs.sumstats import read_sumstats
    from prs.ld.store import open_ld
    from prs.matching import match_variants
    from prs.weights.csx_model import build_model

    bim, _ = read_bim(args.panel / "target.bim")
    ld, sumstats = {}, {}
    for name in names:
        panel = open_ld(args.panel / "panel", population=name, chromosomes=[args.chrom])
        match = match_variants(panel.variants, bim, palindromic="keep", by="id")
        ld[name] = panel.subset(np.sort(match.query_index))
        file = args.panel / "sst" / f"{name}.se.txt"
        sumstats[name] = read_sumstats(file, population=name, n=SIZES[name])
    start = time.perf_counter()
    model = build_model(sumstats, ld, palindromic="keep", n_threads=1)
    return model, time.perf_counter() - start


def time_ours(model, n_chains: int, n_threads: int, n_iter: int) -> dict:
    from prs.weights.csx_run import run_chains
    from prs.weights.csx_settings import ChainSettings
    from prs.weights.diagnostics import effective_sample_size

    def settings(n: int) -> ChainSettings:
        return ChainSettings(
            phi=(None,) * n_chains,
            start=tuple(np.geomspace(1e-1, 1e-4, n_chains)) if n_chains > 1 else (1e-2,),
            a=1.0, b=0.5, psi_max=1.0, n_iter=n, n_burnin=n // 3, thin=5, seed=1,
            n_threads=n_threads,
        )  # fmt: skip

    start = time.perf_counter()
    run_chains(model, settings(3))
    first = time.perf_counter() - start
    start, cpu = time.perf_counter(), time.process_time()
    result = run_chains(model, settings(n_iter))
    wall, cpu = time.perf_counter() - start, time.process_time() - cpu
    kept = slice(n_iter // 3, None)
    predictions = result.predictions[:, kept].reshape(n_chains, n_iter - n_iter // 3, -1)
    each = [effective_sample_size(predictions[..., i]) for i in range(predictions.shape[2])]
    phi = effective_sample_size(np.log(result.phi[:, kept, 0]))
    share = 1 - (n_iter // 3) / n_iter
    return {
        "first": first,
        "wall": wall / n_iter / n_chains,
        "cpu": cpu / n_iter / n_chains,
        "ess_phi": phi / (cpu * share),
        "ess_predictions": float(np.median(each)) / (cpu * share),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--panel", type=Path, required=True, help="folder of the reference data")
    parser.add_argument("--prscsx", type=Path, help="a checkout of getian107/PRScsx")
    parser.add_argument("--chrom", type=int, default=22)
    parser.add_argument("--populations", default="EUR,AFR")
    parser.add_argument("--iterations", type=int, default=1500)
    parser.add_argument("--reference-iter", type=int, default=30)
    parser.add_argument("--scratch", type=Path, default=Path("/tmp"))
    args = parser.parse_args()
    names = args.populations.split(",")
    theirs = time_reference(args, names) if args.prscsx else None
    model, set_up = load_model(args, names)
    print(
        f"{len(model.variants):,} variants, {len(model.b):,} effects, {model.n_blocks} blocks; "
        f"set-up {set_up:.1f} s"
    )
    if theirs:
        print(f"reference: {theirs['seconds'] * 1e3:.0f} ms CPU an iteration")
    print("chains threads  first(s)  ms wall  ms CPU  ESS(phi)/CPU s  ESS(pred)/CPU s  x reference")
    for n_chains, n_threads in ((1, 1), (4, 1), (1, 2), (4, 2)):
        ours = time_ours(model, n_chains, n_threads, args.iterations)
        ratio = f"{theirs['seconds'] / ours['wall']:11.0f}" if theirs else "          -"
        print(
            f"{n_chains:6d} {n_threads:7d} {ours['first']:9.1f} {ours['wall'] * 1e3:8.2f} "
            f"{ours['cpu'] * 1e3:7.2f} {ours['ess_phi']:15.2f} {ours['ess_predictions']:16.1f} "
            f"{ratio}"
        )
    if theirs and len(theirs["phi"]) >= 300:
        from prs.weights.diagnostics import effective_sample_size

        phi = np.log(theirs["phi"])[len(theirs["phi"]) // 3 :]
        ess = effective_sample_size(phi[None]) / len(phi) / theirs["seconds"]
        print(f"reference: ESS(phi) {ess:.4f} a CPU second")


if __name__ == "__main__":
    main()
