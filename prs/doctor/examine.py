"""A dry run over statistics, panels and target: what is wrong, before hours are spent."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from prs.doctor.cost import estimate_cost
from prs.doctor.findings import CheckReport, Finding, Verdict
from prs.doctor.pairs import check_against_outcome, check_pairs, check_shared_with_target
from prs.doctor.shared_people import Correlations, ld_of_genotypes, ld_of_panel
from prs.doctor.statistics import (
    check_duplicates,
    check_effect_allele,
    check_inflation,
    check_overlap,
    check_palindromes,
    check_panel_ancestry,
    check_reading,
    check_sample_size,
    finding_of_error,
    frequency_distance,
)
from prs.errors import PrsError, SettingsError
from prs.inputs.builds import tell_build
from prs.inputs.genotypes import Genotypes, open_genotypes
from prs.inputs.harmonise import HarmonisedSumStats, harmonise
from prs.inputs.sumstats import read_sumstats
from prs.ld.consistency import ld_misfits
from prs.ld.store import open_ld
from prs.matching import match_variants

if TYPE_CHECKING:
    from prs.inputs.cohort import Cohort
    from prs.ld.reference import LDReference
    from prs.variants import VariantTable

__all__ = ["Source", "check"]

#: What stands in for a panel where there is none.
TARGET = "target genotypes"
#: People of a panel: below these, correlations are mostly noise for blocks of hundreds.
FEW_PEOPLE, TOO_FEW_PEOPLE = 300, 50
#: LD blocks that are looked at; enough for a share.
MAX_BLOCKS = 40
#: Share of misfits (see `prs.ld.consistency`) that the right panel does not reach.
MANY_MISFITS = 0.02


@dataclass(frozen=True)
class Source:
    """Where one population's inputs are.

    Attributes
    ----------
    sumstats : str or Path
        Summary statistics.
    n : float or None
        Effective sample size, as for `read_sumstats`.
    columns : dict of str to str
        Role to column.
    ld : str, Path or None
        LD reference or panel folder.
    reference : Genotypes or None
        Reference genotypes, where there is no panel; their frequencies are used.
    """

    sumstats: str | Path
    n: float | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    ld: str | Path | None = None
    reference: Genotypes | None = None


@dataclass(frozen=True)
class _Panel:
    variants: VariantTable
    eaf: NDArray[np.float64]
    ld: LDReference | None
    n_people: int | None
    name: str
    correlations: Correlations


def check(
    sources: Mapping[str, Source],
    *,
    target: Genotypes | str | Path | Sequence[str | Path] | None = None,
    cohort: Cohort | None = None,
    kind: str = "auto",
    n_threads: int | None = None,
    n_iter: int | None = None,
    n_chains: int = 2,
) -> CheckReport:
    """Ask of each input what could be wrong with it, and of all of them whether they agree.

    Nothing is fitted and nothing is written.

    Parameters
    ----------
    sources : mapping of str to Source
        Inputs by population.
    target : Genotypes, str, Path or sequence of these, optional
        Genotypes of the people to be scored, open or as for `open_genotypes`.
    cohort : Cohort, optional
        Their outcomes: only the sign of the association of strong hits is looked at, and only
        in people that are not kept for testing where the cohort is split.
    kind : {"auto", "binary", "quantitative"}
        What the GWAS's trait is; "auto" goes by the columns.
    n_threads, n_iter, n_chains : int, optional
        For the estimate of the time of the fit: cores, iterations of each chain (1,000 a
        population), chains.

    Returns
    -------
    CheckReport
        Inputs that cannot be read are findings too, not exceptions.

    Raises
    ------
    SettingsError
        If there is nothing to check.
    """
    if not sources:
        raise SettingsError("there is nothing to check", remedy="name at least one GWAS")
    start = time.perf_counter()
    doctor = _Doctor(sources, kind)
    genotypes = doctor.open_target(target)
    for population in sources:
        doctor.examine(population, genotypes)
    doctor.compare_panels()
    doctor.compare_pairs(genotypes, cohort)
    sizes = {
        population: (statistics, doctor.panels[population].ld)
        for population, statistics in doctor.statistics.items()
    }
    doctor.findings += estimate_cost(sizes, n_threads, n_iter, n_chains)
    return CheckReport(tuple(doctor.findings), time.perf_counter() - start)


class _Doctor:
    """The findings so far, and what was opened on the way."""

    def __init__(self, sources: Mapping[str, Source], kind: str) -> None:
        self.sources, self.kind = sources, kind
        self.findings: list[Finding] = []
        self.panels: dict[str, _Panel] = {}
        self.statistics: dict[str, HarmonisedSumStats] = {}

    def open_target(
        self, target: Genotypes | str | Path | Sequence[str | Path] | None
    ) -> Genotypes | None:
        """Open the target's genotypes."""
        if target is None:
            return None
        try:
            genotypes = target if isinstance(target, Genotypes) else open_genotypes(target)
        except PrsError as error:
            self.findings.append(finding_of_error(error, "target"))
            return None
        build = tell_build(genotypes.variants)
        figure = f"{genotypes.n_samples:,} people, {genotypes.n_variants:,} variants" + (
            build and f", {build}"
        )
        self.findings.append(Finding("target", "target", "pass", figure))
        return genotypes

    def examine(self, population: str, target: Genotypes | None) -> None:
        """Read one population's statistics and panel, and put them together."""
        source, subject = self.sources[population], f"{population} statistics"
        panel = self._panel(population, target)
        try:
            statistics = read_sumstats(
                source.sumstats,
                population=population,
                n=source.n,
                columns=dict(source.columns) or None,
            )
        except PrsError as error:
            self.findings.append(finding_of_error(error, subject))
            return
        self.findings += check_reading(statistics)
        self.findings.append(check_duplicates(statistics))
        self.findings.append(check_inflation(statistics))
        if panel is None:
            return
        try:
            on_panel = harmonise(
                statistics, panel.variants, eaf=panel.eaf, target_name=f"the {panel.name}"
            )
        except PrsError as error:
            self.findings.append(finding_of_error(error, f"{subject} and {panel.name}"))
            return
        self.statistics[population] = on_panel
        said = ("same position", "matched by", "genome build")
        proof = [note for note in on_panel.report.notes if any(word in note for word in said)]
        self.findings.append(
            Finding("build", f"{subject} and {panel.name}", "pass", "; ".join(proof))
        )
        self.findings.append(check_overlap(on_panel))
        self.findings.append(check_palindromes(on_panel))
        self.findings.append(check_effect_allele(on_panel, panel.eaf))
        self.findings.append(check_sample_size(on_panel, panel.eaf, self.kind))
        if panel.ld is not None:
            self.findings.append(self._fit_to_ld(population, on_panel, panel.ld))

    def _panel(self, population: str, target: Genotypes | None) -> _Panel | None:
        """Open what the statistics will be put on: a panel, reference genotypes, the target."""
        source = self.sources[population]
        try:
            if source.ld is not None:
                ld = open_ld(source.ld, population=population)
                name = f"LD reference {Path(source.ld).name}"
                panel = _Panel(ld.variants, ld.eaf, ld, ld.n_samples, name, ld_of_panel(ld))
            else:
                genotypes = source.reference if source.reference is not None else target
                if genotypes is None:
                    return None
                name = "reference genotypes" if source.reference is not None else TARGET
                panel = _Panel(
                    genotypes.variants,
                    genotypes.eaf(),
                    None,
                    genotypes.n_samples,
                    name,
                    ld_of_genotypes(genotypes),
                )
        except PrsError as error:
            self.findings.append(finding_of_error(error, f"panel of {population}"))
            return None
        self.panels[population] = panel
        self._panel_size(population, panel)
        if target is not None and panel.name != TARGET:
            self._panel_on_target(population, panel, target)
        return panel

    def _panel_size(self, population: str, panel: _Panel) -> None:
        people = "unknown" if panel.n_people is None else f"{panel.n_people:,}"
        figure = f"{panel.name}: {len(panel.variants):,} variants, people: {people}"
        subject = f"panel of {population}"
        if panel.n_people is None or panel.n_people >= FEW_PEOPLE:
            self.findings.append(Finding("panel_size", subject, "pass", figure))
            return
        verdict: Verdict = "fail" if panel.n_people < TOO_FEW_PEOPLE else "warn"
        remedy = "take a larger panel of the same ancestry; keep psi_max = 1"
        self.findings.append(Finding("panel_size", subject, verdict, figure, remedy))

    def _panel_on_target(self, population: str, panel: _Panel, target: Genotypes) -> None:
        subject = f"panel of {population} and target"
        try:
            match = match_variants(
                panel.variants,
                target.variants,
                palindromic="keep",
                what=f"the {panel.name}",
                target_name="the target",
            )
        except PrsError as error:
            self.findings.append(finding_of_error(error, subject))
            return
        share = len(match.query_index) / max(len(panel.variants), 1)
        figure = f"{len(match.query_index):,} of {len(panel.variants):,} variants ({share:.0%})"
        if share < 0.5:
            remedy = "impute the target, or check its build and ids: lost variants lose accuracy"
            self.findings.append(Finding("overlap", subject, "warn", figure, remedy))
        else:
            self.findings.append(Finding("overlap", subject, "pass", figure))

    def _fit_to_ld(
        self, population: str, statistics: HarmonisedSumStats, ld: LDReference
    ) -> Finding:
        """Say which share of the statistics their neighbours contradict, in some blocks."""
        z, n = np.full(len(ld), np.nan), np.full(len(ld), np.nan)
        z[statistics.reference_index] = statistics.z
        n[statistics.reference_index] = statistics.n_eff
        subject = f"{population} statistics and their panel's LD"
        peak = np.maximum.reduceat(np.nan_to_num(np.abs(z)), ld.block_starts[:-1])
        blocks = np.sort(np.argsort(-peak, kind="stable")[:MAX_BLOCKS])
        rows = np.concatenate(
            [np.arange(ld.block_starts[b], ld.block_starts[b + 1]) for b in blocks]
        )
        try:
            part = ld.subset(rows)
            bad = int(ld_misfits(z[rows], n[rows], part).sum())
        except PrsError as error:
            return finding_of_error(error, subject)
        share = bad / max(int(np.isfinite(z[rows]).sum()), 1)
        figure = (
            f"{bad:,} variants ({share:.2%}) of {len(blocks)} blocks contradict their neighbours"
        )
        if share > MANY_MISFITS:
            return Finding(
                "ld_consistency", subject, "warn", figure,
                "another ancestry's LD, alleles turned in a part of the file, or several studies "
                "of different variants",
            )  # fmt: skip
        return Finding("ld_consistency", subject, "pass", figure)

    def compare_panels(self) -> None:
        """Ask of each GWAS whether another population's panel is nearer than its own."""
        for population, statistics in self.statistics.items():
            own = self.panels[population]
            if own.name == TARGET:  # no panel was given, and scores may go to other ancestries
                distance = frequency_distance(statistics, own.eaf)
                figure = "no panel" + (
                    "" if distance is None else f"; distance to the target {distance:.4f}"
                )
                self.findings.append(
                    Finding("panel_ancestry", f"panel of {population}", "pass", figure)
                )
                continue
            distances: dict[str, float] = {}
            for name, panel in self.panels.items():
                if name == population or panel.variants is own.variants:
                    continue
                try:
                    there = harmonise(statistics, panel.variants, eaf=panel.eaf, palindromic="drop")
                except PrsError:
                    continue
                distance = frequency_distance(there, panel.eaf)
                if distance is not None:
                    distances[name] = distance
            self.findings.append(check_panel_ancestry(statistics, own.eaf, distances))

    def compare_pairs(self, target: Genotypes | None, cohort: Cohort | None) -> None:
        """Ask of each two GWAS, and of each and the target's outcome, whether they agree."""
        ld = {name: panel.correlations for name, panel in self.panels.items()}
        self.findings += check_pairs(self.statistics, ld)
        if target is None or cohort is None:
            if len(self.statistics) == 1:
                why = "cannot be told of one GWAS, without outcomes of the target's people"
                self.findings.append(Finding("sample_overlap", "all inputs", "pass", why))
            return
        for population, statistics in self.statistics.items():
            panel = self.panels[population]
            try:
                self.findings.append(check_against_outcome(statistics, target, cohort))
                self.findings.append(
                    check_shared_with_target(
                        statistics, panel.correlations, panel.n_people, target, cohort
                    )
                )
            except PrsError as error:
                subject = f"{population} statistics and the target's outcome"
                self.findings.append(finding_of_error(error, subject))
