"""`Scores`: what each person's scores are and what they were made of; and its files."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prs.errors import ColumnError, FileFormatError, InvalidValueError
from prs.files import read_bytes, write_table
from prs.matching import MatchReport
from prs.samples import SampleTable
from prs.weights.table import find_columns

__all__ = ["Scores", "read_scores", "write_scores"]

#: Columns of a scores file that are not scores, ours and PLINK's.
_NOT_SCORES = (
    "N_VARIANTS",
    "N_MISSING_CALLS",
    "MISSING_RATE",
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
    notes : tuple of str
        Choices that the numbers depend on: sex chromosomes, dosages, centring.
    unmatched : DataFrame or None
        One row for each variant of the weights that was not used: weights (the set's names),
        chrom, pos, id, effect_allele, other_allele, reason (a `Fate`).
    tuned_on : tuple of str
        Individual ids of the people that a score was fitted or chosen on; `evaluate` refuses to
        judge them. Not kept in a file: there a cohort's split says who they are.
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
    notes: tuple[str, ...] = ()
    unmatched: pd.DataFrame | None = field(default=None, repr=False)
    tuned_on: tuple[str, ...] = field(default=(), repr=False)

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
        wanted, at = find_columns(names, self.names, "score")
        return replace(
            self,
            values=self.values[:, at],
            names=wanted,
            n_used=self.n_used[at],
            n_missing=self.n_missing[at],
        )

    def take(self, index: NDArray[np.int64] | NDArray[np.bool_]) -> Scores:
        """Return the people at `index` (integers or a mask), in that order."""
        return replace(
            self,
            samples=self.samples.take(index),
            values=self.values[index],
            missing_rate=self.missing_rate[index],
        )

    def to_frame(self) -> pd.DataFrame:
        """Return a row a person: ids, N_VARIANTS, N_MISSING_CALLS, MISSING_RATE, the scores."""
        n_missing = np.rint(np.nan_to_num(self.missing_rate) * self.n_variants).astype(np.int64)
        people = pd.DataFrame(
            {
                "FID": self.samples.fid,
                "IID": self.samples.iid,
                "N_VARIANTS": self.n_variants,
                "N_MISSING_CALLS": n_missing,
                "MISSING_RATE": np.round(n_missing / max(self.n_variants, 1), 6),
            }
        )
        return pd.concat([people, pd.DataFrame(self.values, columns=list(self.names))], axis=1)

    def variant_counts(self) -> pd.DataFrame:
        """Return one row a score: score, n_used, n_missing, coding (the notes)."""
        return pd.DataFrame(
            {
                "score": list(self.names),
                "n_used": self.n_used,
                "n_missing": self.n_missing,
                "coding": "; ".join(self.notes),
            }
        )


def write_scores(scores: Scores, path: str | Path) -> None:
    """Write scores as a TSV, and the counts of variants beside them.

    ``X.scores.tsv`` has FID, IID, N_VARIANTS (used in any score), N_MISSING_CALLS (of these, by
    person), MISSING_RATE (the share) and one column a score. ``X.scores.variants.tsv`` has one
    row a score: score, n_used, n_missing, coding (what a genotype counts).
    ``X.scores.unmatched.tsv`` lists the variants of the weights that were not used, with the
    reason. Numbers are written so that reading gives the same floats.
    """
    write_table(scores.variant_counts(), _counts_path(path))
    if scores.unmatched is not None:
        write_table(scores.unmatched, _counts_path(path, "unmatched"))
    write_table(scores.to_frame(), path)


def _counts_path(path: str | Path, what: str = "variants") -> Path:
    path = Path(path)
    name = path.name.removesuffix(".gz").removesuffix(".tsv")
    return path.with_name(f"{name}.{what}.tsv")


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
