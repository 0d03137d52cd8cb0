"""Run notebooks and the documentation's Python blocks; write the rendered copies of notebooks.

    python docs/render_notebooks.py [NAME ...]

runs notebooks/NAME*.ipynb (default: all) and writes docs/notebooks/NAME.md with its figures.
Cells are run in this process, as plain Python in one namespace: no kernel, no ports, nothing to
install, and a warning or an error has the same traceback as in any test. The notebooks therefore
hold no magics. What is shown is what Jupyter shows: what is printed, the last expression of a
cell unless it ends in ``;``, and figures.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import html
import io
import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "notebooks"
RENDERED = ROOT / "docs" / "notebooks"
#: Dots per inch of the figures: sharp enough to read, small enough to commit.
DPI = 88


@dataclass(frozen=True)
class Cell:
    """One cell: what kind it is, its text, and where it is from (for tracebacks)."""

    kind: str
    source: str
    name: str


@dataclass(frozen=True)
class Output:
    """One thing that a cell shows: ``text``, ``html`` or ``png``."""

    kind: str
    content: str | bytes


def read_notebook(path: Path) -> list[Cell]:
    """Return the cells of an .ipynb file."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [
        Cell(cell["cell_type"], "".join(cell["source"]), f"{path.name}, cell {i}")
        for i, cell in enumerate(cells, 1)
    ]


def read_blocks(path: Path, language: str = "python") -> list[Cell]:
    """Return the fenced blocks of one language in a Markdown file, as code cells."""
    text = path.read_text(encoding="utf-8")
    found = re.finditer(rf"^```{language}\n(.*?)^```", text, re.M | re.S)
    return [
        Cell("code", m.group(1), f"{path.name}, line {text.count(chr(10), 0, m.start()) + 1}")
        for m in found
    ]


def run_cells(
    cells: Sequence[Cell], folder: Path
) -> tuple[dict[str, Any], dict[int, list[Output]]]:
    """Run code cells one after the other in `folder`.

    Parameters
    ----------
    cells : sequence of Cell
        Those that are not code are skipped.
    folder : Path
        The working directory while they run.

    Returns
    -------
    namespace : dict
        What the cells defined.
    outputs : dict of int to list of Output
        By position of the cell.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    namespace: dict[str, Any] = {"__name__": "__main__"}
    outputs: dict[int, list[Output]] = {}
    before, show = Path.cwd(), plt.show
    os.chdir(folder)
    try:
        with mpl.rc_context():
            for i, cell in enumerate(cells):
                if cell.kind == "code":
                    outputs[i] = list(_run_cell(cell, namespace))
    finally:
        os.chdir(before)
        plt.show = show
        plt.close("all")
    return namespace, outputs


def _run_cell(cell: Cell, namespace: dict[str, Any]) -> Iterator[Output]:
    from matplotlib import pyplot as plt
    from matplotlib.figure import Figure

    drawn: list[Output] = []

    def take_figures() -> None:
        drawn.extend(Output("png", _png(plt.figure(n))) for n in plt.get_fignums())
        plt.close("all")

    def display(*values: Any) -> None:
        for value in values:
            take_figures()
            drawn.append(_show(value))

    plt.show = take_figures
    namespace["display"] = display
    tree = ast.parse(cell.source, cell.name)
    last = None
    if tree.body and isinstance(tree.body[-1], ast.Expr):
        shown = not cell.source.rstrip().endswith(";")
        final = ast.Expression(tree.body.pop().value)
        last = (compile(final, cell.name, "eval"), shown)
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            exec(compile(tree, cell.name, "exec"), namespace)
            value = None if last is None else eval(last[0], namespace)
    except Exception as error:
        error.add_note(f"in {cell.name}:\n{cell.source}")
        raise
    take_figures()
    if printed.getvalue().strip():
        yield Output("text", printed.getvalue().rstrip())
    yield from drawn
    if last is not None and last[1] and value is not None:
        yield Output("png", _png(value)) if isinstance(value, Figure) else _show(value)


def _show(value: Any) -> Output:
    from matplotlib.figure import Figure

    if isinstance(value, Figure):
        return Output("png", _png(value))
    if hasattr(value, "to_html"):  # a table; index and all, as Jupyter shows it
        return Output("html", value.to_html(border=0))
    return Output("text", str(value) if isinstance(value, str) else repr(value))


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def to_markdown(
    path: Path, cells: Sequence[Cell], outputs: dict[int, list[Output]]
) -> tuple[str, dict[str, bytes]]:
    """Return a notebook with its outputs as Markdown, and the figures that it names."""
    parts, figures = [], {}
    note = (
        f"*Made from `notebooks/{path.name}` by `python docs/render_notebooks.py`; "
        "open that file to run it and change it.*"
    )
    for i, cell in enumerate(cells):
        if cell.kind != "code":
            parts.append(cell.source.strip())
            if i == 0:
                parts.append(note)
            continue
        parts.append(f"```python\n{cell.source.strip()}\n```")
        for output in outputs[i]:
            if output.kind == "png":
                assert isinstance(output.content, bytes)
                name = f"{path.stem}_{len(figures) + 1:02d}.png"
                figures[name] = output.content
                parts.append(f"![Figure {len(figures)} of {path.stem}]({name})")
            elif output.kind == "html":
                parts.append(f'<div class="output">\n{output.content}\n</div>')
            else:
                text = html.unescape(str(output.content))
                parts.append(f"```output\n{text}\n```")
    return "\n\n".join(parts) + "\n", figures


def digest(cells: Sequence[Cell]) -> str:
    """Return a short digest of the cells' text: the rendered copy carries it."""
    text = "\0".join(f"{cell.kind}\0{cell.source}" for cell in cells)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def rendered_digest(path: Path) -> str | None:
    """Return the digest that a rendered copy carries, or None."""
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    found = re.search(r"<!-- cells ([0-9a-f]{16}) -->", text)
    return found.group(1) if found else None


def render(path: Path, folder: Path = RENDERED) -> Path:
    """Run one notebook and write its rendered copy."""
    cells = read_notebook(path)
    _, outputs = run_cells(cells, path.parent)
    text, figures = to_markdown(path, cells, outputs)
    folder.mkdir(exist_ok=True)
    for old in folder.glob(f"{path.stem}_*.png"):
        old.unlink()
    for name, content in figures.items():
        (folder / name).write_bytes(content)
    page = folder / f"{path.stem}.md"
    page.write_text(text + f"\n<!-- cells {digest(cells)} -->\n", encoding="utf-8")
    return page


def main(names: Sequence[str]) -> None:
    """Render the notebooks whose names begin with one of `names`; all, without any."""
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        if not names or any(path.name.startswith(name) for name in names):
            page = render(path)
            sys.stdout.write(f"wrote {page.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
