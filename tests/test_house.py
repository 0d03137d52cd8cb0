"""The house rules that a machine can hold: import contracts, import time, public names."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import prs

ROOT = Path(__file__).resolve().parents[1]


def test_rooms_import_one_way() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_import_is_light() -> None:
    """``import prs`` loads no heavy package and takes less than 0.3 s."""
    code = (
        "import sys, prs; prs.__version__;"
        "print([m for m in ('numpy', 'pandas', 'numba', 'scipy', 'h5py') if m in sys.modules])"
    )
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        seconds.append(time.perf_counter() - start)
        assert done.stdout.strip() == "[]"
    assert min(seconds) < 0.3


def test_every_public_name_exists_and_is_documented() -> None:
    for name in prs.__all__:
        assert getattr(prs, name).__doc__, f"{name} has no docstring"


def test_project_speaks_of_itself_alone() -> None:
    """No path or host of a developer's machine in a tracked text file."""
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split("\n")
    words = ["/wo" + "rk/", "loc" + "alhost:", "/ro" + "ot/"]
    for name in tracked:
        path = ROOT / name
        if path.suffix in {".py", ".md", ".toml", ".txt", ".j2", ".tsv"} and path.is_file():
            text = path.read_text(encoding="utf-8")
            assert not [word for word in words if word in text], name
