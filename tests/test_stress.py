"""Runs that are killed, starved and disturbed: a clear message, no torn file, the same bytes."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from small_study import SmallStudy, make_small_study

import prs
from prs.errors import FileFormatError, FolderInUseError, OutputError
from prs.files import TEMPORARY_NAME, write_atomically
from prs.locks import hold_file
from prs.stages import Stages

#: Neither part of the results: the lock, and times of day in nobody's output.
NOT_RESULTS = (".stages/lock",)
N_KILLS = 5


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of the results, hidden ones and the records of stages included."""
    files = (file for file in sorted(folder.rglob("*")) if file.is_file())
    named = {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}
    return {name: data for name, data in named.items() if name not in NOT_RESULTS}


def start_run(study: Path, code: str = "") -> subprocess.Popen[str]:
    """Start ``prs run`` in a process of its own, after some lines of Python."""
    program = textwrap.dedent(code) + "\nfrom prs.cli import main\nmain()"
    return subprocess.Popen(
        [sys.executable, "-c", program, "run", str(study)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> SmallStudy:
    """In a folder with spaces and letters of three alphabets."""
    return make_small_study(tmp_path_factory.mktemp("stress") / "Größe λ 日本" / "my study")


@pytest.fixture(scope="module")
def unbroken(study: SmallStudy) -> tuple[dict[str, bytes], float]:
    """What an unbroken run writes, and the seconds it takes."""
    start = time.monotonic()
    run = start_run(study.study)
    out, err = run.communicate(timeout=300)
    assert run.returncode == 0, out + err
    seconds = time.monotonic() - start
    return contents(results(study)), seconds


def results(study: SmallStudy) -> Path:
    return prs.read_study(study.study).out_folder


def kill_and_go_on(
    study: SmallStudy, unbroken: tuple[dict[str, bytes], float], n_kills: int, seed: int
) -> None:
    """Kill runs at random moments, and begin anew whenever one has come to its end."""
    wanted, seconds = unbroken
    folder = results(study)
    moments = random.Random(seed)
    shutil.rmtree(folder, ignore_errors=True)
    n_killed, is_over = 0, False
    while n_killed < n_kills or not is_over:
        run = start_run(study.study)
        if n_killed < n_kills:
            time.sleep(moments.uniform(0.3, seconds))
            run.kill()
        out, err = run.communicate(timeout=300)
        is_over = run.returncode == 0
        n_killed += not is_over
        assert is_over or run.returncode == -signal.SIGKILL, out + err
        if is_over:
            made = contents(folder)
            assert sorted(made) == sorted(wanted)
            assert [name for name in wanted if made[name] != wanted[name]] == []
            shutil.rmtree(folder)


@pytest.mark.slow
def test_killed_run_goes_on_to_the_same_bytes(
    study: SmallStudy, unbroken: tuple[dict[str, bytes], float]
) -> None:
    kill_and_go_on(study, unbroken, N_KILLS, seed=1)


@pytest.mark.slow
def test_run_killed_a_hundred_times(
    study: SmallStudy, unbroken: tuple[dict[str, bytes], float]
) -> None:
    kill_and_go_on(study, unbroken, 100, seed=2)


@pytest.mark.slow
def test_interrupted_run_says_so_and_goes_on(
    study: SmallStudy, unbroken: tuple[dict[str, bytes], float]
) -> None:
    folder = results(study)
    shutil.rmtree(folder, ignore_errors=True)
    run = start_run(study.study)
    assert run.stdout is not None
    run.stdout.readline()  # it has begun
    time.sleep(unbroken[1] / 5)
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "interrupted" in err
    assert "Traceback" not in err
    assert not [f for f in folder.rglob("*") if TEMPORARY_NAME.fullmatch(f.name)]
    run = start_run(study.study)
    run.communicate(timeout=300)
    assert contents(folder) == unbroken[0]


@pytest.mark.slow
@pytest.mark.parametrize("limit", [2_000, 60_000])
def test_no_space_left(
    study: SmallStudy, unbroken: tuple[dict[str, bytes], float], limit: int
) -> None:
    """No file may be larger than `limit` bytes: the run ends where it needs one."""
    folder = results(study)
    shutil.rmtree(folder, ignore_errors=True)
    code = f"""
        import resource, sys
        sys.dont_write_bytecode = True
        from prs.pipeline import run_study  # numba's cache is written before the limit is there
        resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
    """
    run = start_run(study.study, code)
    _, err = run.communicate(timeout=300)
    assert run.returncode == 1
    assert "cannot be written: File too large" in err
    assert "Remedy: raise the limit" in err
    assert "Traceback" not in err
    made = contents(folder)
    assert not [name for name in made if TEMPORARY_NAME.fullmatch(Path(name).name)]
    whole = [name for name in made if not name.startswith((".stages/", "ld/."))]
    assert [name for name in whole if made[name] != unbroken[0][name]] == [], "a torn file"
    run = start_run(study.study)
    run.communicate(timeout=300)
    assert contents(folder) == unbroken[0]


@pytest.mark.slow
def test_out_of_memory_is_said(study: SmallStudy) -> None:
    """A worker thread that gets no memory ends the command, and says what to do."""
    code = """
        import resource
        import prs.scoring
        whole = prs.scoring.run_plan
        def starve(*args):
            import re, pathlib
            size = re.search(r"VmSize:\\s+(\\d+)", pathlib.Path("/proc/self/status").read_text())
            limit = 1024 * int(size[1]) + (1 << 22)
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
            import numpy as np
            from prs.cluster import map_tasks
            return list(map_tasks(lambda n: np.ones(n), [1 << 26] * 2, 2))
        prs.scoring.run_plan = starve
    """
    if not Path("/proc/self/status").exists():
        pytest.skip("memory is limited by way of /proc")
    shutil.rmtree(results(study) / "scores", ignore_errors=True)
    run = start_run(study.study, code)
    _, err = run.communicate(timeout=300)
    assert run.returncode == 1
    assert "error: out of memory" in err
    assert "Traceback" not in err


STAGES = """
import sys, time
import numpy as np, pandas as pd
from pathlib import Path
from prs.files import write_table
from prs.stages import Stages

folder = Path(sys.argv[1])
stages = Stages(folder, lambda line: print(line, flush=True))
with stages.held():
    for i in range(12):
        paths = [folder / f"table{i}.{end}" for end in ("tsv", "tsv.gz")]
        before = [folder / f"table{i - 1}.tsv"] if i else []

        def work():
            frame = pd.DataFrame(np.random.default_rng(i).standard_normal((3000, 3)))
            frame["before"] = sum(len(path.read_bytes()) for path in before)
            for path in paths:
                write_table(frame, path)
            return f"{i}"

        stages.run(f"stage {i}", settings={"i": i}, inputs=before, outputs=paths, work=work)
"""


def test_killed_stages_go_on_to_the_same_bytes(tmp_path: Path) -> None:
    """The same as the test of whole runs, of stages that do next to nothing."""

    def start(folder: Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", STAGES, str(folder)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    run = start(tmp_path / "whole")
    assert len(run.communicate(timeout=60)[0].splitlines()) == 12
    moments = random.Random(3)
    n_killed, lines = 0, ""
    for _ in range(6):
        run = start(tmp_path / "killed")
        assert run.stdout is not None
        run.stdout.readline()
        time.sleep(moments.uniform(0, 0.1))
        run.kill()
        run.communicate()
        n_killed += run.returncode == -signal.SIGKILL
    run = start(tmp_path / "killed")
    lines = run.communicate(timeout=60)[0]
    assert n_killed
    assert run.returncode == 0
    assert "stage 0: unchanged, kept" in lines
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


def test_second_run_in_a_folder_is_refused(study: SmallStudy) -> None:
    folder = results(study)
    code = "from prs.stages import Stages\nfrom pathlib import Path\nimport sys, time\n"
    code += f"with Stages(Path({str(folder)!r}), print).held():\n    print('held', flush=True)\n"
    code += "    time.sleep(60)"
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(FolderInUseError, match=rf"process {holder.pid} on .* is writing"):
            prs.run_study(study.study)
    finally:
        holder.kill()
        holder.communicate()
    assert (folder / ".stages" / "lock").read_text(), "what a killed run leaves"
    with Stages(folder, print).held():  # is no lock
        pass


@pytest.mark.parametrize("owner", ["HOST 1", "elsewhere 7", "HOST 4194305"])
def test_locks_where_the_file_system_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: str
) -> None:
    """Then the name of the process decides: one that is gone from this host holds nothing."""
    import fcntl
    import socket

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    lock = tmp_path / "lock"
    lock.write_text(owner.replace("HOST", socket.gethostname()) + "\n")
    if owner.endswith("4194305"):  # above the greatest pid of Linux
        with hold_file(lock, "it"):
            assert str(os.getpid()) in lock.read_text()
        assert lock.read_text() == ""
    else:
        with pytest.raises(FolderInUseError, match="is writing it"), hold_file(lock, "it"):
            pass


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (errno.ENOSPC, "No space left on device(?s:.*)free some space"),
        (errno.EROFS, "Read-only file system(?s:.*)choose a folder"),
        (errno.EACCES, "Permission denied(?s:.*)choose a folder"),
        (errno.EDQUOT, "quota exceeded(?s:.*)larger quota"),
    ],
)
def test_what_cannot_be_written_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, message: str
) -> None:
    target = tmp_path / "scores é.tsv"
    target.write_text("old")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    with pytest.raises(OutputError, match=message), write_atomically(target):
        refuse()
    monkeypatch.setattr("prs.files.tempfile.mkstemp", refuse)
    with pytest.raises(OutputError, match=message), write_atomically(target):
        pass
    assert [file.name for file in tmp_path.iterdir()] == [target.name]
    assert target.read_text() == "old"


def test_full_device(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full here")
    with pytest.raises(OutputError, match="No space left"), write_atomically(tmp_path / "a"):
        full.write_bytes(b"x" * 100_000)
    assert not list(tmp_path.iterdir())


def test_errors_of_inputs_are_not_taken_for_those_of_outputs(tmp_path: Path) -> None:
    error = PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "input"))
    with pytest.raises(PermissionError), write_atomically(tmp_path / "a"):
        raise error


def test_results_below_a_file_are_refused_at_once(study: SmallStudy, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    text = study.study.read_text(encoding="utf-8")
    other = study.study.with_name("other.toml")
    other.write_text(f'out = "{tmp_path / "taken" / "results"}"\n' + text, encoding="utf-8")
    start = time.monotonic()
    with pytest.raises(OutputError, match=r"cannot be written: (Not a directory|File exists)"):
        prs.run_study(other)
    assert time.monotonic() - start < 5


def test_input_that_changes_during_a_run(tmp_path: Path) -> None:
    source, first, second = (tmp_path / name for name in ("in.txt", "one.txt", "two.txt"))
    source.write_text("a")
    stages = Stages(tmp_path, lambda _: None)

    def work() -> str:
        first.write_text(source.read_text())
        source.write_text("b")  # somebody else's doing
        return ""

    def run(name: str, output: Path, work: object) -> None:
        stages.run(name, settings={}, inputs=[source], outputs=[output], work=work)

    with pytest.raises(FileFormatError, match=r"in\.txt: was changed while the run was reading it"):
        run("one", first, work)
    assert not (tmp_path / ".stages" / "one.json").exists(), "the stage is not taken for done"
    with pytest.raises(FileFormatError, match=r"in\.txt: was changed"):
        run("two", second, lambda: second.write_text("b") and "")
    stages = Stages(tmp_path, lambda _: None)  # the next run takes the file as it is now
    run("two", second, lambda: second.write_text("b") and "")
    assert stages.ran == ["two"]


def test_two_runs_do_not_make_one_ld_file(study: SmallStudy, tmp_path: Path) -> None:
    ld = prs.compute_ld(prs.open_genotypes(study.reference))
    with (
        hold_file(tmp_path / ".ld.h5.lock", "the file", remove=True),
        pytest.raises(FolderInUseError, match=r"ld\.h5"),
    ):
        prs.write_ld(ld, tmp_path / "ld.h5", resume=True)
    prs.write_ld(ld, tmp_path / "ld.h5", resume=True)
    assert [file.name for file in tmp_path.iterdir()] == ["ld.h5"]
