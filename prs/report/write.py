"""`write_report`: one self-contained HTML page, its tables and figures, every number as JSON."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd
from markupsafe import Markup

from prs.figures.style import png_bytes, svg_bytes
from prs.files import write_atomically
from prs.report.inputs import ReportInputs
from prs.report.page import Page, build_page

__all__ = ["ReportInputs", "write_report"]

_TEMPLATES = Path(__file__).with_name("templates")


def write_report(inputs: ReportInputs, out: str | Path) -> Path:
    """Write the report of a study into a folder.

    Parameters
    ----------
    inputs : ReportInputs
        What to report.
    out : str or Path
        Folder; made if it does not exist. Files of an earlier report are replaced.

    Returns
    -------
    Path
        ``out/report.html``: one page with its style and figures inside. Beside it
        ``report.json`` (every number), ``tables/*.tsv`` and ``figures/*.svg`` and ``*.png``.
        The same inputs give the same bytes.

    Raises
    ------
    SettingsError
        If the main score was not evaluated or an item of PRS-RS does not exist.
    """
    out = Path(out)
    page = build_page(inputs)
    images: dict[str, dict[str, str]] = {}
    for figure in page.figures:
        drawn = figure.draw()
        svg = svg_bytes(drawn)
        drawn.set_layout_engine("none")  # where things stand was settled by the first drawing
        _write(out / "figures" / f"{figure.name}.svg", svg)
        _write(out / "figures" / f"{figure.name}.png", png_bytes(drawn))
        images[figure.name] = {
            "src": "data:image/svg+xml;base64," + base64.b64encode(svg).decode("ascii"),
            "alt": figure.alt,
            "caption": figure.caption,
        }
    for name, frame in page.frames.items():
        text = frame.to_csv(sep="\t", index=False, na_rep="NA", lineterminator="\n")
        _write(out / "tables" / f"{name}.tsv", text.encode())
    _write(out / "report.json", _to_json(inputs, page).encode())
    traces = [f.name for f in page.figures if f.name.startswith("trace_")]
    html = _environment().get_template("report.html.j2").render(
        **page.context, figures=images, traces=traces, css=_stylesheet()
    )  # fmt: skip
    return _write(out / "report.html", html.encode())


def _write(path: Path, content: bytes) -> Path:
    with write_atomically(path) as temporary:
        temporary.write_bytes(content)
    return path


def _stylesheet() -> Markup:
    # Our own file, not user input: the one text that is not escaped.
    return Markup((_TEMPLATES / "report.css").read_text(encoding="utf-8"))


def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _to_json(inputs: ReportInputs, page: Page) -> str:
    """Return every number of the report as JSON; missing and infinite values are null."""
    context = page.context
    content = {
        "title": inputs.title,
        "outcome": context["outcome"],
        "outcome_kind": context["outcome_kind"],
        "main_score": context["score"],
        "reference_group": context["reference"],
        "headline": {words: list(groups) for _, words, groups in context["headline"]},
        "notes": context["notes"],
        "misuses": context["misuses"],
        "convergence": [text for text, _ in context["convergence_sentences"]],
        "settings": inputs.settings,
        "evaluation_settings": inputs.evaluation.settings,
        "provenance": inputs.provenance,
        "figures": {f.name: {"alt": f.alt, "caption": f.caption} for f in page.figures},
        "tables": {name: frame.to_dict("records") for name, frame in page.frames.items()},
    }
    return json.dumps(_plain(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    """Return a value as JSON can hold it."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset, np.ndarray)):
        return [_plain(v) for v in value]
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    return str(value)
