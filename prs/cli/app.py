"""The commands, in the order of the work; each imports its room only when it is called."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(
    name="prs",
    help="Polygenic risk scores across ancestries: weights, scores, and how far to trust them.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _print_version(value: bool) -> None:
    if value:
        from prs import __version__

        typer.echo(f"prs {__version__}")
        raise typer.Exit


@app.callback()
def configure(
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Say more about what is done.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Polygenic risk scores across ancestries: weights, scores, and how far to trust them."""
    del version
    if verbose:
        import logging

        logging.getLogger("prs").setLevel(logging.INFO)


# The modules register their commands on `app`; their order is the order of `prs --help`.
from prs.cli import inputs, weights, csx, scores, people, study  # noqa: E402, F401, I001
