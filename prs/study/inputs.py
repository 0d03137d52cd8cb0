"""Sections of the study file that say what goes in: people, GWAS, and how they are matched."""

from __future__ import annotations

from typing import Literal

from prs.study.sections import Section

__all__ = ["Harmonising", "Population", "Quality", "Target"]


class Target(Section, frozen=True):
    """``[target]``: the people to be scored and judged.

    Attributes
    ----------
    genotypes : str or list of str
        PLINK prefix; ``chr{chrom}`` in it stands for one fileset a chromosome. Several: a list,
        or a text file that names them, one on each line.
    keep, remove : str or None
        Files with the ids of the people to use, and not to use.
    extract, exclude : str or None
        Files with the ids of the variants to use, and not to use.
    cohort : str
        Table with IID, the outcome, covariates, ancestry and split.
    outcome : str
        Column of the outcome.
    kind : {"auto", "binary", "quantitative", "survival"}
        What the outcome is.
    time : str or None
        Column of the time to the event (or to censoring); with it the outcome is survival.
    entry : str or None
        Column of the time of entry, where people came under observation late: `time` is then on
        that scale, such as the age at the event, and not counted from entry.
    covariates : list of str
        Columns of covariates.
    ancestry : str
        Column of the ancestry label; "" for none: everybody is judged together, and along
        genetic distance.
    split : str or None
        Column with ``tuning`` and ``test``; without it everything that is chosen by looking at
        outcomes is cross-fitted (`[evaluation] n_folds`), and the whole cohort is judged.
    pcs : list of str
        Columns of principal components. They serve for genetic distance where the populations
        have no reference genotypes, from which components are computed otherwise.
    """

    genotypes: str | list[str]
    cohort: str
    outcome: str
    keep: str | None = None
    remove: str | None = None
    extract: str | None = None
    exclude: str | None = None
    kind: Literal["auto", "binary", "quantitative", "survival"] = "auto"
    time: str | None = None
    entry: str | None = None
    covariates: list[str] = []
    ancestry: str = "ancestry"
    split: str | None = None
    pcs: list[str] = []

    @property
    def by(self) -> str | None:
        """The ancestry column, or None."""
        return self.ancestry or None

    @property
    def labels(self) -> list[str]:
        """Columns of labels to read."""
        return [self.ancestry] if self.ancestry else []


class Population(Section, frozen=True):
    """``[populations.NAME]``: one GWAS and the LD that belongs to it.

    Attributes
    ----------
    sumstats : str
        Summary statistics, any dialect that `read_sumstats` knows.
    n : float or None
        Effective sample size: needed where the file has no such column, and for a case-control
        study whose column counts people (see `prs.read_sumstats`).
    columns : dict of str to str
        Role -> column, where the file's own names mislead.
    ld : str or None
        An LD reference of ours or a PRS-CS(x) panel folder.
    reference : str, list of str or None
        PLINK prefix of reference genotypes (or several, as for the target): LD is computed from
        them, and clumping uses them.
    reference_samples : str or None
        File with the ids of the reference people of this population.
    blocks : str or None
        BED file of LD blocks; default: found by splitting where least LD is lost.
    """

    sumstats: str
    n: float | None = None
    columns: dict[str, str] = {}
    ld: str | None = None
    reference: str | list[str] | None = None
    reference_samples: str | None = None
    blocks: str | None = None


class Quality(Section, frozen=True):
    """``[harmonise.qc]``: which matched variants are left out; each rule is counted.

    Attributes
    ----------
    min_maf : float
        Least minor-allele frequency, of the statistics and of the panel; 0 switches it off.
    min_info : float
        Least imputation INFO, where the file has it; 0 switches it off.
    min_n_share : float
        Least n, as a share of the 90th percentile of the file; 0 switches it off.
    sd : bool
        Whether the genotype's standard deviation that the statistics imply must lie between half
        of the panel's and 0.1 above it.
    max_eaf_difference : float
        Greatest difference between the file's and the panel's frequency; 1 switches it off.
    ld : bool
        Whether each z must agree with its neighbours', where there is an LD reference.
    exclude : list of {"mhc", "long_range_ld"}
        Regions to leave out: the extended MHC; long-range LD (in GRCh37 or GRCh38, as the positions
        tell).
    """

    min_maf: float = 0.01
    min_info: float = 0.8
    min_n_share: float = 2 / 3
    sd: bool = True
    max_eaf_difference: float = 0.2
    ld: bool = True
    exclude: list[Literal["mhc", "long_range_ld"]] = []


class Harmonising(Section, frozen=True):
    """``[harmonise]``: rules of matching.

    Attributes
    ----------
    palindromic : {"frequency", "keep", "drop"}
        What is done with A/T and C/G variants: settled by allele frequency, taken as written, or
        all dropped.
    min_overlap : float
        Least share of the smaller input that must match.
    qc : Quality
        Which matched variants are left out.
    """

    palindromic: Literal["frequency", "keep", "drop"] = "frequency"
    min_overlap: float = 0.1
    qc: Quality = Quality()
