"""The documentation: every block runs, every option that it names exists, every link leads on."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
import render_notebooks as runner
from typer.testing import CliRunner

import prs
from prs.cli import app

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(p for p in DOCS.rglob("*.md") if runner.RENDERED not in p.parents)
#: Pages with blocks to run; the rest is prose.
RUN = [p for p in PAGES if re.search(r"^```(python|sh)\n", p.read_text("utf-8"), re.M)]


def page_name(path: Path) -> str:
    return str(path.relative_to(DOCS).with_suffix(""))


@pytest.mark.parametrize("page", RUN, ids=page_name)
def test_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page's ``python`` and ``sh`` blocks, in their order, in a folder that holds the demo data.

    What cannot be run here (a cluster, another program) is in ``py``, ``bash`` or ``console``.
    """
    (tmp_path / "data").symlink_to(ROOT / "data")
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "__main__"}
    text = page.read_text(encoding="utf-8")
    for block in re.finditer(r"^```(python|sh)\n(.*?)^```", text, re.M | re.S):
        line = text.count("\n", 0, block.start()) + 2
        if block[1] == "sh":
            run_commands(block[2], f"{page.name}, line {line}")
        else:
            code = "\n" * (line - 1) + block[2]  # so that tracebacks name the page's line
            exec(compile(code, str(page), "exec"), namespace)


def run_commands(text: str, where: str) -> None:
    for command in text.replace("\\\n", " ").splitlines():
        words = shlex.split(command, comments=True)
        if not words:
            continue
        assert words[0] == "prs", f"{where}: only prs can be run here: {command}"
        done = CliRunner().invoke(app, words[1:], prog_name="prs")
        assert done.exit_code == 0, f"{where}: {command}\n{done.output}\n{done.exception!r}"


@cache
def options_of(command: str) -> set[str]:
    said = CliRunner().invoke(app, [command, "--help"], terminal_width=200).output
    return set(re.findall(r"--[a-z][\w-]*", said))


def test_options_that_are_named_exist() -> None:
    """`prs COMMAND --option` anywhere in the text, run or not."""
    shell = re.compile(r"^```(?:console|sh|bash|text)\n(.*?)^```", re.M | re.S)
    inline = re.compile(r"`(prs [^`]+)`")
    for page in [*PAGES, ROOT / "README.md"]:
        text = page.read_text(encoding="utf-8")
        commands = inline.findall(shell.sub("", text))
        for block in shell.findall(text):
            commands += re.findall(r"^(?:\$ )?(prs [a-z].*)$", block.replace("\\\n", " "), re.M)
        for command in commands:
            words = command.split()
            if len(words) < 2 or not re.fullmatch(r"[a-z]+", words[1]):
                continue
            known = options_of(words[1])
            assert known, f"{page.name}: no command prs {words[1]}"
            named = set(re.findall(r"(?<!\S)--[a-z][\w-]*", command))
            assert named <= known, f"{page.name}: {command}: {sorted(named - known)}"


def test_python_names_that_are_named_exist() -> None:
    """`prs.name` in the text is a public name, or a module with that member."""
    for page in [*PAGES, ROOT / "README.md"]:
        prose = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.M | re.S)
        for name in re.findall(r"`prs\.(\w+)", prose):
            assert name in prs.__all__ or find_spec(f"prs.{name}"), f"{page.name}: prs.{name}"


def test_python_reference_has_every_public_name() -> None:
    import hooks

    listed = {path.rsplit(".", 1)[1] for names in hooks.public_names().values() for path in names}
    assert listed == set(prs.__all__) - {"__version__"}
    assert hooks.OTHERS not in hooks.public_names()  # a new room needs a heading


def test_command_reference_has_every_command() -> None:
    import hooks

    text = hooks.command_reference()
    from typer.main import get_command

    for name in get_command(app).commands:  # type: ignore[attr-defined]
        assert f"## prs {name}\n" in text
    assert "--sumstats" in text


def test_readme_blocks_that_ci_runs_are_the_first_two() -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```", (ROOT / "README.md").read_text("utf-8"), re.M | re.S)
    assert "prs run data/demo/study.toml" in blocks[0]
    assert "pytest" in blocks[1]


@pytest.mark.skipif(find_spec("mkdocs") is None, reason="needs the extra prs[docs]")
def test_site_builds_and_needs_nothing_from_the_network(tmp_path: Path) -> None:
    """``--strict``: links, anchors and pages out of the navigation are errors."""
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    loaded = re.compile(
        r"<(?:script|img|iframe)[^>]+src=\"?(https?:)?//|<link[^>]+stylesheet[^>]+//"
    )
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) >= len(PAGES)
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert not loaded.search(text), page
        # with repo_url, the theme's script asks api.github.com for stars
        assert 'data-md-component="source"' not in text, page
    # names in the text lead to the reference (docs/hooks.py), and the reference has them
    reference = (tmp_path / "reference" / "python.html").read_text(encoding="utf-8")
    model = (tmp_path / "explanation" / "the-model.html").read_text(encoding="utf-8")
    named = re.findall(r'href="\.\./reference/python\.html#([\w.]+)"><code>', model)
    assert named
    assert all(f'id="{anchor}"' in reference for anchor in named)
