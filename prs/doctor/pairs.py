"""Questions that need two inputs: signs of strong hits, sample overlap, the target's outcome."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from prs.doctor.findings import Finding
from prs.errors import PrsError
from prs.inputs.cohort import Cohort
from prs.inputs.genotypes import Genotypes
from prs.inputs.harmonise import HarmonisedSumStats, harmonise
from prs.samples import match_samples

__all__ = ["check_against_outcome", "check_pairs"]

#: Hits of both studies below this p; and how many are needed for a word.
STRONG_P, MIN_HITS = 1e-4, 5
#: One hit in this many base pairs.
HIT_DISTANCE = 500_000
#: Null-like statistics: |z| below this in both, and how many are needed.
NULL_Z, MIN_NULL = 1.5, 2000


def _hits(p: NDArray[np.float64], chrom: NDArray[np.int8], pos: NDArray[np.int32]) -> list[int]:
    """Return the strongest associations, no two of a chromosome within `HIT_DISTANCE`."""
    chosen: list[int] = []
    for i in np.argsort(p, kind="stable"):
        if not p[i] < STRONG_P or len(chosen) >= 200:
            break
        if all(chrom[i] != chrom[j] or abs(pos[i] - pos[j]) > HIT_DISTANCE for j in chosen):
            chosen.append(int(i))
    return chosen


def check_pairs(statistics: Mapping[str, HarmonisedSumStats]) -> Iterator[Finding]:
    """Yield, for each pair of populations, how strong hits agree and how null ones correlate."""
    for one, two in itertools.combinations(statistics, 2):
        first, second = statistics[one], statistics[two]
        subject = f"{one} and {two}"
        try:
            both = harmonise(
                first, second.variants, eaf=second.eaf, palindromic="keep", min_overlap=0.0
            )
        except PrsError:
            yield Finding("concordance", subject, "pass", "no variant in common")
            continue
        other = second.take(both.reference_index)
        v = both.variants
        yield _concordance(subject, both, other, v.chrom, v.pos)
        yield _overlapping_samples(subject, both, other)


def _concordance(
    subject: str,
    a: HarmonisedSumStats,
    b: HarmonisedSumStats,
    chrom: NDArray[np.int8],
    pos: NDArray[np.int32],
) -> Finding:
    hits = _hits(np.maximum(a.p, b.p), chrom, pos) or _hits(np.minimum(a.p, b.p), chrom, pos)
    if len(hits) < MIN_HITS:
        hits = _hits(np.minimum(a.p, b.p), chrom, pos)
    if len(hits) < MIN_HITS:
        return Finding("concordance", subject, "pass", f"{len(hits)} strong hits: too few to tell")
    same = int(np.sum(np.sign(a.z[hits]) == np.sign(b.z[hits])))
    share = same / len(hits)
    figure = f"{same} of {len(hits)} strong hits have the same sign in both"
    # by chance, half; at 2.6 standard errors below it, signs are turned in one of the two
    if share < 0.5 - 1.3 / np.sqrt(len(hits)):
        return Finding(
            "concordance", subject, "fail", figure,
            "in one of the two all signs are turned: effect and other allele, or cases and "
            "controls, are exchanged",
        )  # fmt: skip
    return Finding("concordance", subject, "pass", figure)


def _overlapping_samples(subject: str, a: HarmonisedSumStats, b: HarmonisedSumStats) -> Finding:
    null = (np.abs(a.z) < NULL_Z) & (np.abs(b.z) < NULL_Z)
    crowded = max(float(np.median(x.z**2)) for x in (a, b)) > 1.5 * 0.4549
    if null.sum() < MIN_NULL or crowded:
        why = "the traits' own signal is everywhere" if crowded else "too few variants"
        return Finding("sample_overlap", subject, "pass", f"cannot be told: {why}")
    r = float(np.corrcoef(a.z[null], b.z[null])[0, 1])
    figure = f"correlation of null-like statistics {r:+.3f}"
    if abs(r) > 0.1:
        return Finding(
            "sample_overlap", subject, "warn", figure,
            "the two studies share people: intervals will be too narrow",
        )  # fmt: skip
    return Finding("sample_overlap", subject, "pass", figure)


def check_against_outcome(
    statistics: HarmonisedSumStats, target: Genotypes, cohort: Cohort
) -> Finding:
    """Correlate a score of the strongest hits with the outcome of people not kept for testing.

    Only the sign is judged: it is negative beyond chance if cases and controls (or all alleles)
    are exchanged.
    """
    subject = f"{statistics.population} statistics and the target's outcome"
    people = cohort.tuning() if cohort.split is not None else cohort
    on_target = harmonise(
        statistics, target.variants, eaf=None, palindromic="keep", min_overlap=0.0
    )
    v = on_target.variants
    hits = _hits(on_target.p, v.chrom, v.pos)
    if len(hits) < MIN_HITS:
        hits = list(np.argsort(on_target.p, kind="stable")[:MIN_HITS])
    mine, rows = match_samples(
        people.samples, target.samples, what="the cohort", target_name="the genotypes"
    )
    rows, outcome = rows[:5000], people.outcome[mine][:5000]
    hits = sorted(hits)
    dosages = target.read_dosages(on_target.reference_index[hits], samples=rows, dtype=np.float64)
    dosages = np.where(np.isnan(dosages), np.nanmean(dosages, axis=0), dosages)
    score = dosages @ on_target.beta[hits]
    labels = next(iter(people.labels.values()), None)
    groups = np.zeros(len(rows), int) if labels is None else labels[mine][:5000]
    # within groups: differences between ancestries say nothing about the sign
    for group in np.unique(groups):
        inside = groups == group
        score[inside] -= score[inside].mean()
        outcome = np.where(inside, outcome - outcome[inside].mean(), outcome)
    if score.std() == 0 or outcome.std() == 0:
        return Finding("expected_sign", subject, "pass", "too little variation to tell")
    r = float(np.corrcoef(score, outcome)[0, 1])
    t = r * np.sqrt((len(rows) - 2) / max(1 - r**2, 1e-12))
    figure = f"a score of {len(hits)} hits correlates {r:+.3f} with the outcome (t {t:+.1f})"
    if t < -3:
        return Finding(
            "expected_sign", subject, "fail", figure,
            "all signs are turned: cases and controls (in the GWAS or the cohort), or effect "
            "and other allele, are exchanged",
        )  # fmt: skip
    return Finding("expected_sign", subject, "pass", figure)
