"""A whole simulated study in standard files: GWAS, reference panel, target cohort and truth."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prs.ancestry import compute_pcs
from prs.errors import SettingsError
from prs.files import write_atomically, write_table
from prs.inputs.genotypes import open_genotypes
from prs.inputs.plink_write import write_bed
from prs.samples import SampleTable
from prs.simulate.association import Association, associate
from prs.simulate.coalescent import POPULATIONS, Founders, simulate_founders
from prs.simulate.people import Group, PackedHaplotypes, simulate_people
from prs.simulate.sumstats_files import Dialect, write_sumstats
from prs.simulate.traits import Phenotypes, draw_effects, simulate_phenotypes
from prs.variants import VariantTable

__all__ = ["SimulatedStudy", "simulate_study"]

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
_DIALECTS: dict[tuple[str, str], Dialect] = {
    ("disease", "EUR"): "prscs_or_p",
    ("disease", "AFR"): "prscs_beta_se",
    ("trait", "EUR"): "prscs_beta_se",
}
_COMPLEMENT = {"A": "T", "T": "A", "C": "G", "G": "C"}
_TRANSITION = {"A": "G", "G": "A", "C": "T", "T": "C"}
#: Arrays avoid A/T and C/G variants; some are there all the same.
_SHARE_TRANSITIONS, _SHARE_PALINDROMIC = 0.80, 0.05
_FIRST_POSITION = {20: 30_000_000, 21: 18_000_000, 22: 20_000_000}
_IDS_PER_CHROMOSOME = 40_000_000
_CHUNK = 1000


@dataclass(frozen=True)
class SimulatedStudy:
    """Where the files of a simulated study are.

    Attributes
    ----------
    folder : Path
        The study's folder.
    reference, target : Path
        PLINK prefixes.
    reference_samples : dict of str to Path
        Keep list of each population's reference panel.
    sumstats : dict of str to dict of str to Path
        Summary statistics by outcome ("disease", "trait") and population.
    n_gwas, n_eff : dict of str to float
        People of each GWAS, and the effective sample size of the one of the disease.
    cohort, prevalence, gwas, truth, truth_people : Path
        The target's phenotypes, the prevalences, sizes of the GWAS, true effects, true
        genetic values.
    """

    folder: Path
    reference: Path
    target: Path
    reference_samples: dict[str, Path]
    sumstats: dict[str, dict[str, Path]]
    n_gwas: dict[str, float]
    n_eff: dict[str, float]
    cohort: Path
    prevalence: Path
    gwas: Path
    truth: Path
    truth_people: Path


@dataclass(frozen=True)
class _World:
    """Everybody and everything that was simulated, before it becomes files."""

    groups: Sequence[Group]
    variants: VariantTable  # typed sites; the effect allele is the derived one
    centimorgan: NDArray[np.float64]
    haplotypes: Sequence[PackedHaplotypes]
    phenotypes: Phenotypes
    values: NDArray[np.float64]
    population: NDArray[np.object_]
    role: NDArray[np.object_]
    truth: pd.DataFrame


def simulate_study(
    out: str | Path,
    *,
    seed: int = 1,
    n_gwas: Mapping[str, int] | None = None,
    n_reference: int = 400,
    n_target: Mapping[str, int] | None = None,
    n_variants: int = 15_000,
    n_chromosomes: int = 3,
    sequence_length: int = 15_000_000,
    n_founders: Mapping[str, int] | int = 2_000,
    h2: float = 0.4,
    n_causal: int = 600,
    effect_correlation: float = 0.9,
    typed_causal: float = 1.0,
    prevalence: Mapping[str, float] | None = None,
    tuning_share: float = 0.5,
    n_pcs: int = 6,
    dirt: bool = True,
) -> SimulatedStudy:
    """Simulate a multi-ancestry study with known truth and write it as files.

    Founders of African, European and East Asian populations come from an out-of-Africa
    coalescent with recombination hotspots; 12 generations later their descendants (and an
    admixed group, 75 % African and 25 % European) are the people of three GWAS, of a
    reference panel and of a target cohort. A disease follows from a liability with a
    threshold in each population that gives the prevalence asked for; a quantitative trait
    has other causal variants.

    Parameters
    ----------
    out : str or Path
        Folder to write; existing files of these names are replaced.
    seed : int
        The same seed gives the same bytes (with the same versions of NumPy and msprime).
    n_gwas : mapping of str to int
        People of each GWAS; populations among AFR, EUR, EAS.
        Default 50,000 EUR, 9,000 AFR, 9,000 EAS.
    n_reference : int
        People of the reference panel of each GWAS population.
    n_target : mapping of str to int
        People of the target cohort; AFR, EUR, EAS and ADM (the admixed group).
    n_variants : int
        Genotyped variants in all, with a minor allele frequency of at least 1 % in one of
        the populations; divided evenly over chromosomes.
    n_chromosomes : int
        Chromosomes 22, 21, 20, ... (at most 22).
    sequence_length : int
        Base pairs of each chromosome.
    n_founders : mapping of str to int, or int
        People of each founding population: the size of the coalescent.
    h2 : float
        Heritability of liability and trait in EUR, before age and sex.
    n_causal : int
        Causal variants of each outcome.
    effect_correlation : float
        Between populations, of per-allele effects.
    typed_causal : float
        Share of the causal variants that is genotyped (the others are only tagged).
    prevalence : mapping of str to float
        Of the disease, by population of the target.
        Default EUR 0.18, AFR 0.22, EAS 0.17, ADM 0.20.
    tuning_share : float
        Share of the target that is labelled "tuning"; the rest is "test".
    n_pcs : int
        Principal components of the target in the cohort file.
    dirt : bool
        Whether the files have the usual faults: swapped and strand-flipped alleles,
        duplicates, missing values, variants missing from one of the files.

    Returns
    -------
    SimulatedStudy
        Paths: ``reference.{bed,bim,fam}``, ``reference.POP.txt``, ``target.{bed,bim,fam}``,
        ``cohort.tsv``, ``prevalence.tsv``, ``gwas.tsv``, ``sumstats/OUTCOME.POP.txt.gz`` or
        ``.tsv.gz``, ``truth.tsv.gz``, ``truth_people.tsv.gz``.

    Raises
    ------
    SettingsError
        If a setting makes no sense, msprime is missing, or too few common variants arise.
    """
    n_gwas = {"EUR": 50_000, "AFR": 9_000, "EAS": 9_000} if n_gwas is None else dict(n_gwas)
    n_target = (
        {"EUR": 1_300, "AFR": 1_300, "EAS": 1_250, ADMIXED: 150}
        if n_target is None
        else dict(n_target)
    )
    default = {"EUR": 0.18, "AFR": 0.22, "EAS": 0.17, ADMIXED: 0.20}
    prevalence = default if prevalence is None else dict(prevalence)
    if isinstance(n_founders, int):
        n_founders = dict.fromkeys(POPULATIONS, n_founders)
    _check_settings(n_gwas, n_target, prevalence, n_founders, h2, n_chromosomes, typed_causal)

    streams = dict(
        zip(
            ("people", "phenotypes", "alleles", "cohort", "files"),
            np.random.SeedSequence(seed).spawn(5),
            strict=True,
        )
    )
    groups = [_make_group(p, "gwas", n) for p, n in n_gwas.items()]
    groups += [_make_group(p, "reference", n_reference) for p in n_gwas]
    groups += [_make_group(p, "target", n) for p, n in n_target.items()]
    world = _simulate_world(
        groups,
        streams,
        n_founders=dict(n_founders),
        chromosomes=range(23 - n_chromosomes, 23),
        length=int(sequence_length),
        n_variants=n_variants,
        n_causal=n_causal,
        correlation=effect_correlation,
        typed_causal=typed_causal,
        h2=h2,
        prevalence=prevalence,
    )
    return _write_study(
        Path(out),
        world,
        streams,
        n_pcs=n_pcs,
        tuning_share=tuning_share,
        prevalence=prevalence,
        dirt=dirt,
    )


def _check_settings(
    n_gwas: Mapping[str, int],
    n_target: Mapping[str, int],
    prevalence: Mapping[str, float],
    n_founders: Mapping[str, int],
    h2: float,
    n_chromosomes: int,
    typed_causal: float,
) -> None:
    for name, given, known in (
        ("n_gwas", n_gwas, POPULATIONS),
        ("n_target", n_target, (*POPULATIONS, ADMIXED)),
    ):
        unknown = sorted(set(given) - set(known))
        if unknown or not given:
            raise SettingsError(
                f"{name} names {', '.join(unknown) or 'no population'}",
                remedy=f"use {', '.join(known)}",
            )
    if MAIN_POPULATION not in n_gwas:
        raise SettingsError(f"n_gwas lacks {MAIN_POPULATION}, whose variance scales the effects")
    if missing := sorted(set(POPULATIONS) - set(n_founders)):
        raise SettingsError(f"n_founders lacks {', '.join(missing)}")
    if missing := sorted((set(n_target) | set(n_gwas)) - set(prevalence)):
        raise SettingsError(f"no prevalence is given for {', '.join(missing)}")
    if not all(0 < k < 1 for k in prevalence.values()):
        raise SettingsError("prevalences must be between 0 and 1")
    if not 0 < h2 < 1 or not 0 <= typed_causal <= 1 or not 1 <= n_chromosomes <= 22:
        raise SettingsError(
            "h2 must be between 0 and 1, typed_causal within [0, 1], n_chromosomes within 1 to 22"
        )


def _make_group(population: str, role: str, n: int) -> Group:
    shares = ADMIXTURE if population == ADMIXED else {population: 1.0}
    return Group(population, role, int(n), shares)


def _simulate_world(
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
) -> _World:
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
    for chrom, n_typed, n_effects, stream in zip(
        chromosomes, per_chromosome, causal_per_chromosome, streams["people"].spawn(k), strict=True
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
    return _World(
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


def _read_people(
    world: _World, people: NDArray[np.int64], variants: NDArray[np.int64]
) -> Iterator[NDArray[np.int8]]:
    """Yield dosages of the derived allele, (people, chunk of variants)."""
    first = np.concatenate([[0], np.cumsum([len(h.bits) for h in world.haplotypes])])
    low, high = int(people.min()), int(people.max()) + 1
    for haplotypes, start, stop in zip(world.haplotypes, first[:-1], first[1:], strict=True):
        own = variants[(variants >= start) & (variants < stop)] - start
        for at in range(0, len(haplotypes.bits), _CHUNK):
            rows = own[(own >= at) & (own < at + _CHUNK)] - at
            chunk = haplotypes.read_dosages(slice(at, at + _CHUNK), slice(low, high))
            yield np.ascontiguousarray(chunk[rows][:, people - low].T)


def _write_study(
    out: Path,
    world: _World,
    streams: Mapping[str, np.random.SeedSequence],
    *,
    n_pcs: int,
    tuning_share: float,
    prevalence: Mapping[str, float],
    dirt: bool,
) -> SimulatedStudy:
    panel_stream, cohort_stream = streams["cohort"].spawn(2)
    reference, keep = _write_reference(out, world, dirt, np.random.default_rng(panel_stream))
    rng = np.random.default_rng(cohort_stream)
    target, people, samples = _write_target(out, world, dirt, rng)
    cohort = _write_cohort(out, world, people, samples, n_pcs, tuning_share, target, rng)

    names = [group.population for group in world.groups if group.role == "gwas"]
    associations = {name: _associate(world, name) for name in names}
    sumstats: dict[str, dict[str, Path]] = {outcome: {} for outcome in OUTCOMES}
    rows = []
    file_streams = iter(streams["files"].spawn(len(OUTCOMES) * len(names)))
    for outcome in OUTCOMES:
        for name in names:
            association = associations[name][outcome]
            dialect = _DIALECTS.get((outcome, name), "gwas_ssf")
            suffix = "tsv.gz" if dialect == "gwas_ssf" else "txt.gz"
            path = out / "sumstats" / f"{outcome}.{name}.{suffix}"
            sumstats[outcome][name] = write_sumstats(
                path,
                world.variants,
                association,
                dialect=dialect,
                dirt=dirt,
                rng=np.random.default_rng(next(file_streams)),
            )
            cases = association.n_cases
            rows.append(
                {
                    "file": f"sumstats/{path.name}",
                    "outcome": outcome,
                    "population": name,
                    "n": association.n,
                    "n_cases": "NA" if cases is None else cases,
                    "n_controls": "NA" if cases is None else association.n - cases,
                    "n_eff": round(association.n_eff),
                }
            )
    named = [group.population for group in world.groups if group.role == "target"]
    return SimulatedStudy(
        folder=out,
        reference=reference,
        target=target,
        reference_samples=keep,
        sumstats=sumstats,
        n_gwas={name: float(a["trait"].n) for name, a in associations.items()},
        n_eff={name: a["disease"].n_eff for name, a in associations.items()},
        cohort=cohort,
        prevalence=write_table(
            pd.DataFrame({"ancestry": named, "prevalence": [prevalence[name] for name in named]}),
            out / "prevalence.tsv",
        ),
        gwas=write_table(pd.DataFrame(rows), out / "gwas.tsv"),
        truth=_write_truth(out, world),
        truth_people=_write_truth_people(out, world, people, samples),
    )


def _associate(world: _World, name: str) -> dict[str, Association]:
    own = np.flatnonzero((world.population == name) & (world.role == "gwas"))
    log.info("GWAS of %s people (%s)", f"{len(own):,}", name)
    return associate(world.haplotypes, world.phenotypes, slice(int(own[0]), int(own[-1]) + 1))


def _drop_some(n: int, dirt: bool, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the variants that a fileset has: all but about 0.2 %."""
    dropped = rng.choice(n, round(0.002 * n) if dirt else 0, replace=False)
    return np.setdiff1d(np.arange(n), dropped)


def _write_reference(
    out: Path, world: _World, dirt: bool, rng: np.random.Generator
) -> tuple[Path, dict[str, Path]]:
    people = np.flatnonzero(world.role == "reference")
    population = world.population[people]
    number = np.concatenate([np.arange(1, g.n + 1) for g in world.groups if g.role == "reference"])
    iid = np.array([f"{p}{k:04d}" for p, k in zip(population, number, strict=True)], dtype=object)
    samples = _make_samples(iid, world.phenotypes.sex[people])
    kept = _drop_some(len(world.variants), dirt, rng)
    write_bed(
        out / "reference",
        _read_people(world, people, kept),
        world.variants.take(kept),
        samples,
        centimorgan=np.round(world.centimorgan[kept], 4),
    )
    keep = {}
    for name in dict.fromkeys(population):
        keep[name] = out / f"reference.{name}.txt"
        with write_atomically(keep[name]) as temporary:
            text = "".join(f"{i}\t{i}\n" for i in iid[population == name])
            temporary.write_text(text, encoding="utf-8", newline="\n")
    return out / "reference", keep


def _make_samples(iid: NDArray[np.object_], sex: NDArray[np.int8]) -> SampleTable:
    return SampleTable(iid.copy(), iid, sex, np.ones(len(iid), bool))


def _write_target(
    out: Path, world: _World, dirt: bool, rng: np.random.Generator
) -> tuple[Path, NDArray[np.int64], SampleTable]:
    """Write the target, its people in random order, A1 the rarer allele as PLINK 1 has it."""
    people = rng.permutation(np.flatnonzero(world.role == "target"))
    iid = np.array([f"T{k:05d}" for k in range(1, len(people) + 1)], dtype=object)
    samples = _make_samples(iid, world.phenotypes.sex[people])
    kept = _drop_some(len(world.variants), dirt, rng)
    swap = np.concatenate([d.mean(axis=0) > 1 for d in _read_people(world, people, kept)])
    miss_rate = rng.uniform(0, 0.01, len(kept)) if dirt else np.zeros(len(kept))
    # a few poor DNA samples
    person_rate = np.where(rng.random(len(people)) < 0.005, 0.03, 0.0) if dirt else 0.0
    variants = world.variants.take(kept)
    variants = VariantTable(
        variants.chrom,
        variants.pos,
        variants.id,
        np.where(swap, variants.other_allele, variants.effect_allele),
        np.where(swap, variants.effect_allele, variants.other_allele),
    )

    def chunks() -> Iterator[NDArray[np.int8]]:
        done = 0
        for dosages in _read_people(world, people, kept):
            here = slice(done, done + dosages.shape[1])
            done = here.stop
            calls = np.where(swap[here], 2 - dosages, dosages).astype(np.int8)
            if dirt:
                rate = miss_rate[None, here] + np.reshape(person_rate, (-1, 1))
                calls[rng.random(calls.shape, dtype=np.float32) < rate] = -1
            yield calls

    write_bed(
        out / "target",
        chunks(),
        variants,
        samples,
        centimorgan=np.round(world.centimorgan[kept], 4),
    )
    return out / "target", people, samples


def _write_cohort(
    out: Path,
    world: _World,
    people: NDArray[np.int64],
    samples: SampleTable,
    n_pcs: int,
    tuning_share: float,
    target: Path,
    rng: np.random.Generator,
) -> Path:
    population = world.population[people]
    split = np.full(len(people), "test", dtype=object)
    for name in dict.fromkeys(population):  # the same share of each ancestry
        own = rng.permutation(np.flatnonzero(population == name))
        split[own[: round(tuning_share * len(own))]] = "tuning"
    pcs = compute_pcs(open_genotypes(target), n_components=n_pcs, seed=0)
    frame = pd.DataFrame(
        {
            "FID": samples.fid,
            "IID": samples.iid,
            "ancestry": population,
            "split": split,
            "age": world.phenotypes.age[people],
            "sex": world.phenotypes.sex[people],
        }
    )
    for k in range(n_pcs):
        frame[f"PC{k + 1}"] = [f"{v:.4f}" for v in pcs.scores[:, k]]
    frame["disease"] = world.phenotypes.disease[people]
    frame["trait"] = [f"{v:.3f}" for v in world.phenotypes.trait[people]]
    return write_table(frame, out / "cohort.tsv")


def _write_truth(out: Path, world: _World) -> Path:
    frame = world.truth.copy()
    for column in frame.columns[6:]:
        frame[column] = [f"{v:.6g}" for v in frame[column]]
    return write_table(frame, out / "truth.tsv.gz")


def _write_truth_people(
    out: Path, world: _World, people: NDArray[np.int64], samples: SampleTable
) -> Path:
    frame = pd.DataFrame({"IID": samples.iid, "ancestry": world.population[people]})
    for row, outcome in enumerate(OUTCOMES):
        frame[f"g_{outcome}"] = [f"{v:.5f}" for v in world.values[row, people]]
    frame["liability"] = [f"{v:.5f}" for v in world.phenotypes.liability[people]]
    return write_table(frame, out / "truth_people.tsv.gz")
