"""`Weights`: per-allele weights, one row a variant and one column a score; made, joined, shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prs.errors import ColumnError, InvalidValueError, SettingsError
from prs.variants import VariantTable

__all__ = ["Weights", "read_weights", "write_weights"]

VARIANT_COLUMNS = ("chrom", "pos", "id", "effect_allele", "other_allele")


def find_columns(
    wanted: str | Sequence[str], names: Sequence[str], what: str
) -> tuple[tuple[str, ...], list[int]]:
    """Return the columns asked for, and where they are.

    Raises
    ------
    ColumnError
        If there is no column of that name.
    """
    wanted = (wanted,) if isinstance(wanted, str) else tuple(wanted)
    place = {name: i for i, name in enumerate(names)}
    unknown = [name for name in wanted if name not in place]
    if unknown:
        raise ColumnError(
            f"no {what} named {', '.join(map(repr, unknown))}; "
            f"there are {', '.join(map(repr, names[:20]))}",
            remedy="check the spelling",
        )
    return wanted, [place[name] for name in wanted]


@dataclass(frozen=True, eq=False)
class Weights:
    """M variants x S scores: what one copy of the effect allele adds to each score.

    Attributes
    ----------
    variants : VariantTable
        The M variants. ``other_allele`` is "" and ``chrom``/``pos`` are 0 where the file that
        they came from does not say.
    weights : ndarray of float64, shape (M, S)
        Weight of one copy of ``effect_allele``, in the unit of the trait; 0 where a variant is
        not in that score. Finite.
    names : tuple of str
        The S names of the scores; unique.
    eaf : ndarray of float64, shape (M,), or None
        Frequency of the effect allele where the weights were made; NaN where unknown.
    metadata : dict of str to str
        What made them (method, settings, genome build); written as header lines.

    Raises
    ------
    InvalidValueError
        If shapes disagree, names repeat, a weight is not finite or a frequency is not in [0, 1].
    """

    variants: VariantTable
    weights: NDArray[np.float64]
    names: tuple[str, ...]
    eaf: NDArray[np.float64] | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        set_field = object.__setattr__
        weights = np.asarray(self.weights, dtype=np.float64)
        if weights.ndim == 1:
            weights = weights[:, None]
        set_field(self, "weights", weights)
        set_field(self, "names", tuple(str(name) for name in self.names))
        set_field(self, "metadata", {str(k): str(v) for k, v in self.metadata.items()})
        if weights.shape != (len(self.variants), len(self.names)):
            raise InvalidValueError(
                f"weights of shape {weights.shape} do not fit {len(self.variants):,} variants "
                f"and {len(self.names)} names"
            )
        repeated = sorted({name for name in self.names if self.names.count(name) > 1})
        if repeated:
            raise InvalidValueError(
                f"{len(repeated)} score names occur more than once", rows=repeated
            )
        bad = np.flatnonzero(~np.isfinite(weights).all(axis=1))
        if len(bad):
            raise InvalidValueError(
                f"{len(bad):,} variants have a weight that is missing or not finite",
                rows=self.variants.describe(bad[:5]),
                n_rows=len(bad),
                remedy="leave the variants out, or give 0 where a variant is not in a score",
            )
        if self.eaf is not None:
            eaf = np.asarray(self.eaf, dtype=np.float64)
            set_field(self, "eaf", eaf)
            if eaf.shape != (len(self.variants),):
                raise InvalidValueError(
                    f"{eaf.shape} frequencies do not fit {len(self.variants):,} variants"
                )
            bad = np.flatnonzero((eaf < 0) | (eaf > 1))
            if len(bad):
                raise InvalidValueError(
                    f"{len(bad):,} effect allele frequencies are outside [0, 1]",
                    column="eaf",
                    rows=self.variants.describe(bad[:5]),
                    n_rows=len(bad),
                )

    def __len__(self) -> int:
        return len(self.variants)

    @property
    def n_scores(self) -> int:
        """Number of columns, S."""
        return len(self.names)

    @property
    def n_nonzero(self) -> NDArray[np.int64]:
        """Variants with a weight other than 0, per score; shape (S,)."""
        return np.count_nonzero(self.weights, axis=0).astype(np.int64)

    def select(self, names: str | Sequence[str]) -> Weights:
        """Return the scores named, in that order, with all the variants.

        Raises
        ------
        ColumnError
            If there is no score of that name.
        """
        wanted, at = find_columns(names, self.names, "weights")
        return Weights(self.variants, self.weights[:, at], wanted, self.eaf, self.metadata)

    def take(self, index: NDArray[np.int64] | NDArray[np.bool_]) -> Weights:
        """Return the variants at `index` (integers or a mask), in that order."""
        eaf = None if self.eaf is None else self.eaf[index]
        return Weights(
            self.variants.take(index), self.weights[index], self.names, eaf, self.metadata
        )

    def rename(self, names: Sequence[str]) -> Weights:
        """Return the same weights under other names, in column order."""
        return Weights(self.variants, self.weights, tuple(names), self.eaf, self.metadata)

    def to_frame(self) -> pd.DataFrame:
        """Return chrom, pos, id, effect_allele, other_allele, eaf (where known) and the scores."""
        frame = self.variants.to_frame()
        if self.eaf is not None:
            frame["eaf"] = self.eaf
        scores = pd.DataFrame(self.weights, columns=list(self.names))
        return pd.concat([frame, scores], axis=1)

    def check_unique(self, path: str | Path | None = None) -> None:
        """Raise if a variant has more than one row.

        Rows are of one variant if they have the same site (position, or the id where there is
        none) and the same two alleles in either order; where the other allele is unknown, the
        same effect allele.

        Raises
        ------
        InvalidValueError
            Naming the variants.
        """
        rows = np.flatnonzero(_is_repeated(self.variants))
        if len(rows):
            raise InvalidValueError(
                f"{len(rows):,} rows repeat a variant that has a row already",
                path=path,
                rows=self.variants.describe(rows[:5]),
                n_rows=len(rows),
                remedy="keep one row a variant, so that none is scored twice",
            )


def _is_repeated(variants: VariantTable) -> NDArray[np.bool_]:
    """Return which rows are of a variant that an earlier row has; shape (M,)."""
    by_position = (variants.chrom > 0) & (variants.pos > 0)
    if by_position.all() and len(variants) > 1:
        sites = np.sort(variants.site_key, kind="stable")  # most files are sorted already
        if np.all(sites[1:] != sites[:-1]):
            return np.zeros(len(variants), dtype=bool)
    ids, unique = pd.factorize(variants.id, use_na_sentinel=False)
    nameless = np.array([name in ("", ".") for name in unique], bool)
    unplaced = ~by_position & (nameless[ids] if len(unique) else False)
    site = np.where(by_position, variants.site_key, -1 - ids.astype(np.int64))
    both = np.concatenate([variants.effect_allele, variants.other_allele])
    codes = pd.factorize(both, use_na_sentinel=False)[0].astype(np.int64)
    a, b = codes[: len(site)], codes[len(site) :]
    n_codes = int(codes.max(initial=0)) + 1
    pair = np.minimum(a, b) * n_codes + np.maximum(a, b)
    frame = pd.DataFrame({"site": site, "pair": pair})
    return frame.duplicated().to_numpy() & ~unplaced


def read_weights(path: str | Path, *, columns: Sequence[str] | None = None) -> Weights:
    """Read weights from a file, recognising its format.

    Formats: the TSV that `write_weights` makes; PLINK-style tables (an id column, A1 and one
    or more weights, with a header, or three columns without one); PRS-CS and PRS-CSx posterior
    effects (six columns without a header: CHR ID BP A1 A2 BETA; more: a draw of the posterior
    each); PGS Catalog scoring files
    (harmonised positions are taken where the file has them). Plain or gzip. A ``{chrom}`` in
    the path stands for 1 to 22 and X: the files that exist are read one after the other.

    Parameters
    ----------
    path : str or Path
        The file.
    columns : sequence of str, optional
        Names of the weight columns to read; default: all of them.

    Returns
    -------
    Weights
        In file order.

    Raises
    ------
    FileFormatError
        If the file is missing, empty, damaged, of no known format, or holds rows whose weights
        are not additive (dominant, recessive, by dosage, haplotypes, interactions).
    ColumnError
        If a column that is needed, or one of `columns`, is not there.
    InvalidValueError
        If a cell is not a number, a weight is missing, or a variant has two rows.
    """
    from prs.weights.files import parse_weights, parse_weights_by_chromosome

    if "{chrom}" in str(path):
        weights = parse_weights_by_chromosome(str(path), columns)
    else:
        weights = parse_weights(Path(path), columns)
    weights.check_unique(path)
    return weights


def write_weights(
    weights: Weights,
    path: str | Path,
    *,
    format: Literal["prs", "plink", "pgs"] = "prs",  # noqa: A002 (the word that users expect)
) -> None:
    """Write weights; numbers are written so that reading gives the same floats.

    Parameters
    ----------
    weights : Weights
        What to write.
    path : str or Path
        Where; compressed if the name ends in ``.gz``. The file appears whole or not at all.
    format : {"prs", "plink", "pgs"}
        ``"prs"``: ``#key=value`` lines, then a TSV with chrom, pos, id, effect_allele,
        other_allele, eaf (where known) and one column a score. ``"plink"``: ID, A1 and the
        weights, for ``plink2 --score FILE 1 2 header-read``. ``"pgs"``: PGS Catalog scoring
        file, version 2.0, one score, with the metadata that are known (see
        `prs.weights.pgs_catalog.pgs_table`).

    Raises
    ------
    SettingsError
        If the format is unknown or cannot hold these weights (several scores in ``"pgs"``,
        variants without an id in ``"plink"``).
    """
    from prs.weights.files import write_text
    from prs.weights.pgs_catalog import pgs_table

    path = Path(path)
    if format == "prs":
        frame = weights.to_frame()
        header = ["format=prs weights 1", *_metadata_lines(weights, skip=("format",))]
    elif format == "plink":
        frame = _plink_frame(weights)
        header = []
    elif format == "pgs":
        frame, header = pgs_table(weights)
    else:
        raise SettingsError(f"format={format!r} is not one of 'prs', 'plink', 'pgs'")
    write_text(frame, header, path)


def _metadata_lines(weights: Weights, skip: tuple[str, ...]) -> list[str]:
    return [
        f"{key}={' '.join(value.split())}"
        for key, value in weights.metadata.items()
        if key not in skip
    ]


def _plink_frame(weights: Weights) -> pd.DataFrame:
    ids = weights.variants.id
    nameless = np.flatnonzero((ids == "") | (ids == "."))
    repeated = np.flatnonzero(pd.Index(ids).duplicated())
    bad = nameless if len(nameless) else repeated
    if len(bad):
        problem = "have no id" if len(nameless) else "have an id that an earlier one has"
        raise SettingsError(
            f"PLINK finds variants by id, and {len(bad):,} of these {problem}",
            rows=weights.variants.describe(bad[:5]),
            n_rows=len(bad),
            remedy="write format='prs', or give the variants unique ids",
        )
    frame = pd.DataFrame({"ID": ids, "A1": weights.variants.effect_allele})
    return pd.concat([frame, pd.DataFrame(weights.weights, columns=list(weights.names))], axis=1)
