"""What the stages of one run share: the study, the open inputs, and what was made so far."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from prs.inputs.cohort import Cohort
from prs.inputs.genotypes import Genotypes
from prs.inputs.sumstats import SumStats, read_sumstats
from prs.quality import QcRules
from prs.samples import match_samples
from prs.stages import Stages
from prs.study import Study
from prs.study.early import check_files, check_people

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["Run"]


class Run:
    """One run of a study.

    Attributes
    ----------
    study : Study
        What is asked for.
    n_threads : int or None
        Worker threads.
    say : callable
        Gets one line for each stage.
    client : distributed.Client or None
        The cluster that works for the stages.
    folder : Path
        Of the results.
    stages : Stages
        Runs a stage, or keeps what it made before.
    target, cohort : Genotypes, Cohort
        The people to be scored and judged.
    rules : QcRules
        Which matched variants are left out.
    incidence, mortality : DataFrame or None
        Rates by age, as the user gives them.
    """

    def __init__(
        self,
        study: Study,
        n_threads: int | None,
        force: bool,
        say: Callable[[str], None],
        client: Client | None = None,
    ) -> None:
        self.study, self.n_threads, self.say, self.client = study, n_threads, say, client
        self.folder = study.out_folder
        self.stages = Stages(self.folder, say, force)
        self.target = study.open_target()
        self.cohort = self._read_cohort()
        check_files(study)
        self.statistics: dict[str, SumStats] = {}
        rules = msgspec.to_builtins(study.harmonise.qc)
        self.rules = QcRules(**{**rules, "exclude": tuple(rules["exclude"])})
        self.incidence, self.mortality = study.read_rates()

    def _read_cohort(self) -> Cohort:
        cohort = self.study.read_cohort()
        rows, _ = match_samples(
            cohort.samples,
            self.target.samples,
            what="the cohort",
            target_name=f"the genotypes {self.target.path}",
            path=self.study.file(self.study.target.cohort),
        )
        check_people(self.study, cohort.take(rows))
        return cohort

    @property
    def drawn(self) -> Path | None:
        """The posterior whose draws say how sure each person's score is."""
        settings = self.study.methods.csx
        label = None if settings is None else settings.drawn(list(self.study.populations))
        return None if label is None else self.folder / "weights" / f"{label}.npz"

    def reference_genotypes(self, name: str) -> Genotypes:
        """Return a population's reference genotypes, or the target's where it has none."""
        reference = self.study.open_reference(name)
        return self.target if reference is None else reference

    def reference_files(self, name: str) -> list[Path]:
        """Return the files that a population's LD and clumps are made from."""
        population = self.study.populations[name]
        files = list(self.reference_genotypes(name).files)
        return files if population.blocks is None else [*files, self.study.file(population.blocks)]

    def statistics_of(self, name: str) -> SumStats:
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

    def settings_of(self, section: Any, *names: str) -> dict[str, Any]:
        """Return what a stage's key holds besides its input files."""
        return {
            "section": msgspec.to_builtins(section),
            "populations": {
                name: msgspec.to_builtins(self.study.populations[name]) for name in names
            },
            "harmonise": msgspec.to_builtins(self.study.harmonise),
            "seed": self.study.seed,
        }
