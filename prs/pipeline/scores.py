"""Stages that score people and let the tuning people choose, or everybody in turn."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from prs.cross_fitting import choice_optimism, cross_fit_scores
from prs.files import write_atomically, write_table
from prs.inputs.cohort_columns import TUNING
from prs.pipeline.context import Run
from prs.scoring import Scores, read_scores, score, write_scores
from prs.weights.choose import choose_scores
from prs.weights.table import read_weights

__all__ = ["combine_scores", "score_target"]


def score_target(run: Run, weights: list[Path]) -> Path:
    """Score everybody with all weights; return the table."""
    path = run.folder / "scores" / "all.scores.tsv"

    def work() -> str:
        scores = score(
            run.target,
            [read_weights(file) for file in weights],
            n_threads=run.n_threads,
            client=run.client,
        )
        write_scores(scores, path)
        return f"{len(scores.samples):,} people, {len(scores.names)} columns"

    run.stages.run(
        "score",
        settings={},
        inputs=[*weights, *run.target.files],
        outputs=[path],
        work=work,
    )
    return path


def combine_scores(run: Run, path: Path) -> Path:
    """Let people choose: the best of each grid, and the weights of populations.

    With a split the tuning people choose. Without one everybody does: what is judged is then
    cross-fitted, and what a new person would get is kept beside it (`Run.chosen`).
    """
    folder = run.folder / "scores"
    final, choices = folder / "final.scores.tsv", folder / "choices.json"
    split = run.cohort.split is not None
    run.chosen = final if split else folder / "chosen.scores.tsv"
    run.one_sample = [] if split else [folder / f"{n}.tsv" for n in ("cross_fit", "optimism")]
    settings, by = run.study.evaluation, run.study.target.by
    cells_by = by if settings.choose_by == "ancestry" else None

    def work() -> str:
        scores = read_scores(path)
        choose = partial(choose_scores, by=by, cells_by=cells_by)
        if split:
            chosen, record = choose(scores, run.cohort)
            write_scores(chosen, final)
        else:
            chosen, record = _everybody_chooses(run, scores, choose)
        with write_atomically(choices) as temporary:
            temporary.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        return ", ".join(chosen.names)

    run.stages.run(
        "combine",
        settings={
            **msgspec.to_builtins(run.study.target),
            "choose_by": settings.choose_by,
            **({} if split else {"folds": [settings.n_folds, settings.n_optimism]}),
            "seed": run.study.seed,
        },
        inputs=[path, run.study.file(run.study.target.cohort)],
        outputs=[final, choices, *({run.chosen, *run.one_sample} - {final})],
        work=work,
    )
    return final


def _everybody_chooses(run: Run, scores: Scores, choose: Any) -> tuple[Scores, dict[str, Any]]:
    """Write the scores to be judged, those of everybody's choice, and how far they differ."""
    settings, seed = run.study.evaluation, run.study.seed
    cohort, by = run.cohort, run.study.target.by
    fitted = cross_fit_scores(scores, cohort, choose, n_folds=settings.n_folds, by=by, seed=seed)
    everybody = cohort.with_split(np.full(cohort.n, TUNING, dtype=object))
    chosen, record = choose(scores, everybody)
    fixed = len(record) == 1  # nothing but the number of people: there was nothing to choose
    final = run.folder / "scores" / "final.scores.tsv"
    write_scores(chosen if fixed else fitted.scores, final)
    write_scores(chosen, run.chosen)
    write_table(fitted.summary, run.one_sample[0])
    n_bootstrap = 0 if fixed else settings.n_optimism
    optimism = choice_optimism(scores, cohort, choose, by=by, n_bootstrap=n_bootstrap, seed=seed)
    write_table(optimism, run.one_sample[1])
    return chosen, {**record, "cross_fitted": not fixed, "n_folds": settings.n_folds}
