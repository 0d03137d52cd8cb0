"""Quality rules on harmonised statistics: each with its source, switchable, and counted."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from prs.errors import SettingsError
from prs.inputs.harmonise import HarmonisedSumStats
from prs.inputs.regions import REGIONS, in_regions
from prs.ld.consistency import ld_misfits

if TYPE_CHECKING:
    from prs.ld.reference import LDReference

__all__ = ["QcRules", "implied_sd_ratio", "qc"]

logger = logging.getLogger(__name__)

#: Fewer variants than this do not set a scale.
MIN_FOR_SCALE = 20


@dataclass(frozen=True, kw_only=True)
class QcRules:
    """Which rules are applied; None (or empty) switches a rule off.

    Attributes
    ----------
    min_maf : float or None
        Least minor-allele frequency, of the statistics and of the panel (0.01: the panels'
        own limit, and below it PRS-CS's reference has no variant).
    min_info : float or None
        Least imputation INFO, where the file has it (0.8: Choi et al. 2020, Nat Protoc 15:2759).
    min_n_share : float or None
        Least n as a share of the 90th percentile (2/3: munge_sumstats of LDSC, Bulik-Sullivan
        et al. 2015).
    sd : bool
        Whether the genotype's standard deviation that the statistics imply must agree with the
        panel's: at least half of it and at most 0.1 above it (Prive et al. 2022, HGG Adv
        3:100136), after scaling by the median ratio, which no unit of the trait changes.
    max_eaf_difference : float or None
        Greatest |eaf - panel's eaf| (0.2: Pain et al. 2021, PLoS Genet 17:e1009021).
    ld : bool
        Whether each z must agree with its neighbours' (see `prs.ld.consistency`), where an LD
        reference is given.
    exclude : tuple of str
        Regions to leave out: "mhc", "long_range_ld" (`prs.inputs.regions`), in GRCh37 or GRCh38
        as the positions tell. Default none.
    """

    min_maf: float | None = 0.01
    min_info: float | None = 0.8
    min_n_share: float | None = 2 / 3
    sd: bool = True
    max_eaf_difference: float | None = 0.2
    ld: bool = True
    exclude: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("min_maf", "min_info", "min_n_share", "max_eaf_difference"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise SettingsError(f"{name} = {value:g} is not between 0 and 1")
        unknown = sorted(set(self.exclude) - set(REGIONS))
        if unknown:
            raise SettingsError(
                f"no region is called {', '.join(unknown)}", remedy=f"known: {', '.join(REGIONS)}"
            )


#: No rule at all.
OFF = QcRules(
    min_maf=None, min_info=None, min_n_share=None, sd=False, max_eaf_difference=None, ld=False
)


def qc(
    statistics: HarmonisedSumStats,
    *,
    eaf: NDArray[np.float64] | None = None,
    ld: LDReference | None = None,
    rules: QcRules | None = None,
) -> HarmonisedSumStats:
    """Leave out variants that fail a quality rule; each is counted under the first it fails.

    Parameters
    ----------
    statistics : HarmonisedSumStats
        What `harmonise` returned.
    eaf : ndarray of float64, shape (n_reference,), optional
        Effect-allele frequency of the reference that the statistics were put on; default: that
        of `ld`. Without it the rules that need the panel are not applied.
    ld : LDReference, optional
        The reference itself, for the LD rule.
    rules : QcRules, optional
        Default: all but the regions.

    Returns
    -------
    HarmonisedSumStats
        Its report's ``failed_qc`` counts what each rule took.

    Raises
    ------
    SettingsError
        If `eaf` or `ld` are of other variants than the reference's.
    """
    rules = rules or QcRules()
    if ld is not None and eaf is None:
        eaf = ld.eaf
    n_reference = int(statistics.reference_index.max(initial=-1)) + 1
    for name, given in (("eaf", eaf), ("ld", ld)):
        if given is not None and len(given) < n_reference:
            raise SettingsError(f"{name} is not of the reference that the statistics were put on")
    before = len(statistics)
    for rule, bad in _simple_rules(statistics, eaf, rules).items():
        gone = np.isin(statistics.reference_index, bad)
        statistics = statistics.fail(gone, rule)
    if rules.ld and ld is not None:
        z, n = np.full(len(ld), np.nan), np.full(len(ld), np.nan)
        z[statistics.reference_index] = statistics.z
        n[statistics.reference_index] = statistics.n_eff
        statistics = statistics.fail(ld_misfits(z, n, ld)[statistics.reference_index], "ld")
    notes = []
    failed = before - len(statistics)
    if failed > before / 2:
        notes.append(
            f"WARNING: {failed:,} of {before:,} matched variants fail the quality rules: see what "
            "`prs check` says before using the rest"
        )
    for note in notes:
        logger.warning("%s: %s", statistics.report.source, note)
    report = replace(statistics.report, notes=(*statistics.report.notes, *notes))
    return replace(statistics, report=report) if notes else statistics


def _simple_rules(
    s: HarmonisedSumStats, eaf: NDArray[np.float64] | None, rules: QcRules
) -> dict[str, NDArray[np.int64]]:
    """Return reference variants that fail each rule (a variant may fail several)."""
    failed: dict[str, NDArray[np.bool_]] = {}
    panel = None if eaf is None else np.asarray(eaf)[s.reference_index]
    with np.errstate(invalid="ignore"):  # NaN: unknown, so it fails nothing
        if rules.exclude:
            failed["region"] = in_regions(s.variants, rules.exclude)
        if rules.min_maf is not None:
            rare = np.minimum(s.eaf, 1 - s.eaf) < rules.min_maf
            if panel is not None:
                rare |= np.minimum(panel, 1 - panel) < rules.min_maf
            failed["maf"] = rare
        if rules.min_info is not None and s.info is not None:
            failed["info"] = s.info < rules.min_info
        if rules.min_n_share is not None and np.isfinite(s.n_eff).any():
            failed["n"] = s.n_eff < rules.min_n_share * np.nanquantile(s.n_eff, 0.9)
        if panel is not None and rules.max_eaf_difference is not None:
            failed["eaf_difference"] = np.abs(s.eaf - panel) > rules.max_eaf_difference
        if panel is not None and rules.sd:
            sd = np.sqrt(2 * panel * (1 - panel))
            ratio, _ = implied_sd_ratio(s, panel)
            failed["sd"] = (ratio < 0.5) | (ratio * sd > sd + 0.1)
    return {rule: s.reference_index[bad] for rule, bad in failed.items() if bad.any()}


def implied_sd_ratio(
    s: HarmonisedSumStats, panel: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """Return the implied genotype SD over the panel's, median 1, and the scale taken out.

    For a case-control study with n effective, 2 / sqrt(n se^2 + beta^2) is the genotype's SD;
    for a quantitative trait sd(y) / sqrt(n se^2 + beta^2) (Prive et al. 2022, eq. 1 and 2). The
    median ratio takes the place of 2 or sd(y).

    Parameters
    ----------
    s : HarmonisedSumStats
        M variants.
    panel : ndarray of float64, shape (M,)
        The panel's effect-allele frequency of the same variants.

    Returns
    -------
    ratio : ndarray of float64, shape (M,)
        NaN where unknown; all 1 where there are too few to tell.
    scale : float
        What 2 (case-control) or sd(y) would have been; NaN where there are too few.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        implied = 1 / np.sqrt(s.n_eff * s.se**2 + s.beta**2)
        sd = np.sqrt(2 * panel * (1 - panel))
        ratio = implied / np.where(sd > 0, sd, np.nan)
    usable = np.isfinite(ratio) & (np.minimum(panel, 1 - panel) >= 0.01)
    if usable.sum() < MIN_FOR_SCALE:
        return np.ones(len(s)), float("nan")
    scale = 1 / float(np.median(ratio[usable]))
    return ratio * scale, scale
