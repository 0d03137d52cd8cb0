"""Correlations of dosages: which variants have one, and its numbers, exact up to one rounding."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from prs.errors import LDReferenceError, SettingsError
from prs.inputs.genotypes import Genotypes
from prs.samples import SampleTable, match_samples

__all__ = ["UsableGenotypes", "choose_people_and_variants", "correlate", "correlate_variants"]

logger = logging.getLogger(__name__)

#: People below which correlations are mostly noise (their standard error is 1/sqrt(n)).
FEW_PEOPLE = 100


@dataclass(frozen=True, eq=False)
class UsableGenotypes:
    """The people and variants of a file that LD can be computed from.

    Attributes
    ----------
    genotypes : Genotypes
        A view: M variants sorted by chromosome and position, N people.
    eaf : ndarray of float64, shape (M,)
        Effect-allele frequency among them.
    notes : tuple of str
        What was left out, with counts.
    """

    genotypes: Genotypes
    eaf: NDArray[np.float64]
    notes: tuple[str, ...]


def choose_people_and_variants(
    genotypes: Genotypes,
    samples: SampleTable | ArrayLike | None,
    min_maf: float,
    max_missing: float,
) -> UsableGenotypes:
    """Return the view of the people asked for and the variants that vary among them.

    Parameters
    ----------
    genotypes : Genotypes
        An open fileset.
    samples : SampleTable, index array, mask, or None
        People to use: a list of ids (those not in the file are counted), positions, or all.
    min_maf : float
        Variants with a smaller minor-allele frequency are left out; those that do not vary
        always are.
    max_missing : float
        Variants with a larger share of missing calls are left out.

    Raises
    ------
    SampleMismatchError
        If none of the listed people is in the file.
    LDReferenceError
        If fewer than two people or no variant are left.
    """
    if not 0 <= min_maf < 0.5 or not 0 <= max_missing < 1:
        raise SettingsError(
            f"min_maf is {min_maf} and max_missing {max_missing}: they must lie in [0, 0.5) "
            "and [0, 1)"
        )
    notes: list[str] = []
    if isinstance(samples, SampleTable):
        found, index = match_samples(
            samples, genotypes.samples, what="the list of people", target_name=genotypes.path
        )
        if len(found) < len(samples):
            notes.append(
                f"{len(samples) - len(found):,} of {len(samples):,} people not in the file"
            )
        genotypes = genotypes.subset(samples=np.sort(index))
    elif samples is not None:
        genotypes = genotypes.subset(samples=samples)
    n_people = genotypes.n_samples
    if n_people < 2:
        raise LDReferenceError(f"LD cannot be computed from {n_people} people", path=genotypes.path)
    if n_people < FEW_PEOPLE:
        notes.append(
            f"only {n_people} people: correlations have a standard error of about "
            f"{n_people**-0.5:.2f}"
        )

    counts = genotypes.allele_counts()
    eaf = counts.eaf
    variants = genotypes.variants
    maf = np.minimum(eaf, 1 - eaf)
    # All heterozygous: the frequency is 1/2 and yet nothing varies.
    most_common = np.maximum(np.maximum(counts.hom_effect, counts.het), counts.hom_other)
    reasons = (
        ("without a chromosome and position", (variants.chrom == 0) | (variants.pos == 0)),
        (
            f"with more than {max_missing:.0%} missing calls",
            counts.missing > max_missing * n_people,
        ),
        ("that do not vary", most_common == counts.n_called),
        (f"with a minor-allele frequency below {min_maf:g}", ~(maf >= min_maf)),
    )
    keep = np.ones(len(variants), dtype=bool)
    for reason, bad in reasons:
        n_bad = int(np.sum(bad & keep))
        keep &= ~bad
        if n_bad:
            notes.append(f"{n_bad:,} of {len(variants):,} variants {reason} left out")
    if not keep.any():
        raise LDReferenceError(
            "no variant is left to compute LD from: " + "; ".join(notes),
            path=genotypes.path,
            remedy="lower min_maf, or check the list of people",
        )
    index = np.flatnonzero(keep)
    index = index[np.argsort(variants.site_key[index], kind="stable")]
    for note in notes:
        logger.info("%s: %s", genotypes.path, note)
    return UsableGenotypes(genotypes.subset(variants=index), eaf[index], tuple(notes))


def correlate_variants(genotypes: Genotypes, where: slice) -> NDArray[np.float32]:
    """Return the correlations of some variants of a view; see `correlate`.

    Parameters
    ----------
    genotypes : Genotypes
        N people.
    where : slice
        m of its variants.

    Returns
    -------
    ndarray of float32, shape (m, m)
    """
    if genotypes.has_dosages:
        return correlate(genotypes.read_dosages(where), has_dosages=True)
    return _correlate_calls(genotypes.read_packed(where), genotypes.sample_index)


def correlate(dosages: NDArray[np.floating], *, has_dosages: bool = False) -> NDArray[np.float32]:
    """Return the Pearson correlations of dosages, missing calls set to the variant's mean.

    Filling in the mean leaves the matrix positive semi-definite, which samplers need and
    correlations over pairwise complete calls (PLINK ``--r``, bigsnpr ``snp_cor``) are not. It
    pulls a correlation towards 0 by about the two variants' missing share; without missing
    calls both are the same.

    Sums of products are taken of calls coded -1, 0, 1, with missing ones 0. They are whole
    numbers below 2^24 and so exact in float32, in whatever order BLAS adds them: the result
    does not depend on the number of threads, nor on the machine's BLAS. Imputed dosages are not
    whole numbers; their sums, of dosages less their means, are good to some 1e-6.

    Parameters
    ----------
    dosages : ndarray of float32 or float64, shape (n, m)
        NaN where missing.
    has_dosages : bool
        Whether there are other numbers than 0, 1 and 2 among them.

    Returns
    -------
    ndarray of float32, shape (m, m)
        Symmetric to the bit, diagonal 1; 0 beside a variant that does not vary.
    """
    from prs.kernels.ld import to_correlation
    from prs.kernels.packed import pack_calls

    n_people, n_variants = dosages.shape
    missing = np.isnan(dosages.T)
    if not has_dosages:
        calls = np.ascontiguousarray(np.where(missing, -9, dosages.T).astype(np.int8))
        packed = np.empty((n_variants, -(-n_people // 4)), dtype=np.uint8)
        pack_calls(calls, packed)
        return _correlate_calls(packed, np.arange(n_people))
    X = dosages.T.astype(np.float32, order="C")
    n_called = n_people - np.count_nonzero(missing, axis=1)
    X -= np.where(n_called > 0, np.nansum(X, axis=1) / np.maximum(n_called, 1), 0)[:, None]
    X[missing] = 0  # the mean: nothing more is to be done about missing calls
    correlation = X @ X.T
    nothing = np.zeros((0, 0), dtype=np.int32)
    to_correlation(correlation, np.zeros(n_variants), n_called, n_people, nothing, nothing)
    return correlation


def _correlate_calls(
    packed: NDArray[np.uint8], sample_index: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Do `correlate` for packed rows of some people of a file."""
    from prs.kernels.ld import by_person, decode_signs, sum_over_missing, to_correlation
    from prs.kernels.packed import count_codes, person_mask

    n_variants, n_people = len(packed), len(sample_index)
    counts = np.empty((n_variants, 4), dtype=np.int64)
    count_codes(packed, person_mask(sample_index, packed.shape[1]), n_people, counts)
    n_missing = counts[:, 1]
    starts = np.concatenate([[0], np.cumsum(n_missing)])
    people = np.empty(starts[-1], dtype=np.int64)
    X = np.empty((n_variants, n_people), dtype=np.float32)
    decode_signs(packed, sample_index, starts, X, people)
    correlation = X @ X.T
    del X
    lost = both_lost = np.zeros((0, 0), dtype=np.int32)
    if len(people):
        lost, both_lost = np.empty((2, n_variants, n_variants), dtype=np.int32)
        values = np.empty((n_people, n_variants), dtype=np.int16)
        by_person(packed, sample_index, values)
        sum_over_missing(starts, people, values, lost, both_lost)
    total = (counts[:, 0] - counts[:, 3]).astype(np.float64)
    to_correlation(correlation, total, n_people - n_missing, n_people, lost, both_lost)
    return correlation
