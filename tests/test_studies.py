"""Stages as a graph, and several studies in one call: order, errors and interrupts."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from small_study import SmallStudy, make_small_study
from threadpoolctl import threadpool_info, threadpool_limits

import prs
from prs.cluster import map_tasks, one_blas_thread, run_graph
from prs.errors import FileFormatError, SettingsError
from prs.pipeline import StudyResult, run_studies
from prs.pipeline.graph import Lines, StageGraph

#: Something that is not None: stages run at once, in threads, and ask no cluster for anything.
CLIENT: Any = object()


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> SmallStudy:
    return make_small_study(tmp_path_factory.mktemp("studies"))


def endless() -> Iterator[int]:
    """Items that come for ever; it is for others to stop."""
    while True:
        time.sleep(0.005)
        yield 0


def work_on() -> None:
    for _ in map_tasks(abs, endless(), n_threads=1):
        pass


def test_stages_that_run_at_once_speak_in_order() -> None:
    pytest.importorskip("dask", reason="needs the extra prs[cluster]")
    said: list[str] = []
    lines = Lines(said.append)
    last_has_spoken, graph = threading.Event(), StageGraph()

    def slow(name: str) -> str:
        assert last_has_spoken.wait(20), "stages do not run at the same time"
        lines(f"{name} begins")
        time.sleep(0.02)
        lines(f"{name} ends")
        return name

    def quick() -> str:
        lines("quick")
        last_has_spoken.set()
        return "quick"

    a = graph.add("a", lambda: slow("a"))
    b = graph.add("b", lambda: slow("b"))
    c = graph.add("c", quick)
    graph.add("d", lambda *made: lines("d") or made, b, a, c)
    lines("before")
    assert graph.run(lines, CLIENT) == ("b", "a", "quick")
    lines("after")
    assert said == ["before", "a begins", "a ends", "b begins", "b ends", "quick", "d", "after"]
    with pytest.raises(ValueError, match="added before"):
        graph.add("e", quick, "nothing")


def test_stages_without_a_cluster_follow_each_other() -> None:
    said: list[str] = []
    graph = StageGraph()
    graph.add("a", lambda: said.append("a") or threading.get_ident())
    graph.add("b", lambda a: said.append("b") or (a, threading.get_ident()), "a")
    assert graph.run(Lines(said.append)) == (threading.get_ident(),) * 2
    assert said == ["a", "b"]


def test_an_error_ends_the_stages_beside_it() -> None:
    pytest.importorskip("dask", reason="needs the extra prs[cluster]")
    said: list[str] = []
    lines, graph = Lines(said.append), StageGraph()
    begun = threading.Event()

    def goes_on() -> None:
        lines("goes on")
        begun.set()
        work_on()

    def fails() -> None:
        assert begun.wait(20)
        raise FileFormatError("is torn", path="x.txt")

    a = graph.add("a", fails)
    b = graph.add("b", goes_on)
    graph.add("c", lambda *_: pytest.fail("what it needs is not there"), a, b)
    n_threads = threading.active_count()
    with pytest.raises(FileFormatError, match=r"x\.txt: is torn"):
        graph.run(lines, CLIENT)
    assert said == ["goes on"], "what was said of it is not lost"
    assert threading.active_count() == n_threads


def test_an_interrupt_ends_graphs_in_graphs() -> None:
    pytest.importorskip("dask", reason="needs the extra prs[cluster]")
    killer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    n_threads = threading.active_count()
    killer.start()
    with pytest.raises(KeyboardInterrupt):
        run_graph({"outer": (lambda: run_graph({"a": (work_on,), "b": (work_on,)}),)})
    killer.join()
    assert threading.active_count() == n_threads


@pytest.mark.parametrize("client", [None, CLIENT], ids=["in turn", "at once"])
def test_a_study_that_fails_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: Any
) -> None:
    if client is not None:
        pytest.importorskip("dask", reason="needs the extra prs[cluster]")

    def run_study(path: Path, **settings: Any) -> StudyResult:
        assert settings["client"] is client
        assert settings["n_threads"] == 2
        settings["say"]("one line\nand another")
        if path.stem == "torn":
            raise FileFormatError("is torn", path=path)
        if path.stem == "bug":
            raise KeyError("column")
        return StudyResult(tmp_path, tmp_path / path.stem, ())

    monkeypatch.setattr("prs.pipeline.studies.run_study", run_study)
    said: list[str] = []
    paths = [Path("torn.toml"), Path("bug.toml"), Path("well.toml")]
    torn, bug, well = run_studies(paths, n_threads=2, say=said.append, client=client)
    assert [one.path for one in (torn, bug, well)] == paths
    assert isinstance(torn.error, FileFormatError)
    assert isinstance(bug.error, KeyError)
    assert well.error is None
    assert well.result is not None
    assert well.result.report == tmp_path / "well"
    assert sorted(said)[:3] == ["bug.toml: and another", "bug.toml: failed", "bug.toml: one line"]


def test_studies_with_one_folder_are_refused(study: SmallStudy, tmp_path: Path) -> None:
    copy = study.study.with_name("copy.toml")
    copy.write_text(study.study.read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(SettingsError, match=r"study\.toml and .*copy\.toml write to the same"):
        run_studies([study.study, tmp_path / "none.toml", copy])


def blas_threads() -> set[int]:
    return {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}


def test_blas_has_one_thread_while_anybody_asks_for_it() -> None:
    """Each restoring what it found would leave BLAS at one thread, or set it free too early."""
    with threadpool_limits(2, "blas"):
        if blas_threads() != {2}:
            pytest.skip("a BLAS that takes no number of threads")
        first, second = one_blas_thread(), one_blas_thread()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert blas_threads() == {1}
        second.__exit__(None, None, None)
        assert blas_threads() == {2}


def test_cores_of_the_machine_change_no_bit(
    study: SmallStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever BLAS does in a run, it does in one thread."""
    seen: list[set[int]] = []
    monkeypatch.setattr("prs.pipeline.run._run_stages", lambda *_: seen.append(blas_threads()))
    with threadpool_limits(2, "blas"):
        prs.run_study(study.study)
    assert seen == [{1}]


def test_command_says_which_studies_failed(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from prs.cli import main

    def run_study(path: Path, **_: Any) -> StudyResult:
        if path.stem == "torn":
            raise FileFormatError("is torn", path=path, remedy="mend it")
        return StudyResult(tmp_path, tmp_path / f"{path.stem}.html", ())

    monkeypatch.setattr("prs.pipeline.studies.run_study", run_study)
    with pytest.raises(SystemExit) as stop:
        main(["run", "well.toml", "torn.toml", "last.toml"])
    assert stop.value.code == 1
    printed = capsys.readouterr()
    assert printed.out.splitlines()[-3:] == [
        f"well.toml  done    {tmp_path / 'well.html'}",
        "torn.toml  FAILED  torn.toml: is torn",
        f"last.toml  done    {tmp_path / 'last.html'}",
    ]
    assert printed.err == "error: torn.toml: is torn\n  Remedy: mend it\n"
    with pytest.raises(SystemExit) as stop:
        main(["run", "well.toml", "last.toml"])
    assert not stop.value.code
