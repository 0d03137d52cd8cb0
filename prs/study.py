"""The study file (TOML) as a validated object: what goes in, which methods, how it is judged."""

from __future__ import annotations

import difflib
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from prs.errors import StudyFileError
from prs.files import existing_file

if TYPE_CHECKING:
    from prs.inputs.cohort import Cohort
    from prs.inputs.genotypes import Genotypes

__all__ = [
    "CsxSettings",
    "EvaluationSettings",
    "Population",
    "Quality",
    "ReportSettings",
    "Study",
    "Target",
    "ThresholdSettings",
    "read_study",
]


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A section of the study file: unknown keys are errors."""


class Target(_Section, frozen=True):
    """``[target]``: the people to be scored and judged.

    Attributes
    ----------
    genotypes : str or list of str
        PLINK prefix; ``chr{chrom}`` in it stands for one fileset a chromosome. Several: a list,
        or a text file that names them, one on each line.
    keep, remove : str or None
        Files with the ids of the people to use, and not to use.
    extract, exclude : str or None
        Files with the ids of the variants to use, and not to use.
    cohort : str
        Table with IID, the outcome, covariates, ancestry and split.
    outcome : str
        Column of the outcome.
    kind : {"auto", "binary", "quantitative", "survival"}
        What the outcome is.
    time : str or None
        Column of the time to the event (or to censoring); with it the outcome is survival.
    covariates : list of str
        Columns of covariates.
    ancestry : str
        Column of the ancestry label; "" for none: everybody is judged together, and along
        genetic distance.
    split : str or None
        Column with ``tuning`` and ``test``; without it everything that is chosen by looking at
        outcomes is cross-fitted (`[evaluation] n_folds`), and the whole cohort is judged.
    pcs : list of str
        Columns of principal components. They serve for genetic distance where the populations
        have no reference genotypes, from which components are computed otherwise.
    """

    genotypes: str | list[str]
    cohort: str
    outcome: str
    keep: str | None = None
    remove: str | None = None
    extract: str | None = None
    exclude: str | None = None
    kind: Literal["auto", "binary", "quantitative", "survival"] = "auto"
    time: str | None = None
    covariates: list[str] = []
    ancestry: str = "ancestry"
    split: str | None = None
    pcs: list[str] = []

    @property
    def by(self) -> str | None:
        """The ancestry column, or None."""
        return self.ancestry or None

    @property
    def labels(self) -> list[str]:
        """Columns of labels to read."""
        return [self.ancestry] if self.ancestry else []


class Population(_Section, frozen=True):
    """``[populations.NAME]``: one GWAS and the LD that belongs to it.

    Attributes
    ----------
    sumstats : str
        Summary statistics, any dialect that `read_sumstats` knows.
    n : float or None
        Effective sample size: needed where the file has no such column, and for a case-control
        study whose column counts people (see `prs.read_sumstats`).
    columns : dict of str to str
        Role -> column, where the file's own names mislead.
    ld : str or None
        An LD reference of ours or a PRS-CS(x) panel folder.
    reference : str, list of str or None
        PLINK prefix of reference genotypes (or several, as for the target): LD is computed from
        them, and clumping uses them.
    reference_samples : str or None
        File with the ids of the reference people of this population.
    blocks : str or None
        BED file of LD blocks; default: found by splitting where least LD is lost.
    """

    sumstats: str
    n: float | None = None
    columns: dict[str, str] = {}
    ld: str | None = None
    reference: str | list[str] | None = None
    reference_samples: str | None = None
    blocks: str | None = None


class ThresholdSettings(_Section, frozen=True):
    """``[methods.ct]``: clumping and thresholding, for each population's GWAS.

    Attributes
    ----------
    p_thresholds : list of float
        Largest p of a variant that is used.
    r2 : list of float
        A variant joins the clump of a stronger one if their r2 is above this.
    kb : list of float
        And if they are within this distance, in 1,000 base pairs.
    populations : list of str or None
        For which populations; default all.
    """

    p_thresholds: list[float] = msgspec.field(
        default_factory=lambda: [5e-8, 1e-6, 1e-4, 1e-3, 0.01, 0.05, 0.1, 0.5, 1.0]
    )
    r2: list[float] = msgspec.field(default_factory=lambda: [0.1])
    kb: list[float] = msgspec.field(default_factory=lambda: [250.0])
    populations: list[str] | None = None


class CsxSettings(_Section, frozen=True):
    """``[methods.csx]``: Bayesian shrinkage with one population (PRS-CS) and with all (PRS-CSx).

    Attributes
    ----------
    single : list of str
        Populations that are also fitted alone.
    joint : bool
        Whether all populations are fitted together.
    phi : "auto", float or list of float
        Global shrinkage: learned, fixed, or a grid from which tuning people choose.
    n_iter : int or None
        Iterations of each chain; default 1,000 a population.
    n_burnin : int or None
        How many of them are discarded; default 500 a population.
    thin : int
        Every how many iterations a draw is kept.
    n_chains : int
        Independent chains.
    psi_max : float or None
        Upper bound of the local shrinkage prior; None for no bound.
    phi_per_chromosome : bool
        Whether each chromosome has its own phi.
    until : "converged" or None
        Leave the length to the sampler, in place of n_iter and n_burnin: stop when predictions
        agree between chains to `tolerance`, after `max_iter` iterations at most.
    tolerance : float
        How well predictions of the chains must agree, where `until` is "converged".
    max_iter : int or None
        Where `until` is "converged": the most iterations.
    ld_dtype : {"float32", "int16", "int8"}
        How correlations are held in memory: the smaller ones are rounded.
    draws : int
        Posterior draws kept of the joint fit (of the first single one where there is none), for
        the uncertainty of each person's score; 0 for none. They take 4 bytes a draw, variant
        and population.
    """

    single: list[str] = []
    joint: bool = True
    phi: Literal["auto"] | float | list[float] = "auto"
    n_iter: int | None = None
    n_burnin: int | None = None
    thin: int = 5
    n_chains: int = 2
    psi_max: float | None = 1.0
    phi_per_chromosome: bool = False
    until: Literal["converged"] | None = None
    tolerance: float = 1e-3
    max_iter: int | None = None
    ld_dtype: Literal["float32", "int16", "int8"] = "float32"
    draws: int = 200


class Methods(_Section, frozen=True):
    """``[methods]``: which weights are made; a method without its section is not run."""

    ct: ThresholdSettings | None = None
    csx: CsxSettings | None = None


class AbsoluteRisk(_Section, frozen=True):
    """``[evaluation.absolute_risk]``: risks by age, from the user's tables.

    Attributes
    ----------
    incidence : str
        Table with age_from, age_to, rate (per person and year), and perhaps group: incidence of
        the disease.
    mortality : str or None
        The same of death from other causes; without it nobody dies of anything else.
    ages : list of float
        The first is the age at which people are free of the disease, the others those by which
        the risk is given.
    """

    incidence: str
    mortality: str | None = None
    ages: list[float] = msgspec.field(default_factory=lambda: [40.0, 50.0, 60.0, 70.0, 80.0])


class EvaluationSettings(_Section, frozen=True):
    """``[evaluation]``: how scores are judged.

    Attributes
    ----------
    prevalence : dict of str to float
        Ancestry -> prevalence of the disease in that population; needed for liability R2.
    reference_ancestry : str or None
        The ancestry against which portability is measured; default: the one with most people.
    cutpoints : str
        Where decile limits come from: "group", "all", "controls" or an ancestry.
    n_bins : int
        Number of risk strata.
    confidence : float
        Level of the intervals.
    case_control : bool
        The sample was taken by case status: risks are weighted to `prevalence`.
    compare_to : str or None
        The score that others are compared with; default: the first.
    horizons : list of float
        Survival: times by which risks are judged, in the unit of the times; the first is that of
        deciles and curves. Default: the median follow-up.
    risk_thresholds : list of float
        Risks at which something would be done: who is reclassified at them is said.
    n_folds : int
        Folds where the cohort has no split.
    n_optimism : int
        Bootstrap samples in which the whole choice is repeated, where the cohort has no split;
        0 for none.
    normalise : {"auto", "none", "mean", "mean+variance", "empirical"}
        How scores are put on one scale for all ancestries (`prs.normalise_scores`), for the
        people's table; "auto": mean and variance by principal components, if there are any.
    absolute_risk : AbsoluteRisk or None
        Tables for risks by age.
    """

    prevalence: dict[str, float] = {}
    reference_ancestry: str | None = None
    cutpoints: str = "group"
    n_bins: int = 10
    confidence: float = 0.95
    case_control: bool = False
    compare_to: str | None = None
    horizons: list[float] = []
    risk_thresholds: list[float] = []
    n_folds: int = 5
    n_optimism: int = 50
    normalise: Literal["auto", "none", "mean", "mean+variance", "empirical"] = "auto"
    absolute_risk: AbsoluteRisk | None = None


class Quality(_Section, frozen=True):
    """``[harmonise.qc]``: which matched variants are left out; each rule is counted.

    Attributes
    ----------
    min_maf : float
        Least minor-allele frequency, of the statistics and of the panel; 0 switches it off.
    min_info : float
        Least imputation INFO, where the file has it; 0 switches it off.
    min_n_share : float
        Least n, as a share of the 90th percentile of the file; 0 switches it off.
    sd : bool
        Whether the genotype's standard deviation that the statistics imply must lie between half
        of the panel's and 0.1 above it.
    max_eaf_difference : float
        Greatest difference between the file's and the panel's frequency; 1 switches it off.
    ld : bool
        Whether each z must agree with its neighbours', where there is an LD reference.
    exclude : list of {"mhc", "long_range_ld"}
        Regions to leave out: the extended MHC; long-range LD (GRCh37).
    """

    min_maf: float = 0.01
    min_info: float = 0.8
    min_n_share: float = 2 / 3
    sd: bool = True
    max_eaf_difference: float = 0.2
    ld: bool = True
    exclude: list[Literal["mhc", "long_range_ld"]] = []


class Harmonising(_Section, frozen=True):
    """``[harmonise]``: rules of matching.

    Attributes
    ----------
    palindromic : {"frequency", "keep", "drop"}
        What is done with A/T and C/G variants: settled by allele frequency, taken as written, or
        all dropped.
    min_overlap : float
        Least share of the smaller input that must match.
    qc : Quality
        Which matched variants are left out.
    """

    palindromic: Literal["frequency", "keep", "drop"] = "frequency"
    min_overlap: float = 0.1
    qc: Quality = Quality()


class ReportSettings(_Section, frozen=True):
    """``[report]``: what only the authors can say.

    Attributes
    ----------
    main_score : str or None
        The score that the first screen is about; default: the last one that is judged.
    intended_use : str
        What the score is for; empty: printed as not stated.
    prs_rs : dict of str to str
        Statements for items of the PRS reporting standard (Wand et al. 2021), by number or name.
    """

    main_score: str | None = None
    intended_use: str = ""
    prs_rs: dict[str, str] = {}


class Study(_Section, frozen=True):
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
        """Return a path named in the study file, relative to the study file's folder."""
        return Path(self.path).parent / name

    def open_target(self) -> Genotypes:
        """Open the people to be scored."""
        target = self.target
        return self._open(
            target.genotypes, target.keep, target.remove, target.extract, target.exclude
        )

    def read_cohort(self) -> Cohort:
        """Read the table of the target's people, as `prs.inputs.cohort.read_cohort` does."""
        from prs.inputs.cohort import read_cohort

        target = self.target
        return read_cohort(
            self.file(target.cohort),
            outcome=target.outcome,
            kind=target.kind,
            time=target.time,
            covariates=target.covariates,
            labels=target.labels,
            split=target.split,
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


def _line_of(text: str, key: str) -> int | None:
    """Return the line on which a key or section name stands first."""
    pattern = re.compile(rf"^\s*(\[.*\b{re.escape(key)}\b.*\]|\"?{re.escape(key)}\"?\s*=)")
    for number, line in enumerate(text.splitlines(), start=1):
        if pattern.match(line):
            return number
    return None


def _known_keys(where: str) -> list[str]:
    """Return the keys that the section at a msgspec path (``$.target``) may hold."""
    sections: dict[str, type[_Section]] = {
        "$": Study,
        "$.target": Target,
        "$.methods": Methods,
        "$.methods.ct": ThresholdSettings,
        "$.methods.csx": CsxSettings,
        "$.evaluation": EvaluationSettings,
        "$.evaluation.absolute_risk": AbsoluteRisk,
        "$.harmonise": Harmonising,
        "$.harmonise.qc": Quality,
        "$.report": ReportSettings,
        "$.populations[...]": Population,
    }
    section = sections.get(where)
    return [] if section is None else [name for name in section.__struct_fields__ if name != "path"]


def _explain(error: msgspec.ValidationError, text: str, path: Path) -> StudyFileError:
    """Turn msgspec's message into one that names the line and the remedy."""
    message = str(error)
    place = re.search(r" - at `(.*)`$", message)
    where = place.group(1) if place else "$"
    unknown = re.search(r"unknown field `(.*?)`", message)
    missing = re.search(r"missing required field `(.*?)`", message)
    section = where.removeprefix("$").removeprefix(".").replace("[...]", ".NAME") or "top level"
    if unknown:
        key, known = unknown.group(1), _known_keys(where)
        close = difflib.get_close_matches(key, known, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        return StudyFileError(
            f"unknown key {key!r} in [{section}]",
            path=path,
            line=_line_of(text, key),
            remedy=f"{hint}keys here: {', '.join(known)}",
        )
    if missing:
        return StudyFileError(
            f"key {missing.group(1)!r} is missing in [{section}]",
            path=path,
            remedy=f"keys here: {', '.join(_known_keys(where))}",
        )
    key = where.rstrip("]").split(".")[-1].split("[")[0]
    return StudyFileError(
        f"[{section}]: {message.split(' - at ')[0]}", path=path, line=_line_of(text, key)
    )


def read_study(path: str | Path) -> Study:
    """Read and check a study file.

    Parameters
    ----------
    path : str or Path
        A TOML file; see the classes of this module for its sections and keys.

    Returns
    -------
    Study

    Raises
    ------
    FileFormatError
        If the file is missing or empty.
    StudyFileError
        If it is not TOML, a key is unknown, missing or of the wrong kind, a population that is
        named has no section, or a value is out of range.
    """
    path = existing_file(path, "study file")
    try:
        text = path.read_text(encoding="utf-8")
        content = tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise StudyFileError(f"is not UTF-8 text ({error})", path=path) from error
    except tomllib.TOMLDecodeError as error:
        raise StudyFileError(f"is not valid TOML: {error}", path=path) from error
    try:
        study = msgspec.convert({**content, "path": str(path)}, Study)
    except msgspec.ValidationError as error:
        raise _explain(error, text, path) from error
    if "path" in content:
        raise StudyFileError(
            "unknown key 'path' in [top level]", path=path, line=_line_of(text, "path")
        )
    _check(study, text)
    return study


def _check(study: Study, text: str) -> None:
    def fail(message: str, key: str, remedy: str | None = None) -> None:
        raise StudyFileError(message, path=study.path, line=_line_of(text, key), remedy=remedy)

    if not study.populations:
        fail("no population has summary statistics", "populations", "add [populations.NAME]")
    for name, population in study.populations.items():
        if not re.fullmatch(r"[A-Za-z0-9_.-]+", name) or name.upper() == "META":
            fail(f"population name {name!r} is not letters, digits, _ . -", name)
        if population.ld is None and population.reference is None:
            fail(
                f"[populations.{name}] has neither 'ld' nor 'reference'",
                name,
                "give an LD reference or panel folder (ld = ...) or reference genotypes",
            )
        if population.n is not None and not population.n > 0:
            fail(f"[populations.{name}] n = {population.n} is not a sample size", "n")
    ct, csx = study.methods.ct, study.methods.csx
    if ct is None and csx is None:
        fail("no method is asked for", "methods", "add [methods.ct] or [methods.csx]")
    for key, names in (
        ("populations", (ct.populations or []) if ct else []),
        ("single", csx.single if csx else []),
    ):
        for name in names:
            if name not in study.populations:
                known = ", ".join(study.populations)
                fail(
                    f"{key} names population {name!r}, which has no section",
                    key,
                    f"there are: {known}",
                )
    if csx and not csx.joint and not csx.single:
        fail(
            "[methods.csx] asks for nothing",
            "csx",
            "set joint = true or name populations in single",
        )
    if csx and csx.until and not (csx.n_iter is None and csx.n_burnin is None):
        fail('until = "converged" finds the length: n_iter and n_burnin set it', "until")
    if csx and not csx.until and csx.max_iter is not None:
        fail('max_iter is for until = "converged"', "max_iter", "n_iter is the length of a run")
    if csx and csx.draws != 0 and csx.draws < 20:
        fail(f"draws = {csx.draws} is not 0 or at least 20", "draws")
    if ct and not all(0 < p <= 1 for p in ct.p_thresholds):
        fail("p_thresholds must lie in (0, 1]", "p_thresholds")
    for name, value in study.evaluation.prevalence.items():
        if not 0 < value < 1:
            fail(f"prevalence of {name} = {value} is not between 0 and 1", name)
    target, judged = study.target, study.evaluation
    if (target.kind == "survival") > (target.time is not None):
        fail("kind is survival, and no column of times is named", "kind", "add time = ...")
    if target.time is not None and target.kind in ("binary", "quantitative"):
        fail(f"time is given for a {target.kind} outcome", "time", 'set kind = "survival"')
    if judged.horizons and target.time is None:
        fail("horizons are given for an outcome without times", "horizons")
    if judged.n_folds < 2 or judged.n_optimism < 0:
        fail("n_folds is at least 2, n_optimism at least 0", "evaluation")
    if (wanted := judged.absolute_risk) is not None:
        if len(wanted.ages) < 2 or sorted(set(wanted.ages)) != wanted.ages or wanted.ages[0] < 0:
            fail(f"ages = {wanted.ages} are not two increasing ages or more", "ages")
        if target.kind == "quantitative":
            fail("absolute_risk is given for a quantitative outcome", "absolute_risk")
    if not all(0 < t < 1 for t in judged.risk_thresholds):
        fail("risk_thresholds are risks between 0 and 1", "risk_thresholds")
    if judged.risk_thresholds and target.time is not None:
        fail("risk_thresholds are given for a time to an event", "risk_thresholds")
    rules = study.harmonise.qc
    for key in ("min_maf", "min_info", "min_n_share", "max_eaf_difference"):
        if not 0 <= getattr(rules, key) <= 1:
            fail(f"[harmonise.qc] {key} = {getattr(rules, key)} is not between 0 and 1", key)
    if study.threads is not None and study.threads < 1:
        fail(f"threads = {study.threads} is less than 1", "threads")
    if not study.out.strip():
        fail("out is empty", "out", "name a folder for the results")
