"""Slow, obvious twins of the clumping kernels: haplotypes by search, and the greedy walk."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def table_of(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the 3 x 3 counts of genotype pairs over people with both calls (NaN: no call)."""
    table = np.zeros((3, 3), dtype=np.int64)
    for a, b in zip(first, second, strict=True):
        if not (math.isnan(a) or math.isnan(b)):
            table[int(a), int(b)] += 1
    return table


def _log_likelihood(table: NDArray[np.int64], f: dict[str, float]) -> float:
    total = 0.0
    pairs = {  # genotype pair: the haplotype pairs that give it
        (2, 2): [("11", "11")],
        (2, 1): [("11", "12"), ("12", "11")],
        (2, 0): [("12", "12")],
        (1, 2): [("11", "21"), ("21", "11")],
        (1, 1): [("11", "22"), ("22", "11"), ("12", "21"), ("21", "12")],
        (1, 0): [("12", "22"), ("22", "12")],
        (0, 2): [("21", "21")],
        (0, 1): [("21", "22"), ("22", "21")],
        (0, 0): [("22", "22")],
    }
    for cell, origins in pairs.items():
        if table[cell]:
            probability = sum(f[a] * f[b] for a, b in origins)
            if probability <= 0:
                return -math.inf
            total += int(table[cell]) * math.log(probability)
    return total


def haplotype_r2_by_likelihood(table: NDArray[np.int64]) -> float:
    """Return r2 at the likeliest phase of the double heterozygotes, found by search.

    One number is unknown: the share of them who carry 11 and 22. A grid finds the highest
    hill, golden sections its top.
    """
    n = 2 * int(table.sum())
    if n == 0:
        return 0.0
    h = int(table[1, 1])
    known = {
        "11": int(2 * table[2, 2] + table[2, 1] + table[1, 2]),
        "12": int(2 * table[2, 0] + table[2, 1] + table[1, 0]),
        "21": int(2 * table[0, 2] + table[1, 2] + table[0, 1]),
        "22": int(2 * table[0, 0] + table[1, 0] + table[0, 1]),
    }

    def value(share: float) -> float:
        coupled, repelled = h * share, h * (1 - share)
        f = {
            "11": (known["11"] + coupled) / n,
            "22": (known["22"] + coupled) / n,
            "12": (known["12"] + repelled) / n,
            "21": (known["21"] + repelled) / n,
        }
        return _log_likelihood(table, f)

    grid = [k / 200 for k in range(201)]
    top = max(range(201), key=lambda k: value(grid[k]))
    low, high = grid[max(top - 1, 0)], grid[min(top + 1, 200)]
    golden = (math.sqrt(5) - 1) / 2
    while high - low > 1e-10:
        a, b = high - golden * (high - low), low + golden * (high - low)
        if value(a) < value(b):
            low = a
        else:
            high = b
    share = max((grid[top], (low + high) / 2, grid[max(top - 1, 0)]), key=value)
    f11 = (known["11"] + h * share) / n
    p, q = (known["11"] + known["12"] + h) / n, (known["11"] + known["21"] + h) / n
    variance = p * (1 - p) * q * (1 - q)
    return (f11 - p * q) ** 2 / variance if variance > 0 else 0.0


def dosage_r2(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Return the squared Pearson correlation over people with both calls."""
    both = ~(np.isnan(first) | np.isnan(second))
    a, b = first[both], second[both]
    if len(a) == 0 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1] ** 2)


def clump(
    r2: NDArray[np.float64],
    chrom: NDArray[np.int8],
    pos: NDArray[np.int32],
    p: NDArray[np.float64],
    p1: float,
    threshold: float,
    kb: float,
) -> dict[int, list[int]]:
    """Return index variants and the members of their clumps, most significant first."""
    clumps: dict[int, list[int]] = {}
    taken: set[int] = set()
    for i in sorted(range(len(p)), key=lambda j: (p[j], j)):
        if i in taken or p[i] > p1:
            continue
        near = [
            j
            for j in range(len(p))
            if j != i
            and j not in taken
            and chrom[j] == chrom[i]
            and abs(int(pos[j]) - int(pos[i])) <= kb * 1000 - 1
            and r2[i, j] > threshold
        ]
        clumps[i] = near
        taken |= {i, *near}
    return clumps
