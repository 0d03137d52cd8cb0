"""The chain for one study, from files to the report; no science of its own."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pandas as pd

from prs.ancestry.kinship import find_relatives, least_kinship, relatives_note
from prs.doctor.study import check_study
from prs.evaluation.distance import accuracy_by_distance, genetic_distance
from prs.evaluation.evaluate import Evaluation, evaluate
from prs.evaluation.risk_models import predict_risks
from prs.files import write_atomically, write_table
from prs.individuals import top_loci
from prs.inputs.cohort import Cohort, read_cohort
from prs.inputs.genotypes import Genotypes, open_genotypes, read_sample_list
from prs.inputs.harmonise import HarmonisedSumStats, harmonise, write_harmonised
from prs.inputs.ledger import write_ledger
from prs.inputs.sumstats import SumStats, read_sumstats
from prs.ld.blocks import read_blocks
from prs.ld.compute import compute_ld
from prs.ld.store import open_ld, write_ld
from prs.matching import MatchReport, match_variants
from prs.people import combination_of, people_uncertainty, uncertainty_notes
from prs.provenance import Provenance, digest_file
from prs.quality import QcRules, qc
from prs.report.write import ReportInputs, write_report
from prs.samples import match_samples
from prs.scoring import Scores, read_scores, score, write_scores
from prs.stages import Stages
from prs.study import CsxSettings, Population, Study, read_study
from prs.weights.choose import choose_scores
from prs.weights.csx import ITERATIONS_PER_POPULATION, fit_csx
from prs.weights.csx_store import read_posterior, write_posterior
from prs.weights.table import read_weights, write_weights
from prs.weights.threshold import clump_and_threshold

if TYPE_CHECKING:
    from prs.ld.reference import LDReference

__all__ = ["StudyResult", "run_study"]

logger = logging.getLogger(__name__)

#: With fewer variants than this, chance alone makes people look related.
MIN_VARIANTS_FOR_KINSHIP = 1000


@dataclass(frozen=True)
class StudyResult:
    """Where a study's results are.

    Attributes
    ----------
    folder : Path
        The folder of the results.
    report : Path
        The HTML page.
    stages_run : tuple of str
        Stages that were run this time; the others were unchanged.
    """

    folder: Path
    report: Path
    stages_run: tuple[str, ...]


def run_study(
    path: str | Path,
    *,
    n_threads: int | None = None,
    force: bool = False,
    say: Callable[[str], None] | None = None,
) -> StudyResult:
    """Run a study file from genotypes and summary statistics to the report.

    Parameters
    ----------
    path : str or Path
        The study file (see `prs.study`).
    n_threads : int, optional
        Worker threads; default: the study file's, else all cores. Results do not depend on it.
    force : bool
        Run every stage, unchanged or not.
    say : callable, optional
        Gets one line for each stage; default: the log.

    Returns
    -------
    StudyResult

    Raises
    ------
    PrsError
        For anything wrong with the study file or with a file that it names.
    """
    study = read_study(path)
    run = _Run(study, n_threads or study.threads, force, say or logger.info)
    return run.all()


class _Run:
    """One run: the open inputs, and the stages in their order."""

    def __init__(
        self, study: Study, n_threads: int | None, force: bool, say: Callable[[str], None]
    ) -> None:
        self.study, self.n_threads, self.say = study, n_threads, say
        self.folder = study.out_folder
        self.stages = Stages(self.folder, say, force)
        self.target = open_genotypes(str(study.file(study.target.genotypes)))
        self.cohort = self._read_cohort()
        self.reports: list[MatchReport] = []
        self.statistics: dict[str, SumStats] = {}
        self.ld_files: dict[str, list[Path]] = {}
        #: each panel as it is, and which of its variants the target has
        self.panels: dict[str, tuple[LDReference, np.ndarray]] = {}
        rules = msgspec.to_builtins(study.harmonise.qc)
        self.rules = QcRules(**{**rules, "exclude": tuple(rules["exclude"])})
        self.drawn: Path | None = None

    def all(self) -> StudyResult:
        """Run every stage."""
        study = self.study
        self.say(
            f"{study.title}: {self.target.n_samples:,} people x "
            f"{self.target.n_variants:,} variants, {len(study.populations)} GWAS"
        )
        self._check()
        references = {name: self._ld(name, pop) for name, pop in study.populations.items()}
        statistics = {name: self._harmonise(name, references[name]) for name in study.populations}
        weights = [*self._clump_and_threshold(), *self._shrink(statistics, references)]
        scores = self._combine(self._score(weights))
        sure = [*self._uncertainty(scores), *self._relatives()]
        page = self._report(scores, weights, references, sure)
        return StudyResult(self.folder, page, tuple(self.stages.ran))

    def _read_cohort(self) -> Cohort:
        target = self.study.target
        cohort = read_cohort(
            self.study.file(target.cohort),
            outcome=target.outcome,
            kind=target.kind,
            covariates=target.covariates,
            labels=[target.ancestry],
            split=target.split,
        )
        match_samples(
            cohort.samples,
            self.target.samples,
            what="the cohort",
            target_name=f"the genotypes {self.target.path}",
            path=self.study.file(target.cohort),
        )
        return cohort

    def _check(self) -> None:
        """Ask the doctor first; what it finds is said, and does not stop the run."""
        paths = [self.folder / "check" / f"check.{end}" for end in ("json", "tsv")]

        def work() -> str:
            report = check_study(self.study.path, n_threads=self.n_threads)
            with write_atomically(paths[0]) as temporary:
                temporary.write_text(report.to_json(), encoding="utf-8")
            write_table(report.to_frame(), paths[1])
            for finding in report.findings:
                if finding.verdict != "pass":
                    self.say(f"  {finding.verdict.upper()}: {finding.subject}: {finding.figure}")
            return report.summary

        files = [self.study.file(self.study.target.cohort), *self.target.files]
        for name, population in self.study.populations.items():
            files.append(self.study.file(population.sumstats))
            if population.reference is not None and population.ld is None:
                files += self._reference_files(name)
        self.stages.run(
            "check",
            settings={"study": self.study.settings()},
            inputs=[file for file in files if file.is_file()],
            outputs=paths,
            work=work,
        )

    def _reference(self, name: str) -> Genotypes:
        """Return a population's reference genotypes, or the target's where it has none."""
        population = self.study.populations[name]
        if population.reference is None:
            return self.target
        genotypes = open_genotypes(str(self.study.file(population.reference)))
        if population.reference_samples is None:
            return genotypes
        listed = self.study.file(population.reference_samples)
        _, index = match_samples(
            read_sample_list(listed),
            genotypes.samples,
            what=f"the reference people of {name}",
            target_name=genotypes.path,
            path=listed,
        )
        return genotypes.subset(samples=index)

    def _reference_files(self, name: str) -> list[Path]:
        population = self.study.populations[name]
        extra = [population.reference_samples, population.blocks]
        return [
            *self._reference(name).files,
            *(self.study.file(file) for file in extra if file is not None),
        ]

    def _ld(self, name: str, population: Population) -> LDReference:
        """Open or compute a population's LD, and keep the variants that the target has."""
        if population.ld is not None:
            path = self.study.file(population.ld)
        else:
            path = self.folder / "ld" / f"{name}.h5"

            def work() -> str:
                blocks = population.blocks
                ld = compute_ld(
                    self._reference(name),
                    blocks=None if blocks is None else read_blocks(self.study.file(blocks)),
                    population=name,
                    n_threads=self.n_threads,
                )
                write_ld(ld, path)
                return f"{len(ld.variants):,} variants, {ld.n_blocks:,} blocks"

            self.stages.run(
                f"ld {name}",
                settings={"population": name},
                inputs=self._reference_files(name),
                outputs=[path],
                work=work,
            )
        self.ld_files[name] = _ld_files(path, name)
        reference = open_ld(path, population=name)
        match = match_variants(
            reference.variants,
            self.target.variants,
            palindromic="keep",
            min_overlap=self.study.harmonise.min_overlap,
            what=f"the LD reference of {name}",
            target_name=f"the genotypes {self.target.path}",
        )
        self.reports.append(
            match.report(f"LD reference {name}", "target genotypes", self.target.n_variants)
        )
        available = np.zeros(len(reference), dtype=bool)
        available[match.query_index] = True
        self.panels[name] = reference, available
        return reference.subset(available)

    def _statistics(self, name: str) -> SumStats:
        """Return a population's summary statistics; harmonising and clumping share one reading."""
        if name not in self.statistics:
            population = self.study.populations[name]
            self.statistics[name] = read_sumstats(
                self.study.file(population.sumstats),
                population=name,
                n=population.n,
                columns=population.columns or None,
            )
        return self.statistics[name]

    def _harmonise(self, name: str, reference: LDReference) -> HarmonisedSumStats:
        panel, available = self.panels[name]
        harmonised = harmonise(
            self._statistics(name),
            panel.variants,
            eaf=panel.eaf,
            palindromic=self.study.harmonise.palindromic,
            min_overlap=self.study.harmonise.min_overlap,
            target_name=f"LD reference {name}",
        ).leave_out_of_target(available)
        harmonised = qc(harmonised, ld=reference, rules=self.rules)
        self.reports.append(harmonised.report)
        self.say(f"harmonise {name}: {harmonised.report}")
        folder = self.folder / "harmonised"
        write_harmonised(harmonised, folder / f"{name}.tsv.gz")
        write_table(harmonised.report.to_frame(), folder / f"{name}.match.tsv")
        if harmonised.ledger is not None:
            write_ledger(harmonised.ledger, folder / f"{name}.ledger.tsv.gz")
        return harmonised

    def _clump_and_threshold(self) -> list[Path]:
        settings = self.study.methods.ct
        if settings is None:
            return []
        written = []
        for name in settings.populations or list(self.study.populations):
            path = self.folder / "weights" / f"ct_{name}.tsv"
            statistics = self.study.file(self.study.populations[name].sumstats)
            self.stages.run(
                f"clump and threshold {name}",
                settings=self._settings(settings, name),
                inputs=[statistics, *self._reference_files(name), *self.target.files],
                outputs=[path],
                work=partial(self._write_threshold_weights, name, path),
            )
            written.append(path)
        return written

    def _write_threshold_weights(self, name: str, path: Path) -> str:
        settings = self.study.methods.ct
        assert settings is not None
        genotypes = self._reference(name)
        match = match_variants(genotypes.variants, self.target.variants, palindromic="keep")
        genotypes = genotypes.subset(variants=np.sort(match.query_index))
        statistics = harmonise(
            self._statistics(name),
            genotypes.variants,
            eaf=genotypes.eaf(),
            palindromic=self.study.harmonise.palindromic,
            min_overlap=self.study.harmonise.min_overlap,
        )
        statistics = qc(statistics, eaf=genotypes.eaf(), rules=self.rules)
        weights = clump_and_threshold(
            statistics,
            genotypes,
            p_thresholds=settings.p_thresholds,
            r2=settings.r2,
            kb=settings.kb,
            n_threads=self.n_threads,
        )
        write_weights(weights.rename([f"ct_{column}" for column in weights.names]), path)
        return f"{len(weights.variants):,} index variants, {len(weights.names)} thresholds"

    def _shrink(
        self,
        statistics: Mapping[str, HarmonisedSumStats],
        references: Mapping[str, LDReference],
    ) -> list[Path]:
        settings = self.study.methods.csx
        if settings is None:
            return []
        fits = {f"cs_{name}": [name] for name in settings.single}
        if settings.joint and len(statistics) > 1:
            fits["csx"] = list(statistics)
        elif settings.joint:
            fits.setdefault(f"cs_{next(iter(statistics))}", list(statistics))
        written = []
        main = "csx" if "csx" in fits else next(iter(fits))
        for label, names in fits.items():
            paths = [self.folder / "weights" / f"{label}.{end}" for end in ("tsv", "npz")]
            draws = settings.draws if label == main and not isinstance(settings.phi, list) else 0
            if draws:
                self.drawn = paths[1]

            def work(
                label: str = label,
                names: list[str] = names,
                paths: list[Path] = paths,
                draws: int = draws,
            ) -> str:
                posterior = fit_csx(
                    {name: statistics[name] for name in names},
                    {name: references[name] for name in names},
                    phi=tuple(settings.phi) if isinstance(settings.phi, list) else settings.phi,
                    n_iter=settings.n_iter,
                    n_burnin=settings.n_burnin,
                    thin=_thin(settings, len(names), draws),
                    keep_draws=draws > 0,
                    n_chains=settings.n_chains,
                    psi_max=settings.psi_max,
                    seed=self.study.seed,
                    n_threads=self.n_threads,
                )
                weights = posterior.weights()
                if len(names) == 1:  # POP or POP_phi1e-02 becomes cs_POP or cs_POP_phi1e-02
                    columns = [label + name.removeprefix(names[0]) for name in weights.names]
                else:
                    columns = [f"{label}_{name}" for name in weights.names]
                write_weights(weights.rename(columns), paths[0])
                write_posterior(posterior, paths[1])
                return posterior.summary()

            self.stages.run(
                f"shrink {label}",
                settings=self._settings(settings, *names),
                inputs=[
                    *(self.folder / "harmonised" / f"{name}.tsv.gz" for name in names),
                    *(file for name in names for file in self.ld_files[name]),
                ],
                outputs=paths,
                work=work,
            )
            written.append(paths[0])
        return written

    def _settings(self, section: Any, *names: str) -> dict[str, Any]:
        """Return what a stage's key holds besides its input files."""
        return {
            "section": msgspec.to_builtins(section),
            "populations": {
                name: msgspec.to_builtins(self.study.populations[name]) for name in names
            },
            "harmonise": msgspec.to_builtins(self.study.harmonise),
            "seed": self.study.seed,
        }

    def _score(self, weights: list[Path]) -> Path:
        path = self.folder / "scores" / "all.scores.tsv"

        def work() -> str:
            scores = score(
                self.target, [read_weights(file) for file in weights], n_threads=self.n_threads
            )
            write_scores(scores, path)
            return f"{len(scores.samples):,} people, {len(scores.names)} columns"

        self.stages.run(
            "score",
            settings={},
            inputs=[*weights, *self.target.files],
            outputs=[path],
            work=work,
        )
        return path

    def _combine(self, path: Path) -> Path:
        """Let the tuning people choose: the best of each grid, and the weights of populations."""
        final = self.folder / "scores" / "final.scores.tsv"
        choices = self.folder / "scores" / "choices.json"

        def work() -> str:
            scores = read_scores(path)
            chosen, record = choose_scores(scores, self.cohort, by=self.study.target.ancestry)
            write_scores(chosen, final)
            with write_atomically(choices) as temporary:
                temporary.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
            return ", ".join(chosen.names)

        self.stages.run(
            "combine",
            settings=msgspec.to_builtins(self.study.target),
            inputs=[path, self.study.file(self.study.target.cohort)],
            outputs=[final, choices],
            work=work,
        )
        return final

    def _uncertainty(self, path: Path) -> list[Path]:
        """Score everybody with each posterior draw; intervals by person, and by ancestry."""
        drawn = self.drawn
        if drawn is None:
            return []
        folder = self.folder / "uncertainty"
        outputs = [folder / f"{name}.tsv" for name in ("people", "groups", "loci", "notes")]
        choices = self.folder / "scores" / "choices.json"

        def work() -> str:
            scores, posterior = read_scores(path), read_posterior(drawn)
            record = json.loads(choices.read_text(encoding="utf-8"))
            label = drawn.stem
            named = [n for n in (f"{label}_combined", f"{label}_META", label) if n in scores.names]
            combination = combination_of(record, named[0])
            sure = people_uncertainty(
                self.target,
                posterior,
                scores,
                self.cohort,
                name=named[0],
                combination=combination,
                by=self.study.target.ancestry,
                n_draws=None,
                n_threads=self.n_threads,
            )
            groups = sure.by_group()
            groups.insert(0, "score", named[0])
            write_table(sure.to_frame(), outputs[0])
            write_table(groups, outputs[1])
            weights = read_weights(drawn.with_suffix(".tsv"))
            write_table(top_loci(self.target, weights), outputs[2])
            phi = str(posterior.settings.phi[0])
            notes = uncertainty_notes(posterior.converged, posterior.warnings, groups, phi=phi)
            write_table(pd.DataFrame({"note": notes}, dtype=str), outputs[3])
            return f"{len(sure.ids):,} people, {sure.n_draws} draws of {named[0]}"

        self.stages.run(
            "uncertainty",
            settings=msgspec.to_builtins(self.study.target),
            inputs=[drawn, path, choices, self.study.file(self.study.target.cohort)],
            outputs=outputs,
            work=work,
        )
        return outputs

    def _relatives(self) -> list[Path]:
        """Look for relatives across tuning and test people."""
        outputs = [self.folder / "uncertainty" / f"{name}.tsv" for name in ("kin", "kin_note")]
        if self.cohort.split is None:
            return []

        def work() -> str:
            if self.target.n_variants < MIN_VARIANTS_FOR_KINSHIP:
                found = pd.DataFrame(columns=["IID1", "IID2", "kinship", "relation"])
                note = f"Relatives: not looked for ({self.target.n_variants:,} variants)."
            else:
                between = (self.cohort.tuning().ids, self.cohort.test().ids)
                found = find_relatives(
                    self.target,
                    between=between,
                    min_kinship=least_kinship(self.target.variants),
                    n_threads=self.n_threads,
                )
                note = relatives_note(found)
            write_table(found, outputs[0])
            write_table(pd.DataFrame({"note": [note]}), outputs[1])
            return note

        self.stages.run(
            "relatives",
            settings={
                "split": self.study.target.split,
                "least": least_kinship(self.target.variants),
            },
            inputs=[*self.target.files, self.study.file(self.study.target.cohort)],
            outputs=outputs,
            work=work,
        )
        return outputs

    def _report(
        self,
        path: Path,
        weights: list[Path],
        references: Mapping[str, LDReference],
        sure: list[Path],
    ) -> Path:
        study, settings = self.study, self.study.evaluation
        posteriors = [file.with_suffix(".npz") for file in weights]
        posteriors = [file for file in posteriors if file.exists()]

        def work() -> str:
            scores = read_scores(path)
            evaluation = evaluate(
                scores,
                self.cohort,
                by=study.target.ancestry,
                prevalence=settings.prevalence or None,
                reference_group=settings.reference_ancestry,
                n_bins=settings.n_bins,
                cutpoints=settings.cutpoints,
                confidence=settings.confidence,
                seed=study.seed,
            )
            inputs = [Path(study.path), *self.target.files, study.file(study.target.cohort)]
            inputs += [study.file(pop.sumstats) for pop in study.populations.values()]
            provenance = Provenance(
                "prs run",
                study.settings(),
                study.seed,
                {Path(file).name: digest_file(file) for file in inputs},
            )
            provenance.write(self.folder / "provenance.json")
            sure_tables = {file.stem: pd.read_csv(file, sep="\t") for file in sure}
            kin = [sure_tables[name] for name in ("kin_note",) if name in sure_tables]
            write_report(
                ReportInputs(
                    title=study.title,
                    scores=scores,
                    cohort=self.cohort,
                    evaluation=evaluation,
                    by=study.target.ancestry,
                    main_score=study.report.main_score,
                    intended_use=study.report.intended_use,
                    prs_rs=study.report.prs_rs,
                    settings=study.settings(),
                    ct_grid=self._threshold_choices(),
                    match_reports=self.reports,
                    read_losses={"cohort": self.cohort.n_dropped},
                    ld=_describe_ld(references),
                    posteriors={file.stem: read_posterior(file) for file in posteriors},
                    weights=[read_weights(file) for file in weights],
                    provenance=provenance.to_dict(),
                    check=pd.read_csv(self.folder / "check" / "check.tsv", sep="\t"),
                    notes=[*self.cohort.notes, *(note for k in kin for note in k["note"])],
                    uncertainty=sure_tables,
                    distance=self._by_distance(scores, evaluation),
                ),
                self.folder,
            )
            self.say(str(evaluation))
            return f"{len(evaluation.scores)} scores in {len(evaluation.groups)} ancestries"

        page = self.folder / "report.html"
        tables = [f"tables/{name}.tsv" for name in ("accuracy", "calibration", "deciles")]
        self.stages.run(
            "evaluate and report",
            settings=study.settings(),
            inputs=[
                path,
                study.file(study.target.cohort),
                *weights,
                *posteriors,
                *(self.folder / "harmonised" / f"{name}.match.tsv" for name in references),
                *sure,
            ],
            outputs=[page, *(self.folder / name for name in ("report.json", *tables))],
            work=work,
        )
        return page

    def _by_distance(self, scores: Scores, evaluation: Evaluation) -> pd.DataFrame | None:
        """Judge the main score along genetic distance from the reference ancestry's people."""
        target = self.study.target
        if not target.pcs:
            return None
        placed = read_cohort(
            self.study.file(target.cohort),
            outcome=target.outcome,
            kind=target.kind,
            covariates=[*target.covariates, *target.pcs],
            labels=[target.ancestry],
            split=target.split,
        )
        rows, at = match_samples(
            placed.samples, scores.samples, what="the cohort", target_name="the scores"
        )
        people = placed.take(rows)
        main = self.study.report.main_score or evaluation.scores[-1]
        n_pcs = len(target.pcs)
        pcs, covariates = people.covariates[:, -n_pcs:], people.covariates[:, :-n_pcs]
        label = people.labels[target.ancestry]
        home = label == evaluation.reference_group
        judged = np.ones(people.n, bool) if people.split is None else people.split == "test"
        point = scores.select(main).values[at, 0]
        predicted = None
        if people.outcome_kind == "binary":
            train = judged if people.split is None else people.split == "tuning"
            predicted = predict_risks(
                people.outcome,
                point,
                covariates,
                label,
                train,
                binary=True,
                methods={},
            ).uncorrected[judged]
        table = accuracy_by_distance(
            point[judged],
            people.outcome[judged],
            genetic_distance(pcs, pcs[home])[judged],
            kind=people.outcome_kind,
            covariates=covariates[judged],
            predicted=predicted if people.split is not None else None,
            confidence=self.study.evaluation.confidence,
        )
        table.insert(0, "score", main)
        return table

    def _threshold_choices(self) -> pd.DataFrame | None:
        """Return how well each cell of clumping and thresholding did in tuning people."""
        record = json.loads((self.folder / "scores" / "choices.json").read_text(encoding="utf-8"))
        for name, choice in record.items():
            if name.startswith("ct_") and "table" in choice:
                return pd.DataFrame(choice["table"])
        return None


def _thin(settings: CsxSettings, n_populations: int, draws: int) -> int:
    """Return how many iterations lie between kept draws, for about so many draws in all."""
    if not draws:
        return settings.thin
    n_iter = settings.n_iter or max(
        ITERATIONS_PER_POPULATION * n_populations, 2 * (settings.n_burnin or 0)
    )
    n_burnin = n_iter // 2 if settings.n_burnin is None else settings.n_burnin
    return max(settings.thin, (n_iter - n_burnin) * settings.n_chains // draws)


def _ld_files(path: Path, population: str) -> list[Path]:
    """Return the files of an LD reference: itself, or those of a panel folder's population."""
    if path.is_file():
        return [path]
    files = sorted(file for file in path.rglob("*") if file.is_file())
    own = [f for f in files if f.parent.name.lower().endswith(f"_{population.lower()}")]
    return [f for f in files if f.name.startswith("snpinfo")] + (own or files)


def _describe_ld(references: Mapping[str, LDReference]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "population": list(references),
            "n_samples": [ld.n_samples for ld in references.values()],
            "n_variants": [len(ld) for ld in references.values()],
            "n_blocks": [ld.n_blocks for ld in references.values()],
            "source": [Path(ld.source).name for ld in references.values()],
        }
    )
