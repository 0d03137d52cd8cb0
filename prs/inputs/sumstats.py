"""Summary statistics of a GWAS, read from any of the common dialects."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from prs.errors import ColumnError, InvalidValueError, SettingsError
from prs.inputs.sumstats_dialects import NUMERIC_ROLES, ColumnPlan, plan_columns
from prs.inputs.sumstats_effects import Effects, check_columns
from prs.inputs.sumstats_vcf import gwas_vcf_as_table, is_gwas_vcf
from prs.inputs.sumstats_yaml import SideFile, read_side_file
from prs.inputs.text_table import TextTable, open_table
from prs.provenance import digest_file
from prs.variants import VariantTable, chromosome_codes

__all__ = ["SumStats", "SumStatsSource", "read_sumstats"]

logger = logging.getLogger(__name__)

_WHAT = "summary statistics"
_ALLELE = re.compile(r"[A-Za-z]+")
_SITE = r"^(?:chr)?(?P<chrom>\d{1,2}|X|Y|XY|MT|M)[:_](?P<pos>\d+)(?:[:_].*)?$"
#: Rows of tests other than the additive one are no loss.
OTHER_TEST = "other_test"
MAX_LOSS = 0.5


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
    table = open_table(path, _WHAT)
    if is_gwas_vcf(table):
        table = gwas_vcf_as_table(table)
    plan = plan_columns(table.header, path=table.path, columns=columns, effect=effect)
    if table.convert is not None:
        plan = replace(plan, dialect="gwas-vcf")
    text = {r: c for r, c in plan.columns.items() if r not in NUMERIC_ROLES}
    numbers = {r: c for r, c in plan.columns.items() if r in NUMERIC_ROLES}
    cells = table.read(text.values(), numbers.values())
    rows = _Rows(
        table,
        plan,
        {role: cells[name] for role, name in text.items()},
        {role: cells[name] for role, name in numbers.items()},
        read_side_file(table.path),
    )
    del cells  # so that each column can go when it has been used
    return rows.to_sumstats(population, n, need_n)


class _Rows:
    """The rows of one file on their way to `SumStats`; counts what is lost, once each."""

    def __init__(
        self,
        table: TextTable,
        plan: ColumnPlan,
        text: dict[str, NDArray[np.object_]],
        numbers: dict[str, NDArray[np.float64]],
        side: SideFile | None,
    ) -> None:
        self.table, self.plan, self.text, self.numbers = table, plan, text, numbers
        self.side = side
        self.n_rows = len(text["effect_allele"])
        self.loss_code = np.zeros(self.n_rows, dtype=np.uint8)
        self.losses: dict[str, int] = {}
        self.notes = [*plan.notes, *([] if side is None else [side.describe()])]
        self.derived: list[str] = []

    def lose(self, bad: NDArray[np.bool_], reason: str) -> None:
        """Count the rows that are lost for this reason and no earlier one."""
        fresh = bad & (self.loss_code == 0)
        if fresh.any():
            self.losses[reason] = int(fresh.sum())
            self.loss_code[fresh] = len(self.losses)

    def to_sumstats(self, population: str, n: float | None, need_n: bool) -> SumStats:
        """Check, derive, and drop what cannot be used."""
        if "test" in self.text:
            self.lose(_upper(self.text.pop("test")) != "ADD", OTHER_TEST)
        effect_allele, other_allele = self.alleles()
        chrom, pos, names = self.sites()
        eaf = self.frequencies()
        effects = Effects.read(self.table, self.plan, self.numbers)
        self.lose_by_value(effects)
        n_eff = self.sample_sizes(n, need_n)
        self.refuse_if_little_is_left()
        whole = not self.losses
        rows = np.flatnonzero(self.loss_code == 0).astype(np.int32)

        def keep(values: NDArray[Any]) -> NDArray[Any]:
            return values if whole else values[rows]

        used = {role: keep(values) for role, values in self.numbers.items()}
        if "odds_ratio" in used and effects.beta is not None and "beta" not in used:
            used["log_odds_ratio"] = keep(effects.beta)
        check_columns(
            self.table, self.plan, used, None if effects.log_p is None else keep(effects.log_p)
        )
        extra = {name: used.get(name) for name in ("info", "n_cases", "n_controls")}
        self.numbers.clear()
        del used
        effects.complete(n_eff, eaf)
        variants = VariantTable(
            keep(chrom), keep(pos), keep(names), keep(effect_allele), keep(other_allele)
        )
        del chrom, pos, names, effect_allele, other_allele
        source = SumStatsSource(
            str(self.table.path),
            self.plan.dialect,
            dict(self.plan.columns),
            (*self.derived, *effects.derived),
            self.n_rows,
            self.losses,
            digest_file(self.table.path),
            tuple(self.notes),
            self.loss_code,
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
            row=rows,
        )
        logger.info(
            "%s: %s, %s of %s rows used; %s",
            source.path,
            source.dialect,
            f"{len(sumstats):,}",
            f"{self.n_rows:,}",
            "; ".join((*source.notes, *source.derived)),
        )
        return sumstats

    def alleles(self) -> tuple[NDArray[np.object_], NDArray[np.object_]]:
        """Return effect and other allele."""
        effect_allele = self.text.pop("effect_allele")
        if "other_allele" in self.text:
            other_allele = self.text.pop("other_allele")
        elif "ref" not in self.text:
            self.lose(effect_allele == "", "missing_allele")
            self.lose(_not_letters(effect_allele), "invalid_allele")
            return effect_allele, np.full(self.n_rows, "", dtype=object)
        else:  # PLINK 2: A1 is REF or one of ALT, the other allele is the one that it is not
            ref, alt = self.text.pop("ref"), self.text.pop("alt")
            other_allele = np.where(effect_allele == ref, alt, ref).astype(object)
            astray = (effect_allele != ref) & (effect_allele != alt) & (effect_allele != "")
            several = np.array(["," in a for a in alt[astray]], dtype=bool)
            bad = np.flatnonzero(astray)[~several]
            if len(bad):
                self.table.refuse(
                    bad,
                    f"{len(bad):,} rows have an A1 that is neither REF nor ALT",
                    self.plan.columns["effect_allele"],
                    [f"A1 {effect_allele[i]}, REF {ref[i]}, ALT {alt[i]}" for i in bad[:5]],
                )
        self.lose((effect_allele == "") | (other_allele == ""), "missing_allele")
        self.lose(_not_letters(effect_allele) | _not_letters(other_allele), "invalid_allele")
        self.lose(_upper(effect_allele) == _upper(other_allele), "same_alleles")
        return effect_allele, other_allele

    def sites(self) -> tuple[NDArray[np.int8], NDArray[np.int32], NDArray[np.object_]]:
        """Return chromosome codes, positions and ids; positions from ids where there are none."""
        empty = np.full(self.n_rows, "", dtype=object)
        names = self.text.pop("id", empty)
        if "chrom" in self.text and "pos" in self.numbers:
            chrom = chromosome_codes(self.text.pop("chrom"))
            if self.plan.dialect in (
                "gwas-ssf",
                "gwas-catalog-harmonised",
            ):  # there 25 is MT, not PLINK's XY
                chrom[chrom == 25] = 26
            value = np.nan_to_num(self.numbers.pop("pos"), nan=0.0)
            bad = np.flatnonzero((value < 0) | (value >= 2**29) | (value != np.floor(value)))
            if len(bad):
                self.table.refuse(
                    bad,
                    f"{len(bad):,} positions are not whole numbers from 0 to 2^29",
                    self.plan.columns["pos"],
                    [f"{value[i]:g}" for i in bad[:5]],
                )
            pos = value.astype(np.int32)
        else:
            found = pd.Series(names, dtype="str").str.extract(_SITE, flags=re.IGNORECASE)
            chrom = chromosome_codes(found["chrom"].fillna("0").to_numpy(dtype=object))
            value = pd.to_numeric(found["pos"], errors="coerce").fillna(0).to_numpy(dtype=float)
            pos = np.where(value < 2**29, value, 0).astype(np.int32)
            if (pos > 0).any():
                self.derived.append(
                    f"positions from {int((pos > 0).sum()):,} ids of chrom:pos form"
                )
        self.lose((names == "") & ((chrom == 0) | (pos == 0)), "no_id_or_position")
        return chrom, pos, names

    def frequencies(self) -> NDArray[np.float64]:
        """Return effect-allele frequencies, NaN where unknown."""
        eaf = self.numbers.get("eaf")
        if eaf is None:
            return np.full(self.n_rows, np.nan)
        bad = np.flatnonzero((eaf < 0) | (eaf > 1))
        if len(bad):
            self.table.refuse(
                bad,
                f"{len(bad):,} allele frequencies are outside [0, 1]",
                self.plan.columns["eaf"],
                [f"{eaf[i]:g}" for i in bad[:5]],
                remedy="if the column is something else, say so: --columns eaf=",
            )
        return eaf

    def lose_by_value(self, effects: Effects) -> None:
        """Lose rows without an effect, or without a valid measure of its precision."""
        if "odds_ratio" in self.numbers and "beta" not in self.numbers:
            self.lose(self.numbers["odds_ratio"] <= 0, "nonpositive_odds_ratio")
        if effects.beta is not None:
            self.lose(~np.isfinite(effects.beta), "missing_effect")
        if effects.se is not None and effects.beta is not None:
            self.lose(~np.isfinite(effects.se), "missing_se")
            self.lose(np.asarray(effects.se) <= 0, "nonpositive_se")
        elif effects.z is not None:
            self.lose(~np.isfinite(effects.z), "missing_z")
        elif effects.log_p is not None:
            self.lose(np.isnan(effects.log_p), "missing_p")

    def sample_sizes(self, n: float | None, need_n: bool) -> NDArray[np.float64]:
        """Return the effective sample size of each row."""
        numbers = self.numbers
        if "n_eff" in numbers:
            n_eff, how = numbers["n_eff"], f"column {self.plan.columns['n_eff']!r}"
        elif "n_cases" in numbers and "n_controls" in numbers:
            with np.errstate(divide="ignore", invalid="ignore"):
                n_eff = 4 / (1 / numbers["n_cases"] + 1 / numbers["n_controls"])
            how = "4 / (1/cases + 1/controls)"
            self.derived.append(f"n_eff = {how}")
        elif "n" in numbers:
            n_eff, how = numbers["n"], f"column {self.plan.columns['n']!r}"
        elif n is not None:
            self.notes.append(f"n_eff: {n:g}, as given")
            return np.full(self.n_rows, float(n))
        elif self.side is not None and self.side.n_eff is not None:
            self.notes.append(f"n_eff: {self.side.n_eff:g}, from {self.side.path.name}")
            return np.full(self.n_rows, self.side.n_eff)
        elif not need_n:
            self.notes.append("n_eff: unknown")
            return np.full(self.n_rows, np.nan)
        else:
            raise ColumnError(
                "no column for the sample size",
                path=self.table.path,
                line=1,
                rows=[" ".join(self.table.header)[:200]],
                remedy="give it: --n POPULATION=NUMBER (n=NUMBER in Python), or name the "
                "column: --columns n=NAME. For a case-control study it is the effective one, "
                "4 / (1/cases + 1/controls)",
            )
        if n is not None:
            # The column says how variants differ, the caller what the sample is worth: the N
            # of many case-control files is the number of people, not the effective one.
            usable = np.isfinite(n_eff) & (n_eff > 0)
            median = float(np.median(n_eff[usable])) if usable.any() else 1.0
            n_eff = np.where(usable, n_eff * (float(n) / median), float(n))
            self.notes.append(
                f"n_eff: {how}, scaled from a median of {median:g} to the given {n:g}"
            )
        else:
            self.notes.append(f"n_eff: {how}")
        self.lose(~np.isfinite(n_eff), "missing_n")
        self.lose(n_eff <= 0, "nonpositive_n")
        return n_eff

    def refuse_if_little_is_left(self) -> None:
        """Raise if more than half of the rows (of the additive test) are lost."""
        of = self.n_rows - self.losses.get(OTHER_TEST, 0)
        lost = sum(k for reason, k in self.losses.items() if reason != OTHER_TEST)
        if lost <= MAX_LOSS * of and of > 0:
            return
        reasons = [f"{reason.replace('_', ' ')}: {k:,}" for reason, k in self.losses.items()]
        raise InvalidValueError(
            f"{lost:,} of {of:,} rows cannot be used"
            + (" (no row is of the additive test, TEST = ADD)" if of == 0 else ""),
            path=self.table.path,
            rows=reasons,
            remedy="mend the file, or check which column is what: "
            + ", ".join(f"{role}={name}" for role, name in self.plan.columns.items()),
        )


def _per_distinct(
    values: NDArray[np.object_], function: Callable[[str], Any], dtype: type
) -> NDArray[Any]:
    """Return a function's value for each cell; there are few distinct ones."""
    codes, unique = pd.factorize(values)
    return np.array([function(value) for value in unique], dtype=dtype)[codes]


def _not_letters(alleles: NDArray[np.object_]) -> NDArray[np.bool_]:
    """Whether each allele is something else than letters."""
    return _per_distinct(alleles, lambda allele: _ALLELE.fullmatch(allele) is None, bool)


def _upper(values: NDArray[np.object_]) -> NDArray[np.object_]:
    return _per_distinct(values, str.upper, object)
