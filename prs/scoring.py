"""Weights x genotypes: many scores of many people in one pass over the packed file."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prs.errors import (
    ColumnError,
    FileFormatError,
    InvalidValueError,
    OverlapError,
    SettingsError,
)
from prs.files import read_bytes, write_table
from prs.inputs.genotypes import Genotypes
from prs.samples import SampleTable
from prs.variants import Fate, MatchReport
from prs.weights.matching import MatchedWeights, PalindromicChoice, match_weights
from prs.weights.product import make_plan, run_plan
from prs.weights.table import Weights

__all__ = ["Scores", "read_scores", "score", "write_scores"]

logger = logging.getLogger(__name__)

#: Columns of a scores file that are not scores, ours and PLINK's.
_NOT_SCORES = (
    "N_VARIANTS",
    "N_MISSING_CALLS",
    "PHENO",
    "PHENO1",
    "CNT",
    "CNT2",
    "ALLELE_CT",
    "NMISS_ALLELE_CT",
    "NAMED_ALLELE_DOSAGE_SUM",
    "DENOM",
)


@dataclass(frozen=True, eq=False)
class Scores:
    """N people x S scores.

    Attributes
    ----------
    samples : SampleTable
        The N people.
    values : ndarray of float64, shape (N, S)
        Scores: sums of weight x allele count, in the unit of the trait; or, with `average`,
        these per allele.
    names : tuple of str
        The S names.
    n_used : ndarray of int64, shape (S,)
        Variants with a weight other than 0 that the genotypes have; -1 where a file that was
        read does not say.
    n_missing : ndarray of int64, shape (S,)
        Variants with a weight other than 0 that they lack.
    missing_rate : ndarray of float64, shape (N,)
        Share of the variants used (in any score) for which the person has no call.
    reports : tuple of MatchReport
        What became of the variants of each `Weights`, in order.
    n_variants : int
        Variants used in any score.
    average : bool
        Whether `values` are averages per allele.
    """

    samples: SampleTable
    values: NDArray[np.float64]
    names: tuple[str, ...]
    n_used: NDArray[np.int64]
    n_missing: NDArray[np.int64]
    missing_rate: NDArray[np.float64]
    reports: tuple[MatchReport, ...] = ()
    n_variants: int = 0
    average: bool = False

    @property
    def n_samples(self) -> int:
        """Number of people, N."""
        return len(self.samples)

    def select(self, names: str | Sequence[str]) -> Scores:
        """Return the scores named, in that order.

        Raises
        ------
        ColumnError
            If there is no score of that name.
        """
        wanted = (names,) if isinstance(names, str) else tuple(names)
        unknown = [name for name in wanted if name not in self.names]
        if unknown:
            raise ColumnError(
                f"no score named {', '.join(map(repr, unknown))}; "
                f"there are {', '.join(map(repr, self.names[:20]))}"
            )
        at = [self.names.index(name) for name in wanted]
        return Scores(
            self.samples,
            self.values[:, at],
            wanted,
            self.n_used[at],
            self.n_missing[at],
            self.missing_rate,
            self.reports,
            self.n_variants,
            self.average,
        )

    def take(self, index: NDArray[np.int64] | NDArray[np.bool_]) -> Scores:
        """Return the people at `index` (integers or a mask), in that order."""
        return Scores(
            self.samples.take(index),
            self.values[index],
            self.names,
            self.n_used,
            self.n_missing,
            self.missing_rate[index],
            self.reports,
            self.n_variants,
            self.average,
        )

    def to_frame(self) -> pd.DataFrame:
        """Return one row a person: FID, IID, N_VARIANTS, N_MISSING_CALLS and the scores."""
        n_missing = np.rint(self.missing_rate * self.n_variants).astype(np.int64)
        people = pd.DataFrame(
            {
                "FID": self.samples.fid,
                "IID": self.samples.iid,
                "N_VARIANTS": self.n_variants,
                "N_MISSING_CALLS": n_missing,
            }
        )
        return pd.concat([people, pd.DataFrame(self.values, columns=list(self.names))], axis=1)

    def variant_counts(self) -> pd.DataFrame:
        """Return one row a score: score, n_used, n_missing."""
        return pd.DataFrame(
            {"score": list(self.names), "n_used": self.n_used, "n_missing": self.n_missing}
        )


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


def write_scores(scores: Scores, path: str | Path) -> None:
    """Write scores as a TSV, and the counts of variants beside them.

    ``X.scores.tsv`` has FID, IID, N_VARIANTS (used in any score), N_MISSING_CALLS (of these, by
    person) and one column a score. ``X.scores.variants.tsv`` has one row a score: score, n_used,
    n_missing. Numbers are written so that reading gives the same floats.
    """
    write_table(scores.variant_counts(), _counts_path(path))
    write_table(scores.to_frame(), path)


def _counts_path(path: str | Path) -> Path:
    path = Path(path)
    name = path.name.removesuffix(".gz").removesuffix(".tsv")
    return path.with_name(f"{name}.variants.tsv")


def read_scores(path: str | Path) -> Scores:
    """Read scores: a table that `write_scores` made, or any with IID and columns of numbers.

    PLINK 2's ``.sscore`` and PLINK 1.9's ``.profile`` are understood; their counts are not
    scores.

    Raises
    ------
    FileFormatError
        If the file is missing, empty or no table.
    ColumnError
        If there is no IID column or no score.
    InvalidValueError
        If a score is not a number, or a person is there twice.
    """
    text = read_bytes(path, "scores file").decode("utf-8", "replace").lstrip("#")
    first = text.split("\n", 1)[0]
    separator = "\t" if "\t" in first else "," if "," in first else r"\s+"
    try:
        frame = pd.read_csv(
            io.StringIO(text), sep=separator, dtype=object, keep_default_na=False, index_col=False
        )
    except pd.errors.ParserError as error:
        raise FileFormatError(f"not a table ({error})", path=path) from error
    columns = [str(name).strip() for name in frame.columns]
    frame.columns = pd.Index(columns)
    if "IID" not in frame:
        raise ColumnError(
            f"no column IID among {', '.join(frame.columns[:20])}",
            path=path,
            remedy="give the table a header line with IID and the names of the scores",
        )
    names = [n for n in columns if n not in ("FID", "IID", "SID") and n.upper() not in _NOT_SCORES]
    if not names:
        raise ColumnError("no column of scores", path=path)
    if len(frame) == 0:
        raise FileFormatError("a header and no people", path=path)
    fid = frame["FID"].to_numpy(dtype=object) if "FID" in frame else None
    samples = SampleTable.from_ids(frame["IID"].to_numpy(dtype=object), fid)
    twice = np.flatnonzero(frame.duplicated([c for c in ("FID", "IID") if c in frame]))
    if len(twice):
        raise InvalidValueError(
            f"{len(twice):,} people have more than one row",
            path=path,
            line=int(twice[0]) + 2,
            rows=[str(samples.iid[i]) for i in twice[:5]],
            n_rows=len(twice),
        )
    values = np.stack([_numbers(frame[name], path) for name in names], axis=1)
    n_variants, missing_rate = 0, np.full(len(frame), np.nan)
    if {"N_VARIANTS", "N_MISSING_CALLS"} <= set(frame.columns):
        n_variants = int(_numbers(frame["N_VARIANTS"], path)[0])
        missing_rate = _numbers(frame["N_MISSING_CALLS"], path) / max(n_variants, 1)
    n_used = n_missing = np.full(len(names), -1, dtype=np.int64)
    if _counts_path(path).exists():
        counts = pd.read_csv(_counts_path(path), sep="\t", dtype={"score": str})
        counts = counts.set_index("score").reindex(names, fill_value=-1)
        n_used, n_missing = (counts[c].to_numpy(dtype=np.int64) for c in ("n_used", "n_missing"))
    return Scores(
        samples, values, tuple(names), n_used, n_missing, missing_rate, n_variants=n_variants
    )


def _numbers(column: pd.Series, path: str | Path) -> NDArray[np.float64]:
    """Return a column of text as float64, exactly; NA is NaN."""
    cells = column.str.strip().replace(["NA", ""], "nan").to_numpy(dtype=object)
    try:
        return cells.astype(np.float64)
    except ValueError as error:
        bad = [i for i, cell in enumerate(cells) if not _is_number(cell)]
        raise InvalidValueError(
            f"{len(bad):,} cells are not numbers",
            path=path,
            line=bad[0] + 2,
            column=str(column.name),
            rows=[f"line {i + 2}: {cells[i]!r}" for i in bad[:5]],
            n_rows=len(bad),
        ) from error


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
