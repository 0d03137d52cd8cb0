"""Summary statistics of a GWAS, read from any of the common dialects."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from prs.errors import InvalidValueError, SettingsError
from prs.inputs.builds import tell_build
from prs.inputs.sumstats_dialects import (
    LEVEL_ROLES,
    NUMERIC_ROLES,
    ColumnPlan,
    plan_columns,
)
from prs.inputs.sumstats_effects import Effects, check_columns
from prs.inputs.sumstats_rows import Rows
from prs.inputs.sumstats_vcf import gwas_vcf_as_table, is_gwas_vcf
from prs.inputs.sumstats_yaml import read_side_file
from prs.inputs.text_table import TextTable, open_table
from prs.provenance import digest_file
from prs.variants import VariantTable

__all__ = ["SumStats", "SumStatsSource", "read_sumstats", "recognise_sumstats"]

logger = logging.getLogger(__name__)

_WHAT = "summary statistics"


@dataclass(frozen=True)
class SumStatsSource:
    """Where summary statistics came from, and what was understood.

    Attributes
    ----------
    path : str
        The file.
    dialect : str
        Format that was recognised.
    columns : dict of str to str
        Role to column name.
    derived : tuple of str
        What was derived from what.
    n_rows : int
        Rows of the file; variants read + losses.
    losses : dict of str to int
        Rows that could not be used, by reason.
    digest : str
        SHA-256 of the file (see `prs.provenance.digest_file`).
    notes : tuple of str
        How the effect allele and the sample size were decided, what was set aside.
    loss_code : ndarray of uint8, shape (n_rows,), or None
        For each row of the file 0, or k for the k-th reason of `losses`; None where the
        statistics do not come from a file.
    """

    path: str
    dialect: str
    columns: Mapping[str, str]
    derived: tuple[str, ...]
    n_rows: int
    losses: Mapping[str, int]
    digest: str
    notes: tuple[str, ...] = ()
    loss_code: NDArray[np.uint8] | None = field(default=None, repr=False, compare=False)

    @property
    def sha256(self) -> str:
        """The digest's hexadecimal part."""
        return self.digest.rpartition(":")[2]

    def describe(self) -> str:
        """Return what was understood: dialect, columns, what was derived, what was lost."""
        columns = ", ".join(f"{role} = {name}" for role, name in self.columns.items())
        lost = ", ".join(f"{reason.replace('_', ' ')} {k:,}" for reason, k in self.losses.items())
        lines = [
            f"{self.path}: {self.dialect}, {self.n_rows:,} rows",
            f"  columns: {columns}",
            *(f"  {remark}" for remark in (*self.notes, *self.derived)),
            *([f"  rows that cannot be used: {lost}"] if lost else []),
        ]
        return "\n".join(lines)


@dataclass(frozen=True, eq=False)
class SumStats:
    """Summary statistics of one GWAS, in the order of the file.

    Attributes
    ----------
    variants : VariantTable
        M variants; not sorted, possibly with duplicates.
    beta : ndarray of float64, shape (M,)
        Effect of one more effect allele (log odds for a binary trait).
    se : ndarray of float64, shape (M,)
        Standard error of beta; NaN where beta is 0 and the file has no standard errors.
    z : ndarray of float64, shape (M,)
        beta / se, exact also where p is below float range.
    p : ndarray of float64, shape (M,)
        Two-sided p-value; 0 below float range.
    n_eff : ndarray of float64, shape (M,)
        Effective sample size.
    eaf : ndarray of float64, shape (M,)
        Effect-allele frequency; NaN where unknown.
    population : str
        The GWAS's population.
    source : SumStatsSource
        The file and what was understood.
    info, n_cases, n_controls : ndarray of float64, shape (M,), or None
        Imputation quality, cases and controls; None where the file has no such column.
    row : ndarray of int32, shape (M,), or None
        The file's row (0 is the first below the header) that each variant comes from.
    """

    variants: VariantTable
    beta: NDArray[np.float64]
    se: NDArray[np.float64]
    z: NDArray[np.float64]
    p: NDArray[np.float64]
    n_eff: NDArray[np.float64]
    eaf: NDArray[np.float64]
    population: str
    source: SumStatsSource
    info: NDArray[np.float64] | None = None
    n_cases: NDArray[np.float64] | None = None
    n_controls: NDArray[np.float64] | None = None
    row: NDArray[np.int32] | None = None

    def __post_init__(self) -> None:
        lengths = {len(self.variants)} | {
            len(getattr(self, name)) for name in ("beta", "se", "z", "p", "n_eff", "eaf")
        }
        if len(lengths) > 1:
            raise InvalidValueError(f"summary statistics differ in length: {sorted(lengths)}")

    def __len__(self) -> int:
        return len(self.variants)

    @property
    def standardised(self) -> NDArray[np.float64]:
        """Effect per standard deviation of genotype and trait, z / sqrt(n_eff); shape (M,)."""
        return self.z / np.sqrt(self.n_eff)

    def take(self, index: ArrayLike) -> SumStats:
        """Return the variants at `index` (integers or a mask), in that order."""
        index = np.asarray(index)
        return SumStats(
            self.variants.take(index),
            self.beta[index],
            self.se[index],
            self.z[index],
            self.p[index],
            self.n_eff[index],
            self.eaf[index],
            self.population,
            self.source,
            *(
                None if values is None else values[index]
                for values in (self.info, self.n_cases, self.n_controls, self.row)
            ),
        )

    def to_frame(self) -> pd.DataFrame:
        """Return one row a variant: the variant's columns, beta, se, z, p, n_eff, eaf."""
        columns = {name: getattr(self, name) for name in ("beta", "se", "z", "p", "n_eff", "eaf")}
        return self.variants.to_frame().assign(**columns)


def read_sumstats(
    path: str | Path,
    *,
    population: str,
    n: float | None = None,
    columns: Mapping[str, str] | None = None,
    effect: str = "auto",
    need_n: bool = True,
    need_effect: bool = True,
) -> SumStats:
    """Read the summary statistics of one GWAS.

    PRS-CS, PLINK 1.9 and 2, regenie, SAIGE, BOLT-LMM, fastGWA, METAL, GWAS-SSF (and its YAML
    side file), the GWAS Catalog's hm_ columns, LDSC, GWAS-VCF and other tables with a header
    are recognised by their column names; tab-, comma- or space-separated; plain, gzip, bgzip or
    zstd. What the file lacks is derived: beta from the odds ratio; z from beta and se, else
    from the sign of beta and p (in logarithms: exact however small p is); se from beta and z,
    or from the confidence interval; p from z; the effective sample size of a case-control
    study as 4 / (1/cases + 1/controls).

    Parameters
    ----------
    path : str or Path
        The file.
    population : str
        The GWAS's population, a name of your choice ("EUR").
    n : float, optional
        Effective sample size. Needed where the file has no such column; where it has one, the
        column is scaled so that its median is `n`, and rows without a value get `n`.
    columns : mapping of str to str, optional
        Role to column name, where names mislead: {"effect_allele": "ALT", "n": ""}; an empty
        name means that no column plays the role.
    effect : str
        Name of the column that holds the effect allele; "auto" for the dialect's rule.
    need_n : bool
        Whether a file without sample sizes is an error. Clumping needs none; without one
        `n_eff` is NaN.
    need_effect : bool
        Whether rows without an effect and its precision are lost. Clumping, which goes by p
        alone, needs neither; such rows have NaN as beta, se and z, and a file may have no such
        columns at all.

    Returns
    -------
    SumStats
        Rows that can be used, in the file's order; `source.losses` counts the others.

    Raises
    ------
    FileFormatError
        If the file is missing, empty, damaged, without header or ragged.
    ColumnError
        If a column is missing or is not what its name says.
    InvalidValueError
        If cells are not numbers or cannot be, or more than half of the rows are unusable.
    """
    if not population:
        raise SettingsError("a population name is needed", remedy="for example population='EUR'")
    if n is not None and not (np.isfinite(n) and n > 0):
        raise SettingsError(f"n = {n:g} is not a sample size")
    table, plan = _open(path, columns, effect, need_effect)
    by_kind: dict[str, dict[str, str]] = {"text": {}, "numbers": {}, "levels": {}}
    for role, name in plan.columns.items():
        kind = "numbers" if role in NUMERIC_ROLES else "levels" if role in LEVEL_ROLES else "text"
        by_kind[kind][role] = name
    cells = table.read(**{kind: names.values() for kind, names in by_kind.items()})
    text, numbers, levels = (
        {role: cells[name] for role, name in by_kind[kind].items()} for kind in by_kind
    )
    del cells  # so that each column can go when it has been used
    rows = Rows(table, plan, text, numbers, levels, read_side_file(table.path))
    return _assemble(rows, population, n, need_n, need_effect)


def recognise_sumstats(path: str | Path, *, columns: Mapping[str, str] | None = None) -> str:
    """Read the header of summary statistics only, and return the dialect.

    Parameters
    ----------
    path, columns
        See `read_sumstats`.

    Raises
    ------
    FileFormatError
        If the file is missing, empty, damaged or without a header.
    ColumnError
        If a column is missing.
    """
    return _open(path, columns, "auto", True)[1].dialect


def _open(
    path: str | Path, columns: Mapping[str, str] | None, effect: str, need_effect: bool
) -> tuple[TextTable, ColumnPlan]:
    """Open a file and say which of its columns plays which role."""
    table = open_table(path, _WHAT)
    if is_gwas_vcf(table):
        table = gwas_vcf_as_table(table)
    plan = plan_columns(
        table.header, path=table.path, columns=columns, effect=effect, need_effect=need_effect
    )
    return table, plan if table.convert is None else replace(plan, dialect="gwas-vcf")


def _assemble(
    rows: Rows, population: str, n: float | None, need_n: bool, need_effect: bool
) -> SumStats:
    """Check and derive, and drop the rows that cannot be used."""
    rows.lose_other_tests()
    effect_allele, other_allele = rows.alleles()
    chrom, pos, names = rows.sites()
    eaf = rows.frequencies()
    effects = Effects.read(rows.table, rows.plan, rows.numbers)
    rows.lose_by_value(effects, need_effect)
    n_eff = rows.sample_sizes(n, need_n)
    rows.refuse_if_little_is_left()
    whole = not rows.losses
    used = np.flatnonzero(rows.loss_code == 0).astype(np.int32)

    def keep(values: NDArray[Any]) -> NDArray[Any]:
        return values if whole else values[used]

    numbers = {role: keep(values) for role, values in rows.numbers.items()}
    if "odds_ratio" in numbers and effects.beta is not None and "beta" not in numbers:
        numbers["log_odds_ratio"] = keep(effects.beta)
    check_columns(
        rows.table, rows.plan, numbers, None if effects.log_p is None else keep(effects.log_p)
    )
    extra = {name: numbers.get(name) for name in ("info", "n_cases", "n_controls")}
    rows.numbers.clear()
    del numbers
    effects.complete(n_eff, eaf)
    variants = VariantTable.of_clean_columns(
        keep(chrom), keep(pos), keep(names), keep(effect_allele), keep(other_allele)
    )
    del chrom, pos, names, effect_allele, other_allele
    build = tell_build(variants)
    if build:
        rows.notes.append(f"genome build: {build}")
    source = SumStatsSource(
        str(rows.table.path),
        rows.plan.dialect,
        dict(rows.plan.columns),
        (*rows.derived, *effects.derived),
        rows.n_rows,
        rows.losses,
        digest_file(rows.table.path),
        tuple(rows.notes),
        rows.loss_code,
    )
    sumstats = SumStats(
        variants,
        keep(np.asarray(effects.beta)),
        keep(np.asarray(effects.se)),
        keep(np.asarray(effects.z)),
        np.exp(keep(np.asarray(effects.log_p))),
        keep(n_eff),
        keep(eaf),
        population,
        source,
        **extra,
        row=used,
    )
    logger.info(
        "%s: %s, %s of %s rows used; %s",
        source.path,
        source.dialect,
        f"{len(sumstats):,}",
        f"{source.n_rows:,}",
        "; ".join((*source.notes, *source.derived)),
    )
    return sumstats
