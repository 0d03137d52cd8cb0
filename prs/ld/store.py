"""LD references on disk: our own HDF5 file, written and read block by block, and `open_ld`."""

from __future__ import annotations

import hashlib
import logging
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import h5py
import numpy as np
from numpy.typing import NDArray

from prs.cluster import map_tasks
from prs.errors import FileFormatError, LDReferenceError, SettingsError
from prs.files import existing_file, write_atomically
from prs.ld.journal import Journal
from prs.ld.panel import open_panel
from prs.ld.reference import BlockReader, LDReference
from prs.locks import hold_file
from prs.variants import VariantTable, chromosome_codes, chromosome_labels

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["open_ld", "write_ld"]

logger = logging.getLogger(__name__)

_FORMAT = "prs-ld"
_FORMAT_VERSION = 2  # 2: correlations may be stored as whole numbers
_TEXT = ("id", "effect_allele", "other_allele")
Precision: TypeAlias = Literal["float32", "int16", "int8"]
#: What a correlation of 1 is stored as, and the type of the stored numbers.
_SCALES: dict[str, float] = {"float32": 1.0, "int16": 32767.0, "int8": 127.0}
_TYPES = {"float32": "<f4", "int16": "<i2", "int8": "|i1"}
#: Strings up to this length are stored in columns of one width, which compress; longer ones
#: (alleles of long insertions) one by one.
_MAX_FIXED_WIDTH = 64


def write_ld(
    ld: LDReference,
    path: str | Path,
    *,
    precision: Precision = "float32",
    resume: bool = False,
    n_threads: int | None = None,
    client: Client | None = None,
) -> None:
    """Write an LD reference to one HDF5 file, streaming its blocks.

    Only the blocks in flight are in memory. The file is a standard HDF5 file: group
    ``variants`` (chrom, pos, id, effect_allele, other_allele, eaf), dataset ``block_starts``,
    and in group ``blocks`` one dataset a block (``000000``, ``000001``, ...) with the
    correlations below the diagonal, row after row: (1,0), (2,0), (2,1), (3,0), ...; float32,
    shuffle and gzip filters. What is read back equals what was written to the bit, unless a
    coarser `precision` is asked for.

    Parameters
    ----------
    ld : LDReference
        Any; where its blocks are computed when read (`compute_ld`), that happens here.
    path : str or Path
        The file to write; it appears when it is complete.
    precision : {"float32", "int16", "int8"}
        How correlations are stored: as they are; or rounded to 1/32,767 or 1/127, in about a
        half or a quarter of the space. Errors are then at most 1.6e-5 or 0.004; 0.004 is the
        standard error of a correlation among 60,000 people.
    resume : bool
        Keep finished blocks in ``.NAME.partial`` beside `path` while the file is made. If the
        run is killed, the next one with the same LD and precision goes on from there, and makes
        the same bytes. The file is removed at the end.
    n_threads : int, optional
        Threads that compute and compress; default: one per core.
    client : distributed.Client, optional
        A cluster whose workers compute and compress instead; the bytes are the same.

    Raises
    ------
    SettingsError
        If `precision` is none of the choices.
    FolderInUseError
        If `resume` is set and another process is making the same file.
    """
    if precision not in _SCALES:
        raise SettingsError(
            f"precision={precision!r} is not one of {', '.join(map(repr, _SCALES))}"
        )
    prepare = _Packer(ld.reader, precision)
    if not resume:
        packed = map_tasks(prepare, _with_progress(range(ld.n_blocks)), n_threads, client)
        _write_file(ld, path, precision, packed)
        return
    path = Path(path)
    with hold_file(path.with_name(f".{path.name}.lock"), str(path), remove=True):
        journal = Journal(path, _fingerprint(ld, precision))
        todo = range(journal.n_done, ld.n_blocks)
        if journal.n_done:
            logger.info("%s: %d of %d blocks are there already", path, len(journal), ld.n_blocks)
        for entry in map_tasks(prepare, _with_progress(todo), n_threads, client):
            journal.append(*entry)
        _write_file(ld, path, precision, journal.entries())
        journal.remove()


def _fingerprint(ld: LDReference, precision: str) -> bytes:
    """Return a digest of all that decides the bytes of the file."""
    digest = hashlib.sha256()
    settings = (ld.population, ld.n_samples, ld.source, ld.notes, precision, _own_version())
    digest.update(repr(settings).encode())
    for values in (ld.variants.chrom, ld.variants.pos, ld.eaf, ld.block_starts):
        digest.update(np.ascontiguousarray(values).tobytes())
    for name in _TEXT:
        digest.update("\n".join(getattr(ld.variants, name).tolist()).encode())
    return digest.digest()


def _write_file(
    ld: LDReference, path: str | Path, precision: str, packed: Iterable[tuple[int, bytes]]
) -> None:
    with write_atomically(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs["format"] = _FORMAT
        file.attrs["format_version"] = 1 if precision == "float32" else _FORMAT_VERSION
        file.attrs["precision"] = precision
        file.attrs["population"] = ld.population
        file.attrs["n_samples"] = -1 if ld.n_samples is None else ld.n_samples
        file.attrs["source"] = ld.source
        file.attrs["created_by"] = f"prs {_own_version()}"
        file.attrs["notes"] = "\n".join(ld.notes)
        group = file.create_group("variants")
        filters = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
        for name in ("chrom", "pos"):
            group.create_dataset(name, data=getattr(ld.variants, name), **_if_any(ld, filters))
        group.create_dataset("eaf", data=ld.eaf, **_if_any(ld, filters))
        for name in _TEXT:
            _write_strings(group, name, getattr(ld.variants, name))
        file.create_dataset("block_starts", data=ld.block_starts)
        blocks = file.create_group("blocks")

        for block, (size, data) in enumerate(packed):
            _write_block(blocks, _block_name(block), size, data, _TYPES[precision])


def open_ld(
    path: str | Path,
    *,
    population: str | None = None,
    chromosomes: Iterable[int | str] | None = None,
) -> LDReference:
    """Open an LD reference: our own file, or a PRS-CSx or PRS-CS panel folder as it is.

    Parameters
    ----------
    path : str or Path
        A file of `write_ld`; a PRS-CSx folder (``snpinfo_mult_*`` and ``ldblk_*_eur``, ...);
        one of its ``ldblk_*`` folders; or a PRS-CS folder (with its own ``snpinfo_*``).
    population : str, optional
        Which population of a folder that has several ("EUR"). For a file or folder of one
        population: a name, compared with the one stored.
    chromosomes : iterable of int or str, optional
        Only these; default: all that are there.

    Returns
    -------
    LDReference
        Its blocks are read when asked for; ``notes`` says what was left out.

    Raises
    ------
    FileFormatError
        If a file is missing, truncated or not HDF5.
    LDReferenceError
        If a panel is incomplete: no such population, a chromosome's file missing, a block
        that contradicts its list of variants.
    ColumnError, InvalidValueError
        If the panel's list of variants cannot be read.
    """
    path = Path(path)
    wanted = None if chromosomes is None else _codes(chromosomes)
    if path.is_dir():
        return open_panel(path, population=population, chromosomes=wanted)
    ld = _open_file(existing_file(path, "LD reference"))
    if wanted is not None:
        lacking = wanted[~np.isin(wanted, ld.variants.chrom)]
        if len(lacking):
            raise LDReferenceError(
                f"has no variants on chromosome {', '.join(chromosome_labels(lacking))}",
                path=path,
            )
        ld = ld.subset(np.isin(ld.variants.chrom, wanted))
    if population and ld.population and population.upper() != ld.population.upper():
        logger.warning(
            "%s is LD of population %r, and is used for %r", path, ld.population, population
        )
    return ld


def _codes(chromosomes: Iterable[int | str]) -> NDArray[np.int8]:
    labels = [chromosomes] if isinstance(chromosomes, str) else list(chromosomes)
    codes = chromosome_codes(labels)
    unknown = [str(label) for label, code in zip(labels, codes, strict=True) if code == 0]
    if unknown or not labels:
        raise LDReferenceError(
            f"no such chromosome: {', '.join(unknown)}" if unknown else "no chromosome is named",
            remedy="give 1 to 22, X, Y or MT",
        )
    return np.unique(codes)


def _own_version() -> str:
    try:
        return version("prs")
    except PackageNotFoundError:
        return "(not installed)"


def _if_any(ld: LDReference, filters: dict[str, object]) -> dict[str, object]:
    """Return the filters, or none for an empty dataset, which cannot have chunks."""
    return filters if len(ld) else {}


def _with_progress(blocks: range) -> Iterable[int]:
    from tqdm.auto import tqdm

    return tqdm(
        blocks,
        initial=blocks.start,
        total=blocks.stop,
        desc="LD blocks",
        unit="block",
        disable=None,
    )


def _block_name(block: int) -> str:
    return f"{block:06d}"


@dataclass(frozen=True, eq=False)
class _Packer:
    """Reads or computes a block and packs it."""

    reader: BlockReader
    precision: str

    def __call__(self, block: int) -> tuple[int, bytes]:
        return _pack(self.reader(block), self.precision)


def _pack(matrix: NDArray[np.float32], precision: str) -> tuple[int, bytes]:
    """Return the number of entries below the diagonal and their bytes, shuffled and deflated.

    The bytes are those that HDF5's own shuffle and gzip filters make, but made here, where
    threads can share the work: inside HDF5 one lock serialises it.
    """
    below = matrix[np.tri(len(matrix), k=-1, dtype=bool)]
    if precision != "float32":
        below = np.rint(below * np.float32(_SCALES[precision]))
    values = below.astype(_TYPES[precision])
    shuffled = values.view(np.uint8).reshape(-1, values.itemsize).T
    return len(values), zlib.compress(shuffled.tobytes(), 1)


def _unpack(data: bytes, n_variants: int, precision: str) -> NDArray[np.float32]:
    n_values = n_variants * (n_variants - 1) // 2
    kind = np.dtype(_TYPES[precision])
    shuffled = np.frombuffer(zlib.decompress(data), dtype=np.uint8)
    shuffled = shuffled.reshape(kind.itemsize, n_values)
    values = np.ascontiguousarray(shuffled.T).view(kind).ravel()
    return _fill(_as_float(values, precision), n_variants)


def _as_float(values: NDArray[np.generic], precision: str) -> NDArray[np.float32]:
    """Return stored numbers as correlations."""
    below = values.astype(np.float32)
    return below if precision == "float32" else below / np.float32(_SCALES[precision])


def _fill(below: NDArray[np.float32], n_variants: int) -> NDArray[np.float32]:
    matrix = np.zeros((n_variants, n_variants), dtype=np.float32)
    matrix[np.tri(n_variants, k=-1, dtype=bool)] = below
    matrix += matrix.T
    np.fill_diagonal(matrix, 1)
    return matrix


def _write_block(group: h5py.Group, name: str, size: int, data: bytes, kind: str) -> None:
    if size == 0:
        group.create_dataset(name, shape=(0,), dtype=kind)
        return
    dataset = group.create_dataset(
        name,
        shape=(size,),
        dtype=kind,
        chunks=(size,),
        shuffle=True,
        compression="gzip",
        compression_opts=1,
    )
    dataset.id.write_direct_chunk((0,), data)


def _write_strings(group: h5py.Group, name: str, values: NDArray[np.object_]) -> None:
    data = [str(value).encode() for value in values]
    width = max((len(value) for value in data), default=0)
    if 0 < width <= _MAX_FIXED_WIDTH:
        group.create_dataset(
            name,
            data=np.array(data, dtype=h5py.string_dtype("utf-8", width)),
            compression="gzip",
            compression_opts=1,
        )
    else:
        group.create_dataset(
            name, data=np.array(data, dtype=object), dtype=h5py.string_dtype("utf-8")
        )


def _read_strings(dataset: h5py.Dataset) -> NDArray[np.object_]:
    values = dataset[...]
    # Few alleles are distinct, and ids are decoded once each.
    return np.array([value.decode() for value in values.tolist()], dtype=object)


def _open_file(path: Path) -> LDReference:
    """Open a file of `write_ld`."""
    if not h5py.is_hdf5(path):
        raise FileFormatError(
            "not an LD reference: the file is not HDF5",
            path=path,
            remedy="give a file that `prs ld` wrote, or a PRS-CSx panel folder",
        )
    try:
        with h5py.File(path, "r") as file:
            if _attribute(file, "format") != _FORMAT:
                if any(name.startswith("blk_") for name in file):
                    raise LDReferenceError(
                        "is one chromosome's file of a PRS-CS or PRS-CSx panel",
                        path=path,
                        remedy="give the panel's folder, which also holds its list of variants",
                    )
                raise FileFormatError("an HDF5 file, but not an LD reference of ours", path=path)
            if int(file.attrs["format_version"]) > _FORMAT_VERSION:
                raise FileFormatError(
                    f"has format version {file.attrs['format_version']}, this program reads up "
                    f"to {_FORMAT_VERSION}",
                    path=path,
                    remedy="update prs",
                )
            columns = file["variants"]
            variants = VariantTable(
                columns["chrom"][...],
                columns["pos"][...],
                *(_read_strings(columns[name]) for name in _TEXT),
            )
            block_starts = file["block_starts"][...]
            eaf = columns["eaf"][...]
            n_blocks = len(file["blocks"])
            n_samples = int(file.attrs["n_samples"])
            notes = tuple(line for line in _attribute(file, "notes").split("\n") if line)
            population, source = _attribute(file, "population"), _attribute(file, "source")
            precision = _attribute(file, "precision") or "float32"
    except KeyError as error:
        raise FileFormatError(f"incomplete LD reference: {error}", path=path) from error
    except (OSError, RuntimeError) as error:
        raise FileFormatError(
            f"truncated or damaged LD reference ({error})",
            path=path,
            remedy="write or copy the file again",
        ) from error
    if n_blocks != len(block_starts) - 1:
        raise FileFormatError(
            f"incomplete LD reference: {n_blocks:,} blocks are stored and "
            f"{len(block_starts) - 1:,} are declared",
            path=path,
        )
    notes = (*notes, f"made from {source}") if source else notes
    sizes = np.diff(block_starts)
    return LDReference(
        variants,
        eaf,
        block_starts,
        population,
        None if n_samples < 0 else n_samples,
        str(path),
        _FileReader(path, sizes, precision),
        notes,
    )


def _attribute(file: h5py.File, name: str) -> str:
    value = file.attrs.get(name, "")
    return value.decode() if isinstance(value, bytes) else str(value)


@dataclass(frozen=True, eq=False)
class _FileReader:
    """Reads blocks of a file of `write_ld`; opens it anew each time (a millisecond)."""

    path: Path
    sizes: NDArray[np.int64]
    precision: str

    def __call__(self, block: int) -> NDArray[np.float32]:
        size = int(self.sizes[block])
        n_values = size * (size - 1) // 2
        try:
            with h5py.File(self.path, "r") as file:
                dataset = file["blocks"][_block_name(block)]
                if dataset.shape != (n_values,):
                    raise FileFormatError(
                        f"block {block} holds {dataset.shape} numbers, not {n_values:,}",
                        path=self.path,
                    )
                if n_values == 0:
                    return np.ones((size, size), dtype=np.float32)
                if dataset.chunks != (n_values,):  # rewritten by another program (h5repack)
                    return _fill(_as_float(dataset[...], self.precision), size)
                _, data = dataset.id.read_direct_chunk((0,))
            return _unpack(data, size, self.precision)
        except KeyError as error:
            raise FileFormatError(f"block {block} is missing", path=self.path) from error
        except (OSError, RuntimeError, zlib.error, ValueError) as error:
            raise FileFormatError(
                f"block {block} cannot be read ({error}): the file is damaged, or was changed "
                "while in use",
                path=self.path,
                remedy="write or copy the file again",
            ) from error
