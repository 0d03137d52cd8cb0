"""Clumping window by window: bit planes of a few thousand variants at a time, shared out freely.

Whose clump a variant joins hangs on the more significant variants near it, and theirs on
others still. In a window of variants that is in memory all fates are decided that hang on
nothing outside of it; the few about the borders, which do, wait for a window around them. As
only what is certain is decided, the clumps do not depend on the windows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from prs.cluster import count_threads, map_tasks
from prs.inputs.genotypes import Genotypes
from prs.ld.planes import read_planes

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["NOBODY", "WindowClumper", "clump_by_windows"]

#: An owner: nobody has claimed the variant, which may not be an index variant.
NOBODY = -2
_UNDECIDED = -1  # as in `prs.kernels.clump`, which is imported when it is needed
#: Bytes of the bit planes of all windows that are in memory at once.
_PLANE_BYTES = 400 << 20
#: Of a window with less than so many times what a variant reaches too much is border: rather
#: than that, fewer threads have one.
_SMALLEST_REACHES = 4
#: Windows that a thread gets of each sweep, where memory does not ask for more of them.
_WINDOWS_PER_THREAD = 4
#: A window is so many times what a variant reaches, so that borders are few, or as large as
#: stays in the processor's cache: either where memory allows it.
_LEAST_REACHES = 8
_CACHE_BYTES = 1 << 23
#: Workers of a cluster for whom there is work; their number is not asked for.
_CLUSTER_THREADS = 16
#: From so many cells on, r2 of all pairs is computed once and kept, as far as it is not small
#: (else there would be too many pairs to keep).
_MANY_CELLS = 3
_LEAST_R2_OF_PAIRS = 0.05
#: Variants whose pairs are computed at once.
_FIRST_OF_PAIRS = 256
#: Pairs of a window that are computed where they are kept.
_PAIRS_OF_WINDOW = 1 << 24


@dataclass(frozen=True, eq=False)
class WindowClumper:
    """Decides, for a window of the K variants sorted by position, what it can.

    Called with a window and the owners known so far (``start, stop, (C, stop - start)``), gives
    the owners known afterwards; they are variants, 0 to K - 1.

    Attributes
    ----------
    genotypes : Genotypes
        The reference.
    people : ndarray of int64, shape (N,)
        Rows of the file of the people.
    reference_index : ndarray of int64, shape (K,)
        The variants in the genotypes.
    order : ndarray of int64
        Those of them that may be index variants, most significant first.
    key : ndarray of int64, shape (K,)
        `VariantTable.site_key`, ascending.
    cells : tuple of (float, float)
        r2 and distance (1,000 base pairs) of each of the C cells.
    by_haplotype : bool
        Which r2.
    haploid : ndarray of bool, shape (N,), or None
        Who has one copy of these variants; None for nobody.
    """

    genotypes: Genotypes
    people: NDArray[np.int64]
    reference_index: NDArray[np.int64]
    order: NDArray[np.int64]
    key: NDArray[np.int64]
    cells: tuple[tuple[float, float], ...]
    by_haplotype: bool
    haploid: NDArray[np.bool_] | None = None

    @property
    def keeps_pairs(self) -> bool:
        """Whether r2 of all pairs is computed once for all cells."""
        least = min(r2 for r2, _ in self.cells)
        return len(self.cells) >= _MANY_CELLS and least >= _LEAST_R2_OF_PAIRS

    def reach(
        self, kb: float, where: slice = slice(None)
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return for each of some variants the first near it and the one after the last."""
        reach = int(kb * 1000 * (1 + 1e-12)) - 1
        # positions of one chromosome are less than 2^29 and chromosomes 2^32 apart
        reach = min(reach, 1 << 30)
        first = np.searchsorted(self.key, self.key[where] - reach, side="left")
        return first, np.searchsorted(self.key, self.key[where] + reach, side="right")

    def __call__(self, item: tuple[int, int, NDArray[np.int64]]) -> NDArray[np.int64]:
        """Decide what the window tells; `item` is start, stop and the owners so far."""
        from prs.kernels.clump import clump_pairs, clump_variants

        start, stop, owners = item
        planes, sums = read_planes(
            self.genotypes, self.reference_index[start:stop], self.people, self.haploid
        )
        order = self.order[(self.order >= start) & (self.order < stop)] - start
        n_people = len(self.people)
        reaches = {kb: self.reach(kb, slice(start, stop)) for _, kb in self.cells}
        pairs = None
        if self.keeps_pairs:
            last = np.minimum(reaches[max(reaches)][1], stop) - start
            least = min(r2 for r2, _ in self.cells)
            pairs = _find_pairs(planes, sums, n_people, last, least, self.by_haplotype)
        for (r2, kb), owner in zip(self.cells, owners, strict=True):
            first, last = reaches[kb]
            known = owner != _UNDECIDED
            local = np.where(owner >= 0, owner - start, owner)
            local[known & ((local < 0) | (local >= len(local)))] = NOBODY  # none of this window
            blocked = ~known & ((first < start) | (last > stop))
            near = np.maximum(first - start, 0), np.minimum(last, stop) - start
            if pairs is not None:
                clump_pairs(*pairs, order, *near, r2, blocked, local)
            else:
                clump_variants(
                    planes, sums, n_people, order, *near, r2, self.by_haplotype, blocked, local
                )
            local[(local == _UNDECIDED) & ~blocked] = NOBODY
            owner[~known] = np.where(local >= 0, local + start, local)[~known]
        return owners


def clump_by_windows(
    work: WindowClumper, n_threads: int | None, client: Client | None
) -> NDArray[np.int64]:
    """Return the owner of each variant in each cell, or `NOBODY`; shape (C, K)."""
    n_variants = len(work.key)
    owners = np.full((len(work.cells), n_variants), _UNDECIDED, dtype=np.int64)
    first, last = work.reach(max(kb for _, kb in work.cells))
    reach = int(np.mean(last - first)) if n_variants else 1
    plane_bytes = 3 * 8 * -(-len(work.people) // 64)
    in_memory = max(1, _PLANE_BYTES // plane_bytes)  # variants
    threads = min(count_threads(n_threads), max(1, in_memory // (_SMALLEST_REACHES * reach)))
    if client is None:
        size = _window_size(work, reach, in_memory // threads, threads)
    else:
        size = _window_size(work, reach, in_memory, _CLUSTER_THREADS)
    windows = [(i, min(i + size, n_variants)) for i in range(0, n_variants, size)]
    while windows:
        items = ((start, stop, owners[:, start:stop].copy()) for start, stop in windows)
        results = map_tasks(work, items, threads, client)
        for (start, stop), found in zip(windows, results, strict=True):
            part = owners[:, start:stop]
            np.copyto(part, found, where=part == _UNDECIDED)
        windows = list(_cover(np.any(owners == _UNDECIDED, axis=0), first, last, size))
    return owners


def _window_size(work: WindowClumper, reach: int, largest: int, n_threads: int) -> int:
    """Return how many variants a window has, of which at most `largest` are in memory."""
    n_variants = len(work.key)
    plane_bytes = 3 * 8 * -(-len(work.people) // 64)
    size = min(largest, max(_LEAST_REACHES * reach, _CACHE_BYTES // plane_bytes))
    if work.keeps_pairs:
        size = min(size, _PAIRS_OF_WINDOW // reach + 1)
    if n_threads > 1:
        even = -(-n_variants // (n_threads * _WINDOWS_PER_THREAD))
        size = min(size, max(even, _LEAST_REACHES * reach))
    return max(size, 1)


def _cover(
    undecided: NDArray[np.bool_],
    first: NDArray[np.int64],
    last: NDArray[np.int64],
    size: int,
) -> Iterator[tuple[int, int]]:
    """Yield windows, each undecided variant in one with all that is near it.

    So the most significant of them is certainly decided. A window has at most `size` variants,
    or what is near its first undecided one.
    """
    start = stop = -1
    for i in np.flatnonzero(undecided):
        if start >= 0 and (first[i] >= stop or last[i] > max(start + size, stop)):
            yield start, stop
            start = -1
        if start < 0:
            start = int(first[i])
        stop = int(last[i])
    if start >= 0:
        yield start, stop


def _find_pairs(
    planes: NDArray[np.uint64],
    sums: NDArray[np.int64],
    n_people: int,
    last: NDArray[np.int64],
    least: float,
    by_haplotype: bool,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return for each variant the variants near it whose r2 with it reaches the least one."""
    from prs.kernels.clump import r2_of_pairs

    found: list[NDArray[np.int64]] = []
    values: list[NDArray[np.float64]] = []
    for start in range(0, len(last), _FIRST_OF_PAIRS):
        stop = min(start + _FIRST_OF_PAIRS, len(last))
        ends = last[start:stop] - start
        n_pairs = int(np.sum(ends - np.arange(stop - start) - 1))
        pairs, r2 = np.empty((n_pairs, 2), dtype=np.int32), np.empty(n_pairs)
        n_kept = r2_of_pairs(
            planes[start:], sums[start:], n_people, stop - start, ends, least, by_haplotype,
            pairs, r2,
        )  # fmt: skip
        found.append(start + pairs[:n_kept].astype(np.int64))
        values.append(r2[:n_kept].copy())
    both = np.concatenate([*found, *(part[:, ::-1] for part in found)])
    r2 = np.concatenate([*values, *values])
    order = np.argsort(both[:, 0], kind="stable")
    starts = np.searchsorted(both[order, 0], np.arange(len(last) + 1)).astype(np.int64)
    return starts, np.ascontiguousarray(both[order, 1]), r2[order]
