"""Stages that score people and let the tuning people choose, or everybody in turn."""

from __future__ import annotations

import json
from dataclasses import dataclass
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

__all__ = ["Choice", "combine_scores", "score_target"]


@dataclass(frozen=True)
class Choice:
    """Files of what people chose.

    Attributes
    ----------
    judged : Path
        Scores for the evaluation.
    chosen : Path
        Scores as a new person would get them: those that are judged, where there is a split.
    record : Path
        What was chosen.
    one_sample : tuple of Path
        Without a split: what cross-fitting and the bootstrap say of the choice.
    """

    judged: Path
    chosen: Path
    record: Path
    one_sample: tuple[Path, ...]


def score_target(run: Run, *weights: Path) -> Path:
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


def combine_scores(run: Run, path: Path) -> Choice:
    """Let people choose: the best of each grid, and the weights of populations.

    With a split the tuning people choose. Without one everybody does: what is judged is then
    cross-fitted, and what a new person would get is kept beside it (`Choice.chosen`).
    """
    folder = run.folder / "scores"
    split = run.cohort.split is not None
    files = Choice(
        folder / "final.scores.tsv",
        folder / ("final.scores.tsv" if split else "chosen.scores.tsv"),
        folder / "choices.json",
        () if split else tuple(folder / f"{name}.tsv" for name in ("cross_fit", "optimism")),
    )
    settings, by = run.study.evaluation, run.study.target.by
    cells_by = by if settings.choose_by == "ancestry" else None

    def work() -> str:
        scores = read_scores(path)
        choose = partial(choose_scores, by=by, cells_by=cells_by)
        if split:
            chosen, record = choose(scores, run.cohort)
            write_scores(chosen, files.judged)
        else:
            chosen, record = _everybody_chooses(run, scores, choose, files)
        with write_atomically(files.record) as temporary:
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
        outputs=list(dict.fromkeys([files.judged, files.record, files.chosen, *files.one_sample])),
        work=work,
    )
    return files


def _everybody_chooses(
    run: Run, scores: Scores, choose: Any, files: Choice
) -> tuple[Scores, dict[str, Any]]:
    """Write the scores to be judged, those of everybody's choice, and how far they differ."""
    settings, seed = run.study.evaluation, run.study.seed
    cohort, by = run.cohort, run.study.target.by
    fitted = cross_fit_scores(scores, cohort, choose, n_folds=settings.n_folds, by=by, seed=seed)
    everybody = cohort.with_split(np.full(cohort.n, TUNING, dtype=object))
    chosen, record = choose(scores, everybody)
    fixed = len(record) == 1  # nothing but the number of people: there was nothing to choose
    write_scores(chosen if fixed else fitted.scores, files.judged)
    write_scores(chosen, files.chosen)
    write_table(fitted.summary, files.one_sample[0])
    n_bootstrap = 0 if fixed else settings.n_optimism
    optimism = choice_optimism(scores, cohort, choose, by=by, n_bootstrap=n_bootstrap, seed=seed)
    write_table(optimism, files.one_sample[1])
    return chosen, {**record, "cross_fitted": not fixed, "n_folds": settings.n_folds}
