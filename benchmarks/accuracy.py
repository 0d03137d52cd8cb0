"""Accuracy by ancestry of each method on simulated studies of known truth.

Studies are made and judged beside each other, ``--jobs`` at a time; what methods cost is measured
apart, one at a time (`benchmarks.costs`). Tuning people choose and combine, test people judge.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import prs
from benchmarks import accuracy_pages, worlds
from benchmarks.accuracy_pages import TRUTH
from benchmarks.methods import METHODS, Method, Peers, Result, Study
from benchmarks.sections import Made, Row, Section
from benchmarks.worlds import Architecture, Size
from prs.files import write_atomically

__all__ = ["SECTION", "Task", "choose_methods", "judge", "make", "measure", "run_task"]

#: Methods that take hours where others take a minute: they run on the base architecture only, and
#: on its first studies only (``--peer-replicates``).
LIMITED = ("prscsx",)
#: How a peer may fail: it ends in an error, or what it wrote is not what it should be.
PEER_FAILS = (RuntimeError, OSError, ValueError, KeyError, prs.PrsError)


@dataclass(frozen=True)
class Task:
    """One study, for a process of its own.

    Attributes
    ----------
    folder : Path
        What is found is kept here.
    size : Size
    architecture : Architecture
    seed, replicate : int
        The study's seed follows from both.
    methods : tuple of str
        Names of `METHODS`.
    peers : Peers
    keep : bool
        Whether the study's files stay too, for methods that come later.
    """

    folder: Path
    size: Size
    architecture: Architecture
    seed: int
    replicate: int
    methods: tuple[str, ...]
    peers: Peers
    keep: bool

    @property
    def kept(self) -> Path:
        """Folder of what is found: its name tells this study from all others."""
        size = {**vars(self.size), "base": None, "axes": None, "replicates": None}
        what = repr((size, self.architecture, self.seed, self.replicate))
        return self.folder / hashlib.sha256(what.encode()).hexdigest()[:16]


def choose_methods(
    size: Size, architecture: Architecture, replicate: int, options: argparse.Namespace
) -> tuple[str, ...]:
    """Return the methods that are here and that run on this study."""

    def runs(method: Method) -> bool:
        if options.methods and method.name not in options.methods:
            return False
        few = architecture != size.base or replicate >= options.peer_replicates
        return method.find(Peers.of(options)) and not (method.name in LIMITED and few)

    return tuple(method.name for method in METHODS if runs(method))


def partial_r2(
    score: NDArray[np.float64], outcome: NDArray[np.float64], covariates: NDArray[np.float64]
) -> float:
    """Return the squared correlation of two columns, covariates regressed out of both."""
    design = np.column_stack([np.ones(len(outcome)), covariates])
    both = np.column_stack([score, outcome])
    rest = both - design @ np.linalg.lstsq(design, both, rcond=None)[0]
    return float(np.corrcoef(rest.T)[0, 1] ** 2)


def judge(
    study: Study, columns: dict[str, NDArray[np.float64]], ids: NDArray[np.object_]
) -> Iterator[Row]:
    """Yield the R2 of each column in the test people of each ancestry."""
    cohort = pd.read_csv(study.cohort, sep="\t", dtype={"IID": str})
    place = pd.Index(ids.astype(str)).get_indexer(cohort["IID"])
    covariates = cohort[list(study.covariates)].to_numpy(np.float64)
    outcome = cohort[study.outcome].to_numpy(np.float64)
    test = (cohort["split"] == "test").to_numpy()
    for method, values in columns.items():
        for ancestry in dict.fromkeys(cohort["ancestry"]):
            who = test & (cohort["ancestry"] == ancestry).to_numpy()
            r2 = partial_r2(values[place][who], outcome[who], covariates[who])
            yield {"method": method, "ancestry": str(ancestry), "n": int(who.sum()), "r2": r2}


def _judge_truth(study: Study) -> list[Row]:
    """Judge the genetic value that the simulation gave each person."""
    truth = pd.read_csv(study.folder / "truth_people.tsv.gz", sep="\t", dtype={"IID": str})
    values = truth[f"g_{study.outcome}"].to_numpy(np.float64)
    return list(judge(study, {TRUTH: values}, truth["IID"].to_numpy(object)))


def run_task(task: Task) -> list[Row]:
    """Make a study, run its methods and judge them; what was kept is not run again.

    A peer that fails gives one row, with what it said.
    """
    found: dict[str, list[Row]] = {}
    lacking = []
    for name in ("truth", *task.methods):
        kept = task.kept / f"{name}.json"
        if kept.exists():
            found[name] = json.loads(kept.read_text())
        else:
            lacking.append(name)
    if lacking:
        work, made = task.kept / "study", task.kept / "made"
        if made.exists():
            study = Study.simulated(work, task.size.iterations)
        else:
            shutil.rmtree(work, ignore_errors=True)
            study = worlds.simulate(work, task.size, task.architecture, task.seed, task.replicate)
            made.touch()
        for name in lacking:
            rows = _judge_truth(study) if name == "truth" else _run(name, study, task.peers)
            found[name] = rows
            if not any("failed" in row for row in rows):
                with write_atomically(task.kept / f"{name}.json") as path:
                    path.write_text(json.dumps(rows))
        if not task.keep:
            made.unlink()
            shutil.rmtree(work)
    common = {"architecture": task.architecture.name, "replicate": task.replicate + 1}
    return [{**common, **row} for name in ("truth", *task.methods) for row in found[name]]


def _run(name: str, study: Study, peers: Peers) -> list[Row]:
    method = next(method for method in METHODS if method.name == name)
    try:
        result: Result = method.run(study, peers)
    except PEER_FAILS as error:
        if not method.needs:
            raise
        return [{"method": method.needs, "failed": f"{type(error).__name__}: {error}"[-500:]}]
    return list(judge(study, result.columns, result.ids))


def measure(options: argparse.Namespace, scratch: Path, size: Size) -> list[Row]:
    """Return one row a study, method and ancestry.

    The first studies of all architectures come first, so that a run that is stopped has some of
    each.
    """
    folder = (options.scratch or scratch) / "accuracy"
    peers = Peers.of(options)
    tasks = [
        Task(folder, size, architecture, options.seed, replicate,
             choose_methods(size, architecture, replicate, options), peers,
             keep=options.scratch is not None)
        for replicate in range(options.replicates or size.replicates)
        for architecture in size.architectures
    ]  # fmt: skip
    rows: list[Row] = []
    for done, (task, found) in enumerate(zip(tasks, _run_all(tasks, options.jobs), strict=True), 1):
        print(f"{done} of {len(tasks)}: {task.architecture.name}, study {task.replicate + 1}",
              flush=True)  # fmt: skip
        rows += found
    return rows


def _run_all(tasks: list[Task], jobs: int) -> Iterator[list[Row]]:
    """Yield what each study gives, in order."""
    if jobs == 1:
        yield from map(run_task, tasks)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        yield from pool.map(run_task, tasks)


def make(options: argparse.Namespace, scratch: Path) -> Made:
    """Measure, and say what was found."""
    size = worlds.QUICK if options.quick else worlds.FULL
    rows = measure(options, scratch, size)
    failed = [row for row in rows if "failed" in row]
    judged = pd.DataFrame([row for row in rows if "failed" not in row])
    return accuracy_pages.present(judged, failed, size, options.against)


SECTION = Section("accuracy", "Accuracy on simulated studies", make)
