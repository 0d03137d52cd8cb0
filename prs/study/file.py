"""The study file (TOML): read, and explained where it is wrong."""

from __future__ import annotations

import difflib
import re
import tomllib
from pathlib import Path

import msgspec

from prs.errors import StudyFileError
from prs.files import existing_file
from prs.study.checks import check_settings
from prs.study.inputs import Harmonising, Population, Quality, Target
from prs.study.methods import CsxSettings, Methods, ThresholdSettings
from prs.study.model import Study, line_of
from prs.study.results import AbsoluteRisk, EvaluationSettings, ReportSettings
from prs.study.sections import Section

__all__ = ["read_study"]


def _known_keys(where: str) -> list[str]:
    """Return the keys that the section at a msgspec path (``$.target``) may hold."""
    sections: dict[str, type[Section]] = {
        "$": Study,
        "$.target": Target,
        "$.methods": Methods,
        "$.methods.ct": ThresholdSettings,
        "$.methods.csx": CsxSettings,
        "$.evaluation": EvaluationSettings,
        "$.evaluation.absolute_risk": AbsoluteRisk,
        "$.harmonise": Harmonising,
        "$.harmonise.qc": Quality,
        "$.report": ReportSettings,
        "$.populations[...]": Population,
    }
    section = sections.get(where)
    return [] if section is None else [name for name in section.__struct_fields__ if name != "path"]


def _explain(error: msgspec.ValidationError, text: str, path: Path) -> StudyFileError:
    """Turn msgspec's message into one that names the line and the remedy."""
    message = str(error)
    place = re.search(r" - at `(.*)`$", message)
    where = place.group(1) if place else "$"
    unknown = re.search(r"unknown field `(.*?)`", message)
    missing = re.search(r"missing required field `(.*?)`", message)
    section = where.removeprefix("$").removeprefix(".").replace("[...]", ".NAME") or "top level"
    if unknown:
        key, known = unknown.group(1), _known_keys(where)
        close = difflib.get_close_matches(key, known, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        return StudyFileError(
            f"unknown key {key!r} in [{section}]",
            path=path,
            line=line_of(text, key),
            remedy=f"{hint}keys here: {', '.join(known)}",
        )
    if missing:
        return StudyFileError(
            f"key {missing.group(1)!r} is missing in [{section}]",
            path=path,
            remedy=f"keys here: {', '.join(_known_keys(where))}",
        )
    key = where.rstrip("]").split(".")[-1].split("[")[0]
    return StudyFileError(
        f"[{section}]: {message.split(' - at ')[0]}", path=path, line=line_of(text, key)
    )


def read_study(path: str | Path) -> Study:
    """Read and check a study file.

    Parameters
    ----------
    path : str or Path
        A TOML file; see the classes of this module for its sections and keys.

    Returns
    -------
    Study

    Raises
    ------
    FileFormatError
        If the file is missing or empty.
    StudyFileError
        If it is not TOML, a key is unknown, missing or of the wrong kind, a population that is
        named has no section, or a value is out of range.
    """
    path = existing_file(path, "study file")
    try:
        text = path.read_text(encoding="utf-8")
        content = tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise StudyFileError(f"is not UTF-8 text ({error})", path=path) from error
    except tomllib.TOMLDecodeError as error:
        raise StudyFileError(f"is not valid TOML: {error}", path=path) from error
    try:
        study = msgspec.convert({**content, "path": str(path)}, Study)
    except msgspec.ValidationError as error:
        raise _explain(error, text, path) from error
    if "path" in content:
        raise StudyFileError(
            "unknown key 'path' in [top level]", path=path, line=line_of(text, "path")
        )
    check_settings(study)
    return study
