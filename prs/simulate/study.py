"""Simulating a whole study: GWAS, reference panel, target cohort and truth, in standard files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from prs.errors import SettingsError
from prs.simulate.coalescent import POPULATIONS
from prs.simulate.study_files import SimulatedStudy, write_study
from prs.simulate.world import ADMIXED, MAIN_POPULATION, make_group, simulate_world

__all__ = ["SimulatedStudy", "simulate_study"]


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
        ``.tsv.gz``, ``study.toml``, ``study_trait.toml``, ``truth.tsv.gz``,
        ``truth_people.tsv.gz``.

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
    groups = [make_group(p, "gwas", n) for p, n in n_gwas.items()]
    groups += [make_group(p, "reference", n_reference) for p in n_gwas]
    groups += [make_group(p, "target", n) for p, n in n_target.items()]
    world = simulate_world(
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
    return write_study(
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
