"""What our child processes do in the genotype benchmark, one task each.

    python -m benchmarks.genotype_tasks {--child,--once,--ld} TASK PREFIX THREADS

Nothing is imported here but what a task needs: its process is measured whole.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

N_COLUMNS = 50


def _harmonised(prefix: str, genotypes):  # type: ignore[no-untyped-def]
    from prs import harmonise, read_sumstats

    statistics_ = read_sumstats(f"{prefix}.assoc", population="GWAS", need_n=False)
    return harmonise(statistics_, genotypes.variants, palindromic="keep", prefer="p")


def do_score(prefix: str, threads: int, suffix: str = "score") -> None:
    from prs import open_genotypes, read_weights, score, write_scores

    scores = score(open_genotypes(prefix), read_weights(_stem(prefix) + suffix), n_threads=threads)
    write_scores(scores, f"{_stem(prefix)}out.scores.tsv")


def do_score50(prefix: str, threads: int) -> None:
    do_score(prefix, threads, f"score{N_COLUMNS}")


def do_kernel(prefix: str, threads: int) -> None:
    """Score without reading the weights' text: the share that threads can speed up."""
    from prs import open_genotypes, score

    score(open_genotypes(prefix), _weights(prefix), n_threads=threads)


_WEIGHTS: dict[str, Any] = {}


def _weights(prefix: str):  # type: ignore[no-untyped-def]
    from prs import read_weights

    if prefix not in _WEIGHTS:
        _WEIGHTS[prefix] = read_weights(f"{_stem(prefix)}score{N_COLUMNS}")
    return _WEIGHTS[prefix]


def _stem(prefix: str) -> str:
    return prefix.removesuffix(".pgen").removesuffix(".bed") + "."


def do_clump(prefix: str, threads: int) -> None:
    from prs import clump, open_genotypes
    from prs.weights.clumping import write_clumps

    genotypes = open_genotypes(prefix)
    clumps = clump(_harmonised(prefix, genotypes), genotypes, n_threads=threads)
    write_clumps(clumps, f"{prefix}.out.clumps.tsv")


def do_grid(prefix: str, threads: int) -> None:
    from prs import clump_and_threshold, open_genotypes, score, write_scores

    genotypes = open_genotypes(prefix)
    weights = clump_and_threshold(
        _harmonised(prefix, genotypes),
        genotypes,
        p_thresholds=(5e-8, 1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.05, 0.1, 0.5, 1),
        r2=(0.1, 0.3, 0.5),
        kb=(100, 250, 500),
        n_threads=threads,
    )
    write_scores(score(genotypes, weights, n_threads=threads), f"{prefix}.out.grid.tsv")


def do_pairs(prefix: str, threads: int, kind: str = "dosage") -> None:
    from prs import open_genotypes
    from prs.files import write_table
    from prs.ld.pairs import pairwise_r2

    found = pairwise_r2(open_genotypes(prefix), kind=kind, n_threads=threads)  # type: ignore[arg-type]
    write_table(found.to_frame(), f"{prefix}.out.pairs.tsv")


def do_haplotype_pairs(prefix: str, threads: int) -> None:
    do_pairs(prefix, threads, "haplotype")


def do_ld(prefix: str, threads: int) -> None:
    """Compute the LD of 16 blocks of about 1,000 variants."""
    from prs import compute_ld, open_genotypes
    from prs.ld.blocks import BlockTable

    genotypes = open_genotypes(prefix).subset(variants=slice(0, 16_000))
    variants = genotypes.variants.take(np.arange(0, genotypes.n_variants, 1000))
    # a block from each thousandth variant to the next
    ends = np.where(np.diff(variants.chrom, append=0) == 0, np.append(variants.pos[1:], 0), 2**28)
    blocks = BlockTable(variants.chrom, variants.pos, ends)
    for _ in compute_ld(genotypes, blocks=blocks, n_threads=threads).blocks(threads):
        pass


def do_normalise(prefix: str, threads: int) -> None:  # noqa: ARG001
    """Adjust scores for ancestry in each of the three ways of the PGS Catalog Calculator."""
    from prs import normalise_scores

    given = np.load(f"{prefix}.ancestry.npz")
    people = ("reference_scores", "reference_pcs", "target_scores", "target_pcs")
    labels = {name: given[name] for name in ("reference_labels", "target_labels")}
    adjusted = [
        normalise_scores(*(given[name] for name in people), method=method, **labels)
        for method in ("empirical", "mean", "mean+variance")
    ]
    np.savez(f"{prefix}.out.adjusted.npz", *(made.target for made in adjusted))


def do_numpy(prefix: str, threads: int) -> None:
    """Score as one would with bed-reader and NumPy: blocks, means for missing calls, a product."""
    import pandas as pd
    from bed_reader import open_bed

    weights = pd.read_csv(f"{prefix}.score", sep="\t")["W1"].to_numpy(np.float32)
    total = 0.0
    with open_bed(f"{prefix}.bed", num_threads=threads) as bed:
        for start in range(0, bed.sid_count, 4096):
            X = bed.read(np.s_[:, start : start + 4096], dtype="float32")
            mean = np.nanmean(X, axis=0)
            X = np.where(np.isnan(X), mean, X)
            total = total + X @ weights[start : start + 4096]


CHILDREN: dict[str, Callable[..., None]] = {
    name.removeprefix("do_"): function
    for name, function in list(globals().items())
    if name.startswith("do_")
}


def _child(task: str, prefix: str, threads: int) -> None:
    """Do a task twice in this process and print the wall and CPU seconds of the second time."""
    for _ in range(2):
        start, cpu = time.perf_counter(), time.process_time()
        CHILDREN[task](prefix, threads)
        seconds = time.perf_counter() - start, time.process_time() - cpu
    print(json.dumps(seconds))


def _once(task: str, prefix: str, threads: int) -> None:
    CHILDREN[task](prefix, threads)


def _ld_child(prefix: str) -> None:
    # one thread each: CPU time, which other work on the machine disturbs least
    from prs import compute_ld, open_genotypes
    from prs.ld.blocks import BlockTable

    genotypes = open_genotypes(prefix)
    found = []
    for size in (1000, 2000, 4000):
        view = genotypes.subset(variants=slice(0, 3 * size))
        whole = BlockTable(np.array([1], np.int8), np.array([1]), np.array([2**28]))
        ld = compute_ld(view, blocks=whole, min_maf=0.005, max_block=10**6)
        n = min(size, int(ld.block_sizes[0]))
        if n < size:
            continue
        ld = ld.subset(np.arange(n))
        # the reader of a subset computes the whole block: make the block the subset
        rows = np.flatnonzero(np.isin(view.variants.id, ld.variants.id))
        ld = compute_ld(view.subset(variants=rows), blocks=whole, min_maf=0, max_block=10**6)
        A = np.nan_to_num(view.read_dosages(rows)).T.copy()
        B = A.copy()  # of a matrix and its own transpose NumPy computes one half only
        times = []
        for function in (lambda ld=ld: ld.read_block(0), lambda A=A, B=B: A @ B.T):
            best = []
            for _ in range(3):
                start = time.process_time()
                function()
                best.append(time.process_time() - start)
            times.append(statistics.median(best))
        found.append((n, *times))
    print(json.dumps(found))


def main() -> None:
    mode, task, prefix, threads = sys.argv[1:5]
    if mode == "--ld":
        _ld_child(prefix)
    else:
        (_child if mode == "--child" else _once)(task, prefix, int(threads))


if __name__ == "__main__":
    main()
