"""Slow, obvious twins of the scoring kernels: plain loops over people and variants."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

CODE = {2: 0, None: 1, 1: 2, 0: 3}
DOSAGE = {0: 2, 1: None, 2: 1, 3: 0}


def code_of(packed: NDArray[np.uint8], variant: int, person: int) -> int:
    """Return the two bits of one call."""
    return (int(packed[variant, person // 4]) >> (2 * (person % 4))) & 3


def frequency_of_a1(packed: NDArray[np.uint8], variant: int, people: list[int]) -> float:
    """Return the share of A1 among called alleles; 1/2 where nobody is called, as in PLINK."""
    dosages = [DOSAGE[code_of(packed, variant, i)] for i in people]
    called = [d for d in dosages if d is not None]
    return sum(called) / (2 * len(called)) if called else 0.5


def score_people(
    packed: NDArray[np.uint8],
    people: list[int],
    founders: list[int],
    weights: NDArray[np.float64],
    counts_a2: NDArray[np.bool_],
    impute: bool,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return sums of weight x allele count (people x scores), and missing calls by person."""
    n_scores = weights.shape[1]
    values = np.zeros((len(people), n_scores))
    missing = np.zeros(len(people), dtype=np.int64)
    for row, person in enumerate(people):
        terms: list[list[float]] = [[] for _ in range(n_scores)]
        for j in range(len(packed)):
            dosage: float | None = DOSAGE[code_of(packed, j, person)]
            if dosage is None:
                missing[row] += 1
                if not impute:
                    continue
                dosage = 2 * frequency_of_a1(packed, j, founders)
            if counts_a2[j]:
                dosage = 2 - dosage
            for s in range(n_scores):
                terms[s].append(weights[j, s] * dosage)
        values[row] = [math.fsum(t) for t in terms]
    return values, missing
