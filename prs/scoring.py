"""Weights x genotypes: many scores of many people in one pass over the packed file."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prs.cluster import count_threads
from prs.errors import OverlapError, SettingsError
from prs.inputs.genotypes import Genotypes
from prs.matching import Fate
from prs.weights.coding import MT, Coding, X, Y
from prs.weights.matching import MatchedWeights, PalindromicChoice, match_weights
from prs.weights.plan import make_plan
from prs.weights.product import run_plan
from prs.weights.score_table import Scores, read_scores, write_scores
from prs.weights.table import Weights

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["Scores", "read_scores", "score", "write_scores"]

logger = logging.getLogger(__name__)


def score(
    genotypes: Genotypes,
    weights: Weights | Sequence[Weights],
    *,
    missing: Literal["mean", "skip"] = "mean",
    scale: Literal["none", "center", "standardize"] = "none",
    average: bool = False,
    x_males: Literal[2, 1] = 2,
    min_overlap: float = 0.5,
    palindromic: PalindromicChoice = "auto",
    n_threads: int | None = None,
    client: Client | None = None,
) -> Scores:
    """Score everybody with every column of weights, in one pass over the genotypes.

    The meaning is that of ``plink2 --score``: counts of the effect allele times its weight,
    summed over variants. The file is read in chunks; memory does not grow with the number of
    variants. Sums are in double precision and the same to the bit for any number of threads.
    Imputed dosages are used where the genotypes have them. Males count on chromosome X as
    `x_males` says, on Y alone, and everybody has one allele of MT, as in PLINK 2;
    ``Scores.notes`` says so where it matters.

    Parameters
    ----------
    genotypes : Genotypes
        People to score (a view's people and variants only).
    weights : Weights or sequence of Weights
        One or several; all their columns are scored. Names must be unique over all.
    missing : {"mean", "skip"}
        A missing call counts 2f, where f is the frequency of the effect allele among the
        founders of these people (everybody where there are no founders); or nothing
        (PLINK's ``no-mean-imputation``). Where no founder has a call, f is 1/2, as in PLINK.
    scale : {"none", "center", "standardize"}
        Allele counts as they are; less their mean 2f (PLINK's ``center``; of plink2's two ways
        to do it with missing calls, plink1.9's, which adds nothing for them); or less the mean
        and over sqrt(2f(1-f)) (``variance-standardize``; chromosomes 1 to 22 only).
    average : bool
        Whether to divide by the number of alleles: 2M, where M is the number of variants of
        that `Weights` that were found (zero weights included, as PLINK counts), less those
        that are haploid and, with ``missing="skip"``, those that the person has no call for.
    x_males : {2, 1}
        What a male's allele on chromosome X counts.
    min_overlap : float
        Least share of the variants of each `Weights` that the genotypes must have.
    palindromic : {"auto", "frequency", "keep", "drop"}
        What to do with A/T and C/G variants: see `prs.weights.matching.match_weights`.
    n_threads : int, optional
        Default: all cores.
    client : distributed.Client, optional
        A cluster whose workers take 65,536 variants at a time, with `n_threads` threads each
        (default: 1); the scores are the same to the bit.

    Returns
    -------
    Scores
        People in the order of `genotypes`, columns in the order of `weights`.

    Raises
    ------
    OverlapError
        If fewer than `min_overlap` of a `Weights` are found; the message says why not.
    BuildMismatchError
        If ids agree and positions do not.
    SettingsError
        If names repeat or an argument is not one of the choices.
    """
    tables = [weights] if isinstance(weights, Weights) else list(weights)
    _check_settings(tables, min_overlap)
    coding = Coding(missing, scale, x_males)
    matches = [_match(genotypes, table, palindromic, min_overlap) for table in tables]
    plan = make_plan(matches)
    threads = count_threads(n_threads if client is None else n_threads or 1)
    logger.info(
        "scoring %d people, %d variants, %d scores",
        genotypes.n_samples,
        plan.n_distinct,
        plan.n_scores,
    )
    n_variants = plan.n_distinct
    totals, n_missing_calls, absent = run_plan(genotypes, plan, coding, threads, client)
    if average:
        totals /= _allele_numbers(genotypes, matches, coding, absent, threads, client)
    notes = _describe_coding(genotypes, plan.variant, coding, average)
    for note in notes:
        logger.info("%s", note)
    return Scores(
        samples=genotypes.samples,
        values=totals,
        names=tuple(name for table in tables for name in table.names),
        n_used=np.concatenate([m.n_used for m in matches]),
        n_missing=np.concatenate([m.n_missing for m in matches]),
        missing_rate=n_missing_calls / max(n_variants, 1),
        reports=tuple(m.report for m in matches),
        n_variants=n_variants,
        average=average,
        notes=notes,
        unmatched=_list_unmatched(tables, matches),
    )


def _list_unmatched(tables: Sequence[Weights], matches: Sequence[MatchedWeights]) -> pd.DataFrame:
    """Return the variants of the weights that were not used, with the reason."""
    reasons = np.array([fate.label for fate in Fate], dtype=object)
    parts = []
    for table, matched in zip(tables, matches, strict=True):
        part = table.variants.take(matched.lost).to_frame()
        shown = ",".join(table.names[:3]) + (",..." if table.n_scores > 3 else "")
        part.insert(0, "weights", shown)
        part["reason"] = reasons[matched.lost_fate]
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def _describe_coding(
    genotypes: Genotypes, variant: NDArray[np.int64], coding: Coding, average: bool
) -> tuple[str, ...]:
    """Return the choices that the scores depend on, in words."""
    missing = "2 x frequency" if coding.missing == "mean" else "nothing"
    notes = [f"{'averages' if average else 'sums'}; a missing call counts {missing}"]
    if coding.scale != "none":
        how = {"center": "centred", "standardize": "centred and standardised"}[coding.scale]
        notes.append(f"allele counts {how}")
    if genotypes.has_dosages:
        notes.append("imputed dosages")
    there = np.flatnonzero(np.bincount(genotypes.variants.chrom[variant]))
    if X in there:
        sex = genotypes.samples.sex
        unknown = int(np.count_nonzero((sex != 1) & (sex != 2)))
        counts = "0 or 2 (as women's homozygotes)" if coding.x_males == 2 else "0 or 1"
        note = f"chromosome X: males count {counts}"
        notes.append(note + (f", {unknown:,} people of unknown sex as women" if unknown else ""))
    if Y in there:
        notes.append("chromosome Y: males only, 0 or 1")
    if MT in there:
        notes.append("MT: 0 or 1")
    return tuple(notes)


def _check_settings(tables: Sequence[Weights], min_overlap: float) -> None:
    if not tables:
        raise SettingsError("no weights to score with")
    if not 0 <= min_overlap <= 1:
        raise SettingsError(f"min_overlap={min_overlap} is not a share between 0 and 1")
    names = [name for table in tables for name in table.names]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise SettingsError(
            f"{len(repeated)} score names are in more than one set of weights",
            rows=repeated,
            remedy="rename them (weights.rename), so that each column of scores has one name",
        )


def _match(
    genotypes: Genotypes, table: Weights, palindromic: PalindromicChoice, min_overlap: float
) -> MatchedWeights:
    """Find one set of weights among the genotypes' variants, or say why it cannot be."""

    def frequencies(rows: NDArray[np.int64]) -> NDArray[np.float64]:
        return genotypes.subset(variants=rows).eaf()

    matched = match_weights(table, genotypes.variants, frequencies, palindromic=palindromic)
    logger.info("%s", matched.report)
    share = matched.report.n_kept / max(matched.report.n_input, 1)
    if share < min_overlap:
        counts = matched.report.counts
        reasons = ", ".join(
            f"{fate.label.replace('_', ' ')} {counts[fate.label]:,}"
            for fate in Fate
            if not fate.is_kept and counts[fate.label]
        )
        raise OverlapError(
            f"{matched.report.n_kept:,} of the {len(table):,} variants of the weights "
            f"{', '.join(table.names[:5])} ({share:.1%}) are in {genotypes.path}, and at least "
            f"{min_overlap:.0%} are asked for; the others: {reasons}. For example:",
            rows=table.variants.describe(matched.lost[:5]),
            n_rows=len(matched.lost),
            remedy="use genotypes of all the chromosomes and of the same build, or lower "
            "min_overlap knowingly",
        )
    return matched


def _allele_numbers(
    genotypes: Genotypes,
    matches: Sequence[MatchedWeights],
    coding: Coding,
    absent: NDArray[np.float64],
    n_threads: int,
    client: Client | None,
) -> NDArray[np.float64]:
    """Return what averages divide by: alleles, by person and score; shape (N, S)."""
    columns = []
    for m in matches:
        if len(matches) > 1:
            plan = make_plan([m.without_weights()])
            absent = run_plan(genotypes, plan, coding, n_threads, client)[2]
        n_alleles = 2.0 * len(m.variant) - absent
        n_alleles[n_alleles == 0] = np.nan  # a person without any call has no average
        columns += [n_alleles] * m.weights.shape[1]
    return np.stack(columns, axis=1)
