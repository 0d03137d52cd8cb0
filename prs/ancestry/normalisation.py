"""Scores made comparable between ancestries, by a reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from prs.cluster import one_blas_thread
from prs.errors import AncestryDataError, SettingsError

__all__ = ["NormalisedScores", "normalise_scores"]

_MAX_SCORING_STEPS, _STEP_TOLERANCE = 200, 1e-9


@dataclass(frozen=True, eq=False)
class NormalisedScores:
    """Scores on a scale that is comparable between ancestries.

    Attributes
    ----------
    reference, target : ndarray of float64, shape (N_ref,) or (N_ref, S), and (N,) or (N, S)
        Normalised scores.
    method : str
        How.
    target_percentile : ndarray of float64, shape like `target`, or None
        With ``empirical``: the share of the reference people of the same label with a score
        not above the person's own (ties: half of them, as SciPy's ``percentileofscore``).
    """

    reference: NDArray[np.float64]
    target: NDArray[np.float64]
    method: str
    target_percentile: NDArray[np.float64] | None = None


@one_blas_thread()
def normalise_scores(
    reference_scores: ArrayLike,
    reference_pcs: ArrayLike,
    target_scores: ArrayLike,
    target_pcs: ArrayLike,
    *,
    method: Literal["mean", "mean+variance", "empirical"] = "mean+variance",
    reference_labels: Sequence[str] | NDArray[np.object_] | None = None,
    target_labels: Sequence[str] | NDArray[np.object_] | None = None,
) -> NormalisedScores:
    """Make scores comparable between ancestries, by a reference.

    The definitions of the PGS Catalog Calculator (Lambert et al. 2024, medRxiv
    2024.05.29.24307783; after Khera et al. 2019 and the eMERGE network, Khan et al. 2022):

    * ``mean`` (Z_norm1): residual of the score on the components, by linear regression in the
      reference, over the SD of the reference's residuals;
    * ``mean+variance`` (Z_norm2): the variance, too, depends on the components, log-linearly;
      mean and variance are fitted jointly by maximum likelihood;
    * ``empirical`` (Z_MostSimilarPop): mean and SD of the reference people of the same label.

    Parameters
    ----------
    reference_scores, target_scores : array_like, shape (N,) or (N, S)
        Scores.
    reference_pcs, target_pcs : array_like, shape (N, K)
        Components on the same axes.
    method : {"mean", "mean+variance", "empirical"}
        See above.
    reference_labels, target_labels : sequence of str, optional
        Ancestry labels, for ``empirical``. A target label that no reference person has gives NaN.

    Raises
    ------
    SettingsError
        If the method is unknown or its labels are missing.
    AncestryDataError
        If there are too few reference people.
    """
    ref, new = np.asarray(reference_scores, float), np.asarray(target_scores, float)
    if method == "empirical":
        if reference_labels is None or target_labels is None:
            raise SettingsError("method='empirical' needs reference_labels and target_labels")
        labels = np.asarray(reference_labels, dtype=object)
        out = tuple(
            _within_label(ref, labels, scores, np.asarray(own, dtype=object))
            for scores, own in ((ref, labels), (new, target_labels))
        )
        own = np.asarray(target_labels, dtype=object)
        return NormalisedScores(
            out[0], out[1], method, _percentile_within_label(ref, labels, new, own)
        )
    if method not in ("mean", "mean+variance"):
        raise SettingsError(f"method={method!r} is not 'mean', 'mean+variance' or 'empirical'")
    X, X_new = _design(reference_pcs, target_pcs)
    if len(X) < 2 * X.shape[1] + 2:
        raise AncestryDataError(
            f"{len(X)} reference people are too few for {X.shape[1] - 1} components",
            remedy="fewer components or more reference people",
        )
    flat_ref, flat_new = ref.reshape(len(ref), -1), new.reshape(len(new), -1)
    z_ref, z_new = np.empty_like(flat_ref), np.empty_like(flat_new)
    for s in range(flat_ref.shape[1]):
        mean, log_variance = _fit_moments(X, flat_ref[:, s], both=method == "mean+variance")
        z_ref[:, s] = (flat_ref[:, s] - X @ mean) / np.exp(0.5 * (X @ log_variance))
        z_new[:, s] = (flat_new[:, s] - X_new @ mean) / np.exp(0.5 * (X_new @ log_variance))
    return NormalisedScores(z_ref.reshape(ref.shape), z_new.reshape(new.shape), method)


def _within_label(
    reference: NDArray[np.float64],
    reference_labels: NDArray[np.object_],
    scores: NDArray[np.float64],
    labels: NDArray[np.object_],
) -> NDArray[np.float64]:
    z = np.full(scores.shape, np.nan)
    for label in dict.fromkeys(labels):
        own = reference[reference_labels == label]
        if len(own) > 1:
            z[labels == label] = (scores[labels == label] - own.mean(axis=0)) / own.std(axis=0)
    return z


def _percentile_within_label(
    reference: NDArray[np.float64],
    reference_labels: NDArray[np.object_],
    scores: NDArray[np.float64],
    labels: NDArray[np.object_],
) -> NDArray[np.float64]:
    share = np.full(scores.shape, np.nan).reshape(len(scores), -1)
    flat, flat_reference = scores.reshape(share.shape), reference.reshape(len(reference), -1)
    for label in dict.fromkeys(labels):
        own = reference_labels == label
        if not own.any():
            continue
        for s in range(share.shape[1]):
            ordered, here = np.sort(flat_reference[own, s]), flat[labels == label, s]
            below = np.searchsorted(ordered, here, side="left")
            up_to = np.searchsorted(ordered, here, side="right")
            share[labels == label, s] = (below + up_to + (up_to > below)) / (2.0 * len(ordered))
    return share.reshape(scores.shape)


def _design(
    reference: ArrayLike, target: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both sets of components with an intercept, scaled as the reference's."""
    ref, new = np.asarray(reference, float), np.asarray(target, float)
    mean, sd = ref.mean(axis=0), ref.std(axis=0)
    return (
        np.column_stack([np.ones(len(ref)), (ref - mean) / sd]),
        np.column_stack([np.ones(len(new)), (new - mean) / sd]),
    )


def _fit_moments(
    X: NDArray[np.float64], y: NDArray[np.float64], *, both: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fit y ~ N(X a, exp(X c)) by maximum likelihood; c has only its intercept unless `both`.

    Fisher scoring: the information is block diagonal, so that a is a weighted regression
    given c, and c moves by (X'X)^-1 X'(e^2 exp(-X c) - 1) given a (Smyth 1989, JRSS B 51:47).
    """

    def regress(weight: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.linalg.lstsq(X * weight[:, None], y * weight, rcond=None)[0].astype(np.float64)

    even = np.ones(len(y))
    a = regress(even, y)
    c = np.zeros(X.shape[1])
    c[0] = np.log(np.mean((y - X @ a) ** 2))
    if not both:
        return a, c

    def deviance(a: NDArray[np.float64], c: NDArray[np.float64]) -> float:
        return float(np.sum(X @ c + (y - X @ a) ** 2 * np.exp(-(X @ c))))

    now = deviance(a, c)
    for _ in range(_MAX_SCORING_STEPS):
        before = now
        root = np.exp(-0.5 * (X @ c))
        a = regress(root, y)
        now = deviance(a, c)
        step = regress(even, ((y - X @ a) * root) ** 2 - 1)
        while np.abs(step).max() > _STEP_TOLERANCE:
            if (trial := deviance(a, c + step)) <= now:
                c, now = c + step, trial
                break
            step = step / 2
        if before - now <= 1e-10 * len(y):
            break
    return a, c
