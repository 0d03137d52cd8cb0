"""LD blocks made fit for a Gaussian model: positive semidefinite, with b in the column space."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from prs.weights.csx_inputs import PopulationData

__all__ = [
    "BlockPreparation",
    "LdBlock",
    "LdDtype",
    "block_tasks",
    "clean_block",
    "ld_unit",
    "plain_block",
    "store_block",
]

LdDtype: TypeAlias = Literal["float32", "int16", "int8"]

N_DIRECTIONS = 4  # predictions of pseudo-people per population, for the diagnostics
#: Eigenvalues up to this (or twice the most negative one) count as 0: correlations stored with
#: six digits have eigenvalues of about -1e-5 where they should be 0.
NULL_EIGENVALUE = 1e-4
#: Eigenvalues above minus this are rounding of float32 and are left alone.
ROUNDING = 2e-6
#: Added to the diagonal, so that float32 rounding cannot make the quadratic form negative.
RIDGE = 2e-6


@dataclass(frozen=True, eq=False)
class LdBlock:
    """A block as the sampler uses it.

    Attributes
    ----------
    matrix : ndarray of float32 or float64, shape (m, m)
        Symmetric.
    diagonal : ndarray of float64, shape (m,)
        Diagonal to be used for R.
    b : ndarray of float64, shape (m,)
    directions : ndarray of float64, shape (d, m)
        Genotypes of pseudo-people with this LD.
    lost : float
        |b|^2 outside the column space.
    is_mended : bool
        Whether eigenvalues were negative beyond rounding.
    """

    matrix: NDArray[np.floating]
    diagonal: NDArray[np.float64]
    b: NDArray[np.float64]
    directions: NDArray[np.float64]
    lost: float
    is_mended: bool


def clean_block(
    matrix: NDArray[np.floating], b: NDArray[np.float64], z: NDArray[np.float64]
) -> LdBlock:
    """Take negative eigenvalues as 0 and project b on the column space.

    A b outside the column space of a rank-deficient R has no finite best fit: the posterior of
    effects along the null space would be the prior's, pushed by noise (Nishimura et al.).

    Parameters
    ----------
    matrix : ndarray, shape (m, m)
        Correlations.
    b : ndarray of float64, shape (m,)
        Standardised marginal effects.
    z : ndarray of float64, shape (d, m)
        Standard normal numbers for the directions.
    """
    values, vectors = np.linalg.eigh(0.5 * (matrix.astype(np.float64) + matrix.T))
    lowest = float(values[0])
    null = values <= max(NULL_EIGENVALUE, -2.0 * lowest)
    lost = 0.0
    if null.any():
        part = vectors[:, null]
        away = part @ (part.T @ b)
        lost = float(away @ away)
        # rounded, so that the last bits of the eigenvectors, which differ between linear algebra
        # libraries, do not send the chains elsewhere
        b = (b - away).astype(np.float32).astype(np.float64)
    is_mended = lowest < -ROUNDING
    positive = np.maximum(values, 0.0)
    if is_mended:
        full = (vectors * positive) @ vectors.T
        matrix = 0.5 * (full + full.T)
    single = matrix.astype(np.float32)
    diagonal = single.diagonal().astype(np.float64) + RIDGE
    directions = (z * np.sqrt(positive)) @ vectors.T
    return LdBlock(single, diagonal, b, directions, lost, bool(is_mended))


def plain_block(
    matrix: NDArray[np.floating], b: NDArray[np.float64], z: NDArray[np.float64]
) -> LdBlock:
    """Return the mean of the block and its polar factor, as the reference tool's chain uses.

    With R = U S V', the reference takes (R + V S V') / 2 (its mcmc reads it as the nearest
    positive semidefinite matrix); b stays as it is.
    """
    full: NDArray[np.float64] = matrix.astype(np.float64)
    _, s, vt = np.linalg.svd(full)
    polar = (vt.T * s) @ vt
    full = 0.5 * (full + polar)
    directions = (z * np.sqrt(s)) @ vt
    return LdBlock(full, full.diagonal().copy(), b, directions, 0.0, False)


def ld_unit(dtype: np.dtype[Any]) -> float:
    """Return what 1 stands for in correlations that are held in a type: -1 to 1 fills it."""
    return 1.0 if dtype.kind == "f" else 1.0 / np.iinfo(dtype).max


def store_block(matrix: NDArray[np.floating], out: NDArray[Any]) -> None:
    """Write a block's correlations, row after row, in the type of `out`.

    Integers are correlations in units of `ld_unit`, rounded to the nearest. Rounding errors are
    about independent, so that of an m x m block's eigenvalues is at most some sqrt(m/3) units:
    0.0005 for int16 and 0.15 for int8 with 1,000 variants. A correlation beyond 1 by rounding
    is taken as 1.

    Parameters
    ----------
    matrix : ndarray, shape (m, m)
        Symmetric.
    out : ndarray of float32, int16 or int8, shape (m * m,)
    """
    if out.dtype.kind == "f":
        out[:] = matrix.ravel()
    else:
        limit = np.iinfo(out.dtype).max
        out[:] = np.rint(np.clip(matrix.ravel(), -1.0, 1.0) * limit)


@dataclass(frozen=True)
class BlockTask:
    """One block to be made ready: its number, its rows of the population's, random numbers."""

    block: int
    rows: slice
    z: NDArray[np.float64]


def block_tasks(sizes: NDArray[np.int64], rng: np.random.Generator) -> Iterator[BlockTask]:
    """Yield the blocks that hold variants."""
    done = 0
    for block, m in enumerate(map(int, sizes)):
        if m:
            yield BlockTask(block, slice(done, done + m), rng.standard_normal((N_DIRECTIONS, m)))
        done += m


@dataclass(frozen=True, eq=False)
class BlockPreparation:
    """Reads blocks of one population and makes them fit for the sampler; see `map_tasks`."""

    data: PopulationData
    sign: NDArray[np.float64]
    clean: bool
    dtype: np.dtype[Any]

    def __call__(self, task: BlockTask) -> tuple[BlockTask, LdBlock, NDArray[Any]]:
        """Return the task, its block, and the block's correlations as they are to be held."""
        data, here = self.data, task.rows
        rows, turn = data.rows[here] - data.ld.block_starts[task.block], self.sign[here]
        matrix: NDArray[np.floating] = data.ld.read_block(task.block)
        if len(rows) < len(matrix):
            matrix = matrix[np.ix_(rows, rows)]
        if (turn < 0).any():
            matrix = matrix * np.outer(turn, turn)
        make = clean_block if self.clean else plain_block
        part = make(matrix, data.b[here] * turn, task.z)
        stored = np.empty(matrix.size, dtype=self.dtype)
        store_block(part.matrix, stored)
        return task, part, stored
