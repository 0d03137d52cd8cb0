"""LDReference: a population's LD, block by block, read when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from prs.cluster import map_tasks
from prs.errors import LDReferenceError, SettingsError
from prs.variants import VariantTable

__all__ = ["BlockReader", "LDReference"]

#: Called with a block's number, returns its correlation matrix (float32, symmetric, diagonal 1).
BlockReader: TypeAlias = Callable[[int], NDArray[np.float32]]

#: How far a diagonal may be from 1, and two mirrored entries from each other: text files with
#: six digits and float32 sums are well inside.
_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class LDReference:
    """Correlations between M variants in one population, in blocks; zero between blocks.

    The matrices are not held: `read_block` gets one from wherever it is (a file, genotypes,
    memory). Safe to read from several threads.

    Attributes
    ----------
    variants : VariantTable
        The M variants; those of a block are neighbours in the table.
    eaf : ndarray of float64, shape (M,)
        Frequency of the effect allele in the panel.
    block_starts : ndarray of int64, shape (B + 1,)
        Block b holds the variants ``block_starts[b] : block_starts[b + 1]``; no block is empty.
    population : str
        Name of the population; "" where unknown.
    n_samples : int or None
        People that the correlations were computed from; None where unknown.
    source : str
        Where it comes from: a file, a panel folder, a genotype file.
    reader : callable
        ``reader(b)`` returns the matrix of block b: float32, symmetric, diagonal 1.
    notes : tuple of str
        What was left out or assumed, with counts.

    Raises
    ------
    LDReferenceError
        If the fields do not fit each other.
    """

    variants: VariantTable
    eaf: NDArray[np.float64]
    block_starts: NDArray[np.int64]
    population: str
    n_samples: int | None
    source: str
    reader: BlockReader = field(repr=False)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        set_field = object.__setattr__
        set_field(self, "eaf", np.asarray(self.eaf, dtype=np.float64))
        set_field(self, "block_starts", np.asarray(self.block_starts, dtype=np.int64))
        starts, n_variants = self.block_starts, len(self.variants)
        if self.eaf.shape != (n_variants,):
            raise LDReferenceError(
                f"{len(self.eaf):,} allele frequencies for {n_variants:,} variants",
                path=self.source,
            )
        fits = starts.ndim == 1 and len(starts) > 0 and starts[0] == 0 and starts[-1] == n_variants
        if not fits or np.any(np.diff(starts) < 1):
            raise LDReferenceError(
                f"block_starts does not cut {n_variants:,} variants into non-empty blocks",
                path=self.source,
            )

    def __len__(self) -> int:
        return len(self.variants)

    def __repr__(self) -> str:
        return (
            f"LDReference({self.population or '?'}: {len(self):,} variants in "
            f"{self.n_blocks:,} blocks, from {self.source})"
        )

    @classmethod
    def from_blocks(
        cls,
        variants: VariantTable,
        eaf: ArrayLike,
        matrices: Sequence[ArrayLike],
        *,
        population: str = "",
        n_samples: int | None = None,
        source: str = "memory",
        notes: tuple[str, ...] = (),
    ) -> LDReference:
        """Make a reference that holds its matrices in memory.

        Parameters
        ----------
        variants : VariantTable
            All variants, block after block.
        eaf : array_like of float, shape (M,)
            Effect-allele frequencies.
        matrices : sequence of array_like, shapes (m_b, m_b)
            One correlation matrix a block; empty ones are left out.
        population, n_samples, source, notes
            See `LDReference`.

        Raises
        ------
        LDReferenceError
            If a matrix is not square, finite and symmetric with a diagonal of 1.
        """
        blocks = [np.asarray(matrix) for matrix in matrices]
        checked = tuple(
            as_correlation(matrix, f"block {number} of {source}")
            for number, matrix in enumerate(blocks)
            if matrix.size
        )
        starts = np.cumsum([0, *(len(matrix) for matrix in checked)])
        return cls(
            variants,
            np.asarray(eaf, dtype=np.float64),
            starts,
            population,
            n_samples,
            source,
            checked.__getitem__,
            notes,
        )

    @property
    def n_blocks(self) -> int:
        """Number of blocks."""
        return len(self.block_starts) - 1

    @property
    def block_sizes(self) -> NDArray[np.int64]:
        """Variants in each block; shape (B,)."""
        return np.diff(self.block_starts)

    @property
    def sd(self) -> NDArray[np.float64]:
        """Standard deviation of a dosage in Hardy-Weinberg proportions, sqrt(2f(1-f)); (M,)."""
        return np.sqrt(2.0 * self.eaf * (1.0 - self.eaf))

    def read_block(self, block: int) -> NDArray[np.float32]:
        """Return the correlation matrix of one block; treat it as read-only.

        Parameters
        ----------
        block : int
            From 0 to `n_blocks` - 1.

        Returns
        -------
        ndarray of float32, shape (m, m)
            Symmetric to the bit, with a diagonal of 1.

        Raises
        ------
        SettingsError
            If there is no such block.
        LDReferenceError, FileFormatError
            If what is stored is not such a matrix or cannot be read.
        """
        if not 0 <= block < self.n_blocks:
            raise SettingsError(
                f"there is no block {block}: blocks go from 0 to {self.n_blocks - 1}"
            )
        return self.reader(block)

    def blocks(self, n_threads: int | None = 1) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Yield (slice of the variants, correlation matrix) for each block in turn.

        Parameters
        ----------
        n_threads : int, optional
            Threads that read ahead; None: one per core.
        """
        matrices = map_tasks(self.reader, range(self.n_blocks), n_threads)
        for block, matrix in enumerate(matrices):
            yield slice(int(self.block_starts[block]), int(self.block_starts[block + 1])), matrix

    def load(self, n_threads: int | None = None) -> LDReference:
        """Return the same reference with all matrices in memory.

        Parameters
        ----------
        n_threads : int, optional
            Threads that read or compute; default: one per core.
        """
        held = tuple(matrix for _, matrix in self.blocks(n_threads))
        return LDReference(
            self.variants,
            self.eaf,
            self.block_starts,
            self.population,
            self.n_samples,
            self.source,
            held.__getitem__,
            self.notes,
        )

    def subset(self, variants: ArrayLike) -> LDReference:
        """Return the reference with some of its variants; nothing is read.

        Blocks keep their order; those left without a variant are dropped and the others
        renumbered.

        Parameters
        ----------
        variants : array_like of int or bool
            Ascending positions in `variants`, or a mask of shape (M,).

        Raises
        ------
        SettingsError
            If positions are not strictly ascending or are out of range.
        """
        index = np.asarray(variants)
        if index.dtype == bool:
            if index.shape != (len(self),):
                raise SettingsError(f"the mask has shape {index.shape}, not ({len(self)},)")
            index = np.flatnonzero(index)
        index = index.astype(np.int64)
        if np.any(np.diff(index) < 1) or (
            len(index) and not 0 <= index[0] <= index[-1] < len(self)
        ):
            raise SettingsError(
                f"positions must ascend strictly from 0 to {len(self) - 1}, "
                "because the variants of a block stay together"
            )
        if len(index) == len(self):
            return self
        cuts = np.searchsorted(index, self.block_starts)
        kept = np.flatnonzero(np.diff(cuts) > 0)
        rows = tuple(
            index[cuts[block] : cuts[block + 1]] - self.block_starts[block] for block in kept
        )
        return LDReference(
            self.variants.take(index),
            self.eaf[index],
            np.concatenate([[0], cuts[kept + 1]]),
            self.population,
            self.n_samples,
            self.source,
            _SubsetReader(self.reader, kept, rows, self.block_sizes[kept]),
            self.notes,
        )


@dataclass(frozen=True, eq=False)
class _SubsetReader:
    """Reads the wanted rows and columns of another reader's blocks."""

    reader: BlockReader
    blocks: NDArray[np.int64]
    rows: tuple[NDArray[np.int64], ...]
    full_sizes: NDArray[np.int64]

    def __call__(self, block: int) -> NDArray[np.float32]:
        matrix = self.reader(int(self.blocks[block]))
        rows = self.rows[block]
        return matrix if len(rows) == self.full_sizes[block] else matrix[np.ix_(rows, rows)]


def as_correlation(matrix: NDArray[np.generic], where: str) -> NDArray[np.float32]:
    """Return a matrix as an exactly symmetric float32 correlation with a diagonal of 1.

    Rounding of the stored numbers (asymmetry, diagonal) is removed; anything larger is an
    error.

    Parameters
    ----------
    matrix : ndarray, shape (m, m)
        What was read.
    where : str
        What it is, for messages.

    Raises
    ------
    LDReferenceError
        If it is not square, finite, symmetric, with a diagonal of 1 and entries in [-1, 1].
    """
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise LDReferenceError(f"{where} is not a square matrix but of shape {matrix.shape}")
    values = np.ascontiguousarray(matrix, dtype=np.float32)
    largest = float(np.abs(values).max(initial=0.0))
    if not largest <= 1 + _TOLERANCE:  # also true of NaN
        bad = np.argwhere(~(np.abs(values) <= 1 + _TOLERANCE))
        raise LDReferenceError(
            f"{where} has {len(bad):,} entries that are not correlations in [-1, 1]",
            rows=[f"row {i}, column {j}: {values[i, j]}" for i, j in bad[:5]],
            n_rows=len(bad),
        )
    if np.abs(np.diagonal(values) - 1).max(initial=0.0) > _TOLERANCE:
        raise LDReferenceError(f"{where} has a diagonal that is not 1: it is not a correlation")
    mirrored = values.T
    if np.abs(values - mirrored).max(initial=0.0) > _TOLERANCE:
        raise LDReferenceError(f"{where} is not symmetric")
    # The mean of two mirrored entries is the same sum in both places: symmetric to the bit.
    symmetric = (values + mirrored) * np.float32(0.5)
    np.clip(symmetric, -1, 1, out=symmetric)
    np.fill_diagonal(symmetric, 1)
    return symmetric
