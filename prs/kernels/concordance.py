"""Kernel of Harrell's concordance: every comparable pair, counted in N log N."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prs.kernels._jit import jit

__all__ = ["concordance_pairs"]


@jit
def _add(tree: NDArray[np.int64], rank: NDArray[np.int64], low: int, high: int) -> int:
    """Put people into a binary indexed tree (Fenwick 1994) by rank; return how many."""
    for i in range(low, high):
        k = rank[i]
        while k < len(tree):
            tree[k] += 1
            k += k & -k
    return high - low


@jit
def _up_to(tree: NDArray[np.int64], k: int) -> int:
    """Count the people in the tree with a rank of at most k."""
    total = 0
    while k > 0:
        total += tree[k]
        k -= k & -k
    return total


@jit
def concordance_pairs(
    start: NDArray[np.int64],
    middle: NDArray[np.int64],
    rank: NDArray[np.int64],
    by_entry: NDArray[np.int64],
    n_entered: NDArray[np.int64],
    tree: NDArray[np.int64],
    won: NDArray[np.float64],
    number: NDArray[np.float64],
) -> None:
    """Count each person's comparable pairs and the score (1, 1/2, 0) of these.

    A pair is comparable if one has the event while the other is still without it; censored at
    the same time counts as later, two events at the same time do not compare. It scores 1 if
    the one with the event has the higher risk, 1/2 if the risks tie. Nobody compares with an
    event before they had entered, or at that time. The tree holds, on the way from the latest
    time down, who is later and has entered; on the way up, whose event was earlier: what it holds
    when a person enters is taken off again.

    Parameters
    ----------
    start : ndarray of int64, shape (T + 1,)
        Where each distinct time begins; people are sorted by time, events before censored.
    middle : ndarray of int64, shape (T,)
        Where its censored begin.
    rank : ndarray of int64, shape (N,)
        Rank of the risk, from 1; ties share one.
    by_entry : ndarray of int64, shape (N,)
        People from the earliest to enter to the latest.
    n_entered : ndarray of int64, shape (T,)
        How many of them have entered before each distinct time.
    tree : ndarray of int64, shape (largest rank + 1,)
        Work space.
    won, number : ndarray of float64, shape (N,)
        Added to.
    """
    n_times = len(middle)
    tree[:] = 0
    held = 0
    inside = len(rank)
    for t in range(n_times - 1, -1, -1):
        held += _add(tree, rank, middle[t], start[t + 1])
        while inside > n_entered[t]:
            inside -= 1
            k = rank[by_entry[inside]]
            while k < len(tree):
                tree[k] -= 1
                k += k & -k
            held -= 1
        for i in range(start[t], middle[t]):
            below, here = _up_to(tree, rank[i] - 1), _up_to(tree, rank[i])
            won[i] += 0.5 * (below + here)
            number[i] += held
        held += _add(tree, rank, start[t], middle[t])
    tree[:] = 0
    held = 0
    inside = 0
    for t in range(n_times):
        while inside < n_entered[t]:
            i = by_entry[inside]
            below, here = _up_to(tree, rank[i] - 1), _up_to(tree, rank[i])
            won[i] -= held - 0.5 * (below + here)
            number[i] -= held
            inside += 1
        for i in range(start[t], middle[t]):
            below, here = _up_to(tree, rank[i] - 1), _up_to(tree, rank[i])
            won[i] += held - 0.5 * (below + here)
            number[i] += held
        held += _add(tree, rank, start[t], middle[t])
        for i in range(middle[t], start[t + 1]):
            below, here = _up_to(tree, rank[i] - 1), _up_to(tree, rank[i])
            won[i] += held - 0.5 * (below + here)
            number[i] += held
