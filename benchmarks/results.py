"""RESULTS.md, its pages and results.json: each section replaces its own part and keeps the rest."""

from __future__ import annotations

import itertools
import json
import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.sections import Made, Page, Section
from prs.files import write_atomically

__all__ = ["NOTES", "Run", "replace_section", "show_command", "write", "write_page"]

#: What stands below this line in a section is written by hand, and stays.
NOTES = "<!-- notes -->"
PAGES = "pages"


@dataclass(frozen=True)
class Run:
    """What ran: the same for all sections of one command.

    Attributes
    ----------
    command : str
    seed : int
    machine : dict
        Of `machine.describe_machine`.
    found, lacking : list of str
        Programs.
    """

    command: str
    seed: int
    machine: dict[str, Any]
    found: list[str]
    lacking: list[str]

    def describe(self) -> str:
        """Return the line below a section."""
        machine = self.machine
        versions = ", ".join(f"{name} {said}" for name, said in machine["versions"].items())
        return (
            f"Seed {self.seed}; {machine['cores']} cores of {machine['processor']}, "
            f"{machine['memory_gb']:.0f} GB, Python {machine['python']}; "
            f"{versions}. Not found: {', '.join(self.lacking) or 'none'}."
        )


def show_command(module: str, arguments: list[str]) -> str:
    """Return the command as it is written down: FOLDER and PYTHON for places on this machine.

    Where the results went is left out.
    """
    split = [part for one in arguments for part in one.split("=", 1 if one[:2] == "--" else 0)]
    shown = []
    for before, one in itertools.pairwise(["", *split]):
        if "--out" in (before, one):
            continue
        place = "PYTHON" if Path(one).name.startswith("python") else "FOLDER"
        shown.append(place if os.sep in one else one)
    return shlex.join(["python", "-m", module, *shown])


def replace_section(text: str, name: str, title: str, body: str) -> str:
    """Put a section into RESULTS.md in the place of the one of that name; its notes stay.

    A section begins with a heading and ``<!-- section NAME -->``; a new one is put at the end.
    """
    mark = f"<!-- section {name} -->"
    new = f"## {title}\n\n{mark}\n\n{body.rstrip()}\n"
    found = [part.start() for part in re.finditer(r"^## ", text, re.MULTILINE)]
    for start, stop in itertools.pairwise([*found, len(text)]):
        old = text[start:stop]
        if mark not in old:
            continue
        if NOTES in old:
            new += f"\n{NOTES}{old.split(NOTES, 1)[1].rstrip()}\n"
        return f"{text[:start]}{new}\n{text[stop:]}".rstrip() + "\n"
    return f"{text.rstrip()}\n\n{new}"


def write_page(out: Path, page: Page, command: str, described: str) -> str:
    """Write a page and its figure; return the line of RESULTS.md that links to it.

    Parameters
    ----------
    out : Path
        Folder of RESULTS.md.
    page : Page
    command : str
        That made it.
    described : str
        The machine.
    """
    figure = f"{page.name}.png"
    with write_atomically(out / PAGES / figure) as path:
        path.write_bytes(page.figure)
    body = (
        f"# {page.title}\n\n[All results](../RESULTS.md)\n\n    {command}\n\n"
        f"{page.text.rstrip()}\n\n![{page.title}]({figure})\n\n{page.table.rstrip()}\n\n"
        f"{described}\n"
    )
    with write_atomically(out / PAGES / f"{page.name}.md") as path:
        path.write_text(body)
    return f"* [{page.title}]({PAGES}/{page.name}.md)\n"


def write(out: Path, section: Section, made: Made, run: Run, seconds: float) -> None:
    """Write a section's part of RESULTS.md and of results.json, and its pages."""
    links = "".join(write_page(out, page, run.command, run.describe()) for page in made.pages)
    body = f"    {run.command}\n\n{made.text.rstrip()}\n\n"
    body += f"A figure and a table each:\n\n{links}\n" if links else ""
    results, record = out / "RESULTS.md", out / "results.json"
    text = results.read_text() if results.exists() else "# Benchmark results\n"
    with write_atomically(results) as path:
        path.write_text(replace_section(text, section.name, section.title, body + run.describe()))
    known = json.loads(record.read_text()) if record.exists() else {"sections": {}}
    known["sections"][section.name] = {
        "title": section.title,
        "command": run.command,
        "seed": run.seed,
        "machine": run.machine,
        "peers": run.found,
        "peers_not_found": run.lacking,
        "seconds": round(seconds, 1),
        "tables": {
            name: pd.DataFrame(rows).astype(object).replace({np.nan: None}).to_dict("records")
            for name, rows in made.tables.items()
        },
    }
    with write_atomically(record) as path:
        path.write_text(json.dumps(known, indent=1, default=float) + "\n")
