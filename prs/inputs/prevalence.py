"""Population prevalence, as the user gives it: one number, or a table by group."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pandas as pd

from prs.errors import ColumnError, FileFormatError, InvalidValueError
from prs.files import read_bytes

__all__ = ["read_prevalence"]


def read_prevalence(value: str | Path) -> float | dict[str, float]:
    """Return a prevalence, or prevalences by group.

    Parameters
    ----------
    value : str or Path
        A number such as ``0.05``, or a file with a header and two columns: group, prevalence.

    Raises
    ------
    FileFormatError
        If it is neither a number nor a file.
    ColumnError
        If the table has not two columns.
    InvalidValueError
        If a prevalence is not between 0 and 1.
    """
    try:
        number = float(str(value))
    except ValueError:
        table = _read_table(Path(value))
    else:
        if not 0 < number < 1:
            raise InvalidValueError(
                f"prevalence {value} is not between 0 and 1", remedy="give a share, not a per cent"
            )
        return number
    return table


def _read_table(path: Path) -> dict[str, float]:
    text = read_bytes(path, "table of prevalences").decode("utf-8", "replace")
    try:
        frame = pd.read_csv(
            io.StringIO(text), sep=r"[\t,; ]+", engine="python", index_col=False, dtype=str,
            quoting=csv.QUOTE_NONE,
        )  # fmt: skip
    except (pd.errors.ParserError, pd.errors.ParserWarning, ValueError, csv.Error) as error:
        raise FileFormatError(
            f"is not a table of two columns, group and prevalence ({error})", path=path
        ) from error
    if frame.shape[1] != 2:
        raise ColumnError(
            f"has {frame.shape[1]} columns, where two are expected: group, prevalence", path=path
        )
    groups = [str(group) for group in frame.iloc[:, 0]]
    values = pd.to_numeric(frame.iloc[:, 1], errors="coerce")
    bad = [i for i, v in enumerate(values) if not 0 < v < 1]
    if bad:
        raise InvalidValueError(
            f"{len(bad)} prevalences are not between 0 and 1",
            path=path,
            line=bad[0] + 2,
            column=str(frame.columns[1]),
            rows=[" ".join(map(str, frame.iloc[i])) for i in bad],
        )
    return dict(zip(groups, values.astype(float), strict=True))
