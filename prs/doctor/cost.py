"""How long a joint fit takes, and how much memory it needs, before it is begun."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from prs.doctor.findings import Finding
from prs.inputs.harmonise import HarmonisedSumStats

if TYPE_CHECKING:
    from prs.ld.reference import LDReference

__all__ = ["estimate_cost"]

#: Seconds of one core for an iteration of a chain, for each entry of the LD and for each effect:
#: benchmarks/csx.py measures 1.5e-10 (LD in the cache) and 9.5e-8; memory halves the first's speed.
SECONDS_AN_ENTRY, SECONDS_AN_EFFECT = 3e-10, 1e-7
#: Memory of a fit: correlations as float32; effects, their sums and kept draws.
BYTES_AN_ENTRY, BYTES_AN_EFFECT = 4, 500
ITERATIONS_A_POPULATION = 1000
#: Variants of a block where LD is still to be computed.
USUAL_BLOCK = 400


def estimate_cost(
    inputs: Mapping[str, tuple[HarmonisedSumStats, LDReference | None]],
    n_threads: int | None,
    n_iter: int | None,
    n_chains: int,
) -> Iterator[Finding]:
    """Yield about how long the joint fit takes, and how much memory it needs.

    Parameters
    ----------
    inputs : mapping of str to tuple
        By population the statistics on their panel, and its LD, where it is there already.
    n_threads, n_iter : int or None
        Default: all cores; 1,000 iterations a population.
    n_chains : int
        Chains.
    """
    entries, effects = 0.0, 0
    for statistics, ld in inputs.values():
        m = len(statistics)
        effects += m
        if ld is None:
            entries += float(m * min(USUAL_BLOCK, m))
        else:  # of each block about the share that the statistics have
            entries += float(np.sum((ld.block_sizes * (m / max(len(ld), 1))) ** 2))
    if not effects:
        return
    iterations = n_iter or ITERATIONS_A_POPULATION * len(inputs)
    seconds = iterations * (entries * SECONDS_AN_ENTRY + effects * SECONDS_AN_EFFECT)
    threads = n_threads or os.cpu_count() or 1
    gigabytes = (BYTES_AN_ENTRY * entries + BYTES_AN_EFFECT * effects) / 1e9
    figure = (
        f"about {_duration(n_chains * seconds / threads)} for {iterations:,} iterations in "
        f"{n_chains} chains on {threads} cores, {gigabytes:.1f} GB of memory"
    )
    yield Finding("cost", "joint fit", "pass", figure)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
