"""Where a PRS-CSx or PRS-CS panel keeps a population's files, and its list of variants."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prs.errors import ColumnError, FileFormatError, InvalidValueError, LDReferenceError
from prs.files import existing_file
from prs.variants import chromosome_codes, chromosome_labels

__all__ = ["Panel", "chromosome_files", "find_panel", "read_snpinfo"]

logger = logging.getLogger(__name__)

_FOLDER = re.compile(r"ldblk_(?P<panel>.+)_(?P<population>[^_]+)")
_MULTI = re.compile(r"snpinfo_mult_(?P<panel>.+?)(_hm3)?")
_SINGLE = re.compile(r"snpinfo_(?!mult_)(?P<panel>.+?)(_hm3)?")
_CHROMOSOME_FILE = re.compile(r"(?P<stem>ldblk_.+_chr)(?P<chrom>[^.]+)\.hdf5")


@dataclass(frozen=True)
class Panel:
    """Where one population of a panel is.

    Attributes
    ----------
    folder : Path
        Folder of the .hdf5 files.
    snpinfo : Path
        The list of variants.
    stem : str
        How the .hdf5 files' names begin ("ldblk_1kg_chr").
    population : str
        Name in upper case; "" where unknown.
    frequency_column, flip_column : str, str or None
        Columns of the list that hold this population's A1 frequency and its sign.
    """

    folder: Path
    snpinfo: Path
    stem: str
    population: str
    frequency_column: str
    flip_column: str | None


def find_panel(path: Path, population: str | None) -> Panel:
    """Find the folder of LD files and the variant list that belongs to it."""
    folder = path if any(_CHROMOSOME_FILE.fullmatch(p.name) for p in path.iterdir()) else None
    if folder is None:
        folder = _choose_population(path, population)
    named = _FOLDER.fullmatch(folder.name)
    panel_name = named["panel"] if named else None
    stems = {
        found["stem"] for p in folder.iterdir() if (found := _CHROMOSOME_FILE.fullmatch(p.name))
    }
    default_stem = f"ldblk_{panel_name}_chr"
    stem = default_stem if default_stem in stems or not stems else min(stems)

    # A folder opened by itself is a PRS-CS panel if it holds a list of its own; opened through
    # the folder above, it belongs to the PRS-CSx list there.
    above = path.absolute().parent if folder == path else path
    own = _snpinfo_files(folder, _SINGLE, panel_name)
    shared = _snpinfo_files(above, _MULTI, panel_name) if named else []
    if own and shared:
        own, shared = (own, []) if folder == path else ([], shared)
    if own:
        label = named["population"].upper() if named else (population or "")
        return Panel(folder, own[0], stem, label, "MAF", None)
    if shared and named:
        label = named["population"].upper()
        return Panel(folder, shared[0], stem, label, f"FRQ_{label}", f"FLP_{label}")
    raise LDReferenceError(
        "has no list of variants: neither snpinfo_*_hm3 in it (PRS-CS) nor snpinfo_mult_*_hm3 "
        "beside it (PRS-CSx)",
        path=folder,
        remedy="put the panel's snpinfo file where it was in the download",
    )


def _snpinfo_files(folder: Path, pattern: re.Pattern[str], panel_name: str | None) -> list[Path]:
    found = [(p, m) for p in sorted(folder.glob("snpinfo_*")) if (m := pattern.fullmatch(p.name))]
    same = [p for p, m in found if panel_name is None or m["panel"] == panel_name]
    return same or ([found[0][0]] if len(found) == 1 else [])


def _choose_population(path: Path, population: str | None) -> Path:
    """Return the ``ldblk_*`` folder of a population among those in `path`."""
    folders = [
        (p, m) for p in sorted(path.iterdir()) if p.is_dir() and (m := _FOLDER.fullmatch(p.name))
    ]
    if not folders:
        raise LDReferenceError(
            "is not an LD panel: it holds neither ldblk_*_chr*.hdf5 files (PRS-CS) nor "
            "ldblk_* folders (PRS-CSx)",
            path=path,
        )
    names = ", ".join(p.name for p, _ in folders)
    if population is None:
        if len(folders) == 1:
            return folders[0][0]
        raise LDReferenceError(
            f"has LD of several populations: {names}",
            path=path,
            remedy="say which one: population='EUR'",
        )
    chosen = [(p, m) for p, m in folders if m["population"].upper() == population.upper()]
    if not chosen:
        raise LDReferenceError(
            f"has no folder ldblk_*_{population.lower()} for population {population!r}; "
            f"there are: {names}",
            path=path,
            remedy="name one of these populations, or unpack the missing folder here",
        )
    # With two panels side by side the 1000 Genomes one is taken, as PRS-CSx does.
    chosen.sort(key=lambda item: item[1]["panel"] != "1kg")
    if len(chosen) > 1:
        logger.warning(
            "%s: %s is taken, not %s",
            path,
            chosen[0][0].name,
            ", ".join(p.name for p, _ in chosen[1:]),
        )
    return chosen[0][0]


def read_snpinfo(panel: Panel) -> pd.DataFrame:
    """Read the list of variants of a panel.

    Returns
    -------
    DataFrame
        Columns chrom (code), pos, id, effect_allele (A1), other_allele, eaf (of A1; 0 where
        the variant is not in the population's panel) and flip (1 or -1: what the stored LD of
        a variant is to be multiplied by to count A1).

    Raises
    ------
    FileFormatError, ColumnError, InvalidValueError
        If it is not such a table.
    """
    path = existing_file(panel.snpinfo, "panel's list of variants")
    text = dict.fromkeys(("CHR", "SNP", "A1", "A2"), str)
    try:
        frame = pd.read_csv(path, sep=r"\s+", dtype=text, na_filter=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise FileFormatError(f"not a table ({error})", path=path) from error
    numbers = ["BP", panel.frequency_column, *([panel.flip_column] if panel.flip_column else [])]
    lacking = [name for name in (*text, *numbers) if name not in frame]
    if lacking:
        raise ColumnError(
            f"lacks the columns {', '.join(lacking)}; it has {', '.join(map(str, frame.columns))}",
            path=path,
        )
    for name in numbers:
        _check(
            panel, frame, name, pd.to_numeric(frame[name], errors="coerce").isna(), "not numbers"
        )
        frame[name] = pd.to_numeric(frame[name])
    frequency = frame[panel.frequency_column]
    _check(
        panel,
        frame,
        panel.frequency_column,
        (frequency < 0) | (frequency > 1),
        "not frequencies in [0, 1]",
    )
    flip = pd.Series(1, index=frame.index)
    if panel.flip_column:
        flip = frame[panel.flip_column]
        bad = (frequency > 0) & (flip.abs() != 1)
        _check(panel, frame, panel.flip_column, bad, "neither 1 nor -1")
    chrom = chromosome_codes(frame["CHR"].to_numpy(dtype=object))
    _check(panel, frame, "CHR", pd.Series(chrom == 0, index=frame.index), "not chromosomes")
    return pd.DataFrame(
        {
            "chrom": chrom,
            "pos": frame["BP"].to_numpy(dtype=np.int64),
            "id": frame["SNP"],
            "effect_allele": frame["A1"],
            "other_allele": frame["A2"],
            "eaf": frequency.to_numpy(dtype=np.float64),
            "flip": flip.to_numpy(dtype=np.float32),
        }
    )


def _check(panel: Panel, frame: pd.DataFrame, column: str, bad: pd.Series, what: str) -> None:
    rows = np.flatnonzero(bad.to_numpy(dtype=bool))
    if len(rows):
        raise InvalidValueError(
            f"{len(rows):,} values are {what}",
            path=panel.snpinfo,
            line=int(rows[0]) + 2,
            column=column,
            rows=[
                f"line {i + 2}: {frame['SNP'].iloc[i]} {frame[column].iloc[i]}" for i in rows[:5]
            ],
            n_rows=len(rows),
        )


def chromosome_files(panel: Panel, codes: NDArray[np.int8]) -> list[Path]:
    """Return the files of chromosomes, all of which must be there."""
    labels = chromosome_labels(codes)
    files = [panel.folder / f"{panel.stem}{label}.hdf5" for label in labels]
    lacking = [i for i, file in enumerate(files) if not file.is_file()]
    if lacking:
        have = sorted(p.name for p in panel.folder.glob("*.hdf5"))
        raise LDReferenceError(
            f"the LD of chromosome {', '.join(labels[lacking])} is missing: "
            f"no file {files[lacking[0]].name} (there is {', '.join(have) or 'none'})",
            path=panel.folder,
            rows=[str(files[i]) for i in lacking],
            remedy="unpack the whole panel, or name the chromosomes that you need (chromosomes=)",
        )
    return files
