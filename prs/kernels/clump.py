"""Kernels of clumping: r2 between variants by counting bits, and the greedy walk over them.

A variant is three bit planes over people, 64 to a word: whoever has at least one copy of the
counted allele (`CARRIER`), two copies (`TWO`), a call (`CALLED`). The sums that r2 needs over
people with both calls are counts of bits of the planes' intersections.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from prs.kernels._bits import popcount
from prs.kernels._jit import jit

__all__ = [
    "CALLED",
    "CARRIER",
    "TWO",
    "UNDECIDED",
    "clump_pairs",
    "clump_variants",
    "dosage_r2",
    "gather_people",
    "haplotype_r2",
    "pair_r2",
    "r2_of_pairs",
    "split_planes",
]

CARRIER, TWO, CALLED = 0, 1, 2
#: An owner that is not known yet.
UNDECIDED = -1

#: Less than this between two alleles (frequencies) is rounding: PLINK 1.9's.
_LEAST_COVARIANCE = 2.0**-44
_LOW_BITS = np.uint64(0x5555555555555555)
_STEP_1 = np.uint64(0x3333333333333333)
_STEP_2 = np.uint64(0x0F0F0F0F0F0F0F0F)
_STEP_3 = np.uint64(0x00FF00FF00FF00FF)
_STEP_4 = np.uint64(0x0000FFFF0000FFFF)
_STEP_5 = np.uint64(0x00000000FFFFFFFF)
_U1, _U2, _U4 = np.uint64(1), np.uint64(2), np.uint64(4)
_U8, _U16, _U32 = np.uint64(8), np.uint64(16), np.uint64(32)


@jit
def gather_people(
    packed: NDArray[np.uint8], people: NDArray[np.int64], out: NDArray[np.uint8]
) -> None:
    """Copy some people's codes to packed rows of their own.

    Parameters
    ----------
    packed : ndarray of uint8, shape (M, n_bytes)
        Packed rows, two bits a person.
    people : ndarray of int64, shape (N,)
        Rows of the file.
    out : ndarray of uint8, shape (M, at least ceil(N / 4))
        Zeros; filled.
    """
    for v in range(packed.shape[0]):
        for i in range(len(people)):
            person = people[i]
            code = (packed[v, person >> 2] >> (2 * (person & 3))) & 3
            out[v, i >> 2] |= code << (2 * (i & 3))


@jit
def _squeeze(x: np.uint64) -> np.uint64:
    """Return the 32 even bits of a word, side by side."""
    x = x & _LOW_BITS
    x = (x | (x >> _U1)) & _STEP_1
    x = (x | (x >> _U2)) & _STEP_2
    x = (x | (x >> _U4)) & _STEP_3
    x = (x | (x >> _U8)) & _STEP_4
    return (x | (x >> _U16)) & _STEP_5


@jit
def split_planes(
    rows: NDArray[np.uint64],
    valid: NDArray[np.uint64],
    planes: NDArray[np.uint64],
    sums: NDArray[np.int64],
) -> None:
    """Turn packed rows into bit planes, and count what each variant has.

    Parameters
    ----------
    rows : ndarray of uint64, shape (M, 2 W)
        Packed rows, 32 people a word.
    valid : ndarray of uint64, shape (W,)
        A bit for each person; 0 where a row is only padded.
    planes : ndarray of uint64, shape (M, 3, W)
        Filled: `CARRIER`, `TWO`, `CALLED`.
    sums : ndarray of int64, shape (M, 3)
        Filled: bits of each plane.
    """
    for v in range(rows.shape[0]):
        n_carrier = 0
        n_two = 0
        n_called = 0
        for w in range(planes.shape[2]):
            a = rows[v, 2 * w]
            b = rows[v, 2 * w + 1]
            low = _squeeze(a) | (_squeeze(b) << _U32)
            high = _squeeze(a >> _U1) | (_squeeze(b >> _U1) << _U32)
            carrier = ~low & valid[w]
            two = carrier & ~high
            called = (~low | high) & valid[w]
            planes[v, CARRIER, w] = carrier
            planes[v, TWO, w] = two
            planes[v, CALLED, w] = called
            n_carrier += popcount(carrier)
            n_two += popcount(two)
            n_called += popcount(called)
        sums[v, CARRIER] = n_carrier
        sums[v, TWO] = n_two
        sums[v, CALLED] = n_called


@jit
def dosage_r2(n: int, a: int, b: int, aa: int, bb: int, ab: int) -> float:
    """Return the squared Pearson correlation from sums over people; 0 if one does not vary.

    Parameters
    ----------
    n : int
        People with both calls.
    a, b, aa, bb, ab : int
        Sums of dosages, of their squares and of their products.
    """
    variance = float(n * aa - a * a) * float(n * bb - b * b)
    if variance <= 0.0:
        return 0.0
    covariance = float(n * ab - a * b)
    return covariance * covariance / variance


@jit
def _log_likelihood(x: float, n11: float, n12: float, n21: float, n22: float, h: float) -> float:
    """Return the log likelihood if x of the h double heterozygotes are 11/22."""
    c11, c22, c12, c21 = n11 + x, n22 + x, n12 + h - x, n21 + h - x
    both = c11 * c22 + c12 * c21
    if both <= 0.0:
        return -math.inf
    total = h * math.log(both)
    if n11 > 0.0:
        total += n11 * math.log(c11)
    if n22 > 0.0:
        total += n22 * math.log(c22)
    if n12 > 0.0:
        total += n12 * math.log(c12)
    if n21 > 0.0:
        total += n21 * math.log(c21)
    return total


@jit
def haplotype_r2(n: int, a: int, b: int, ab: int, n_both_het: int) -> float:
    """Return r2 between the alleles on a haplotype, from unphased genotypes.

    The phase of people who are heterozygous at both variants is unknown. The share of them
    with haplotypes 11 and 22 is the one of greatest likelihood: a root, between nobody and
    everybody, of the cubic at which the EM algorithm of Excoffier & Slatkin (1995) stands
    still (Gaunt et al. 2007).

    Parameters
    ----------
    n : int
        People with both calls.
    a, b : int
        Copies of the counted allele of either variant among them.
    ab : int
        Sum of the products of the two dosages.
    n_both_het : int
        People heterozygous at both.

    Returns
    -------
    float
        0 if one of the variants does not vary.
    """
    size = 2.0 * n
    variance = float(a) * (size - a) * float(b) * (size - b)
    if variance <= 0.0:
        return 0.0
    h = float(n_both_het)
    n11 = float((ab - n_both_het) // 2)
    n12 = a - n11 - h
    n21 = b - n11 - h
    n22 = size - n11 - n12 - n21 - 2.0 * h
    best = 0.0
    if n_both_het > 0:
        # x^3 + c2 x^2 + c1 x + c0, at most three roots, one of them between 0 and h
        c2 = 0.5 * (n11 + n22 - n12 - n21 - 3.0 * h)
        c1 = 0.5 * (n11 * n22 + n12 * n21 + h * (n12 + n21 - n11 - n22 + h))
        c0 = -0.5 * h * n11 * n22
        third = c2 / 3.0
        q = third * third - c1 / 3.0
        r = third * third * third - 0.5 * third * c1 + 0.5 * c0
        found = -math.inf
        if r * r < q * q * q:
            angle = math.acos(max(-1.0, min(1.0, r / math.sqrt(q * q * q)))) / 3.0
            for k in range(3):
                x = -2.0 * math.sqrt(q) * math.cos(angle + k * (2.0 * math.pi / 3.0)) - third
                if -1e-6 * h <= x <= (1.0 + 1e-6) * h:
                    x = min(max(x, 0.0), h)
                    value = _log_likelihood(x, n11, n12, n21, n22, h)
                    if value > found:
                        found = value
                        best = x
        if found == -math.inf:
            size_a = (abs(r) + math.sqrt(max(0.0, r * r - q * q * q))) ** (1.0 / 3.0)
            root_a = -size_a if r > 0.0 else size_a
            root_b = q / root_a if root_a != 0.0 else 0.0
            best = min(max(root_a + root_b - third, 0.0), h)
            # a double root, which rounding may have hidden
            x = min(max(-0.5 * (root_a + root_b) - third, 0.0), h)
            slope = abs(((x + c2) * x + c1) * x + c0)
            if slope <= 1e-10 * size * size * size and _log_likelihood(
                x, n11, n12, n21, n22, h
            ) > _log_likelihood(best, n11, n12, n21, n22, h):
                best = x
    covariance = size * (n11 + best) - float(a) * float(b)
    if abs(covariance) < _LEAST_COVARIANCE * size * size:
        return 0.0  # but for rounding; as PLINK does, or a threshold of 0 lets everything join
    return covariance * covariance / variance


@jit
def pair_r2(
    first: NDArray[np.uint64],
    second: NDArray[np.uint64],
    first_sums: NDArray[np.int64],
    second_sums: NDArray[np.int64],
    n_people: int,
    by_haplotype: bool,
) -> float:
    """Return r2 between two variants over the people who have both calls.

    Parameters
    ----------
    first, second : ndarray of uint64, shape (3, W)
        Bit planes.
    first_sums, second_sums : ndarray of int64, shape (3,)
        Bits of each plane.
    n_people : int
        Valid people; a variant that is called in all of them needs no counting of calls.
    by_haplotype : bool
        `haplotype_r2` or `dosage_r2`.
    """
    carriers = 0
    carrier_two = 0
    two_carrier = 0
    twos = 0
    for w in range(first.shape[1]):
        c1, t1 = first[CARRIER, w], first[TWO, w]
        c2, t2 = second[CARRIER, w], second[TWO, w]
        carriers += popcount(c1 & c2)
        carrier_two += popcount(c1 & t2)
        two_carrier += popcount(t1 & c2)
        twos += popcount(t1 & t2)
    n, c_a, t_a = first_sums[CALLED], first_sums[CARRIER], first_sums[TWO]
    c_b, t_b = second_sums[CARRIER], second_sums[TWO]
    if second_sums[CALLED] < n_people:
        n = 0
        c_a = 0
        t_a = 0
        for w in range(first.shape[1]):
            called = second[CALLED, w]
            n += popcount(first[CALLED, w] & called)
            c_a += popcount(first[CARRIER, w] & called)
            t_a += popcount(first[TWO, w] & called)
    if first_sums[CALLED] < n_people:
        c_b = 0
        t_b = 0
        for w in range(first.shape[1]):
            called = first[CALLED, w]
            c_b += popcount(second[CARRIER, w] & called)
            t_b += popcount(second[TWO, w] & called)
    ab = carriers + carrier_two + two_carrier + twos
    if by_haplotype:
        n_both_het = carriers - carrier_two - two_carrier + twos
        return haplotype_r2(n, c_a + t_a, c_b + t_b, ab, n_both_het)
    return dosage_r2(n, c_a + t_a, c_b + t_b, c_a + 3 * t_a, c_b + 3 * t_b, ab)


@jit
def _cannot_exceed(
    first_sums: NDArray[np.int64], second_sums: NDArray[np.int64], n_people: int, r2: float
) -> bool:
    """Whether allele frequencies alone keep haplotype r2 at or below a threshold.

    r2 of two variants is at most the ratio of the odds of their minor alleles (VanLiere &
    Rosenberg 2008). Calls that the other variant lacks widen the odds to what they may become.
    """
    lost_by_first = n_people - second_sums[CALLED]
    lost_by_second = n_people - first_sums[CALLED]
    n_a, n_b = first_sums[CALLED], second_sums[CALLED]
    a = first_sums[CARRIER] + first_sums[TWO]
    b = second_sums[CARRIER] + second_sums[TWO]
    a = min(a, 2 * n_a - a)
    b = min(b, 2 * n_b - b)
    if a * n_b > b * n_a:
        a, b = b, a
        n_a, n_b = n_b, n_a
        lost_by_first, lost_by_second = lost_by_second, lost_by_first
    most_others = 2 * (n_a - lost_by_first) - a
    least = b - 2 * lost_by_second
    if most_others <= a or least <= 0:  # the minor allele might change
        return False
    others = 2 * n_b - b
    return float(a) * float(others) < (1.0 - 1e-9) * r2 * float(most_others) * float(least)


@jit
def clump_variants(
    planes: NDArray[np.uint64],
    sums: NDArray[np.int64],
    n_people: int,
    order: NDArray[np.int64],
    first: NDArray[np.int64],
    last: NDArray[np.int64],
    r2: float,
    by_haplotype: bool,
    blocked: NDArray[np.bool_],
    owner: NDArray[np.int64],
) -> None:
    """Give each variant to the most significant index variant that claims it.

    Parameters
    ----------
    planes, sums : ndarray
        From `split_planes`; variants sorted by position.
    n_people : int
        Valid people.
    order : ndarray of int64, shape (K,)
        Variants that may be index variants, most significant first.
    first, last : ndarray of int64, shape (M,)
        Window of each variant: those from `first` to `last` - 1 are near enough.
    r2 : float
        A variant is claimed if its r2 with the index variant is above this.
    by_haplotype : bool
        Which r2.
    blocked : ndarray of bool, shape (M,)
        Variants whose fate hangs on others that are not here; grows by those whose fate hangs
        on theirs. They are left as they are.
    owner : ndarray of int64, shape (M,)
        `UNDECIDED`, or what was decided before; filled with the index variant of each variant,
        itself for an index variant. `UNDECIDED` stays where a variant is blocked, or is not in
        `order` and nobody claimed it.
    """
    for i in order:
        if not blocked[i]:
            if owner[i] == UNDECIDED:
                owner[i] = i
            if owner[i] != i:
                continue
        # whatever is still undecided is less significant than i
        for j in range(first[i], last[i]):
            if owner[j] != UNDECIDED or blocked[j]:
                continue
            if by_haplotype and _cannot_exceed(sums[i], sums[j], n_people, r2):
                continue
            if pair_r2(planes[i], planes[j], sums[i], sums[j], n_people, by_haplotype) > r2:
                if blocked[i]:
                    blocked[j] = True
                else:
                    owner[j] = i


@jit
def r2_of_pairs(
    planes: NDArray[np.uint64],
    sums: NDArray[np.int64],
    n_people: int,
    n_first: int,
    last: NDArray[np.int64],
    min_r2: float,
    by_haplotype: bool,
    pairs: NDArray[np.int32],
    r2: NDArray[np.float64],
) -> int:
    """Compute r2 of the pairs in a window and keep those that reach a threshold.

    Parameters
    ----------
    planes, sums : ndarray
        From `split_planes`; variants sorted by position.
    n_people : int
        Valid people.
    n_first : int
        Only the first so many variants begin pairs.
    last : ndarray of int64, shape (n_first,)
        Variant i is paired with those from i + 1 to ``last[i]`` - 1.
    min_r2 : float
        Least r2 that is kept.
    by_haplotype : bool
        Which r2.
    pairs : ndarray of int32, shape (P, 2)
        Filled as far as pairs are kept.
    r2 : ndarray of float64, shape (P,)
        Likewise.

    Returns
    -------
    int
        Pairs kept.
    """
    n_kept = 0
    for i in range(n_first):
        for j in range(i + 1, last[i]):
            if by_haplotype and _cannot_exceed(sums[i], sums[j], n_people, min_r2):
                continue
            value = pair_r2(planes[i], planes[j], sums[i], sums[j], n_people, by_haplotype)
            if value >= min_r2:
                pairs[n_kept, 0] = i
                pairs[n_kept, 1] = j
                r2[n_kept] = value
                n_kept += 1
    return n_kept


@jit
def clump_pairs(
    starts: NDArray[np.int64],
    partner: NDArray[np.int64],
    pair_r2_values: NDArray[np.float64],
    order: NDArray[np.int64],
    first: NDArray[np.int64],
    last: NDArray[np.int64],
    r2: float,
    blocked: NDArray[np.bool_],
    owner: NDArray[np.int64],
) -> None:
    """Do as `clump_variants`, with r2 of all pairs known.

    Parameters
    ----------
    starts : ndarray of int64, shape (M + 1,)
        Variant i has pairs ``starts[i] : starts[i + 1]``.
    partner : ndarray of int64
        The other variant of each pair.
    pair_r2_values : ndarray of float64
        Its r2; pairs that are not there are below every threshold.
    order, first, last, r2, blocked, owner
        As for `clump_variants`.
    """
    for i in order:
        if not blocked[i]:
            if owner[i] == UNDECIDED:
                owner[i] = i
            if owner[i] != i:
                continue
        for k in range(starts[i], starts[i + 1]):
            j = partner[k]
            if owner[j] != UNDECIDED or blocked[j] or pair_r2_values[k] <= r2:
                continue
            if first[i] <= j < last[i]:
                if blocked[i]:
                    blocked[j] = True
                else:
                    owner[j] = i
