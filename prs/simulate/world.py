"""Everybody of a simulated study, before there are files: genotypes, effects, phenotypes."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm.auto import tqdm

from prs.simulate.coalescent import POPULATIONS, Founders, simulate_founders
from prs.simulate.people import Group, PackedHaplotypes, simulate_people
from prs.simulate.traits import Phenotypes, draw_effects, simulate_phenotypes
from prs.variants import VariantTable

__all__ = ["ADMIXED", "MAIN_POPULATION", "OUTCOMES", "World", "make_group", "simulate_world"]

log = logging.getLogger(__name__)

#: An admixed population like African Americans.
ADMIXED = "ADM"
ADMIXTURE = {"AFR": 0.75, "EUR": 0.25}
#: Generations of random mating (and of admixture) since the founders.
GENERATIONS = 12.0
#: The population whose genetic variance is the heritability.
MAIN_POPULATION = "EUR"
MIN_MAF = 0.01
OUTCOMES = ("disease", "trait")
_COMPLEMENT = {"A": "T", "T": "A", "C": "G", "G": "C"}
_TRANSITION = {"A": "G", "G": "A", "C": "T", "T": "C"}
#: Arrays avoid A/T and C/G variants; some are there all the same.
_SHARE_TRANSITIONS, _SHARE_PALINDROMIC = 0.80, 0.05
_FIRST_POSITION = {20: 30_000_000, 21: 18_000_000, 22: 20_000_000}
_IDS_PER_CHROMOSOME = 40_000_000
#: Variants whose dosages are in memory at once.
_CHUNK = 1000


@dataclass(frozen=True)
class World:
    """Everybody of a study.

    Attributes
    ----------
    groups : sequence of Group
        The people are in the order of the groups.
    variants : VariantTable
        M typed sites; the effect allele is the derived one.
    centimorgan : ndarray of float64, shape (M,)
        Genetic position.
    haplotypes : sequence of PackedHaplotypes
        One a chromosome.
    phenotypes : Phenotypes
        Of all N people.
    values : ndarray of float64, shape (2, N)
        Genetic values of `OUTCOMES`.
    population, role : ndarray of object, shape (N,)
        Population and group role of each person.
    truth : DataFrame
        Causal variants: where, alleles, typed, frequencies and effects by population.
    """

    groups: Sequence[Group]
    variants: VariantTable
    centimorgan: NDArray[np.float64]
    haplotypes: Sequence[PackedHaplotypes]
    phenotypes: Phenotypes
    values: NDArray[np.float64]
    population: NDArray[np.object_]
    role: NDArray[np.object_]
    truth: pd.DataFrame

    def read_people(
        self, people: NDArray[np.int64], variants: NDArray[np.int64]
    ) -> Iterator[NDArray[np.int8]]:
        """Yield dosages of the derived allele, shape (people, chunk of variants)."""
        first = np.concatenate([[0], np.cumsum([len(h.bits) for h in self.haplotypes])])
        low, high = int(people.min()), int(people.max()) + 1
        for haplotypes, start, stop in zip(self.haplotypes, first[:-1], first[1:], strict=True):
            own = variants[(variants >= start) & (variants < stop)] - start
            for at in range(0, len(haplotypes.bits), _CHUNK):
                rows = own[(own >= at) & (own < at + _CHUNK)] - at
                chunk = haplotypes.read_dosages(slice(at, at + _CHUNK), slice(low, high))
                yield np.ascontiguousarray(chunk[rows][:, people - low].T)


def make_group(population: str, role: str, n: int) -> Group:
    """Return a group of `n` people of a population, admixed where its name says so."""
    shares = ADMIXTURE if population == ADMIXED else {population: 1.0}
    return Group(population, role, int(n), shares)


def simulate_world(
    groups: Sequence[Group],
    streams: Mapping[str, np.random.SeedSequence],
    *,
    n_founders: dict[str, int],
    chromosomes: Sequence[int],
    length: int,
    n_variants: int,
    n_causal: int,
    correlation: float,
    typed_causal: float,
    h2: float,
    prevalence: Mapping[str, float],
) -> World:
    """Simulate chromosome by chromosome, then scale effects and draw phenotypes.

    The parameters are those of `simulate_study`; `streams` has "people" and "phenotypes".
    """
    k = len(chromosomes)
    per_chromosome = [n_variants // k + (i < n_variants % k) for i in range(k)]
    causal_per_chromosome = [n_causal // k + (i < n_causal % k) for i in range(k)]
    n_people = sum(group.n for group in groups)
    population = np.repeat(
        np.array([g.population for g in groups], dtype=object), [g.n for g in groups]
    )
    role = np.repeat(np.array([g.role for g in groups], dtype=object), [g.n for g in groups])

    values = np.zeros((len(OUTCOMES), n_people))
    haplotypes, tables, genetic, truths = [], [], [], []
    plan = zip(
        chromosomes, per_chromosome, causal_per_chromosome, streams["people"].spawn(k), strict=True
    )
    for chrom, n_typed, n_effects, stream in tqdm(
        plan, total=k, desc="simulating chromosomes", disable=None
    ):
        founder_seed, effect_seed, people_seed, allele_seed = stream.spawn(4)
        log.info("chromosome %d: founders, then %s people", chrom, f"{n_people:,}")
        founders = simulate_founders(
            n_founders,
            length=length,
            n_typed=n_typed,
            n_hidden=round(2 * n_effects * (1 - typed_causal)),
            min_maf=MIN_MAF,
            seed=founder_seed,
        )
        effects = draw_effects(
            founders,
            n_effects,
            n_traits=len(OUTCOMES),
            correlation=correlation,
            typed_share=typed_causal,
            rng=np.random.default_rng(effect_seed),
        )
        packed, own_values = simulate_people(
            founders,
            groups,
            effects,
            generations=GENERATIONS,
            rng=np.random.default_rng(people_seed),
        )
        values += own_values
        haplotypes.append(packed)
        table = _name_variants(founders, chrom, np.random.default_rng(allele_seed))
        tables.append(table.take(np.flatnonzero(founders.typed)))
        genetic.append(100 * founders.morgan[founders.typed])
        truths.append(_list_truth(founders, table, effects))

    own = (population == MAIN_POPULATION) & (role == "gwas")
    scale = np.sqrt(h2) / values[:, own].std(axis=1)
    values *= scale[:, None]
    truth = pd.concat(truths, ignore_index=True)
    for outcome, factor in zip(OUTCOMES, scale, strict=True):
        for name in POPULATIONS:
            truth[f"{outcome}_{name}"] *= factor
    phenotypes = simulate_phenotypes(
        values, population, prevalence, (h2, h2), np.random.default_rng(streams["phenotypes"])
    )
    return World(
        groups,
        VariantTable.concatenate(tables),
        np.concatenate(genetic),
        haplotypes,
        phenotypes,
        values,
        population,
        role,
        truth,
    )


def _name_variants(founders: Founders, chrom: int, rng: np.random.Generator) -> VariantTable:
    """Give sites positions, ids beyond those of dbSNP, and alleles; the derived one is counted."""
    n = len(founders.position)
    ancestral = np.array(list("ACGT"), dtype=object)[rng.integers(0, 4, n)]
    kind = rng.random(n)
    derived = []
    for base, u in zip(ancestral, kind, strict=True):
        complement = _COMPLEMENT[base]
        if u < _SHARE_TRANSITIONS:
            derived.append(_TRANSITION[base])
        elif u < _SHARE_TRANSITIONS + _SHARE_PALINDROMIC:
            derived.append(complement)
        else:  # the other transversion
            derived.append(_TRANSITION[complement])
    # ascending along the genome and unique: a chromosome has a range of its own
    steps = rng.integers(1, max(2, _IDS_PER_CHROMOSOME // n), n)
    numbers = 9_000_000_000 + _IDS_PER_CHROMOSOME * chrom + np.cumsum(steps)
    return VariantTable(
        chrom=np.full(n, chrom, dtype=np.int8),
        pos=(founders.position + _FIRST_POSITION.get(chrom, 20_000_000)).astype(np.int32),
        id=np.array([f"rs{number}" for number in numbers], dtype=object),
        effect_allele=np.array(derived, dtype=object),
        other_allele=ancestral,
    )


def _list_truth(
    founders: Founders, variants: VariantTable, effects: NDArray[np.float64]
) -> pd.DataFrame:
    """Return one row a causal variant: where, alleles, frequencies, effects (not yet scaled)."""
    causal = np.flatnonzero(effects.any(axis=(0, 2)))
    frame = pd.DataFrame(
        {
            "chrom": variants.chrom[causal],
            "pos": variants.pos[causal],
            "id": variants.id[causal],
            "effect_allele": variants.effect_allele[causal],
            "other_allele": variants.other_allele[causal],
            "typed": founders.typed[causal].astype(int),
        }
    )
    for column, name in enumerate(POPULATIONS):
        frame[f"eaf_{name}"] = founders.frequency[causal, column]
    for trait, outcome in enumerate(OUTCOMES):
        for column, name in enumerate(POPULATIONS):
            frame[f"{outcome}_{name}"] = effects[trait, causal, column]
    return frame
