"""The chain for one study, from files to the report; no science of its own."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from prs.pipeline.context import Run
from prs.pipeline.inputs import check_inputs, harmonise_population, prepare_ld
from prs.pipeline.judging import make_report
from prs.pipeline.people import judge_uncertainty, look_for_relatives
from prs.pipeline.places import place_people
from prs.pipeline.scores import combine_scores, score_target
from prs.pipeline.weights import make_csx_weights, make_threshold_weights
from prs.study import read_study

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["StudyResult", "run_study"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StudyResult:
    """Where a study's results are.

    Attributes
    ----------
    folder : Path
        The folder of the results.
    report : Path
        The HTML page.
    stages_run : tuple of str
        Stages that were run this time; the others were unchanged.
    """

    folder: Path
    report: Path
    stages_run: tuple[str, ...]


def run_study(
    path: str | Path,
    *,
    n_threads: int | None = None,
    force: bool = False,
    say: Callable[[str], None] | None = None,
    client: Client | None = None,
) -> StudyResult:
    """Run a study file from genotypes and summary statistics to the report.

    Parameters
    ----------
    path : str or Path
        The study file (see `prs.study`).
    n_threads : int, optional
        Worker threads; default: the study file's, else all cores. Results do not depend on it.
    force : bool
        Run every stage, unchanged or not.
    say : callable, optional
        Gets one line for each stage; default: the log.
    client : distributed.Client, optional
        A cluster whose workers do the work of the stages: LD by block, clumps by chromosome,
        chains, scores by piece, bootstraps. The files are the same to the byte.

    Returns
    -------
    StudyResult

    Raises
    ------
    PrsError
        For anything wrong with the study file or with a file that it names; if another run is
        writing to the same folder.
    """
    study = read_study(path)
    run = Run(study, n_threads or study.threads, force, say or logger.info, client)
    with run.stages.held():
        page = _run_stages(run)
    return StudyResult(run.folder, page, tuple(run.stages.ran))


def _run_stages(run: Run) -> Path:
    """Run the stages in their order and return the report."""
    study = run.study
    run.say(
        f"{study.title}: {run.target.n_samples:,} people x "
        f"{run.target.n_variants:,} variants, {len(study.populations)} GWAS"
    )
    check_inputs(run)
    for name in study.populations:  # all of them before the first LD: a bad row is no late news
        run.statistics_of(name)
    references = {name: prepare_ld(run, name, pop) for name, pop in study.populations.items()}
    statistics = {
        name: harmonise_population(run, name, references[name]) for name in study.populations
    }
    weights = [*make_threshold_weights(run), *make_csx_weights(run, statistics, references)]
    scores = combine_scores(run, score_target(run, weights))
    placed = place_people(run)
    sure = [*judge_uncertainty(run, placed), *look_for_relatives(run)]
    return make_report(run, scores, weights, references, sure, placed)
