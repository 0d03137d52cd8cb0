"""Questions to one population's statistics, alone and on its panel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from prs.doctor.findings import Finding, Verdict
from prs.errors import BuildMismatchError, OverlapError, PrsError
from prs.inputs.harmonise import HarmonisedSumStats
from prs.inputs.sumstats import SumStats
from prs.quality import implied_sd_ratio

__all__ = [
    "check_duplicates",
    "check_effect_allele",
    "check_inflation",
    "check_overlap",
    "check_palindromes",
    "check_panel_ancestry",
    "check_reading",
    "check_sample_size",
    "finding_of_error",
    "frequency_distance",
]

#: Median of a chi-square with one degree of freedom.
MEDIAN_CHI_SQUARE = 0.4549364
#: Implied over expected scale of the statistics: 1 for a quantitative trait in standard
#: deviations, 2 for a case-control study (Prive et al. 2022). Published files of standardised
#: height and BMI give 0.70 to 1.07; an n that is wrong tenfold changes it by sqrt(10).
SCALES = {"quantitative": (0.55, 1.8), "binary": (1.2, 3.4), "auto": (0.55, 2.9)}
#: Squared frequency differences over f(1-f), halved: 0.001 to 0.003 for published height on its
#: own population's panel, 0.027 (South Asian for European) to 0.17 on another's.
FAR_PANEL, WRONG_PANEL = 0.015, 0.045
MIN_COMMON = 50


def finding_of_error(error: PrsError, subject: str) -> Finding:
    """Return the finding that a refusal to read or match amounts to."""
    if error.fault:
        name = error.fault
    elif isinstance(error, BuildMismatchError):
        name = "build"
    elif isinstance(error, OverlapError):
        name = "overlap"
    else:
        name = "file"
    where = "" if error.path is None else f"{Path(error.path).name}: "
    if error.line is not None:
        where += f"line {error.line}: "
    return Finding(name, subject, "fail", where + error.message, error.remedy or "")


def check_reading(statistics: SumStats) -> Iterator[Finding]:
    """Yield what was understood, and how many rows could not be used."""
    source, subject = statistics.source, f"{statistics.population} statistics"
    columns = ", ".join(f"{role} = {name}" for role, name in source.columns.items())
    yield Finding(
        "columns", subject, "pass", f"{Path(source.path).name}: {source.dialect}; {columns}"
    )
    lost = {reason: n for reason, n in source.losses.items() if reason != "other_test"}
    share = sum(lost.values()) / max(source.n_rows, 1)
    told = "; ".join(f"{reason.replace('_', ' ')} {n:,}" for reason, n in lost.items())
    figure = f"{len(statistics):,} of {source.n_rows:,} rows can be used" + (told and f" ({told})")
    if share > 0.1:
        yield Finding("rows", subject, "warn", figure, "look at the rows that are lost (--ledger)")
    else:
        yield Finding("rows", subject, "pass", figure)


def check_duplicates(statistics: SumStats) -> Finding:
    """Count rows whose variant (site and alleles, in either order) occurred before."""
    v = statistics.variants
    first = np.where(v.effect_allele < v.other_allele, v.effect_allele, v.other_allele)
    second = np.where(v.effect_allele < v.other_allele, v.other_allele, v.effect_allele)
    import pandas as pd

    site = v.site_key if v.has_positions else v.id
    repeated = int(pd.DataFrame({"s": site, "a": first, "b": second}).duplicated().sum())
    share = repeated / max(len(v), 1)
    subject = f"{statistics.population} statistics"
    figure = f"{repeated:,} of {len(v):,} rows ({share:.1%}) repeat a variant"
    remedy = (
        "the row with the largest n is taken; find out which table was appended or joined twice"
    )
    if share > 0.1:
        return Finding("duplicates", subject, "fail", figure, remedy)
    if share > 0.01:
        return Finding("duplicates", subject, "warn", figure, remedy)
    return Finding("duplicates", subject, "pass", figure)


def check_inflation(statistics: SumStats) -> Finding:
    """Compare the median chi-square with the null's.

    Only a low one is a fault: a high one may be stratification or a polygenic trait, which the
    median cannot tell apart.
    """
    chi = np.square(statistics.z[np.isfinite(statistics.z)])
    value = float(np.median(chi)) / MEDIAN_CHI_SQUARE if len(chi) else float("nan")
    n = float(np.nanmedian(statistics.n_eff)) if np.isfinite(statistics.n_eff).any() else 0.0
    subject, figure = f"{statistics.population} statistics", f"lambda GC {value:.3f} at n {n:,.0f}"
    if value < 0.85:
        return Finding(
            "inflation", subject, "warn", figure + ", below any null",
            "standard errors are too large: corrected twice, or not the errors of beta?",
        )  # fmt: skip
    return Finding("inflation", subject, "pass", figure)


def check_overlap(statistics: HarmonisedSumStats) -> Finding:
    """Judge the share of the smaller input that was matched."""
    report, subject = statistics.report, f"{statistics.population} statistics on their panel"
    smaller = max(min(report.n_input, report.n_target), 1)
    share = report.n_kept / smaller
    others = {label: n for label, n in report.counts.items() if n and label not in ("same",)}
    figure = (
        f"{report.n_kept:,} of {report.n_input:,} rows on {report.n_target:,} variants "
        f"({share:.0%} of the smaller); "
        + ", ".join(f"{label.replace('_', ' ')} {n:,}" for label, n in others.items())
    )
    if share < 0.5:
        return Finding(
            "overlap", subject, "warn", figure,
            "weights can only be as good as the overlap: check build, ids and chromosomes",
        )  # fmt: skip
    return Finding("overlap", subject, "pass", figure)


def check_palindromes(statistics: HarmonisedSumStats) -> Finding:
    """Say how many A/T and C/G variants were settled, and how."""
    counts, subject = statistics.report.counts, f"{statistics.population} statistics"
    kept = counts["palindromic_same"] + counts["palindromic_swapped"]
    dropped = counts["palindromic_dropped"]
    figure = f"{kept:,} palindromic variants settled by frequency, {dropped:,} dropped"
    if dropped and not np.isfinite(statistics.eaf).any():
        return Finding(
            "palindromes", subject, "warn", figure + ": the file has no frequencies",
            "name the frequency column (--column eaf=NAME); if the strand is known, "
            "--palindromic keep",
        )  # fmt: skip
    if dropped > kept + 0.05 * max(len(statistics), 1):
        return Finding("palindromes", subject, "warn", figure, "are the frequencies the GWAS's?")
    return Finding("palindromes", subject, "pass", figure)


def _known(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.isfinite(a) & np.isfinite(b)


def check_effect_allele(
    statistics: HarmonisedSumStats, panel_eaf: NDArray[np.float64] | None
) -> Finding:
    """Correlate the effect allele's frequency with the panel's."""
    subject = f"{statistics.population} statistics"
    remedy = (
        "the effect allele is the other one, or the frequencies are of the other allele: find out "
        "which in the file's description, and say --column effect_allele=NAME or --column eaf="
    )
    if panel_eaf is None:
        return Finding("effect_allele", subject, "pass", "no panel frequencies to compare with")
    panel = panel_eaf[statistics.reference_index]
    known = _known(statistics.eaf, panel)
    if known.sum() < MIN_COMMON or np.ptp(statistics.eaf[known]) == 0:
        note = next((n for n in statistics.source.notes if "effect allele" in n), "")
        return Finding("effect_allele", subject, "pass", f"no frequencies in the file; {note}")
    r = float(np.corrcoef(statistics.eaf[known], panel[known])[0, 1])
    figure = f"frequencies correlate {r:+.3f} with the panel's ({int(known.sum()):,} variants)"
    if r < 0:
        return Finding("effect_allele", subject, "fail", figure, remedy)
    if r < 0.6:
        return Finding("effect_allele", subject, "warn", figure, remedy)
    return Finding("effect_allele", subject, "pass", figure)


def frequency_distance(
    statistics: HarmonisedSumStats, panel_eaf: NDArray[np.float64]
) -> float | None:
    """Return sum (f - g)^2 / sum 2 m (1 - m), m the mean: about F_ST; None where unknown."""
    panel = panel_eaf[statistics.reference_index]
    known = _known(statistics.eaf, panel)
    if known.sum() < MIN_COMMON:
        return None
    f, g = statistics.eaf[known], panel[known]
    mean = (f + g) / 2
    return float(np.sum((f - g) ** 2) / max(2 * np.sum(mean * (1 - mean)), 1e-300))


def check_panel_ancestry(
    statistics: HarmonisedSumStats,
    panel_eaf: NDArray[np.float64],
    others: Mapping[str, float],
) -> Finding:
    """Judge how far the panel's frequencies are from the study's, and whether another is nearer.

    Parameters
    ----------
    statistics : HarmonisedSumStats
        On the panel.
    panel_eaf : ndarray of float64, shape (n_reference,)
        The panel's frequencies.
    others : mapping of str to float
        Distance to the panels of the other populations.
    """
    subject = f"panel of {statistics.population}"
    distance = frequency_distance(statistics, panel_eaf)
    if distance is None:
        return Finding("panel_ancestry", subject, "pass", "no frequencies in the file to tell by")
    figure = f"frequency distance (about F_ST) {distance:.4f}"
    remedy = f"use LD of the population of the {statistics.population} GWAS"
    nearer = {name: d for name, d in others.items() if d < distance / 2}
    if nearer and distance > FAR_PANEL / 3:
        name = min(nearer, key=nearer.__getitem__)
        figure += f"; the panel of {name} is nearer ({nearer[name]:.4f})"
        return Finding("panel_ancestry", subject, "fail", figure, remedy)
    # exchanged alleles also look far away: those have their own question
    panel = panel_eaf[statistics.reference_index]
    known = _known(statistics.eaf, panel)
    if distance > FAR_PANEL and np.corrcoef(statistics.eaf[known], panel[known])[0, 1] < 0:
        return Finding("panel_ancestry", subject, "pass", "not judged: see effect_allele")
    verdict: Verdict = "pass"
    if distance > FAR_PANEL:
        verdict = "fail" if distance > WRONG_PANEL else "warn"
    return Finding("panel_ancestry", subject, verdict, figure, "" if verdict == "pass" else remedy)


def check_sample_size(
    statistics: HarmonisedSumStats, panel_eaf: NDArray[np.float64], kind: str
) -> Finding:
    """Compare the sample size that the standard errors imply with the stated one."""
    subject = f"{statistics.population} statistics"
    columns = statistics.source.columns
    if kind == "auto" and columns.keys() & {"odds_ratio", "n_cases"}:
        kind = "binary"
    if any("beta and se from z" in derived for derived in statistics.source.derived):
        return Finding(
            "sample_size", subject, "pass", "effects were derived from n: nothing to ask"
        )
    _, scale = implied_sd_ratio(statistics, panel_eaf[statistics.reference_index])
    if not np.isfinite(scale):
        return Finding("sample_size", subject, "pass", "too few variants to tell")
    stated = float(np.nanmedian(statistics.n_eff))
    expected = {"binary": 2.0, "quantitative": 1.0}.get(kind, 2.0 if scale > 1.45 else 1.0)
    implied = stated * (expected / scale) ** 2
    figure = f"n stated {stated:,.0f}, implied by the standard errors {implied:,.0f}"
    low, high = SCALES[kind]
    if low <= scale <= high:
        return Finding("sample_size", subject, "pass", figure)
    linear = SCALES["quantitative"][0] <= scale <= SCALES["quantitative"][1]
    if kind == "binary" and linear and "odds_ratio" not in columns:
        return Finding(
            "sample_size", subject, "warn", figure,
            "n is too small, or the effects are not log odds ratios but of a linear model",
        )  # fmt: skip
    if kind == "binary":
        return Finding(
            "sample_size", subject, "fail", figure,
            "give the effective size, 4 / (1/cases + 1/controls): --n POP=NUMBER",
        )  # fmt: skip
    return Finding(
        "sample_size", subject, "warn", figure,
        f"check n; if it is right, the trait is in units of which its standard deviation is "
        f"{scale:.2g}, which harms nothing",
    )  # fmt: skip
