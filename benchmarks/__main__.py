"""Everything in one command: what is installed is measured, RESULTS.md and a JSON are written.

    python -m benchmarks [--quick] [--only accuracy,costs] [--seed 1] [--replicates N] [--jobs N]
        [--prscsx FOLDER] [--peer-replicates N] [--methods ct,csx] [--data FOLDER]
        [--scratch FOLDER] [--out FOLDER]

Programs that are not found are left out, and listed. Each section replaces its own part of
RESULTS.md (but for what stands there below a line ``<!-- notes -->``), of results.json and of
pages/, where each page has one figure, one table and the command. A section that fails does not
keep the others from running; the command then ends with status 1. What is measured of accuracy is
the same each time for one seed; times are not.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path

from benchmarks import accuracy, costs, methods, quoted, results
from benchmarks.accuracy_pages import REFERENCE
from benchmarks.machine import PROGRAMS, describe_machine
from benchmarks.methods.launch import interpreter
from benchmarks.real import section as real
from benchmarks.sections import Section

HERE = Path(__file__).parent
SECTIONS: dict[str, Section] = {
    section.name: section
    for section in (accuracy.SECTION, costs.SECTION, real.SECTION, *quoted.SECTIONS)
}
#: Options that name a Python which has a package.
PYTHONS = ("gnomon", "gwaslab", "pgscatalog", "viprs", "ldpred3")
#: Modules of programs that score, read or adjust, by the option that names a Python for them.
MODULES = {"gnomon": "gnomon", "gwaslab": "gwaslab", "pgscatalog": "pgscatalog.calc"}


def find_peers(options: argparse.Namespace) -> tuple[list[str], list[str]]:
    """Return the programs that are there, and those that are not."""
    peers = methods.Peers.of(options)
    found = {name: shutil.which(name) is not None for name in PROGRAMS}
    found |= {method.needs: method.find(peers) for method in methods.METHODS if method.needs}
    for name, module in MODULES.items():
        found[module] = interpreter(getattr(options, name), module) is not None
    found["bed_reader"] = interpreter(None, "bed_reader") is not None
    return [n for n, there in found.items() if there], [n for n, here in found.items() if not here]


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line; the sections to run are in `only`."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__.split("\n", maxsplit=1)[0]
    )
    parser.add_argument("--quick", action="store_true", help="small, in a few minutes")
    parser.add_argument("--only", default="", help=f"sections, by commas: {', '.join(SECTIONS)}")
    parser.add_argument("--out", type=Path, help="folder of RESULTS.md, results.json and pages/ "
                        "(benchmarks/; with --quick, results/benchmarks/)")  # fmt: skip
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--replicates", type=int, help="simulated studies an architecture")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1,
                        help="studies at once, where nothing is timed")  # fmt: skip
    parser.add_argument("--methods", default="", help="of accuracy and costs, by commas: "
                        f"{', '.join(method.name for method in methods.METHODS)}")  # fmt: skip
    parser.add_argument("--against", default=REFERENCE,
                        help="the method that differences are from (%(default)s)")  # fmt: skip
    parser.add_argument("--peer-replicates", type=int, default=2,
                        help="studies of the base architecture that PRScsx.py, which takes long, "
                        "runs on")  # fmt: skip
    methods.add_options(parser)
    parser.add_argument("--data", type=Path, default=real.DATA,
                        help="real genotypes, statistics and panels (%(default)s)")  # fmt: skip
    parser.add_argument("--panel", type=Path, help="LD panels and statistics for csx")
    parser.add_argument("--gnomon", metavar="PYTHON", help="a Python that has gnomon-pgs")
    parser.add_argument("--gwaslab", metavar="PYTHON", help="a Python that has gwaslab")
    parser.add_argument("--pgscatalog", metavar="PYTHON", help="a Python that has pgscatalog-calc")
    parser.add_argument("--scratch", type=Path, help="where cohorts and files are made and kept, "
                        "and accuracies that need not be measured again")  # fmt: skip
    options = parser.parse_args(arguments)
    known = {"only": list(SECTIONS), "methods": [method.name for method in methods.METHODS]}
    for field, names in known.items():
        given = [name for name in getattr(options, field).split(",") if name]
        if unknown := sorted(set(given) - set(names)):
            parser.error(f"--{field}: no {', '.join(unknown)}; there are {', '.join(names)}")
        setattr(options, field, given)
    if options.out is None:
        options.out = Path("results/benchmarks") if options.quick else HERE
    for name in options.only:
        if lack := SECTIONS[name].lacks(options):
            parser.error(f"{name} needs {lack}")
    if not options.only:
        options.only = [
            name for name, section in SECTIONS.items()
            if not section.lacks(options) and (section.quick or not options.quick)
        ]  # fmt: skip
    return options


def main(arguments: list[str] | None = None) -> int:
    """Run the sections that are asked for; return 1 if one of them failed."""
    given = sys.argv[1:] if arguments is None else arguments
    options = parse(given)
    found, lacking = find_peers(options)
    pythons = {name: getattr(options, name) for name in PYTHONS if getattr(options, name)}
    checkouts = {"PRScsx.py": options.prscsx} if options.prscsx else {}
    machine = describe_machine(pythons, checkouts)
    command = results.show_command("benchmarks", given)
    failed = []
    for name in options.only:
        section = SECTIONS[name]
        print(f"-- {name}", flush=True)
        start = time.perf_counter()
        run = results.Run(command, options.seed, machine, found, lacking)
        try:
            with tempfile.TemporaryDirectory() as scratch:
                made = section.make(options, Path(scratch))
            results.write(options.out, section, made, run, time.perf_counter() - start)
        except Exception:  # noqa: BLE001 - whatever it is, the other sections still run
            traceback.print_exc()
            failed.append(name)
    print(f"wrote {options.out / 'RESULTS.md'} and {options.out / 'results.json'}")
    if failed:
        print(f"failed, and not written: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
