"""What a section of RESULTS.md is made of: text, tables for the JSON, and pages of one figure each.

A module that measures something offers a `Section`, and `benchmarks.__main__` lists it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

__all__ = ["Made", "Page", "Row", "Section", "markdown"]

Row = dict[str, Any]


@dataclass(frozen=True)
class Page:
    """One question: a figure, a table, and the command that made them.

    Attributes
    ----------
    name : str
        Stem of the files: pages/NAME.md, pages/NAME.png.
    title : str
        Heading of the page, and its link in RESULTS.md.
    text : str
        What was asked and how to read the figure; Markdown.
    figure : bytes
        PNG.
    table : str
        Markdown.
    """

    name: str
    title: str
    text: str
    figure: bytes
    table: str


@dataclass(frozen=True)
class Made:
    """What a section found.

    Attributes
    ----------
    text : str
        Markdown that stands in RESULTS.md itself.
    tables : dict
        Rows by name, for results.json. The same seed gives the same, but for tables whose name
        begins with "cost".
    pages : tuple of Page
        Linked from RESULTS.md.
    """

    text: str
    tables: dict[str, list[Row]] = field(default_factory=dict)
    pages: tuple[Page, ...] = ()


def _nothing_lacks(_: argparse.Namespace) -> str | None:
    return None


@dataclass(frozen=True)
class Section:
    """Something that `python -m benchmarks` measures.

    Attributes
    ----------
    name : str
        Its word after ``--only``.
    title : str
        Its heading in RESULTS.md.
    make : callable
        Given the options of the command (`quick`, `seed`, `replicates`, `jobs`, ...) and an empty
        folder, returns what it found. An exception fails the section: the others still run.
    quick : bool
        Whether ``--quick`` runs it unasked.
    lacks : callable
        Given the options, returns what is not here that it needs, or None.
    """

    name: str
    title: str
    make: Callable[[argparse.Namespace, Path], Made]
    quick: bool = True
    lacks: Callable[[argparse.Namespace], str | None] = _nothing_lacks


def markdown(frame: pd.DataFrame, digits: int = 3) -> str:
    """Return a frame as a Markdown table; numbers with that many digits after the point."""

    def show(value: object) -> str:
        if isinstance(value, float):
            return "" if pd.isna(value) else f"{value:,.{digits}f}"
        return (
            f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
        )

    shown = frame.map(show)
    numeric = [pd.api.types.is_numeric_dtype(kind) for kind in frame.dtypes]
    lines = ["| " + " | ".join(map(str, shown.columns)) + " |"]
    lines += ["|" + "|".join("--:" if n else "---" for n in numeric) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in shown.to_numpy()]
    return "\n".join(lines)
