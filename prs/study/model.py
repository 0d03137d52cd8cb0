"""A whole study as an object, and the files that it names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from prs.errors import StudyFileError
from prs.study.inputs import Harmonising, Population, Target
from prs.study.methods import Methods
from prs.study.results import EvaluationSettings, ReportSettings
from prs.study.sections import Section

if TYPE_CHECKING:
    import pandas as pd

    from prs.inputs.cohort import Cohort
    from prs.inputs.genotypes import Genotypes

__all__ = ["Study", "line_of"]


def line_of(text: str, key: str) -> int | None:
    """Return the line on which a key or section name stands first."""
    pattern = re.compile(rf"^\s*(\[.*\b{re.escape(key)}\b.*\]|\"?{re.escape(key)}\"?\s*=)")
    for number, line in enumerate(text.splitlines(), start=1):
        if pattern.match(line):
            return number
    return None


class Study(Section, frozen=True):
    """A whole study.

    Attributes
    ----------
    title : str
        Heading of the report.
    target : Target
        The people to be scored.
    populations : dict of str to Population
        GWAS by population, in the order of the file.
    methods : Methods
        Which weights are made.
    evaluation : EvaluationSettings
        How scores are judged.
    harmonise : Harmonising
        Rules of matching.
    report : ReportSettings
        What only the authors can say.
    seed : int
        Seed of everything random.
    threads : int or None
        Worker threads; results do not depend on it. Default: all cores.
    out : str
        Folder of the results.
    path : str
        Where the study file is; the files that it names are relative to its folder.
    """

    title: str
    target: Target
    populations: dict[str, Population]
    methods: Methods = Methods()
    evaluation: EvaluationSettings = EvaluationSettings()
    harmonise: Harmonising = Harmonising()
    report: ReportSettings = ReportSettings()
    seed: int = 1
    threads: int | None = None
    out: str = "results"
    path: str = ""

    def file(self, name: str) -> Path:
        """Return a path named in the study file, relative to its folder; ``~`` is one's home."""
        return Path(self.path).parent / Path(name).expanduser()

    def open_target(self) -> Genotypes:
        """Open the people to be scored."""
        target = self.target
        return self._open(
            target.genotypes, target.keep, target.remove, target.extract, target.exclude
        )

    def read_cohort(self) -> Cohort:
        """Read the table of the target's people, as `prs.inputs.cohort.read_cohort` does."""
        return self._read_people(self.target.covariates)

    def read_components(self) -> Cohort:
        """Read the cohort's own principal components (`Target.pcs`), as its covariates."""
        return self._read_people(self.target.pcs)

    def _read_people(self, covariates: list[str]) -> Cohort:
        from prs.inputs.cohort import read_cohort

        target = self.target
        return read_cohort(
            self.file(target.cohort),
            outcome=target.outcome,
            kind=target.kind,
            time=target.time,
            entry=target.entry,
            covariates=covariates,
            labels=target.labels,
            split=target.split,
        )

    def read_rates(self) -> tuple[pd.DataFrame | None, pd.DataFrame | None]:
        """Read incidence and mortality by age; None where the study names no such table."""
        from prs.inputs.rates import read_rates

        wanted = self.evaluation.absolute_risk
        names = (None, None) if wanted is None else (wanted.incidence, wanted.mortality)
        incidence, mortality = (None if n is None else read_rates(self.file(n)) for n in names)
        return incidence, mortality

    @property
    def score_names(self) -> tuple[str, ...]:
        """Names of the scores that are judged, in their order (`prs.weights.choose`)."""
        names, ct, csx = list(self.populations), self.methods.ct, self.methods.csx
        made = [] if ct is None else [f"ct_{name}" for name in ct.populations or names]
        for label in () if csx is None else csx.fits(names):
            made += ["csx_META", "csx_combined"] if label == "csx" else [label]
        return tuple(made)

    @property
    def panels_are_shared(self) -> bool:
        """Whether the populations' panels are different people of one fileset."""
        populations = self.populations.values()
        return (
            len(populations) > 1
            and len({str(p.reference) for p in populations}) == 1
            and all(
                p.reference is not None and p.reference_samples is not None for p in populations
            )
        )

    def open_reference(self, name: str, *, everybody: bool = False) -> Genotypes | None:
        """Open a population's reference people (or the whole fileset); None: it names none."""
        population = self.populations[name]
        if population.reference is None:
            return None
        keep = None if everybody else population.reference_samples
        return self._open(population.reference, keep)

    def _open(
        self,
        names: str | list[str],
        keep: str | None,
        remove: str | None = None,
        extract: str | None = None,
        exclude: str | None = None,
    ) -> Genotypes:
        from prs.inputs.genotypes import open_genotypes

        def place(name: str | None) -> Path | None:
            return None if name is None else self.file(name)

        return open_genotypes(
            self.file(names) if isinstance(names, str) else [self.file(name) for name in names],
            samples_file=place(keep),
            exclude_samples_file=place(remove),
            variants_file=place(extract),
            exclude_variants_file=place(exclude),
        )

    @property
    def out_folder(self) -> Path:
        """The folder of the results."""
        return self.file(self.out)

    def settings(self) -> dict[str, Any]:
        """Return everything that can change a result, as plain containers."""
        settings: dict[str, Any] = msgspec.to_builtins(self)
        for key in ("path", "out", "threads"):
            settings.pop(key)
        return settings

    def mistake(self, message: str, key: str, remedy: str | None = None) -> StudyFileError:
        """Return the error that says what is wrong, and on which line of the study file.

        Parameters
        ----------
        message, remedy : str
            What is wrong, and what to do.
        key : str
            Key or section that it is about.
        """
        text = Path(self.path).read_text(encoding="utf-8")
        return StudyFileError(message, path=self.path, line=line_of(text, key), remedy=remedy)
