"""Columns of text with few distinct cells, as codes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Levels"]


@dataclass(frozen=True, eq=False)
class Levels:
    """A column of text with few distinct cells (alleles, chromosomes).

    Attributes
    ----------
    codes : ndarray of int32, shape (M,)
        Index into `values` of each row's cell.
    values : tuple of str
        Distinct cells; "" where missing.
    """

    codes: NDArray[np.int32]
    values: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.codes)

    def map(self, function: Callable[[str], Any], dtype: type = bool) -> NDArray[Any]:
        """Return a function's value for each row, asked once for each distinct cell."""
        return np.array([function(value) for value in self.values], dtype=dtype)[self.codes]

    @staticmethod
    def in_common(*columns: Levels, clean: Callable[[str], str] = str) -> list[Levels]:
        """Return the columns over one set of values, each cleaned: codes can be compared."""
        index: dict[str, int] = {}
        tables = [
            np.array([index.setdefault(clean(v), len(index)) for v in c.values], dtype=np.int32)
            for c in columns
        ]
        values = tuple(index)
        return [
            Levels(table[column.codes], values)
            for table, column in zip(tables, columns, strict=True)
        ]

    @classmethod
    def concatenate(cls, parts: Sequence[Levels]) -> Levels:
        """Return the columns one after the other."""
        parts = cls.in_common(*parts)
        return cls(np.concatenate([part.codes for part in parts]), parts[0].values)
