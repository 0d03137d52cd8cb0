"""The one engine that matches two lists of variants, and the account of what it did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prs.errors import BuildMismatchError, OverlapError, SettingsError
from prs.variants import VariantTable, allele_codes, chromosome_labels

__all__ = [
    "Fate",
    "MatchReport",
    "PalindromicRule",
    "VariantMatch",
    "find_other_alleles",
    "match_variants",
]

PalindromicRule = Literal["frequency", "keep", "drop"]

_COMPLEMENT = {"A": "T", "T": "A", "C": "G", "G": "C"}
#: Share of common ids whose positions must agree before two inputs count as one build.
MIN_POSITION_AGREEMENT = 0.5
#: Of a longer input every k-th row is looked at, so that about this many are.
MAX_IDS_FOR_BUILD = 500_000
#: Fewer common ids than this do not allow a verdict on the build.
MIN_IDS_FOR_BUILD = 20


class Fate(IntEnum):
    """What became of one row: every row that comes in has exactly one."""

    SAME = 0  # same alleles, same orientation
    SWAPPED = 1  # effect and other allele exchanged: sign and frequency turned
    FLIPPED = 2  # read from the other strand
    FLIPPED_SWAPPED = 3
    PALINDROMIC_SAME = 4  # A/T or C/G, strand settled by the rule
    PALINDROMIC_SWAPPED = 5
    PALINDROMIC_DROPPED = 6  # A/T or C/G, strand not settled
    ALLELE_MISMATCH = 7  # the site (or id) is there, with other alleles
    DUPLICATE = 8  # another row was taken for the same variant
    NOT_FOUND = 9  # the site (or id) is not in the target
    INVALID = 10  # the row could not be used: missing or impossible values
    FAILED_QC = 11  # matched, and left out by a quality rule
    NOT_IN_TARGET = 12  # in the panel, not among the people to be scored

    @property
    def is_kept(self) -> bool:
        """Whether a row with this fate is in the result."""
        return self <= Fate.PALINDROMIC_SWAPPED

    @property
    def label(self) -> str:
        """Lower-case name for tables."""
        return self.name.lower()


_SIGN = np.array([1, -1, 1, -1, 1, -1, *[0] * 7], dtype=np.int8)


@dataclass(frozen=True)
class MatchReport:
    """How many rows met which fate; the counts sum to the rows that came in.

    Attributes
    ----------
    source : str
        What was matched ("EUR summary statistics, height.txt.gz").
    target : str
        What it was matched to.
    counts : dict of str to int
        Rows by `Fate` label, all fates present, in the order of `Fate`.
    n_target : int
        Variants in the target.
    details : dict of str to int
        Breakdown of the ``invalid`` rows by reason, from reading; sums to ``counts["invalid"]``.
    notes : tuple of str
        Remarks for the user (which key was used, what was assumed).
    failed_qc : dict of str to int
        Breakdown of the ``failed_qc`` rows by rule; sums to ``counts["failed_qc"]``.
    """

    source: str
    target: str
    counts: Mapping[str, int]
    n_target: int
    details: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    failed_qc: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "counts", {fate.label: int(self.counts.get(fate.label, 0)) for fate in Fate}
        )

    @property
    def n_input(self) -> int:
        """Rows that came in."""
        return sum(self.counts.values())

    @property
    def n_kept(self) -> int:
        """Rows in the result."""
        return sum(self.counts[fate.label] for fate in Fate if fate.is_kept)

    def to_frame(self) -> pd.DataFrame:
        """Return one row a fate: fate, kept (bool), n, share of the input."""
        n_input = max(self.n_input, 1)
        return pd.DataFrame(
            {
                "fate": list(self.counts),
                "kept": [fate.is_kept for fate in Fate],
                "n": list(self.counts.values()),
                "share": [n / n_input for n in self.counts.values()],
            }
        )

    def __str__(self) -> str:
        parts = ", ".join(
            f"{label.replace('_', ' ')} {n:,}" for label, n in self.counts.items() if n
        )
        return (
            f"{self.source} -> {self.target}: {self.n_kept:,} of {self.n_input:,} rows kept "
            f"({self.n_kept:,} of {self.n_target:,} target variants); {parts}"
        )


@dataclass(frozen=True, eq=False)
class VariantMatch:
    """Which query row is which target variant, and on which side.

    Attributes
    ----------
    query_index : ndarray of int64, shape (K,)
        Rows of the query that were kept, in the order of the target.
    target_index : ndarray of int64, shape (K,)
        Their variants in the target; ascending, unique.
    sign : ndarray of int8, shape (K,)
        +1 where the effect alleles agree, -1 where they are exchanged (turn beta and eaf).
    fate : ndarray of int8, shape (M_query,)
        The `Fate` of each query row.
    notes : tuple of str
        Which key was used and what was assumed.
    """

    query_index: NDArray[np.int64]
    target_index: NDArray[np.int64]
    sign: NDArray[np.int8]
    fate: NDArray[np.int8]
    notes: tuple[str, ...] = ()

    def report(
        self, source: str, target: str, n_target: int, invalid: Mapping[str, int] | None = None
    ) -> MatchReport:
        """Count the fates; `invalid` adds rows that reading had to leave out, by reason."""
        counts = np.bincount(self.fate, minlength=len(Fate))
        invalid = dict(invalid or {})
        by_label = {fate.label: int(counts[fate]) for fate in Fate}
        by_label["invalid"] += sum(invalid.values())
        return MatchReport(source, target, by_label, n_target, invalid, self.notes)


def _unordered_pair(a: NDArray[np.int64], b: NDArray[np.int64], n_codes: int) -> NDArray[np.int64]:
    """Return one number for an allele pair whatever its order and strand."""
    snv = (a < 4) & (b < 4)
    direct = np.minimum(a, b) * n_codes + np.maximum(a, b)
    flipped = np.minimum(3 - a, 3 - b) * n_codes + np.maximum(3 - a, 3 - b)
    return np.where(snv, np.minimum(direct, flipped), direct)


def _site_codes(
    query: VariantTable, target: VariantTable, by: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return integer site keys of both tables, by position or by id; -1 where there is none."""
    if by == "position":
        keys = []
        for table in (query, target):
            known = (table.chrom > 0) & (table.pos > 0)
            keys.append(np.where(known, table.site_key, -1))
        return keys[0], keys[1]
    codes, unique = pd.factorize(np.concatenate([query.id, target.id]), use_na_sentinel=False)
    nameless = [i for i, name in enumerate(unique) if name in ("", ".") or name != name]
    codes = codes.astype(np.int64)
    codes[np.isin(codes, nameless)] = -1
    return codes[: len(query)], codes[len(query) :]


def _check_build(query: VariantTable, target: VariantTable) -> str | None:
    """Raise if ids agree and positions do not; return a note on how many prove the build."""
    order = pd.Index(target.id)
    if not order.is_unique:
        keep = ~order.duplicated()
        where = np.flatnonzero(keep)
        order = order[keep]
    else:
        where = np.arange(len(target))
    sample = np.arange(0, len(query), max(len(query) // MAX_IDS_FOR_BUILD, 1))
    hit = order.get_indexer(pd.Index(query.id[sample]))
    names = query.id[sample]
    named = np.flatnonzero((hit >= 0) & (names != "") & (names != ".") & (query.pos[sample] > 0))
    if len(named) < MIN_IDS_FOR_BUILD:
        return None
    rows, at = sample[named], where[hit[named]]
    agree = query.site_key[rows] == target.site_key[at]
    share = float(agree.mean())
    if share < MIN_POSITION_AGREEMENT:
        bad = np.flatnonzero(~agree)[:5]
        raise BuildMismatchError(
            f"only {share:.1%} of the {len(rows):,} variants with the same id have the same "
            "position: the two inputs are on different genome builds",
            rows=[
                f"{query.id[rows[i]]}: {chromosome_labels(query.chrom[rows[i]])}:"
                f"{query.pos[rows[i]]} against {chromosome_labels(target.chrom[at[i]])}:"
                f"{target.pos[at[i]]}"
                for i in bad
            ],
            n_rows=int((~agree).sum()),
            remedy="lift one of them over to the other's build, or match by id (by='id')",
        )
    looked = "" if len(sample) == len(query) else f" (of {len(sample):,} rows looked at)"
    return f"{int(agree.sum()):,} of {len(rows):,} common ids have the same position{looked}"


def _count_other_names(query: NDArray[np.object_], target: NDArray[np.object_]) -> list[str]:
    """Return a note on matched variants that the two inputs call by different rsIDs."""
    differ = np.flatnonzero(query != target)
    moved = sum(
        1
        for a, b in zip(query[differ], target[differ], strict=True)
        if a.startswith("rs") and b.startswith("rs")
    )
    return [f"{moved:,} matched variants have another rsID (the position wins)"] if moved else []


def match_variants(
    query: VariantTable,
    target: VariantTable,
    *,
    query_eaf: NDArray[np.float64] | None = None,
    target_eaf: NDArray[np.float64] | None = None,
    palindromic: PalindromicRule = "frequency",
    ambiguous_maf: float = 0.4,
    by: Literal["auto", "position", "id"] = "auto",
    priority: NDArray[np.float64] | None = None,
    min_overlap: float = 0.0,
    what: str = "query",
    target_name: str = "target",
) -> VariantMatch:
    """Find each query row among the target's variants, by site and alleles.

    A row matches if the site is the same and the alleles are, in either order and, for
    single nucleotides, read from either strand. Sites with several alternate alleles match by
    alleles, never by site alone. Where several rows claim one target variant the one with the
    smallest `priority` (ties: the first) is taken and the others count as duplicates. Where
    the target repeats a variant, the repeat with the query's id is taken, or else the one
    whose alleles are written with the same letters, or else the first.

    Parameters
    ----------
    query, target : VariantTable
        Any order; duplicates allowed.
    query_eaf, target_eaf : ndarray of float64, optional
        Frequency of the effect allele, for palindromic variants; NaN where unknown.
    palindromic : {"frequency", "keep", "drop"}
        A/T and C/G variants look the same on both strands. ``"frequency"`` keeps those whose
        two frequencies lie clearly on one side of 1/2 each, and turns them where the sides
        differ; ``"keep"`` takes the alleles as written; ``"drop"`` drops them all.
    ambiguous_maf : float
        Minor allele frequency from which (in either input) a frequency settles nothing.
    by : {"auto", "position", "id"}
        The site: chromosome and position (``auto``, where both have them) or the id.
    priority : ndarray of float64, shape (M_query,), optional
        Smaller is preferred among duplicates; default: the first row.
    min_overlap : float
        Least share of the smaller of the two inputs that must match.
    what, target_name : str
        For messages.

    Returns
    -------
    VariantMatch

    Raises
    ------
    BuildMismatchError
        If ids agree and positions do not.
    OverlapError
        If no variant matches, or fewer than `min_overlap`.
    SettingsError
        If ``by="position"`` and one of the inputs has no positions.
    """
    positions = query.has_positions and target.has_positions
    if by == "position" and not positions:
        raise SettingsError(
            f"cannot match {what} to {target_name} by position: one of them has no positions",
            remedy="match by id",
        )
    key = "position" if positions and by != "id" else "id"
    notes = [f"matched by {key} and alleles"]
    if by == "auto" and positions:
        build = _check_build(query, target)
        notes += [build] if build else []

    site_q, site_t = _site_codes(query, target, key)
    fate = np.full(len(query), Fate.NOT_FOUND, dtype=np.int8)
    # rows at a site of the target; of a large file that is a small part
    near = np.flatnonzero((site_q >= 0) & pd.Index(site_q).isin(site_t))
    fate[near] = Fate.ALLELE_MISMATCH
    there, site_q = query.take(near), site_q[near]
    (qa, qb), (ta, tb), n_codes = allele_codes(
        (there.effect_allele, there.other_allele), (target.effect_allele, target.other_allele)
    )
    index = _lookup(site_q, site_t, qa, qb, ta, tb, n_codes)
    index = _choose_among_repeats(there, target, site_q, site_t, index)
    found = np.flatnonzero(index >= 0)
    rows, at = near[found], index[found]
    qa, qb = qa[found], qb[found]
    fate[rows] = _orientation(qa, qb, ta[at], tb[at])

    ambiguous = (qa < 4) & (qa + qb == 3)
    if ambiguous.any():
        pal, pal_at = rows[ambiguous], at[ambiguous]
        fate[pal] = _settle_palindromes(
            fate[pal],
            None if query_eaf is None else query_eaf[pal],
            None if target_eaf is None else target_eaf[pal_at],
            palindromic,
            ambiguous_maf,
        )
    kept = fate[rows] <= Fate.PALINDROMIC_SWAPPED
    rows, at = rows[kept], at[kept]
    order = np.lexsort((rows, np.zeros(len(rows)) if priority is None else priority[rows], at))
    first = np.ones(len(order), bool)
    first[1:] = at[order][1:] != at[order][:-1]
    fate[rows[order[~first]]] = Fate.DUPLICATE
    chosen = order[first]
    query_index, target_index = rows[chosen], at[chosen]
    if key == "position":
        notes += _count_other_names(query.id[query_index], target.id[target_index])

    smaller = max(min(len(query), len(target)), 1)
    if len(query_index) == 0 or len(query_index) / smaller < min_overlap:
        missing = np.flatnonzero(fate >= Fate.ALLELE_MISMATCH)
        raise OverlapError(
            f"{len(query_index):,} of {len(query):,} variants of {what} are among the "
            f"{len(target):,} of {target_name} ({len(query_index) / smaller:.1%} of the smaller; "
            f"at least {min_overlap:.0%} and one are needed). Not matched, for example:",
            rows=query.describe(missing[:5]),
            n_rows=len(missing),
            remedy="check the genome build, the chromosomes and the kind of id of both inputs "
            f"(matched by {key})",
        )
    return VariantMatch(
        query_index.astype(np.int64),
        target_index.astype(np.int64),
        _SIGN[fate[query_index]],
        fate,
        tuple(notes),
    )


def _lookup(
    site_q: NDArray[np.int64],
    site_t: NDArray[np.int64],
    qa: NDArray[np.int64],
    qb: NDArray[np.int64],
    ta: NDArray[np.int64],
    tb: NDArray[np.int64],
    n_codes: int,
) -> NDArray[np.int64]:
    """Return for each query row the first target variant of the same site and allele pair."""
    pairs, _ = pd.factorize(
        np.concatenate([_unordered_pair(qa, qb, n_codes), _unordered_pair(ta, tb, n_codes)])
    )
    sites, _ = pd.factorize(np.concatenate([site_q, site_t]))
    joint = sites.astype(np.int64) * (int(pairs.max(initial=0)) + 1) + pairs
    key_q, key_t = joint[: len(site_q)], joint[len(site_q) :]
    usable = np.flatnonzero(site_t >= 0)
    table = pd.Index(key_t[usable])
    keep = np.flatnonzero(~table.duplicated())
    hit = table[keep].get_indexer(pd.Index(key_q))
    index = np.where(hit >= 0, usable[keep][hit] if len(keep) else -1, -1)
    index[site_q < 0] = -1
    return index.astype(np.int64)


def _choose_among_repeats(
    query: VariantTable,
    target: VariantTable,
    site_q: NDArray[np.int64],
    site_t: NDArray[np.int64],
    index: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Return `index` with better choices at sites where the target repeats an allele pair."""
    repeated = pd.Index(site_t).duplicated(keep=False) & (site_t >= 0)
    rows = np.flatnonzero((index >= 0) & np.isin(site_q, site_t[repeated]))
    if len(rows) == 0:
        return index

    def letters(table: VariantTable, i: int) -> frozenset[str]:
        return frozenset((table.effect_allele[i], table.other_allele[i]))

    def either_strand(alleles: frozenset[str]) -> frozenset[frozenset[str]]:
        if not alleles <= _COMPLEMENT.keys():  # only single nucleotides are read from both
            return frozenset((alleles,))
        return frozenset((alleles, frozenset(_COMPLEMENT[allele] for allele in alleles)))

    by_letters: dict[tuple[int, frozenset[str]], int] = {}
    by_id: dict[tuple[int, str, frozenset[frozenset[str]]], int] = {}
    for i in np.flatnonzero(repeated).tolist():
        alleles = letters(target, i)
        by_letters.setdefault((int(site_t[i]), alleles), i)
        by_id.setdefault((int(site_t[i]), target.id[i], either_strand(alleles)), i)
    index = index.copy()
    for i in rows.tolist():
        alleles, site = letters(query, i), int(site_q[i])
        first = by_letters.get((site, alleles), int(index[i]))
        named = query.id[i] not in ("", ".")
        key = (site, query.id[i], either_strand(alleles))
        index[i] = by_id.get(key, first) if named else first
    return index


def _orientation(
    qa: NDArray[np.int64], qb: NDArray[np.int64], ta: NDArray[np.int64], tb: NDArray[np.int64]
) -> NDArray[np.int8]:
    """Return SAME, SWAPPED, FLIPPED or FLIPPED_SWAPPED; written order first, strand second."""
    fate = np.full(len(qa), Fate.FLIPPED_SWAPPED, dtype=np.int8)
    fate[(3 - qa == ta) & (3 - qb == tb) & (qa < 4)] = Fate.FLIPPED
    fate[(qa == tb) & (qb == ta)] = Fate.SWAPPED
    fate[(qa == ta) & (qb == tb)] = Fate.SAME
    return fate


def _settle_palindromes(
    written: NDArray[np.int8],
    query_eaf: NDArray[np.float64] | None,
    target_eaf: NDArray[np.float64] | None,
    rule: PalindromicRule,
    ambiguous_maf: float,
) -> NDArray[np.int8]:
    """Return the fate of palindromic rows that, as written, are SAME or SWAPPED."""
    if rule not in ("frequency", "keep", "drop"):
        raise SettingsError(f"palindromic={rule!r} is not one of 'frequency', 'keep', 'drop'")
    same = written == Fate.SAME
    as_written = np.where(same, Fate.PALINDROMIC_SAME, Fate.PALINDROMIC_SWAPPED)
    if rule == "keep":
        return as_written.astype(np.int8)
    settled = np.full(len(written), Fate.PALINDROMIC_DROPPED, dtype=np.int8)
    if rule == "drop" or query_eaf is None or target_eaf is None:
        return settled
    with np.errstate(invalid="ignore"):  # NaN: unknown, so not settled
        clear = (np.minimum(query_eaf, 1 - query_eaf) < ambiguous_maf) & (
            np.minimum(target_eaf, 1 - target_eaf) < ambiguous_maf
        )
        # frequencies of one allele letter lie on the same side of 1/2 if the strand is the same
        same_side = ((query_eaf < 0.5) == (target_eaf < 0.5)) == same
    turned = np.where(same, Fate.PALINDROMIC_SWAPPED, Fate.PALINDROMIC_SAME)
    settled[clear] = np.where(same_side, as_written, turned)[clear]
    return settled


def find_other_alleles(variants: VariantTable, target: VariantTable) -> NDArray[np.object_]:
    """Return the allele beside the effect allele at the target's site; "" if there is not one.

    On the written strand first, then on the opposite one; several candidates settle nothing.

    Parameters
    ----------
    variants : VariantTable
        M variants whose other allele is unknown.
    target : VariantTable
        Variants with both alleles.

    Returns
    -------
    ndarray of object (str), shape (M,)
    """
    by_position = variants.has_positions and target.has_positions
    key = "site_key" if by_position else "id"
    query = pd.DataFrame(
        {
            "site": getattr(variants, key),
            "allele": variants.effect_allele,
            "row": np.arange(len(variants)),
        }
    )
    known = target.site_key > 0 if by_position else ~np.isin(target.id, ["", "."])
    sides = []
    for strand in (0, 1):
        for effect, other in (
            (target.effect_allele, target.other_allele),
            (target.other_allele, target.effect_allele),
        ):
            pair = pd.DataFrame({"site": getattr(target, key), "allele": effect, "other": other})
            if strand:
                pair[["allele", "other"]] = pair[["allele", "other"]].map(
                    lambda allele: _COMPLEMENT.get(allele)
                )
            pair["strand"] = strand
            sides.append(pair[known].dropna())
    table = pd.concat(sides).drop_duplicates(["site", "allele", "other", "strand"])
    hits = query.merge(table, on=["site", "allele"])
    hits = hits[hits["strand"] == hits.groupby("row")["strand"].transform("min")]
    hits = hits[~hits["row"].duplicated(keep=False)]
    other = np.full(len(variants), "", dtype=object)
    other[hits["row"].to_numpy()] = hits["other"].to_numpy(dtype=object)
    return other
