"""Founders from an out-of-Africa coalescent with recombination hotspots (msprime)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prs.errors import SettingsError

__all__ = ["POPULATIONS", "Founders", "simulate_founders"]

#: The populations of the demographic model, in the order of their codes.
POPULATIONS = ("AFR", "EUR", "EAS")
#: Common variants are old: mutations of the last generations cannot reach 1 % in any population.
_YOUNGEST_MUTATION = 100.0
_MUTATION_RATE = 1.25e-8
#: Haplotypes a population from which the frequencies of candidate sites are estimated.
_N_FREQUENCY = 1000


@dataclass(frozen=True)
class Founders:
    """Haplotypes of the founders of one chromosome.

    Attributes
    ----------
    position : ndarray of int64, shape (V,)
        Position on the sequence, base pairs from its start, ascending.
    morgan : ndarray of float64, shape (V,)
        Genetic position, Morgans from the start of the sequence.
    haplotypes : ndarray of int8, shape (V, F)
        1 where a founder's haplotype has the derived allele.
    population : ndarray of int8, shape (F,)
        Index into `POPULATIONS`; haplotypes of a population are contiguous.
    frequency : ndarray of float64, shape (V, 3)
        Derived allele frequency among the founders of each population.
    typed : ndarray of bool, shape (V,)
        Whether genotyping sees the site; the others only carry effects.
    """

    position: NDArray[np.int64]
    morgan: NDArray[np.float64]
    haplotypes: NDArray[np.int8]
    population: NDArray[np.int8]
    frequency: NDArray[np.float64]
    typed: NDArray[np.bool_]


def _import_msprime() -> Any:
    try:
        import msprime
    except ImportError as error:
        raise SettingsError(
            "simulating genotypes needs msprime, which is not installed",
            remedy="pip install 'prs[simulate]'",
        ) from error
    return msprime


def make_demography() -> Any:
    """Return the out-of-Africa model with recent growth of Tennessen et al. (2012), plus East Asia.

    African and European sizes, splits, migration and accelerated growth of the last 204
    generations are those of Tennessen et al. (2012, Science 337:64, table S5 as in stdpopsim's
    OutOfAfrica_2T12); the East Asian branch has the bottleneck and growth of Gutenkunst et al.
    (2009, PLoS Genetics 5:e1000695), with the European growth in the last 204 generations.

    Returns
    -------
    msprime.Demography
        Populations AFR, EUR, EAS and their ancestors; time in generations.
    """
    msprime = _import_msprime()
    recent, split, out_of_africa, ancestral = 204, 920, 2040, 5920
    european_growth, asian_growth, recent_growth = 0.00307, 0.0048, 0.0195
    european = 1032 * np.exp(european_growth * (split - recent))
    asian = 510 * np.exp(asian_growth * (split - recent))
    expansion = np.exp(recent_growth * recent)

    model = msprime.Demography()
    model.add_population(
        name="AFR", initial_size=14474 * np.exp(0.0166 * recent), growth_rate=0.0166
    )
    model.add_population(name="EUR", initial_size=european * expansion, growth_rate=recent_growth)
    model.add_population(name="EAS", initial_size=asian * expansion, growth_rate=recent_growth)
    model.add_population(name="OOA", initial_size=1861)
    model.add_population(name="AMH", initial_size=14474)
    model.add_population(name="ANC", initial_size=7310)
    model.set_symmetric_migration_rate(["AFR", "EUR"], 2.5e-5)
    model.set_symmetric_migration_rate(["AFR", "EAS"], 0.78e-5)
    model.set_symmetric_migration_rate(["EUR", "EAS"], 9.6e-5)
    for name, size, growth in (
        ("AFR", 14474, 0.0),
        ("EUR", european, european_growth),
        ("EAS", asian, asian_growth),
    ):
        model.add_population_parameters_change(
            time=recent, population=name, initial_size=size, growth_rate=growth
        )
    model.add_population_split(time=split, derived=["EUR", "EAS"], ancestral="OOA")
    model.add_symmetric_migration_rate_change(time=split, populations=["OOA", "AFR"], rate=15e-5)
    model.add_population_split(time=out_of_africa, derived=["OOA", "AFR"], ancestral="AMH")
    model.add_population_split(time=ancestral, derived=["AMH"], ancestral="ANC")
    model.sort_events()
    return model


def make_recombination_map(length: int, rng: np.random.Generator) -> Any:
    """Return a map with a cold background and a hotspot of 2 to 5 kb every 30 to 100 kb.

    Intensities of hotspots are exponential; the whole is scaled to 1.2 cM per megabase, of
    which hotspots carry about three quarters, as in people (Myers et al. 2005).

    Returns
    -------
    msprime.RateMap
    """
    msprime = _import_msprime()
    edges, rates = [0.0], []
    while edges[-1] < length:
        edges.append(min(edges[-1] + rng.uniform(30e3, 100e3), length))
        rates.append(0.25)
        if edges[-1] < length:
            edges.append(min(edges[-1] + rng.uniform(2e3, 5e3), length))
            rates.append(0.25 + rng.exponential(14.0))
    rates_array = np.array(rates)
    mean = np.average(rates_array, weights=np.diff(edges))
    return msprime.RateMap(position=edges, rate=rates_array * (1.2e-8 / mean))


def _choose_sites(
    frequency: NDArray[np.float64],
    n_typed: int,
    n_hidden: int,
    min_maf: float,
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Choose sites as a genotyping array does: common ones first, in any of the populations."""
    maf = np.minimum(frequency, 1 - frequency)
    candidates = np.flatnonzero(maf.max(axis=1) >= min_maf)
    wanted = n_typed + n_hidden
    if len(candidates) < wanted:
        raise SettingsError(
            f"{len(candidates):,} variants with a minor allele frequency of at least {min_maf:g} "
            f"arose on a chromosome, {wanted:,} are wanted",
            remedy="a longer sequence_length, or fewer n_variants",
        )
    preference = 0.02 + maf[candidates].mean(axis=1)
    chosen = rng.choice(candidates, wanted, replace=False, p=preference / preference.sum())
    typed = np.zeros(wanted, bool)
    typed[rng.choice(wanted, n_typed, replace=False)] = True
    order = np.argsort(chosen)
    return chosen[order], typed[order]


def simulate_founders(
    n_founders: dict[str, int],
    *,
    length: int,
    n_typed: int,
    n_hidden: int,
    min_maf: float,
    seed: np.random.SeedSequence,
) -> Founders:
    """Simulate the founders' haplotypes of one chromosome.

    Parameters
    ----------
    n_founders : dict of str to int
        People of each of `POPULATIONS`.
    length : int
        Base pairs.
    n_typed, n_hidden : int
        Sites that genotyping sees, and further ones that may only carry effects.
    min_maf : float
        Least minor allele frequency, in at least one population.
    seed : numpy.random.SeedSequence
        Randomness of this chromosome.

    Returns
    -------
    Founders

    Raises
    ------
    SettingsError
        If msprime is not installed, or too few common variants arise.
    """
    msprime = _import_msprime()
    rng = np.random.default_rng(seed.spawn(1)[0])
    ancestry_seed, mutation_seed = (int(s) % (2**31 - 1) + 1 for s in seed.generate_state(2))
    rate_map = make_recombination_map(length, rng)
    trees = msprime.sim_ancestry(
        [msprime.SampleSet(n_founders[name], population=name) for name in POPULATIONS],
        demography=make_demography(),
        recombination_rate=rate_map,
        random_seed=ancestry_seed,
    )
    trees = msprime.sim_mutations(
        trees,
        rate=_MUTATION_RATE,
        start_time=_YOUNGEST_MUTATION,
        model=msprime.BinaryMutationModel(),
        random_seed=mutation_seed,
    )
    # a second mutation at a site would make it something else than one old change
    per_site = np.bincount(trees.mutations_site, minlength=trees.num_sites)
    trees = trees.delete_sites(np.flatnonzero(per_site != 1))

    sizes = [2 * n_founders[name] for name in POPULATIONS]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    panel = [
        np.arange(start, start + min(size, _N_FREQUENCY))
        for start, size in zip(starts, sizes, strict=False)
    ]
    bounds = np.concatenate([[0], np.cumsum([len(p) for p in panel])])
    small = trees.simplify(np.concatenate(panel), filter_sites=False)
    counts = np.array(
        [
            np.add.reduceat(v.genotypes, bounds[:-1], dtype=np.int64)
            for v in small.variants(copy=False)
        ]
    ).reshape(-1, len(POPULATIONS))
    chosen, typed = _choose_sites(counts / np.diff(bounds), n_typed, n_hidden, min_maf, rng)

    trees = trees.delete_sites(np.setdiff1d(np.arange(trees.num_sites), chosen))
    haplotypes = np.empty((len(chosen), starts[-1]), dtype=np.int8)
    for row, variant in enumerate(trees.variants(copy=False)):
        haplotypes[row] = variant.genotypes
    position = trees.sites_position.astype(np.int64)
    return Founders(
        position=position,
        morgan=rate_map.get_cumulative_mass(position),
        haplotypes=haplotypes,
        population=np.repeat(np.arange(len(POPULATIONS)), sizes).astype(np.int8),
        frequency=np.add.reduceat(haplotypes, starts[:-1], axis=1, dtype=np.int64) / sizes,
        typed=typed,
    )
