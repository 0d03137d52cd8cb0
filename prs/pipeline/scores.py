"""Stages that score people and let the tuning people choose."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from prs.files import write_atomically
from prs.pipeline.context import Run
from prs.scoring import read_scores, score, write_scores
from prs.weights.choose import choose_scores
from prs.weights.table import read_weights

__all__ = ["combine_scores", "score_target"]


def score_target(run: Run, weights: list[Path]) -> Path:
    """Score everybody with all weights; return the table."""
    path = run.folder / "scores" / "all.scores.tsv"

    def work() -> str:
        scores = score(
            run.target, [read_weights(file) for file in weights], n_threads=run.n_threads
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
    """Let the tuning people choose: the best of each grid, and the weights of populations."""
    final = run.folder / "scores" / "final.scores.tsv"
    choices = run.folder / "scores" / "choices.json"

    def work() -> str:
        scores = read_scores(path)
        chosen, record = choose_scores(scores, run.cohort, by=run.study.target.ancestry)
        write_scores(chosen, final)
        with write_atomically(choices) as temporary:
            temporary.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        return ", ".join(chosen.names)

    run.stages.run(
        "combine",
        settings=msgspec.to_builtins(run.study.target),
        inputs=[path, run.study.file(run.study.target.cohort)],
        outputs=[final, choices],
        work=work,
    )
    return final
