"""The study files of a simulated study: what `prs run` needs to go from its files to a report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from prs.files import write_atomically

__all__ = ["write_study_files"]

_HEAD = """\
# {comment}
# All paths are relative to this file.
title = "{title}"
seed = 1
out = "{out}"

[target]
genotypes = "target"
cohort = "cohort.tsv"
outcome = "{outcome}"
kind = "{kind}"
covariates = ["age", "sex"]
ancestry = "ancestry"
split = "split"
pcs = ["PC1", "PC2", "PC3", "PC4"] # accuracy along genetic distance, whatever the label
"""
_POPULATION = """
[populations.{population}]
sumstats = "{file}"
{n}reference = "reference"
reference_samples = "reference.{population}.txt"
"""
_METHODS = """
[methods.ct] # clumping and thresholding
populations = ["{main}"]

[methods.csx]
single = ["{main}"] # PRS-CS with one GWAS
joint = true     # PRS-CSx with all of them
phi = "auto"
n_iter = 1500
n_burnin = 500

[evaluation]
reference_ancestry = "{main}"
"""


def write_study_files(
    out: Path, gwas: pd.DataFrame, prevalence: Mapping[str, float], main: str
) -> list[Path]:
    """Write ``study.toml`` (the disease) and ``study_trait.toml`` (the quantitative trait).

    Parameters
    ----------
    out : Path
        The study's folder.
    gwas : DataFrame
        One row a file of summary statistics: file, outcome, population, n_cases, n_controls,
        n_eff.
    prevalence : mapping of str to float
        Of the disease, by ancestry.
    main : str
        The population that is also fitted alone, and is the reference ancestry.
    """
    texts = {
        "study.toml": _HEAD.format(
            comment="Does a score from one population's GWAS serve everybody, and what do\n"
            "# summary statistics from other populations add?",
            title="A disease in four ancestries (simulated)",
            out="results",
            outcome="disease",
            kind="binary",
        )
        + _describe_populations(gwas[gwas["outcome"] == "disease"])
        + _METHODS.format(main=main)
        + "prevalence = { "
        + ", ".join(f"{name} = {value:g}" for name, value in prevalence.items())
        + " }\n",
        "study_trait.toml": _HEAD.format(
            comment="The same people's quantitative trait.",
            title="A quantitative trait in four ancestries (simulated)",
            out="results_trait",
            outcome="trait",
            kind="quantitative",
        )
        + _describe_populations(gwas[gwas["outcome"] == "trait"])
        + _METHODS.format(main=main),
    }
    written = []
    for name, text in texts.items():
        with write_atomically(out / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
        written.append(out / name)
    return written


def _describe_populations(gwas: pd.DataFrame) -> str:
    sections = []
    for row in gwas.to_dict("records"):
        n = ""
        is_case_control = row["n_cases"] != "NA"
        # the PRS-CS format has no such column, and GWAS-SSF's is the number of people
        if is_case_control or not row["file"].endswith(".tsv.gz"):
            n = f"n = {row['n_eff']}"
            if is_case_control:
                n += (
                    f" # effective: 4 / (1 / {row['n_cases']} cases"
                    f" + 1 / {row['n_controls']} controls)"
                )
            n += "\n"
        sections.append(_POPULATION.format(population=row["population"], file=row["file"], n=n))
    return "".join(sections)
