"""Questions that need two inputs: signs of strong hits, shared people, the target's outcome."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prs.doctor.findings import Finding
from prs.doctor.shared_people import Correlations, Intercept, LdScores, cross_ld_scores, intercept
from prs.errors import PrsError, SettingsError
from prs.inputs.cohort import Cohort
from prs.inputs.genotypes import Genotypes
from prs.inputs.harmonise import HarmonisedSumStats, harmonise
from prs.samples import match_samples

__all__ = ["check_against_outcome", "check_pairs", "check_shared_with_target"]

#: Hits of both studies below this p; and how many are needed for a word.
STRONG_P, MIN_HITS = 1e-4, 5
#: One hit in this many base pairs.
HIT_DISTANCE = 500_000
#: Intercepts below this are of few shared people; errors above the other one tell nothing.
FEW_SHARED, MAX_ERROR = 0.05, 0.1
#: People of the target whose outcome is looked at.
MAX_PEOPLE = 5000


def _hits(p: NDArray[np.float64], chrom: NDArray[np.int8], pos: NDArray[np.int32]) -> list[int]:
    """Return the strongest associations, no two of a chromosome within `HIT_DISTANCE`."""
    chosen: list[int] = []
    for i in np.argsort(p, kind="stable"):
        if not p[i] < STRONG_P or len(chosen) >= 200:
            break
        if all(chrom[i] != chrom[j] or abs(pos[i] - pos[j]) > HIT_DISTANCE for j in chosen):
            chosen.append(int(i))
    return chosen


def check_pairs(
    statistics: Mapping[str, HarmonisedSumStats], ld: Mapping[str, Correlations]
) -> Iterator[Finding]:
    """Yield, for each pair of populations, whether strong hits agree and people are shared.

    Parameters
    ----------
    statistics : mapping of str to HarmonisedSumStats
        Each on its own panel.
    ld : mapping of str to callable
        Correlations of the rows of each panel.
    """
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
        mine = _rows_of(first, both)
        sign = np.where(mine.z * both.z < 0, -1.0, 1.0)
        scores = cross_ld_scores(
            (ld[one], mine.reference_index), (ld[two], other.reference_index), sign, v.chrom
        )
        yield _shared_people(subject, both, other, scores)


def _rows_of(statistics: HarmonisedSumStats, found: HarmonisedSumStats) -> HarmonisedSumStats:
    """Return the rows of statistics that were harmonised once more, as they were before."""
    if found.row is None:
        raise SettingsError("statistics without their rows")
    return statistics.take(found.row)


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


def _shared_people(
    subject: str, a: HarmonisedSumStats, b: HarmonisedSumStats, scores: LdScores
) -> Finding:
    found = intercept(a.z, b.z, scores)
    if np.isnan(found.error):
        return Finding("sample_overlap", subject, "pass", f"cannot be told: {_too_little(found)}")
    figure = f"LD-score intercept {found.value:+.3f} (standard error {found.error:.3f})"
    if found.value > FEW_SHARED and found.value > 3 * found.error:
        sizes = np.sqrt(np.nanmedian(a.n_eff) * np.nanmedian(b.n_eff))
        shared = f", as {found.value * sizes:,.0f} shared people would make of one trait"
        return Finding(
            "sample_overlap", subject, "warn", figure + shared,
            "the two studies share people: intervals will be too narrow; use statistics of "
            "different people",
        )  # fmt: skip
    if found.error > MAX_ERROR:
        return Finding("sample_overlap", subject, "pass", f"cannot be told: {_too_little(found)}")
    return Finding("sample_overlap", subject, "pass", figure)


def _too_little(found: Intercept) -> str:
    if np.isnan(found.error):
        return f"{found.n_variants:,} common variants are too few for an LD-score regression"
    return (
        f"of {found.n_variants:,} common variants the standard error of the LD-score intercept "
        f"is {found.error:.2f}"
    )


@dataclass(frozen=True, eq=False)
class _Outcome:
    """Outcomes of people with genotypes: their rows, values within groups, and groups."""

    rows: NDArray[np.int64]
    values: NDArray[np.float64]
    groups: list[NDArray[np.bool_]]
    n_eff: float

    def within_groups(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return values (n, ...) less their group's mean: ancestries differ in everything."""
        values = values.copy()
        for inside in self.groups:
            values[inside] -= values[inside].mean(axis=0)
        return values


def _outcome(target: Genotypes, cohort: Cohort) -> _Outcome:
    """Return the outcomes of people that are not kept for testing."""
    people = cohort.tuning() if cohort.split is not None else cohort
    mine, rows = match_samples(
        people.samples, target.samples, what="the cohort", target_name="the genotypes"
    )
    rows, outcome = rows[:MAX_PEOPLE], people.outcome[mine][:MAX_PEOPLE].astype(np.float64)
    labels = next(iter(people.labels.values()), None)
    names = np.zeros(len(rows), int) if labels is None else labels[mine][:MAX_PEOPLE]
    groups = [names == name for name in np.unique(names)]
    n_eff = float(len(rows))
    if people.outcome_kind == "binary":
        cases = float(np.sum(outcome > 0))
        n_eff = 4 * cases * (len(rows) - cases) / max(len(rows), 1)
    unscaled = _Outcome(rows, outcome, groups, n_eff)
    return _Outcome(rows, unscaled.within_groups(outcome), groups, n_eff)


def _read(target: Genotypes, variants: NDArray[np.int64], who: _Outcome) -> NDArray[np.float64]:
    """Return dosages of ascending variants, the mean where missing; shape (n, len(variants))."""
    dosages = target.read_dosages(variants, samples=who.rows, dtype=np.float64)
    return np.where(np.isnan(dosages), np.nan_to_num(np.nanmean(dosages, axis=0)), dosages)


def check_shared_with_target(
    statistics: HarmonisedSumStats,
    ld: Correlations,
    n_panel: int | None,
    target: Genotypes,
    cohort: Cohort,
) -> Finding:
    """Ask whether people of the target are in the GWAS, by an LD-score regression of both.

    The target's own statistics are computed, of people that are not kept for testing; if those
    are in the GWAS, so may the others be. This is what EraSOR (Choi et al. 2023, GigaScience
    12:giad043) corrects for.

    Parameters
    ----------
    statistics : HarmonisedSumStats
        On their panel.
    ld : callable
        Correlations of the panel.
    n_panel : int or None
        People of the panel.
    target, cohort : Genotypes, Cohort
        The people to be scored, and their outcomes.
    """  # fmt: skip
    subject = f"{statistics.population} statistics and the target's people"
    on_target = harmonise(
        statistics, target.variants, eaf=None, palindromic="keep", min_overlap=0.0
    )
    who = _outcome(target, cohort)
    panel_rows = _rows_of(statistics, on_target).reference_index
    v = on_target.variants
    own = (ld, panel_rows)
    scores = cross_ld_scores(own, own, np.ones(len(v)), v.chrom, n_panel)
    z = np.full(len(v), np.nan)
    y = who.values / max(float(who.values.std()), 1e-300)
    for piece in np.unique(scores.piece):
        at = scores.index[scores.piece == piece]
        x = who.within_groups(_read(target, on_target.reference_index[at], who))
        with np.errstate(invalid="ignore", divide="ignore"):
            z[at] = (x.T @ y) / (x.std(axis=0) * np.sqrt(len(y)))
    found = intercept(on_target.z, z, scores)
    # with all of the target's people in the GWAS
    full = np.sqrt(who.n_eff / float(np.nanmedian(statistics.n_eff)))
    if not np.isfinite(found.error) or found.error * 3 > full:
        why = (
            _too_little(found)
            if not np.isfinite(found.error)
            else f"if all {len(y):,} people were in the GWAS the LD-score intercept would be "
            f"{full:.3f}, with a standard error of {found.error:.3f}"
        )
        return Finding("sample_overlap", subject, "pass", f"cannot be told: {why}")
    share, error = found.value / full, found.error / full
    figure = f"about {max(share, 0):.0%} (standard error {error:.0%}) of the people looked at"
    if share > 3 * error and share > FEW_SHARED:
        return Finding(
            "sample_overlap", subject, "fail", figure + " are in the GWAS, too",
            "every accuracy will be too high: take statistics without these people, or score "
            "others",
        )  # fmt: skip
    return Finding("sample_overlap", subject, "pass", figure + " are in the GWAS")


def check_against_outcome(
    statistics: HarmonisedSumStats, target: Genotypes, cohort: Cohort
) -> Finding:
    """Correlate a score of the strongest hits with the outcome of people not kept for testing.

    Only the sign is judged: it is negative beyond chance if cases and controls (or all alleles)
    are exchanged.
    """
    subject = f"{statistics.population} statistics and the target's outcome"
    on_target = harmonise(
        statistics, target.variants, eaf=None, palindromic="keep", min_overlap=0.0
    )
    v = on_target.variants
    hits = _hits(on_target.p, v.chrom, v.pos)
    if len(hits) < MIN_HITS:
        hits = list(np.argsort(on_target.p, kind="stable")[:MIN_HITS])
    hits = sorted(hits)
    who = _outcome(target, cohort)
    dosages = _read(target, on_target.reference_index[hits], who)
    # within groups: differences between ancestries say nothing about the sign
    score, outcome = who.within_groups(dosages @ on_target.beta[hits]), who.values
    if score.std() == 0 or outcome.std() == 0:
        return Finding("expected_sign", subject, "pass", "too little variation to tell")
    r = float(np.corrcoef(score, outcome)[0, 1])
    t = r * np.sqrt((len(score) - 2) / max(1 - r**2, 1e-12))
    figure = f"a score of {len(hits)} hits correlates {r:+.3f} with the outcome (t {t:+.1f})"
    if t < -3:
        return Finding(
            "expected_sign", subject, "fail", figure,
            "all signs are turned: cases and controls (in the GWAS or the cohort), or effect "
            "and other allele, are exchanged",
        )  # fmt: skip
    return Finding("expected_sign", subject, "pass", figure)
