"""The study file and the stages of a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_study import SmallStudy, make_small_study

from prs.errors import FileFormatError, PrsError, StudyFileError
from prs.stages import Stages
from prs.study import CsxSettings, read_study
from prs.study.early import check_files, check_people
from prs.weights.csx_convergence import window_edges

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


@pytest.fixture(scope="module")
def small_study(tmp_path_factory: pytest.TempPathFactory) -> SmallStudy:
    return make_small_study(tmp_path_factory.mktemp("small"))


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


# ---- everything that can be known before the first stage is said before it


@pytest.mark.parametrize(
    "methods, words",
    [
        ("draws = 100\nn_iter = 60\nn_burnin = 50\nthin = 5", ["4 posterior draws", "20", "draws"]),
        ("n_chains = 1\nn_iter = 100\nn_burnin = 20\nthin = 5", ["16 posterior draws"]),
        ('until = "converged"\ndraws = 40', ["as few as 12 posterior draws"]),
        ('until = "converged"\nthin = 20', ["as few as 10 posterior draws"]),
        ("n_iter = 100\nn_burnin = 100", ["leaves no draw"]),
        ("phi = -1.0", ["positive number"]),
        ("phi = [0.01, 0.01]", ["repeats a value"]),
        ("psi_max = 0.0", ["psi_max=0.0"]),
        ("n_chains = 0", ["n_chains=0"]),
        ('ld_dtype = "int8"\npsi_max = 2.0', ["int16"]),
        ('until = "converged"\ntolerance = 2.0', ["tolerance=2.0"]),
    ],
)
def test_a_fit_that_cannot_serve_is_refused_when_the_file_is_read(
    tmp_path: Path, methods: str, words: list[str]
) -> None:
    with pytest.raises(StudyFileError) as caught:
        read_study(write(tmp_path, GOOD.replace('phi = "auto"', methods)))
    assert "line 10" in str(caught.value) or "line 11" in str(caught.value)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("draws", ["draws = 0\n", "phi = [0.01, 1.0]\n"])
def test_a_fit_without_draws_may_be_short(tmp_path: Path, draws: str) -> None:
    short = draws + "n_iter = 60\nn_burnin = 50"
    read_study(write(tmp_path, GOOD.replace('phi = "auto"', short)))


@pytest.mark.parametrize("thin", [1, 5, 20])
@pytest.mark.parametrize("draws", [20, 60, 200, 1000])
def test_the_fewest_draws_of_a_fit_of_unknown_length(thin: int, draws: int) -> None:
    """The schedule of `csx_run.Run` (windows, doubled thinning), wherever it stops."""
    settings = CsxSettings(until="converged", thin=thin, draws=draws)
    ceiling, most = 20_000, draws // settings.n_chains
    edges, kept, stride, fewest = window_edges(ceiling), [], thin, most
    for at in range(1, ceiling + 1):
        if at % stride == 0:
            kept.append(at)
            if len(kept) > most:
                stride *= 2
                kept = [a for a in kept if a % stride == 0]
        if at in edges[2:]:
            kept = [a for a in kept if a > edges[edges.index(at) - 2]]
            fewest = min(fewest, len(kept))
    assert fewest * settings.n_chains >= settings.least_draws(2) > 0


@pytest.mark.parametrize(
    "section, words",
    [
        ("[evaluation]\nn_bins = 2", ["n_bins = 2", "at least 3"]),
        ("[evaluation]\nconfidence = 95", ["confidence = 95", "0.95"]),
        ('[evaluation]\ncompare_to = "ct_EUR"', ["compare_to", "'ct_EUR'", "cs_EUR"]),
        ('[report]\nmain_score = "csx_META"', ["main_score", "cs_EUR"]),
        ('[report]\nprs_rs = { "Ethics?" = "x" }', ["'Ethics?'", "PRS-RS"]),
        ('[evaluation]\nnormalise = "mean"', ["principal components", "pcs"]),
        ("[methods.ct]\nr2 = [1.5]", ["r2", "1.5"]),
        ("[methods.ct]\nkb = [0.0]", ["kb", "0"]),
        ("[methods.ct]\np_thresholds = []", ["p_thresholds"]),
        ("[methods.ct]\np_thresholds = [0.1, 0.1]", ["p_thresholds", "once"]),
        ("[evaluation]\nhorizons = [-1.0]", ["horizons"]),
        ("[evaluation]\ncase_control = true", ["prevalence"]),
    ],
)
def test_settings_of_late_stages_are_checked_when_the_file_is_read(
    tmp_path: Path, section: str, words: list[str]
) -> None:
    with pytest.raises(StudyFileError) as caught:
        read_study(write(tmp_path, GOOD + section))
    for word in words:
        assert word in str(caught.value)


def test_names_of_a_study_s_scores_are_those_that_its_run_makes(tmp_path: Path) -> None:
    two = GOOD + '[populations.AFR]\nsumstats = "a"\nld = "a"\n[methods.ct]\n'
    study = read_study(write(tmp_path, two.replace('phi = "auto"', 'single = ["AFR"]')))
    made = ("ct_EUR", "ct_AFR", "cs_AFR", "csx_META", "csx_combined")
    assert study.score_names == made


def people(tmp_path: Path, **changed: object) -> Path:
    """A cohort of 80: two ancestries, halves to tune and to test, cases and controls in each."""
    frame = pd.DataFrame(
        {
            "IID": [f"P{i}" for i in range(80)],
            "ancestry": np.where(np.arange(80) % 4 < 2, "EUR", "AFR"),
            "split": np.where(np.arange(80) % 2 == 0, "tuning", "test"),
            "disease": np.arange(80) // 4 % 2,
            "years": 1.0 + np.arange(80) % 10,
            "PC1": np.linspace(0, 1, 80),
        }
    ).assign(**changed)
    frame.to_csv(tmp_path / "cohort.tsv", sep="\t", index=False)
    return tmp_path


@pytest.mark.parametrize(
    "target, section, changed, words",
    [
        ("", "", {"split": "tuning"}, ["nobody", "'test'"]),
        ("", "", {"split": "test"}, ["nobody", "'tuning'"]),
        ("", "", {"disease": np.arange(80) % 2}, ["tuning", "'disease'"]),
        ("", 'reference_ancestry = "EAS"', {}, ["reference_ancestry", "'EAS'", "EUR, AFR"]),
        ("", 'cutpoints = "EAS"', {}, ["cutpoints", "'EAS'"]),
        ("", "prevalence = { EAS = 0.1 }", {}, ["prevalence", "'EAS'", "EUR, AFR"]),
        ("", "", {"ancestry": "all"}, ["'all'", "everybody pooled"]),
        ('kind = "quantitative"\n', 'cutpoints = "controls"', {}, ["controls", "quantitative"]),
        ('time = "years"\n', "horizons = [11.0]", {}, ["horizons", "11", "10"]),
        ('pcs = ["PC1", "PC9"]\n', "", {}, ["PC9"]),
        ('ancestry = "group"\n', "", {}, ["group"]),
    ],
)
def test_a_cohort_that_late_stages_would_refuse_is_refused_first(
    tmp_path: Path, target: str, section: str, changed: dict[str, object], words: list[str]
) -> None:
    text = GOOD.replace("[target]\n", f'[target]\nsplit = "split"\n{target}')
    study = read_study(write(people(tmp_path, **changed), f"{text}[evaluation]\n{section}\n"))
    with pytest.raises(PrsError) as caught:
        check_people(study, study.read_cohort())
    for word in words:
        assert word in str(caught.value)


def test_a_cohort_that_serves_is_not_refused(tmp_path: Path) -> None:
    text = GOOD.replace("[target]\n", '[target]\nsplit = "split"\npcs = ["PC1"]\n')
    more = '[evaluation]\nprevalence = { AFR = 0.1, all = 0.1 }\ncutpoints = "AFR"\n'
    study = read_study(write(people(tmp_path), text + more))
    check_people(study, study.read_cohort())


def test_rates_that_do_not_cover_the_ages_are_refused_first(tmp_path: Path) -> None:
    (tmp_path / "rates.tsv").write_text("age_from\tage_to\trate\n40\t70\t0.001\n")
    more = '[evaluation.absolute_risk]\nincidence = "rates.tsv"\nages = [40, 80]\n'
    study = read_study(write(people(tmp_path), GOOD + more))
    with pytest.raises(PrsError, match=r"covers ages 40 to 70.*40 to 80"):
        check_people(study, study.read_cohort())


@pytest.mark.parametrize(
    "change, words",
    [
        ((), ["eur.txt", "no such"]),
        (('ld = "eur.h5"', 'reference = "panel"'), ["panel"]),
        (('ld = "eur.h5"', 'reference = "REF"\nblocks = "b.bed"'), ["b.bed"]),
        (('ld = "eur.h5"', 'reference = "REF"\nreference_samples = "k"'), ["no such", "k"]),
    ],
)
def test_files_of_late_stages_are_looked_for_first(
    tmp_path: Path, small_study: SmallStudy, change: tuple[str, str] | tuple[()], words: list[str]
) -> None:
    text = GOOD.replace(*change) if change else GOOD
    if change:
        (tmp_path / "eur.txt").write_bytes(small_study.sumstats("AAA").read_bytes())
    study = read_study(write(tmp_path, text.replace("REF", str(small_study.reference))))
    with pytest.raises(PrsError) as caught:
        check_files(study)
    for word in words:
        assert word in str(caught.value)


def test_columns_of_statistics_are_looked_at_first(tmp_path: Path, small_study: SmallStudy) -> None:
    (tmp_path / "eur.txt").write_bytes(small_study.sumstats("AAA").read_bytes())
    text = GOOD.replace('ld = "eur.h5"', f'reference = "{small_study.reference}"')
    check_files(read_study(write(tmp_path, text)))
    wrong = text.replace('"eur.txt"', '"eur.txt"\ncolumns = { eaf = "FREQ" }')
    with pytest.raises(PrsError, match="FREQ"):
        check_files(read_study(write(tmp_path, wrong)))
