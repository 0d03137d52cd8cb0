"""Writing PLINK 1 filesets: packed .bed, .bim and .fam, a chunk of variants at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from prs.errors import SettingsError
from prs.files import write_atomically
from prs.samples import SampleTable
from prs.variants import VariantTable, chromosome_labels

__all__ = ["pack_dosages", "write_bed"]

_MAGIC = bytes([0x6C, 0x1B, 0x01])
#: Code of 0, 1, 2 copies of A1 and of a missing call (PLINK 1 .bed specification).
_CODES = np.array([3, 2, 0, 1], dtype=np.uint8)


def pack_dosages(dosages: ArrayLike) -> NDArray[np.uint8]:
    """Return genotypes in the two-bit code of a .bed file.

    Parameters
    ----------
    dosages : array_like, shape (N, m)
        Copies of the effect allele (A1): 0, 1 or 2; NaN or a negative number where missing.

    Returns
    -------
    ndarray of uint8, shape (m, ceil(N / 4))
        One row a variant, four people a byte, the first in the low bits; 00 = two A1,
        01 = missing, 10 = heterozygous, 11 = two A2; the padding is 00.

    Raises
    ------
    SettingsError
        If a dosage is not 0, 1, 2 or missing: the format holds hard calls only.
    """
    dosages = np.asarray(dosages)
    if dosages.ndim != 2:
        raise SettingsError(f"dosages have {dosages.ndim} dimensions; people x variants expected")
    if dosages.dtype != np.int8:
        dosages = np.where(np.isnan(dosages), -1, dosages)
        if not np.all(dosages == np.round(dosages)):
            raise SettingsError(
                "dosages are not whole numbers; a .bed file holds hard calls",
                remedy="round them, or set uncertain ones to missing",
            )
    if dosages.size and dosages.max() > 2:
        raise SettingsError(f"a dosage of {dosages.max()} was given; 0, 1, 2 or missing expected")
    calls = dosages.T.astype(np.int8)
    calls[calls < 0] = 3
    n_variants, n_samples = calls.shape
    codes = np.zeros((n_variants, -(-n_samples // 4) * 4), dtype=np.uint8)
    codes[:, :n_samples] = _CODES[calls]
    quads = codes.reshape(n_variants, -1, 4)
    packed: NDArray[np.uint8] = (
        quads[..., 0] | quads[..., 1] << 2 | quads[..., 2] << 4 | quads[..., 3] << 6
    ).astype(np.uint8)
    return packed


def write_bed(
    path: str | Path,
    dosages: ArrayLike | Iterator[ArrayLike],
    variants: VariantTable,
    samples: SampleTable,
    *,
    centimorgan: ArrayLike | None = None,
) -> Path:
    """Write a PLINK 1 fileset; all three files appear together, or none does.

    Parameters
    ----------
    path : str or Path
        The prefix, with or without ``.bed``.
    dosages : array_like of shape (N, M), or iterator of array_like of shape (N, m)
        Copies of `variants.effect_allele`, which becomes A1; missing is NaN or negative. An
        iterator gives consecutive chunks of variants, so that the whole is never in memory.
    variants : VariantTable
        The M variants, in the order to be written.
    samples : SampleTable
        The N people.
    centimorgan : array_like of float, shape (M,), optional
        Genetic position; 0 where not given.

    Returns
    -------
    Path
        The .bed file.

    Raises
    ------
    SettingsError
        If the numbers of people or of variants do not agree, or a dosage is not a hard call.
    """
    path = Path(path)
    prefix = path.with_suffix("") if path.suffix == ".bed" else path
    targets = [prefix.with_name(prefix.name + suffix) for suffix in (".bed", ".bim", ".fam")]
    chunks: Iterable[object] = dosages if isinstance(dosages, Iterator) else [dosages]
    with ExitStack() as stack:
        bed, bim, fam = (stack.enter_context(write_atomically(target)) for target in targets)
        n_written = 0
        with bed.open("wb") as handle:
            handle.write(_MAGIC)
            for chunk in chunks:
                calls = np.asarray(chunk)
                packed = pack_dosages(calls)
                n_people = len(calls)
                if n_people != len(samples):
                    raise SettingsError(
                        f"dosages of {n_people:,} people for {len(samples):,} samples"
                    )
                handle.write(packed.tobytes())
                n_written += len(packed)
        if n_written != len(variants):
            raise SettingsError(f"dosages of {n_written:,} variants for {len(variants):,} listed")
        _write_bim(bim, variants, centimorgan)
        _write_fam(fam, samples)
    return targets[0]


def _write_bim(path: Path, variants: VariantTable, centimorgan: ArrayLike | None) -> None:
    genetic = np.zeros(len(variants)) if centimorgan is None else np.asarray(centimorgan)
    with path.open("w", encoding="utf-8", newline="\n") as handle:
        for chrom, name, cm, pos, a1, a2 in zip(
            chromosome_labels(variants.chrom),
            variants.id,
            genetic,
            variants.pos,
            variants.effect_allele,
            variants.other_allele,
            strict=True,
        ):
            handle.write(f"{chrom}\t{name or '.'}\t{cm:.6g}\t{pos}\t{a1 or '0'}\t{a2 or '0'}\n")


def _write_fam(path: Path, samples: SampleTable) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as handle:
        for fid, iid, sex in zip(samples.fid, samples.iid, samples.sex, strict=True):
            handle.write(f"{fid}\t{iid}\t0\t0\t{sex}\t-9\n")
