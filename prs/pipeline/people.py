"""Stages about people: how sure each one's score is, and who is related to whom."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import pandas as pd

from prs.ancestry.kinship import find_relatives, least_kinship, relatives_note
from prs.files import write_table
from prs.individuals import top_loci
from prs.inputs.cohort_columns import TUNING
from prs.people import Scale, combination_of, draw_scores, uncertainty_notes
from prs.pipeline.context import Run
from prs.pipeline.places import read_places
from prs.pipeline.scores import Choice
from prs.samples import match_samples
from prs.scoring import read_scores
from prs.weights.csx_store import read_posterior
from prs.weights.table import read_weights

__all__ = ["judge_uncertainty", "look_for_relatives"]

Method = Literal["none", "mean", "mean+variance", "empirical"]
#: With fewer variants than this, chance alone makes people look related.
MIN_VARIANTS_FOR_KINSHIP = 1000
#: More people than this are too many to compare each with each.
MAX_PEOPLE_FOR_ALL_PAIRS = 20_000


def judge_uncertainty(run: Run, choice: Choice, placed: list[Path]) -> list[Path]:
    """Score everybody with each posterior draw; intervals by person, and by ancestry.

    The draws are also put on one scale for all ancestries (`[evaluation] normalise`), each by
    its own fit among the tuning people.
    """
    drawn = run.drawn
    if drawn is None:
        return []
    folder = run.folder / "uncertainty"
    names = ["people", "groups", "loci", "notes"]
    method = _method(run, placed)
    if method != "none":
        names += ["normalised", "normalised_groups"]
    outputs = [folder / f"{name}.tsv" for name in names]
    by = run.study.target.by

    def work() -> str:
        scores, posterior = read_scores(choice.chosen), read_posterior(drawn)
        record = json.loads(choice.record.read_text(encoding="utf-8"))
        label = drawn.stem
        named = [n for n in (f"{label}_combined", f"{label}_META", label) if n in scores.names]
        made = draw_scores(
            run.target,
            posterior,
            scores,
            run.cohort,
            name=named[0],
            combination=combination_of(record, named[0]),
            by=by,
            n_draws=None,
            n_threads=run.n_threads,
            client=run.client,
        )
        sure = made.summarise(by=by)
        groups = sure.by_group()
        groups.insert(0, "score", named[0])
        write_table(sure.to_frame(), outputs[0])
        write_table(groups, outputs[1])
        weights = read_weights(drawn.with_suffix(".tsv"))
        write_table(top_loci(run.target, weights), outputs[2])
        phi = str(posterior.settings.phi[0])
        notes = uncertainty_notes(posterior.converged, posterior.warnings, groups, phi=phi)
        write_table(pd.DataFrame({"note": notes}, dtype=str), outputs[3])
        if method != "none":
            one = made.summarise(by=by, scale=_scale(run, placed, method))
            table = one.to_frame().drop(columns=["group"])
            ancestry = dict(zip(run.cohort.ids, run.cohort.groups(by), strict=True))
            table.insert(1, "ancestry", [ancestry[iid] for iid in table["IID"]])
            write_table(table, outputs[4])
            write_table(_on_one_scale(table, method), outputs[5])
        return f"{len(sure.ids):,} people, {sure.n_draws} draws of {named[0]}"

    run.stages.run(
        "uncertainty",
        settings={**msgspec.to_builtins(run.study.target), "normalise": method},
        inputs=[
            drawn,
            choice.chosen,
            choice.record,
            run.study.file(run.study.target.cohort),
            *placed,
        ],
        outputs=outputs,
        work=work,
    )
    return outputs


def _method(run: Run, placed: list[Path]) -> Method:
    """Return how scores are put on one scale; "none" where they are not."""
    wanted = run.study.evaluation.normalise
    components = bool(placed or run.study.target.pcs)
    if wanted == "auto":
        return "mean+variance" if components else "none"
    return wanted


def _scale(run: Run, placed: list[Path], method: Method) -> Scale:
    """Return the scale fitted on tuning people (on everybody without a split)."""
    cohort = run.cohort
    train = np.ones(cohort.n, bool) if cohort.split is None else cohort.split == TUNING
    places = None if method == "empirical" else read_places(run, placed)
    assert method != "none"
    if places is None:
        return Scale(cohort.samples, None, train, method)
    rows, at = match_samples(
        cohort.samples, places.samples, what="the cohort", target_name="the components"
    )
    return Scale(cohort.samples.take(rows), places.pcs[at], train[rows], method)


def _on_one_scale(table: pd.DataFrame, method: str) -> pd.DataFrame:
    """Return a row an ancestry: where its people are on the common scale, and how sure that is."""
    rows = []
    for name, part in table.groupby("ancestry", sort=False):
        top = part[part["in_top"]]
        rows.append(
            {
                "group": str(name),
                "n": len(part),
                "method": method,
                "mean": part["score"].mean(),
                "sd": part["score"].std(),
                "interval_width": (part["score_upper"] - part["score_lower"]).mean(),
                "percentile_width": (part["percentile_upper"] - part["percentile_lower"]).mean(),
                "share_top": part["in_top"].mean(),
                "p_top_of_top": top["p_top"].mean() if len(top) else np.nan,
            }
        )
    return pd.DataFrame(rows).sort_values("n", ascending=False, kind="stable")


def look_for_relatives(run: Run) -> list[Path]:
    """Look for relatives across tuning and test people; among all where there is no split."""
    outputs = [run.folder / "uncertainty" / f"{name}.tsv" for name in ("kin", "kin_note")]
    cohort, one_sample = run.cohort, run.cohort.split is None

    def work() -> str:
        found = pd.DataFrame(columns=["IID1", "IID2", "kinship", "relation"])
        if run.target.n_variants < MIN_VARIANTS_FOR_KINSHIP:
            note = f"Relatives: not looked for ({run.target.n_variants:,} variants)."
        elif one_sample and cohort.n > MAX_PEOPLE_FOR_ALL_PAIRS:
            note = f"Relatives: not looked for (all pairs of {cohort.n:,} people)."
        else:
            _, place = match_samples(
                cohort.samples, run.target.samples, what="the cohort", target_name=run.target.path
            )
            found = find_relatives(
                run.target.subset(samples=place),
                between=None if one_sample else (cohort.tuning().ids, cohort.test().ids),
                min_kinship=least_kinship(run.target.variants),
                n_threads=run.n_threads,
            )
            note = relatives_note(found, one_sample=one_sample)
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
