"""Block boundaries: from a BED file, or where the least LD is lost between blocks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from prs.errors import InvalidValueError, LDReferenceError, SettingsError
from prs.files import read_bytes, write_atomically
from prs.inputs.genotypes import Genotypes
from prs.ld.correlation import choose_people_and_variants
from prs.ld.splitting import SplitSettings, find_block_starts
from prs.samples import SampleTable
from prs.variants import VariantTable, chromosome_codes, chromosome_labels

__all__ = ["BlockTable", "read_blocks", "split_blocks", "write_blocks"]


@dataclass(frozen=True, eq=False)
class BlockTable:
    """B genomic intervals, sorted, that do not overlap.

    Attributes
    ----------
    chrom : ndarray of int8, shape (B,)
        Chromosome code.
    start, end : ndarray of int64, shape (B,)
        The block holds the variants with ``start <= pos < end`` (1-based positions), which is
        how LDetect (Berisa & Pickrell 2016) means its files.

    Raises
    ------
    InvalidValueError
        If an interval is empty or overlaps another.
    """

    chrom: NDArray[np.int8]
    start: NDArray[np.int64]
    end: NDArray[np.int64]

    def __post_init__(self) -> None:
        chrom = np.asarray(self.chrom, dtype=np.int8)
        start, end = np.asarray(self.start, np.int64), np.asarray(self.end, np.int64)
        order = np.lexsort((start, chrom))
        for name, values in (("chrom", chrom), ("start", start), ("end", end)):
            object.__setattr__(self, name, values[order])
        empty = np.flatnonzero(self.end <= self.start)
        same = self.chrom[1:] == self.chrom[:-1]
        overlap = np.flatnonzero(same & (self.start[1:] < self.end[:-1])) + 1
        for bad, what in ((empty, "end before they start"), (overlap, "overlap the one before")):
            if len(bad):
                raise InvalidValueError(
                    f"{len(bad):,} blocks {what}",
                    rows=[self._describe(i) for i in bad[:5]],
                    n_rows=len(bad),
                )

    def __len__(self) -> int:
        return len(self.start)

    def _describe(self, i: int) -> str:
        return f"{chromosome_labels(self.chrom[i])}:{self.start[i]}-{self.end[i]}"

    def _slots(self, variants: VariantTable) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return, of each variant, the last block that starts at or before it, and if it is in."""
        if len(self) == 0:
            return np.full(len(variants), -1), np.zeros(len(variants), dtype=bool)
        starts = (self.chrom.astype(np.int64) << 32) | self.start
        slot = np.searchsorted(starts, variants.site_key, side="right") - 1
        inside = (
            (slot >= 0) & (self.chrom[slot] == variants.chrom) & (variants.pos < self.end[slot])
        )
        return slot, inside

    def covers(self, variants: VariantTable) -> NDArray[np.bool_]:
        """Return whether each variant lies in a block; shape (M,)."""
        return self._slots(variants)[1]

    def assign(self, variants: VariantTable) -> NDArray[np.int64]:
        """Cut sorted variants into these blocks.

        Variants between two blocks (before the first, after the last) form a block of their
        own; blocks without a variant are left out.

        Parameters
        ----------
        variants : VariantTable
            Sorted by chromosome and position.

        Returns
        -------
        ndarray of int64, shape (B' + 1,)
            Block b holds the variants from ``[b]`` to before ``[b + 1]``.

        Raises
        ------
        LDReferenceError
            If a chromosome has no block at all.
        SettingsError
            If the variants are not sorted.
        """
        if not variants.is_sorted:
            raise SettingsError("variants must be sorted by chromosome and position to be cut")
        lacking = np.setdiff1d(variants.chrom, self.chrom)
        if len(lacking):
            raise LDReferenceError(
                f"there are no LD blocks for chromosome {', '.join(chromosome_labels(lacking))}",
                remedy="use a file of blocks for all chromosomes, or none to have them found",
            )
        slot, inside = self._slots(variants)
        # A gap takes the number of the block before it and a half; the chromosome tells the gap
        # after one chromosome's last block from that before the next one's first.
        label = 2 * slot + ~inside
        new = (np.diff(label) != 0) | (np.diff(variants.chrom) != 0)
        cuts = np.flatnonzero(new) + 1
        return np.concatenate([[0], cuts, [len(variants)]] if len(variants) else [[0]])


def read_blocks(path: str | Path) -> BlockTable:
    """Read a BED file of LD blocks, as LDetect and its successors are distributed.

    Parameters
    ----------
    path : str or Path
        Chromosome (``chr1`` or ``1``), start and end in the first three columns, separated by
        any white space; a header line, ``#`` and ``track`` lines are skipped.

    Returns
    -------
    BlockTable

    Raises
    ------
    FileFormatError
        If the file is missing or empty.
    InvalidValueError
        If a line is not such an interval, or intervals overlap.
    """
    text = read_bytes(path, "file of LD blocks").decode("utf-8", "replace")
    labels: list[str] = []
    bounds: list[tuple[int, int]] = []
    bad: list[tuple[int, str]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        cells = line.split()
        if not cells or cells[0].startswith("#") or cells[0].lower() in ("track", "browser"):
            continue
        if not labels and not bad and cells[0].lower() in ("chr", "chrom", "chromosome"):
            continue
        if len(cells) < 3 or not all(c.isdecimal() and len(c) < 12 for c in cells[1:3]):
            bad.append((number, line))
            continue
        labels.append(cells[0])
        bounds.append((int(cells[1]), int(cells[2])))
        if chromosome_codes(cells[:1])[0] == 0:
            bad.append((number, line))
    if bad or not labels:
        raise InvalidValueError(
            f"{len(bad):,} lines are not intervals (chromosome, start, end)",
            path=path,
            line=bad[0][0] if bad else None,
            rows=[f"line {number}: {line}" for number, line in bad[:5]],
            n_rows=len(bad),
            remedy="give a BED file such as LDetect's",
        )
    start, end = np.array(bounds, dtype=np.int64).T
    try:
        return BlockTable(chromosome_codes(labels), start, end)
    except InvalidValueError as error:
        raise InvalidValueError(
            error.message, path=path, rows=error.rows, n_rows=error.n_rows
        ) from error


def write_blocks(blocks: BlockTable, path: str | Path) -> None:
    """Write a BED file of blocks that `read_blocks` reads (chr, start, end)."""
    labels = chromosome_labels(blocks.chrom)
    lines = ["chr\tstart\tend"]
    for label, start, end in zip(labels, blocks.start, blocks.end, strict=True):
        lines.append(f"chr{label}\t{start}\t{end}")
    with write_atomically(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def split_blocks(
    genotypes: Genotypes,
    *,
    samples: SampleTable | ArrayLike | None = None,
    min_maf: float = 0.01,
    max_missing: float = 0.1,
    min_size: int = SplitSettings.min_size,
    max_size: int = SplitSettings.max_size,
    pair_cost: float = SplitSettings.pair_cost,
    thr_r2: float | None = SplitSettings.thr_r2,
    n_threads: int | None = None,
) -> BlockTable:
    """Find the blocks that lose the least LD, exactly, by dynamic programming.

    Minimises, over all ways to cut a chromosome into blocks of `min_size` to `max_size`
    variants, the sum of r2 between variants of different blocks plus `pair_cost` for each pair
    within a block. With ``pair_cost=0`` it is the cost of Prive (2022, Bioinformatics 38:255,
    "Optimal linkage disequilibrium splitting", bigsnpr ``snp_ldsplit``) at the best number of
    blocks; a positive one chooses that number, in place of looking at a curve: two stretches
    are kept together where their pairs have a mean r2 above it. Variants farther apart than
    `max_size` are never in one block, so that a band of that width holds all that matters.

    Parameters
    ----------
    genotypes : Genotypes
        Reference genotypes of one population.
    samples : SampleTable, index array or mask, optional
        People to use; default: all.
    min_maf, max_missing : float
        As in `compute_ld`.
    min_size, max_size, pair_cost, thr_r2
        See `SplitSettings`.
    n_threads : int, optional
        Default: one per core; no influence on the result.

    Returns
    -------
    BlockTable
        Each block begins at its first variant and ends where the next one begins.
    """
    settings = SplitSettings(min_size, max_size, pair_cost, thr_r2)
    usable = choose_people_and_variants(genotypes, samples, min_maf, max_missing)
    variants = usable.genotypes.variants
    starts = find_block_starts(usable.genotypes, settings, n_threads)
    first, last = starts[:-1], starts[1:] - 1
    chrom, start = variants.chrom[first], variants.pos[first].astype(np.int64)
    end = variants.pos[last].astype(np.int64) + 1
    same = chrom[1:] == chrom[:-1]
    end[:-1] = np.where(same, start[1:], end[:-1])
    return BlockTable(chrom, start, end)
