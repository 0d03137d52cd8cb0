"""What a genotype adds to a score: missing calls, centring, and how often haploids count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from prs.errors import SettingsError
from prs.inputs.genotypes import Genotypes
from prs.variants import chromosome_labels

__all__ = ["MT", "Coding", "X", "Y", "count_per_person"]

X, Y, MT = 23, 24, 26
_MALE = 1


@dataclass(frozen=True)
class Coding:
    """How a genotype is turned into the number that its weight multiplies.

    Attributes
    ----------
    missing : {"mean", "skip"}
        A missing call counts 2f (f among founders), or nothing.
    scale : {"none", "center", "standardize"}
        Allele counts as they are; less 2f (PLINK's ``center``); less 2f and over
        sqrt(2f(1-f)) (PLINK's ``variance-standardize``). A missing call then counts 0, the
        mean, either way.
    x_males : {2, 1}
        What a male's copy on chromosome X counts: 2 is PLINK 2's default (a male's genotype
        weighs as a woman's homozygous one), 1 is PLINK 1.9's (``--xchr-model 1``).
    """

    missing: Literal["mean", "skip"] = "mean"
    scale: Literal["none", "center", "standardize"] = "none"
    x_males: Literal[2, 1] = 2

    def __post_init__(self) -> None:
        for name, value, choices in (
            ("missing", self.missing, ("mean", "skip")),
            ("scale", self.scale, ("none", "center", "standardize")),
            ("x_males", self.x_males, (2, 1)),
        ):
            if value not in choices:
                raise SettingsError(
                    f"{name}={value!r} is not one of {', '.join(map(repr, choices))}"
                )

    def transform(self, frequency: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        """Return what is taken off a count of copies, and what it is then multiplied by.

        Parameters
        ----------
        frequency : ndarray of float64, shape (m,)
            Of the allele that is scored.

        Returns
        -------
        centre, factor : ndarray of float64, shape (m,)
            A diploid count x becomes (x - centre) factor; 0 for a variant that does not vary
            and is to be standardised.
        """
        if self.scale == "none":
            return np.zeros_like(frequency), np.ones_like(frequency)
        centre = 2 * frequency
        if self.scale == "center":
            return centre, np.ones_like(frequency)
        factor = np.zeros_like(frequency)
        variance = 2 * frequency * (1 - frequency)
        np.divide(1, np.sqrt(variance), out=factor, where=variance > 0)
        return centre, factor


def count_per_person(
    genotypes: Genotypes, chromosome: int, coding: Coding
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what each person's dosage on a chromosome is worth, in scores and in frequencies.

    As ``plink2 --score`` counts: males on X 2 (or 1) for the allele that they have; males alone
    on Y, 1 for the allele; everybody on MT, 1. In frequencies a haploid person has one allele.

    Returns
    -------
    in_score, in_frequency : ndarray of float64, shape (N,)
        Factors of a dosage from 0 to 2; 0 leaves the person out.

    Raises
    ------
    SettingsError
        If a chromosome that is not diploid is to be standardised.
    """
    everybody = np.ones(genotypes.n_samples)
    if chromosome not in (X, Y, MT):
        return everybody, everybody
    if coding.scale == "standardize":
        raise SettingsError(
            f"chromosome {chromosome_labels([chromosome])[0]} is not diploid in everybody, and "
            "standardised scores are not defined there (nor in PLINK)",
            remedy="score chromosomes 1 to 22, or use scale='center'",
        )
    male = genotypes.samples.sex == _MALE
    if chromosome == MT:
        return everybody / 2, everybody / 2
    if chromosome == Y:
        return male / 2, male / 2
    one_allele = np.where(male, 0.5, 1.0)
    return (everybody if coding.x_males == 2 else one_allele), one_allele
