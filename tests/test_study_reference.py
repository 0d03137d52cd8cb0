"""The page about the study file has every section and key, with its default and meaning."""

from __future__ import annotations

import re
from pathlib import Path

import hooks
import msgspec

from prs.study import Study, read_study

ROOT = Path(__file__).resolve().parents[1]


def structs(kind: object) -> set[type]:
    """Every section that a type reaches, found by the type's own description."""
    found: set[type] = set()
    info = msgspec.inspect.type_info(kind)
    waiting = [info]
    while waiting:
        info = waiting.pop()
        if isinstance(info, msgspec.inspect.StructType):
            found.add(info.cls)
            waiting += [field.type for field in info.fields]
        waiting += getattr(info, "types", ())
        waiting += [t for t in (getattr(info, "value_type", None),) if t is not None]
    return found


def test_no_section_and_no_key_is_missing() -> None:
    sections = hooks.study_sections()
    assert set(sections.values()) == structs(Study)
    text = hooks.study_reference()
    for name, section in sections.items():
        part = text.split(f"## [{name}]\n" if name else "## Top level\n")[1].split("\n## ")[0]
        for field in msgspec.structs.fields(section):
            below = f"{name}.{field.name}".lstrip(".")
            if field.name == "path" or {below, f"{below}.NAME"} & sections.keys():
                continue
            row = re.search(rf"^\| `{field.name}` \| (.+?) \| (.+?) \| (.{{8,}}) \|$", part, re.M)
            assert row, f"[{name}] {field.name}: its docstring lacks kind or meaning"
    assert "| `min_info` | `0.8` | float | Least imputation INFO" in text
    assert "| `genotypes` | *needed* |" in text


def test_the_example_on_the_page_is_a_study_file(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "reference" / "study-file.md").read_text(encoding="utf-8")
    example = re.search(r"```toml\n(.*?)```", page, re.S)
    assert example
    path = tmp_path / "study.toml"
    path.write_text(example[1], encoding="utf-8")
    study = read_study(path)
    assert (study.harmonise.qc.min_info, study.harmonise.qc.ld) == (0.9, False)
