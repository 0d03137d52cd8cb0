"""Ancestry labels from principal components, withheld where they are not clear."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaincc

from prs.cluster import one_blas_thread
from prs.errors import AncestryDataError

__all__ = ["AncestryAssignment", "assign_ancestry"]


@dataclass(frozen=True, eq=False)
class AncestryAssignment:
    """Ancestry labels of N people by their place among labelled ones.

    Attributes
    ----------
    label : ndarray of object (str), shape (N,)
        The most probable group, or "unassigned".
    probability : ndarray of float64, shape (N, G)
        Posterior probability of each group (equal priors).
    groups : tuple of str
        The G groups.
    distance : ndarray of float64, shape (N, G)
        Mahalanobis distance to the centre of each group.
    """

    label: NDArray[np.object_]
    probability: NDArray[np.float64]
    groups: tuple[str, ...]
    distance: NDArray[np.float64]


@one_blas_thread()
def assign_ancestry(
    reference_pcs: ArrayLike,
    reference_labels: Sequence[str] | NDArray[np.object_],
    target_pcs: ArrayLike,
    *,
    min_probability: float = 0.9,
    max_distance_p: float = 1e-6,
) -> AncestryAssignment:
    """Label people by a normal model of each group's principal components.

    Each group has its own mean and covariance (shrunk a little towards its diagonal, so that
    small groups are usable); labels are withheld from people between groups and from people
    far from all of them.

    Parameters
    ----------
    reference_pcs : array_like, shape (N_ref, K)
        Components of labelled people.
    reference_labels : sequence of str
        Their groups.
    target_pcs : array_like, shape (N, K)
        Components of the people to label, on the same axes (see `project`).
    min_probability : float
        Least posterior probability for a label.
    max_distance_p : float
        A person whose squared distance to the most probable group has a chi-square tail
        probability below this is unassigned.

    Raises
    ------
    AncestryDataError
        If a group has fewer than K + 2 people.
    """
    reference, target = np.asarray(reference_pcs, float), np.asarray(target_pcs, float)
    labels = np.asarray(reference_labels, dtype=object)
    groups = tuple(sorted({str(label) for label in labels}))
    k = reference.shape[1]
    log_density = np.empty((len(target), len(groups)))
    squared = np.empty_like(log_density)
    for column, group in enumerate(groups):
        own = reference[labels == group]
        if len(own) < k + 2:
            raise AncestryDataError(
                f"group {group!r} has {len(own)} people, too few for {k} components",
                remedy="fewer components, or merge groups",
            )
        covariance = np.cov(own, rowvar=False).reshape(k, k)
        shrink = k / (k + len(own))
        covariance = (1 - shrink) * covariance + shrink * np.diag(np.diag(covariance))
        away = target - own.mean(axis=0)
        squared[:, column] = np.einsum("ij,ij->i", away, np.linalg.solve(covariance, away.T).T)
        log_density[:, column] = -0.5 * (squared[:, column] + np.linalg.slogdet(covariance)[1])
    density = np.exp(log_density - log_density.max(axis=1, keepdims=True))
    probability = density / density.sum(axis=1, keepdims=True)
    best = probability.argmax(axis=1)
    rows = np.arange(len(target))
    tail = gammaincc(k / 2, squared[rows, best] / 2)  # P(chi-square with k d.f. is larger)
    known = (probability[rows, best] >= min_probability) & (tail >= max_distance_p)
    label = np.where(known, np.array(groups, dtype=object)[best], "unassigned")
    return AncestryAssignment(label, probability, groups, np.sqrt(squared))
