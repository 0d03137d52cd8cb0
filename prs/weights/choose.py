"""From all columns of a study's scores to the few that are judged; tuning people choose."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from prs.inputs.cohort import Cohort
from prs.weights.best import select_best
from prs.weights.combine import POOLED, CombinedScore, combine
from prs.weights.score_table import Scores

__all__ = ["choose_scores"]

_PHI = re.compile(r"_phi([0-9.e+-]+|auto)$")


def choose_scores(
    scores: Scores,
    cohort: Cohort,
    *,
    by: str | None = "ancestry",
    cells_by: str | None = None,
) -> tuple[Scores, dict[str, Any]]:
    """Reduce each method to one column, as far as the tuning people allow.

    Columns are named by what made them: ``ct_POP_...`` (cells of clumping and thresholding),
    ``cs_POP`` (one population), ``csx_POP`` and ``csx_META`` (several), each perhaps with
    ``_phi1e-02``. Of the cells, and of a grid of phi, the best one among tuning people is
    taken. The populations' scores of one method are combined by `combine`, once for each group
    of `by` that has enough tuning people, as Ruan et al. (2022) do for each target population.

    Parameters
    ----------
    scores : Scores
        All columns.
    cohort : Cohort
        Without a split nothing is chosen: clumping and thresholding and grids of phi, which
        need a choice, are left out, and nothing is combined.
    by : str or None
        Label whose groups get combinations of their own.
    cells_by : str or None
        Label whose groups choose cells, and phi, of their own, if they have enough tuning
        people (`select_best`); None: all tuning people choose together.

    Returns
    -------
    scores : Scores
        ``ct_POP``, ``cs_POP``, ``csx_META`` and ``csx_combined``, as far as there are any.
    record : dict
        What was chosen, from what, by which figures.
    """
    tuned = cohort.split is not None and bool(np.any(cohort.split == "tuning"))
    record: dict[str, Any] = {"tuning_people": int(cohort.tuning().n) if tuned else 0}
    parts: list[Scores] = []

    def pick(name: str, columns: list[str]) -> dict[str, str] | None:
        """Add the best of the columns, or the only one; return each group's choice.

        None where nobody can choose.
        """
        if len(columns) == 1:
            parts.append(replace(scores.select(columns[0]), names=(name,)))
            return {POOLED: columns[0]}
        if not tuned:
            record[name] = {"left_out": "no tuning people to choose among", "columns": columns}
            return None
        best = select_best(scores, cohort, columns, name=name, by=cells_by)
        chosen = {
            group: best.columns[int(row.argmax())]
            for group, row in zip(best.groups, best.coefficients, strict=True)
        }
        table = best.table
        if cells_by is not None:
            table = table[table["group"] == POOLED].drop(columns=["group", "n"])
        record[name] = {"chosen": chosen[POOLED], "table": table.to_dict("records")}
        if cells_by is None:
            parts.append(replace(scores.select(chosen[POOLED]), names=(name,)))
            return chosen
        record[name] |= {
            "chosen_by": cells_by,
            "chosen_in": chosen,
            "notes": list(best.notes),
            "table_by_group": best.table.to_dict("records"),
        }
        parts.append(best.apply(scores, cohort))
        return chosen

    families: dict[str, list[str]] = {}
    for column in scores.names:
        if column.startswith("ct_"):
            family = "ct_" + column.removeprefix("ct_").split("_r2_")[0]
        elif column.startswith("csx_"):
            continue
        else:
            family = _PHI.sub("", column)
        families.setdefault(family, []).append(column)
    for family, columns in families.items():
        pick(family, columns)

    joint = [column for column in scores.names if column.startswith("csx_")]
    metas = [column for column in joint if _PHI.sub("", column) == "csx_META"]
    meta = pick("csx_META", metas) if metas else None
    if meta is not None and tuned:
        members = {
            group: [
                column
                for column in joint
                if column.endswith(one.removeprefix("csx_META"))
                and not column.startswith("csx_META")
            ]
            for group, one in meta.items()
        }
        if len(members[POOLED]) > 1:
            combined = _combine(scores, cohort, members, by)
            record["csx_combined"] = _describe(combined)
            parts.append(combined.apply(scores, cohort))
    return _join(parts, scores), record


def _combine(
    scores: Scores, cohort: Cohort, members: dict[str, list[str]], by: str | None
) -> CombinedScore:
    """Combine the populations' scores, in each group those of the phi that it chose."""
    fits: dict[tuple[str, ...], CombinedScore] = {}
    for mine in members.values():
        if tuple(mine) not in fits:
            fits[tuple(mine)] = combine(scores, cohort, columns=mine, name="csx_combined", by=by)
    pooled = fits[tuple(members[POOLED])]
    if len(fits) == 1:
        return pooled
    columns = tuple(name for names in fits for name in names)
    start = dict(zip(fits, np.cumsum([0, *(len(names) for names in fits)]), strict=False))
    coefficients = np.zeros((len(pooled.groups), len(columns)))
    tables = []
    for g, group in enumerate(pooled.groups):
        names = tuple(members.get(group, members[POOLED]))
        own = fits[names]
        row = own.coefficients[own.groups.index(group)]
        coefficients[g, start[names] : start[names] + len(names)] = row
        tables.append(own.table[own.table["group"] == group])
    return replace(
        pooled,
        columns=columns,
        coefficients=coefficients,
        mean=np.concatenate([fit.mean for fit in fits.values()]),
        sd=np.concatenate([fit.sd for fit in fits.values()]),
        table=pd.concat(tables, ignore_index=True),
    )


def _describe(combined: CombinedScore) -> dict[str, Any]:
    table = combined.table.astype(object).where(combined.table.notna(), None)
    return {
        "by": combined.by,
        "notes": list(combined.notes),
        "table": table.to_dict("records"),
    }


def _join(parts: list[Scores], scores: Scores) -> Scores:
    """Return the columns of several `Scores` of the same people as one."""
    return replace(
        scores,
        values=np.concatenate([part.values for part in parts], axis=1),
        names=tuple(name for part in parts for name in part.names),
        n_used=np.concatenate([part.n_used for part in parts]),
        n_missing=np.concatenate([part.n_missing for part in parts]),
        tuned_on=tuple(sorted({iid for part in parts for iid in part.tuned_on})),
    )
