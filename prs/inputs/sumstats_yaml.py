"""The YAML side file of a GWAS-SSF table: read for build and sample size, and written."""

from __future__ import annotations

import datetime
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from prs.errors import FileFormatError
from prs.files import write_atomically

__all__ = ["SideFile", "read_side_file", "write_side_file"]

#: What the standard has for a mandatory field that is not reported.
NOT_REPORTED = "NR"
_DATE = "date_metadata_last_modified"
_PAIR = re.compile(r"^[\s-]*([A-Za-z_][A-Za-z0-9_ ]*?)\s*:\s*(.*?)\s*$")
#: A side file is a page of text; more than this is something else.
MAX_SIZE = 1 << 20


@dataclass(frozen=True)
class SideFile:
    """What a GWAS-SSF metadata file says that the table does not.

    Attributes
    ----------
    path : Path
        The file, ``TABLE-meta.yaml``.
    build : str
        Genome assembly; "" if not stated.
    coordinate_system : str
        "1-based" or "0-based"; "" if not stated.
    n_eff : float or None
        Sum over the samples of their effective size: 4 / (1/cases + 1/controls), or the sample
        size where the study has no cases.
    """

    path: Path
    build: str
    coordinate_system: str
    n_eff: float | None

    def describe(self) -> str:
        """Return what was found, for the user."""
        parts = [f"genome build {self.build or 'not stated'}"]
        if self.coordinate_system:
            parts.append(f"{self.coordinate_system} positions")
        if self.n_eff is not None:
            parts.append(f"effective sample size {self.n_eff:g}")
        return f"{self.path.name}: {', '.join(parts)}"


def read_side_file(path: Path) -> SideFile | None:
    """Return what the side file of a table says; None if there is none.

    Only flat ``key: value`` lines are read (the standard's own form); nothing is executed.

    Raises
    ------
    FileFormatError
        If positions are said to be 0-based, or the file is not a text of a page or two.
    """
    side = path.with_name(path.name + "-meta.yaml")
    if not side.is_file():
        return None
    if side.stat().st_size > MAX_SIZE:
        raise FileFormatError("is too large for a metadata file", path=side)
    found: dict[str, list[str]] = {}
    for line in side.read_text(encoding="utf-8", errors="replace").splitlines():
        pair = _PAIR.match(line)
        if pair and pair[2]:
            key = pair[1].strip().lower().replace(" ", "_")
            found.setdefault(key, []).append(pair[2].strip("'\""))
    system = next(iter(found.get("coordinate_system", [])), "")
    if system.startswith("0"):
        raise FileFormatError(
            f"positions are said to be {system}: the standard's are 1-based",
            path=side,
            remedy="add 1 to base_pair_location and say coordinate_system: 1-based",
        )
    build = next(iter(found.get("genome_assembly", [])), "")
    build = "" if build == NOT_REPORTED else build
    return SideFile(side, build, system, _effective_size(found))


def write_side_file(
    path: Path,
    *,
    build: str,
    sample_size: int | None,
    ancestry: str,
    is_sorted: bool,
    notes: Sequence[str] = (),
    software: str = "",
) -> Path:
    """Write the metadata of a GWAS-SSF v1.0 table beside it.

    The mandatory fields of the standard (Hayhurst et al. 2022; EBISPOT/
    gwas-summary-statistics-standard, table 2), NR where nobody has said: trait and genotyping
    technology, and the build if it is not known. A file that says the same already keeps its
    date, so that the same table has the same side file on another day.

    Parameters
    ----------
    path : Path
        The table, which has been written.
    build : str
        Genome assembly, such as "GRCh37"; "" if unknown.
    sample_size : int or None
        People, or effective; None if unknown (the field is then left out).
    ancestry : str
        Of the samples.
    is_sorted : bool
        Whether the rows are in genomic order.
    notes : sequence of str
        For `author_notes`.
    software : str
        What made the statistics, for `analysis_software`; "" if unknown.

    Returns
    -------
    Path
        ``TABLE-meta.yaml``.
    """
    digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    lines = [
        *([f"author_notes: {_quoted('; '.join(notes))}"] if notes else []),
        "trait_description:",
        f"  - {NOT_REPORTED}",
        f"genome_assembly: {build or NOT_REPORTED}",
        "coordinate_system: 1-based",
        "genotyping_technology:",
        f"  - {NOT_REPORTED}",
        "samples:",
        "  - sample_ancestry_category:",
        f"      - {_quoted(ancestry or NOT_REPORTED)}",
        *([] if sample_size is None else [f"    sample_size: {sample_size}"]),
        f"data_file_name: {_quoted(path.name)}",
        "file_type: GWAS-SSF v1.0",
        f"data_file_md5sum: {digest}",
        *([f"analysis_software: {_quoted(software)}"] if software else []),
        "is_harmonised: false",
        f"is_sorted: {str(is_sorted).lower()}",
    ]
    body = "\n".join(lines) + "\n"
    side = path.with_name(path.name + "-meta.yaml")
    if side.is_file():
        first, _, rest = side.read_text(encoding="utf-8", errors="replace").partition("\n")
        if rest == body and first.startswith(f"{_DATE}: "):
            return side
    today = datetime.datetime.now(datetime.UTC).date()
    with write_atomically(side) as temporary:
        temporary.write_text(f"{_DATE}: {today.isoformat()}\n{body}", encoding="utf-8")
    return side


def _quoted(text: str) -> str:
    """Return a text as a YAML scalar that no character in it can change."""
    return "'" + " ".join(text.split()).replace("'", "''") + "'"


def _effective_size(found: dict[str, list[str]]) -> float | None:
    cases, controls = _numbers(found, "case_count"), _numbers(found, "control_count")
    if cases and len(cases) == len(controls) and min(*cases, *controls) > 0:
        return sum(4 / (1 / a + 1 / b) for a, b in zip(cases, controls, strict=True))
    sizes = _numbers(found, "sample_size")
    return sum(sizes) if sizes and min(sizes) > 0 else None


def _numbers(found: dict[str, list[str]], key: str) -> list[float]:
    numbers = []
    for text in found.get(key, []):
        digits = text.replace(",", "")
        if re.fullmatch(r"\d{1,12}(\.\d+)?", digits):
            numbers.append(float(digits))
    return numbers
