"""Stages that prepare inputs: the doctor, LD, and statistics on its alleles."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from prs.doctor.study import check_study
from prs.files import write_atomically, write_table
from prs.inputs.harmonise import HarmonisedSumStats, harmonise, write_harmonised
from prs.inputs.ledger import write_ledger
from prs.ld.blocks import read_blocks
from prs.ld.compute import compute_ld
from prs.ld.reference import LDReference
from prs.ld.store import open_ld, write_ld
from prs.matching import MatchReport, match_variants
from prs.pipeline.context import Run
from prs.quality import qc

__all__ = ["Panel", "check_inputs", "harmonise_population", "prepare_ld"]


@dataclass(frozen=True, eq=False)
class Panel:
    """A population's LD.

    Attributes
    ----------
    ld : LDReference
        Of the variants that the target has.
    whole : LDReference
        The panel as it is, M variants.
    available : ndarray of bool, shape (M,)
        Which of them the target has.
    files : list of Path
        What it is read from.
    report : MatchReport
        Of the panel's variants against the target's.
    """

    ld: LDReference
    whole: LDReference
    available: NDArray[np.bool_]
    files: list[Path]
    report: MatchReport


def check_inputs(run: Run) -> None:
    """Ask the doctor first; what it finds is said, and does not stop the run."""
    paths = [run.folder / "check" / f"check.{end}" for end in ("json", "tsv")]

    def work() -> str:
        report = check_study(run.study.path, n_threads=run.n_threads)
        report = replace(report, seconds=0.0)  # equal runs write equal bytes
        with write_atomically(paths[0]) as temporary:
            temporary.write_text(report.to_json(), encoding="utf-8")
        write_table(report.to_frame(), paths[1])
        for finding in report.findings:
            if finding.verdict != "pass":
                run.say(f"  {finding.verdict.upper()}: {finding.subject}: {finding.figure}")
        return report.summary

    files = [run.study.file(run.study.target.cohort), *run.target.files]
    for name, population in run.study.populations.items():
        files.append(run.study.file(population.sumstats))
        if population.reference is not None and population.ld is None:
            files += run.reference_files(name)
    run.stages.run(
        "check",
        settings={"study": run.study.settings()},
        inputs=[file for file in files if file.is_file()],
        outputs=paths,
        work=work,
    )


def prepare_ld(run: Run, name: str) -> Panel:
    """Open or compute a population's LD, and keep the variants that the target has."""
    population = run.study.populations[name]
    if population.ld is not None:
        path = run.study.file(population.ld)
    else:
        path = run.folder / "ld" / f"{name}.h5"

        def work() -> str:
            blocks = population.blocks
            ld = compute_ld(
                run.reference_genotypes(name),
                blocks=None if blocks is None else read_blocks(run.study.file(blocks)),
                population=name,
                n_threads=run.n_threads,
                client=run.client,
            )
            write_ld(ld, path, resume=True, n_threads=run.n_threads, client=run.client)
            return f"{len(ld.variants):,} variants, {ld.n_blocks:,} blocks"

        run.stages.run(
            f"ld {name}",
            settings={"population": name},
            inputs=run.reference_files(name),
            outputs=[path],
            work=work,
        )
    reference = open_ld(path, population=name)
    match = match_variants(
        reference.variants,
        run.target.variants,
        palindromic="keep",
        min_overlap=run.study.harmonise.min_overlap,
        what=f"the LD reference of {name}",
        target_name=f"the genotypes {run.target.path}",
    )
    available = np.zeros(len(reference), dtype=bool)
    available[match.query_index] = True
    return Panel(
        reference.subset(available),
        reference,
        available,
        _ld_files(path, name),
        match.report(f"LD reference {name}", "target genotypes", run.target.n_variants),
    )


def harmonise_population(run: Run, name: str, panel: Panel) -> HarmonisedSumStats:
    """Put a population's statistics on its LD reference's alleles, and write what was lost."""
    harmonised = harmonise(
        run.statistics_of(name),
        panel.whole.variants,
        eaf=panel.whole.eaf,
        palindromic=run.study.harmonise.palindromic,
        min_overlap=run.study.harmonise.min_overlap,
        target_name=f"LD reference {name}",
    ).leave_out_of_target(panel.available)
    harmonised = qc(harmonised, ld=panel.ld, rules=run.rules)
    run.say(f"harmonise {name}: {harmonised.report}")
    folder = run.folder / "harmonised"
    write_harmonised(harmonised, folder / f"{name}.tsv.gz")
    write_table(harmonised.report.to_frame(), folder / f"{name}.match.tsv")
    if harmonised.ledger is not None:
        write_ledger(harmonised.ledger, folder / f"{name}.ledger.tsv.gz")
    return harmonised


def _ld_files(path: Path, population: str) -> list[Path]:
    """Return the files of an LD reference: itself, or those of a panel folder's population."""
    if path.is_file():
        return [path]
    files = sorted(file for file in path.rglob("*") if file.is_file())
    own = [f for f in files if f.parent.name.lower().endswith(f"_{population.lower()}")]
    return [f for f in files if f.name.startswith("snpinfo")] + (own or files)
