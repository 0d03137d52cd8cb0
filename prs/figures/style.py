"""One look for every figure: palette, fonts, and bytes that depend on nothing but the data."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ParamSpec

import matplotlib as mpl
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "MUTED",
    "POOLED",
    "ancestry_colors",
    "figure_with_message",
    "in_house_style",
    "new_figure",
    "png_bytes",
    "svg_bytes",
    "write_in_axes",
]

P = ParamSpec("P")

#: Okabe & Ito's colours (Nature Methods 2011, "Points of view: Color blindness"), without the
#: yellow, which is too faint on white.
_BLUE, _VERMILION, _GREEN, _PURPLE, _ORANGE, _SKY = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
)
#: The colour of everybody together.
POOLED = "#222222"
#: Reference lines, notes, and what could not be computed.
MUTED = "#6b6b6b"

_USUAL = {
    "EUR": _BLUE,
    "AFR": _VERMILION,
    "EAS": _GREEN,
    "AMR": _PURPLE,
    "SAS": _ORANGE,
    "ADMIXED": _SKY,
    "ADM": _SKY,
    "ADX": _SKY,
}
_OTHERS = (_SKY, _PURPLE, _ORANGE, _GREEN, _VERMILION, _BLUE, "#8c6d31", "#7f7f7f")
_NAMES_OF_EVERYBODY = {"all", "pooled", "overall", "everybody"}

_STYLE: Any = {  # matplotlib wants its own literal key type
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: the same on every machine
    "font.size": 9.5,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9.5,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#555555",
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.6,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.fonttype": "path",
    "svg.hashsalt": "prs",  # element ids from the content, not from chance
}


def in_house_style(plot: Callable[P, Figure]) -> Callable[P, Figure]:
    """Run a plot function under the report's style, and leave matplotlib's settings alone."""

    @functools.wraps(plot)
    def styled(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with mpl.rc_context(_STYLE):
            return plot(*args, **kwargs)

    return styled


def is_everybody(group: str) -> bool:
    """Whether a group label means all ancestries together."""
    return group.lower() in _NAMES_OF_EVERYBODY


def ancestry_colors(groups: Iterable[str]) -> dict[str, str]:
    """Return one colour a group; the usual superpopulation codes always get the same one.

    Parameters
    ----------
    groups : iterable of str
        Group labels; ``all`` (or ``pooled``, ``overall``) is drawn near-black.

    Returns
    -------
    dict of str to str
        Label -> hex colour, in the order given.
    """
    groups = list(dict.fromkeys(groups))
    colors = {g: _USUAL[g.upper()] for g in groups if g.upper() in _USUAL}
    colors |= {g: POOLED for g in groups if is_everybody(g)}
    free = [c for c in _OTHERS if c not in colors.values()] or list(_OTHERS)
    for i, group in enumerate(sorted(set(groups) - set(colors))):
        colors[group] = free[i % len(free)]
    return {group: colors[group] for group in groups}


class _NotebookFigure(Figure):
    """A figure that a notebook shows although pyplot does not know of it."""

    def _repr_png_(self) -> bytes:
        return png_bytes(self, dpi=100)


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure (inches) that lays itself out and belongs to no global state."""
    return _NotebookFigure(figsize=(width, height), layout="constrained")


def write_in_axes(ax: Axes, message: str) -> None:
    """Say in an axes' middle why it is empty, instead of leaving an empty frame."""
    ax.grid(visible=False)
    ax.text(
        0.5, 0.5, message, ha="center", va="center", color=MUTED, style="italic", wrap=True,
        transform=ax.transAxes, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
    )  # fmt: skip


@in_house_style
def figure_with_message(message: str, width: float = 5.0, height: float = 1.2) -> Figure:
    """Return a figure that only says why there is nothing to see."""
    figure = new_figure(width, height)
    ax = figure.add_subplot()
    ax.set_axis_off()
    write_in_axes(ax, message)
    return figure


def svg_bytes(figure: Figure) -> bytes:
    """Return the figure as SVG; the same figure gives the same bytes, on any day."""
    buffer = io.BytesIO()
    with mpl.rc_context(_STYLE):
        figure.savefig(
            buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None}
        )
    return buffer.getvalue()


def png_bytes(figure: Figure, dpi: int = 150) -> bytes:
    """Return the figure as PNG without a software or date stamp."""
    buffer = io.BytesIO()
    with mpl.rc_context(_STYLE):
        figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()
