"""Stages about people: how sure each one's score is, and who is related to whom."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pandas as pd

from prs.ancestry.kinship import find_relatives, least_kinship, relatives_note
from prs.files import write_table
from prs.individuals import top_loci
from prs.people import combination_of, people_uncertainty, uncertainty_notes
from prs.pipeline.context import Run
from prs.scoring import read_scores
from prs.weights.csx_store import read_posterior
from prs.weights.table import read_weights

__all__ = ["judge_uncertainty", "look_for_relatives"]

#: With fewer variants than this, chance alone makes people look related.
MIN_VARIANTS_FOR_KINSHIP = 1000


def judge_uncertainty(run: Run, path: Path) -> list[Path]:
    """Score everybody with each posterior draw; intervals by person, and by ancestry."""
    drawn = run.drawn
    if drawn is None:
        return []
    folder = run.folder / "uncertainty"
    outputs = [folder / f"{name}.tsv" for name in ("people", "groups", "loci", "notes")]
    choices = run.folder / "scores" / "choices.json"

    def work() -> str:
        scores, posterior = read_scores(path), read_posterior(drawn)
        record = json.loads(choices.read_text(encoding="utf-8"))
        label = drawn.stem
        named = [n for n in (f"{label}_combined", f"{label}_META", label) if n in scores.names]
        combination = combination_of(record, named[0])
        sure = people_uncertainty(
            run.target,
            posterior,
            scores,
            run.cohort,
            name=named[0],
            combination=combination,
            by=run.study.target.ancestry,
            n_draws=None,
            n_threads=run.n_threads,
        )
        groups = sure.by_group()
        groups.insert(0, "score", named[0])
        write_table(sure.to_frame(), outputs[0])
        write_table(groups, outputs[1])
        weights = read_weights(drawn.with_suffix(".tsv"))
        write_table(top_loci(run.target, weights), outputs[2])
        phi = str(posterior.settings.phi[0])
        notes = uncertainty_notes(posterior.converged, posterior.warnings, groups, phi=phi)
        write_table(pd.DataFrame({"note": notes}, dtype=str), outputs[3])
        return f"{len(sure.ids):,} people, {sure.n_draws} draws of {named[0]}"

    run.stages.run(
        "uncertainty",
        settings=msgspec.to_builtins(run.study.target),
        inputs=[drawn, path, choices, run.study.file(run.study.target.cohort)],
        outputs=outputs,
        work=work,
    )
    return outputs


def look_for_relatives(run: Run) -> list[Path]:
    """Look for relatives across tuning and test people."""
    outputs = [run.folder / "uncertainty" / f"{name}.tsv" for name in ("kin", "kin_note")]
    if run.cohort.split is None:
        return []

    def work() -> str:
        if run.target.n_variants < MIN_VARIANTS_FOR_KINSHIP:
            found = pd.DataFrame(columns=["IID1", "IID2", "kinship", "relation"])
            note = f"Relatives: not looked for ({run.target.n_variants:,} variants)."
        else:
            between = (run.cohort.tuning().ids, run.cohort.test().ids)
            found = find_relatives(
                run.target,
                between=between,
                min_kinship=least_kinship(run.target.variants),
                n_threads=run.n_threads,
            )
            note = relatives_note(found)
        write_table(found, outputs[0])
        write_table(pd.DataFrame({"note": [note]}), outputs[1])
        return note

    run.stages.run(
        "relatives",
        settings={
            "split": run.study.target.split,
            "least": least_kinship(run.target.variants),
        },
        inputs=[*run.target.files, run.study.file(run.study.target.cohort)],
        outputs=outputs,
        work=work,
    )
    return outputs
