"""The methods that are compared: ours, and the peers that are found.

Each is a function from a `Study` to a `Result`; `METHODS` lists them, `run_methods` runs those
that are there. Peers get the statistics that prs has matched to the panel, the same people for LD
and the same tuning people; each has its authors' recommended settings.

| peer | how it is found | what it does, with which settings |
|---|---|---|
| plink1.9, plink2 | both on the PATH | C+T: r2 0.1, 250 kb, our thresholds; tuning people choose |
| PRSice-2 | `PRSice` or `PRSice_linux` on the PATH | C+T: its defaults; chooses in tuning people |
| PRScsx.py | `--prscsx FOLDER`, a checkout | its defaults; META, and populations combined |
| VIPRS | viprs here, or in `--viprs PYTHON` | EM, LD shrunk; tuning people choose lambda_min |
| LDpred3 | ldpred3 here, or in `--ldpred3 PYTHON` | auto, ten chains, LD shrunk for small panels |

Populations' scores are combined, the best of a grid is chosen, in the same tuning people by the
same functions for all (PRSice chooses itself). PRScsx.py (github.com/getian107/PRScsx) runs in
this Python. `pip install viprs magenpy`; LDpred3, by LDpred's first author, is installed from a
checkout of github.com/bvilhjal/ldpred3, with numba beside it: without, it takes forty times as
long. PRSice (github.com/choishingwan/PRSice) builds with cmake where Eigen's headers are given:
`-DCMAKE_CXX_FLAGS=-I/usr/include/eigen3`. Programs that score or adjust scores (plink2, gnomon,
pgscatalog-calc) are compared in `benchmarks.genotypes`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.methods.launch import interpreter, program
from benchmarks.methods.one_population import run_ldpred3, run_viprs
from benchmarks.methods.ours import run_ours
from benchmarks.methods.prscsx import run_prscsx
from benchmarks.methods.study import Result, Study
from benchmarks.methods.thresholding import find_prsice, run_plink, run_prsice

__all__ = ["METHODS", "Method", "Peers", "Result", "Study", "add_options", "run_methods"]


@dataclass(frozen=True)
class Peers:
    """Where peers are that are not on the PATH and cannot be imported.

    Attributes
    ----------
    prscsx : Path or None
        A checkout of getian107/PRScsx.
    viprs, ldpred3 : str or None
        A Python that has them; None: this one, if it can import them.
    """

    prscsx: Path | None = None
    viprs: str | None = None
    ldpred3: str | None = None

    @classmethod
    def of(cls, options: argparse.Namespace) -> Peers:
        """Return what the options of `add_options` say."""
        return cls(**{name: getattr(options, name) for name in cls.__dataclass_fields__})


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add an option for each peer that has to be pointed at."""
    parser.add_argument("--prscsx", type=Path, help="a checkout of getian107/PRScsx")
    parser.add_argument("--viprs", metavar="PYTHON", help="a Python that has viprs and magenpy")
    parser.add_argument("--ldpred3", metavar="PYTHON", help="a Python that has ldpred3 and numba")


@dataclass(frozen=True)
class Method:
    """One way to scores.

    Attributes
    ----------
    name : str
        Short name.
    needs : str
        What it is listed as among the programs found or not found; empty for ours.
    find : callable
        From `Peers` to whether it is there.
    run : callable
        From a `Study` and `Peers` to its `Result`.
    """

    name: str
    needs: str
    find: Callable[[Peers], bool]
    run: Callable[[Study, Peers], Result]


def _ours(name: str) -> Method:
    return Method(name, "", lambda _: True, lambda study, _: run_ours(name, study))


def _run_prscsx(study: Study, peers: Peers) -> Result:
    assert peers.prscsx is not None
    return run_prscsx(study, peers.prscsx)


def _in_python(name: str, run: Callable[[Study, str], Result]) -> Method:
    """Return the method of a package that this Python has, or another one that is named."""

    def find(peers: Peers) -> str | None:
        return interpreter(getattr(peers, name), name)

    def run_there(study: Study, peers: Peers) -> Result:
        python = find(peers)
        if python is None:
            raise RuntimeError(f"there is no Python with {name}")
        return run(study, python)

    return Method(name, name, lambda peers: find(peers) is not None, run_there)


METHODS: tuple[Method, ...] = (
    _ours("ct"),
    _ours("cs"),
    _ours("csx"),
    Method(
        "plink",
        "plink1.9 + plink2",
        lambda _: bool(program("plink1.9") and program("plink2")),
        lambda study, _: run_plink(study),
    ),
    Method(
        "prsice", "PRSice", lambda _: find_prsice() is not None, lambda study, _: run_prsice(study)
    ),
    Method("prscsx", "PRScsx.py", lambda peers: peers.prscsx is not None, _run_prscsx),
    _in_python("viprs", run_viprs),
    _in_python("ldpred3", run_ldpred3),
)


def run_methods(study: Study, peers: Peers) -> Iterator[Result]:
    """Run each method that is there; a peer that fails is named and left out."""
    for method in METHODS:
        if not method.find(peers):
            continue
        try:
            yield method.run(study, peers)
        except RuntimeError as error:
            if not method.needs:
                raise
            print(f"{method.needs} failed: {error}", flush=True)
