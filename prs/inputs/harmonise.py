"""Summary statistics on a reference's variants and alleles, with every lost row counted."""

from __future__ import annotations

import gzip
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from prs.errors import SettingsError
from prs.files import write_atomically
from prs.inputs.builds import tell_build
from prs.inputs.ledger import Ledger
from prs.inputs.sumstats import SumStats, SumStatsSource
from prs.inputs.sumstats_yaml import write_side_file
from prs.matching import (
    Fate,
    MatchReport,
    PalindromicRule,
    VariantMatch,
    find_other_alleles,
    match_variants,
    place_by_id,
)
from prs.provenance import package_versions
from prs.variants import VariantTable

__all__ = ["HarmonisedSumStats", "harmonise", "write_harmonised"]

logger = logging.getLogger(__name__)

#: Frequencies of fewer variants than this do not tell which allele they are of.
MIN_VARIANTS_FOR_EAF = 20


@dataclass(frozen=True, eq=False)
class HarmonisedSumStats:
    """Summary statistics of the variants that a reference has, on the reference's alleles.

    Attributes
    ----------
    variants : VariantTable
        M variants as the reference names them, in the reference's order.
    reference_index : ndarray of int64, shape (M,)
        Their rows in the reference; ascending, unique.
    beta, se, z, p, n_eff, eaf : ndarray of float64, shape (M,)
        As in `SumStats`, of the reference's effect allele.
    population : str
        The GWAS's population.
    report : MatchReport
        What became of each row of the file.
    source : SumStatsSource
        The file and what was understood.
    info : ndarray of float64, shape (M,), or None
        Imputation quality; None where the file has none.
    row : ndarray of int64, shape (M,), or None
        Row of the ledger that each variant comes from.
    ledger : Ledger or None
        The fate of each row of the file.
    """

    variants: VariantTable
    reference_index: NDArray[np.int64]
    beta: NDArray[np.float64]
    se: NDArray[np.float64]
    z: NDArray[np.float64]
    p: NDArray[np.float64]
    n_eff: NDArray[np.float64]
    eaf: NDArray[np.float64]
    population: str
    report: MatchReport
    source: SumStatsSource
    info: NDArray[np.float64] | None = None
    row: NDArray[np.int64] | None = None
    ledger: Ledger | None = None

    def __len__(self) -> int:
        return len(self.variants)

    @property
    def standardised(self) -> NDArray[np.float64]:
        """Effect per standard deviation of genotype and trait, z / sqrt(n_eff); shape (M,)."""
        return self.z / np.sqrt(self.n_eff)

    def take(self, index: ArrayLike) -> HarmonisedSumStats:
        """Return the variants at ascending `index` (integers or a mask)."""
        index = np.asarray(index)
        return replace(
            self,
            variants=self.variants.take(index),
            reference_index=self.reference_index[index],
            beta=self.beta[index],
            se=self.se[index],
            z=self.z[index],
            p=self.p[index],
            n_eff=self.n_eff[index],
            eaf=self.eaf[index],
            info=None if self.info is None else self.info[index],
            row=None if self.row is None else self.row[index],
        )

    def fail(self, index: ArrayLike, rule: str) -> HarmonisedSumStats:
        """Return the variants without those at `index`, which are counted under a rule's name.

        Parameters
        ----------
        index : array_like
            Integers or a mask.
        rule : str
            For the report (`MatchReport.failed_qc`) and the ledger.
        """
        bad = np.zeros(len(self), dtype=bool)
        bad[np.asarray(index)] = True
        return self._leave_out(bad, Fate.FAILED_QC, rule)

    def leave_out_of_target(self, available: NDArray[np.bool_]) -> HarmonisedSumStats:
        """Return the variants that the people to be scored have; the others are counted.

        Parameters
        ----------
        available : ndarray of bool, shape (n_reference,)
            Whether the target has each variant of the reference.

        Returns
        -------
        HarmonisedSumStats
            `reference_index` points into the reference's available variants.
        """
        kept = self._leave_out(~available[self.reference_index], Fate.NOT_IN_TARGET, "")
        new_index = np.cumsum(available) - 1
        return replace(kept, reference_index=new_index[kept.reference_index])

    def _leave_out(self, bad: NDArray[np.bool_], fate: Fate, rule: str) -> HarmonisedSumStats:
        if not bad.any():
            return self
        kept, ledger, report = self.take(~bad), self.ledger, self.report
        counts = dict(report.counts)
        if ledger is not None and self.row is not None:
            was = ledger.code[self.row[bad]]
            for code, n in zip(*np.unique(was, return_counts=True), strict=True):
                counts[ledger.labels[int(code)]] -= int(n)
            ledger = ledger.mark(self.row[bad], f"{fate.label}: {rule}" if rule else fate.label)
            counts[fate.label] += int(bad.sum())
        failed = dict(report.failed_qc)
        if rule:
            failed[rule] = failed.get(rule, 0) + int(bad.sum())
        return replace(kept, ledger=ledger, report=replace(report, counts=counts, failed_qc=failed))

    def to_frame(self) -> pd.DataFrame:
        """Return one row a variant: the variant's columns, beta, se, z, p, n_eff, eaf."""
        columns = {name: getattr(self, name) for name in ("beta", "se", "z", "p", "n_eff", "eaf")}
        return self.variants.to_frame().assign(**columns)


def harmonise(
    sumstats: SumStats | HarmonisedSumStats,
    variants: VariantTable,
    *,
    eaf: NDArray[np.float64] | None = None,
    palindromic: PalindromicRule = "frequency",
    ambiguous_maf: float = 0.4,
    by: Literal["auto", "position", "id"] = "auto",
    min_overlap: float = 0.1,
    prefer: Literal["n_eff", "p"] = "n_eff",
    target_name: str = "reference",
) -> HarmonisedSumStats:
    """Put summary statistics on the alleles of a reference.

    Effects and frequencies of exchanged alleles are turned; rows that the reference lacks,
    that have other alleles, or whose strand cannot be settled are left out and counted. Of
    several rows of one variant the one with the largest sample is taken (`prefer`).

    Parameters
    ----------
    sumstats : SumStats or HarmonisedSumStats
        The GWAS.
    variants : VariantTable
        The reference's variants (an LD panel's, or a target cohort's).
    eaf : ndarray of float64, shape (len(variants),), optional
        Effect-allele frequency in the reference; without it the ``"frequency"`` rule can
        settle no palindromic variant.
    palindromic, ambiguous_maf, by, min_overlap
        See `prs.matching.match_variants`.
    prefer : {"n_eff", "p"}
        Which of several rows of one variant is taken: the largest sample, or, as PLINK clumps,
        the smallest p. Ties: the first row.
    target_name : str
        What the reference is, for messages.

    Returns
    -------
    HarmonisedSumStats
        Its report's counts, and its ledger's, sum to the rows of the file. Files without the
        other allele get it from the reference, where only one variant fits.

    Raises
    ------
    OverlapError
        If less than `min_overlap` of the smaller of the two matches.
    BuildMismatchError
        If ids agree and positions do not.
    SettingsError
        If `eaf` does not fit `variants`.
    """
    if eaf is not None:
        eaf = np.asarray(eaf, dtype=np.float64)
        if eaf.shape != (len(variants),):
            raise SettingsError(f"eaf has shape {eaf.shape}, not ({len(variants)},)")
    what = f"{sumstats.population} summary statistics ({Path(sumstats.source.path).name})"
    query = sumstats.variants
    completed: list[str] = []
    if by == "auto":
        query, completed = place_by_id(query, variants)
    query, named = _with_other_alleles(query, variants)
    completed += named
    match = match_variants(
        query,
        variants,
        query_eaf=sumstats.eaf,
        target_eaf=eaf,
        palindromic=palindromic,
        ambiguous_maf=ambiguous_maf,
        by=by,
        priority=sumstats.p if prefer == "p" else -sumstats.n_eff,
        min_overlap=min_overlap,
        what=what,
        target_name=target_name,
    )
    invalid: Mapping[str, int] = {}
    if isinstance(sumstats, SumStats):
        invalid = sumstats.source.losses
    rows, sign = match.query_index, match.sign
    turned_eaf = np.where(sign > 0, sumstats.eaf[rows], 1 - sumstats.eaf[rows])
    report = match.report(what, target_name, len(variants), invalid)
    notes = [*sumstats.source.notes, *report.notes, *completed]
    ledger, origin = _open_ledger(sumstats, match)
    settled = match.fate[rows] < Fate.PALINDROMIC_SAME
    warning = _eaf_warning(turned_eaf, None if eaf is None else eaf[match.target_index], settled)
    if warning:
        logger.warning("%s: %s", what, warning)
        notes.append(warning)
    report = replace(report, notes=tuple(dict.fromkeys(notes)))
    logger.info("%s", report)
    return HarmonisedSumStats(
        variants=variants.take(match.target_index),
        reference_index=match.target_index,
        beta=sumstats.beta[rows] * sign,
        se=sumstats.se[rows],
        z=sumstats.z[rows] * sign,
        p=sumstats.p[rows],
        n_eff=sumstats.n_eff[rows],
        eaf=turned_eaf,
        population=sumstats.population,
        report=report,
        source=sumstats.source,
        info=None if sumstats.info is None else sumstats.info[rows],
        row=origin[rows],
        ledger=ledger,
    )


def _with_other_alleles(
    query: VariantTable, target: VariantTable
) -> tuple[VariantTable, list[str]]:
    """Take other alleles that the file lacks from the target, where only one fits."""
    nameless = np.flatnonzero(query.other_allele == "")
    if len(nameless) == 0:
        return query, []
    other = query.other_allele.copy()
    other[nameless] = find_other_alleles(query.take(nameless), target)
    found = int(np.count_nonzero(other[nameless] != ""))
    return replace(query, other_allele=other), [
        f"other allele of {found:,} of {len(nameless):,} variants taken from the reference"
    ]


def _open_ledger(
    sumstats: SumStats | HarmonisedSumStats, match: VariantMatch
) -> tuple[Ledger, NDArray[np.int64]]:
    """Return the fate of each row of the file, and the row that each variant comes from."""
    labels = tuple(fate.label for fate in Fate)
    fate = match.fate.astype(np.uint8)
    losses = sumstats.source.loss_code
    whole = (
        isinstance(sumstats, SumStats)
        and losses is not None
        and sumstats.row is not None
        and np.count_nonzero(losses == 0) == len(sumstats)
    )
    if not whole or losses is None or sumstats.row is None:
        return Ledger(fate, labels), np.arange(len(sumstats))
    reasons = tuple(f"{Fate.INVALID.label}: {reason}" for reason in sumstats.source.losses)
    code = np.zeros(len(losses), dtype=np.uint8)
    lost = losses > 0
    code[lost] = losses[lost] + (len(labels) - 1)
    code[sumstats.row] = fate
    return Ledger(code, (*labels, *reasons)), sumstats.row.astype(np.int64)


def _eaf_warning(
    query: NDArray[np.float64], target: NDArray[np.float64] | None, settled: NDArray[np.bool_]
) -> str | None:
    """Return a warning if frequencies say that the effect allele is the other one."""
    if target is None:
        return None
    known = np.isfinite(query) & np.isfinite(target) & settled
    if known.sum() < MIN_VARIANTS_FOR_EAF:
        return None
    a, b = query[known], target[known]
    if a.std() == 0 or b.std() == 0:
        return None
    correlation = float(np.corrcoef(a, b)[0, 1])
    if correlation >= 0:
        return None
    return (
        f"WARNING: effect-allele frequencies correlate negatively ({correlation:.2f}) with the "
        "reference's: the effect allele is probably the other one, or the frequencies are of "
        "the other allele (say which column is the effect allele: --columns effect_allele=NAME)"
    )


def write_harmonised(harmonised: HarmonisedSumStats, path: str | Path) -> None:
    """Write harmonised statistics as a GWAS-SSF table (tab-separated; gzip for ``.gz``).

    Columns in the format's order: chromosome (X 23, Y 24, MT 25), base_pair_location,
    effect_allele, other_allele, beta, standard_error, effect_allele_frequency, p_value, rsid,
    n. If a p-value is below float range the column is neg_log_10_p_value instead. Its metadata
    are written beside it (``PATH-meta.yaml``), as the format asks.

    Parameters
    ----------
    harmonised : HarmonisedSumStats
        What `harmonise` returned.
    path : str or Path
        Replaced if it exists.
    """
    variants = harmonised.variants
    numeric = np.arange(27)
    numeric[[25, 26]] = 23, 25  # PLINK's XY and MT
    if (harmonised.p > 0).all():
        significance = {"p_value": harmonised.p}
    else:
        from prs.inputs.sumstats_effects import log_p_from_z

        significance = {"neg_log_10_p_value": -log_p_from_z(harmonised.z) / np.log(10)}
    frame = pd.DataFrame(
        {
            "chromosome": numeric[variants.chrom],
            "base_pair_location": variants.pos,
            "effect_allele": variants.effect_allele,
            "other_allele": variants.other_allele,
            "beta": harmonised.beta,
            "standard_error": harmonised.se,
            "effect_allele_frequency": harmonised.eaf,
            **significance,
            "rsid": np.where(variants.id == "", "#NA", variants.id),
            "n": harmonised.n_eff,
        }
    )
    table = frame.to_csv(None, sep="\t", index=False, na_rep="#NA").encode()
    if str(path).endswith(".gz"):
        table = gzip.compress(table, compresslevel=6, mtime=0)  # no time: same input, same file
    with write_atomically(path) as temporary:
        temporary.write_bytes(table)
    sizes = harmonised.n_eff[np.isfinite(harmonised.n_eff)]
    write_side_file(
        Path(path),
        build=tell_build(variants).split(" ")[0],
        sample_size=round(float(sizes.max())) if len(sizes) else None,
        ancestry=harmonised.population,
        is_sorted=bool((np.diff(variants.site_key) > 0).all()),
        notes=[
            f"made by prs {package_versions()['prs']} from {Path(harmonised.source.path).name}",
            f"alleles are those of {Path(harmonised.report.target).name}",
            "n and sample_size are effective sample sizes",
        ],
    )
