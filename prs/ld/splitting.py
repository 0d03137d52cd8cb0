"""Where to cut a chromosome so that the least LD is lost: exact dynamic programming."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from prs.cluster import map_tasks
from prs.errors import SettingsError
from prs.inputs.genotypes import Genotypes
from prs.ld.correlation import correlate_variants

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["SplitSettings", "find_block_starts", "optimal_cuts"]

#: Cost of a cut between two variants at one position: made only where sizes leave no other.
_FORBIDDEN = 1e9


@dataclass(frozen=True)
class SplitSettings:
    """How `split_blocks` weighs LD that is lost against the size of blocks.

    Attributes
    ----------
    min_size, max_size : int
        Bounds on the number of variants in a block (a chromosome with fewer than `min_size`
        is one block).
    pair_cost : float
        What it costs to keep a pair of variants in one block, in units of r2.
    thr_r2 : float or None
        Squared correlations below this are noise and count as 0; None: 10 / people, which
        chance passes once in 600 pairs (0.02 for 500 people).
    """

    min_size: int = 50
    max_size: int = 1000
    pair_cost: float = 0.0005
    thr_r2: float | None = None

    def __post_init__(self) -> None:
        if self.min_size < 1 or self.max_size < 2 * self.min_size:
            raise SettingsError(
                f"blocks of {self.min_size} to {self.max_size} variants: max_size must be at "
                "least twice min_size, or some chromosomes cannot be cut"
            )
        if self.pair_cost < 0 or not (self.thr_r2 is None or 0 <= self.thr_r2 <= 1):
            raise SettingsError(
                f"pair_cost is {self.pair_cost} and thr_r2 {self.thr_r2}: neither may be "
                "negative, and thr_r2 not above 1"
            )


def find_block_starts(
    genotypes: Genotypes,
    settings: SplitSettings,
    n_threads: int | None = None,
    client: Client | None = None,
) -> NDArray[np.int64]:
    """Return the block boundaries of `split_blocks` as offsets into sorted variants.

    Parameters
    ----------
    genotypes : Genotypes
        A view whose variants all vary and are sorted by chromosome and position.
    settings : SplitSettings
        Sizes and costs.
    n_threads : int, optional
        Default: one per core.
    client : distributed.Client, optional
        A cluster whose workers do a chromosome each.

    Returns
    -------
    ndarray of int64, shape (B + 1,)
    """
    thr_r2 = settings.thr_r2
    if thr_r2 is None:
        thr_r2 = min(10 / genotypes.n_samples, 1.0)
    edges = np.flatnonzero(np.diff(genotypes.variants.chrom, prepend=-1, append=-1))
    threads = n_threads if client is None else 1
    split = _ChromosomeSplitter(genotypes, settings, thr_r2, threads)
    parts = map_tasks(split, pairwise(edges.tolist()), 1, client)
    return np.concatenate([np.zeros(1, dtype=np.int64), *parts])


@dataclass(frozen=True, eq=False)
class _ChromosomeSplitter:
    """Finds the ends of the blocks of one chromosome, which is rows `begin` to `stop`."""

    genotypes: Genotypes
    settings: SplitSettings
    thr_r2: float
    n_threads: int | None

    def __call__(self, edges: tuple[int, int]) -> NDArray[np.int64]:
        (begin, stop), width = edges, self.settings.max_size
        # From the chromosome's end to its beginning, as the recursion goes.
        tiles = [
            (max(begin, end - width), end, min(stop, end + width - 1))
            for end in range(stop, begin, -width)
        ]
        pos = self.genotypes.variants.pos[begin:stop]
        may_cut = np.append(True, pos[1:] != pos[:-1])
        rows = (row for tile in map_tasks(self._read_tile, tiles, self.n_threads) for row in tile)
        return begin + optimal_cuts(rows, may_cut, self.settings)[1:]

    def _read_tile(self, tile: tuple[int, int, int]) -> NDArray[np.float64]:
        first, end, beyond = tile
        r = correlate_variants(self.genotypes, slice(first, beyond))[: end - first]
        r2 = r**2
        r2[r2 < self.thr_r2] = 0
        band = _band(r2, self.settings.max_size)
        return np.cumsum(band, axis=1, dtype=np.float64)[::-1]


def _band(r2: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """Return r2 of each row's variant with the 1st, 2nd, ... variant after it.

    Parameters
    ----------
    r2 : ndarray of float32, shape (t, t + u)
        Rows are the first t of the t + u variants.
    width : int
        The band reaches the (width - 1)-th variant after; beyond the last variant it is 0.

    Returns
    -------
    ndarray of float32, shape (t, width - 1)
        A view.
    """
    n_rows = len(r2)
    padded = np.zeros((n_rows, n_rows + width - 1), dtype=r2.dtype)
    padded[:, : r2.shape[1]] = r2
    row, column = padded.strides
    return as_strided(padded[:, 1:], (n_rows, width - 1), (row + column, column), writeable=False)


def optimal_cuts(
    rows: Iterable[NDArray[np.float64]], may_cut: NDArray[np.bool_], settings: SplitSettings
) -> NDArray[np.int64]:
    """Cut m variants in a row into blocks at the least cost.

    With C(i) the least cost of variants i, i + 1, ... and K(i, s) the r2 within a block of s
    variants from i on: C(i) = min over s of C(i + s) - K(i, s) + pair_cost s (s - 1) / 2, from
    the last variant back to the first, and K(i, s) = K(i + 1, s - 1) + sum of r2 of i with the
    s - 1 variants after it. Of equal costs the smallest block is taken.

    Parameters
    ----------
    rows : iterable of ndarray of float64, shape (max_size - 1,)
        For the last variant first: cumulated r2 with the variants after it.
    may_cut : ndarray of bool, shape (m,)
        Whether a block may begin at a variant.
    settings : SplitSettings
        Sizes and the cost of a pair.

    Returns
    -------
    ndarray of int64, shape (B + 1,)
        Offsets of the blocks, from 0 to m.
    """
    m = len(may_cut)
    smallest, largest = settings.min_size, settings.max_size
    if m < 2 * smallest:
        return np.array([0, m] if m else [0])
    sizes = np.arange(1, largest + 1)
    pairs = settings.pair_cost * sizes * (sizes - 1) / 2
    least = np.full(m + 1, np.inf)
    least[m] = 0
    following = np.zeros(m, dtype=np.int64)
    within = np.zeros(largest)
    for i, row in zip(range(m - 1, -1, -1), rows, strict=True):
        within[1:] = within[:-1] + row
        within[0] = 0
        n = min(largest, m - i)
        if n < smallest:
            continue
        cost = least[i + smallest : i + n + 1] - within[smallest - 1 : n] + pairs[smallest - 1 : n]
        best = int(np.argmin(cost))
        least[i] = cost[best] + (0 if may_cut[i] else _FORBIDDEN)
        following[i] = i + smallest + best
    cuts = [0]
    while cuts[-1] < m:
        cuts.append(int(following[cuts[-1]]))
    return np.array(cuts)
