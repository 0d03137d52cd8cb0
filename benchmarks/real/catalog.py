"""Scores as published in people of the 1000 Genomes: what is found, who gets which, and plink2.

The genotypes that come with the data are thinned, so few variants of a published score are in
them. What is left of a score is not that score. It does show what prs says about the loss, how
far means of such scores lie apart between ancestries for no reason of health, and what
normalisation makes of that.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import prs
from benchmarks.methods.launch import plink, run
from prs.errors import OverlapError
from prs.evaluation.intervals import student_interval, wilson_interval
from prs.weights.matching import match_weights

Row = dict[str, Any]
Floats = NDArray[np.float64]

#: `prs`, of the Python that runs this.
PROGRAM = "from prs.cli import main; main()"
#: A published score that keeps some variants, and one made here of a published GWAS.
PUBLISHED, MADE = "PGS000899, 11 of 176 variants", "BMI, chr22, C+T of MAMA EAS"
NONE = "none"
NORMALISATIONS = (NONE, "mean", "mean+variance")
N_COMPONENTS = 5
TOP = 0.1


def list_files(data: Path) -> list[Row]:
    """Read every scoring file and look for its variants in 2,504 people's genotypes.

    Returns
    -------
    list of dict
        A row a file: variants, those found, and what `prs score` says of it unasked.
    """
    genotypes = prs.open_genotypes(data / "geno" / "kg3_sites")
    rows = []
    for file in sorted((data / "pgs").iterdir()):
        row: Row = {"file": file.name}
        try:
            weights = prs.read_weights(file)
        except prs.PrsError as error:
            said = error.message.split(":")[0]
            rows.append({**row, "variants": None, "found": None, "verdict": f"refused: {said}"})
            continue
        try:
            report = prs.score(genotypes, weights, min_overlap=0).reports[0]
            found, turned = report.n_kept, report.counts["swapped"]
            share = found / len(weights)
            verdict = f"refused: {share:.0%} found, 50 % asked for; {turned} swapped"
            if share >= 0.5:
                verdict = "scored"
        except OverlapError:
            found, verdict = 0, "refused: none found"
            build = weights.metadata.get("genome_build", "")
            if "38" in build:
                verdict += ", as it is of GRCh38 and the genotypes of GRCh37"
            elif not weights.variants.has_positions:
                verdict += ", as it has rsids alone and the genotypes have none"
        rows.append({**row, "variants": len(weights), "found": found, "verdict": verdict})
    return rows


def make_weights(data: Path) -> dict[str, tuple[prs.Genotypes, prs.Weights]]:
    """Return weights on the genotypes' own variants, and the genotypes, by name.

    A part of a published score; clumping and thresholding (p at most 0.01) of a published GWAS;
    and all effects of another, unclumped: many variants, for the time it takes.
    """
    sites = prs.open_genotypes(data / "geno" / "kg3_sites")
    published = prs.read_weights(data / "pgs" / "PGS000899.txt.gz")
    found = match_weights(published, sites.variants, lambda rows: sites.subset(variants=rows).eaf())
    sign = np.where(found.is_turned, -1.0, 1.0)[:, None]
    on_sites = prs.Weights(
        sites.variants.take(found.variant), found.weights * sign, published.names, None, {}
    )
    people = prs.open_genotypes(data / "geno" / "kg1_chr22")
    labels = pd.read_csv(data / "geno" / "kg1_chr22.pop.tsv", sep="\t", dtype=str)
    labels = labels.set_index("IID").loc[people.samples.iid]
    asian = people.subset((labels["SUPERPOP"] == "EAS").to_numpy())
    gwas = prs.read_sumstats(data / "sumstats" / "mama_eas_bmi_chr22.txt.gz", population="EAS")
    usable = prs.qc(prs.harmonise(gwas, asian.variants, eaf=asian.eaf()), eaf=asian.eaf())
    bmi = prs.clump_and_threshold(usable, asian, p_thresholds=[0.01])
    european = prs.open_genotypes(data / "geno" / "kg_eur_hm3_chr22")
    gwas = prs.read_sumstats(
        data / "sumstats" / "ukb_eur_height_chr22.fastGWA.gz", population="EUR"
    )
    height = prs.harmonise(gwas, european.variants, eaf=european.eaf())
    all_effects = prs.Weights(height.variants, height.beta[:, None], ("height",), None, {})
    return {
        PUBLISHED: (sites, on_sites),
        MADE: (people, bmi.rename(["bmi"])),
        "height, every variant (UK Biobank)": (european, all_effects),
    }


def distribute(
    data: Path, weights: dict[str, tuple[prs.Genotypes, prs.Weights]], seed: int
) -> list[Row]:
    """Score people and normalise each half of them by the other half.

    Returns
    -------
    list of dict
        A row a score, normalisation and ancestry: mean in SDs of all reference people (95 %
        interval, Student's t), SD, and the share above the reference's 90th percentile
        (Wilson's interval).
    """
    sites = prs.open_genotypes(data / "geno" / "kg3_sites")
    table = pd.read_csv(data / "geno" / "kg3.pop.tsv", sep="\t", dtype=str).set_index("IID")
    ancestry = table.loc[sites.samples.iid, "SUPERPOP"].to_numpy(dtype=object)
    half = np.random.default_rng(seed).permutation(len(ancestry)) % 2 == 0
    components = []
    for reference in (half, ~half):
        pcs = prs.compute_pcs(sites, n_components=N_COMPONENTS, samples=reference, seed=seed)
        components.append((reference, pcs.scores, prs.project(pcs, sites.subset(~reference))))
    rows: list[Row] = []
    for name in (PUBLISHED, MADE):
        scores = prs.score(*weights[name])
        place = pd.Index(scores.samples.iid).get_indexer(sites.samples.iid)
        values = np.where(place >= 0, scores.values[place, 0], np.nan)
        for how in NORMALISATIONS:
            z, is_top = np.full(len(values), np.nan), np.zeros(len(values), dtype=bool)
            for reference, own_pcs, other_pcs in components:
                one, two = np.isfinite(values[reference]), np.isfinite(values[~reference])
                first, second = normalise(
                    values[reference][one],
                    own_pcs[one],
                    values[~reference][two],
                    other_pcs[two],
                    how,
                )
                judged = np.flatnonzero(~reference)[two]
                z[judged], is_top[judged] = second, second > np.quantile(first, 1 - TOP)
            for group in sorted(set(ancestry[np.isfinite(z)])):
                here = (ancestry == group) & np.isfinite(z)
                own, n = z[here], int(here.sum())
                middle = student_interval(own.mean(), own.std(ddof=1) / np.sqrt(n), n - 1)
                top = wilson_interval(int(is_top[here].sum()), n)
                rows.append(
                    {
                        "score": name, "normalisation": how, "ancestry": group, "n": n,
                        "mean": middle.value, "lower": middle.lower, "upper": middle.upper,
                        "sd": float(own.std(ddof=1)),
                        "top": top.value, "top_lower": top.lower, "top_upper": top.upper,
                    }
                )  # fmt: skip
    return rows


def normalise(
    reference: Floats, reference_pcs: Floats, target: Floats, target_pcs: Floats, how: str
) -> tuple[Floats, Floats]:
    """Return both sets of scores, normalised; with "none", in SDs of all the reference."""
    if how == NONE:
        mean, sd = reference.mean(), reference.std()
        return (reference - mean) / sd, (target - mean) / sd
    made = prs.normalise_scores(
        reference,
        reference_pcs,
        target,
        target_pcs,
        method=how,  # type: ignore[arg-type]
    )
    return made.reference, made.target


def race(
    weights: dict[str, tuple[prs.Genotypes, prs.Weights]], scratch: Path
) -> tuple[list[Row], list[Row]]:
    """Score by `prs score` and by `plink2 --score`, from one file of weights.

    Returns
    -------
    equality : list of dict
        A row a score: people, variants, and the largest difference in SDs of the score.
    costs : list of dict
        CPU seconds and peak memory of the whole processes.
    """
    equality: list[Row] = []
    costs: list[Row] = []
    for number, (name, (genotypes, table)) in enumerate(weights.items()):
        file, out = scratch / f"{number}.tsv", scratch / f"{number}"
        prs.write_weights(table, file, format="plink")
        prefix = str(genotypes.path)
        ours = [
            sys.executable, "-c", PROGRAM, "score", "--bfile", prefix, "--weights", str(file),
            "--out", f"{out}.prs", "--threads", "1",
        ]  # fmt: skip
        theirs = plink(
            "plink2", f"--bfile {prefix} --score {file} header cols=+scoresums --out {out}"
        )
        common = {"score": name, "people": genotypes.n_samples, "variants": len(table)}
        spent = []
        for _ in range(3):
            start = time.process_time()
            values = prs.score(genotypes, table, n_threads=1).values[:, 0]
            spent.append(time.process_time() - start)
        costs.append({**common, "program": "prs, in Python", "cpu": min(spent), "peak_mb": None})
        for program, command in (("prs, whole process", ours), ("plink2", theirs)):
            if command is None:
                continue
            cost = run(command, 1)
            costs.append({**common, "program": program, "cpu": cost.cpu, "peak_mb": cost.peak_mb})
        if theirs is None:
            continue
        made = pd.read_csv(f"{out}.sscore", sep="\t")
        (column,) = [
            c for c in made.columns if c.endswith("_SUM") and c != "NAMED_ALLELE_DOSAGE_SUM"
        ]
        gap = np.abs(made[column].to_numpy() - values).max() / values.std()
        equality.append({**common, "largest_difference_sd": float(gap)})
    return equality, costs


def measure(
    data: Path, scratch: Path, *, seed: int
) -> tuple[list[Row], list[Row], list[Row], list[Row]]:
    """Return the rows of `list_files`, `distribute` and `race` (equality, costs)."""
    weights = make_weights(data)
    return (list_files(data), distribute(data, weights, seed), *race(weights, scratch))
