"""PRS-CSx and PRS-CS panel folders, as they are: LD is matched to the variant list by name."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prs.errors import FileFormatError, LDReferenceError
from prs.files import existing_file
from prs.ld.panel_files import chromosome_files, find_panel, read_snpinfo
from prs.ld.reference import LDReference, as_correlation
from prs.variants import VariantTable, chromosome_labels

__all__ = ["open_panel"]

logger = logging.getLogger(__name__)

_BLOCK = re.compile(r"blk_(\d+)")


def open_panel(
    path: Path, *, population: str | None, chromosomes: NDArray[np.int8] | None
) -> LDReference:
    """Open one population of a PRS-CSx (Ruan et al. 2022) or PRS-CS (Ge et al. 2019) panel.

    The effect allele is A1 of the variant list and FRQ (or MAF) its frequency; a frequency of
    0 says that the variant is not in that population's panel. The stored correlations count
    the allele that FLP names: -1 turns the variant's row and column. Blocks are matched to the
    variant list by name, so neither needs to be in the other's order; within a block variants
    are sorted by position, and blocks by their first one.

    Parameters
    ----------
    path : Path
        The folder with ``snpinfo_mult_*``, one of its ``ldblk_*`` folders, or a PRS-CS folder.
    population : str, optional
        Which one, where there are several.
    chromosomes : ndarray of int8, optional
        Only these; default: all of the variant list.

    Raises
    ------
    LDReferenceError
        If the panel is incomplete or inconsistent.
    ColumnError, InvalidValueError, FileFormatError
        If its variant list or a file cannot be read.
    """
    panel = find_panel(path, population)
    info = read_snpinfo(panel)
    notes = [f"variants of {panel.snpinfo.name}, LD of {panel.folder.name}"]
    if population and population.upper() != panel.population.upper():
        remark = f"LD of population {panel.population!r} is used for {population!r}"
        logger.warning("%s: %s", panel.folder, remark)
        notes.append(remark)
    info = info[(info["eaf"] > 0) & (info["eaf"] < 1)].reset_index(drop=True)
    present = np.unique(info["chrom"])
    if chromosomes is not None:
        lacking = chromosomes[~np.isin(chromosomes, present)]
        if len(lacking):
            raise LDReferenceError(
                f"lists no {panel.population} variant on chromosome "
                f"{', '.join(chromosome_labels(lacking))}",
                path=panel.snpinfo,
                remedy=f"it has chromosome {', '.join(chromosome_labels(present))}",
            )
        present = chromosomes
    if len(present) == 0:
        raise LDReferenceError(f"lists no {panel.population} variant", path=panel.snpinfo)
    files = chromosome_files(panel, present)
    parts = [
        _open_chromosome(file, info[info["chrom"] == code])
        for file, code in zip(files, present, strict=True)
    ]
    lost: dict[str, int] = {}
    for part in parts:
        for reason, n in part.lost.items():
            lost[reason] = lost.get(reason, 0) + n
    for reason, n in lost.items():
        if n:
            notes.append(f"{n:,} {reason}")
            logger.info("%s: %s", panel.folder, notes[-1])
    rows = info.iloc[np.concatenate([part.info_rows for part in parts])]
    if len(rows) == 0:
        raise LDReferenceError(
            "no variant of the list is in the LD blocks: the list and the folder are of "
            "different panels",
            path=panel.snpinfo,
        )
    blocks = [block for part in parts for block in part.blocks]
    return LDReference(
        VariantTable(
            rows["chrom"].to_numpy(),
            rows["pos"].to_numpy(),
            rows["id"].to_numpy(dtype=object),
            rows["effect_allele"].to_numpy(dtype=object),
            rows["other_allele"].to_numpy(dtype=object),
        ),
        rows["eaf"].to_numpy(dtype=np.float64),
        np.cumsum([0, *(len(block.rows) for block in blocks)]),
        panel.population,
        None,
        str(panel.folder),
        _PanelReader(tuple(blocks)),
        tuple(notes),
    )


@dataclass(frozen=True, eq=False)
class _Block:
    """One stored block, and which of its rows are wanted, in which order, with which sign."""

    file: Path
    name: str
    rows: NDArray[np.int64]
    sign: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class _Chromosome:
    """The blocks of one chromosome, sorted, and the rows of the variant list in that order."""

    blocks: tuple[_Block, ...]
    info_rows: NDArray[np.int64]
    lost: dict[str, int]


def _open_chromosome(path: Path, info: pd.DataFrame) -> _Chromosome:
    """Match the blocks of one file to the variant list of its chromosome, by name."""
    names, lists = _read_lists(path)
    sizes = np.array([len(one) for one in lists], dtype=np.int64)
    snp = np.concatenate([*lists, np.zeros(0, dtype=object)])
    block = np.repeat(np.arange(len(lists)), sizes)
    row = np.arange(len(snp)) - np.repeat(np.cumsum(sizes) - sizes, sizes)

    first_listed = ~info["id"].duplicated().to_numpy()
    listed = np.flatnonzero(first_listed)
    hit = pd.Index(info["id"].to_numpy(dtype=object)[listed]).get_indexer(pd.Index(snp))
    again = pd.Index(snp).duplicated()
    kept = np.flatnonzero((hit >= 0) & ~again)
    lost = {
        "variants of the list were named twice; the first is used": int((~first_listed).sum()),
        "variants of the list are in no LD block and were left out": len(listed) - len(kept),
        "variants of the LD blocks are not in the list and were left out": int(
            np.sum((hit < 0) & ~again)
        ),
        "variants were in the LD blocks twice; the first is used": int(again.sum()),
        "LD blocks are empty": int(np.sum(sizes == 0)),
    }
    info_row, block, row = listed[hit[kept]], block[kept], row[kept]
    pos = info["pos"].to_numpy()[info_row]
    first_pos = np.full(len(lists), np.iinfo(np.int64).max)
    np.minimum.at(first_pos, block, pos)
    order = np.lexsort((info_row, pos, block, first_pos[block]))
    info_row, block, row = info_row[order], block[order], row[order]
    sign = info["flip"].to_numpy(dtype=np.float32)[info_row]
    edges = np.flatnonzero(np.diff(block, prepend=-1, append=-1))
    blocks = tuple(
        _Block(path, names[block[start]], row[start:stop], sign[start:stop])
        for start, stop in pairwise(edges.tolist())
    )
    return _Chromosome(blocks, info.index.to_numpy()[info_row], lost)


def _read_lists(path: Path) -> tuple[list[str], list[NDArray[np.object_]]]:
    """Read the names of blocks, in the order of their numbers, and of their variants."""
    with _open_hdf5(path) as file:
        numbered = [(int(m[1]), name) for name in file if (m := _BLOCK.fullmatch(name))]
        names = [name for _, name in sorted(numbered)]
        if not names:
            raise LDReferenceError("holds no groups blk_1, blk_2, ...", path=path)
        lists = []
        for name in names:
            group = file[name]
            if "snplist" not in group or "ldblk" not in group:
                raise LDReferenceError(
                    f"block {name} lacks its dataset "
                    f"{'ldblk' if 'snplist' in group else 'snplist'}",
                    path=path,
                )
            raw = group["snplist"][...].tolist() if group["snplist"].shape else []
            shape, size = group["ldblk"].shape, len(raw)
            if size and shape != (size, size):
                raise LDReferenceError(
                    f"block {name} lists {size:,} variants and holds a matrix of shape {shape}",
                    path=path,
                )
            lists.append(
                np.array([s.decode() if isinstance(s, bytes) else s for s in raw], dtype=object)
            )
    return names, lists


def _open_hdf5(path: Path) -> h5py.File:
    existing_file(path, "LD file of a panel")
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise FileFormatError(
            f"not an HDF5 file, or truncated ({error})",
            path=path,
            remedy="unpack or download the panel again",
        ) from error


@dataclass(frozen=True, eq=False)
class _PanelReader:
    """Reads blocks of a panel; opens the file anew each time (a millisecond)."""

    blocks: tuple[_Block, ...]

    def __call__(self, number: int) -> NDArray[np.float32]:
        block = self.blocks[number]
        with _open_hdf5(block.file) as file:
            try:
                stored = np.asarray(file[block.name]["ldblk"][...], dtype=np.float32)
            except (OSError, KeyError) as error:
                raise FileFormatError(
                    f"block {block.name} cannot be read ({error})",
                    path=block.file,
                    remedy="unpack or download the panel again",
                ) from error
        matrix = as_correlation(stored, f"{block.file}: block {block.name}")
        rows = block.rows
        if len(rows) < len(matrix) or np.any(np.diff(rows) != 1):
            matrix = matrix[np.ix_(rows, rows)]
        if np.any(block.sign != 1):
            matrix *= block.sign[:, None]
            matrix *= block.sign
        return matrix
