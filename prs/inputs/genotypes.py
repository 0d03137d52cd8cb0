"""Genotypes: an open PLINK fileset (or one per chromosome, or a list), read block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from prs.errors import SampleMismatchError, SettingsError
from prs.inputs.lists import choose_people, choose_variants
from prs.inputs.plink1 import Fileset, find_filesets, open_fileset
from prs.samples import SampleTable
from prs.variants import VariantTable

__all__ = [
    "AlleleCounts",
    "Genotypes",
    "open_genotypes",
]

Selection: TypeAlias = "slice | ArrayLike | None"

#: Packed bytes that a pass over the file holds at once.
_PASS_BYTES = 1 << 25


@dataclass(frozen=True, eq=False)
class AlleleCounts:
    """Genotype counts of M variants over the people of a view.

    Attributes
    ----------
    hom_effect, het, hom_other : ndarray of int64, shape (M,)
        People with two, one and no copies of the effect allele.
    missing : ndarray of int64, shape (M,)
        People without a call.
    """

    hom_effect: NDArray[np.int64]
    het: NDArray[np.int64]
    hom_other: NDArray[np.int64]
    missing: NDArray[np.int64]

    @property
    def n_called(self) -> NDArray[np.int64]:
        """People with a call; shape (M,)."""
        return self.hom_effect + self.het + self.hom_other

    @property
    def n_effect(self) -> NDArray[np.int64]:
        """Copies of the effect allele among the called; shape (M,)."""
        return 2 * self.hom_effect + self.het

    @property
    def eaf(self) -> NDArray[np.float64]:
        """Effect-allele frequency among the called, NaN where nobody is; shape (M,)."""
        called = self.n_called
        frequency = np.full(len(called), np.nan)
        np.divide(self.n_effect, 2.0 * called, out=frequency, where=called > 0)
        return frequency


@dataclass(frozen=True, eq=False)
class Genotypes:
    """A view of an open fileset: some variants of some people, read on request.

    Nothing but what is asked for is read from the .bed. A dosage counts the effect allele,
    which is A1 (.bim column 5). Views are cheap and safe to read from several threads.

    Attributes
    ----------
    path : str
        What was opened.
    variants : VariantTable
        The M variants of this view.
    samples : SampleTable
        The N people of this view.
    variant_index : ndarray of int64, shape (M,)
        Rows of the files, one file after the other, that the view holds.
    sample_index : ndarray of int64, shape (N,)
        People of the files that the view holds; no duplicates.
    filesets : tuple of Fileset
        The open files, in chromosome order; all of the same people.
    genetic_position : ndarray of float64, shape (M,)
        Third .bim column, centimorgans; 0 where not given.
    lists : tuple of Path
        Files that chose the people and variants.
    """

    path: str
    variants: VariantTable
    samples: SampleTable
    variant_index: NDArray[np.int64]
    sample_index: NDArray[np.int64]
    filesets: tuple[Fileset, ...]
    genetic_position: NDArray[np.float64]
    lists: tuple[Path, ...] = ()

    def __repr__(self) -> str:
        return f"Genotypes({self.path!r}: {self.n_samples:,} people x {self.n_variants:,} variants)"

    @property
    def n_variants(self) -> int:
        """Variants of this view."""
        return len(self.variant_index)

    @property
    def n_samples(self) -> int:
        """People of this view."""
        return len(self.sample_index)

    @property
    def n_bytes(self) -> int:
        """Bytes in a packed row, which holds all people of the file."""
        return self.filesets[0].packed.shape[1]

    @property
    def files(self) -> list[Path]:
        """All files that were read: .bed, .bim and .fam, or .pgen, .pvar and .psam; and lists."""
        return [*(file for fileset in self.filesets for file in fileset.files), *self.lists]

    @property
    def has_dosages(self) -> bool:
        """Whether a file holds dosages beside hard calls (.pgen of imputed genotypes)."""
        return any(fileset.dosages is not None for fileset in self.filesets)

    def __reduce__(self) -> tuple[Callable[..., Genotypes], tuple[Any, ...]]:
        """Travel to other processes as the files' names and which rows and people are taken."""
        chosen = (self.variant_index, self.sample_index)
        return _view, (self.path, self.filesets, *chosen, self.lists)

    def subset(self, samples: Selection = None, variants: Selection = None) -> Genotypes:
        """Return a view of some people and variants of this view.

        Parameters
        ----------
        samples, variants : slice, index array or mask, optional
            Which ones, in which order; default: all. A person may be taken once only.

        Raises
        ------
        SettingsError
            If an index is out of range or a person is taken twice.
        """
        people = _select(samples, self.n_samples, "samples")
        rows = _select(variants, self.n_variants, "variants")
        if len(np.unique(people)) < len(people):
            raise SettingsError(
                "a person can be in a view only once", remedy="give each sample index once"
            )
        return Genotypes(
            self.path,
            self.variants if variants is None else self.variants.take(rows),
            self.samples if samples is None else self.samples.take(people),
            self.variant_index[rows],
            self.sample_index[people],
            self.filesets,
            self.genetic_position[rows],
            self.lists,
        )

    def read_packed(self, variants: Selection = None) -> NDArray[np.uint8]:
        """Return packed rows of this view's variants, with all people of the file.

        Pair them with `sample_index`.

        Parameters
        ----------
        variants : slice, index array or mask, optional
            Variants of this view; default: all.

        Returns
        -------
        ndarray of uint8, shape (m, n_bytes), C-contiguous
            Codes 0 = two effect alleles, 1 = missing, 2 = one, 3 = none; low bits first.
        """
        rows = self.variant_index[_select(variants, self.n_variants, "variants")]
        starts = np.cumsum([0, *(len(f.variants) for f in self.filesets)])
        consecutive = len(rows) > 0 and rows[-1] - rows[0] == len(rows) - 1
        if consecutive and np.all(np.diff(rows) == 1):
            part = int(np.searchsorted(starts, rows[0], side="right")) - 1
            if rows[-1] < starts[part + 1]:
                offset = starts[part]
                return self.filesets[part].packed[rows[0] - offset : rows[-1] + 1 - offset]
        out = np.empty((len(rows), self.n_bytes), dtype=np.uint8)
        file_of_row = np.searchsorted(starts, rows, side="right") - 1
        for part in np.unique(file_of_row):
            here = file_of_row == part
            out[here] = self.filesets[part].packed[rows[here] - starts[part]]
        return out

    def read_dosages(
        self, variants: Selection = None, samples: Selection = None, dtype: DTypeLike = np.float32
    ) -> NDArray[np.floating]:
        """Return dosages of the effect allele.

        Parameters
        ----------
        variants, samples : slice, index array or mask, optional
            Which of this view's; default: all.
        dtype : float32 or float64
            Type of the result.

        Returns
        -------
        ndarray, shape (n_samples, n_variants)
            0, 1, 2, or a number between where the file holds dosages; NaN where the call is
            missing. Each variant is contiguous in memory (Fortran order).

        Raises
        ------
        SettingsError
            If `dtype` cannot hold NaN or an index is out of range.
        """
        from prs.kernels.packed import decode_dosages

        if not np.issubdtype(np.dtype(dtype), np.floating):
            raise SettingsError(
                f"dosages cannot be {np.dtype(dtype)}: missing calls are NaN",
                remedy="use float32 or float64",
            )
        people = self.sample_index[_select(samples, self.n_samples, "samples")]
        if not self.has_dosages:
            packed = self.read_packed(variants)
            out = np.empty((len(packed), len(people)), dtype=np.float32)
            decode_dosages(packed, people, out)
            return out.T.astype(dtype, copy=False)
        rows = self.variant_index[_select(variants, self.n_variants, "variants")]
        starts = np.cumsum([0, *(len(f.variants) for f in self.filesets)])
        out = np.empty((len(rows), len(people)), dtype=np.float32)
        part_of_row = np.searchsorted(starts, rows, side="right") - 1
        for part in np.unique(part_of_row):
            here = np.flatnonzero(part_of_row == part)
            fileset, local = self.filesets[part], rows[here] - starts[part]
            if fileset.dosages is not None:
                out[here] = fileset.dosages(local, people)
            else:
                calls = np.empty((len(here), len(people)), dtype=np.float32)
                decode_dosages(np.ascontiguousarray(fileset.packed[local]), people, calls)
                out[here] = calls
        return out.T.astype(dtype, copy=False)

    def iter_dosages(
        self, block_size: int = 1024, dtype: DTypeLike = np.float32
    ) -> Iterator[tuple[slice, NDArray[np.floating]]]:
        """Yield (slice of this view's variants, dosages) block by block.

        Parameters
        ----------
        block_size : int
            Variants in a block (the last may have fewer).
        dtype : float32 or float64
            As for `read_dosages`.
        """
        for block in self._blocks(block_size):
            yield block, self.read_dosages(block, dtype=dtype)

    def _blocks(self, block_size: int) -> Iterator[slice]:
        if block_size < 1:
            raise SettingsError(f"block_size is {block_size}; it must be at least 1")
        for start in range(0, self.n_variants, block_size):
            yield slice(start, min(start + block_size, self.n_variants))

    def allele_counts(self, *, founders_only: bool = False) -> AlleleCounts:
        """Count genotypes (hard calls) of each variant over the people of this view.

        Parameters
        ----------
        founders_only : bool
            Whether to count founders only, as PLINK does by default.

        Returns
        -------
        AlleleCounts
        """
        from prs.kernels.packed import count_codes, person_mask

        people = self.sample_index
        if founders_only:
            people = people[self.samples.is_founder]
        mask = person_mask(people, self.n_bytes)
        counts = np.empty((self.n_variants, 4), dtype=np.int64)
        for block in self._blocks(max(1, _PASS_BYTES // self.n_bytes)):
            count_codes(self.read_packed(block), mask, len(people), counts[block])
        return AlleleCounts(counts[:, 0], counts[:, 2], counts[:, 3], counts[:, 1])

    def eaf(self, founders_only: bool = False) -> NDArray[np.float64]:
        """Return the effect-allele frequency of each variant, NaN where nobody has a call.

        It is half the mean dosage, where the file holds dosages.

        Parameters
        ----------
        founders_only : bool
            Whether to count founders only, as PLINK does by default.
        """
        if not self.has_dosages:
            return self.allele_counts(founders_only=founders_only).eaf
        people = self.subset(samples=self.samples.is_founder) if founders_only else self
        out = np.full(self.n_variants, np.nan)
        for block, dosages in people.iter_dosages(max(1, _PASS_BYTES // (4 * self.n_samples))):
            n_called = np.sum(~np.isnan(dosages), axis=0)
            total = np.nansum(dosages, axis=0, dtype=np.float64)
            np.divide(total, 2.0 * n_called, out=out[block], where=n_called > 0)
        return out


def _select(selection: Selection, n: int, what: str) -> NDArray[np.int64]:
    """Return a selection of `n` things as indices."""
    if selection is None:
        return np.arange(n, dtype=np.int64)
    if isinstance(selection, slice):
        return np.arange(n, dtype=np.int64)[selection]
    index = np.atleast_1d(np.asarray(selection))
    if index.dtype == bool:
        if index.shape != (n,):
            raise SettingsError(f"the mask of {what} has shape {index.shape}, not ({n},)")
        return np.flatnonzero(index).astype(np.int64)
    if index.size == 0:
        return np.zeros(0, dtype=np.int64)
    if not np.issubdtype(index.dtype, np.integer) or index.ndim != 1:
        raise SettingsError(f"{what} must be chosen by whole numbers, a mask or a slice")
    if index.min() < 0 or index.max() >= n:
        raise SettingsError(
            f"{what} index {index.min() if index.min() < 0 else index.max()} is out of range: "
            f"there are {n:,}"
        )
    return index.astype(np.int64)


def open_genotypes(
    path: str | Path | Sequence[str | Path],
    *,
    samples_file: str | Path | None = None,
    exclude_samples_file: str | Path | None = None,
    variants_file: str | Path | None = None,
    exclude_variants_file: str | Path | None = None,
) -> Genotypes:
    """Open a fileset of PLINK 1 or PLINK 2, one per chromosome, or a list of them.

    Parameters
    ----------
    path : str, Path, or sequence of these
        Prefix of .bed/.bim/.fam or of .pgen/.pvar/.psam (with the extra ``prs[pgen]``), or the
        .bed or .pgen itself; with ``{chrom}`` in it (``data/chr{chrom}``) all chromosomes that
        exist; or a text file (``.txt`` or ``.list``) that names any of these, one on each line,
        relative to its own folder. Several filesets must be of the same people in the same
        order.
    samples_file, exclude_samples_file : str or Path, optional
        Lists of people (see `prs.inputs.lists.read_sample_list`) to use, and not to use.
    variants_file, exclude_variants_file : str or Path, optional
        Lists of variant ids, one a line, to use, and not to use. Who or what is listed and not
        there is counted and said; it is an error where nothing that is listed is there.

    Returns
    -------
    Genotypes
        People and variants in the order of the files, whatever the order of the lists; files
        in chromosome order, or as listed. Duplicate variants are kept.

    Raises
    ------
    FileFormatError
        If a file is missing, empty, malformed, or the three do not fit each other.
    InvalidValueError
        If a .bim position is impossible or a person is twice in the .fam.
    SampleMismatchError
        If the chromosomes' files differ in people, or no listed person is there.
    OverlapError
        If no listed variant is there.
    """
    filesets = tuple(_open(file) for file in find_filesets(path))
    if not filesets:
        raise SettingsError("an empty list of filesets")
    first = filesets[0]
    for other in filesets[1:]:
        _check_same_people(first, other)
    lists = (samples_file, exclude_samples_file, variants_file, exclude_variants_file)
    genotypes = _view(
        str(path) if isinstance(path, str | Path) else ", ".join(map(str, path)),
        filesets,
        np.arange(sum(len(f.variants) for f in filesets), dtype=np.int64),
        np.arange(len(first.samples), dtype=np.int64),
        tuple(Path(file) for file in lists if file is not None),
    )
    people = rows = None
    if samples_file is not None or exclude_samples_file is not None:
        people = choose_people(first.samples, samples_file, exclude_samples_file, genotypes.path)
    if variants_file is not None or exclude_variants_file is not None:
        rows = choose_variants(
            genotypes.variants.id, variants_file, exclude_variants_file, genotypes.path
        )
    return genotypes.subset(people, rows)


def _view(
    path: str,
    filesets: tuple[Fileset, ...],
    variant_index: NDArray[np.int64],
    sample_index: NDArray[np.int64],
    lists: tuple[Path, ...],
) -> Genotypes:
    """Return the view of some rows and people of open files."""
    first = filesets[0]
    variants, samples, position = first.variants, first.samples, first.genetic_position
    if len(filesets) > 1:
        variants = VariantTable.concatenate(f.variants for f in filesets)
        position = np.concatenate([f.genetic_position for f in filesets])
    if not np.array_equal(variant_index, np.arange(len(variants))):
        variants, position = variants.take(variant_index), position[variant_index]
    if not np.array_equal(sample_index, np.arange(len(samples))):
        samples = samples.take(sample_index)
    return Genotypes(
        path, variants, samples, variant_index, sample_index, filesets, position, lists
    )


def _open(file: Path) -> Fileset:
    if file.suffix == ".pgen":
        from prs.inputs.pgen import open_pgen

        return open_pgen(file)
    return open_fileset(file)


def _check_same_people(first: Fileset, other: Fileset) -> None:
    a, b = first.samples, other.samples
    if len(a) == len(b):
        differ = np.flatnonzero((a.iid != b.iid) | (a.fid != b.fid))
        if len(differ) == 0:
            return
        rows = [f"line {i + 1}: {a.fid[i]} {a.iid[i]} / {b.fid[i]} {b.iid[i]}" for i in differ[:5]]
        message = f"{len(differ):,} of {len(a):,} people differ from those of {first.path.name}"
    else:
        rows = []
        message = f"{len(b):,} people, where {first.path.name} has {len(a):,}"
        differ = np.zeros(0, dtype=np.int64)
    raise SampleMismatchError(
        message,
        path=other.files[2],
        rows=rows,
        n_rows=len(differ),
        remedy="the files of all chromosomes must list the same people in the same order",
    )
