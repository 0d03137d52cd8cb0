"""A `CsxPosterior` on disk: one compressed NumPy file, with its settings as JSON inside."""

from __future__ import annotations

import json
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from prs.errors import FileFormatError
from prs.files import existing_file, write_atomically
from prs.matching import MatchReport
from prs.variants import VariantTable
from prs.weights.csx_posterior import CsxPosterior, CsxSettings

__all__ = ["read_posterior", "write_posterior"]

_FORMAT = "prs csx posterior 1"
_TABLE = ("chrom", "pos", "id", "effect_allele", "other_allele")
_ARRAYS = ("beta_mean", "beta_sd", "psi_mean", "eaf", "n_gwas", "phi_trace")
_BY_POPULATION = ("sigma_trace", "explained_trace", "prediction_trace")


def write_posterior(posterior: CsxPosterior, path: str | Path) -> Path:
    """Write a posterior (moments, traces, diagnostics, settings; draws if kept).

    Parameters
    ----------
    posterior : CsxPosterior
    path : str or Path
        Ends in ``.npz``. The file appears whole or not at all.

    Returns
    -------
    Path
    """
    arrays: dict[str, Any] = {}
    for name in _TABLE:
        column = getattr(posterior.variants, name)
        arrays[f"variants.{name}"] = column.astype(str) if column.dtype == object else column
    for name in _ARRAYS:
        arrays[name] = getattr(posterior, name)
    for name in _BY_POPULATION:
        for population, trace in getattr(posterior, name).items():
            arrays[f"{name}.{population}"] = trace
    for population, draws in (posterior.draws or {}).items():
        arrays[f"draws.{population}"] = draws
    header = {
        "format": _FORMAT,
        "populations": posterior.populations,
        "rhat": dict(posterior.rhat),
        "ess": dict(posterior.ess),
        "converged": posterior.converged,
        "warnings": posterior.warnings,
        "outside": dict(posterior.outside),
        "prediction_error": dict(posterior.prediction_error),
        "settings": asdict(posterior.settings),
        "match_reports": [asdict(report) for report in posterior.match_reports],
    }
    arrays["header"] = np.array(json.dumps(header))
    path = Path(path)
    with write_atomically(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)
    return path


def read_posterior(path: str | Path) -> CsxPosterior:
    """Read what `write_posterior` wrote.

    Raises
    ------
    FileFormatError
        If the file is missing, damaged, or something else.
    """
    path = existing_file(path, "posterior")
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        header = json.loads(str(arrays.pop("header")))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise FileFormatError(
            f"not a posterior that prs wrote, or damaged ({error})", path=path
        ) from error
    if not isinstance(header, dict) or header.get("format") != _FORMAT:
        raise FileFormatError(f"not of the format {_FORMAT!r}", path=path)
    populations = tuple(header["populations"])

    def by_population(name: str) -> dict[str, Any]:
        return {p: arrays[f"{name}.{p}"] for p in populations}

    columns = {name: arrays[f"variants.{name}"] for name in _TABLE}
    settings = dict(header["settings"], phi=tuple(header["settings"]["phi"]))
    return CsxPosterior(
        variants=VariantTable(
            **{k: v.astype(object) if v.dtype.kind == "U" else v for k, v in columns.items()}
        ),
        populations=populations,
        **{name: arrays[name] for name in _ARRAYS},
        sigma_trace=by_population("sigma_trace"),
        explained_trace=by_population("explained_trace"),
        prediction_trace=by_population("prediction_trace"),
        rhat=header["rhat"],
        ess=header["ess"],
        converged=header["converged"],
        warnings=tuple(header["warnings"]),
        match_reports=tuple(
            MatchReport(**dict(one, notes=tuple(one["notes"]))) for one in header["match_reports"]
        ),
        outside=header["outside"],
        prediction_error=header.get("prediction_error", {}),
        settings=CsxSettings(**settings),
        draws=by_population("draws") if f"draws.{populations[0]}" in arrays else None,
    )
