"""The 22 items of PRS-RS, filled with what the run knows; the rest is printed NOT REPORTED."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from prs.errors import SettingsError

__all__ = ["ITEMS", "NOT_REPORTED", "StandardItem", "fill_items"]

NOT_REPORTED = "NOT REPORTED"

#: Number, section and name of each item: Wand et al. 2021, Nature 591:211-219, Table 1.
ITEMS: tuple[tuple[str, str], ...] = (
    ("Background", "Study type"),
    ("Background", "Risk model purpose and predicted outcome"),
    ("Study population and data", "Study design and recruitment"),
    ("Study population and data", "Participant demographic and clinical characteristics"),
    ("Study population and data", "Ancestry"),
    ("Study population and data", "Genetic data"),
    ("Study population and data", "Non-genetic variables"),
    ("Study population and data", "Outcome of interest"),
    ("Study population and data", "Missing data"),
    ("Risk model development", "Polygenic risk score construction and estimation"),
    ("Risk model development", "Risk model type"),
    ("Risk model development", "Integrated risk model(s) description and fitting"),
    ("Risk model evaluation", "PRS distribution"),
    ("Risk model evaluation", "Risk model predictive ability"),
    ("Risk model evaluation", "Risk model discrimination"),
    ("Risk model evaluation", "Risk model calibration"),
    ("Risk model evaluation", "Subgroup analyses"),
    ("Limitations and implications", "Risk model interpretation"),
    ("Limitations and implications", "Limitations"),
    ("Limitations and implications", "Generalizability"),
    ("Limitations and implications", "Risk model intended uses"),
    ("Data transparency", "Data transparency and availability"),
)


@dataclass(frozen=True)
class StandardItem:
    """One line of the checklist.

    Attributes
    ----------
    number : int
        1 to 22.
    section, name : str
        As in the paper's Table 1.
    text : str
        What is reported, or `NOT_REPORTED`.
    by : str
        ``author`` (given with the study), ``run`` (filled from what was computed) or ``""``.
    """

    number: int
    section: str
    name: str
    text: str
    by: str


def fill_items(
    from_author: Mapping[int, str] | Mapping[str, str], from_run: Mapping[int, str]
) -> tuple[StandardItem, ...]:
    """Return the 22 items; an author's words come before what the run can say by itself.

    Parameters
    ----------
    from_author : mapping of int or str to str
        Item number (1 to 22, as a number or as text) or item name -> statement.
    from_run : mapping of int to str
        What the run knows.

    Raises
    ------
    SettingsError
        If a key of `from_author` is neither a number nor the name of an item.
    """
    by_name = {name.lower(): i for i, (_, name) in enumerate(ITEMS, start=1)}
    authored: dict[int, str] = {}
    for key, text in from_author.items():
        label = str(key).strip()
        number = int(label) if label.isdecimal() else by_name.get(label.lower(), 0)
        if not 1 <= number <= len(ITEMS):
            raise SettingsError(
                f"{key!r} is not an item of PRS-RS",
                remedy=f"use a number from 1 to 22 or an item's name, such as {ITEMS[2][1]!r}",
            )
        authored[number] = str(text).strip()
    items = []
    for number, (section, name) in enumerate(ITEMS, start=1):
        mine, found = authored.get(number, ""), from_run.get(number, "").strip()
        text = " ".join(part for part in (mine, found) if part)
        by = "author" if mine else ("run" if found else "")
        items.append(StandardItem(number, section, name, text or NOT_REPORTED, by))
    return tuple(items)
