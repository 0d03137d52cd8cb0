"""Disks that are full, folders that may not be written to, names of every kind."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from small_study import SmallStudy, make_small_study

import prs
from prs.cli import main
from prs.errors import OutputError
from prs.files import TEMPORARY_NAME, write_atomically
from prs.weights.csx_checkpoint import remove_checkpoint

#: Each command, and what it writes. PLACE is where: full, or not to be written to.
COMMANDS = {
    "check": "check --sumstats AAA=gwas.AAA.txt --bfile target --json PLACE/check.json",
    "harmonise": "harmonise --sumstats AAA=gwas.AAA.txt --bfile target --out PLACE/h",
    "ld": "ld --bfile reference --keep AAA.keep.txt --population AAA --out PLACE/AAA",
    "clump": "clump --sumstats gwas.AAA.txt --bfile reference --out PLACE/c",
    "ct": "ct --sumstats gwas.AAA.txt --bfile reference --out PLACE/ct",
    "csx": "csx --sumstats AAA=gwas.AAA.txt --ld AAA=made/AAA.ld.h5 --n-iter 20 --out PLACE/csx",
    "csx checkpoint": "csx --sumstats AAA=gwas.AAA.txt --ld AAA=made/AAA.ld.h5 --n-iter 20 "
    "--out made/again --checkpoint PLACE/run.npz --checkpoint-every 0",
    "score": "score --bfile target --weights made/csx.weights.tsv --out PLACE/s",
    "combine": "combine --scores made/s.scores.tsv --cohort cohort.tsv --outcome disease "
    "--split split --out PLACE/f",
    "evaluate": "evaluate --scores made/s.scores.tsv --cohort cohort.tsv --outcome disease "
    "--out PLACE/e",
    "report": "report --scores made/s.scores.tsv --cohort cohort.tsv --outcome disease "
    "--out PLACE/page",
    "run": "run PLACE/study.toml",
}
#: Runs commands in a mount namespace of its own, and prints what each did as JSON.
IN_PLACE = """
import contextlib, io, json, logging, os, subprocess, sys
from pathlib import Path
from prs.cli import main

kind, commands = sys.argv[1], json.loads(sys.stdin.read())
place = Path("place")
found = {}
for name, command in commands.items():
    place.mkdir(exist_ok=True)
    if kind == "full":
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", "place"], check=True)
    if name == "run":
        text = Path("study.toml").read_text()
        for key in ("target", "cohort.tsv", "gwas.AAA.txt", "gwas.BBB.txt", "reference",
                    "AAA.keep.txt", "BBB.keep.txt"):
            text = text.replace(f'"{key}"', f'"../{key}"')
        (place / "study.toml").write_text(text)
    if kind == "full":
        with contextlib.suppress(OSError), (place / "filler").open("wb") as filler:
            while True:  # all but the room for names of files
                filler.write(bytes(1024))
                filler.flush()
    elif kind == "read-only":
        subprocess.run(["mount", "--bind", "place", "place"], check=True)
        subprocess.run(["mount", "-o", "remount,ro,bind", "place"], check=True)
    else:
        place.chmod(0o555)
    before = sorted(str(file) for file in place.rglob("*"))
    said = io.StringIO()
    code = None
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            main(command.replace("PLACE", "place").split())
        except SystemExit as stop:
            code = stop.code
        except BaseException as error:
            said.write(f"Traceback of {error!r}")
    after = sorted(str(file) for file in place.rglob("*") if file.is_file())
    found[name] = code, said.getvalue(), [file for file in after if file not in before]
    if kind in ("full", "read-only"):
        subprocess.run(["umount", "place"], check=True)
    else:
        place.chmod(0o755)
    (place / "study.toml").unlink(missing_ok=True)
json.dump(found, sys.stdout)
"""
REASONS = {
    "full": "No space left on device",
    "read-only": "Read-only file system",
    "not permitted": "Permission denied",
}


def ok(*words: object) -> None:
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    assert not stop.value.code


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> SmallStudy:
    """A study with the inputs of each command below ``made``."""
    study = make_small_study(tmp_path_factory.mktemp("storage"))
    (study.folder / "made").mkdir()
    before = Path.cwd()
    os.chdir(study.folder)
    try:
        for name in ("ld", "csx", "score"):
            ok(*COMMANDS[name].replace("PLACE", "made").split())
    finally:
        os.chdir(before)
    return study


@pytest.mark.slow
@pytest.mark.parametrize("kind", REASONS)
def test_every_command_says_what_it_cannot_write(
    study: SmallStudy, tmp_path: Path, kind: str
) -> None:
    """One line that names the file and the reason, and no half of a file is left."""
    if kind == "not permitted":
        begin = obeying(tmp_path)
    else:
        begin = ["unshare", "--map-root-user", "--mount"]
        if (
            not shutil.which("unshare")
            or subprocess.run(
                [*begin, "mount", "-t", "tmpfs", "none", tmp_path], check=False, capture_output=True
            ).returncode
        ):
            pytest.skip("file systems cannot be mounted in a name space of one's own here")
    done = subprocess.run(
        [*begin, sys.executable, "-c", IN_PLACE, kind],
        input=json.dumps(COMMANDS),
        cwd=study.folder,
        env={**os.environ, "PYTHONPATH": str(Path(prs.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.keys() == COMMANDS.keys()
    for name, (code, said, left) in found.items():
        assert code == 1, (name, said)
        assert "Traceback" not in said, (name, said)
        last = said[said.index("error: ") :]
        assert f"cannot be written: {REASONS[kind]}" in last, (name, said)
        assert "place/" in last, (name, said)
        assert "Remedy: " in last, (name, said)
        assert not [file for file in left if TEMPORARY_NAME.fullmatch(Path(file).name)], (
            name,
            left,
        )


KERNEL = """
import resource, sys
from prs.kernels._jit import jit
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

@jit
def add(x):
    return x + 1

print(add(2))
"""


@pytest.mark.parametrize("place", ["full", "read-only"])
def test_compiled_code_that_cannot_be_kept(tmp_path: Path, place: str) -> None:
    """The cache is on a full disk; or program and home are both where one may not write."""
    script = tmp_path / "code" / "kernel.py"
    script.parent.mkdir()
    script.write_text(KERNEL)
    command, environment = [sys.executable, str(script)], dict(os.environ)
    environment["PYTHONPATH"] = str(Path(prs.__file__).parents[1])
    if place == "full":
        environment["NUMBA_CACHE_DIR"] = str(tmp_path / "cache")
    else:
        environment["HOME"] = environment["XDG_CACHE_HOME"] = "/dev/null"
        environment.pop("NUMBA_CACHE_DIR", None)
        script.parent.chmod(0o555)
        command = [*obeying(tmp_path), *command]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("3\n", 0), done.stderr


def obeying(folder: Path) -> list[str]:
    """Begin of a command that obeys permissions; the superuser's obey them on request only."""
    locked = folder / "locked"
    locked.mkdir(mode=0o555)
    for begin in ([], ["setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner"]):
        if begin and not shutil.which("setpriv"):
            break
        if subprocess.run(
            [*begin, "touch", locked / "x"], check=False, capture_output=True
        ).returncode:
            return begin
        (locked / "x").unlink()
    pytest.skip("this user may write anywhere, and setpriv cannot change that")


#: Folders and prefixes that a shell, a pattern or an encoding may take for something else.
NAMES = [
    "two  spaces ",
    "Größe λ 日本 🧬",
    "e\u0301 decomposed",
    'it\'s "quoted"',
    "a#b;c&$(d)=100%",
    "[a-z]*? {x}",
    "-dash",
    ".hidden",
    "back\\slash",
    "long " + 40 * "name ",
]


@pytest.mark.parametrize("name", NAMES)
def test_names_of_every_kind(
    study: SmallStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Inputs and outputs of that name, in a folder of that name: the same bytes."""
    folder = tmp_path / name / "in"
    folder.mkdir(parents=True)
    for end in ("bed", "bim", "fam"):
        shutil.copy(f"{study.target}.{end}", folder / f"{name}.{end}")
    (folder / f"{name}.weights").symlink_to(study.folder / "made" / "csx.weights.tsv")
    monkeypatch.chdir(tmp_path)
    prefix = f"{name}/in/{name}"
    weights, out = f"--weights={prefix}.weights", f"--out={name}/out/{name}"
    ok("score", f"--bfile={prefix}", weights, out)
    ok("clump", f"--sumstats={study.sumstats('AAA')}", f"--bfile={prefix}", out)
    made = {path.name.removeprefix(name) for path in (tmp_path / name / "out").iterdir()}
    assert made == {".scores.tsv", ".scores.variants.tsv", ".clumps.tsv"} | (
        {".scores.unmatched.tsv"} & made
    )
    wanted = (study.folder / "made" / "s.scores.tsv").read_bytes()
    assert (tmp_path / name / "out" / f"{name}.scores.tsv").read_bytes() == wanted
    checkpoint = tmp_path / name / f"{name}.npz"
    left = checkpoint.with_name(f".{checkpoint.name}.abcdefgh.tmp.npz")
    for file in (checkpoint, left):
        file.write_bytes(b"")
    remove_checkpoint(checkpoint)
    assert not checkpoint.exists()
    assert not left.exists()


def test_name_that_is_too_long(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match=r"File name too long(?s:.*)choose a shorter name"),
        write_atomically(tmp_path / ("a" * 250)),
    ):
        pass


def test_home_is_written_as_in_a_shell(
    study: SmallStudy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """``~`` in a study file and in POP=~/FILE, which shells leave as it is."""
    monkeypatch.setenv("HOME", str(study.folder))
    text = study.study.read_text(encoding="utf-8")
    text = text.replace('sumstats = "gwas', 'sumstats = "~/gwas').replace('"target"', '"~/target"')
    home = study.study.with_name("home.toml")
    home.write_text(text, encoding="utf-8")
    opened = prs.read_study(home)
    assert opened.file("~/gwas.AAA.txt") == study.sumstats("AAA")
    assert opened.open_target().n_samples == 480
    ok("check", "--sumstats", "AAA=~/gwas.AAA.txt")
    assert "no such" not in capsys.readouterr().out


@pytest.mark.slow
def test_study_that_was_moved_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Moved as a whole, run from elsewhere, by a relative name and through a link."""
    made = make_small_study(tmp_path / "here")
    ok("run", made.study)
    (tmp_path / "here").rename(tmp_path / "there")
    (tmp_path / "link").symlink_to(tmp_path / "there", target_is_directory=True)
    capsys.readouterr()
    for folder, name in (
        (tmp_path / "there", "study.toml"),
        (tmp_path, "there/study.toml"),
        (tmp_path / "there" / "results", "../../link/study.toml"),
    ):
        monkeypatch.chdir(folder)
        ok("run", name)
        stages = [line for line in capsys.readouterr().out.splitlines() if ": " in line]
        assert not [line for line in stages if line.endswith(" s)")], stages
        assert sum("unchanged, kept" in line for line in stages) > 8
