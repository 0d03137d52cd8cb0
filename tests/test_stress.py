"""Runs that are killed, starved and disturbed: a clear message, no torn file, the same bytes."""

from __future__ import annotations

import errno
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from small_study import SmallStudy, make_small_study

import prs
from prs.cli import main
from prs.errors import FileFormatError, FolderInUseError, OutputError
from prs.files import TEMPORARY_NAME, write_atomically
from prs.locks import hold_file
from prs.stages import Stages

#: Neither part of the results: the lock, and times of day in nobody's output.
NOT_RESULTS = (".stages/lock",)
N_KILLS = 5
#: How often at most a stage is disturbed between two runs that go to the end.
PER_STAGE = 4


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


class Watched:
    """`prs run` in a forked process, which tells its parent what it begins, ends and writes.

    It halts at the event `halt` until it is let go on or killed.
    """

    def __init__(self, study: SmallStudy, log: Path, halt: str = "") -> None:
        fork = multiprocessing.get_context("fork")
        self.halt, self.log, self.running = halt, log, ["no stage"]
        heard, self._tell = os.pipe()
        self._wait, self._go = os.pipe()
        self.process = fork.Process(target=self._run, args=(study,))
        self.process.start()
        os.close(self._tell)
        os.close(self._wait)
        self._events = os.fdopen(heard)

    def _run(self, study: SmallStudy) -> None:
        said = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(said, 1)
        os.dup2(said, 2)
        sys.stdout = sys.stderr = os.fdopen(said, "w")
        os.close(self._go)
        folder, run, replace = results(study), Stages.run, os.replace

        def tell(event: str) -> None:
            os.write(self._tell, f"{event}\n".encode())
            if event == self.halt:
                os.read(self._wait, 1)

        def told_main() -> None:
            tell("start")
            main(["run", str(study.study)])

        def told_run(self: Stages, name: str, *, work: Callable[[], str], **rest: Any) -> None:
            def told_work() -> str:
                tell(f"begin {name}")
                line = work()
                tell(f"end {name}")
                return line

            run(self, name, work=told_work, **rest)

        def told_replace(source: Path, target: Path) -> None:
            if Path(target).is_relative_to(folder):
                tell(f"write {Path(target).relative_to(folder)}")
            replace(source, target)

        Stages.run, os.replace = told_run, told_replace
        try:
            told_main()
        finally:  # it is over: a signal that comes now is none to the run
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def listen(self) -> Iterator[str]:
        """Yield what it tells, to the end."""
        for line in self._events:
            kind, _, name = line.strip().partition(" ")
            if kind == "begin":
                self.running.append(name)
            elif kind == "end":
                self.running.remove(name)
            yield line.strip()

    def finish(self) -> int | None:
        """Hear the rest of it, and return how the process ended."""
        os.close(self._go)
        with self._events:
            deque(self.listen(), maxlen=0)
        self.process.join(120)
        return self.process.exitcode

    def send(self, number: int, wait: float | None) -> tuple[str, int]:
        """Send a signal `wait` seconds after the event; None: at it.

        Returns the stage that it was in, and how the process ended.
        """
        for event in self.listen():
            if event == self.halt:
                break
        else:
            wait = None  # it was over: an earlier run had got further
        if wait is not None:
            os.write(self._go, b"1")
            time.sleep(wait)
        os.kill(self.process.pid, number)
        code = self.finish()
        return self.running[-1], code


@dataclass(frozen=True)
class Story:
    """What one run told: its events in their order, and the seconds that follow each."""

    events: list[str]
    seconds: dict[str, float]

    def stages(self) -> dict[str, list[str]]:
        """The events of each stage; those of none have a name, too."""
        found: dict[str, list[str]] = {"no stage": []}
        running = ["no stage"]
        for event in self.events:
            kind, _, name = event.partition(" ")
            if kind == "begin":
                running.append(name)
            elif kind == "end":
                running.remove(name)
            if kind != "end":
                found.setdefault(running[-1], []).append(event)
        return found


@pytest.fixture(scope="module")
def story(study: SmallStudy, tmp_path_factory: pytest.TempPathFactory) -> Story:
    """Of a run in a forked process; this process is warm then, as are those it forks."""
    folder = results(study)
    shutil.rmtree(folder, ignore_errors=True)
    prs.run_study(study.study)
    shutil.rmtree(folder)
    run = Watched(study, tmp_path_factory.mktemp("log") / "log")
    told = [(time.monotonic(), event) for event in run.listen()]
    assert run.finish() == 0, run.log.read_text()
    told.append((time.monotonic(), ""))
    seconds = {event: told[i + 1][0] - at for i, (at, event) in enumerate(told[:-1])}
    return Story([event for _, event in told[:-1]], seconds)


def disturb(
    study: SmallStudy,
    story: Story,
    wanted: dict[str, bytes],
    log: Path,
    number: int,
    n_times: int,
    *,
    at_events: bool = False,
    check: Callable[[int], None] = lambda _: None,
) -> Counter[str]:
    """Send signals to run after run, along all stages; the next goes to its end; then anew.

    The moments are drawn from the whole length of each stage: at one of its events (it begins,
    a file is about to appear under its name), and up to as long after it as the next one is;
    with `at_events` the first time round without that wait, so that every stage is hit.
    Returns how often each was.
    """
    folder, chosen = results(study), random.Random(number)
    shutil.rmtree(folder, ignore_errors=True)
    hits: Counter[str] = Counter()
    sweep = 0
    while hits.total() < n_times:
        plan = [
            event
            for events in story.stages().values()
            for event in chosen.sample(events, min(PER_STAGE, len(events)))
        ]
        plan = chosen.sample(plan, min(n_times - hits.total(), len(plan)))
        for event in sorted(plan, key=story.events.index):
            wait = chosen.uniform(0, story.seconds[event])
            stage, code = Watched(study, log, event).send(
                number, None if at_events and not sweep else wait
            )
            check(code)
            hits[stage] += code != 0  # 0: it had got further the last time, and was over
        run = Watched(study, log)
        assert run.finish() == 0, log.read_text()
        made = contents(folder)
        assert sorted(made) == sorted(wanted)
        assert [name for name in wanted if made[name] != wanted[name]] == []
        shutil.rmtree(folder)
        sweep += 1
    return hits


def kill_and_go_on(
    study: SmallStudy, unbroken: tuple[dict[str, bytes], float], n_kills: int
) -> None:
    """Kill commands at moments drawn from their whole length, beginning with the interpreter's."""
    wanted, seconds = unbroken
    folder = results(study)
    moments = random.Random(1)
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
    kill_and_go_on(study, unbroken, N_KILLS)


needs_fork = pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="forks warm processes"
)
from_threads = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


@pytest.mark.slow
@needs_fork
@from_threads
def test_run_killed_a_hundred_times(
    study: SmallStudy,
    unbroken: tuple[dict[str, bytes], float],
    story: Story,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    hits = disturb(study, story, unbroken[0], tmp_path / "log", signal.SIGKILL, 100, at_events=True)
    record_property("kills", dict(hits))
    assert hits.total() == 100
    assert hits.keys() == story.stages().keys(), hits


@pytest.mark.slow
@needs_fork
@from_threads
@pytest.mark.parametrize(
    ("number", "status", "word"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)
def test_stopped_runs_say_so_and_go_on(
    study: SmallStudy,
    unbroken: tuple[dict[str, bytes], float],
    story: Story,
    tmp_path: Path,
    number: int,
    status: int,
    word: str,
) -> None:
    """At thirty moments: one line, the status that shells expect, and nothing half-written."""
    log = tmp_path / "log"

    def check(code: int) -> None:
        told = log.read_text().splitlines()
        assert code in (0, status), told
        if code:
            assert told[-1].startswith(f"{word}; nothing half-written was left"), told
        assert not [line for line in told if "Traceback" in line or "Exception ignored" in line]
        left = [file.name for file in results(study).rglob(".*")]
        assert not [name for name in left if TEMPORARY_NAME.fullmatch(name)]

    hits = disturb(study, story, unbroken[0], log, number, 30, check=check)
    assert len(hits) > len(story.stages()) / 2, hits


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


@pytest.mark.slow
def test_limits_of_memory(study: SmallStudy, unbroken: tuple[dict[str, bytes], float]) -> None:
    """As with ``ulimit -v``: too little to load the program, and for this stage or that."""
    folder = results(study)
    shutil.rmtree(folder, ignore_errors=True)
    for megabytes in (450, 600, 700, 800, 900):
        code = f"""
            import resource
            resource.setrlimit(resource.RLIMIT_AS, ({megabytes << 20}, {megabytes << 20}))
        """
        run = start_run(study.study, code)
        out, err = run.communicate(timeout=300)
        if run.returncode == 0:
            break
        assert run.returncode == 1, (megabytes, out, err)
        assert "error: out of memory" in err, (megabytes, err)
        assert "Traceback" not in err, (megabytes, err)
        assert not [f for f in folder.rglob(".*") if TEMPORARY_NAME.fullmatch(f.name)]
    run = start_run(study.study)
    out, err = run.communicate(timeout=300)
    assert run.returncode == 0, out + err
    assert contents(folder) == unbroken[0]


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
    said: list[str] = []
    with pytest.raises(OutputError, match=r"cannot be written: (Not a directory|File exists)"):
        prs.run_study(other, say=said.append)
    assert not said, "nothing is begun"


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
