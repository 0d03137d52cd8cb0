"""From all columns of a study's scores to the few that are judged; tuning people choose."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np

from prs.inputs.cohort import Cohort
from prs.weights.combine import CombinedScore, combine, select_best
from prs.weights.score_table import Scores

__all__ = ["choose_scores"]

_PHI = re.compile(r"_phi([0-9.e+-]+|auto)$")


def choose_scores(
    scores: Scores, cohort: Cohort, *, by: str | None = "ancestry"
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

    def pick(name: str, columns: list[str]) -> str | None:
        """Return the best of the columns, or the only one; None where nobody can choose."""
        if len(columns) == 1:
            return columns[0]
        if not tuned:
            record[name] = {"left_out": "no tuning people to choose among", "columns": columns}
            return None
        best = select_best(scores, cohort, columns)
        record[name] = {"chosen": best.columns[0], "table": best.table.to_dict("records")}
        return str(best.columns[0])

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
        chosen = pick(family, columns)
        if chosen is not None:
            parts.append(replace(scores.select(chosen), names=(family,)))

    joint = [column for column in scores.names if column.startswith("csx_")]
    metas = [column for column in joint if _PHI.sub("", column) == "csx_META"]
    meta = pick("csx_META", metas) if metas else None
    if meta is not None:
        parts.append(replace(scores.select(meta), names=("csx_META",)))
        phi = meta.removeprefix("csx_META")
        members = [
            column for column in joint if column.endswith(phi) and not column.startswith("csx_META")
        ]
        if tuned and len(members) > 1:
            combined = combine(scores, cohort, columns=members, name="csx_combined", by=by)
            record["csx_combined"] = _describe(combined)
            parts.append(combined.apply(scores, cohort))
    return _join(parts, scores), record


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
