"""Slow, obvious twins of what prs.ld computes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np


def correlate(dosages):
    """Pearson correlation, pair by pair, with missing calls set to their variant's mean."""
    n_variants = dosages.shape[1]
    out = np.eye(n_variants)
    for i in range(n_variants):
        for j in range(n_variants):
            x, y = dosages[:, i].astype(float), dosages[:, j].astype(float)
            x = np.where(np.isnan(x), np.nanmean(x), x)
            y = np.where(np.isnan(y), np.nanmean(y), y)
            if i != j:
                sd = np.sqrt(np.sum((x - x.mean()) ** 2) * np.sum((y - y.mean()) ** 2))
                out[i, j] = np.sum((x - x.mean()) * (y - y.mean())) / sd if sd > 0 else 0.0
    return out


def all_splits(m: int, min_size: int, max_size: int) -> Iterator[list[int]]:
    """Every way to cut m variants into blocks of allowed sizes, as offsets."""
    if m == 0:
        yield [0]
    for last in range(min_size, min(max_size, m) + 1):
        for cuts in all_splits(m - last, min_size, max_size):
            yield [*cuts, m]


def split_cost(r2, cuts, pair_cost: float) -> float:
    """r2 between blocks, plus the cost of the pairs within."""
    block = np.searchsorted(cuts, np.arange(len(r2)), side="right")
    cost = 0.0
    for i in range(len(r2)):
        for j in range(i + 1, len(r2)):
            cost += pair_cost if block[i] == block[j] else r2[i, j]
    return cost


def panel_correlation(stored, names, flips, a, b):
    """LD of two variants of a PRS-CSx panel, on A1: blocks searched by name, one after another."""
    for matrix, block in zip(stored, names, strict=True):
        if a in block and b in block:
            return matrix[block.index(a)][block.index(b)] * flips[a] * flips[b]
    return 0.0
