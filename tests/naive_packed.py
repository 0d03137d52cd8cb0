"""Obvious slow twins of the kernels on packed genotypes, and the packing itself."""

from __future__ import annotations

import math

import numpy as np


def pack(dosages):
    """(N, M) dosages of A1 with NaN -> (M, ceil(N / 4)) bytes, one call at a time."""
    n, m = dosages.shape
    packed = np.zeros((m, (n + 3) // 4), dtype=np.uint8)
    for j in range(m):
        for i in range(n):
            value = dosages[i, j]
            code = 1 if math.isnan(value) else {2.0: 0, 1.0: 2, 0.0: 3}[float(value)]
            packed[j, i // 4] += code << (2 * (i % 4))
    return packed


def decode(packed, people):
    out = np.empty((len(packed), len(people)), dtype=np.float32)
    for j, row in enumerate(packed):
        for k, person in enumerate(people):
            code = (int(row[person // 4]) >> (2 * (person % 4))) % 4
            out[j, k] = [2.0, math.nan, 1.0, 0.0][code]
    return out


def count(packed, people):
    counts = np.zeros((len(packed), 4), dtype=np.int64)
    for j, row in enumerate(packed):
        for person in people:
            counts[j, (int(row[person // 4]) >> (2 * (person % 4))) % 4] += 1
    return counts
