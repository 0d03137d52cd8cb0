"""A run of the sampler on disk, so that one that was killed goes on to the same bits."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from glob import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prs.errors import CheckpointError
from prs.files import write_atomically
from prs.provenance import package_versions
from prs.weights.csx_chain import Chains
from prs.weights.csx_convergence import Traces
from prs.weights.csx_model import CsxModel
from prs.weights.csx_settings import ChainSettings

__all__ = ["Progress", "load_checkpoint", "remove_checkpoint", "run_key", "save_checkpoint"]

logger = logging.getLogger(__name__)

_FORMAT = "prs csx checkpoint 1"
_MODEL = (
    "n_gwas", "index", "b", "diagonal", "starts", "ld_starts", "ld", "block_population",
    "block_group", "group_starts", "chunks", "directions",
)  # fmt: skip
_TRACES = tuple(one.name for one in fields(Traces))


@dataclass
class Progress:
    """How far a run has come, besides the state of its chains.

    Attributes
    ----------
    iteration : int
        Iterations made.
    totals : list of dict of str to ndarray
        Totals of the windows that count and are over; see `Chains.take_totals`.
    draw_at : list of int
        Iterations of the draws that are kept.
    draws : list of ndarray of float32, each of shape (C, T)
    stride : int
        Every how many iterations a draw is kept.
    is_settled : bool
        Whether the run stopped since its predictions are exact enough.
    """

    iteration: int = 0
    totals: list[dict[str, NDArray[Any]]] = field(default_factory=list)
    draw_at: list[int] = field(default_factory=list)
    draws: list[NDArray[np.float32]] = field(default_factory=list)
    stride: int = 1
    is_settled: bool = False


def run_key(model: CsxModel, settings: ChainSettings, kind: type[Chains]) -> dict[str, Any]:
    """Return all that decides the bits of a run, as plain containers; the model as a digest."""
    digest = hashlib.blake2b(digest_size=16)
    for name in _MODEL:
        array = np.ascontiguousarray(getattr(model, name))
        digest.update(f"{name} {array.dtype} {array.shape};".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    digest.update(repr((model.populations, model.ld_unit)).encode())
    chosen = asdict(settings)
    del chosen["n_threads"]  # changes no bit
    key = {
        "chain": kind.__name__,
        "state": [*kind.STATE, *kind.TOTALS],
        "model": digest.hexdigest(),
        "versions": package_versions(),
    }
    plain: dict[str, Any] = json.loads(json.dumps({**chosen, **key}))
    return plain


def save_checkpoint(
    path: Path, key: Mapping[str, Any], chains: Chains, traces: Traces, progress: Progress
) -> None:
    """Write all that is needed to go on; the file appears whole or not at all."""
    n = progress.iteration
    arrays: dict[str, NDArray[Any]] = {f"state.{k}": v for k, v in chains.state().items()}
    for name in _TRACES:
        arrays[f"trace.{name}"] = getattr(traces, name)[:, :n]
    for i, totals in enumerate(progress.totals):
        arrays |= {f"totals.{i}.{name}": array for name, array in totals.items()}
    for i, draw in enumerate(progress.draws):
        arrays[f"draw.{i}"] = draw
    header = {
        "format": _FORMAT,
        "key": key,
        "iteration": n,
        "n_totals": len(progress.totals),
        "draw_at": progress.draw_at,
        "stride": progress.stride,
        "is_settled": progress.is_settled,
    }
    arrays["header"] = np.array(json.dumps(header))
    with write_atomically(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
        file.flush()
        os.fsync(file.fileno())


def load_checkpoint(
    path: Path, key: Mapping[str, Any], chains: Chains, traces: Traces
) -> Progress | None:
    """Set chains and traces to where a checkpoint left them; None if there is none.

    Parameters
    ----------
    path : Path
    key : mapping
        Of the run that wants to go on; see `run_key`.
    chains, traces
        Set.

    Raises
    ------
    CheckpointError
        If the file is not a checkpoint, or of a run with other inputs, settings or versions;
        names them.
    """
    _remove_leftovers(path)
    if not path.exists():
        return None
    header, arrays = _read(path)
    _refuse_others(path, header["key"], key)
    progress = Progress(
        iteration=header["iteration"],
        totals=[
            {name: arrays[f"totals.{i}.{name}"] for name in chains.TOTALS}
            for i in range(header["n_totals"])
        ],
        draw_at=header["draw_at"],
        draws=[arrays[f"draw.{i}"] for i in range(len(header["draw_at"]))],
        stride=header["stride"],
        is_settled=header["is_settled"],
    )
    state = {n: arrays[f"state.{n}"] for n in (*chains.STATE, *chains.TOTALS)}
    for name in _TRACES:
        getattr(traces, name)[:, : progress.iteration] = arrays[f"trace.{name}"]
    chains.restore(state)
    logger.info("%s: going on after iteration %s", path, f"{progress.iteration:,}")
    return progress


def _read(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return header and arrays of a checkpoint."""
    header: dict[str, Any] = {}
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        header = json.loads(str(arrays.pop("header")))
        problem = "" if header.get("format") == _FORMAT else f"format {header.get('format')!r}"
    except (OSError, ValueError, KeyError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        problem = str(error)
    if problem:
        raise CheckpointError(
            f"not a checkpoint of this sampler, or damaged ({problem})",
            path=path,
            remedy="delete it, or give another path",
        )
    return header, arrays


def remove_checkpoint(path: str | Path) -> None:
    """Delete a checkpoint whose run is over and written, and what a killed run left beside it."""
    path = Path(path)
    path.unlink(missing_ok=True)
    _remove_leftovers(path)


def _remove_leftovers(path: Path) -> None:
    """Delete files that a run was writing when it was killed."""
    if path.parent.is_dir():
        for file in path.parent.glob(f".{escape(path.name)}.*.tmp{escape(path.suffix)}"):
            file.unlink(missing_ok=True)


def _refuse_others(path: Path, theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> None:
    other = [name for name in ours if theirs.get(name) != ours[name]]
    if not other:
        return
    told = []
    for name in other:
        if name == "model":
            told.append("other summary statistics, LD or variants")
        elif name == "state":
            told.append("another version of the sampler")
        elif name == "versions":
            old, new = dict(theirs.get(name, {})), dict(ours[name])
            changed = [f"{k} {old.get(k)}, now {new.get(k)}" for k in new if old.get(k) != new[k]]
            told.append("other versions: " + ", ".join(changed))
        else:
            told.append(f"{name} = {theirs.get(name)}, now {ours[name]}")
    raise CheckpointError(
        f"is the checkpoint of another run: {'; '.join(told)}",
        path=path,
        remedy="delete it to begin anew, or give another path",
    )
