"""Present-day people as mosaics of founders: large samples for the price of a small coalescent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prs.simulate.coalescent import POPULATIONS, Founders

__all__ = ["Group", "PackedHaplotypes", "simulate_people"]


@dataclass(frozen=True)
class Group:
    """People of one population that play one part.

    Attributes
    ----------
    population : str
        EUR, AFR, EAS or the name of an admixed population.
    role : str
        "gwas", "reference" or "target".
    n : int
        People.
    founders : mapping of str to float
        Share of the founders of each of `POPULATIONS`; sums to 1.
    """

    population: str
    role: str
    n: int
    founders: Mapping[str, float]


@dataclass(frozen=True)
class PackedHaplotypes:
    """Haplotypes of all people at the typed sites of one chromosome, a bit a haplotype.

    Attributes
    ----------
    bits : ndarray of uint8, shape (V, ceil(2 N / 8))
        `numpy.packbits` of the haplotypes; those of a person are adjacent.
    n_people : int
        N.
    """

    bits: NDArray[np.uint8]
    n_people: int

    def read_dosages(self, variants: slice, people: slice) -> NDArray[np.int8]:
        """Return copies of the derived allele, int8 of shape (variants, people)."""
        start, stop, _ = people.indices(self.n_people)
        first_byte = 2 * start // 8
        bits = np.unpackbits(self.bits[variants, first_byte : -(-2 * stop // 8)], axis=1)
        own = bits[:, 2 * start - 8 * first_byte : 2 * stop - 8 * first_byte]
        return (own[:, 0::2] + own[:, 1::2]).astype(np.int8)


def _draw_founders(
    group_of: NDArray[np.int64],
    cumulative: NDArray[np.float64],
    first: NDArray[np.int64],
    size: NDArray[np.int64],
    rng: np.random.Generator,
) -> NDArray[np.int32]:
    """Draw a founder haplotype for each entry: a population by its group's shares, then any."""
    population = (rng.random(len(group_of))[:, None] >= cumulative[group_of]).sum(axis=1)
    within = np.floor(rng.random(len(group_of)) * size[population]).astype(np.int64)
    return (first[population] + within).astype(np.int32)


def _iterate_haplotypes(
    founders: Founders,
    groups: Sequence[Group],
    generations: float,
    rng: np.random.Generator,
) -> Iterator[tuple[NDArray[np.int8], NDArray[np.int8]]]:
    """Yield for each site the allele and the founder population of every haplotype."""
    group_of = np.repeat(np.arange(len(groups)), [2 * group.n for group in groups])
    shares = np.array([[group.founders.get(p, 0.0) for p in POPULATIONS] for group in groups])
    cumulative = np.cumsum(shares, axis=1)[:, :-1]
    size = np.bincount(founders.population, minlength=len(POPULATIONS)).astype(np.int64)
    first = np.concatenate([[0], np.cumsum(size)[:-1]])

    source = _draw_founders(group_of, cumulative, first, size, rng)
    start, stop = founders.morgan[0], founders.morgan[-1]
    n_switches = rng.poisson(generations * (stop - start) * len(group_of))
    where = np.sort(rng.uniform(start, stop, n_switches))
    who = rng.integers(0, len(group_of), n_switches)
    to = _draw_founders(group_of[who], cumulative, first, size, rng)
    upto = np.searchsorted(where, founders.morgan, side="right")
    done = 0
    for row, end in zip(founders.haplotypes, upto, strict=True):
        source[who[done:end]] = to[done:end]
        done = end
        yield row[source], founders.population[source]


def simulate_people(
    founders: Founders,
    groups: Sequence[Group],
    effects: NDArray[np.float64],
    *,
    generations: float,
    rng: np.random.Generator,
) -> tuple[PackedHaplotypes, NDArray[np.float64]]:
    """Draw the haplotypes of people, and their genetic values, on one chromosome.

    A haplotype is a mosaic of founder haplotypes that switches at rate `generations` a
    Morgan: the descendants of the founders after that many generations of random mating in a
    population too large for close relatives (the copying model of Li & Stephens 2003 without
    mutation). An admixed group draws each segment from a source population by its share, so
    that its people have local ancestry, and each allele has the effect of its segment's origin.

    Parameters
    ----------
    founders : Founders
        The chromosome.
    groups : sequence of Group
        The people, in the order of the result.
    effects : ndarray of float64, shape (T, V, 3)
        Per-allele effects on T traits of each founder population's alleles.
    generations : float
        Generations since the founders.
    rng : numpy.random.Generator
        Randomness.

    Returns
    -------
    haplotypes : PackedHaplotypes
        Typed sites.
    values : ndarray of float64, shape (T, N)
        This chromosome's share of the genetic values.
    """
    n_people = sum(group.n for group in groups)
    bits = np.empty((int(founders.typed.sum()), -(-2 * n_people // 8)), dtype=np.uint8)
    values = np.zeros((len(effects), 2 * n_people))
    matters = (effects != 0).any(axis=2)
    typed_row = np.cumsum(founders.typed) - 1
    for site, (alleles, origin) in enumerate(
        _iterate_haplotypes(founders, groups, generations, rng)
    ):
        if founders.typed[site]:
            bits[typed_row[site]] = np.packbits(alleles)
        for trait in np.flatnonzero(matters[:, site]):
            values[trait] += np.where(alleles > 0, effects[trait, site][origin], 0.0)
    return PackedHaplotypes(bits, n_people), values[:, 0::2] + values[:, 1::2]
