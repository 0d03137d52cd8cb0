"""Association statistics against the LD that should link them: which variants do not fit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prs.errors import SettingsError
from prs.ld.reference import LDReference

__all__ = ["ld_misfits"]

#: Chi-square (1 df) of p = 5e-8, DENTIST's threshold.
THRESHOLD = 29.72
#: Share of the identity in the regularised correlations: those of a panel are estimates.
RIDGE = 0.1
#: Neighbours that a prediction effectively rests on, for the panel's error in it.
EFFECTIVE_NEIGHBOURS = 20
MIN_RELATIVE_ERROR = 0.15
#: A panel is another population's, and no single variant is to blame, beyond this share.
MAX_SHARE = 0.1


def ld_misfits(
    z: NDArray[np.float64],
    n: NDArray[np.float64],
    ld: LDReference,
    *,
    threshold: float = THRESHOLD,
) -> NDArray[np.bool_]:
    """Return which variants' statistics disagree with what their neighbours predict.

    In the manner of DENTIST (Chen et al. 2021, Nat Commun 12:7117, eq. 1): with
    z ~ N(mu, R), the variant j given all others has mean R_jo R_oo^-1 z_o and variance
    1 / (R^-1)_jj, so that with Q = R^-1 the difference over its standard error is
    (Q z)_j / sqrt(Q_jj). R is shrunk (`RIDGE`), and a prediction is allowed a relative error
    of sqrt(20 / people in the panel), at least 15 per cent: strong signals do not fail for the
    panel's noise. The worst variant of a block goes first and the rest are judged without it.

    Parameters
    ----------
    z : ndarray of float64, shape (M,)
        Association statistics of `ld.variants`, of their effect alleles; NaN where there is
        none.
    n : ndarray of float64, shape (M,)
        Sample size of each; neighbours are compared on the scale of z / sqrt(n).
    ld : LDReference
        Of the same M variants.
    threshold : float
        Chi-square beyond which a variant does not fit.

    Returns
    -------
    ndarray of bool, shape (M,)
        At most a tenth of a block is called misfits (then the panel is to blame, not they).

    Raises
    ------
    SettingsError
        If `z` does not fit `ld`.
    """
    if z.shape != (len(ld),) or n.shape != z.shape:
        raise SettingsError(f"z has shape {z.shape}, the LD reference {len(ld):,} variants")
    usable = np.isfinite(z) & np.isfinite(n) & (n > 0)
    reference = float(np.median(n[usable])) if usable.any() else 1.0
    scaled = np.where(usable, z, 0.0) * np.sqrt(reference / np.where(usable, n, reference))
    error = MIN_RELATIVE_ERROR
    if ld.n_samples:
        error = max(error, float(np.sqrt(EFFECTIVE_NEIGHBOURS / ld.n_samples)))
    misfits = np.zeros(len(ld), dtype=bool)
    for at, matrix in ld.blocks():
        rows = np.arange(at.start, at.stop)[usable[at]]
        # a block without a strong association has nothing that could disagree so much
        if len(rows) < 3 or np.max(np.abs(scaled[rows])) ** 2 < threshold / 2:
            continue
        keep = rows - at.start
        bad = _misfits_of_block(
            matrix[np.ix_(keep, keep)].astype(np.float64), scaled[rows], error, threshold
        )
        misfits[rows[bad]] = True
    return misfits


def _misfits_of_block(
    r: NDArray[np.float64], z: NDArray[np.float64], error: float, threshold: float
) -> NDArray[np.int64]:
    """Return the variants of a block that go, the worst first."""
    m = len(z)
    shrunk = (1 - RIDGE) * r
    shrunk[np.diag_indices(m)] = 1.0
    q = _inverse(shrunk)
    qz = q @ z
    alive = np.ones(m, dtype=bool)
    gone: list[int] = []
    while len(gone) <= MAX_SHARE * m:
        d = np.where(alive, np.diag(q), np.inf)
        residual = np.where(alive, qz / d, 0.0)
        tolerated = error * np.maximum(np.abs(z - residual), np.abs(z))
        chi = residual**2 / (1 / d + tolerated**2)
        worst = int(np.argmax(np.where(alive, chi, -1.0)))
        if chi[worst] <= threshold:
            break
        gone.append(worst)
        alive[worst] = False
        # the inverse without one variable: Q - q q' / Q_jj (block inverse)
        column = q[:, worst].copy()
        qz = qz - column * (qz[worst] / column[worst])
        q = q - np.outer(column, column) / column[worst]
    return np.array(gone, dtype=np.int64)


def _inverse(a: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the inverse; of a matrix that is not positive definite, with its spectrum mended."""
    try:
        root = np.linalg.cholesky(a)
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(a)
        return np.asarray((vectors / np.maximum(values, RIDGE / 2)) @ vectors.T)
    half = np.linalg.inv(root)
    return np.asarray(half.T @ half)
