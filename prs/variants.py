"""Variants and their alleles."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from prs.errors import InvalidValueError

__all__ = [
    "VariantTable",
    "allele_codes",
    "chromosome_codes",
    "chromosome_labels",
]

_LETTERS = np.array(["A", "C", "G", "T"], dtype=object)  # the complement of code c is 3 - c
_NAMED_CHROMOSOMES = {"X": 23, "Y": 24, "XY": 25, "PAR1": 25, "PAR2": 25, "MT": 26, "M": 26}
_CHROMOSOME_LABELS = np.array(
    ["0", *(str(c) for c in range(1, 23)), "X", "Y", "XY", "MT"], dtype=object
)


def _distinct(
    labels: ArrayLike | pd.Categorical,
) -> tuple[NDArray[np.integer], NDArray[np.object_]]:
    """Return the distinct labels, and which of them each is; a category's are known."""
    if isinstance(labels, pd.Categorical) and np.all(labels.codes >= 0):
        # pandas takes categories that look like numbers (alleles 1 to 4) for numbers
        return labels.codes, np.array([str(c) for c in labels.categories], dtype=object)
    return pd.factorize(np.asarray(labels, dtype=object), use_na_sentinel=False)


def chromosome_codes(labels: ArrayLike | pd.Categorical) -> NDArray[np.int8]:
    """Return PLINK's human chromosome codes: 1-22, X 23, Y 24, XY/PAR 25, MT 26, else 0.

    Parameters
    ----------
    labels : array_like of str or int
        Labels as files have them: ``1``, ``chr1``, ``CHR01``, ``X``, ``chrM``, ``23``.

    Returns
    -------
    ndarray of int8, shape (M,)
    """
    codes, unique = _distinct(labels)

    def code(label: object) -> int:
        text = str(label).strip().upper()
        text = text.removeprefix("CHR")
        if text.endswith(".0"):
            text = text[:-2]
        if text in _NAMED_CHROMOSOMES:
            return _NAMED_CHROMOSOMES[text]
        number = int(text) if text.isascii() and text.isdigit() else 0
        return number if 1 <= number <= 26 else 0

    table = np.array([code(label) for label in unique], dtype=np.int8)
    return table[codes] if len(table) else np.zeros(0, np.int8)


def chromosome_labels(codes: ArrayLike) -> NDArray[np.object_]:
    """Return labels ("1" ... "22", "X", "Y", "XY", "MT", "0") of chromosome codes."""
    return _CHROMOSOME_LABELS[np.asarray(codes)]


def _clean_alleles(alleles: ArrayLike | pd.Categorical) -> NDArray[np.object_]:
    """Return alleles upper-cased and interned; there are few distinct ones."""
    codes, unique = _distinct(alleles)
    clean = np.array(
        ["" if not isinstance(a, str) else a.strip().upper() for a in unique], dtype=object
    )
    return clean[codes] if len(clean) else np.zeros(0, object)


@dataclass(frozen=True, eq=False)
class VariantTable:
    """M variants, in the order of the file or object that they describe.

    Attributes
    ----------
    chrom : ndarray of int8, shape (M,)
        Chromosome code (see `chromosome_codes`); 0 where unknown.
    pos : ndarray of int32, shape (M,)
        1-based position, base pairs; 0 where unknown.
    id : ndarray of object (str), shape (M,)
        rsID or other name; "" where there is none.
    effect_allele : ndarray of object (str), shape (M,)
        The allele that is counted or whose effect is given; upper case.
    other_allele : ndarray of object (str), shape (M,)
        The other allele; "" where unknown.

    Raises
    ------
    InvalidValueError
        If the arrays differ in length or a position is out of range.
    """

    chrom: NDArray[np.int8]
    pos: NDArray[np.int32]
    id: NDArray[np.object_]
    effect_allele: NDArray[np.object_]
    other_allele: NDArray[np.object_]

    def __post_init__(self) -> None:
        set_field = object.__setattr__
        chrom = np.asarray(self.chrom)
        set_field(self, "chrom", chrom if chrom.dtype == np.int8 else chromosome_codes(chrom))
        pos = np.asarray(self.pos)
        if len(pos) and (pos.min() < 0 or pos.max() >= 2**29):
            bad = np.flatnonzero((pos < 0) | (pos >= 2**29))
            raise InvalidValueError(
                f"{len(bad):,} positions are negative or beyond 2^29",
                column="pos",
                rows=[f"{self.id[i]} {pos[i]}" for i in bad[:5]],
                n_rows=len(bad),
            )
        set_field(self, "pos", pos.astype(np.int32, copy=False))
        set_field(self, "id", np.asarray(self.id, dtype=object))
        set_field(self, "effect_allele", _clean_alleles(self.effect_allele))
        set_field(self, "other_allele", _clean_alleles(self.other_allele))
        lengths = {len(getattr(self, name)) for name in self.__dataclass_fields__}
        if len(lengths) > 1:
            raise InvalidValueError(f"variant columns differ in length: {sorted(lengths)}")

    def __len__(self) -> int:
        return len(self.pos)

    @property
    def has_positions(self) -> bool:
        """Whether any variant has a chromosome and a position."""
        return bool(np.any((self.chrom > 0) & (self.pos > 0)))

    @property
    def site_key(self) -> NDArray[np.int64]:
        """``chrom << 32 | pos``: sorts as the genome does; shape (M,)."""
        return (self.chrom.astype(np.int64) << 32) | self.pos.astype(np.int64)

    @property
    def is_sorted(self) -> bool:
        """Whether positions ascend within ascending chromosomes."""
        key = self.site_key
        return bool(np.all(key[1:] >= key[:-1]))

    @property
    def is_palindromic(self) -> NDArray[np.bool_]:
        """Whether the two alleles are each other's complement (A/T, C/G); shape (M,)."""
        (a,), (b,), _ = allele_codes((self.effect_allele,), (self.other_allele,))
        return (a < 4) & (a + b == 3)

    def take(self, index: ArrayLike) -> VariantTable:
        """Return the variants at `index` (integers or a mask), in that order."""
        index = np.asarray(index)
        return self.of_clean_columns(*(getattr(self, name)[index] for name in self._names()))

    def to_frame(self) -> pd.DataFrame:
        """Return a frame with columns chrom, pos, id, effect_allele, other_allele."""
        # copies: pandas without pyarrow would share the arrays, and editing the frame would
        # edit the table
        return pd.DataFrame(
            {
                "chrom": chromosome_labels(self.chrom),
                "pos": self.pos,
                "id": self.id.copy(),
                "effect_allele": self.effect_allele.copy(),
                "other_allele": self.other_allele.copy(),
            }
        )

    @classmethod
    def from_frame(cls, frame: pd.DataFrame) -> VariantTable:
        """Make a table from the columns that `to_frame` writes."""
        return cls(
            chrom=chromosome_codes(frame["chrom"].to_numpy()),
            pos=frame["pos"].to_numpy(),
            id=frame["id"].to_numpy(dtype=object),
            effect_allele=frame["effect_allele"].to_numpy(dtype=object),
            other_allele=frame["other_allele"].to_numpy(dtype=object),
        )

    @classmethod
    def of_clean_columns(
        cls,
        chrom: NDArray[np.int8],
        pos: NDArray[np.int32],
        id: NDArray[np.object_],  # noqa: A002
        effect_allele: NDArray[np.object_],
        other_allele: NDArray[np.object_],
    ) -> VariantTable:
        """Make a table of columns that are as the attributes say, without looking at them again.

        For parts of tables, and for readers that have checked and cleaned millions of rows.
        """
        table = object.__new__(cls)
        columns = (chrom, pos, id, effect_allele, other_allele)
        for name, column in zip(cls._names(), columns, strict=True):
            object.__setattr__(table, name, column)
        return table

    @classmethod
    def concatenate(cls, tables: Iterable[VariantTable]) -> VariantTable:
        """Return the tables one after the other."""
        parts = list(tables)
        return cls(
            *(np.concatenate([getattr(part, name) for part in parts]) for name in cls._names())
        )

    @classmethod
    def _names(cls) -> tuple[str, ...]:
        return ("chrom", "pos", "id", "effect_allele", "other_allele")

    def describe(self, index: ArrayLike) -> list[str]:
        """Return ``id chrom:pos effect/other`` for the variants at `index`, for messages."""
        return [
            f"{self.id[i]} {_CHROMOSOME_LABELS[self.chrom[i]]}:{self.pos[i]} "
            f"{self.effect_allele[i]}/{self.other_allele[i]}"
            for i in np.asarray(index)
        ]


def allele_codes(
    first: tuple[NDArray[np.object_], ...], second: tuple[NDArray[np.object_], ...]
) -> tuple[list[NDArray[np.int64]], list[NDArray[np.int64]], int]:
    """Code alleles as integers: A, C, G, T are 0-3 (complement 3 - c), others 4 and up."""
    columns = [*first, *second]
    codes, unique = pd.factorize(np.concatenate([_LETTERS, *columns]), use_na_sentinel=False)
    del unique  # the four letters come first, so they hold codes 0 to 3
    codes = codes[4:].astype(np.int64)
    parts = np.split(codes, np.cumsum([len(c) for c in columns])[:-1])
    n = int(codes.max(initial=3)) + 1
    return parts[: len(first)], parts[len(first) :], n
