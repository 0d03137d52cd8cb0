"""Lists of people and of variants: read from files, and found among the genotypes."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prs.errors import InvalidValueError, OverlapError, SampleMismatchError
from prs.files import read_bytes
from prs.samples import SampleTable, match_samples

__all__ = ["choose_people", "choose_variants", "read_sample_list", "read_variant_list"]

logger = logging.getLogger(__name__)


def read_sample_list(path: str | Path) -> SampleTable:
    """Read a list of people: ``FID IID`` or ``IID`` on each line, as PLINK's --keep takes.

    Further columns are ignored, and a first line that names the columns (``#FID IID``,
    ``#IID``, ``IID``) is understood. Somebody who is listed twice counts once.

    Raises
    ------
    FileFormatError
        If the file is missing or empty.
    InvalidValueError
        If lines differ in whether they hold a family id.
    """
    lines = read_bytes(path, "list of people").decode("utf-8", "replace").splitlines()
    rows = [(number, line.split()) for number, line in enumerate(lines, start=1) if line.strip()]
    if not rows:  # characters that are blank as text and not as bytes
        raise InvalidValueError("list of people is empty", path=path)
    header = [cell.lower().lstrip("#") for cell in rows[0][1]]
    fid_at: int | None
    if "iid" in header:
        iid_at, fid_at = header.index("iid"), header.index("fid") if "fid" in header else None
        rows = rows[1:]
    else:
        iid_at, fid_at = (1, 0) if len(header) >= 2 else (0, None)
    if not rows:
        raise InvalidValueError("lists nobody below its header", path=path)
    needed = max(iid_at, fid_at or 0) + 1
    short = [number for number, cells in rows if len(cells) < needed]
    if short:
        raise InvalidValueError(
            f"{len(short):,} lines have fewer than {needed} columns",
            path=path,
            line=short[0],
            rows=[lines[number - 1] for number in short[:5]],
            n_rows=len(short),
            remedy="give FID and IID, or IID alone, on every line",
        )
    people = dict.fromkeys(("0" if fid_at is None else c[fid_at], c[iid_at]) for _, c in rows)
    return SampleTable.from_ids([iid for _, iid in people], [fid for fid, _ in people])


def read_variant_list(path: str | Path) -> list[str]:
    """Read a list of variant ids, one a line, as PLINK's --extract takes; more columns are left.

    Raises
    ------
    FileFormatError
        If the file is missing or empty.
    """
    lines = read_bytes(path, "list of variants").decode("utf-8", "replace").splitlines()
    return [line.split()[0] for line in lines if line.strip() and not line.startswith("#")]


def choose_people(
    samples: SampleTable,
    keep: str | Path | None,
    remove: str | Path | None,
    target_name: str = "the genotypes",
) -> NDArray[np.int64]:
    """Return which people two lists leave, in the order of `samples`.

    The rule for every list of people or variants: what is listed and not there is counted and
    said (a warning), and it is an error where nothing that is listed is there.

    Parameters
    ----------
    samples : SampleTable
        Who is there.
    keep, remove : str, Path or None
        Files as `read_sample_list` takes: those to use, and those not to.
    target_name : str
        What `samples` are those of, for messages.

    Returns
    -------
    ndarray of int64
        Ascending.

    Raises
    ------
    SampleMismatchError
        If nobody of a list is there, or nobody is left.
    """
    chosen = np.ones(len(samples), dtype=bool)
    for path, is_kept in ((keep, True), (remove, False)):
        if path is None:
            continue
        listed = read_sample_list(path)
        found, at = match_samples(
            listed, samples, what="the list", target_name=target_name, path=path
        )
        named = np.zeros(len(samples), dtype=bool)
        named[at] = True
        chosen &= named if is_kept else ~named
        absent = np.ones(len(listed), dtype=bool)
        absent[found] = False
        names = [f"{listed.fid[i]} {listed.iid[i]}" for i in np.flatnonzero(absent)[:1]]
        _say_absent(path, int(absent.sum()), len(listed), "people", target_name, names)
    if not chosen.any():
        raise SampleMismatchError(
            f"nobody of {target_name} is left",
            path=remove,
            remedy="check which people the two lists name",
        )
    return np.flatnonzero(chosen).astype(np.int64)


def choose_variants(
    ids: NDArray[np.object_],
    extract: str | Path | None,
    exclude: str | Path | None,
    target_name: str = "the genotypes",
) -> NDArray[np.int64]:
    """Return which variants two lists of ids leave, in the order of `ids`; see `choose_people`.

    Raises
    ------
    OverlapError
        If no variant of a list is there, or none is left.
    """
    there = pd.Index(ids)
    chosen = np.ones(len(ids), dtype=bool)
    for path, is_kept in ((extract, True), (exclude, False)):
        if path is None:
            continue
        listed = pd.Index(read_variant_list(path)).unique()
        named = np.asarray(there.isin(listed))
        absent = listed[~listed.isin(there)]
        if not named.any():
            raise OverlapError(
                f"none of the {len(listed):,} listed variants is in {target_name}",
                path=path,
                rows=list(absent[:5]),
                n_rows=len(absent),
                remedy="list ids as the .bim or .pvar has them",
            )
        chosen &= named if is_kept else ~named
        names = list(absent[:1])
        _say_absent(path, len(absent), len(listed), "variants", target_name, names)
    if not chosen.any():
        raise OverlapError(
            f"no variant of {target_name} is left",
            path=exclude,
            remedy="check which variants the two lists name",
        )
    return np.flatnonzero(chosen).astype(np.int64)


def _say_absent(
    path: str | Path, n_absent: int, n_listed: int, what: str, target_name: str, names: list[str]
) -> None:
    if n_absent:
        logger.warning(
            "%s: %s of the %s listed %s are not in %s (%s, ...)",
            path, f"{n_absent:,}", f"{n_listed:,}", what, target_name, names[0],
        )  # fmt: skip
