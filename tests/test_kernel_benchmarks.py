"""The kernels' benchmarks run at this commit (asv, which `.ci/slower` calls, would skip them)."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "benchmarks" / "kernels"

RUN = """
import importlib, inspect, itertools, pkgutil, sys
import suite
from suite.common import Timed

for found in pkgutil.iter_modules(suite.__path__):
    module = importlib.import_module(f"suite.{found.name}")
    for name, part in inspect.getmembers(module, inspect.isclass):
        if part.__module__ != module.__name__ or part is Timed:
            continue
        for parameters in itertools.product(*getattr(part, "params", ())):
            made = part()
            made.try_out(*parameters) if isinstance(made, Timed) else made.setup()
            for method in dir(made):
                if method.startswith("track_") and sys.platform == "linux":
                    assert getattr(made, method)() >= 0
                if method.startswith(("time_", "track_")):
                    print(f"{found.name}.{name}.{method}")
"""


def test_every_benchmark_runs() -> None:
    """A hundredth of the data; nothing of what `setup` takes for "an older commit" happens."""
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        cwd=FOLDER,
        env=os.environ | {"PRS_BENCHMARKS_SMALL": "1", "PYTHONPATH": f"{FOLDER}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    run = set(done.stdout.split())
    text = {file.stem: file.read_text() for file in (FOLDER / "suite").glob("*.py")}
    defined = {(stem, m) for stem, t in text.items() for m in re.findall(r"def (t\w+_\w+)\(", t)}
    assert {(name.split(".")[0], name.split(".")[2]) for name in run} == {
        (stem, method) for stem, method in defined if method.startswith(("time_", "track_"))
    }


def test_the_configuration_names_what_is_there() -> None:
    text = re.sub(r"^\s*//.*$", "", (FOLDER / "asv.conf.json").read_text(), flags=re.M)
    settings = json.loads(text)
    assert (FOLDER / settings["benchmark_dir"] / "common.py").exists()
    assert (FOLDER / settings["repo"] / "pyproject.toml").exists()
    commands = [c for c in settings["install_command"] + settings["uninstall_command"] if "{" in c]
    assert commands
    assert all("{conf_dir}/use_commit.py" in command for command in commands)
    assert (FOLDER / "use_commit.py").exists()
