"""What the doctor says: one finding a question, and the report that holds them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import pandas as pd

__all__ = ["CheckReport", "Finding", "Verdict"]

Verdict = Literal["pass", "warn", "fail"]
_RANK: dict[str, int] = {"pass": 0, "warn": 1, "fail": 2}


@dataclass(frozen=True)
class Finding:
    """The answer to one question about one input.

    Attributes
    ----------
    check : str
        Short name of the question: "build", "effect_allele", "sample_size", ...
    subject : str
        What it is about: a population's statistics, a panel, the target, a pair.
    verdict : {"pass", "warn", "fail"}
        Whether one can go on.
    figure : str
        The number behind the verdict, with its unit.
    remedy : str
        What to do; "" for a pass.
    """

    check: str
    subject: str
    verdict: Verdict
    figure: str
    remedy: str = ""


@dataclass(frozen=True)
class CheckReport:
    """All findings, in the order of the questions.

    Attributes
    ----------
    findings : tuple of Finding
        One a question and input.
    seconds : float
        How long the check took.
    """

    findings: tuple[Finding, ...]
    seconds: float

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of all findings."""
        return max((f.verdict for f in self.findings), key=_RANK.__getitem__, default="pass")

    def named(self, check: str) -> Sequence[Finding]:
        """Return the findings of one question."""
        return [f for f in self.findings if f.check == check]

    @property
    def faults(self) -> tuple[str, ...]:
        """Names of the questions that were not passed."""
        return tuple(dict.fromkeys(f.check for f in self.findings if f.verdict != "pass"))

    def to_frame(self) -> pd.DataFrame:
        """Return one row a finding: check, subject, verdict, figure, remedy."""
        columns = ["check", "subject", "verdict", "figure", "remedy"]
        return pd.DataFrame([asdict(f) for f in self.findings], columns=columns)

    def to_json(self) -> str:
        """Return the report as JSON text."""
        content = {
            "verdict": self.verdict,
            "seconds": round(self.seconds, 2),
            "findings": [asdict(f) for f in self.findings],
        }
        return json.dumps(content, indent=2) + "\n"

    @property
    def summary(self) -> str:
        """Return how many findings have each verdict."""
        counts = {v: sum(f.verdict == v for f in self.findings) for v in _RANK}
        return ", ".join(f"{n} {verdict}" for verdict, n in counts.items())

    def __str__(self) -> str:
        lines = []
        for f in self.findings:
            lines.append(f"{f.verdict.upper():<4}  {f.check:<16} {f.subject}: {f.figure}")
            lines += [f"      -> {f.remedy}"] if f.remedy else []
        return "\n".join([*lines, f"{self.summary} ({self.seconds:.1f} s)"])
