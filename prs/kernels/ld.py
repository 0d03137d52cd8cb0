"""Kernels of LD: what missing calls take off sums of products, and from sums to correlations."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from prs.kernels._jit import jit

__all__ = ["sum_over_missing", "to_correlation"]


@jit
def sum_over_missing(
    starts: NDArray[np.int64],
    people: NDArray[np.int64],
    values: NDArray[np.int8],
    out: NDArray[np.int32],
) -> None:
    """Sum every variant's values over the people whose call is missing at another.

    Parameters
    ----------
    starts : ndarray of int64, shape (M + 1,)
        Variant i lacks calls of ``people[starts[i] : starts[i + 1]]``.
    people : ndarray of int64
        Those people.
    values : ndarray of int8, shape (N, M)
        By person and variant.
    out : ndarray of int32, shape (M, M)
        Filled; ``out[i, j]`` sums variant j over the people that i lacks.
    """
    for i in range(out.shape[0]):
        row = out[i]
        for j in range(out.shape[1]):
            row[j] = 0
        for k in range(starts[i], starts[i + 1]):
            person = values[people[k]]
            for j in range(out.shape[1]):
                row[j] += person[j]


@jit
def to_correlation(
    products: NDArray[np.float32],
    total: NDArray[np.float64],
    n_called: NDArray[np.int64],
    n_people: int,
    lost: NDArray[np.int32],
    both_lost: NDArray[np.int32],
    out: NDArray[np.float32],
) -> None:
    """Turn sums of products into correlations, missing calls set to the variant's mean.

    With x = 0 where a call is missing, the sum over people with both calls of
    (x_i - mean_i)(x_j - mean_j) is sum(x_i x_j) - mean_i sum(x_j) - mean_j sum(x_i)
    + mean_i mean_j n_both, the middle sums over people with both calls.

    Parameters
    ----------
    products : ndarray of float32, shape (M, M)
        Sums of x_i x_j.
    total : ndarray of float64, shape (M,)
        Sums of x_i.
    n_called : ndarray of int64, shape (M,)
        People with a call.
    n_people : int
        All people.
    lost, both_lost : ndarray of int32, shape (M, M)
        From `sum_over_missing`: sums of x_j over i's missing people, and how many of these j
        lacks too; of shape (0, 0) if nothing is missing.
    out : ndarray of float32, shape (M, M)
        Filled; diagonal 1, and 0 beside a variant that does not vary.
    """
    n_variants = len(total)
    scale = np.zeros(n_variants)
    mean = np.zeros(n_variants)
    for i in range(n_variants):
        if n_called[i] > 0:
            mean[i] = total[i] / n_called[i]
            variance = np.float64(products[i, i]) - total[i] * total[i] / n_called[i]
            if variance > 0.0:
                scale[i] = 1.0 / math.sqrt(variance)
    complete = lost.shape[0] == 0
    for i in range(n_variants):
        for j in range(n_variants):
            if complete:
                taken = total[i] * total[j] / n_people
            else:
                n_both = n_called[i] + n_called[j] - n_people + both_lost[i, j]
                taken = (mean[i] * (total[j] - lost[i, j]) + mean[j] * (total[i] - lost[j, i])) - (
                    mean[i] * mean[j]
                ) * n_both
            r = (np.float64(products[i, j]) - taken) * (scale[i] * scale[j])
            out[i, j] = min(max(r, -1.0), 1.0)
        out[i, i] = 1.0
