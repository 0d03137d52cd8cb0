"""The rows of one file of summary statistics: which can be used, and why the others cannot."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prs.errors import ColumnError, InvalidValueError
from prs.inputs.levels import Levels
from prs.inputs.sumstats_dialects import ColumnPlan
from prs.inputs.sumstats_effects import Effects
from prs.inputs.sumstats_yaml import SideFile
from prs.inputs.text_table import TextTable
from prs.variants import chromosome_codes

__all__ = ["OTHER_TEST", "Rows"]

_ALLELE = re.compile(r"[A-Za-z]+")
_SITE = r"^(?:chr)?(?P<chrom>\d{1,2}|X|Y|XY|MT|M)[:_](?P<pos>\d+)(?:[:_].*)?$"
#: Rows of tests other than the additive one are no loss.
OTHER_TEST = "other_test"
MAX_LOSS = 0.5


def _clean(allele: str) -> str:
    return allele.strip().upper()


class Rows:
    """The rows of one file on their way to `SumStats`; counts what is lost, once each.

    Attributes
    ----------
    table, plan : TextTable, ColumnPlan
        The file, and what its columns are taken for.
    text, numbers, levels : dict
        Columns by role: text, float64, and text of few distinct cells.
    side : SideFile or None
        The file's YAML companion.
    loss_code : ndarray of uint8, shape (n_rows,)
        0, or k for a row lost for the k-th reason of `losses`.
    losses : dict of str to int
        Lost rows by reason.
    notes, derived : list of str
        What was decided, and what was derived from what.
    """

    def __init__(
        self,
        table: TextTable,
        plan: ColumnPlan,
        text: dict[str, NDArray[np.object_]],
        numbers: dict[str, NDArray[np.float64]],
        levels: dict[str, Levels],
        side: SideFile | None,
    ) -> None:
        self.table, self.plan, self.side = table, plan, side
        self.text, self.numbers, self.levels = text, numbers, levels
        some_column = next(iter((levels | text | numbers).values()))
        self.n_rows = len(some_column)
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

    def lose_other_tests(self) -> None:
        """Lose the rows of tests other than the additive one (PLINK, regenie)."""
        if "test" in self.levels:
            self.lose(self.levels.pop("test").map(lambda test: test.upper() != "ADD"), OTHER_TEST)

    def alleles(self) -> tuple[NDArray[np.object_], NDArray[np.object_]]:
        """Return effect and other allele, upper case, "" where unknown."""
        columns = [self.levels.pop("effect_allele")]
        if "other_allele" in self.levels:
            columns.append(self.levels.pop("other_allele"))
        elif "ref" in self.levels:
            columns += [self.levels.pop("ref"), self.levels.pop("alt")]
        effect, *others = Levels.in_common(*columns, clean=_clean)
        values = np.array(effect.values, dtype=object)
        if not others:  # PLINK 1.9's .linear: for the reference to complete
            self.lose(effect.map(lambda allele: allele == ""), "missing_allele")
            self.lose(effect.map(_is_no_allele), "invalid_allele")
            return values[effect.codes], np.full(self.n_rows, "", dtype=object)
        other = others[0] if len(others) == 1 else self._the_one_it_is_not(effect, *others)
        missing = np.array([allele == "" for allele in effect.values])
        invalid = np.array([_is_no_allele(allele) for allele in effect.values])
        self.lose(missing[effect.codes] | missing[other.codes], "missing_allele")
        self.lose(invalid[effect.codes] | invalid[other.codes], "invalid_allele")
        self.lose(effect.codes == other.codes, "same_alleles")
        return values[effect.codes], values[other.codes]

    def _the_one_it_is_not(self, effect: Levels, ref: Levels, alt: Levels) -> Levels:
        """Return the other allele: PLINK 2's A1 is REF or one of ALT, the other the one left."""
        codes = np.where(effect.codes == ref.codes, alt.codes, ref.codes)
        astray = (effect.codes != ref.codes) & (effect.codes != alt.codes)
        astray &= effect.map(lambda allele: allele != "") & alt.map(lambda a: "," not in a)
        bad = np.flatnonzero(astray)
        if len(bad):
            values = effect.values
            self.table.refuse(
                bad,
                f"{len(bad):,} rows have an A1 that is neither REF nor ALT",
                self.plan.columns["effect_allele"],
                [
                    f"A1 {values[effect.codes[i]]}, REF {values[ref.codes[i]]}, "
                    f"ALT {values[alt.codes[i]]}"
                    for i in bad[:5]
                ],
            )
        return Levels(codes, effect.values)

    def sites(self) -> tuple[NDArray[np.int8], NDArray[np.int32], NDArray[np.object_]]:
        """Return chromosome codes, positions and ids; positions from ids where there are none."""
        names = self.text.pop("id", None)
        if names is None:
            names = np.full(self.n_rows, "", dtype=object)
        if "chrom" in self.levels and "pos" in self.numbers:
            labels = self.levels.pop("chrom")
            chrom = chromosome_codes(labels.values)[labels.codes]
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
        lost = (chrom == 0) | (pos == 0)
        lost[lost] = names[lost] == ""
        self.lose(lost, "no_id_or_position")
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

    def lose_by_value(self, effects: Effects, need_effect: bool = True) -> None:
        """Lose rows without an effect or a valid measure of its precision (or without any p)."""
        if not need_effect:
            known = np.zeros(self.n_rows, dtype=bool)
            if effects.log_p is not None:
                known |= ~np.isnan(effects.log_p)
            if effects.z is not None:
                known |= np.isfinite(effects.z)
            if effects.beta is not None and effects.se is not None:
                known |= np.isfinite(effects.beta) & np.isfinite(effects.se) & (effects.se > 0)
            self.lose(~known, "missing_p")
            return
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


def _is_no_allele(allele: str) -> bool:
    """Whether a cell is something else than letters."""
    return _ALLELE.fullmatch(allele) is None
