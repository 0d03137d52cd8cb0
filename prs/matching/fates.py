"""What becomes of a row that is matched, and the counts of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

import pandas as pd

__all__ = ["Fate", "MatchReport"]


class Fate(IntEnum):
    """What became of one row: every row that comes in has exactly one."""

    SAME = 0  # same alleles, same orientation
    SWAPPED = 1  # effect and other allele exchanged: sign and frequency turned
    FLIPPED = 2  # read from the other strand
    FLIPPED_SWAPPED = 3
    PALINDROMIC_SAME = 4  # A/T or C/G, strand settled by the rule
    PALINDROMIC_SWAPPED = 5
    PALINDROMIC_DROPPED = 6  # A/T or C/G, strand not settled
    ALLELE_MISMATCH = 7  # the site (or id) is there, with other alleles
    DUPLICATE = 8  # another row was taken for the same variant
    NOT_FOUND = 9  # the site (or id) is not in the target
    INVALID = 10  # the row could not be used: missing or impossible values
    FAILED_QC = 11  # matched, and left out by a quality rule
    NOT_IN_TARGET = 12  # in the panel, not among the people to be scored

    @property
    def is_kept(self) -> bool:
        """Whether a row with this fate is in the result."""
        return self <= Fate.PALINDROMIC_SWAPPED

    @property
    def label(self) -> str:
        """Lower-case name for tables."""
        return self.name.lower()


@dataclass(frozen=True)
class MatchReport:
    """How many rows met which fate; the counts sum to the rows that came in.

    Attributes
    ----------
    source : str
        What was matched ("EUR summary statistics, height.txt.gz").
    target : str
        What it was matched to.
    counts : dict of str to int
        Rows by `Fate` label, all fates present, in the order of `Fate`.
    n_target : int
        Variants in the target.
    details : dict of str to int
        Breakdown of the ``invalid`` rows by reason, from reading; sums to ``counts["invalid"]``.
    notes : tuple of str
        Remarks for the user (which key was used, what was assumed).
    failed_qc : dict of str to int
        Breakdown of the ``failed_qc`` rows by rule; sums to ``counts["failed_qc"]``.
    """

    source: str
    target: str
    counts: Mapping[str, int]
    n_target: int
    details: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    failed_qc: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "counts", {fate.label: int(self.counts.get(fate.label, 0)) for fate in Fate}
        )

    @property
    def n_input(self) -> int:
        """Rows that came in."""
        return sum(self.counts.values())

    @property
    def n_kept(self) -> int:
        """Rows in the result."""
        return sum(self.counts[fate.label] for fate in Fate if fate.is_kept)

    def to_frame(self) -> pd.DataFrame:
        """Return one row a fate: fate, kept (bool), n, share of the input."""
        n_input = max(self.n_input, 1)
        return pd.DataFrame(
            {
                "fate": list(self.counts),
                "kept": [fate.is_kept for fate in Fate],
                "n": list(self.counts.values()),
                "share": [n / n_input for n in self.counts.values()],
            }
        )

    def __str__(self) -> str:
        parts = ", ".join(
            f"{label.replace('_', ' ')} {n:,}" for label, n in self.counts.items() if n
        )
        return (
            f"{self.source} -> {self.target}: {self.n_kept:,} of {self.n_input:,} rows kept "
            f"({self.n_kept:,} of {self.n_target:,} target variants); {parts}"
        )
