"""Effects of causal variants, and the disease and trait that follow from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from prs.errors import SettingsError
from prs.simulate.coalescent import Founders

__all__ = ["Phenotypes", "draw_effects", "simulate_phenotypes"]

#: Selection keeps common variants' effects small: variance of an effect ~ (2f(1-f))^alpha
#: (Schoech et al. 2019, Nature Communications 10:790).
_FREQUENCY_EXPONENT = -0.38
#: Effects on liability and trait (SD 1 before covariates) of a SD of age, and of male sex.
_DISEASE_AGE, _DISEASE_SEX = 0.30, 0.20
_TRAIT_AGE, _TRAIT_SEX = -0.15, 0.50
_MEAN_AGE, _SD_AGE, _AGE_RANGE = 57.0, 8.0, (40, 75)


@dataclass(frozen=True)
class Phenotypes:
    """Phenotypes of N people.

    Attributes
    ----------
    age : ndarray of int64, shape (N,)
        Years.
    sex : ndarray of int8, shape (N,)
        1 male, 2 female.
    disease : ndarray of int8, shape (N,)
        1 where the liability is above the threshold of the person's population.
    trait : ndarray of float64, shape (N,)
        Quantitative trait, arbitrary units (mean near 100, SD near 10).
    liability : ndarray of float64, shape (N,)
        Liability to the disease, above which threshold one is a case.
    """

    age: NDArray[np.int64]
    sex: NDArray[np.int8]
    disease: NDArray[np.int8]
    trait: NDArray[np.float64]
    liability: NDArray[np.float64]


def draw_effects(
    founders: Founders,
    n_causal: int,
    *,
    n_traits: int,
    correlation: float,
    typed_share: float,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Draw per-allele effects that populations share in part.

    Effects of a causal variant in the three populations are normal with the given correlation
    and a common variance that falls with heterozygosity. Their overall scale is arbitrary: the
    study scales genetic values to the heritability.

    Parameters
    ----------
    founders : Founders
        The chromosome.
    n_causal : int
        Causal variants of each trait on this chromosome.
    n_traits : int
        T; causal variants of traits are drawn independently.
    correlation : float
        Between populations, of per-allele effects.
    typed_share : float
        Share of the causal variants that are genotyped.
    rng : numpy.random.Generator
        Randomness.

    Returns
    -------
    ndarray of float64, shape (T, V, 3)
        0 where a variant is not causal.

    Raises
    ------
    SettingsError
        If there are more causal variants than variants.
    """
    n_populations = founders.frequency.shape[1]
    effects = np.zeros((n_traits, len(founders.position), n_populations))
    covariance = np.full((n_populations, n_populations), correlation)
    np.fill_diagonal(covariance, 1.0)
    mean = founders.frequency.mean(axis=1)
    scale = (2 * mean * (1 - mean)) ** (_FREQUENCY_EXPONENT / 2)
    typed, hidden = np.flatnonzero(founders.typed), np.flatnonzero(~founders.typed)
    n_typed = n_causal - min(round(n_causal * (1 - typed_share)), len(hidden))
    if n_typed > len(typed):
        raise SettingsError(
            f"{n_typed:,} genotyped causal variants on a chromosome of {len(typed):,} variants",
            remedy="simulate fewer causal variants (n_causal), or more variants",
        )
    for trait in range(n_traits):
        causal = np.concatenate(
            [
                rng.choice(typed, n_typed, replace=False),
                rng.choice(hidden, n_causal - n_typed, replace=False),
            ]
        )
        draws = rng.multivariate_normal(np.zeros(n_populations), covariance, len(causal))
        effects[trait, causal] = draws * scale[causal, None]
    return effects


def simulate_phenotypes(
    values: NDArray[np.float64],
    population: NDArray[np.object_],
    prevalence: Mapping[str, float],
    h2: Sequence[float],
    rng: np.random.Generator,
) -> Phenotypes:
    """Draw covariates, disease and trait of people with given genetic values.

    The liability is genetic value + age + sex + noise; the threshold of each population is
    where, with these people's mean and SD of liability, its prevalence is as asked. So
    differences of mean genetic value between populations (drift) do not make prevalence differ.

    Parameters
    ----------
    values : ndarray of float64, shape (2, N)
        Genetic values of disease liability and trait, of variance `h2` in the main population.
    population : ndarray of object, shape (N,)
        Population of each person.
    prevalence : mapping of str to float
        Prevalence by population.
    h2 : sequence of two floats
        Heritability of liability and trait, before covariates.
    rng : numpy.random.Generator
        Randomness.
    """
    n = values.shape[1]
    age = np.clip(np.round(rng.normal(_MEAN_AGE, _SD_AGE, n)), *_AGE_RANGE).astype(np.int64)
    sex = np.where(rng.random(n) < 0.5, 2, 1).astype(np.int8)
    age_sd, male = (age - _MEAN_AGE) / _SD_AGE, (sex == 1) - 0.5
    # float rounding of the genetic values may depend on the machine; 2^-20 does not
    disease_value, trait_value = np.round(values * 2**20) / 2**20

    noise = rng.normal(0.0, np.sqrt(1 - h2[0]), n)
    liability = disease_value + _DISEASE_AGE * age_sd + _DISEASE_SEX * male + noise
    disease = np.zeros(n, np.int8)
    for name, share in prevalence.items():
        own = population == name
        if own.any():
            threshold = liability[own].mean() + ndtri(1 - share) * liability[own].std()
            disease[own] = liability[own] > threshold

    noise = rng.normal(0.0, np.sqrt(1 - h2[1]), n)
    trait = 100 + 10 * (trait_value + _TRAIT_AGE * age_sd + _TRAIT_SEX * male + noise)
    return Phenotypes(age, sex, disease, trait, liability)
