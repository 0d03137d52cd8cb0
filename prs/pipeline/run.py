"""The chain for one study, from files to the report; no science of its own."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prs.cluster import one_blas_thread
from prs.pipeline.context import Run
from prs.pipeline.graph import Lines, StageGraph
from prs.pipeline.inputs import check_inputs, harmonise_population, prepare_ld
from prs.pipeline.judging import make_report
from prs.pipeline.people import judge_uncertainty, look_for_relatives
from prs.pipeline.places import place_people
from prs.pipeline.scores import Choice, combine_scores, score_target
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
    lines = Lines(say or logger.info)
    run = Run(study, n_threads or study.threads, force, lines, client)
    # BLAS sums in another order with other numbers of threads: with one, cores change no bit
    with one_blas_thread(), run.stages.held():
        return _run_stages(run, lines)


def _run_stages(run: Run, lines: Lines) -> StudyResult:
    """Run the stages and return where their results are."""
    study = run.study
    run.say(
        f"{study.title}: {run.target.n_samples:,} people x "
        f"{run.target.n_variants:,} variants, {len(study.populations)} GWAS"
    )
    check_inputs(run)
    for name in study.populations:  # all of them before the first LD: a bad row is no late news
        run.statistics_of(name)
    graph = _graph(run)
    page: Path = graph.run(lines, run.client)
    order = ["check", *graph.names]
    return StudyResult(run.folder, page, tuple(sorted(run.stages.ran, key=order.index)))


def _graph(run: Run) -> StageGraph:
    """Return the stages in the order of the chain, each with what it needs."""
    study, graph = run.study, StageGraph()
    names = list(study.populations)
    ct, csx = study.methods.ct, study.methods.csx
    ld = {name: graph.add(f"ld {name}", partial(prepare_ld, run, name)) for name in names}
    statistics = {
        name: graph.add(f"harmonise {name}", partial(harmonise_population, run, name), ld[name])
        for name in names
    }
    weights = [
        graph.add(f"clump and threshold {name}", partial(make_threshold_weights, run, name))
        for name in ([] if ct is None else ct.populations or names)
    ]
    for label, pops in {} if csx is None else csx.fits(names).items():
        needs = [*(statistics[name] for name in pops), *(ld[name] for name in pops)]
        fit = partial(make_csx_weights, run, label, pops)
        weights.append(graph.add(f"shrink {label}", fit, *needs))
    scores = graph.add("score", partial(score_target, run), *weights)
    choice = graph.add("combine", partial(combine_scores, run), scores)
    placed = graph.add("ancestry", partial(place_people, run))
    sure = graph.add("uncertainty", partial(judge_uncertainty, run), choice, placed)
    kin = graph.add("relatives", partial(look_for_relatives, run))

    def report(
        choice: Choice, placed: list[Path], sure: list[Path], kin: list[Path], *made: Any
    ) -> Path:
        n = len(names)
        panels, harmonised = (
            dict(zip(names, part, strict=True)) for part in (made[:n], made[n : 2 * n])
        )
        return make_report(
            run, choice, list(made[2 * n :]), panels, harmonised, [*sure, *kin], placed
        )

    graph.add(
        "evaluate and report",
        report,
        choice,
        placed,
        sure,
        kin,
        *ld.values(),
        *statistics.values(),
        *weights,
    )
    return graph
