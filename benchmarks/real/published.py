"""Published GWAS on LD panels of real people: what is lost on the way, and ours beside PRScsx.py.

Both programs read the same files: the panel, a .bim, and statistics in PRScsx.py's format, which
are the published ones after `prs.harmonise`. Nobody knows the true effects here. What can be seen
is whether the two agree, and the measure of that is how far two seeds of one program agree.
"""

from __future__ import annotations

import gzip
import shutil
import sys
from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import prs
from benchmarks.methods import Peers, Study
from benchmarks.methods.launch import run
from benchmarks.methods.prscsx import run_program, write_panel
from benchmarks.real.chains import on_alleles
from prs.inputs.plink1 import read_bim

Row = dict[str, Any]
Floats = NDArray[np.float64]

CHROMOSOME = 22
#: Fixed: then seeds differ by their draws and not by where a learnt phi has got to.
PHI = 0.01
#: `prs`, of the Python that runs this.
PROGRAM = "from prs.cli import main; main()"
OURS, OURS_EXACT, THEIRS = "prs", "prs, exact posterior", "PRScsx.py"


@dataclass(frozen=True)
class Case:
    """A trait: its statistics, its LD, and the people to be scored.

    Attributes
    ----------
    name : str
    sumstats : tuple of (str, str)
        Population and file.
    panel : str
        Folder in PRS-CSx layout; empty: made from `lenders`.
    target : str
        Genotypes: its variants are used, its people scored.
    lenders : str
        Whose LD, of the target's people: a superpopulation, or "half", every other person; the
        others are then scored.
    """

    name: str
    sumstats: tuple[tuple[str, str], ...]
    target: str
    panel: str = ""
    lenders: str = ""


CASES = (
    Case(
        "height, Yengo 2022; HGDP + 1000 Genomes panel",
        (("EUR", "yengo_2022_height_eur.txt.gz"), ("EAS", "yengo_2022_height_eas.txt.gz")),
        "kg_eur_hm3_chr22",
        panel="prscsx_hgdp1kg",
    ),
    Case(
        "height, UK Biobank; LD of 189 Europeans",
        (("EUR", "ukb_eur_height_chr22.fastGWA.gz"),),
        "kg_eur_hm3_chr22",
        lenders="half",
    ),
    Case(
        "BMI, MAMA (EAS); LD of 286 East Asians",
        (("EAS", "mama_eas_bmi_chr22.txt.gz"),),
        "kg1_chr22",
        lenders="EAS",
    ),
)
#: Statistics that no panel here has LD for: they are read and matched to their own .bim.
NO_LD = tuple((name, f"glgc_hdl_chr1_{name}.txt.gz") for name in ("EUR", "EAS", "AFR", "SAS"))


def ledger_row(trait: str, reference: str, found: prs.HarmonisedSumStats) -> Row:
    """Return what became of the rows of a file; the fates sum to the rows."""
    report = found.report
    fates = {label: n for label, n in report.counts.items() if n}
    kept = {"same", "swapped", "flipped", "flipped_swapped"}
    return {
        "trait": trait,
        "population": found.population,
        "matched to": reference,
        "rows": report.n_input,
        "used": report.n_kept,
        "fates": ", ".join(
            f"{label.replace('_', ' ')} {n:,}" for label, n in fates.items() if label not in kept
        ),
    }


def read_ledgers_without_ld(data: Path, scratch: Path) -> list[Row]:
    """Match the statistics that have no panel to the .bim that came with them."""
    copy = scratch / "glgc.bim"
    with gzip.open(data / "sumstats" / "glgc_hdl_chr1.bim.gz", "rb") as packed:
        copy.write_bytes(packed.read())
    variants, _ = read_bim(copy)
    rows = []
    for name, file in NO_LD:
        read = prs.read_sumstats(data / "sumstats" / file, population=name, n=1.0)
        found = prs.harmonise(read, variants)
        rows.append(ledger_row("HDL, GLGC 2021", "its .bim; no LD here", found))
    return rows


@dataclass(frozen=True)
class Inputs:
    """Files that both programs read, and who is scored.

    Attributes
    ----------
    case : Case
    panel : Path
    target : Path
        PLINK prefix.
    files : list of Path
    n_gwas : list of int
    judged : Genotypes
        The people to score.
    labels : ndarray of str
        Their superpopulations.
    """

    case: Case
    panel: Path
    target: Path
    files: list[Path]
    n_gwas: list[int]
    judged: prs.Genotypes
    labels: NDArray[np.object_]

    @property
    def populations(self) -> list[str]:
        """Populations, in order."""
        return [name for name, _ in self.case.sumstats]

    def open_panel(self, population: str) -> prs.LDReference:
        """Open the LD of a population."""
        return prs.open_ld(self.panel, population=population, chromosomes=[CHROMOSOME])


def prepare(data: Path, case: Case, folder: Path) -> tuple[Inputs, list[Row]]:
    """Write what both programs read; return it, and the ledger of each GWAS."""
    folder.mkdir(parents=True)
    target = data / "geno" / case.target
    genotypes = prs.open_genotypes(target)
    labels = np.full(genotypes.n_samples, "EUR", dtype=object)
    listed = target.with_suffix(".pop.tsv")
    if listed.exists():
        table = pd.read_csv(listed, sep="\t", dtype=str).set_index("IID")
        labels = table.loc[genotypes.samples.iid, "SUPERPOP"].to_numpy(dtype=object)
    judged = np.ones(len(labels), dtype=bool)
    published = {name: data / "sumstats" / file for name, file in case.sumstats}
    panel = data / "ldpanel" / case.panel
    if case.lenders:
        lends = labels == case.lenders
        if case.lenders == "half":
            lends = np.arange(len(labels)) % 2 == 0
            judged = ~lends
        people = folder / "people.txt"
        people.write_text("".join(f"{i}\t{i}\n" for i in genotypes.samples.iid[lends]))
        panel = folder / "panel"
        study = Study(
            folder=folder,
            sumstats=published,
            n_gwas=dict.fromkeys(published),
            reference=target,
            reference_people=dict.fromkeys(published, people),
            target=target,
            cohort=folder / "nobody.tsv",
        )
        write_panel(study, panel, list(published))
    files, sizes, ledgers = [], [], []
    for name, file in published.items():
        ld = prs.open_ld(panel, population=name, chromosomes=[CHROMOSOME])
        read = prs.read_sumstats(file, population=name)
        found = prs.harmonise(read, ld.variants, eaf=ld.eaf)
        ledgers.append(ledger_row(case.name.split(";")[0], f"{len(ld):,} of its panel", found))
        made = {
            "SNP": found.variants.id,
            "A1": found.variants.effect_allele,
            "A2": found.variants.other_allele,
            "BETA": found.beta,
            "SE": found.se,
        }
        files.append(folder / f"{name}.txt")
        pd.DataFrame(made).to_csv(files[-1], sep="\t", index=False)
        sizes.append(int(np.median(found.n_eff)))
    people_judged = genotypes.subset(judged)
    return Inputs(case, panel, target, files, sizes, people_judged, labels[judged]), ledgers


def run_ours(
    inputs: Inputs, out: Path, seed: int, iterations: int, target: str = "reference"
) -> tuple[float, float]:
    """Run `prs csx` with PRScsx.py's options, one chain; return CPU seconds and peak MB."""
    command = [
        sys.executable, "-c", PROGRAM, "csx", f"--ref_dir={inputs.panel}",
        f"--bim_prefix={inputs.target}", f"--sst_file={','.join(map(str, inputs.files))}",
        f"--n_gwas={','.join(map(str, inputs.n_gwas))}", f"--pop={','.join(inputs.populations)}",
        f"--chrom={CHROMOSOME}", f"--out_dir={out}", "--out_name=out", "--meta=TRUE",
        f"--n_iter={iterations}", f"--n_burnin={iterations // 2}", f"--seed={seed}",
        "--chains=1", f"--target={target}", f"--phi={PHI}",
    ]  # fmt: skip
    cost = run(command, 1)
    return cost.cpu, cost.peak_mb


def read_run(folder: Path, population: str) -> pd.Series:
    """Return the effects per allele of one run, by variant."""
    (file,) = folder.glob(f"out_{population}_pst_eff_*.txt")
    columns = ["CHR", "SNP", "BP", "A1", "A2", "BETA"]
    return pd.read_csv(file, sep="\t", names=columns).set_index("SNP")["BETA"]


def score_run(folder: Path, population: str, people: prs.Genotypes) -> Floats:
    """Return the scores of people by one run's weights."""
    (file,) = folder.glob(f"out_{population}_pst_eff_*.txt")
    return np.asarray(prs.score(people, prs.read_weights(file)).values[:, 0])


def compare(inputs: Inputs, runs: dict[str, list[Path]]) -> list[Row]:
    """Return how runs agree: within ours, and of ours with the others.

    Parameters
    ----------
    inputs : Inputs
    runs : dict of str to list of Path
        Program to folders of its runs, one a seed.

    Returns
    -------
    list of dict
        A row a population and pair of programs: correlation of standardised effects and of
        scores in people, mean and extremes over the pairs of runs.
    """
    own = [(program, program) for program in (OURS, THEIRS) if len(runs.get(program, ())) > 1]
    pairs = [*own, *((OURS, other) for other in runs if other != OURS)]
    rows = []
    for name in inputs.populations:
        panel = inputs.open_panel(name)
        effects = {f: read_run(f, name) for folders in runs.values() for f in folders}
        shared = effects[runs[OURS][0]].index
        at, _ = on_alleles(panel.variants, list(shared), [""] * len(shared))
        sd = panel.sd[at]
        scores = {folder: score_run(folder, name, inputs.judged) for folder in effects}
        for one, other in pairs:
            two = combinations(runs[one], 2) if one == other else product(runs[one], runs[other])
            found = np.array(
                [
                    (
                        np.corrcoef(effects[a] * sd, effects[b].reindex(shared) * sd)[0, 1],
                        min(
                            np.corrcoef(scores[a][who], scores[b][who])[0, 1]
                            for who in (inputs.labels == g for g in np.unique(inputs.labels))
                        ),
                    )
                    for a, b in two
                ]
            )
            rows.append(
                {
                    "trait": inputs.case.name,
                    "population": name,
                    "variants": len(shared),
                    "pair": f"{one} and {other}" if one != other else f"two seeds of {one}",
                    "weights": found[:, 0].mean(),
                    "weights_low": found[:, 0].min(),
                    "weights_high": found[:, 0].max(),
                    "scores": found[:, 1].mean(),
                    "scores_low": found[:, 1].min(),
                    "scores_high": found[:, 1].max(),
                }
            )
    return rows


def measure(
    data: Path,
    scratch: Path,
    *,
    seed: int,
    peers: Peers,
    cases: tuple[Case, ...] = CASES,
    iterations: int = 500,
    n_seeds: int = 3,
) -> tuple[list[Row], list[Row], list[Row]]:
    """Run ours, and PRScsx.py where there is one, on published statistics.

    Returns
    -------
    ledgers : list of dict
        A row a GWAS.
    agreement : list of dict
        See `compare`.
    costs : list of dict
        A row a trait and program: CPU seconds and peak memory, files to weights, mean of the runs.
    """
    ledgers = read_ledgers_without_ld(data, scratch)
    agreement: list[Row] = []
    costs: list[Row] = []
    for number, case in enumerate(cases):
        folder = scratch / f"case{number}"
        inputs, own = prepare(data, case, folder)
        ledgers += own
        runs: dict[str, list[Path]] = {OURS: [], OURS_EXACT: []}
        if peers.prscsx is not None:
            runs[THEIRS] = []
        for program, places in runs.items():
            spent = []
            for k in range(n_seeds if program != THEIRS else min(n_seeds, 2)):
                out = folder / f"{program}_{k}"
                out.mkdir()
                if program == THEIRS and peers.prscsx is not None:
                    cost = run_program(
                        peers.prscsx, inputs.panel, inputs.target, inputs.files, inputs.n_gwas,
                        inputs.populations, [CHROMOSOME], out, iterations, seed + k, PHI,
                    )  # fmt: skip
                    spent.append((cost.cpu, cost.peak_mb))
                else:
                    kind = "reference" if program == OURS else "posterior"
                    spent.append(run_ours(inputs, out, seed + k, iterations, kind))
                places.append(out)
            cpu, peak = np.mean(spent, axis=0)
            costs.append({"trait": case.name, "program": program, "cpu": cpu, "peak_mb": peak})
        agreement += compare(inputs, runs)
        shutil.rmtree(folder)
    return ledgers, agreement, costs
