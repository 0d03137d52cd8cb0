"""A study as the methods see it: where its files are; and what a method gives back."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import prs
from benchmarks.methods.launch import Cost


@dataclass(frozen=True)
class Study:
    """Files of a study, simulated or real. The variants' ids are one set throughout.

    Attributes
    ----------
    folder : Path
        Where methods may write.
    sumstats : dict of str to Path
        The GWAS of the outcome by population, the largest (or the one that methods for one
        population are to use) first.
    n_gwas : dict of str to int or None
        Their people; None where the file says.
    reference : Path
        PLINK prefix of the people whose LD is used.
    reference_people : dict of str to Path
        The file of each population's people among them (FID and IID, no heading).
    target : Path
        PLINK prefix of the people to score.
    cohort : Path
        Table of those people: IID, FID, the outcome, covariates, `ancestry` and `split` (tuning or
        test).
    outcome : str
    covariates : tuple of str
    iterations : int or None
        Of samplers, a half of them burn-in; None leaves each at its own default.
    """

    folder: Path
    sumstats: dict[str, Path]
    n_gwas: dict[str, int | None]
    reference: Path
    reference_people: dict[str, Path]
    target: Path
    cohort: Path
    outcome: str = "trait"
    covariates: tuple[str, ...] = ("age", "sex")
    iterations: int | None = None

    @classmethod
    def simulated(cls, folder: Path, iterations: int | None = None) -> Study:
        """Return the quantitative trait of a study that `prs.simulate_study` has made."""
        table = pd.read_csv(folder / "gwas.tsv", sep="\t")
        table = table[table["outcome"] == "trait"].sort_values("n", ascending=False)
        names = [str(name) for name in table["population"]]
        return cls(
            folder=folder,
            sumstats={n: folder / f for n, f in zip(names, table["file"], strict=True)},
            n_gwas={name: int(n) for name, n in zip(names, table["n"], strict=True)},
            reference=folder / "reference",
            reference_people={name: folder / f"reference.{name}.txt" for name in names},
            target=folder / "target",
            cohort=folder / "cohort.tsv",
            iterations=iterations,
        )

    @property
    def populations(self) -> list[str]:
        """Populations with a GWAS, in order."""
        return list(self.sumstats)

    @property
    def main(self) -> str:
        """The population of the largest GWAS."""
        return self.populations[0]

    def write(self, path: Path) -> None:
        """Write where everything is, for a process of its own."""
        path.write_text(json.dumps(asdict(self), default=str))

    @classmethod
    def read(cls, path: Path) -> Study:
        """Read what `write` wrote."""
        said = json.loads(path.read_text())
        for name in ("folder", "reference", "target", "cohort"):
            said[name] = Path(said[name])
        for name in ("sumstats", "reference_people"):
            said[name] = {key: Path(value) for key, value in said[name].items()}
        return cls(**{**said, "covariates": tuple(said["covariates"])})

    def open_panel(self, population: str) -> prs.Genotypes:
        """Open the people of a population whose LD is used."""
        return prs.open_genotypes(self.reference, samples_file=self.reference_people[population])

    def open_target(self) -> prs.Genotypes:
        """Open the people to score."""
        return prs.open_genotypes(self.target)

    def read_statistics(self, population: str) -> prs.SumStats:
        """Read a GWAS."""
        return prs.read_sumstats(
            self.sumstats[population], population=population, n=self.n_gwas[population]
        )

    def harmonise(self, population: str) -> prs.HarmonisedSumStats:
        """Put a GWAS on the alleles of the panel."""
        panel = self.open_panel(population)
        read = self.read_statistics(population)
        return prs.harmonise(read, panel.variants, eaf=panel.eaf())

    def statistics_table(self, population: str) -> pd.DataFrame:
        """Return what peers are given: SNP CHR BP A1 A2 A1FRQ BETA SE P N, on the panel's alleles.

        Peers get the statistics that prs has matched to the panel, so that none is judged by how
        it reads files.
        """
        read = self.harmonise(population)
        variants = read.variants
        panel = self.open_panel(population)
        place = pd.Index(panel.variants.id).get_indexer(variants.id)
        return pd.DataFrame(
            {
                "SNP": variants.id,
                "CHR": variants.chrom,
                "BP": variants.pos,
                "A1": variants.effect_allele,
                "A2": variants.other_allele,
                "A1FRQ": panel.eaf()[place],
                "BETA": read.beta,
                "SE": read.se,
                "P": read.p,
                "N": read.n_eff,
            }
        )

    def n_people(self, population: str) -> int:
        """Return the people of a GWAS; of one whose file has them by variant, the median."""
        known = self.n_gwas[population]
        return known or int(np.median(self.read_statistics(population).n_eff))

    def read_cohort(self) -> prs.Cohort:
        """Read the people to score."""
        return prs.read_cohort(
            self.cohort,
            outcome=self.outcome,
            covariates=list(self.covariates),
            labels=["ancestry"],
            split="split",
        )


@dataclass(frozen=True)
class Result:
    """Everybody's scores by one program, and what they cost.

    Attributes
    ----------
    ids : ndarray of str, shape (N,)
        Individual ids.
    columns : dict of str to ndarray of float64, shape (N,)
        Scores by the name of the method, "program: method": ready to be judged, whatever was
        to be chosen or combined was so in tuning people.
    cost : Cost
        Of the processes of the program.
    """

    ids: NDArray[np.object_]
    columns: dict[str, NDArray[np.float64]]
    cost: Cost


def as_scores(
    study: Study, columns: dict[str, NDArray[np.float64]], ids: NDArray[np.object_] | None = None
) -> prs.Scores:
    """Return columns that another program made as scores of the target, in its order."""
    samples = study.open_target().samples
    values = np.column_stack(list(columns.values()))
    if ids is not None:
        values = values[pd.Index(ids.astype(str)).get_indexer(samples.iid.astype(str))]
    unknown = np.zeros(len(columns), np.int64)
    return prs.Scores(
        samples=samples,
        values=values,
        names=tuple(columns),
        n_used=unknown,
        n_missing=unknown,
        missing_rate=np.zeros(len(samples)),
    )


def choose(study: Study, scores: prs.Scores, name: str) -> NDArray[np.float64]:
    """Return the column that is best in tuning people, as ours is chosen."""
    return prs.select_best(scores, study.read_cohort(), name=name).apply(scores).values[:, 0]


def combine(study: Study, scores: prs.Scores, name: str) -> NDArray[np.float64]:
    """Return a linear combination of the columns fitted in tuning people by ancestry, as ours."""
    cohort = study.read_cohort()
    made = prs.combine(scores, cohort, name=name, by="ancestry").apply(scores, cohort)
    return made.values[:, 0]


def score_table(study: Study, table: pd.DataFrame, path: Path) -> prs.Scores:
    """Score the target by a table of weights: SNP CHR BP A1 A2 and a column a score."""
    names = {
        "CHR": "chrom", "BP": "pos", "SNP": "id", "A1": "effect_allele", "A2": "other_allele"
    }  # fmt: skip
    rest = [name for name in table.columns if name not in names]
    table[[*names, *rest]].rename(columns=names).to_csv(path, sep="\t", index=False)
    return prs.score(study.open_target(), prs.read_weights(path), min_overlap=0)
