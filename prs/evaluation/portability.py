"""Accuracy in one ancestry over that in another, and of one score over another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prs.evaluation.accuracy import Delong
from prs.evaluation.bootstrap import percentile_interval
from prs.evaluation.floors import OK, insufficient
from prs.evaluation.intervals import UNKNOWN, Estimate

__all__ = ["MEASURES", "Judged", "comparison_rows", "portability_rows"]

MEASURES = {
    "binary": ("auc", "r2_nagelkerke", "r2_liability"),
    "quantitative": ("r2", "r2_incremental"),
    "survival": ("c", "r2_explained"),
}


@dataclass(frozen=True, eq=False)
class Judged:
    """The accuracy of the scores in one group, with its bootstrap.

    Attributes
    ----------
    counts : dict of str to int or None
        `n` and `n_events`.
    status : dict of str to str
        By score.
    figures : dict of str to dict of str to float
        By score and measure.
    replicates : dict of str to dict of str to ndarray, shape (B,)
        The same of each bootstrap sample; one sample serves all scores, so they are paired.
    delong : Delong or None
        Of all scores at once, in the order of `order`.
    order : tuple of str
        Scores in `delong`.
    """

    counts: Mapping[str, Any]
    status: Mapping[str, str]
    figures: Mapping[str, Mapping[str, float]]
    replicates: Mapping[str, Mapping[str, NDArray[np.float64]]]
    delong: Delong | None
    order: tuple[str, ...]


def portability_rows(
    judged: Mapping[str, Judged],
    scores: Sequence[str],
    reference_group: str,
    measures: Sequence[str],
    confidence: float,
) -> list[dict[str, Any]]:
    """Divide each group's accuracy by the reference group's.

    Groups are different people, so their bootstrap samples are independent and the ratio's
    interval is the percentile one of the ratio of replicates. A reference within two standard
    errors of no accuracy at all (an R2 of 0, an AUC of 0.5) supports no ratio: the interval of
    a ratio is unbounded when its denominator may be nothing (Fieller 1954).

    Parameters
    ----------
    judged : mapping of str to Judged
        By group; the reference among them.
    scores, measures : sequence of str
        What to compare.
    reference_group : str
        The denominator.
    confidence : float
        Level.
    """
    rows = []
    reference = judged[reference_group]
    for score in scores:
        for group, here in judged.items():
            for measure in measures:
                value = here.figures.get(score, {}).get(measure, np.nan)
                base = reference.figures.get(score, {}).get(measure, np.nan)
                ratio, status = UNKNOWN, OK
                if here.status[score] != OK:
                    status = here.status[score]
                elif reference.status[score] != OK:
                    status = insufficient(f"the reference group, {reference_group}, has too little")
                elif not (np.isfinite(value) and np.isfinite(base)):
                    status = insufficient("no prevalence given")
                elif group == reference_group:
                    ratio = Estimate(1.0, 1.0, 1.0)
                else:
                    below = reference.replicates[score][measure]
                    nothing = 0.5 if measure == "auc" else 0.0
                    if base - nothing < 2.0 * float(below.std()):
                        status = insufficient(
                            f"accuracy in the reference group, {reference_group}, is not clear "
                            "of nothing"
                        )
                    else:
                        above = here.replicates[score][measure]
                        ratio = percentile_interval(value / base, above / below, confidence)
                rows.append(
                    {
                        "score": score,
                        "group": group,
                        **here.counts,
                        "reference_group": reference_group,
                        "measure": measure,
                        "value": value,
                        "value_reference": base,
                        **ratio.named("ratio"),
                        "status": status,
                    }
                )
    return rows


def comparison_rows(
    judged: Mapping[str, Judged],
    scores: Sequence[str],
    versus: str,
    measures: Sequence[str],
    confidence: float,
) -> list[dict[str, Any]]:
    """Subtract the baseline score's accuracy from each score's, on the same people.

    AUC by DeLong's test for paired curves; R2 by the percentile interval of paired replicates.

    Parameters
    ----------
    judged : mapping of str to Judged
        By group, "all" included.
    scores, measures : sequence of str
        What to compare.
    versus : str
        The baseline score.
    confidence : float
        Level.
    """
    rows = []
    for score in scores:
        if score == versus:
            continue
        for group, here in judged.items():
            bad = [s for s in (score, versus) if here.status[s] != OK]
            for measure in measures:
                value = here.figures.get(score, {}).get(measure, np.nan)
                base = here.figures.get(versus, {}).get(measure, np.nan)
                difference, status = UNKNOWN, OK
                if bad:
                    status = here.status[bad[0]]
                elif not (np.isfinite(value) and np.isfinite(base)):
                    status = insufficient("no prevalence given")
                elif measure == "auc" and here.delong is not None:
                    k, j = here.order.index(score), here.order.index(versus)
                    difference, _ = here.delong.difference(k, j, confidence)
                else:
                    paired = here.replicates[score][measure] - here.replicates[versus][measure]
                    difference = percentile_interval(value - base, paired, confidence)
                rows.append(
                    {
                        "score": score,
                        "group": group,
                        **here.counts,
                        "versus": versus,
                        "measure": measure,
                        "value": value,
                        "value_versus": base,
                        **difference.named("difference"),
                        "status": status,
                    }
                )
    return rows
