"""Effect, standard error, z and p from whichever of them a file has, checked for misreading."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prs.errors import ColumnError, SettingsError
from prs.inputs.sumstats_dialects import ColumnPlan
from prs.inputs.text_table import TextTable

__all__ = ["Effects", "check_columns", "log_p_from_z", "z_from_log_p"]

_LN10 = math.log(10.0)
_LN2 = math.log(2.0)
_Z975 = 1.959963984540054  # Phi^-1(0.975)
#: A verdict on a column as a whole needs this many rows, and looks at about so many at most.
MIN_ROWS_FOR_VERDICT, MAX_ROWS_FOR_VERDICT = 20, 100_000
#: Median of |z_p - z_se| / (1 + larger), above which se and p cannot describe one test.
#: Genomic control at lambda = 2 gives 0.13; exchanged columns give 0.7 and more.
MAX_DISAGREEMENT = 0.25
#: The median |z| of any GWAS is at least about 0.67 (the null); a third of it is no GWAS.
MIN_MEDIAN_Z = 0.2

Floats = NDArray[np.float64]


def z_from_log_p(log_p: Floats) -> Floats:
    """Return |z| of two-sided p-values given as natural logarithms, exact however small."""
    from scipy.special import ndtri_exp

    return np.asarray(-ndtri_exp(np.minimum(log_p, 0.0) - _LN2))


def log_p_from_z(z: Floats) -> Floats:
    """Return the natural logarithm of the two-sided p-value of z."""
    from scipy.special import log_ndtr

    return np.asarray(np.minimum(log_ndtr(-np.abs(z)) + _LN2, 0.0))


@dataclass
class Effects:
    """Per row of the file: what it has (NaN where missing), then what was derived.

    Attributes
    ----------
    beta, se, z, log_p : ndarray of float64, shape (M,), or None
        None while the file has no such column; `log_p` is the natural logarithm.
    derived : list of str
        What was derived from what.
    """

    beta: Floats | None
    se: Floats | None
    z: Floats | None
    log_p: Floats | None
    derived: list[str]

    @classmethod
    def read(cls, table: TextTable, plan: ColumnPlan, columns: dict[str, Floats]) -> Effects:
        """Take the columns that the file has, refusing values that cannot be.

        Parameters
        ----------
        columns : dict of str to ndarray
            Role to numbers.

        Raises
        ------
        InvalidValueError
            If a p-value is above 1 or negative, or 0 while nothing else gives z.
        ColumnError
            If an odds ratio is negative or around 0: it is a beta.
        """
        derived: list[str] = []
        beta = columns.get("beta")
        if beta is None and "odds_ratio" in columns:
            ratio = columns["odds_ratio"]
            _check_odds_ratio(table, plan.columns["odds_ratio"], ratio)
            with np.errstate(divide="ignore", invalid="ignore"):
                beta = np.log(ratio)
            beta[ratio <= 0] = np.nan
            derived.append("beta = log(odds ratio)")
        elif beta is not None and "odds_ratio" in columns:
            beta = _fill_from_ratio(beta, columns["odds_ratio"], derived)
        se = columns.get("se")
        interval = {"ci_lower", "ci_upper"} <= columns.keys()
        if interval and beta is not None and not columns.keys() & {"se", "p", "neg_log10_p", "z"}:
            is_ratio = "odds_ratio" in columns
            se = _se_from_interval(columns["ci_lower"], columns["ci_upper"], is_ratio)
            derived.append("se from the 95% confidence interval")
        log_p = None
        if "neg_log10_p" in columns:
            log_p = _log_p_from_neg_log10(table, plan.columns["neg_log10_p"], columns)
            derived.append(f"p = 10^-{plan.columns['neg_log10_p']}")
        elif "p" in columns:
            log_p = _log_p(table, plan.columns["p"], columns["p"])
        effects = cls(beta, se, columns.get("z"), log_p, derived)
        effects._refuse_zero_p(table, plan)
        return effects

    def _refuse_zero_p(self, table: TextTable, plan: ColumnPlan) -> None:
        if self.log_p is None or self.se is not None or self.z is not None:
            return
        zero = np.flatnonzero(np.isneginf(self.log_p))
        if len(zero):
            name = plan.columns.get("neg_log10_p", plan.columns.get("p", "p"))
            table.refuse(
                zero,
                f"{len(zero):,} p-values are 0, and there is no standard error to go by",
                name,
                ["p is 0"] * 5,
                remedy="give the standard errors, or -log10 p, or remove these rows",
            )

    def complete(self, n_eff: Floats, eaf: Floats) -> None:
        """Derive what the file lacks: z, then beta, se and p.

        Parameters
        ----------
        n_eff, eaf : ndarray of float64, shape (M,)
            Used only where there is neither beta nor se: with z alone,
            se = 1/sqrt(2 f (1-f) (n + z^2)) (Zhu et al. 2016, eq. 6), and without f the same
            with 2 f (1-f) = 1, that is, per standard deviation of the genotype.
        """
        if self.beta is None and self.z is None:  # p alone, for those that need no effect
            nothing = np.full(len(n_eff), np.nan)
            self.beta, self.se, self.z = nothing, nothing.copy(), nothing.copy()
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.z is None or (self.beta is not None and self.se is not None):
                self.z = self._z()
            if self.beta is None and self.se is not None:
                self.beta = self.z * self.se
                self.derived.append("beta = z se")
            elif self.beta is None:
                self._complete_from_z(n_eff, eaf)
            elif self.se is None:
                self.se = np.where(self.beta == 0, np.nan, self.beta / self.z)
                self.derived.append("se = beta / z")
        if self.log_p is None:
            self.log_p = log_p_from_z(self.z)
            self.derived.append("p from z")
            return
        lacking = np.flatnonzero(~np.isfinite(self.log_p))
        lacking = lacking[np.isfinite(self.z[lacking])]
        if len(lacking):
            self.log_p[lacking] = log_p_from_z(self.z[lacking])
            self.derived.append(f"p from z in {len(lacking):,} rows that lack it")

    def _z(self) -> Floats:
        """Return z from beta and se, else from the sign of beta and p."""
        if self.beta is not None and self.se is not None:
            return self.beta / self.se
        if self.beta is None or self.log_p is None:  # the header was checked for this
            raise SettingsError("z needs an effect, and a standard error or p-value")
        self.derived.append("z from the sign of beta and p")
        return np.sign(self.beta) * z_from_log_p(self.log_p)

    def _complete_from_z(self, n_eff: Floats, eaf: Floats) -> None:
        z = np.asarray(self.z)
        variance = 2 * eaf * (1 - eaf)
        known = np.isfinite(variance) & (variance > 0)
        self.se = 1 / np.sqrt(np.where(known, variance, 1.0) * (n_eff + z**2))
        self.beta = z * self.se
        scale = "allele" if known.all() else "standard deviation where eaf is unknown"
        self.derived.append(f"beta and se from z and n, per {scale}")


def _fill_from_ratio(beta: Floats, ratio: Floats, derived: list[str]) -> Floats:
    """Return beta, and log(odds ratio) in rows that have only that (GWAS Catalog files)."""
    lacking = np.isnan(beta) & (ratio > 0)
    if not lacking.any():
        return beta
    derived.append(f"beta = log(odds ratio) in {int(lacking.sum()):,} rows that lack beta")
    filled = beta.copy()
    filled[lacking] = np.log(ratio[lacking])
    return filled


def _se_from_interval(lower: Floats, upper: Floats, is_ratio: bool) -> Floats:
    """Return the standard error of a 95% confidence interval, symmetric in beta."""
    with np.errstate(divide="ignore", invalid="ignore"):
        width = np.log(upper) - np.log(lower) if is_ratio else upper - lower
    return np.where(np.isfinite(width), width / (2 * _Z975), np.nan)


def _log_p(table: TextTable, name: str, p: Floats) -> Floats:
    """Return log p; below float range it is read from the digits."""
    bad = np.flatnonzero((p > 1 + 1e-6) | (p < 0))
    if len(bad):
        table.refuse(
            bad,
            f"{len(bad):,} p-values are outside [0, 1]",
            name,
            [f"{p[i]:g}" for i in bad[:5]],
            remedy="if the column is -log10 p, say so: --columns neg_log10_p=" + name,
        )
    with np.errstate(divide="ignore"):
        log_p = np.log(np.minimum(p, 1.0))
    tiny = np.flatnonzero(p < 1e-300)
    if len(tiny):
        cells = table.read_cells(name, tiny)
        for row, cell in zip(tiny, cells, strict=True):
            mantissa, _, exponent = cell.lower().partition("e")
            # the float was parsed from the same cell, so both parts are numbers
            size = float(mantissa)
            if size > 0:
                log_p[row] = math.log(size) + int(exponent or 0) * _LN10
    return log_p


def _log_p_from_neg_log10(table: TextTable, name: str, columns: dict[str, Floats]) -> Floats:
    value = columns["neg_log10_p"]
    bad = np.flatnonzero(value < -1e-6)
    if len(bad):
        table.refuse(
            bad,
            f"{len(bad):,} values of -log10 p are negative",
            name,
            [f"{value[i]:g}" for i in bad[:5]],
            remedy="the column must be -log10 of the p-value (0 and above)",
        )
    return -np.maximum(value, 0.0) * _LN10


def _check_odds_ratio(table: TextTable, name: str, ratio: Floats) -> None:
    negative = np.flatnonzero(ratio < 0)
    median = float(np.nanmedian(ratio)) if np.isfinite(ratio).any() else 1.0
    if len(negative) or (len(ratio) >= MIN_ROWS_FOR_VERDICT and median < 0.5):
        raise ColumnError(
            f"misread column: odds ratios cannot be negative or mostly near 0, but "
            f"{len(negative):,} are negative and the median is {median:.3g}: this is a beta "
            "(a log odds ratio)",
            path=table.path,
            column=name,
            rows=[f"odds ratio {ratio[i]:g}" for i in negative[:5]],
            n_rows=len(negative),
            fault="effect_scale",
            remedy=f"rename it BETA, or say so: --columns odds_ratio= --columns beta={name}",
        )


def _finite_rows(columns: dict[str, Floats]) -> NDArray[np.int64] | None:
    """Return the rows that have each of these columns; None for all."""
    known = np.ones(len(next(iter(columns.values()), ())), dtype=bool)
    for column in columns.values():
        known &= np.isfinite(column)
    return None if known.all() else np.flatnonzero(known)


def check_columns(
    table: TextTable, plan: ColumnPlan, columns: dict[str, Floats], log_p: Floats | None
) -> None:
    """Raise if columns taken as a whole are not what their names say.

    Parameters
    ----------
    columns : dict of str to ndarray
        Role to numbers, rows that are used.
    log_p : ndarray of float64 or None
        Natural logarithm of p of the same rows, where the file has p.

    Raises
    ------
    ColumnError
        If beta is an odds ratio, or se and p do not describe the same test.
    """
    asked = {k: v for k, v in columns.items() if k in ("beta", "se", "log_odds_ratio")}
    rows = _finite_rows(asked)
    if rows is not None:  # rows of p alone have nothing to compare
        asked = {name: column[rows] for name, column in asked.items()}
        log_p = None if log_p is None else log_p[rows]
    beta, se = asked.get("beta"), asked.get("se")
    if beta is not None and len(beta) >= MIN_ROWS_FOR_VERDICT and "odds_ratio" not in columns:
        median = float(np.median(beta))
        if beta.min() > 0 and 0.8 < median < 1.25:
            raise ColumnError(
                f"misread column: all {len(beta):,} betas are positive and their median is "
                f"{median:.3f}: these are odds ratios",
                path=table.path,
                column=plan.columns["beta"],
                fault="effect_scale",
                remedy="rename it OR, or say so: --columns beta= --columns "
                f"odds_ratio={plan.columns['beta']}",
            )
    if beta is None:
        beta = asked.get("log_odds_ratio")
    if beta is None or len(beta) < MIN_ROWS_FOR_VERDICT:
        return
    if se is not None and log_p is not None:
        _check_agreement(table, plan, beta, se, log_p)
    elif se is not None:
        z = np.abs(beta / se)
        if float(np.median(z)) < MIN_MEDIAN_Z:
            raise ColumnError(
                f"misread column: the median |beta / se| is {np.median(z):.2g} (0.67 without any "
                "effect at all): this is not the standard error of the effect (is it a p-value?)",
                path=table.path,
                column=plan.columns["se"],
                rows=[f"beta {beta[i]:g}, se {se[i]:g}" for i in range(3)],
                n_rows=len(beta),
                fault="se_and_p",
                remedy="name the columns: --columns se=NAME --columns p=NAME",
            )
    elif log_p is not None and "z" not in columns:
        _check_lone_p(table, plan, log_p)


def _disagreement(beta: Floats, se: Floats, log_p: Floats) -> float:
    some = slice(None, None, max(len(beta) // MAX_ROWS_FOR_VERDICT, 1))
    z_se, z_p = np.abs(beta[some] / se[some]), z_from_log_p(log_p[some])
    usable = np.isfinite(z_p) & np.isfinite(z_se)
    if usable.sum() < MIN_ROWS_FOR_VERDICT:
        return 0.0
    z_se, z_p = z_se[usable], z_p[usable]
    return float(np.median(np.abs(z_p - z_se) / (1 + np.maximum(z_p, z_se))))


def _check_agreement(
    table: TextTable, plan: ColumnPlan, beta: Floats, se: Floats, log_p: Floats
) -> None:
    """Raise if p and beta/se give different z on the whole."""
    found = _disagreement(beta, se, log_p)
    if found <= MAX_DISAGREEMENT:
        return
    se_name = plan.columns["se"]
    p_name = plan.columns.get("neg_log10_p", plan.columns.get("p", "p"))
    why, exchange = "", ""
    with np.errstate(divide="ignore"):
        if np.all(se <= 1) and _disagreement(beta, np.exp(log_p), np.log(se)) < found / 2:
            why = ": the two columns are exchanged"
            exchange = f": --columns se={p_name} --columns p={se_name}"
    raise ColumnError(
        f"misread column: {se_name!r} and {p_name!r} do not describe the same test (the z of "
        f"p and of beta / se differ by {found:.0%} on the median){why}",
        path=table.path,
        column=se_name,
        rows=[f"beta {beta[i]:g}, se {se[i]:g}, p {math.exp(log_p[i]):g}" for i in range(3)],
        n_rows=len(beta),
        fault="se_and_p",
        remedy="check which column is the standard error of beta, and name it" + exchange,
    )


def _check_lone_p(table: TextTable, plan: ColumnPlan, log_p: Floats) -> None:
    """Raise if the only p column looks like standard errors: never large, hardly varying."""
    p = np.exp(log_p[np.isfinite(log_p)])
    if len(p) < MIN_ROWS_FOR_VERDICT:
        return
    low, high = np.quantile(p, [0.01, 0.99])
    if p.max() < 0.5 and low > 1e-4 and high < 100 * low:
        raise ColumnError(
            f"misread column: all values lie between {p.min():.3g} and {p.max():.3g}, as "
            "standard errors do and p-values do not",
            path=table.path,
            column=plan.columns.get("p"),
            fault="se_and_p",
            remedy="name the columns: --columns p= --columns se=" + plan.columns.get("p", "NAME"),
        )
