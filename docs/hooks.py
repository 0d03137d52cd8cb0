"""What mkdocs fills in at build time: public names, commands, changes. Nothing can go stale."""

from __future__ import annotations

import ast
import json
import re
import textwrap
from pathlib import Path
from typing import Any, get_args

import msgspec
from typer.main import get_command
from typer.testing import CliRunner

ROOT = Path(__file__).resolve().parents[1]

#: Headings of the Python reference, and which rooms come under each, in the order of the chain.
ROOMS = {
    "Whole studies": ("study", "pipeline", "simulate"),
    "Checking inputs": ("doctor",),
    "Genotypes, statistics and people": ("inputs", "variants", "matching", "samples", "quality"),
    "LD": ("ld",),
    "Weights": ("weights", "cross_fitting"),
    "Scores": ("scoring",),
    "Ancestry": ("ancestry",),
    "Evaluation": ("evaluation", "individuals", "people"),
    "Report": ("report",),
    "Beyond one machine": ("cluster",),
    "Errors": ("errors",),
}
OTHERS = "Others"


def public_names() -> dict[str, list[str]]:
    """Return the public names as ``prs.module.name``, by heading, from ``prs/__init__.pyi``."""
    tree = ast.parse((ROOT / "prs" / "__init__.pyi").read_text(encoding="utf-8"))
    found: dict[str, list[str]] = {heading: [] for heading in (*ROOMS, OTHERS)}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module:
            room = node.module.split(".")[0]
            heading = next((h for h, rooms in ROOMS.items() if room in rooms), OTHERS)
            found[heading] += [f"prs.{node.module}.{alias.name}" for alias in node.names]
    return {heading: names for heading, names in found.items() if names}


def python_reference() -> str:
    """Return the Markdown of the Python reference; mkdocstrings fills in the docstrings."""
    parts = []
    for heading, names in public_names().items():
        parts.append(f"## {heading}")
        parts += [f"::: {name}" for name in names]
    return "\n\n".join(parts)


def command_reference() -> str:
    """Return the Markdown of the command line: what each command says of itself."""
    from prs.cli import app

    runner = CliRunner()
    parts = []
    for name in get_command(app).commands:  # type: ignore[attr-defined]
        said = runner.invoke(app, [name, "--help"], prog_name="prs", terminal_width=90)
        usage, _, text = said.output.strip().partition("\n")
        about, _, options = text.partition("\nOptions:")
        about, _, arguments = about.partition("\nArguments:")
        shown = usage.removeprefix("Usage: ")
        if arguments:
            shown += f"\n\nArguments:{arguments.rstrip()}"
        shown += f"\n\nOptions:{options}"
        parts.append(f"## prs {name}\n\n{textwrap.dedent(about).strip()}\n\n```text\n{shown}\n```")
    return "\n\n".join(parts)


def changes() -> str:
    """Return CHANGELOG.md below its title."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    return re.sub(r"\A# .*\n", "", text)


def study_sections(section: type | None = None, name: str = "") -> dict[str, type]:
    """Return the sections of the study file by name, "" for the top level, in their order."""
    from prs.study import Study

    section = section or Study
    found = {name: section}
    for field in msgspec.structs.fields(section):
        kind = str(field.type)
        for part in (field.type, *get_args(field.type)):
            if isinstance(part, type) and issubclass(part, msgspec.Struct):
                key = f"{field.name}.NAME" if kind.startswith("dict") else field.name
                found |= study_sections(part, f"{name}.{key}".lstrip("."))
    return found


def documented_keys(section: type) -> dict[str, tuple[str, str]]:
    """Return type and meaning of each key that a section's docstring has."""
    text = textwrap.dedent((section.__doc__ or "").partition("----------")[2].lstrip("-"))
    found: dict[str, tuple[str, str]] = {}
    for entry in re.finditer(r"^(\w[\w, ]*?) : (.+)\n((?:[ ]+.*\n?|\n)*)", text, re.M):
        meaning = " ".join(entry[3].split())
        found |= {key.strip(): (entry[2], meaning) for key in entry[1].split(",")}
    return found


def study_reference() -> str:
    """Return the Markdown of the study file: each section, key, default and meaning."""
    parts = []
    sections = study_sections()
    for name, section in sections.items():
        about = (section.__doc__ or "").strip().split("\n")[0].rpartition("``: ")[2]
        keys = documented_keys(section)
        rows = []
        for field in msgspec.structs.fields(section):
            below = f"{name}.{field.name}".lstrip(".")
            if field.name == "path" or below in sections or f"{below}.NAME" in sections:
                continue
            kind, meaning = keys.get(field.name, ("", ""))
            kind = kind.replace("|", "or")
            rows.append(
                f"| `{field.name}` | {_default(field)} | {kind} | {meaning.replace('``', '`')} |"
            )
        parts.append(f"## {f'[{name}]' if name else 'Top level'}\n\n{about[:1].upper()}{about[1:]}")
        if rows:
            head = "| key | default | kind | meaning |\n|---|---|---|---|\n"
            parts.append(head + "\n".join(rows))
    return "\n\n".join(parts)


def _default(field: msgspec.structs.FieldInfo) -> str:
    """Return what a key is where the file does not say, as TOML would have it."""
    if field.required:
        return "*needed*"
    value = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    if value is None:
        return "none"
    if isinstance(value, dict):
        return "empty"
    if isinstance(value, float):
        return f"`{value:.4g}`"
    return f"`{str(value).lower() if isinstance(value, bool) else json.dumps(value)}`"


_FILLED = {
    "reference/python.md": python_reference,
    "reference/commands.md": command_reference,
    "reference/study-file.md": study_reference,
    "reference/changes.md": changes,
}


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Append what is made at build time to the pages that are made so (mkdocs calls this)."""
    made = _FILLED.get(page.file.src_uri)
    return markdown if made is None else f"{markdown}\n\n{made()}\n"


def on_page_content(content: str, page: Any, **_: Any) -> str:
    """Make a link of each ``prs.name`` in the text to what the Python reference says of it."""
    from mkdocs.utils import get_relative_url

    anchors = {}
    for path in (path for names in public_names().values() for path in names):
        anchors |= {path: path, f"prs.{path.rsplit('.', 1)[1]}": path}
    home = get_relative_url("reference/python.html", page.url)

    def link(found: re.Match[str]) -> str:
        anchor = anchors.get(found[1])
        return found[0] if anchor is None else f'<a href="{home}#{anchor}">{found[0]}</a>'

    # not where it is in a link already
    return re.sub(r"<code>(prs\.[\w.]+)</code>(?!</a>)", link, content)
