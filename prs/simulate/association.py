"""Marginal association: from simulated people, or drawn from an LD matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from prs.cluster import one_blas_thread
from prs.errors import SettingsError
from prs.simulate.people import PackedHaplotypes
from prs.simulate.traits import Phenotypes

__all__ = ["Association", "associate", "simulate_sumstats"]

#: Variants whose dosages are in memory at once.
_CHUNK = 256
#: Phenotypes are rounded to multiples of this, so that sums are exact in any order.
_GRAIN = 2.0**-10
_SMALLEST_P = 1e-300


@dataclass(frozen=True)
class Association:
    """Marginal statistics of M variants for one outcome in one population.

    Attributes
    ----------
    beta, se, p : ndarray of float64, shape (M,)
        Per copy of the derived allele; log odds ratio for the disease, SD units for the trait.
        NaN where the variant does not vary.
    eaf : ndarray of float64, shape (M,)
        Derived allele frequency in the sample.
    n : int
        People.
    n_cases : int or None
        Cases among them, for a disease.
    """

    beta: NDArray[np.float64]
    se: NDArray[np.float64]
    p: NDArray[np.float64]
    eaf: NDArray[np.float64]
    n: int
    n_cases: int | None

    @property
    def n_eff(self) -> float:
        """4 / (1/cases + 1/controls) for a disease, else n."""
        if self.n_cases is None:
            return float(self.n)
        return 4.0 / (1.0 / self.n_cases + 1.0 / (self.n - self.n_cases))


def _prepare_outcomes(phenotypes: Phenotypes, people: slice) -> NDArray[np.float64]:
    """Return disease and standardised trait (adjusted for age and sex), centred, shape (n, 2)."""
    disease = phenotypes.disease[people].astype(np.float64)
    trait = phenotypes.trait[people]
    covariates = np.column_stack(
        [np.ones(len(trait)), phenotypes.age[people], phenotypes.sex[people]]
    )
    residual = trait - covariates @ np.linalg.lstsq(covariates, trait, rcond=None)[0]
    residual = np.round(residual / residual.std() / _GRAIN) * _GRAIN
    return np.column_stack([disease, residual])


def associate(
    chromosomes: Sequence[PackedHaplotypes], phenotypes: Phenotypes, people: slice
) -> dict[str, Association]:
    """Regress disease and trait on each variant, in one pass.

    The trait, adjusted for age and sex, is in SD units. For the disease, the statistics are
    those of one Newton step of logistic regression from no effect (the score test):
    beta = b / (K (1 - K)) with b the linear slope of 0/1 and K the share of cases.

    Parameters
    ----------
    chromosomes : sequence of PackedHaplotypes
        Genotypes of all people.
    phenotypes : Phenotypes
        Of all people.
    people : slice
        The people of this study.

    Returns
    -------
    dict
        "disease" and "trait": `Association`.
    """
    outcomes = _prepare_outcomes(phenotypes, people)
    n = len(outcomes)
    moments = []  # exact sums: of x, of x^2, of x y for each outcome
    for chromosome in chromosomes:
        for start in range(0, len(chromosome.bits), _CHUNK):
            x = chromosome.read_dosages(slice(start, start + _CHUNK), people)
            n_het, n_hom = (x == 1).sum(axis=1), (x == 2).sum(axis=1)
            moments.append(
                np.column_stack([n_het + 2 * n_hom, n_het + 4 * n_hom, x.astype(float) @ outcomes])
            )
    sums = np.concatenate(moments)
    sum_x, sum_xx = sums[:, 0], sums[:, 1]
    ss_x = sum_xx - sum_x**2 / n
    ss_x[ss_x <= 0] = np.nan
    found = {}
    for column, name in enumerate(("disease", "trait")):
        y = outcomes[:, column]
        ss_y = (y**2).sum() - y.sum() ** 2 / n
        ss_xy = sums[:, 2 + column] - sum_x * y.sum() / n
        slope = ss_xy / ss_x
        is_disease = name == "disease"
        rest = ss_y if is_disease else ss_y - slope * ss_xy
        se = np.sqrt(rest / (n - 2) / ss_x)
        unit = y.mean() * (1 - y.mean()) if is_disease else 1.0
        p = np.maximum(2 * ndtr(-np.abs(slope / se)), _SMALLEST_P)
        found[name] = Association(
            slope / unit, se / unit, p, sum_x / (2 * n), n, int(y.sum()) if is_disease else None
        )
    return found


@one_blas_thread()
def simulate_sumstats(
    ld_blocks: Sequence[ArrayLike], n: float, beta: ArrayLike, seed: int
) -> NDArray[np.float64]:
    """Draw the z-scores of a GWAS from an LD matrix and true effects.

    b ~ N(R beta, R / n) block by block, z = b sqrt(n): the model of PRS-CS, exact where effects
    are small.

    Parameters
    ----------
    ld_blocks : sequence of array_like, each of shape (m, m)
        Correlation matrices R, in the order of the variants; may be rank deficient.
    n : float
        (Effective) sample size.
    beta : array_like of float, shape (M,)
        True effects on the standardised scale.
    seed : int
        Randomness.

    Returns
    -------
    ndarray of float64, shape (M,)
        z-scores.

    Raises
    ------
    SettingsError
        If the blocks' sizes do not sum to the number of effects.
    """
    beta = np.asarray(beta, dtype=np.float64)
    sizes = [np.asarray(block).shape[0] for block in ld_blocks]
    if sum(sizes) != len(beta):
        raise SettingsError(f"LD blocks of {sum(sizes):,} variants for {len(beta):,} effects")
    z = np.empty(len(beta))
    start = 0
    streams = np.random.SeedSequence(seed).spawn(len(sizes))
    for block, size, stream in zip(ld_blocks, sizes, streams, strict=True):
        R = np.asarray(block, dtype=np.float64)
        values, vectors = np.linalg.eigh(R)
        noise = np.random.default_rng(stream).normal(size=size)
        # the symmetric root: V sqrt(L) would change the draw with the signs of the eigenvectors
        # and their choice in a null space, which BLAS, its version and its threads decide
        spread = np.sqrt(np.clip(values, 0, None)) * (vectors.T @ noise)
        here = slice(start, start + size)
        z[here] = np.sqrt(n) * (R @ beta[here]) + vectors @ spread
        start += size
    return z
