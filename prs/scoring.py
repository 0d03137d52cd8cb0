"""Weights x genotypes: many scores of many people in one pass over the packed file."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from prs.errors import OverlapError, SettingsError
from prs.inputs.genotypes import Genotypes
from prs.matching import Fate
from prs.weights.matching import MatchedWeights, PalindromicChoice, match_weights
from prs.weights.product import make_plan, run_plan
from prs.weights.score_table import Scores, read_scores, write_scores
from prs.weights.table import Weights

__all__ = ["Scores", "read_scores", "score", "write_scores"]

logger = logging.getLogger(__name__)


def score(
    genotypes: Genotypes,
    weights: Weights | Sequence[Weights],
    *,
    missing: Literal["mean", "skip"] = "mean",
    average: bool = False,
    min_overlap: float = 0.5,
    palindromic: PalindromicChoice = "auto",
    n_threads: int | None = None,
) -> Scores:
    """Score everybody with every column of weights, in one pass over the genotypes.

    The meaning is that of ``plink2 --score``: counts of the effect allele times its weight,
    summed over variants. The file is read in chunks; memory does not grow with the number of
    variants. Sums are in double precision and the same to the bit for any number of threads.
    Chromosome X is scored as PLINK 2 does by default (males count 0 or 2).

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
    average : bool
        Whether to divide by 2M, where M is the number of variants of that `Weights` that were
        found (zero weights included, as PLINK counts); with ``missing="skip"`` by twice the
        number that the person has a call for.
    min_overlap : float
        Least share of the variants of each `Weights` that the genotypes must have.
    palindromic : {"auto", "frequency", "keep", "drop"}
        What to do with A/T and C/G variants: see `prs.weights.matching.match_weights`.
    n_threads : int, optional
        Default: all cores.

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
    _check_settings(tables, missing, min_overlap)
    matches = [_match(genotypes, table, palindromic, min_overlap) for table in tables]
    plan = make_plan(matches)
    threads = max(1, n_threads if n_threads is not None else (os.cpu_count() or 1))
    logger.info(
        "scoring %d people, %d variants, %d scores",
        genotypes.n_samples,
        plan.n_distinct,
        plan.n_scores,
    )
    n_variants = plan.n_distinct
    totals, n_missing_calls = run_plan(genotypes, plan, missing == "mean", threads)
    if average:
        totals /= _allele_numbers(genotypes, matches, missing == "mean", n_missing_calls, threads)
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
    )


def _check_settings(tables: Sequence[Weights], missing: str, min_overlap: float) -> None:
    if not tables:
        raise SettingsError("no weights to score with")
    if missing not in ("mean", "skip"):
        raise SettingsError(f"missing={missing!r} is not one of 'mean', 'skip'")
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
    impute: bool,
    n_missing_calls: NDArray[np.int64],
    n_threads: int,
) -> NDArray[np.float64]:
    """Return what averages divide by: alleles, by person and score; shape (N, S)."""
    columns = []
    for m in matches:
        n_alleles = np.full(genotypes.n_samples, 2.0 * len(m.variant))
        if not impute:
            if len(matches) > 1:
                plan = make_plan([m.without_weights()])
                n_missing_calls = run_plan(genotypes, plan, impute, n_threads)[1]
            n_alleles -= 2.0 * n_missing_calls
        n_alleles[n_alleles == 0] = np.nan  # a person without any call has no average
        columns += [n_alleles] * m.weights.shape[1]
    return np.stack(columns, axis=1)
