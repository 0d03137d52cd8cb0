"""The ledger: what became of each row of a file, one code a row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from prs.errors import SettingsError
from prs.files import write_table

__all__ = ["Ledger", "write_ledger"]


@dataclass(frozen=True, eq=False)
class Ledger:
    """One fate for each row of a file; nothing is missing and nothing counts twice.

    Attributes
    ----------
    code : ndarray of uint8, shape (n_rows,)
        Index into `labels`, in the order of the file's rows (0 is the first below the header).
    labels : tuple of str
        Fates by name: those of matching ("same", "swapped", ...), ``invalid: REASON`` for rows
        that reading could not use, ``failed_qc: RULE``, ``not_in_target``.
    """

    code: NDArray[np.uint8]
    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.code) and int(self.code.max()) >= len(self.labels):
            raise SettingsError("a ledger has a code without a label")

    def __len__(self) -> int:
        return len(self.code)

    @property
    def counts(self) -> Mapping[str, int]:
        """Rows by fate, those that occur; they sum to the rows of the file."""
        counts = np.bincount(self.code, minlength=len(self.labels))
        return {label: int(n) for label, n in zip(self.labels, counts, strict=True) if n}

    def mark(self, rows: ArrayLike, label: str) -> Ledger:
        """Return the ledger with another fate for some rows."""
        labels = self.labels if label in self.labels else (*self.labels, label)
        code = self.code.copy()
        code[np.asarray(rows)] = labels.index(label)
        return Ledger(code, labels)

    def to_frame(self) -> pd.DataFrame:
        """Return one row a row of the file: row (1 is the first below the header), fate."""
        fates = pd.Categorical.from_codes(self.code.astype(np.int16), pd.Index(self.labels))
        return pd.DataFrame({"row": np.arange(1, len(self) + 1), "fate": fates})


def write_ledger(ledger: Ledger, path: str | Path) -> Path:
    """Write a ledger as a table of two columns, row and fate; gzip for ``.gz``."""
    return write_table(ledger.to_frame(), path)
