"""The study file and the stages of a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from prs.errors import FileFormatError, PrsError, StudyFileError
from prs.stages import Stages
from prs.study import read_study

GOOD = """
title = "A study"
[target]
genotypes = "target"
cohort = "cohort.tsv"
outcome = "disease"
[populations.EUR]
sumstats = "eur.txt"
ld = "eur.h5"
[methods.csx]
phi = "auto"
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "study.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_paths_are_relative_to_the_study_file(tmp_path: Path) -> None:
    study = read_study(write(tmp_path, GOOD))
    assert study.file(study.target.cohort) == tmp_path / "cohort.tsv"
    assert study.out_folder == tmp_path / "results"


def test_threads_and_output_folder_cannot_change_a_result(tmp_path: Path) -> None:
    one = read_study(write(tmp_path, GOOD)).settings()
    other = read_study(write(tmp_path, 'threads = 3\nout = "x"\n' + GOOD)).settings()
    assert one == other


@pytest.mark.parametrize(
    "change, words",
    [
        (("outcome =", "outcom ="), ["line 6", "'outcom'", "did you mean 'outcome'"]),
        (('outcome = "disease"', ""), ["'outcome' is missing", "[target]"]),
        (('phi = "auto"', 'phi = "automatic"'), ["methods.csx"]),
        (('phi = "auto"', 'single = ["EURO"]'), ["'EURO'", "no section", "there are: EUR"]),
        (('ld = "eur.h5"', ""), ["neither 'ld' nor 'reference'"]),
        (("[methods.csx]\nphi", "# phi"), ["no method is asked for"]),
        (('title = "A study"', "title = A study"), ["not valid TOML", "line 2"]),
        (('title = "A study"', 'title = "A study"\npath = "x"'), ["unknown key 'path'"]),
        (('title = "A study"', 'title = "A study"\nthreads = 0'), ["threads"]),
        (("[methods.csx]", "[evaluation.prevalence]\nEUR = 15\n[methods.csx]"), ["prevalence"]),
    ],
)
def test_bad_study_file(tmp_path: Path, change: tuple[str, str], words: list[str]) -> None:
    assert change[0] in GOOD
    path = write(tmp_path, GOOD.replace(*change))
    with pytest.raises(StudyFileError) as caught:
        read_study(path)
    assert str(path) in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_missing_and_empty_study_file(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="no such study file"):
        read_study(tmp_path / "none.toml")
    with pytest.raises(FileFormatError, match="empty"):
        read_study(write(tmp_path, ""))


def test_a_stage_is_kept_only_while_nothing_that_made_it_changed(tmp_path: Path) -> None:
    source, made, said = tmp_path / "in.txt", tmp_path / "out.txt", []
    source.write_text("1")

    def run(settings: dict[str, int], force: bool = False) -> list[str]:
        stages = Stages(tmp_path, said.append, force)

        def work() -> str:
            made.write_text(source.read_text() + str(settings))
            return "made"

        stages.run("copy", settings=settings, inputs=[source], outputs=[made], work=work)
        return stages.ran

    assert run({"a": 1}) == ["copy"]
    assert run({"a": 1}) == []
    assert said[-1] == "copy: unchanged, kept"
    assert run({"a": 2}) == ["copy"]  # another setting
    source.write_text("2")
    assert run({"a": 2}) == ["copy"]  # another input
    made.write_text("tampered")
    assert run({"a": 2}) == ["copy"]  # another output than the one recorded
    made.unlink()
    assert run({"a": 2}) == ["copy"]
    assert run({"a": 2}, force=True) == ["copy"]


def test_a_stage_that_fails_is_run_again(tmp_path: Path) -> None:
    made = tmp_path / "out.txt"

    def fail() -> str:
        made.write_text("half")
        raise PrsError("disk on fire")

    def work() -> str:
        made.write_text("whole")
        return "made"

    arguments = {"settings": {}, "inputs": [], "outputs": [made]}
    Stages(tmp_path, print).run("s", **arguments, work=work)
    with pytest.raises(PrsError):
        Stages(tmp_path, print, force=True).run("s", **arguments, work=fail)
    again = Stages(tmp_path, print)
    again.run("s", **arguments, work=work)
    assert again.ran == ["s"]
    assert made.read_text() == "whole"
