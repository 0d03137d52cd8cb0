"""The simulated worlds: one base architecture, and axes along which one thing of it is changed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import prs
from benchmarks.methods import Study

__all__ = ["FULL", "QUICK", "Architecture", "Axis", "Size", "simulate"]


@dataclass(frozen=True)
class Architecture:
    """How a trait is made, and how many people there are to learn LD from.

    Attributes
    ----------
    n_causal : int
        Causal variants.
    rg : float
        Correlation of effects between populations.
    h2 : float
        Heritability in EUR, before age and sex.
    n_reference : int
        People of each population's LD panel.
    """

    n_causal: int
    rg: float
    h2: float
    n_reference: int

    @property
    def name(self) -> str:
        """What tables call it."""
        return (
            f"{self.n_causal:,} causal, rg {self.rg:g}, h2 {self.h2:g}, "
            f"panel of {self.n_reference:,}"
        )


@dataclass(frozen=True)
class Axis:
    """One thing of the base architecture that is changed, all else equal.

    Attributes
    ----------
    name : str
        Short: the page is accuracy_NAME.
    title : str
        The page's heading.
    label : str
        Of the figure's x axis.
    field : str
        Of `Architecture`.
    values : tuple of float
        The base's among them.
    """

    name: str
    title: str
    label: str
    field: str
    values: tuple[float, ...]

    def architectures(self, base: Architecture) -> list[Architecture]:
        """Return one architecture a value."""
        kind = type(getattr(base, self.field))
        return [replace(base, **{self.field: kind(value)}) for value in self.values]


@dataclass(frozen=True)
class Size:
    """How large the studies are, and which there are.

    Attributes
    ----------
    n_gwas, n_target : tuple of (str, int)
        People by population; ADM, of the target only, are admixed (AFR and EUR, 75 : 25).
    n_variants, n_chromosomes, sequence_length, n_founders : int
        As for `prs.simulate_study`.
    iterations : int or None
        Of samplers; None is each program's default.
    replicates : int
        Studies an architecture.
    base : Architecture
    axes : tuple of Axis
    """

    n_gwas: tuple[tuple[str, int], ...]
    n_target: tuple[tuple[str, int], ...]
    n_variants: int
    n_chromosomes: int
    sequence_length: int
    n_founders: int
    iterations: int | None
    replicates: int
    base: Architecture
    axes: tuple[Axis, ...]

    @property
    def architectures(self) -> list[Architecture]:
        """The base and all the others, each once."""
        along = [a for axis in self.axes for a in axis.architectures(self.base)]
        return list(dict.fromkeys([self.base, *along]))


def _axes(
    causal: tuple[int, ...],
    rg: tuple[float, ...],
    h2: tuple[float, ...],
    panel: tuple[int, ...],
) -> tuple[Axis, ...]:
    made = (
        Axis("polygenicity", "Sparse to polygenic", "causal variants", "n_causal", causal),
        Axis("rg", "Effects shared between populations", "correlation of effects", "rg", rg),
        Axis("h2", "Heritability", "heritability in EUR", "h2", h2),
        Axis("panel", "Size of the LD panel", "people of each panel", "n_reference", panel),
    )
    return tuple(axis for axis in made if axis.values)


#: A minute or two, for continuous integration: that everything runs, not how well.
QUICK = Size(
    n_gwas=(("EUR", 4_000), ("AFR", 1_500)),
    n_target=(("EUR", 400), ("AFR", 400), ("ADM", 400)),
    n_variants=800,
    n_chromosomes=1,
    sequence_length=2_000_000,
    n_founders=400,
    iterations=300,
    replicates=2,
    base=Architecture(40, 0.8, 0.4, 200),
    axes=_axes((40, 400), (), (), ()),
)
#: HapMap 3's density on three chromosomes of 4 Mb. The GWAS are as much smaller than today's as the
#: genome is: an accuracy is of people x heritability over independent segments.
FULL = Size(
    n_gwas=(("EUR", 8_000), ("AFR", 2_000), ("EAS", 2_000)),
    n_target=(("EUR", 2_000), ("AFR", 2_000), ("EAS", 2_000), ("ADM", 2_000)),
    n_variants=4_500,
    n_chromosomes=3,
    sequence_length=4_000_000,
    n_founders=1_000,
    iterations=None,
    replicates=6,
    base=Architecture(200, 0.8, 0.3, 500),
    axes=_axes((20, 200, 2_000), (0.6, 0.8, 1.0), (0.1, 0.3, 0.5), (500, 1_500, 5_000)),
)


def simulate(
    folder: Path, size: Size, architecture: Architecture, seed: int, replicate: int
) -> Study:
    """Make one study.

    The same replicate of two architectures has the same seed and so, as far as they can, the same
    people: along an axis, what is seen is the axis rather than other people.
    """
    drawn = np.random.SeedSequence(seed, spawn_key=(replicate,)).generate_state(1)[0]
    prs.simulate_study(
        folder,
        seed=int(drawn),
        n_gwas=dict(size.n_gwas),
        n_target=dict(size.n_target),
        n_reference=architecture.n_reference,
        n_variants=size.n_variants,
        n_chromosomes=size.n_chromosomes,
        sequence_length=size.sequence_length,
        n_founders=size.n_founders,
        n_causal=architecture.n_causal,
        effect_correlation=architecture.rg,
        h2=architecture.h2,
        dirt=False,
    )
    return Study.simulated(folder, size.iterations)
