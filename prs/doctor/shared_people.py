"""Whether two studies share people: the intercept of a bivariate LD-score regression.

With N1 and N2 people, Ns of them in both, and a correlation rho of the two traits,

    E[z1 z2] = slope x (LD score) + rho Ns / sqrt(N1 N2)

(Bulik-Sullivan et al. 2015, Nat Genet 47:1236): causal effects that the traits share make the
product grow with LD, shared people raise it everywhere. Between two populations the LD score is
the sum over neighbours of the product of both correlations (Brown et al. 2016, AJHG 99:76).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from prs.ld.correlation import correlate

if TYPE_CHECKING:
    from prs.inputs.genotypes import Genotypes
    from prs.ld.reference import LDReference

__all__ = [
    "Intercept",
    "LdScores",
    "cross_ld_scores",
    "intercept",
    "ld_of_genotypes",
    "ld_of_panel",
]

#: Neighbouring variants that are correlated at once, and of them those at either end, whose
#: neighbours are not all there, so that they have no LD score.
PIECE, MARGIN = 400, 80
#: Pieces that are looked at, evenly over the genome; fewer than the second do not allow an error.
MAX_PIECES, MIN_PIECES = 100, 10
#: Above this chi-square single variants decide (LDSC's --chisq-max for N to 80,000). A lower limit
#: cuts off the strongest signal of the variants with most LD, and so raises the intercept.
MAX_CHI_SQUARE = 80.0

Floats = NDArray[np.float64]
#: Ascending rows of a panel to their correlations.
Correlations = Callable[[NDArray[np.int64]], Floats]


def ld_of_panel(ld: LDReference) -> Correlations:
    """Return a function that reads correlations from an LD reference; 0 between blocks."""

    def read(rows: NDArray[np.int64]) -> Floats:
        out = np.zeros((len(rows), len(rows)))
        for at, block in ld.subset(rows).blocks():
            out[at, at] = block
        return out

    return read


def ld_of_genotypes(genotypes: Genotypes) -> Correlations:
    """Return a function that computes correlations from genotypes."""

    def compute(rows: NDArray[np.int64]) -> Floats:
        dosages = genotypes.read_dosages(rows, dtype=np.float32)
        return correlate(dosages, has_dosages=genotypes.has_dosages).astype(np.float64)

    return compute


@dataclass(frozen=True, eq=False)
class LdScores:
    """LD scores of some variants, with the piece of the genome that each lies in.

    Attributes
    ----------
    index : ndarray of int64, shape (K,)
        Positions in the list of variants that was given.
    score : ndarray of float64, shape (K,)
        Sum over neighbours of the product of the two panels' correlations.
    piece : ndarray of int64, shape (K,)
        Pieces are about independent: the unit of the jackknife.
    """

    index: NDArray[np.int64]
    score: Floats
    piece: NDArray[np.int64]


def cross_ld_scores(
    first: tuple[Correlations, NDArray[np.int64]],
    second: tuple[Correlations, NDArray[np.int64]],
    sign: Floats,
    chrom: NDArray[np.int8],
    n_people: int | None = None,
) -> LdScores:
    """Return LD scores from two panels of variants that both have.

    Parameters
    ----------
    first, second : tuple of callable and ndarray of int64, shape (M,)
        Correlations of each panel, and its rows of the M variants.
    sign : ndarray of float64, shape (M,)
        -1 where the two panels count different alleles, else 1.
    chrom : ndarray of int8, shape (M,)
        Chromosomes; the variants are in genome order.
    n_people : int, optional
        Where the two panels are one and the same: its people. The chance correlations in their
        finite number are then taken off the squares.
    """
    own = first[0] is second[0]
    at, scores, pieces = [], [], []
    for number, piece in enumerate(_pieces(chrom)):
        r = _in_order(*first, piece)
        if own:
            product = r**2
            if n_people:
                product -= (1 - r**2) / max(n_people - 2, 1)
        else:
            product = r * _in_order(*second, piece) * np.outer(sign[piece], sign[piece])
        inner = slice(MARGIN, len(piece) - MARGIN)
        at.append(piece[inner])
        scores.append(product.sum(axis=1)[inner])
        pieces.append(np.full(len(at[-1]), number))
    nothing: list[NDArray[np.int64]] = [np.zeros(0, np.int64)]
    return LdScores(
        np.concatenate(at or nothing),
        np.concatenate(scores or [np.zeros(0)]),
        np.concatenate(pieces or nothing),
    )


def _in_order(
    correlations: Correlations, rows: NDArray[np.int64], piece: NDArray[np.int64]
) -> Floats:
    """Return correlations of a piece's variants, whatever the order of the panel's rows."""
    order = np.argsort(rows[piece], kind="stable")
    back = np.argsort(order, kind="stable")
    return correlations(rows[piece][order])[np.ix_(back, back)]


def _pieces(chrom: NDArray[np.int8]) -> Iterator[NDArray[np.int64]]:
    """Yield runs of neighbouring variants of one chromosome, evenly over the list."""
    starts = np.flatnonzero(np.diff(chrom, prepend=-1))
    found = []
    for start, end in zip(starts, [*starts[1:], len(chrom)], strict=True):
        n = max((end - start) // (PIECE - 2 * MARGIN), 1)
        for i in range(n):
            at = start + i * (PIECE - 2 * MARGIN)
            if at + PIECE <= end:
                found.append(np.arange(at, at + PIECE))
    chosen = np.linspace(0, len(found) - 1, min(len(found), MAX_PIECES)).round().astype(int)
    yield from (found[i] for i in chosen)


@dataclass(frozen=True)
class Intercept:
    """The intercept of a bivariate LD-score regression.

    Attributes
    ----------
    value : float
        About rho Ns / sqrt(N1 N2); NaN where it cannot be estimated.
    error : float
        Its standard error, by a jackknife over the pieces.
    n_variants : int
        Variants that were used.
    """

    value: float
    error: float
    n_variants: int


def intercept(z1: Floats, z2: Floats, scores: LdScores) -> Intercept:
    """Regress the products of two studies' z on LD scores; return what is left without LD.

    Parameters
    ----------
    z1, z2 : ndarray of float64, shape (M,)
        Of the variants that the LD scores' `index` points into, for the same alleles.
    scores : LdScores
        See `cross_ld_scores`.
    """
    a, b = z1[scores.index], z2[scores.index]
    usable = np.isfinite(a) & np.isfinite(b)
    usable &= (a**2 <= MAX_CHI_SQUARE) & (b**2 <= MAX_CHI_SQUARE)
    a, b, score, piece = a[usable], b[usable], scores.score[usable], scores.piece[usable]
    names, piece = np.unique(piece, return_inverse=True)
    if len(names) < MIN_PIECES:
        return Intercept(float("nan"), float("nan"), len(a))
    # weights: inverse of the products' variance, and of how often neighbours say the same
    size = np.maximum(score, 1.0)
    variance = np.ones(len(a))
    for z in (a, b):
        excess = max(float(np.mean(z**2)) - 1, 0.0)
        variance *= 1 + excess * size / np.mean(size)
    weight = 1 / (size * variance)
    design = np.stack([np.ones(len(a)), score], axis=1)
    gram = np.zeros((len(names), 2, 2))
    moment = np.zeros((len(names), 2))
    np.add.at(gram, piece, weight[:, None, None] * design[:, :, None] * design[:, None, :])
    np.add.at(moment, piece, (weight * a * b)[:, None] * design)
    whole = _solve(gram.sum(axis=0), moment.sum(axis=0))
    without = [
        _solve(gram.sum(axis=0) - gram[i], moment.sum(axis=0) - moment[i])
        for i in range(len(names))
    ]
    k = len(names)
    error = float(np.sqrt((k - 1) / k * np.sum((np.array(without) - np.mean(without)) ** 2)))
    return Intercept(whole, error, len(a))


def _solve(gram: Floats, moment: Floats) -> float:
    """Return the intercept of the normal equations; without LD's variation, the mean."""
    return float(np.linalg.lstsq(gram, moment, rcond=None)[0][0])
