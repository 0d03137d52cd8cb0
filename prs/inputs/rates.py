"""Rates by age that the user gives: incidence of a disease, mortality from other causes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from prs.errors import ColumnError, InvalidValueError
from prs.inputs.text_table import open_table

__all__ = ["read_rates"]

_NUMBERS = ("age_from", "age_to", "rate")


def read_rates(path: str | Path) -> pd.DataFrame:
    """Read a table of rates by age.

    Parameters
    ----------
    path : str or Path
        Columns age_from, age_to (years), rate (per person and year) and, optionally, group.

    Returns
    -------
    DataFrame
        group ("" where the file has none), age_from, age_to, rate.

    Raises
    ------
    FileFormatError
        If the file is missing, empty, damaged or ragged.
    ColumnError
        If a column is missing.
    InvalidValueError
        If a cell is not a number of at least 0.
    """
    table = open_table(path, "table of rates")
    names = {name.lower(): name for name in table.header}
    missing = [name for name in _NUMBERS if name not in names]
    if missing:
        raise ColumnError(
            f"columns {', '.join(missing)} are missing",
            path=table.path,
            line=1,
            rows=[" ".join(table.header)[:200]],
            remedy="columns: age_from, age_to (years), rate (per person and year), group if any",
        )
    wanted = [names[n] for n in (*_NUMBERS, "group") if n in names]
    cells = table.read(wanted, ())
    n = len(cells[names["rate"]])
    columns: dict[str, object] = {
        "group": cells[names["group"]] if "group" in names else np.full(n, "", dtype=object)
    }
    for name in _NUMBERS:
        column = cells[names[name]]
        values = pd.to_numeric(pd.Series(column, dtype=object), errors="coerce").to_numpy(float)
        bad = np.flatnonzero(~(np.isfinite(values) & (values >= 0.0)))
        if len(bad):
            table.refuse(
                bad,
                f"{len(bad):,} cells are not numbers of at least 0",
                names[name],
                [repr(column[i]) for i in bad[:5]],
            )
        columns[name] = values
    if n == 0:
        raise InvalidValueError("the table has no rows", path=table.path)
    return pd.DataFrame(columns)
