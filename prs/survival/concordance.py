"""Harrell's concordance, with late entry too, and each person's influence on it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prs.kernels.concordance import concordance_pairs

__all__ = ["concordance"]

Floats = NDArray[np.float64]


def concordance(
    times: Floats, event: Floats, risk: Floats, *, entry: Floats | None = None
) -> tuple[float, Floats]:
    """Return Harrell's C (NaN without a comparable pair), and each person's influence on it.

    The influences sum to 0; their sum of squares is the infinitesimal jackknife's variance.

    Parameters
    ----------
    times, event, risk : ndarray of float64, shape (N,)
        Of event or censoring; 1 event, 0 censored; higher is earlier.
    entry : ndarray of float64, shape (N,), optional
        When each person came under observation. Who enters at an event's time or later does not
        compare with it, as in R's ``concordance(Surv(entry, times, event) ~ risk)``.
    """
    won, number = _pairs(times, event == 1.0, risk, entry)
    total = number.sum()
    if total == 0.0:
        return np.nan, np.zeros(len(times))
    c = float(won.sum() / total)
    return c, 2.0 * (won - c * number) / total


def _pairs(
    times: Floats, event: NDArray[np.bool_], risk: Floats, entry: Floats | None
) -> tuple[Floats, Floats]:
    """Return, for each person, the sum of their pairs' scores (1, 1/2, 0) and the pairs' number."""
    order = np.lexsort((~event, times))
    distinct, start, count = np.unique(times[order], return_index=True, return_counts=True)
    events = np.concatenate([[0], np.cumsum(event[order])])
    stop = start + count
    _, rank = np.unique(risk, return_inverse=True)
    entered = np.full(len(times), -np.inf) if entry is None else entry[order]
    by_entry = np.argsort(entered, kind="stable")
    won, number = np.zeros(len(times)), np.zeros(len(times))
    concordance_pairs(
        np.append(start, len(times)).astype(np.int64),
        (start + events[stop] - events[start]).astype(np.int64),
        (rank[order] + 1).astype(np.int64),
        by_entry.astype(np.int64),
        np.searchsorted(entered[by_entry], distinct, side="left").astype(np.int64),
        np.zeros(int(rank.max()) + 2, np.int64),
        won,
        number,
    )
    back = np.empty(len(order), np.int64)
    back[order] = np.arange(len(order))
    return won[back], number[back]
